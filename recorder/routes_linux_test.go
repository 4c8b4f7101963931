package recorder

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// routesOf lists the recorded routes, one line each.
func routesOf(r *testRecording) []string {
	r.t.Helper()
	var lines []string
	for _, m := range r.rows("SELECT * FROM routes_now") {
		lines = append(lines, routeLine(map[string]string{
			"family": text(m["family"]), "table": text(m["table_name"]), "dst": text(m["dst"]), "from": text(m["src_net"]),
			"tos": text(m["tos"]), "metric": text(m["metric"]), "dev": text(m["dev"]), "gateway": text(m["gateway"]),
			"src": text(m["src"]), "protocol": text(m["protocol"]), "scope": text(m["scope"]), "type": text(m["type"]),
			"flags": text(m["flags"]), "mtu": text(m["mtu"]), "window": text(m["window"]), "rtt": text(m["irtt_ms"]),
			"hops": text(m["nexthops"]),
		}))
	}
	slices.Sort(lines)
	return lines
}

func routeLine(m map[string]string) string {
	var b strings.Builder
	for _, key := range []string{"family", "table", "dst", "from", "tos", "metric", "dev", "gateway", "src", "protocol",
		"scope", "type", "flags", "mtu", "window", "rtt", "hops"} {
		if m[key] != "" {
			fmt.Fprintf(&b, "%s=%s ", key, m[key])
		}
	}
	return b.String()
}

// cidr gives ip's "default" and bare hosts their prefix.
func cidr(family int, s string) string {
	switch {
	case s == "":
		return ""
	case s == "default" || s == "all":
		return map[int]string{4: "0.0.0.0/0", 6: "::/0"}[family]
	case strings.Contains(s, "/"):
		return s
	}
	return s + map[int]string{4: "/32", 6: "/128"}[family]
}

// ipRoutes lists the routes as ip knows them, in the same words.
func ipRoutes(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, family := range []int{4, 6} {
		for _, m := range ipJSON(t, fmt.Sprintf("-%d -d route show table all", family)) {
			line := map[string]string{
				"family": strconv.Itoa(family), "table": text(m["table"]), "dst": strings.Replace(cidr(family, text(m["dst"])), "10.99.0.1/32", "10.14.0.0/16", 1), // ip calls two things dst: the last is that of the tunnel

				"from": cidr(family, text(m["from"])), "tos": "0", "metric": "0", "dev": text(m["dev"]),
				"gateway": text(m["gateway"]), "src": text(m["prefsrc"]), "protocol": text(m["protocol"]),
				"scope": text(m["scope"]), "type": text(m["type"]), "flags": joined(m["flags"]),
			}
			if via, ok := m["via"].(map[string]any); ok {
				line["gateway"] = text(via["host"])
			}
			if m["metric"] != nil {
				line["metric"] = text(m["metric"])
			}
			if tos, err := strconv.ParseUint(text(m["tos"]), 0, 8); err == nil {
				line["tos"] = fmt.Sprint(tos)
			}
			if metrics, ok := m["metrics"].([]any); ok {
				for key, v := range metrics[0].(map[string]any) {
					line[key] = text(v)
				}
			}
			hops, _ := m["nexthops"].([]any)
			if family == 6 && m["nhid"] == nil && len(hops) > 0 { // each is a route
				for _, hop := range hops {
					m := hop.(map[string]any)
					line["dev"], line["gateway"], line["flags"] = text(m["dev"]), text(m["gateway"]), joined(m["flags"])
					lines = append(lines, routeLine(line))
				}
				continue
			}
			if len(hops) > 0 {
				line["hops"] = ipNextHops(hops)
			}
			lines = append(lines, routeLine(line))
		}
	}
	slices.Sort(lines)
	return lines
}

func ipNextHops(hops []any) string {
	var text []string
	for _, hop := range hops {
		m := hop.(map[string]any)
		line := ""
		if m["gateway"] != nil {
			line = fmt.Sprintf("via %v ", m["gateway"])
		} else if via, ok := m["via"].(map[string]any); ok {
			line = fmt.Sprintf("via %v ", via["host"])
		}
		line += fmt.Sprintf("dev %v weight %v", m["dev"], m["weight"])
		for _, flag := range m["flags"].([]any) {
			line += fmt.Sprintf(" %v", flag)
		}
		text = append(text, line)
	}
	return strings.Join(text, "; ")
}

