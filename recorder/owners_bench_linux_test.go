package recorder

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"netsql/store"
)

// BenchmarkProcesses is what 200 processes cost in a sample in which nothing happens to
// their sockets: their state and number of descriptors are read all the same.
func BenchmarkProcesses(b *testing.B) {
	const n = 200
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		cmd := exec.Command("sleep", "600")
		cmd.ExtraFiles = []*os.File{file}
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	}
	w, err := store.Create(b.Context(), store.Options{
		Path: filepath.Join(b.TempDir(), "bench.db"), Interval: time.Second, Version: "bench",
		Boot: store.Boot{ID: "boot", Host: "host", Started: time.Unix(1_700_000_000, 0)},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close(b.Context())
	s := newSockets(w, namespace{id: store.Of(1), proc: "/proc/self"}).(*sockets)
	tick, looked := time.Duration(0), time.Duration(0)
	sample := func() {
		tick += time.Second
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(tick), Uptime: tick, Awake: tick})
		s.read(b.Context())
		if err := w.Commit(b.Context(), store.Cost{}); err != nil {
			b.Fatal(err)
		}
	}
	sample()
	for b.Loop() {
		sample()
		begun := time.Now()
		if err := s.owners.ListProcesses(); err != nil {
			b.Fatal(err)
		}
		if err := s.owners.Visit(b.Context(), time.Now()); err != nil {
			b.Fatal(err)
		}
		looked += time.Since(begun)
	}
	holding := 0
	for _, p := range s.owners.ByPID {
		if p.Held > 0 {
			holding++
		}
	}
	if holding < n {
		b.Fatalf("%d processes hold sockets, want %d", holding, n)
	}
	b.ReportMetric(float64(looked.Nanoseconds())/1000/float64(b.N)/float64(holding), "us/process")
}
