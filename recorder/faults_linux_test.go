package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// faultRun records a network namespace in which a test plants a fault, or what looks like one.
type faultRun struct {
	*testRecording
	t       *testing.T
	rand    *rand.Rand
	sources []source
	restart int // before this look the recorder is started again; 0: never
	looks   int
	traced  bool // the kernel tells how connections end
	sockets *sockets
	done    func()
	wire    int // a packet socket; 0: none yet
}

func newFaultRun(t *testing.T, seed uint64, traced bool) *faultRun {
	f := &faultRun{t: t, testRecording: &testRecording{t: t, path: filepath.Join(t.TempDir(), "test.db")}, rand: rand.New(rand.NewPCG(seed, 0)), traced: traced}
	t.Cleanup(func() {
		f.done()
		if err := f.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if seed%2 == 0 {
		f.restart = 4
	}
	links(t)
	f.begin()
	return f
}

func (f *faultRun) create() {
	f.t.Helper()
	var err error
	if f.Writer, err = store.Create(f.t.Context(), store.Options{Path: f.path, Interval: time.Second, Version: "test",
		Boot: store.Boot{ID: "boot", Host: "host", Kernel: "6.18", Started: time.Unix(1_700_000_000, 0)}}); err != nil {
		f.t.Fatal(err)
	}
}

// begin makes the sources that the recorder has in a network namespace.
func (f *faultRun) begin() {
	f.create()
	ns := here(f.t)
	s := newSockets(f.Writer).(*sockets)
	var err error
	if s.monitor, err = newMonitor(); err != nil {
		f.t.Fatal(err)
	}
	s.budget = DefaultCloseBudget
	if f.traced {
		if s.trace, err = openTrace(); err != nil {
			kerneltest.NeedTracing(f.t, err)
		}
		if err := s.trace.record(f.Writer); err != nil {
			f.t.Fatal(err)
		}
	}
	all := sources(f.Writer, ns)
	signs := newSymptoms(f.Writer, ns)
	signs.watch(all)
	s.lookFor(signs)
	s.enter(ns)
	machine := newMachineSymptoms(f.Writer, ns)
	s.owners.Counted = machine.lookAtDescriptors
	f.sources = append(append([]source{s}, all...), signs, machine)
	f.sockets, f.done = s, s.close
}

// look takes so many samples.
func (f *faultRun) look(n int) {
	f.t.Helper()
	for range n {
		if f.looks++; f.looks == f.restart {
			f.again()
		}
		f.sampleLater()
	}
}

// sampleLater takes a sample a second after the one before, by a clock that is ahead of the real one, by which closes are dated.
func (f *faultRun) sampleLater() {
	f.t.Helper()
	f.tick++
	ahead := time.Duration(f.tick) * time.Second
	clock, err := readClock()
	if err != nil {
		f.t.Fatal(err)
	}
	f.Begin(store.Clock{Wall: clock.Wall.Add(ahead), Uptime: clock.Uptime + ahead, Awake: clock.Awake + ahead})
	for _, s := range f.sources {
		s.read(f.t.Context())
	}
	if err := f.Commit(f.t.Context(), store.Cost{}); err != nil {
		f.t.Fatal(err)
	}
}

// again ends the recorder and starts another on the same recording, in the same boot.
func (f *faultRun) again() {
	f.t.Helper()
	f.done()
	f.done = func() {}
	if err := f.Writer.Close(context.Background()); err != nil {
		f.t.Fatal(err)
	}
	f.begin()
}

// listen is a listener with a backlog that accepts nothing by itself.
func (f *faultRun) listen(addr string, port, backlog int) int {
	f.t.Helper()
	at, family := end(addr, port)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { unix.Close(fd) })
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, at); err != nil {
		f.t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		f.t.Fatal(err)
	}
	return fd
}

func inet4(addr string, port int) *unix.SockaddrInet4 {
	a := &unix.SockaddrInet4{Port: port}
	copy(a.Addr[:], net.ParseIP(addr).To4())
	return a
}

// end is an address and port, and its family.
func end(addr string, port int) (unix.Sockaddr, int) {
	if !strings.Contains(addr, ":") {
		return inet4(addr, port), unix.AF_INET
	}
	a := &unix.SockaddrInet6{Port: port}
	copy(a.Addr[:], net.ParseIP(addr))
	return a, unix.AF_INET6
}

// connect begins to connect and does not wait.
func (f *faultRun) connect(addr string, port int) int {
	f.t.Helper()
	at, family := end(addr, port)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, at); err != nil && err != unix.EINPROGRESS && err != unix.ECONNREFUSED {
		f.t.Fatal(err)
	}
	return fd
}

func (f *faultRun) accept(fd int) int {
	f.t.Helper()
	got := -1
	eventually(f.t, "a connection to accept", func() bool {
		var err error
		got, _, err = unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		return err == nil
	})
	f.t.Cleanup(func() { unix.Close(got) })
	return got
}

// pair is a connection to the listener: the client's end and the server's.
func (f *faultRun) pair(listener int, addr string, port int) (client, server int) {
	client = f.connect(addr, port)
	return client, f.accept(listener)
}

// close closes a socket now; what the test has opened in between may have its number, so that it must not be closed again.
func (f *faultRun) shut(fd int) {
	if null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Dup3(null, fd, unix.O_CLOEXEC)
		unix.Close(null)
	}
}

