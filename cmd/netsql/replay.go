package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"netsql/cmd/netsql/confine"
	"netsql/cmd/netsql/tools"
	"netsql/query"
)

// replayed are the commands that print what netstat, ss and so on would have printed.
func replayed() (all []subcommand) {
	for _, t := range tools.All() {
		all = append(all, subcommand{name: t.Name, args: t.Args, doc: t.Doc, define: replay(t), raw: true, topic: "tools", examples: t.Examples})
	}
	return all
}

// replay is such a command.
func replay(t tools.Tool) func(*flags) runner {
	return func(f *flags) runner {
		f.AddFlagSet(t.Command().Flags) // for help only: the tool reads its words by itself
		return func(ctx context.Context, words []string, std stdio) error {
			c := t.Command()
			rest, err := c.Parse(words)
			switch {
			case errors.Is(err, tools.ErrHelp):
				return writeUsage(std.out, f.made)
			case err != nil:
				return replayUsage(f, err)
			}
			stretch, err := c.Stretch(time.Now())
			if err != nil {
				return replayUsage(f, err)
			}
			f.db = c.DB
			// A third of the time of a short command would go into collecting what is thrown away at its end.
			defer debug.SetGCPercent(debug.SetGCPercent(300))
			defer exitWhenStuck(ctx, std)()
			r, end, err := openReplayed(ctx, f, c, std)
			if err != nil {
				return err
			}
			defer end()
			out := newPatientWriter(std.out, 2*time.Second)
			if stretch != nil {
				err := replayUsage(f, replayTimes(ctx, r, c, stretch, rest, std, out))
				return errors.Join(inTime(ctx, err), out.Close())
			}
			m, err := tools.At(ctx, r, c.Options)
			if err == nil {
				sayMoment(m, std)
				err = replayUsage(f, printReplayed(ctx, c, m, rest, isTerminal(std.out), out))
				sayNotes(m, map[string]bool{}, std.err)
			}
			return errors.Join(inTime(ctx, err), out.Close())
		}
	}
}

// sayMoment says to a person which moment is shown.
func sayMoment(m *tools.Moment, std stdio) {
	if isTerminal(std.err) {
		fmt.Fprintf(std.err, "at %s\n", m.Time.Local().Format("2006-01-02 15:04:05"))
	}
}

// replayTimes prints a stretch of time: each sample of it, or what happened in it as one.
func replayTimes(ctx context.Context, r *query.Recording, c *tools.Command, s *tools.Stretch, words []string, std stdio, w io.Writer) error {
	if !c.Whole() {
		return replayStretch(ctx, r, c, s, words, isTerminal(std.out), w, std.err)
	}
	m, err := tools.During(ctx, r, c.Options, s)
	if err != nil {
		return err
	}
	if isTerminal(std.err) {
		fmt.Fprintf(std.err, "from %s to %s\n", m.From.Local().Format("2006-01-02 15:04:05"), m.To.Local().Format("2006-01-02 15:04:05"))
	}
	if err := printReplayed(ctx, c, m, words, isTerminal(std.out), w); err != nil {
		return err
	}
	sayNotes(m, map[string]bool{}, std.err)
	return nil
}

// replayStretch prints each sample of a stretch, with its time before it. To a person as fast as it was, or so many times faster.
func replayStretch(ctx context.Context, r *query.Recording, c *tools.Command, s *tools.Stretch, words []string, toPerson bool, w, notes io.Writer) error {
	said := map[string]bool{}
	times, err := r.Samples(ctx, s.From, s.To)
	switch {
	case err != nil:
		return err
	case len(times) == 0:
		return usagef("no sample was taken from %s to %s: SELECT * FROM gaps tells when nobody looked", c.From, cmp.Or(c.To, "the newest"))
	}
	for i, ts := range times {
		if toPerson && i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(float64(ts.Sub(times[i-1])) / s.Speed)):
			}
		}
		err := r.AtSample(ts, func() error {
			m, err := tools.At(ctx, r, c.Options)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "at %s\n", ts.Local().Format("2006-01-02 15:04:05.000")); err != nil {
				return err
			}
			err = printReplayed(ctx, c, m, words, toPerson, w)
			sayNotes(m, said, notes)
			return err
		})
		if err != nil && !errors.Is(err, tools.ErrNotFound) {
			return err
		}
	}
	return nil
}

// replayUsage makes wrong usage of what a tool complains of in its options.
func replayUsage(f *flags, err error) error {
	var unknown *tools.UnknownOptionError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tools.ErrNotFound):
		return &foundError{exitFailed}
	case errors.As(err, &unknown):
		return usagef("%v", unknown)
	case errors.As(err, new(*tools.UsageError)):
		return usagef("%v", err)
	}
	return f.explain(err)
}

