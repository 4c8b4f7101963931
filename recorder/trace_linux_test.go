package recorder

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/crowd"
	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/internal/tracepoint"
	"netsql/recorder/kerneltest"
)

const (
	testState = 1 + iota
	testReset
	testDestroy
)

// A play is what tracepoints tell, a millisecond after the other.
type play struct {
	*trace
	at time.Duration
}

func newPlay() *play {
	return &play{trace: newTrace(traceEvents{state: testState, reset: testReset, destroy: testDestroy}), at: time.Hour}
}

var here1 = tracedEnds{endpoints{[16]byte{10, 0, 0, 1}, [16]byte{10, 0, 0, 2}, 40000, 443}, unix.AF_INET}

// unbound are the ends as connect tells them: it has no port of its own yet.
func (e tracedEnds) unbound() tracedEnds {
	e.sport = 0
	return e
}

func (p *play) tell(v traceEvent) *play {
	p.at += time.Millisecond
	v.at = cmp.Or(v.at, p.at)
	p.at = v.at
	p.batch = append(p.batch, v)
	return p
}

func (p *play) turn(sock uint64, ends tracedEnds, from, to uint32, interrupt bool) *play {
	return p.tell(traceEvent{id: testState, sock: sock, ends: ends, from: from, to: to, interrupt: interrupt, pid: uint32(os.Getpid()), tid: uint32(os.Getpid())})
}

func (p *play) resets(sock uint64, ends tracedEnds) *play {
	return p.tell(traceEvent{id: testReset, sock: sock, ends: ends, interrupt: true})
}

func (p *play) connects(sock uint64) *play {
	return p.turn(sock, here1.unbound(), sockdiag.StateClose, sockdiag.StateSynSent, false)
}

func (p *play) answered(sock uint64) *play {
	return p.turn(sock, here1, sockdiag.StateSynSent, sockdiag.StateEstablished, true)
}

// asked is what is known of the socket with those ends and that cookie.
func (p *play) asked(ends tracedEnds, cookie uint64) string { return p.askedIn(0, ends, cookie) }

func (p *play) askedIn(netns uint64, ends tracedEnds, cookie uint64) string {
	p.settle(p.at)
	e := p.claim(&sockdiag.Record{Family: ends.family, Src: ends.src, Dst: ends.dst, SPort: ends.sport, DPort: ends.dport, Cookie: cookie}, netns)
	if e == nil {
		return "nothing"
	}
	text := cmp.Or(e.outcome.String(), "unknown")
	if e.who != nil {
		text += fmt.Sprintf(", by %d", e.who.PID)
	}
	if e.established != 0 {
		text += fmt.Sprintf(", in %v", e.established-e.opened)
	}
	return text
}

