package rtnl

import (
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// neighborHeader is a struct ndmsg: family, padding, index 3, state, flags, type.
func neighborHeader(family byte) []byte {
	return slices.Concat([]byte{family, 0, 0, 0}, u32(3), u16(unix.NUD_STALE), []byte{unix.NTF_ROUTER, unix.RTN_UNICAST})
}

func TestParseNeighbor(t *testing.T) {
	t.Parallel()
	mac := []byte{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		name       string
		family     byte
		attributes []attribute
		want       Neighbor
	}{
		{"IPv4", unix.AF_INET, []attribute{{unix.NDA_DST, ip4(1)}, {unix.NDA_LLADDR, mac}, {15, u32(2)}, {unix.NDA_CACHEINFO, make([]byte, 16)}},
			Neighbor{Addr: netip.MustParseAddr("192.0.2.1"), MAC: mac, ExtFlags: 2}},
		{"IPv6", unix.AF_INET6, []attribute{{unix.NDA_DST, ip6(1)}}, Neighbor{Addr: netip.MustParseAddr("2001:db8::1")}},
		{"of a bridge", unix.AF_BRIDGE, []attribute{{unix.NDA_LLADDR, mac}}, Neighbor{MAC: mac}},
		{"of a VXLAN, the other end", unix.AF_BRIDGE, []attribute{{unix.NDA_LLADDR, mac}, {unix.NDA_DST, ip4(1)}}, Neighbor{MAC: mac}},
		{"of a VXLAN over IPv6", unix.AF_BRIDGE, []attribute{{unix.NDA_LLADDR, mac}, {unix.NDA_DST, ip6(1)}}, Neighbor{MAC: mac}},
	} {
		c.want.Family, c.want.Index, c.want.State, c.want.Flags = c.family, 3, unix.NUD_STALE, unix.NTF_ROUTER
		got, err := ParseNeighbor(messageOf(neighborHeader(c.family), c.attributes...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestNeighborIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseNeighbor(msg); return err }
	checkCutShort(t, neighborHeader(unix.AF_INET), parse, []uint16{unix.NDA_LLADDR},
		attribute{unix.NDA_DST, ip4(1)}, attribute{15, u32(2)}, attribute{unix.NDA_LLADDR, []byte{2, 0, 0, 0, 0, 1}})
	checkCutShort(t, neighborHeader(unix.AF_INET6), parse, nil, attribute{unix.NDA_DST, ip6(1)})
	for name, attributes := range map[string][]attribute{"no address": nil, "the address of another family": {{unix.NDA_DST, ip6(1)}}} {
		if got, err := ParseNeighbor(messageOf(neighborHeader(unix.AF_INET), attributes...)); err == nil {
			t.Errorf("%s is no error: %+v", name, got)
		}
	}
	for kind := range uint16(20) {
		if ticks := kind == unix.NDA_CACHEINFO || kind == unix.NDA_PROBES; TickingInNeighbor(kind, nil) != ticks {
			t.Errorf("attribute %d ticks: %v", kind, !ticks)
		}
	}
}
