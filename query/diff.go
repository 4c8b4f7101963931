package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// A thing is what .diff compares: it is named by its key, and differs when its values do.
type thing struct {
	what   string
	values map[string]string // by column; NULL is left out
	netns  any
}

// comparedTables are compared by all their columns but those named here, which move by themselves.
var comparedTables = []struct {
	table   *store.Table
	object  string
	ignored []string
	what    string // SQL
	where   string // SQL: which rows are compared; "": all
}{
	{store.Routes.Table, "route", nil, `CASE WHEN type <> 'unicast' THEN type || ' ' ELSE '' END || CASE dst WHEN '0.0.0.0/0' THEN 'default' WHEN '::/0' THEN 'default (IPv6)' ELSE dst END ||
		coalesce(' from ' || src_net, '') || coalesce(' dev ' || dev, '') || CASE WHEN metric > 0 THEN ' metric ' || metric ELSE '' END ||
		CASE WHEN table_id <> 254 THEN ' table ' || coalesce(table_name, table_id) ELSE '' END`, ""},
	{store.Rules.Table, "rule", nil, `'priority ' || priority || CASE family WHEN 6 THEN ' (IPv6)' ELSE '' END`, ""},
	{store.Firewalls.Table, "firewall", nil, "CASE backend WHEN 'legacy' THEN 'legacy ' ELSE '' END || family || ' ' || table_name", ""},
	{store.Interfaces.Table, "interface", []string{"carrier_changes", "link_failures"}, "name", ""},
	// Those that the kernel puts on interfaces by itself come and go with them.
	{store.Qdiscs.Table, "qdisc", []string{"bytes_sent", "packets_sent", "dropped", "overlimits", "requeues", "backlog_bytes", "qlen"},
		"handle || ' dev ' || dev || coalesce(' parent ' || parent, '')", "handle <> '0:'"},
	{store.Addresses.Table, "address", nil, "addr || '/' || prefix_len || coalesce(' dev ' || dev, '')", ""},
	// Those that the kernel joins by itself come and go with interfaces and addresses.
	{store.MulticastGroups.Table, "multicast", nil, "addr || ' dev ' || dev",
		"addr NOT IN ('224.0.0.1', 'ff01::1', 'ff02::1', 'ff01::2', 'ff02::2', 'ff05::2') AND addr NOT LIKE 'ff02::1:ff%'"},
	{store.RouteExceptions.Table, "path", []string{"expires"}, "'path MTU to ' || dst || coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, '')", ""},
	{store.Settings.Table, "setting", nil, "name", ""},
	{store.Modules.Table, "module", nil, "name", ""},
}

// diff is .diff T1 T2: what differs between two moments.
func (s *Shell) diff(ctx context.Context, arg string) error {
	from, to, err := diffArgs(arg, time.Now())
	if err != nil {
		return err
	}
	r := s.recording
	if err := r.refreshLimit(ctx); err != nil {
		return err
	}
	note := func(text string) {
		if text != "" {
			fmt.Fprintf(s.config.Err, "note: %s\n", text)
		}
	}
	if to.Before(from) {
		from, to = to, from
		note(fmt.Sprintf("was is the earlier moment, %s, now the later, %s", localTime(from), localTime(to)))
	}
	first, before, err := r.lastSample(ctx, r.conn.Conn, tablesOf{}, from)
	if err != nil {
		return err
	}
	last, after, err := r.lastSample(ctx, r.conn.Conn, tablesOf{}, to)
	if err != nil {
		return err
	}
	note(before)
	if after != before {
		note(after)
	}
	if first == last {
		return fmt.Errorf("%s and %s have the same sample, of %s: nothing can differ", localTime(from), localTime(to), localTime(unixTime(first)))
	}
	found, err := r.differences(ctx, first, last)
	if err != nil {
		return r.explain(err)
	}
	if err := s.printHappenings(ctx, found); err != nil {
		return err
	}
	if len(found) == 0 {
		note("nothing differs but counters and ages")
	}
	return nil
}

