package tools

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// What made a way what it is, and how long it stayed so: the way is worked out again at the samples around each change that may have turned it.

// A wayChange is a change of what a way depends on.
type wayChange struct {
	TS    float64 `col:"ts"`
	Exact bool    `col:"exact"`
	What  string  `col:"what"`
	Event string  `col:"event"`
	Was   string  `col:"was"`
	Now   string  `col:"now"`
	Dev   string  `col:"dev"` // of an interface
}

// changedTables are the recorded tables that a way depends on, with the name of a row, its interface, and the columns that matter; none: all.
var changedTables = []struct {
	table, what, dev string
	byFamily         bool
	columns          []string
}{
	{"route", `'route ' || CASE WHEN type <> 'unicast' THEN type || ' ' ELSE '' END || CASE WHEN dst IN ('0.0.0.0/0', '::/0') THEN 'default' ELSE dst END ||
		coalesce(' from ' || src_net, '') || coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, '') || coalesce(' ' || nexthops, '') || coalesce(' nhid ' || nhid, '') ||
		CASE WHEN metric > 0 THEN ' metric ' || metric ELSE '' END || CASE WHEN table_id <> 254 THEN ' table ' || coalesce(table_name, table_id) ELSE '' END`, "NULL", true, nil},
	{"rule", `'rule ' || priority || coalesce(' from ' || src, '') || coalesce(' to ' || dst, '') || coalesce(' iif ' || iif, '') || coalesce(' oif ' || oif, '') ||
		coalesce(' fwmark ' || fwmark, '') || ' ' || action || coalesce(' ' || table_name, '')`, "NULL", true, nil},
	{"nexthop", "'nexthop ' || nhid || coalesce(' via ' || gateway, '') || coalesce(' dev ' || dev, '') || coalesce(' group ' || members, '')", "NULL", false, nil},
	{"interface", "'interface ' || name", "name", false, []string{"operstate", "flags", "master", "name"}},
	{"address", "'address ' || addr || '/' || prefix_len || coalesce(' dev ' || dev, '')", "NULL", true, []string{"flags", "scope"}},
	{"route_exception", "'path to ' || dst || coalesce(' via ' || gateway, '') || coalesce(' mtu ' || mtu, '')", "NULL", true, []string{"mtu", "gateway"}},
	{"setting", "'setting ' || name", "NULL", false, nil},
}

// changesOf are the changes from one time to another that may turn the way, in order of time.
func (w *way) changesOf(ctx context.Context, m *Moment, from, to time.Time) ([]wayChange, error) {
	prefixes := append(prefixesOf(w.flow.dst), prefixesOf(w.flow.src)...)
	only := map[string]string{
		"route":           fmt.Sprintf("AND dst IN ('%s')", strings.Join(prefixes, "', '")),
		"route_exception": fmt.Sprintf("AND dst = '%s'", w.flow.dst),
		"setting": fmt.Sprintf("AND (name LIKE 'net.ipv%d.conf.%%.rp_filter' OR name LIKE 'net.ipv%[1]d.conf.%%forwarding' OR name LIKE 'net.ipv%[1]d.conf.%%.accept_local')",
			w.flow.family()),
	}
	var all []wayChange
	for _, t := range changedTables {
		where := only[t.table]
		if t.byFamily {
			where += fmt.Sprintf(" AND family = %d", w.flow.family())
		}
		changes, err := rowsOf[wayChange](ctx, m, fmt.Sprintf(`SELECT ts, exact, %s, change, coalesce(was, ''), coalesce(now, ''), coalesce(%s, '') FROM %s_changes
			WHERE ts > ? AND ts <= ? AND netns = ? %s`, t.what, t.dev, t.table, where), secondsOf(from), secondsOf(to), m.NetNS)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			if c.matters(t.columns) {
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b wayChange) int { return cmp.Compare(a.TS, b.TS) })
	return all, nil
}

// matters tells whether one of the columns changed, and forgets the others; nil: all matter.
func (c *wayChange) matters(columns []string) bool {
	if c.Event != "changed" || columns == nil {
		return true
	}
	only := func(values string) string {
		return strings.Join(slices.DeleteFunc(strings.Fields(values), func(value string) bool {
			column, _, _ := strings.Cut(value, "=")
			return !slices.Contains(columns, column)
		}), " ")
	}
	c.Was, c.Now = only(c.Was), only(c.Now)
	return c.Was+c.Now != ""
}

func (c *wayChange) time() time.Time { return time.UnixMicro(int64(c.TS*1e6 + 0.5)) }

