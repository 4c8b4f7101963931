package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/tracepoint"
	"netsql/recorder/kerneltest"

	"netsql/store/glossary"
)

// needDrops skips the test where drops are not told of.
func needDrops(t *testing.T) {
	t.Helper()
	d, err := openDrops()
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	d.reader.Close()
}

// dropsOf begins to record drops of packets that the filter lets through, in a recording of its own: others drop packets too.
func dropsOf(t *testing.T, filter string) (*testRecording, *drops) {
	t.Helper()
	r := newRecording(t)
	events, err := lookUpDrops()
	if err != nil {
		t.Fatal(err)
	}
	events.event.Filter += "&&" + filter
	if err := events.open(); err != nil {
		t.Fatal(err)
	}
	d := newDrops(r.Writer)
	t.Cleanup(d.close)
	if err := d.follow(events); err != nil {
		t.Fatal(err)
	}
	r.sample(d)
	return r, d
}

// inFreshNetwork runs do on a thread that has a network namespace of its own, with the loopback interface up. The thread ends with it.
func inFreshNetwork(t *testing.T, do func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		defer func() { done <- err }() // also when the test ends within
		if err == nil {
			loopback(t)
			do()
		}
	}()
	if err := <-done; err != nil {
		kerneltest.NeedKernel(t, "no network namespace: "+err.Error())
	}
}

// A packetSender sends without being told what became of it.
type packetSender struct {
	fd   int
	to   unix.Sockaddr
	data []byte
}

func newUDPSender(t *testing.T, family int, to unix.Sockaddr) *packetSender {
	t.Helper()
	return newSender(t, family, unix.SOCK_DGRAM, to)
}

func newSender(t *testing.T, family, kind int, to unix.Sockaddr) *packetSender {
	t.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &packetSender{fd, to, []byte("to nobody")}
}

func (s *packetSender) send(t *testing.T, n int) {
	t.Helper()
	for range n {
		if err := unix.Sendto(s.fd, s.data, 0, s.to); err != nil {
			t.Error(err)
			return
		}
	}
}

// fullUDP is the address of a socket whose buffer is full as soon as anything waits in it. Nobody reads it.
func fullUDP(t *testing.T) unix.Sockaddr {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	local := unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 4243}
	if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1), unix.Bind(fd, &local)); err != nil {
		t.Fatal(err)
	}
	s := newUDPSender(t, unix.AF_INET, &local)
	eventually(t, "the buffer is full", func() bool {
		s.send(t, 1)
		return netCount(t, "snmp", "Udp", "RcvbufErrors") > 0
	})
	return &local
}

// netCount is a counter in a file of /proc/net, of this thread's network namespace.
func netCount(t *testing.T, file, group, name string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case words[0] == name: // snmp6
			n, err = strconv.Atoi(words[1])
		case words[0] != group+":":
		case names == nil:
			names = words
		default:
			n, err = strconv.Atoi(words[slices.Index(names, name)])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// grow sends so many packets, and waits until the counter has grown by as many.
func grow(t *testing.T, s *packetSender, n int, file, group, name string) int {
	t.Helper()
	before := netCount(t, file, group, name)
	s.send(t, n)
	eventually(t, name+" has grown", func() bool { return netCount(t, file, group, name) >= before+n })
	return netCount(t, file, group, name) - before
}

// ipv4Frame is an Ethernet frame with an IPv4 packet in it.
func ipv4Frame(to net.HardwareAddr, src, dst [4]byte, ttl byte) []byte {
	frame := slices.Concat(to, to, []byte{0x08, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, ttl, unix.IPPROTO_UDP, 0, 0}, src[:], dst[:], []byte{0x10, 0x92, 0x10, 0x92, 0, 8, 0, 0})
	header, sum := frame[14:34], uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum>>16+sum))
	return frame
}

