package query

import (
	"context"
	"slices"
)

// SQLite asks at() when it comes to a row that the answer decides on, and of a table without rows it asks nothing. What at() has to say of a moment
// must be said all the same: that nobody looked then is most of what is known. So each moment that a statement names is looked up by itself.

// settle looks up the moments that a statement names, for the notes of at(). What is wrong with one the statement's own run tells.
func (r *Recording) settle(ctx context.Context, statement string, args []any) {
	for _, call := range momentsNamed(statement) {
		rows, err := r.conn.Conn.QueryContext(ctx, "SELECT "+call, args...)
		if err != nil {
			continue
		}
		rows.Next() // this is what asks
		_ = rows.Close()
	}
}

// momentsNamed are the calls of at() in a statement that depend on no row, as SQL.
func momentsNamed(statement string) (calls []string) {
	all := wordsOf(statement)
	for i, w := range all {
		if w.text != "at" || w.kind != tokenWord || i+1 >= len(all) || all[i+1].text != "(" {
			continue
		}
		end := i + 2
		for end < len(all) && all[end].depth > w.depth && sameForAllRows(all, end) {
			end++
		}
		if end < len(all) && all[end].depth == w.depth {
			if call := statement[w.start:all[end].end]; !slices.Contains(calls, call) {
				calls = append(calls, call)
			}
		}
	}
	return calls
}

// sameForAllRows reports whether a word within a call of at() is of a number, a string, a parameter, or the call of another function of times.
func sameForAllRows(all []word, i int) bool {
	switch w := all[i]; w.kind {
	case tokenNumber, tokenString:
		return true
	case tokenMark:
		return w.text != ";"
	case tokenWord:
		if before := all[i-1]; (before.text == ":" || before.text == "@") && before.end == w.start || w.text[0] == '$' {
			return true // a parameter
		}
		return i+1 < len(all) && all[i+1].text == "(" && slices.Contains([]string{"at", "ts", "unixepoch"}, w.text)
	}
	return false
}
