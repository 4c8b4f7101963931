package query

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"netsql/store"
)

// A conn is the connection on which statements run. It makes this program's views, as TEMP views, when a statement first names them: to make
// all of them takes longer than most answers.
type conn struct {
	*sql.Conn
	reads bool              // something was read, so that the schema is known
	made  map[string]string // what each view was made as
	hosts []string          // of a merged file

	window string // of a merged file: the SELECT of the view window, of each host; "": the last hour of its recording
}

// viewsByName has them by their names in small letters.
var viewsByName = sync.OnceValue(func() map[string]store.View {
	views := map[string]store.View{}
	for _, v := range store.Views() {
		views[strings.ToLower(v.Name)] = v
	}
	return views
})

// needed finds the views that a text names, wherever, and those that they name: one too many does no harm.
func needed(text string, found map[string]store.View) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r < utf8.RuneSelf && !partOfName(byte(r)) }) {
		v, is := viewsByName()[strings.ToLower(word)]
		if _, known := found[v.Name]; is && !known {
			found[v.Name] = v
			needed(sqlTexts.ReplaceAllString(v.Body, "''"), found)
		}
	}
}

// sqlTexts are the texts of a view, which may be of statements for people.
var sqlTexts = regexp.MustCompile(`'(?:[^']|\'\')*'`)

