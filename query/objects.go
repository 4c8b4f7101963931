package query

import (
	"regexp"
	"strings"
)

// events is a view of many parts, one for each kind of object, and SQLite works out all of them whatever objects are asked for. So the shell
// makes it of the parts that are wanted, where the statement says so:
//
//	SELECT … FROM events [WHERE …] AND object = 'route' …
//	SELECT … FROM events WHERE object IN ('route', 'interface') …

// objectsAsked are the objects that a statement about events asks for; nil: it may be any.
func objectsAsked(statement string) []string {
	var objects []string
	for _, c := range conditionsOn(statement, "events") {
		if column, values := c.oneOf(statement); column == "object" && objects == nil {
			for _, v := range values {
				objects = append(objects, strings.Trim(v, "'"))
			}
		}
	}
	return objects
}

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

// sumsUp reports whether a statement only sums up the rows of the view, so that their order does not matter.
func sumsUp(statement, view string) bool {
	all, end := readsOnly(statement, view)
	if end < 0 || all[0].text != "select" {
		return false
	}
	sums := false
	for i, w := range all {
		switch w.text {
		case "group_concat", "string_agg", "json_group_array", "json_group_object", "jsonb_group_array", "jsonb_group_object", "over", "limit", "union", "except", "intersect":
			return false
		case "select":
			if i > 0 {
				return false
			}
		case "count", "sum", "total", "avg", "min", "max":
			// With several arguments min and max sum up nothing.
			sums = sums || i < end && w.depth == 0 && i+3 < len(all) && all[i+1].text == "(" && (all[i+2].kind == tokenWord || all[i+2].text == "*") && all[i+3].text == ")"
		case "group":
			sums = sums || i >= end && w.depth == 0
		}
	}
	return sums
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

// simpleNumber and simpleString are what is read the same by everybody.
var (
	simpleNumber = regexp.MustCompile(`^[0-9]+(\.[0-9]*)?$`)
	simpleString = regexp.MustCompile(`^'[^'\x00]*'$`)
)
