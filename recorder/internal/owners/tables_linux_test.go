package owners

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

func TestRegisteredFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		room       int64
		told       bool
		want       [][2]uint32
	}{
		{"of 6.18", "pos:\t0\nflags:\t02000002\nSqMask:\t0x3f\nSQEs:\t0\nUserFiles:\t64\n    0: socket:[41]\n   63: /tmp/socket:[7]\nUserBufs:\t3\n   1: 0x0/4096\n",
			64, true, [][2]uint32{{0, 41}}},
		{"with empty places", "UserFiles:\t3\n    0: <none>\n    1: socket:[12]\n    2: <none>\nUserBufs:\t0\n", 3, true, [][2]uint32{{1, 12}}},
		{"empty", "UserFiles:\t0\n", 0, true, nil},
		{"in use", "pos:\t0\nflags:\t02000002\nino:\t2057\n", 0, false, nil},
		{"not at the beginning of a line", "pos: UserFiles:\t64\n    0: socket:[41]\n", 0, false, nil},
		{"at the beginning", "UserFiles:\t1\n    0: socket:[41]", 1, true, [][2]uint32{{0, 41}}},
		{"two lines, the second a socket", "x\nUserFiles:\t2\n    0: /a\n    1: socket:[5]\n", 2, true, [][2]uint32{{1, 5}}},
		{"inode 0", "UserFiles:\t2\n    0: socket:[0]\n    1: socket:[5]\n", 2, true, [][2]uint32{{1, 5}}},
		{"no number", "UserFiles:\tmany\n    0: socket:[41]\n", 0, false, nil},
		{"nothing", "", 0, false, nil},
	} {
		var got [][2]uint32
		room, told := RegisteredFiles([]byte(c.text), func(index, inode uint32) { got = append(got, [2]uint32{index, inode}) })
		if !slices.Equal(got, c.want) || room != c.room || told != c.told {
			t.Errorf("%s: %d, %v, %v", c.name, room, told, got)
		}
	}
}

// newRing makes a ring of io_uring.
func newRing(t *testing.T) (fd int, register func(what int, arg unsafe.Pointer, n int)) {
	t.Helper()
	var params [120]byte // struct io_uring_params
	n, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		kerneltest.NeedKernel(t, fmt.Sprintf("no io_uring here (CONFIG_IO_URING, sysctl kernel.io_uring_disabled): %v", errno))
	}
	t.Cleanup(func() { unix.Close(int(n)) })
	return int(n), func(what int, arg unsafe.Pointer, count int) {
		t.Helper()
		if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, n, uintptr(what), uintptr(arg), uintptr(count), 0, 0); errno != 0 {
			t.Fatalf("io_uring_register %d: %v", what, errno)
		}
	}
}

