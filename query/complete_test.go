package query

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestCompletions(t *testing.T) {
	t.Parallel()
	names := testNames()
	names.Values = func(column string) []string {
		if column == "comm" {
			return []string{"nginx", "ngx's", "nginx"}
		}
		return nil
	}
	var states []string
	for _, s := range values["state"] {
		states = append(states, "'"+s+"'")
	}
	slices.Sort(states)
	tests := []struct {
		text string // the cursor is at ‸
		want []string
	}{
		{"select * from so‸", []string{"sockets", "sockets_now"}},
		{"select * from ‸", names.TableNames()},
		{"SELECT * FROM SO‸", []string{"sockets", "sockets_now"}},
		{"select * from sockets s join pro‸", []string{"processes"}},
		{"select * from sockets, ro‸", []string{"routes"}},
		{"select * from sockets s, ‸", names.TableNames()},
		{"select * from main.so‸", []string{"sockets", "sockets_now"}},
		{"select * from main.‸", names.TableNames()},
		{"select s.loc‸ from sockets s", []string{"local_addr", "local_port"}},
		{"select s.‸ from routes as s", []string{"dev", "dst", "gateway", "metric", `"table"`, "ts"}},
		{`select "s".ga‸ from routes "s"`, []string{"gateway"}},
		{"select routes.ga‸", []string{"gateway"}},
		{"select x.ga‸ from routes", nil},
		{"select * from sockets s where s.pi‸", []string{"pid"}},
		{"select * from sockets s join processes p on p.pp‸", []string{"ppid"}},
		{"select * from (select * from routes r where r.met‸", []string{"metric"}},
		{"select me‸ from routes", []string{"metric"}},
		{"select pi‸, 1 from sockets", []string{"pid"}},
		{"select ‸ from neighbors", []string{"dev", "dst", "ts"}},
		{"select ‸", nil},
		{"‸", nil},
		{"sel‸", []string{"select"}},
		{"SEL‸", []string{"SELECT"}},
		{"select * from sockets whe‸", []string{"when", "where"}},
		{"select * from sockets group by ‸", slices.Sorted(slices.Values(names.Tables["sockets"]))},
		{"select rx_b‸", []string{"rx_bytes"}},
		{"select pid from sockets where in_‸", []string{"in_net("}},
		{"select pid from sockets where in_‸('private')", []string{"in_net"}},
		{"select si‸ from sockets", []string{"sign(", "since("}},
		{"select ts‸ from sockets", []string{"ts("}},
		{"select state‸ from sockets", nil},
		{"select 'so‸", nil},
		{"select 'from so‸' from sockets", nil},
		{`select * from "so‸`, nil},
		{"select 1 -- from so‸", nil},
		{"select 1 /* from so‸ */", nil},
		{"select 12‸ from sockets", nil},
		{"select pid as p‸ from sockets", nil},
		{"select * from sockets where pid = :p‸", nil},
		{"select 1; select * from rou‸; select 2;", []string{"routes"}},
		{"select * from sockets; select ga‸", []string{"gateway"}},
		{"select * from sockets;‸", nil},
		{"with busy as (select 1) select * from bu‸", []string{"busy"}},
		{"insert into ne‸", []string{"neighbors"}},
		{"update ne‸", []string{"neighbors"}},
		{"update routes set me‸", []string{"metric"}},
		{"drop view ne‸", []string{"neighbors"}},
		{".‸", names.Commands},
		{".s‸", []string{".schema", ".since"}},
		{".sc‸hema", []string{".schema"}},
		{".describe ro‸", []string{"routes"}},
		{".schema ‸", names.TableNames()},
		{".describe routes x‸", nil},
		{".mode j‸", []string{"json", "jsonl"}},
		{".timer o‸", []string{"off", "on"}},
		{".param ‸", []string{"clear", "list", "set", "unset"}},
		{".describe routes met‸", []string{"metric"}},
		{".describe routes met ric‸", nil},
		{".read testdata/nothing‸", nil},
		{".read ./complete_v‸", []string{"./complete_values.go"}},
		{".once ../migr‸", []string{"../migrations/"}},
		{".quit n‸", nil},
		{"select * from sockets where state = ‸", states},
		{"select * from sockets where state = 'CLO‸", []string{"'CLOSE'", "'CLOSE_WAIT'", "'CLOSING'"}},
		{"select * from sockets where state <> 'tim‸' and 1", []string{"'TIME_WAIT'"}},
		{"select * from sockets where s.state in ('LISTEN', 'SYN_‸", []string{"'SYN_RECV'", "'SYN_SENT'"}},
		{"select * from sockets where state not in (‸", states},
		{"select * from sockets where state is not 'x' and comm = 'ng‸", []string{"'nginx'", "'ngx''s'"}},
		{"select * from sockets where comm like '‸", []string{"'nginx'", "'ngx''s'"}},
		{"select * from sockets where comm == ‸", []string{"'nginx'", "'ngx''s'"}},
		{"select * from sockets where pid = 'ng‸", nil},
		{"select * from sockets where comm = 'ng' and pi‸", []string{"pid"}},
		{"select * from sockets where ts = at('yes‸", []string{"'yesterday 03:14'"}},
		{"select * from sockets where ts > ago(‸", []string{"'10m'", "'1d'", "'1h'", "'1m'", "'2h'", "'30s'", "'5m'", "'7d'"}},
		{"select 1;\n.des‸", []string{".describe"}},
		{".tables\nselect * from rou‸", []string{"routes"}},
	}
	for _, tt := range tests {
		t.Run(tt.text, func(t *testing.T) {
			t.Parallel()
			cursor := strings.Index(tt.text, "‸")
			text := strings.Replace(tt.text, "‸", "", 1)
			got, from := Completions(text, cursor, names)
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			typed := text[from:cursor]
			for _, c := range got {
				if plain := strings.Trim(c, `"`); !strings.EqualFold(plain[:min(len(plain), len(typed))], typed) {
					t.Errorf("%q does not continue %q", c, typed)
				}
			}
		})
	}
}

