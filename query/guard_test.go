package query

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// folderOf says what a folder holds: the names of its files and the sums of what is in them. What SQLite puts beside a file that it reads
// (-wal and -shm) is left out.
func folderOf(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-wal") || strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %x\n", e.Name(), sha256.Sum256(text))
	}
	return b.String()
}

// copyOf is a copy of a recording in a folder.
func copyOf(t *testing.T, path, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, name)
	if err := os.WriteFile(to, text, 0o640); err != nil {
		t.Fatal(err)
	}
	return to
}

// shellOn is a shell that prints to a buffer.
func shellOn(t *testing.T, r *Recording) (*Shell, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &out})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &out
}

// Whatever SQL says, no recording is changed and no file is made.
func TestSQLWritesNoFile(t *testing.T) {
	t.Parallel()
	from := eventful(t).path
	dir := t.TempDir()
	path, other := copyOf(t, from, dir, "r.db"), copyOf(t, from, dir, "other.db")
	s, out := shellOn(t, openRecording(t, path))
	if err := s.Script(t.Context(), "SELECT count(*) FROM sockets"); err != nil {
		t.Fatal(err)
	}
	before := folderOf(t, dir)
	in := func(name string) string { return filepath.Join(dir, name) }
	for statement, says := range map[string]string{
		"ATTACH '" + in("new.db") + "' AS x; CREATE TABLE x.t (a)":                          "only reads what is there",
		"ATTACH 'file:" + in("new.db") + "?mode=rwc' AS x; CREATE TABLE x.t (a)":            "only reads what is there",
		"ATTACH 'file://" + in("new.db") + "?mode=rwc' AS x; CREATE TABLE x.t (a)":          "only reads what is there",
		"attach database '" + dir + "/' || 'new.db' as x":                                   "only reads what is there",
		"ATTACH (SELECT '" + in("new.db") + "') AS x":                                       "only reads what is there",
		"ATTACH \"" + in("new.db") + "\" AS \"x\"":                                          "only reads what is there",
		"/* x */ ATTACH '" + in("new.db") + "' AS x -- y":                                   "only reads what is there",
		"EXPLAIN ATTACH '" + in("new.db") + "' AS x":                                        ".scratch FILE",
		"ATTACH '" + dir + "' AS x":                                                         "folder",
		"ATTACH '/dev/null' AS x":                                                           "is no file",
		"ATTACH '" + other + "' AS main":                                                    "another meaning",
		"ATTACH '" + other + "' AS a1; DELETE FROM a1.sample":                               "only read",
		"ATTACH 'file:" + other + "?mode=rw' AS a2; DELETE FROM a2.sample":                  "only read",
		"ATTACH 'file:" + other + "?mode=rwc&vfs=unix-none' AS a3; CREATE TABLE a3.x (a)":   "only read",
		"ATTACH '" + path + "' AS a4; DELETE FROM a4.sample":                                "only read",
		"DELETE FROM sample":                                                                "only read",
		"VACUUM INTO '" + in("v.db") + "'":                                                  ".backup FILE",
		"VACUUM main INTO 'file:" + in("v.db") + "?mode=rwc'":                               ".backup FILE",
		"PRAGMA journal_mode = delete":                                                      "journal_mode",
		"PRAGMA main.journal_mode = off":                                                    "journal_mode",
		"PRAGMA writable_schema = 1":                                                        "writable_schema",
		"PRAGMA user_version = 7":                                                           "user_version",
		"PRAGMA application_id(7)":                                                          "application_id",
		"PRAGMA schema_version = 7":                                                         "schema_version",
		"PRAGMA wal_checkpoint":                                                             "wal_checkpoint",
		"PRAGMA wal_checkpoint(TRUNCATE)":                                                   "wal_checkpoint",
		"PRAGMA incremental_vacuum":                                                         "incremental_vacuum",
		"PRAGMA optimize":                                                                   "optimize",
		"PRAGMA locking_mode = exclusive":                                                   "locking_mode",
		"PRAGMA trusted_schema = on":                                                        "trusted_schema",
		"PRAGMA temp_store_directory = '" + dir + "'":                                       "temp_store_directory",
		"PRAGMA hard_heap_limit = 1":                                                        "hard_heap_limit",
		"PRAGMA mmap_size = 1000000000":                                                     "mmap_size",
		"SELECT load_extension('x')":                                                        "not authorized",
		"SELECT writefile('" + in("w") + "', 'x')":                                          "no such function",
		"SELECT fts3_tokenizer('simple', x'00')":                                            "no such function",
		"INSERT INTO sqlite_dbpage (pgno, data) VALUES (1, zeroblob(1024))":                 "",
		"CREATE TEMP TRIGGER x AFTER INSERT ON main.sample BEGIN DELETE FROM main.gap; END": "",
	} {
		out.Reset()
		err := s.Script(t.Context(), statement)
		if says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v; want %q", statement, err, says)
		}
		if after := folderOf(t, dir); after != before {
			t.Errorf("%s changed the folder:\n%s\nbefore:\n%s", statement, after, before)
			before = after
		}
	}
	// What is refused does not stand in the way of what is not.
	for _, statement := range []string{
		"ATTACH ':memory:' AS m1; CREATE TABLE m1.t (a); INSERT INTO m1.t VALUES (1); SELECT * FROM m1.t", "ATTACH '' AS m2; CREATE TABLE m2.t (a)",
		"ATTACH 'file::memory:' AS m3; DETACH m3", "DETACH a2; ATTACH 'file:" + other + "?mode=rw' AS a2; SELECT count(*) FROM a2.samples",
		"PRAGMA journal_mode; PRAGMA table_info(sample); PRAGMA cache_size = -1000; PRAGMA trusted_schema",
	} {
		if err := s.Script(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// An SQLite file that is no recording can be read with ATTACH, and is not changed.
func TestAttachReadsOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "mine ?#%.db")
	s, out := shellOn(t, openRecording(t, eventful(t).path))
	if err := s.Script(t.Context(), ".scratch '"+mine+"'\nCREATE TABLE scratch.t AS SELECT 7 AS n;\nDETACH scratch; ATTACH '"+mine+"' AS x; SELECT n FROM x.t"); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != "n\n7\n" && got != "7\n" && !strings.HasSuffix(got, "7\n") {
		t.Errorf("%q", got)
	}
	if err := s.Script(t.Context(), "DELETE FROM x.t"); err == nil || !strings.Contains(err.Error(), "only read") {
		t.Errorf("it was changed: %v", err)
	}
}

