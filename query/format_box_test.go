package query

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBoxIsCutToTheTerminal(t *testing.T) {
	t.Parallel()
	cols := []Column{{Name: "ts", Time: true}, {Name: "pid"}, {Name: "comm"}, {Name: "cmdline"}}
	row := []any{int64(1795400045), int64(1234567), "postgres", "postgres: checkpointer and some more words"}
	tests := []struct {
		width int
		want  string
	}{
		{100, `
┌─────────────────────┬─────────┬──────────┬────────────────────────────────────────────┐
│ ts                  │     pid │ comm     │ cmdline                                    │
├─────────────────────┼─────────┼──────────┼────────────────────────────────────────────┤
│ 2026-11-23 03:14:05 │ 1234567 │ postgres │ postgres: checkpointer and some more words │
└─────────────────────┴─────────┴──────────┴────────────────────────────────────────────┘
`},
		{70, `
┌─────────────────────┬─────────┬──────────┬─────────────────────────┐
│ ts                  │     pid │ comm     │ cmdline                 │
├─────────────────────┼─────────┼──────────┼─────────────────────────┤
│ 2026-11-23 03:14:05 │ 1234567 │ postgres │ postgres: checkpointer… │
└─────────────────────┴─────────┴──────────┴─────────────────────────┘
`},
		{54, `
     ts = 2026-11-23 03:14:05
    pid = 1234567
   comm = postgres
cmdline = postgres: checkpointer and some more words
`},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.width), func(t *testing.T) {
			t.Parallel()
			got := result(t, "box", FormatOptions{Header: true, Width: tt.width}, cols, row)
			if diff := cmp.Diff(tt.want, "\n"+got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// A number among texts is as little cut as one among numbers.
func TestBoxNeverCutsNumbers(t *testing.T) {
	t.Parallel()
	got := result(t, "box", FormatOptions{Width: 26}, []Column{{Name: "v"}},
		[]any{"a text that is longer than the number"}, []any{int64(-9223372036854775808)})
	want := `
┌──────────────────────┐
│ a text that is longe… │
│ -9223372036854775808 │
└──────────────────────┘
`
	if !strings.Contains(got, "-9223372036854775808") || !strings.Contains(got, "…") {
		t.Errorf("got\n%swant something like%s", got, want)
	}
}

func TestBoxWideCharacters(t *testing.T) {
	t.Parallel()
	got := result(t, "box", FormatOptions{Header: true, Width: 20}, []Column{{Name: "名前"}, {Name: "n"}},
		[]any{"世界世界世界世界", int64(1)}, []any{"e\u0301🙂", int64(22)}, []any{"ascii", nil})
	want := `
┌───────────┬──────┐
│ 名前      │    n │
├───────────┼──────┤
│ 世界世界… │    1 │
│ é🙂       │   22 │
│ ascii     │ NULL │
└───────────┴──────┘
`
	if diff := cmp.Diff(want, "\n"+strings.ReplaceAll(got, "e\u0301", "é")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

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

// Every line is as wide as its frame and no wider than the terminal, whatever
// the rows hold, and no escape reaches it.
func FuzzBox(f *testing.F) {
	f.Add("ascii", "世界\x1b[2J", int64(5), uint8(30))
	f.Add("e\u0301\u0301", "🇩🇪👩‍👩‍👧‍👦", int64(-1), uint8(0))
	f.Fuzz(func(t *testing.T, a, b string, n int64, width uint8) {
		cols := []Column{{Name: "a"}, {Name: "b"}, {Name: "n"}}
		got := result(t, "box", FormatOptions{Header: true, Width: int(width)}, cols, []any{a, b, n}, []any{b, a, nil})
		if clean := strings.ReplaceAll(got, "\n", ""); !isClean(clean) && !strings.ContainsRune(a+b, '\ufffd') {
			t.Fatalf("control characters in %q", got)
		}
		if !strings.HasPrefix(got, "┌") { // fell back to lines
			if width == 0 {
				t.Fatalf("no frame: %q", got)
			}
			return
		}
		first := -1
		for line := range strings.Lines(got) {
			w := textWidth(strings.TrimSuffix(line, "\n"))
			if first < 0 {
				first = w
			}
			if w != first || width > 0 && w > int(width) {
				t.Fatalf("line %q is %d wide, the first %d, the terminal %d", line, w, first, width)
			}
		}
	})
}
