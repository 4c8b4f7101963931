package tools

import (
	"strconv"
	"strings"
)

// ethernetNames are what iproute2 calls the protocols of Ethernet.
var ethernetNames = map[int64]string{
	0x60: "loop", 0x200: "pup", 0x201: "pupat", 0x800: "ip", 0x805: "x25", 0x806: "arp", 0x8ff: "bpq", 0xa00: "ieeepup", 0xa01: "ieeepupat", 0x6000: "dec", 0x6001: "dna_dl",
	0x6002: "dna_rc", 0x6003: "dna_rt", 0x6004: "lat", 0x6005: "diag", 0x6006: "cust", 0x6007: "sca", 0x8035: "rarp", 0x809b: "atalk", 0x80f3: "aarp", 0x8137: "ipx", 0x86dd: "ipv6",
	0x8863: "ppp_disc", 0x8864: "ppp_ses", 0x884c: "atmmpoa", 0x8884: "atmfate", 1: "802_3", 2: "ax25", 3: "all", 4: "802_2", 5: "snap", 6: "ddcmp", 7: "wan_ppp", 8: "ppp_mp", 9: "localtalk",
	0x10: "ppptalk", 0x11: "tr_802_2", 0x15: "mobitex", 0x16: "control", 0x17: "irda", 0x18: "econet", 0x88ca: "tipc", 0x88cc: "LLDP", 0x8892: "profinet", 0x88a2: "aoe", 0x88a4: "ethercat", 0x0c: "can",
	0x8100: "802.1Q", 0x88a8: "802.1ad", 0x8847: "mpls_uc", 0x8848: "mpls_mc", 0x6558: "teb",
}

func ethernetName(protocol int64, numeric bool) string {
	if name, ok := ethernetNames[protocol]; ok && !numeric {
		return name
	}
	return "[" + strconv.FormatInt(protocol, 10) + "]"
}

// ethernetProtocol is the number of a name; -1: there is none.
func ethernetProtocol(name string) int64 {
	if strings.EqualFold(name, "ipv4") {
		return 0x800
	}
	for number, is := range ethernetNames {
		if strings.EqualFold(is, name) {
			return number
		}
	}
	return -1
}

// netlinkNames are what iproute2 calls the protocols of netlink (/etc/iproute2/nl_protos).
var netlinkNames = map[int64]string{
	0: "rtnl", 1: "unused", 2: "usersock", 3: "fw", 4: "tcpdiag", 5: "nflog", 6: "xfrm", 7: "selinux", 8: "iscsi", 9: "audit", 10: "fiblookup", 11: "connector", 12: "nft", 13: "ip6fw",
	14: "dec-rt", 15: "uevent", 16: "genl", 18: "scsi-trans", 19: "ecryptfs", 20: "rdma", 21: "crypto",
}

func netlinkProtocol(name string) int64 {
	for number, is := range netlinkNames {
		if is == name {
			return number
		}
	}
	return -1
}

// recordedNetlink are the protocols as a recording names them, by their numbers.
var recordedNetlink = [...]string{
	"route", "unused", "usersock", "firewall", "sock_diag", "nflog", "xfrm", "selinux", "iscsi", "audit", "fib_lookup", "connector", "netfilter",
	"ip6_fw", "dnrtmsg", "kobject_uevent", "generic", "", "scsitransport", "ecryptfs", "rdma", "crypto", "smc",
}

// netlinkNumber is the number of a protocol that a recording names; -1: it is not known.
func netlinkNumber(name string) int64 {
	for number, is := range recordedNetlink {
		if is == name && name != "" {
			return int64(number)
		}
	}
	if number, err := strconv.ParseInt(name, 10, 32); err == nil {
		return number
	}
	return -1
}

// Groups of two protocols of netlink have names in a recording: RTNLGRP_* of linux/rtnetlink.h and SKNLGRP_* of linux/sock_diag.h.
var (
	routeGroups = map[string]int{
		"link": 1, "notify": 2, "neigh": 3, "tc": 4, "ipv4_ifaddr": 5, "ipv4_mroute": 6, "ipv4_route": 7, "ipv4_rule": 8, "ipv6_ifaddr": 9,
		"ipv6_mroute": 10, "ipv6_route": 11, "ipv6_ifinfo": 12, "ipv6_prefix": 18, "ipv6_rule": 19, "nd_useropt": 20, "phonet_ifaddr": 21,
		"phonet_route": 22, "dcb": 23, "ipv4_netconf": 24, "ipv6_netconf": 25, "mdb": 26, "mpls_route": 27, "nsid": 28, "mpls_netconf": 29,
		"ipv4_mroute_r": 30, "ipv6_mroute_r": 31, "nexthop": 32, "brvlan": 33, "mctp_ifaddr": 34, "tunnel": 35, "stats": 36,
		"ipv4_mcaddr": 37, "ipv6_mcaddr": 38, "ipv6_acaddr": 39,
	}
	diagGroups = map[string]int{"tcp_destroy": 1, "udp_destroy": 2, "tcp6_destroy": 3, "udp6_destroy": 4}
)

// netlinkGroups are groups as bits, of which ss shows the first 32.
func netlinkGroups(protocol, names string) (groups uint32, ok bool) {
	for name := range strings.FieldsFuncSeq(names, func(c rune) bool { return c == ',' || c == ' ' }) {
		number, err := strconv.Atoi(name)
		if err != nil {
			switch protocol {
			case "route":
				number = routeGroups[name]
			case "sock_diag":
				number = diagGroups[name]
			default:
				number = 0
			}
			if number == 0 {
				return 0, false
			}
		}
		if number >= 1 && number <= 32 {
			groups |= 1 << (number - 1)
		}
	}
	return groups, true
}