// comm is the name of this program.
func (f *faultRun) comm() string {
	text, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func (f *faultRun) port() int { return 7000 + f.rand.IntN(1000) }

// writeAll writes so many bytes, as many as it takes.
func writeAll(fd, n int) {
	buf := make([]byte, n)
	for len(buf) > 0 {
		m, err := unix.Write(fd, buf)
		if err != nil {
			return
		}
		buf = buf[m:]
	}
}

func drainSocket(fd int) {
	buf := make([]byte, 1<<16)
	for {
		if n, err := unix.Read(fd, buf); n <= 0 || err != nil {
			return
		}
	}
}

// planted are faults, and what they must not be taken for: those have the fault "".
//
// Not planted is what a network namespace has no limit of its own for: connections that are tracked (nf_conntrack_max is read-only there), neighbours, orphans
// and the memory of TCP; what needs a module that not every kernel has: bonds; and what needs a card.
var planted = []struct {
	name, fault string
	traced      bool                              // it needs that the kernel tells how connections end
	plant       func(f *faultRun) (says []string) // what the finding must say
}{
	{"a listener that does not accept", "accept queue", false, func(f *faultRun) []string {
		port := f.port()
		f.listen("127.0.0.1", port, 1)
		f.listen("127.0.0.1", port+1000, 100)
		f.look(1)
		for range 8 {
			for range 3 + f.rand.IntN(5) {
				f.connect("127.0.0.1", port)
			}
			f.connect("127.0.0.1", port+1000)
			f.look(1)
		}
		return []string{fmt.Sprint("port ", port), f.comm(), "backlog is 1"}
	}},
	{"a herd at a listener that accepts it", "", false, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		l := f.listen("127.0.0.1", port, 2)
		f.look(1)
		for range 3 + f.rand.IntN(5) {
			f.connect("127.0.0.1", port)
		}
		for range 3 {
			f.accept(l)
		}
		f.look(1)
		for range 6 {
			for {
				if fd, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC); err != nil {
					break
				} else {
					f.shut(fd)
				}
			}
			f.look(1)
		}
		return nil
	}},
	{"a herd at a young listener that accepts it some seconds later", "", false, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		l := f.listen("127.0.0.1", port, 5)
		f.look(1)
		for range 15 + f.rand.IntN(10) {
			f.connect("127.0.0.1", port)
		}
		f.look(4)
		for range 6 {
			f.accept(l)
		}
		f.look(5)
		return nil
	}},
	{"a young listener that accepts nothing", "accept queue", false, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		f.listen("127.0.0.1", port, 5)
		f.look(1)
		for range 15 + f.rand.IntN(10) {
			f.connect("127.0.0.1", port)
		}
		f.look(6)
		return []string{fmt.Sprint("port ", port), f.comm(), "backlog is 5"}
	}},
	{"a program that does not read its UDP socket", "udp receive", false, func(f *faultRun) []string {
		port := f.port()
		l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { l.Close() })
		l.SetReadBuffer(1)
		c, err := net.Dial("udp4", l.LocalAddr().String())
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		f.look(2)
		for range 6 {
			for range 20 + f.rand.IntN(20) {
				c.Write(make([]byte, 500))
			}
			f.look(1)
		}
		return []string{fmt.Sprint("UDP port ", port), f.comm()}
	}},
	{"UDP to a port where nobody listens", "", false, func(f *faultRun) []string {
		c, err := net.Dial("udp4", fmt.Sprint("127.0.0.1:", f.port()))
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		for range 7 {
			for range 20 + f.rand.IntN(20) {
				c.Write(make([]byte, 500))
			}
			f.look(1)
		}
		return nil
	}},
	{"connections that are not closed", "close wait", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for range 20 {
			for range 1 + f.rand.IntN(3) {
				c, _ := f.pair(l, "127.0.0.1", port)
				f.shut(c)
			}
			f.look(1)
		}
		f.look(10)
		return []string{fmt.Sprint("port ", port), f.comm()}
	}},
	{"as many half-closed connections as before", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		for range 15 + f.rand.IntN(20) {
			c, _ := f.pair(l, "127.0.0.1", port)
			f.shut(c)
		}
		f.look(80)
		return nil
	}},
	{"half-closed connections on which data flows", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		var ends [][2]int
		for range 30 {
			c, s := f.pair(l, "127.0.0.1", port)
			unix.Shutdown(c, unix.SHUT_WR)
			ends = append(ends, [2]int{c, s})
			for _, e := range ends {
				writeAll(e[1], 100+f.rand.IntN(100))
				drainSocket(e[0])
			}
			f.look(1)
		}
		return nil
	}},
	{"a service that refuses", "refused", true, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		for range 8 {
			for range 1 + f.rand.IntN(2) {
				f.refused("127.0.0.1", port)
			}
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.1 port ", port), f.comm()}
	}},
	{"asking until a service is up", "", true, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		for range 4 + f.rand.IntN(4) {
			f.refused("127.0.0.1", port)
			f.look(1)
		}
		l := f.listen("127.0.0.1", port, 100)
		for range 4 {
			f.pair(l, "127.0.0.1", port)
			f.look(1)
		}
		return nil
	}},
	{"a service that is restarted now and then", "", true, func(f *faultRun) []string {
		port := f.port()
		for range 2 {
			l := f.listen("127.0.0.1", port, 100)
			for range 4 {
				for range 20 {
					c, s := f.pair(l, "127.0.0.1", port)
					f.shut(c) // so that TIME_WAIT is at this end
					eventually(f.t, "the other end to be told", func() bool { n, err := unix.Read(s, make([]byte, 1)); return n == 0 && err == nil })
					f.shut(s)
				}
				f.look(1)
			}
			f.shut(l)
			for range 4 {
				f.refused("127.0.0.1", port)
			}
			f.look(1)
		}
		return nil
	}},
	{"a host that does not answer", "unanswered", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		f.look(1)
		for range 8 {
			f.connect("127.0.0.5", port)
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.5 port ", port), f.comm()}
	}},
	{"a program that waits for one connection for more than a minute", "unanswered", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		f.look(1)
		f.connect("127.0.0.5", port)
		f.look(70)
		return []string{fmt.Sprint("127.0.0.5 port ", port), f.comm(), "one has waited for "}
	}},
	{"a program that waits for one connection for less than a minute", "", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		f.look(1)
		c := f.connect("127.0.0.5", port)
		f.look(45 + f.rand.IntN(10))
		f.shut(c)
		f.look(5)
		return nil
	}},
	{"a firewall that drops what goes to a port", "unanswered", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		f.look(1)
		for range 6 {
			for i := range 8 {
				f.connect(fmt.Sprint("127.0.0.", 5+i), port)
			}
			f.look(1)
		}
		return []string{fmt.Sprintf("8 addresses, such as 127.0.0.10 port %d", port), f.comm(), "of 48 attempts"}
	}},
	{"peers that are gone at once", "dead peer", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		var ends []int
		for i := range 6 {
			c, s := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			writeAll(c, 100)
			eventually(f.t, "the data", func() bool { n, _ := unix.Read(s, make([]byte, 1000)); return n > 0 })
			ends = append(ends, c)
		}
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		for _, c := range ends {
			writeAll(c, 1000)
		}
		for _, c := range ends {
			f.triedAgain(c)
		}
		f.look(9)
		return []string{"6 peers, such as 127.0.0.10, do not", f.comm(), "6 connections"}
	}},
	{"one connection of many that is not answered", "", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip daddr 127.0.0.5 tcp dport %d drop", port))
		l := f.listen("127.0.0.6", port, 100)
		f.look(1)
		f.connect("127.0.0.5", port)
		for range 8 {
			f.pair(l, "127.0.0.6", port)
			f.look(1)
		}
		return nil
	}},
	{"local ports that are used up", "local ports", false, func(f *faultRun) []string {
		setSysctl(f.t, "net/ipv4/ip_local_port_range", "40000 40039")
		port := f.port()
		l := f.listen("127.0.0.1", port, 1000)
		f.look(1)
		for range 8 {
			for range 5 + f.rand.IntN(3) {
				if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err == nil {
					unix.Connect(fd, inet4("127.0.0.1", port))
					f.t.Cleanup(func() { unix.Close(fd) })
					unix.Accept4(l, unix.SOCK_CLOEXEC)
				}
			}
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.1 port ", port), "of the 40 local ports"}
	}},
	{"ports in TIME_WAIT that may be used again", "", false, func(f *faultRun) []string {
		setSysctl(f.t, "net/ipv4/ip_local_port_range", "40000 40039")
		setSysctl(f.t, "net/ipv4/tcp_tw_reuse", "2")
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for i := range 36 {
			c, s := f.pair(l, "127.0.0.1", port)
			f.shut(c)
			eventually(f.t, "the other end to be told", func() bool { n, err := unix.Read(s, make([]byte, 1)); return n == 0 && err == nil })
			f.shut(s)
			if i%6 == 0 {
				f.look(1)
			}
		}
		f.look(3)
		return nil
	}},
	{"a path that loses segments", "retransmits", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d numgen inc mod 7 == 3 drop", port))
		f.look(1)
		for range 10 {
			for range 60 + f.rand.IntN(20) {
				writeAll(c, 100)
			}
			eventually(f.t, "all to be acknowledged", func() bool {
				drainSocket(s)
				n, err := unix.IoctlGetInt(c, unix.SIOCOUTQ)
				return err == nil && n == 0
			})
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.1 port ", port), f.comm()}
	}},
	{"a peer that does not read", "zero window", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		f.look(1)
		writeAll(c, 20<<20)
		f.probed(c)
		f.look(12)
		_ = s
		return []string{fmt.Sprint("port ", port)}
	}},
	{"a program that does not read", "unread", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, _ := f.pair(l, "127.0.0.1", port)
		f.look(1)
		writeAll(c, 100+f.rand.IntN(577))
		f.look(40)
		return []string{fmt.Sprint("port ", port), f.comm()}
	}},
	{"a program that reads now and then", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		f.look(1)
		for range 5 {
			writeAll(c, 100+f.rand.IntN(577))
			f.look(20)
			drainSocket(s)
			writeAll(c, 100)
		}
		return nil
	}},
	{"a UDP socket that is read slowly", "", false, func(f *faultRun) []string {
		l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: f.port()})
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { l.Close() })
		c, err := net.Dial("udp4", l.LocalAddr().String())
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		for range 45 {
			c.Write([]byte("x"))
		}
		for range 42 {
			l.Read(make([]byte, 10))
			f.look(1)
		}
		return nil
	}},
	{"a peer that is gone", "dead peer", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		writeAll(c, 100)
		eventually(f.t, "the data", func() bool { n, _ := unix.Read(s, make([]byte, 1000)); return n > 0 })
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		writeAll(c, 1000)
		f.triedAgain(c)
		f.look(9)
		return []string{fmt.Sprint("127.0.0.1 port ", port), f.comm()}
	}},
	{"a path with a smaller MTU of which nobody tells", "mtu", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		small, sink := f.pair(l, "127.0.0.1", port)
		large, _ := f.pair(l, "127.0.0.1", port)
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d ip length > 1300 drop", port))
		writeAll(large, 200_000)
		f.triedAgain(large)
		for range 12 {
			writeAll(small, 50)
			eventually(f.t, "the question", func() bool { n, _ := unix.Read(sink, make([]byte, 1000)); return n > 0 })
			writeAll(sink, 50+f.rand.IntN(50))
			eventually(f.t, "the answer", func() bool { n, _ := unix.Read(small, make([]byte, 1000)); return n > 0 })
			f.look(1)
		}
		return []string{"127.0.0.1", f.comm()}
	}},
	{"a process without descriptors", "descriptors", false, func(f *faultRun) []string {
		cmd, in := child(f.t, "exec bash -c 'ulimit -n 60; for i in {3..59}; do eval \"exec $i</dev/null\"; done; read x'")
		f.t.Cleanup(func() { in.Close() })
		eventually(f.t, "the descriptors", func() bool {
			open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
			return len(open) >= 50
		})
		f.look(9)
		return []string{fmt.Sprint("pid ", cmd.Process.Pid), "of 60"}
	}},
	{"packets from where no route leads back", "reverse path", false, func(f *faultRun) []string {
		ip(f.t, "link add va type veth peer name vb")
		ip(f.t, "addr add 10.9.0.1/24 dev va")
		setSysctl(f.t, "net/ipv4/conf/all/rp_filter", "1")
		setSysctl(f.t, "net/ipv4/conf/va/rp_filter", "1")
		ip(f.t, "link set va up")
		ip(f.t, "link set vb up")
		f.look(1)
		for range 8 {
			for range 2 + f.rand.IntN(5) {
				f.inject("vb", "va", "10.200.0.9", "10.9.0.1")
			}
			f.look(1)
		}
		return nil
	}},
	{"a tunnel whose program does not read", "transmit drops", false, func(f *faultRun) []string {
		f.tunnel("tun5", "10.8.0.1/24")
		c, err := net.Dial("udp4", "10.8.0.9:9")
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		f.look(2)
		for range 8 {
			for range 400 + f.rand.IntN(200) {
				c.Write(make([]byte, 100))
			}
			f.look(1)
		}
		return []string{"tun5"}
	}},
	{"a gateway that does not answer", "gateway", false, func(f *faultRun) []string {
		ip(f.t, "link add va type veth peer name vb")
		ip(f.t, "addr add 10.9.0.1/24 dev va")
		ip(f.t, "link set va up")
		ip(f.t, "link set vb up")
		setSysctl(f.t, "net/ipv4/neigh/va/mcast_solicit", "1")
		setSysctl(f.t, "net/ipv4/neigh/va/retrans_time_ms", "50")
		ip(f.t, "route add default via 10.9.0.254")
		f.look(1)
		c, err := net.Dial("udp4", "192.0.2.1:9")
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		for range 8 {
			c.Write([]byte("x"))
			f.connect("192.0.2.1", 80)
			eventually(f.t, "the neighbour to be looked for", func() bool {
				return strings.Contains(kerneltest.Command(f.t, "ip", "neigh", "show"), "10.9.0.254")
			})
			f.look(1)
		}
		return []string{"10.9.0.254", "on va"}
	}},
	{"a default route that is gone", "default route", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.look(2)
		ip(f.t, "route del default")
		f.look(2 + f.rand.IntN(5))
		ip(f.t, "route add default via 10.9.0.254")
		f.look(2)
		return []string{"IPv4", "via 10.9.0.254"}
	}},
	{"a default route that comes when the network is up", "", false, func(f *faultRun) []string {
		f.look(3)
		f.gateway("10.9.0.254")
		f.look(4)
		return nil
	}},
	{"a program on this machine that reads a little now and then", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		f.look(1)
		writeAll(c, 20<<20)
		f.probed(c)
		for range 5 {
			f.look(6)
			unix.Read(s, make([]byte, 1000))
		}
		return nil
	}},
	{"a peer that is gone and is connected to", "dead peer", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		writeAll(c, 100)
		eventually(f.t, "the data", func() bool { n, _ := unix.Read(s, make([]byte, 1000)); return n > 0 })
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d drop", port))
		writeAll(c, 1000)
		f.triedAgain(c)
		for range 9 {
			f.connect("127.0.0.1", port)
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.1 port ", port), f.comm()}
	}},
	{"no default route at any time", "", false, func(f *faultRun) []string {
		f.look(8)
		return nil
	}},
	{"a tunnel that takes over with two halves", "", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.look(2)
		ip(f.t, "route add 0.0.0.0/1 via 10.9.0.253")
		ip(f.t, "route add 128.0.0.0/1 via 10.9.0.253")
		ip(f.t, "route del default")
		f.look(6)
		return nil
	}},
	{"a default route that comes and goes", "route flaps", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.look(1)
		for range 4 + f.rand.IntN(3) {
			ip(f.t, "route del default")
			f.look(1)
			ip(f.t, "route add default via 10.9.0.254")
			f.look(1)
		}
		return []string{"via 10.9.0.254"}
	}},
	{"two default routes of the same metric", "route twins", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.look(2)
		ip(f.t, "route append default via 10.9.0.253")
		f.look(6)
		return []string{"10.9.0.253", "10.9.0.254"}
	}},
	{"two ways that share the traffic", "", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.look(2)
		ip(f.t, "route replace default nexthop via 10.9.0.253 nexthop via 10.9.0.254")
		f.look(6)
		return nil
	}},
	{"a link that comes and goes", "link flaps", false, func(f *faultRun) []string {
		carrier := f.tunnel("tap5", "10.8.0.1/24")
		f.look(1)
		for i := range 8 {
			carrier(i%2 == 1)
			f.look(1)
		}
		return []string{"tap5"}
	}},
	{"a link that went down once", "", false, func(f *faultRun) []string {
		carrier := f.tunnel("tap5", "10.8.0.1/24")
		f.look(3)
		carrier(false)
		f.look(2)
		carrier(true)
		f.look(3)
		return nil
	}},
	{"a flood of half-open connections", "syn queue", false, func(f *faultRun) []string {
		port := f.port()
		f.flooded(port, "1")
		return []string{fmt.Sprint("port ", port), f.comm(), "as in a flood"}
	}},
	{"a flood of half-open connections without SYN cookies", "syn dropped", false, func(f *faultRun) []string {
		port := f.port()
		f.flooded(port, "0")
		return []string{fmt.Sprint("port ", port), f.comm()}
	}},
	{"a program that resets each connection", "resets", true, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for range 14 {
			told, n := f.sockets.closes[0].received, 60+f.rand.IntN(10)
			before := told()
			for range n {
				c, s := f.pair(l, "127.0.0.1", port)
				unix.SetsockoptLinger(s, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
				f.shut(s)
				f.shut(c)
			}
			eventually(f.t, "the closes to be told", func() bool { return told() >= before+2*n })
			f.look(1)
		}
		return []string{f.comm()}
	}},
	{"a scan of closed ports", "", true, func(f *faultRun) []string {
		f.look(1)
		for i := range 14 {
			for j := range 60 + f.rand.IntN(10) {
				f.shut(f.connect("127.0.0.1", 9000+100*i+j))
			}
			f.look(1)
		}
		return nil
	}},
	{"more TIME_WAIT than the kernel keeps", "time wait limit", false, func(f *faultRun) []string {
		setSysctl(f.t, "net/ipv4/tcp_max_tw_buckets", "5")
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for range 4 {
			for range 10 {
				c, s := f.pair(l, "127.0.0.1", port)
				f.shut(c)
				eventually(f.t, "the other end to be told", func() bool { n, err := unix.Read(s, make([]byte, 1)); return n == 0 && err == nil })
				f.shut(s)
			}
			f.look(1)
		}
		return nil
	}},
	{"a queue of an interface that is full", "udp send", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		kerneltest.Command(f.t, "tc", strings.Fields("qdisc add dev va root tbf rate 8kbit burst 2000 limit 3000")...)
		ip(f.t, "neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev va nud permanent")
		c, err := net.Dial("udp4", "10.9.0.9:9")
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		f.look(2)
		for range 6 {
			for range 20 + f.rand.IntN(10) {
				c.Write(make([]byte, 1000))
			}
			f.look(1)
		}
		return []string{"va"}
	}},
	{"a browser whose IPv6 is not answered and whose IPv4 is", "", true, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip6 t; add chain ip6 t in { type filter hook input priority 0; }; add rule ip6 t in tcp dport %d drop", port))
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for range 16 {
			f.connect("::1", port) // and it is not given up: it counts as unanswered after three seconds
			f.pair(l, "127.0.0.1", port)
			f.look(1)
		}
		return nil
	}},
	{"localhost that is ::1 first, where nobody listens", "", true, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		for range 10 {
			f.refused("::1", port)
			f.pair(l, "127.0.0.1", port)
			f.look(1)
		}
		return nil
	}},
	{"a service that refuses at each of its addresses", "refused", true, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		for range 8 {
			for last := range 6 {
				f.refused(fmt.Sprint("127.0.0.", 1+last), port)
			}
			f.look(1)
		}
		return []string{fmt.Sprint("6 addresses, such as 127.0.0.1 port ", port), f.comm()}
	}},
	{"a service that refuses, by IPv6", "refused", true, func(f *faultRun) []string {
		port := f.port()
		f.look(1)
		for range 8 {
			f.refused("::1", port)
			f.look(1)
		}
		return []string{fmt.Sprint("::1 port ", port), f.comm()}
	}},
	{"a host that does not answer, by IPv6", "unanswered", false, func(f *faultRun) []string {
		port := f.port()
		nft(f.t, "", fmt.Sprintf("add table ip6 t; add chain ip6 t in { type filter hook input priority 0; }; add rule ip6 t in tcp dport %d drop", port))
		f.look(1)
		for range 8 {
			f.connect("::1", port)
			f.look(1)
		}
		return []string{fmt.Sprint("::1 port ", port), f.comm()}
	}},
	{"a listener that does not accept, by IPv6", "accept queue", false, func(f *faultRun) []string {
		port := f.port()
		f.listen("::", port, 1)
		f.look(1)
		for i := range 8 {
			for range 3 + f.rand.IntN(5) {
				f.connect([]string{"::1", "127.0.0.1"}[i%2], port)
			}
			f.look(1)
		}
		return []string{fmt.Sprint("port ", port), f.comm(), "backlog is 1"}
	}},
	{"a program that does not read its UDP socket, by IPv6", "udp receive", false, func(f *faultRun) []string {
		port := f.port()
		l, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback, Port: port})
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { l.Close() })
		l.SetReadBuffer(1)
		c, err := net.Dial("udp6", l.LocalAddr().String())
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { c.Close() })
		f.look(2)
		for range 6 {
			for range 20 + f.rand.IntN(20) {
				c.Write(make([]byte, 500))
			}
			f.look(1)
		}
		return []string{fmt.Sprint("UDP port ", port), f.comm()}
	}},
	{"a path with a smaller MTU of which nobody tells, by IPv6", "mtu", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("::1", port, 100)
		small, sink := f.pair(l, "::1", port)
		large, _ := f.pair(l, "::1", port)
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip6 t; add chain ip6 t in { type filter hook input priority 0; }; add rule ip6 t in tcp dport %d ip6 length > 1300 drop", port))
		writeAll(large, 200_000)
		f.triedAgain(large)
		for range 12 {
			writeAll(small, 50)
			eventually(f.t, "the question", func() bool { n, _ := unix.Read(sink, make([]byte, 1000)); return n > 0 })
			writeAll(sink, 50+f.rand.IntN(50))
			eventually(f.t, "the answer", func() bool { n, _ := unix.Read(small, make([]byte, 1000)); return n > 0 })
			f.look(1)
		}
		return []string{"::1", f.comm()}
	}},
	{"a default route that is gone, by IPv6", "default route", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		ip(f.t, "addr add 2001:db8::1/64 dev va")
		ip(f.t, "route add default via 2001:db8::ff dev va")
		f.look(2)
		ip(f.t, "-6 route del default")
		f.look(2 + f.rand.IntN(5))
		ip(f.t, "route add default via 2001:db8::ff dev va")
		f.look(2)
		return []string{"IPv6", "via 2001:db8::ff"}
	}},
	{"a link that became slower", "link speed", false, func(f *faultRun) []string {
		f.tunnel("tap5", "10.8.0.1/24")
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 1000 duplex full autoneg off")...)
		f.look(2)
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 100 duplex full autoneg off")...)
		f.look(askDriverAgain + 2)
		return []string{"tap5 runs at 100 Mbit/s and ran at 1000 before"}
	}},
	{"a link that is full", "link full", false, func(f *faultRun) []string {
		f.fill(70)
		return []string{"tap5", "sending"}
	}},
	{"a link that was full for half a minute", "", false, func(f *faultRun) []string {
		f.fill(30)
		f.look(5)
		return nil
	}},
	{"a program that does not read any of its UDP sockets", "udp receive", false, func(f *faultRun) []string {
		first := f.port()
		var all []net.Conn
		for i := range 6 {
			l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: first + i})
			if err != nil {
				f.t.Fatal(err)
			}
			l.SetReadBuffer(1)
			c, err := net.Dial("udp4", l.LocalAddr().String())
			if err != nil {
				f.t.Fatal(err)
			}
			all = append(all, l, c)
		}
		f.t.Cleanup(func() {
			for _, c := range all {
				c.Close()
			}
		})
		f.look(2)
		for range 6 {
			for i := 1; i < len(all); i += 2 {
				for range 20 + f.rand.IntN(20) {
					all[i].Write(make([]byte, 500))
				}
			}
			f.look(1)
		}
		return []string{fmt.Sprint("UDP ports (6, such as ", first), f.comm()}
	}},
	{"many processes of a program without descriptors", "descriptors", false, func(f *faultRun) []string {
		const n = 4
		for range n {
			cmd, in := child(f.t, "exec bash -c 'ulimit -n 60; for i in {3..59}; do eval \"exec $i</dev/null\"; done; read x'")
			f.t.Cleanup(func() { in.Close() })
			eventually(f.t, "the descriptors", func() bool {
				open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
				return len(open) >= 50
			})
		}
		f.look(9)
		return []string{fmt.Sprintf("(%d processes)", n), "of 60"}
	}},
	{"a broadcast that two interfaces of one network receive", "", false, func(f *faultRun) []string {
		for i, name := range []string{"a", "c"} {
			other := string(name[0] + 1)
			ip(f.t, fmt.Sprintf("link add v%s type veth peer name v%s", name, other))
			ip(f.t, fmt.Sprintf("addr add 10.%d.0.1/24 dev v%s", 9-i, name))
			ip(f.t, "link set v"+name+" up")
			ip(f.t, "link set v"+other+" up")
			setSysctl(f.t, "net/ipv4/conf/v"+name+"/rp_filter", "1")
		}
		f.look(1)
		for range 8 {
			for range 2 + f.rand.IntN(5) {
				f.inject("vb", "va", "10.9.0.7", "10.9.0.255")
				f.inject("vd", "vc", "10.9.0.7", "10.9.0.255")
			}
			f.look(1)
		}
		return nil
	}},
	{"a link that comes and goes, and what stands on it", "link flaps", false, func(f *faultRun) []string {
		carrier := f.tunnel("tap5", "10.8.0.1/24")
		ip(f.t, "link add br1 type bridge")
		ip(f.t, "link set br1 up")
		ip(f.t, "link add link tap5 name mv1 type macvlan")
		ip(f.t, "link set mv1 up")
		ip(f.t, "route add default via 10.8.0.254 dev tap5")
		f.look(1)
		for i := range 8 {
			carrier(i%2 == 1)
			if i%2 == 0 {
				ip(f.t, "route del default")
			} else {
				ip(f.t, "route add default via 10.8.0.254 dev tap5")
			}
			f.look(2)
		}
		return []string{"tap5"}
	}},
	{"a bridge whose containers come and go", "", false, func(f *faultRun) []string {
		ip(f.t, "link add br1 type bridge")
		ip(f.t, "link set br1 up")
		f.look(1)
		for range 6 {
			ip(f.t, "link add va type veth peer name vb")
			ip(f.t, "link set va master br1 up")
			ip(f.t, "link set vb up")
			f.look(1)
			ip(f.t, "link del va")
			f.look(1)
		}
		return nil
	}},
	{"a link that became slower while it was down", "link speed", false, func(f *faultRun) []string {
		f.tunnel("tap5", "10.8.0.1/24")
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 1000 duplex full autoneg off")...)
		f.look(2)
		ip(f.t, "link set tap5 down")
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 100 duplex full autoneg off")...)
		f.look(2)
		ip(f.t, "link set tap5 up")
		f.look(2)
		return []string{"tap5 runs at 100 Mbit/s and ran at 1000 before"}
	}},
	{"a link that went down and came up as fast as before", "", false, func(f *faultRun) []string {
		f.tunnel("tap5", "10.8.0.1/24")
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 1000 duplex full autoneg off")...)
		f.look(2)
		ip(f.t, "link set tap5 down")
		f.look(2)
		ip(f.t, "link set tap5 up")
		f.look(2)
		return nil
	}},
	{"a link that became half duplex", "link speed", false, func(f *faultRun) []string {
		f.tunnel("tap5", "10.8.0.1/24")
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 100 duplex full autoneg off")...)
		f.look(2)
		kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 100 duplex half autoneg off")...)
		ip(f.t, "link set tap5 mtu 1400")
		f.look(2)
		return []string{"tap5 runs at half duplex"}
	}},
	{"a gateway that was replaced", "gateway mac", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.neighbour("02:aa:00:00:00:01")
		ip(f.t, "neigh del 10.9.0.254 dev va")
		f.look(2)
		f.neighbour("02:aa:00:00:00:02")
		return []string{"02:aa:00:00:00:02, before 02:aa:00:00:00:01"}
	}},
	{"two machines with the address of the gateway", "gateway mac", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		for i := range 6 {
			f.neighbour(fmt.Sprint("02:aa:00:00:00:0", 1+i%2))
		}
		return []string{"it changed 5 times"}
	}},
	{"gateways that stand in for each other (HSRP)", "", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		f.neighbour("02:aa:00:00:00:01")
		f.neighbour("00:00:0c:07:ac:01")
		return nil
	}},
	{"two routers that advertise themselves", "", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		for _, last := range []string{"1", "2"} {
			ip(f.t, "-6 route append default via fe80::"+last+" dev va proto ra metric 1024 expires 1800")
		}
		f.look(6)
		return nil
	}},
	{"a link below that keeps to its rate", "", false, func(f *faultRun) []string {
		f.gateway("10.9.0.254")
		kerneltest.Command(f.t, "tc", strings.Fields("qdisc add dev va root tbf rate 80kbit burst 2000 limit 3000")...)
		ip(f.t, "link add link va name mv1 type macvlan mode private")
		ip(f.t, "link set mv1 up")
		wire, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { unix.Close(wire) })
		link, err := net.InterfaceByName("mv1")
		if err != nil {
			f.t.Fatal(err)
		}
		frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 5, 8, 0}, make([]byte, 1000)...)
		f.look(2)
		for range 6 {
			for range 300 + f.rand.IntN(100) {
				unix.Sendto(wire, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}) // the queue is full: ENOBUFS
			}
			f.look(1)
		}
		return nil
	}},
	{"a pool that closes some time after the other end did", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		var half []int
		for range 200 {
			c, s := f.pair(l, "127.0.0.1", port)
			f.shut(c)
			if half = append(half, s); len(half) > 65 {
				f.shut(half[0])
				half = half[1:]
			}
			f.look(1)
		}
		return nil
	}},
	{"a pool that closes all at once what the other end closed", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		var half []int
		for range 20 + f.rand.IntN(10) {
			c, s := f.pair(l, "127.0.0.1", port)
			f.shut(c)
			half = append(half, s)
			f.look(1)
		}
		f.look(70)
		for _, s := range half {
			f.shut(s)
		}
		f.look(10)
		return nil
	}},
	{"a server whose processes do not close their one connection", "close wait", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		const n = 14
		for range n {
			c, s := f.pair(l, "127.0.0.1", port)
			file := os.NewFile(uintptr(s), "connection")
			cmd := exec.Command("sleep", "600")
			cmd.ExtraFiles = []*os.File{file}
			if err := cmd.Start(); err != nil {
				f.t.Fatal(err)
			}
			f.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			f.shut(s)
			f.shut(c)
			f.look(2)
		}
		f.look(65)
		return []string{fmt.Sprint("port ", port), fmt.Sprintf("sleep (%d processes)", n), fmt.Sprint("to ", n)}
	}},
	{"peers that do not read", "zero window", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		f.look(1)
		for i := range 6 {
			c, _ := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			writeAll(c, 20<<20)
			f.probed(c)
		}
		f.look(12)
		return []string{fmt.Sprint("6 peers, such as 127.0.0.10, do not read what ", f.comm()), "6 connections"}
	}},
	{"a program that reads nothing of many", "unread", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		f.look(1)
		for i := range 6 {
			_, s := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			writeAll(s, 100+f.rand.IntN(577))
		}
		f.look(40)
		return []string{fmt.Sprint("from 6 peers, such as 127.0.0.10 port ", port), f.comm(), "6 sockets"}
	}},
	{"a program that reads in batches", "", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		f.look(1)
		for range 5 {
			for range 40 {
				writeAll(c, 100+f.rand.IntN(577))
				f.look(1)
			}
			drainSocket(s)
		}
		return nil
	}},
	{"a program that read well and is stuck", "unread", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		c, s := f.pair(l, "127.0.0.1", port)
		f.look(1)
		for range 20 {
			writeAll(c, 100+f.rand.IntN(577))
			f.look(2)
			drainSocket(s)
			f.look(3)
		}
		writeAll(c, 100)
		f.look(40)
		return []string{fmt.Sprint("port ", port), f.comm()}
	}},
	{"a path to many that loses segments", "retransmits", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		var to, from []int
		for i := range 5 {
			c, s := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			unix.SetsockoptInt(c, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
			to, from = append(to, c), append(from, s)
		}
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d numgen inc mod 7 == 3 drop", port))
		f.look(1)
		for range 8 {
			for range 50 + f.rand.IntN(10) {
				for _, c := range to {
					writeAll(c, 100)
				}
			}
			for i, c := range to {
				eventually(f.t, "all to be acknowledged", func() bool {
					drainSocket(from[i])
					n, err := unix.IoctlGetInt(c, unix.SIOCOUTQ)
					return err == nil && n == 0
				})
			}
			f.look(1)
		}
		return []string{fmt.Sprint("5 peers, such as 127.0.0.5 port ", port), f.comm()}
	}},
	{"a path that loses segments of short connections", "retransmits", true, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d ip length > 60 numgen inc mod 3 == 1 drop", port))
		f.look(1)
		for range 6 {
			told, n := f.sockets.closes[0].received, 16+f.rand.IntN(4)
			before := told()
			var to, from []int
			for range n {
				c, s := f.pair(l, "127.0.0.1", port)
				writeAll(c, 100)
				to, from = append(to, c), append(from, s)
			}
			for i := range to {
				eventually(f.t, "the data", func() bool { m, _ := unix.Read(from[i], make([]byte, 1000)); return m > 0 })
				f.shut(to[i])
				eventually(f.t, "the other end to be told", func() bool { m, err := unix.Read(from[i], make([]byte, 1)); return m == 0 && err == nil })
				f.shut(from[i])
			}
			eventually(f.t, "the closes to be told", func() bool { return told() >= before+2*n })
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.1 port ", port), f.comm()}
	}},
	{"peers to which only small segments get through, and which only acknowledge", "mtu", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		var small, sinks, large []int
		for i := range 5 {
			c, s := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			small, sinks = append(small, c), append(sinks, s)
			c, _ = f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
			large = append(large, c)
		}
		f.look(1)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport %d ip length > 1300 drop", port))
		for _, c := range large {
			writeAll(c, 200_000)
		}
		for _, c := range large {
			f.triedAgain(c)
		}
		for range 12 {
			for i, c := range small {
				writeAll(c, 50)
				eventually(f.t, "the data", func() bool { n, _ := unix.Read(sinks[i], make([]byte, 1000)); return n > 0 })
				eventually(f.t, "it to be acknowledged", func() bool { n, err := unix.IoctlGetInt(c, unix.SIOCOUTQ); return err == nil && n == 0 })
			}
			f.look(1)
		}
		return []string{"5 peers, such as 127.0.0.5", f.comm(), "5 connections"}
	}},
	{"a peer that is gone in the midst of much", "dead peer", false, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("127.0.0.1", port, 100)
		m := f.listen("127.0.0.1", port+1000, 100)
		large, sink := f.pair(l, "127.0.0.1", port)
		small, answers := f.pair(m, "127.0.0.1", port+1000)
		f.look(1)
		writeAll(large, 100)
		writeAll(small, 100)
		for _, s := range []int{sink, answers} {
			eventually(f.t, "the data", func() bool { n, _ := unix.Read(s, make([]byte, 1000)); return n > 0 })
		}
		writeAll(answers, 100) // since the last sample, and before the peer is gone
		eventually(f.t, "the answer", func() bool { n, _ := unix.Read(small, make([]byte, 1000)); return n > 0 })
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in tcp dport { %d, %d } drop", port, port+1000))
		writeAll(large, 200_000)
		f.triedAgain(large)
		f.look(3)
		writeAll(small, 100)
		f.triedAgain(small)
		f.look(8)
		return []string{"127.0.0.1 does not", f.comm(), "2 connections"}
	}},
	{"one address of ten that does not answer any more", "unanswered", true, func(f *faultRun) []string {
		f.restart *= 2 // a recorder that is started while none answers has not seen that it did
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		f.look(1)
		ask := func(at int) {
			c, s := f.pair(l, fmt.Sprint("127.0.0.", 5+at), port)
			f.shut(c)
			f.shut(s)
		}
		for range 3 {
			for i := range 10 {
				ask(i)
			}
			f.look(1)
		}
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip daddr 127.0.0.7 tcp dport %d drop", port))
		for range 6 {
			for i := range 10 {
				if i == 2 {
					f.unanswered("127.0.0.7", port)
				} else {
					ask(i)
				}
			}
			f.look(1)
		}
		return []string{fmt.Sprint("127.0.0.7 port ", port), f.comm()}
	}},
	{"a monitor of ten, of which one has always been down", "", true, func(f *faultRun) []string {
		port := f.port()
		l := f.listen("0.0.0.0", port, 100)
		nft(f.t, "", fmt.Sprintf("add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip daddr 127.0.0.7 tcp dport %d drop", port))
		f.look(1)
		for range 6 {
			for i := range 10 {
				if i == 2 {
					f.unanswered("127.0.0.7", port)
					continue
				}
				c, s := f.pair(l, fmt.Sprint("127.0.0.", 5+i), port)
				f.shut(c)
				f.shut(s)
			}
			f.look(1)
		}
		return nil
	}},
	{"connections that are not closed, in whose way new ones are", "close wait blocks", true, func(f *faultRun) []string {
		port := f.port()
		setSysctl(f.t, "net/ipv4/tcp_fin_timeout", "1")
		l := f.listen("127.0.0.1", port, 100)
		f.look(1)
		from := func(source int) int {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				f.t.Fatal(err)
			}
			f.t.Cleanup(func() { unix.Close(fd) })
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			if err := unix.Bind(fd, inet4("127.0.0.1", source)); err != nil {
				f.t.Fatal(err)
			}
			if err := unix.Connect(fd, inet4("127.0.0.1", port)); err != nil {
				f.t.Fatal(err)
			}
			return fd
		}
		for i := range 8 {
			f.shut(from(30_000 + i))
			f.accept(l) // and it is not closed
			f.look(1)
		}
		eventually(f.t, "FIN_WAIT2 to be over", func() bool {
			text, _ := os.ReadFile("/proc/self/net/tcp")
			return !strings.Contains(string(text), fmt.Sprintf("0100007F:%04X 05 ", port))
		})
		f.look(6)
		told := f.sockets.closes[0].received
		before := told()
		var asked []int
		for i := range 6 {
			asked = append(asked, from(30_000+i)) // it waits a second
		}
		for _, c := range asked {
			f.shut(c)
			f.accept(l)
		}
		eventually(f.t, "the closes to be told", func() bool { return told() >= before+len(asked) })
		f.look(3)
		return []string{fmt.Sprint("port ", port), f.comm()}
	}},
}

