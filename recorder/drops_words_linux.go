package recorder

import "fmt"

// notSpecified is the reason of a packet that was freed by a part of the kernel that gives none. The reasons before it are of packets that were not dropped.
const notSpecified = "NOT_SPECIFIED"

// reasonOf is what the running kernel calls a reason, and that in words; "" where there are none.
func (d *dropEvents) reasonOf(reason uint32) (name, description string) {
	name, ok := d.names[reason]
	switch {
	case ok:
		return name, dropReasons[name]
	case reason>>16 != 0:
		return fmt.Sprintf("%#x", reason), "a reason of a part of the kernel that numbers its own, such as mac80211 or openvswitch"
	}
	return fmt.Sprintf("%#x", reason), ""
}

// etherType is a protocol by its number in Ethernet frames (linux/if_ether.h); "": the kernel did not say.
func etherType(number uint16) string {
	if name := etherTypes[number]; name != "" || number == 0 {
		return name
	}
	return fmt.Sprintf("0x%04x", number)
}

var etherTypes = map[uint16]string{
	0x0800: "IPv4", 0x0806: "ARP", 0x8035: "RARP", 0x8100: "802.1Q", 0x86dd: "IPv6", 0x8847: "MPLS", 0x8848: "MPLS", 0x8863: "PPPoE", 0x8864: "PPPoE",
	0x888e: "802.1X", 0x88a8: "802.1ad", 0x88cc: "LLDP", 0x88e5: "MACsec", 0x88f7: "PTP",
}

