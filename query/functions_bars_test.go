package query

import (
	"math"
	"strings"
	"testing"
)

func TestBarsAndSparks(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for statement, want := range map[string]string{
		"SELECT bar(5, 10)":            "██████████",
		"SELECT bar(10, 10, 4)":        "████",
		"SELECT bar(50, 10, 4)":        "████",
		"SELECT bar(0, 10)":            "",
		"SELECT bar(0.001, 10)":        "▏",
		"SELECT bar(-3, 10)":           "",
		"SELECT bar(3, 16, 2)":         "▍",
		"SELECT bar(NULL, 10) IS NULL": "1",
		"SELECT bar(1, NULL) IS NULL":  "1",
		"SELECT spark(column1) FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8))": "▁▂▃▄▅▆▇██",
		"SELECT spark(column1) FROM (VALUES (5), (NULL), (10))":                           "▅ █",
		"SELECT spark(column1) FROM (VALUES (-1), (0), (1))":                              "▁▅█",
		"SELECT spark(column1) FROM (VALUES (0), (0))":                                    "▁▁",
		"SELECT spark(column1) FROM (VALUES (7), (7))":                                    "██",
		"SELECT spark(1) IS NULL FROM (SELECT 1 WHERE 0)":                                 "1",
	} {
		if got := table(t, r.conn, statement)[1][0]; got != want {
			t.Errorf("%s is %q, want %q", statement, got, want)
		}
	}
	values := make([]float64, 1000)
	values[999], values[0] = 1, math.NaN()
	if got, want := sparkText(values, 10), strings.Repeat("▁", 9)+"█"; got != want {
		t.Errorf("of a thousand values %q, want %q", got, want)
	}
	for _, statement := range []string{"SELECT bar(1, 0)", "SELECT bar('x', 1)", "SELECT bar(1, 1, 1000)", "SELECT spark('x')"} {
		if rows, err := r.Query(t.Context(), statement); err == nil {
			if rows.Next() {
				t.Errorf("%s gives a value", statement)
			}
			rows.Close()
		}
	}
}
