package query

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestQuestion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, want, err string
		upright         bool
	}{
		{text: " SELECT 1 ; ", want: "SELECT 1 "},
		{text: "-- all of it\nwith x AS (SELECT ';') SELECT * FROM x", want: "with x AS (SELECT ';') SELECT * FROM x"},
		{text: `VALUES (1)\G`, want: "VALUES (1)", upright: true},
		{text: "(SELECT 1)", err: `"(SELECT 1)" is no question: it begins with SELECT or WITH`},
		{text: "SELECT 1; SELECT 2", err: "one statement at a time, and these are 2"},
		{text: ".shell rm x", err: `".shell rm x" is no question: it begins with SELECT or WITH`},
		{text: `\! rm x`, err: `"\\! rm x" is no question: it begins with SELECT or WITH`},
		{text: "SELECT 1\n.shell x", want: "SELECT 1\n.shell x"}, // one statement, which SQLite refuses
		{text: "ss -t", err: `"ss -t" is no question: it begins with SELECT or WITH`},
		{text: "DROP TABLE x", err: `"DROP TABLE x" is no question: it begins with SELECT or WITH`},
		{text: " ;; -- x", err: "it is empty"},
		{text: "SELECT 'a\x00'", err: "it has a zero byte in it"},
		{text: "SELECT '\xff'", err: "it is no text"},
	} {
		got, upright, err := Question(c.text)
		if err != nil && err.Error() != c.err || err == nil && c.err != "" || got != c.want || upright != c.upright {
			t.Errorf("%q: %q, %v, %v; want %q, %s", c.text, got, upright, err, c.want, c.err)
		}
	}
}

// Then keeps every value as it is, gives two columns of one name names of their own, and can only ask.
func TestAnswerThen(t *testing.T) {
	t.Parallel()
	a := Answer{Columns: []string{"host", "Host", "a b", "host_2", "n"}, Rows: [][]any{
		{"web1", int64(math.MaxInt64), 1.0, []byte{}, nil}, {"", int64(math.MinInt64), math.Inf(-1), []byte{0, 255}, "\x00\xff'"},
	}}
	got, err := a.Then(t.Context(), `SELECT *, typeof("Host_2"), typeof("a b"), typeof(host_2_2), length(n) FROM answers`)
	if err != nil {
		t.Fatal(err)
	}
	want := Answer{Columns: []string{"host", "Host_2", "a b", "host_2_2", "n", `typeof("Host_2")`, `typeof("a b")`, "typeof(host_2_2)", "length(n)"}, Rows: [][]any{
		append(append([]any{}, a.Rows[0]...), "integer", "real", "blob", nil), append(append([]any{}, a.Rows[1]...), "integer", "real", "blob", int64(0)),
	}}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	for statement, want := range map[string]string{
		"DELETE FROM answers":                "readonly",
		"ATTACH '/tmp/x' AS x":               "SQL opens and makes no other file here",
		"SELECT load_extension('x')":         "not authorized to use function: load_extension",
		"SELECT hsot FROM answers":           `no such column: hsot; did you mean "host"?`,
		"SELECT * FROM answer":               `no such table: answer; did you mean "answers"?`,
		"SELECT percentile(n, 50, 1) FROM a": "a",
	} {
		if _, err := a.Then(t.Context(), statement); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", statement, err, want)
		}
	}
}

// An answer is printed as a shell prints a result: times as times, and strangers' texts safely.
func TestAnswerPrint(t *testing.T) {
	t.Parallel()
	a := Answer{Columns: []string{"host", "ts", "comm", "netns"}, Rows: [][]any{{"web1", 1795400000.0, "\x1b[31m", int64(4026531840)}}}
	for mode, want := range map[string]string{
		"csv":  "host,ts,comm,netns\nweb1," + unixTime(1795400000).Local().Format(exactTime) + ",\x1b[31m,4026531840\n",
		"list": "host|ts|comm|netns\nweb1|" + localTime(unixTime(1795400000)) + `|\x1b[31m|4026531840` + "\n",
	} {
		var out bytes.Buffer
		if err := a.Print(ShellConfig{Out: &out, Err: &out, Mode: mode}, "SELECT 1"); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%q\nwant\n%q", mode, err, out.String(), want)
		}
	}
	// Which host it is, is seen on every screen.
	many := Answer{Columns: []string{"host", "ts", "state", "comm", "event", "what", "addr", "text", "value", "local_port", "object"}}
	for i := range 3 {
		row := []any{"web" + fmt.Sprint(i)}
		for j := range many.Columns[1:] {
			row = append(row, fmt.Sprint("a longer text ", i, j))
		}
		many.Rows = append(many.Rows, row)
	}
	var small bytes.Buffer
	narrow := ShellConfig{Out: &small, Err: &small, Terminal: true, Width: func() int { return 40 }}
	if err := many.Print(narrow, "SELECT 1"); err != nil || !strings.Contains(small.String(), "web2") {
		t.Errorf("%v\n%s", err, small.String())
	}
	var out bytes.Buffer
	wide := ShellConfig{Out: &out, Err: &out, Terminal: true, Width: func() int { return 80 }, Height: func() int { return 24 }}
	if err := a.Print(wide, "SELECT 1"); err != nil || !strings.Contains(out.String(), "web1") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%v\n%q", err, out.String())
	}
}
