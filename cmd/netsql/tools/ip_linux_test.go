package tools

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/query"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// The real ip tells of links their mode, group and broadcast address, which are not recorded; of namespaces their numbers for each other.
// How long an address or a route lives on changes from second to second.
var (
	ipMode    = regexp.MustCompile(`\b(mode|group) \S+ `)
	ipBrd     = regexp.MustCompile(`(link/\S+ [^\s\\]+) (brd|peer) [^\s\\]+`)
	ipSeconds = regexp.MustCompile(`\b\d+sec`)
	ipLinkMAC = regexp.MustCompile(`^(\d+:\t\S+\\)?\tlink  \S+.*$`)
)

func forgetIP(line string) string {
	line = ipMode.ReplaceAllString(line, "")
	line = ipBrd.ReplaceAllString(line, "$1")
	if ipLinkMAC.MatchString(line) { // groups of hardware addresses
		return ""
	}
	return ipSeconds.ReplaceAllStringFunc(line, nearSeconds)
}

// nearSeconds is the time that is left to some seconds: the tools look one after another.
func nearSeconds(text string) string {
	var n int
	fmt.Sscanf(text, "%dsec", &n)
	return fmt.Sprintf("~%dsec", (n+95)/100*100)
}

// sameJSON compares what both print with -j, as values. The order of a list is that in which the kernel keeps it.
func sameJSON(t *testing.T, tool string, lines []string) {
	t.Helper()
	r := recorded(t)
	for _, line := range lines {
		words := strings.Fields(line)
		want, got := settledJSON(t, kerneltest.Command(t, tool, words...)), settledJSON(t, printed(t, r, tool, words...))
		if !slices.Equal(want, got) {
			t.Errorf("%s %s differs (- the real one, + netsql):\n%s", tool, line, differing(want, got))
		}
	}
}

func settledJSON(t *testing.T, text string) []string {
	t.Helper()
	var all []any
	if strings.TrimSpace(text) == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	var lines []string
	for _, one := range all {
		// ip leaves an empty object where a filter left nothing.
		if text := canonical(one); text == "{}" || strings.HasSuffix(text, `"maddr":[]}`) || text == `{"addr_info":[]}` {
			continue
		}
		lines = append(lines, canonical(one))
	}
	slices.Sort(lines)
	return lines
}

