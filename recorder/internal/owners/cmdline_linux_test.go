package owners

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// However many processes are frozen, few goroutines wait for them, and when they come back all is well.
func TestManyFrozenProcesses(t *testing.T) {
	t.Parallel()
	c := newCmdlines()
	c.patience, c.most = time.Millisecond, 3
	dir := t.TempDir()
	var pipes []string
	for i := range 5 {
		pipes = append(pipes, filepath.Join(dir, fmt.Sprint(i)))
		if err := unix.Mkfifo(pipes[i], 0o600); err != nil {
			t.Fatal(err)
		}
		_, behind, ok := c.read(unix.AT_FDCWD, pipes[i])
		if ok || (behind != nil) != (i < c.most) {
			t.Errorf("pipe %d: %v, left behind %v", i, ok, behind != nil)
		}
	}
	if _, _, ok := c.read(unix.AT_FDCWD, "/proc/self/cmdline"); ok {
		t.Error("a goroutine more reads")
	}
	for _, pipe := range pipes[:c.most] {
		if f, err := os.OpenFile(pipe, os.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		} else {
			f.Close()
		}
	}
	untilTrue(t, "all come back", func() bool { c.forget(); return len(c.Behind) == 0 })
	c.patience = 10 * time.Second
	if text, _, ok := c.read(unix.AT_FDCWD, "/proc/self/cmdline"); !ok || !strings.HasPrefix(string(text), os.Args[0]) {
		t.Errorf("%q, %v", text, ok)
	}
	c.end()
}

// BenchmarkCmdline prints what a command line takes that another goroutine reads, and what the reading alone does.
func BenchmarkCmdline(b *testing.B) {
	b.Run("bounded", func(b *testing.B) {
		c := newCmdlines()
		defer c.end()
		b.ReportAllocs()
		cpu := cpuUsed()
		for b.Loop() {
			if _, _, ok := c.read(unix.AT_FDCWD, "/proc/self/cmdline"); !ok {
				b.Fatal("in vain")
			}
		}
		b.ReportMetric(float64((cpuUsed()-cpu).Nanoseconds())/float64(b.N), "ns-CPU/op")
	})
	b.Run("alone", func(b *testing.B) {
		r := cmdlineReader{text: make([]byte, 0, cmdlineLimit)}
		b.ReportAllocs()
		cpu := cpuUsed()
		for b.Loop() {
			r.read(unix.AT_FDCWD, "/proc/self/cmdline")
		}
		b.ReportMetric(float64((cpuUsed()-cpu).Nanoseconds())/float64(b.N), "ns-CPU/op")
	})
}

// cpuUsed is the CPU time of this process.
func cpuUsed() time.Duration {
	var u unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
