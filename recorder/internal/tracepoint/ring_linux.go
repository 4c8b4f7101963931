package tracepoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An Event is a tracepoint to be read.
type Event struct {
	ID     int
	Filter string // as in tracefs, of those that are to be told of; "": all
	Ran    bool   // tell also which processes begin to run another program; of the first event
}

// A Sample is one occurrence of an event.
type Sample struct {
	ID       int           // of the event
	Time     time.Duration // CLOCK_MONOTONIC
	PID, TID uint32        // of the process and the thread that ran on the CPU, in the PID namespace of this program; not always whose doing it is
	Raw      []byte        // valid until the function that it was given to returns
}

// Interrupt reports whether the event happened in a hard or soft interrupt, so that the process is a bystander.
func (s *Sample) Interrupt() bool {
	const hardIRQ, softIRQ = 0x08, 0x10 // TRACE_FLAG_*, of common_flags
	return s.Raw[2]&(hardIRQ|softIRQ) != 0
}

// rawHeader is how long the fields are that each event begins with: common_type, common_flags, common_preempt_count, common_pid.
const rawHeader = 8

// A Reader reads events of all CPUs.
type Reader struct {
	rings  []*ring
	fds    []int      // of all events; those that have a ring first
	wakers []*os.File // the rings once more
	awake  sync.WaitGroup
}

// leastRing is how much a ring takes at least, in bytes.
const leastRing = 64 << 10

// Open begins to read the events on all CPUs. The rings take so many bytes together, save that each has 64 KiB at least; they take less where no more may be
// locked: who has no CAP_IPC_LOCK gets kernel.perf_event_mlock_kb for each CPU.
func Open(events []Event, room int) (*Reader, error) {
	for ; ; room /= 2 {
		r, err := open(events, room)
		if err == nil || !errors.Is(err, unix.EPERM) || room < leastRing {
			return r, err
		}
	}
}

func open(events []Event, room int) (*Reader, error) {
	cpus, err := online()
	if err != nil {
		return nil, err
	}
	pages := pagesOf(room/len(cpus), os.Getpagesize())
	r := &Reader{}
	for _, cpu := range cpus {
		if err := r.open(cpu, events, pages); err != nil {
			r.Close()
			return nil, err
		}
	}
	if err := r.Enable(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Enable has the events told of from now on.
func (r *Reader) Enable() error { return r.control(unix.PERF_EVENT_IOC_ENABLE, "enable") }

// Disable has no more events told of, until Enable: they cost nothing then. What is in the rings stays.
func (r *Reader) Disable() error { return r.control(unix.PERF_EVENT_IOC_DISABLE, "disable") }

func (r *Reader) control(request uint, verb string) error {
	for _, fd := range r.fds {
		if err := unix.IoctlSetInt(fd, request, 0); err != nil {
			return fmt.Errorf("%s a tracepoint: %w", verb, err)
		}
	}
	return nil
}

// pagesOf is how many pages a ring of so many bytes has: a power of two.
func pagesOf(bytes, page int) int {
	n := max(bytes, leastRing) / page
	return 1 << max(bits.Len(uint(n))-1, 0)
}

func (r *Reader) open(cpu int, events []Event, pages int) error {
	first := -1
	for _, e := range events {
		attr := unix.PerfEventAttr{
			Type: unix.PERF_TYPE_TRACEPOINT, Config: uint64(e.ID), Sample: 1,
			Sample_type: unix.PERF_SAMPLE_TID | unix.PERF_SAMPLE_TIME | unix.PERF_SAMPLE_RAW,
			Bits:        unix.PerfBitDisabled | unix.PerfBitWatermark | unix.PerfBitUseClockID,
			Wakeup:      uint32(pages * os.Getpagesize() / 2),
			Clockid:     unix.CLOCK_MONOTONIC,
		}
		attr.Size = uint32(unsafe.Sizeof(attr))
		if first < 0 && e.Ran {
			attr.Bits |= unix.PerfBitComm
		}
		fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if errors.Is(err, unix.ENODEV) && first < 0 { // taken off meanwhile
			return nil
		}
		if err != nil {
			return fmt.Errorf("open a tracepoint: %w", err)
		}
		r.fds = append(r.fds, fd)
		if e.Filter != "" {
			text, err := unix.BytePtrFromString(e.Filter)
			if err != nil {
				return err
			}
			if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_SET_FILTER, uintptr(unsafe.Pointer(text))); errno != 0 {
				return fmt.Errorf("filter a tracepoint by %q: %w", e.Filter, errno)
			}
		}
		if first >= 0 {
			if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_OUTPUT, first); err != nil {
				return fmt.Errorf("share the ring of a tracepoint: %w", err)
			}
			continue
		}
		first = fd
		memory, err := unix.Mmap(fd, 0, (1+pages)*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map the ring of a tracepoint: %w", err)
		}
		r.rings = append(r.rings, newRing(fd, memory))
	}
	return nil
}

