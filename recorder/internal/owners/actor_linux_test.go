package owners

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// An actor is a shell that does what it is told. It holds the files from descriptor 3 on.
type actor struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	pid int32
}

func newActor(t *testing.T, files ...*os.File) *actor {
	t.Helper()
	a := &actor{t: t, cmd: exec.Command("sh", "-c", `while read -r line; do eval "$line"; echo; done`)}
	a.cmd.ExtraFiles = files
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	a.out = bufio.NewReader(out)
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a.pid = int32(a.cmd.Process.Pid)
	t.Cleanup(a.end)
	a.do(":")
	return a
}

// do returns when it is done.
func (a *actor) do(line string) {
	a.t.Helper()
	if _, err := io.WriteString(a.in, line+"\n"); err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.out.ReadString('\n'); err != nil {
		a.t.Fatalf("%s: %v", line, err)
	}
}

func (a *actor) end() {
	a.cmd.Process.Kill()
	a.cmd.Wait()
}

// newSocket is a unix socket. Its other end stays with the test, as long as that lasts.
func newSocket(t *testing.T) (f *os.File, inode uint32) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pair[1]) })
	f = os.NewFile(uintptr(pair[0]), "socket")
	t.Cleanup(func() { f.Close() })
	return f, inodeOf(t, pair[0])
}

func inodeOf(t *testing.T, fd int) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return uint32(st.Ino)
}

// A world is owners whose dumps show the sockets that they are told of.
type world struct {
	*Owners
	t       *testing.T
	w       *store.Writer // nil: there is no recording
	sockets []*Held
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return enter(t, nil, &Owners{
		ByPID: map[int32]*Process{}, byInode: map[uint32]*Held{}, Proc: -1, Budget: VerifyBudget, Small: SmallProcess, recheck: recheckOwners,
		Cmdlines: newCmdlines(), users: NewUsers(),
	})
}

// newRecorded is a world with a recording.
func newRecorded(t *testing.T) *world {
	t.Helper()
	w, err := store.Create(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "test.db"), Interval: time.Second, Boot: store.Boot{ID: "boot"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close(context.Background()) })
	return enter(t, w, New(w, NewUsers()))
}

func enter(t *testing.T, w *store.Writer, o *Owners) *world {
	t.Helper()
	wo := &world{t: t, w: w, Owners: o}
	if err := wo.ListProcesses(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(wo.Proc) })
	wo.next()
	return wo
}

// next begins the next sample, whose dump shows all sockets of the world.
func (wo *world) next() {
	wo.Begin(wo.Gen+1, wo.Gen+1)
	wo.rereading = rereadBudget
	for _, e := range wo.sockets {
		e.Dump = wo.Gen
	}
}

// shows makes a dump show a socket for the first time.
func (wo *world) shows(inode uint32) *Held {
	e := &Held{Inode: inode, Dump: wo.Gen}
	wo.sockets = append(wo.sockets, e)
	wo.Appeared(e)
	return e
}

// meet gets to know the process of an actor, and reads its descriptors.
func (wo *world) meet(a *actor) *Process {
	wo.t.Helper()
	p := wo.refresh(a.pid, nil)
	if p == nil {
		wo.t.Fatalf("no process %d", a.pid)
	}
	wo.Walk(&p.Table, Reading)
	return p
}

// sample is a whole sample.
func (wo *world) sample() {
	wo.t.Helper()
	wo.next()
	up := time.Duration(wo.Gen) * time.Second
	wo.w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
	if !wo.Source.Read(func() error { return wo.Look(wo.t.Context()) }) {
		wo.t.Fatal("the owners could not be read")
	}
	if err := wo.w.Commit(wo.t.Context(), store.Cost{}); err != nil {
		wo.t.Fatal(err)
	}
}

// A hold is what a test wants of a Holder.
type hold struct {
	pid     int32
	fd, fds uint32
}

// wantHolds compares the holders of a socket.
func wantHolds(t *testing.T, when string, e *Held, want ...hold) {
	t.Helper()
	bad := len(e.Holders) != len(want)
	for i := range want {
		bad = bad || e.Holders[i].Process.PID != want[i].pid || e.Holders[i].fd != want[i].fd || e.Holders[i].fds != want[i].fds
	}
	if bad {
		t.Errorf("%s: held by %d:", when, len(e.Holders))
		for _, h := range e.Holders {
			t.Errorf("  process %d, from descriptor %d on in %d places", h.Process.PID, h.fd, h.fds)
		}
		t.Errorf("  want %+v", want)
	}
}
