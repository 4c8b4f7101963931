package recorder

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// Timers as in idiag_timer (net/ipv4/inet_diag.c).
const (
	timerOfRetransmits = 1
	timerOfProbes      = 4
)

const (
	// manyRequests is how many half-open connections a listener may have before it is told.
	manyRequests = 8
	// closesSoon is for how long a program may take to close a connection that the other end has closed, while it sends nothing.
	closesSoon = 5 * time.Second
	// triesWithoutAnswer is how often data was sent again without any answer before that is told.
	triesWithoutAnswer = 2
)

// A waiting says for how long a socket has not got on.
type waiting struct {
	done  uint64        // what it had done by then
	queue uint32        // what waited in it
	since time.Duration // since boot
	seen  uint32        // sample
}

// A hang is a socket that may not get on, and in what.
type hang struct {
	socket *socket
	kind   uint8
}

const (
	hangsReading uint8 = iota
	hangsSending
	hangsClosing
	hangsConnecting
	hangsAnswering
)

// A loss is what a socket dropped since the last sample.
type loss struct {
	socket *socket
	drops  uint32
}

// hangs are the sockets that may not get on. Most sockets are none.
type hangs struct {
	of map[hang]waiting
}

// since is since when the socket has not got on, where done grows when it does.
func (h *hangs) since(e *socket, kind uint8, done uint64, gen uint32, now time.Duration) time.Duration {
	if h.of == nil {
		h.of = map[hang]waiting{}
	}
	at := hang{e, kind}
	w, is := h.of[at]
	queue := e.Rec.RecvQ
	if !is || w.done != done || kind == hangsReading && queue < w.queue {
		w = waiting{done: done, since: now}
	}
	w.queue, w.seen = queue, gen
	h.of[at] = w
	return w.since
}

// forget takes out those that got on.
func (h *hangs) forget(gen uint32) {
	for at, w := range h.of {
		if w.seen != gen {
			delete(h.of, at)
		}
	}
}

// look tells what would be a symptom of a fault in a socket.
func (s *sockets) look(p *protocol, e *socket, process store.Ref) {
	r := &e.Rec
	if p.symptoms == nil || r.RecvQ == 0 && r.SendQ == 0 && r.State != sockdiag.StateCloseWait {
		return
	}
	now := s.writer.Uptime()
	tell := func(symptom string, kind uint8, done uint64) {
		id := s.serviceOf(p, e, process)
		id.Symptom = symptom
		p.symptoms.waits(id, now-p.hangs.since(e, kind, done, s.gen, now))
	}
	if p.proto != "tcp" {
		if p.proto == "udp" && r.RecvQ > 0 {
			tell("unread", hangsReading, 0)
		}
		return
	}
	switch r.State {
	case sockdiag.StateListen:
		if r.RecvQ > r.SendQ {
			p.symptoms.holds(store.SymptomID{Symptom: "accept queue full", Process: process, LocalPort: store.Of(r.SPort)}, int64(r.RecvQ), int64(r.SendQ))
		}
		return
	case sockdiag.StateSynRecv:
		return
	case sockdiag.StateSynSent:
		tell("SYN_SENT", hangsConnecting, 0)
		if now-p.hangs.since(e, hangsConnecting, 0, s.gen, now) >= unansweredAfter {
			p.symptoms.fails(store.Of(r.DPort))
		}
		return
	case sockdiag.StateCloseWait:
		if now-p.hangs.since(e, hangsClosing, r.BytesSent, s.gen, now) >= closesSoon {
			tell("CLOSE_WAIT", hangsClosing, r.BytesSent)
		}
	case sockdiag.StateEstablished:
		if r.RecvQ > 0 && r.Has&sockdiag.HasBytesRecv != 0 {
			tell("unread", hangsReading, r.BytesRecv-uint64(r.RecvQ))
		}
	}
	switch {
	case r.SendQ == 0:
	case r.Timer == timerOfProbes:
		tell("zero window", hangsSending, r.BytesSent-uint64(r.SendQ))
	case r.Timer == timerOfRetransmits && r.Tries >= triesWithoutAnswer:
		symptom := "unacknowledged"
		if p.symptoms.getsSmallOnly(r, now) {
			symptom = "large segments unacknowledged"
		}
		tell(symptom, hangsAnswering, r.BytesRecv)
	}
}

