package main

import (
	"context"
	"fmt"

	"netsql/query"
)

// check is netsql check.
func check(f *flags) runner {
	var o query.CheckOptions
	f.BoolVar(&o.Quick, "quick", false, "look at pages, schema and samples only, in a tenth of the time")
	f.completeWords(recordings, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		path, err := namedPath(f, words)
		if err != nil {
			return err
		}
		var done func()
		o.Progress, done = counting(std)
		restrictFor(path)
		r, err := query.Check(ctx, path, o)
		done()
		if err != nil {
			return err
		}
		if err := r.Write(std.out); err != nil || r.Sound() {
			return err
		}
		return fmt.Errorf("%s is damaged (%d findings): save what is readable: netsql recover %[1]s NEW", path, r.Total())
	}
}

// upgrade is netsql upgrade.
func upgrade(f *flags) runner {
	f.completeWords(recordings, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		path, err := namedPath(f, words)
		if err != nil {
			return err
		}
		from, to, err := query.Upgrade(ctx, path, func(sentence string) { fmt.Fprintf(std.err, "netsql: %s\n", query.Safe(sentence)) })
		if err != nil {
			return err
		}
		if from == to {
			_, err = fmt.Fprintf(std.out, "%s is up to date: format %d\n", query.Safe(path), to)
		} else {
			_, err = fmt.Fprintf(std.out, "%s is of format %d now, and was of %d\n", query.Safe(path), to, from)
		}
		return err
	}
}

// recoverRecording is netsql recover.
func recoverRecording(f *flags) runner {
	var o query.RecoverOptions
	f.completeWords(recordings, anyFile, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		if f.db != "" {
			words = append([]string{f.db}, words...)
		}
		if len(words) != 2 {
			return usagef("recover takes the damaged recording and the name of the new one: netsql recover damaged.db saved.db")
		}
		var done func()
		o.Progress, done = counting(std)
		r, err := query.Recover(ctx, words[0], words[1], o)
		done()
		if err != nil {
			return err
		}
		return r.Write(std.out)
	}
}

// counting shows a person at a terminal what is being looked at; done clears that away.
func counting(std stdio) (progress func(what string, n int64), done func()) {
	if !isTerminal(std.err) {
		return nil, func() {}
	}
	return func(what string, n int64) { fmt.Fprintf(std.err, "\r\x1b[K%s: %d\r", query.Safe(what), n) },
		func() { fmt.Fprint(std.err, "\r\x1b[K") }
}
