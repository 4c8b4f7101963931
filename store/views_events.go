package store

import (
	"fmt"
	"slices"
	"strings"
)

// changesWithin is the view of changes for the samples of a window, as a piece of a view that has named the window w, of
// samples w.a to w.z. It reads the spans of the window only: of a machine with many routes a recording of a month holds millions.
//
// An event of the window may be told by the sample after it.
//
// A brief one lacks the columns after and learnt: every connection keeps the views in memory, parsed, see selects.
func (t *Table) changesWithin(brief bool) string {
	return t.changesFrom(spansOfChanges{
		brief: brief,
		closed: fmt.Sprintf("FROM w CROSS JOIN %s_span p ON p.id BETWEEN w.a << 32 AND ((w.z + 1 + %d) << 32) - 1 AND (p.id >> 32) - p.length BETWEEN w.a AND w.z + 1",
			t.Subject, t.K),
		open: fmt.Sprintf("FROM w CROSS JOIN %s_open p ON p.from_sample BETWEEN w.a AND w.z + 1", t.Subject),
		// One that was gone when its source could be read again was last seen earlier; after so many samples nobody knows
		// when it went.
		gone: fmt.Sprintf("FROM w CROSS JOIN %s s ON s.last_sample BETWEEN w.a - 721 AND w.z AND s.gone_sample BETWEEN w.a AND w.z + 1", t.Subject),
		told: fmt.Sprintf("FROM w CROSS JOIN %s_event e ON e.ts BETWEEN w.since AND w.until", t.Subject),
	})
}

// ChangesWithin is the body of a view of changes for who wants those of some time alone, which since and until bound, as
// SQL without columns; "": there is no bound. Others may be among them. ok is false where the view shows no changes.
func (v View) ChangesWithin(since, until string) (body string, ok bool) {
	if v.From == nil || !strings.HasSuffix(v.Name, changesSuffix) || since == "" && until == "" {
		return "", false
	}
	// A text, which is more than each number, is no bound.
	low, high := "-1", "1e12"
	if since != "" {
		low = "max(-1, (" + since + ") - 1)"
	}
	if until != "" {
		high = "min(1e12, (" + until + "))"
	}
	return fmt.Sprintf(`WITH
w AS MATERIALIZED (
  SELECT since, until,
         (SELECT id FROM sample WHERE ts >= since ORDER BY ts LIMIT 1) AS a,
         coalesce((SELECT id FROM sample WHERE ts <= until ORDER BY ts DESC LIMIT 1), -1) AS z
    FROM (SELECT %s AS since, %s AS until))
%s
 ORDER BY ts`, low, high, v.From.changesWithin(false)), true
}

// About is the body of events, of those parts alone that are about one of the objects.
func (v View) About(objects []string) string {
	const between = "\n  UNION ALL\n"
	head, rest, _ := strings.Cut(v.template, "{parts}")
	parts, tail, _ := strings.Cut(rest, "{end}")
	// The first of a compound SELECT names the columns of all.
	var names []string
	for _, c := range v.Columns {
		names = append(names, "NULL AS "+c.Name)
	}
	wanted := []string{"  SELECT " + strings.Join(names, ", ") + " WHERE 0"}
	for part := range strings.SplitSeq(parts, between) {
		if slices.ContainsFunc(objects, func(object string) bool { return strings.Contains(part, "'"+object+"'") }) {
			wanted = append(wanted, part)
		}
	}
	return head + strings.Join(wanted, between) + tail
}
