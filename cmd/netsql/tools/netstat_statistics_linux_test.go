package tools

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// counterFiles are the files that netstat -s and nstat read.
func counterFiles(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, file := range []string{"snmp", "netstat", "snmp6"} {
		text, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// steady waits until no counter of this namespace has moved for a while: delayed acknowledgments are sent within 200 ms.
func (p *population) steady() {
	p.t.Helper()
	state := func() string {
		dev, err := os.ReadFile("/proc/self/net/dev")
		if err != nil {
			p.t.Fatal(err)
		}
		return counterFiles(p.t) + string(dev)
	}
	last, since := state(), time.Now()
	for deadline := time.Now().Add(20 * time.Second); time.Since(since) < 300*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if now := state(); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the counters do not come to rest")
		}
	}
}

// traffic of all kinds makes many counters other than 0. All is on lo, whose MTU is small, so that packets come in fragments.
func (p *population) traffic() {
	p.ip("link set lo mtu 1500")
	p.ip("addr add fd00::5/64 dev lo nodad")
	p.ip("addr add 10.1.2.3/24 dev lo")
	p.may("route add unreachable 10.66.0.0/16")
	some := func(most int) int { return 1 + p.rand.IntN(most) }
	for _, addr := range []string{"127.0.0.1", "10.1.2.3", "::1", "fd00::5"} {
		at, family := sockaddr(addr, 0)
		_ = at
		for range some(4) { // refused
			fd := p.keep(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
			to, _ := sockaddr(addr, 1)
			unix.Connect(fd, to)
			p.shut(fd)
		}
		l := p.listen(addr, 0, 5)
		for i := range some(6) {
			client, server := p.connect(l, addr)
			switch i % 6 {
			case 0: // closed with data that nobody read: a reset
				unix.Write(client, make([]byte, some(5000)))
				p.shut(server)
			case 1: // data after the other end has closed: a reset
				p.shut(server)
				unix.Write(client, []byte("x"))
				unix.Write(client, []byte("y"))
			case 2:
				unix.SetsockoptLinger(client, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
				p.shut(client)
			case 3: // a transfer
				buf := make([]byte, 30000)
				for range some(20) {
					n, _ := unix.SendmsgN(client, buf, nil, nil, unix.MSG_DONTWAIT)
					for n > 0 {
						got, err := unix.Read(server, buf)
						if err != nil {
							break
						}
						n -= got
					}
				}
			case 4: // a full window
				for {
					if _, err := unix.SendmsgN(client, make([]byte, 65536), nil, nil, unix.MSG_DONTWAIT); err != nil {
						break
					}
				}
				p.shut(client)
				p.shut(server)
			case 5: // small ones, each answered
				for range some(10) {
					unix.Write(client, []byte("ping"))
					unix.Read(server, make([]byte, 10))
					unix.Write(server, []byte("pong"))
					unix.Read(client, make([]byte, 10))
				}
			}
		}
		// A queue that is full: nobody accepts.
		full := p.listen(addr, 0, 0)
		for range 4 {
			fd := p.keep(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0))
			to, _ := sockaddr(addr, p.portOf(full))
			unix.Connect(fd, to)
			p.shut(fd) // else it would try again while the tools are compared
		}
		p.datagrams(addr, family, some)
		p.pings(addr, family, some(5))
	}
	// What never gets anywhere.
	fd := p.bound(unix.SOCK_DGRAM, "127.0.0.1", 0)
	for _, to := range []string{"10.66.1.2", "203.0.113.1", "224.0.0.77", "10.1.2.255"} {
		at, _ := sockaddr(to, 9)
		unix.Sendto(fd, []byte("x"), 0, at)
	}
}

// datagrams go to nobody, to one that is full, in fragments, to one that does not fit, and with UDP-Lite.
func (p *population) datagrams(addr string, family int, some func(int) int) {
	from := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	nobody, _ := sockaddr(addr, 2)
	for range some(5) {
		unix.Sendto(from, []byte("x"), 0, nobody)
	}
	full := p.bound(unix.SOCK_DGRAM, addr, 0)
	unix.SetsockoptInt(full, unix.SOL_SOCKET, unix.SO_RCVBUF, 2304)
	to, _ := sockaddr(addr, p.portOf(full))
	for range 5 + some(10) {
		unix.Sendto(from, make([]byte, 800), 0, to)
	}
	for range some(4) {
		unix.Sendto(from, make([]byte, 1500+some(8000)), 0, to)
	}
	if family == unix.AF_INET {
		strict := p.bound(unix.SOCK_DGRAM, addr, 0)
		unix.SetsockoptInt(strict, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		unix.Sendto(strict, make([]byte, 9000), 0, to)
	}
	if lite, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE); err == nil {
		p.keep(lite, nil)
		for range some(3) {
			unix.Sendto(lite, []byte("x"), 0, nobody)
		}
	}
}

// pings are messages of ICMP of all types, and packets of a protocol that nobody speaks.
func (p *population) pings(addr string, family, n int) {
	protocol, types := unix.IPPROTO_ICMP, []byte{0, 3, 4, 5, 8, 11, 12, 13, 14, 17, 18, 42}
	if family == unix.AF_INET6 {
		protocol, types = unix.IPPROTO_ICMPV6, []byte{1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, 150}
	}
	to, _ := sockaddr(addr, 0)
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		p.t.Fatal(err)
	}
	p.keep(fd, nil)
	for range 4 * n {
		message := make([]byte, 8+p.rand.IntN(60))
		message[0] = types[p.rand.IntN(len(types))]
		if p.rand.IntN(4) > 0 && family == unix.AF_INET { // else with a wrong checksum; that of ICMPv6 the kernel writes
			sum := uint32(0)
			for i := 0; i < len(message); i += 2 {
				sum += uint32(message[i]) << 8
				if i+1 < len(message) {
					sum += uint32(message[i+1])
				}
			}
			sum = sum>>16 + sum&0xffff
			message[2], message[3] = byte(^sum>>8), byte(^sum)
		}
		unix.Sendto(fd, message, 0, to)
	}
	if fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 252); err == nil {
		unix.Sendto(fd, make([]byte, 20), 0, to)
		unix.Close(fd)
		p.wrongPackets(addr, family)
	}
}

