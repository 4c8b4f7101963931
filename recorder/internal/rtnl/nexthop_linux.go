package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// SizeofNextHop is the size of struct nhmsg (linux/nexthop.h, Linux 5.3), from where the numbers below come too.
const SizeofNextHop = 8

const (
	nhaID        = 1
	nhaGroup     = 2
	nhaGroupType = 3
	nhaBlackhole = 4
	nhaOIF       = 5
	nhaGateway   = 6
	nhaEncapType = 7
	nhaEncap     = 8
	nhaFDB       = 11
)

// A NextHopObject is an RTM_NEWNEXTHOP message: a next hop, or a group of them, that routes name by its number.
type NextHopObject struct {
	Family, Scope, Protocol uint8
	Flags                   uint32
	ID                      uint32
	Members                 []NextHopMember // of a group
	Resilient               bool            // of a group: a table of buckets keeps connections on their way
	Blackhole, FDB          bool
	OIF                     int32
	Gateway                 netip.Addr
	Encap                   string
}

// A NextHopMember is a member of a group.
type NextHopMember struct {
	ID     uint32
	Weight int
}

// ParseNextHop decodes struct nhmsg and its attributes.
func ParseNextHop(msg []byte) (NextHopObject, error) {
	if len(msg) < SizeofNextHop {
		return NextHopObject{}, ErrShort
	}
	h := NextHopObject{Family: msg[0], Scope: msg[1], Protocol: msg[2], Flags: binary.NativeEndian.Uint32(msg[4:])}
	var gateway, encap []byte
	var encapType uint16
	err := Attributes(msg[SizeofNextHop:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case nhaID:
			h.ID, err = uint32Of(v)
		case nhaGroup:
			h.Members, err = membersOf(v)
		case nhaGroupType:
			var n uint16
			n, err = uint16Of(v)
			h.Resilient = n == 1 // NEXTHOP_GRP_TYPE_RES
		case nhaBlackhole:
			h.Blackhole = true
		case nhaFDB:
			h.FDB = true
		case nhaOIF:
			h.OIF, err = int32Of(v)
		case nhaGateway:
			gateway = v
		case nhaEncapType:
			encapType, err = uint16Of(v)
		case nhaEncap:
			encap = v
		}
		return err
	})
	if err == nil && gateway != nil {
		h.Gateway, err = addrOf(h.Family, gateway)
	}
	if err == nil {
		h.Encap, err = encapText(encapType, encap)
	}
	if err == nil && h.ID == 0 {
		err = fmt.Errorf("nexthop without a number")
	}
	return h, err
}

// membersOf decodes the structs nexthop_grp. Their upper eight bits of a weight came with Linux 6.12, where there was 0 before.
func membersOf(b []byte) ([]NextHopMember, error) {
	const size = 8
	if len(b)%size != 0 {
		return nil, fmt.Errorf("group of %d bytes", len(b))
	}
	var members []NextHopMember
	for ; len(b) > 0; b = b[size:] {
		members = append(members, NextHopMember{binary.NativeEndian.Uint32(b), (int(b[5])<<8 | int(b[4])) + 1})
	}
	return members, nil
}
