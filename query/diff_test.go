package query

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// twoSamples records two samples, what first and last put into them, ten seconds apart, and opens the recording.
func twoSamples(t *testing.T, first, last func(s *store.Source, interfaces *store.Set[store.InterfaceID, store.Interface])) *Recording {
	t.Helper()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("interfaces")
	interfaces := store.NewSet(source, store.Interfaces)
	for _, put := range []func(*store.Source, *store.Set[store.InterfaceID, store.Interface]){first, last} {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error { put(source, interfaces); return nil })
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	return openRecording(t, d.path)
}

// said runs statements and dot-commands, and returns what they print and what they note.
func said(t *testing.T, r *Recording, statements ...string) (out, notes string) {
	t.Helper()
	var printed, noted bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &printed, Err: &noted, Mode: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, statement := range statements {
		if err := s.Script(t.Context(), statement); err != nil {
			noted.WriteString("error: " + err.Error() + "\n")
		}
	}
	return strings.ReplaceAll(printed.String(), "\r\n", "\n"), noted.String()
}

// What moves by itself is no difference: a link that flapped is as it was. What was set is one, with what it was and what it is, and nothing else.
func TestDiffLeavesOutWhatMoves(t *testing.T) {
	t.Parallel()
	eth := store.InterfaceID{NetNS: store.Of(1), IfIndex: store.Of(2), Name: "eth0"}
	as := func(mtu, flaps int) func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {
		return func(_ *store.Source, interfaces *store.Set[store.InterfaceID, store.Interface]) {
			interfaces.Put(eth, store.Interface{MTU: store.Of(mtu), OperState: "UP", CarrierUp: store.Of(flaps), LinkFailures: store.Of(flaps)})
		}
	}
	moments := " '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'"
	out, notes := said(t, twoSamples(t, as(1500, 1), as(1500, 7)), ".diff"+moments)
	if strings.Contains(out, "eth0") || !strings.Contains(notes, "nothing differs but counters and ages") {
		t.Errorf("a link that flapped:\n%s%s", out, notes)
	}
	out, _ = said(t, twoSamples(t, as(1500, 1), as(9000, 7)), ".diff"+moments)
	row := ""
	for line := range strings.Lines(out) {
		if strings.Contains(line, "eth0") {
			row += line
		}
	}
	if !strings.Contains(row, "changed") || !strings.Contains(row, "mtu=1500") || !strings.Contains(row, "mtu=9000") || strings.Contains(row, "carrier") || strings.Contains(row, "UP") {
		t.Errorf("an MTU that was set:\n%s", out)
	}
}

// Queueing disciplines that somebody set up came, went and changed; that they sent is no difference, and the kernel's own are none.
func TestDiffOfQdiscs(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("qdiscs")
	qdiscs := store.NewSet(source, store.Qdiscs)
	put := func(dev, handle, kind string, n int) {
		qdiscs.Put(store.QdiscID{NetNS: store.Of(1), Dev: dev, IfIndex: store.Of(2), Handle: handle, Parent: "root"}, store.Qdisc{
			Kind: kind, Bytes: store.Of(n), Packets: store.Of(n), Dropped: store.Of(n), Overlimits: store.Of(n), Requeues: store.Of(n), Backlog: store.Of(n), QLen: store.Of(n)})
	}
	for _, fill := range []func(){
		func() {
			put("eth0", "1:", "tbf", 1)
			put("eth1", "2:", "sfq", 1)
			put("eth2", "0:", "pfifo_fast", 1)
			put("eth3", "3:", "fq", 1)
		},
		func() {
			put("eth0", "1:", "pfifo", 2)
			put("eth1", "2:", "sfq", 2)
			put("eth4", "0:", "mq", 2)
			put("eth5", "5:", "fq", 2)
		},
	} {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error { fill(); return nil })
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	out, notes := said(t, openRecording(t, d.path), ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
	var got []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "qdisc") {
			_, line, _ = strings.Cut(line, "qdisc")
			got = append(got, strings.Trim(strings.ReplaceAll(line, ",", " "), " \n"))
		}
	}
	slices.Sort(got)
	want := []string{"added 5: dev eth5 parent root  kind=fq 1", "changed 1: dev eth0 parent root kind=tbf kind=pfifo 1", "removed 3: dev eth3 parent root kind=fq  1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s%s", diff, out, notes)
	}
}

