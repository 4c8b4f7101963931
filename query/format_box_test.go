package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// When a later chunk needs more room, a new frame is opened.
func TestBoxReopensItsFrame(t *testing.T) {
	t.Parallel()
	var rows [][]any
	for range chunkRows {
		rows = append(rows, []any{int64(1)})
	}
	rows = append(rows, []any{int64(1)}, []any{int64(123456)})
	got := result(t, "box", FormatOptions{Header: true}, []Column{{Name: "n"}}, rows...)
	want := `
├───┤
│ 1 │
` + strings.Repeat("│ 1 │\n", chunkRows-1) + `└───┘
┌────────┐
│      n │
├────────┤
│      1 │
│ 123456 │
└────────┘
`
	_, tail, _ := strings.Cut(got, "│ n │")
	if diff := cmp.Diff(want, tail); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Every line is as wide as its frame, whatever the rows hold, and no escape reaches it.
func FuzzBox(f *testing.F) {
	f.Add("ascii", "世界\x1b[2J", int64(5))
	f.Add("e\u0301\u0301", "🇩🇪👩‍👩‍👧‍👦", int64(-1))
	f.Fuzz(func(t *testing.T, a, b string, n int64) {
		cols := []Column{{Name: "a"}, {Name: "b"}, {Name: "n"}}
		got := result(t, "box", FormatOptions{Header: true}, cols, []any{a, b, n}, []any{b, a, nil})
		if clean := strings.ReplaceAll(got, "\n", ""); !isClean(clean) && !strings.ContainsRune(a+b, '\ufffd') {
			t.Fatalf("control characters in %q", got)
		}
		first := -1
		for line := range strings.Lines(got) {
			w := textWidth(strings.TrimSuffix(line, "\n"))
			if first < 0 {
				first = w
			}
			if w != first {
				t.Fatalf("line %q is %d wide, the first %d", line, w, first)
			}
		}
	})
}
