package recorder

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/bench"
	"netsql/recorder/internal/crowd"
	"netsql/recorder/internal/owners"
	"netsql/store"
)

// BenchmarkSocketsSample records 20,000 loopback TCP sockets and prints what a whole sample costs, reading and
// writing, hearing of closes and collecting garbage: the CPU time of this process ("ms-CPU"), and which part it is of
// what one ss -tanpieom to /dev/null takes in the same run ("cpu/ss"). The sockets rest (idle), a fifth of them
// moves bytes before every sample (fifth), or 200 connections, that is 2 % of the sockets, are replaced before every
// sample (churn). For what is done once in so many seconds, samples are five seconds apart.
func BenchmarkSocketsSample(b *testing.B) {
	const crowdSockets = 20_000
	// A thread of its own may enter a new network namespace, and so do the commands it
	// starts. It is not given back, and ends with the benchmark.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.Skipf("needs root, for a network namespace: %v", err)
	}
	if err := crowd.LoopbackUp(); err != nil {
		b.Fatal(err)
	}
	// A part of a benchmark runs on another thread, and ss must see the sockets that are recorded: it is checked to.
	thread := newNSThread()
	b.Cleanup(thread.end)
	inside, err := openNamespace("/proc/thread-self/ns/net", thread)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(inside.close)
	crowd, err := crowd.Gather(b.Context(), crowdSockets)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(crowd.End)
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
	if s.monitor, err = newMonitor(); err != nil {
		b.Fatal(err)
	}
	s.budget = DefaultCloseBudget
	s.enter(namespace{id: store.Of(1), proc: "/proc/thread-self"})
	b.Cleanup(s.close)
	if err := inside.inside(func() {
		if n := linesOf(b, "ss", "-Htan", "state", "established"); n != crowdSockets {
			b.Errorf("ss sees %d sockets", n)
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
	if n < crowdSockets {
		b.Fatalf("%d sockets, want %d", n, crowdSockets)
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
				var err error
				switch name {
				case "fifth":
					err = crowd.Poke()
				case "churn":
					err = crowd.Do("replace 20")
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				sample()
			}
			perSample := (cpuTime() - begun).Seconds() * 1000 / float64(b.N)
			b.ReportMetric(perSample, "ms-CPU")
			b.ReportMetric(read.Seconds()*1000/float64(b.N), "ms-CPU-read")
			for unit, measure := range map[string]func(context.Context) bench.Peer{"ss": bench.MeasureSS, "dump": bench.MeasureDump} {
				var result bench.Peer
				if err := inside.inside(func() { result = measure(b.Context()) }); err != nil {
					b.Fatal(err)
				}
				if result.Missing != "" {
					b.Fatal(result.Missing)
				}
				b.ReportMetric(result.CPUms, "ms-CPU-"+unit)
				b.ReportMetric(perSample/result.CPUms, "cpu/"+unit)
			}
			b.ReportMetric(float64(ownCost().RSS)/(1<<20), "MB-RSS")
		})
	}
	b.Run("walk", func(b *testing.B) {
		fds, spent := int64(0), time.Duration(0)
		for b.Loop() {
			s.owners.Gen++
			begun := time.Now()
			if err := s.owners.ListProcesses(); err != nil {
				b.Fatal(err)
			}
			for _, p := range s.owners.ByPID {
				s.owners.Walk(&p.Table, owners.Reading)
			}
			spent += time.Since(begun)
			for _, p := range s.owners.ByPID {
				fds += max(p.Counted, 0)
			}
		}
		b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(fds), "us/fd")
	})
}

// elapse lets the owners think that so much time has gone by.
func elapse(o *owners.Owners, d time.Duration) {
	for _, p := range o.ByPID {
		for t := range p.Tables {
			if !t.Due.IsZero() {
				t.Due = t.Due.Add(-d)
			}
		}
	}
	o.Looked, o.Round = o.Looked.Add(-d), o.Round.Add(-d)
}
