package query

import (
	"fmt"
	"strings"
	"testing"
)

// Where an error is stands under its line, if that is certain.
func TestPlaceOfAnError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ statement, problem, place string }{ // place begins with what is wrong
		{"SELECT prt FROM sockets", `no such column: prt`, "prt FROM"},
		{"SELECT s.prt FROM sockets s", `no such column: s.prt`, "prt FROM"},
		{"SELECT * FROM soket WHERE 1", `no such table: soket`, "soket"},
		{"SELECT a, 'prt', prt", `no such column: prt`, "prt"},
		{"SELECT prt, prt FROM sockets", `no such column: prt`, ""},
		{"SELECT md5(1)", `no such function: md5`, "md5("},
		{"SELECT 1\n FORM\n sockets WHERE a FORM", `near "sockets": syntax error`, "sockets WHERE"},
		{"SELECT count(*) FROM sockets WHERE WHERE", `near "WHERE": syntax error`, "WHERE"},
		{"SELECT (1", `incomplete input`, ""},
		{"SELECT at('never')", `at: no time "never"`, ""},
		{`SELECT "prt" FROM x`, `no such column: prt`, `"prt"`},
		{"SELECT 'ü', prt", `no such column: prt`, "prt"},
	} {
		got := ""
		if place := placeOf(tt.statement, tt.problem); place >= 0 {
			got = tt.statement[place:]
		}
		if !strings.HasPrefix(got, tt.place) || tt.place == "" && got != "" {
			t.Errorf("%s: %s: at %q, not %q", tt.statement, tt.problem, got, tt.place)
		}
	}
	e := &placedError{"no such column: prt", "SELECT 1,\n\tü, prt FROM sockets", strings.Index("SELECT 1,\n\tü, prt FROM sockets", "prt")}
	want := "no such column: prt\n   ü, prt FROM sockets\n      ^"
	if got := e.shown(80); got != want {
		t.Errorf("shown:\n%s\nnot\n%s", got, want)
	}
	if line, column := e.position(); line != 2 || column != 5 {
		t.Errorf("line %d, column %d", line, column)
	}
	long := strings.Repeat("a, ", 100) + "prt" + strings.Repeat(", b", 100)
	e = &placedError{"no such column: prt", long, strings.Index(long, "prt")}
	lines := strings.Split(e.shown(40), "\n")
	if caret := strings.Index(lines[2], "^"); len(lines) != 3 || textWidth(lines[1]) > 40 || !strings.HasPrefix(lines[1][caret:], "prt") {
		t.Errorf("of a long line:\n%s", strings.Join(lines, "\n"))
	}
}

// Whatever stands in a statement, its place lies in it and is shown on a line.
func FuzzPlace(f *testing.F) {
	f.Add("SELECT prt FROM sockets", "prt")
	f.Add("SELECT 1\n FORM x\x00", "x")
	f.Fuzz(func(t *testing.T, statement, name string) {
		for _, problem := range []string{"no such column: " + name, fmt.Sprintf("near %q: syntax error", name), "ambiguous column name: " + name} {
			place := placeOf(statement, problem)
			if place < -1 || place > len(statement) {
				t.Fatalf("%q in %q at %d", problem, statement, place)
			}
			shown := (&placedError{problem, statement, place}).shown(60)
			for line := range strings.Lines(shown[len(problem):]) {
				if w := textWidth(strings.TrimSuffix(line, "\n")); w > 63 || !isClean(strings.TrimSuffix(line, "\n")) && !strings.ContainsRune(statement, '\ufffd') {
					t.Fatalf("a line of %d: %q", w, line)
				}
			}
		}
	})
}
