package recorder

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

func contextCanceled(t *testing.T) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx, cancel
}

// TestSourcesAfterLostSample: a sample that could not be written does not make the next one
// believe that the recording has what it said.
func TestSourcesAfterLostSample(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "neigh add 10.1.0.50 lladdr 02:00:00:00:00:50 dev d0 nud permanent")
	ip(t, "neigh add 10.1.0.51 lladdr 02:00:00:00:00:51 dev d0 nud permanent")
	kerneltest.Command(t, "tc", strings.Fields("qdisc add dev d0 root handle 1: pfifo")...)
	kerneltest.Command(t, "tc", strings.Fields("qdisc add dev d0p root handle 1: bfifo")...)
	r := newRecording(t)
	ns := here(t)
	sources := map[string]source{
		"interfaces": newInterfaces(r.Writer, ns), "addresses": newAddresses(r.Writer, ns), "neighbors": newNeighbors(r.Writer, ns),
		"routes": newRoutes(r.Writer, ns), "rules": newRules(r.Writer, ns), "protocol_counters": newProtocolCounters(r.Writer, ns),
		"qdiscs": newQdiscs(r.Writer, ns), "multicast_groups": newMulticastGroups(r.Writer, ns),
	}
	lose := func() {
		t.Helper()
		r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(time.Duration(r.tick) * time.Second)})
		for _, src := range sources {
			src.read(t.Context())
		}
		ctx, cancel := contextCanceled(t)
		defer cancel()
		if err := r.Commit(ctx, store.Cost{}); err == nil {
			t.Fatal("the sample was written")
		}
	}
	sample := func() {
		t.Helper()
		var list []source
		for _, src := range sources {
			list = append(list, src)
		}
		r.sample(list...)
	}
	lose()
	sample()
	for name := range sources {
		if rows := r.rows("SELECT 1 FROM " + name + "_now"); len(rows) < 2 {
			t.Errorf("%s: %d rows after a lost sample", name, len(rows))
		}
	}
	ip(t, "route add 10.7.0.0/16 via 10.1.0.254")
	lose()
	sample()
	if got := r.rows("SELECT 1 FROM routes_now WHERE dst = '10.7.0.0/16'"); len(got) != 1 {
		t.Errorf("the route that a lost sample saw first is in %d rows", len(got))
	}
	ip(t, "route del 10.7.0.0/16")
	lose()
	sample()
	if got := r.rows("SELECT 1 FROM routes_now WHERE dst = '10.7.0.0/16'"); len(got) != 0 {
		t.Errorf("the route whose end a lost sample saw is in %d rows", len(got))
	}
}

func FuzzHardwareAddr(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 1})
	f.Add([]byte{10, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := hardwareAddr(b)
		switch len(b) {
		case 4, 16:
			if a, err := netip.ParseAddr(got); err != nil || !bytes.Equal(a.AsSlice(), b) {
				t.Errorf("%v: %q", b, got)
			}
		default:
			var want []string
			for _, c := range b {
				want = append(want, fmt.Sprintf("%02x", c))
			}
			if got != strings.Join(want, ":") {
				t.Errorf("%v: %q", b, got)
			}
		}
	})
}

// manySources reads several sources as one.
type manySources []source

func (m manySources) read(ctx context.Context) {
	for _, s := range m {
		s.read(ctx)
	}
}

// BenchmarkLinkSources is what a sample costs on this machine, without sockets and processes.
func BenchmarkLinkSources(b *testing.B) {
	constructors := map[string]func(*store.Writer, namespace) source{
		"interfaces": newInterfaces, "qdiscs": newQdiscs, "addresses": newAddresses, "multicast_groups": newMulticastGroups, "neighbors": newNeighbors, "routes": newRoutes, "rules": newRules,
		"protocol_counters": newProtocolCounters, "softnet": newSoftnet, "conntrack": newConntrack, "settings": newSettings,
	}
	for name, constructor := range constructors {
		b.Run(name, func(b *testing.B) { benchSource(b, constructor, func(int) {}) })
	}
	b.Run("all", func(b *testing.B) {
		benchSource(b, func(w *store.Writer, ns namespace) source {
			var all manySources
			for _, constructor := range constructors {
				all = append(all, constructor(w, ns))
			}
			return all
		}, func(int) {})
	})
}
