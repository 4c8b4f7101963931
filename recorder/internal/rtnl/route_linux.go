package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"netsql/store"
)

const rtaNextHopID = 30 // RTA_NH_ID of linux/rtnetlink.h, Linux 5.3

// TickingInRoute are the attributes with the time that a route has left.
func TickingInRoute(kind uint16) bool {
	return kind == unix.RTA_CACHEINFO || kind == unix.RTA_EXPIRES
}

// A Route is an RTM_NEWROUTE message.
type Route struct {
	Family, TOS, Protocol, Scope, Kind uint8
	Flags                              uint32
	Table, Metric                      uint32
	Dst, Src                           netip.Prefix
	Prefsrc, Gateway                   netip.Addr
	OIF                                int32
	MTU, Window, RTT                   store.Int // as the kernel counts: rtt in eighths of a millisecond
	NextHops                           []NextHop
	NextHopID                          uint32
}

// A NextHop is one way of a multipath route.
type NextHop struct {
	Gateway netip.Addr
	OIF     int32
	Weight  int
	Flags   uint32
}

// ParseRoute decodes struct rtmsg and its attributes.
func ParseRoute(msg []byte) (Route, error) {
	if len(msg) < unix.SizeofRtMsg {
		return Route{}, ErrShort
	}
	r := Route{
		Family: msg[0], TOS: msg[3], Table: uint32(msg[4]), Protocol: msg[5], Scope: msg[6], Kind: msg[7],
		Flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	var dst, src []byte
	err := Attributes(msg[unix.SizeofRtMsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.RTA_DST:
			dst = v
		case unix.RTA_SRC:
			src = v
		case unix.RTA_OIF:
			r.OIF, err = int32Of(v)
		case unix.RTA_GATEWAY:
			r.Gateway, err = addrOf(r.Family, v)
		case unix.RTA_VIA:
			r.Gateway, err = viaOf(v)
		case unix.RTA_PRIORITY:
			r.Metric, err = uint32Of(v)
		case unix.RTA_PREFSRC:
			r.Prefsrc, err = addrOf(r.Family, v)
		case unix.RTA_TABLE:
			r.Table, err = uint32Of(v)
		case rtaNextHopID:
			r.NextHopID, err = uint32Of(v)
		case unix.RTA_METRICS:
			err = r.parseMetrics(v)
		case unix.RTA_MULTIPATH:
			r.NextHops, err = parseNexthops(r.Family, v)
		}
		return err
	})
	if err == nil {
		r.Dst, err = prefixOf(r.Family, dst, msg[1])
	}
	if err == nil && msg[2] != 0 {
		r.Src, err = prefixOf(r.Family, src, msg[2])
	}
	return r, err
}

func (r *Route) parseMetrics(b []byte) error {
	return Attributes(b, func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.RTAX_MTU:
			r.MTU, err = known32(v)
		case unix.RTAX_WINDOW:
			r.Window, err = known32(v)
		case unix.RTAX_RTT:
			r.RTT, err = known32(v)
		}
		return err
	})
}

// parseNexthops decodes the structs rtnexthop of RTA_MULTIPATH.
func parseNexthops(family uint8, b []byte) ([]NextHop, error) {
	var hops []NextHop
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, fmt.Errorf("next hop of %d bytes where %d are left", size, len(b))
		}
		hop := NextHop{Flags: uint32(b[2]), Weight: int(b[3]) + 1, OIF: int32(binary.NativeEndian.Uint32(b[4:]))}
		err := Attributes(b[unix.SizeofRtNexthop:size], func(kind uint16, v []byte) (err error) {
			switch kind {
			case unix.RTA_GATEWAY:
				hop.Gateway, err = addrOf(family, v)
			case unix.RTA_VIA:
				hop.Gateway, err = viaOf(v)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		b = b[min(Align4(size), len(b)):]
	}
	if len(b) > 0 {
		return nil, fmt.Errorf("%d bytes after the last next hop", len(b))
	}
	return hops, nil
}

// viaOf is a gateway of the other family: an IPv4 route through an IPv6 router.
func viaOf(b []byte) (netip.Addr, error) {
	if len(b) < 2 {
		return netip.Addr{}, tooShort(b)
	}
	family := binary.NativeEndian.Uint16(b)
	if uint16(uint8(family)) != family {
		return netip.Addr{}, nil
	}
	return addrOf(uint8(family), b[2:])
}