// Tables of one's own are kept in no recording, whatever is wrong with that.
func TestScratchTouchesNoRecording(t *testing.T) {
	t.Parallel()
	from := eventful(t).path
	dir := t.TempDir()
	path := copyOf(t, from, dir, "r.db")
	if err := os.Symlink(path, filepath.Join(dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	newer := copyOf(t, from, dir, "newer.db")
	text, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	text[63] = 250 // user_version
	if err := os.WriteFile(newer, text, 0o640); err != nil {
		t.Fatal(err)
	}
	before := folderOf(t, dir)
	s, _ := shellOn(t, openRecording(t, from))
	for _, name := range []string{path, filepath.Join(dir, "link.db"), newer} {
		if err := s.Script(t.Context(), ".scratch '"+name+"'\nCREATE TABLE scratch.t (a)"); err == nil {
			t.Errorf("%s is kept tables in", name)
		}
	}
	if after := folderOf(t, dir); after != before {
		t.Errorf("changed:\n%s", after)
	}
}

// What is asked of a recording goes to files with its mode, whatever the umask is, and a copy overwrites nothing.
func TestResultsHaveTheModeOfTheRecording(t *testing.T) {
	t.Parallel()
	path := eventful(t).path
	for _, mode := range []fs.FileMode{0o640, 0o600, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		in := func(name string) string { return filepath.Join(dir, name) }
		r := openRecording(t, path)
		s, _ := shellOn(t, r)
		if err := s.Script(t.Context(), ".once "+in("once.csv")+"\nSELECT 1;\n.output "+in("output.json")+"\nSELECT 1;\n.output\n.backup "+in("backup.db")); err != nil {
			t.Fatal(err)
		}
		if _, err := Export(t.Context(), r, in("export"), ExportOptions{Tables: []string{"samples"}}); err != nil {
			t.Fatal(err)
		}
		if err := r.SetWindow(t.Context(), began, began.AddDate(0, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := Slice(t.Context(), r, in("slice.db")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"once.csv", "output.json", "backup.db", "export/samples.csv", "export/README.md", "slice.db"} {
			info, err := os.Stat(in(name))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != mode {
				t.Errorf("%s of a recording of %v has %v", name, mode, info.Mode())
			}
		}
		if err := s.Script(t.Context(), ".backup "+in("backup.db")); err == nil || !strings.Contains(err.Error(), "there already") {
			t.Errorf("a copy over a file: %v", err)
		}
		// A file that is there keeps its mode, and what it is asked for replaces what was in it.
		if err := os.WriteFile(in("old.csv"), []byte("much longer than the result"), 0o604); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(in("old.csv"), 0o604); err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), ".once "+in("old.csv")+"\nSELECT 7 AS n"); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(in("old.csv"))
		if info, err := os.Stat(in("old.csv")); err != nil || info.Mode() != 0o604 || string(text) != "n\n7\n" && string(text) != "7\n" {
			t.Errorf("%v, %v, %q", info.Mode(), err, text)
		}
		copied := openRecording(t, in("backup.db"))
		if _, _, samples, err := copied.Extent(t.Context()); err != nil || samples != 100 {
			t.Errorf("the copy has %d samples, %v", samples, err)
		}
	}
}

// A result does not go through a symbolic link of somebody else, nor through one to a file that is not there.
func TestResultsFollowNoStrangeLink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := shellOn(t, openRecording(t, eventful(t).path))
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link.csv")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), ".once "+link+"\nSELECT 1"); err == nil {
		t.Error("a link to nothing was followed")
	}
	if err := s.Script(t.Context(), ".backup "+link); err == nil {
		t.Error("a copy went through a link")
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the file that the link names was made")
	}
	if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), ".once "+link+"\nSELECT 1"); err != nil {
		t.Errorf("a link of this user: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	if err := os.WriteFile(target, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Lchown(link, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), ".once "+link+"\nSELECT 1"); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a link of another user: %v", err)
	}
	if text, _ := os.ReadFile(target); string(text) != "kept" {
		t.Errorf("it was written through: %q", text)
	}
}