// framesOn sends frames out of an interface.
func framesOn(t *testing.T, name string, frame []byte) *packetSender {
	t.Helper()
	s := newSender(t, unix.AF_PACKET, unix.SOCK_RAW, nil)
	var at *net.Interface
	eventually(t, "the interface is up", func() (up bool) { // before, it drops what it is to send
		var err error
		if at, err = net.InterfaceByName(name); err != nil {
			t.Fatal(err)
		}
		return at.Flags&net.FlagRunning != 0
	})
	s.to, s.data = &unix.SockaddrLinklayer{Ifindex: at.Index, Halen: 6}, frame
	return s
}

// unheard sends packets with a number of a protocol that nothing takes over the loopback interface. Nobody else uses the numbers.
func unheard(t *testing.T, protocol uint16) *packetSender {
	t.Helper()
	return newSender(t, unix.AF_PACKET, unix.SOCK_DGRAM, &unix.SockaddrLinklayer{Protocol: protocol>>8 | protocol<<8, Ifindex: 1, Halen: 6})
}

// ownProtocol is an EtherType that nobody uses, nor another copy of the test beside this one.
func ownProtocol() uint16 { return 0xe000 + uint16((os.Getpid()*16+int(ownProtocols.Add(1)))%0x1ff0) }

var ownProtocols atomic.Int32

