package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Limits say how much is kept. They hold all the time: what is beyond them goes in small steps between samples, the oldest
// first; see Tidy. What is 0 has no limit.
type Limits struct {
	Keep    time.Duration // samples and what happened between them
	MaxSize int64         // bytes of the file and its -wal together; at least MinMaxSize

	// The roll-ups outlive the samples. Under MaxSize they are deleted as well, minutes first, but later than samples are.
	Minutes, Hours, Days time.Duration
}

// MinMaxSize is the least that a recording may be limited to: an empty one takes a megabyte.
const MinMaxSize = 8 << 20

func (l Limits) rollup(level int) time.Duration {
	return [...]time.Duration{l.Minutes, l.Hours, l.Days}[level]
}

// walLimit is what the -wal file is cut back to when it has been written back, and walWaits how many bytes of it are waited for.
func (l Limits) walLimit() int64 {
	if l.MaxSize == 0 {
		return 16 << 20
	}
	return min(max(l.MaxSize/32, 1<<20), 16<<20)
}

// walBound is how far the -wal file may grow while a reader keeps it from being cut back; see held.
func (l Limits) walBound() int64 {
	if l.MaxSize == 0 {
		return 128 << 20
	}
	return max(l.MaxSize/20, 4<<20)
}

func (l Limits) walWaits() int64 { return min(l.walLimit()/2, 4_000_000) }

// A retention deletes what is beyond the limits, and works out before what outlives it.
//
// It moves the oldest sample that is kept first. What ended before that is out of sight then, and is purged after it. All
// that is to be purged is found in the file again after a crash.
//
//   - Spans and logs are in the order of time: the oldest are one range of the key.
//   - A subject goes when its last sample has. A subject that survives its first sample keeps that sample's time, in since.
//     One that rests, of a table whose subjects may, stays until it is gone: it may be seen again. See Set.Rest.
//   - Subjects that others point to go later by an eighth of the time that is kept, a day at the most: a
//     connection in TIME_WAIT still names the process that held it.
//   - Tuples of logs go when no row can have them any more: each is given to rows of a limited number of samples.
//   - Interned tuples of spans have no time. Those that are in use are copied behind the newest now and then; see
//     compactTuples. All before the mark are out of use once the sample of the mark is the oldest.
type retention struct {
	file     *openFile
	limits   *Limits
	interval time.Duration // between samples
	clock    *trustedClock
	gaps     *gapLog
	tables   []tableWriter
	tupleAge *int64 // see Writer

	last       sampleTime // the last one committed
	run        int64      // that is under way
	bootSample int64      // see Writer

	oldest sampleTime       // sample, as the file has it; id 0: not read yet
	stages []stage          // what is still to be purged; nil: nothing
	born   map[*Table]int64 // the lowest number of a subject that the oldest sample, or a later one, saw first
	looked float64          // uptime at which the age of the oldest sample is looked at again
	levels float64          // and that of the roll-ups

	counting  *sql.Stmt // see countPages
	used      int64     // pages in use, and
	free      int64     // free ones, when last counted
	counted   bool      // nothing has changed since
	overLimit bool      // the recording was beyond its size, and is not yet well below
	vacuumed  bool      // nothing is to be given back before the next sample

	compacting int   // table whose tuples are being copied, plus one; 0: none
	upto       int64 // its tuples up to this number are copied
	marked     int64 // sample at which tuples are looked at again

	rollups  rollupWriter
	sums     summing
	thinning thinning
	peers    peering

	// Tuples are compacted when so many samples were taken since the last time, an eighth of those kept at least, and so many
	// tuples are new.
	markSamples, markTuples int64
}

func newRetention(w *Writer) *retention {
	return &retention{
		file: w.file, limits: &w.options.Limits, interval: w.options.Interval, clock: &w.clock, gaps: &w.gaps, tables: w.order, tupleAge: &w.tupleAge,
		markSamples: 2000, markTuples: 1000,
		rollups:  rollupWriter{file: w.file},
		sums:     summing{sizes: blockSizes{short: 128, shortest: 16, together: 64}},
		thinning: thinning{most: thinAtOnce, grains: grains},
	}
}

// begin is for a Writer that begins, after that last sample.
func (k *retention) begin(last sampleTime, run, bootSample int64) {
	k.last, k.run, k.bootSample = last, run, bootSample
}

