package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// sockets reads all sockets of the network namespaces and who holds them. In every sample the
// protocols are dumped first, each a source of its own; then the owners are looked for,
// another source; then the protocols report their rows. A protocol that fails costs its
// rows, and owners that fail leave the rows without an owner.
type sockets struct {
	writer    *store.Writer
	owners    *owners.Owners
	users     *owners.Users
	cgroups   *owners.Cgroups
	texts     texts
	protocols []*protocol // of all namespaces
	buf       []byte      // for their dumps, one after the other
	closes    []*closes   // one for each namespace, when they are to be heard
	traffic   []*traffic  // one for each namespace
	symptoms  []*symptoms // likewise; they belong to the namespaces
	dumped    []dumpTime  // when the last samples were, the oldest first
	moments   moments
	monitor   *monitor // nil: closes are not heard
	trace     *trace   // nil: connections are not traced
	debug     debuglog.Logs
	without   without  // sources that are not read
	off       []source // those that stand for closes and traffic then
	budget    int      // of closes that are kept one by one in a sample
	routes    int      // that the kernel may still be asked for in this sample
	gen       uint32   // number of the sample
	fresh     bool     // no sample has been taken since the recording was opened
	last      bool     // no sample follows
	dumps     uint32   // number of dumps begun so far, of all protocols

	lacks [len(rareKinds)]time.Time // until when the kernel is not asked again for a kind that it has no dump of
}

func newSockets(w *store.Writer, namespaces ...namespace) source {
	users := owners.NewUsers()
	s := &sockets{writer: w, users: users, cgroups: owners.NewCgroups(), owners: owners.New(w, users), buf: sockdiag.NewBuffer(), fresh: true}
	s.owners.Gone = s.isGone
	s.owners.Opener = func(e *owners.Held) int32 {
		if who := s.trace.whose(&e.Rec, 0); who != nil {
			return who.PID
		}
		return 0
	}
	s.moments.settle.Quiet = max(quietFor, quietSamples*w.Interval())
	for _, ns := range namespaces {
		s.enter(ns)
	}
	return s
}

// enter begins to read the sockets of a network namespace.
func (s *sockets) enter(ns namespace) {
	diag := &sockdiag.Conn{Buf: s.buf, Log: s.debug.Netlink}
	counted := &census{file: ns.procFile(), counts: map[string]int{}}
	for _, family := range []uint8{4, 6} {
		af := map[uint8]uint8{4: unix.AF_INET, 6: unix.AF_INET6}[family]
		for _, p := range []*protocol{
			{proto: "tcp", kind: "stream", number: unix.IPPROTO_TCP},
			{proto: "udp", kind: "dgram", number: unix.IPPROTO_UDP},
			{proto: "raw", kind: "raw", number: unix.IPPROTO_RAW, inProc: true},
			{proto: "udplite", kind: "dgram", number: unix.IPPROTO_UDPLITE, inProc: true},
		} {
			p.family, p.af, p.name = store.Of(family), af, fmt.Sprintf("%s%d", p.proto, family)
			p.request = sockdiag.InetRequest{Family: af, Protocol: p.number}.Message
			p.census = counted
			s.add(p, ns, diag)
		}
	}
	s.joinTCP(ns)
	if t, off := newTraffic(s.writer, ns, s.users, newWays(ns, &s.routes)), s.without.first("traffic", "tcp", "sockets"); off != "" {
		s.off = append(s.off, s.without.offIn(ns, off, t.source))
	} else {
		s.sumUp(ns, t)
	}
	for _, p := range []*protocol{
		{proto: "unix", af: unix.AF_UNIX, request: sockdiag.UnixRequest{}.Message, decode: sockdiag.DecodeUnix},
		{proto: "packet", af: unix.AF_PACKET, request: sockdiag.PacketRequest{}.Message, decode: nameless(sockdiag.DecodePacket), inProc: true},
		{proto: "netlink", af: unix.AF_NETLINK, request: sockdiag.NetlinkRequest{}.Message, decode: sockdiag.DecodeNetlink, inProc: true},
	} {
		p.name, p.census = p.proto, counted
		s.add(p, ns, diag)
	}
	s.addSwitchedOff(ns, diag, counted)
	switch {
	case s.monitor == nil:
	case s.without.has("closes"):
		s.off = append(s.off, s.without.offIn(ns, "closes", s.writer.SourceIn(ns.id, "closes")))
	default:
		s.subscribe(ns)
	}
}