// neighbour has the gateway of f.gateway answer with an address, for two samples.
func (f *faultRun) neighbour(mac string) {
	f.t.Helper()
	ip(f.t, "neigh replace 10.9.0.254 lladdr "+mac+" dev va nud reachable")
	f.look(2)
}

// fill sends for so many samples as much as a link of 10 Mbit/s takes.
func (f *faultRun) fill(samples int) {
	f.t.Helper()
	f.tunnel("tap5", "10.8.0.1/24")
	kerneltest.Command(f.t, "ethtool", strings.Fields("-s tap5 speed 10 duplex full autoneg off")...)
	ip(f.t, "neigh add 10.8.0.9 lladdr 02:00:00:00:00:09 dev tap5")
	unix.SetNonblock(f.wire, true)
	c, err := net.Dial("udp4", "10.8.0.9:9")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close() })
	f.look(2)
	for range samples {
		for range 18 + f.rand.IntN(3) {
			for range 50 {
				c.Write(make([]byte, 1400))
			}
			drainSocket(f.wire)
		}
		f.look(1)
	}
}

// flooded sends half-open connections to a port, from addresses that do not answer.
func (f *faultRun) flooded(port int, cookies string) {
	f.t.Helper()
	f.gateway("10.9.0.254")
	ip(f.t, "link set va arp off") // what is sent to the addresses goes out, and nobody answers
	setSysctl(f.t, "net/ipv4/tcp_syncookies", cookies)
	f.listen("10.9.0.1", port, 16)
	f.look(1)
	for i := range 8 {
		for j := range 20 + f.rand.IntN(10) {
			f.injectSYN("vb", "va", fmt.Sprintf("10.9.0.%d", 20+j), "10.9.0.1", 10_000+i, port)
		}
		f.look(1)
	}
}