// wrongPackets are of a length and to an address that cannot be.
func (p *population) wrongPackets(addr string, family int) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	to, _ := sockaddr(addr, 0)
	if family == unix.AF_INET {
		source := netip.MustParseAddr(addr).As4()
		for _, protocol := range []byte{6, 17, 17, 99} {
			packet := make([]byte, 40)
			packet[0], packet[8], packet[9] = 0x45, 64, protocol
			copy(packet[12:], source[:])
			copy(packet[16:], source[:])
			packet[24], packet[25] = byte(p.rand.IntN(2)), 8 // the length of UDP
			packet[26] = 0xbe                                // a wrong checksum
			unix.Sendto(fd, packet, 0, to)
		}
		fragment := make([]byte, 60)
		fragment[0], fragment[6], fragment[8], fragment[9] = 0x45, 0x20, 64, 17
		copy(fragment[12:], source[:])
		copy(fragment[16:], source[:])
		unix.Sendto(fd, fragment, 0, to)
	}
}

var statisticsLines = []string{"-s", "-st", "-su", "-sw", "-stu", "-stw", "-suw", "-sU", "-sS", "-s4", "-s6", "-s6t", "-s6u", "-s6w", "-s -A inet6", "-s -A inet", "-san", "-s --udp -p", "-sg"}

func TestStatisticsAreTheRealOnes(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		p.traffic()
		undisturbed(p, comparison{tool: "netstat", whole: theText, lines: append(slices.Clone(statisticsLines), p.lines(20, func() string {
			return "-s" + p.options(5, "t tcp", "u udp", "w raw", "U udplite", "S sctp", "n numeric", "a all", "e extend", "p programs", "o timers", "W wide", "N symbolic", "v verbose", "l listening",
				"g groups", "C cache", "F fib", []string{"4 inet", "6 inet6", "6 inet6"}[p.rand.IntN(3)])
		})...)})
		counted := 0
		for line := range strings.Lines(kerneltest.Command(t, "nstat", "-as")) {
			counted += b2i(!strings.HasPrefix(line, "#"))
		}
		if counted < 90 {
			t.Errorf("only %d counters are not 0", counted)
		}
	})
}

// theText is a text with the order of its lines, and JSON in one form.
func theText(t *testing.T, text string) string {
	if strings.HasPrefix(text, "{") {
		return normalJSON(t, text)
	}
	return text
}

// undisturbed compares where no counter moved in the meantime: the kernel has timers of its own.
func undisturbed(p *population, c comparison) {
	p.t.Helper()
	for try := range 6 {
		p.steady()
		before := counterFiles(p.t)
		failed := c.on(p.t, recorded(p.t))
		if counterFiles(p.t) != before && try < 5 {
			continue
		}
		for _, f := range failed {
			p.t.Error(f)
		}
		return
	}
}

func TestNstatIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		p.traffic()
		patterns := []string{"Tcp*", "UDP*", "icmp6?n*", "*[fF]ail*", "IpIn[!R]*", "nothing", "*", "Ip6*", "[A-T]cp*s", "*octets", "TcpActiveOpens", "??Ext*", "*[!a-m]", "Icmp*Type*"}
		undisturbed(p, comparison{tool: "nstat", whole: theText, lines: append([]string{"-azs", "-as", "-az -s Tcp* UDP*", "-asj", "-azjsp", "-asj nothing"}, p.lines(20, func() string {
			line := "-as" + p.options(4, "z zeros", "j json", "p pretty", "z zero", "a ignore", "s noupdate")
			for range p.rand.IntN(4) {
				line += " " + patterns[p.rand.IntN(len(patterns))]
			}
			return line
		})...)})
	})
}

func normalJSON(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	normal, _ := json.Marshal(value)
	return string(normal)
}

// The history file of nstat has what the sample before has in ours.
func TestGrowthIsThatOfNstat(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p := populate(t, seed)
		p.sockets([]string{"127.0.0.1"}, []string{"::1"})
		dir := t.TempDir()
		path, history := filepath.Join(dir, "two.db"), filepath.Join(dir, "history")
		nstat := func(words ...string) string {
			return kerneltest.Command(t, "env", append([]string{"NSTAT_HISTORY=" + history, "nstat"}, words...)...)
		}
		sample := func() { record(t, recorder.Config{Path: path}) }
		p.steady()
		before := counterFiles(t)
		sample()
		nstat("-n")
		if counterFiles(t) != before {
			t.Skip("a counter moved between the history of nstat and the sample")
		}
		p.traffic()
		p.steady()
		before = counterFiles(t)
		sample()
		r := opened(t, path)
		for _, line := range []string{"-s", "-sz", "-sz Tcp*", "-sj"} {
			words := strings.Fields(line)
			want, got := nstat(words...), printed(t, r, "nstat", words...)
			if strings.Contains(line, "j") {
				want, got = normalJSON(t, want), normalJSON(t, got)
			} else {
				want, got = withoutRates(want), withoutRates(got)
			}
			if want != got && counterFiles(t) == before {
				t.Errorf("nstat %s differs (- the real one, + netsql):\n%s", line, cmp.Diff(want, got))
			}
		}
		// netstat -s --since prints the same growth in its sentences: it is that of nstat, put into the files that the real one reads.
		var first float64
		rows, err := r.Query(t.Context(), "SELECT min(ts) FROM samples")
		if err != nil || !rows.Next() || rows.Scan(&first) != nil {
			t.Fatal(err)
		}
		rows.Close()
		grew := map[string]string{}
		for line := range strings.Lines(nstat("-sz")) {
			if words := strings.Fields(line); len(words) == 3 {
				grew[words[0]] = words[1]
			}
		}
		fake := filepath.Join(dir, "proc")
		asIfCounted(t, fake, grew)
		for _, line := range []string{"-s", "-s6", "-st"} {
			want := netstatOf(t, fake, line)
			got := printed(t, r, "netstat", line, "--since", time.UnixMicro(int64(first*1e6)+1).Format("2006-01-02 15:04:05.999999"))
			if want != got && counterFiles(t) == before {
				t.Errorf("netstat %s --since differs (- the real one, + netsql):\n%s", line, cmp.Diff(want, got))
			}
		}
	})
}

// withoutRates cuts off the rates: nstat knows them as a daemon only.
func withoutRates(text string) string {
	var all strings.Builder
	for line := range strings.Lines(text) {
		all.WriteString(line[:min(len(line), 48)] + "\n")
	}
	return all.String()
}

