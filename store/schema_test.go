package store

import (
	"database/sql"
	"path/filepath"
	"regexp"
	"slices"
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
		"interface_counters": 60, "nic_counters": 240, "qdiscs": 60, "addresses": 240, "multicast_groups": 240, "neighbors": 240, "nexthops": 240, "routes": 240, "route_exceptions": 240, "rules": 240, "firewall": 240, "firewall_text": 240, "protocol_counters": 120, "symptoms": 120,
		"softnet": 60, "conntrack": 120, "conntrack_flows": 120, "settings": 240, "modules": 240, "sources": 120, "namespaces": 240, "traffic": 120, "packet_drops": 120,
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

// What a view joins has no column that its text would name without a table, because nobody knew that two tables have it.
func TestAmbiguousColumnsAreKnown(t *testing.T) {
	t.Parallel()
	w, err := Create(t.Context(), Options{Path: filepath.Join(t.TempDir(), "columns.db"), Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	columns := func(table string) []string {
		rows, err := w.file.conn.QueryContext(t.Context(), "SELECT name FROM pragma_table_info(?)", table)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var names []string
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
		if len(names) == 0 {
			t.Fatalf("there is no table %s", table)
		}
		return names
	}
	for _, table := range []string{"sample", "run"} {
		for _, name := range columns(table) {
			if !slices.Contains(ambiguous, name) {
				t.Errorf("%s.%s is not among the ambiguous columns", table, name)
			}
		}
	}
	for _, table := range Tables() {
		declared := map[string]bool{}
		for _, c := range table.Columns {
			declared[c.stored] = true
		}
		for _, suffix := range []string{"", "_span", "_open"} {
			for _, name := range columns(table.Subject + suffix) {
				if !declared[name] && !slices.Contains(spanTableColumns, name) {
					t.Errorf("%s%s.%s is neither declared nor among the columns that all tables of spans have", table.Subject, suffix, name)
				}
			}
		}
	}
}
