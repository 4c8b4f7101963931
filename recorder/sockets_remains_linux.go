package recorder

import (
	"encoding/binary"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
)

// remains are what is left of a connection in TIME_WAIT, or in FIN_WAIT2 after close, that no sample has seen alive. They have a
// cookie of their own, so that only both ends tell which close they are of. They are recorded as long as that close is kept by
// itself: of ten thousand connections a second TIME_WAIT would be the only trace otherwise, sixty times over.
type remains struct {
	rec   sockdiag.Record
	began time.Duration // since boot: TIME_WAIT; 0 where that is not known
}

const (
	// timeWait is how long TIME_WAIT lasts (TCP_TIMEWAIT_LEN).
	timeWait = 60 * time.Second
	// inFlight is how long a close may take until it waits for us: the kernel leaves the telling to a worker.
	inFlight = time.Second
	// remainsLimit is how many remains of a dump wait for their close to be looked for; more are only counted.
	remainsLimit = 1 << 14
)

// seeRemains takes note of remains that a dump shows and that are not known. Those whose close may be in the log of closes wait
// until it is collected; the others are only counted.
func (p *protocol) seeRemains(r *sockdiag.Record, msg []byte, filled time.Duration) {
	left := remains{rec: *r, began: timeWaitBegan(r, msg, filled)}
	recent := left.began == 0 || left.began > p.closes.emptied-inFlight
	if len(p.remains) < remainsLimit && (recent || p.closes.awaits(r)) {
		if len(p.remains) == cap(p.remains) { // by append alone a long list would be copied again and again
			p.remains = slices.Grow(p.remains, max(len(p.remains), 64))
		}
		p.remains = append(p.remains, left)
		return
	}
	p.countedRemains++
	p.countPort(r)
}

// timeWaitBegan is when TIME_WAIT began, since boot, to two ticks of the kernel, where filled is when it wrote the message; 0
// where that is not known.
func timeWaitBegan(r *sockdiag.Record, msg []byte, filled time.Duration) time.Duration {
	if r.State != sockdiag.StateTimeWait {
		return 0
	}
	return filled - timeWait + time.Duration(binary.NativeEndian.Uint32(msg[52:]))*time.Millisecond // idiag_expires
}

// endedWaiting is when a connection ended that has gone into TIME_WAIT: not before that began.
func (s *sockets) endedWaiting(e *socket) float64 {
	if e.waits == 0 {
		return s.writer.Now()
	}
	return min(s.tsOf(e.waits+2*kernelTick()), s.writer.Now())
}

// settleRemains makes sockets of the remains whose close is kept by itself.
func (s *sockets) settleRemains(p *protocol) {
	for i := range p.remains {
		r := &p.remains[i]
		if e := p.known[r.rec.Cookie]; e != nil { // found again after a restart, and held
			if e.Dump != p.dump {
				s.see(p, r.rec.Cookie, &r.rec, nil)
			}
			continue
		}
		end, ok := p.closes.closeOf(r)
		if !ok {
			p.countedRemains++
			p.countPort(&r.rec)
			continue
		}
		s.see(p, r.rec.Cookie, &r.rec, nil)
		e := p.known[r.rec.Cookie]
		e.waits = r.began
		if end != nil {
			end.socket, e.closed = e, true
			if end.traced != nil {
				s.nameByTrace(e, end.traced.who)
			}
		}
	}
	clear(p.remains)
	if p.remains = p.remains[:0]; cap(p.remains) > 1024 {
		p.remains = nil
	}
}

// awaits reports whether the close of these remains may be kept by itself: one between the same ends was told of since the last
// sample, or those that are there from before the recorder listened may still be recorded.
func (c *closes) awaits(r *sockdiag.Record) bool {
	if c.fd < 0 || c.fresh > 0 {
		return true
	}
	if c.singles == nil {
		c.mu.Lock()
		c.singles, _ = c.events.lastOf()
		c.mu.Unlock()
	}
	_, there := c.singles[endpointsOf(r)]
	return there
}

// closeOf is the close of these remains. ok: they are to be recorded. Nil, though they are: the recorder did not listen then.
func (c *closes) closeOf(r *remains) (end *closeEvent, ok bool) {
	if c.got == nil {
		return nil, true
	}
	// Of several connections between the same ends, the one that TIME_WAIT began with: the first to close since. Where none did,
	// or only surely later, it has gone through FIN_WAIT2: the kernel tells of the close then, and TIME_WAIT begins when the
	// other end has closed, too. Meanwhile there can be no other connection between these ends: it was the last to close before.
	later := false
	i, there := c.latest[endpointsOf(&r.rec)]
	for ; there && i >= 0; i = c.earlier[i] {
		e := &c.got.single[i]
		before := r.began != 0 && e.at < r.began-2*kernelTick()
		if e.socket == nil && (!before || end == nil || later) {
			end, later = e, r.began != 0 && e.at-e.late > r.began+2*kernelTick()
		}
		if before || r.began == 0 {
			break
		}
	}
	if end != nil {
		return end, true
	}
	if c.fresh > 0 {
		c.fresh--
		return nil, true
	}
	return nil, false
}

// lastOf are the last of the TCP closes between the same ends, by their place among the single ones, and for each the one before
// it; -1: none.
func (l *closeLog) lastOf() (last map[endpoints]int, earlier []int) {
	last, earlier = make(map[endpoints]int, len(l.single)), make([]int, len(l.single))
	for i := range l.single {
		if earlier[i] = -1; l.single[i].proto != unix.IPPROTO_TCP {
			continue
		}
		ends := endpointsOf(&l.single[i].rec)
		if before, there := last[ends]; there {
			earlier[i] = before
		}
		last[ends] = i
	}
	return last, earlier
}
