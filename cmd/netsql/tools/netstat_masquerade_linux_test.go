package tools

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// asMasquerades writes the flows of /proc/net/nf_conntrack whose source is translated as Linux 2.2 had them in /proc/net/ip_masquerade, which the real
// tool reads.
func asMasquerades(t *testing.T, dir string) (entries int) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/nf_conntrack")
	if err != nil {
		kerneltest.NeedKernel(t, "flows cannot be read from /proc: "+err.Error())
	}
	file := "Prc FromIP   FPrt ToIP     TPrt Masq Init-seq  Delta PDelta Expires (free=4096,4096,4096)\n"
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		var values [2]map[string]string // of both directions
		at := -1
		for _, word := range words {
			name, value, _ := strings.Cut(word, "=")
			if name == "src" {
				at++
				values[at] = map[string]string{}
			}
			if at >= 0 {
				values[at][name] = value
			}
		}
		there, back := values[0], values[1]
		if words[0] != "ipv4" || there["src"] == back["dst"] && there["sport"] == back["dport"] {
			continue
		}
		number := func(addr string) uint32 { b := netip.MustParseAddr(addr).As4(); return binary.BigEndian.Uint32(b[:]) }
		port := func(text string) (n int) { fmt.Sscan(text, &n); return n }
		file += fmt.Sprintf("%s %08X:%04X %08X:%04X %04X %08X %6d %6d %7s\n", strings.ToUpper(words[2]), number(there["src"]), port(there["sport"]),
			number(there["dst"]), port(there["dport"]), port(back["dport"]), 0, 0, 0, words[4])
		entries++
	}
	if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "net", "ip_masquerade"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	return entries
}

// When an entry expires and how its sequence numbers are moved is not recorded.
var (
	masqueradeExpires   = regexp.MustCompile(`^(\S+) +(?:-|\d+:\d\d\.\d\d) `)
	masqueradeSequences = regexp.MustCompile(`^(\S+ - ) +(?:-|\d+) +(?:-|\d+) +(?:-|\d+) `)
)

func forgetMasquerade(line string) string {
	return masqueradeSequences.ReplaceAllString(masqueradeExpires.ReplaceAllString(line, "$1 - "), "$1")
}

func TestMasqueradeIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		p.link("eth0", "10.1.2.3/24")
		p.ip("neigh add 10.1.2.9 lladdr 02:00:00:00:00:09 dev eth0")
		for i := range 3 {
			p.ip(fmt.Sprintf("addr add 10.7.7.%d/32 dev lo", i))
		}
		kerneltest.Command(t, "nft", `table ip t {
				chain out { type nat hook output priority -100; ip daddr 10.1.2.77 dnat to 10.1.2.9; }
				chain post { type nat hook postrouting priority 100;
					ip saddr 10.7.7.0 meta l4proto { tcp, udp } masquerade to :2000-60000 random;
					ip saddr 10.7.7.1 snat to 10.1.2.3; }
			}`)
		for range 10 + p.rand.IntN(20) {
			from := fmt.Sprintf("10.7.7.%d", p.rand.IntN(3))
			to, _ := sockaddr([]string{"10.1.2.9", "10.1.2.77"}[p.rand.IntN(2)], []int{53, 80, 1 + p.rand.IntN(65535)}[p.rand.IntN(3)])
			kind := []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW}[p.rand.IntN(3)]
			if kind == unix.SOCK_RAW {
				fd := p.keep(unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP))
				at, _ := sockaddr(from, 0)
				if err := unix.Bind(fd, at); err != nil {
					t.Fatal(err)
				}
				unix.Sendto(fd, []byte{8, 0, 0xf7, 0xff - 8, 0, 8, 0, 0}, 0, to)
				continue
			}
			fd := p.bound(kind|unix.SOCK_NONBLOCK, from, 0)
			unix.Connect(fd, to)
			unix.Write(fd, []byte("x"))
		}
		path := filepath.Join(t.TempDir(), "flows.db")
		record(t, recorder.Config{Path: path, Conntrack: true})
		r := opened(t, path)
		dir := filepath.Join(t.TempDir(), "proc")
		if n := asMasquerades(t, dir); n < 3 {
			t.Fatalf("only %d flows are masqueraded", n)
		}
		c := comparison{forget: forgetMasquerade}
		for _, line := range append([]string{"-M", "-Mn", "--masq -e"}, p.lines(10, func() string {
			return "-M" + p.options(5, "n numeric", "e extend", "e extend", "t tcp", "a all", "W wide", "v verbose", "-numeric-hosts", "-numeric-ports", "N symbolic", "4 inet", "x unix", "g groups")
		})...) {
			if want, got := c.linesOf(netstatOf(t, dir, line)), c.linesOf(printed(t, r, "netstat", strings.Fields(line)...)); len(want) < 5 || strings.Join(want, "\n") != strings.Join(got, "\n") {
				t.Errorf("netstat %s differs (- the real one, + netsql):\n%s", line, differing(want, got))
			}
		}
	})
}

func TestMasqueradeNeedsConntrack(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	populate(t, 0)
	want := "netstat -M: connection tracking was not recorded at that moment; netsql record --conntrack records it"
	if got := refusedBy(t, recorded(t), "netstat", []string{"-M"}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
