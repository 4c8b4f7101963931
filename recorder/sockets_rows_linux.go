package recorder

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
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
	s.lookAtAll(p)
	p.countRemains()
	p.reportCounts(func(process store.Ref) bool { return s.owners.Lives(process, owned) })
	s.reportTraffic(p)
}

func (s *sockets) reportSocket(p *protocol, e *socket, owned bool) {
	owner := s.owner(p, e, owned)
	if e.ended == 0 && e.moved && e.Rec.State == sockdiag.StateClose && e.Rec.DPort != 0 && p.proto == "tcp" {
		e.ended = s.writer.Now() // bound to its port, though the connection is over
	}
	isNew := e.subject == nil && p.primed
	if e.dirty || owner != e.shown || !p.sockets.Keep(e.subject) {
		s.put(p, e, owner)
	}
	if s.look(p, e, owner.process); isNew {
		s.lookAtNew(p, e, owner.process)
	}
	if owned {
		p.reportHolders(e)
		if owner.how != byListener && owner.how != byTrace {
			e.last = owner.process
		}
	}
	p.count(e, owner.process)
}

// reportTraffic adds up what the connections moved, each for the process that it is known to be of and the interface that it takes.
func (s *sockets) reportTraffic(p *protocol) {
	if p.traffic == nil {
		return
	}
	for _, g := range p.grown {
		e := g.socket
		c := connectionOf(&e.Rec)
		c.uid, c.hasUID = e.UID, e.UIDKnown
		m := s.sumOf(p, e.shown.process, &c)
		m.add(g)
		m.known = true
		s.lookAtSegments(p, &g, e.shown.process)
	}
	const small = 4096
	if clear(p.grown); cap(p.grown) > small && cap(p.grown) > 4*len(p.grown) {
		p.grown = nil // the crowd that moved is gone
	}
	p.grown, p.primed = p.grown[:0], true
}

// sumOf is the sum that a connection of the process counts in.
func (s *sockets) sumOf(p *protocol, process store.Ref, c *connection) *moved {
	uid := store.Of(c.uid)
	if !c.hasUID {
		uid = s.owners.UIDOf(process)
	}
	return p.traffic.of(sumKey{process, uid, p.traffic.ways.of(c)})
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
	byTrace
)

// String is the word in owner_how.
func (h how) String() string { return [...]string{"none", "fd", "cookie", "listener", "trace"}[h] }

var nobody ownership

// owner is the process that holds e.
func (s *sockets) owner(p *protocol, e *socket, owned bool) ownership {
	switch {
	case owned && len(e.Holders) > 0:
		return ownership{process: e.Holders[0].Process.Ref, how: byFD}
	case e.Rec.Inode == 0 && e.last != 0:
		// Closed by its process, but not over: TIME_WAIT, LAST_ACK. Who had it last is
		// known for certain, because the cookie says that it is the same socket.
		return ownership{process: e.last, how: byCookie}
	case e.Rec.Inode == 0:
		// Not accepted yet, or closed before a sample saw it.
		if o := s.traced(p, e); o != nobody {
			return o
		}
		if o := s.ownerOf(p.listeners.at(e.Rec.Src, e.Rec.SPort)); o != nobody || e.shown.how != byListener {
			return o
		}
		return e.shown // it listened when this was first seen
	case !owned:
	case e.Lost == s.gen && e.last != 0 && !e.OnItsWay:
		return ownership{process: e.last, how: byCookie} // closed between the dump and the search for its owner
	}
	if e.last == 0 {
		return s.traced(p, e) // nobody was ever seen to hold it
	}
	return nobody
}

// traced is the process that opened e, or closed it, as the trace tells.
func (s *sockets) traced(p *protocol, e *socket) ownership {
	if e.shown.how == byTrace {
		return e.shown
	}
	if p.number != unix.IPPROTO_TCP || !e.dirty && e.subject != nil { // else it has been asked before
		return nobody
	}
	return s.ofTrace(s.trace.whose(&e.Rec, uint64(p.ns.inode())))
}

// nameByTrace gives e to the process that closed it or opened it, while the trace tells.
func (s *sockets) nameByTrace(e *socket, who *owners.Peeked) {
	if o := s.ofTrace(who); o != nobody {
		e.shown, e.dirty = o, true
	}
}

// ofTrace is what stands for a process that the trace told; nobody where processes are not recorded.
func (s *sockets) ofTrace(who *owners.Peeked) ownership {
	if who == nil {
		return nobody
	}
	if process := s.owners.Recorded(*who); process != 0 {
		return ownership{process: process, how: byTrace}
	}
	return nobody
}

