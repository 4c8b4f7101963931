package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"netsql/store/internal/sqlitefile"
)

// repairSamples makes time go on from sample to sample, and makes up what is known of those whose page is lost from their index:
// when they were, and by their neighbours, of which run.
func (s *salvage) repairSamples(ctx context.Context) error {
	t := s.saved("sample")
	// One that does not fit between its neighbours, which fit each other, is damaged.
	const strangers = `DELETE FROM sample WHERE id < 1 OR id > 2147483647 OR ts <= 0 OR id IN (SELECT id FROM (
		SELECT id, ts, run, uptime_s, lag(ts) OVER w AS ts0, lead(ts) OVER w AS ts2, lag(run) OVER w AS run0, lead(run) OVER w AS run2,
		       lag(uptime_s) OVER (PARTITION BY run ORDER BY id) AS up0, lead(uptime_s) OVER (PARTITION BY run ORDER BY id) AS up2
		  FROM sample WINDOW w AS (ORDER BY id))
		WHERE (ts >= ts2 AND ts2 > coalesce(ts0, 0)) OR (ts <= ts0 AND coalesce(ts2, 9e99) > ts0)
		   OR (run > run2 AND run2 >= coalesce(run0, 0)) OR (run < run0 AND coalesce(run2, 9e18) >= run0)
		   OR (uptime_s >= up2 AND up2 > coalesce(up0, 0)) OR (uptime_s <= up0 AND coalesce(up2, 9e99) > up0))`
	for range 10 {
		n, err := s.change(ctx, strangers)
		if err != nil {
			return err
		}
		if t.Saved, t.Lost = t.Saved-n, t.Lost+n; n == 0 {
			break
		}
	}
	n, err := s.change(ctx, `INSERT OR IGNORE INTO sample (id, ts, run, back, uptime_s)
		SELECT id, ts, run, back, CASE
		       WHEN run0 = run AND run2 = run THEN up0 + (ts - ts0) / (ts2 - ts0) * (up2 - up0)
		       WHEN run0 = run THEN up0 + ts - ts0
		       WHEN run2 = run THEN up2 + ts - ts2
		       ELSE ts - coalesce((SELECT b.started FROM run u JOIN boot b ON b.id = u.boot WHERE u.id = run), 0) END
		  FROM (SELECT i.id, i.ts, CASE WHEN a.back IS NOT NULL AND z.back IS NOT NULL THEN 0 END AS back /* of a stretch that is thinned */, a.ts AS ts0, a.run AS run0, a.uptime_s AS up0, z.ts AS ts2, z.run AS run2, z.uptime_s AS up2,
		               min(max(coalesce((SELECT max(id) FROM run WHERE started <= i.ts), 1), coalesce(a.run, 1)), coalesce(z.run, 9e18)) AS run
		          FROM indexed i
		          LEFT JOIN sample a ON a.id = (SELECT max(id) FROM sample WHERE id < i.id)
		          LEFT JOIN sample z ON z.id = (SELECT min(id) FROM sample WHERE id > i.id)
		         WHERE i.id NOT IN (SELECT id FROM sample) AND i.ts > coalesce(a.ts, 0) AND i.ts < coalesce(z.ts, 9e99))`)
	if err != nil {
		return err
	}
	t.Saved, t.Rebuilt = t.Saved+n, n
	if n > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%d samples are known by their time only: what taking them cost is lost, and their run and uptime are worked out", n))
	}
	var count int64
	var first, last sql.NullFloat64
	if err := s.conn.QueryRowContext(ctx, "SELECT count(*), min(ts), max(ts), coalesce(min(id), 0), coalesce(max(id), 0) FROM sample").
		Scan(&count, &first, &last, &s.oldest, &s.newest); err != nil {
		return err
	}
	if count == 0 {
		return fmt.Errorf("%w: no sample can be read, and without one nothing is known of any time", ErrNothingSaved)
	}
	s.result.Samples, s.result.First, s.result.Last = count, first.Float64, last.Float64
	if err := s.repairRuns(ctx); err != nil {
		return err
	}
	s.ended = s.newest
	for _, t := range Tables() {
		var end int64
		if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT max(coalesce((SELECT max(id) >> 32 FROM %[1]s_span), 0), coalesce((SELECT max(from_sample) FROM %[1]s_open), 0))", t.Subject)).
			Scan(&end); err != nil {
			return err
		}
		if end < s.newest+1e6 { // beyond, it is damage
			s.ended = max(s.ended, end)
		}
	}
	s.result.LostSamples = s.ended - s.oldest + 1 - count
	return s.conn.QueryRowContext(ctx, "SELECT interval_s FROM run WHERE id = (SELECT run FROM sample WHERE id = ?)", s.newest).Scan(&s.interval)
}

