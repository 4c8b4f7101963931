package kernel

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable is b as text that a terminal and SQLite can take: what is no printable
// character of UTF-8 is escaped.
func Printable(b []byte) string {
	plain := true
	for _, c := range b {
		if c < ' ' || c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case unicode.IsPrint(r):
			s.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			s.WriteString(quoted[1 : len(quoted)-1])
		}
		b = b[n:]
	}
	return s.String()
}
