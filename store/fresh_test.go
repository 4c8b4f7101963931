package store

import (
	"database/sql"
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
