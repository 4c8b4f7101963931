package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Every view has the columns that its reference names, each with a sentence, and runs.
func TestViewsMatchTheirReference(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 99)
	h.run(80)
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, v := range Views() {
		rows, err := db.Query("SELECT * FROM " + v.Name)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		got, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
		}
		if err := rows.Err(); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		rows.Close()
		var want []string
		for _, c := range v.Columns {
			want = append(want, c.Name)
			if !strings.HasSuffix(c.Doc, ".") {
				t.Errorf("%s.%s: its sentence %q does not end", v.Name, c.Name, c.Doc)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: columns (-reference +view):\n%s", v.Name, diff)
		}
		if v.Doc == "" {
			t.Errorf("%s has no sentence", v.Name)
		}
	}
}

// The plain sqlite3 of Debian 12 runs every view.
func TestPlainSQLite3RunsTheViews(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
			t.Fatal(err)
		}
		t.Skip("sqlite3 is not installed (Debian: sqlite3)")
	}
	h := newHistory(t, 98)
	h.run(80)
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, v := range Views() {
		out, err := exec.Command("sqlite3", "-readonly", "-batch", h.path, "SELECT count(*) FROM "+v.Name).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", v.Name, err, out)
			continue
		}
		want := texts(t, db, "SELECT count(*) FROM "+v.Name)
		if got := strings.TrimSpace(string(out)); got != want[0] {
			t.Errorf("%s: sqlite3 counts %s rows, modernc %s", v.Name, got, want[0])
		}
	}
}

// A history at one moment is read by the index on ts and one range of spans, in any phrasing
// a user would choose, and never by a scan of all spans.
func TestPlans(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plans.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, query := range []string{
		"SELECT * FROM sockets WHERE ts = 5",
		"SELECT state, count(*) FROM sockets WHERE ts = 5 GROUP BY state",
		"SELECT * FROM sockets WHERE ts BETWEEN 5 AND 6 AND local_port = 443",
		"SELECT * FROM sockets WHERE ts > 5 ORDER BY bytes_sent DESC LIMIT 3",
		"SELECT * FROM sockets s JOIN interfaces i ON i.ts = s.ts WHERE s.ts = 5",
		"SELECT * FROM sockets WHERE ts = (SELECT max(ts) FROM samples WHERE ts <= 5)",
		"SELECT * FROM interface_deltas WHERE ts = 5",
		"SELECT name, sum(rx_bytes) FROM interface_deltas WHERE ts > 5 GROUP BY name",
		"SELECT * FROM interface_rates WHERE ts BETWEEN 5 AND 6",
		"SELECT * FROM socket_deltas WHERE ts = 5",
		"SELECT * FROM sockets_now",
	} {
		plan := texts(t, db, "EXPLAIN QUERY PLAN "+query)
		text := strings.Join(plan, "\n")
		// Of each pair of arms, one reads a range of the closed spans, the other all open ones.
		if strings.Count(text, "SCAN p") > strings.Count(text, "SEARCH p USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)") {
			t.Errorf("%s\nscans all spans:\n%s", query, text)
		}
		if strings.Contains(text, "SCAN m") && !strings.Contains(query, "_now") {
			t.Errorf("%s\nreads every sample:\n%s", query, text)
		}
	}
}

// What each connection keeps of the views, parsed, stays small: the recorder holds it for as long as it runs.
func TestParsedViewsAreSmall(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
			t.Fatal(err)
		}
		t.Skip("sqlite3 is not installed (Debian: sqlite3)")
	}
	path := filepath.Join(t.TempDir(), "small.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sqlite3", "-batch", path, "SELECT count(*) FROM sample", ".stats on", "SELECT 1").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const most = 4_400_000
	_, after, _ := strings.Cut(string(out), "Schema Heap Usage:")
	if bytes := strings.Fields(after); len(bytes) == 0 {
		t.Errorf("no size of the schema in\n%s", out)
	} else if n, err := strconv.Atoi(bytes[0]); err != nil || n < 100_000 || n > most {
		t.Errorf("the schema takes %s bytes (%v), more than %d: see selects in views.go", bytes[0], err, most)
	}
}

// The spans of sockets say of every moment what the history says of it, and who asks for one socket reads its spans only.
func TestSocketSpans(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 97)
	h.run(120)
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const columns = "SELECT local_port, cookie, state, recv_q, bytes_sent, rtt_ms, pid FROM socket_spans "
	for _, s := range h.shots {
		want := slices.Sorted(slices.Values(s.rows["sockets"]))
		got := slices.Sorted(slices.Values(texts(t, db, columns+"WHERE ts <= ?1 AND until >= ?1", s.ts)))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("at %f (- want, + got):\n%s", s.ts, diff)
		}
	}
	if n := texts(t, db, "SELECT count(*), sum(holds), max(until) = (SELECT max(ts) FROM sample) FROM socket_spans"); n[0] == "0" {
		t.Errorf("no spans: %v", n)
	}
	plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM socket_spans WHERE local_port = 443"), "\n")
	for _, want := range []string{"SCAN s", "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)", "SEARCH o USING INTEGER PRIMARY KEY (rowid=?)"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan has no %q:\n%s", want, plan)
		}
	}
	if strings.Contains(plan, "SCAN e") || strings.Contains(plan, "SCAN p") {
		t.Errorf("the plan reads more than the spans of the sockets:\n%s", plan)
	}
}

