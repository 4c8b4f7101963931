package query

import (
	"context"
	"fmt"
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
			body := allViews()[strings.ToLower(name)].Body
			for _, other := range store.Views() {
				if slices.Contains(aWord.FindAllString(body, -1), other.Name) && !r.conn.made[other.Name] {
					t.Errorf("%s: %s asks %s, which is not made", v.Name, name, other.Name)
				}
			}
		}
		if len(r.conn.made) > 20 {
			t.Errorf("for %s %d views are made", v.Name, len(r.conn.made))
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
