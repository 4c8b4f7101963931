package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Events is the log of the kernel's messages about the subjects of a table between samples. With each sample, the messages
// are compared with what the sample saw, so that the changes in the log lead from each sample to the next. If the log has
// rows of a subject between two samples, they are complete, and the spans are not read.
type Events[ID, V comparable] struct {
	*LogTable
	spans Spans[ID, V]
}

// How a change was learnt.
const (
	byEvent = "event" // the kernel told of it when it happened
	byDump  = "dump"  // a sample saw it
)

// eventsOf declares the log of a table's events; tables.go is the list.
func eventsOf[ID, V comparable](t Spans[ID, V]) Events[ID, V] {
	l := &LogTable{Name: t.Subject + "_event"}
	for _, name := range []string{"change", "learnt", "was", "now"} {
		l.columns = append(l.columns, Column{stored: name, kind: kindText})
	}
	l.columns = append(l.columns, Column{stored: t.Subject, kind: kindRef})
	l.columns = append(l.columns, t.id...)
	late := Column{stored: "late_ms", kind: kindInt}
	var last []Column
	for _, c := range unshared(t.values(), l.Name) {
		if c.added {
			last = append(last, c)
		} else {
			l.columns = append(l.columns, c)
		}
	}
	l.columns = append(l.columns, t.actor...)
	l.columns = append(append(l.columns, late), last...) // as they came: late_ms with format 6
	typed := Events[ID, V]{l, t}
	l.newWriter = func(w *Writer) tableWriter { return newEventWriter(w, typed) }
	logTables = append(logTables, l)
	t.events, t.changes = l, true
	return typed
}

// An EventSet is what is told of the subjects of one set between two samples.
//
// What they were before it reads from the file, where it stands already: of a million routes the few
// that change are looked up. While the Writer is Behind the last sample does not stand there, and nothing can be
// told: say so with Source.Lost.
type EventSet[ID, V comparable] struct {
	set    *Set[ID, V]
	table  *eventWriter[ID, V]
	alike  func(told, seen V) (V, bool)
	told   map[ID]*toldState[V]
	order  []ID // of told
	staged []event[ID, V]
	looks  map[*Subject[ID, V]]*change[ID, V] // that the sample saw changed; nil: not worked out yet
	undo   []undoTold[ID, V]                  // what Try has changed
	trying bool
	err    error
}

type undoTold[ID, V comparable] struct {
	id ID
	s  *toldState[V]
	as toldState[V]
}

// A toldState is what a subject is after the last sample and the messages since.
type toldState[V comparable] struct {
	v     V
	there bool
	row   int     // its last in staged; -1: nothing was told that changed it
	ts    float64 // and when that was
}

// An event is a subject that came, went or changed.
type event[ID, V comparable] struct {
	ts       float64
	late     time.Duration // it may have been earlier by so much
	id       ID
	was, now *V // nil: it was not there
	learnt   string
	subject  Ref   // of the last of a subject: its spans have nothing to add
	by       Actor // where the kernel tells who it was
}

// NewEvents makes the set of what is told of set's subjects. Its rows are those of src, which is read after the source
// of the set. alike reports whether what was told is what a sample saw, and returns it completed with what events do
// not tell; nil: when they are equal.
func NewEvents[ID, V comparable](src *Source, t Events[ID, V], set *Set[ID, V], alike func(told, seen V) (V, bool)) *EventSet[ID, V] {
	if alike == nil {
		alike = func(told, seen V) (V, bool) { return told, told == seen }
	}
	e := &EventSet[ID, V]{
		set: set, table: src.writer.logs[t.LogTable].(*eventWriter[ID, V]), alike: alike, told: map[ID]*toldState[V]{},
	}
	e.table.sets = append(e.table.sets, e)
	src.sets = append(src.sets, e)
	return e
}

// Looked reports whether the source of the set was read in this sample: without that, nothing can be told.
func (e *EventSet[ID, V]) Looked() bool {
	return e.set.source.outcome != Unread && e.set.source.looked()
}

