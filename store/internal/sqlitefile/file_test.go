package sqlitefile

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"
)

const pageSize = 1024

// makeFile makes a file with two tables and an index, whose rows have all types, all widths of numbers, and texts longer
// than a page. Its newest rows are only in the -wal file.
func makeFile(t testing.TB) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "test.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		fmt.Sprintf("PRAGMA page_size = %d; PRAGMA auto_vacuum = incremental; PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0", pageSize),
		"PRAGMA application_id = 17; PRAGMA user_version = 4",
		"CREATE TABLE thing (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, x REAL, words TEXT)",
		"CREATE TABLE pair (a TEXT, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
		"CREATE INDEX thing_n ON thing (n)",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("BEGIN"); err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if i == 1500 {
			if _, err := db.Exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE); BEGIN"); err != nil {
				t.Fatal(err)
			}
		}
		n := int64(1)<<(i%63) + int64(i)
		if i%2 == 0 {
			n = -n
		}
		words := strings.Repeat("word ", i%7)
		if i%100 == 0 {
			words = strings.Repeat(fmt.Sprint(i), 1000)
		}
		if _, err := db.Exec("INSERT INTO thing VALUES (?, ?, ?, nullif(?, ''))", 3*i, n, float64(i)/4, words); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("INSERT INTO pair VALUES (?, ?)", words, i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec("COMMIT"); err != nil {
		t.Fatal(err)
	}
	return path, db
}

// thing and pair are what the tables hold, and take the rows into rows.
func thing(root uint32, rows *[]string) *Tree {
	return &Tree{
		Root: root, RowID: 0, Take: take(rows),
		Columns: []Column{{Kind: "INTEGER"}, {Kind: "INTEGER", NotNull: true}, {Kind: "REAL"}, {Kind: "TEXT"}},
	}
}

func pair(root uint32, rows *[]string) *Tree {
	return &Tree{Root: root, RowID: -1, Index: true, Take: take(rows), Columns: []Column{{Kind: "TEXT", NotNull: true}, {Kind: "INTEGER", NotNull: true}}}
}

func take(rows *[]string) func([]any) error {
	return func(row []any) error {
		*rows = append(*rows, fmt.Sprintf("%#v", row))
		return nil
	}
}

func ask(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%#v", values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}

// A sound file is read as SQLite reads it, with what is only in the -wal file.
func TestReadsWhatSQLiteReads(t *testing.T) {
	t.Parallel()
	path, db := makeFile(t)
	f, closeAll, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll()
	if f.PageSize() != pageSize || !f.HasHeader() || !f.HasPointerMap() || f.ApplicationID() != 17 || f.UserVersion() != 4 || f.LostWAL() != 0 {
		t.Errorf("page size %d, header %v, pointer map %v, application %d, version %d, %d lost", f.PageSize(), f.HasHeader(), f.HasPointerMap(),
			f.ApplicationID(), f.UserVersion(), f.LostWAL())
	}
	schema := f.Schema(t.Context())
	roots := ask(t, db, "SELECT name, rootpage FROM sqlite_schema")
	for name, root := range schema {
		if want := fmt.Sprintf("%#v", []any{name, int64(root)}); !slices.Contains(roots, want) {
			t.Errorf("%s is not in %v", want, roots)
		}
	}
	if len(schema) != len(roots) || f.Roots() != len(roots) {
		t.Errorf("%d names and %d roots, want %d", len(schema), f.Roots(), len(roots))
	}
	if n := f.Width(schema["thing"]); n != 4 {
		t.Errorf("rows of %d columns", n)
	}
	var things, pairs []string
	r := NewReader(f)
	r.Trees[schema["thing"]], r.Trees[schema["pair"]] = thing(schema["thing"], &things), pair(schema["pair"], &pairs)
	r.Trees[schema["thing_n"]], r.Trees[1] = &Tree{Root: schema["thing_n"], RowID: -1}, &Tree{Root: 1, RowID: -1}
	if err := r.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ask(t, db, "SELECT * FROM thing ORDER BY id"), things); diff != "" {
		t.Errorf("things (-want +got):\n%s", diff)
	}
	slices.Sort(pairs)
	want := ask(t, db, "SELECT * FROM pair")
	slices.Sort(want)
	if diff := cmp.Diff(want, pairs); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
	for root, tree := range r.Trees {
		if tree.LostPages+tree.LostRows != 0 || tree.LostKeys.Some {
			t.Errorf("of the tree at %d %d pages and %d rows are lost, %v", root, tree.LostPages, tree.LostRows, tree.LostKeys)
		}
	}
	if r.Lost != 0 {
		t.Errorf("%d pages are of no table", r.Lost)
	}
}

