package query

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// Who asks events for some objects gets the rows of these, and nothing else is worked out; whatever else is asked, all of it is.
func TestEventsOfSomeObjects(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	d.stop()
	if err := store.AddNote(t.Context(), d.path, began.Add(time.Minute), "deploy", "root"); err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, d.path)
	if err := r.SetWindow(t.Context(), began, began.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	all := table(t, r.conn, "SELECT * FROM (SELECT * FROM events)")
	objects := map[string]bool{}
	for _, row := range all[1:] {
		objects[row[1]] = true
	}
	if len(objects) < 4 {
		t.Fatalf("only %v happened", objects)
	}
	for object := range objects {
		got, want := table(t, r.conn, "SELECT * FROM events WHERE object = '"+object+"'"), all[:1:1]
		for _, row := range all[1:] {
			if row[1] == object {
				want = append(want, row)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-of all +asked for):\n%s", object, diff)
		}
	}
	for _, q := range []struct {
		statement string
		want      []string
	}{
		{"SELECT * FROM events WHERE object = 'route'", []string{"route"}},
		{"select count(*) from EVENTS as e where ts > 5 and e.OBJECT == 'route' and (event = 'added' or was is null) group by ts", []string{"route"}},
		{"SELECT * FROM events e WHERE object IN ('route', 'link') ORDER BY ts LIMIT 3;", []string{"route", "link"}},
		{"SELECT * FROM (SELECT * FROM events WHERE object = 'gap') WHERE ts > 5", []string{"gap"}},
		{"SELECT * FROM events WHERE object IS 'nothing'", []string{"nothing"}},
		{"SELECT * FROM events", nil},
		{"SELECT object = 'route' FROM events", nil},
		{"SELECT * FROM events WHERE object = 'route' OR ts > 5", nil},
		{"SELECT * FROM events WHERE NOT object = 'route'", nil},
		{"SELECT * FROM events WHERE object = 'route' || ''", nil},
		{"SELECT * FROM events WHERE object = 'route' COLLATE nocase", nil},
		{"SELECT * FROM events WHERE object IN ('route') IS NOT 1", nil},
		{"SELECT * FROM events WHERE object IN (SELECT 'route')", nil},
		{"SELECT * FROM events WHERE object = 'it''s'", nil},
		{"SELECT * FROM events WHERE ts = (SELECT max(ts) FROM events WHERE object = 'route')", nil},
		{"SELECT (SELECT count(*) FROM events) FROM notes WHERE object = 'route'", nil},
		{"SELECT * FROM events JOIN notes n WHERE object = 'route'", nil},
		{"SELECT * FROM events UNION SELECT * FROM x WHERE object = 'route'", nil},
		{"SELECT * FROM events WHERE ts > 5 UNION SELECT * FROM x WHERE object = 'route'", nil},
		{"SELECT * FROM events WHERE x BETWEEN 1 AND object = 'route'", nil},
		{"SELECT * FROM events WHERE object", nil},
		{"SELECT * FROM events WHERE object IN ('", nil},
	} {
		if got := objectsAsked(q.statement); !slices.Equal(got, q.want) {
			t.Errorf("%s asks for %q, want %q", q.statement, got, q.want)
		}
	}
	for statement, sockets := range map[string]bool{
		"SELECT * FROM events WHERE object = 'route'":                     false,
		"SELECT * FROM events WHERE object IN ('process', 'note')":        false,
		"SELECT * FROM events WHERE object IN ('process', 'socket')":      true,
		"SELECT * FROM events WHERE ts > 5 AND event = 'added' AND count": true,
	} {
		plan := ""
		for _, row := range table(t, r.conn, "EXPLAIN QUERY PLAN "+statement) {
			plan += strings.Join(row, " ") + "\n"
		}
		if strings.Contains(plan, "stood") != sockets {
			t.Errorf("%s reads sockets: %t, want %t:\n%s", statement, !sockets, sockets, plan)
		}
	}
}