// after is about when the last sample was of which anything is left, in unix seconds.
func (s *salvage) after() float64 { return s.result.Last + float64(s.ended-s.newest)*s.interval }

// repairRuns makes up the runs and boots that samples are of and whose rows are lost. That two runs were of one boot is not
// claimed where it is not known.
func (s *salvage) repairRuns(ctx context.Context) error {
	for _, step := range []struct{ table, statement string }{
		{"run", "UPDATE run SET stopped = NULL WHERE stopped < started"},
		{"run", `INSERT INTO run (id, boot, started, pid, interval_s)
			SELECT run, coalesce((SELECT a.boot FROM run a JOIN run z ON z.boot = a.boot
			                       WHERE a.id = (SELECT max(id) FROM run WHERE id < m.run) AND z.id = (SELECT min(id) FROM run WHERE id > m.run)),
			              (SELECT coalesce(max(id), 0) FROM boot) + run), min(ts), 0, coalesce((max(ts) - min(ts)) / nullif(count(*) - 1, 0), 0)
			  FROM sample m WHERE run NOT IN (SELECT id FROM run) GROUP BY run`},
		{"run", `UPDATE run SET first_sample = m.first FROM (SELECT u.id, min(m.id) AS first FROM run u LEFT JOIN sample m ON m.run = u.id GROUP BY u.id) m WHERE m.id = run.id`},
		{"boot", "INSERT INTO boot (id, boot_id) SELECT DISTINCT boot, 'lost ' || boot FROM run WHERE boot NOT IN (SELECT id FROM boot)"},
	} {
		n, err := s.change(ctx, step.statement)
		if err != nil {
			return err
		}
		if step.statement[0] == 'I' {
			t := s.saved(step.table)
			t.Saved, t.Rebuilt = t.Saved+n, t.Rebuilt+n
		}
	}
	return nil
}

// repairTables makes the rows of every table of spans obey the scheme.
func (s *salvage) repairTables(ctx context.Context) error {
	if _, err := s.conn.ExecContext(ctx, `CREATE TEMP TABLE fault (open INTEGER, subject INTEGER, first INTEGER, last INTEGER, fault TEXT);
		CREATE TEMP TABLE lacking (id INTEGER PRIMARY KEY, last INTEGER)`); err != nil {
		return err
	}
	for i, t := range Tables() {
		s.options.Progress(t.Name, int64(i+1))
		for _, step := range []func(context.Context, *Table) error{s.repairSubjects, s.repairSpans, s.endSubjects} {
			if err := step(ctx, t); err != nil {
				return fmt.Errorf("repair %s: %w", t.Name, err)
			}
		}
	}
	return nil
}