// canonical writes a value so that those that are equal are written alike. Of links the recording lacks the keys group, linkmode, link_netnsid
// and the broadcast address; of groups those of hardware addresses.
func canonical(value any) string {
	switch v := value.(type) {
	case map[string]any:
		if _, isLink := v["link_type"]; isLink {
			delete(v, "broadcast")
		}
		if _, isLink := v["operstate"]; isLink {
			delete(v, "group")
			delete(v, "linkmode")
			delete(v, "link_netnsid")
			// What -d says and the recording does not have, see ipDetails.
			for key := range v {
				for _, start := range []string{"allmulti", "min_mtu", "max_mtu", "inet6_addr_gen_mode", "num_", "gso_", "tso_", "gro_"} {
					if strings.HasPrefix(key, start) {
						delete(v, key)
					}
				}
			}
			if info, is := v["linkinfo"].(map[string]any); is {
				delete(info, "info_slave_kind")
				delete(info, "info_slave_data")
				if kind := info["info_kind"]; kind != "vlan" && kind != "vrf" {
					delete(info, "info_data")
				}
			}
		}
		var parts []string
		for key, part := range v {
			if n, ok := part.(float64); ok && n < 1<<32-1 && (strings.HasSuffix(key, "_life_time") || key == "expires") {
				part = nearSeconds(fmt.Sprintf("%dsec", int(n)))
			}
			if list, ok := part.([]any); ok && key == "maddr" {
				part = slices.DeleteFunc(slices.Clone(list), func(one any) bool { _, link := one.(map[string]any)["link"]; return link })
			}
			parts = append(parts, fmt.Sprintf("%q:%s", key, canonical(part)))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		var parts []string
		for _, part := range v {
			if text := canonical(part); text != "{}" { // an address that a filter left out
				parts = append(parts, text)
			}
		}
		slices.Sort(parts)
		return "[" + strings.Join(parts, ",") + "]"
	}
	text, _ := json.Marshal(value)
	return string(text)
}

func (p *population) sometimes(n int) bool { return p.rand.IntN(n) == 0 }

func (p *population) pick(of ...string) string { return of[p.rand.IntN(len(of))] }

// links are of several kinds and states.
func (p *population) links() {
	p.link("eth0", "10.1.2.3/24", "fd00::5/64")
	p.link("wlan0", "192.0.2.200/26", "2001:db8::7/48")
	p.ip("addr add 10.1.2.9/24 dev eth0 label eth0:1 valid_lft 3000 preferred_lft 1000")
	p.ip("addr add 10.77.0.1 peer 10.78.0.1 dev eth0 scope " + p.pick("link", "global", "host"))
	p.ip("addr add 10.1.9.1/16 brd + dev wlan0")
	p.ip("addr add fd00::77/64 dev wlan0 noprefixroute nodad valid_lft 5000 preferred_lft 0")
	p.ip("addr add fd00::78/64 dev wlan0 nodad mngtmpaddr noprefixroute")
	for i, kind := range []string{"dummy", "bridge", "sit", "ipip", "gre", "vrf", "tun", "ifb", "ip6tnl", "vxlan"} {
		line := fmt.Sprintf("link add k%d type %s", i, kind)
		switch kind {
		case "sit", "ipip", "gre":
			line += " local 10.1.2.3 remote 10.1.2.200"
		case "vrf":
			line += " table 77"
		case "vxlan":
			line += p.pick(" id 5 dstport 4789", " id 7 local 10.1.2.3 remote 10.1.2.200 dstport 4790", " id 8 local fd00::5 dstport 0")
		case "ip6tnl":
			line += " local fd00::5 remote fd00::99"
		}
		if p.may(line) {
			name := fmt.Sprintf("k%d", i)
			p.t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })
			if kind != "bridge" { // the state of one that is up comes a while later
				p.may("link set " + name + " " + p.pick("up", "down"))
			}
			if kind == "bridge" && p.sometimes(2) {
				p.ip("link set wlan0p master " + name)
			}
		}
	}
	p.may("tuntap add tap9 mode tap")
	p.may("tuntap add tun9 mode tun")
	p.t.Cleanup(func() {
		exec.Command("ip", "link", "del", "tap9").Run()
		exec.Command("ip", "link", "del", "tun9").Run()
	})
	if p.may("link add link eth0 name eth0.5 type vlan id 5") {
		p.may("link set eth0.5 up")
	}
	p.may("link add link eth0 name mv0 type macvlan")
	p.ip("link set eth0p alias the_other_end")
	p.may("link property add dev wlan0 altname wireless altname air")
	p.ip("link set wlan0 mtu " + p.pick("1400", "9000") + " txqueuelen " + p.pick("0", "17"))
	if p.sometimes(2) {
		p.ip("link set eth0 promisc on")
	}
	if p.sometimes(3) {
		p.ip("link set wlan0p down")
	}
}

func TestIPOfLinksIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.links()
			lines := []string{
				"link", "l", "-br link", "-br l show up", "link show dev eth0", "link show wlan0", "link show wireless", "-o link", "link show type veth", "link show master k1", "-0 link",
				"addr", "a", "-br a", "-4 a", "-6 a", "-o a", "-o -4 addr show", "-4 -br a", "addr show dev eth0", "a s eth0", "addr show up", "addr show scope link", "addr show scope global dev wlan0",
				"addr show to 10.1.0.0/16", "addr show label eth0*", "-6 addr show dynamic", "addr show permanent", "-6 a show deprecated", "-N a", "-o link show dev eth0",
				"maddr", "m", "maddr show dev eth0", "-4 maddr", "-6 maddr",
			}
			if !strings.Contains(kerneltest.Command(t, "ip", "-br", "link"), "k1 ") {
				lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "k1") })
			}
			compare(t, comparison{tool: "ip", forget: forgetIP, lines: lines})
			var asJSON []string
			for _, line := range lines {
				asJSON = append(asJSON, "-j "+line)
			}
			sameJSON(t, "ip", asJSON)
		})
	}
}

