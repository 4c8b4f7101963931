package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// gapLog writes the times at which nobody looked, or not at everything.
//
// A gap lasts from the last good sample to the first good one after it; while it goes on
// its until is NULL. One that is not over when a run ends is over with its last sample.
type gapLog struct {
	pending []gapRow // begin with the next sample
	staged  []func() // what a commit makes true in memory
	newest  int64    // id of a gap that is in the file, or is going to be
	number  int64    // id of the last gap of this sample
	late    lateGap  // the newest of that kind

	add, end *batch
}

// A lateGap goes on when the next sample is late, too.
type lateGap struct {
	id    int64
	until float64
}

type gapRow struct {
	since        float64
	kind, detail string
}

type openGap struct {
	id           int64
	kind, detail string
}

// Kinds of gaps.
const (
	gapStopped    = "stopped"    // the recorder had been stopped
	gapCrashed    = "crashed"    // the recorder was killed, or the machine fell
	gapReboot     = "reboot"     // the machine was rebooted in between
	gapSuspended  = "suspended"  // the machine slept
	gapLate       = "late"       // the sample came late: the machine was busy, or frozen
	gapUnwritten  = "unwritten"  // samples could not be written
	gapClock      = "clock"      // the wall clock was set back, or forward
	gapFailed     = "failed"     // a source could not be read
	gapIncomplete = "incomplete" // a source could not be read completely
	gapOff        = "off"        // a source was not read because it is switched off
	gapLost       = "lost"       // events were lost since the sample before
	gapThinned    = "thinned"    // samples were taken, but are not kept for want of room; see thin
	gapDamaged    = "damaged"    // it was recorded, and could not be saved from a damaged file: see Recover
)

func (g *gapLog) prepare(w *Writer) {
	g.add = w.insert("INSERT INTO gap (id, since, until, source, kind, detail, netns)", 7)
	g.end = w.each("UPDATE gap SET until = ? WHERE id")
}

// begin ends the gaps of the last run and notes the pause since. ended is why that run was not stopped, where it is known.
func (g *gapLog) begin(ctx context.Context, q *sql.Conn, last sampleTime, lastBoot sql.NullInt64, boot int64, stopped bool, ended string) error {
	g.pending = g.pending[:0]
	if err := q.QueryRowContext(ctx, "SELECT max(?, coalesce(max(id), 0)) FROM gap", g.newest).Scan(&g.newest); err != nil {
		return err
	}
	if !lastBoot.Valid || last.id == 0 {
		return nil
	}
	if _, err := q.ExecContext(ctx, "UPDATE gap SET until = ? WHERE until IS NULL", last.ts); err != nil {
		return err
	}
	row := gapRow{since: last.ts, kind: gapCrashed, detail: "the recorder ended without closing the recording"}
	if ended != "" {
		row.detail += ": " + ended
	}
	if stopped {
		row = gapRow{since: last.ts, kind: gapStopped, detail: "the recorder was stopped"}
	}
	if lastBoot.Int64 != boot {
		row.detail += ", and the machine was rebooted"
		if !stopped {
			row.kind = gapReboot
		}
	}
	g.pending = append(g.pending, row)
	return nil
}

// write enters what this sample says about gaps.
func (g *gapLog) write(ctx context.Context, w *Writer) error {
	g.staged, g.number = g.staged[:0], g.newest
	g.end.with(w.now.ts)
	for _, row := range slices.Concat(g.pending, g.pause(w)) {
		late := g.late
		if row.kind == gapLate && late.until == row.since {
			if err := g.end.add(ctx, late.id); err != nil {
				return err
			}
		} else {
			id, err := g.insert(ctx, nil, row.since, w.now.ts, row.kind, row.detail)
			if err != nil {
				return err
			}
			late.id = id
		}
		if row.kind == gapLate {
			late.until = w.now.ts
			g.staged = append(g.staged, func() { g.late = late })
		}
	}
	for _, s := range w.sources {
		if err := g.follow(ctx, w, s); err != nil {
			return err
		}
	}
	if err := g.add.flush(ctx); err != nil {
		return err
	}
	return g.end.flush(ctx)
}