func FuzzObjectsAsked(f *testing.F) {
	f.Add("SELECT * FROM events e WHERE e.object IN ('route', 'link') AND ts BETWEEN 1 AND 2")
	f.Add("from events where object in (")
	f.Fuzz(func(t *testing.T, statement string) {
		for _, object := range objectsAsked(statement) {
			if !strings.Contains(statement, "'"+object+"'") {
				t.Errorf("%q asks for %q", statement, object)
			}
		}
	})
}

// What is only summed up is not sorted; what is shown is.
func TestWhatIsSummedUpIsNotSorted(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	d.stop()
	r := openRecording(t, d.path)
	if err := r.SetWindow(t.Context(), began, began.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for statement, sums := range map[string]bool{
		"SELECT count(*) FROM events":                                                      true,
		"SELECT max(ts), count(pid) FROM events e WHERE e.count > 0":                       true,
		"SELECT object, event, count(*) FROM events GROUP BY 1, 2 ORDER BY 3 DESC":         true,
		"select comm from connections where open group by comm":                            true,
		"SELECT * FROM events":                                                             false,
		"SELECT ts, event FROM events WHERE ts > 5":                                        false,
		"SELECT max(ts, 5) FROM events":                                                    false,
		"SELECT count FROM events":                                                         false,
		"SELECT group_concat(event), count(*) FROM events":                                 false,
		"SELECT object, string_agg(event, ' ') FROM events GROUP BY object":                false,
		"SELECT count(*) OVER () FROM events":                                              false,
		"SELECT * FROM events LIMIT 3":                                                     false,
		"SELECT count(*) FROM (SELECT * FROM events LIMIT 3)":                              false,
		"SELECT (SELECT count(*) FROM events)":                                             false,
		"SELECT count(*) FROM events UNION ALL SELECT ts FROM samples":                     false,
		"SELECT count(*) FROM samples WHERE ts IN (SELECT ts FROM events)":                 false,
		"SELECT ts FROM events WHERE count(*) > 5":                                         false,
		"SELECT coalesce(pid, max(pid)) FROM events":                                       false,
		"EXPLAIN QUERY PLAN SELECT count(*) FROM events":                                   false,
		"WITH x AS (SELECT * FROM events) SELECT count(*) FROM x":                          false,
		"SELECT count(*) FROM events WHERE ts > (SELECT min(ts) FROM samples ORDER BY ts)": false,
		"SELECT count(*) FROM events, samples":                                             false,
		"SELECT row_number() OVER (ORDER BY ts) FROM events GROUP BY ts":                   false,
		"SELECT json_group_array(event) FROM events GROUP BY object":                       false,
		"SELECT count(*), json_group_object(what, event) FROM events":                      false,
	} {
		view := "events"
		if strings.Contains(statement, "connections") {
			view = "connections"
		}
		if got := sumsUp(statement, view); got != sums {
			t.Errorf("%s only sums up: %t, want %t", statement, got, sums)
		}
		if sums {
			nested := strings.Replace(statement, "rom "+view, "rom (SELECT * FROM "+view+")", 1)
			nested = strings.Replace(nested, "FROM "+view+" ", "FROM (SELECT * FROM "+view+") ", 1)
			if diff := cmp.Diff(table(t, r.conn, nested), table(t, r.conn, statement)); diff != "" {
				t.Errorf("%s (-sorted +not):\n%s", statement, diff)
			}
		}
	}
	for _, v := range store.Views() {
		if short := inAnyOrder(v.Body); short != v.Body && (v.Body[len(short):][:11] != "\n ORDER BY " || strings.Count(short, "(") != strings.Count(short, ")")) {
			t.Errorf("%s without its order ends with %q", v.Name, v.Body[len(short):])
		}
		if v.Name == "events" || v.Name == "connections" {
			if strings.HasSuffix(strings.TrimSpace(inAnyOrder(v.Body)), "ORDER BY ts") || inAnyOrder(v.Body) == v.Body {
				t.Errorf("%s keeps its order", v.Name)
			}
		}
	}
}
