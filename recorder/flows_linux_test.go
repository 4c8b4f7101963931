package recorder

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/crowd"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// procFlows are the flows as /proc/net/nf_conntrack has them, in the words of the recording.
func procFlows(t *testing.T) (list []map[string]any) {
	t.Helper()
	text, err := os.ReadFile("/proc/net/nf_conntrack")
	if err != nil {
		kerneltest.NeedKernel(t, "flows cannot be read from /proc: "+err.Error())
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		row := map[string]any{"family": strings.TrimPrefix(words[0], "ipv"), "proto": words[2], "state": "NULL", "replied": "1", "assured": "0", "mark": "NULL"}
		if words[2] == "tcp" {
			row["state"] = words[5]
		}
		reply := false
		for _, word := range words[4:] {
			name, value, _ := strings.Cut(word, "=")
			if addr, err := netip.ParseAddr(value); err == nil {
				value = addr.String() // those of IPv6 are not shortened
			}
			switch {
			case word == "[UNREPLIED]":
				row["replied"] = "0"
			case word == "[ASSURED]":
				row["assured"] = "1"
			case name == "mark" && value != "0":
				row["mark"] = value
			case name == "src":
				if reply = row["src_addr"] != nil; !reply {
					row["src_addr"] = value
				} else {
					row["reply_src_addr"] = value
				}
			case name == "dst" && !reply:
				row["dst_addr"] = value
			case name == "dst":
				row["reply_dst_addr"] = value
			case name == "sport" && !reply:
				row["src_port"] = value
			case name == "sport":
				row["reply_src_port"] = value
			case name == "dport" && !reply:
				row["dst_port"] = value
			case name == "dport":
				row["reply_dst_port"] = value
			case name == "packets" && !reply:
				row["packets_sent"] = value
			case name == "packets":
				row["packets_received"] = value
			case name == "bytes" && !reply:
				row["bytes_sent"] = value
			case name == "bytes":
				row["bytes_received"] = value
			}
		}
		list = append(list, row)
	}
	slices.SortFunc(list, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

func recordedFlows(r *testRecording) []map[string]any {
	names := []string{"family", "proto", "state", "replied", "assured", "mark", "src_addr", "dst_addr", "reply_src_addr", "reply_dst_addr",
		"src_port", "dst_port", "reply_src_port", "reply_dst_port", "packets_sent", "packets_received", "bytes_sent", "bytes_received"}
	for i, name := range names {
		names[i] = fmt.Sprintf("coalesce(CAST(%s AS TEXT), 'NULL') AS %[1]s", name)
	}
	list := r.rows("SELECT " + strings.Join(names, ", ") + " FROM conntrack_flows_now")
	slices.SortFunc(list, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return list
}

// Flows with the addresses of both ends translated or not are as /proc/net/nf_conntrack has them.
func TestFlows(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ip(t, "link set lo up")
	ip(t, "addr add 10.9.9.1/24 dev lo")
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	kerneltest.Command(t, "nft", fmt.Sprintf(`table inet t {
		chain out { type nat hook output priority -100; ip daddr 10.9.9.9 tcp dport 80 dnat ip to 10.9.9.1:%d; }
		chain post { type nat hook postrouting priority 100; udp dport 53 snat ip to 10.9.9.7; }
		chain stamp { type filter hook output priority 0; ct state new udp dport 53 ct mark set 7; }
	}`, port))
	if err := os.WriteFile("/proc/sys/net/netfilter/nf_conntrack_acct", []byte("1"), 0); err != nil {
		kerneltest.NeedKernel(t, "flows are not counted here: "+err.Error())
	}
	r := newRecording(t)
	src := newFlows(r.Writer, here(t), 5)
	r.sample(src)
	if got := recordedFlows(r); len(got) != 0 {
		t.Errorf("at first: %v", got)
	}
	var kept []net.Conn
	dial := func(network, address string) net.Conn {
		t.Helper()
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, c)
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		if network[0] == 't' {
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	dial("tcp4", "10.9.9.9:80")
	dial("tcp6", fmt.Sprintf("[::1]:%d", port))
	dial("udp4", "10.9.9.8:53")
	agree(t, r, src, "three flows", func() []map[string]any { return procFlows(t) }, func() []map[string]any { return recordedFlows(r) })
	nat := r.rows("SELECT proto, family, nat FROM conntrack_flows_now ORDER BY 1, 2")
	if diff := gocmp.Diff([]map[string]any{
		{"proto": "tcp", "family": int64(4), "nat": "dnat"}, {"proto": "tcp", "family": int64(6), "nat": nil}, {"proto": "udp", "family": int64(4), "nat": "snat"},
	}, nat); diff != "" {
		t.Errorf("nat (-want +got):\n%s", diff)
	}

	// They move on, one ends, and of new ones only so many are recorded.
	kept[0].Write([]byte("more"))
	io.ReadFull(kept[0], make([]byte, 4))
	agree(t, r, src, "moved on", func() []map[string]any { return procFlows(t) }, func() []map[string]any { return recordedFlows(r) })
	for range 9 {
		dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	}
	r.sample(src)
	said := r.rows("SELECT detail FROM gaps WHERE source = 'conntrack_flows' AND until IS NULL")
	if len(recordedFlows(r)) != 3+5 || len(said) != 1 || !strings.HasPrefix(said[0]["detail"].(string), "4 flows of connection tracking are not recorded: more than 5 new ones") {
		t.Errorf("of 12 flows, with room for 5 new ones: %d; said: %v", len(recordedFlows(r)), said)
	}
	agree(t, r, src, "the rest a sample later", func() []map[string]any { return procFlows(t) }, func() []map[string]any { return recordedFlows(r) })
}

// BenchmarkFlows prints what a flow at rest costs in a sample, of 5,000.
func BenchmarkFlows(b *testing.B) {
	const n = 5000
	runtime.LockOSThread() // as in BenchmarkSocketsSample
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.Skipf("needs root, for a network namespace: %v", err)
	}
	if err := crowd.LoopbackUp(); err != nil {
		b.Fatal(err)
	}
	nft := exec.Command("nft", "table inet t { chain c { type filter hook output priority 0; ct state new accept; }; }")
	if out, err := nft.CombinedOutput(); err != nil {
		b.Skipf("needs nft: %v: %s", err, out)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range n {
		if err := unix.Sendto(fd, []byte{0}, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 20000 + i}); err != nil && err != unix.ECONNREFUSED {
			b.Fatal(err)
		}
	}
	w, err := store.Create(b.Context(), store.Options{Path: filepath.Join(b.TempDir(), "bench.db"), Interval: time.Second, Boot: store.Boot{ID: "boot"}})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close(context.Background())
	s := newFlows(w, namespace{id: store.Of(1), proc: "/proc/thread-self"}, n).(*flows)
	sample := func() {
		clock, err := readClock()
		if err != nil {
			b.Fatal(err)
		}
		w.Begin(clock)
		s.read(b.Context())
		if err := w.Commit(b.Context(), store.Cost{}); err != nil {
			b.Fatal(err)
		}
	}
	sample()
	if len(s.known) < n {
		b.Fatalf("%d flows", len(s.known))
	}
	b.ReportAllocs()
	begun := cpuTime()
	for b.Loop() {
		sample()
	}
	b.ReportMetric(float64((cpuTime()-begun).Nanoseconds())/float64(b.N)/float64(len(s.known)), "cpu-ns/flow")
}
