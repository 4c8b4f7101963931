package query

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"netsql/store"
)

// A screenWriter shows a result on a terminal so that it fits: no line is wider than the screen and no result longer.
//
// What does not fit gives way in this order: the days of times; columns that hold the same in every row, which are named once below; the ends of
// texts; columns that tell little (store.Weight); rows in the middle. One row that is too wide stands upright, without its NULLs. Numbers, times and
// names of columns are never cut. What is missing is said below.
type screenWriter struct {
	*sink
	rows int
	head [][]any // the first rows
	tail [][]any // the last rows, in a ring
	same []bool  // of each column: whether all rows hold what the first has
	all  bool    // whether any of these is true
	held holding // head and tail
}

// mostRows are shown of a result, however high the screen is.
const mostRows = 40

func (w *screenWriter) Begin(cols []Column) error {
	w.begin(cols)
	w.same, w.all = make([]bool, len(cols)), true
	for i := range w.same {
		w.same[i] = true
	}
	return nil
}

func (w *screenWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	if w.rows > 0 && w.all {
		w.all = false
		for i, v := range values {
			w.same[i] = w.same[i] && sameValue(v, w.head[0][i])
			w.all = w.all || w.same[i]
		}
	}
	switch {
	case w.rows < mostRows:
		w.head = append(w.head, copied(nil, values))
	case len(w.tail) < mostRows:
		w.tail = append(w.tail, copied(nil, values))
	default:
		i := (w.rows - mostRows) % mostRows
		w.held.drop(w.tail[i])
		w.tail[i] = copied(w.tail[i], values)
	}
	w.rows++
	return w.held.add(values)
}

// copied puts the values into a row of its own.
func copied(row, values []any) []any {
	row = append(row[:0], values...)
	for i, v := range row {
		if b, ok := v.([]byte); ok {
			row[i] = bytes.Clone(b)
		}
	}
	return row
}

func sameValue(a, b any) bool {
	if x, ok := a.([]byte); ok {
		y, ok := b.([]byte)
		return ok && bytes.Equal(x, y)
	}
	if _, ok := b.([]byte); ok {
		return false
	}
	return a == b
}

// ends are the first and the last n rows, fewer where there are no more; the first are twice as many.
func (w *screenWriter) ends(n int) (head, tail [][]any) {
	if w.rows <= n && w.rows <= mostRows {
		return w.head, nil
	}
	n = max(n, 2)
	last := slices.Clone(w.tail)
	if len(last) == mostRows { // the oldest in the ring comes first
		i := (w.rows - mostRows) % mostRows
		last = append(last[i:], last[:i]...)
	} else {
		last = append(slices.Clone(w.head), last...)
	}
	after := max(1, n/3)
	return w.head[:n-after], last[len(last)-after:]
}

func (w *screenWriter) End() error {
	defer func() { w.head, w.tail = nil, nil }()
	switch {
	case len(w.cols) == 0:
	case w.rows == 0:
		w.put("0 rows\n")
	default:
		w.draw()
	}
	return w.flush()
}

// lines are those that a result may take: the statement and the next prompt stay on the screen.
func (w *screenWriter) lines() int {
	if w.o.Height <= 0 {
		return mostRows + 8
	}
	return max(w.o.Height-2, 10)
}

func (w *screenWriter) draw() {
	const frame = 4 // with the header
	room := w.lines() - frame
	head, tail := w.ends(min(room-1, mostRows))
	t := w.layout(slices.Concat(head, tail))
	if t == nil {
		w.drawUpright()
		return
	}
	below := w.below(t, w.rows > len(head)+len(tail))
	if rows := room - len(below); len(head)+len(tail) > rows || len(tail) > 0 {
		if w.rows > rows {
			rows-- // for the line between
		}
		head, tail = w.ends(min(max(rows, 2), mostRows))
		below = w.below(t, len(tail) > 0)
	}
	t.measureBars(slices.Concat(head, tail))
	t.rule("┌", "┬", "┐")
	if w.o.Header {
		t.header()
		t.rule("├", "┼", "┤")
	}
	for _, row := range head {
		t.row(row)
	}
	if len(tail) > 0 {
		t.gap(fmt.Sprintf("%s more", plural(int64(w.rows-len(head)-len(tail)), "row")))
		for _, row := range tail {
			t.row(row)
		}
	}
	t.rule("└", "┴", "┘")
	below[len(below)-1] = w.count(t, len(head)+len(tail))
	for _, line := range below {
		w.put(line, "\n")
	}
}

