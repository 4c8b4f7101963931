package recorder

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
)

func tc(t *testing.T, line string) string {
	t.Helper()
	return kerneltest.Command(t, "tc", strings.Fields(line)...)
}

// tcQdiscs are the queueing disciplines of all interfaces as tc shows them, in the words of the recording and without noqueue.
func tcQdiscs(t *testing.T) []map[string]any {
	t.Helper()
	var list []map[string]any
	for _, dev := range tcDevices(t) {
		var shown []map[string]any
		if err := json.Unmarshal([]byte(tc(t, "-j -s qdisc show dev "+dev)), &shown); err != nil {
			t.Fatal(err)
		}
		for _, q := range shown {
			row := map[string]any{"dev": dev, "kind": q["kind"], "handle": q["handle"], "parent": q["parent"]}
			if q["root"] == true {
				row["parent"] = "root"
			}
			if q["parent"] == "ffff:fff1" {
				row["parent"] = "ingress"
			}
			for column, name := range map[string]string{"bytes_sent": "bytes", "packets_sent": "packets", "dropped": "drops", "overlimits": "overlimits",
				"requeues": "requeues", "backlog_bytes": "backlog", "qlen": "qlen"} {
				row[column] = int64(q[name].(float64))
			}
			if q["kind"] != "noqueue" {
				list = append(list, row)
			}
		}
	}
	slices.SortFunc(list, func(a, b map[string]any) int {
		return strings.Compare(fmt.Sprint(a["dev"], a["handle"], a["parent"]), fmt.Sprint(b["dev"], b["handle"], b["parent"]))
	})
	return list
}

func tcDevices(t *testing.T) (names []string) {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		names = append(names, link.Name)
	}
	return names
}

const qdiscColumns = "dev, kind, handle, parent, bytes_sent, packets_sent, dropped, overlimits, requeues, backlog_bytes, qlen"

// quiet has the kernel send nothing by itself over the links that come.
func quiet(t *testing.T) {
	t.Helper()
	setSysctl(t, "net/ipv6/conf/all/disable_ipv6", "1")
	setSysctl(t, "net/ipv6/conf/default/disable_ipv6", "1")
}

// checkQdiscs takes a sample and compares it with what tc says.
func checkQdiscs(t *testing.T, r *testRecording, src source) {
	t.Helper()
	r.sample(src)
	if diff := cmp.Diff(tcQdiscs(t), r.rows("SELECT "+qdiscColumns+" FROM qdiscs_now ORDER BY dev || handle || parent")); diff != "" {
		t.Errorf("(-tc +recording):\n%s", diff)
	}
}

// TestQdiscThatDrops: a router that sends faster than its queueing discipline lets through throws packets away there, and the recording says how
// many. The oracle is tc.
func TestQdiscThatDrops(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	quiet(t)
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev d0 nud permanent")
	// Nothing leaves it but the first 2,000 bytes, and there is room for 3,000.
	if out, err := exec.Command("tc", strings.Fields("qdisc add dev d0 root handle 1: tbf rate 8bit burst 2000 limit 3000")...).CombinedOutput(); err != nil {
		kerneltest.NeedKernel(t, string(out))
	}
	r := newRecording(t)
	src := newQdiscs(r.Writer, here(t))
	r.sample(src)
	before := tcQdiscs(t)[0]
	const datagrams, size = 300, 500
	sendUDP(t, "10.1.0.2:9", datagrams, size)
	r.sample(src)
	after := tcQdiscs(t)[0]
	dropped := after["dropped"].(int64) - before["dropped"].(int64)
	if dropped < datagrams-20 {
		t.Fatalf("tc knows of %d dropped of %d: %v", dropped, datagrams, after)
	}
	want := []map[string]any{{"dev": "d0", "kind": "tbf", "parent": "root", "elapsed_s": 1.0, "dropped": dropped,
		"packets_sent": after["packets_sent"].(int64) - before["packets_sent"].(int64), "bytes_sent": after["bytes_sent"].(int64) - before["bytes_sent"].(int64)}}
	const newest = " WHERE ts = (SELECT max(ts) FROM samples) AND handle = '1:'"
	if diff := cmp.Diff(want, r.rows("SELECT dev, kind, parent, elapsed_s, dropped, packets_sent, bytes_sent FROM qdisc_deltas"+newest)); diff != "" {
		t.Errorf("(-tc +recording):\n%s", diff)
	}
	checkQdiscs(t, r, src)
	rates := r.rows("SELECT dropped_per_s FROM qdisc_rates WHERE handle = '1:' ORDER BY ts LIMIT 2")
	if diff := cmp.Diff([]map[string]any{{"dropped_per_s": nil}, {"dropped_per_s": float64(dropped)}}, rates); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if held := r.rows("SELECT qlen, backlog_bytes FROM qdiscs_now WHERE handle = '1:'")[0]; held["qlen"].(int64) < 1 || held["backlog_bytes"].(int64) < size {
		t.Errorf("what waits is %v", held)
	}

	// Another kind under the same handle counts from 0 again, even where it counts further than the one before did.
	for _, other := range []string{"bfifo limit 9999999", "pfifo limit 9999"} {
		sent := r.rows("SELECT bytes_sent FROM qdiscs_now WHERE handle = '1:'")[0]["bytes_sent"].(int64)
		tc(t, "qdisc del dev d0 root")
		tc(t, "qdisc add dev d0 root handle 1: "+other)
		sendUDP(t, "10.1.0.2:9", int(sent)/size+1, size)
		r.sample(src)
		kind, _, _ := strings.Cut(other, " ")
		got := r.rows("SELECT kind, bytes_sent, dropped FROM qdisc_deltas" + newest)
		if diff := cmp.Diff([]map[string]any{{"kind": kind, "bytes_sent": nil, "dropped": nil}}, got); diff != "" {
			t.Errorf("of another kind (-want +got):\n%s", diff)
		}
		if now := r.rows("SELECT bytes_sent FROM qdiscs_now WHERE handle = '1:'")[0]["bytes_sent"].(int64); now <= sent {
			t.Errorf("it has sent %d, and the one before %d", now, sent)
		}
	}
	checkQdiscs(t, r, src)
}