// asIfCounted writes the files of the kernel with other numbers, by the names of nstat; what it does not list keeps its number.
func asIfCounted(t *testing.T, dir string, numbers map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"snmp", "netstat", "snmp6"} {
		text, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		for i := 0; i < len(lines); i++ {
			names := strings.Fields(lines[i])
			if file == "snmp6" {
				if n, ok := numbers[names[0]]; ok {
					names[1] = n
				}
				fmt.Fprintf(&out, "%-32s\t%s\n", names[0], names[1])
				continue
			}
			i++
			values := strings.Fields(lines[i])
			for j := range names[1:] {
				if n, ok := numbers[strings.TrimSuffix(names[0], ":")+names[j+1]]; ok {
					values[j+1] = n
				}
			}
			fmt.Fprintf(&out, "%s\n%s\n", strings.Join(names, " "), strings.Join(values, " "))
		}
		if err := os.WriteFile(filepath.Join(dir, "net", file), []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// netstatOf is what the real tool prints of files in a folder that stand for those of the kernel.
func netstatOf(t *testing.T, dir, options string) string {
	t.Helper()
	return kerneltest.Command(t, "unshare", "-m", "sh", "-c", fmt.Sprintf("mount --bind %s /proc && netstat %s", dir, options))
}

// The real tool is given all counters that it or this kernel has a name for, at numbers that no kernel has at once, and in any order.
func TestAllSentencesAreTheRealOnes(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	dir := filepath.Join(t.TempDir(), "proc")
	if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	groups := namesOfCounters(t)
	for seed := range 10 * seeds() {
		random := rand.New(rand.NewPCG(seed, 3))
		var rows []countedRow
		text := map[string]*strings.Builder{"snmp": {}, "netstat": {}, "snmp6": {}}
		for _, file := range []string{"snmp", "netstat", "snmp6"} {
			for _, group := range slices.Sorted(maps.Keys(groups[file])) {
				names := slices.Clone(groups[file][group])
				random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
				names = names[:1+random.IntN(len(names))]
				if seed < 2 {
					names = groups[file][group]
				}
				var values []string
				for _, name := range names {
					value := []int64{0, 0, 1, 2, random.Int64N(1 << (1 + random.IntN(50)))}[random.IntN(5)]
					if seed == 0 {
						value = 1
					}
					rows = append(rows, countedRow{File: file, Proto: group, Name: name, Now: value, Value: sql.Null[int64]{V: value, Valid: true}})
					values = append(values, strconv.FormatInt(value, 10))
					if file == "snmp6" {
						fmt.Fprintf(text[file], "%-32s\t%d\n", group+name, value)
					}
				}
				if file != "snmp6" {
					fmt.Fprintf(text[file], "%s: %s\n%s: %s\n", group, strings.Join(names, " "), group, strings.Join(values, " "))
				}
			}
		}
		for file, all := range text {
			if err := os.WriteFile(filepath.Join(dir, "net", file), []byte(all.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, line := range statisticsLines {
			var got bytes.Buffer
			found, _ := Named("netstat")
			var o netstatOptions
			c := found.Command()
			if _, err := c.Parse(strings.Fields(line)); err != nil {
				t.Fatal(err)
			}
			flag := func(name string) bool { is, _ := c.Flags.GetBool(name); return is }
			o.tcp, o.udp, o.raw, o.udplite, o.sctp, o.six = flag("tcp"), flag("udp"), flag("raw"), flag("udplite"), flag("sctp"), strings.Contains(line, "6")
			o.printStatistics(rows, &got)
			if want := netstatOf(t, dir, line); want != got.String() {
				t.Fatalf("seed %d: netstat %s differs (- the real one, + netsql):\n%s", seed, line, differing(strings.Split(want, "\n"), strings.Split(got.String(), "\n")))
			}
		}
	}
}

// namesOfCounters are the counters by file and group: those of this kernel, and those that a sentence is known for.
func namesOfCounters(t *testing.T) map[string]map[string][]string {
	t.Helper()
	groups := map[string]map[string][]string{"snmp": {}, "netstat": {}, "snmp6": {}}
	for _, file := range []string{"snmp", "netstat"} {
		text, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for i := 0; i+1 < len(lines); i += 2 {
			names := strings.Fields(lines[i])
			groups[file][strings.TrimSuffix(names[0], ":")] = names[1:]
		}
	}
	text, err := os.ReadFile("/proc/self/net/snmp6")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name := strings.Fields(line)[0]
		group := name[:strings.IndexByte(name, '6')+1]
		groups["snmp6"][group] = append(groups["snmp6"][group], strings.TrimPrefix(name, group))
	}
	for group, sentences := range statistics {
		for _, of := range groups {
			if _, is := of[group]; !is {
				continue
			}
			for name := range sentences {
				if !slices.Contains(of[group], name) {
					of[group] = append(of[group], name)
				}
			}
		}
	}
	return groups
}

func TestStatisticsRefuse(t *testing.T) {
	for line, want := range map[string]string{
		"-s -x":           "netstat -s has statistics of one family at a time: -4 or -6",
		"-s46":            "netstat -s has statistics of one family at a time: -4 or -6",
		"-s -r":           "netstat prints one table at a time: -r, -i, -s or -M",
		"-t --since 2:00": "--since goes with -s: netsql netstat -s --since 02:00 says what the counters grew by",
	} {
		if got := refusal(t, "netstat", line); got != want {
			t.Errorf("netstat %s\n got %q\nwant %q", line, got, want)
		}
	}
	for line, want := range map[string]string{
		"-d 5":  "nstat -d is not replayed: netsql record is what samples",
		"-az [": "no pattern [: * stands for any letters, ? for one, [a-f] for one of some",
	} {
		if got := refusal(t, "nstat", line); got != want {
			t.Errorf("nstat %s\n got %q\nwant %q", line, got, want)
		}
	}
}
