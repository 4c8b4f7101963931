package query

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestTimesUnderOtherNames(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]string{
		"SELECT ts AS t, comm AS c FROM sockets":                                                                          "t",
		"SELECT s.ts AS T, max( S.ts ) AS newest, min(\"opened\") AS \"a b\" FROM connections s":                          "a b newest t",
		"SELECT t AS u, n FROM (SELECT max(ts) AS t, count(*) AS n FROM sockets GROUP BY pid)":                            "t u",
		"WITH x AS (SELECT ts AS t FROM samples), y AS MATERIALIZED (SELECT x.t AS u FROM x) SELECT max(u) AS v FROM y":   "t u v",
		"SELECT t.ts AS t FROM samples AS t JOIN boots AS u":                                                              "t",
		"SELECT ts + 1 AS t, ts - after AS d, max(ts, 5) AS m, max(ts) - min(ts) AS l, total(ts) AS s FROM route_changes": "",
		"SELECT ts AS t FROM samples UNION ALL SELECT bytes_sent FROM sockets":                                            "",
		"SELECT t FROM (SELECT ts AS t FROM samples), (SELECT bytes_sent AS t FROM sockets)":                              "",
		"SELECT t FROM mine WHERE a IN (SELECT ts AS t FROM samples)":                                                     "",
		"WITH x(t) AS (SELECT bytes_sent FROM sockets) SELECT x.t FROM x JOIN (SELECT ts AS t FROM samples) y":            "",
		"SELECT bytes_sent FROM sockets WHERE ts IN (SELECT ts AS bytes_sent FROM samples)":                               "",
		"SELECT x.ts FROM sockets AS ts, samples AS x":                                                                    "",
		"SELECT 'ts AS t' -- ts AS t\n FROM sockets":                                                                      "",
		"SELECT t AS u, u AS t FROM sockets":                                                                              "",
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(timeAliases(statement))), " "); got != want {
			t.Errorf("%s\nhas times under %q, want %q", statement, got, want)
		}
	}
}

// A person sees a time under whatever name; a program gets what it got before.
func TestATimeUnderAnotherNameIsShownAsOne(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	const statement = "SELECT t AS u, n FROM (SELECT min(ts) AS t, 1000000000 AS n FROM samples)"
	shown, raw := "2026-03-14 01:00:05.123", exact(began.Add(5e9))
	for _, mode := range Modes() {
		var out bytes.Buffer
		s, err := NewShell(r, ShellConfig{Out: &out, Err: &out, Mode: mode})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), statement); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		text := out.String()
		if people := slices.Contains([]string{"box", "table", "column", "line", "markdown"}, mode); strings.Contains(text, shown) != people || people == strings.Contains(text, raw) {
			t.Errorf("%s:\n%s", mode, text)
		}
		if !strings.Contains(strings.NewReplacer(",", "", " ", "").Replace(text), "1000000000") && mode != "insert" {
			t.Errorf("%s shows a number as something else:\n%s", mode, text)
		}
	}
}

func FuzzTimeAliases(f *testing.F) {
	f.Add("SELECT t AS u FROM (SELECT max(ts) AS t FROM sockets)")
	f.Add("as as (")
	f.Fuzz(func(_ *testing.T, statement string) { timeAliases(statement) })
}