// below are the lines below the table. The last one, which counts, is filled in later.
func (w *screenWriter) below(t *screenTable, more bool) []string {
	var lines []string
	lines = append(lines, w.sentences("same in every row: ", t.same, ", ", 2)...)
	lines = append(lines, w.sentences("NULL in every row: ", t.null, ", ", 1)...)
	return append(lines, "")
}

// sentences are lines of words, so many at the most.
func (w *screenWriter) sentences(begin string, words []string, between string, most int) []string {
	if len(words) == 0 {
		return nil
	}
	var lines []string
	line := begin
	for i, word := range words {
		if i+1 < len(words) {
			word += between
		}
		rest := ""
		if left := len(words) - i; len(lines)+1 == most && left > 1 {
			rest = fmt.Sprintf("… and %d more", left)
		}
		if textWidth(strings.TrimRight(line+word, " "))+textWidth(rest) <= w.o.Width || line == begin {
			line += word
			continue
		}
		if len(lines)+1 == most {
			line += fmt.Sprintf("… and %d more", len(words)-i)
			break
		}
		lines = append(lines, runeWidths.Truncate(strings.TrimRight(line, " "), w.o.Width, "…"))
		line = strings.Repeat(" ", 2) + word
	}
	return append(lines, runeWidths.Truncate(strings.TrimRight(line, " "), w.o.Width, "…"))
}

// count is the line that says how much of the result is shown.
func (w *screenWriter) count(t *screenTable, rows int) string {
	var parts []string
	if n := len(t.columns) + len(t.same) + len(t.null); n < len(w.cols) {
		parts = append(parts, fmt.Sprintf("%d of %d columns", n, len(w.cols)))
	}
	if rows < w.rows {
		parts = append(parts, fmt.Sprintf("%s of %s", count(int64(rows)), plural(int64(w.rows), "row")))
	} else {
		parts = append(parts, plural(int64(w.rows), "row"))
	}
	if t.day != "" {
		parts[len(parts)-1] += " of " + t.day
	}
	if t.cut {
		parts = append(parts, "texts cut")
	}
	line := strings.Join(parts, ", ")
	if t.cut || len(parts) > 1 || rows < w.rows {
		line += w.elsewhere()
	}
	return runeWidths.Truncate(line, w.o.Width, "…")
}

// elsewhere says where the whole result is.
func (w *screenWriter) elsewhere() string {
	if w.o.Last {
		return " (.last shows all)"
	}
	return " (all: --mode line)"
}

// drawUpright shows one row as names and values, side by side where they are too many for the screen.
func (w *screenWriter) drawUpright() {
	times := make(timeStyles, len(w.cols))
	var names, null []string
	var cells []boxCell
	for i, c := range w.cols {
		if v := w.head[0][i]; v == nil {
			null = append(null, escapeControls(c.Name))
		} else {
			names = append(names, escapeControls(c.Name))
			cells = append(cells, w.cell(times, i, v))
		}
	}
	below := w.sentences("NULL: ", null, ", ", 2)
	const gap = 2
	var blocks [][]string
	cut, room := false, w.o.Width
	for side := 1; side <= 4; side++ {
		narrower := (w.o.Width+gap)/side - gap
		more, cutMore, ok := w.blocks(names, cells, (len(names)+side-1)/side, narrower)
		if !ok && side > 1 {
			break
		}
		blocks, cut, room = more, cutMore, narrower
		if len(blocks) == 0 || len(blocks[0])+len(below)+1 <= w.lines() {
			break
		}
	}
	for i := 0; len(blocks) > 0 && i < len(blocks[0]); i++ {
		line := ""
		for j, block := range blocks {
			if i < len(block) {
				line = padded(line, j*(room+gap)) + block[i]
			}
		}
		w.put(line, "\n")
	}
	for _, line := range below {
		w.put(line, "\n")
	}
	if cut {
		w.put("1 row, texts cut", w.elsewhere(), "\n")
	} else {
		w.put("1 row\n")
	}
}

