package recorder

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A hearer waits for the closes and the changes of all namespaces, in one goroutine. It has an epoll of its own: Go's poller is woken by every
// message, whether somebody waits or not, and that costs several times what taking a message does.
type hearer struct {
	epoll, wake int // wake ends it
	ended       chan struct{}

	mu   sync.Mutex
	ears map[int32]ear // by descriptor
}

// An ear takes what has come to its descriptor. The buffer has room for the longest message.
type ear interface{ drain(buf []byte) }

// longestMessage is what the kernel sends at once at most, of a link with many parts.
const longestMessage = 64 << 10

// hearPause is how long messages gather when others have just been taken. A close that follows another at once may be
// dated later by as much.
const hearPause = 10 * time.Millisecond

func newHearer() (*hearer, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epoll)
		return nil, fmt.Errorf("wait for events: %w", err)
	}
	h := &hearer{epoll: epoll, wake: wake, ended: make(chan struct{}), ears: map[int32]ear{}}
	if err := h.watch(wake); err != nil {
		unix.Close(epoll)
		unix.Close(wake)
		return nil, err
	}
	go h.loop()
	return h, nil
}

func (h *hearer) watch(fd int) error {
	if err := unix.EpollCtl(h.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("wait for events: %w", err)
	}
	return nil
}

func (h *hearer) add(fd int, e ear) error {
	h.mu.Lock()
	h.ears[int32(fd)] = e
	h.mu.Unlock()
	return h.watch(fd)
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
	unix.Write(h.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	<-h.ended
	unix.Close(h.epoll)
	unix.Close(h.wake)
}

func (h *hearer) loop() {
	defer close(h.ended)
	buf := make([]byte, longestMessage)
	events := make([]unix.EpollEvent, 64)
	var last time.Time
	for {
		n, err := unix.EpollWait(h.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return // the descriptors are ours: only end takes them away
		}
		if time.Since(last) < hearPause {
			time.Sleep(hearPause)
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == int32(h.wake) {
				return
			}
			h.hear(e.Fd, buf)
		}
		last = time.Now()
	}
}

func (h *hearer) hear(fd int32, buf []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e := h.ears[fd]; e != nil {
		e.drain(buf)
	}
}
