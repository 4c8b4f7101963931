package recorder

import "time"

// A ledger holds the closes since the last sample: one by one as long as there are few, beyond the budget as
// sums of those that had the same listener, or the same peer and service. A server with ten thousand
// connections a second has a few rows a sample that way; sums are exact.
//
// Sockets that a sample has seen do not count against the budget: there are no more of them than were seen.
type ledger struct {
	budget  int
	sampled []ending
	single  []ending
	groups  map[groupKey]*closeGroup
	closed  map[uint64]bool // cookies of those in sampled
	full    bool            // single is full of closes that have nothing in common
	// hold: a sample is being taken. Until it has been worked out which sockets it saw, each close is kept by itself.
	hold bool
}

// endpoints are both ends of a connection.
type endpoints struct {
	src, dst     [16]byte
	sport, dport uint16
}

func (r *record) endpoints() endpoints { return endpoints{r.src, r.dst, r.sport, r.dport} }

// A groupKey is what closes have in common.
type groupKey struct {
	scope         scope
	family, proto uint8
	port          uint16
	addr          [16]byte
}

// A scope says what of a groupKey is meant.
type scope uint8

const (
	sameListener scope = iota // local address and port
	sameService               // remote address and port
	samePort                  // local port
	sameRemotePort
	sameProtocol
)

// scopes are tried in this order.
var scopes = [...]scope{sameListener, sameService, samePort, sameRemotePort, sameProtocol}

func (e *ending) key(s scope) groupKey {
	k := groupKey{scope: s, family: e.rec.family, proto: e.proto}
	switch s {
	case sameListener:
		k.addr, k.port = e.rec.src, e.rec.sport
	case sameService:
		k.addr, k.port = e.rec.dst, e.rec.dport
	case samePort:
		k.port = e.rec.sport
	case sameRemotePort:
		k.port = e.rec.dport
	}
	return k
}

// A closeGroup is the sum of some closes.
type closeGroup struct {
	first, last          time.Duration
	count, unknown       int64 // unknown: of these the kernel has forgotten the numbers
	bytesSent, bytesRecv uint64
	segsOut, segsIn      uint64
	retransmits          uint64
	rtt, rtts, maxRTT    uint64
	has                  has
}

func newLedger(budget int) *ledger { return &ledger{budget: budget} }

// add enters a close; sampled says that a sample has seen the socket.
func (l *ledger) add(e *ending, sampled bool) {
	if sampled {
		l.sampled = append(l.sampled, *e)
		if l.closed == nil {
			l.closed = map[uint64]bool{}
		}
		l.closed[e.rec.cookie] = true
		return
	}
	if l.hold {
		l.single = append(l.single, *e)
		return
	}
	if l.addToGroup(e) {
		return
	}
	if len(l.single) >= l.budget && !l.full {
		l.fold()
		if l.addToGroup(e) {
			return
		}
	}
	if len(l.single) >= l.budget {
		l.group(e.key(sameProtocol)).add(e)
		return
	}
	l.single = append(l.single, *e)
}

// settle keeps to the budget again after hold: of the closes that were kept, those count whose socket no sample has seen.
func (l *ledger) settle() {
	kept := l.single
	l.single, l.hold = nil, false
	for i := range kept {
		l.add(&kept[i], kept[i].socket != nil)
	}
}

// addToGroup adds the close to the group that it belongs to, if there is one.
func (l *ledger) addToGroup(e *ending) bool {
	if len(l.groups) == 0 {
		return false
	}
	for _, s := range scopes[:sameProtocol] {
		if g := l.groups[e.key(s)]; g != nil {
			g.add(e)
			return true
		}
	}
	return false
}

func (l *ledger) group(k groupKey) *closeGroup {
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

// fold makes room: the closes that have most in common become one group. Where less than a sixteenth has anything in common
// that is not worth the loss; what comes then is only counted.
func (l *ledger) fold() {
	for _, pair := range [][2]scope{{sameListener, sameService}, {samePort, sameRemotePort}} {
		counts := map[groupKey]int{}
		best, most := groupKey{}, 0
		for i := range l.single {
			for _, s := range pair {
				k := l.single[i].key(s)
				counts[k]++
				if counts[k] > most {
					best, most = k, counts[k]
				}
			}
		}
		if most < max(l.budget/16, 2) {
			continue
		}
		g, kept := l.group(best), l.single[:0]
		for i := range l.single {
			e := &l.single[i]
			if e.key(best.scope) == best {
				g.add(e)
			} else {
				kept = append(kept, *e)
			}
		}
		l.single = kept
		return
	}
	l.full = true
}

func (g *closeGroup) add(e *ending) {
	r := &e.rec
	if g.count == 0 || e.at < g.first {
		g.first = e.at
	}
	g.last = max(g.last, e.at)
	g.count++
	if e.forgotten {
		g.unknown++
	}
	g.has |= r.has
	g.bytesSent += r.bytesSent
	g.bytesRecv += r.bytesRecv
	g.segsOut += uint64(r.segsOut)
	g.segsIn += uint64(r.segsIn)
	g.retransmits += uint64(r.retransmits)
	if r.rtt > 0 {
		g.rtt += uint64(r.rtt)
		g.rtts++
		g.maxRTT = max(g.maxRTT, uint64(r.rtt))
	}
}