// A path whose MTU fell is told of, and not that the kernel will forget it later than it was going to.
func TestDiffOfPathMTUs(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("routes")
	learnt := store.NewSet(source, store.RouteExceptions)
	put := func(dst string, mtu int, expires float64) {
		learnt.Put(store.RouteExceptionID{NetNS: store.Of(1), Family: store.Of(4), TableID: store.Of(254), Dst: dst, Gateway: "10.0.0.1", Dev: "eth0"},
			store.RouteException{MTU: store.Of(mtu), Expires: expires})
	}
	for _, fill := range []func(){
		func() { put("10.0.1.1", 1400, 2e9); put("10.0.1.2", 1400, 2e9); put("10.0.1.3", 1400, 2e9) },
		func() { put("10.0.1.1", 1300, 2e9); put("10.0.1.3", 1400, 2e9+500); put("10.0.1.4", 1280, 2e9) },
	} {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error { fill(); return nil })
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	out, notes := said(t, openRecording(t, d.path), ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
	var got []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "path MTU") {
			got = append(got, strings.Trim(strings.ReplaceAll(line, ",", " "), " \n"))
		}
	}
	slices.Sort(got)
	want := []string{
		"path added path MTU to 10.0.1.4 via 10.0.0.1 dev eth0  mtu=1280 1",
		"path changed path MTU to 10.0.1.1 via 10.0.0.1 dev eth0 mtu=1400 mtu=1300 1",
		"path removed path MTU to 10.0.1.2 via 10.0.0.1 dev eth0 mtu=1400  1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s%s", diff, out, notes)
	}
}

// Multicast groups that programs joined and left are differences, and those that the kernel joins by itself are none.
func TestDiffOfMulticastGroups(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("multicast_groups")
	groups := store.NewSet(source, store.MulticastGroups)
	put := func(users int, addrs ...string) {
		for _, addr := range addrs {
			groups.Put(store.MulticastGroupID{NetNS: store.Of(1), Dev: "eth0", IfIndex: store.Of(2), Addr: addr}, store.MulticastGroup{Users: store.Of(users)})
		}
	}
	for _, fill := range []func(){
		func() { put(1, "239.1.1.1", "ff02::fb", "ff02::1:ff00:1", "224.0.0.1", "ff02::1", "ff01::1") },
		func() {
			put(2, "239.1.1.1", "224.0.0.1")
			put(1, "239.1.1.2", "ff02::1:ff00:2", "ff02::2", "ff01::2", "ff05::2")
		},
	} {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error { fill(); return nil })
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	out, notes := said(t, openRecording(t, d.path), ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
	var got []string
	for line := range strings.Lines(out) {
		if _, line, ok := strings.Cut(line, "multicast"); ok {
			got = append(got, strings.Trim(strings.ReplaceAll(line, ",", " "), " \n"))
		}
	}
	slices.Sort(got)
	want := []string{"added 239.1.1.2 dev eth0  users=1 1", "changed 239.1.1.1 dev eth0 users=1 users=2 1", "removed ff02::fb dev eth0 users=1  1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s%s", diff, out, notes)
	}
}

