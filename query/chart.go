package query

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// A series is what a panel of a chart shows: values by their time. NaN is not known.
type series struct {
	name   string
	unit   string
	times  []float64
	values []float64
}

const (
	mostPanels  = 6
	chartRows   = 8  // of a panel, where the screen has room
	chartLabels = 11 // cells for the values beside it
)

// chart is .chart [SELECT …]: the numbers of a result over its time, of the last result when no statement is given.
func (s *Shell) chart(ctx context.Context, arg string) error {
	var rows [][]any
	var cols []Column
	var err error
	switch {
	case arg != "":
		rows, cols, err = s.collect(ctx, arg)
	case s.last != nil:
		cols = s.last.cols
		var held holding
		err = s.last.each(func(values []any) error {
			rows = append(rows, copied(nil, values))
			return held.add(values)
		})
	default:
		err = errors.New("chart what? .chart SELECT ts, rx_bytes_per_s FROM interface_rates WHERE name = 'eth0' AND ts > ago('1h')")
	}
	if err != nil {
		return err
	}
	all, err := seriesOf(cols, rows)
	if err != nil {
		return err
	}
	more := len(all) - mostPanels
	all = all[:min(len(all), mostPanels)]
	out, toTerminal := s.target()
	width, height := 100, 0
	if toTerminal && s.config.Width != nil {
		if width = s.config.Width(); s.config.Height != nil {
			height = s.config.Height()
		}
	}
	panel := chartRows
	if height > 0 {
		panel = min(max((height-3)/len(all)-1, 2), 2*chartRows)
	}
	var b bytes.Buffer
	drawChart(&b, all, max(width, chartLabels+20), panel, s.options().Location)
	if more > 0 {
		fmt.Fprintf(&b, "%s series more not shown: name the columns you want\n", count(int64(more)))
	}
	_, err = io.Copy(out, &b)
	return err
}

// seriesOf finds the series of a result: its first time is that of all; each column of numbers is one, for each text that rows have besides, if these are
// few.
func seriesOf(cols []Column, rows [][]any) ([]series, error) {
	at := slices.IndexFunc(cols, func(c Column) bool { return c.Time })
	if at < 0 {
		return nil, errors.New("a chart needs a time: select ts, and what grows with it")
	}
	var numbers, texts []int
	for i, c := range cols {
		if i == at || c.Time || naming[c.Name] {
			continue
		}
		isText, isNum := false, false
		for _, row := range rows {
			_, text := row[i].(string)
			isText, isNum = isText || text, isNum || isNumber(row[i])
		}
		switch {
		case isText:
			texts = append(texts, i)
		case isNum:
			numbers = append(numbers, i)
		}
	}
	if len(numbers) == 0 {
		return nil, errors.New("a chart needs a column of numbers beside the time")
	}
	var all []series
	place := map[string]int{}
	for _, row := range rows {
		ts, ok := number(row[at])
		if !ok || math.IsInf(ts, 0) {
			continue
		}
		var of []string
		for _, i := range texts {
			if v, ok := row[i].(string); ok {
				of = append(of, v)
			}
		}
		for _, i := range numbers {
			name := strings.Join(append([]string{cols[i].Name}, of...), " ")
			k, there := place[name]
			if !there {
				k = len(all)
				place[name] = k
				all = append(all, series{name: name, unit: unitOf(cols[i].Name)})
			}
			x := math.NaN()
			if isNumber(row[i]) {
				x, _ = number(row[i])
			}
			if math.IsInf(x, 0) {
				x = math.NaN()
			}
			all[k].times, all[k].values = append(all[k].times, ts), append(all[k].values, x)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no row has a time: there is nothing to draw")
	}
	for k := range all {
		all[k].sort()
	}
	return all, nil
}

// sort puts the values in the order of their times.
func (s series) sort() {
	order := make([]int, len(s.times))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.times[a], s.times[b]) })
	times, values := slices.Clone(s.times), slices.Clone(s.values)
	for i, k := range order {
		s.times[i], s.values[i] = times[k], values[k]
	}
}

// text is a value with its unit.
func (s series) text(x float64) string {
	switch {
	case s.unit == "bytes" && strings.Contains(s.name, "bytes"):
		return bytesText(x)
	case s.unit == "bytes/s":
		return bytesText(x) + "/s"
	case s.unit == "s" && x >= 60:
		return spanText(x, "")
	}
	return roundedFloat(x)
}

