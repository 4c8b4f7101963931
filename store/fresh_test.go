package store

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A recorder that was killed while it made the recording may have left an SQLite file with nothing in it. The next one
// makes the recording there.
func TestKilledWhileMaking(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "begun.db")
	db, err := sql.Open("sqlite", dsn(path, "rwc", "auto_vacuum=incremental", "journal_mode=wal"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(); err != nil {
		t.Fatal(err)
	}
	db.Close()
	w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "boot"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// One that was killed in the middle of a transaction, before the file was in WAL mode, has left a journal that nobody has rolled back. Who only reads
// cannot, and is told; the next recorder does.
func TestKilledInATransaction(t *testing.T) {
	t.Parallel()
	begun := filepath.Join(t.TempDir(), "begun.db")
	if err := touch(begun); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", dsn(begun, "rw", "cache_size=1", "journal_mode=delete"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	// What does not fit the cache goes to the disk before the end of the transaction.
	if _, err := db.Exec("BEGIN; CREATE TABLE page (size); INSERT INTO page WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 1000) SELECT zeroblob(1000) FROM n"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "killed.db")
	for _, suffix := range []string{"", "-journal"} {
		data, err := os.ReadFile(begun + suffix)
		if err != nil || len(data) == 0 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Readable(t.Context(), path); !errors.Is(err, ErrNoRecording) {
		t.Errorf("a reader is told: %v", err)
	}
	w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "boot"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := Readable(t.Context(), path); err != nil {
		t.Error(err)
	}
}
