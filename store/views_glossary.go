package store

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"netsql/store/glossary"
)

// glossaryView is the glossary, of these views' columns too.
//
// The words are of the program, not of the machine. So the shell asks a view whose words are those of the program that asks: one literal, which
// SQLite does not look into before. In a file they stand in the table wordsTable, for other programs: in a view they would take memory of each
// connection. The table holds nothing that was recorded, so it is none of the migrations', and a recorder that opens the file makes it new with
// the views.
func glossaryView(of []View) View {
	text := func(name, doc string) Column { return Column{Name: name, Doc: doc, Role: Value} }
	v := View{
		Name: glossaryName,
		Doc:  "What does a state, a flag, a column, a unit, a counter, a setting or the reason of a drop mean? A row for each spelling of a word, in any case.",
		Columns: []Column{
			text("word", "The word, in one of its spellings."),
			text("kind", "What it is: state, flag, column, counter, drop reason, setting, unit and so on."),
			text("what", "What it means; of a column with its unit, and the tables that have it so."),
			text("normal", "What is normal; NULL where nothing is said of that."),
			text("worry", "When to worry; NULL where nothing is said of that."),
			text("next", "A SELECT that looks at it; NULL where there is none."),
		},
		InFile: "SELECT w.value COLLATE NOCASE AS word, kind, what, normal, worry, next FROM " + wordsTable + " e, json_each(e.words) w",
	}
	var rows [][]any
	for _, e := range append(glossary.All(), columnWords(append(of, v))...) {
		row := []any{append([]string{e.Word}, e.Also...), e.Kind, e.What}
		for _, more := range []string{e.Normal, e.Worry, e.Next} {
			if more == "" {
				row = append(row, nil)
			} else {
				row = append(row, more)
			}
		}
		rows = append(rows, row)
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(rows); err != nil {
		panic(err) // of texts it does not happen
	}
	v.Body = "SELECT w.value COLLATE NOCASE AS word" + wordColumns + "\n  FROM json_each('" + strings.ReplaceAll(strings.TrimSpace(b.String()), "'", "''") +
		"') e, json_each(e.value, '$[0]') w"
	return v
}

const glossaryName = "glossary"

// wordsTable is the table with the glossary: words has the spellings of an entry, as JSON.
const wordsTable = "glossary_entry"

// wordColumns are the other columns of an entry in the literal.
const wordColumns = ", e.value ->> 1 AS kind, e.value ->> 2 AS what, e.value ->> 3 AS normal, e.value ->> 4 AS worry, e.value ->> 5 AS next"

// isWords finds the table in the schema.
const isWords = "type = 'table' AND name = '" + wordsTable + "'"

// makeWords is the SQL that makes the table, where there is none. The glossary is the last of the views.
func makeWords(views []View) string {
	_, from, _ := strings.Cut(views[len(views)-1].Body, "\n")
	entries, _ := strings.CutSuffix(from, ", json_each(e.value, '$[0]') w")
	return "CREATE TABLE " + wordsTable + " (words TEXT, kind TEXT, what TEXT, normal TEXT, worry TEXT, next TEXT) STRICT;\n" +
		"INSERT INTO " + wordsTable + " SELECT e.value ->> 0" + wordColumns + entries + ";\n"
}

// columnWords are the columns of views as entries, once where several say the same of one.
func columnWords(of []View) []glossary.Entry {
	var found []glossary.Entry
	tables := map[string][]string{}
	for _, v := range of {
		if strings.HasSuffix(v.Name, "_now") {
			continue
		}
		for _, c := range v.Columns {
			what := c.Doc
			if c.Unit != "" {
				what = c.Unit + ". " + what
			}
			key := c.Name + "\n" + what
			e := glossary.Column(v.Name, c.Name)
			e.What = what
			if tables[key] == nil {
				found = append(found, e)
			} else if e.Worry != "" { // the table of which more is said comes behind another
				i := slices.IndexFunc(found, func(f glossary.Entry) bool { return f.Word == e.Word && f.What == what })
				found[i] = e
			}
			if !slices.Contains(tables[key], v.Name) {
				tables[key] = append(tables[key], v.Name)
			}
		}
	}
	for i, e := range found {
		in := tables[e.Word+"\n"+e.What]
		more := ""
		if len(in) > 3 {
			in, more = in[:3], " …"
		}
		found[i].What += " (" + strings.Join(in, ", ") + more + ")"
	}
	return found
}
