package recorder

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// Whatever the order in which closes are heard of and dumps read, and whatever the budget, each connection is counted once, in
// connections or in closed_counts, with its bytes once, and each that stands in connections has its close. Orders are: a close
// before, between and after the messages of a dump, before the socket is known; heard late; TIME_WAIT that is seen while its
// close is summed up; the same ends once more in the same sample. Only the messages of the kernel are made up here, as it sends
// them.
//
// NETSQL_TEST_SEEDS has it try so many histories, and NETSQL_TEST_SEED one again.
func TestOrdersOfCloses(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	seed, seeds := uint64(1), little(2, 12)
	if text := os.Getenv("NETSQL_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
		seeds = 1
	} else if text := os.Getenv("NETSQL_TEST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
	}
	for range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := &closeHistory{t: t, rand: rand.New(rand.NewPCG(seed, 3)), conns: map[uint16]*madeUp{}}
			h.run(40)
		})
		seed++
	}
}

// A madeUp connection is one as the kernel has it. Its local port tells it from those that are there at the same time.
type madeUp struct {
	port       uint16
	cookie     uint64 // 0: nobody has asked for it so far
	tailCookie uint64 // of its TIME_WAIT
	bytes      uint64
	closed     time.Duration // since boot: when TIME_WAIT began
	waits      bool          // it goes through TIME_WAIT
	told       int           // sample before which the kernel told of its close; 0: not yet
}

type closeHistory struct {
	t       *testing.T
	rand    *rand.Rand
	s       *sockets
	c       *closes
	diag    *sockdiag.Conn // that tells the dump
	cookies uint64
	conns   map[uint16]*madeUp // alive or in TIME_WAIT, by port
	late    []*madeUp          // closed, and the kernel's message is under way
	sample  int
	made    int
	bytes   uint64
}

const closePorts = 60

// live opens, feeds and closes some connections.
func (h *closeHistory) live() {
	for range h.rand.IntN(5) {
		port := uint16(1000 + h.rand.IntN(closePorts))
		c := h.conns[port]
		switch {
		case c != nil && c.closed != 0 && kernel.SinceBoot()-c.closed < 4*kernelTick():
			// The kernel tells of TIME_WAIT by ticks.
		case c == nil || c.closed != 0: // the same ends once more
			h.conns[port] = &madeUp{port: port, waits: h.rand.IntN(3) > 0}
			h.made++
		case h.rand.IntN(2) == 0:
			n := h.rand.Uint64N(1000)
			c.bytes, h.bytes = c.bytes+n, h.bytes+n
		default:
			c.closed, c.tailCookie = kernel.SinceBoot(), c.cookie // TIME_WAIT keeps it where it is known by then
			if h.rand.IntN(4) == 0 {
				h.late = append(h.late, c)
			} else {
				h.tell(c)
				if c.waits && h.rand.IntN(3) == 0 { // the other end closes later
					c.closed += time.Duration(h.rand.Int64N(int64(100 * time.Millisecond)))
				}
			}
			if !c.waits {
				delete(h.conns, port)
			}
		}
	}
	if h.rand.IntN(6) == 0 {
		h.tellLate()
	}
}

func (h *closeHistory) tellLate() {
	for _, c := range h.late {
		h.tell(c)
	}
	h.late = nil
}

// message is what the kernel says of a connection.
func (h *closeHistory) message(c *madeUp, state uint8, cookie uint64, attributes ...any) []byte {
	b := kerneltest.InetMessage(state, attributes...)
	binary.BigEndian.PutUint16(b[4:], c.port)
	binary.BigEndian.PutUint16(b[6:], 80)
	copy(b[24:], []byte{192, 0, 2, 2})
	sockdiag.PutCookie(b[44:], cookie)
	binary.NativeEndian.PutUint32(b[68:], 0)
	return b
}

func (h *closeHistory) info(c *madeUp) []byte {
	info := make([]byte, 280)
	binary.NativeEndian.PutUint32(info[68:], 100) // rtt
	binary.NativeEndian.PutUint64(info[200:], c.bytes)
	return info
}

func (h *closeHistory) name(c *madeUp) uint64 {
	if c.cookie == 0 {
		h.cookies++
		c.cookie = h.cookies
	}
	return c.cookie
}