// openReplayed opens the recording that the tool looks at, or one of this moment, and makes at() the moment that is asked for.
func openReplayed(ctx context.Context, f *flags, c *tools.Command, std stdio) (r *query.Recording, end func(), err error) {
	path, _, err := f.asked()
	if err != nil {
		return nil, nil, err
	}
	note := func(sentence string) { fmt.Fprintf(std.err, "note: %s\n", query.Safe(sentence)) }
	remove := func() error { return nil }
	if c.Live {
		if c.At != "" || c.DB != "" {
			return nil, nil, usagef("--live is now, of this machine: leave out --at and --db")
		}
		if path, remove, err = takeLive(map[string]bool{}, note)(ctx); err != nil {
			return nil, nil, err
		}
	}
	plan := confine.Plan{Recording: path, Names: true}
	if c.Live {
		plan.Folders, plan.Removable = []string{filepath.Dir(path)}, []string{filepath.Dir(filepath.Dir(path))}
	}
	restrictTo(plan)
	if r, err = query.Open(ctx, path); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	end = func() { r.Close(); remove() }
	sayLost(r, std)
	var moment time.Time
	if c.At != "" {
		if moment, err = query.ParseTime(c.At, time.Now()); err != nil {
			end()
			return nil, nil, usagef("--at: %v", err)
		}
	}
	_, said, err := r.SetAt(ctx, moment)
	if err != nil {
		end()
		return nil, nil, err
	}
	if said != "" {
		note(said)
	}
	return r, end, nil
}

// printReplayed prints the text. What a person reads has no codes for the terminal in it.
func printReplayed(ctx context.Context, c *tools.Command, m *tools.Moment, words []string, toPerson bool, w io.Writer) error {
	if !toPerson {
		text := bufio.NewWriterSize(w, 1<<16)
		err := c.Print(ctx, m, words, text)
		return cmp.Or(text.Flush(), err)
	}
	var text bytes.Buffer
	printed := c.Print(ctx, m, words, &text)
	if printed != nil && !errors.Is(printed, tools.ErrNotFound) {
		return printed
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, query.Safe(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return printed
}

// sayNotes says what a tool has to say besides, each sentence once.
func sayNotes(m *tools.Moment, said map[string]bool, w io.Writer) {
	for _, sentence := range m.Notes {
		if !said[sentence] {
			fmt.Fprintf(w, "note: %s\n", query.Safe(sentence))
		}
		said[sentence] = true
	}
}

// toolOfShell is what the shell does with a line that begins with the name of a tool.
func toolOfShell(std stdio) func(name string) func(ctx context.Context, r *query.Recording, words []string, w io.Writer) error {
	return func(name string) func(ctx context.Context, r *query.Recording, words []string, w io.Writer) error {
		t, ok := tools.Named(name)
		if !ok {
			return nil
		}
		return func(ctx context.Context, r *query.Recording, words []string, w io.Writer) error {
			c := t.Command()
			rest, err := c.Parse(words)
			switch {
			case errors.Is(err, tools.ErrHelp):
				return writeToolUsage(w, c)
			case err != nil:
				return err
			case c.Live || c.DB != "":
				return fmt.Errorf("in the shell %s looks at the recording that is open: leave out --live and --db", t.Name)
			}
			stretch, err := c.Stretch(time.Now())
			switch {
			case err != nil:
				return err
			case stretch != nil:
				return replayTimes(ctx, r, c, stretch, rest, std, w)
			case c.At != "":
				moment, err := query.ParseTime(c.At, time.Now())
				if err != nil {
					return fmt.Errorf("--at: %w", err)
				}
				_, said, err := r.SetAt(ctx, moment)
				if err != nil {
					return err
				}
				if said != "" {
					fmt.Fprintf(std.err, "note: %s\n", query.Safe(said))
				}
			}
			m, err := tools.At(ctx, r, c.Options)
			if err != nil {
				return err
			}
			if c.At != "" {
				sayMoment(m, std)
			}
			err = printReplayed(ctx, c, m, rest, isTerminal(std.out), w)
			sayNotes(m, map[string]bool{}, std.err)
			if errors.Is(err, tools.ErrNotFound) {
				return nil
			}
			return err
		}
	}
}

// writeToolUsage lists the options of a tool.
func writeToolUsage(w io.Writer, c *tools.Command) error {
	_, err := fmt.Fprintf(w, "%s %s\n\n  %s\n\nFlags:\n%s", c.Name, c.Args, c.About(), c.Flags.FlagUsagesWrapped(80))
	return err
}
