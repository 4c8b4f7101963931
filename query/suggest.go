package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Names are what a statement or a command may refer to.
type Names struct {
	Tables    map[string][]string // tables and views, each with its columns
	Functions []string
	Commands  []string                     // with their dot
	Topics    []string                     // of the manual
	Values    func(column string) []string // that a column has; nil: they are not known
}

// TableNames gives the tables and views in order.
func (n Names) TableNames() []string { return slices.Sorted(maps.Keys(n.Tables)) }

// Suggest finds the known name that was most likely meant by wrong: another
// spelling of it, a shortening, its plural, the words in another order, or
// what another tool calls it.
func Suggest(wrong string, known []string) (string, bool) {
	low := strings.ToLower(strings.Trim(wrong, "\"`[]'"))
	if low == "" {
		return "", false
	}
	for _, meant := range append([]string{low, low + "s", low + "es"}, synonyms[strings.ReplaceAll(low, "-", "_")]...) {
		if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, meant) }); i >= 0 {
			return known[i], true
		}
	}
	best, bestCost := "", 100
	for _, k := range known {
		cost := unlikeness(low, strings.ToLower(k))
		if cost < bestCost || cost == bestCost && k < best {
			best, bestCost = k, cost
		}
	}
	return best, bestCost < 100
}

// unlikeness is a cost: 0 for the same name, 100 for one that was not meant.
// Each slip costs 10, so that ways of being near can be ranked between.
func unlikeness(wrong, name string) int {
	if wrong == name {
		return 0
	}
	slips := editDistance(wrong, name)
	cost := 100
	if slips <= max(1, max(len(wrong), len(name))/3) && slips < len(name) && len(wrong) > 1 {
		cost = 10 * slips
	}
	switch {
	case sameWords(wrong, name):
		cost = min(cost, 5)
	case len(wrong) >= 3 && strings.HasPrefix(name, wrong), len(name) >= 3 && strings.HasPrefix(wrong, name):
		// process for processes, interface for interface_counters
		cost = min(cost, 12+len(name)/4)
	case len(wrong) >= 3:
		// prt for local_port: one part of the name, misspelt at most once
		for _, part := range strings.Split(name, "_") {
			if d := editDistance(wrong, part); part != name && len(part) > 2 && d <= 1 {
				cost = min(cost, 40+10*d)
			}
		}
	}
	return cost
}

