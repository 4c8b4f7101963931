package query

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// importFile is .import: the rows of a CSV file become a table of this shell. A table that is there gets more rows; else the first line names its
// columns. What looks like a number is one; an empty value is NULL.
func (s *Shell) importFile(ctx context.Context, arg string) error {
	words := slices.DeleteFunc(quotedFields(arg), func(w string) bool { return w == "--csv" })
	if len(words) != 2 {
		return errors.New("import which file as which table? .import hosts.csv hosts, say")
	}
	file, table := words[0], words[1]
	if IsTable(table) {
		return fmt.Errorf("import: %s is a table of the recording, which is only read: name another", table)
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	defer f.Close()
	in := csv.NewReader(f)
	in.ReuseRecord = true
	switch {
	case strings.EqualFold(filepath.Ext(file), ".tsv"):
		in.Comma = '\t'
	case len(s.look.separator) == 1:
		in.Comma = rune(s.look.separator[0])
	}
	rows, err := s.importRows(ctx, in, table)
	if err != nil {
		return fmt.Errorf("import %s, of which nothing is kept: %w", file, s.recording.explain(err))
	}
	return s.say(fmt.Sprintf("%s in %s", plural(rows, "row"), table))
}

func (s *Shell) importRows(ctx context.Context, in *csv.Reader, table string) (rows int64, err error) {
	tx, err := s.recording.conn.Conn.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	names, known := s.recording.Names(ctx).Tables[table]
	if !known {
		header, err := in.Read()
		if err != nil {
			return 0, err
		}
		names = nil
		for _, name := range header {
			names = append(names, quotedName(strings.Clone(strings.TrimPrefix(name, byteOrderMark))))
		}
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (%s)", quotedName(table), strings.Join(names, ", "))); err != nil {
			return 0, err
		}
	}
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf("INSERT INTO temp.%s VALUES (?%s)", quotedName(table), strings.Repeat(", ?", len(names)-1)))
	if err != nil {
		return 0, err
	}
	defer insert.Close()
	in.FieldsPerRecord = len(names)
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return rows, tx.Commit()
		} else if err != nil {
			return 0, err
		}
		values := make([]any, len(record))
		for i, text := range record {
			if values[i] = numberOrText(text); text == "" {
				values[i] = nil
			}
		}
		if _, err := insert.ExecContext(ctx, values...); err != nil {
			return 0, err
		}
		rows++
	}
}

// dump is .dump: tables and views as SQL that makes tables of them.
func (s *Shell) dump(ctx context.Context, arg string) error {
	tables := quotedFields(arg)
	if len(tables) == 0 {
		tables = s.ownTables(ctx)
	}
	if len(tables) == 0 {
		return errors.New("dump which table? .dump route_changes, say; .backup copies the whole recording")
	}
	_, toTerminal := s.target()
	options := FormatOptions{}
	if toTerminal && s.config.Width != nil {
		options.Width = s.config.Width()
	}
	out := s.textOut()
	fmt.Fprintln(out, "BEGIN TRANSACTION;")
	for _, table := range tables {
		if err := s.dumpTable(ctx, out, options, table); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(out, "COMMIT;")
	return err
}

func (s *Shell) dumpTable(ctx context.Context, out io.Writer, options FormatOptions, table string) error {
	statement := "SELECT * FROM " + quotedName(table)
	rows, err := s.recording.Query(ctx, statement)
	if err != nil {
		return errors.New(Explain(err, statement, s.Names(ctx)))
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	columns := make([]Column, len(names))
	var quoted []string
	for i, name := range names {
		columns[i] = Column{Name: name}
		quoted = append(quoted, quotedName(escapeControls(name)))
	}
	fmt.Fprintf(out, "CREATE TABLE IF NOT EXISTS %s (%s);\n", quotedName(table), strings.Join(quoted, ", "))
	options.Table = table
	w, err := NewResultWriter("insert", out, options)
	if err != nil {
		return err
	}
	if err := w.Begin(columns); err != nil {
		return err
	}
	if _, err := eachRow(rows, len(names), w.Row); err != nil {
		return err
	}
	return w.End()
}

// eachRow calls row with the values of each row, which are its own until the next, and counts them.
func eachRow(rows rowReader, columns int, row func(values []any) error) (n int, err error) {
	values, into := make([]any, columns), make([]any, columns)
	for i := range values {
		into[i] = &values[i]
	}
	for ; rows.Next(); n++ {
		if err := rows.Scan(into...); err != nil {
			return n, err
		}
		if err := row(values); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}
