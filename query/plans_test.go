package query

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// scans are the tables that a statement reads from their begin: cursors that are rewound, by the root pages that they are opened on.
func scans(t *testing.T, r *Recording, statement string) (names []string) {
	t.Helper()
	tables := map[int]string{}
	for _, row := range table(t, r.conn, "SELECT rootpage, tbl_name FROM main.sqlite_schema WHERE rootpage > 0") {
		var page int
		fmt.Sscan(row[0], &page)
		tables[page] = row[1]
	}
	rows, err := r.Query(t.Context(), "EXPLAIN "+statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	defer rows.Close()
	open := map[int]string{}
	for rows.Next() {
		var addr, p1, p2, p3 int
		var opcode string
		var p4, p5, comment sql.RawBytes
		if err := rows.Scan(&addr, &opcode, &p1, &p2, &p3, &p4, &p5, &comment); err != nil {
			t.Fatal(err)
		}
		switch opcode {
		case "OpenRead":
			open[p1] = ""
			if p3 == 0 { // main
				open[p1] = tables[p2]
			}
		case "Rewind":
			if name := open[p1]; name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Of what grows with the age of a recording, a view at a moment or in its window reads a range of keys, and a question reads no more of it
// than it asks for.
func TestPlansKeepToKeys(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	if err := r.SetWindow(t.Context(), began, began.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	hour := float64(began.Unix())
	at := hour + 100
	// What is open now, and what has a row for each run, boot, gap and source, is small.
	small := []string{"boot", "capability", "gap", "period_1h", "period_1m", "recording", "run", "source"}
	held := func(what, statement, want string) {
		var got []string
		for _, name := range scans(t, r, statement) {
			if !slices.Contains(small, name) && !strings.HasSuffix(name, "_open") {
				got = append(got, name)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s\nreads from the begin: %q, want %q", what, got, want)
		}
	}
	// Lives of sockets are found by who they are, and which namespaces ever had a default route by all routes there were. What is new is not among all programs,
	// interfaces, modules and neighbours that were there, which are few beside the samples of them; peers ask the days from the first on, and whether there are networks.
	// Of samples the first is read. Whether a link was down, or what its name is, is looked up among the interfaces that there were.
	wholeViews := map[string]string{"socket_spans": "socket", "default_route_gaps": "route", "fault_default_route": "route sample", "findings": "interface route route_exception sample", "fault_transmit_drops": "interface", "fault_gateway": "interface", "fault_link_speed": "interface", "fault_mtu": "route_exception", "fault_dead_peer": "route_exception",
		"peers": "peer_group peer_upto period_1d sample", "first_seen": "interface module neighbor peer_group peer_upto period_1d process sample"}
	moments := 0
	for _, v := range store.Views() {
		statement := fmt.Sprintf("SELECT * FROM %q", v.Name)
		if slices.ContainsFunc(v.Columns, func(c store.Column) bool { return c.Name == "ts" }) {
			statement += fmt.Sprintf(" WHERE ts = %f", at)
			moments++
		}
		held(statement, statement, wholeViews[v.Name])
	}
	if moments < 60 {
		t.Errorf("only %d views have ts", moments)
	}
	all := map[string]string{ // what is asked of all the past
		"SELECT * FROM route_changes c JOIN sockets s ON s.ts = c.ts":                                         "route_event route_span sample",
		"SELECT m.ts, (SELECT count(*) FROM sockets s WHERE s.ts = m.ts) FROM samples m ORDER BY ts LIMIT 60": "sample",
		"SELECT * FROM sockets WHERE remote_addr = '10.1.0.7'":                                                "socket",
		"SELECT * FROM socket_spans WHERE remote_addr = '10.1.0.7'":                                           "socket",
		"SELECT count(*) FROM sockets":                                                                        "socket",
		"SELECT DISTINCT comm FROM sockets":                                                                   "socket",
		"SELECT * FROM connections WHERE remote_addr = '203.0.113.7'":                                         "peer_1h peer_upto",
		"SELECT count(*) FROM connections WHERE local_port = 5432":                                            "close_tuple",
		"SELECT * FROM connections WHERE comm = 'job3' LIMIT 10":                                              "close_tuple process",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7'":                                      "peer_1h peer_upto",
		"SELECT count(*) FROM closed_sockets WHERE local_port = 443":                                          "close close_tuple",
		"SELECT count(*) FROM closed_sockets":                                                                 "close",
		"SELECT remote_addr, count(*) FROM closed_sockets GROUP BY 1 ORDER BY 2 DESC LIMIT 5":                 "close",
		"SELECT name, max(rx_bytes_per_s) FROM interface_rates GROUP BY name":                                 "sample",
		"SELECT * FROM interface_changes":                                                                     "interface_event interface_span",
		"SELECT count(*) FROM samples":                                                                        "sample",
	}
	for _, q := range questions(at, hour) {
		held(q, q, all[q])
		delete(all, q)
	}
	for q := range all {
		t.Errorf("not asked any more: %s", q)
	}
}