// settled has IPv6 take its addresses at once: one that is tentative becomes another later.
func (p *population) settled() {
	p.t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// Counters of lo alone stand still.
func TestIPOfCountersIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			l := p.listen("127.0.0.1", 0, 5)
			p.connect(l, "127.0.0.1")
			p.settle()
			compare(t, comparison{tool: "ip", forget: forgetIP, lines: []string{"-s link", "-s link show dev lo", "-s -o link"}})
			sameJSON(t, "ip", []string{"-j -s link"})
		})
	}
}

// routes are of every type, in several tables, with rules, nexthops and neighbours.
func (p *population) policy() {
	p.link("eth0", "10.1.2.3/24", "fd00::5/64")
	p.link("wlan0", "192.0.2.200/26", "2001:db8::7/48")
	p.may("link add d0 type bridge")
	p.ip("addr add 10.200.0.1/16 dev d0")
	p.ip("-6 addr add fd20::1/64 dev d0 nodad")
	if p.sometimes(2) {
		p.ip("link set d0 up")
	}
	p.ip("route add default via 10.1.2.1 metric 100")
	p.ip("-6 route add default via fd00::1 metric 7 pref " + p.pick("low", "medium", "high"))
	p.ip("nexthop add id 5 via 10.1.2.1 dev eth0")
	p.ip("nexthop add id 6 via 192.0.2.201 dev wlan0 proto static")
	p.ip("nexthop add id 7 group 5/6,3")
	p.ip("nexthop add id 8 blackhole")
	for i := range 40 {
		net := masked(fmt.Sprintf("10.%d.0.0/%d", 20+p.rand.IntN(15), 9+p.rand.IntN(24)))
		// Those that lead to this machine do not hold the gateways: of such a gateway the kernel keeps, and does not tell, that it is none.
		here := masked(fmt.Sprintf("10.%d.0.0/%d", 20+p.rand.IntN(15), 16+p.rand.IntN(17)))
		net6 := masked(fmt.Sprintf("fd%02x::/%d", 16+p.rand.IntN(15), 9+p.rand.IntN(120)))
		more := p.pick("", "", "table 77", "table 300", "table 999", "table default") + p.pick("", "", fmt.Sprintf(" metric %d", 1+p.rand.IntN(30))) + p.pick("", "", " proto static", " proto bird", " proto 200")
		gateway, gateway6 := p.pick("10.1.2.1", "10.1.2.9", "192.0.2.222"), p.pick("fd00::1", "fd00::9", "2001:db8::99")
		switch p.rand.IntN(13) {
		case 0, 1:
			kind := p.pick("blackhole", "unreachable", "prohibit", "throw")
			p.may("route add " + kind + " " + net + " " + more)
			p.may("-6 route add " + kind + " " + net6 + " " + more)
		case 2:
			p.may("route add " + net + " nexthop via 10.1.2.1 weight 3 nexthop via 192.0.2.222 " + more)
			p.may("-6 route add " + net6 + " nexthop via fd00::1 weight 3 nexthop via 2001:db8::99 " + more)
		case 3:
			p.may("route add " + net + " nhid " + p.pick("5", "6", "7", "8") + " " + more)
			// The kernel keeps what it made of a nexthop of IPv6 with the nexthop, and tells of the route that was first asked for: each has its own.
			p.ip(fmt.Sprintf("nexthop add id %d via fd00::9 dev eth0 onlink", 100+i))
			p.may("-6 route add " + net6 + " nhid " + p.pick(fmt.Sprint(100+i), "8") + " " + more)
		case 4:
			net = here
			p.may("route add " + net + " dev " + p.pick("eth0", "d0", "wlan0") + " scope " + p.pick("link", "global", "host") + " src 10.1.2.3 " + more)
			p.may("-6 route add " + net6 + " dev " + p.pick("eth0", "d0") + " src fd00::5 " + more)
		case 5:
			p.may("route add " + net + " via " + gateway + " advmss 1400 window 1000 rtt 300 rto_min 40 initcwnd 9 mtu lock 1200 hoplimit 7 quickack 1 initrwnd 4 congctl cubic " + more)
			p.may("-6 route add " + net6 + " via " + gateway6 + " mtu 1400 hoplimit 9 rtt 2s features ecn reordering 5 " + more)
		case 6:
			p.may("route add " + net + " tos 0x10 via " + gateway + " " + more)
			p.may("-6 route add " + net6 + " via " + gateway6 + " expires 3000 " + more)
		case 7:
			p.may("route add " + net + " via inet6 fd00::1 dev eth0 " + more)
			p.may("-6 route add " + net6 + " from fd07::/" + p.pick("16", "32", "64") + " via " + gateway6 + " " + more)
		case 8:
			p.may("route add " + net + " via 10.99.9.9 dev eth0 onlink realms 4/5 " + more)
			p.may("-6 route add local " + net6 + " dev lo " + more)
		case 9:
			p.may("route add local " + here + " dev lo " + more)
		default:
			p.may("route add " + net + " via " + gateway + " " + more)
			p.may("-6 route add " + net6 + " via " + gateway6 + " " + more)
		}
		if i%8 == 0 {
			p.may("route add default via " + gateway + " " + more)
			p.may("-6 route add default via " + gateway6 + " " + more)
		}
	}
	p.ip("neigh add 10.1.2.77 lladdr 02:00:00:00:00:01 dev eth0")
	p.ip("neigh add 10.1.2.78 lladdr 02:00:00:00:00:02 dev eth0 nud noarp")
	p.ip("neigh add fd00::77 lladdr 02:00:00:00:00:03 dev eth0 router")
	p.ip("neigh add 192.0.2.201 lladdr 02:00:00:00:00:04 dev wlan0 nud stale extern_learn")
	for i := range 6 { // in states that do not pass within the time of a test
		state := p.pick("permanent", "stale", "noarp", "failed")
		mac := fmt.Sprintf(" lladdr 02:00:00:00:01:%02x ", i)
		if state == "failed" {
			mac = " extern_learn " // which the kernel does not forget
		}
		p.ip(fmt.Sprintf("neigh add 10.1.2.%d dev eth0 nud %s %s", 80+i, state, mac))
		p.ip(fmt.Sprintf("neigh add 2001:db8::%d dev wlan0 nud %s %s%s", 80+i, state, mac, p.pick("", "router")))
	}
	p.ip("neigh add proxy 10.1.2.79 dev eth0")
	p.ip("neigh add proxy fd00::79 dev eth0")
}

