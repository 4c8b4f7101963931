package tools

import (
	"bytes"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// With IPv6 an interface sends by itself for some seconds: its counters move.
var ifconfigCounters = regexp.MustCompile(`^        (RX|TX) (packets|errors) .*$`)

func forgetIfconfig(line string) string {
	return ifconfigCounters.ReplaceAllString(line, "        $1 $2")
}

func TestIfconfigIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		interfaces(p)
		compare(t, comparison{tool: "ifconfig", forget: forgetIfconfig, lines: []string{"", "-a", "-v", "-a -v", "eth5", "eth0:1", "lo"}})
		compare(t, comparison{tool: "netstat", forget: forgetIfconfig, lines: []string{"-ie", "-iea"}})
	})
}

// interfaces are of the kinds that this kernel has, with addresses of all scopes, labels and flags.
func interfaces(p *population) {
	addrs6 := []string{"fd00::5/64", "2002:a00::1/16", "fec0::9/10", "::10.2.3.4/96", "::0.0.3.4/96", "::ffff:10.2.3.5/96", "2001:db8:0:0:1::/80", "fe80::77/64", "::2/128", "1::/128"}
	for i := range 2 + p.rand.IntN(3) {
		name := fmt.Sprintf("eth%d", 5*i)
		p.link(name)
		for j := range p.rand.IntN(4) {
			addr := fmt.Sprintf("10.%d.%d.3/%d", i, j/2, []int{8, 24, 30, 31, 32}[p.rand.IntN(5)])
			line := "addr add " + addr + " dev " + name
			if p.rand.IntN(2) == 0 {
				line += " brd +"
			}
			if p.rand.IntN(3) == 0 {
				line += fmt.Sprintf(" label %s:%d", name, p.rand.IntN(12))
			}
			p.may(line)
		}
		for range p.rand.IntN(5) {
			p.may("addr add " + addrs6[p.rand.IntN(len(addrs6))] + " dev " + name + " nodad")
		}
		for _, change := range []string{"promisc on", "allmulticast on", "arp off", "multicast off", fmt.Sprintf("mtu %d", 1280+p.rand.IntN(1000)), fmt.Sprintf("txqueuelen %d", p.rand.IntN(2000)), "down"} {
			if p.rand.IntN(5) == 0 {
				p.ip("link set " + name + " " + change)
			}
		}
	}
	p.ip("addr add 10.99.0.1/24 brd + label eth0:1 dev eth0")
	p.may("link set eth10 name longnameeth1")
	for i, kind := range []string{"bridge", "dummy", "bond", "ifb", "vlan id 7", "macvlan", "vrf table 9", "ipip", "sit", "wireguard", "gre"} {
		line := fmt.Sprintf("link add k%d type %s", i, kind)
		if strings.HasPrefix(kind, "vlan") || strings.HasPrefix(kind, "macvlan") {
			line = fmt.Sprintf("link add link eth0p name k%d type %s", i, kind)
		}
		if p.rand.IntN(2) == 0 && p.may(line) {
			name := fmt.Sprintf("k%d", i)
			p.t.Cleanup(func() { p.may("link del " + name) })
		}
	}
	for i, mode := range []string{"tun", "tap"} {
		name := fmt.Sprintf("t%d", i)
		if !p.may("tuntap add mode " + mode + " name " + name) {
			continue
		}
		p.t.Cleanup(func() { p.may("link del " + name) })
		p.may(fmt.Sprintf("addr add 10.77.%d.1 peer 10.77.%d.2 dev %s", i, i, name))
		if p.rand.IntN(2) == 0 {
			p.ip("link set " + name + " up")
		}
	}
}

// countedInterfaces have sent and received something. Without IPv6 nothing is sent but what the test sends: all counters are compared.
func countedInterfaces(t *testing.T, seed uint64) *population {
	p := populate(t, seed)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	interfaces(p)
	for _, to := range []string{"10.0.0.77", "127.0.0.1", "10.1.0.255", "10.0.255.255"} {
		for _, dev := range []string{"eth0", "eth5", "longnameeth1", "eth15"} { // nobody is asked by ARP
			p.may("neigh add " + to + " lladdr 02:00:00:00:00:01 dev " + dev)
		}
		at, family := sockaddr(to, 9)
		fd := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
		for range 1 + p.rand.IntN(50) {
			unix.Sendto(fd, make([]byte, p.rand.IntN(1400)), 0, at)
		}
	}
	p.steady()
	return p
}

func TestIfconfigCountsAsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := countedInterfaces(t, seed)
		links, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		names := []string{"eth0:1", "nosuch0"}
		for _, link := range links {
			names = append(names, link.Name)
		}
		compare(t, comparison{tool: "ifconfig", lines: append([]string{"", "-a", "-s", "-s -a", "-s eth0", "eth0", "t1"}, p.lines(15, func() string {
			line := ""
			for _, option := range []string{" -a", " -s", " -v"} { // which ifconfig takes apart only
				if p.rand.IntN(2) == 0 {
					line = option + line
				}
			}
			if p.rand.IntN(2) == 0 {
				line += " " + names[p.rand.IntN(len(names))]
			}
			return line
		})...)})
	})
}