// Packets that are dropped for a reason that the test makes are recorded with that reason. Others drop packets meanwhile, and another thread may have to
// receive some of ours. So of all drops there are at least as many as were planted, and of this thread's at most. Of a protocol that nobody else uses there
// are just as many. The oracle is the number of packets, and what /proc/net of the namespace counts.
func TestDropsOfPlantedPackets(t *testing.T) {
	t.Parallel()
	needDrops(t)
	inFreshNetwork(t, func() {
		own := ownProtocol()
		ownName := fmt.Sprintf("%#x", own)
		ours := "(protocol==0x800||protocol==0x86dd||protocol==" + ownName + ")"
		all, allDrops := dropsOf(t, ours)
		mine, myDrops := dropsOf(t, fmt.Sprintf("%s&&common_pid==%d", ours, unix.Gettid()))
		for _, line := range []string{
			"link add v0 type veth peer name v1", "link set v0 up", "link set v1 up", "addr add 10.9.0.1/24 dev v1 nodad",
		} {
			kerneltest.Command(t, "ip", strings.Fields(line)...)
		}
		for _, name := range []string{"conf/all/rp_filter", "conf/v1/rp_filter", "ip_forward"} {
			kerneltest.Command(t, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/"+name)
		}
		v1, err := net.InterfaceByName("v1")
		if err != nil {
			t.Fatal(err)
		}
		router, neighbour, nowhere := [4]byte{10, 9, 0, 1}, [4]byte{10, 9, 0, 5}, [4]byte{192, 0, 2, 1}
		localhost := [4]byte{127, 0, 0, 1}
		closed := newUDPSender(t, unix.AF_INET, &unix.SockaddrInet4{Addr: localhost, Port: 4242})
		closed6 := newUDPSender(t, unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 4242})
		full := newUDPSender(t, unix.AF_INET, fullUDP(t))
		filling := netCount(t, "snmp", "Udp", "RcvbufErrors")
		planted := []struct {
			reason, protocol, words string
			packets                 int
		}{
			{"NO_SOCKET", "IPv4", "no socket", grow(t, closed, 137, "snmp", "Udp", "NoPorts")},
			{"NO_SOCKET", "IPv6", "no socket", grow(t, closed6, 91, "snmp6", "", "Udp6NoPorts")},
			{"SOCKET_RCVBUFF", "IPv4", "socket buffer full", filling + grow(t, full, 113, "snmp", "Udp", "RcvbufErrors")},
			{"IP_RPFILTER", "IPv4", "reverse path", grow(t, framesOn(t, "v0", ipv4Frame(v1.HardwareAddr, nowhere, router, 9)), 71, "netstat", "TcpExt", "IPReversePathFilter")},
			{"IP_INHDR", "IPv4", "IP header", grow(t, framesOn(t, "v0", ipv4Frame(v1.HardwareAddr, neighbour, [4]byte{10, 9, 0, 7}, 1)), 53, "snmp", "Ip", "InHdrErrors")},
			{"UNHANDLED_PROTO", ownName, "takes that protocol", 77},
			{"NETFILTER_DROP", "IPv4", "netfilter", 59},
		}
		unheard(t, own).send(t, 77)
		kerneltest.Command(t, "iptables", "-A", "INPUT", "-p", "udp", "--dport", "4244", "-j", "DROP")
		newUDPSender(t, unix.AF_INET, &unix.SockaddrInet4{Addr: localhost, Port: 4244}).send(t, 59)
		recorded := func(r *testRecording, reason, protocol string) (packets, estimated int64) {
			for _, row := range r.rows("SELECT sum(packets) AS n, sum(estimated) AS e FROM packet_drops WHERE reason = ? AND protocol = ? HAVING count(*) > 0", reason, protocol) {
				packets, estimated = row["n"].(int64), row["e"].(int64)
			}
			return packets, estimated
		}
		for _, p := range planted {
			eventually(t, "recorded: "+p.reason, func() bool {
				all.sample(allDrops)
				n, _ := recorded(all, p.reason, p.protocol)
				return n >= int64(p.packets)
			})
			n, estimated := recorded(all, p.reason, p.protocol)
			if p.protocol == ownName && n != int64(p.packets) || estimated > n-int64(p.packets) {
				t.Errorf("%+v: recorded %d, %d of them estimated", p, n, estimated)
			}
			if words := text(all.rows("SELECT description FROM packet_drops WHERE reason = ?", p.reason)[0]["description"]); !strings.Contains(words, p.words) {
				t.Errorf("%+v: %q", p, words)
			}
		}
		mine.sample(myDrops)
		for _, p := range planted {
			if n, estimated := recorded(mine, p.reason, p.protocol); firstPIDNamespace() && n > int64(p.packets) || estimated > 0 {
				t.Errorf("%+v: recorded of this thread %d, %d of them estimated", p, n, estimated)
			}
		}
		if gaps := mine.rows("SELECT * FROM gaps WHERE source = 'drops'"); len(gaps) > 0 {
			t.Errorf("gaps: %v", gaps)
		}
		// A kind that there is none of has no row, and is the same when it comes again.
		mine.sample(myDrops)
		if rows := mine.rows("SELECT * FROM packet_drops_now WHERE reason <> ?", notSpecified); len(rows) > 0 {
			t.Errorf("nothing was planted: %v", rows)
		}
		closed.send(t, 5)
		mine.sample(myDrops)
		if rows := mine.rows("SELECT reason, protocol FROM packet_drop GROUP BY 1, 2 HAVING count(*) > 1"); len(rows) > 0 {
			t.Errorf("twice: %v", rows)
		}
	})
}

// A fullSink is a socket that takes packets of a protocol, and whose buffer is full: the kernel drops them, and counts them.
type fullSink struct {
	fd            int
	sender        *packetSender
	sent, dropped int
}

func newFullSink(t *testing.T, protocol uint16) *fullSink {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(protocol>>8|protocol<<8))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1); err != nil {
		t.Fatal(err)
	}
	k := &fullSink{fd: fd, sender: unheard(t, protocol)}
	k.drop(t, 9)
	if k.dropped == 0 {
		t.Fatal("the buffer is not full")
	}
	k.dropped = 0
	return k
}

// drop sends so many packets, and waits until the kernel has dropped them.
func (k *fullSink) drop(t *testing.T, n int) {
	t.Helper()
	k.sender.send(t, n)
	k.sent += n
	eventually(t, "they have come", func() bool {
		stats, err := unix.GetsockoptTpacketStats(k.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS) // since it was last asked
		if err != nil {
			t.Fatal(err)
		}
		k.sent -= int(stats.Packets)
		k.dropped += int(stats.Drops)
		return k.sent <= 0
	})
}

