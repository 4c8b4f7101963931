package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"netsql/query"
)

// What a text looks like in a terminal of a given width: characters, cells and
// rows. A character is a grapheme cluster: what a reader takes for one, of one
// or more runes and of one or two cells.

// row is one row of the terminal, ready to be written.
type row struct {
	text  string
	width int
	// wraps: the next row goes on with the same line, and the terminal gets
	// there by itself. So it joins the rows again when a statement is copied
	// or the window becomes wider.
	wraps bool
}

// tabWidth is how far apart tab stops are, counted from the start of the line.
const tabWidth = 4

// layout breaks text into rows of at most width cells, with prompt before its
// first line and continuation before the others, and tells where the cursor,
// an offset in text, is to be seen.
func layout(prompt, continuation, text string, cursor, width int, colours []query.Highlight) (rows []row, curRow, curCol int) {
	l := layouter{width: max(width, 2), plain: true}
	l.line(prompt, -1)
	for at := 0; ; {
		line, _, more := strings.Cut(text[at:], "\n")
		l.col, l.base, l.colours = 0, at, colours
		l.line(line, cursor-at)
		l.colours = nil
		if !more {
			break
		}
		at += len(line) + 1
		l.breakRow(false)
		l.line(continuation, -1)
	}
	l.breakRow(false)
	return l.rows, l.curRow, l.curCol
}

type layouter struct {
	width          int
	rows           []row
	curRow, curCol int

	// The row being filled.
	out   strings.Builder
	used  int
	plain bool // one cell per byte
	col   int  // in the line, for tabs

	base    int               // where the line begins in the text
	colours []query.Highlight // of the text, in order
	colour  string            // that the row has at its end
}

// paint gives what follows the colour of the text at an offset in the line.
func (l *layouter) paint(at int) {
	at += l.base
	for len(l.colours) > 0 && l.colours[0].End <= at {
		l.colours = l.colours[1:]
	}
	colour := ""
	if len(l.colours) > 0 && l.colours[0].Start <= at {
		colour = l.colours[0].Colour
	}
	l.setColour(colour)
}

func (l *layouter) setColour(colour string) {
	if colour == l.colour {
		return
	}
	if l.colour != "" {
		l.out.WriteString("\x1b[m")
	}
	if colour != "" {
		l.out.WriteString("\x1b[" + colour + "m")
	}
	l.colour = colour
}

func (l *layouter) breakRow(wraps bool) {
	l.setColour("") // what is written below and beside has none
	l.rows = append(l.rows, row{l.out.String(), l.used, wraps && l.plain && l.used == l.width})
	l.out.Reset()
	l.used, l.plain = 0, true
}

// line adds the characters of s, which has no newline, and notes the cursor if
// it is in s or at its end.
func (l *layouter) line(s string, cursor int) {
	for at := 0; at < len(s); {
		n, width := measureCluster(s[at:], l.col)
		cluster := s[at : at+n]
		if cluster == "\t" {
			if at == cursor {
				l.room(1)
				l.curRow, l.curCol = len(l.rows), l.used
			}
			for range width {
				l.room(1)
				l.out.WriteByte(' ')
				l.used++
			}
		} else {
			parts := composed(cluster)
			if parts > 1 {
				l.room(max(width, 2*parts))
			} else {
				l.room(width)
			}
			if at <= cursor && cursor < at+n {
				l.curRow, l.curCol = len(l.rows), l.used
			}
			l.paint(at)
			l.out.WriteString(showCluster(cluster))
			l.used += width
			if n > 1 {
				l.plain = false
			}
			if parts > 0 {
				// Naming the column keeps what follows, and the cursor, in place.
				fmt.Fprintf(&l.out, "\x1b[%dG", min(l.used, l.width-1)+1)
			}
		}
		l.col += width
		at += n
	}
	if cursor == len(s) {
		// Behind a full row the cursor needs one of its own.
		if l.used == l.width {
			l.breakRow(false)
		}
		l.curRow, l.curCol = len(l.rows), l.used
	}
}

// room begins a new row if width cells do not fit into this one.
func (l *layouter) room(width int) {
	if l.used > 0 && l.used+width > l.width {
		l.breakRow(true)
	}
}

