package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// oneOfEach is a recording with one row of every table. Each field of it has a value of its own, so that a view which shows another column is
// noticed. The rows that are wanted are made of the same values, by the tags of the structs alone.
type oneOfEach struct {
	t      *testing.T
	db     *sql.DB
	begin  time.Time // midnight
	w      *Writer
	src    *Source
	tables []*oneRow
	rows   map[string]*oneRow // by table
}

// oneRow is the row of a table.
type oneRow struct {
	table  *Table
	ref    Ref
	id     []oneValue
	put    func(step int)
	values func(step int) []oneValue
}

// oneValue is a value, by the column that shows it.
type oneValue struct {
	name string
	val  any
	role string // of the tag: rare, value, counter; "": it tells who it is
}

// steps are the samples: when, in seconds since midnight, and how far fields of even and of odd number have grown; 0: nothing is there.
var steps = []struct{ at, grown, odd int }{{10, 0, 0}, {40, 120, 120}, {70, 120, 126}, {100, 120, 126}, {3700, 7320, 126}, {86410, 0, 0}, {86440, 0, 0}}

func (d *oneOfEach) ts(step int) float64 { return float64(d.begin.Unix() + int64(steps[step].at)) }

// filled gives each field of a struct a value of its own: its number, times how far it has grown, plus plus.
func (d *oneOfEach) filled(into reflect.Value, even, odd, plus int) (values []oneValue) {
	for i := range into.NumField() {
		tag := into.Type().Field(i).Tag
		name, role, _ := strings.Cut(tag.Get("col"), ",")
		n := (i+2)*[]int{even, odd}[i%2] + plus
		v := oneValue{name: name, role: role}
		switch field := into.Field(i).Addr().Interface().(type) {
		case *Ref:
			table, shown, _ := strings.Cut(tag.Get("ref"), ":")
			*field = d.rows[table].ref
			for _, of := range d.rows[table].id {
				if slices.Contains(strings.Split(shown, ","), of.name) {
					values = append(values, oneValue{of.name, of.val, strings.Replace(role, "value", "rare", 1)})
				}
			}
			continue
		case *Int:
			*field, v.val = Of(n), int64(n)
			if tag.Get("stored") == "us" {
				v.val = float64(n) / 1000
			}
		case *float64:
			*field, v.val = float64(n)+0.5, float64(n)+0.5
		case *string:
			*field = fmt.Sprintf("%s-%d", name, n)
			if name == "kind" && into.Type() == reflect.TypeFor[ProtocolCounter]() {
				*field = "counter" // others have no growth
			}
			v.val = *field
		}
		values = append(values, v)
	}
	return values
}

// one adds the row of a table.
func one[ID, V comparable](d *oneOfEach, table Spans[ID, V]) {
	set := NewSet(d.src, table)
	own := 1000 * (len(d.tables) + 1)
	var id ID
	r := &oneRow{table: table.Table, id: d.filled(reflect.ValueOf(&id).Elem(), 1, 1, own)}
	r.values = func(step int) []oneValue {
		var v V
		return d.filled(reflect.ValueOf(&v).Elem(), steps[step].grown, steps[step].odd, 0)
	}
	r.put = func(step int) {
		if steps[step].grown == 0 {
			return
		}
		var v V
		d.filled(reflect.ValueOf(&id).Elem(), 1, 1, own) // those that it refers to are there now
		d.filled(reflect.ValueOf(&v).Elem(), steps[step].grown, steps[step].odd, 0)
		r.ref = set.Put(id, v).Ref()
	}
	d.tables, d.rows[table.Name] = append(d.tables, r), r
}

