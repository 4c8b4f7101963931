package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
)

// tableWriter is what the Writer needs of a table, whatever it holds.
type tableWriter interface {
	// load takes over from the last run: see spanWriter.load.
	load(ctx context.Context, q *sql.Conn, last int64, sameBoot bool) error
	// write turns what the sources reported into rows of sample m.
	write(ctx context.Context, m int64) error
	// committed and rolledBack make the memory say what the file says.
	committed(m int64)
	rolledBack()
}

// spanWriter writes the spans of one table: see the package comment for the scheme.
type spanWriter[ID, V comparable] struct {
	writer *Writer
	table  Spans[ID, V]
	sets   []*Set[ID, V]

	// dormant are the subjects of the last run that have not been seen again yet.
	dormant map[ID]*Subject[ID, V]
	// due[m % K] are the subjects whose span is cut at sample m.
	due [][]*Subject[ID, V]

	tuples                 map[string]int64
	lastSubject, lastTuple int64

	// What becomes of this sample, decided by sortOut.
	changes []change[ID, V]   // spans that begin
	ends    []*Subject[ID, V] // spans that end without another
	gone    []*Subject[ID, V] // subjects known not to be there any more

	closed []*Subject[ID, V]
	key    []byte
	args   []any

	addSubject, addTuple, addSpan, addOpen *batch
	dropOpen, setLast, setGone, setBack    *batch
}

func newSpanWriter[ID, V comparable](w *Writer, t Spans[ID, V]) *spanWriter[ID, V] {
	spanColumns := len(t.span)
	if len(t.rare) > 0 {
		spanColumns++
	}
	name := t.Subject
	return &spanWriter[ID, V]{
		writer: w, table: t,
		dormant: map[ID]*Subject[ID, V]{},
		due:     make([][]*Subject[ID, V], t.K),
		tuples:  map[string]int64{},

		addSubject: w.insert("INSERT INTO "+name, 4+len(t.id)),
		addTuple:   w.insert("INSERT INTO "+name+"_tuple", 1+len(t.rare)),
		addSpan:    w.insert("INSERT INTO "+name+"_span", 2+spanColumns),
		addOpen:    w.insert("REPLACE INTO "+name+"_open", 2+spanColumns),
		dropOpen:   w.statement("DELETE FROM " + name + "_open WHERE subject = ?"),
		setLast:    w.statement("UPDATE " + name + " SET last_sample = ? WHERE id = ?"),
		setGone:    w.statement("UPDATE " + name + " SET gone_sample = ? WHERE id = ?"),
		setBack:    w.statement("UPDATE " + name + " SET last_sample = NULL WHERE id = ?"),
	}
}

// subject returns the one of the last run, or a new one.
func (t *spanWriter[ID, V]) subject(id ID) *Subject[ID, V] {
	if s := t.dormant[id]; s != nil {
		delete(t.dormant, id)
		return s
	}
	t.lastSubject++
	return &Subject[ID, V]{number: t.lastSubject, id: id, since: t.writer.now.ts}
}

// load ends the spans that the last run left open, at its last sample. In the same boot
// its subjects stay what they are when they are seen again.
func (t *spanWriter[ID, V]) load(ctx context.Context, q *sql.Conn, last int64, sameBoot bool) error {
	name, values := t.table.Subject, ""
	if err := lastID(ctx, q, name, &t.lastSubject); err != nil {
		return err
	}
	if len(t.table.rare) > 0 {
		values = ", tuple"
		if err := lastID(ctx, q, name+"_tuple", &t.lastTuple); err != nil {
			return err
		}
	}
	if sameBoot {
		if err := t.loadDormant(ctx, q); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	for _, c := range t.table.span {
		values += ", " + c.stored
	}
	for _, stmt := range []string{
		fmt.Sprintf("INSERT INTO %[1]s_span SELECT %[2]d << 32 | subject, %[2]d - from_sample%[3]s FROM %[1]s_open ORDER BY subject",
			name, last, values),
		fmt.Sprintf("UPDATE %[1]s SET last_sample = %[2]d WHERE id IN (SELECT subject FROM %[1]s_open)", name, last),
		fmt.Sprintf("DELETE FROM %s_open", name),
	} {
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("end the open spans of %s: %w", t.table.Name, err)
		}
	}
	return nil
}

func lastID(ctx context.Context, q *sql.Conn, table string, to *int64) error {
	if err := q.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(to); err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	return nil
}

