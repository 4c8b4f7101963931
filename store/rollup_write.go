package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// A rollupWriter works out the periods of the roll-ups.
type rollupWriter struct {
	file   *openFile
	minute []*sql.Stmt // compiled, for the shortest periods
	rolled float64     // ts before which no period is to be rolled up
}

// next works out the next period that is over by that time, if there is one. Everything it needs stands in the file, so
// that what a crash has interrupted is done later: the last period of each level says how far it is.
func (u *rollupWriter) next(ctx context.Context, now float64) (bool, error) {
	if now < u.rolled {
		return false, nil
	}
	for i, l := range Levels() {
		n, ok, err := u.nextPeriod(ctx, i)
		if err != nil {
			return false, fmt.Errorf("roll up: %w", err)
		}
		if !ok || now < l.begin(n+1) {
			continue
		}
		if err := u.file.transaction(ctx, func() error { return u.rollUp(ctx, i, n) }); err != nil {
			u.closeStatements() // what it works with may have been made in this transaction
			return false, fmt.Errorf("roll up the %s: %w", l.Noun, err)
		}
		return true, nil
	}
	first := Levels()[0]
	u.rolled = first.begin(first.of(now) + 1)
	return false, nil
}

// nextPeriod is the first period of a level after those that are done in which anybody looked.
func (u *rollupWriter) nextPeriod(ctx context.Context, level int) (n int64, ok bool, err error) {
	l := Levels()[level]
	below := "sample"
	if level > 0 {
		below = Levels()[level-1].periods()
	}
	var ts sql.NullFloat64
	err = u.file.conn.QueryRowContext(ctx, fmt.Sprintf(
		"SELECT min(ts) FROM %s WHERE ts >= coalesce((SELECT max(id) + 1 FROM %s) * %d.0, 0.0)", below, l.periods(), l.Seconds)).Scan(&ts)
	return l.of(ts.Float64), ts.Valid, err
}

// rollUp works out period n of a level. The statements for a minute stay compiled, which is half of what they take.
func (u *rollupWriter) rollUp(ctx context.Context, level int, n int64) error {
	if u.minute == nil {
		if err := u.compileMinute(ctx); err != nil {
			return err
		}
	}
	for i, text := range rollUpSteps(level) {
		var args []any
		if strings.Contains(text, "?1") {
			args = []any{n}
		}
		var err error
		if level == 0 {
			_, err = u.minute[i].ExecContext(ctx, args...)
		} else {
			_, err = u.file.conn.ExecContext(ctx, text, args...)
		}
		if err != nil {
			return fmt.Errorf("%w in %s", err, text)
		}
	}
	return nil
}

func (u *rollupWriter) compileMinute(ctx context.Context) error {
	for _, r := range Rollups() {
		if r.kind == contact {
			continue
		}
		if _, err := u.file.conn.ExecContext(ctx, r.scratch()); err != nil {
			return err
		}
	}
	for _, text := range rollUpSteps(0) {
		stmt, err := u.file.conn.PrepareContext(ctx, text)
		if err != nil {
			u.closeStatements()
			return fmt.Errorf("%w in %s", err, text)
		}
		u.minute = append(u.minute, stmt)
	}
	return nil
}

func (u *rollupWriter) closeStatements() {
	for _, stmt := range u.minute {
		stmt.Close()
	}
	u.minute = nil
}

// rollUpSteps are the statements that work out period ?1 of a level.
func rollUpSteps(level int) []string {
	var steps []string
	if level == 0 {
		steps = append(steps, samplesOf())
	} else {
		steps = append(steps, periodsOf(level))
	}
	for _, r := range Rollups() {
		if r.kind == contact {
			continue // see peersDue
		}
		steps = append(steps, "DELETE FROM temp."+r.rolled())
		if level == 0 {
			steps = append(steps, r.fromSamples())
			steps = append(steps, r.findGroups()...)
		} else {
			steps = append(steps, r.fromPeriods(level))
		}
		steps = append(steps, r.keep(Levels()[level])...)
	}
	return steps
}

// inPeriod is the condition that ts is in period ?1.
func inPeriod(l Level, ts string) string {
	return fmt.Sprintf("%[1]s >= ?1 * %[2]d.0 AND %[1]s < (?1 + 1) * %[2]d.0", ts, l.Seconds)
}