func sameWords(a, b string) bool {
	x, y := strings.Split(a, "_"), strings.Split(b, "_")
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// editDistance counts slips of the finger: a letter missing, added, wrong, or
// swapped with its neighbour (Damerau-Levenshtein, optimal alignment). Names
// are short; anything longer is not one.
func editDistance(a, b string) int {
	const longest = 64
	if len(a) > longest || len(b) > longest {
		return longest
	}
	var rows [3][longest + 1]int
	before, prev, cur := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		cur[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, prev, cur = prev, cur, before
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
	}
	return cur[len(b)]
}

var (
	driverWrap  = regexp.MustCompile(`^(?:SQL logic error: )?((?s:.*?))(?: \(\d+\))?$`)
	noTable     = regexp.MustCompile(`no such table: (?:\w+\.)?(\S+)`)
	noColumn    = regexp.MustCompile(`no such column: (?:(\w+)\.)?"?([^\s"]+)`)
	noFunction  = regexp.MustCompile(`no such function: (\S+)`)
	noInsertCol = regexp.MustCompile(`table (\S+) has no column named (\S+)`)
	syntaxNear  = regexp.MustCompile(`near "((?s:.*))": syntax error`)
	wrongCount  = regexp.MustCompile(`wrong number of arguments to function (\w+)\(\)`)
	ambiguous   = regexp.MustCompile(`ambiguous column name: (\S+)`)
)

// Explain gives an error of a statement as one sentence for the user: without
// the driver's wrapping, with the name that was likely meant and with the
// command that lists the right ones, where there is such a command. The
// statement tells which tables' columns to look among.
func Explain(err error, statement string, names Names) string {
	if err == nil {
		return ""
	}
	text := driverWrap.FindStringSubmatch(err.Error())[1]
	hint := ""
	switch m := []string(nil); {
	case match(&m, noTable, text):
		hint = meant(m[1], "", names.TableNames()) + names.step(".tables", "", "lists the tables")
	case match(&m, noInsertCol, text):
		hint = meant(m[2], "", names.columns(m[1])) + names.step(".describe", " "+m[1], "lists its columns")
	case match(&m, noColumn, text):
		hint = names.explainColumn(m[1], m[2], statement)
	case match(&m, noFunction, text):
		hint = meant(m[1], "", slices.Concat(names.Functions, builtinFunctions)) + names.step(".functions", "", "lists ours")
	case match(&m, wrongCount, text):
		for _, f := range Functions() {
			if strings.EqualFold(f.Name, m[1]) {
				hint = fmt.Sprintf("; it is %s(%s)", f.Name, f.Args)
			}
		}
	case match(&m, ambiguous, text):
		for _, t := range tablesIn(statement, len(statement)).refs {
			if slices.ContainsFunc(names.columns(t.table), func(c string) bool { return strings.EqualFold(c, m[1]) }) {
				hint = fmt.Sprintf("; say whose, such as %s.%s", t.alias, m[1])
				break
			}
		}
	case match(&m, syntaxNear, text):
		hint = explainSyntax(m[1], statement)
	}
	return text + hint
}

func match(m *[]string, re *regexp.Regexp, text string) bool {
	*m = re.FindStringSubmatch(text)
	return *m != nil
}

func meant(wrong, prefix string, known []string) string {
	if s, ok := Suggest(wrong, known); ok {
		return fmt.Sprintf("; did you mean %q?", prefix+s)
	}
	return ""
}

// step names the command that goes on from here, if the program has it.
func (n Names) step(command, argument, does string) string {
	if !slices.Contains(n.Commands, command) {
		return ""
	}
	return fmt.Sprintf(" (%s%s %s)", command, argument, does)
}

// columns gives a table's columns whatever the case of its name.
func (n Names) columns(table string) []string {
	if c, ok := n.Tables[table]; ok {
		return c
	}
	for name, c := range n.Tables {
		if strings.EqualFold(name, table) {
			return c
		}
	}
	return nil
}

func (n Names) explainColumn(qualifier, column, statement string) string {
	in := tablesIn(statement, len(statement))
	var known []string
	var table string
	for _, t := range in.refs {
		if qualifier == "" || strings.EqualFold(qualifier, t.alias) || strings.EqualFold(qualifier, t.table) {
			known = append(known, n.columns(t.table)...)
			table = t.table
		}
	}
	if qualifier != "" && known == nil {
		if aliases := in.aliases(); !slices.Contains(aliases, qualifier) {
			if s, ok := Suggest(qualifier, aliases); ok {
				return fmt.Sprintf("; did you mean %q?", s+"."+column)
			}
		}
	}
	if len(in.refs) == 0 {
		return "; the statement names no table to take it from"
	}
	prefix := ""
	if qualifier != "" {
		prefix = qualifier + "."
	}
	hint := meant(column, prefix, known)
	if hint == "" {
		for _, other := range n.TableNames() {
			if slices.Contains(n.Tables[other], strings.ToLower(column)) && !strings.HasSuffix(other, "_now") {
				hint = fmt.Sprintf("; it is a column of %s", other)
				break
			}
		}
	}
	if len(n.columns(table)) > 0 {
		hint += n.step(".describe", " "+table, "lists its columns")
	}
	return hint
}

// explainSyntax looks for a misspelt keyword where SQLite stopped, or just
// before: in "select pid form sockets" form is taken for a name, and SQLite
// stops at sockets.
func explainSyntax(near, statement string) string {
	switch first, _, _ := strings.Cut(strings.ToLower(strings.Trim(strings.TrimSpace(statement), ";")), " "); first {
	case "show", "list", "\\d", "\\dt":
		return " (.tables lists the tables)"
	case "desc", "describe":
		return " (.describe TABLE shows its columns)"
	case "help", "?", "\\?":
		return " (.help shows how to ask)"
	case "quit", "exit", "\\q":
		return " (.quit leaves)"
	}
	previous := ""
	for _, t := range tokens(statement) {
		if t.blank() {
			continue
		}
		word := statement[t.start:t.end]
		if strings.EqualFold(word, near) {
			for _, candidate := range []string{near, previous} {
				if keyword, ok := misspeltKeyword(candidate); ok {
					return fmt.Sprintf("; did you mean %q?", keyword)
				}
			}
		}
		previous = word
	}
	return ""
}

func misspeltKeyword(word string) (string, bool) {
	upper := strings.ToUpper(word)
	if len(word) < 3 || slices.Contains(keywords, upper) {
		return "", false
	}
	for _, k := range keywords {
		if editDistance(upper, k) == 1 && len(k) > 2 {
			return likeTyped(k, word), true
		}
	}
	return "", false
}
