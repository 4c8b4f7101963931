package query

import (
	"strings"
)

// events is a view of many parts, one for each kind of object, and SQLite works out all of them whatever objects are asked for. So the shell
// makes it of the parts that are wanted, where the statement says so:
//
//	SELECT … FROM events [WHERE …] AND object = 'route' …
//	SELECT … FROM events WHERE object IN ('route', 'interface') …

// objectsAsked are the objects that a statement about events asks for; nil: it may be any.
func objectsAsked(statement string) []string {
	all := wordsOf(statement)
	at := func(i int) word {
		if i < 0 || i >= len(all) {
			return word{}
		}
		return all[i]
	}
	from := -1
	for i, w := range all {
		switch {
		case strings.Trim(w.text, `"`) != "events":
		case from >= 0 || at(i-1).text != "from":
			return nil // more than once, or beside another
		default:
			from = i
		}
	}
	if from < 0 {
		return nil
	}
	depth, where := all[from].depth, from+1
	if at(where).text == "as" {
		where++
	}
	if at(where).text != "where" {
		where++ // another name
	}
	if at(where).text != "where" || at(where).depth != depth {
		return nil
	}
	var objects []string
	between, upTo := false, -1 // the AND of a BETWEEN
	for i := where + 1; i < len(all) && all[i].depth >= depth && !(all[i].depth == depth && endsClause[all[i].text]); i++ {
		if all[i].depth > depth {
			continue
		}
		switch all[i].text {
		case "or", "case":
			return nil
		case "between":
			between = true
		case "and":
			if between {
				between, upTo = false, i
			}
		case "object":
			before := i - 1
			if at(before).text == "." {
				before -= 2
			}
			if found, after := literals(at, i+1); objects == nil && (before == where || at(before).text == "and" && before != upTo) && ends(at(after), depth) {
				objects = found
			}
		}
	}
	return objects
}

// ends reports whether a comparison may end before that word.
func ends(w word, depth int) bool {
	return w.text == "" || w.text == "and" || w.depth < depth || endsClause[w.text]
}

// literals are the strings with which what stands before word i is compared, if it must be one of them, and the word after them.
func literals(at func(int) word, i int) (found []string, after int) {
	text := func(i int) (string, bool) {
		w := at(i).text
		if len(w) < 2 || w[0] != '\'' || strings.Contains(w[1:len(w)-1], "'") {
			return "", false
		}
		return w[1 : len(w)-1], true
	}
	if at(i).text == "=" && at(i+1).text == "=" {
		i++
	}
	switch at(i).text {
	case "=", "is":
		if s, ok := text(i + 1); ok {
			return []string{s}, i + 2
		}
	case "in":
		if at(i+1).text != "(" {
			return nil, i
		}
		for i += 2; ; i += 2 {
			s, ok := text(i)
			if !ok {
				return nil, i
			}
			found = append(found, s)
			switch at(i + 1).text {
			case ")":
				return found, i + 2
			case ",":
			default:
				return nil, i
			}
		}
	}
	return nil, i
}
