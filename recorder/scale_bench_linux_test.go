package recorder

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"netsql/recorder/internal/crowd"
)

// A scale is a recorder of a large network, and what its samples cost.
type scale struct {
	*testRun
	b    testing.TB
	heap uint64 // before it began

	each uint64  // bytes of heap for each thing, after the first sample
	rest float64 // allocations for each in a sample at rest, the fewest: the kernel may still be at work after what the test did
	n    int
}

// newScale begins to record. What stands there has been built before, so that it does not count.
func newScale(b testing.TB, netns string, n int) *scale {
	b.Helper()
	s := &scale{b: b, heap: heapInUse(), n: n}
	// Forgets the most memory that building took.
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		b.Log("the most memory counts building, too: ", err)
	}
	s.testRun = newTestRun(b, netns)
	return s
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // of what finalizers held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// take takes a sample, and says what it cost.
func (s *scale) take(what string) {
	s.b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begun, cpu := time.Now(), ownCost().CPU
	s.sample()
	wall, cost := time.Since(begun), ownCost()
	runtime.ReadMemStats(&after)
	allocs := float64(after.Mallocs-before.Mallocs) / float64(s.n)
	if what == "at rest" && (s.rest == 0 || allocs < s.rest) {
		s.rest = allocs
	}
	s.b.Logf("%-28s %6.2f s CPU %6.2f s wall %5d MB resident %8.2f allocations for each", what, (cost.CPU - cpu).Seconds(), wall.Seconds(), cost.RSS>>20, allocs)
}

// settle does what the recorder does after its first sample, and says what is kept in memory.
func (s *scale) settle() {
	s.b.Helper()
	s.memory.settle()
	s.each = (heapInUse() - s.heap) / uint64(s.n)
	s.b.Logf("%-28s %6d bytes of heap for each of %d; %d MB resident", "after the first sample", s.each, s.n, ownCost().RSS>>20)
}

// end says how much memory it took at the most, and how large the recording is.
func (s *scale) end() {
	s.b.Helper()
	info, err := os.Stat(s.path)
	if err != nil {
		s.b.Fatal(err)
	}
	s.b.Logf("%-28s %6d MB resident at the most; the recording has %d MB", "in all", statusKB(s.b, "VmHWM:")>>10, info.Size()>>20)
}

// statusKB is a line of /proc/self/status, in kilobytes.
func statusKB(t testing.TB, name string) (kb int64) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "\n"+name)
	if _, err := fmt.Sscan(rest, &kb); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return kb
}

// ipLines gives ip(8) many commands, without holding them in memory.
func ipLines(b testing.TB, n int, line func(i int) string) {
	b.Helper()
	in, out := io.Pipe()
	go func() {
		w := bufio.NewWriter(out)
		for i := range n {
			fmt.Fprintln(w, line(i))
		}
		w.Flush()
		out.Close()
	}()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = in
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("ip -batch: %v\n%s", err, text[:min(len(text), 1000)])
	}
}

// linesOf counts what a command prints.
func linesOf(b testing.TB, name string, args ...string) (n int) {
	b.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for {
		got, err := out.Read(buf)
		n += bytes.Count(buf[:got], []byte{'\n'})
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		b.Fatalf("%s %q: %v", name, args, err)
	}
	return n
}

// has compares how many rows of the newest sample there are with how many there should be.
func (s *scale) has(want int, query string) {
	s.b.Helper()
	if got := s.rows("SELECT count(*) AS n FROM " + query)[0]["n"].(int64); got != int64(want) {
		s.b.Errorf("%d %s, want %d", got, query, want)
	}
}

func routeCommand(i int) string {
	return fmt.Sprintf("route add %d.%d.%d.%d/32 via 10.0.0.%d dev d0", 20+i>>24, i>>16&255, i>>8&255, i&255, 2+i%200)
}

