package query

import (
	"errors"
	"testing"
	"time"
)

// Who types the time that stands on the screen finds that sample, whatever of it the screen shows; a number is exact.
func TestAtFindsWhatTheScreenShows(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path) // samples at …:05.123456, …:10.123456 and so on
	sample, before := began.Add(10*time.Second), began.Add(5*time.Second)
	ask := func(words string) (ts float64) {
		rows, err := r.Query(t.Context(), "SELECT "+words)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		if rows.Next() {
			err = rows.Scan(&ts)
		}
		if err := errors.Join(err, rows.Err()); err != nil {
			t.Errorf("%s: %v", words, err)
		}
		return ts
	}
	for words, want := range map[string]time.Time{
		"at('" + sample.Format(localSeconds) + "')":                   sample,
		"at('" + sample.Format(localMillis) + "')":                    sample,
		"at('" + sample.Format(localSeconds+".000000") + "')":         sample,
		"at('" + sample.Format(localSeconds) + ".100')":               before,
		"at('" + sample.Format(localSeconds) + ".123455')":            before,
		"at(" + exact(sample) + ")":                                   sample,
		"at(" + exact(sample.Truncate(time.Second)) + ")":             before,
		"at('" + sample.Add(-time.Second).Format(localSeconds) + "')": before,
	} {
		if got := ask(words); got != unixSeconds(want) {
			t.Errorf("%s is %s, want %s", words, unixTime(got), want)
		}
	}
	for _, moment := range []time.Time{sample.Truncate(time.Second), sample} {
		if got, note, err := r.SetAt(t.Context(), moment); err != nil || note != "" || unixSeconds(got) != unixSeconds(sample) {
			t.Errorf(".at %s is %s, %q, %v", moment, got, note, err)
		}
		if at := ask("at()"); at != unixSeconds(sample) {
			t.Errorf("at() is %s", unixTime(at))
		}
	}
}
