package recorder

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// hearing makes sockets that hear of closes, and takes samples of them by the real clock.
func hearing(t *testing.T, r *testRecording, budget int) *sockets {
	t.Helper()
	s := newSockets(r.Writer).(*sockets)
	var err error
	if s.monitor, err = newMonitor(); err != nil {
		t.Fatal(err)
	}
	s.budget = budget
	s.enter(here(t))
	t.Cleanup(s.close)
	return s
}

// sampleNow takes a sample by the real clock, which is what closes are dated by.
func (r *testRecording) sampleNow(sources ...source) {
	r.t.Helper()
	clock, err := readClock()
	if err != nil {
		r.t.Fatal(err)
	}
	r.Begin(clock)
	for _, s := range sources {
		s.read(r.t.Context())
	}
	if err := r.Commit(r.t.Context(), store.Cost{}); err != nil {
		r.t.Fatal(err)
	}
}

// heard waits until so many closes stand in the log of closes.
func heard(t *testing.T, s *sockets, n int) {
	t.Helper()
	c := s.closes[0]
	eventually(t, fmt.Sprintf("%d closes are heard of", n), func() bool { return c.received() >= n })
}

// connectionsIn waits until so many closes stand in the log of closes whose other end is known: package net tries out what the system can with sockets that it
// does not connect.
func connectionsIn(t *testing.T, s *sockets, n int) {
	t.Helper()
	c := s.closes[0]
	eventually(t, fmt.Sprintf("%d closed connections stand there", n), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		connections := 0
		for _, list := range [...][]closeEvent{c.events.single, c.events.sampled} {
			for i := range list {
				if list[i].rec.DPort != 0 {
					connections++
				}
			}
		}
		return connections >= n
	})
}

// wallNow is the time as the recording has it.
func wallNow() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// Connections that lived between two samples are all there, with their ends, bytes and exact time: both sides of each, IPv4,
// IPv6 and one by way of the other.
func TestClosesBetweenSamples(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 1000)
	l4, l6, both := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0"), listen(t, "tcp", ":0")
	r.sampleNow(s)

	type ends struct{ Proto, Local, Remote string }
	type end struct {
		Sent, Received, From, To float64 // closed between From and To
	}
	want := map[ends]end{}
	before := wallNow()
	for _, c := range []struct{ network, address string }{
		{"tcp4", l4.Addr().String()}, {"tcp6", l6.Addr().String()},
		{"tcp4", fmt.Sprintf("127.0.0.1:%d", both.Addr().(*net.TCPAddr).Port)},
	} {
		l := map[string]net.Listener{l4.Addr().String(): l4, l6.Addr().String(): l6}[c.address]
		if l == nil {
			l = both
		}
		client, err := net.Dial(c.network, c.address)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		client.Write(make([]byte, 1500))
		io.ReadFull(server, make([]byte, 1500))
		server.Write(make([]byte, 70))
		io.ReadFull(client, make([]byte, 70))
		here, there := client.LocalAddr().String(), client.RemoteAddr().String()
		from := wallNow()
		client.Close()
		io.ReadAll(server)
		server.Close()
		// The kernel counts the FIN as a byte received. It is left out where the next sample shows TIME_WAIT.
		want[ends{"tcp", here, there}] = end{1500, 70, from, from + 5}
		want[ends{"tcp", there, here}] = end{70, 1501, from, from + 5}
	}
	connectionsIn(t, s, len(want))
	r.sampleNow(s)
	after := wallNow()
	rows := r.rows("SELECT * FROM closed_sockets WHERE proto = 'tcp' AND remote_port > 0")
	if len(rows) != len(want) {
		t.Errorf("%d closes are recorded, want %d", len(rows), len(want))
	}
	for _, row := range rows {
		join := func(addr, port string) string {
			return netip.AddrPortFrom(netip.MustParseAddr(row[addr].(string)), uint16(row[port].(int64))).String()
		}
		e := ends{row["proto"].(string), join("local_addr", "local_port"), join("remote_addr", "remote_port")}
		w, ok := want[e]
		if !ok {
			t.Errorf("closed, but not by the test: %v", e)
			continue
		}
		if sent, received := row["bytes_sent"], row["bytes_received"]; sent != int64(w.Sent) || received != int64(w.Received) {
			t.Errorf("%v: %v bytes sent, %v received, want %v", e, sent, received, w)
		}
		ts, opened := row["ts"].(float64), row["opened"].(float64)
		// Wall clock and clock since boot are not read at the same instant.
		if slack := 0.05; ts < w.From-slack || ts > after+slack || opened < before-slack || opened > ts {
			t.Errorf("%v: opened %.3f, closed %.3f, want from %.3f on, before %.3f", e, opened-before, ts-before, w.From-before, after-before)
		}
		if row["rtt_ms"] == nil || row["mss"] == nil || row["segs_out"] == nil {
			t.Errorf("%v: no tcp_info: %v", e, row)
		}
	}
	for _, row := range r.rows("SELECT seen_by, count(*) AS n, count(closed) AS closed FROM connections GROUP BY 1") {
		// Clients go into TIME_WAIT, which a sample sees.
		if row["seen_by"] == "sample" || row["n"] != row["closed"] {
			t.Errorf("connections: %v", row)
		}
	}
	if got := r.rows("SELECT count(*) AS n FROM connections")[0]["n"]; got != int64(len(want)) {
		t.Errorf("%v rows of connections, want %d", got, len(want))
	}
}

