package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
	"netsql/recorder/internal/tracepoint"
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

// ownDrops begins to record why packets are dropped that this thread sends to this machine: others drop packets too. They are told apart by the number of
// the thread, where it is in the first PID namespace.
func ownDrops(t *testing.T, r *testRecording) *drops {
	t.Helper()
	events, err := lookUpDrops()
	if err != nil {
		t.Fatal(err)
	}
	const first = "pid:[4026531836]"
	if ns, err := os.Readlink("/proc/self/ns/pid"); err == nil && ns == first {
		events.event.Filter += fmt.Sprintf("&&common_pid==%d", unix.Gettid())
	}
	if err := events.open(); err != nil {
		t.Fatal(err)
	}
	m, err := newMonitor()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	d := newDrops(r.Writer)
	t.Cleanup(d.close)
	if err := d.follow(events, m); err != nil {
		t.Fatal(err)
	}
	return d
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

// A udpSender sends without being told what became of it.
type udpSender struct {
	fd int
	to unix.Sockaddr
}

func newUDPSender(t *testing.T, family int, to unix.Sockaddr) *udpSender {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return &udpSender{fd, to}
}

func (s *udpSender) send(t *testing.T, n int) {
	for range n {
		if err := unix.Sendto(s.fd, []byte("to nobody"), 0, s.to); err != nil {
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
	return &local
}

// udpNumber is a number of Udp in /proc/net/snmp of this thread's network namespace.
func udpNumber(t *testing.T, name string) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if words[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = words
		} else if n, err = strconv.Atoi(words[slices.Index(names, name)]); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// Packets that are dropped for a reason that the test makes are recorded with that reason, all of them and no more. On a busy machine another thread may
// have to receive some of them, so there are several rounds. The oracle is the number of packets, and what /proc/net/snmp of the namespace counts.
func TestDropsOfPlantedPackets(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	needDrops(t)
	local := [4]byte{127, 0, 0, 1}
	inFreshNetwork(t, func() {
		d := ownDrops(t, r)
		r.sample(d)
		closed := newUDPSender(t, unix.AF_INET, &unix.SockaddrInet4{Addr: local, Port: 4242})
		closed6 := newUDPSender(t, unix.AF_INET6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 4242})
		full := newUDPSender(t, unix.AF_INET, fullUDP(t))
		const experimental = 0x88b5
		raw, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(raw)
		unheard := &udpSender{raw, &unix.SockaddrLinklayer{Protocol: experimental>>8 | experimental&0xff<<8, Ifindex: 1, Halen: 6}}
		rejected := newUDPSender(t, unix.AF_INET, &unix.SockaddrInet4{Addr: local, Port: 4244})
		for _, c := range []struct {
			reason, protocol, words string
			setUp                   string
			plant                   func() int // says how many were dropped
		}{
			{"NO_SOCKET", "IPv4", "no socket", "", func() int {
				before := udpNumber(t, "NoPorts")
				closed.send(t, 137)
				return udpNumber(t, "NoPorts") - before
			}},
			{"NO_SOCKET", "IPv6", "no socket", "", func() int { closed6.send(t, 91); return 91 }},
			{"SOCKET_RCVBUFF", "IPv4", "socket buffer full", "", func() int {
				before := udpNumber(t, "RcvbufErrors")
				full.send(t, 113)
				return udpNumber(t, "RcvbufErrors") - before
			}},
			{"UNHANDLED_PROTO", "0x88b5", "takes that protocol", "", func() int { unheard.send(t, 77); return 77 }},
			{"NETFILTER_DROP", "IPv4", "netfilter", "iptables -A INPUT -p udp --dport 4244 -j DROP", func() int { rejected.send(t, 59); return 59 }},
		} {
			if words := strings.Fields(c.setUp); len(words) > 0 {
				if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
					t.Logf("without %s: %v\n%s", c.reason, err, out)
					continue
				}
			}
			for round := 1; ; round++ {
				planted := c.plant()
				r.sample(d)
				rows := r.rows("SELECT packets, estimated, description FROM packet_drops_now WHERE reason = ? AND protocol = ?", c.reason, c.protocol)
				if len(rows) == 1 && planted > 50 && rows[0]["packets"] == int64(planted) && rows[0]["estimated"] == int64(0) && strings.Contains(rows[0]["description"].(string), c.words) {
					break
				}
				if round == 30 {
					t.Errorf("%s, round %d: planted %d, recorded %v", c.reason, round, planted, rows)
					break
				}
			}
		}
		if gaps := r.rows("SELECT * FROM gaps WHERE source = 'drops'"); len(gaps) > 0 {
			t.Errorf("gaps: %v", gaps)
		}
		// A kind that there is none of has no row, and is the same when it comes again.
		r.sample(d)
		if rows := r.rows("SELECT * FROM packet_drops_now WHERE reason <> ?", notSpecified); len(rows) > 0 {
			t.Errorf("nothing was planted: %v", rows)
		}
		if rows := r.rows("SELECT reason, protocol FROM packet_drop GROUP BY 1, 2 HAVING count(*) > 1"); len(rows) > 0 {
			t.Errorf("twice: %v", rows)
		}
	})
}

// In a storm all drops are counted, with a small part of them looked at. When it is over, each is looked at again.
func TestDropsInAStorm(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	needDrops(t)
	const all = 200_000
	inFreshNetwork(t, func() {
		d := ownDrops(t, r)
		r.sample(d)
		full := newUDPSender(t, unix.AF_INET, fullUDP(t))
		before := udpNumber(t, "RcvbufErrors")
		begin := time.Now()
		for range 8 {
			full.send(t, all/8)
			r.sample(d)
		}
		t.Logf("%v a packet", time.Since(begin)/all)
		planted := int64(udpNumber(t, "RcvbufErrors") - before)
		d.mu.Lock()
		if d.period == 1 {
			t.Error("all of them were to be looked at")
		}
		d.mu.Unlock()
		for range 3 {
			r.sample(d)
		}
		got := r.rows("SELECT sum(packets) AS packets, sum(estimated) AS estimated FROM packet_drops WHERE reason = 'SOCKET_RCVBUFF' AND protocol = 'IPv4'")[0]
		if n := got["packets"].(int64); planted < all*9/10 || n < planted*98/100 || n > planted*102/100 || got["estimated"].(int64) < planted/2 {
			t.Errorf("planted %d, recorded %v", planted, got)
		}
		eventually(t, "each is looked at again", func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.period == 1
		})
		for range 3 {
			r.sample(d)
		}
		for round := 1; ; round++ {
			full.send(t, 50)
			r.sample(d)
			rows := r.rows("SELECT packets, estimated FROM packet_drops_now WHERE reason = 'SOCKET_RCVBUFF' AND protocol = 'IPv4'")
			if len(rows) == 1 && rows[0]["packets"] == int64(50) && rows[0]["estimated"] == int64(0) {
				break
			}
			if round == 30 {
				t.Errorf("after it, round %d: planted 50, recorded %v", round, rows)
				break
			}
		}
	})
}

