package owners

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// TestProcessesOfTheRecording follows a process through samples: it holds a socket, runs another program, rests and ends.
func TestProcessesOfTheRecording(t *testing.T) {
	t.Parallel()
	wo := newRecorded(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	twin := &Held{Inode: inode}
	e := wo.shows(inode)
	wo.Appeared(twin)
	wo.sample()
	if len(e.Holders) != 2 { // this process has it, too
		t.Fatalf("held by %d", len(e.Holders))
	}
	p := wo.ByPID[a.pid]
	ref, start := p.Ref, p.stat.Start
	if ref == 0 || wo.Reported(a.pid, start) != ref || !wo.Lives(ref, true) {
		t.Errorf("%+v", p)
	}
	for _, c := range []struct {
		pid   int32
		start uint64
	}{{a.pid, start + 1}, {1 << 30, start}} {
		if got := wo.Reported(c.pid, c.start); got != 0 {
			t.Errorf("process %d of %d is reported as %d", c.pid, c.start, got)
		}
	}
	if !wo.Lives(0, true) || !wo.Lives(1<<30, false) || wo.Lives(1<<30, true) {
		t.Error("nobody lives; so does each that cannot be seen; another does not")
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", a.pid))
	if want := parseCgroup(text); err != nil || wo.Cgroup(a.pid) != want || p.val.CGroup != want {
		t.Errorf("group %q, want %q, %v", wo.Cgroup(a.pid), want, err)
	}
	if wo.Cgroup(1<<30) != "" {
		t.Error("a process that is not there has a group")
	}
	if uid, known := p.val.UID.Get(); !known || uid != int64(os.Getuid()) || p.val.User != wo.users.Name(uint32(uid)) || p.val.FDLimit == (store.Int{}) {
		t.Errorf("%+v", p.val)
	}
	if p.ID.Comm != "sh" || !strings.HasPrefix(p.ID.Cmdline, "sh -c while read") || p.ID.Exe == "" || p.ID.Started != wo.w.BootTime()+float64(start)/100 {
		t.Errorf("%+v", p.ID)
	}

	// After a look that failed, the same process is the same.
	wo.ForgetAll()
	if e.Holders != nil || twin.Holders != nil || len(wo.ByPID) != 0 || !slices.Contains(wo.unknown, p.ID) {
		t.Errorf("held by %d, unknown %v", len(e.Holders), wo.unknown)
	}
	wo.sample()
	if p = wo.ByPID[a.pid]; len(e.Holders) != 2 || p.Ref != ref || len(twin.Holders) != 2 {
		t.Errorf("held by %d, process %d, which was %d", len(e.Holders), p.Ref, ref)
	}

	// It rests, and is the same.
	a.do("exec 3<&-")
	wo.sample()
	if len(e.Holders) != 1 || wo.Reported(a.pid, start) != 0 || !wo.Lives(ref, true) || wo.resting != 1 {
		t.Errorf("held by %d, %d rest", len(e.Holders), wo.resting)
	}
	wo.ForgetAll()
	wo.sample()
	if p = wo.ByPID[a.pid]; p == nil || p.Ref != ref || !wo.Lives(ref, true) {
		t.Errorf("it is not the same: %+v", p)
	}

	// It runs another program: that is told, even though it holds nothing.
	fmt.Fprintln(a.in, "exec sleep 1000")
	untilTrue(t, "the other program", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.pid))
		return string(text) == "sleep\x001000\x00"
	})
	wo.sample()
	if p.ID.Comm != "sleep" || p.ID.Cmdline != "sleep 1000" || p.Ref == ref || wo.Lives(ref, true) || !wo.Lives(p.Ref, true) {
		t.Errorf("%d, which was %d: %+v", p.Ref, ref, p.ID)
	}
	ref = p.Ref

	// Another recording knows nobody.
	wo.StartOver()
	if p.subject != nil || p.Ref != 0 || p.reported != 0 || !wo.first || wo.unknown != nil || wo.Lives(ref, true) {
		t.Errorf("%+v", p)
	}

	// The last process of the recording ends.
	self := wo.ByPID[int32(os.Getpid())]
	a.end()
	wo.sample()
	if wo.ByPID[a.pid] != nil || self.Ref == 0 || !wo.Lives(self.Ref, true) {
		t.Error("it has ended")
	}
}

