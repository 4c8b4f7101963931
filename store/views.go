package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A View is what users read: the history of a table, its newest sample, or an answer
// worked out from several. It is plain SQL without any function of ours, so that every
// program that opens SQLite files can read it.
type View struct {
	Name    string
	Doc     string // one sentence
	Columns []Column
	Body    string  // the SELECT
	Lives   string  // of a history: the same rows, read subject by subject and not sample by sample; see lives
	From    *Table  // the table whose history, newest sample or changes it shows, if one
	Rollup  *Rollup // that it shows, if one
	InFile  string  // the SELECT of the view in a file, where that is another; see glossaryView

	template string // the Body with its places; see fill
}

// Views lists every view of a recording, in the order of the reference.
func Views() []View { return allViews() }

var allViews = sync.OnceValue(makeViews)

// makeViews is Views for who needs them once: they are not kept.
func makeViews() []View {
	views := writtenViews()
	for _, t := range Tables() {
		views = append(views, t.historyView(), t.nowView())
		if len(t.Counters()) > 0 {
			views = append(views, t.deltasView(), t.ratesView())
		}
		if t.changes {
			views = append(views, t.changesView())
		}
	}
	for _, t := range Tables() {
		switch {
		case t.asSpans:
			views = append(views, t.spansView())
		case t.asStretches:
			views = append(views, t.stretchesView())
		}
	}
	views = slices.Concat(views, faultViews(), rollupViews(), coreViews())
	return append(views, glossaryView(views))
}

// tsColumn is the first column of every history.
var tsColumn = Column{Name: "ts", Unit: "unix s", kind: kindTime,
	Doc: "Time of the sample; the same in every table, so tables join on it."}

// spans reads what held at a sample m: p are the spans that have ended by now, o those that still hold. Every sample is
// joined to a pair of rows, with one of which only p is looked for and with the other only o, so that of each column one is
// NULL.
//
// A UNION ALL of both would say the same. But SQLite does not flatten a compound view into a join: a list of moments beside
// it would not drive it, and it would be worked out for the whole recording.
//
// The loops are nested as written (CROSS JOIN, LEFT JOIN): first the samples, which a condition on ts narrows down, then
// the short range of spans, then the look-ups by number. More are columns worked out from m, and what is joined to it.
func (t *Table) spans(samples, more string) string {
	var b strings.Builder
	b.WriteString("(SELECT m.ts, coalesce(p.id & 4294967295, o.subject) AS subject" + more)
	if len(t.rare) > 0 {
		b.WriteString(", coalesce(p.tuple, o.tuple) AS tuple")
	}
	for _, c := range inFile(t.span) {
		fmt.Fprintf(&b, ", coalesce(p.%[1]s, o.%[1]s) AS %[1]s", c.stored)
	}
	fmt.Fprintf(&b, `
          FROM %[3]s JOIN (SELECT 0 AS i UNION ALL SELECT 1)
          LEFT JOIN %[1]s_span p ON p.id BETWEEN CASE i WHEN 0 THEN m.id << 32 END AND ((m.id + %[2]d) << 32) - 1 AND (p.id >> 32) - p.length <= m.id
          LEFT JOIN %[1]s_open o ON o.subject >= CASE i WHEN 1 THEN 0 END AND o.from_sample <= m.id
         WHERE m.back IS NOT 0) p`, t.Subject, t.K, samples)
	return b.String()
}

// from joins to spans what the numbers in them stand for.
func (t *Table) from(spans string) string {
	return fmt.Sprintf("FROM %s\n  JOIN %s s ON s.id = p.subject%s", spans, t.Subject, t.meanings("p"))
}

// meanings joins what tuples and references stand for, of spans with that alias.
func (t *Table) meanings(spans string) string {
	var b strings.Builder
	if len(t.rare) > 0 {
		fmt.Fprintf(&b, "\n  JOIN %s_tuple t ON t.id = tuple", t.Subject)
	}
	for i, c := range t.refs() {
		fmt.Fprintf(&b, "\n  LEFT JOIN %s r%d ON r%d.id = %s.%s", c.Ref.Subject, i, i, c.home(spans, "t"), c.stored)
	}
	return b.String()
}

