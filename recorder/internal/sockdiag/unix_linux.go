package sockdiag

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
)

// Attributes of a unix_diag answer, and what to ask for (linux/unix_diag.h).
const (
	unixDiagName    = 0
	unixDiagPeer    = 2
	unixDiagRQLen   = 4
	unixDiagUID     = 7 // Linux 5.2
	unixDiagMsgSize = 16

	unixShow = 1<<0 /* name */ | 1<<2 /* peer */ | 1<<4 /* rqlen */ | 1<<6 /* uid */
)

// UnixRequest asks for all unix sockets: struct unix_diag_req.
type UnixRequest struct{}

func (UnixRequest) Len() int { return 24 }

func (r UnixRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[4:], 1<<32-1) // every state
	binary.NativeEndian.PutUint32(b[12:], unixShow)
	return b
}

func (r UnixRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// DecodeUnix reads one unix_diag_msg and its attributes. The name is part of b.
func DecodeUnix(b []byte) (r Record, name []byte, err error) {
	if len(b) < unixDiagMsgSize {
		return Record{}, nil, fmt.Errorf("a unix_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r = Record{
		Family: b[0], Kind: b[1], State: b[2], Inode: native.Uint32(b[4:]),
		Cookie: uint64(native.Uint32(b[8:])) | uint64(native.Uint32(b[12:]))<<32,
	}
	err = EachAttribute(b[unixDiagMsgSize:], func(kind uint16, v []byte) {
		switch {
		case kind == unixDiagName:
			name = v
		case kind == unixDiagPeer && len(v) >= 4:
			r.Peer = native.Uint32(v)
			r.Has |= HasPeer
		case kind == unixDiagRQLen && len(v) >= 8:
			r.RecvQ, r.SendQ = native.Uint32(v), native.Uint32(v[4:])
			r.Has |= HasQueues
		case kind == unixDiagUID && len(v) >= 4:
			r.UID = native.Uint32(v)
			r.Has |= HasUID
		}
	})
	return r, name, err
}

// UnixPath is a unix socket's name as text: an abstract one begins with @ instead of the
// NUL, as lsof and ss print it. A path ends at its first NUL, where the kernel counts one.
func UnixPath(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if name[0] == 0 {
		return "@" + kernel.Printable(name[1:])
	}
	path, _, _ := strings.Cut(string(name), "\x00")
	return kernel.Printable([]byte(path))
}
