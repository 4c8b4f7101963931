package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// editBuffer is a text of one or more lines with a cursor: what the keys do to
// text, without a terminal. "Line" is what lies between newlines. Methods
// that may have nothing to do say so by returning false.
type editBuffer struct {
	text   string
	cursor int // in bytes
	last   editAction
	killed string
	goal   int // the column that moves up and down aim at
	undos  []editState
}

type editState struct {
	text   string
	cursor int
}

// editAction is what happened last: typing is undone as a whole, kills in a
// row are yanked as one, moves up and down keep their column.
type editAction int

const (
	actMove editAction = iota
	actType
	actEdit
	actKill
	actVertical
)

const maxUndo = 200

// splice replaces text[from:to] by s and leaves the cursor behind it.
func (b *editBuffer) splice(act editAction, from, to int, s string) {
	if act != actType || b.last != actType {
		b.undos = append(b.undos, editState{b.text, b.cursor})
		if len(b.undos) > maxUndo {
			b.undos = b.undos[1:]
		}
	}
	b.text = b.text[:from] + s + b.text[to:]
	b.cursor = from + len(s)
	b.last = act
}

func (b *editBuffer) undo() bool {
	if len(b.undos) == 0 {
		return false
	}
	s := b.undos[len(b.undos)-1]
	b.undos = b.undos[:len(b.undos)-1]
	b.text, b.cursor, b.last = s.text, s.cursor, actMove
	return true
}

// set replaces the whole text. It is not an edit: nothing to undo remains.
func (b *editBuffer) set(text string, cursor int) {
	b.text, b.cursor, b.last, b.undos = text, cursor, actMove, nil
}

func (b *editBuffer) moveTo(at int) bool {
	moved := at != b.cursor
	b.cursor, b.last = at, actMove
	return moved
}

// kill takes text[from:to] away, to be put back by yank.
func (b *editBuffer) kill(from, to int) bool {
	if from == to {
		return false
	}
	s := b.text[from:to]
	switch {
	case b.last != actKill:
		b.killed = s
	case from < b.cursor:
		b.killed = s + b.killed
	default:
		b.killed += s
	}
	b.splice(actKill, from, to, "")
	return true
}

func (b *editBuffer) yank() bool {
	if b.killed == "" {
		return false
	}
	b.splice(actEdit, b.cursor, b.cursor, b.killed)
	return true
}

func (b *editBuffer) backspace() bool {
	if b.cursor == 0 {
		return false
	}
	b.splice(actEdit, b.left(), b.cursor, "")
	return true
}

func (b *editBuffer) delete() bool {
	if b.cursor == len(b.text) {
		return false
	}
	b.splice(actEdit, b.cursor, b.right(), "")
	return true
}

// transpose exchanges the characters around the cursor, at the end of a line
// the two before it.
func (b *editBuffer) transpose() bool {
	mid := b.cursor
	if mid == b.lineEnd() && mid > b.lineStart() {
		mid = b.left()
	}
	if mid == b.lineStart() || mid == b.lineEnd() {
		return false
	}
	from, to := prevCluster(b.text, mid), nextCluster(b.text, mid)
	b.splice(actEdit, from, to, b.text[mid:to]+b.text[from:mid])
	return true
}

func (b *editBuffer) left() int  { return prevCluster(b.text, b.cursor) }
func (b *editBuffer) right() int { return nextCluster(b.text, b.cursor) }

func (b *editBuffer) lineStart() int {
	return strings.LastIndexByte(b.text[:b.cursor], '\n') + 1
}

func (b *editBuffer) lineEnd() int {
	if i := strings.IndexByte(b.text[b.cursor:], '\n'); i >= 0 {
		return b.cursor + i
	}
	return len(b.text)
}

// killEnd and killStart are how far Ctrl-K and Ctrl-U reach: the rest of the
// line, and if there is none, the newline.
func (b *editBuffer) killEnd() int {
	if end := b.lineEnd(); end > b.cursor || end == len(b.text) {
		return end
	}
	return b.cursor + 1
}

func (b *editBuffer) killStart() int {
	if start := b.lineStart(); start < b.cursor || start == 0 {
		return start
	}
	return b.cursor - 1
}

// wordLeft is where the word before the cursor begins.
func (b *editBuffer) wordLeft() int {
	return skipRunesBack(b.text, skipRunesBack(b.text, b.cursor, notWord), isWord)
}

// wordRight is where the word after the cursor ends.
func (b *editBuffer) wordRight() int {
	return skipRunes(b.text, skipRunes(b.text, b.cursor, notWord), isWord)
}

// blankLeft is wordLeft with words as Ctrl-W sees them: anything between blanks.
func (b *editBuffer) blankLeft() int {
	notSpace := func(r rune) bool { return !unicode.IsSpace(r) }
	return skipRunesBack(b.text, skipRunesBack(b.text, b.cursor, unicode.IsSpace), notSpace)
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func notWord(r rune) bool { return !isWord(r) }

func skipRunes(s string, at int, while func(rune) bool) int {
	for at < len(s) {
		r, n := utf8.DecodeRuneInString(s[at:])
		if !while(r) {
			break
		}
		at += n
	}
	return at
}

func skipRunesBack(s string, at int, while func(rune) bool) int {
	for at > 0 {
		r, n := utf8.DecodeLastRuneInString(s[:at])
		if !while(r) {
			break
		}
		at -= n
	}
	return at
}

// up and down move within the text and return false at its edges.
func (b *editBuffer) up() bool {
	start := b.lineStart()
	if start == 0 {
		return false
	}
	b.vertical(strings.LastIndexByte(b.text[:start-1], '\n') + 1)
	return true
}

func (b *editBuffer) down() bool {
	end := b.lineEnd()
	if end == len(b.text) {
		return false
	}
	b.vertical(end + 1)
	return true
}

// vertical moves into the line that begins at start, as near as can be to the
// column where the moving up and down began.
func (b *editBuffer) vertical(start int) {
	if b.last != actVertical {
		b.goal = 0
		for at := b.lineStart(); at < b.cursor; {
			n, width := measureCluster(b.text[at:], b.goal)
			at += n
			b.goal += width
		}
	}
	at, col := start, 0
	for at < len(b.text) && b.text[at] != '\n' && col < b.goal {
		n, width := measureCluster(b.text[at:], col)
		if col+width > b.goal {
			break
		}
		at += n
		col += width
	}
	b.cursor, b.last = at, actVertical
}