// Whose a closed socket was: of one that a sample has seen its last holder, by the cookie; of another
// the listener's process; else nobody. A sampled one keeps its cookie into TIME_WAIT.
func TestClosesHaveTheirOwners(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 1000)
	l := listen(t, "tcp4", "127.0.0.1:0")
	client, server := tcpPair(t, l)
	udp, err := net.Dial("udp4", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	r.sampleNow(s)
	sampledClient, sampledServer, sampledUDP := cookieOf(t, client), cookieOf(t, server), cookieOf(t, udp)
	first := tuples(client)
	client.Close()
	server.Close()
	udp.Close()
	short, accepted := tcpPair(t, l)
	second := tuples(short)
	short.Close()
	accepted.Close()
	heard(t, s, 5)
	r.sampleNow(s)

	type owner struct {
		PID     any
		How     string
		Sampled int64
	}
	us := int64(os.Getpid())
	want := map[string]owner{
		fmt.Sprint("cookie ", sampledClient): {us, "cookie", 1}, fmt.Sprint("cookie ", sampledServer): {us, "cookie", 1},
		fmt.Sprint("cookie ", sampledUDP): {us, "cookie", 1},
		"unseen " + second[1]:             {us, "listener", 0},
		"unseen " + second[0]:             {nil, "none", 1}, // its TIME_WAIT was seen
	}
	got := map[string]owner{}
	for _, row := range r.rows("SELECT * FROM closed_sockets") {
		key := fmt.Sprint("cookie ", row["cookie"])
		if tuple := fmt.Sprintf("%v:%v", row["local_addr"], row["local_port"]); tuple == second[0] || row["remote_port"] == int64(port(second[0])) {
			key = "unseen " + tuple
		}
		got[key] = owner{row["pid"], row["owner_how"].(string), row["sampled"].(int64)}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// In TIME_WAIT each client is one socket, with the owner that is known.
	waits := map[string]string{}
	for _, row := range r.rows("SELECT local_port, pid, owner_how FROM sockets_now WHERE state = 'TIME_WAIT'") {
		waits[fmt.Sprint(row["local_port"])] = fmt.Sprint(row["pid"], " ", row["owner_how"])
	}
	wantWaits := map[string]string{
		fmt.Sprint(port(first[0])): fmt.Sprint(us, " cookie"), fmt.Sprint(port(second[0])): "<nil> none",
	}
	if diff := cmp.Diff(wantWaits, waits); diff != "" {
		t.Errorf("TIME_WAIT (-want +got):\n%s", diff)
	}
	seen := map[string]int{}
	for _, row := range r.rows("SELECT proto, seen_by, closed IS NOT NULL AS closed, open FROM connections") {
		seen[fmt.Sprintf("%v %v closed %v open %v", row["proto"], row["seen_by"], row["closed"], row["open"])]++
	}
	if diff := cmp.Diff(map[string]int{"tcp both closed 1 open 0": 3, "tcp close closed 1 open 0": 1, "udp both closed 1 open 0": 1}, seen); diff != "" {
		t.Errorf("connections (-want +got):\n%s", diff)
	}
}

// tuples are the local and the remote end.
func tuples(c net.Conn) [2]string { return [2]string{c.LocalAddr().String(), c.RemoteAddr().String()} }

func port(end string) uint16 { return netip.MustParseAddrPort(end).Port() }

// Beyond the budget closes are summed up by listener and by service, and nothing is lost from the sums.
func TestClosesBeyondTheBudget(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 100)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sampleNow(s)
	const made = 400
	for range made {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("hello"))
		io.ReadFull(a, make([]byte, 5))
		c.Close()
		io.ReadAll(a)
		a.Close()
	}
	heard(t, s, 2*made)
	r.sampleNow(s)
	p := int64(port(l.Addr().String()))
	type sums struct{ rows, count, sent, received int64 }
	var total sums
	for _, row := range r.rows("SELECT * FROM closed_counts") {
		total.rows++
		total.count += row["count"].(int64)
		total.sent += row["bytes_sent"].(int64)
		total.received += row["bytes_received"].(int64)
		server, client := row["local_port"] == p, row["remote_port"] == p
		if server == client || server && (row["pid"] != int64(os.Getpid()) || row["owner_how"] != "listener" || row["remote_port"] != nil) || client && row["pid"] != nil {
			t.Errorf("a sum of neither the listener nor the service: %v", row)
		}
		if row["first"].(float64) > row["ts"].(float64) {
			t.Errorf("first after last: %v", row)
		}
	}
	var alone, fins int64 // closes that no sample saw; FINs that are not counted as bytes, because a sample saw TIME_WAIT
	for _, row := range r.rows("SELECT bytes_sent, bytes_received, sampled FROM closed_sockets") {
		if row["sampled"] == int64(1) {
			fins++
		} else {
			alone++
		}
		total.count++
		total.sent += row["bytes_sent"].(int64)
		total.received += row["bytes_received"].(int64)
	}
	// That of a client whose FIN was acknowledged before the other one's came is told before that: it may come after close has let go of the socket.
	servers, clients := int64(made), made-fins
	want := sums{2, 2 * made, 5 * made, total.received}
	if total != want || total.received < 5*made+servers || total.received > 5*made+servers+clients {
		t.Errorf("%+v, want %+v and %d bytes received, with %d FINs at least and %d at most", total, want, 5*made, servers, servers+clients)
	}
	if alone < 3 || alone > 100*100/(2*made)+1 {
		t.Errorf("%d closes are kept one by one", alone)
	}
	if got := r.rows("SELECT count(*) AS n FROM gaps WHERE source = 'closes'")[0]["n"]; got != int64(0) {
		t.Errorf("%v gaps", got)
	}
}

