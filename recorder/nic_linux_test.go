package recorder

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// ethtool runs ethtool(8), the oracle. It fails where the driver has nothing of the kind.
func ethtool(t *testing.T, args ...string) (lines []string, ok bool) {
	t.Helper()
	if _, err := exec.LookPath("ethtool"); err != nil {
		kerneltest.NeedKernel(t, "ethtool is not installed (Debian: ethtool)")
	}
	out, err := exec.Command("ethtool", args...).CombinedOutput()
	return strings.Split(strings.TrimSpace(string(out)), "\n"), err == nil
}

// ethtoolStatistics are what ethtool -S shows of an interface.
func ethtoolStatistics(t *testing.T, link string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	lines, ok := ethtool(t, "-S", link)
	for _, line := range lines {
		at := strings.LastIndex(line, ": ")
		if !ok || at < 0 {
			continue
		}
		n, err := strconv.ParseInt(line[at+2:], 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all[strings.TrimSpace(line[:at])] = n
	}
	return all
}

// ethtoolDriver is what ethtool shows of the driver, in the words of the recording.
func ethtoolDriver(t *testing.T, link string) map[string]any {
	t.Helper()
	row := map[string]any{"driver": nil, "driver_version": nil, "firmware": nil, "bus": nil, "autoneg": nil,
		"rx_ring": nil, "rx_ring_max": nil, "tx_ring": nil, "tx_ring_max": nil, "channels": nil}
	take := func(of map[string]string, args ...string) {
		lines, ok := ethtool(t, args...)
		section := ""
		for _, line := range lines {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			value = strings.TrimSpace(value)
			if strings.HasPrefix(name, "Current") {
				section = "now "
			}
			if column := of[section+name]; ok && column != "" && value != "" && value != "n/a" && value != "N/A" {
				row[column] = value
				if n, err := strconv.ParseInt(value, 10, 64); err == nil {
					row[column] = n
				}
			}
		}
	}
	take(map[string]string{"driver": "driver", "version": "driver_version", "firmware-version": "firmware", "bus-info": "bus"}, "-i", link)
	take(map[string]string{"Auto-negotiation": "autoneg"}, link)
	take(map[string]string{"RX": "rx_ring_max", "TX": "tx_ring_max", "now RX": "rx_ring", "now TX": "tx_ring"}, "-g", link)
	take(map[string]string{"now Combined": "channels"}, "-l", link)
	var uts unix.Utsname
	if unix.Uname(&uts) == nil && row["driver_version"] == unix.ByteSliceToString(uts.Release[:]) {
		row["driver_version"] = nil
	}
	return row
}

// TestDrivers: what ethtool says of the driver of an interface stands in interfaces.
func TestDrivers(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "link add br0 type bridge")
	kinds := map[string]string{"d0": "veth", "br0": "bridge"}
	// Its driver has no version, and shows that of the kernel.
	if out, err := exec.Command("ip", "link", "add", "i0", "type", "ifb").CombinedOutput(); err != nil {
		t.Logf("no ifb: %v: %s", err, out)
	} else {
		kinds["i0"] = "ifb"
	}
	if out, err := exec.Command("ip", "tuntap", "add", "t0", "mode", "tap").CombinedOutput(); err != nil {
		t.Logf("no tap: %v: %s", err, out)
	} else {
		kinds["t0"] = "tun"
	}
	r := newRecording(t)
	r.sample(newInterfaces(r.Writer, here(t)))
	for _, row := range r.rows("SELECT * FROM interfaces_now ORDER BY name") {
		name := row["name"].(string)
		want, got := ethtoolDriver(t, name), map[string]any{}
		for column := range want {
			got[column] = row[column]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-ethtool +recorded):\n%s", name, diff)
		}
		if driver := kinds[name]; driver != "" && got["driver"] != driver {
			t.Errorf("%s has the driver %v, want %s", name, got["driver"], driver)
		}
	}
}