// repairSubjects drops subjects that none can be, and forgets of the others what cannot be: the spans will tell.
func (s *salvage) repairSubjects(ctx context.Context, t *Table) error {
	n, err := s.change(ctx, fmt.Sprintf("DELETE FROM %s WHERE id < 1 OR id > 4294967295 OR first_sample < 1 OR first_sample > %d", t.Subject, s.newest))
	if err != nil {
		return err
	}
	s.drop(t.Subject, n)
	for _, statement := range []string{
		"UPDATE %[1]s SET last_sample = NULL, gone_sample = NULL WHERE last_sample < first_sample OR last_sample > %[2]d",
		"UPDATE %[1]s SET gone_sample = NULL WHERE gone_sample <= last_sample OR gone_sample > %[2]d OR last_sample IS NULL",
	} {
		if _, err := s.change(ctx, fmt.Sprintf(statement, t.Subject, s.newest)); err != nil {
			return err
		}
	}
	// Subjects are numbered as they are first seen. Where that is not so one of two is wrong, and nobody knows which.
	var strange int64
	if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT first_sample < lag(first_sample) OVER (ORDER BY id) AS strange FROM %s) WHERE strange", t.Subject)).
		Scan(&strange); err != nil || strange == 0 {
		return err
	}
	return s.gap(ctx, t.Name, s.result.First, s.result.Last, fmt.Sprintf("%d rows of %s contradict others about when they were first seen", strange, t.Name))
}

func (s *salvage) drop(table string, rows int64) {
	t := s.saved(table)
	t.Saved, t.Lost = t.Saved-rows, t.Lost+rows
}

// repairSpans mends or drops spans until none is at fault.
func (s *salvage) repairSpans(ctx context.Context, t *Table) error {
	insert, err := s.conn.PrepareContext(ctx, "INSERT INTO fault VALUES (?, ?, ?, ?, ?)")
	if err != nil {
		return err
	}
	defer insert.Close()
	for round := 0; ; round++ {
		if _, err := s.conn.ExecContext(ctx, "DELETE FROM fault"); err != nil {
			return err
		}
		faults := 0
		if _, err := t.spanFaults(ctx, s.conn, s.newest, func(sp span) error {
			if sp.fault == "" {
				return nil
			}
			faults++
			_, err := insert.ExecContext(ctx, sp.open, sp.subject, sp.first, sp.last, sp.fault)
			return err
		}); err != nil || faults == 0 {
			return err
		}
		if round == 0 {
			if err := s.repairFaults(ctx, t); err != nil {
				return err
			}
			continue
		}
		if err := s.dropFaults(ctx, t); err != nil {
			return err
		}
	}
}

// repairFaults mends what can be.
func (s *salvage) repairFaults(ctx context.Context, t *Table) error {
	values := t.spanColumns()
	for i, statement := range []string{
		// The last samples are lost: what held then held until the last that is left.
		`INSERT OR IGNORE INTO %[1]s_span SELECT %[2]d << 32 | f.subject, %[2]d - f.first%[3]s FROM fault f JOIN %[1]s_span p ON p.id = f.last << 32 | f.subject
		  WHERE NOT f.open AND f.fault = '` + faultNewer + `' AND f.first <= %[2]d`,
		// A subject that was seen later than its row says was seen later: the row is from before.
		`UPDATE %[1]s SET last_sample = NULL, gone_sample = NULL WHERE id IN (SELECT subject FROM fault WHERE NOT open AND fault = '` + faultEnded + `')`,
		// A span that is open, of a subject that is not, ended when the subject did, unless that is written already.
		`INSERT OR IGNORE INTO %[1]s_span SELECT s.last_sample << 32 | s.id, s.last_sample - o.from_sample%[3]s
		   FROM fault f JOIN %[1]s_open o ON o.subject = f.subject JOIN %[1]s s ON s.id = f.subject
		  WHERE f.open AND f.fault = '` + faultEnded + `' AND s.last_sample >= o.from_sample`,
	} {
		n, err := s.change(ctx, fmt.Sprintf(statement, t.Subject, s.newest, values))
		if err != nil {
			return err
		}
		if i != 1 {
			s.drop(t.Subject+"_span", -n) // the rows that they come from will be dropped
		}
	}
	return nil
}

