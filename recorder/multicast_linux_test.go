package recorder

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// ipGroups lists the multicast groups as ip maddress knows them, one line each.
func ipGroups(t *testing.T) (lines []string) {
	t.Helper()
	for _, link := range ipJSON(t, "maddress") {
		for _, v := range link["maddr"].([]any) {
			m := v.(map[string]any)
			family := map[string]int64{"inet": 4, "inet6": 6}[text(m["family"])]
			users := int64(1) // it is left out then
			if m["users"] != nil {
				users = number(t, m["users"]).(int64)
			}
			if family != 0 { // else of hardware addresses
				lines = append(lines, fmt.Sprint(number(t, link["ifindex"]), link["ifname"], family, m["address"], " users ", users))
			}
		}
	}
	slices.Sort(lines)
	return lines
}

func groupsOf(r *testRecording) (lines []string) {
	r.t.Helper()
	for _, m := range r.rows("SELECT * FROM multicast_groups_now") {
		lines = append(lines, fmt.Sprint(m["ifindex"], m["dev"], m["family"], m["addr"], " users ", m["users"]))
	}
	slices.Sort(lines)
	return lines
}

// join has a new socket join a group on an interface; closing it leaves the group.
func join(t *testing.T, group, dev string) *os.File {
	t.Helper()
	link, err := net.InterfaceByName(dev)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddr(group)
	family := unix.AF_INET
	if addr.Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if addr.Is6() {
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: addr.As16(), Interface: uint32(link.Index)})
	} else {
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: addr.As4(), Ifindex: int32(link.Index)})
	}
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), group)
	t.Cleanup(func() { f.Close() })
	return f
}

// TestMulticastGroups: what ip maddress shows stands in the recording at each moment; what programs join and leave is an event, and what the
// kernel joins by itself is none.
func TestMulticastGroups(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	r := newRecording(t)
	src := newMulticastGroups(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipGroups(t) }, func() []string { return groupsOf(r) })
	}
	check("at first")
	if n := len(groupsOf(r)); n < 5 {
		t.Errorf("%d groups", n)
	}
	four, six := join(t, "239.1.2.3", "d0"), join(t, "ff02::fb", "d0p")
	check("joined")
	again := join(t, "239.1.2.3", "d0")
	check("joined by another")
	again.Close()
	check("left by one")
	four.Close()
	six.Close()
	check("left by all")
	ip(t, "addr add 2001:db8::12:3456/64 dev d0 nodad")
	// The kernel joins its group a little later.
	eventually(t, "the group of an address", func() bool { return strings.Contains(strings.Join(ipGroups(t), " "), "ff02::1:ff12:3456") })
	join(t, "224.0.0.251", "lo")
	check("another address")
	ip(t, "link del d0")
	check("without the interface")

	// Samples that are taken again, because the kernel was not at rest, show no change.
	var changes, events []string
	for _, row := range r.rows("SELECT change, addr, dev, was, now FROM multicast_group_changes WHERE dev <> 'lo' AND (addr LIKE '239.%' OR addr = 'ff02::fb') ORDER BY ts, addr") {
		changes = append(changes, fmt.Sprint(row["change"], " ", row["addr"], " ", row["dev"], " ", text(row["was"]), " > ", text(row["now"])))
	}
	if diff := cmp.Diff([]string{
		"added 239.1.2.3 d0  > users=1", "added ff02::fb d0p  > users=1", "changed 239.1.2.3 d0 users=1 > users=2", "changed 239.1.2.3 d0 users=2 > users=1",
		"removed 239.1.2.3 d0 users=1 > ", "removed ff02::fb d0p users=1 > ",
	}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	for _, row := range r.rows("SELECT event, what, was, now FROM events WHERE object = 'multicast' ORDER BY ts, what") {
		events = append(events, fmt.Sprint(row["event"], " ", row["what"], " ", text(row["was"]), " > ", text(row["now"])))
	}
	if diff := cmp.Diff([]string{
		"added 239.1.2.3 dev d0  > users=1", "added ff02::fb dev d0p  > users=1", "changed 239.1.2.3 dev d0 users=1 > users=2", "changed 239.1.2.3 dev d0 users=2 > users=1",
		"removed 239.1.2.3 dev d0 users=1 > ", "removed ff02::fb dev d0p users=1 > ", "added 224.0.0.251 dev lo  > users=1",
	}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if n := r.rows("SELECT count(*) AS n FROM multicast_group_changes WHERE addr = 'ff02::1:ff12:3456'")[0]["n"]; n != int64(2) {
		t.Errorf("%v changes of the group of an address, want that it came and went", n)
	}
}

// TestMulticastAtRest: a sample in which no group changed costs no memory, and says the same as the one before.
func TestMulticastAtRest(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	quiet(t)
	links(t, "d0")
	join(t, "239.1.2.3", "d0")
	r := newRecording(t)
	src := newMulticastGroups(r.Writer, here(t))
	r.sample(src)
	r.sample(src)
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_100, 0), Uptime: time.Minute, Awake: time.Minute})
	if n := testing.AllocsPerRun(100, func() { src.read(t.Context()) }); n > 10 {
		t.Errorf("%v allocations at rest", n)
	}
}

func TestParseGroups(t *testing.T) {
	t.Parallel()
	visited := func(parse func([]byte, groupVisit) error, text string) (lines []string) {
		err := parse([]byte(text), func(dev []byte, index int64, group netip.Addr, users int64) {
			lines = append(lines, fmt.Sprintf("%d %s %s %d", index, dev, group, users))
		})
		if err != nil {
			lines = append(lines, "error")
		}
		return lines
	}
	for _, c := range []struct {
		name  string
		parse func([]byte, groupVisit) error
		text  string
		want  []string
	}{
		{"names of 15 letters", parseIGMP, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n12\tabcdefghijklmno:     1      V3\n\t\t\t\t010000E0    13 0:00000000\t\t0\n",
			[]string{"12 abcdefghijklmno 224.0.0.1 13"}},
		{"a group of no interface", parseIGMP, "Idx\n\t\t\t\t010000E0     1 0:00000000\t\t0\n", []string{"error"}},
		{"a short address", parseIGMP, "Idx\n1\tlo        :     1      V3\n\t\t\t\t010000     1\n", []string{"error"}},
		{"no users", parseIGMP, "Idx\n1\tlo        :     1      V3\n\t\t\t\t010000E0\n", []string{"error"}},
		{"IPv6", parseIGMP6, "4    abcdefghijklmno ff0200000000000000000001ff000002   300 00000004 0\n", []string{"4 abcdefghijklmno ff02::1:ff00:2 300"}},
		{"a short IPv6 address", parseIGMP6, "4    eth0            ff02     1 00000004 0\n", []string{"error"}},
		{"a long IPv6 address", parseIGMP6, "4    eth0            " + strings.Repeat("f", 34) + " 1\n", []string{"error"}},
		{"no digits", parseIGMP6, "4    eth0            " + strings.Repeat("g", 32) + " 1\n", []string{"error"}},
		{"IPv6 without users", parseIGMP6, "4    eth0            ff0200000000000000000001ff000002\n", []string{"error"}},
	} {
		if diff := cmp.Diff(c.want, visited(c.parse, c.text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n"))
	f.Add([]byte("4    eth0            ff0200000000000000000001ff000002     1 00000004 0\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func([]byte, groupVisit) error{parseIGMP, parseIGMP6} {
			n := 0
			if err := parse(text, func([]byte, int64, netip.Addr, int64) { n++ }); err == nil && n > strings.Count(string(text), "\n")+1 {
				t.Errorf("%d groups in %q", n, text)
			}
		}
	})
}
