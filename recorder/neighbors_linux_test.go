package recorder

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// neighborsOf lists the recorded neighbours, one line each.
func neighborsOf(r *testRecording) []string {
	r.t.Helper()
	var lines []string
	for _, m := range r.rows("SELECT * FROM neighbors_now") {
		lines = append(lines, fmt.Sprint(m["dev"], m["addr"], " ", text(m["mac"]), " ", text(m["state"]), " ",
			text(m["flags"]), " ", m["proxy"]))
	}
	slices.Sort(lines)
	return lines
}

// ipNeighbors lists the neighbours as ip knows them, in the same words.
func ipNeighbors(t *testing.T) []string {
	t.Helper()
	var lines []string
	for _, what := range []string{"-4 neigh show nud all", "-6 neigh show nud all", "-4 neigh show proxy", "-6 neigh show proxy"} {
		for _, m := range ipJSON(t, what) {
			var flags []string
			for _, flag := range []string{"router", "extern_learn", "offload", "managed"} {
				if _, set := m[flag]; set {
					flags = append(flags, flag)
				}
			}
			state, proxy := joined(m["state"]), 0
			if strings.HasSuffix(what, "proxy") {
				state, proxy = "", 1
			}
			lines = append(lines, fmt.Sprint(m["dev"], m["dst"], " ", text(m["lladdr"]), " ", state, " ",
				strings.Join(flags, ","), " ", proxy))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestNeighbors(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	// Entries that are being looked for change by themselves: let them stand for a minute.
	setSysctl(t, "net/ipv4/neigh/d0/retrans_time_ms", "60000")
	setSysctl(t, "net/ipv4/neigh/d0/base_reachable_time_ms", "600000")
	setSysctl(t, "net/ipv6/neigh/d0/base_reachable_time_ms", "600000")
	for _, line := range []string{
		"addr add 10.1.0.1/24 dev d0", "addr add 2001:db8:1::1/64 dev d0 nodad",
		"neigh add 10.1.0.50 lladdr 02:00:00:00:00:50 dev d0 nud permanent",
		"neigh add 10.1.0.51 lladdr 02:00:00:00:00:51 dev d0 nud stale extern_learn",
		"neigh add 10.1.0.52 lladdr 02:00:00:00:00:52 dev d0 nud noarp",
		"neigh add 10.1.0.53 lladdr 02:00:00:00:00:53 dev d0 nud reachable",
		"neigh add proxy 10.1.0.60 dev d0", "-6 neigh add proxy 2001:db8:1::60 dev d0 router",
		"-6 neigh add 2001:db8:1::50 lladdr 02:00:00:00:00:50 router dev d0 nud reachable",
	} {
		ip(t, line)
	}
	r := newRecording(t)
	src := newNeighbors(r.Writer, here(t))
	check := func(when string) {
		t.Helper()
		agree(t, r, src, when, func() []string { return ipNeighbors(t) }, func() []string { return neighborsOf(r) })
	}
	check("at first")
	for _, where := range []string{
		"addr = '10.1.0.50' AND dev = 'd0' AND mac = '02:00:00:00:00:50' AND state = 'PERMANENT' AND proxy = 0",
		"addr = '10.1.0.51' AND state = 'STALE' AND flags = 'extern_learn'",
		"addr = '10.1.0.52' AND state = 'NOARP'",
		"addr = '10.1.0.60' AND proxy = 1 AND mac IS NULL AND state IS NULL",
		"addr = '2001:db8:1::60' AND proxy = 1 AND family = 6",
		"addr = '2001:db8:1::50' AND state = 'REACHABLE' AND flags = 'router'",
	} {
		if got := r.rows("SELECT 1 FROM neighbors_now WHERE " + where); len(got) != 1 {
			t.Errorf("%s: %d rows, want 1", where, len(got))
		}
	}
	ip(t, "neigh change 10.1.0.50 lladdr 02:00:00:00:00:99 dev d0 nud permanent")
	ip(t, "neigh del 10.1.0.52 dev d0")
	ip(t, "neigh del proxy 10.1.0.60 dev d0")
	check("changed")
	ip(t, "link del d0")
	check("link deleted")
	if got := r.rows("SELECT 1 FROM neighbors_now WHERE dev = 'd0'"); len(got) != 0 {
		t.Errorf("%d neighbours of a deleted link", len(got))
	}
}

func FuzzNeighbor(f *testing.F) {
	f.Add(kerneltest.Message([]byte{unix.AF_INET, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 1}, kerneltest.Attribute(unix.NDA_DST, 10, 0, 0, 2),
		kerneltest.Attribute(unix.NDA_LLADDR, 2, 0, 0, 0, 0, 1), kerneltest.Attribute(rtnl.NdaFlagsExt, 1, 0, 0, 0)))
	f.Fuzz(func(t *testing.T, msg []byte) {
		n, err := rtnl.ParseNeighbor(msg)
		if err != nil || rtnl.FamilyNumber(n.Family) == 0 {
			return
		}
		id, v := neighborRow(&n, store.Of(1), &rtnl.LinkNames{ByIndex: map[int32]string{n.Index: "eth0"}})
		if _, err := netip.ParseAddr(id.Addr); err != nil {
			t.Error(err)
		}
		if (v.State == "") != (id.Proxy == store.Of(1)) {
			t.Errorf("state %q of %+v", v.State, id)
		}
	})
}
