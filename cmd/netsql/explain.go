package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"netsql/query"
)

// explain is netsql explain.
func explain(f *flags) runner {
	var asJSON bool
	var at string
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.StringVar(&at, "at", "", "the `TIME` of the figures of this machine; the newest sample when not given")
	f.completeWords(glossaryWords, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if len(words) == 0 {
			return usagef("which word? netsql explain TIME_WAIT")
		}
		entries, err := query.Glossary(strings.Join(words, " "))
		if err != nil {
			return err
		}
		explained, err := explainHere(ctx, f, entries, at, std)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(std.out).Encode(explained)
		}
		width := 80
		if w, _ := screenSize(std.out); isTerminal(std.out) && w > 0 {
			width = w
		}
		return query.WriteGlossary(std.out, explained, width)
	}
}

// explainHere adds the figures of the recording. The words need none: without one they stand alone, and a note says why where one was asked for.
func explainHere(ctx context.Context, f *flags, entries []query.Entry, at string, std stdio) ([]query.Explanation, error) {
	path, explicit, err := f.asked()
	var r *query.Recording
	if err == nil {
		restrictFor(path)
		r, err = query.Open(ctx, path)
	}
	if err != nil {
		if explicit || at != "" || !errors.Is(err, query.ErrNoRecording) {
			fmt.Fprintf(std.err, "note: without figures of this machine: %s\n", query.Safe(err.Error()))
		}
		return query.Here(ctx, nil, entries), nil
	}
	defer r.Close()
	if at != "" {
		moment, err := query.ParseTime(at, time.Now())
		if err != nil {
			return nil, usagef("--at: %v", err)
		}
		if _, _, err := r.SetAt(ctx, moment); err != nil {
			return nil, err
		}
	}
	return query.Here(ctx, r, entries), nil
}

func glossaryWords(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
	return beginning(begun, query.GlossaryWords()), cobra.ShellCompDirectiveNoFileComp
}
