package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// How a program's connections to a service went, against the day before, worked out by hand.
func TestUpstreams(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "upstreams.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	all := w.Source("all")
	procs, socks, closes := NewSet(all, Processes), NewSet(all, Sockets), NewLog(all, Closes)
	const day = 86400
	sample := func(at int, put func(app Ref)) {
		t.Helper()
		up := time.Duration(at) * time.Second
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		all.Read(func() error {
			put(procs.Put(ProcessID{PID: Of(10), Started: 5, Comm: "app"}, Process{}).Ref())
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	tcp := func(app Ref, port, n int, s Socket) Ref {
		s.State, s.Process, s.OwnerHow = "ESTABLISHED", app, "fd"
		return socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(40000 + n), RemoteAddr: "10.0.7.9", RemotePort: Of(port), Cookie: Of(n)}, s).Ref()
	}
	short := func(app Ref, at float64, n int, c Close) { // one that no sample saw
		c.NetNS, c.Proto, c.Family, c.LocalAddr, c.LocalPort, c.RemoteAddr, c.RemotePort = Of(1), "tcp", Of(4), "10.0.0.5", Of(50000+n), "10.0.7.9", Of(80)
		c.Process, c.OwnerHow, c.Cookie, c.LivedUS = app, "trace", Of(1000+n), Of(1000)
		closes.Add(time.Duration(at*float64(time.Second)), c)
	}
	// The day before: two that were slow to connect, of which one was refused.
	sample(1000, func(Ref) {})
	sample(1010, func(app Ref) {
		short(app, 1001, 1, Close{Outcome: "established", Connect: Of(900), RTT: Of(500), Retransmits: Of(3)})
		short(app, 1002, 2, Close{Outcome: "refused", Connect: Of(700)})
		tcp(app, 80, 1, Socket{Direction: "in", RTT: Of(9000)}) // made elsewhere
	})
	sample(1020, func(Ref) {})
	// Today: twenty that came about, one that was reset, three refused, one unanswered; one that was there before; one to another service.
	held := func(app Ref) {
		tcp(app, 80, 2, Socket{Direction: "out", RTT: Of(30_000), Retransmits: Of(1), Busy: Of(1000), RwndLimited: Of(600), SndbufLimited: Of(0)})
	}
	sample(day+1000, held)
	var ended Ref
	sample(day+1010, func(app Ref) {
		held(app)
		for i := range 20 {
			short(app, day+1001+float64(i)/100, 10+i, Close{Outcome: "established", Connect: Of(1000 * (i + 1)), RTT: Of(100 * (i + 1)), Retransmits: Of(0)})
		}
		for i := range 3 {
			short(app, day+1002+float64(i)/100, 40+i, Close{Outcome: "refused"})
		}
		short(app, day+1003, 50, Close{Outcome: "unanswered"})
		ended = tcp(app, 80, 3, Socket{Direction: "out", RTT: Of(40_000), Retransmits: Of(2)})
		tcp(app, 443, 4, Socket{Direction: "out", RTT: Of(1000), Busy: Of(100), RwndLimited: Of(0), SndbufLimited: Of(80)})
	})
	sample(day+1020, func(app Ref) {
		held(app)
		closes.Add((day+1015)*time.Second, Close{Socket: ended, OwnerHow: "cookie", Outcome: "reset by peer", RTT: Of(50_000), Retransmits: Of(7)})
		tcp(app, 443, 4, Socket{Direction: "out", RTT: Of(2000), Busy: Of(100), RwndLimited: Of(0), SndbufLimited: Of(80)})
	})
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	rewindow(t, db, "upstreams", 1_700_000_000+day+1000, 1_700_000_000+day+1020)
	var got []string
	for _, c := range strings.Fields("remote_port connections attempts refused unanswered reset established connect_p50_ms connect_p95_ms rtt_p50_ms rtt_p95_ms retransmits limited_by attempts_before failed_before connect_p50_before_ms rtt_p50_before_ms rtt_p95_before_ms retransmits_before") {
		got = append(got, fmt.Sprint(c, " ", strings.Join(texts(t, db, "SELECT coalesce("+c+", 'NULL') FROM temp.upstreams"), " ")))
	}
	want := strings.Split(`remote_port 80 443
connections 26 1
attempts 25 1
refused 3 0
unanswered 1 0
reset 1 0
established 21 1
connect_p50_ms 10 NULL
connect_p95_ms 19 NULL
rtt_p50_ms 1.1 2
rtt_p95_ms 30 2
retransmits 8 NULL
limited_by them us
attempts_before 2 0
failed_before 1 0
connect_p50_before_ms 0.7 NULL
rtt_p50_before_ms 0.5 NULL
rtt_p95_before_ms 0.5 NULL
retransmits_before 3 NULL`, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- want, + got)\n%s", diff)
	}
	plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM temp.upstreams"), "\n")
	for _, scan := range []string{"SCAN p", "SCAN s", "SCAN c"} {
		if n := strings.Count(plan, scan+"\n"); n > map[string]int{"SCAN p": 1}[scan] { // what is open now
			t.Errorf("the plan has %d × %s:\n%s", n, scan, plan)
		}
	}
}
