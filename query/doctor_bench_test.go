package query

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"netsql/store"
	"netsql/store/bench"
)

// BenchmarkDoctor diagnoses an hour and all of a recording of 1,000 sockets, on which five programs lose segments and one listener drops connections in a
// minute of each hour. It prints how long findings takes, and the slowest view among those of one fault, symptom_episodes and upstreams, beside reading the
// sockets of the newest sample. The recording has two hours, with NETSQL_LONG=1 two days, and with NETSQL_DAYS=N N days; seven take a minute or two to write
// and 0.6 GB. With NETSQL_FILE=PATH it is written there and kept, and one that is there already is read as it is.
func BenchmarkDoctor(b *testing.B) {
	ctx := b.Context()
	samples := 720
	if os.Getenv("NETSQL_LONG") != "" {
		samples = 2 * 8640
	}
	if days := os.Getenv("NETSQL_DAYS"); days != "" {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 {
			b.Fatalf("NETSQL_DAYS is %q", days)
		}
		samples = n * 8640
	}
	path := os.Getenv("NETSQL_FILE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "doctor.db")
	}
	if _, err := os.Stat(path); err != nil {
		writeFaulty(b, path, samples)
	}
	r, err := Open(ctx, path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	took := func(what string) time.Duration {
		start := time.Now()
		if err := r.each(ctx, what, nil, func([]any) {}); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	least := func(f func() time.Duration) time.Duration {
		best := f()
		for range 2 {
			best = min(best, f())
		}
		return best
	}
	diagnose := func() time.Duration {
		start := time.Now()
		d, err := Diagnose(ctx, r)
		if err != nil || len(d.Findings) == 0 {
			b.Fatal(d, err)
		}
		return time.Since(start)
	}
	peer := least(func() time.Duration { return took("SELECT * FROM sockets_now") })
	for b.Loop() {
		b.ReportMetric(least(diagnose).Seconds()*1000, "ms/hour")
		var slowest time.Duration
		var name string
		for _, v := range store.Views() {
			if strings.HasPrefix(v.Name, faultPrefix) || v.Name == "symptom_episodes" || v.Name == "upstreams" {
				if t := least(func() time.Duration { return took("SELECT * FROM " + v.Name) }); t > slowest {
					slowest, name = t, v.Name
				}
			}
		}
		b.Logf("slowest: %s", name)
		b.ReportMetric(slowest.Seconds()*1000, "ms/view")
		if err := r.SetWindow(ctx, time.Unix(1_600_000_000, 0), time.Time{}); err != nil {
			b.Fatal(err)
		}
		whole := least(diagnose)
		b.ReportMetric(whole.Seconds()*1000, "ms/all")
		b.ReportMetric(whole.Seconds()/peer.Seconds(), "x-sockets_now")
		if err := r.SetWindow(ctx, time.Time{}, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}

// writeFaulty writes the recording that BenchmarkDoctor reads.
func writeFaulty(b *testing.B, path string, samples int) {
	b.Helper()
	ctx := b.Context()
	const interval = 10 * time.Second
	l, err := bench.NewWorkload(ctx, path, 1000, 0, interval)
	if err != nil {
		b.Fatal(err)
	}
	source := l.Writer.Source("symptoms")
	set := store.NewSet(source, store.Symptoms)
	known := map[store.SymptomID]*store.Subject[store.SymptomID, store.Symptom]{}
	n := 0
	l.More = func() {
		source.Read(func() error {
			n++
			there := map[store.SymptomID]bool{}
			put := func(id store.SymptomID, amount, total int) {
				there[id] = true
				known[id] = set.Put(id, store.Symptom{Amount: store.Of(amount), Total: store.Of(total)})
			}
			for i := range 5 {
				if n%(6+i) == 0 {
					put(store.SymptomID{NetNS: store.Of(1), Symptom: "retransmits", Process: store.Ref(1 + i), RemoteAddr: fmt.Sprint("192.0.2.", i), RemotePort: store.Of(443)}, 3+n%5, 60)
				}
			}
			if n%360 < 6 {
				put(store.SymptomID{NetNS: store.Of(1), Symptom: "ListenOverflows"}, 10+n%7, 10)
				put(store.SymptomID{NetNS: store.Of(1), Symptom: "ListenDrops"}, 10+n%7, 10)
				put(store.SymptomID{NetNS: store.Of(1), Symptom: "listener drops", Process: store.Ref(1), LocalPort: store.Of(5001)}, 10+n%7, 1000)
			}
			for id, s := range known {
				if !there[id] {
					set.Rest(s)
				}
			}
			return nil
		})
	}
	for range samples {
		if _, err := l.Sample(ctx); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(ctx); err != nil {
		b.Fatal(err)
	}
}
