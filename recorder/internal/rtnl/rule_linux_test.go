package rtnl

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// ruleHeader is a struct fib_rule_hdr: family, lengths of destination and source, tos, table 254, two reserved bytes, action 1
// (FR_ACT_TO_TBL), flags 2 (FIB_RULE_INVERT).
func ruleHeader(family, dst, src byte) []byte {
	return append([]byte{family, dst, src, 0x10, 254, 0, 0, 1}, u32(2)...)
}

// ruleAttributes have the numbers of linux/fib_rules.h.
func ruleAttributes() []attribute {
	return []attribute{
		{1, ip4(0)}, {2, ip4(128)}, {3, []byte("eth0\x00")}, {4, u32(800)}, {6, u32(500)}, {10, u32(0x10)}, {14, u32(8)}, {15, u32(100000)},
		{16, u32(0xff)}, {17, []byte("eth1\x00")}, {19, []byte{1}}, {20, append(u32(1000), u32(2000)...)}, {21, []byte{4}}, {22, []byte{6}},
		{11, u32(0)}, {13, u32(1<<32 - 1)}, {23, append(u16(1024), u16(65535)...)}, {24, append(u16(443), u16(443)...)}, {25, []byte{0x2e}}, {12, make([]byte, 8)}, {18, nil},
	}
}

func TestParseRule(t *testing.T) {
	t.Parallel()
	prefix := netip.MustParsePrefix
	for _, c := range []struct {
		name       string
		header     []byte
		attributes []attribute
		want       Rule
	}{
		{"everything", ruleHeader(unix.AF_INET, 24, 25), ruleAttributes(), Rule{
			TOS: 0xb8, Table: 100000, Priority: 500, Dst: prefix("192.0.2.0/24"), Src: prefix("192.0.2.128/25"), IIF: "eth0", OIF: "eth1",
			FWMark: 0x10, FWMask: 0xff, GoTo: store.Of(800), Suppress: store.Of(8), L3MDev: true, UIDs: "1000-2000", SPorts: "1024-65535", DPorts: "443",
			IPProto: store.Of(6), Protocol: store.Of(4), Other: "dscp=0x2e",
		}},
		{"nothing", ruleHeader(unix.AF_INET, 0, 0), nil, Rule{TOS: 0x10, Table: 254}},
		{"IPv6", ruleHeader(unix.AF_INET6, 0, 128), []attribute{{2, ip6(1)}}, Rule{TOS: 0x10, Table: 254, Src: prefix("2001:db8::1/128")}},
		{"to IPv6", ruleHeader(unix.AF_INET6, 32, 0), []attribute{{1, ip6(0)}}, Rule{TOS: 0x10, Table: 254, Dst: prefix("2001:db8::/32")}},
		{"to all, in so many words", ruleHeader(unix.AF_INET, 0, 0), []attribute{{1, make([]byte, 4)}, {2, make([]byte, 4)}},
			Rule{TOS: 0x10, Table: 254, Dst: prefix("0.0.0.0/0"), Src: prefix("0.0.0.0/0")}},
		{"zeros", ruleHeader(unix.AF_INET, 0, 0), []attribute{{4, u32(0)}, {14, u32(0)}, {19, []byte{0}}, {21, []byte{0}}, {22, []byte{0}}},
			Rule{TOS: 0x10, Table: 254, GoTo: store.Of(0), Suppress: store.Of(0), Protocol: store.Of(0)}},
		{"realms, a tunnel and a group", ruleHeader(unix.AF_INET, 0, 0), []attribute{{11, u32(5<<16 | 6)}, {12, []byte{0, 0, 0, 0, 0, 0, 0, 77}}, {13, u32(7)}},
			Rule{TOS: 0x10, Table: 254, Realms: "5/6", TunID: store.Of(77), IfGroup: store.Of(7)}},
		{"any group will do", ruleHeader(unix.AF_INET, 0, 0), []attribute{{13, u32(1<<32 - 1)}, {11, u32(6)}}, Rule{TOS: 0x10, Table: 254, Realms: "6"}},
		{"conditions without a field", ruleHeader(unix.AF_INET, 0, 0), []attribute{{26, []byte{0, 0, 0, 1}}, {28, u16(0xff)}, {77, []byte{0xab, 0}}, {78, nil}},
			Rule{TOS: 0x10, Table: 254, Other: "flowlabel=0x00000001 sport_mask=0x" + fmt.Sprintf("%x", u16(0xff)) + " attribute_77=0xab00 attribute_78="}},
		{"masks of all bits", ruleHeader(unix.AF_INET6, 0, 0), []attribute{
			{23, append(u16(1024), u16(1024)...)}, {25, []byte{0x2e}}, {26, []byte{0, 0, 0, 1}}, {27, []byte{0, 0x0f, 0xff, 0xff}}, {28, u16(0xffff)}, {29, u16(0xffff)}, {30, []byte{0x3f}},
		}, Rule{TOS: 0xb8, Table: 254, SPorts: "1024", Other: "dscp=0x2e flowlabel=0x00000001"}},
		{"masks of some bits", ruleHeader(unix.AF_INET6, 0, 0), []attribute{
			{27, []byte{0, 0x0f, 0xff, 0xfe}}, {28, u16(0x7f7f)}, {29, u16(0)}, {30, []byte{0x3c}}, {28, []byte{0xff, 0xff, 0xff}},
		}, Rule{TOS: 0x10, Table: 254, Other: "flowlabel_mask=0x000ffffe sport_mask=0x7f7f dport_mask=0x0000 dscp_mask=0x3c sport_mask=0xffffff"}},
		{"any prefix will do", ruleHeader(unix.AF_INET, 0, 0), []attribute{{14, u32(1<<32 - 1)}}, Rule{TOS: 0x10, Table: 254}},
		{"the largest port and user", ruleHeader(unix.AF_INET, 0, 0), []attribute{{20, append(u32(0), u32(1<<32-1)...)}, {23, append(u16(65535), u16(65535)...)}},
			Rule{TOS: 0x10, Table: 254, UIDs: "0-4294967295", SPorts: "65535"}},
	} {
		c.want.Family, c.want.Action, c.want.Flags = c.header[0], 1, 2
		got, err := ParseRule(messageOf(c.header, c.attributes...))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestRuleIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseRule(msg); return err }
	attributes := ruleAttributes()
	checkCutShort(t, ruleHeader(unix.AF_INET, 24, 25), parse, []uint16{18}, attributes...)
	checkCutShort(t, ruleHeader(unix.AF_INET6, 64, 64), parse, nil, attribute{1, ip6(0)}, attribute{2, ip6(0)})
	for name, msg := range map[string][]byte{
		"33 bits of destination":       messageOf(ruleHeader(unix.AF_INET, 33, 0), attribute{1, ip4(0)}),
		"33 bits of source":            messageOf(ruleHeader(unix.AF_INET, 0, 33), attribute{2, ip4(0)}),
		"24 bits and no destination":   messageOf(ruleHeader(unix.AF_INET, 24, 0)),
		"24 bits and no source":        messageOf(ruleHeader(unix.AF_INET, 0, 24)),
		"a bad destination, then good": messageOf(ruleHeader(unix.AF_INET, 33, 24), attribute{1, ip4(0)}, attribute{2, ip4(0)}),
		"a source of the other family": slices.Concat(ruleHeader(unix.AF_INET, 0, 24), messageOf(nil, attribute{2, ip6(0)})),
	} {
		if got, err := ParseRule(msg); err == nil {
			t.Errorf("%s: no error, %+v", name, got)
		}
	}
	if NothingTicks(1, nil) {
		t.Error("rules have no age")
	}
}
