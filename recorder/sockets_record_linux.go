package recorder

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// A record is what one dump says of one socket, as plain numbers. It holds what is
// recorded and nothing else, so that two records are equal exactly where nothing of
// interest has changed: the ages and pacing rates of tcp_info, which move all the time,
// are not in it. Comparing it costs less than a hash of the raw message, takes a third of
// its memory, and cannot collide.
type record struct {
	cookie               uint64 // 0: /proc does not tell it
	cgroup               uint64
	bytesSent, bytesRecv uint64
	src, dst             [16]byte // IPv4 in the first four
	congestion           [16]byte // TCP_CA_NAME_MAX
	inode, peer          uint32
	ifindex, uid, mark   uint32
	recvQ, sendQ, drops  uint32
	mss, pmtu            uint32
	rtt, rttvar, cwnd    uint32
	segsOut, segsIn      uint32
	retransmits          uint32
	sport, dport         uint16
	has                  has
	family, state, timer uint8
	kind                 uint8 // SOCK_STREAM …; inet dumps do not tell it
}

// has says which fields of a record the kernel gave.
type has uint16

const (
	hasInfo      has = 1 << iota // the start of tcp_info, which every kernel sends
	hasBytesRecv                 // tcpi_bytes_received, Linux 4.1
	hasBytesSent                 // tcpi_bytes_sent, Linux 4.19, or tcpi_bytes_acked, 4.1
	hasSegs                      // tcpi_segs_out and _in, Linux 4.2
	hasDrops
	hasMark
	hasCgroup
	hasUID
	hasQueues
	hasPeer  // the other end is connected, though its inode may be 0
	hasMPTCP // it is a subflow of an MPTCP connection
	hasLast  // retransmits and round-trip time are those of the last record that had tcp_info
	hasFIN   // the FIN of the other end has come, and is not in bytesRecv
)

// States of include/net/tcp_states.h. udp, raw and unix sockets use them too.
const (
	stateEstablished = 1
	stateSynRecv     = 3
	stateFinWait2    = 5
	stateTimeWait    = 6
	stateClose       = 7
	stateCloseWait   = 8
	stateLastAck     = 9
	stateListen      = 10
	stateClosing     = 11
	stateNewSynRecv  = 12
	stateBound       = 13 // TCP_BOUND_INACTIVE, Linux 6.8: bound, neither listening nor connected
)

var stateNames = [...]string{
	stateEstablished: "ESTABLISHED",
	2:                "SYN_SENT",
	stateSynRecv:     "SYN_RECV",
	4:                "FIN_WAIT1",
	stateFinWait2:    "FIN_WAIT2",
	stateTimeWait:    "TIME_WAIT",
	stateClose:       "CLOSE",
	stateCloseWait:   "CLOSE_WAIT",
	stateLastAck:     "LAST_ACK",
	stateListen:      "LISTEN",
	stateClosing:     "CLOSING",
	stateNewSynRecv:  "SYN_RECV",
	stateBound:       "CLOSE",
}

var timerNames = [...]string{"off", "retransmit", "keepalive", "timewait", "probe"}

var kindNames = [...]string{
	unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "dgram",
	unix.SOCK_RAW: "raw", unix.SOCK_SEQPACKET: "seqpacket",
}

// named is names[i], or "" for what a newer kernel may think of.
func named(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return ""
}

// remember keeps what the connection had moved when tcp_info last told: in TIME_WAIT the kernel
// tells nothing any more, and who closes first would seem to have sent nothing.
func (r *record) remember(last *record) {
	if r.has&hasInfo != 0 {
		r.rememberFIN(last)
		return
	}
	if last.has&(hasInfo|hasLast) == 0 {
		return
	}
	r.has |= hasLast | last.has&(hasBytesRecv|hasBytesSent|hasSegs|hasFIN)
	r.bytesSent, r.bytesRecv, r.segsOut, r.segsIn = last.bytesSent, last.bytesRecv, last.segsOut, last.segsIn
	r.retransmits, r.rtt, r.rttvar = last.retransmits, last.rtt, last.rttvar
}

// leaveOutFIN takes the FIN of the other end out of the bytes received, where the state says that it has come: the kernel counts it as a
// byte (tcp_rcv_nxt_update in net/ipv4/tcp_input.c).
func (r *record) leaveOutFIN() {
	switch r.state {
	case stateCloseWait, stateLastAck, stateClosing:
		if r.has&hasBytesRecv != 0 && r.bytesRecv > 0 {
			r.bytesRecv--
			r.has |= hasFIN
		}
	}
}

// rememberFIN leaves the FIN out also where only the record before tells that it has come: at the end every state is CLOSE. Nothing can come
// after a FIN. The kernel reads state and bytes one after the other, so that the last record may have counted a FIN that came in between: then it
// stays counted, or the number would fall.
func (r *record) rememberFIN(last *record) {
	switch {
	case r.has&hasFIN == 0 && last.has&hasFIN != 0 && r.bytesRecv == last.bytesRecv+1:
		r.bytesRecv--
		r.has |= hasFIN
	case r.has&hasFIN != 0 && last.has&hasInfo != 0 && last.bytesRecv == r.bytesRecv+1:
		r.bytesRecv++
	}
}

// leaveOutLastFIN leaves the FIN out of the final numbers of a connection that a sample saw in TIME_WAIT: the other end had sent it. last is what that
// sample remembered.
func (r *record) leaveOutLastFIN(last *record) {
	if r.has&hasBytesRecv != 0 && (r.has|last.has)&hasFIN == 0 && r.bytesRecv > last.bytesRecv {
		r.bytesRecv--
		r.has |= hasFIN
	}
}

// isRemains reports whether only what TIME_WAIT, or FIN_WAIT2 after close, leaves of a connection is there.
func (r *record) isRemains() bool {
	return r.has&hasInfo == 0 && (r.state == stateTimeWait || r.state == stateFinWait2)
}

// sameName reports whether what identifies the socket is the same in both.
func (r *record) sameName(o *record) bool {
	return r.src == o.src && r.dst == o.dst && r.sport == o.sport && r.dport == o.dport &&
		r.ifindex == o.ifindex && r.inode == o.inode && r.peer == o.peer && r.kind == o.kind
}

func address(family uint8, a *[16]byte) netip.Addr {
	if family == unix.AF_INET {
		return netip.AddrFrom4([4]byte(a[:4]))
	}
	return netip.AddrFrom16(*a)
}
