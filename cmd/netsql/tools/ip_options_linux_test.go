package tools

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"netsql/recorder/kerneltest"
)

// What -d says of links and the recording does not have: limits, queues, and the settings of bridges, their ports and tunnels.
var ipDetails = []struct {
	gone *regexp.Regexp
	left string
}{
	{regexp.MustCompile(` allmulti \d+ minmtu \d+ maxmtu \d+ `), ""},
	{regexp.MustCompile(`(addrgenmode \S+ )?numtxqueues .*gro_max_size \d+ `), ""},
	{regexp.MustCompile(`^[ \d]+$|[RT]X: [^\\]*(\\[ \d]+)?`), "counters"}, // which run on; see TestIPOfCountersIsTheRealOne
	{regexp.MustCompile(`(    bridge ) ?forward_delay .*nf_call_arptables \d+ `), "$1"},
	{regexp.MustCompile(`(\\|^)    bridge_slave .*(group_fwd_mask_str|locked) \S+ `), ""},
	{regexp.MustCompile(`(    vxlan .*)ttl auto .*noudp6zerocsumrx `), "$1"},
	{regexp.MustCompile(`(    vxlan .*)srcport \d+ \d+ `), "$1"},
	{regexp.MustCompile(`(    macvlan ).*usedbcqueuelen \d+ `), "$1"},
	{regexp.MustCompile(`(    tun ).*(persist|user) \S+ `), "$1"},
}

var ipStats64 = regexp.MustCompile(`"stats64": ?\{[^}]*\}[^}]*\}[^}]*\}`)

func forgetDetails(line string) string {
	line = forgetIP(line)
	for _, d := range ipDetails {
		line = d.gone.ReplaceAllString(line, d.left)
	}
	return line
}

// ipSelectors are those of each object that we offer, each with the values that it may have in the population.
var ipSelectors = map[string][][]string{
	"addr": {
		{"dev", "eth0", "wlan0", "eth0p", "k1", "lo"}, {"up"}, {"type", "veth", "bridge", "ifb"}, {"master", "k1"}, {"scope", "link", "global", "host", "all"}, {"label", "eth0", "eth0*", "eth0:1", "w*"},
		{"to", "10.0.0.0/8", "10.1.2.0/24", "fd00::/16", "10.1.2.3"}, {"dynamic"}, {"permanent"}, {"deprecated"}, {"secondary"}, {"tentative"}, {"noprefixroute"}, {"-deprecated"}, {"-noprefixroute"}, {"mngtmpaddr"},
	},
	"link": {{"dev", "eth0", "wlan0", "eth0p", "k1", "lo", "wireless"}, {"up"}, {"type", "veth", "bridge", "ifb", "vxlan"}, {"master", "k1"}},
	"route": {
		{"table", "main", "local", "default", "77", "300", "all", "999"}, {"dev", "eth0", "wlan0", "d0", "lo"}, {"proto", "static", "kernel", "boot", "bird", "200"}, {"scope", "link", "global", "host"},
		{"type", "blackhole", "unicast", "local", "unreachable", "throw", "broadcast"}, {"via", "10.1.2.1", "10.1.2.9", "fd00::1", "fd00::9"}, {"src", "10.1.2.3", "fd00::5"}, {"metric", "7", "100", "1024", "0"}, {"tos", "0x10"},
		{"root", "10.0.0.0/8", "10.16.0.0/12", "fd00::/8", "default"}, {"match", "10.21.3.4", "fd11::1", "10.24.0.0/16"}, {"exact", "10.1.2.0/24", "default", "fd00::/64"}, {"to", "10.1.2.0/24", "default"},
		{"from", "fd07::/16", "fd07::/32"},
	},
	"rule":    {{"table", "77", "main", "local", "300", "default"}, {"priority", "32766", "0", "1000", "2000", "3000"}, {"pref", "5000"}, {"lookup", "999"}},
	"neigh":   {{"dev", "eth0", "wlan0", "lo"}, {"nud", "permanent", "stale", "noarp", "all", "reachable", "failed", "incomplete"}, {"proxy"}, {"to", "10.1.2.0/24", "10.1.2.77", "fd00::/64", "2001:db8::/32"}, {"master", "d0"}},
	"nexthop": {{"id", "5", "7", "8"}, {"dev", "eth0", "wlan0"}, {"groups"}, {"fdb"}, {"proto", "static"}, {"master", "d0", "lo"}},
	"maddr":   {{"dev", "eth0", "wlan0", "lo", "k1"}},
}

// ipLine is a line of ip for an object, with options and selectors that are drawn.
func (p *population) ipLine(object string) string {
	var words []string
	for _, option := range []string{"-4", "-6", "-d", "-j", "-br", "-o", "-N", "-p", "-s", "-0"} {
		one := 5
		switch option {
		case "-0", "-s":
			one = 20
		}
		if p.sometimes(one) {
			words = append(words, option)
		}
	}
	p.rand.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	words = append(words, object)
	if p.sometimes(8) {
		return strings.Join(words, " ")
	}
	words = append(words, p.pick("show", "list", "ls", "sh"))
	selectors := slices.Clone(ipSelectors[object])
	p.rand.Shuffle(len(selectors), func(i, j int) { selectors[i], selectors[j] = selectors[j], selectors[i] })
	for _, s := range selectors[:min(len(selectors), p.rand.IntN(4))] {
		words = append(words, s[0])
		if len(s) > 1 {
			words = append(words, p.pick(s[1:]...))
		}
	}
	return strings.Join(words, " ")
}

// tried is what a tool prints, and whether it takes the line.
func tried(t *testing.T, tool string, words ...string) (text string, ok bool) {
	t.Helper()
	out, err := exec.Command(tool, words...).Output()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit {
		t.Fatal(err)
	}
	return string(out), err == nil
}

// isRefusal tells whether an option is one that is not offered.
func isRefusal(err error) bool { return errors.As(err, new(*UnknownOptionError)) }

// randomLines compares lines of ip that are drawn, in a population.
func randomLines(t *testing.T, p *population, n int, objects ...string) {
	t.Helper()
	r := recorded(t)
	c := comparison{tool: "ip", forget: forgetDetails}
	equal := map[string]int{}
	for _, object := range objects {
		for range n {
			line := p.ipLine(object)
			words := strings.Fields(line)
			want, takes := tried(t, "ip", words...)
			got, err := run(t, r, "ip", words)
			if !takes || err != nil {
				if takes && !isRefusal(err) || !takes && err == nil {
					t.Errorf("ip %s: the real one takes it: %v; ours: %v %q", line, takes, err, got)
				}
				equal[object+" refused"]++
				continue
			}
			var a, b []string
			if slices.Contains(words, "-j") {
				a, b = settledJSON(t, ipStats64.ReplaceAllString(want, `"stats64":{}`)), settledJSON(t, ipStats64.ReplaceAllString(got, `"stats64":{}`))
			} else {
				a, b = c.linesOf(want), c.linesOf(got)
			}
			if !slices.Equal(a, b) {
				t.Errorf("ip %s differs (- the real one, + netsql):\n%s", line, differing(a, b))
				continue
			}
			equal[object]++
		}
	}
	t.Log("equal:", equal)
}

func TestIPWithAnyOptionsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.links()
			randomLines(t, p, 40, "addr", "link", "maddr")
		})
		t.Run(fmt.Sprint(seed, " routes"), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.settled()
			p.policy()
			p.rules()
			randomLines(t, p, 40, "route", "rule", "nexthop", "neigh")
		})
	}
}
