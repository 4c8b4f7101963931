package sockdiag

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Record is what one dump says of one socket, as plain numbers. It holds what is
// recorded and nothing else, so that two records are equal exactly where nothing of
// interest has changed: the ages and pacing rates of tcp_info, which move all the time,
// are not in it. Comparing it costs less than a hash of the raw message, takes a third of
// its memory, and cannot collide.
type Record struct {
	Cookie               uint64 // 0: /proc does not tell it
	Cgroup               uint64
	BytesSent, BytesRecv uint64
	Src, Dst             [16]byte // IPv4 in the first four
	Congestion           [16]byte // TCP_CA_NAME_MAX
	Inode, Peer          uint32
	IfIndex, UID, Mark   uint32
	RecvQ, SendQ, Drops  uint32
	MSS, PMTU            uint32
	RTT, RTTVar, Cwnd    uint32
	SegsOut, SegsIn      uint32
	Retransmits          uint32
	Has                  Has

	// Counters, in ms. The kernel counts in ticks.
	Busy, RwndLimited, SndbufLimited uint32
	Lost, Reordered                  uint32
	SSThresh                         uint32 // 0: none yet
	LastSent, LastRecv               Tick   // when data last went out and came in, or the connection was made
	TimerEnds                        Tick   // of the timers that are worth it; see tellTimer and Settle
	RcvBuf, SndBuf                   uint32 // of a TCP connection rounded as a Coarse
	RTO                              uint32 // in ms, rounded: it moves seldom then
	MinRTT, NotSent, SndWnd, RcvWnd  Coarse
	DeliveryRate                     Coarse // in bytes a second; 0 where the application set it, or where there is none

	ULP                  [8]byte
	SPort, DPort         uint16
	Family, State, Timer uint8
	Kind                 uint8 // SOCK_STREAM …; inet dumps do not tell it
	Tries                uint8 // retransmits of what is not acknowledged, or probes that were not answered
	Backoff              uint8
	Options, WScale      uint8 // as in tcp_info; the scale of the other end in the lower four bits
	TOS, Shutdown        uint8
}

// Has says which fields of a record the kernel gave.
type Has uint32

const (
	HasInfo      Has = 1 << iota // the start of tcp_info, which every kernel sends
	HasBytesRecv                 // tcpi_bytes_received, Linux 4.1
	HasBytesSent                 // tcpi_bytes_sent, Linux 4.19, or tcpi_bytes_acked, 4.1
	HasSegs                      // tcpi_segs_out and _in, Linux 4.2
	HasDrops
	HasMark
	HasCgroup
	HasUID
	HasQueues
	HasPeer  // the other end is connected, though its inode may be 0
	HasMPTCP // it is a subflow of an MPTCP connection
	HasLast  // retransmits and round-trip time are those of the last record that had tcp_info
	hasFIN   // the FIN of the other end has come, and is not in bytesRecv

	HasUnsent   // tcpi_notsent_bytes and tcpi_min_rtt, Linux 4.6
	HasBusy     // tcpi_busy_time and what limited it, Linux 4.10
	HasReorder  // tcpi_reord_seen, Linux 4.19
	HasSndWnd   // Linux 5.4
	HasRcvWnd   // Linux 6.2
	HasBuffers  // SKMEMINFO
	HasTOS      // INET_DIAG_TOS, or INET_DIAG_TCLASS
	HasShutdown // Linux 2.6.36
	HasV6Only   // INET_DIAG_SKV6ONLY, of what is not connected
	IsV6Only
	HasMoments   // LastSent and LastRecv are worked out
	SentLongAgo  // data went out before, and not of late
	RecvLongAgo  // the same of data that came in
	hasOverdue   // the timer has run out, and the kernel has not come to it yet
	HasRate      // tcpi_delivery_rate, Linux 4.9, measured at all
	IsAppLimited // and the application set it, not the path
)

// States of include/net/tcp_states.h. udp, raw and unix sockets use them too.
const (
	StateEstablished = 1
	StateSynSent     = 2
	StateSynRecv     = 3
	stateFinWait2    = 5
	StateTimeWait    = 6
	StateClose       = 7
	StateCloseWait   = 8
	stateLastAck     = 9
	StateListen      = 10
	stateClosing     = 11
	stateNewSynRecv  = 12
	StateBound       = 13 // TCP_BOUND_INACTIVE, Linux 6.8: bound, neither listening nor connected
)