// In a storm the kernel tells of drops only while a window is open, and those stand for the others. When it is over, each is told of again. The times of
// windows are those of the test, so that it is known for how many each stands.
func TestDropsInAStorm(t *testing.T) {
	t.Parallel()
	needDrops(t)
	inFreshNetwork(t, func() {
		own := ownProtocol()
		storm := newFullSink(t, own)
		r, d := dropsOf(t, fmt.Sprintf("protocol==%#x", own))
		d.mu.Lock()
		d.closed = true // it has no turns of its own
		d.mu.Unlock()
		now := d.since
		check := func(when string, packets, estimated int) {
			t.Helper()
			r.sample(d)
			row := r.rows("SELECT sum(packets) AS packets, sum(estimated) AS estimated FROM packet_drops WHERE protocol = ?", fmt.Sprintf("%#x", own))[0]
			if n, e := row["packets"].(int64), row["estimated"].(int64); n != int64(packets) || e != int64(estimated) {
				t.Errorf("%s: recorded %d, %d of them estimated; want %d, %d", when, n, e, packets, estimated)
			}
		}
		for range dropsMost / 500 {
			storm.drop(t, 500)
			if next := d.drain(now); next != 0 || d.storm {
				t.Fatalf("a storm after %d", storm.dropped)
			}
		}
		storm.drop(t, 3)
		if next := d.drain(now); next == 0 || !d.storm {
			t.Fatalf("no storm after %d", storm.dropped)
		}
		before := storm.dropped
		check("before it", before, 0)
		for range 3 {
			storm.drop(t, 2000) // nobody looks
			now += 90 * time.Millisecond
			d.takeTurn(now)
			storm.drop(t, 100)
			r.sample(d) // that the rings are read meanwhile does not matter
			storm.drop(t, 100)
			now += 10 * time.Millisecond
			d.takeTurn(now)
		}
		check("three windows of a tenth of the time", before+3*2000, 3*1800)
		for d.storm {
			now += 90 * time.Millisecond
			d.takeTurn(now)
		}
		storm.drop(t, 50)
		check("after it", before+3*2000+50, 3*1800)
		if gaps := r.rows("SELECT * FROM gaps WHERE source = 'drops'"); len(gaps) > 0 {
			t.Errorf("gaps: %v", gaps)
		}
	})
}

// A dropMachine is a kernel that drops packets, and tells of them while it is asked to. There is room for so many that are not read yet.
type dropMachine struct {
	on      bool
	room    int
	ring    []uint32 // reasons
	lost    uint64   // since it last had room
	told    int
	raw     [12]byte
	planted map[uint32]int
}

func (m *dropMachine) drop(reason uint32) {
	m.planted[reason]++
	switch {
	case !m.on:
	case len(m.ring) == m.room:
		m.lost++
	default:
		m.told++
		m.ring = append(m.ring, reason)
	}
}

func (m *dropMachine) Enable() error  { m.on = true; return nil }
func (m *dropMachine) Disable() error { m.on = false; return nil }
func (m *dropMachine) Close()         {}

func (m *dropMachine) Drain(t tracepoint.Taker) (lost, garbled uint64) {
	for _, reason := range m.ring {
		binary.NativeEndian.PutUint32(m.raw[4:], reason)
		binary.NativeEndian.PutUint16(m.raw[8:], 0x0800)
		t.Take(&tracepoint.Sample{ID: 9, Raw: m.raw[:]})
	}
	if len(m.ring) > 0 {
		lost, m.lost = m.lost, 0
	}
	m.ring = m.ring[:0]
	return lost, 0
}