func partOfName(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// aboutSchema is a statement that asks what views there are: it sees all of them.
var aboutSchema = regexp.MustCompile(`(?i)pragma|_schema|_master|_list\b`)

// readsTables is a statement that reads something.
var readsTables = regexp.MustCompile(`(?i)\bfrom\b`)

// namesTables is a statement that may name a view.
var namesTables = regexp.MustCompile(`(?i)\b(from|in|join|into|update|table|view)\b`)

// prepare makes the views that the statement wants.
func (c *conn) prepare(ctx context.Context, statement string) error {
	if c.hosts != nil {
		return c.prepareOfHosts(ctx, statement)
	}
	found := map[string]store.View{}
	switch {
	case aboutSchema.MatchString(statement):
		for _, v := range store.Views() {
			found[v.Name] = v
		}
	case namesTables.MatchString(statement):
		needed(statement, found)
	}
	var script strings.Builder
	if !c.reads && readsTables.MatchString(statement) {
		c.reads = true
		script.WriteString("PRAGMA cache_size = -64000;\n") // kilobytes
	}
	apart := selfJoined(statement)
	for _, v := range heavyIn(statement) {
		c.workedOut(&script, v)
		delete(found, v.Name)
	}
	if v, is := found[oftenRead]; is && !aboutSchema.MatchString(statement) {
		c.workedOut(&script, v)
		delete(found, v.Name)
	}
	for _, v := range found {
		if v.Lives != "" && len(found) == 1 && asksAnyMoment(statement, v) {
			c.make(&script, v.Name, v.Lives)
			continue
		}
		body := bodyFor(v, apart)
		if v.Name == "events" {
			if objects := objectsAsked(statement); len(objects) > 0 {
				body = v.About(objects)
			}
		}
		if of, ok := ofCloses(statement, v); ok {
			body = of
		}
		if within, ok := v.ChangesWithin(momentsAsked(statement, v.Name)); ok {
			body = within
		}
		if sumsUp(statement, v.Name) {
			body = inAnyOrder(body)
		}
		c.make(&script, v.Name, body)
	}
	if script.Len() == 0 {
		return nil
	}
	// A statement that was cancelled must not leave half of them.
	if _, err := c.Conn.ExecContext(context.WithoutCancel(ctx), script.String()); err != nil {
		return err
	}
	if err := c.workOut(ctx, statement); err != nil || len(apart) == 0 {
		return err
	}
	if !c.readsEverySample(ctx, statement) {
		return nil
	}
	script.Reset() // moments that are no constants do not drive a view that is set apart
	for name := range apart {
		if v, is := viewsByName()[name]; is {
			c.make(&script, v.Name, v.Body)
		}
	}
	_, err := c.Conn.ExecContext(context.WithoutCancel(ctx), script.String())
	return err
}

// heavy are views of so many SELECTs that SQLite takes no other of that kind beside them: since version 3.54 a statement may have a thousand cursors
// before it reads "nested too deep", and growth alone has more.
// leaks is of growth, which therefore comes first.
var heavy = []string{"growth", "leaks", "events"}

// oftenRead is a view that others read many times in one statement: findings does so a hundred times.
const oftenRead = "symptom_episodes"

// heavyIn are the heavy views of a statement that names other tables besides.
func heavyIn(statement string) (views []store.View) {
	refs := tablesIn(statement, len(statement)).refs
	if len(refs) < 2 {
		return nil
	}
	for _, name := range heavy {
		if slices.ContainsFunc(refs, func(r tableRef) bool { return strings.EqualFold(r.table, name) }) {
			views = append(views, viewsByName()[name])
		}
	}
	return views
}

// workedOut adds to the script what makes a heavy view one of rows that are worked out once for the statement; see workOut.
func (c *conn) workedOut(script *strings.Builder, v store.View) {
	found := map[string]store.View{}
	needed(v.Body, found)
	for _, of := range found {
		c.make(script, of.Name, of.Body)
	}
	fmt.Fprintf(script, "CREATE TEMP TABLE IF NOT EXISTS %q (%s);\nDELETE FROM temp.%[1]q;\n", rowsOf(v), columnList(v))
	c.make(script, v.Name, fmt.Sprintf("SELECT * FROM temp.%q", rowsOf(v)))
}

// rowsOf is the table that holds the rows of a heavy view.
func rowsOf(v store.View) string { return v.Name + rowsSuffix }

const rowsSuffix = " rows"

// isRowsOfView reports whether a table is one of those.
func isRowsOfView(table string) bool {
	name, is := strings.CutSuffix(table, rowsSuffix)
	return is && (slices.Contains(heavy, name) || name == oftenRead)
}

// readsOften reports whether the statement reads the view that is read often, by itself or by others.
func (c *conn) readsOften(statement string) bool {
	if aboutSchema.MatchString(statement) || !namesTables.MatchString(statement) {
		return false
	}
	found := map[string]store.View{}
	needed(statement, found)
	_, is := found[oftenRead]
	return is
}

func columnList(v store.View) string {
	var names []string
	for _, c := range v.Columns {
		names = append(names, quotedName(c.Name))
	}
	return strings.Join(names, ", ")
}

// workOut fills the tables of the heavy views of a statement.
func (c *conn) workOut(ctx context.Context, statement string) error {
	views := heavyIn(statement)
	if c.readsOften(statement) {
		views = append(views, viewsByName()[oftenRead])
	}
	for _, v := range views {
		if _, err := c.Conn.ExecContext(ctx, fmt.Sprintf("INSERT INTO temp.%q %s", rowsOf(v), v.Body)); err != nil {
			return err
		}
	}
	return nil
}

// sumsUp reports whether a statement only sums up the rows of the view, so that their order does not matter.
func sumsUp(statement, view string) bool {
	all, end := readsOnly(statement, view)
	if end < 0 || all[0].text != "select" {
		return false
	}
	sums := false
	for i, w := range all {
		switch w.text {
		case "group_concat", "string_agg", "json_group_array", "json_group_object", "jsonb_group_array", "jsonb_group_object", "over", "limit", "union", "except", "intersect":
			return false
		case "select":
			if i > 0 {
				return false
			}
		case "count", "sum", "total", "avg", "min", "max":
			// With several arguments min and max sum up nothing.
			sums = sums || i < end && w.depth == 0 && i+3 < len(all) && all[i+1].text == "(" && (all[i+2].kind == tokenWord || all[i+2].text == "*") && all[i+3].text == ")"
		case "group":
			sums = sums || i >= end && w.depth == 0
		}
	}
	return sums
}

// inAnyOrder is the body of a view without the ORDER BY at its end: SQLite would sort what is then only counted.
func inAnyOrder(body string) string {
	i := strings.LastIndex(body, "\n ORDER BY ")
	if i < 0 || strings.Contains(body[i+1:], "\n") || strings.Contains(body[i:], ")") {
		return body
	}
	return body[:i]
}

// make adds to the script what makes the view so, unless it is so.
func (c *conn) make(script *strings.Builder, name, body string) {
	before, is := c.made[name]
	if is && before == body {
		return
	}
	if is {
		fmt.Fprintf(script, "DROP VIEW temp.\"%s\";\n", name)
	}
	c.made[name] = body
	fmt.Fprintf(script, "CREATE TEMP VIEW \"%s\" AS\n%s;\n", name, body)
}

// readsEverySample reports whether the plan of a statement goes through all samples of a view of them, where they are called m.
// What is wrong with a statement its own run tells.
func (c *conn) readsEverySample(ctx context.Context, statement string) bool {
	rows, err := c.Conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+explained.ReplaceAllString(statement, ""))
	if err != nil {
		return false
	}
	defer rows.Close()
	every := false
	for rows.Next() {
		var id, parent, unused int64
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return false
		}
		every = every || detail == "SCAN m" || strings.HasPrefix(detail, "SCAN m USING ")
	}
	return every
}

