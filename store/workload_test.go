package store_test

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

	"netsql/store"
	"netsql/store/bench"
)

// testWorkload has 2,000 sockets, and a sample every five seconds.
func testWorkload(tb testing.TB, path string) *bench.Workload {
	tb.Helper()
	l, err := bench.NewWorkload(tb.Context(), path, 2000, 0, 5*time.Second)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func sampleWorkload(tb testing.TB, l *bench.Workload) time.Duration {
	tb.Helper()
	took, err := l.Sample(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return took
}

// A recording with a limit of size is never more than 5 % above it, keeps what there is room for, and shrinks when the limit is
// lowered.
func TestSizeStaysWithinTheLimit(t *testing.T) {
	store.OnlyLong(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "limit.db")
	limit := int64(10 << 20)
	const samples = 420
	l := testWorkload(t, path)
	store.LimitSize(l.Writer, limit)
	grown := int64(0)
	for i := range samples {
		sampleWorkload(t, l)
		grown = max(grown, store.SizeOnDisk(t, path))
		if size := store.SizeOnDisk(t, path); size > limit+limit/20 {
			t.Fatalf("%d bytes after sample %d; the limit is %d", size, i, limit)
		}
		store.TidyUp(t, l.Writer)
	}
	if grown < limit*3/4 {
		t.Errorf("it never had more than %d bytes: the limit of %d was not tested", grown, limit)
	}
	db, err := sql.Open("sqlite", store.DSN(path))
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

	store.LimitSize(l.Writer, store.MinMaxSize)
	sampleWorkload(t, l)
	store.TidyUp(t, l.Writer)
	if err := l.Writer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if size := store.SizeOnDisk(t, path); size > store.MinMaxSize {
		t.Errorf("%d bytes of %d in use before; the limit was lowered to %d", size, used*store.NewPageSize, store.MinMaxSize)
	}
}

// While somebody leaves a statement open the -wal file grows up to its bound, and samples wait in memory from then on. When the
// statement ends they are written, and nothing is lost.
func TestSlowReaderBoundsTheWAL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "held.db")
	l := testWorkload(t, path)
	var said []string
	store.Notify(l.Writer, func(s string) { said = append(said, s) })
	store.LimitSize(l.Writer, 64<<20)
	sampleWorkload(t, l)
	db, err := sql.Open("sqlite", store.DSN(path))
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
	for ; store.Waiting(l.Writer) < 5 && samples < 400; samples++ {
		sampleWorkload(t, l)
		store.TidyUp(t, l.Writer)
		most = max(most, store.SizeOnDisk(t, path))
	}
	bound := store.WALBound(l.Writer)
	wal, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if n := store.Waiting(l.Writer); n < 5 || wal.Size() < bound || wal.Size() > bound+2<<20 || most > 64<<20*105/100 {
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
	if n != samples || gaps != 0 || l.Writer.Behind() {
		t.Errorf("%d samples of %d are there, with %d gaps; behind: %v", n, samples, gaps, l.Writer.Behind())
	}
	if len(said) != 2 || !strings.Contains(said[0], fmt.Sprintf("process %d (store.test) has left a statement open", os.Getpid())) || !strings.Contains(said[1], "recording goes on") {
		t.Errorf("said: %q", said)
	}
	if size := store.SizeOnDisk(t, path); size > 32<<20 {
		t.Errorf("%d bytes afterwards", size)
	}
	if err := l.Writer.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// Where room is wanting a recording is thinned before anything of it is forgotten, and stays within its limit.
func TestThinnedBeforeForgotten(t *testing.T) {
	store.OnlyLong(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "thin.db")
	l, err := bench.NewWorkload(t.Context(), path, 2000, 0, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	const limit, samples = store.MinMaxSize + store.MinMaxSize/8, 1000 // there is room for an hour
	store.LimitSize(l.Writer, limit)
	store.ThinEarly(l.Writer)
	forgetful := 0 // samples that were there when one was forgotten for the first time
	for i := range samples {
		sampleWorkload(t, l)
		store.TidyUp(t, l.Writer)
		// What steps free leaves the file with the next checkpoint.
		if size := store.SizeOnDisk(t, path); size > limit+limit/20+400*store.NewPageSize {
			t.Fatalf("%d bytes after sample %d; the limit is %d", size, i, limit)
		}
		if forgetful == 0 && store.Forgotten(l.Writer) {
			forgetful = i
			for _, grain := range store.Unthinned(l.Writer, i) {
				t.Errorf("a sample is forgotten while %s", grain)
			}
		}
	}
	if forgetful < 200 {
		t.Errorf("a sample was forgotten when there were %d", forgetful)
	}
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := store.Texts(t, db, "SELECT min(since) >= (SELECT min(ts) FROM sample) FROM gaps WHERE kind = 'thinned'"); n[0] != "1" {
		t.Error("what is forgotten is said to be thinned")
	}
	if n := store.Texts(t, db, "SELECT count(*) FROM (SELECT ts FROM sockets GROUP BY ts HAVING count(*) <> 2000)"); n[0] != "0" {
		t.Errorf("%s samples that are kept do not have their 2000 sockets", n[0])
	}
	if n := store.Texts(t, db, "SELECT count(*) FROM (SELECT CAST(ts / 60 AS INTEGER) FROM samples WHERE ts < (SELECT max(until) FROM gaps WHERE kind = 'thinned') GROUP BY 1 HAVING count(*) > 2)"); n[0] != "0" {
		t.Errorf("%s minutes that are thinned have more than two samples", n[0])
	}
	want := []string{"samples one sample in each hour is kept, for want of room (--max-size) true", "samples one sample in each minute is kept, for want of room (--max-size) true"}
	got := store.Texts(t, db, "SELECT source || ' ' || detail || ' ' || iif(since = lag(until, 1, since) OVER (ORDER BY since), 'true', 'false') FROM gaps WHERE kind = 'thinned' ORDER BY since")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("gaps (- want, + got):\n%s", diff)
	}
	store.RequireSound(t, path)
}

// BenchmarkTidy keeps the last half hour of 2,000 sockets, of which a fifth move in every sample and ten are replaced, and prints
// what tidying up takes of the time that writing takes, in all and in its longest step.
func BenchmarkTidy(b *testing.B) {
	for b.Loop() {
		l := testWorkload(b, filepath.Join(b.TempDir(), "tidy.db"))
		store.Limit(l.Writer, store.Limits{Keep: 30 * time.Minute, MaxSize: 1 << 30})
		var wrote, tidied, longest time.Duration
		steps := 0
		for i := range 1200 {
			took := sampleWorkload(b, l)
			for more := true; more; {
				begun := time.Now()
				var err error
				if more, err = l.Writer.Tidy(b.Context()); err != nil {
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
		l.Writer.Close(b.Context())
	}
	b.ReportMetric(0, "ns/op")
}
