package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"maps"
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
	// committed and rolledBack bring the memory in line with the file.
	committed(m int64)
	rolledBack()
	// again undoes write, so that it can be repeated with the same outcome after an error.
	again()
	// forget resets the state to what it is right after start-up.
	forget()
}

// spanWriter writes the spans of one table: see the package comment for the scheme.
type spanWriter[ID, V comparable] struct {
	writer *Writer
	table  Spans[ID, V]
	sets   []*Set[ID, V]
	hashes hashes[ID, V]

	// ofLastRun are the subjects of the last run that have not been seen again yet. names are their identities, in a table
	// that rests.
	ofLastRun map[key]leftSubject[ID, V]
	names     map[key]ID
	// cutQueue has the subjects at the places at which their spans are looked at; see cut.
	cutQueue [][]*Subject[ID, V]

	tuples      map[key]int64
	lastTuple   int64
	tuplesKept  int64 // the last tuple that is in the file, or is going to be
	lastSubject uint32

	// What becomes of this sample, decided by sortOut.
	changes []*change[ID, V]     // spans that begin with new values
	cuts    []*Subject[ID, V]    // spans that end, and go on as another
	ends    []*Subject[ID, V]    // spans that end without another
	closed  []*Subject[ID, V]    // all subjects whose span ends
	lost    []*Subject[ID, V]    // the part of ends that may still be there: the source was not read, or they rest
	gone    []goneSubject[ID, V] // subjects known not to be there any more

	tuple []byte
	row   []any

	addSubject, addTuple, addSpan, addOpen       *batch
	cutOpen, dropOpen, setLast, setGone, setBack *batch
}

// leftSubject is a subject that the last run left, and the network namespace that its identity names, if it names one.
type leftSubject[ID, V comparable] struct {
	*Subject[ID, V]
	netns Int
}

// goneSubject is a subject that is gone, and its key in the set.
type goneSubject[ID, V comparable] struct {
	subject *Subject[ID, V]
	key     key
}

func newSpanWriter[ID, V comparable](w *Writer, t Spans[ID, V]) *spanWriter[ID, V] {
	spanColumns := len(inFile(t.span))
	if len(t.rare) > 0 {
		spanColumns++
	}
	name := t.Subject
	return &spanWriter[ID, V]{
		writer: w, table: t,
		hashes:   newHashes[ID, V](),
		cutQueue: make([][]*Subject[ID, V], t.K),
		tuples:   map[key]int64{},

		addSubject: w.insert(fmt.Sprintf("INSERT INTO %s (id, first_sample, last_sample, gone_sample%s)", name, stored(t.id)), 4+len(t.id)),
		addTuple:   w.insert("INSERT INTO "+name+"_tuple", 1+len(t.rare)),
		// Of the spans that end, only their subjects are in memory. What they said is in the file.
		addSpan: w.rows("WITH ended (subject, last) AS (VALUES ", 2, fmt.Sprintf(
			") INSERT INTO %[1]s_span SELECT last << 32 | subject, last - from_sample%[2]s FROM ended CROSS JOIN %[1]s_open USING (subject)",
			name, t.spanColumns())),
		addOpen:  w.insert("REPLACE INTO "+name+"_open", 2+spanColumns),
		cutOpen:  w.each("UPDATE " + name + "_open SET from_sample = ? WHERE subject"),
		dropOpen: w.each("DELETE FROM " + name + "_open WHERE subject"),
		setLast:  w.each("UPDATE " + name + " SET last_sample = ? WHERE id"),
		// The span of most that are gone ends with this sample. Others have their last sample already.
		setGone: w.each("UPDATE " + name + " SET last_sample = coalesce(last_sample, ?), gone_sample = ? WHERE id"),
		setBack: w.each("UPDATE " + name + " SET last_sample = NULL WHERE id"),
	}
}

// subject makes a new one.
func (t *spanWriter[ID, V]) subject() *Subject[ID, V] {
	t.lastSubject++
	return &Subject[ID, V]{number: t.lastSubject, since: uint32(t.writer.now.ts)}
}

// adopt returns the subject of the last run, which is then seen again; nil when the last run did not know it.
func (t *spanWriter[ID, V]) adopt(k key) *Subject[ID, V] {
	s := t.ofLastRun[k].Subject
	t.seenAgain(k)
	return s
}

// seenAgain takes a subject out of the unseen ones.
func (t *spanWriter[ID, V]) seenAgain(k key) {
	delete(t.ofLastRun, k)
	delete(t.names, k)
	if len(t.ofLastRun) == 0 {
		t.ofLastRun, t.names = nil, nil
	}
}

