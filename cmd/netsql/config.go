package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"netsql/query"
)

// systemConfig is the file of flags for all users.
const systemConfig = "/etc/netsql.conf"

// A setting is a flag that a file gives.
type setting struct {
	command string // the one that it is for, "netsql" for asking; "" for all that know the flag
	flag    string
	value   string
	bare    bool   // it has no value
	at      string // file:line
}

// parseConfig reads a file of flags: each line is [COMMAND] --flag VALUE, with # before a comment.
func parseConfig(name, text string) ([]setting, error) {
	var all []setting
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, usagef("%s is no text", name)
	}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		s := setting{at: fmt.Sprintf("%s:%d", name, number)}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if !strings.HasPrefix(line, "-") {
			s.command, line = cutWord(line)
		}
		if name := strings.TrimPrefix(line, "--"); name == line || name == "" || strings.ContainsRune("-= \t", rune(name[0])) {
			if s.command != "" {
				line = s.command + " " + line
			}
			return nil, usagef("%s: %q is no flag: a line is like --keep 30d, or like record --keep 30d", s.at, line)
		}
		end := strings.IndexAny(line, "= \t")
		if end < 0 {
			end = len(line)
		}
		s.flag = line[len("--"):end]
		rest := line[end:]
		s.bare = !strings.HasPrefix(rest, "=")
		var err error
		if s.value, err = configValue(strings.TrimPrefix(rest, "=")); err != nil {
			return nil, usagef("%s: --%s: %v", s.at, s.flag, err)
		}
		s.bare = s.bare && s.value == "" && !strings.ContainsAny(rest, `'"`)
		all = append(all, s)
	}
	return all, nil
}

func cutWord(line string) (word, rest string) {
	i := strings.IndexAny(line, " \t")
	if i < 0 {
		return line, ""
	}
	return line[:i], strings.TrimSpace(line[i:])
}

// configValue is a value without the quotes around it and the comment behind it.
func configValue(text string) (string, error) {
	if spaced := strings.TrimLeft(text, " \t"); spaced == "" || spaced[0] == '#' && spaced != text {
		return "", nil
	}
	text = strings.TrimSpace(text)
	if quote := text[0]; quote == '\'' || quote == '"' {
		value, rest, closed := strings.Cut(text[1:], string(quote))
		rest = strings.TrimSpace(rest)
		if !closed || rest != "" && rest[0] != '#' {
			return "", fmt.Errorf("a value in quotes ends with the same quote, and nothing stands behind it: %s", text)
		}
		return value, nil
	}
	for i := 1; i < len(text); i++ {
		if text[i] == '#' && (text[i-1] == ' ' || text[i-1] == '\t') {
			return strings.TrimSpace(text[:i]), nil
		}
	}
	return text, nil
}

// configFiles are the files of flags, the stronger first; named tells that the user named the one.
func configFiles() (files []string, named bool) {
	if file := os.Getenv("NETSQL_CONFIG"); file != "" {
		return []string{file}, true
	}
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) {
		dir = ""
		if home, err := os.UserHomeDir(); err == nil {
			dir = filepath.Join(home, ".config")
		}
	}
	if dir != "" {
		files = append(files, filepath.Join(dir, "netsql.conf"))
	}
	return append(files, systemConfig), false
}

