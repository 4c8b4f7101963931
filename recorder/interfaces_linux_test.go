package recorder

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// number makes ip's JSON number what the recording gives.
func number(t *testing.T, v any) any {
	t.Helper()
	n, ok := v.(json.Number)
	if !ok {
		return v
	}
	i, err := n.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// ipLinks lists the links as ip and sysfs know them, in the words of the recording.
func ipLinks(t *testing.T) []map[string]any {
	t.Helper()
	var links []map[string]any
	for _, m := range ipJSON(t, "-d link") {
		name := text(m["ifname"])
		link := map[string]any{
			"ifindex": number(t, m["ifindex"]), "name": name, "mac": m["address"], "mtu": number(t, m["mtu"]),
			"operstate": m["operstate"], "master": m["master"], "qdisc": m["qdisc"], "txqlen": number(t, m["txqlen"]),
			"alias": m["ifalias"], "type": m["link_type"], "flags": ipFlags(m["flags"]),
			"speed_mbps": sysfsNumber(t, name, "speed"), "carrier": sysfsNumber(t, name, "carrier"),
			"duplex": sysfsWord(name, "duplex"), "member_state": nil, "tunnel": nil,
		}
		if info, ok := m["linkinfo"].(map[string]any); ok && info["info_kind"] != nil {
			link["type"] = info["info_kind"]
		}
		if info, ok := m["linkinfo"].(map[string]any); ok {
			if port, ok := info["info_slave_data"].(map[string]any); ok {
				link["member_state"] = port["state"]
			}
			if data, ok := info["info_data"].(map[string]any); ok && info["info_kind"] == "vxlan" {
				link["tunnel"] = fmt.Sprintf("id %v remote %v local %v dstport %v", data["id"], data["remote"], data["local"], data["port"])
			}
		}
		links = append(links, link)
	}
	return links
}

// sysfsWord reads a file of /sys/class/net; there is nothing in some while the link is down.
func sysfsWord(link, file string) any {
	b, err := os.ReadFile(filepath.Join("/sys/class/net", link, file))
	if word := strings.TrimSpace(string(b)); err == nil && word != "unknown" {
		return word
	}
	return nil
}

func sysfsNumber(t *testing.T, link, file string) any {
	t.Helper()
	word, ok := sysfsWord(link, file).(string)
	if !ok || word == "-1" {
		return nil
	}
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestInterfaces(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	// sysfs shows the network namespace it was mounted in.
	if out, err := exec.Command("mount", "-t", "sysfs", "sysfs", "/sys").CombinedOutput(); err != nil {
		kerneltest.NeedKernel(t, fmt.Sprintf("no sysfs of the namespace: %v: %s", err, out))
	}
	links(t, "d0", "v0")
	for _, line := range []string{
		"link add br0 type bridge", "link set br0 up", "link set v0 master br0",
		"link set d0 alias to-the-lab", "link set d0 txqueuelen 77", "link set d0p mtu 9000",
		"link add idle0 type bridge", "link set d0 promisc on", "link set lo mtu 30000",
		"link add x0 type vxlan id 42 remote 10.0.0.2 local 10.0.0.1 dstport 4789",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newInterfaces(r.Writer, here(t))
	const columns = "ifindex, name, type, mac, mtu, operstate, carrier, speed_mbps, duplex, master, qdisc, txqlen, alias, flags, member_state, tunnel"
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []map[string]any { return ipLinks(t) }, func() []map[string]any {
			rows := r.rows("SELECT " + columns + " FROM interfaces_now ORDER BY ifindex")
			for _, row := range rows {
				flags := strings.Split(text(row["flags"]), ",")
				slices.Sort(flags)
				row["flags"] = strings.Join(flags, ",")
			}
			return rows
		})
		if got := r.outcome("interfaces"); got != "read" {
			t.Fatalf("%s: outcome %s", when, got)
		}
		checkCounters(t, r, when)
	}
	eventually(t, "the bridge has carrier", func() bool { return strings.Contains(kerneltest.Command(t, "ip", "link", "show", "br0"), "state UP") })
	check("at first")
	for _, where := range []string{
		"name = 'lo' AND type = 'loopback' AND mtu = 30000", "name = 'v0' AND type = 'veth' AND master = 'br0' AND member_state = 'forwarding'",
		"name = 'x0' AND type = 'vxlan' AND tunnel = 'id 42 remote 10.0.0.2 local 10.0.0.1 dstport 4789' AND vlan_id IS NULL AND vrf_table IS NULL AND link_failures IS NULL",
		"name = 'd0' AND alias = 'to-the-lab' AND txqlen = 77 AND flags LIKE '%PROMISC%' AND speed_mbps = 10000 AND duplex = 'full'",
		"name = 'br0' AND type = 'bridge' AND operstate = 'UP'",
		"name = 'idle0' AND type = 'bridge' AND operstate = 'DOWN' AND flags NOT LIKE '%UP%'",
	} {
		if got := r.rows("SELECT 1 FROM interfaces_now WHERE " + where); len(got) != 1 {
			t.Errorf("%s: %d rows, want 1", where, len(got))
		}
	}
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "addr add 127.0.0.9/32 dev lo")
	check("addresses added")
	ip(t, "link set br0 down")
	ip(t, "link set br0 name br1") // the master of v0, too, is another now
	ip(t, "link set lo alias home")
	ip(t, "link set x0 type vxlan remote 10.0.0.3")
	ip(t, "link set d0p down") // d0 loses its carrier and its speed
	check("changed")
	ip(t, "link set d0p up")
	check("carrier back")
	ip(t, "link del v0")
	check("deleted")
	links(t, "v0")
	check("made again")
	if got := r.rows("SELECT DISTINCT ifindex FROM interfaces WHERE name = 'v0'"); len(got) != 2 {
		t.Errorf("%d interfaces had the name v0, want 2", len(got))
	}
}