// load ends the spans that the last run left open, at its last sample. In the same boot
// its subjects stay what they are when they are seen again.
func (t *spanWriter[ID, V]) load(ctx context.Context, q *sql.Conn, last int64, sameBoot bool) error {
	name := t.table.Subject
	// Where this Writer starts over, its sources have heard of higher numbers: they are never given again.
	if err := lastID(ctx, q, name, &t.lastSubject); err != nil {
		return err
	}
	if len(t.table.rare) > 0 {
		if err := lastID(ctx, q, name+"_tuple", &t.lastTuple); err != nil {
			return err
		}
	}
	t.tuplesKept = t.lastTuple
	if sameBoot {
		if err := t.loadLastRun(ctx, q); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	for _, stmt := range []string{
		fmt.Sprintf("INSERT INTO %[1]s_span SELECT %[2]d << 32 | subject, %[2]d - from_sample%[3]s FROM %[1]s_open ORDER BY subject",
			name, last, t.table.spanColumns()),
		fmt.Sprintf("UPDATE %[1]s SET last_sample = %[2]d WHERE id IN (SELECT subject FROM %[1]s_open)", name, last),
		fmt.Sprintf("DELETE FROM %s_open", name),
	} {
		if _, err := q.ExecContext(ctx, stmt); err != nil {
			return fmt.Errorf("end the open spans of %s: %w", t.table.Name, err)
		}
	}
	return nil
}

// spanColumns lists what a span says, as columns that follow others.
func (t *Table) spanColumns() string {
	if len(t.rare) > 0 {
		return ", tuple" + stored(t.span)
	}
	return stored(t.span)
}

// stored lists the columns as they are stored, to follow others.
func stored(cols []Column) string {
	var b strings.Builder
	for _, c := range inFile(cols) {
		b.WriteString(", " + c.stored)
	}
	return b.String()
}

func lastID[N int64 | uint32](ctx context.Context, q *sql.Conn, table string, to *N) error {
	var last N
	if err := q.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM "+table).Scan(&last); err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	*to = max(*to, last)
	return nil
}

func (t *spanWriter[ID, V]) loadLastRun(ctx context.Context, q *sql.Conn) error {
	t.ofLastRun = map[key]leftSubject[ID, V]{}
	columns := "SELECT s.id, coalesce(s.since, (SELECT ts FROM sample WHERE id = s.first_sample), 0.0)" + strings.ReplaceAll(stored(t.table.id), ", ", ", s.")
	// What a source showed that failed in the last sample has no open span, and is not known to be gone. There is no index of it: it is looked for where
	// it would else be said to be new.
	indexed := ""
	lost := t.table.changes && t.writer.someUnread
	if t.table.rests {
		t.names = map[key]ID{}
		indexed, lost = fmt.Sprintf(" INDEXED BY %s_resting", t.table.Subject), true
	}
	var from []string
	if lost {
		from = append(from, fmt.Sprintf("%s s%s WHERE s.gone_sample IS NULL AND s.last_sample >= %d ORDER BY s.id", t.table.Subject, indexed, t.writer.bootSample))
	}
	// Of two of one name, as recorders before format 6 wrote them, the newer one goes on.
	from = append(from, fmt.Sprintf("%[1]s_open o JOIN %[1]s s ON s.id = o.subject", t.table.Subject))
	for _, from := range from {
		if err := t.addOfLastRun(ctx, q, columns+" FROM "+from); err != nil {
			return err
		}
	}
	return nil
}

// addOfLastRun reads unseen subjects: number, since and identity.
func (t *spanWriter[ID, V]) addOfLastRun(ctx context.Context, q *sql.Conn, question string) error {
	rows, err := q.QueryContext(ctx, question)
	if err != nil {
		return err
	}
	defer rows.Close()
	netns := slices.IndexFunc(t.table.id, func(c Column) bool { return c.stored == "netns" })
	got := make([]any, 2+len(t.table.id))
	into := make([]any, len(got))
	for i := range got {
		into[i] = &got[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		var id ID
		v := reflect.ValueOf(&id).Elem()
		for i, c := range t.table.id {
			c.kind.set(v.Field(c.index), got[2+i])
		}
		k := t.hashes.key(id)
		left := leftSubject[ID, V]{Subject: &Subject[ID, V]{number: uint32(got[0].(int64)), since: uint32(got[1].(float64))}}
		if netns >= 0 {
			t.table.id[netns].kind.set(reflect.ValueOf(&left.netns).Elem(), got[2+netns])
		}
		t.ofLastRun[k] = left
		if t.names != nil {
			t.names[k] = id
		}
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
	for _, set := range t.sets {
		switch set.source.outcome {
		case Kept:
			set.drop() // usually nothing: there was nothing new to say
		case Read, Incomplete:
			t.changes = append(t.changes, set.staged...)
			for _, s := range set.paused {
				t.lose(s)
			}
			t.unseen(set)
		default:
			for _, s := range set.byKey {
				t.lose(s)
			}
		}
	}
	t.unseenOfLastRun()
	t.cut(m)
	// In the order of the rows, writing them finds each where the last one was.
	byNumber := func(a, b *Subject[ID, V]) int { return cmp.Compare(a.number, b.number) }
	slices.SortFunc(t.ends, byNumber)
	slices.SortFunc(t.gone, func(a, b goneSubject[ID, V]) int { return byNumber(a.subject, b.subject) })
	slices.SortFunc(t.changes, func(a, b *change[ID, V]) int { return byNumber(a.subject, b.subject) })
	t.closed = append(append(t.closed, t.ends...), t.cuts...)
	for _, c := range t.changes {
		if c.subject.open() {
			t.closed = append(t.closed, c.subject)
		}
	}
	slices.SortFunc(t.closed, byNumber)
}

// unseenOfLastRun finds the subjects of the last run that none of the sets has shown which could: those of their network namespace, where their identity
// names one. Each set has been read since the run began, not all of them in this sample.
func (t *spanWriter[ID, V]) unseenOfLastRun() {
	if len(t.ofLastRun) == 0 {
		return
	}
	all, news := true, len(t.sets) == 0
	within := map[Int]bool{} // all sets of the namespace have been read
	for _, set := range t.sets {
		now := set.source.outcome == Read || set.source.outcome == Incomplete
		news = news || now && !set.read
		before, some := within[set.source.netns]
		within[set.source.netns] = (now || set.read) && (before || !some)
		all = all && (now || set.read)
	}
	for k, s := range t.ofLastRun {
		if all || news && s.netns != (Int{}) && within[s.netns] {
			t.gone = append(t.gone, goneSubject[ID, V]{s.Subject, k})
		}
	}
}

// end ends the span of the subject, and reports whether it had one.
func (t *spanWriter[ID, V]) end(s *Subject[ID, V]) bool {
	if s.open() {
		s.ending = true
		t.ends = append(t.ends, s)
	}
	return s.open()
}

// lose ends the span of a subject that is not known to be gone.
func (t *spanWriter[ID, V]) lose(s *Subject[ID, V]) {
	if t.end(s) {
		t.lost = append(t.lost, s)
	}
}

// unseen finds the subjects that a complete reading did not show any more.
func (t *spanWriter[ID, V]) unseen(set *Set[ID, V]) {
	if set.rows()+set.resting == len(set.byKey) {
		return
	}
	for k, s := range set.byKey {
		if s.seen != t.writer.attempt {
			t.gone = append(t.gone, goneSubject[ID, V]{s, k})
			t.end(s)
		}
	}
}

func (t *spanWriter[ID, V]) writeSubjects(ctx context.Context, m int64) error {
	first := any(m) // boxed once
	for _, c := range t.changes {
		s := c.subject
		switch {
		case c.id != nil:
			t.row = append(t.row[:0], s.row(), first, nil, nil)
			t.row = appendArgs(t.row, reflect.ValueOf(c.id).Elem(), t.table.id)
			if err := t.addSubject.add(ctx, t.row...); err != nil {
				return err
			}
		case !s.open():
			if err := t.setBack.add(ctx, s.row()); err != nil {
				return err
			}
		}
	}
	if err := t.addSubject.flush(ctx); err != nil {
		return err
	}
	if err := t.setBack.flush(ctx); err != nil {
		return err
	}
	if err := onEach(ctx, t.setLast.with(m-1), t.lost); err != nil {
		return err
	}
	t.setGone.with(m-1, m)
	for _, g := range t.gone {
		if err := t.setGone.add(ctx, g.subject.row()); err != nil {
			return err
		}
	}
	return t.setGone.flush(ctx)
}

// onEach runs b for the subjects.
func onEach[ID, V comparable](ctx context.Context, b *batch, subjects []*Subject[ID, V]) error {
	for _, s := range subjects {
		if err := b.add(ctx, s.row()); err != nil {
			return err
		}
	}
	return b.flush(ctx)
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
	for _, c := range t.changes {
		v := reflect.ValueOf(&c.val).Elem()
		t.tuple = appendTuple(t.tuple[:0], v, t.table.rare)
		k := t.hashes.bytes(t.tuple)
		number, known := t.tuples[k]
		if !known {
			t.lastTuple++
			number = t.lastTuple
			t.tuples[k] = number
			t.row = appendArgs(append(t.row[:0], number), v, t.table.rare)
			if err := t.addTuple.add(ctx, t.row...); err != nil {
				return err
			}
		}
		c.tuple = number
	}
	return t.addTuple.flush(ctx)
}

// writeClosed appends the spans that ended with the sample before m, in the order of
// the primary key: their last sample and subject, packed into the one integer that SQLite
// keeps rows in order of. As a table WITHOUT ROWID keyed by the pair it filled its pages to
// 88 % when appended to, and compared records instead of numbers.
func (t *spanWriter[ID, V]) writeClosed(ctx context.Context, m int64) error {
	last := any(m - 1)
	for _, s := range t.closed {
		if err := t.addSpan.add(ctx, s.row(), last); err != nil {
			return err
		}
	}
	return t.addSpan.flush(ctx)
}

func (t *spanWriter[ID, V]) writeOpen(ctx context.Context, m int64) error {
	if err := onEach(ctx, t.dropOpen, t.ends); err != nil {
		return err
	}
	if err := onEach(ctx, t.cutOpen.with(m), t.cuts); err != nil {
		return err
	}
	from := any(m)
	for _, c := range t.changes {
		t.row = append(t.row[:0], c.subject.row(), from)
		if len(t.table.rare) > 0 {
			t.row = append(t.row, c.tuple)
		}
		t.row = appendArgs(t.row, reflect.ValueOf(&c.val).Elem(), t.table.span)
		if err := t.addOpen.add(ctx, t.row...); err != nil {
			return err
		}
	}
	return t.addOpen.flush(ctx)
}

func (t *spanWriter[ID, V]) committed(m int64) {
	t.age(m)
	for _, s := range t.ends {
		s.span, s.ending = noSpan, false
		s.set.open--
	}
	for _, g := range t.gone {
		if g.subject.set == nil {
			t.seenAgain(g.key)
			continue
		}
		delete(g.subject.set.byKey, g.key)
		g.subject.set = nil
	}
	for _, c := range t.changes {
		s := c.subject
		if !s.open() {
			s.set.open++
		}
		s.span, s.values = youngSpan, c.values
		s.ending, s.stale = false, false
		if !s.queued {
			s.queued = true
			k := t.table.K
			place := (k - s.row()/cutTogether%k) % k
			t.cutQueue[place] = append(t.cutQueue[place], s)
		}
	}
	for _, set := range t.sets {
		set.staged, set.paused, set.behind = emptied(set.staged), emptied(set.paused), false
		set.read = set.read || set.source.outcome == Read || set.source.outcome == Incomplete
		set.shrink()
	}
	t.tuplesKept = t.lastTuple
	t.clear()
}

// clear forgets what became of this sample.
func (t *spanWriter[ID, V]) clear() {
	t.changes, t.cuts, t.ends = emptied(t.changes), emptied(t.cuts), emptied(t.ends)
	t.closed, t.lost, t.gone = emptied(t.closed), emptied(t.lost), emptied(t.gone)
}

func (t *spanWriter[ID, V]) rolledBack() {
	for _, s := range t.ends {
		s.ending = false
	}
	for _, set := range t.sets {
		set.drop()
		set.behind = true
	}
	t.again()
}

// again makes write say the very same: it may have come into the file all the same.
func (t *spanWriter[ID, V]) again() {
	t.clear()
	t.lastTuple = t.tuplesKept
	maps.DeleteFunc(t.tuples, func(_ key, number int64) bool { return number > t.tuplesKept })
}

func (t *spanWriter[ID, V]) forget() {
	for _, set := range t.sets {
		set.forget()
	}
	for _, place := range t.cutQueue {
		for _, s := range place {
			s.queued = false
		}
	}
	t.ofLastRun, t.names, t.cutQueue = nil, nil, make([][]*Subject[ID, V], t.table.K)
	t.again()
	clear(t.tuples)
}

// appendArgs appends the columns of the struct v as the database driver takes them. Where args was used for
// another row before, what stood there often is the same.
func appendArgs(args []any, v reflect.Value, cols []Column) []any {
	args = slices.Grow(args, len(cols))
	for i := range cols {
		c := &cols[i]
		if c.half == low {
			continue
		}
		n := len(args)
		args = args[:n+1]
		if c.half == high {
			args[n] = shared(intOf(v.Field(c.index)), intOf(v.Field(cols[i+1].index)), args[n])
			continue
		}
		args[n] = c.kind.arg(v.Field(c.index), args[n])
	}
	return args
}

// appendTuple appends the columns of the struct v as bytes that are equal only where the
// columns are.
func appendTuple(key []byte, v reflect.Value, cols []Column) []byte {
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
			key = binary.AppendUvarint(key, f.Uint())
		}
	}
	return key
}