// gateway makes a link with a default route.
func (f *faultRun) gateway(addr string) {
	f.t.Helper()
	ip(f.t, "link add va type veth peer name vb")
	ip(f.t, "addr add 10.9.0.1/24 dev va")
	ip(f.t, "link set va up")
	ip(f.t, "link set vb up")
	ip(f.t, "route add default via "+addr)
}

// refused is a connection that is refused, of which the kernel tells the other end.
func (f *faultRun) refused(addr string, port int) {
	f.t.Helper()
	told := f.sockets.closes[0].received
	n := told()
	f.shut(f.connect(addr, port))
	eventually(f.t, "the close to be told", func() bool { return told() > n })
}

// unanswered is a connect that is given up, as one that nothing has answered.
func (f *faultRun) unanswered(addr string, port int) {
	f.t.Helper()
	told := f.sockets.closes[0].received
	n := told()
	f.shut(f.connect(addr, port))
	eventually(f.t, "the close to be told", func() bool { return told() > n })
}

// probed waits until the kernel asks whether the window is open again.
func (f *faultRun) probed(fd int) {
	f.t.Helper()
	eventually(f.t, "a probe of the window", func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && info.Probes > 0
	})
}

// triedAgain waits until the kernel has sent something twice again.
func (f *faultRun) triedAgain(fd int) {
	f.t.Helper()
	eventually(f.t, "retransmits", func() bool {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		return err == nil && info.Retransmits >= triesWithoutAnswer
	})
}

