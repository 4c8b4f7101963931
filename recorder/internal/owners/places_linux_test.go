package owners

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// TestPlaces follows the places of two sockets in a process, one sample after another.
func TestPlaces(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	first, firstInode := newSocket(t)
	second, secondInode := newSocket(t)
	a := newActor(t, first, second)
	a.do("exec 5<&3")
	one, two := wo.shows(firstInode), wo.shows(secondInode)
	p := wo.meet(a)
	wantHolds(t, "one in two places", one, hold{a.pid, 3, 2})
	wantHolds(t, "two", two, hold{a.pid, 4, 1})
	listed, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", a.pid))
	if err != nil {
		t.Fatal(err)
	}
	if p.Held != 2 || len(p.sockets) != 3 || p.Counted != int64(len(listed)) || p.changed || p.denied {
		t.Errorf("%d sockets in %d places of %d descriptors, want 2 in 3 of %d", p.Held, len(p.sockets), p.Counted, len(listed))
	}
	verify := func(from uint32, budget int) (int, int) {
		place := wo.verifyFDs(&p.Table, from, &budget)
		return place, budget
	}

	if place, left := verify(0, 9); place != 3 || left != 9 {
		t.Errorf("what was read in this sample is read again: up to place %d, %d left", place, left)
	}
	wo.next()
	if place, left := verify(0, 1); place != 1 || left != 0 {
		t.Errorf("one place: up to %d, %d left", place, left)
	}
	if place, left := verify(4, 9); place != 3 || left != 7 || p.changed {
		t.Errorf("from descriptor 4 on: up to %d, %d left, changed %v", place, left, p.changed)
	}

	wo.next()
	wo.rereading = 0 // it is not read again as a whole
	a.do("exec 3<&-")
	if place, left := verify(0, 9); place != 3 || left != 6 || !p.changed || p.freed != 1 {
		t.Errorf("one place is free: up to %d, %d left, changed %v, %d free", place, left, p.changed, p.freed)
	}
	wantHolds(t, "one in its other place", one, hold{a.pid, 5, 1})

	wo.next()
	a.do("exec 3<&4")
	wo.readFreed(&p.Table)
	wantHolds(t, "two where one was", two, hold{a.pid, 3, 2})
	if p.freed != 0 || len(p.sockets) != 3 || p.Held != 2 {
		t.Errorf("%d sockets in %d places, %d free", p.Held, len(p.sockets), p.freed)
	}

	wo.next()
	wo.rereading = 0
	wo.unresolved = wo.unresolved[:0]
	a.do("exec 5<&-")
	verify(0, 9)
	wantHolds(t, "one is closed", one)
	if one.Lost != wo.Gen || !slices.Contains(wo.unresolved, one) || p.Held != 1 {
		t.Errorf("lost in sample %d of %d, %d sockets left", one.Lost, wo.Gen, p.Held)
	}
	wo.next()
	wo.readFreed(&p.Table) // nothing came there
	if p.freed != 0 || len(p.sockets) != 2 {
		t.Errorf("%d places, %d free", len(p.sockets), p.freed)
	}

	// A place that leads elsewhere has a small process read again at once.
	wo.next()
	a.do("exec 4<&- 3<&- 7<&0")
	before := p.Counted
	verify(0, 9)
	wantHolds(t, "two is closed", two)
	if p.walked != wo.Gen || p.changed || p.Held != 0 || len(p.sockets) != 0 {
		t.Errorf("not read again: %+v", p.Table)
	}
	if wo.rereading != rereadBudget-before {
		t.Errorf("%d of the budget are left, of %d descriptors", wo.rereading, before)
	}

	// A process that has ended.
	wo.next()
	p.sockets, p.Held = []fdInode{{4, secondInode, 0}}, 1
	a.end()
	if _, left := verify(0, 9); left != 9 || !p.changed {
		t.Errorf("%d left, changed %v", left, p.changed)
	}
	wo.readFreed(&p.Table)
	wo.Walk(&p.Table, Reading)
	if wo.ByPID[a.pid] != nil {
		t.Error("a process that has ended is remembered")
	}
}

// TestReread: only a small process is read again at a hint, and as far as the budget goes.
func TestReread(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	wo.shows(inode)
	p := wo.meet(a)
	for _, c := range []struct {
		name          string
		small, budget int64
		read          bool
	}{
		{"just small enough", p.Counted, rereadBudget, true},
		{"too large", p.Counted - 1, rereadBudget, false},
		{"budget enough", SmallProcess, p.Counted, true},
		{"budget spent", SmallProcess, p.Counted - 1, false},
	} {
		wo.next()
		wo.Small, wo.rereading = c.small, c.budget
		wo.reread(&p.Table)
		if read := p.walked == wo.Gen; read != c.read || wo.rereading != c.budget-map[bool]int64{true: p.Counted}[c.read] {
			t.Errorf("%s: read %v, %d of %d are left", c.name, read, wo.rereading, c.budget)
		}
	}
}

