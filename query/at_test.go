package query

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"netsql/store"
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

// Who asks for a moment at which nobody looked is told so, of every table and however the moment is named, also where the table has no row that
// SQLite would ask at() about.
func TestEveryTableSaysThatNobodyLooked(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	for range 20 {
		d.sample(nil)
	}
	d.stop()
	d.wall, d.uptime = d.wall.Add(10*time.Minute), d.uptime+10*time.Minute
	d.start()
	for range 20 {
		d.sample(nil)
	}
	d.stop()
	r := openRecording(t, d.path)
	const asked = "2026-03-14 01:07:00"
	want := []string{"nobody looked at " + asked + " (stopped): this is 2026-03-14 01:01:40.123; the next sample is of 2026-03-14 01:11:45.123"}
	notes := func(statement string, args ...any) []string {
		rows, err := r.Query(t.Context(), statement, args...)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		for rows.Next() {
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		return r.Notes()
	}
	check := func(statement string, want []string, args ...any) {
		t.Helper()
		if got := notes(statement, args...); strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%s\nnotes: %q\nwant:  %q", statement, got, want)
		}
	}
	tables := 0
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			if c.Time() {
				for _, how := range []string{"= at('%s')", "<= at('%s')", "> at('%s') LIMIT 1"} {
					check(fmt.Sprintf("SELECT * FROM %q WHERE %s "+how, v.Name, c.Name, asked), want)
				}
				tables++
				break
			}
		}
	}
	if tables < 40 {
		t.Errorf("only %d tables were asked", tables)
	}
	moment, err := time.ParseInLocation(time.DateTime, asked, time.Local)
	if err != nil {
		t.Fatal(err)
	}
	seconds := unixSeconds(moment)
	check("SELECT * FROM peers_1h WHERE ts = at(:when)", want, sql.Named("when", asked))
	check("SELECT * FROM peers_1h WHERE ts = at($when)", want, sql.Named("when", asked))
	check(fmt.Sprintf("SELECT * FROM peers_1h c JOIN sockets s ON s.ts = at(%f + 0)", seconds), want)
	check("SELECT * FROM peers_1h WHERE ts = at(ts('"+asked+"'))", want)
	check("SELECT * FROM peers_1h WHERE ts = AT ( '"+asked+"' )", want)
	// What only looks like it, and a moment at which somebody looked.
	for _, statement := range []string{
		"SELECT * FROM peers_1h WHERE ts = at('2026-03-14 01:01')", "SELECT 'at(''" + asked + "'')', 1 -- at('" + asked + "')",
		"SELECT * FROM peers_1h WHERE ts = at(ts)", "SELECT * FROM peers_1h WHERE ts = at((SELECT " + fmt.Sprint(int(seconds)) + "))", // this is not run twice
		"SELECT x.at FROM (SELECT '" + asked + "' AS at) x", "SELECT 1 AS at, ('" + asked + "') AS b",
	} {
		check(statement, nil)
	}
	if _, note, err := r.SetAt(t.Context(), moment); err != nil || note != want[0] {
		t.Errorf(".at: %q, %v", note, err)
	}
	check("SELECT * FROM peers_1h WHERE ts = at()", want)
}

// A table that has no row in the sample asked for, because it could not be read for it, says so.
func TestNoRowWhereASourceFailed(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path) // from the 21st sample to the 25th routes fail
	asked := func(statement string) string {
		var said bytes.Buffer
		s, err := NewShell(r, ShellConfig{Out: &bytes.Buffer{}, Err: &said})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		return said.String()
	}
	failed, sound := exact(began.Add(22*5*time.Second)), exact(began.Add(10*5*time.Second))
	want := "note: none in the sample of 2026-03-14 01:01:50.123, for which not all was read (routes): SELECT * FROM gaps WHERE since < " + failed + " AND coalesce(until, 1e12) > " + failed + "\n"
	for statement, want := range map[string]string{
		"SELECT * FROM routes WHERE ts = at(" + failed + ")":                                        want,
		"SELECT * FROM routes WHERE ts = at(" + failed + ") AND dst = '0.0.0.0/0'":                  want,
		"SELECT count(*) FROM routes WHERE ts = at(" + failed + ")":                                 "",
		"SELECT * FROM routes WHERE ts = at(" + sound + ") AND dst = 'none'":                        "",
		"SELECT * FROM routes WHERE ts BETWEEN at(" + sound + ") AND at(" + failed + ") AND dst=''": "",
	} {
		if got := asked(statement); got != want {
			t.Errorf("%s\nsays %q\nwant %q", statement, got, want)
		}
	}
}