// committed takes note of a sample.
func (k *retention) committed(last sampleTime) {
	k.last, k.counted, k.vacuumed = last, false, false
}

// closeStatements closes what is compiled on the connection.
func (k *retention) closeStatements() {
	k.rollups.closeStatements()
	if k.counting != nil {
		k.counting.Close()
		k.counting = nil
	}
}

// A stage is one thing to do, in small steps: each call does a step and reports whether there was anything to do.
type stage func(context.Context) (bool, error)

// purgeRows is how many rows go in one step: some milliseconds' worth.
const purgeRows = 2000

// Tidy does one small step of what is to be done between samples: it works out roll-ups and sums, deletes what is
// beyond the limits and gives free pages back. It reports whether there may be more to do; when there is not, it need not
// be called before the next sample. The file is as good after each step as before.
func (w *Writer) Tidy(ctx context.Context) (more bool, err error) {
	if w.last.id == 0 || w.trouble != nil || w.state == stateLost || w.file.broken || w.file.conn == nil {
		return false, nil
	}
	more, err = w.retention.step(ctx)
	if err != nil && ctx.Err() == nil && unwritable(err) {
		w.fail(err) // resync deals with it before the next sample
		err = nil
	}
	if err != nil {
		return false, Explain(w.options.Path, fmt.Errorf("tidy up: %w", err))
	}
	return more, nil
}

// step does one small step of what is due.
func (k *retention) step(ctx context.Context) (bool, error) {
	if err := k.readOldest(ctx); err != nil {
		return false, err
	}
	for _, step := range []stage{k.rollUpDue, k.peersDue, k.purge, k.forgetPeriods, k.thin, k.forgetOldest, k.sumUpDue, k.compactTuples, k.vacuum} {
		did, err := step(ctx)
		k.counted = k.counted && !did
		if err != nil || did {
			return did, err
		}
	}
	return false, nil
}

// rollUpDue works out the next period that is over, if there is one.
func (k *retention) rollUpDue(ctx context.Context) (bool, error) {
	return k.rollups.next(ctx, k.last.ts)
}

// readOldest finds the oldest sample. What an earlier run left to be purged is purged.
func (k *retention) readOldest(ctx context.Context) error {
	if k.oldest.id != 0 {
		return nil
	}
	if err := k.file.conn.QueryRowContext(ctx, "SELECT id, ts FROM sample ORDER BY id LIMIT 1").Scan(&k.oldest.id, &k.oldest.ts); err != nil {
		return err
	}
	k.stages = k.purging()
	return nil
}

// forgetOldest forgets the oldest samples when they are too old, or the file too large.
func (k *retention) forgetOldest(ctx context.Context) (bool, error) {
	keep := k.limits.Keep
	if over, err := k.oversize(ctx); err != nil {
		return false, err
	} else if over > 0 {
		samples := k.last.id - k.oldest.id + 1
		share := max(1, k.used*k.file.pageSize/samples)
		return k.forgetSamples(ctx, k.oldest.id+min((over+share-1)/share, max(1, samples/16)))
	}
	if keep == 0 || seconds(k.last.clock.Uptime) < k.looked {
		return false, nil
	}
	// By stretches, or every sample would purge all tables for the sake of one.
	stretch := min(max(keep/100, 4*k.interval), 10*time.Minute).Seconds()
	next, left, err := k.youngerThan(ctx, keep.Seconds()+stretch)
	if err != nil {
		return false, err
	}
	if next <= k.oldest.id {
		k.looked = seconds(k.last.clock.Uptime) + min(left, clockSettled/4)
		return false, nil
	}
	if next, _, err = k.youngerThan(ctx, keep.Seconds()); err != nil {
		return false, err
	}
	return k.forgetSamples(ctx, next)
}

// forgetAtOnce is how many samples one step forgets: the subjects that appeared in them are read.
const forgetAtOnce = 200

