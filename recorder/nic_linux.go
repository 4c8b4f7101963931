package recorder

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// nicCounters records the statistics that drivers keep of their interfaces (ethtool -S). To read them a driver may have to ask the
// card, so they are read once in half a minute, and kept unread between.
//
// A statistic that is 0 and always was has no row. One that grows later has one from then on, which says that it was 0 before.
type nicCounters struct {
	source   *store.Source
	ns       namespace
	netlink  *rtnl.Conn
	set      *store.Set[store.NICCounterID, store.NICCounter]
	open     func(*rtnl.Conn) (driverStats, error)
	interval time.Duration // between readings
	sampling time.Duration // between samples
	due      time.Time
	seed     maphash.Seed
	links    map[int32]*nicLink
	readings int
	again    bool                                                 // the next sample should read
	last     *store.Subject[store.NICCounterID, store.NICCounter] // that was recorded; nil: none was
}

const (
	// nicInterval is the longest that statistics are kept.
	nicInterval = 30 * time.Second
	// nicShare is what part of the time reading may take where there are thousands of interfaces, or slow ones.
	nicShare = 500
	// nicSamples is for how many samples they are kept at the most. How long ago the last reading was is told by the spans of sources, of which
	// none is cut before 60.
	nicSamples = 50
	// nicNamesAgain is after how many readings the names are read again: a driver may change them and still have as many.
	nicNamesAgain = 20
	// nicRows is how many statistics of an interface are recorded.
	nicRows = 256
)

// A nicLink is what was read of an interface last.
type nicLink struct {
	id      store.NICCounterID // without a name
	sum     uint64             // of the link
	n       int                // statistics that the driver has
	names   uint64             // digest of their names
	stats   []nicStat          // those that may be recorded, the more telling first
	reading int
}

// A nicStat is one statistic.
type nicStat struct {
	name    string
	place   int // among those of the driver
	known   bool
	zero    bool // it was 0 when it was read before its first row
	moved   bool // it has been other than 0
	value   uint64
	subject *store.Subject[store.NICCounterID, store.NICCounter]
}

func newNICCounters(w *store.Writer, ns namespace) source {
	s := &nicCounters{
		source: w.SourceIn(ns.id, "nic_counters"), ns: ns, netlink: ns.rtnetlink(), open: openEthtoolStats,
		interval: nicInterval, sampling: w.Interval(), seed: maphash.MakeSeed(), links: map[int32]*nicLink{},
	}
	s.set = store.NewSet(s.source, store.NICCounters)
	return s
}

func (s *nicCounters) read(ctx context.Context) {
	s.source.Read(func() error {
		now := time.Now()
		if inTime := !now.Add(s.sampling).After(s.due); inTime && s.keep() { // the next sample is in time
			return store.ErrKept
		}
		s.again = false
		err := s.record(ctx)
		s.due = now.Add(min(max(s.interval, nicShare*time.Since(now)), nicSamples*s.sampling))
		var partial *store.PartialError
		if err != nil && !errors.As(err, &partial) {
			clear(s.links) // what grows meanwhile is not known
			s.again = true
		}
		if s.again {
			s.due = now
		}
		return err
	})
}

// readNext has the next sample read them.
func (s *nicCounters) readNext() { s.due = time.Time{} }

// keep reports whether the recording has all that was read last.
func (s *nicCounters) keep() bool {
	return s.set.KeepAll() && (s.last == nil || s.set.Keep(s.last))
}

func (s *nicCounters) record(ctx context.Context) error {
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, linksWithoutStats())
	if err != nil {
		return fmt.Errorf("dump links: %w", err)
	}
	stats, err := s.open(s.netlink)
	if err != nil {
		return err
	}
	defer stats.close()
	s.readings++
	s.last = nil
	var failed, over []string
	for _, msg := range messages {
		l, err := rtnl.ParseLink(msg)
		if err != nil {
			return fmt.Errorf("read link: %w", err)
		}
		switch err = s.readLink(stats, &l); {
		case err == nil:
		case errors.Is(err, errTooMany):
			over = append(over, string(l.Name))
		case errors.Is(err, errNoStats), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENODEV):
			// the driver has none, or the interface went
		case errors.Is(err, errStatsChanged), errors.Is(err, unix.EFAULT):
			s.again = true
		default:
			failed = append(failed, fmt.Sprintf("%s (%v)", l.Name, err))
		}
	}
	for index, k := range s.links {
		if k.reading != s.readings { // what grows meanwhile is not known
			delete(s.links, index)
		}
	}
	var missing []string
	if failed != nil {
		missing = append(missing, "the driver did not give the statistics of "+strings.Join(failed, ", "))
	}
	if over != nil {
		missing = append(missing, fmt.Sprintf("only %d statistics of an interface are recorded, and more are not 0 of %s", nicRows, strings.Join(over, ", ")))
	}
	if missing != nil {
		return &store.PartialError{Missing: strings.Join(missing, "; ")}
	}
	return nil
}

