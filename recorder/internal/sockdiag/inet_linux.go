package sockdiag

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of an inet_diag answer (linux/inet_diag.h).
const (
	InetDiagInfo       = 2
	InetDiagCong       = 4
	inetDiagTOS        = 5 // of IPv4
	inetDiagTClass     = 6 // of IPv6
	InetDiagSKMemInfo  = 7
	inetDiagShutdown   = 8
	inetDiagSKV6Only   = 11
	inetDiagMark       = 15 // only with CAP_NET_ADMIN
	inetDiagCgroupID   = 21 // Linux 5.8
	InetDiagMsgSize    = 72
	SKMemInfoDrops     = 8 // index into the numbers of SKMEMINFO
	EveryState         = 1<<(StateBound+1) - 1
	attributeTypeMask  = 0x3fff // without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
	attributeHeaderLen = 4
)

// asked are the attributes that a dump asks for. What comes with every answer, or with these, is not among them.
const asked = 1<<(InetDiagInfo-1) | 1<<(InetDiagCong-1) | 1<<(inetDiagTOS-1) | 1<<(inetDiagTClass-1) | 1<<(InetDiagSKMemInfo-1)

// InetRequest asks for all sockets of a family (AF_INET, AF_INET6) and protocol: struct
// inet_diag_req_v2.
type InetRequest struct{ Family, Protocol uint8 }

func (r InetRequest) Len() int { return 56 }

func (r InetRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = r.Family, r.Protocol
	b[2] = asked
	binary.NativeEndian.PutUint32(b[4:], EveryState)
	return b
}

func (r InetRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

func dumpOf(data nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	req.AddData(data)
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
	b[3] = asked
	binary.NativeEndian.PutUint32(b[52:], r.States)
	return b
}

func (r TCPRequest) Message() *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(tcpDiagGetSock, unix.NLM_F_DUMP)
	req.AddData(r)
	return req
}

// DecodeInet reads one inet_diag_msg and its attributes. Older kernels send fewer of these
// and a shorter tcp_info; a message that contradicts itself is an error. The moments in it are left out; see DecodeInetAt.
func DecodeInet(b []byte) (Record, error) { return DecodeInetAt(b, 0) }

// DecodeInetAt is DecodeInet of a message that the kernel wrote then, since boot.
func DecodeInetAt(b []byte, at time.Duration) (Record, error) {
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
		r.State = StateSynRecv
	case StateBound:
		r.State = StateClose
	}
	err := EachAttribute(b[InetDiagMsgSize:], func(kind uint16, v []byte) {
		switch kind {
		case InetDiagInfo:
			r.tcpInfo(v, at)
		case InetDiagCong:
			r.Congestion = [16]byte{}
			copy(r.Congestion[:], v)
		case InetDiagSKMemInfo:
			if len(v) >= 4*4 {
				r.RcvBuf, r.SndBuf = native.Uint32(v[4:]), native.Uint32(v[12:])
				r.Has |= HasBuffers
			}
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
			r.ULP = ulpOf(v)
		case inetDiagTOS, inetDiagTClass:
			if len(v) >= 1 && kind == tosOf(r.Family) {
				r.TOS = v[0]
				r.Has |= HasTOS
			}
		case inetDiagShutdown:
			if len(v) >= 1 {
				r.Shutdown = v[0]
				r.Has |= HasShutdown
			}
		case inetDiagSKV6Only:
			if len(v) >= 1 {
				if r.Has |= HasV6Only; v[0] != 0 {
					r.Has |= IsV6Only
				}
			}
		case inetDiagCgroupID:
			if len(v) >= 8 {
				r.Cgroup = native.Uint64(v)
				r.Has |= HasCgroup
			}
		}
	})
	r.leaveOutFIN()
	if r.Has&HasInfo != 0 { // the kernel tunes them
		r.RcvBuf, r.SndBuf = coarseOf(uint64(r.RcvBuf)).Number(), coarseOf(uint64(r.SndBuf)).Number()
	}
	r.tellTimer(b[3], native.Uint32(b[52:]), at)
	// TIME_WAIT, SYN_RECV and what is left of an orphan have no struct socket: the kernel
	// says inode 0 and, for want of a better, uid 0. A root's socket has an inode.
	if r.Inode != 0 || r.UID != 0 {
		r.Has |= HasUID
	}
	return r, err
}

