package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/cmd/netsql/manual"
	"netsql/cmd/netsql/tools"
	"netsql/query"
)

// pages are the README and the topics of the manual, by their file names.
func pages(t *testing.T) map[string]string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"README.md": string(readme)}
	for _, topic := range manual.Topics() {
		all[topic.Name+".md"] = topic.Text
	}
	return all
}

// fences are the fenced blocks of a page, each with the word behind its fence.
var fenced = regexp.MustCompile("(?m)^```(.*)\n((?s:.*?))^```$")

// statementsIn are the statements that a page shows: in blocks of sql, behind the prompt, and as the last word of a netsql
// on the command line; and the dot-commands behind the prompt.
func statementsIn(page string) []string {
	var all []string
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		switch text := m[2]; {
		case m[1] == "sql":
			all = append(all, text)
		default:
			for _, shown := range regexp.MustCompile(`(?m)^netsql(?: [a-z]+)?> (\.[^\n]*|(?s:[^;]*;))`).FindAllStringSubmatch(text, -1) {
				all = append(all, strings.TrimSuffix(shown[1], ";"))
			}
			for _, given := range regexp.MustCompile(`(?m)^netsql [^\n>]*'(SELECT [^\n]*)'(?: *#.*)?$`).FindAllStringSubmatch(text, -1) {
				all = append(all, given[1])
			}
		}
	}
	return all
}

// Every statement of the README and of the manual runs: names of tables, columns and functions are right.
func TestStatementsOfTheManualRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	some := 0
	for name, page := range pages(t) {
		for _, statement := range statementsIn(page) {
			some++
			if err := runStatement(t, path, statement); err != nil {
				t.Errorf("%s: %v\n%s", name, err, statement)
			}
		}
	}
	if some < 30 {
		t.Errorf("only %d statements were found", some)
	}
}

func runStatement(t *testing.T, path, statement string) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := query.Open(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, _, err := r.SetAt(ctx, nightStart.Add(10*time.Minute)); err != nil {
		return err
	}
	var out bytes.Buffer
	s, err := query.NewShell(r, query.ShellConfig{
		Out: &out, Err: &out, Params: map[string]string{"port": "443"},
		Live: func(context.Context) (string, func() error, error) { return path, func() error { return nil }, nil },
	})
	if err != nil {
		return err
	}
	defer s.Close()
	// The recording is of 2026-11-23 from 03:00 to 04:00, and leakd is what leaks in it.
	statement = regexp.MustCompile(`([ '])\d\d(:\d\d(?::\d\d)?)\b`).ReplaceAllString(statement, "${1}2026-11-23T03$2")
	statement = strings.ReplaceAll(statement, "'shopd'", "'leakd'")
	return s.Script(ctx, statement)
}

// Every command of the shell that is named in code exists.
func TestCommandsOfTheManualExist(t *testing.T) {
	t.Parallel()
	known := query.CommandNames()
	tables := query.TableNames()
	spans := regexp.MustCompile("`([^`]+)`")
	for name, page := range pages(t) {
		for _, m := range spans.FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
			if command, _, _ := strings.Cut(m[1], " "); regexp.MustCompile(`^\.[a-z]+$`).MatchString(command) && !slices.Contains(known, command) && !isTool(command[1:]) {
				t.Errorf("%s names %s, which is no command of the shell", name, command)
			}
			word, arg, _ := strings.Cut(m[1], " ")
			switch about := strings.ToLower(strings.TrimPrefix(arg, ".")); {
			case word == ".help" && arg != "" && arg != strings.ToUpper(arg):
				_, isTopic := manual.Find(about)
				if _, ok := query.Help(about, 80); !ok && !isTopic && about != "topics" {
					t.Errorf("%s: `%s` has no answer", name, m[1])
				}
			case word == ".describe" && !slices.Contains(tables, arg) && arg != "TABLE" && arg != "":
				t.Errorf("%s: `%s` is no table", name, m[1])
			}
		}
	}
}