func TestRoutes(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "v0")
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "addr add 10.1.0.2/24 dev d0", "addr add 2001:db8:1::1/64 dev d0 nodad",
		"addr add 10.9.0.1 peer 10.9.0.2 dev v0",
		"addr add 2001:db8:9::1/64 dev v0 valid_lft 1000 preferred_lft 500 nodad",
		"route add default via 10.1.0.254 metric 100 mtu 1400 window 30000 rtt 250ms",
		"route add 10.2.0.0/16 via 10.1.0.253 src 10.1.0.2 proto bird",
		"route append 10.2.0.0/16 via 10.1.0.252",
		"route add 10.3.0.0/16 nexthop via 10.1.0.10 dev d0 weight 1 nexthop via 10.9.0.2 dev v0 weight 5",
		"route add blackhole 10.4.0.0/16", "route add unreachable 10.5.0.0/16",
		"route add prohibit 10.6.0.0/16 table 100", "route add throw 10.7.0.0/16 table 100000",
		"route add 10.8.0.0/16 via inet6 2001:db8:1::fe dev d0",
		"route add 10.10.0.0/16 tos 0x10 via 10.1.0.20 onlink dev d0",
		"route add multicast 239.0.0.0/8 dev d0",
		"nexthop add id 5 via 10.1.0.77 dev d0", "route add 10.11.0.0/16 nhid 5",
		"nexthop add id 6 via 10.1.0.78 dev d0", "nexthop add id 7 group 5/6,3", "route add 10.12.0.0/16 nhid 7",
		"-6 route add default via 2001:db8:1::fe metric 512 mtu 1300",
		"-6 route add 2001:db8:3::/48 nexthop via 2001:db8:1::2 nexthop via 2001:db8:1::3 weight 4",
		"-6 route add blackhole 2001:db8:4::/48", "-6 route add unreachable default metric 4000",
		"-6 route add 2001:db8:5::/48 from 2001:db8:1::/64 via 2001:db8:1::fe",
		"-6 route add 2001:db8:6::1 dev v0 table 77 expires 600",
		"route add 10.13.0.0/16 via 10.1.0.254 advmss 1300 initcwnd 30 initrwnd 31 hoplimit 9 rto_min 50ms quickack 1 congctl reno mtu lock 1400 realm 5/6 ssthresh 7",
		"route add 10.14.0.0/16 encap ip id 100 dst 10.99.0.1 via 10.1.0.254 dev d0", "-6 route add 2001:db8:7::/48 via 2001:db8:1::fe pref high",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newRoutes(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipRoutes(t) }, func() []string { return routesOf(r) })
		if got := r.outcome("routes"); got != "read" {
			t.Fatalf("%s: outcome %s", when, got)
		}
	}
	check("at first")
	if n := len(routesOf(r)); n < 35 {
		t.Errorf("%d routes recorded, more than 35 were built", n)
	}
	for _, want := range []struct{ where, value string }{
		{"dst = '0.0.0.0/0' AND gateway = '10.1.0.254' AND metric = 100 AND mtu = 1400 AND window = 30000 AND irtt_ms = 250", "1"},
		{"dst = '10.2.0.0/16' AND gateway = '10.1.0.253' AND nth = 0", "1"},
		{"dst = '10.2.0.0/16' AND gateway = '10.1.0.252' AND nth = 1", "1"},
		{"dst = '10.3.0.0/16' AND dev IS NULL AND nexthops = 'via 10.1.0.10 dev d0 weight 1; via 10.9.0.2 dev v0 weight 5'", "1"},
		{"dst = '10.7.0.0/16' AND table_id = 100000 AND type = 'throw' AND dev IS NULL", "1"},
		{"dst = '10.8.0.0/16' AND gateway = '2001:db8:1::fe' AND family = 4", "1"},
		{"dst = '::/0' AND gateway = '2001:db8:1::fe' AND metric = 512", "1"},
		{"dst = '2001:db8:5::/48' AND src_net = '2001:db8:1::/64'", "1"},
		{"dst = '2001:db8:6::1/128' AND table_name = '77' AND expires IS NOT NULL", "1"},
		{"expires IS NOT NULL AND dst NOT LIKE '2001:db8:6:%' AND dst NOT LIKE '2001:db8:9:%'", "0"},
		{"dst = '10.13.0.0/16' AND advmss = 1300 AND initcwnd = 30 AND initrwnd = 31 AND hoplimit = 9 AND rto_min_ms = 50 AND quickack = 1 AND congestion = 'reno' AND mtu = 1400 AND locked LIKE 'mtu%' AND realm = '5/6' AND metrics = 'ssthresh 7'", "1"},
		{"encap IS NOT NULL", "1"},
		{"dst = '10.14.0.0/16' AND encap = 'ip id 100 dst 10.99.0.1'", "1"},
		{"pref IS NOT NULL", "1"},
		{"dst = '2001:db8:7::/48' AND pref = 'high'", "1"},
		{"nhid IS NOT NULL", "2"},
		{"dst = '10.11.0.0/16' AND nhid = 5 AND gateway = '10.1.0.77'", "1"},
		{"dst = '10.12.0.0/16' AND nhid = 7", "1"},
		{"weight IS NOT NULL", "1"},
		{"dst = '2001:db8:3::/48' AND gateway = '2001:db8:1::3' AND weight = 4", "1"},
	} {
		if got := r.rows("SELECT count(*) AS n FROM routes_now WHERE " + want.where); text(got[0]["n"]) != want.value {
			t.Errorf("%s: %v rows, want %s", want.where, got[0]["n"], want.value)
		}
	}

	r.sample(src)
	if spans := r.rows("SELECT count(*) AS n FROM route_span"); text(spans[0]["n"]) != "0" {
		t.Errorf("%v spans ended while nothing changed", spans[0]["n"])
	}
	ip(t, "route change default via 10.1.0.200 metric 100")
	ip(t, "route del 10.2.0.0/16 via 10.1.0.253")
	check("changed")
	ip(t, "link set v0p down") // no carrier on v0: linkdown, dead next hops
	eventually(t, "v0 loses its carrier", func() bool { return strings.Contains(kerneltest.Command(t, "ip", "route"), "linkdown") })
	check("carrier lost")
	ip(t, "link set d0 down") // IPv4 routes go without a word
	check("link down")
	ip(t, "link set d0 name renamed")
	check("link renamed")
	ip(t, "link del renamed")
	ip(t, "link del v0")
	check("links deleted")
	ip(t, "route flush table 100")
	samples := r.rows("SELECT count(*) AS n FROM samples")[0]["n"]
	check("table flushed")
	if got := r.rows("SELECT count(*) AS n FROM routes WHERE dst = '10.6.0.0/16'")[0]["n"]; got != samples {
		t.Errorf("the route of table 100 stands in %v samples, want %v", got, samples)
	}
}