// diffArgs reads two times. Times have blanks in them: where more than one place can part them, quotes must.
func diffArgs(arg string, now time.Time) (from, to time.Time, err error) {
	words := quotedFields(arg)
	if len(words) < 2 {
		return from, to, errors.New("differences between which two times? .diff 03:10 03:20, say, or .diff 03:10 now")
	}
	var failed error
	found := 0
	for i := 1; i < len(words); i++ {
		a, err := ParseTime(strings.Join(words[:i], " "), now)
		if err != nil {
			failed = cmp.Or(failed, err)
			continue
		}
		b, err := ParseTime(strings.Join(words[i:], " "), now)
		if err != nil {
			failed = err
			continue
		}
		from, to = a, b
		found++
	}
	switch {
	case found > 1:
		return from, to, fmt.Errorf("where does the first of the two times end in %s? Put each in quotes: .diff '03:10' 'yesterday 03:20'", quoteWords(arg))
	case found == 0 && len(words) == 2:
		return from, to, failed
	case found == 0:
		return from, to, fmt.Errorf("no two times in %s: .diff 03:10 03:20, or in quotes: .diff 'yesterday 14:00' '10m ago'", quoteWords(arg))
	}
	return from, to, nil
}

// differences compares two samples.
func (r *Recording) differences(ctx context.Context, first, last float64) ([]happening, error) {
	all, err := r.bootDifference(ctx, first, last)
	if err != nil {
		return nil, err
	}
	compare := func(object string, things func(ts float64) (map[string]thing, error)) error {
		was, err := things(first)
		if err != nil {
			return err
		}
		now, err := things(last)
		if err != nil {
			return err
		}
		all = append(all, compareThings(object, was, now)...)
		return nil
	}
	for _, t := range comparedTables {
		if err := compare(t.object, func(ts float64) (map[string]thing, error) {
			return r.thingsOf(ctx, ts, t.table, t.ignored, t.what, t.where)
		}); err != nil {
			return nil, err
		}
	}
	before, err := r.rulesAt(ctx, first)
	if err != nil {
		return nil, err
	}
	after, err := r.rulesAt(ctx, last)
	if err != nil {
		return nil, err
	}
	all = append(all, compareRules(before, after)...)
	if err := compare("neighbor", func(ts float64) (map[string]thing, error) { return r.neighborsAt(ctx, ts) }); err != nil {
		return nil, err
	}
	was, err := r.socketsAt(ctx, first)
	if err != nil {
		return nil, err
	}
	now, err := r.socketsAt(ctx, last)
	if err != nil {
		return nil, err
	}
	all = append(all, compareThings("listener", was.listeners, now.listeners)...)
	if err := compare("process", func(ts float64) (map[string]thing, error) { return r.processesAt(ctx, ts) }); err != nil {
		return nil, err
	}
	return append(all, compareCounts(was.counts, now.counts)...), nil
}

// compareThings tells what came, went and changed, in order of their names.
func compareThings(object string, was, now map[string]thing) []happening {
	keys := maps.Clone(was)
	maps.Copy(keys, now)
	var found []happening
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		old, had := was[key]
		new, has := now[key]
		d := happening{object: object, what: keys[key].what, netns: keys[key].netns}
		switch {
		case !had:
			d.event, d.now = "added", nullIfEmpty(valuesText(new.values, nil))
		case !has:
			d.event, d.was = "removed", nullIfEmpty(valuesText(old.values, nil))
		case !maps.Equal(old.values, new.values):
			d.event = "changed"
			d.was, d.now = nullIfEmpty(valuesText(old.values, new.values)), nullIfEmpty(valuesText(new.values, old.values))
		default:
			continue
		}
		found = append(found, d)
	}
	return found
}

// valuesText lists the values, or only those that differ from the others. A value without a name stands alone.
func valuesText(values, others map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if other, ok := others[name]; ok && other == values[name] {
			continue
		}
		if name == "" {
			parts = append(parts, values[name])
		} else {
			parts = append(parts, name+"="+values[name])
		}
	}
	return strings.Join(parts, " ")
}

