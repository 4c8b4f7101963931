package recorder

import (
	"slices"
	"time"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// collectCloses takes what was heard since the last sample.
func (s *sockets) collectCloses() {
	for _, c := range s.closes {
		c.collect()
		if c.got == nil {
			continue
		}
		for _, list := range [...][]closeEvent{c.got.sampled, c.got.single} {
			for i := range list {
				e := list[i].socket
				if e != nil && e.Rec.IsRemains() {
					s.owners.Vanished(&e.Held) // its descriptor was open for longer
				}
				if e != nil && e.last == 0 && list[i].traced != nil {
					s.nameByTrace(e, list[i].traced.who)
				}
			}
		}
	}
}

// reportCloses puts what was heard since the last sample into the recording.
func (s *sockets) reportCloses(c *closes) error {
	if c.gotErr != nil || c.got == nil {
		return c.gotErr
	}
	if !s.last {
		c.carryOver()
	}
	c.got.settle()
	for _, list := range [...][]closeEvent{c.got.sampled, c.got.single} {
		for i := range list {
			s.putClose(c, &list[i], list[i].socket)
		}
	}
	for key, g := range c.got.groups {
		s.putCloseCount(c, key, g)
	}
	c.got, c.singles, c.latest = nil, nil, nil
	return nil
}

// carryOver leaves to the next sample what happened after this one's dumps began, save the sockets that they saw: the next dump
// may show the TIME_WAIT of such a connection.
func (c *closes) carryOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.single = slices.DeleteFunc(c.got.single, func(end closeEvent) bool {
		later := end.socket == nil && end.at > c.since
		if later {
			c.events.add(&end, false)
		}
		return later
	})
}

// protocol is the one that the close is of.
func (c *closes) protocol(family, number uint8) *protocol {
	for _, p := range c.protocols {
		if p.af == family && p.number == number {
			return p
		}
	}
	return nil
}

// putClose enters a close; e is the socket if a sample has seen it, or its TIME_WAIT.
func (s *sockets) putClose(c *closes, end *closeEvent, e *socket) {
	p, r := c.protocol(end.rec.Family, end.proto), &end.rec
	if p == nil {
		return // of a protocol that is none of ours
	}
	v := store.Close{Lived: store.NonZero(end.lived.Milliseconds()), Late: store.Late(end.late)}
	if e != nil {
		if e.Rec.State == sockdiag.StateTimeWait {
			r.LeaveOutLastFIN(&e.Rec)
		}
		r.Remember(&e.Rec) // what the kernel has forgotten by then
	}
	v.Incomplete = store.NonZero(boolean(end.forgotten))
	var owner ownership
	if e != nil && e.last != 0 {
		owner = ownership{process: e.last, how: byCookie}
	} else {
		owner = s.listenerOf(p, r.Src, r.SPort)
	}
	if t := end.traced; t != nil {
		if o := s.ofTrace(t.who); owner.how != byCookie && o != nobody {
			owner = o
		}
		v.Outcome = t.outcome.String()
		if t.opened != 0 {
			v.LivedUS = store.Of(max(0, end.at-t.opened).Microseconds())
		}
		if t.established != 0 {
			v.Connect = store.Of((t.established - t.opened).Microseconds())
		}
	}
	v.Process, v.OwnerHow, v.Candidates = owner.process, owner.how.String(), owner.candidates()
	s.lookAtClose(p, end, e, owner.process)
	if p.traffic != nil && c.before > 0 /* else it may have moved it before anybody looked */ && (end.forgotten || r.DPort != 0) {
		var before sockdiag.Record
		if e != nil {
			before = e.Rec
		}
		m := s.sumOf(p, owner.process, closedConnection(end, e))
		g := growthOf(e, &before, r)
		m.add(g)
		s.lookAtClosedSegments(p, end, e, &g, owner.process)
		m.closed++
		if end.forgotten {
			m.unknown++
		} else {
			m.known = true
		}
	}
	v.Ended = s.endOf(c, end, e)
	if v.Ended == 0 && end.idle > 2*kernelTick() {
		// A FIN would have been answered just now. So it was reset, by this end now or by the other end before: the descriptor
		// may have outlived the connection.
		ago := end.idle
		if c.before > 0 {
			ago = min(ago, end.at-c.before)
		}
		v.Late = store.Late(max(end.late, ago))
	}
	if e != nil && e.subject != nil && (p.ok || e.Dump != p.dump) {
		v.Socket = e.subject.Ref()
	} else {
		// Nobody saw it in the last sample, so it is not older than that, unless it had ended by then.
		if c.before > 0 && v.Ended == 0 && end.at-end.idle > c.before {
			v.Lived = store.NonZero(max(0, min(end.lived, end.at-c.before)).Milliseconds())
		}
		v.NetNS, v.Proto, v.Family, v.Cookie = p.ns.id, p.proto, p.family, store.NonZero(r.Cookie)
		ends, known := end.between()
		v.LocalAddr, v.LocalPort = s.texts.address(r.Family, &ends.src), store.Of(ends.sport)
		if known {
			v.RemoteAddr, v.RemotePort = s.texts.address(r.Family, &ends.dst), store.Of(ends.dport)
		}
	}
	var last store.Socket
	tcpValues(r, &last)
	v.BytesSent, v.BytesReceived, v.SegsOut, v.SegsIn = last.BytesSent, last.BytesReceived, last.SegsOut, last.SegsIn
	v.Retransmits, v.RTT, v.RTTVar, v.MinRTT = last.Retransmits, last.RTT, last.RTTVar, store.NonZero(end.minRTT)
	v.Cwnd, v.MSS, v.PMTU = last.Cwnd, last.MSS, last.PMTU
	c.log.Add(end.at, v)
}

