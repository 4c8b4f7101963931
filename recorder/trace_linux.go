package recorder

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/internal/tracepoint"
	"netsql/store"
)

// A trace knows who opened or closed each TCP connection, and how it ended, from tracepoints of the kernel: sock:inet_sock_set_state (Linux 4.16), which
// runs in the process that connects or closes; tcp:tcp_receive_reset; and tcp:tcp_destroy_sock, which tells the cookie of a socket whose other end the
// kernel has forgotten. It keeps what they tell until the close of the socket is told, and gives it to that.
//
// A socket is known by the address of its struct sock in the kernel while it lives, and by its two ends when its close is told. The events do not tell the
// network namespace: that of the thread stands for it. Where it is not known, and two have the same ends, nothing is guessed.
type trace struct {
	source *store.Source
	events traceEvents

	mu       sync.Mutex
	reader   *tracepoint.Reader
	toBoot   time.Duration // from CLOCK_MONOTONIC to the clock that also counts suspension
	live     map[uint64]*traced
	byEnds   map[tracedEnds]*traced // the earliest of those that had them
	byCookie map[uint64]*traced
	spare    []*traced // to be used again
	batch    []traceEvent
	order    []eventOrder       // of the batch
	now      time.Duration      // since boot: what happened by then is applied
	ran      map[uint32]string  // the last names of processes, as they took them
	peeked   map[uint32]*peeked // processes that were looked at a moment ago,
	threads  map[uint32]placed  // and threads
	lost     uint64
	garbled  uint64

	most   int           // events in a second; more switch the trace off,
	rest   time.Duration // for so long
	second time.Duration // since boot: when this second began,
	told   int           // and how many events were told in it
	off    time.Duration // since boot: when the trace was switched off; 0: it is not
	pruned time.Duration // since boot: when there was no room for more
}

// traceRoom is how much the rings of all CPUs take together, in bytes, save where there are very many: memory of the kernel. A megabyte is 10,000 events.
// On two CPUs the rings last for 0.2 s at 25,000 connections a second; the trace is read every 50 ms then.
const traceRoom = 2 << 20

const (
	// tracedEvents is how many events may be told of in a second, on all CPUs: some 6 % of one. They are 4 of a connection that has both ends here.
	tracedEvents = 150_000
	// traceRest is for how long the trace is off when there were more.
	traceRest = time.Minute
	// tracedMost is how many ends of connections are remembered at most.
	tracedMost = 1 << 16
	// tracedFor is how long one is that has ended and whose close is not told: its process may keep it half closed.
	tracedFor = 10 * time.Minute
	// spareMost is how many are kept to be used again: those of 20,000 closes a second, which gather for gatherPause.
	spareMost = 1024
	// tracedAtLeast is for how long one that has ended is remembered even where there is no room: its close is told within that, in a namespace that is
	// recorded.
	tracedAtLeast = time.Second
	// ranMost is how many names of processes are remembered.
	ranMost = 4096
	// peekedFor is for how long a process is taken to be the same: no number is used again within so short a time.
	peekedFor = time.Second
)

// A traced is one end of a TCP connection.
type traced struct {
	sock                       uint64
	ends                       tracedEnds
	who                        *owners.Peeked // that connected, or else that closed it; nil: no process did
	opened, established, ended time.Duration  // since boot; 0: that was not told
	netns                      uint64         // inode number of the network namespace; 0: not known
	reset                      bool           // by the other end
	outcome                    outcome
	twice                      bool    // another one had the same ends while it lived, perhaps in the same namespace
	next                       *traced // that had the same ends
}

// tracedEnds are both ends of a connection, as sock_diag has them too.
type tracedEnds struct {
	endpoints
	family uint8
}

type peeked struct {
	owners.Peeked
	at time.Duration
}

// placed is in which network namespace a thread was.
type placed struct {
	netns uint64
	at    time.Duration
}

// An outcome is how a connection ended.
type outcome uint8

const (
	outcomeUnknown outcome = iota
	outcomeEstablished
	outcomeRefused
	outcomeUnanswered
	outcomeNoPort // all local ports to that address are taken (EADDRNOTAVAIL): nothing was sent
	outcomeResetByPeer
	outcomeResetByUs
	outcomeTimedOut
)