// joinTCP has one dump bring the TCP sockets of both families.
func (s *sockets) joinTCP(ns namespace) {
	var first *protocol
	for _, p := range s.protocols {
		switch {
		case p.ns.id != ns.id || p.proto != "tcp":
		case first == nil:
			first = p
			first.bound = &boundLook{}
			first.request = func() *nl.NetlinkRequest { return sockdiag.TCPRequest{States: first.bound.states()}.Message() }
		default:
			p.first, first.second = first, p
		}
	}
}

// sumUp has what the TCP connections of a namespace move summed up.
func (s *sockets) sumUp(ns namespace, t *traffic) {
	for _, p := range s.protocols {
		if p.ns.id == ns.id && p.proto == "tcp" {
			p.traffic = t
		}
	}
	s.traffic = append(s.traffic, t)
}

// waysOf are those of a namespace.
func (s *sockets) waysOf(ns namespace) *ways {
	for _, t := range s.traffic {
		if t.ns.id == ns.id {
			return t.ways
		}
	}
	return &ways{} // nothing is summed up there
}

// tcpOf are the protocols whose connections are summed up there.
func (s *sockets) tcpOf(t *traffic) []*protocol {
	var tcp []*protocol
	for _, p := range s.protocols {
		if p.traffic == t {
			tcp = append(tcp, p)
		}
	}
	return tcp
}

// subscribe begins to hear of the closed sockets of a namespace.
func (s *sockets) subscribe(ns namespace) {
	c := &closes{ns: ns, netlog: s.debug.Netlink, trace: s.trace, monitor: s.monitor, fd: -1, source: s.writer.SourceIn(ns.id, "closes"), budget: s.budget}
	c.log, c.sums = store.NewLog(c.source, store.Closes), store.NewLog(c.source, store.CloseCounts)
	for _, p := range s.protocols {
		if p.ns.id == ns.id && (p.proto == "tcp" || p.proto == "udp") {
			p.closes = c
			c.protocols = append(c.protocols, p)
		}
	}
	s.closes = append(s.closes, c)
}

// lookFor has the symptoms of a namespace looked for. It is called before the namespace is entered.
func (s *sockets) lookFor(t *symptoms) { s.symptoms = append(s.symptoms, t) }

func (s *sockets) symptomsOf(ns namespace) *symptoms {
	for _, t := range s.symptoms {
		if t.ns.id == ns.id {
			return t
		}
	}
	return nil
}

func (s *sockets) add(p *protocol, ns namespace, diag *sockdiag.Conn) {
	p.ns, p.diag = ns, diag
	if p.proto == "tcp" || p.proto == "udp" {
		if p.symptoms = s.symptomsOf(ns); p.symptoms != nil && p.proto == "tcp" {
			p.symptoms.tcp = append(p.symptoms.tcp, p)
		}
	}
	p.source = s.writer.SourceIn(ns.id, p.name)
	p.sockets = store.NewSet(p.source, store.Sockets)
	p.holders = store.NewSet(p.source, store.SocketOwners)
	p.sums = store.NewSet(p.source, store.SocketCounts)
	p.trends = store.NewSet(p.source, store.SocketTrends)
	p.known = map[uint64]*socket{}
	p.counts = map[countKey]*count{}
	s.protocols = append(s.protocols, p)
}

// shut closes what is open in a namespace: it would keep it alive.
func (s *sockets) shut(ns namespace) {
	for _, p := range s.protocols {
		if p.ns.id == ns.id {
			p.diag.Close()
		}
	}
	s.waysOf(ns).close()
	for _, c := range s.closes {
		if c.ns.id == ns.id {
			c.drainRest()
			c.close()
		}
	}
}