// What the tracepoints tell is put together to how a connection ended, and who made it. States by number: 1 ESTABLISHED, 2 SYN_SENT, 4 FIN_WAIT1,
// 7 CLOSE, 8 CLOSE_WAIT, 9 LAST_ACK.
func TestTraceOutcomes(t *testing.T) {
	t.Parallel()
	me := fmt.Sprintf(", by %d", os.Getpid())
	const sock, other = 0xffff8881, 0xffff8882
	forgotten := tracedEnds{endpoints{sport: here1.sport}, unix.AF_INET}
	for _, c := range []struct {
		name string
		play func(p *play)
		ends tracedEnds
		want string
	}{
		{"closed here first", func(p *play) { p.connects(sock).answered(sock).turn(sock, here1, 1, 4, false) }, here1, "established" + me + ", in 1ms"},
		{"closed there first", func(p *play) { p.connects(sock).answered(sock).turn(sock, here1, 8, 9, false) }, here1, "established" + me + ", in 1ms"},
		{"accepted", func(p *play) { p.turn(sock, here1, 8, 9, false) }, here1, "established" + me},
		{"the FIN of a process that is gone", func(p *play) { p.turn(sock, here1, 8, 9, true) }, here1, "established"},
		{"refused", func(p *play) { p.connects(sock).resets(sock, here1).turn(sock, here1, 2, 7, true) }, here1, "refused" + me},
		{"refused while the process was at work in the kernel", func(p *play) { p.connects(sock).resets(sock, here1).turn(sock, here1, 2, 7, false) }, here1, "refused" + me},
		{"nobody answered", func(p *play) { p.connects(sock).at += 3 * time.Second; p.turn(sock, here1, 2, 7, true) }, here1, "unanswered" + me},
		{"given up", func(p *play) { p.connects(sock).turn(sock, here1, 2, 7, false) }, here1, "unanswered" + me},
		{"no local port", func(p *play) { p.connects(sock).turn(sock, here1.unbound(), 2, 7, false) }, here1.unbound(), "no local port" + me},
		{"its own port, and given up", func(p *play) {
			p.turn(sock, here1, 7, 2, false).at += 20 * time.Millisecond
			p.turn(sock, here1, 2, 7, false)
		}, here1, "unanswered" + me},
		{"its own port, taken or given up at once", func(p *play) { p.turn(sock, here1, 7, 2, false).turn(sock, here1, 2, 7, false) }, here1, "unknown" + me},
		{"its own port, and nobody answered", func(p *play) { p.turn(sock, here1, 7, 2, false).at += 3 * time.Second; p.turn(sock, here1, 2, 7, true) }, here1, "unanswered" + me},
		{"a router said that there is no way", func(p *play) { p.connects(sock).turn(sock, here1, 2, 7, true) }, here1, "unknown" + me},
		{"reset there", func(p *play) { p.connects(sock).answered(sock).resets(sock, here1).turn(sock, here1, 1, 7, true) }, here1, "reset by peer" + me + ", in 1ms"},
		{"reset there, accepted", func(p *play) { p.resets(sock, here1).turn(sock, here1, 1, 7, true) }, here1, "reset by peer"},
		{"reset there after the close", func(p *play) { p.turn(sock, here1, 1, 4, false).resets(sock, here1) }, here1, "reset by peer" + me},
		{"reset here", func(p *play) { p.turn(sock, here1, 1, 7, false) }, here1, "reset by us" + me},
		{"reset here after the other end's FIN", func(p *play) { p.turn(sock, here1, 8, 7, false) }, here1, "reset by us" + me},
		{"nothing came back", func(p *play) { p.turn(sock, here1, 1, 7, true) }, here1, "timed out"},
		{"still connecting", func(p *play) { p.connects(sock) }, here1, "nothing"},
		{"still there", func(p *play) { p.connects(sock).answered(sock) }, here1, "nothing"},
		{"the kernel has forgotten the ends", func(p *play) {
			p.connects(sock).resets(sock, here1).turn(sock, here1, 2, 7, true).tell(traceEvent{id: testDestroy, sock: sock, ends: forgotten, cookie: 7})
		}, forgotten, "refused" + me},
		{"another cookie", func(p *play) {
			p.turn(sock, here1, 1, 7, false).tell(traceEvent{id: testDestroy, sock: sock, ends: forgotten, cookie: 8})
		}, forgotten, "nothing"},
		{"another socket at its address, never connected", func(p *play) {
			p.turn(sock, here1, 1, 7, false).tell(traceEvent{id: testDestroy, sock: sock, ends: tracedEnds{family: unix.AF_INET}, cookie: 7})
		}, forgotten, "nothing"},
		{"a listener at its address", func(p *play) {
			p.turn(sock, here1, 1, 7, false).turn(sock, forgotten, 7, sockdiag.StateListen, false).tell(traceEvent{id: testDestroy, sock: sock, ends: forgotten, cookie: 7})
		}, forgotten, "nothing"},
		{"never connected", func(p *play) { p.tell(traceEvent{id: testDestroy, sock: sock, ends: forgotten, cookie: 7}) }, forgotten, "nothing"},
		{"another socket at its address before its close is told", func(p *play) {
			next := here1
			next.sport++
			p.connects(sock).answered(sock).turn(sock, here1, 1, 4, false).connects(sock).turn(sock, next, 2, 1, true)
		}, here1, "established" + me + ", in 1ms"},
		{"two namespaces have the same ends at once", func(p *play) {
			p.connects(sock).answered(sock).connects(other).answered(other).turn(sock, here1, 1, 4, false).turn(other, here1, 1, 7, false)
		}, here1, "nothing"},
		{"the same ends one after the other", func(p *play) {
			p.connects(sock).answered(sock).turn(sock, here1, 1, 4, false).connects(other).answered(other).turn(other, here1, 1, 7, false)
		}, here1, "established" + me + ", in 1ms"},
		{"the rings were read one after the other", func(p *play) {
			p.connects(sock).answered(sock).turn(sock, here1, 1, 4, false)
			slices.Reverse(p.batch)
		}, here1, "established" + me + ", in 1ms"},
	} {
		p := newPlay()
		c.play(p)
		if got := p.asked(c.ends, 7); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if c.want != "nothing" && c.name != "the same ends one after the other" {
			if got := p.asked(c.ends, 7); got != "nothing" {
				t.Errorf("%s: told twice, the second time %s", c.name, got)
			}
		}
	}
}