// lives reads the spans of one subject after the other. Where one of few is asked for in all of the past, that is far less
// than all samples: a span ends with one of the samples from the first of its subject to the last, and is found by its key.
//
// The loops are nested as written: first the subjects, then for each the samples of its life and the span that ends with
// each, if one does, or in their place the one that holds still; then the samples in which a span holds.
func (t *Table) lives() string {
	var b strings.Builder
	b.WriteString("(SELECT m.ts")
	for _, c := range inFile(t.id) {
		b.WriteString(", s." + c.stored)
	}
	if len(t.rare) > 0 {
		b.WriteString(", coalesce(p.tuple, o.tuple) AS tuple")
	}
	for _, c := range inFile(t.span) {
		fmt.Fprintf(&b, ", coalesce(p.%[1]s, o.%[1]s) AS %[1]s", c.stored)
	}
	fmt.Fprintf(&b, `
          FROM %[1]s s CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)
          LEFT JOIN sample e ON e.id BETWEEN CASE i WHEN 0 THEN s.first_sample END AND coalesce(s.last_sample, 1 << 32)
          LEFT JOIN %[1]s_span p ON p.id = e.id << 32 | s.id
          LEFT JOIN %[1]s_open o ON o.subject = CASE i WHEN 1 THEN s.id END
         CROSS JOIN sample m ON m.id BETWEEN coalesce((p.id >> 32) - p.length, o.from_sample) AND coalesce(p.id >> 32, 1 << 32) AND m.back IS NOT 0) s`, t.Subject)
	return b.String()
}

func (t *Table) refs() []Column {
	var refs []Column
	for _, c := range t.Columns {
		if c.Ref != nil {
			refs = append(refs, c)
		}
	}
	return refs
}

// home is the alias of the table that holds the column, given those of the span and of the
// tuple.
func (c Column) home(span, tuple string) string {
	switch c.Role {
	case Identity:
		return "s"
	case Rare:
		return tuple
	default:
		return span
	}
}

// ambiguous are the columns that more than one of the tables have that a view joins. They are those that every table of
// spans has besides the declared ones, and those of samples and of runs. A test holds them against the schema.
var ambiguous = slices.Concat(spanTableColumns, strings.Fields("ts run uptime_s wall duration_ms cpu_s rss_bytes back boot started stopped pid version interval_s uid keep_s max_bytes why"))

// selects is the column of a view that reads it from there. What a name alone says is said by it: every connection keeps
// all views in memory, parsed, and the recorder does so for ever. A name of a table before each column doubles that.
func (t *Table) selects(alias string, c Column) string {
	named := 0
	for _, other := range t.Columns {
		if other.stored == c.stored && other.half == c.half {
			named++
		}
		if other.Ref != nil && slices.ContainsFunc(other.Ref.id, func(o Column) bool { return o.stored == c.stored }) {
			named++
		}
	}
	name := c.stored
	if named > 1 || slices.Contains(ambiguous, name) {
		name = alias + "." + name
	}
	name = c.half.part(name)
	switch {
	case c.micros:
		return name + " / 1000.0 AS " + c.Name
	case c.stored != c.Name:
		return name + " AS " + c.Name
	}
	return name
}

// selected are the columns of the history view as SQL, where spans have that alias.
func (t *Table) selected(spans string) string {
	var b strings.Builder
	ref := 0
	for _, c := range t.Columns {
		if c.Ref == nil {
			b.WriteString(",\n       " + t.selects(c.home(spans, "t"), c))
			continue
		}
		for _, shown := range c.Show {
			b.WriteString(",\n       " + t.selects(fmt.Sprintf("r%d", ref), shown))
		}
		ref++
	}
	return b.String()
}

func (t *Table) historyView() View {
	shows := ""
	if t.shows != "" {
		shows = "\n WHERE " + t.shows
	}
	return View{
		Name: t.Name, Doc: t.Doc, From: t,
		Columns: append([]Column{tsColumn}, t.Shown()...),
		Body:    "SELECT ts" + t.selected("p") + "\n  " + t.from(t.spans("sample m", "")) + shows,
		Lives:   "SELECT ts" + t.selected("s") + "\n  FROM " + t.lives() + t.meanings("s") + shows,
	}
}

