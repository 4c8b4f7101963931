package query

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"netsql/store"
)

// An outlier is a counter that grew far more in a window than before it.
type outlier struct {
	key    counterKey
	table  int // in counterTables; -1: a socket
	class  counterClass
	ts     float64 // sample of its largest growth
	grown  float64
	before float64 // its growth in the stretch before; NaN when that is not known
	pid    any     // of a socket's
	comm   any
}

// counterKey names a counter: of which network namespace, and how people call it.
type counterKey struct {
	netns int64 // -1: of the whole machine
	what  string
}

// A counterClass says what growth of a counter means.
type counterClass int

const (
	// Errors and drops: each may be the one that matters.
	troubleCounter counterClass = iota
	// Connections opened, timers, rare paths: telling when there are many more than usual.
	eventCounter
	// Bytes and packets: they follow what people do, and only what is out of all proportion is told.
	volumeCounter
)

var (
	harmlessWords = regexp.MustCompile(`(?i)coalesce|delayedacks|keepalive`)
	troubleWords  = regexp.MustCompile(`(?i)err|drop|overflow|over_|fail|discard|noroutes|noports|unreach|retrans|timeout|abort|lost|loss|prune|collaps|collision|` +
		`reset|rsts|csum|toobig|truncated|zerowindow|syncookies|reqqfull|unknownprotos|squeeze|flow_limit|missed|nohandler|no_?(buf|mem|dma|desc)|out_of_buf|pause|xo(n|ff)$|crc|fcs|over_?run|under_?run|fifo|jabber|reject|exc|pressure|reneging|paws|table_full|^invalid$|^xfrm`)
	volumeWords = regexp.MustCompile(`(?i)octets|bytes|packets|pkts|^(in|out)(receives|delivers|requests|segs|datagrams|msgs|transmits)$|transmits|hphits|acks|` +
		`datasent|corking|processed|received_rps|multicast|delivered|ect|compressed|coalesce|^(allocs|destroys|lookups|hits|found|insert|new|delete|ignore|periodic_gc_runs)$`)
)

func classOf(name string) counterClass {
	switch {
	case harmlessWords.MatchString(name):
		return volumeCounter
	case troubleWords.MatchString(name):
		return troubleCounter
	case volumeWords.MatchString(name):
		return volumeCounter
	}
	return eventCounter
}

// standsOut says whether a counter that grew by n in a window did so beyond chance, when it grew by before in a stretch
// of so many times the window's length (NaN: nobody knows). Counts of independent events vary by the root of their number;
// those of a network come in bursts, hence the wide margin, and a factor besides.
func standsOut(class counterClass, bytes bool, n, before, times float64) bool {
	if n <= 0 {
		return false
	}
	if math.IsNaN(before) || times <= 0 {
		return class == troubleCounter
	}
	expected := before / times
	beyond := n-expected > 5*math.Sqrt(expected*(1+1/times)+1)
	switch class {
	case troubleCounter:
		return before == 0 || beyond && n > 3*expected
	case eventCounter:
		return beyond && n > 5*expected && n >= 20
	}
	least := 1000.0
	if bytes {
		least = 1 << 20
	}
	return beyond && n > 10*expected && n >= least
}

// texts are what the counter did before, and in the window.
func (o outlier) texts(before, within time.Duration) (was, now string) {
	stretch := func(d time.Duration) string { return spanText(d.Round(time.Second).Seconds(), "") }
	was = "not known before"
	if !math.IsNaN(o.before) {
		was = fmt.Sprintf("%s in the %s before", o.amount(o.before), stretch(before))
	}
	return was, fmt.Sprintf("+%s in %s", o.amount(o.grown), stretch(within))
}

func (o outlier) amount(n float64) string {
	if o.bytes() {
		return bytesText(n)
	}
	return count(int64(n))
}

func (o outlier) bytes() bool { return bytesCounter(o.key.what) }

func bytesCounter(what string) bool {
	return strings.HasSuffix(what, "_bytes") || strings.HasSuffix(what, "Octets")
}

