package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"netsql/query"
)

// foundError ends netsql doctor when it found something; it was printed.
type foundError struct{ code int }

func (e *foundError) Error() string { return "something was found" }

// doctor is netsql doctor.
func doctor(f *flags) runner {
	var since, until, against string
	var asJSON, onlyNew, watch bool
	var every time.Duration
	f.StringVarP(&since, "since", "S", "", "begin of the stretch, a `TIME`; an hour before its end when not given")
	f.StringVarP(&until, "until", "U", "", "end of the stretch, a `TIME`; the newest sample when not given")
	f.StringVar(&against, "against", "", "say also what differs from the same time then, the most unusual first: `WHEN` is yesterday, 'last week', 1h, or a day or time")
	f.BoolVar(&asJSON, "json", false, "as JSON")
	f.BoolVar(&onlyNew, "new", false, "only what the last run with --new did not say")
	f.BoolVarP(&watch, "watch", "w", false, "look again and again, and print what is new")
	f.DurationVar(&every, "every", 10*time.Second, "with --watch, how `LONG` to wait")
	f.completeWords(recordings, nothing)
	return func(ctx context.Context, words []string, std stdio) error {
		switch {
		case watch && (until != "" || onlyNew || against != ""):
			return usagef("--watch follows the newest samples: leave out --until, --new and --against")
		case watch && every < time.Second:
			return usagef("--every %v: at least 1s", every)
		}
		defer exitWhenStuck(ctx, std)()
		path, err := namedPath(f, words)
		if err != nil {
			return err
		}
		var said *os.File // it is open before the process is restricted
		if onlyNew {
			if said, err = openSaid(path); err != nil {
				return err
			}
			defer said.Close()
		}
		restrictFor(path)
		r, err := openToRead(ctx, path, std)
		if err != nil {
			return err
		}
		defer r.Close()
		if err := setWindow(ctx, r, since, until); err != nil {
			return err
		}
		if against != "" {
			if err := r.SetAgainst(ctx, against); err != nil {
				return usagef("--against: %v", err)
			}
		}
		if watch {
			return watchFindings(ctx, r, std, every, asJSON)
		}
		d, err := query.Diagnose(ctx, r)
		if err != nil {
			return err
		}
		if against != "" {
			if err := d.Compare(ctx, r); err != nil {
				return err
			}
		}
		if onlyNew {
			if err := leaveNew(d, said); err != nil {
				return err
			}
		}
		if err := writeDiagnosis(d, std, asJSON); err != nil {
			return err
		}
		switch {
		case d.CannotTell(), d.Against != nil && d.Against.Samples < 2:
			return &foundError{exitCannotTell}
		case d.Faults+d.Warnings > 0:
			return &foundError{exitFailed}
		}
		return nil
	}
}

func writeDiagnosis(d *query.Diagnosis, std stdio, asJSON bool) error {
	if !asJSON {
		width, _ := screenSize(std.out)
		return d.Write(std.out, width)
	}
	text, err := d.JSON()
	if err == nil {
		_, err = fmt.Fprintf(std.out, "%s\n", text)
	}
	return err
}

// watchFindings prints the diagnosis, and then what comes and goes.
func watchFindings(ctx context.Context, r *query.Recording, std stdio, every time.Duration, asJSON bool) error {
	var before map[string]query.Finding
	for {
		d, err := query.Diagnose(ctx, r)
		switch {
		case ctx.Err() != nil: // this is how it ends
			return nil
		case err != nil:
			return err
		}
		now := map[string]query.Finding{}
		for _, f := range d.Findings {
			if f.Until.IsZero() {
				now[f.Key()] = f
			}
		}
		if before == nil {
			err = writeDiagnosis(d, std, asJSON)
		} else {
			err = writeTurns(d, before, now, std, asJSON)
		}
		if err != nil {
			return err
		}
		before = now
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// writeTurns prints which findings are new, and which are over.
func writeTurns(d *query.Diagnosis, before, now map[string]query.Finding, std stdio, asJSON bool) error {
	all := d.Findings
	d.Findings = slices.DeleteFunc(slices.Clone(all), func(f query.Finding) bool {
		_, was := before[f.Key()]
		_, is := now[f.Key()]
		return was || !is
	})
	if len(d.Findings) > 0 {
		d.Count()
		if err := writeDiagnosis(d, std, asJSON); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, is := now[key]; !is && !asJSON {
			if _, err := fmt.Fprintf(std.out, "over: %s\n", query.Safe(before[key].What)); err != nil {
				return err
			}
		}
	}
	return nil
}

// leaveNew takes out of a diagnosis what the last run said, and notes what this one says.
func leaveNew(d *query.Diagnosis, last *os.File) error {
	said := map[string]bool{}
	text, err := io.ReadAll(last)
	if err != nil {
		return fmt.Errorf("read what was said last: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		said[strings.TrimRight(line, "\n")] = true
	}
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%q\n", f.Key())
	}
	all := len(d.Findings)
	d.Findings = slices.DeleteFunc(d.Findings, func(f query.Finding) bool { return said[fmt.Sprintf("%q", f.Key())] })
	d.Known = all - len(d.Findings)
	d.Count()
	_, err = last.WriteAt([]byte(b.String()), 0)
	if err == nil {
		err = last.Truncate(int64(b.Len()))
	}
	if err != nil {
		return fmt.Errorf("note what was said: %w", err)
	}
	return nil
}

// openSaid opens the file in which doctor --new keeps what it said of a recording.
func openSaid(recording string) (*os.File, error) {
	path, err := saidPath(recording)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("note what was said: %w", err)
	}
	return f, nil
}

// saidPath is where doctor --new keeps what it said of a recording.
func saidPath(recording string) (string, error) {
	full, err := filepath.Abs(recording)
	if err != nil {
		return "", err
	}
	dir := stateFolder()
	if dir == "" {
		return "", errors.New("no home folder to note what was said: set XDG_STATE_HOME")
	}
	sum := sha256.Sum256([]byte(full))
	return filepath.Join(dir, "said-"+hex.EncodeToString(sum[:8])), nil
}