// TestVanished: a socket that no dump shows any more leaves its places free, in every process.
func TestVanished(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	first, firstInode := newSocket(t)
	second, secondInode := newSocket(t)
	a, b := newActor(t, first, second), newActor(t, first)
	a.do("exec 5<&3")
	one, two := wo.shows(firstInode), wo.shows(secondInode)
	p, q := wo.meet(a), wo.meet(b)
	if a.pid < b.pid {
		wantHolds(t, "both", one, hold{a.pid, 3, 2}, hold{b.pid, 3, 1})
	}
	wo.Vanished(one)
	wantHolds(t, "vanished", one)
	wantHolds(t, "the other", two, hold{a.pid, 4, 1})
	places := func(p *Process) (inodes []uint32) {
		for _, f := range p.sockets {
			inodes = append(inodes, f.inode)
		}
		return inodes
	}
	if !slices.Equal(places(p), []uint32{0, secondInode, 0}) || !slices.Equal(places(q), []uint32{0}) {
		t.Errorf("places %v, %v", places(p), places(q))
	}
	if p.Held != 1 || p.freed != 2 || !p.changed || q.Held != 0 || q.freed != 1 || !q.changed {
		t.Errorf("%+v, %+v", p.Table, q.Table)
	}
	if wo.byInode[firstInode] != nil || wo.byInode[secondInode] != two {
		t.Error("the dump shows it still")
	}
	// Another socket has its inode by now.
	three := wo.shows(firstInode)
	wo.Vanished(one)
	if wo.byInode[firstInode] != three {
		t.Error("another of its inode has vanished too")
	}
	wo.forget(p)
	wantHolds(t, "forgotten", two)
	if wo.ByPID[a.pid] != nil || p.sockets != nil || wo.ByPID[b.pid] != q {
		t.Errorf("%+v", p.Table)
	}
	// Forgotten twice, it is no other of the same number.
	again := wo.meet(a)
	if wo.forget(p); wo.ByPID[a.pid] != again {
		t.Error("the next process of that number is forgotten too")
	}
	// A socket that no dump showed so far is shown.
	wo.byInode[firstInode].Unlisted = true
	wantHolds(t, "unlisted", three, hold{a.pid, 3, 2})
	four := wo.shows(firstInode)
	wantHolds(t, "listed by now", three)
	if wo.byInode[firstInode] != four || wo.Twins != nil {
		t.Error("it is another socket")
	}
	wo.Appeared(four)
	if wo.byInode[firstInode] != four || wo.Twins != nil {
		t.Error("it is a twin of its own")
	}
}

// TestTwins: sockets of one inode are held by the same processes, whichever of them goes first.
func TestTwins(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	first, second, third := wo.shows(inode), wo.shows(inode), wo.shows(inode)
	if wo.byInode[inode] != first || !slices.Equal(wo.Twins[inode], []*Held{second, third}) {
		t.Fatal("no twins")
	}
	p := wo.meet(a)
	first.Lost = 7
	wo.matchTwins()
	for _, e := range []*Held{first, second, third} {
		if wantHolds(t, "twin", e, hold{a.pid, 3, 1}); e.Lost != 7 {
			t.Errorf("lost in sample %d", e.Lost)
		}
	}
	// What was reported is of each by itself.
	first.Holders[0].Shown, second.Holders[0].Shown, third.Holders[0].Shown = 3, 4, 5
	wo.matchTwins()
	if first.Holders[0].Shown != 3 || second.Holders[0].Shown != 4 || third.Holders[0].Shown != 5 {
		t.Error("what was reported of one is said of another")
	}
	third.Holders[0].table = 9 // of another table nothing was reported
	wo.matchTwins()
	if third.Holders[0].Shown != 0 || third.Holders[0].table != 0 {
		t.Errorf("%+v", third.Holders[0])
	}
	third.Holders[0].Shown, third.Holders[0].Process = 6, &Process{}
	wo.matchTwins()
	if third.Holders[0].Shown != 0 || third.Holders[0].Process != p {
		t.Errorf("%+v", third.Holders[0])
	}

	wo.unresolved = wo.unresolved[:0]
	wo.Vanished(&Held{Inode: inode}) // one that is none of them
	if len(wo.Twins[inode]) != 2 {
		t.Error("a stranger has taken a twin along")
	}
	wo.Vanished(second)
	wantHolds(t, "the second has gone", second)
	wantHolds(t, "the first stays", first, hold{a.pid, 3, 1})
	if !slices.Equal(wo.Twins[inode], []*Held{third}) || p.Held != 1 {
		t.Errorf("%d twins, %d held", len(wo.Twins[inode]), p.Held)
	}
	wo.Vanished(first)
	wantHolds(t, "the first has gone", first)
	wantHolds(t, "the third takes its place", third, hold{a.pid, 3, 1})
	if wo.byInode[inode] != third || len(wo.Twins) != 0 || third.Lost != 7 || slices.Contains(wo.unresolved, third) {
		t.Errorf("%+v", third)
	}
	wo.Vanished(third)
	if wo.byInode[inode] != nil || p.Held != 0 {
		t.Error("the last stays")
	}
	// Of two that nobody holds, the one that is left is looked for.
	first, second = wo.shows(inode), wo.shows(inode)
	wo.unresolved = wo.unresolved[:0]
	wo.Vanished(first)
	if !slices.Contains(wo.unresolved, second) {
		t.Error("nobody looks for the one that is left")
	}
}