// blocks are lines of a name and its value, so many in each, which stand side by side in so much room. ok is false where a number would be cut.
func (w *screenWriter) blocks(names []string, cells []boxCell, high, room int) (blocks [][]string, cut, ok bool) {
	for from := 0; from < len(names); from += high {
		to := min(from+high, len(names))
		widest := 0
		for _, name := range names[from:to] {
			widest = max(widest, textWidth(name))
		}
		var lines []string
		for i := from; i < to; i++ {
			line := strings.Repeat(" ", widest-textWidth(names[i])) + names[i] + " = "
			c := cells[i]
			if left := max(room-textWidth(line), leastText); c.width > left {
				if c.kind != textCell {
					return nil, false, false
				}
				c.text, cut = shortened(w.nameOf(names[i]), c.text, left), true
			}
			lines = append(lines, line+c.text)
		}
		blocks = append(blocks, lines)
	}
	return blocks, cut, true
}

// nameOf is the column that a name heads.
func (w *screenWriter) nameOf(name string) Column {
	for _, c := range w.cols {
		if escapeControls(c.Name) == name {
			return c
		}
	}
	return Column{Name: name}
}

// A screenTable is what of a result is shown, and how wide.
type screenTable struct {
	w       *screenWriter
	columns []int // of the result
	widths  []int
	kinds   []cellKind
	times   timeStyles
	same    []string // columns that hold one value, with it
	null    []string // columns that hold none
	day     string   // of the times that are shown without it
	cut     bool     // some text is

	bars  int     // the column that has bars beside it; -1: none
	cells int     // of the bars
	most  float64 // that a full bar stands for
}

// layout decides what is shown of the rows; nil: one row that is too wide.
func (w *screenWriter) layout(rows [][]any) *screenTable {
	t := &screenTable{w: w, times: make(timeStyles, len(w.cols))}
	var every []int
	for i := range w.cols {
		every = append(every, i)
	}
	m := w.measure(t.times, rows)
	if m.total(every, m.needed) <= w.o.Width {
		return t.with(m, every, m.needed)
	}
	if t.times = w.timesOf(rows); t.times != nil {
		m = w.measure(t.times, rows)
		t.day = w.dayOf(t.times, rows)
		if m.total(every, m.needed) <= w.o.Width {
			return t.with(m, every, m.needed)
		}
	}
	if w.rows == 1 {
		return nil
	}
	// What is the same in every row is named below, if anything differs.
	var differ []int
	for _, i := range every {
		if !w.same[i] {
			differ = append(differ, i)
		}
	}
	if len(differ) > 0 {
		w.nameSame(t)
		every = differ
	}
	if m.total(every, m.needed) <= w.o.Width {
		return t.with(m, every, m.needed)
	}
	columns := w.weightiest(every, m)
	return t.with(m, columns, m.narrowed(columns, w.o.Width))
}

// nameSame names the columns that hold the same value in every row: first what tells most.
func (w *screenWriter) nameSame(t *screenTable) {
	var order []int
	for i := range w.cols {
		if w.same[i] {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return store.Weight(w.cols[b].Name) - store.Weight(w.cols[a].Name) })
	for _, i := range order {
		name, v := escapeControls(w.cols[i].Name), w.head[0][i]
		if v == nil {
			t.null = append(t.null, name)
			continue
		}
		text := w.cell(make(timeStyles, len(w.cols)), i, v).text
		if plainText := escapeControls(plain(v)); w.isNetns(i) && text != plainText {
			text = plainText + " (" + text + ")"
		}
		t.same = append(t.same, name+" "+text)
	}
}

