package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
)

// Attributes of a question for a route that golang.org/x/sys/unix lacks (linux/rtnetlink.h, Linux 4.18).
const (
	rtaIPProto = 27
	rtaSPort   = 28
	rtaDPort   = 29
)

// A Flow is what the kernel chooses a route by: that of a TCP connection from a socket of this machine.
type Flow struct {
	Src, Dst     netip.Addr
	Mark, UID    uint32
	SPort, DPort uint16 // both 0: not told, and no rule asks for them
	TOS          uint8
}

// A Lookup asks the kernel which route a flow takes, as ip route get does. It has a socket of its own, in the network namespace in which
// it is opened, that receives from nobody but the kernel. The zero value is closed.
type Lookup struct {
	open     bool
	fd       int
	seq      uint32
	question []byte
	answer   []byte
	ifreq    *unix.Ifreq
}

// IsOpen reports whether it has its socket.
func (l *Lookup) IsOpen() bool { return l.open }

// Open opens the socket, in the network namespace of the thread.
func (l *Lookup) Open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	sockdiag.NoteOwn(fd)
	if err := unix.Connect(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	l.open, l.fd, l.answer = true, fd, make([]byte, 4096)
	return nil
}

func (l *Lookup) Close() {
	if l.open {
		unix.Close(l.fd)
		l.open, l.answer = false, nil
	}
}

// Ask is the index of the interface that the route of the flow leads through, 0 where it has none: where it is unreachable, and where the
// source is no address of the machine any more. An error means that nothing was received; the socket is closed then.
func (l *Lookup) Ask(f *Flow) (int32, error) {
	l.seq++
	l.question = f.request(l.question[:0], l.seq)
	for {
		_, err := unix.Write(l.fd, l.question)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.Close()
			return 0, fmt.Errorf("ask for a route: %w", err)
		}
		break
	}
	for { // the kernel has answered by now
		n, err := unix.Read(l.fd, l.answer)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			l.Close()
			return 0, fmt.Errorf("read a route: %w", err)
		}
		oif, answers, err := parseAnswer(l.answer[:n], l.seq)
		if err != nil {
			l.Close()
			return 0, fmt.Errorf("read a route: %w", err)
		}
		if answers {
			return oif, nil
		}
	}
}

// NameOf is the name of an interface, "" when there is none of that index.
func (l *Lookup) NameOf(index int32) string {
	if l.ifreq == nil {
		l.ifreq, _ = unix.NewIfreq("")
	}
	return nameOf(l.fd, l.ifreq, index)
}

// request is an RTM_GETROUTE message.
func (f *Flow) request(b []byte, seq uint32) []byte {
	native := binary.NativeEndian
	family, bits := uint8(unix.AF_INET6), uint8(128)
	if f.Dst.Is4() {
		family, bits = unix.AF_INET, 32
	}
	b = append(b, 0, 0, 0, 0) // its length
	b = native.AppendUint16(b, unix.RTM_GETROUTE)
	b = native.AppendUint16(b, unix.NLM_F_REQUEST)
	b = native.AppendUint32(b, seq)
	b = append(b, 0, 0, 0, 0)
	b = append(b, family, bits, bits, f.TOS, 0, 0, 0, 0, 0, 0, 0, 0) // struct rtmsg
	address := func(kind uint16, a netip.Addr) {
		b = native.AppendUint16(b, uint16(unix.SizeofRtAttr+int(bits/8)))
		b = native.AppendUint16(b, kind)
		if family == unix.AF_INET {
			four := a.As4()
			b = append(b, four[:]...)
		} else {
			all := a.As16()
			b = append(b, all[:]...)
		}
	}
	address(unix.RTA_DST, f.Dst)
	address(unix.RTA_SRC, f.Src)
	number := func(kind uint16, n uint32) {
		b = native.AppendUint16(b, unix.SizeofRtAttr+4)
		b = native.AppendUint16(b, kind)
		b = native.AppendUint32(b, n)
	}
	number(unix.RTA_UID, f.UID)
	if f.Mark != 0 {
		number(unix.RTA_MARK, f.Mark)
	}
	if f.SPort != 0 || f.DPort != 0 {
		b = native.AppendUint16(b, unix.SizeofRtAttr+1)
		b = native.AppendUint16(b, rtaIPProto)
		b = append(b, unix.IPPROTO_TCP, 0, 0, 0)
		port := func(kind, n uint16) {
			b = native.AppendUint16(b, unix.SizeofRtAttr+2)
			b = native.AppendUint16(b, kind)
			b = binary.BigEndian.AppendUint16(b, n)
			b = append(b, 0, 0)
		}
		port(rtaSPort, f.SPort)
		port(rtaDPort, f.DPort)
	}
	native.PutUint32(b, uint32(len(b)))
	return b
}

// parseAnswer reads what the kernel sent; answers: it answers that question.
func parseAnswer(b []byte, seq uint32) (oif int32, answers bool, err error) {
	native := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN || native.Uint32(b) < unix.NLMSG_HDRLEN || int(native.Uint32(b)) > len(b) {
		return 0, false, ErrShort
	}
	kind, body := native.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:native.Uint32(b)]
	switch {
	case native.Uint32(b[8:]) != seq:
		return 0, false, nil
	case kind == unix.NLMSG_ERROR && len(body) >= 4:
		switch errno := syscall.Errno(-int32(native.Uint32(body))); errno {
		case unix.ENOMEM, unix.ENOBUFS, unix.EPERM, unix.EOPNOTSUPP:
			return 0, false, errno
		}
		return 0, true, nil // there is none, or it forbids
	case kind != unix.RTM_NEWROUTE || len(body) < unix.SizeofRtMsg:
		return 0, false, fmt.Errorf("a message of type %d and %d bytes", kind, len(body))
	}
	err = Attributes(body[unix.SizeofRtMsg:], func(kind uint16, v []byte) (err error) {
		if kind == unix.RTA_OIF {
			oif, err = int32Of(v)
		}
		return err
	})
	if err != nil {
		return 0, false, err
	}
	switch body[7] { // rtm_type
	case unix.RTN_UNICAST, unix.RTN_LOCAL:
		return oif, true, nil
	}
	return 0, true, nil // IPv6 answers an unreachable one with the interface lo
}
