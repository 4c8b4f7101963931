package rtnl

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// routeHeader is a struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope, type, flags.
func routeHeader(family, dst, src byte) []byte {
	return slices.Concat([]byte{family, dst, src, 0x10, unix.RT_TABLE_MAIN, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST}, u32(unix.RTNH_F_LINKDOWN))
}

// hopOf is a struct rtnexthop with its attributes: length, flags, weight less one, interface.
func hopOf(flags, hops byte, oif uint32, attributes ...attribute) []byte {
	body := messageOf(nil, attributes...)
	return slices.Concat(u16(uint16(8+len(body))), []byte{flags, hops}, u32(oif), body)
}

// cacheinfo is a struct rta_cacheinfo of a route that expires in so many hundredths of a second.
func cacheinfo(expires int32) []byte {
	return append(append(make([]byte, 8), u32(uint32(expires))...), make([]byte, 20)...)
}

// labels are entries of an MPLS label stack (RFC 3032): label, traffic class, bottom of stack, TTL.
func labels(numbers ...uint32) (stack []byte) {
	for i, n := range numbers {
		bottom := uint32(0)
		if i == len(numbers)-1 {
			bottom = 1 << 8
		}
		stack = binary.BigEndian.AppendUint32(stack, n<<12|3<<9|bottom|64)
	}
	return stack
}

// viaInet6 is a struct rtvia.
func viaInet6(last byte) []byte { return append(u16(unix.AF_INET6), ip6(last)...) }

