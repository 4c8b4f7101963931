package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

const rtaNextHopID = 30 // RTA_NH_ID of linux/rtnetlink.h, Linux 5.3

// tick is USER_HZ, in which the kernel tells of times.
const tick = 10 * time.Millisecond

// ExpiryOf says how long a route lasts, by an attribute of its message, if that one tells (rta_expires of struct rta_cacheinfo).
// It is 0 for one that does not expire, and negative when it has expired and is still there.
func ExpiryOf(kind uint16, v []byte) (left time.Duration, tells bool) {
	switch {
	case kind == unix.RTA_EXPIRES: // which the kernel does not send any more
		return 0, true
	case kind != unix.RTA_CACHEINFO:
		return 0, false
	case len(v) < 12:
		return 0, true
	}
	return time.Duration(int32(binary.NativeEndian.Uint32(v[8:]))) * tick, true
}

// A Route is an RTM_NEWROUTE message.
type Route struct {
	Family, TOS, Protocol, Scope, Kind uint8
	Flags                              uint32
	Table, Metric                      uint32
	Dst, Src                           netip.Prefix
	Prefsrc, Gateway                   netip.Addr
	OIF                                int32
	Metrics
	NextHops  []NextHop
	Weight    int // of the only next hop; 0: the message does not say
	NextHopID uint32
	Encap     string // see encapText
	Realms    string // FROM/TO, or TO
	Pref      store.Int
	Expires   time.Duration // 0: never; see ExpiryOf
}

// Metrics are what a route asks of connections through it: RTAX_* of linux/rtnetlink.h.
type Metrics struct {
	MTU, Window, RTT                                       store.Int // as the kernel counts: rtt in eighths of a millisecond
	AdvMSS, HopLimit, InitCwnd, InitRwnd, RTOMin, QuickAck store.Int
	Congestion                                             string
	Lock                                                   uint32 // a bit for each metric that is not to be changed
	Others                                                 string // NAME VALUE, parted by blanks
}

// A NextHop is one way of a multipath route.
type NextHop struct {
	Gateway netip.Addr
	OIF     int32
	Weight  int
	Flags   uint32
	Encap   string
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
	var dst, src, encap []byte
	var encapType uint16
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
			err = r.Metrics.parse(v)
		case unix.RTA_MULTIPATH:
			r.NextHops, err = parseNexthops(r.Family, v)
		case unix.RTA_ENCAP_TYPE:
			encapType, err = uint16Of(v)
		case unix.RTA_ENCAP:
			encap = v
		case unix.RTA_FLOW:
			r.Realms, err = realmsText(v)
		case unix.RTA_PREF:
			r.Pref, err = known8(v)
		case unix.RTA_CACHEINFO:
			if len(v) < 12 {
				return tooShort(v)
			}
			r.Expires, _ = ExpiryOf(kind, v)
		}
		return err
	})
	if err == nil {
		r.Encap, err = encapText(encapType, encap)
	}
	if err == nil {
		r.Dst, err = prefixOf(r.Family, dst, msg[1])
	}
	if err == nil && msg[2] != 0 {
		r.Src, err = prefixOf(r.Family, src, msg[2])
	}
	return r, err
}

// metricNames are those that have no field, in the words of ip.
var metricNames = map[uint16]string{
	unix.RTAX_RTTVAR: "rttvar", unix.RTAX_SSTHRESH: "ssthresh", unix.RTAX_CWND: "cwnd", unix.RTAX_REORDERING: "reordering",
	unix.RTAX_FEATURES: "features", unix.RTAX_FASTOPEN_NO_COOKIE: "fastopen_no_cookie",
}

func (m *Metrics) parse(b []byte) error {
	return Attributes(b, func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.RTAX_LOCK:
			m.Lock, err = uint32Of(v)
		case unix.RTAX_MTU:
			m.MTU, err = known32(v)
		case unix.RTAX_WINDOW:
			m.Window, err = known32(v)
		case unix.RTAX_RTT:
			m.RTT, err = known32(v)
		case unix.RTAX_ADVMSS:
			m.AdvMSS, err = known32(v)
		case unix.RTAX_HOPLIMIT:
			m.HopLimit, err = known32(v)
		case unix.RTAX_INITCWND:
			m.InitCwnd, err = known32(v)
		case unix.RTAX_INITRWND:
			m.InitRwnd, err = known32(v)
		case unix.RTAX_RTO_MIN:
			m.RTOMin, err = known32(v)
		case unix.RTAX_QUICKACK:
			m.QuickAck, err = known32(v)
		case unix.RTAX_CC_ALGO:
			m.Congestion, err = stringOf(v)
		default:
			var n uint32
			if n, err = uint32Of(v); err != nil {
				return err
			}
			name, known := metricNames[kind]
			if !known {
				name = fmt.Sprintf("metric_%d", kind)
			}
			if m.Others != "" {
				m.Others += " "
			}
			m.Others += fmt.Sprintf("%s %d", name, n)
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
		var encap []byte
		var encapType uint16
		err := Attributes(b[unix.SizeofRtNexthop:size], func(kind uint16, v []byte) (err error) {
			switch kind {
			case unix.RTA_ENCAP_TYPE:
				encapType, err = uint16Of(v)
			case unix.RTA_ENCAP:
				encap = v
			case unix.RTA_GATEWAY:
				hop.Gateway, err = addrOf(family, v)
			case unix.RTA_VIA:
				hop.Gateway, err = viaOf(v)
			}
			return err
		})
		if err == nil {
			hop.Encap, err = encapText(encapType, encap)
		}
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
