package recorder

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A hearer waits for the closes and the changes of all namespaces, in one goroutine.
//
// To be woken costs a hundred times what it does to take a message, so it is woken seldom. Go's poller would be by every message, whether
// somebody waits or not; so the descriptors are in an epoll of the hearer's own, each of which is silent once it has
// spoken (EPOLLONESHOT) until its messages are taken, and Go's poller watches only that. A thread that waited in the kernel
// instead would look to Go like a system call that takes long: its monitor polls for milliseconds each time.
type hearer struct {
	epoll int
	file  *os.File // epoll
	conn  syscall.RawConn
	ended chan struct{}

	mu    sync.Mutex
	ears  map[int32]ear // by descriptor
	pause time.Duration // for which messages gather when others have just been taken
}

// An ear takes what has come to its descriptor. The buffer has room for the longest message.
type ear interface{ drain(buf []byte) }

// longestMessage is what the kernel sends at once at most, of a link with many parts.
const longestMessage = 64 << 10

// hearPause is how long messages gather when others have just been taken. A close that follows another at once may be
// dated later by as much. Where the kernel keeps less than hearRoom for us, which without CAP_NET_ADMIN is
// net.core.rmem_max, it is hearPauseShort.
const (
	hearPause      = 50 * time.Millisecond
	hearPauseShort = 10 * time.Millisecond
	hearRoom       = 8 << 20
)

func newHearer() (*hearer, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	if err := unix.SetNonblock(epoll, true); err != nil { // so that Go's poller takes it
		unix.Close(epoll)
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	h := &hearer{epoll: epoll, file: os.NewFile(uintptr(epoll), "events"), ended: make(chan struct{}), ears: map[int32]ear{}, pause: hearPause}
	if h.conn, err = h.file.SyscallConn(); err != nil {
		h.file.Close()
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	go h.loop()
	return h, nil
}

func (h *hearer) add(fd int, e ear) error {
	room, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || room < hearRoom {
		h.pause = hearPauseShort
	}
	h.ears[int32(fd)] = e
	if err := h.watch(unix.EPOLL_CTL_ADD, fd); err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

func (h *hearer) watch(how, fd int) error {
	return unix.EpollCtl(h.epoll, how, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(fd)})
}

// remove returns when nobody uses the descriptor any more.
func (h *hearer) remove(fd int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ears, int32(fd))
	unix.EpollCtl(h.epoll, unix.EPOLL_CTL_DEL, fd, nil)
}

// end ends the goroutine.
func (h *hearer) end() {
	h.file.Close()
	<-h.ended
}

func (h *hearer) loop() {
	defer close(h.ended)
	buf := make([]byte, longestMessage)
	events := make([]unix.EpollEvent, 64)
	var last time.Time
	for {
		n := 0
		err := h.conn.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events, 0)
			return n > 0 || err != nil && err != unix.EINTR
		})
		if err != nil || n < 0 {
			return // end has closed it
		}
		if pause := h.gather(); time.Since(last) < pause {
			time.Sleep(pause)
		}
		for _, e := range events[:n] {
			h.hear(e.Fd, buf)
		}
		last = time.Now()
	}
}

func (h *hearer) gather() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pause
}

func (h *hearer) hear(fd int32, buf []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.ears[fd]; e != nil {
		e.drain(buf)
		h.watch(unix.EPOLL_CTL_MOD, int(fd)) // cannot fail for one that is in it
	}
}
