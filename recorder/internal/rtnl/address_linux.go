package rtnl

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Forever is the lifetime of what does not end.
const Forever time.Duration = -1

// LifetimesOf says how long an address is still valid and preferred, by an attribute of its message, if that one tells
// (struct ifa_cacheinfo, in seconds).
func LifetimesOf(kind uint16, v []byte) (valid, preferred time.Duration, tells bool) {
	if kind != unix.IFA_CACHEINFO {
		return 0, 0, false
	}
	left := func(at int) time.Duration {
		if len(v) < at+4 {
			return Forever
		}
		n := binary.NativeEndian.Uint32(v[at:])
		if n == math.MaxUint32 {
			return Forever
		}
		return time.Duration(n) * time.Second
	}
	return left(4), left(0), true
}

// A Address is an RTM_NEWADDR message.
type Address struct {
	Family, PrefixLen, Scope uint8
	Flags                    uint32
	Index                    int32
	Local, Remote, Broadcast netip.Addr
	Label                    string
	Valid, Preferred         time.Duration // that are left, or Forever
}

// ParseAddress decodes struct ifaddrmsg and its attributes.
func ParseAddress(msg []byte) (Address, error) {
	if len(msg) < unix.SizeofIfAddrmsg {
		return Address{}, ErrShort
	}
	a := Address{
		Family: msg[0], PrefixLen: msg[1], Flags: uint32(msg[2]), Scope: msg[3],
		Index: int32(binary.NativeEndian.Uint32(msg[4:])), Valid: Forever, Preferred: Forever,
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
		case unix.IFA_CACHEINFO:
			if len(v) < 8 {
				return tooShort(v)
			}
			a.Valid, a.Preferred, _ = LifetimesOf(kind, v)
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
