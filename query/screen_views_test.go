package query

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"netsql/store"
)

// screened runs statements in a shell of a terminal of that size, and gives what it shows.
func screened(t *testing.T, r *Recording, width, height int, text string) (out, notes string) {
	t.Helper()
	var o, e bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &o, Err: &e, Terminal: true, Width: func() int { return width }, Height: func() int { return height }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return o.String(), e.String()
}

// What a newcomer types fits a screen: every view, some rows of it and all of it.
func TestEveryViewFitsTheScreen(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for _, width := range []int{80, 200} {
		boxes := 0
		for _, v := range store.Views() {
			for _, limit := range []string{" LIMIT 5", ""} {
				if limit == "" && width > 80 {
					continue
				}
				statement := fmt.Sprintf("SELECT * FROM %q%s", v.Name, limit)
				got, notes := screened(t, r, width, 24, statement)
				if lines := strings.Count(got, "\n"); lines > 22 || lines == 0 {
					t.Errorf("%s at %d columns: %d lines\n%s", statement, width, lines, got)
				}
				for line := range strings.Lines(got) {
					if w := textWidth(strings.TrimSuffix(line, "\n")); w > width {
						t.Errorf("%s at %d columns: a line of %d\n%s", statement, width, w, got)
					}
				}
				switch {
				case strings.HasPrefix(got, "┌"):
					boxes++
				case strings.HasPrefix(got, "0 rows") && notes == "" && !strings.HasSuffix(v.Name, changesSuffix) && v.From != nil:
					t.Errorf("%s: nobody says why it is empty", statement)
				case !strings.HasPrefix(got, "0 rows") && !strings.Contains(got, " = "):
					t.Errorf("%s at %d columns: neither a table nor a row\n%s", statement, width, got)
				}
			}
		}
		if boxes < 20 {
			t.Errorf("only %d tables at %d columns", boxes, width)
		}
	}
}

// The whole result can be seen again, when the screen showed a part.
func TestLastShowsTheWholeResult(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	got, _ := screened(t, r, 60, 24, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, 'a long text that is cut ' || i AS cmdline, NULL AS x FROM n;\n.last")
	screen, all, ok := strings.Cut(got, "\n┌")
	if !ok || !strings.Contains(screen, "… 4,984 rows more …") || strings.Contains(screen, " 2000 ") {
		t.Errorf("the screen shows\n%s", screen)
	}
	if n := strings.Count(all, "a long text that is cut "); n != 5000 || !strings.Contains(all, "│ 2000 │ a long text that is cut 2000 │ NULL │") {
		t.Errorf("%d of 5000 rows, whole", n)
	}
}
