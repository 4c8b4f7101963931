package query

import (
	"slices"
	"strings"
)

// An Input is one thing to run: an SQL statement with its semicolon, or the
// line of a dot-command. Blanks and comments in front are left out.
type Input struct {
	Text string
	Dot  bool
	Line int // where Text begins, counted from 1
	// Upright: it ended with \G, as in mysql, and not with a semicolon: rows stand upright.
	Upright bool
}

// Split cuts what was typed, piped in or read from a script into inputs.
// Semicolons in strings, quoted names, comments and the bodies of triggers end
// nothing. A '.' where a statement would begin starts a dot-command, which
// ends with its line: no SQL begins so, and asking for a semicolon after one
// would leave the user stuck. So does a '\', as in psql.
//
// The rest is the unfinished tail, always a suffix of text, and empty where
// only blanks and closed comments follow. Statements that are nothing but a
// semicolon are dropped.
func Split(text string) (inputs []Input, rest string) {
	line, counted := 1, 0
	for _, s := range statements(text) {
		if !s.done {
			return inputs, text[s.start:]
		}
		line += strings.Count(text[counted:s.start], "\n")
		counted = s.start
		if body := strings.TrimRight(text[s.start:s.end], " \t\r\n\f"); body != ";" {
			inputs = append(inputs, Input{Text: body, Dot: s.dot, Line: line, Upright: s.upright})
		}
	}
	return inputs, ""
}

// Complete tells whether Enter at the end of text submits it: everything in it
// is finished, or there is nothing in it.
func Complete(text string) bool {
	_, rest := Split(text)
	return rest == ""
}

// A statement is the extent of one input in a text.
type statement struct {
	start, end int
	dot, done  bool
	upright    bool
}

func statements(text string) []statement {
	var found []statement
	state, start := atStart, 0
	for pos := 0; pos < len(text); {
		t := nextToken(text, pos)
		pos = t.end
		if state == atStart {
			start = t.start
			if t.kind == tokenMark && (text[t.start] == '.' || text[t.start] == '\\') {
				end := len(text)
				if i := strings.IndexByte(text[start:], '\n'); i >= 0 {
					end = start + i
				}
				found = append(found, statement{start: start, end: end, dot: true, done: true})
				pos = end
				continue
			}
			if slices.Contains(replayed, text[t.start:t.end]) { // netstat -tan is a line, too
				line, _, _ := strings.Cut(text[start:], "\n")
				pos = start + len(line)
				found = append(found, statement{start: start, end: pos, done: true})
				continue
			}
		}
		if t.open { // it swallowed the rest of the text
			return append(found, statement{start: start, end: len(text)})
		}
		if t.blank() {
			continue
		}
		if end := t.end + 1; t.kind == tokenMark && text[t.start] == '\\' && end <= len(text) && text[t.end:end] == "G" && (end == len(text) || isSpace(text[end])) {
			found = append(found, statement{start: start, end: end, done: true, upright: true})
			state, pos = atStart, end
			continue
		}
		if state = state.next(t, text); state == atStart {
			found = append(found, statement{start: start, end: t.end, done: true})
		}
	}
	if state != atStart {
		found = append(found, statement{start: start, end: len(text)})
	}
	return found
}

// splitState is where in a statement we are. Only a trigger has semicolons
// inside: it ends with ";", "END", ";". These are the states of
// sqlite3_complete, which the tests compare with.
type splitState uint8

const (
	atStart       splitState = iota // nothing yet: the only state a semicolon leads to
	inStatement                     // in anything but a trigger
	afterExplain                    // EXPLAIN QUERY PLAN may precede CREATE
	afterCreate                     // TEMP may precede TRIGGER
	inTrigger                       // in a trigger
	afterSemi                       // just after a semicolon in a trigger
	afterFinalEnd                   // just after END that followed a semicolon
)

