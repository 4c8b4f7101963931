package query

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Views of many SELECTs can stand beside each other, beside themselves and in a WITH, and have the rows that they have alone.
func TestHeavyViewsAreJoined(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	if err := r.SetWindow(t.Context(), began, began.Add(3600e9)); err != nil {
		t.Fatal(err)
	}
	count := func(view string) string { return table(t, r.conn, "SELECT count(*) FROM "+view)[1][0] }
	alone := map[string]string{}
	for _, view := range heavy {
		alone[view] = count(view)
	}
	if alone["events"] == "0" || alone["growth"] == "" {
		t.Errorf("%v", alone)
	}
	for _, statement := range []string{
		"SELECT count(*) FROM events e LEFT JOIN leaks l ON l.pid = e.pid",
		"SELECT count(*) FROM leaks a JOIN leaks b USING (comm) JOIN growth g USING (comm), connections c",
		"WITH l AS (SELECT * FROM leaks) SELECT count(*) FROM l a, l b, (SELECT * FROM events)",
	} {
		rows, err := r.Query(t.Context(), statement)
		if err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		rows.Close()
	}
	for _, view := range heavy {
		statement := "SELECT (SELECT count(*) FROM " + view + ") + 0 * (SELECT count(*) FROM leaks)"
		if got := table(t, r.conn, statement)[1][0]; got != alone[view] {
			t.Errorf("%s has %s rows beside another, %s alone", view, got, alone[view])
		}
		if got := count(view); got != alone[view] { // and again
			t.Errorf("%s has %s rows afterwards, %s before", view, got, alone[view])
		}
	}
	sorted := func(statement string) [][]string {
		rows := table(t, r.conn, statement)
		slices.SortFunc(rows, slices.Compare)
		return rows
	}
	if diff := cmp.Diff(sorted("SELECT * FROM events"), sorted("SELECT * FROM events WHERE (SELECT count(*) FROM growth) >= 0")); diff != "" {
		t.Errorf("events beside growth (-alone +beside)\n%s", diff)
	}
	if names := r.Names(t.Context()).TableNames(); slices.ContainsFunc(names, isRowsOfView) {
		t.Errorf("%q", names)
	}
}
