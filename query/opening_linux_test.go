package query

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// SQLite opens a file that is kept from writing for reading only, also where the system would let it write, and all others as before.
func TestSQLiteDoesNotWriteWhatIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"kept.db", "other.db"} {
		path := filepath.Join(dir, name)
		if name == "kept.db" {
			link := filepath.Join(dir, "link.db")
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			KeepFromWriting(link)
		}
		db, err := sql.Open("sqlite", "file:"+path+"?mode=rwc")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		_, err = db.Exec("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
		if refused := err != nil && strings.Contains(err.Error(), "readonly"); refused != (name == "kept.db") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is only SQL about the recording needs nothing else.
func TestOnlyAsks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"SELECT 1":                               true,
		"SELECT 1; WITH a AS (SELECT 1) TABLE a": true,
		"-- a remark\nselect '.output x'":        true,
		".output x":                              false,
		"SELECT 1;\n.output x\nSELECT 2":         false,
		"SELECT 1;\n\\o x":                       false,
		"ATTACH 'a.db' AS a":                     false,
		"SELECT 1; attach database 'a.db' AS a":  false,
		"SELECT * FROM live.sockets":             false,
		"ss -t":                                  false,
		"quit":                                   true,
		"":                                       true,
	} {
		if got := OnlyAsks(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
