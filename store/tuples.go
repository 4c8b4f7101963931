package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/maphash"
	"reflect"
	"slices"
	"strings"
)

// A tuple of a log holds what many of its rows have in common, in their place. Which of the rare columns that is varies
// from row to row: of the connections of a client that comes again and again only the port differs, of those of a thousand
// clients the address as well.
//
// A tuple with much in it is worth its room only where a second row shares it. So the first row of its kind has little in
// its tuple, and the next one of the same kind makes the tuple that holds more.
type tuples[V any] struct {
	writer *Writer
	table  Log[V]
	most   int // kinds that are remembered
	forms  [][]form
	varies func(*V) int
	add    *batch
	seeds  [2]maphash.Seed
	known  map[key]int64 // the numbers of tuples; 0: one row was of that kind
	since  int64         // the sample in which the oldest of them was made; 0: there are none
	last   int64
	bytes  []byte
	args   []any

	// What the sample under way has changed: it may have to be written once more, and must then be the same.
	changed []changedKind
	kept    int64 // last, before it
}

// changedKind is one that was new, or of which a row was known and no tuple.
type changedKind struct {
	key   key
	known bool
}

// A form says which columns of a row stand in its tuple.
type form struct {
	shared []Column
	in     []bool // by the place of the column in the table
}

const (
	// tuplesKnown is how many kinds are remembered.
	tuplesKnown = 4096
	// tupleSamples is in how many samples rows are given one tuple. So it is known which tuples are out of use when the
	// oldest rows are forgotten. It may grow in a later version and must never shrink: tuples that are in use would go.
	tupleSamples = 1000
)

