package recorder

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// A TCP connection that the other end reset, or that timed out, leaves the kernel's dump at once. Its descriptor stays until the
// process closes it, and only then the kernel tells of the end. The same holds for a connection that was shut down and went
// through TIME_WAIT, and for a socket that was made and never connected or bound. ss shows none of them: they are
// unlisted. They stay in the recording, in state CLOSE, for as long as a process is seen to hold them.

// mayBeHeld reports whether a process may still hold a socket that the dump does not show as alive: it held it in the last sample,
// and the kernel has not told of its end.
func (p *protocol) mayBeHeld(e *socket) bool {
	return (p.proto == "tcp" || p.proto == "udp") && len(e.holders) > 0 && !e.closed && !p.closes.toldOf(e.rec.Cookie)
}

// verifyDoubtful looks whether the processes that held the doubtful sockets still do. Who does not is no holder any more; nobody else is
// looked for.
func (o *owners) verifyDoubtful() {
	for _, e := range o.doubtful {
		for _, h := range slices.Clone(e.holders) {
			o.verifyHolder(h.process.tableOf(h.table), e)
		}
		if len(e.holders) == 0 {
			o.vanished(e)
		}
	}
}

// verifyHolder reads the places where t has the socket, unless they have been read in this sample.
func (o *owners) verifyHolder(t *table, e *socket) {
	if t.ring {
		budget := math.MaxInt
		o.verifyRing(t, &budget)
		return
	}
	dir := -1
	var name [11]byte
	for i := range t.sockets {
		f := t.sockets[i]
		if f.inode != e.inode || f.read == o.gen {
			continue
		}
		if dir < 0 {
			var err error
			if dir, err = o.openFDs(t); err != nil {
				return
			}
			defer unix.Close(dir)
		}
		inode, err := o.inodeAt(dir, cNumber(&name, f.fd))
		if err != nil && err != unix.ENOENT {
			return
		}
		t.sockets[i].read = o.gen
		if inode != f.inode {
			t.changed = true
			o.free(t, i)
			o.fill(t, i, inode)
		}
	}
}

// settle decides, once owners have been looked for and closes collected, about the sockets that the dump did not show as alive.
func (s *sockets) settle(p *protocol, owned bool) {
	for _, e := range p.doubtful {
		listed, held := e.dump == p.dump, len(e.holders) > 0 && !e.closed
		switch {
		case e.unlisted || p.known[e.rec.Cookie] != e:
		case listed && held: // in TIME_WAIT, and its descriptor is open
			if e.ended == 0 {
				e.ended, e.dirty = s.endedWaiting(e), true
			}
		case held:
			p.unlist(e, s.writer.Now())
		default:
			s.owners.vanished(e)
			if !listed {
				p.leave(e.rec.Cookie, e, s.gen)
			}
		}
	}
	p.unlisted = slices.DeleteFunc(p.unlisted, func(e *socket) bool {
		if !e.closed && (len(e.holders) > 0 || !owned) {
			return false
		}
		e.unlisted = false
		s.owners.vanished(e)
		p.leave(e.key(), e, s.gen)
		return true
	})
	s.settleRemains(p)
}

// key is what the socket is known by: its cookie, or its inode where no dump has ever shown it.
func (e *socket) key() uint64 {
	if e.rec.Cookie == 0 {
		return 1<<63 | uint64(e.inode)
	}
	return e.rec.Cookie
}

// unlist makes a socket that has left the dump one that is only held.
func (p *protocol) unlist(e *socket, now float64) {
	r := &e.rec
	if r.Has&sockdiag.HasInfo != 0 {
		r.Has |= sockdiag.HasLast
	}
	r.Has &^= sockdiag.HasInfo | sockdiag.HasQueues
	r.State, r.Timer, r.Inode, r.RecvQ, r.SendQ = sockdiag.StateClose, 0, e.inode, 0, 0
	if e.ended == 0 && r.DPort != 0 && p.proto == "tcp" {
		e.ended = now
	}
	e.unlisted, e.dirty, e.moved = true, true, true
	p.unlisted = append(p.unlisted, e)
}

// relist is for an unlisted socket that the dump shows again; r is what it shows.
func (p *protocol) relist(e *socket, r *sockdiag.Record) {
	e.unlisted = false
	p.unlisted = slices.DeleteFunc(p.unlisted, func(o *socket) bool { return o == e })
	if r.State != sockdiag.StateClose && !r.IsRemains() || r.DPort == 0 {
		e.ended = 0 // it was connected once more
	}
}

// A stray is a descriptor of a socket that no dump has shown so far.
type stray struct {
	table    *table
	fd       uint32
	noticed  uint32 // sample in which it was read
	verified uint32 // sample in which it was read again
	proto    string // of the socket, as the kernel calls it
}

// otherLimit is how many sockets of other kinds are remembered, so that each is asked once what it is.
const otherLimit = 8192

// notice takes note of a descriptor that leads to a socket that no dump has shown. The next dump may show it: it may just have been made.
func (o *owners) notice(t *table, f fdInode) {
	if t.ring || o.other[f.inode] {
		return
	}
	if _, known := o.strays[f.inode]; known {
		return
	}
	if o.strays == nil {
		o.strays = map[uint32]stray{}
	}
	o.strays[f.inode] = stray{table: t, fd: f.fd, noticed: o.gen}
}

