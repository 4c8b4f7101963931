package query

import (
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
type csvWriter struct{ *sink }

func (w *csvWriter) Begin(cols []Column) error {
	w.begin(cols)
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	for i, c := range cols {
		w.put(separator(i, ","), w.text(c.Name))
	}
	return w.put(w.newline())
}

func (w *csvWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	for i, v := range values {
		text := ""
		switch t, ok := w.moment(w.cols[i], v); {
		case ok:
			text = t.Format(exactTime)
		case v != nil:
			text = w.text(plain(v))
		case w.o.Null != "":
			text = w.text(w.o.Null)
		case len(values) == 1: // a blank line would be no row
			text = `""`
		}
		w.put(separator(i, ","), text)
	}
	return w.put(w.newline())
}

func (w *csvWriter) End() error { return w.flush() }

func (w *csvWriter) newline() string {
	if w.o.CRLF {
		return "\r\n"
	}
	return "\n"
}

func (w *csvWriter) text(text string) string {
	if w.o.Width > 0 {
		text = escapeControls(text)
	}
	if text != "" && text != `\.` && !strings.ContainsAny(text, ",\"\r\n") && text[0] != ' ' && text[0] != '\t' {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
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
		w.put(separator(i, ","), w.keys[i], w.value(w.cols[i], v))
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
// the text stays the same to whoever decodes it.
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
