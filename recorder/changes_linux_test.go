package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// A liveRun is the recorder as the program runs it, with samples an hour apart: what else it takes is brought forward.
type liveRun struct {
	*testRecording
	stop func()
}

func runLive(t *testing.T) *liveRun {
	t.Helper()
	r := &liveRun{testRecording: &testRecording{t: t, path: filepath.Join(t.TempDir(), "live.db")}}
	sampled := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{Path: r.path, Interval: MaxInterval, NetNS: NetNS{own: true}, Sampled: func() { sampled <- struct{}{} }})
	}()
	select {
	case <-sampled:
	case err := <-done:
		t.Fatal(err)
	}
	stopped := false
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(r.stop)
	return r
}

// lines are the rows of a query, their columns parted by blanks.
func (r *testRecording) lines(query string, args ...any) []string {
	r.t.Helper()
	var lines []string
	for _, row := range r.rows("SELECT '' AS line, * FROM ("+query+")", args...) {
		delete(row, "line")
		var words []string
		for _, name := range slices.Sorted(maps.Keys(row)) {
			words = append(words, text(row[name]))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	return lines
}

func unixNow() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// A span of time in which the test did something.
type while struct{ from, to float64 }

func during(do func()) while {
	from := unixNow()
	do()
	return while{from, unixNow()}
}

// holds reports whether ts lies in it; the recorder may be told a little later, on a busy machine.
func (w while) holds(ts any) bool {
	at, ok := ts.(float64)
	return ok && at >= w.from-0.001 && at <= w.to+0.25
}

// The default route is gone for 300 ms, an hour from any regular sample.
func TestRouteGoneForAMoment(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "route add default via 10.1.0.254 metric 100")
	ip(t, "route add 10.7.0.0/16 via 10.1.0.9")
	r := runLive(t)
	gone := during(func() { ip(t, "route del default metric 100") })
	unix.Poll(nil, 300)
	back := during(func() { ip(t, "route add default via 10.1.0.254 metric 100") })
	changes := func() []map[string]any {
		return r.rows("SELECT * FROM route_changes WHERE dst = '0.0.0.0/0'")
	}
	eventually(t, "both changes are recorded", func() bool { return len(changes()) == 2 })
	got := changes()
	for i, want := range []struct {
		change string
		during while
	}{{"removed", gone}, {"added", back}} {
		if got[i]["change"] != want.change || got[i]["learnt"] != "event" || !want.during.holds(got[i]["ts"]) {
			t.Errorf("change %d: %v, want %s by event in %v", i, got[i], want.change, want.during)
		}
		if got[i]["gateway"] != "10.1.0.254" || text(got[i]["metric"]) != "100" {
			t.Errorf("change %d: %v", i, got[i])
		}
	}

	// IPv4 routes go without a word with their link.
	down := during(func() { ip(t, "link set d0 down") })
	eventually(t, "the routes are recorded to be gone", func() bool {
		return len(r.rows("SELECT 1 FROM route_changes WHERE change = 'removed' AND dst IN ('10.7.0.0/16', '10.1.0.0/24')")) == 2
	})
	for _, row := range r.rows("SELECT c.*, m.ts AS sample FROM route_changes c LEFT JOIN samples m ON m.ts = c.ts WHERE change = 'removed' AND dst IN ('10.7.0.0/16', '10.1.0.0/24')") {
		at := row["ts"].(float64)
		if row["learnt"] != "dump" || row["sample"] == nil || at < down.from || at > down.to+2 {
			t.Errorf("%v: it went between %v", row, down)
		}
	}
	if got := r.rows("SELECT ts FROM interface_changes WHERE name = 'd0' AND learnt = 'event' AND was LIKE '%flags=%UP%'"); len(got) == 0 || !down.holds(got[0]["ts"]) {
		t.Errorf("the link went down in %v, recorded is %v", down, got)
	}
	r.stop()
	if gaps := r.rows("SELECT * FROM gaps WHERE kind NOT IN ('incomplete') AND source <> 'drops'"); len(gaps) != 0 {
		t.Errorf("gaps: %v", gaps)
	}
}

// The same between two samples that nothing brings forward.
func TestRouteGoneBetweenSamples(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "route add default via 10.1.0.254")
	r := newTestRun(t, "self")
	r.sample()
	gone := during(func() { ip(t, "route del default") })
	unix.Poll(nil, 300)
	back := during(func() { ip(t, "route add default via 10.1.0.254") })
	r.sample()
	r.sample()
	got := r.rows("SELECT ts, after, change, learnt, was, now FROM route_changes")
	if len(got) != 2 || got[0]["change"] != "removed" || got[1]["change"] != "added" || !gone.holds(got[0]["ts"]) || !back.holds(got[1]["ts"]) {
		t.Errorf("removed in %v, added in %v; recorded is %v", gone, back, got)
	}
	for _, row := range got {
		values := text(row["was"]) + text(row["now"])
		if row["learnt"] != "event" || row["after"].(float64) >= gone.from || !strings.HasPrefix(values, "table_name=main gateway=10.1.0.254 protocol=boot") {
			t.Errorf("%v", row)
		}
	}
	if n := r.rows("SELECT count(*) AS n FROM routes WHERE dst = '0.0.0.0/0'")[0]["n"]; n != int64(3) {
		t.Errorf("the route stands in %v of 3 samples", n)
	}
}