// tell has the kernel tell of a close.
func (h *closeHistory) tell(c *madeUp) {
	b := h.message(c, sockdiag.StateClose, h.name(c), inetDiagProtocol, []byte{unix.IPPROTO_TCP}, sockdiag.InetDiagInfo, h.info(c))
	c.told = h.sample + 1
	head := make([]byte, unix.NLMSG_HDRLEN)
	binary.NativeEndian.PutUint32(head, uint32(len(head)+len(b)))
	binary.NativeEndian.PutUint16(head[4:], unix.SOCK_DIAG_BY_FAMILY)
	h.c.mu.Lock()
	defer h.c.mu.Unlock()
	h.c.take(slices.Concat(head, b))
	h.c.date(kernel.SinceBoot())
}

// dump tells of all connections, while they live on.
func (h *closeHistory) dump(each func(msg []byte) error) error {
	for port := uint16(1000); port < 1000+closePorts; port++ {
		h.live()
		c := h.conns[port]
		var b []byte
		switch {
		case c == nil:
			continue
		case c.closed == 0:
			b = h.message(c, sockdiag.StateEstablished, h.name(c), sockdiag.InetDiagInfo, h.info(c))
		default:
			if c.tailCookie == 0 {
				h.cookies++
				c.tailCookie = h.cookies
			}
			b = h.message(c, sockdiag.StateTimeWait, c.tailCookie)
			// We come to look at it up to a second late: on a busy machine.
			h.diag.Filled = kernel.SinceBoot() - time.Duration(h.rand.Int64N(int64(time.Second)))
			binary.NativeEndian.PutUint32(b[52:], uint32((timeWait-(h.diag.Filled-c.closed))/time.Millisecond))
		}
		// What the kernel has written we read later.
		if h.rand.IntN(3) == 0 {
			h.live()
		}
		if err := each(b); err != nil {
			return err
		}
	}
	return nil
}

func (h *closeHistory) run(samples int) {
	r := newRecording(h.t)
	budget := h.rand.IntN(30)
	ample := h.rand.IntN(2) == 0
	if ample {
		budget = 1 << 20
	}
	h.s = hearing(h.t, r, budget)
	h.c = h.s.closes[0]
	for _, p := range h.s.protocols {
		if p.proto == "tcp" {
			p.diag = &sockdiag.Conn{Instead: func(func([]byte) error) error { return nil }}
		}
	}
	for _, p := range h.s.protocols {
		if p.proto == "tcp" && p.first == nil {
			p.diag = &sockdiag.Conn{Instead: func() func(func([]byte) error) error {
				looks := 0
				return func(each func([]byte) error) error {
					if looks++; looks == 1 {
						return nil // the first sample of all sees nothing
					}
					return h.dump(each)
				}
			}()}
			h.diag = p.diag
		}
	}
	r.sampleNow(h.s)
	for i := range samples {
		for range h.rand.IntN(8) {
			h.live()
		}
		if i == samples-1 {
			for port, c := range h.conns {
				if c.closed == 0 {
					c.closed = kernel.SinceBoot()
					h.tell(c)
				}
				delete(h.conns, port)
			}
			h.tellLate()
			for _, p := range h.s.protocols {
				if p.diag.Instead != nil {
					p.diag = &sockdiag.Conn{Instead: func(func([]byte) error) error { return nil }}
				}
			}
			h.s.last = true
		}
		h.sample = i + 1
		waiting := map[int64]*madeUp{} // in TIME_WAIT, and told of before this sample
		for port, c := range h.conns {
			if c.closed != 0 && c.told != 0 {
				waiting[int64(port)] = c
			}
		}
		r.sampleNow(h.s)
		if !ample || i == samples-1 {
			continue
		}
		for _, row := range r.rows("SELECT local_port FROM sockets_now WHERE state = 'TIME_WAIT'") {
			delete(waiting, row["local_port"].(int64))
		}
		for port, c := range waiting {
			if h.conns[uint16(port)] == c {
				h.t.Errorf("sample %d: TIME_WAIT of port %d is missing, its close was told before sample %d", i+1, port, c.told)
			}
		}
	}
	rows := r.rows("SELECT * FROM connections")
	counted := r.rows("SELECT coalesce(sum(count), 0) AS n, coalesce(sum(bytes_sent), 0) AS sent FROM closed_counts")[0]
	sent := counted["sent"].(int64)
	for _, row := range rows {
		sent += row["bytes_sent"].(int64)
		if row["closed"] == nil {
			h.t.Errorf("a connection without its close: %v", row)
		}
	}
	if n := len(rows) + int(counted["n"].(int64)); n != h.made {
		h.t.Errorf("%d connections by themselves and %v summed up are %d, want %d", len(rows), counted["n"], n, h.made)
	}
	if sent != int64(h.bytes) {
		h.t.Errorf("%d bytes were sent, want %d", sent, h.bytes)
	}
	traffic := r.rows("SELECT sum(bytes_sent) AS sent, sum(closed) AS closed FROM traffic")[0]
	if traffic["sent"] != int64(h.bytes) || traffic["closed"] != int64(h.made) {
		h.t.Errorf("traffic is %v, want %d bytes, %d closed", traffic, h.bytes, h.made)
	}
	if len(rows) == 0 || h.made < 50 {
		h.t.Errorf("%d connections, %d of them by themselves, are no test", h.made, len(rows))
	}
}