// leave ends the reading of a namespace that is gone. What was closed since the last sample is the last that is
// recorded of it.
func (s *sockets) leave(ns namespace) {
	for _, c := range s.closes {
		if c.ns.id == ns.id {
			c.drainRest()
			c.collect()
			c.since = kernel.SinceBoot() // no sample of it follows
			c.source.Read(func() error { return s.reportCloses(c) })
		}
	}
	s.protocols = slices.DeleteFunc(s.protocols, func(p *protocol) bool {
		if p.ns.id != ns.id {
			return false
		}
		for _, e := range p.known {
			s.owners.Vanished(&e.Held)
		}
		p.diag.Close()
		return true
	})
	s.closes = slices.DeleteFunc(s.closes, func(c *closes) bool {
		if c.ns.id == ns.id {
			c.close()
		}
		return c.ns.id == ns.id
	})
	s.waysOf(ns).close()
	s.traffic = slices.DeleteFunc(s.traffic, func(t *traffic) bool { return t.ns.id == ns.id })
	s.symptoms = slices.DeleteFunc(s.symptoms, func(t *symptoms) bool { return t.ns.id == ns.id })
	s.off = slices.DeleteFunc(s.off, func(o source) bool { return o.(*switchedOff).netns == ns.id })
}

// startOver forgets what the recording calls sockets and processes: it is another one.
func (s *sockets) startOver() {
	for _, p := range s.protocols {
		clear(p.listeners)
		clear(p.before)
		clear(p.counts)
		p.counted = false
		for _, m := range [...]map[uint64]*socket{p.known, p.left} {
			for _, e := range m {
				e.subject, e.shown, e.last = nil, nobody, 0
			}
		}
	}
	s.owners.StartOver()
	for _, t := range s.traffic {
		clear(t.sums)
		t.known = false
	}
}

// close ends the hearing, before the program does.
func (s *sockets) close() {
	for _, c := range s.closes {
		c.close()
	}
	for _, t := range s.traffic {
		t.ways.close()
	}
	s.trace.close()
	if s.monitor != nil {
		s.monitor.end()
	}
}

func (s *sockets) read(ctx context.Context) {
	s.gen++
	s.owners.Begin(s.gen, s.dumps+1)
	s.users.Refresh()
	s.rememberTime()
	s.routes = waysBudget
	for _, t := range s.traffic {
		t.ways.begin()
	}
	for _, c := range s.closes {
		c.begin()
	}
	for i := 0; i < len(s.protocols); i++ { // addRare makes more of them
		p := s.protocols[i]
		p.ok = false
		if off := s.without.first("sockets", p.proto); off != "" {
			p.source.Read(func() error { return s.without.reason(off) })
			continue
		}
		read := func() { p.ok = p.source.Read(func() error { return s.dump(ctx, p) }) }
		var err error
		if p.first != nil || p.proto != "tcp" && p.census.isOf(s.gen) && s.scopeOf(p) == noDump {
			read() // nothing of the namespace
		} else {
			err = p.ns.inside(read)
		}
		if err != nil {
			p.source.Read(func() error { return err })
		}
		if p.af == unix.AF_NETLINK { // the last of those that are always read
			s.addRare(ctx, p)
		}
	}
	s.trace.read()
	owned := s.owners.Source.Read(func() error {
		if off := s.without.first("owners", "sockets"); off != "" {
			return s.without.reason(off)
		}
		return s.lookForOwners(ctx)
	})
	if !owned {
		s.owners.ForgetAll()
	}
	s.trace.drain() // who closed a socket while its owner was looked for
	s.collectCloses()
	for _, p := range s.protocols {
		if p.ok {
			s.settle(p, owned)
			p.source.Read(func() error { s.report(p, owned); return nil })
		}
	}
	for _, c := range s.closes {
		c.source.Read(func() error { return s.reportCloses(c) })
	}
	readAll(ctx, s.off)
	for _, t := range s.traffic {
		t.source.Read(func() error {
			return t.report(s.tcpOf(t), func(process store.Ref) bool { return s.owners.Lives(process, owned) })
		})
	}
}

