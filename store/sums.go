package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A Sum lets a query over a long window read pre-aggregated blocks instead of spans: the sums that a regression over a
// column needs, for each subject and each block of samples. A window is whole blocks, and the spans at its two ends; leaks
// reads it so. The sums say nothing that the spans do not say, to the last digit, and are deleted with the samples. What
// outlives the samples is a Rollup.
//
// A short block is a hundred samples or so of one run of the recorder. A long block is several short ones. The last blocks
// of a run are shorter, and a few samples at its end are in no block. Blocks are worked out from the file, once their
// samples stand in it. A block that is not there yet, as in a recording that was made before there were sums, is read from
// the spans.
//
// A row is of one block. If the column stood still, the row is of as many blocks as its samples say, and has only that
// value, as least and most. Its rowid is the first sample shifted by 32 bits, plus the subject. No row goes back before the
// base of its block, so that the rows of a block are one short range.
type Sum struct {
	From   *Table
	Column string
}

// A blockLength is short or long.
type blockLength string

const (
	shortBlock blockLength = "short"
	longBlock  blockLength = "long"
)

// blockSizes say how long new blocks are. Those that are there say so themselves.
type blockSizes struct {
	short, shortest int64 // samples of a short block; of one at the end of a run, at least
	together        int64 // short blocks of a long one, and long ones that have a base in common
}

var sums []*Sum

// Sums lists every Sum.
func Sums() []*Sum { return sums }

// sumUp declares a sum; tables.go is the list.
func sumUp(from *Table, column string) *Sum {
	s := &Sum{from, column}
	sums = append(sums, s)
	return s
}

// sumColumns are the columns of a row after its samples. n is in how many of them the subject was there. total, moment and
// squares are the sums of the values, of the values times the samples since the first, and of the squares. first and last
// are the first and the last value. To each is added, shifted by 32 bits, how many samples that was after the first one of
// the row, or (negative) before the last one. A row of a value that stood still has NULL from n on.
const sumColumns = "least, most, n, total, moment, squares, first, last"

func (l blockLength) blocks() string     { return string(l) + "_block" }
func (s *Sum) rows(l blockLength) string { return s.From.Subject + "_" + string(l) }
func (s *Sum) scratch() string           { return "temp.summed_" + s.From.Subject }
func (s *Sum) tables() []string          { return []string{s.rows(shortBlock), s.rows(longBlock)} }

// Schema is what a migration must make of the sum.
func (s *Sum) Schema() []string {
	var all []string
	for _, name := range s.tables() {
		all = append(all, "CREATE TABLE "+name+" (id INTEGER PRIMARY KEY, samples INTEGER NOT NULL, least INTEGER NOT NULL, most INTEGER NOT NULL, "+
			"n INTEGER, total INTEGER, moment INTEGER, squares INTEGER, first INTEGER, last INTEGER) STRICT")
	}
	return all
}

// Schema is what a migration must make of the blocks; the id of one is its first sample.
func (l blockLength) Schema() string {
	return "CREATE TABLE " + l.blocks() + " (id INTEGER PRIMARY KEY, samples INTEGER NOT NULL, base INTEGER NOT NULL) STRICT"
}

// A block is one of samples of the same run. Rows of it begin at its base or later.
type block struct {
	length         blockLength
	first, samples int64
	base           int64
}

func (b block) last() int64 { return b.first + b.samples - 1 }

// summing is how far the blocks are.
type summing struct {
	sizes  blockSizes
	next   int64 // sample after the last short block, where that is of this run; else 0
	at     int64 // sample with which another short block may be complete
	noLong bool  // there is no long block to be made before another short one is
}

// SumUp works out all the sums that are due. Tidy does so too, in small steps and among other things.
func (w *Writer) SumUp(ctx context.Context) error {
	err := w.retention.readOldest(ctx)
	for due := err == nil; due && err == nil; {
		due, err = w.retention.sumUpDue(ctx)
	}
	return err
}

// sumUpDue sums up the next block whose samples are all there, if there is one.
func (k *retention) sumUpDue(ctx context.Context) (bool, error) {
	sums := &k.sums
	if k.last.id < sums.at {
		return false, nil
	}
	var b block
	var due bool
	var err error
	if !sums.noLong {
		b, due, err = k.nextLong(ctx)
		sums.noLong = err == nil && !due
	}
	if err == nil && !due {
		b, due, err = k.nextShort(ctx)
	}
	if err == nil && due {
		err = k.file.transaction(ctx, func() error { return k.sumUp(ctx, b) })
	}
	if err != nil {
		return false, fmt.Errorf("sum up: %w", err)
	}
	if due && b.length == shortBlock {
		sums.noLong = false
		if sums.next > 0 {
			sums.next = b.last() + 1
		}
	}
	return due, nil
}

