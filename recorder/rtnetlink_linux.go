package recorder

import (
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

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// An rtnetlink, one for all sources of a network namespace, asks the kernel for links, addresses, neighbours, routes and rules
// (rtnetlink(7)). It decodes by hand, because the library drops what it has no field
// for: metrics of routes, newer counters, attributes of rules.
type rtnetlink struct {
	socket *nl.NetlinkSocket // nil until first asked, and after an error
	ifreq  *unix.Ifreq
}

// A dump that a change interrupted may miss entries or repeat them (NLM_F_DUMP_INTR). With a
// link made and deleted every 10 ms it happens to one in five.
const routeDumpTries = 4

// dump returns the messages of one dump: the kernel's answers of the type answer to the
// request, whose fixed header is given.
func (r *rtnetlink) dump(ctx context.Context, request int, answer uint16, header []byte) ([][]byte, error) {
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		messages, err := r.ask(ctx, request, answer, header)
		if err == nil || !errors.Is(err, nl.ErrDumpInterrupted) || try == routeDumpTries {
			return messages, err
		}
	}
}

func (r *rtnetlink) ask(ctx context.Context, request int, answer uint16, header []byte) ([][]byte, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	buf := dumpBuffers.Get().(*[]byte)
	defer dumpBuffers.Put(buf)
	d := sockdiag.Conn{Socket: r.socket, Buf: *buf}
	req := nl.NewNetlinkRequest(request, unix.NLM_F_DUMP)
	req.AddRawData(header)
	err := d.Socket.Send(req)
	var got packed
	if err == nil {
		err = d.Receive(ctx, req.Seq, func(kind uint16, msg []byte) error {
			if kind == answer {
				got.add(msg)
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, nl.ErrDumpInterrupted) {
		r.close() // the rest of the answer may still stand in the socket
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

func (r *rtnetlink) close() {
	if r.socket != nil {
		r.socket.Close()
		r.socket = nil
	}
}

func (r *rtnetlink) open() (err error) {
	if r.socket == nil {
		if r.socket, err = nl.Subscribe(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
	}
	return nil
}

// linkName asks for the name of one interface: half a microsecond, where a dump of all
// links costs microseconds for each of them. It works on any socket, of the namespace
// the socket is in. The name is empty when there is no such interface any more.
func (r *rtnetlink) linkName(index int32) string {
	if r.open() != nil {
		return ""
	}
	if r.ifreq == nil {
		r.ifreq, _ = unix.NewIfreq("")
	}
	r.ifreq.SetUint32(uint32(index))
	if unix.IoctlIfreq(r.socket.GetFd(), unix.SIOCGIFNAME, r.ifreq) != nil {
		return ""
	}
	return r.ifreq.Name()
}

// linkNames are the names of the interfaces that a dump speaks of, by index.
type linkNames struct {
	netlink *rtnetlink
	byIndex map[int32]string
}

// of is the name of the interface, if17 when it went between the dump and now (as ip
// prints it), and nothing for index 0.
func (n *linkNames) of(index int32) string {
	if index == 0 {
		return ""
	}
	name, known := n.byIndex[index]
	if !known {
		if name = n.netlink.linkName(index); name == "" {
			name = "if" + strconv.Itoa(int(index))
		}
		n.byIndex[index] = name
	}
	return name
}

// same reports whether the interfaces still have the names that of gave.
func (n *linkNames) same() bool {
	for index, name := range n.byIndex {
		if n.netlink.linkName(index) != name {
			return false
		}
	}
	return true
}

// A dumpMemory spares decoding: where the kernel says again what it said in the last
// sample, the subjects are kept as they are.
type dumpMemory[ID, V comparable] struct {
	set      *store.Set[ID, V]
	names    linkNames
	subjects []*store.Subject[ID, V]
	sum      uint64
	valid    bool // sum and subjects are of the last sample, and complete
	seed     maphash.Seed
}

func newDumpMemory[ID, V comparable](set *store.Set[ID, V], netlink *rtnetlink) dumpMemory[ID, V] {
	return dumpMemory[ID, V]{
		set: set, seed: maphash.MakeSeed(),
		names: linkNames{netlink: netlink, byIndex: map[int32]string{}},
	}
}

// keep keeps every subject if messages say what they said last time. Attributes that
// ticking says are ages and timers do not count. When it answers false everything is
// to be put.
func (m *dumpMemory[ID, V]) keep(messages [][]byte, header int, ticking func(kind uint16) bool) bool {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, msg := range messages {
		digest(&h, msg, header, ticking)
	}
	sum := h.Sum64()
	m.valid = m.valid && sum == m.sum && m.names.same()
	m.sum = sum
	for _, s := range m.subjects {
		m.valid = m.valid && m.set.Keep(s)
	}
	if !m.valid {
		m.subjects = m.subjects[:0]
		clear(m.names.byIndex)
	}
	return m.valid
}

func (m *dumpMemory[ID, V]) put(id ID, v V) {
	m.subjects = append(m.subjects, m.set.Put(id, v))
}

// done says that everything has been put.
func (m *dumpMemory[ID, V]) done() { m.valid = true }

// digest writes to h the message without its ticking attributes.
func digest(h *maphash.Hash, msg []byte, header int, ticking func(kind uint16) bool) {
	if len(msg) < header {
		h.Write(msg)
		return
	}
	from := 0
	for at := header; at+unix.SizeofRtAttr <= len(msg); {
		size := int(binary.NativeEndian.Uint16(msg[at:]))
		if size < unix.SizeofRtAttr || size > len(msg)-at {
			break
		}
		next := min(at+align4(size), len(msg))
		if ticking(binary.NativeEndian.Uint16(msg[at+2:]) & attributeMask) {
			h.Write(msg[from:at])
			from = next
		}
		at = next
	}
	h.Write(msg[from:])
}

var errShort = errors.New("message is too short")

// attributes calls visit for each attribute in b. The library's ParseRouteAttr panics on
// one whose padding is cut off.
func attributes(b []byte, visit func(kind uint16, value []byte)) error {
	for len(b) >= unix.SizeofRtAttr {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return fmt.Errorf("attribute of %d bytes where %d are left", size, len(b))
		}
		visit(binary.NativeEndian.Uint16(b[2:])&attributeMask, b[unix.SizeofRtAttr:size])
		b = b[min(align4(size), len(b)):]
	}
	return nil
}

// attributeMask is NLA_TYPE_MASK of linux/netlink.h: the two bits above are flags.
const attributeMask = 0x3fff

func align4(n int) int { return (n + 3) &^ 3 }

// The numbers of attributes, by the length the kernel gave them; 0 when it is too short.

func uint16Of(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(b)
}

func uint32Of(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}

func uint8Of(b []byte) uint8 {
	if len(b) < 1 {
		return 0
	}
	return b[0]
}

// textOf is a zero-terminated string.
func textOf(b []byte) []byte {
	for i, c := range b {
		if c == 0 {
			return b[:i]
		}
	}
	return b
}

// familyNumber is 4 or 6, and 0 for what is neither.
func familyNumber(family uint8) int {
	switch family {
	case unix.AF_INET:
		return 4
	case unix.AF_INET6:
		return 6
	}
	return 0
}

// addrOf is an address of the family; not valid when the length is wrong.
func addrOf(family uint8, b []byte) netip.Addr {
	addr, _ := netip.AddrFromSlice(b)
	if (family == unix.AF_INET) != addr.Is4() {
		return netip.Addr{}
	}
	return addr
}

// prefixOf is a network; without an address it is 0.0.0.0 or ::.
func prefixOf(family uint8, b []byte, bits uint8) (netip.Prefix, error) {
	addr := netip.IPv6Unspecified()
	if family == unix.AF_INET {
		addr = netip.IPv4Unspecified()
	}
	if b != nil {
		addr = addrOf(family, b)
	}
	p := netip.PrefixFrom(addr, int(bits))
	if !p.IsValid() {
		return p, fmt.Errorf("network of family %d with %d bytes and %d bits", family, len(b), bits)
	}
	return p, nil
}

// addrText is the address, or nothing when there is none.
func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// hardwareAddr writes a link-layer address as ip does: that of a tunnel is an IP address.
func hardwareAddr(b []byte) string {
	if len(b) == 4 || len(b) == 16 {
		addr, _ := netip.AddrFromSlice(b)
		return addr.String()
	}
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 3*len(b))
	for i, c := range b {
		if i > 0 {
			text = append(text, ':')
		}
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}

// A flagName is a bit and the word for it.
type flagName struct {
	bit  uint32
	name string
}

// flagText joins the words of the bits that are set.
func flagText(flags uint32, names []flagName) string {
	text := ""
	for _, f := range names {
		if flags&f.bit != 0 {
			if text != "" {
				text += ","
			}
			text += f.name
		}
	}
	return text
}