// ipFlags are the flags in the words of the recording: ip says NO-CARRIER where RUNNING is
// missing, and M-DOWN of the other end.
func ipFlags(v any) string {
	var flags []string
	running := true
	for _, flag := range v.([]any) {
		switch flag {
		case "NO-CARRIER":
			running = false
		case "M-DOWN":
		default:
			flags = append(flags, text(flag))
		}
	}
	if running && slices.Contains(flags, "UP") {
		flags = append(flags, "RUNNING")
	}
	slices.Sort(flags)
	return strings.Join(flags, ",")
}

// checkCounters compares with what sysfs says of the counters, each of them a file.
func checkCounters(t *testing.T, r *testRecording, when string) {
	t.Helper()
	for _, row := range r.rows("SELECT * FROM interface_counters_now") {
		name := row["name"].(string)
		for _, c := range store.InterfaceCountersTable.Counters() {
			if c.Name == "rx_otherhost_dropped" {
				if row[c.Name] == nil {
					t.Errorf("%s: %s of %s is unknown on this kernel", when, c.Name, name)
				}
				continue // has no file
			}
			want := sysfsNumber(t, name, filepath.Join("statistics", c.Name))
			// What the kernel itself sends meanwhile may come on top.
			if got, n := row[c.Name].(int64), want.(int64); got > n || n-got > 5000 {
				t.Errorf("%s: %s of %s is %d, sysfs says %d", when, c.Name, name, got, n)
			}
		}
	}
}

// TestInterfaceCounters: traffic of a known size appears, on the right side.
func TestInterfaceCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t)
	r := newRecording(t)
	src := newInterfaces(r.Writer, here(t))
	r.sample(src)
	const packets, size = 50, 1000
	sendUDP(t, "127.0.0.1:9", packets, size)
	r.sample(src)
	got := r.rows("SELECT rx_packets, tx_packets, rx_bytes, tx_bytes FROM interface_counters_now WHERE name = 'lo'")[0]
	before := r.rows("SELECT rx_packets, tx_packets, rx_bytes, tx_bytes FROM interface_counters WHERE name = 'lo' ORDER BY ts LIMIT 1")[0]
	for column, least := range map[string]int64{"rx_packets": packets, "tx_packets": packets, "rx_bytes": packets * size, "tx_bytes": packets * size} {
		// The ICMP answers (nobody listens on the port) come on top, a few of them.
		if grown := got[column].(int64) - before[column].(int64); grown < least || grown > 2*least {
			t.Errorf("%s grew by %d, want %d or a little more", column, grown, least)
		}
	}
}

