package store

import (
	"fmt"
	"strings"
)

// spanTableColumns are the columns that every table of spans has in its tables of the file, besides those that are declared.
var spanTableColumns = strings.Fields("id subject length from_sample tuple first_sample last_sample gone_sample since")

// Schema is what a migration must make of the table: its subjects, tuples, and closed and
// open spans. A test holds the migrated schema against it.
func (t *Table) Schema() []string {
	columns := func(cols []Column) string {
		var b strings.Builder
		for _, c := range inFile(cols) {
			fmt.Fprintf(&b, ",\n    %-20s %s", c.stored, c.kind.sqlType())
		}
		return b.String()
	}
	var first, later []Column // those that came to the table after since
	for _, c := range t.id {
		if c.added {
			later = append(later, c)
		} else {
			first = append(first, c)
		}
	}
	name := t.Subject
	values := columns(t.span)
	if len(t.rare) > 0 {
		values = fmt.Sprintf(",\n    %-20s INTEGER NOT NULL", "tuple") + values
	}
	row := func(name, kind string) string { return fmt.Sprintf("    %-20s %s", name, kind) }
	s := []string{
		"CREATE TABLE " + name + " (\n" + row("id", "INTEGER PRIMARY KEY") + ",\n" +
			row("first_sample", "INTEGER NOT NULL") + ",\n" + row("last_sample", "INTEGER") + ",\n" +
			row("gone_sample", "INTEGER") + columns(first) + ",\n" + row("since", "REAL") + columns(later) + "\n) STRICT",
		fmt.Sprintf("CREATE INDEX %s_last ON %s (last_sample) WHERE last_sample IS NOT NULL", name, name),
	}
	if t.rests {
		s = append(s, fmt.Sprintf("CREATE INDEX %s_resting ON %s (last_sample) WHERE gone_sample IS NULL AND last_sample IS NOT NULL", name, name))
	}
	if len(t.rare) > 0 {
		s = append(s, "CREATE TABLE "+name+"_tuple (\n"+row("id", "INTEGER PRIMARY KEY")+columns(t.rare)+"\n) STRICT")
	}
	return append(s,
		"CREATE TABLE "+name+"_span (\n"+row("id", "INTEGER PRIMARY KEY")+
			",\n"+row("length", "INTEGER NOT NULL")+values+"\n) STRICT",
		"CREATE TABLE "+name+"_open (\n"+row("subject", "INTEGER PRIMARY KEY")+",\n"+
			row("from_sample", "INTEGER NOT NULL")+values+"\n) STRICT")
}