// dropFaults drops the spans at fault, and remembers when they held.
func (s *salvage) dropFaults(ctx context.Context, t *Table) error {
	for suffix, where := range map[string]string{
		"_span": "id IN (SELECT last << 32 | subject FROM fault WHERE NOT open)",
		"_open": "subject IN (SELECT subject FROM fault WHERE open)",
	} {
		n, err := s.change(ctx, fmt.Sprintf("DELETE FROM %s%s WHERE %s", t.Subject, suffix, where))
		if err != nil {
			return err
		}
		s.drop(t.Subject+suffix, n)
		var first, last sql.NullInt64
		if err := s.conn.QueryRowContext(ctx, "SELECT min(first), max(last) FROM fault WHERE open = ?", suffix == "_open").Scan(&first, &last); err != nil {
			return err
		}
		if n > 0 {
			s.saved(t.Subject+suffix).samples.Add(first.Int64, last.Int64)
		}
	}
	return nil
}

// endSubjects ends those whose open span is lost with the last that is left; one that has none is left out, unless others
// refer to it.
func (s *salvage) endSubjects(ctx context.Context, t *Table) error {
	if _, err := s.change(ctx, "DELETE FROM lacking"); err != nil {
		return err
	}
	// Where no page of spans is lost, and yet the last one of a subject is not there, that is lost.
	if spans := s.saved(t.Subject + "_span"); spans.Lost+spans.Pages == 0 {
		var lost int64
		if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %[1]s s WHERE s.last_sample >= %[2]d AND NOT EXISTS (SELECT 1 FROM %[1]s_span WHERE id = s.last_sample << 32 | s.id)",
			t.Subject, s.oldest)).Scan(&lost); err != nil {
			return err
		}
		spans.Lost, spans.unknown = lost, lost > 0
	}
	lacking, err := s.change(ctx, fmt.Sprintf("INSERT INTO lacking (id) SELECT id FROM %[1]s WHERE last_sample IS NULL AND id NOT IN (SELECT subject FROM %[1]s_open)", t.Subject))
	if err != nil || lacking == 0 {
		return err
	}
	keep := slices.ContainsFunc(Tables(), func(other *Table) bool {
		return slices.ContainsFunc(other.refs(), func(c Column) bool { return c.Ref == t })
	})
	last := "NULL"
	if keep {
		last = "first_sample"
	}
	for _, statement := range []string{
		`UPDATE lacking SET last = e.last FROM (SELECT id & 4294967295 AS subject, max(id >> 32) AS last FROM %[1]s_span
			WHERE id & 4294967295 IN (SELECT id FROM lacking) GROUP BY 1) e WHERE e.subject = lacking.id`,
		"UPDATE %[1]s SET last_sample = coalesce(l.last, %[2]s) FROM lacking l WHERE l.id = %[1]s.id",
	} {
		if _, err := s.change(ctx, fmt.Sprintf(statement, t.Subject, last)); err != nil {
			return err
		}
	}
	n, err := s.change(ctx, fmt.Sprintf("DELETE FROM %[1]s WHERE last_sample IS NULL AND id IN (SELECT id FROM lacking)", t.Subject))
	s.drop(t.Subject, n)
	return err
}

// repairReferences forgets what points to rows that are lost: their numbers will be given to others.
func (s *salvage) repairReferences(ctx context.Context) error {
	var forgotten int64
	forget := func(home string, c Column) error {
		if c.kind != kindRef {
			return nil
		}
		to := c.stored
		if c.Ref != nil {
			to = c.Ref.Subject
		}
		n, err := s.change(ctx, fmt.Sprintf("UPDATE %[1]s SET %[2]s = NULL WHERE %[2]s NOT NULL AND NOT EXISTS (SELECT 1 FROM %[3]s r WHERE r.id = %[1]s.%[2]s)",
			home, c.stored, to))
		forgotten += n
		return err
	}
	for _, t := range Tables() {
		for _, cols := range []struct {
			home string
			cols []Column
		}{{t.Subject, t.id}, {t.Subject + "_tuple", t.rare}, {t.Subject + "_span", t.span}, {t.Subject + "_open", t.span}} {
			for _, c := range cols.cols {
				if err := forget(cols.home, c); err != nil {
					return err
				}
			}
		}
	}
	for _, l := range LogTables() {
		for _, c := range l.columns {
			if err := forget(l.Name, c); err != nil {
				return err
			}
			if c.Role != Rare {
				continue
			}
			if err := forget(l.tuple(), c); err != nil {
				return err
			}
		}
	}
	if forgotten > 0 {
		s.result.Notes = append(s.result.Notes, fmt.Sprintf("%d rows name a process or a socket whose row is lost: who it was is NULL there", forgotten))
	}
	return nil
}

