package store

import (
	"fmt"
	"slices"
	"strings"
)

// A Rollup is the declaration of what outlives the samples of a table: for each minute, hour and day the average, the
// least and the most of some of its columns, over groups of its subjects. It has limits of its own; see Limits.
//
// Each level has its periods, which say how much of them the recorder watched, and its rows. A row has the values of a
// group in a period, and in as many periods after it as its length says: a value that stands still takes one row for an
// hour of minutes. A row never spans two blocks of periods, so all rows of one period are one short range of the rowid,
// which is the first period shifted by 32 bits, plus the group.
type Rollup struct {
	Name    string // of its views, less the level: "socket_counts" gives socket_counts_1m
	Subject string // of its tables: socket_count_group, socket_count_1m …
	Doc     string // begin of a sentence, which the level ends
	From    *Table // nil: several; see rollUpPeers

	kind   rollupKind
	levels []Level
	by     []Column // what groups are told apart by, as the history view of From shows it
	values []Column
	index  string // columns that find a group
}

// A rollupKind says what the columns of a roll-up are, and so how they are summed up.
type rollupKind int

const (
	gauge   rollupKind = iota // a number of things, such as sockets; subjects of a group add up
	counter                   // grows from sample to sample; see deltasView
	amount                    // what happened since the sample before
	contact                   // see rollUpPeers
)

// A Level is a length of periods. They begin where its multiples do, in unix seconds: days at midnight UTC.
type Level struct {
	Name    string // "1m", the end of the names of views and tables
	Noun    string
	Seconds int64
	block   int64   // periods in a block: a row never spans two
	reach   float64 // how many times as far back as the samples it may go if the file is too large
}

// Levels are the lengths of periods, the shortest first. Each is worked out from the one before it.
func Levels() []Level {
	return []Level{{"1m", "minute", 60, 60, 6}, {"1h", "hour", 3600, 24, 60}, {"1d", "day", 86400, 30, 600}}
}

var rollups []*Rollup

// Rollups lists every roll-up.
func Rollups() []*Rollup { return rollups }

func rollupNamed(name string) *Rollup {
	return rollups[slices.IndexFunc(rollups, func(r *Rollup) bool { return r.Name == name })]
}

// Levels are those that the roll-up has.
func (r *Rollup) Levels() []Level { return r.levels }

// rollUp declares a roll-up; tables.go is the list.
func rollUp(name, subject string, from *Table, kind rollupKind, by, values []string, doc string) *Rollup {
	r := &Rollup{Name: name, Subject: subject, Doc: doc, From: from, kind: kind, levels: Levels()}
	shown := from.Shown()
	pick := func(names []string) []Column {
		var cols []Column
		for _, n := range names {
			i := slices.IndexFunc(shown, func(c Column) bool { return c.Name == n })
			if i < 0 {
				panic(fmt.Sprintf("roll-up %s: %s has no column %s", name, from.Name, n))
			}
			cols = append(cols, shown[i])
		}
		return cols
	}
	r.by, r.values = pick(by), pick(values)
	// To make an index again would change where tables begin, which recovery relies on.
	r.index = columnNames(slices.DeleteFunc(slices.Clone(r.by), func(c Column) bool { return c.added }))
	rollups = append(rollups, r)
	return r
}

// stored are the columns of its rows, all whole numbers: of a gauge the average in thousandths, the least and the most; of
// others the sum, and the least and the most of a sample in thousandths a second.
func (r *Rollup) stored() []string {
	if r.kind == contact {
		return strings.Split(columnNames(r.values), ", ")
	}
	var cols []string
	for _, c := range r.values {
		first := c.Name
		if r.kind == gauge {
			first += "_avg"
		}
		cols = append(cols, first, c.Name+"_min", c.Name+"_max")
	}
	return cols
}

func (r *Rollup) group() string        { return r.Subject + "_group" }
func (r *Rollup) rows(l Level) string  { return r.Subject + "_" + l.Name }
func (l Level) periods() string        { return "period_" + l.Name }
func (l Level) lastRow() string        { return "last_" + l.Name }
func (l Level) of(ts float64) int64    { return int64(ts) / l.Seconds }
func (l Level) begin(n int64) float64  { return float64(n * l.Seconds) }
func (l Level) blockOf(n int64) int64  { return n - n%l.block }
func columnNames(cols []Column) string { return strings.TrimPrefix(stored(cols), ", ") }

