package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of a packet_diag answer, and what to ask for (linux/packet_diag.h).
const (
	packetDiagInfo    = 0
	packetDiagUID     = 5
	packetDiagMemInfo = 6
	packetDiagMsgSize = 16

	packetShow = 1<<0 /* info, user */ | 1<<4 /* memory */

	skMemInfoReceive = 0 // indexes into the numbers of SKMEMINFO
	skMemInfoSend    = 2
)

// PacketRequest asks for all packet sockets: struct packet_diag_req.
type PacketRequest struct{}

func (PacketRequest) Len() int { return 20 }

func (r PacketRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0] = unix.AF_PACKET
	binary.NativeEndian.PutUint32(b[8:], packetShow)
	return b
}

func (r PacketRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// DecodePacket reads one packet_diag_msg and its attributes. A packet socket has no state: it is CLOSE, as an unconnected one of another kind.
// The Ethernet protocol that it receives stands for its port, as the IP protocol does for that of a raw socket.
func DecodePacket(b []byte) (Record, error) {
	if len(b) < packetDiagMsgSize {
		return Record{}, fmt.Errorf("a packet_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r := Record{
		Family: b[0], Kind: b[1], State: StateClose, SPort: native.Uint16(b[2:]), Inode: native.Uint32(b[4:]),
		Cookie: uint64(native.Uint32(b[8:])) | uint64(native.Uint32(b[12:]))<<32,
	}
	err := EachAttribute(b[packetDiagMsgSize:], func(kind uint16, v []byte) {
		switch {
		case kind == packetDiagInfo && len(v) >= 4:
			r.IfIndex = native.Uint32(v)
		case kind == packetDiagUID && len(v) >= 4:
			r.UID = native.Uint32(v)
			r.Has |= HasUID
		case kind == packetDiagMemInfo:
			r.memory(v)
		}
	})
	return r, err
}

// ParseProcPacket reads /proc/net/packet, for kernels without PACKET_DIAG. There is no cookie in it, and of the queues only one: so neither
// is told.
//
//	sk               RefCnt Type Proto  Iface R Rmem   User   Inode
//	0000000000000000 3      3    0003   4     1 0      0      1913
func ParseProcPacket(text []byte, each func(Record)) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		if number == 0 || len(line) == 0 {
			continue
		}
		r := Record{Family: unix.AF_PACKET, State: StateClose, Has: HasUID}
		f := bytes.Fields(line)
		if len(f) < 9 {
			return fmt.Errorf("line %d: %d fields", number+1, len(f))
		}
		for _, n := range []struct {
			text []byte
			base int
			bits int
			to   func(uint64)
		}{
			{f[2], 10, 8, func(n uint64) { r.Kind = uint8(n) }},
			{f[3], 16, 16, func(n uint64) { r.SPort = uint16(n) }},
			{f[4], 10, 32, func(n uint64) { r.IfIndex = uint32(n) }},
			{f[7], 10, 32, func(n uint64) { r.UID = uint32(n) }},
			{f[8], 10, 32, func(n uint64) { r.Inode = uint32(n) }},
		} {
			v, err := strconv.ParseUint(string(n.text), n.base, n.bits)
			if err != nil {
				return fmt.Errorf("line %d: %w", number+1, err)
			}
			n.to(v)
		}
		each(r)
	}
	return nil
}