// inject puts a UDP packet onto the wire at an interface.
func (f *faultRun) inject(dev, to, src, dst string) {
	f.t.Helper()
	f.put(dev, to, src, dst, unix.IPPROTO_UDP, []byte{0, 9, 0, 9, 0, 8, 0, 0})
}

// injectSYN puts the first segment of a connection onto the wire at an interface.
func (f *faultRun) injectSYN(dev, to, src, dst string, from, port int) {
	f.t.Helper()
	segment := []byte{byte(from >> 8), byte(from), byte(port >> 8), byte(port), 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0}
	pseudo := append(append(append([]byte{}, net.ParseIP(src).To4()...), net.ParseIP(dst).To4()...), 0, unix.IPPROTO_TCP, 0, byte(len(segment)))
	binary.BigEndian.PutUint16(segment[16:], checksum(append(pseudo, segment...)))
	f.put(dev, to, src, dst, unix.IPPROTO_TCP, segment)
}

// checksum is that of IP, UDP and TCP, of an even number of bytes.
func checksum(data []byte) uint16 {
	sum := 0
	for i := 0; i < len(data); i += 2 {
		sum += int(data[i])<<8 | int(data[i+1])
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// put puts an IPv4 packet onto the wire at an interface.
func (f *faultRun) put(dev, to, src, dst string, protocol byte, content []byte) {
	f.t.Helper()
	link, err := net.InterfaceByName(dev)
	other, err2 := net.InterfaceByName(to)
	if err != nil || err2 != nil {
		f.t.Fatal(err, err2)
	}
	if f.wire == 0 { // to close one takes the kernel milliseconds
		if f.wire, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { unix.Close(f.wire) })
	}
	packet := []byte{0x45, 0, 0, byte(20 + len(content)), 0, 1, 0, 0, 64, protocol, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	copy(packet[12:], net.ParseIP(src).To4())
	copy(packet[16:], net.ParseIP(dst).To4())
	binary.BigEndian.PutUint16(packet[10:], checksum(packet))
	frame := append(append(append([]byte{}, other.HardwareAddr...), link.HardwareAddr...), 0x08, 0x00)
	frame = append(append(frame, packet...), content...)
	if err := unix.Sendto(f.wire, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		f.t.Fatal(err)
	}
}

// tunnel makes a tun or tap device of that name that nobody reads. The function sets its carrier.
func (f *faultRun) tunnel(name, addr string) (carrier func(on bool)) {
	f.t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		kerneltest.NeedKernel(f.t, "tunnels: "+err.Error())
	}
	f.t.Cleanup(func() { unix.Close(fd) })
	request, err := unix.NewIfreq(name)
	if err != nil {
		f.t.Fatal(err)
	}
	kind := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if strings.HasPrefix(name, "tap") {
		kind = unix.IFF_TAP | unix.IFF_NO_PI
	}
	request.SetUint16(kind)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		kerneltest.NeedKernel(f.t, "tunnels: "+err.Error())
	}
	ip(f.t, "addr add "+addr+" dev "+name)
	ip(f.t, "link set "+name+" up")
	f.wire = fd
	return func(on bool) {
		value := 0
		if on {
			value = 1
		}
		if err := unix.IoctlSetPointerInt(fd, unix.TUNSETCARRIER, value); err != nil {
			kerneltest.NeedKernel(f.t, "the carrier of a tunnel (Linux 5.0): "+err.Error())
		}
	}
}