// words are a line of a change. It may have been earlier than a time with "by".
func (c *wayChange) words(moment time.Time) string {
	by := "by "
	if c.Exact {
		by = "   "
	}
	text := fmt.Sprintf("%s%s\t%s %s", by, clock(c.time(), moment), c.What, c.Event)
	if c.Event == "changed" {
		text += ": " + changedWords(c.Was, c.Now)
	}
	return text
}

// changedWords are what changed, such as operstate UP → DOWN, flags -UP -RUNNING. Values with blanks in them stand as they are.
func changedWords(was, now string) string {
	before, ok := valuesOf(was)
	after, ok2 := valuesOf(now)
	if !ok || !ok2 {
		return was + " → " + now
	}
	var words []string
	for _, column := range slices.Sorted(maps.Keys(after)) {
		if column != "flags" {
			words = append(words, fmt.Sprintf("%s %s → %s", column, before[column], after[column]))
			continue
		}
		had, has := strings.Split(before[column], ","), strings.Split(after[column], ",")
		words = append(words, column+missing(had, has, " -")+missing(has, had, " +"))
	}
	return strings.Join(words, ", ")
}

// valuesOf are the values of a text such as mtu=1500 operstate=UP.
func valuesOf(text string) (values map[string]string, ok bool) {
	values = map[string]string{}
	for _, word := range strings.Fields(text) {
		column, value, is := strings.Cut(word, "=")
		if !is {
			return nil, false
		}
		values[column] = value
	}
	return values, true
}

// missing are the flags of one that another does not have, each with a sign before it.
func missing(of, in []string, sign string) (text string) {
	for _, flag := range of {
		if flag != "NULL" && !slices.Contains(in, flag) {
			text += sign + flag
		}
	}
	return text
}

// A turn is where the way became another.
type turn struct {
	other   *way      // on the far side
	at      time.Time // the sample on the far side
	changes []wayChange
}

// mostTurns is at how many samples the way is worked out in either direction.
const mostTurns = 100

// turned goes through the samples with changes between them, from the moment on, to where the way is another. seen is how far it is known to be the same.
func (w *way) turned(ctx context.Context, m *Moment, samples []time.Time, changes []wayChange, back bool) (found *turn, seen time.Time, err error) {
	seen = m.Time
	groups := map[int][]wayChange{} // by the sample that first saw them
	var order []int
	for _, c := range changes {
		i, _ := slices.BinarySearchFunc(samples, c.time(), func(s, t time.Time) int { return s.Compare(t.Add(-time.Microsecond)) })
		if i == len(samples) || i == 0 {
			continue
		}
		if groups[i] == nil {
			order = append(order, i)
		}
		groups[i] = append(groups[i], c)
	}
	slices.Sort(order)
	if back {
		slices.Reverse(order)
	}
	for n, i := range order {
		if n == mostTurns {
			return nil, seen, nil
		}
		far := samples[i]
		if back {
			far = samples[i-1]
		}
		other, err := w.at(ctx, m, far)
		if err != nil {
			return nil, seen, err
		}
		if other.words() != w.words() {
			return &turn{other, far, groups[i]}, seen, nil
		}
		seen = far
	}
	if len(samples) > 0 {
		if seen = samples[len(samples)-1]; back {
			seen = samples[0]
		}
	}
	return nil, seen, nil
}

// at is the way of the same packet at another sample.
func (w *way) at(ctx context.Context, m *Moment, ts time.Time) (other *way, err error) {
	err = m.recording.AtSample(ts, func() error {
		then := *m
		then.Time = ts
		other, err = wayOf(ctx, &then, w.flow)
		return err
	})
	return other, err
}

