package query

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostile is what a stranger may have put into any text: a title for the terminal, a colour by a C1 code, DEL, a code that turns the line around,
// and a byte that is no UTF-8.
const hostile = "\x1b]0;pwned\a\u009b31m\x7f\u202e\x9b"

// harmful is what of it got through to a terminal; "" when nothing did.
func harmful(printed string) string {
	for i, c := range []byte(printed) {
		if c < ' ' && c != '\n' && c != '\t' && c != 0x1f && c != 0x1e || c == 0x7f { // ascii has separators of its own
			return fmt.Sprintf("the byte %#x in %q", c, printed[max(0, i-60):min(len(printed), i+20)])
		}
	}
	for i, r := range printed {
		if r >= 0x80 && r < 0xa0 || r == 0x202e {
			return fmt.Sprintf("%q in %q", r, printed[max(0, i-60):min(len(printed), i+20)])
		}
	}
	return ""
}

// openPlain opens a file for writing with nothing of this program.
func openPlain(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw")
	if err == nil {
		db.SetMaxOpenConns(1)
	}
	return db, err
}

// plant puts a text behind every second text of a recording, in all its tables, and makes a table, a column and a view of such names.
func plant(t testing.TB, path, evil string) {
	t.Helper()
	db, err := openPlain(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	var statements []string
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, fmt.Sprintf(
			`UPDATE OR IGNORE %q SET %[2]q = %[2]q || CAST(?1 AS TEXT) WHERE typeof(%[2]q) = 'text' AND (SELECT count(*) FROM %[1]q x WHERE x.%[2]q < %[1]q.%[2]q) %% 2 = 0`, table, column))
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	planted := int64(0)
	for _, s := range statements {
		done, err := db.ExecContext(t.Context(), s, []byte(evil))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		n, _ := done.RowsAffected()
		planted += n
	}
	name := `"x` + strings.TrimSuffix(evil, "\x9b") + `"`
	for _, s := range []string{
		`CREATE TABLE ` + name + ` (` + name + `)`, `CREATE VIEW ` + strings.Replace(name, "x", "v", 1) + ` AS SELECT * FROM ` + name,
		`UPDATE run SET stopped = NULL`, `INSERT INTO note (ts, written, text, user) SELECT max(ts), max(ts), CAST('n' || ?1 AS TEXT), 'u' || ?1 FROM sample`,
	} {
		args := []any{[]byte(evil)}
		if !strings.Contains(s, "?1") {
			args = nil
		}
		if _, err := db.ExecContext(t.Context(), s, args...); err != nil {
			t.Logf("%s: %v", s, err)
		}
	}
	if planted < 100 {
		t.Fatalf("only %d texts were planted", planted)
	}
}

// hostileRecording is an eventful recording of a hostile name, with hostile texts.
func hostileRecording(t testing.TB) string {
	t.Helper()
	from := eventful(t).path
	path := filepath.Join(t.TempDir(), "r"+hostile+".db")
	if err := os.Rename(from, path); err != nil {
		t.Fatal(err)
	}
	os.Rename(from+"-wal", path+"-wal")
	plant(t, path, hostile)
	return path
}

