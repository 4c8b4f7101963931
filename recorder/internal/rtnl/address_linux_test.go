package rtnl

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// addressHeader is a struct ifaddrmsg: family, length of the prefix, flags (IFA_F_PERMANENT), scope, index 3.
func addressHeader(family, bits byte) []byte {
	return slices.Concat([]byte{family, bits, unix.IFA_F_PERMANENT, unix.RT_SCOPE_LINK}, u32(3))
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	addr := netip.MustParseAddr
	local, remote := func(b []byte) attribute { return attribute{unix.IFA_LOCAL, b} }, func(b []byte) attribute { return attribute{unix.IFA_ADDRESS, b} }
	for _, c := range []struct {
		name       string
		header     []byte
		attributes []attribute
		want       Address
	}{
		{"of DHCP", addressHeader(unix.AF_INET, 24), []attribute{local(ip4(1)), {unix.IFA_CACHEINFO, slices.Concat(u32(1800), u32(3600), u32(0), u32(0))}},
			Address{PrefixLen: 24, Flags: unix.IFA_F_PERMANENT, Local: addr("192.0.2.1"), Valid: time.Hour, Preferred: 30 * time.Minute}},
		{"deprecated", addressHeader(unix.AF_INET, 24), []attribute{local(ip4(1)), {unix.IFA_CACHEINFO, slices.Concat(u32(0), u32(1<<32-1))}},
			Address{PrefixLen: 24, Flags: unix.IFA_F_PERMANENT, Local: addr("192.0.2.1"), Valid: Forever}},
		{"of an Ethernet", addressHeader(unix.AF_INET, 24), []attribute{remote(ip4(1)), local(ip4(1)), {unix.IFA_BROADCAST, ip4(255)}, {unix.IFA_LABEL, []byte("eth0:x\x00")},
			{unix.IFA_FLAGS, u32(unix.IFA_F_PERMANENT | unix.IFA_F_NOPREFIXROUTE)}},
			Address{PrefixLen: 24, Flags: unix.IFA_F_PERMANENT | unix.IFA_F_NOPREFIXROUTE, Local: addr("192.0.2.1"), Broadcast: addr("192.0.2.255"), Label: "eth0:x"}},
		{"with a peer", addressHeader(unix.AF_INET, 32), []attribute{remote(ip4(2)), local(ip4(1))},
			Address{PrefixLen: 32, Flags: unix.IFA_F_PERMANENT, Local: addr("192.0.2.1"), Remote: addr("192.0.2.2")}},
		{"IPv6", addressHeader(unix.AF_INET6, 64), []attribute{remote(ip6(1))},
			Address{PrefixLen: 64, Flags: unix.IFA_F_PERMANENT, Local: addr("2001:db8::1")}},
		{"IPv6 with a peer", addressHeader(unix.AF_INET6, 128), []attribute{local(ip6(1)), remote(ip6(2))},
			Address{PrefixLen: 128, Flags: unix.IFA_F_PERMANENT, Local: addr("2001:db8::1"), Remote: addr("2001:db8::2")}},
		{"of a telephone", addressHeader(unix.AF_PHONET, 0), []attribute{local([]byte{0x6c})}, Address{Flags: unix.IFA_F_PERMANENT}},
		{"flags of a future kernel", addressHeader(unix.AF_INET, 24), []attribute{local(ip4(1)), {unix.IFA_FLAGS, append(u32(1), u32(2)...)}},
			Address{PrefixLen: 24, Flags: 1, Local: addr("192.0.2.1")}},
	} {
		if c.want.Valid == 0 {
			c.want.Valid, c.want.Preferred = Forever, Forever
		}
		c.want.Family, c.want.Scope, c.want.Index = c.header[0], unix.RT_SCOPE_LINK, 3
		got, err := ParseAddress(messageOf(c.header, c.attributes...))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestAddressIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseAddress(msg); return err }
	checkCutShort(t, addressHeader(unix.AF_INET, 24), parse, nil, attribute{unix.IFA_LOCAL, ip4(1)}, attribute{unix.IFA_ADDRESS, ip4(2)}, attribute{unix.IFA_BROADCAST, ip4(255)},
		attribute{unix.IFA_FLAGS, u32(1)}, attribute{unix.IFA_LABEL, []byte("eth0\x00")}, attribute{unix.IFA_CACHEINFO, slices.Concat(u32(1), u32(2))})
	checkCutShort(t, addressHeader(unix.AF_INET6, 64), parse, nil, attribute{unix.IFA_LOCAL, ip6(1)}, attribute{unix.IFA_ADDRESS, ip6(2)})
	for name, attributes := range map[string][]attribute{
		"no address":                      nil,
		"the address of another family":   {{unix.IFA_LOCAL, ip6(1)}},
		"an address of another, and good": {{unix.IFA_LOCAL, ip6(1)}, {unix.IFA_ADDRESS, ip4(1)}},
	} {
		if got, err := ParseAddress(messageOf(addressHeader(unix.AF_INET, 24), attributes...)); err == nil {
			t.Errorf("%s is no error: %+v", name, got)
		}
	}
	for kind := range uint16(20) {
		valid, preferred, tells := LifetimesOf(kind, slices.Concat(u32(1), u32(2)))
		if ticks := kind == unix.IFA_CACHEINFO; tells != ticks || ticks && (valid != 2*time.Second || preferred != time.Second) {
			t.Errorf("attribute %d: %v, %v, %v", kind, valid, preferred, tells)
		}
	}
}
