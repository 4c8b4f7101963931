package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// filled is the flag of a command after the arguments, the environment and files with these texts, the stronger first.
func filledFlag(t *testing.T, command, flag string, args []string, texts ...string) (string, error) {
	t.Helper()
	var files []string
	for i, text := range texts {
		file := filepath.Join(t.TempDir(), string(rune('a'+i))+".conf")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	c := tree(stdio{})
	for _, sub := range c.Commands() {
		if sub.Name() == command {
			c = sub
			break
		}
	}
	if err := c.Flags().Parse(args); err != nil {
		t.Fatal(err)
	}
	f := &flags{FlagSet: c.Flags(), made: c}
	if err := f.fillFrom(files, false); err != nil {
		return "", err
	}
	if flag == "db" {
		return f.usual, nil
	}
	return f.Lookup(flag).Value.String(), nil
}

// The command line is stronger than the environment, that than the user's file, that than the system's.
func TestConfigOrder(t *testing.T) {
	system, user := "--keep 1d\n--keep-hours 10d\n--mode csv", "--keep 2d\nrecord --keep-days 20d\n--keep-days 30d\nstatus --db elsewhere.db"
	for _, c := range []struct {
		command, flag, want string
		args                []string
		environment         string
		texts               []string
	}{
		{"record", "keep", "30d", nil, "", nil},
		{"record", "keep", "1d", nil, "", []string{"", system}},
		{"record", "keep", "2d", nil, "", []string{user, system}},
		{"record", "keep", "3d", nil, "3d", []string{user, system}},
		{"record", "keep", "4d", []string{"--keep", "4d"}, "3d", []string{user, system}},
		{"record", "keep-hours", "10d", nil, "", []string{user, system}},
		{"record", "keep-days", "20d", nil, "", []string{user, system}},
		{"netsql", "mode", "csv", nil, "", []string{user, system}},
		{"netsql", "mode", "box", nil, "", []string{"netsql --mode box", system}},
		{"status", "db", "elsewhere.db", nil, "", []string{user, system}},
		{"check", "db", "", nil, "", []string{user, system}},
		{"record", "keep", "5d", nil, "", []string{"--keep 4d\n--keep 5d"}},
		{"netsql", "no-header", "true", nil, "", []string{"--no-header"}},
		{"netsql", "no-header", "false", []string{"--no-header=false"}, "", []string{"--no-header"}},
		{"netsql", "separator", " # ", nil, "", []string{"--separator ' # ' # three signs"}},
		{"netsql", "separator", "", nil, "", []string{"--mode csv"}},
		{"netsql", "since", "2h ago", nil, "", []string{"--since 2h ago"}},
	} {
		t.Setenv("NETSQL_KEEP", c.environment)
		got, err := filledFlag(t, c.command, c.flag, c.args, c.texts...)
		if err != nil || got != c.want {
			t.Errorf("%s --%s after %q, %q and %q: %q and %v, want %q", c.command, c.flag, c.args, c.environment, c.texts, got, err, c.want)
		}
	}
}

// What is wrong in a file or variable is said with its place.
func TestConfigErrors(t *testing.T) {
	t.Setenv("NETSQL_MAX_SIZE", "")
	for text, want := range map[string]string{
		"\n--kep 30d":          "a.conf:2: no flag --kep: did you mean --keep?",
		"--keep":               "a.conf:1: --keep lacks its value: --keep TIME",
		"--keep tomorrow":      `a.conf:1: --keep: no duration "tomorrow"`,
		"keep 30d":             `a.conf:1: "keep 30d" is no flag: a line is like --keep 30d, or like record --keep 30d`,
		"keep = 30d":           `a.conf:1: "keep = 30d" is no flag: `,
		"-p a=1":               `a.conf:1: "-p a=1" is no flag: `,
		"recrod --keep 30d":    `a.conf:1: no command "recrod": did you mean record?`,
		"status --keep 30d":    "a.conf:1: no flag --keep: ",
		"--command 'SELECT 1'": "a.conf:1: --command is for the command line only",
		"--separator 'x":       "a.conf:1: --separator: a value in quotes ends with the same quote",
		"--once perhaps":       `a.conf:1: --once: "perhaps" is neither true nor false`,
		"--mode \xff":          "a.conf is no text",
	} {
		if _, err := filledFlag(t, "record", "keep", nil, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	t.Setenv("NETSQL_MAX_SIZE", "much")
	if _, err := filledFlag(t, "record", "keep", nil); err == nil || !strings.HasPrefix(err.Error(), `NETSQL_MAX_SIZE: --max-size: no size "much"`) {
		t.Errorf("NETSQL_MAX_SIZE=much: %v", err)
	}
}

// Variables that mean something else are those of no flag.
func TestVariablesOfFlags(t *testing.T) {
	t.Parallel()
	others := []string{"NETSQL_CONFIG", "NETSQL_DEBUG", "NETSQL_LONG", "NETSQL_UPDATE", "NETSQL_RESTARTED", "NETSQL_KILLS", "NETSQL_REQUIRE_KERNEL", "NETSQL_POWER_FAILURES"}
	root := tree(stdio{})
	for _, c := range append(root.Commands(), root) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			name := inEnvironment(f.Name)
			if slices.Contains(others, name) || strings.HasPrefix(name, "NETSQL_TEST_") || strings.HasPrefix(name, "NETSQL_EDITOR_") {
				t.Errorf("%s of netsql %s --%s has another meaning", name, c.Name(), f.Name)
			}
		})
	}
}

