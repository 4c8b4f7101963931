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

// BenchmarkUpstreams asks how the services are that three programs connect to, and whether the way to one is slow, of an hour in which they made 20,000 connections to 60 of them. Samples saw
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
	for _, c := range []struct {
		view, statement string
		want            int
	}{
		{"upstreams", "SELECT count(*) FROM (SELECT * FROM upstreams WHERE connections > 100 AND attempts_before > 100 ORDER BY rtt_p95_before_ms + connect_p95_ms LIMIT -1)", 60},
		{"fault_path_slow", "SELECT count(*) FROM fault_path_slow", 3},
	} {
		b.Run(c.view, func(b *testing.B) {
			for b.Loop() {
				var n int
				if err := db.QueryRowContext(b.Context(), c.statement).Scan(&n); err != nil || n != c.want {
					b.Fatalf("%d rows (%v), want %d", n, err, c.want)
				}
			}
		})
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
	type held struct {
		Ref
		service int
	}
	slow := false
	shortest := func(service int) int { // service 7 is slow on the second day
		if slow && service == 7 {
			return 30_000 + r.IntN(1000)
		}
		return 100 + r.IntN(1000)
	}
	for _, start := range []time.Duration{0, 24 * time.Hour} {
		var before []held
		slow = start > 0
		for i := range 360 {
			up := 1000*time.Second + start + time.Duration(i)*10*time.Second
			w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
			all.Read(func() error {
				for _, h := range before {
					closes.Add(up-time.Second, Close{Socket: h.Ref, OwnerHow: "cookie", Outcome: "closed", RTT: Of(100 + r.IntN(50_000)), MinRTT: Of(shortest(h.service)), Retransmits: Of(0), LivedUS: Of(9_000_000), Connect: Of(100 + r.IntN(9000))})
				}
				before = before[:0]
				var refs []Ref
				for p := range 3 {
					refs = append(refs, procs.Put(ProcessID{PID: Of(10 + p), Started: 5, Comm: fmt.Sprint("app", p)}, Process{}).Ref())
				}
				for range 28 {
					n++
					service := r.IntN(20)
					before = append(before, held{socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(1024 + n%60000), RemoteAddr: fmt.Sprint("10.0.7.", service), RemotePort: Of(80), Cookie: Of(n)},
						Socket{State: "ESTABLISHED", Process: refs[n%3], OwnerHow: "fd", Direction: "out", RTT: Of(100 + r.IntN(50_000)), MinRTT: Of(1024), Busy: Of(1000), RwndLimited: Of(100), SndbufLimited: Of(0), Retransmits: Of(0)}).Ref(), service})
					n++
					closes.Add(up-time.Duration(r.IntN(9000))*time.Millisecond, Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(1024 + n%60000), RemoteAddr: fmt.Sprint("10.0.7.", service), RemotePort: Of(80),
						Cookie: Of(n), Process: refs[n%3], OwnerHow: "trace", Outcome: "closed", RTT: Of(100 + r.IntN(50_000)), MinRTT: Of(shortest(service)), Retransmits: Of(0), LivedUS: Of(1000), Connect: Of(100 + r.IntN(9000))})
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