var StateNames = [...]string{
	StateEstablished: "ESTABLISHED",
	StateSynSent:     "SYN_SENT",
	StateSynRecv:     "SYN_RECV",
	4:                "FIN_WAIT1",
	stateFinWait2:    "FIN_WAIT2",
	StateTimeWait:    "TIME_WAIT",
	StateClose:       "CLOSE",
	StateCloseWait:   "CLOSE_WAIT",
	stateLastAck:     "LAST_ACK",
	StateListen:      "LISTEN",
	stateClosing:     "CLOSING",
	stateNewSynRecv:  "SYN_RECV",
	StateBound:       "CLOSE",
}

var TimerNames = [...]string{"off", "retransmit", "keepalive", "timewait", "probe"}

var KindNames = [...]string{
	unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "dgram",
	unix.SOCK_RAW: "raw", unix.SOCK_SEQPACKET: "seqpacket",
}

// Named is names[i], or "" for what a newer kernel may think of.
func Named(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

// Remember keeps what the connection had moved when tcp_info last told: in TIME_WAIT the kernel
// tells nothing any more, and who closes first would seem to have sent nothing.
func (r *Record) Remember(last *Record) {
	r.rememberTimer(last)
	if r.Has&HasInfo != 0 {
		r.rememberFIN(last)
		r.rememberMoments(last)
		r.rememberRate(last)
		return
	}
	if last.Has&(HasInfo|HasLast) == 0 {
		return
	}
	r.Has |= HasLast | last.Has&(HasBytesRecv|HasBytesSent|HasSegs|HasBusy|HasReorder|hasFIN)
	r.Busy, r.RwndLimited, r.SndbufLimited, r.Reordered = last.Busy, last.RwndLimited, last.SndbufLimited, last.Reordered
	r.BytesSent, r.BytesRecv, r.SegsOut, r.SegsIn = last.BytesSent, last.BytesRecv, last.SegsOut, last.SegsIn
	r.Retransmits, r.RTT, r.RTTVar = last.Retransmits, last.RTT, last.RTTVar
}

// leaveOutFIN takes the FIN of the other end out of the bytes received, where the state says that it has come: the kernel counts
// it as a byte (tcp_rcv_nxt_update in net/ipv4/tcp_input.c).
func (r *Record) leaveOutFIN() {
	switch r.State {
	case StateCloseWait, stateLastAck, stateClosing:
		if r.Has&HasBytesRecv != 0 && r.BytesRecv > 0 {
			r.BytesRecv--
			r.Has |= hasFIN
		}
	}
}

// rememberFIN leaves the FIN out also where only the record before tells that it has come: at the end every state is CLOSE.
// Nothing can come after a FIN. The kernel reads state and bytes one after the other, so that the last record may have counted a
// FIN that came in between: then it stays counted, or the number would fall.
func (r *Record) rememberFIN(last *Record) {
	switch {
	case r.Has&hasFIN == 0 && last.Has&hasFIN != 0 && r.BytesRecv == last.BytesRecv+1:
		r.BytesRecv--
		r.Has |= hasFIN
	case r.Has&hasFIN != 0 && last.Has&HasInfo != 0 && last.BytesRecv == r.BytesRecv+1:
		r.BytesRecv++
	}
}

// LeaveOutLastFIN leaves the FIN out of the final numbers of a connection that a sample saw in TIME_WAIT: the other end had sent
// it. last is what that sample remembered.
func (r *Record) LeaveOutLastFIN(last *Record) {
	if r.Has&HasBytesRecv != 0 && (r.Has|last.Has)&hasFIN == 0 && r.BytesRecv > last.BytesRecv {
		r.BytesRecv--
		r.Has |= hasFIN
	}
}

// IsRemains reports whether only what TIME_WAIT, or FIN_WAIT2 after close, leaves of a connection is there.
func (r *Record) IsRemains() bool {
	return r.Has&HasInfo == 0 && (r.State == StateTimeWait || r.State == stateFinWait2)
}

// SameName reports whether what identifies the socket is the same in both.
func (r *Record) SameName(o *Record) bool {
	return r.Src == o.Src && r.Dst == o.Dst && r.SPort == o.SPort && r.DPort == o.DPort &&
		r.IfIndex == o.IfIndex && r.Inode == o.Inode && r.Peer == o.Peer && r.Kind == o.Kind
}

func Address(family uint8, a *[16]byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(*a)
}
