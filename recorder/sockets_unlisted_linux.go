package recorder

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// A TCP connection that the other end reset, or that timed out, leaves the kernel's dump at once. Its descriptor stays until the
// process closes it, and only then the kernel tells of the end. The same holds for a connection that was shut down and went
// through TIME_WAIT, and for a socket that was made and never connected or bound. ss shows none of them: they are
// unlisted. They stay in the recording, in state CLOSE, for as long as a process is seen to hold them.

// mayBeHeld reports whether a process may still hold a socket that the dump does not show as alive: it held it in the last
// sample, and the kernel has not told of its end.
func (p *protocol) mayBeHeld(e *socket) bool {
	return (p.proto == "tcp" || p.proto == "udp") && len(e.Holders) > 0 && !e.closed && !p.closes.toldOf(e.Rec.Cookie)
}

// settle decides, once owners have been looked for and closes collected, about the sockets that the dump did not show as alive.
func (s *sockets) settle(p *protocol, owned bool) {
	for _, e := range p.doubtful {
		listed, held := e.Dump == p.dump, len(e.Holders) > 0 && !e.closed
		switch {
		case e.Unlisted || p.known[e.Rec.Cookie] != e:
		case listed && held: // in TIME_WAIT, and its descriptor is open
			if e.ended == 0 {
				e.ended, e.dirty = s.endedWaiting(e), true
			}
		case held:
			p.unlist(e, s.writer.Now())
		default:
			s.owners.Vanished(&e.Held)
			if !listed {
				p.leave(e.Rec.Cookie, e, s.gen)
			}
		}
	}
	p.unlisted = slices.DeleteFunc(p.unlisted, func(e *socket) bool {
		if !e.closed && (len(e.Holders) > 0 || !owned) {
			return false
		}
		e.Unlisted = false
		s.owners.Vanished(&e.Held)
		p.leave(e.key(), e, s.gen)
		return true
	})
	s.settleRemains(p)
}

// key is what the socket is known by: its cookie, or its inode where no dump has ever shown it.
func (e *socket) key() uint64 {
	if e.Rec.Cookie == 0 {
		return 1<<63 | uint64(e.Inode)
	}
	return e.Rec.Cookie
}

// unlist makes a socket that has left the dump one that is only held.
func (p *protocol) unlist(e *socket, now float64) {
	r := &e.Rec
	if r.Has&sockdiag.HasInfo != 0 {
		r.Has |= sockdiag.HasLast
	}
	r.Has &^= sockdiag.HasInfo | sockdiag.HasQueues | sockdiag.HasUnsent | sockdiag.HasSndWnd | sockdiag.HasRcvWnd | sockdiag.HasBuffers | sockdiag.HasTOS | sockdiag.HasShutdown | sockdiag.HasV6Only |
		sockdiag.HasMoments | sockdiag.SentLongAgo | sockdiag.RecvLongAgo | sockdiag.HasRate | sockdiag.IsAppLimited
	r.TimerEnds, r.LastSent, r.LastRecv, r.DeliveryRate = 0, 0, 0, 0
	r.State, r.Timer, r.Inode, r.RecvQ, r.SendQ = sockdiag.StateClose, 0, e.Inode, 0, 0
	if e.ended == 0 && r.DPort != 0 && p.proto == "tcp" {
		e.ended = now
	}
	e.Unlisted, e.dirty, e.moved = true, true, true
	p.unlisted = append(p.unlisted, e)
}

// relist is for an unlisted socket that the dump shows again; r is what it shows.
func (p *protocol) relist(e *socket, r *sockdiag.Record) {
	e.Unlisted = false
	p.unlisted = slices.DeleteFunc(p.unlisted, func(o *socket) bool { return o == e })
	if r.State != sockdiag.StateClose && !r.IsRemains() || r.DPort == 0 {
		e.ended = 0 // it was connected once more
	}
}

// lookForOwners finds out who holds the sockets, and who listens where.
func (s *sockets) lookForOwners(ctx context.Context) error {
	o := s.owners
	o.Doubtful = o.Doubtful[:0]
	for _, p := range s.protocols {
		if !p.ok {
			continue
		}
		for _, e := range p.doubtful {
			o.Doubtful = append(o.Doubtful, &e.Held)
		}
	}
	s.listStrays()
	err := o.Look(ctx)
	if s.fresh {
		s.fresh = false
		s.resume(ctx)
	}
	for _, p := range s.protocols {
		if p.ok {
			s.findListeners(p)
		}
	}
	return err
}

// listStrays makes unlisted sockets of the unknown ones, now that this sample's dumps have not shown them either.
func (s *sockets) listStrays() {
	o := s.owners
	if len(o.Strays) == 0 {
		return
	}
	o.VerifyStrays()
	for inode, at := range o.Strays {
		if !o.IsVerified(at) {
			continue
		}
		if p := s.unlistedIn(at); p == nil {
			o.SetAside(inode)
		} else if p.ok {
			e := p.leftWith(inode)
			if e == nil {
				e = &socket{Held: owners.Held{Inode: inode, Rec: sockdiag.Record{Family: p.af}}, renamed: true}
			}
			s.hold(p, e, at)
		}
	}
}