func nullIfEmpty(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// thingsOf are the rows of a recorded table at a sample.
func (r *Recording) thingsOf(ctx context.Context, ts float64, t *store.Table, ignored []string, what, where string) (map[string]thing, error) {
	var names []string
	var identity int
	for _, role := range []bool{true, false} {
		for _, c := range t.Columns {
			if (c.Role == store.Identity) == role && !slices.Contains(ignored, c.Name) {
				names = append(names, c.Name)
			}
		}
		if role {
			identity = len(names)
		}
	}
	things := map[string]thing{}
	if where != "" {
		where = " AND " + where
	}
	netns := "NULL"
	if slices.Contains(names, "netns") {
		netns = "netns"
	}
	err := r.each(ctx, fmt.Sprintf("SELECT %s, %s, %s FROM %s WHERE ts = ?%s", what, netns, strings.Join(names, ", "), t.Name, where), []any{ts}, func(row []any) {
		v := thing{what: fmt.Sprint(row[0]), values: map[string]string{}, netns: row[1]}
		row = row[2:]
		for i := identity; i < len(row); i++ {
			switch {
			case row[i] == nil:
			case names[i] == "value": // all there is of a setting
				v.values[""] = fmt.Sprint(row[i])
			default:
				v.values[names[i]] = fmt.Sprint(row[i])
			}
		}
		things[fmt.Sprint(row[:identity]...)+"\x00"+v.what] = v
	})
	return things, err
}

// neighborsAt are those whose hardware address is known, and those that do not answer. Entries come and go and age all
// the time; what matters is another address, or none.
func (r *Recording) neighborsAt(ctx context.Context, ts float64) (map[string]thing, error) {
	things := map[string]thing{}
	err := r.each(ctx, "SELECT netns, dev, addr, mac, state FROM neighbors WHERE ts = ? AND (mac IS NOT NULL OR state = 'FAILED')", []any{ts}, func(row []any) {
		v := thing{what: fmt.Sprintf("%v dev %v", row[2], row[1]), values: map[string]string{}, netns: row[0]}
		if row[3] != nil {
			v.values["mac"] = fmt.Sprint(row[3])
		}
		if row[4] == "FAILED" {
			v.values["state"] = "FAILED"
		}
		things[fmt.Sprint(row[0], "\x00", v.what)] = v
	})
	return things, err
}

// socketCount counts sockets that are alike.
type socketCount struct {
	what  string
	netns any
	n     int64
}

type socketsThen struct {
	listeners map[string]thing
	counts    map[string]socketCount
}

// socketsAt are the listeners of a sample one by one, and the other sockets summed up.
func (r *Recording) socketsAt(ctx context.Context, ts float64) (then socketsThen, err error) {
	then = socketsThen{map[string]thing{}, map[string]socketCount{}}
	type end struct {
		netns any
		proto string
		port  int64
	}
	listening := map[end]bool{}
	var sockets [][]any
	// An unconnected UDP socket with a port that the kernel gives out by itself may be a client's that waits for answers.
	err = r.each(ctx, `WITH ports AS MATERIALIZED (SELECT netns, CAST(value AS INTEGER) AS low, CAST(substr(value, instr(value, ' ')) AS INTEGER) AS high
			FROM settings WHERE ts = ?1 AND name = 'net.ipv4.ip_local_port_range')
		SELECT netns, proto, state, local_addr, coalesce(local_port, 0), coalesce(remote_port, 0), path, pid, comm,
		state = 'LISTEN' OR proto = 'udp' AND local_port > 0 AND coalesce(remote_port, 0) = 0 AND NOT EXISTS (
			SELECT 1 FROM ports p WHERE p.netns IS s.netns AND s.local_port BETWEEN low AND high) FROM sockets s WHERE ts = ?1`, []any{ts}, func(row []any) {
		proto, port := fmt.Sprint(row[1]), row[4].(int64)
		if row[9] != int64(1) {
			sockets = append(sockets, row)
			return
		}
		listening[end{row[0], proto, port}] = true
		what := fmt.Sprintf("%s %v", proto, row[6])
		if proto != "unix" {
			addr := fmt.Sprint(row[3])
			if strings.Contains(addr, ":") {
				addr = "[" + addr + "]"
			}
			what = fmt.Sprintf("%s %s:%d", proto, addr, port)
		}
		v := thing{what: what, netns: row[0], values: map[string]string{}}
		key := fmt.Sprint(row[0], "\x00", what)
		if owner := ownerText(row[8], row[7]); owner != "" {
			v.values[""] = owner
		}
		// Several may share a port (SO_REUSEPORT).
		if other, ok := then.listeners[key]; ok && other.values[""] != v.values[""] {
			owners := append(strings.Split(other.values[""], ", "), v.values[""])
			slices.Sort(owners)
			v.values[""] = strings.Join(slices.Compact(owners), ", ")
		}
		then.listeners[key] = v
	})
	for _, row := range sockets {
		proto, local, remote := fmt.Sprint(row[1]), row[4].(int64), row[5].(int64)
		what := fmt.Sprintf("%s %s", cmp.Or(text(row[8]), "(owner not known)"), proto)
		if state := text(row[2]); state != "" {
			what += " " + state
		}
		switch {
		case slices.Contains([]string{"unix", "raw", "packet", "netlink", "xdp", "ping", "vsock"}, proto):
		case listening[end{row[0], proto, local}]:
			what += " " + serviceEnd(proto, int(local), 0)
		default:
			what += " " + serviceEnd(proto, int(local), int(remote))
		}
		key := fmt.Sprint(row[0], "\x00", what)
		c := then.counts[key]
		then.counts[key] = socketCount{what, row[0], c.n + 1}
	}
	return then, err
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

func ownerText(comm, pid any) string {
	if pid == nil {
		return text(comm)
	}
	return fmt.Sprintf("%s (%v)", text(comm), pid)
}

// compareCounts tells where the numbers differ, the largest difference first.
func compareCounts(was, now map[string]socketCount) []happening {
	keys := maps.Clone(was)
	maps.Copy(keys, now)
	var found []happening
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		a, z := was[key].n, now[key].n
		d := happening{object: "sockets", event: "changed", what: keys[key].what, was: a, now: z, netns: keys[key].netns}
		switch {
		case a == z:
			continue
		case a == 0:
			d.event, d.was = "added", nil
		case z == 0:
			d.event, d.now = "removed", nil
		}
		found = append(found, d)
	}
	size := func(d happening) int64 {
		a, _ := d.was.(int64)
		z, _ := d.now.(int64)
		return max(a-z, z-a)
	}
	slices.SortStableFunc(found, func(a, b happening) int { return cmp.Compare(size(b), size(a)) })
	return found
}

// processesAt are the programs that hold sockets, each with its processes.
func (r *Recording) processesAt(ctx context.Context, ts float64) (map[string]thing, error) {
	pids := map[string][]string{}
	whats := map[string]string{}
	err := r.each(ctx, "SELECT comm, exe, pid FROM processes WHERE ts = ? ORDER BY pid", []any{ts}, func(row []any) {
		key := fmt.Sprint(row[0], "\x00", row[1])
		whats[key] = text(row[0])
		pids[key] = append(pids[key], text(row[2]))
	})
	things := map[string]thing{}
	for key, list := range pids {
		const told = 5
		all := strings.Join(list, ", ")
		if len(list) > told {
			all = fmt.Sprintf("%s and %d more", strings.Join(list[:told], ", "), len(list)-told)
		}
		things[key] = thing{what: whats[key], values: map[string]string{"pid": all}}
	}
	return things, err
}

// bootDifference says when the machine was rebooted in between.
func (r *Recording) bootDifference(ctx context.Context, first, last float64) ([]happening, error) {
	var boots []string
	var hosts []string
	err := r.each(ctx, "SELECT b.host, b.kernel, b.started, b.boot FROM samples m JOIN boots b ON b.boot = m.boot WHERE m.ts IN (?, ?) ORDER BY m.ts", []any{first, last}, func(row []any) {
		started, _ := row[2].(float64)
		boots = append(boots, fmt.Sprintf("started %s, kernel %s", localTime(unixTime(started).Truncate(time.Second)), text(row[1])))
		hosts = append(hosts, fmt.Sprint(text(row[0]), "\x00", row[3]))
	})
	if err != nil || len(boots) != 2 || hosts[0] == hosts[1] {
		return nil, err
	}
	host, _, _ := strings.Cut(hosts[1], "\x00")
	return []happening{{object: "boot", event: "changed", what: host, was: boots[0], now: boots[1]}}, nil
}

// each calls row with each row of a query.
func (r *Recording) each(ctx context.Context, query string, args []any, row func([]any)) error {
	rows, err := r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		row(values)
	}
	return rows.Err()
}