// rules send packets to tables by everything that a rule can ask of them.
func (p *population) rules() {
	for range 12 {
		var line []string
		for _, n := range []string{"10.0.0.0/8", "10.1.2.3", "fd00::5", "fd00::/16"} {
			if p.sometimes(6) {
				line = append(line, p.pick("from ", "to ")+n)
			}
		}
		if len(line) > 1 {
			line = line[:1]
		}
		for _, condition := range []string{"fwmark 0x" + p.pick("1", "2", "3/0x3", "10/0xf0"), "iif " + p.pick("lo", "eth0", "wlan0", "none0"), "oif " + p.pick("eth0", "wlan0", "none0"),
			"ipproto " + p.pick("tcp", "udp", "77"), "sport " + p.pick("80", "1000-2000"), "dport " + p.pick("443", "1-1023"), "tos 0x10", "not", "uidrange " + p.pick("0-0", "5-1000")} {
			if p.sometimes(5) {
				line = append(line, condition)
			}
		}
		action := "lookup " + p.pick("77", "300", "999", "main", "default", "main suppress_prefixlength "+p.pick("0", "8", "20"))
		if p.sometimes(4) {
			action = p.pick("blackhole", "unreachable", "prohibit", "nop", "goto 32766", "goto 20000", "goto 25000")
		}
		line = append(line, "priority "+fmt.Sprint(1000*(1+p.rand.IntN(28))), action)
		slices.SortFunc(line, func(a, b string) int { return strings.Count(b, "not") - strings.Count(a, "not") })
		for _, family := range []string{"-4 ", "-6 "} {
			p.may(family + "rule add " + strings.Join(line, " "))
		}
	}
	if p.sometimes(4) {
		p.may("rule add l3mdev priority 900 protocol static")
	}
}

func TestIPOfRoutesIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.policy()
			p.rules()
			lines := []string{
				"route", "r", "ro sh", "-4 r", "-6 r", "-6 route show table all", "route show table all", "r show table 77", "-6 r show table 300", "r list table local", "r ls table default",
				"route show dev eth0", "-6 route show dev eth0", "route show proto static", "route show proto kernel", "route show scope link", "route show type blackhole", "route show table all type prohibit",
				"route show 10.1.2.0/24", "route show root 10.16.0.0/12", "route show match 10.21.3.4", "route show exact default", "route show default", "-6 route show default",
				"route show via 10.1.2.1", "route show src 10.1.2.3", "route show to root 10.0.0.0/8 table all", "-o route show", "-o -6 route show", "-N route show table all", "-d route show dev eth0", "route show metric 100",
				"rule", "-6 rule", "ru", "rule show table 77", "rule list priority 32766", "-N rule", "-N -6 rule",
				"nexthop", "nex", "nexthop show id 7", "nexthop show dev eth0", "nexthop show groups", "-6 nexthop", "-4 nexthop list",
				"neigh", "n", "neigh show dev eth0", "-4 n", "-6 n", "neigh show nud all", "neigh show proxy", "neigh show 10.1.2.0/28", "neigh show to 10.1.2.77", "neigh show nud permanent", "neigh show nud stale", "-br neigh", "-br n show dev eth0",
			}
			compare(t, comparison{tool: "ip", forget: forgetIP, lines: lines})
			var asJSON []string
			for _, line := range lines {
				asJSON = append(asJSON, "-j "+line)
			}
			sameJSON(t, "ip", asJSON)
		})
	}
}

func FuzzIP(f *testing.F) {
	for _, line := range []string{
		"addr show dev eth0", "-br a", "-4 a s to 10.0.0.0/8", "route show table all", "r s root 10.0.0.0/8 via inet6 fd00::1", "route get 10.0.0.1 from 10.0.0.2 iif lo mark 0x10/3", "-j route get fd00::1 sport 99999",
		"rule show priority 5 table", "neigh show nud all to", "nexthop show id", "route get default oif", "-f inet6 -N link show up type", "-h", "", "netns exec x", "route get 1.2.3.4 ipproto tcp uid -1 tos 300", "-color=always a", "route show 10.0.0.0/99",
		"route get fe80::1%eth0", "route get ::ffff:10.0.0.1", "route get from", "addr show scope", "xfrm state", "zzz", "monitor all dev eth0", "-ts monitor label route rule", "monitor file x", "netns monitor", "route get fibmatch 1.2.3.4 iif", "-0 a s label x*", "- -- -x --",
	} {
		f.Add(line, "via 10.0.0.1 dev eth0 weight 3 dead; dev eth1 weight x encap ip id 5")
		f.Add(line, "nhid 7; via dev weight;; encap ")
	}
	r := emptyRecording(f)
	f.Fuzz(func(t *testing.T, line, hops string) {
		route := ipRoute{NextHops: hops}
		for _, hop := range route.hopsOf() {
			if strings.Contains(hop.Gateway+hop.Dev, " ") {
				t.Errorf("%q gives the hop %+v", hops, hop)
			}
		}
		c := ip().Command()
		rest, err := c.Parse(strings.Fields(line))
		if err != nil {
			return
		}
		var out strings.Builder
		err = c.Print(t.Context(), &Moment{recording: r, Names: localNames(false)}, rest, &out)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" || strings.Contains(err.Error(), "SQL") && !strings.Contains(err.Error(), "SELECT") {
				t.Errorf("%q: %q", line, err)
			}
			return
		}
		if asJSON, _ := c.Flags.GetBool("json"); asJSON && !json.Valid([]byte(out.String())) {
			t.Errorf("%q prints %q", line, out.String())
		}
	})
}

