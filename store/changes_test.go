package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script is a recording of two sources, links and protocol counters, written step by step.
type script struct {
	t        *testing.T
	path     string
	boot     string
	w        *Writer
	links    *Source
	counters *Set[InterfaceID, InterfaceCounters]
	attrs    *Set[InterfaceID, Interface]
	proto    *Source
	protocol *Set[ProtocolCounterID, ProtocolCounter]
	routesOf *Source
	routes   *Set[RouteID, Route]
	clock    time.Duration
}

func newScript(t *testing.T) *script {
	s := &script{t: t, path: filepath.Join(t.TempDir(), "changes.db"), boot: "one"}
	s.open()
	return s
}

func (s *script) open() {
	w, err := Create(s.t.Context(), Options{Path: s.path, Interval: time.Second, Boot: Boot{ID: s.boot}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.w = w
	s.links, s.proto, s.routesOf = w.Source("links"), w.Source("protocol"), w.Source("routes")
	s.counters, s.attrs = NewSet(s.links, InterfaceCountersTable), NewSet(s.links, Interfaces)
	s.protocol = NewSet(s.proto, ProtocolCounters)
	s.routes = NewSet(s.routesOf, Routes)
}

// restart stops the recorder and starts it again after the pause.
func (s *script) restart(boot string, pause time.Duration) {
	if err := s.w.Close(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	s.boot = boot
	s.clock += pause
	s.open()
}

type world struct {
	links   map[InterfaceID]InterfaceCounters
	mtu     map[InterfaceID]int
	counter int64
	routes  map[RouteID]Route
	fail    bool
}

// step takes a sample d after the last.
func (s *script) step(d time.Duration, now world) {
	s.clock += d
	s.w.Begin(Clock{Wall: time.Unix(1000, 0).Add(s.clock), Uptime: s.clock, Awake: s.clock})
	s.links.Read(func() error {
		for id, c := range now.links {
			s.counters.Put(id, c)
			s.attrs.Put(id, Interface{MTU: Of(now.mtu[id]), OperState: "UP"})
		}
		if now.fail {
			return sql.ErrConnDone
		}
		return nil
	})
	s.proto.Read(func() error {
		s.protocol.Put(ProtocolCounterID{File: "snmp", Proto: "Tcp", Name: "RetransSegs"}, ProtocolCounter{Kind: "counter", Value: Of(now.counter)})
		s.protocol.Put(ProtocolCounterID{File: "snmp", Proto: "Tcp", Name: "CurrEstab"}, ProtocolCounter{Kind: "gauge", Value: Of(now.counter)})
		return nil
	})
	s.routesOf.Read(func() error {
		for id, r := range now.routes {
			s.routes.Put(id, r)
		}
		return nil
	})
	if err := s.w.Commit(s.t.Context(), Cost{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) ask(query string) []string {
	s.t.Helper()
	db, err := sql.Open("sqlite", DSN(s.path))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	return texts(s.t, db, query)
}

func (s *script) close() {
	if err := s.w.Close(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

func link(index int, name string) InterfaceID {
	return InterfaceID{NetNS: Of(1), IfIndex: Of(index), Name: name}
}

func moved(bytes, packets int64) InterfaceCounters {
	return InterfaceCounters{RxBytes: Of(bytes), RxPackets: Of(packets)}
}

// Deltas and rates are right across stillness, gaps, a stopped recorder, a reboot, counters that
// fall and interfaces that are made again.
func TestDeltas(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	eth, veth := link(2, "eth0"), link(7, "veth0")
	one := func(eth0 InterfaceCounters) world { return world{links: map[InterfaceID]InterfaceCounters{eth: eth0}} }
	both := func(eth0, veth0 InterfaceCounters) world {
		return world{links: map[InterfaceID]InterfaceCounters{eth: eth0, veth: veth0}}
	}
	s.step(time.Second, one(moved(1000, 10)))                                                          // 1: first sight
	s.step(time.Second, one(moved(1500, 15)))                                                          // 2: +500
	s.step(time.Second, one(moved(1500, 15)))                                                          // 3: stands still
	s.step(4*time.Second, one(moved(3500, 20)))                                                        // 4: late: +2000 in 4 s
	s.step(time.Second, world{fail: true, links: map[InterfaceID]InterfaceCounters{eth: moved(1, 1)}}) // 5: not read
	s.step(time.Second, one(moved(4000, 25)))                                                          // 6: the sample before knows nothing
	s.step(time.Second, one(moved(4100, 26)))                                                          // 7: +100
	s.restart("one", 10*time.Second)
	s.step(time.Second, one(moved(5200, 30))) // 8: stopped for 10 s: +1100 in 11 s
	s.restart("two", 10*time.Second)
	s.step(time.Second, one(moved(9000, 90)))                    // 9: another boot
	s.step(time.Second, one(moved(9001, 91)))                    // 10: +1
	s.step(time.Second, one(moved(9500, 3)))                     // 11: packets fell: reset, bytes cannot be trusted
	s.step(time.Second, both(moved(9501, 4), moved(100, 1)))     // 12: veth0 appears
	s.step(time.Second, both(moved(9502, 5), moved(300, 3)))     // 13: +200
	s.step(time.Second, one(moved(9503, 6)))                     // 14: veth0 is gone
	s.step(time.Second, both(moved(9504, 7), moved(1000, 1000))) // 15: veth0 again, with more than before
	s.step(time.Second, both(moved(9505, 8), moved(1010, 1001))) // 16: +10
	s.close()

	got := s.ask(`SELECT m.sample || ' ' || d.name || ' ' || coalesce(d.rx_bytes, '<nil>') || ' ' ||
		coalesce(CAST(d.elapsed_s AS INTEGER), '<nil>') || ' ' || coalesce(CAST(r.rx_bytes_per_s AS INTEGER), '<nil>')
		FROM interface_deltas d JOIN samples m ON m.ts = d.ts JOIN interface_rates r ON r.ts = d.ts AND r.name = d.name
		ORDER BY d.name, m.sample`)
	want := []string{
		"1 eth0 <nil> <nil> <nil>",
		"2 eth0 500 1 500",
		"3 eth0 0 1 0",
		"4 eth0 2000 4 500",
		"6 eth0 <nil> 1 <nil>",
		"7 eth0 100 1 100",
		"8 eth0 1100 11 100",
		"9 eth0 <nil> <nil> <nil>",
		"10 eth0 1 1 1",
		"11 eth0 <nil> 1 <nil>",
		"12 eth0 1 1 1",
		"13 eth0 1 1 1",
		"14 eth0 1 1 1",
		"15 eth0 1 1 1",
		"16 eth0 1 1 1",
		"12 veth0 <nil> 1 <nil>",
		"13 veth0 200 1 200",
		"15 veth0 <nil> 1 <nil>",
		"16 veth0 10 1 10",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interface_deltas and interface_rates (-want +got):\n%s", diff)
	}
}

// Deltas cross the cut of a span at its full length, and gauges have none.
func TestDeltasAcrossCuts(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	const n = 400
	for i := range int64(n) {
		s.step(time.Second, world{counter: i / 3})
	}
	s.close()
	got := s.ask("SELECT count(*), sum(value), max(value), count(DISTINCT name) FROM protocol_deltas WHERE value IS NOT NULL")
	if want := []string{"399 133 1 1"}; !cmp.Equal(want, got) {
		t.Errorf("protocol_deltas: rows, sum, most, names = %v, want %v", got, want)
	}
}

// The views of changes show what came, went and changed, between which samples, and nothing for
// a span that was only cut.
func TestChanges(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	def := RouteID{NetNS: Of(1), Family: Of(4), TableID: Of(254), Dst: "0.0.0.0/0", TOS: Of(0), Metric: Of(100), Dev: "eth0", Nth: Of(0)}
	via := func(gw string) world { return world{routes: map[RouteID]Route{def: {Gateway: gw, TableName: "main"}}} }
	for range 300 {
		s.step(time.Second, via("10.0.0.1"))
	}
	s.step(time.Second, via("10.0.0.2")) // sample 301
	s.step(time.Second, world{})         // 302: gone
	s.step(time.Second, via("10.0.0.2")) // 303: back
	s.restart("one", 5*time.Second)
	s.step(time.Second, via("10.0.0.3")) // 304: changed while nobody looked
	s.step(time.Second, via("10.0.0.3"))
	s.restart("two", 5*time.Second)
	s.step(time.Second, via("10.0.0.9")) // another boot: no change of this one
	s.step(time.Second, world{})
	s.close()
	got := s.ask(`SELECT CAST(ts - 1000 AS INTEGER) || ' after ' || CAST("after" - 1000 AS INTEGER) || ' ' || change || ' ' || dst || ': ' || coalesce(was, '-') || ' > ' || coalesce(now, '-') FROM route_changes`)
	want := []string{
		"301 after 300 changed 0.0.0.0/0: gateway=10.0.0.1 > gateway=10.0.0.2",
		"302 after 301 removed 0.0.0.0/0: table_name=main gateway=10.0.0.2 > -",
		"303 after 302 added 0.0.0.0/0: - > table_name=main gateway=10.0.0.2",
		"309 after 303 changed 0.0.0.0/0: gateway=10.0.0.2 > gateway=10.0.0.3",
		"317 after 316 removed 0.0.0.0/0: table_name=main gateway=10.0.0.9 > -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route_changes (-want +got):\n%s", diff)
	}
}

// The law of changes: whatever of what happens between samples is told, late, twice or not at all, the changes lead from
// each sample to the next; what is told stands there once, at its time; and what is not, at the sample that saw it.
//
// The history is random. Sources fail, so do commits; the recorder is started again, in the same boot and in another.
func TestChangesLaw(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			changesLaw(t, rand.New(rand.NewPCG(seed, 11)))
		})
	}
}

func changesLaw(t *testing.T, random *rand.Rand) {
	type told struct {
		at    time.Duration
		id    RouteID
		v     Route
		there bool
	}
	path := filepath.Join(t.TempDir(), "law.db")
	var w *Writer
	var src, heard *Source
	var set *Set[RouteID, Route]
	var events *EventSet[RouteID, Route]
	boot, up := 0, time.Duration(0)
	begin := func() {
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: fmt.Sprint(boot)}}); err != nil {
			t.Fatal(err)
		}
		src, heard = w.Source("routes"), w.Source("changes")
		set = NewSet(src, Routes)
		events = NewEvents(heard, RouteEvents, set, nil)
	}
	begin()
	truth, last := map[RouteID]Route{}, map[RouteID]Route{}
	var pending []told // that no sample has settled
	var want, shots []string
	lastTS, fresh, sameBoot := 0.0, true, false
	show := func(ts float64, change, learnt string, id RouteID, gateway string) {
		want = append(want, fmt.Sprintf("%.3f %s %s %s %s", ts-1000, change, learnt, id.Dst, gateway))
	}
	difference := func(ts float64, learnt string, id RouteID, was Route, wasThere bool, now Route, there bool) bool {
		switch {
		case wasThere && there && was == now, !wasThere && !there:
			return false
		case !there:
			show(ts, "removed", learnt, id, was.Gateway)
		case !wasThere:
			show(ts, "added", learnt, id, now.Gateway)
		default:
			show(ts, "changed", learnt, id, now.Gateway)
		}
		return true
	}
	for range 100 {
		for range random.IntN(6) {
			up += time.Duration(1+random.IntN(100)) * time.Millisecond
			e := told{up, RouteID{NetNS: Of(1), Dst: fmt.Sprintf("10.%d.0.0/16", random.IntN(4)), Dev: []string{"", "eth0"}[random.IntN(2)]}, Route{Gateway: fmt.Sprint("10.0.0.", random.IntN(3))}, random.IntN(3) > 0}
			if lie := random.IntN(12) == 0; !lie {
				if delete(truth, e.id); e.there {
					truth[e.id] = e.v
				}
			}
			if !e.there {
				e.v = Route{}
			}
			if random.IntN(4) > 0 && !fresh {
				pending = append(pending, e)
			}
		}
		up += time.Duration(100+random.IntN(900)) * time.Millisecond
		// What was never read, or not read last, comes as new after a start.
		fails, lost := !fresh && random.IntN(10) == 0, random.IntN(10) == 0
		w.Begin(Clock{Wall: time.Unix(1000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			for id, v := range truth {
				set.Put(id, v)
			}
			if fails {
				return sql.ErrConnDone
			}
			return nil
		})
		heard.Read(func() error {
			if !events.Looked() {
				return nil
			}
			for _, e := range pending {
				events.Tell(e.at, 0, e.id, e.v, e.there)
			}
			return events.Settle()
		})
		ctx, cancel := context.WithCancel(t.Context())
		if lost {
			cancel()
		}
		err := w.Commit(ctx, Cost{})
		cancel()
		if (err != nil) != lost {
			t.Fatal(err)
		}
		if lost {
			continue
		}
		ts := w.last.ts
		if !fails {
			if !fresh || sameBoot {
				ids := map[RouteID]bool{}
				for id := range truth {
					ids[id] = true
				}
				for id := range last {
					ids[id] = true
				}
				for _, e := range pending {
					ids[e.id] = true
				}
				for id := range ids {
					v, there := last[id]
					rows := false
					for _, e := range pending {
						if e.id == id {
							at := max(ts-(up-e.at).Seconds(), lastTS)
							rows = difference(at, "event", id, v, there, e.v, e.there) || rows
							v, there = e.v, e.there
						}
					}
					seen, isThere := truth[id]
					if !rows {
						v, there = last[id]
					}
					difference(ts, "dump", id, v, there, seen, isThere)
				}
			}
			last, pending, fresh = maps.Clone(truth), nil, false
			for id, r := range last {
				shots = append(shots, fmt.Sprintf("%.6f %s %s %s", ts, id.Dst, id.Dev, r.Gateway))
			}
		}
		lastTS = ts
		if !fails && random.IntN(25) == 0 {
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			// Of what happened before, nobody tells any more.
			pending, fresh, sameBoot = nil, true, true
			if random.IntN(2) == 0 {
				boot++
				sameBoot, last, truth = false, map[RouteID]Route{}, map[RouteID]Route{}
			}
			begin()
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := texts(t, db, "SELECT printf('%.3f', ts - 1000) || ' ' || change || ' ' || learnt || ' ' || dst || ' ' || gateway FROM route_changes")
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route_changes (-want +got):\n%s", diff)
	}
	got = texts(t, db, "SELECT printf('%.6f', ts) || ' ' || dst || ' ' || coalesce(dev, '') || ' ' || gateway FROM routes")
	slices.Sort(got)
	slices.Sort(shots)
	if diff := cmp.Diff(shots, got); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// The changes of a stretch of time read a range of the log, and each span one row of it.
func TestChangesPlan(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	defer s.close()
	plan := strings.Join(s.ask("EXPLAIN QUERY PLAN SELECT * FROM route_changes WHERE ts > 5"), "\n")
	for _, step := range []string{"SEARCH e USING PRIMARY KEY (ts>?)", "SEARCH x USING COVERING INDEX route_event_subject (route=? AND sample=?)"} {
		if !strings.Contains(plan, step) {
			t.Errorf("no %q in\n%s", step, plan)
		}
	}
}

// Counters that are interned with the rare columns have deltas, too, and what is unknown has none.
func TestSocketDeltas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sockets.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	sockets := NewSet(src, Sockets)
	for i, v := range []Socket{
		{State: "SYN_SENT"},
		{State: "ESTABLISHED", BytesSent: Of(100), Retransmits: Of(1), Drops: Of(0)},
		{State: "ESTABLISHED", BytesSent: Of(300), Retransmits: Of(4), Drops: Of(0)},
		{State: "ESTABLISHED", BytesSent: Of(300), Retransmits: Of(4), Drops: Of(0)},
		{State: "CLOSE_WAIT", BytesSent: Of(350), Retransmits: Of(4), Drops: Of(2)},
	} {
		up := time.Duration(i+1) * time.Second
		w.Begin(Clock{Wall: time.Unix(1000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			sockets.Put(SocketID{Proto: "tcp", Cookie: Of(1)}, v)
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := texts(t, db, "SELECT bytes_sent, retransmits, drops FROM socket_deltas ORDER BY ts")
	want := []string{"<nil> <nil> <nil>", "<nil> <nil> <nil>", "200 3 0", "0 0 0", "50 0 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("socket_deltas (-want +got):\n%s", diff)
	}
}