// spansView shows the spans as they are, subject by subject: from when to when each was as it was. Who asks for all of the
// past of a few reads little with it, in every program.
func (t *Table) spansView() View {
	v := View{
		Name: t.Subject + "_spans", From: t,
		Doc: "From when to when each of " + t.Name + " was as it was: a row for each stretch of samples in which nothing changed. All of the past of a few is read at once.",
		Columns: append([]Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "First sample of it, or the first that is kept."},
			{Name: "until", Unit: "unix s", kind: kindTime, Doc: "Last sample of it."},
			{Name: "holds", Doc: "1 where it was still so in the newest sample, 0 where it changed or went; a stretch is also cut after " + strconv.FormatInt(t.K, 10) + " samples.", Role: Value},
		}, t.Shown()...),
	}
	var b strings.Builder
	b.WriteString("(SELECT coalesce((p.id >> 32) - p.length, o.from_sample) AS f, iif(o.subject IS NULL, e.ts, (SELECT max(ts) FROM sample)) AS until, o.subject IS NOT NULL AS holds")
	for _, c := range inFile(t.id) {
		b.WriteString(", s." + c.stored)
	}
	if len(t.rare) > 0 {
		b.WriteString(", coalesce(p.tuple, o.tuple) AS tuple")
	}
	for _, c := range inFile(t.span) {
		fmt.Fprintf(&b, ", coalesce(p.%[1]s, o.%[1]s) AS %[1]s", c.stored)
	}
	fmt.Fprintf(&b, `
          FROM %[1]s s CROSS JOIN (SELECT 0 AS i UNION ALL SELECT 1)
          LEFT JOIN sample e ON e.id BETWEEN CASE i WHEN 0 THEN s.first_sample END AND coalesce(s.last_sample, 1 << 32)
          LEFT JOIN %[1]s_span p ON p.id = CASE i WHEN 0 THEN e.id << 32 | s.id END
          LEFT JOIN %[1]s_open o ON o.subject = CASE i WHEN 1 THEN s.id END
         WHERE coalesce(p.id, o.subject) IS NOT NULL) s`, t.Subject)
	v.Body = "SELECT (SELECT ts FROM sample WHERE id >= f ORDER BY id LIMIT 1) AS ts, until, holds" + t.selected("s") + "\n  FROM " + b.String() + t.meanings("s")
	return v
}

// stretchesView shows from when to when each subject was as it was, in the window. Where spans were only cut, at K samples, neighbours
// are put together: people read these intervals, and a route that stood for a day would be in dozens of rows. That costs a sort of what
// the window has, which is little of tables that hardly change. Of sockets, which are many and move, spansView shows the spans as they are.
//
// Cut spans follow each other without a hole: the last sample less the samples so far is the same for all of them. Each run
// of the recorder numbers tuples from the beginning, so that no row reaches over a pause: nobody looked then.
func (t *Table) stretchesView() View {
	v := View{
		Name: t.Subject + "_spans", From: t,
		Doc: "From when to when was each of " + t.Name + " as it was, in the window? A row for each stretch of samples in which nothing changed, of one run of the recorder.",
		Columns: append([]Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "First sample of it in the window."},
			{Name: "until", Unit: "unix s", kind: kindTime, Doc: "Last sample of it in the window."},
			{Name: "holds", Doc: "1 where it was still so in the last sample of the window, 0 where it changed or went.", Role: Value},
		}, t.Shown()...),
	}
	same := "tuple"
	for _, c := range inFile(t.span) {
		same += ", " + c.stored
	}
	v.Body = "WITH w AS (SELECT (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a, (SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1) AS z FROM \"window\")\n" +
		"SELECT (SELECT ts FROM sample WHERE id >= f ORDER BY id LIMIT 1) AS ts, (SELECT ts FROM sample WHERE id <= l ORDER BY id DESC LIMIT 1) AS until, l = z AS holds" +
		t.selected("p") + "\n  FROM w CROSS JOIN " + fmt.Sprintf(`(SELECT subject, %[2]s, min(f) AS f, max(l) AS l
          FROM (SELECT *, l - sum(l - f + 1) OVER (PARTITION BY subject, %[2]s ORDER BY f) AS stretch
                  FROM (SELECT id & 4294967295 AS subject, max((id >> 32) - length, a) AS f, min(id >> 32, z) AS l, %[2]s
                          FROM w CROSS JOIN %[1]s_span ON id BETWEEN a << 32 AND ((z + %[3]d) << 32) - 1 AND (id >> 32) - length <= z
                        UNION ALL
                        SELECT subject, max(from_sample, a), z, %[2]s FROM w CROSS JOIN %[1]s_open ON from_sample <= z))
         GROUP BY subject, %[2]s, stretch) p`, t.Subject, same, t.K) +
		"\n  CROSS JOIN " + t.Subject + " s ON s.id = p.subject" + t.meanings("p")
	return v
}

// nowView reads the newest sample. Its spans are the open ones, and, between the end of one
// run of the recorder and the first sample of the next, those that ended with it.
func (t *Table) nowView() View {
	v := t.historyView()
	v.Name += "_now"
	v.Doc = "The newest sample of " + t.Name + "."
	v.Body, v.Lives = "SELECT * FROM "+t.Name+" WHERE ts = (SELECT max(ts) FROM sample)", ""
	return v
}

// changesName is the stem of the views of deltas and rates: interface_counters gives
// interface_deltas.
func (t *Table) changesName() string {
	stem := strings.TrimSuffix(t.Name, "_counters")
	return strings.TrimSuffix(stem, "s")
}