// TestDriverNumbers: structs of linux/ethtool.h of which no two fields are equal.
func TestDriverNumbers(t *testing.T) {
	t.Parallel()
	var b []byte
	for i := range uint32(11) {
		b = binary.NativeEndian.AppendUint32(b, 100+i)
	}
	var got linkDriver
	got.parseRings(b)        // cmd, rx_max, rx_mini_max, rx_jumbo_max, tx_max, rx, rx_mini, rx_jumbo, tx
	got.parseChannels(b)     // cmd, max_rx, max_tx, max_other, max_combined, rx, tx, other, combined
	b[14], b[18] = 1, 1      // duplex and autoneg of ethtool_cmd
	copy(b[12:], "\x10\x27") // 10000 in the lower half of the speed,
	copy(b[28:], "\x03\x00") // and three times 65536
	got.parseSettings(b, true)
	info := make([]byte, sizeofEthtoolDrvinfo)
	for i, text := range []string{"mlx5_core", "6.18", "22.41.1000 (MT_0)", "0000:3b:00.0"} {
		copy(info[4+32*i:], text)
	}
	got.parseInfo(info, "6.18")
	want := linkDriver{
		mbps: store.Of(3<<16 + 10000), duplex: "full", autoneg: "on", name: "mlx5_core", firmware: "22.41.1000 (MT_0)", bus: "0000:3b:00.0",
		rxRing: store.Of(105), rxRingMax: store.Of(101), txRing: store.Of(108), txRingMax: store.Of(104), channels: store.Of(108),
	}
	if got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	copy(info[4:], "full of letters, without an end.")
	copy(info[36:], "5.2-1.0.4\x00rest")
	copy(info[68:], "N/A\x00")
	got.parseInfo(info, "6.18")
	if got.name != "full of letters, without an end." || got.version != "5.2-1.0.4" || got.firmware != "" {
		t.Errorf("%+v", got)
	}
	var none linkDriver
	none.parseRings(b[:sizeofEthtoolRingparam-1])
	none.parseChannels(b[:sizeofEthtoolChannels-1])
	none.parseSettings(b[:sizeofEthtoolCmd-1], true)
	none.parseInfo(info[:sizeofEthtoolDrvinfo-1], "")
	if none != (linkDriver{}) {
		t.Errorf("of structs that are cut short: %+v", none)
	}
}

// TestDriverColumns: each thing that the driver says has its own column, and a message of the kernel, which says none of it, changes none: the
// driver is asked in samples only.
func TestDriverColumns(t *testing.T) {
	t.Parallel()
	d := linkDriver{
		mbps: store.Of(1), duplex: "full", autoneg: "on", name: "name", version: "version", firmware: "firmware", bus: "bus",
		rxRing: store.Of(2), rxRingMax: store.Of(3), txRing: store.Of(4), txRingMax: store.Of(5), channels: store.Of(6),
	}
	said := store.Interface{
		Speed: store.Of(1), Duplex: "full", Autoneg: "on", Driver: "name", DriverVersion: "version", Firmware: "firmware", Bus: "bus",
		RxRing: store.Of(2), RxRingMax: store.Of(3), TxRing: store.Of(4), TxRingMax: store.Of(5), Channels: store.Of(6),
	}
	var got store.Interface
	if d.put(&got); got != said {
		t.Errorf("%+v\nwant %+v", got, said)
	}
	told, seen := store.Interface{MTU: store.Of(1500), OperState: "UP"}, said
	seen.MTU, seen.OperState = told.MTU, told.OperState
	if got, same := sameButDriver(told, seen); got != seen || !same {
		t.Errorf("what a message tells and a sample saw: %v, %+v\nwant %+v", same, got, seen)
	}
	told.MTU, seen.RxRing = store.Of(9000), store.Of(7)
	want := seen
	want.MTU = told.MTU
	if got, same := sameButDriver(told, seen); got != want || same {
		t.Errorf("of another MTU: %v, %+v\nwant %+v", same, got, want)
	}
}

