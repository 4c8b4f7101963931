package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// play is a recording, a sample a second, of what a test says there is.
type play struct {
	t    *testing.T
	path string
	boot string
	n    int
	w    *Writer

	src     *Source
	procs   *Set[ProcessID, Process]
	socks   *Set[SocketID, Socket]
	routes  *Set[RouteID, Route]
	rules   *Set[RuleID, Rule]
	addrs   *Set[AddressID, Address]
	links   *Set[InterfaceID, Interface]
	nbrs    *Set[NeighborID, Neighbor]
	sets    *Set[SettingID, Setting]
	closes  *LogSet[Close]
	counted *LogSet[CloseCount]
}

var playStart = time.Unix(1_700_000_000, 0)

func (p *play) open(boot string) {
	p.boot = boot
	w, err := Create(p.t.Context(), Options{Path: p.path, Interval: time.Second, Boot: Boot{ID: boot}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.w, p.src = w, w.Source("all")
	p.procs, p.socks = NewSet(p.src, Processes), NewSet(p.src, Sockets)
	p.routes, p.rules, p.addrs = NewSet(p.src, Routes), NewSet(p.src, Rules), NewSet(p.src, Addresses)
	p.links, p.nbrs, p.sets = NewSet(p.src, Interfaces), NewSet(p.src, Neighbors), NewSet(p.src, Settings)
	p.closes, p.counted = NewLog(p.src, Closes), NewLog(p.src, CloseCounts)
}

// sample takes the next one of what put Puts.
func (p *play) sample(put func()) {
	p.t.Helper()
	p.n++
	up := time.Duration(p.n) * time.Second
	p.w.Begin(Clock{Wall: playStart.Add(up), Uptime: up, Awake: up})
	p.src.Read(func() error { put(); return nil })
	if err := p.w.Commit(p.t.Context(), Cost{}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *play) restart(boot string) {
	if err := p.w.Close(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
	p.n += 60
	p.open(boot)
}

func newPlay(t *testing.T) *play {
	p := &play{t: t, path: filepath.Join(t.TempDir(), "play.db")}
	p.open("one")
	return p
}

func (p *play) process(pid int, comm string) Ref {
	return p.procs.Put(ProcessID{PID: Of(pid), Started: 1.6e9, Comm: comm, Cmdline: comm + " -v"}, Process{}).Ref()
}

func (p *play) tcp(owner Ref, cookie int, state string, local int, remote int) *Subject[SocketID, Socket] {
	id := SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(local), RemoteAddr: "10.0.7.9", RemotePort: Of(remote), Cookie: Of(cookie)}
	if state == "LISTEN" {
		id.RemoteAddr = "0.0.0.0"
	}
	return p.socks.Put(id, Socket{State: state, Process: owner})
}

// events are those of the whole recording, or of samples from to the end, in words.
func (p *play) events(from int) []string {
	p.t.Helper()
	db, err := sql.Open("sqlite", DSN(p.path))
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	var got []string
	for _, view := range Views() {
		if view.Name == "events" || view.Name == "window" {
			body := view.Body
			if view.Name == "window" {
				body = fmt.Sprintf("SELECT %d AS since, 1800000000 AS until", playStart.Unix()+int64(from))
			}
			db.SetMaxOpenConns(1)
			if _, err := db.Exec("CREATE TEMP VIEW \"" + view.Name + "\" AS " + body); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	got = append(got, texts(p.t, db, fmt.Sprintf(`SELECT printf('%%g', round(ts - %d, 3)) || iif(exact, '!', '') || '|' || object || '|' || event || '|' || what || '|' ||
		coalesce(was, 'NULL') || '|' || coalesce(now, 'NULL') || '|' || coalesce(comm, 'NULL') FROM events`, playStart.Unix()))...)
	slices.Sort(got)
	return got
}

func TestEvents(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	gateway := func(gw, mac, state, backlog string) {
		p.routes.Put(RouteID{NetNS: Of(1), Family: Of(4), TableID: Of(254), Dst: "0.0.0.0/0", Metric: Of(100), Dev: "eth0"}, Route{Gateway: gw, Type: "unicast"})
		p.nbrs.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Addr: "10.0.0.1"}, Neighbor{MAC: mac, State: state})
		if mac == "bb" { // entered by the kernel, and by a person
			p.nbrs.Put(NeighborID{NetNS: Of(1), Dev: "lo", Addr: "0.0.0.0"}, Neighbor{MAC: "00:00:00:00:00:00", State: "NOARP"})
			p.nbrs.Put(NeighborID{NetNS: Of(1), Dev: "tun0", Addr: "10.9.0.1"}, Neighbor{State: "NOARP"})
			p.nbrs.Put(NeighborID{NetNS: Of(1), Dev: "eth0", Addr: "10.0.0.9"}, Neighbor{MAC: "cc", State: "NOARP"})
		}
		p.sets.Put(SettingID{NetNS: Of(1), Name: "net.core.somaxconn"}, Setting{Value: backlog})
		p.links.Put(InterfaceID{NetNS: Of(1), IfIndex: Of(2), Name: "eth0"}, Interface{MTU: Of(1500), OperState: "UP"})
	}
	// 1: all that is there when the recording begins was not seen to begin.
	p.sample(func() {
		gateway("10.0.0.1", "aa", "REACHABLE", "128")
		web := p.process(7, "webd")
		p.tcp(web, 1, "LISTEN", 443, 0)
		p.tcp(web, 2, "ESTABLISHED", 443, 5000)
		p.tcp(web, 3, "ESTABLISHED", 443, 5001)
	})
	// 2: one comes, not accepted yet; one is closed by the other end.
	p.sample(func() {
		gateway("10.0.0.1", "aa", "STALE", "128")
		web := p.process(7, "webd")
		p.tcp(web, 1, "LISTEN", 443, 0)
		p.tcp(web, 2, "CLOSE_WAIT", 443, 5000)
		p.tcp(web, 3, "ESTABLISHED", 443, 5001)
		p.tcp(0, 4, "ESTABLISHED", 443, 5002)
	})
	// 3: it is accepted; another goes into TIME_WAIT; a process comes and listens; the route moves, and the neighbor, and a
	// setting.
	p.sample(func() {
		gateway("10.0.0.254", "bb", "STALE", "4096")
		web, other := p.process(7, "webd"), p.process(8, "sh")
		p.tcp(web, 1, "LISTEN", 443, 0)
		p.tcp(other, 10, "LISTEN", 8080, 0)
		p.tcp(web, 2, "CLOSE_WAIT", 443, 5000)
		p.tcp(web, 3, "TIME_WAIT", 443, 5001)
		p.socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.9", RemotePort: Of(5002), Inode: Of(77), Cookie: Of(4)},
			Socket{State: "ESTABLISHED", Process: web})
	})
	// 4: the process executes another program and listens no more; TIME_WAIT is over; the kernel tells of closes.
	p.sample(func() {
		gateway("10.0.0.254", "bb", "REACHABLE", "4096")
		web, other := p.process(7, "webd"), p.process(8, "nc")
		p.tcp(web, 1, "LISTEN", 443, 0)
		p.socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(6), LocalAddr: "::1", LocalPort: Of(6000), RemoteAddr: "::1", RemotePort: Of(22), Cookie: Of(20)},
			Socket{State: "SYN_SENT", Process: other})
		p.closes.Add(3250*time.Millisecond, Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.9", RemotePort: Of(5002),
			Cookie: Of(4), Process: web, OwnerHow: "cookie"})
		p.closes.Add(3900*time.Millisecond, Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), RemoteAddr: "10.0.7.9", RemotePort: Of(5099),
			Cookie: Of(99), Process: web, OwnerHow: "listener", Lived: Of(300)})
		p.counted.Add(3950*time.Millisecond, CloseCount{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(443), Process: web, First: 1, Count: Of(1234)})
	})
	// 5: all goes on.
	p.sample(func() {
		gateway("10.0.0.254", "bb", "REACHABLE", "4096")
		web, other := p.process(7, "webd"), p.process(8, "nc")
		p.tcp(web, 1, "LISTEN", 443, 0)
		p.socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(6), LocalAddr: "::1", LocalPort: Of(6000), RemoteAddr: "::1", RemotePort: Of(22), Cookie: Of(20)},
			Socket{State: "ESTABLISHED", Process: other})
	})
	if err := AddNote(t.Context(), p.path, playStart.Add(4500*time.Millisecond), "deploy 1.4", "ann"); err != nil {
		t.Fatal(err)
	}
	// A pause, in which the sockets are replaced and a listener goes: of these only the listener is told.
	p.restart("one")
	p.sample(func() {
		gateway("10.0.0.254", "bb", "REACHABLE", "4096")
		p.tcp(p.process(9, "new"), 30, "ESTABLISHED", 443, 5003)
	})
	// And another boot: nothing of before is compared with it.
	p.restart("two")
	p.sample(func() { p.tcp(p.process(9, "newer"), 1, "LISTEN", 80, 0) })
	p.sample(func() { p.tcp(p.process(9, "newer"), 1, "LISTEN", 80, 0) })
	if err := p.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2|socket|state|tcp 10.0.0.5:443 ↔ 10.0.7.9:5000|ESTABLISHED|CLOSE_WAIT|webd",
		"2|socket|opened|tcp 10.0.0.5:443 ↔ 10.0.7.9:5002|NULL|ESTABLISHED|NULL",
		"3|socket|closed|tcp 10.0.0.5:443 ↔ 10.0.7.9:5001|ESTABLISHED|TIME_WAIT|webd",
		"3|listener|up|tcp 10.0.0.5:8080|NULL|NULL|sh",
		"3|process|seen|sh -v|NULL|NULL|sh",
		"3|route|changed|default via 10.0.0.254 dev eth0 metric 100|gateway=10.0.0.1|gateway=10.0.0.254|NULL",
		"3|neighbor|changed|10.0.0.1 dev eth0|mac=aa|mac=bb|NULL",
		"3|neighbor|added|10.0.0.9 dev eth0|NULL|mac=cc state=NOARP|NULL",
		"3|setting|changed|net.core.somaxconn|128|4096|NULL",
		"3.25!|socket|closed|tcp 10.0.0.5:443 ↔ 10.0.7.9:5002|NULL|NULL|webd",
		"3.6|socket|opened|tcp 10.0.0.5:443 ↔ 10.0.7.9:5099|NULL|NULL|webd",
		"3.9!|socket|closed|tcp 10.0.0.5:443 ↔ 10.0.7.9:5099|NULL|NULL|webd",
		"3.95|socket|closed|1,234 × tcp 10.0.0.5:443 ↔ *:*|NULL|NULL|webd",
		"4|socket|opened|tcp [::1]:6000 ↔ [::1]:22|NULL|SYN_SENT|nc",
		"4|socket|closed|tcp 10.0.0.5:443 ↔ 10.0.7.9:5000|CLOSE_WAIT|NULL|webd",
		"4|listener|down|tcp 10.0.0.5:8080|NULL|NULL|sh",
		"4|process|exec|nc -v|sh -v|nc -v|nc",
		"4.5!|note|written|deploy 1.4|NULL|NULL|NULL",
		"5|socket|state|tcp [::1]:6000 ↔ [::1]:22|SYN_SENT|ESTABLISHED|nc",
		"5|gap|began|stopped: the recorder was stopped|NULL|NULL|NULL",
		"66|listener|down|tcp 10.0.0.5:443|NULL|NULL|webd",
		"66|gap|ended|stopped: the recorder was stopped|NULL|NULL|NULL",
		"66|gap|began|stopped: the recorder was stopped, and the machine was rebooted|NULL|NULL|NULL",
		"127|gap|ended|stopped: the recorder was stopped, and the machine was rebooted|NULL|NULL|NULL",
	}
	slices.Sort(want) // those of one moment have no order
	got := p.events(0)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A window shows the same events of its time, whatever came before.
	for _, from := range []int{2, 3, 4, 5, 66} {
		later := slices.DeleteFunc(slices.Clone(want), func(e string) bool {
			var ts float64
			fmt.Sscan(strings.TrimSuffix(strings.SplitN(e, "|", 2)[0], "!"), &ts)
			return ts < float64(from)
		})
		if diff := cmp.Diff(later, p.events(from)); diff != "" {
			t.Errorf("from %d (-want +got):\n%s", from, diff)
		}
	}
}

// Events read the window and never all spans of the recording.
func TestEventsPlan(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plan.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	plan := texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM events")
	// What holds at the newest sample is read whole; so are the gaps, which are few.
	open := 0
	for _, line := range plan {
		_, line, _ = strings.Cut(line, "SCAN ")
		switch name, _, _ := strings.Cut(line, " "); name {
		case "p":
			open++
		case "s", "c", "m", "r":
			t.Errorf("reads all of %s:\n%s", line, strings.Join(plan, "\n"))
		}
	}
	// Sockets, processes and the twelve tables of changes, at most.
	if open > 14 {
		t.Errorf("%d scans of spans:\n%s", open, strings.Join(plan, "\n"))
	}
}