// A page that is destroyed costs its own rows, and none when it was not a leaf: the others are found by the pointer map. A
// root leads to all, and costs none.
func TestOneBadPageCostsItsOwnRows(t *testing.T) {
	t.Parallel()
	path, db := makeFile(t)
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	want := ask(t, db, "SELECT * FROM thing ORDER BY id")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sound := New(bytes.NewReader(data), int64(len(data)), nil, 0)
	schema := sound.Schema(t.Context())
	leaves, interior := 0, 0
	for n := uint32(3); n <= sound.Pages(); n++ {
		node, ok := sound.node(n)
		kind, _ := sound.pointer(n)
		if !ok || node.index() || kind != pageNode && kind != pageRoot {
			continue
		}
		costs := 0
		if node.leaf() {
			costs = node.count
			leaves++
		} else {
			interior++
		}
		spoiled := slices.Clone(data)
		clear(spoiled[int(n-1)*pageSize : int(n)*pageSize])
		f := New(bytes.NewReader(spoiled), int64(len(spoiled)), nil, 0)
		var things []string
		r := NewReader(f)
		r.Trees[schema["thing"]] = thing(schema["thing"], &things)
		for name, root := range schema {
			if name != "thing" {
				r.Trees[root] = &Tree{Root: root, RowID: -1}
			}
		}
		if err := r.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		lost := len(want) - len(things)
		for _, got := range things {
			if !slices.Contains(want, got) {
				t.Fatalf("page %d: a row that never was: %s", n, got)
			}
		}
		tree := r.Trees[schema["thing"]]
		if lost != costs || tree.LostPages != int64(min(1, costs)) {
			t.Errorf("page %d of kind %d: %d rows are lost, want %d; %d pages", n, node.kind, lost, costs, tree.LostPages)
		}
	}
	if leaves < 10 || interior < 1 {
		t.Errorf("%d leaves and %d other pages were tried", leaves, interior)
	}
}

// However a file is spoiled, reading its pages ends, soon and without a panic, and gives rows that the tables may have.
//
// An input is a list of edits of six bytes: what to do, where, and with what.
func FuzzPages(f *testing.F) {
	path, db := makeFile(f)
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE); DELETE FROM thing WHERE id > 600; DELETE FROM pair WHERE b > 200; PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	roots := New(bytes.NewReader(good), int64(len(good)), nil, 0).Schema(context.Background())
	if len(roots) != 3 {
		f.Fatal(roots)
	}
	f.Add([]byte{})
	for i := range 6 {
		f.Add([]byte{byte(i), 0, 0, byte(8 * i), 0, 1, byte(i + 1), 0, 1, 20, 3, 200})
	}
	f.Fuzz(func(t *testing.T, edits []byte) {
		data := spoil(slices.Clone(good), edits)
		file := New(bytes.NewReader(data), int64(len(data)), bytes.NewReader(data), int64(len(data)))
		file.Roots()
		file.Schema(t.Context())
		r := NewReader(file)
		rows := 0
		trees := []*Tree{thing(roots["thing"], nil), pair(roots["pair"], nil), {Root: roots["thing_n"], RowID: 1, Columns: []Column{{Kind: "INTEGER", NotNull: true}, {Kind: "INTEGER"}}}}
		for _, tree := range trees {
			file.Width(tree.Root)
			tree.Take = func(row []any) error {
				if len(row) != len(tree.Columns) {
					t.Fatalf("a row of another shape: %v", row)
				}
				for i, c := range tree.Columns {
					var ok bool
					switch c.Kind {
					case "INTEGER":
						_, ok = row[i].(int64)
					case "REAL":
						_, ok = row[i].(float64)
					case "TEXT":
						_, ok = row[i].(string)
					}
					if !ok && (c.NotNull || row[i] != nil) {
						t.Fatalf("%T in a column of %s: %v", row[i], c.Kind, row)
					}
				}
				rows++
				return nil
			}
			r.Trees[tree.Root] = tree
		}
		if err := r.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		if most := len(data) / 4; rows > most {
			t.Errorf("%d rows in %d bytes", rows, len(data))
		}
		if len(edits) < 6 && rows == 0 {
			t.Error("no row in a sound file")
		}
	})
}

// spoil does to the file what the edits say.
func spoil(data, edits []byte) []byte {
	for ; len(edits) >= 6 && len(data) > 2*pageSize; edits = edits[6:] {
		at := int(binary.BigEndian.Uint32(edits[1:])) % (len(data) - 8)
		page := data[at/pageSize*pageSize:]
		page = page[:min(len(page), pageSize)]
		switch value := edits[5]; edits[0] % 6 {
		case 0:
			data[at] = value
		case 1: // in the head of a page, where the most depends on it
			page[int(value)%min(len(page), 40)] = byte(at)
		case 2:
			clear(page)
		case 3:
			copy(page, data[int(value)%(len(data)/pageSize)*pageSize:])
		case 4:
			data[at] ^= 1 << (value % 8)
		case 5:
			data = data[:at]
		}
	}
	return data
}
