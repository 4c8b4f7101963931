package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// asked is what a shell that no person sits at prints.
func askedOnce(t *testing.T, r *Recording, text string) string {
	t.Helper()
	var out, said strings.Builder
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &said})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), text); err != nil {
		return err.Error()
	}
	return out.String()
}

// By what rows differ: nothing in common is 1, what is alike is not told, and distributions of numbers are compared as such.
func TestWhy(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	const rows = "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 99) SELECT "
	got := askedOnce(t, r, ".why "+rows+"'a' AS same, iif(i < 20, 'x', 'y') AS some, 'here' AS all_of_it, i AS n, i AS far, iif(i < 10, NULL, 1) AS known, i AS cookie, 'word ' || i AS own, i % 6 AS six, iif(i % 2, NULL, i) AS half, iif(i < 20, 1, 2) AS mss, iif(i < 20, 1, 2) AS state, NULL AS never, iif(i < 11, i, 11) AS tied, 'word ' || i AS apart FROM n"+
		" AGAINST "+rows+"'a' AS same, iif(i < 70, 'x', 'y') AS some, 'there' AS all_of_it, i + 50 AS n, i + 1000 AS far, 1 AS known, i + 500 AS cookie, 'other ' || i AS own, i % 5 AS six, i AS half, iif(i < 70, 1, 2) AS mss, iif(i < 70, 1, 2) AS state, NULL AS never, iif(i < 11, i, 12) AS tied, 'same' AS apart FROM n")
	want := `column|difference|these|those
all_of_it|1|100 % here|0 % here
far|1|median 49|median 1049
apart|1|0 % same|100 % same
tied|0.89|median 11|median 12
some|0.5|20 % x|70 % x
n|0.5|median 49|median 99
state|0.5|20 % 1|70 % 1
mss|0.5|20 % 1|70 % 1
six|0.16|median 2|median 2
known|0.1|90 % 1|100 % 1
half|0.01|median 48, 50 % NULL|median 49
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for text, want := range map[string]string{
		".why SELECT 1": "why do which rows differ",
		".why SELECT 1 AS a AGAINST SELECT 2 AS b":         "other columns",
		".why SELECT 1 AS a WHERE 0 AGAINST SELECT 1 AS a": "nothing to compare: 0 rows against 1 row",
		".why SELECT nope AGAINST SELECT 1":                "no such column: nope",
	} {
		if got := askedOnce(t, r, text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestPivot(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	got := askedOnce(t, r, ".pivot SELECT column1 AS hour, column2 AS state, column3 AS n FROM (VALUES (1, 'a', 5), (1, 'b', 6), (2, 'b', 7), (2, NULL, 8), (3, 'a', 9), (3, 'a', 10))")
	want := "hour|a|b|NULL\n1|5|6|\n2||7|8\n3|10||\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for text, want := range map[string]string{
		".pivot":             "pivot which result?",
		".pivot SELECT 1, 2": "three columns at least",
		".pivot WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 201) SELECT 1 AS a, i, i FROM n": "i has more than 200 different values",
		".pivot WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 200) SELECT 1 AS a, i, i FROM n": "|199|200\n1|1|2|",
		".pivot WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT 1 AS a, i, i FROM n": "i has more than 200 different values",
	} {
		if got := askedOnce(t, r, text); !strings.Contains(got, want) {
			t.Errorf("%s: %s", text, got)
		}
	}
}
