package recorder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/crowd"
	"netsql/store"
)

// BenchmarkCloses has another process open and close connections on loopback, twenty thousand a second, and records
// them with a sample a second. It prints which part of the closes was recorded, how many were lost (and whether that
// was counted), and what a close cost the recorder more than the same samples at rest, in CPU time.
func BenchmarkCloses(b *testing.B) {
	const rate, seconds = 20_000, 5
	runtime.LockOSThread() // as in BenchmarkSocketsSample
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.Skipf("needs root, for a network namespace: %v", err)
	}
	if err := crowd.LoopbackUp(); err != nil {
		b.Fatal(err)
	}
	for range b.N {
		path := filepath.Join(b.TempDir(), "bench.db")
		w, err := store.Create(b.Context(), store.Options{
			Path: path, Interval: time.Second, Version: "bench",
			Boot: store.Boot{ID: "boot", Host: "host", Started: time.Unix(1_700_000_000, 0)},
		})
		if err != nil {
			b.Fatal(err)
		}
		s := newSockets(w).(*sockets)
		if s.monitor, err = newMonitor(); err != nil {
			b.Fatal(err)
		}
		s.budget = DefaultCloseBudget
		s.enter(namespace{id: store.Of(1), proc: "/proc/thread-self"})
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
		// stretch samples once a second until the channel tells that it is over.
		stretch := func(over <-chan struct{}) (cpu time.Duration, samples int) {
			begun := cpuTime()
			beat := time.NewTicker(time.Second)
			defer beat.Stop()
			for {
				select {
				case <-over:
					sample()
					return cpuTime() - begun, samples + 1
				case <-beat.C:
					sample()
					samples++
				}
			}
		}
		sample()
		rest, rests := stretch(after(seconds * time.Second))

		const churners = 2
		c := &crowd.Crowd{}
		for range churners {
			if err := c.Join(b.Context(), 1); err != nil {
				b.Fatal(err)
			}
		}
		if err := c.Begin(fmt.Sprintf("churn %d %d", rate/churners, 1000*seconds), churners); err != nil {
			b.Fatal(err)
		}
		over := make(chan struct{})
		var made, speed float64
		go func() {
			defer close(over)
			answers, err := c.Finish(churners)
			if err != nil {
				b.Error(err)
			}
			for _, answer := range answers {
				var n, took float64
				fmt.Sscan(answer, &n, &took)
				made, speed = made+n, speed+n/took
			}
		}()
		busy, samples := stretch(over)
		// The kernel tells of closes in the background, and is late when both it and we wait for a CPU.
		for silent := 0; silent < 20; {
			before := s.closes[0].received()
			unix.Poll(nil, 50)
			if silent++; s.closes[0].received() != before {
				silent = 0
			}
		}
		sample()
		s.close()
		if err := w.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		r := &testRecording{t: b, path: path}
		// The other processes' listeners are closed too.
		recorded := r.number("SELECT (SELECT count(*) FROM closed_sockets WHERE proto = 'tcp') + (SELECT coalesce(sum(count), 0) FROM closed_counts WHERE proto = 'tcp')")
		lost := r.number("SELECT coalesce(sum(CAST(detail AS INTEGER)), 0) FROM gaps WHERE kind = 'lost'")
		rows := r.number("SELECT (SELECT count(*) FROM close) + (SELECT count(*) FROM close_count)")
		closes := 2*made + churners
		c.End()
		perClose := (busy - rest*time.Duration(samples)/time.Duration(rests)).Seconds() / closes
		b.ReportMetric(speed, "connections/s")
		b.ReportMetric(100*recorded/closes, "%recorded")
		b.ReportMetric(closes-recorded, "missing")
		b.ReportMetric(lost, "lost-counted")
		b.ReportMetric(1e6*perClose, "us-CPU/close")
		b.ReportMetric(rows/float64(samples), "rows/sample")
		if info, err := os.Stat(path); err == nil {
			b.ReportMetric(float64(info.Size())/1024/float64(samples), "KiB/sample")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// heard is how many closes stand in the log of closes.
func (c *closes) received() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.events.single) + len(c.events.sampled)
	for _, g := range c.events.groups {
		n += int(g.count)
	}
	return n
}

func after(d time.Duration) <-chan struct{} {
	c := make(chan struct{})
	time.AfterFunc(d, func() { close(c) })
	return c
}

func cpuTime() time.Duration { return ownCost().CPU }

// number asks for one number.
func (r *testRecording) number(query string) float64 {
	r.t.Helper()
	for _, row := range r.rows(query) {
		for _, v := range row {
			n, _ := strconv.ParseFloat(text(v), 64)
			return n
		}
	}
	return 0
}