// samplesOf enters a minute: how many samples it has, and how much of it was watched. A sample stands for the time since
// the one before, unless that is so long that nobody looked; see gapLog.pause. Counters are told from before a pause, too.
func samplesOf() string {
	l := Levels()[0]
	return fmt.Sprintf(`INSERT INTO %s (id, ts, samples, watched_ms, covered_ms)
SELECT ?1, ?1 * %d.0, count(*),
       coalesce(CAST(round(sum(CASE WHEN b.run = m.run THEN 1000 * min(m.uptime_s - b.uptime_s, 1.5 * u.interval_s + 0.05) END)) AS INTEGER), 0),
       coalesce(CAST(round(sum(CASE WHEN v.boot = u.boot THEN 1000 * (m.uptime_s - b.uptime_s) END)) AS INTEGER), 0)
  FROM sample m CROSS JOIN run u ON u.id = m.run LEFT JOIN sample b ON b.id = m.id - 1 LEFT JOIN run v ON v.id = b.run
 WHERE %s`, l.periods(), l.Seconds, inPeriod(l, "m.ts"))
}

// periodsOf enters a longer period, from the shorter ones.
func periodsOf(level int) string {
	l, below := Levels()[level], Levels()[level-1]
	return fmt.Sprintf(`INSERT INTO %s (id, ts, samples, watched_ms, covered_ms)
SELECT ?1, ?1 * %d.0, sum(samples), sum(watched_ms), sum(covered_ms) FROM %s WHERE %s`, l.periods(), l.Seconds, below.periods(), inPeriod(l, "ts"))
}

// rolled is the scratch table in which the rows of a period are worked out.
func (r *Rollup) rolled() string { return "rolled_" + r.Subject }

func (r *Rollup) scratch() string {
	return fmt.Sprintf("CREATE TEMP TABLE IF NOT EXISTS %s (g INTEGER, goes_on INTEGER, %s, %s)", r.rolled(), columnNames(r.by), strings.Join(r.stored(), ", "))
}

// absentIsZero reports whether a group that a sample, or a period, does not have counts as 0 there: so many sockets there were, and so much was moved.
// Of a counter that nobody could read, an interface that was not there, the growth is not known.
func (r *Rollup) absentIsZero() bool { return r.kind != counter }

// fromSamples works out the rows of a minute. Subjects of a group add up in each sample; see absentIsZero for a group that a sample does not have.
func (r *Rollup) fromSamples() string {
	l := Levels()[0]
	history := r.From.Name
	if r.kind == counter {
		// Not the view of all of them: to compile that takes longer than the rest.
		history = "(" + r.From.deltasOf(r.values).Body + ")"
	}
	by := columnNames(r.by)
	var sums, values strings.Builder
	for _, c := range r.values {
		fmt.Fprintf(&sums, ", sum(%[1]s) AS %[1]s", c.Name)
		if r.kind == gauge {
			fmt.Fprintf(&values, ",\n       CAST(round(1000.0 * sum(s.%[1]s) / e.samples) AS INTEGER), CASE WHEN count(*) < e.samples THEN 0 ELSE min(s.%[1]s) END, max(s.%[1]s)", c.Name)
			continue
		}
		rate := fmt.Sprintf("s.%s / t.elapsed_s", c.Name)
		least := fmt.Sprintf("CAST(round(1000 * min(%s)) AS INTEGER)", rate)
		if r.absentIsZero() {
			least = "CASE WHEN count(*) < e.samples THEN 0 ELSE " + least + " END"
		}
		fmt.Fprintf(&values, ",\n       sum(s.%s), %s, CAST(round(1000 * max(%s)) AS INTEGER)", c.Name, least, rate)
	}
	return fmt.Sprintf(`WITH
t AS MATERIALIZED (
  SELECT m.ts, m.uptime_s - b.uptime_s AS elapsed_s
    FROM sample m CROSS JOIN run u ON u.id = m.run LEFT JOIN sample b ON b.id = m.id - 1 AND (SELECT boot FROM run WHERE id = b.run) = u.boot
   WHERE %[1]s),
s AS MATERIALIZED (SELECT ts, %[2]s%[3]s FROM %[4]s WHERE %[5]s GROUP BY ts, %[2]s)
INSERT INTO temp.%[6]s (%[2]s, %[7]s)
SELECT %[8]s%[9]s
  FROM %[10]s e CROSS JOIN s JOIN t ON t.ts = s.ts WHERE e.id = ?1 GROUP BY %[8]s`,
		inPeriod(l, "m.ts"), by, sums.String(), history, inPeriod(l, "ts"), r.rolled(), strings.Join(r.stored(), ", "),
		"s."+strings.ReplaceAll(by, ", ", ", s."), values.String(), l.periods())
}