// A protocol is what is of one kind: the TCP sockets of IPv4, the unix sockets, of one network namespace.
type protocol struct {
	ns          namespace
	diag        *sockdiag.Conn // of the namespace
	name        string         // of the source
	proto, kind string
	number      uint8 // IPPROTO_TCP and so on
	family      store.Int
	af          uint8
	request     func() *nl.NetlinkRequest
	first       *protocol  // whose dump brings this one's sockets too: IPv4 those of IPv6
	second      *protocol  // whose sockets this dump brings too
	bound       *boundLook // of TCP
	decode      decoder    // nil: of TCP, UDP and raw sockets
	once        bool       // a dump may bring a socket several times: the first counts
	census      *census    // of the namespace; nil: dump it all
	dumped      error      // how the last dump went
	inProc      bool       // it is in /proc/net too, for kernels that have no dump of it
	fromProc    bool       // this is one: read /proc/net
	own         []uint32   // inodes of the sockets of the recorder that the last dump left out
	ownSeen     time.Time  // when that was
	procName    string     // of the file there, without the 6 of IPv6; "": proto
	source      *store.Source
	sockets     *store.Set[store.SocketID, store.Socket]
	holders     *store.Set[store.SocketOwnerID, store.SocketOwner]
	sums        *store.Set[store.SocketCountID, store.SocketCount]
	trends      *store.Set[store.SocketCountID, store.SocketTrend]

	mu                sync.RWMutex       // of known and left, which the goroutine of closes reads
	known             map[uint64]*socket // by cookie
	left              map[uint64]*socket // sockets that no dump shows any more, whose closes may come late
	unlisted          []*socket          // sockets of known that no dump shows, though a process holds them
	doubtful          []*socket          // sockets that this dump may not show for that reason
	closes            *closes            // nil when they are not heard
	remains           []remains          // TIME_WAIT of unknown connections, in this dump
	countedRemains    int64              // remains that are only counted
	listeners, before listeners          // of this sample and of the one before

	traffic *traffic // nil for what tells no bytes
	grown   []growth // what connections moved since the last sample
	primed  bool     // a sample has seen what was there before

	symptoms *symptoms // of the namespace; nil: nobody looks for them
	hangs    hangs
	lost     []loss // what sockets dropped since the last sample

	remainsOf map[destination]int // connections of countedRemains whose local ports are not free yet

	seen   []*socket // those of this dump
	order  []*socket // those of the one before, in the order in which the kernel told of them
	next   int       // the one of them that is expected next
	dump   uint32    // number of the dump
	ok     bool      // it succeeded
	counts map[countKey]*count

	counted bool // since this recording is written: what the last run had counted has been looked through
}

// A socket is what is remembered of one from sample to sample. There are tens of thousands of these: at more than 352 bytes each
// would take up 384.
type socket struct {
	owners.Held
	name    string // of a unix socket, as the kernel has it; of a netlink socket its groups
	subject *store.Subject[store.SocketID, store.Socket]
	shown   ownership     // the one last reported
	since   uint32        // when it was first seen in its state, in unix seconds
	last    store.Ref     // the last process seen to hold it
	gone    uint32        // sample whose dump did not show it any more,
	peer    uint32        // what TIME_WAIT and the like do not tell any more
	left    time.Duration // and when that began, since boot
	ended   float64       // when its connection ended, where the descriptor outlives it; else 0
	waits   time.Duration // since boot: when its TIME_WAIT began; 0 where that is not known

	way     direction
	arrived bool // it came to its state while this run looked
	closed  bool // the kernel told of its end
	dirty   bool // rec differs from what was last reported
	renamed bool // and in what identifies the socket
	moved   bool // and in its state
	young   bool // a sample of this run saw it first, and not the first sample
}

// dump reads a protocol's sockets into memory.
func (s *sockets) dump(ctx context.Context, p *protocol) error {
	if p.first != nil {
		return p.first.dumped
	}
	p.dumped = errors.New("the dump came to no end") // should it panic
	p.dumped = s.dumpBoth(ctx, p)
	return p.dumped
}

func (s *sockets) dumpBoth(ctx context.Context, p *protocol) error {
	both := []*protocol{p}
	if p.second != nil {
		both = append(both, p.second)
	}
	for _, p := range both {
		p.order, p.seen, p.doubtful = p.seen, p.order, p.doubtful[:0]
	}
	if p.bound != nil {
		p.bound.decide()
	}
	err := error(nl.ErrDumpInterrupted)
	for try := 0; try < sockdiag.Tries && errors.Is(err, nl.ErrDumpInterrupted); try++ {
		s.dumps++
		for _, p := range both {
			p.dump, p.seen, p.next, p.remains, p.countedRemains = s.dumps, p.seen[:0], 0, p.remains[:0], 0
			clear(p.remainsOf)
		}
		if err = s.dumpScope(ctx, p); err == nil && p.bound != nil {
			err = s.lookAtBound(ctx, p)
		}
	}
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("read %s sockets: this kernel has no diagnostics for them (modprobe %[1]s_diag)", p.proto)
	}
	if err != nil {
		return fmt.Errorf("read %s sockets: %w", p.proto, err)
	}
	for _, p := range both {
		clear(p.seen[len(p.seen):cap(p.seen)]) // or a crowd that is gone would stay in memory
		clear(p.order)
		p.next = len(p.order)
		s.forgetVanished(p)
	}
	return nil
}

