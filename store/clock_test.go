package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A clockwork records one listener, with clocks that the test sets.
type clockwork struct {
	t                   *testing.T
	path                string
	w                   *Writer
	source              *Source
	sockets             *Set[SocketID, Socket]
	trends              *Set[SocketCountID, SocketTrend]
	wall                time.Time
	uptime, awake       time.Duration
	samples, mostTidied int
}

var clockLimits = Limits{Keep: 30 * 24 * time.Hour, Minutes: 90 * 24 * time.Hour, Hours: 300 * 24 * time.Hour}

func newClockwork(t *testing.T) *clockwork {
	c := &clockwork{t: t, path: filepath.Join(t.TempDir(), "clock.db"), wall: time.Unix(1_700_000_000, 0)}
	c.start("boot 1")
	return c
}

func (c *clockwork) start(boot string) {
	c.t.Helper()
	if c.w != nil {
		if err := c.w.Close(context.Background()); err != nil {
			c.t.Fatal(err)
		}
	}
	w, err := Create(c.t.Context(), Options{Path: c.path, Interval: time.Minute, Boot: Boot{ID: boot}, Limits: clockLimits})
	if err != nil {
		c.t.Fatal(err)
	}
	c.w = w
	c.source = w.Source("all")
	c.sockets, c.trends = NewSet(c.source, Sockets), NewSet(c.source, SocketTrends)
}

// pass lets so much time go by, of which the machine slept some, and takes a sample.
func (c *clockwork) pass(d, slept time.Duration) {
	c.t.Helper()
	c.wall, c.uptime, c.awake = c.wall.Add(d), c.uptime+d, c.awake+d-slept
	c.w.Begin(Clock{Wall: c.wall, Uptime: c.uptime, Awake: c.awake})
	c.source.Read(func() error {
		c.sockets.Put(SocketID{Proto: "tcp", Cookie: Of(1)}, Socket{State: "LISTEN", RecvQ: Of(c.samples)})
		c.trends.Put(SocketCountID{Proto: "tcp", State: "LISTEN"}, SocketTrend{Of(1)})
		return nil
	})
	if err := c.w.Commit(c.t.Context(), Cost{}); err != nil {
		c.t.Fatal(err)
	}
	c.samples++
	c.mostTidied = max(c.mostTidied, tidyUp(c.t, c.w))
}

// minutes takes so many samples, a minute apart.
func (c *clockwork) minutes(n int) {
	c.t.Helper()
	for range n {
		c.pass(time.Minute, 0)
	}
}