func TestParseRoute(t *testing.T) {
	t.Parallel()
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	metrics := nestOf(unix.RTA_METRICS, attribute{unix.RTAX_MTU, u32(1400)}, attribute{unix.RTAX_WINDOW, u32(30000)}, attribute{unix.RTAX_RTT, u32(2000)},
		attribute{unix.RTAX_ADVMSS, u32(1360)}, attribute{unix.RTAX_CC_ALGO, []byte("bbr\x00")})
	for _, c := range []struct {
		name       string
		header     []byte
		attributes []attribute
		want       Route
	}{
		{"everything", routeHeader(unix.AF_INET, 24, 0), []attribute{{unix.RTA_TABLE, u32(100000)}, {unix.RTA_DST, ip4(0)}, {unix.RTA_PRIORITY, u32(7)}, metrics,
			{unix.RTA_PREFSRC, ip4(9)}, {30, u32(5)}, {unix.RTA_GATEWAY, ip4(254)}, {unix.RTA_OIF, u32(3)}, {unix.RTA_CACHEINFO, make([]byte, 32)},
			{unix.RTA_FLOW, u32(5<<16 | 6)}, {unix.RTA_PREF, []byte{3}}, {unix.RTA_ENCAP_TYPE, u16(encapMPLS)}, nestOf(unix.RTA_ENCAP, attribute{1, labels(100, 200)})},
			Route{Table: 100000, Metric: 7, Dst: prefix("192.0.2.0/24"), Prefsrc: addr("192.0.2.9"), Gateway: addr("192.0.2.254"), OIF: 3,
				Metrics:   Metrics{MTU: store.Of(1400), Window: store.Of(30000), RTT: store.Of(2000), AdvMSS: store.Of(1360), Congestion: "bbr"},
				NextHopID: 5, Realms: "5/6", Pref: store.Of(3), Encap: "mpls 100/200"}},
		{"an encapsulation of a kind that is not known", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_ENCAP_TYPE, u16(99)}, {unix.RTA_ENCAP, []byte{1, 0xff}}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0"), Encap: "type_99 0x01ff"}},
		{"that expires", routeHeader(unix.AF_INET6, 0, 0), []attribute{{unix.RTA_CACHEINFO, cacheinfo(600)}, {unix.RTA_FLOW, u32(7)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("::/0"), Expires: 6 * time.Second, Realms: "7"}},
		{"that has expired", routeHeader(unix.AF_INET6, 0, 0), []attribute{{unix.RTA_CACHEINFO, cacheinfo(-1)}, {unix.RTA_PREF, []byte{0}}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("::/0"), Expires: -10 * time.Millisecond, Pref: store.Of(0)}},
		{"every metric", routeHeader(unix.AF_INET, 0, 0), []attribute{nestOf(unix.RTA_METRICS,
			attribute{unix.RTAX_LOCK, u32(1<<unix.RTAX_MTU | 1<<unix.RTAX_RTO_MIN)}, attribute{unix.RTAX_MTU, u32(1)}, attribute{unix.RTAX_WINDOW, u32(2)},
			attribute{unix.RTAX_RTT, u32(3)}, attribute{unix.RTAX_RTTVAR, u32(4)}, attribute{unix.RTAX_SSTHRESH, u32(5)}, attribute{unix.RTAX_CWND, u32(6)},
			attribute{unix.RTAX_ADVMSS, u32(7)}, attribute{unix.RTAX_REORDERING, u32(8)}, attribute{unix.RTAX_HOPLIMIT, u32(9)}, attribute{unix.RTAX_INITCWND, u32(10)},
			attribute{unix.RTAX_FEATURES, u32(11)}, attribute{unix.RTAX_RTO_MIN, u32(12)}, attribute{unix.RTAX_INITRWND, u32(13)}, attribute{unix.RTAX_QUICKACK, u32(0)},
			attribute{unix.RTAX_CC_ALGO, []byte("cubic\x00")}, attribute{unix.RTAX_FASTOPEN_NO_COOKIE, u32(1)}, attribute{99, u32(15)})},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0"), Metrics: Metrics{
				MTU: store.Of(1), Window: store.Of(2), RTT: store.Of(3), AdvMSS: store.Of(7), HopLimit: store.Of(9), InitCwnd: store.Of(10), RTOMin: store.Of(12),
				InitRwnd: store.Of(13), QuickAck: store.Of(0), Congestion: "cubic", Lock: 1<<2 | 1<<13,
				Others: "rttvar 4 ssthresh 5 cwnd 6 reordering 8 features 11 fastopen_no_cookie 1 metric_99 15",
			}}},
		{"the default", routeHeader(unix.AF_INET, 0, 0), nil, Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0")}},
		{"the default of IPv6", routeHeader(unix.AF_INET6, 0, 0), []attribute{{unix.RTA_GATEWAY, ip6(1)}}, Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("::/0"), Gateway: addr("2001:db8::1")}},
		{"IPv6 with a source", routeHeader(unix.AF_INET6, 128, 64), []attribute{{unix.RTA_DST, ip6(1)}, {unix.RTA_SRC, ip6(0)}, {unix.RTA_PREFSRC, ip6(2)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("2001:db8::1/128"), Src: prefix("2001:db8::/64"), Prefsrc: addr("2001:db8::2")}},
		{"through a router of the other family", routeHeader(unix.AF_INET, 32, 0), []attribute{{unix.RTA_DST, ip4(1)}, {unix.RTA_VIA, viaInet6(1)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("192.0.2.1/32"), Gateway: addr("2001:db8::1")}},
		{"through a router of no family that is known", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_VIA, append(u16(unix.AF_PACKET), 2, 0, 0, 0, 0, 1)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0")}},
		{"through a router of a family above 255", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_VIA, append(u16(256+unix.AF_INET), ip4(1)...)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0")}},
		{"through a router without an address", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_VIA, u16(unix.AF_PACKET)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0")}},
		{"through a router of family 255", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_VIA, append(u16(255), ip4(1)...)}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0")}},
		{"two ways", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_MULTIPATH, slices.Concat(
			hopOf(unix.RTNH_F_DEAD, 0, 3, attribute{unix.RTA_GATEWAY, ip4(1)}, attribute{unix.RTA_ENCAP_TYPE, u16(encapMPLS)}, nestOf(unix.RTA_ENCAP, attribute{1, labels(7)})), hopOf(0, 4, 8, attribute{unix.RTA_VIA, viaInet6(2)}), hopOf(0, 255, 0))}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0"), NextHops: []NextHop{
				{Gateway: addr("192.0.2.1"), OIF: 3, Weight: 1, Flags: unix.RTNH_F_DEAD, Encap: "mpls 7"}, {Gateway: addr("2001:db8::2"), OIF: 8, Weight: 5}, {Weight: 256}}}},
		{"a way whose end is not padded", routeHeader(unix.AF_INET, 0, 0), []attribute{{unix.RTA_MULTIPATH, slices.Concat(u16(13), []byte{0, 0}, u32(3), u16(5), u16(99), []byte{1})}},
			Route{Table: unix.RT_TABLE_MAIN, Dst: prefix("0.0.0.0/0"), NextHops: []NextHop{{OIF: 3, Weight: 1}}}},
	} {
		c.want.Family, c.want.TOS, c.want.Protocol, c.want.Scope, c.want.Kind = c.header[0], 0x10, unix.RTPROT_STATIC, unix.RT_SCOPE_LINK, unix.RTN_UNICAST
		c.want.Flags = unix.RTNH_F_LINKDOWN
		got, err := ParseRoute(messageOf(c.header, c.attributes...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestRouteIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseRoute(msg); return err }
	checkCutShort(t, routeHeader(unix.AF_INET, 24, 0), parse, nil, attribute{unix.RTA_TABLE, u32(1)}, attribute{unix.RTA_DST, ip4(0)}, attribute{unix.RTA_PRIORITY, u32(7)},
		attribute{unix.RTA_PREFSRC, ip4(9)}, attribute{30, u32(5)}, attribute{unix.RTA_GATEWAY, ip4(254)}, attribute{unix.RTA_OIF, u32(3)}, attribute{unix.RTA_VIA, viaInet6(1)},
		attribute{unix.RTA_FLOW, u32(1)}, attribute{unix.RTA_PREF, []byte{1}}, attribute{unix.RTA_ENCAP_TYPE, u16(encapMPLS)})
	checkCutShort(t, routeHeader(unix.AF_INET6, 0, 0), parse, nil, attribute{unix.RTA_CACHEINFO, cacheinfo(1)[:12]})
	checkCutShort(t, routeHeader(unix.AF_INET6, 64, 64), parse, nil, attribute{unix.RTA_DST, ip6(0)}, attribute{unix.RTA_SRC, ip6(0)})

	in := func(attributes ...attribute) error {
		return parse(messageOf(routeHeader(unix.AF_INET, 0, 0), attributes...))
	}
	for kind := range uint16(99) {
		if kind == unix.RTAX_CC_ALGO {
			continue
		}
		checkCutShort(t, nil, func(b []byte) error { return in(attribute{unix.RTA_METRICS, b}) }, nil, attribute{kind, u32(1)})
	}
	checkCutShort(t, nil, func(b []byte) error { return in(attribute{unix.RTA_METRICS, b}) }, nil, attribute{unix.RTAX_CC_ALGO, []byte("bbr\x00")})
	hop := hopOf(0, 0, 3, attribute{unix.RTA_GATEWAY, ip4(1)})
	for n := 1; n < len(hop); n++ {
		if in(attribute{unix.RTA_MULTIPATH, hop[:n]}) == nil {
			t.Errorf("%d bytes of a next hop of %d are no error", n, len(hop))
		}
		if n < 8 && in(attribute{unix.RTA_MULTIPATH, append(slices.Clone(hop), make([]byte, n)...)}) == nil {
			t.Errorf("%d bytes after the last next hop are no error", n)
		}
	}
	good := attribute{unix.RTA_MULTIPATH, hop}
	for name, attributes := range map[string][]attribute{
		"bad metrics before good next hops": {{unix.RTA_METRICS, append(u16(9), u16(2)...)}, good},
		"bad next hops before good ones":    {{unix.RTA_MULTIPATH, hop[:12]}, good},
		"bad next hops before good metrics": {{unix.RTA_MULTIPATH, hop[:12]}, nestOf(unix.RTA_METRICS)},
		"a next hop of 7 bytes":             {{unix.RTA_MULTIPATH, append(u16(7), make([]byte, 8)...)}},
		"a gateway of 3 bytes":              {{unix.RTA_MULTIPATH, hopOf(0, 0, 3, attribute{unix.RTA_GATEWAY, ip4(1)[:3]})}},
		"an encapsulation of 3 bytes":       {{unix.RTA_MULTIPATH, hopOf(0, 0, 3, attribute{unix.RTA_ENCAP_TYPE, u16(encapMPLS)}, attribute{unix.RTA_ENCAP, []byte{1, 2, 3}})}},
		"a kind of encapsulation, cut":      {{unix.RTA_MULTIPATH, hopOf(0, 0, 3, attribute{unix.RTA_ENCAP_TYPE, []byte{1}})}},
		"a via of 17 bytes":                 {{unix.RTA_MULTIPATH, hopOf(0, 0, 3, attribute{unix.RTA_VIA, viaInet6(1)[:17]})}},
		"a gateway of the other family":     {{unix.RTA_GATEWAY, ip6(1)}},
		"one byte after an attribute":       {{unix.RTA_MULTIPATH, hopOf(0, 0, 3)[:8]}, {unix.RTA_METRICS, []byte{0}}},
	} {
		if in(attributes...) == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, msg := range map[string][]byte{
		"33 bits of IPv4":            messageOf(routeHeader(unix.AF_INET, 33, 0), attribute{unix.RTA_DST, ip4(0)}),
		"129 bits of IPv6":           messageOf(routeHeader(unix.AF_INET6, 129, 0), attribute{unix.RTA_DST, ip6(0)}),
		"24 bits and no destination": messageOf(routeHeader(unix.AF_INET, 24, 0)),
		"24 bits and no source":      messageOf(routeHeader(unix.AF_INET, 0, 24)),
		"33 bits of source":          messageOf(routeHeader(unix.AF_INET, 0, 33), attribute{unix.RTA_SRC, ip4(0)}),
		"an MPLS route":              messageOf(routeHeader(unix.AF_MPLS, 20, 0), attribute{unix.RTA_DST, []byte{0, 6, 0x41, 0}}),
		"an MPLS route without bits": messageOf(routeHeader(unix.AF_MPLS, 0, 0)),
	} {
		if got, err := ParseRoute(msg); err == nil {
			t.Errorf("%s: no error, %+v", name, got)
		}
	}
	// A bad destination and a good source.
	if got, err := ParseRoute(messageOf(routeHeader(unix.AF_INET, 33, 8), attribute{unix.RTA_DST, ip4(0)}, attribute{unix.RTA_SRC, ip4(0)})); err == nil {
		t.Errorf("no error, %+v", got)
	}
	for kind := range uint16(40) {
		left, tells := ExpiryOf(kind, cacheinfo(250))
		if ticks := kind == unix.RTA_CACHEINFO || kind == unix.RTA_EXPIRES; tells != ticks {
			t.Errorf("attribute %d ticks: %v", kind, !ticks)
		}
		if want := 2500 * time.Millisecond; (left == want) != (kind == unix.RTA_CACHEINFO) {
			t.Errorf("attribute %d: %v are left", kind, left)
		}
	}
}