// String is the word in the column outcome; "" when it is not known.
func (o outcome) String() string {
	return [...]string{"", "established", "refused", "unanswered", "no local port", "reset by peer", "reset by us", "timed out"}[o]
}

// traceEvents say which events are read, and where their parts are.
type traceEvents struct {
	list                        []tracepoint.Event
	state, reset, destroy       int // numbers of the events
	stateAt, resetAt, destroyAt sockFields
	oldstate, newstate, cookie  int
}

// sockFields are the offsets of what all of these events tell of a socket.
type sockFields struct{ sock, sport, dport, family, saddr, daddr, saddr6, daddr6 int }

// traceFilter keeps what says who and how: connect, its answer, one's own close, and what ends a connection at once; and a listener that takes the place of
// a socket in the kernel. By number: 1 ESTABLISHED, 2 SYN_SENT, 4 FIN_WAIT1, 7 CLOSE, 8 CLOSE_WAIT, 9 LAST_ACK, 10 LISTEN.
const traceFilter = "protocol==6&&(newstate==2||newstate==4||newstate==9||newstate==10||oldstate==2||(newstate==7&&(oldstate==1||oldstate==8)))"

func newTraceEvents(fs *tracepoint.Filesystem) (traceEvents, error) {
	var t traceEvents
	for _, e := range []struct {
		group, name, filter string
		id                  *int
		at                  *sockFields
		more                map[string]*int
		size                int
	}{
		{"sock", "inet_sock_set_state", traceFilter, &t.state, &t.stateAt, map[string]*int{"oldstate": &t.oldstate, "newstate": &t.newstate}, 4},
		{"tcp", "tcp_receive_reset", "", &t.reset, &t.resetAt, nil, 0},
		{"tcp", "tcp_destroy_sock", "dport==0", &t.destroy, &t.destroyAt, map[string]*int{"sock_cookie": &t.cookie}, 8},
	} {
		f, err := fs.Format(e.group, e.name)
		if err != nil {
			return t, err
		}
		*e.id = f.ID
		t.list = append(t.list, tracepoint.Event{ID: f.ID, Filter: e.filter, Ran: true})
		for name, at := range e.more {
			if *at, err = f.Offset(name, e.size); err != nil {
				return t, fmt.Errorf("tracepoint %s:%s: %w", e.group, e.name, err)
			}
		}
		for _, field := range []struct {
			name string
			size int
			at   *int
		}{
			{"skaddr", 8, &e.at.sock}, {"sport", 2, &e.at.sport}, {"dport", 2, &e.at.dport}, {"family", 2, &e.at.family},
			{"saddr", 4, &e.at.saddr}, {"daddr", 4, &e.at.daddr}, {"saddr_v6", 16, &e.at.saddr6}, {"daddr_v6", 16, &e.at.daddr6},
		} {
			if *field.at, err = f.Offset(field.name, field.size); err != nil {
				return t, fmt.Errorf("tracepoint %s:%s: %w", e.group, e.name, err)
			}
		}
	}
	return t, nil
}

// openTrace begins to trace. The error says what is missing.
func openTrace() (*trace, error) {
	fs, err := tracepoint.OpenFilesystem()
	if err != nil {
		return nil, err
	}
	defer fs.Close()
	events, err := newTraceEvents(fs)
	if err != nil {
		return nil, err
	}
	t := newTrace(events)
	if t.reader, err = tracepoint.Open(events.list, traceRoom); err != nil {
		return nil, err
	}
	return t, nil
}

func newTrace(events traceEvents) *trace {
	return &trace{events: events, live: map[uint64]*traced{}, byEnds: map[tracedEnds]*traced{}, byCookie: map[uint64]*traced{},
		ran: map[uint32]string{}, peeked: map[uint32]*peeked{}, threads: map[uint32]placed{}, most: tracedEvents, rest: traceRest}
}

// record has the losses of the trace told in the recording, and its rings emptied before they are full.
func (t *trace) record(w *store.Writer) error {
	t.source = w.Source("trace")
	return t.reader.Watch(t.drain)
}