// The stretches of interfaces say of every moment of the window what the history says of it. They are as long as they can be: what two samples
// of one run in a row say of an interface is one row. They end with the window, and who asks for them reads a range of spans only.
func TestStretches(t *testing.T) {
	t.Parallel()
	if *testK == 0 { // with short spans, which are often cut, in a process of its own
		short := exec.CommandContext(t.Context(), os.Args[0], "-k=5", "-test.run=^TestStretches$", "-test.count=1")
		short.Env = append(os.Environ(), "NETSQL_LONG=")
		if out, err := short.CombinedOutput(); err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "PASS") {
			t.Errorf("with -k=5: %v\n%s", err, out)
		}
	}
	for seed := range uint64(3) {
		h := newHistory(t, 300+seed)
		h.run(150)
		db, err := sql.Open("sqlite", DSN(h.path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		middle := h.shots[len(h.shots)/3].ts
		last := h.shots[len(h.shots)-1].ts
		if seed%2 == 0 {
			last = h.shots[len(h.shots)*2/3].ts
		} else if *testK == 0 {
			middle = h.shots[len(h.shots)-3].ts // what holds began before
		}
		rewindow(t, db, "interface_spans", middle, last)
		const asked = "SELECT ifindex, mtu, operstate FROM temp.interface_spans "
		longer := 0
		for i, s := range h.shots {
			var want []string
			if middle <= s.ts && s.ts <= last {
				want = slices.Sorted(slices.Values(s.rows["interfaces"]))
			}
			got := slices.Sorted(slices.Values(texts(t, db, asked+"WHERE ts <= ?1 AND until >= ?1", s.ts)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, at %f (- want, + got):\n%s", seed, s.ts, diff)
			}
			if i == 0 || h.shots[i-1].ts < middle || len(want) == 0 {
				continue
			}
			before := h.shots[i-1]
			want = nil
			if texts(t, db, "SELECT count(DISTINCT run) FROM sample WHERE ts IN (?1, ?2)", before.ts, s.ts)[0] == "1" {
				for _, row := range slices.Sorted(slices.Values(s.rows["interfaces"])) {
					if slices.Contains(before.rows["interfaces"], row) {
						want = append(want, row)
					}
				}
			}
			longer += len(want)
			got = slices.Sorted(slices.Values(texts(t, db, asked+"WHERE ts <= ?1 AND until >= ?2", before.ts, s.ts)))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, from %f to %f (- want, + got):\n%s", seed, before.ts, s.ts, diff)
			}
		}
		if longer == 0 {
			t.Errorf("seed %d: no stretch is longer than a sample", seed)
		}
		if got := texts(t, db, "SELECT min(holds = (until = ?1)) FROM temp.interface_spans", last); got[0] != "1" {
			t.Errorf("seed %d: holds is not what the last sample has", seed)
		}
		plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM temp.interface_spans"), "\n")
		if !strings.Contains(plan, "SEARCH interface_span USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)") || strings.Contains(plan, "SCAN interface_span") {
			t.Errorf("the plan reads more than the window:\n%s", plan)
		}
	}
}

// A pause of the recorder ends what it saw, and what was cut within a run does not: a rule that stands for all of two runs is in two rows. A gap
// is there where it overlaps the window.
func TestStretchesEndWithTheRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "runs.db")
	at := 0
	run := func(n int) {
		w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close(context.Background())
		source := w.Source("rules")
		rules := NewSet(source, Rules)
		for range n {
			at++
			up := time.Duration(at) * time.Second
			w.Begin(Clock{Wall: time.Unix(1000, 0).Add(up), Uptime: up, Awake: up})
			source.Read(func() error {
				rules.Put(RuleID{NetNS: Of(1), Family: Of(4), Priority: Of(7)}, Rule{Action: "lookup"})
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(500) // twice K and more
	at += 50
	run(3)
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	const asked = "SELECT ts, until, holds, priority, action FROM rule_spans ORDER BY ts"
	if diff := cmp.Diff([]string{"1001 1500 0 7lookup", "1551 1553 1 7lookup"}, texts(t, db, asked)); diff != "" {
		t.Errorf("(- want, + got)\n%s", diff)
	}
	if got := texts(t, db, "SELECT count(*) FROM gap_spans WHERE ts = 1500 AND until = 1551 AND source IS NULL"); got[0] != "1" {
		t.Errorf("the gap: %v", texts(t, db, "SELECT * FROM gap_spans"))
	}
	rewindow(t, db, "rule_spans gap_spans", 1100, 1400)
	if diff := cmp.Diff([]string{"1100 1400 1 7lookup"}, texts(t, db, strings.Replace(asked, "rule_spans", "temp.rule_spans", 1))); diff != "" {
		t.Errorf("(- want, + got)\n%s", diff)
	}
	if got := texts(t, db, "SELECT count(*) FROM temp.gap_spans"); got[0] != "0" {
		t.Errorf("gaps outside of the window: %v", texts(t, db, "SELECT * FROM temp.gap_spans"))
	}
}

// rewindow makes temporary copies of views that look at another window.
func rewindow(t *testing.T, db *sql.DB, names string, since, until float64) {
	t.Helper()
	script := fmt.Sprintf("CREATE TEMP VIEW \"window\" AS SELECT %.17g AS since, %.17g AS until;\n", since, until)
	for _, v := range Views() {
		if slices.Contains(strings.Fields(names), v.Name) {
			script += strings.Replace(v.create(), "CREATE VIEW", "CREATE TEMP VIEW", 1) + ";\n"
		}
	}
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
}
