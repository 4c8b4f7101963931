package recorder

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
	"netsql/store"
)

// counted lists the counters of /proc/self/net with their values, read by words and not by
// the code under test.
func counted(t *testing.T) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	add := func(file, proto, name, value string) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all[file+" "+proto+" "+name] = n
	}
	group6 := regexp.MustCompile(`^(Ip6|Icmp6|UdpLite6|Udp6)(.+)$`)
	for _, file := range []string{"snmp", "snmp6", "netstat", "sockstat", "sockstat6", "protocols"} {
		b, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		for i, line := range lines {
			words := strings.Fields(line)
			switch file {
			case "protocols":
				if i > 0 && !regexp.MustCompile(`^(UDP|TCP|RAW|UNIX|AF_VSOCK|protocol)(v6|-STREAM)?$`).MatchString(words[0]) {
					add(file, words[0], "sockets", words[2])
				}
			case "snmp6":
				group := group6.FindStringSubmatch(words[0])
				if group == nil {
					t.Fatalf("%q is of no group that the test knows", line)
				}
				add(file, group[1], group[2], words[1])
			case "snmp", "netstat":
				if i%2 == 0 {
					for j, value := range strings.Fields(lines[i+1])[1:] {
						add(file, strings.TrimSuffix(words[0], ":"), words[1+j], value)
					}
				}
			default:
				for j := 1; j < len(words); j += 2 {
					add(file, strings.TrimSuffix(words[0], ":"), words[j], words[j+1])
				}
			}
		}
	}
	return all
}

func recordedCounters(r *testRecording) map[string]int64 {
	all := map[string]int64{}
	for _, m := range r.rows("SELECT file, proto, name, value FROM protocol_counters_now") {
		all[fmt.Sprintf("%s %s %s", m["file"], m["proto"], m["name"])] = m["value"].(int64)
	}
	return all
}

func TestProtocolCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	r := newRecording(t)
	src := newProtocolCounters(r.Writer, here(t))
	// Other tests of the machine move these; they are not of the namespace.
	ofTheMachine := map[string]bool{"sockstat TCP alloc": true, "sockstat TCP mem": true, "sockstat UDP mem": true, "sockstat sockets used": true}
	oracle := func() map[string]int64 {
		all := counted(t)
		for name := range ofTheMachine {
			delete(all, name)
		}
		return all
	}
	recorded := func() map[string]int64 {
		all := recordedCounters(r)
		for name := range ofTheMachine {
			if _, ok := all[name]; !ok {
				t.Errorf("%s is not recorded", name)
			}
			delete(all, name)
		}
		return all
	}
	agree(t, r, src, "at first", oracle, recorded)
	if n := len(recordedCounters(r)); n < 300 {
		t.Errorf("%d counters recorded, want more than 300", n)
	}
	before := recordedCounters(r)

	// What is done here is counted there.
	sendUDP(t, "127.0.0.1:9", 30, 10) // nobody listens: NoPorts, and ICMP to say so
	overflow(t, 5)
	agree(t, r, src, "after traffic", oracle, recorded)
	after := recordedCounters(r)
	for name, least := range map[string]int64{
		"snmp Udp NoPorts": 30, "snmp Udp OutDatagrams": 30, "snmp Icmp OutDestUnreachs": 1, "snmp IcmpMsg OutType3": 1,
		"netstat TcpExt ListenOverflows": 1, "netstat TcpExt ListenDrops": 1, "snmp Ip InReceives": 30, "snmp Tcp ActiveOpens": 2,
	} {
		if grown := after[name] - before[name]; grown < least {
			t.Errorf("%s grew by %d, want %d at least", name, grown, least)
		}
	}
	for name, want := range map[string]struct{ kind, words string }{
		"netstat TcpExt ListenOverflows": {"counter", "accept queue"},
		"snmp Tcp CurrEstab":             {"gauge", "ESTABLISHED"},
		"snmp6 Udp6 RcvbufErrors":        {"counter", "receive buffer"},
		"snmp6 Icmp6 InNeighborSolicits": {"counter", "link"},
		"sockstat TCP inuse":             {"gauge", "TCP sockets"},
		"sockstat6 UDP6 inuse":           {"gauge", "in use"},
		"snmp Tcp MaxConn":               {"gauge", "no limit"},
	} {
		words := strings.Fields(name)
		row := r.rows("SELECT kind, description FROM protocol_counters_now WHERE file = ? AND proto = ? AND name = ?", words[0], words[1], words[2])
		if len(row) != 1 || row[0]["kind"] != want.kind || !strings.Contains(text(row[0]["description"]), want.words) {
			t.Errorf("%s: %v, want a %s with the words %q", name, row, want.kind, want.words)
		}
	}
}