// Watch calls f whenever a ring is half full, until Close; several calls may be under way at once. It waits with Go's poller, not with an epoll of our own:
// to ask a ring whether it is ready takes the answer away, and an epoll in another asks twice.
func (r *Reader) Watch(f func()) error {
	for _, ring := range r.rings {
		own, err := unix.FcntlInt(uintptr(ring.fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("wait for a tracepoint: %w", err)
		}
		if err := unix.SetNonblock(own, true); err != nil { // so that Go's poller takes it
			unix.Close(own)
			return fmt.Errorf("wait for a tracepoint: %w", err)
		}
		file := os.NewFile(uintptr(own), "tracepoint")
		r.wakers = append(r.wakers, file)
		conn, err := file.SyscallConn()
		if err != nil {
			return fmt.Errorf("wait for a tracepoint: %w", err)
		}
		r.awake.Go(func() {
			_ = conn.Read(func(uintptr) bool { // until it is closed
				f()
				return false
			})
		})
	}
	return nil
}

// A Taker takes what is in the rings.
type Taker interface {
	Take(*Sample)
	// Ran is called for each process that began to run another program, or gave itself another name.
	Ran(pid uint32, comm []byte)
}

// Drain gives what is in the rings to t, of each CPU in the order of time, and returns how many events were lost for want of room and how many
// made no sense.
func (r *Reader) Drain(t Taker) (lost, garbled uint64) {
	for _, ring := range r.rings {
		l, g := ring.drain(t)
		lost, garbled = lost+l, garbled+g
	}
	return lost, garbled
}

// Rings is how many rings there are, one for each CPU.
func (r *Reader) Rings() int { return len(r.rings) }

// Close ends it, after what Watch has called has returned.
func (r *Reader) Close() {
	for _, file := range r.wakers {
		file.Close()
	}
	r.awake.Wait()
	for _, ring := range r.rings {
		unix.Munmap(ring.memory)
	}
	for _, fd := range r.fds {
		unix.Close(fd)
	}
	r.rings, r.fds = nil, nil
}

// A ring is what the kernel writes into: a page that says how far it is, and the data.
type ring struct {
	fd     int
	memory []byte
	page   *unix.PerfEventMmapPage
	data   []byte
	wrap   []byte // a record that goes on at the begin of the data
	sample Sample
}

func newRing(fd int, memory []byte) *ring {
	page := (*unix.PerfEventMmapPage)(unsafe.Pointer(&memory[0]))
	return &ring{fd: fd, memory: memory, page: page, data: memory[os.Getpagesize():]}
}

const (
	recordLost   = unix.PERF_RECORD_LOST
	recordComm   = unix.PERF_RECORD_COMM
	recordSample = unix.PERF_RECORD_SAMPLE
	recordHeader = 8
)

func (r *ring) drain(t Taker) (lost, garbled uint64) {
	head := atomic.LoadUint64(&r.page.Data_head)
	tail := r.page.Data_tail
	size := uint64(len(r.data))
	for tail < head {
		at := tail % size
		length := uint64(binary.NativeEndian.Uint16(r.data[at+6:])) // records are multiples of 8 bytes: a header never wraps
		if length < recordHeader || length > head-tail || length%8 != 0 {
			garbled++
			tail = head
			break
		}
		record := r.data[at:min(at+length, size)]
		if uint64(len(record)) < length {
			r.wrap = append(append(r.wrap[:0], record...), r.data[:length-uint64(len(record))]...)
			record = r.wrap
		}
		switch binary.NativeEndian.Uint32(record) {
		case recordSample:
			if r.decode(record[recordHeader:]) {
				t.Take(&r.sample)
			} else {
				garbled++
			}
		case recordComm:
			if len(record) < recordHeader+8 {
				garbled++
				break
			}
			native := binary.NativeEndian
			if pid, tid := native.Uint32(record[recordHeader:]), native.Uint32(record[recordHeader+4:]); pid == tid {
				comm, _, _ := bytes.Cut(record[recordHeader+8:], []byte{0})
				t.Ran(pid, comm)
			}
		case recordLost:
			if len(record) >= recordHeader+16 {
				lost += binary.NativeEndian.Uint64(record[recordHeader+8:])
			}
		}
		tail += length
	}
	atomic.StoreUint64(&r.page.Data_tail, tail)
	return lost, garbled
}

// decode reads a sample: the process, the thread, the time, and the raw data with its length.
func (r *ring) decode(b []byte) bool {
	if len(b) < 20 {
		return false
	}
	native := binary.NativeEndian
	n := int(native.Uint32(b[16:]))
	if n < rawHeader || n > len(b)-20 {
		return false
	}
	r.sample = Sample{
		PID: native.Uint32(b), TID: native.Uint32(b[4:]), Time: time.Duration(native.Uint64(b[8:])),
		Raw: b[20 : 20+n], ID: int(native.Uint16(b[20:])),
	}
	return true
}
