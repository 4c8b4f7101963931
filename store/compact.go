package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// A tupled is a tableWriter that interns tuples.
type tupled interface {
	tupleTable() *Table
	beginCompacting() (upto int64)
	compactSome(ctx context.Context, upto int64) (more bool, err error)
}

func (t *spanWriter[ID, V]) tupleTable() *Table {
	if len(t.table.rare) == 0 {
		return nil
	}
	return t.table.Table
}

// beginCompacting stops giving old tuples to new spans, and returns the number of the last tuple.
func (t *spanWriter[ID, V]) beginCompacting() int64 {
	clear(t.tuples)
	return t.lastTuple
}

// compactAtOnce tuples are copied in one step.
const compactAtOnce = 500

// compactSome copies some tuples with a number up to upto, and gives the copies to the open spans that have them.
func (t *spanWriter[ID, V]) compactSome(ctx context.Context, upto int64) (bool, error) {
	q, name := t.writer.file.conn, t.table.Subject
	var old []int64
	rows, err := q.QueryContext(ctx, fmt.Sprintf("SELECT DISTINCT tuple FROM %s_open WHERE tuple <= ? LIMIT %d", name, compactAtOnce), upto)
	if err != nil {
		return false, err
	}
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			rows.Close()
			return false, err
		}
		old = append(old, n)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil || len(old) == 0 {
		return false, err
	}
	err = t.writer.file.transaction(ctx, func() error {
		for _, stmt := range []string{"CREATE TEMP TABLE IF NOT EXISTS moved (old INTEGER PRIMARY KEY, new INTEGER NOT NULL)", "DELETE FROM temp.moved"} {
			if _, err := q.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		for _, n := range old {
			t.lastTuple++
			if _, err := q.ExecContext(ctx, "INSERT INTO temp.moved VALUES (?, ?)", n, t.lastTuple); err != nil {
				return err
			}
		}
		for _, stmt := range []string{
			fmt.Sprintf("INSERT INTO %[1]s_tuple SELECT m.new%[2]s FROM temp.moved m CROSS JOIN %[1]s_tuple t ON t.id = m.old ORDER BY m.new", name, stored(t.table.rare)),
			fmt.Sprintf("UPDATE %s_open SET tuple = (SELECT new FROM temp.moved WHERE old = tuple) WHERE tuple IN (SELECT old FROM temp.moved)", name),
		} {
			if _, err := q.ExecContext(ctx, stmt); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.again()
		return false, err
	}
	t.tuplesKept = t.lastTuple
	return true, nil
}

// compactTuples copies tuples that are in use behind the newest one, so that all before that can be deleted by range; see
// retention.
func (k *retention) compactTuples(ctx context.Context) (bool, error) {
	if k.limits.Keep == 0 && k.limits.MaxSize == 0 {
		return false, nil
	}
	if k.compacting == 0 {
		if k.last.id < k.marked {
			return false, nil
		}
		next, err := k.tuplesDue(ctx)
		if err != nil {
			return false, err
		}
		if next == 0 {
			k.marked = k.last.id + k.markSamples/10
			return false, nil
		}
		k.compacting, k.upto = next, k.tables[next-1].(tupled).beginCompacting()
	}
	t := k.tables[k.compacting-1].(tupled)
	more, err := t.compactSome(ctx, k.upto)
	if err != nil || more {
		return more, err
	}
	// A span that ends with the last sample or later is written by the next commit, from an open one.
	_, err = k.file.conn.ExecContext(ctx, "REPLACE INTO tuple_mark (name, sample, upto) VALUES (?, ?, ?)", t.tupleTable().Subject, k.last.id, k.upto)
	k.compacting = 0
	return err == nil, err
}

// tuplesDue finds a table whose tuples are to be compacted: its place in tables plus one, 0 when there is none.
func (k *retention) tuplesDue(ctx context.Context) (int, error) {
	for i, t := range k.tables {
		t, ok := t.(tupled)
		if !ok || t.tupleTable() == nil {
			continue
		}
		var sample, upto, last int64
		name := t.tupleTable().Subject
		if err := k.file.conn.QueryRowContext(ctx, "SELECT coalesce(max(sample), 0), coalesce(max(upto), 0) FROM tuple_mark WHERE name = ?", name).Scan(&sample, &upto); err != nil {
			return 0, err
		}
		if err := lastID(ctx, k.file.conn, name+"_tuple", &last); err != nil {
			return 0, err
		}
		if last-upto >= k.markTuples && k.last.id-sample >= max(k.markSamples, (k.last.id-k.oldest.id)/8) {
			return i + 1, nil
		}
	}
	return 0, nil
}

// dropTuples deletes the tuples that no span has any more.
func (k *retention) dropTuples(t *Table) stage {
	return func(ctx context.Context) (bool, error) {
		h := k.oldest.id
		var upto sql.NullInt64
		if err := k.file.conn.QueryRowContext(ctx, "SELECT max(upto) FROM tuple_mark WHERE name = ? AND sample <= ?", t.Subject, h).Scan(&upto); err != nil || !upto.Valid {
			return false, err
		}
		if did, err := k.deleteRange(t.Subject+"_tuple", "id", upto.Int64+1)(ctx); err != nil || did {
			return did, err
		}
		_, err := k.file.conn.ExecContext(ctx, "DELETE FROM tuple_mark WHERE name = ? AND upto < ?", t.Subject, upto.Int64)
		return false, err
	}
}
