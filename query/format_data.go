package query

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// csvWriter writes RFC 4180. It is not encoding/csv's writer because that one
// changes carriage returns when it ends lines with CRLF, and writes a lone
// empty value as a blank line, which readers skip. NULL is nothing, the empty
// string is "", as in PostgreSQL, so the two stay apart.
type csvWriter struct {
	*sink
	line []byte
	last []csvMoment // of each column
}

// A csvMoment is a moment and its text: the rows of one sample have the same.
type csvMoment struct {
	seconds float64
	text    string
}

func (w *csvWriter) Begin(cols []Column) error {
	w.begin(cols)
	w.last = make([]csvMoment, len(cols))
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	line := w.line[:0]
	for i, c := range cols {
		line = w.appendText(append(line, w.separator(i, ",")...), c.Name)
	}
	return w.end(line)
}

// Row is what an export takes its time with: numbers and most texts go straight into the line.
func (w *csvWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	line, comma := w.line[:0], cmp.Or(w.o.Separator, ",")
	for i, v := range values {
		if i > 0 {
			line = append(line, comma...)
		}
		col := w.cols[i]
		switch v := v.(type) {
		case nil:
			if w.o.Null != "" {
				line = w.appendText(line, w.o.Null)
			} else if len(values) == 1 { // a blank line would be no row
				line = append(line, `""`...)
			}
		case string:
			line = w.appendText(line, v)
		case int64:
			if t, ok := w.moment(col, v); ok {
				line = t.AppendFormat(line, exactTime)
			} else {
				line = strconv.AppendInt(line, v, 10)
			}
		case float64:
			switch last := &w.last[i]; {
			case col.Time && last.text != "" && last.seconds == v:
				line = append(line, last.text...)
			default:
				t, ok := w.moment(col, v)
				if !ok {
					line = appendFloat(line, v)
					break
				}
				*last = csvMoment{v, t.Format(exactTime)}
				line = append(line, last.text...)
			}
		default:
			if t, ok := w.moment(col, v); ok {
				line = t.AppendFormat(line, exactTime)
			} else {
				line = w.appendText(line, plain(v))
			}
		}
	}
	return w.end(line)
}

func (w *csvWriter) end(line []byte) error {
	if w.o.CRLF {
		line = append(line, '\r')
	}
	w.line = append(line, w.rowEnd()...)
	_, err := w.out.Write(w.line)
	return err
}

func (w *csvWriter) End() error { return w.flush() }

// quotedInCSV are the characters that a field may only have in quotes.
var quotedInCSV = [256]bool{',': true, '"': true, '\r': true, '\n': true}

// isFormula reports whether a spreadsheet would run a text.
func isFormula(text string) bool { return text != "" && strings.IndexByte("=+-@\t\r", text[0]) >= 0 }

func (w *csvWriter) appendText(line []byte, text string) []byte {
	if w.o.SpreadsheetSafe && isFormula(text) {
		text = "'" + text
	}
	if w.o.Width > 0 {
		text = escapeControls(text)
	}
	quoted := text == "" || text == `\.` || text[0] == ' ' || text[0] == '\t'
	for i := 0; !quoted && i < len(text); i++ {
		quoted = quotedInCSV[text[i]]
	}
	quoted = quoted || w.o.Separator != "" && strings.Contains(text, w.o.Separator)
	if !quoted {
		return append(line, text...)
	}
	line = append(line, '"')
	for i := range len(text) {
		if text[i] == '"' {
			line = append(line, '"')
		}
		line = append(line, text[i])
	}
	return append(line, '"')
}

// jsonWriter writes an object for each row: all in one array, or one a line.
type jsonWriter struct {
	*sink
	array bool
	keys  []string // encoded
	rows  int
	done  bool
}

func (w *jsonWriter) Begin(cols []Column) error {
	w.begin(cols)
	for _, name := range distinct(cols) {
		w.keys = append(w.keys, jsonText(name)+":")
	}
	return nil
}

// distinct gives each column a key of its own: of two equal keys in an object,
// readers drop one.
func distinct(cols []Column) []string {
	taken := make(map[string]bool)
	for _, c := range cols {
		taken[c.Name] = true
	}
	used := make(map[string]bool)
	var names []string
	for _, c := range cols {
		name := c.Name
		for n := 2; used[name]; n++ {
			if try := c.Name + "_" + strconv.Itoa(n); !taken[try] {
				name = try
			}
		}
		used[name], taken[name] = true, true
		names = append(names, name)
	}
	return names
}

func (w *jsonWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	w.rows++
	if w.array && w.rows == 1 {
		w.put("[\n  ")
	} else if w.array {
		w.put(",\n  ")
	}
	w.put("{")
	for i, v := range values {
		if i > 0 {
			w.put(",")
		}
		w.put(w.keys[i], w.value(w.cols[i], v))
	}
	if w.array {
		return w.put("}")
	}
	return w.put("}\n")
}

func (w *jsonWriter) value(col Column, v any) string {
	if t, ok := w.moment(col, v); ok {
		return `"` + t.Format(exactTime) + `"`
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "null"
		}
		return exactFloat(v)
	case int64, bool:
		return plain(v)
	}
	return jsonText(plain(v))
}

func (w *jsonWriter) End() error {
	if w.array && !w.done {
		w.done = true
		if w.rows == 0 {
			w.put("[]\n")
		} else {
			w.put("\n]\n")
		}
	}
	return w.flush()
}

// jsonText encodes a string. What a terminal may act on is escaped as well,
// where encoding/json lets DEL, the C1 controls and reordering marks through;
// the text stays the same for the program that decodes it.
func jsonText(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(text) // a string cannot fail
	encoded := strings.TrimSuffix(b.String(), "\n")
	if isClean(encoded) {
		return encoded
	}
	var safe strings.Builder
	for _, r := range encoded {
		if unicode.IsPrint(r) {
			safe.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&safe, `\u%04x`, unit)
		}
	}
	return safe.String()
}
