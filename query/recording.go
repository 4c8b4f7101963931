package query

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"netsql/store"
)

// A Recording is open for reading, also while it is written and by a user who may only
// read it. It is used by one goroutine at a time.
type Recording struct {
	Path  string
	hosts []string // whose recordings a merged file holds; none: it is one recording

	db    *sql.DB
	conn  *conn   // pinned: the TEMP views and what the user makes live on it
	look  *sql.DB // for at(), which is called while conn is busy
	guard guard   // of conn

	packed []byte // the row that pack made last

	at      time.Time // what .at set; zero: the newest sample
	exactly bool      // at is that of a sample
	since   time.Time // the window; zero: an hour before its end
	until   time.Time // zero: the newest sample

	mu    sync.Mutex
	limit int64     // newest sample that the statement under way can see
	plain *answer   // of at() without a time, in that statement; nil: it is not known yet
	notes []string  // what at() has to say about its answers
	found []float64 // its answers, times of samples: the first two
}

// ErrNoRecording is of Open: there is no such file.
var ErrNoRecording = store.ErrNoRecording

// Open opens the recording. Its errors are those of store.Readable: one sentence, with the next step.
func Open(ctx context.Context, path string) (*Recording, error) {
	if err := checkRegular(path); err != nil {
		return nil, err
	}
	dsn, err := store.Readable(ctx, path)
	if err != nil {
		return nil, err
	}
	return open(ctx, &Recording{Path: path}, dsn)
}

func open(ctx context.Context, r *Recording, dsn string) (*Recording, error) {
	path := r.Path
	dsn += guarded
	if err := r.open(ctx, dsn); err != nil {
		r.Close()
		return nil, store.Explain(path, err)
	}
	return r, nil
}

func (r *Recording) open(ctx context.Context, dsn string) error {
	d := newDriver()
	d.MustRegisterFunction("at", &sqlite.FunctionImpl{NArgs: -1, Deterministic: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) { return r.sampleAt(args) }})
	d.MustRegisterFunction(packing, &sqlite.FunctionImpl{NArgs: -1, Deterministic: true, VolatileArgs: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) { return r.pack(args) }})
	d.RegisterConnectionHook(r.guard.hook)
	r.look = sql.OpenDB(connector{&sqlite.Driver{}, dsn})
	r.db = sql.OpenDB(connector{d, dsn})
	pinned, err := r.db.Conn(ctx)
	if err != nil {
		return err
	}
	r.conn = &conn{Conn: pinned, made: map[string]string{}, hosts: r.hosts}
	if err := limitValues(pinned); err != nil {
		return err
	}
	return r.checkTables(ctx)
}

// connector opens connections of a driver that is not registered by name.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// Close closes the recording.
func (r *Recording) Close() error {
	var errs []error
	if r.conn != nil {
		errs = append(errs, r.conn.Close())
	}
	for _, db := range []*sql.DB{r.db, r.look} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// asksAt is a statement with at() in it.
var asksAt = regexp.MustCompile(`(?i)\bat\b`)

// Query runs one statement. What at() in it means is settled when it begins; Notes then says
// what the user should know about that.
func (r *Recording) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	if asksAt.MatchString(statement) {
		if err := r.refreshLimit(ctx); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	r.notes, r.found, r.plain = nil, nil, nil
	r.mu.Unlock()
	if asksAt.MatchString(statement) && r.hosts == nil {
		r.answerPlain(ctx, statement)
		r.settle(ctx, statement, args)
	}
	if is, err := r.attachAsked(ctx, statement, args); err != nil {
		return nil, err
	} else if is {
		statement, args = "", nil
	}
	rows, err := r.conn.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, r.explain(err)
	}
	return rows, nil
}

func (r *Recording) explain(err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_AUTH:
		return errors.New(cmp.Or(r.guard.why(), err.Error()))
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG:
		return errMemory()
	case sqlite3.SQLITE_READONLY:
		return errors.New("the recording is only read, never changed: CREATE TEMP TABLE makes a table that lasts until the shell ends")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR:
		return store.Explain(r.Path, err)
	}
	return err
}

// Notes are what the last statement's at() had to say: that nobody looked at the moment asked for.
func (r *Recording) Notes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notes
}

// moment is the sample that the last statement asked for, if it was one.
func (r *Recording) moment() (ts float64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found) != 1 {
		return 0, false
	}
	return r.found[0], true
}