// What the test does is what the recording tells, each once, as what the kernel told of it.
func TestChangesAreTold(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "route add 10.2.0.0/16 via 10.1.0.2")
	ip(t, "neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 dev d0 nud reachable")
	for _, line := range []string{"link add br0 type bridge", "link add p0 type veth peer name p1", "link set p0 addrgenmode none master br0", "link set p1 addrgenmode none",
		"link set br0 addrgenmode none up", "link set p0 up", "link set p1 up", "link add x0 type vxlan id 5 remote 10.1.0.9 dstport 4789", "link set x0 addrgenmode none", "link set x0 up"} {
		ip(t, line)
	}
	eventually(t, "the port forwards", func() bool { return strings.Contains(kerneltest.Command(t, "bridge", "link"), "state forwarding") })
	eventually(t, "the links are up", func() bool {
		return strings.Count(kerneltest.Command(t, "ip", "-6", "addr"), "inet6 fe80") == 2 && !strings.Contains(kerneltest.Command(t, "ip", "-6", "addr"), "tentative")
	})
	r := newTestRun(t, "self")
	r.sample()
	r.sample()
	for _, step := range []struct {
		name, commands, query string
		want                  []string
	}{
		{"an address comes and goes", "addr add 10.3.0.1/24 dev d0; addr del 10.3.0.1/24 dev d0",
			"SELECT ts AS a, change || ' ' || addr || ' ' || scope AS b, learnt AS c FROM address_changes",
			[]string{"added 10.3.0.1 global event", "removed 10.3.0.1 global event"}},
		{"an address stays", "addr add 10.4.0.1/24 dev d0; addr change 10.4.0.1/24 dev d0 valid_lft 1000 preferred_lft 500",
			"SELECT ts AS a, change || ' ' || addr AS b, learnt || coalesce(' ' || was, '') || coalesce(' to ' || now, '') AS c FROM address_changes",
			[]string{"added 10.4.0.1 event to scope=global flags=permanent label=d0", "changed 10.4.0.1 event flags=permanent to flags=dynamic"}},
		{"a rule comes and another goes", "rule add from 10.9.0.0/16 lookup 77 pref 1000; rule add from 10.8.0.0/16 lookup 78 pref 1000; rule del from 10.9.0.0/16 lookup 77 pref 1000",
			"SELECT ts AS a, change || ' ' || priority || ' ' || nth || ' ' || src AS b, learnt AS c FROM rule_changes",
			[]string{"added 1000 0 10.9.0.0/16 event", "added 1000 1 10.8.0.0/16 event", "changed 1000 0 10.8.0.0/16 event", "removed 1000 1 10.8.0.0/16 event"}},
		{"a neighbor gets another address", "neigh change 10.1.0.77 lladdr 02:00:00:00:00:78 dev d0 nud stale",
			"SELECT ts AS a, change || ' ' || addr || ' ' || mac AS b, learnt AS c FROM neighbor_changes",
			[]string{"changed 10.1.0.77 02:00:00:00:00:78 event"}},
		{"it ages", "neigh change 10.1.0.77 lladdr 02:00:00:00:00:78 dev d0 nud reachable; neigh change 10.1.0.77 lladdr 02:00:00:00:00:78 dev d0 nud stale",
			"SELECT ts AS a, was AS b, now AS c FROM neighbor_changes", nil},
		{"a neighbor goes", "neigh del 10.1.0.77 dev d0",
			"SELECT ts AS a, change || ' ' || addr AS b, learnt AS c FROM neighbor_changes WHERE change = 'removed'",
			[]string{"removed 10.1.0.77 event"}},
		{"routes", "route replace 10.2.0.0/16 via 10.1.0.3; route append 10.2.0.0/16 via 10.1.0.4; route prepend 10.2.0.0/16 via 10.1.0.5; route del 10.2.0.0/16 via 10.1.0.3",
			"SELECT ts AS a, change || ' ' || dst || ' ' || nth || ' ' || gateway AS b, learnt AS c FROM route_changes",
			[]string{"changed 10.2.0.0/16 0 10.1.0.3 event", "added 10.2.0.0/16 1 10.1.0.4 event",
				"changed 10.2.0.0/16 0 10.1.0.5 event", "changed 10.2.0.0/16 1 10.1.0.3 event", "added 10.2.0.0/16 2 10.1.0.4 event",
				"changed 10.2.0.0/16 1 10.1.0.4 event", "removed 10.2.0.0/16 2 10.1.0.4 event"}},
		{"a link is renamed", "link set d0 down; link set d0 name e0",
			"SELECT ts AS a, change || ' ' || name AS b, learnt AS c FROM interface_changes WHERE change <> 'changed'",
			[]string{"removed d0 event", "added e0 event"}},
		{"a link comes and goes", "link add v0 type veth peer name v1; link set v0 mtu 1400; link del v0",
			"SELECT ts AS a, change || ' ' || name || coalesce(' ' || iif(change = 'changed', was || ' ' || now, ''), '') AS b, learnt AS c FROM interface_changes WHERE name = 'v0'",
			[]string{"added v0  event", "changed v0 mtu=1500 mtu=1400 event", "removed v0  event"}},
		{"a bridge port is shut, opened and shut", "bridge link set dev p0 state 0; bridge link set dev p0 state 3; bridge link set dev p0 state 0",
			"SELECT ts AS a, change || ' ' || name || ' of ' || master || ' ' || was || ' ' || now AS b, learnt AS c FROM interface_changes WHERE name = 'p0'",
			[]string{"changed p0 of br0 member_state=forwarding member_state=disabled event", "changed p0 of br0 member_state=disabled member_state=forwarding event",
				"changed p0 of br0 member_state=forwarding member_state=disabled event"}},
		{"a tunnel goes elsewhere", "link set x0 type vxlan remote 10.1.0.10",
			"SELECT ts AS a, change || ' ' || name || ' ' || was || ' ' || now AS b, learnt AS c FROM interface_changes",
			[]string{"changed x0 tunnel=id 5 remote 10.1.0.9 dstport 4789 tunnel=id 5 remote 10.1.0.10 dstport 4789 event"}},
	} {
		before := r.rows("SELECT max(ts) AS ts FROM samples")[0]["ts"]
		done := during(func() {
			for line := range strings.SplitSeq(step.commands, "; ") {
				if words := strings.Fields(line); words[0] == "bridge" {
					kerneltest.Command(t, "bridge", words[1:]...)
				} else {
					ip(t, line)
				}
			}
		})
		r.sample()
		var got []string
		last := 0.0
		for _, row := range r.rows("SELECT * FROM ("+step.query+") WHERE a > ?", before) {
			at, _ := row["a"].(float64)
			if !done.holds(at) || at <= last {
				t.Errorf("%s: %v: it was in %v", step.name, row, done)
			}
			last = at
			got = append(got, text(row["b"])+" "+text(row["c"]))
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-done +recorded):\n%s", step.name, diff)
		}
		r.sample() // nothing is told twice
	}
	r.foldsUp()
	if got := r.outcome("changes"); got != "read" {
		t.Error(got)
	}
}

