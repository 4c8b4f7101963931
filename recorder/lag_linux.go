package recorder

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// The kernel puts no time on what it tells. A message is known to be no older than the last moment at which none waited, and no
// younger than the moment after it was read. Between two messages the first of these may be hours ago; but the kernel
// wakes who waits for one, so that it is no older either than the time that passes from that to our running.

// A busyTime is the time in which the recorder itself works. With all CPUs at work for it, Go may let the monitor wait.
type busyTime struct{ from, to atomic.Int64 } // nanoseconds since boot; to is 0 while it works

func (b *busyTime) begin() {
	b.from.Store(int64(kernel.SinceBoot()))
	b.to.Store(0)
}

func (b *busyTime) end() { b.to.Store(int64(kernel.SinceBoot())) }

// before is the begin of the work that may have kept us waiting at that moment; the moment itself when there was none.
func (b *busyTime) before(at time.Duration) time.Duration {
	from, to := time.Duration(b.from.Load()), time.Duration(b.to.Load())
	if from > 0 && (to == 0 || at-to < store.Exactly) {
		return min(from, at)
	}
	return at
}

// runDelays tell how long threads were ready to run and had no CPU (the second number in /proc/PID/task/TID/schedstat).
type runDelays map[int]*runDelay

type runDelay struct {
	fd   int // -1: this kernel does not tell
	last time.Duration
}

// grown is by how much they have grown since they were last asked for: of the calling thread, and of those that called before, of
// which one may have woken it. What is woken waits for no longer than that.
func (d runDelays) grown() (sum time.Duration) {
	tid := unix.Gettid()
	if d[tid] == nil {
		fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/schedstat", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			fd = -1
		}
		d[tid] = &runDelay{fd: fd}
	}
	for tid, t := range d {
		if t.fd < 0 {
			continue
		}
		var buf [80]byte
		n, err := unix.Pread(t.fd, buf[:], 0)
		if err != nil { // the thread has ended
			unix.Close(t.fd)
			delete(d, tid)
			continue
		}
		if words := bytes.Fields(buf[:n]); len(words) > 1 {
			ns, _ := strconv.ParseInt(string(words[1]), 10, 64)
			sum += time.Duration(ns) - t.last
			t.last = time.Duration(ns)
		}
	}
	return sum
}

func (d runDelays) close() {
	for _, t := range d {
		if t.fd >= 0 {
			unix.Close(t.fd)
		}
	}
}
