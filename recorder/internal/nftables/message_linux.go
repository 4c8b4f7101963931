package nftables

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
)

// SizeofHeader is the size of struct nfgenmsg of linux/netfilter/nfnetlink.h.
const SizeofHeader = 4

// A Message tells of one thing that was added or removed, or, the last of a transaction (NFT_MSG_NEWGEN), who did all that. Its
// slices point into it.
type Message struct {
	Kind   int   // NFT_MSG_*
	Family uint8 // NFPROTO_*
	// Short is the generation that it belongs to, of which there are 16 bits: in that of a transaction, the one that it leads to.
	Short uint16
	Table []byte
	Name  []byte // of the chain, the set, the object or the flow table; of a rule, its chain

	Elements int // of NFT_MSG_NEWSETELEM and NFT_MSG_DELSETELEM

	// Of NFT_MSG_NEWGEN.
	Generation uint32
	PID        uint32 // in the first PID namespace; 0: the kernel does not say (Linux 4.15)
	Comm       []byte
}

// errOther is for messages of other parts of netfilter.
var errOther = errors.New("no message of nf_tables")

// nameAt is the number of the attribute that Name stands in, by the kind of message. In all of them 1 is the table.
var nameAt = map[int]uint16{
	unix.NFT_MSG_NEWCHAIN: unix.NFTA_CHAIN_NAME, unix.NFT_MSG_DELCHAIN: unix.NFTA_CHAIN_NAME,
	unix.NFT_MSG_NEWRULE: unix.NFTA_RULE_CHAIN, unix.NFT_MSG_DELRULE: unix.NFTA_RULE_CHAIN,
	unix.NFT_MSG_NEWSET: unix.NFTA_SET_NAME, unix.NFT_MSG_DELSET: unix.NFTA_SET_NAME,
	unix.NFT_MSG_NEWSETELEM: unix.NFTA_SET_ELEM_LIST_SET, unix.NFT_MSG_DELSETELEM: unix.NFTA_SET_ELEM_LIST_SET,
	unix.NFT_MSG_NEWOBJ: 2, unix.NFT_MSG_DELOBJ: 2, // NFTA_OBJ_NAME
	unix.NFT_MSG_NEWFLOWTABLE: 2, unix.NFT_MSG_DELFLOWTABLE: 2, // NFTA_FLOWTABLE_NAME
}

// Parse decodes a message: its type and what follows the header of netlink.
func Parse(kind uint16, msg []byte) (Message, error) {
	if kind>>8 != unix.NFNL_SUBSYS_NFTABLES {
		return Message{}, errOther
	}
	m := Message{Kind: int(kind & 0xff)}
	if len(msg) < SizeofHeader {
		return m, rtnl.ErrShort
	}
	m.Family, m.Short = msg[0], binary.BigEndian.Uint16(msg[2:])
	name := nameAt[m.Kind]
	return m, rtnl.Attributes(msg[SizeofHeader:], func(attribute uint16, v []byte) (err error) {
		switch {
		case m.Kind == unix.NFT_MSG_NEWGEN:
			return m.parseGeneration(attribute, v)
		case attribute == unix.NFTA_TABLE_NAME:
			m.Table, err = rtnl.TextOf(v)
		case attribute == name && name != 0:
			m.Name, err = rtnl.TextOf(v)
		case attribute == unix.NFTA_SET_ELEM_LIST_ELEMENTS && (m.Kind == unix.NFT_MSG_NEWSETELEM || m.Kind == unix.NFT_MSG_DELSETELEM):
			err = rtnl.Attributes(v, func(uint16, []byte) error { m.Elements++; return nil })
		}
		return err
	})
}

func (m *Message) parseGeneration(attribute uint16, v []byte) (err error) {
	switch attribute {
	case unix.NFTA_GEN_ID:
		m.Generation, err = uint32Of(v)
	case unix.NFTA_GEN_PROC_PID:
		m.PID, err = uint32Of(v)
	case unix.NFTA_GEN_PROC_NAME:
		m.Comm, err = rtnl.TextOf(v)
	}
	return err
}

// Each calls each with every message of nf_tables in b, as they came from a multicast group. One that makes no sense is an error.
func Each(b []byte, each func(m *Message)) error {
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return fmt.Errorf("a netlink message of %d bytes where %d are left", size, len(b))
		}
		m, err := Parse(binary.NativeEndian.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:size])
		switch {
		case err == nil:
			each(&m)
		case !errors.Is(err, errOther):
			return err
		}
		b = b[min(rtnl.Align4(size), len(b)):]
	}
	return nil
}

// uint32Of is a number in the order of the network, as all numbers of nf_tables are.
func uint32Of(b []byte) (uint32, error) {
	if len(b) < 4 {
		return 0, fmt.Errorf("value of %d bytes is too short", len(b))
	}
	return binary.BigEndian.Uint32(b), nil
}

// uint64Of is a longer one.
func uint64Of(b []byte) (uint64, error) {
	if len(b) < 8 {
		return 0, fmt.Errorf("value of %d bytes is too short", len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// FamilyName is the name that nft has for a family; "": there is none.
func FamilyName(family uint8) string {
	switch family {
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_IPV6:
		return "ip6"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_BRIDGE:
		return "bridge"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	}
	return ""
}