// What the kernel had no room for is counted: heard and lost together are all.
func TestLostClosesAreCounted(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 1000)
	r.sampleNow(s)
	if err := unix.SetsockoptInt(s.closes[0].fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10); err != nil {
		t.Fatal(err)
	}
	take := sync.OnceFunc(s.monitor.mu.Unlock)
	s.monitor.mu.Lock() // nobody takes them meanwhile
	t.Cleanup(take)
	const made = 2000
	for range made {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Connect(fd, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
		unix.Close(fd)
	}
	dropped := func() uint32 {
		n, known := socketDrops(s.closes[0].fd)
		if !known {
			t.Skip("this kernel does not count them (SO_MEMINFO, Linux 4.12)")
		}
		return n
	}
	// The kernel tells of closes a moment later, in the background.
	eventually(t, "the kernel has told of all", func() bool { return dropped() > made*9/10 })
	take()
	count := func() int64 {
		r.sampleNow(s)
		n := r.rows("SELECT count(*) AS n FROM closed_sockets WHERE proto = 'udp'")[0]["n"].(int64)
		for _, row := range r.rows("SELECT detail FROM gaps WHERE kind = 'lost' AND source = 'closes'") {
			var lost int64
			fmt.Sscan(row["detail"].(string), &lost)
			n += lost
		}
		return n
	}
	eventually(t, "all are recorded or counted as lost", func() bool { return count() == made })
	if got := r.rows("SELECT count(*) AS n FROM gaps WHERE kind = 'lost' AND until > since")[0]["n"]; got == int64(0) {
		t.Error("no gap tells of the loss")
	}
}

