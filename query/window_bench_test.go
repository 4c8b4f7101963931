package query

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"netsql/store"
	"netsql/store/bench"
)

// BenchmarkWindow asks the views that sum up a window, over an hour of 1,000 sockets in which 20,000 short connections to twenty services and from two
// thousand clients were closed, with the same hour of the day before. It prints how long each takes, beside connections, which lists them.
func BenchmarkWindow(b *testing.B) {
	ctx := b.Context()
	const interval, samples, closes = 10 * time.Second, 360, 20_000
	path := filepath.Join(b.TempDir(), "window.db")
	l, err := bench.NewWorkload(ctx, path, 1000, 0, interval)
	if err != nil {
		b.Fatal(err)
	}
	log := store.NewLog(l.Writer.Source("closes"), store.Closes)
	n := 0
	l.More = func() {
		at := l.Uptime()
		for range closes / samples {
			n++
			c := store.Close{NetNS: store.Of(4026531840), Proto: "tcp", Family: store.Of(4), Cookie: store.Of(10_000_000 + n), Process: store.Ref(1 + n%10), OwnerHow: "trace",
				LocalAddr: "10.1.2.3", Lived: store.Of(5), BytesSent: store.Of(100 + n%900), BytesReceived: store.Of(n % 5000), SegsOut: store.Of(5), SegsIn: store.Of(5),
				Retransmits: store.Of(n % 50 / 49), RTT: store.Of(200 + n*n%3000), MSS: store.Of(1448), PMTU: store.Of(1500)}
			if n%2 == 0 {
				c.LocalPort, c.RemoteAddr, c.RemotePort = store.Of(32768+n%28000), fmt.Sprint("10.2.0.", n/2%20), store.Of(5432)
				c.LivedUS, c.Connect, c.Outcome = store.Of(5000), store.Of(100+n%700), "established"
			} else {
				c.LocalPort, c.RemoteAddr, c.RemotePort = store.Of(5000), fmt.Sprintf("192.0.%d.%d", n/2%2000/250, n/2%2000%250), store.Of(1024+n%60000)
			}
			log.Add(at-time.Duration(n%9000)*time.Millisecond, c)
		}
	}
	for i := range 2 * samples {
		if i == samples {
			l.Skip(24*time.Hour - samples*interval)
		}
		if _, err := l.Sample(ctx); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(ctx); err != nil {
		b.Fatal(err)
	}
	r, err := Open(ctx, path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for b.Loop() {
		for _, view := range []string{"connections", "upstreams", "links", "peers", "first_seen", "compared"} {
			best := time.Hour
			for range 3 {
				start := time.Now()
				if err := r.each(ctx, "SELECT * FROM "+view, nil, func([]any) {}); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
			}
			b.ReportMetric(best.Seconds()*1000, "ms/"+view)
		}
	}
}
