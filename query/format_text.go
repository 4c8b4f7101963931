package query

import "strings"

// listWriter writes what sqlite3's list mode does: values between bars.
type listWriter struct{ *sink }

func (w *listWriter) Begin(cols []Column) error {
	w.begin(cols)
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	for i, c := range cols {
		w.put(w.separator(i, "|"), escapeControls(c.Name))
	}
	return w.put(w.rowEnd())
}

func (w *listWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	for i, v := range values {
		w.put(w.separator(i, "|"), w.human(w.cols[i], v, w.null("")))
	}
	return w.put(w.rowEnd())
}

func (w *listWriter) End() error { return w.flush() }

// tsvWriter writes one value between tabs and one row on a line, whatever the
// values hold: a backslash is doubled, so the escapes can be undone.
type tsvWriter struct{ *sink }

func (w *tsvWriter) Begin(cols []Column) error {
	w.begin(cols)
	if !w.o.Header || len(cols) == 0 {
		return nil
	}
	for i, c := range cols {
		w.put(w.separator(i, "\t"), tsvText(c.Name))
	}
	return w.put("\n")
}

func (w *tsvWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	for i, v := range values {
		text := w.null("")
		if t, ok := w.moment(w.cols[i], v); ok {
			text = localTime(t)
		} else if v != nil {
			text = tsvText(plain(v))
		}
		w.put(w.separator(i, "\t"), text)
	}
	return w.put("\n")
}

func (w *tsvWriter) End() error { return w.flush() }

func tsvText(text string) string {
	return escapeControls(strings.ReplaceAll(text, `\`, `\\`))
}

// lineWriter writes a value on a line, for rows too wide for anything else.
type lineWriter struct {
	*sink
	names []string // right-aligned
	rows  int
}

func (w *lineWriter) Begin(cols []Column) error {
	w.begin(cols)
	widest := 0
	for _, c := range cols {
		name := escapeControls(c.Name)
		w.names = append(w.names, name)
		widest = max(widest, textWidth(name))
	}
	for i, name := range w.names {
		w.names[i] = strings.Repeat(" ", widest-textWidth(name)) + name
	}
	return nil
}

func (w *lineWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = w.human(w.cols[i], v, w.null("NULL"))
	}
	return w.texts(texts)
}

func (w *lineWriter) texts(texts []string) error {
	if w.rows++; w.rows > 1 {
		w.put("\n")
	}
	var err error
	for i, text := range texts {
		err = w.put(w.names[i], " = ", text, "\n")
	}
	return err
}

func (w *lineWriter) End() error { return w.flush() }

// markdownWriter writes a table for tickets and chats. The first row decides
// which columns are aligned as numbers: the second line says so already.
type markdownWriter struct {
	*sink
	headed bool
}

func (w *markdownWriter) Begin(cols []Column) error {
	w.begin(cols)
	return nil
}

func (w *markdownWriter) head(first []any) {
	if w.headed || len(w.cols) == 0 {
		return
	}
	w.headed = true
	for _, c := range w.cols {
		w.put("| ", markdownText(escapeControls(c.Name)), " ")
	}
	w.put("|\n")
	for i, c := range w.cols {
		rule := "|---"
		if first != nil && isNumber(first[i]) {
			if _, isTime := w.moment(c, first[i]); !isTime {
				rule = "|---:"
			}
		}
		w.put(rule)
	}
	w.put("|\n")
}

func (w *markdownWriter) Row(values []any) error {
	if err := w.check(values); err != nil {
		return err
	}
	w.head(values)
	for i, v := range values {
		w.put("| ", markdownText(w.human(w.cols[i], v, w.null("NULL"))), " ")
	}
	return w.put("|\n")
}

func (w *markdownWriter) End() error {
	w.head(nil)
	return w.flush()
}

// markdownText keeps a value from ending its cell or becoming emphasis, code,
// a link or HTML. An underscore inside a word is harmless, and our names are
// full of them.
func markdownText(text string) string { return markdownEscaper.Replace(text) }

var markdownEscaper = strings.NewReplacer(`\`, `\\`, `|`, `\|`, `*`, `\*`, "`", "\\`", `<`, `\<`, `[`, `\[`)
