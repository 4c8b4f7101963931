package store

import (
	"fmt"
	"slices"
	"strings"
)

// A Wanted is a column, and the values of which it must have one.
type Wanted struct {
	Column string
	Values []string // as SQL
}

// OfCloses is the body of closed_sockets or connections for who asks about few closes. What many of them have in common
// stands in tuples, and most closes need not be joined to theirs, to be told from those that are wanted. Where few
// addresses are, closes are read only of the times in which peers_1h knows any of them, and of those that it does not tell
// of. An index of addresses would cost a page for nearly each close.
//
// since and until bound ts, as SQL without columns; "": it has no bound. ok is false where nothing is gained.
func (v View) OfCloses(wanted []Wanted, since, until string) (body string, ok bool) {
	if v.Name != "closed_sockets" && v.Name != "connections" {
		return "", false
	}
	places := map[string]string{}
	may, addresses := []string(nil), []string(nil)
	for _, w := range wanted {
		in, column := "("+strings.Join(w.Values, ", ")+")", w.Column
		switch column {
		case "local_addr", "local_port", "remote_port":
		case "remote_addr":
			addresses = w.Values
			places["peer"] = " AND s.remote_addr IN " + in
		case "pid", "comm", "exe":
			in, column = fmt.Sprintf("(SELECT id FROM process WHERE %s IN %s)", column, in), "process"
		default:
			continue
		}
		// One that a sample saw is named by its socket.
		may = append(may, fmt.Sprintf("(c.%[1]s IN %[2]s OR c.tuple IN (SELECT id FROM %[3]s WHERE %[1]s IN %[2]s) OR c.socket IS NOT NULL)", column, in, Closes.tuple()))
	}
	if may == nil {
		return "", false
	}
	where := " WHERE " + strings.Join(may, " AND ")
	unconnected := func(a string) bool { return a == "'0.0.0.0'" || a == "'::'" } // no peer
	hours := len(addresses) > 0 && !slices.ContainsFunc(addresses, unconnected)
	if v.Name == "connections" {
		places["closes"] = Closes.wholeOf(where) + " c"
		if hours {
			places["spoke"] = spoken(addresses) + ",\n"
			places["closes"] = "spoke k CROSS JOIN " + places["closes"]
			places["when"] = "c.ts > max(k.since, w.since - 1) AND c.ts <= min(k.until, w.beyond) AND c.ts >= w.since"
		}
		return v.fill(places), true
	}
	if hours {
		low, high := "k.since", "k.until"
		if since != "" {
			low = "max(k.since, (" + since + ") - 1)" // what is just then is wanted
		}
		if until != "" {
			high = "min(k.until, (" + until + "))"
		}
		places["spoke"] = "WITH\n" + spoken(addresses) + "\n"
		places["ts"] = "+c.ts" // what bounds ts in the statement must not drive it
		places["closes"] = fmt.Sprintf("spoke k CROSS JOIN close c ON c.ts > %s AND c.ts <= %s", low, high)
	}
	return v.fill(places) + "\n" + where, true
}

// spoken are the tables of a WITH of which the last, spoke, has the times in which one of those peers was there, as far as
// peers_1h tells, and all times of which it does not: before its first hour, after what is summed up, and everything where
// damage may have taken hours. What the first sample of an hour brought may have happened before the hour. A time begins
// just after since, and where no other one is.
func spoken(addresses []string) string {
	r, l := rollupNamed("peers"), Levels()[1]
	known := slices.Clone(addresses)
	for _, a := range addresses {
		known = append(known, quoted(networkOf(strings.Trim(a, "'"))))
	}
	return fmt.Sprintf(`told (h) AS (
  SELECT (SELECT min(id) >> 32 FROM %[1]s)
  UNION ALL
  SELECT (SELECT id >> 32 FROM %[1]s WHERE id >= (h + 1) << 32 ORDER BY id LIMIT 1) FROM told WHERE h IS NOT NULL),
times AS (
  SELECT iif(min(first_ms) > 0, %[3]d.0 * h + min(first_ms) / 1000.0 - 0.002, coalesce((SELECT ts - 0.001 FROM sample WHERE ts < %[3]d.0 * h ORDER BY ts DESC LIMIT 1), -1)) AS since,
         %[3]d.0 * h + max(last_ms) / 1000.0 + 0.002 AS until
    FROM told CROSS JOIN %[2]s g CROSS JOIN %[1]s r ON r.id = h << 32 | g.id
   WHERE h IS NOT NULL AND (g.remote_addr IN (%[4]s) OR g.remote_addr IS NULL) GROUP BY h
  UNION ALL
  SELECT -1, coalesce(%[3]d.0 * (SELECT min(id) >> 32 FROM %[1]s), 1e12)
  UNION ALL
  SELECT coalesce((SELECT ts - 0.001 FROM peer_upto u JOIN sample m ON m.id = u.sample), -1), 1e12
  UNION ALL
  SELECT -1, 1e12 WHERE EXISTS (SELECT 1 FROM gap WHERE kind = '%[5]s')),
spoke AS MATERIALIZED (
  SELECT max(since, coalesce(max(until) OVER (ORDER BY since, until ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), since)) AS since, until FROM times)`,
		r.rows(l), r.group(), l.Seconds, strings.Join(known, ", "), gapDamaged)
}

// quoted is a string as SQL has it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
