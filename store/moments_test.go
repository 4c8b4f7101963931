package store

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Moments that are not constants drive every view of samples: those of a list, of a sub-select, of the row that is looked
// at, whichever stands first in the join. Of the samples of the recording only these are read, in the plan of either
// engine, and they show what they show as constants. What cannot be driven so stands in the manual (speed): the right side of a LEFT
// JOIN.
func TestMomentsDriveTheViews(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 97)
	h.run(80)
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	moments := texts(t, db, "SELECT printf('%!.17g', ts) FROM sample WHERE id % 9 = 4")
	list := "(SELECT column1 AS ts FROM (VALUES (" + strings.Join(moments, "), (") + ")))"
	phrases := []string{
		"SELECT count(*) FROM %[1]s WHERE ts IN (SELECT ts FROM %[2]s)",
		"SELECT count(*) FROM %[2]s c JOIN %[1]s s ON s.ts = c.ts",
		"SELECT count(*) FROM %[1]s s JOIN %[2]s c ON s.ts = c.ts",
		"SELECT count(*) FROM %[1]s s, %[2]s c WHERE s.ts = c.ts",
		"SELECT count(*) FROM %[2]s c JOIN %[1]s s USING (ts)",
		"SELECT sum((SELECT count(*) FROM %[1]s s WHERE s.ts = c.ts)) FROM %[2]s c",
		"SELECT sum((SELECT count(*) FROM %[1]s WHERE ts = (SELECT max(ts) FROM sample m WHERE m.ts <= c.ts))) FROM %[2]s c",
		"SELECT count(s.ts) FROM %[2]s c LEFT JOIN (SELECT s.* FROM (SELECT DISTINCT ts FROM %[2]s) c JOIN %[1]s s ON s.ts = c.ts) s ON s.ts = c.ts", // as the manual has it
	}
	var script, name []string
	var want []string
	for _, v := range Views() {
		if !ofSamples(v) {
			continue
		}
		sum := "0"
		for _, ts := range moments {
			sum += fmt.Sprintf(" + (SELECT count(*) FROM %s WHERE ts = %s)", v.Name, ts)
		}
		rows := texts(t, db, "SELECT "+sum)[0]
		for _, phrase := range phrases {
			query := fmt.Sprintf(phrase, v.Name, list)
			script = append(script, query, "EXPLAIN QUERY PLAN "+query)
			name, want = append(name, query), append(want, rows)
			if got := texts(t, db, query)[0]; got != rows {
				t.Errorf("%s\ncounts %s rows, the moments one by one %s", query, got, rows)
			}
			if plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN "+query), "\n"); readsEverySample(plan) {
				t.Errorf("%s\nreads every sample:\n%s", query, plan)
			}
		}
	}
	if len(name) < 30*len(phrases) {
		t.Errorf("only %d views show samples", len(name)/len(phrases))
	}
	if _, err := exec.LookPath("sqlite3"); err != nil {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
			t.Fatal(err)
		}
		t.Skip("sqlite3 is not installed (Debian: sqlite3)")
	}
	cmd := exec.Command("sqlite3", "-readonly", "-batch", "-bail", h.path)
	cmd.Stdin = strings.NewReader(".separator |\nSELECT '=';\n" + strings.Join(script, ";\nSELECT '=';\n") + ";\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sqlite3: %v\n%s", err, out)
	}
	answers := strings.Split(string(out), "=\n")[1:]
	if len(answers) != 2*len(name) {
		t.Fatalf("sqlite3 answers %d of %d statements", len(answers), 2*len(name))
	}
	for i, query := range name {
		if got := strings.TrimSpace(answers[2*i]); got != want[i] {
			t.Errorf("%s\nsqlite3 counts %s rows, the moments one by one %s", query, got, want[i])
		}
		if plan := answers[2*i+1]; readsEverySample(plan) {
			t.Errorf("%s\nreads every sample in sqlite3:\n%s", query, plan)
		}
	}
}

// ofSamples reports whether a view has the rows of each sample.
func ofSamples(v View) bool {
	return v.From != nil && v.Rollup == nil && !strings.HasSuffix(v.Name, "_changes") && !strings.HasSuffix(v.Name, "_spans")
}

// readsEverySample reports whether a plan goes through all samples, which the views call m.
func readsEverySample(plan string) bool {
	return strings.Contains(plan, "SCAN m") || !strings.Contains(plan, "SEARCH m ")
}

// A history read subject by subject has the rows that it has read sample by sample: after kills, pauses and failed sources,
// with what has gone by now and what holds, and when the oldest samples are gone.
func TestHistoriesSubjectBySubject(t *testing.T) {
	t.Parallel()
	for seed := range uint64(little(1, 4)) {
		h := newHistory(t, 90+seed)
		h.run(120)
		db, err := sql.Open("sqlite", DSN(h.path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		rows := 0
		for _, v := range Views() {
			if v.Lives == "" {
				continue
			}
			if _, err := db.Exec("CREATE TEMP VIEW lives AS " + v.Lives); err != nil {
				t.Fatalf("%s: %v", v.Name, err)
			}
			// GROUP BY all, and not EXCEPT alone, which does not see a row that is there twice.
			all := func(from string) string {
				var columns []string
				for _, c := range v.Columns {
					columns = append(columns, `"`+c.Name+`"`)
				}
				list := strings.Join(columns, ", ")
				return "SELECT count(*), " + list + " FROM " + from + " GROUP BY " + list
			}
			for _, pair := range [][2]string{{"lives", v.Name}, {v.Name, "lives"}} {
				if more := texts(t, db, all(pair[0])+" EXCEPT "+all(pair[1])); len(more) > 0 {
					t.Errorf("seed %d, %s: %d rows are in %s and not in %s, the first %s", seed, v.Name, len(more), pair[0], pair[1], more[0])
				}
			}
			n := 0
			if err := db.QueryRow("SELECT count(*) FROM lives").Scan(&n); err != nil {
				t.Fatal(err)
			}
			rows += n
			if _, err := db.Exec("DROP VIEW lives"); err != nil {
				t.Fatal(err)
			}
		}
		if rows < 1000 {
			t.Errorf("seed %d: only %d rows", seed, rows)
		}
	}
}