// deltasView is the growth of each counter since the sample before.
//
// Where the span began earlier than this sample the counters stand still: 0. Where it
// begins with it, the span before it, if it ended with the sample before, is one look-up
// by primary key; if there is none (first seen, not read then, another boot) the growth is
// not known: NULL. If any counter of the subject fell it was reset or made again, and none
// of the others can be trusted either: then the span before it is taken for none. So it is where the subject counts from the
// beginning; see recounting. Where it is known to have been 0 before it came, all of it is growth; see fromZero.
//
// Of a table that not every sample reads, those that did not have no row, and the growth is that since the last reading. Of samples
// that were thinned, one that did not read may show what another found.
func (t *Table) deltasView() View { return t.deltasOf(t.Counters()) }

// deltasOf is deltasView for some of the counters.
func (t *Table) deltasOf(counters []Column) View {
	elapsed := Column{Name: "elapsed_s", Unit: "s", Doc: "Time since the sample before, by the monotonic clock."}
	v := View{
		Name: t.changesName() + "_deltas", From: t,
		Doc:     "Growth of the counters of " + t.Name + " since the sample before; NULL at first sight and after a reset.",
		Columns: []Column{tsColumn, elapsed},
	}
	elapsedSQL := "p.elapsed_s"
	if t.readBy != "" {
		v.Columns[1].Doc = "Time since the last sample that read them, by the monotonic clock."
		v.Doc = "Growth of the counters of " + t.Name + " since the last sample that read them, in those that did; NULL at first sight and after a reset."
		elapsedSQL = "p.up - coalesce(" + t.lastRead() + ", p.before_up) AS elapsed_s"
	}
	names := "SELECT p.ts,\n       " + elapsedSQL
	ref := 0
	for _, c := range t.Columns {
		switch {
		case c.Role != Value && !c.Counter && c.Ref == nil:
			names += ",\n       " + t.selects(c.home("p", "t"), c)
			v.Columns = append(v.Columns, c)
		case c.Ref != nil:
			for _, shown := range c.Show {
				names += ",\n       " + t.selects(fmt.Sprintf("r%d", ref), shown)
				v.Columns = append(v.Columns, shown)
			}
			ref++
		}
	}
	var inSpan, inTuple, fell, moved, rareFell []string
	for _, c := range counters {
		now := c.half.part(c.stored)
		if c.half != whole {
			now = "(" + now + ")"
		}
		first := ""
		if t.fromZero != "" {
			first = fmt.Sprintf(", iif(s.first_sample = p.at AND %s = 1, %s, NULL)", t.fromZero, now)
		}
		names += fmt.Sprintf(",\n       coalesce(%[1]s - %[2]s_was, %[1]s * still%[3]s) AS %[2]s", now, c.Name, first)
		was := fmt.Sprintf("%s AS %s_was", now, c.Name)
		if c.Role == Rare {
			inTuple = append(inTuple, was)
			rareFell = append(rareFell, fmt.Sprintf("t.%[1]s < w.%[1]s", c.stored))
		} else {
			inSpan = append(inSpan, was)
			fell = append(fell, fmt.Sprintf("%s < %s_was", now, c.Name))
			moved = append(moved, fmt.Sprintf("%s > %s_was", now, c.Name))
		}
		c.Doc = "Growth since the sample before: " + lowerFirst(c.Doc)
		v.Columns = append(v.Columns, c)
	}
	if len(inTuple) > 0 || t.recounts {
		inSpan = append(inSpan, "tuple AS tuple_was")
	}
	joins := fmt.Sprintf("\n  LEFT JOIN (SELECT id, %s FROM %s_span) q ON q.id = CASE WHEN still IS NULL THEN before << 32 | s.id END\n   AND (%s) IS NOT TRUE",
		strings.Join(inSpan, ", "), t.Subject, strings.Join(fell, " OR "))
	if t.recounts {
		joins += " AND tuple_was = tuple"
	}
	if len(inTuple) > 0 {
		joins += fmt.Sprintf("\n   AND NOT EXISTS (SELECT 1 FROM %s_tuple w WHERE w.id = tuple_was AND tuple_was <> tuple AND (%s))",
			t.Subject, strings.Join(rareFell, " OR ")) +
			fmt.Sprintf("\n  LEFT JOIN (SELECT id, %s FROM %s_tuple) u ON u.id = tuple_was", strings.Join(inTuple, ", "), t.Subject)
	}
	var where []string
	if t.counterRows != "" {
		where = append(where, t.counterRows)
	}
	if t.readBy != "" {
		where = append(where, "("+strings.Join(moved, " OR ")+" OR NOT "+t.unread()+")")
	}
	if where != nil {
		joins += "\n WHERE " + strings.Join(where, " AND ")
	}
	// The sample before counts only within the same boot.
	before := "sample m LEFT JOIN sample b ON b.id = m.id - coalesce(m.back, 1) AND (SELECT boot FROM run WHERE id = b.run) = (SELECT boot FROM run WHERE id = m.run)\n         "
	more := ", m.uptime_s - b.uptime_s AS elapsed_s, b.id AS before, CASE WHEN coalesce((p.id >> 32) - p.length, o.from_sample) <= b.id THEN 0 END AS still"
	if t.readBy != "" || t.fromZero != "" {
		more += ", m.id AS at, m.uptime_s AS up, b.uptime_s AS before_up"
	}
	v.Body = names + "\n  " + t.from(t.spans(before, more)) + joins
	return v
}

