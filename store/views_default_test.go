package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Times without a default route, and with two of which the kernel takes one. The days of each namespace are written below, a letter for each sample.
//
// Each letter is what the routes of that namespace were; the rows that are wanted follow from them by reading.
func TestDefaultRoutes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "routes.db")
	// x: a route to a network only; d: default; e: another one instead; m: one of another metric beside it; t: one of the same metric and router
	// preference; v: the halves of a tunnel instead; h: one of them; b: a default blackhole; p: a default route of a policy table;
	// k: a dead one; !: routes could not be read.
	days := []string{
		1: "ddddxxdddd", // gone for a while
		2: "xxxxxxxxxx", // never had one
		3: "ddvvvhvvdd", // a tunnel takes over, and loses a half
		4: "ddmmttmttt", // two of one metric
		5: "dd!!dddddd", // nobody looked
		6: "ddeeddbbdd", // another one takes over; a blackhole is none
		7: "ddppkkdddx", // one of a policy table is none; a dead one neither; goes on
		8: "dddddddddd", // all is well
		9: "!!xx!!xxdd", // had one before anybody looked: it is known now

		10: "bbbbbbbbbb", // a blackhole is none, so that it never had one
	}
	route := func(dst string, table, metric, nth int, dev string) RouteID {
		return RouteID{Family: Of(4), TableID: Of(table), Dst: dst, TOS: Of(0), Metric: Of(metric), Dev: dev, Nth: Of(nth)}
	}
	way := func(gateway string) Route { return Route{Gateway: gateway, Type: "unicast", Protocol: "static"} }
	main := route("0.0.0.0/0", 254, 0, 0, "eth0")
	is := map[byte]map[RouteID]Route{
		'x': {},
		'd': {main: way("10.0.0.1")},
		'e': {main: way("10.0.0.2")},
		'm': {main: way("10.0.0.1"), route("0.0.0.0/0", 254, 100, 0, "eth1"): way("10.1.0.1")},
		't': {main: way("10.0.0.1"), route("0.0.0.0/0", 254, 0, 1, "eth1"): way("10.1.0.1")},
		'v': {route("0.0.0.0/1", 254, 0, 0, "tun0"): way("10.8.0.1"), route("128.0.0.0/1", 254, 0, 0, "tun0"): way("10.8.0.1")},
		'h': {route("0.0.0.0/1", 254, 0, 0, "tun0"): way("10.8.0.1")},
		'b': {main: Route{Type: "blackhole"}},
		'p': {route("0.0.0.0/0", 51820, 0, 0, "wg0"): way("")},
		'k': {main: Route{Gateway: "10.0.0.1", Type: "unicast", Flags: "dead,linkdown"}},
	}
	var w *Writer
	var sources []*Source
	var sets []*Set[RouteID, Route]
	var told *EventSet[RouteID, Route]
	start := func() {
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}}); err != nil {
			t.Fatal(err)
		}
		sources, sets = nil, nil
		for i := range days {
			sources = append(sources, w.SourceIn(Of(i), "routes"))
			sets = append(sets, NewSet(sources[i], Routes))
		}
		sources = append(sources, w.Source("events"))
		told = NewEvents(sources[len(days)], RouteEvents, sets[1], nil)
	}
	start()
	for at := range 10 {
		if at == 5 { // a pause of the recorder is no change
			if err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			start()
		}
		up := time.Duration(at) * time.Second
		w.Begin(Clock{Wall: time.Unix(1000, 0).Add(up), Uptime: up, Awake: up})
		for i, day := range days {
			sources[i].Read(func() error {
				if day == "" {
					return nil
				}
				if day[at] == '!' {
					return errors.New("no buffer space")
				}
				for id, v := range is[day[at]] {
					id.NetNS = Of(i)
					sets[i].Put(id, v)
				}
				sets[i].Put(RouteID{NetNS: Of(i), Family: Of(4), TableID: Of(254), Dst: "10.0.0.0/8", TOS: Of(0), Metric: Of(0), Dev: "eth0", Nth: Of(0)}, Route{Type: "unicast"})
				// Next hops of IPv6 that share the traffic are as many routes; of routers that advertise themselves one is taken.
				protocol := map[bool]string{true: "ra", false: "static"}[i == 8]
				for nth := range 2 {
					sets[i].Put(RouteID{NetNS: Of(i), Family: Of(6), TableID: Of(254), Dst: "::/0", TOS: Of(0), Metric: Of(1024), Dev: "eth0", Nth: Of(nth)},
						Route{Type: "unicast", Gateway: "fe80::" + string(rune('1'+nth)), Protocol: protocol})
				}
				return nil
			})
		}
		sources[len(days)].Read(func() error {
			id := main
			id.NetNS = Of(1)
			switch at {
			case 4:
				told.Tell(3250*time.Millisecond, 0, id, Route{}, false)
			case 6:
				told.Tell(5750*time.Millisecond, 0, id, is['d'][main], true)
			}
			return told.Settle()
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
	db.SetMaxOpenConns(1)
	const gaps = "SELECT netns, ' ' || family || ' ', ts - 1000, until - 1000, what FROM temp.default_route_gaps ORDER BY 1, ts"
	const twins = "SELECT netns, ' ' || family || ' ', ts - 1000, until - 1000, metric, what FROM temp.default_route_twins ORDER BY 1, 2, ts"
	asked := func(what, question string, want ...string) {
		t.Helper()
		got := texts(t, db, question)
		for i := range got {
			got[i] = strings.Join(strings.Fields(got[i]), " ")
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (- want, + got)\n%s", what, diff)
		}
	}
	rewindow(t, db, "default_route_gaps default_route_twins", 1000, 1009)
	asked("gaps", gaps,
		"1 4 3.25 5.75via 10.0.0.1 dev eth0", // of which the kernel told
		"3 4 5 6128.0.0.0/1 via 10.8.0.1 dev tun0",
		"6 4 6 8via 10.0.0.1 dev eth0",
		"7 4 2 6via 10.0.0.1 dev eth0",
		"7 4 9 <nil>via 10.0.0.1 dev eth0",
		"9 4 2 4 <nil>",
		"9 4 6 8 <nil>")
	asked("twins", twins,
		"4 4 4 6 0via 10.0.0.1 dev eth0, via 10.1.0.1 dev eth1",
		"4 4 7 <nil> 0via 10.0.0.1 dev eth0, via 10.1.0.1 dev eth1",
		"8 6 0 <nil> 1024via fe80::1 dev eth0, via fe80::2 dev eth0")
	if _, err := db.Exec(`DROP VIEW temp."window"; DROP VIEW temp.default_route_gaps; DROP VIEW temp.default_route_twins`); err != nil {
		t.Fatal(err)
	}
	// Of a part of a day.
	rewindow(t, db, "default_route_gaps default_route_twins", 1005, 1005)
	asked("gaps", gaps, "1 4 5 <nil> <nil>", "3 4 5 <nil> <nil>", "7 4 5 <nil> <nil>")
	for _, view := range []string{"default_route_gaps", "default_route_twins"} {
		plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM temp."+view), "\n")
		if strings.Contains(plan, "SCAN route_span") || strings.Contains(plan, "SCAN source_span") || strings.Contains(plan, "SCAN route_event") || strings.Contains(plan, "SCAN e") {
			t.Errorf("%s reads more than the window:\n%s", view, plan)
		}
	}
}
