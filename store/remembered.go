package store

import (
	"context"
	"fmt"
	"reflect"
	"slices"
)

// Remembered calls each with the subjects of this set's table that the last run of the recorder saw in its last sample, in
// the same boot, and that have not been seen since, as they were then. Columns that share one in the file are left out.
// Where the file cannot be read there are none.
func (set *Set[ID, V]) Remembered(ctx context.Context, each func(ID, V)) {
	t := set.table
	w := t.writer
	if len(t.ofLastRun) == 0 || w.file.conn == nil {
		return
	}
	values := append(slices.Clone(t.table.rare), inFile(t.table.span)...)
	query := fmt.Sprintf("SELECT %s%s FROM %s s CROSS JOIN %[3]s_span p ON p.id = s.last_sample << 32 | s.id",
		columnNames(t.table.id), stored(values), t.table.Subject)
	if len(t.table.rare) > 0 {
		query += fmt.Sprintf(" CROSS JOIN %s_tuple t ON t.id = p.tuple", t.table.Subject)
	}
	rows, err := w.file.conn.QueryContext(ctx, query+" WHERE s.last_sample = (SELECT max(id) FROM sample) AND s.gone_sample IS NULL")
	if err != nil {
		return
	}
	defer rows.Close()
	columns := append(slices.Clone(t.table.id), values...)
	got := make([]any, len(columns))
	into := make([]any, len(got))
	for i := range got {
		into[i] = &got[i]
	}
	for rows.Next() {
		if rows.Scan(into...) != nil {
			return
		}
		var id ID
		var v V
		for i, c := range columns {
			to := reflect.ValueOf(&v).Elem()
			if i < len(t.table.id) {
				to = reflect.ValueOf(&id).Elem()
			}
			if c.half == whole {
				c.kind.set(to.Field(c.index), got[i])
			}
		}
		if t.ofLastRun[t.hashes.key(id)].Subject != nil {
			each(id, v)
		}
	}
}