// sourceOf joins to spans x of sources what tells whose they are, and which of them are of the source that reads a subject s.
func (t *Table) sourceOf() (join, is string) {
	return "CROSS JOIN source o ON o.id = %s CROSS JOIN source_tuple y ON y.id = x.tuple", fmt.Sprintf("source = '%s' AND o.netns IS %s", t.readBy, t.netns())
}

// netns is the network namespace of a subject s; what is of the whole machine has none.
func (t *Table) netns() string {
	if slices.ContainsFunc(t.id, func(c Column) bool { return c.Name == "netns" }) {
		return "s.netns"
	}
	return "NULL"
}

// unread is the condition that the source was kept at the sample of a span p: so says the first of its spans that ends there or later, else
// the one that holds.
func (t *Table) unread() string {
	join, is := t.sourceOf()
	return fmt.Sprintf(`coalesce((SELECT outcome FROM source_span x %s
        WHERE x.id BETWEEN p.at << 32 AND p.at + %d << 32 AND %s ORDER BY x.id LIMIT 1),
       (SELECT outcome FROM source_open x %s WHERE %[3]s)) IS 'kept'`,
		fmt.Sprintf(join, "x.id & 4294967295"), Sources.K, is, fmt.Sprintf(join, "x.subject"))
}

// lastRead is the uptime of the last sample that read the source, where the one before a span p kept it: the span of the source that
// ends with that one begins after it. Such a source is not kept for half of K samples, so that none of these spans is cut.
func (t *Table) lastRead() string {
	join, is := t.sourceOf()
	return fmt.Sprintf(`(SELECT z.uptime_s FROM source_span x %s CROSS JOIN sample z ON z.id = (x.id >> 32) - x.length - 1
        WHERE p.before = p.at - 1 AND x.id BETWEEN p.before << 32 AND p.before << 32 | 4294967295 AND %s AND outcome = 'kept')`,
		fmt.Sprintf(join, "x.id & 4294967295"), is)
}

// ratesView divides the deltas by the time that passed.
func (t *Table) ratesView() View {
	deltas := t.deltasView()
	v := View{
		Name: t.changesName() + "_rates", From: t,
		Doc: "The same per second.",
	}
	var names []string
	counters := map[string]bool{}
	for _, c := range t.Counters() {
		counters[c.Name] = true
	}
	for _, c := range deltas.Columns {
		if !counters[c.Name] {
			names = append(names, c.Name)
			v.Columns = append(v.Columns, c)
			continue
		}
		names = append(names, fmt.Sprintf("%s / elapsed_s AS %s_per_s", c.Name, c.Name))
		c.Doc = "Per second: " + lowerFirst(strings.TrimPrefix(c.Doc, "Growth since the sample before: "))
		c.Name += "_per_s"
		if c.Unit != "" {
			c.Unit += "/s"
		}
		v.Columns = append(v.Columns, c)
	}
	v.Body = "SELECT " + strings.Join(names, ",\n       ") + "\n  FROM " + deltas.Name
	return v
}

// changesSuffix ends the names of the views of changes.
const changesSuffix = "_changes"

// changesView lists when subjects came, went and changed.
//
// It reads the few spans there are and not the samples: a span that begins with a sample is
// a change, unless the span before it says the same (it was cut at its full length). Of a subject of which the
// kernel told since the sample before, the log of events says it all: see Events.
func (t *Table) changesView() View {
	v := View{
		Name: strings.TrimSuffix(t.Subject, "_table") + changesSuffix, From: t,
		Doc: "When " + t.Name + " came, went and changed, within one boot.",
		Columns: []Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "When it happened, if exact; else it happened at ts at the latest: the sample that first saw it so, or when the event was read."},
			{Name: "after", Unit: "unix s", kind: kindTime, Doc: "It happened between after and ts. Of what a sample saw, the last sample that saw it otherwise, and of a setting the last that read it; of an event, the last sample before it: those later than after show it."},
			{Name: "change", Doc: "added, removed or changed."},
			{Name: "learnt", Doc: "How: event, when the kernel told of it; dump, when a sample saw it."},
			{Name: "exact", Doc: "1 when ts is known to a millisecond, else 0."},
		},
		Body: t.changesFrom(spansOfChanges{
			closed: "FROM " + t.Subject + "_span p",
			open:   "FROM " + t.Subject + "_open p",
			gone:   "FROM " + t.Subject + " s WHERE s.last_sample IS NOT NULL",
			told:   "FROM " + t.Subject + "_event e",
		}) + "\n ORDER BY ts",
	}
	if t.ageing.column != "" {
		v.Doc = strings.TrimSuffix(v.Doc, ".") + "; " + t.ageing.doc + "."
	}
	v.Columns = append(slices.Concat(v.Columns, t.id, t.rare, t.actor),
		Column{Name: "was", Doc: "What it was before: of a change, the columns that changed."},
		Column{Name: "now", Doc: "What it is since then."})
	return v
}

