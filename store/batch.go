package store

import (
	"context"
	"database/sql"
	"strings"
)

// rowsPerInsert rows go into one INSERT: a quarter faster than one by one, as measured,
// and more gain little.
const rowsPerInsert = 20

// A batch is a prepared statement that takes its rows one by one and runs for many at
// once. Statements other than INSERT run for each row.
type batch struct {
	conn    func() *sql.Conn
	text    string // up to the rows
	tail    string // after them
	columns int    // 0 when the statement runs for each row
	one     *sql.Stmt
	many    *sql.Stmt
	pending []any
}

// insert makes a batch of rows with that many columns.
func (w *Writer) insert(into string, columns int) *batch {
	return w.rows(into+" VALUES ", columns, "")
}

// rows makes a batch of rows with that many columns, which stand between text and tail.
func (w *Writer) rows(text string, columns int, tail string) *batch {
	b := w.statement(text)
	b.tail, b.columns = tail, columns
	b.pending = make([]any, 0, columns*rowsPerInsert)
	return b
}

// statement makes a batch that runs for each row.
func (w *Writer) statement(text string) *batch {
	return &batch{conn: func() *sql.Conn { return w.conn }, text: text}
}

func (b *batch) add(ctx context.Context, args []any) error {
	if b.columns == 0 {
		return b.exec(ctx, &b.one, 1, args)
	}
	b.pending = append(b.pending, args...)
	if len(b.pending) < b.columns*rowsPerInsert {
		return nil
	}
	defer b.forget()
	return b.exec(ctx, &b.many, rowsPerInsert, b.pending)
}

// flush writes the rows that did not fill a statement.
func (b *batch) flush(ctx context.Context) error {
	defer b.forget()
	for i := 0; i < len(b.pending); i += b.columns {
		if err := b.exec(ctx, &b.one, 1, b.pending[i:i+b.columns]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) forget() { b.pending = b.pending[:0] }

func (b *batch) sql(rows int) string {
	if b.columns == 0 {
		return b.text
	}
	row := "(?" + strings.Repeat(",?", b.columns-1) + ")"
	return b.text + row + strings.Repeat(","+row, rows-1) + b.tail
}

func (b *batch) exec(ctx context.Context, stmt **sql.Stmt, rows int, args []any) error {
	if *stmt == nil {
		prepared, err := b.conn().PrepareContext(ctx, b.sql(rows))
		if err != nil {
			return err
		}
		*stmt = prepared
	}
	_, err := (*stmt).ExecContext(ctx, args...)
	return err
}