// Of every table the views show each column under its name: as it was at a sample and is now, when it changed, its growth, growth per second, and
// what is left of it after the samples.
func TestViewsOfEveryTable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "each.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 30 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	d := &oneOfEach{t: t, db: db, begin: time.Unix(19_675*86_400, 0), w: w, src: w.Source("all"), rows: map[string]*oneRow{}}
	one(d, Processes)
	one(d, Sockets)
	one(d, SocketOwners)
	one(d, SocketCounts)
	one(d, SocketTrends)
	one(d, TrafficTable)
	one(d, Namespaces)
	one(d, Interfaces)
	one(d, InterfaceCountersTable)
	one(d, NICCounters)
	one(d, Qdiscs)
	one(d, Addresses)
	one(d, MulticastGroups)
	one(d, RouteExceptions)
	one(d, Neighbors)
	one(d, NextHops)
	one(d, Firewalls)
	one(d, FirewallTexts)
	one(d, Routes)
	one(d, Rules)
	one(d, ProtocolCounters)
	one(d, SoftnetCounters)
	one(d, PacketDrops)
	one(d, Conntracks)
	one(d, ConntrackFlows)
	one(d, Settings)
	one(d, Modules)
	one(d, Symptoms)
	for _, table := range Tables() {
		if d.rows[table.Name] == nil && table != Sources.Table { // the writer fills that one
			t.Errorf("add a row of %s to this test", table.Name)
		}
	}
	for step, s := range steps {
		up := time.Duration(1000+s.at) * time.Second
		w.Begin(Clock{Wall: d.begin.Add(time.Duration(s.at) * time.Second), Uptime: up, Awake: up})
		d.src.Read(func() error {
			for _, r := range d.tables {
				r.put(step)
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		if step == 4 {
			d.checkNow(step)
		}
	}
	tidyUp(t, w)
	for _, r := range d.tables {
		d.checkSamples(r)
		if r.table.changes {
			d.checkChanges(r)
		}
	}
	d.checkSpans()
	for _, r := range Rollups() {
		if r.From != nil {
			d.checkRollup(r)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// check compares the rows of a view, where a condition holds, with those that are wanted, each by its columns.
func (d *oneOfEach) check(view, where string, want ...map[string]any) {
	d.t.Helper()
	rows, err := d.db.Query(fmt.Sprintf("SELECT * FROM %s WHERE %s ORDER BY ts", view, where))
	if err != nil {
		d.t.Fatalf("%s: %v", view, err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var got []map[string]any
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			d.t.Fatal(err)
		}
		row := map[string]any{}
		for i, name := range names {
			row[name] = values[i]
		}
		got = append(got, row)
	}
	if err := rows.Err(); err != nil {
		d.t.Fatalf("%s: %v", view, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("%s where %s (-want +got):\n%s", view, where, diff)
	}
}

func at(ts float64) string { return fmt.Sprintf("ts = %f", ts) }

// row is what a view that has all columns shows at a step.
func (d *oneOfEach) row(r *oneRow, step int, keep func(v oneValue) bool) map[string]any {
	row := map[string]any{"ts": d.ts(step)}
	for _, v := range slices.Concat(r.id, r.values(step)) {
		if keep(v) {
			row[v.name] = v.val
		}
	}
	return row
}

func all(oneValue) bool { return true }

// moves reports whether the value changes by itself: that is no change of the thing.
func (v oneValue) moves() bool { return v.role == "value" || v.role == "counter" }

// recounts reports whether it counts from the beginning since that step, because it is another one.
func (r *oneRow) recounts(step int) bool {
	before := r.values(step - 1)
	return r.table.Name == "qdiscs" && slices.ContainsFunc(r.values(step), func(v oneValue) bool { return v.name == "kind" && v.val != before[0].val })
}

func (v oneValue) counter() bool { return strings.Contains(v.role, "counter") }

func (d *oneOfEach) checkNow(step int) {
	for _, r := range d.tables {
		d.check(r.table.Name+"_now", "1", d.row(r, step, all))
	}
	d.check("socket_spans", "holds", d.span(step, step, 1))
}

// span is a row of socket_spans.
func (d *oneOfEach) span(from, to int, holds int64) map[string]any {
	row := d.row(d.rows["sockets"], from, all)
	row["until"], row["holds"] = d.ts(to), holds
	return row
}

func (d *oneOfEach) checkSpans() {
	d.check("socket_spans", "1", d.span(1, 1, 0), d.span(2, 3, 0), d.span(4, 4, 0))
}

// checkSamples holds the history and the views of growth to what was there.
func (d *oneOfEach) checkSamples(r *oneRow) {
	hasCounters := len(r.table.Counters()) > 0
	for step, s := range steps {
		var history, deltas, rates []map[string]any
		if s.grown > 0 {
			history = append(history, d.row(r, step, all))
			elapsed := steps[step].at - steps[step-1].at
			delta := d.row(r, step, func(v oneValue) bool { return !v.counter() && v.role != "value" })
			delta["elapsed_s"] = float64(elapsed)
			rate := maps.Clone(delta)
			for i, v := range r.values(step) {
				if !v.counter() {
					continue
				}
				delta[v.name], rate[v.name+"_per_s"] = nil, nil
				if steps[step-1].grown > 0 && !r.recounts(step) {
					grown := v.val.(int64) - r.values(step - 1)[i].val.(int64)
					delta[v.name], rate[v.name+"_per_s"] = grown, float64(grown)/float64(elapsed)
				}
			}
			deltas, rates = append(deltas, delta), append(rates, rate)
		}
		d.check(r.table.Name, at(d.ts(step)), history...)
		if stem := strings.TrimSuffix(strings.TrimSuffix(r.table.Name, "_counters"), "s"); hasCounters {
			d.check(stem+"_deltas", at(d.ts(step)), deltas...)
			d.check(stem+"_rates", at(d.ts(step)), rates...)
		}
	}
}

// checkChanges wants it to come, to change twice and to go.
func (d *oneOfEach) checkChanges(r *oneRow) {
	// said are the values at a step, of those that are others than at another one.
	said := func(step, other int) string {
		var list []string
		before := r.values(other)
		for i, v := range r.values(step) {
			if v.val != before[i].val && !v.moves() {
				list = append(list, fmt.Sprintf("%s=%v", v.name, v.val))
			}
		}
		return strings.Join(list, " ")
	}
	change := func(what string, step, shows int, was, now any) map[string]any {
		row := d.row(r, shows, func(v oneValue) bool { return !v.moves() })
		row["ts"], row["after"], row["change"], row["learnt"], row["exact"], row["was"], row["now"] = d.ts(step), d.ts(step-1), what, "dump", int64(0), was, now
		for _, c := range r.table.actor { // a sample does not tell who it was
			row[c.Name] = nil
		}
		return row
	}
	if len(slices.DeleteFunc(r.values(1), oneValue.moves)) == 1 { // what has one value did not change with the odd ones
		d.check(strings.TrimSuffix(r.table.Subject, "_table")+"_changes", "1",
			change("added", 1, 1, nil, said(1, 0)), change("changed", 4, 4, said(1, 4), said(4, 1)), change("removed", 5, 4, said(4, 0), nil))
		return
	}
	d.check(strings.TrimSuffix(r.table.Subject, "_table")+"_changes", "1",
		change("added", 1, 1, nil, said(1, 0)), change("changed", 2, 2, said(1, 2), said(2, 1)),
		change("changed", 4, 4, said(3, 4), said(4, 3)), change("removed", 5, 4, said(4, 0), nil))
}

// checkRollup works out each minute, hour and day from the samples that lie in it.
func (d *oneOfEach) checkRollup(r *Rollup) {
	for _, l := range Levels() {
		periods := map[int][]int{}
		for step, s := range steps {
			if n := s.at / int(l.Seconds); (n+1)*int(l.Seconds) <= steps[len(steps)-1].at {
				periods[n] = append(periods[n], step)
			}
		}
		var want []map[string]any
		for _, n := range slices.Sorted(maps.Keys(periods)) {
			if row := d.period(r, d.rows[r.From.Name], periods[n]); row != nil {
				row["ts"] = float64(d.begin.Unix() + int64(n)*l.Seconds)
				want = append(want, row)
			}
		}
		if len(want) < 1 || l.Seconds < 86400 && len(want) < 2 {
			d.t.Fatalf("%s: only %d periods of a %s are to be checked", r.Name, len(want), l.Noun)
		}
		d.check(r.Name+"_"+l.Name, "1", want...)
	}
}

// period is the row of a roll-up over these steps; nil where it was in none of them.
func (d *oneOfEach) period(r *Rollup, of *oneRow, in []int) map[string]any {
	row := map[string]any{"samples": int64(len(in))}
	thousandths := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	elapsed := func(step int) float64 { return float64(steps[step].at - steps[step-1].at) }
	there, watched, covered := false, 0.0, 0.0
	for _, step := range in {
		there = there || steps[step].grown > 0
		if step > 0 {
			watched, covered = watched+min(elapsed(step), 45.05), covered+elapsed(step)
		}
	}
	if !there {
		return nil
	}
	row["watched_s"] = thousandths(watched)
	for _, v := range of.id {
		if slices.ContainsFunc(r.by, func(c Column) bool { return c.Name == v.name }) {
			row[v.name] = v.val
		}
	}
	for i, v := range of.values(0) {
		if !slices.ContainsFunc(r.values, func(c Column) bool { return c.Name == v.name }) {
			continue
		}
		value := func(step int) int64 {
			if steps[step].grown == 0 {
				return 0
			}
			return of.values(step)[i].val.(int64)
		}
		if r.kind == gauge {
			sum, least, most := int64(0), int64(math.MaxInt64), int64(0)
			for _, step := range in {
				sum, least, most = sum+value(step), min(least, value(step)), max(most, value(step))
			}
			row["avg_"+v.name], row["min_"+v.name], row["max_"+v.name] = thousandths(float64(sum)/float64(len(in))), least, most
			continue
		}
		sum, least, most, known := int64(0), math.Inf(1), 0.0, false
		for _, step := range in {
			grown := value(step)
			switch {
			case steps[step].grown == 0 && r.kind == counter:
				continue // how fast it grows is not known
			case steps[step].grown == 0:
				least = 0 // what is not there moves nothing
				continue
			case r.kind == counter && (steps[step-1].grown == 0 || of.recounts(step)):
				continue // first seen
			case r.kind == counter:
				grown -= value(step - 1)
			}
			sum, known = sum+grown, true
			least, most = min(least, float64(grown)/elapsed(step)), max(most, float64(grown)/elapsed(step))
		}
		row[v.name], row["avg_"+v.name+"_per_s"], row["min_"+v.name+"_per_s"], row["max_"+v.name+"_per_s"] = nil, nil, nil, nil
		if known {
			row[v.name], row["avg_"+v.name+"_per_s"], row["max_"+v.name+"_per_s"] = sum, thousandths(float64(sum)/covered), thousandths(most)
		}
		if known || least == 0 {
			row["min_"+v.name+"_per_s"] = thousandths(least)
		}
	}
	return row
}
