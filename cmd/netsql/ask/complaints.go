package ask

import (
	"fmt"
	"strings"
)

// complaints are what came over standard error.
type complaints struct {
	before []string // of ssh and of the login
	notes  []string // of netsql
	errors []string // of netsql, or of ssh after that
}

// mostNotes of a host are shown, and lines no longer than longest.
const mostNotes, longest = 5, 400

// said takes apart what came over standard error: lines behind the last mark are of netsql.
func said(text, mark string) (s complaints) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, mark) {
			s.before = append(s.before, s.errors...)
			s.notes, s.errors = nil, nil
			continue
		}
		if line = cut(line, longest); line == "" {
			continue
		}
		if note, is := strings.CutPrefix(line, "note: "); is {
			if len(s.notes) < mostNotes {
				s.notes = append(s.notes, note)
			}
			continue
		}
		s.errors = append(s.errors, strings.TrimPrefix(line, "netsql: "))
	}
	return s
}

// last is what netsql or ssh said at the end, as one sentence.
func (s complaints) last() string {
	if len(s.errors) == 0 {
		return ""
	}
	return s.errors[len(s.errors)-1]
}

// sshReasons are what ssh says, and what to do about it.
var sshReasons = []struct{ said, next string }{
	{"Host key verification failed", "its key is not known here, or is another one: ssh to it once to see"},
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", "ssh to it once to see"},
	{"Permission denied (", "it lets nobody in without a question: a key or an agent is needed"},
	{"Could not resolve hostname", ""},
}

// ofSSH is why ssh came to nothing; noise is what came on standard output.
func (s complaints) ofSSH(noise string) string {
	lines := append(append([]string{}, s.before...), s.errors...)
	for _, reason := range sshReasons {
		for _, line := range lines {
			if strings.Contains(line, reason.said) {
				if reason.next == "" {
					return line
				}
				return strings.TrimSuffix(line, ".") + ": " + reason.next
			}
		}
	}
	switch {
	case len(lines) == 0 && noise != "":
		return fmt.Sprintf("it runs no sh, and says %q", cut(noise, longest))
	case len(lines) == 0:
		return "ssh ended without a word, and no sh was started there"
	}
	return lines[len(lines)-1]
}

// cut is the text in at most so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