// State returns the values of the subject after the last sample and the events since, and whether it exists.
func (e *EventSet[ID, V]) State(id ID) (V, bool) {
	s := e.state(id)
	return s.v, s.there
}

func (e *EventSet[ID, V]) state(id ID) *toldState[V] {
	s := e.told[id]
	if s == nil {
		s = &toldState[V]{row: -1}
		var err error
		if s.v, s.there, err = e.before(id); err != nil {
			e.err = err
		}
		e.told[id] = s
		e.order = append(e.order, id)
	}
	return s
}

// Tell says that at that time since boot, or earlier by late at most, the subject had the values v, or, when it is not
// there, that it went. What makes no difference is not logged.
//
// What happened after the sample's clock was read, and is seen by the sample, stands after it.
func (e *EventSet[ID, V]) Tell(at, late time.Duration, id ID, v V, there bool) {
	w := e.table.writer
	ts := w.Moment(at)
	e.move(ts, w.lateness(ts, at, late), id, v, there, byEvent, Actor{})
}

// TellBy is Tell for a change of which the kernel says who made it. It is logged also when the values do not show it.
func (e *EventSet[ID, V]) TellBy(at, late time.Duration, id ID, v V, there bool, by Actor) {
	w := e.table.writer
	ts := w.Moment(at)
	e.move(ts, w.lateness(ts, at, late), id, v, there, byEvent, by)
}

// Try tells what tell does, if that leads to what this sample saw of all that it tells of; else it has told nothing.
func (e *EventSet[ID, V]) Try(tell func()) (told bool, err error) {
	staged := len(e.staged)
	e.undo, e.trying = e.undo[:0], true
	tell()
	e.trying, told = false, true
	for _, u := range e.undo {
		seen, there, err := e.seen(u.id)
		if err != nil {
			return false, err
		}
		told = told && e.agrees(u.s, seen, there)
	}
	if !told {
		for i := len(e.undo) - 1; i >= 0; i-- {
			*e.undo[i].s = e.undo[i].as
		}
		clear(e.staged[staged:])
		e.staged = e.staged[:staged]
	}
	e.undo = emptied(e.undo)
	return told, nil
}

func (e *EventSet[ID, V]) agrees(s *toldState[V], seen V, there bool) bool {
	if !s.there || !there {
		return s.there == there
	}
	_, same := e.alike(s.v, seen)
	return same
}

func (e *EventSet[ID, V]) move(ts float64, late time.Duration, id ID, v V, there bool, learnt string, by Actor) {
	s := e.state(id)
	if e.trying {
		e.undo = append(e.undo, undoTold[ID, V]{id, s, *s})
	}
	ts = max(ts, s.ts)
	row := event[ID, V]{ts: ts, late: late, id: id, learnt: learnt, by: by}
	if s.there {
		was := s.v
		row.was = &was
	}
	if there {
		row.now = &v
	}
	same := !s.there && !there
	if s.there && there {
		_, same = e.alike(s.v, v)
		same = same && by == Actor{}
	}
	s.there, s.v = there, v
	if same {
		return
	}
	s.row, s.ts = len(e.staged), ts
	e.staged = append(e.staged, row)
}

// Settle compares what was told with what this sample saw, and adds what was not told.
func (e *EventSet[ID, V]) Settle() error {
	for _, id := range e.order {
		s := e.told[id]
		if s.row < 0 {
			continue
		}
		seen, there, err := e.seen(id)
		if err != nil {
			return err
		}
		switch agree := e.agrees(s, seen, there); {
		case !agree:
			e.move(e.table.writer.now.ts, 0, id, seen, there, byDump, Actor{})
		case there:
			v, _ := e.alike(s.v, seen)
			e.staged[s.row].now = &v
		}
		if subject := e.subject(id); subject != nil {
			e.staged[s.row].subject = subject.Ref()
		}
	}
	return e.err
}

