package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A routeTurn is when a default route of a metric came or went.
type routeTurn struct {
	at     float64 // in seconds
	metric int
	on     bool
}

// away are times at which the default route of a metric went, and for how long.
func away(metric int, long float64, times ...float64) (all []routeTurn) {
	for _, at := range times {
		all = append(all, routeTurn{at, metric, false}, routeTurn{at + long, metric, true})
	}
	return all
}

// comes is the default route that is there for less than a second.
func comes(at float64) []routeTurn { return []routeTurn{{at, 0, true}, {at + 0.4, 0, false}} }

// TestRouteFlaps: a default route that comes and goes, told by the kernel between samples of five seconds, and what must not be taken for it. The oracle is
// the rule in words beside each.
func TestRouteFlaps(t *testing.T) {
	t.Parallel()
	var often []float64
	for i := range 12 {
		often = append(often, 20+10.3*float64(i))
	}
	for _, c := range []struct {
		name  string
		turns []routeTurn
		table int
		want  string
	}{
		{"three times for two seconds", away(0, 2, 21, 51, 81), 254, "route flaps went 3 times"},
		{"three times for just a second", away(0, 1.01, 21, 51, 81), 254, "route flaps went 3 times"},
		{"a lease that is renewed five times", away(0, 0.4, 21, 46, 71, 96, 121), 254, ""},
		{"two of them are longer", append(away(0, 0.4, 21, 46, 71), away(0, 6, 94, 119)...), 254, "default route 2 times"},
		{"twelve times for less than a second", away(0, 0.4, often...), 254, "route flaps went 12 times"},
		{"another one comes first, and the old one goes", []routeTurn{{21, 101, true}, {21.1, 0, false}, {51, 0, true}, {51.1, 101, false}, {81, 101, true}, {81.1, 0, false}, {111, 0, true}, {111.1, 101, false}}, 254, ""},
		{"in a table of policy routing", away(0, 2, 21, 51, 81, 111), 100, ""},
		{"the better of two", append([]routeTurn{{5, 600, true}}, away(0, 2, 21, 51, 81)...), 254, "route flaps went 3 times"},
		{"the better of two comes for less than a second each time", append([]routeTurn{{5, 600, true}, {10, 0, false}}, append(append(comes(21), comes(51)...), append(comes(81), routeTurn{141, 0, true})...)...), 254, "route flaps went 4 times"},
		{"the better of two, once for good", []routeTurn{{5, 600, true}, {41, 0, false}}, 254, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "flaps.db")
			w, err := Create(t.Context(), Options{Path: path, Interval: 5 * time.Second, Boot: Boot{ID: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			source := w.SourceIn(Of(1), "routes")
			set := NewSet(source, Routes)
			changes := w.SourceIn(Of(1), "changes")
			told := NewEvents(changes, RouteEvents, set, nil)
			id := func(metric int) RouteID {
				return RouteID{NetNS: Of(1), Family: Of(4), TableID: Of(c.table), Dst: "0.0.0.0/0", TOS: Of(0), Metric: Of(metric), Dev: "eth0", Nth: Of(0)}
			}
			way := Route{Gateway: "10.0.0.1", Type: "unicast", Protocol: "static"}
			there := map[int]bool{0: true}
			turns := c.turns
			for i := range 40 {
				up := time.Duration(i) * 5 * time.Second
				w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
				var now []routeTurn
				for len(turns) > 0 && turns[0].at <= up.Seconds() {
					now, turns = append(now, turns[0]), turns[1:]
				}
				changes.Read(func() error {
					for _, n := range now {
						there[n.metric] = n.on
						value := Route{}
						if n.on {
							value = way
						}
						told.Tell(time.Duration(n.at*float64(time.Second)), 0, id(n.metric), value, n.on)
					}
					return nil
				})
				source.Read(func() error {
					for metric, is := range there {
						if is {
							set.Put(id(metric), way)
						}
					}
					return told.Settle()
				})
				if err := w.Commit(t.Context(), Cost{}); err != nil {
					t.Fatal(err)
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
			got := strings.Join(texts(t, db, "SELECT fault || ' ' || what FROM findings"), "; ")
			fault, says := "", c.want
			for _, name := range []string{"route flaps", "default route"} {
				if rest, is := strings.CutPrefix(c.want, name); is {
					fault, says = name, rest
				}
			}
			if (c.want == "") != (got == "") || !strings.HasPrefix(got, fault) || !strings.Contains(got, says) || strings.Contains(got, ";") && !strings.Contains(says, "2 times") {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if n := strings.Count(fmt.Sprint(texts(t, db, "SELECT fault FROM findings")), "route"); c.want != "" && n != 1 {
				t.Errorf("%d findings: %q", n, got)
			}
		})
	}
}