// nextShort is the next short block. If it is not complete it notes when it may be.
func (k *retention) nextShort(ctx context.Context) (b block, due bool, err error) {
	sums := &k.sums
	b.length = shortBlock
	last := k.last.id
	if sums.next > 0 {
		b.first = max(sums.next, k.oldest.id)
	} else {
		var run int64
		err = k.file.conn.QueryRowContext(ctx, `WITH done AS (SELECT max(coalesce((SELECT id + samples FROM short_block ORDER BY id DESC LIMIT 1), 0), ?1) AS next)
SELECT run, max(a, next), z FROM done CROSS JOIN (
       SELECT id AS run, first_sample AS a, lead(first_sample, 1, ?2 + 1) OVER (ORDER BY id) - 1 AS z FROM run WHERE first_sample IS NOT NULL)
 WHERE z - max(a, next) + 1 >= ?3 ORDER BY a LIMIT 1`, k.oldest.id, k.last.id, sums.sizes.shortest).Scan(&run, &b.first, &last)
		if errors.Is(err, sql.ErrNoRows) { // this run has hardly begun
			sums.at = k.last.id + 1
			return b, false, nil
		}
		if err != nil {
			return b, false, err
		}
		if run == k.run {
			sums.next = b.first
		}
	}
	if b.samples = min(sums.sizes.short, last-b.first+1); sums.next > 0 && b.samples < sums.sizes.short {
		sums.at = b.first + sums.sizes.short - 1
		return b, false, nil
	}
	return b, true, nil
}

// nextLong is the next long block: as many short ones as it has at most, or all those of a run that is over.
func (k *retention) nextLong(ctx context.Context) (b block, due bool, err error) {
	b.length = longBlock
	err = k.file.conn.QueryRowContext(ctx, `WITH done AS (SELECT max(coalesce((SELECT id + samples FROM long_block ORDER BY id DESC LIMIT 1), 0), ?1) AS next)
SELECT s.base, sum(s.samples) FROM done CROSS JOIN short_block s ON s.id >= next AND s.base >= next GROUP BY s.base
HAVING count(*) >= ?2 OR count(*) >= 2 AND s.base < (SELECT base FROM short_block ORDER BY id DESC LIMIT 1)
 ORDER BY s.base LIMIT 1`, k.oldest.id, k.sums.sizes.together).Scan(&b.first, &b.samples)
	if errors.Is(err, sql.ErrNoRows) {
		return b, false, nil
	}
	return b, true, err
}

// sumUp enters a block and its rows.
func (k *retention) sumUp(ctx context.Context, b block) error {
	// It goes on from the one before it, unless that is of another run, or enough have the same base.
	if err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf(`SELECT coalesce((SELECT base FROM (SELECT * FROM %[1]s ORDER BY id DESC LIMIT 1) b
 WHERE id + samples = ?1 AND base >= (SELECT max(first_sample) FROM run WHERE first_sample <= ?1)
   AND (SELECT count(*) FROM %[1]s WHERE id >= b.base AND base = b.base) < ?2), ?1)`, b.length.blocks()), b.first, k.sums.sizes.together).Scan(&b.base); err != nil {
		return err
	}
	steps := []string{fmt.Sprintf("INSERT INTO %s VALUES (%d, %d, %d)", b.length.blocks(), b.first, b.samples, b.base)}
	for _, s := range Sums() {
		steps = append(steps, s.keep(b)...)
	}
	for _, s := range steps {
		if _, err := k.file.conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%w in %s", err, s)
		}
	}
	return nil
}

