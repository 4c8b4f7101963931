package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// parameterName is the name of a parameter without the mark before it.
func parameterName(name string) string { return strings.TrimLeft(name, ":@$") }

// parameterValue is what a person means by a text: a number where it looks like one, NULL, or the text, which quotes make of anything.
func parameterValue(text string) any {
	if strings.EqualFold(text, "null") {
		return nil
	}
	if n := len(text); n >= 2 && text[0] == '\'' && text[n-1] == '\'' {
		return strings.ReplaceAll(text[1:n-1], "''", "'")
	}
	return numberOrText(text)
}

// numberOrText is a number where the text is written as one, and nothing of it is lost so: 007 and an address are texts.
func numberOrText(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n
	}
	digits := strings.TrimPrefix(text, "-")
	if whole, _, is := strings.Cut(digits, "."); is && simpleNumber.MatchString(digits) && (whole == "0" || whole[0] != '0') {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return f
		}
	}
	return text
}

// parameter is .param: it sets, lists and forgets values of parameters.
func (s *Shell) parameter(_ context.Context, arg string) error {
	verb, rest, _ := strings.Cut(strings.TrimSpace(arg), " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "set":
		name, value, ok := strings.Cut(rest, " ")
		if !ok || parameterName(name) == "" {
			return errors.New("set which parameter to what? .param set :port 443, say")
		}
		s.params[parameterName(name)] = parameterValue(strings.TrimSpace(value))
	case "unset":
		if _, ok := s.params[parameterName(rest)]; !ok {
			return fmt.Errorf("no parameter %s is set: .param list shows them", quoteWords(rest))
		}
		delete(s.params, parameterName(rest))
	case "clear":
		clear(s.params)
	case "list", "":
		out := s.textOut()
		for _, name := range slices.Sorted(maps.Keys(s.params)) {
			if _, err := fmt.Fprintf(out, ":%s = %s\n", escapeControls(name), escapeControls((&sink{}).literal(s.params[name]))); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no .param %s: .param set NAME VALUE, .param list, .param unset NAME or .param clear", verb)
	}
	return nil
}

// arguments are the values of the parameters that a statement names, as :NAME, @NAME or $NAME.
func (s *Shell) arguments(statement string) (args []any, err error) {
	given := map[string]bool{}
	all := tokens(statement)
	for i, t := range all {
		text := statement[t.start:t.end]
		name := ""
		switch {
		case t.kind == tokenMark && text == "?":
			return nil, errors.New("a parameter needs a name: write :port for ?, and set it with -p port=443 or .param set :port 443")
		case t.kind == tokenMark && (text == ":" || text == "@") && i+1 < len(all) && all[i+1].kind == tokenWord:
			name = statement[all[i+1].start:all[i+1].end]
		case t.kind == tokenWord && text[0] == '$' && len(text) > 1:
			name = text[1:]
		}
		if name == "" || given[name] {
			continue
		}
		value, ok := s.params[name]
		if !ok {
			return nil, fmt.Errorf("no value for the parameter :%s: give it with -p %[1]s=… or .param set :%[1]s …", name)
		}
		given[name] = true
		args = append(args, sql.Named(name, value))
	}
	return args, nil
}