// A dropMachine is a kernel that drops packets on several CPUs, counts all of them, and tells of some.
type dropMachine struct {
	cpus    []dropCPU
	period  uint64
	room    int // events in a ring
	reads   int // of counts
	raw     [12]byte
	planted map[uint32]uint64
}

type dropCPU struct {
	count, lost, since uint64
	ring               []uint32 // reasons
}

func (m *dropMachine) drop(cpu int, reason uint32) {
	c := &m.cpus[cpu]
	m.planted[reason]++
	c.count++
	if c.since++; c.since < m.period {
		return
	}
	c.since = 0
	if len(c.ring) == m.room {
		c.lost++
		return
	}
	c.ring = append(c.ring, reason)
}

func (m *dropMachine) Rings() int { return len(m.cpus) }
func (m *dropMachine) FDs() []int { return nil }
func (m *dropMachine) Close()     {}

func (m *dropMachine) Count(i int) (uint64, error) {
	m.reads++
	return m.cpus[i].count, nil
}

func (m *dropMachine) SetPeriod(period uint64) error {
	m.period = period
	return nil
}

func (m *dropMachine) DrainRing(i int, t tracepoint.Taker) (lost, garbled uint64, full bool) {
	c := &m.cpus[i]
	full, lost, c.lost = len(c.ring) >= m.room*7/8, c.lost, 0
	for _, reason := range c.ring {
		binary.NativeEndian.PutUint32(m.raw[4:], reason)
		binary.NativeEndian.PutUint16(m.raw[8:], 0x0800)
		t.Take(&tracepoint.Sample{ID: 9, Raw: m.raw[:]})
	}
	c.ring = c.ring[:0]
	return lost, 0, full
}