func (c *clockwork) number(query string) (n int) {
	c.t.Helper()
	if err := c.w.file.conn.QueryRowContext(c.t.Context(), query).Scan(&n); err != nil {
		c.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (c *clockwork) gaps() []string {
	c.t.Helper()
	db, err := sql.Open("sqlite", DSN(c.path))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	var kinds []string
	for _, g := range texts(c.t, db, "SELECT kind || ': ' || detail FROM gaps ORDER BY since, kind") {
		before, _, _ := strings.Cut(g, ";")
		kinds = append(kinds, before)
	}
	return kinds
}

const year = 365 * 24 * time.Hour

// A clock that is wrong by a year for twenty minutes costs nothing: no sample and no roll-up is deleted, times go on
// growing, slowly until the clock has caught up, the gaps say what happened, and nothing is worked out for the empty year
// or twice.
func TestClockAYearAhead(t *testing.T) {
	t.Parallel()
	c := newClockwork(t)
	c.minutes(200)
	c.mostTidied = 0
	c.wall = c.wall.Add(year)
	c.minutes(20)
	c.wall = c.wall.Add(-year)
	c.minutes(200)
	if n := c.number("SELECT count(*) FROM sample"); n != c.samples {
		t.Errorf("%d samples are kept of %d", n, c.samples)
	}
	// 200 minutes before, twenty while the clock was wrong, and twenty for two hundred after.
	if n := c.number("SELECT count(*) FROM period_1m"); n < 235 || n > 245 {
		t.Errorf("%d minutes are rolled up", n)
	}
	if n := c.number("SELECT sum(samples) FROM period_1m"); n < c.samples-10 || n > c.samples {
		t.Errorf("the minutes have %d samples of %d", n, c.samples)
	}
	if c.mostTidied > 10 {
		t.Errorf("%d steps to tidy up after one sample", c.mostTidied)
	}
	if n := c.number("SELECT count(*) FROM sample a JOIN sample b ON b.id = a.id + 1 WHERE b.ts <= a.ts"); n != 0 {
		t.Errorf("%d times fall", n)
	}
	if n := c.number("SELECT count(*) FROM samples WHERE wall IS NOT NULL AND abs(wall - (ts - 31536000)) < 12000"); n != 200 {
		t.Errorf("%d samples tell what the clock read", n)
	}
	want := []string{"clock: the clock was set forward by about 8760h0m0s", "clock: the clock was set back by about 8759h59m0s"}
	if diff := cmp.Diff(want, c.gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	// By its own clock the machine goes on for a month and a day: then what is older than a month goes, wrong times or not.
	for range 31 * 24 {
		c.pass(time.Hour, 0)
	}
	if n := c.number("SELECT count(*) FROM sample"); n < 30*24 || n > 30*24+10 {
		t.Errorf("%d samples of a month of hours", n)
	}
	// At last the clock catches up.
	c.pass(2*year, 2*year)
	c.pass(time.Minute, 0)
	if n := c.number("SELECT count(*) FROM sample WHERE wall IS NULL AND id > (SELECT max(id) - 2 FROM sample)"); n != 2 {
		t.Errorf("the clock has not caught up")
	}
}

// A clock that a new boot begins with, wrong by a year until the time is asked for, costs nothing; a machine that was off
// for a year has nothing left of the time before, an hour after it came back.
func TestClockWrongAtBoot(t *testing.T) {
	t.Parallel()
	for _, right := range []bool{false, true} {
		t.Run(fmt.Sprintf("right=%v", right), func(t *testing.T) {
			t.Parallel()
			c := newClockwork(t)
			c.minutes(100)
			c.wall, c.uptime, c.awake = c.wall.Add(year), 0, 0
			c.start("boot 2")
			c.minutes(10)
			if !right {
				c.wall = c.wall.Add(-year)
			}
			if n := c.number("SELECT count(*) FROM sample"); n != 110 {
				t.Errorf("%d samples after ten minutes, want 110", n)
			}
			if n := c.number("SELECT count(*) FROM period_1m"); n < 100 {
				t.Errorf("%d minutes after ten minutes", n)
			}
			c.minutes(120)
			samples, minutes := 230, 100
			if right {
				samples, minutes = 130, 0
			}
			if n := c.number("SELECT count(*) FROM sample"); n != samples {
				t.Errorf("%d samples after two hours, want %d", n, samples)
			}
			if n := c.number("SELECT count(*) FROM period_1m WHERE ts < 1700010000"); n < minutes || right && n > 0 {
				t.Errorf("%d minutes of the time before after two hours", n)
			}
		})
	}
}

// Sleep is told from being late by the clock that stands still meanwhile.
func TestSuspend(t *testing.T) {
	t.Parallel()
	c := newClockwork(t)
	c.minutes(3)
	c.pass(8*time.Hour+time.Minute, 8*time.Hour)
	c.minutes(2)
	c.pass(10*time.Minute, 0)
	c.minutes(2)
	c.pass(91*time.Second, 500*time.Millisecond)
	c.pass(80*time.Second, 30*time.Second) // slept, and on time all the same
	want := []string{"suspended: the machine slept for 8h0m0s", "late: samples came late: the machine, or the recorder, was too busy",
		"late: samples came late: the machine, or the recorder, was too busy"}
	if diff := cmp.Diff(want, c.gaps()); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	if c.mostTidied > 15 {
		t.Errorf("%d steps to tidy up after one sample", c.mostTidied)
	}
	if n := c.number("SELECT count(*) FROM period_1m"); n > c.samples {
		t.Errorf("%d minutes of %d samples", n, c.samples)
	}
}