// put reports a socket of which something has changed.
func (s *sockets) put(p *protocol, e *socket, owner ownership) {
	if l := s.debug.Owners; l != nil && (owner != e.shown || e.subject == nil) {
		l.Printf("%s socket of port %d, inode %d, cookie %d: process %d of the recording, known by %s", p.name, e.Rec.SPort, e.Inode, e.Rec.Cookie, owner.process, owner.how)
	}
	r := &e.Rec
	v := store.Socket{
		State: sockdiag.Named(sockdiag.StateNames[:], r.State), Process: owner.process, OwnerHow: owner.how.String(),
		Congestion: s.texts.congestion(r.Congestion), Ended: e.ended, Candidates: owner.candidates(),
	}
	if r.Has&sockdiag.HasUID != 0 || e.UIDKnown && r.Has&(sockdiag.HasInfo|sockdiag.HasLast) != 0 {
		v.UID, v.User = store.Of(e.UID), s.users.Name(e.UID)
	}
	resolved := true
	if r.Has&sockdiag.HasCgroup != 0 && r.Cgroup != 0 {
		v.CGroup = s.cgroups.Path(r.Cgroup)
		resolved = v.CGroup != ""
	}
	if r.Has&sockdiag.HasMark != 0 {
		v.Mark = store.Of(r.Mark)
	}
	if p.proto == "tcp" {
		v.Timer = sockdiag.Named(sockdiag.TimerNames[:], r.Timer)
	}
	if r.Has&sockdiag.HasQueues != 0 {
		v.RecvQ, v.SendQ = store.Of(r.RecvQ), store.Of(r.SendQ)
	}
	if r.Has&sockdiag.HasDrops != 0 {
		v.Drops = store.Of(r.Drops)
	}
	s.moreValues(p, r, &v)
	if p.af == unix.AF_NETLINK {
		v.Groups = groupsText(sockdiag.Place(&r.Src), []byte(e.name))
	}
	v.Direction = s.direction(p, e).String()
	v.StateSince = s.stateSince(p, e)
	tcpValues(r, &v)

	if e.renamed || !p.sockets.Change(e.subject, v) {
		e.subject = p.sockets.Put(s.socketID(p, e), v)
	}
	switch {
	case e.since == 0: // new in this run: it may be known from the last
		e.since = uint32(e.subject.Since())
		e.arrived = e.arrived && v.StateSince == float64(e.since)
	case e.moved:
		e.since = uint32(s.writer.Now())
	}
	e.shown = owner
	e.dirty, e.renamed, e.moved = !resolved, false, false
}

// stateSince is when a connection came to its state, in whole seconds: the first sample that saw it there. 0: that is not known, or the state is one in which
// most connections are for most of their lives, so that each would have a row of its own.
func (s *sockets) stateSince(p *protocol, e *socket) float64 {
	switch e.Rec.State {
	case sockdiag.StateEstablished, sockdiag.StateListen, sockdiag.StateTimeWait, sockdiag.StateClose:
		return 0
	}
	switch {
	case p.proto != "tcp":
		return 0
	case e.subject == nil && p.primed, e.subject != nil && e.moved:
		e.arrived = true
		return math.Floor(s.writer.Now())
	case e.arrived:
		return float64(e.since)
	}
	return 0
}

// moreValues fills in what the other attributes told, and what needs a clock or a text.
func (s *sockets) moreValues(p *protocol, r *sockdiag.Record, v *store.Socket) {
	if r.Has&sockdiag.HasBuffers != 0 {
		v.RcvBuf, v.SndBuf = store.Of(r.RcvBuf), store.Of(r.SndBuf)
	}
	if r.Has&sockdiag.HasTOS != 0 {
		v.TOS = store.Of(r.TOS)
	}
	if r.Has&sockdiag.HasV6Only != 0 {
		v.V6Only = asBit(r.Has&sockdiag.IsV6Only != 0)
	}
	if r.Has&sockdiag.HasShutdown != 0 {
		v.Shutdown = sockdiag.Named(sockdiag.ShutdownNames[:], r.Shutdown)
	}
	v.ULP = s.texts.ulp(r.ULP)
	if r.Has&sockdiag.HasInfo != 0 {
		v.Options = s.texts.options(r.Options, r.WScale)
	}
	v.TimerEnds = s.moments.ahead(r.TimerEnds)
	if r.Has&sockdiag.SentLongAgo != 0 {
		v.LastSent = s.moments.past(r.LastSent)
	}
	if r.Has&sockdiag.RecvLongAgo != 0 {
		v.LastRecv = s.moments.past(r.LastRecv)
	}
}

