package store

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Of the views that are written by hand each column shows what was put, of a day in the life of a server that a person can follow.
//
// Times are seconds since the first sample, which is older than the window of an hour.
func TestWrittenViews(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "written.db")
	begin := time.Unix(1_700_000_000, 0)
	var w *Writer
	var all, routes *Source
	var procs *Set[ProcessID, Process]
	var socks *Set[SocketID, Socket]
	var links *Set[InterfaceID, Interface]
	var moved *Set[TrafficID, Traffic]
	var closes *LogSet[Close]
	var counted *LogSet[CloseCount]
	open := func(o Options) {
		t.Helper()
		var err error
		o.Path, o.Interval = path, 10*time.Second
		if w, err = Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		all, routes = w.Source("all"), w.SourceIn(Of(9), "routes")
		links = NewSet(all, Interfaces)
		procs, socks, moved, closes, counted = NewSet(all, Processes), NewSet(all, Sockets), NewSet(all, TrafficTable), NewLog(all, Closes), NewLog(all, CloseCounts)
	}
	sample := func(at int, trouble error, put func()) {
		t.Helper()
		up := time.Duration(100+at) * time.Second
		w.Begin(Clock{Wall: begin.Add(time.Duration(at) * time.Second), Uptime: up, Awake: up})
		all.Read(func() error { put(); return nil })
		routes.Read(func() error { return trouble })
		if err := w.Commit(t.Context(), Cost{CPU: time.Duration(at) * time.Millisecond, RSS: int64(1000 + at)}); err != nil {
			t.Fatal(err)
		}
	}
	// up is the uptime of a moment.
	up := func(at float64) time.Duration { return time.Duration((100 + at) * float64(time.Second)) }
	web := func() Ref {
		return procs.Put(ProcessID{PID: Of(10), Started: 5.5, Comm: "webd", Exe: "/bin/webd", Cmdline: "webd -v"}, Process{}).Ref()
	}
	curl := func() Ref {
		return procs.Put(ProcessID{PID: Of(20), Started: 6.5, Comm: "curl", Exe: "/bin/curl", Cmdline: "curl -s x"}, Process{}).Ref()
	}
	// accepted has no inode until its process takes it: then it is the same under another identity.
	accepted := func(cookie int, inode Int) Ref {
		return socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.9", RemotePort: Of(6000), Inode: inode, Cookie: Of(cookie)},
			Socket{State: map[bool]string{true: "ESTABLISHED", false: "SYN_RECV"}[inode != Int{}], BytesSent: inode}).Ref()
	}
	bound := func(proto, state string, port, cookie int, s Socket) {
		s.State = state
		socks.Put(SocketID{NetNS: Of(1), Proto: proto, Family: Of(4), LocalAddr: "0.0.0.0", LocalPort: Of(port), RemoteAddr: "0.0.0.0", RemotePort: Of(0), Cookie: Of(cookie)}, s)
	}
	listens := func() { // since ever
		bound("tcp", "LISTEN", 443, 1, Socket{Process: web(), User: "www", RecvQ: Of(2), SendQ: Of(128), Drops: Of(3)})
	}
	tcp := func(local, remote, cookie int, s Socket) Ref {
		return socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(local), RemoteAddr: "10.0.7.9", RemotePort: Of(remote), Cookie: Of(cookie)}, s).Ref()
	}
	// first is closed by its process, second is reset and its descriptor closed later.
	first := func(grown int) Ref {
		return tcp(443, 5000, 11, Socket{State: "ESTABLISHED", Process: web(), OwnerHow: "fd", User: "www", BytesSent: Of(100 * grown), BytesReceived: Of(10 * grown), Retransmits: Of(grown), RTT: Of(1500)})
	}
	second := func(s Socket) {
		s.Process, s.OwnerHow, s.User = curl(), "fd", "ann"
		s.BytesSent, s.BytesReceived, s.Retransmits, s.RTT = Of(61), Of(62), Of(63), Of(6400)
		tcp(40000, 80, 12, s)
	}
	traffic := func(p Ref, sent, received, retransmits, closed, unknown int) {
		moved.Put(TrafficID{NetNS: Of(1), Process: p}, Traffic{Of(sent), Of(received), Of(retransmits), Of(closed), Of(unknown)})
	}

	open(Options{
		Version: "1.2.3", UID: 33, Limits: Limits{Keep: 2 * time.Hour, MaxSize: 64 << 20},
		Boot:         Boot{ID: "one", Host: "db1", MachineID: "m1", Kernel: "6.18.0", Started: begin.Add(-100 * time.Second)},
		Capabilities: []Capability{{"cookies", true, "each socket has a number"}, {"raw", false, "grant CAP_NET_ADMIN"}},
	})
	// What is there only before the window is no part of it.
	sample(0, nil, func() {
		listens()
		bound("tcp", "LISTEN", 8080, 2, Socket{Process: web()})
		tcp(443, 4999, 10, Socket{State: "ESTABLISHED", Process: web()})
		traffic(web(), 1_000_000, 1, 1, 1, 1)
	})
	sample(4000, nil, func() {
		listens()
		first(1)
		second(Socket{State: "ESTABLISHED"})
		accepted(15, Int{})
		traffic(web(), 100, 10, 1, 0, 0)
		traffic(curl(), 61, 62, 63, 0, 0)
	})
	var firstRef, acceptedRef Ref
	sample(4010, nil, func() {
		listens()
		socks.Put(SocketID{NetNS: Of(1), Proto: "unix", Type: "stream", Path: "/run/x", Inode: Of(77)}, Socket{State: "LISTEN", Process: curl(), SendQ: Of(5)})
		bound("udp", "CLOSE", 0, 5, Socket{Process: curl()})   // has no port yet
		bound("tcp", "CLOSE", 444, 6, Socket{Process: curl()}) // does not listen yet
		first(3)
		acceptedRef = accepted(15, Of(88))
		bound("tcp", "LISTEN", 22, 4, Socket{}) // whose it is, nobody knows
		socks.Put(SocketID{NetNS: Of(1), Proto: "udp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(9000), RemoteAddr: "10.0.7.9", RemotePort: Of(53), IfIndex: Of(9), Cookie: Of(7)}, Socket{State: "ESTABLISHED", Process: curl()})
		second(Socket{State: "ESTABLISHED"})
		traffic(web(), 200, 20, 2, 0, 0)
		traffic(curl(), 0, 0, 0, 0, 0)
	})
	sample(4020, errors.New("no buffer space"), func() {
		listens()
		firstRef = first(3)
		links.Put(InterfaceID{NetNS: Of(1), IfIndex: Of(9), Name: "later"}, Interface{})
		closes.Add(up(4011), Close{Socket: acceptedRef, OwnerHow: "none", BytesSent: Of(601)})
		second(Socket{State: "CLOSE", Ended: unixSeconds(begin.Add(4018 * time.Second))})
		traffic(web(), 200, 20, 2, 0, 0) // as much as in the sample before: one span
		traffic(curl(), 0, 0, 0, 0, 0)
	})
	sample(4030, nil, func() {
		listens()
		closes.Add(up(4025.25), Close{Socket: firstRef, Process: web(), OwnerHow: "cookie", Lived: Of(30_000), BytesSent: Of(301), BytesReceived: Of(302), SegsOut: Of(303), SegsIn: Of(304),
			Retransmits: Of(305), RTT: Of(3060), RTTVar: Of(3070), MinRTT: Of(3080), Cwnd: Of(309), MSS: Of(310), PMTU: Of(311), Late: Of(312)})
		closes.Add(up(4026.5), Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.8", RemotePort: Of(5001), Cookie: Of(13),
			OwnerHow: "listener", Candidates: Of(2), Lived: Of(250), Ended: unixSeconds(begin.Add(4026400 * time.Millisecond)), Incomplete: Of(1), BytesSent: Of(401), BytesReceived: Of(402), SegsOut: Of(403), SegsIn: Of(404),
			Retransmits: Of(405), RTT: Of(4060), RTTVar: Of(4070), MinRTT: Of(4080), Cwnd: Of(409), MSS: Of(410), PMTU: Of(411)})
		counted.Add(up(4029), CloseCount{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.7", RemotePort: Of(80), Process: web(), OwnerHow: "cookie",
			First: unixSeconds(begin.Add(4027 * time.Second)), Count: Of(501), BytesSent: Of(502), BytesReceived: Of(503), SegsOut: Of(504), SegsIn: Of(505), Retransmits: Of(506),
			RTT: Of(5070), MaxRTT: Of(5080), Candidates: Of(509), Unknown: Of(510), LeastRTT: Of(5110), Failed: Of(512), MedianRTT: Of(5130)})
		counted.Add(up(4028), CloseCount{Proto: "udp", Count: Of(2)})
		traffic(web(), 1, 2, 0, 2, 1)
		traffic(curl(), 0, 0, 0, 1, 0)
		traffic(0, 0, 0, 0, 2, 2) // nothing is known of what they moved
	})
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	open(Options{Boot: Boot{ID: "two", Host: "db2", MachineID: "m2", Kernel: "6.19.0", Started: begin.Add(4050 * time.Second)}, Version: "1.2.4"})
	last := func() {
		bound("udp", "CLOSE", 53, 3, Socket{Process: curl(), User: "ann", SendQ: Of(9), Drops: Of(4)})
		tcp(40001, 80, 14, Socket{State: "SYN_SENT", Process: curl(), OwnerHow: "listener", Candidates: Of(3), User: "ann", BytesSent: Of(71), BytesReceived: Of(72), Retransmits: Of(73), RTT: Of(7400)})
		traffic(curl(), 307, 6, 6, 0, 0)
	}
	sample(4100, nil, func() {
		last()
		accepted(16, Int{})
		closes.Add(up(4099), Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.8", RemotePort: Of(5002), Cookie: Of(17), Process: web(), OwnerHow: "cookie"})
		closes.Add(up(4099.5), Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "0.0.0.0", LocalPort: Of(445), RemoteAddr: "0.0.0.0", RemotePort: Of(0), Cookie: Of(18), OwnerHow: "none"}) // it was bound only
	})
	sample(4105, nil, func() {
		last()
		accepted(16, Of(89))
		links.Put(InterfaceID{NetNS: Of(2), IfIndex: Of(3), Name: "elsewhere"}, Interface{})
		links.Put(InterfaceID{NetNS: Of(1), IfIndex: Of(3), Name: "eth0"}, Interface{})
		socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(6), LocalAddr: "fe80::1", LocalPort: Of(25), RemoteAddr: "::", RemotePort: Of(0), IfIndex: Of(3), Cookie: Of(8)},
			Socket{State: "LISTEN", Process: curl()})
		socks.Put(SocketID{NetNS: Of(1), Proto: "unix", Type: "stream", Path: "/run/y", Inode: Of(78)}, Socket{State: "LISTEN", Process: curl()})
		socks.Put(SocketID{NetNS: Of(1), Proto: "udp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(9001), RemoteAddr: "10.0.7.9", RemotePort: Of(53), IfIndex: Of(3), Cookie: Of(9)}, Socket{State: "ESTABLISHED", Process: curl()})
	})
	if err := AddNote(t.Context(), path, begin.Add(4015*time.Second), "deploy 1.4", "ann"); err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var moments []string
	for _, v := range Views() {
		for _, c := range v.Columns {
			if c.Time() {
				moments = append(moments, c.Name)
			}
		}
	}
	// ask gives each row as the names and values of its columns, but for those that are NULL.
	ask := func(query string) (got []string) {
		rows, err := db.Query(query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer rows.Close()
		names, _ := rows.Columns()
		for rows.Next() {
			values, into := make([]any, len(names)), make([]any, len(names))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			var list []string
			for i, v := range values {
				if ts, is := v.(float64); is && slices.Contains(moments, names[i]) {
					v = math.Round(1000*(ts-unixSeconds(begin))) / 1000
				}
				if v != nil {
					list = append(list, fmt.Sprintf("%s=%v", names[i], v))
				}
			}
			got = append(got, strings.Join(list, " "))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	for query, want := range map[string][]string{
		`SELECT * FROM "window"`: {"since=505 until=4105"},
		"SELECT ts, sample, run, boot, uptime_s, wall, cpu_s, rss_bytes FROM samples": {
			"ts=0 sample=1 run=1 boot=1 uptime_s=100 cpu_s=0 rss_bytes=1000",
			"ts=4000 sample=2 run=1 boot=1 uptime_s=4100 cpu_s=4 rss_bytes=5000",
			"ts=4010 sample=3 run=1 boot=1 uptime_s=4110 cpu_s=4.01 rss_bytes=5010",
			"ts=4020 sample=4 run=1 boot=1 uptime_s=4120 cpu_s=4.02 rss_bytes=5020",
			"ts=4030 sample=5 run=1 boot=1 uptime_s=4130 cpu_s=4.03 rss_bytes=5030",
			"ts=4100 sample=6 run=2 boot=2 uptime_s=4200 cpu_s=4.1 rss_bytes=5100",
			"ts=4105 sample=7 run=2 boot=2 uptime_s=4205 cpu_s=4.105 rss_bytes=5105",
		},
		"SELECT boot, boot_id, started, host, machine_id, kernel, recording = (SELECT uuid FROM main.recording) AS recording FROM boots": {
			"boot=1 boot_id=one started=-100 host=db1 machine_id=m1 kernel=6.18.0 recording=1",
			"boot=2 boot_id=two started=4050 host=db2 machine_id=m2 kernel=6.19.0 recording=1",
		},
		// When it ran is the time of this test.
		"SELECT run, boot, pid, version, interval_s, uid, keep_s, max_bytes, unixepoch() - started BETWEEN -1 AND 600 AS since, stopped - started BETWEEN 0 AND 600 AS until FROM runs": {
			fmt.Sprintf("run=1 boot=1 pid=%d version=1.2.3 interval_s=10 uid=33 keep_s=7200 max_bytes=67108864 since=1 until=1", os.Getpid()),
			fmt.Sprintf("run=2 boot=2 pid=%d version=1.2.4 interval_s=10 uid=0 since=1", os.Getpid()),
		},
		"SELECT * FROM capabilities": {
			"run=1 boot=1 name=cookies available=1 detail=each socket has a number",
			"run=1 boot=1 name=raw available=0 detail=grant CAP_NET_ADMIN",
		},
		"SELECT ts, text, user, unixepoch() - written BETWEEN -1 AND 600 AS since FROM notes": {
			"ts=4015 text=deploy 1.4 user=ann since=1",
		},
		"SELECT * FROM gaps": {
			"since=0 until=4000 kind=late detail=samples came late: the machine, or the recorder, was too busy",
			"since=4010 until=4030 source=routes kind=failed detail=no buffer space netns=9",
			"since=4030 until=4100 kind=stopped detail=the recorder was stopped, and the machine was rebooted",
		},
		"SELECT * FROM listeners": {
			"first_seen=4010 last_seen=4010 open=0 netns=1 proto=tcp family=4 local_addr=0.0.0.0 local_port=22 maybe_client=0 cookie=4",
			"first_seen=4105 last_seen=4105 open=1 netns=1 proto=tcp family=6 local_addr=fe80::1 local_port=25 ifindex=3 dev=eth0 pid=20 comm=curl cmdline=curl -s x maybe_client=0 cookie=8",
			"first_seen=0 last_seen=4030 open=0 netns=1 proto=tcp family=4 local_addr=0.0.0.0 local_port=443 pid=10 comm=webd cmdline=webd -v user=www backlog=128 drops=3 maybe_client=0 cookie=1",
			"first_seen=4100 last_seen=4105 open=1 netns=1 proto=udp family=4 local_addr=0.0.0.0 local_port=53 pid=20 comm=curl cmdline=curl -s x user=ann drops=4 cookie=3",
			"first_seen=4010 last_seen=4010 open=0 netns=1 proto=unix path=/run/x pid=20 comm=curl cmdline=curl -s x maybe_client=0",
			"first_seen=4105 last_seen=4105 open=1 netns=1 proto=unix path=/run/y pid=20 comm=curl cmdline=curl -s x maybe_client=0",
		},
		"SELECT * FROM connections": {
			"opened=3995.25 opened_after=0 closed=4025.25 released=4025.25 last_seen=4020 duration_s=30 open=0 seen_by=both netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.9 remote_port=5000 state=ESTABLISHED pid=10 comm=webd exe=/bin/webd cmdline=webd -v " +
				"owner_how=cookie user=www bytes_sent=301 bytes_received=302 retransmits=305 rtt_ms=3.06 cookie=11",
			"opened=4000 opened_after=0 closed=4018 released=4030 last_seen=4020 duration_s=18 open=0 seen_by=sample netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=40000 remote_addr=10.0.7.9 remote_port=80 state=CLOSE pid=20 comm=curl exe=/bin/curl cmdline=curl -s x " +
				"owner_how=fd user=ann bytes_sent=61 bytes_received=62 retransmits=63 rtt_ms=6.4 cookie=12",
			"opened=4000 opened_after=0 closed=4011 released=4011 last_seen=4010 duration_s=11 open=0 seen_by=both netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.9 remote_port=6000 state=ESTABLISHED owner_how=none bytes_sent=601 cookie=15",
			"opened=4010 opened_after=4000 last_seen=4010 duration_s=0 open=0 seen_by=sample netns=1 proto=udp family=4 " +
				"local_addr=10.0.0.5 local_port=9000 remote_addr=10.0.7.9 remote_port=53 ifindex=9 state=ESTABLISHED pid=20 comm=curl exe=/bin/curl cmdline=curl -s x cookie=7",
			"opened=4026.25 opened_after=4020 closed=4026.4 released=4026.5 duration_s=0.15 open=0 seen_by=close netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.8 remote_port=5001 " +
				"owner_how=listener owner_candidates=2 bytes_sent=401 bytes_received=402 retransmits=405 rtt_ms=4.06 cookie=13",
			"opened=4099 closed=4099 released=4099 duration_s=0 open=0 seen_by=close netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.8 remote_port=5002 pid=10 comm=webd exe=/bin/webd cmdline=webd -v owner_how=cookie cookie=17",
			"opened=4100 last_seen=4105 duration_s=5 open=1 seen_by=sample netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=40001 remote_addr=10.0.7.9 remote_port=80 state=SYN_SENT pid=20 comm=curl exe=/bin/curl cmdline=curl -s x " +
				"owner_how=listener owner_candidates=3 user=ann bytes_sent=71 bytes_received=72 retransmits=73 rtt_ms=7.4 cookie=14",
			"opened=4100 last_seen=4105 duration_s=5 open=1 seen_by=sample netns=1 proto=tcp family=4 " +
				"local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.9 remote_port=6000 state=ESTABLISHED bytes_sent=89 cookie=16",
			"opened=4105 opened_after=4100 last_seen=4105 duration_s=0 open=1 seen_by=sample netns=1 proto=udp family=4 " +
				"local_addr=10.0.0.5 local_port=9001 remote_addr=10.0.7.9 remote_port=53 ifindex=3 dev=eth0 state=ESTABLISHED pid=20 comm=curl exe=/bin/curl cmdline=curl -s x cookie=9",
		},
		"SELECT * FROM closed_sockets": {
			"ts=4011 netns=1 proto=tcp family=4 local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.9 remote_port=6000 " +
				"owner_how=none incomplete=0 opened=4010 sampled=1 bytes_sent=601 cookie=15",
			"ts=4025.25 netns=1 proto=tcp family=4 local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.9 remote_port=5000 pid=10 comm=webd exe=/bin/webd cmdline=webd -v " +
				"owner_how=cookie late_ms=312 incomplete=0 opened=3995.25 sampled=1 bytes_sent=301 bytes_received=302 segs_out=303 segs_in=304 retransmits=305 " +
				"rtt_ms=3.06 rttvar_ms=3.07 min_rtt_ms=3.08 cwnd=309 mss=310 pmtu=311 cookie=11",
			"ts=4026.5 netns=1 proto=tcp family=4 local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.8 remote_port=5001 " +
				"owner_how=listener owner_candidates=2 ended=4026.4 incomplete=1 opened=4026.25 sampled=0 bytes_sent=401 bytes_received=402 segs_out=403 segs_in=404 retransmits=405 " +
				"rtt_ms=4.06 rttvar_ms=4.07 min_rtt_ms=4.08 cwnd=409 mss=410 pmtu=411 cookie=13",
			"ts=4099 netns=1 proto=tcp family=4 local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.8 remote_port=5002 pid=10 comm=webd exe=/bin/webd cmdline=webd -v " +
				"owner_how=cookie incomplete=0 opened=4099 sampled=0 cookie=17",
			"ts=4099.5 netns=1 proto=tcp family=4 local_addr=0.0.0.0 local_port=445 remote_addr=0.0.0.0 remote_port=0 owner_how=none incomplete=0 opened=4099.5 sampled=0 cookie=18",
		},
		"SELECT * FROM closed_counts": {
			"ts=4028 proto=udp count=2",
			"ts=4029 first=4027 netns=1 proto=tcp family=4 local_addr=10.0.0.5 local_port=443 remote_addr=10.0.7.7 remote_port=80 pid=10 comm=webd exe=/bin/webd cmdline=webd -v " +
				"owner_how=cookie owner_candidates=509 count=501 closed_unknown=510 failed=512 bytes_sent=502 bytes_received=503 segs_out=504 segs_in=505 retransmits=506 " +
				"rtt_ms=5.07 least_rtt_ms=5.11 median_rtt_ms=5.13 max_rtt_ms=5.08",
		},
		"SELECT * FROM top_talkers": {
			"netns=1 pid=20 comm=curl cmdline=curl -s x bytes_sent=675 bytes_received=74 retransmits=75 closed=1 closed_unknown=0 since=4000 until=4105",
			"netns=1 pid=10 comm=webd cmdline=webd -v bytes_sent=501 bytes_received=52 retransmits=5 closed=2 closed_unknown=1 since=4000 until=4030",
			"netns=1 closed=2 closed_unknown=2 since=4030 until=4030",
		},
	} {
		if diff := cmp.Diff(want, ask(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	// Of another window they show what was there in it, its first and last sample included.
	for _, test := range []struct {
		since, until               int
		listeners, open, bytesSent string // by cookies, by cookies, by pids
	}{
		{0, 0, "1,2", "10", "10:1000000"},
		{1, 3999, "1", "", ""}, // it listens before and after
		{4010, 4010, "1,4,unix", "7,11,12,15", "10:200"},
		{4011, 4024, "1", "11,12", "10:200"},
		{4100, 4100, "3", "14,16", "20:307"},
	} {
		db.SetMaxOpenConns(1)
		for _, v := range Views() {
			body := v.Body
			switch v.Name {
			case "window":
				body = fmt.Sprintf("SELECT %f AS since, %f AS until", unixSeconds(begin)+float64(test.since), unixSeconds(begin)+float64(test.until))
			case "listeners", "connections", "top_talkers":
			default:
				continue
			}
			if _, err := db.Exec(fmt.Sprintf("DROP VIEW IF EXISTS temp.%[1]q; CREATE TEMP VIEW %[1]q AS %[2]s", v.Name, body)); err != nil {
				t.Fatal(err)
			}
		}
		got := texts(t, db, `SELECT (SELECT coalesce(group_concat(cookie), '') FROM (SELECT coalesce(cookie, proto) AS cookie FROM listeners ORDER BY cookie)) || ' | ' ||
			(SELECT coalesce(group_concat(cookie), '') FROM (SELECT cookie FROM connections ORDER BY cookie)) || ' | ' ||
			(SELECT coalesce(group_concat(pid || ':' || bytes_sent), '') FROM (SELECT * FROM top_talkers ORDER BY pid))`)
		if want := test.listeners + " | " + test.open + " | " + test.bytesSent; got[0] != want {
			t.Errorf("from %d to %d: %s, want %s", test.since, test.until, got[0], want)
		}
	}
}