// TestTold: the log says who holds a socket, and why nobody does.
func TestTold(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	logs, err := debuglog.Parse("owners", &text)
	if err != nil {
		t.Fatal(err)
	}
	wo := newWorld(t)
	wo.Log = logs.Owners
	f, inode := newSocket(t)
	a := newActor(t, f)
	wo.shows(inode)
	p := wo.meet(a)
	a.do("exec 3<&-")
	wo.next()
	wo.Walk(&p.Table, Reading)
	wo.unresolved = []*Held{{Inode: 41}, {Inode: 42, OnItsWay: true}}
	wo.closed = []*Held{{Inode: 43}}
	p.denied = true
	wo.ByPID[1<<30] = &Process{Table: Table{denied: true}}
	wo.tellMissing()
	for _, want := range []string{
		fmt.Sprintf("inode %d is held by process %d (sh), descriptor 3 of table 0", inode, a.pid),
		fmt.Sprintf("inode %d is not held by process %d any more; 0 others hold it", inode, a.pid),
		"inode 41 has no owner: no process shows it; the descriptors of 2 processes may not be read",
		"inode 42 has no owner: no process shows it, and the kernel says that it is open",
		"inode 43 has no owner: it was closed after the dump",
		fmt.Sprintf("%d processes, 0 known descriptors of sockets", len(wo.PIDs)),
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, text.String())
		}
	}
}

// TestDoubtful: a process that does not have a doubtful socket any more does not hold it; nobody else is looked for.
func TestDoubtful(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	first, firstInode := newSocket(t)
	second, secondInode := newSocket(t)
	a, b := newActor(t, first, second), newActor(t, first)
	a.do("exec 5<&3")
	one, two := wo.shows(firstInode), wo.shows(secondInode)
	p := wo.meet(a)
	wo.meet(b)
	wo.Doubtful = []*Held{one, two}
	a.do("exec 3<&- 5<&- 6<&4 4<&-")
	wo.verifyDoubtful() // what was read in this sample is not read again
	if len(one.Holders) != 2 {
		t.Errorf("%d processes hold it", len(one.Holders))
	}
	wo.next()
	wo.verifyDoubtful()
	wantHolds(t, "of two processes one", one, hold{b.pid, 3, 1})
	wantHolds(t, "moved to a place that nobody looked at", two)
	if p.Held != 0 {
		t.Errorf("%d are held", p.Held)
	}
	if wo.byInode[secondInode] != nil || wo.byInode[firstInode] != one || !p.changed {
		t.Error("what nobody holds vanishes")
	}
	// In one of its two places there is another by now.
	wo.next()
	b.do("exec 4<&3")
	q := wo.ByPID[b.pid]
	wo.Walk(&q.Table, Reading)
	other, otherInode := newSocket(t)
	c := newActor(t, other, other)
	three := wo.shows(otherInode)
	wo.meet(c)
	wantHolds(t, "three", three, hold{c.pid, 3, 2})
	c.do("exec 3<&0") // a pipe
	wo.next()
	wo.Doubtful = []*Held{three}
	wo.verifyDoubtful()
	wantHolds(t, "three in one place", three, hold{c.pid, 4, 1})
	// A process that has ended cannot be asked: it is a holder until it is seen that it has gone.
	c.end()
	wo.next()
	wo.verifyDoubtful()
	wantHolds(t, "ended", three, hold{c.pid, 4, 1})
}

