package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"netsql/cmd/netsql/manual"
	"netsql/cmd/netsql/tools"
)

// fits tells whether all lines of a text fit a terminal of 80 columns.
func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 80 {
			t.Errorf("a line of %d columns: %s", n, line)
		}
	}
}

// The first screen fits a terminal of 80 columns and 40 lines, and names every command and topic, and the flags that are used most.
func TestFirstScreen(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := help(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(b.String(), "\n"); n > 39 {
		t.Errorf("%d lines and the prompt", n)
	}
	fits(t, b.String())
	for _, flag := range []string{"-c, --command SQL", "--mode MODE", "--at TIME", "--since TIME", "--db FILE"} {
		if !strings.Contains(b.String(), flag+" ") {
			t.Errorf("it does not name %s", flag)
		}
	}
	for _, topic := range manual.Topics() {
		if !strings.Contains(strings.Join(strings.Fields(b.String()), " ")+" ", " "+topic.Name+" ") {
			t.Errorf("it does not name %s", topic.Name)
		}
	}
	for _, c := range subcommands() {
		replayed, _ := tools.Named(c.name)
		if c.doc != "" && !regexp.MustCompile(map[bool]string{true: `\n  netsql TOOL .*\b`, false: "\n  netsql "}[replayed.Like != ""]+c.name+`\b`).MatchString(b.String()) {
			t.Errorf("it does not name %s", c.name)
		}
	}
}

// documented are the commands that help shows, and asking.
func documented() []subcommand {
	all := []subcommand{asking()}
	for _, c := range subcommands() {
		if c.doc != "" {
			all = append(all, c)
		}
	}
	return all
}

// netsql COMMAND --help fits 80 columns, and has the usage, what the command does, its flags, examples, and a topic that exists.
func TestHelpOnCommands(t *testing.T) {
	t.Parallel()
	for _, c := range documented() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			made, _, err := tree(stdio{}).Find(strings.Fields(c.name))
			if err != nil {
				t.Fatal(err)
			}
			if err := writeUsage(&out, made); err != nil {
				t.Fatal(err)
			}
			text := out.String()
			fits(t, text)
			if !strings.HasPrefix(text, strings.Join(strings.Fields("netsql "+c.name+" "+c.args), " ")+"\n") {
				t.Errorf("it does not begin with the usage:\n%s", text)
			}
			if len(c.examples) < 2 || len(c.examples) > 3 {
				t.Errorf("%d examples, want 2 or 3", len(c.examples))
			}
			for _, example := range c.examples {
				if !strings.Contains(text, "\n  "+example+"\n") {
					t.Errorf("it does not show %s", example)
				}
			}
			if !strings.Contains(text, "\n  "+c.doc+"\n") {
				t.Error("it does not say what the command does")
			}
			if _, ok := manual.Find(c.topic); !ok && !c.raw {
				t.Errorf("no topic %q", c.topic)
			}
			for _, m := range regexp.MustCompile("netsql help ([a-z]+) (?:explains more|says)").FindAllStringSubmatch(text, -1) {
				if _, ok := manual.Find(m[1]); !ok {
					t.Errorf("it names the topic %s, which does not exist", m[1])
				}
			}
		})
	}
}

// shellWord is a word of a command line as the examples have it, in quotes or not.
var shellWord = regexp.MustCompile(`"[^"]*"|(?:'[^']*'|[^\s'"])+`)

// Every example of help runs, in a folder with a recording. Those that record or measure for minutes are only parsed.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	ran := 0
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	recording, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range documented() {
		dir := t.TempDir()
		for name, text := range map[string][]byte{
			"night.db": recording, "monday.db": recording, "damaged.db": recording, "questions.sql": []byte("SELECT count(*) FROM sockets WHERE local_port = :port"),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, example := range c.examples {
			line, _, _ := strings.Cut(example, " >")
			var words []string
			for _, word := range shellWord.FindAllString(line, -1) {
				words = append(words, strings.Trim(word, `'"`))
			}
			if words[0] != "netsql" {
				t.Errorf("%s: begins with %s", example, words[0])
				continue
			}
			args := words[1:]
			made, rest, err := tree(stdio{}).Find(args)
			if args[0] == "--version" {
				made, rest, err = tree(stdio{}).Find([]string{"version"})
			}
			if err != nil || !made.HasParent() != (c.name == "") || made.HasParent() && made.Name() != c.name {
				t.Errorf("%s: is an example of %q: %v", example, c.name, err)
				continue
			}
			if err := oneDash(made.Flags(), rest); err != nil {
				t.Errorf("%s: %v", example, err)
			}
			if err := made.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", example, err)
			}
			if c.name == "record" || c.name == "bench" || c.name == "service" || c.name == "ask" { // .ci/debian and TestAsk run those
				continue
			}
			for i, arg := range args { // the recording is of an hour in the past
				arg = regexp.MustCompile(`^0[0-9]:([0-9][0-9])$`).ReplaceAllString(arg, "2026-11-23T03:$1:00Z")
				args[i] = regexp.MustCompile(`^[0-9]+[hm] ago$`).ReplaceAllString(arg, "2026-11-23T03:30:00Z")
				if arg == "--until" {
					args[i+1] = "2026-11-23T03:45:00Z"
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			netsql := exec.CommandContext(ctx, "netsql", args...)
			netsql.Dir = dir
			netsql.Env = append(os.Environ(), "NETSQL_DB=night.db", "NETSQL_CONFIG="+os.DevNull)
			out, err := netsql.CombinedOutput()
			if c.name == "status" && strings.Contains(string(out), "netsql: nobody records") {
				err = nil // of this recording
			}
			if c.name == "lsof" && netsql.ProcessState.ExitCode() == 1 && len(out) == 0 {
				err = nil // the recording does not tell which descriptors were open
			}
			if c.name == "doctor" && netsql.ProcessState.ExitCode() == exitCannotTell {
				err = nil // as nobody looked for symptoms in it
			}
			if err != nil || len(out) == 0 && c.name != "note" && !c.raw && !strings.Contains(example, "--man") {
				t.Errorf("%s: %v\n%s", example, err, out)
			}
			cancel()
			ran++
		}
	}
	if ran < 20 {
		t.Errorf("only %d examples ran", ran)
	}
}

// The table of short flags in the manual has all of them, and nothing else; a letter means the same in every command, but for those that print as
// another tool does, with its letters.
func TestShortFlagsOfTheManual(t *testing.T) {
	t.Parallel()
	topic, _ := manual.Find("scripts")
	written := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `-(\\w)` \\| `--([a-z-]+)` \\|").FindAllStringSubmatch(topic.Text, -1) {
		written[m[1]] = m[2]
	}
	there := map[string]string{"V": "version"} // which stands alone
	root := tree(stdio{})
	for _, c := range append(root.Commands(), root) {
		if _, isTool := tools.Named(c.Name()); isTool {
			continue
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Shorthand == "" {
				return
			}
			if long := there[f.Shorthand]; long != "" && long != f.Name {
				t.Errorf("-%s is --%s and --%s", f.Shorthand, long, f.Name)
			}
			there[f.Shorthand] = f.Name
		})
	}
	if !maps.Equal(written, there) {
		t.Errorf("scripts.md has the short flags %v, and there are %v", written, there)
	}
}
