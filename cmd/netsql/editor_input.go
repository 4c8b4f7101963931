package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/chzyer/readline"
)

// A key is a rune. Control characters mean what readline's Char constants
// say. Keys without one have a C1 code, U+0080 to U+009F: nobody types those,
// and a terminal would obey them, so as text they are dropped.
const (
	keyText  rune = 0x80 + iota // keyReader.text was typed
	keyPaste                    // keyReader.text was pasted
	keyNewline
	keyUp
	keyDown
	keyHistoryPrev
	keyHistoryNext
	keyBufferStart
	keyBufferEnd
	keyWordLeft
	keyWordRight
	keyDelete
	keyKillWord
	keyKillWordBack
	keyUnknown // a sequence that means nothing here

	keyNone rune = -1 // bytes that are no key, never handed out
)

const (
	pasteBegin = "\x1b[200~"
	pasteEnd   = "\x1b[201~"
)

// keyReader turns the bytes of a terminal into keys. As an io.Reader it gives
// one key per Read, in UTF-8, and the next one only after proceed: the library
// would else go on reading while a statement runs.
type keyReader struct {
	src    io.Reader
	permit chan struct{}
	closed chan struct{}
	once   sync.Once

	// Belong to Read, and between Read and proceed to the handler of the key.
	buf  []byte
	err  error  // from src, kept until buf is used up
	text string // what keyText and keyPaste carry
	more bool   // another key is there already
}

func newKeyReader(src io.Reader) *keyReader {
	return &keyReader{src: src, permit: make(chan struct{}, 1), closed: make(chan struct{})}
}

// proceed allows the next Read to return. Each reading of a statement begins
// with one proceed, and has one for each key that did not end it.
func (k *keyReader) proceed() {
	select {
	case k.permit <- struct{}{}:
	default:
	}
}

func (k *keyReader) Read(p []byte) (int, error) {
	select {
	case <-k.permit:
	case <-k.closed:
		return 0, io.EOF
	}
	key, err := k.next()
	if err != nil {
		return 0, err
	}
	if len(p) < utf8.UTFMax {
		return 0, io.ErrShortBuffer
	}
	return utf8.EncodeRune(p, key), nil
}

// Close ends a Read that waits for the permit or for the terminal.
func (k *keyReader) Close() error {
	k.once.Do(func() {
		close(k.closed)
		if c, ok := k.src.(io.Closer); ok {
			c.Close()
		}
	})
	return nil
}

func (k *keyReader) next() (rune, error) {
	var chunk [4096]byte
	for {
		key, text, n := decodeKey(k.buf)
		k.buf = k.buf[n:]
		if n > 0 && key != keyNone {
			k.text = text
			_, _, n = decodeKey(k.buf)
			k.more = n > 0
			return key, nil
		}
		if n > 0 {
			continue
		}
		if k.err != nil {
			return 0, k.err
		}
		n, k.err = k.src.Read(chunk[:])
		// A paste whose end got lost would swallow everything: Ctrl-C, alone
		// as fingers type it, always gets through.
		if n == 1 && chunk[0] == readline.CharInterrupt {
			k.buf = k.buf[:0]
		}
		k.buf = append(k.buf, chunk[:n]...)
	}
}

// decodeKey returns the key at the start of b, the text it carries, and its
// length. The length is 0 when b ends before the key does.
func decodeKey(b []byte) (key rune, text string, n int) {
	if len(b) == 0 {
		return keyNone, "", 0
	}
	if n := textLen(b); n > 0 {
		return keyText, strings.ToValidUTF8(string(b[:n]), "\uFFFD"), n
	}
	switch c := b[0]; {
	case c == readline.CharEsc:
		return decodeEscape(b)
	case c == 0: // Ctrl-Space, and readline's mark of the end
		return keyNone, "", 1
	case c < utf8.RuneSelf:
		return rune(c), "", 1
	case !utf8.FullRune(b):
		return keyNone, "", 0
	default: // a C1 control
		_, n := utf8.DecodeRune(b)
		return keyNone, "", n
	}
}