// repairLogs drops rows that cannot be of their sample, and those whose tuple is lost: of whom they are is not known.
func (s *salvage) repairLogs(ctx context.Context) error {
	for _, l := range LogTables() {
		faulty := []string{l.faulty(s.newest)}
		if len(l.rare) > 0 {
			faulty = append(faulty, l.tupleless())
		}
		for _, from := range faulty {
			n, err := s.change(ctx, fmt.Sprintf("DELETE FROM %[1]s WHERE (ts, sample) IN (SELECT l.ts, l.sample %[2]s)", l.Name, from))
			if err != nil {
				return err
			}
			s.drop(l.Name, n)
		}
	}
	n, err := s.change(ctx, "DELETE FROM gap WHERE until < since OR since > ?", s.result.Last)
	s.drop("gap", n)
	return err
}

// writeGaps says in the recording itself what was lost.
func (s *salvage) writeGaps(ctx context.Context) error {
	if _, err := s.change(ctx, `INSERT INTO gap (since, until, kind, detail)
		SELECT ts0, ts, '`+gapDamaged+`', id - id0 - 1 || ' samples could not be saved from a damaged recording'
		  FROM (SELECT id, ts, lag(id) OVER (ORDER BY id) AS id0, lag(ts) OVER (ORDER BY id) AS ts0 FROM sample) h
		 WHERE id > id0 + 1 AND NOT EXISTS (SELECT 1 FROM gap g WHERE g.source IS NULL AND g.since <= h.ts0 AND g.until >= h.ts)`); err != nil {
		return err
	}
	if until := s.after(); until > s.result.Last {
		if err := s.gap(ctx, nil, s.result.Last, until, "the last samples could not be saved from a damaged recording"); err != nil {
			return err
		}
	}
	if s.file.LostWAL() > 0 {
		if err := s.gap(ctx, nil, s.result.Last, s.result.Last, "the -wal file of the recording was damaged: what was recorded last is lost"); err != nil {
			return err
		}
	}
	if s.reader.Lost > 0 {
		if err := s.gap(ctx, "recording", s.result.First, s.result.Last, fmt.Sprintf("%d pages of unknown tables could not be saved from a damaged recording", s.reader.Lost)); err != nil {
			return err
		}
	}
	for _, g := range s.groups() {
		if err := s.tableGap(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// tableGap says what was lost of a table, and when that was as far as it is known.
func (s *salvage) tableGap(ctx context.Context, g group) error {
	var rows, pages int64
	var when sqlitefile.KeyRange
	unknown := false
	for _, p := range g.parts {
		rows, pages = rows+p.Lost, pages+p.Pages
		unknown = unknown || p.unknown
		if p.samples.Some {
			when.Add(p.samples.Low, p.samples.High)
		}
	}
	if rows+pages == 0 {
		return nil
	}
	if unknown || !when.Some {
		when = sqlitefile.KeyRange{Low: s.oldest, High: s.newest, Some: true}
	}
	var since, until float64
	if err := s.conn.QueryRowContext(ctx, `SELECT coalesce((SELECT max(ts) FROM sample WHERE id < ?1), min(ts)), coalesce((SELECT min(ts) FROM sample WHERE id > ?2), max(ts)) FROM sample`,
		when.Low, when.High).Scan(&since, &until); err != nil {
		return err
	}
	return s.gap(ctx, g.name, since, until, fmt.Sprintf("%d rows and %d pages of %s could not be saved from a damaged recording", rows, pages, g.name))
}

func (s *salvage) gap(ctx context.Context, source any, since, until float64, detail string) error {
	_, err := s.change(ctx, "INSERT INTO gap (since, until, source, kind, detail) VALUES (?, ?, ?, ?, ?)", since, until, source, gapDamaged, detail)
	return err
}
