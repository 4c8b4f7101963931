package query

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"netsql/store"
)

// A file that somebody has sent may have anything in the place of a table: a view that never ends, a virtual table, a column that is worked out
// when it is read. Views of the names of this program's views are not asked, as a TEMP view comes first. What those read must be tables that only
// hold values.

// tablesRead are the words of this program's views, among them the names of all tables that they read, in small letters.
var tablesRead = sync.OnceValue(func() map[string]bool {
	words := map[string]bool{"recording": true, "sample": true, "run": true, "gap": true, "namespace": true, "process": true}
	for _, v := range store.Views() {
		if v.InFile != "" {
			continue // the glossary is text, and reads no table
		}
		for word := range strings.FieldsFuncSeq(v.Body, func(r rune) bool { return r < utf8.RuneSelf && !partOfName(byte(r)) }) {
			words[strings.ToLower(word)] = true
		}
	}
	return words
})

// checkTables refuses a recording with something else in the place of a table.
func (r *Recording) checkTables(ctx context.Context) error {
	rows, err := r.conn.Conn.QueryContext(ctx, `SELECT name, type = 'view', coalesce(rootpage, 0) = 0 FROM main.sqlite_schema m
		WHERE type = 'view' OR type = 'table' AND (coalesce(rootpage, 0) = 0 OR EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name, 'main') WHERE hidden > 1))`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var view, virtual bool
		if err := rows.Scan(&name, &view, &virtual); err != nil {
			return err
		}
		_, inRecording, merged := strings.Cut(name, "/") // of a host
		if !merged {
			inRecording = name
		}
		_, ours := viewsByName()[strings.ToLower(inRecording)]
		if !tablesRead()[strings.ToLower(inRecording)] || view && ours {
			continue
		}
		what := "a table with columns that are worked out"
		switch {
		case view:
			what = "a view"
		case virtual:
			what = "a virtual table"
		}
		return fmt.Errorf("%s is %w of netsql: %s in it is %s, where a recording has a table of values; somebody has changed the file",
			escapeControls(r.Path), store.ErrNotRecording, escapeControls(name), what)
	}
	return rows.Err()
}