// TestRoutesWithoutNextHops covers nexthop_compat_mode = 0, where a route names its next
// hop object and nothing else.
func TestRoutesWithoutNextHops(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "nexthop add id 5 via 10.1.0.77 dev d0")
	ip(t, "route add 10.11.0.0/16 nhid 5")
	setSysctl(t, "net/ipv4/nexthop_compat_mode", "0")
	r := newRecording(t)
	alone := newRoutes(r.Writer, here(t))
	r.sample(alone)
	row := func(dev, gateway, hops any) map[string]any {
		return map[string]any{"dev": dev, "gateway": gateway, "nexthops": hops}
	}
	check := func(when string, want ...map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, r.rows("SELECT dev, gateway, nexthops FROM routes_now WHERE dst = '10.11.0.0/16'")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("without the objects", row(nil, nil, "nhid 5"))

	// What the object stands for is known from its own dump, also when it becomes another and the route does not.
	r = newRecording(t)
	list := sources(r.Writer, here(t))
	r.sample(list...)
	check("one", row("d0", "10.1.0.77", nil))
	ip(t, "nexthop replace id 5 via 10.1.0.78 dev d0")
	r.sample(list...)
	check("replaced", row("d0", "10.1.0.78", nil))
	ip(t, "nexthop add id 6 via 10.1.0.79 dev d0")
	ip(t, "nexthop add id 7 group 5,2/6,3")
	ip(t, "route replace 10.11.0.0/16 nhid 7")
	r.sample(list...)
	check("a group", row(nil, nil, "via 10.1.0.78 dev d0 weight 2; via 10.1.0.79 dev d0 weight 3"))
	ip(t, "nexthop replace id 7 group 6")
	r.sample(list...)
	check("a group of one", row("d0", "10.1.0.79", nil))
}

// TestRouteExceptions: what the kernel has learnt of a path is no route.
func TestRouteExceptions(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	r := newRecording(t)
	src := newRoutes(r.Writer, here(t))
	r.sample(src)
	before := routesOf(r)
	sendPathMTU(t, "d0p", "d0")
	// An exception is dumped once a lookup has used it.
	eventually(t, "the kernel uses the path MTU", func() bool {
		return strings.Contains(kerneltest.Command(t, "ip", "route", "get", "10.1.0.9"), "mtu 1200") &&
			strings.Contains(kerneltest.Command(t, "ip", "-4", "route", "show", "cache", "table", "all"), "10.1.0.9")
	})
	r.sample(src)
	if diff := cmp.Diff(before, routesOf(r)); diff != "" {
		t.Error(diff)
	}
}

