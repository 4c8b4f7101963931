package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"netsql/migrations"
	"netsql/store/internal/sqlitefile"
)

// CheckOptions say how thoroughly to look.
type CheckOptions struct {
	// Quick looks at the pages (PRAGMA quick_check), the schema, runs and samples, and not at spans, logs and sums: a tenth
	// of the time.
	Quick bool
	// Progress, if set, is told now and then what is being looked at, and how many rows of it have been.
	Progress func(what string, rows int64)
}

// A Finding is something that is wrong in a recording.
type Finding struct {
	Kind string // what it is about: file, schema, sample, or a table such as socket_span
	Text string // one sentence
}

// findingsOfAKind is how many findings of one kind are told; the others are counted.
const findingsOfAKind = 20

// CheckReport is what Check found.
type CheckReport struct {
	Format      int       // of the recording: how many migrations it has been through
	Samples     int64     // in it
	First, Last float64   // their times, in unix seconds
	Quick       bool      // spans, logs and sums were not looked at
	Spans       int64     // closed and open, of all tables
	Recovered   bool      // it was saved from a damaged one, and its gaps say what was lost
	Findings    []Finding // the first 20 of each kind
	Kinds       []string  // of the findings, in the order in which they turned up
	Counts      map[string]int64
}

// Sound reports whether nothing is wrong.
func (r *CheckReport) Sound() bool { return len(r.Kinds) == 0 }

func (r *CheckReport) found(kind, text string) {
	if r.Counts[kind]++; r.Counts[kind] == 1 {
		r.Kinds = append(r.Kinds, kind)
	}
	if r.Counts[kind] <= findingsOfAKind {
		r.Findings = append(r.Findings, Finding{kind, text})
	}
}

// Check verifies a recording of any format that this program knows without changing it: that it is a sound SQLite file,
// that its schema is what the migrations make, and that its rows obey the scheme of the package comment. It reads one
// snapshot, so the recording may be written meanwhile; while it runs, the -wal file of one that is can only grow. What it
// holds in memory is a number for each subject that lived within K samples, not the spans.
//
// SQLite keeps no checksum of a page. A value that was changed into another of the same type, in a column that nothing
// else depends on, such as the bytes that a socket has sent, is not found: only a copy of the file could tell.
//
// The error says that the recording could not be looked at, and is a sentence; what is wrong with its contents is in the report.
func Check(ctx context.Context, path string, o CheckOptions) (CheckReport, error) {
	r := CheckReport{Counts: map[string]int64{}}
	dsn, version, err := openable(ctx, path)
	if err != nil {
		return r, err
	}
	db, err := sql.Open("sqlite", dsn+manyPages)
	if err != nil {
		return r, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return r, Explain(path, err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return r, Explain(path, err)
	}
	r.Format = version
	c := &checker{path: path, q: conn, options: o, report: &r}
	steps := []func(context.Context) error{c.checkFile, c.checkRoots, c.checkWAL, c.checkSchema, c.checkFrame, c.checkSamples}
	if r.Quick = o.Quick; !o.Quick {
		steps = append(steps, c.checkTables, c.checkLogs, c.checkSums, c.checkThereIsSomething)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return r, Explain(path, err)
		}
	}
	return r, nil
}

// checker looks at one side of a recording after the other.
type checker struct {
	path    string
	q       *sql.Conn
	options CheckOptions
	report  *CheckReport
	have    map[string]bool // the tables and indexes that are as they should be

	oldest, newest int64 // samples
}

func (c *checker) progress(what string, rows int64) {
	if c.options.Progress != nil && rows%50_000 == 0 {
		c.options.Progress(what, rows)
	}
}

// law runs a question whose rows are each a fault of that kind, in words.
func (c *checker) law(ctx context.Context, kind, question string, args ...any) error {
	rows, err := c.q.QueryContext(ctx, question, args...)
	if err != nil {
		return c.unreadable(ctx, kind, err)
	}
	defer rows.Close()
	for n := int64(0); rows.Next(); n++ {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if text.Valid {
			c.report.found(kind, text.String)
		}
		c.progress(kind, n)
	}
	return c.unreadable(ctx, kind, rows.Err())
}

// unreadable turns an error that damage causes into a finding.
func (c *checker) unreadable(ctx context.Context, kind string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case !isDamage(err):
		return err
	}
	c.report.found(kind, "it cannot be read to its end: "+err.Error())
	return nil
}

