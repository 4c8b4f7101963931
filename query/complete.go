package query

import (
	"maps"
	"slices"
	"strings"
)

// Completions gives what may stand at the cursor (a byte offset): whole words
// that replace text[from:cursor]. Tables follow FROM and JOIN, an alias's
// columns follow its dot (also when FROM stands after the cursor), dot-commands
// a leading dot, tables some dot-commands; elsewhere come the columns of the
// statement's tables, then functions and keywords, each sorted. Behind an
// operator come the values of the column before it, also in an open string.
// Inside quoted names and comments there is nothing to offer.
//
// A name that SQL would not take plainly comes quoted ("table"), so a
// candidate need not begin with what was typed.
func Completions(text string, cursor int, names Names) (candidates []string, from int) {
	cursor = max(0, min(cursor, len(text)))
	s := statementAt(text, cursor)
	if s.dot {
		return completeCommand(text, s, cursor, names)
	}
	if v, ok := valueAt(text[s.start:s.end], cursor-s.start); ok {
		if found := v.candidates(names); len(found) > 0 || v.prefix != "" {
			return slices.DeleteFunc(found, func(s string) bool { return s == v.prefix }), cursor - len(v.prefix)
		}
	}
	c, ok := contextAt(text[s.start:s.end], cursor-s.start, text[min(cursor, len(text)):])
	if !ok {
		return nil, cursor
	}
	found := c.candidates(names)
	return slices.DeleteFunc(found, func(s string) bool { return s == c.prefix }), cursor - len(c.prefix)
}

// statementAt finds the statement that the cursor is in, or an empty one.
func statementAt(text string, cursor int) statement {
	for _, s := range statements(text) {
		if s.start <= cursor && (cursor < s.end || cursor == s.end && (s.dot || !s.done)) {
			return s
		}
	}
	return statement{start: cursor, end: cursor}
}

var tableCommands = map[string]bool{".describe": true, ".schema": true}

func completeCommand(text string, s statement, cursor int, names Names) ([]string, int) {
	typed := text[s.start:cursor]
	command, rest, argument := strings.Cut(typed, " ")
	if !argument {
		return startingWith(names.Commands, typed), s.start
	}
	command, word := strings.ToLower(command), strings.TrimLeft(rest, " ")
	first, second, more := strings.Cut(word, " ")
	switch {
	case fileCommands[command] && !more:
		return fileNames(word), cursor - len(word)
	case !more:
		return startingWith(wordsOfCommand(command, names), word), cursor - len(word)
	}
	second = strings.TrimLeft(second, " ")
	if strings.Contains(second, " ") {
		return nil, cursor
	}
	return startingWith(secondWords(command, first, names), second), cursor - len(second)
}

// A sqlContext is what a statement says about the place of the cursor.
type sqlContext struct {
	prefix    string // the part of the word before the cursor
	qualifier string // the name before a dot before that
	tables    tableScan
	called    bool // a parenthesis follows already
}

func contextAt(stmt string, cursor int, after string) (sqlContext, bool) {
	var c sqlContext
	var before []token // the tokens ahead of the prefix, without blanks
	for _, t := range tokens(stmt) {
		if t.start >= cursor {
			break
		}
		inside := cursor < t.end
		switch {
		case t.kind == tokenWord && cursor <= t.end:
			c.prefix = stmt[t.start:cursor]
			continue
		case t.kind == tokenNumber && cursor <= t.end,
			!t.blank() && t.kind != tokenMark && inside,
			t.kind == tokenComment && (inside || !strings.HasSuffix(stmt[:t.end], "\n") && strings.HasPrefix(stmt[t.start:], "--")),
			t.open:
			return c, false
		case !t.blank():
			before = append(before, t)
		}
	}
	word := func(back int) string {
		if len(before) < back {
			return ""
		}
		t := before[len(before)-back]
		return stmt[t.start:t.end]
	}
	switch last := word(1); {
	case last == ".":
		c.qualifier = unquote(word(2))
		if c.qualifier == "" {
			return c, false
		}
	case strings.EqualFold(last, "AS"), last == ":", last == "@", last == "?":
		return c, false // the user makes up a name here
	}
	c.tables = tablesIn(stmt, cursor-len(c.prefix))
	c.called = strings.HasPrefix(after, "(")
	return c, true
}

func (c sqlContext) candidates(names Names) []string {
	if c.qualifier != "" {
		return c.qualified(names)
	}
	if c.tables.expected {
		return quoted(startingWith(append(names.TableNames(), c.tables.ctes...), c.prefix))
	}
	var columns []string
	for _, t := range c.tables.refs {
		columns = append(columns, names.columns(t.table)...)
	}
	if c.prefix == "" {
		return quoted(startingWith(columns, ""))
	}
	if len(c.tables.refs) == 0 { // FROM is still to be written
		for _, t := range names.TableNames() {
			columns = append(columns, names.Tables[t]...)
		}
	}
	found := quoted(startingWith(columns, c.prefix))
	for _, f := range startingWith(slices.Concat(names.Functions, builtinFunctions), c.prefix) {
		if !c.called {
			f += "("
		}
		found = append(found, f)
	}
	for _, k := range startingWith(keywords, c.prefix) {
		found = append(found, likeTyped(k, c.prefix))
	}
	return found
}

