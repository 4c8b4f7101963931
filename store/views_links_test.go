package store

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// An hour of a machine on which programs talk to each other, to a container and to others, after two days of which the first are summed up: who talked to whom,
// who was there and what was new is worked out by hand.
func TestLinksPeersAndFirstSeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "links.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Minute, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	const begin = 1_700_006_400 // midnight + 0 h of a day
	all := w.Source("all")
	procs, socks, closes := NewSet(all, Processes), NewSet(all, Sockets), NewLog(all, Closes)
	links, arp := NewSet(all, Interfaces), NewSet(all, Neighbors)
	programs := map[string]Ref{}
	var ssh Ref
	sample := func(at int, put func()) {
		t.Helper()
		up := time.Duration(at) * time.Second
		w.Begin(Clock{Wall: time.Unix(begin, 0).Add(up), Uptime: up, Awake: up})
		all.Read(func() error {
			for pid, comm := range []string{"app", "db", "proxy", "sshd"} {
				programs[comm] = procs.Put(ProcessID{PID: Of(10 + pid), Started: 5, Comm: comm, Exe: "/usr/bin/" + comm}, Process{}).Ref()
			}
			programs["web"] = procs.Put(ProcessID{PID: Of(30), Started: 5, Comm: "web", Exe: "/app/web"}, Process{ContainerID: "c0ffee"}).Ref()
			links.Put(InterfaceID{NetNS: Of(1), IfIndex: Of(2), Name: "eth0"}, Interface{})
			arp.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Family: Of(4), Addr: "10.0.0.1"}, Neighbor{MAC: "02:00:00:00:00:01", State: "REACHABLE"})
			put()
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	tcp := func(ns, cookie int, comm, local string, port int, remote string, rport int, direction string, sent, received, inode int) {
		socks.Put(SocketID{NetNS: Of(ns), Proto: "tcp", Family: Of(4), LocalAddr: local, LocalPort: Of(port), RemoteAddr: remote, RemotePort: Of(rport), Inode: Of(inode), Cookie: Of(cookie)},
			Socket{State: "ESTABLISHED", Process: programs[comm], OwnerHow: "fd", Direction: direction, BytesSent: Of(sent), BytesReceived: Of(received)})
	}
	listen := func(cookie int, comm, local string, port int) {
		socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: local, LocalPort: Of(port), RemoteAddr: "0.0.0.0", RemotePort: Of(0), Cookie: Of(cookie)},
			Socket{State: "LISTEN", Process: programs[comm], OwnerHow: "fd", Direction: "listen"})
	}
	short := func(at int, comm, remote string, port, sent int, made bool) {
		c := Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", RemoteAddr: remote, Process: programs[comm], OwnerHow: "trace", Cookie: Of(1_000_000 + at), BytesSent: Of(sent), BytesReceived: Of(2 * sent)}
		if c.LocalPort, c.RemotePort = Of(22), Of(40000+at%1000); made {
			c.LocalPort, c.RemotePort, c.LivedUS = Of(40000+at%1000), Of(port), Of(500_000)
		}
		closes.Add(time.Duration(at)*time.Second, c)
	}
	always := func() {
		listen(1, "db", "127.0.0.1", 5432)
		listen(2, "sshd", "0.0.0.0", 22)
		tcp(1, 3, "sshd", "10.0.0.5", 22, "203.0.113.9", 50123, "in", 1000, 100, 3)
	}
	// Two days: a service that was asked on the first, and one in the hour before the window, whose hour is not over.
	const day, hour = 86400, 3600
	for h := range 50 {
		sample(h*hour+60, always)
		sample(h*hour+120, func() {
			always()
			if h == 3 {
				short(h*hour+100, "app", "8.8.4.4", 443, 10, true)
			}
			if h == 48 { // of a day that is not over
				short(h*hour+100, "app", "9.9.9.9", 443, 10, true)
			}
		})
		tidyUp(t, w)
	}
	const now = 2*day + 2*hour
	sample(now+60, func() { always(); short(now+50, "app", "100.64.0.7", 443, 10, true) })
	// The window: from now+600 on.
	sample(now+600, func() {
		always()
		tcp(1, 10, "app", "127.0.0.1", 40001, "127.0.0.1", 5432, "out", 500, 50, 10)
		tcp(1, 11, "db", "127.0.0.1", 5432, "127.0.0.1", 40001, "in", 50, 500, 0) // not accepted yet
		tcp(1, 20, "app", "10.0.0.5", 40009, "10.0.7.9", 80, "out", 100, 0, 20)
	})
	sample(now+660, func() {
		always()
		tcp(1, 10, "app", "127.0.0.1", 40001, "127.0.0.1", 5432, "out", 700, 80, 10)
		tcp(1, 11, "db", "127.0.0.1", 5432, "127.0.0.1", 40001, "in", 80, 700, 11)
		tcp(2, 12, "web", "172.17.0.2", 40001, "172.17.0.1", 8080, "out", 9000, 10, 12)
		tcp(1, 13, "proxy", "172.17.0.1", 8080, "172.17.0.2", 40001, "in", 10, 9000, 13)
		tcp(3, 14, "", "127.0.0.1", 40001, "127.0.0.1", 5432, "", 0, 0, 14) // of another namespace, whose owner is not known
		listen(15, "proxy", "172.17.0.1", 8080)
		listen(16, "db", "0.0.0.0", 5432)
		links.Put(InterfaceID{NetNS: Of(1), IfIndex: Of(3), Name: "docker0"}, Interface{})
		arp.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Family: Of(4), Addr: "10.0.0.77"}, Neighbor{MAC: "02:00:00:00:00:77", State: "REACHABLE"})
		arp.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Family: Of(6), Addr: "ff02::2"}, Neighbor{MAC: "33:33:00:00:00:02", State: "NOARP"})
		arp.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Family: Of(4), Addr: "224.0.0.251"}, Neighbor{MAC: "01:00:5e:00:00:fb", State: "NOARP"})
		arp.Put(NeighborID{NetNS: Of(1), Dev: "lo", Family: Of(4), Addr: "0.0.0.0"}, Neighbor{MAC: "00:00:00:00:00:00", State: "NOARP"})
		arp.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Family: Of(6), Addr: "fe80::1"}, Neighbor{MAC: "02:00:00:00:00:01", State: "REACHABLE"})
		procs.Put(ProcessID{PID: Of(40), Started: 6, Comm: "new", Exe: "/tmp/new"}, Process{})
		procs.Put(ProcessID{PID: Of(41), Started: 6, Comm: "app", Exe: "/usr/bin/app"}, Process{}) // another process of a program that is known
	})
	sample(now+720, func() {
		always()
		tcp(1, 10, "app", "127.0.0.1", 40001, "127.0.0.1", 5432, "out", 900, 90, 10)
		tcp(1, 11, "db", "127.0.0.1", 5432, "127.0.0.1", 40001, "in", 90, 900, 11)
		tcp(1, 21, "app", "10.0.0.5", 40009, "10.0.7.9", 80, "out", 50, 0, 21) // another, from the same port
		listen(23, "proxy", "0.0.0.0", 45000)
		tcp(1, 24, "proxy", "10.0.0.5", 45000, "10.0.7.7", 1000, "", 5, 6, 24) // nobody saw it being made, but something listens there
		udp := func(cookie int, comm, local string, port int, remote string, rport int) {
			socks.Put(SocketID{NetNS: Of(1), Proto: "udp", Family: Of(4), LocalAddr: local, LocalPort: Of(port), RemoteAddr: remote, RemotePort: Of(rport), Cookie: Of(cookie)}, Socket{State: "ESTABLISHED", Process: programs[comm], OwnerHow: "fd"})
		}
		udp(30, "proxy", "127.0.0.53", 53, "0.0.0.0", 0)
		udp(31, "app", "127.0.0.1", 40500, "127.0.0.53", 53)
		udp(32, "app", "127.0.0.1", 40501, "127.0.0.54", 54) // which of two has it is not known
		udp(33, "proxy", "127.0.0.54", 54, "0.0.0.0", 0)
		udp(34, "sshd", "127.0.0.54", 54, "0.0.0.0", 0)
		udp(35, "app", "10.0.0.5", 40502, "10.0.0.53", 53) // of another machine
		short(now+713, "app", "9.9.9.9", 443, 5, true)
		short(now+714, "sshd", "9.9.9.9", 22, 6, false)
		for i := range 3 {
			short(now+700+i, "app", "8.8.4.4", 443, 100, true)
		}
		short(now+710, "app", "100.64.0.7", 443, 5, true)
		short(now+711, "app", "2001:db8::9", 443, 1, true)
		short(now+712, "sshd", "198.18.0.1", 22, 1, false)
		ssh = socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(22), RemoteAddr: "203.0.113.9", RemotePort: Of(50123), Inode: Of(3), Cookie: Of(3)},
			Socket{State: "ESTABLISHED", Process: programs["sshd"], OwnerHow: "fd", Direction: "in", BytesSent: Of(1000), BytesReceived: Of(100)}).Ref()
	})
	sample(now+780, func() { // after the window
		closes.Add((now+750)*time.Second, Close{Socket: ssh, BytesSent: Of(99_999), BytesReceived: Of(99_999)})
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
	rewindow(t, db, "links peers listeners first_seen", begin+now+600, begin+now+720)
	table := func(query string) string { return strings.Join(texts(t, db, query), "\n") }
	for _, c := range []struct{ query, want string }{
		{`SELECT concat_ws(' ', coalesce(from_comm, '-'), coalesce(from_container, '-'), from_addr, '>', coalesce(to_comm, '-'), to_addr, proto, port, here, guessed, connections, opened, coalesce(bytes_sent, '-'), coalesce(bytes_received, '-'),
			CAST(first AS INTEGER) - 1700186400, CAST(last AS INTEGER) - 1700186400) FROM temp.links ORDER BY to_addr, from_addr, port, here`,
			`- - 10.0.7.7 > proxy 10.0.0.5 tcp 45000 to 0 1 1 6 5 720 720
- - 198.18.0.1 > sshd 10.0.0.5 tcp 22 to 0 1 1 2 1 712 712
- - 203.0.113.9 > sshd 10.0.0.5 tcp 22 to 0 1 0 0 0 600 720
- - 9.9.9.9 > sshd 10.0.0.5 tcp 22 to 0 1 1 12 6 714 714
app - 10.0.0.5 > - 10.0.0.53 udp 53 from 1 1 1 - - 720 720
app - 10.0.0.5 > - 10.0.7.9 tcp 80 from 0 2 1 50 0 600 720
app - 10.0.0.5 > - 100.64.0.7 tcp 443 from 0 1 1 5 10 709 710
app - 127.0.0.1 > db 127.0.0.1 tcp 5432 both 0 1 0 400 40 600 720
- - 127.0.0.1 > - 127.0.0.1 tcp 5432 from 1 1 1 0 0 660 660
app - 127.0.0.1 > proxy 127.0.0.53 udp 53 from 1 1 1 - - 720 720
app - 127.0.0.1 > - 127.0.0.54 udp 54 from 1 1 1 - - 720 720
web c0ffee 172.17.0.2 > proxy 172.17.0.1 tcp 8080 both 0 1 1 9000 10 660 660
app - 10.0.0.5 > - 2001:db8::9 tcp 443 from 0 1 1 1 2 710 711
app - 10.0.0.5 > - 8.8.4.4 tcp 443 from 0 3 3 300 600 699 702
app - 10.0.0.5 > - 9.9.9.9 tcp 443 from 0 1 1 5 10 712 713`},
		{`SELECT concat_ws(' ', remote_addr, class, programs, services, connections, opened, bytes_sent, bytes_received, round(first_seen - 1700006400, 1), round(last_seen - 1700006400, 1), known_since - 1700006400, maybe_before) FROM temp.peers ORDER BY remote_addr`,
			`10.0.0.53 private app out udp 53 1 1 180720.0 180720.0 0.0 0
10.0.7.7 private proxy tcp 45000 1 1 5 6 180720.0 180720.0 0.0 0
10.0.7.9 private app out tcp 80 2 1 50 0 180600.0 180720.0 0.0 0
100.64.0.7 shared app out tcp 443 1 1 5 10 180049.5 180710.0 0.0 0
198.18.0.1 reserved sshd tcp 22 1 1 1 2 180712.0 180712.0 0.0 0
2001:db8::9 documentation app out tcp 443 1 1 1 2 180710.5 180711.0 0.0 0
203.0.113.9 documentation sshd tcp 22 1 0 0 0 60.0 180720.0 0.0 0
8.8.4.4 public app out tcp 443 3 3 300 600 10900.0 180702.0 0.0 0
9.9.9.9 public sshd, app tcp 22, out tcp 443 2 2 11 22 172900.0 180714.0 0.0 0`},
		{`SELECT concat_ws(' ', round(ts - 1700006400, 1), kind, what) FROM temp.first_seen`,
			`180600.0 peer 10.0.7.9 (private) out tcp 80 with app
180660.0 interface docker0
180660.0 listener tcp 0.0.0.0:5432 of db
180660.0 listener tcp 172.17.0.1:8080 of proxy
180660.0 neighbor 02:00:00:00:00:77 as 10.0.0.77 on eth0
180660.0 program /tmp/new (new)
180710.5 peer 2001:db8::9 (documentation) out tcp 443 with app
180712.0 peer 198.18.0.1 (reserved) tcp 22 with sshd
180720.0 listener tcp 0.0.0.0:45000 of proxy
180720.0 listener udp 127.0.0.53:53 of proxy
180720.0 listener udp 127.0.0.54:54 of proxy
180720.0 listener udp 127.0.0.54:54 of sshd
180720.0 peer 10.0.0.53 (private) out udp 53 with app
180720.0 peer 10.0.7.7 (private) tcp 45000 with proxy`},
	} {
		if diff := cmp.Diff(c.want, table(c.query)); diff != "" {
			t.Errorf("%s (- want, + got)\n%s", c.query, diff)
		}
	}
	// In the hour in which the recording begins nothing is new: nobody looked before.
	if _, err := db.Exec(`DROP VIEW temp."window"; DROP VIEW temp.links; DROP VIEW temp.peers; DROP VIEW temp.listeners; DROP VIEW temp.first_seen`); err != nil {
		t.Fatal(err)
	}
	rewindow(t, db, "links peers listeners first_seen", begin, begin+100)
	if got := table("SELECT count(*) FROM temp.first_seen"); got != "0" {
		t.Errorf("%s things are new in the first samples", got)
	}
}

// Every kind of address has its word.
func TestAddressClasses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "classes.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Minute, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	all := w.Source("all")
	socks := NewSet(all, Sockets)
	want := map[string]string{
		"10.255.0.1": "private", "100.10.0.1": "public", "100.64.0.1": "shared", "100.127.9.9": "shared", "100.128.0.1": "public", "172.15.0.1": "public", "172.16.0.1": "private", "172.31.9.9": "private",
		"172.32.0.1": "public", "192.168.7.7": "private", "192.169.0.1": "public", "169.254.1.1": "link-local", "192.0.2.9": "documentation", "224.0.0.1": "multicast", "239.255.255.250": "multicast", "240.0.0.1": "reserved",
		"255.255.255.255": "reserved", "0.0.0.1": "reserved", "198.19.0.1": "reserved", "198.20.0.1": "public", "1.1.1.1": "public", "101.1.1.1": "public",
		"fe80::1": "link-local", "febf::1": "link-local", "fec0::1": "reserved", "fd00::1": "private", "fc01::1": "private", "ff02::1": "multicast", "2001:db8::1": "documentation", "2a00:1450::1": "public", "3fff::1": "public", "64:ff9b::1": "reserved",
	}
	w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0), Uptime: time.Hour, Awake: time.Hour})
	all.Read(func() error {
		n := 0
		for addr := range want {
			n++
			socks.Put(SocketID{NetNS: Of(1), Proto: "udp", Family: Of(4), LocalAddr: "9.9.9.9", LocalPort: Of(50000), RemoteAddr: addr, RemotePort: Of(53), Cookie: Of(n)}, Socket{State: "ESTABLISHED"})
		}
		return nil
	})
	if err := w.Commit(t.Context(), Cost{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := map[string]string{}
	for _, line := range texts(t, db, "SELECT remote_addr || ' ' || class FROM peers") {
		addr, class, _ := strings.Cut(line, " ")
		got[addr] = class
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- want, + got)\n%s", diff)
	}
}