// silent says of an address to which something is not acknowledged when something came from it by another connection.
type silent struct {
	alive time.Duration // since boot; 0: nothing came
	since time.Duration // when it was silent first
	seen  time.Duration
}

const (
	// largeSegment is from which size on a segment may be too large for a link on the way: IPv6 links carry 1280 bytes.
	largeSegment = 1200
	// aliveFor is for how long a sign of life of an address holds.
	aliveFor = time.Minute
	// silentMost is how many such addresses are looked at.
	silentMost = 1024
)

// getsSmallOnly reports whether a connection on which a large segment is not acknowledged goes to an address from which others get answers.
func (s *symptoms) getsSmallOnly(r *sockdiag.Record, now time.Duration) bool {
	a := s.silent[r.Dst]
	if a == nil {
		if len(s.silent) >= silentMost {
			clear(s.silent)
		}
		a = &silent{since: now}
		s.silent[r.Dst] = a
	}
	a.seen = now
	return a.alive > 0 && now-a.alive < aliveFor && r.MSS >= largeSegment && r.SendQ >= r.MSS
}

// lookAtAnswer takes note of what came from an address to which something is not acknowledged: data, or that it has all that was sent. What came before
// the last sample may be older than the silence.
func (s *symptoms) lookAtAnswer(g *growth) {
	if r := &g.socket.Rec; len(s.silent) > 0 && (g.received > 0 || g.sent > 0 && r.SendQ == 0) && r.Timer != timerOfRetransmits {
		if now, a := s.writer.Uptime(), s.silent[r.Dst]; a != nil && a.since < now {
			a.alive = now
		}
	}
}

// forgetAnswers forgets the addresses to which all is acknowledged again.
func (s *symptoms) forgetAnswers() {
	now := s.writer.Uptime()
	for addr, a := range s.silent {
		if now-a.seen > aliveFor {
			delete(s.silent, addr)
		}
	}
}

// serviceOf names a socket by its process and the service: of what came to this machine by the local port, else by the other end.
func (s *sockets) serviceOf(p *protocol, e *socket, process store.Ref) store.SymptomID {
	r, id := &e.Rec, store.SymptomID{Process: process}
	if e.way == incoming || r.DPort == 0 || e.way == unknownWay && len(p.listeners.at(r.Src, r.SPort)) > 0 {
		id.LocalPort = store.Of(r.SPort)
		if r.DPort != 0 && r.State != sockdiag.StateCloseWait {
			id.RemoteAddr = s.texts.address(r.Family, &r.Dst)
		}
		return id
	}
	id.RemoteAddr, id.RemotePort = s.texts.address(r.Family, &r.Dst), store.Of(r.DPort)
	return id
}

// lookAtAll tells what the sockets of a protocol show together.
func (s *sockets) lookAtAll(p *protocol) {
	if p.symptoms == nil {
		return
	}
	p.hangs.forget(s.gen)
	for _, l := range p.lost {
		e := l.socket
		id := store.SymptomID{Symptom: p.proto + " drops", Process: e.shown.process, LocalPort: store.Of(e.Rec.SPort)}
		switch {
		case e.Rec.State == sockdiag.StateListen:
			id.Symptom = "listener drops"
		case p.proto == "tcp":
			continue // what a connection drops is sent again
		}
		if p.symptoms.grew(id, uint64(l.drops), 0, true); e.young && e.subject != nil { // else nobody saw how old it is
			f := p.symptoms.of(id)
			f.total, f.hasTotal = max(f.total, int64(s.writer.Now()-e.subject.Since())), true
		}
	}
	clear(p.lost)
	p.lost = p.lost[:0]
	if p.proto != "tcp" {
		return
	}
	type to struct {
		process store.Ref
		port    uint16
	}
	var requests map[to]int64
	for _, e := range p.seen {
		if e.Rec.State == sockdiag.StateSynRecv {
			if requests == nil {
				requests = map[to]int64{}
			}
			requests[to{e.shown.process, e.Rec.SPort}]++
		}
	}
	for to, n := range requests {
		if n >= manyRequests {
			p.symptoms.holds(store.SymptomID{Symptom: "SYN_RECV", Process: to.process, LocalPort: store.Of(to.port)}, n, 0)
		}
	}
}

