package store

import (
	"context"
	"database/sql/driver"
	"strings"
)

// rowsPerBatch rows go into one statement: a quarter faster than one by one, as measured,
// and more gain little.
var rowsPerBatch = 20

// A batch is a prepared statement that takes its rows one by one and runs for many at
// once.
//
// It runs on the driver's own connection, only inside Writer.write: database/sql copies and checks
// every argument, which was most of what a sample allocated.
type batch struct {
	writer  *Writer
	number  int    // its place in writer.batches
	text    string // up to the rows
	tail    string // after them
	columns int
	one     driver.Stmt
	many    driver.Stmt
	same    []any // what text asks for, the same for all rows
	pending []any
}

// insert makes a batch of rows with that many columns.
func (w *Writer) insert(into string, columns int) *batch {
	return w.rows(into+" VALUES ", columns, "")
}

// rows makes a batch of rows with that many columns, which stand between text and tail.
func (w *Writer) rows(text string, columns int, tail string) *batch {
	b := &batch{writer: w, number: len(w.batches), text: text, tail: tail, columns: columns}
	w.batches = append(w.batches, b)
	return b
}

// each makes a batch that does the same to many subjects: text ends with the column that names them.
func (w *Writer) each(text string) *batch { return w.rows(text+" IN (", 1, ")") }

// with sets the parameters that stand in text.
func (b *batch) with(same ...any) *batch {
	b.same = same
	return b
}

// add takes one row, of int64, float64, string and nil. It keeps none of args itself.
func (b *batch) add(ctx context.Context, args ...any) error {
	if b.pending == nil {
		b.pending = make([]any, 0, b.columns*rowsPerBatch)
	}
	b.pending = append(b.pending, args...)
	if len(b.pending) < b.columns*rowsPerBatch {
		return nil
	}
	defer b.forget()
	return b.exec(ctx, rowsPerBatch, b.pending)
}

// only writes one row.
func (b *batch) only(ctx context.Context, args ...any) error {
	if err := b.add(ctx, args...); err != nil {
		return err
	}
	return b.flush(ctx)
}

// flush writes the rows that did not fill a statement.
func (b *batch) flush(ctx context.Context) error {
	defer b.forget()
	for i := 0; i < len(b.pending); i += b.columns {
		if err := b.exec(ctx, 1, b.pending[i:i+b.columns]); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) forget() {
	clear(b.pending)
	b.pending = b.pending[:0]
}

func (b *batch) sql(rows int) string {
	row := "(?" + strings.Repeat(",?", b.columns-1) + ")"
	return b.text + row + strings.Repeat(","+row, rows-1) + b.tail
}

func (b *batch) exec(ctx context.Context, rows int, args []any) error {
	if p := &b.writer.pending; p.collecting {
		p.add(b, rows, args)
		return nil
	}
	return b.run(ctx, rows, b.writer.arguments(b.same, args))
}

// run executes the statement for one row or for rowsPerBatch.
func (b *batch) run(ctx context.Context, rows int, args []driver.NamedValue) error {
	stmt := &b.one
	if rows > 1 {
		stmt = &b.many
	}
	if *stmt == nil {
		prepared, err := b.writer.file.raw.PrepareContext(ctx, b.sql(rows))
		if err != nil {
			return err
		}
		*stmt = prepared
	}
	// The driver starts a goroutine for every statement that may be canceled. These are over in
	// a moment and wait for no lock: in between is often enough to look.
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := (*stmt).(driver.StmtExecContext).ExecContext(context.Background(), args)
	return err
}

func (b *batch) close() {
	for _, stmt := range []driver.Stmt{b.one, b.many} {
		if stmt != nil {
			stmt.Close()
		}
	}
	b.one, b.many = nil, nil
}

// arguments are the values as the driver takes them, until the next call: it keeps none.
func (w *Writer) arguments(same, args []any) []driver.NamedValue {
	n := len(same) + len(args)
	for len(w.args) < n {
		w.args = append(w.args, driver.NamedValue{Ordinal: len(w.args) + 1})
	}
	for i, v := range same {
		w.args[i].Value = v
	}
	for i, v := range args {
		w.args[len(same)+i].Value = v
	}
	return w.args[:n]
}