// TestRing: files registered with a ring need no descriptor.
func TestRing(t *testing.T) {
	t.Parallel()
	fd, register := newRing(t)
	ring := os.NewFile(uintptr(fd), "ring")
	first, firstInode := newSocket(t)
	second, secondInode := newSocket(t)
	files := []int32{-1, int32(first.Fd()), int32(second.Fd()), -1}
	register(2, unsafe.Pointer(&files[0]), len(files)) // IORING_REGISTER_FILES
	a := newActor(t, second, ring)
	wo := newWorld(t)
	one, two := wo.shows(firstInode), wo.shows(secondInode)
	p := wo.meet(a)
	if !slices.Equal(p.rings, []uint32{4}) || p.holds() == false {
		t.Errorf("rings %v", p.rings)
	}
	wantHolds(t, "not in a ring that nobody has read", one)
	if cost := wo.findRings(p); cost != 5 || len(p.others) != 1 {
		t.Fatalf("%d done, %d tables", cost, len(p.others))
	}
	r := p.others[0]
	wantHolds(t, "in the ring", one, hold{a.pid, 1, 1})
	wantHolds(t, "in the ring, too", two, hold{a.pid, 3, 1}, hold{a.pid, 2, 1})
	if one.FD(0) != NoFD || two.FD(0) != 3 || r.Counted != 4 || r.Held != 2 || r.number != 1 || p.tableOf(1) != r || p.tableOf(0) != &p.Table || p.tableOf(2) != nil {
		t.Errorf("%+v", r)
	}
	if wo.findRings(p) != 0 || len(p.others) != 1 {
		t.Error("the ring is found twice")
	}
	// It is verified as a whole, and once in a sample.
	for _, c := range []struct {
		what         string
		next         bool
		budget       int
		places, left int
	}{
		{"read in this sample", false, 5, 2, 5}, {"no budget", true, 0, 0, 0}, {"less than none", false, -1, 0, -1}, {"budget for one", false, 1, 2, -1}, {"read", false, 1, 2, 1},
	} {
		if c.next {
			wo.next()
		}
		if places := wo.verifyFDs(r, 0, &c.budget); places != c.places || c.budget != c.left {
			t.Errorf("%s: %d places, %d left", c.what, places, c.budget)
		}
	}
	// What is taken out of it is not held.
	files[1] = -1
	update := struct {
		offset, resv uint32
		fds          uint64
	}{offset: 1, fds: uint64(uintptr(unsafe.Pointer(&files[1])))}
	register(6, unsafe.Pointer(&update), 1) // IORING_REGISTER_FILES_UPDATE
	runtime.KeepAlive(files)
	wo.next()
	wo.Doubtful = []*Held{one}
	wo.verifyDoubtful()
	wantHolds(t, "taken out", one)
	if r.Held != 1 || wo.byInode[firstInode] != nil {
		t.Errorf("%+v", r)
	}
	wo.Vanished(two)
	if r.Held != 0 || p.Held != 0 || p.holds() {
		t.Error("what has vanished is held")
	}
	wo.shows(secondInode)
	// Its process closes the ring: another file, or none, is no ring any more.
	for _, to := range []string{"0<&0", "4<&-"} {
		wo.next()
		a.do("exec 4<&0")
		if to == "4<&-" {
			a.do("exec 4<&-")
			p.rings = []uint32{4}
			wo.findRings(p)
			if len(p.others) != 0 {
				t.Error("a ring that is not there is remembered")
			}
			break
		}
		wo.Walk(r, Reading)
		if !r.gone || len(p.others) != 0 || len(slices.Collect(p.Tables)) != 1 {
			t.Errorf("a ring that is another file by now is remembered: %+v", r)
		}
	}
	// A ring with no socket of the recording is read, and not remembered.
	b := newActor(t, ring)
	q := wo.meet(b)
	delete(wo.byInode, secondInode)
	if cost := wo.findRings(q); cost == 0 || len(q.others) != 0 || q.numbers != 1 {
		t.Errorf("%d done, %d tables, %d numbers", cost, len(q.others), q.numbers)
	}
}

// notOnFirstThread runs do on a thread that then ends, and that is not the first: /proc shows the descriptors of that one.
func notOnFirstThread(do func()) {
	release := make(chan bool)
	defer close(release)
	for tried := make(chan bool); ; {
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				tried <- false
				<-release
				runtime.UnlockOSThread()
				return
			}
			tried <- true
			do() // the thread is never unlocked, and ends with the goroutine
		}()
		if <-tried {
			return
		}
	}
}

