package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// TickingInNeighbor are the ages of an entry and the probes sent so far.
func TickingInNeighbor(kind uint16, _ []byte) bool {
	return kind == unix.NDA_CACHEINFO || kind == unix.NDA_PROBES
}

// A Neighbor is an RTM_NEWNEIGH message.
type Neighbor struct {
	Family, Flags uint8
	Index         int32
	State         uint16
	ExtFlags      uint32
	Addr          netip.Addr
	MAC           []byte
}

// ParseNeighbor decodes struct ndmsg and its attributes.
func ParseNeighbor(msg []byte) (Neighbor, error) {
	if len(msg) < unix.SizeofNdMsg {
		return Neighbor{}, ErrShort
	}
	n := Neighbor{
		Family: msg[0], Index: int32(binary.NativeEndian.Uint32(msg[4:])),
		State: binary.NativeEndian.Uint16(msg[8:]), Flags: msg[10],
	}
	err := Attributes(msg[unix.SizeofNdMsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.NDA_DST:
			n.Addr, err = addrOf(n.Family, v)
		case unix.NDA_LLADDR:
			n.MAC = v
		case NdaFlagsExt:
			n.ExtFlags, err = uint32Of(v)
		}
		return err
	})
	if err == nil && FamilyNumber(n.Family) != 0 && !n.Addr.IsValid() {
		err = fmt.Errorf("entry of interface %d without an address of family %d", n.Index, n.Family)
	}
	return n, err
}

const NdaFlagsExt = 15 // NDA_FLAGS_EXT of linux/neighbour.h, Linux 5.16
