package recorder

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
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
	for _, file := range []string{"snmp", "snmp6", "netstat", "sockstat", "sockstat6", "protocols", "xfrm_stat", "stat/nf_conntrack"} {
		b, err := os.ReadFile("/proc/self/net/" + file)
		if os.IsNotExist(err) && (file == "xfrm_stat" || file == "stat/nf_conntrack") {
			continue // not of this kernel
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		for i, line := range lines {
			words := strings.Fields(line)
			switch file {
			case "xfrm_stat":
				add(file, "Xfrm", words[0], words[1])
			case "stat/nf_conntrack":
				if i > 0 {
					addCPU(all, "nf_conntrack", strings.Fields(lines[0]), words)
				}
			case "protocols":
				if i > 0 && !regexp.MustCompile(`^(UDP|TCP|RAW|UNIX|AF_VSOCK|PACKET|UDP-Lite|UDPLITE|NETLINK|PING|MPTCP|protocol)(v6|-STREAM)?$`).MatchString(words[0]) {
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
	for _, name := range []string{"entries", "drop", "early_drop", "insert_failed"} { // of the table conntrack
		delete(all, "nf_conntrack nf_conntrack "+name)
	}
	return all
}

// addCPU adds a line of a file of /proc/net/stat.
func addCPU(all map[string]int64, file string, titles, words []string) {
	for i, title := range titles {
		n, err := strconv.ParseInt(words[i], 16, 64)
		if err != nil {
			panic(err)
		}
		name := file + " " + file + " " + title
		if title == "entries" {
			all[name] = 0 // each line has them all
		}
		all[name] += n
	}
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

// TestXfrmCounters: packets that an IPsec policy blocks are counted where netstat and nstat find them.
func TestXfrmCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	quiet(t)
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	if _, err := os.Stat("/proc/self/net/xfrm_stat"); err != nil {
		kerneltest.NeedKernel(t, err.Error())
	}
	r := newRecording(t)
	src := newProtocolCounters(r.Writer, here(t))
	r.sample(src)
	ip(t, "xfrm policy add src 10.1.0.1/32 dst 10.1.0.2/32 dir out action block")
	const packets = 7
	blocked := 0
	for range packets {
		c, err := net.Dial("udp4", "10.1.0.2:9")
		if err != nil {
			blocked++ // that it may not go there is said at once
			continue
		}
		c.Close()
	}
	r.sample(src)
	want := []map[string]any{{"file": "xfrm_stat", "proto": "Xfrm", "name": "XfrmOutPolBlock", "value": int64(blocked), "description": "To be sent, and the policy blocks it."}}
	got := r.rows("SELECT file, proto, name, value, description FROM protocol_deltas WHERE proto = 'Xfrm' AND value > 0")
	if diff := cmp.Diff(want, got); diff != "" || blocked != packets {
		t.Errorf("%d blocked (-want +got):\n%s", blocked, diff)
	}
}

// TestConntrackCounters: packets that belong to no connection are counted where conntrack -S finds them, in the namespace that they came to.
func TestConntrackCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	for _, line := range []string{"add table inet t", "add chain inet t c { type filter hook output priority 0 ; }", "add rule inet t c ct state invalid counter"} {
		if out, err := exec.Command("nft", strings.Fields(line)...).CombinedOutput(); err != nil {
			kerneltest.NeedKernel(t, string(out))
		}
	}
	r := newRecording(t)
	src := newProtocolCounters(r.Writer, here(t))
	r.sample(src)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const packets = 9
	for range packets { // TCP without any flag
		if err := unix.Sendto(fd, make([]byte, 20), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	r.sample(src)
	counted := kerneltest.Command(t, "nft", "list", "table", "inet", "t")
	if !strings.Contains(counted, fmt.Sprintf("packets %d ", packets)) {
		t.Fatalf("nft does not count %d invalid packets: %s", packets, counted)
	}
	got := r.rows("SELECT file, name, value > 0 AS grew, kind FROM protocol_deltas WHERE name = 'invalid' AND value >= ?", packets)
	if diff := cmp.Diff([]map[string]any{{"file": "nf_conntrack", "name": "invalid", "grew": int64(1), "kind": "counter"}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%v", diff, r.rows("SELECT * FROM protocol_deltas WHERE file = 'nf_conntrack' AND value > 0"))
	}
}

// TestMachineCounters: the tables of neighbours and the open files are counted for the whole machine, in which other programs work too: what is
// recorded lies between two readings.
func TestMachineCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	read := func() map[string]int64 {
		all := map[string]int64{}
		for _, file := range []string{"arp_cache", "ndisc_cache"} {
			b, err := os.ReadFile("/proc/1/net/stat/" + file) // the kernel shows it nowhere else
			if err != nil {
				kerneltest.NeedKernel(t, err.Error())
			}
			lines := strings.Split(strings.TrimSpace(string(b)), "\n")
			for _, line := range lines[1:] {
				addCPU(all, file, strings.Fields(lines[0]), strings.Fields(line))
			}
		}
		b, err := os.ReadFile("/proc/sys/fs/file-nr")
		if err != nil {
			t.Fatal(err)
		}
		var unused int64
		var open, most int64
		if _, err := fmt.Sscan(string(b), &open, &unused, &most); err != nil {
			t.Fatal(err)
		}
		all["file-nr files allocated"], all["file-nr files max"] = open, most
		return all
	}
	r := newRecording(t)
	src := newMachineCounters(r.Writer, here(t))
	before := read()
	r.sample(src)
	after, got := read(), recordedCounters(r)
	if len(got) != len(before) || len(got) < 2*12+2 {
		t.Errorf("%d counters, the kernel has %d", len(got), len(before))
	}
	gauges := map[string]bool{"arp_cache arp_cache entries": true, "ndisc_cache ndisc_cache entries": true, "file-nr files allocated": true}
	for name, n := range got {
		switch low, high := before[name], after[name]; {
		case gauges[name]: // it goes up and down
			if n < min(low, high)/2 || n > 2*max(low, high) {
				t.Errorf("%s is %d, and was %d and %d", name, n, low, high)
			}
		case n < low || n > high:
			t.Errorf("%s is %d, not between %d and %d", name, n, low, high)
		}
	}
	for _, row := range r.rows("SELECT name, kind, netns, description FROM protocol_counters_now") {
		gauge := row["name"] == "entries" || row["name"] == "allocated" || row["name"] == "max"
		if (row["kind"] == "gauge") != gauge || row["netns"] != nil || row["description"] == nil {
			t.Errorf("%v", row)
		}
	}
	if got := r.rows("SELECT outcome, netns FROM sources_now WHERE source = 'protocol_counters'"); len(got) != 1 || got[0]["outcome"] != "read" || got[0]["netns"] != nil {
		t.Errorf("outcome %v", got)
	}
}

// Counters of CPUs are added up, but for the entries, which every line says of all. Nothing is made up where a line is short.
func TestParseCPUs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"two CPUs", "entries  found drop\n00000003  0000000a 1ffffffff\n00000003  00000001 00000002\n", []string{"entries=3", "found=11", "drop=8589934593"}},
		{"no CPU", "entries found\n", nil},
		{"a value missing", "entries found\n00000003\n", []string{"error"}},
		{"a value more", "entries\n00000003 00000004\n", []string{"error"}},
		{"no number", "entries\n0000000g\n", []string{"error"}},
		{"too many", strings.Repeat("a ", 65) + "\n" + strings.Repeat("1 ", 65) + "\n", []string{"error"}},
	} {
		var got []string
		if err := parseCPUs([]byte(c.text), func(title []byte, value store.Int) { got = append(got, fmt.Sprintf("%s=%d", title, value.Or(-1))) }); err != nil {
			got = append(got, "error")
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	var names []string
	parseConntrackStat([]byte("entries clashres drop early_drop insert_failed\n1 2 3 4 5\n"), func(proto, name []byte, value store.Int) {
		names = append(names, fmt.Sprintf("%s %s=%d", proto, name, value.Or(-1)))
	})
	if diff := cmp.Diff([]string{"nf_conntrack clashres=2"}, names); diff != "" {
		t.Errorf("conntrack (-want +got):\n%s", diff)
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

func FuzzProtocolFiles(f *testing.F) {
	f.Add([]byte("Tcp: RtoMin MaxConn\nTcp: 200 -1\n"))
	f.Add([]byte("Ip6InReceives   \t5\nUdpLite6NoPorts 18446744073709551615\n"))
	f.Add([]byte("sockets: used 14\nTCP: inuse 1 orphan 0 tw 0\n"))
	f.Add([]byte("0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte, counterVisit) error{parsePairs, parseSnmp6, parseSockstat, parseXfrm, parseConntrackStat, parseFileNr} {
			n := 0
			parse(b, func(proto, name []byte, value store.Int) {
				n++
				if len(name) == 0 || value == (store.Int{}) || strings.ContainsAny(string(name), " \t\n") || strings.Contains(string(proto), "\n") {
					t.Errorf("%q.%q = %v", proto, name, value)
				}
			})
			if 2*n > len(b)+1 { // a digit each, and what parts them
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

// How many XDP sockets there are is recorded, whether the kernel has a dump of them for sockets or not. The oracle is what the test has opened.
func TestSocketsThatAreOnlyCounted(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := newRecording(t)
	counters := newProtocolCounters(r.Writer, here(t))
	count := func() (n int64, known bool) {
		rows := r.rows("SELECT value FROM protocol_counters_now WHERE file = 'protocols' AND proto = 'XDP' AND name = 'sockets' AND kind = 'gauge' AND description LIKE '%sockets%'")
		if len(rows) == 0 {
			return 0, false
		}
		return rows[0]["value"].(int64), true
	}
	r.sample(counters)
	before, known := count()
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if known == (err != nil) {
		t.Fatalf("XDP sockets are counted: %v, and to open one: %v", known, err)
	}
	if err != nil {
		t.Skip("this kernel has no XDP sockets")
	}
	defer unix.Close(fd)
	r.sample(counters)
	if after, _ := count(); after != before+1 {
		t.Errorf("%d XDP sockets after %d", after, before)
	}
	if others := r.rows("SELECT DISTINCT proto FROM protocol_counters_now WHERE file = 'protocols' AND proto NOT IN ('XDP', 'SCTP', 'SCTPv6')"); len(others) > 0 {
		t.Errorf("what sockets has is counted, too: %v", others)
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
