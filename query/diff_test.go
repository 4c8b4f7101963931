package query

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
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

// Of the firewall it tells which tables came, went and changed; and where the rules were recorded, which lines.
func TestDiffOfFirewall(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("firewall")
	tables, texts := store.NewSet(source, store.Firewalls), store.NewSet(source, store.FirewallTexts)
	put := func(name string, rules int, hash, policy, rest, note string) {
		id := store.FirewallID{NetNS: store.Of(1), Backend: "nf_tables", Family: "ip", Table: name}
		tables.Put(id, store.Firewall{Chains: store.Of(1), Rules: store.Of(rules), Sets: store.Of(0), BaseChains: "c filter hook input priority 0 policy " + policy, Hash: hash})
		switch {
		case note != "":
			texts.Put(id, store.FirewallText{Note: note})
		case rest != "":
			text := "table ip " + name + " {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\n\tchain c {\n" + rest + "\t}\n\n\tchain d {\n\t\taccept\n\t}\n}\n"
			texts.Put(id, store.FirewallText{Text: text, Bytes: store.Of(len(text))})
		}
	}
	const a, b, c = "\t\ttcp dport 22 accept\n", "\t\ttcp dport { 22, 80 } accept comment \"a, b\"\n", "\t\tudp dport 53 drop\n"
	for _, fill := range []func(){
		func() {
			put("same", 2, "1", "accept", a+b, "")
			put("changed", 2, "1", "accept", a+b, "")
			put("gone", 1, "1", "accept", a, "")
			put("lost", 1, "1", "accept", a, "")
			put("unknown", 1, "1", "accept", "", "nft is not installed")
			put("off", 1, "1", "accept", "", "")
			put("unrecorded", 1, "1", "accept", a, "")
		},
		func() {
			put("same", 2, "1", "accept", a+b, "")
			put("changed", 3, "2", "drop", a+c+c, "")
			put("come", 1, "1", "accept", c, "")
			put("lost", 1, "1", "accept", "", "nft took longer than 1s")
			put("unknown", 1, "1", "accept", "", "nft is not installed")
			put("off", 1, "1", "accept", "", "")
			put("unrecorded", 1, "1", "accept", "", "")
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
	out, notes := said(t, openRecording(t, d.path), ".mode json", ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
	var rows []struct{ Object, Event, What, Was, Now string }
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatalf("%v: %s%s", err, out, notes)
	}
	got := map[string][2]string{}
	for _, row := range rows {
		if row.Object == "firewall" {
			got[row.Event+" "+row.What] = [2]string{row.Was, row.Now}
		}
	}
	const counts = "base_chains=c filter hook input priority 0 policy accept chains=1 rules=1 rules_hash=1 sets=0"
	want := map[string][2]string{
		"changed ip changed":          {"base_chains=c filter hook input priority 0 policy accept rules=2 rules_hash=1", "base_chains=c filter hook input priority 0 policy drop rules=3 rules_hash=2"},
		"removed ip gone":             {counts, ""},
		"added ip come":               {"", counts},
		"changed rules of ip changed": {`chain c: tcp dport { 22, 80 } accept comment "a, b"`, "chain c: udp dport 53 drop\nchain c: udp dport 53 drop"},
		"removed rules of ip gone":    {"set s\nset s: type ipv4_addr\nchain c\nchain c: tcp dport 22 accept\nchain d\nchain d: accept", ""},
		"added rules of ip come":      {"", "set s\nset s: type ipv4_addr\nchain c\nchain c: udp dport 53 drop\nchain d\nchain d: accept"},
		"changed rules of ip lost":    {"108 bytes", "not known: nft took longer than 1s"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, notes)
	}
	// The text comes out of every format as it was recorded.
	r := openRecording(t, d.path)
	out, _ = said(t, r, "SELECT text FROM firewall_text_now WHERE table_name = 'changed';")
	records, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	text := "table ip changed {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\n\tchain c {\n" + a + c + c + "\t}\n\n\tchain d {\n\t\taccept\n\t}\n}\n"
	if err != nil || len(records) != 2 || records[1][0] != text {
		t.Errorf("as CSV: %q, %v", records, err)
	}
	out, _ = said(t, r, ".at '2026-03-14 01:00:10.2'", "SELECT text FROM firewall_text WHERE ts = at() AND table_name = 'changed';")
	if records, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil || len(records) != 2 || !strings.Contains(records[1][0], b) {
		t.Errorf("at the first sample: %q, %v", records, err)
	}
	out, _ = said(t, r, ".describe firewall_text text")
	if !strings.Contains(out, "nft -s -t list ruleset") {
		t.Errorf("described: %s", out)
	}
}

// What is in both texts is left out, in the order that leaves out the most; and long lists are cut, which is said.
func TestLinesApart(t *testing.T) {
	t.Parallel()
	text := func(lines ...string) string {
		return "table ip t {\n\tchain c {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n}\n"
	}
	many := func(n, from int) (lines []string) {
		for i := range n {
			lines = append(lines, "rule "+strconv.Itoa(from+i))
		}
		return lines
	}
	for _, c := range []struct{ old, new, was, now string }{
		{text("a", "b", "c"), text("a", "b", "c"), "", ""},
		{text("a", "b", "c"), text("a", "c"), "chain c: b", ""},
		{text("a", "c"), text("a", "b", "c"), "", "chain c: b"},
		{text("a", "b", "c", "d"), text("a", "x", "c", "y", "d"), "chain c: b", "chain c: x\nchain c: y"},
		{text("a", "b"), text("b", "a"), "chain c: a", "chain c: a"},
		{text("a", "a"), text("a"), "chain c: a", ""},
		{"table ip t {\n}\n", text("a"), "", "chain c\nchain c: a"},
		{"table ip t {\n\tflags owner\n}\n", "table ip t {\n}\n", "flags owner", ""},
		// An element of a list that nft breaks into lines.
		{text("x {", "\ty,", "}", "z"), text("x {", "\tw,", "}", "z"), "chain c: y,", "chain c: w,"},
		{text(many(50, 0)...), text("rule"), "chain c: " + strings.Join(many(50, 0), "\nchain c: "), "chain c: rule"},
		{text(many(52, 0)...), text("rule"), "chain c: " + strings.Join(many(50, 0), "\nchain c: ") + "\nand 2 more lines", "chain c: rule"},
	} {
		if was, now := linesApart(c.old, c.new); was != c.was || now != c.now {
			t.Errorf("%q and %q: %q, %q", c.old, c.new, was, now)
		}
	}
	// Too many to compare line by line.
	was, now := linesApart(text(many(3000, 0)...), text(many(3000, 5000)...))
	if !strings.HasSuffix(was, "and 2950 more lines") || !strings.HasSuffix(now, "and 2950 more lines") {
		t.Errorf("many: %.100s, %.100s", was, now)
	}
}

// What the driver says of an interface is compared with the rest of it.
func TestDiffOfDrivers(t *testing.T) {
	t.Parallel()
	as := func(v store.Interface) func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {
		return func(_ *store.Source, interfaces *store.Set[store.InterfaceID, store.Interface]) {
			interfaces.Put(store.InterfaceID{NetNS: store.Of(1), IfIndex: store.Of(2), Name: "eth0"}, v)
		}
	}
	was := store.Interface{Driver: "ixgbe", DriverVersion: "5.1", Firmware: "1.9", Bus: "0000:01:00.0", Autoneg: "on",
		RxRing: store.Of(512), RxRingMax: store.Of(4096), TxRing: store.Of(513), TxRingMax: store.Of(4097), Channels: store.Of(8)}
	for column, change := range map[string]func(v *store.Interface) (was, now string){
		"driver":         func(v *store.Interface) (string, string) { v.Driver = "vfio"; return "ixgbe", "vfio" },
		"driver_version": func(v *store.Interface) (string, string) { v.DriverVersion = "5.2"; return "5.1", "5.2" },
		"firmware":       func(v *store.Interface) (string, string) { v.Firmware = "2.0"; return "1.9", "2.0" },
		"bus": func(v *store.Interface) (string, string) {
			v.Bus = "0000:02:00.0"
			return "0000:01:00.0", "0000:02:00.0"
		},
		"autoneg":     func(v *store.Interface) (string, string) { v.Autoneg = "off"; return "on", "off" },
		"rx_ring":     func(v *store.Interface) (string, string) { v.RxRing = store.Of(1024); return "512", "1024" },
		"rx_ring_max": func(v *store.Interface) (string, string) { v.RxRingMax = store.Of(8192); return "4096", "8192" },
		"tx_ring":     func(v *store.Interface) (string, string) { v.TxRing = store.Of(1025); return "513", "1025" },
		"tx_ring_max": func(v *store.Interface) (string, string) { v.TxRingMax = store.Of(8193); return "4097", "8193" },
		"channels":    func(v *store.Interface) (string, string) { v.Channels = store.Of(4); return "8", "4" },
	} {
		now := was
		old, new := change(&now)
		out, _ := said(t, twoSamples(t, as(was), as(now)), ".mode json", ".diff '2026-03-14 01:00:10.2' '2026-03-14 01:00:20.2'")
		var rows []struct{ Object, Event, What, Was, Now string }
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		rows = slices.DeleteFunc(rows, func(row struct{ Object, Event, What, Was, Now string }) bool { return row.Object != "interface" })
		want := []struct{ Object, Event, What, Was, Now string }{{"interface", "changed", "eth0", column + "=" + old, column + "=" + new}}
		if diff := cmp.Diff(want, rows); diff != "" {
			t.Errorf("%s (-want +got):\n%s", column, diff)
		}
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

// .around tells of the firewall what was done, and by whom; and the culprit of a change is not summed up with that of another.
func TestAroundTellsOfTheFirewall(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	source := d.w.Source("firewall")
	tables := store.NewSet(source, store.Firewalls)
	events := store.NewEvents(source, store.FirewallEvents, tables, nil)
	id := store.FirewallID{NetNS: store.Of(1), Backend: "nf_tables", Family: "ip", Table: "filter"}
	as := func(rules int) store.Firewall {
		return store.Firewall{Chains: store.Of(1), Rules: store.Of(rules), Hash: strconv.Itoa(rules)}
	}
	for rules := 1; rules <= 3; rules++ {
		d.wall, d.uptime = d.wall.Add(10*time.Second), d.uptime+10*time.Second
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		source.Read(func() error {
			tables.Put(id, as(rules))
			if rules > 1 {
				events.TellBy(d.uptime-4*time.Second, 0, id, as(rules), true, store.Actor{PID: store.Of(4000 + rules), Comm: "nft" + strconv.Itoa(rules), Detail: "1 rule added in input"})
			}
			return events.Settle()
		})
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	r := openRecording(t, d.path)
	out, notes := said(t, r, ".mode json", ".around '2026-03-14 01:00:25' 10s")
	var rows []map[string]any
	first, _, _ := strings.Cut(out, "]\n") // of its tables
	if err := json.Unmarshal([]byte(first+"]"), &rows); err != nil {
		t.Fatalf("%v: %s%s", err, out, notes)
	}
	var got []string
	for _, row := range rows {
		if text(row["object"]) == "firewall" {
			got = append(got, strings.Join([]string{text(row["event"]), text(row["what"]), text(row["was"]), text(row["now"]), text(row["pid"]), text(row["comm"])}, "; "))
		}
	}
	want := []string{
		"changed; ip filter: 1 rule added in input; rules=1 rules_hash=1; rules=2 rules_hash=2; 4002; nft2",
		"changed; ip filter: 1 rule added in input; rules=2 rules_hash=2; rules=3 rules_hash=3; 4003; nft3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s%s", diff, out, notes)
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