// Where two network namespaces have the same ends, each socket gets what its own process did, in whatever order their closes are told; nobody else's.
func TestTraceTellsNamespacesApart(t *testing.T) {
	t.Parallel()
	const red, blue, lost = 11, 22, 33 // threads, and namespaces; of the last one it is not known
	begin := func() *play {
		p := newPlay()
		for _, n := range []uint32{red, blue, lost} {
			p.peeked[n] = &peeked{at: 2 * p.at, Peeked: owners.Peeked{PID: int32(n)}}
			p.threads[n] = placed{uint64(n % lost), 2 * p.at}
		}
		return p
	}
	by := func(p *play, n uint32) *play {
		for i := range p.batch {
			if v := &p.batch[i]; v.tid == uint32(os.Getpid()) {
				v.pid, v.tid = n, n
			}
		}
		return p
	}
	opens := func(p *play, n uint32) { by(p.connects(uint64(n)).answered(uint64(n)), n) }
	closes := func(p *play, n uint32) { by(p.turn(uint64(n), here1, 1, 4, false), n) }
	resets := func(p *play, n uint32) { by(p.turn(uint64(n), here1, 1, 7, false), n) }
	asked := func(p *play, order ...uint32) (got []string) {
		for _, n := range order {
			got = append(got, fmt.Sprintf("%d: %s", n, p.askedIn(uint64(n), here1, 0)))
		}
		return got
	}
	owned := func(r *play, n uint32) int32 {
		r.settle(r.at)
		if who := r.whose(&sockdiag.Record{Family: here1.family, Src: here1.src, Dst: here1.dst, SPort: here1.sport, DPort: here1.dport}, uint64(n)); who != nil {
			return who.PID
		}
		return 0
	}
	both := []string{"22: reset by us, by 22, in 1ms", "11: established, by 11, in 1ms"}
	for _, c := range []struct {
		name  string
		play  func(p *play)
		order []uint32
		want  []string
	}{
		{"at once", func(p *play) { opens(p, red); opens(p, blue); closes(p, red); resets(p, blue) }, []uint32{blue, red}, both},
		{"one after the other", func(p *play) { opens(p, red); closes(p, red); opens(p, blue); resets(p, blue) }, []uint32{blue, red}, both},
		{"accepted at once", func(p *play) { closes(p, red); resets(p, blue) }, []uint32{blue, red}, []string{"22: reset by us, by 22", "11: established, by 11"}},
		{"one is there, and one accepted", func(p *play) { opens(p, red); resets(p, blue); closes(p, red) }, []uint32{blue, red}, []string{"22: reset by us, by 22", both[1]}},
		{"one of them is asked for", func(p *play) { opens(p, red); closes(p, red) }, []uint32{blue, red}, []string{"22: nothing", both[1]}},
		{"it is not known of which one is", func(p *play) { opens(p, lost); closes(p, lost); opens(p, blue); resets(p, blue) }, []uint32{blue, blue},
			[]string{"22: nothing", "22: nothing"}},
		{"it is not known of which one is, and of the other it is", func(p *play) { opens(p, lost); closes(p, lost); opens(p, red); closes(p, red) }, []uint32{blue, red},
			[]string{"22: established, by 33, in 1ms", both[1]}},
		{"it is not known of which the only one is", func(p *play) { opens(p, lost); closes(p, lost) }, []uint32{blue}, []string{"22: established, by 33, in 1ms"}},
	} {
		p := begin()
		c.play(p)
		if diff := gocmp.Diff(c.want, asked(p, c.order...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	p := begin()
	opens(p, red)
	if got := []int32{owned(p, blue), owned(p, red)}; got[0] != 0 || got[1] != red {
		t.Errorf("while it is there, it is of %d in the other namespace and of %d in its own", got[0], got[1])
	}
	opens(p, blue)
	if got := []int32{owned(p, blue), owned(p, red)}; got[0] != blue || got[1] != red {
		t.Errorf("while both are there, they are of %v", got)
	}
	resets(p, red)
	forgotten := tracedEnds{endpoints{sport: here1.sport}, here1.family}
	p.tell(traceEvent{id: testDestroy, sock: red, ends: forgotten, cookie: 7})
	if got := p.askedIn(blue, forgotten, 7); got != "nothing" {
		t.Errorf("by its cookie it is told in the other namespace: %s", got)
	}
}

// What nobody asks for is forgotten in time, and there is never more than a bound of it.
func TestTraceForgets(t *testing.T) {
	t.Parallel()
	p := newPlay()
	for i := range uint64(3 * tracedMost / 2) {
		ends := here1
		binary.NativeEndian.PutUint64(ends.src[:], i)
		p.turn(i, ends, 1, 4, false)
		if i%1000 == 0 {
			p.settle(p.at)
		}
	}
	p.settle(p.at)
	last := here1
	binary.NativeEndian.PutUint64(last.src[:], 3*tracedMost/2-1)
	if got := p.asked(last, 0); got == "nothing" {
		t.Error("what nobody asks for has left no room for more")
	}
	for i := range uint64(tracedMost + 10) {
		p.turn(i, here1, 1, 7, false).tell(traceEvent{id: testDestroy, sock: i, cookie: i})
		p.settle(p.at)
	}
	if len(p.live) > tracedMost || len(p.byEnds) > tracedMost || len(p.byCookie) > tracedMost {
		t.Errorf("%d by address, %d by ends, %d by cookie", len(p.live), len(p.byEnds), len(p.byCookie))
	}
	p.now = p.at + tracedFor + time.Second
	p.prune(tracedFor)
	if len(p.live)+len(p.byEnds)+len(p.byCookie)+len(p.batch) != 0 {
		t.Errorf("later: %d by address, %d by ends, %d by cookie, %d events", len(p.live), len(p.byEnds), len(p.byCookie), len(p.batch))
	}
}

// Events that this kernel does not make, too short or of an unknown number, are counted and do nothing.
func FuzzTraceEvents(f *testing.F) {
	f.Add(uint16(testState), make([]byte, 72))
	f.Add(uint16(testDestroy), make([]byte, 9))
	f.Fuzz(func(t *testing.T, id uint16, raw []byte) {
		if len(raw) < 8 {
			return
		}
		at := sockFields{8, 24, 26, 28, 32, 36, 40, 56}
		tr := newTrace(traceEvents{state: testState, reset: testReset, destroy: testDestroy, stateAt: at, resetAt: at, destroyAt: at, oldstate: 16, newstate: 20, cookie: 64})
		tr.Take(&tracepoint.Sample{ID: int(id), Raw: raw, PID: 0})
		tr.settle(time.Hour)
		if whole := len(raw) >= 72; (tr.garbled == 0) != (whole && id >= testState && id <= testDestroy) {
			t.Errorf("%d bytes of event %d: %d make no sense", len(raw), id, tr.garbled)
		}
	})
}

// traced begins to record the sockets of this namespace with their closes and the trace.
func tracedSockets(t *testing.T, r *testRecording) *sockets {
	t.Helper()
	s := newSockets(r.Writer).(*sockets)
	var err error
	if s.trace, err = openTrace(); err != nil {
		kerneltest.NeedTracing(t, err)
	}
	if s.monitor, err = newMonitor(); err != nil {
		t.Fatal(err)
	}
	if err := s.trace.record(r.Writer); err != nil {
		t.Fatal(err)
	}
	s.budget = 1 << 16
	s.enter(here(t))
	t.Cleanup(s.close)
	return s
}

// ownPorts is kerneltest.InNetNS with a loopback device. Elsewhere a port may have connections that are left of others, closed a minute ago.
func ownPorts(t *testing.T) bool {
	t.Helper()
	if !kerneltest.InNetNS(t) {
		return false
	}
	if err := crowd.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	return true
}

// unlessLost skips the rest of the test where the trace has lost events, and says so: on a busy machine all others' connections go through its rings, too. What
// it does not know then is unknown, and no fault.
func unlessLost(t *testing.T, r *testRecording, s *sockets) {
	t.Helper()
	r.sampleNow(s)        // so that the rings have room
	onEachCPU(t, func() { // the kernel tells of a loss with the next event in the same ring
		if c, err := net.Dial("tcp4", "127.0.0.1:1"); err == nil {
			c.Close()
		}
	})
	r.sampleNow(s)
	if gaps := r.rows("SELECT detail FROM gaps WHERE source = 'trace'"); len(gaps) > 0 {
		t.Skipf("%v", gaps)
	}
}

// untilTold samples until that is so, for twenty seconds at most. The kernel tells of closes from a queue of work that all network namespaces share
// (sock_diag_broadcast_destroy of net/core/sock_diag.c): a crowd of closes in another is told of before ours.
func untilTold(r *testRecording, s *sockets, is func() bool) {
	for deadline := time.Now().Add(20 * time.Second); ; {
		r.sampleNow(s)
		if is() || time.Now().After(deadline) {
			return
		}
	}
}

// onEachCPU calls f on one CPU after the other.
func onEachCPU(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu, left := 0, all.Count(); left > 0; cpu++ {
		if !all.IsSet(cpu) {
			continue
		}
		left--
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Fatal(err)
		}
		f()
	}
	if err := unix.SchedSetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
}

// A server on the loopback address that ends each of its connections in that way.
func server(t *testing.T, end func(net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			end(c)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// blockingConnect connects as a plain program does, and closes.
func blockingConnect(t *testing.T, port int) error {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
}

// unused is a port on which nobody listens: it is bound, and stays so.
func unused(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return name.(*unix.SockaddrInet4).Port
}

// full is a port whose listener accepts nothing and has room for nobody.
func full(t *testing.T) (port int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port = name.(*unix.SockaddrInet4).Port
	c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return port
}

// Of a thousand connections that live between two samples, each end has its process, the time at which it was opened, and how it ended.
func TestTraceOfConnections(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)

	linger := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }
	closeAll := func(c net.Conn) { c.Close() }
	drain := func(c net.Conn) { io.Copy(io.Discard, c); c.Close() }
	untilClosed := func(c net.Conn) { c.Read(make([]byte, 1)); c.Close() }
	const each = 150
	type mix struct {
		port           int
		client, server string
		connect        func(port int)
	}
	dial := func(end func(net.Conn)) func(int) {
		return func(port int) {
			c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if errors.Is(err, unix.ECONNRESET) { // so soon
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			end(c)
		}
	}
	mixes := []mix{
		{server(t, closeAll), "established", "established", dial(drain)},
		{server(t, drain), "established", "established", dial(closeAll)},
		{unused(t), "refused", "", func(port int) {
			if err := blockingConnect(t, port); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("connect: %v", err)
			}
		}},
		{unused(t), "refused", "", func(port int) {
			if _, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("connect: %v", err)
			}
		}},
		{full(t), "unanswered", "", func(port int) {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
			if err != nil {
				t.Error(err)
				return
			}
			if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}); !errors.Is(err, unix.EINPROGRESS) {
				t.Errorf("connect: %v", err)
			}
			unix.Close(fd)
		}},
		{server(t, linger), "reset by peer", "reset by us", dial(untilClosed)},
		{server(t, untilClosed), "reset by us", "reset by peer", dial(linger)},
	}
	// A process that this one forks has its descriptors until it runs another program: it would be the last to close them.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	begin := time.Now()
	for _, m := range mixes {
		for range each {
			m.connect(m.port)
		}
	}
	end := time.Now()

	type row struct {
		Side string
		Port int
	}
	found := func() map[row]map[string]int {
		r.sampleNow(s)
		got := map[row]map[string]int{}
		for _, m := range mixes {
			for side, where := range map[string]string{"client": "remote_port = ? AND outcome <> ''", "server": "local_port = ? AND remote_port > 0"} {
				rows := r.rows("SELECT outcome, pid, owner_how, opened, connect_ms, ts FROM closed_sockets WHERE proto = 'tcp' AND "+where, m.port)
				for _, v := range rows {
					k := row{side, m.port}
					if got[k] == nil {
						got[k] = map[string]int{}
					}
					got[k][text(v["outcome"])]++
					if v["pid"] != int64(os.Getpid()) && !(side == "server" && m.server == "reset by peer") {
						t.Errorf("port %d, %s: process %v by %v", m.port, side, v["pid"], v["owner_how"])
					}
					opened := v["opened"].(float64)
					if side == "client" && (opened < float64(begin.UnixMicro())/1e6-0.002 || opened > float64(end.UnixMicro())/1e6+0.002) {
						t.Errorf("port %d: opened at %f, not from %v to %v", m.port, opened, begin, end)
					}
					if answered := side == "client" && m.client != "refused" && m.client != "unanswered"; answered != (v["connect_ms"] != nil) {
						t.Errorf("port %d, %s: connect took %v", m.port, side, v["connect_ms"])
					}
				}
			}
		}
		return got
	}
	want := map[row]map[string]int{}
	for _, m := range mixes {
		want[row{"client", m.port}] = map[string]int{m.client: each}
		if m.server != "" {
			want[row{"server", m.port}] = map[string]int{m.server: each}
		}
	}
	var got map[row]map[string]int
	// None is told wrongly, and 99 of a hundred are told.
	told := func() bool {
		for k, outcomes := range got {
			for outcome, n := range outcomes {
				if planted := want[k][outcome]; outcome != "" && planted == 0 || n > each {
					return false
				}
			}
		}
		for k, outcomes := range want {
			for outcome, n := range outcomes {
				if got[k][outcome] < n-n/100 {
					return false
				}
			}
		}
		return true
	}
	for range 50 { // the last of them may still be on its way through the kernel
		if got = found(); gocmp.Equal(want, got) || t.Failed() {
			break
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" && !told() {
		unlessLost(t, r, s)
		t.Errorf("(-planted +recorded):\n%s", diff)
	}
	if gaps := r.rows("SELECT * FROM gaps WHERE source = 'trace'"); len(gaps) > 0 {
		t.Skipf("gaps: %v", gaps)
	}
}

