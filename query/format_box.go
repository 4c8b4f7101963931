package query

import (
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"
)

// Rows are laid out in chunks of so many rows or bytes, whichever is less:
// enough to find the widths, little enough to hold.
const (
	chunkRows  = 1000
	chunkBytes = 4 << 20
)

// leastText is what a text column keeps when a table must be narrowed.
const leastText = 8

// boxWriter draws a table. The widths come from the first chunk. When a later
// chunk needs wider columns, the frame is closed and another opened, with the
// header again: everything stays aligned, memory bounded, and since widths
// only ever grow it happens seldom.
//
// A table wider than the terminal loses the ends of its widest texts, never of
// numbers and times, which would then be wrong. Where that is not enough, rows
// go out as lines from there on.
type boxWriter struct {
	*sink
	heads  []string
	rows   [][]boxCell
	bytes  int
	needed []int      // the widest cell of each column so far
	least  []int      // the widest cell that must not be cut: a number or a time
	kinds  []cellKind // all that each column holds
	widths []int      // of the open frame; nil when none is open
	lines  *lineWriter
	shown  bool
	cut    bool // some text has lost its end
}

type boxCell struct {
	text  string
	width int
	kind  cellKind
}

// A cellKind is one bit, a set of them what a column holds. NULL counts for
// nothing: it stands on the side of the others, like the name of the column.
type cellKind uint8

const (
	nullCell cellKind = 0
	textCell cellKind = 1 << (iota - 1)
	numberCell
	timeCell
)

func (w *boxWriter) Begin(cols []Column) error {
	w.begin(cols)
	n := len(cols)
	w.needed, w.least = make([]int, n), make([]int, n)
	w.kinds = make([]cellKind, n)
	for i, c := range cols {
		name := escapeControls(c.Name)
		w.heads = append(w.heads, name)
		if w.o.Header {
			w.needed[i] = textWidth(name)
		}
	}
	return nil
}

func (w *boxWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	row := make([]boxCell, len(values))
	for i, v := range values {
		c := w.cell(w.cols[i], v)
		row[i] = c
		w.needed[i] = max(w.needed[i], c.width)
		w.bytes += len(c.text)
		w.kinds[i] |= c.kind
		if c.kind == numberCell || c.kind == timeCell {
			w.least[i] = max(w.least[i], c.width)
		}
	}
	w.rows = append(w.rows, row)
	if len(w.rows) >= chunkRows || w.bytes >= chunkBytes {
		return w.drawChunk()
	}
	return nil
}

func (w *boxWriter) cell(col Column, v any) boxCell {
	c := boxCell{kind: textCell}
	if _, ok := w.moment(col, v); ok {
		c.kind = timeCell
	} else if v == nil {
		c.kind = nullCell
	} else if isNumber(v) {
		c.kind = numberCell
	}
	if f, ok := v.(float64); ok && !col.Time {
		c.text = roundedFloat(f)
	} else {
		c.text = w.human(col, v, w.null("NULL"))
	}
	c.width = textWidth(c.text)
	return c
}

func (w *boxWriter) End() error {
	if len(w.cols) > 0 && (len(w.rows) > 0 || !w.shown) {
		w.drawChunk()
	}
	if w.widths != nil {
		w.rule("└", "┴", "┘")
		w.widths = nil
	}
	return w.flush()
}

func (w *boxWriter) drawChunk() error {
	rows := w.rows
	w.rows, w.bytes, w.shown = w.rows[:0], 0, true
	var widths []int
	if w.lines == nil {
		widths = w.fit()
	}
	if widths == nil {
		return w.asLines(rows)
	}
	if !slices.Equal(widths, w.widths) {
		if w.widths != nil {
			w.rule("└", "┴", "┘")
		}
		w.widths = widths
		w.rule("┌", "┬", "┐")
		if w.o.Header {
			w.head()
			w.rule("├", "┼", "┤")
		}
	}
	var err error
	for _, row := range rows {
		err = w.row(row)
	}
	return err
}

func (w *boxWriter) asLines(rows [][]boxCell) error {
	if w.lines == nil {
		if w.widths != nil {
			w.rule("└", "┴", "┘")
			w.widths = nil
		}
		w.lines = &lineWriter{sink: w.sink}
		w.lines.Begin(w.cols)
	}
	var err error
	for _, row := range rows {
		var texts []string
		for _, c := range row {
			texts = append(texts, c.text)
		}
		err = w.lines.texts(texts)
	}
	return err
}

// fit gives the widths of the columns, narrowed to the terminal, or nil if
// they cannot be.
func (w *boxWriter) fit() []int {
	widths := slices.Clone(w.needed)
	if w.o.Width <= 0 {
		return widths
	}
	total := 1
	for i := range widths {
		if w.mayCut(i) {
			widths[i] = min(widths[i], w.o.Width) // spares the loop below long strings
		}
		total += widths[i] + 3
	}
	for ; total > w.o.Width; total-- {
		widest := -1
		for i, width := range widths {
			if w.mayCut(i) && width > max(leastText, w.least[i]) && (widest < 0 || width > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return nil
		}
		widths[widest]--
	}
	return widths
}

func (w *boxWriter) rule(left, middle, right string) {
	for i, width := range w.widths {
		if i == 0 {
			w.put(left)
		} else {
			w.put(middle)
		}
		w.put(strings.Repeat("─", width+2))
	}
	w.put(right, "\n")
}

func (w *boxWriter) mayCut(column int) bool { return w.kinds[column]&textCell != 0 }

func (w *boxWriter) head() {
	row := make([]boxCell, len(w.heads))
	for i, name := range w.heads {
		row[i] = boxCell{text: name, width: textWidth(name)}
	}
	w.row(row)
}

func (w *boxWriter) row(row []boxCell) error {
	for i, c := range row {
		if c.width > w.widths[i] {
			w.cut = true
			c.text = runeWidths.Truncate(c.text, w.widths[i], "…")
			c.width = textWidth(c.text)
		}
		fill := strings.Repeat(" ", max(0, w.widths[i]-c.width))
		if c.kind == numberCell || c.kind == nullCell && w.kinds[i] == numberCell {
			w.put("│ ", fill, c.text, " ")
		} else {
			w.put("│ ", c.text, fill, " ")
		}
	}
	return w.put("│\n")
}

// runeWidths does not follow the locale: our frame is of characters that a
// CJK locale calls ambiguous, and modern terminals draw narrow.
var runeWidths = &runewidth.Condition{StrictEmojiNeutral: true}

// textWidth is the number of terminal cells that text takes. Most of it is
// ASCII, for which counting bytes is enough.
func textWidth(text string) int {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return runeWidths.StringWidth(text)
		}
	}
	return len(text)
}
