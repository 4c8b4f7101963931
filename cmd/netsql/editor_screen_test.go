package main

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/mattn/go-runewidth"
)

// vt is a terminal as far as the editor uses one. It takes the width of a rune
// from another package than the editor does, and knows nothing of composed
// characters: like many a real terminal it counts the parts.
type vt struct {
	width, height int
	cells         [][]string // "" is the right half of a wide character
	row, col      int
	wrapNext      bool // the last column was written, the next character wraps
	scrolled      []string
	bells         int
	paste         bool
	pending       []byte
}

func newVT(width, height int) *vt {
	v := &vt{width: width, height: height}
	for range height {
		v.cells = append(v.cells, v.blank())
	}
	return v
}

func (v *vt) blank() []string {
	row := make([]string, v.width)
	for i := range row {
		row[i] = " "
	}
	return row
}

func (v *vt) line(row int) string {
	return strings.TrimRight(strings.Join(v.cells[row], ""), " ")
}

// lines is what is to be seen, without empty rows at the end.
func (v *vt) lines() []string {
	var lines []string
	for i := range v.cells {
		lines = append(lines, v.line(i))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func (v *vt) String() string { return strings.Join(v.lines(), "\n") }

// cursor is where the next character goes.
func (v *vt) cursor() (row, col int) {
	if v.wrapNext {
		return v.row + 1, 0
	}
	return v.row, v.col
}

func (v *vt) Write(p []byte) (int, error) {
	v.pending = append(v.pending, p...)
	for len(v.pending) > 0 {
		n := v.step(v.pending)
		if n == 0 {
			break
		}
		v.pending = v.pending[n:]
	}
	return len(p), nil
}

// step obeys what stands at the start of b and returns its length, 0 if it is
// not whole yet.
func (v *vt) step(b []byte) int {
	switch b[0] {
	case '\r':
		v.col, v.wrapNext = 0, false
		return 1
	case '\n':
		v.feed()
		return 1
	case '\a':
		v.bells++
		return 1
	case 0x1b:
		return v.escape(b)
	}
	if !utf8.FullRune(b) {
		return 0
	}
	r, n := utf8.DecodeRune(b)
	v.put(r)
	return n
}

func (v *vt) feed() {
	v.wrapNext = false
	if v.row++; v.row == v.height {
		v.row--
		v.scrolled = append(v.scrolled, v.line(0))
		v.cells = append(v.cells[1:], v.blank())
	}
}

func (v *vt) put(r rune) {
	w := runewidth.RuneWidth(r)
	if w == 0 { // joins what is there
		at := v.col - 1
		if v.wrapNext {
			at = v.col
		}
		for at > 0 && v.cells[v.row][at] == "" {
			at--
		}
		if at >= 0 {
			v.cells[v.row][at] += string(r)
		}
		return
	}
	if v.wrapNext || v.col+w > v.width {
		v.feed()
		v.col = 0
	}
	row := v.cells[v.row]
	for i := v.col; i < v.col+w; i++ {
		v.erase(row, i)
	}
	row[v.col] = string(r)
	if w == 2 {
		row[v.col+1] = ""
	}
	if v.col += w; v.col == v.width {
		v.col--
		v.wrapNext = true
	}
}

// erase takes both halves of a wide character away.
func (v *vt) erase(row []string, i int) {
	if row[i] == "" && i > 0 {
		row[i-1] = " "
	}
	if i+1 < len(row) && row[i+1] == "" {
		row[i+1] = " "
	}
	row[i] = " "
}

func (v *vt) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	i := 2
	for i < len(b) && b[i] < 0x40 {
		i++
	}
	if i == len(b) {
		return 0
	}
	params, final := string(b[2:i]), b[i]
	n, err := strconv.Atoi(params)
	if err != nil || n == 0 {
		n = 1
	}
	switch final {
	case 'A':
		v.row = max(0, v.row-n)
	case 'C':
		v.col = min(v.width-1, v.col+n)
	case 'G':
		v.col = min(v.width, n) - 1
	case 'H':
		v.row, v.col = 0, 0
	case 'K':
		for c := v.col; c < v.width; c++ {
			v.erase(v.cells[v.row], c)
		}
	case 'J':
		for r := range v.cells {
			for c := range v.cells[r] {
				if params == "2" || r > v.row || r == v.row && c >= v.col {
					v.erase(v.cells[r], c)
				}
			}
		}
		return i + 1
	case 'm': // colours
		return i + 1
	case 'h', 'l':
		if params == "?2004" {
			v.paste = final == 'h'
			return i + 1
		}
		panic("unknown mode " + strconv.Quote(string(b[:i+1])))
	default:
		panic("unknown sequence " + strconv.Quote(string(b[:i+1])))
	}
	v.wrapNext = false
	return i + 1
}