// dumpScope dumps as much as there is.
func (s *sockets) dumpScope(ctx context.Context, p *protocol) error {
	switch s.scopeOf(p) {
	case noDump:
		return nil
	case listenersDump:
		err := s.dumpOnce(ctx, p, sockdiag.TCPRequest{States: 1 << sockdiag.StateListen}.Message())
		if err != nil || len(p.seen)+len(p.second.seen) == p.census.of(p.name) {
			return err
		}
		// One of them is something else now.
	}
	p.own, p.ownSeen = p.own[:0], time.Now()
	if p.fromProc {
		return s.dumpProc(p)
	}
	return s.dumpOnce(ctx, p, p.request())
}

// forgetVanished takes out the sockets that the dump did not show. Of some a process may still have the descriptor: see settle.
func (s *sockets) forgetVanished(p *protocol) {
	s.forgetLeft(p)
	if len(p.seen)+len(p.unlisted) == len(p.known) {
		return
	}
	// The goroutine of closes locks the closes first and then what is known: here they are never locked together.
	p.closes.drainNow(s.buf)
	for key, e := range p.known {
		switch {
		case e.Dump == p.dump || e.Unlisted:
		case p.mayBeHeld(e):
			p.doubtful = append(p.doubtful, e)
		default:
			s.owners.Vanished(&e.Held)
			p.leave(key, e, s.gen)
		}
	}
}

// leave takes a socket out of the known ones; its close may still come.
func (p *protocol) leave(key uint64, e *socket, gen uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, key)
	if p.closes == nil || e.closed {
		return
	}
	if p.left == nil {
		p.left = map[uint64]*socket{}
	}
	e.gone, e.left = gen, p.closes.since
	p.left[key] = e
}

const (
	// leftSamples is for how many samples a close is waited for that may not come: TIME_WAIT ends without one.
	leftSamples = 2
	// leftLimit is for how many sockets of a protocol a close is waited for, however late it is: of those whose holder may not be
	// seen, or whose close the kernel had no room for.
	leftLimit = 4096
)

// forgetLeft forgets the sockets whose close is not waited for any more.
func (s *sockets) forgetLeft(p *protocol) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, e := range p.left {
		if e.closed || s.gen-e.gone >= leftSamples && e.Rec.IsRemains() {
			delete(p.left, key)
		}
	}
	for len(p.left) > leftLimit {
		oldest := s.gen
		for _, e := range p.left {
			oldest = min(oldest, e.gone)
		}
		maps.DeleteFunc(p.left, func(_ uint64, e *socket) bool { return e.gone == oldest })
	}
}

// socketOf is the socket of that cookie that a sample has seen, if one has.
func (p *protocol) socketOf(cookie uint64) *socket {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if e := p.known[cookie]; e != nil {
		return e
	}
	return p.left[cookie]
}

func (s *sockets) dumpOnce(ctx context.Context, p *protocol, request *nl.NetlinkRequest) error {
	err := p.diag.Dump(ctx, request, func(msg []byte) error {
		var r sockdiag.Record
		var name []byte
		var err error
		if p.decode != nil {
			r, name, err = p.decode(msg)
		} else {
			r, err = sockdiag.DecodeInetAt(msg, p.diag.Filled)
		}
		if err != nil {
			return err
		}
		if p.leavesOut(&r, name) {
			return nil
		}
		if p.bound != nil && r.State == sockdiag.StateClose {
			p.bound.seen++
		}
		p := p
		if p.second != nil && r.Family == p.second.af {
			p = p.second
		}
		if p.decode == nil {
			p.census.noteSubflow(&r)
		}
		if r.IsRemains() && p.decode == nil {
			if e := p.known[r.Cookie]; e != nil && e.waits == 0 {
				e.waits = timeWaitBegan(&r, msg, p.diag.Filled)
			} else if e == nil && p.closes != nil {
				p.seeRemains(&r, msg, p.diag.Filled)
				return nil
			}
		}
		s.see(p, r.Cookie, &r, name)
		return nil
	})
	// Without INET_RAW_DIAG, PACKET_DIAG or NETLINK_DIAG there is no handler. Asking makes the kernel look for a module
	// each time, so it is not asked again.
	if p.inProc && errors.Is(err, unix.ENOENT) {
		p.fromProc = true
		return s.dumpProc(p)
	}
	return err
}

