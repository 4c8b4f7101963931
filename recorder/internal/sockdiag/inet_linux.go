package sockdiag

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of an inet_diag answer (linux/inet_diag.h).
const (
	InetDiagInfo       = 2
	InetDiagCong       = 4
	InetDiagSKMemInfo  = 7
	inetDiagMark       = 15 // only with CAP_NET_ADMIN
	inetDiagCgroupID   = 21 // Linux 5.8
	InetDiagMsgSize    = 72
	SKMemInfoDrops     = 8 // index into the numbers of SKMEMINFO
	EveryState         = 1<<(StateBound+1) - 1
	attributeTypeMask  = 0x3fff // without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
	attributeHeaderLen = 4
)

// InetRequest asks for all sockets of a family (AF_INET, AF_INET6) and protocol: struct
// inet_diag_req_v2.
type InetRequest struct{ Family, Protocol uint8 }

func (r InetRequest) Len() int { return 56 }

func (r InetRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = r.Family, r.Protocol
	b[2] = 1<<(InetDiagInfo-1) | 1<<(InetDiagCong-1) | 1<<(InetDiagSKMemInfo-1)
	binary.NativeEndian.PutUint32(b[4:], EveryState)
	return b
}

func (r InetRequest) Message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// TCPRequest asks for the TCP sockets of both families at once that are in one of the states, a bit for each, as only the
// first form of the request can: struct inet_diag_req. The kernel goes through one table for both, which alone may take it
// milliseconds, so that to ask twice costs half as much again.
type TCPRequest struct{ States uint32 }

// tcpDiagGetSock is TCPDIAG_GETSOCK (linux/inet_diag.h): the type of that request and of its answers.
const tcpDiagGetSock = 18

func (TCPRequest) Len() int { return 60 }

func (r TCPRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[3] = 1<<(InetDiagInfo-1) | 1<<(InetDiagCong-1) | 1<<(InetDiagSKMemInfo-1)
	binary.NativeEndian.PutUint32(b[52:], r.States)
	return b
}

func (r TCPRequest) Message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(tcpDiagGetSock, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// DecodeInet reads one inet_diag_msg and its attributes. Older kernels send fewer of these
// and a shorter tcp_info; a message that contradicts itself is an error.
func DecodeInet(b []byte) (Record, error) {
	if len(b) < InetDiagMsgSize {
		return Record{}, fmt.Errorf("an inet_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r := Record{
		Family: b[0], State: b[1], Timer: b[2],
		SPort: binary.BigEndian.Uint16(b[4:]), DPort: binary.BigEndian.Uint16(b[6:]),
		IfIndex: native.Uint32(b[40:]),
		Cookie:  uint64(native.Uint32(b[44:])) | uint64(native.Uint32(b[48:]))<<32,
		RecvQ:   native.Uint32(b[56:]), SendQ: native.Uint32(b[60:]),
		UID: native.Uint32(b[64:]), Inode: native.Uint32(b[68:]),
		Has: HasQueues,
	}
	size := 16
	if r.Family == unix.AF_INET {
		size = 4
	}
	copy(r.Src[:size], b[8:])
	copy(r.Dst[:size], b[24:])
	switch r.State {
	case stateNewSynRecv:
		r.State = stateSynRecv
	case StateBound:
		r.State = StateClose
	}
	err := EachAttribute(b[InetDiagMsgSize:], func(kind uint16, v []byte) {
		switch kind {
		case InetDiagInfo:
			r.tcpInfo(v)
		case InetDiagCong:
			r.Congestion = [16]byte{}
			copy(r.Congestion[:], v)
		case InetDiagSKMemInfo:
			if len(v) >= 4*(SKMemInfoDrops+1) {
				r.Drops = native.Uint32(v[4*SKMemInfoDrops:])
				r.Has |= HasDrops
			}
		case inetDiagMark:
			if len(v) >= 4 {
				r.Mark = native.Uint32(v)
				r.Has |= HasMark
			}
		case inetDiagULPInfo:
			if isSubflow(v) {
				r.Has |= HasMPTCP
			}
		case inetDiagCgroupID:
			if len(v) >= 8 {
				r.Cgroup = native.Uint64(v)
				r.Has |= HasCgroup
			}
		}
	})
	r.leaveOutFIN()
	// TIME_WAIT, SYN_RECV and what is left of an orphan have no struct socket: the kernel
	// says inode 0 and, for want of a better, uid 0. A root's socket has an inode.
	if r.Inode != 0 || r.UID != 0 {
		r.Has |= HasUID
	}
	return r, err
}

// tcpInfo reads the struct tcp_info that so many bytes are the beginning of.
func (r *Record) tcpInfo(v []byte) {
	native := binary.NativeEndian
	if len(v) < 104 || r.State == StateListen { // a listener has no path: all is 0
		return
	}
	r.MSS, r.PMTU = native.Uint32(v[16:]), native.Uint32(v[60:])
	r.RTT, r.RTTVar = native.Uint32(v[68:]), native.Uint32(v[72:])
	r.Cwnd, r.Retransmits = native.Uint32(v[80:]), native.Uint32(v[100:])
	r.Has |= HasInfo
	if len(v) >= 136 {
		r.BytesSent, r.BytesRecv = native.Uint64(v[120:]), native.Uint64(v[128:])
		r.Has |= HasBytesRecv | HasBytesSent
	}
	if len(v) >= 144 {
		r.SegsOut, r.SegsIn = native.Uint32(v[136:]), native.Uint32(v[140:])
		r.Has |= HasSegs
	}
	if len(v) >= 208 {
		r.BytesSent = native.Uint64(v[200:])
	}
}

// EachAttribute calls do for every netlink attribute in b.
func EachAttribute(b []byte, do func(kind uint16, value []byte)) error {
	for len(b) >= attributeHeaderLen {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attributeHeaderLen || n > len(b) {
			return fmt.Errorf("an attribute of %d bytes where %d are left", n, len(b))
		}
		do(binary.NativeEndian.Uint16(b[2:])&attributeTypeMask, b[attributeHeaderLen:n])
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}