// keep enters the rows of a block. If a subject has stood still at the same value since the block before, its row there
// gets longer.
func (s *Sum) keep(b block) []string {
	rows := s.rows(b.length)
	steps := []string{
		fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (subject INTEGER PRIMARY KEY, %s, goes_on INTEGER)", s.scratch(), sumColumns),
		"DELETE FROM " + s.scratch(),
		fmt.Sprintf("INSERT INTO %s (subject, %s) %s", s.scratch(), sumColumns, s.of(b)),
	}
	if b.base < b.first {
		steps = append(steps,
			fmt.Sprintf(`UPDATE %s AS s SET goes_on = p.id FROM %s p WHERE p.id BETWEEN %d AND %d AND (p.id >> 32) + p.samples = %d
   AND p.n IS NULL AND s.subject = p.id & 4294967295 AND s.n = %d AND s.least = p.least AND s.most = p.least`, s.scratch(), rows, b.base<<32, b.first<<32-1, b.first, b.samples),
			fmt.Sprintf("UPDATE %s SET samples = samples + %d WHERE id IN (SELECT goes_on FROM %s)", rows, b.samples, s.scratch()))
	}
	return append(steps, fmt.Sprintf(`INSERT INTO %s SELECT %d << 32 | subject, %d, least, most, iif(still, NULL, n), iif(still, NULL, total), iif(still, NULL, moment),
       iif(still, NULL, squares), iif(still, NULL, first), iif(still, NULL, last)
  FROM (SELECT *, n = %[3]d AND least = most AS still FROM %[4]s WHERE goes_on IS NULL) ORDER BY subject`, rows, b.first, b.samples, s.scratch()))
}

// mostSummed is more than any count can be. What is beyond it is damage, and would not fit.
const mostSummed = 1 << 24

// of works out the sums of a block, each with all columns: a short one's from spans, a long one's from the short ones.
func (s *Sum) of(b block) string {
	// Both are pieces, f samples after the first; spans are of what stood still.
	pieces := fmt.Sprintf("SELECT id & 4294967295 AS subject, (id >> 32) - %d AS f, samples, %s FROM %s WHERE id BETWEEN %d AND %d",
		b.first, sumColumns, s.rows(shortBlock), b.first<<32, (b.last()+1)<<32-1)
	if b.length == shortBlock {
		const rest = "NULL AS n, NULL AS total, NULL AS moment, NULL AS squares, NULL AS first, NULL AS last"
		pieces = fmt.Sprintf(`SELECT subject, a AS f, z - a + 1 AS samples, y AS least, y AS most, %[1]s
  FROM (SELECT id & 4294967295 AS subject, max((id >> 32) - length - %[3]d, 0) AS a, min((id >> 32) - %[3]d, %[4]d) AS z, %[2]s AS y
          FROM %[5]s_span WHERE id BETWEEN %[6]d AND %[7]d AND (id >> 32) - length <= %[8]d
        UNION ALL
        SELECT subject, max(from_sample - %[3]d, 0), %[4]d, %[2]s FROM %[5]s_open WHERE from_sample <= %[8]d)`,
			rest, fmt.Sprintf("CASE WHEN %[1]s BETWEEN 0 AND %[2]d THEN %[1]s ELSE 0 END", s.Column, mostSummed), b.first, b.samples-1, s.From.Subject, b.first<<32, (b.last()+s.From.K)<<32-1, b.last())
	}
	return fmt.Sprintf(`SELECT subject, min(least) AS least, max(most) AS most, sum(coalesce(n, samples)) AS n, sum(coalesce(total, least * samples)) AS total,
       sum(coalesce(moment, least * (samples * (samples - 1) / 2)) + f * coalesce(total, least * samples)) AS moment,
       sum(coalesce(squares, least * least * samples)) AS squares,
       min(coalesce(first, least) + (f << 32)) AS first, max(coalesce(last, least) + ((f + samples - %d) << 32)) AS last
  FROM (%s) GROUP BY subject`, b.samples, pieces)
}

// purgeSums lists the stages that delete the blocks that begin before the oldest sample, and the rows that only they need.
func (k *retention) purgeSums() []stage {
	var stages []stage
	for _, l := range []blockLength{shortBlock, longBlock} {
		stages = append(stages, k.deleteRange(l.blocks(), "id", k.oldest.id))
		for _, s := range Sums() {
			stages = append(stages, func(ctx context.Context) (bool, error) {
				var base int64
				if err := k.file.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce((SELECT base FROM %s WHERE id >= ?1 ORDER BY id LIMIT 1), ?1)", l.blocks()),
					k.oldest.id).Scan(&base); err != nil {
					return false, err
				}
				return k.deleteRange(s.rows(l), "id", base<<32)(ctx)
			})
		}
	}
	return stages
}