// On a terminal no text of a recording does anything, in whatever mode and by whichever command it is shown.
func TestNoTextReachesTheTerminalAsACode(t *testing.T) {
	t.Parallel()
	path := hostileRecording(t)
	r := openRecording(t, path)
	var out bytes.Buffer
	folder := filepath.Join(t.TempDir(), "q"+hostile)
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &out, Terminal: true, Width: func() int { return 100 }, Height: func() int { return 30 },
		User: "u" + hostile, Params: map[string]string{"p" + hostile: hostile}, Questions: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir := t.TempDir()
	script := filepath.Join(dir, "s"+hostile+".sql")
	if err := os.WriteFile(script, []byte("SELECT 1;\nSELEC '\x1b]0;x\a'"), 0o600); err != nil {
		t.Fatal(err)
	}
	evil := strings.TrimSuffix(hostile, "\x9b")
	name := `"x` + evil + `"`
	run := func(text string) {
		t.Helper()
		out.Reset()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		inputs, rest := Split(text)
		if strings.TrimSpace(rest) != "" {
			inputs = append(inputs, Input{Text: rest, Line: 1})
		}
		for _, in := range inputs {
			if err := s.Run(ctx, in); err != nil {
				fmt.Fprintf(&out, "error: %v\n", Safe(s.placed(err, in, false).Error()))
			}
		}
		if found := harmful(out.String()); found != "" {
			t.Errorf("%q shows %s", text, found)
		}
	}
	for _, mode := range Modes() {
		run(".mode " + mode)
		for _, query := range []string{
			"SELECT * FROM sockets", "SELECT * FROM processes_now", "SELECT * FROM notes", "SELECT * FROM gaps", "SELECT * FROM main.boot", "SELECT * FROM routes",
			"SELECT 1 AS " + name + ", CAST(x'1b9b' AS TEXT), x'1b9b7f' AS \"b\"", "SELECT * FROM main." + name, "SELECT * FROM events", "SELECT * FROM sources",
		} {
			run(query)
			run(query + ` LIMIT 1\G`)
		}
	}
	run(".mode box")
	run("CREATE TEMP TABLE " + name + " (" + name + " TEXT)")
	args := map[string][]string{
		".around": {began.Add(2 * time.Minute).Format(time.DateTime), began.Add(2*time.Minute).Format(time.DateTime) + " 10m"},
		".diff":   {fmt.Sprintf("'%s' '%s'", began.Add(10*time.Second).Format(time.DateTime), began.Add(9*time.Minute).Format(time.DateTime))},
		".at":     {began.Add(time.Minute).Format(time.DateTime), "next event step", "now"}, ".since": {began.Format(time.DateTime)}, ".until": {"now"},
		".chart":   {"SELECT ts, comm, bytes_sent FROM sockets WHERE bytes_sent IS NOT NULL", "SELECT ts AS ts, 1 AS " + name + " FROM samples"},
		".pivot":   {"SELECT ts, comm, count(*) FROM sockets GROUP BY 1, 2 LIMIT 50", "SELECT 1 AS " + name + ", 2 AS b, 3 AS c"},
		".profile": {"SELECT * FROM sockets", "SELECT 'a' AS " + name},
		".why":     {"SELECT * FROM sockets WHERE local_port = 4001 AGAINST SELECT * FROM sockets WHERE local_port = 4002"},
		".read":    {script, dir}, ".run": {"", "q"}, ".tables": {"", "all", "s"}, ".schema": {"", "x" + evil}, ".describe": {"sockets", "sockets comm"},
		".dump": {"notes", "main.note", name}, ".bars": {"x" + evil, "off"}, ".separator": {"';'"}, ".mode": {"", "box"}, ".times": {"utc", "local"},
		".print": {hostile}, ".param": {"list", "set x " + hostile, "list"}, ".import": {script, script + " y" + evil}, ".attach": {path + " other", "'" + path + "' o", ""},
		".detach": {"o"}, ".backup": {path, filepath.Join(dir, "c"+hostile+".db")}, ".scratch": {filepath.Join(dir, "t"+hostile+".db")}, ".once": {dir + "/" + hostile + "/x"},
		".output": {dir + "/" + hostile + "/x", ""}, ".save": {"q"}, ".note": {}, ".echo": {"off"}, ".shell": {}, ".excel": {}, ".watch": {}, ".quit": {},
		".human": {"off", "on"}, ".names": {"on"},
	}
	for _, c := range commands() {
		given, named := args[c.name]
		if !named {
			given = []string{""}
		}
		for _, arg := range given {
			run(c.name + " " + arg)
		}
		switch c.name {
		case ".shell", ".excel", ".watch", ".quit", ".output", ".once", ".note", ".save", ".echo": // these have what they are given run, or made
		case ".backup", ".scratch": // these make a file of that name
			run(c.name + " " + filepath.Join(dir, hostile))
		default:
			run(c.name + " " + hostile)
		}
	}
	if _, err := os.Lstat(hostile); err == nil {
		t.Errorf("a file %q was made in the folder of the source", hostile)
	}
	run("." + hostile)
	run("SELECT " + name + " FROM nothing")
	run("SELECT " + name + ".x FROM sockets")
	run("SELECT * FROM " + name + " WHERE nocolumn = 1")
	run("SELECT '" + evil + "' FROM")
	run("ATTACH '" + evil + "' AS x")
	run("SELECT at('" + evil + "')")
	run("SELECT * FROM sockets WHERE state = 'x" + evil + "'")
	run("SELECT * FROM json_each('" + evil + "')")
	run("SELECT regexp('(" + evil + "', 'x')")
	out.Reset()
	fmt.Fprint(&out, s.Prompt(t.Context(), time.Now()))
	names := s.Names(t.Context())
	for _, text := range []string{"SELECT * FROM sockets WHERE comm = '", "SELECT * FROM x", "SELECT x", ".describe x", ".read " + dir + "/s", "SELECT * FROM sockets WHERE remote_addr IN ('"} {
		found, _ := Completions(text, len(text), names)
		fmt.Fprintln(&out, strings.Join(found, " "))
	}
	if found := harmful(out.String()); found != "" {
		t.Errorf("the prompt or what is offered shows %s", found)
	}
	out.Reset()
	st, err := ReadStatus(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Write(&out); err != nil {
		t.Fatal(err)
	}
	if found := harmful(out.String()); found != "" {
		t.Errorf("the status shows %s", found)
	}
}