// However drops come: while there are few, each is recorded, and none is estimated. In a storm, whatever its rate, no more are told of than cost what may be
// spent, and each reason has its share. After it, each is recorded again.
func TestDropsAreCountedOrEstimated(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &dropMachine{on: true, room: 1800, planted: map[uint32]int{}}
		d := &drops{sums: map[dropKey]*dropSum{}, batch: map[dropKey]uint64{}}
		const tick = 100 * time.Microsecond
		now := time.Hour
		d.begin(dropEvents{event: tracepoint.Event{ID: 9}, reason: 4, protocol: 8, names: map[uint32]string{2: notSpecified}}, m, now)
		var turn time.Duration // when the next is
		// pass has drops happen at that rate, one of four for reason 4. The machine wakes us when the ring is half full, and there is a sample every second.
		pass := func(past time.Duration, rate float64) {
			owed := 0.0
			for end := now + past; now < end; now += tick {
				for owed += rate * tick.Seconds() * 2 * random.Float64(); owed >= 1; owed-- {
					m.drop(uint32(3 + random.IntN(4)/3))
				}
				var next time.Duration
				switch {
				case turn != 0 && now >= turn:
					turn, next = 0, d.takeTurn(now)
				case len(m.ring) > m.room/2, now%time.Second == 0:
					next = d.drain(now)
				}
				if next != 0 {
					turn = now + next
				}
			}
			if d.drain(now) != 0 {
				t.Errorf("seed %d: a storm begins", seed)
			}
		}
		sum := func(reason uint32) (packets, estimated float64) {
			if s := d.sums[dropKey{reason, 0x0800}]; s != nil {
				return float64(s.looked) + s.estimated, s.estimated
			}
			return 0, 0
		}
		calm := func(when string, past time.Duration, rate float64) {
			t.Helper()
			before := map[uint32][2]float64{}
			for reason := range uint32(2) {
				packets, estimated := sum(3 + reason)
				before[3+reason] = [2]float64{packets - float64(m.planted[3+reason]), estimated}
			}
			pass(past, rate)
			for reason, b := range before {
				packets, estimated := sum(reason)
				if math.Abs(packets-float64(m.planted[reason])-b[0]) > 0.01 || estimated != b[1] {
					t.Errorf("seed %d, %s: %d for reason %d, recorded %v, %v of them estimated; before it recorded %+v more than there were", seed, when, m.planted[reason], reason, packets, estimated, b)
				}
			}
			if d.storm {
				t.Errorf("seed %d, %s: a storm", seed, when)
			}
		}
		calm("at first", 5*time.Second, dropsMost*0.9)
		for _, rate := range []float64{2 * dropsMost, 80_000, 600_000} {
			pass(time.Second, rate) // it begins
			told := m.told
			before := [2]float64{}
			for i := range before {
				packets, _ := sum(uint32(3 + i))
				before[i] = packets - float64(m.planted[uint32(3+i)])
			}
			planted := m.planted[3]
			pass(10*time.Second, rate)
			if n := m.told - told; n > 10*dropsMost*12/10 || n < 10*dropsMost/4 {
				t.Errorf("seed %d: %d told of in ten seconds at %.0f a second", seed, n, rate)
			}
			for i := range before {
				packets, _ := sum(uint32(3 + i))
				got, want := packets-before[i], float64(m.planted[uint32(3+i)])
				if off := (got - want) / float64(m.planted[3]-planted); math.Abs(off) > 0.1 {
					t.Errorf("seed %d: at %.0f a second %.0f for reason %d, of which recorded %.0f", seed, rate, want, 3+i, got)
				}
			}
			pass(2*time.Second, 50) // it ends
			calm("after a storm", 5*time.Second, 1000)
		}
	}
}