// forgetSamples deletes the oldest samples before next, a few at a time, but none that is not rolled up yet. It reports
// whether it did.
func (k *retention) forgetSamples(ctx context.Context, next int64) (bool, error) {
	unrolled, err := k.unrolled(ctx)
	if err != nil {
		return false, err
	}
	next = min(next, unrolled, k.oldest.id+forgetAtOnce)
	if next <= k.oldest.id {
		return false, nil
	}
	if next > k.peers.upto { // the last of them stays: the next piece is compared with it
		return k.sumUpPeers(ctx, true)
	}
	moved, born := sampleTime{id: next}, map[*Table]int64{}
	err = k.file.transaction(ctx, func() (err error) {
		for _, t := range Tables() {
			if born[t], err = k.keepSince(ctx, t, next); err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
		}
		if _, err := k.file.conn.ExecContext(ctx, "DELETE FROM sample WHERE id < ?", next); err != nil {
			return err
		}
		if err := k.file.conn.QueryRowContext(ctx, "SELECT id, ts FROM sample ORDER BY id LIMIT 1").Scan(&moved.id, &moved.ts); err != nil {
			return err
		}
		return k.forgetThinned(ctx, moved.ts)
	})
	if err != nil {
		return false, fmt.Errorf("forget the oldest samples: %w", err)
	}
	k.oldest, k.born = moved, born
	k.stages = k.purging()
	return true, nil
}

// unrolled is the first sample that is not rolled up yet; 0: none is.
func (k *retention) unrolled(ctx context.Context) (int64, error) {
	var id sql.NullInt64
	err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT min(id) FROM sample WHERE ts >= (SELECT max(id) + 1 FROM %s) * %d.0",
		Levels()[0].periods(), Levels()[0].Seconds)).Scan(&id)
	return id.Int64, err
}

// keepSince stores the first-seen time of subjects that survive the deletion of samples before b. Subjects that were first
// seen in samples deleted earlier have it already. It returns the number of the first subject that sample b, or a later
// one, saw first.
func (k *retention) keepSince(ctx context.Context, t *Table, b int64) (int64, error) {
	first, known := k.born[t]
	if !known {
		var err error
		if first, err = k.firstBorn(ctx, t, 0, k.oldest.id); err != nil {
			return 0, err
		}
	}
	next, err := k.firstBorn(ctx, t, first, b)
	if err != nil || first == next {
		return next, err
	}
	outlives := "last_sample IS NULL OR last_sample >= ?"
	if t.rests {
		outlives += " OR gone_sample IS NULL"
	}
	_, err = k.file.conn.ExecContext(ctx, fmt.Sprintf(`UPDATE %s SET since = (SELECT ts FROM sample WHERE id = first_sample)
		WHERE id >= ? AND id < ? AND since IS NULL AND (%s)`, t.Subject, outlives), first, next, b)
	return next, err
}