// sendPathMTU makes an ICMP message arrive by which a router says that packets to 10.1.0.9
// may have 1,200 bytes at most.
func sendPathMTU(t *testing.T, from, to string) {
	t.Helper()
	sum := func(b []byte) []byte {
		n := 0
		for i := 0; i < len(b); i += 2 {
			n += int(b[i])<<8 | int(b[i+1])
		}
		for n > 0xffff {
			n = n&0xffff + n>>16
		}
		return []byte{byte(^n >> 8), byte(^n)}
	}
	header := func(payload []byte, src, dst [4]byte) []byte {
		b := []byte{0x45, 0, 0, byte(20 + len(payload)), 0, 1, 0, 0, 64, unix.IPPROTO_ICMP, 0, 0}
		b = append(append(b, src[:]...), dst[:]...)
		copy(b[10:], sum(b))
		return append(b, payload...)
	}
	quoted := header(make([]byte, 8), [4]byte{10, 1, 0, 1}, [4]byte{10, 1, 0, 9}) // an answer to a ping
	tooBig := append([]byte{3, 4, 0, 0, 0, 0, 1200 >> 8, 1200 & 255}, quoted...)
	copy(tooBig[2:], sum(tooBig))
	packet := header(tooBig, [4]byte{10, 1, 0, 254}, [4]byte{10, 1, 0, 1})

	out, err := net.InterfaceByName(from)
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.InterfaceByName(to)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	address := unix.SockaddrLinklayer{Protocol: 0x0008, Ifindex: out.Index, Halen: 6} // ETH_P_IP, in network order
	copy(address.Addr[:], in.HardwareAddr)
	if err := unix.Sendto(fd, packet, 0, &address); err != nil {
		t.Fatal(err)
	}
}

func FuzzRoute(f *testing.F) {
	header := []byte{unix.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}
	f.Add(kerneltest.Message(header, kerneltest.Attribute(unix.RTA_DST, 10, 1, 2, 0), kerneltest.Attribute(unix.RTA_OIF, 3, 0, 0, 0),
		kerneltest.Attribute(unix.RTA_METRICS, kerneltest.Attribute(unix.RTAX_MTU, 0, 5, 0, 0)...)))
	f.Add(kerneltest.Message(header, kerneltest.Attribute(unix.RTA_MULTIPATH, 16, 0, 0, 4, 3, 0, 0, 0, 8, 0, 5, 0, 10, 1, 0, 1)))
	f.Add(kerneltest.Message([]byte{unix.AF_INET6, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(unix.RTA_VIA, 2, 0, 10, 0, 0, 1), []byte{5, 0, 1, 0, 9}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, err := rtnl.ParseRoute(msg)
		if err != nil {
			return
		}
		names := rtnl.LinkNames{ByIndex: map[int32]string{}, Conn: &rtnl.Conn{}}
		for _, hop := range r.NextHops {
			names.ByIndex[hop.OIF] = "hop"
		}
		names.ByIndex[r.OIF] = "eth0"
		id, v := routeRow(&r, here(t).id, &names, func(uint32) (store.NextHop, bool) { return store.NextHop{}, false })
		p, err := netip.ParsePrefix(id.Dst)
		if err != nil || p.Bits() != int(msg[1]) {
			t.Errorf("destination %q of %d bits: %v", id.Dst, msg[1], err)
		}
		if strings.Contains(v.Gateway, "invalid") || strings.Contains(v.NextHops, "invalid") {
			t.Errorf("gateway %q, next hops %q", v.Gateway, v.NextHops)
		}
		if _, err := json.Marshal(v.NextHops); err != nil {
			t.Error(err)
		}
	})
}

// BenchmarkRoutes samples 10,000 routes, unchanged and with one route changed each time.
func BenchmarkRoutes(b *testing.B) {
	if !benchInNamespace(b) {
		return
	}
	var batch strings.Builder
	batch.WriteString("link set lo up\nlink add d0 type veth peer name d1\nlink set d0 up\nlink set d1 up\naddr add 10.1.0.1/24 dev d0\n")
	for i := range 10_000 {
		fmt.Fprintf(&batch, "route add 172.%d.%d.0/24 via 10.1.0.%d\n", 16+i>>8&63, i&255, 2+i%200)
	}
	ipBatch(b, batch.String())
	for _, changing := range []bool{false, true} {
		b.Run(fmt.Sprintf("changing=%v", changing), func(b *testing.B) {
			benchSource(b, newRoutes, func(i int) {
				if changing {
					ipBatch(b, fmt.Sprintf("route replace 172.16.0.0/24 via 10.1.0.%d\n", 2+i%200))
				}
			})
		})
	}
}
