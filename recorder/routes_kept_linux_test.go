package recorder

import (
	"context"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// Where there are many routes they are read when something was told that concerns them, when something may have been missed,
// and once in a minute; in between they are kept, and the recording has them all the same.
func TestRoutesAreKept(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0", "d1")
	for _, link := range []string{"d1", "d1p"} { // its IPv6 routes would be told of
		setSysctl(t, "net/ipv6/conf/"+link+"/disable_ipv6", "1")
	}
	ip(t, "addr add 10.1.0.1/24 dev d0")
	ip(t, "addr add 10.2.0.1/24 dev d1")
	r := newTestRun(t, "self")
	r.sample()
	net := r.networks[0]
	var src *routes
	for _, s := range net.sources {
		if found, ok := s.(*routes); ok {
			src = found
		}
	}
	if r.sample(); r.outcome("routes") != "read" {
		t.Fatalf("few routes are %s", r.outcome("routes"))
	}
	src.many = 1
	heard := func() bool {
		net.changes.mu.Lock()
		defer net.changes.mu.Unlock()
		return len(net.changes.queue.messages) > 0
	}
	for _, step := range []struct {
		name    string
		do      func()
		outcome string
	}{
		{"nothing", func() {}, "kept"},
		{"a neighbour comes", func() { ip(t, "neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev d0 nud permanent") }, "kept"},
		{"a route comes", func() { ip(t, "route add 10.7.0.0/16 via 10.1.0.254") }, "read"},
		{"nothing after it", func() {}, "kept"},
		{"a link goes down, and IPv4 routes with it", func() { ip(t, "link set d1 down") }, "read"},
		{"an address goes", func() { ip(t, "addr del 10.1.0.1/24 dev d0") }, "read"},
		{"nothing after that", func() {}, "kept"},
		{"a minute", func() { src.due = time.Now() }, "read"},
		{"some changes are lost", func() { net.changes.queue.lose() }, "read"},
		{"some changes are too many", func() { net.changes.queue.overflow = 1 }, "read"},
		{"nobody listened", func() { net.changes.close() }, "read"},
		{"nobody was able to listen", func() { net.changes.failed = unix.EBADF }, "read"},
		{"listening again", func() {}, "read"},
		{"nothing at last", func() {}, "kept"},
	} {
		step.do()
		if strings.Contains(step.name, "comes") {
			eventually(t, step.name+" and is heard of", heard)
		}
		for tries := 0; ; tries++ { // the kernel may tell a little later what else a link has led to
			r.sample()
			if got := r.outcome("routes"); got == step.outcome {
				break
			} else if step.outcome == "read" || tries == 50 {
				t.Errorf("%s: %s, want %s", step.name, got, step.outcome)
				break
			}
		}
		sameRoutes(t, r, step.name)
	}
}

func sameRoutes(t *testing.T, r *testRun, when string) {
	t.Helper()
	want, got := ipRoutes(t), routesOf(r.testRecording)
	if strings.Join(want, "\n") != strings.Join(got, "\n") {
		t.Errorf("%s: ip has\n%s\nthe recording\n%s", when, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
}

// Routes that only a sample knows that was not written, or whose source failed since, are not kept.
func TestRoutesAreNotKeptUnwritten(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	r := newRecording(t)
	src := newRoutes(r.Writer, here(t)).(*routes)
	src.many, src.quiet = 1, func() bool { return true }
	lose := func() {
		t.Helper()
		up := time.Duration(r.tick)*time.Second + time.Millisecond
		r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		src.read(t.Context())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Commit(ctx, store.Cost{}); err == nil {
			t.Fatal("the sample was written")
		}
	}
	expect := func(when, want string) {
		t.Helper()
		if got := r.outcome("routes"); got != want {
			t.Errorf("%s: %s, want %s", when, got, want)
		}
		if want, got := ipRoutes(t), routesOf(r); strings.Join(want, "\n") != strings.Join(got, "\n") {
			t.Errorf("%s: ip has\n%s\nthe recording\n%s", when, strings.Join(want, "\n"), strings.Join(got, "\n"))
		}
	}
	r.sample(src)
	r.sample(src)
	expect("at rest", "kept")
	for _, change := range []string{"route add 10.7.0.0/16 via 10.1.0.254", "route del 10.7.0.0/16"} {
		ip(t, change)
		src.due = time.Now()
		lose()
		r.sample(src)
		expect(change+", seen by a sample that was not written", "read")
		r.sample(src)
		expect(change+", at rest", "kept")
	}
	// Its namespace could not be entered.
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(time.Hour), Uptime: time.Hour, Awake: time.Hour})
	r.Unreachable(here(t).id, unix.EPERM)
	if err := r.Commit(t.Context(), store.Cost{}); err != nil {
		t.Fatal(err)
	}
	r.tick += 3700
	r.sample(src)
	expect("after its source failed", "read")
}
