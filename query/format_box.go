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

// leastText is what a text keeps when a table must be narrowed.
const leastText = 8

// boxWriter draws a table. The widths come from the first chunk. When a later
// chunk needs wider columns, the frame is closed and another opened, with the
// header again: everything stays aligned, memory bounded, and since widths
// only ever grow it happens seldom.
//
// It is for files and programs: nothing is cut. What a terminal shows is a screenWriter's.
type boxWriter struct {
	*sink
	frame  frame
	heads  []string
	rows   [][]boxCell
	bytes  int
	needed []int      // the widest cell of each column so far
	kinds  []cellKind // all that each column holds
	widths []int      // of the open frame; nil when none is open
	shown  bool
}

type boxCell struct {
	text  string
	width int
	kind  cellKind
}

// A frame is what stands around the cells: the left end, what is between two and the right end of each rule, and of a row.
type frame struct {
	top, below, bottom, row [3]string // of the rule on top, that below the names, and that at the bottom; and of a row
	line                    string    // what rules are drawn with
}

var (
	boxFrame = frame{[3]string{"┌─", "─┬─", "─┐"}, [3]string{"├─", "─┼─", "─┤"}, [3]string{"└─", "─┴─", "─┘"}, [3]string{"│ ", " │ ", " │"}, "─"}
	// tableFrame and columnFrame are those of sqlite3.
	tableFrame  = frame{[3]string{"+-", "-+-", "-+"}, [3]string{"+-", "-+-", "-+"}, [3]string{"+-", "-+-", "-+"}, [3]string{"| ", " | ", " |"}, "-"}
	columnFrame = frame{below: [3]string{"", "  ", ""}, row: [3]string{"", "  ", ""}, line: "-"}
)

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
	w.needed = make([]int, n)
	w.kinds = make([]cellKind, n)
	for i, c := range cols {
		name := escapeControls(c.Name)
		w.heads = append(w.heads, name)
		if w.o.Header {
			w.needed[i] = textWidth(name)
		}
		if i < len(w.o.Widths) && w.frame.line == columnFrame.line && w.frame.top == columnFrame.top {
			w.needed[i] = max(w.needed[i], w.o.Widths[i], -w.o.Widths[i])
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
		w.rule(w.frame.bottom)
		w.widths = nil
	}
	return w.flush()
}

func (w *boxWriter) drawChunk() error {
	rows := w.rows
	w.rows, w.bytes, w.shown = w.rows[:0], 0, true
	if !slices.Equal(w.needed, w.widths) {
		if w.widths != nil {
			w.rule(w.frame.bottom)
		}
		w.widths = slices.Clone(w.needed)
		w.rule(w.frame.top)
		if w.o.Header {
			w.head()
			w.rule(w.frame.below)
		}
	}
	var err error
	for _, row := range rows {
		err = w.row(row)
	}
	return err
}

func (w *boxWriter) rule(ends [3]string) {
	if ends == [3]string{} {
		return
	}
	for i, width := range w.widths {
		w.put(ends[min(i, 1)], strings.Repeat(w.frame.line, width))
	}
	w.put(ends[2], "\n")
}

func (w *boxWriter) head() {
	row := make([]boxCell, len(w.heads))
	for i, name := range w.heads {
		row[i] = boxCell{text: name, width: textWidth(name)}
	}
	w.row(row)
}

func (w *boxWriter) row(row []boxCell) error {
	for i, c := range row {
		fill := strings.Repeat(" ", max(0, w.widths[i]-c.width))
		if c.kind == numberCell || c.kind == nullCell && w.kinds[i] == numberCell {
			w.put(w.frame.row[min(i, 1)], fill, c.text)
		} else {
			w.put(w.frame.row[min(i, 1)], c.text, fill)
		}
	}
	return w.put(w.frame.row[2], "\n")
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