func builtRoutes(b testing.TB, n int) {
	ipLines(b, 3, func(i int) string {
		return []string{"link add d0 type veth peer name d0p", "link set d0 up", "addr add 10.0.0.1/16 dev d0"}[i]
	})
	ipLines(b, n, routeCommand)
}

// BenchmarkMillionRoutes records as many IPv4 routes as a full table has: 1,000,000. Reached on two shared cores, Linux 6.18: the
// first sample 5.3 s of CPU and 750 MB resident at the most; at rest 0.1 s, 175 MB, 127 bytes of heap for each; after 1 %
// went 2.2 s and 365 MB.
func BenchmarkMillionRoutes(b *testing.B) {
	if benchInNamespace(b) {
		scaleRoutes(b, 1_000_000)
	}
}

func scaleRoutes(b testing.TB, n int) *scale {
	b.Helper()
	begun := time.Now()
	builtRoutes(b, n)
	b.Logf("built in %v", time.Since(begun))
	ownRun(b)
	s := newScale(b, "self", n)
	s.take("first sample")
	s.settle()
	want := linesOf(b, "ip", "-4", "route", "show", "table", "all") + linesOf(b, "ip", "-6", "route", "show", "table", "all")
	s.has(want, "routes_now")
	s.take("at rest")
	s.take("at rest")
	ipLines(b, n/100, func(i int) string { return strings.Replace(routeCommand(100*i), "add", "del", 1) })
	s.take("after 1 % went")
	s.has(want-n/100, "routes_now")
	s.take("at rest")
	s.take("at rest")
	s.end()
	return s
}

// BenchmarkHundredThousandNeighbors records 100,000 entries of the ARP table. Reached: the first sample 0.5 s of CPU; at rest
// 0.1 s; after 1 % changed 0.15 s; 190 bytes of heap for each, and 110 MB resident at the most.
func BenchmarkHundredThousandNeighbors(b *testing.B) {
	if benchInNamespace(b) {
		scaleNeighbors(b, 100_000)
	}
}

func scaleNeighbors(b testing.TB, n int) *scale {
	b.Helper()
	ipLines(b, 3, func(i int) string {
		return []string{"link add d0 type veth peer name d0p", "link set d0 up", "addr add 10.0.0.1/8 dev d0"}[i]
	})
	neighbor := func(i int) string {
		return fmt.Sprintf("neigh replace 10.%d.%d.%d lladdr 02:00:00:%02x:%02x:%02x dev d0 nud permanent", 1+i>>16, i>>8&255, i&255, i>>16, i>>8&255, i&255)
	}
	ipLines(b, n, neighbor)
	ownRun(b)
	s := newScale(b, "self", n)
	s.take("first sample")
	s.settle()
	want := linesOf(b, "ip", "neigh", "show", "nud", "all")
	s.has(want, "neighbors_now")
	s.take("at rest")
	s.take("at rest")
	ipLines(b, n/100, func(i int) string { return strings.Replace(neighbor(100*i), "02:00", "06:00", 1) })
	s.take("after 1 % got another MAC")
	s.has(n/100, "neighbors_now WHERE mac LIKE '06:%'")
	s.take("at rest")
	s.end()
	return s
}

// BenchmarkFourThousandInterfaces records 4,096 interfaces, each with an address, and so 25,000 routes, 8,000 addresses and
// 20,000 settings. Reached: the first sample 0.5 s of CPU; at rest 0.2 s; after 1 % changed 0.2 s; 4.8 KB of heap for each with
// all that, and 100 MB resident at the most.
func BenchmarkFourThousandInterfaces(b *testing.B) {
	if benchInNamespace(b) {
		scaleInterfaces(b, 4096)
	}
}