// textLen is the length of the ordinary text at the start of b.
func textLen(b []byte) int {
	n := 0
	for n < len(b) {
		if c := b[n]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				break
			}
			n++
			continue
		}
		if !utf8.FullRune(b[n:]) {
			break
		}
		r, size := utf8.DecodeRune(b[n:])
		if 0x80 <= r && r < 0xa0 {
			break
		}
		n += size
	}
	return n
}

func decodeEscape(b []byte) (key rune, text string, n int) {
	if len(b) == 1 {
		return keyNone, "", 0
	}
	switch c := b[1]; {
	case c == '[':
		return decodeCSI(b)
	case c == 'O':
		if len(b) == 2 {
			return keyNone, "", 0
		}
		if key, ok := cursorKeys[b[2]]; ok {
			return key, "", 3
		}
		if b[2] < ' ' || b[2] >= 0x7f {
			return keyUnknown, "", 2
		}
		return keyUnknown, "", 3
	case c == '\r' || c == '\n':
		return keyNewline, "", 2
	case c == 0x7f || c == readline.CharCtrlH:
		return keyKillWordBack, "", 2
	case c < ' ' || c > 0x7f: // Esc was pressed before, on its own
		return keyNone, "", 1
	}
	if key, ok := metaKeys[b[1]]; ok {
		return key, "", 2
	}
	return keyUnknown, "", 2
}

// decodeCSI reads ESC [ parameters final, as ECMA-48 has it.
func decodeCSI(b []byte) (key rune, text string, n int) {
	i := 2
	for i < len(b) && (0x20 <= b[i] && b[i] < 0x40) {
		i++
	}
	if i == len(b) {
		if i > 64 { // no terminal sends this
			return keyUnknown, "", i
		}
		return keyNone, "", 0
	}
	final, params := b[i], string(b[2:i])
	if final < 0x40 || final > 0x7e {
		return keyUnknown, "", i // broken off: what follows counts for itself
	}
	i++
	if final == '[' && params == "" { // F1 to F5 of the Linux console
		if i == len(b) {
			return keyNone, "", 0
		}
		if ' ' <= b[i] && b[i] < 0x7f {
			i++
		}
		return keyUnknown, "", i
	}
	first, modifier, _ := strings.Cut(params, ";")
	switch final {
	case '~':
		if string(b[:i]) == pasteBegin {
			end := bytes.Index(b[i:], []byte(pasteEnd))
			if end < 0 {
				return keyNone, "", 0
			}
			return keyPaste, pastedText(b[i : i+end]), i + end + len(pasteEnd)
		}
		if first == "3" && modifier != "" {
			return keyKillWord, "", i
		}
		if key, ok := tildeKeys[first]; ok {
			return key, "", i
		}
	case 'R', 'I', 'O', 'n', 'c': // answers and reports that we did not ask for
		return keyNone, "", i
	default:
		if modifier != "" {
			if key, ok := modifiedKeys[final]; ok {
				return key, "", i
			}
		}
		if key, ok := cursorKeys[final]; ok {
			return key, "", i
		}
	}
	return keyUnknown, "", i
}

// pastedText keeps everything but the line ends: terminals send CR for LF.
func pastedText(b []byte) string {
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.ReplaceAll(s, "\r", "\n")
}

var cursorKeys = map[byte]rune{
	'A': keyUp,
	'B': keyDown,
	'C': readline.CharForward,
	'D': readline.CharBackward,
	'H': readline.CharLineStart,
	'F': readline.CharLineEnd,
	'M': readline.CharEnter, // of the keypad
}

// With Ctrl, Alt or Shift.
var modifiedKeys = map[byte]rune{
	'A': keyHistoryPrev,
	'B': keyHistoryNext,
	'C': keyWordRight,
	'D': keyWordLeft,
	'H': keyBufferStart,
	'F': keyBufferEnd,
}

var tildeKeys = map[string]rune{
	"1": readline.CharLineStart, "7": readline.CharLineStart,
	"4": readline.CharLineEnd, "8": readline.CharLineEnd,
	"3": keyDelete,
	"5": keyHistoryPrev,
	"6": keyHistoryNext,
}

var metaKeys = map[byte]rune{
	'b': keyWordLeft, 'B': keyWordLeft,
	'f': keyWordRight, 'F': keyWordRight,
	'd': keyKillWord, 'D': keyKillWord,
	'<': keyBufferStart,
	'>': keyBufferEnd,
}
