package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkUpstreams asks how the services are that three programs connect to, of an hour in which they made 20,000 connections to 60 of them. Samples saw
// half of these. The day before had as many in the same hour. With NETSQL_FILE=PATH the recording is written there and kept.
func BenchmarkUpstreams(b *testing.B) {
	path := os.Getenv("NETSQL_FILE")
	if path == "" {
		path = filepath.Join(b.TempDir(), "upstreams.db")
	}
	if _, err := os.Stat(path); err != nil {
		writeUpstreams(b, path)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for b.Loop() {
		var services, connections, attempts int
		if err := db.QueryRowContext(b.Context(), "SELECT count(*), sum(connections), sum(attempts) + sum(attempts_before) + total(rtt_p95_before_ms) * 0 FROM upstreams").Scan(&services, &connections, &attempts); err != nil {
			b.Fatal(err)
		}
		if services != 60 || connections < 19_000 {
			b.Fatal(services, connections, attempts)
		}
	}
}

func writeUpstreams(b *testing.B, path string) {
	b.Helper()
	w, err := Create(b.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		b.Fatal(err)
	}
	all := w.Source("all")
	procs, socks, closes := NewSet(all, Processes), NewSet(all, Sockets), NewLog(all, Closes)
	r := rand.New(rand.NewPCG(1, 2))
	n := 0
	for _, start := range []time.Duration{0, 24 * time.Hour} {
		var before []Ref
		for i := range 360 {
			up := 1000*time.Second + start + time.Duration(i)*10*time.Second
			w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
			all.Read(func() error {
				for _, s := range before {
					closes.Add(up-time.Second, Close{Socket: s, OwnerHow: "cookie", Outcome: "closed", RTT: Of(100 + r.IntN(50_000)), Retransmits: Of(0), LivedUS: Of(9_000_000), Connect: Of(100 + r.IntN(9000))})
				}
				before = before[:0]
				var refs []Ref
				for p := range 3 {
					refs = append(refs, procs.Put(ProcessID{PID: Of(10 + p), Started: 5, Comm: fmt.Sprint("app", p)}, Process{}).Ref())
				}
				for range 28 {
					n++
					service := r.IntN(20)
					before = append(before, socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(1024 + n%60000), RemoteAddr: fmt.Sprint("10.0.7.", service), RemotePort: Of(80), Cookie: Of(n)},
						Socket{State: "ESTABLISHED", Process: refs[n%3], OwnerHow: "fd", Direction: "out", RTT: Of(100 + r.IntN(50_000)), Busy: Of(1000), RwndLimited: Of(100), SndbufLimited: Of(0), Retransmits: Of(0)}).Ref())
					n++
					closes.Add(up-time.Duration(r.IntN(9000))*time.Millisecond, Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(1024 + n%60000), RemoteAddr: fmt.Sprint("10.0.7.", service), RemotePort: Of(80),
						Cookie: Of(n), Process: refs[n%3], OwnerHow: "trace", Outcome: "closed", RTT: Of(100 + r.IntN(50_000)), Retransmits: Of(0), LivedUS: Of(1000), Connect: Of(100 + r.IntN(9000))})
				}
				return nil
			})
			if err := w.Commit(b.Context(), Cost{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