// counterTables are those whose counters are compared, and what people call a counter of theirs.
var counterTables = []counterTable{
	{store.ProtocolCounters.Table, "protocol_deltas", "netns", "proto || ' ' || name", nil, "", nil},
	{store.InterfaceCountersTable.Table, "interface_deltas", "netns", "name", nil, "", nil},
	// The names are the drivers' own, and some are gauges: only those that name a trouble are compared.
	{store.NICCounters.Table, "nic_deltas", "netns", "'nic ' || interface || ' ' || name", nil, "", namesTrouble},
	// What a queueing discipline sends, its interface sends.
	{store.Qdiscs.Table, "qdisc_deltas", "netns", "'qdisc ' || kind || ' ' || dev || ' ' || coalesce(parent, handle)", []string{"bytes_sent", "packets_sent"}, "", nil},
	{store.SoftnetCounters.Table, "softnet_deltas", "NULL", "'softnet'", nil, "", nil},
	{store.Conntracks.Table, "conntrack_deltas", "netns", "'conntrack'", nil, "", nil},
	// Not what is dropped when nothing is wrong.
	{store.PacketDrops.Table, "(SELECT * FROM packet_drops WHERE reason NOT IN ('NOT_SPECIFIED', 'SOCKET_CLOSE', 'UNIX_DISCONNECT', 'QUEUE_PURGE', 'OTHERHOST', 'UNHANDLED_PROTO', 'TCP_OLD_ACK', 'TCP_OLD_DATA', 'TCP_OFOMERGE'))",
		"NULL", "reason || coalesce(' ' || protocol, '') || ' dropped'", nil, "drops", nil},
}

type counterTable struct {
	table    *store.Table
	deltas   string
	netns    string                 // SQL: its network namespace
	what     string                 // SQL: what people call its subject
	leaveOut []string               // counters that say what others say
	amounts  string                 // its rows are what happened since the sample before, as the source of that name told; "": they are counters
	compares func(what string) bool // which subjects are compared; nil: all
}

// namesTrouble reports whether a statistic of a driver, by what people call it, nic eth0 rx_crc_errors, counts errors or drops.
func namesTrouble(what string) bool {
	words := strings.SplitN(what, " ", 3)
	return len(words) == 3 && classOf(words[2]) == troubleCounter
}

// classOf is the class of a counter by its last word, which is its name; the names of drivers may have blanks.
func (t *counterTable) classOf(what string) counterClass {
	if t.compares != nil {
		return troubleCounter
	}
	return classOf(what[strings.LastIndexByte(what, ' ')+1:])
}

// counters are those that are compared.
func (t *counterTable) counters() []store.Column {
	if t.amounts != "" {
		return slices.DeleteFunc(t.table.Shown(), func(c store.Column) bool { return c.Name != "packets" })
	}
	return slices.DeleteFunc(t.table.Counters(), func(c store.Column) bool { return slices.Contains(t.leaveOut, c.Name) })
}

// comparison is a window of one boot and the stretch before it.
type comparison struct {
	begin, end     float64 // the samples whose difference is the window's growth
	first          float64 // where the stretch before begins; begin when there is none
	within, before time.Duration
}

// compare finds the samples. The stretch before is an hour at the most.
func (r *Recording) compare(ctx context.Context, since, until float64) (c comparison, ok bool, err error) {
	var begin, end, first sql.NullFloat64
	var up [3]sql.NullFloat64
	var boot int64
	one := func(into []any, query string, args ...any) error {
		err := r.conn.QueryRowContext(ctx, query, args...).Scan(into...)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	}
	if err := one([]any{&end, &up[2], &boot}, "SELECT ts, uptime_s, boot FROM samples WHERE ts BETWEEN ? AND ? ORDER BY ts DESC LIMIT 1", since, until); err != nil || !end.Valid {
		return c, false, err
	}
	// A window in which the recording, or the machine, began has its own first sample.
	if err := one([]any{&begin, &up[1]}, "SELECT ts, uptime_s FROM samples WHERE ts < ? AND boot = ? ORDER BY ts DESC LIMIT 1", since, boot); err != nil {
		return c, false, err
	}
	if !begin.Valid {
		if err := one([]any{&begin, &up[1]}, "SELECT ts, uptime_s FROM samples WHERE ts >= ? AND boot = ? ORDER BY ts LIMIT 1", since, boot); err != nil {
			return c, false, err
		}
	}
	if err := one([]any{&first, &up[0]}, "SELECT ts, uptime_s FROM samples WHERE ts >= ? AND ts <= ? AND boot = ? ORDER BY ts LIMIT 1", begin.Float64-3600, begin.Float64, boot); err != nil {
		return c, false, err
	}
	long := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	return comparison{
		begin: begin.Float64, end: end.Float64, first: first.Float64,
		within: long(up[2].Float64 - up[1].Float64), before: long(up[1].Float64 - up[0].Float64),
	}, begin.Float64 < end.Float64, nil
}

func (c comparison) times() float64 {
	if c.within <= 0 {
		return 0
	}
	return c.before.Seconds() / c.within.Seconds()
}