// tcpInfo reads the struct tcp_info that so many bytes are the beginning of.
func (r *Record) tcpInfo(v []byte, at time.Duration) {
	native := binary.NativeEndian
	if len(v) < 104 || r.State == StateListen { // a listener has no path: all is 0
		return
	}
	r.MSS, r.PMTU = native.Uint32(v[16:]), native.Uint32(v[60:])
	r.RTT, r.RTTVar = native.Uint32(v[68:]), native.Uint32(v[72:])
	r.Cwnd, r.Retransmits = native.Uint32(v[80:]), native.Uint32(v[100:])
	r.Tries, r.Backoff, r.Options, r.WScale = max(v[2], v[3]), v[4], v[5]&optionsKnown, wscaleOf(v[6])
	r.RTO, r.Lost = twoDigits(native.Uint32(v[8:])/1000), native.Uint32(v[32:])
	if r.SSThresh = native.Uint32(v[76:]); r.SSThresh >= infiniteSSThresh {
		r.SSThresh = 0
	}
	r.Has |= HasInfo
	if len(v) >= 136 {
		r.BytesSent, r.BytesRecv = native.Uint64(v[120:]), native.Uint64(v[128:])
		r.Has |= HasBytesRecv | HasBytesSent
	}
	if len(v) >= 144 {
		r.SegsOut, r.SegsIn = native.Uint32(v[136:]), native.Uint32(v[140:])
		r.Has |= HasSegs
	}
	if len(v) >= 152 {
		r.NotSent = coarseOf(uint64(native.Uint32(v[144:])))
		if min := native.Uint32(v[148:]); min != math.MaxUint32 { // measured at all
			r.MinRTT = coarseOf(uint64(min))
		}
		r.Has |= HasUnsent
	}
	if len(v) >= 168 {
		r.tellRate(v[7], native.Uint64(v[160:]))
	}
	if len(v) >= 192 {
		ms := func(b []byte) uint32 { return uint32(min(native.Uint64(b)/1000, math.MaxUint32-1)) }
		r.Busy, r.RwndLimited, r.SndbufLimited = ms(v[168:]), ms(v[176:]), ms(v[184:])
		r.Has |= HasBusy
	}
	if len(v) >= 208 {
		r.BytesSent = native.Uint64(v[200:])
	}
	if len(v) >= 224 {
		r.Reordered = native.Uint32(v[220:])
		r.Has |= HasReorder
	}
	if len(v) >= 232 {
		r.SndWnd, r.Has = r.narrow(native.Uint32(v[228:])), r.Has|HasSndWnd
	}
	if len(v) >= 236 {
		r.RcvWnd, r.Has = r.narrow(native.Uint32(v[232:])), r.Has|HasRcvWnd
	}
	if at != 0 && r.Has&HasBytesSent != 0 {
		r.LastSent, r.LastRecv = tickAgo(at, native.Uint32(v[44:])), tickAgo(at, native.Uint32(v[52:]))
		r.Has |= HasMoments
	}
}

const (
	infiniteSSThresh = 0x7fffffff // TCP_INFINITE_SSTHRESH
	optionsKnown     = 1<<6 - 1   // of tcpi_options, those that have a name; see OptionNames

	// OptionWScale is the bit that says that windows are scaled.
	OptionWScale = 1 << 2
)

// OptionNames are the bits of Options, as ss names them.
var OptionNames = [...]string{"ts", "sack", "wscale", "ecn", "ecnseen", "fastopen"}

// ShutdownNames says which ways are shut down.
var ShutdownNames = [...]string{"", "recv", "send", "both"}

// A Coarse is a number rounded down to its two leading binary digits: 0, 1, 2, 3, 4, 6, 8, 12, 16 … So it moves seldom, and many sockets share it.
type Coarse uint8

func coarseOf(n uint64) Coarse {
	if n < 2 {
		return Coarse(n)
	}
	digits := bits.Len64(n)
	return Coarse(2*(digits-1) + int(n>>(digits-2)&1) + 1)
}

// Number is the rounded number.
func (c Coarse) Number() uint32 { return uint32(c.Long()) }

// Long is the same of numbers that may be larger.
func (c Coarse) Long() uint64 {
	if c == 0 {
		return 0
	}
	return uint64(2+(c-1)%2) << ((c - 1) / 2) >> 1
}

// Wide stands for a window that has room for a segment: how wide it is moves with the data, and holds nothing back.
const Wide Coarse = math.MaxUint8

func (r *Record) narrow(window uint32) Coarse {
	if window >= r.MSS {
		return Wide
	}
	return coarseOf(uint64(window))
}

// twoDigits is n rounded down to its two leading decimal digits.
func twoDigits(n uint32) uint32 {
	cut := uint32(1)
	for n/cut >= 100 {
		cut *= 10
	}
	return n / cut * cut
}

// The bit fields of tcp_info stand the other way round where the machine has the upper byte first.
var upperFirst = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

// firstBit is the first of the bit fields in b.
func firstBit(b byte) bool {
	if upperFirst {
		return b&0x80 != 0
	}
	return b&1 != 0
}

func wscaleOf(b byte) uint8 {
	if upperFirst {
		return b>>4 | b<<4
	}
	return b
}

// tosOf is the attribute that tells how the packets of that family are marked.
func tosOf(family uint8) uint16 {
	if family == unix.AF_INET {
		return inetDiagTOS
	}
	return inetDiagTClass
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
