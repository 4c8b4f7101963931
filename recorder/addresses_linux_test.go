package recorder

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// addressesOf lists the recorded addresses, one line each.
func addressesOf(r *testRecording) []string {
	r.t.Helper()
	var lines []string
	for _, m := range r.rows("SELECT * FROM addresses_now") {
		lines = append(lines, fmt.Sprint(m["ifindex"], m["dev"], m["family"], m["addr"], m["prefix_len"],
			" scope ", m["scope"], " label ", text(m["label"]), " peer ", text(m["peer"]), " brd ", text(m["broadcast"]),
			" ", m["flags"]))
	}
	slices.Sort(lines)
	return lines
}

// ipAddresses lists the addresses as ip knows them, in the same words.
func ipAddresses(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, link := range ipJSON(t, "address") {
		list, _ := link["addr_info"].([]any)
		for _, v := range list {
			m := v.(map[string]any)
			family := map[string]int64{"inet": 4, "inet6": 6}[text(m["family"])]
			var flags []string
			if m["dynamic"] == nil {
				flags = append(flags, "permanent")
			}
			for _, flag := range []string{"secondary", "temporary", "nodad", "optimistic", "dadfailed", "home", "deprecated",
				"tentative", "mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy", "dynamic"} {
				if m[flag] != nil {
					flags = append(flags, flag)
				}
			}
			lines = append(lines, fmt.Sprint(number(t, link["ifindex"]), link["ifname"], family, m["local"], number(t, m["prefixlen"]),
				" scope ", m["scope"], " label ", text(m["label"]), " peer ", text(m["address"]), " brd ", text(m["broadcast"]),
				" ", strings.Join(flags, ",")))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestAddresses(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0")
	for _, line := range []string{
		"addr add 10.1.0.1/24 brd + dev d0", "addr add 10.1.0.2/24 dev d0 label d0:x", "addr add 10.1.0.3/32 dev d0 scope link",
		"addr add 10.9.0.1 peer 10.9.0.2 dev v0", "addr add 2001:db8:1::1/64 dev d0 nodad",
		"addr add 2001:db8:9::1/64 dev v0 valid_lft 1000 preferred_lft 0 noprefixroute",
		"addr add 2001:db8:a::1 peer 2001:db8:a::2 dev v0",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newAddresses(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipAddresses(t) }, func() []string { return addressesOf(r) })
	}
	check("at first")
	for _, where := range []string{
		"addr = '127.0.0.1' AND dev = 'lo' AND prefix_len = 8 AND scope = 'host' AND flags = 'permanent'",
		"addr = '10.1.0.1' AND dev = 'd0' AND prefix_len = 24 AND broadcast = '10.1.0.255' AND peer IS NULL",
		"addr = '10.1.0.2' AND label = 'd0:x' AND flags = 'permanent,secondary'",
		"addr = '10.9.0.1' AND peer = '10.9.0.2' AND prefix_len = 32",
		"addr = '2001:db8:9::1' AND flags LIKE '%deprecated%dynamic'",
		"addr = '2001:db8:a::1' AND peer = '2001:db8:a::2'",
	} {
		if got := r.rows("SELECT 1 FROM addresses_now WHERE " + where); len(got) != 1 {
			t.Errorf("%s: %d rows, want 1", where, len(got))
		}
	}
	ip(t, "addr del 10.1.0.1/24 dev d0") // takes its secondary along
	ip(t, "addr add 10.1.0.9/24 dev d0")
	check("changed")
	ip(t, "link set d0 down")
	ip(t, "link set d0 name renamed")
	check("renamed")
	ip(t, "link del v0")
	check("link deleted")
	if got := r.rows("SELECT 1 FROM addresses WHERE addr = '10.9.0.1'"); len(got) < 3 {
		t.Errorf("the deleted address stands in %d samples, want 3", len(got))
	}
}

func FuzzAddress(f *testing.F) {
	f.Add(kerneltest.Message([]byte{unix.AF_INET, 24, 0x80, 0, 2, 0, 0, 0}, kerneltest.Attribute(unix.IFA_ADDRESS, 10, 0, 0, 2),
		kerneltest.Attribute(unix.IFA_LOCAL, 10, 0, 0, 1), kerneltest.Attribute(unix.IFA_LABEL, 'e', 0), kerneltest.Attribute(unix.IFA_FLAGS, 0, 1, 0, 0)))
	f.Add([]byte{unix.AF_INET6, 64, 0, 0, 2, 0, 0, 0, 20, 0, 1})
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, err := rtnl.ParseAddress(msg)
		if err != nil || rtnl.FamilyNumber(a.Family) == 0 {
			return
		}
		id, v := addressRow(&a, store.Of(1), &rtnl.LinkNames{ByIndex: map[int32]string{a.Index: "eth0"}})
		addr, err := netip.ParseAddr(id.Addr)
		if err != nil || addr.Is4() != (a.Family == unix.AF_INET) || id.Peer == id.Addr {
			t.Errorf("%+v %+v %v", id, v, err)
		}
	})
}

// Two addresses that differ only in their other end are two.
func TestPointToPointAddresses(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	kerneltest.Command(t, "ip", "addr", "add", "10.77.0.1", "peer", "10.77.0.2", "dev", "lo")
	kerneltest.Command(t, "ip", "addr", "add", "10.77.0.1", "peer", "10.77.0.3", "dev", "lo")
	r := newRecording(t)
	r.sample(newAddresses(r.Writer, here(t)))
	var got []any
	for _, row := range r.rows("SELECT peer FROM addresses_now WHERE addr = '10.77.0.1' ORDER BY peer") {
		got = append(got, row["peer"])
	}
	if diff := cmp.Diff([]any{"10.77.0.2", "10.77.0.3"}, got); diff != "" {
		t.Errorf("the other ends of 10.77.0.1 (-want +got):\n%s", diff)
	}
}