// dropReasons are the reasons in words (include/net/dropreason-core.h). What is no loss says so.
var dropReasons = map[string]string{
	notSpecified:                  "the part of the kernel that freed it gives no reason; it need not be a loss",
	"NO_SOCKET":                   "no socket: nobody listens on that port",
	"SOCKET_CLOSE":                "waited in a socket that was closed",
	"SOCKET_FILTER":               "the filter of a socket (BPF) rejected it",
	"SOCKET_RCVBUFF":              "socket buffer full: the program reads too slowly",
	"SOCKET_BACKLOG":              "backlog of a socket full",
	"SOCKET_DESTROYED":            "the socket was destroyed meanwhile",
	"UNIX_DISCONNECT":             "waited in a unix socket whose other end left",
	"UNIX_SKIP_OOB":               "urgent data of a unix socket that was skipped",
	"PKT_TOO_SMALL":               "shorter than its headers",
	"PKT_TOO_BIG":                 "larger than the MTU of the way",
	"TCP_CSUM":                    "wrong TCP checksum",
	"UDP_CSUM":                    "wrong UDP checksum",
	"ICMP_CSUM":                   "wrong ICMP checksum",
	"IP_CSUM":                     "wrong IP checksum",
	"SKB_CSUM":                    "wrong checksum",
	"NETFILTER_DROP":              "netfilter: a firewall rule dropped it",
	"OTHERHOST":                   "was for another host",
	"IP_INHDR":                    "something is wrong with the IP header",
	"IP_RPFILTER":                 "reverse path filter: its source is not reached over the interface it came in by (rp_filter)",
	"UNICAST_IN_L2_MULTICAST":     "for one host, but in a frame for many",
	"XFRM_POLICY":                 "IPsec policy",
	"IP_NOPROTO":                  "no part of the kernel takes that IP protocol",
	"PROTO_MEM":                   "memory of the protocol used up (tcp_mem, udp_mem)",
	"TCP_AUTH_HDR":                "TCP authentication header wrong",
	"TCP_MD5NOTFOUND":             "TCP MD5 signature expected, none there",
	"TCP_MD5UNEXPECTED":           "TCP MD5 signature not expected",
	"TCP_MD5FAILURE":              "TCP MD5 signature wrong",
	"TCP_AONOTFOUND":              "TCP authentication option expected, none there",
	"TCP_AOUNEXPECTED":            "TCP authentication option not expected",
	"TCP_AOKEYNOTFOUND":           "TCP authentication option with an unknown key",
	"TCP_AOFAILURE":               "TCP authentication option wrong",
	"TCP_FLAGS":                   "TCP flags that make no sense there",
	"TCP_ABORT_ON_DATA":           "data for a TCP socket that takes none any more",
	"TCP_ZEROWINDOW":              "TCP receive window is zero",
	"TCP_OLD_DATA":                "TCP data that had come already: no loss",
	"TCP_OVERWINDOW":              "TCP data beyond the receive window",
	"TCP_OFOMERGE":                "TCP data that had come already, out of order: no loss",
	"TCP_RFC7323_PAWS":            "TCP timestamp too old (PAWS)",
	"TCP_RFC7323_PAWS_ACK":        "TCP timestamp of an acknowledgement too old (PAWS)",
	"TCP_RFC7323_TW_PAWS":         "TCP timestamp too old for a connection in TIME_WAIT",
	"TCP_RFC7323_TSECR":           "TCP echoed timestamp wrong",
	"TCP_LISTEN_OVERFLOW":         "accept queue of a listener full",
	"TCP_OLD_SEQUENCE":            "TCP sequence number of old data: often sent twice",
	"TCP_INVALID_SEQUENCE":        "TCP sequence number outside the window",
	"TCP_INVALID_END_SEQUENCE":    "TCP data end outside the window",
	"TCP_INVALID_ACK_SEQUENCE":    "TCP acknowledges what was never sent",
	"TCP_RESET":                   "TCP reset",
	"TCP_INVALID_SYN":             "TCP SYN in a connection that stands",
	"TCP_CLOSE":                   "for a TCP socket that is closed",
	"TCP_FASTOPEN":                "data that had come with a TCP fast open SYN already",
	"TCP_OLD_ACK":                 "old TCP acknowledgement: no loss",
	"TCP_TOO_OLD_ACK":             "TCP acknowledgement too old",
	"TCP_ACK_UNSENT_DATA":         "TCP acknowledges what was not sent yet",
	"TCP_OFO_QUEUE_PRUNE":         "TCP data out of order thrown away for want of memory",
	"TCP_OFO_DROP":                "no memory for TCP data out of order",
	"TCP_MINTTL":                  "TTL below what the TCP socket asks for",
	"IP_OUTNOROUTES":              "no route to send it",
	"IP_INNOROUTES":               "no route for a packet that came in",
	"IP_INADDRERRORS":             "came in for an address that is none of ours, and is not forwarded",
	"IP_LOCAL_SOURCE":             "came in with an address of ours as its source",
	"IP_INVALID_SOURCE":           "source address makes no sense",
	"IP_LOCALNET":                 "loopback address from outside",
	"IP_INVALID_DEST":             "destination address makes no sense",
	"IP_TUNNEL_ECN":               "congestion marks (ECN) of a tunnel make no sense",
	"BPF_CGROUP_EGRESS":           "a BPF program of the control group dropped it on its way out",
	"IPV6DISABLED":                "IPv6 is disabled on the interface",
	"IPV6_BAD_EXTHDR":             "bad IPv6 extension header",
	"IPV6_NDISC_FRAG":             "fragmented neighbour discovery",
	"IPV6_NDISC_HOP_LIMIT":        "neighbour discovery from beyond the link",
	"IPV6_NDISC_BAD_CODE":         "neighbour discovery with a bad code",
	"IPV6_NDISC_BAD_OPTIONS":      "neighbour discovery with bad options",
	"IPV6_NDISC_NS_OTHERHOST":     "neighbour solicitation for another host: no loss",
	"NEIGH_CREATEFAIL":            "no neighbour entry could be made: the table may be full",
	"NEIGH_FAILED":                "neighbour failed: nobody answered for that address",
	"NEIGH_QUEUEFULL":             "queue full of packets that wait for a neighbour's hardware address",
	"NEIGH_DEAD":                  "neighbour entry was deleted meanwhile",
	"NEIGH_HH_FILLFAIL":           "hardware header could not be made",
	"TC_EGRESS":                   "traffic control dropped it on its way out",
	"TC_INGRESS":                  "traffic control dropped it on its way in",
	"TC_COOKIE_ERROR":             "traffic control lost track of it",
	"TC_CHAIN_NOTFOUND":           "traffic control has no such chain",
	"TC_RECLASSIFY_LOOP":          "traffic control classified it in a loop",
	"SECURITY_HOOK":               "security module (SELinux, AppArmor …) dropped it",
	"QDISC_DROP":                  "queue full, or dropped by its rules: queueing discipline; see qdiscs",
	"QDISC_OVERLIMIT":             "queue full: queueing discipline; see qdiscs",
	"QDISC_CONGESTED":             "queue congested: dropped early (CoDel, RED …); see qdiscs",
	"QDISC_BURST_DROP":            "a burst in the queue: queueing discipline; see qdiscs",
	"CAKE_FLOOD":                  "flood: cake dropped it",
	"FQ_BAND_LIMIT":               "queue full: a band of fq",
	"FQ_HORIZON_LIMIT":            "to be sent too far in the future for fq",
	"FQ_FLOW_LIMIT":               "queue full: a flow of fq",
	"DUALPI2_STEP_DROP":           "queue too long: dualpi2",
	"CPU_BACKLOG":                 "queue full of packets that wait for the CPU (net.core.netdev_max_backlog)",
	"XDP":                         "an XDP program dropped it",
	"UNHANDLED_PROTO":             "nobody on this machine takes that protocol",
	"INVALID_PROTO":               "not a protocol for that device",
	"SKB_GSO_SEG":                 "a large packet could not be parted",
	"SKB_UCOPY_FAULT":             "could not be copied to or from the program",
	"DEV_HDR":                     "hardware header missing or bad",
	"DEV_READY":                   "device not ready: down, or no carrier",
	"FULL_RING":                   "queue full: ring of the device, such as tun",
	"NOMEM":                       "no memory",
	"HDR_TRUNC":                   "headers cut off",
	"TAP_FILTER":                  "filter of a tap device",
	"TAP_TXFILTER":                "address filter of a tap device",
	"DUP_FRAG":                    "fragment that had come already",
	"FRAG_REASM_TIMEOUT":          "fragments missing: not all came in time",
	"FRAG_TOO_FAR":                "fragments too far apart",
	"QUEUE_PURGE":                 "waited in a queue that was emptied: its interface or socket went",
	"PACKET_SOCK_ERROR":           "could not be given to a packet socket",
	"VXLAN_INVALID_HDR":           "bad VXLAN header",
	"VXLAN_VNI_NOT_FOUND":         "no VXLAN device of that number",
	"VXLAN_NO_REMOTE":             "no remote end of the VXLAN known",
	"VXLAN_ENTRY_EXISTS":          "VXLAN must not learn where it came from",
	"MAC_INVALID_SOURCE":          "source hardware address makes no sense",
	"MAC_IEEE_MAC_CONTROL":        "frame of the link itself, such as pause: no loss",
	"LOCAL_MAC":                   "came in with a hardware address of ours as its source",
	"NO_TX_TARGET":                "no port to send it to",
	"TUNNEL_TXINFO":               "tunnel does not know where to send it",
	"ARP_PVLAN_DISABLE":           "ARP within a private VLAN, which is off",
	"BRIDGE_INGRESS_STP_STATE":    "port of the bridge does not forward now (STP)",
	"BRIDGE_NON_FORWARDING_STATE": "port of the bridge does not forward now (STP)",
	"CAN_RX_INVALID_FRAME":        "bad CAN frame",
	"CANFD_RX_INVALID_FRAME":      "bad CAN FD frame",
	"CANXL_RX_INVALID_FRAME":      "bad CAN XL frame",
	"PFMEMALLOC":                  "came in a reserve of memory that its socket may not use",
	"PSP_INPUT":                   "PSP encryption of what came in",
	"PSP_OUTPUT":                  "PSP encryption of what goes out",
	"RECURSION_LIMIT":             "went through too many devices in a row: a loop",
}