// A program that connects and is gone before anybody looks keeps its number and its name; so does one that gives up.
func TestTraceOfAShortLife(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	port := server(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	cmd := exec.CommandContext(context.Background(), "bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d", port))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var rows []map[string]any
	for range 50 { // a sample may see its TIME_WAIT before its close is told
		r.sampleNow(s)
		if rows = r.rows("SELECT pid, comm, owner_how, outcome FROM connections WHERE remote_port = ? AND outcome <> ''", port); len(rows) > 0 {
			break
		}
	}
	want := []map[string]any{{"pid": int64(cmd.Process.Pid), "comm": "bash", "owner_how": "trace", "outcome": "established"}}
	if diff := gocmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where no descriptor leads to a socket, the process that opened or closed it is named: its descriptor is closed and the connection not over, or
// it is being passed on.
func TestTraceOfSampledSockets(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	var kept []net.Conn // those of clients
	dial := func(port int) net.Conn {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c)
		return c
	}
	t.Cleanup(func() {
		for _, c := range kept {
			c.Close()
		}
	})
	half := server(t, func(c net.Conn) { c.Close() })
	io.Copy(io.Discard, dial(half)) // the client does not close: FIN_WAIT1 or FIN_WAIT2
	waits := server(t, func(c net.Conn) { c.Close() })
	for range 4 {
		c := dial(waits)
		io.Copy(io.Discard, c)
		c.Close() // TIME_WAIT
	}
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	passes := server(t, func(c net.Conn) { <-hold })
	ask := func() []map[string]any {
		return r.rows(`SELECT iif(local_port IN (?1, ?2, ?3), 'server', 'client') AS side, iif(state LIKE 'FIN_WAIT%', 'FIN_WAIT', state) AS state, pid, owner_how FROM sockets_now
			WHERE proto = 'tcp' AND sockets_now.state NOT IN ('LISTEN', 'TIME_WAIT') AND (local_port IN (?1, ?2, ?3) OR remote_port IN (?1, ?2, ?3)) ORDER BY state, side`, half, waits, passes)
	}
	me := int64(os.Getpid())
	want := []map[string]any{
		{"side": "client", "state": "CLOSE_WAIT", "pid": me, "owner_how": "fd"},
		{"side": "server", "state": "FIN_WAIT", "pid": me, "owner_how": "trace"},
	}
	waiting := func() map[string]any {
		return r.rows("SELECT coalesce(sum(owner_how = 'trace'), 0) > 0 AS some, coalesce(sum(pid IS NOT ?), 0) AS others FROM sockets_now WHERE local_port = ? AND state = 'TIME_WAIT'", me, waits)[0]
	}
	for range 50 { // a sample may see a TIME_WAIT before its close is told
		if r.sampleNow(s); waiting()["some"] == int64(1) {
			break
		}
	}
	for n := range 3 { // and it stays so
		r.sampleNow(s)
		if diff := gocmp.Diff(want, ask()); diff != "" {
			unlessLost(t, r, s)
			t.Errorf("sample %d (-want +got):\n%s", n, diff)
		}
		if got := waiting(); got["some"] != int64(1) || got["others"] != int64(0) {
			unlessLost(t, r, s)
			t.Errorf("sample %d: in TIME_WAIT: %v", n, got)
		}
	}
	// A descriptor that is on its way to another process is in nobody's hands.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: passes}),
		unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(fd), nil, 0),
		unix.Close(fd),
	); err != nil {
		t.Fatal(err)
	}
	r.sampleNow(s)
	rows := r.rows("SELECT pid, owner_how FROM sockets_now WHERE remote_port = ?", passes)
	if diff := gocmp.Diff([]map[string]any{{"pid": me, "owner_how": "trace"}}, rows); diff != "" {
		unlessLost(t, r, s)
		t.Errorf("on its way (-want +got):\n%s", diff)
	}
}

