package tools

import "strings"

// The kinds of sockets and of addresses that ss tells apart, as bits.
const (
	ssTCP = 1 << iota
	ssMPTCP
	ssDCCP
	ssUDP
	ssRaw
	ssUnixDgram
	ssUnixStream
	ssUnixSeqpacket
	ssPacketDgram
	ssPacketRaw
	ssNetlink
	ssSCTP
	ssVsockStream
	ssVsockDgram
	ssTIPC
	ssXDP

	ssUnix   = ssUnixDgram | ssUnixStream | ssUnixSeqpacket
	ssPacket = ssPacketDgram | ssPacketRaw
	ssVsock  = ssVsockStream | ssVsockDgram
	ssInet   = ssTCP | ssMPTCP | ssDCCP | ssUDP | ssRaw | ssSCTP
	ssAll    = ssInet | ssUnix | ssPacket | ssNetlink | ssVsock | ssXDP
)

type ssFamily uint

const (
	ssFamily4 ssFamily = 1 << iota
	ssFamily6
	ssFamilyUnix
	ssFamilyPacket
	ssFamilyNetlink
	ssFamilyVsock
	ssFamilyTIPC
	ssFamilyXDP
)

// States, as bits.
const (
	ssEstablished = 1 << (iota + 1)
	ssSynSent
	ssSynRecv
	ssFinWait1
	ssFinWait2
	ssTimeWait
	ssClose
	ssCloseWait
	ssLastAck
	ssListen
	ssClosing

	ssEvery     = 1<<12 - 1
	ssConnected = ssEvery &^ (ssListen | ssClose | ssTimeWait | ssSynRecv) // without -a and -l
)

var ssQueries = map[string]int{
	"all": ssAll, "inet": ssInet, "udp": ssUDP, "dccp": ssDCCP, "tcp": ssTCP, "mptcp": ssMPTCP, "sctp": ssSCTP, "raw": ssRaw, "unix": ssUnix,
	"unix_stream": ssUnixStream, "u_str": ssUnixStream, "unix_dgram": ssUnixDgram, "u_dgr": ssUnixDgram, "unix_seqpacket": ssUnixSeqpacket, "u_seq": ssUnixSeqpacket,
	"packet": ssPacket, "packet_raw": ssPacketRaw, "p_raw": ssPacketRaw, "packet_dgram": ssPacketDgram, "p_dgr": ssPacketDgram, "netlink": ssNetlink, "tipc": ssTIPC,
	"vsock": ssVsock, "vsock_stream": ssVsockStream, "v_str": ssVsockStream, "vsock_dgram": ssVsockDgram, "v_dgr": ssVsockDgram, "xdp": ssXDP,
}

// statesOf are the states that -t, -x and so on mean without -a and -l.
func statesOf(kinds int) int {
	states := 0
	if kinds&(ssTCP|ssMPTCP|ssDCCP|ssSCTP|ssUnixStream|ssUnixSeqpacket|ssVsock) != 0 {
		states |= ssConnected
	}
	if kinds&(ssUDP|ssRaw) != 0 {
		states |= ssEstablished
	}
	if kinds&(ssUnixDgram|ssPacket|ssNetlink|ssXDP) != 0 {
		states |= ssClose
	}
	if kinds&ssTIPC != 0 {
		states |= ssEstablished | ssListen | ssClose
	}
	return states
}

var ssFamilies = map[string]ssFamily{
	"inet": ssFamily4, "inet6": ssFamily6, "link": ssFamilyPacket, "unix": ssFamilyUnix, "netlink": ssFamilyNetlink, "vsock": ssFamilyVsock, "tipc": ssFamilyTIPC, "xdp": ssFamilyXDP,
}

// kindsOf are the kinds that have addresses of a family, and the states that the family means without -a and -l.
func kindsOf(family ssFamily) (kinds, states int) {
	switch family {
	case ssFamilyUnix:
		return ssUnix, ssConnected
	case ssFamilyPacket:
		return ssPacket, ssClose
	case ssFamilyNetlink:
		return ssNetlink, ssClose
	case ssFamilyVsock:
		return ssVsock, ssConnected
	case ssFamilyTIPC:
		return ssTIPC, ssEstablished | ssListen | ssClose
	case ssFamilyXDP:
		return ssXDP, ssClose
	}
	return ssInet, ssConnected
}

// stateNamed reads what follows the word state.
func stateNamed(name string) (int, error) {
	switch strings.ToLower(name) {
	case "all":
		return ssEvery, nil
	case "connected":
		return ssEvery &^ (ssClose | ssListen), nil
	case "synchronized":
		return ssEvery &^ (ssClose | ssListen | ssSynSent), nil
	case "bucket":
		return ssSynRecv | ssTimeWait, nil
	case "big":
		return ssEvery &^ (ssSynRecv | ssTimeWait), nil
	case "established":
		return ssEstablished, nil
	case "syn-sent":
		return ssSynSent, nil
	case "syn-recv", "syn-rcv":
		return ssSynRecv, nil
	case "fin-wait-1":
		return ssFinWait1, nil
	case "fin-wait-2":
		return ssFinWait2, nil
	case "time-wait":
		return ssTimeWait, nil
	case "unconnected", "close", "closed":
		return ssClose, nil
	case "close-wait":
		return ssCloseWait, nil
	case "last-ack":
		return ssLastAck, nil
	case "listening":
		return ssListen, nil
	case "closing":
		return ssClosing, nil
	}
	return 0, usagef("no state %q: the states are all, connected, synchronized, bucket, big, established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening and closing", name)
}
