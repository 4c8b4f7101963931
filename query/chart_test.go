package query

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A chart has a panel for each number and text, its least and most, its time, and no line where nothing is known.
func TestChart(t *testing.T) {
	t.Parallel()
	cols := []Column{{Name: "pid"}, {Name: "ts", Time: true}, {Name: "comm"}, {Name: "bytes_sent"}}
	var rows [][]any
	for i := range 41 {
		row := []any{int64(7), 1795400045 + float64(i), "web", int64(i * 1024)}
		if i > 10 && i < 20 {
			row[3] = nil
		}
		if i < 25 || i > 34 { // nobody looked
			rows = append(rows, row)
		}
	}
	rows[3], rows[20] = rows[20], rows[3] // in whatever order
	rows = append(rows, []any{int64(8), 1795400045.0, "db", int64(5)})
	all, err := seriesOf(cols, rows)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	drawChart(&b, all, 34, 3, time.UTC)
	want := `bytes_sent web: least 0 B, most 4…
   40.0 KiB ┤                  ⠒⠒⠉
            ┤          ⠐⠒⠊
        0 B ┤⣀⠤⠤⠒⠒⠁
bytes_sent db: least 5 B, most 5 B
        5 B ┤⠁
            ┤
        0 B ┤
             2026-11-23 02:14:05 02:14:45
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, wrong := range []struct {
		cols []Column
		rows [][]any
	}{{cols[2:], nil}, {cols[:3], [][]any{{int64(7), 1e9, "a"}}}, {cols, nil}, {cols, [][]any{{nil, nil, nil, int64(7)}}}} {
		if _, err := seriesOf(wrong.cols, wrong.rows); err == nil {
			t.Errorf("%v has series", wrong)
		}
	}
}

// What is no number over time is left out, and said; values have their units.
func TestChartOfManySeries(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	const rows = "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT 1795400045.0 + i AS ts, 1795400045.0 - i AS since, NULL AS empty, "
	for _, test := range []struct {
		columns string
		height  int
		want    []string
		lines   int
		more    string
	}{
		{"i AS a", 40, []string{"a"}, 2 + 16, ""},
		{"i AS a, 1 AS b, 2 AS c, 3 AS d, 4 AS e, 5 AS f", 10, []string{"a", "b", "c", "d", "e", "f"}, 6*3 + 1, ""},
		{"i AS a, 1 AS b, 2 AS c, 3 AS d, 4 AS e, 5 AS f, 6 AS g", 40, []string{"a", "b", "c", "d", "e", "f"}, 6*6 + 2, "1 series more not shown: name the columns you want\n"},
		{"i AS a, iif(i = 5, 'word', i) AS mixed", 20, []string{"a", "a word"}, 2*8 + 1, ""},
	} {
		got, _ := screened(t, r, 80, test.height, ".chart "+rows+test.columns+" FROM n")
		var names []string
		for line := range strings.Lines(got) {
			if name, _, is := strings.Cut(line, ": least "); is {
				names = append(names, name)
			}
		}
		// The screen adds an empty line.
		if lines := strings.Count(strings.TrimSpace(got), "\n") + 1; !slices.Equal(names, test.want) || lines != test.lines || strings.Contains(got, "more not shown") != (test.more != "") || !strings.Contains(got, test.more) {
			t.Errorf("%s: %q in %d lines, want %q in %d:\n%s", test.columns, names, lines, test.want, test.lines, got)
		}
	}
	all, err := seriesOf([]Column{{Name: "ts", Time: true}, {Name: "x"}}, [][]any{{math.Inf(1), int64(1)}, {int64(5), int64(7)}, {int64(6), math.Inf(1)}})
	if err != nil || len(all) != 1 || !slices.Equal(all[0].times, []float64{5, 6}) || all[0].values[0] != 7 || !math.IsNaN(all[0].values[1]) {
		t.Errorf("infinite times and values: %+v, %v", all, err)
	}
	var b bytes.Buffer
	drawChart(&b, []series{{name: "x", times: []float64{5}, values: []float64{math.NaN()}}}, 40, 2, time.UTC)
	if !strings.HasPrefix(b.String(), "x: nothing is known\n") {
		t.Errorf("%s", b.String())
	}
	for _, test := range []struct {
		name, unit string
		x          float64
		want       string
	}{{"rx_bytes", "bytes", 2048, "2.0 KiB"}, {"mtu", "bytes", 2048, "2048"}, {"rx_bytes_per_s", "bytes/s", 2048, "2.0 KiB/s"}, {"elapsed_s", "s", 59, "59"}, {"elapsed_s", "s", 60, "1m"}} {
		if got := (series{name: test.name, unit: test.unit}).text(test.x); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// Of the last result, on a screen.
func TestChartFitsTheScreen(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	got, _ := screened(t, r, 80, 24, "SELECT ts, rtt_ms, recv_q, cwnd FROM sockets WHERE ts > 0;\n.chart")
	_, chart, ok := strings.Cut(got, "rtt_ms: least")
	if !ok || strings.Count(chart, "\n") > 22 {
		t.Errorf("%s", got)
	}
	for line := range strings.Lines(chart) {
		if textWidth(strings.TrimSuffix(line, "\n")) > 80 {
			t.Errorf("%q", line)
		}
	}
}

// Whatever the values, they lie on the canvas.
func FuzzChart(f *testing.F) {
	f.Add(1.0, 2.0, 1e9, 1e9, uint8(20), uint8(3))
	f.Add(math.Inf(1), -1e308, 0.0, 1e300, uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, a, b, from, to float64, wide, high uint8) {
		rows := [][]any{{from, a}, {to, b}, {from, nil}, {to, a}}
		all, err := seriesOf([]Column{{Name: "ts", Time: true}, {Name: "x"}}, rows)
		if err != nil {
			return
		}
		var out bytes.Buffer
		drawChart(&out, all, chartLabels+4+int(wide), 1+int(high%30), time.UTC)
	})
}