// A tableOfChanges is a table whose changes, put together, must be what the samples show.
var tablesOfChanges = map[string]struct{ table, names, values string }{
	"interface_changes": {"interfaces", "ifindex, name", "type, mac, mtu, operstate, carrier, flags, speed_mbps, duplex, master, qdisc, txqlen, alias, link_ifindex, promiscuity, carrier_changes, tunnel, member_state"},
	"address_changes":   {"addresses", "dev, ifindex, family, addr, prefix_len, peer", "scope, flags, label, broadcast"},
	"neighbor_changes":  {"neighbors", "dev, ifindex, family, addr, proxy", "mac, flags"},
	"route_changes": {"routes", "family, table_id, dst, src_net, tos, metric, dev, nth",
		"table_name, gateway, src, protocol, scope, type, flags, mtu, window, irtt_ms, nexthops"},
	"rule_changes": {"rules", "family, priority, nth", "src, dst, iif, oif, fwmark, tos, ipproto, sport, dport, uid_range, action, table_id, table_name, goto_priority, invert, suppress_prefix_len, protocol"},
}

// foldsUp checks the law of changes: what the first sample shows and the changes that another has seen, which are those after
// a sample before it, are what that shows.
func (r *testRecording) foldsUp() {
	r.t.Helper()
	for view, of := range tablesOfChanges {
		shots := map[float64]map[string]string{}
		var times []float64
		for _, row := range r.rows("SELECT ts FROM samples ORDER BY ts") {
			times = append(times, row["ts"].(float64))
			shots[times[len(times)-1]] = map[string]string{}
		}
		columns := fmt.Sprintf("json_array(%s) AS id, json_array(%s) AS v", of.names, of.values)
		for _, row := range r.rows("SELECT ts, " + columns + " FROM " + of.table) {
			shots[row["ts"].(float64)][text(row["id"])] = text(row["v"])
		}
		changes := r.rows("SELECT ts, after, change, " + columns + ", learnt, was, now FROM " + view + " ORDER BY ts")
		state := maps.Clone(shots[times[0]])
		for _, ts := range times[1:] {
			for len(changes) > 0 && changes[0]["after"].(float64) < ts {
				c := changes[0]
				changes = changes[1:]
				id := text(c["id"])
				_, there := state[id]
				if change := text(c["change"]); there == (change == "added") {
					r.t.Errorf("%s: %v, and it was there before: %v", view, c, there)
				}
				if c["change"] == "removed" {
					delete(state, id)
				} else {
					state[id] = text(c["v"])
				}
			}
			if diff := cmp.Diff(shots[ts], state); diff != "" {
				r.t.Fatalf("%s up to %f (-sample +changes):\n%s", view, ts, diff)
			}
		}
	}
}

