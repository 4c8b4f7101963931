package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// A LogTable is the declaration of a log: rows that are added once and never change, in the order of their
// time, which is exact where a sample's is only that of the next look.
type LogTable struct {
	Name string // of the table: "close"

	columns   []Column
	rare      []Column // of these, those that may stand in a tuple; none: the log has no tuples
	newWriter func(*Writer) tableWriter
}

// Log is a LogTable with the Go type of its rows.
type Log[V any] struct{ *LogTable }

var logTables []*LogTable

// defineLog declares a log; tables.go is the list.
func defineLog[V any](name string) Log[V] {
	t := &LogTable{Name: name, columns: unshared(columnsOf(reflect.TypeFor[V](), name), name)}
	typed := Log[V]{t}
	t.newWriter = func(w *Writer) tableWriter { return newLogWriter(w, typed) }
	logTables = append(logTables, t)
	return typed
}

// LogTables lists every log.
func LogTables() []*LogTable { return logTables }

// Schema is what a migration must make of the log. Its key is the time, so that a stretch of time is a range
// of it, and the sample that brought the row, which keeps rows apart when a clock was set back.
func (t *LogTable) Schema() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (\n    %-20s REAL NOT NULL,\n    %-20s INTEGER NOT NULL", t.Name, "ts", "sample")
	columns := func(added bool) {
		for _, c := range t.columns {
			if c.added == added {
				fmt.Fprintf(&b, ",\n    %-20s %s", c.stored, c.kind.sqlType())
			}
		}
	}
	columns(false)
	if len(t.rare) > 0 {
		fmt.Fprintf(&b, ",\n    %-20s INTEGER", "tuple")
	}
	columns(true)
	b.WriteString(",\n    PRIMARY KEY (ts, sample)\n) STRICT, WITHOUT ROWID")
	return b.String()
}

// A LogSet is what one source adds to a log.
type LogSet[V any] struct {
	table  *logWriter[V]
	staged []logRow[V]
}

type logRow[V any] struct {
	ts  float64
	row V
}

// NewLog makes the set of rows that src adds to a log. They are written with the sample; should that fail, they
// are lost with it.
func NewLog[V any](src *Source, l Log[V]) *LogSet[V] {
	set := &LogSet[V]{table: src.writer.logs[l.LogTable].(*logWriter[V])}
	set.table.sets = append(set.table.sets, set)
	src.sets = append(src.sets, set)
	return set
}

// Add adds a row for what happened at that time since boot (CLOCK_BOOTTIME). It returns its ts.
func (set *LogSet[V]) Add(at time.Duration, row V) float64 {
	w := set.table.writer
	ts := w.Moment(at)
	if c := set.table.late; c != nil {
		late := reflect.ValueOf(&row).Elem().Field(c.index).Addr().Interface().(*Int)
		if more := Late(w.lateness(ts, at, 0)); more.Or(0) > late.Or(0) {
			*late = more
		}
	}
	set.staged = append(set.staged, logRow[V]{ts, row})
	return ts
}

// Moment is the ts of what happened at that time since boot: after the last sample, and as long before this one as
// the clock since boot says, so that it stands in its place among them even if the wall clock was set back meanwhile.
func (w *Writer) Moment(at time.Duration) float64 {
	ts := w.now.ts - seconds(w.now.clock.Uptime-at)
	return max(ts, w.last.ts)
}

// Exactly is how late the time of an event may be that counts as known.
const Exactly = time.Millisecond

// lateness is by how much ts may be late for what happened at that time since boot, or earlier by late. Where the wall clock was
// set back since the last sample there is no telling.
func (w *Writer) lateness(ts float64, at, late time.Duration) time.Duration {
	if w.now.steppedBack || ts > w.now.ts-seconds(w.now.clock.Uptime-at)+1e-3 {
		late = max(late, time.Duration(w.sinceLast()*float64(time.Second)))
	}
	return late
}

// Late is a lateness as logs have it: whole milliseconds, rounded up, and NULL where the moment counts as known.
func Late(d time.Duration) Int {
	if d <= Exactly {
		return Int{}
	}
	return Of(int64((d + time.Millisecond - 1) / time.Millisecond))
}

func (set *LogSet[V]) begin()    { set.staged = set.staged[:0] }
func (set *LogSet[V]) drop()     { set.begin() }
func (set *LogSet[V]) rows() int { return len(set.staged) }

// logWriter writes the rows of one log.
type logWriter[V any] struct {
	writer *Writer
	table  Log[V]
	sets   []*LogSet[V]
	rows   []logRow[V]
	args   []any
	add    *batch
	late   *Column    // how late ts may be; nil: the log does not say
	tuples *tuples[V] // nil: the log has none
}

func newLogWriter[V any](w *Writer, t Log[V]) *logWriter[V] {
	names := []string{"ts", "sample"}
	for _, c := range t.columns {
		names = append(names, c.stored)
	}
	if len(t.rare) > 0 {
		names = append(names, "tuple")
	}
	l := &logWriter[V]{writer: w, table: t, add: w.insert(fmt.Sprintf("INSERT INTO %s (%s)", t.Name, strings.Join(names, ", ")), len(names))}
	if i := slices.IndexFunc(t.columns, func(c Column) bool { return c.stored == "late_ms" }); i >= 0 {
		l.late = &t.columns[i]
	}
	return l
}

func (t *logWriter[V]) load(ctx context.Context, q *sql.Conn, _ int64, _ bool) error {
	if t.tuples == nil {
		return nil
	}
	return t.tuples.load(ctx, q)
}

func (t *logWriter[V]) write(ctx context.Context, m int64) error {
	t.rows = t.rows[:0]
	for _, set := range t.sets {
		t.rows = append(t.rows, set.staged...)
	}
	slices.SortStableFunc(t.rows, func(a, b logRow[V]) int { return cmp.Compare(a.ts, b.ts) })
	last := 0.0
	for i := range t.rows {
		// Two of the same microsecond become neighbours.
		last = max(t.rows[i].ts, last+1e-6)
		args := append(t.args[:0], last, m)
		var err error
		if t.tuples != nil {
			args, err = t.tuples.appendRow(ctx, args, &t.rows[i].row, m)
		} else {
			args = appendArgs(args, reflect.ValueOf(&t.rows[i].row).Elem(), t.table.columns)
		}
		t.args = args[:0]
		if err == nil {
			err = t.add.add(ctx, args...)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", t.table.Name, err)
		}
	}
	if t.tuples != nil {
		if err := t.tuples.add.flush(ctx); err != nil {
			return fmt.Errorf("write %s: %w", t.table.Name, err)
		}
	}
	if err := t.add.flush(ctx); err != nil {
		return fmt.Errorf("write %s: %w", t.table.Name, err)
	}
	return nil
}

func (t *logWriter[V]) committed(m int64) {
	const small = 4096
	if cap(t.rows) > small {
		t.rows = nil
	}
	if t.tuples != nil {
		t.tuples.committed(m)
	}
}

func (t *logWriter[V]) rolledBack() {
	for _, set := range t.sets {
		set.drop()
	}
	t.again()
}

func (t *logWriter[V]) again() {
	if t.tuples != nil {
		t.tuples.again()
	}
}

func (t *logWriter[V]) forget() {
	if t.tuples != nil {
		t.tuples.forget()
	}
}