// The real tool is given numbers that no machine has.
func TestIfconfigWritesAnyNumbers(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	kerneltest.Command(t, "ip", "link", "set", "lo", "up")
	random := rand.New(rand.NewPCG(1, 2))
	var sizes []int64
	for shift := 10; shift <= 60; shift += 10 {
		for near := int64(-1); near <= 1; near++ {
			sizes = append(sizes, int64(1)<<shift+near, (int64(1)<<shift)*10+near)
		}
	}
	sizes = append(sizes, 0, 1, 922337203685477579, 922337203685477580, 922337203685477581, 1<<63-1)
	for range 50 * seeds() {
		sizes = append(sizes, random.Int64()>>random.IntN(63))
	}
	for _, size := range sizes {
		if size < 0 {
			continue // ten times an EiB
		}
		n := make([]int64, 16)
		for i := range n {
			n[i] = int64(random.IntN(3)) * random.Int64N(1<<(2+random.IntN(40)))
		}
		n[0], n[8] = size, random.Int64()>>random.IntN(63)
		line := strings.Trim(fmt.Sprint(n), "[]")
		text := "Inter-|   Receive                                                |  Transmit\n" +
			" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo: " + line + "\n"
		if err := os.WriteFile(filepath.Join(dir, "net", "dev"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		i := configuredInterface{ifconfigRow: ifconfigRow{
			Name: "lo", Type: "loopback", MTU: 65536, Flags: "UP,LOOPBACK,RUNNING,LOWER_UP", TxQLen: sql.Null[int64]{V: 1000, Valid: true},
			RxBytes: n[0], RxPackets: sql.Null[int64]{V: n[1], Valid: true}, RxErrors: n[2], RxDropped: n[3], RxFIFO: n[4], RxFrame: n[5],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11], TxFIFO: n[12], Collisions: n[13], TxCarrier: n[14],
		}, addresses: []ifconfigAddress{{Family: 4, Addr: "127.0.0.1", PrefixLen: 8}}}
		var block, short bytes.Buffer
		i.block(&block)
		short.WriteString("Iface      MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg\n")
		i.line(&short)
		for arg, got := range map[string]string{"": block.String(), "-s": short.String()} {
			if want := kerneltest.Command(t, "unshare", "-m", "sh", "-c", fmt.Sprintf("mount --bind %s /proc && ifconfig %s lo", dir, arg)); got != want {
				t.Fatalf("ifconfig %s of %s\n%s", arg, line, differing(strings.Split(want, "\n"), strings.Split(got, "\n")))
			}
		}
	}
}

func TestIfconfigRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"eth0 up":   "ifconfig eth0 up is not replayed: a recording changes no interfaces; SELECT * FROM interface_changes has when they were changed",
		"-x":        "ifconfig -x is not replayed: netsql ifconfig --help lists the options that are, and netsql tables what can be asked in SQL",
		"eth0 -arp": "ifconfig -r is not replayed: netsql ifconfig --help lists the options that are, and netsql tables what can be asked in SQL",
	} {
		if got := refusal(t, "ifconfig", line); got != want {
			t.Errorf("ifconfig %s\n got %q\nwant %q", line, got, want)
		}
	}
}

// refusal is what a tool says of a line that it does not take.
func refusal(t *testing.T, tool, line string) string {
	t.Helper()
	found, _ := Named(tool)
	c := found.Command()
	words, err := c.Parse(strings.Fields(line))
	if err == nil {
		err = c.Print(t.Context(), &Moment{}, words, new(bytes.Buffer))
	}
	if err == nil {
		t.Fatalf("%s %s is taken", tool, line)
	}
	return err.Error()
}

// Whatever stands in a recording is printed: an address is one that reads back, or is left as it is.
func FuzzAddressesOfIfconfig(f *testing.F) {
	for _, addr := range []string{"::1", "::", "::ffff:1.2.3.4", "::102:304", "::0.0.3.4", "fe80::1%eth0", "fec0::1", "", "x", "1.2.3.4", "::ffff:0:0"} {
		f.Add(addr, int64(0))
	}
	f.Fuzz(func(t *testing.T, addr string, size int64) {
		text := text6(addr)
		wordOfScope6(addr)
		if a, err := netip.ParseAddr(addr); err == nil {
			if b, err := netip.ParseAddr(text); err != nil || a.Unmap() != b.Unmap() {
				t.Errorf("%s is written %s", addr, text)
			}
		} else if text != addr {
			t.Errorf("%q is written %q", addr, text)
		}
		i := configuredInterface{ifconfigRow: ifconfigRow{Name: "x", MAC: addr, Flags: addr}, addresses: []ifconfigAddress{{Family: 6, Addr: addr}}}
		var out bytes.Buffer
		i.block(&out)
		if size >= 0 && binarySize(size) == "" {
			t.Error("no size")
		}
	})
}