// Columns of the statement's tables come before functions, those before
// keywords.
func TestCompletionsOrder(t *testing.T) {
	t.Parallel()
	text := "select r from interface_counters"
	got, _ := Completions(text, len("select r"), testNames())
	want := []string{"rx_bytes", "rx_dropped", "random(", "rank(", "replace(", "round(", "row_number(", "rtrim(",
		"range", "recursive", "regexp", "replace", "right", "rows"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What we call reserved is what this SQLite refuses as the name of a column,
// and everything else that is offered plainly works as one.
func TestReserved(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	words := slices.Concat(keywords, builtinFunctions)
	for w := range reserved {
		words = append(words, w)
	}
	for _, w := range words {
		_, err := db.Exec("with t(x) as (select 1 as " + w + ") select " + w + ".x, x from t as " + w)
		if got := err != nil; got != reserved[strings.ToUpper(w)] {
			t.Errorf("%s: reserved %v, SQLite says %v", w, reserved[strings.ToUpper(w)], err)
		}
	}
}

// Every builtin that is offered exists.
func TestBuiltinFunctions(t *testing.T) {
	t.Parallel()
	db := openMemory(t)
	for _, name := range builtinFunctions {
		var n int
		if err := db.QueryRow("select (select count(*) from pragma_function_list where name = ?1) + (select count(*) from pragma_module_list where name = ?1)",
			name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Errorf("SQLite has no function %s", name)
		}
	}
}

func FuzzCompletions(f *testing.F) {
	for _, seed := range []string{"select s. from sockets s", "select * from main.", ".describe r", "with a as (select (", "'", "from from,from.", `"".x`} {
		for i := range len(seed) + 1 {
			f.Add(seed, i)
		}
	}
	names := testNames()
	f.Fuzz(func(t *testing.T, text string, cursor int) {
		_, from := Completions(text, cursor, names)
		if cursor = max(0, min(cursor, len(text))); from < 0 || from > cursor {
			t.Fatalf("Completions(%q, %d) replaces from %d", text, cursor, from)
		}
	})
}

// The values of columns are those of the newest sample, and what cannot be typed is not among them.
func TestValuesComeFromTheRecording(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for column, want := range map[string]bool{"source": true, "local_addr": true, "pid": false, "nothing": false} {
		got := r.valuesOf(t.Context(), column)
		if (len(got) > 0) != want {
			t.Errorf("%s: %q", column, got)
		}
		for _, v := range got {
			if !isClean(v) {
				t.Errorf("%s: %q", column, v)
			}
		}
	}
}
