package rtnl

import (
	"encoding/binary"
	"encoding/json"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// tcHeader is a struct tcmsg: family, padding, ifindex, handle, parent, info.
func tcHeader() []byte {
	return slices.Concat(make([]byte, 4), u32(3), u32(0x80010000), u32(0xffffffff), u32(2))
}

func u64(n uint64) []byte { return binary.NativeEndian.AppendUint64(nil, n) }

// queueStats is a struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits.
func queueStats() []byte { return slices.Concat(u32(11), u32(12), u32(1<<32-1), u32(14), u32(15)) }

// The numbers of attributes are those of linux/rtnetlink.h and linux/gen_stats.h.
func TestParseQdisc(t *testing.T) {
	t.Parallel()
	kind, basic := attribute{1, []byte("tbf\x00")}, attribute{1, slices.Concat(u64(1<<40), u32(7), u32(0))}
	// struct tc_stats: bytes, packets, drops, overlimits, bps, pps, qlen, backlog.
	old := attribute{3, slices.Concat(u64(21), u32(22), u32(23), u32(24), u32(25), u32(26), u32(27), u32(28), u32(0))}
	stats2 := func(attributes ...attribute) attribute { return attribute{7, kernelNest(attributes...)} }
	of := store.Of[int64]
	queued := Qdisc{QLen: of(11), Backlog: of(12), Dropped: of(1<<32 - 1), Requeues: of(14), Overlimits: of(15)}
	all := queued
	all.Bytes, all.Packets = of(1<<40), of(7)
	many := all
	many.Packets = of(1<<32 + 7)
	for _, c := range []struct {
		name       string
		attributes []attribute
		want       Qdisc
	}{
		{"nothing is said", nil, Qdisc{}},
		{"all", []attribute{old, {2, u32(9)}, stats2(basic, attribute{3, queueStats()}, attribute{4, u32(99)})}, all},
		{"more packets than 32 bits hold", []attribute{stats2(basic, attribute{8, u64(1<<32 + 7)}, attribute{3, queueStats()})}, many},
		{"those of a card, too", []attribute{stats2(basic, attribute{7, basic.value}, attribute{8, u64(5)}, attribute{3, queueStats()})}, all},
		{"no traffic", []attribute{stats2(attribute{3, queueStats()}), old}, queued},
		{"no queue", []attribute{stats2(basic)}, Qdisc{Bytes: of(1 << 40), Packets: of(7)}},
		{"nothing in the newer one", []attribute{old, stats2()}, Qdisc{}},
		{"an old kernel", []attribute{old}, Qdisc{Bytes: of(21), Packets: of(22), Dropped: of(23), Overlimits: of(24), QLen: of(27), Backlog: of(28)}},
	} {
		c.want.Index, c.want.Handle, c.want.Parent, c.want.Kind = 3, 0x80010000, QdiscRoot, []byte("tbf")
		got, err := ParseQdisc(messageOf(tcHeader(), append(c.attributes, kind)...))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestQdiscIsCutShort(t *testing.T) {
	t.Parallel()
	parse := func(msg []byte) error { _, err := ParseQdisc(msg); return err }
	for name, attributes := range map[string][]attribute{
		"a kind without an end": {{1, []byte("tbf")}},
		"half of the old ones":  {{3, make([]byte, 35)}},
		"half of the traffic":   {{7, kernelNest(attribute{1, make([]byte, 11)})}},
		"half of the packets":   {{7, kernelNest(attribute{8, make([]byte, 7)})}},
		"half of the queue":     {{7, kernelNest(attribute{3, make([]byte, 19)})}},
		"half an attribute":     {{7, []byte{9, 0, 1, 0, 1}}},
	} {
		if err := parse(messageOf(tcHeader(), attributes...)); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
	for n := range tcHeader() {
		if err := parse(tcHeader()[:n]); err == nil {
			t.Errorf("%d bytes are no error", n)
		}
	}
}

func FuzzParseQdisc(f *testing.F) {
	f.Add(messageOf(tcHeader(), attribute{1, []byte("fq\x00")}, attribute{7, kernelNest(attribute{1, make([]byte, 16)}, attribute{3, queueStats()})}, attribute{3, make([]byte, 40)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ParseQdisc(b)
		if err == nil && (len(q.Kind) > len(b) || q.Requeues != store.Int{} && q.QLen == store.Int{}) {
			t.Errorf("%x: %+v", b, q)
		}
	})
}

// TestQdiscsAgree builds queueing disciplines of several kinds, and compares what the kernel's messages decode to with what tc says.
func TestQdiscsAgree(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	for _, line := range []string{"link set lo up", "link add d0 numtxqueues 3 type veth peer name d1", "link set d0 up", "link set d1 up"} {
		ip(t, line)
	}
	tc := func(line string) string { return kerneltest.Command(t, "tc", strings.Fields(line)...) }
	tcMay := func(line string) ([]byte, error) { return exec.Command("tc", strings.Fields(line)...).CombinedOutput() }
	tc("qdisc add dev d1 root handle 1: pfifo limit 1")
	// Not every kernel has these, besides bfifo.
	for _, line := range []string{"qdisc add dev d0 root mq", "qdisc add dev d0 parent 8001:2 fq_codel", "qdisc add dev d0 clsact", "qdisc add dev d1 ingress",
		"qdisc add dev lo root handle 2: tbf rate 8kbit burst 2000 limit 9000", "qdisc add dev lo parent 2: handle 3: bfifo limit 100"} {
		if out, err := tcMay(line); err != nil {
			t.Logf("tc %s: %v, %s", line, err, out)
		}
	}
	type qdiscJSON struct {
		Kind, Handle, Dev, Parent         string
		Root                              bool
		Bytes, Packets, Drops, Overlimits int64
		Requeues, Backlog, QLen           int64
	}
	links := map[int32]string{indexOf(t, "lo"): "lo", indexOf(t, "d0"): "d0", indexOf(t, "d1"): "d1"}
	var r Conn
	agree(t, "qdiscs", func() (rows []string) {
		var list []qdiscJSON
		if err := json.Unmarshal([]byte(tc("-j -s qdisc show")), &list); err != nil {
			t.Fatal(err)
		}
		for _, q := range list {
			rows = append(rows, row(q.Kind, q.Dev, q.Root, q.Handle == "0:", q.Bytes, q.Packets, q.Drops, q.Overlimits, q.Requeues, q.Backlog, q.QLen))
		}
		return rows
	}, func() (rows []string) {
		for _, q := range dumped(t, &r, unix.RTM_GETQDISC, unix.RTM_NEWQDISC, make([]byte, SizeofTC), ParseQdisc) {
			rows = append(rows, row(string(q.Kind), links[q.Index], q.Parent == QdiscRoot, q.Handle == 0, number(q.Bytes), number(q.Packets), number(q.Dropped),
				number(q.Overlimits), number(q.Requeues), number(q.Backlog), number(q.QLen)))
		}
		return rows
	})
}