// findGroups finds the groups of the rows, and enters those that are new.
func (r *Rollup) findGroups() []string {
	var same []string
	for _, c := range r.by {
		same = append(same, fmt.Sprintf("g.%[1]s IS %[2]s.%[1]s", c.Name, r.rolled()))
	}
	by, same1 := columnNames(r.by), strings.Join(same, " AND ")
	return []string{
		fmt.Sprintf("INSERT INTO %[1]s (%[2]s) SELECT %[2]s FROM temp.%[3]s WHERE NOT EXISTS (SELECT 1 FROM %[1]s g WHERE %[4]s)", r.group(), by, r.rolled(), same1),
		fmt.Sprintf("UPDATE temp.%[1]s SET g = (SELECT id FROM %[2]s g WHERE %[3]s)", r.rolled(), r.group(), same1),
	}
}

// fromPeriods works out the rows of a longer period from those of the shorter ones.
func (r *Rollup) fromPeriods(level int) string {
	l, below := Levels()[level], Levels()[level-1]
	ratio := l.Seconds / below.Seconds
	var values strings.Builder
	for _, c := range r.values {
		if r.kind == gauge {
			fmt.Fprintf(&values, ", CAST(round(1.0 * sum(p.%s_avg * m.samples) / (SELECT samples FROM %s WHERE id = ?1)) AS INTEGER)", c.Name, l.periods())
		} else {
			fmt.Fprintf(&values, ", sum(p.%s)", c.Name)
		}
		least := fmt.Sprintf("min(p.%s_min)", c.Name)
		if r.absentIsZero() {
			least = fmt.Sprintf("CASE WHEN count(*) < (SELECT count(*) FROM %s WHERE %s) THEN 0 ELSE %s END", below.periods(), inPeriod(l, "ts"), least)
		}
		fmt.Fprintf(&values, ",\n       %s, max(p.%s_max)", least, c.Name)
	}
	return fmt.Sprintf(`INSERT INTO temp.%s (g, %s)
SELECT p.id & 4294967295%s
  FROM %s p CROSS JOIN %s m ON m.id BETWEEN p.id >> 32 AND (p.id >> 32) + p.length - 1
 WHERE p.id BETWEEN (?1 * %[6]d) << 32 AND (((?1 + 1) * %[6]d) << 32) - 1 GROUP BY 1`,
		r.rolled(), strings.Join(r.stored(), ", "), values.String(), r.rows(below), below.periods(), ratio)
}

// keep enters the rows that were worked out: those that say the same as the period before make its row longer.
func (r *Rollup) keep(l Level) []string {
	var same strings.Builder
	for _, c := range r.stored() {
		fmt.Fprintf(&same, " AND p.%[1]s IS %[2]s.%[1]s", c, r.rolled())
	}
	return []string{
		fmt.Sprintf(`UPDATE temp.%[1]s SET goes_on = (SELECT p.id FROM %[2]s g CROSS JOIN %[3]s p ON p.id = g.%[4]s << 32 | g.id
 WHERE g.id = g AND g.%[4]s >= ?1 - ?1 %% %[5]d AND g.%[4]s + p.length = ?1%[6]s)`, r.rolled(), r.group(), r.rows(l), l.lastRow(), l.block, same.String()),
		fmt.Sprintf("UPDATE %s SET length = length + 1 WHERE id IN (SELECT goes_on FROM temp.%s)", r.rows(l), r.rolled()),
		fmt.Sprintf("INSERT INTO %s SELECT ?1 << 32 | g, 1, %s FROM temp.%s WHERE goes_on IS NULL ORDER BY g", r.rows(l), strings.Join(r.stored(), ", "), r.rolled()),
		fmt.Sprintf("UPDATE %s SET %s = ?1 WHERE id IN (SELECT g FROM temp.%s WHERE goes_on IS NULL)", r.group(), l.lastRow(), r.rolled()),
	}
}