// verifyStrays brings up to date the strays of the samples before. A stray is forgotten when a dump has shown its socket by now, or when it is closed.
func (o *owners) verifyStrays() {
	for inode, at := range o.strays {
		if at.noticed == o.gen || at.verified == o.gen {
			continue
		}
		if o.byInode[inode] != nil || at.table.gone || o.byPID[at.table.process.pid] != at.table.process || !o.leadsTo(at, inode) {
			delete(o.strays, inode)
			continue
		}
		at.verified = o.gen
		if at.proto == "" {
			at.proto = o.protocolAt(at)
		}
		if _, ours := unlistedProtocols[at.proto]; !ours {
			delete(o.strays, inode)
			o.setAside(inode)
			continue
		}
		o.strays[inode] = at
	}
}

// setAside remembers a socket that is none of ours.
func (o *owners) setAside(inode uint32) {
	if o.other == nil || len(o.other) >= otherLimit {
		o.other = map[uint32]bool{}
	}
	o.other[inode] = true
}

// unlistedProtocols are the names in system.sockprotoname of sockets that a dump shows only once they are bound or connected.
var unlistedProtocols = map[string]struct {
	proto string
	af    uint8
}{
	"TCP": {"tcp", unix.AF_INET}, "TCPv6": {"tcp", unix.AF_INET6},
	"UDP": {"udp", unix.AF_INET}, "UDPv6": {"udp", unix.AF_INET6},
}

// holdsUnknownTCP reports whether a process holds a TCP socket that the dumps have not shown. It may be bound only.
func (o *owners) holdsUnknownTCP() bool {
	o.verifyStrays()
	for _, at := range o.strays {
		if at.verified == o.gen && unlistedProtocols[at.proto].proto == "tcp" {
			return true
		}
	}
	return false
}

func (o *owners) leadsTo(at stray, inode uint32) bool {
	dir, err := o.openFDs(at.table)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	var name [11]byte
	got, _ := o.inodeAt(dir, cNumber(&name, at.fd))
	return got == inode
}

// protocolAt is the name of the socket's protocol as the kernel has it (the attribute system.sockprotoname of sockfs, Linux 2.6.39).
func (o *owners) protocolAt(at stray) string {
	folder, err := o.fdFolder(at.table)
	if err != nil || folder == "" {
		return "?"
	}
	var name [32]byte
	n, err := unix.Getxattr("/proc/"+folder+"/"+strconv.FormatUint(uint64(at.fd), 10), "system.sockprotoname", name[:])
	if err != nil {
		return "?"
	}
	return string(bytes.TrimRight(name[:n], "\x00"))
}

// lookForOwners finds out who holds the sockets, and who listens where.
func (s *sockets) lookForOwners(ctx context.Context) error {
	o := s.owners
	o.doubtful = o.doubtful[:0]
	for _, p := range s.protocols {
		if p.ok {
			o.doubtful = append(o.doubtful, p.doubtful...)
		}
	}
	s.listStrays()
	err := o.look(ctx)
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
	if len(o.strays) == 0 {
		return
	}
	o.verifyStrays()
	for inode, at := range o.strays {
		if at.verified != o.gen {
			continue
		}
		if p := s.unlistedIn(at); p == nil {
			o.setAside(inode)
			delete(o.strays, inode)
		} else if p.ok {
			delete(o.strays, inode)
			e := p.leftWith(inode)
			if e == nil {
				e = &socket{inode: inode, rec: sockdiag.Record{Family: p.af}, renamed: true}
			}
			s.hold(p, e, at.table)
		}
	}
}

// unlistedIn is the protocol of an unknown socket. Which network namespace it is of the kernel does not tell: it is taken to be
// that of its process.
func (s *sockets) unlistedIn(at stray) *protocol {
	if s.owners.netns == nil {
		return nil
	}
	netns := s.owners.netns(at.table.process.pid, at.table.process.stat.start)
	of := unlistedProtocols[at.proto]
	for _, p := range s.protocols {
		if p.ns.id == netns && p.proto == of.proto && p.af == of.af {
			return p
		}
	}
	return nil
}

// leftWith is the socket of that inode that has left the dump, and was taken to be closed.
func (p *protocol) leftWith(inode uint32) *socket {
	for key, e := range p.left {
		if e.inode == inode && !e.closed {
			p.mu.Lock()
			delete(p.left, key)
			p.mu.Unlock()
			return e
		}
	}
	return nil
}

// hold makes e an unlisted socket that the process holds.
func (s *sockets) hold(p *protocol, e *socket, holder *table) {
	p.unlist(e, s.writer.Now())
	p.mu.Lock()
	p.known[e.key()] = e
	p.mu.Unlock()
	s.owners.byInode[e.inode] = e
	for _, f := range holder.sockets {
		if f.inode == e.inode {
			s.owners.place(holder, f)
		}
	}
}

// resume finds again the sockets that the last run of the recorder saw in its last sample, that no dump shows any more, and that a
// process still holds.
func (s *sockets) resume(ctx context.Context) {
	if len(s.owners.strays) == 0 {
		return
	}
	for _, p := range s.protocols {
		if !p.ok || p.proto != "tcp" && p.proto != "udp" {
			continue
		}
		p.sockets.Remembered(ctx, func(id store.SocketID, v store.Socket) {
			inode := uint32(id.Inode.Or(0))
			at, held := s.owners.strays[inode]
			if !held || id.NetNS != p.ns.id || id.Proto != p.proto || id.Family != p.family || p.known[uint64(id.Cookie.Or(0))] != nil {
				return
			}
			delete(s.owners.strays, inode)
			e := &socket{inode: inode, rec: recordOf(p, id, v), ended: v.Ended, renamed: true}
			if uid, known := v.UID.Get(); known {
				e.uid, e.uidKnown = uint32(uid), true
			}
			s.hold(p, e, at.table)
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
