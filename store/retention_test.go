package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sizeOnDisk is what the recording takes, with its -wal.
func sizeOnDisk(t *testing.T, path string) int64 {
	t.Helper()
	var size int64
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

// testWorkload has 2,000 sockets, and a sample every five seconds.
func testWorkload(tb testing.TB, path string) *workload {
	tb.Helper()
	l, err := newWorkload(tb.Context(), path, 2000, 0, 5*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func sampleWorkload(tb testing.TB, l *workload) time.Duration {
	tb.Helper()
	took, err := l.sample(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return took
}

func tidyUp(t *testing.T, w *Writer) (steps int) {
	t.Helper()
	for {
		more, err := w.Tidy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return steps
		}
		steps++
	}
}

// A recording with a limit of size is never more than 5 % above it, keeps what there is room for, and shrinks when the limit is
// lowered.
func TestSizeStaysWithinTheLimit(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limit.db")
	limit := int64(10 << 20)
	const samples = 420
	l := testWorkload(t, path)
	l.writer.options.Limits.MaxSize = limit
	grown := int64(0)
	for i := range samples {
		sampleWorkload(t, l)
		grown = max(grown, sizeOnDisk(t, path))
		if size := sizeOnDisk(t, path); size > limit+limit/20 {
			t.Fatalf("%d bytes after sample %d; the limit is %d", size, i, limit)
		}
		tidyUp(t, l.writer)
	}
	if grown < limit*3/4 {
		t.Errorf("it never had more than %d bytes: the limit of %d was not tested", grown, limit)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	number := func(query string) (n int64) {
		t.Helper()
		if err := db.QueryRow(query).Scan(&n); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	if n := number("SELECT count(*) FROM samples"); n < 30 || n == samples {
		t.Errorf("%d samples are kept", n)
	}
	// Every sample that is kept is whole.
	if n := number("SELECT count(*) FROM (SELECT ts FROM sockets GROUP BY ts HAVING count(*) <> 2000)"); n != 0 {
		t.Errorf("%d samples do not have their 2000 sockets", n)
	}
	if n := number("SELECT count(*) FROM period_1m"); n < 20 {
		t.Errorf("%d minutes are rolled up of 35 that were recorded", n)
	}
	used := number("SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	l.writer.options.Limits.MaxSize = MinMaxSize
	sampleWorkload(t, l)
	tidyUp(t, l.writer)
	if err := l.writer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if size := sizeOnDisk(t, path); size > MinMaxSize {
		t.Errorf("%d bytes of %d in use before; the limit was lowered to %d", size, used*newPageSize, MinMaxSize)
	}
}

// While somebody leaves a statement open the -wal file grows up to its bound, and samples wait in memory from then on. When the
// statement ends they are written, and nothing is lost.
func TestSlowReaderBoundsTheWAL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.db")
	l := testWorkload(t, path)
	var said []string
	l.writer.options.Notice = func(s string) { said = append(said, s) }
	l.writer.options.Limits.MaxSize = 64 << 20
	sampleWorkload(t, l)
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	open, err := db.Query("SELECT * FROM sockets_now")
	if err != nil {
		t.Fatal(err)
	}
	open.Next()
	samples, most := 1, int64(0)
	for ; len(l.writer.tape.samples) < 5 && samples < 400; samples++ {
		sampleWorkload(t, l)
		tidyUp(t, l.writer)
		most = max(most, sizeOnDisk(t, path))
	}
	bound := l.writer.options.Limits.walBound()
	wal, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(l.writer.tape.samples); n < 5 || wal.Size() < bound || wal.Size() > bound+2<<20 || most > 64<<20*105/100 {
		t.Errorf("after %d samples %d wait in memory, the -wal file has %d bytes of %d that it may have, both files had up to %d", samples, n, wal.Size(), bound, most)
	}
	if err := open.Close(); err != nil {
		t.Fatal(err)
	}
	sampleWorkload(t, l)
	samples++
	var n, gaps int
	if err := db.QueryRow("SELECT (SELECT count(*) FROM samples), (SELECT count(*) FROM gaps WHERE kind <> 'late')").Scan(&n, &gaps); err != nil {
		t.Fatal(err)
	}
	if n != samples || gaps != 0 || l.writer.Behind() {
		t.Errorf("%d samples of %d are there, with %d gaps; behind: %v", n, samples, gaps, l.writer.Behind())
	}
	if len(said) != 2 || !strings.Contains(said[0], fmt.Sprintf("process %d (store.test) has left a statement open", os.Getpid())) || !strings.Contains(said[1], "recording goes on") {
		t.Errorf("said: %q", said)
	}
	if size := sizeOnDisk(t, path); size > 32<<20 {
		t.Errorf("%d bytes afterwards", size)
	}
	if err := l.writer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// With limits a recording of many short-lived sockets and processes stands still in every table, whatever comes and goes.
func TestNothingGrowsForEver(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "still.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"},
		Limits: Limits{Keep: time.Minute, Minutes: 2 * time.Hour, Hours: 100 * time.Hour, Days: 60 * 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	w.keeper.markSamples, w.keeper.markTuples, w.tupleAge = 50, 10, 20
	src := w.Source("all")
	procs, socks, log := NewSet(src, Processes), NewSet(src, Sockets), NewLog(src, Closes)
	trends, traffic := NewSet(src, SocketTrends), NewSet(src, TrafficTable)
	rows := func() map[string]int64 {
		counts := map[string]int64{}
		names, err := w.conn.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('sqlite_sequence')")
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for names.Next() {
			var name string
			if err := names.Scan(&name); err != nil {
				t.Fatal(err)
			}
			list = append(list, name)
		}
		names.Close()
		for _, name := range list {
			var n int64
			if err := w.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM "+name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			counts[name] = n
		}
		return counts
	}
	const samples = 1500
	var middle map[string]int64
	uptime := time.Duration(0)
	for i := range samples {
		step := time.Second
		if i%20 == 0 {
			step = 48 * time.Hour // 150 days in all
		}
		uptime += step
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(uptime), Uptime: uptime, Awake: uptime})
		src.Read(func() error {
			for j := range 4 {
				id := i/3*4 + j // each lives for three samples
				p := procs.Put(ProcessID{PID: Of(id), Started: float64(id), Comm: fmt.Sprint("job", id)}, Process{FDs: Of(i)}).Ref()
				socks.Put(SocketID{Proto: "tcp", Cookie: Of(id)}, Socket{State: "ESTABLISHED", Process: p, Retransmits: Of(id), BytesSent: Of(i)})
				trends.Put(SocketCountID{Process: p, Proto: "tcp", State: "ESTABLISHED"}, SocketTrend{Of(1)})
				traffic.Put(TrafficID{Process: p}, Traffic{BytesSent: Of(i)})
				log.Add(uptime, Close{Process: p, Cookie: Of(id)})
			}
			// One that was there before anybody looked, idle.
			socks.Put(SocketID{Proto: "tcp", Cookie: Of(1 << 40)}, Socket{State: "LISTEN", User: "root"})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		tidyUp(t, w)
		if i == samples/2+9 { // after as many short steps as at the end
			middle = rows()
		}
	}
	for name, n := range rows() {
		if was := middle[name]; n > was+was/4+20 {
			t.Errorf("%s has %d rows, and had %d half way", name, n, was)
		}
	}
	// The idle one is known since the first sample, which is long gone.
	var since float64
	var state string
	if err := w.conn.QueryRowContext(t.Context(), "SELECT first_seen, user FROM listeners WHERE cookie = 1 << 40").Scan(&since, &state); err != nil || since != 1_700_000_000+48*3600 || state != "root" {
		t.Errorf("the listener is known since %v, of user %q: %v", since, state, err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	requireSound(t, path)
	// Who saves what is left of it loses nothing that it kept.
	saved := filepath.Join(t.TempDir(), "saved.db")
	if _, err := Recover(t.Context(), path, saved, RecoverOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"SELECT ts, pid, comm, cookie, state FROM sockets ORDER BY 1, 2, 4", "SELECT * FROM socket_counts_1d ORDER BY 1, 5", "SELECT * FROM traffic_rates_1m ORDER BY 1, 5",
		"SELECT first_seen, user FROM listeners",
	} {
		if diff := cmp.Diff(ask(t, path, query), ask(t, saved, query)); diff != "" {
			t.Errorf("%s (-recording +saved):\n%s", query, diff)
		}
	}
}

// BenchmarkTidy keeps the last half hour of 2,000 sockets, of which a fifth move in every sample and ten are replaced, and prints
// what tidying up takes of the time that writing takes, in all and in its longest step.
func BenchmarkTidy(b *testing.B) {
	for b.Loop() {
		l := testWorkload(b, filepath.Join(b.TempDir(), "tidy.db"))
		l.writer.options.Limits = Limits{Keep: 30 * time.Minute, MaxSize: 1 << 30}
		var wrote, tidied, longest time.Duration
		steps := 0
		for i := range 1200 {
			took := sampleWorkload(b, l)
			for more := true; more; {
				begun := time.Now()
				var err error
				if more, err = l.writer.Tidy(b.Context()); err != nil {
					b.Fatal(err)
				}
				if i >= 400 { // from then on as much goes as comes
					step := time.Since(begun)
					tidied, longest, steps = tidied+step, max(longest, step), steps+1
				}
			}
			if i >= 400 {
				wrote += took
			}
		}
		b.ReportMetric(float64(tidied)/float64(wrote), "tidy/write")
		b.ReportMetric(float64(wrote.Microseconds())/800/1000, "ms-write")
		b.ReportMetric(float64(longest.Microseconds())/1000, "ms-longest-step")
		b.ReportMetric(float64(steps)/800, "steps/sample")
		l.writer.Close(b.Context())
	}
	b.ReportMetric(0, "ns/op")
}
