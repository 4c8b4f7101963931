package store

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// BenchmarkDesignWorkload writes and asks the workload on which the design's table of
// encodings was measured: 2,000 sockets, 720 samples; beside it, for 60 of the samples, a row
// of text for each socket, so that the ratios hold on whatever machine it runs.
func BenchmarkDesignWorkload(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "bench.db")
		l, err := newWorkload(b.Context(), path, 2000, 0, 5*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		plain, err := newNaive(b.Context(), filepath.Join(b.TempDir(), "naive.db"))
		if err != nil {
			b.Fatal(err)
		}
		var took, plainTook time.Duration
		for i := range 720 {
			d, err := l.sample(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			took += d
			if i%12 == 0 {
				if d, err = plain.sample(b.Context(), l, float64(i)); err != nil {
					b.Fatal(err)
				}
				plainTook += d
			}
		}
		if err := errors.Join(plain.close(), l.close(context.Background())); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/(2000*720), "bytes/observation")
		b.ReportMetric(float64(took.Microseconds())/720/1000, "ms/sample")
		plainInfo, err := os.Stat(plain.path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/720/(float64(plainInfo.Size())/60), "bytes/naive")
		b.ReportMetric(float64(took)/720/(float64(plainTook)/60), "time/naive")

		db, err := sql.Open("sqlite", DSN(path))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		allAtT := askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", l.ts(300))
		b.ReportMetric(allAtT, "ms/all-at-T")
		plainDB, err := sql.Open("sqlite", DSN(plain.path))
		if err != nil {
			b.Fatal(err)
		}
		defer plainDB.Close()
		b.ReportMetric(allAtT/askMS(b, plainDB, 2000, "SELECT * FROM sockets WHERE ts = ?", 300.0), "all-at-T/naive")
		b.ReportMetric(askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", l.ts(718)), "ms/all-at-late-T")
		b.ReportMetric(askMS(b, db, 60*2000, "SELECT ts, local_port, remote_addr, bytes_sent FROM sockets WHERE ts BETWEEN ? AND ?", l.ts(300), l.ts(359)), "ms/window")
	}
	b.ReportMetric(0, "ns/op")
}

// askMS runs the query fifteen times and returns the median time in milliseconds.
func askMS(b *testing.B, db *sql.DB, rows int, query string, args ...any) float64 {
	b.Helper()
	var times []float64
	for range 15 {
		took, n, err := askAll(b.Context(), db, query, args...)
		if err != nil {
			b.Fatal(err)
		}
		if rows >= 0 && n != rows {
			b.Fatalf("%s: %d rows, want %d", query, n, rows)
		}
		times = append(times, float64(took.Microseconds())/1000)
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// What Bench measures is there: every socket in every answer, a smaller file than the naive one's, the one leak found.
func TestBench(t *testing.T) {
	t.Parallel()
	const sockets, samples = 100, 500
	r, err := Bench(t.Context(), BenchOptions{Dir: t.TempDir(), Sockets: sockets, Samples: samples, Interval: 10 * time.Second, Moments: 5})
	if err != nil {
		t.Fatal(err)
	}
	if r.NaiveSamples < 361 || r.NaiveSamples > samples {
		t.Errorf("%d naive samples of %d", r.NaiveSamples, samples)
	}
	if ours, plain := r.PerObservation(), r.NaivePerObservation(); ours < 1 || ours > plain/2 {
		t.Errorf("%.1f bytes an observation, naive %.1f", ours, plain)
	}
	sum := int64(0)
	for _, table := range r.Tables {
		sum += table.Bytes
	}
	if sum > r.Bytes || sum < r.Bytes*9/10 || r.SocketBytes > sum {
		t.Errorf("tables of %d bytes, %d of them of sockets, in a file of %d", sum, r.SocketBytes, r.Bytes)
	}
	rows := map[string]int{}
	for _, a := range r.Asked {
		rows[a.Question] = a.Rows
		if a.Median <= 0 || a.Worst < a.Median || a.NaiveMedian <= 0 {
			t.Errorf("%s took %v, at worst %v, naive %v", a.Question, a.Median, a.Worst, a.NaiveMedian)
		}
	}
	want := map[string]int{"all sockets at T": sockets, "who held a port at T": 1, "leaks, last hour": 1, "leaks, everything": 1}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