var (
	errNoStats = errors.New("the interface has no statistics of its own")
	errTooMany = errors.New("more statistics than are recorded")
)

// readLink reads the statistics of one interface.
func (s *nicCounters) readLink(stats driverStats, l *rtnl.Link) error {
	n, err := stats.count(l.Name)
	if err != nil {
		return err
	}
	if n <= 0 || n > mostStats {
		return errNoStats
	}
	k, sum := s.links[l.Index], l.Sum(s.seed)
	if k == nil || k.id.Interface != string(l.Name) {
		k = &nicLink{id: store.NICCounterID{NetNS: s.ns.id, IfIndex: store.Of(l.Index), Interface: string(l.Name)}}
		s.links[l.Index] = k
	}
	if k.n != n || k.sum != sum || (s.readings+int(l.Index))%nicNamesAgain == 0 {
		names, err := stats.names(l.Name, n)
		if err != nil {
			return err
		}
		if digest := maphash.Bytes(s.seed, names); k.n != n || k.names != digest {
			k.stats, k.names = nicStats(names), digest
		}
		k.n, k.sum = n, sum
	}
	var values []byte
	if len(k.stats) > 0 {
		if values, err = stats.values(l.Name, n); err != nil {
			return err
		}
	}
	k.reading = s.readings
	return s.put(k, values)
}

// put records what is not 0, as far as there are rows for it; errTooMany: there are not enough.
func (s *nicCounters) put(k *nicLink, values []byte) error {
	rows := 0
	for i := range k.stats {
		st := &k.stats[i]
		v := binary.NativeEndian.Uint64(values[8*st.place:])
		if rows == nicRows { // none of the others gets one, until the driver has other names
			if v != 0 {
				return errTooMany
			}
			continue
		}
		if !st.known {
			st.known, st.zero = true, v == 0
		}
		if st.moved = st.moved || v != 0; !st.moved {
			continue
		}
		rows++
		s.putStat(k, st, v)
		s.last = st.subject
	}
	return nil
}

func (s *nicCounters) putStat(k *nicLink, st *nicStat, v uint64) {
	if st.value == v && s.set.Keep(st.subject) {
		return
	}
	st.value = v
	row := store.NICCounter{FromZero: truth(st.zero), Value: store.Of(v)}
	if s.set.Change(st.subject, row) {
		return
	}
	if st.subject != nil && st.zero { // it had a row, and lost it
		st.zero, row.FromZero = false, store.Of(0)
	}
	id := k.id
	id.Name = st.name
	st.subject = s.set.Put(id, row)
}

func truth(is bool) store.Int {
	if is {
		return store.Of(1)
	}
	return store.Of(0)
}

var (
	// queueName finds the names of what one queue, ring, channel or CPU did: rx_queue_0_packets, rx0_bytes, tx-0.packets,
	// queue_0_tx_cnt, ch3_events, cpu1_rx_packets, [0]: rx_bytes, rx_bytes[0], 0: rcv_pkts. rx_64_bytes is of a size of packets.
	queueName = regexp.MustCompile(`(?i)\[(cpu )?\d+\]|^\d+:|(^|[^a-z])(rx|tx)-?\d+([_.: ]|$)|(^|[^a-z])([rt]x_?)?(queue|que|q|ring|rvec|vec|channel|chan|ch|cpu)[-_# ]?\d+([^a-z0-9]|$)`)

	// troubleName finds those that say that something is not as it should be.
	troubleName = regexp.MustCompile(`(?i)err|drop|discard|fail|miss|time_?out|no_?(buf|mem|dma|desc)|out_of_buf|pause|xo(n|ff)|crc|fcs|over_?(run|flow)|under_?run|fifo|collision|abort|reset|lost|jabber`)
)

// nicStats are the statistics that may be recorded, by the list of names that the driver gives: those that say trouble first. What
// one queue did is left out unless it is trouble: it only divides what others say. So is what has no name. The second of a name is name#2.
func nicStats(names []byte) []nicStat {
	var stats []nicStat
	seen, trouble := map[string]int{}, map[string]bool{}
	for place := range len(names) / sizeofEthtoolString {
		name := driverText(names[place*sizeofEthtoolString:][:sizeofEthtoolString])
		says := troubleName.MatchString(name)
		if name == "" || !says && queueName.MatchString(name) {
			continue
		}
		unique := name
		if seen[name]++; seen[name] > 1 {
			unique = name + "#" + strconv.Itoa(seen[name])
		}
		trouble[unique] = says
		stats = append(stats, nicStat{name: unique, place: place})
	}
	rank := func(st nicStat) int {
		if trouble[st.name] {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(stats, func(a, b nicStat) int { return cmp.Compare(rank(a), rank(b)) })
	return slices.Clip(stats)
}
