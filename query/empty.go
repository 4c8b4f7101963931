package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"netsql/store"
)

// whyEmpty says why a statement gave no row, where that is not plain: a tired reader takes "nothing" for "nothing was there". "": nothing is known.
func (s *Shell) whyEmpty(ctx context.Context, statement string) string {
	if s.recording.hosts != nil { // each may have a reason of its own
		return ""
	}
	for _, t := range tablesIn(statement, len(statement)).refs {
		v, err := viewNamed(store.Views(), t.table)
		if err != nil {
			continue
		}
		switch {
		case windowed()[v.Name]:
			return s.emptyWindow(ctx, v)
		case v.Rollup != nil:
			if why := s.noPeriod(ctx, v); why != "" {
				return why
			}
		case v.From != nil:
			if s.isEmpty(ctx, v.From.Subject) {
				return fmt.Sprintf("%s is empty in the whole recording: none was there, or it was not read; capabilities and gaps tell", v.From.Name)
			}
			if strings.HasSuffix(v.Name, nowSuffix) {
				return s.noneNow(ctx)
			}
			if ts, ok := s.recording.moment(); ok {
				return s.noneThen(ctx, ts)
			}
		}
	}
	return ""
}

// emptyWindow says what the window holds of which a view has nothing to tell.
func (s *Shell) emptyWindow(ctx context.Context, v store.View) string {
	since, until, samples, err := s.recording.Window(ctx)
	if err != nil {
		return ""
	}
	if samples == 0 {
		return fmt.Sprintf("no sample lies in the window, %s to %s: set it with .since and .until", localTime(since), localTime(until))
	}
	what := map[string]string{"leaks": "nothing leaks", "slow_leaks": "nothing leaks slowly"}[v.Name]
	if what == "" {
		what = "nothing was found"
	}
	why := fmt.Sprintf("%s in the window, %s to %s, %s", what, localTime(since), localTime(until), plural(int64(samples), "sample"))
	var paused float64
	err = s.recording.look.QueryRowContext(ctx, "SELECT total(min(coalesce(until, ?2), ?2) - max(since, ?1)) FROM gap WHERE source IS NULL AND since < ?2 AND coalesce(until, ?2) > ?1",
		unixSeconds(since), unixSeconds(until)).Scan(&paused)
	if err == nil && paused >= 1 {
		why += fmt.Sprintf("; in %s of it nobody looked: see gaps", spanText(paused, ""))
	}
	if first, _, _, err := s.recording.Extent(ctx); err == nil && first.After(since.Add(time.Second)) {
		why += fmt.Sprintf("; the recording begins at %s", localTime(first))
	}
	return why
}

// noneNow says what the newest sample is, and whether something could not be read for it.
func (s *Shell) noneNow(ctx context.Context) string {
	_, last, samples, err := s.recording.Extent(ctx)
	if err != nil || samples == 0 {
		return ""
	}
	why := fmt.Sprintf("none in the newest sample, of %s", localTime(last))
	var unread, off bool
	err = s.recording.look.QueryRowContext(ctx, "SELECT coalesce(max(kind <> 'off'), 0), coalesce(max(kind = 'off'), 0) FROM gap WHERE source IS NOT NULL AND kind <> 'thinned' AND until IS NULL").Scan(&unread, &off)
	switch {
	case err != nil:
	case unread:
		why += "; something could not be read for it: SELECT * FROM gaps WHERE until IS NULL"
	case off:
		why += "; something is switched off: SELECT * FROM gaps WHERE until IS NULL"
	}
	return why
}

// noneThen says what could not be read for the sample that was asked for.
func (s *Shell) noneThen(ctx context.Context, ts float64) string {
	var sources string
	err := s.recording.look.QueryRowContext(ctx, `SELECT group_concat(DISTINCT source) FROM gap
		WHERE source IS NOT NULL AND kind IN ('failed', 'incomplete', 'off', 'damaged') AND since < ?1 AND coalesce(until, 1e12) > ?1`, ts).Scan(&sources)
	if err != nil { // also where there is none
		return ""
	}
	moment := exact(unixTime(ts))
	return fmt.Sprintf("none in the sample of %s, for which not all was read (%s): SELECT * FROM gaps WHERE since < %s AND coalesce(until, 1e12) > %s",
		localTime(unixTime(ts)), escapeControls(strings.ReplaceAll(sources, ",", ", ")), moment, moment)
}

// noPeriod says that no period of a roll-up has ended yet.
func (s *Shell) noPeriod(ctx context.Context, v store.View) string {
	for _, l := range store.Levels() {
		if strings.HasSuffix(v.Name, "_"+l.Name) && s.isEmpty(ctx, "period_"+l.Name) {
			return fmt.Sprintf("no %s has ended yet since the recording began: each has its row when it is over", l.Noun)
		}
	}
	return ""
}

// isEmpty reports whether a table of the recording's own has no row.
func (s *Shell) isEmpty(ctx context.Context, table string) bool {
	var some bool
	err := s.recording.look.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %q)", table)).Scan(&some)
	return err == nil && !some
}
