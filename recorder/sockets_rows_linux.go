package recorder

import (
	"bytes"
	"net/netip"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// report puts the sockets of a dump into the recording, with their owners and their
// counts. owned is false when the owners could not be read: then nobody is named.
func (s *sockets) report(p *protocol, owned bool) {
	for _, e := range p.seen {
		s.reportSocket(p, e, owned)
	}
	for _, e := range p.unlisted {
		s.reportSocket(p, e, owned)
	}
	p.countSurplus()
	p.reportCounts(func(process store.Ref) bool { return s.owners.lives(process, owned) })
	p.reportTraffic()
}

func (s *sockets) reportSocket(p *protocol, e *socket, owned bool) {
	owner := s.owner(p, e, owned)
	if e.ended == 0 && e.moved && e.rec.state == stateClose && e.rec.dport != 0 && p.proto == "tcp" {
		e.ended = s.writer.Now() // bound to its port, though the connection is over
	}
	if e.dirty || owner != e.shown || !p.sockets.Keep(e.subject) {
		s.put(p, e, owner)
	}
	if owned {
		p.reportHolders(e)
		if owner.how != byListener {
			e.last = owner.process
		}
	}
	p.count(e, owner.process)
}

// reportTraffic adds up what the connections moved, each for the process that it is known to be of.
func (p *protocol) reportTraffic() {
	if p.traffic == nil {
		return
	}
	for key, c := range p.counts {
		if c.shown.Count.Or(0) > 0 {
			if key.state == stateNames[stateListen] || key.state == stateNames[stateClose] {
				continue // no connection
			}
			p.traffic.of(key.process).known = true
		}
	}
	for _, g := range p.grown {
		m := p.traffic.of(g.socket.shown.process)
		m.add(g)
		m.known = true
	}
	const small = 4096
	if clear(p.grown); cap(p.grown) > small && cap(p.grown) > 4*len(p.grown) {
		p.grown = nil // the crowd that moved is gone
	}
	p.grown, p.primed = p.grown[:0], true
}

// An ownership is a process and how it is known to be the socket's.
type ownership struct {
	process store.Ref
	how     how
	listens uint16 // processes that listen there, where that is how it is known
}

// candidates are the processes that may be meant, where it is not known which.
func (o ownership) candidates() store.Int { return store.NonZero(o.listens) }

// how the process of a socket is known.
type how uint8

const (
	byNothing how = iota
	byFD
	byCookie
	byListener
)

// String is the word in owner_how.
func (h how) String() string { return [...]string{"none", "fd", "cookie", "listener"}[h] }

var nobody ownership

// owner is the process that holds e.
func (s *sockets) owner(p *protocol, e *socket, owned bool) ownership {
	switch {
	case owned && len(e.holders) > 0:
		return ownership{process: e.holders[0].process.ref, how: byFD}
	case e.rec.inode == 0 && e.last != 0:
		// Closed by its process, but not over: TIME_WAIT, LAST_ACK. Who had it last is
		// known for certain, because the cookie says that it is the same socket.
		return ownership{process: e.last, how: byCookie}
	case e.rec.inode == 0:
		// Not accepted yet, or closed before a sample saw it.
		if o := s.ownerOf(p.listeners.at(e.rec.src, e.rec.sport)); o != nobody || e.shown.how != byListener {
			return o
		}
		return e.shown // it listened when this was first seen
	case !owned:
	case e.lost == s.gen && e.last != 0 && !e.onItsWay:
		return ownership{process: e.last, how: byCookie} // closed between the dump and the search for its owner
	}
	return nobody
}

// put reports a socket of which something has changed.
func (s *sockets) put(p *protocol, e *socket, owner ownership) {
	r := &e.rec
	v := store.Socket{
		State: named(stateNames[:], r.state), Process: owner.process, OwnerHow: owner.how.String(),
		Congestion: s.texts.congestion(r.congestion), Ended: e.ended, Candidates: owner.candidates(),
	}
	if r.has&hasUID != 0 || e.uidKnown && r.has&(hasInfo|hasLast) != 0 {
		v.UID, v.User = store.Of(e.uid), s.users.name(e.uid)
	}
	resolved := true
	if r.has&hasCgroup != 0 && r.cgroup != 0 {
		v.CGroup = s.cgroups.path(r.cgroup)
		resolved = v.CGroup != ""
	}
	if r.has&hasMark != 0 {
		v.Mark = store.Of(r.mark)
	}
	if p.proto == "tcp" {
		v.Timer = named(timerNames[:], r.timer)
	}
	if r.has&hasQueues != 0 {
		v.RecvQ, v.SendQ = store.Of(r.recvQ), store.Of(r.sendQ)
	}
	if r.has&hasDrops != 0 {
		v.Drops = store.Of(r.drops)
	}
	r.tcpValues(&v)

	if e.renamed || !p.sockets.Change(e.subject, v) {
		e.subject = p.sockets.Put(s.socketID(p, e), v)
	}
	switch {
	case e.since == 0: // new in this run: it may be known from the last
		e.since = uint32(e.subject.Since())
	case e.moved:
		e.since = uint32(s.writer.Now())
	}
	e.shown = owner
	e.dirty, e.renamed, e.moved = !resolved, false, false
}

// tcpValues fills in what tcp_info told.
func (r *record) tcpValues(v *store.Socket) {
	if r.has&hasInfo != 0 {
		v.MSS, v.PMTU = store.NonZero(r.mss), store.NonZero(r.pmtu)
		v.Cwnd = store.Of(r.cwnd)
	}
	if r.has&(hasInfo|hasLast) != 0 {
		v.Retransmits = store.Of(r.retransmits)
		if r.rtt != 0 { // measured at all
			v.RTT, v.RTTVar = store.Of(r.rtt), store.Of(r.rttvar)
		}
	}
	if r.has&hasBytesRecv != 0 {
		v.BytesReceived = store.Of(r.bytesRecv)
	}
	if r.has&hasBytesSent != 0 {
		v.BytesSent = store.Of(r.bytesSent)
	}
	if r.has&hasSegs != 0 {
		v.SegsOut, v.SegsIn = store.Of(r.segsOut), store.Of(r.segsIn)
	}
}

func (s *sockets) socketID(p *protocol, e *socket) store.SocketID {
	r := &e.rec
	id := store.SocketID{
		NetNS: p.ns.id, Proto: p.proto, Family: p.family, Type: p.kind,
		IfIndex: store.NonZero(r.ifindex), Inode: store.NonZero(e.inode), Cookie: store.NonZero(r.cookie),
	}
	if p.af == unix.AF_UNIX {
		id.Type, id.Path, id.Peer = named(kindNames[:], r.kind), unixPath([]byte(e.name)), store.NonZero(e.peer)
		return id
	}
	if r.cookie == 0 && e.unlisted {
		return id // no dump has ever told its ends
	}
	id.LocalAddr, id.RemoteAddr = s.texts.address(r.family, &r.src), s.texts.address(r.family, &r.dst)
	id.LocalPort, id.RemotePort = store.Of(r.sport), store.Of(r.dport)
	return id
}

// reportHolders puts every hold on the socket into the recording.
func (p *protocol) reportHolders(e *socket) {
	for i := range e.holders {
		h := &e.holders[i]
		if i > 0 && e.holders[i-1].process == h.process {
			h.subject = nil // with another of its tables too, whose descriptor is shown
			continue
		}
		id, fd := store.SocketOwnerID{Socket: e.subject.Ref(), Process: h.process.ref}, e.fd(i)
		if h.subject == nil || h.shown != fd || h.id != id || !p.holders.Keep(h.subject) {
			var v store.SocketOwner
			if fd != noFD {
				v.FD = store.Of(fd)
			}
			h.subject = p.holders.Put(id, v)
			h.id, h.shown = id, fd
		}
	}
}

// A countKey is a group of sockets that are counted together.
type countKey struct {
	process store.Ref
	state   string
}

type count struct {
	n, recvQ, sendQ int64
	queues          bool
	oldest          float64
	subject         *store.Subject[store.SocketCountID, store.SocketCount]
	shown           store.SocketCount
	trend           *store.Subject[store.SocketCountID, store.SocketTrend]
}

// count adds a socket to its group.
func (p *protocol) count(e *socket, owner store.Ref) {
	key := countKey{owner, named(stateNames[:], e.rec.state)}
	c := p.counts[key]
	if c == nil {
		c = &count{}
		p.counts[key] = c
	}
	if since := float64(e.since); c.n == 0 || since < c.oldest {
		c.oldest = since
	}
	c.n++
	c.queues = c.queues || e.rec.has&hasQueues != 0
	c.recvQ += int64(e.rec.recvQ)
	c.sendQ += int64(e.rec.sendQ)
}

// countSurplus adds the sockets in TIME_WAIT that are only counted. Nobody knows since when they are there.
func (p *protocol) countSurplus() {
	if p.surplus == 0 {
		return
	}
	key := countKey{0, named(stateNames[:], stateTimeWait)}
	c := p.counts[key]
	if c == nil {
		c = &count{}
		p.counts[key] = c
	}
	c.n += p.surplus
	c.queues = true
}

// reportCounts puts the groups into the recording and begins anew. A group that has no sockets rests for as long as its process lives.
func (p *protocol) reportCounts(lives func(store.Ref) bool) {
	for key, c := range p.counts {
		if c.n == 0 {
			if !lives(key.process) {
				delete(p.counts, key)
			} else if sum, trend := p.sums.Rest(c.subject), p.trends.Rest(c.trend); !sum && !trend {
				delete(p.counts, key) // the recording does not have it
			}
			continue
		}
		v := store.SocketCount{Count: store.Of(c.n), Oldest: store.NonZero(int64(c.oldest))}
		if c.queues {
			v.RecvQ, v.SendQ = store.Of(c.recvQ), store.Of(c.sendQ)
		}
		id := store.SocketCountID{NetNS: p.ns.id, Process: key.process, Proto: p.proto, Family: p.family, State: key.state}
		if v != c.shown || !p.sums.Keep(c.subject) {
			c.subject = p.sums.Put(id, v)
		}
		c.trend = p.trends.Put(id, store.SocketTrend{Count: v.Count})
		*c = count{subject: c.subject, shown: v, trend: c.trend}
	}
	if p.counted {
		return
	}
	p.counted = true
	for id := range p.sums.Dormant() { // of the last run, and without sockets now
		if p.has(id) && lives(id.Process) {
			p.group(id).subject = p.sums.RestNamed(id)
		}
	}
	for id := range p.trends.Dormant() {
		if p.has(id) && lives(id.Process) {
			p.group(id).trend = p.trends.RestNamed(id)
		}
	}
}

// has reports whether a group is of this protocol.
func (p *protocol) has(id store.SocketCountID) bool {
	return id.NetNS == p.ns.id && id.Proto == p.proto && id.Family == p.family
}

// group is what is counted of a group.
func (p *protocol) group(id store.SocketCountID) *count {
	key := countKey{id.Process, id.State}
	if p.counts[key] == nil {
		p.counts[key] = &count{}
	}
	return p.counts[key]
}

// texts keeps one copy of the texts that many sockets share.
type texts struct {
	addresses   map[netip.Addr]string
	congestions map[[16]byte]string
}

// textLimit is how many addresses are kept: local ones are few, and of remote ones only
// the busy are worth it.
const textLimit = 4096

func (t *texts) address(family uint8, a *[16]byte) string {
	addr := address(family, a)
	text, ok := t.addresses[addr]
	if !ok {
		text = addr.String()
		if t.addresses == nil || len(t.addresses) >= textLimit {
			t.addresses = map[netip.Addr]string{}
		}
		t.addresses[addr] = text
	}
	return text
}

func (t *texts) congestion(name [16]byte) string {
	text, ok := t.congestions[name]
	if !ok {
		text = kernel.Printable(bytes.TrimRight(name[:], "\x00"))
		if t.congestions == nil {
			t.congestions = map[[16]byte]string{}
		}
		t.congestions[name] = text
	}
	return text
}