// overflow connects more often than the accept queue of a listener has room for.
func overflow(t *testing.T, connections int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	address := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 4444}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for range connections {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		unix.Connect(c, address) // goes on in the background
	}
	eventually(t, "the listener overflows", func() bool { return counted(t)["netstat TcpExt ListenOverflows"] > 0 })
}

// TestProtocolCountersOfOtherKernels: files that are missing, and counters that come and go.
func TestProtocolCountersOfOtherKernels(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "net"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "net", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r := newRecording(t)
	src := newProtocolCounters(r.Writer, namespace{id: store.Of(1), proc: dir})
	for _, step := range []struct {
		name, snmp string
		want       map[string]int64
		outcome    string
	}{
		{"nothing there", "", map[string]int64{}, "failed"},
		{"one group", "Tcp: A B\nTcp: 1 -1\n", map[string]int64{"snmp Tcp A": 1, "snmp Tcp B": -1}, "read"},
		{"a group before it", "IcmpMsg: InType3\nIcmpMsg: 7\nTcp: A B\nTcp: 1 -1\n",
			map[string]int64{"snmp IcmpMsg InType3": 7, "snmp Tcp A": 1, "snmp Tcp B": -1}, "read"},
		{"a counter less", "IcmpMsg: InType3\nIcmpMsg: 7\nTcp: B\nTcp: 2\n", map[string]int64{"snmp IcmpMsg InType3": 7, "snmp Tcp B": 2}, "read"},
		{"values missing", "Tcp: A B\nTcp: 1\n", map[string]int64{}, "failed"},
		{"past what SQLite holds", "Ip: A\nIp: 18446744073709551615\n", map[string]int64{"snmp Ip A": 1<<63 - 1}, "read"},
	} {
		if step.snmp != "" {
			write("snmp", step.snmp)
		}
		r.sample(src)
		if got := r.outcome("protocol_counters"); !strings.HasPrefix(got, step.outcome) {
			t.Errorf("%s: %s, want %s", step.name, got, step.outcome)
		}
		if diff := cmp.Diff(step.want, recordedCounters(r)); diff != "" {
			t.Errorf("%s (-want +recorded):\n%s", step.name, diff)
		}
	}
}

// TestProtocolWords: no two counters of a group share a sentence, and most have one.
func TestProtocolWords(t *testing.T) {
	if len(counterWords) < 150 {
		t.Errorf("%d counters have words, want 150", len(counterWords))
	}
	group := map[string]string{}
	for name, words := range counterWords {
		proto, counter, _ := strings.Cut(name, ".")
		if !strings.HasSuffix(words, ".") || len(words) > 120 {
			t.Errorf("%s: %q is no short sentence", name, words)
		}
		if other, twice := group[proto+words]; twice && !strings.HasPrefix(counter, other[:6]) && !strings.HasPrefix(other, counter[:6]) && counter != "OutForwDatagrams" && other != "OutForwDatagrams" {
			t.Errorf("%s and %s of %s share a sentence", counter, other, proto)
		}
		group[proto+words] = counter
	}
	for _, name := range []string{"Ip6 InReceives", "Ip6 InOctets", "Icmp6 OutEchos", "UdpLite NoPorts", "UdpLite6 RcvbufErrors",
		"TCP6 inuse", "RAW inuse", "FRAG6 memory", "Ip6 OutForwDatagrams"} {
		proto, counter, _ := strings.Cut(name, " ")
		if protocolWords(proto, counter) == "" {
			t.Errorf("%s has no words", name)
		}
	}
	for _, name := range []string{"TcpExt NoSuch", "UDP6 nosuch", "Ip6 NoSuch", " "} {
		proto, counter, _ := strings.Cut(name, " ")
		if words := protocolWords(proto, counter); words != "" {
			t.Errorf("%s: %q", name, words)
		}
	}
}