// Whatever comes, the log of closes's sums are those of all that came, and what it keeps stays within its bounds.
func TestCloseLogLaw(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 1))
			budget := 16 + rnd.IntN(200)
			l := newCloseLog(budget)
			servers, clients, ports := 1+rnd.IntN(4), 1+rnd.IntN(300), 1+rnd.IntN(60000)
			type sum struct{ n, sent, received, segs, again uint64 }
			var want, got sum
			add := func(to *sum, r *sockdiag.Record) {
				to.n++
				to.sent += r.BytesSent
				to.received += r.BytesRecv
				to.segs += uint64(r.SegsIn + r.SegsOut)
				to.again += uint64(r.Retransmits)
			}
			for i := range rnd.IntN(5000) {
				e := closeEvent{at: time.Duration(i), proto: []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP}[rnd.IntN(2)]}
				e.rec = sockdiag.Record{Family: []uint8{unix.AF_INET, unix.AF_INET6}[rnd.IntN(2)], SPort: uint16(rnd.IntN(ports)), DPort: uint16(rnd.IntN(servers)),
					BytesSent: rnd.Uint64N(1e9), BytesRecv: rnd.Uint64N(1e9), SegsIn: rnd.Uint32N(1000), SegsOut: rnd.Uint32N(1000), Retransmits: rnd.Uint32N(5), RTT: rnd.Uint32N(9)}
				e.rec.Src[0], e.rec.Dst[0] = byte(rnd.IntN(clients)), byte(rnd.IntN(servers))
				if rnd.IntN(2) == 0 {
					e.rec.Src, e.rec.Dst, e.rec.SPort, e.rec.DPort = e.rec.Dst, e.rec.Src, e.rec.DPort, e.rec.SPort
				}
				add(&want, &e.rec)
				l.add(&e, rnd.IntN(10) == 0)
			}
			for i := range l.sampled {
				add(&got, &l.sampled[i].rec)
			}
			for i := range l.single {
				add(&got, &l.single[i].rec)
			}
			for _, g := range l.groups {
				got.n += uint64(g.count)
				got.sent += g.bytesSent
				got.received += g.bytesRecv
				got.segs += g.segsIn + g.segsOut
				got.again += g.retransmits
				if g.first > g.last {
					t.Errorf("first %v after last %v", g.first, g.last)
				}
			}
			if most := budget + budget/8 + 4; len(l.groups) > most { // and one for each family and protocol
				t.Errorf("%d sums, at most %d are allowed", len(l.groups), most)
			}
			if want != got {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if len(l.single) > budget {
				t.Errorf("%d one by one, the budget is %d", len(l.single), budget)
			}
		})
	}
}