func (t *spanWriter[ID, V]) loadDormant(ctx context.Context, q *sql.Conn) error {
	var cols strings.Builder
	for _, c := range t.table.id {
		cols.WriteString(", s." + c.stored)
	}
	rows, err := q.QueryContext(ctx, fmt.Sprintf(
		"SELECT s.id, m.ts%[1]s FROM %[2]s_open o JOIN %[2]s s ON s.id = o.subject JOIN sample m ON m.id = s.first_sample",
		cols.String(), t.table.Subject))
	if err != nil {
		return err
	}
	defer rows.Close()
	got := make([]any, 2+len(t.table.id))
	into := make([]any, len(got))
	for i := range got {
		into[i] = &got[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		s := &Subject[ID, V]{number: got[0].(int64), since: got[1].(float64), written: true}
		v := reflect.ValueOf(&s.id).Elem()
		for i, c := range t.table.id {
			c.kind.set(v.Field(c.index), got[2+i])
		}
		t.dormant[s.id] = s
	}
	return rows.Err()
}

func (t *spanWriter[ID, V]) write(ctx context.Context, m int64) error {
	t.sortOut(m)
	for _, step := range []func(context.Context, int64) error{
		t.writeSubjects, t.writeTuples, t.writeClosed, t.writeOpen,
	} {
		if err := step(ctx, m); err != nil {
			return fmt.Errorf("write %s: %w", t.table.Name, err)
		}
	}
	return nil
}

// sortOut decides for every subject what becomes of its span in sample m.
func (t *spanWriter[ID, V]) sortOut(m int64) {
	t.changes, t.ends, t.gone = t.changes[:0], t.ends[:0], t.gone[:0]
	everyoneLooked := true
	for _, set := range t.sets {
		switch set.source.outcome {
		case Kept:
		case Read, Incomplete:
			t.changes = append(t.changes, set.staged...)
			t.unseen(set)
		default:
			everyoneLooked = false
			for _, s := range set.byID {
				t.end(s)
			}
		}
	}
	if everyoneLooked {
		for _, s := range t.dormant {
			t.gone = append(t.gone, s)
		}
	}
	t.cut(m)
	byNumber := func(a, b *Subject[ID, V]) int { return cmp.Compare(a.number, b.number) }
	slices.SortFunc(t.changes, func(a, b change[ID, V]) int { return byNumber(a.subject, b.subject) })
	t.closed = append(t.closed[:0], t.ends...)
	for _, c := range t.changes {
		if c.subject.from != 0 {
			t.closed = append(t.closed, c.subject)
		}
	}
	slices.SortFunc(t.closed, byNumber)
}

func (t *spanWriter[ID, V]) end(s *Subject[ID, V]) {
	if s.from != 0 {
		s.ending = true
		t.ends = append(t.ends, s)
	}
}

// unseen finds the subjects that a complete reading did not show any more.
func (t *spanWriter[ID, V]) unseen(set *Set[ID, V]) {
	if set.rows() == len(set.byID) {
		return
	}
	for _, s := range set.byID {
		if s.seen != t.writer.attempt {
			t.gone = append(t.gone, s)
			t.end(s)
		}
	}
}

// cut begins a new span for the subjects whose span reaches its full length.
func (t *spanWriter[ID, V]) cut(m int64) {
	bucket := t.due[m%t.table.K]
	live := bucket[:0]
	for _, s := range bucket {
		if s.from == 0 {
			s.queued = false
			continue
		}
		live = append(live, s)
		if !s.staged && !s.ending {
			t.changes = append(t.changes, change[ID, V]{subject: s, val: s.val})
		}
	}
	clear(bucket[len(live):])
	t.due[m%t.table.K] = live
}

func (t *spanWriter[ID, V]) writeSubjects(ctx context.Context, m int64) error {
	for i := range t.changes {
		s := t.changes[i].subject
		switch {
		case !s.written:
			args := append(t.args[:0], s.number, m, nil, nil)
			if err := t.addSubject.add(ctx, appendArgs(args, reflect.ValueOf(&s.id).Elem(), t.table.id)); err != nil {
				return err
			}
		case s.from == 0:
			if err := t.setBack.add(ctx, append(t.args[:0], s.number)); err != nil {
				return err
			}
		}
	}
	if err := t.addSubject.flush(ctx); err != nil {
		return err
	}
	for _, s := range t.ends {
		if err := t.setLast.add(ctx, append(t.args[:0], m-1, s.number)); err != nil {
			return err
		}
	}
	for _, s := range t.gone {
		if err := t.setGone.add(ctx, append(t.args[:0], m, s.number)); err != nil {
			return err
		}
	}
	return nil
}

// writeTuples interns the rare columns of the spans that begin.
func (t *spanWriter[ID, V]) writeTuples(ctx context.Context, _ int64) error {
	if len(t.table.rare) == 0 {
		return nil
	}
	// A tuple that is forgotten and comes again is written again: harmless, and it
	// keeps the memory within what is in use.
	inUse := 0
	for _, set := range t.sets {
		inUse += set.open
	}
	if len(t.tuples) > 2*inUse+4096 {
		clear(t.tuples)
	}
	for i := range t.changes {
		c := &t.changes[i]
		v := reflect.ValueOf(&c.val).Elem()
		t.key = appendKey(t.key[:0], v, t.table.rare)
		number, known := t.tuples[string(t.key)]
		if !known {
			t.lastTuple++
			number = t.lastTuple
			t.tuples[string(t.key)] = number
			if err := t.addTuple.add(ctx, appendArgs(append(t.args[:0], number), v, t.table.rare)); err != nil {
				return err
			}
		}
		c.tuple = number
	}
	return t.addTuple.flush(ctx)
}

// writeClosed appends the spans that ended with the sample before m, in the order of
// the primary key.
func (t *spanWriter[ID, V]) writeClosed(ctx context.Context, m int64) error {
	for _, s := range t.closed {
		args := t.spanArgs(append(t.args[:0], spanID(m-1, s.number), m-1-s.from), s.tuple, &s.val)
		if err := t.addSpan.add(ctx, args); err != nil {
			return err
		}
	}
	return t.addSpan.flush(ctx)
}

// spanID packs the key of a closed span, its last sample and its subject, into the one
// integer that SQLite keeps rows in order of. As a table WITHOUT ROWID keyed by the pair it
// filled its pages to 88 % when appended to, and compared records instead of numbers.
func spanID(to, subject int64) int64 { return to<<32 | subject }

func (t *spanWriter[ID, V]) writeOpen(ctx context.Context, m int64) error {
	for _, s := range t.ends {
		if err := t.dropOpen.add(ctx, append(t.args[:0], s.number)); err != nil {
			return err
		}
	}
	for i := range t.changes {
		c := &t.changes[i]
		args := t.spanArgs(append(t.args[:0], c.subject.number, m), c.tuple, &c.val)
		if err := t.addOpen.add(ctx, args); err != nil {
			return err
		}
	}
	return t.addOpen.flush(ctx)
}

func (t *spanWriter[ID, V]) spanArgs(args []any, tuple int64, v *V) []any {
	if len(t.table.rare) > 0 {
		args = append(args, tuple)
	}
	args = appendArgs(args, reflect.ValueOf(v).Elem(), t.table.span)
	t.args = args[:0]
	return args
}

func (t *spanWriter[ID, V]) committed(m int64) {
	for _, s := range t.ends {
		s.from, s.ending = 0, false
		s.set.open--
	}
	for _, s := range t.gone {
		s.dead = true
		if s.set != nil {
			delete(s.set.byID, s.id)
		} else {
			delete(t.dormant, s.id)
		}
	}
	for i := range t.changes {
		c := &t.changes[i]
		s := c.subject
		if s.from == 0 {
			s.set.open++
		}
		s.from, s.val, s.tuple = m, c.val, c.tuple
		s.written, s.staged, s.stale = true, false, false
		if !s.queued {
			s.queued = true
			bucket := (t.table.K - s.number%t.table.K) % t.table.K
			t.due[bucket] = append(t.due[bucket], s)
		}
	}
	t.release()
}

// release gives back what a sample far larger than the present one needed: the first sample of
// all, in which everything is new.
func (t *spanWriter[ID, V]) release() {
	const small = 1024
	if cap(t.changes) > small && cap(t.changes) > 4*len(t.changes) {
		t.changes, t.closed = nil, nil
	}
	for _, set := range t.sets {
		if cap(set.staged) > small && cap(set.staged) > 4*len(set.staged) {
			set.staged = nil
		}
	}
}

func (t *spanWriter[ID, V]) rolledBack() {
	for _, s := range t.ends {
		s.ending = false
	}
	for _, set := range t.sets {
		set.drop()
	}
	for _, b := range []*batch{t.addSubject, t.addTuple, t.addSpan, t.addOpen} {
		b.forget()
	}
	clear(t.tuples) // some of them were never written
}

// appendArgs appends the columns of the struct v as the database driver takes them.
func appendArgs(args []any, v reflect.Value, cols []Column) []any {
	for i := range cols {
		args = append(args, cols[i].kind.arg(v.Field(cols[i].index)))
	}
	return args
}

// appendKey appends the columns of the struct v as bytes that are equal only where the
// columns are.
func appendKey(key []byte, v reflect.Value, cols []Column) []byte {
	for i := range cols {
		f := v.Field(cols[i].index)
		switch cols[i].kind {
		case kindText:
			key = binary.AppendUvarint(key, uint64(f.Len()))
			key = append(key, f.String()...)
		case kindTime:
			key = binary.LittleEndian.AppendUint64(key, math.Float64bits(f.Float()))
		case kindInt:
			key = binary.AppendVarint(key, f.Field(0).Int())
		case kindRef:
			key = binary.AppendVarint(key, f.Int())
		}
	}
	return key
}
