package rtnl

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// nextHopHeader is a struct nhmsg: family, scope, protocol, a reserved byte, flags.
func nextHopHeader(family byte) []byte {
	return slices.Concat([]byte{family, unix.RT_SCOPE_LINK, unix.RTPROT_ZEBRA, 0}, u32(unix.RTNH_F_LINKDOWN))
}

// The numbers of attributes are those of linux/nexthop.h.
func TestParseNextHop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		family     byte
		attributes []attribute
		want       NextHopObject
	}{
		{"a router", unix.AF_INET, []attribute{{1, u32(10)}, {5, u32(3)}, {6, ip4(254)}}, NextHopObject{ID: 10, OIF: 3, Gateway: netip.MustParseAddr("192.0.2.254")}},
		{"a router whose address comes first", unix.AF_INET6, []attribute{{6, ip6(1)}, {1, u32(10)}, {8, kernelNest(attribute{1, labels(9)})}, {7, u16(1)}},
			NextHopObject{ID: 10, Gateway: netip.MustParseAddr("2001:db8::1"), Encap: "mpls 9"}},
		{"nowhere", unix.AF_INET, []attribute{{1, u32(11)}, {4, nil}}, NextHopObject{ID: 11, Blackhole: true}},
		{"of a bridge", unix.AF_INET, []attribute{{1, u32(12)}, {11, nil}, {6, ip4(1)}}, NextHopObject{ID: 12, FDB: true, Gateway: netip.MustParseAddr("192.0.2.1")}},
		{"a group", unix.AF_UNSPEC, []attribute{{1, u32(20)}, {2, slices.Concat(u32(10), []byte{0, 0, 0, 0}, u32(1<<31), []byte{254, 0, 0, 0}, u32(12), []byte{255, 1, 0, 0})}, {3, u16(0)}},
			NextHopObject{ID: 20, Members: []NextHopMember{{10, 1}, {1 << 31, 255}, {12, 512}}}},
		{"a resilient group", unix.AF_UNSPEC, []attribute{{1, u32(20)}, {2, nil}, {3, u16(1)}, {12, []byte{9}}, {77, []byte{1}}}, NextHopObject{ID: 20, Resilient: true}},
	} {
		c.want.Family, c.want.Scope, c.want.Protocol, c.want.Flags = c.family, unix.RT_SCOPE_LINK, unix.RTPROT_ZEBRA, unix.RTNH_F_LINKDOWN
		got, err := ParseNextHop(messageOf(nextHopHeader(c.family), c.attributes...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func kernelNest(attributes ...attribute) []byte { return messageOf(nil, attributes...) }

func TestNextHopIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseNextHop(msg); return err }
	checkCutShort(t, nextHopHeader(unix.AF_INET), parse, nil, attribute{1, u32(10)}, attribute{5, u32(3)}, attribute{6, ip4(254)}, attribute{7, u16(1)}, attribute{3, u16(1)})
	for name, attributes := range map[string][]attribute{
		"no number":                         {{5, u32(3)}},
		"the number 0":                      {{1, u32(0)}},
		"half a member":                     {{1, u32(1)}, {2, make([]byte, 12)}},
		"a bad encapsulation":               {{1, u32(1)}, {7, u16(1)}, {8, []byte{1}}},
		"an address of others":              {{1, u32(1)}, {6, ip6(1)}},
		"a bad member, then a good gateway": {{1, u32(1)}, {2, []byte{1}}, {6, ip4(1)}},
	} {
		if err := parse(messageOf(nextHopHeader(unix.AF_INET), attributes...)); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

func FuzzParseNextHop(f *testing.F) {
	f.Add(messageOf(nextHopHeader(unix.AF_INET), attribute{1, u32(10)}, attribute{2, make([]byte, 16)}, attribute{6, ip4(1)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseNextHop(b)
		if err == nil && (h.ID == 0 || len(h.Members) > len(b)/8) {
			t.Errorf("%x: %+v", b, h)
		}
	})
}

// What a route wraps packets in, with the numbers of linux/lwtunnel.h, linux/mpls_iptunnel.h and linux/seg6_iptunnel.h.
func TestEncapText(t *testing.T) {
	t.Parallel()
	be64 := func(n byte) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, n} }
	segments := slices.Concat([]byte{41, 4, 4, 1, 1, 0, 0, 0}, ip6(2), ip6(1)) // the last one first
	for _, c := range []struct {
		kind       uint16
		attributes []attribute
		want       string
	}{
		{0, nil, ""},
		{1, []attribute{{1, labels(16, 1048575)}}, "mpls 16/1048575"},
		{1, []attribute{{1, labels(3)}, {2, []byte{9}}}, "mpls 3 ttl 9"},
		{1, []attribute{{1, labels(3)}, {2, []byte{0}}}, "mpls 3"},
		{2, []attribute{{1, be64(100)}, {2, ip4(1)}, {3, make([]byte, 4)}, {4, []byte{0}}, {5, []byte{0}}, {6, u16(0)}}, "ip id 100 dst 192.0.2.1"},
		{2, []attribute{{3, ip4(2)}, {2, ip4(1)}, {5, []byte{8}}, {4, []byte{64}}, {6, u16(4)}}, "ip src 192.0.2.2 dst 192.0.2.1 tos 8 ttl 64 flags 0x4"},
		{2, []attribute{{1, be64(1)}, {8, []byte{1, 2}}}, "ip id 1 opts 0x0102"},
		{4, []attribute{{1, be64(7)}, {2, ip6(1)}, {3, ip6(2)}, {4, []byte{3}}, {5, []byte{4}}}, "ip6 id 7 src 2001:db8::2 dst 2001:db8::1 hoplimit 3 tc 4"},
		{5, []attribute{{1, slices.Concat(u32(1), segments)}}, "seg6 mode encap segs 2001:db8::1,2001:db8::2"},
		{5, []attribute{{1, slices.Concat(u32(0), segments)}}, "seg6 mode inline segs 2001:db8::1,2001:db8::2"},
		{5, []attribute{{1, slices.Concat(u32(99), segments, []byte{5, 1})}, {9, []byte{7}}}, "seg6 mode 99 segs 2001:db8::1,2001:db8::2 tlv 0x0501 attribute_9 0x07"},
		{7, []attribute{{1, []byte{7}}}, "seg6local 0x0500010007"},
		{99, nil, "type_99"},
	} {
		body := messageOf(nil, c.attributes...)
		if c.kind == 7 {
			body = body[:5]
		}
		if got, err := encapText(c.kind, body); err != nil || got != c.want {
			t.Errorf("%d %x: %q, %v; want %q", c.kind, body, got, err, c.want)
		}
	}
	cut := func(kind uint16) func([]byte) error {
		return func(b []byte) error { _, err := encapText(kind, b); return err }
	}
	checkCutShort(t, nil, cut(1), nil, attribute{2, []byte{9}})
	checkCutShort(t, nil, cut(2), nil, attribute{1, be64(1)}, attribute{2, ip4(1)}, attribute{3, ip4(1)}, attribute{4, []byte{1}}, attribute{5, []byte{1}}, attribute{6, u16(1)})
	checkCutShort(t, nil, cut(4), nil, attribute{2, ip6(1)}, attribute{3, ip6(1)})
	checkCutShort(t, nil, cut(5), nil, attribute{1, slices.Concat(u32(1), segments)})
	if err := cut(1)(messageOf(nil, attribute{1, []byte{1, 2, 3}})); err == nil {
		t.Error("three bytes of a label are no error")
	}
}

func FuzzEncapText(f *testing.F) {
	f.Add(uint16(5), messageOf(nil, attribute{1, slices.Concat(u32(1), []byte{41, 4, 4, 1, 1, 0, 0, 0}, ip6(2), ip6(1))}))
	f.Add(uint16(2), messageOf(nil, attribute{2, ip4(1)}))
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		if text, err := encapText(kind, b); err == nil && (text == "") != (kind == 0) {
			t.Errorf("%d %x: %q", kind, b, text)
		}
	})
}
