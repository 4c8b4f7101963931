package query

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// Who asks closed_sockets or connections about few addresses gets what there is of them in every hour, and little else is read.
func TestClosesOfAddresses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "closes.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: 20 * time.Minute, Version: "x", Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("closes")
	log, procs := store.NewLog(src, store.Closes), store.NewSet(src, store.Processes)
	const hours = 40
	for i := range 3 * hours {
		up := time.Duration(i+1) * 20 * time.Minute
		w.Begin(store.Clock{Wall: began.Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			web := procs.Put(store.ProcessID{PID: store.Of(7), Comm: "web"}, store.Process{}).Ref()
			for j := range 30 {
				if i == 0 {
					break // nobody knows when
				}
				c := store.Close{NetNS: store.Of(1), Proto: "tcp", Family: store.Of(4), LocalAddr: "10.0.0.1", LocalPort: store.Of(443), RemotePort: store.Of(40000 + i), Cookie: store.Of(1000*i + j),
					RemoteAddr: "192.0.2.1", OwnerHow: "none", BytesSent: store.Of(j)}
				switch {
				case j == 2:
					c.Process = web
				case j == 3 && i%20 == 0:
					c.RemoteAddr = "203.0.113.7"
				case j == 5 && i == 2: // before the hour whose first sample brings it
					c.RemoteAddr = "198.51.100.9"
				case j == 4 && i == 100:
					c.RemoteAddr = "2001:db8::7"
				}
				log.Add(up-time.Duration(j)*30*time.Second, c)
			}
			return nil
		})
		if err := w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		if more, err = w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, path)
	if err := r.SetWindow(t.Context(), began, began.Add(hours*time.Hour)); err != nil {
		t.Fatal(err)
	}
	noon := float64(began.Add(20 * time.Hour).Unix())
	for _, c := range []struct {
		view, where string
		rows        int
	}{
		{"closed_sockets", "remote_addr = '203.0.113.7'", 5},
		{"closed_sockets", fmt.Sprintf("remote_addr = '203.0.113.7' AND ts >= %f", noon), 3},
		{"closed_sockets", fmt.Sprintf("ts BETWEEN 1 AND unixepoch(%.0f, 'unixepoch') AND remote_addr IN ('203.0.113.7', '2001:db8::7')", noon), 2},
		{"closed_sockets", fmt.Sprintf("remote_addr IS '2001:db8::7' AND ts < %f + 14 * 3600 AND ts > %[1]f", noon), 1},
		{"closed_sockets", "remote_addr = '198.51.100.1'", 0},
		{"closed_sockets", "remote_addr = '198.51.100.9'", 1},
		{"connections", "remote_addr = '198.51.100.9'", 1},
		{"closed_sockets", "remote_addr = '203.0.113.7' AND ts > (SELECT min(ts) FROM samples)", 5},
		{"closed_sockets", "remote_port = 40060", 30},
		{"closed_sockets", "local_port = 443 AND remote_port IN (40060, 40061)", 60},
		{"closed_sockets", "local_port = '443' AND remote_port = 40060", 0},
		{"closed_sockets", "comm = 'web' AND pid = 7", 119},
		{"connections", "comm = 'web' AND remote_port = 40060", 1},
		{"connections", "remote_addr = '203.0.113.7'", 5},
		{"connections", fmt.Sprintf("remote_addr = '203.0.113.7' AND opened < %f", noon), 2},
	} {
		got := table(t, r.conn, "SELECT * FROM "+c.view+" WHERE "+c.where)
		want := table(t, r.conn, "SELECT * FROM (SELECT * FROM "+c.view+") WHERE "+c.where)
		if diff := cmp.Diff(want, got); diff != "" || len(got)-1 != c.rows {
			t.Errorf("%s WHERE %s: %d rows, want %d (-of all +asked for):\n%s", c.view, c.where, len(got)-1, c.rows, diff)
		}
	}
	// A close just before the window is none of it.
	at := began.Add(21*20*time.Minute - 90*time.Second) // 203.0.113.7
	for since, want := range map[time.Duration]int{-time.Second / 2: 5, time.Second / 2: 4} {
		if err := r.SetWindow(t.Context(), at.Add(since), began.Add(hours*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got := len(table(t, r.conn, "SELECT * FROM connections WHERE remote_addr = '203.0.113.7'")) - 1; got != want {
			t.Errorf("%d connections, want %d", got, want)
		}
	}
	// Where hours may be lost, all is read.
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("DELETE FROM peer_1h WHERE id % 3; INSERT INTO gap (since, until, kind) SELECT min(ts), max(ts), 'damaged' FROM sample"); err != nil {
		t.Fatal(err)
	}
	if got := len(table(t, r.conn, "SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7'")) - 1; got != 5 {
		t.Errorf("%d closes of a recording that was damaged, want 5", got)
	}
	for statement, want := range map[string]string{
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7'":                                     "c.ts > k.since AND c.ts <= k.until",
		"SELECT * FROM closed_sockets c WHERE c.ts >= at('-1h') AND c.remote_addr = '203.0.113.7' LIMIT 5":   "c.ts > max(k.since, (at('-1h')) - 1) AND c.ts <= k.until",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' AND ts BETWEEN 5 AND 6 ORDER BY ts;": "c.ts > max(k.since, (5) - 1) AND c.ts <= min(k.until, (6))",
		"select * from connections where remote_addr = '203.0.113.7' and open":                               "c.ts > max(k.since, w.since - 1)",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' AND ts > lived":                      "",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' AND ts > random()":                   "",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' AND ts + 1 > 5":                      "",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' AND 5 < ts":                          "",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7' OR ts > 5":                           "",
		"SELECT * FROM closed_sockets WHERE NOT remote_addr = '203.0.113.7'":                                 "",
		"SELECT * FROM closed_sockets WHERE remote_addr = '0.0.0.0'":                                         "WHERE (c.remote_addr IN ('0.0.0.0') OR c.tuple IN (SELECT id FROM close_tuple WHERE remote_addr IN ('0.0.0.0')) OR c.socket IS NOT NULL)",
		"SELECT * FROM closed_sockets WHERE local_port IN (80, 443) AND comm = 'Xorg' AND bytes_sent > 5":    "c.tuple IN (SELECT id FROM close_tuple WHERE process IN (SELECT id FROM process WHERE comm IN ('Xorg')))",
		"SELECT * FROM closed_sockets WHERE local_port IN (80, 443) OR comm = 'Xorg'":                        "",
		"SELECT * FROM closed_sockets WHERE bytes_sent = 5":                                                  "",
		"SELECT * FROM connections WHERE remote_port = 443 ORDER BY opened":                                  "(c.remote_port IN (443) OR",
		"SELECT * FROM closed_sockets WHERE remote_addr LIKE '203.%'":                                        "",
		"SELECT * FROM closed_sockets, samples WHERE remote_addr = '203.0.113.7'":                            "",
		"SELECT * FROM peers_1h WHERE remote_addr = '203.0.113.7'":                                           "",
	} {
		body := ""
		for _, v := range store.Views() {
			if b, ok := ofCloses(statement, v); ok && strings.Contains(strings.ToLower(statement), "from "+v.Name) {
				body = b
			}
		}
		if (body == "") != (want == "") || !strings.Contains(body, want) {
			t.Errorf("%s is asked of\n%s\nwant %q in it", statement, body, want)
		}
	}
}

// What a condition says of ts is taken out of it only where it is the same for all rows.
func FuzzMoments(f *testing.F) {
	f.Add("ts >= at('-1h')")
	f.Add("c.ts BETWEEN unixepoch('2026-01-01', '-1 day') AND 5 * (3 + 1.5)")
	f.Add("ts > at(x)")
	db, err := sql.Open("sqlite", "file::memory:")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	f.Fuzz(func(t *testing.T, text string) {
		since, until, ok := condition(wordsOf(text)).moments(text)
		for _, moment := range []string{since, until} {
			if moment == "" {
				continue
			}
			if !ok || !strings.Contains(text, moment) {
				t.Errorf("%q says %q", text, moment)
			}
			if _, err := db.Exec("SELECT max(1, (" + moment + ") - 1)"); err != nil && !strings.Contains(strings.ToLower(err.Error()), "no such function: at") && !strings.Contains(err.Error(), "number of arguments") && !strings.Contains(err.Error(), "Parser stack overflow") &&
				!strings.Contains(err.Error(), "too large") {
				t.Errorf("%q says %q, which is no SQL: %v", text, moment, err)
			}
			for _, w := range wordsOf(moment) {
				if w.kind == tokenName || w.kind == tokenWord && w.text != "at" && w.text != "unixepoch" {
					t.Errorf("%q says %q, of which %s may be a column", text, moment, w.text)
				}
			}
		}
	})
}
