package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// BenchmarkDesignWorkload writes and asks the workload on which the design's table of
// encodings was measured: 2,000 sockets, 720 samples; beside it, for 60 of the samples, a row
// of text for each socket, so that the ratios hold on whatever machine it runs.
func BenchmarkDesignWorkload(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "bench.db")
		l, err := NewWorkload(b.Context(), path, 2000, 0, 5*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		plain, err := newNaive(b.Context(), filepath.Join(b.TempDir(), "naive.db"))
		if err != nil {
			b.Fatal(err)
		}
		var took, plainTook time.Duration
		for i := range 720 {
			d, err := l.Sample(b.Context())
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
		if err := errors.Join(plain.close(), l.Close(context.Background())); err != nil {
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

		db, err := sql.Open("sqlite", store.DSN(path))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		allAtT := askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", l.TS(300))
		b.ReportMetric(allAtT, "ms/all-at-T")
		plainDB, err := sql.Open("sqlite", store.DSN(plain.path))
		if err != nil {
			b.Fatal(err)
		}
		defer plainDB.Close()
		b.ReportMetric(allAtT/askMS(b, plainDB, 2000, "SELECT * FROM sockets WHERE ts = ?", 300.0), "all-at-T/naive")
		b.ReportMetric(askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", l.TS(718)), "ms/all-at-late-T")
		b.ReportMetric(askMS(b, db, 60*2000, "SELECT ts, local_port, remote_addr, bytes_sent FROM sockets WHERE ts BETWEEN ? AND ?", l.TS(300), l.TS(359)), "ms/window")
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

// What Run measures is there: every socket in every answer, a smaller file than the naive one's, the one leak found.
func TestRun(t *testing.T) {
	t.Parallel()
	const sockets, samples = 100, 500
	r, err := Run(t.Context(), Options{Dir: t.TempDir(), Sockets: sockets, Samples: samples, Interval: 10 * time.Second, Moments: 5})
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

// BenchmarkEvents asks for ten minutes in the middle of an hour of the design's workload.
func BenchmarkEvents(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.db")
	l, err := NewWorkload(b.Context(), path, 2000, 0, 5*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	for range 720 {
		if _, err := l.Sample(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	window := func(since, until int) {
		for _, view := range store.Views() {
			body := view.Body
			switch view.Name {
			case "events":
			case "window":
				body = fmt.Sprintf("SELECT %d AS since, %d AS until", since, until)
			default:
				continue
			}
			if _, err := db.Exec("DROP VIEW IF EXISTS temp.\"" + view.Name + "\"; CREATE TEMP VIEW \"" + view.Name + "\" AS " + body); err != nil {
				b.Fatal(err)
			}
		}
	}
	for b.Loop() {
		window(1_700_000_000+5*300, 1_700_000_000+5*420)
		b.ReportMetric(askMS(b, db, -1, "SELECT * FROM events"), "ms/10m")
		window(1_700_000_000, 1_700_000_000+5*720)
		b.ReportMetric(askMS(b, db, -1, "SELECT * FROM events"), "ms/hour")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLeaks asks leaks of a week of the groups of Bench, at 10 s and with a run of the recorder a day: over the last
// hour, a day, and the week, each at the worst of some windows whose edges fall where they like, and beside it from the
// spans alone, as of a recording that has no sums yet. It also prints what the sums cost: beside the writing of a sample,
// of the bytes of the spans, and to work them out for a day that has none.
func BenchmarkLeaks(b *testing.B) {
	const day = 8640
	path := filepath.Join(b.TempDir(), "leaks.db")
	for b.Loop() {
		l, err := NewWorkload(b.Context(), path, 20, 300, 10*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		var wrote, summed, caughtUp time.Duration
		for i := range 7 * day {
			if i > 0 && i%day == 0 {
				if i == day { // all of the first day is still to be done
					if caughtUp, err = l.SumUp(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				if err := errors.Join(l.Close(b.Context()), l.Open(b.Context())); err != nil {
					b.Fatal(err)
				}
			}
			took, err := l.Sample(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			wrote += took
			if i >= day {
				took, err := l.SumUp(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				summed += took
			}
		}
		if err := l.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(caughtUp.Milliseconds()), "ms/day-caught-up")
		b.ReportMetric(float64(summed.Microseconds())/1000/(6*day), "ms-sums/sample")
		b.ReportMetric(float64(summed)/6/(float64(wrote)/7), "sums/write")
		for _, c := range []struct {
			name    string
			samples int
		}{{"hour", 360}, {"day", day}, {"week", 7*day - 1500}} {
			var worst, ratio float64
			for _, end := range []int{7*day - 1, 7*day - 50, 7*day - 1411} {
				took := map[bool]float64{}
				for _, fromSpans := range []bool{false, true} {
					db := openLeaks(b, path, l.TS(end-c.samples), l.TS(end), fromSpans)
					took[fromSpans] = askMS(b, db, 1, "SELECT * FROM leaks")
					db.Close()
				}
				worst, ratio = max(worst, took[false]), max(ratio, took[false]/took[true])
			}
			b.ReportMetric(worst, "ms/"+c.name)
			b.ReportMetric(ratio, c.name+"/spans")
		}
		var sums, spans float64
		db := openLeaks(b, path, 0, 0, false)
		if err := db.QueryRow(`SELECT sum(pgsize) FILTER (WHERE name <> 'socket_trend_span'), sum(pgsize) FILTER (WHERE name = 'socket_trend_span') FROM dbstat
			WHERE aggregate = TRUE AND name IN ('socket_trend_short', 'socket_trend_long', 'short_block', 'long_block', 'socket_trend_span')`).Scan(&sums, &spans); err != nil {
			b.Fatal(err)
		}
		db.Close()
		b.ReportMetric(sums/1e6, "MB-sums/week")
		b.ReportMetric(sums/spans, "sums/spans")
	}
	b.ReportMetric(0, "ns/op")
}

// openLeaks opens a recording for one connection whose leaks are of that window.
func openLeaks(b *testing.B, path string, since, until float64, fromSpans bool) *sql.DB {
	b.Helper()
	db, err := openToAsk(b.Context(), path, fmt.Sprintf("SELECT %f AS since, %f AS until", since, until))
	if err != nil {
		b.Fatal(err)
	}
	if fromSpans { // no block stands before those of the file
		if _, err := db.Exec("CREATE TEMP TABLE short_block (id, samples, base); CREATE TEMP TABLE long_block (id, samples, base)"); err != nil {
			b.Fatal(err)
		}
	}
	return db
}