// However drops come, calm or in storms that lose events, on whichever CPU: the sum is what the kernel dropped. While there are few, each reason has
// its number, none is estimated, and no count is read. In a storm each reason has its share.
func TestDropsAreAllCounted(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := &dropMachine{cpus: make([]dropCPU, 3), period: 1, room: 900, planted: map[uint32]uint64{}}
		d := &drops{sums: map[dropKey]*dropSum{}, period: 1, closed: true}
		d.begin(dropEvents{event: tracepoint.Event{ID: 9}, reason: 4, protocol: 8, names: map[uint32]string{2: notSpecified}}, m)
		d.again = time.AfterFunc(time.Hour, func() {})
		now := d.looked
		total := func() (packets, estimated, planted uint64) {
			for _, s := range d.sums {
				packets, estimated = packets+s.packets, estimated+s.estimated
			}
			for _, n := range m.planted {
				planted += n
			}
			return packets, estimated, planted
		}
		calm := func(steps int) {
			for range steps {
				for range random.IntN(90) {
					m.drop(random.IntN(3), uint32(3+random.IntN(4)))
				}
				now += 50 * time.Millisecond
				d.drainLocked(now)
			}
		}
		calm(20)
		for reason, n := range m.planted {
			if s := d.sums[dropKey{reason, 0x0800}]; s == nil || s.packets != n || s.estimated != 0 {
				t.Errorf("seed %d: %d for reason %d, recorded %+v", seed, n, reason, s)
			}
		}
		if m.reads > 0 || m.period != 1 {
			t.Errorf("seed %d: in calm times counts were read %d times, and the period is %d", seed, m.reads, m.period)
		}
		for range 3 {
			var most uint64
			before := map[uint32]uint64{3: m.planted[3], 4: m.planted[4]}
			sums := map[uint32]uint64{3: d.sums[dropKey{3, 0x0800}].packets, 4: d.sums[dropKey{4, 0x0800}].packets}
			for range 20 {
				for range 10_000 + random.IntN(20_000) {
					m.drop(random.IntN(3), uint32(3+random.IntN(4)/3)) // one of four is 4
				}
				now += 50 * time.Millisecond
				d.drainLocked(now)
				most = max(most, m.period)
			}
			for reason := range before {
				planted, got := float64(m.planted[reason]-before[reason]), float64(d.sums[dropKey{reason, 0x0800}].packets-sums[reason])
				if got < planted*0.85 || got > planted*1.15 {
					t.Errorf("seed %d: %.0f for reason %d in a storm, recorded %.0f", seed, planted, reason, got)
				}
			}
			if most < 64 || most > 1024 {
				t.Errorf("seed %d: a period of %d in a storm of 300,000 to 600,000 a second", seed, most)
			}
			calm(10)
			if m.period != 1 {
				t.Errorf("seed %d: the period is %d after a storm", seed, m.period)
			}
		}
		_, estimated, _ := total()
		calm(20)
		packets, after, planted := total()
		if packets != planted || after != estimated {
			t.Errorf("seed %d: %d dropped, recorded %d; %d estimated, and %d after the last storm", seed, planted, packets, estimated, after-estimated)
		}
		if d.unshared != 0 || d.garbled != 0 {
			t.Errorf("seed %d: %d without a reason, %d garbled", seed, d.unshared, d.garbled)
		}
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
		if dropReasons[name] == "" && name != "MAX" {
			t.Logf("%d, %s, has no words", number, name)
		}
	}
	if len(now.names) < 50 || now.event.Filter == "" {
		t.Errorf("%d reasons, filter %q", len(now.names), now.event.Filter)
	}
}
