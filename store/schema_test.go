package store

import (
	"database/sql"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/migrations"
)

// The migrated schema is what the catalogue declares.
func TestSchemaMatchesCatalogue(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "schema.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	steps, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(t.Context(), conn, 0, steps); err != nil {
		t.Fatal(err)
	}
	for _, table := range Tables() {
		for _, want := range table.Schema() {
			name := strings.Fields(want)[2]
			var got string
			err := conn.QueryRowContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE name = ?", name).Scan(&got)
			if err != nil {
				t.Errorf("%s is in store/tables.go but not in the schema (%v): add a file to migrations/ with\n%s;", name, err, want)
				continue
			}
			if diff := cmp.Diff(blanks(want), blanks(got)); diff != "" {
				t.Errorf("%s differs (-catalogue +migrations): add a file to migrations/ that alters it\n%s", name, diff)
			}
		}
	}
	for _, want := range append(rollupSchema(), sumSchema()...) {
		name := strings.Fields(want)[2]
		var got string
		err := conn.QueryRowContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE name = ?", name).Scan(&got)
		if diff := cmp.Diff(blanks(want), blanks(got)); err != nil || diff != "" {
			t.Errorf("%s is in store/tables.go but not so in the schema (%v): add a file to migrations/ with\n%s;", name, err, want)
		}
	}
	logs := map[string]string{}
	for _, table := range LogTables() {
		if logs[table.Name] = table.Schema(); len(table.rare) > 0 {
			logs[table.tuple()] = table.TupleSchema()
		}
	}
	for name, want := range logs {
		var got string
		err := conn.QueryRowContext(t.Context(), "SELECT sql FROM sqlite_schema WHERE name = ?", name).Scan(&got)
		if diff := cmp.Diff(blanks(want), blanks(got)); err != nil || diff != "" {
			t.Errorf("%s is in store/tables.go but not so in the schema (%v): add a file to migrations/ with\n%s;", name, err, want)
		}
	}
}

func rollupSchema() []string {
	var all []string
	for _, l := range Levels() {
		all = append(all, l.Schema())
	}
	for _, r := range Rollups() {
		all = append(all, r.Schema()...)
	}
	return all
}

func sumSchema() []string {
	all := []string{shortBlock.Schema(), longBlock.Schema()}
	for _, s := range Sums() {
		all = append(all, s.Schema()...)
	}
	return all
}

// Spans in recordings that exist are as long as K was when they were written: a shorter range would miss them.
func TestKNeverShrinks(t *testing.T) {
	t.Parallel()
	landed := map[string]int64{
		"processes": 120, "sockets": 50, "socket_owners": 240, "socket_counts": 120, "socket_trends": 240, "interfaces": 240,
		"interface_counters": 60, "addresses": 240, "neighbors": 240, "routes": 240, "rules": 240, "protocol_counters": 120,
		"softnet": 60, "conntrack": 120, "settings": 240, "sources": 120, "namespaces": 240, "traffic": 120,
	}
	for _, table := range Tables() {
		if k, ok := landed[table.Name]; !ok {
			t.Errorf("%s: enter its K, %d, here", table.Name, table.K)
		} else if table.K < k {
			t.Errorf("%s: K is %d and was %d", table.Name, table.K, k)
		}
	}
}

var space, points = regexp.MustCompile(`\s+`), regexp.MustCompile(` *([(),]) *`)

func blanks(s string) string { return points.ReplaceAllString(space.ReplaceAllString(s, " "), "$1") }
