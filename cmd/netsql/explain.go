package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"netsql/query"
)

// explain is netsql explain.
func explain(f *flags) runner {
	var asJSON bool
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.completeWords(glossaryWords, nothing)
	return func(_ context.Context, words []string, std stdio) error {
		if len(words) != 1 {
			return usagef("one word: netsql explain TIME_WAIT")
		}
		entries, err := query.Glossary(words[0])
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(std.out).Encode(entries)
		}
		width := 80
		if w, _ := screenSize(std.out); isTerminal(std.out) && w > 0 {
			width = w
		}
		return query.WriteGlossary(std.out, entries, width)
	}
}

func glossaryWords(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return beginning(begun, query.GlossaryWords()), cobra.ShellCompDirectiveNoFileComp
}