// Who closes a socket while its owner is looked for is its owner in that sample, too.
func TestTraceOfACloseDuringTheSearch(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s.owners.Opener = func(*owners.Held) int32 { accepted.Close(); return 0 } // what the search begins with
	r.sampleNow(s)
	want := []map[string]any{{"state": "ESTABLISHED", "pid": int64(os.Getpid()), "owner_how": "trace"}}
	if diff := gocmp.Diff(want, r.rows("SELECT state, pid, owner_how FROM sockets_now WHERE local_port = ? AND state <> 'LISTEN'", port(l.Addr().String()))); diff != "" {
		unlessLost(t, r, s)
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The rings are emptied before they are full, whether a close is told or a sample taken, or not.
func TestTraceReadsItsRings(t *testing.T) {
	t.Parallel()
	tr, err := openTrace()
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	tr.reader.Close()
	if tr.reader, err = tracepoint.Open(tr.events.list, 0); err != nil { // the smallest rings
		t.Fatal(err)
	}
	if err := tr.reader.Watch(tr.drain); err != nil {
		t.Fatal(err)
	}
	defer tr.close()
	port := server(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	readings := map[time.Duration]bool{}
	eventually(t, "the rings are read", func() bool {
		for range 100 {
			c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		readings[tr.now] = true
		return len(readings) > 2+runtime.NumCPU() // each is read once at the begin
	})
}

// A connection that was made from a port on which something listens, too, goes out: the trace has seen it.
func TestTraceTellsTheDirection(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	port := server(t, func(c net.Conn) { <-hold; c.Close() })
	shared := func(addr [4]byte, port int) (fd int) {
		t.Helper()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1), unix.Bind(fd, &unix.SockaddrInet4{Addr: addr, Port: port})); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	client := shared([4]byte{127, 0, 0, 1}, 0)
	name, err := unix.Getsockname(client)
	if err != nil {
		t.Fatal(err)
	}
	local := name.(*unix.SockaddrInet4).Port
	if err := errors.Join(unix.Connect(client, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}), unix.Listen(shared([4]byte{}, local), 1)); err != nil {
		t.Fatal(err)
	}
	r.sampleNow(s)
	rows := r.rows("SELECT local_port = ?1 AS client, direction FROM sockets_now WHERE state = 'ESTABLISHED' AND ? IN (local_port, remote_port) ORDER BY 1", local, port)
	want := []map[string]any{{"client": int64(0), "direction": "in"}, {"client": int64(1), "direction": "out"}}
	if diff := gocmp.Diff(want, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of a connection whose other end takes nothing any more until the patience of TCP_USER_TIMEOUT is over, the outcome is that it timed out.
func TestTraceOfATimeout(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	hold := make(chan struct{})
	defer close(hold)
	port := server(t, func(c net.Conn) { <-hold; c.Close() })
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		outside := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 100) })
		return errors.Join(outside, err)
	}}
	const n = 4
	for range n {
		c, err := d.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = c.Write(make([]byte, 1<<20))
		}
		c.Close()
		if !errors.Is(err, unix.ETIMEDOUT) {
			t.Fatal(err)
		}
	}
	var rows []map[string]any
	untilTold(r, s, func() bool {
		rows = r.rows("SELECT outcome, owner_how FROM closed_sockets WHERE remote_port = ?", port)
		return len(rows) >= n
	})
	timedOut, unknown := 0, 0
	for _, row := range rows {
		switch {
		case row["outcome"] == "timed out" && row["owner_how"] == "trace":
			timedOut++
		case row["outcome"] == nil:
			unknown++
		}
	}
	if timedOut == 0 || timedOut+unknown != n {
		unlessLost(t, r, s)
		t.Errorf("%d connections that timed out: %v", n, rows)
	}
}

