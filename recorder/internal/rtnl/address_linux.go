package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// TickingInAddress is how long the address is still valid and preferred.
func TickingInAddress(kind uint16) bool { return kind == unix.IFA_CACHEINFO }

// A Address is an RTM_NEWADDR message.
type Address struct {
	Family, PrefixLen, Scope uint8
	Flags                    uint32
	Index                    int32
	Local, Remote, Broadcast netip.Addr
	Label                    string
}

// ParseAddress decodes struct ifaddrmsg and its attributes.
func ParseAddress(msg []byte) (Address, error) {
	if len(msg) < unix.SizeofIfAddrmsg {
		return Address{}, ErrShort
	}
	a := Address{
		Family: msg[0], PrefixLen: msg[1], Flags: uint32(msg[2]), Scope: msg[3],
		Index: int32(binary.NativeEndian.Uint32(msg[4:])),
	}
	err := Attributes(msg[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFA_LOCAL:
			a.Local, err = addrOf(a.Family, v)
		case unix.IFA_ADDRESS:
			a.Remote, err = addrOf(a.Family, v)
		case unix.IFA_BROADCAST:
			a.Broadcast, err = addrOf(a.Family, v)
		case unix.IFA_LABEL:
			a.Label, err = stringOf(v)
		case unix.IFA_FLAGS: // the header has room for the first eight of them
			a.Flags, err = uint32Of(v)
		}
		return err
	})
	if err != nil || FamilyNumber(a.Family) == 0 {
		return a, err
	}
	// IFA_ADDRESS is the other end of a point-to-point link, and where there is none the
	// address itself.
	if !a.Local.IsValid() {
		a.Local, a.Remote = a.Remote, netip.Addr{}
	}
	if a.Remote == a.Local {
		a.Remote = netip.Addr{}
	}
	if !a.Local.IsValid() {
		return a, fmt.Errorf("entry of interface %d without an address of family %d", a.Index, a.Family)
	}
	return a, nil
}
