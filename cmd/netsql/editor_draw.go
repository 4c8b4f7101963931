package main

import (
	"bytes"
	"fmt"
	"io"
)

// screen keeps what the editor shows: the rows from the prompt on, drawn where
// the terminal's cursor was when the reading began. It writes only rows that
// changed, and knows where it is only relative to the first of them.
type screen struct {
	w             io.Writer
	width, height int

	drawn          []row // on the terminal now, the first one at row 0
	curRow, curCol int   // where the terminal's cursor is
	top            int   // first row of the text that is in view
	out            bytes.Buffer
}

// forget begins again in the terminal's present row: others have written since.
func (s *screen) forget() {
	s.drawn, s.curRow, s.curCol, s.top = nil, 0, 0, 0
}

// resize takes note of the terminal's size. When it changed, everything is
// wiped, to be drawn again.
func (s *screen) resize(width, height int) {
	if width == s.width && height == s.height {
		return
	}
	if len(s.drawn) > 0 {
		s.curRow = s.rowsAbove(width)
		s.wipe()
	}
	s.width, s.height = width, height
}

// rowsAbove tells how many rows of the drawn text are above the cursor after
// the terminal has broken them again at width, as all but the plainest do.
func (s *screen) rowsAbove(width int) int {
	above, line := 0, 0
	for _, r := range s.drawn[:min(s.curRow, len(s.drawn))] {
		line += r.width
		if !r.wraps {
			above += max(1, (line+width-1)/width)
			line = 0
		}
	}
	return above + (line+s.curCol)/width
}

// draw brings the terminal up to date with the model.
func (s *screen) draw(m *editModel) {
	below := m.below(s.width, s.height)
	rows, curRow, curCol := m.layout(s.width)

	// What is taller than the terminal is seen through a window that follows
	// the cursor.
	view := max(1, s.height-len(below))
	s.top = max(min(s.top, curRow, len(rows)-view), curRow-view+1, 0)
	rows = rows[s.top:min(s.top+view, len(rows))]
	rows[len(rows)-1].wraps = false
	s.update(append(rows, below...), curRow-s.top, curCol)
}

// finish draws the text for the last time, all of it, with nothing below, and
// leaves the cursor in a fresh row.
func (s *screen) finish(m *editModel, suffix string) {
	rows, _, _ := m.layout(s.width)
	if s.top > 0 || len(rows) > s.height {
		s.wipe()
	}
	last := len(rows) - 1
	s.update(rows, last, rows[last].width)
	fmt.Fprintf(&s.out, "%s\r\n", suffix)
	s.flush()
	s.forget()
}

func (s *screen) clear() {
	s.out.WriteString("\x1b[H\x1b[2J")
	s.forget()
}

func (s *screen) bell() {
	s.out.WriteByte('\a')
}

// update replaces the drawn rows and puts the cursor in its place.
func (s *screen) update(rows []row, curRow, curCol int) {
	if s.drawn == nil {
		s.wipe() // what was typed before the prompt came, and will be in the text
	}
	wrapped := false // the terminal's cursor goes to row i by itself
	for i, r := range rows {
		if !wrapped && i < len(s.drawn) && s.drawn[i] == r {
			continue
		}
		if wrapped {
			s.curRow = i
		} else {
			s.moveTo(i, 0)
		}
		s.out.WriteString(r.text)
		s.curCol = r.width
		if r.width < s.width { // behind a full row it would erase the last cell
			s.out.WriteString("\x1b[K")
		}
		wrapped = r.wraps
	}
	if len(s.drawn) > len(rows) {
		s.moveTo(len(rows), 0)
		s.out.WriteString("\x1b[J")
	}
	s.moveTo(curRow, curCol)
	s.drawn = rows
	s.flush()
}

func (s *screen) wipe() {
	s.moveTo(0, 0)
	s.out.WriteString("\x1b[J")
	s.drawn = nil
}

// moveTo goes to a row and column of the drawn text. Downwards it goes by line
// feeds, which make room at the bottom of the terminal.
func (s *screen) moveTo(row, col int) {
	s.out.WriteByte('\r')
	if up := s.curRow - row; up > 0 {
		fmt.Fprintf(&s.out, "\x1b[%dA", up)
	}
	for ; s.curRow < row; s.curRow++ {
		s.out.WriteString("\n")
	}
	if col > 0 {
		fmt.Fprintf(&s.out, "\x1b[%dC", col)
	}
	s.curRow, s.curCol = row, col
}

// flush hands everything over in one write, so that no half-drawn state shows.
func (s *screen) flush() {
	s.w.Write(s.out.Bytes())
	s.out.Reset()
}
