package recorder

import (
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of an inet_diag answer (linux/inet_diag.h).
const (
	inetDiagInfo       = 2
	inetDiagCong       = 4
	inetDiagSKMemInfo  = 7
	inetDiagMark       = 15 // only with CAP_NET_ADMIN
	inetDiagCgroupID   = 21 // Linux 5.8
	inetDiagMsgSize    = 72
	skMemInfoDrops     = 8 // index into the numbers of SKMEMINFO
	everyState         = 1<<(stateBound+1) - 1
	attributeTypeMask  = 0x3fff // without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
	attributeHeaderLen = 4
)

// inetRequest asks for all sockets of a family (AF_INET, AF_INET6) and protocol: struct
// inet_diag_req_v2.
type inetRequest struct{ family, protocol uint8 }

func (r inetRequest) Len() int { return 56 }

func (r inetRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = r.family, r.protocol
	b[2] = 1<<(inetDiagInfo-1) | 1<<(inetDiagCong-1) | 1<<(inetDiagSKMemInfo-1)
	binary.NativeEndian.PutUint32(b[4:], everyState)
	return b
}

func (r inetRequest) message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// tcpRequest asks for the TCP sockets of both families at once that are in one of the states, a bit for each, as only the
// first form of the request can: struct inet_diag_req. The kernel goes through one table for both, which alone may take it
// milliseconds, so that to ask twice costs half as much again.
type tcpRequest struct{ states uint32 }

// tcpDiagGetSock is TCPDIAG_GETSOCK (linux/inet_diag.h): the type of that request and of its answers.
const tcpDiagGetSock = 18

func (tcpRequest) Len() int { return 60 }

func (r tcpRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[3] = 1<<(inetDiagInfo-1) | 1<<(inetDiagCong-1) | 1<<(inetDiagSKMemInfo-1)
	binary.NativeEndian.PutUint32(b[52:], r.states)
	return b
}

func (r tcpRequest) message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(tcpDiagGetSock, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// decodeInet reads one inet_diag_msg and its attributes. Older kernels send fewer of these
// and a shorter tcp_info; a message that contradicts itself is an error.
func decodeInet(b []byte) (record, error) {
	if len(b) < inetDiagMsgSize {
		return record{}, fmt.Errorf("an inet_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r := record{
		family: b[0], state: b[1], timer: b[2],
		sport: binary.BigEndian.Uint16(b[4:]), dport: binary.BigEndian.Uint16(b[6:]),
		ifindex: native.Uint32(b[40:]),
		cookie:  uint64(native.Uint32(b[44:])) | uint64(native.Uint32(b[48:]))<<32,
		recvQ:   native.Uint32(b[56:]), sendQ: native.Uint32(b[60:]),
		uid: native.Uint32(b[64:]), inode: native.Uint32(b[68:]),
		has: hasQueues,
	}
	size := 16
	if r.family == unix.AF_INET {
		size = 4
	}
	copy(r.src[:size], b[8:])
	copy(r.dst[:size], b[24:])
	switch r.state {
	case stateNewSynRecv:
		r.state = stateSynRecv
	case stateBound:
		r.state = stateClose
	}
	err := eachAttribute(b[inetDiagMsgSize:], func(kind uint16, v []byte) {
		switch kind {
		case inetDiagInfo:
			r.tcpInfo(v)
		case inetDiagCong:
			r.congestion = [16]byte{}
			copy(r.congestion[:], v)
		case inetDiagSKMemInfo:
			if len(v) >= 4*(skMemInfoDrops+1) {
				r.drops = native.Uint32(v[4*skMemInfoDrops:])
				r.has |= hasDrops
			}
		case inetDiagMark:
			if len(v) >= 4 {
				r.mark = native.Uint32(v)
				r.has |= hasMark
			}
		case inetDiagULPInfo:
			if isSubflow(v) {
				r.has |= hasMPTCP
			}
		case inetDiagCgroupID:
			if len(v) >= 8 {
				r.cgroup = native.Uint64(v)
				r.has |= hasCgroup
			}
		}
	})
	r.leaveOutFIN()
	// TIME_WAIT, SYN_RECV and what is left of an orphan have no struct socket: the kernel
	// says inode 0 and, for want of a better, uid 0. A root's socket has an inode.
	if r.inode != 0 || r.uid != 0 {
		r.has |= hasUID
	}
	return r, err
}

// tcpInfo reads the struct tcp_info that so many bytes are the beginning of.
func (r *record) tcpInfo(v []byte) {
	native := binary.NativeEndian
	if len(v) < 104 || r.state == stateListen { // a listener has no path: all is 0
		return
	}
	r.mss, r.pmtu = native.Uint32(v[16:]), native.Uint32(v[60:])
	r.rtt, r.rttvar = native.Uint32(v[68:]), native.Uint32(v[72:])
	r.cwnd, r.retransmits = native.Uint32(v[80:]), native.Uint32(v[100:])
	r.has |= hasInfo
	if len(v) >= 136 {
		r.bytesSent, r.bytesRecv = native.Uint64(v[120:]), native.Uint64(v[128:])
		r.has |= hasBytesRecv | hasBytesSent
	}
	if len(v) >= 144 {
		r.segsOut, r.segsIn = native.Uint32(v[136:]), native.Uint32(v[140:])
		r.has |= hasSegs
	}
	if len(v) >= 208 {
		r.bytesSent = native.Uint64(v[200:])
	}
}

// eachAttribute calls do for every netlink attribute in b.
func eachAttribute(b []byte, do func(kind uint16, value []byte)) error {
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