// A connection is never told to have ended as one with the same ends did in a namespace that is not recorded.
func TestTraceBesideAnotherNamespace(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	const local, remote = 50_000, 7000
	connect := func(linger int) {
		t.Helper()
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", fmt.Sprintf("127.0.0.1:%d", remote))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: local}}
		client, err := d.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if err := client.(*net.TCPConn).SetLinger(linger); err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		client.Close()
		io.Copy(io.Discard, server) // until that has come
	}
	elsewhere := make(chan error)
	go func() {
		runtime.LockOSThread() // and never let go: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			err = crowd.LoopbackUp()
		}
		if err == nil {
			connect(0) // reset
		}
		elsewhere <- err
	}()
	if err := <-elsewhere; err != nil {
		t.Fatal(err)
	}
	connect(-1)
	// The reset came to nobody in particular, so that the other end here may be either of two.
	const ask = `SELECT iif(local_port = ?1, 'client', 'server') AS side, coalesce(outcome, 'established') AS outcome, iif(local_port = ?1, owner_how, 'any') AS owner_how
		FROM closed_sockets WHERE ?1 IN (local_port, remote_port) ORDER BY side`
	want := []map[string]any{
		{"side": "client", "outcome": "established", "owner_how": "trace"},
		{"side": "server", "outcome": "established", "owner_how": "any"},
	}
	var rows []map[string]any
	untilTold(r, s, func() bool {
		rows = r.rows(ask, local)
		return len(rows) >= len(want)
	})
	if diff := gocmp.Diff(want, rows); diff != "" {
		unlessLost(t, r, s)
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A connect for which no local port is left names who made it and where to, and it is no silence of the other end.
func TestTraceWithoutALocalPort(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40003"), 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp4", "127.0.0.1:443")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	connect := func(port int) error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if port != 0 {
			err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port}))
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 443})
		}
		if err != nil {
			unix.Close(fd)
		}
		return err
	}
	for _, port := range []int{40000, 0, 0, 0} {
		if err := connect(port); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if err := connect(0); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Fatalf("connect: %v", err)
		}
	}
	if err := connect(40000); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Fatalf("connect from a taken port: %v", err)
	}
	var rows []map[string]any
	untilTold(r, s, func() bool {
		rows = r.rows("SELECT pid, remote_addr, remote_port, outcome, count(*) AS n FROM closed_sockets GROUP BY 1, 2, 3, 4 ORDER BY 4 DESC")
		return len(rows) == 2 && rows[0]["n"] == int64(3)
	})
	me := int64(os.Getpid())
	if diff := gocmp.Diff([]map[string]any{
		{"pid": me, "remote_addr": "127.0.0.1", "remote_port": int64(443), "outcome": "no local port", "n": int64(3)},
		{"pid": me, "remote_addr": "127.0.0.1", "remote_port": int64(443), "outcome": nil, "n": int64(1)},
	}, rows); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// More events than may be told of in a second switch the trace off for a while: that is said, and nothing is known of what happens meanwhile.
