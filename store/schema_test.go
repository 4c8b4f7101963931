package store

import (
	"context"
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// The migrated schema is what the catalogue declares.
func TestSchemaMatchesCatalogue(t *testing.T) {
	t.Parallel()
	if *update {
		rewriteInitialMigration(t)
	}
	path := filepath.Join(t.TempDir(), "schema.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, table := range Tables() {
		for _, want := range table.Schema() {
			name := strings.Fields(want)[2]
			var got string
			err := db.QueryRow("SELECT sql FROM sqlite_schema WHERE name = ?", name).Scan(&got)
			if err != nil {
				t.Errorf("%s is in store/tables.go but not in the schema (%v): add a file to migrations/ with\n%s;", name, err, want)
				continue
			}
			if diff := cmp.Diff(blanks(want), blanks(got)); diff != "" {
				t.Errorf("%s differs (-catalogue +migrations): add a file to migrations/ that alters it\n%s", name, diff)
			}
		}
	}
}

// Spans in recordings that exist are as long as K was when they were written: a shorter range would miss them.
func TestKNeverShrinks(t *testing.T) {
	t.Parallel()
	landed := map[string]int64{
		"processes": 120, "sockets": 50, "socket_owners": 240, "socket_counts": 120, "socket_trends": 240, "interfaces": 240,
		"interface_counters": 60, "addresses": 240, "neighbors": 240, "routes": 240, "rules": 240, "protocol_counters": 120,
		"softnet": 60, "conntrack": 120, "settings": 240, "sources": 120,
	}
	for _, table := range Tables() {
		if k, ok := landed[table.Name]; !ok {
			t.Errorf("%s: enter its K, %d, here", table.Name, table.K)
		} else if table.K < k {
			t.Errorf("%s: K is %d and was %d", table.Name, table.K, k)
		}
	}
}

// rewriteInitialMigration is for the time before the first migration has landed.
func rewriteInitialMigration(t *testing.T) {
	t.Helper()
	const path = "../migrations/0001_initial.sql"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	core, _, _ := strings.Cut(string(text), "\n-- Recorded tables\n")
	var b strings.Builder
	b.WriteString(core + "\n-- Recorded tables\n")
	for _, table := range Tables() {
		b.WriteString("\n-- " + table.Name + "\n\n")
		for _, s := range table.Schema() {
			b.WriteString(s + ";\n")
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

var space = regexp.MustCompile(`\s+`)

func blanks(s string) string { return space.ReplaceAllString(s, " ") }
