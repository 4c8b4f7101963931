package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

func TestDrivenLeftJoins(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ statement, want string }{
		{"SELECT * FROM route_changes c LEFT JOIN sockets s ON s.ts = c.ts",
			"SELECT * FROM route_changes c LEFT JOIN (SELECT * FROM sockets WHERE ts IN (SELECT c.ts FROM route_changes AS c)) AS s ON s.ts = c.ts"},
		{"select c.ts from route_changes as c left outer join Sockets on c.ts = sockets.ts and state = 'ESTABLISHED' where pid > 1 and c.ts >= 5 order by 1",
			"select c.ts from route_changes as c left outer join (SELECT * FROM sockets WHERE ts IN (SELECT c.ts FROM route_changes AS c WHERE c.ts >= 5)) AS sockets on c.ts = sockets.ts and state = 'ESTABLISHED' where pid > 1 and c.ts >= 5 order by 1"},
		{"SELECT m.ts, count(s.ts) FROM samples m LEFT JOIN sockets s ON s.ts = m.ts WHERE m.ts BETWEEN 5 AND at('03:14') AND s.pid = m.run GROUP BY m.ts",
			"SELECT m.ts, count(s.ts) FROM samples m LEFT JOIN (SELECT * FROM sockets WHERE ts IN (SELECT m.ts FROM samples AS m WHERE m.ts BETWEEN 5 AND at('03:14'))) AS s ON s.ts = m.ts WHERE m.ts BETWEEN 5 AND at('03:14') AND s.pid = m.run GROUP BY m.ts"},
		{"SELECT * FROM (VALUES (1), (2)) v LEFT JOIN routes USING (ts)",
			"SELECT * FROM (VALUES (1), (2)) v LEFT JOIN (SELECT * FROM routes WHERE ts IN (SELECT v.ts FROM (VALUES (1), (2)) AS v)) AS routes USING (ts)"},
		{"WITH c AS (SELECT 1 AS ts) SELECT (SELECT count(s.ts) FROM c LEFT JOIN sockets s ON s.ts = c.ts) FROM c",
			"WITH c AS (SELECT 1 AS ts) SELECT (SELECT count(s.ts) FROM c LEFT JOIN (SELECT * FROM sockets WHERE ts IN (SELECT c.ts FROM c AS c)) AS s ON s.ts = c.ts) FROM c"},
		{"SELECT * FROM a JOIN b ON b.x = a.x LEFT JOIN sockets s ON s.ts = b.ts LEFT JOIN routes r ON r.ts = a.ts WHERE a.ts = 1 OR b.ts = 2",
			"SELECT * FROM a JOIN b ON b.x = a.x LEFT JOIN (SELECT * FROM sockets WHERE ts IN (SELECT b.ts FROM b AS b)) AS s ON s.ts = b.ts LEFT JOIN (SELECT * FROM routes WHERE ts IN (SELECT a.ts FROM a AS a)) AS r ON r.ts = a.ts WHERE a.ts = 1 OR b.ts = 2"},
		// As they are: what is no history, what does not take its ts from another table for certain, and what makes a view.
		{"SELECT * FROM a LEFT JOIN route_changes c ON c.ts = a.ts", ""},
		{"SELECT * FROM a LEFT JOIN sockets s ON s.ts = a.ts OR s.pid = 1", ""},
		{"SELECT * FROM a LEFT JOIN sockets s ON s.ts = a.ts + 1", ""},
		{"SELECT * FROM a LEFT JOIN sockets s ON NOT s.ts = a.ts", ""},
		{"SELECT * FROM a LEFT JOIN sockets s ON s.pid = a.pid", ""},
		{"SELECT * FROM a, b LEFT JOIN sockets USING (ts)", ""},
		{"CREATE TEMP VIEW v AS SELECT * FROM a LEFT JOIN sockets s ON s.ts = a.ts", ""},
		{"SELECT 'FROM a LEFT JOIN sockets s ON s.ts = a.ts'", ""},
		{"SELECT * FROM a LEFT JOIN sockets", ""},
		{"LEFT JOIN sockets s ON s.ts = c.ts", ""},
	} {
		want := test.want
		if want == "" {
			want = test.statement
		}
		if diff := cmp.Diff(want, drivenLeftJoins(test.statement)); diff != "" {
			t.Errorf("%s\n(- want, + got)\n%s", test.statement, diff)
		}
	}
}

func FuzzDrivenLeftJoins(f *testing.F) {
	f.Add("SELECT * FROM route_changes c LEFT JOIN sockets s ON s.ts = c.ts WHERE c.ts BETWEEN 1 AND 2")
	f.Add("left join sockets on ) ( .ts = .ts")
	f.Add("FROM ( LEFT JOIN sockets s ON s.ts = c.ts")
	f.Fuzz(func(t *testing.T, statement string) {
		if got := drivenLeftJoins(statement); !strings.HasSuffix(got, statement[max(0, len(statement)-3):]) {
			t.Errorf("%q became %q", statement, got)
		}
	})
}

// On the right of a LEFT JOIN a history has the rows that SQLite finds by itself, and no sample is read that is not asked for.
func TestLeftJoinsOnTS(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	r := openRecording(t, d.path)
	plain, err := sql.Open("sqlite", store.DSN(d.path))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	asked := func(query func(context.Context, string, ...any) (*sql.Rows, error), statement string) string {
		t.Helper()
		rows, err := query(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		defer rows.Close()
		var b strings.Builder
		names, _ := rows.Columns()
		for rows.Next() {
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&b, values...)
		}
		return b.String()
	}
	there := 0
	for _, v := range store.Views() {
		if !showsSamples(v) || v.Rollup != nil {
			continue
		}
		for _, phrase := range []string{
			"SELECT count(*), count(s.ts) FROM (SELECT ts FROM samples WHERE ts > 5 LIMIT 3 OFFSET 7) c LEFT JOIN %s s ON s.ts = c.ts",
			"SELECT count(*), count(s.ts) FROM samples c LEFT JOIN %s s ON c.ts = s.ts WHERE c.sample BETWEEN 5 AND 9",
			"SELECT count(*), count(s.ts) FROM (SELECT min(ts) AS ts FROM samples UNION ALL SELECT max(ts) FROM samples UNION ALL SELECT max(ts) FROM samples UNION ALL SELECT 17.5) c LEFT JOIN %s s USING (ts)",
		} {
			statement := fmt.Sprintf(phrase, v.Name)
			got, plan := asked(r.Query, statement), asked(r.Query, "EXPLAIN QUERY PLAN "+statement)
			want := asked(plain.QueryContext, statement)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (- sqlite, + shell)\n%s", statement, diff)
			}
			if !strings.HasSuffix(got, " 0\n") {
				there++
			}
			if strings.Contains(plan, "SCAN m\n") && !strings.Contains(statement, "samples c") {
				t.Errorf("%s reads every sample:\n%s", statement, plan)
			}
		}
	}
	if there < 15 {
		t.Errorf("only %d joins found anything", there)
	}
}
