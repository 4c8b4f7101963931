package store

import (
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
	From    *Table  // the table whose history, newest sample or changes it shows, if one
	Rollup  *Rollup // that it shows, if one
}

// Views lists every view of a recording, in the order of the reference.
func Views() []View { return allViews() }

var allViews = sync.OnceValue(func() []View {
	views := writtenViews()
	for _, t := range Tables() {
		views = append(views, t.historyView(), t.nowView())
		if len(t.Counters()) > 0 {
			views = append(views, t.deltasView(), t.ratesView())
		}
		if t.events != nil || t == Settings.Table {
			views = append(views, t.changesView())
		}
	}
	return append(append(views, rollupViews()...), coreViews()...)
})

// tsColumn is the first column of every history.
var tsColumn = Column{Name: "ts", Unit: "unix s", kind: kindTime,
	Doc: "Time of the sample; the same in every table, so tables join on it."}

// source is a piece of a view over one table: the closed spans or the open ones.
//
// The loops are nested as written (CROSS JOIN): first the samples, which a condition on ts
// narrows down, then the short range of spans, then the look-ups by number.
func (t *Table) from(spans string) string {
	var b strings.Builder
	b.WriteString(spans)
	subject := "p.subject"
	if strings.Contains(spans, "_span p") {
		subject = "(p.id & 4294967295)"
	}
	fmt.Fprintf(&b, "\n  CROSS JOIN %s s ON s.id = %s", t.Subject, subject)
	if len(t.rare) > 0 {
		fmt.Fprintf(&b, "\n  CROSS JOIN %s_tuple t ON t.id = p.tuple", t.Subject)
	}
	for i, c := range t.refs() {
		fmt.Fprintf(&b, "\n  LEFT JOIN %s r%d ON r%d.id = %s.%s", c.Ref.Subject, i, i, c.home("p", "t"), c.stored)
	}
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

// expression is how the column is read.
func (c Column) expression(span, tuple string) string {
	home := c.home(span, tuple)
	if c.micros {
		return fmt.Sprintf("%s.%s / 1000.0", home, c.stored)
	}
	return home + "." + c.stored
}

// selected are the columns of the history view as SQL.
func (t *Table) selected() string {
	var b strings.Builder
	ref := 0
	for _, c := range t.Columns {
		if c.Ref == nil {
			fmt.Fprintf(&b, ",\n       %s AS %s", c.expression("p", "t"), c.Name)
			continue
		}
		for _, shown := range c.Show {
			fmt.Fprintf(&b, ",\n       r%d.%s AS %s", ref, shown.stored, shown.Name)
		}
		ref++
	}
	return b.String()
}

// closedSpans are the spans of sample m that have ended; openSpans those that still hold.
func (t *Table) closedSpans() string {
	return fmt.Sprintf("FROM sample m CROSS JOIN %s_span p ON p.id BETWEEN m.id << 32 AND ((m.id + %d) << 32) - 1 AND (p.id >> 32) - p.length <= m.id",
		t.Subject, t.K)
}

func (t *Table) openSpans() string {
	return fmt.Sprintf("FROM sample m CROSS JOIN %s_open p ON p.from_sample <= m.id", t.Subject)
}

func (t *Table) historyView() View {
	columns := "SELECT m.ts AS ts" + t.selected() + "\n  "
	return View{
		Name: t.Name, Doc: t.Doc, From: t,
		Columns: append([]Column{tsColumn}, t.Shown()...),
		Body:    columns + t.from(t.closedSpans()) + "\nUNION ALL\n" + columns + t.from(t.openSpans()),
	}
}

// nowView reads the newest sample. Its spans are the open ones, and, between the end of one
// run of the recorder and the first sample of the next, those that ended with it.
func (t *Table) nowView() View {
	v := t.historyView()
	v.Name += "_now"
	v.Doc = "The newest sample of " + t.Name + "."
	v.Body = strings.ReplaceAll(v.Body, "FROM sample m", "FROM (SELECT id, ts FROM sample ORDER BY id DESC LIMIT 1) m")
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
// not known: NULL. If any counter of the subject fell it was reset or made anew, and none
// of the others can be trusted either.
func (t *Table) deltasView() View { return t.deltasOf(t.Counters()) }

// deltasOf is deltasView for some of the counters.
func (t *Table) deltasOf(counters []Column) View {
	elapsed := Column{Name: "elapsed_s", Unit: "s", Doc: "Time since the sample before, by the monotonic clock."}
	v := View{
		Name: t.changesName() + "_deltas", From: t,
		Doc:     "Growth of the counters of " + t.Name + " since the sample before; NULL at first sight and after a reset.",
		Columns: []Column{tsColumn, elapsed},
	}
	var names, fell strings.Builder
	for _, c := range counters {
		if fell.Len() > 0 {
			fell.WriteString(" OR ")
		}
		fmt.Fprintf(&fell, "%s < %s", c.expression("p", "t"), c.expression("q", "u"))
	}
	ref := 0
	for _, c := range t.Columns {
		switch {
		case c.Role != Value && !c.Counter && c.Ref == nil:
			fmt.Fprintf(&names, ",\n       %s AS %s", c.expression("p", "t"), c.Name)
			v.Columns = append(v.Columns, c)
		case c.Ref != nil:
			for _, shown := range c.Show {
				fmt.Fprintf(&names, ",\n       r%d.%s AS %s", ref, shown.stored, shown.Name)
				v.Columns = append(v.Columns, shown)
			}
			ref++
		}
	}
	for _, c := range counters {
		fmt.Fprintf(&names, ",\n       CASE WHEN b.id IS NULL THEN NULL WHEN p.first < m.id THEN %[1]s - %[1]s WHEN %[3]s THEN NULL ELSE %[1]s - %[2]s END AS %[4]s",
			c.expression("p", "t"), c.expression("q", "u"), fell.String(), c.Name)
		c.Doc = "Growth since the sample before: " + lowerFirst(c.Doc)
		v.Columns = append(v.Columns, c)
	}
	where := ""
	if t == ProtocolCounters.Table {
		where = "\n WHERE t.kind = 'counter'"
	}
	// The sample before counts only within the same boot.
	before := "\n  LEFT JOIN sample b ON b.id = m.id - 1 AND (SELECT boot FROM run WHERE id = b.run) = (SELECT boot FROM run WHERE id = m.run)" +
		"\n  LEFT JOIN " + t.Subject + "_span q ON q.id = (m.id - 1) << 32 | s.id"
	if len(t.rare) > 0 {
		before += "\n  LEFT JOIN " + t.Subject + "_tuple u ON u.id = q.tuple"
	}
	piece := func(spans, first string) string {
		return "SELECT m.ts AS ts,\n       m.uptime_s - b.uptime_s AS elapsed_s" +
			strings.ReplaceAll(names.String(), "p.first", first) + "\n  " + t.from(spans) + before + where
	}
	v.Body = piece(t.closedSpans(), "((p.id >> 32) - p.length)") + "\nUNION ALL\n" + piece(t.openSpans(), "p.from_sample")
	return v
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

// changesView lists when subjects came, went and changed.
//
// It reads the few spans there are and not the samples: a span that begins with a sample is
// a change, unless the span before it says the same (it was cut at its full length). Of a subject of which the
// kernel told since the sample before, the log of events says it all: see Events.
func (t *Table) changesView() View {
	v := View{
		From: t,
		Doc:  "When " + t.Name + " came, went and changed, within one boot.",
		Columns: []Column{
			{Name: "ts", Unit: "unix s", kind: kindTime, Doc: "When it happened, if it was learnt from an event; else the sample that first saw it so."},
			{Name: "after", Unit: "unix s", kind: kindTime, Doc: "The last sample that saw it otherwise: it happened between after and ts. Of an event, the last sample before it."},
			{Name: "change", Doc: "added, removed or changed."},
			{Name: "learnt", Doc: "How: event, when the kernel told of it at once; dump, when a sample saw it."},
		},
	}
	if t == Addresses.Table {
		v.Name = "address_changes"
	} else {
		v.Name = strings.TrimSuffix(t.Name, "s") + "_changes"
	}
	if t == Neighbors.Table {
		v.Doc = "When neighbors came, went and changed, within one boot; not that an entry aged, or was looked for in vain once more."
	}
	var names, was, now, differ strings.Builder
	for _, c := range t.id {
		fmt.Fprintf(&names, ", s.%s AS %s", c.stored, c.Name)
		v.Columns = append(v.Columns, c)
	}
	for i, c := range t.values() {
		old, new := c.expression("q", "u"), c.expression("p", "t")
		if i > 0 {
			was.WriteString(" || ")
			now.WriteString(" || ")
			differ.WriteString(" OR ")
		}
		fmt.Fprintf(&differ, "%s IS NOT %s", ageless(t, c, new), ageless(t, c, old))
		fmt.Fprintf(&was, "iif(%[1]s IS NOT %[2]s, ' %[3]s=' || coalesce(%[2]s, 'NULL'), '')", new, old, c.Name)
		fmt.Fprintf(&now, "iif(%[1]s IS NOT %[2]s, ' %[3]s=' || coalesce(%[1]s, 'NULL'), '')", new, old, c.Name)
	}
	// The values after the change, or, of one that went, the last.
	var after, last strings.Builder
	for _, c := range t.values() {
		fmt.Fprintf(&after, ", %s AS %s", c.expression("p", "t"), c.Name)
		fmt.Fprintf(&last, ", %s AS %s", c.expression("q", "u"), c.Name)
		v.Columns = append(v.Columns, c)
	}
	v.Columns = append(v.Columns,
		Column{Name: "was", Doc: "What it was before: of a change, the columns that changed."},
		Column{Name: "now", Doc: "What it is since then."})
	untold := ""
	if t.events != nil {
		untold = fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s x WHERE x.%s = s.id AND x.sample = m.id)", t.events.Name, t.Subject)
	}
	before := func(first string) string {
		// The span before is nearly always the one that ended with the sample before. Where its
		// source failed meanwhile it is further back.
		s := fmt.Sprintf(`
  LEFT JOIN %[1]s_span q ON p.first > s.first_sample AND q.id = coalesce(
       (SELECT id FROM %[1]s_span WHERE id = (p.first - 1) << 32 | s.id),
       (SELECT id FROM %[1]s_span WHERE id < p.first << 32 AND id & 4294967295 = s.id ORDER BY id DESC LIMIT 1))`, t.Subject)
		if len(t.rare) > 0 {
			s += "\n  LEFT JOIN " + t.Subject + "_tuple u ON u.id = q.tuple"
		}
		s += "\n  CROSS JOIN sample m ON m.id = p.first CROSS JOIN run mr ON mr.id = m.run" +
			"\n  CROSS JOIN sample b ON b.id = coalesce(q.id >> 32, m.id - 1) CROSS JOIN run br ON br.id = b.run AND br.boot = mr.boot" +
			"\n WHERE (q.id IS NULL OR " + differ.String() + ")"
		if untold != "" {
			s += "\n   AND " + untold
		}
		return strings.ReplaceAll(s, "p.first", first)
	}
	begun := "SELECT m.ts AS ts, b.ts AS after, iif(q.id IS NULL, 'added', 'changed') AS change, 'dump' AS learnt" + names.String() + after.String() +
		",\n       iif(q.id IS NULL, NULL, trim(" + was.String() + ")) AS was,\n       trim(" + now.String() + ") AS now\n  "
	pieces := []string{
		begun + t.from("FROM "+t.Subject+"_span p") + before("((p.id >> 32) - p.length)"),
		begun + t.from("FROM "+t.Subject+"_open p") + before("p.from_sample"),
	}
	if t.events != nil {
		pieces = append(pieces, t.toldChanges())
	}

	// One that went: what it was last is the span that ended with its last sample. NULL compared
	// with it shows every column that had a value.
	gone := "SELECT m.ts AS ts, b.ts AS after, 'removed' AS change, 'dump' AS learnt" + names.String() + last.String() +
		",\n       trim(" + t.valuesText("q", "u") + ") AS was,\n       NULL AS now\n  FROM " + t.Subject + " s" +
		"\n  CROSS JOIN sample m ON m.id = s.gone_sample CROSS JOIN sample b ON b.id = s.last_sample" +
		"\n  CROSS JOIN " + t.Subject + "_span q ON q.id = s.last_sample << 32 | s.id"
	if len(t.rare) > 0 {
		gone += "\n  CROSS JOIN " + t.Subject + "_tuple u ON u.id = q.tuple"
	}
	gone += "\n WHERE s.last_sample IS NOT NULL"
	if untold != "" {
		gone += " AND " + untold
	}
	v.Body = strings.Join(append(pieces, gone), "\nUNION ALL\n") + "\n ORDER BY ts"
	return v
}

// toldChanges is the piece of the view of changes that reads the log of events.
func (t *Table) toldChanges() string {
	var cols strings.Builder
	for _, c := range append(slices.Clone(t.id), t.values()...) {
		fmt.Fprintf(&cols, ", e.%s AS %s", c.stored, c.Name)
	}
	all := "trim(" + t.valuesText("e", "e") + ")"
	return "SELECT e.ts AS ts, b.ts AS after, e.change AS change, e.learnt AS learnt" + cols.String() +
		",\n       iif(e.change = 'removed', " + all + ", e.was) AS was,\n       iif(e.change = 'added', " + all + ", e.now) AS now" +
		"\n  FROM " + t.events.Name + " e\n  CROSS JOIN sample b ON b.id = e.sample - 1"
}

// ageless is the value without what moves by itself: an entry of the neighbour table ages while it is used and while
// it is not, and one that cannot be found is looked for again and again.
func ageless(t *Table, c Column, value string) string {
	if t != Neighbors.Table || c.Name != "state" {
		return value
	}
	return "CASE WHEN " + value + " IN ('REACHABLE', 'STALE', 'DELAY', 'PROBE') THEN 'REACHABLE' WHEN " + value + " = 'INCOMPLETE' THEN 'FAILED' ELSE " + value + " END"
}

// valuesText prints the values that are known.
func (t *Table) valuesText(span, tuple string) string {
	var parts []string
	for _, c := range t.values() {
		parts = append(parts, fmt.Sprintf("coalesce(' %s=' || %s, '')", c.Name, c.expression(span, tuple)))
	}
	return strings.Join(parts, " || ")
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
	viewUnitRef = regexp.MustCompile(`\b(K|CHANGES)_(\w+)\b`)
	viewNumber  = regexp.MustCompile(`^\d+_`)
)

// parseView reads a view's file. In its SQL, K_sockets stands for the K of sockets and CHANGES_routes for the changes
// of routes within a window. Files may begin with a number, which only gives the order.
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
	v.Body = viewUnitRef.ReplaceAllStringFunc(strings.TrimRight(strings.TrimSpace(body), ";"), func(ref string) string {
		what, table, _ := strings.Cut(ref, "_")
		t := tableNamed(table)
		switch {
		case t == nil:
			unknown = fmt.Errorf("view %s: no table %s", name, ref)
			return ref
		case what == "CHANGES":
			return t.changesWithin()
		}
		return strconv.FormatInt(t.K, 10)
	})
	return v, unknown
}

// viewsHash tells whether a file holds the views of this program.
func viewsHash() string {
	hash := sha256.New()
	for _, v := range Views() {
		hash.Write([]byte(v.Name + v.Body))
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// installViews makes the file hold the views of this program, in the caller's transaction.
func installViews(ctx context.Context, q *sql.Conn) error {
	want := viewsHash()
	var have sql.NullString
	if err := q.QueryRowContext(ctx, "SELECT views FROM recording").Scan(&have); err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	if have.String == want {
		return nil
	}
	rows, err := q.QueryContext(ctx, "SELECT name FROM sqlite_schema WHERE type = 'view'")
	if err != nil {
		return err
	}
	var script strings.Builder
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			rows.Close()
			return err
		}
		fmt.Fprintf(&script, "DROP VIEW \"%s\";\n", strings.ReplaceAll(name, `"`, `""`))
	}
	if err := rows.Close(); err != nil {
		return err
	}
	for _, v := range Views() {
		script.WriteString(v.create() + ";\n")
	}
	fmt.Fprintf(&script, "UPDATE recording SET views = '%s';", want)
	if _, err := q.ExecContext(ctx, script.String()); err != nil {
		return fmt.Errorf("install the views: %w", err)
	}
	return nil
}

func (v View) create() string { return "CREATE VIEW " + v.Name + " AS\n" + v.Body }