// A file with something else in the place of a table is refused, and nothing of it runs: it would never end.
func TestDisguisedTablesAreRefused(t *testing.T) {
	t.Parallel()
	from := eventful(t).path
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS id, 1 AS ts FROM n"
	for name, made := range map[string]string{
		"a view":             "DROP TABLE sample; CREATE VIEW sample AS " + endless,
		"a view of another":  "DROP TABLE gap; CREATE VIEW gap AS " + endless,
		"a virtual table":    "DROP TABLE note; CREATE VIRTUAL TABLE note USING fts5(text)",
		"a worked out value": "DROP TABLE boot; CREATE TABLE boot (id INTEGER PRIMARY KEY, host AS/**/(hex(zeroblob(1000000))), kernel)",
	} {
		path := copyOf(t, from, t.TempDir(), "sent.db")
		change(t, path, "PRAGMA foreign_keys = off", made)
		if r, err := Open(t.Context(), path); !errors.Is(err, store.ErrNotRecording) {
			if err == nil {
				r.Close()
			}
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Views and triggers that a file brings along are not asked, and what they call is switched off.
func TestWhatAFileBringsAlongDoesNotRun(t *testing.T) {
	t.Parallel()
	path := copyOf(t, eventful(t).path, t.TempDir(), "sent.db")
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	statements := []string{"CREATE TRIGGER fires AFTER INSERT ON sample BEGIN SELECT load_extension('x'); END", "CREATE VIEW unsafe AS SELECT * FROM sqlite_dbpage", "CREATE VIEW calls AS SELECT duration(1) AS a", "CREATE TABLE late (a DEFAULT (randomblob(1000000000)), CHECK (hex(randomblob(100000000)) <> a))"}
	for _, v := range store.Views() {
		statements = append(statements, fmt.Sprintf("DROP VIEW IF EXISTS %q; CREATE VIEW %[1]q AS %s", v.Name, endless))
	}
	change(t, path, statements...)
	r := openRecording(t, path)
	s, _ := shellOn(t, r)
	for _, text := range []string{".status", ".tables", ".tables all", ".schema", ".at " + began.AddDate(0, 0, 1).Format("2006-01-02 15:04"), ".describe sockets", ".dump notes", ".show",
		".around '" + began.Format("2006-01-02 15:04:05") + "'", ".profile SELECT * FROM samples"} {
		if err := s.Script(t.Context(), text); err != nil && !strings.Contains(err.Error(), "future") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, v := range store.Views() {
		for _, statement := range []string{"SELECT count(*) FROM %s", `SELECT count(*) FROM "%s" AS x`, "SELECT count(*) FROM [%s]", "SELECT EXISTS (TABLE %s)"} {
			if strings.Contains(statement, "TABLE") {
				continue
			}
			if err := s.Script(t.Context(), fmt.Sprintf(statement, v.Name)); err != nil {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
	if _, err := ReadStatus(t.Context(), r); err != nil {
		t.Error(err)
	}
	s.Prompt(t.Context(), began)
	s.Names(t.Context())
	for view, says := range map[string]string{"unsafe": "unsafe use of virtual table", "calls": "unsafe use of duration()"} {
		if err := s.Script(t.Context(), "SELECT * FROM "+view); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the view %s of the file: %v; want %q", view, err, says)
		}
	}
}

// change changes a recording, as somebody may who has SQLite.
func change(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := openPlain(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// Texts that a spreadsheet would run have an apostrophe before them in an export, and only there; numbers have none.
func TestExportIsSafeInASpreadsheet(t *testing.T) {
	t.Parallel()
	path := eventful(t).path
	change(t, path, "UPDATE process SET comm = '=cmd()' WHERE pid = 1", "UPDATE process SET comm = '-bash' WHERE pid = 2", "UPDATE process SET comm = '@x' WHERE pid = 3", "UPDATE process SET comm = 'plain' WHERE pid = 0")
	r := openRecording(t, path)
	for _, safe := range []bool{true, false} {
		dir := t.TempDir()
		if _, err := Export(t.Context(), r, filepath.Join(dir, "x"), ExportOptions{Tables: []string{"processes"}, SpreadsheetSafe: safe}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, "x", "processes.csv"))
		if err != nil {
			t.Fatal(err)
		}
		for _, comm := range []string{"=cmd()", "-bash", "@x"} {
			if marked := strings.Contains(string(text), ",'"+comm+","); marked != safe || !marked && !strings.Contains(string(text), ","+comm+",") {
				t.Errorf("%s, safe %v:\n%.400s", comm, safe, text)
			}
		}
		readme, err := os.ReadFile(filepath.Join(dir, "x", "README.md"))
		if err != nil || strings.Contains(string(readme), "spreadsheet") != safe {
			t.Errorf("the README, safe %v: %v", safe, err)
		}
	}
	var out bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &out, Mode: "csv", SpreadsheetSafe: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Script(t.Context(), "SELECT -1, -1.5, '-1', '+2', x'3d', char(9) || 'a', char(13), 'a=b', NULL"); err != nil {
		t.Fatal(err)
	}
	_, row, _ := strings.Cut(out.String(), "\n")
	if want := "-1,-1.5,'-1,'+2,x'3d','\ta,\"'\r\",a=b,\n"; row != want {
		t.Errorf("%q, want %q", row, want)
	}
}

// Views that look at the window have answers also after the window was set and given back.
func TestTheWindowIsGivenBack(t *testing.T) {
	t.Parallel()
	s, _ := shellOn(t, openRecording(t, eventful(t).path))
	for _, text := range []string{".since now", ".until now", ".around '" + began.Format("2006-01-02 15:04:05") + "'", ".since '" + began.Format("2006-01-02 15:04:05") + "'"} {
		if err := s.Script(t.Context(), text+"\nSELECT count(*) FROM leaks; SELECT count(*) FROM growth"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A file of statements without an end is refused.
func TestReadOfAnEndlessFile(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/zero"); err != nil {
		t.Skip("no /dev/zero here")
	}
	s, _ := shellOn(t, openRecording(t, eventful(t).path))
	if err := s.Script(t.Context(), ".read /dev/zero"); err == nil || !strings.Contains(err.Error(), "larger than 64.0 MiB") {
		t.Error(err)
	}
}

// Of a file that is attached nothing runs but a view that the statement names. That one reads its own file only, calls nothing that acts, and ends
// when the statement is cancelled.
func TestWhatAnAttachedFileBringsAlongIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := eventful(t).path
	path := copyOf(t, from, dir, "sent.db")
	const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS a FROM n"
	statements := []string{"CREATE VIEW unsafe AS SELECT * FROM sqlite_dbpage", "CREATE VIEW calls AS SELECT duration(1) AS a", "CREATE VIEW loads AS SELECT load_extension('x') AS a",
		"CREATE VIEW endless AS " + endless, "CREATE TRIGGER fires AFTER INSERT ON sample BEGIN SELECT load_extension('x'); END"}
	for _, v := range store.Views() {
		statements = append(statements, fmt.Sprintf("DROP VIEW IF EXISTS %q; CREATE VIEW %[1]q AS %s", v.Name, endless))
	}
	change(t, path, statements...)
	r := openRecording(t, from)
	s, _ := shellOn(t, r)
	for _, text := range []string{".attach " + path + " o", "ATTACH '" + path + "' AS p", ".attach", ".tables", ".tables all", ".schema", ".describe sockets", ".dump notes", ".show", ".status",
		"SELECT count(*) FROM sockets", "SELECT count(*) FROM leaks", "SELECT count(*) FROM o.sample"} {
		if err := s.Script(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	names := s.Names(t.Context())
	for _, text := range []string{"SELECT * FROM o.", "SELECT  FROM o.endless", "SELECT * FROM o.leaks WHERE "} {
		Completions(text, len(text), names)
	}
	s.Prompt(t.Context(), began)
	for view, says := range map[string]string{"unsafe": "unsafe use of virtual table", "calls": "unsafe use of duration()", "loads": "unsafe use of load_extension()"} {
		if err := s.Script(t.Context(), "SELECT * FROM o."+view); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("the view %s of the file: %v; want %q", view, err, says)
		}
	}
	for _, view := range []string{"endless", "leaks"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := s.Script(ctx, "SELECT * FROM o."+view); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the endless view %s: %v", view, err)
		}
		cancel()
	}
	if err := s.Script(t.Context(), "SELECT count(*) FROM sockets"); err != nil {
		t.Errorf("after an endless view: %v", err)
	}

	// A view whose text names another database, as no CREATE VIEW would let it.
	peeks := copyOf(t, from, dir, "peeks.db")
	change(t, peeks, "CREATE VIEW peek AS SELECT * FROM note", "PRAGMA writable_schema = on",
		"UPDATE sqlite_schema SET sql = 'CREATE VIEW peek AS SELECT * FROM temp.mine' WHERE name = 'peek'")
	if err := s.Script(t.Context(), "CREATE TEMP TABLE mine AS SELECT 'secret' AS a; ATTACH '"+peeks+"' AS q; SELECT * FROM q.peek"); err == nil || !strings.Contains(err.Error(), "cannot reference objects in database temp") {
		t.Errorf("a view of an attached file that reads another database: %v", err)
	}
}