// outliersShown is how many outliers are told; the first are the worst.
const outliersShown = 12

// outliers are the counters that grew in the window far beyond what they did before, the worst first, and how many
// there are besides.
func (r *Recording) outliers(ctx context.Context, c comparison) (found []outlier, more int, err error) {
	for i, t := range counterTables {
		within := fmt.Sprintf("FROM %s WHERE ts > %s AND ts <= %s", t.deltas, bits(c.begin), bits(c.end))
		grown, err := r.sums(ctx, i, within)
		if err != nil {
			return nil, 0, err
		}
		before, err := r.before(ctx, i, c)
		if err != nil {
			return nil, 0, err
		}
		for key, n := range grown {
			if t.compares != nil && !t.compares(key.what) {
				continue
			}
			o := outlier{key: key, table: i, class: t.classOf(key.what), grown: n, before: before(key)}
			if standsOut(o.class, o.bytes(), o.grown, o.before, c.times()) {
				found = append(found, o)
			}
		}
	}
	drops, err := r.socketDrops(ctx, c)
	if err != nil {
		return nil, 0, err
	}
	found = append(found, drops...)
	slices.SortFunc(found, func(a, b outlier) int {
		return cmp.Or(cmp.Compare(a.class, b.class), -cmp.Compare(a.surprise(c), b.surprise(c)), cmp.Compare(a.key.what, b.key.what), cmp.Compare(a.key.netns, b.key.netns))
	})
	if len(found) > outliersShown {
		more, found = len(found)-outliersShown, found[:outliersShown]
	}
	return found, more, r.whenLargest(ctx, c, found)
}

// before tells how much each counter of a table grew in the stretch before; NaN where that is not known.
func (r *Recording) before(ctx context.Context, table int, c comparison) (func(counterKey) float64, error) {
	t := counterTables[table]
	unknown := func(counterKey) float64 { return math.NaN() }
	if c.first >= c.begin {
		return unknown, nil
	}
	if t.amounts != "" {
		var read int
		err := r.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM sources WHERE ts IN (%s, %s) AND source = ? AND outcome = 'read'", bits(c.first), bits(c.begin)), t.amounts).Scan(&read)
		if err != nil || read < 2 {
			return unknown, err
		}
		sums, err := r.sums(ctx, table, fmt.Sprintf("FROM %s WHERE ts > %s AND ts <= %s", t.deltas, bits(c.first), bits(c.begin)))
		return func(key counterKey) float64 { return sums[key] }, err
	}
	first, err := r.sums(ctx, table, "FROM "+t.table.Name+" WHERE ts = "+bits(c.first))
	if err != nil {
		return nil, err
	}
	last, err := r.sums(ctx, table, "FROM "+t.table.Name+" WHERE ts = "+bits(c.begin))
	return func(key counterKey) float64 {
		// One that was not there, or that fell, says nothing of before.
		if a, ok := first[key]; ok {
			if z, ok := last[key]; ok && z >= a {
				return z - a
			}
		}
		return math.NaN()
	}, err
}

// surprise ranks outliers of a class.
func (o outlier) surprise(c comparison) float64 {
	expected := 0.0
	if !math.IsNaN(o.before) && c.times() > 0 {
		expected = o.before / c.times()
	}
	return (o.grown - expected) / math.Sqrt(expected+1)
}

// sums adds up each counter of a table: its growth over a window, or all its CPUs at a sample.
func (r *Recording) sums(ctx context.Context, table int, from string) (map[counterKey]float64, error) {
	t := counterTables[table]
	columns := t.counters()
	var list strings.Builder
	for _, c := range columns {
		fmt.Fprintf(&list, ", sum(%s)", c.Name)
	}
	rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT coalesce(%s, -1), %s%s %s GROUP BY 1, 2", t.netns, t.what, &list, from))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	sums := map[counterKey]float64{}
	values := make([]sql.NullFloat64, len(columns))
	var netns int64
	var what string
	into := []any{&netns, &what}
	for i := range values {
		into = append(into, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if v.Valid {
				sums[counterKey{netns, t.counterName(what, columns[i].Name)}] = v.Float64
			}
		}
	}
	return sums, rows.Err()
}

// counterName is what people call a counter; those of a table with one counter are named by its rows.
func (t *counterTable) counterName(what, column string) string {
	if column == "value" || t.amounts != "" {
		return what
	}
	return what + " " + column
}