// However many closes there are, each peer of a service is told of; the first closes and the odd ones are kept one by one, and
// some of all others, the fewer the more there are.
func TestCloseLogThins(t *testing.T) {
	t.Parallel()
	const budget, peers = 400, 30
	odd := func(i int) bool { return i%97 == 0 }
	one := func(i int) closeEvent {
		e := closeEvent{at: time.Duration(i), proto: unix.IPPROTO_TCP}
		e.rec = sockdiag.Record{Family: unix.AF_INET, SPort: 443, DPort: uint16(20000 + i), Has: sockdiag.HasInfo | sockdiag.HasBytesSent, BytesSent: uint64(i), RTT: uint32(1000 + i*7919%10007)}
		e.rec.Src[0], e.rec.Dst[0] = 10, byte(1+i%peers)
		if odd(i) {
			e.rec.Retransmits = 1
		}
		if i%5 == 0 { // to a service elsewhere
			e.rec.SPort, e.rec.DPort = e.rec.DPort, 5432
			e.rec.Dst[0] = 99
		}
		return e
	}
	before := 0
	for _, n := range []int{budget, budget + 1, budget * 5 / 4, 2 * budget, 4 * budget, 40 * budget} {
		l := newCloseLog(budget)
		for i := range n {
			e := one(i)
			l.add(&e, false)
		}
		l.settle()
		if n == budget {
			if len(l.single) != budget || len(l.groups) != 0 {
				t.Errorf("%d closes, as the budget: %d one by one, %d sums", n, len(l.single), len(l.groups))
			}
			before = budget
			continue
		}
		most := max(budget/32, budget*budget/n)
		if len(l.single) > most+1 || len(l.single) < most/2 || len(l.single) > before {
			t.Errorf("%d closes: %d one by one, of %d at most, and %d of fewer", n, len(l.single), most, before)
		}
		before = len(l.single)
		seen := map[[16]byte]int64{}
		last, odds, spread, alone := -1, 0, map[int]bool{}, map[int]bool{}
		for i := range l.single {
			at := int(l.single[i].at)
			if i < (most+1)/2 && at != i {
				t.Errorf("%d closes: the first %d are not all there: %d is missing", n, (most+1)/2, i)
				break
			}
			if at <= last {
				t.Errorf("%d closes: %d after %d", n, at, last)
			}
			alone[at] = true
			if last = at; i >= (most+1)/2 && odd(at) {
				odds++
			} else {
				spread[4*at/n] = true
			}
			seen[l.single[i].rec.Dst]++
		}
		if all := n/97 - (most+1)/2/97; odds < min(most/4, all)-1 {
			t.Errorf("%d closes: %d odd ones of %d after the first, room for %d", n, odds, all, most/4)
		}
		if n >= 2*budget && len(spread) < 3 {
			t.Errorf("%d closes: those that are kept are of %d quarters of the time only", n, len(spread))
		}
		for k, g := range l.groups {
			want := groupKey{scope: ofListener, family: unix.AF_INET, proto: unix.IPPROTO_TCP, port: 443, addr: [16]byte{10}, peer: k.peer}
			if k.scope == ofService {
				want = groupKey{scope: ofService, family: unix.AF_INET, proto: unix.IPPROTO_TCP, port: 5432, addr: [16]byte{99}, peer: [16]byte{10}}
				seen[k.addr] += g.count
			} else {
				seen[k.peer] += g.count
			}
			if k != want {
				t.Errorf("%d closes: a sum of %+v", n, k)
			}
			if g.leastRTT > g.rtt/g.rtts || g.maxRTT < g.rtt/g.rtts || g.leastRTT < 1000 {
				t.Errorf("%d closes: round-trip times from %d to %d, mean %d", n, g.leastRTT, g.maxRTT, g.rtt/g.rtts)
			}
		}
		want, rtts := map[[16]byte]int64{}, map[[16]byte][]int{}
		for i := range n {
			e := one(i)
			want[e.rec.Dst]++
			if !alone[i] {
				rtts[e.rec.Dst] = append(rtts[e.rec.Dst], int(e.rec.RTT))
			}
		}
		for k, g := range l.groups {
			peer := k.peer
			if k.scope == ofService {
				peer = k.addr
			}
			if slices.Sort(rtts[peer]); g.medianRTT() != store.Of(rtts[peer][(len(rtts[peer])-1)/2]) {
				t.Errorf("%d closes: median %v of %d", n, g.medianRTT(), rtts[peer])
			}
		}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("%d closes of each peer (- want, + got):\n%s", n, diff)
		}
	}
}

