package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// a sum of closes, as a question or the test itself works it out.
type closeSum struct {
	count, unknown, failed, sent, received, retransmits int64
	median                                              Int
	first, last                                         float64
}

// Whatever closes there were, who talked to whom is known after they are thinned: of each minute and peer the number, the
// sums, the first and the last are as before. What a sample saw, and what is young, stays one by one.
func TestThinnedCloses(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "closes.db")
			rnd := rand.New(rand.NewPCG(seed, 5))
			start := time.Unix(1_700_000_000, 0)
			w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Version: "x", Boot: Boot{ID: "b", Started: start}})
			if err != nil {
				t.Fatal(err)
			}
			src := w.Source("closes")
			log, counts := NewLog(src, Closes), NewLog(src, CloseCounts)
			procs := NewSet(src, Processes)
			want, rtts := map[string]*closeSum{}, map[string][]int64{}
			young := 0
			const samples, old = 60, 45 // of 10 s
			for i := range samples {
				up := time.Duration(i+1) * 10 * time.Second
				w.Begin(Clock{Wall: start.Add(up), Uptime: up, Awake: up})
				src.Read(func() error {
					web := procs.Put(ProcessID{PID: Of(7), Comm: "web"}, Process{}).Ref()
					if i == 0 {
						return nil
					}
					for range rnd.IntN(40) {
						at := up - time.Duration(rnd.IntN(9_999_999))*time.Microsecond
						c := Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.1", LocalPort: Of(443), RemotePort: Of(30000 + rnd.IntN(30000)),
							RemoteAddr: fmt.Sprintf("192.0.2.%d", rnd.IntN(5)), Process: web, OwnerHow: "listener", Candidates: Of(1),
							BytesSent: Of(rnd.IntN(1000)), BytesReceived: Of(rnd.IntN(1000)), Retransmits: Of(rnd.IntN(2)), RTT: Of(rnd.IntN(5000))}
						switch rnd.IntN(12) {
						case 0: // to a service elsewhere
							c.LocalPort, c.RemotePort, c.RemoteAddr = c.RemotePort, Of(5432), "198.51.100.9"
						case 1: // the kernel had forgotten the numbers
							c.Incomplete, c.BytesSent, c.BytesReceived, c.Retransmits, c.RTT = Of(1), Int{}, Int{}, Int{}, Int{}
						case 3: // it never came about
							c.BytesSent, c.BytesReceived, c.Retransmits, c.RTT = Of(0), Of(0), Of(rnd.IntN(3)), Int{}
						case 2: // a sample saw it
							c = Close{Socket: c.Process, Process: web, BytesSent: Of(9)}
						}
						ts := log.Add(at, c)
						key := fmt.Sprintf("%.0f %s %d", math.Floor(ts/60), c.RemoteAddr, service(c))
						if c.Socket != 0 {
							key = fmt.Sprintf("seen %.6f", ts)
						} else if ts >= math.Floor((unixSeconds(start)+old*10)/60)*60 {
							key = fmt.Sprintf("young %.6f", ts)
							young++
						}
						s := want[key]
						if s == nil {
							s = &closeSum{first: math.Inf(1)}
							want[key] = s
						}
						s.count++
						if c.RTT != (Int{}) {
							rtts[key] = append(rtts[key], c.RTT.Or(0))
							slices.Sort(rtts[key])
							s.median = Of(rtts[key][(len(rtts[key])-1)/2])
						}
						s.unknown += c.Incomplete.Or(0)
						if c.RTT == (Int{}) && c.Incomplete == (Int{}) && c.Socket == 0 {
							s.failed++
						}
						s.sent += c.BytesSent.Or(0)
						s.received += c.BytesReceived.Or(0)
						s.retransmits += c.Retransmits.Or(0)
						s.first, s.last = min(s.first, ts), max(s.last, ts)
						if rnd.IntN(10) == 0 { // beyond the budget, in the same microsecond
							counts.Add(at, CloseCount{NetNS: Of(1), Proto: "tcp", RemoteAddr: "203.0.113.1", RemotePort: Of(1), Count: Of(1), First: ts})
						}
					}
					return nil
				})
				if err := w.Commit(t.Context(), Cost{}); err != nil {
					t.Fatal(err)
				}
			}
			for steps := 0; ; steps++ {
				more, err := w.retention.thinCloses(t.Context(), unixSeconds(start)+old*10)
				if err != nil {
					t.Fatal(err)
				}
				if !more {
					if steps < 7 {
						t.Errorf("%d minutes were thinned", steps)
					}
					break
				}
			}
			if err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			requireSound(t, path)
			db, err := sql.Open("sqlite", DSN(path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			got := map[string]*closeSum{}
			rows, err := db.Query(`
				SELECT printf('%d %s %d', first / 60, remote_addr, min(coalesce(local_port, 99999), coalesce(remote_port, 99999))), count, unknown, failed, bytes_sent, bytes_received, retransmits, median_rtt_us, first, ts,
				       process IS NOT NULL AND owner_how = 'listener' AND owner_candidates = 1 AND netns = 1 AND proto = 'tcp' AND family = 4 AND local_addr = '10.0.0.1'
				  FROM close_count WHERE remote_addr <> '203.0.113.1'
				UNION ALL
				SELECT printf('%s %.6f', iif(socket IS NULL, 'young', 'seen'), ts), 1, incomplete, rtt_us IS NULL AND incomplete IS NULL AND socket IS NULL, bytes_sent, bytes_received, retransmits, rtt_us, ts, ts, 1 FROM close`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var key string
				var s closeSum
				var unknown, sent, received, retransmits, median sql.NullInt64
				var whole bool
				if err := rows.Scan(&key, &s.count, &unknown, &s.failed, &sent, &received, &retransmits, &median, &s.first, &s.last, &whole); err != nil {
					t.Fatal(err)
				}
				s.unknown, s.sent, s.received, s.retransmits = unknown.Int64, sent.Int64, received.Int64, retransmits.Int64
				if median.Valid {
					s.median = Of(median.Int64)
				}
				if !whole {
					t.Errorf("%s: what its closes had in common is not there", key)
				}
				if got[key] != nil {
					t.Errorf("%s: two rows", key)
				}
				got[key] = &s
			}
			// The last of a row may have become a neighbour of another.
			for _, key := range slices.Sorted(maps.Keys(got)) {
				if w := want[key]; w != nil && math.Abs(w.last-got[key].last) < 1e-5 {
					got[key].last = w.last
				}
			}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(closeSum{}), cmp.Comparer(func(a, b Int) bool { return a == b })); diff != "" || young == 0 {
				t.Errorf("%d young closes; (- want, + got):\n%s", young, diff)
			}
			var source, since, until string
			if err := db.QueryRow("SELECT source, since >= ?1 AND since < ?1 + 60, until = ?2 FROM gaps WHERE kind = 'thinned'", unixSeconds(start), math.Floor((unixSeconds(start)+old*10)/60)*60).Scan(&source, &since, &until); err != nil || source != "closed_sockets" || since != "1" || until != "1" {
				t.Errorf("gaps: source %s, since %s, until %s, %v", source, since, until, err)
			}
		})
	}
}

// service is the port that closes of this test have in common.
func service(c Close) int64 {
	if c.LocalPort.Or(0) == 443 {
		return 443
	}
	return c.RemotePort.Or(0)
}