// TestQdiscChanges: what somebody sets up, changes and takes away is an event; what the kernel puts on interfaces by itself is none.
func TestQdiscChanges(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	quiet(t)
	links(t, "d0")
	r := newRecording(t)
	src := newQdiscs(r.Writer, here(t))
	r.sample(src)
	if got := r.rows("SELECT * FROM qdiscs_now"); len(got) > 0 {
		t.Errorf("of links that queue nothing: %v", got)
	}
	r.sample(src)
	tc(t, "qdisc add dev d0 root handle 1: pfifo limit 1")
	r.sample(src)
	tc(t, "qdisc del dev d0 root")
	tc(t, "qdisc add dev d0 root handle 1: bfifo limit 9999")
	r.sample(src)
	r.sample(src)
	tc(t, "qdisc del dev d0 root")
	r.sample(src)
	want := []string{"3 added 1: root NULL kind=pfifo", "4 changed 1: root kind=pfifo kind=bfifo", "6 removed 1: root kind=bfifo NULL"}
	var got []string
	for _, row := range r.rows("SELECT printf('%d %s %s %s %s %s', ts - 1700000000, change, handle, parent, coalesce(was, 'NULL'), coalesce(now, 'NULL')) AS line FROM qdisc_changes WHERE dev = 'd0' ORDER BY ts") {
		got = append(got, text(row["line"]))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	want = []string{"added pfifo 1: dev d0 parent root", "changed bfifo 1: dev d0 parent root", "removed bfifo 1: dev d0 parent root"}
	events := func() (got []string) {
		for _, row := range r.rows("SELECT event || ' ' || what AS line FROM events WHERE object = 'qdisc' ORDER BY ts") {
			got = append(got, text(row["line"]))
		}
		return got
	}
	if diff := cmp.Diff(want, events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	// The queues of mq are the kernel's own, and ingress takes no queue.
	ip(t, "link add e0 numtxqueues 3 type veth peer name e1")
	for _, line := range []string{"qdisc add dev e0 root handle 7: mq", "qdisc add dev e0 ingress"} {
		if out, err := exec.Command("tc", strings.Fields(line)...).CombinedOutput(); err != nil {
			kerneltest.NeedKernel(t, string(out))
		}
	}
	checkQdiscs(t, r, src)
	if n := r.rows("SELECT count(*) AS n FROM qdiscs_now WHERE dev = 'e0'")[0]["n"]; n != int64(5) {
		t.Errorf("%d queueing disciplines of e0", n)
	}
	want = append(want, "added ingress ffff: dev e0 parent ingress", "added mq 7: dev e0 parent root")
	if diff := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(events()))); diff != "" {
		t.Errorf("events of mq (-want +got):\n%s", diff)
	}
	// Those that stand still take no room.
	written := func() any { return r.rows("SELECT count(*) || ' ' || total(length) AS n FROM qdisc_span")[0]["n"] }
	idle := written()
	for range 5 {
		r.sample(src)
	}
	if now := written(); now != idle {
		t.Errorf("spans and their lengths were %v, and are %v", idle, now)
	}
}

// TestQdiscOfALinkThatGoes: one whose interface went since the dump is not recorded under a name that no interface has; one whose interface has
// another name now is another.
func TestQdiscOfALinkThatGoes(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "link set d0 down")
	tc(t, "qdisc add dev d0 root handle 1: pfifo")
	r := newRecording(t)
	src := newQdiscs(r.Writer, here(t)).(*qdiscs)
	r.sample(src)
	ip(t, "link set d0 name d9")
	r.sample(src)
	r.sample(sourceFunc(func(ctx context.Context) {
		src.source.Read(func() error {
			if err := src.record(ctx); err != nil {
				return err
			}
			src.put(&rtnl.Qdisc{Index: 1 << 30, Handle: 1 << 16, Parent: rtnl.QdiscRoot, Kind: []byte("pfifo")})
			return nil
		})
	}))
	for i, want := range []string{"d0", "d9", "d9"} {
		rows := r.rows("SELECT dev FROM qdiscs WHERE ts = ?", 1_700_000_001+i)
		if len(rows) != 1 || rows[0]["dev"] != want {
			t.Errorf("sample %d: %v, want that of %s alone", i+1, rows, want)
		}
	}
	if got := r.rows("SELECT 1 FROM qdisc_deltas WHERE dev = 'd9' AND dropped IS NULL"); len(got) != 1 {
		t.Errorf("the growth of one with another name is not known in %d samples, want the first", len(got))
	}
}

// The words are those of print_tc_classid of iproute2.
func TestHandleText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		handle         uint32
		itself, parent string
	}{
		{0, "0:", ""}, {0x80010000, "8001:", "8001:"}, {0x10002, "1:2", "1:2"}, {3, ":3", ":3"}, {0xffff0000, "ffff:", "ffff:"},
		{0xfffffff1, "ffff:fff1", "ingress"}, {0xffffffff, "ffff:ffff", "root"}, {0xabcd00ef, "abcd:ef", "abcd:ef"},
	} {
		if itself, parent := handleText(c.handle), parentText(c.handle); itself != c.itself || parent != c.parent {
			t.Errorf("%#x is %q, a parent %q; want %q, %q", c.handle, itself, parent, c.itself, c.parent)
		}
	}
}
