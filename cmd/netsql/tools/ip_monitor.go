package tools

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// ipMonitors tells whether a line of ip asks for what changed in a stretch of time.
func ipMonitors(f *pflag.FlagSet) bool {
	words := f.Args()
	if len(words) == 0 {
		return false
	}
	object := ipObjectOf(words[0])
	return object != nil && (object.name == "monitor" || object.name == "netns" && len(words) > 1 && monitorsNames(words[1]))
}

func monitorsNames(word string) bool { return word != "" && strings.HasPrefix("monitor", word) }

// A monitored is one of the objects whose changes ip monitor prints.
type monitored struct {
	name, label string
	print       func(o *ipOut, dev string) ([]ipChange, error)
	instead     string // what to ask where it is not replayed
}

// ipMonitored are in the order of ipmonitor.c: of several that begin alike, the first is meant.
var ipMonitored = []monitored{
	{name: "link", label: "LINK", print: (*ipOut).linkChanges}, {name: "address", label: "ADDR", print: (*ipOut).addressChanges}, {name: "route", label: "ROUTE", print: (*ipOut).routeChanges},
	{name: "mroute", instead: "multicast routes are not recorded"}, {name: "prefix", instead: "prefixes of router advertisements are not recorded; netsql ip monitor route has the routes that they made"},
	{name: "neigh", label: "NEIGH", print: (*ipOut).neighborChanges}, {name: "netconf", instead: "SELECT * FROM setting_changes WHERE name LIKE 'net.ipv_.conf.%' has the settings"},
	{name: "rule", label: "RULE", print: (*ipOut).ruleChanges}, {name: "stats", instead: "SELECT * FROM interface_counters has the counters"},
	{name: "nsid", instead: "numbers of network namespaces for each other are not recorded; netsql ip netns monitor has their names"},
	{name: "netns", instead: "netsql ip netns monitor prints the names that came and went"},
	{name: "nexthop", label: "NEXTHOP", print: (*ipOut).nextHopChanges},
}

// An ipChange is a change with the text that ip prints of it.
type ipChange struct {
	ts          float64
	label, text string
}

// monitor prints what changed, as ip monitor does (ip/ipmonitor.c): that of which the kernel told at that time, the rest when a sample saw it.
func (o *ipOut) monitor(words []string) error {
	switch {
	case o.json:
		return &UnknownOptionError{Tool: "ip", Option: "-j monitor", Instead: "ip monitor prints no whole JSON either; SELECT * FROM route_changes, address_changes, interface_changes or neighbor_changes has it, and netsql --json prints that"}
	case o.brief:
		return &UnknownOptionError{Tool: "ip", Option: "-br monitor", Instead: "SELECT ts, object, event, what FROM events is as brief"}
	}
	var wanted []monitored
	var dev string
	labels := false
	w := ipWords{"monitor", words}
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch {
		case word == "file":
			return &UnknownOptionError{Tool: "ip", Option: "monitor file", Instead: "--from and --to say which part of the recording to print"}
		case word == "label":
			labels = true
		case word == "all":
			labels = true
		case word == "all-nsid":
			return &UnknownOptionError{Tool: "ip", Option: "monitor all-nsid", Instead: "--netns NAME prints another network namespace"}
		case word == "dev":
			var err error
			if dev, err = w.after(word); err != nil {
				return err
			}
		default:
			i := slices.IndexFunc(ipMonitored, func(m monitored) bool { return strings.HasPrefix(m.name, word) })
			switch {
			case i < 0:
				return usagef("ip monitor has no object %q: one of link, address, route, neigh, rule, nexthop and all", word)
			case ipMonitored[i].print == nil:
				return &UnknownOptionError{Tool: "ip", Option: "monitor " + ipMonitored[i].name, Instead: ipMonitored[i].instead}
			}
			wanted = append(wanted, ipMonitored[i])
		}
	}
	if len(wanted) == 0 {
		wanted = slices.DeleteFunc(slices.Clone(ipMonitored), func(m monitored) bool { return m.print == nil })
	}
	var all []ipChange
	for _, m := range wanted {
		changes, err := m.print(o, dev)
		if err != nil {
			return err
		}
		for i := range changes {
			changes[i].label = "[" + m.label + "]"
		}
		all = append(all, changes...)
	}
	slices.SortStableFunc(all, func(a, b ipChange) int { return cmp.Compare(a.ts, b.ts) })
	for _, c := range all {
		o.timestamp(c.ts)
		if labels {
			o.text("%s", c.label)
		}
		o.text("%s", c.text)
	}
	return nil
}

