package query

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// .at steps from sample to sample and from event to event, and says what stood there.
func TestAtSteps(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path) // a sample every 5 s; the default route goes with the tenth
	var out, said bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &said, Terminal: true, Width: func() int { return 80 }})
	if err != nil {
		t.Fatal(err)
	}
	at := func(arg string, want time.Duration, words string) {
		t.Helper()
		out.Reset()
		if err := s.Script(t.Context(), ".at "+arg); err != nil {
			t.Errorf(".at %s: %v", arg, err)
			return
		}
		ts, _, err := r.atSample(t.Context())
		if err != nil || ts != unixSeconds(began.Add(want)) {
			t.Errorf(".at %s is %s, %v; want %v after the begin", arg, unixTime(ts), err, want)
		}
		if !strings.Contains(out.String(), words) {
			t.Errorf(".at %s says %q, not %q", arg, out.String(), words)
		}
	}
	at(began.Add(20*time.Second).Format(localSeconds), 20*time.Second, "; default via 10.0.0.254 dev eth0")
	at("+1", 25*time.Second, "at() is ")
	at("-2", 15*time.Second, "")
	at("+3 samples", 30*time.Second, "")
	at("next event", 50*time.Second, "route removed default via 10.0.0.254 dev eth0")
	at("", 50*time.Second, "; no default route")
	at("prev event", 45*time.Second, "route removed")
	for arg, want := range map[string]string{"+1000": "not so many samples", "-1000": "not so many samples", "+0": "by how many samples?"} {
		if err := s.Script(t.Context(), ".at "+arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf(".at %s: %v", arg, err)
		}
	}
	at("", 45*time.Second, "6 sockets: 5 tcp ESTABLISHED, 1 tcp TIME_WAIT; ") // what there is most of stands first
	at("", 45*time.Second, "at() is ")                                        // a step that fails goes nowhere
	since, until, _, err := r.Window(t.Context())
	if err != nil || until.Sub(since) != time.Hour {
		t.Errorf("the window is %s to %s, %v", since, until, err)
	}
}

// Each kind of thing that a machine has set up is an event to step to; sockets and neighbours, which come and go all the time, are none.
func TestAtStepsToEachKind(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("all")
	interfaces, qdiscs, addresses := store.NewSet(source, store.Interfaces), store.NewSet(source, store.Qdiscs), store.NewSet(source, store.Addresses)
	groups, routes, paths := store.NewSet(source, store.MulticastGroups), store.NewSet(source, store.Routes), store.NewSet(source, store.RouteExceptions)
	rules, tables, hops := store.NewSet(source, store.Rules), store.NewSet(source, store.Firewalls), store.NewSet(source, store.NextHops)
	settings, neighbors := store.NewSet(source, store.Settings), store.NewSet(source, store.Neighbors)
	one := store.Of(1)
	puts := []struct {
		event string
		put   func()
	}{
		{"", func() { rules.Put(store.RuleID{NetNS: one, Family: store.Of(4), Priority: store.Of(1)}, store.Rule{}) }}, // there is a sample before
		{"interface added eth0", func() {
			interfaces.Put(store.InterfaceID{NetNS: one, IfIndex: store.Of(2), Name: "eth0"}, store.Interface{})
		}},
		{"", func() {
			neighbors.Put(store.NeighborID{NetNS: one, Addr: "10.0.0.7", Dev: "eth0"}, store.Neighbor{State: "REACHABLE"})
		}},
		{"qdisc added tbf", func() {
			qdiscs.Put(store.QdiscID{NetNS: one, Dev: "eth0", IfIndex: store.Of(2), Handle: "1:", Parent: "root"}, store.Qdisc{Kind: "tbf"})
		}},
		{"address added", func() { addresses.Put(store.AddressID{NetNS: one, Addr: "10.0.0.1", Dev: "eth0"}, store.Address{}) }},
		{"multicast added", func() {
			groups.Put(store.MulticastGroupID{NetNS: one, Addr: "239.1.2.3", Dev: "eth0"}, store.MulticastGroup{})
		}},
		{"route added", func() {
			routes.Put(store.RouteID{NetNS: one, Family: store.Of(4), Dst: "10.9.0.0/16", Dev: "eth0"}, store.Route{})
		}},
		{"path added", func() {
			paths.Put(store.RouteExceptionID{NetNS: one, Family: store.Of(4), Dst: "10.9.0.1", Dev: "eth0"}, store.RouteException{MTU: store.Of(1300)})
		}},
		{"rule added", func() { rules.Put(store.RuleID{NetNS: one, Family: store.Of(4), Priority: store.Of(7)}, store.Rule{}) }},
		{"firewall added ip filter", func() {
			tables.Put(store.FirewallID{NetNS: one, Backend: "nf_tables", Family: "ip", Table: "filter"}, store.Firewall{})
		}},
		{"nexthop added", func() { hops.Put(store.NextHopID{NetNS: one, ID: store.Of(3)}, store.NextHop{}) }},
		{"setting changed", func() {
			settings.Put(store.SettingID{NetNS: one, Name: "net.ipv4.ip_forward"}, store.Setting{Value: "1"})
		}},
	}
	for n := range puts {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error {
			if n < len(puts)-1 {
				settings.Put(store.SettingID{NetNS: one, Name: "net.ipv4.ip_forward"}, store.Setting{Value: "0"})
			}
			for _, p := range puts[:n+1] {
				p.put()
			}
			return nil
		})
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	r := openRecording(t, d.path)
	from := unixSeconds(began.Add(10 * time.Second))
	for n, p := range puts {
		if p.event == "" {
			continue
		}
		ts, what, err := r.nextEvent(t.Context(), from, true)
		if want := unixSeconds(began.Add(time.Duration(n+1) * 10 * time.Second)); err != nil || ts != want || !strings.HasPrefix(what, p.event) {
			t.Errorf("after %s: %q at %s, %v; want %q at %s", unixTime(from), what, unixTime(ts), err, p.event, unixTime(want))
		}
		from = unixSeconds(began.Add(time.Duration(n+1) * 10 * time.Second))
	}
}

// Who is no person is not told what stood there, nor is anybody told of nothing.
func TestAtSaysNothing(t *testing.T) {
	t.Parallel()
	r := twoSamples(t, func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {}, func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {})
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		s, err := NewShell(r, ShellConfig{Out: &out, Err: &out, Terminal: terminal, Width: func() int { return 80 }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), ".at "+began.Add(21*time.Second).Format(localSeconds)); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, "socket") || strings.Contains(text, "route") || (text != "") != terminal {
			t.Errorf("on a terminal %v: %q", terminal, text)
		}
	}
}
