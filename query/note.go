package query

import (
	"context"
	"fmt"
	"time"

	"netsql/store"
)

// AddNote writes a person's remark about a moment into a recording, which may be being recorded meanwhile. Its errors are a
// sentence each, with the next step.
func AddNote(ctx context.Context, path string, at time.Time, text, user string) error {
	if time.Until(at) > time.Second {
		return fmt.Errorf("%s is in the future: write the note when it has happened", localTime(at))
	}
	return store.AddNote(ctx, path, at, text, user)
}

// Upgrade brings a recording of an older format up to date, in place; see store.Upgrade.
func Upgrade(ctx context.Context, path string, notice func(string)) (from, to int, err error) {
	return store.Upgrade(ctx, path, notice)
}

// SayEnded says of a recorder that has ended why it did, for the gap that the next one writes.
func SayEnded(path, why string) error { return store.SayEnded(path, why) }