func FuzzProtocolFiles(f *testing.F) {
	f.Add([]byte("Tcp: RtoMin MaxConn\nTcp: 200 -1\n"))
	f.Add([]byte("Ip6InReceives   \t5\nUdpLite6NoPorts 18446744073709551615\n"))
	f.Add([]byte("sockets: used 14\nTCP: inuse 1 orphan 0 tw 0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte, counterVisit) error{parsePairs, parseSnmp6, parseSockstat} {
			n := 0
			parse(b, func(proto, name []byte, value store.Int) {
				n++
				if len(name) == 0 || value == (store.Int{}) || strings.ContainsAny(string(name), " \t\n") || strings.Contains(string(proto), "\n") {
					t.Errorf("%q.%q = %v", proto, name, value)
				}
			})
			if 2*n > len(b) {
				t.Errorf("%d counters in %d bytes", n, len(b))
			}
		}
		// What is written in the kernel's ways is read back.
		var pairs, snmp6, sockstat, want []string
		for i, name := range strings.FieldsFunc(string(b), func(r rune) bool { return r < 'A' || r > 'z' }) {
			pairs = append(pairs, fmt.Sprintf("Tcp: %s\nTcp: %d\n", name, i))
			snmp6 = append(snmp6, fmt.Sprintf("Tcp6%-20s\t%d\n", name, i))
			sockstat = append(sockstat, fmt.Sprintf("TCP: %s %d\n", name, i))
			want = append(want, fmt.Sprintf("%s=%d", name, i))
		}
		for _, file := range []struct {
			lines []string
			parse func([]byte, counterVisit) error
		}{{pairs, parsePairs}, {snmp6, parseSnmp6}, {sockstat, parseSockstat}} {
			var got []string
			err := file.parse([]byte(strings.Join(file.lines, "")), func(_, name []byte, value store.Int) {
				got = append(got, fmt.Sprintf("%s=%d", name, value.Or(-1)))
			})
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		}
	})
}

// How many sockets there are of the kinds that sockets leaves out is recorded, and they are in no row of it. The oracle is what
// the test has opened.
func TestSocketsThatAreLeftOut(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	counters, all := newProtocolCounters(r.Writer, here(t)), newSockets(r.Writer, here(t))
	count := func() map[string]int64 {
		got := map[string]int64{}
		for _, row := range r.rows("SELECT proto, value FROM protocol_counters_now WHERE file = 'protocols' AND name = 'sockets' AND kind = 'gauge' AND description LIKE '%sockets%'") {
			got[row["proto"].(string)] = row["value"].(int64)
		}
		return got
	}
	kinds := func() map[string]int64 {
		got := map[string]int64{}
		for _, row := range r.rows("SELECT proto, count(*) AS n FROM sockets_now GROUP BY proto") {
			got[row["proto"].(string)] = row["n"].(int64)
		}
		return got
	}
	r.sample(counters, all) // opens its own netlink socket
	r.sample(counters, all)
	before, shown := count(), kinds()
	want := map[string]int64{}
	for _, c := range []struct {
		kind                     string
		domain, socket, protocol int
		bind                     unix.Sockaddr
	}{
		{"PACKET", unix.AF_PACKET, unix.SOCK_DGRAM, 0, nil},
		{"PACKET", unix.AF_PACKET, unix.SOCK_RAW, 0, nil},
		{"NETLINK", unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE, nil},
		{"XDP", unix.AF_XDP, unix.SOCK_RAW, 0, nil},
		{"UDP-Lite", unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
		{"UDPLITEv6", unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
	} {
		if _, known := before[c.kind]; !known {
			continue // not of this kernel
		}
		fd, err := unix.Socket(c.domain, c.socket|unix.SOCK_CLOEXEC, c.protocol)
		if err != nil {
			t.Fatalf("%s: %v", c.kind, err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if c.bind != nil {
			if err := unix.Bind(fd, c.bind); err != nil {
				t.Fatalf("%s: %v", c.kind, err)
			}
		}
		want[c.kind]++
	}
	if want["PACKET"] != 2 || want["NETLINK"] != 1 {
		t.Fatalf("this kernel counts %v", before)
	}
	r.sample(counters, all)
	after := count()
	for kind, n := range want {
		if got := after[kind] - before[kind]; got != n {
			t.Errorf("%s: %d more, want %d", kind, got, n)
		}
	}
	if diff := cmp.Diff(shown, kinds()); diff != "" {
		t.Errorf("sockets shows them after all (-before +after):\n%s", diff)
	}
}

func BenchmarkProtocolCounters(b *testing.B) {
	b.Run("remembered", func(b *testing.B) { benchSource(b, newProtocolCounters, func(int) {}) })
	// As it would be without: every counter is Put in every sample.
	b.Run("put", func(b *testing.B) {
		var s *protocolCounters
		benchSource(b, func(w *store.Writer, ns namespace) source {
			s = newProtocolCounters(w, ns).(*protocolCounters)
			return s
		}, func(int) {
			for _, file := range s.files {
				file.counters = nil
			}
		})
	})
	b.Run("listening", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		benchSource(b, newProtocolCounters, func(int) {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			c.Close()
		})
	})
}