func scaleInterfaces(b testing.TB, n int) *scale {
	b.Helper()
	// Nobody else may have the addresses: while 4,096 links find that out, every dump of addresses is interrupted.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0); err != nil {
		b.Log(err)
	}
	begun := time.Now()
	ipLines(b, n/2, func(i int) string { return fmt.Sprintf("link add d%d type veth peer name d%d", 2*i, 2*i+1) })
	ipLines(b, 2*n, func(i int) string {
		if i%2 == 0 {
			return fmt.Sprintf("addr add 10.%d.%d.1/24 dev d%d", i/2>>8, i/2&255, i/2)
		}
		return fmt.Sprintf("link set d%d up", i/2)
	})
	b.Logf("built in %v", time.Since(begun))
	ownRun(b)
	s := newScale(b, "self", n)
	s.take("first sample")
	s.settle()
	s.has(n+1, "interfaces_now")
	s.has(n, "addresses_now WHERE family = 4")
	s.take("at rest")
	s.take("at rest")
	ipLines(b, n/100, func(i int) string { return fmt.Sprintf("link set d%d alias x", i) })
	s.take("after 1 % got an alias")
	s.has(n/100, "interfaces_now WHERE alias = 'x'")
	s.has(linesOf(b, "ip", "-4", "route", "show", "table", "all"), "routes_now WHERE family = 4")
	s.take("at rest")
	s.end()
	return s
}

// BenchmarkFiveHundredNamespaces records 500 network namespaces besides its own. Reached: at rest 0.74 s of CPU (1.3 s where
// each is asked for its TCP and UDP sockets though it has none); 174 KB of heap for each, and 200 MB resident at the most.
func BenchmarkFiveHundredNamespaces(b *testing.B) {
	if benchInNamespace(b) {
		scaleNamespaces(b, 500)
	}
}

func scaleNamespaces(b testing.TB, n int) *scale {
	b.Helper()
	ownRun(b)
	begun := time.Now()
	for i := range n {
		ipBatch(b, fmt.Sprintf("netns add n%d\n", i))
	}
	b.Logf("built in %v", time.Since(begun))
	s := newScale(b, "all", n)
	s.take("first sample")
	s.settle()
	s.has(n+1, "namespaces_now")
	s.take("at rest")
	s.take("at rest")
	for i := range n / 100 {
		ipBatch(b, fmt.Sprintf("netns del n%d\nnetns add m%d\n", i, i))
	}
	s.take("after 1 % were replaced")
	s.has(n+1, "namespaces_now")
	s.has(n/100, "namespaces_now WHERE name LIKE 'm%'")
	s.take("at rest")
	s.end()
	return s
}

// BenchmarkThreeHundredThousandSockets records 300,000 TCP sockets, connected to each other, of sixty processes. Reached: the
// first sample 4.6 s of CPU; at rest 0.7 to 1.5 s; after 1 % were replaced 1.0 s, after a fifth moved bytes 1.2 s; 605 bytes of
// heap for each, and 470 MB resident at the most.
func BenchmarkThreeHundredThousandSockets(b *testing.B) {
	if benchInNamespace(b) {
		scaleSockets(b, 300_000)
	}
}

func scaleSockets(b testing.TB, n int) *scale {
	b.Helper()
	ipBatch(b, "link set lo up\n")
	begun := time.Now()
	crowd, err := crowd.Gather(b.Context(), n)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(crowd.End)
	b.Logf("built in %v", time.Since(begun))
	do := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	ownRun(b)
	s := newScale(b, "self", n)
	s.take("first sample")
	s.settle()
	s.has(linesOf(b, "ss", "-Htan"), "sockets_now WHERE proto = 'tcp'")
	s.has(n, "sockets_now WHERE proto = 'tcp' AND state = 'ESTABLISHED' AND pid IS NOT NULL")
	s.take("at rest")
	s.take("at rest")
	do(crowd.Do("replace " + strconv.Itoa(max(1, n/200/len(crowd.Members)))))
	s.take("after 1 % were replaced")
	s.has(n, "sockets_now WHERE proto = 'tcp' AND state = 'ESTABLISHED' AND pid IS NOT NULL")
	do(crowd.Poke())
	s.take("after a fifth moved bytes")
	s.take("at rest")
	s.end()
	return s
}