// TestThreadTables: a thread with descriptors of its own is found among those that share them, with and without kcmp. It is not
// parallel: without kcmp nothing is found while other tests open and close descriptors.
func TestThreadTables(t *testing.T) {
	type thread struct {
		tid, fd int
		inode   uint32
	}
	started, stop := make(chan thread), make(chan bool)
	defer close(stop)
	notOnFirstThread(func() {
		if err := unix.Unshare(unix.CLONE_FILES); err != nil {
			t.Error(err)
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
		}
		// Many more than the process has, so that their number is another.
		for range 200 {
			unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		}
		var st unix.Stat_t
		unix.Fstat(fd, &st)
		started <- thread{unix.Gettid(), fd, uint32(st.Ino)}
		<-stop
	})
	own := <-started
	for _, noKCmp := range []bool{false, true} {
		wo := newWorld(t)
		wo.NoKCmp = noKCmp
		p := wo.refresh(int32(os.Getpid()), nil)
		e := wo.shows(own.inode)
		wo.Walk(&p.Table, Reading)
		wantHolds(t, "not with the first thread", e)
		if n := wo.findTables(p); n < 2 {
			t.Errorf("%d threads are compared", n)
		}
		i := slices.IndexFunc(p.others, func(u *Table) bool { return u.thread == int32(own.tid) })
		if i < 0 {
			t.Fatalf("without kcmp %v: the thread is not found", noKCmp)
		}
		if len(e.Holders) != 1 || e.Holders[0].table != p.others[i].number || e.FD(0) != uint32(own.fd) || !p.holds() || e.Holders[0].fds != 201 {
			t.Errorf("without kcmp %v: held by %+v", noKCmp, e.Holders)
		}
		tables := len(p.others)
		wo.next()
		wo.findTables(p)
		if found := slices.ContainsFunc(p.others, func(u *Table) bool { return u.thread == int32(own.tid) && u == p.others[slices.Index(p.others, u)] }); !found || len(p.others) > tables+1 {
			t.Errorf("without kcmp %v: %d tables, and then %d", noKCmp, tables, len(p.others))
		}
		// Without the size of folders, nothing is known of their number.
		if wo.sharers, wo.sizes = nil, false; wo.differs(p, int32(own.tid)) {
			t.Error("the number of descriptors is not known, and is another")
		}
		wo.sizes = true
		if !wo.differs(p, int32(own.tid)) || !slices.Equal(wo.sharers, []int32{int32(own.tid)}) {
			t.Error("the number of descriptors is the same")
		}
		if wo.differs(p, 1<<30) {
			t.Error("a thread that is not there has other descriptors")
		}
	}
	// Two threads that share them.
	if order, err := compareFiles(int32(os.Getpid()), int32(os.Getpid())); err != nil || order != 0 {
		t.Errorf("a thread and itself: %d, %v", order, err)
	}
	there, err := compareFiles(int32(os.Getpid()), int32(own.tid))
	back, _ := compareFiles(int32(own.tid), int32(os.Getpid()))
	if err != nil || there*there != 1 || there != -back {
		t.Errorf("two orders of two tables: %d, %d, %v", there, back, err)
	}
	if _, err := compareFiles(1<<30, int32(os.Getpid())); err != unix.ESRCH {
		t.Errorf("a thread that is not there: %v", err)
	}
}

// TestGiveUp: without its first table a process is gone; without another it is not.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	e := wo.shows(41)
	p := &Process{PID: 7}
	p.Table.process = p
	wo.ByPID[7] = p
	first, second := p.addTable(Table{thread: 8}), p.addTable(Table{thread: 9})
	if first.number != 1 || second.number != 2 || first.process != p || first.Counted != -1 {
		t.Errorf("%+v, %+v", first, second)
	}
	for _, table := range []*Table{&p.Table, first, second} {
		f := fdInode{fd: 5 + table.number, inode: 41}
		wo.addFD(table, f)
		table.sockets = []fdInode{f}
	}
	wantHolds(t, "three tables", e, hold{7, 5, 1}, hold{7, 6, 1}, hold{7, 7, 1})
	if e.FD(0) != 5 || e.FD(1) != 6 {
		t.Errorf("descriptors %d, %d", e.FD(0), e.FD(1))
	}
	first.ring = true
	if e.FD(1) != 7 {
		t.Errorf("not of a ring: %d", e.FD(1))
	}
	e.Holders[2].Process = &Process{}
	if got := e.FD(1); got != NoFD {
		t.Errorf("of another process: %d", got)
	}
	e.Holders[2].Process = p
	wo.ended(&p.Table, unix.ESRCH) // its first table goes when /proc does not list it any more
	wo.ended(first, unix.EACCES)
	if len(e.Holders) != 3 {
		t.Errorf("%d tables hold it", len(e.Holders))
	}
	wo.ended(first, unix.ENOENT)
	wantHolds(t, "one has ended", e, hold{7, 5, 1}, hold{7, 7, 1})
	if !slices.Equal(p.others, []*Table{second}) || !first.gone || first.sockets != nil || wo.ByPID[7] != p {
		t.Errorf("%+v", p.others)
	}
	p.Table.Held, second.Held = 0, 1
	if !p.holds() {
		t.Error("one of its tables holds a socket")
	}
	wo.giveUp(&p.Table)
	wantHolds(t, "all have ended", e)
	if wo.ByPID[7] != nil || p.Table.gone {
		t.Errorf("%+v", p.Table)
	}
	if p.holds() {
		t.Error("nothing is held")
	}
}
