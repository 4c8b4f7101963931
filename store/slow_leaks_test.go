package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A leak of some sockets a day is found in the hours, also when the samples are long gone and the program was started again
// meanwhile; what stands still, swings, takes one step or comes back is none.
func TestSlowLeaks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "slow.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Minute, Boot: Boot{ID: "b"}, Limits: Limits{Keep: 12 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("all")
	procs, trends := NewSet(src, Processes), NewSet(src, SocketTrends)
	random := rand.New(rand.NewPCG(1, 5))
	const day = 144 // samples
	programs := map[string]func(i int) int{
		"leakd":     func(i int) int { return 20 + i/12 }, // 12 a day
		"steady":    func(int) int { return 50 },
		"swings":    func(i int) int { return 40 + random.IntN(30) },
		"pool":      func(i int) int { return map[bool]int{false: 10, true: 60}[i > 2*day] },
		"sawtooth":  func(i int) int { return i % day / 4 },
		"restarted": func(i int) int { return 5 + i/24 }, // under another pid each day
	}
	for i := range 5 * day {
		up := time.Duration(i+1) * 10 * time.Minute
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			pid := 0
			for _, comm := range []string{"leakd", "steady", "swings", "pool", "sawtooth", "restarted"} {
				pid++
				id := pid
				if comm == "restarted" {
					id += 100 * (i / day)
				}
				p := procs.Put(ProcessID{PID: Of(id), Started: float64(id), Comm: comm}, Process{}).Ref()
				trends.Put(SocketCountID{NetNS: Of(1), Process: p, Proto: "tcp", Family: Of(4), State: "ESTABLISHED"}, SocketTrend{Of(programs[comm](i))})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		tidyUp(t, w)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := ask(t, path, "SELECT comm, round(per_day), r2 > 0.99, first_avg, last_avg, hours FROM slow_leaks")
	hours := len(ask(t, path, "SELECT ts FROM period_1h"))
	want := []string{fmt.Sprintf("leakd12 1 20 79 %d", hours), fmt.Sprintf("restarted6 1 5 34 %d", hours)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("slow_leaks (-want +got):\n%s", diff)
	}
	if n := ask(t, path, "SELECT count(*) FROM samples"); len(n) != 1 || n[0] > "90" {
		t.Errorf("%v samples are kept: the leak was to be found without them", n)
	}
}
