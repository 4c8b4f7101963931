package store

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Who reads is named as long as the statement is open.
func TestReadersAreNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "read.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0), Uptime: time.Second, Awake: time.Second})
	if err := w.Commit(t.Context(), Cost{}); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := Readers(path); len(got) != 0 {
		t.Errorf("nobody reads, and %v do", got)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/comm")
	comm := strings.TrimSpace(string(own))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow("SELECT count(*) FROM sample").Scan(&n); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if got, want := Readers(path), []Reader{{os.Getpid(), comm}}; !slices.Equal(got, want) {
		t.Errorf("%v read, not %v", got, want)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if got := Readers(path); len(got) != 0 {
		t.Errorf("nobody reads any more, and %v do", got)
	}
	if got := Readers(path + "x"); got != nil {
		t.Errorf("%v read what is not there", got)
	}
}
