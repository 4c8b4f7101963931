package query

import (
	"strings"

	"netsql/store"
)

// Closes have no index but that of time. The shell has closed_sockets and connections read only those that may be wanted, where the statement says
// so; see store.View.OfCloses.
//
//	SELECT … FROM closed_sockets WHERE remote_addr = '203.0.113.7' [AND ts >= at('-7d')] …
//	SELECT … FROM connections WHERE remote_addr IN ('203.0.113.7', '2001:db8::7') AND local_port = 443 …

// ofCloses is the body of the view for a statement that asks about some closes; ok is false where that one does not.
func ofCloses(statement string, v store.View) (body string, ok bool) {
	if v.Name != "closed_sockets" && v.Name != "connections" {
		return "", false
	}
	var wanted []store.Wanted
	since, until := "", ""
	for _, c := range conditionsOn(statement, v.Name) {
		if column, values := c.oneOf(statement); len(values) > 0 && len(values) <= 100 {
			wanted = append(wanted, store.Wanted{Column: column, Values: values})
			continue
		}
		low, high, is := c.moments(statement)
		if !is && v.Name == "closed_sockets" { // what it says of ts bounds what is read
			return "", false
		}
		if low != "" {
			since = low
		}
		if high != "" {
			until = high
		}
	}
	return v.OfCloses(wanted, since, until)
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