// timestamp is print_timestamp of lib/utils.c.
func (o *ipOut) timestamp(ts float64) {
	at := time.UnixMicro(int64(ts*1e6 + 0.5)).Local()
	switch {
	case o.tshort:
		o.text("[%s] ", at.Format("2006-01-02T15:04:05.000000"))
	case o.stamped:
		o.text("Timestamp: %s %d usec\n", at.Format("Mon Jan _2 15:04:05 2006"), at.Nanosecond()/1000)
	}
}

// A changed row is of a view of changes: what it is since then, or what it was last.
type changedRow[T any] struct {
	ts      float64
	removed bool
	is      T
}

// during reads the changes of a stretch from a view of them, of which the fields of a row read columns, as in here. What the view does not have is not read.
func during[T any](o *ipOut, view string) (all []changedRow[T], err error) {
	columns := columnsOf[T]()
	for i, column := range columns {
		if strings.Contains(column, " - ts") { // how long something lasts is of a sample
			columns[i] = "NULL"
		}
	}
	statement := fmt.Sprintf("SELECT ts, change = 'removed', %s FROM %s WHERE netns = %d AND ts > ? AND ts <= ? ORDER BY ts", strings.Join(columns, ", "), view, o.m.NetNS)
	rows, err := o.m.recording.Query(o.ctx, statement, secondsOf(o.m.From), secondsOf(o.m.To))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c changedRow[T]
		into := []any{&c.ts, &c.removed}
		for i, value := 0, reflect.ValueOf(&c.is).Elem(); i < value.NumField(); i++ {
			into = append(into, value.Field(i).Addr().Interface())
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// changed takes the text that is printed of a change.
func (o *ipOut) changed(ts float64, removed bool, print func()) ipChange {
	before := o.buf
	o.buf = bytes.Buffer{}
	if removed {
		o.text("Deleted ")
	}
	print()
	c := ipChange{ts: ts, text: o.buf.String()}
	o.buf = before
	return c
}

func (o *ipOut) linkChanges(dev string) (all []ipChange, err error) {
	defer func(four, six bool) { o.four, o.six = four, six }(o.four, o.six)
	rows, err := during[ipLink](o, "interface_changes")
	if err != nil {
		return nil, err
	}
	// What ip knew of the other links when it began; later it learns from what it prints.
	known, err := rowsOf[ipLink](o.ctx, o.m, fmt.Sprintf("SELECT %s FROM interfaces WHERE ts = (SELECT max(ts) FROM samples WHERE ts <= ?) AND netns = %d", strings.Join(columnsOf[ipLink](), ", "), o.m.NetNS),
		secondsOf(o.m.From))
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		l := c.is
		known = slices.DeleteFunc(known, func(k ipLink) bool { return k.Index == l.Index })
		if !c.removed {
			known = append(known, l)
		}
		if dev != "" && !l.answersTo(dev) {
			continue
		}
		o.four, o.six = false, false // of links there is one family
		l.TxQLen.Valid = false       // which ip asks the kernel for only when it lists links
		all = append(all, o.changed(c.ts, c.removed, func() {
			o.link(&l, known, false)
			o.text("\n")
		}))
	}
	return all, nil
}

func (o *ipOut) addressChanges(dev string) (all []ipChange, err error) {
	rows, err := during[ipAddress](o, "address_changes")
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		a := c.is
		if dev != "" && a.Dev != dev || !o.wants(a.Family) {
			continue
		}
		// How long it lasts is told by a sample that saw it: of one that came and went between two, nothing is known.
		near := "SELECT min(ts) FROM samples WHERE ts >= ?"
		if c.removed {
			near = "SELECT max(ts) FROM samples WHERE ts < ?"
		}
		seen, err := rowsOf[ipAddress](o.ctx, o.m, fmt.Sprintf("SELECT %s FROM addresses WHERE ts = (%s) AND netns = %d AND ifindex = ? AND family = ? AND addr = ? AND prefix_len = ?",
			strings.ReplaceAll(strings.Join(columnsOf[ipAddress](), ", "), " - ts", fmt.Sprintf(" - %f", c.ts)), near, o.m.NetNS), c.ts, a.Index, a.Family, a.Addr, a.Bits)
		if err != nil {
			return nil, err
		}
		if len(seen) > 0 {
			a.Valid, a.Preferred = seen[0].Valid, seen[0].Preferred
		}
		all = append(all, o.changed(c.ts, c.removed, func() { o.address(&a, true, len(seen) > 0 || a.has("permanent")) }))
	}
	return all, nil
}

