package query

import (
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	localSeconds = "2006-01-02 15:04:05"
	localMillis  = "2006-01-02 15:04:05.000"
	exactTime    = "2006-01-02T15:04:05.999999Z07:00"
)

// moment is the time that a value of a time column stands for. A number that
// is no plausible moment (before 1973, after 9999) is no time: the column may
// hold a count or a span after all, and is then shown as it is.
func (s *sink) moment(col Column, v any) (time.Time, bool) {
	if t, ok := v.(time.Time); ok {
		return t.In(s.o.Location), true
	}
	if !col.Time || s.o.Unix {
		return time.Time{}, false
	}
	var seconds float64
	switch n := v.(type) {
	case int64:
		seconds = float64(n)
	case float64:
		seconds = n
	}
	if !(seconds >= 1e8 && seconds < 253402300800) {
		return time.Time{}, false
	}
	return unixTime(seconds).In(s.o.Location), true
}

// unixTime rounds to the microseconds that a recording keeps: a REAL near now
// holds them with a quarter of one to spare.
func unixTime(seconds float64) time.Time {
	whole := math.Floor(seconds)
	return time.Unix(int64(whole), int64(math.Round((seconds-whole)*1e6))*1000)
}

// localTime is a time for people. The fraction is cut, not rounded, and left
// out where it is nothing.
func localTime(t time.Time) string {
	if t.Nanosecond() >= int(time.Millisecond) {
		return t.Format(localMillis)
	}
	return t.Format(localSeconds)
}

// human is a value for people: safe on a terminal and on one line.
func (s *sink) human(col Column, v any, null string) string {
	if t, ok := s.moment(col, v); ok {
		return localTime(t)
	}
	if v == nil {
		return null
	}
	return escapeControls(plain(v))
}

// plain is the exact text of a value.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return exactFloat(v)
	case string:
		return v
	case []byte:
		return "x'" + hex.EncodeToString(v) + "'"
	case bool:
		return strconv.FormatBool(v)
	}
	return fmt.Sprint(v)
}

// exactFloat is the shortest text that reads back as the same number, without
// an exponent as long as that stays readable: a time in seconds has ten digits.
func exactFloat(f float64) string { return string(appendFloat(nil, f)) }

func appendFloat(b []byte, f float64) []byte {
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// roundedFloat is for the eye: six significant digits, but never fewer than
// the whole number and three decimals, so that unix seconds survive.
func roundedFloat(f float64) string {
	size := math.Abs(f)
	switch {
	case size == 0:
		return "0"
	case size < 1e-6 || size >= 1e15 || math.IsNaN(f):
		return strconv.FormatFloat(f, 'g', 6, 64)
	}
	decimals := max(3, 5-int(math.Floor(math.Log10(size))))
	text := strconv.FormatFloat(f, 'f', decimals, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}

// escapeControls shows what would move a cursor, colour a screen, hide or
// reorder text as \n, \x1b or \u202e. Letters, marks, symbols and the ASCII
// space pass.
func escapeControls(text string) string {
	if isClean(text) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += size
	}
	return b.String()
}

func isClean(text string) bool {
	for _, r := range text {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return false
		}
	}
	return true
}

// A safeWriter writes texts for a person as Safe has them.
type safeWriter struct{ io.Writer }

func (w safeWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, Safe(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Safe is a text for a person, which may have several lines, with codes for the terminal shown as they are written.
func Safe(text string) string {
	if !strings.ContainsAny(text, "\n\t") {
		return escapeControls(text)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		parts := strings.Split(line, "\t")
		for j, part := range parts {
			parts[j] = escapeControls(part)
		}
		lines[i] = strings.Join(parts, "\t")
	}
	return strings.Join(lines, "\n")
}
