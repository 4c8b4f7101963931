package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// commandsInJSON is what netsql help --json gives.
func commandsInJSON(t *testing.T) map[string]map[string]any {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "help.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := run(t.Context(), []string{"help", "--json"}, stdio{os.Stdin, out, os.Stderr}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Commands []map[string]any `json:"commands"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	byName := map[string]map[string]any{}
	for _, c := range all.Commands {
		byName[c["name"].(string)] = c
	}
	return byName
}

// commandNamed is a command with its flags as they are at the start.
func commandNamed(t *testing.T, name string) *cobra.Command {
	t.Helper()
	c, _, err := tree(stdio{}).Find(strings.Fields(name))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// help --json has all commands with all flags, and of some everything that is to be said.
func TestHelpJSON(t *testing.T) {
	t.Parallel()
	all := commandsInJSON(t)
	for _, c := range documented() {
		flags := map[string]map[string]any{}
		for _, f := range all[c.name]["flags"].([]any) {
			flags[f.(map[string]any)["name"].(string)] = f.(map[string]any)
		}
		commandNamed(t, c.name).Flags().VisitAll(func(f *pflag.Flag) {
			if flags[f.Name] == nil {
				t.Errorf("%s --%s is missing", c.name, f.Name)
			}
			delete(flags, f.Name)
		})
		if len(flags) > 0 {
			t.Errorf("%s has no such flags: %v", c.name, flags)
		}
		delete(all, c.name)
	}
	if len(all) > 0 {
		t.Errorf("there are no such commands: %v", all)
	}
	got := map[string]any{}
	for name, c := range commandsInJSON(t) {
		for _, f := range c["flags"].([]any) {
			got[name+" "+f.(map[string]any)["name"].(string)] = f
		}
	}
	for name, want := range map[string]map[string]any{
		"record interval": {"name": "interval", "shorthand": "i", "type": "duration", "value": "TIME", "default": "5s",
			"usage": "TIME between two samples, 100ms to 1h", "environment": "NETSQL_INTERVAL"},
		"record once":  {"name": "once", "type": "bool", "default": "false", "usage": "take one sample and end", "environment": "NETSQL_ONCE"},
		"slice output": {"name": "output", "shorthand": "o", "type": "string", "value": "FILE", "usage": "the new recording, a FILE that is not there yet"},
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A default may be given as it is written, and means the same as nothing.
func TestDefaultsOfFlags(t *testing.T) {
	t.Parallel()
	for name, c := range commandsInJSON(t) {
		for _, f := range c["flags"].([]any) {
			flag, _ := f.(map[string]any)["name"].(string)
			value, given := f.(map[string]any)["default"].(string)
			if !given {
				continue
			}
			flags := commandNamed(t, name).Flags()
			before := flags.Lookup(flag).Value.String()
			if err := flags.Set(flag, value); err != nil || flags.Lookup(flag).Value.String() != before {
				t.Errorf("%s --%s %s: %v, and it is %s instead of %s", name, flag, value, err, flags.Lookup(flag).Value, before)
			}
		}
	}
}

// The variable that is said to give a flag gives it, and no variable gives one of which none is said.
func TestEnvironmentOfFlags(t *testing.T) {
	values := map[string]string{"duration": "7s", "size": "100MiB", "bool": "true", "int": "700", "float64": "3", "numbers": "50",
		"namespaces": "self", "sources": "udp", "stringArray": "a=b", "string": "csv"}
	some := 0
	for name, c := range commandsInJSON(t) {
		if made := commandNamed(t, name); made.DisableFlagParsing {
			continue
		}
		for _, f := range c["flags"].([]any) {
			flag := f.(map[string]any)
			value := values[flag["type"].(string)]
			if value == "" {
				t.Errorf("%s --%s: no value of type %s is known", name, flag["name"], flag["type"])
			}
			variable, said := flag["environment"].(string)
			if !said {
				variable = "NETSQL_" + strings.ToUpper(flag["name"].(string))
			}
			if flag["name"] == "db" { // it is no flag there, but the place of the recording: see defaultRecording
				continue
			}
			t.Run(name+" "+variable, func(t *testing.T) {
				t.Setenv(variable, value)
				made := commandNamed(t, name)
				filled := &flags{FlagSet: made.Flags(), made: made}
				if err := filled.fillFrom(nil, false); err != nil {
					t.Fatal(err)
				}
				if got := filled.Changed(flag["name"].(string)); got != said {
					t.Errorf("%s=%s sets --%s: %v, want %v", variable, value, flag["name"], got, said)
				}
			})
			some++
		}
	}
	if some < 40 {
		t.Errorf("only %d flags were found", some)
	}
}
