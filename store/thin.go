package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// If the file is too large, detail is given up before time is: of the oldest samples one in a minute is kept, later one in an
// hour. Closes are thinned too; see thinCloses. Only if that is not enough, the oldest samples are deleted.
//
// A sample that is not kept still has its row, for things came and went with it; but no history shows it (back is 0). Of
// tables with counters the spans go that hold at no sample that is kept, except those that others read by their place: the
// last of a subject, and the first of a tuple, which tells when a state turned. A span that stays is cut back to the last
// sample that is kept, where the next sample that is kept looks for it; see deltasView. Of a table of amounts a sample that
// is kept takes those of the samples that are not, so that sums are as before. All other tables hold little, and stay as
// they are.

// A grain is a stage of thinning: so much detail is left.
type grain struct {
	seconds int64   // of which one sample is kept
	noun    string  // of that time
	share   float64 // what is older than this part of the time that the recording reaches back is thinned,
	least   float64 // unless it is younger than so many seconds
}

// grains are the stages, the finest first.
var grains = []grain{{60, "minute", 1.0 / 32, 3600}, {3600, "hour", 1.0 / 4, 6 * 3600}}

// detail is what gaps says of a stretch of that grain.
func (g grain) detail() string {
	return "one sample in each " + g.noun + " is kept, for want of room (--max-size)"
}

// thinning is how far the stages are.
type thinning struct {
	upto   []int64 // of each grain the last sample that is thinned; nil: not read yet
	most   int64   // spans of sockets that one step looks at
	grains []grain

	closes     float64 // ts before which closes are thinned
	closesRead bool    // and whether it is known
}

// thinAtOnce is how many spans of sockets one step looks at, some milliseconds' worth, unless there are more between two samples.
const thinAtOnce = 2000

// thin takes one step of the first stage that has something to do, if the file is too large.
func (k *retention) thin(ctx context.Context) (bool, error) {
	over, err := k.oversize(ctx)
	if err != nil || over <= 0 {
		return false, err
	}
	if err := k.readThinned(ctx); err != nil {
		return false, err
	}
	old := func(g grain) float64 { return k.last.ts - max((k.last.ts-k.oldest.ts)*g.share, g.least) }
	var oldest sql.NullInt64
	if err := k.file.conn.QueryRowContext(ctx, "SELECT max(id) FROM sample WHERE ts <= ?", old(k.thinning.grains[0])).Scan(&oldest); err != nil {
		return false, err
	}
	if oldest.Int64 > k.peers.upto {
		if did, err := k.sumUpPeers(ctx, true); did || err != nil {
			return did, err
		}
	}
	if did, err := k.thinCloses(ctx, old(k.thinning.grains[0])); did || err != nil {
		return did, err
	}
	bound, err := k.unrolled(ctx)
	if err != nil {
		return false, err
	}
	for _, t := range Tables() {
		if !t.amounts {
			continue
		}
		var open int64 // the first sample of an amount that holds still
		if err := k.file.conn.QueryRowContext(ctx, "SELECT coalesce(min(from_sample), ?) FROM "+t.Subject+"_open", k.last.id).Scan(&open); err != nil {
			return false, err
		}
		bound = min(bound, open)
	}
	bound--
	for i, g := range k.thinning.grains {
		if i > 0 {
			bound = min(bound, k.thinning.upto[i-1])
		}
		var upto sql.NullInt64
		if err := k.file.conn.QueryRowContext(ctx, "SELECT max(id) FROM sample WHERE ts <= ? AND id <= ? AND back IS NOT 0", old(g), bound).Scan(&upto); err != nil {
			return false, err
		}
		if from := k.thinning.upto[i]; upto.Int64 > from {
			return true, k.thinTo(ctx, i, from, upto.Int64)
		}
	}
	return false, nil
}

