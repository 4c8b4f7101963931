package ask

import (
	"fmt"
	"math"
	"time"

	"netsql/query"
)

// fresh is how new the recording of a host is, and what its clock says.
type fresh struct {
	known    bool
	sampled  bool
	newest   float64 // unix seconds of its newest sample, by its clock
	now      float64 // its clock
	interval float64 // seconds between two samples
	arrived  time.Time
}

// freshIn reads the row that freshness asks for.
func freshIn(row []any) (f fresh, err error) {
	if len(row) != 3 {
		return f, errNotOurs(fmt.Sprint(row...))
	}
	now, is := row[1].(float64)
	if !is || !plausible(now) {
		return f, errNotOurs(fmt.Sprint(row...))
	}
	f = fresh{known: true, now: now, arrived: time.Now()}
	if row[0] == nil {
		return f, nil
	}
	newest, is := row[0].(float64)
	if !is || !plausible(newest) {
		return fresh{}, errNotOurs(fmt.Sprint(row...))
	}
	f.sampled, f.newest = true, newest
	f.interval, _ = row[2].(float64)
	return f, nil
}

func plausible(seconds float64) bool { return seconds >= 0 && seconds < 253402300800 }

// clockOff is how far a clock may be off before it is said.
const clockOff = 2.0

// notes say that the recording is stale, or that the clock is another than ours; begin is when the host was asked.
func (f fresh) notes(begin time.Time) (all []string) {
	if !f.known {
		return nil
	}
	if age := f.now - f.newest; f.sampled && age > 3*f.interval+2 {
		whole, frac := math.Modf(f.newest)
		all = append(all, fmt.Sprintf("the recording is stale: its newest sample is %s old, of %s; netsql status there says why",
			query.Span(age), time.Unix(int64(whole), int64(frac*1e9)).Format("2006-01-02 15:04:05")))
	}
	unix := func(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
	if ahead := f.now - unix(f.arrived); ahead > clockOff {
		all = append(all, fmt.Sprintf("the clock there is %s ahead of the one here", query.Span(ahead)))
	} else if behind := unix(begin) - f.now; behind > clockOff {
		all = append(all, fmt.Sprintf("the clock there is %s behind the one here", query.Span(behind)))
	}
	return all
}