func (e *EventSet[ID, V]) subject(id ID) *Subject[ID, V] {
	return e.set.byKey[e.set.table.hashes.key(id)]
}

// seen is what this sample saw of the subject.
func (e *EventSet[ID, V]) seen(id ID) (v V, there bool, err error) {
	if e.looks == nil {
		e.looks = make(map[*Subject[ID, V]]*change[ID, V], len(e.set.staged))
		for _, c := range e.set.staged {
			e.looks[c.subject] = c
		}
	}
	s := e.subject(id)
	switch {
	case s == nil || s.seen != e.table.writer.attempt && e.set.source.outcome != Kept:
		return v, false, nil
	case e.looks[s] != nil:
		return e.looks[s].val, true, nil
	}
	return e.before(id)
}

// before is what the last sample that knew of the subject saw of it.
func (e *EventSet[ID, V]) before(id ID) (v V, there bool, err error) {
	s := e.subject(id)
	if s == nil {
		return v, false, nil
	}
	return e.table.read(s.number, s.open())
}

func (e *EventSet[ID, V]) begin() {
	clear(e.told)
	e.order, e.staged, e.looks, e.err = e.order[:0], emptied(e.staged), nil, nil
}
func (e *EventSet[ID, V]) drop()     { e.begin() }
func (e *EventSet[ID, V]) rows() int { return len(e.staged) }

func (e *EventSet[ID, V]) retire() {
	e.table.sets = slices.DeleteFunc(e.table.sets, func(o *EventSet[ID, V]) bool { return o == e })
}

// eventWriter writes the events of one table.
type eventWriter[ID, V comparable] struct {
	writer *Writer
	table  Events[ID, V]
	values []Column
	sets   []*EventSet[ID, V]
	rows   []event[ID, V]
	args   []any
	add    *batch

	conn        *sql.Conn // of the statements
	open, ended *sql.Stmt
}

func newEventWriter[ID, V comparable](w *Writer, t Events[ID, V]) *eventWriter[ID, V] {
	values := t.spans.values()
	names := []string{"ts", "sample", "change", "learnt", "was", "now", t.spans.Subject}
	for _, c := range append(slices.Clone(t.spans.id), values...) {
		names = append(names, c.stored)
	}
	for _, c := range t.spans.actor {
		names = append(names, c.stored)
	}
	names = append(names, "late_ms") // the order of rowArgs
	return &eventWriter[ID, V]{
		writer: w, table: t, values: values, add: w.insert(fmt.Sprintf("INSERT INTO %s (%s)", t.Name, strings.Join(names, ", ")), len(names)),
	}
}

// values lists the columns that are not the identity's, as they are stored.
func (t *Table) values() []Column { return append(slices.Clone(t.rare), t.span...) }

// errBehind is for who tells of changes in spite of Behind.
var errBehind = errors.New("the last sample is not in the file yet: what changed since cannot be told")

// read reads what the open span of a subject says, or the one that ended last.
func (t *eventWriter[ID, V]) read(subject uint32, open bool) (v V, there bool, err error) {
	if t.writer.Behind() {
		return v, false, errBehind
	}
	if t.conn != t.writer.file.conn { // the file was opened again, which has closed them
		t.conn, t.open, t.ended = t.writer.file.conn, nil, nil
	}
	ctx := context.Background()
	stmt, name := &t.ended, t.table.spans.Subject
	from := fmt.Sprintf("%[1]s s JOIN %[1]s_span p ON p.id = s.last_sample << 32 | s.id", name)
	where := "s.id"
	if open {
		stmt, from, where = &t.open, name+"_open p", "p.subject"
	}
	if *stmt == nil {
		var cols []string
		for _, c := range t.values {
			cols = append(cols, c.home("p", "t")+"."+c.stored) // none is shared; see eventsOf
		}
		if len(t.table.spans.rare) > 0 {
			from += " JOIN " + name + "_tuple t ON t.id = p.tuple"
		}
		if *stmt, err = t.writer.file.conn.PrepareContext(ctx, "SELECT "+strings.Join(cols, ", ")+" FROM "+from+" WHERE "+where+" = ?"); err != nil {
			return v, false, fmt.Errorf("read %s: %w", t.table.spans.Name, err)
		}
	}
	got, into := make([]any, len(t.values)), make([]any, len(t.values))
	for i := range got {
		into[i] = &got[i]
	}
	if err := (*stmt).QueryRowContext(ctx, subject).Scan(into...); errors.Is(err, sql.ErrNoRows) {
		return v, false, nil // it is new with this sample
	} else if err != nil {
		return v, false, fmt.Errorf("read %s: %w", t.table.spans.Name, err)
	}
	fields := reflect.ValueOf(&v).Elem()
	for i, c := range t.values {
		c.kind.set(fields.Field(c.index), got[i])
	}
	return v, true, nil
}