// isDamage reports whether SQLite says with the error that the file is damaged.
func isDamage(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
		return true
	case sqlite3.SQLITE_IOERR:
		return se.Code() == sqlite3.SQLITE_IOERR_SHORT_READ
	case sqlite3.SQLITE_ERROR:
		return strings.Contains(se.Error(), "no such ") // a damaged schema
	}
	return false
}

// checkFile asks SQLite itself.
func (c *checker) checkFile(ctx context.Context) error {
	pragma := "integrity_check"
	if c.options.Quick {
		pragma = "quick_check"
	}
	c.progress("pages", 0)
	rows, err := c.q.QueryContext(ctx, fmt.Sprintf("PRAGMA %s(1000)", pragma))
	if err != nil {
		return c.unreadable(ctx, "file", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "ok" && !strings.HasPrefix(line, "*** in database") {
				c.report.found("file", line)
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return c.unreadable(ctx, "file", rows.Err())
}

// checkWAL looks for pages of the -wal file that are lost: SQLite takes the first damaged one for the end, and says nothing.
func (c *checker) checkWAL(ctx context.Context) error {
	for range 3 {
		lost, again, err := lostOfWAL(resolved(c.path))
		if err != nil || lost == 0 || ctx.Err() != nil {
			return cmp.Or(err, ctx.Err())
		}
		if !again {
			c.report.found("wal", lostWords(lost))
			return nil
		}
	}
	return nil // it is begun again all the time: then it is not damaged
}

func lostWords(pages int64) string {
	return fmt.Sprintf("the last %d pages that were written to the -wal file are damaged: what was recorded in them is lost", pages)
}

// LostOfWAL says what is lost because the -wal file is damaged, of a recording that nobody writes to: a recorder looks for itself. "": nothing.
func LostOfWAL(path string) string {
	path = resolved(path)
	if size, err := sizeOf(path + "-wal"); err != nil || size == 0 {
		return ""
	}
	if _, is := RecorderOf(path); is {
		return ""
	}
	lost, _, err := lostOfWAL(path)
	if err != nil || lost == 0 {
		return ""
	}
	return lostWords(lost)
}

// lostOfWAL counts the pages of the -wal file that are lost; again as in pagesOf.
func lostOfWAL(path string) (lost int64, again bool, err error) {
	lost = 1 // until somebody has looked
	again, err = pagesOf(path, func(f *sqlitefile.File) { lost = f.LostWAL() })
	return lost, again, err
}

// checkRoots looks whether the pointer map says of each tree that it begins where the schema has it. PRAGMA integrity_check leaves that out where what it
// finds first in the schema is a view: it takes that for a check of one table (SQLite 3.40 and 3.50).
func (c *checker) checkRoots(ctx context.Context) error {
	rows, err := c.q.QueryContext(ctx, "SELECT rootpage FROM sqlite_schema WHERE rootpage > 2")
	if err != nil {
		return c.unreadable(ctx, "file", err)
	}
	defer rows.Close()
	var roots []uint32
	for rows.Next() {
		var root uint32
		if err := rows.Scan(&root); err != nil {
			return err
		}
		roots = append(roots, root)
	}
	if err := rows.Err(); err != nil {
		return c.unreadable(ctx, "file", err)
	}
	for range 3 {
		lost := roots // until somebody has looked
		again, err := pagesOf(resolved(c.path), func(f *sqlitefile.File) {
			lost = slices.DeleteFunc(slices.Clone(roots), func(n uint32) bool { return !f.HasPointerMap() || f.IsRoot(n) })
		})
		if err != nil || len(lost) == 0 || ctx.Err() != nil {
			return cmp.Or(err, ctx.Err())
		}
		if !again {
			c.report.found("file", fmt.Sprintf("the pointer map does not say of %d pages that a tree begins there, of page %d first", len(lost), slices.Min(lost)))
			return nil
		}
	}
	return nil // as in checkWAL
}

// pagesOf looks at the pages. While somebody records, what stands in the -wal file behind the last commit is not looked at, and again says that the file
// was begun again meanwhile.
func pagesOf(path string, look func(*sqlitefile.File)) (again bool, err error) {
	var files [len(parts)]*os.File
	var sizes [len(parts)]int64
	for i, part := range parts {
		file, err := os.Open(path + part)
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue
		}
		if err != nil {
			return false, err
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			return false, err
		}
		files[i], sizes[i] = file, info.Size()
	}
	var index walIndex
	_, recorded := RecorderOf(path)
	if recorded = recorded && files[1] != nil && files[2] != nil; recorded {
		var is bool
		if index, is = readIndex(files[2]); !is {
			return true, nil
		}
		sizes[1] = min(sizes[1], index.size())
	}
	look(sqlitefile.New(files[0], sizes[0], files[1], sizes[1]))
	if recorded {
		now, is := readIndex(files[2])
		again = !is || now.salts != index.salts
	}
	return again, nil
}

// checkSchema compares the schema with that which the migrations make. Tables that somebody added are nobody's damage.
func (c *checker) checkSchema(ctx context.Context) error {
	want, _, err := schemaOf(ctx, c.report.Format, newPageSize)
	if err != nil {
		return err
	}
	have := map[string]string{}
	rows, err := c.q.QueryContext(ctx, "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema")
	if err != nil {
		return c.unreadable(ctx, "schema", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return err
		}
		have[name] = strings.Join(strings.Fields(text), " ")
	}
	if err := c.unreadable(ctx, "schema", rows.Err()); err != nil {
		return err
	}
	c.have = map[string]bool{}
	for _, o := range want {
		text, ok := have[o.name]
		switch {
		case !ok:
			c.report.found("schema", "the "+o.name+" is missing")
		case text != o.text:
			c.report.found("schema", fmt.Sprintf("the %s is not what format %d has", o.name, c.report.Format))
		default:
			_, name, _ := strings.Cut(o.name, " ")
			c.have[name] = true
		}
	}
	var views sql.NullString
	if err := c.q.QueryRowContext(ctx, "SELECT views FROM recording").Scan(&views); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c.unreadable(ctx, "recording", err)
	}
	if views.String == viewsSum() {
		for _, v := range Views() {
			if have["view "+v.Name] != strings.Join(strings.Fields(v.create()), " ") {
				c.report.found("schema", "the view "+v.Name+" is not what this program made it")
			}
		}
	}
	return nil
}

// schemaObject is a table or an index of the schema.
type schemaObject struct {
	name    string // "table sample"
	text    string // its SQL, with single blanks
	columns int    // of a table
}

// schemas is what schemaOf has made: fifty changes of tables take as long as the check of a small recording.
var schemas struct {
	sync.Mutex
	made map[schemaKey]schemaMade
}

type schemaKey struct{ format, pageSize int }

type schemaMade struct {
	objects []schemaObject
	roots   map[string]uint32
}

// schemaOf is what the migrations up to that format make, and the pages at which its tables begin in every recording with
// pages of that size: in a file that is auto-vacuumed roots stand at its front, in the order in which they were made.
func schemaOf(ctx context.Context, format, pageSize int) ([]schemaObject, map[string]uint32, error) {
	schemas.Lock()
	defer schemas.Unlock()
	key := schemaKey{format, pageSize}
	made, is := schemas.made[key]
	if !is {
		var err error
		if made.objects, made.roots, err = makeSchema(ctx, format, pageSize); err != nil {
			return nil, nil, err
		}
		if schemas.made == nil {
			schemas.made = map[schemaKey]schemaMade{}
		}
		schemas.made[key] = made
	}
	return made.objects, made.roots, nil
}

func makeSchema(ctx context.Context, format, pageSize int) (objects []schemaObject, roots map[string]uint32, err error) {
	steps, err := migrations.All()
	if err != nil {
		return nil, nil, err
	}
	db, err := sql.Open("sqlite", fmt.Sprintf("file::memory:?_pragma=page_size(%d)", pageSize))
	if err != nil {
		return nil, nil, err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "PRAGMA auto_vacuum = incremental;"+strings.Join(steps[:format], "\n")); err != nil {
		return nil, nil, err
	}
	rows, err := db.QueryContext(ctx, "SELECT type, name, rootpage, coalesce(sql, ''), iif(type = 'table', (SELECT count(*) FROM pragma_table_info(s.name)), 0) FROM sqlite_schema s")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	roots = map[string]uint32{}
	for rows.Next() {
		var kind, name, text string
		var root uint32
		var columns int
		if err := rows.Scan(&kind, &name, &root, &text, &columns); err != nil {
			return nil, nil, err
		}
		objects = append(objects, schemaObject{kind + " " + name, strings.Join(strings.Fields(text), " "), columns})
		roots[name] = root
	}
	return objects, roots, rows.Err()
}

// checkFrame looks at what is neither a table of spans nor a log.
func (c *checker) checkFrame(ctx context.Context) error {
	var uuids, recovered int64
	if err := c.q.QueryRowContext(ctx, "SELECT count(*) FROM recording WHERE uuid <> ''").Scan(&uuids); err != nil {
		if err := c.unreadable(ctx, "recording", err); err != nil {
			return err
		}
	} else if uuids != 1 {
		c.report.found("recording", "it has no uuid")
	}
	err := c.q.QueryRowContext(ctx, "SELECT count(*) FROM gap WHERE kind = '"+gapDamaged+"'").Scan(&recovered)
	if err := c.unreadable(ctx, "gap", err); err != nil {
		return err
	}
	c.report.Recovered = recovered > 0
	for _, l := range []struct{ kind, question string }{
		{"run", "SELECT 'run ' || u.id || ' is of boot ' || u.boot || ', which is not there' FROM run u LEFT JOIN boot b ON b.id = u.boot WHERE b.id IS NULL"},
		{"run", "SELECT 'run ' || id || ' was stopped before it was started' FROM run WHERE stopped < started"},
		{"gap", "SELECT 'gap ' || id || ' ends before it begins' FROM gap WHERE until < since"},
		{"gap", "SELECT 'gap ' || id || ' begins after the last sample' FROM gap WHERE since > (SELECT max(ts) FROM sample)"},
	} {
		if err := c.law(ctx, l.kind, l.question); err != nil {
			return err
		}
	}
	return nil
}

// checkSamples holds that time goes on from one to the next, and that none is missing in between. The oldest ones may have
// been forgotten.
func (c *checker) checkSamples(ctx context.Context) error {
	rows, err := c.q.QueryContext(ctx, "SELECT m.id, m.ts, m.uptime_s, m.run, u.id IS NULL FROM sample m LEFT JOIN run u ON u.id = m.run ORDER BY m.id")
	if err != nil {
		return c.unreadable(ctx, "sample", err)
	}
	defer rows.Close()
	var id, run int64
	var ts, uptime float64
	var holes [][2]float64
	for rows.Next() {
		var next, of int64
		var at, up float64
		var orphan bool
		if err := rows.Scan(&next, &at, &up, &of, &orphan); err != nil {
			return err
		}
		name := fmt.Sprintf("sample %d", next)
		switch {
		case next < 1 || next > math.MaxInt32:
			c.report.found("sample", name+" has a number that none can have")
		case orphan:
			c.report.found("sample", fmt.Sprintf("%s is of run %d, which is not there", name, of))
		case at <= ts:
			c.report.found("sample", name+" is not after the one before it")
		case of < run:
			c.report.found("sample", fmt.Sprintf("%s is of run %d, the one before it of run %d", name, of, run))
		case of == run && up <= uptime:
			c.report.found("sample", name+" has no longer uptime than the one before it in its run")
		case c.report.Samples > 0 && next != id+1 && len(holes) < findingsOfAKind:
			holes = append(holes, [2]float64{ts, at})
		}
		if c.report.Samples == 0 {
			c.oldest, c.report.First = next, at
		}
		id, ts, uptime, run = next, at, up, of
		c.report.Samples++
		c.progress("sample", c.report.Samples)
	}
	c.newest, c.report.Last = id, ts
	if err := c.unreadable(ctx, "sample", rows.Err()); err != nil {
		return err
	}
	if c.report.Samples == 0 && c.report.Counts["sample"] == 0 {
		c.report.found("sample", "there is none: nothing was recorded yet, or all of it is lost")
	}
	for _, h := range holes {
		if err := c.law(ctx, "sample", `SELECT iif(count(*) > 0, NULL, printf('samples are missing between unix seconds %.3f and %.3f, and no gap says why', ?1, ?2))
			FROM gap WHERE source IS NULL AND since <= ?1 AND until >= ?2`, h[0], h[1]); err != nil {
			return err
		}
	}
	return nil
}

// checkThereIsSomething: each sample has at least a row that says how its sources went. Where a damaged recording was saved, gaps say what is lost.
func (c *checker) checkThereIsSomething(context.Context) error {
	if c.report.Samples > 0 && c.report.Spans == 0 && !c.report.Recovered {
		c.report.found("span", "there is none in any table, though there are samples: what they saw is lost")
	}
	return nil
}

func (c *checker) checkTables(ctx context.Context) error {
	for _, t := range Tables() {
		if !c.have[t.Subject] || !c.have[t.Subject+"_span"] || !c.have[t.Subject+"_open"] || len(t.rare) > 0 && !c.have[t.Subject+"_tuple"] {
			continue // an older format has no such table; what should be there and is not has been said
		}
		if err := c.checkSpans(ctx, t); err != nil {
			return err
		}
		if err := c.law(ctx, t.Subject, t.subjectFaults(c.oldest, c.newest, c.report.Recovered)); err != nil {
			return err
		}
		for _, col := range t.refs() {
			home := t.Subject
			if col.Role == Rare {
				home += "_tuple"
			}
			// One that is in between may have been forgotten.
			if err := c.law(ctx, home, fmt.Sprintf(
				"SELECT 'row ' || id || ' refers to %[3]s ' || %[2]s || ', which never was' FROM %[1]s WHERE %[2]s < 1 OR %[2]s > (SELECT coalesce(max(id), 0) FROM %[3]s)",
				home, col.stored, col.Ref.Subject)); err != nil {
				return err
			}
		}
	}
	return nil
}

// subjectFaults asks for what no subject can be.
func (t *Table) subjectFaults(oldest, newest int64, recovered bool) string {
	// Where spans were lost, the last one of a subject may have been among them.
	complete := fmt.Sprintf(`
		WHEN s.last_sample >= %[2]d AND NOT EXISTS (SELECT 1 FROM %[1]s_span WHERE id = s.last_sample << 32 | s.id) THEN 'has no span that ends with its last sample'
		WHEN s.first_sample < lag(s.first_sample) OVER (ORDER BY s.id) THEN 'was first seen before one with a lower number'`, t.Subject, oldest)
	if recovered {
		complete = ""
	}
	return fmt.Sprintf(`SELECT '%[1]s ' || id || ' ' || fault FROM (SELECT s.id, CASE
		WHEN s.id < 1 OR s.id > 4294967295 THEN 'has a number that none can have'
		WHEN s.first_sample < 1 OR s.first_sample > %[2]d THEN 'was first seen in a sample that is not there'
		WHEN s.last_sample < s.first_sample OR s.last_sample > %[2]d THEN 'was last seen before the first time, or after the last sample'
		WHEN s.gone_sample <= s.last_sample OR s.gone_sample > %[2]d OR s.gone_sample NOT NULL AND s.last_sample IS NULL THEN 'was gone before it was last seen, or after the last sample'
		WHEN s.last_sample IS NULL AND NOT EXISTS (SELECT 1 FROM %[1]s_open WHERE subject = s.id) THEN 'has neither an open span nor a last sample'%[3]s
		END AS fault FROM %[1]s s) WHERE fault NOT NULL`, t.Subject, newest, complete)
}

func (c *checker) checkSpans(ctx context.Context, t *Table) error {
	_, err := t.spanFaults(ctx, c.q, c.newest, func(s span) error {
		c.report.Spans++
		c.progress(t.Subject+"_span", c.report.Spans)
		switch {
		case s.fault == "":
		case s.open:
			c.report.found(t.Subject+"_open", fmt.Sprintf("the open span of %s %d since sample %d %s", t.Subject, s.subject, s.first, s.fault))
		default:
			c.report.found(t.Subject+"_span", fmt.Sprintf("the span of %s %d from sample %d to %d %s", t.Subject, s.subject, s.first, s.last, s.fault))
		}
		return nil
	})
	return c.unreadable(ctx, t.Subject+"_span", err)
}

// A span as the check sees it.
type span struct {
	open        bool
	subject     int64
	first, last int64 // samples; last of an open span is the newest
	fault       string
}

// What spanFaults says of spans; recover tells from it what can be repaired.
const (
	faultSubject = "has no subject"
	faultTuple   = "has no tuple"
	faultNewer   = "is of samples after the last one"
	faultEnded   = "goes on after its subject was last seen"
	faultLength  = "is longer than spans of the table may be"
	faultBefore  = "begins before its subject was first seen"
	faultOverlap = "overlaps with the one before it"
)

// spanFaults calls each with every closed span in the order of their ends, then with every open one.
func (t *Table) spanFaults(ctx context.Context, q *sql.Conn, newest int64, each func(span) error) (spans int64, err error) {
	// Spans end in the order of their numbers, and none is longer than K: an older end than that overlaps with nothing.
	ends := map[int64]int64{}
	pruned := int64(0)
	tuple, join := "1", ""
	if len(t.rare) > 0 {
		tuple, join = "t.id", fmt.Sprintf("LEFT JOIN %s_tuple t ON t.id = p.tuple", t.Subject)
	}
	for _, open := range []bool{false, true} {
		where := fmt.Sprintf("(SELECT id & 4294967295 AS subject, (id >> 32) - length AS first, id >> 32 AS last, * FROM %s_span ORDER BY id)", t.Subject)
		if open {
			where = fmt.Sprintf("(SELECT from_sample AS first, %d AS last, * FROM %s_open)", newest, t.Subject)
		}
		rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT p.subject, p.first, p.last, CASE
			WHEN s.id IS NULL THEN '%[4]s'
			WHEN %[2]s IS NULL THEN '%[5]s'
			WHEN p.last > %[8]d OR p.first > %[8]d THEN '%[6]s'
			WHEN p.last < p.first OR p.last - p.first >= %[9]d THEN '%[10]s'
			WHEN p.first < s.first_sample THEN '%[11]s'
			WHEN p.last > s.last_sample OR %[12]t AND s.last_sample NOT NULL THEN '%[7]s'
			ELSE '' END
			FROM %[1]s p LEFT JOIN %[13]s s ON s.id = p.subject %[3]s`,
			where, tuple, join, faultSubject, faultTuple, faultNewer, faultEnded, newest, t.K, faultLength, faultBefore, open, t.Subject))
		if err != nil {
			return spans, err
		}
		defer rows.Close()
		for rows.Next() {
			s := span{open: open}
			if err := rows.Scan(&s.subject, &s.first, &s.last, &s.fault); err != nil {
				return spans, err
			}
			if s.fault == "" {
				if end, ok := ends[s.subject]; ok && end >= s.first {
					s.fault = faultOverlap
				} else {
					ends[s.subject] = s.last
				}
			}
			if s.last > pruned+t.K {
				for subject, end := range ends {
					if end < s.last-t.K {
						delete(ends, subject)
					}
				}
				pruned = s.last
			}
			spans++
			if err := each(s); err != nil {
				return spans, err
			}
		}
		if err := rows.Err(); err != nil {
			return spans, err
		}
		if err := rows.Close(); err != nil {
			return spans, err
		}
	}
	return spans, nil
}

// checkLogs holds that rows of logs are of the samples that brought them. What they refer to may have been forgotten.
func (c *checker) checkLogs(ctx context.Context) error {
	for _, l := range LogTables() {
		if !c.have[l.Name] {
			continue
		}
		if err := c.law(ctx, l.Name, l.faults(c.newest)); err != nil {
			return err
		}
		if len(l.rare) == 0 || !c.have[l.tuple()] {
			continue
		}
		if err := c.law(ctx, l.Name, "SELECT printf('the row of unix second %.6f and sample %d has the tuple %d, which is not there', l.ts, l.sample, l.tuple)"+l.tupleless()); err != nil {
			return err
		}
	}
	return nil
}

// faults asks for rows whose time cannot be that of their sample.
func (l *LogTable) faults(newest int64) string {
	return "SELECT printf('the row of unix second %.6f and sample %d is of another time than that sample', l.ts, l.sample)" + l.faulty(newest)
}

// faulty are these rows. A log has the time since the sample before, and a bit more, because reading the kernel takes a while and
// clocks are set.
func (l *LogTable) faulty(newest int64) string {
	return fmt.Sprintf(` FROM %[1]s l LEFT JOIN sample m ON m.id = l.sample LEFT JOIN sample b ON b.id = l.sample - 1
		WHERE l.sample < 1 OR l.sample > %[2]d OR l.ts < b.ts - 1 OR l.ts > m.ts + 3600`, l.Name, newest)
}

// tupleless are the rows whose tuple is not there.
func (l *LogTable) tupleless() string {
	return fmt.Sprintf(" FROM %s l WHERE l.tuple NOT NULL AND NOT EXISTS (SELECT 1 FROM %s t WHERE t.id = l.tuple)", l.Name, l.tuple())
}
