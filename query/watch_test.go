package query

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is new is green, what has changed yellow, and times are neither.
func TestChangesAreMarked(t *testing.T) {
	t.Parallel()
	cols := []Column{{Name: "ts", Time: true}, {Name: "comm"}, {Name: "pid"}, {Name: "n"}}
	c := &changes{}
	show := func(rows ...[]any) (colours [][]string) {
		for _, row := range rows {
			colours = append(colours, c.colours(cols, row))
		}
		c.turn()
		return colours
	}
	none := []string{"", "", "", ""}
	for i, tt := range []struct {
		rows [][]any
		want [][]string
	}{
		{[][]any{{1e9, "a", int64(1), int64(5)}, {1e9, "b", int64(2), nil}, {1e9, "b", int64(2), int64(8)}}, [][]string{none, none, none}},
		{[][]any{{1e9 + 1, "a", int64(1), int64(6)}, {1e9 + 1, "b", int64(2), nil}, {1e9 + 1, "b", int64(2), int64(8)}}, [][]string{{"", "", "", yellow}, none, none}},
		{[][]any{{1e9 + 2, "a", int64(7), int64(6)}, {1e9 + 2, "b", int64(2), int64(0)}}, [][]string{{green, green, green, green}, {"", "", "", yellow}}},
		{nil, nil},
		{[][]any{{1e9 + 2, "a", int64(7), int64(6)}}, [][]string{{green, green, green, green}}},
	} {
		if diff := cmp.Diff(tt.want, show(tt.rows...)); diff != "" {
			t.Errorf("result %d (-want +got)\n%s", i, diff)
		}
	}
}

// .watch asks until it is cancelled, and ends with what is wrong.
func TestWatchAsksAgain(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: writerFunc(func(p []byte) (int, error) {
		n, err := out.Write(p)
		if strings.Count(out.String(), "│ 42 │") == 3 {
			cancel()
		}
		return n, err
	}), Err: &bytes.Buffer{}, Terminal: true, Width: func() int { return 80 }, Height: func() int { return 24 }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Script(ctx, ".watch 200ms SELECT 42 AS n"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if got := out.String(); !strings.Contains(got, "every 200ms, ") || strings.Count(got, "┌") != 3 {
		t.Errorf("%s", got)
	}
	for _, wrong := range []string{".watch often SELECT 1", ".watch 1ms SELECT 1", ".watch 1s SELECT nope"} {
		if err := s.Script(t.Context(), wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
