package owners

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// TestLookAside: tables that are not known are looked for while a socket is without a holder, and not for long; each sample goes on
// where the last one stopped.
func TestLookAside(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	a, b := newActor(t), newActor(t)
	wo.PIDs = []int32{a.pid, b.pid}
	slices.Sort(wo.PIDs)
	for _, pid := range wo.PIDs {
		wo.refresh(pid, nil)
	}
	wo.Begin(100, 100)
	e := wo.shows(1)
	for _, c := range []struct {
		lost   uint32
		looked bool
	}{{0, true}, {100, true}, {101 - OrphanSamples, true}, {100 - OrphanSamples, false}, {1, false}} {
		e.Lost, wo.asidePID = c.lost, 0
		if err := wo.lookAside(t.Context()); err != nil || (wo.asidePID == wo.PIDs[1]+1) != c.looked || !c.looked && wo.asidePID != 0 {
			t.Errorf("lost in sample %d of 100: up to process %d of %v, %v", c.lost, wo.asidePID, wo.PIDs, err)
		}
	}
	e.Lost, wo.asidePID = 0, wo.PIDs[1]
	if err := wo.lookAside(t.Context()); err != nil || wo.asidePID != wo.PIDs[0]+1 {
		t.Errorf("from the last one on: up to process %d of %v, %v", wo.asidePID, wo.PIDs, err)
	}
}

// TestFreedPlaces: a new socket is looked for in the places of those that are gone, before anything else is read.
func TestFreedPlaces(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	first, firstInode := newSocket(t)
	second, secondInode := newSocket(t)
	a := newActor(t, first, second)
	one := wo.shows(firstInode)
	wo.PIDs = []int32{a.pid}
	p := wo.meet(a)
	wo.next()
	wo.Vanished(one)
	a.do("exec 3<&4 4<&-")
	p.changed = false
	two := wo.shows(secondInode)
	if err := wo.seek(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHolds(t, "in the freed place", two, hold{a.pid, 3, 1})
	if p.walked == wo.Gen || p.freed != 0 {
		t.Errorf("it was read as a whole: %+v", p.Table)
	}
}

// TestRounds: for a new socket that is nowhere, all places are verified, and not again before recheck.
func TestRounds(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	a := newActor(t)
	wo.PIDs = []int32{a.pid}
	wo.meet(a)
	wo.shows(1)
	begun := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		after    time.Duration
		complete bool
		want     time.Duration // of the last round
	}{{0, false, 0}, {recheckOwners - 1, false, 0}, {recheckOwners, true, 0}, {recheckOwners, false, recheckOwners}, {3 * recheckOwners, false, 3 * recheckOwners}} {
		wo.next()
		wo.complete, wo.Looked = c.complete, begun.Add(c.after)
		if err := wo.seek(t.Context()); err != nil || !wo.Round.Equal(begun.Add(c.want)) {
			t.Errorf("after %v, all verified %v: the last round was after %v, want %v; %v", c.after, c.complete, wo.Round.Sub(begun), c.want, err)
		}
	}
}

// TestUnresolvedShrinks: the room of a day with many short connections is given back.
func TestUnresolvedShrinks(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	wo.PIDs = nil
	for _, c := range []struct {
		left, room int
		kept       bool
	}{{1, 1024, true}, {1, 1025, false}, {300, 1200, true}, {300, 1201, false}} {
		wo.byInode = map[uint32]*Held{}
		wo.unresolved = make([]*Held, 0, c.room)
		for i := range c.left {
			e := &Held{Inode: uint32(i + 1), Lost: 1}
			wo.byInode[e.Inode], wo.unresolved = e, append(wo.unresolved, e)
		}
		wo.Gen = 100
		if err := wo.search(t.Context()); err != nil || len(wo.unresolved) != c.left || (cap(wo.unresolved) == c.room) != c.kept {
			t.Errorf("%d of %d: %d of %d, %v", c.left, c.room, len(wo.unresolved), cap(wo.unresolved), err)
		}
	}
}