// What is not replayed is refused in one sentence with what to ask instead.
func TestIPRefuses(t *testing.T) {
	r := emptyRecording(t)
	for line, want := range map[string]string{
		"":                                  "ip of what?",
		"frobnicate":                        `ip has no object "frobnicate"`,
		"route add 10.0.0.0/8 via 10.1.2.1": "ip route add is not replayed: netsql ip route shows what was there",
		"addr del 10.0.0.1 dev eth0":        "ip addr del is not replayed",
		"link set eth0 up":                  "ip link set is not replayed",
		"xfrm state":                        "ip xfrm is not replayed",
		"monitor nsid":                      "netsql ip netns monitor has their names",
		"monitor frobnicate":                `ip monitor has no object "frobnicate"`,
		"monitor dev":                       "dev is followed by what it is",
		"monitor file x":                    "--from and --to say which part",
		"-j monitor":                        "ip -j monitor is not replayed",
		"-br monitor":                       "ip -br monitor is not replayed",
		"-0 route":                          "ip -0 route is not replayed",
		"-0 maddr":                          "groups of hardware addresses are not recorded",
		"link s":                            "ip link s is not replayed",
		"-4 route show to fd00::/8":         "leave out -4",
		"-s -s link":                        "ip -s -s is not replayed",
		"-s neigh":                          "ip -s neigh is not replayed",
		"addr show dev eth9":                `Device "eth9" does not exist at that moment`,
		"route get":                         "need at least a destination address",
		"route get 10.0.0.300":              `"10.0.0.300" is no address`,
		"-6 route get 10.0.0.1":             "an address of IPv6 is expected",
		"route get 10.0.0.1 from fd00::1":   "of two families",
		"route get 10.0.0.1 oif eth9":       `no interface "eth9" at that moment`,
		"route get 10.0.0.1 mark zzz":       `mark "zzz" is no number`,
		"route get 10.0.0.1":                "no rules of IPv4 are recorded",
		"route get 10.0.0.1 vrf red":        "ip route get vrf is not replayed",
		"route show table nonsense":         `no table "nonsense"`,
		"link show group default":           "ip link show group is not replayed",
		"netns exec a ls":                   "ip netns exec is not replayed",
	} {
		c := ip().Command()
		rest, err := c.Parse(strings.Fields(line))
		if err == nil {
			err = c.Print(t.Context(), &Moment{recording: r, Names: localNames(false)}, rest, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ip %s: %v, want %q", line, err, want)
		}
	}
	for line, want := range map[string]string{"-d 10.0.0.1": "a recording changes nothing", "a b": "arp takes one host", "-A inet6": "netsql ip -6 neigh", "no-such-host": "give its address"} {
		c := arp().Command()
		rest, err := c.Parse(strings.Fields(line))
		if err == nil {
			err = c.Print(t.Context(), &Moment{recording: r, Names: localNames(false)}, rest, io.Discard)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("arp %s: %v, want %q", line, err, want)
		}
	}
}

// The number of the link at the other end of a veth may be that of another link here: only two that name each other are a pair.
func TestIPNamesTheOtherEnd(t *testing.T) {
	at := func(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: true} }
	links := []ipLink{
		{Index: 1, Name: "lo", Type: "loopback"}, {Index: 2, Name: "a", Type: "veth", Below: at(3)}, {Index: 3, Name: "b", Type: "veth", Below: at(2)},
		{Index: 4, Name: "c", Type: "veth", Below: at(2)}, {Index: 5, Name: "d", Type: "veth", Below: at(9)}, {Index: 6, Name: "v", Type: "vlan", Below: at(2)}, {Index: 7, Name: "t", Type: "sit", Below: at(0)},
	}
	for i, want := range []string{"", "b", "a", "if2", "if9", "a", "NONE"} {
		if got, _ := links[i].below(links); got != want {
			t.Errorf("%s is at %q, want %q", links[i].Name, got, want)
		}
	}
}

// emptyRecording has a sample in which nothing was there.
func emptyRecording(t testing.TB) *query.Recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "empty.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Version: "test", Boot: store.Boot{ID: "a", Host: "b", Kernel: "6.1"}})
	if err != nil {
		t.Fatal(err)
	}
	w.Begin(store.Clock{Wall: time.Now(), Uptime: time.Hour, Awake: time.Hour})
	if err := errors.Join(w.Commit(t.Context(), store.Cost{}), w.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	r, err := query.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}
