package rtnl

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// An Conn, one for all sources of a network namespace, asks the kernel for links, addresses, neighbours, routes and rules
// (rtnetlink(7)). It decodes by hand, because the library drops what it has no field
// for: metrics of routes, newer counters, attributes of rules.
type Conn struct {
	Log    *debuglog.Log     // nil: what is asked and answered is not told
	Socket *nl.NetlinkSocket // nil until first asked, and after an error
	ifreq  *unix.Ifreq
}

// A dump that a change interrupted may miss entries or repeat them (NLM_F_DUMP_INTR). With a
// link made and deleted every 10 ms it happens to one in five.
const tries = 4

// Dump returns the messages of one dump: the kernel's answers of the type answer to the
// request, whose fixed header is given.
func (r *Conn) Dump(ctx context.Context, request int, answer uint16, header []byte) ([][]byte, error) {
	return again(ctx, func() ([][]byte, error) { return r.ask(ctx, request, answer, header) })
}

// again asks until no change interrupts the answer. The last one counts, interrupted or not.
func again(ctx context.Context, ask func() ([][]byte, error)) ([][]byte, error) {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		messages, err := ask()
		if err == nil || !errors.Is(err, nl.ErrDumpInterrupted) || try == tries {
			return messages, err
		}
	}
}

func (r *Conn) ask(ctx context.Context, request int, answer uint16, header []byte) ([][]byte, error) {
	if err := r.Open(); err != nil {
		return nil, err
	}
	buf := dumpBuffers.Get().(*[]byte)
	defer dumpBuffers.Put(buf)
	d := sockdiag.Conn{Log: r.Log, Socket: r.Socket, Buf: *buf}
	req := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
	req.AddRawData(header)
	d.Told(req)
	var got packed
	err := d.Socket.Send(req)
	if err == nil {
		err = d.Receive(ctx, req.Seq, func(kind uint16, msg []byte) error {
			if kind == answer {
				got.add(msg)
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		r.Close() // the rest of the answer may still stand in the socket
	}
	return got.messages, err
}

// dumpBuffers are those that no dump is read into: every namespace has its own socket, and they are read one after the other.
var dumpBuffers = sync.Pool{New: func() any { buf := sockdiag.NewBuffer(); return &buf }}

// packed are messages that stand close together in memory: the library keeps each in the buffer that it came in, which is half
// empty, and a million routes took half a gigabyte.
type packed struct {
	messages [][]byte
	room     []byte
}

func (p *packed) add(msg []byte) {
	if len(p.room) < len(msg) {
		p.room = make([]byte, max(len(msg), min(4<<10+64*len(p.messages), 1<<20)))
	}
	n := copy(p.room, msg)
	p.messages = append(p.messages, p.room[:n:n])
	p.room = p.room[n:]
}

func (r *Conn) Close() {
	if r.Socket != nil {
		r.Socket.Close()
		r.Socket = nil
	}
}

func (r *Conn) Open() (err error) {
	if r.Socket == nil {
		if r.Socket, err = sockdiag.Subscribe(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
	}
	return nil
}

// linkName asks for the name of one interface: half a microsecond, where a dump of all
// links costs microseconds for each of them. It works on any socket, of the namespace
// the socket is in. The name is empty when there is no such interface any more.
func (r *Conn) linkName(index int32) string {
	if r.Open() != nil {
		return ""
	}
	if r.ifreq == nil {
		r.ifreq, _ = unix.NewIfreq("")
	}
	return nameOf(r.Socket.GetFd(), r.ifreq, index)
}

// nameOf asks on that socket.
func nameOf(fd int, ifreq *unix.Ifreq, index int32) string {
	ifreq.SetUint32(uint32(index))
	if unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifreq) != nil {
		return ""
	}
	return ifreq.Name()
}

// LinkNames are the names of the interfaces that a dump speaks of, by index.
type LinkNames struct {
	Conn    *Conn
	ByIndex map[int32]string
}

// Of is the name of the interface, if17 when it went between the dump and now (as ip
// prints it), and nothing for index 0.
func (n *LinkNames) Of(index int32) string {
	if index == 0 {
		return ""
	}
	name, known := n.ByIndex[index]
	if !known {
		if name = n.Conn.linkName(index); name == "" {
			name = "if" + strconv.Itoa(int(index))
		}
		n.ByIndex[index] = name
	}
	return name
}

// Now is the name that the interface has now, which is asked for once; nothing when there is no such interface any more.
func (n *LinkNames) Now(index int32) string {
	name, known := n.ByIndex[index]
	if !known {
		name = n.Conn.linkName(index)
		n.ByIndex[index] = name
	}
	return name
}

// Same reports whether the interfaces still have the names that of gave.
func (n *LinkNames) Same() bool {
	for index, name := range n.ByIndex {
		if n.Conn.linkName(index) != name {
			return false
		}
	}
	return true
}

// Digest writes to h the message without its ticking attributes: those that ticking, which sees each of them, says are.
func Digest(h *maphash.Hash, msg []byte, header int, ticking func(kind uint16, value []byte) bool) {
	from := 0
	for at := header; at+unix.SizeofRtAttr <= len(msg); {
		size := int(binary.NativeEndian.Uint16(msg[at:]))
		if size < unix.SizeofRtAttr || size > len(msg)-at {
			break
		}
		next := min(at+Align4(size), len(msg))
		if ticking(binary.NativeEndian.Uint16(msg[at+2:])&attributeMask, msg[at+unix.SizeofRtAttr:at+size]) {
			h.Write(msg[from:at])
			from = next
		}
		at = next
	}
	h.Write(msg[from:])
}

var ErrShort = errors.New("message is too short")

// Attributes calls visit for each attribute in b, up to the first error. The library's ParseRouteAttr panics on
// one whose padding is cut off.
func Attributes(b []byte, visit func(kind uint16, value []byte) error) error {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return fmt.Errorf("attribute of %d bytes where %d are left", size, len(b))
		}
		kind := binary.NativeEndian.Uint16(b[2:]) & attributeMask
		if err := visit(kind, b[unix.SizeofRtAttr:size]); err != nil {
			return fmt.Errorf("attribute %d: %w", kind, err)
		}
		b = b[min(Align4(size), len(b)):]
	}
	if len(b) > 0 { // the kernel pads every attribute, and counts the padding
		return fmt.Errorf("%d bytes after the last attribute", len(b))
	}
	return nil
}

// attributeMask is NLA_TYPE_MASK of linux/netlink.h: the two bits above are flags.
const attributeMask = 0x3fff

func Align4(n int) int { return (n + 3) &^ 3 }

// The values of attributes. Those that are cut short are errors.

func uint32Of(b []byte) (uint32, error) {
	if len(b) < 4 {
		return 0, tooShort(b)
	}
	return binary.NativeEndian.Uint32(b), nil
}

func uint16Of(b []byte) (uint16, error) {
	if len(b) < 2 {
		return 0, tooShort(b)
	}
	return binary.NativeEndian.Uint16(b), nil
}

func int32Of(b []byte) (int32, error) {
	n, err := uint32Of(b)
	return int32(n), err
}

func uint8Of(b []byte) (uint8, error) {
	if len(b) < 1 {
		return 0, tooShort(b)
	}
	return b[0], nil
}

// known32 and known8 are numbers for which 0 is not the same as none.

func known32(b []byte) (store.Int, error) {
	n, err := uint32Of(b)
	return store.Of(n), err
}

func known8(b []byte) (store.Int, error) {
	n, err := uint8Of(b)
	return store.Of(n), err
}

// TextOf is a zero-terminated string.
func TextOf(b []byte) ([]byte, error) {
	end := bytes.IndexByte(b, 0)
	if end < 0 {
		return nil, fmt.Errorf("text %q without an end", b)
	}
	return b[:end], nil
}

func stringOf(b []byte) (string, error) {
	text, err := TextOf(b)
	return string(text), err
}

func tooShort(b []byte) error { return fmt.Errorf("value of %d bytes is too short", len(b)) }

// FamilyNumber is 4 or 6, and 0 for what is neither.
func FamilyNumber(family uint8) int { return ofFamily(family, 4, 6) }

// ofFamily is the number that is right for the family, and 0 for one that is neither IPv4 nor IPv6.
func ofFamily(family uint8, v4, v6 int) int {
	switch family {
	case unix.AF_INET:
		return v4
	case unix.AF_INET6:
		return v6
	}
	return 0
}

// addrOf is an address of the family; not valid when that is neither IPv4 nor IPv6.
func addrOf(family uint8, b []byte) (netip.Addr, error) {
	size := ofFamily(family, 4, 16)
	if size == 0 {
		return netip.Addr{}, nil
	}
	if len(b) != size {
		return netip.Addr{}, fmt.Errorf("address of family %d with %d bytes", family, len(b))
	}
	addr, _ := netip.AddrFromSlice(b)
	return addr, nil
}

// prefixOf is a network. Without an address it is 0.0.0.0/0 or ::/0: the kernel leaves out no other.
func prefixOf(family uint8, b []byte, bits uint8) (netip.Prefix, error) {
	if b == nil && bits == 0 {
		b = make([]byte, ofFamily(family, 4, 16))
	}
	addr, err := addrOf(family, b)
	if err != nil {
		return netip.Prefix{}, err
	}
	p := netip.PrefixFrom(addr, int(bits))
	if !p.IsValid() {
		return p, fmt.Errorf("network of family %d with %d bytes and %d bits", family, len(b), bits)
	}
	return p, nil
}