// TestSameProgram: a process that writes into its own command line does not become another; one without a command line is read again.
func TestSameProgram(t *testing.T) {
	t.Parallel()
	wo := newRecorded(t)
	a := newActor(t)
	p := wo.meet(a)
	wo.identify(p)
	id := p.ID
	p.ID.Cmdline = "as it was"
	if !wo.identify(p) || p.ID.Cmdline != "as it was" {
		t.Errorf("it has become %q", p.ID.Cmdline)
	}
	for _, change := range []func(){func() { p.ID.Cmdline = "" }, func() { p.ID.Comm = "x" }, func() { p.ID.Exe = "x" }, func() { p.ID.Started++ }} {
		p.ID.Cmdline = "as it was"
		if change(); !wo.identify(p) || p.ID != id {
			t.Errorf("it is %+v, want %+v", p.ID, id)
		}
	}
	// What is not counted is unknown, and none is none.
	source := wo.Source
	wo.w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0), Uptime: time.Second, Awake: time.Second})
	source.Read(func() error {
		for counted, want := range map[int64]store.Int{-1: {}, 0: store.Of(0), 7: store.Of(7)} {
			p.Counted = counted
			if wo.report(p); p.val.FDs != want || p.reported != wo.Gen || p.Ref == 0 {
				t.Errorf("%d descriptors are %v", counted, p.val.FDs)
			}
		}
		return nil
	})
}

func TestOddWords(t *testing.T) {
	t.Parallel()
	const tail = " S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 200 18446744073709551615 1 1 140737488000000 0 0\n"
	if s, err := parseStat([]byte("(x)" + tail)); err != nil || s.comm != "x" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := parseStat([]byte("43 (x) \n" + tail)); err == nil {
		t.Errorf("two lines: %+v", s)
	}
	id := strings.Repeat("0123456789abcdef", 4)
	if got := ContainerID(id); got != id {
		t.Errorf("container %q", got)
	}
	if got := SystemdUnit("a.service"); got != "a.service" {
		t.Errorf("unit %q", got)
	}
	if got := SystemdUnit("/.service/.slice"); got != "" {
		t.Errorf("unit %q", got)
	}
	for text, want := range map[string]string{
		"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n": "/sys/fs/cgroup", "1 2 3 4 /a\\040b - cgroup2 x y\n": "/a b",
		"1 2 3 4 - cgroup2 x y\n": "", "1 2 3 4 /a - cgroup x y\n": "", "1 2 3 4 /a cgroup2 x\n": "",
	} {
		if got := cgroup2Root([]byte(text)); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	// The groups of a tree; with more than the limit, those of before are forgotten.
	c := &Cgroups{Root: t.TempDir()}
	if err := os.Mkdir(c.Root+"/a", 0o700); err != nil {
		t.Fatal(err)
	}
	c.paths = map[uint64]string{1: "before"}
	if c.walk(); len(c.paths) != 3 || c.paths[1] != "before" {
		t.Errorf("%v", c.paths)
	}
	for i := range uint64(cgroupLimit) {
		c.paths[1<<60+i] = "gone"
	}
	if c.walk(); len(c.paths) != 2 {
		t.Errorf("%d groups are remembered", len(c.paths))
	}
}

// A process that has used up most of its descriptors is recorded though it holds no socket, with how many there are now, until it has room again.
func TestNearlyFull(t *testing.T) {
	t.Parallel()
	wo := newRecorded(t)
	var files []*os.File
	for range manyFDs - 3 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files = append(files, f)
	}
	a := newActor(t, files...)
	// It has manyFDs with the standard ones; a shell may have opened one more for itself.
	shown := func() (fds, limit int64, ok bool) {
		wo.t.Helper()
		if p := wo.ByPID[a.pid]; p != nil {
			p.Due = time.Time{}
		}
		wo.sample()
		p := wo.ByPID[a.pid]
		return p.val.FDs.Or(-1), p.val.FDLimit.Or(-1), p.reported == wo.Gen
	}
	for _, c := range []struct {
		do   string
		want bool
	}{
		{"ulimit -n 60", false}, // so it has half of them
		{"ulimit -n 37", true},
		{"exec 9<&- 8<&- 7<&- 6<&-", false},
		{"exec 6</dev/null 7</dev/null 8</dev/null 9</dev/null", true},
	} {
		a.do(c.do)
		fds, limit, ok := shown()
		if ok != c.want || ok && (limit != 37 || fds < manyFDs || fds > manyFDs+1) {
			t.Errorf("%s: recorded %v, with %d of %d descriptors", c.do, ok, fds, limit)
		}
	}
	// It is not read again yet, but counted.
	wo.ByPID[a.pid].Due = time.Now().Add(time.Hour)
	a.do("exec 9<&- 8<&-")
	before := wo.ByPID[a.pid].val.FDs.Or(-1)
	if wo.sample(); wo.ByPID[a.pid].val.FDs.Or(-1) != before-2 {
		t.Errorf("%d descriptors, and two fewer are recorded as %d", before, wo.ByPID[a.pid].val.FDs.Or(-1))
	}
}