// What the kernel had no room for is shared out as what there was room for.
func TestDropsThatTheKernelLost(t *testing.T) {
	t.Parallel()
	m := &dropMachine{on: true, room: 400, planted: map[uint32]int{}}
	d := &drops{sums: map[dropKey]*dropSum{}, batch: map[dropKey]uint64{}}
	d.begin(dropEvents{event: tracepoint.Event{ID: 9}, reason: 4, protocol: 8, names: map[uint32]string{2: notSpecified}}, m, time.Hour)
	for i := range 800 {
		m.drop(uint32(3 + i%4/3))
	}
	if d.drain(time.Hour); d.lost != 400 {
		t.Errorf("%d lost", d.lost)
	}
	for reason, want := range map[uint32]dropSum{3: {looked: 300, estimated: 300}, 4: {looked: 100, estimated: 100}} {
		if s := d.sums[dropKey{reason, 0x0800}]; s == nil || *s != want {
			t.Errorf("reason %d: %+v, want %+v", reason, s, want)
		}
	}
	if what := d.missed(); !strings.Contains(what, "400 dropped packets") || d.missed() != "" {
		t.Errorf("%q", what)
	}
}

// A window does not stand for a time in which nobody could look, as when the recorder was stopped: that is told.
func TestDropsWhileStopped(t *testing.T) {
	t.Parallel()
	m := &dropMachine{on: true, room: 10_000, planted: map[uint32]int{}}
	d := &drops{sums: map[dropKey]*dropSum{}, batch: map[dropKey]uint64{}}
	now := time.Hour
	d.begin(dropEvents{event: tracepoint.Event{ID: 9}, reason: 4, protocol: 8, names: map[uint32]string{2: notSpecified}}, m, now)
	for range dropsMost + 1 {
		m.drop(3)
	}
	if d.drain(now); !d.storm {
		t.Fatal("no storm")
	}
	now += farthest + time.Minute - time.Millisecond
	d.takeTurn(now)
	for range 10 {
		m.drop(3)
	}
	now += time.Millisecond
	d.takeTurn(now)
	if s := d.sums[dropKey{3, 0x0800}]; s.looked != dropsMost+11 || math.Round(s.estimated) != 10*float64(farthest/time.Millisecond)-10 {
		t.Errorf("%+v", s)
	}
	if what := d.missed(); !strings.Contains(what, "not looked at for 1m0s") {
		t.Errorf("%q", what)
	}
}

// What does not look like an event is counted and does nothing else.
func FuzzDropEvents(f *testing.F) {
	f.Add(uint16(9), make([]byte, 40))
	f.Add(uint16(9), make([]byte, 37))
	f.Fuzz(func(t *testing.T, id uint16, raw []byte) {
		e := dropEvents{event: tracepoint.Event{ID: 9}, reason: 36, protocol: 32, names: map[uint32]string{3: "NO_SOCKET"}}
		key, ok := e.decode(&tracepoint.Sample{ID: int(id), Raw: raw})
		if ok != (id == 9 && len(raw) >= 40) {
			t.Errorf("%d bytes of event %d: %v", len(raw), id, ok)
		}
		if name, _ := e.reasonOf(key.reason); name == "" {
			t.Errorf("reason %d has no name", key.reason)
		}
		etherType(key.protocol)
	})
}

// Reasons have the names of the running kernel, whatever their numbers, and words. A kernel before 5.17 gives none.
func TestDropReasons(t *testing.T) {
	t.Parallel()
	e := dropEvents{names: map[uint32]string{3: "NO_SOCKET", 9: "NEW_REASON"}}
	for reason, want := range map[uint32][2]string{
		3: {"NO_SOCKET", "no socket: nobody listens on that port"}, 9: {"NEW_REASON", ""}, 200: {"0xc8", ""},
		0x30002: {"0x30002", "a reason of a part of the kernel that numbers its own, such as mac80211 or openvswitch"},
	} {
		if name, words := e.reasonOf(reason); name != want[0] || words != want[1] {
			t.Errorf("%d: %q, %q", reason, name, words)
		}
	}
	for number, want := range map[uint16]string{0: "", 0x0800: "IPv4", 0x86dd: "IPv6", 0x88b5: "0x88b5", 0x0004: "0x0004"} {
		if got := etherType(number); got != want {
			t.Errorf("%#x: %q", number, got)
		}
	}
	needDrops(t)
	now, err := lookUpDrops()
	if err != nil {
		t.Fatal(err)
	}
	for number, name := range now.names {
		if glossary.Drop(name) == "" && name != "MAX" {
			t.Logf("%d, %s, has no words", number, name)
		}
	}
	if len(now.names) < 50 || now.event.Filter == "" {
		t.Errorf("%d reasons, filter %q", len(now.names), now.event.Filter)
	}
}