func (s splitState) next(t token, text string) splitState {
	semi := t.kind == tokenMark && text[t.start] == ';'
	var word string
	if t.kind == tokenWord {
		word = strings.ToUpper(text[t.start:t.end])
	}
	switch s {
	case inTrigger, afterSemi, afterFinalEnd:
		switch {
		case semi && s == afterFinalEnd:
			return atStart
		case semi:
			return afterSemi
		case s == afterSemi && word == "END":
			return afterFinalEnd
		}
		return inTrigger
	}
	switch {
	case semi:
		return atStart
	case s == atStart && word == "EXPLAIN":
		return afterExplain
	case (s == atStart || s == afterExplain) && word == "CREATE":
		return afterCreate
	case s == afterExplain && word != "TEMP" && word != "TEMPORARY" && word != "TRIGGER" && word != "END" && word != "EXPLAIN":
		return afterExplain
	case s == afterCreate && (word == "TEMP" || word == "TEMPORARY"):
		return afterCreate
	case s == afterCreate && word == "TRIGGER":
		return inTrigger
	}
	return inStatement
}

type tokenKind uint8

const (
	tokenSpace tokenKind = iota
	tokenComment
	tokenWord   // a keyword or a plain name
	tokenName   // a quoted name: "…", `…` or […]
	tokenString // '…'
	tokenNumber
	tokenMark // one byte of anything else
)

// A token is a stretch of SQL text. Tokens lie end to end: together they are
// the text.
type token struct {
	kind       tokenKind
	start, end int
	open       bool // a string, name or block comment that is never closed
}

func (t token) blank() bool { return t.kind == tokenSpace || t.kind == tokenComment }

// tokens cuts a whole text; it never fails.
func tokens(text string) []token {
	var all []token
	for pos := 0; pos < len(text); {
		t := nextToken(text, pos)
		all = append(all, t)
		pos = t.end
	}
	return all
}

func nextToken(text string, pos int) token {
	rest := text[pos:]
	to := func(kind tokenKind, length int) token { return token{kind: kind, start: pos, end: pos + length} }
	// until ends the token after the first stop that follows its opening.
	until := func(kind tokenKind, opening int, stop string) token {
		if i := strings.Index(rest[opening:], stop); i >= 0 {
			return to(kind, opening+i+len(stop))
		}
		t := to(kind, len(rest))
		t.open = true
		return t
	}
	switch c := rest[0]; {
	case isSpace(c):
		return to(tokenSpace, span(rest, isSpace))
	case strings.HasPrefix(rest, byteOrderMark):
		return to(tokenSpace, len(byteOrderMark))
	case strings.HasPrefix(rest, "--"):
		t := until(tokenComment, 2, "\n")
		t.open = false // the end of the text closes it as well
		return t
	case strings.HasPrefix(rest, "/*"):
		return until(tokenComment, 2, "*/")
	case c == '[':
		return until(tokenName, 1, "]")
	case c == '\'', c == '"', c == '`':
		kind := tokenName
		if c == '\'' {
			kind = tokenString
		}
		for end := 1; ; end++ { // a doubled quote stands for itself
			i := strings.IndexByte(rest[end:], c)
			if i < 0 {
				t := to(kind, len(rest))
				t.open = true
				return t
			}
			if end += i + 1; end == len(rest) || rest[end] != c {
				return to(kind, end)
			}
		}
	case c >= '0' && c <= '9':
		return to(tokenNumber, span(rest, func(c byte) bool { return isWord(c) || c == '.' }))
	case isWord(c):
		return to(tokenWord, span(rest, isWord))
	}
	return to(tokenMark, 1)
}

// byteOrderMark is blank to SQLite where a token would begin. Windows editors begin scripts with it, and scripts that are
// put together have it in the middle.
const byteOrderMark = "\ufeff"

func span(text string, in func(byte) bool) int {
	n := 0
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'
}

// isWord follows SQLite: every byte above ASCII may stand in a name.
func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// OnlyAsks reports whether a text is nothing but SQL about the recording itself: no dot-command, no command of the system, no other file, nothing live.
func OnlyAsks(text string) bool {
	inputs, rest := Split(text)
	for _, in := range append(inputs, Input{Text: rest}) {
		words := wordsOf(in.Text)
		switch {
		case in.Dot:
			return false
		case len(words) == 0:
			continue
		case words[0].text == "attach" || asksLive(in.Text):
			return false
		}
		_, bare := bareWord(in.Text)
		if !sqlBegins[words[0].text] && !bare {
			return false
		}
	}
	return true
}

// sqlBegins are the words that a question begins with.
var sqlBegins = map[string]bool{"select": true, "with": true, "values": true, "explain": true, "pragma": true, "create": true, "insert": true, "drop": true}
