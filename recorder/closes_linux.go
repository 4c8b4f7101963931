package recorder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// closes hears of every TCP and UDP socket of a network namespace that the kernel gives up, with the last tcp_info: the
// destroy groups of sock_diag (SKNLGRP_INET_TCP_DESTROY and its like, Linux 4.4). A goroutine takes the messages
// as they come into a log of closes; with each sample what stands there is put into the recording.
//
// The kernel tells of a socket that goes on in TIME_WAIT when it enters that state. It does not tell who held it:
// a socket that a sample has seen is known by its cookie, and of others only a listener of their port is known.
type closes struct {
	source    *store.Source
	log       *store.LogSet[store.Close]
	sums      *store.LogSet[store.CloseCount]
	ns        namespace
	protocols []*protocol // that tell of closes
	budget    int
	since     time.Duration // since boot: when the dumps of this sample began
	before    time.Duration // and those of the one before
	emptied   time.Duration // when, before that, no message waited: what was told earlier stands in the log of closes
	fresh     int           // how many in TIME_WAIT may still be recorded that were there before we heard; see closeOf

	singles map[endpoints]int // ends of the closes that were kept one by one when the dumps began
	got     *closeLog         // what this sample has collected; nil: nothing can be heard
	latest  map[endpoints]int // of the closes in it that are kept one by one, the last between the same ends,
	earlier []int             // and for each of them the one before
	gotErr  error

	netlog  *debuglog.Log // nil: messages are not told of
	trace   *trace        // nil: who opened what, and how it ended, is not known
	monitor *monitor
	fd      int    // of the netlink socket; -1 when it is not open
	drops   uint32 // messages that the kernel has dropped so far for want of room

	mu      sync.Mutex
	events  *closeLog
	undated []closeEvent  // taken, and not yet in the log of closes
	empty   time.Duration // since boot: no message waited then
	failed  error         // why nothing more is heard
	missed  int           // times that the kernel said it dropped messages
	garbled int           // messages that made no sense
}

// A closeEvent is a closed socket.
type closeEvent struct {
	at    time.Duration // since boot; it may have been earlier,
	late  time.Duration // by so much
	proto uint8
	rec   sockdiag.Record
	// lived is how long it has been there at least, by the ages in its tcp_info.
	lived  time.Duration
	idle   time.Duration // how long nothing had come or gone; 0 where that is not known
	minRTT uint32        // microseconds; 0: none was measured
	// forgotten: the connection was disconnected to be reset (SO_LINGER 0): the kernel has forgotten its other end and its
	// counts.
	forgotten bool
	socket    *socket // if a sample has seen it
	traced    *traced // if the trace has; nil: that tells nothing
	number    uint32  // in the order of the log of closes
}

// Groups of linux/sock_diag.h.
var destroyGroups = []int{1 /* TCP, IPv4 */, 2 /* UDP, IPv4 */, 3 /* TCP, IPv6 */, 4 /* UDP, IPv6 */}

// closesBuffer is how much the kernel may keep for us: half a second at 20,000 closes a second, each of which it counts
// as a kilobyte. Without CAP_NET_ADMIN it is net.core.rmem_max at the most.
const closesBuffer = 16 << 20

// begin begins to hear, if that is not so already. It must be before the dumps, so that no socket is missed by both.
func (c *closes) begin() {
	c.fresh, c.before, c.since, c.singles = 0, c.since, kernel.SinceBoot(), nil
	if c.fd >= 0 {
		c.mu.Lock()
		c.events.hold, c.emptied = true, c.empty
		c.mu.Unlock()
		return
	}
	c.emptied = c.since
	var err error
	if outside := c.ns.inside(func() { err = c.listen() }); outside != nil {
		err = outside
	}
	if err != nil {
		c.mu.Lock() // where only the waiting failed, the monitor may be at it already
		c.failed = err
		c.mu.Unlock()
	}
}

// listen opens the socket.
func (c *closes) listen() error {
	fd, err := multicast(unix.NETLINK_INET_DIAG, closesBuffer, destroyGroups...)
	if err != nil {
		return err
	}
	c.fd = fd
	c.drops, _ = socketDrops(fd)
	c.empty = kernel.SinceBoot()
	c.events, c.failed, c.missed, c.garbled, c.fresh = newCloseLog(c.budget), nil, 0, 0, c.budget
	c.events.hold = true
	return c.monitor.add(c.fd, c)
}