// measureCluster returns the length in bytes of the first character of s, and
// the cells it takes in column col of its line.
func measureCluster(s string, col int) (n, width int) {
	n = nextCluster(s, 0)
	switch c := s[0]; {
	case c == '\t':
		return n, tabWidth - col%tabWidth
	case c < ' ' || c == 0x7f:
		return n, 2 // ^X
	case n == 1:
		return n, 1
	}
	return n, max(1, uniseg.StringWidth(showCluster(s[:n])))
}

// composed returns 0 for a character whose width is beyond dispute. Of others,
// a family of emoji or the letters of a flag say, it returns the number of
// parts: there are terminals that give each part its cells.
func composed(cluster string) int {
	if len(cluster) < 3 || utf8.RuneCountInString(cluster) == 1 {
		return 0
	}
	parts := 0
	for _, r := range cluster {
		if r >= ' ' && uniseg.StringWidth(string(r)) > 0 {
			parts++
		}
	}
	return max(1, parts)
}

// showCluster makes visible what a terminal would obey or hide: a control
// character, a reversal of the text, a zero-width space that SQL trips over.
func showCluster(cluster string) string {
	if c := cluster[0]; c < ' ' || c == 0x7f {
		return "^" + string(rune(c^0x40))
	}
	if len(cluster) == 1 {
		if cluster[0] >= utf8.RuneSelf {
			return "\uFFFD"
		}
		return cluster
	}
	r, _ := utf8.DecodeRuneInString(cluster)
	switch {
	case 0x80 <= r && r < 0xa0, // C1
		0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, // direction
		0x200e <= r && r <= 0x200f, 0x2028 <= r && r <= 0x2029,
		uniseg.StringWidth(cluster) == 0:
		return "\uFFFD"
	}
	return cluster
}

// nextCluster is where the character at offset at ends.
func nextCluster(s string, at int) int {
	if at >= len(s) {
		return len(s)
	}
	// One ASCII before another is a character, the common case by far.
	if s[at] < utf8.RuneSelf && (at+1 == len(s) || s[at+1] < utf8.RuneSelf) {
		return at + 1
	}
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(s[at:], -1)
	return at + len(cluster)
}

// prevCluster is where the character before offset at begins.
func prevCluster(s string, at int) int {
	if at <= 1 {
		return 0
	}
	if s[at-1] < utf8.RuneSelf {
		return at - 1
	}
	// Clusters can be told from the front only. They do not cross lines.
	prev := strings.LastIndexByte(s[:at], '\n') + 1
	for {
		next := nextCluster(s, prev)
		if next >= at {
			return prev
		}
		prev = next
	}
}

// candidateRows lays items out as ls does, down and then across, in at most
// height rows. What does not fit is counted in the last row. It returns how many
// items are shown.
func candidateRows(items []string, width, height int) (rows []row, shown int) {
	if height < 1 || len(items) == 0 {
		return nil, 0
	}
	cells := make([]row, len(items))
	widest := 0
	for i, item := range items {
		cells[i] = truncateRow(item, width-1)
		widest = max(widest, cells[i].width)
	}
	across := max(1, (width+1)/(widest+2))
	down := (len(items) + across - 1) / across
	shown = len(items)
	if down > height {
		down = height - 1
		shown = down * across
	}
	for y := range down {
		var out strings.Builder
		used := 0
		for x := 0; x*down+y < shown; x++ {
			fmt.Fprintf(&out, "%*s", x*(widest+2)-used, "")
			cell := cells[x*down+y]
			out.WriteString(cell.text)
			used = x*(widest+2) + cell.width
		}
		rows = append(rows, row{text: out.String(), width: used})
	}
	if rest := len(items) - shown; rest > 0 {
		rows = append(rows, truncateRow(fmt.Sprintf("and %d more (Tab)", rest), width-1))
	}
	return rows, shown
}

// truncateRow shows s in at most width cells.
func truncateRow(s string, width int) row {
	s = strings.NewReplacer("\n", " ", "\t", " ").Replace(s)
	var out strings.Builder
	used := 0
	for at := 0; at < len(s); {
		n, w := measureCluster(s[at:], 0)
		if end := used + w; end > width || end == width && at+n < len(s) {
			out.WriteString("…")
			used++
			break
		}
		out.WriteString(showCluster(s[at : at+n]))
		used += w
		at += n
	}
	return row{text: out.String(), width: used}
}