func (t *trace) close() {
	if t == nil {
		return
	}
	t.reader.Close()
}

// read tells what was lost, and forgets what nobody has asked for.
func (t *trace) read() {
	if t == nil {
		return
	}
	t.source.Read(func() error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.drainLocked()
		var off error
		if t.off != 0 {
			off = &store.PartialError{Missing: fmt.Sprintf("the trace is switched off for %v: connections made more than %d events in a second. "+
				"Who opens connections that live between two samples, and how they end, is not known", t.rest, t.most)}
		}
		if lost := t.lost + t.garbled; lost > 0 {
			t.source.Lost(fmt.Sprintf("%d events of the trace were lost: who opened some connections, and how they ended, is not known", lost))
		}
		t.lost, t.garbled = 0, 0
		t.prune(tracedFor)
		if t.off != 0 && t.now-t.off >= t.rest {
			if err := t.reader.Enable(); err != nil {
				return err
			}
			t.off = 0
		}
		return off
	})
}

// drain takes what is in the rings.
func (t *trace) drain() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drainLocked()
}

// drainLocked applies what has happened by now in the order of time: the events of a connection may be in the rings of several CPUs. What comes while the
// rings are read waits: it may follow what is in a ring that was read before.
func (t *trace) drainLocked() {
	now := t.lookAtClocks()
	lost, garbled := t.reader.Drain(t)
	t.lost, t.garbled = t.lost+lost, t.garbled+garbled
	if t.off != 0 { // these were told before
		t.batch, t.now = t.batch[:0], now
		return
	}
	told := len(t.batch)
	t.settle(now)
	t.spend(told - len(t.batch))
}

// spend counts events, and switches the trace off when there are too many. What it knows is forgotten then: what happens to these connections is not told
// any more, and another socket may take the place of one.
func (t *trace) spend(events int) {
	if t.now-t.second > time.Second {
		t.second, t.told = t.now, 0
	}
	if t.told += events; t.told <= t.most {
		return
	}
	if t.reader.Disable() == nil {
		t.off = t.now
		clear(t.live)
		clear(t.byEnds)
		clear(t.byCookie)
		t.batch = t.batch[:0]
	}
}

// lookAtClocks works out how far the clock of the events is from that since boot, which differ by the time that the machine was suspended, and returns
// the time since boot. We may be kept waiting between two looks: what was worked out before stands as long as it can be true.
func (t *trace) lookAtClocks() (now time.Duration) {
	before := monotonic()
	boot := kernel.SinceBoot()
	after := monotonic()
	t.toBoot = min(max(t.toBoot, boot-after), boot-before)
	return before + t.toBoot
}

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail
	return time.Duration(now.Nano())
}

// settle applies what stands in the batch and happened by then.
func (t *trace) settle(now time.Duration) {
	t.now = now
	for i := range t.batch {
		t.order = append(t.order, eventOrder{t.batch[i].at, i})
	}
	slices.SortFunc(t.order, func(a, b eventOrder) int { // events are long
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Compare(a.i, b.i)
	})
	for _, o := range t.order {
		if o.at > now {
			break
		}
		t.apply(&t.batch[o.i])
	}
	t.order = t.order[:0]
	t.batch = slices.DeleteFunc(t.batch, func(v traceEvent) bool { return v.at <= now })
	if len(t.batch) == 0 && cap(t.batch) > 4096 {
		t.batch, t.order = nil, nil // the crowd is gone
	}
}

// eventOrder is when the event happened that is number i of the batch.
type eventOrder struct {
	at time.Duration
	i  int
}

// Ran remembers the name of a process that may be gone before it can be looked at.
func (t *trace) Ran(pid uint32, comm []byte) {
	if len(t.ran) >= ranMost {
		clear(t.ran)
	}
	t.ran[pid] = kernel.Printable(comm)
	delete(t.peeked, pid)
}

// A traceEvent is one event.
type traceEvent struct {
	at        time.Duration // since boot
	sock      uint64
	ends      tracedEnds
	id        int
	from, to  uint32 // states
	cookie    uint64
	pid, tid  uint32
	interrupt bool
}