// closedConnection is what is known of the way of one that is closed; e is its socket, if a sample has seen it.
func closedConnection(end *closeEvent, e *socket) *connection {
	c := connectionOf(&end.rec)
	ends, _ := end.between()
	c.src, c.dst, c.sport, c.dport = ends.src, ends.dst, ends.sport, ends.dport
	if e != nil {
		if last := connectionOf(&e.Rec); !c.hasMark {
			c.mark, c.hasMark = last.mark, last.hasMark
		}
		if !c.hasTOS {
			c.tos, c.hasTOS = e.Rec.TOS, e.Rec.Has&sockdiag.HasTOS != 0
		}
		c.uid, c.hasUID = e.UID, e.UIDKnown
	}
	return &c
}

// connection is what the closes that are summed up have in common; see groupKey.
func (g *closeGroup) connection(key *groupKey) *connection {
	c := &connection{family: key.family, bound: g.bound, uncertain: g.several || g.nameless > 0 && g.bound == 0}
	switch key.scope {
	case ofListener, ofPeer:
		c.src, c.dst = key.addr, key.peer
	case ofService:
		c.src, c.dst = key.peer, key.addr
	default:
		c.uncertain = c.uncertain || c.bound == 0
	}
	return c
}

// endOf is when the connection ended, where its descriptor was closed only later: the first sample that did not see it alive, or
// not at all. 0 where the kernel told of the end at once.
func (s *sockets) endOf(c *closes, end *closeEvent, e *socket) float64 {
	switch {
	case e != nil && e.ended != 0:
		return e.ended
	case e != nil && e.waits != 0 && end.at-end.late > e.waits+toldAtOnce:
		return s.endedWaiting(e) // no sample looked whether its descriptor was open
	case e != nil && e.gone != 0 && end.at > e.left+toldAtOnce && !e.Rec.IsRemains():
		return s.sampleAfter(e.left)
	case e == nil && end.idle > 0 && c.before > 0 && end.at-end.idle < c.before-toldAtOnce:
		// The last sample did not see it alive: it had ended by then.
		return s.sampleAfter(end.at - end.idle)
	}
	return 0
}

// toldAtOnce is how long after its end the kernel tells of a socket at the latest, whatever keeps it or us busy, where no
// descriptor is left.
const toldAtOnce = 250 * time.Millisecond

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// putCloseCount enters closes that are only counted.
func (s *sockets) putCloseCount(c *closes, key groupKey, g *closeGroup) {
	p := c.protocol(key.family, key.proto)
	if p == nil {
		return
	}
	v := store.CloseCount{
		NetNS: p.ns.id, Proto: p.proto, Family: p.family, Count: store.Of(g.count),
		First: s.writer.Moment(g.first), OwnerHow: byNothing.String(),
	}
	switch key.scope {
	case ofListener, anyListener:
		v.LocalAddr, v.LocalPort = s.texts.address(key.family, &key.addr), store.Of(key.port)
		owner := s.listenerOf(p, key.addr, key.port)
		v.Process, v.OwnerHow, v.Candidates = owner.process, owner.how.String(), owner.candidates()
	case ofService, anyService:
		if g.nameless == 0 {
			v.RemoteAddr, v.RemotePort = s.texts.address(key.family, &key.addr), store.Of(key.port)
		}
	case ofPeer:
		v.LocalAddr = s.texts.address(key.family, &key.addr)
	}
	switch {
	case key.scope == ofService:
		v.LocalAddr = s.texts.address(key.family, &key.peer)
	case (key.scope == ofListener || key.scope == ofPeer) && g.nameless == 0:
		v.RemoteAddr = s.texts.address(key.family, &key.peer)
	}
	if o := s.ofTrace(g.who); o != nobody {
		v.Process, v.OwnerHow, v.Candidates = o.process, o.how.String(), store.Int{}
	}
	if g.has&sockdiag.HasBytesSent != 0 {
		v.BytesSent, v.BytesReceived = store.Of(g.bytesSent), store.Of(g.bytesRecv)
	}
	if g.has&sockdiag.HasSegs != 0 {
		v.SegsOut, v.SegsIn = store.Of(g.segsOut), store.Of(g.segsIn)
	}
	if g.has&sockdiag.HasInfo != 0 {
		v.Retransmits = store.Of(g.retransmits)
	}
	if p.proto == "tcp" {
		v.Unknown, v.Failed = store.Of(g.unknown), store.Of(g.failed)
	}
	if p.traffic != nil {
		m := s.sumOf(p, v.Process, g.connection(&key))
		m.add(growth{sent: g.bytesSent, received: g.bytesRecv, retransmits: uint32(g.retransmits)})
		m.closed, m.unknown, m.known = m.closed+g.count, m.unknown+g.unknown, m.known || g.unknown < g.count
	}
	if g.rtts > 0 {
		v.RTT, v.LeastRTT, v.MaxRTT = store.Of(g.rtt/g.rtts), store.Of(g.leastRTT), store.Of(g.maxRTT)
		v.MedianRTT = g.medianRTT()
	}
	c.sums.Add(g.last, v)
}
