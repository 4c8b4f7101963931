package query

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// An Answer is a result that another netsql gave: the names of its columns, and its rows, with times as the numbers they are.
type Answer struct {
	Columns []string
	Rows    [][]any
}

// answerTable is the table that Then asks.
const answerTable = "answers"

// Question is the one statement that a text is, without its end. It only asks: it begins with SELECT, WITH, VALUES, EXPLAIN or PRAGMA. upright tells that it
// ended with \G.
func Question(text string) (statement string, upright bool, err error) {
	inputs, rest := Split(text)
	if strings.TrimSpace(rest) != "" {
		inputs = append(inputs, Input{Text: rest})
	}
	switch {
	case len(inputs) == 0:
		return "", false, errors.New("it is empty")
	case len(inputs) > 1:
		return "", false, fmt.Errorf("one statement at a time, and these are %d", len(inputs))
	case strings.ContainsRune(text, 0):
		return "", false, errors.New("it has a zero byte in it")
	case !utf8.ValidString(text):
		return "", false, errors.New("it is no text")
	}
	in := inputs[0]
	if words := wordsOf(in.Text); in.Dot || len(words) == 0 || !asking[words[0].text] {
		return "", false, fmt.Errorf("%s is no question: it begins with SELECT or WITH", quoteWords(in.Text))
	}
	return strings.TrimSuffix(strings.TrimSuffix(in.Text, `\G`), ";"), in.Upright, nil
}

var asking = wordSet("select with values explain pragma")

// IsTimeColumn reports whether a column of that name holds times, where nothing else tells.
func IsTimeColumn(name string) bool { return isTime(name) }

// Span is a number of seconds as people read it, such as 2d 3h.
func Span(seconds float64) string { return spanText(seconds, " ") }

// Size is a number of bytes as people read it.
func Size(bytes int64) string { return bytesText(float64(bytes)) }

// Print prints the answer as a shell prints the result of a statement.
func (a Answer) Print(c ShellConfig, statement string) error {
	s, err := NewShell(nil, c)
	if err != nil {
		return err
	}
	defer s.Close()
	_, err = s.print(&madeRows{rows: a.Rows}, a.Columns, statement)
	return err
}

// Then asks the answer: it is the table answers in a database of its own, beside which nothing is. A name that two columns have gets a number.
func (a Answer) Then(ctx context.Context, statement string) (result Answer, err error) {
	var g guard
	d := newDriver()
	d.RegisterConnectionHook(g.hook)
	db := sql.OpenDB(connector{d, "file::memory:?" + strings.TrimPrefix(guarded, "&")})
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	if err := limitValues(conn); err != nil {
		return result, err
	}
	if err := a.fill(ctx, conn); err != nil {
		return result, thenError(err, &g)
	}
	rows, err := conn.QueryContext(ctx, statement)
	if err != nil {
		return result, a.explain(err, statement, &g)
	}
	defer rows.Close()
	if result.Columns, err = rows.Columns(); err != nil {
		return result, err
	}
	var held holding
	_, err = eachRow(rows, len(result.Columns), func(values []any) error {
		result.Rows = append(result.Rows, copied(nil, values))
		return held.add(values)
	})
	if err != nil {
		return result, a.explain(err, statement, &g)
	}
	return result, nil
}

// fill makes the table, and has nothing written after that.
func (a Answer) fill(ctx context.Context, conn *sql.Conn) error {
	names := a.names()
	quoted, marks := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		quoted[i], marks[i] = quotedName(name), "?"
	}
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+answerTable+"("+strings.Join(quoted, ", ")+")"); err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.PrepareContext(ctx, "INSERT INTO "+answerTable+" VALUES ("+strings.Join(marks, ", ")+")")
	if err != nil {
		return err
	}
	for _, row := range a.Rows {
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	if err := errors.Join(insert.Close(), tx.Commit()); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "PRAGMA query_only = 1")
	return err
}

// names are those of the columns of the table: SQLite tells them apart without regard to capitals.
func (a Answer) names() []string {
	cols := make([]Column, len(a.Columns))
	for i, name := range a.Columns {
		cols[i] = Column{Name: name}
	}
	used := map[string]bool{}
	names := distinct(cols)
	for i, name := range names {
		for n := 2; used[strings.ToLower(name)]; n++ {
			name = fmt.Sprintf("%s_%d", names[i], n)
		}
		used[strings.ToLower(name)] = true
		names[i] = name
	}
	return names
}

func thenError(err error, g *guard) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_AUTH:
		return errors.New(cmp.Or(g.why(), err.Error()))
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_TOOBIG:
		return errMemory()
	}
	return err
}

func (a Answer) explain(err error, statement string, g *guard) error {
	if err = thenError(err, g); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	n := Names{Tables: map[string][]string{answerTable: a.names()}}
	for _, f := range Functions() {
		n.Functions = append(n.Functions, f.Name)
	}
	return errors.New(Explain(err, statement, n))
}
