package recorder

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
)

// A source that is switched off is not read, and the recording says so; all others are read as ever.
func TestWithout(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "route add 10.7.0.0/16 dev d0")
	record := func(names ...string) (r *testRecording, said []string) {
		r = &testRecording{t: t, path: filepath.Join(t.TempDir(), "without.db")}
		err := Run(t.Context(), Config{Path: r.path, Interval: MinInterval, Once: true, NetNS: NetNS{own: true}, Without: names,
			Notice: func(n Notice) { said = append(said, n.Text) }})
		if err != nil {
			t.Fatal(err)
		}
		return r, said
	}
	outcomes := func(r *testRecording) map[string]string {
		got := map[string]string{}
		for _, row := range r.rows("SELECT source, outcome, coalesce(error, '') AS error FROM sources_now") {
			got[row["source"].(string)] = row["outcome"].(string) + " " + row["error"].(string)
		}
		return got
	}
	all, noticed := record()
	usual := outcomes(all)
	reads := map[string][]string{"raw": {"raw4", "raw6"}, "tcp": {"tcp4", "tcp6", "traffic"}, "udp": {"udp4", "udp6"}, "udplite": {"udplite4", "udplite6"},
		"mptcp": {"mptcp4", "mptcp6"}, "sctp": {"sctp4", "sctp6"}, "ping": {"ping4", "ping6"},
		"sockets": {"tcp4", "tcp6", "udp4", "udp6", "raw4", "raw6", "udplite4", "udplite6", "packet", "unix", "netlink", "owners", "traffic"}}
	for _, name := range SourceNames {
		r, said := record(name)
		off := reads[name]
		if off == nil {
			off = []string{name}
		}
		got, want := outcomes(r), map[string]string{}
		for source, outcome := range usual {
			if want[source] = outcome; slices.Contains(off, source) {
				want[source] = "off --without " + name
			}
		}
		if slices.ContainsFunc(rareKinds[:], func(k rareKind) bool { return k.protocol().proto == name }) { // which has no source where there is none
			for _, source := range off {
				want[source] = "off --without " + name
			}
		}
		if name == "trace" || name == "drops" { // which root of a user namespace may not read
			want[name] = "off --without " + name
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("without %s (-want +got):\n%s", name, diff)
		}
		if n := r.rows("SELECT DISTINCT source FROM gaps WHERE kind = 'off' AND detail LIKE '--without %'"); len(n) != len(off) {
			t.Errorf("without %s: gaps of %v, want those of %q", name, n, off)
		}
		if n := r.rows("SELECT source FROM sources_now WHERE outcome = 'off' AND (rows IS NOT NULL OR duration_ms IS NOT NULL)"); len(n) > 0 {
			t.Errorf("without %s: %v have rows or a time", name, n)
		}
		if slices.ContainsFunc(said, func(s string) bool { return !slices.Contains(noticed, s) }) {
			t.Errorf("without %s it is said: %q", name, said)
		}
	}
	r, _ := record("routes", "conntrack")
	if rows := r.rows("SELECT 1 FROM routes"); len(rows) > 0 {
		t.Errorf("%d routes are recorded without routes", len(rows))
	}
	if rows := r.rows("SELECT 1 FROM interfaces"); len(rows) < 2 {
		t.Error("without routes interfaces are not recorded")
	}
}

// What the last run saw is not gone because this one does not look.
func TestWithoutIsUnknown(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "route add 10.7.0.0/16 dev d0")
	r := &testRecording{t: t, path: filepath.Join(t.TempDir(), "unknown.db")}
	for _, names := range [][]string{nil, {"routes"}, nil} {
		if err := Run(t.Context(), Config{Path: r.path, Interval: MinInterval, Once: true, NetNS: NetNS{own: true}, Without: names}); err != nil {
			t.Fatal(err)
		}
	}
	if rows := r.rows("SELECT * FROM route_changes WHERE dst = '10.7.0.0/16' AND change IN ('disappeared', 'deleted', 'gone', '-')"); len(rows) > 0 {
		t.Errorf("the route that was there all the time is said to have gone: %v", rows)
	}
	if rows := r.rows("SELECT 1 FROM routes WHERE dst = '10.7.0.0/16'"); len(rows) != 2 {
		t.Errorf("the route stands in %d samples, want the first and the last", len(rows))
	}
}

func TestWithoutWhat(t *testing.T) {
	t.Parallel()
	err := Run(t.Context(), Config{Path: filepath.Join(t.TempDir(), "never.db"), Interval: MinInterval, Without: []string{"routes", "weather"}})
	if err == nil || !strings.Contains(err.Error(), `"weather"`) || !strings.Contains(err.Error(), "conntrack, drops, firewall, interfaces") {
		t.Errorf("%v", err)
	}
}
