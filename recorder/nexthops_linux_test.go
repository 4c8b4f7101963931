package recorder

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// ipObjects lists the nexthop objects as ip knows them.
func ipObjects(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, m := range ipJSON(t, "nexthop") {
		kind, dev := "nexthop", text(m["dev"])
		var members []string
		group, _ := m["group"].([]any)
		for _, member := range group {
			m := member.(map[string]any)
			weight := text(m["weight"])
			if weight == "" {
				weight = "1"
			}
			members = append(members, text(m["id"])+"*"+weight)
		}
		if len(members) > 0 {
			kind = "group"
		}
		if _, is := m["blackhole"]; is {
			kind = "blackhole"
		}
		lines = append(lines, fmt.Sprintf("%s %s via %s dev %s of %s scope %s flags %s", text(m["id"]), kind, text(m["gateway"]), dev, strings.Join(members, ","), text(m["scope"]), joined(m["flags"])))
	}
	slices.Sort(lines)
	return lines
}

func TestNextHops(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0")
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "addr add 10.9.0.1/24 dev v0", "nexthop add id 5 via 10.1.0.77 dev d0", "nexthop add id 6 via 10.9.0.78 dev v0 onlink",
		"nexthop add id 7 group 5/6,3", "nexthop add id 8 blackhole", "nexthop add id 9 dev d0",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newNextHops(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipObjects(t) }, func() (lines []string) {
			for _, m := range r.rows("SELECT * FROM nexthops_now") {
				dev := text(m["dev"])
				if m["type"] == "blackhole" {
					dev = "" // the loopback, which ip does not show
				}
				lines = append(lines, fmt.Sprintf("%v %v via %s dev %s of %s scope %s flags %s", m["nhid"], m["type"], text(m["gateway"]), dev, text(m["members"]), text(m["scope"]), text(m["flags"])))
			}
			slices.Sort(lines)
			return lines
		})
	}
	check("at first")
	if got := r.rows("SELECT * FROM nexthops_now"); len(got) != 5 {
		t.Errorf("%d objects", len(got))
	}
	ip(t, "nexthop replace id 5 via 10.1.0.99 dev d0")
	check("replaced")
	ip(t, "link set v0p down")
	eventually(t, "v0 loses its carrier", func() bool { return strings.Contains(kerneltest.Command(t, "ip", "link", "show", "v0"), "NO-CARRIER") })
	check("carrier lost")
	ip(t, "link del d0")
	check("link deleted")
}