// sampleAt is the SQL function at().
func (r *Recording) sampleAt(args []driver.Value) (driver.Value, error) {
	moment, exact := r.at, r.exactly
	of, args, err := r.hostOf(args)
	if err != nil {
		return nil, err
	}
	switch {
	case len(args) > 1:
		return nil, errors.New("at: one time at the most: at('03:14')")
	case len(args) == 0:
	case args[0] == nil:
		return nil, nil
	default:
		if moment, err = timeOf(args[0], time.Now()); err != nil {
			return nil, fmt.Errorf("at: %w", err)
		}
		_, words := args[0].(string)
		exact = !words
	}
	r.mu.Lock()
	known := r.plain // there is none in a merged file
	if known != nil && (len(args) > 0 || known.at != moment || known.exactly != exact || known.limit != r.limit) {
		known = nil
	}
	r.mu.Unlock()
	if known == nil {
		known = r.answer(context.Background(), r.look, of, moment, exact)
	}
	ts, note := known.ts, known.note
	if known.err != nil {
		return nil, fmt.Errorf("at: %w", known.err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if note != "" && of.host != "" {
		note = of.host + ": " + note
	}
	if note != "" && !slices.Contains(r.notes, note) { // SQLite asks once for each part of a view
		r.notes = append(r.notes, note)
	}
	if len(r.found) < 2 && !slices.Contains(r.found, ts) {
		r.found = append(r.found, ts)
	}
	return ts, nil
}

// An answer of at().
type answer struct {
	ts   float64
	note string
	err  error

	at      time.Time // what was asked for, and up to which sample
	exactly bool
	limit   int64
}

// A sampleReader answers questions about samples: look while a statement runs on conn, which it keeps busy, else conn. To connect look takes
// as long as to open the recording.
type sampleReader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (r *Recording) answer(ctx context.Context, on sampleReader, of tablesOf, moment time.Time, exact bool) *answer {
	r.mu.Lock()
	a := &answer{at: moment, exactly: exact, limit: r.limit}
	r.mu.Unlock()
	if exact {
		a.ts, a.note, a.err = r.lastSampleBefore(ctx, on, of, moment, moment)
	} else {
		a.ts, a.note, a.err = r.lastSample(ctx, on, of, moment)
	}
	return a
}

// asksPlainAt is a statement with at() in it that names no time.
var asksPlainAt = regexp.MustCompile(`(?i)\bat\s*\(\s*\)`)

// answerPlain finds what at() without a time means in a statement, before the statement runs.
func (r *Recording) answerPlain(ctx context.Context, statement string) {
	if !asksPlainAt.MatchString(statement) {
		return
	}
	a := r.answer(ctx, r.conn.Conn, tablesOf{}, r.at, r.exactly)
	if a.err != nil {
		return // the statement asks again, if it needs it
	}
	r.mu.Lock()
	r.plain = a
	r.mu.Unlock()
}

// timeOf reads a time from words or from unix seconds.
func timeOf(v driver.Value, now time.Time) (time.Time, error) {
	switch v := v.(type) {
	case int64:
		return time.Unix(v, 0), nil
	case float64:
		return unixTime(v), nil
	case string:
		return ParseTime(v, now)
	}
	return time.Time{}, fmt.Errorf("%v is no time: try '03:14' or '10m ago'", v)
}

// lastSample finds the last sample at or before a moment that words name, the newest if that is zero. Words say no more than a clock shows: 03:14:05 is
// that second to its end, so that who types what stands on the screen finds it. The note says when nobody looked then.
func (r *Recording) lastSample(ctx context.Context, on sampleReader, of tablesOf, moment time.Time) (ts float64, note string, err error) {
	end := moment
	switch {
	case moment.IsZero():
	case moment.Nanosecond() == 0:
		end = moment.Add(time.Second - time.Microsecond)
	case moment.Nanosecond()%int(time.Millisecond) == 0:
		end = moment.Add(time.Millisecond - time.Microsecond)
	}
	return r.lastSampleBefore(ctx, on, of, moment, end)
}

// lastSampleBefore finds the last sample at or before end for who asked for the moment.
func (r *Recording) lastSampleBefore(ctx context.Context, on sampleReader, of tablesOf, moment, end time.Time) (ts float64, note string, err error) {
	r.mu.Lock()
	limit := r.limit
	r.mu.Unlock()
	if moment.IsZero() {
		err = on.QueryRowContext(ctx, of.sql("SELECT ts FROM sample WHERE id <= ? ORDER BY id DESC LIMIT 1"), limit).Scan(&ts)
		if errors.Is(err, sql.ErrNoRows) {
			err = errors.New("the recording has no sample yet: wait for the first")
		}
		return ts, "", err
	}
	if wait := time.Until(moment); wait > time.Second {
		return 0, "", fmt.Errorf("%s is in the future: at() is the newest sample", localTime(moment))
	}
	asked := unixSeconds(moment)
	err = on.QueryRowContext(ctx, of.sql("SELECT ts FROM sample WHERE ts <= ? AND id <= ? AND back IS NOT 0 ORDER BY ts DESC LIMIT 1"), unixSeconds(end), limit).Scan(&ts)
	if errors.Is(err, sql.ErrNoRows) {
		var first sql.NullFloat64
		if err := on.QueryRowContext(ctx, of.sql("SELECT min(ts) FROM sample")).Scan(&first); err != nil {
			return 0, "", err
		}
		if !first.Valid {
			return 0, "", errors.New("the recording has no sample yet: wait for the first")
		}
		return 0, "", fmt.Errorf("nothing is known of %s: the recording begins at %s%s",
			localTime(moment), localTime(unixTime(first.Float64)), rollupsAt(ctx, on, of, asked))
	}
	if err != nil {
		return 0, "", err
	}
	return ts, pauseAt(ctx, on, of, moment, ts), nil
}

// rollupsAt names the shortest roll-ups that go back to a moment before the first sample.
func rollupsAt(ctx context.Context, on sampleReader, of tablesOf, asked float64) string {
	for _, l := range store.Levels() {
		var first sql.NullFloat64
		err := on.QueryRowContext(ctx, of.sql("SELECT min(ts) FROM period_"+l.Name)).Scan(&first)
		if err == nil && first.Valid && first.Float64 <= asked {
			var names []string
			for _, up := range store.Rollups() {
				if slices.Contains(up.Levels(), l) {
					names = append(names, up.Name+"_"+l.Name)
				}
			}
			last := len(names) - 1
			return fmt.Sprintf("; what is left of then are sums of each %s: see %s and %s", l.Noun, strings.Join(names[:last], ", "), names[last])
		}
	}
	return ""
}

// pauseAt says when the moment lies in a time in which nothing was recorded.
func pauseAt(ctx context.Context, on sampleReader, of tablesOf, moment time.Time, ts float64) string {
	asked := unixSeconds(moment)
	if asked <= ts { // a pause begins just after its last sample
		return ""
	}
	var kind string
	var until sql.NullFloat64
	// One row may stand for many samples, each of which came late.
	err := on.QueryRowContext(ctx, of.sql(`SELECT kind, coalesce((SELECT min(ts) FROM sample WHERE ts > ?1 AND back IS NOT 0), until) FROM gap
		WHERE source IS NULL AND since <= ?1 AND until > ?1 ORDER BY id DESC LIMIT 1`), asked).Scan(&kind, &until)
	switch {
	case err == nil:
		return fmt.Sprintf("nobody looked at %s (%s): this is %s; the next sample is of %s", localTime(moment), kind,
			localTime(unixTime(ts)), localTime(unixTime(until.Float64)))
	case !errors.Is(err, sql.ErrNoRows):
		return ""
	}
	var detail string
	var next sql.NullFloat64
	if err := on.QueryRowContext(ctx, of.sql(`SELECT detail, (SELECT min(ts) FROM sample WHERE ts > ?1 AND back IS NOT 0) FROM gap
		WHERE kind = 'thinned' AND since <= ?1 AND until > ?1 AND EXISTS (SELECT 1 FROM sample WHERE ts > ?2 AND ts <= ?1)`), asked, ts).Scan(&detail, &next); err == nil {
		return fmt.Sprintf("of %s %s: this is %s; the next sample is of %s", localTime(moment), detail, localTime(unixTime(ts)), localTime(unixTime(next.Float64)))
	}
	var interval float64
	if err := on.QueryRowContext(ctx, of.sql("SELECT interval_s FROM run ORDER BY id DESC LIMIT 1")).Scan(&interval); err == nil && asked-ts > 2*interval+1 {
		return fmt.Sprintf("the recording ends at %s: this is its last sample", localTime(unixTime(ts)))
	}
	return ""
}

// SetAt makes at() mean the last sample at or before the moment; the zero time makes it the newest. It returns the
// sample's time, and a note as Notes has them.
func (r *Recording) SetAt(ctx context.Context, moment time.Time) (time.Time, string, error) {
	if r.hosts != nil {
		return r.setAtOfHosts(ctx, moment)
	}
	if err := r.refreshLimit(ctx); err != nil {
		return time.Time{}, "", err
	}
	ts, note, err := r.lastSample(ctx, r.conn.Conn, tablesOf{}, moment)
	if err != nil {
		return time.Time{}, "", err
	}
	r.at, r.exactly = moment, false
	return unixTime(ts), note, nil
}

// Samples are the times of the samples from one moment to another, as at() means it: a whole second to its end. The zero time is the newest.
func (r *Recording) Samples(ctx context.Context, from, to time.Time) (times []time.Time, err error) {
	if err := r.refreshLimit(ctx); err != nil {
		return nil, err
	}
	last, _, err := r.lastSample(ctx, r.conn.Conn, tablesOf{}, to)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	limit := r.limit
	r.mu.Unlock()
	rows, err := r.conn.Conn.QueryContext(ctx, "SELECT ts FROM main.sample WHERE ts BETWEEN ? AND ? AND id <= ? AND back IS NOT 0 ORDER BY ts", unixSeconds(from), last, limit)
	if err != nil {
		return nil, store.Explain(r.Path, err)
	}
	defer rows.Close()
	for rows.Next() {
		var ts float64
		if err := rows.Scan(&ts); err != nil {
			return nil, err
		}
		times = append(times, unixTime(ts))
	}
	return times, rows.Err()
}

// AtSample makes at() mean the sample of that time, which is one of Samples, for as long as look runs.
func (r *Recording) AtSample(ts time.Time, look func() error) error {
	defer func(at time.Time, exactly bool) { r.at, r.exactly = at, exactly }(r.at, r.exactly)
	r.at, r.exactly = ts, true
	return look()
}

func (r *Recording) refreshLimit(ctx context.Context) error {
	newest := sql.NullInt64{Int64: math.MaxInt64} // nobody writes to a merged file
	if r.hosts != nil {
	} else if err := r.conn.Conn.QueryRowContext(ctx, "SELECT max(id) FROM main.sample").Scan(&newest); err != nil {
		return store.Explain(r.Path, err)
	}
	r.mu.Lock()
	r.limit = newest.Int64
	r.mu.Unlock()
	return nil
}

// SetWindow sets the stretch of time that leaks, connections and the other summing views look at. A zero
// until is the newest sample, a zero since an hour before the end.
func (r *Recording) SetWindow(ctx context.Context, since, until time.Time) error {
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		return fmt.Errorf("the window would end (%s) before it begins (%s): since comes before until",
			localTime(until), localTime(since))
	}
	if time.Until(since) > time.Second {
		return fmt.Errorf("%s is in the future: nothing is recorded there yet", localTime(since))
	}
	r.since, r.until = since, until
	if r.hosts != nil {
		return r.conn.setWindow(ctx, since, until)
	}
	_, err := r.conn.ExecContext(ctx, `DROP VIEW IF EXISTS temp."window"; CREATE TEMP VIEW "window" AS `+store.OfRecording(windowBody(since, until)))
	return err
}

// windowBody is the SELECT of the view window. It is one: with one more in each place where the window stands, growth has too many for SQLite.
func windowBody(since, until time.Time) string {
	begin, end, from := "max(ts) - 3600.0", "max(ts)", " FROM sample"
	if !until.IsZero() {
		end = exact(until)
		begin, from = end+" - 3600.0", ""
	}
	if !since.IsZero() {
		begin = exact(since)
	}
	return fmt.Sprintf("SELECT %s AS since, %s AS until%s", begin, end, from)
}

func exact(t time.Time) string { return strconv.FormatFloat(unixSeconds(t), 'f', 6, 64) }

// Window is the stretch of time that the summing views look at now, and how many samples lie in it.
func (r *Recording) Window(ctx context.Context) (since, until time.Time, samples int, err error) {
	if r.hosts != nil {
		return r.windowOfHosts(ctx)
	}
	var a, z sql.NullFloat64
	err = r.conn.QueryRowContext(ctx, `SELECT since, until, (SELECT count(*) FROM sample WHERE ts BETWEEN since AND until AND back IS NOT 0) FROM "window"`).
		Scan(&a, &z, &samples)
	return unixTime(a.Float64), unixTime(z.Float64), samples, err
}

// Names are the tables, columns and functions that a statement can use, the user's own among them.
func (r *Recording) Names(ctx context.Context) Names {
	n := Names{Tables: map[string][]string{}}
	for _, v := range r.views() {
		for _, c := range v.Columns {
			n.Tables[v.Name] = append(n.Tables[v.Name], c.Name)
		}
	}
	for _, f := range Functions() {
		n.Functions = append(n.Functions, f.Name)
	}
	rows, err := r.conn.Conn.QueryContext(ctx, `SELECT m.name, c.name FROM temp.sqlite_schema m JOIN pragma_table_info(m.name, 'temp') c WHERE m.type IN ('table', 'view')`)
	if err != nil {
		return n // completion does without them
	}
	defer rows.Close()
	own := map[string][]string{}
	for rows.Next() {
		var table, column string
		if rows.Scan(&table, &column) == nil && !isRowsOfView(table) && !strings.Contains(table, "/") && isClean(table) && isClean(column) {
			own[table] = append(own[table], column)
		}
	}
	for table, columns := range own {
		if _, ours := n.Tables[table]; !ours {
			n.Tables[table] = columns
		}
	}
	return n
}

// namespaceName is how people call a network namespace, by its inode: its name under /run/netns, its container or unit, host where the recorder and the
// first process of the machine are, or own where only the recorder is; "": nothing is known.
func (r *Recording) namespaceName(netns int64) string {
	var name, container, unit sql.NullString
	var own, pid sql.NullInt64
	err := r.look.QueryRowContext(context.Background(), `SELECT t.name, t.own, t.container_id, t.unit, p.pid
		  FROM namespace s LEFT JOIN namespace_open o ON o.subject = s.id LEFT JOIN namespace_span q ON q.id = s.last_sample << 32 | s.id
		  JOIN namespace_tuple t ON t.id = coalesce(o.tuple, q.tuple) LEFT JOIN process p ON p.id = t.process
		 WHERE s.netns = ? ORDER BY s.id DESC LIMIT 1`, netns).Scan(&name, &own, &container, &unit, &pid)
	switch {
	case err != nil: // also a recording that has no such table
		return ""
	case name.String != "":
		return name.String
	case container.String != "":
		return container.String[:min(12, len(container.String))]
	case own.Int64 == 1 && pid.Int64 == 1:
		return "host"
	case own.Int64 == 1:
		return "own"
	}
	return unit.String
}

// Extent is what the recording holds: the times of its first and last sample, and how many there are.
func (r *Recording) Extent(ctx context.Context) (first, last time.Time, samples int, err error) {
	var a, z sql.NullFloat64
	counts := "SELECT min(ts), max(ts), count(*) FROM sample WHERE back IS NOT 0"
	if r.hosts != nil {
		counts = "SELECT min(first), max(last), sum(samples) FROM hosts"
	}
	err = r.look.QueryRowContext(ctx, counts).Scan(&a, &z, &samples)
	if err != nil {
		return first, last, 0, store.Explain(r.Path, err)
	}
	return unixTime(a.Float64), unixTime(z.Float64), samples, nil
}

// Span is the times of the first and the last sample; zero where there is none. Unlike Extent it counts nothing, so that it takes as long for a year as
// for a minute.
func (r *Recording) Span(ctx context.Context) (first, last time.Time, err error) {
	var a, z sql.NullFloat64
	ends := "SELECT (SELECT min(ts) FROM sample), (SELECT max(ts) FROM sample)"
	if r.hosts != nil {
		ends = "SELECT min(first), max(last) FROM hosts"
	}
	if err := r.look.QueryRowContext(ctx, ends).Scan(&a, &z); err != nil {
		return first, last, store.Explain(r.Path, err)
	}
	if !a.Valid {
		return first, last, nil
	}
	return unixTime(a.Float64), unixTime(z.Float64), nil
}

// Lost says what is not in any answer, because the file that it was written to last is damaged; "": nothing. SQLite itself says nothing of it.
func (r *Recording) Lost() string { return store.LostOfWAL(r.Path) }

// Recorder is that which writes to the recording now.
type Recorder = store.Recorder

// Recorder finds the recorder that writes to the recording now, and whether there is one.
func (r *Recording) Recorder() (Recorder, bool) { return store.RecorderOf(r.Path) }