// Of several processes that listen at a place none is named, and the program only if all run it.
func TestListenersAreCandidates(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	listening := func(port uint16, of ...candidate) *socket {
		e := &socket{Held: owners.Held{Rec: sockdiag.Record{State: sockdiag.StateListen, SPort: port}}}
		for _, c := range of {
			e.Holders = append(e.Holders, owners.Holder{Process: &owners.Process{Ref: c.process, ID: c.id}})
		}
		return e
	}
	id := func(comm, exe, cmdline string) store.ProcessID {
		return store.ProcessID{Comm: comm, Exe: exe, Cmdline: cmdline}
	}
	nginx := func(ref store.Ref) candidate { return candidate{ref, id("nginx", "/usr/sbin/nginx", "nginx: worker")} }
	python := func(ref store.Ref, cmdline string) candidate {
		return candidate{ref, id("python3", "/usr/bin/python3.11", cmdline)}
	}
	none := [16]byte{}
	p := &protocol{seen: []*socket{
		listening(80, nginx(1)), listening(80, nginx(2)), // SO_REUSEPORT
		listening(81, nginx(1), nginx(2)), // inherited
		listening(82, nginx(1), candidate{3, id("other", "/usr/bin/other", "other")}),
		listening(83, python(1, "app.py"), python(2, "app.py")),
		listening(84, python(1, "app.py"), python(2, "app.py -w 2")),
		listening(85),                          // whose holder may not be seen
		listening(86, nginx(1)), listening(86), // nor that of one of these
		listening(87, nginx(1)), listening(87, nginx(1)), // one process, two sockets
		listening(88, nginx(1), candidate{2, id("nginx", "/usr/sbin/nginx", "nginx: master")}),
	}}
	s.findListeners(p)
	for port, want := range map[uint16]struct {
		how        how
		candidates uint16
		process    store.Ref       // when it is known
		program    store.ProcessID // else
	}{
		80: {byListener, 2, 0, id("nginx", "/usr/sbin/nginx", "nginx: worker")}, 81: {byListener, 2, 0, id("nginx", "/usr/sbin/nginx", "nginx: worker")},
		82: {how: byListener, candidates: 2}, 83: {byListener, 2, 0, id("python3", "/usr/bin/python3.11", "app.py")}, 84: {how: byListener, candidates: 2},
		85: {}, 86: {how: byListener, candidates: 2}, 87: {how: byListener, candidates: 1, process: 1},
		88: {byListener, 2, 0, id("nginx", "/usr/sbin/nginx", "")}, 89: {},
	} {
		got := s.ownerOf(p.listeners.at(none, port))
		if want.program != (store.ProcessID{}) {
			want.process = s.owners.Processes.Put(want.program, store.Process{}).Ref()
		}
		if got.how != want.how || got.listens != want.candidates || got.process != want.process {
			t.Errorf("port %d: %+v, want %+v", port, got, want)
		}
	}
}