// TestFaults: each fault is found, once, with who it is; and what looks like one is not, with the recorder started again meanwhile where the seed is even.
func TestFaults(t *testing.T) {
	seeds := uint64(2)
	if os.Getenv("NETSQL_LONG") == "2" {
		seeds = 6
	}
	for _, p := range planted {
		for seed := uint64(1); seed <= seeds; seed++ {
			t.Run(fmt.Sprintf("%s %d", p.name, seed), func(t *testing.T) {
				within := kerneltest.InNamespace
				if p.traced {
					within = kerneltest.InNetNS
				}
				if !within(t) {
					return
				}
				f := newFaultRun(t, seed, p.traced)
				says := p.plant(f)
				got := f.rows("SELECT fault, severity, sure, what, evidence FROM findings")
				if p.fault == "" {
					if len(got) > 0 {
						t.Errorf("found %v", got)
					}
					return
				}
				if len(got) != 1 || got[0]["fault"] != p.fault {
					t.Fatalf("found %v, want the fault %s once; symptoms: %v; gaps: %v; closes: %v", got, p.fault, f.rows("SELECT symptom, local_port, remote_addr, dev, samples, amount, most_total, rises FROM symptom_episodes"), f.rows("SELECT * FROM gaps"), f.rows("SELECT ts,outcome,count(*) FROM closed_sockets group by 1,2"))
				}
				for _, text := range says {
					if !strings.Contains(got[0]["what"].(string), text) {
						t.Errorf("%q does not say %q", got[0]["what"], text)
					}
				}
				if rows := f.rows(got[0]["evidence"].(string)); len(rows) == 0 {
					t.Errorf("no evidence: %s", got[0]["evidence"])
				}
			})
		}
	}
}
