package owners

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// TestVerifyInTurn: of many places so many are verified in each sample, the others in the next, and from the beginning again.
func TestVerifyInTurn(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	var actors []*actor
	for range 2 {
		var files []*os.File
		for range 3 {
			f, inode := newSocket(t)
			files = append(files, f)
			wo.shows(inode)
		}
		a := newActor(t, files...)
		actors = append(actors, a)
	}
	slices.SortFunc(actors, func(a, b *actor) int { return int(a.pid - b.pid) })
	idle := newActor(t)
	wo.PIDs = []int32{actors[0].pid, actors[1].pid, 1 << 30, idle.pid}
	p, q := wo.meet(actors[0]), wo.meet(actors[1])
	wo.meet(idle)
	verified := func() (places []int) {
		for i, t := range []*Table{&p.Table, &q.Table} {
			for _, f := range t.sockets {
				if f.read == wo.Gen {
					places = append(places, 10*i+int(f.fd))
				}
			}
		}
		return places
	}
	for i, c := range []struct {
		budget   int
		want     []int
		complete bool
	}{
		{2, []int{3, 4}, false},
		{2, []int{5, 13}, false},
		{3, []int{3, 14, 15}, false}, // and from the beginning again
		{0, nil, false},
		{1, []int{4}, false},
		{6, []int{3, 4, 5, 13, 14, 15}, true},
		{100, []int{3, 4, 5, 13, 14, 15}, true},
	} {
		wo.next()
		if err := wo.verify(t.Context(), c.budget); err != nil {
			t.Fatal(err)
		}
		if got := verified(); !slices.Equal(got, c.want) || wo.complete != c.complete {
			t.Errorf("sample %d, with %d: places %v, complete %v; want %v, %v", i, c.budget, got, wo.complete, c.want, c.complete)
		}
	}
	// What was verified too much in one sample is less in the next.
	wo.next()
	wo.overdrawn = 4
	if err := wo.verify(t.Context(), 6); err != nil || len(verified()) != 2 || wo.overdrawn != 0 {
		t.Errorf("places %v, overdrawn by %d, %v", verified(), wo.overdrawn, err)
	}
	wo.next()
	wo.overdrawn = 4
	if err := wo.verify(t.Context(), 1); err != nil || len(verified()) != 0 || wo.overdrawn != 3 {
		t.Errorf("places %v, overdrawn by %d, %v", verified(), wo.overdrawn, err)
	}
	// What may not be read is passed over.
	wo.next()
	wo.overdrawn, p.denied = 0, true
	if err := wo.verify(t.Context(), 100); err != nil || !slices.Equal(verified(), []int{13, 14, 15}) {
		t.Errorf("places %v, %v", verified(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wo.next()
	if err := wo.verify(ctx, 100); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	wo.PIDs = nil
	if err := wo.verify(ctx, 100); err != nil || !wo.complete {
		t.Errorf("of no processes: %v, %v", err, wo.complete)
	}
}

// TestProbing: a new socket is found among the descriptors without reading those that are certain.
func TestProbing(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	var files []*os.File
	var inodes []uint32
	for range 4 {
		f, inode := newSocket(t)
		files, inodes = append(files, f), append(inodes, inode)
	}
	a := newActor(t, files...)
	for _, inode := range inodes[:3] {
		wo.shows(inode)
	}
	p := wo.meet(a)
	if len(p.sockets) != 4 || p.Held != 3 {
		t.Fatalf("%+v", p.Table)
	}
	for _, how := range []effort{probing, listing, Reading} {
		wo.next()
		if how == probing {
			wo.shows(inodes[3])
		}
		wo.count(&p.Table)
		wo.Walk(&p.Table, how)
		var read []uint32
		for _, f := range p.sockets {
			if f.read == wo.Gen {
				read = append(read, f.fd)
			}
		}
		want := map[effort][]uint32{probing: {6}, listing: nil, Reading: {3, 4, 5, 6}}[how]
		if !slices.Equal(read, want) || p.Held != 4 || len(p.sockets) != 4 {
			t.Errorf("effort %d reads descriptors %v, want %v; it holds %d sockets in %d places", how, read, want, p.Held, len(p.sockets))
		}
	}
	// Certain is what the dump has just shown, in the one place of its one holder.
	e := wo.byInode[inodes[0]]
	f := p.sockets[0]
	for _, c := range []struct {
		what   string
		change func()
		want   bool
	}{
		{"as it is", func() {}, true},
		{"not shown by this sample's dump", func() { e.Dump = wo.FirstDump - 1 }, false},
		{"shown", func() { e.Dump = wo.FirstDump }, true},
		{"in two places", func() { e.Holders[0].fds = 2 }, false},
		{"with another table", func() { e.Holders[0].fds, e.Holders[0].table = 1, 1 }, false},
		{"with another process", func() { e.Holders[0].table, e.Holders[0].Process = 0, &Process{} }, false},
		{"with two", func() { e.Holders[0].Process = p; e.Holders = append(e.Holders, Holder{}) }, false},
		{"with nobody", func() { e.Holders = nil }, false},
		{"unknown", func() { delete(wo.byInode, e.Inode) }, false},
	} {
		if c.change(); wo.certain(&p.Table, f) != c.want {
			t.Errorf("certain %s: %v", c.what, !c.want)
		}
	}
	// Too many numbers to try: then they are listed after all. And one certain beyond the last that was tried: the number is old.
	dir, err := wo.openFDs(&p.Table)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	sparse := Table{process: p, Counted: 100}
	if wo.found, wo.skipped = nil, nil; wo.probe(dir, &sparse) {
		t.Error("a hundred descriptors are found")
	}
	p.Counted = 3
	if wo.found, wo.skipped = nil, nil; wo.probe(dir, &p.Table) {
		t.Error("descriptors beyond the last are certain, and it is not noticed")
	}
}

// TestSeek: where a socket that nobody holds is looked for first, and when it is given up.
func TestSeek(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	known, knownInode := newSocket(t)
	sought, soughtInode := newSocket(t)
	near, far, holder := newActor(t, known), newActor(t), newActor(t, sought)
	wo.shows(knownInode)
	wo.PIDs = []int32{near.pid, far.pid, holder.pid}
	slices.Sort(wo.PIDs)
	var tables []*Table
	for _, a := range []*actor{near, far, holder} {
		tables = append(tables, &wo.meet(a).Table)
	}
	walked := func() (names string) {
		for i, name := range []string{"near ", "far ", "holder "} {
			if tables[i].walked == wo.Gen {
				names += name
			}
		}
		return strings.TrimSpace(names)
	}
	seek := func() {
		t.Helper()
		if err := wo.seek(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wo.next()
	if seek(); walked() != "" {
		t.Errorf("nothing is missing, and %s are read", walked())
	}
	wo.next()
	e := wo.shows(soughtInode)
	tables[0].changed, tables[2].changed = true, true
	seek()
	wantHolds(t, "found", e, hold{holder.pid, 3, 1})
	if got := walked(); got != "near holder" {
		t.Errorf("read: %s", got)
	}
	// The same user's first: then the unchanged of others are not read.
	wo.next()
	wo.release(tables[2], soughtInode)
	e.UIDKnown, e.UID = true, uint32(os.Getuid())
	tables[0].changed, tables[1].changed, tables[2].changed = false, false, false
	seek()
	wantHolds(t, "found though nothing has changed", e, hold{holder.pid, 3, 1})

	// One that nobody has: everyone is read while it is new; then only who has changed, and some in turn.
	lost := wo.shows(1)
	for range 2 {
		wo.next()
		lost.Lost = wo.Gen
		if seek(); walked() != "near far holder" {
			t.Errorf("read for a new socket: %s", walked())
		}
	}
	wo.next()
	lost.Lost = wo.Gen - 1
	tables[1].changed = true
	if seek(); walked() != "near far holder" {
		t.Errorf("read for one that is not found: %s", walked())
	}
	wo.next()
	lost.Lost = wo.Gen + 1 - OrphanSamples
	if seek(); walked() != "near far holder" {
		t.Errorf("read for one that is not found for long: %s", walked())
	}
	wo.Begin(100, 100)
	lost.Lost = 100 - OrphanSamples
	if seek(); walked() != "" {
		t.Errorf("read for one that is not found for too long: %s", walked())
	}
	tables[1].changed = true
	if seek(); walked() != "far" {
		t.Errorf("of those who have changed are read: %s", walked())
	}
	// What is not there, may not be read, or has no files is not read.
	wo.next()
	lost.Lost = 0
	tables[0].denied, tables[1].process.kernel = true, true
	if seek(); walked() != "holder" {
		t.Errorf("read: %s", walked())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wo.next()
	if err := wo.search(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestOpenersFirst: who opened a new socket, as far as that is known, is read before all others, whether it held anything or not.
func TestOpenersFirst(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	known, knownInode := newSocket(t)
	sought, soughtInode := newSocket(t)
	near, opener := newActor(t, known), newActor(t, sought)
	wo.shows(knownInode)
	wo.PIDs = []int32{near.pid, opener.pid}
	slices.Sort(wo.PIDs)
	other, holder := &wo.meet(near).Table, &wo.meet(opener).Table
	wo.Opener = func(e *Held) int32 {
		if e.Inode == soughtInode {
			return opener.pid
		}
		return 0
	}
	wo.next()
	other.changed = true
	e := wo.shows(soughtInode)
	if err := wo.seek(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHolds(t, "found", e, hold{opener.pid, 3, 1})
	if holder.walked != wo.Gen || other.walked == wo.Gen {
		t.Errorf("read: the opener %v, another %v", holder.walked == wo.Gen, other.walked == wo.Gen)
	}
	// It has passed the next one on: then all are read as ever.
	passed, passedInode := newSocket(t)
	taker := newActor(t, passed)
	wo.PIDs = append(wo.PIDs, taker.pid)
	slices.Sort(wo.PIDs)
	wo.meet(taker)
	wo.Opener = func(*Held) int32 { return opener.pid }
	wo.next()
	e = wo.shows(passedInode)
	if err := wo.seek(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantHolds(t, "passed on", e, hold{taker.pid, 3, 1})
}

// TestClosedAside: the kernel says that a socket is closed; then nobody looks for it.
func TestClosedAside(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	wo.PIDs = nil
	asked := 0
	closed := map[uint32]bool{}
	wo.Gone = func(_ context.Context, e *Held) bool { asked++; return closed[e.Inode] }
	one, two := wo.shows(1), wo.shows(2)
	closed[1] = true
	wo.setClosedAside(t.Context())
	if !slices.Equal(wo.closed, []*Held{one}) || !slices.Equal(wo.unresolved, []*Held{two}) || !two.OnItsWay || one.OnItsWay || asked != 2 {
		t.Errorf("closed %v, wanted %v, asked %d times", wo.closed, wo.unresolved, asked)
	}
	if err := wo.search(t.Context()); err != nil {
		t.Fatal(err)
	}
	if one.Lost != wo.Gen || two.Lost != wo.Gen || len(wo.closed) != 0 || len(wo.unresolved) != 2 {
		t.Errorf("after the search: %+v, %+v, closed %v, wanted %v", one, two, wo.closed, wo.unresolved)
	}
	// When there are many, only subflows are asked about.
	for _, many := range []int{askedAtOnce, askedAtOnce + 1} {
		wo.unresolved, wo.closed, asked = nil, nil, 0
		for i := range many {
			wo.unresolved = append(wo.unresolved, &Held{Inode: uint32(10 + i)})
		}
		wo.unresolved[7].Rec.Has = sockdiag.HasMPTCP
		closed[17] = true
		wo.setClosedAside(t.Context())
		if want := map[bool]int{true: many, false: 1}[many == askedAtOnce]; asked != want || len(wo.closed) != 1 {
			t.Errorf("of %d sockets %d are asked about, want %d; closed are %d", many, asked, want, len(wo.closed))
		}
	}
	wo.Gone, wo.closed = nil, nil
	if wo.setClosedAside(t.Context()); len(wo.closed) != 0 {
		t.Error("nobody can be asked, and a socket is closed")
	}
}

// TestReadInTurn: some processes are read again in each sample, others in the next.
func TestReadInTurn(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	var tables []*Table
	for range 4 {
		a := newActor(t)
		wo.PIDs = append(wo.PIDs[:len(tables)], a.pid)
		tables = append(tables, &wo.meet(a).Table)
	}
	slices.Sort(wo.PIDs)
	for i, pid := range wo.PIDs {
		tables[i] = &wo.ByPID[pid].Table
	}
	turn := func(counted ...int64) (read []int) {
		wo.next()
		for i, n := range counted {
			tables[i].Counted = n
		}
		wo.readInTurn()
		for i, t := range tables {
			if t.walked == wo.Gen {
				read = append(read, i)
			}
		}
		return read
	}
	for _, c := range []struct {
		what    string
		from    int32
		counted []int64
		want    []int
		next    int
	}{
		{"all", 0, []int64{1, 1, 1, 1}, []int{0, 1, 2, 3}, 3},
		{"as many as the budget allows", 0, []int64{rereadBudget - 1, 1, 1, 1}, []int{0, 1}, 2},
		{"from the last one on", wo.PIDs[3], []int64{1, rereadBudget, 1, 0}, []int{0, 3}, 1},
		{"from one that has gone on", wo.PIDs[2] + 1, []int64{1, 1, rereadBudget, 1}, []int{0, 1, 3}, 2},
	} {
		wo.turnPID = c.from
		if got := turn(c.counted...); !slices.Equal(got, c.want) || wo.turnPID != wo.PIDs[c.next] {
			t.Errorf("%s: reads %v, want %v, and goes on with %d of %v", c.what, got, c.want, wo.turnPID, wo.PIDs)
		}
	}
	// The first is read whatever it costs; kernel threads, and who may not be read, are not.
	wo.turnPID = 0
	if got := turn(rereadBudget+1, 1, 1, 1); !slices.Equal(got, []int{0}) {
		t.Errorf("a large one: %v", got)
	}
	wo.turnPID, tables[0].process.kernel, tables[1].denied = 0, true, true
	delete(wo.ByPID, wo.PIDs[2])
	if got := turn(1, 1, 1, 1); !slices.Equal(got, []int{3}) {
		t.Errorf("only the last may be read: %v", got)
	}
}

// TestAskParents: a child was found with a new socket; whom it has it from may have it still.
func TestAskParents(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	parent := wo.meet(a)
	wo.next()
	a.do("sleep 1000 & echo $! >&2") // it has the socket too
	t.Cleanup(func() { a.in.Close() })
	if err := wo.ListProcesses(); err != nil {
		t.Fatal(err)
	}
	var child *Process
	for _, pid := range wo.PIDs {
		if s, _, err := wo.ReadStat(pid); err == nil && s.ppid == a.pid {
			t.Cleanup(func() { unix.Kill(int(pid), unix.SIGKILL) })
			child = wo.refresh(pid, nil)
		}
	}
	if child == nil {
		t.Fatal("no child")
	}
	e := wo.shows(inode)
	wo.Walk(&child.Table, Reading)
	wantHolds(t, "the child's", e, hold{child.PID, 3, 1})
	for _, c := range []struct {
		what   string
		change func()
		asked  bool
	}{
		{"which has no files", func() { parent.kernel = true }, false},
		{"which may not be read", func() { parent.kernel, parent.denied = false, true }, false},
		{"of a child that is not new", func() { parent.denied, child.born = false, wo.Gen-1 }, false},
		{"which is there", func() { child.born = wo.Gen }, true},
	} {
		c.change()
		if wo.askParents(); (parent.walked == wo.Gen) != c.asked {
			t.Errorf("a parent %s is asked: %v", c.what, !c.asked)
		}
	}
	if len(e.Holders) != 2 {
		t.Errorf("%d processes hold it, want the parent and the child", len(e.Holders))
	}
}

// TestVisit: who is read in a sample, and when it is again.
func TestVisit(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	f, inode := newSocket(t)
	holder, idle := newActor(t, f), newActor(t)
	e := wo.shows(inode)
	wo.PIDs = []int32{holder.pid, idle.pid}
	now := time.Now()
	visit := func(at time.Duration) {
		t.Helper()
		wo.next()
		if err := wo.Visit(t.Context(), now.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	visit(0)
	p, q := wo.ByPID[holder.pid], wo.ByPID[idle.pid]
	wantHolds(t, "at first", e, hold{holder.pid, 3, 1})
	if p.walked != wo.Gen || q.walked != wo.Gen || wo.known != 1 || p.ID.Comm != "sh" || q.ID.Comm != "" {
		t.Errorf("known are %d places; %+v, %+v", wo.known, p, q)
	}
	for _, p := range []*Process{p, q} { // between the half and the whole of the time
		if wait := p.Due.Sub(now); wait < recheckOwners/2 || wait >= recheckOwners {
			t.Errorf("it is read again in %v", wait)
		}
		if wait := p.Due.Sub(now); wait != recheckOwners/2+recheckOwners/2*time.Duration(p.PID%16)/16 {
			t.Errorf("process %d is read again in %v", p.PID, wait)
		}
	}
	visit(time.Second)
	if p.walked == wo.Gen || q.walked == wo.Gen || p.refreshed != wo.Gen || q.refreshed == wo.Gen || p.gen != wo.Gen || q.gen != wo.Gen {
		t.Error("nothing is due, and one that holds nothing need not be looked at")
	}
	holder.do("exec 4<&3")
	visit(2 * time.Second)
	wantHolds(t, "another number of descriptors", e, hold{holder.pid, 3, 2})
	visit(recheckOwners)
	if p.walked != wo.Gen || q.walked != wo.Gen {
		t.Error("due, and not read")
	}
	// A large one is listed less often, and less still when nothing changes.
	wo.Small = 1
	again := func() time.Duration {
		p.Due = time.Time{}.Add(1)
		wo.walkDue(&p.Table, listing, now)
		return p.Due.Sub(now) - VerifyRound/2*time.Duration(p.PID%16)/16
	}
	p.changed = true
	if got := again(); got != VerifyRound/2 {
		t.Errorf("a large one that changes: %v", got)
	}
	if got := p.Due.Sub(now); got >= VerifyRound {
		t.Errorf("a large one that changes: %v", got)
	}
	wo.walkDue(&p.Table, listing, now)
	if got, want := p.Due.Sub(now), VerifyRound+VerifyRound*time.Duration(p.PID%16)/16; got != want {
		t.Errorf("a large one that does not: %v, want %v", got, want)
	}
	wo.Small = p.Counted
	wo.walkDue(&p.Table, listing, now)
	if got := p.Due.Sub(now); got >= recheckOwners {
		t.Errorf("one that is just small: %v", got)
	}
	wo.PIDs = wo.PIDs[:1]
	visit(0)
	if wo.ByPID[idle.pid] != nil || wo.ByPID[holder.pid] != p {
		t.Error("who is not there any more is forgotten, and nobody else")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := wo.Visit(ctx, now); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestSettle: while a look is going on, its processes end, and others get their numbers.
func TestSettle(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	p := wo.meet(a)
	e := wo.shows(inode)
	wo.next()
	p.stat.Start++ // it was another process, of which nothing was seen to be held
	wo.Walk(&p.Table, Reading)
	q := wo.ByPID[a.pid]
	if q == p || len(e.Holders) != 1 || e.Holders[0].Process != q || q.born != wo.Gen {
		t.Errorf("held by %+v", e.Holders)
	}
	if got := wo.refresh(a.pid, q); got != q || q.refreshed != wo.Gen || q.kernel {
		t.Error("the same process is another")
	}
	for _, c := range []struct {
		what         string
		change       func()
		due, another bool
	}{
		{"the same", func() {}, false, false},
		{"another name", func() { q.stat.comm = "x" }, true, false},
		{"another program", func() { q.stat.stack++ }, true, true},
	} {
		q.Due, q.renamed, q.ID = time.Now(), false, store.ProcessID{Comm: "sh"}
		c.change()
		wo.refresh(a.pid, q)
		if q.Due.IsZero() != c.due || q.renamed != c.due || (q.ID == store.ProcessID{}) != c.another {
			t.Errorf("%s: due %v, another %v", c.what, q.Due, q.ID)
		}
	}
	// It has ended, and its parent does not know of it yet.
	a.cmd.Process.Kill()
	untilTrue(t, "it has ended", func() bool { s, _, _ := wo.ReadStat(a.pid); return s.state == 'Z' })
	q.Due, q.renamed, q.ID = time.Now(), false, store.ProcessID{Comm: "sh"}
	if wo.refresh(a.pid, q); !q.Due.IsZero() || q.ID.Comm != "sh" || q.stat.state != 'Z' {
		t.Errorf("ended: %+v", q)
	}
	wo.next()
	wo.Walk(&q.Table, Reading)
	wantHolds(t, "ended", e)
	a.end()
	if wo.refresh(a.pid, q) != nil || wo.refresh(a.pid, nil) != nil {
		t.Error("a process that is not there any more")
	}
}