// readConfig reads one of the files; one that is not there has no settings.
func readConfig(file string, named bool, root *cobra.Command) ([]setting, error) {
	text, err := os.ReadFile(file)
	if err != nil && !named {
		_, there := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(there, fs.ErrPermission) {
			return nil, nil // or in a folder that is closed to us, such as the home of another user
		}
	}
	if err != nil {
		return nil, usagef("flags cannot be read from a file: %v; NETSQL_CONFIG names another, and with %s none is read", err, os.DevNull)
	}
	all, err := parseConfig(file, string(text))
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if err := checkSetting(s, root); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// onlyTyped are flags for one run, which neither a file nor the environment gives.
var onlyTyped = []string{"help", "command", "file", "output"}

// checkSetting says what is wrong with a setting, whichever command is run.
func checkSetting(s setting, root *cobra.Command) error {
	var commands, names []string
	known, ofCommand := false, s.command == ""
	for _, c := range append(root.Commands(), root) {
		if c.Hidden || c.DisableFlagParsing {
			continue
		}
		commands = append(commands, c.Name())
		if s.command != "" && s.command != c.Name() {
			continue
		}
		ofCommand = true
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(onlyTyped, f.Name) {
				names = append(names, "--"+f.Name)
				known = known || f.Name == s.flag
			}
		})
	}
	switch {
	case !ofCommand:
		slices.Sort(commands)
		hint := "the commands are " + strings.Join(commands, ", ")
		if near, ok := query.Suggest(s.command, commands); ok {
			hint = "did you mean " + near + "?"
		}
		return usagef("%s: no command %q: %s", s.at, s.command, hint)
	case slices.Contains(onlyTyped, s.flag):
		return usagef("%s: --%s is for the command line only", s.at, s.flag)
	case !known:
		hint := "netsql COMMAND --help lists the flags"
		if near, ok := query.Suggest("--"+s.flag, names); ok {
			hint = "did you mean " + near + "?"
		}
		return usagef("%s: no flag --%s: %s", s.at, s.flag, hint)
	}
	return nil
}

// inEnvironment is the variable for a flag: NETSQL_MAX_SIZE for --max-size.
func inEnvironment(flag string) string {
	return "NETSQL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fill sets the flags that the command line does not, from the environment, then from the files, the stronger first.
func (f *flags) fill() error {
	files, named := configFiles()
	return f.fillFrom(files, named)
}

func (f *flags) fillFrom(files []string, named bool) error {
	f.origin = map[string]string{}
	given := map[string]bool{}
	f.Visit(func(flag *pflag.Flag) { given[flag.Name] = true })
	var failed error
	set := func(flag *pflag.Flag, value, at string) {
		if err := f.Set(flag.Name, value); err != nil && failed == nil {
			var refused *pflag.InvalidValueError
			if errors.As(err, &refused) {
				err = whyRefused(refused)
			}
			failed = usagef("%s: --%s: %v", at, flag.Name, err)
		}
		f.origin[flag.Name] = at
	}
	f.VisitAll(func(flag *pflag.Flag) {
		value := os.Getenv(inEnvironment(flag.Name))
		if value != "" && !given[flag.Name] && flag.Name != "db" && !slices.Contains(onlyTyped, flag.Name) { // see defaultRecording for db
			given[flag.Name] = true
			set(flag, value, inEnvironment(flag.Name))
		}
	})
	for _, file := range files {
		all, err := readConfig(file, named, f.made.Root())
		if err != nil {
			return err
		}
		for _, command := range []string{f.made.Name(), ""} { // what is for this command is stronger
			var here []string
			for _, s := range all {
				flag := f.Lookup(s.flag)
				if s.command != command || flag == nil || given[s.flag] {
					continue
				}
				if s.bare {
					if s.value = flag.NoOptDefVal; s.value == "" {
						value, _ := pflag.UnquoteUsage(flag)
						return usagef("%s: --%s lacks its value: --%[2]s %s", s.at, s.flag, value)
					}
				}
				here = append(here, s.flag)
				if s.flag == "db" { // it is a place like $NETSQL_DB, and no recording that was named here
					f.usual = s.value
					continue
				}
				set(flag, s.value, s.at)
			}
			for _, name := range here {
				given[name] = true
			}
		}
	}
	return failed
}

// blame adds to an error about the value of a flag where that value comes from.
func (f *flags) blame(err error) error {
	var usage *usageError
	if !errors.As(err, &usage) {
		return err
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(usage.text, "--"), " ")
	if at := f.origin[strings.TrimSuffix(name, ":")]; at != "" && strings.HasPrefix(usage.text, "--") {
		return usagef("%s: %s", at, usage.text)
	}
	return err
}
