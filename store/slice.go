package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Slice writes what was recorded from one time to another into a recording of its own, at path, where no file may be: every
// sample that is kept, from the last before since to the first after until, with all that it shows and that happened
// meanwhile. The recording may be being written. What is older or younger is not in it, save the first and the last sample
// of what was there in that time, which are facts of it; periods of roll-ups are in it that lie in it whole.
func Slice(ctx context.Context, recording, path string, since, until float64) (Copied, error) {
	from, err := Readable(ctx, recording)
	if err != nil {
		return Copied{}, err
	}
	s := &slicer{since: since, until: until}
	err = newFile(path, []string{recording}, func(unfinished string) error { return s.write(ctx, from, unfinished) })
	if err != nil {
		return Copied{}, err
	}
	s.result.Bytes, err = sizeOf(path)
	return s.result, err
}

// A slicer writes one slice. The recording is attached as src.
type slicer struct {
	conn         *sql.Conn
	since, until float64
	a, z         int64 // the first and the last sample of the slice
	result       Copied
}

func (s *slicer) write(ctx context.Context, from, path string) error {
	if err := blank(ctx, path); err != nil {
		return err
	}
	db, conn, err := openNew(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close()
	defer conn.Close()
	s.conn = conn
	if err := s.do(ctx, "ATTACH ? AS src", from); err != nil {
		return err
	}
	if err := s.do(ctx, "BEGIN"); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.frame, s.logs, s.spans, s.rollups} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := installViews(ctx, s.conn); err != nil {
		return err
	}
	// A slice is sent about: a file in wal mode cannot be read where nothing can be written.
	for _, statement := range []string{"COMMIT", "DETACH src", "PRAGMA journal_mode = delete"} {
		if err := s.do(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *slicer) do(ctx context.Context, statement string, args ...any) error {
	if _, err := s.conn.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("%w in %s", err, statement)
	}
	return nil
}

// frame copies the samples, and what the recorder says about itself.
func (s *slicer) frame(ctx context.Context) error {
	err := s.conn.QueryRowContext(ctx, `SELECT
		coalesce((SELECT id FROM src.sample WHERE ts <= ?1 AND back IS NOT 0 ORDER BY ts DESC LIMIT 1), (SELECT min(id) FROM src.sample WHERE back IS NOT 0), 0),
		coalesce((SELECT id FROM src.sample WHERE ts >= ?2 AND back IS NOT 0 ORDER BY ts LIMIT 1), (SELECT max(id) FROM src.sample), 0)`, s.since, s.until).Scan(&s.a, &s.z)
	if err != nil {
		return err
	}
	if s.a == 0 {
		return errors.New("the recording has no sample yet: wait for the first")
	}
	for _, statement := range []string{
		"INSERT INTO sample SELECT * FROM src.sample WHERE id BETWEEN ?1 AND ?2",
		"INSERT INTO run SELECT * FROM src.run WHERE id IN (SELECT run FROM main.sample)",
		"INSERT INTO boot SELECT * FROM src.boot WHERE id IN (SELECT boot FROM main.run)",
		"INSERT INTO capability SELECT * FROM src.capability WHERE run IN (SELECT id FROM main.run)",
		"INSERT INTO gap SELECT * FROM src.gap WHERE since <= (SELECT max(ts) FROM main.sample) AND coalesce(until, 1e12) >= (SELECT min(ts) FROM main.sample)",
		"INSERT INTO note SELECT * FROM src.note WHERE ts BETWEEN (SELECT min(ts) FROM main.sample) AND (SELECT max(ts) FROM main.sample)",
		"UPDATE run SET first_sample = (SELECT min(id) FROM main.sample m WHERE m.run = run.id)",
		// As if the recorder had been stopped then.
		"UPDATE gap SET until = (SELECT max(ts) FROM main.sample) WHERE until IS NULL",
		"UPDATE run SET stopped = max(started, (SELECT max(ts) FROM main.sample)) WHERE id = (SELECT max(id) FROM main.run)",
	} {
		var args []any
		if strings.Contains(statement, "?1") {
			args = []any{s.a, s.z}
		}
		if err := s.do(ctx, statement, args...); err != nil {
			return err
		}
	}
	err = s.conn.QueryRowContext(ctx, "SELECT count(*), min(ts), max(ts) FROM main.sample WHERE back IS NOT 0").Scan(&s.result.Samples, &s.result.First, &s.result.Last)
	if err != nil {
		return err
	}
	// Subjects that are needed: those with spans, and the last sample of these, and those that others name.
	return s.do(ctx, "CREATE TEMP TABLE need (subject TEXT, id INTEGER, last INTEGER, PRIMARY KEY (subject, id)) WITHOUT ROWID")
}

// refer notes that rows of a table name subjects of another.
func (s *slicer) refer(ctx context.Context, table, column, subject string) error {
	return s.do(ctx, fmt.Sprintf("INSERT OR IGNORE INTO temp.need (subject, id) SELECT '%s', %s FROM main.%s WHERE %[2]s IS NOT NULL", subject, column, table))
}

// logs copies what happened.
func (s *slicer) logs(ctx context.Context) error {
	for _, l := range LogTables() {
		if err := s.do(ctx, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM src.%[1]s WHERE ts >= ? AND sample BETWEEN ? AND ?", l.Name), s.result.First, s.a, s.z); err != nil {
			return err
		}
		if len(l.rare) > 0 {
			if err := s.do(ctx, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM src.%[1]s WHERE id IN (SELECT tuple FROM main.%[2]s)", l.tuple(), l.Name)); err != nil {
				return err
			}
		}
		for _, c := range l.columns {
			var subject string
			switch {
			case c.Ref != nil:
				subject = c.Ref.Subject
			case c.kind == kindRef: // named as what it points to
				subject = c.stored
			default:
				continue
			}
			if err := s.refer(ctx, l.Name, c.stored, subject); err != nil {
				return err
			}
			if c.Role == Rare {
				if err := s.refer(ctx, l.tuple(), c.stored, subject); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// spans copies what the samples show. A span that holds beyond the last of them ends with it. Tables that refer to others
// come first.
func (s *slicer) spans(ctx context.Context) error {
	tables := Tables()
	for i := range tables {
		t := tables[len(tables)-1-i]
		cols := ""
		if len(t.rare) > 0 {
			cols = ", tuple"
		}
		cols += stored(inFile(t.span))
		id := stored(inFile(t.id))
		for _, statement := range []string{
			fmt.Sprintf(`INSERT INTO %[1]s_span (id, length%[2]s)
				SELECT iif(id >> 32 > ?2, ?2 << 32 | (id & 4294967295), id), length - max(0, (id >> 32) - ?2)%[2]s
				  FROM src.%[1]s_span WHERE id BETWEEN ?1 << 32 AND ((?2 + 1 + %[3]d) << 32) - 1 AND (id >> 32) - length <= ?2`, t.Subject, cols, t.K),
			fmt.Sprintf("INSERT INTO %[1]s_span (id, length%[2]s) SELECT ?2 << 32 | subject, ?2 - from_sample%[2]s FROM src.%[1]s_open WHERE from_sample <= ?2 AND ?1", t.Subject, cols),
			fmt.Sprintf(`INSERT INTO temp.need SELECT '%[1]s', id & 4294967295, max(id >> 32) FROM main.%[1]s_span WHERE ?1 AND ?2 GROUP BY 2
				ON CONFLICT DO UPDATE SET last = excluded.last`, t.Subject),
			// What is only named was there before.
			fmt.Sprintf(`INSERT INTO %[1]s (id, first_sample, last_sample, gone_sample%[2]s, since)
				SELECT s.id, s.first_sample, coalesce(n.last, min(coalesce(s.last_sample, ?1 - 1), ?1 - 1)), iif(s.gone_sample <= ?2 AND s.last_sample IS n.last, s.gone_sample, NULL)%[2]s,
				       iif(s.first_sample < ?1, coalesce(s.since, (SELECT ts FROM src.sample WHERE id = s.first_sample)), s.since)
				  FROM temp.need n CROSS JOIN src.%[1]s s ON s.id = n.id WHERE n.subject = '%[1]s'`, t.Subject, id),
		} {
			if err := s.do(ctx, statement, s.a, s.z); err != nil {
				return err
			}
		}
		if len(t.rare) > 0 {
			if err := s.do(ctx, fmt.Sprintf("INSERT INTO %[1]s_tuple SELECT * FROM src.%[1]s_tuple WHERE id IN (SELECT tuple FROM main.%[1]s_span)", t.Subject)); err != nil {
				return err
			}
		}
		for _, c := range t.refs() {
			home := map[Role]string{Identity: t.Subject, Rare: t.Subject + "_tuple", Value: t.Subject + "_span"}[c.Role]
			if err := s.refer(ctx, home, c.stored, c.Ref.Subject); err != nil {
				return err
			}
		}
	}
	return nil
}

// rollups copies the periods that lie in the slice.
func (s *slicer) rollups(ctx context.Context) error {
	for _, l := range Levels() {
		first, last := l.of(s.result.First), l.of(s.result.Last)-1
		if l.begin(first) < s.result.First {
			first++
		}
		if err := s.do(ctx, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM src.%[1]s WHERE id BETWEEN ? AND ?", l.periods()), first, last); err != nil {
			return err
		}
		for _, r := range Rollups() {
			if !slices.Contains(r.levels, l) {
				continue
			}
			cols := strings.Join(r.stored(), ", ")
			if err := s.do(ctx, fmt.Sprintf(`INSERT INTO %[1]s (id, length, %[2]s)
				SELECT max(id >> 32, ?1) << 32 | (id & 4294967295), min((id >> 32) + length, ?2 + 1) - max(id >> 32, ?1), %[2]s
				  FROM src.%[1]s WHERE id BETWEEN (?1 - %[3]d) << 32 AND ((?2 + 1) << 32) - 1 AND (id >> 32) + length > ?1`, r.rows(l), cols, l.block-1), first, last); err != nil {
				return err
			}
		}
	}
	for _, r := range Rollups() {
		var rows, last []string
		for _, l := range r.levels {
			rows = append(rows, "SELECT id & 4294967295 FROM main."+r.rows(l))
			last = append(last, fmt.Sprintf("%s = coalesce((SELECT max(id >> 32) FROM main.%s WHERE id & 4294967295 = %s.id), 0)", l.lastRow(), r.rows(l), r.group()))
		}
		for _, statement := range []string{
			fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM src.%[1]s WHERE id IN (%[2]s)", r.group(), strings.Join(rows, " UNION ")),
			fmt.Sprintf("UPDATE %s SET %s", r.group(), strings.Join(last, ", ")),
		} {
			if err := s.do(ctx, statement); err != nil {
				return err
			}
		}
	}
	return nil
}
