package main

import (
	"context"
	"os/user"
	"strings"
	"time"

	"netsql/query"
)

// note is netsql note.
func note(f *flags) runner {
	var at string
	f.StringVar(&at, "at", "", "the `TIME` that the note is about; now when not given")
	return func(ctx context.Context, words []string, _ stdio) error {
		text := strings.TrimSpace(strings.Join(words, " "))
		if text == "" {
			return usagef("what should the note say? netsql note 'deploy 1.4'")
		}
		path, _, err := f.path()
		if err != nil {
			return err
		}
		moment := time.Now()
		if at != "" {
			if moment, err = query.ParseTime(at, moment); err != nil {
				return usagef("--at: %v", err)
			}
		}
		return query.AddNote(ctx, path, moment, text, userName())
	}
}

// userName is who runs this; "" where the system does not know.
func userName() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}
