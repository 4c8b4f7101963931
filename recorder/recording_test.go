//go:build linux

package recorder

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"netsql/store"
)

// testRecording is a recording in a folder of the test, with a clock that the test moves.
type testRecording struct {
	*store.Writer
	t    testing.TB
	path string
	tick int

	db     *sql.DB // see reader
	dbFile os.FileInfo
}

func newRecording(t testing.TB) *testRecording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	w, err := store.Create(t.Context(), store.Options{
		Path: path, Interval: time.Second, Version: "test",
		Boot: store.Boot{ID: "boot", Host: "host", Kernel: "6.18", Started: time.Unix(1_700_000_000, 0)},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &testRecording{Writer: w, t: t, path: path}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// sample takes one sample of the sources; the clock moves on by a second.
func (r *testRecording) sample(sources ...source) {
	r.t.Helper()
	r.tick++
	up := time.Duration(r.tick) * time.Second
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
	for _, s := range sources {
		s.read(r.t.Context())
	}
	if err := r.Commit(r.t.Context(), store.Cost{}); err != nil {
		r.t.Fatal(err)
	}
}

// reader is one connection for all questions, as to read the views again takes longer than a sample; a new one when the path names another file.
func (r *testRecording) reader() *sql.DB {
	r.t.Helper()
	file, err := os.Stat(r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.db != nil && os.SameFile(file, r.dbFile) {
		return r.db
	}
	if r.db != nil {
		r.db.Close()
	}
	if r.db, err = sql.Open("sqlite", store.DSN(r.path)); err != nil {
		r.t.Fatal(err)
	}
	r.db.SetMaxOpenConns(1)
	r.dbFile = file
	r.t.Cleanup(func() { r.db.Close() })
	return r.db
}

// rows asks the recording and returns every row as a map from column to value; NULL is nil.
func (r *testRecording) rows(query string, args ...any) []map[string]any {
	r.t.Helper()
	got, err := r.reader().QueryContext(r.t.Context(), query, args...)
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	defer got.Close()
	names, err := got.Columns()
	if err != nil {
		r.t.Fatal(err)
	}
	var rows []map[string]any
	for got.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := got.Scan(into...); err != nil {
			r.t.Fatal(err)
		}
		row := map[string]any{}
		for i, name := range names {
			row[name] = values[i]
		}
		rows = append(rows, row)
	}
	if err := got.Err(); err != nil {
		r.t.Fatal(err)
	}
	return rows
}

// here is the network namespace of the test.
func here(t *testing.T) namespace {
	t.Helper()
	info, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return namespace{id: store.Of(info.Sys().(*syscall.Stat_t).Ino), proc: "/proc/self"}
}
