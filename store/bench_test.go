package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// workload is the one of the design's measurements: sockets of which a fifth move bytes in
// every sample and one in two hundred is replaced in every sample.
type workload struct {
	rand    *rand.Rand
	ids     []SocketID
	vals    []Socket
	next    int
	writer  *Writer
	source  *Source
	sockets *Set[SocketID, Socket]
	procs   *Set[ProcessID, Process]
	uptime  time.Duration
}

func newWorkload(tb testing.TB, path string, sockets int) *workload {
	tb.Helper()
	w, err := Create(context.Background(), Options{Path: path, Interval: 5 * time.Second, Boot: Boot{ID: "b", Started: time.Unix(1_600_000_000, 0)}})
	if err != nil {
		tb.Fatal(err)
	}
	l := &workload{rand: rand.New(rand.NewPCG(1, 2)), writer: w, source: w.Source("tcp4")}
	l.procs = NewSet(l.source, Processes)
	l.sockets = NewSet(l.source, Sockets)
	l.ids, l.vals = make([]SocketID, sockets), make([]Socket, sockets)
	for i := range l.ids {
		l.replace(i)
	}
	return l
}

func (l *workload) replace(i int) {
	l.next++
	l.ids[i] = SocketID{
		NetNS: Of(4026531840), Proto: "tcp", Family: Of(4), Type: "stream", LocalAddr: "10.1.2.3", LocalPort: Of(443),
		RemoteAddr: fmt.Sprintf("192.168.%d.%d", l.rand.IntN(256), l.rand.IntN(256)), RemotePort: Of(1024 + l.rand.IntN(60000)),
		Inode: Of(100_000 + l.next), Cookie: Of(l.next),
	}
	l.vals[i] = Socket{
		State: "ESTABLISHED", UID: Of(33), User: "www-data", CGroup: "/system.slice/nginx.service", Timer: []string{"off", "keepalive"}[i%2],
		Congestion: "cubic", MSS: Of(1448), PMTU: Of(1500), RecvQ: Of(0), SendQ: Of(0),
		BytesSent: Of(l.rand.IntN(1_000_000)), BytesReceived: Of(l.rand.IntN(100_000)), SegsOut: Of(l.rand.IntN(2000)), SegsIn: Of(l.rand.IntN(2000)),
		Retransmits: Of(0), RTT: Of(200 + l.rand.IntN(30000)), RTTVar: Of(100 + l.rand.IntN(10000)), Cwnd: Of(10), Drops: Of(0),
	}
}

// sample moves on by five seconds and writes; it returns how long the commit took.
func (l *workload) sample(tb testing.TB) time.Duration {
	n := len(l.ids)
	for range n / 200 {
		l.replace(l.rand.IntN(n))
	}
	for range n / 5 {
		v := &l.vals[l.rand.IntN(n)]
		sent := l.rand.IntN(100_000)
		v.BytesSent = Of(v.BytesSent.Or(0) + int64(sent))
		v.BytesReceived = Of(v.BytesReceived.Or(0) + int64(l.rand.IntN(2000)))
		v.SegsOut = Of(v.SegsOut.Or(0) + int64(1+sent/1448))
		v.SegsIn = Of(v.SegsIn.Or(0) + int64(1+sent/2896))
		v.RTT = Of(v.RTT.Or(0) + int64(l.rand.IntN(41)) - 20)
		v.RTTVar = Of(100 + l.rand.IntN(10000))
	}
	l.uptime += 5 * time.Second
	start := time.Now()
	l.writer.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(l.uptime), Uptime: l.uptime, Awake: l.uptime})
	l.source.Read(func() error {
		for pid := range 10 {
			l.procs.Put(ProcessID{PID: Of(100 + pid), Started: 1.6e9, Comm: "nginx", Exe: "/usr/sbin/nginx"}, Process{})
		}
		for i := range l.ids {
			v := l.vals[i]
			v.Process = Ref(1 + i%10)
			l.sockets.Put(l.ids[i], v)
		}
		return nil
	})
	if err := l.writer.Commit(context.Background(), Cost{}); err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkDesignWorkload writes and asks the workload on which the design's table of
// encodings was measured: 2,000 sockets, 720 samples.
func BenchmarkDesignWorkload(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "bench.db")
		l := newWorkload(b, path, 2000)
		var took time.Duration
		for range 720 {
			took += l.sample(b)
		}
		if err := l.writer.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/(2000*720), "bytes/observation")
		b.ReportMetric(float64(took.Microseconds())/720/1000, "ms/sample")

		db, err := sql.Open("sqlite", DSN(path))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		at := func(sample int) float64 { return float64(1_700_000_000 + 5*sample) }
		b.ReportMetric(askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", at(300)), "ms/all-at-T")
		b.ReportMetric(askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", at(718)), "ms/all-at-late-T")
		b.ReportMetric(askMS(b, db, 60*2000, "SELECT ts, local_port, remote_addr, bytes_sent FROM sockets WHERE ts BETWEEN ? AND ?", at(300), at(359)), "ms/window")
	}
	b.ReportMetric(0, "ns/op")
}

// askMS runs the query five times and returns the median time in milliseconds.
func askMS(b *testing.B, db *sql.DB, rows int, query string, args ...any) float64 {
	b.Helper()
	var times []float64
	for range 5 {
		start := time.Now()
		got, err := db.Query(query, args...)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		names, _ := got.Columns()
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		for got.Next() {
			if err := got.Scan(into...); err != nil {
				b.Fatal(err)
			}
			n++
		}
		if err := got.Err(); err != nil {
			b.Fatal(err)
		}
		if rows >= 0 && n != rows {
			b.Fatalf("%s: %d rows, want %d", query, n, rows)
		}
		times = append(times, float64(time.Since(start).Microseconds())/1000)
	}
	slices.Sort(times)
	return times[len(times)/2]
}