func (c sqlContext) qualified(names Names) []string {
	if c.tables.expected { // main.sockets
		return quoted(startingWith(names.TableNames(), c.prefix))
	}
	for _, t := range c.tables.refs {
		if strings.EqualFold(t.alias, c.qualifier) {
			return quoted(startingWith(names.columns(t.table), c.prefix))
		}
	}
	return quoted(startingWith(names.columns(c.qualifier), c.prefix)) // FROM is still to be written
}

// startingWith gives the words that begin with prefix in any case, sorted and
// each once.
func startingWith(words []string, prefix string) []string {
	var found []string
	for _, w := range words {
		if len(w) >= len(prefix) && strings.EqualFold(w[:len(prefix)], prefix) {
			found = append(found, w)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// likeTyped gives a keyword the case in which the user began it.
func likeTyped(keyword, typed string) string {
	if typed != "" && typed[0] >= 'a' && typed[0] <= 'z' {
		return strings.ToLower(keyword)
	}
	return keyword
}

func quoted(identifiers []string) []string {
	for i, s := range identifiers {
		plain := s != "" && span(s, isWord) == len(s) && (s[0] < '0' || s[0] > '9') && !reserved[strings.ToUpper(s)]
		if !plain {
			identifiers[i] = `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
		}
	}
	return identifiers
}

func unquote(name string) string {
	if len(name) < 2 {
		return name
	}
	switch name[0] {
	case '"', '`':
		q := name[:1]
		return strings.ReplaceAll(name[1:len(name)-1], q+q, q)
	case '[':
		return name[1 : len(name)-1]
	}
	return name
}

// A tableRef is a table of a statement with the name its columns go by.
type tableRef struct{ table, alias string }

type tableScan struct {
	refs     []tableRef
	ctes     []string // names that WITH gives
	expected bool     // a table name would stand at the place asked for
}

func (s tableScan) aliases() []string {
	seen := make(map[string]bool)
	for _, r := range s.refs {
		seen[r.alias] = true
	}
	return slices.Sorted(maps.Keys(seen))
}

// tablesIn reads the tables that a statement names, wherever they stand in it,
// and whether a table name belongs at offset at. It is no parser: subqueries
// share one list, which at worst offers a column too many.
func tablesIn(stmt string, at int) tableScan {
	var found tableScan
	var all []token
	asked := 0 // the token at the offset asked for
	for _, t := range tokens(stmt) {
		if t.blank() {
			continue
		}
		if t.start < at {
			asked++
		}
		all = append(all, t)
	}
	text := func(i int) string {
		if i < 0 || i >= len(all) {
			return ""
		}
		return stmt[all[i].start:all[i].end]
	}
	upper := func(i int) string { return strings.ToUpper(text(i)) }
	isName := func(i int) bool {
		return i < len(all) && (all[i].kind == tokenName || all[i].kind == tokenWord && !reserved[upper(i)] && !joinWords[upper(i)])
	}

	var outside []bool             // for each open parenthesis: inList before it
	inList, wanted := false, false // a comma goes on to a table; a table comes next
	for i := 0; i < len(all); i++ {
		if i == asked {
			found.expected = wanted
		}
		switch word := upper(i); {
		case wanted && isName(i):
			wanted = false
			ref := tableRef{table: unquote(text(i))}
			for text(i+1) == "." { // main.sockets
				i++
				if asked == i+1 {
					found.expected = true
				}
				if isName(i + 1) {
					i++
					ref.table = unquote(text(i))
				}
			}
			ref.alias = ref.table
			if upper(i+1) == "AS" {
				i++
			}
			if isName(i+1) && !listEnds[upper(i+1)] {
				i++
				ref.alias = unquote(text(i))
			}
			found.refs = append(found.refs, ref)
		case word == "FROM" || word == "JOIN":
			inList, wanted = true, true
		case word == "INTO" || word == "UPDATE", upper(i-1) == "DROP" && (word == "TABLE" || word == "VIEW"):
			inList, wanted = false, true
		case listEnds[word]:
			inList, wanted = false, false
		case word == "(":
			outside = append(outside, inList)
			inList = false
		case word == ")":
			if n := len(outside) - 1; n >= 0 {
				inList, outside = outside[n], outside[:n]
			}
			wanted = false
		case word == ",":
			wanted = inList
		case isName(i) && upper(i+1) == "AS" && text(i+2) == "(":
			found.ctes = append(found.ctes, unquote(text(i)))
		default:
			wanted = false
		}
	}
	if asked == len(all) {
		found.expected = found.expected || wanted
	}
	return found
}

// listEnds are the words after which a comma goes on to something else than a
// table.
var listEnds = wordSet("SELECT WHERE GROUP ORDER HAVING LIMIT UNION EXCEPT INTERSECT SET VALUES WINDOW RETURNING")