// Who may not be told of drops says so in every sample: no row is not no drop.
func TestDropsThatAreNotTold(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	d := newDrops(r.Writer)
	d.missing = lackOfDrops(unix.EACCES)
	r.sample(d)
	r.sample(d)
	if got := r.outcome("drops"); !strings.HasPrefix(got, "off a lack of CAP_PERFMON") || !strings.HasSuffix(got, "permission denied") {
		t.Errorf("%q", got)
	}
	if gaps := r.rows("SELECT kind FROM gaps WHERE source = 'drops'"); len(gaps) != 1 || gaps[0]["kind"] != "off" {
		t.Errorf("gaps: %v", gaps)
	}
	d.close()
}

// BenchmarkDrops prints what recording drops costs, while there are so few that the kernel tells of each and in a storm: the CPU time of a packet for who sends
// it, to itself, with and without, by turns; and the share of a core that reading takes.
func BenchmarkDrops(b *testing.B) {
	for _, c := range []struct {
		name    string
		packets int
		pause   int // milliseconds after each burst
	}{{"2500/s", 25, 10}, {"storm", 20_000, 0}} {
		b.Run(c.name, func(b *testing.B) {
			done := make(chan error)
			go func() {
				runtime.LockOSThread() // the thread ends with its namespace
				done <- benchmarkDrops(b, c.packets, c.pause)
			}()
			if err := <-done; err != nil {
				b.Skip(err)
			}
		})
	}
}

func benchmarkDrops(b *testing.B, packets, pause int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	own := ownProtocol()
	to := &unix.SockaddrLinklayer{Protocol: own>>8 | own<<8, Ifindex: 1, Halen: 6}
	events, err := lookUpDrops()
	if err != nil {
		return err
	}
	spent := func(who int) time.Duration {
		var u unix.Rusage
		_ = unix.Getrusage(who, &u) // it cannot fail
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var sending, rest [2]time.Duration // of this thread, and of all others
	var past time.Duration
	w := newRecording(b)
	const bursts = 100
	n := 0
	for b.Loop() {
		for with := range sending {
			var d *drops
			if with == 1 {
				if err := events.open(); err != nil {
					return err
				}
				d = newDrops(w.Writer)
				if err := d.follow(events); err != nil {
					return err
				}
			}
			begin, thread, all := time.Now(), spent(unix.RUSAGE_THREAD), spent(unix.RUSAGE_SELF)
			for range bursts {
				for range packets {
					if err := unix.Sendto(fd, []byte("to nobody"), 0, to); err != nil {
						return err
					}
				}
				if pause > 0 {
					unix.Poll(nil, pause)
				}
			}
			sent := spent(unix.RUSAGE_THREAD) - thread
			sending[with] += sent
			rest[with] += spent(unix.RUSAGE_SELF) - all - sent
			if with == 1 {
				past += time.Since(begin)
				d.close()
			}
		}
		n += bursts * packets
	}
	b.ReportMetric(float64(sending[0].Nanoseconds())/float64(n), "ns/packet-without")
	b.ReportMetric(float64(sending[1].Nanoseconds())/float64(n), "ns/packet-with")
	b.ReportMetric(100*(rest[1]-rest[0]).Seconds()/past.Seconds(), "%core-reading")
	b.ReportMetric(0, "ns/op")
	return nil
}