// readThinned finds how far an earlier run has thinned.
func (k *retention) readThinned(ctx context.Context) error {
	if k.thinning.upto == nil {
		k.thinning.upto = make([]int64, len(k.thinning.grains))
		for i, g := range k.thinning.grains {
			err := k.file.conn.QueryRowContext(ctx, "SELECT coalesce(max(m.id), 0) FROM gap g JOIN sample m ON m.ts = g.until WHERE g.kind = ? AND g.detail = ?",
				gapThinned, g.detail()).Scan(&k.thinning.upto[i])
			if err != nil {
				return err
			}
		}
	}
	var first int64 // what was before it is forgotten
	err := k.file.conn.QueryRowContext(ctx, "SELECT id FROM sample WHERE id >= ? AND back IS NOT 0 ORDER BY id LIMIT 1", k.oldest.id).Scan(&first)
	for i := range k.thinning.upto {
		k.thinning.upto[i] = max(k.thinning.upto[i], first)
	}
	return err
}

// thinTo thins some of the samples after from, up to upto at most, which are kept both.
func (k *retention) thinTo(ctx context.Context, stage int, from, upto int64) error {
	g := k.thinning.grains[stage]
	var to int64
	err := k.file.conn.QueryRowContext(ctx, `SELECT coalesce(
		(SELECT max(id) FROM sample WHERE id > ?1 AND id <= min(?2, coalesce((SELECT id >> 32 FROM socket_span WHERE id >= (?1 + 1) << 32 ORDER BY id LIMIT 1 OFFSET ?3) - 1, ?2)) AND back IS NOT 0),
		(SELECT min(id) FROM sample WHERE id > ?1 AND back IS NOT 0))`, from, upto, k.thinning.most).Scan(&to)
	if err != nil {
		return err
	}
	err = k.file.transaction(ctx, func() error {
		before, err := k.coarsen(ctx, g, from, to)
		if err != nil {
			return err
		}
		for _, t := range Tables() {
			switch {
			case len(t.Counters()) > 0:
				err = k.thinSpans(ctx, t, before, to)
			case t.amounts:
				err = k.foldSpans(ctx, t, before, to)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
		}
		return k.notedThin(ctx, stage, from, to)
	})
	if err != nil {
		return fmt.Errorf("keep one sample in each %s: %w", g.noun, err)
	}
	k.thinning.upto[stage] = to
	return nil
}

// coarsen works out which samples after from are kept, up to the sample to: that itself, the first of each period, and the
// first and the last of each run. It returns the last sample before them that stays. One that was kept only because a step
// ended with it goes now, or has gone with a step of the stage before.
func (k *retention) coarsen(ctx context.Context, g grain, from, to int64) (before int64, err error) {
	err = k.file.conn.QueryRowContext(ctx, `SELECT CASE WHEN m.run = a.run AND m.run = z.run AND CAST(m.ts AS INTEGER) / ?2 = CAST(a.ts AS INTEGER) / ?2 THEN m.id - coalesce(m.back, 1) ELSE m.id END
		FROM sample m LEFT JOIN sample a ON a.id = m.id - 1 LEFT JOIN sample z ON z.id = m.id + 1
		WHERE m.id = (SELECT max(id) FROM sample WHERE id <= ?1 AND back IS NOT 0)`, from, g.seconds).Scan(&before)
	if err != nil {
		return 0, err
	}
	for _, s := range []struct {
		text string
		args []any
	}{
		{"CREATE TEMP TABLE IF NOT EXISTS thin_sample (id INTEGER PRIMARY KEY, kept INTEGER, ahead INTEGER)", nil},
		{"DELETE FROM thin_sample", nil},
		// kept is the last that is kept, up to this sample; ahead the first from it on.
		{`INSERT INTO temp.thin_sample
			SELECT id, coalesce(max(CASE WHEN keep THEN id END) OVER (ORDER BY id), ?1), min(CASE WHEN keep THEN id END) OVER (ORDER BY id DESC)
			  FROM (SELECT id, back IS NOT 0 AND (id = ?2 OR lag(period) OVER o IS NOT period OR lag(run) OVER o IS NOT run OR lead(run) OVER o IS NOT run) AS keep
			          FROM (SELECT id, back, run, CAST(ts AS INTEGER) / ?3 AS period FROM sample WHERE id BETWEEN ?1 AND ?2 + 1)
			        WINDOW o AS (ORDER BY id))
			 WHERE id > ?1 AND id <= ?2`, []any{before, to, g.seconds}},
		{`UPDATE sample SET back = iif(k.kept = k.id, k.id - k.was, 0)
			FROM (SELECT id, kept, lag(kept, 1, ?1) OVER (ORDER BY id) AS was FROM temp.thin_sample) k WHERE k.id = sample.id`, []any{before}},
	} {
		if _, err := k.file.conn.ExecContext(ctx, s.text, s.args...); err != nil {
			return 0, fmt.Errorf("%w in %s", err, s.text)
		}
	}
	return before, nil
}

// thinSpans deletes the spans that end after before, and with to at the latest, and hold at no sample that is kept.
func (k *retention) thinSpans(ctx context.Context, t *Table, before, to int64) error {
	tuple, same := "NULL", "1"
	if len(t.rare) > 0 {
		tuple, same = "p.tuple", fmt.Sprintf("tuple IS coalesce(was, (SELECT tuple FROM %s_span WHERE id = ?1 << 32 | subject))", t.Subject)
	}
	for _, s := range []struct {
		text string
		args []any
	}{
		{"CREATE TEMP TABLE IF NOT EXISTS thin_span (id INTEGER PRIMARY KEY, moved INTEGER, length INTEGER)", nil},
		{"DELETE FROM thin_span", nil},
		{fmt.Sprintf(`INSERT INTO temp.thin_span
			SELECT id, iif(kept >= f, kept << 32 | subject, NULL), kept - f
			  FROM (SELECT p.id, p.id & 4294967295 AS subject, (p.id >> 32) - p.length AS f, k.id AS t, k.kept, %[2]s AS tuple,
			               lag(%[2]s) OVER (PARTITION BY p.id & 4294967295 ORDER BY p.id) AS was
			          FROM %[1]s_span p CROSS JOIN temp.thin_sample k ON k.id = p.id >> 32
			         WHERE p.id BETWEEN (?1 + 1) << 32 AND ((?2 + 1) << 32) - 1) q
			 WHERE kept < t AND (SELECT last_sample FROM %[1]s WHERE id = q.subject) IS NOT t AND (kept >= f OR %[3]s)`, t.Subject, tuple, same), []any{before, to}},
		{fmt.Sprintf("UPDATE %[1]s_span SET id = a.moved, length = a.length FROM temp.thin_span a WHERE a.id = %[1]s_span.id AND a.moved IS NOT NULL", t.Subject), nil},
		{fmt.Sprintf("DELETE FROM %s_span WHERE id IN (SELECT id FROM temp.thin_span WHERE moved IS NULL)", t.Subject), nil},
	} {
		if _, err := k.file.conn.ExecContext(ctx, s.text, s.args...); err != nil {
			return fmt.Errorf("%w in %s", err, s.text)
		}
	}
	return nil
}

// foldSpans adds to each sample that is kept after before, up to the sample to, the amounts of those before it that are not.
func (k *retention) foldSpans(ctx context.Context, t *Table, before, to int64) error {
	var names, sums, moved []string
	for _, c := range inFile(t.span) {
		names = append(names, c.stored)
		sums = append(sums, fmt.Sprintf("sum(p.%s * (min(p.t, k.kept) - max(p.f, k.f) + 1))", c.stored))
		moved = append(moved, "total(p."+c.stored+") <> 0")
	}
	cols := strings.Join(names, ", ")
	for _, s := range []struct {
		text string
		args []any
	}{
		{fmt.Sprintf("CREATE TEMP TABLE IF NOT EXISTS thin_%s (id INTEGER PRIMARY KEY, f INTEGER, t INTEGER, %s)", t.Subject, cols), nil},
		{"DELETE FROM thin_" + t.Subject, nil},
		// All spans in these samples of who moved anything: where all stood still, there is nothing to add.
		{fmt.Sprintf(`INSERT INTO temp.thin_%[1]s
			SELECT p.id, (p.id >> 32) - p.length, p.id >> 32, %[2]s FROM %[1]s_span p
			 WHERE p.id BETWEEN (?1 + 1) << 32 AND ((?2 + 1 + %[3]d) << 32) - 1 AND (p.id >> 32) - p.length <= ?2
			   AND (p.id & 4294967295) IN (SELECT p.id & 4294967295 FROM %[1]s_span p
			     WHERE p.id BETWEEN (?1 + 1) << 32 AND ((?2 + 1 + %[3]d) << 32) - 1 AND (p.id >> 32) - p.length <= ?2 GROUP BY 1 HAVING %[4]s)`,
			t.Subject, cols, t.K, strings.Join(moved, " OR ")), []any{before, to}},
		{fmt.Sprintf("DELETE FROM %[1]s_span WHERE id IN (SELECT id FROM temp.thin_%[1]s)", t.Subject), nil},
		// What holds before them, and after them.
		{fmt.Sprintf("INSERT INTO %[1]s_span (id, length, %[2]s) SELECT ?1 << 32 | (id & 4294967295), ?1 - f, %[2]s FROM temp.thin_%[1]s WHERE f <= ?1", t.Subject, cols), []any{before}},
		{fmt.Sprintf("INSERT INTO %[1]s_span (id, length, %[2]s) SELECT id, t - ?1 - 1, %[2]s FROM temp.thin_%[1]s WHERE t > ?1", t.Subject, cols), []any{to}},
		{fmt.Sprintf(`INSERT INTO %[1]s_span (id, length, %[2]s)
			SELECT k.kept << 32 | (p.id & 4294967295), 0, %[3]s
			  FROM temp.thin_%[1]s p CROSS JOIN (SELECT ahead AS kept, min(id) AS f FROM temp.thin_sample GROUP BY ahead) k ON p.f <= k.kept AND p.t >= k.f
			 GROUP BY k.kept, p.id & 4294967295`, t.Subject, cols, strings.Join(sums, ", ")), nil},
		// Who was gone by then is there for the sake of what it had moved.
		{fmt.Sprintf(`UPDATE %[1]s SET last_sample = a.kept, gone_sample = iif(gone_sample <= a.kept, a.kept + 1, gone_sample)
			FROM (SELECT p.id & 4294967295 AS subject, max(k.ahead) AS kept FROM temp.thin_%[1]s p JOIN temp.thin_sample k ON k.id = min(p.t, ?1) GROUP BY 1) a
			WHERE a.subject = %[1]s.id AND last_sample < a.kept`, t.Subject), []any{to}},
	} {
		if _, err := k.file.conn.ExecContext(ctx, s.text, s.args...); err != nil {
			return fmt.Errorf("%w in %s", err, s.text)
		}
	}
	return nil
}

// notedThin says in gaps how far a stage is. What the next stage has thinned is no more of this one.
func (k *retention) notedThin(ctx context.Context, stage int, from, to int64) error {
	var since, until float64
	if err := k.file.conn.QueryRowContext(ctx, "SELECT (SELECT ts FROM sample WHERE id = ?), (SELECT ts FROM sample WHERE id = ?)", from, to).Scan(&since, &until); err != nil {
		return err
	}
	if stage > 0 {
		finer := k.thinning.grains[stage-1].detail()
		if _, err := k.file.conn.ExecContext(ctx, "UPDATE gap SET since = ? WHERE kind = ? AND detail = ?", until, gapThinned, finer); err != nil {
			return err
		}
	}
	return k.noteThinned(ctx, "samples", k.thinning.grains[stage].detail(), since, until)
}