// TestDriverOfThisMachine reads the interfaces that there are, of which one may be a card: also what it counts.
func TestDriverOfThisMachine(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	r.sample(newInterfaces(r.Writer, here(t)), newNICCounters(r.Writer, here(t)))
	rows := r.rows("SELECT * FROM interfaces_now WHERE driver IS NOT NULL AND bus IS NOT NULL ORDER BY name")
	if len(rows) == 0 {
		t.Skip("this machine has no card whose driver names its bus")
	}
	for _, row := range rows {
		name := row["name"].(string)
		want, got := ethtoolDriver(t, name), map[string]any{}
		for column := range want {
			got[column] = row[column]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-ethtool +recorded):\n%s", name, diff)
		}
		// They grow meanwhile.
		now := ethtoolStatistics(t, name)
		for _, stat := range r.rows("SELECT name, value, from_zero FROM nic_counters_now WHERE interface = ?", name) {
			if n, ok := now[stat["name"].(string)]; !ok || n < stat["value"].(int64) || stat["value"] == int64(0) || stat["from_zero"] != int64(0) {
				t.Errorf("%s: %v, ethtool says %d (%v)", name, stat, n, ok)
			}
			delete(now, stat["name"].(string))
		}
		if perQueue := regexp.MustCompile(`^[rt]x(_queue_)?\d`); row["driver"] == "virtio_net" {
			for stat, n := range now {
				if n > 0 && !perQueue.MatchString(stat) {
					t.Errorf("%s: %s is %d, and is not recorded", name, stat, n)
				}
			}
		}
	}
}

// TestNICCounters: of a veth the kernel tells the other end, and what its queues did.
func TestNICCounters(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "d1")
	r := newRecording(t)
	src := newNICCounters(r.Writer, here(t)).(*nicCounters)
	check := func(when string, links ...string) {
		t.Helper()
		want, got := map[string]int64{}, map[string]int64{}
		for _, link := range links {
			for name, n := range ethtoolStatistics(t, link) {
				if n > 0 && (name == "peer_ifindex" || regexp.MustCompile("drops|errors").MatchString(name)) {
					want[link+" "+name] = n
				}
			}
		}
		for _, row := range r.rows("SELECT c.*, i.ifindex AS other FROM nic_counters_now c LEFT JOIN interfaces_now i ON i.name = c.interface") {
			got[fmt.Sprint(row["interface"], " ", row["name"])] = row["value"].(int64)
			if row["other"] != nil && row["other"] != row["ifindex"] {
				t.Errorf("%s: %v is interface %v", when, row, row["other"])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-ethtool +recorded):\n%s", when, diff)
		}
	}
	r.sample(newInterfaces(r.Writer, here(t)), src)
	check("at first", "d0", "d0p", "d1", "d1p")
	if n := r.rows("SELECT 1 FROM nic_counters_now"); len(n) != 4 {
		t.Errorf("%d rows, want the other end of four", len(n))
	}
	ip(t, "link del d1")
	ip(t, "link set d0 name e0")
	r.sample(src)
	if got := r.outcome("nic_counters"); got != "kept" {
		t.Errorf("within the interval: %s", got)
	}
	src.readNext()
	r.sample(src)
	if got := r.outcome("nic_counters"); got != "read" {
		t.Errorf("after it: %s", got)
	}
	check("one renamed, one deleted", "e0", "d0p")
}

// fakeDrivers are drivers as a test wants them, by interface.
type fakeDrivers map[string]*fakeDriver

type fakeDriver struct {
	list   []string
	values []uint64
	failed error
	asked  int // for names
}

func (f fakeDrivers) of(name []byte) (*fakeDriver, error) {
	if d := f[string(name)]; d != nil {
		return d, d.failed
	}
	return nil, unix.EOPNOTSUPP
}