// TestStrays: a process holds sockets that no dump shows: a TCP socket that is neither bound nor connected, among others.
func TestStrays(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	sockets := map[string]uint32{}
	var files []*os.File
	for _, s := range []struct {
		name      string
		af, proto int
	}{{"tcp 4", unix.AF_INET, unix.SOCK_STREAM}, {"tcp 6", unix.AF_INET6, unix.SOCK_STREAM}, {"udp 4", unix.AF_INET, unix.SOCK_DGRAM}, {"unix", unix.AF_UNIX, unix.SOCK_STREAM}} {
		fd, err := unix.Socket(s.af, s.proto|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			kerneltest.NeedKernel(t, err.Error())
		}
		f := os.NewFile(uintptr(fd), s.name)
		t.Cleanup(func() { f.Close() })
		files, sockets[s.name] = append(files, f), inodeOf(t, fd)
	}
	a := newActor(t, files...)
	p := wo.meet(a)
	if len(wo.Strays) != 4 || p.Held != 0 || wo.HoldsUnknownTCP() {
		t.Errorf("%d strays, %d held", len(wo.Strays), p.Held)
	}
	at := wo.Strays[sockets["tcp 4"]]
	if at.table != &p.Table || at.fd != 3 || at.noticed != wo.Gen || wo.IsVerified(at) {
		t.Errorf("%+v", at)
	}
	wo.next()
	if !wo.HoldsUnknownTCP() || len(wo.Strays) != 3 || !wo.other[sockets["unix"]] {
		t.Errorf("%d strays, of other kinds %v", len(wo.Strays), wo.other)
	}
	if _, _, _, ok := wo.KindOf(wo.Strays[sockets["tcp 4"]]); ok {
		t.Error("it is known where it is, and nobody says where processes are")
	}
	wo.NetNS = func(pid int32, start uint64) (n store.Int) {
		if pid == a.pid && start == p.stat.Start {
			return store.Of(77)
		}
		return n
	}
	for name, want := range map[string]struct {
		proto string
		af    uint8
	}{"tcp 4": {"tcp", unix.AF_INET}, "tcp 6": {"tcp", unix.AF_INET6}, "udp 4": {"udp", unix.AF_INET}} {
		at := wo.Strays[sockets[name]]
		netns, proto, af, ok := wo.KindOf(at)
		if !ok || netns != store.Of(77) || proto != want.proto || af != want.af || !wo.IsVerified(at) {
			t.Errorf("%s: %v %s %d %v", name, netns, proto, af, ok)
		}
	}
	// Read again, nothing is noticed twice, and what is none of ours is not noticed.
	wo.next()
	wo.Walk(&p.Table, Reading)
	if len(wo.Strays) != 3 || wo.Strays[sockets["tcp 4"]].noticed == wo.Gen {
		t.Errorf("%d strays", len(wo.Strays))
	}
	// Taken: its process holds it. Closed, or shown by a dump: no stray any more.
	e := &Held{Inode: sockets["tcp 4"], Dump: wo.Gen, Unlisted: true}
	wo.Take(e, wo.Strays[sockets["tcp 4"]])
	wantHolds(t, "taken", e, hold{a.pid, 3, 1})
	if _, is := wo.Strays[sockets["tcp 4"]]; is || wo.byInode[e.Inode] != e || p.Held != 1 {
		t.Error("it is a stray still")
	}
	a.do("exec 4<&-")
	wo.VerifyStrays()
	if _, is := wo.Strays[sockets["tcp 6"]]; is {
		t.Error("a closed socket is a stray")
	}
	if wo.HoldsUnknownTCP() {
		t.Error("only UDP is left")
	}
	wo.next()
	wo.shows(sockets["udp 4"])
	if wo.VerifyStrays(); len(wo.Strays) != 0 {
		t.Error("what a dump shows is a stray")
	}
	// The process ends.
	delete(wo.byInode, sockets["udp 4"])
	for _, why := range []string{"ended", "forgotten", "another of its number"} {
		wo.Strays[9] = Stray{table: &p.Table, fd: 5}
		switch why {
		case "ended":
			a.end()
		case "forgotten":
			delete(wo.ByPID, a.pid)
		default:
			wo.ByPID[a.pid] = &Process{}
		}
		if wo.VerifyStrays(); len(wo.Strays) != 0 {
			t.Errorf("%s: a stray is left", why)
		}
	}
	if got := wo.protocolAt(Stray{table: &p.Table, fd: 5}); got != "?" {
		t.Errorf("a socket of a process that has ended is of %q", got)
	}
	// So many are remembered, and then all are forgotten.
	wo.other = map[uint32]bool{}
	for i := range uint32(otherLimit) {
		wo.SetAside(i)
	}
	if len(wo.other) != otherLimit {
		t.Errorf("%d are remembered", len(wo.other))
	}
	if wo.SetAside(otherLimit); len(wo.other) != 1 {
		t.Errorf("%d are remembered after one more", len(wo.other))
	}
}
