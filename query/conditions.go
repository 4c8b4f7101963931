package query

import (
	"regexp"
	"strings"
)

// A condition must hold for each row that a statement wants: the words between the ANDs of its WHERE.
type condition []word

// conditionsOn are those of a statement that reads one view and nothing else; nil: there is none.
func conditionsOn(statement, view string) []condition {
	all, where := readsOnly(statement, view)
	if where < 0 || where >= len(all) || all[where].text != "where" {
		return nil
	}
	depth := all[where].depth
	var found []condition
	between, begin, i := false, where+1, where+1
	for ; i < len(all) && all[i].depth >= depth && !(all[i].depth == depth && endsClause[all[i].text]); i++ {
		if all[i].depth > depth {
			continue
		}
		switch all[i].text {
		case "or", "case":
			return nil
		case "between":
			between = true
		case "and":
			if !between {
				found = append(found, all[begin:i])
				begin = i + 1
			}
			between = false
		}
	}
	return append(found, all[begin:i])
}

// readsOnly are the words of a statement that reads one view and nothing else, and where its FROM clause ends; -1: it is another one.
func readsOnly(statement, view string) (all []word, end int) {
	all = wordsOf(statement)
	at := func(i int) string {
		if i < 0 || i >= len(all) {
			return ""
		}
		return all[i].text
	}
	from := -1
	for i, w := range all {
		switch {
		case strings.Trim(w.text, `"`) != view:
		case from >= 0 || at(i-1) != "from":
			return nil, -1 // more than once, or beside another
		default:
			from = i
		}
	}
	if from < 0 {
		return nil, -1
	}
	end = from + 1
	if at(end) == "as" {
		end++
	}
	if end < len(all) && all[end].kind != tokenMark && !endsClause[all[end].text] {
		end++ // another name
	}
	if end < len(all) && all[end].depth == all[from].depth && !endsClause[all[end].text] {
		return nil, -1
	}
	return all, end
}

// column is the column that the condition begins with, and what follows it.
func (c condition) column() (string, condition) {
	if len(c) > 2 && c[1].text == "." {
		c = c[2:]
	}
	if len(c) == 0 || c[0].kind != tokenWord {
		return "", nil
	}
	return c[0].text, c[1:]
}

// oneOf are the values, as SQL, of which a column must have one; "": the condition says something else.
func (c condition) oneOf(statement string) (column string, values []string) {
	column, rest := c.column()
	at := func(i int) string {
		if i < len(rest) {
			return rest[i].text
		}
		return ""
	}
	literal := func(i int) bool {
		if i >= len(rest) || !(rest[i].kind == tokenString && simpleString.MatchString(at(i)) || rest[i].kind == tokenNumber && simpleNumber.MatchString(at(i))) {
			return false
		}
		values = append(values, statement[rest[i].start:rest[i].end])
		return true
	}
	switch {
	case at(0) == "=" && at(1) == "=" && literal(2) && len(rest) == 3, (at(0) == "=" || at(0) == "is") && literal(1) && len(rest) == 2:
		return column, values
	case at(0) == "in" && at(1) == "(":
		for i := 2; literal(i); i += 2 {
			if at(i+1) == ")" && i+2 == len(rest) {
				return column, values
			} else if at(i+1) != "," {
				break
			}
		}
	}
	return "", nil
}

// moments are the bounds that the condition has for ts, as SQL without columns. ok is false where it says something else of ts.
func (c condition) moments(statement string) (since, until string, ok bool) {
	column, rest := c.column()
	if column != "ts" || len(rest) < 2 {
		for _, w := range c {
			if strings.Trim(w.text, "`\"[]") == "ts" {
				return "", "", false
			}
		}
		return "", "", true
	}
	constant := func(words []word) string {
		if n, ok := constantFrom(words, 0); !ok || n != len(words) {
			return ""
		}
		return statement[words[0].start:words[len(words)-1].end]
	}
	value := 1
	if rest[1].text == "=" { // >= and <= are two words
		value = 2
	}
	switch rest[0].text {
	case "=":
		since = constant(rest[value:])
		return since, since, since != ""
	case ">":
		since = constant(rest[value:])
		return since, "", since != ""
	case "<":
		until = constant(rest[value:])
		return "", until, until != ""
	case "between":
		for i, w := range rest {
			if w.text == "and" && w.depth == rest[0].depth {
				since, until = constant(rest[1:i]), constant(rest[i+1:])
				if since != "" && until != "" {
					return since, until, true
				}
				return "", "", false
			}
		}
	}
	return "", "", false
}

// momentsAsked are the bounds that a statement which reads one view and nothing else has for ts, as SQL without columns; "": it has none.
func momentsAsked(statement, view string) (since, until string) {
	for _, c := range conditionsOn(statement, view) {
		low, high, _ := c.moments(statement)
		if low != "" {
			since = low
		}
		if high != "" {
			until = high
		}
	}
	return since, until
}

// constantFrom reads an expression that is the same for all rows, and returns what follows it: numbers and strings, at and unixepoch of
// such, joined by + - * /.
func constantFrom(words []word, i int) (next int, ok bool) {
	is := func(text string) bool { return i < len(words) && words[i].text == text }
	for {
		for is("-") || is("+") {
			i++
		}
		switch {
		case i >= len(words):
			return i, false
		case words[i].kind == tokenNumber && simpleNumber.MatchString(words[i].text), words[i].kind == tokenString && simpleString.MatchString(words[i].text):
			i++
		case is("("):
			if i, ok = constantFrom(words, i+1); !ok || !is(")") {
				return i, false
			}
			i++
		case is("at") || is("unixepoch"):
			if i++; !is("(") {
				return i, false
			}
			for more := true; more; more = is(",") {
				if i, ok = constantFrom(words, i+1); !ok {
					return i, false
				}
			}
			if !is(")") {
				return i, false
			}
			i++
		default:
			return i, false
		}
		if !is("+") && !is("-") && !is("*") && !is("/") {
			return i, true
		}
		i++
	}
}

// simpleNumber and simpleString are what is read the same by everybody.
var (
	simpleNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]*)?$`)
	simpleString = regexp.MustCompile(`^'[^'\x00]*'$`)
)
