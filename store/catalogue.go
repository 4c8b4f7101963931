package store

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Role says where a column of a recorded table is kept and what may be derived
// from it.
type Role int

const (
	// Identity columns name the subject. They are written once, in its own table.
	Identity Role = iota
	// Rare columns hold values that seldom change and that many subjects share
	// (state, owner, mtu). They are interned together, as one tuple, and a span
	// holds only the tuple's number.
	Rare
	// Value columns move by themselves. They stand in the span.
	Value
)

// A Column of a recorded table, as its struct field declares it:
//
//	RTT   Int `col:"rtt_ms,value" stored:"us" unit:"ms" doc:"Smoothed round-trip time …"`
//	RecvQ Int `col:"recv_q,value" stored:"queues,high" unit:"bytes" doc:"Bytes not yet read …"`
//	SendQ Int `col:"send_q,value" stored:"queues,low" unit:"bytes" doc:"Bytes not yet acknowledged …"`
type Column struct {
	Name string // as users see it
	Role Role
	// Counter columns only grow while their subject lives: deltas and rates are derived
	// from them.
	Counter bool
	Unit    string // "" for names, states and plain numbers
	Doc     string // one sentence

	// Ref is the table whose subject this column points to. Users see the columns
	// Show of it in its place.
	Ref  *Table
	Show []Column

	stored string // its name in the span or subject table
	half   half   // of that, where it shares it with the column beside it
	micros bool   // stored as whole microseconds, shown as milliseconds
	added  bool   // came to a table that there was already, after the other columns
	kind   kind
	index  int // of the field in its struct
}

// Time reports whether the column holds a moment, in unix seconds.
func (c Column) Time() bool { return c.Unit == "unix s" }

// A Table is the declaration of one recorded table. Everything else about it is
// derived from here: its rows, its spans, its history view, the help and the
// reference.
type Table struct {
	Name    string // of the history view, plural: "sockets"
	Subject string // of one of its things, singular: "socket"
	Doc     string // one sentence
	// K is the most samples a span may cover. A small K makes a look-up read
	// fewer rows; a large one writes fewer.
	K       int64
	Columns []Column

	id, rare, span []Column // the columns by where they are kept
	shows          string   // which rows the history shows, as SQL; "": all
	newWriter      func(*Writer) tableWriter
	rests          bool      // a subject may be there and show nothing for a while; see Set.Rest
	events         *LogTable // of what happens to its subjects between samples; nil when nothing tells of that

	actor       []Column // who made a change: they stand in the log of events only; none: the kernel does not tell
	changes     bool     // there is a view of its changes
	younger     bool     // a recording may be older than its first reading: what was there then did not come then
	readBy      string   // the source that reads it, where changes come unannounced and not every sample reads; else ""
	fromZero    string   // the rare column that is 1 where a subject counts from 0 since its first sample; "": no subject does
	ageing      ageing   // what its changes leave out
	asSpans     bool     // there is a view of its spans
	asStretches bool     // there is a view of its spans within the window, put together where they were only cut
	counterRows string   // which rows have counters, as SQL; "": all
	recounts    bool     // a subject whose rare columns changed counts from the beginning
	amounts     bool     // its values are what happened since the sample before
}

// ageing is what a column does by itself: it is no change.
type ageing struct {
	column string // "": none does
	as     string // SQL that takes it out of a value, which is %[1]s
	doc    string // what is left out, for the view of changes
}

// Spans is a Table with the Go types of its rows: ID names the subject, V holds
// what may change about it. Both are comparable structs of Int, string, float64
// and Ref fields.
type Spans[ID, V comparable] struct{ *Table }

// define declares a table; tables.go is the list.
func define[ID, V comparable](name, subject string, k int64, doc string) Spans[ID, V] {
	t := &Table{Name: name, Subject: subject, K: k, Doc: doc}
	t.id = columnsOf(reflect.TypeFor[ID](), name)
	for _, c := range columnsOf(reflect.TypeFor[V](), name) {
		switch c.Role {
		case Rare:
			t.rare = append(t.rare, c)
		case Value:
			t.span = append(t.span, c)
		default:
			panic(fmt.Sprintf("%s.%s: an identity column in the value struct", name, c.Name))
		}
		t.Columns = append(t.Columns, c)
	}
	t.Columns = append(slices.Clone(t.id), t.Columns...)
	typed := Spans[ID, V]{t}
	t.newWriter = func(w *Writer) tableWriter { return newSpanWriter(w, typed) }
	tables = append(tables, t)
	return typed
}

// resting is t, whose subjects may rest.
func resting[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.rests = true
	return t
}

// showing is t, of which the history shows only the rows that the condition, in SQL, holds for.
func showing[ID, V comparable](condition string, t Spans[ID, V]) Spans[ID, V] {
	t.shows = condition
	return t
}

// withChanges is t, with a view of its changes. A table of which events are told has one by that alone.
func withChanges[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.changes = true
	return t
}

// younger is t, which a recording may be older than: what its first reading finds was there before.
func younger[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.younger = true
	return t
}

// readBy is t, which the source of that name reads, but not in every sample: a change is later than the last sample that
// read it, not than the sample before.
func readBy[ID, V comparable](source string, t Spans[ID, V]) Spans[ID, V] {
	t.readBy = source
	return t
}

// fromZero is t, whose subjects come when they are no longer 0. The column is 1 where one was read as 0 before its first sample.
func fromZero[ID, V comparable](column string, t Spans[ID, V]) Spans[ID, V] {
	t.fromZero = column
	return t
}

