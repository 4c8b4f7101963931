package store

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"netsql/migrations"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// A new recording begins with a file that all steps have made of an empty one. It is the same file, up to the page where each table begins: what is
// left of a damaged recording is found by that.
func TestEmptyIsWhatTheStepsMake(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "steps.db")
	db, err := sql.Open("sqlite", dsn(path, "rwc", fmt.Sprintf("page_size=%d", newPageSize)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	steps := allSteps(t)
	if _, err := conn.ExecContext(t.Context(), "PRAGMA auto_vacuum = incremental"); err != nil {
		t.Fatal(err)
	}
	if err := transaction(t.Context(), conn, func() error { return migrate(t.Context(), conn, 0, steps) }); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "DELETE FROM recording"); err != nil {
		t.Fatal(err)
	}
	if *update {
		if _, err := conn.ExecContext(t.Context(), "PRAGMA journal_mode = delete"); err != nil {
			t.Fatal(err)
		}
		writeEmpty(t, path)
	}
	want := everything(t, conn)

	empty, err := migrations.Empty()
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(path, empty, 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, everythingIn(t, path)); diff != "" {
		t.Errorf("the file at hand is not what the steps make; -update writes it again (-steps +file):\n%s", diff)
	}

	// The views of a new recording are those that SQLite makes.
	path = filepath.Join(t.TempDir(), "new.db")
	if err := errors.Join(touch(path), blank(t.Context(), path)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), newIdentity()); err != nil {
		t.Fatal(err)
	}
	if err := installViews(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	const views = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE type = 'view' UNION ALL SELECT 'views', views, '', 0, '' FROM recording"
	new, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer new.Close()
	if diff := cmp.Diff(rowsOf(t, conn, views), rowsOf(t, new, views)); diff != "" {
		t.Errorf("views (-made +new):\n%s", diff)
	}
}

// BenchmarkNewRecording makes a new recording as Create does, and prints how many times as long it takes with all steps.
func BenchmarkNewRecording(b *testing.B) {
	path := filepath.Join(b.TempDir(), "new.db")
	steps, err := migrations.All()
	if err != nil {
		b.Fatal(err)
	}
	var fast, slow time.Duration
	for b.Loop() {
		begin := time.Now()
		if err := errors.Join(touch(path), blank(b.Context(), path), os.Remove(path)); err != nil {
			b.Fatal(err)
		}
		fast += time.Since(begin)

		begin = time.Now()
		db, err := sql.Open("sqlite", dsn(path, "rwc", fmt.Sprintf("page_size=%d", newPageSize)))
		if err != nil {
			b.Fatal(err)
		}
		conn, err := db.Conn(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(bringUpToDate(b.Context(), conn, steps, nil), conn.Close(), db.Close(), os.Remove(path)); err != nil {
			b.Fatal(err)
		}
		slow += time.Since(begin)
	}
	b.ReportMetric(float64(slow)/float64(fast), "times_with_all_steps")
}

func writeEmpty(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../migrations/empty.db.gz", packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Skip("written; run it again")
}

func everythingIn(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return everything(t, db)
}

// everything is what the file holds: its schema with the first page of each table, its marks, and every row.
func everything(t *testing.T, q querier) []string {
	t.Helper()
	all := rowsOf(t, q, `SELECT application_id, user_version, page_size, auto_vacuum, encoding, page_count
		FROM pragma_application_id, pragma_user_version, pragma_page_size, pragma_auto_vacuum, pragma_encoding, pragma_page_count`)
	all = append(all, rowsOf(t, q, "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema")...)
	for _, name := range rowsOf(t, q, "SELECT name FROM sqlite_schema WHERE type = 'table'") {
		for _, row := range rowsOf(t, q, `SELECT * FROM "`+name+`"`) {
			all = append(all, name+": "+row)
		}
	}
	return all
}

func rowsOf(t *testing.T, q querier, question string) (rows []string) {
	t.Helper()
	found, err := q.QueryContext(t.Context(), question)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	names, err := found.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, fmt.Sprint(values...))
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}
