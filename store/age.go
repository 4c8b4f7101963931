package store

import (
	"context"
	"database/sql"
	"errors"
)

// The age of a sample is not taken from the wall clock alone: a wall clock that is a year ahead for a minute must not cost
// a year of data. The age is measured with the clock since boot. Only the time for which the machine was off between two
// boots is taken from the wall clock, and only after it has run steadily for clockSettled.

// clockSettled is how long, in seconds, a wall clock that jumped forward, or that a new boot begins with, must run steadily
// before we trust it to delete data.
const clockSettled = 3600.0

// A trustedClock gives the time from which the age of roll-ups and gaps is counted: the wall clock's, unless that has
// jumped lately.
type trustedClock struct {
	known        bool
	wall, uptime float64 // when the clock was last believed
	leapt        bool    // it is ahead of that
	since        float64 // uptime at which it leapt
	now          float64
}

// begin takes up from the last sample of the recording.
func (c *trustedClock) begin(ctx context.Context, q *sql.Conn, boot string) error {
	var same bool
	err := q.QueryRowContext(ctx, `SELECT coalesce(s.wall, s.ts), s.uptime_s, b.boot_id = ? FROM sample s JOIN run r ON r.id = s.run JOIN boot b ON b.id = r.boot
		ORDER BY s.id DESC LIMIT 1`, boot).Scan(&c.wall, &c.uptime, &same)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if c.known = err == nil; !same {
		c.uptime = 0 // how long the machine was off, nobody knows
	}
	return err
}

// see takes note of what the clocks say.
func (c *trustedClock) see(wall, uptime float64) {
	expected := c.wall + uptime - c.uptime
	switch ahead := c.known && wall > expected+1; {
	case ahead && !c.leapt:
		c.leapt, c.since, c.now = true, uptime, expected
		return
	case ahead && uptime-c.since < clockSettled:
		c.now = expected
		return
	}
	*c = trustedClock{known: true, wall: wall, uptime: uptime, now: wall}
}

// A pastSample is a sample with what is needed to tell its age.
type pastSample struct {
	id, boot     int64
	wall, uptime float64
}

// sampleFrom reads the sample of that number.
func (k *retention) sampleFrom(ctx context.Context, id int64) (p pastSample, err error) {
	err = k.file.conn.QueryRowContext(ctx, `SELECT s.id, r.boot, coalesce(s.wall, s.ts), s.uptime_s FROM sample s CROSS JOIN run r ON r.id = s.run
		WHERE s.id >= ? ORDER BY s.id LIMIT 1`, id).Scan(&p.id, &p.boot, &p.wall, &p.uptime)
	return p, err
}

// firstSample is the first from low on of which holds is true, as it is of all after it up to high.
func (k *retention) firstSample(ctx context.Context, low, high pastSample, holds func(pastSample) bool) (pastSample, error) {
	if holds(low) {
		return low, nil
	}
	for low.id+1 < high.id {
		middle, err := k.sampleFrom(ctx, low.id+(high.id-low.id)/2)
		if err != nil {
			return high, err
		}
		if holds(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high, nil
}

// youngerThan is the first sample that is not older than age, in seconds. If that is the oldest sample, left is how long it
// takes until it is older.
func (k *retention) youngerThan(ctx context.Context, age float64) (id int64, left float64, err error) {
	oldest, err := k.sampleFrom(ctx, k.oldest.id)
	if err != nil {
		return 0, 0, err
	}
	end, err := k.sampleFrom(ctx, k.last.id)
	if err != nil {
		return 0, 0, err
	}
	for newest := true; ; newest = false {
		first, err := k.firstSample(ctx, oldest, end, func(p pastSample) bool { return p.boot == end.boot })
		if err != nil {
			return 0, 0, err
		}
		up := max(0, end.uptime-first.uptime)
		if up > age {
			first, err = k.firstSample(ctx, first, end, func(p pastSample) bool { return p.uptime >= end.uptime-age })
			return first.id, 0, err
		}
		age -= up
		if first.id <= oldest.id {
			return first.id, age, nil
		}
		before, err := k.sampleFrom(ctx, first.id-1)
		if err != nil {
			return 0, 0, err
		}
		// A clock that was wrong at first may have been set right since: the last reading of the boot counts.
		if off := end.wall - up - before.wall; !newest || up >= clockSettled {
			if off > age {
				return first.id, 0, nil
			}
			age -= max(0, off)
		}
		end = before
	}
}
