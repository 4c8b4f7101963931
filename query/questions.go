package query

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

//go:embed questions.sql
var shippedQuestions string

// A question is a statement with a name, which .run asks.
type question struct {
	name, doc string
	defaults  map[string]string // of its parameters
	wants     []string          // its parameters, in the order in which the head names them
	sql       string
}

// questionHead is the line before a question: -- NAME: What? parameter=default parameter …
var questionHead = regexp.MustCompile(`^-- ([\w-]+): (.*?)((?: \w+(?:=\S*)?)*)$`)

// questionsIn reads questions, each behind its head.
func questionsIn(text string) []question {
	var all []question
	for part := range strings.SplitSeq("\n"+text, "\n-- ") {
		head, body, _ := strings.Cut(part, "\n")
		m := questionHead.FindStringSubmatch("-- " + head)
		if m == nil {
			continue
		}
		q := question{name: m[1], doc: m[2], defaults: map[string]string{}, sql: strings.TrimSpace(body)}
		// What follows the last question mark are parameters; a doc without one has none.
		if doc, params, ok := strings.Cut(m[2]+m[3], "? "); ok {
			q.doc = doc + "?"
			for word := range strings.FieldsSeq(params) {
				name, value, has := strings.Cut(word, "=")
				q.wants = append(q.wants, name)
				if has {
					q.defaults[name] = value
				}
			}
		} else {
			q.doc = m[2] + m[3]
		}
		all = append(all, q)
	}
	return all
}

// savedQuestions are those that the user has saved.
func (s *Shell) savedQuestions() []question {
	files, err := filepath.Glob(filepath.Join(s.config.Questions, "*.sql"))
	if s.config.Questions == "" || err != nil {
		return nil
	}
	var all []question
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		q := question{name: name, doc: "Saved.", defaults: map[string]string{}, sql: strings.TrimSpace(string(text))}
		if of := questionsIn(string(text)); len(of) == 1 {
			q = of[0]
			q.name = name
		}
		all = append(all, q)
	}
	return all
}

// runQuestion is .run NAME parameter=value …: it asks a question that was saved or is shipped; without a name it lists them.
func (s *Shell) runQuestion(ctx context.Context, arg string) error {
	words := quotedFields(arg)
	all := append(s.savedQuestions(), questionsIn(shippedQuestions)...)
	if len(words) == 0 {
		return s.listQuestions(all)
	}
	i := slices.IndexFunc(all, func(q question) bool { return q.name == words[0] })
	if i < 0 {
		var names []string
		for _, q := range all {
			names = append(names, q.name)
		}
		return fmt.Errorf("no question %s%s: .run lists them", quoteWords(words[0]), meant(words[0], "", names))
	}
	q := all[i]
	before := s.params
	defer func() { s.params = before }()
	s.params = map[string]any{}
	for name, v := range before {
		s.params[name] = v
	}
	for name, v := range q.defaults {
		if _, ok := s.params[name]; !ok {
			s.params[name] = parameterValue(v)
		}
		if name == "at" && v == "now" { // as at() has it
			ts, _, err := s.recording.atSample(ctx)
			if err != nil {
				return err
			}
			s.params[name] = ts
		}
	}
	for i, word := range words[1:] {
		name, value, ok := strings.Cut(word, "=")
		if !ok { // .run port 5432
			if i >= len(q.wants) {
				return fmt.Errorf("%s takes no %s: %s", q.name, quoteWords(word), q.usage())
			}
			name, value = q.wants[i], word
		}
		s.params[name] = parameterValue(value)
	}
	for _, name := range q.wants {
		if _, ok := s.params[name]; !ok {
			return fmt.Errorf("which %s? %s", name, q.usage())
		}
	}
	return s.Script(ctx, q.sql)
}

// usage is how a question is asked.
func (q question) usage() string {
	text := ".run " + q.name
	for _, name := range q.wants {
		value := q.defaults[name]
		if value == "" {
			value = "…"
		}
		text += " " + name + "=" + value
	}
	return text
}

func (s *Shell) listQuestions(all []question) error {
	out := s.textOut()
	var b strings.Builder
	for _, q := range all {
		b.WriteString(wrapped(q.doc, padded(q.usage(), 34)+" ", s.width()))
	}
	_, err := io.WriteString(out, escapeLines(b.String()))
	return err
}

// escapeLines escapes each line.
func escapeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = escapeControls(line)
	}
	return strings.Join(lines, "\n")
}

// save is .save NAME: the last statement becomes a question that .run asks.
func (s *Shell) save(_ context.Context, arg string) error {
	switch {
	case s.config.Questions == "":
		return errors.New("there is no place for questions: set XDG_CONFIG_HOME or HOME")
	case !regexp.MustCompile(`^[\w-]+$`).MatchString(arg):
		return errors.New("save the last statement under which name? .save busy-ports, say: letters, digits, - and _")
	case s.asked == "":
		return errors.New("nothing was asked yet: .save keeps the last statement")
	}
	if err := s.config.System.MkdirAll(s.config.Questions, 0o700); err != nil {
		return fmt.Errorf("save the statement: %w", err)
	}
	path := filepath.Join(s.config.Questions, arg+".sql")
	f, err := s.config.System.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err == nil {
		_, err = f.WriteString(s.asked + "\n")
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fmt.Errorf("save the statement: %w", err)
	}
	return s.say(fmt.Sprintf("saved: .run %s; it stands in %s", arg, path))
}
