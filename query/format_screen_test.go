package query

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Of a result that is wider or longer than the screen what tells least gives way, and it is said what is missing.
func TestScreenFits(t *testing.T) {
	t.Parallel()
	sockets := []Column{{Name: "ts", Time: true}, {Name: "netns"}, {Name: "proto"}, {Name: "remote_addr"}, {Name: "comm"}, {Name: "cmdline"}, {Name: "bytes_sent"}, {Name: "recv_q"}, {Name: "mark"}}
	three := [][]any{
		{1795400045.25, int64(4026532246), "tcp", "203.0.113.7", "postgres", "postgres: checkpointer and some more words", int64(5 << 20), int64(2048), nil},
		{1795400050.25, int64(4026532246), "tcp", "2001:db8:1234:5678:9abc:def0:1234:5678", "nginx", "nginx: worker", int64(0), int64(0), nil},
		{1795400055.5, int64(4026532246), "tcp", "198.51.100.9", "a", "", nil, int64(7), nil},
	}
	first := func(n int) (rows [][]any) {
		for _, row := range three {
			rows = append(rows, row[:n])
		}
		return rows
	}
	var hundred [][]any
	for i := range 100 {
		hundred = append(hundred, []any{int64(i)})
	}
	tests := []struct {
		name string
		o    FormatOptions
		cols []Column
		rows [][]any
		want string
	}{
		{"all fits", FormatOptions{Width: 200}, sockets[:5], first(5), `
┌─────────────────────────┬────────────┬───────┬────────────────────────────────────────┬──────────┐
│ ts                      │      netns │ proto │ remote_addr                            │ comm     │
├─────────────────────────┼────────────┼───────┼────────────────────────────────────────┼──────────┤
│ 2026-11-23 03:14:05.250 │ 4026532246 │ tcp   │ 203.0.113.7                            │ postgres │
│ 2026-11-23 03:14:10.250 │ 4026532246 │ tcp   │ 2001:db8:1234:5678:9abc:def0:1234:5678 │ nginx    │
│ 2026-11-23 03:14:15.500 │ 4026532246 │ tcp   │ 198.51.100.9                           │ a        │
└─────────────────────────┴────────────┴───────┴────────────────────────────────────────┴──────────┘
3 rows
`},
		{"the day once", FormatOptions{Width: 95}, sockets[:5], first(5), `
┌──────────┬────────────┬───────┬────────────────────────────────────────┬──────────┐
│ ts       │      netns │ proto │ remote_addr                            │ comm     │
├──────────┼────────────┼───────┼────────────────────────────────────────┼──────────┤
│ 03:14:05 │ 4026532246 │ tcp   │ 203.0.113.7                            │ postgres │
│ 03:14:10 │ 4026532246 │ tcp   │ 2001:db8:1234:5678:9abc:def0:1234:5678 │ nginx    │
│ 03:14:15 │ 4026532246 │ tcp   │ 198.51.100.9                           │ a        │
└──────────┴────────────┴───────┴────────────────────────────────────────┴──────────┘
3 rows of 2026-11-23
`},
		{"what is the same once, names for inodes, units", FormatOptions{Width: 80, Human: true, Namespace: func(int64) string { return "blue" }, Last: true}, sockets, three, `
┌──────────┬─────────────────┬──────────┬────────────────┬────────────┬────────┐
│ ts       │ remote_addr     │ comm     │ cmdline        │ bytes_sent │ recv_q │
├──────────┼─────────────────┼──────────┼────────────────┼────────────┼────────┤
│ 03:14:05 │ 203.0.113.7     │ postgres │ postgres: che… │    5.0 MiB │   2048 │
│ 03:14:10 │ 2001:db…34:5678 │ nginx    │ nginx: worker  │        0 B │      0 │
│ 03:14:15 │ 198.51.100.9    │ a        │                │       NULL │      7 │
└──────────┴─────────────────┴──────────┴────────────────┴────────────┴────────┘
same in every row: proto tcp, netns 4026532246 (blue)
NULL in every row: mark
3 rows of 2026-11-23, texts cut (.last shows all)
`},
		{"what tells least is left out", FormatOptions{Width: 50}, sockets, three, `
┌──────────┬─────────────────┬──────────┬────────┐
│ ts       │ remote_addr     │ comm     │ recv_q │
├──────────┼─────────────────┼──────────┼────────┤
│ 03:14:05 │ 203.0.113.7     │ postgres │   2048 │
│ 03:14:10 │ 2001:db…34:5678 │ nginx    │      0 │
│ 03:14:15 │ 198.51.100.9    │ a        │      7 │
└──────────┴─────────────────┴──────────┴────────┘
same in every row: proto tcp, netns 4026532246
NULL in every row: mark
7 of 9 columns, 3 rows of 2026-11-23, texts cut (…
`},
		{"one row upright, without its NULLs", FormatOptions{Width: 50}, sockets, three[2:], `
         ts = 2026-11-23 03:14:15.500
      netns = 4026532246
      proto = tcp
remote_addr = 198.51.100.9
       comm = a
    cmdline = 
     recv_q = 7
NULL: bytes_sent, mark
1 row
`},
		{"one row in two columns", FormatOptions{Width: 80, Height: 13}, append(sockets[:9:9], sockets[:4]...), [][]any{append(three[0][:9:9], three[1][:4]...)}, `
         ts = 2026-11-23 03:14:05.250     bytes_sent = 5242880
      netns = 4026532246                      recv_q = 2048
      proto = tcp                                 ts = 2026-11-23 03:14:10.250
remote_addr = 203.0.113.7                      netns = 4026532246
       comm = postgres                         proto = tcp
    cmdline = postgres: checkpointer a…  remote_addr = 2001:db8:123…f0:1234:5678
NULL: mark
1 row, texts cut (all: --mode line)
`},
		{"rows in the middle", FormatOptions{Width: 80, Height: 24}, []Column{{Name: "n"}}, hundred, `
┌────┐
│  n │
├────┤
│  0 │
│  1 │
│  2 │
│  3 │
│  4 │
│  5 │
│  6 │
│  7 │
│  8 │
│  9 │
│ 10 │
│ …… │
│ 95 │
│ 96 │
│ 97 │
│ 98 │
│ 99 │
└────┘
16 of 100 rows (all: --mode line)
`},
		{"one row that fits", FormatOptions{Width: 80}, sockets[2:4], [][]any{{"tcp", "198.51.100.9"}}, `
┌───────┬──────────────┐
│ proto │ remote_addr  │
├───────┼──────────────┤
│ tcp   │ 198.51.100.9 │
└───────┴──────────────┘
1 row
`},
		{"nothing", FormatOptions{Width: 10}, sockets, nil, "\n0 rows\n"},
		{"rows that are all the same", FormatOptions{Width: 20}, []Column{{Name: "comm"}, {Name: "cmdline"}}, [][]any{{"postgres", "a long line of words"}, {"postgres", "a long line of words"}}, `
┌──────────┐
│ comm     │
├──────────┤
│ postgres │
│ postgres │
└──────────┘
1 of 2 columns, 2 r…
`},
		{"colours", FormatOptions{Width: 80, Colour: true}, []Column{{Name: "state"}, {Name: "n"}}, [][]any{{"CLOSE_WAIT", nil}, {"LISTEN", int64(1)}}, "\n" +
			"┌────────────┬──────┐\n" +
			"│ \x1b[1mstate\x1b[m      │    \x1b[1mn\x1b[m │\n" +
			"├────────────┼──────┤\n" +
			"│ \x1b[33mCLOSE_WAIT\x1b[m │ \x1b[2mNULL\x1b[m │\n" +
			"│ LISTEN     │    1 │\n" +
			"└────────────┴──────┘\n" +
			"2 rows\n"},
		{"bars and services", FormatOptions{Width: 50, Services: true, Bars: "*"}, []Column{{Name: "local_port"}, {Name: "n"}, {Name: "pid"}},
			[][]any{{int64(443), int64(16), int64(1)}, {int64(5432), int64(4), int64(2)}, {int64(64999), nil, int64(3)}}, `
┌───────────────────┬──────┬─────┬───────────────┐
│        local_port │    n │ pid │               │
├───────────────────┼──────┼─────┼───────────────┤
│       443 (https) │   16 │   1 │ █████████████ │
│ 5432 (postgresql) │    4 │   2 │ ███▎          │
│             64999 │ NULL │   3 │               │
└───────────────────┴──────┴─────┴───────────────┘
3 rows
`},
		{"wide characters", FormatOptions{Width: 20}, []Column{{Name: "名前"}, {Name: "n"}}, [][]any{{"世界世界世界世界", int64(1)}, {"ü🙂", int64(22)}, {"ascii", nil}}, `
┌───────────┬──────┐
│ 名前      │    n │
├───────────┼──────┤
│ 世界世界… │    1 │
│ ü🙂       │   22 │
│ ascii     │ NULL │
└───────────┴──────┘
3 rows, texts cut (…
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.o.Header = true
			got := "\n" + result(t, "box", tt.o, tt.cols, tt.rows...)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s%s", diff, got)
			}
		})
	}
}

// Whatever the rows hold: no line is wider than the screen and no result longer, numbers are whole, and no escape reaches it.
func FuzzScreen(f *testing.F) {
	f.Add("ascii", "世界\x1b[2J", int64(5), uint8(30), uint8(24), uint16(100))
	f.Add("e\u0301\u0301", "🇩🇪👩‍👩‍👧‍👦", int64(-1), uint8(80), uint8(10), uint16(1))
	f.Add("2001:db8:1234:5678:9abc:def0:1234:5678", "", int64(1795400045), uint8(41), uint8(0), uint16(41))
	f.Fuzz(func(t *testing.T, a, b string, n int64, width, height uint8, rows uint16) {
		cols := []Column{{Name: "ts", Time: true}, {Name: "a"}, {Name: "remote_addr"}, {Name: "n"}, {Name: "count"}, {Name: "netns"}}
		wide, high := max(int(width), 30), max(int(height), 14)
		var all [][]any
		for i := range int(rows)%300 + 1 {
			all = append(all, []any{float64(n%1e9) + 1e9 + float64(i), a, b, n, int64(i), int64(7)})
			a, b = b, a
		}
		got := result(t, "box", FormatOptions{Header: true, Width: wide, Height: high, Human: true, Namespace: func(int64) string { return a }}, cols, all...)
		if clean := strings.ReplaceAll(got, "\n", ""); !isClean(clean) && !strings.ContainsRune(a+b, '\ufffd') {
			t.Fatalf("control characters in %q", got)
		}
		if lines := strings.Count(got, "\n"); lines > high-2 {
			t.Fatalf("%d lines, of %d:\n%s", lines, high, got)
		}
		for line := range strings.Lines(got) {
			if w := textWidth(strings.TrimSuffix(line, "\n")); w > wide {
				t.Fatalf("line %q is %d wide, the terminal %d", line, w, wide)
			}
		}
		for _, number := range regexp.MustCompile(`│ *(-?[0-9]+) │`).FindAllStringSubmatch(got, -1) {
			if number[1] != fmt.Sprint(n) && len(number[1]) > 3 && !strings.Contains(a+b, number[1]) {
				t.Fatalf("%s is no number of the rows:\n%s", number[1], got)
			}
		}
	})
}