// Whatever a file has, reading it ends in settings with a flag and a place, or in one sentence.
func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{"--keep 30d", "record --keep=30d # x\n\n# y", "--separator ' # '", "--at \"1h ago\"\r\n", "--x='", "--", "- -", "--=", "a", "\ufeff--mode csv", "--m #", "--m=#", "--m ''"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseConfig("x.conf", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "x.conf") || all != nil {
				t.Errorf("%v with %v", err, all)
			}
			return
		}
		for _, s := range all {
			if s.flag == "" || strings.ContainsAny(s.flag, " \t=\n") || strings.ContainsRune(s.value, '\n') || s.bare && s.value != "" || !strings.HasPrefix(s.at, "x.conf:") {
				t.Errorf("%q gives %+v", text, s)
			}
			// A value in quotes is read back as it is.
			quote := `'`
			if strings.Contains(s.value, quote) {
				quote = `"`
			}
			if !strings.Contains(s.value, quote) {
				again, err := parseConfig("x.conf", "--"+s.flag+" "+quote+s.value+quote)
				if err != nil || len(again) != 1 || again[0].flag != s.flag || again[0].value != s.value {
					t.Errorf("%+v is read back as %+v, %v", s, again, err)
				}
			}
		}
	})
}

// The file that packages bring says nothing until a line is taken out of its comments; each line is right, and shows the usual value.
func TestConfigOfPackages(t *testing.T) {
	text, err := os.ReadFile("../../.ci/packaging/netsql.conf")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := parseConfig("netsql.conf", string(text)); err != nil || len(all) > 0 {
		t.Errorf("as it comes it says %v, %v", all, err)
	}
	var lines string
	for line := range strings.Lines(string(text)) {
		if bare, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(bare, " ") {
			lines += bare
		}
	}
	all, err := parseConfig("netsql.conf", lines)
	if err != nil || len(all) < 5 {
		t.Fatalf("%d settings, %v", len(all), err)
	}
	root := tree(stdio{})
	for _, s := range all {
		if err := checkSetting(s, root); err != nil {
			t.Error(err)
			continue
		}
		got, err := filledFlag(t, s.command, s.flag, nil, lines)
		if err != nil {
			t.Fatal(err)
		}
		usual, _ := filledFlag(t, s.command, s.flag, nil, "")
		if !s.bare && got != usual && !slices.Contains([]string{"netns", "without", "mode"}, s.flag) {
			t.Errorf("--%s is usually %s, and shown with %s", s.flag, usual, got)
		}
	}
}