// TestRestart: the next run of the recorder finds the processes that the last one left, whether they hold something or not.
func TestRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	start := func() *world {
		t.Helper()
		w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Boot: store.Boot{ID: "boot"}})
		if err != nil {
			t.Fatal(err)
		}
		return enter(t, w, New(w, NewUsers()))
	}
	var files []*os.File
	var inodes []uint32
	for range 5 {
		f, inode := newSocket(t)
		files, inodes = append(files, f), append(inodes, inode)
	}
	names := []string{"holds", "rests", "execs", "ends", "named"}
	actors := map[string]*actor{}
	refs := map[string]store.Ref{}
	wo := start()
	for i, name := range names {
		actors[name] = newActor(t, files[i])
		files[i].Close()
		wo.shows(inodes[i])
	}
	wo.sample()
	for name, a := range actors {
		if refs[name] = wo.ByPID[a.pid].Ref; refs[name] == 0 {
			t.Errorf("%s is not reported", name)
		}
	}
	gen := wo.Gen
	if err := wo.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	actors["rests"].do("exec 3<&-")
	actors["named"].do("exec 3<&-")
	fmt.Fprintln(actors["execs"].in, "exec 3<&-; exec sleep 1000")
	untilTrue(t, "the other program", func() bool {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", actors["execs"].pid))
		return string(text) == "sleep\x001000\x00"
	})
	actors["ends"].end()

	wo = start()
	wo.Gen = gen
	wo.Named = map[int32]bool{actors["named"].pid: true}
	wo.shows(inodes[0])
	wo.sample()
	for name, a := range actors {
		p := wo.ByPID[a.pid]
		switch {
		case name == "ends":
			if p != nil || wo.Lives(refs[name], true) {
				t.Error("one that has ended is there")
			}
		case p == nil:
			t.Errorf("%s is not there", name)
		case name == "execs":
			if p.Ref == 0 || p.Ref == refs[name] || wo.Lives(refs[name], true) || p.val.UID == (store.Int{}) {
				t.Errorf("one that runs another program is %d, and was %d", p.Ref, refs[name])
			}
		case p.Ref != refs[name] || !wo.Lives(refs[name], true):
			t.Errorf("one that %s is %d, and was %d", name, p.Ref, refs[name])
		}
	}
	if wo.unknown != nil || wo.first {
		t.Errorf("unknown are %v", wo.unknown)
	}
	if err := wo.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestIdentifyEnded: a process of the recording that ends while it is looked at does not become another.
func TestIdentifyEnded(t *testing.T) {
	t.Parallel()
	wo := newRecorded(t)
	f, inode := newSocket(t)
	a := newActor(t, f)
	wo.shows(inode)
	wo.sample()
	p := wo.ByPID[a.pid]
	id := p.ID
	if !wo.identify(p) || p.ID != id || p.subject == nil {
		t.Errorf("it is %+v", p.ID)
	}
	a.cmd.Process.Kill()
	untilTrue(t, "it has ended", func() bool { s, _, _ := wo.ReadStat(a.pid); return s.state == 'Z' })
	if wo.identify(p) || p.ID != id {
		t.Errorf("it has ended, and is %+v", p.ID)
	}
	p.stat.state = 'Z'
	if !wo.identify(p) || p.ID != id {
		t.Errorf("its parent does not know of it, and it is %+v", p.ID)
	}
	p.stat.state = 'S'
	a.end()
	if wo.identify(p) || p.ID != id || p.subject == nil {
		t.Errorf("it has gone, and is %+v", p.ID)
	}
	// One that the recording does not have is what can be read of it.
	p.subject = nil
	if !wo.identify(p) || p.ID.Exe != "" {
		t.Errorf("%+v", p.ID)
	}
}

// TestRestingInTurns: of many processes that rest, some are looked at in each sample, and each in its turn.
func TestRestingInTurns(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	p := &Process{PID: 7, subject: new(store.Subject[store.ProcessID, store.Process])}
	for resting, want := range map[int]int{0: 12, restingRead - 1: 12, restingRead: 6, 3 * restingRead: 3} {
		wo.resting = resting
		looked := 0
		for gen := range uint32(12) {
			if wo.Gen = gen; wo.restsAndIsDue(p) {
				looked++
			}
		}
		if looked != want {
			t.Errorf("while %d rest, one is looked at in %d of 12 samples, want %d", resting, looked, want)
		}
	}
	p.subject = nil
	if wo.restsAndIsDue(p) {
		t.Error("one that the recording does not have rests")
	}
	if wo.Gen, wo.resting = 5, 3*restingRead; wo.restsAndIsDue(&Process{PID: 7}) {
		t.Error("one that the recording does not have rests")
	}
}