// Whatever is done to a network, with samples at any time, the changes lead from sample to sample.
func TestChangesLeadFromSampleToSample(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "d1")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "addr add 10.2.0.1/24 dev d1")
	ip(t, "link add br0 type bridge")
	ip(t, "link set br0 up")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	r := newTestRun(t, "self")
	r.sample()
	for range 150 {
		dev, n, other := random.IntN(2), random.IntN(4), random.IntN(3)
		commands := []string{
			fmt.Sprintf("route add 10.%d.0.0/16 via 10.%d.0.%d", 20+n, dev+1, 2+other),
			fmt.Sprintf("route append 10.%d.0.0/16 via 10.%d.0.%d", 20+n, dev+1, 2+other),
			fmt.Sprintf("route prepend 10.%d.0.0/16 via 10.%d.0.%d", 20+n, dev+1, 2+other),
			fmt.Sprintf("route replace 10.%d.0.0/16 via 10.%d.0.%d", 20+n, dev+1, 2+other),
			fmt.Sprintf("route del 10.%d.0.0/16", 20+n), fmt.Sprintf("route del 10.%d.0.0/16 via 10.%d.0.%d", 20+n, dev+1, 2+other),
			fmt.Sprintf("route replace 10.30.0.0/16 nexthop via 10.1.0.%d nexthop via 10.2.0.%d", 2+n, 2+other),
			fmt.Sprintf("-6 route add 2001:db8:%d::/48 dev d%d metric %d", n, dev, 10+other),
			fmt.Sprintf("-6 route append 2001:db8:%d::/48 via fe80::%d dev d%d metric 10", n, 2+other, dev),
			fmt.Sprintf("-6 route replace 2001:db8:%d::/48 via fe80::%d dev d%d metric 10", n, 2+other, dev),
			fmt.Sprintf("-6 route del 2001:db8:%d::/48", n),
			fmt.Sprintf("addr add 10.%d.0.%d/24 dev d%d", 1+dev, 100+n, dev), fmt.Sprintf("addr del 10.%d.0.%d/24 dev d%d", 1+dev, 100+n, dev),
			fmt.Sprintf("-6 addr add 2001:db8:f%d::%d/64 dev d%d nodad", dev, n+1, dev), fmt.Sprintf("-6 addr del 2001:db8:f%d::%d/64 dev d%d", dev, n+1, dev),
			fmt.Sprintf("rule add from 10.9.%d.0/24 lookup %d pref %d", n, 70+other, 1000+dev), fmt.Sprintf("rule del pref %d", 1000+dev),
			fmt.Sprintf("neigh replace 10.1.0.%d lladdr 02:00:00:00:00:%02d dev d0 nud reachable", 50+n, other),
			fmt.Sprintf("neigh del 10.1.0.%d dev d0", 50+n),
			fmt.Sprintf("link set d%d down", dev), fmt.Sprintf("link set d%d up", dev), fmt.Sprintf("link set d%d up", dev), fmt.Sprintf("addr add 10.%d.0.1/24 dev d%d", dev+1, dev),
			fmt.Sprintf("link set d%d mtu %d", dev, 1400+n), fmt.Sprintf("link add x%d type veth", n), fmt.Sprintf("link del x%d", n),
			fmt.Sprintf("link set x%d name y%d", n, other), fmt.Sprintf("link set y%d name x%d", other, n),
			fmt.Sprintf("link set d%d master br0", dev), fmt.Sprintf("link set d%d nomaster", dev), fmt.Sprintf("link set d%d type bridge_slave cost %d", dev, n+1),
		}
		tryIP(commands[random.IntN(len(commands))])
		if random.IntN(5) == 0 {
			r.sample()
		}
	}
	r.sample()
	r.sample()
	r.foldsUp()
	how := r.lines("SELECT learnt AS a, count(*) AS b FROM (SELECT learnt FROM route_changes UNION ALL SELECT learnt FROM address_changes UNION ALL SELECT learnt FROM interface_changes UNION ALL SELECT learnt FROM rule_changes) GROUP BY learnt")
	t.Log(how)
	if len(how) == 0 || !strings.Contains(strings.Join(how, ","), "event") {
		t.Errorf("learnt: %q", how)
	}
}

