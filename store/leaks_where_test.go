package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Samples in which the source failed, or was switched off, say nothing of what was held, neither that it was nor that it was not: a leak that
// goes on over them is one, and one that ended in them is none.
func TestLeaksOverFailedSamples(t *testing.T) {
	t.Parallel()
	t.Run("failed", func(t *testing.T) { t.Parallel(); leaksOverSamples(t, "failed", errors.New("the kernel is busy")) })
	t.Run("off", func(t *testing.T) { t.Parallel(); leaksOverSamples(t, "off", &OffError{"--without tcp"}) })
}

func leaksOverSamples(t *testing.T, kind string, fate error) {
	const n = 120
	path := filepath.Join(t.TempDir(), "failed.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	owners, src := w.Source("owners"), w.Source("tcp4")
	procs, counts, trends := NewSet(owners, Processes), NewSet(src, SocketCounts), NewSet(src, SocketTrends)
	for i := range n {
		up := 10 * time.Second * time.Duration(i+1)
		w.Begin(Clock{Wall: shapedAt(i), Uptime: up, Awake: up})
		var refs []Ref
		owners.Read(func() error {
			for p, name := range []string{"goes on", "given back meanwhile"} {
				refs = append(refs, procs.Put(ProcessID{PID: Of(p + 1), Started: 1.6e9, Comm: name}, Process{}).Ref())
			}
			return nil
		})
		src.Read(func() error {
			if i%40 >= 30 && i%40 < 36 {
				return fate
			}
			for p, count := range []int{20 + i, 20 + i%40} {
				id := SocketCountID{Process: refs[p], Proto: "tcp", Family: Of(4), State: "ESTABLISHED"}
				trends.Put(id, SocketTrend{Count: Of(count)})
				counts.Put(id, SocketCount{Count: Of(count), Oldest: Of(shapedAt(0).Unix())})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed := ask(t, path, "SELECT count(*) FROM gaps WHERE kind = '"+kind+"' AND source = 'tcp4'"); failed[0] != "3" {
		t.Fatalf("the source failed %s times", failed[0])
	}
	for _, since := range []int{0, 25} {
		db := openLeaks(t, path, unixSeconds(shapedAt(since)), unixSeconds(shapedAt(n-1)), false)
		if diff := cmp.Diff([]string{fmt.Sprintf("goes on|%d|139", 20+since)}, texts(t, db, "SELECT comm || '|' || min_count || '|' || last_count FROM leaks")); diff != "" {
			t.Errorf("from sample %d (-want +got):\n%s", since, diff)
		}
		db.Close()
	}
}

// A process that holds nothing in the last sample gave all back, whatever else is not recorded: that another source is switched off says nothing about it.
func TestLeaksWhileAnotherSourceIsOff(t *testing.T) {
	t.Parallel()
	const n = 120
	path := filepath.Join(t.TempDir(), "off.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src, others := w.Source("tcp4"), []*Source{w.Source("conntrack"), w.Source("unix")}
	procs, counts, trends := NewSet(src, Processes), NewSet(src, SocketCounts), NewSet(src, SocketTrends)
	for i := range n {
		up := 10 * time.Second * time.Duration(i+1)
		w.Begin(Clock{Wall: shapedAt(i), Uptime: up, Awake: up})
		for _, other := range others {
			other.Read(func() error { return &OffError{"--without " + other.Name()} })
		}
		src.Read(func() error {
			for p, name := range []string{"leaks", "gave all back"} {
				ref := procs.Put(ProcessID{PID: Of(p + 1), Started: 1.6e9, Comm: name}, Process{}).Ref()
				if p == 1 && i == n-1 {
					continue
				}
				id := SocketCountID{Process: ref, Proto: "tcp", Family: Of(4), State: "ESTABLISHED"}
				trends.Put(id, SocketTrend{Count: Of(20 + i)})
				counts.Put(id, SocketCount{Count: Of(20 + i), Oldest: Of(shapedAt(0).Unix())})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if said := w.Troubles(); len(said) > 0 {
		t.Errorf("what is switched off is a trouble: %+v", said)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	db := openLeaks(t, path, unixSeconds(shapedAt(0)), unixSeconds(shapedAt(n-1)), false)
	defer db.Close()
	if diff := cmp.Diff([]string{"leaks"}, texts(t, db, "SELECT comm FROM leaks")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A row of leaks says where most of the sockets go, what they run into first, and when. Each process here opens one more in
// each of 100 samples.
func TestLeaksSayWhereAndWhen(t *testing.T) {
	t.Parallel()
	const n, host, box = 100, 4026531840, 4026532177
	type where struct {
		localAddr  string
		localPort  int
		remoteAddr string
		remotePort int
	}
	to := func(addr string, port int) func(k int) where {
		return func(k int) where { return where{"10.0.0.1", 40000 + k, addr, port} }
	}
	from := func(port int, addr string) func(k int) where {
		return func(k int) where { return where{"10.0.0.1", port, addr, 50000 + k} }
	}
	mix := func(a, b func(k int) where) func(k int) where { // four of five are a
		return func(k int) where {
			if k%5 == 4 {
				return b(k)
			}
			return a(k)
		}
	}
	people := []struct {
		name    string
		proto   string
		family  Int
		netns   int
		state   string
		upto    int // then it stands still
		queue   int // bytes in each
		fds     int
		sockets func(k int) where
		want    string
		how     string // owner_how
	}{
		// 100 ports of 200 are used for connections to 10.0.0.9:443, 20 of them by "other", which leaks none.
		{"client", "tcp", Of(4), host, "ESTABLISHED", n, 0, 200, mix(to("10.0.0.9", 443), to("10.0.0.8", 80)), "10.0.0.9:443 80 | ports 100 of 200 in 1000 s", "fd"},
		{"client whose descriptors end", "tcp", Of(4), host, "ESTABLISHED", n, 0, 1000, to("10.0.0.9", 5432), "10.0.0.9:5432 100 | descriptors 1000 of 1024 in 240 s", "fd"},
		{"server", "tcp", Of(4), host, "CLOSE_WAIT", n, 0, 900, mix(from(8080, "10.1.0.7"), from(8081, "10.1.0.8")), "10.1.0.7 80 at port 8080 | descriptors 900 of 1024 in 1240 s", "fd"},
		{"IPv6", "tcp", Of(6), host, "ESTABLISHED", n, 0, 300, to("2001:db8::1", 443), "[2001:db8::1]:443 100 | ports 100 of 200 in 1000 s", "fd"},
		{"box", "tcp", Of(4), box, "ESTABLISHED", n, 0, 300, to("10.0.0.9", 443), "10.0.0.9:443 100 | ports 100 of 150 in 500 s", "fd"},
		// Of 2,000 pages 1,500 are used, and each socket holds 10.
		{"unread", "tcp", Of(4), host, "CLOSE_WAIT", n, 40960, 10, from(8080, "10.1.0.7"), "10.1.0.7 100 at port 8080 | memory 1500 of 2000 in 500 s", "fd"},
		{"unread datagrams", "udp", Of(4), host, "CLOSE", n, 4096, 10, nil, "- | memory 700 of 740 in 400 s", "fd"},
		{"unix", "unix", Int{}, host, "ESTABLISHED", n, 0, 100, nil, "- | descriptors 100 of 1024 in 9240 s", "fd"},
		{"half closed", "tcp", Of(4), host, "FIN_WAIT2", n, 0, 900, to("10.0.0.6", 443), "10.0.0.6:443 100 | ports 100 of 200 in 1000 s", "fd"},
		{"closed, not by the other end", "tcp", Of(4), host, "FIN_WAIT2", n, 0, 900, to("10.0.0.6", 444), "", "cookie"},
		{"comes and goes", "tcp", Of(4), host, "ESTABLISHED", n, 0, 900, to("10.0.0.5", 443), "", "fd"},
		{"dead", "tcp", Of(4), host, "CLOSE", n / 2, 0, 900, nil, "- | descriptors 900 of 1024, it stands still", "fd"},
		{"datagrams that stand still", "udp", Of(4), host, "CLOSE", n / 2, 0, 900, nil, "", "fd"},
		{"established that stand still", "tcp", Of(4), host, "ESTABLISHED", n / 2, 0, 900, nil, "", "fd"},
	}
	path := filepath.Join(t.TempDir(), "where.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	procs, counts, trends, sockets := NewSet(src, Processes), NewSet(src, SocketCounts), NewSet(src, SocketTrends), NewSet(src, Sockets)
	settings, counters := NewSet(src, Settings), NewSet(src, ProtocolCounters)
	for i := range n {
		up := 10 * time.Second * time.Duration(i+1)
		w.Begin(Clock{Wall: shapedAt(i), Uptime: up, Awake: up})
		src.Read(func() error {
			settings.Put(SettingID{Of(host), "net.ipv4.ip_local_port_range"}, Setting{"40000 40199"})
			settings.Put(SettingID{Of(box), "net.ipv4.ip_local_port_range"}, Setting{"40000 40149"})
			settings.Put(SettingID{Of(host), "net.ipv4.tcp_mem"}, Setting{"1000 1500 2000"})
			settings.Put(SettingID{Of(host), "net.ipv4.udp_mem"}, Setting{"370 500 740"})
			for proto, pages := range map[string]int{"TCP": 1500, "UDP": 700} {
				counters.Put(ProtocolCounterID{Of(host), "sockstat", proto, "mem"}, ProtocolCounter{Kind: "gauge", Value: Of(pages)})
				counters.Put(ProtocolCounterID{Of(host), "sockstat", proto, "inuse"}, ProtocolCounter{Kind: "gauge", Value: Of(1_000_000)})
			}
			cookie := 0
			hold := func(netns int, proto string, family Int, state, how string, ref Ref, at where) {
				cookie++
				sockets.Put(SocketID{NetNS: Of(netns), Proto: proto, Family: family, LocalAddr: at.localAddr, LocalPort: Of(at.localPort),
					RemoteAddr: at.remoteAddr, RemotePort: Of(at.remotePort), Inode: Of(1000*int(ref) + cookie), Cookie: Of(1000*int(ref) + cookie)}, Socket{State: state, Process: ref, OwnerHow: how})
			}
			group := func(ref Ref, netns int, proto string, family Int, state string, count, queue, oldest int) {
				id := SocketCountID{NetNS: Of(netns), Process: ref, Proto: proto, Family: family, State: state}
				trends.Put(id, SocketTrend{Count: Of(count)})
				counts.Put(id, SocketCount{Count: Of(count), RecvQ: Of(queue), SendQ: Of(0), Oldest: Of(shapedAt(oldest).Unix())})
			}
			for p, who := range people {
				ref := procs.Put(ProcessID{PID: Of(p + 1), Started: 1.6e9, Comm: who.name}, Process{FDs: Of(who.fds), FDLimit: Of(1024)}).Ref()
				count := min(i+1, who.upto)
				cookie = 0
				if who.name == "comes and goes" {
					cookie = 1_000_000 * (i + 1) // others in each sample
				}
				for k := range count {
					if who.sockets != nil {
						hold(who.netns, who.proto, who.family, who.state, who.how, ref, who.sockets(k))
					}
				}
				group(ref, who.netns, who.proto, who.family, who.state, count, count*who.queue, 0)
			}
			other := procs.Put(ProcessID{PID: Of(500), Started: 1.6e9, Comm: "other"}, Process{}).Ref()
			cookie = 0
			for k := range 20 {
				hold(host, "tcp", Of(4), "ESTABLISHED", "fd", other, where{"10.0.0.1", 40150 + k, "10.0.0.9", 443})
			}
			group(other, host, "tcp", Of(4), "ESTABLISHED", 20, 0, 0)
			// A program that forks: each of its processes holds two, for ever.
			for k := range i/2 + 1 {
				ref := procs.Put(ProcessID{PID: Of(1000 + k), Started: 1.6e9 + float64(k), Comm: "forker", Exe: "/usr/bin/forker", Cmdline: fmt.Sprintf("forker %d", k)}, Process{FDs: Of(9), FDLimit: Of(10)}).Ref()
				cookie = 0
				for j := range 2 {
					hold(host, "tcp", Of(4), "ESTABLISHED", "fd", ref, where{"10.0.0.1", 40000 + 2*k + j, "10.0.0.7", 6379})
				}
				group(ref, host, "tcp", Of(4), "ESTABLISHED", 2, 0, 2*k)
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"forker": "10.0.0.7:6379 100 | ports 100 of 200 in 1000 s | 50 processes | forker 0"}
	for _, who := range people {
		if who.want != "" {
			want[who.name] = who.want + " | 1 processes"
		}
	}
	got := map[string]string{}
	db := openLeaks(t, path, unixSeconds(shapedAt(0)), unixSeconds(shapedAt(n-1)), false)
	defer db.Close()
	rows, err := db.Query(`SELECT comm, coalesce(remote || ' ' || remote_count, '-') || coalesce(' at port ' || local_port, '') || printf(' | %s %d of %d', limit_name, limit_used, limit_count)
		|| iif(limit_at IS NULL, ', it stands still', printf(' in %.0f s', round((limit_at - until) / 10) * 10)) || ' | ' || processes || ' processes' || coalesce(' | ' || cmdline, '') FROM leaks`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var comm, said string
		if err := rows.Scan(&comm, &said); err != nil {
			t.Fatal(err)
		}
		got[comm] = said
	}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("(-want +got):\n%s%v", diff, rows.Err())
	}
}
