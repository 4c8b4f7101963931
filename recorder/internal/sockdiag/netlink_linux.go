package sockdiag

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Attributes of a netlink_diag answer, and what to ask for (linux/netlink_diag.h).
const (
	netlinkDiagMemInfo = 0
	netlinkDiagGroups  = 1
	netlinkDiagMsgSize = 28

	netlinkEveryProtocol = 0xff
	netlinkShow          = 1<<0 /* memory */ | 1<<1 /* groups */
)

// NetlinkRequest asks for all netlink sockets: struct netlink_diag_req.
type NetlinkRequest struct{}

func (NetlinkRequest) Len() int { return 20 }

func (r NetlinkRequest) Serialize() []byte {
	b := make([]byte, r.Len())
	b[0], b[1] = unix.AF_NETLINK, netlinkEveryProtocol
	binary.NativeEndian.PutUint32(b[8:], netlinkShow)
	return b
}

func (r NetlinkRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// An end of a netlink or vsock socket has a place of 32 bits and a port of 32 bits. They stand in Src and Dst: of netlink the protocol
// and the port id, of vsock the CID and the port.

// Place is the protocol of a netlink end, or the CID of a vsock end.
func Place(a *[16]byte) uint32 { return binary.NativeEndian.Uint32(a[:]) }

// Port is the port id of a netlink end, or the port of a vsock end.
func Port(a *[16]byte) uint32 { return binary.NativeEndian.Uint32(a[4:]) }

func endOf(place, port uint32) (a [16]byte) {
	binary.NativeEndian.PutUint32(a[:], place)
	binary.NativeEndian.PutUint32(a[4:], port)
	return a
}

// DecodeNetlink reads one netlink_diag_msg and its attributes. The groups that the socket has joined are part of b, a bit for each; nil
// where there are none.
func DecodeNetlink(b []byte) (r Record, groups []byte, err error) {
	if len(b) < netlinkDiagMsgSize {
		return Record{}, nil, fmt.Errorf("a netlink_diag message of %d bytes", len(b))
	}
	native := binary.NativeEndian
	r = Record{
		Family: b[0], Kind: b[1], State: StateClose, Inode: native.Uint32(b[16:]),
		Src: endOf(uint32(b[2]), native.Uint32(b[4:])), Dst: endOf(0, native.Uint32(b[8:])),
		Cookie: uint64(native.Uint32(b[20:])) | uint64(native.Uint32(b[24:]))<<32,
	}
	const connected = 1 // NETLINK_CONNECTED
	if b[3] == connected {
		r.State = StateEstablished
	}
	err = EachAttribute(b[netlinkDiagMsgSize:], func(kind uint16, v []byte) {
		switch kind {
		case netlinkDiagMemInfo:
			r.memory(v)
		case netlinkDiagGroups:
			groups = bytes.TrimRight(v, "\x00")
		}
	})
	return r, groups, err
}

// memory takes queues and drops from SKMEMINFO.
func (r *Record) memory(v []byte) {
	native := binary.NativeEndian
	if len(v) >= 4*(skMemInfoSend+1) {
		r.RecvQ, r.SendQ = native.Uint32(v[4*skMemInfoReceive:]), native.Uint32(v[4*skMemInfoSend:])
		r.Has |= HasQueues
	}
	if len(v) >= 4*(SKMemInfoDrops+1) {
		r.Drops = native.Uint32(v[4*SKMemInfoDrops:])
		r.Has |= HasDrops
	}
}

// IsKernels reports whether it is a netlink socket of the kernel itself, one for each protocol: they have port id 0, and join no group.
// A socket of a process has another number, unless it has only joined groups so far.
func (r *Record) IsKernels(groups []byte) bool { return Port(&r.Src) == 0 && len(groups) == 0 }

// EachGroup calls visit with the number of each group that stands in the bits, from 1.
func EachGroup(groups []byte, visit func(group int)) {
	// The kernel writes unsigned longs; without the zeros at the end it may be fewer bytes.
	for at := 0; at < len(groups); at += 8 {
		var word [8]byte
		copy(word[:], groups[at:])
		for n := binary.NativeEndian.Uint64(word[:]); n != 0; n &= n - 1 {
			visit(8*at + bits.TrailingZeros64(n) + 1)
		}
	}
}

// ParseProcNetlink reads /proc/net/netlink, for kernels without NETLINK_DIAG. There is no cookie in it, nor kind and other end, and of the
// groups only the first 32.
//
//	sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
//	00000000bae70b22 0   1021       00000551 0        0        0     2        0        1563
func ParseProcNetlink(text []byte, each func(r Record, groups []byte)) error {
	for number, line := range bytes.Split(text, []byte("\n")) {
		if number == 0 || len(line) == 0 {
			continue
		}
		f := bytes.Fields(line)
		if len(f) < 10 {
			return fmt.Errorf("line %d: %d fields", number+1, len(f))
		}
		r := Record{Family: unix.AF_NETLINK, State: StateClose, Has: HasQueues | HasDrops}
		var protocol, port, groups uint64
		for _, n := range []struct {
			text []byte
			base int
			bits int
			to   func(uint64)
		}{
			{f[1], 10, 8, func(n uint64) { protocol = n }},
			{f[2], 10, 32, func(n uint64) { port = n }},
			{f[3], 16, 32, func(n uint64) { groups = n }},
			{f[4], 10, 32, func(n uint64) { r.RecvQ = uint32(n) }},
			{f[5], 10, 32, func(n uint64) { r.SendQ = uint32(n) }},
			{f[8], 10, 32, func(n uint64) { r.Drops = uint32(n) }},
			{f[9], 10, 32, func(n uint64) { r.Inode = uint32(n) }},
		} {
			v, err := strconv.ParseUint(string(n.text), n.base, n.bits)
			if err != nil {
				return fmt.Errorf("line %d: %w", number+1, err)
			}
			n.to(v)
		}
		r.Src = endOf(uint32(protocol), uint32(port))
		each(r, bytes.TrimRight(binary.NativeEndian.AppendUint64(nil, groups), "\x00"))
	}
	return nil
}

// NetlinkProtocols are the protocols of netlink, as linux/netlink.h calls them.
var NetlinkProtocols = [...]string{
	"route", "unused", "usersock", "firewall", "sock_diag", "nflog", "xfrm", "selinux", "iscsi", "audit", "fib_lookup", "connector", "netfilter",
	"ip6_fw", "dnrtmsg", "kobject_uevent", "generic", "", "scsitransport", "ecryptfs", "rdma", "crypto", "smc",
}

// GroupNames are the multicast groups of two protocols, by their numbers: RTNLGRP_* of linux/rtnetlink.h and SKNLGRP_* of
// linux/sock_diag.h. Those of other protocols have none that are fixed, or few that anybody knows.
var GroupNames = map[uint32][]string{
	unix.NETLINK_ROUTE: {
		1: "link", 2: "notify", 3: "neigh", 4: "tc", 5: "ipv4_ifaddr", 6: "ipv4_mroute", 7: "ipv4_route", 8: "ipv4_rule", 9: "ipv6_ifaddr",
		10: "ipv6_mroute", 11: "ipv6_route", 12: "ipv6_ifinfo", 18: "ipv6_prefix", 19: "ipv6_rule", 20: "nd_useropt", 21: "phonet_ifaddr",
		22: "phonet_route", 23: "dcb", 24: "ipv4_netconf", 25: "ipv6_netconf", 26: "mdb", 27: "mpls_route", 28: "nsid", 29: "mpls_netconf",
		30: "ipv4_mroute_r", 31: "ipv6_mroute_r", 32: "nexthop", 33: "brvlan", 34: "mctp_ifaddr", 35: "tunnel", 36: "stats",
		37: "ipv4_mcaddr", 38: "ipv6_mcaddr", 39: "ipv6_acaddr",
	},
	unix.NETLINK_SOCK_DIAG: {1: "tcp_destroy", 2: "udp_destroy", 3: "tcp6_destroy", 4: "udp6_destroy"},
}
