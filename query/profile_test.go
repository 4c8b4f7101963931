package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProfile(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	var out, said strings.Builder
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &said})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Script(t.Context(), `.profile SELECT column1 AS n, column2 AS word, column3 AS mixed, column4 AS ts FROM
		(VALUES (1, 'b', 2, 1795400045.25), (5, 'a', 'x', NULL), (5, 'c', x'00', NULL), (9, 'b', 2.0, NULL), (NULL, NULL, NULL, NULL))`); err == nil {
		t.Error("a command of two lines is taken")
	}
	out.Reset()
	if err := s.Script(t.Context(), `.times utc
.profile SELECT column1 AS n, column2 AS word, column3 AS mixed, column4 AS ts FROM (VALUES (1, 'b', 2, 1795400045.25), (5, 'a', 'x', NULL), (5, 'c', 3, NULL), (9, 'b', 2.5, NULL), (NULL, NULL, NULL, NULL))`); err != nil {
		t.Fatal(err)
	}
	want := `column|nulls|distinct|least|median|most|spread|most_often
n|1|3|1|5|9|▅▁▁▁▁█▁▁▁▅|5 (2)
word|1|3|a|b|c||b (2)
mixed|1|4|2|2.5|x||
ts|4|1|2026-11-23 02:14:05.250|2026-11-23 02:14:05.250|2026-11-23 02:14:05.250||
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, wrong := range []string{".profile", ".profile SELECT nope", ".profile SELECT :x"} {
		if err := s.Script(t.Context(), wrong); err == nil {
			t.Errorf("%s is taken", wrong)
		}
	}
}