func (t *eventWriter[ID, V]) load(context.Context, *sql.Conn, int64, bool) error { return nil }

func (t *eventWriter[ID, V]) write(ctx context.Context, m int64) error {
	t.rows = t.rows[:0]
	for _, set := range t.sets {
		t.rows = append(t.rows, set.staged...)
	}
	slices.SortStableFunc(t.rows, func(a, b event[ID, V]) int { return cmp.Compare(a.ts, b.ts) })
	last := 0.0
	for i := range t.rows {
		// Two of the same microsecond become neighbours.
		t.rows[i].ts = max(t.rows[i].ts, last+1e-6)
		last = t.rows[i].ts
	}
	for i := range t.rows {
		if err := t.add.add(ctx, t.rowArgs(&t.rows[i], m)...); err != nil {
			return fmt.Errorf("write %s: %w", t.table.Name, err)
		}
	}
	if err := t.add.flush(ctx); err != nil {
		return fmt.Errorf("write %s: %w", t.table.Name, err)
	}
	return nil
}

func (t *eventWriter[ID, V]) rowArgs(e *event[ID, V], m int64) []any {
	args := append(t.args[:0], e.ts, m)
	change, v := "changed", e.now
	var was, now any
	switch {
	case e.was == nil:
		change = "added"
	case e.now == nil:
		change, v = "removed", e.was
	default:
		was, now = t.differing(e.was, e.now), t.differing(e.now, e.was)
	}
	var subject any
	if e.subject != 0 {
		subject = int64(e.subject)
	}
	args = append(args, change, e.learnt, was, now, subject)
	args = appendArgs(args, reflect.ValueOf(&e.id).Elem(), t.table.spans.id)
	args = appendArgs(args, reflect.ValueOf(v).Elem(), t.values)
	args = appendArgs(args, reflect.ValueOf(&e.by).Elem(), t.table.spans.actor)
	args = append(args, lateArg(e.late))
	t.args = args[:0]
	return args
}

func lateArg(d time.Duration) any {
	if ms, ok := Late(d).Get(); ok {
		return ms
	}
	return nil
}

// differing writes the columns of v that are not as in other; as in the view of changes, those that move by themselves do not count.
func (t *eventWriter[ID, V]) differing(v, other *V) string {
	var words []string
	mine, its := reflect.ValueOf(v).Elem(), reflect.ValueOf(other).Elem()
	for _, c := range t.table.spans.rare {
		a := c.kind.arg(mine.Field(c.index), nil)
		if a == c.kind.arg(its.Field(c.index), nil) {
			continue
		}
		if a == nil {
			a = "NULL"
		}
		words = append(words, fmt.Sprintf("%s=%v", c.Name, a))
	}
	return strings.Join(words, " ")
}

func (t *eventWriter[ID, V]) committed(int64) { t.rows = emptied(t.rows) }

func (t *eventWriter[ID, V]) rolledBack() {
	for _, set := range t.sets {
		set.drop()
	}
	t.rows = emptied(t.rows)
}

func (t *eventWriter[ID, V]) again()  {}
func (t *eventWriter[ID, V]) forget() {}
