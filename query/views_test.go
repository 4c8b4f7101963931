package query

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// Each view works as the first that a statement names, however it is written, and those that it asks are there: they are this program's, and not
// those in the file, which the window of the shell does not move.
func TestViewsAreMadeWhenTheyAreNamed(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	old := openRecording(t, d.path)
	if _, err := old.conn.ExecContext(t.Context(), "SELECT 1"); err != nil || len(old.conn.made) != 0 {
		t.Errorf("for SELECT 1 %d views are made, %v", len(old.conn.made), err)
	}
	for i, v := range store.Views() {
		r := openRecording(t, d.path)
		named := []string{v.Name, strings.ToUpper(v.Name), `"` + v.Name + `"`, "temp." + v.Name, "[" + v.Name + "]"}[i%5]
		if strings.EqualFold(v.Name, "window") {
			named = `"window"`
		}
		rows, err := r.Query(t.Context(), fmt.Sprintf("SELECT * FROM %s LIMIT 0", named))
		if err != nil {
			t.Errorf("%s: %v", named, err)
			continue
		}
		got, _ := rows.Columns()
		rows.Close()
		var want []string
		for _, c := range v.Columns {
			want = append(want, c.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the columns %v, want %v", named, got, want)
		}
		// What a TEMP view asks is TEMP too, where it is a view of ours.
		for name := range r.conn.made {
			asked := words(sqlTexts.ReplaceAllString(viewsByName()[strings.ToLower(name)].Body, "''"))
			for _, other := range store.Views() {
				if slices.Contains(asked, other.Name) && r.conn.made[other.Name] == "" {
					t.Errorf("%s: %s asks %s, which is not made", v.Name, name, other.Name)
				}
			}
		}
		if most := map[string]int{"findings": 80}[v.Name]; len(r.conn.made) > max(most, 21) {
			t.Errorf("for %s %d views are made: %v", v.Name, len(r.conn.made), slices.Sorted(maps.Keys(r.conn.made)))
		}
		r.Close()
	}
}

// The window is moved before and after the views that look at it are made.
func TestWindowOfViewsThatAreMadeLater(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	first, last, _, err := r.Extent(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int) {
		t.Helper()
		if err := r.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 2 {
		if err := r.SetWindow(t.Context(), first.Add(-time.Hour), last.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n := count(); n == 0 {
			t.Error("no events in all of the recording")
		}
		if err := r.SetWindow(t.Context(), first.Add(-2*time.Hour), first.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 0 {
			t.Errorf("%d events before the recording", n)
		}
	}
}

// A statement that was cancelled before it began leaves no view half made, and one about the schema sees them all.
func TestViewsAfterCancel(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Query(ctx, "SELECT * FROM leaks"); err == nil {
		t.Error("it was cancelled, and answered")
	}
	for _, question := range []string{"SELECT count(*) FROM leaks", "SELECT count(*) FROM growth"} {
		rows, err := r.Query(t.Context(), question)
		if err != nil {
			t.Fatalf("%s: %v", question, err)
		}
		rows.Close()
	}
	var n int
	if err := r.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_temp_schema WHERE type = 'view'").Scan(&n); err != nil || n != len(store.Views()) {
		t.Errorf("%d views are seen, %v, want %d", n, err, len(store.Views()))
	}
}

// A view of samples that is joined to itself at one moment is read twice, not once for every row; where other moments drive it,
// it is left as it is. Both show what the parts show by themselves.
func TestViewsJoinedToThemselves(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	defer r.Close()
	ask := func(query string) (list []string) {
		t.Helper()
		rows, err := r.Query(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		columns, _ := rows.Columns()
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			list = append(list, fmt.Sprint(*values[len(values)-1].(*any)))
		}
		return list
	}
	ts := ask("SELECT printf('%!.17g', max(ts)) FROM sample")[0]
	for _, c := range []struct{ query, alone, plan string }{
		{"SELECT count(*) FROM sockets a JOIN sockets b ON b.ts = a.ts AND b.cookie = a.cookie WHERE a.ts = " + ts,
			"SELECT count(*) FROM sockets WHERE cookie IS NOT NULL AND ts = " + ts, "MATERIALIZE"},
		{"SELECT count(*) FROM sockets_now AS a, Sockets_Now AS b WHERE b.cookie = a.cookie",
			"SELECT count(*) FROM sockets_now WHERE cookie IS NOT NULL", "MATERIALIZE"},
		{"SELECT count(*) FROM (SELECT max(ts) AS ts FROM sample) c JOIN sockets a ON a.ts = c.ts JOIN sockets b ON b.ts = c.ts AND b.cookie = a.cookie",
			"SELECT count(*) FROM sockets WHERE cookie IS NOT NULL AND ts = " + ts, "SEARCH m"},
		{"SELECT (SELECT count(*) FROM sockets WHERE ts = c.ts) FROM (SELECT max(ts) AS ts FROM sample) c WHERE (SELECT count(*) FROM sockets WHERE ts = c.ts) > 0",
			"SELECT count(*) FROM sockets WHERE ts = " + ts, "SEARCH m"},
	} {
		want := ask(c.alone)
		if want[0] == "0" {
			t.Fatalf("%s: nothing is there", c.alone)
		}
		if got := ask(c.query); !slices.Equal(got, want) {
			t.Errorf("%s\ncounts %v, want %v", c.query, got, want)
		}
		plan := strings.Join(ask("EXPLAIN QUERY PLAN "+c.query), "\n")
		if !strings.Contains(plan, c.plan) || strings.Contains(plan, "SCAN m") {
			t.Errorf("%s\nis not asked by %s:\n%s", c.query, c.plan, plan)
		}
	}
}

// A question about a few things in all of the past reads their lives, and one about moments, or the last of them, samples.
func TestWholePastIsReadSubjectBySubject(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	defer r.Close()
	for statement, lives := range map[string]bool{
		"SELECT * FROM sockets WHERE local_port = 443":                                               true,
		"SELECT * FROM Sockets s WHERE s.remote_addr LIKE '10.%' LIMIT 1":                            true,
		"SELECT max(ts), min(ts) FROM sockets WHERE cookie IN (1, 2)":                                true,
		"SELECT ts, value FROM protocol_counters WHERE name = 'InSegs' ORDER BY ts":                  true,
		"SELECT * FROM sockets WHERE remote_addr = '10.0.0.1' ORDER BY ts DESC LIMIT 1":              true,
		"SELECT * FROM sockets WHERE comm = 'curl'":                                                  true,
		"SELECT * FROM sockets WHERE comm = 'curl' ORDER BY ts DESC LIMIT 1":                         false,
		"SELECT * FROM sockets WHERE proto = 'tcp' LIMIT 5":                                          false,
		"SELECT * FROM sockets WHERE local_port NOT IN (1, 2) LIMIT 5":                               false,
		"SELECT DISTINCT comm FROM sockets":                                                          true,
		"SELECT count(*) FROM sockets":                                                               true,
		"SELECT * FROM sockets":                                                                      false,
		"SELECT * FROM sockets LIMIT 5":                                                              false,
		"SELECT max(ts) FROM sockets":                                                                false,
		"SELECT ts, count(*) FROM sockets GROUP BY ts":                                               false,
		"SELECT * FROM sockets WHERE local_port = 443 AND ts = 5":                                    false,
		"SELECT * FROM sockets s WHERE 5 < s.ts AND local_port = 443":                                false,
		"SELECT * FROM sockets WHERE \"ts\" BETWEEN 1 AND 2 AND local_port = 443":                    false,
		"SELECT * FROM sockets s JOIN (SELECT max(ts) AS ts FROM sample) USING (ts) WHERE pid = 4":   false,
		"SELECT * FROM sockets NATURAL JOIN (SELECT max(ts) AS ts FROM sample) WHERE local_port = 4": false,
		"SELECT * FROM sockets_now WHERE local_port = 443":                                           false,
		"SELECT 'ts = 5' FROM sockets WHERE local_port = 443 -- AND ts = 5":                          true,
	} {
		rows, err := r.Query(t.Context(), "EXPLAIN QUERY PLAN "+statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		plan := ""
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan += detail + "\n"
		}
		rows.Close()
		if got := strings.Contains(plan, "SEARCH e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"); got != lives {
			t.Errorf("%s\nreads lives: %v\n%s", statement, got, plan)
		}
	}
}

// words are what may be names in a text.
func words(text string) []string { return regexp.MustCompile(`\w+`).FindAllString(text, -1) }