// firstBorn is the lowest number, from low on, of a subject that no sample before m saw. Numbers are given in the order of
// appearance, so that it is found by halving.
func (k *retention) firstBorn(ctx context.Context, t *Table, low, m int64) (int64, error) {
	var top int64
	if err := lastID(ctx, k.file.conn, t.Subject, &top); err != nil {
		return 0, err
	}
	high := max(low, top+1)
	for low < high {
		middle := (low + high) / 2
		var first int64
		err := k.file.conn.QueryRowContext(ctx, "SELECT first_sample FROM "+t.Subject+" WHERE id >= ? ORDER BY id LIMIT 1", middle).Scan(&first)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
		if err != nil || first >= m {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// purge does one step of the stages.
func (k *retention) purge(ctx context.Context) (bool, error) {
	for len(k.stages) > 0 {
		did, err := k.stages[0](ctx)
		if err != nil || did {
			return did, err
		}
		k.stages = k.stages[1:]
	}
	return false, nil
}

// purging lists the stages that delete what only samples before the oldest one showed.
func (k *retention) purging() []stage {
	h := k.oldest.id
	referred := h - min((k.last.id-h)/8, int64(24*time.Hour/max(k.interval, time.Millisecond)))
	pointed := map[*Table]bool{}
	for _, t := range Tables() {
		for _, c := range t.refs() {
			pointed[c.Ref] = true
		}
	}
	var stages []stage
	for _, t := range Tables() {
		stages = append(stages, k.deleteRange(t.Subject+"_span", "id", h<<32))
	}
	for _, t := range LogTables() {
		stages = append(stages, k.deleteRange(t.Name, "ts", k.oldest.ts))
		if len(t.rare) > 0 {
			stages = append(stages, k.dropLogTuples(t))
		}
	}
	for _, t := range Tables() {
		last := h
		if pointed[t] {
			last = referred
		}
		resting := "" // it may come back
		if t.rests {
			resting = fmt.Sprintf(" AND (gone_sample IS NOT NULL OR last_sample < %d)", k.bootSample)
		}
		stages = append(stages, k.deleteWhere(fmt.Sprintf(
			"DELETE FROM %[1]s WHERE id IN (SELECT id FROM %[1]s WHERE last_sample IS NOT NULL AND last_sample < %[2]d%[4]s ORDER BY last_sample LIMIT %[3]d)"+
				" AND id < (SELECT max(id) FROM %[1]s)", // no number is given twice
			t.Subject, last, purgeRows/4, resting)))
		if len(t.rare) > 0 {
			stages = append(stages, k.dropTuples(t))
		}
	}
	for _, r := range Rollups() {
		outOfUse := []string{}
		for _, l := range r.levels {
			stages = append(stages, k.purgeRollup(r, l))
			outOfUse = append(outOfUse, fmt.Sprintf("%s < %s", l.lastRow(), r.oldest(l)))
		}
		stages = append(stages, k.deleteWhere("DELETE FROM "+r.group()+" WHERE "+strings.Join(outOfUse, " AND ")))
	}
	return append(append(stages, k.purgeSums()...), k.purgeRecorder)
}

// deleteRange deletes the rows of a table whose key is below the bound, a few in each step.
func (k *retention) deleteRange(table, key string, below any) stage {
	return func(ctx context.Context) (bool, error) {
		var last any
		err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf(
			"SELECT %[2]s FROM (SELECT %[2]s FROM %[1]s WHERE %[2]s < ? ORDER BY %[2]s LIMIT %[3]d) ORDER BY %[2]s DESC LIMIT 1", table, key, purgeRows), below).Scan(&last)
		if errors.Is(err, sql.ErrNoRows) {
			return false, nil
		}
		if err == nil {
			_, err = k.file.conn.ExecContext(ctx, fmt.Sprintf("DELETE FROM %s WHERE %s <= ?", table, key), last)
		}
		if err != nil {
			return false, fmt.Errorf("delete old rows of %s: %w", table, err)
		}
		return true, nil
	}
}

// deleteWhere runs a statement that deletes a few rows, as often as it finds some.
func (k *retention) deleteWhere(statement string) stage {
	return func(ctx context.Context) (bool, error) {
		r, err := k.file.conn.ExecContext(ctx, statement)
		if err != nil {
			return false, fmt.Errorf("%w in %s", err, statement)
		}
		n, err := r.RowsAffected()
		return n > 0, err
	}
}

// purgeRollup deletes the rows of periods that are gone.
func (k *retention) purgeRollup(r *Rollup, l Level) stage {
	return func(ctx context.Context) (bool, error) {
		var first int64
		if err := k.file.conn.QueryRowContext(ctx, "SELECT "+r.oldest(l)).Scan(&first); err != nil {
			return false, err
		}
		return k.deleteRange(r.rows(l), "id", first<<32)(ctx)
	}
}

// purgeRecorder deletes the rows about the recorder itself from before the oldest sample. Gaps are kept as long as the
// roll-ups of hours are.
func (k *retention) purgeRecorder(ctx context.Context) (bool, error) {
	oldest := k.oldest.ts
	if hours := k.limits.Hours; hours > 0 {
		oldest = min(oldest, k.clock.now-hours.Seconds())
	} else {
		oldest = 0
	}
	const runs = "(SELECT min(run) FROM sample)"
	for _, s := range []struct {
		statement string
		args      []any
	}{
		{"DELETE FROM gap WHERE until < ?", []any{oldest}},
		{"DELETE FROM capability WHERE run < " + runs, nil},
		{"DELETE FROM run WHERE id < " + runs + " AND started < ?", []any{oldest}},
		{"DELETE FROM boot WHERE id NOT IN (SELECT boot FROM run)", nil},
	} {
		if _, err := k.file.conn.ExecContext(ctx, s.statement, s.args...); err != nil {
			return false, fmt.Errorf("%w in %s", err, s.statement)
		}
	}
	return false, nil
}

// oldest is the first period whose rows are kept, as SQL. There are many peers of hours: they are kept only as long as
// minutes are.
func (r *Rollup) oldest(l Level) string {
	from, each := l, l.block
	if minute := Levels()[0]; r.kind == contact && l == Levels()[1] {
		from, each = minute, l.Seconds/minute.Seconds
		return fmt.Sprintf("coalesce((SELECT min(id) / %d FROM %s), 0)", each, from.periods())
	}
	return fmt.Sprintf("coalesce((SELECT min(id) / %[1]d * %[1]d FROM %[2]s), 0)", each, from.periods())
}

// forgetPeriods forgets the oldest periods of the roll-ups, by their age or because the file is too large.
func (k *retention) forgetPeriods(ctx context.Context) (bool, error) {
	over, err := k.oversize(ctx)
	if err != nil || over <= 0 && seconds(k.last.clock.Uptime) < k.levels {
		return false, err
	}
	for i, l := range Levels() {
		var first, last sql.NullInt64
		if err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT (SELECT min(id) FROM %[1]s), (SELECT max(id) FROM %[1]s)", l.periods())).Scan(&first, &last); err != nil {
			return false, err
		}
		next := l.blockOf(first.Int64)
		if keep := k.limits.rollup(i); keep > 0 {
			next = max(next, l.blockOf(l.of(k.clock.now-keep.Seconds())))
		}
		// If the file is too large, a level is cut when it goes back that much further than the samples do.
		if over > 0 && k.last.ts-l.begin(first.Int64) > l.reach*max(k.last.ts-k.oldest.ts, 60) {
			next = max(next, l.blockOf(first.Int64+l.block+(last.Int64-first.Int64)/100))
		}
		if next = min(next, l.blockOf(last.Int64)); next <= first.Int64 {
			continue
		}
		if _, err := k.file.conn.ExecContext(ctx, "DELETE FROM "+l.periods()+" WHERE id < ?", next); err != nil {
			return false, fmt.Errorf("forget the oldest %ss: %w", l.Noun, err)
		}
		k.stages = k.purging()
		return true, nil
	}
	first := Levels()[0]
	k.levels = seconds(k.last.clock.Uptime) + float64(first.Seconds*first.block)/4
	return false, nil
}

// countPages counts the pages of the file.
func (k *retention) countPages(ctx context.Context) error {
	if k.counted {
		return nil
	}
	k.counted = true
	if k.counting == nil {
		var err error
		if k.counting, err = k.file.conn.PrepareContext(ctx, "SELECT page_count - freelist_count, freelist_count FROM pragma_page_count, pragma_freelist_count"); err != nil {
			return err
		}
	}
	return k.counting.QueryRowContext(ctx).Scan(&k.used, &k.free)
}

// oversize is by how many bytes the recording is too large. Free pages are not counted: they are used first. Once beyond
// its limit, it is too large until it is a hundredth below it, or every sample would purge all tables for the sake of one.
func (k *retention) oversize(ctx context.Context) (int64, error) {
	limit := k.limits.MaxSize
	if limit == 0 {
		return 0, nil
	}
	err := k.countPages(ctx)
	size := k.used*k.file.pageSize + k.walSize()
	k.overLimit = size > limit || k.overLimit && size > limit-limit/100
	if !k.overLimit {
		return 0, err
	}
	return size - (limit - limit/100), err
}

// walSize is what the -wal file takes: at least what it usually does, at most what it may.
func (k *retention) walSize() int64 {
	size := k.limits.walLimit()
	if info, err := os.Stat(k.file.path + "-wal"); err == nil {
		size = max(size, info.Size())
	}
	return min(size, k.limits.walBound())
}

// vacuumBytes are given back in one step.
const vacuumBytes = 512 << 10

// vacuum gives free pages back to the file system when the file is too large, or when many are free.
func (k *retention) vacuum(ctx context.Context) (bool, error) {
	limit := k.limits.MaxSize
	if k.vacuumed {
		return false, nil
	}
	if err := k.countPages(ctx); err != nil {
		return false, err
	}
	tooLarge := limit > 0 && k.free > 0 && (k.used+k.free)*k.file.pageSize+k.walSize() > limit
	if !tooLarge && k.free <= max(4<<20/k.file.pageSize, k.used/20) {
		return false, nil
	}
	if _, err := k.file.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumBytes/k.file.pageSize)); err != nil {
		return false, fmt.Errorf("give free pages back: %w", err)
	}
	before := k.free
	k.counted = false
	err := k.countPages(ctx)
	k.vacuumed = k.free >= before // a file that was made otherwise keeps its pages
	return !k.vacuumed, err
}