// A UDP socket that is not connected is a listener, but where its port is one that the kernel of its namespace gives out by itself.
func TestDiffTellsListenersFromClients(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("udp4")
	sockets, settings := store.NewSet(source, store.Sockets), store.NewSet(source, store.Settings)
	for n := range 2 {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error {
			settings.Put(store.SettingID{NetNS: store.Of(1), Name: "net.ipv4.ip_local_port_range"}, store.Setting{Value: "40000 40999"})
			for i, port := range []int{5353, 39999, 40000, 40999, 41000} {
				for netns := range 2 * n {
					sockets.Put(store.SocketID{NetNS: store.Of(netns + 1), Proto: "udp", Family: store.Of(4), LocalAddr: "0.0.0.0", LocalPort: store.Of(port), RemoteAddr: "0.0.0.0",
						RemotePort: store.Of(0), Cookie: store.Of(10*netns + i + 1)}, store.Socket{State: "CLOSE", OwnerHow: "none"})
				}
			}
			return nil
		})
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	out, notes := said(t, openRecording(t, d.path), ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
	for port, listeners := range map[string]int{":5353": 2, ":39999": 2, ":40000": 1, ":40999": 1, ":41000": 2} {
		n := 0
		for line := range strings.Lines(out) {
			if strings.Contains(line, "listener") && strings.Contains(line, port) {
				n++
			}
		}
		if n != listeners {
			t.Errorf("%d listeners at %s, want %d\n%s%s", n, port, listeners, out, notes)
		}
	}
}

// Of a time without samples .around says what there is. After it the window of the user is as it was.
func TestAroundOutsideTheRecording(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	d.stop()
	r := openRecording(t, d.path)
	for _, at := range []string{"2026-03-14 00:10", "2026-03-14 04:00"} {
		out, notes := said(t, r, ".around '"+at+"' 5m")
		if out != "" || !strings.Contains(notes, "error: nothing is known of 2026-03-14 0") || !strings.Contains(notes, "the recording goes from 2026-03-14 01:00:05") {
			t.Errorf("%s: %s%s", at, out, notes)
		}
	}
	if _, notes := said(t, r, ".around '2199-01-01 00:00'"); !strings.Contains(notes, "in the future") {
		t.Errorf("the future: %s", notes)
	}
	if err := r.SetWindow(t.Context(), began.Add(time.Minute), began.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	said(t, r, ".around '2026-03-14 01:03' 20s")
	since, until, _, err := r.Window(t.Context())
	if err != nil || !since.Equal(began.Add(time.Minute)) || !until.Equal(began.Add(2*time.Minute)) {
		t.Errorf("the window is %v to %v after .around, %v", since, until, err)
	}
}

// What .around shows lies within its span, on both sides.
func TestAroundKeepsToItsSpan(t *testing.T) {
	t.Parallel()
	d := eventful(t)
	d.stop()
	r := openRecording(t, d.path)
	out, _ := said(t, r, ".times unix", ".around '2026-03-14 01:03' 30s")
	moment := unixSeconds(time.Date(2026, 3, 14, 1, 3, 0, 0, time.Local))
	before, after := 0, 0
	for line := range strings.Lines(out) {
		text, _, _ := strings.Cut(line, ",")
		ts, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue // the names of the columns
		}
		switch {
		case ts < moment-30 || ts > moment+30:
			t.Errorf("%g s from the moment: %s", ts-moment, line)
		case ts < moment:
			before++
		default:
			after++
		}
	}
	if before < 5 || after < 5 {
		t.Errorf("%d lines before the moment and %d after", before, after)
	}
}

// What is alike in two network namespaces is summed up in each: a sum of both would stand under the name of one.
func TestSumUpKeepsNamespacesApart(t *testing.T) {
	t.Parallel()
	var all []happening
	for i := range 8 {
		all = append(all, happening{ts: float64(i), object: "socket", event: "opened", comm: "webd", pid: int64(7), count: 1, now: "ESTABLISHED",
			what: "tcp 10.0.0.5:443 ↔ 10.0.7.9:51712", netns: int64(1 + i%2)})
	}
	sums := map[any]int64{}
	for _, h := range sumUp(all) {
		sums[h.netns] += h.count
	}
	if len(sums) != 2 || sums[int64(1)] != 4 || sums[int64(2)] != 4 {
		t.Errorf("sockets by namespace: %v, want 4 in each", sums)
	}
	// Where there are too many to read through, all namespaces go together, and none of them is named.
	all = nil
	for i := range 3 * aroundRows {
		all = append(all, happening{ts: float64(i), object: "socket", event: "opened", comm: "webd", pid: int64(7), count: 1, now: "ESTABLISHED",
			what: "tcp 10.0.0.5:443 ↔ 10.0.7.9:51712", netns: int64(i)})
	}
	summed := sumUp(all)
	if len(summed) != 1 || summed[0].netns != nil || summed[0].count != 3*aroundRows {
		t.Errorf("of %d namespaces: %+v", 3*aroundRows, summed)
	}
}