// spansOfChanges say from where changes are read: each is FROM and a table, with conditions.
type spansOfChanges struct {
	closed, open, gone, told string

	brief bool // without the columns after and learnt
}

// changesFrom selects the columns of changesView. All that may change about a subject stands in its tuple: t is what it is
// since then, or what it was last if it went, u what it was before.
func (t *Table) changesFrom(from spansOfChanges) string {
	name := t.Subject
	var is, old, was, wasNull, told, nobody, differs, before, said, unsaid []string
	for _, c := range t.id {
		is = append(is, t.selects("s", c))
		told = append(told, t.selects("e", c))
	}
	for _, c := range t.rare {
		is = append(is, t.selects("t", c))
		told = append(told, t.selects("e", c))
		old, was = append(old, c.stored+" AS "+c.stored+"_was"), append(was, c.stored+"_was")
		wasNull = append(wasNull, "NULL")
		differs, before = append(differs, t.ageless(c, c.stored)), append(before, t.ageless(c, c.stored+"_was"))
		said = append(said, fmt.Sprintf("iif(%[1]s IS %[1]s_was, '', ' %[1]s=' || coalesce(%[1]s, 'NULL'))", c.Name))
		unsaid = append(unsaid, fmt.Sprintf("iif(%[1]s IS %[1]s_was, '', ' %[1]s=' || coalesce(%[1]s_was, 'NULL'))", c.Name))
	}
	for _, c := range t.actor {
		nobody = append(nobody, "NULL AS "+c.stored)
		told = append(told, t.selects("e", c))
	}
	list := func(lists ...[]string) string { return strings.Join(slices.Concat(lists...), ", ") }
	// The span before is nearly always the one that ended with the sample before. Where its
	// source failed meanwhile it is further back.
	var after, kept, seenAfter, seenLearnt, toldAfter, toldLearnt string
	columns := "ts, change, exact, "
	if !from.brief {
		after, kept = t.lastReading()
		seenAfter, toldAfter = after+" AS after, ", "b.ts, "
		seenLearnt, toldLearnt = "'dump' AS learnt, ", "e.learnt, "
		columns = "ts, after, change, learnt, exact, "
	}
	body := "SELECT " + columns + columnNames(slices.Concat(t.id, t.rare, t.actor)) + fmt.Sprintf(`,
       CASE change WHEN 'removed' THEN said WHEN 'changed' THEN coalesce(was, trim(%[10]s)) END AS was,
       CASE change WHEN 'removed' THEN NULL WHEN 'changed' THEN coalesce(now, said) ELSE said END AS now
  FROM (SELECT *, trim(%[9]s) AS said
  FROM (SELECT m.ts, %[12]sCASE WHEN turn.tuple IS NULL THEN 'removed' WHEN q.id IS NULL THEN 'added' ELSE 'changed' END AS change, %[14]s0 AS exact,
               %[2]s, NULL AS was, NULL AS now
          FROM (SELECT p.id & 4294967295 AS subject, (p.id >> 32) - p.length AS first, p.tuple %[3]s
                UNION ALL
                SELECT p.subject, p.from_sample, p.tuple %[4]s
                UNION ALL
                SELECT s.id, s.gone_sample, NULL %[5]s) turn
          CROSS JOIN %[1]s s ON s.id = turn.subject
          LEFT JOIN %[1]s_span q ON q.id = CASE WHEN turn.tuple IS NULL THEN s.last_sample << 32 | s.id WHEN turn.first > s.first_sample THEN coalesce(
               (SELECT id FROM %[1]s_span WHERE id = (turn.first - 1) << 32 | s.id),
               (SELECT id FROM %[1]s_span WHERE id < turn.first << 32 AND id & 4294967295 = s.id ORDER BY id DESC LIMIT 1)) END
          CROSS JOIN %[1]s_tuple t ON t.id = coalesce(turn.tuple, q.tuple)
          LEFT JOIN (SELECT id, %[11]s FROM %[1]s_tuple) u ON u.id = q.tuple AND turn.tuple IS NOT NULL
          CROSS JOIN sample m ON m.id = turn.first CROSS JOIN run mr ON mr.id = m.run
          CROSS JOIN sample b ON b.id = coalesce(q.id >> 32, m.id - 1) CROSS JOIN run br ON br.id = b.run%[13]s
         WHERE turn.tuple IS NOT q.tuple AND (u.id IS NULL OR (%[6]s) IS NOT (%[7]s))
           AND (turn.tuple IS NULL OR br.boot = mr.boot)%[8]s%[15]s`,
		name, list(is, nobody, was), from.closed, from.open, from.gone, list(differs), list(before), t.untold(),
		strings.Join(said, " || "), strings.Join(unsaid, " || "), list(old), seenAfter, kept, seenLearnt, t.unlooked())
	if t.events != nil {
		body += fmt.Sprintf(`
        UNION ALL
        SELECT e.ts, %se.change, %se.learnt = 'event' AND e.late_ms IS NULL, %s, e.was, e.now
          %s CROSS JOIN sample b ON b.id = e.sample - 1`, toldAfter, toldLearnt, list(told, wasNull), from.told)
	}
	return body + "))"
}