// interned is l, of which the columns that are declared rare stand in tuples. For each row, varies names one of the orders: its
// columns stand in the row itself where they must, the first of them first.
func interned[V any](l Log[V], varies func(*V) int, orders [][]string) Log[V] {
	for _, c := range l.columns {
		if c.Role == Rare {
			l.rare = append(l.rare, c)
		}
	}
	var forms [][]form
	for _, order := range orders {
		var of []form
		for n := 1; n <= len(order); n++ {
			f := form{in: make([]bool, len(l.columns))}
			for i, c := range l.columns {
				if c.Role == Rare && !slices.Contains(order[:n], c.stored) {
					f.shared = append(f.shared, c)
					f.in[i] = true
				}
			}
			of = append(of, f)
		}
		forms = append(forms, of)
	}
	l.newWriter = func(w *Writer) tableWriter {
		writer := newLogWriter(w, l)
		writer.tuples = &tuples[V]{
			writer: w, table: l, most: tuplesKnown, forms: forms, varies: varies, known: map[key]int64{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
			add: w.insert("INSERT INTO "+l.tuple(), 2+len(l.rare)),
		}
		return writer
	}
	return l
}

// tuple is the name of the table of tuples.
func (t *LogTable) tuple() string { return t.Name + "_tuple" }

// TupleSchema is what a migration must make of the tuples. Sample is the one in which a tuple was made: rows of older ones
// have others.
func (t *LogTable) TupleSchema() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (\n    %-20s INTEGER PRIMARY KEY,\n    %-20s INTEGER NOT NULL", t.tuple(), "id", "sample")
	for _, c := range t.rare {
		fmt.Fprintf(&b, ",\n    %-20s %s", c.stored, c.kind.sqlType())
	}
	b.WriteString("\n) STRICT")
	return b.String()
}

// whole are the rows of the log with what stands in their tuples, as a table in SQL. It is flat, so that a condition on ts
// drives it. Rows of recordings before format 9 have no tuple.
func (t *LogTable) whole() string { return t.wholeOf("") }

// wholeOf are those of the rows, c, of which the WHERE clause is true.
func (t *LogTable) wholeOf(where string) string {
	var b strings.Builder
	b.WriteString("(SELECT c.ts, c.sample")
	for _, c := range t.columns {
		if c.Role == Rare {
			fmt.Fprintf(&b, ", coalesce(c.%[1]s, t.%[1]s) AS %[1]s", c.stored)
		} else {
			b.WriteString(", c." + c.stored)
		}
	}
	fmt.Fprintf(&b, " FROM %s c LEFT JOIN %s t ON t.id = c.tuple%s)", t.Name, t.tuple(), where)
	return b.String()
}

func (t *tuples[V]) load(ctx context.Context, q *sql.Conn) error {
	t.forget()
	err := lastID(ctx, q, t.table.tuple(), &t.last)
	t.kept = t.last
	return err
}

// again makes it as it was before the sample under way.
func (t *tuples[V]) again() {
	for i := range t.changed {
		if c := t.changed[len(t.changed)-1-i]; c.known {
			t.known[c.key] = 0
		} else {
			delete(t.known, c.key)
		}
	}
	t.last, t.changed = t.kept, t.changed[:0]
}

func (t *tuples[V]) committed(m int64) {
	t.changed, t.kept = t.changed[:0], t.last
	if cap(t.changed) > tuplesKnown {
		t.changed = nil
	}
	if t.since == 0 {
		t.since = m
	}
	if len(t.known) >= t.most || m-t.since+1 >= t.writer.tupleAge {
		t.forget()
	}
}

// forget forgets what there was: the next rows make tuples of their own.
func (t *tuples[V]) forget() {
	clear(t.known)
	t.changed, t.since = t.changed[:0], 0
}

// appendRow appends the columns of the row, and the number of its tuple, which it writes where it is new.
func (t *tuples[V]) appendRow(ctx context.Context, args []any, row *V, m int64) ([]any, error) {
	v := reflect.ValueOf(row).Elem()
	order := t.varies(row)
	forms := t.forms[order]
	for i := range forms {
		f := &forms[i]
		t.bytes = appendTuple(append(t.bytes[:0], byte(order), byte(i)), v, f.shared)
		k := key{maphash.Bytes(t.seeds[0], t.bytes), maphash.Bytes(t.seeds[1], t.bytes)}
		number, known := t.known[k]
		if !known && i+1 < len(forms) {
			if len(t.known) < t.most {
				t.known[k] = 0
				t.changed = append(t.changed, changedKind{k, false})
			}
			continue
		}
		if number == 0 {
			t.last++
			number = t.last
			t.known[k] = number
			t.changed = append(t.changed, changedKind{k, known})
			if err := t.write(ctx, number, m, v, f); err != nil {
				return nil, err
			}
		}
		args = slices.Grow(args, len(f.in)+1)
		for j, in := range f.in {
			n := len(args)
			args = args[:n+1]
			if c := &t.table.columns[j]; in {
				args[n] = nil
			} else {
				args[n] = c.kind.arg(v.Field(c.index), args[n])
			}
		}
		return append(args, number), nil
	}
	panic("a row without a form")
}

func (t *tuples[V]) write(ctx context.Context, number, m int64, v reflect.Value, f *form) error {
	t.args = append(t.args[:0], number, m)
	for j, c := range t.table.columns {
		switch {
		case f.in[j]:
			t.args = append(t.args, c.kind.arg(v.Field(c.index), nil))
		case c.Role == Rare:
			t.args = append(t.args, nil)
		}
	}
	return t.add.add(ctx, t.args...)
}

// dropLogTuples deletes the tuples of a log that only rows of deleted samples had.
func (k *retention) dropLogTuples(t *LogTable) stage {
	return k.deleteWhere(fmt.Sprintf(`DELETE FROM %[1]s WHERE id <= (SELECT max(id) FROM (SELECT id, sample FROM %[1]s ORDER BY id LIMIT %[2]d) WHERE sample <= %[3]d)
		AND id < (SELECT max(id) FROM %[1]s)`, t.tuple(), purgeRows, k.oldest.id-*k.tupleAge)) // no number is given twice
}