// TestCountersOf decodes a struct of which no two fields are equal, and compares with the
// library's decoding by name. Older kernels give a shorter one.
func TestCountersOf(t *testing.T) {
	const fields = 25
	var b []byte
	for i := range uint64(fields) {
		b = binary.NativeEndian.AppendUint64(b, 1000+i)
	}
	var library netlink.LinkStatistics64
	if _, err := binary.Decode(b, binary.NativeEndian, &library); err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{"rx_nohandler": 1023, "rx_otherhost_dropped": 1024} // later than the library
	capital := regexp.MustCompile(`[A-Z]`)
	for i := range reflect.TypeFor[netlink.LinkStatistics64]().NumField() {
		name := capital.ReplaceAllStringFunc(reflect.TypeOf(library).Field(i).Name, func(c string) string { return "_" + strings.ToLower(c) })
		want[strings.TrimPrefix(name, "_")] = int64(reflect.ValueOf(library).Field(i).Uint())
	}
	for _, known := range []int{fields, 24, 23, 1, 0} {
		c := countersOf(b[:8*known])
		got := map[string]int64{}
		for i := range reflect.TypeOf(c).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(c).Field(i).Tag.Get("col"), ",")
			if n, ok := reflect.ValueOf(c).Field(i).Interface().(store.Int).Get(); ok {
				got[name] = n
			}
		}
		shorter := maps.Clone(want)
		maps.DeleteFunc(shorter, func(_ string, n int64) bool { return n >= 1000+int64(known) })
		if diff := cmp.Diff(shorter, got); diff != "" {
			t.Errorf("%d fields (-library +ours):\n%s", known, diff)
		}
	}
}

// TestInterfacesWhileTheyChange: a dump that a change interrupted may miss links; it is
// asked for again, or fails. A good sample has all that were there throughout.
func TestInterfacesWhileTheyChange(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	const stable = 200
	var build, churn strings.Builder
	for i := range stable / 2 {
		fmt.Fprintf(&build, "link add s%d type veth peer name t%d\n", i, i)
	}
	for range 100 {
		churn.WriteString("link add x type veth peer name y\nlink del x\n")
	}
	batch := func(lines string) *exec.Cmd {
		cmd := exec.Command("ip", "-batch", "-")
		cmd.Stdin = strings.NewReader(lines)
		return cmd
	}
	links(t)
	if out, err := batch(build.String()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	background := batch(churn.String())
	if err := background.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- background.Wait() }()
	r := newRecording(t)
	src := newInterfaces(r.Writer, here(t))
	good := 0
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running = false
		default:
		}
		r.sample(src)
		switch got := r.outcome("interfaces"); {
		case got == "read":
			good++
			if n := r.rows("SELECT count(*) AS n FROM interfaces_now WHERE name GLOB '[st][0-9]*'")[0]["n"]; n != int64(stable) {
				t.Fatalf("a good sample has %v links of the %d that stay", n, stable)
			}
		case !strings.Contains(got, "incomplete"):
			t.Fatal(got)
		}
	}
	samples := r.rows("SELECT count(*) AS n FROM samples")[0]["n"]
	t.Logf("%d of %v samples were good", good, samples)
	if good == 0 {
		t.Error("no sample was good")
	}
}

