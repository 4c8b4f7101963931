package recorder

import (
	"golang.org/x/sys/unix"

	"netsql/store"
)

// reportCloses puts what was heard since the last sample into the recording.
func (s *sockets) reportCloses(c *closes) error {
	heard, err := c.collect()
	if err != nil {
		return err
	}
	for i := range heard.sampled {
		s.putClose(c, &heard.sampled[i], c.sampled(&heard.sampled[i]))
	}
	waiting := map[endpoints]*socket{}
	for _, p := range c.protocols {
		for _, e := range p.waiting {
			waiting[e.rec.endpoints()] = e
		}
	}
	for i := range heard.single {
		end := &heard.single[i]
		// One that was closed while this sample saw it was heard of before it was known.
		e := c.sampled(end)
		if e == nil && end.proto == unix.IPPROTO_TCP && len(waiting) > 0 {
			e = waiting[end.rec.endpoints()]
		}
		s.putClose(c, end, e)
	}
	for key, g := range heard.groups {
		s.putCloseCount(c, key, g)
	}
	return nil
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
func (s *sockets) putClose(c *closes, end *ending, e *socket) {
	p, r := c.protocol(end.rec.family, end.proto), &end.rec
	if p == nil {
		return // of a protocol that is none of ours
	}
	v := store.Close{Lived: store.NonZero(end.lived.Milliseconds())}
	if e != nil {
		r.remember(&e.rec) // what the kernel has forgotten by then
	}
	var owner ownership
	if e != nil && e.last != 0 {
		owner = ownership{store.Ref(e.last), byCookie}
	} else if owner = p.listeners.of(r); owner == nobody {
		owner = p.before.of(r)
	}
	v.Process, v.OwnerHow = owner.process, owner.how.String()
	if p.traffic != nil && c.before > 0 { // else it may have moved it before anybody looked
		var before record
		if e != nil {
			before = e.rec
		}
		m := p.traffic.of(owner.process)
		m.add(growthOf(e, &before, r))
		m.closed++
	}
	if e != nil && e.subject != nil && (p.ok || e.dump != p.dump) {
		v.Socket = e.subject.Ref()
	} else {
		// Nobody saw it in the last sample, so it is not older than that.
		if c.before > 0 {
			v.Lived = store.NonZero(max(0, min(end.lived, end.at-c.before)).Milliseconds())
		}
		v.NetNS, v.Proto, v.Family, v.Cookie = p.ns.id, p.proto, p.family, store.NonZero(r.cookie)
		v.LocalAddr, v.RemoteAddr = s.texts.address(r.family, &r.src), s.texts.address(r.family, &r.dst)
		v.LocalPort, v.RemotePort = store.Of(r.sport), store.Of(r.dport)
	}
	var last store.Socket
	r.tcpValues(&last)
	v.BytesSent, v.BytesReceived, v.SegsOut, v.SegsIn = last.BytesSent, last.BytesReceived, last.SegsOut, last.SegsIn
	v.Retransmits, v.RTT, v.RTTVar, v.MinRTT = last.Retransmits, last.RTT, last.RTTVar, store.NonZero(end.minRTT)
	v.Cwnd, v.MSS, v.PMTU = last.Cwnd, last.MSS, last.PMTU
	c.log.Add(end.at, v)
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
	case sameListener:
		v.LocalAddr, v.LocalPort = s.texts.address(key.family, &key.addr), store.Of(key.port)
		owner := p.listeners.at(key.addr, key.port)
		if owner == nobody {
			owner = p.before.at(key.addr, key.port)
		}
		v.Process, v.OwnerHow = owner.process, owner.how.String()
	case sameService:
		v.RemoteAddr, v.RemotePort = s.texts.address(key.family, &key.addr), store.Of(key.port)
	case samePort:
		v.LocalPort = store.Of(key.port)
	case sameRemotePort:
		v.RemotePort = store.Of(key.port)
	}
	if g.has&hasBytesSent != 0 {
		v.BytesSent, v.BytesReceived = store.Of(g.bytesSent), store.Of(g.bytesRecv)
	}
	if g.has&hasSegs != 0 {
		v.SegsOut, v.SegsIn = store.Of(g.segsOut), store.Of(g.segsIn)
	}
	if g.has&hasInfo != 0 {
		v.Retransmits = store.Of(g.retransmits)
	}
	if p.traffic != nil {
		p.traffic.of(v.Process).add(growth{sent: g.bytesSent, received: g.bytesRecv, retransmits: uint32(g.retransmits)})
		p.traffic.of(v.Process).closed += g.count
	}
	if g.rtts > 0 {
		v.RTT, v.MaxRTT = store.Of(g.rtt/g.rtts), store.Of(g.maxRTT)
	}
	c.sums.Add(g.last, v)
}
