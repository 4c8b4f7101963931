package tools

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
	"time"

	"netsql/query"
)

// A Moment is what a tool looks at: one network namespace, at a sample of a recording.
type Moment struct {
	Time  time.Time // of the sample
	NetNS int64     // its inode number; 0: the recording tells none apart
	Names *Names
	Notes []string // what the user should know about what was printed

	From, To time.Time // of a stretch that is printed as one; see During

	recording *query.Recording
}

// At is the moment of a recording that its at() means.
func At(ctx context.Context, r *query.Recording, o Options) (*Moment, error) {
	m := &Moment{recording: r, Names: localNames(o.Resolve)}
	var ts float64
	if err := m.row(ctx, "SELECT at()", &ts); err != nil {
		return nil, err
	}
	m.Time = time.UnixMicro(int64(ts * 1e6))
	statement, args := "SELECT netns FROM namespaces WHERE ts = at() AND own = 1", []any(nil)
	if o.NetNS != "" {
		statement, args = "SELECT netns FROM namespaces WHERE ts = at() AND (',' || name || ',' LIKE '%,' || ? || ',%' OR netns = ? OR container_id LIKE ? || '_%' OR unit = ?)", []any{o.NetNS, o.NetNS, o.NetNS, o.NetNS}
		if number, err := strconv.ParseInt(o.NetNS, 10, 64); err == nil {
			args[1] = number
		}
	}
	found, err := rowsOf[int64](ctx, m, statement, args...)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 1:
		m.NetNS = found[0]
	case len(found) > 1:
		return nil, usagef("--netns %s is %d network namespaces: SELECT netns, name, container_id FROM namespaces_now lists them by their numbers", o.NetNS, len(found))
	case o.NetNS != "":
		return nil, usagef("no network namespace %s at that moment: SELECT netns, name, container_id FROM namespaces WHERE ts = at() lists them", o.NetNS)
	default: // of a recording that knows no names of namespaces, the one that it has
		if err := m.row(ctx, "SELECT coalesce((SELECT min(netns) FROM sources WHERE ts = at()), (SELECT min(netns) FROM socket_counts WHERE ts = at()), (SELECT min(netns) FROM routes WHERE ts = at()), 0)", &m.NetNS); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, err
		}
	}
	return m, nil
}

// During is a stretch of a recording that a tool prints as one, see Command.Whole: a moment of its end, with its first and last time.
func During(ctx context.Context, r *query.Recording, o Options, s *Stretch) (*Moment, error) {
	end, _, err := r.SetAt(ctx, s.To)
	if err != nil {
		return nil, err
	}
	m, err := At(ctx, r, o)
	if err != nil {
		return nil, err
	}
	m.From, m.To = s.From, s.To
	switch {
	case m.To.IsZero():
		m.To = end
	case m.To.Nanosecond() == 0: // as at() takes a second: to its end
		m.To = m.To.Add(time.Second - time.Microsecond)
	}
	switch {
	case m.From.IsZero():
		m.From = m.To.Add(-time.Hour)
	case m.From.After(m.To):
		return nil, usagef("no sample was taken after --from %s: the newest is of %s", o.From, m.To.Local().Format("2006-01-02 15:04:05"))
	}
	return m, nil
}

func secondsOf(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// row reads the one row of a statement.
func (m *Moment) row(ctx context.Context, statement string, into ...any) error {
	rows, err := m.recording.Query(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), sql.ErrNoRows)
	}
	return errors.Join(rows.Scan(into...), rows.Close())
}

// here reads the rows of a recorded table in the namespace at the moment. The fields of a row are the columns that are read, by their tag col;
// a text that is NULL is "", a number that may be NULL is a sql.Null. More are conditions, which begin with AND, and an order.
func here[T any](ctx context.Context, m *Moment, table, more string, args ...any) ([]T, error) {
	statement := fmt.Sprintf("SELECT %s FROM %s WHERE ts = at() AND netns = %d %s", strings.Join(columnsOf[T](), ", "), table, m.NetNS, more)
	return rowsOf[T](ctx, m, statement, args...)
}

// columnsOf are the columns that the fields of a row read.
func columnsOf[T any]() (columns []string) {
	for i := range reflect.TypeFor[T]().NumField() {
		f := reflect.TypeFor[T]().Field(i)
		column := f.Tag.Get("col")
		if f.Type.Kind() == reflect.String {
			column = "coalesce(" + column + ", '')"
		}
		columns = append(columns, column)
	}
	return columns
}

// rowsOf reads all rows of a statement, each into a struct with a field for each column, or into one value.
func rowsOf[T any](ctx context.Context, m *Moment, statement string, args ...any) ([]T, error) {
	rows, err := m.recording.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var one T
	into := []any{&one}
	if value := reflect.ValueOf(&one).Elem(); value.Kind() == reflect.Struct {
		into = into[:0]
		for i := range value.NumField() {
			into = append(into, value.Field(i).Addr().Interface())
		}
	}
	var all []T
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// flagsOf visits the words of a column of flags, such as UP,BROADCAST.
func flagsOf(flags string) iter.Seq[string] {
	return strings.SplitSeq(flags, ",")
}