// tryIP runs a command that may fail: what it asks for need not be possible.
func tryIP(line string) {
	exec.Command("ip", strings.Fields(line)...).Run()
}

// Ten thousand changes at once are not followed one by one: a few samples, bounded memory, a gap that says so, and
// the right outcome.
func TestStormOfChanges(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	var batch strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&batch, "route add 172.%d.%d.0/24 via 10.1.0.%d\n", 16+i>>8, i&255, 2+i%200)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runLive(t)
	begin, cpu := time.Now(), ownCost().CPU
	ip(t, "-batch "+file)
	added := time.Since(begin)
	count := func() string {
		return text(r.rows("SELECT count(*) AS n FROM routes_now WHERE dst LIKE '172.%'")[0]["n"])
	}
	eventually(t, "all routes are recorded", func() bool { return count() == "10000" })
	cost := ownCost().CPU - cpu
	r.stop()
	samples := r.rows("SELECT count(*) AS n FROM samples")[0]["n"].(int64)
	t.Logf("10,000 routes were added in %v; recorded with %d samples, %v of CPU, the queries of the test included", added, samples, cost)
	if samples > 12 {
		t.Errorf("%d samples", samples)
	}
	gaps := r.rows("SELECT detail FROM gaps WHERE kind = 'lost' AND source = 'changes'")
	if len(gaps) == 0 || int64(len(gaps)) >= samples {
		t.Errorf("gaps: %v", gaps)
	}
	if n := r.rows("SELECT count(*) AS n FROM route_event")[0]["n"].(int64); n == 0 || n > 2*queueLength {
		t.Errorf("%d events are kept", n)
	}
	if got := r.lines("SELECT count(*) AS a, count(DISTINCT dst) AS b FROM route_changes WHERE change = 'added' AND dst LIKE '172.%'"); got[0] != "10000 10000" {
		t.Errorf("route_changes has %q", got)
	}
	r.foldsUp()
}