func (f fakeDrivers) count(name []byte) (int, error) {
	d, err := f.of(name)
	if err != nil {
		return 0, err
	}
	return len(d.list), nil
}

func (f fakeDrivers) names(name []byte, n int) ([]byte, error) {
	f[string(name)].asked++
	return nameFields(f[string(name)].list...), nil
}

func (f fakeDrivers) values(name []byte, n int) (b []byte, err error) {
	for _, v := range f[string(name)].values {
		b = binary.NativeEndian.AppendUint64(b, v)
	}
	return b, nil
}

func (f fakeDrivers) close() {}

// nameFields are names as a driver gives them: in 32 bytes each.
func nameFields(names ...string) []byte {
	b := make([]byte, len(names)*sizeofEthtoolString)
	for i, name := range names {
		copy(b[i*sizeofEthtoolString:][:sizeofEthtoolString], name)
	}
	return b
}

func (f fakeDrivers) source(w *store.Writer, ns namespace) *nicCounters {
	s := newNICCounters(w, ns).(*nicCounters)
	s.open = func(*rtnl.Conn) (driverStats, error) { return f, nil }
	return s
}

// TestNICGrowth: growth is what was read less what was read before, in the sample that read it, over the time between the readings; of one that
// comes from 0 all of it. A sample that did not read tells no growth. Network namespaces are read by themselves: here one more often than another, and one
// in every sample. The oracle is what the test has read.
func TestNICGrowth(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	synctest.Test(t, func(t *testing.T) { // so that a sample takes no time
		d := &fakeDriver{list: []string{"falls", "moves", "never", "rx_errors", "stands"}, values: []uint64{1000, 10, 0, 0, 7}}
		r := newRecording(t) // of one sample each second
		type row struct {
			Tick, NetNS                            int
			Name                                   string
			Growth, Elapsed, Rate, Value, FromZero any
		}
		type place struct {
			source *nicCounters
			driver *fakeDriver
			last   int // tick of the last reading
			was    []uint64
		}
		var places []*place
		var sources []source
		for i, interval := range []time.Duration{7 * time.Second, 4 * time.Second, 0, time.Hour} {
			ns := here(t)
			ns.id = store.Of(i)
			own := *d // with the same values
			src := fakeDrivers{"d0": &own}.source(r.Writer, ns)
			src.interval = interval
			places, sources = append(places, &place{source: src, driver: &own}), append(sources, src)
		}
		const ticks = 5 * nicSamples // none is kept for longer than nicSamples
		var want []row
		for i := range ticks {
			d.values[1] += uint64(i)
			if i > 9 {
				d.values[3] += 3
			}
			switch {
			case i == 20:
				d.values[0] = 0 // its row stays
			case i > 30:
				d.values[0]++
			}
			r.sample(sources...)
			for n, p := range places {
				read := r.rows("SELECT outcome FROM sources_now WHERE netns = ?", n)[0]["outcome"] == "read"
				if !read {
					continue
				}
				for i, name := range d.list {
					if d.values[i] == 0 && (p.last == 0 || p.was[i] == 0) && name != "falls" {
						continue
					}
					v := row{Tick: r.tick, NetNS: n, Name: name, Value: int64(d.values[i]), FromZero: int64(0)}
					if name == "rx_errors" {
						v.FromZero = int64(1)
					}
					if p.last > 0 {
						v.Elapsed = float64(r.tick - p.last)
						if d.values[i] >= p.was[i] {
							grown := int64(d.values[i] - p.was[i])
							v.Growth, v.Rate = grown, float64(grown)/float64(r.tick-p.last)
						}
					}
					want = append(want, v)
				}
				p.last, p.was = r.tick, slices.Clone(d.values)
			}
			time.Sleep(time.Second)
		}
		var got []row
		for _, m := range r.rows(`SELECT CAST(d.ts - 1700000000 AS INTEGER) AS tick, d.netns, d.name, d.value AS growth, d.elapsed_s, value_per_s, c.value, d.from_zero
			FROM nic_deltas d JOIN nic_rates r USING (ts, netns, name) JOIN nic_counters c USING (ts, netns, name) ORDER BY ts, d.netns, name`) {
			got = append(got, row{int(m["tick"].(int64)), int(m["netns"].(int64)), m["name"].(string), m["growth"], m["elapsed_s"], m["value_per_s"], m["value"], m["from_zero"]})
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) < 200 {
			t.Errorf("%d rows (-want +got):\n%s", len(want), diff)
		}
		// In each sample they stand as they were last read.
		if n := r.rows("SELECT count(*) AS n FROM nic_counters WHERE name = 'stands' AND value = 7")[0]["n"]; n != int64(len(places)*ticks) {
			t.Errorf("%v samples show one that stands still, want all %d of each namespace", n, ticks)
		}
		// And what was always 0 costs nothing.
		if n := r.rows("SELECT 1 FROM nic_counter WHERE name = 'never'"); len(n) > 0 {
			t.Error("one that is always 0 has a row")
		}
		// The driver is asked for names once, and again after so many readings.
		for _, p := range places {
			asked, readings := p.driver.asked, p.source.readings
			if least := 1 + readings/nicNamesAgain; asked < least || asked > least+1 || readings < 5 {
				t.Errorf("the driver was asked for names %d times in %d readings, want %d", asked, readings, least)
			}
		}
	})
}

