package recorder

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

// unixRequest asks for all unix sockets: struct unix_diag_req.
type unixRequest struct{}

func (unixRequest) Len() int { return 24 }

func (r unixRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0] = unix.AF_UNIX
	binary.NativeEndian.PutUint32(b[4:], 1<<32-1) // every state
	binary.NativeEndian.PutUint32(b[12:], unixShow)
	return b
}

func (r unixRequest) message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// decodeUnix reads one unix_diag_msg and its attributes. The name is part of b.
func decodeUnix(b []byte) (r record, name []byte, err error) {
	if len(b) < unixDiagMsgSize {
		return record{}, nil, fmt.Errorf("a unix_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r = record{
		family: b[0], kind: b[1], state: b[2], inode: native.Uint32(b[4:]),
		cookie: uint64(native.Uint32(b[8:])) | uint64(native.Uint32(b[12:]))<<32,
	}
	err = eachAttribute(b[unixDiagMsgSize:], func(kind uint16, v []byte) {
		switch {
		case kind == unixDiagName:
			name = v
		case kind == unixDiagPeer && len(v) >= 4:
			r.peer = native.Uint32(v)
			r.has |= hasPeer
		case kind == unixDiagRQLen && len(v) >= 8:
			r.recvQ, r.sendQ = native.Uint32(v), native.Uint32(v[4:])
			r.has |= hasQueues
		case kind == unixDiagUID && len(v) >= 4:
			r.uid = native.Uint32(v)
			r.has |= hasUID
		}
	})
	return r, name, err
}

// unixPath is a unix socket's name as text: an abstract one begins with @ instead of the
// NUL, as lsof and ss print it. A path ends at its first NUL, where the kernel counts one.
func unixPath(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	if name[0] == 0 {
		return "@" + kernel.Printable(name[1:])
	}
	path, _, _ := strings.Cut(string(name), "\x00")
	return kernel.Printable([]byte(path))
}