// explained is what stands before a statement whose plan is asked for.
var explained = regexp.MustCompile(`(?i)^\s*explain\b(\s+query\s+plan\b)?`)

// aSource is what may be a view or table of a FROM clause, or the SELECT with which another begins.
var aSource = regexp.MustCompile(`(?i)(?:\b(?:from|join)\s+|,\s*)(?:\w+\.)?"?(\w+)"?|\bselect\b`)

// selfJoined are the names, in small letters, that stand twice in one FROM clause. Columns and strings may be taken for names: then a view
// is set apart that need not be.
func selfJoined(statement string) map[string]bool {
	here, twice := map[string]bool{}, map[string]bool{}
	for _, m := range aSource.FindAllStringSubmatch(statement, -1) {
		name := strings.ToLower(m[1])
		if name == "" {
			clear(here)
			continue
		}
		if here[name] {
			twice[name] = true
		}
		here[name] = true
	}
	return twice
}

// asksAnyMoment reports whether a statement about one history asks for the past of a few subjects, or for all there was, and not for
// samples: it compares no ts, but what few have in common, such as an address; or anything, or it sums up, where it does not want just the
// first or the last of what it finds.
func asksAnyMoment(statement string, history store.View) bool {
	a := askedOf(statement, history)
	return !a.moments && (a.few || (a.compares || a.sums) && !a.some)
}

// asked says what a statement asks of a history.
type asked struct {
	moments  bool // it compares ts, or joins by it
	few      bool // it compares what few subjects have in common
	compares bool // anything
	sums     bool
	some     bool // it has a LIMIT, or shows ts: the first or the last may be enough
	limit    bool
	sorts    bool
}

func askedOf(statement string, history store.View) (a asked) {
	var all []string
	for _, t := range tokens(statement) {
		if !t.blank() {
			all = append(all, strings.ToLower(strings.Trim(statement[t.start:t.end], `"`)))
		}
	}
	at := func(i int) string {
		if i < 0 || i >= len(all) {
			return ""
		}
		return all[i]
	}
	for i, word := range all {
		switch {
		case word == "ts":
			if comparisons[at(i-1)] || comparisons[at(i+1)] || at(i-1) == "(" && at(i-2) == "using" || at(i-1) == "." && comparisons[at(i-3)] {
				a.moments = true
			}
			a.some = true
		case word == "natural":
			a.moments = true
		case word == "limit":
			a.some, a.limit = true, true
		case word == "order":
			a.sorts = true
		case word == "distinct" || word == "group" || word == "count":
			a.sums = true
		case comparisons[word]:
			a.compares = true
			a.few = a.few || word != "not" && word != "!" && slices.ContainsFunc(history.From.Columns, func(c store.Column) bool {
				return c.Role == store.Identity && c.Name == at(i-1) && !shared[c.Name]
			})
		}
	}
	return a
}

// shared are the identity columns that most subjects have in common.
var shared = map[string]bool{"netns": true, "proto": true, "family": true, "type": true, "file": true, "local_addr": true}

var comparisons = map[string]bool{"=": true, "==": true, "<": true, ">": true, "<=": true, ">=": true, "<>": true, "!=": true, "!": true,
	"in": true, "is": true, "between": true, "like": true, "glob": true, "not": true}

// bodyFor is the view for a statement that joins some to themselves. Such a one is set apart, as a compound view, which SQLite works out
// once for each place where it stands and gives an index: as it is, it would be read again for every row of the other side.
func bodyFor(v store.View, apart map[string]bool) string {
	if !apart[strings.ToLower(v.Name)] || v.From == nil || v.Rollup != nil {
		return v.Body
	}
	return v.Body + "\nUNION ALL SELECT NULL" + strings.Repeat(", NULL", len(v.Columns)-1) + " WHERE 0"
}

func (c *conn) QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	statement = drivenLeftJoins(statement)
	if err := c.prepare(ctx, statement); err != nil {
		return nil, err
	}
	return c.Conn.QueryContext(ctx, statement, args...)
}

// QueryRowContext tells of a failure to make the views by what the statement then finds.
func (c *conn) QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row {
	_ = c.prepare(ctx, statement)
	return c.Conn.QueryRowContext(ctx, statement, args...)
}

func (c *conn) ExecContext(ctx context.Context, statement string, args ...any) (sql.Result, error) {
	statement = drivenLeftJoins(statement)
	if err := c.prepare(ctx, statement); err != nil {
		return nil, err
	}
	return c.Conn.ExecContext(ctx, statement, args...)
}