// whenLargest finds the sample in which each grew most.
func (r *Recording) whenLargest(ctx context.Context, c comparison, found []outlier) error {
	for i, t := range counterTables {
		for _, column := range t.counters() {
			at := map[counterKey]*outlier{}
			var names []any
			for k := range found {
				o := &found[k]
				what := strings.TrimSuffix(o.key.what, " "+column.Name)
				if o.table != i || t.counterName(what, column.Name) != o.key.what || o.ts != 0 {
					continue
				}
				at[counterKey{o.key.netns, what}] = o
				names = append(names, what)
			}
			if len(at) == 0 {
				continue
			}
			// Beside max() a plain column is that of the row which has it.
			rows, err := r.conn.QueryContext(ctx, fmt.Sprintf("SELECT coalesce(%s, -1), %s, ts, max(%s) FROM %s WHERE ts > %s AND ts <= %s AND %s IN (?%s) GROUP BY 1, 2",
				t.netns, t.what, column.Name, t.deltas, bits(c.begin), bits(c.end), t.what, strings.Repeat(", ?", len(names)-1)), names...)
			if err != nil {
				return err
			}
			for rows.Next() {
				var key counterKey
				var ts float64
				var most any
				if err := rows.Scan(&key.netns, &key.what, &ts, &most); err != nil {
					rows.Close()
					return err
				}
				if o := at[key]; o != nil {
					o.ts = ts
				}
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil {
				return err
			}
		}
	}
	return nil
}

// socketDrops says on which sockets packets or connections were dropped: a listener's full queue by its port.
func (r *Recording) socketDrops(ctx context.Context, c comparison) ([]outlier, error) {
	type socket struct {
		outlier
		drops float64
	}
	type cookie struct{ netns, cookie int64 }
	at := func(ts float64) (map[cookie]socket, error) {
		rows, err := r.conn.QueryContext(ctx, `SELECT coalesce(netns, -1), cookie, drops, pid, comm, 'drops of ' || proto || ' ' ||
			iif(local_addr LIKE '%:%', '[' || local_addr || ']', local_addr) || ':' || local_port
			FROM sockets WHERE ts = ? AND cookie IS NOT NULL AND drops IS NOT NULL AND local_port IS NOT NULL AND proto IN ('tcp', 'udp') AND coalesce(remote_port, 0) = 0`, ts)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		all := map[cookie]socket{}
		for rows.Next() {
			var k cookie
			var s socket
			if err := rows.Scan(&k.netns, &k.cookie, &s.drops, &s.pid, &s.comm, &s.key.what); err != nil {
				return nil, err
			}
			s.key.netns = k.netns
			all[k] = s
		}
		return all, rows.Err()
	}
	end, err := at(c.end)
	if err != nil || len(end) == 0 {
		return nil, err
	}
	begin, err := at(c.begin)
	if err != nil {
		return nil, err
	}
	first, err := at(c.first)
	if err != nil {
		return nil, err
	}
	var found []outlier
	for k, s := range end {
		o := s.outlier
		o.ts, o.before, o.table = c.end, math.NaN(), -1
		o.grown = s.drops - begin[k].drops
		if a, ok := first[k]; ok && c.first < c.begin {
			o.before = begin[k].drops - a.drops
		} else if _, ok := begin[k]; !ok && c.first < c.begin {
			o.before = 0 // it is younger than the window
		}
		if !standsOut(troubleCounter, false, o.grown, o.before, c.times()) {
			continue
		}
		// The sample that saw the first of them: drops only grow, so halving finds it.
		var moments []float64
		if moments, err = r.sampleTimes(ctx, c); err != nil {
			return nil, err
		}
		i, trouble := slices.BinarySearchFunc(moments, begin[k].drops, func(ts, drops float64) int {
			var d sql.NullFloat64
			if e := r.conn.QueryRowContext(ctx, "SELECT max(drops) FROM sockets WHERE ts = ? AND cookie = ? AND coalesce(netns, -1) = ?", ts, k.cookie, k.netns).Scan(&d); e != nil {
				err = e
			}
			if d.Float64 > drops {
				return 1
			}
			return -1
		})
		if err != nil {
			return nil, err
		}
		if !trouble && i < len(moments) {
			o.ts = moments[i]
		}
		found = append(found, o)
	}
	return found, nil
}

func (r *Recording) sampleTimes(ctx context.Context, c comparison) ([]float64, error) {
	rows, err := r.conn.QueryContext(ctx, "SELECT ts FROM samples WHERE ts > ? AND ts <= ? ORDER BY ts", c.begin, c.end)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []float64
	for rows.Next() {
		var ts float64
		if err := rows.Scan(&ts); err != nil {
			return nil, err
		}
		all = append(all, ts)
	}
	return all, rows.Err()
}