// dumpProc reads the sockets from /proc/net. They have no cookie there; the inode does
// as well, because a raw, UDP-Lite, packet, netlink or ping socket has one for as long as it lives.
func (s *sockets) dumpProc(p *protocol) error {
	file := p.ns.proc + "/net/" + cmp.Or(p.procName, p.proto)
	if p.af == unix.AF_INET6 {
		file += "6"
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) && (p.af == unix.AF_INET6 || p.proto != "raw") {
		return nil // a kernel without IPv6, UDP-Lite or packet sockets has none
	}
	if err != nil {
		return err
	}
	switch p.af {
	case unix.AF_PACKET:
		return sockdiag.ParseProcPacket(text, func(r sockdiag.Record) { s.see(p, uint64(r.Inode), &r, nil) })
	case unix.AF_NETLINK:
		return sockdiag.ParseProcNetlink(text, func(r sockdiag.Record, groups []byte) {
			if !p.leavesOut(&r, groups) {
				s.see(p, uint64(r.Inode), &r, groups)
			}
		})
	}
	return sockdiag.ParseProcRaw(text, p.af, func(r sockdiag.Record) { s.see(p, uint64(r.Inode), &r, nil) })
}

// find is the known socket of that key. The kernel tells of them in the same order each time, so that most need not be
// looked for: twenty thousand look-ups in a map take milliseconds.
func (p *protocol) find(key uint64) *socket {
	if p.next < len(p.order) {
		if e := p.order[p.next]; e.Rec.Cookie == key && key != 0 {
			p.next++
			return e
		}
	}
	e := p.known[key]
	if e != nil {
		p.next = int(e.Place) + 1
	}
	return e
}

// see takes note of one socket of a dump.
func (s *sockets) see(p *protocol, key uint64, r *sockdiag.Record, name []byte) {
	e := p.find(key)
	if e == nil {
		e = &socket{young: p.primed}
		p.mu.Lock()
		p.known[key] = e
		p.mu.Unlock()
		e.renamed, e.dirty = true, true
	}
	if e.Dump != p.dump {
		e.Dump, e.Place = p.dump, uint32(len(p.seen))
		p.seen = append(p.seen, e)
	}
	if e.Abandoned {
		r.Inode = 0 // nobody can have it open
	}
	r.Remember(&e.Rec)
	r.Settle(&e.Rec, p.diag.Filled, s.moments.settle)
	if e.Rec == *r && e.name == string(name) && !e.Unlisted {
		return
	}
	s.update(p, e, r, name)
}

// update makes r what is known of e.
func (s *sockets) update(p *protocol, e *socket, r *sockdiag.Record, name []byte) {
	e.dirty = true
	if p.traffic != nil && (p.primed || e.subject != nil) {
		if g := growthOf(e, &e.Rec, r); !g.isZero() {
			p.grown = append(p.grown, g)
		}
	}
	if p.symptoms != nil && r.Drops > e.Rec.Drops && (p.primed || e.subject != nil) {
		p.lost = append(p.lost, loss{e, r.Drops - e.Rec.Drops})
	}
	if e.Unlisted { // connected or bound once more
		p.relist(e, r)
	}
	e.renamed = e.renamed || !e.Rec.SameName(r)
	e.moved = e.moved || e.Rec.State != r.State
	if e.name != string(name) {
		e.name, e.renamed = string(name), e.renamed || p.af == unix.AF_UNIX
	}
	if p.af == unix.AF_UNIX {
		if r.Peer != 0 || r.Has&sockdiag.HasPeer == 0 {
			e.peer = r.Peer
		}
	}
	if r.Has&sockdiag.HasUID != 0 {
		e.UID, e.UIDKnown = r.UID, true
	}
	if e.Rec.Inode == r.Inode {
		e.Rec = *r
		return
	}
	if r.IsRemains() && e.Rec.Inode != 0 && p.mayBeHeld(e) {
		e.Rec = *r
		p.doubtful = append(p.doubtful, e) // forgetVanished comes before
		return
	}
	if e.Rec.Inode != 0 || len(e.Holders) > 0 {
		s.owners.Vanished(&e.Held)
	}
	e.Rec = *r
	if r.Inode != 0 {
		e.Inode = r.Inode
		s.owners.Appeared(&e.Held)
	}
}
