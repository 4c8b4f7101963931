package tools

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

func parsed(addr string) netip.Addr { return netip.MustParseAddr(addr) }

// seeds are the populations of a comparison: a few for each change, more where there is time.
func seeds() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("NETSQL_SEEDS"), 10, 64); err == nil {
		return n
	}
	switch os.Getenv("NETSQL_LONG") {
	case "":
		return 2
	case "1":
		return 4
	}
	return 10
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
	eachSeed(t, func(t *testing.T, seed uint64) {
		network(t, seed)
		compare(t, comparison{tool: "netstat", forget: forgetNetstat, lines: []string{
			"-tan", "-tulpn", "-tuwapeen", "-tuwan", "-lntu", "-tanW", "-ta", "-tuaW", "-ue", "-tee -p", "-an4", "-an6", "-apA inet -n", "-A inet6 -aneW", "-xan", "-xlp", "-x", "-nl", "-n", "-tano",
			"-rn", "-r", "-ren", "-reen", "-gn", "--tcp --all --numeric-ports", "--inet -ua --numeric-hosts",
		}})
	})
}

// familiesOfNetstat are some families of addresses, mostly none.
func (p *population) familiesOfNetstat() string {
	if p.rand.IntN(5) > 0 {
		return ""
	}
	return " -A " + []string{"inet", "inet6", "unix", "inet,inet6", "inet,unix", "ip", "ip6"}[p.rand.IntN(7)]
}

// Options in any combination, as fingers type them.
func TestRandomNetstatIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := network(t, 1000+seed)
		p.join()
		options := []string{"t tcp", "u udp", "U udplite", "w raw", "x unix", "a all", "l listening", "n numeric", "W wide", "e extend", "e extend", "p programs", "p program", "o timers", "4 inet", "6 inet6",
			"-ip", "N symbolic", "g groups", "v verbose", "F fib", "C cache", "-numeric-hosts", "-numeric-ports", "-numeric-users", "t tcp", "a all", "n numeric"}
		if _, err := os.Stat("/proc/net/sctp"); err == nil { // without it the real one ends there
			options = append(options, "S sctp")
		}
		compare(t, comparison{tool: "netstat", forget: forgetNetstat, lines: p.lines(20, func() string { return p.options(7, options...) + p.familiesOfNetstat() })})
	})
}

// join makes members of groups.
func (p *population) join() {
	fd := p.bound(unix.SOCK_DGRAM, "0.0.0.0", 0)
	fd6 := p.bound(unix.SOCK_DGRAM, "::", 0)
	links, err := net.Interfaces()
	if err != nil {
		p.t.Fatal(err)
	}
	for range 1 + p.rand.IntN(6) {
		dev := links[p.rand.IntN(len(links))].Index
		group := [4]byte{byte(224 + p.rand.IntN(16)), 1, byte(p.rand.IntN(3)), byte(p.rand.IntN(256))}
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group, Ifindex: int32(dev)})
		group6 := [16]byte{0: 0xff, 1: []byte{1, 2, 5, 0x0e}[p.rand.IntN(4)], 15: byte(p.rand.IntN(256))}
		unix.SetsockoptIPv6Mreq(fd6, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group6, Interface: uint32(dev)})
	}
}

func TestRandomNetstatOfInterfacesIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := countedInterfaces(t, 2000+seed)
		compare(t, comparison{tool: "netstat", lines: p.lines(20, func() string {
			return "-i" + p.options(5, "a all", "e extend", "n numeric", "v verbose", "N symbolic", "l listening", "t tcp", "W wide", "p programs", "4 inet", "x unix", "F fib", "C cache", "g groups")
		})})
	})
}