// unlistedIn is the protocol of an unknown socket. Which network namespace it is of the kernel does not tell: it is taken to be
// that of its process.
func (s *sockets) unlistedIn(at owners.Stray) *protocol {
	netns, proto, af, ok := s.owners.KindOf(at)
	if !ok {
		return nil
	}
	for _, p := range s.protocols {
		if p.ns.id == netns && p.proto == proto && p.af == af {
			return p
		}
	}
	return nil
}

// leftWith is the socket of that inode that has left the dump, and was taken to be closed.
func (p *protocol) leftWith(inode uint32) *socket {
	for key, e := range p.left {
		if e.Inode == inode && !e.closed {
			p.mu.Lock()
			delete(p.left, key)
			p.mu.Unlock()
			return e
		}
	}
	return nil
}

// hold makes e an unlisted socket that the process holds.
func (s *sockets) hold(p *protocol, e *socket, at owners.Stray) {
	p.unlist(e, s.writer.Now())
	p.mu.Lock()
	p.known[e.key()] = e
	p.mu.Unlock()
	s.owners.Take(&e.Held, at)
}

// resume finds again the sockets that the last run of the recorder saw in its last sample, that no dump shows any more, and that
// a process still holds.
func (s *sockets) resume(ctx context.Context) {
	if len(s.owners.Strays) == 0 {
		return
	}
	for _, p := range s.protocols {
		if !p.ok || p.proto != "tcp" && p.proto != "udp" {
			continue
		}
		p.sockets.Remembered(ctx, func(id store.SocketID, v store.Socket) {
			inode := uint32(id.Inode.Or(0))
			at, found := s.owners.Strays[inode]
			if !found || id.NetNS != p.ns.id || id.Proto != p.proto || id.Family != p.family || p.known[uint64(id.Cookie.Or(0))] != nil {
				return
			}
			e := &socket{Held: owners.Held{Inode: inode, Rec: recordOf(p, id, v)}, ended: v.Ended, renamed: true}
			if uid, known := v.UID.Get(); known {
				e.UID, e.UIDKnown = uint32(uid), true
			}
			s.hold(p, e, at)
		})
	}
}

// recordOf is what a recording remembers of a socket, as if a dump had shown it last.
func recordOf(p *protocol, id store.SocketID, v store.Socket) sockdiag.Record {
	r := sockdiag.Record{
		Family: p.af, Cookie: uint64(id.Cookie.Or(0)), IfIndex: uint32(id.IfIndex.Or(0)),
		SPort: uint16(id.LocalPort.Or(0)), DPort: uint16(id.RemotePort.Or(0)),
		Mark: uint32(v.Mark.Or(0)), Retransmits: uint32(v.Retransmits.Or(0)), Drops: uint32(v.Drops.Or(0)),
		RTT: uint32(v.RTT.Or(0)), RTTVar: uint32(v.RTTVar.Or(0)),
		BytesSent: uint64(v.BytesSent.Or(0)), BytesRecv: uint64(v.BytesReceived.Or(0)),
		SegsOut: uint32(v.SegsOut.Or(0)), SegsIn: uint32(v.SegsIn.Or(0)),
	}
	for _, end := range []struct {
		text string
		to   *[16]byte
	}{{id.LocalAddr, &r.Src}, {id.RemoteAddr, &r.Dst}} {
		if a, err := netip.ParseAddr(end.text); err == nil {
			copy(end.to[:], a.AsSlice())
		}
	}
	copy(r.Congestion[:], v.Congestion)
	for has, known := range map[sockdiag.Has]store.Int{sockdiag.HasLast: v.Retransmits, sockdiag.HasBytesSent: v.BytesSent, sockdiag.HasBytesRecv: v.BytesReceived,
		sockdiag.HasSegs: v.SegsOut, sockdiag.HasMark: v.Mark, sockdiag.HasDrops: v.Drops} {
		if _, ok := known.Get(); ok {
			r.Has |= has
		}
	}
	return r
}

// A dumpTime is when a sample was taken, since boot, and its ts.
type dumpTime struct {
	at time.Duration
	ts float64
}

// dumpTimes is how many samples are remembered so.
const dumpTimes = 1024

func (s *sockets) rememberTime() {
	if len(s.dumped) == dumpTimes {
		s.dumped = append(s.dumped[:0], s.dumped[dumpTimes/2:]...)
	}
	now, ts := kernel.SinceBoot(), s.writer.Now()
	since := time.Duration((s.writer.Moment(now) - ts) * float64(time.Second))
	s.dumped = append(s.dumped, dumpTime{now - since, ts})
	s.moments.begin(now, now-kernel.Awake(), ts-(now-since).Seconds())
}

// tsOf is the ts of a moment of the past, between those of the samples before and after it.
func (s *sockets) tsOf(at time.Duration) float64 {
	i, _ := slices.BinarySearchFunc(s.dumped, at, func(d dumpTime, at time.Duration) int { return cmp.Compare(d.at, at) })
	switch {
	case i == len(s.dumped):
		return s.writer.Moment(at)
	case i == 0:
		return s.dumped[0].ts
	}
	before := s.dumped[i-1]
	return min(before.ts+(at-before.at).Seconds(), s.dumped[i].ts)
}

// sampleAfter is the ts of the first sample after that time; of the oldest that is remembered at the most.
func (s *sockets) sampleAfter(at time.Duration) float64 {
	i, _ := slices.BinarySearchFunc(s.dumped, at, func(d dumpTime, at time.Duration) int { return cmp.Compare(d.at, at) })
	return s.dumped[min(i, len(s.dumped)-1)].ts
}
