package recorder

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
)

// A monitor waits for the closes and the changes of all namespaces, in one goroutine.
//
// To be woken costs a hundred times what it does to take a message, so it is woken seldom. Go's poller would be by every
// message, whether somebody waits or not; so the descriptors are in an epoll of the monitor's own, each of which is silent once
// it has spoken (EPOLLONESHOT) until its messages are taken, and Go's poller watches only that. A thread that waited in the
// kernel instead would look to Go like a system call that takes long: its monitor polls for milliseconds each time.
type monitor struct {
	epoll int
	file  *os.File // epoll
	conn  syscall.RawConn
	ended chan struct{}

	busy   busyTime      // of the recorder
	delays runDelays     // of its threads
	looked time.Duration // since boot: what was not ready by then came later
	since  atomic.Int64  // what is being taken came later; 0 while nothing is

	mu          sync.Mutex
	subscribers map[int32]subscriber // by descriptor
	pause       time.Duration        // for which messages gather when others have just been taken

	atOnce int // a minute, that do not gather
	prompt allowance
}

// A subscriber takes what has come to its descriptor, which was after since (since boot). The buffer has room for the longest
// message.
type subscriber interface {
	drain(buf []byte, since time.Duration)
}

// longestMessage is what the kernel sends at once at most, of a link with many parts.
const longestMessage = 64 << 10

// hearPause is how long messages gather when others have just been taken. A close that follows another at once may be
// dated later by as much, and says so. Where the kernel keeps less than hearRoom for us, which without CAP_NET_ADMIN is
// net.core.rmem_max, it is hearPauseShort.
const (
	gatherPause      = 50 * time.Millisecond
	gatherPauseShort = 10 * time.Millisecond
	gatherRoom       = 8 << 20
	// changesAtOnce is how many changes of links, routes and so on are taken at once in a minute: these are few, but what follows
	// what within milliseconds is often what matters.
	changesAtOnce = 600
)

func newMonitor() (*monitor, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // so that Go's poller takes it
		unix.Close(epoll)
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	h := &monitor{epoll: epoll, file: os.NewFile(uintptr(epoll), "events"), ended: make(chan struct{}), subscribers: map[int32]subscriber{}, pause: gatherPause,
		delays: runDelays{}, looked: kernel.SinceBoot()}
	if h.conn, err = h.file.SyscallConn(); err != nil {
		h.file.Close()
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	go h.loop()
	return h, nil
}

func (h *monitor) add(fd int, e subscriber) error {
	room, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || room < gatherRoom {
		h.pause = gatherPauseShort
	}
	return h.subscribe(fd, e)
}

func (h *monitor) subscribe(fd int, e subscriber) error {
	h.subscribers[int32(fd)] = e
	if err := h.watch(unix.EPOLL_CTL_ADD, fd); err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

func (h *monitor) watch(how, fd int) error {
	return unix.EpollCtl(h.epoll, how, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
}

// remove returns when nobody uses the descriptor any more.
func (h *monitor) remove(fd int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.subscribers, int32(fd))
	unix.EpollCtl(h.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

// end ends the goroutine.
func (h *monitor) end() {
	h.file.Close()
	<-h.ended
}

func (h *monitor) loop() {
	defer close(h.ended)
	defer h.delays.close()
	buf := make([]byte, longestMessage)
	events := make([]unix.EpollEvent, 64)
	var last time.Time
	for {
		n, since, parked, err := h.wait(events)
		if err != nil || n < 0 {
			return // end has closed it
		}
		pause := h.gather(time.Since(last))
		if parked { // the first of them has woken us
			since = max(since, h.wokenAfter(pause))
		}
		h.since.Store(int64(since))
		if pause > 0 {
			time.Sleep(pause)
		}
		for _, e := range events[:n] {
			h.deliver(e.Fd, buf, since)
		}
		h.since.Store(0)
		last = time.Now()
	}
}

// wait returns which descriptors are ready, since when at the earliest, and whether it had to wait for that.
func (h *monitor) wait(events []unix.EpollEvent) (n int, since time.Duration, parked bool, err error) {
	err = h.conn.Read(func(fd uintptr) bool {
		at := kernel.SinceBoot()
		since = h.looked
		var err error
		n, err = unix.EpollWait(int(fd), events, 0)
		if n < len(events) {
			h.looked = at
		}
		done := n > 0 || err != nil && err != unix.EINTR
		parked = parked || !done
		return done
	})
	return n, since, parked, err
}

// wokenAfter is the earliest moment at which what has woken us can have come. Where messages gather that need not be known well.
func (h *monitor) wokenAfter(pause time.Duration) time.Duration {
	now := kernel.SinceBoot()
	if pause > 0 {
		return now - pause
	}
	return h.busy.before(now) - h.delays.grown()
}

// notBefore is for who takes messages in place of the monitor: they came after it.
func (h *monitor) notBefore() time.Duration {
	if since := time.Duration(h.since.Load()); since > 0 {
		return since
	}
	return kernel.SinceBoot() - gatherPause // else the monitor had taken them
}

// gather is how long messages are to gather when others were taken so long ago.
func (h *monitor) gather(ago time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ago >= h.pause || h.atOnce > 0 && h.prompt.take(kernel.SinceBoot(), h.atOnce) {
		return 0
	}
	return h.pause
}

// takeAtOnce has so many messages a minute taken at once that would gather otherwise.
func (h *monitor) takeAtOnce(perMinute int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.atOnce = perMinute
}

func (h *monitor) deliver(fd int32, buf []byte, since time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.subscribers[fd]; e != nil {
		e.drain(buf, since)
		h.watch(unix.EPOLL_CTL_MOD, int(fd)) // cannot fail for one that is in it
	}
}