// Take takes one event out of a ring.
func (t *trace) Take(s *tracepoint.Sample) {
	e := traceEvent{at: s.Time + t.toBoot, id: s.ID, pid: s.PID, tid: s.TID, interrupt: s.Interrupt()}
	native, ok := binary.NativeEndian, false
	switch s.ID {
	case t.events.state:
		e.sock, e.ends, ok = t.events.stateAt.decode(s.Raw)
		if ok = ok && len(s.Raw) >= max(t.events.oldstate, t.events.newstate)+4; ok {
			e.from, e.to = native.Uint32(s.Raw[t.events.oldstate:]), native.Uint32(s.Raw[t.events.newstate:])
		}
	case t.events.reset:
		e.sock, e.ends, ok = t.events.resetAt.decode(s.Raw)
	case t.events.destroy:
		e.sock, e.ends, ok = t.events.destroyAt.decode(s.Raw)
		if ok = ok && len(s.Raw) >= t.events.cookie+8; ok {
			e.cookie = native.Uint64(s.Raw[t.events.cookie:])
		}
	}
	if !ok {
		t.garbled++
		return
	}
	t.batch = append(t.batch, e)
}

func (t *trace) apply(v *traceEvent) {
	switch v.id {
	case t.events.state:
		t.turned(v)
	case t.events.reset:
		e := t.of(v)
		e.reset = true
		if e.outcome == outcomeEstablished {
			e.outcome, e.ended = outcomeResetByPeer, v.at
		}
	case t.events.destroy:
		if e := t.live[v.sock]; e != nil && e.ended != 0 && e.ends.sport == v.ends.sport { // else another socket, never connected, took its place
			t.forget(e)
			if len(t.byCookie) < tracedMost {
				t.byCookie[v.cookie] = e
			}
		}
	}
}

func (f *sockFields) decode(raw []byte) (sock uint64, ends tracedEnds, ok bool) {
	if len(raw) < max(f.sock+8, f.sport+2, f.dport+2, f.family+2, f.saddr+4, f.daddr+4, f.saddr6+16, f.daddr6+16) {
		return 0, ends, false
	}
	native := binary.NativeEndian
	ends.family, ends.sport, ends.dport = uint8(native.Uint16(raw[f.family:])), native.Uint16(raw[f.sport:]), native.Uint16(raw[f.dport:])
	if ends.family == unix.AF_INET {
		copy(ends.src[:], raw[f.saddr:f.saddr+4])
		copy(ends.dst[:], raw[f.daddr:f.daddr+4])
	} else {
		copy(ends.src[:], raw[f.saddr6:f.saddr6+16])
		copy(ends.dst[:], raw[f.daddr6:f.daddr6+16])
	}
	return native.Uint64(raw[f.sock:]), ends, true
}

// turned takes a change of state. Where it happened in an interrupt, the process that ran is a bystander.
func (t *trace) turned(v *traceEvent) {
	switch {
	case v.to == sockdiag.StateListen:
		t.leave(v.sock)
	case v.to == sockdiag.StateSynSent:
		t.leave(v.sock)
		if t.room() {
			e := t.made(v)
			e.opened = v.at
			t.did(e, v)
			t.live[v.sock] = e
		}
	case v.from == sockdiag.StateSynSent:
		if e := t.live[v.sock]; e != nil && e.ended == 0 && e.established == 0 { // else it was there before the trace
			bound := e.ends.sport != 0
			e.ends = v.ends // it has a port of its own by now, and can be known by its ends
			t.index(e)
			e.answered(v, bound)
		}
	default:
		t.of(v).closed(t, v)
	}
}

// answered takes the end of a connect. bound: the process had chosen the local port before.
func (e *traced) answered(v *traceEvent, bound bool) {
	switch {
	case v.to == sockdiag.StateEstablished:
		e.established = v.at
	case v.to != sockdiag.StateClose:
	case e.reset:
		e.ended, e.outcome = v.at, outcomeRefused
	case !v.interrupt && v.ends.sport == 0:
		e.ended, e.outcome = v.at, outcomeNoPort
	case !v.interrupt && bound && v.at-e.opened < soonGivenUp:
		e.ended = v.at // such a connection is there already, so that nothing was sent; or it was given up at once
	case !v.interrupt, v.at-e.opened >= firstSYNRetry:
		e.ended, e.outcome = v.at, outcomeUnanswered
	default:
		e.ended = v.at
	}
}