// When the kernel had no room for what it had to tell, a gap says so, and the dump shows the outcome.
func TestLostChanges(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	var batch strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&batch, "route add 172.16.%d.%d/32 via 10.1.0.2\n", i>>8, i&255)
	}
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newTestRun(t, "self")
	r.sample()
	c := r.networks[0].changes
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10); err != nil {
		t.Fatal(err)
	}
	r.trigger.take()
	c.mu.Lock() // nobody takes them meanwhile
	ip(t, "-batch "+file)
	drops, known := socketDrops(c.fd)
	c.mu.Unlock()
	if !known || drops == 0 {
		kerneltest.NeedKernel(t, fmt.Sprintf("%d messages were dropped, known: %v", drops, known))
	}
	eventually(t, "the loss wakes the recorder", func() bool { return len(r.trigger.signal) == 1 })
	r.sample()
	got := r.rows("SELECT detail, until - since AS s FROM gaps WHERE kind = 'lost' AND source = 'changes'")
	if want := fmt.Sprintf("%d changes of links, addresses, neighbors, routes or rules were not heard of", drops); len(got) != 1 || !strings.HasPrefix(text(got[0]["detail"]), want) {
		t.Errorf("gaps: %v, want %s", got, want)
	}
	if got := r.lines("SELECT count(*) AS n FROM route_changes WHERE change = 'added' AND dst LIKE '172.16.%'"); got[0] != "1000" {
		t.Errorf("%s of 1000 routes are recorded to have come", got[0])
	}
	ip(t, "route del 172.16.0.0/32")
	r.sample()
	if got := r.lines("SELECT learnt AS a FROM route_changes WHERE change = 'removed'"); !cmp.Equal(got, []string{"event"}) {
		t.Errorf("after the loss: %q", got)
	}
	r.foldsUp()
}

// What is told while samples cannot be written is told when they can be again, with the time that it had.
func TestChangesWaitForACommit(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	r := newTestRun(t, "self")
	r.sample()
	lose := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		clock, err := readClock()
		if err != nil {
			t.Fatal(err)
		}
		r.writer.Begin(clock)
		n := r.networks[0]
		n.changes.begin()
		readAll(ctx, n.sources)
		n.changes.read(ctx)
		cancel()
		if err := r.writer.Commit(ctx, store.Cost{}); err == nil {
			t.Fatal("the sample was written")
		}
	}
	came := during(func() { ip(t, "route add 10.7.0.0/16 via 10.1.0.254") })
	lose()
	lose()
	went := during(func() { ip(t, "route del 10.7.0.0/16") })
	r.sample()
	got := r.rows("SELECT * FROM route_changes")
	if len(got) != 2 || !came.holds(got[0]["ts"]) || !went.holds(got[1]["ts"]) || got[0]["change"] != "added" || got[1]["learnt"] != "event" {
		t.Errorf("%v; it came in %v and went in %v", got, came, went)
	}
	r.foldsUp()
}

// The hearing ends with the recorder, and with the namespace.
func TestChangesEnd(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	rec := newRecording(t)
	own, err := ownNamespace()
	if err != nil {
		t.Fatal(err)
	}
	before, files := runtime.NumGoroutine(), openSockets(t)
	for range 3 {
		r, err := newRun(rec.Writer, own, Config{NetNS: NetNS{own: true}, CloseBudget: 1000}, newNotices(nil, MinInterval))
		if err != nil {
			t.Fatal(err)
		}
		rec.Begin(store.Clock{Wall: time.Now()})
		r.enter(own)
		r.networks[0].changes.begin()
		ip(t, "link set lo down")
		ip(t, "link set lo up")
		if n := openSockets(t); n <= files {
			t.Errorf("%d sockets are open, %d at first", n, files)
		}
		r.close()
	}
	eventually(t, fmt.Sprintf("the goroutines end: %d at first", before), func() bool { return runtime.NumGoroutine() <= before })
	if now := openSockets(t); now > files {
		t.Errorf("%d sockets are open, %d at first", now, files)
	}
}