// withActor is t, of whose changes the kernel says who made them.
func withActor[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.actor = columnsOf(reflect.TypeFor[Actor](), t.Name)
	return t
}

// withAgeing is t, in which a column also changes by itself.
func withAgeing[ID, V comparable](a ageing, t Spans[ID, V]) Spans[ID, V] {
	t.ageing = a
	return t
}

// withSpans is t, with a view of its spans as they are.
func withSpans[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.asSpans = true
	return t
}

// withStretches is t, with a view of its spans within the window, put together where they were only cut.
func withStretches[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.asStretches = true
	return t
}

// countersWhere is t, of which only the rows that the condition, in SQL, holds for are counters.
func countersWhere[ID, V comparable](condition string, t Spans[ID, V]) Spans[ID, V] {
	t.counterRows = condition
	return t
}

// recounting is t, of which a subject whose rare columns changed counts from the beginning: how far its counters grew then is not known.
func recounting[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.recounts = true
	return t
}

// amounts is t, whose values are what happened since the sample before: they add up.
func amounts[ID, V comparable](t Spans[ID, V]) Spans[ID, V] {
	t.amounts = true
	return t
}

var tables []*Table

// Tables lists every table that is recorded as spans, in the order of the reference.
func Tables() []*Table { return tables }

func tableNamed(name string) *Table {
	for _, t := range tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

func columnsOf(t reflect.Type, table string) []Column {
	var cols []Column
	for i := range t.NumField() {
		f := t.Field(i)
		name, role, _ := strings.Cut(f.Tag.Get("col"), ",")
		role, counter := strings.CutSuffix(role, "counter")
		role = strings.TrimSpace(role)
		k, ok := kinds[f.Type]
		if !ok || name == "" {
			panic(fmt.Sprintf("%s: field %s has no col tag or no storable type", table, f.Name))
		}
		c := Column{
			Name: name, Unit: f.Tag.Get("unit"), Doc: f.Tag.Get("doc"),
			stored: name, kind: k, index: i, added: f.Tag.Get("since") != "",
		}
		c.Counter = counter
		switch {
		case role == "" && !counter:
			c.Role = Identity
		case role == "rare":
			c.Role = Rare
		case role == "value", role == "" && counter:
			c.Role = Value
		default:
			panic(fmt.Sprintf("%s.%s: no role %q", table, name, role))
		}
		switch stored, part, _ := strings.Cut(f.Tag.Get("stored"), ","); {
		case part != "":
			if c.stored, c.half = stored, halves[part]; c.half == whole {
				panic(fmt.Sprintf("%s.%s: %q is neither high nor low", table, name, part))
			}
		case stored == "us":
			c.micros, c.stored = true, strings.TrimSuffix(name, "_ms")+"_us"
		}
		if c.micros && counter {
			panic(fmt.Sprintf("%s.%s: a counter is shown as it is stored", table, name))
		}
		if k == kindTime {
			c.Unit = "unix s"
		}
		if ref, show, ok := strings.Cut(f.Tag.Get("ref"), ":"); ok {
			c.Ref = tableNamed(ref)
			for _, want := range strings.Split(show, ",") {
				i := slices.IndexFunc(c.Ref.id, func(c Column) bool { return c.Name == want })
				if i < 0 {
					panic(fmt.Sprintf("%s.%s shows %s.%s, which is no identity column", table, name, ref, want))
				}
				c.Show = append(c.Show, c.Ref.id[i])
			}
		}
		cols = append(cols, c)
	}
	checkHalves(cols, table)
	return cols
}

// checkHalves panics where two columns cannot share one.
func checkHalves(cols []Column, table string) {
	for i, c := range cols {
		if c.half == whole {
			continue
		}
		var pair []Column
		if first := i - int(c.half-high); first >= 0 && first+2 <= len(cols) {
			pair = cols[first : first+2]
		}
		if len(pair) == 0 || pair[0].half != high || pair[1].half != low || pair[0].stored != pair[1].stored || pair[0].Role != pair[1].Role ||
			c.Role == Identity || c.kind != kindInt {
			panic(fmt.Sprintf("%s.%s: two numbers may share a column that follow each other, have one role, and are no identity: the first as high, the second as low", table, c.Name))
		}
	}
}

// unshared are columns of which none shares what it is stored in: logs have such.
func unshared(cols []Column, table string) []Column {
	for _, c := range cols {
		if c.half != whole {
			panic(fmt.Sprintf("%s.%s: a log has no columns that share one", table, c.Name))
		}
	}
	return cols
}

// inFile are the columns as the file has them: of two that share one, the first.
func inFile(cols []Column) []Column {
	return slices.DeleteFunc(slices.Clone(cols), func(c Column) bool { return c.half == low })
}

// Shown lists the columns of the history view after ts: references replaced by
// what they show.
func (t *Table) Shown() []Column {
	var cols []Column
	for _, c := range t.Columns {
		if c.Ref == nil {
			cols = append(cols, c)
			continue
		}
		for _, s := range c.Show {
			s.Role = c.Role
			cols = append(cols, s)
		}
	}
	return cols
}

// Counters lists the columns from which deltas and rates are derived.
func (t *Table) Counters() []Column {
	var cols []Column
	for _, c := range t.Columns {
		if c.Counter {
			cols = append(cols, c)
		}
	}
	return cols
}