// closed takes the close by this end, or what ends the connection at once.
func (e *traced) closed(t *trace, v *traceEvent) {
	e.ended = v.at
	if !v.interrupt && e.who == nil {
		t.did(e, v)
	}
	switch {
	case e.reset:
		e.outcome = outcomeResetByPeer
	case v.to != sockdiag.StateClose:
		e.outcome = outcomeEstablished
	case v.interrupt:
		e.outcome = outcomeTimedOut
	default:
		e.outcome = outcomeResetByUs
	}
}

// firstSYNRetry is when a SYN that nobody has answered is sent again: a connect that fails earlier, without a reset, does so by a word of a router.
const firstSYNRetry = 900 * time.Millisecond

// soonGivenUp is within what time the kernel finds that a chosen local port is taken.
const soonGivenUp = 10 * time.Millisecond

// of is the end of a connection that is at that address now.
func (t *trace) of(v *traceEvent) *traced {
	if e := t.live[v.sock]; e != nil {
		connecting := e.opened != 0 && e.established == 0 && e.ended == 0 && e.ends.dst == v.ends.dst && e.ends.dport == v.ends.dport
		if e.ends == v.ends || connecting {
			return e
		}
		t.leave(v.sock)
	}
	e := t.made(v)
	if v.id == t.events.state && !v.interrupt {
		t.did(e, v)
	}
	if t.room() {
		t.live[v.sock] = e
		t.index(e)
	}
	return e
}

// room reports whether one more may be remembered. Those that have ended make room: connections of namespaces that are not recorded are never asked for.
func (t *trace) room() bool {
	full := func() bool { return len(t.live) >= tracedMost || len(t.byEnds) >= tracedMost }
	if full() && t.now-t.pruned >= tracedAtLeast {
		t.pruned = t.now
		t.prune(tracedAtLeast)
	}
	return !full()
}

// made is a new one, at that address.
func (t *trace) made(v *traceEvent) *traced {
	n := len(t.spare) - 1
	if n < 0 {
		return &traced{sock: v.sock, ends: v.ends}
	}
	e := t.spare[n]
	t.spare[n], t.spare = nil, t.spare[:n]
	*e = traced{sock: v.sock, ends: v.ends}
	return e
}

// done takes back what claim gave, where nobody keeps it.
func (t *trace) done(e *traced) {
	if e == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.spare) < spareMost {
		t.spare = append(t.spare, e)
	}
}

// index makes e known by its ends.
func (t *trace) index(e *traced) {
	o := t.byEnds[e.ends]
	if o == nil {
		t.byEnds[e.ends] = e
		return
	}
	for ; o != e; o = o.next {
		if (o.ended == 0 || e.opened != 0 && e.opened < o.ended) && e.in(o.netns) {
			o.twice, e.twice = true, true
		}
		if o.next == nil {
			o.next = e
			return
		}
	}
}

// leave says that another socket is at that address by now. The close of the one that was there may still be told.
func (t *trace) leave(sock uint64) {
	if e := t.live[sock]; e != nil && e.ended == 0 {
		t.forget(e)
	}
	delete(t.live, sock)
}

// forget gives up what is known of e by its address and by its ends.
func (t *trace) forget(e *traced) { t.forgetOf(t.byEnds[e.ends], e) }

// forgetOf is forget for who knows the first of those that had its ends.
func (t *trace) forgetOf(first, e *traced) {
	if t.live[e.sock] == e {
		delete(t.live, e.sock)
	}
	switch {
	case first == e && e.next == nil:
		delete(t.byEnds, e.ends)
	case first == e:
		t.byEnds[e.ends] = e.next
	default:
		for o := first; o != nil; o = o.next {
			if o.next == e {
				o.next = e.next
			}
		}
	}
	e.next = nil
}