// routes are of all kinds, in both families.
func routes(p *population) {
	p.link("eth0", "10.1.2.3/24", "fd00::5/64")
	p.link("abcdefghijklmn", "198.51.100.1/25") // as long as a name may be
	p.ip("route add default via 10.1.2.1 metric 100")
	p.ip("-6 route add default via fd00::1 metric 7")
	if p.rand.IntN(2) == 0 {
		p.advertise("eth0")
	} else if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/accept_ra", []byte("0"), 0o644); err != nil { // as a program does that obeys advertisements
		p.t.Fatal(err)
	}
	p.may("nexthop add id 1 via 10.1.2.7 dev eth0")
	p.may("nexthop add id 2 via 10.1.2.8 dev eth0")
	p.may("nexthop add id 3 group 1/2,7")
	p.may("nexthop add id 4 via fd00::7 dev eth0")
	p.may("nexthop add id 5 blackhole")
	p.t.Cleanup(func() { p.may("nexthop flush") })
	for i := range 30 {
		net := masked(fmt.Sprintf("10.%d.%d.0/%d", 20+i, p.rand.IntN(256), 15+p.rand.IntN(18)))
		net6 := masked(fmt.Sprintf("fd%02x::%x/%d", 16+i, p.rand.IntN(65536), 16+p.rand.IntN(113)))
		switch p.rand.IntN(15) {
		case 0:
			p.ip("route add blackhole " + net)
			p.ip("-6 route add blackhole " + net6)
		case 1:
			p.ip("route add unreachable " + net)
			p.ip("-6 route add unreachable " + net6)
		case 2:
			p.ip("route add prohibit " + net + " metric 9")
			p.ip("-6 route add prohibit " + net6)
		case 3:
			p.ip("route add throw " + net)
			p.ip("-6 route add throw " + net6 + " metric 99999")
		case 4:
			p.ip("route add " + net + " nexthop via 10.1.2.1 weight 3 nexthop via 10.1.2.2")
			p.ip("-6 route add " + net6 + " nexthop via fd00::1 nexthop via fd00::2")
		case 5:
			p.ip("route add " + net + " via 10.1.2.9 metric 50 advmss 1400 window 1000 rtt 300")
		case 6:
			p.ip("route add " + net + " dev eth0")
			p.ip("-6 route add " + net6 + " dev eth0 expires 3000")
		case 7:
			p.ip("route add " + net + " via 10.1.2.9 table 77")
			p.ip("-6 route add " + net6 + " via fd00::9 table 77")
		case 8:
			p.ip("route add " + net + " dev abcdefghijklmn metric 1234567")
			p.ip("-6 route add " + net6 + " dev abcdefghijklmn")
		case 9:
			p.ip("route add " + net + " dev lo")
			p.ip("-6 route add " + net6 + " dev lo")
		case 10:
			p.ip("route add " + net + " via 203.0.113.9 dev eth0 onlink rtt 70000")
		case 11:
			p.may(fmt.Sprintf("route add %s nhid %d", net, []int{1, 3, 5}[p.rand.IntN(3)]))
			p.may(fmt.Sprintf("-6 route add %s nhid %d", net6, 4+p.rand.IntN(2)))
		case 12:
			p.ip("route add local " + net + " dev lo table main")
			p.ip("-6 route add local " + net6 + " dev lo table main")
		case 13:
			p.ip("route add " + net + " dev eth0 proto ra")
			if !p.advertised {
				p.ip("-6 route add " + net6 + " via fd00::3 proto ra expires 500")
			}
		default:
			p.ip("route add " + net + " via 10.1.2.9 mtu 1300")
			p.ip("-6 route add " + net6 + " via fd00::9 metric 12")
		}
	}
	if p.rand.IntN(2) == 0 {
		p.may("addr add fd00:1::9/64 dev eth0 nodad valid_lft 4000 preferred_lft 3000")
		if !p.advertised {
			p.ip("-6 route add default via fd00::77 proto ra metric 1024 expires 900")
		}
	}
	p.may("route add 127.0.0.0/8 dev lo") // which has a name
	p.may("route add 0.0.0.0/1 via 10.1.2.4")
	if p.rand.IntN(3) == 0 {
		p.ip("link set abcdefghijklmn down")
	}
}

// advertise is a router that advertises itself, a prefix for addresses and one without, from the other end of a link.
func (p *population) advertise(dev string) {
	p.t.Helper()
	far, err := net.InterfaceByName(dev + "p")
	if err != nil {
		p.t.Fatal(err)
	}
	fd := p.keep(unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6))
	unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
	unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, far.Index)
	message := []byte{134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0}
	for i, flags := range []byte{0xc0, 0x80} { // on the link and for addresses; on the link
		prefix := netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::", i)).As16()
		message = append(append(message, 3, 4, 64, flags, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0), prefix[:]...)
	}
	all := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(far.Index)}
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(kerneltest.Command(p.t, "ip", "-6", "route", "show", "default", "dev", dev), "proto ra"); {
		if err := unix.Sendto(fd, message, 0, all); err != nil && time.Now().After(deadline) {
			p.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the kernel obeys no router advertisement")
		}
	}
	p.advertised = true
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

func TestRouteIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		routes(p)
		lines := []string{"-n", "", "-en", "-een", "-4 -n", "-6 -n", "-A inet6", "-nA inet", "-nC", "-nF"}
		compare(t, comparison{tool: "route", forget: forgetRoute, lines: append(lines, p.lines(10, func() string {
			return p.options(5, "n numeric", "e extend", "e extend", "4", "6", "-inet", "-inet6", "F fib", "C cache", "N symbolic", "v verbose", "n numeric")
		})...)})
		compare(t, comparison{tool: "netstat", forget: forgetRoute, lines: p.lines(10, func() string {
			return "-r" + p.options(5, "n numeric", "e extend", "e extend", "4 inet", "6 inet6", "F fib", "C cache", "N symbolic", "v verbose", "a all", "t tcp", "W wide", "-numeric-hosts", "-numeric-ports", "-numeric-users") + p.familiesOfNetstat()
		})})
	})
}

// net-tools 2.10 takes no -I: the line is that of its table.
func TestNetstatOfOneInterface(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	p := countedInterfaces(t, 1)
	p.ip("link set eth5 down")
	r := recorded(t)
	all, err := ofRealTool(t, "netstat", "-ia")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^(Kernel|Iface|eth5 ).*\n`).FindAllString(all, -1)
	for _, line := range []string{"-I eth5", "-I=eth5", "-Ieth5", "-i -I eth5", "--interface=eth5 -n"} {
		if got := printed(t, r, "netstat", strings.Fields(line)...); len(want) != 3 || got != strings.Join(want, "") {
			t.Errorf("netstat %s: %q, want %q", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"-I nosuch0":   "no interface nosuch0 at that moment: netsql ifconfig -a -s lists them",
		"-c":           "netstat -c prints each sample of a stretch of time: say which, such as --from 03:10 --to 03:20",
		"-2":           "netstat -2 is not replayed: Bluetooth is not recorded",
		"-A ax25":      "-A ax25: the families are inet, inet6, unix",
		"-rx":          "netstat -r: unix sockets have no routes; -4 and -6 have",
		"-Mi":          "netstat prints one table at a time: -r, -i, -s or -M",
		"--numeric-":   "netstat --numeric- is not replayed: netsql netstat --help lists the options that are, and netsql tables what can be asked in SQL",
		"--ipx":        "netstat --ipx is not replayed: only the families inet, inet6 and unix are recorded",
		"-t localhost": `netstat takes no "localhost": netsql netstat --help lists what it takes`,
	} {
		if got := refusedBy(t, r, "netstat", strings.Fields(line)); got != want {
			t.Errorf("netstat %s\n got %q\nwant %q", line, got, want)
		}
	}
}
