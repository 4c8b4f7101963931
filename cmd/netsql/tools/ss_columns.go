package tools

import "netsql/query"

// The columns of a socket, of which only those are read that the options need.
type ssColumn int

const (
	ssProto ssColumn = iota
	ssFamilyNumber
	ssType
	ssState
	ssRecvQ
	ssSendQ
	ssLocalAddr
	ssLocalPort
	ssRemoteAddr
	ssRemotePort
	ssIfIndex
	ssV6Only
	ssInode
	ssPath
	ssPeer
	ssTimer
	ssTimerLeft
	ssTries
	ssUID
	ssCookie
	ssMark
	ssCGroup
	ssShutdown
	ssGroups
	ssTOS
	ssRcvBuf
	ssSndBuf
	ssDrops
	ssTCPOptions
	ssCongestion
	ssRTO
	ssBackoff
	ssRTT
	ssRTTVar
	ssMSS
	ssPMTU
	ssCwnd
	ssSSThresh
	ssBytesSent
	ssBytesReceived
	ssSegsOut
	ssSegsIn
	ssLastSent
	ssLastReceived
	ssDeliveryRate
	ssAppLimited
	ssBusy
	ssRwndLimited
	ssSndbufLimited
	ssRetransmits
	ssLost
	ssReordered
	ssNotSent
	ssMinRTT
	ssSndWnd
	ssULP
	ssColumns
)

var ssColumnNames = [ssColumns]string{
	"proto", "family", "type", "state", "recv_q", "send_q", "local_addr", "local_port", "remote_addr", "remote_port", "ifindex", "v6only", "inode", "path", "peer_inode",
	"timer", "CAST(round(1000 * (timer_ends - ts)) AS INTEGER)", "tries", "uid", "cookie", "mark", "cgroup", "shutdown", "netlink_groups", "tos", "rcvbuf", "sndbuf", "drops", "options", "congestion", "rto_ms", "backoff",
	"rtt_ms", "rttvar_ms", "mss", "pmtu", "cwnd", "ssthresh", "bytes_sent", "bytes_received", "segs_out", "segs_in",
	"CAST(round(1000 * (ts - last_sent)) AS INTEGER)", "CAST(round(1000 * (ts - last_received)) AS INTEGER)", "delivery_rate", "app_limited", "busy_ms", "rwnd_limited_ms", "sndbuf_limited_ms",
	"retransmits", "lost", "reordered", "notsent", "min_rtt_ms", "snd_wnd", "ulp",
}

// columns are those that the options need.
func (o *ssOptions) columns(p *ssParser) (columns []ssColumn) {
	for c := range ssColumns {
		needed := true
		switch c {
		case ssType:
			needed = o.kinds&(ssUnix|ssPacket|ssVsock) != 0
		case ssPath, ssPeer:
			needed = o.kinds&ssUnix != 0
		case ssInode:
			needed = o.kinds&ssUnix != 0 || o.details || o.processes
		case ssTimer:
			needed = o.timers || o.info || o.memory || o.tos || o.cgroups
		case ssTimerLeft, ssTries:
			needed = o.timers
		case ssUID, ssShutdown:
			needed = o.details
		case ssCookie:
			needed = o.details || o.kinds&ssRaw != 0
		case ssGroups:
			needed = o.details && o.kinds&ssNetlink != 0
		case ssMark:
			needed = o.details || p.marks
		case ssCGroup:
			needed = o.details || o.cgroups || p.groups
		case ssTOS:
			needed = o.tos
		case ssRcvBuf:
			needed = o.memory || o.details
		case ssSndBuf, ssDrops:
			needed = o.memory
		default:
			needed = c < ssTCPOptions || o.info
		}
		if needed {
			columns = append(columns, c)
		}
	}
	return columns
}

// An ssRow is a socket: its columns that were read.
type ssRow [ssColumns]query.Value

func (r *ssRow) text(c ssColumn) string  { return r[c].Text() }
func (r *ssRow) number(c ssColumn) int64 { return r[c].Int() }
func (r *ssRow) real(c ssColumn) float64 { return r[c].Float() }

// known is a number, where it is known.
func (r *ssRow) known(c ssColumn) (n int64, ok bool) { return r[c].Int(), r[c].Known() }

var ssStates = map[string]struct {
	bit  int
	name string
}{
	"ESTABLISHED": {ssEstablished, "ESTAB"}, "SYN_SENT": {ssSynSent, "SYN-SENT"}, "SYN_RECV": {ssSynRecv, "SYN-RECV"}, "FIN_WAIT1": {ssFinWait1, "FIN-WAIT-1"},
	"FIN_WAIT2": {ssFinWait2, "FIN-WAIT-2"}, "TIME_WAIT": {ssTimeWait, "TIME-WAIT"}, "CLOSE": {ssClose, "UNCONN"}, "CLOSE_WAIT": {ssCloseWait, "CLOSE-WAIT"},
	"LAST_ACK": {ssLastAck, "LAST-ACK"}, "LISTEN": {ssListen, "LISTEN"}, "CLOSING": {ssClosing, "CLOSING"},
}
