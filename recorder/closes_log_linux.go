package recorder

import (
	"slices"
	"time"

	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// A closeLog holds the closes since the last sample: one by one as long as there are few. Beyond the budget some are kept one by
// one, the fewer the more there are: the first, the odd ones, and every so many-th of the rest. All others are sums of those
// that had the service and the peer in common: who talked to whom is always told, how often, when first and last, and how much.
// Sums are exact.
//
// Sockets that a sample has seen do not count against the budget: there are no more of them than were seen.
type closeLog struct {
	budget  int
	sampled []closeEvent
	single  []closeEvent
	groups  map[groupKey]*closeGroup
	lately  [2]latelyGroup  // those that took a close last: often there are both ends of the same kind of connections
	closed  map[uint64]bool // cookies of those in sampled
	added   uint32          // closes that no sample saw, so far; they have numbers from 1 on
	stride  uint32          // of these every so many-th is kept one by one, beyond the first; 0: all are
	ends    map[endKey]int  // how many closes had that end in common, where these are several
	there   int             // the most that had a remote one
	rtts    int             // round-trip times that the groups keep
	// hold: a sample is being taken. Until it has been worked out which sockets it saw, each close is kept by itself.
	hold bool
}

// endpoints are both ends of a connection.
type endpoints struct {
	src, dst     [16]byte
	sport, dport uint16
}

func endpointsOf(r *sockdiag.Record) endpoints { return endpoints{r.Src, r.Dst, r.SPort, r.DPort} }

// A groupKey is what closes have in common.
type groupKey struct {
	scope         scope
	family, proto uint8
	port          uint16
	addr, peer    [16]byte
	pid           int32 // of the process that the trace told; 0: of any
	start         uint64
}

// A scope says what of a groupKey is meant.
type scope uint8

const (
	ofListener  scope = iota // local address and port, and the remote address
	ofService                // remote address and port, and the local address
	ofPeer                   // both addresses
	anyListener              // local address and port
	anyService               // remote address and port
	anyProtocol
)

// An endKey is one end of closed connections.
type endKey struct {
	addr          [16]byte
	port          uint16
	family, proto uint8
	remote        bool
}

func (e *closeEvent) local(ends *endpoints) endKey {
	return endKey{addr: ends.src, port: ends.sport, family: e.rec.Family, proto: e.proto}
}

func (e *closeEvent) remote(ends *endpoints) endKey {
	return endKey{addr: ends.dst, port: ends.dport, family: e.rec.Family, proto: e.proto, remote: true}
}

func (e *closeEvent) key(s scope) groupKey {
	k := groupKey{scope: s, family: e.rec.Family, proto: e.proto}
	ends, _ := e.between()
	switch s {
	case ofListener, anyListener:
		k.addr, k.port = ends.src, ends.sport
	case ofService, anyService:
		k.addr, k.port = ends.dst, ends.dport
	case ofPeer:
		k.addr = ends.src
	}
	switch s {
	case ofListener, ofPeer:
		k.peer = ends.dst
	case ofService:
		k.peer = ends.src
	}
	return k
}

// between are both ends of the connection, and whether the other one is known: the kernel may have forgotten it, and the trace not.
func (e *closeEvent) between() (ends endpoints, known bool) {
	if e.rec.DPort == 0 && e.traced != nil {
		return e.traced.ends.endpoints, true
	}
	return endpointsOf(&e.rec), !e.forgotten
}

// odd reports whether the close is one of those that people look for: it failed, sent again, or its numbers are forgotten.
func (e *closeEvent) odd() bool {
	r := &e.rec
	if t := e.traced; t != nil && t.outcome > outcomeEstablished {
		return true
	}
	return e.forgotten || r.Retransmits > 0 || r.Has&sockdiag.HasInfo != 0 && r.RTT == 0
}

// failed reports whether the close is of a TCP connection that never came about: nothing was ever acknowledged.
func (e *closeEvent) failed() bool {
	r := &e.rec
	if t := e.traced; t != nil && t.outcome != outcomeUnknown {
		return t.outcome == outcomeRefused || t.outcome == outcomeUnanswered || t.outcome == outcomeNoPort
	}
	return !e.forgotten && r.Has&sockdiag.HasInfo != 0 && r.RTT == 0 && r.BytesSent == 0 && r.BytesRecv == 0
}

// A latelyGroup is a group and its key.
type latelyGroup struct {
	key   groupKey
	group *closeGroup
}

// A closeGroup is the sum of some closes.
type closeGroup struct {
	first, last          time.Duration
	count, unknown       int64          // unknown: of these the kernel has forgotten the numbers
	nameless             int64          // of these it is not known where they went
	bound                uint32         // the interface that all were bound to; 0: to none
	several              bool           // they were bound to several
	who                  *owners.Peeked // whose they were; nil: that is not known, or not the same of all
	bytesSent, bytesRecv uint64
	segsOut, segsIn      uint64
	retransmits          uint64
	failed               int64
	rtt, rtts            uint64
	leastRTT, maxRTT     uint64
	kept                 []uint32 // the round-trip times, of which the median is one; as long as the log of closes had room
	has                  sockdiag.Has
}

func newCloseLog(budget int) *closeLog { return &closeLog{budget: budget} }

// add enters a close; sampled says that a sample has seen the socket. kept: it stands there by itself, and not in a sum.
func (l *closeLog) add(e *closeEvent, sampled bool) (kept bool) {
	if sampled {
		l.addSampled(e)
		return true
	}
	l.added++
	e.number = l.added
	if !l.hold && l.stride > 1 && e.number%l.stride != 0 && !e.odd() {
		l.sum(e)
		return false
	}
	l.single = append(l.single, *e)
	if !l.hold && len(l.single) > l.budget {
		l.shrink(l.budget/2, l.budget/4, l.budget/8)
	}
	return true
}

func (l *closeLog) addSampled(e *closeEvent) {
	l.sampled = append(l.sampled, *e)
	if l.closed == nil {
		l.closed = map[uint64]bool{}
	}
	l.closed[e.rec.Cookie] = true
}

// settle keeps to the budget again after hold: of the closes that were kept, those count whose socket no sample has seen. Where
// all are twice the budget, half of it is kept one by one, and so on.
func (l *closeLog) settle() {
	kept := l.single[:0]
	for i := range l.single {
		if l.single[i].socket != nil {
			l.addSampled(&l.single[i])
		} else {
			kept = append(kept, l.single[i])
		}
	}
	l.single, l.hold = kept, false
	all := len(l.single)
	for _, g := range l.groups {
		all += int(g.count)
	}
	if all > l.budget {
		most := max(l.budget/32, l.budget*l.budget/all)
		l.shrink((most+1)/2, most/4, most/4)
	}
}

// shrink keeps one by one so many of the first, of the odd ones among the others, and of the rest, evenly spread. All others it
// sums up.
func (l *closeLog) shrink(first, odd, rest int) {
	l.countEnds()
	kept, later := l.single[:min(first, len(l.single))], l.single[min(first, len(l.single)):]
	l.stride = max(l.stride, 1)
	for {
		n, odds := 0, 0
		for i := range later {
			if later[i].odd() && odds < odd {
				odds++
			} else if later[i].number%l.stride == 0 {
				n++
			}
		}
		if n <= rest {
			break
		}
		l.stride *= 2
	}
	for i, odds := 0, 0; i < len(later); i++ {
		e := &later[i]
		switch {
		case e.odd() && odds < odd:
			odds++
			kept = append(kept, *e)
		case e.number%l.stride == 0:
			kept = append(kept, *e)
		default:
			l.sum(e)
		}
	}
	clear(l.single[len(kept):])
	l.single = kept
}

// countEnds counts which local and which remote ends several closes have in common, until it is known: that is the service.
func (l *closeLog) countEnds() {
	if l.ends != nil {
		return
	}
	l.ends = map[endKey]int{}
	for i := range l.single {
		e := &l.single[i]
		ends, known := e.between()
		l.ends[e.local(&ends)]++
		if known {
			l.ends[e.remote(&ends)]++
		}
	}
	for k, n := range l.ends {
		if n == 1 {
			delete(l.ends, k)
		} else if k.remote {
			l.there = max(l.there, n)
		}
	}
}

// sum adds the close to what it has most in common with, as long as there are not too many of these.
func (l *closeLog) sum(e *closeEvent) {
	narrow, wide := ofPeer, anyProtocol
	ends, known := e.between()
	here, there := l.ends[e.local(&ends)], 0
	if known && here < l.there {
		there = l.ends[e.remote(&ends)]
	}
	switch {
	case here > 0 && here >= there:
		narrow, wide = ofListener, anyListener
	case there > 0:
		narrow, wide = ofService, anyService
	}
	// Processes are told apart as long as there are few: else half of the room is for who talked to whom alone.
	if t := e.traced; t != nil && t.who != nil {
		k := e.key(narrow)
		k.pid, k.start = t.who.PID, t.who.Start
		for i := range l.lately {
			if o := &l.lately[i]; o.group != nil && o.key == k {
				o.group.who = t.who
				l.enter(o.group, e)
				return
			}
		}
		if l.groups[k] != nil || len(l.groups) < l.budget/2 {
			g := l.group(k)
			g.who = t.who
			l.lately[0], l.lately[1] = l.lately[1], latelyGroup{k, g}
			l.enter(g, e)
			return
		}
	}
	for _, s := range [...]scope{narrow, wide} {
		k := e.key(s)
		if g := l.groups[k]; g != nil {
			l.enter(g, e)
			return
		}
		if s == narrow && len(l.groups) < l.budget || s == wide && len(l.groups) < l.budget+l.budget/8 {
			l.enter(l.group(k), e)
			return
		}
	}
	l.enter(l.group(e.key(anyProtocol)), e)
}

func (l *closeLog) group(k groupKey) *closeGroup {
	g := l.groups[k]
	if g == nil {
		if l.groups == nil {
			l.groups = map[groupKey]*closeGroup{}
		}
		g = &closeGroup{}
		l.groups[k] = g
	}
	return g
}

func (l *closeLog) enter(g *closeGroup, e *closeEvent) {
	r := &e.rec
	if g.count == 0 || e.at < g.first {
		g.first = e.at
	}
	if g.count > 0 && g.bound != r.IfIndex {
		g.several = true
	}
	g.bound = r.IfIndex
	g.last = max(g.last, e.at)
	g.count++
	if e.forgotten {
		g.unknown++
	}
	if _, known := e.between(); !known {
		g.nameless++
	}
	g.has |= r.Has
	g.bytesSent += r.BytesSent
	g.bytesRecv += r.BytesRecv
	g.segsOut += uint64(r.SegsOut)
	g.segsIn += uint64(r.SegsIn)
	g.retransmits += uint64(r.Retransmits)
	if e.failed() {
		g.failed++
	}
	if r.RTT > 0 {
		if g.rtt += uint64(r.RTT); g.rtts == 0 || uint64(r.RTT) < g.leastRTT {
			g.leastRTT = uint64(r.RTT)
		}
		g.rtts++
		g.maxRTT = max(g.maxRTT, uint64(r.RTT))
		if l.rtts < mostRTTs {
			l.rtts++
			g.kept = append(g.kept, r.RTT)
		}
	}
}

// mostRTTs are the round-trip times that a log of closes keeps for medians: a megabyte.
const mostRTTs = 1 << 18

// medianRTT is the middle one of the round-trip times in microseconds, of an even number the shorter of the two; NULL where not
// all were kept.
func (g *closeGroup) medianRTT() store.Int {
	if uint64(len(g.kept)) < g.rtts || g.rtts == 0 {
		return store.Int{}
	}
	slices.Sort(g.kept)
	return store.Of(g.kept[(len(g.kept)-1)/2])
}
