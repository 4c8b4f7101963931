package rtnl

import (
	"hash/maphash"
	"reflect"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// linkHeader is a struct ifinfomsg: family, padding, type (ARPHRD_ETHER), index 3, flags, change.
func linkHeader(flags uint32) []byte {
	return slices.Concat([]byte{0, 0}, u16(unix.ARPHRD_ETHER), u32(3), u32(flags), u32(0))
}

func linkAttributes() []attribute {
	return []attribute{
		{unix.IFLA_IFNAME, []byte("eth0\x00")}, {unix.IFLA_MTU, u32(1400)}, {unix.IFLA_TXQLEN, u32(777)},
		{unix.IFLA_OPERSTATE, []byte{6}}, {unix.IFLA_CARRIER, []byte{1}}, {unix.IFLA_CARRIER_CHANGES, u32(4)},
		{unix.IFLA_LINK, u32(2)}, {unix.IFLA_PROMISCUITY, u32(5)}, {unix.IFLA_MASTER, u32(9)},
		{unix.IFLA_IFALIAS, []byte("uplink\x00")}, {unix.IFLA_QDISC, []byte("noqueue\x00")},
		{unix.IFLA_ADDRESS, []byte{2, 0, 0, 0, 0, 1}}, {unix.IFLA_STATS64, slices.Repeat([]byte{7}, 25*8)},
		{unix.IFLA_GROUP, []byte{1}}, // nobody asks for it
		nestOf(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, attribute{unix.IFLA_INFO_KIND, []byte("veth\x00")}),
	}
}

func TestParseLink(t *testing.T) {
	t.Parallel()
	flags := uint32(unix.IFF_UP | unix.IFF_BROADCAST)
	got, err := ParseLink(messageOf(linkHeader(flags), linkAttributes()...))
	want := Link{
		Index: 3, Master: 9, Below: store.Of(2), Promiscuity: store.Of(5), Hardware: unix.ARPHRD_ETHER, Flags: flags,
		Name: []byte("eth0"), Info: LinkInfo{Kind: []byte("veth")}, MAC: []byte{2, 0, 0, 0, 0, 1}, Alias: []byte("uplink"), Qdisc: []byte("noqueue"),
		MTU: store.Of(1400), TxQLen: store.Of(777), Operstate: store.Of(6), Carrier: store.Of(1), CarrierChanges: store.Of(4),
		Stats: slices.Repeat([]byte{7}, 25*8),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	// Zeros that the kernel wrote are zeros, except the interface below, for which 0 is none.
	got, err = ParseLink(messageOf(linkHeader(flags), attribute{unix.IFLA_IFNAME, []byte("lo\x00")}, attribute{unix.IFLA_MTU, u32(0)},
		attribute{unix.IFLA_CARRIER, []byte{0}}, attribute{unix.IFLA_LINK, u32(0)}, attribute{unix.IFLA_CARRIER_CHANGES, u32(0)},
		attribute{unix.IFLA_IFALIAS, []byte{0}}))
	want = Link{
		Index: 3, Hardware: unix.ARPHRD_ETHER, Flags: flags, Name: []byte("lo"), Alias: []byte{}, MTU: store.Of(0), Carrier: store.Of(0), CarrierChanges: store.Of(0),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
	// The kernel says that a link has carrier which was never up.
	got, err = ParseLink(messageOf(linkHeader(unix.IFF_BROADCAST), linkAttributes()...))
	if err != nil || got.Carrier != (store.Int{}) || got.Operstate != store.Of(6) {
		t.Errorf("a link that is down: %+v, %v", got, err)
	}
}

func TestLinkIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseLink(msg); return err }
	attributes := slices.DeleteFunc(linkAttributes(), func(a attribute) bool { return a.kind&attributeMask == unix.IFLA_LINKINFO })
	// Of the counters any number of eight bytes each may be there: see below.
	checkCutShort(t, linkHeader(1), parse, []uint16{unix.IFLA_ADDRESS, unix.IFLA_STATS64, unix.IFLA_GROUP}, attributes...)

	name := attribute{unix.IFLA_IFNAME, []byte("eth0\x00")}
	for n := range 26 {
		_, err := ParseLink(messageOf(linkHeader(1), name, attribute{unix.IFLA_STATS64, make([]byte, n)}))
		if (n%8 == 0) != (err == nil) {
			t.Errorf("%d bytes of counters: %v", n, err)
		}
	}
	kind := messageOf(nil, attribute{unix.IFLA_INFO_KIND, []byte("veth\x00")})
	for n := range kind {
		_, err := ParseLink(messageOf(linkHeader(1), name, attribute{unix.IFLA_LINKINFO, kind[:n]}))
		if good := n == 0 || n >= len(kind)-3; good != (err == nil) {
			t.Errorf("%d bytes of %d in IFLA_LINKINFO: %v", n, len(kind), err)
		}
	}
	for _, c := range []struct {
		name       string
		header     []byte
		attributes []attribute
	}{
		{"no name", linkHeader(1), nil},
		{"an empty name", linkHeader(1), []attribute{{unix.IFLA_IFNAME, []byte{0}}}},
		{"a kind without an end", linkHeader(1), []attribute{name, nestOf(unix.IFLA_LINKINFO, attribute{unix.IFLA_INFO_KIND, []byte("ve")})}},
		{"a bad IFLA_LINKINFO before a good one", linkHeader(1), []attribute{name, {unix.IFLA_LINKINFO, append(u16(9), u16(1)...)}, {unix.IFLA_LINKINFO, kind}}},
		{"index 0", slices.Concat(make([]byte, 4), u32(0), make([]byte, 8)), []attribute{name}},
		{"index -1", slices.Concat(make([]byte, 4), u32(1<<32-1), make([]byte, 8)), []attribute{name}},
	} {
		if got, err := ParseLink(messageOf(c.header, c.attributes...)); err == nil {
			t.Errorf("%s is no error: %+v", c.name, got)
		}
	}
}

// TestLinkSum: whatever becomes another in a link makes another sum, except what a row does not say.
func TestLinkSum(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	sum := func(header []byte, attributes ...attribute) uint64 {
		l, err := ParseLink(messageOf(header, attributes...))
		if err != nil {
			t.Fatal(err)
		}
		return l.Sum(seed)
	}
	first := sum(linkHeader(unix.IFF_UP), linkAttributes()...)
	if sum(linkHeader(unix.IFF_UP), linkAttributes()...) != first {
		t.Error("the same link has another sum")
	}
	if sum(linkHeader(unix.IFF_UP|unix.IFF_PROMISC), linkAttributes()...) == first {
		t.Error("other flags have the same sum")
	}
	for i, a := range linkAttributes() {
		changed := linkAttributes()
		value := slices.Clone(a.value)
		value[0]++
		if a.kind&attributeMask == unix.IFLA_LINKINFO {
			value = nestOf(0, attribute{unix.IFLA_INFO_KIND, []byte("vlan\x00")}).value
		}
		changed[i].value = value
		said := a.kind != unix.IFLA_STATS64 && a.kind != unix.IFLA_GROUP
		if same := sum(linkHeader(unix.IFF_UP), changed...) == first; same == said {
			t.Errorf("attribute %d became another, and the sum is the same: %v", a.kind, same)
		}
	}
	// Two texts beside each other are not one.
	a := sum(linkHeader(1), attribute{unix.IFLA_IFNAME, []byte("ab\x00")}, nestOf(unix.IFLA_LINKINFO, attribute{unix.IFLA_INFO_KIND, []byte("c\x00")}))
	b := sum(linkHeader(1), attribute{unix.IFLA_IFNAME, []byte("a\x00")}, nestOf(unix.IFLA_LINKINFO, attribute{unix.IFLA_INFO_KIND, []byte("bc\x00")}))
	if a == b {
		t.Error("ab of kind c is a of kind bc")
	}
}
