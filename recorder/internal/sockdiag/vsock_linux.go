package sockdiag

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// VsockAny is the CID and the port of a vsock end that is not bound, or bound to any (VMADDR_CID_ANY, VMADDR_PORT_ANY).
const VsockAny = 1<<32 - 1

const vsockDiagMsgSize = 32

// VsockRequest asks for all vsock sockets: struct vsock_diag_req of linux/vm_sockets_diag.h.
type VsockRequest struct{}

func (VsockRequest) Len() int { return 24 }

func (r VsockRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0] = unix.AF_VSOCK
	binary.NativeEndian.PutUint32(b[4:], EveryState)
	return b
}

func (r VsockRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// DecodeVsock reads one vsock_diag_msg. Its states are those of TCP.
func DecodeVsock(b []byte) (Record, error) {
	if len(b) < vsockDiagMsgSize {
		return Record{}, fmt.Errorf("a vsock_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	return Record{
		Family: b[0], Kind: b[1], State: b[2], Shutdown: b[3], Inode: native.Uint32(b[20:]),
		Src: endOf(native.Uint32(b[4:]), native.Uint32(b[8:])), Dst: endOf(native.Uint32(b[12:]), native.Uint32(b[16:])),
		Cookie: uint64(native.Uint32(b[24:])) | uint64(native.Uint32(b[28:]))<<32, Has: HasShutdown,
	}, nil
}
