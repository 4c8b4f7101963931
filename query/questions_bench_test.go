package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// busyDay writes four hours of 300 sockets, of which a fifth moves in each sample and six are replaced, 30 closes in each, and interfaces.
func busyDay(b *testing.B) (path string, first, last float64) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "busy.db")
	w, err := store.Create(b.Context(), store.Options{Path: path, Interval: 10 * time.Second, Version: "bench", Boot: store.Boot{ID: "b", Host: "h"}})
	if err != nil {
		b.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	src := w.Source("all")
	procs, socks, counts := store.NewSet(src, store.Processes), store.NewSet(src, store.Sockets), store.NewSet(src, store.SocketCounts)
	trends, traffic := store.NewSet(src, store.SocketTrends), store.NewSet(src, store.TrafficTable)
	links, counters, routes := store.NewSet(src, store.Interfaces), store.NewSet(src, store.InterfaceCountersTable), store.NewSet(src, store.Routes)
	closes := store.NewLog(src, store.Closes)
	const samples, sockets = 4 * 360, 300
	cookies, sent := make([]int, sockets), make([]int, sockets)
	next := 1
	start := time.Unix(1_700_000_000, 0)
	for i := range samples {
		up := time.Duration(i+1) * 10 * time.Second
		w.Begin(store.Clock{Wall: start.Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			var refs []store.Ref
			for pid := range 20 {
				p := procs.Put(store.ProcessID{PID: store.Of(100 + pid), Started: 1, Comm: fmt.Sprintf("job%d", pid)}, store.Process{User: "root"}).Ref()
				refs = append(refs, p)
				id := store.SocketCountID{NetNS: store.Of(1), Process: p, Proto: "tcp", Family: store.Of(4), State: "ESTABLISHED"}
				counts.Put(id, store.SocketCount{Count: store.Of(15 + i%(pid+1))})
				trends.Put(id, store.SocketTrend{Count: store.Of(15 + i%(pid+1))})
				traffic.Put(store.TrafficID{NetNS: store.Of(1), Process: p}, store.Traffic{BytesSent: store.Of(rnd.IntN(1e6)), Closed: store.Of(1)})
			}
			for j := range sockets {
				if cookies[j] == 0 || rnd.IntN(sockets) < 6 {
					cookies[j], sent[j] = next, 0
					next++
				}
				if rnd.IntN(5) == 0 {
					sent[j] += rnd.IntN(10_000)
				}
				socks.Put(store.SocketID{NetNS: store.Of(1), Proto: "tcp", Family: store.Of(4), LocalAddr: "10.0.0.5", LocalPort: store.Of([]int{443, 5432}[j%2]), RemoteAddr: fmt.Sprintf("10.1.0.%d", j%200),
					RemotePort: store.Of(32768 + cookies[j]%28000), Cookie: store.Of(cookies[j])}, store.Socket{State: "ESTABLISHED", Process: refs[j%20], OwnerHow: "fd", BytesSent: store.Of(sent[j]), RTT: store.Of(rnd.IntN(2) * 900)})
			}
			for j := range 30 {
				remote := fmt.Sprintf("10.1.%d.%d", rnd.IntN(2), rnd.IntN(200))
				if i == 700 && j == 1 {
					remote = "203.0.113.7"
				}
				closes.Add(up-time.Duration(rnd.IntN(9_000))*time.Millisecond, store.Close{NetNS: store.Of(1), Proto: "tcp", Family: store.Of(4), LocalAddr: "10.0.0.5", LocalPort: store.Of(443), RemoteAddr: remote,
					RemotePort: store.Of(32768 + rnd.IntN(28000)), Cookie: store.Of(1_000_000 + 30*i + j), Process: refs[j%20], OwnerHow: "listener", Candidates: store.Of(1), BytesSent: store.Of(rnd.IntN(90_000)), RTT: store.Of(rnd.IntN(9000))})
			}
			for k := range 4 {
				id := store.InterfaceID{NetNS: store.Of(1), IfIndex: store.Of(k), Name: fmt.Sprintf("eth%d", k)}
				links.Put(id, store.Interface{OperState: []string{"UP", "DOWN"}[i/100%2], MTU: store.Of(1500)})
				counters.Put(id, store.InterfaceCounters{RxBytes: store.Of(1000 * i)})
			}
			routes.Put(store.RouteID{NetNS: store.Of(1), Family: store.Of(4), Dst: "0.0.0.0/0", Dev: "eth0"}, store.Route{Gateway: fmt.Sprintf("10.0.0.%d", 250+i/200%2)})
			return nil
		})
		if err := w.Commit(b.Context(), store.Cost{}); err != nil {
			b.Fatal(err)
		}
		for more := i%100 == 99; more; {
			if more, err = w.Tidy(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	return path, float64(start.Unix()) + 10, float64(start.Unix()) + 10*samples
}

// questions are what people ask of a recording: about the moment at, about what came after since, and about the window.
func questions(at, since float64) []string {
	mid, hour := fmt.Sprintf("%.0f.0", at), fmt.Sprintf("%f", since)
	return []string{
		"SELECT 1",
		"SELECT * FROM sockets WHERE ts = " + mid, "SELECT * FROM sockets_now", "SELECT * FROM processes_now", "SELECT * FROM socket_rates WHERE ts = " + mid,
		"SELECT * FROM sockets WHERE ts = (SELECT max(ts) FROM samples)", "SELECT comm, count(*) FROM sockets WHERE ts > " + hour + " GROUP BY comm",
		"SELECT count(*), max(ts) FROM socket_rates WHERE ts > " + hour, "SELECT * FROM route_changes c JOIN sockets s ON s.ts = c.ts",
		"SELECT m.ts, (SELECT count(*) FROM sockets s WHERE s.ts = m.ts) FROM samples m ORDER BY ts LIMIT 60",
		"SELECT * FROM sockets WHERE remote_addr = '10.1.0.7'", "SELECT * FROM socket_spans WHERE remote_addr = '10.1.0.7'", "SELECT count(*) FROM sockets", "SELECT DISTINCT comm FROM sockets",
		"SELECT * FROM leaks", "SELECT * FROM slow_leaks", "SELECT * FROM top_talkers", "SELECT * FROM listeners",
		"SELECT count(*) FROM connections", "SELECT * FROM connections LIMIT 5", "SELECT * FROM connections ORDER BY opened DESC LIMIT 5",
		"SELECT * FROM connections WHERE remote_addr = '203.0.113.7'", "SELECT count(*) FROM connections WHERE local_port = 5432", "SELECT * FROM connections WHERE comm = 'job3' LIMIT 10",
		"SELECT * FROM closed_sockets WHERE remote_addr = '203.0.113.7'", "SELECT count(*) FROM closed_sockets WHERE local_port = 443", "SELECT count(*) FROM closed_sockets",
		"SELECT remote_addr, count(*) FROM closed_sockets GROUP BY 1 ORDER BY 2 DESC LIMIT 5", "SELECT * FROM closed_sockets ORDER BY ts DESC LIMIT 5",
		"SELECT count(*) FROM events", "SELECT * FROM events WHERE object = 'route'", "SELECT * FROM events WHERE ts > " + hour,
		"SELECT ts, count FROM socket_counts WHERE ts > " + hour + " AND comm = 'job3'", "SELECT ts, name, rx_bytes_per_s FROM interface_rates WHERE ts > " + hour + " AND name = 'eth0'",
		"SELECT name, max(rx_bytes_per_s) FROM interface_rates GROUP BY name", "SELECT * FROM interface_rates_1m", "SELECT * FROM traffic_rates_1h", "SELECT * FROM interface_changes",
		"SELECT * FROM peers_1h WHERE remote_addr = '203.0.113.7'", "SELECT * FROM gaps", "SELECT count(*) FROM samples",
	}
}

// BenchmarkQuestions asks what people ask, each question in the shell on a connection that is open, and prints beside it what sqlite3 takes for the
// same on the same file, in CPU time: from its start, which is some milliseconds, and the way it reads the views of the file.
func BenchmarkQuestions(b *testing.B) {
	path, first, last := busyDay(b)
	r := openRecording(b, path)
	if err := r.SetWindow(b.Context(), time.Unix(int64(first), 0), time.Unix(int64(last), 0)); err != nil {
		b.Fatal(err)
	}
	window := fmt.Sprintf(`CREATE TEMP VIEW "window" AS SELECT %f AS since, %f AS until;`, first, last)
	sqlite, _ := exec.LookPath("sqlite3")
	for _, q := range questions(first+7200, last-3600) {
		b.Run(strings.NewReplacer(" ", "_", "/", "÷").Replace(q), func(b *testing.B) {
			rows := 0
			for b.Loop() {
				got, err := r.conn.QueryContext(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				for rows = 0; got.Next(); rows++ {
				}
				if err := got.Err(); err != nil {
					b.Fatal(err)
				}
				got.Close()
			}
			ours := b.Elapsed().Seconds() * 1e3 / float64(b.N)
			b.ReportMetric(ours, "ms")
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(rows), "rows")
			if sqlite == "" {
				return
			}
			ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, sqlite, "-readonly", path, window+q)
			if err := cmd.Run(); err != nil {
				b.Logf("sqlite3: %v", err)
				return
			}
			theirs := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() * 1e3
			b.ReportMetric(theirs, "ms-sqlite3")
			b.ReportMetric(ours/theirs, "ratio")
		})
	}
}
