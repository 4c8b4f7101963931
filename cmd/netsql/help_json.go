package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/pflag"
)

// A flagJSON is a flag of a command, for programs.
type flagJSON struct {
	Name        string `json:"name"`
	Shorthand   string `json:"shorthand,omitempty"`
	Type        string `json:"type"`                  // as pflag has it: bool, string, int, float64, or one of this program, such as duration
	Value       string `json:"value,omitempty"`       // what stands for the value in usage; a bool needs none
	Default     string `json:"default,omitempty"`     // as it would be given; without one the flag does nothing, or usage says what
	Usage       string `json:"usage"`                 // without the marks around value
	Environment string `json:"environment,omitempty"` // the variable that gives it; none is for the command line only
}

// A commandJSON is a command, for programs; asking has no name.
type commandJSON struct {
	Name     string     `json:"name"`
	Args     string     `json:"args"`
	About    string     `json:"about"`
	Topic    string     `json:"topic,omitempty"` // of the manual
	Examples []string   `json:"examples"`
	Flags    []flagJSON `json:"flags"`
}

// helpJSON writes the commands for programs.
func helpJSON(w io.Writer) error {
	all := []commandJSON{asking().forJSON("ask: a shell, or the answer to the SQL given here, with -c or -f, or on standard input")}
	for _, c := range subcommands() {
		if c.doc != "" {
			all = append(all, c.forJSON(c.doc))
		}
	}
	text, err := json.MarshalIndent(map[string]any{"commands": all, "exit_codes": map[string]string{
		"0": "done", "1": "failed", "2": "wrong usage", "4": "no answer within --timeout", "130": "interrupted"}}, "", " ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// withoutUsual are the commands that look at no recording, or only at one that the command line names.
var withoutUsual = []string{"recover", "tables", "bench", "completion"}

func (c subcommand) forJSON(about string) commandJSON {
	all := commandJSON{Name: c.name, Args: c.args, About: about, Topic: c.topic, Examples: c.examples, Flags: []flagJSON{}}
	c.command(stdio{}).Flags().VisitAll(func(f *pflag.Flag) {
		value, usage := pflag.UnquoteUsage(f)
		one := flagJSON{Name: f.Name, Shorthand: f.Shorthand, Type: f.Value.Type(), Value: value, Default: f.DefValue, Usage: usage}
		if !slices.Contains(onlyTyped, f.Name) && !(f.Name == "db" && slices.Contains(withoutUsual, c.name)) {
			one.Environment = inEnvironment(f.Name)
		}
		all.Flags = append(all.Flags, one)
	})
	return all
}