func TestTraceBudget(t *testing.T) {
	if !ownPorts(t) {
		return
	}
	r := newRecording(t)
	s := tracedSockets(t, r)
	r.sampleNow(s)
	port := server(t, func(c net.Conn) { io.Copy(io.Discard, c); c.Close() })
	connect := func() (local int) {
		t.Helper()
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.TCPAddr).Port
	}
	outcome := func(local int) any {
		t.Helper()
		var rows []map[string]any
		untilTold(r, s, func() bool {
			rows = r.rows("SELECT outcome FROM closed_sockets WHERE local_port = ? AND remote_port = ?", local, port)
			return len(rows) > 0
		})
		if len(rows) == 0 {
			t.Fatal("no close")
		}
		return rows[0]["outcome"]
	}
	said := func() bool {
		return len(r.rows("SELECT detail FROM gaps WHERE source = 'trace' AND until IS NULL AND detail LIKE 'the trace is switched off for 1h%more than 10 events in a second%'")) > 0
	}
	want := func(when string, want any, off bool) {
		t.Helper()
		if got := outcome(connect()); got != want || said() != off {
			if !off {
				unlessLost(t, r, s)
			}
			t.Errorf("%s: %v, want %v; said that it is off: %v", when, got, want, said())
		}
	}
	want("at first", "established", false)
	s.trace.mu.Lock()
	s.trace.most, s.trace.rest = 10, time.Hour
	s.trace.mu.Unlock()
	for range 100 {
		connect()
	}
	r.sampleNow(s)
	want("after too many", nil, true)
	want("and still", nil, true)
	s.trace.mu.Lock()
	s.trace.most, s.trace.rest = tracedEvents, 0
	s.trace.mu.Unlock()
	r.sampleNow(s)
	want("on again", "established", false)
}

