package rtnl

import (
	"encoding/binary"
	"hash/maphash"
	"testing"

	"golang.org/x/sys/unix"
)

func be16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// A link as the kernel would tell of it, with the attributes of its kind, or of a member of a kind.
func linkOf(kind, member string, data ...attribute) []byte {
	info := []attribute{{unix.IFLA_INFO_KIND, []byte(kind + "\x00")}, nestOf(unix.IFLA_INFO_DATA, data...)}
	if member != "" {
		info = []attribute{{unix.IFLA_INFO_SLAVE_KIND, []byte(member + "\x00")}, nestOf(unix.IFLA_INFO_SLAVE_DATA, data...)}
	}
	return messageOf(linkHeader(1), attribute{unix.IFLA_IFNAME, []byte("x0\x00")}, nestOf(unix.IFLA_LINKINFO, info...))
}

// TestLinkInfo: kinds that few kernels for tests have, in the numbers of linux/if_link.h, if_tunnel.h and if_bonding.h. Those of vxlan
// and of a bridge's ports TestKernelAgrees compares with ip.
func TestLinkInfo(t *testing.T) {
	t.Parallel()
	const key = 0x2000
	none := ip4(0)
	none = make([]byte, len(none))
	for _, c := range []struct {
		name, kind, member string
		data               []attribute
		want               string // vlan, table, tunnel, state, failures
	}{
		{"a VLAN", "vlan", "", []attribute{{2, u32(1)}, {1, u16(4094)}, {5, be16(0x8100)}}, "4094 -1  "},
		{"a VRF", "vrf", "", []attribute{{1, u32(1001)}}, "-1 1001  "},
		{"of another kind", "macvlan", "", []attribute{{1, u32(8)}}, "-1 -1  "},
		{"GRE without keys", "gre", "", []attribute{{2, be16(0x8000)}, {3, be16(0)}, {4, be32(9)}, {5, be32(9)}, {6, ip4(1)}, {7, ip4(2)}}, "-1 -1 remote 192.0.2.2 local 192.0.2.1 "},
		{"GRE with keys", "gretap", "", []attribute{{2, be16(key)}, {3, be16(key)}, {4, be32(7)}, {5, be32(8)}, {6, none}, {7, ip4(2)}}, "-1 -1 remote 192.0.2.2 ikey 7 okey 8 "},
		{"GRE over IPv6", "ip6gre", "", []attribute{{2, be16(key)}, {3, be16(0)}, {4, be32(7)}, {5, be32(8)}, {6, ip6(1)}, {7, ip6(2)}}, "-1 -1 remote 2001:db8::2 local 2001:db8::1 ikey 7 "},
		{"GRE whose ends the routes say", "gre", "", []attribute{{6, none}, {7, none}, {18, nil}}, "-1 -1 external "},
		{"IP in IP", "ipip", "", []attribute{{1, u32(3)}, {2, ip4(1)}, {3, ip4(2)}}, "-1 -1 remote 192.0.2.2 local 192.0.2.1 "},
		{"IPv6 in IPv4", "sit", "", []attribute{{2, ip4(1)}, {3, none}}, "-1 -1 local 192.0.2.1 "},
		{"in IPv6", "ip6tnl", "", []attribute{{2, ip6(1)}, {3, ip6(2)}}, "-1 -1 remote 2001:db8::2 local 2001:db8::1 "},
		{"VTI", "vti", "", []attribute{{2, be32(0)}, {3, be32(5)}, {4, ip4(1)}, {5, ip4(2)}}, "-1 -1 remote 192.0.2.2 local 192.0.2.1 ikey 0 okey 5 "},
		{"Geneve", "geneve", "", []attribute{{1, u32(99)}, {2, ip4(2)}, {5, be16(6081)}}, "-1 -1 id 99 remote 192.0.2.2 dstport 6081 "},
		{"Geneve over IPv6", "geneve", "", []attribute{{1, u32(99)}, {7, ip6(2)}, {5, be16(6081)}}, "-1 -1 id 99 remote 2001:db8::2 dstport 6081 "},
		{"VXLAN whose ends the routes say", "vxlan", "", []attribute{{1, u32(0)}, {15, be16(4789)}, {25, []byte{1}}}, "-1 -1 external id 0 dstport 4789 "},
		{"VXLAN whose ends they do not", "vxlan", "", []attribute{{1, u32(0)}, {15, be16(4789)}, {25, []byte{0}}}, "-1 -1 id 0 dstport 4789 "},
		{"xfrm", "xfrm", "", []attribute{{1, u32(2)}, {2, u32(42)}}, "-1 -1 if_id 0x2a "},
		{"active in a bond", "", "bond", []attribute{{1, []byte{0}}, {2, []byte{0}}, {3, u32(0)}, {4, ip6(1)}}, "-1 -1  active 0"},
		{"backup in a bond", "", "bond", []attribute{{1, []byte{1}}, {2, []byte{2}}, {3, u32(4)}}, "-1 -1  backup mii down 4"},
		{"going back", "", "bond", []attribute{{1, []byte{1}}, {2, []byte{3}}, {3, u32(4)}}, "-1 -1  backup mii going_back 4"},
		{"a state that is new", "", "bond", []attribute{{1, []byte{9}}}, "-1 -1  9"},
		{"a blocking port", "", "bridge", []attribute{{2, u16(32)}, {1, []byte{4}}}, "-1 -1  blocking"},
		{"a member of a VRF", "", "vrf", []attribute{{1, u32(1001)}}, "-1 -1  "},
	} {
		l, err := ParseLink(linkOf(c.kind, c.member, c.data...))
		got := row(number(l.Info.VLAN), number(l.Info.VRFTable), l.Info.TunnelText(), l.Info.MemberText())
		if n, known := l.Info.LinkFailures.Get(); known {
			got = row(got, n)
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
		// What is said is told apart.
		seed := maphash.MakeSeed()
		for i, a := range c.data {
			other := append([]attribute(nil), c.data...)
			value := append([]byte(nil), a.value...)
			if len(value) == 0 {
				continue
			}
			value[len(value)-1]++
			other[i] = attribute{a.kind, value}
			m, err := ParseLink(linkOf(c.kind, c.member, other...))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			said := row(number(m.Info.VLAN), number(m.Info.VRFTable), m.Info.TunnelText(), m.Info.MemberText(), number(m.Info.LinkFailures)) !=
				row(number(l.Info.VLAN), number(l.Info.VRFTable), l.Info.TunnelText(), l.Info.MemberText(), number(l.Info.LinkFailures))
			if said && l.Sum(seed) == m.Sum(seed) {
				t.Errorf("%s: attribute %d became another, and the sum is the same", c.name, a.kind)
			}
		}
		// A cut of what is read is an error, never a panic.
		for i, a := range c.data {
			for n := range a.value {
				cut := append([]attribute(nil), c.data...)
				cut[i] = attribute{a.kind, a.value[:n]}
				if l, err := ParseLink(linkOf(c.kind, c.member, cut...)); err == nil {
					_, _ = l.Info.TunnelText(), l.Info.MemberText()
				}
			}
		}
	}
	for _, c := range []struct {
		name, kind, member string
		data               attribute
	}{
		{"a VLAN", "vlan", "", attribute{1, []byte{1}}},
		{"a table", "vrf", "", attribute{1, []byte{1, 2, 3}}},
		{"the end of a tunnel", "ipip", "", attribute{2, []byte{1, 2, 3}}},
		{"the end of a tunnel over IPv6", "vxlan", "", attribute{16, ip4(1)}},
		{"a number of a VXLAN", "vxlan", "", attribute{1, []byte{1, 2, 3}}},
		{"a port", "geneve", "", attribute{5, []byte{1}}},
		{"a key", "gre", "", attribute{4, []byte{1}}},
		{"flags", "gre", "", attribute{3, []byte{1}}},
		{"the state of a port", "", "bridge", attribute{1, nil}},
		{"link failures", "", "bond", attribute{3, []byte{1}}},
	} {
		if _, err := ParseLink(linkOf(c.kind, c.member, c.data)); err == nil {
			t.Errorf("%s that is cut short is no error", c.name)
		}
	}
}

// A bridge tells of the state of a port in a message of its own, in IFLA_PROTINFO; other families put something else there.
func TestPortOfABridge(t *testing.T) {
	t.Parallel()
	port := []attribute{{unix.IFLA_IFNAME, []byte("x0\x00")}, nestOf(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, attribute{1, []byte{2}})}
	header := linkHeader(1)
	header[0] = unix.AF_BRIDGE
	if l, err := ParseLink(messageOf(header, port...)); err != nil || l.Info.MemberText() != "learning" {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err := ParseLink(messageOf(linkHeader(1), port...)); err != nil || l.Info.MemberText() != "" {
		t.Errorf("%+v, %v", l, err)
	}
}
