package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"netsql/cmd/netsql/confine"
	"netsql/query"
)

// status is netsql status.
func status(f *flags) runner {
	memory := memoryFlag(f)
	asJSON := f.Bool("json", false, "write the status as JSON")
	asMetrics := f.Bool("prometheus", false, "write it with the totals of the newest sample as node_exporter's textfile collector reads it")
	f.completeWords(recordings, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if *asJSON && *asMetrics {
			return usagef("--json or --prometheus: one of the two")
		}
		path, err := namedPath(f, words)
		if err != nil {
			return err
		}
		memory.apply()
		defer exitWhenStuck(ctx, std)()
		restrictFor(path)
		return statusOf(ctx, path, std, func(s query.Status, r *query.Recording) error {
			switch {
			case *asJSON:
				text, err := s.JSON()
				if err == nil {
					_, err = fmt.Fprintf(std.out, "%s\n", text)
				}
				return err
			case *asMetrics:
				return s.WritePrometheus(ctx, r, std.out)
			}
			return s.Write(std.out)
		})
	}
}

// statusOf reads the status of a recording and has it written. That it is not recorded, or the recorder is behind, is an error.
func statusOf(ctx context.Context, path string, std stdio, write func(query.Status, *query.Recording) error) error {
	r, err := query.Open(ctx, path)
	if err != nil {
		return err
	}
	defer r.Close()
	sayLost(r, std)
	s, err := query.ReadStatus(ctx, r)
	if err != nil {
		return err
	}
	if err := write(s, r); err != nil {
		return err
	}
	if trouble := s.Trouble(); trouble != "" {
		return errors.New(trouble)
	}
	return nil
}

// openToRead opens the recording, and says what is lost of it.
func openToRead(ctx context.Context, path string, std stdio) (*query.Recording, error) {
	r, err := query.Open(ctx, path)
	if err == nil {
		sayLost(r, std)
	}
	return r, err
}

// sayLost says what is not in any answer.
func sayLost(r *query.Recording, std stdio) {
	if lost := r.Lost(); lost != "" {
		fmt.Fprintf(std.err, "note: %s\n", query.Safe(lost))
	}
}

// namedPath is the recording that the first word or the flags name.
func namedPath(f *flags, words []string) (string, error) {
	switch {
	case len(words) > 1 || len(words) == 1 && f.db != "":
		return "", usagef("one recording at a time, not also %q", words[len(words)-1])
	case len(words) == 1:
		return words[0], nil
	}
	path, _, err := f.asked()
	return path, err
}

// export is netsql export.
func export(f *flags) runner {
	var since, until, format string
	var compressed, safe bool
	f.StringVarP(&since, "since", "S", "", "begin of the stretch, a `TIME`; an hour before its end when not given")
	f.StringVarP(&until, "until", "U", "", "end of the stretch, a `TIME`; the newest sample when not given")
	f.StringVar(&format, "format", "csv", "`FORMAT` of the files: csv or jsonl")
	f.BoolVarP(&compressed, "gzip", "z", false, "compress the files, to a sixth or less")
	f.BoolVar(&safe, "spreadsheet-safe", true, "put ' before a text of CSV that a spreadsheet would run as a formula; false writes it as it is")
	memory := memoryFlag(f)
	f.complete("format", oneOf("csv", "jsonl"))
	f.completeWords(anyFolder, tableNames)
	return func(ctx context.Context, words []string, std stdio) error {
		if len(words) == 0 {
			return usagef("export to which folder? netsql export --since '2h ago' post-mortem")
		}
		memory.apply()
		path, err := namedPath(f, nil)
		if err != nil {
			return err
		}
		defer restrictExport(path, words[0])()
		r, err := openToRead(ctx, path, std)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := setWindow(ctx, r, since, until); err != nil {
			return err
		}
		start := time.Now()
		result, err := query.Export(ctx, r, words[0], query.ExportOptions{Format: format, Tables: words[1:], Gzip: compressed, SpreadsheetSafe: safe, Progress: progress(std)})
		if err != nil {
			return err
		}
		var rows int64
		for _, file := range result.Files {
			rows += file.Rows
		}
		_, err = fmt.Fprintf(std.out, "%d files with %d rows in %s, after %v; its README.md says what is in them\n",
			len(result.Files), rows, query.Safe(words[0]), time.Since(start).Round(time.Millisecond))
		return err
	}
}

// slice is netsql slice.
func slice(f *flags) runner {
	var since, until, out string
	f.StringVarP(&since, "since", "S", "", "begin of the stretch, a `TIME`; an hour before its end when not given")
	f.StringVarP(&until, "until", "U", "", "end of the stretch, a `TIME`; the newest sample when not given")
	f.StringVarP(&out, "output", "o", "", "the new recording, a `FILE` that is not there yet")
	f.complete("output", anyFile)
	f.completeWords(recordings, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if out == "" {
			return usagef("slice into which file? netsql slice --since '2h ago' -o incident.db")
		}
		path, err := namedPath(f, words)
		if err != nil {
			return err
		}
		restrictTo(confine.Plan{Recording: path, Folders: []string{filepath.Dir(out)}})
		r, err := openToRead(ctx, path, std)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := setWindow(ctx, r, since, until); err != nil {
			return err
		}
		text, err := query.Slice(ctx, r, out)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(std.out, query.Safe(text))
		return err
	}
}

// progress shows a person at a terminal which table is being written.
func progress(std stdio) func(string, int64) {
	if !isTerminal(std.err) {
		return nil
	}
	return func(table string, rows int64) { fmt.Fprintf(std.err, "\r\x1b[K%s: %d rows\r", table, rows) }
}

// tables is netsql tables.
func tables(f *flags) runner {
	var markdown, asJSON bool
	f.BoolVar(&markdown, "markdown", false, "as Markdown")
	f.BoolVar(&asJSON, "json", false, "as JSON, with functions, commands and modes")
	f.completeWords(tableNames, nothing)
	return func(_ context.Context, words []string, std stdio) error {
		switch {
		case len(words) > 1:
			return usagef("one table at a time: netsql tables %s", words[0])
		case asJSON && len(words) > 0:
			return usagef("--json has all tables: netsql tables --json")
		case asJSON:
			text, err := query.ReferenceJSON()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "%s\n", text)
			return err
		case len(words) == 1:
			return query.Describe(std.out, words[0])
		}
		return query.Reference(std.out, markdown)
	}
}
