package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// leaker is a process whose sockets are counted: how many there are at sample i of n, and how old
// the oldest is then, in seconds.
type leaker struct {
	name  string
	count func(i, n int) int
	age   func(i, n int) int
	leaks bool
}

func leakers() []leaker {
	all := func(i, _ int) int { return 5 * i }
	young := func(i, _ int) int { return min(20, 5*i) }
	noise := rand.New(rand.NewPCG(5, 5))
	walk := 50
	return []leaker{
		{"forgets from the start", func(i, n int) int { return i / 4 }, all, true},
		{"forgets, with noise", func(i, n int) int { return 20 + i/3 + noise.IntN(12) }, all, true},
		{"begins to forget after half the time", func(i, n int) int { return max(0, i-n/2) / 2 }, func(i, n int) int { return 5 * max(0, i-n/2) }, true},
		{"forgets one in five minutes", func(i, n int) int { return i / 60 }, all, true},
		{"busy: comes and goes", func(i, n int) int { return 40 + noise.IntN(40) }, young, false},
		{"busy: wanders", func(i, n int) int { walk = max(10, walk+noise.IntN(11)-5); return walk }, young, false},
		{"forgot many at once", func(i, n int) int { return 10 + 40*min(1, i/(n/2)) }, all, true},
		{"steady", func(i, n int) int { return 25 }, all, false},
		{"grew and came back", func(i, n int) int { return 10 + min(i, n-i)/3 }, all, false},
		{"more customers, short visits", func(i, n int) int { return 10 + i/8 + noise.IntN(5) }, young, false},
		{"shrinks", func(i, n int) int { return (n - i) / 4 }, all, false},
	}
}

// countsRecording writes n samples, five seconds apart, of the leakers.
func countsRecording(t testing.TB, path string, n int, people []leaker) [][]int {
	t.Helper()
	w, err := Create(context.Background(), Options{Path: path, Interval: 5 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	procs, counts, trends := NewSet(src, Processes), NewSet(src, SocketCounts), NewSet(src, SocketTrends)
	history := make([][]int, len(people))
	for i := range n {
		wall, up := time.Unix(1_700_000_000+5*int64(i), 0), 5*time.Second*time.Duration(i+1)
		w.Begin(Clock{Wall: wall, Uptime: up, Awake: up})
		src.Read(func() error {
			for p, who := range people {
				ref := procs.Put(ProcessID{PID: Of(p + 1), Started: 1.6e9, Comm: who.name}, Process{}).Ref()
				c := who.count(i, n)
				history[p] = append(history[p], c)
				if c > 0 {
					id := SocketCountID{Process: ref, Proto: "tcp", Family: Of(4), State: "CLOSE_WAIT"}
					trends.Put(id, SocketTrend{Count: Of(c)})
					counts.Put(id, SocketCount{Count: Of(c), RecvQ: Of(i % 3), Oldest: Of(wall.Unix() - int64(who.age(i, n)))})
				}
			}
			return nil
		})
		if err := w.Commit(context.Background(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return history
}

// leaks names those who leak and not their healthy look-alikes. Of sockets that are of no more use it also names those that
// only grew once and are still held.
func TestLeaks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leaks.db")
	const n = 720
	people := leakers()
	countsRecording(t, path, n, people)
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	var want []string
	for _, who := range people {
		if who.leaks {
			want = append(want, who.name)
		}
	}
	got := texts(t, db, "SELECT comm FROM leaks")
	if diff := cmp.Diff(want, got, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
		t.Errorf("leaks (-want +got):\n%s", diff)
	}
	if steepest := texts(t, db, "SELECT comm FROM leaks ORDER BY per_hour * r2 DESC LIMIT 1"); !slices.Equal(steepest, got[:1]) {
		t.Errorf("the steadiest growth does not stand first: %v", got)
	}
}

// Who asks for leaks twice in one statement gets both, or a plain error of SQLite, and no wrong answer.
func TestLeaksTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "leaks.db")
	countsRecording(t, path, 120, leakers()[:1])
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if once := texts(t, db, "SELECT count(*) FROM leaks"); !slices.Equal(once, []string{"1"}) {
		t.Fatalf("%v leaks, not 1", once)
	}
	var n int
	err = db.QueryRow("SELECT count(*) FROM leaks a JOIN leaks b ON b.comm = a.comm").Scan(&n)
	if err != nil && !strings.Contains(err.Error(), "nested too deep") || err == nil && n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

// The last blocks of sums of a run may be shorter than those before it. They do not make a window read blocks that are
// longer than its slots: what never fell to 0 would seem to have.
func TestLeaksOfShortRuns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "runs.db")
	noise := rand.New(rand.NewPCG(7, 7))
	const runs, samples = 4, 100
	for run := range runs {
		w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
		if err != nil {
			t.Fatal(err)
		}
		w.retention.sums.sizes = blockSizes{short: 5, shortest: 2, together: 6}
		src := w.Source("tcp4")
		procs, trends := NewSet(src, Processes), NewSet(src, SocketTrends)
		for i := run * samples; i < (run+1)*samples; i++ {
			up := 10 * time.Second * time.Duration(i+1)
			w.Begin(Clock{Wall: shapedAt(i), Uptime: up, Awake: up})
			src.Read(func() error {
				ref := procs.Put(ProcessID{PID: Of(1), Started: 1.6e9, Comm: "grows"}, Process{}).Ref()
				trends.Put(SocketCountID{Process: ref, Proto: "tcp", Family: Of(4), State: "ESTABLISHED"}, SocketTrend{Count: Of(20 + i/5 + noise.IntN(5))})
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
			for due := true; due; {
				if due, err = w.retention.sumUpDue(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if mixed := ask(t, path, "SELECT min(samples) < max(samples) FROM long_block"); mixed[0] != "1" {
		t.Fatal("all long blocks have the same length")
	}
	for first := 0; first < 150; first += 7 {
		db := openLeaks(t, path, unixSeconds(shapedAt(first)), unixSeconds(shapedAt(runs*samples-1)), false)
		got := texts(t, db, fmt.Sprintf("SELECT since = %f AND min_count >= 20 AND leak FROM growth", unixSeconds(shapedAt(first))))
		db.Close()
		if !slices.Equal(got, []string{"1"}) {
			t.Errorf("from sample %d: %v", first, got)
		}
	}
}
