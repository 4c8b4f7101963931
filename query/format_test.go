package query

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var berlin = func() *time.Location {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return loc
}()

// result writes a whole result and gives the text.
func result(t testing.TB, mode string, o FormatOptions, cols []Column, rows ...[]any) string {
	t.Helper()
	var b bytes.Buffer
	if o.Location == nil {
		o.Location = berlin
	}
	w, err := NewResultWriter(mode, &b, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(cols); err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if err := w.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.End(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	sampleCols = []Column{{Name: "ts", Time: true}, {Name: "comm"}, {Name: "port"}, {Name: "rtt"}, {Name: "raw"}}
	sampleRows = [][]any{
		{1795400045.25, "nginx: \x1b[2Jworker", int64(443), 0.123456789, []byte{0, 0xff}},
		{int64(1795400046), "a|b, \"c\"\n", nil, 1e6, nil},
		{int64(7), "", int64(-1), math.Inf(1), true},
	}
)

func TestFormats(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mode string
		o    FormatOptions
		want string
	}{
		{"box", FormatOptions{Header: true}, `
┌─────────────────────────┬──────────────────────┬──────┬──────────┬─────────┐
│ ts                      │ comm                 │ port │      rtt │ raw     │
├─────────────────────────┼──────────────────────┼──────┼──────────┼─────────┤
│ 2026-11-23 03:14:05.250 │ nginx: \x1b[2Jworker │  443 │ 0.123457 │ x'00ff' │
│ 2026-11-23 03:14:06     │ a|b, "c"\n           │ NULL │  1000000 │ NULL    │
│                       7 │                      │   -1 │     +Inf │ true    │
└─────────────────────────┴──────────────────────┴──────┴──────────┴─────────┘
`},
		{"box", FormatOptions{Unix: true, Null: "-"}, `
┌───────────────┬──────────────────────┬─────┬──────────┬─────────┐
│ 1795400045.25 │ nginx: \x1b[2Jworker │ 443 │ 0.123457 │ x'00ff' │
│    1795400046 │ a|b, "c"\n           │   - │  1000000 │ -       │
│             7 │                      │  -1 │     +Inf │ true    │
└───────────────┴──────────────────────┴─────┴──────────┴─────────┘
`},
		{"list", FormatOptions{Header: true}, `
ts|comm|port|rtt|raw
2026-11-23 03:14:05.250|nginx: \x1b[2Jworker|443|0.123456789|x'00ff'
2026-11-23 03:14:06|a|b, "c"\n||1000000|
7||-1|+Inf|true
`},
		{"line", FormatOptions{}, `
  ts = 2026-11-23 03:14:05.250
comm = nginx: \x1b[2Jworker
port = 443
 rtt = 0.123456789
 raw = x'00ff'

  ts = 2026-11-23 03:14:06
comm = a|b, "c"\n
port = NULL
 rtt = 1000000
 raw = NULL

  ts = 7
comm = 
port = -1
 rtt = +Inf
 raw = true
`},
		{"csv", FormatOptions{Header: true}, "\nts,comm,port,rtt,raw\n" +
			"2026-11-23T03:14:05.25+01:00,nginx: \x1b[2Jworker,443,0.123456789,x'00ff'\n" +
			"2026-11-23T03:14:06+01:00,\"a|b, \"\"c\"\"\n\",,1000000,\n" +
			"7,\"\",-1,+Inf,true\n"},
		{"csv", FormatOptions{CRLF: true, Location: time.UTC}, "\n" +
			"2026-11-23T02:14:05.25Z,nginx: \x1b[2Jworker,443,0.123456789,x'00ff'\r\n" +
			"2026-11-23T02:14:06Z,\"a|b, \"\"c\"\"\n\",,1000000,\r\n" +
			"7,\"\",-1,+Inf,true\r\n"},
		{"csv", FormatOptions{Unix: true, Width: 80, Null: "NULL"}, "\n" +
			"1795400045.25,nginx: \\x1b[2Jworker,443,0.123456789,x'00ff'\n" +
			"1795400046,\"a|b, \"\"c\"\"\\n\",NULL,1000000,NULL\n" +
			"7,\"\",-1,+Inf,true\n"},
		{"tsv", FormatOptions{Header: true}, "\nts\tcomm\tport\trtt\traw\n" +
			"2026-11-23 03:14:05.250\tnginx: \\x1b[2Jworker\t443\t0.123456789\tx'00ff'\n" +
			"2026-11-23 03:14:06\ta|b, \"c\"\\n\t\t1000000\t\n" +
			"7\t\t-1\t+Inf\ttrue\n"},
		{"json", FormatOptions{}, `
[
  {"ts":"2026-11-23T03:14:05.25+01:00","comm":"nginx: \u001b[2Jworker","port":443,"rtt":0.123456789,"raw":"x'00ff'"},
  {"ts":"2026-11-23T03:14:06+01:00","comm":"a|b, \"c\"\n","port":null,"rtt":1000000,"raw":null},
  {"ts":7,"comm":"","port":-1,"rtt":null,"raw":true}
]
`},
		{"jsonl", FormatOptions{Unix: true}, `
{"ts":1795400045.25,"comm":"nginx: \u001b[2Jworker","port":443,"rtt":0.123456789,"raw":"x'00ff'"}
{"ts":1795400046,"comm":"a|b, \"c\"\n","port":null,"rtt":1000000,"raw":null}
{"ts":7,"comm":"","port":-1,"rtt":null,"raw":true}
`},
		{"markdown", FormatOptions{}, `
| ts | comm | port | rtt | raw |
|---|---|---:|---:|---|
| 2026-11-23 03:14:05.250 | nginx: \\x1b\[2Jworker | 443 | 0.123456789 | x'00ff' |
| 2026-11-23 03:14:06 | a\|b, "c"\\n | NULL | 1000000 | NULL |
| 7 |  | -1 | +Inf | true |
`},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.mode, tt.o), func(t *testing.T) {
			t.Parallel()
			got := result(t, tt.mode, tt.o, sampleCols, sampleRows...)
			if diff := cmp.Diff(tt.want, "\n"+got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// What sqlite3 3.40 writes of the same rows, but for numbers, which stand on the right.
func TestFormatsOfSqlite3(t *testing.T) {
	t.Parallel()
	cols := []Column{{Name: "x"}, {Name: "number"}, {Name: "the z"}, {Name: "select"}}
	rows := [][]any{{"a'<b>", 1.0, nil, []byte{0}}, {"", int64(-7), "z", 1.5e300}}
	for _, tt := range []struct {
		mode string
		o    FormatOptions
		want string
	}{
		{"html", FormatOptions{Header: true}, "<TR><TH>x</TH>\n<TH>number</TH>\n<TH>the z</TH>\n<TH>select</TH>\n</TR>\n" +
			"<TR><TD>a&#39;&lt;b&gt;</TD>\n<TD>1</TD>\n<TD></TD>\n<TD>x&#39;00&#39;</TD>\n</TR>\n" +
			"<TR><TD></TD>\n<TD>-7</TD>\n<TD>z</TD>\n<TD>1.5e+300</TD>\n</TR>\n"},
		{"insert", FormatOptions{Header: true, Table: "t"}, `INSERT INTO t(x,number,"the z","select") VALUES('a''<b>',1.0,NULL,X'00');` + "\n" +
			`INSERT INTO t(x,number,"the z","select") VALUES('',-7,'z',1.5e+300);` + "\n"},
		{"insert", FormatOptions{}, `INSERT INTO "table" VALUES('a''<b>',1.0,NULL,X'00');` + "\n" + `INSERT INTO "table" VALUES('',-7,'z',1.5e+300);` + "\n"},
		{"quote", FormatOptions{Header: true}, "'x','number','the z','select'\n'a''<b>',1.0,NULL,X'00'\n'',-7,'z',1.5e+300\n"},
		{"quote", FormatOptions{Separator: "; "}, "'a''<b>'; 1.0; NULL; X'00'\n''; -7; 'z'; 1.5e+300\n"},
		{"ascii", FormatOptions{}, "a'<b>\x1f1\x1f\x1fx'00'\x1e\x1f-7\x1fz\x1f1.5e+300\x1e"},
		{"list", FormatOptions{Header: true, Separator: ", ", RowSeparator: ";\n", Null: "-"}, "x, number, the z, select;\na'<b>, 1, -, x'00';\n, -7, z, 1.5e+300;\n"},
		{"csv", FormatOptions{Separator: ";", Null: "NULL"}, "a'<b>;1;NULL;x'00'\n\"\";-7;z;1.5e+300\n"},
		{"json", FormatOptions{Separator: ";"}, "[\n" + `  {"x":"a'<b>","number":1,"the z":null,"select":"x'00'"},` + "\n" + `  {"x":"","number":-7,"the z":"z","select":1.5e+300}` + "\n]\n"},
		{"table", FormatOptions{Header: true}, "" +
			"+-------+--------+-------+----------+\n" +
			"| x     | number | the z | select   |\n" +
			"+-------+--------+-------+----------+\n" +
			"| a'<b> |      1 | NULL  | x'00'    |\n" +
			"|       |     -7 | z     | 1.5e+300 |\n" +
			"+-------+--------+-------+----------+\n"},
		{"column", FormatOptions{Header: true, Widths: []int{8}}, "" +
			"x         number  the z  select  \n" +
			"--------  ------  -----  --------\n" +
			"a'<b>          1  NULL   x'00'   \n" +
			"              -7  z      1.5e+300\n"},
	} {
		if diff := cmp.Diff(tt.want, result(t, tt.mode, tt.o, cols, rows...)); diff != "" {
			t.Errorf("%s %+v (-want +got)\n%s", tt.mode, tt.o, diff)
		}
	}
}

func TestFormatsWithoutRows(t *testing.T) {
	t.Parallel()
	cols := []Column{{Name: "pid"}, {Name: "comm"}}
	want := map[string]string{
		"box":      "┌─────┬──────┐\n│ pid │ comm │\n├─────┼──────┤\n└─────┴──────┘\n",
		"line":     "",
		"list":     "pid|comm\n",
		"csv":      "pid,comm\n",
		"tsv":      "pid\tcomm\n",
		"json":     "[]\n",
		"jsonl":    "",
		"markdown": "| pid | comm |\n|---|---|\n",
		"table":    "+-----+------+\n| pid | comm |\n+-----+------+\n+-----+------+\n",
		"column":   "pid  comm\n---  ----\n",
		"html":     "<TR><TH>pid</TH>\n<TH>comm</TH>\n</TR>\n",
		"quote":    "'pid','comm'\n",
		"ascii":    "pid\x1fcomm\x1e",
	}
	for _, mode := range Modes() {
		if diff := cmp.Diff(want[mode], result(t, mode, FormatOptions{Header: true}, cols)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", mode, diff)
		}
	}
}

func TestNewResultWriterUnknown(t *testing.T) {
	t.Parallel()
	_, err := NewResultWriter("jsn", &bytes.Buffer{}, FormatOptions{})
	want := `no output mode "jsn"; did you mean "json"? (there are box, table, column, line, list, csv, tsv, json, jsonl, markdown, html, insert, quote, ascii)`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestRowOfWrongLength(t *testing.T) {
	t.Parallel()
	for _, mode := range Modes() {
		w, err := NewResultWriter(mode, &bytes.Buffer{}, FormatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Begin([]Column{{Name: "a"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.Row([]any{int64(1), int64(2)}); err == nil {
			t.Errorf("%s takes two values for one column", mode)
		}
	}
}

type brokenPipe struct{}

var errBrokenPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBrokenPipe }

// A query over a whole recording must end when its reader has gone.
func TestWriteErrorReachesRow(t *testing.T) {
	t.Parallel()
	row := []any{strings.Repeat("x", 1000)}
	for _, mode := range Modes() {
		w, err := NewResultWriter(mode, brokenPipe{}, FormatOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.Begin([]Column{{Name: "a"}})
		rows := 0
		for err = nil; err == nil && rows < 10000; rows++ {
			err = w.Row(row)
		}
		if !errors.Is(err, errBrokenPipe) {
			t.Errorf("%s: %d rows, then %v; want %v", mode, rows, err, errBrokenPipe)
		}
		if err := w.End(); !errors.Is(err, errBrokenPipe) {
			t.Errorf("%s: End gives %v, want %v", mode, err, errBrokenPipe)
		}
	}
}

func TestJSONKeysAreDistinct(t *testing.T) {
	t.Parallel()
	got := result(t, "jsonl", FormatOptions{}, []Column{{Name: "pid"}, {Name: "pid"}, {Name: "pid_2"}, {Name: "pid"}},
		[]any{int64(1), int64(2), int64(3), int64(4)})
	if want := `{"pid":1,"pid_3":2,"pid_2":3,"pid_4":4}` + "\n"; got != want {
		t.Errorf("got %swant %s", got, want)
	}
}

func TestLoneValuesInCSV(t *testing.T) {
	t.Parallel()
	got := result(t, "csv", FormatOptions{}, []Column{{Name: "a"}}, []any{""}, []any{nil}, []any{"x"})
	if want := "\"\"\n\"\"\nx\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value      any
		list, json string
	}{
		{1795400045.0, "2026-11-23 03:14:05", `"2026-11-23T03:14:05+01:00"`},
		{1795400045.000001, "2026-11-23 03:14:05", `"2026-11-23T03:14:05.000001+01:00"`},
		{1795400045.999999, "2026-11-23 03:14:05.999", `"2026-11-23T03:14:05.999999+01:00"`},
		{1782868445.5, "2026-07-01 03:14:05.500", `"2026-07-01T03:14:05.5+02:00"`},
		{time.Unix(1795400045, 250e6).UTC(), "2026-11-23 03:14:05.250", `"2026-11-23T03:14:05.25+01:00"`},
		{12.5, "12.5", `12.5`},
		{int64(-5), "-5", `-5`},
		{1e15, "1000000000000000", `1000000000000000`},
		{math.NaN(), "NaN", `null`},
		{"soon", "soon", `"soon"`},
		{nil, "", `null`},
	}
	for _, tt := range tests {
		cols := []Column{{Name: "t", Time: true}}
		if got := result(t, "list", FormatOptions{}, cols, []any{tt.value}); got != tt.list+"\n" {
			t.Errorf("list %v: %q, want %q", tt.value, got, tt.list)
		}
		if got := result(t, "jsonl", FormatOptions{}, cols, []any{tt.value}); got != `{"t":`+tt.json+"}\n" {
			t.Errorf("jsonl %v: %q, want %q", tt.value, got, tt.json)
		}
	}
}

func TestRoundedFloat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		f    float64
		want string
	}{
		{0, "0"}, {1, "1"}, {0.5, "0.5"}, {2.0 / 3, "0.666667"}, {200.0 / 3, "66.6667"}, {1e6 / 3, "333333.333"},
		{1795400045.25, "1795400045.25"}, {-0.001234567, "-0.00123457"}, {1e-9, "1e-09"}, {1.23456789e20, "1.23457e+20"}, {999999.9999, "1000000"},
	}
	for _, tt := range tests {
		if got := roundedFloat(tt.f); got != tt.want {
			t.Errorf("roundedFloat(%v) = %s, want %s", tt.f, got, tt.want)
		}
	}
}

func TestEscapeControls(t *testing.T) {
	t.Parallel()
	tests := []struct{ text, want string }{
		{"nginx", "nginx"},
		{"Grüße, 世界 🙂", "Grüße, 世界 🙂"},
		{"a\x1b]0;title\x07b", `a\x1b]0;title\x07b`},
		{"a\tb\r\nc", `a\tb\r\nc`},
		{"c1 \u009b31m", `c1 \u009b31m`},
		{"\u202ereversed", `\u202ereversed`},
		{"zero\u200bwidth", `zero\u200bwidth`},
		{"bad \xff\xfe", `bad \xff\xfe`},
		{"own \ufffd", "own \ufffd"},
		{"tag \U000e0041", `tag \U000e0041`},
		{"\x7f", `\x7f`},
	}
	for _, tt := range tests {
		if got := escapeControls(tt.text); got != tt.want {
			t.Errorf("escapeControls(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func FuzzCSV(f *testing.F) {
	f.Add("a", "b,\"c\"", true)
	f.Add("", " x", false)
	f.Add(`\.`, "line\nline", true)
	f.Fuzz(func(t *testing.T, a, b string, crlf bool) {
		text := result(t, "csv", FormatOptions{CRLF: crlf, Header: true}, []Column{{Name: a}, {Name: "n"}}, []any{a, b}, []any{b, int64(1)}, []any{nil, ""})
		got, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		want := [][]string{{a, "n"}, {a, b}, {b, "1"}, {"", ""}}
		for _, row := range want { // this reader, not the format, folds CRLF inside quotes
			for i := range row {
				row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%q: (-want +got)\n%s", text, diff)
		}
	})
}

func FuzzJSON(f *testing.F) {
	f.Add("a", "\x1b\u202e\xff", 1.5, int64(math.MaxInt64))
	f.Add("", "</script>\u2028\U000e0041", math.Inf(-1), int64(-1))
	f.Fuzz(func(t *testing.T, name, s string, x float64, n int64) {
		cols := []Column{{Name: name}, {Name: name}, {Name: "n"}}
		row := []any{s, x, n}
		text := result(t, "json", FormatOptions{}, cols, row, row)
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var got []map[string]any
		if err := d.Decode(&got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(got) != 2 {
			t.Fatalf("%q: %d rows", text, len(got))
		}
		keys := distinct(cols)
		valid := func(s string) string { return string([]rune(s)) } // U+FFFD for each bad byte
		if len(got[0]) != 3 || len(got[0]) != len(got[1]) {
			t.Fatalf("%q: keys lost", text)
		}
		if v := got[0][valid(keys[0])]; v != valid(s) {
			t.Fatalf("%q: string %q, want %q", text, v, s)
		}
		switch v := got[0][valid(keys[1])].(type) {
		case json.Number:
			if back, err := v.Float64(); err != nil || back != x {
				t.Fatalf("%q: number %v, want %v", text, v, x)
			}
		default:
			if v != nil || !math.IsNaN(x) && !math.IsInf(x, 0) {
				t.Fatalf("%q: %v for %v", text, v, x)
			}
		}
		if v := got[0][valid(keys[2])]; v != json.Number(fmt.Sprint(n)) {
			t.Fatalf("%q: integer %v, want %d", text, v, n)
		}
		for _, r := range text {
			if r < ' ' && r != '\n' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("%q holds the control character %q", text, r)
			}
		}
	})
}

func BenchmarkFormats(b *testing.B) {
	cols := []Column{{Name: "ts", Time: true}, {Name: "local_addr"}, {Name: "local_port"}, {Name: "state"}, {Name: "pid"}, {Name: "cmdline"}}
	row := []any{1795400045.25, "10.20.30.40", int64(443), "ESTABLISHED", int64(4711), "nginx: worker process"}
	for _, mode := range Modes() {
		b.Run(mode, func(b *testing.B) {
			w, err := NewResultWriter(mode, io.Discard, FormatOptions{Location: berlin, Header: true, Width: 100})
			if err != nil {
				b.Fatal(err)
			}
			w.Begin(cols)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Row(row); err != nil {
					b.Fatal(err)
				}
			}
			w.End()
		})
	}
}