// Closes that are only counted have their process, as long as these are few; and where they are many, it is still told who talked to whom.
func TestCountedClosesHaveTheirProcess(t *testing.T) {
	t.Parallel()
	close := func(pid, n int) *closeEvent {
		ends := here1
		ends.sport = uint16(20000 + n%40000)
		who := owners.Peeked{PID: int32(pid), Start: uint64(pid), Comm: "shop"}
		return &closeEvent{
			at: time.Duration(n), proto: unix.IPPROTO_TCP, traced: &traced{ends: ends, who: &who, outcome: outcomeEstablished},
			rec: sockdiag.Record{Family: unix.AF_INET, Src: ends.src, Dst: ends.dst, SPort: ends.sport, DPort: ends.dport, Has: sockdiag.HasInfo, RTT: 9},
		}
	}
	for _, c := range []struct {
		processes int
		apart     bool
	}{{3, true}, {5000, false}} {
		l := newCloseLog(64)
		const all = 30_000
		want, got, total := map[int32]int64{}, map[int32]int64{}, 0
		for n := range all {
			e := close(1000+n%c.processes, n)
			want[e.traced.who.PID]++
			l.add(e, false)
		}
		for i := range l.single {
			got[l.single[i].traced.who.PID]++
			total++
		}
		for k, g := range l.groups {
			if g.who != nil {
				got[g.who.PID] += g.count
			}
			total += int(g.count)
			if k.scope != ofService || k.addr != here1.dst || k.port != here1.dport || k.peer != here1.src {
				t.Errorf("%d processes: a sum of %+v", c.processes, k)
			}
		}
		if total != all || len(l.groups) > 64+8+1 {
			t.Errorf("%d processes: %d closes of %d in %d sums", c.processes, total, all, len(l.groups))
		}
		if c.apart {
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%d processes (-planted +told):\n%s", c.processes, diff)
			}
		}
	}
}

// A connect that failed is counted as such, with where it was meant to go, also where the kernel's word of its close has neither.
func TestCountedFailures(t *testing.T) {
	t.Parallel()
	l := newCloseLog(8)
	const all = 1000
	for n := range all {
		e := &closeEvent{proto: unix.IPPROTO_TCP, rec: sockdiag.Record{Family: unix.AF_INET}, traced: &traced{ends: here1, outcome: outcomeRefused}}
		e.traced.ends.sport = uint16(20000 + n)
		if n%2 == 1 {
			e.traced.outcome = outcomeResetByPeer
		}
		l.add(e, false)
	}
	var failed, nameless int64
	for i := range l.single {
		if l.single[i].failed() {
			failed++
		}
	}
	for k, g := range l.groups {
		failed, nameless = failed+g.failed, nameless+g.nameless
		if k.addr != here1.dst || k.port != here1.dport {
			t.Errorf("a sum of %+v", k)
		}
	}
	if failed != all/2 || nameless != 0 {
		t.Errorf("%d of %d failed, of %d it is not known where they went", failed, all, nameless)
	}
}

// BenchmarkTrace prints what a connection of which both ends are on this machine costs from the rings to both closes.
func BenchmarkTrace(b *testing.B) {
	at := sockFields{8, 24, 26, 28, 32, 36, 40, 56}
	tr := newTrace(traceEvents{state: testState, reset: testReset, destroy: testDestroy, stateAt: at, resetAt: at, destroyAt: at, oldstate: 16, newstate: 20, cookie: 64})
	raw := make([]byte, 72)
	native := binary.NativeEndian
	now, pid := kernel.SinceBoot(), uint32(os.Getpid())
	take := func(after time.Duration, sock, from, to int, src, dst uint16, interrupt byte) {
		raw[2] = interrupt
		native.PutUint64(raw[8:], uint64(sock))
		native.PutUint32(raw[16:], uint32(from))
		native.PutUint32(raw[20:], uint32(to))
		native.PutUint16(raw[24:], src)
		native.PutUint16(raw[26:], dst)
		native.PutUint16(raw[28:], unix.AF_INET)
		tr.Take(&tracepoint.Sample{ID: testState, Raw: raw, PID: pid, Time: now + after})
	}
	claim := func(src, dst uint16) {
		e := tr.claim(&sockdiag.Record{Family: unix.AF_INET, SPort: src, DPort: dst}, 0)
		if e == nil {
			b.Fatal("nothing is known of it")
		}
		tr.done(e)
	}
	const (
		together = 500 // come in 50 ms at 10,000 a second
		every    = 100 * time.Microsecond
	)
	b.ReportAllocs()
	for n := 0; b.Loop(); n += together {
		port := func(i int) uint16 { return uint16(1024 + (n+i)%50000) }
		for i := range together {
			at := time.Duration(i) * every
			take(at, 2*i, sockdiag.StateClose, sockdiag.StateSynSent, 0, 443, 0)
			take(at+20*time.Microsecond, 2*i, sockdiag.StateEstablished, 4, port(i), 443, 0)
		}
		for i := range together { // in the ring of another CPU
			at := time.Duration(i) * every
			take(at+10*time.Microsecond, 2*i, sockdiag.StateSynSent, sockdiag.StateEstablished, port(i), 443, 0x10)
			take(at+30*time.Microsecond, 2*i+1, 8, 9, 443, port(i), 0)
		}
		now += together * every
		tr.settle(now)
		for i := range together {
			claim(port(i), 443)
			claim(443, port(i))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/together, "ns/connection")
}