// A sum of closes is what they have in all, in whatever order the kernel tells of them: first, last, how many, of how many the numbers are
// forgotten or show a failure, what they moved, and of the round-trip times that are known the least, the middle one, the greatest and the sum.
func TestSumOfClosesInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 17))
		l, g := newCloseLog(100), &closeGroup{}
		var ats []time.Duration
		var rtts []uint32
		var unknown, failed int64
		var sent, received, out, in, again, rtt uint64
		n := 1 + r.IntN(30)
		for range n {
			e := closeEvent{at: time.Duration(1 + r.IntN(1000)), proto: unix.IPPROTO_TCP}
			ats = append(ats, e.at)
			switch e.forgotten = r.IntN(4) == 0; {
			case e.forgotten:
				unknown++
			case r.IntN(4) == 0: // refused: it never had an answer
				e.rec.Has = sockdiag.HasInfo
				failed++
			default:
				e.rec = sockdiag.Record{Has: sockdiag.HasInfo | sockdiag.HasBytesSent, RTT: 1 + r.Uint32N(1000), BytesSent: r.Uint64N(1e6), BytesRecv: r.Uint64N(1e6),
					SegsOut: r.Uint32N(100), SegsIn: r.Uint32N(100), Retransmits: r.Uint32N(3)}
				rtts, rtt = append(rtts, e.rec.RTT), rtt+uint64(e.rec.RTT)
				sent, received = sent+e.rec.BytesSent, received+e.rec.BytesRecv
				out, in, again = out+uint64(e.rec.SegsOut), in+uint64(e.rec.SegsIn), again+uint64(e.rec.Retransmits)
			}
			l.enter(g, &e)
		}
		slices.Sort(ats)
		slices.Sort(rtts)
		if g.first != ats[0] || g.last != ats[n-1] || g.count != int64(n) || g.unknown != unknown || g.failed != failed {
			t.Fatalf("seed %d: %d closes from %d to %d, %d unknown, %d failed; want %d from %d to %d, %d and %d",
				seed, g.count, g.first, g.last, g.unknown, g.failed, n, ats[0], ats[n-1], unknown, failed)
		}
		if g.bytesSent != sent || g.bytesRecv != received || g.segsOut != out || g.segsIn != in || g.retransmits != again {
			t.Fatalf("seed %d: %+v", seed, g)
		}
		if len(rtts) == 0 {
			if g.rtts != 0 || g.medianRTT() != (store.Int{}) {
				t.Fatalf("seed %d: round-trip times of none: %+v", seed, g)
			}
			continue
		}
		middle := store.Of(rtts[(len(rtts)-1)/2])
		if g.rtts != uint64(len(rtts)) || g.rtt != rtt || g.leastRTT != uint64(rtts[0]) || g.maxRTT != uint64(rtts[len(rtts)-1]) || g.medianRTT() != middle {
			t.Fatalf("seed %d: of %d: %d in all, %d to %d, in the middle %v", seed, rtts, g.rtt, g.leastRTT, g.maxRTT, g.medianRTT())
		}
	}
}