// in reports whether the socket may be in that namespace.
func (e *traced) in(netns uint64) bool { return e.netns == 0 || netns == 0 || e.netns == netns }

// claim is what is known of a socket whose close is told in that namespace; nil: nothing is, or not which of two it was.
func (t *trace) claim(r *sockdiag.Record, netns uint64) *traced {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.DPort == 0 {
		e := t.byCookie[r.Cookie]
		delete(t.byCookie, r.Cookie)
		if e == nil || !e.in(netns) {
			return nil
		}
		return e
	}
	first := t.byEnds[tracedEnds{endpointsOf(r), r.Family}]
	e := first
	for e != nil && (e.ended == 0 || !e.in(netns)) {
		e = e.next
	}
	if e == nil {
		return nil
	}
	if e.netns == 0 { // it may be of another namespace, and then one of the others was meant
		for o := first; o != nil; o = o.next {
			if o != e && o.in(netns) {
				o.twice, e.twice = true, true
			}
		}
	}
	t.forgetOf(first, e)
	if e.twice {
		return nil
	}
	return e
}

// whose is the process that opened the connection of that socket, or closed it; nil: that is not known, or not which of two it was. netns 0: it may be
// in any namespace.
func (t *trace) whose(r *sockdiag.Record, netns uint64) *owners.Peeked {
	if t == nil || r.DPort == 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e := t.only(r, netns); e != nil {
		return e.who
	}
	return nil
}

// madeHere reports whether the trace has seen this end connect.
func (t *trace) madeHere(r *sockdiag.Record, netns uint64) bool {
	if t == nil || r.DPort == 0 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.only(r, netns)
	return e != nil && e.opened != 0
}

// only is the one connection that has the ends of that socket; nil: there is none, or not only one.
func (t *trace) only(r *sockdiag.Record, netns uint64) (only *traced) {
	for e := t.byEnds[tracedEnds{endpointsOf(r), r.Family}]; e != nil; e = e.next {
		switch {
		case !e.in(netns):
		case only != nil || e.twice:
			return nil
		default:
			only = e
		}
	}
	return only
}

// prune forgets what has ended so long ago.
func (t *trace) prune(ago time.Duration) {
	now := t.now
	for _, e := range t.byEnds {
		for e != nil {
			next := e.next
			if e.ended != 0 && now-e.ended > ago {
				t.forget(e)
			}
			e = next
		}
	}
	for cookie, e := range t.byCookie {
		if now-e.ended > ago {
			delete(t.byCookie, cookie)
		}
	}
	for pid, p := range t.peeked {
		if now-p.at > peekedFor {
			delete(t.peeked, pid)
		}
	}
	for tid, p := range t.threads {
		if now-p.at > peekedFor {
			delete(t.threads, tid)
		}
	}
}

// did notes the process that connected or closed.
func (t *trace) did(e *traced, v *traceEvent) {
	if v.pid == 0 { // of another PID namespace
		return
	}
	p := t.peeked[v.pid]
	if p == nil || t.now-p.at > peekedFor {
		p = &peeked{at: t.now, Peeked: owners.Peek(int32(v.pid), v.at)}
		if p.Comm == "" {
			p.Comm = t.ran[v.pid]
		}
		t.peeked[v.pid] = p
	}
	e.who, e.netns = &p.Peeked, t.netnsOf(v)
}

// netnsOf is the network namespace that the thread is in; 0: not known.
func (t *trace) netnsOf(v *traceEvent) uint64 {
	p, ok := t.threads[v.tid]
	if !ok || t.now-p.at > peekedFor {
		var ns unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d/task/%d/ns/net", v.pid, v.tid), &ns) != nil {
			ns.Ino = 0 // it is gone
		}
		p = placed{ns.Ino, t.now}
		t.threads[v.tid] = p
	}
	return p.netns
}

// traceMissing says why connections are not traced.
func traceMissing(err error) string {
	if err == nil {
		return ""
	}
	return "who opens connections that live between two samples, and how each one ends, is not known: " + err.Error() + ": grant CAP_PERFMON and CAP_SYS_ADMIN (Linux 5.8)"
}