// lookAtSegments tells which connections sent again, and of how many segments.
func (s *sockets) lookAtSegments(p *protocol, g *growth, process store.Ref) {
	if p.symptoms == nil {
		return
	}
	p.symptoms.lookAtAnswer(g)
	if g.segments == 0 || g.socket.Rec.State == sockdiag.StateSynSent || g.retransmits == 0 && len(p.symptoms.resent) == 0 {
		return
	}
	p.symptoms.sent(s.serviceOf(p, g.socket, process), g.segments, g.retransmits)
}

// lookAtClosedSegments tells which connections sent again after the last sample, and of how many segments. One that did not come about sent again as there
// was no answer.
func (s *sockets) lookAtClosedSegments(p *protocol, end *closeEvent, e *socket, g *growth, process store.Ref) {
	if p.symptoms == nil || p.proto != "tcp" || g.segments == 0 || end.failed() || g.retransmits == 0 && len(p.symptoms.resent) == 0 {
		return
	}
	id := store.SymptomID{Process: process}
	switch ends, known := end.between(); {
	case e != nil && !e.Rec.IsRemains():
		id = s.serviceOf(p, e, process)
	case !known:
		return
	case len(p.listeners.at(ends.src, ends.sport)) > 0:
		id.LocalPort, id.RemoteAddr = store.Of(ends.sport), s.texts.address(end.rec.Family, &ends.dst)
	default:
		id.RemoteAddr, id.RemotePort = s.texts.address(end.rec.Family, &ends.dst), store.Of(ends.dport)
	}
	p.symptoms.sent(id, g.segments, g.retransmits)
}

// A resending is what connections of a program to a service sent, since one of them sent again.
type resending struct {
	segments, retransmits int64
	since                 time.Duration // since boot
}

const (
	// resentLeast and resentShare are how many segments are sent again, and one in how many, before it is told.
	resentLeast, resentShare = 3, 50
	// resentFor is how long these may take to come together.
	resentFor = time.Minute
	// resentMost is how many programs and services are looked at.
	resentMost = 4096
)

// sent takes note of the segments of a connection.
func (s *symptoms) sent(id store.SymptomID, segments, retransmits uint32) {
	r := s.resent[id]
	if r == nil {
		if retransmits == 0 || len(s.resent) >= resentMost {
			return
		}
		r = &resending{since: s.writer.Uptime()}
		s.resent[id] = r
	}
	r.segments += int64(segments)
	r.retransmits += int64(retransmits)
}

// lookAtResent tells of the connections that sent again, and of how many segments.
func (s *symptoms) lookAtResent() {
	now := s.writer.Uptime()
	for id, r := range s.resent {
		if r.retransmits >= resentLeast && r.retransmits*resentShare >= r.segments {
			id.Symptom = "retransmits"
			f := s.of(id)
			f.grows = true
			f.add(r.retransmits, r.segments)
			r.segments, r.retransmits, r.since = 0, 0, now
			continue
		}
		switch {
		case now-r.since < resentFor:
		case r.retransmits == 0:
			delete(s.resent, id)
		default:
			r.segments, r.retransmits, r.since = 0, 0, now
		}
	}
}

// lookAtClose tells of a connection that failed, and of those to the same port that did not.
func (s *sockets) lookAtClose(p *protocol, end *closeEvent, e *socket, process store.Ref) {
	if p.symptoms == nil || p.proto != "tcp" {
		return
	}
	var what outcome
	r := &end.rec
	switch t := end.traced; {
	case t != nil && t.outcome != outcomeUnknown:
		what = t.outcome
	case !end.failed():
	case r.Has&sockdiag.HasSegs == 0:
	case r.SegsIn == 0:
		what = outcomeUnanswered
	default:
		what = outcomeRefused
	}
	ends, known := end.between()
	fails := what > outcomeEstablished
	if !known || !fails && e != nil && !e.Rec.IsRemains() {
		return // a sample saw it being established
	}
	id := store.SymptomID{Process: process, Symptom: what.String()}
	if e != nil && e.way == incoming || len(p.listeners.at(ends.src, ends.sport)) > 0 {
		if fails && !end.failed() {
			id.LocalPort = store.Of(ends.sport)
			p.symptoms.grew(id, 1, 0, false)
		}
		return
	}
	id.RemoteAddr, id.RemotePort = s.texts.address(r.Family, &ends.dst), store.Of(ends.dport)
	if fails {
		p.symptoms.failed(id, end.failed())
	} else {
		p.symptoms.connected(id)
	}
}