// multicast opens a netlink socket that is a member of the groups, and does not block.
func multicast(protocol, buffer int, groups ...int) (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, err
	}
	sockdiag.NoteOwn(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // it may stay smaller: losses are told
	}
	for _, group := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			unix.Close(fd)
			return -1, fmt.Errorf("join group %d: %w", group, err)
		}
	}
	return fd, nil
}

// socketDrops is how many messages the kernel has dropped because the socket's buffer was full (SO_MEMINFO, Linux 4.12).
func socketDrops(fd int) (drops uint32, known bool) {
	var info [sockdiag.SKMemInfoDrops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[sockdiag.SKMemInfoDrops], errno == 0 && size >= uint32(unsafe.Sizeof(info))
}

// close ends the subscription.
func (c *closes) close() {
	if c.fd >= 0 {
		c.monitor.remove(c.fd)
		unix.Close(c.fd)
		c.fd = -1
	}
}

// drain takes what is there. Only the kernel, and who has CAP_NET_ADMIN, can send to the socket, so that senders need
// not be looked at.
//
// What was read came after since, after the queue was last empty, and before the clock is read that follows.
func (c *closes) drain(buf []byte, since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since = max(since, c.empty)
	before := kernel.SinceBoot()
	b := messageBatches.Get().(*messageBatch)
	defer messageBatches.Put(b)
	b.into(buf)
	for c.failed == nil {
		n, err := b.receive(c.fd)
		switch err {
		case nil:
			for i := range n {
				message, whole := b.message(i)
				logMessages(c.netlog, c.ns, nil, message)
				if whole {
					c.take(message)
				} else {
					c.garbled++
				}
			}
		case unix.EINTR:
		case unix.EAGAIN:
			c.date(since)
			c.empty = max(c.empty, before)
			return
		case unix.ENOBUFS:
			c.missed++
			if c.netlog != nil {
				c.netlog.Printf("netns %d: the kernel dropped messages of closed sockets", c.ns.inode())
			}
		default:
			c.failed = err
		}
		if len(c.undated) >= undatedMost {
			before = c.date(since)
			c.mu.Unlock() // a sample may be waiting
			c.mu.Lock()
		}
	}
	c.date(since)
}

// undatedMost is how many closes are taken before they are dated, which takes looks at clocks and rings.
const undatedMost = 4 * batchMost

// date enters into the log of closes what was taken: it happened between since and now.
func (c *closes) date(since time.Duration) (now time.Duration) {
	now = kernel.SinceBoot()
	if len(c.undated) > 0 {
		c.trace.drain() // what happened to these sockets stands in its rings by now
	}
	for i := range c.undated {
		end := &c.undated[i]
		end.at, end.late = now, now-since
		if end.proto == unix.IPPROTO_TCP {
			end.traced = c.trace.claim(&end.rec, uint64(c.ns.inode()))
		}
		if !c.events.add(end, c.sampled(end) != nil) {
			c.trace.done(end.traced)
		}
	}
	c.undated = c.undated[:0]
	return now
}

// drainRest takes what the monitor has not yet taken.
func (c *closes) drainRest() {
	if c.fd >= 0 {
		c.drain(make([]byte, 8<<10), c.monitor.notBefore())
	}
}

// take decodes the messages in b. One that makes no sense is as good as lost.
func (c *closes) take(b []byte) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			c.garbled++
			return
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.SOCK_DIAG_BY_FAMILY {
			end, err := decodeClose(b[unix.NLMSG_HDRLEN:n])
			if err != nil {
				c.garbled++
			} else {
				c.undated = append(c.undated, end)
			}
		}
		b = b[min((n+3)&^3, len(b)):]
	}
}

// sampled is the socket, if a sample has seen it.
func (c *closes) sampled(end *closeEvent) *socket {
	for _, p := range c.protocols {
		if p.af == end.rec.Family && p.number == end.proto {
			return p.socketOf(end.rec.Cookie)
		}
	}
	return nil
}

// drainNow takes what is there, in the goroutine of the samples.
func (c *closes) drainNow(buf []byte) {
	if c != nil && c.fd >= 0 {
		c.drain(buf, c.monitor.notBefore())
	}
}

// toldOf reports whether the kernel has told since the last sample that the socket of that cookie, which a sample has seen, is
// closed.
func (c *closes) toldOf(cookie uint64) bool {
	if c == nil || c.fd < 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events.closed[cookie]
}

// inetDiagProtocol is INET_DIAG_PROTOCOL, with which the kernel says what kind of socket it was.
const inetDiagProtocol = 10

