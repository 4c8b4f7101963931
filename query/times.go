package query

import (
	"slices"
	"strings"
	"sync"

	"netsql/store"
)

// A result says of its columns only their names. That of ts or max(opened) tells that it holds moments; under another name (ts AS t) the statement
// tells. SQLite knows the origin of a column, but not through a view that works it out, nor through max(). A number that is no time must never be
// shown as one. So a name counts only where nothing else in the statement can have it: see timeAliases.

// forPeople are the modes in which times under other names are shown as times. Programs that read the others know what they have asked for.
var forPeople = []string{"box", "table", "column", "line", "markdown"}

// timeAliases are the names, in small letters, that a statement gives to times: ts AS t, max(s.ts) AS newest, and t AS u where t is such a name, in
// subqueries and in WITH as well. A name that stands for a time in one place and for something else in another is none. There are none where a
// table of the user's own, another SELECT of a UNION or a list of names (WITH x(t) AS …) may bring something else under the name.
func timeAliases(statement string) map[string]bool {
	all := wordsOf(statement)
	common := map[string]bool{}
	for i, w := range all {
		switch {
		case w.text == "union" || w.text == "except" || w.text == "intersect":
			return nil
		case w.text == "as" && i > 0 && i+1 < len(all) && (all[i+1].text == "(" || all[i+1].text == "materialized" || all[i+1].text == "not"):
			common[nameOf(all[i-1])] = true
		}
	}
	for _, ref := range tablesIn(statement, len(statement)).refs {
		name := strings.ToLower(ref.table)
		if _, ours := viewsByName()[name]; !ours && !common[name] {
			return nil
		}
	}
	type alias struct {
		name, of string
	}
	var given []alias
	for i, w := range all {
		if w.text != "as" || w.kind != tokenWord || i == 0 || i+1 >= len(all) || !isName(all[i+1]) {
			continue
		}
		name := nameOf(all[i+1])
		first := i
		for first > 0 && all[first-1].depth >= w.depth && !(all[first-1].depth == w.depth && (all[first-1].text == "," || all[first-1].text == "select" || all[first-1].text == "distinct" || all[first-1].text == "from" || all[first-1].text == "join")) {
			first--
		}
		if first == 0 || all[first-1].text == "from" || all[first-1].text == "join" {
			continue // the name of a table
		}
		var of strings.Builder
		for _, part := range all[first:i] {
			text := part.text
			if isName(part) {
				text = nameOf(part)
			}
			of.WriteString(text)
		}
		given = append(given, alias{name, of.String()})
	}
	times, other := map[string]bool{}, otherColumns()
	isOne := func(of string) bool {
		for _, function := range []string{"min(", "max("} {
			if inner, ok := strings.CutPrefix(of, function); ok && strings.HasSuffix(inner, ")") && !strings.ContainsAny(inner[:len(inner)-1], "(),") {
				of = inner[:len(inner)-1]
			}
		}
		if _, column, ok := strings.Cut(of, "."); ok {
			of = column
		}
		return times[of] || timeColumns()[of]
	}
	for range given { // a name may be given to another name
		for _, a := range given {
			if isOne(a.of) {
				times[a.name] = true
			}
		}
	}
	for more := true; more; {
		more = false
		for _, a := range given {
			if times[a.name] && (other[a.name] || !isOne(a.of)) {
				delete(times, a.name)
				more = true
			}
		}
	}
	return times
}

// otherColumns are the names of columns that hold no moments.
var otherColumns = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			if !c.Time() {
				names[c.Name] = true
			}
		}
	}
	return names
})

func isName(w word) bool { return w.kind == tokenWord || w.kind == tokenName }

// nameOf is a name without its quotes, in small letters.
func nameOf(w word) string { return strings.ToLower(nameIn(w.text)) }

// columnsOf are the columns of a result of a statement, in a mode.
func columnsOf(names []string, statement, mode string) []Column {
	var aliases map[string]bool
	if slices.Contains(forPeople, mode) {
		aliases = timeAliases(statement)
	}
	columns := make([]Column, len(names))
	for i, name := range names {
		columns[i] = Column{Name: name, Time: isTime(name) || aliases[strings.ToLower(name)]}
	}
	return columns
}
