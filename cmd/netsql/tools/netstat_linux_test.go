package tools

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

func parsed(addr string) netip.Addr { return netip.MustParseAddr(addr) }

// seeds are the populations of a comparison: a few for each change, more where there is time.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("NETSQL_SEEDS"), 10, 64); err == nil {
		return n
	}
	if os.Getenv("NETSQL_LONG") != "" {
		return 10
	}
	return 2
}

// A network has an interface with addresses of both families, and sockets of every kind.
func network(t *testing.T, seed uint64) *population {
	p := populate(t, seed)
	p.link("eth0", "10.1.2.3/24", "fd00:1:2:3:4:5:6:7/64", "fd00::5/64")
	p.link("wlan0", "192.0.2.200/26")
	p.sockets([]string{"127.0.0.1", "10.1.2.3", "192.0.2.200"}, []string{"::1", "fd00::5", "fd00:1:2:3:4:5:6:7"})
	return p
}

// The timer of a connection runs on; how many hold a unix socket the kernel tells in /proc/net/unix alone, which the recorder does not read.
var (
	netstatTimer = regexp.MustCompile(`(keepalive|timewait|on|probe|off) \(.*\)$`)
	netstatRefs  = regexp.MustCompile(`^(unix  )\S+ +(\[)`)
)

func forgetNetstat(line string) string {
	line = netstatTimer.ReplaceAllString(line, "$1")
	return netstatRefs.ReplaceAllString(line, "$1- $2")
}

func TestNetstatIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			network(t, seed)
			compare(t, comparison{tool: "netstat", forget: forgetNetstat, lines: []string{
				"-tan", "-tulpn", "-tuwapeen", "-tuwan", "-lntu", "-tanW", "-ta", "-tuaW", "-ue", "-tee -p", "-an4", "-an6", "-apA inet -n", "-A inet6 -aneW", "-xan", "-xlp", "-x", "-nl", "-n", "-tano",
				"-rn", "-r", "-ren", "-reen", "-gn", "--tcp --all --numeric-ports", "--inet -ua --numeric-hosts",
			}})
		})
	}
}

// Without IPv6 nothing is sent but what the test sends.
func TestNetstatOfInterfacesIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644); err != nil {
				t.Fatal(err)
			}
			p.link("eth0", "10.1.2.3/24")
			p.link("longname0", "10.1.3.3/24")
			p.may("link add br0 type bridge")
			p.ip("link set longname0 promisc on mtu 9000")
			p.ip("link set eth0 arp off multicast off")
			for _, to := range []string{"10.1.2.77", "127.0.0.1", "10.1.3.255"} {
				at, family := sockaddr(to, 9)
				fd := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
				unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
				for range 1 + p.rand.IntN(50) {
					unix.Sendto(fd, make([]byte, p.rand.IntN(1400)), 0, at)
				}
			}
			compare(t, comparison{tool: "netstat", lines: []string{"-i", "-ia", "-in"}})
		})
	}
}

func TestRouteIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.link("eth0", "10.1.2.3/24", "fd00::5/64")
			p.ip("route add default via 10.1.2.1 metric 100")
			p.ip("-6 route add default via fd00::1 metric 7")
			for i := range 20 {
				net := fmt.Sprintf("10.%d.0.0/%d", 20+i, 16+p.rand.IntN(17))
				net6 := fmt.Sprintf("fd%02x::/%d", 16+i, 16+p.rand.IntN(113))
				switch p.rand.IntN(9) {
				case 0:
					p.ip("route add blackhole " + masked(net))
					p.ip("-6 route add blackhole " + masked(net6))
				case 1:
					p.ip("route add unreachable " + masked(net))
					p.ip("-6 route add unreachable " + masked(net6))
				case 2:
					p.ip("route add prohibit " + masked(net) + " metric 9")
				case 3:
					p.ip("route add throw " + masked(net))
				case 4:
					p.ip("route add " + masked(net) + " nexthop via 10.1.2.1 weight 3 nexthop via 10.1.2.2")
					p.ip("-6 route add " + masked(net6) + " nexthop via fd00::1 nexthop via fd00::2")
				case 5:
					p.ip("route add " + masked(net) + " via 10.1.2.9 metric 50 advmss 1400 window 1000 rtt 300")
				case 6:
					p.ip("route add " + masked(net) + " dev eth0")
					p.ip("-6 route add " + masked(net6) + " dev eth0 expires 3000")
				case 7:
					p.ip("route add " + masked(net) + " via 10.1.2.9 table 77")
				default:
					p.ip("route add " + masked(net) + " via 10.1.2.9 mtu 1300")
					p.ip("-6 route add " + masked(net6) + " via fd00::9 metric 12")
				}
			}
			compare(t, comparison{tool: "route", forget: forgetRoute, lines: []string{"-n", "", "-en", "-een", "-4 -n", "-6 -n", "-A inet6", "-nA inet", "-nC", "-nF"}})
		})
	}
}

func masked(net string) string { return netip.MustParsePrefix(net).Masked().String() }

// How many use an IPv6 route the kernel tells in /proc/net/ipv6_route alone, and there it lists empty entries of its own.
var route6 = regexp.MustCompile(`^(\S*:\S*/\d+ +\S+ +\S+ +-?\d+) +\S+ +\S+ +(\S+)$`)

func forgetRoute(line string) string {
	if strings.Contains(line, "!n   -1") {
		return ""
	}
	return route6.ReplaceAllString(line, "$1 $2")
}

// Options in any combination, as fingers type them.
func TestRandomNetstatIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := network(t, 1000+seed)
			var lines []string
			for range 20 {
				var line strings.Builder
				one := []string{"t", "u", "U", "w", "x", "a", "l", "n", "W", "e", "p", "o", "4", "6", "N", "t", "a", "n"}
				p.rand.Shuffle(len(one), func(i, j int) { one[i], one[j] = one[j], one[i] })
				for _, letter := range one[:1+p.rand.IntN(7)] {
					switch {
					case p.rand.IntN(4) == 0:
						line.WriteString(" " + map[string]string{"t": "--tcp", "u": "--udp", "U": "--udplite", "w": "--raw", "x": "--unix", "a": "--all", "l": "--listening", "n": "--numeric", "W": "--wide", "e": "--extend", "p": "--programs", "o": "--timers", "4": "--inet", "6": "--inet6", "N": "--symbolic"}[letter])
					case line.Len() == 0 || p.rand.IntN(3) == 0 || strings.HasPrefix(lastWord(line.String()), "--"):
						line.WriteString(" -" + letter)
					default:
						line.WriteString(letter)
					}
				}
				if p.rand.IntN(5) == 0 {
					line.WriteString(" -A " + []string{"inet", "inet6", "unix", "inet,inet6", "inet,unix"}[p.rand.IntN(5)])
				}
				lines = append(lines, line.String())
			}
			compare(t, comparison{tool: "netstat", forget: forgetNetstat, lines: lines})
		})
	}
}

func lastWord(text string) string { return text[strings.LastIndexByte(text, ' ')+1:] }