// Every subcommand and flag of netsql that is named in code exists.
func TestFlagsOfTheManualExist(t *testing.T) {
	t.Parallel()
	flags := map[string][]string{} // by subcommand; "" is asking
	anywhere := []string{"--help", "--version", "--man", "--json"}
	for _, c := range append(subcommands(), subcommand{}) {
		args := []string{"night.db", "--help"}
		if c.name != "" {
			args = []string{c.name, "--help"}
		}
		if c.name == "help" || c.name == "version" || c.name != "" && c.doc == "" {
			flags[c.name] = anywhere
			continue
		}
		out, err := os.Create(filepath.Join(t.TempDir(), "help"))
		if err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), args, stdio{os.Stdin, out, out}); err != nil {
			t.Error(err)
		}
		text, err := os.ReadFile(out.Name())
		out.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^\s+(?:-\w, )?--?([a-z][a-z-]*)`).FindAllStringSubmatch(string(text), -1) {
			flags[c.name] = append(flags[c.name], "--"+m[1])
			anywhere = append(anywhere, "--"+m[1])
		}
		if c.name != "" && len(flags[c.name]) == 0 {
			t.Errorf("netsql %s --help names no flags:\n%s", c.name, text)
		}
	}
	long := regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]*)`)
	for name, page := range pages(t) {
		var lines []string
		for _, m := range fenced.FindAllStringSubmatch(page, -1) {
			if m[1] == "" || m[1] == "sh" {
				lines = append(lines, strings.Split(m[2], "\n")...)
			}
		}
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(fenced.ReplaceAllString(page, ""), -1) {
			lines = append(lines, m[1])
		}
		for _, line := range lines {
			line = strings.TrimPrefix(line, "$ ")
			words := strings.Fields(line)
			line = strings.TrimSpace(line)
			if len(words) == 0 {
				continue
			}
			command, known := "", anywhere
			switch {
			case strings.HasSuffix(line, ">"): // a prompt
				continue
			case words[0] == "netsql" && len(words) > 1:
				if of, ok := flags[words[1]]; ok {
					command, known = words[1], of
				} else if regexp.MustCompile(`^[a-z]+$`).MatchString(words[1]) {
					t.Errorf("%s: %q: no command %s", name, line, words[1])
					continue
				}
			case strings.HasPrefix(words[0], "--"):
			default:
				continue
			}
			for _, m := range long.FindAllStringSubmatch(line, -1) {
				if !slices.Contains(known, m[1]) {
					t.Errorf("%s: %q: netsql %s has no flag %s", name, line, command, m[1])
				}
			}
			if command == "help" && len(words) > 2 && regexp.MustCompile(`^[a-z]+$`).MatchString(words[2]) && words[2] != "topics" {
				if _, ok := manual.Find(words[2]); !ok && !isCommand(words[2]) {
					t.Errorf("%s: %q: no topic %s", name, line, words[2])
				}
			}
		}
	}
}

// What the topic time says of how times are written is what .help times says, which is tested against the reading of times.
func TestTimesOfTheManual(t *testing.T) {
	t.Parallel()
	topic, _ := manual.Find("time")
	help, _ := query.Help("times", 80)
	block := fenced.FindStringSubmatch(topic.Text)
	if block == nil || !strings.Contains(help, block[2]) {
		t.Errorf("time.md does not have the words for times of .help times:\n%s", help)
	}
}

// .help TOPIC in the shell, and netsql help TOPIC, show a topic; a word that was mistyped gets a suggestion.
func TestHelpShowsTopics(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	r, err := query.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	s, err := query.NewShell(r, query.ShellConfig{Out: &out, Err: &out, Manual: manualTopics()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, topic := range manual.Topics() {
		out.Reset()
		if err := s.Script(t.Context(), ".help "+topic.Name); err != nil || !strings.Contains(out.String(), strings.ToUpper(topic.Name)+": ") {
			t.Errorf(".help %s: %v\n%.200s", topic.Name, err, out.String())
		}
	}
	out.Reset()
	if err := s.Script(t.Context(), ".help topics"); err != nil || !strings.Contains(out.String(), "  troubleshooting ") {
		t.Errorf(".help topics: %v\n%s", err, out.String())
	}
	for wrong, want := range map[string]string{"lekas": `no help on "lekas"; did you mean .help leaks?`, "conections": `did you mean .help connections?`, "qqqqq": ".help topics"} {
		if err := s.Script(t.Context(), ".help "+wrong); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf(".help %s: %v", wrong, err)
		}
	}
	if err := helpOn(t.Context(), "lekas", stdio{os.Stdin, os.Stdout, os.Stderr}); err == nil || !strings.Contains(err.Error(), "did you mean netsql help leaks?") {
		t.Errorf("netsql help lekas: %v", err)
	}
}

func isTool(name string) bool {
	_, ok := tools.Named(name)
	return ok
}