// drawChart draws the series below each other, over the same time.
func drawChart(b *bytes.Buffer, all []series, width, height int, loc *time.Location) {
	first, last := math.Inf(1), math.Inf(-1)
	for _, s := range all {
		first, last = min(first, slices.Min(s.times)), max(last, slices.Max(s.times))
	}
	wide := width - chartLabels - 2
	for _, s := range all {
		known := slices.DeleteFunc(slices.Clone(s.values), math.IsNaN)
		if len(known) == 0 {
			fmt.Fprintf(b, "%s: nothing is known\n", escapeControls(s.name))
			continue
		}
		low, high := min(0, slices.Min(known)), max(0, slices.Max(known))
		fmt.Fprintf(b, "%s\n", runeWidths.Truncate(fmt.Sprintf("%s: least %s, most %s", escapeControls(s.name), s.text(slices.Min(known)), s.text(slices.Max(known))), width, "…"))
		c := newCanvas(wide, height)
		c.plot(s, first, last, low, high)
		for y, line := range c.lines() {
			label := ""
			switch y {
			case 0:
				label = s.text(high)
			case height - 1:
				label = s.text(low)
			}
			fmt.Fprintf(b, "%s ┤%s\n", strings.Repeat(" ", max(0, chartLabels-textWidth(label)))+label, strings.TrimRight(line, " "))
		}
	}
	moment := func(ts float64) string { return localTime(unixTime(ts).In(loc).Truncate(time.Second)) }
	begin, end := moment(first), moment(last)
	if begin[:10] == end[:min(10, len(end))] && len(end) > 11 {
		end = end[11:]
	}
	fmt.Fprintf(b, "%s%s%s%s\n", strings.Repeat(" ", chartLabels+2), begin, strings.Repeat(" ", max(1, wide-len(begin)-len(end))), end)
}

// A canvas has dots: two by four in each cell, as Braille has them.
type canvas struct {
	wide, high int // cells
	dots       [][]bool
}

func newCanvas(wide, high int) *canvas {
	c := &canvas{wide: wide, high: high, dots: make([][]bool, 4*high)}
	for i := range c.dots {
		c.dots[i] = make([]bool, 2*wide)
	}
	return c
}

// gap is the time after which two values are not joined: nobody knows what was between them.
func (s series) gap() float64 {
	var steps []float64
	for i := 1; i < len(s.times); i++ {
		if step := s.times[i] - s.times[i-1]; step > 0 {
			steps = append(steps, step)
		}
	}
	if len(steps) == 0 {
		return math.Inf(1)
	}
	slices.Sort(steps)
	return 5 * steps[len(steps)/2]
}

// plot draws a line through the values. Where one is not known, or nobody looked, it is broken.
func (c *canvas) plot(s series, first, last, low, high float64) {
	place := func(ts, x float64) (col, row int) {
		col = int(math.Round(shareOf(ts, first, last) * float64(2*c.wide-1)))
		row = 4*c.high - 1 - int(math.Round(shareOf(x, low, high)*float64(4*c.high-1)))
		return col, row
	}
	before, was, gap := [2]int{}, false, s.gap()
	for i, x := range s.values {
		if math.IsNaN(x) {
			was = false
			continue
		}
		col, row := place(s.times[i], x)
		if was && s.times[i]-s.times[i-1] <= gap {
			c.line(before[0], before[1], col, row)
		} else {
			c.dots[row][col] = true
		}
		before, was = [2]int{col, row}, true
	}
}

// shareOf is how far x is on the way from low to high: from 0 to 1.
func shareOf(x, low, high float64) float64 {
	share := (x/2 - low/2) / (high/2 - low/2)
	if math.IsNaN(share) {
		return 0
	}
	return min(max(share, 0), 1)
}

func (c *canvas) line(x0, y0, x1, y1 int) {
	steps := max(x1-x0, x0-x1, y1-y0, y0-y1, 1)
	for i := range steps + 1 {
		x := x0 + int(math.Round(float64(i*(x1-x0))/float64(steps)))
		y := y0 + int(math.Round(float64(i*(y1-y0))/float64(steps)))
		c.dots[y][x] = true
	}
}

// brailleDots are the bits of the dots of a cell, by row and column (Unicode 2800).
var brailleDots = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

func (c *canvas) lines() []string {
	lines := make([]string, c.high)
	for y := range lines {
		var b strings.Builder
		for x := range c.wide {
			cell := rune(0)
			for dy, row := range brailleDots {
				for dx, bit := range row {
					if c.dots[4*y+dy][2*x+dx] {
						cell |= bit
					}
				}
			}
			if cell == 0 {
				b.WriteByte(' ')
			} else {
				b.WriteRune(0x2800 + cell)
			}
		}
		lines[y] = b.String()
	}
	return lines
}