// TestNICRows: of a driver with more statistics than are recorded errors come first, and one that makes room for another is not told as growth
// when it comes back.
func TestNICRows(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	d := &fakeDriver{}
	for i := range nicRows {
		d.list = append(d.list, fmt.Sprintf("plain_%d", i))
	}
	d.list = append(d.list, "rx_crc_errors", "later")
	d.values = make([]uint64, len(d.list))
	for i := range nicRows {
		d.values[i] = 1
	}
	d.values[0] = 0
	f := fakeDrivers{"d0": d}
	r := newRecording(t)
	src := f.source(r.Writer, here(t))
	read := func() map[string]any {
		t.Helper()
		src.readNext()
		r.sample(src)
		all := map[string]any{}
		for _, row := range r.rows("SELECT d.name, d.value FROM nic_counters_now n LEFT JOIN nic_deltas d USING (ts, name)") {
			all[row["name"].(string)] = row["value"]
		}
		return all
	}
	last := fmt.Sprintf("plain_%d", nicRows-1)
	there := func(step string, rows map[string]any, want map[string]any) {
		t.Helper()
		for _, name := range []string{"plain_0", last, "rx_crc_errors", "later"} {
			got, has := rows[name]
			if wanted, wants := want[name]; has != wants || got != wanted {
				t.Errorf("%s: %s: %v, %v, want %v, %v", step, name, got, has, wanted, wants)
			}
		}
	}
	const over = "incomplete only 256 statistics of an interface are recorded, and more are not 0 of d0"
	outcome := func(step, want string) {
		t.Helper()
		if got := r.outcome("nic_counters"); got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	there("at first", read(), map[string]any{last: nil})
	outcome("at first", "read")
	d.values[0] = 5 // there is room for one
	there("one more", read(), map[string]any{"plain_0": int64(5), last: int64(0)})
	outcome("as many as there are rows", "read")
	d.values[nicRows+1] = 9 // and now for none
	there("too many", read(), map[string]any{"plain_0": int64(0), last: int64(0)})
	outcome("too many", over)
	d.values[nicRows] = 2 // an error takes the room of the last
	there("an error", read(), map[string]any{"plain_0": int64(0), "rx_crc_errors": int64(2)})
	d.list, d.values = slices.Delete(d.list, 1, 3), slices.Delete(d.values, 1, 3) // the driver has others
	// Those that are still there go on; what had made room comes back, and nobody knows how far it grew.
	there("other names", read(), map[string]any{"plain_0": int64(0), "rx_crc_errors": int64(0), last: nil, "later": nil})
	outcome("other names", "read")
	if got := r.rows("SELECT kind, detail FROM gaps WHERE source = 'nic_counters'"); len(got) != 1 || "incomplete "+text(got[0]["detail"]) != over {
		t.Errorf("gaps: %v", got)
	}
}

// TestNICTrouble: a driver that does not answer is said, and what it counted is unknown; so is growth across that.
func TestNICTrouble(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	d := &fakeDriver{list: []string{"tx_errors", "tx_timeouts"}, values: []uint64{4, 0}}
	f := fakeDrivers{"d0": d, "d0p": {list: []string{"peer"}, values: []uint64{1}}}
	r := newRecording(t)
	src := f.source(r.Writer, here(t))
	read := func(want string, deltas ...string) {
		t.Helper()
		src.readNext()
		r.sample(src)
		if got := r.outcome("nic_counters"); got != want {
			t.Errorf("outcome %q, want %q", got, want)
		}
		var got []string
		for _, row := range r.rows("SELECT name, value FROM nic_deltas WHERE ts = (SELECT max(ts) FROM samples) AND interface = 'd0' ORDER BY name") {
			got = append(got, fmt.Sprint(row["name"], " ", text(row["value"])))
		}
		if diff := cmp.Diff(deltas, got); diff != "" {
			t.Errorf("growth (-want +got):\n%s", diff)
		}
	}
	read("read", "tx_errors ")
	d.failed = unix.EBUSY
	read("incomplete the driver did not give the statistics of d0 (device or resource busy)")
	r.sample(src) // which keeps: it is still missing
	if got := r.rows("SELECT 1 FROM gaps WHERE source = 'nic_counters' AND until IS NULL"); r.outcome("nic_counters") != "kept" || len(got) != 1 {
		t.Errorf("after a driver that did not answer: %s, %d gaps that go on", r.outcome("nic_counters"), len(got))
	}
	d.failed, d.values = nil, []uint64{6, 1}
	read("read", "tx_errors ", "tx_timeouts ")
	d.values = []uint64{7, 3}
	read("read", "tx_errors 1", "tx_timeouts 2")
	if n := r.rows("SELECT 1 FROM gaps WHERE source = 'nic_counters' AND kind = 'incomplete'"); len(n) != 1 {
		t.Errorf("%d gaps, want one", len(n))
	}
	// A sample that could not be written is read again.
	d.values[0]++
	d.list, d.values = append(d.list, "rx_errors"), append(d.values, 0)
	read("read", "tx_errors 1", "tx_timeouts 0")
	d.values[0], d.values[2] = 8, 5
	src.readNext()
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(time.Duration(r.tick) * time.Second)})
	src.read(t.Context())
	canceled, cancel := contextCanceled(t)
	defer cancel()
	if err := r.Commit(canceled, store.Cost{}); err == nil {
		t.Fatal("the sample was written")
	}
	r.sample(src)
	if got := r.rows("SELECT value FROM nic_counters_now WHERE name = 'tx_errors'"); r.outcome("nic_counters") != "read" || len(got) != 1 || got[0]["value"] != int64(8) {
		t.Errorf("after a lost sample: %s, %v", r.outcome("nic_counters"), got)
	}
	if got := r.rows("SELECT value, from_zero FROM nic_deltas WHERE name = 'rx_errors'"); len(got) != 1 || got[0]["value"] != nil || got[0]["from_zero"] != int64(0) {
		t.Errorf("what a lost sample saw first: %v", got)
	}
}