// weightiest are as many columns as fit with the least widths, those first that tell most.
func (w *screenWriter) weightiest(columns []int, m measures) []int {
	order := slices.Clone(columns)
	slices.SortStableFunc(order, func(a, b int) int { return store.Weight(w.cols[b].Name) - store.Weight(w.cols[a].Name) })
	total := 1
	var fit []int
	for _, i := range order {
		if total+m.least[i]+3 <= w.o.Width || len(fit) == 0 {
			total += m.least[i] + 3
			fit = append(fit, i)
		}
	}
	slices.Sort(fit)
	return fit
}

// measures are the widths of the columns.
type measures struct {
	needed []int // that nothing is cut
	least  []int // that only texts are cut
	kinds  []cellKind
}

func (w *screenWriter) measure(times timeStyles, rows [][]any) measures {
	n := len(w.cols)
	m := measures{make([]int, n), make([]int, n), make([]cellKind, n)}
	for i, c := range w.cols {
		if w.o.Header {
			m.needed[i] = textWidth(escapeControls(c.Name))
			m.least[i] = m.needed[i]
		}
		for _, row := range rows {
			cell := w.cell(times, i, row[i])
			m.kinds[i] |= cell.kind
			m.needed[i] = max(m.needed[i], cell.width)
			least := cell.width
			if cell.kind == textCell {
				least = min(least, leastOf(c.Name))
			}
			m.least[i] = max(m.least[i], least)
		}
	}
	return m
}

// sentences are the columns of texts of which a few letters say nothing.
var sentences = map[string]bool{"what": true, "was": true, "now": true, "detail": true, "text": true, "description": true}

// leastOf is what a text of the column keeps: an IPv4 address is whole.
func leastOf(column string) int {
	switch {
	case shortenedInside[column]:
		return 15
	case sentences[column]:
		return 18
	case store.Weight(column) == 7 || store.Weight(column) == 8:
		return 12
	}
	return leastText
}

func (m measures) total(columns, widths []int) int {
	total := 1
	for _, i := range columns {
		total += widths[i] + 3
	}
	return total
}

