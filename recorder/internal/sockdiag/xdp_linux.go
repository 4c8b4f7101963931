package sockdiag

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of an xdp_diag answer, and what to ask for (linux/xdp_diag.h).
const (
	xdpDiagInfo    = 1
	xdpDiagUID     = 2
	xdpDiagStats   = 9
	xdpDiagMsgSize = 16

	xdpShow = 1<<0 /* info, user */ | 1<<4 /* statistics, Linux 5.9 */
)

// XDPRequest asks for all XDP sockets: struct xdp_diag_req.
type XDPRequest struct{}

func (XDPRequest) Len() int { return 20 }

func (r XDPRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0] = unix.AF_XDP
	binary.NativeEndian.PutUint32(b[8:], xdpShow)
	return b
}

func (r XDPRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// DecodeXDP reads one xdp_diag_msg and its attributes. The queue of the interface stands for its port. Packets that found no room in the
// ring of the socket are drops, as those are that it dropped for other reasons.
func DecodeXDP(b []byte) (Record, error) {
	if len(b) < xdpDiagMsgSize {
		return Record{}, fmt.Errorf("an xdp_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r := Record{
		Family: b[0], Kind: b[1], State: StateClose, Inode: native.Uint32(b[4:]),
		Cookie: uint64(native.Uint32(b[8:])) | uint64(native.Uint32(b[12:]))<<32,
	}
	err := EachAttribute(b[xdpDiagMsgSize:], func(kind uint16, v []byte) {
		switch {
		case kind == xdpDiagInfo && len(v) >= 8:
			r.IfIndex, r.SPort = native.Uint32(v), uint16(native.Uint32(v[4:]))
		case kind == xdpDiagUID && len(v) >= 4:
			r.UID = native.Uint32(v)
			r.Has |= HasUID
		case kind == xdpDiagStats && len(v) >= 24:
			r.Drops = uint32(native.Uint64(v) + native.Uint64(v[16:]))
			r.Has |= HasDrops
		}
	})
	return r, err
}