// lastReading is the time of the last sample that read the source of a subject s up to b, and the join that it needs. It is
// NULL when the recording has no such sample. The source has the name of the table, or that of readBy. A source that was kept has been
// looked at, but for one whose changes come unannounced.
//
// Where the source was not read at b, its span that says so ends there: what changed next was read, or the run was over.
func (t *Table) lastReading() (after, join string) {
	source, read := t.Name, "IN ('read', 'incomplete', 'kept')"
	if t.readBy != "" {
		source, read = t.readBy, "IN ('read', 'incomplete')"
	}
	return `iif(k.id IS NULL, b.ts, (SELECT ts FROM sample WHERE id = (
                 SELECT x.id >> 32 FROM source_span x CROSS JOIN source_tuple y ON y.id = x.tuple
                  WHERE x.id < k.id AND x.id & 4294967295 = k.id & 4294967295 AND outcome ` + read + ` ORDER BY x.id DESC LIMIT 1)))`,
		fmt.Sprintf(`
          LEFT JOIN source_span k ON k.id = (
               SELECT x.id FROM source_span x CROSS JOIN source o ON o.id = x.id & 4294967295 CROSS JOIN source_tuple y ON y.id = x.tuple
                WHERE x.id BETWEEN b.id << 32 AND b.id << 32 | 4294967295 AND source = '%s' AND o.netns IS %s AND outcome NOT %s)`, source, t.netns(), read)
}

// unlooked is the condition that the source was read before the subject came, of a table that is younger than the recording may be: an older
// version of netsql did not look.
func (t *Table) unlooked() string {
	if !t.younger {
		return ""
	}
	return fmt.Sprintf("\n           AND (q.id IS NOT NULL OR (SELECT min(first_sample) FROM source WHERE source = '%s') > b.id IS NOT TRUE)", t.Name)
}

// untold is the condition that the kernel told nothing of the subject.
func (t *Table) untold() string {
	if t.events == nil {
		return ""
	}
	return fmt.Sprintf("\n           AND NOT EXISTS (SELECT 1 FROM %s x WHERE x.%s = s.id AND x.sample = m.id)", t.events.Name, t.Subject)
}

// ageless is the value without what the column does by itself.
func (t *Table) ageless(c Column, value string) string {
	if t.ageing.column != c.Name {
		return value
	}
	return fmt.Sprintf(t.ageing.as, value)
}

// lowerFirst turns a sentence into the end of another, but leaves names such as TCP alone.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

//go:embed views/*.sql
var viewFiles embed.FS

// writtenViews are those that stand in files of their own. The comment at the head of a file is
// their reference: first the sentence, then a line for each column.
//
//	-- Which process …?
//	--
//	-- column_name (unit): Sentence.
func writtenViews() []View {
	names, err := fs.Glob(viewFiles, "views/*.sql")
	if err != nil {
		panic(err)
	}
	var views []View
	for _, name := range names {
		text, err := viewFiles.ReadFile(name)
		if err != nil {
			panic(err)
		}
		v, err := parseView(strings.TrimSuffix(path.Base(name), ".sql"), string(text))
		if err != nil {
			panic(err)
		}
		views = append(views, v)
	}
	return views
}

