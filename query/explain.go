package query

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"netsql/store"
	"netsql/store/glossary"
)

// Glossary gives what is known of a word, such as a state, a flag, a column, a counter or the reason of a drop, or of the words in a phrase. The
// error names the nearest word where there is none.
func Glossary(word string) ([]glossary.Entry, error) {
	found := glossary.Find(word)
	if !slices.ContainsFunc(found, func(e Entry) bool { return e.Kind == "column" }) {
		found = append(found, columnEntries(word)...)
	}
	if len(found) == 0 {
		found = glossary.FindIn(word)
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
	said := map[string]int{}
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			name := v.Name + "." + c.Name
			if c.Doc == "" || !strings.EqualFold(c.Name, word) && !strings.EqualFold(name, word) {
				continue
			}
			e := glossary.Column(v.Name, c.Name)
			e.Word, e.What = name, c.Doc
			if i, is := said[c.Doc]; !is {
				said[c.Doc] = len(found)
				found = append(found, e)
			} else if found[i].Worry == "" && e.Worry != "" { // of a table of which more is said
				found[i] = e
			}
		}
	}
	return found
}

// An Entry of the glossary says what a word means.
type Entry = glossary.Entry

// An Explanation is an entry of the glossary, and how it stands with that on the machine of a recording.
type Explanation struct {
	glossary.Entry
	Here string `json:"here,omitempty"`
}

// Here adds to entries how it stands with them on the machine of the recording, at the moment that at() means; r may be nil. Where there is no sample,
// nothing is added; where nobody looked, or a question fails, that is said.
func Here(ctx context.Context, r *Recording, entries []glossary.Entry) []Explanation {
	all := make([]Explanation, len(entries))
	for i, e := range entries {
		all[i].Entry = e
	}
	if r == nil {
		return all
	}
	values, err := r.texts(ctx, "SELECT at()")
	if err != nil || len(values) != 1 {
		return all // no sample yet
	}
	ts, err := strconv.ParseFloat(values[0], 64)
	if err != nil {
		return all
	}
	when := localTime(unixTime(ts).Truncate(time.Second))
	if notes := r.Notes(); len(notes) > 0 {
		when += " (" + strings.Join(notes, "; ") + ")"
	}
	for i, e := range entries {
		if e.HereSQL == "" {
			continue
		}
		said, err := r.here(ctx, e, ts)
		switch {
		case err != nil:
			said = "not known: " + err.Error()
		case said == "":
			continue
		}
		all[i].Here = escapeControls("At " + when + ": " + said)
	}
	return all
}

// here is the sentence of one entry, of the sample at ts.
func (r *Recording) here(ctx context.Context, e glossary.Entry, ts float64) (string, error) {
	in, err := json.Marshal(e.Sources)
	if err != nil {
		return "", err
	}
	outcomes, err := r.texts(ctx, `SELECT CASE WHEN outcome IN ('failed', 'off', 'unread') THEN coalesce(source || ' ' || outcome || ': ' || error, source || ' ' || outcome) ELSE '' END
		FROM sources WHERE ts = ? AND source IN (SELECT value FROM json_each(?))`, ts, string(in))
	if err != nil {
		return "", err
	}
	missing := slices.DeleteFunc(slices.Clone(outcomes), func(o string) bool { return o == "" })
	slices.Sort(missing)
	switch missing = slices.Compact(missing); {
	case len(outcomes) == 0:
		return "not known: " + strings.Join(e.Sources, ", ") + " was not read.", nil
	case !slices.Contains(outcomes, ""):
		return "not known, because nobody looked (" + strings.Join(missing, "; ") + ").", nil
	}
	said, err := r.texts(ctx, e.HereSQL)
	if err != nil || len(said) == 0 || said[0] == "" {
		return "", err
	}
	if len(missing) > 0 {
		said[0] += " Not all was looked at: " + strings.Join(missing, "; ") + "."
	}
	return said[0], nil
}

// texts are the rows of a statement of one column; NULL is "".
func (r *Recording) texts(ctx context.Context, statement string, args ...any) ([]string, error) {
	rows, err := r.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text.String)
	}
	return all, r.explain(rows.Err())
}

// WriteGlossary writes entries for people.
func WriteGlossary(w io.Writer, entries []Explanation, width int) error {
	var b strings.Builder
	for i, e := range entries {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(wrapped(e.What, fmt.Sprintf("%s (%s)  ", e.Word, e.Kind), width))
		for _, line := range []struct{ head, text string }{{"  normal  ", e.Normal}, {"  worry   ", e.Worry}, {"  here    ", e.Here}} {
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
func (s *Shell) explain(ctx context.Context, arg string) error {
	if arg == "" {
		return fmt.Errorf("which word? .explain TIME_WAIT")
	}
	entries, err := Glossary(arg)
	if err != nil {
		return err
	}
	out, _ := s.target()
	return WriteGlossary(out, Here(ctx, s.recording, entries), s.width())
}