// A service is the other end of connections that were made here.
type service struct {
	addr string
	port store.Int
}

// connecting says how connections to a service went lately.
type connecting struct {
	worked time.Duration // since boot: when one came about last; 0: none is known
	failed bool
}

// servicesMost is how many services are remembered. Who is not has not failed.
const servicesMost = 1024

func (s *symptoms) service(id store.SymptomID) *connecting {
	at := service{id.RemoteAddr, id.RemotePort}
	c := s.services[at]
	if c == nil {
		if len(s.services) >= servicesMost {
			for other, c := range s.services { // one that did not fail; they come back by themselves
				if !c.failed {
					delete(s.services, other)
					break
				}
			}
		}
		if len(s.services) >= servicesMost {
			clear(s.services)
		}
		c = &connecting{}
		s.services[at] = c
	}
	return c
}

// failed tells of a connection that failed. Where it did not come about at all, its total says how many seconds before one came about to that
// service.
func (s *symptoms) failed(id store.SymptomID, atAll bool) {
	now := s.writer.Uptime()
	c := s.service(id)
	f := s.of(id)
	f.grows = true
	f.amount++
	if !atAll {
		return
	}
	if c.worked > 0 && c.worked < now { // what this sample saw came about later
		f.total, f.hasTotal = max(f.total, int64((now-c.worked)/time.Second)+1), true
	}
	c.failed = true
	s.fails(id.RemotePort)
}

// unansweredAfter is after what time a connect that waits counts as unanswered: the kernel has sent its SYN three times.
const unansweredAfter = 3 * time.Second

// fails takes note that connects to such a port fail, so that those that come about are told too.
func (s *symptoms) fails(port store.Int) {
	if len(s.failing) >= servicesMost {
		clear(s.failing)
	}
	s.failing[port] = s.writer.Uptime()
}

// connected takes note of a connection that came about, and tells of it where others to such a port failed lately.
func (s *symptoms) connected(id store.SymptomID) {
	now := s.writer.Uptime()
	s.service(id).worked = now
	if failed, is := s.failing[id.RemotePort]; is && now-failed < followed {
		id.Symptom = "connected"
		s.grew(id, 1, 0, false)
	}
}

// lookAtNew tells of a connection that a sample sees for the first time.
func (s *sockets) lookAtNew(p *protocol, e *socket, process store.Ref) {
	if p.symptoms == nil || e.way != outgoing || e.Rec.State != sockdiag.StateEstablished {
		return
	}
	p.symptoms.connected(s.serviceOf(p, e, process))
}

// A portRange are the ports that the kernel gives out.
type portRange struct {
	low, high int
	count     int           // less those that are reserved
	reuse     int64         // net.ipv4.tcp_tw_reuse: 1 where a port is free again a second after TIME_WAIT began, 2 where it is on the loopback
	read      time.Duration // since boot
}

const (
	portsAgain = 30 * time.Second
	// portsShare is what part of the ports one destination has in use before it is told.
	portsShare = 2
)