// history says since when it was so, and until when, with what changed then.
func (w *way) history(ctx context.Context, m *Moment, from time.Time, out io.Writer) error {
	samples, err := m.recording.Samples(ctx, from, time.Time{})
	if err != nil {
		return err
	}
	// Changes are known within one boot.
	type boot struct {
		First float64 `col:"min(ts)"`
		Last  float64 `col:"max(ts)"`
	}
	boots, err := rowsOf[boot](ctx, m, "SELECT min(ts), max(ts) FROM samples WHERE boot = (SELECT boot FROM samples WHERE ts = at())")
	if err != nil {
		return err
	}
	for _, b := range boots {
		samples = slices.DeleteFunc(samples, func(t time.Time) bool { return secondsOf(t) < b.First-1e-6 || secondsOf(t) > b.Last+1e-6 })
	}
	if len(samples) == 0 {
		return nil
	}
	newest := samples[len(samples)-1]
	before, err := w.changesOf(ctx, m, samples[0], m.Time)
	if err != nil {
		return err
	}
	past, since, err := w.turned(ctx, m, samples, before, true)
	if err != nil {
		return err
	}
	later, err := w.changesOf(ctx, m, m.Time, newest)
	if err != nil {
		return err
	}
	next, until, err := w.turned(ctx, m, samples, later, false)
	if err != nil {
		return err
	}
	lines := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if past != nil {
		fmt.Fprintf(lines, "\nBefore, at %s, it went\n  %s\n", clock(past.at, m.Time), past.other.words())
	} else {
		further := ""
		if len(boots) > 0 && secondsOf(samples[0]) > boots[0].First+1e-6 && since.Equal(samples[0]) {
			further = " (--since TIME looks further back)"
		}
		fmt.Fprintf(lines, "\nBefore it was the same, as far back as %s%s\n", clock(since, m.Time), further)
	}
	past.write(w, m.Time, lines)
	switch {
	case next != nil:
		fmt.Fprintf(lines, "\nAfter, at %s, it went\n  %s\n", clock(next.at, m.Time), next.other.words())
		next.write(w, m.Time, lines)
		if next.at != newest {
			now, err := w.at(ctx, m, newest)
			if err != nil {
				return err
			}
			fmt.Fprintf(lines, "\nAt the newest sample, %s, it goes\n  %s\n", clock(newest, m.Time), now.words())
		}
	case m.Time.Before(newest):
		fmt.Fprintf(lines, "\nAfter it stayed the same, to %s\n", clock(until, m.Time))
	}
	if err := w.unseen(ctx, m, since, until, past, next, lines); err != nil {
		return err
	}
	return lines.Flush()
}

// write lists what changed at a turn: of interfaces those that one of the two ways could have left by.
func (t *turn) write(w *way, moment time.Time, lines io.Writer) {
	if t == nil {
		return
	}
	devs := append(w.devs(), t.other.devs()...)
	mine := slices.DeleteFunc(slices.Clone(t.changes), func(c wayChange) bool { return c.Dev != "" && !slices.Contains(devs, c.Dev) })
	if len(mine) == 0 {
		mine = t.changes
	}
	for _, c := range mine {
		fmt.Fprintf(lines, "  %s\n", c.words(moment))
	}
}

// devs are the interfaces of the routes to the address.
func (w *way) devs() (all []string) {
	if w.unknown != "" {
		return nil
	}
	all = append(all, w.flow.iif, w.flow.oif)
	for i := range w.fib.entries {
		if e := &w.fib.entries[i]; e.dst.Contains(w.flow.dst) {
			for _, h := range e.hops {
				all = append(all, h.Dev)
			}
		}
	}
	return all
}

// unseen says when nobody looked at what the way depends on.
func (w *way) unseen(ctx context.Context, m *Moment, since, until time.Time, past, next *turn, lines io.Writer) error {
	if past != nil {
		since = past.at
	}
	if next != nil {
		until = next.at
	}
	type gap struct {
		Since  float64 `col:"since"`
		Until  float64 `col:"until"`
		Kind   string  `col:"kind"`
		Source string  `col:"source"`
	}
	gaps, err := rowsOf[gap](ctx, m, `SELECT since, coalesce(until, ?2), kind, coalesce(source, '') FROM gaps WHERE since < ?2 AND coalesce(until, ?2) > ?1
		AND (source IS NULL OR source IN ('routes', 'rules', 'nexthops', 'interfaces', 'addresses', 'settings')) AND (netns IS NULL OR netns = ?3) AND kind <> 'thinned' ORDER BY since`,
		secondsOf(since), secondsOf(until), m.NetNS)
	if err != nil || len(gaps) == 0 {
		return err
	}
	fmt.Fprint(lines, "\nNobody looked\n")
	for _, g := range gaps {
		what := "at anything"
		if g.Source != "" {
			what = "at " + g.Source
		}
		fmt.Fprintf(lines, "  %s to %s\t%s (%s)\n", clock(time.UnixMicro(int64(g.Since*1e6)), m.Time), clock(time.UnixMicro(int64(g.Until*1e6)), m.Time), what, g.Kind)
	}
	return nil
}

// clock is a time of day, with the day where it is another than that of the moment.
func clock(t, moment time.Time) string {
	t, moment = t.Local(), moment.Local()
	if t.YearDay() == moment.YearDay() && t.Year() == moment.Year() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}
