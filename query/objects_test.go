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
			if !strings.Contains(strings.ToLower(statement), "'"+object+"'") {
				t.Errorf("%q asks for %q", statement, object)
			}
		}
	})
}