// TestFrozenCmdline: nothing is asked about a process that has not answered, until it does. What it says then is of the program
// that was asked.
func TestFrozenCmdline(t *testing.T) {
	t.Parallel()
	wo := newWorld(t)
	defer wo.Cmdlines.end()
	p := wo.refresh(int32(os.Getpid()), nil)
	r := &cmdlineReader{text: []byte("late")}
	p.frozen, p.frozenStack, p.silent = r, p.stat.stack, true
	if got := wo.cmdline(p); got != nil || !p.silent || p.frozen != r {
		t.Errorf("it has not answered, and is %q", got)
	}
	r.Came.Store(true)
	if got := wo.cmdline(p); string(got) != "late" || p.silent || p.frozen != nil {
		t.Errorf("it has answered, and is %q", got)
	}
	p.frozen, p.frozenStack, p.silent = r, p.stat.stack+1, true
	if got := wo.cmdline(p); !strings.HasPrefix(string(got), os.Args[0]) || p.silent || p.frozen != nil || p.frozenStack != p.stat.stack {
		t.Errorf("it runs another program by now, and is %q", got)
	}
	wo.Cmdlines.end()
	wo.Cmdlines.most = 0
	if got := wo.cmdline(p); got != nil || !p.silent {
		t.Errorf("nobody can ask, and it is %q", got)
	}
	if CmdlinePatience != 200*time.Millisecond {
		t.Errorf("patience %v", CmdlinePatience)
	}
}

func TestSmallWords(t *testing.T) {
	t.Parallel()
	for link, want := range map[string]uint32{
		"socket:[4711]": 4711, "socket:[4294967295]": 1<<32 - 1, "socket:[4294967296]": 0, "socket:[]": 0, "socket:[": 0, "socket:[12": 0, "socket:[1a]": 0,
		"socket:[/]": 0, "socket:[:]": 0, "pipe:[4711]": 0, "": 0, "socket:[09]": 9,
	} {
		got, ok := socketInode([]byte(link))
		if ok != (want != 0) || ok && got != want {
			t.Errorf("%q: %d, %v", link, got, ok)
		}
	}
	var name [11]byte
	for n, want := range map[uint32]string{0: "0", 7: "7", 1<<32 - 1: "4294967295"} {
		if cNumber(&name, n); string(name[:len(want)+1]) != want+"\x00" {
			t.Errorf("%d is %q", n, name)
		}
	}
	list := []fdInode{{fd: 3}, {fd: 5}, {fd: 9}}
	for fd, want := range map[uint32]int{0: 3, 3: 3, 4: 2, 5: 2, 6: 1, 9: 1, 10: 0} {
		if got := from(list, fd); len(got) != want {
			t.Errorf("from %d on: %v", fd, got)
		}
	}
	for _, c := range []struct {
		status string
		uid    uint32
		ok     bool
	}{{"Name:\tx\nUid:\t1\t2\t3\t4\n", 2, true}, {"Uid:\t1\t2", 2, true}, {"Uid:\t1", 0, false}, {"", 0, false}, {"Uid:\t1\tx\t3\n", 0, false}} {
		if uid, ok := statusUID([]byte(c.status)); ok != c.ok || ok && uid != c.uid {
			t.Errorf("%q: %d, %v", c.status, uid, ok)
		}
	}
	for limits, want := range map[string]store.Int{
		"Max open files 1024 2048 files": {}, "x\nMax open files            1024                 524288               files     \n": store.Of(1024),
		"Max open files 1 2": store.Of(1), "": {},
	} {
		if strings.Contains(limits, "2048") {
			want = store.Of(1024)
		}
		if got := fileLimit([]byte(limits)); got != want {
			t.Errorf("%q: %v", limits, got)
		}
	}
	for _, c := range []struct {
		err  error
		gone bool
	}{{unix.ENOENT, true}, {unix.ESRCH, true}, {fmt.Errorf("x: %w", os.ErrNotExist), true}, {unix.EACCES, false}, {errors.New("x"), false}, {nil, false}} {
		if IsGone(c.err) != c.gone {
			t.Errorf("gone by %v: %v", c.err, !c.gone)
		}
	}
}