// TestNICAtRest: a sample that does not read costs no memory.
func TestNICAtRest(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	r := newRecording(t)
	src := newNICCounters(r.Writer, here(t)).(*nicCounters)
	src.interval = time.Hour
	src.sampling = time.Minute // or it would be read after a hundred
	r.sample(src)
	r.sample(src)
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_100, 0), Uptime: time.Minute, Awake: time.Minute})
	if n := testing.AllocsPerRun(100, func() { src.read(t.Context()) }); n > 3 {
		t.Errorf("%v allocations at rest", n)
	}
}

// TestNICNames: names of drivers of Linux, those that stand for one queue, and those that say trouble.
func TestNICNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ driver, queue, trouble, other string }{
		{"virtio_net", "rx_queue_0_packets rx0_kicks tx12_xdp_tx", "rx_drops rx0_drops rx_queue_3_xdp_drops tx0_tx_timeouts", "rx_kicks rx_xdp_packets"},
		{"veth", "rx_queue_0_xdp_bytes tx_queue_1_xdp_xmit", "rx_queue_0_drops tx_queue_0_xdp_xmit_errors", "peer_ifindex rx_pp_alloc_fast"},
		{"mlx5", "rx0_packets tx3_bytes ch0_events", "rx_out_of_buffer rx0_cache_err rx_prio0_pause rx_crc_errors_phy tx_discards_phy", "rx_64_bytes_phy rx_prio0_bytes rx_1024_to_1518_bytes_phy rx_bytes"},
		{"i40e", "tx-0.packets rx-15.bytes", "port.rx_crc_errors port.tx_priority_0_xon port.link_xoff_rx", "port.rx_size_64 veb.tc_0_tx_packets"},
		{"ixgbe", "tx_queue_0_bytes", "rx_missed_errors rx_no_buffer_count tx_timeout_count rx_no_dma_resources rx_fifo_errors hw_rsc_aborted", "rx_pkts_nic lsc_int"},
		{"bnxt", "[0]:=rx_ucast_packets [11]:=tpa_bytes", "[0]:=rx_discards rx_fcs_err_frames rx_jabber_frames", "rx_64b_frames rx_bytes_cos0"},
		{"ena", "queue_0_tx_cnt queue_7_rx_bytes", "queue_0_tx_missed_tx queue_0_rx_page_alloc_fail", "suspend"},
		{"gve, dpaa, qede, hv_netvsc, stmmac", "rx_bytes[0] tx=packets=[CPU=3] 0:=rcv_pkts cpu0_rx_packets q0_tx_pkt_n rvec_1_rx_pkts txq0_packets", "tx_dropped[0]", "mmc_tx_octetcount_gb"},
	} {
		for want, list := range map[string]string{"left out": c.queue, "first": c.trouble, "second": c.other} {
			for name := range strings.FieldsSeq(list) {
				name = strings.ReplaceAll(name, "=", " ")
				got := []string{"left out", "first", "second"}
				switch stats := nicStats(nameFields("a_first", name, "a_error")); {
				case len(stats) == 2:
					got = got[:1]
				case stats[0].name == name:
					got = got[1:2]
				default:
					got = got[2:]
				}
				if got[0] != want {
					t.Errorf("%s: %s is %s, want %s", c.driver, name, got[0], want)
				}
			}
		}
	}
	var got []string
	for _, st := range nicStats(nameFields("b", "a", "", "a", " \t", strings.Repeat("x", 40), "  a ", "\x1b[1m", "\xff", "rx_err")) {
		got = append(got, fmt.Sprint(st.place, " ", st.name))
	}
	want := []string{"9 rx_err", "0 b", "1 a", "3 a#2", "5 " + strings.Repeat("x", 32), "6 a#3", `7 \x1b[1m`, `8 \xff`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzNICStats(f *testing.F) {
	f.Add(nameFields("rx_queue_0_packets", "rx_errors", "", "a", "a", "a#2"))
	f.Add([]byte("\xff\x00\x1b"))
	f.Fuzz(func(t *testing.T, names []byte) {
		places := map[int]bool{}
		for _, st := range nicStats(names) {
			if st.name == "" || !shows(st.name) || places[st.place] || st.place < 0 || st.place >= len(names)/sizeofEthtoolString {
				t.Errorf("%q at %d of %d bytes", st.name, st.place, len(names))
			}
			places[st.place] = true
		}
	})
}

// TestEthtoolRoom: the kernel cannot write beyond what is reserved, and other numbers than were asked for are no values.
func TestEthtoolRoom(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	conn := &rtnl.Conn{}
	defer conn.Close()
	stats, err := openEthtoolStats(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer stats.close()
	name := []byte("d0")
	n, err := stats.count(name)
	if err != nil || n != len(ethtoolStatistics(t, "d0")) {
		t.Fatalf("%d statistics, %v", n, err)
	}
	for _, other := range []int{n - 1, n + 1} {
		if _, err := stats.names(name, other); err != errStatsChanged {
			t.Errorf("%d names of %d: %v", other, n, err)
		}
		if _, err := stats.values(name, other); err != errStatsChanged {
			t.Errorf("%d values of %d: %v", other, n, err)
		}
	}
	if n, err := stats.count([]byte("lo")); n != 0 || err != nil {
		t.Errorf("lo: %d, %v", n, err)
	}
	if _, err := stats.count([]byte("gone0")); err != unix.ENODEV {
		t.Errorf("no interface: %v", err)
	}
	if _, err := stats.count([]byte(strings.Repeat("d", 40))); err != unix.ENODEV {
		t.Errorf("a name that is too long: %v", err)
	}
	// As if there were no room left but for half of the names.
	e := stats.(*ethtoolStats)
	end := len(e.room) - e.page
	small := &ethtoolStats{fd: e.fd, room: e.room[end-sizeofEthtoolStrings-n*sizeofEthtoolString/2 : end]}
	if _, err := small.names(name, n); err != unix.EFAULT {
		t.Errorf("beyond the room: %v", err)
	}
}

// The settings are read in the last sample of a run, and each namespace has its own.
func TestNICAtTheEnd(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	r := runRecorder(t, filepath.Join(t.TempDir(), "end.db"))
	r.samples(2)
	ip(t, "link add d9 type veth peer name d9p")
	db := r.end()
	if got := r.ask(db, "SELECT group_concat(c.interface || ' ' || c.name) || ' ' || outcome FROM nic_counters_now c JOIN sources_now USING (ts) WHERE source = 'nic_counters' AND interface = 'd9'"); got != "d9 peer_ifindex read" {
		t.Errorf("%v", got)
	}
}

// BenchmarkNIC is what a reading costs, and a sample that keeps: of 1,000 strings of a fake driver, and of 100 veth pairs of the kernel.
func BenchmarkNIC(b *testing.B) {
	d := &fakeDriver{}
	for i := range 1000 {
		d.list = append(d.list, fmt.Sprintf("rx_queue_%d_errors", i))
		d.values = append(d.values, uint64(i%5))
	}
	var src *nicCounters
	fake := func(w *store.Writer, ns namespace) source {
		src = fakeDrivers{"lo": d}.source(w, ns)
		return src
	}
	real := func(w *store.Writer, ns namespace) source {
		src = newNICCounters(w, ns).(*nicCounters)
		return src
	}
	if !benchInNamespace(b) {
		return
	}
	b.Run("1000 strings, all move", func(b *testing.B) {
		benchSource(b, fake, func(int) {
			src.readNext()
			for i := range d.values {
				d.values[i] += uint64(i % 2)
			}
		})
	})
	b.Run("1000 strings, none moves", func(b *testing.B) { benchSource(b, fake, func(int) { src.readNext() }) })
	var batch strings.Builder
	for i := range 100 {
		fmt.Fprintf(&batch, "link add d%d type veth peer name p%d\n", i, i)
	}
	ipBatch(b, batch.String())
	b.Run("200 veth", func(b *testing.B) { benchSource(b, real, func(int) { src.readNext() }) })
	b.Run("kept", func(b *testing.B) { benchSource(b, real, func(int) { src.due = time.Now().Add(time.Hour) }) })
}