func FuzzClosedSocketMessages(f *testing.F) {
	end := kerneltest.InetMessage(sockdiag.StateClose, inetDiagProtocol, []byte{unix.IPPROTO_TCP}, sockdiag.InetDiagInfo, kerneltest.TCPInfo(280))
	head := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint32(head, uint32(len(head)+len(end)))
	binary.NativeEndian.PutUint16(head[4:], unix.SOCK_DIAG_BY_FAMILY)
	f.Add(slices.Concat(head, end))
	f.Add(slices.Concat(head, end, head, end))
	f.Add([]byte(strings.Repeat("\x14", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &closes{events: newCloseLog(100)}
		c.take(b)
		c.date(0)
		if n := len(c.events.single) + c.garbled; n > 1+len(b)/unix.NLMSG_HDRLEN {
			t.Errorf("%d closes in %d bytes", n, len(b))
		}
	})
}

// A TIME_WAIT is in the first sample that shows it, also while the message of its close still waits to be taken.
func TestTimeWaitWhoseCloseWaitsToBeHeard(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r := newRecording(t)
	s := hearing(t, r, 1000)
	r.sampleNow(s)
	told, err := multicast(unix.NETLINK_INET_DIAG, closesBuffer, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(told)
	const each = 5
	buf := make([]byte, longestMessage)
	for round := 1; round <= 10; round++ {
		for range each {
			client, err := net.Dial("tcp4", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
			server.Read(buf) // its FIN, so that it is the client's end that waits
			server.Close()
		}
		for n := 0; n < 2*each; { // the kernel has told of all
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(told), Events: unix.POLLIN}}, 10_000); err != nil && err != unix.EINTR {
				t.Fatal(err)
			}
			for {
				if _, err := unix.Read(told, buf); err != nil {
					break
				}
				n++
			}
		}
		r.sampleNow(s)
		if got := r.rows("SELECT count(*) AS n FROM sockets_now WHERE state = 'TIME_WAIT'")[0]["n"]; got != int64(round*each) {
			t.Errorf("round %d: %v are in TIME_WAIT, want %d", round, got, round*each)
		}
	}
}

// However long the goroutine that hears of closes has had no CPU: what began before the queue was last empty stands in the log
// of closes, and of what began later the close may still wait.
func TestTimeWaitIsKeptUntilItsCloseMustBeHeard(t *testing.T) {
	const dumped = 1000 * time.Second
	for _, c := range []struct {
		name           string
		began, emptied time.Duration // before the dump
		inLog          bool
		waits          bool
	}{
		{"just closed", 0, 0, false, true},
		{"a worker of the kernel has it", inFlight / 2, 0, false, true},
		{"told of and not kept", 10 * time.Second, 0, false, false},
		{"told of and kept", 10 * time.Second, 0, true, true},
		{"not yet taken, for ten seconds", 10 * time.Second, 11 * time.Second, false, true},
		{"taken before that", 30 * time.Second, 11 * time.Second, false, false},
	} {
		msg := kerneltest.InetMessage(sockdiag.StateTimeWait)
		binary.NativeEndian.PutUint32(msg[52:], uint32((timeWait-c.began)/time.Millisecond))
		rec, err := sockdiag.DecodeInet(msg)
		if err != nil {
			t.Fatal(err)
		}
		p := &protocol{closes: &closes{events: newCloseLog(100), since: dumped, emptied: dumped - c.emptied}}
		if c.inLog {
			p.closes.events.add(&closeEvent{at: dumped, proto: unix.IPPROTO_TCP, rec: rec}, false)
		}
		p.seeRemains(&rec, msg, dumped)
		if waits := len(p.remains) == 1; waits != c.waits || waits == (p.countedRemains == 1) {
			t.Errorf("%s: %d wait for their close, %d are counted", c.name, len(p.remains), p.countedRemains)
		}
	}
}

// Where the other end closes later, TIME_WAIT begins long after the kernel has told of the close.
func TestTimeWaitLongAfterItsClose(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 1000)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sampleNow(s)
	client, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	heard(t, s, 1)
	// So long that the kernel's clock shows it.
	for began := kernel.SinceBoot(); kernel.SinceBoot() < began+5*kernelTick(); {
		runtime.Gosched()
	}
	client.Close()
	heard(t, s, 2)
	r.sampleNow(s)
	got := r.rows("SELECT owner_how, local_port FROM sockets_now WHERE state = 'TIME_WAIT'")
	if want := []map[string]any{{"owner_how": "listener", "local_port": int64(l.Addr().(*net.TCPAddr).Port)}}; !cmp.Equal(want, got) {
		t.Errorf("in TIME_WAIT are %v, want %v", got, want)
	}
	if n := r.rows("SELECT count(*) AS n FROM connections")[0]["n"]; n != int64(2) {
		t.Errorf("%v ends of connections, want 2", n)
	}
}
