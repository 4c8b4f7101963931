package query

import (
	"bytes"
	"math"
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