func openSockets(t *testing.T) (n int) {
	t.Helper()
	list, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

func TestWakeBudget(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	var b triggerBudget
	now := 100 * time.Second
	sample := func(took time.Duration) {
		b.begin(now)
		now += took
		b.end(now)
	}
	bring := func(urgent uint32, next time.Duration) time.Duration {
		wait, ok := b.bring(urgent, now, next)
		if !ok {
			return -1
		}
		return wait
	}
	sample(20 * time.Millisecond)
	for _, c := range []struct {
		name   string
		after  time.Duration
		urgent uint32
		next   time.Duration
		want   time.Duration
	}{
		{"not twice within half a second", 0, triggers, hour, 480 * time.Millisecond},
		{"a burst settles", time.Second, triggers, hour, settling},
		{"the regular sample comes as soon", 0, triggers, settling, -1},
		{"nothing changed", 0, notUrgent, hour, -1},
	} {
		now += c.after
		if got := bring(c.urgent, c.next); got != c.want {
			t.Errorf("%s: wait %v, want %v", c.name, got, c.want)
		}
	}
	count := func(urgent uint32, over time.Duration) (n int) {
		for end := now + over; now < end; now += 100 * time.Millisecond {
			if wait := bring(urgent, hour); wait >= 0 {
				now += wait
				sample(20 * time.Millisecond)
				n++
			}
		}
		return n
	}
	now += hour
	if n := count(triggers, time.Minute); n < 40 || n > 60 {
		t.Errorf("%d samples in the first minute", n)
	}
	if n := count(triggers, 10*time.Minute); n < 295 || n > 305 {
		t.Errorf("%d samples in ten minutes, want 30 a minute", n)
	}
	now += hour
	if n := count(triggersALittle, 10*time.Minute); n < 60 || n > 70 {
		t.Errorf("%d samples for neighbors in ten minutes, want 6 a minute and 6", n)
	}
	if n := count(triggers, time.Minute); n < 30 {
		t.Errorf("neighbors have left %d samples for routes", n)
	}
	now += hour
	sample(2 * time.Second)
	if got := bring(triggers, hour); got != 18*time.Second {
		t.Errorf("after a sample that took 2 s: wait %v, want 18 s", got)
	}
}

// netlinkMessage writes one as it comes from the socket.
func netlinkMessage(kind, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...)
	b = append(b, body...)
	return append(b, make([]byte, rtnl.Align4(len(b))-len(b))...)
}