func asBit(set bool) store.Int {
	if set {
		return store.Of(1)
	}
	return store.Of(0)
}

// direction says which end opened a connection.
type direction uint8

const (
	unknownWay direction = iota
	listens
	incoming
	outgoing
)

func (d direction) String() string { return [...]string{"", "listen", "in", "out"}[d] }

// direction tells which end opened the connection: by its state while it is opened, by the trace, and by what listened on its port when it was first seen. Later
// somebody else may listen there.
func (s *sockets) direction(p *protocol, e *socket) direction {
	r := &e.Rec
	switch {
	case p.proto != "tcp":
		return unknownWay
	case r.State == sockdiag.StateListen:
		return listens
	case r.DPort == 0:
		return unknownWay
	case r.State == sockdiag.StateSynSent:
		e.way = outgoing
	case e.subject != nil && !e.renamed || e.way != unknownWay:
	case s.trace.madeHere(r, uint64(p.ns.inode())):
		e.way = outgoing
	case len(p.listeners.at(r.Src, r.SPort)) > 0:
		e.way = incoming
	case (r.Src == r.Dst || sockdiag.Address(r.Family, &r.Dst).Unmap().IsLoopback()) && len(p.listeners.at(r.Dst, r.DPort)) > 0: // both ends are here
		e.way = outgoing
	}
	return e.way
}

// tcpValues fills in what tcp_info told.
func tcpValues(r *sockdiag.Record, v *store.Socket) {
	if r.Has&sockdiag.HasInfo != 0 {
		v.MSS, v.PMTU = store.NonZero(r.MSS), store.NonZero(r.PMTU)
		v.Cwnd = store.Of(r.Cwnd)
		v.Lost, v.SSThresh, v.RTO = store.Of(r.Lost), store.NonZero(r.SSThresh), store.Of(r.RTO)
		v.Tries, v.Backoff = store.Of(r.Tries), store.Of(r.Backoff)
	}
	if r.Has&sockdiag.HasUnsent != 0 {
		v.NotSent, v.MinRTT = store.Of(r.NotSent.Number()), store.NonZero(r.MinRTT.Number())
	}
	if r.Has&sockdiag.HasBusy != 0 {
		v.Busy, v.RwndLimited, v.SndbufLimited = store.Of(r.Busy), store.Of(r.RwndLimited), store.Of(r.SndbufLimited)
	}
	if r.Has&sockdiag.HasRate != 0 {
		v.AppLimited, v.DeliveryRate = asBit(r.Has&sockdiag.IsAppLimited != 0), store.NonZero(r.DeliveryRate.Long())
	}
	if r.Has&sockdiag.HasReorder != 0 {
		v.Reordered = store.Of(r.Reordered)
	}
	if r.Has&sockdiag.HasSndWnd != 0 && r.SndWnd != sockdiag.Wide {
		v.SndWnd = store.Of(r.SndWnd.Number())
	}
	if r.Has&sockdiag.HasRcvWnd != 0 && r.RcvWnd != sockdiag.Wide {
		v.RcvWnd = store.Of(r.RcvWnd.Number())
	}
	if r.Has&(sockdiag.HasInfo|sockdiag.HasLast) != 0 {
		v.Retransmits = store.Of(r.Retransmits)
		if r.RTT != 0 { // measured at all
			v.RTT, v.RTTVar = store.Of(r.RTT), store.Of(r.RTTVar)
		}
	}
	if r.Has&sockdiag.HasBytesRecv != 0 {
		v.BytesReceived = store.Of(r.BytesRecv)
	}
	if r.Has&sockdiag.HasBytesSent != 0 {
		v.BytesSent = store.Of(r.BytesSent)
	}
	if r.Has&sockdiag.HasSegs != 0 {
		v.SegsOut, v.SegsIn = store.Of(r.SegsOut), store.Of(r.SegsIn)
	}
}