// Schema is what a migration must make of the roll-up.
func (r *Rollup) Schema() []string {
	row := func(name, kind string) string { return fmt.Sprintf("    %-20s %s", name, kind) }
	group := "CREATE TABLE " + r.group() + " (\n" + row("id", "INTEGER PRIMARY KEY")
	for _, l := range r.levels {
		group += ",\n" + row(l.lastRow(), "INTEGER NOT NULL DEFAULT 0")
	}
	for _, c := range r.by {
		group += ",\n" + row(c.Name, c.kind.sqlType())
	}
	s := []string{group + "\n) STRICT", fmt.Sprintf("CREATE INDEX %s_by ON %s (%s)", r.group(), r.group(), r.index)}
	for _, l := range r.levels {
		rows := "CREATE TABLE " + r.rows(l) + " (\n" + row("id", "INTEGER PRIMARY KEY") + ",\n" + row("length", "INTEGER NOT NULL")
		for _, c := range r.stored() {
			rows += ",\n" + row(c, "INTEGER")
		}
		s = append(s, rows+"\n) STRICT")
	}
	return s
}

// Schema is what a migration must make of the level.
func (l Level) Schema() string {
	return "CREATE TABLE " + l.periods() + " (id INTEGER PRIMARY KEY, ts REAL NOT NULL UNIQUE, samples INTEGER NOT NULL, " +
		"watched_ms INTEGER NOT NULL, covered_ms INTEGER NOT NULL) STRICT"
}

// rollupViews are those of all levels.
func rollupViews() []View {
	var views []View
	for _, r := range Rollups() {
		for _, l := range r.levels {
			if r.kind == contact {
				views = append(views, r.peersView(l))
			} else {
				views = append(views, r.view(l))
			}
		}
	}
	return views
}

// view shows each period by itself.
func (r *Rollup) view(l Level) View {
	v := View{
		Name: r.Name + "_" + l.Name, Doc: fmt.Sprintf("%s in each %s: least, average and most, for long after the samples.", r.Doc, l.Noun),
		Columns: []Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "Begin of the period; days begin at midnight UTC. One without any row was not watched."},
			{Name: "samples", Doc: "Samples that were taken in it.", Role: Value},
			{Name: "watched_s", Unit: "s", Doc: "How much of it was watched; what happened in the rest, nobody saw.", Role: Value},
		},
		Rollup: r,
	}
	var b strings.Builder
	b.WriteString("SELECT ts, samples, watched_ms / 1000.0 AS watched_s")
	add := func(expression string, c Column) {
		b.WriteString(",\n       " + expression)
		if expression != c.Name {
			b.WriteString(" AS " + c.Name)
		}
		c.Role = Value
		v.Columns = append(v.Columns, c)
	}
	for _, c := range r.by {
		add(c.Name, c)
	}
	for _, c := range r.values {
		low := lowerFirst(strings.TrimSuffix(c.Doc, "."))
		if r.kind == gauge {
			add(fmt.Sprintf("%s_avg / 1000.0", c.Name), Column{Name: "avg_" + c.Name, Unit: c.Unit, Doc: "Average over the samples; one that had none counts as 0: " + low + "."})
			add(fmt.Sprintf("%s_min", c.Name), Column{Name: "min_" + c.Name, Unit: c.Unit, Doc: "Least in a sample: " + low + "."})
			add(fmt.Sprintf("%s_max", c.Name), Column{Name: "max_" + c.Name, Unit: c.Unit, Doc: "Most in a sample: " + low + "."})
			continue
		}
		low = strings.Replace(low, " since the sample before", "", 1)
		rate := strings.TrimPrefix(c.Unit+"/s", "/s")
		add(c.Name, Column{Name: c.Name, Unit: c.Unit, Doc: "In all of the period: " + low + "."})
		add(fmt.Sprintf("round(%s * 1000.0 / nullif(covered_ms, 0), 3)", c.Name), Column{Name: "avg_" + c.Name + "_per_s", Unit: rate, Doc: "Average per second: " + low + "."})
		add(fmt.Sprintf("%s_min / 1000.0", c.Name), Column{Name: "min_" + c.Name + "_per_s", Unit: rate, Doc: "Per second, from one sample to the next where it was least: " + low + "."})
		add(fmt.Sprintf("%s_max / 1000.0", c.Name), Column{Name: "max_" + c.Name + "_per_s", Unit: rate, Doc: "Per second, from one sample to the next where it was most: " + low + "."})
	}
	fmt.Fprintf(&b, `
  FROM %[1]s m CROSS JOIN %[2]s p ON p.id BETWEEN (m.id - %[3]d) << 32 AND ((m.id + 1) << 32) - 1 AND (p.id >> 32) + p.length > m.id
  CROSS JOIN %[4]s g ON g.id = p.id & 4294967295`, l.periods(), r.rows(l), l.block-1, r.group())
	v.Body = b.String()
	return v
}
