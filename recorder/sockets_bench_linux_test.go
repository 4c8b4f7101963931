package recorder

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// BenchmarkSocketsSample records 20,000 loopback TCP sockets and prints what a whole sample costs, reading and
// writing, hearing of closes and collecting garbage: the CPU time of this process ("ms-CPU"), and which part it is of
// what one ss -tanpieom to /dev/null takes in the same run ("cpu/ss"). The sockets rest (idle), a fifth of them
// moves bytes before every sample (fifth), or 200 connections, that is 2 % of the sockets, are replaced before every
// sample (churn). For what is done once in so many seconds, samples are five seconds apart.
func BenchmarkSocketsSample(b *testing.B) {
	const helpers, pairs = 4, 2500 // 20,000 sockets in processes of 5,000 descriptors
	// A thread of its own may enter a new network namespace, and so do the commands it
	// starts. It is not given back, and ends with the benchmark.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.Skipf("needs root, for a network namespace: %v", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Skipf("ip link set lo up: %v: %s", err, out)
	}
	// A part of a benchmark runs on another thread, and ss must see the sockets that are recorded: it is checked to.
	thread := newNSThread()
	b.Cleanup(thread.end)
	inside, err := openNamespace("/proc/thread-self/ns/net", thread)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(inside.close)
	var crowd []*pairHolder
	for range helpers {
		crowd = append(crowd, holdPairs(b, pairs))
	}
	w, err := store.Create(b.Context(), store.Options{
		Path: filepath.Join(b.TempDir(), "bench.db"), Interval: 5 * time.Second, Version: "bench",
		Boot: store.Boot{ID: "boot", Host: "host", Started: time.Unix(1_700_000_000, 0)},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { w.Close(context.Background()) })

	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := newSockets(w).(*sockets)
	if s.hearer, err = newHearer(); err != nil {
		b.Fatal(err)
	}
	s.budget = DefaultCloseBudget
	s.enter(namespace{id: store.Of(1), proc: "/proc/thread-self"})
	b.Cleanup(s.close)
	if err := inside.inside(func() {
		if out, err := exec.Command("ss", "-tan").Output(); err != nil || bytes.Count(out, []byte("\n")) < 2*helpers*pairs {
			b.Errorf("ss sees %d sockets: %v", bytes.Count(out, []byte("\n")), err)
		}
	}); err != nil {
		b.Fatal(err)
	}
	read, up := time.Duration(0), time.Duration(0)
	sample := func() {
		up += 5 * time.Second
		elapse(s.owners, 5*time.Second)
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		begun := cpuTime()
		s.read(b.Context())
		read += cpuTime() - begun
		if err := w.Commit(b.Context(), store.Cost{}); err != nil {
			b.Fatal(err)
		}
	}
	begun := cpuTime()
	sample()
	b.Logf("first sample: %v to read, %v in all", read, cpuTime()-begun)
	sample()
	n := 0
	for _, p := range s.protocols {
		n += len(p.seen)
	}
	if n < 2*helpers*pairs {
		b.Fatalf("%d sockets, want %d", n, 2*helpers*pairs)
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.Logf("%d bytes of heap per socket", int(after.HeapAlloc-before.HeapAlloc)/n)

	for _, name := range []string{"idle", "fifth", "churn"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			read = 0
			begun := cpuTime()
			for b.Loop() {
				b.StopTimer()
				switch name {
				case "fifth":
					for _, c := range crowd {
						c.say(b, "poke")
					}
				case "churn":
					for _, c := range crowd {
						c.say(b, "churn")
					}
				}
				b.StartTimer()
				sample()
			}
			perSample := (cpuTime() - begun).Seconds() * 1000 / float64(b.N)
			b.ReportMetric(perSample, "ms-CPU")
			b.ReportMetric(read.Seconds()*1000/float64(b.N), "ms-CPU-read")
			const runs = 3
			ss := 0.0
			for range runs {
				cmd := exec.Command("ss", "-tanpieom")
				if err := inside.inside(func() { err = cmd.Run() }); err != nil {
					b.Fatal(err)
				}
				if err != nil {
					b.Fatal(err)
				}
				ss += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() * 1000 / runs
			}
			b.ReportMetric(ss, "ms-CPU-ss")
			b.ReportMetric(perSample/ss, "cpu/ss")
			b.ReportMetric(float64(ownCost().RSS)/(1<<20), "MB-RSS")
		})
	}
	b.Run("walk", func(b *testing.B) {
		fds, spent := int64(0), time.Duration(0)
		for b.Loop() {
			s.owners.gen++
			begun := time.Now()
			if err := s.owners.listProcesses(); err != nil {
				b.Fatal(err)
			}
			for _, p := range s.owners.byPID {
				s.owners.walk(p, reading)
			}
			spent += time.Since(begun)
			for _, p := range s.owners.byPID {
				fds += max(p.counted, 0)
			}
		}
		b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(fds), "us/fd")
	})
}

// elapse lets the owners think that so much time has gone by.
func elapse(o *owners, d time.Duration) {
	for _, p := range o.byPID {
		if !p.due.IsZero() {
			p.due = p.due.Add(-d)
		}
	}
	o.looked, o.round = o.looked.Add(-d), o.round.Add(-d)
}

// A pairHolder is a process that holds TCP connections to itself.
type pairHolder struct {
	in  io.Writer
	out *bufio.Reader
}

func holdPairs(b *testing.B, pairs int) *pairHolder {
	cmd := exec.Command(os.Args[0], "-test.run=^TestHoldPairs$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_PAIRS="+strconv.Itoa(pairs))
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Wait() })
	h := &pairHolder{in, bufio.NewReader(out)}
	if line, err := h.out.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("a helper said %q: %v", line, err)
	}
	return h
}

// say has the process do something: poke sends a byte over every fifth connection, churn
// replaces fifty.
func (h *pairHolder) say(b *testing.B, word string) {
	fmt.Fprintln(h.in, word)
	if line, err := h.out.ReadString('\n'); err != nil || line != "done\n" {
		b.Fatalf("a helper said %q: %v", line, err)
	}
}

// TestHoldPairs is no test, but the body of a process of the benchmark.
func TestHoldPairs(t *testing.T) {
	pairs, _ := strconv.Atoi(os.Getenv("NETSQL_TEST_PAIRS"))
	if pairs == 0 {
		return
	}
	var limit unix.Rlimit
	unix.Getrlimit(unix.RLIMIT_NOFILE, &limit)
	limit.Cur = limit.Max
	unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	clients, servers := make([]net.Conn, pairs), make([]net.Conn, pairs)
	// Each client resets its connection when it closes: the samples follow each other without a pause, and
	// sockets in TIME_WAIT would pile up as on no machine. ss sees the same sockets.
	connect := func(i int) {
		if clients[i], err = net.Dial("tcp4", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		clients[i].(*net.TCPConn).SetLinger(0)
		if servers[i], err = l.Accept(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range pairs {
		connect(i)
	}
	fmt.Println("ready")
	next := 0
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println("done") {
		switch lines.Text() {
		case "poke":
			for i := 0; i < pairs; i += 5 {
				clients[i].Write([]byte{1})
			}
			for i := 0; i < pairs; i += 5 {
				servers[i].Read(make([]byte, 1))
			}
		case "churn":
			for range 50 {
				clients[next].Close()
				servers[next].Close()
				connect(next)
				next = (next + 1) % pairs
			}
		}
	}
}
