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

// naive is the recording that one would write first: a row of text for each socket and sample.
type naive struct {
	db   *sql.DB
	path string
}

func newNaive(b *testing.B) *naive {
	n := &naive{path: filepath.Join(b.TempDir(), "naive.db")}
	var err error
	if n.db, err = sql.Open("sqlite", dsn(n.path, "rwc", "journal_mode=wal", "synchronous=normal")); err != nil {
		b.Fatal(err)
	}
	n.db.SetMaxOpenConns(1)
	if _, err := n.db.Exec(`CREATE TABLE sockets (ts REAL, proto TEXT, state TEXT, local_addr TEXT, local_port INTEGER, remote_addr TEXT,
		remote_port INTEGER, user TEXT, pid INTEGER, comm TEXT, inode INTEGER, recv_q INTEGER, send_q INTEGER, bytes_sent INTEGER,
		bytes_received INTEGER, segs_out INTEGER, segs_in INTEGER, rtt INTEGER, rttvar INTEGER, cwnd INTEGER);
		CREATE INDEX sockets_ts ON sockets (ts)`); err != nil {
		b.Fatal(err)
	}
	return n
}

// sample writes what the workload holds now and returns how long that took.
func (n *naive) sample(b *testing.B, l *workload, ts float64) time.Duration {
	start := time.Now()
	tx, err := n.db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	insert, err := tx.Prepare("INSERT INTO sockets VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		b.Fatal(err)
	}
	for i, id := range l.ids {
		v := l.vals[i]
		if _, err := insert.Exec(ts, id.Proto, v.State, id.LocalAddr, id.LocalPort.Or(0), id.RemoteAddr, id.RemotePort.Or(0), v.User, 100+i%10, "nginx",
			id.Inode.Or(0), v.RecvQ.Or(0), v.SendQ.Or(0), v.BytesSent.Or(0), v.BytesReceived.Or(0), v.SegsOut.Or(0), v.SegsIn.Or(0),
			v.RTT.Or(0), v.RTTVar.Or(0), v.Cwnd.Or(0)); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// BenchmarkDesignWorkload writes and asks the workload on which the design's table of
// encodings was measured: 2,000 sockets, 720 samples; beside it, for 60 of the samples, a row
// of text for each socket, so that the ratios hold on whatever machine it runs.
func BenchmarkDesignWorkload(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "bench.db")
		l := newWorkload(b, path, 2000)
		plain := newNaive(b)
		var took, plainTook time.Duration
		for i := range 720 {
			took += l.sample(b)
			if i%12 == 0 {
				plainTook += plain.sample(b, l, float64(i))
			}
		}
		if err := plain.db.Close(); err != nil {
			b.Fatal(err)
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
		plainInfo, err := os.Stat(plain.path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/720/(float64(plainInfo.Size())/60), "bytes/naive")
		b.ReportMetric(float64(took)/720/(float64(plainTook)/60), "time/naive")

		db, err := sql.Open("sqlite", DSN(path))
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		at := func(sample int) float64 { return float64(1_700_000_000 + 5*sample) }
		allAtT := askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", at(300))
		b.ReportMetric(allAtT, "ms/all-at-T")
		plainDB, err := sql.Open("sqlite", DSN(plain.path))
		if err != nil {
			b.Fatal(err)
		}
		defer plainDB.Close()
		b.ReportMetric(allAtT/askMS(b, plainDB, 2000, "SELECT * FROM sockets WHERE ts = ?", 300.0), "all-at-T/naive")
		b.ReportMetric(askMS(b, db, 2000, "SELECT * FROM sockets WHERE ts = ?", at(718)), "ms/all-at-late-T")
		b.ReportMetric(askMS(b, db, 60*2000, "SELECT ts, local_port, remote_addr, bytes_sent FROM sockets WHERE ts BETWEEN ? AND ?", at(300), at(359)), "ms/window")
	}
	b.ReportMetric(0, "ns/op")
}

// askMS runs the query fifteen times and returns the median time in milliseconds.
func askMS(b *testing.B, db *sql.DB, rows int, query string, args ...any) float64 {
	b.Helper()
	var times []float64
	for range 15 {
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