func (o *ipOut) routeChanges(dev string) (all []ipChange, err error) {
	rows, err := during[ipRoute](o, "route_changes")
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		e, err := c.is.entry()
		if err != nil {
			return nil, err
		}
		if !o.wants(e.Family) || dev != "" && !(len(e.hops) == 1 && e.hops[0].Dev == dev) {
			continue
		}
		all = append(all, o.changed(c.ts, c.removed, func() { o.route(&e, routeFilter{table: "all", dev: dev}, nil) }))
	}
	return all, nil
}

func (o *ipOut) neighborChanges(dev string) (all []ipChange, err error) {
	rows, err := during[ipNeighbor](o, "neighbor_changes")
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if o.wants(c.is.Family) && (dev == "" || c.is.Dev == dev) {
			all = append(all, o.changed(c.ts, c.removed, func() { o.neighbor(&c.is, dev) }))
		}
	}
	return all, nil
}

func (o *ipOut) ruleChanges(dev string) (all []ipChange, err error) {
	rows, err := during[ipRule](o, "rule_changes")
	if err != nil {
		return nil, err
	}
	_, links, err := o.linksOf(ipFilter{})
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if o.wants(c.is.Family) {
			all = append(all, o.changed(c.ts, c.removed, func() { o.rule(&c.is, links) }))
		}
	}
	return all, nil
}

func (o *ipOut) nextHopChanges(dev string) (all []ipChange, err error) {
	rows, err := during[ipNextHop](o, "nexthop_changes")
	if err != nil {
		return nil, err
	}
	for _, c := range rows {
		if dev == "" || c.is.Dev == dev {
			all = append(all, o.changed(c.ts, c.removed, func() {
				o.nextHop(&c.is)
				o.text("\n")
			}))
		}
	}
	return all, nil
}

// namesMonitored prints the names of network namespaces that came and went, as ip netns monitor does.
func (o *ipOut) namesMonitored() error {
	type sample struct {
		TS    float64 `col:"ts"`
		Names string  `col:"names"`
	}
	seen, err := rowsOf[sample](o.ctx, o.m, `SELECT ts, coalesce((SELECT group_concat(name) FROM namespaces n WHERE n.ts = s.ts), '') FROM samples s
		WHERE ts BETWEEN coalesce((SELECT max(ts) FROM samples WHERE ts <= ?), 0) AND ? ORDER BY ts`, secondsOf(o.m.From), secondsOf(o.m.To))
	if err != nil {
		return err
	}
	var was map[string]bool
	for _, s := range seen {
		is := map[string]bool{}
		for name := range strings.SplitSeq(s.Names, ",") {
			is[name] = name != ""
		}
		if was != nil {
			for _, change := range []struct {
				word      string
				from, now map[string]bool
			}{{"delete", is, was}, {"add", was, is}} {
				for _, name := range slices.Sorted(maps.Keys(change.now)) {
					if change.now[name] && !change.from[name] {
						o.text("%s %s\n", change.word, name)
					}
				}
			}
		}
		was = is
	}
	return nil
}