// pause finds out whether the time since the last sample of this run was too long.
func (g *gapLog) pause(w *Writer) []gapRow {
	var rows []gapRow
	if w.now.steppedBack && !w.last.steppedBack {
		back := time.Duration((w.last.ts - unixSeconds(w.now.clock.Wall)) * float64(time.Second)).Round(time.Second)
		rows = append(rows, gapRow{w.last.ts, gapClock,
			fmt.Sprintf("the clock was set back by about %v; until it catches up, ts grows at a tenth of its speed, and samples.wall has its reading", back)})
	}
	if !w.lastRun {
		return rows
	}
	if ahead := w.now.ts - w.last.ts - w.sinceLast(); ahead > 1+w.sinceLast()/100 && !w.last.steppedBack {
		rows = append(rows, gapRow{w.last.ts, gapClock, fmt.Sprintf("the clock was set forward by about %v",
			time.Duration(ahead*float64(time.Second)).Round(time.Second))})
	}
	elapsed := w.now.clock.Uptime - w.last.clock.Uptime
	slept := elapsed - (w.now.clock.Awake - w.last.clock.Awake)
	switch {
	case w.lost != nil:
		rows = append(rows, gapRow{w.last.ts, gapUnwritten, "samples could not be written: " + w.lost.Error()})
	case elapsed <= w.options.Interval+w.options.Interval/2+50*time.Millisecond:
	case slept > time.Second:
		rows = append(rows, gapRow{w.last.ts, gapSuspended, fmt.Sprintf("the machine slept for %v", slept.Round(time.Second))})
	default:
		rows = append(rows, gapRow{w.last.ts, gapLate, "samples came late: the machine, or the recorder, was too busy"})
	}
	return rows
}

// follow opens, keeps or ends the gap of a source.
func (g *gapLog) follow(ctx context.Context, w *Writer, s *Source) error {
	var kind, detail string
	switch s.outcome {
	case Failed, Unread:
		kind, detail = gapFailed, s.err
	case Incomplete:
		kind, detail = gapIncomplete, s.err
	case Off:
		kind, detail = gapOff, s.err
	case Kept: // what the last reading lacks is still missing
		if s.gap != nil && s.gap.kind == gapIncomplete {
			kind, detail = s.gap.kind, s.gap.detail
		}
	}
	since := w.now.ts
	if w.lastRun {
		since = w.last.ts
	}
	if s.lost != "" {
		if _, err := g.insert(ctx, s, since, w.now.ts, gapLost, s.lost); err != nil {
			return err
		}
	}
	if s.gap != nil && s.gap.kind == kind && s.gap.detail == detail {
		return nil
	}
	if s.gap != nil {
		if err := g.end.add(ctx, s.gap.id); err != nil {
			return err
		}
		g.staged = append(g.staged, func() { s.gap = nil })
	}
	if kind == "" {
		return nil
	}
	id, err := g.insert(ctx, s, since, 0, kind, detail)
	if err != nil {
		return err
	}
	g.staged = append(g.staged, func() { s.gap = &openGap{id, kind, detail} })
	return nil
}

// insert enters a gap of a source, or of everything; until 0 is one that goes on. Its number comes from memory: the row may
// be written later.
func (g *gapLog) insert(ctx context.Context, s *Source, since, until float64, kind, detail string) (int64, error) {
	var end, source, netns, words any
	if until != 0 {
		end = until
	}
	if detail != "" {
		words = detail
	}
	if s != nil {
		source = s.name
		if n, ok := s.netns.Get(); ok {
			netns = n
		}
	}
	g.number++
	return g.number, g.add.add(ctx, g.number, since, end, source, kind, words, netns)
}

func (g *gapLog) committed() {
	for _, do := range g.staged {
		do()
	}
	g.staged, g.pending, g.newest = g.staged[:0], g.pending[:0], g.number
}

func (g *gapLog) rolledBack() { g.staged = g.staged[:0] }

// resume gives the reason of the gap that begin has found.
func (g *gapLog) resume(w *Writer, ours bool) {
	switch {
	case ours && w.last.id > 0:
		g.pending = append(g.pending[:0], gapRow{w.last.ts, gapUnwritten, fmt.Sprintf(
			"samples could not be written, nor what the kernel told between them: %v", w.dropped.why)})
	case w.last.id == 0 && w.dropped.last > 0:
		g.pending = append(g.pending[:0], gapRow{w.dropped.last, gapUnwritten, fmt.Sprintf(
			"what was recorded until then is not in this file: %v", w.dropped.why)})
	}
}

// forget resets the gap log for a Writer that starts over.
func (g *gapLog) forget(sources []*Source) {
	g.rolledBack()
	g.late = lateGap{}
	for _, s := range sources {
		s.gap = nil
	}
}