func FuzzLink(f *testing.F) {
	header := []byte{0, 0, 1, 0, 2, 0, 0, 0, 0x43, 0x10, 0, 0, 0, 0, 0, 0}
	f.Add(kerneltest.Message(header, kerneltest.Attribute(unix.IFLA_IFNAME, 'e', 't', 'h', '0', 0), kerneltest.Attribute(unix.IFLA_STATS64, make([]byte, 184)...),
		kerneltest.Attribute(unix.IFLA_LINKINFO, kerneltest.Attribute(unix.IFLA_INFO_KIND, 'v', 'e', 't', 'h')...)))
	f.Add(kerneltest.Message(header, kerneltest.Attribute(unix.IFLA_IFNAME, 0), []byte{9, 0, 1, 0, 1, 2, 3, 4, 5}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		l, err := rtnl.ParseLink(msg)
		if err != nil {
			return
		}
		id, v := linkRow(&l, store.Of(1), "", &linkDriver{})
		if id.Name == "" || v.Type == "" || strings.ContainsRune(id.Name, 0) {
			t.Errorf("%+v %+v", id, v)
		}
		// As many counters are known as the kernel gave.
		c := countersOf(l.Stats)
		if known := c.RxOtherHost != (store.Int{}); known != (len(l.Stats) >= 25*8) {
			t.Errorf("%d bytes of counters, the last one known: %v", len(l.Stats), known)
		}
	})
}

func FuzzDriver(f *testing.F) {
	f.Add(make([]byte, sizeofEthtoolDrvinfo), true)
	f.Add(append([]byte("\x00\x00\x00\x00"), bytes.Repeat([]byte("v\xff\x1b[31m x"), 30)...), true)
	f.Fuzz(func(t *testing.T, b []byte, up bool) {
		var d linkDriver
		d.parseSettings(b, up)
		d.parseInfo(b, "6.18")
		d.parseRings(b)
		d.parseChannels(b)
		if mbps, ok := d.mbps.Get(); ok && (!up || mbps <= 0 || mbps >= 1<<32-1) {
			t.Errorf("speed %d, up %v", mbps, up)
		}
		for _, n := range []store.Int{d.rxRingMax, d.txRingMax} {
			if v, ok := n.Get(); ok && v <= 0 {
				t.Errorf("a ring of %d at the most", v)
			}
		}
		if (d.rxRing == store.Int{}) != (d.rxRingMax == store.Int{}) || (d.txRing == store.Int{}) != (d.txRingMax == store.Int{}) {
			t.Errorf("a ring without the most it may be: %+v", d)
		}
		for _, text := range []string{d.name, d.version, d.firmware, d.bus} {
			if !shows(text) || text == "N/A" {
				t.Errorf("%q", text)
			}
		}
	})
}

// shows reports whether a terminal can take the text as it is.
func shows(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) && strings.TrimSpace(text) == text
}

// BenchmarkInterfaces samples 1,000 veth pairs.
func BenchmarkInterfaces(b *testing.B) {
	if !benchInNamespace(b) {
		return
	}
	var batch strings.Builder
	batch.WriteString("link set lo up\n")
	for i := range 1000 {
		fmt.Fprintf(&batch, "link add d%d type veth peer name p%d\nlink set d%d up\nlink set p%d up\n", i, i, i, i)
	}
	ipBatch(b, batch.String())
	b.Run("links=2001", func(b *testing.B) { benchSource(b, newInterfaces, func(int) {}) })
}

// Who listens to everything, and what lies below, as ip -d tells.
func TestInterfaceRelations(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	kerneltest.Command(t, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
	kerneltest.Command(t, "ip", "link", "set", "v0", "up", "promisc", "on")
	kerneltest.Command(t, "ip", "link", "set", "v1", "up")
	r := newRecording(t)
	src := newInterfaces(r.Writer, here(t))
	oracle := func() []map[string]any {
		var rows []map[string]any
		for _, l := range ipJSON(t, "-d link show type veth") {
			rows = append(rows, map[string]any{"name": l["ifname"], "promiscuity": l["promiscuity"].(json.Number).String()})
		}
		return rows
	}
	agree(t, r, src, "veth", oracle, func() []map[string]any {
		return r.rows("SELECT name, CAST(promiscuity AS TEXT) AS promiscuity FROM interfaces_now WHERE type = 'veth' ORDER BY ifindex")
	})
	got := r.rows("SELECT (SELECT name FROM interfaces_now WHERE ifindex = i.link_ifindex) AS other, carrier_changes > 0 AS changed FROM interfaces_now i WHERE name = 'v0'")
	if diff := cmp.Diff([]map[string]any{{"other": "v1", "changed": int64(1)}}, got); diff != "" {
		t.Errorf("v0 (-want +got):\n%s", diff)
	}
}
