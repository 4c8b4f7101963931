package query

import (
	"cmp"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
)

// htmlWriter writes the rows of an HTML table, as sqlite3 does.
type htmlWriter struct{ *sink }

func (w *htmlWriter) Begin(cols []Column) error {
	w.begin(cols)
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	w.put("<TR>")
	for _, c := range cols {
		w.put("<TH>", html.EscapeString(escapeControls(c.Name)), "</TH>\n")
	}
	return w.put("</TR>\n")
}

func (w *htmlWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	w.put("<TR>")
	for i, v := range values {
		w.put("<TD>", html.EscapeString(w.human(w.cols[i], v, w.null(""))), "</TD>\n")
	}
	return w.put("</TR>\n")
}

func (w *htmlWriter) End() error { return w.flush() }

// quoteWriter writes values as SQL has them. Times are numbers, as SQL has them, too.
type quoteWriter struct{ *sink }

func (w *quoteWriter) Begin(cols []Column) error {
	w.begin(cols)
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	for i, c := range cols {
		w.put(w.separator(i, ","), w.literal(c.Name))
	}
	return w.put(w.rowEnd())
}

func (w *quoteWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	for i, v := range values {
		w.put(w.separator(i, ","), w.literal(v))
	}
	return w.put(w.rowEnd())
}

func (w *quoteWriter) End() error { return w.flush() }

// literal is a value as SQL has it. What no program reads has its control characters as escapes.
func (s *sink) literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		if s.o.Width > 0 {
			v = escapeControls(v)
		}
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case []byte:
		return "X'" + hex.EncodeToString(v) + "'"
	case float64:
		text := exactFloat(v)
		switch text {
		case "+Inf":
			return "9e999"
		case "-Inf":
			return "-9e999"
		case "NaN":
			return "NULL"
		}
		if !strings.ContainsAny(text, ".e") {
			text += ".0"
		}
		return text
	}
	return plain(v)
}

// insertWriter writes an INSERT statement for each row.
type insertWriter struct {
	*sink
	into string
}

func (w *insertWriter) Begin(cols []Column) error {
	w.begin(cols)
	w.into = "INSERT INTO " + quotedName(cmp.Or(w.o.Table, "table"))
	if w.o.Header {
		var names []string
		for _, c := range cols {
			names = append(names, quotedName(escapeControls(c.Name)))
		}
		w.into += "(" + strings.Join(names, ",") + ")"
	}
	return nil
}

func (w *insertWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	w.put(w.into, " VALUES(")
	for i, v := range values {
		if i > 0 {
			w.put(",")
		}
		w.put(w.literal(v))
	}
	return w.put(");\n")
}

func (w *insertWriter) End() error { return w.flush() }

// quotedName is a name as SQL has it, in quotes where it needs them.
func quotedName(name string) string {
	if plainName.MatchString(name) && !reserved[strings.ToUpper(name)] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