// narrowed are widths at which the columns fit: the widest texts are cut first.
func (m measures) narrowed(columns []int, room int) []int {
	widths := slices.Clone(m.needed)
	for _, i := range columns {
		widths[i] = max(min(widths[i], room), m.least[i]) // spares the loop below long texts
	}
	for total := m.total(columns, widths); total > room; total-- {
		widest := -1
		for _, i := range columns {
			if widths[i] > m.least[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

func (t *screenTable) with(m measures, columns, widths []int) *screenTable {
	t.columns, t.widths, t.kinds = columns, widths, m.kinds
	t.bars = -1
	if t.w.o.Bars == "" {
		return t
	}
	for _, i := range columns {
		if name := t.w.cols[i].Name; m.kinds[i] == numberCell && (name == t.w.o.Bars || t.w.o.Bars == "*" && !naming[name]) {
			t.bars = i
		}
	}
	if t.cells = min(t.w.o.Width-m.total(columns, widths)-3, 40); t.cells < 5 {
		t.bars = -1
	}
	return t
}

// measureBars finds what a full bar stands for.
func (t *screenTable) measureBars(rows [][]any) {
	t.most = 0
	for _, row := range rows {
		if t.bars >= 0 {
			if x, ok := number(row[t.bars]); ok {
				t.most = max(t.most, x)
			}
		}
	}
}

// bar is that of a row.
func (t *screenTable) bar(row []any) string {
	text := ""
	if x, ok := number(row[t.bars]); ok && t.most > 0 {
		text = barText(x/t.most, t.cells)
	}
	return padded(text, t.cells)
}

func (t *screenTable) rule(left, middle, right string) {
	for k, i := range t.columns {
		if k == 0 {
			t.w.put(left)
		} else {
			t.w.put(middle)
		}
		t.w.put(strings.Repeat("─", t.widths[i]+2))
	}
	if t.bars >= 0 {
		t.w.put(middle, strings.Repeat("─", t.cells+2))
	}
	t.w.put(right, "\n")
}

func (t *screenTable) header() {
	for _, i := range t.columns {
		c := boxCell{text: escapeControls(t.w.cols[i].Name)}
		c.width = textWidth(c.text)
		t.put(i, c, t.w.o.Colour.header())
	}
	if t.bars >= 0 {
		t.w.put("│ ", strings.Repeat(" ", t.cells), " ")
	}
	t.w.put("│\n")
}

func (t *screenTable) row(row []any) {
	var marks []string
	if t.w.o.changes != nil {
		marks = t.w.o.changes.colours(t.w.cols, row)
	}
	for _, i := range t.columns {
		c := t.w.cell(t.times, i, row[i])
		if c.width > t.widths[i] {
			t.cut = true
			c.text = shortened(t.w.cols[i], c.text, t.widths[i])
			c.width = textWidth(c.text)
		}
		colour := t.w.o.Colour.of(t.w.cols[i].Name, row[i])
		if marks != nil && bool(t.w.o.Colour) && marks[i] != "" {
			colour = marks[i]
		}
		t.put(i, c, colour)
	}
	if t.bars >= 0 {
		t.w.put("│ ", t.bar(row), " ")
	}
	t.w.put("│\n")
}

func (t *screenTable) put(i int, c boxCell, colour string) {
	fill := strings.Repeat(" ", max(0, t.widths[i]-c.width))
	text := painted(c.text, colour)
	if c.kind == numberCell || c.kind == nullCell && t.kinds[i] == numberCell {
		t.w.put("│ ", fill, text, " ")
	} else {
		t.w.put("│ ", text, fill, " ")
	}
}

// gap is the line that stands for the rows in the middle.
func (t *screenTable) gap(text string) {
	total := -3
	for _, i := range t.columns {
		total += t.widths[i] + 3
	}
	if t.bars >= 0 {
		total += t.cells + 3
	}
	text = runeWidths.Truncate("… "+text+" …", max(total, 1), "…")
	left := max(0, total-textWidth(text)) / 2
	t.w.put("│ ", padded(strings.Repeat(" ", left)+text, total), " │\n")
}

// cell is a value as people read it.
func (w *screenWriter) cell(times timeStyles, i int, v any) boxCell {
	col := w.cols[i]
	c := boxCell{kind: textCell}
	if t, ok := w.moment(col, v); ok {
		c.kind, c.text = timeCell, times[i].text(t)
		c.width = len(c.text)
		return c
	}
	switch {
	case v == nil:
		c.kind, c.text = nullCell, w.null("NULL")
	case isNumber(v):
		c.kind, c.text = numberCell, w.number(i, v)
	default:
		c.text = escapeControls(plain(v))
	}
	c.width = textWidth(c.text)
	return c
}

// number is a number with its unit, or the name that it stands for.
func (w *screenWriter) number(i int, v any) string {
	f, isFloat := v.(float64)
	n, isInt := v.(int64)
	if isInt {
		f = float64(n)
	}
	if w.isNetns(i) && isInt && w.o.Namespace != nil {
		if name := w.o.Namespace(n); name != "" {
			return escapeControls(name)
		}
	}
	if name := ""; w.o.Services && isInt && (w.cols[i].Name == "local_port" || w.cols[i].Name == "remote_port" || w.cols[i].Name == "port") {
		if name = serviceName(f, ""); name != "" {
			return fmt.Sprintf("%d (%s)", n, name)
		}
	}
	if w.o.Human {
		switch unit := unitOf(w.cols[i].Name); {
		case unit == "bytes" && strings.Contains(w.cols[i].Name, "bytes"): // a queue or an MTU is not measured in KiB
			return bytesText(f)
		case unit == "bytes/s":
			return bytesText(f) + "/s"
		case unit == "s" && f >= 60:
			return spanText(f, "")
		}
	}
	if isFloat {
		return roundedFloat(f)
	}
	return plain(v)
}

func (w *screenWriter) isNetns(i int) bool { return w.cols[i].Name == "netns" }