// lookAtPorts tells which destinations have used up most of the local ports. It runs in the network namespace.
func (s *symptoms) lookAtPorts() {
	n := 0
	for _, p := range s.tcp {
		n += len(p.seen) + int(p.countedRemains)
	}
	const least = 8 // where there are fewer, no range has so few ports
	if n < least {
		return
	}
	if now := s.writer.Uptime(); s.ports.count == 0 || now-s.ports.read > portsAgain {
		s.ports = readPortRange(s.ns.procFile())
		s.ports.read = now
	}
	if s.ports.count == 0 || n < s.ports.count/portsShare {
		return
	}
	// Those in TIME_WAIT that are only counted have a port each; of the others a socket may share its port.
	taken := map[destination]int{}
	for _, p := range s.tcp {
		for d, n := range p.remainsOf {
			taken[d] += n
		}
	}
	s.eachPort(func(d destination, _ *socket) { taken[d]++ })
	most := 0
	for _, n := range taken {
		most = max(most, n)
	}
	if most < s.ports.count/portsShare {
		return
	}
	used := map[destination]map[uint16]*socket{}
	s.eachPort(func(d destination, e *socket) {
		if taken[d] < s.ports.count/portsShare {
			return
		}
		if used[d] == nil {
			used[d] = map[uint16]*socket{}
		}
		used[d][e.Rec.SPort] = e
	})
	more := func(d destination) (n int) {
		for _, p := range s.tcp {
			n += p.remainsOf[d]
		}
		return n
	}
	for d := range taken {
		ports := used[d]
		held := len(ports) + more(d)
		if held < s.ports.count/portsShare {
			continue
		}
		by := map[store.Ref]int{}
		var most store.Ref
		for _, e := range ports {
			process := e.shown.process
			if by[process]++; process != 0 && (most == 0 || by[process] > by[most]) {
				most = process
			}
		}
		s.holds(store.SymptomID{Symptom: "local ports", Process: most, RemoteAddr: sockdiag.Address(d.family, &d.dst).String(), RemotePort: store.Of(d.port)},
			int64(min(held, s.ports.count)), int64(s.ports.count))
	}
}

// eachPort calls visit for each connection that holds a port of those that the kernel gives out, which may not be used again for its destination.
func (s *symptoms) eachPort(visit func(destination, *socket)) {
	for _, p := range s.tcp {
		for _, e := range p.seen {
			r := &e.Rec
			if r.DPort == 0 || int(r.SPort) < s.ports.low || int(r.SPort) > s.ports.high || r.State == sockdiag.StateTimeWait && s.ports.isFree(r) || len(p.listeners.at(r.Src, r.SPort)) > 0 {
				continue
			}
			visit(destination{r.Src, r.Dst, r.DPort, r.Family}, e)
		}
	}
}

// A destination is where connections from one address go.
type destination struct {
	src, dst [16]byte
	port     uint16
	family   uint8
}

// destinationsMost is how many destinations the connections are of that are only counted: those of a program that uses up its ports go to few.
const destinationsMost = 256

// isFree reports whether the port of a connection in TIME_WAIT may be used again for the same destination.
func (r *portRange) isFree(of *sockdiag.Record) bool {
	return r.reuse == 1 || r.reuse == 2 && sockdiag.Address(of.Family, &of.Dst).Unmap().IsLoopback()
}

// countPort takes note of a connection in TIME_WAIT that is only counted.
func (p *protocol) countPort(r *sockdiag.Record) {
	if p.symptoms == nil || p.symptoms.ports.count == 0 || int(r.SPort) < p.symptoms.ports.low || int(r.SPort) > p.symptoms.ports.high || p.symptoms.ports.isFree(r) {
		return
	}
	d := destination{r.Src, r.Dst, r.DPort, r.Family}
	if n, is := p.remainsOf[d]; is || len(p.remainsOf) < destinationsMost {
		if p.remainsOf == nil {
			p.remainsOf = map[destination]int{}
		}
		p.remainsOf[d] = n + 1
	}
}

// readPortRange reads which ports the kernel gives out in the network namespace of the thread.
func readPortRange(file *procFile) portRange {
	const dir = "/proc/sys/net/ipv4/"
	text, err := file.read(dir + "ip_local_port_range")
	if err != nil {
		return portRange{}
	}
	var r portRange
	words := bytes.Fields(text)
	if len(words) != 2 {
		return portRange{}
	}
	r.low, _ = strconv.Atoi(string(words[0]))
	r.high, _ = strconv.Atoi(string(words[1]))
	r.count = r.high - r.low + 1
	r.reuse = readLimit(file, dir+"tcp_tw_reuse")
	if text, err = file.read(dir + "ip_local_reserved_ports"); err == nil {
		for part := range strings.SplitSeq(strings.TrimSpace(string(text)), ",") {
			from, to, is := strings.Cut(part, "-")
			low, err := strconv.Atoi(from)
			if err != nil {
				continue
			}
			high := low
			if is {
				if high, err = strconv.Atoi(to); err != nil {
					continue
				}
			}
			r.count -= max(0, min(high, r.high)-max(low, r.low)+1)
		}
	}
	return r
}
