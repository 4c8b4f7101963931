package query

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	trigger := "create temp trigger t after insert on x begin update y set a = case when 1 then 2 end; delete from z; end;"
	tests := []struct {
		name, text string
		want       []Input
		rest       string
	}{
		{"nothing", "", nil, ""},
		{"blanks and comments", " \n-- select 1;\n/* ; */ ", nil, ""},
		{"one", "select 1;", []Input{{"select 1;", false, 1, false}}, ""},
		{"two on a line", "select 1; select 2;", []Input{{"select 1;", false, 1, false}, {"select 2;", false, 1, false}}, ""},
		{"lines", "-- first\n\nselect\n 1;\n\nselect 2;", []Input{{"select\n 1;", false, 3, false}, {"select 2;", false, 6, false}}, ""},
		{"unfinished", "select 1; select 2 ", []Input{{"select 1;", false, 1, false}}, "select 2 "},
		{"only semicolons", ";;\n;", nil, ""},
		{"string", "select ';' , 'it''s;';", []Input{{"select ';' , 'it''s;';", false, 1, false}}, ""},
		{"open string", "select 'a;", nil, "select 'a;"},
		{"names", "select \";\", `;`, [;];", []Input{{"select \";\", `;`, [;];", false, 1, false}}, ""},
		{"comment inside", "select 1 -- ;\n+ /* ; */ 2;", []Input{{"select 1 -- ;\n+ /* ; */ 2;", false, 1, false}}, ""},
		{"comment after", "select 1; -- done", []Input{{"select 1;", false, 1, false}}, ""},
		{"open comment", "select 1; /* more", []Input{{"select 1;", false, 1, false}}, "/* more"},
		{"trigger", trigger + "select 1;", []Input{{trigger, false, 1, false}, {"select 1;", false, 1, false}}, ""},
		{"open trigger", "create trigger t begin select 1;", nil, "create trigger t begin select 1;"},
		{"explain trigger", "explain query plan " + trigger, []Input{{"explain query plan " + trigger, false, 1, false}}, ""},
		{"trigger is only a word", "select trigger; end;", []Input{{"select trigger;", false, 1, false}, {"end;", false, 1, false}}, ""},
		{"begin and end", "begin; end;", []Input{{"begin;", false, 1, false}, {"end;", false, 1, false}}, ""},
		{"dot-command", ".tables", []Input{{".tables", true, 1, false}}, ""},
		{"dot-commands", ".tables\r\n.mode 'json;\n", []Input{{".tables", true, 1, false}, {".mode 'json;", true, 2, false}}, ""},
		{"dot and SQL", ".mode csv\nselect 1;\n  .quit", []Input{{".mode csv", true, 1, false}, {"select 1;", false, 2, false}, {".quit", true, 3, false}}, ""},
		{"dot after a statement", "select 1; .quit\n", []Input{{"select 1;", false, 1, false}, {".quit", true, 1, false}}, ""},
		{"a line of a tool", "netstat -tan --at '3:14'\nselect 1; ss -t; x\nroute", []Input{{"netstat -tan --at '3:14'", false, 1, false}, {"select 1;", false, 2, false}, {"ss -t; x", false, 2, false}, {"route", false, 3, false}}, ""},
		{"a tool inside", "select *\nfrom route;", []Input{{"select *\nfrom route;", false, 1, false}}, ""},
		{"dot inside", "select s\n.pid from s;", []Input{{"select s\n.pid from s;", false, 1, false}}, ""},
		{"byte order mark", "\ufeffselect 1;", []Input{{"select 1;", false, 1, false}}, ""},
		{"scripts put together", "\ufeffselect 1;\n\ufeff.tables\n\ufeff", []Input{{"select 1;", false, 1, false}, {".tables", true, 2, false}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, rest := Split(tt.text)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Split(%q): (-want +got)\n%s", tt.text, diff)
			}
			if rest != tt.rest {
				t.Errorf("Split(%q): rest %q, want %q", tt.text, rest, tt.rest)
			}
			if got, want := Complete(tt.text), tt.rest == ""; got != want {
				t.Errorf("Complete(%q) = %v, want %v", tt.text, got, want)
			}
		})
	}
}

// A long run of quotes once recursed as deep as it was long.
func TestSplitLong(t *testing.T) {
	t.Parallel()
	text := "select " + strings.Repeat("'", 1<<20) + ";"
	if inputs, rest := Split(text); len(inputs) != 1 || rest != "" {
		t.Errorf("%d inputs, rest of %d bytes; want 1 and none", len(inputs), len(rest))
	}
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"select 1; select 2", "create trigger t begin select ';'; end;", "explain create temp trigger x;end;",
		".tables\nselect 'a''b', \"c\", `d`, [e] -- f\n/* g */;", "\ufeffselect 1.end;", "\ufeff\ufeff \x00le;\ufeffselect 1;\ufeff", "select 1; .x", "/*", "-", "''';",
		"explain explain create trigger;end;", "create /* */ temporary\ntrigger;end/**/;", "create trigger 1;1.end;", "3-;-3;--;-3",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		inputs, rest := Split(text)
		if !strings.HasSuffix(text, rest) {
			t.Fatalf("rest %q is no suffix of %q", rest, text)
		}
		if got := Complete(text); got != (rest == "") {
			t.Fatalf("Complete(%q) = %v, rest %q", text, got, rest)
		}
		at := 0
		hasDot := false
		for _, in := range inputs {
			i := strings.Index(text[at:], in.Text)
			if in.Text == "" || i < 0 {
				t.Fatalf("input %q is not in %q after byte %d", in.Text, text, at)
			}
			at += i + len(in.Text)
			hasDot = hasDot || in.Dot
			again, left := Split(in.Text)
			want := []Input{{in.Text, in.Dot, 1, in.Upright}}
			if diff := cmp.Diff(want, again); diff != "" || left != "" {
				t.Fatalf("splitting %q again leaves %q: (-want +got)\n%s", in.Text, left, diff)
			}
		}
		end := 0
		for _, tok := range tokens(text) {
			if tok.start != end || tok.end <= tok.start {
				t.Fatalf("token %+v does not follow byte %d of %q", tok, end, text)
			}
			end = tok.end
		}
		if end != len(text) {
			t.Fatalf("tokens of %q end at %d", text, end)
		}

		// SQLite knows no dot-commands and ends its text at a NUL; sqlite3_complete, unlike SQLite, takes a byte order mark for a name.
		sql := text
		if hasDot || strings.HasPrefix(rest, ".") || strings.Contains(sql, `\`) || strings.ContainsRune(sql, 0) || strings.Contains(sql, byteOrderMark) {
			return
		}
		blank := true
		for _, tok := range tokens(sql) {
			blank = blank && tok.blank() && !tok.open
		}
		// Since 3.54 it calls a text that ends in a -- comment incomplete: Enter
		// is what ends the comment.
		if got, want := rest == "" && !blank, sqliteComplete(t, sql+"\n"); got != want {
			t.Fatalf("%q: complete %v, sqlite3_complete %v", sql, got, want)
		}
	})
}

func sqliteComplete(t *testing.T, sql string) bool {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tls := libc.NewTLS()
	defer tls.Close()
	c, err := libc.CString(sql)
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Xfree(tls, c)
	return sqlite3.Xsqlite3_complete(tls, c) != 0
}