// decodeClose reads the inet_diag message of a closed socket.
func decodeClose(b []byte) (closeEvent, error) {
	rec, err := sockdiag.DecodeInet(b)
	if err != nil {
		return closeEvent{}, err
	}
	end := closeEvent{rec: rec}
	err = sockdiag.EachAttribute(b[sockdiag.InetDiagMsgSize:], func(kind uint16, v []byte) {
		switch {
		case kind == inetDiagProtocol && len(v) > 0:
			end.proto = v[0]
		case kind == sockdiag.InetDiagInfo && rec.Has&sockdiag.HasInfo != 0:
			end.ages(v)
		}
	})
	if err == nil && end.proto == 0 {
		err = errors.New("a closed socket without a protocol")
	}
	if rec.DPort == 0 {
		// Never connected, or disconnected to be reset (SO_LINGER 0): the kernel has forgotten its counts.
		end.rec.Has &^= sockdiag.HasInfo | sockdiag.HasBytesRecv | sockdiag.HasBytesSent | sockdiag.HasSegs
		end.rec.RTT, end.lived, end.idle = 0, 0, 0
		if !end.forgotten {
			end.minRTT = 0
		}
	} else {
		end.forgotten = false
	}
	return end, err
}

// ages reads the parts of tcp_info that say how long the connection has been there. The times of the last segments start
// with the connection; of one that was never established they mean nothing.
func (e *closeEvent) ages(info []byte) {
	native := binary.NativeEndian
	if len(info) >= 152 {
		if e.minRTT = native.Uint32(info[148:]); e.minRTT == 1<<32-1 {
			e.minRTT = 0
		}
	}
	// Room for received data is made when a connection is established (tcp_init_buffer_space), and not taken back.
	e.forgotten = len(info) >= 100 && native.Uint32(info[96:]) /* rcv_space */ != 0
	if e.rec.RTT == 0 {
		return
	}
	sent, received, acked := native.Uint32(info[44:]) /* last_data_sent */, native.Uint32(info[52:]) /* last_data_recv */, native.Uint32(info[56:]) /* last_ack_recv */
	e.lived = max(0, time.Duration(max(sent, received, acked))*time.Millisecond-kernelTick())
	e.idle = time.Duration(min(sent, received, acked)) * time.Millisecond
}

// kernelTick is how coarse the ages in tcp_info are: what happened just before a tick seems to be one old just after it.
var kernelTick = sync.OnceValue(func() time.Duration {
	var tick unix.Timespec
	if unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick) != nil {
		return 10 * time.Millisecond
	}
	return time.Duration(tick.Nano())
})

// collect takes what was received since the last time, and finds the sockets that samples have seen.
func (c *closes) collect() {
	c.got, c.gotErr, c.latest = nil, nil, nil
	if c.fd < 0 && (c.failed != nil || c.events == nil) {
		c.gotErr = closesError(c.failed)
		return
	}
	if slices.ContainsFunc(c.protocols, func(p *protocol) bool { return len(p.remains) > 0 }) {
		c.drainRest() // their closes may wait to be heard
	}
	c.mu.Lock()
	got, failed, missed, garbled := c.events, c.failed, c.missed, c.garbled
	c.events, c.missed, c.garbled = newCloseLog(c.budget), 0, 0
	c.mu.Unlock()
	c.tellLost(missed, garbled)
	if failed != nil {
		c.close()
		c.gotErr = closesError(failed)
		return
	}
	c.got = got
	for _, list := range [...][]closeEvent{got.sampled, got.single} {
		for i := range list {
			// One that was closed while this sample saw it was heard of before it was known.
			if e := c.sampled(&list[i]); e != nil {
				list[i].socket, e.closed = e, true
			}
		}
	}
	for _, p := range c.protocols {
		if len(p.remains) > 0 && c.latest == nil {
			c.latest, c.earlier = got.lastOf()
		}
	}
}

// tellLost says how many closes were not heard of.
func (c *closes) tellLost(missed, garbled int) {
	lost := uint32(missed)
	if c.fd < 0 { // deserted meanwhile, and shut
		return
	}
	if drops, known := socketDrops(c.fd); known {
		lost, c.drops = drops-c.drops, drops
	}
	lost += uint32(garbled)
	if lost > 0 {
		c.source.Lost(fmt.Sprintf("%d closed sockets were not heard of: more came than net.core.rmem_max, or the CPU, has room for", lost))
	}
}

func closesError(err error) error {
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EPROTONOSUPPORT) {
		return &store.PartialError{Missing: "this kernel does not tell of closed sockets (modprobe tcp_diag udp_diag): " +
			"what lives between two samples is not seen"}
	}
	return fmt.Errorf("hear of closed sockets: %w", err)
}