func (s *sockets) socketID(p *protocol, e *socket) store.SocketID {
	r := &e.Rec
	id := store.SocketID{
		NetNS: p.ns.id, Proto: p.proto, Family: p.family, Type: p.kind,
		IfIndex: store.NonZero(r.IfIndex), Inode: store.NonZero(e.Inode), Cookie: store.NonZero(r.Cookie),
	}
	if p.af == unix.AF_UNIX {
		id.Type, id.Path, id.Peer = sockdiag.Named(sockdiag.KindNames[:], r.Kind), sockdiag.UnixPath([]byte(e.name)), store.NonZero(e.peer)
		return id
	}
	switch p.af {
	case unix.AF_PACKET, unix.AF_XDP:
		id.Type, id.LocalPort = sockdiag.Named(sockdiag.KindNames[:], r.Kind), store.Of(r.SPort)
		return id
	case unix.AF_NETLINK, unix.AF_VSOCK:
		id.Type = sockdiag.Named(sockdiag.KindNames[:], r.Kind)
		s.texts.nameEnds(r, &id)
		return id
	}
	if r.Cookie == 0 && e.Unlisted {
		return id // no dump has ever told its ends
	}
	id.LocalAddr, id.RemoteAddr = s.texts.address(r.Family, &r.Src), s.texts.address(r.Family, &r.Dst)
	id.LocalPort, id.RemotePort = store.Of(r.SPort), store.Of(r.DPort)
	return id
}

// reportHolders puts every hold on the socket into the recording.
func (p *protocol) reportHolders(e *socket) {
	for i := range e.Holders {
		h := &e.Holders[i]
		if i > 0 && e.Holders[i-1].Process == h.Process {
			h.Subject = nil // with another of its tables too, whose descriptor is shown
			continue
		}
		id, fd := store.SocketOwnerID{Socket: e.subject.Ref(), Process: h.Process.Ref}, e.FD(i)
		if h.Subject == nil || h.Shown != fd || h.ID != id || !p.holders.Keep(h.Subject) {
			var v store.SocketOwner
			if fd != owners.NoFD {
				v.FD = store.Of(fd)
			}
			h.Subject = p.holders.Put(id, v)
			h.ID, h.Shown = id, fd
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
	key := countKey{owner, sockdiag.Named(sockdiag.StateNames[:], e.Rec.State)}
	c := p.counts[key]
	if c == nil {
		c = &count{}
		p.counts[key] = c
	}
	if since := float64(e.since); c.n == 0 || since < c.oldest {
		c.oldest = since
	}
	c.n++
	c.queues = c.queues || e.Rec.Has&sockdiag.HasQueues != 0
	c.recvQ += int64(e.Rec.RecvQ)
	c.sendQ += int64(e.Rec.SendQ)
}

// countRemains adds the sockets in TIME_WAIT that are only counted. Nobody knows since when they are there.
func (p *protocol) countRemains() {
	if p.countedRemains == 0 {
		return
	}
	key := countKey{0, sockdiag.Named(sockdiag.StateNames[:], sockdiag.StateTimeWait)}
	c := p.counts[key]
	if c == nil {
		c = &count{}
		p.counts[key] = c
	}
	c.n += p.countedRemains
	c.queues = true
}

// reportCounts puts the groups into the recording and begins again. A group that has no sockets rests for as long as its process
// lives.
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
	for id := range p.sums.OfLastRun() { // of the last run, and without sockets now
		if p.has(id) && lives(id.Process) {
			p.group(id).subject = p.sums.RestNamed(id)
		}
	}
	for id := range p.trends.OfLastRun() {
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
	optionsOf   map[[2]byte]string
	ulps        map[[8]byte]string
}

// textLimit is how many addresses are kept: local ones are few, and of remote ones only
// the busy are worth it.
const textLimit = 4096

// address is an address as text. That of an IPv6 socket which speaks IPv4 (::ffff:192.0.2.1) is the IPv4 address, as the other end
// has it, so that both ends of a connection join.
func (t *texts) address(family uint8, a *[16]byte) string {
	addr := sockdiag.Address(family, a).Unmap()
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

// options are the TCP options as ss names them.
func (t *texts) options(options, wscale uint8) string {
	if options == 0 {
		return ""
	}
	key := [2]byte{options, wscale}
	text, ok := t.optionsOf[key]
	if !ok {
		var names []string
		for i, name := range sockdiag.OptionNames {
			switch {
			case options&(1<<i) == 0:
				continue
			case 1<<i == sockdiag.OptionWScale:
				// ss has first what the other end's window is scaled by.
				name = fmt.Sprintf("wscale:%d,%d", wscale&15, wscale>>4)
			}
			names = append(names, name)
		}
		text = strings.Join(names, " ")
		if t.optionsOf == nil {
			t.optionsOf = map[[2]byte]string{}
		}
		t.optionsOf[key] = text
	}
	return text
}

func (t *texts) ulp(name [8]byte) string {
	if name == ([8]byte{}) {
		return ""
	}
	text, ok := t.ulps[name]
	if !ok {
		text = kernel.Printable(bytes.TrimRight(name[:], "\x00"))
		if t.ulps == nil {
			t.ulps = map[[8]byte]string{}
		}
		t.ulps[name] = text
	}
	return text
}
