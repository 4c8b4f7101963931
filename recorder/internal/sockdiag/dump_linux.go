package sockdiag

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
)

// Tries is how often a dump that the kernel calls inconsistent is begun.
const Tries = 3

// patience is how long the kernel may take for the next part of a dump.
const patience = 10 * time.Second

// A Conn is a sock_diag socket in the network namespace where it is first used. It is netlink's, but read by
// hand: the library copies every message and allocates ten megabytes per dump of twenty
// thousand sockets, where one buffer will do.
type Conn struct {
	Log    *debuglog.Log // nil: what is asked and answered is not told
	Socket *nl.NetlinkSocket
	Buf    []byte
	// filled is a moment, since boot, shortly before the kernel wrote the messages that are being read: it writes the first
	// while the request is sent, and the next whenever some are read. Ages in them count from then, however late we come to look
	// at them.
	Filled  time.Duration
	filling time.Duration // the same of those that are read next
	// instead of the kernel tells the messages of a dump: a test decides what happens between two of them.
	Instead func(each func(msg []byte) error) error
}

func New() *Conn { return &Conn{Buf: NewBuffer()} }

// NewBuffer has room for the 32 KB that the kernel gives at once to a reader with room.
func NewBuffer() []byte { return make([]byte, 64<<10) }

func (d *Conn) open() (err error) {
	if d.Socket == nil {
		d.Socket, err = Subscribe(unix.NETLINK_INET_DIAG)
	}
	return err
}

// Close gives the socket up: what is left of a dump in it would only confuse the next.
func (d *Conn) Close() {
	if d.Socket != nil {
		d.Socket.Close()
		d.Socket = nil
	}
}

// Dump sends the request and calls each with every message of the answer, which is valid
// during the call only. It returns nl.ErrDumpInterrupted when the kernel says that the
// table changed in a way that may have hidden something.
func (d *Conn) Dump(ctx context.Context, request *nl.NetlinkRequest, each func(msg []byte) error) error {
	if d.Instead != nil {
		return d.Instead(each)
	}
	if err := d.open(); err != nil {
		return fmt.Errorf("open sock_diag: %w", err)
	}
	d.Told(request)
	d.filling = kernel.SinceBoot()
	err := d.Socket.Send(request)
	if err == nil {
		err = d.Receive(ctx, request.Seq, func(kind uint16, msg []byte) error {
			if kind != unix.SOCK_DIAG_BY_FAMILY && kind != tcpDiagGetSock {
				return nil
			}
			return each(msg)
		})
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) && !errors.Is(err, unix.ENOENT) { // which is a whole answer: there is no such dump
		d.Close()
	}
	return err
}

// Receive calls each with the type and payload of every message that answers seq, until the answer is over.
func (d *Conn) Receive(ctx context.Context, seq uint32, each func(kind uint16, msg []byte) error) error {
	if d.Log == nil {
		_, _, err := d.receive(ctx, seq, each)
		return err
	}
	begun := time.Now()
	messages, size, err := d.receive(ctx, seq, each)
	outcome := "complete"
	if err != nil {
		outcome = err.Error()
	}
	d.Log.Printf("answer to seq %d: %d messages in %d bytes, after %v: %s", seq, messages, size, time.Since(begun).Round(time.Microsecond), outcome)
	return err
}

// receive also counts the messages, and the bytes that they came in.
func (d *Conn) receive(ctx context.Context, seq uint32, each func(kind uint16, msg []byte) error) (messages, size int, err error) {
	interrupted := false
	for {
		n, err := d.next(ctx)
		if err != nil {
			return messages, size, err
		}
		got, done, torn, err := eachMessage(d.Buf[:n], seq, each)
		messages, size = messages+got, size+n
		if err != nil {
			return messages, size, err
		}
		interrupted = interrupted || torn
		if done {
			break
		}
	}
	if interrupted {
		return messages, size, nl.ErrDumpInterrupted
	}
	return messages, size, nil
}

// Told says to the log what is asked.
func (d *Conn) Told(request *nl.NetlinkRequest) {
	if d.Log != nil {
		d.Log.Printf("request of type %d, flags %#x, seq %d", request.Type, request.Flags, request.Seq)
	}
}

// next reads the next part of the dump into the buffer.
func (d *Conn) next(ctx context.Context) (int, error) {
	fd := d.Socket.GetFd()
	for deadline := time.Now().Add(patience); ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begun := kernel.SinceBoot()
		n, _, flags, from, err := unix.Recvmsg(fd, d.Buf, nil, 0)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if time.Now().After(deadline) {
				return 0, fmt.Errorf("no answer for %v", patience)
			}
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100); err != nil && err != unix.EINTR {
				return 0, err
			}
		case err != nil:
			return 0, err
		case flags&unix.MSG_TRUNC != 0:
			return 0, fmt.Errorf("an answer longer than %d bytes", len(d.Buf))
		default:
			if sender, ok := from.(*unix.SockaddrNetlink); ok && sender.Pid == nl.PidKernel {
				d.Filled, d.filling = d.filling, begun
				return n, nil
			}
		}
	}
}

// eachMessage calls each with the type and payload of every message in b that answers seq. count: how many they
// were. done: it was the end of the dump. torn: the dump may not be consistent.
func eachMessage(b []byte, seq uint32, each func(kind uint16, msg []byte) error) (count int, done, torn bool, err error) {
	native := binary.NativeEndian
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(native.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return count, false, torn, fmt.Errorf("a netlink message of %d bytes where %d are left", n, len(b))
		}
		payload := b[unix.NLMSG_HDRLEN:n]
		kind, flags, answers := native.Uint16(b[4:]), native.Uint16(b[6:]), native.Uint32(b[8:]) == seq
		b = b[min((n+3)&^3, len(b)):]
		if !answers {
			continue // the rest of a dump that was given up
		}
		torn = torn || flags&unix.NLM_F_DUMP_INTR != 0
		switch {
		case kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR:
			if len(payload) >= 4 {
				if errno := int32(native.Uint32(payload)); errno != 0 {
					return count, true, torn, syscall.Errno(-errno)
				}
			}
			return count, true, torn, nil
		case kind >= unix.NLMSG_MIN_TYPE:
			count++
			if err := each(kind, payload); err != nil {
				return count, false, torn, err
			}
		}
	}
	return count, false, torn, nil
}