// An object that goes takes its IPv4 routes along, of which the kernel does not tell; all of it is recorded with the time of the
// object, an hour from any regular sample.
func TestRoutesGoWithTheirObject(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "nexthop add id 10 via 10.1.0.254 dev d0", "nexthop add id 11 via 10.1.0.253 dev d0",
		"route add default nhid 10", "route append default nhid 11", "route add 10.7.0.0/16 nhid 11", "route add 10.8.0.0/16 via 10.1.0.254",
	} {
		ip(t, line)
	}
	r := runLive(t)
	gone := during(func() { ip(t, "nexthop del id 10") })
	eventually(t, "it is recorded that they went", func() bool { return len(r.rows("SELECT 1 FROM nexthop_changes")) == 1 })
	back := during(func() {
		ip(t, "nexthop add id 10 via 10.1.0.254 dev d0")
		ip(t, "route prepend default nhid 10")
	})
	r.stop()
	var got []string
	for _, row := range r.rows("SELECT ts, change, learnt, dst, nth, gateway, nhid, was, now FROM route_changes WHERE dst IN ('0.0.0.0/0', '10.7.0.0/16', '10.8.0.0/16') ORDER BY ts, nth") {
		when := gone
		if len(got) >= 2 {
			when = back
		}
		if !when.holds(row["ts"]) {
			t.Errorf("%v: not in %v", row, when)
		}
		got = append(got, fmt.Sprintln(row["change"], row["learnt"], row["dst"], row["nth"], row["gateway"], row["nhid"]))
	}
	// The first goes and the second takes its place, and the other way round.
	want := []string{
		"changed event 0.0.0.0/0 0 10.1.0.253 11\n", "removed event 0.0.0.0/0 1 10.1.0.253 11\n",
		"changed event 0.0.0.0/0 0 10.1.0.254 10\n", "added event 0.0.0.0/0 1 10.1.0.253 11\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	got = nil
	for _, row := range r.rows("SELECT ts, change, learnt, nhid FROM nexthop_changes") {
		got = append(got, fmt.Sprintln(row["change"], row["learnt"], row["nhid"]))
	}
	if diff := cmp.Diff([]string{"removed event 10\n", "added event 10\n"}, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}

// A hop that joins an IPv6 route is an added route, and one that leaves a removed one: the others stay.
func TestHopsOfIPv6JoinAndLeave(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0")
	ip(t, "-6 route add default via fe80::1 dev d0")
	r := runLive(t)
	ip(t, "-6 route append default via fe80::2 dev v0")
	ip(t, "-6 route append default via fe80::3 dev d0")
	ip(t, "-6 route del default via fe80::1 dev d0")
	r.stop()
	var got []string
	for _, row := range r.rows("SELECT change, learnt, dev, gateway, nth, nexthops, was FROM route_changes WHERE dst = '::/0' ORDER BY ts, nth DESC") {
		got = append(got, fmt.Sprintln(row["change"], row["learnt"], row["dev"], row["gateway"], row["nth"], row["nexthops"]))
	}
	want := []string{
		"added event v0 fe80::2 0 <nil>\n", "added event d0 fe80::3 1 <nil>\n",
		// the second through d0 becomes its first
		"changed event d0 fe80::3 0 <nil>\n", "removed event d0 fe80::3 1 <nil>\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// All hops of all routes, as ip shows them.
func TestRouteHops(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0", `a;"weight`)
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "addr add 10.9.0.1/24 dev v0", `addr add 10.8.0.1/24 dev a;"weight`, "addr add 2001:db8:1::1/64 dev d0 nodad",
		"route add default nexthop via 10.1.0.254 dev d0 weight 2 nexthop via 10.9.0.254 dev v0 onlink nexthop dev v0",
		`route add 10.2.0.0/16 nexthop dev a;"weight weight 3 nexthop via 10.8.0.254 dev a;"weight weight 4 nexthop via inet6 2001:db8:1::9 dev d0`,
		"route add 10.3.0.0/16 nexthop encap ip id 7 dst 10.1.0.8 via 10.1.0.9 dev d0 nexthop via 10.9.0.9 dev v0 weight 9",
		"route add 10.4.0.0/16 via 10.1.0.254", "route add blackhole 10.5.0.0/16", "-6 route add 2001:db8:3::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:1::3 weight 4",
		"nexthop add id 5 via 10.1.0.77 dev d0", "nexthop add id 6 via 10.9.0.77 dev v0", "nexthop add id 7 group 5/6,3", "route add 10.12.0.0/16 nhid 7",
	} {
		ip(t, line)
	}
	var want []string
	for _, family := range []int{4, 6} {
		for _, m := range ipJSON(t, fmt.Sprintf("-%d -d route show table main", family)) {
			hops, _ := m["nexthops"].([]any)
			if len(hops) == 0 {
				hops = []any{map[string]any{"gateway": m["gateway"], "dev": m["dev"], "flags": m["flags"]}}
			}
			for i, hop := range hops {
				h := hop.(map[string]any)
				gateway, weight, n := text(h["gateway"]), text(h["weight"]), i
				if via, ok := h["via"].(map[string]any); ok {
					gateway = text(via["host"])
				}
				if family == 6 { // each is a route
					if n = 0; weight == "1" {
						weight = ""
					}
				}
				want = append(want, fmt.Sprintln(cidr(family, text(m["dst"])), n, gateway, text(h["dev"]), weight, joined(h["flags"]), text(h["encap"])))
			}
		}
	}
	slices.Sort(want)
	r := newRecording(t)
	r.sample(sources(r.Writer, here(t))...)
	var got []string
	for _, m := range r.rows("SELECT * FROM route_hops WHERE table_name = 'main'") {
		encap, _, _ := strings.Cut(text(m["encap"]), " ")
		got = append(got, fmt.Sprintln(m["dst"], m["hop"], text(m["gateway"]), text(m["dev"]), text(m["weight"]), text(m["flags"]), encap))
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
		t.Errorf("%d hops (-ip +recorded):\n%s", len(got), diff)
	}
	if got := r.rows("SELECT dst FROM route_hops WHERE gateway = '10.1.0.254' AND dst = '0.0.0.0/0'"); len(got) != 1 {
		t.Errorf("the default through 10.1.0.254: %v", got)
	}
	if got := r.rows("SELECT encap FROM route_hops WHERE encap IS NOT NULL"); len(got) != 1 || got[0]["encap"] != "ip id 7 dst 10.1.0.8" {
		t.Errorf("%v", got)
	}
}

// A deadline stays the same moment while the kernel counts down to it, and stays what it was once it is over.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	d := deadlines[int]{writer: r.Writer, now: 1000}
	of := func(want float64, which int, left time.Duration) {
		t.Helper()
		if got := d.of(7, which, left); got != want {
			t.Errorf("at %v %v are left: %v, want %v", d.now, left, got, want)
		}
	}
	of(1060, 0, 60*time.Second)
	of(1030, 1, 30*time.Second)
	d.done()
	d.now = 1010.4
	of(1060, 0, 50*time.Second) // the kernel counts in whole seconds
	of(1035, 1, 25*time.Second) // it was put off
	d.done()
	d.now = 1040
	of(1060, 0, 18100*time.Millisecond)
	of(1035, 1, 0)
	d.done()
	d.now = 1090
	of(1060, 0, -30*time.Second)
	of(1035, 1, 0)
	if got := d.of(8, 1, 0); got != 0 { // nobody knows since when
		t.Errorf("over before it was seen: %v", got)
	}
	if got := d.of(8, 0, -30*time.Second); got != 1060 {
		t.Errorf("over since half a minute: %v", got)
	}

	// What a dump tells is compared with what the last one told whose subjects were put.
	e := deadlines[int]{writer: r.Writer}
	for n := range 3 {
		e.begin()
		e.now = 1000 + float64(n)
		e.note(time.Duration(60-n) * time.Second)
		if got := e.same(); got != (n > 0) {
			t.Errorf("dump %d: %v", n, got)
		}
		if n == 0 {
			e.done()
		}
	}

	same := func(want bool, told ...deadline) {
		t.Helper()
		d.told = told
		if got := d.same(); got != want {
			t.Errorf("%v after %v: %v", told, d.kept, got)
		}
	}
	d.kept = []deadline{{1060, false}, {1035, true}}
	same(true, deadline{1061.9, false}, deadline{1090, true})
	same(false, deadline{1062.1, false}, deadline{1035, true})
	same(false, deadline{1057.9, false}, deadline{1035, true})
	same(false, deadline{1060, true}, deadline{1035, true})
	same(false, deadline{1060, false}, deadline{1035, false})
	same(false, deadline{1060, false})
	same(false)
}

// Where there are many routes, they are read again when one expires, though nothing was told.
func TestRoutesAreReadWhenOneExpires(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	s := newRoutes(r.Writer, namespace{id: store.Of(1), netlink: &rtnl.Conn{}}).(*routes)
	s.memory.ends.now = 1000
	for _, c := range []struct {
		kept []deadline
		want time.Duration
	}{
		{nil, time.Minute},
		{[]deadline{{1100, false}, {990, true}}, time.Minute},
		{[]deadline{{1100, false}, {1020, false}, {1050, false}}, 20 * time.Second},
	} {
		s.memory.ends.kept = c.kept
		if got := s.lasts(); got != c.want {
			t.Errorf("%v: %v, want %v", c.kept, got, c.want)
		}
	}
}

// An IPv6 default route whose router has fallen silent stays in the table and is dead for look-ups: the flag says so.
func TestRouteExpires(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "-6 addr add 2001:db8::9/64 dev d0 nodad valid_lft 4000 preferred_lft 2000")
	ip(t, "-6 route add default via fe80::1 dev d0 proto ra metric 1024 expires 600")
	r := newRecording(t)
	list := sources(r.Writer, here(t))
	r.sampleNow(list...)
	ip(t, "-6 route change default via fe80::1 dev d0 proto ra metric 1024 expires 1")
	ways := list[slices.IndexFunc(list, func(s source) bool { _, is := s.(*routes); return is })].(*routes)
	r.sampleNow(list...)
	ways.many, ways.quiet = 0, func() bool { return true } // as if there were many, and nothing was told any more
	eventually(t, "the route expires", func() bool {
		return strings.Contains(kerneltest.Command(t, "ip", "-6", "route", "show", "default"), "expires -")
	})
	r.sampleNow(list...)
	ways.readNext()
	r.sampleNow(list...)
	ways.quiet = nil
	got := r.rows("SELECT flags, expires <= ts AS over, expires = lag(expires) OVER (ORDER BY ts) AS same FROM routes WHERE dst = '::/0' AND metric = 1024 AND (flags IS NOT NULL OR expires > ts + 500) ORDER BY ts")
	want := []map[string]any{{"flags": nil, "over": int64(0), "same": nil}, {"flags": "expired", "over": int64(1), "same": int64(0)}, {"flags": "expired", "over": int64(1), "same": int64(1)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.rows("SELECT change, was, now FROM route_changes WHERE dst = '::/0' AND metric = 1024 AND change <> 'added'"); !cmp.Equal(got, []map[string]any{{"change": "changed", "was": "flags=NULL", "now": "flags=expired"}}) {
		t.Errorf("changes: %v", got)
	}
	// The lifetime of the address was counted down meanwhile, to the same moments.
	if got := r.rows("SELECT DISTINCT round(valid_until - preferred_until) AS apart, valid_until BETWEEN ts + 3000 AND ts + 4002 AS soon FROM addresses WHERE addr = '2001:db8::9'"); !cmp.Equal(got, []map[string]any{{"apart": 2000.0, "soon": int64(1)}}) {
		t.Errorf("address: %v", got)
	}
	if got := r.rows("SELECT 1 FROM address_span p JOIN address a ON a.id = p.id & 4294967295 WHERE addr = '2001:db8::9'"); len(got) != 0 {
		t.Errorf("%d spans ended while the address stayed as it was", len(got))
	}
	// A router puts both off, which is no change.
	ip(t, "-6 addr change 2001:db8::9/64 dev d0 nodad valid_lft 9000 preferred_lft 7000")
	ip(t, "-6 route change default via fe80::1 dev d0 proto ra metric 1024 expires 600")
	r.sampleNow(list...)
	if got := r.rows("SELECT valid_until > ts + 8000 AS later FROM addresses_now WHERE addr = '2001:db8::9'"); !cmp.Equal(got, []map[string]any{{"later": int64(1)}}) {
		t.Errorf("%v", got)
	}
	if got := r.rows("SELECT * FROM address_changes WHERE addr = '2001:db8::9' AND change <> 'added'"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := r.rows("SELECT flags, expires > ts + 500 AS later FROM routes_now WHERE dst = '::/0' AND metric = 1024"); !cmp.Equal(got, []map[string]any{{"flags": nil, "later": int64(1)}}) {
		t.Errorf("%v", got)
	}
}

// What the kernel tells of an address whose lifetime a router puts off is no change.
func TestLifetimesToldAreNoChange(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "-6 addr add 2001:db8::9/64 dev d0 nodad valid_lft 400 preferred_lft 200")
	r := runLive(t)
	ip(t, "-6 addr change 2001:db8::9/64 dev d0 nodad valid_lft 4000 preferred_lft 2000")
	r.stop()
	if got := r.rows("SELECT * FROM address_changes WHERE addr = '2001:db8::9'"); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := r.rows("SELECT valid_until > ts + 3000 AS later FROM addresses_now WHERE addr = '2001:db8::9'"); !cmp.Equal(got, []map[string]any{{"later": int64(1)}}) {
		t.Errorf("%v", got)
	}
}

// A rule keeps every condition, and says when it matches nothing.
func TestEveryConditionOfARule(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	for _, line := range []string{
		"rule add pref 102 lookup main suppress_ifgroup 7", "rule add pref 103 tun_id 77 lookup 10", "rule add pref 107 realms 5/6 lookup 9",
		"rule add pref 108 iif nosuch0 lookup 9", "rule add pref 109 goto 700",
		"rule add pref 110 iif nosuch0 oif nosuch1 lookup 9", "rule add pref 111 iif lo oif nosuch1 lookup 9",
		"rule add pref 112 sport 1024 dport 80-90 lookup 9", "rule add pref 113 dport 53 lookup 9",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	r.sample(newRules(r.Writer, here(t)))
	var got []string
	for _, m := range r.rows("SELECT * FROM rules_now WHERE priority BETWEEN 1 AND 1000 ORDER BY priority") {
		got = append(got, fmt.Sprintln(m["priority"], m["suppress_ifgroup"], m["tun_id"], m["realms"], m["iif"], m["flags"], m["other"]))
	}
	want := []string{
		"102 7 <nil> <nil> <nil> <nil> <nil>\n", "103 <nil> 77 <nil> <nil> <nil> <nil>\n", "107 <nil> <nil> 5/6 <nil> <nil> <nil>\n",
		"108 <nil> <nil> <nil> nosuch0 iif_detached <nil>\n", "109 <nil> <nil> <nil> <nil> unresolved <nil>\n",
		"110 <nil> <nil> <nil> nosuch0 iif_detached,oif_detached <nil>\n", "111 <nil> <nil> <nil> lo oif_detached <nil>\n",
		// The kernel sends a mask with every port, here of all bits.
		"112 <nil> <nil> <nil> <nil> <nil> <nil>\n", "113 <nil> <nil> <nil> <nil> <nil> <nil>\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := ruleOther(t); got != "attribute_77=0xab00" {
		t.Errorf("a condition that nobody knows: %q", got)
	}
}

func ruleOther(t *testing.T) string {
	r, err := rtnl.ParseRule(kerneltest.Message([]byte{unix.AF_INET, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(77, 0xab, 0)))
	if err != nil {
		t.Fatal(err)
	}
	_, v := ruleRow(&r, store.Of(1))
	return v.Other
}

// The other names of an interface are recorded.
func TestAltNames(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	r := runLive(t)
	added := during(func() { ip(t, "link property add dev d0 altname uplink0 altname second") })
	r.stop()
	got := r.rows("SELECT ts, was, now FROM interface_changes WHERE name = 'd0' AND now LIKE '%altnames%'")
	if len(got) != 1 || got[0]["was"] != "altnames=NULL" || got[0]["now"] != "altnames=uplink0,second" || !added.holds(got[0]["ts"]) {
		t.Errorf("%v, added in %v", got, added)
	}
}

// A default route that is replaced by one through another interface goes when the other comes.
func TestRouteReplacedThroughAnotherInterface(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0")
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "addr add 10.9.0.1/24 dev v0", "route add default via 10.1.0.254", "route add default via 10.9.0.200 metric 5",
	} {
		ip(t, line)
	}
	r := runLive(t)
	first := during(func() { ip(t, "route replace default via 10.9.0.254 dev v0") })
	second := during(func() { ip(t, "route replace default nexthop via 10.1.0.254 dev d0 nexthop via 10.9.0.254 dev v0") })
	third := during(func() { ip(t, "route replace default via 10.1.0.253") })
	r.stop()
	var got []string
	for i, row := range r.rows("SELECT ts, change, learnt, dev, gateway, metric FROM route_changes WHERE dst = '0.0.0.0/0' ORDER BY ts") {
		if when := []while{first, second, third}[min(i/2, 2)]; !when.holds(row["ts"]) {
			t.Errorf("%v: not in %v", row, when)
		}
		got = append(got, fmt.Sprintln(row["change"], row["learnt"], row["dev"], row["gateway"], row["metric"]))
	}
	want := []string{
		"removed event d0 10.1.0.254 0\n", "added event v0 10.9.0.254 0\n", "removed event v0 10.9.0.254 0\n", "added event <nil> <nil> 0\n",
		"removed event <nil> <nil> 0\n", "added event d0 10.1.0.253 0\n",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// told tells of messages between two samples that saw nothing, and returns the changes of routes that the kernel told.
func told(t *testing.T, messages ...change) (lines []string) {
	t.Helper()
	r := newRecording(t)
	ns := namespace{id: store.Of(1), netlink: &rtnl.Conn{}}
	ways, hops := newRoutes(r.Writer, ns).(*routes), newNextHops(r.Writer, ns).(*nextHops)
	ways.nextHops = hops
	c := newChanges(r.Writer, ns, []source{hops, ways}, nil, newTrigger())
	c.names = rtnl.LinkNames{Conn: &rtnl.Conn{}, ByIndex: map[int32]string{3: "d3", 4: "d4", 5: "d5"}}
	for n := range 2 {
		up := time.Hour + time.Duration(n)*time.Second
		r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		for _, of := range []*store.Source{hops.source, ways.source, c.source} {
			of.Read(func() error { return nil })
		}
		for i := range messages {
			if m := messages[i]; n == 1 {
				m.at = up - time.Duration(900-10*i)*time.Millisecond
				c.tell(&m)
			}
		}
		if err := r.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range r.rows("SELECT change, dst, dev, gateway, nhid, now FROM route_changes WHERE learnt = 'event' ORDER BY ts") {
		now := ""
		if row["change"] == "changed" {
			now = " " + text(row["now"])
		}
		lines = append(lines, fmt.Sprintf("%v %s dev %s via %s nhid %s", row["change"], text(row["dst"]), text(row["dev"]), text(row["gateway"]), text(row["nhid"]))+now)
	}
	return lines
}

func u32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

// routeTold is a message of 10.1.LAST.0/24 through 192.0.2.GATEWAY, by an interface and, if it is not 0, an object.
func routeTold(kind, flags uint16, last, gateway byte, dev, object uint32) change {
	attributes := [][]byte{kerneltest.Attribute(unix.RTA_DST, 10, 1, last, 0), kerneltest.Attribute(unix.RTA_GATEWAY, 192, 0, 2, gateway), kerneltest.Attribute(unix.RTA_OIF, u32(dev)...)}
	if object != 0 {
		attributes = append(attributes, kerneltest.Attribute(30, u32(object)...))
	}
	return change{kind: kind, flags: flags, body: kerneltest.Message([]byte{unix.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, attributes...)}
}

func objectTold(kind uint16, id uint32) change {
	return change{kind: kind, body: kerneltest.Message([]byte{unix.AF_INET, 0, 3, 0, 0, 0, 0, 0}, kerneltest.Attribute(1, u32(id)...), kerneltest.Attribute(5, u32(3)...))}
}

func TestRoutesTold(t *testing.T) {
	t.Parallel()
	const add, del, replace, more = unix.RTM_NEWROUTE, unix.RTM_DELROUTE, unix.NLM_F_REPLACE, unix.NLM_F_APPEND
	v6 := func(gateway byte, expires uint32) change {
		router := append(make([]byte, 15), gateway)
		router[0], router[1] = 0xfe, 0x80
		return change{kind: add, flags: replace, body: kerneltest.Message([]byte{unix.AF_INET6, 0, 0, 0, 254, 9, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(unix.RTA_GATEWAY, router...),
			kerneltest.Attribute(unix.RTA_OIF, u32(3)...), kerneltest.Attribute(unix.RTA_CACHEINFO, append(append(make([]byte, 8), u32(expires)...), make([]byte, 20)...)...))}
	}
	for _, c := range []struct {
		name     string
		messages []change
		want     []string
	}{
		{"one that came since the last sample goes with its object", []change{objectTold(unix.RTM_NEWNEXTHOP, 9), routeTold(add, 0, 1, 7, 3, 9), routeTold(add, 0, 2, 7, 3, 8), objectTold(unix.RTM_DELNEXTHOP, 9)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid 9", "added 10.1.2.0/24 dev d3 via 192.0.2.7 nhid 8", "removed 10.1.1.0/24 dev d3 via 192.0.2.7 nhid 9"}},
		{"one that left its object stays", []change{objectTold(unix.RTM_NEWNEXTHOP, 9), routeTold(add, 0, 1, 7, 3, 9), routeTold(add, replace, 1, 8, 3, 10), objectTold(unix.RTM_DELNEXTHOP, 9)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid 9", "changed 10.1.1.0/24 dev d3 via 192.0.2.8 nhid 10 gateway=192.0.2.8 nhid=10"}},
		{"another joins", []change{routeTold(add, 0, 1, 7, 3, 0), routeTold(add, more, 1, 7, 4, 0)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid ", "added 10.1.1.0/24 dev d4 via 192.0.2.7 nhid "}},
		{"another takes its place", []change{routeTold(add, 0, 1, 7, 3, 0), routeTold(add, replace, 1, 7, 4, 0)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid ", "removed 10.1.1.0/24 dev d3 via 192.0.2.7 nhid ", "added 10.1.1.0/24 dev d4 via 192.0.2.7 nhid "}},
		{"another takes the place of one of two", []change{routeTold(add, 0, 1, 7, 3, 0), routeTold(add, more, 1, 7, 4, 0), routeTold(add, replace, 1, 7, 5, 0)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid ", "added 10.1.1.0/24 dev d4 via 192.0.2.7 nhid ", "added 10.1.1.0/24 dev d5 via 192.0.2.7 nhid "}},
		{"a router puts the end off, and then another router does", []change{v6(1, 600), v6(1, 90000), v6(2, 50000)},
			[]string{"added ::/0 dev d3 via fe80::1 nhid ", "changed ::/0 dev d3 via fe80::2 nhid  gateway=fe80::2"}},
		{"it goes", []change{routeTold(add, 0, 1, 7, 3, 0), routeTold(del, 0, 1, 7, 3, 0)},
			[]string{"added 10.1.1.0/24 dev d3 via 192.0.2.7 nhid ", "removed 10.1.1.0/24 dev d3 via 192.0.2.7 nhid "}},
	} {
		if diff := cmp.Diff(c.want, told(t, c.messages...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// An address whose lifetime is put off brings no sample forward.
func TestLifetimesAreNotUrgent(t *testing.T) {
	t.Parallel()
	address := func(valid uint32) []byte {
		return netlinkMessage(unix.RTM_NEWADDR, 0, kerneltest.Message([]byte{unix.AF_INET, 24, 0, 0, 3, 0, 0, 0}, kerneltest.Attribute(unix.IFA_LOCAL, 10, 1, 2, 3),
			kerneltest.Attribute(unix.IFA_CACHEINFO, append(append(u32(valid/2), u32(valid)...), make([]byte, 8)...)...)))
	}
	q := queue{}
	if urgent := q.take(address(100), time.Hour, 0); urgent <= notUrgent {
		t.Error("a new address is not urgent")
	}
	if urgent := q.take(address(200), time.Hour+time.Second, 0); urgent > notUrgent || len(q.messages) != 1 {
		t.Errorf("%d messages", len(q.messages))
	}
}

// Of an IPv6 route each next hop is a route; of one by an object, and of IPv4, all of them are one. A single one stands in the route itself.
func TestSiblings(t *testing.T) {
	t.Parallel()
	hop := func(last byte, oif int32, weight int, flags uint32) rtnl.NextHop {
		return rtnl.NextHop{Gateway: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: last}), OIF: oif, Weight: weight, Flags: flags, Encap: fmt.Sprint("mpls ", last)}
	}
	two := []rtnl.NextHop{hop(1, 3, 1, unix.RTNH_F_ONLINK), hop(2, 4, 5, unix.RTNH_F_LINKDOWN|unix.RTNH_F_DEAD)}
	names := rtnl.LinkNames{Conn: &rtnl.Conn{}, ByIndex: map[int32]string{3: "d3", 4: "d4"}}
	all := func(r rtnl.Route) (lines []string) {
		r.Dst = netip.MustParsePrefix("::/0")
		for i := range siblings(&r) {
			one := sibling(&r, i)
			id, v := routeRow(&one, store.Of(1), &names, func(uint32) (store.NextHop, bool) { return store.NextHop{}, false })
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprintln(id.Dev, v.Gateway, v.Weight.Or(0), v.Flags, v.Encap, v.NextHops)), " "))
		}
		return lines
	}
	together := "0 via fe80::1 dev d3 weight 1 onlink encap mpls 1; via fe80::2 dev d4 weight 5 dead linkdown encap mpls 2"
	for name, c := range map[string]struct {
		r    rtnl.Route
		want []string
	}{
		"IPv6":           {rtnl.Route{Family: unix.AF_INET6, NextHops: two}, []string{"d3 fe80::1 0 onlink mpls 1", "d4 fe80::2 5 dead,linkdown mpls 2"}},
		"by an object":   {rtnl.Route{Family: unix.AF_INET6, NextHops: two, NextHopID: 7}, []string{together}},
		"IPv4":           {rtnl.Route{Family: unix.AF_INET, NextHops: two}, []string{together}},
		"of one":         {rtnl.Route{Family: unix.AF_INET6, NextHops: two[1:]}, []string{"d4 fe80::2 0 dead,linkdown mpls 2"}},
		"of one of IPv4": {rtnl.Route{Family: unix.AF_INET, NextHops: two[:1]}, []string{"d3 fe80::1 0 onlink mpls 1"}},
	} {
		if diff := cmp.Diff(c.want, all(c.r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
