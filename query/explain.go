package query

import (
	"context"
	"fmt"
	"io"
	"strings"

	"netsql/store"
	"netsql/store/glossary"
)

// Glossary gives what is known of a word, such as a state, a flag, a column, a counter or the reason of a drop. The error
// names the nearest word where there is none.
func Glossary(word string) ([]glossary.Entry, error) {
	found := glossary.Find(word)
	for i, e := range found {
		if e.What == "" {
			found[i].What = states[e.Word]
		}
	}
	if len(found) == 0 {
		found = columnEntries(word)
	}
	if len(found) > 0 {
		return found, nil
	}
	if near, ok := Suggest(word, glossary.Words()); ok {
		return nil, fmt.Errorf("nothing is known of %s; did you mean %s?", quoteWords(word), near)
	}
	return nil, fmt.Errorf("nothing is known of %s", quoteWords(word))
}

// GlossaryWords are the words that Glossary knows, but for columns.
func GlossaryWords() []string { return glossary.Words() }

// columnEntries has what the reference says of a column, once where several tables say the same.
func columnEntries(word string) []glossary.Entry {
	var found []glossary.Entry
	said := map[string]bool{}
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			if strings.EqualFold(c.Name, word) && c.Doc != "" && !said[c.Doc] {
				said[c.Doc] = true
				found = append(found, glossary.Entry{Word: v.Name + "." + c.Name, Kind: "column", What: c.Doc})
			}
		}
	}
	return found
}

// WriteGlossary writes entries for people.
func WriteGlossary(w io.Writer, entries []glossary.Entry, width int) error {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(wrapped(e.What, fmt.Sprintf("%s (%s)  ", e.Word, e.Kind), width))
		for _, line := range []struct{ head, text string }{{"  normal  ", e.Normal}, {"  worry   ", e.Worry}} {
			if line.text != "" {
				b.WriteString(wrapped(line.text, line.head, width))
			}
		}
		if e.Next != "" { // whole, to be copied
			b.WriteString("  next    " + e.Next + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// explain is .explain WORD.
func (s *Shell) explain(_ context.Context, arg string) error {
	if arg == "" {
		return fmt.Errorf("which word? .explain TIME_WAIT")
	}
	entries, err := Glossary(arg)
	if err != nil {
		return err
	}
	out, _ := s.target()
	return WriteGlossary(out, entries, s.width())
}
