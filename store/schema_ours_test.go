package store

import (
	"database/sql"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The sums tell that a recording of any format has the schema that the migrations make.
func TestSchemaSums(t *testing.T) {
	t.Parallel()
	steps := allSteps(t)
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for n, step := range steps {
		if _, err := db.ExecContext(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		objects, err := readObjects(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		if n >= len(schemaSums) || schemaSums[n] != sumOf(objects) {
			t.Errorf("format %d: enter its sum in schemaSums: %q", n+1, sumOf(objects))
		}
	}
}

// Nothing is written to a recording whose tables somebody else has changed.
func TestNothingIsWrittenToAnAlteredRecording(t *testing.T) {
	t.Parallel()
	good := readFile(t, recordLittle(t, 15, 30).path)
	old := filepath.Join(t.TempDir(), "old.db")
	if err := makeFormat(t, old, 3).Close(); err != nil {
		t.Fatal(err)
	}
	oldGood := readFile(t, old)
	for _, c := range []struct{ name, alter, want string }{
		{"a trigger", "CREATE TRIGGER evil AFTER INSERT ON note BEGIN DELETE FROM sample; END", "it has the trigger evil"},
		{"a default that asks", "ALTER TABLE note ADD COLUMN x DEFAULT (randomblob(100000000))", "the table note is not what netsql made it"},
		{"a view for a table", "DROP TABLE gap; CREATE VIEW gap AS SELECT 1 AS since", "the table gap is missing"},
		{"an index that refuses rows", "DROP INDEX process_last; CREATE UNIQUE INDEX process_last ON process (pid IS NULL) WHERE 0", "the index process_last is not what netsql made it"},
		{"a table and an index of another name", "CREATE TABLE mine (x); CREATE INDEX mine_too ON gap (kind)", ""},
		{"what SQLite knows of it", "ANALYZE", ""},
	} {
		for kind, bytes := range map[string][]byte{"this format": good, "an older one": oldGood} {
			t.Run(c.name+", "+kind, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "n.db")
				writeFile(t, path, bytes)
				db, err := sql.Open("sqlite", dsn(path, "rw", "journal_mode=wal"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := db.Exec(strings.ReplaceAll(c.alter, "ON note", map[bool]string{true: "ON note", false: "ON gap"}[kind == "this format"])); err != nil {
					t.Skip(err) // the older format has no such thing
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				before := readFile(t, path)
				failed := func(what string, err error) {
					if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrAltered) || !strings.Contains(err.Error(), c.want)) {
						t.Errorf("%s: %v, want %q", what, err, c.want)
					}
				}
				if kind == "this format" {
					failed("note", AddNote(t.Context(), path, time.Now(), "a", ""))
				}
				_, _, err = Upgrade(t.Context(), path, nil)
				failed("upgrade", err)
				w, err := Create(t.Context(), Options{Path: path, Boot: Boot{ID: "b"}})
				if failed("record", err); err == nil {
					w.Close(t.Context())
				}
				if after := readFile(t, path); c.want != "" && !slices.Equal(before, after) {
					t.Error("it was written to")
				}
			})
		}
	}
}
