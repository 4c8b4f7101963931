package query

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"netsql/store"
)

// Prompt is what stands before what the user types: which moment and window are set, and whether the recording goes on and how old its newest sample is.
//
//	netsql live>
//	netsql at 03:14:05, since 02:00:00, ended 04:00:00>
func (s *Shell) Prompt(ctx context.Context, now time.Time) string {
	r := s.recording
	var parts []string
	if !r.at.IsZero() {
		parts = append(parts, "at "+clockTime(r.at, now))
	}
	switch {
	case !r.since.IsZero() && !r.until.IsZero():
		parts = append(parts, clockTime(r.since, now)+" to "+clockTime(r.until, now))
	case !r.since.IsZero():
		parts = append(parts, "since "+clockTime(r.since, now))
	case !r.until.IsZero():
		parts = append(parts, "until "+clockTime(r.until, now))
	}
	return "netsql " + strings.Join(append(parts, r.lifeAt(ctx, now)), ", ") + "> "
}

// lifeAt says whether somebody records, and when the newest sample was taken if that is not just now.
func (r *Recording) lifeAt(ctx context.Context, now time.Time) string {
	if r.hosts != nil {
		return plural(int64(len(r.hosts)), "host")
	}
	var last, interval float64
	var most *int64
	_, live := r.Recorder()
	err := r.look.QueryRowContext(ctx, "SELECT m.ts, u.interval_s, u.max_bytes FROM sample m JOIN run u ON u.id = m.run ORDER BY m.id DESC LIMIT 1").Scan(&last, &interval, &most)
	switch {
	case ctx.Err() != nil:
		return "not read in time"
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return "not readable"
	case err != nil && live:
		return "no sample yet"
	case err != nil:
		return "empty"
	case !live:
		return "ended " + clockTime(unixTime(last).Truncate(time.Second), now)
	}
	age := unixSeconds(now) - last
	if age < 3*interval+2 {
		return "live"
	}
	limits := store.Limits{}
	if most != nil {
		limits.MaxSize = *most
	}
	text := spanText(age, " ") + " old"
	if readers := store.HeldBy(r.Path, limits); len(readers) > 0 {
		text += fmt.Sprintf(", held by %d", readers[0].PID)
	}
	return text
}

// clockTime is a time without its day, if that is today.
func clockTime(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	layout := localSeconds
	switch {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		layout = time.TimeOnly
	case t.Year() == now.Year():
		layout = "01-02 15:04:05"
	}
	return t.Format(layout)
}