// What is told twice happened once, also where the kernel does not say that it replaces anything.
func TestToldTwice(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	ns := namespace{id: store.Of(1), netlink: &rtnl.Conn{}}
	ways, which := newRoutes(r.Writer, ns).(*routes), newRules(r.Writer, ns).(*rules)
	c := newChanges(r.Writer, ns, []source{ways, which}, nil, newTrigger())
	c.names = rtnl.LinkNames{Conn: &rtnl.Conn{}, ByIndex: map[int32]string{3: "d0"}}
	route := kerneltest.Message([]byte{unix.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(unix.RTA_DST, 10, 1, 2, 0), kerneltest.Attribute(unix.RTA_OIF, 3, 0, 0, 0))
	rule := kerneltest.Message([]byte{unix.AF_INET, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(rtnl.FraPriority, 5, 0, 0, 0))
	for n := range 3 {
		up := time.Hour + time.Duration(n)*time.Second
		r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		for _, of := range []*store.Source{ways.source, which.source, c.source} {
			of.Read(func() error { return nil })
		}
		if n == 1 {
			for i := range 4 {
				m := change{at: up - time.Duration(900-100*i)*time.Millisecond, kind: unix.RTM_NEWROUTE, body: route}
				c.tell(&m)
				m.kind, m.body = unix.RTM_NEWRULE, rule
				c.tell(&m)
			}
		}
		if err := r.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, view := range []string{"route_changes", "rule_changes"} {
		if got := r.rows("SELECT change, nth, round(ts - after, 3) AS later FROM " + view + " WHERE learnt = 'event'"); !cmp.Equal(got, []map[string]any{{"change": "added", "nth": int64(0), "later": 0.1}}) {
			t.Errorf("%s: %v", view, got)
		}
	}
}

// FuzzChanges takes what comes from a socket as far as the recording.
func FuzzChanges(f *testing.F) {
	route := kerneltest.Message([]byte{unix.AF_INET, 24, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(unix.RTA_DST, 10, 1, 2, 0), kerneltest.Attribute(unix.RTA_OIF, 3, 0, 0, 0))
	link := kerneltest.Message([]byte{0, 0, 1, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, kerneltest.Attribute(unix.IFLA_IFNAME, 'd', '0', 0), kerneltest.Attribute(unix.IFLA_MTU, 0, 5, 0, 0))
	address := kerneltest.Message([]byte{unix.AF_INET, 24, 0, 0, 3, 0, 0, 0}, kerneltest.Attribute(unix.IFA_LOCAL, 10, 1, 2, 3))
	neighbor := kerneltest.Message([]byte{unix.AF_INET, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 1}, kerneltest.Attribute(unix.NDA_DST, 10, 1, 2, 9))
	rule := kerneltest.Message([]byte{unix.AF_INET, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0}, kerneltest.Attribute(rtnl.FraPriority, 5, 0, 0, 0))
	f.Add(bytes.Join([][]byte{netlinkMessage(unix.RTM_NEWROUTE, 0, route), netlinkMessage(unix.RTM_DELROUTE, 0, route)}, nil))
	f.Add(bytes.Join([][]byte{netlinkMessage(unix.RTM_NEWLINK, 0, link), netlinkMessage(unix.RTM_NEWADDR, 0, address), netlinkMessage(unix.RTM_DELLINK, 0, link)}, nil))
	f.Add(bytes.Join([][]byte{netlinkMessage(unix.RTM_NEWNEIGH, 0, neighbor), netlinkMessage(unix.RTM_NEWRULE, unix.NLM_F_REPLACE, rule)}, nil))
	f.Add(netlinkMessage(unix.RTM_NEWROUTE, unix.NLM_F_APPEND, route)[:20])
	object := kerneltest.Message([]byte{unix.AF_INET, 0, 3, 0, 0, 0, 0, 0}, kerneltest.Attribute(1, 9, 0, 0, 0), kerneltest.Attribute(5, 3, 0, 0, 0))
	byObject := append(bytes.Clone(route), kerneltest.Attribute(30, 9, 0, 0, 0)...)
	f.Add(bytes.Join([][]byte{netlinkMessage(unix.RTM_NEWNEXTHOP, 0, object), netlinkMessage(unix.RTM_NEWROUTE, 0, byObject), netlinkMessage(unix.RTM_DELNEXTHOP, 0, object)}, nil))
	w, err := store.Create(f.Context(), store.Options{Path: filepath.Join(f.TempDir(), "fuzz.db"), Interval: time.Second, Boot: store.Boot{ID: "boot"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { w.Close(context.Background()) })
	ns := namespace{id: store.Of(1), netlink: &rtnl.Conn{}}
	list := sources(w, ns)
	c := newChanges(w, ns, list, nil, newTrigger())
	c.begun = true
	uptime := time.Hour
	f.Fuzz(func(t *testing.T, b []byte) {
		uptime += time.Second
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(uptime), Uptime: uptime, Awake: uptime})
		for _, s := range list[:6] {
			switch s := s.(type) { // an empty machine
			case *interfaces:
				s.source.Read(func() error { return nil })
			case *addresses:
				s.source.Read(func() error { return nil })
			case *nextHops:
				s.source.Read(func() error { return nil })
			case *neighbors:
				s.source.Read(func() error { return nil })
			case *routes:
				s.source.Read(func() error { return nil })
			case *rules:
				s.source.Read(func() error { return nil })
			}
		}
		c.queue = queue{seed: c.queue.seed}
		c.queue.take(bytes.Clone(b), uptime-time.Millisecond, 0)
		if len(c.queue.messages) > queueLength || c.queue.size > queueSize {
			t.Errorf("%d messages of %d bytes", len(c.queue.messages), c.queue.size)
		}
		c.names = rtnl.LinkNames{Conn: &rtnl.Conn{}, ByIndex: map[int32]string{}}
		for index := range int32(256) {
			c.names.ByIndex[index] = "if"
		}
		for i := range c.queue.messages {
			c.tell(&c.queue.messages[i])
		}
		if err := c.settle(); err != nil {
			t.Error(err)
		}
	})
}