var (
	viewColumn  = regexp.MustCompile(`^(\w+)(?: \(([^)]+)\))?: (.+)$`)
	viewUnitRef = regexp.MustCompile(`\b(K|CHANGES|WHOLE)_(\w+)\b`)
	viewPlace   = regexp.MustCompile(`\{\w+(\|[^{}]*)?\}`)
	viewNumber  = regexp.MustCompile(`^\d+_`)
)

// parseView reads a view's file. In its SQL, K_sockets stands for the K of sockets, CHANGES_routes for the changes
// of routes within a window and WHOLE_close for the rows of the log close with what stands in their tuples. Places
// in braces are for variants of the view, see fill. Files may begin with a number, which
// only gives the order.
func parseView(name, text string) (View, error) {
	v := View{Name: viewNumber.ReplaceAllString(name, "")}
	body := text
	for line := range strings.Lines(text) {
		comment, ok := strings.CutPrefix(line, "--")
		if !ok {
			break
		}
		body = body[len(line):]
		comment = strings.TrimSpace(comment)
		switch m := viewColumn.FindStringSubmatch(comment); {
		case comment == "":
		case m != nil && v.Doc != "":
			c := Column{Name: m[1], Unit: m[2], Doc: m[3], Role: Value}
			if c.Unit == "unix s" {
				c.kind = kindTime
			}
			v.Columns = append(v.Columns, c)
		case len(v.Columns) > 0: // goes on
			c := &v.Columns[len(v.Columns)-1]
			c.Doc += " " + comment
		default:
			v.Doc = strings.TrimSpace(v.Doc + " " + comment)
		}
	}
	var unknown error
	v.template = viewUnitRef.ReplaceAllStringFunc(strings.TrimRight(strings.TrimSpace(body), ";"), func(ref string) string {
		what, table, _ := strings.Cut(ref, "_")
		if what == "WHOLE" && table == Closes.Name {
			return Closes.whole()
		}
		t := tableNamed(table)
		switch {
		case t == nil:
			unknown = fmt.Errorf("view %s: no table %s", name, ref)
			return ref
		case what == "CHANGES":
			return t.changesWithin(true)
		}
		return strconv.FormatInt(t.K, 10)
	})
	v.Body = v.fill(nil)
	return v, unknown
}

// fill is the SELECT with a text at each of its places. A place is {name} or {name|text}, with the text that stands there
// where none is given.
func (v View) fill(texts map[string]string) string {
	if !strings.Contains(v.template, "{") {
		return v.template
	}
	return viewPlace.ReplaceAllStringFunc(v.template, func(place string) string {
		name, usual, _ := strings.Cut(place[1:len(place)-1], "|")
		if text, ok := texts[name]; ok {
			return text
		}
		return usual
	})
}

// viewsSum tells whether a file holds the views of this program. The recorder keeps it and not their text, which it needs once at most.
var viewsSum = sync.OnceValue(func() string {
	hash := sha256.New()
	for _, v := range makeViews() {
		hash.Write([]byte(v.Name + v.Body))
	}
	return hex.EncodeToString(hash.Sum(nil))
})

// installViews makes the file hold the views of this program, in the caller's transaction.
func installViews(ctx context.Context, q *sql.Conn) error {
	want := viewsSum()
	var have sql.NullString
	if err := q.QueryRowContext(ctx, "SELECT views FROM recording").Scan(&have); err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	if have.String == want {
		return nil
	}
	if err := dropViews(ctx, q); err != nil {
		return err
	}
	var script strings.Builder
	views := makeViews()
	for _, v := range views {
		script.WriteString(v.create() + ";\n")
	}
	script.WriteString(makeWords(views))
	fmt.Fprintf(&script, "UPDATE recording SET views = '%s';", want)
	if _, err := q.ExecContext(ctx, script.String()); err != nil {
		return fmt.Errorf("install the views: %w", err)
	}
	return nil
}

// dropViews takes all views out of the file, in the caller's transaction.
func dropViews(ctx context.Context, q *sql.Conn) error {
	rows, err := q.QueryContext(ctx, "SELECT type, name FROM sqlite_schema WHERE type = 'view' OR "+isWords)
	if err != nil {
		return err
	}
	var script strings.Builder
	for rows.Next() {
		var kind, name string
		if err := rows.Scan(&kind, &name); err != nil {
			rows.Close()
			return err
		}
		fmt.Fprintf(&script, "DROP %s \"%s\";\n", kind, strings.ReplaceAll(name, `"`, `""`))
	}
	if err := rows.Close(); err != nil {
		return err
	}
	script.WriteString("UPDATE recording SET views = NULL;")
	if _, err := q.ExecContext(ctx, script.String()); err != nil {
		return fmt.Errorf("take out the views: %w", err)
	}
	return nil
}

func (v View) create() string { return "CREATE VIEW " + v.Name + " AS\n" + cmp.Or(v.InFile, v.Body) }
