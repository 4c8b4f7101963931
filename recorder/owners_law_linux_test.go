package recorder

import (
	"bufio"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
)

// The law of owners, over a random history of sockets that are opened, closed, duplicated, put in the place of others, inherited
// by children that run another program or do not, kept through exec, passed to processes that run already (kept, closed, or
// replaced at once by another under the same number; received at once or later), among processes that come, are killed, and take
// over the number of one that was: in every sample, the process named for a socket is one of those that hold it. Nobody is named
// only when nobody holds it, or when it was on its way for orphanSamples or more and not everything was read again since. The
// oracle reads all of /proc/PID/fd in the plain way. Once in ten samples, in which everything is read again, all holders are
// known.
//
// NETSQL_TEST_SEEDS has it try so many histories, others each time, and NETSQL_TEST_SEED one again.
func TestOwnersLaw(t *testing.T) { testOwnersLaw(t, false) }

// The same with threads that have descriptors of their own, begin with a copy of their process's, and do with them what their
// process does: the process is named. Where others hold the socket too, such threads may be missing among the owners.
func TestOwnersLawOfThreads(t *testing.T) { testOwnersLaw(t, true) }

func testOwnersLaw(t *testing.T, threads bool) {
	if os.Getenv("NETSQL_TEST_NAMESPACE") != t.Name() {
		inProcessNamespace(t)
		return
	}
	loopback(t)
	seed, seeds := uint64(1), little(min(2, len(sizes)), len(sizes))
	if text := os.Getenv("NETSQL_TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	} else if text := os.Getenv("NETSQL_TEST_SEEDS"); text != "" {
		seeds, _ = strconv.Atoi(text)
		seed = uint64(time.Now().UnixNano()) // others each time
	}
	reuses, alone := lastPID()
	if !reuses {
		t.Log("numbers of processes are not used again: that needs /proc/sys/kernel/ns_last_pid of a PID namespace of its own")
	}
	for range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			h := &history{t: t, threads: threads, size: sizes[seed%uint64(len(sizes))], rand: rand.New(rand.NewPCG(seed, 0)), reuses: reuses, alone: alone, dir: t.TempDir(), stats: map[string]int{}, waiting: map[int64]int{}}
			h.run(150)
		})
		seed++
	}
}

// inProcessNamespace is inNamespace with processes of its own, where that is allowed.
func inProcessNamespace(t *testing.T) {
	t.Parallel()
	for _, flags := range []uintptr{syscall.CLONE_NEWPID, 0} {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
		cmd.Env = append(os.Environ(), "NETSQL_TEST_NAMESPACE="+t.Name(), "NETSQL_TEST_PIDS="+strconv.Itoa(int(flags)))
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | flags,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := kerneltest.Output(cmd)
		if flags != 0 && (cmd.Process == nil || cmd.ProcessState.ExitCode() == exitNoProc) {
			continue
		}
		if cmd.Process == nil {
			kerneltest.NeedKernel(t, "no user and network namespaces here: "+err.Error())
		}
		t.Logf("%s", out)
		if err != nil {
			t.Errorf("in its namespace: %v", err)
		}
		return
	}
}

// exitNoProc is what the test ends with where it may not mount /proc.
const exitNoProc = 77

// lastPID reports whether the number of the next process can be chosen, and whether the processes of the test are the
// only ones.
func lastPID() (reuses, alone bool) {
	// Children of processes that were killed are this one's to wait for.
	unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	if os.Getenv("NETSQL_TEST_PIDS") == "0" {
		return false, false
	}
	if unix.Mount("proc", "/proc", "proc", 0, "") != nil {
		os.Exit(exitNoProc)
	}
	return chooseNextPID(1000) == nil, true
}

func chooseNextPID(pid int) error {
	return os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0)
}

// A size is what the owners take this machine for.
type size struct {
	name   string
	small  int64 // a small process
	budget int   // places verified in a sample
}

var sizes = [...]size{
	{"few sockets", owners.SmallProcess, owners.VerifyBudget},
	{"few sockets in large processes", 0, owners.VerifyBudget},
	// A sample cannot see everything here: the law holds when verifyRound has gone by.
	{"many sockets in large processes", 0, 3},
}

// A history is what happens to the sockets of some actors, and to their frozen children.
type history struct {
	t             *testing.T
	size          size
	rand          *rand.Rand
	dir           string
	reuses, alone bool
	threads       bool
	made          int
	actors        []*actor
	frozen        []frozen
	did           []string
	stats         map[string]int
	step          int
	waiting       map[int64]int // sockets on their way, by inode: since which step
}

// An actor is a process that does as it is told.
type actor struct {
	id, pid int
	parent  *actor    // nil: the test
	cmd     *exec.Cmd // of a child of the test
	in, out *os.File
	lines   *bufio.Reader
	dead    bool
	threads []int // those with descriptors of their own
	started int
}

// A frozen child is a fork of an actor that only holds what it was born with.
type frozen struct {
	pid    int
	parent *actor
}

func (h *history) run(steps int) {
	h.t.Cleanup(h.end)
	for range 3 {
		h.addActor(nil)
	}
	r := newRecording(h.t)
	s := newSockets(r.Writer, here(h.t)).(*sockets)
	db := r.reader()
	s.owners.Small, s.owners.Budget = h.size.small, h.size.budget
	if h.threads && h.size.budget >= owners.VerifyBudget {
		s.owners.Budget *= 16 // with copies of everything there are more places
	}
	for step := range steps {
		h.step = step
		for range 1 + h.rand.IntN(5) {
			h.change()
		}
		all, round := step%10 == 9, step%10 == 4
		if all {
			everythingDue(s)
		}
		if round {
			elapse(s.owners, owners.VerifyRound)
		} else {
			elapse(s.owners, 5*time.Second)
		}
		r.sample(s)
		if h.size.budget < owners.VerifyBudget && !all && !round {
			continue
		}
		if problem := h.check(db, all); problem != "" {
			h.t.Fatalf("step %d, after %s:\n%s", step, strings.Join(h.did, ", "), problem)
		}
		h.did = nil
	}
	h.t.Logf("%s, %d steps: %v", h.size.name, steps, h.stats)
}

// check compares what the last sample says with who holds what. Holders besides the one that is named may be missing,
// unless everything has been read.
func (h *history) check(db *sql.DB, all bool) string {
	held, aside := h.holders()
	var wrong []string
	there := map[int64]bool{}
	h.each(db, "SELECT inode, proto, coalesce(pid, 0), owner_how FROM sockets_now WHERE inode IS NOT NULL", func(scan func(...any)) {
		var inode int64
		var pid int
		var proto, how string
		scan(&inode, &proto, &pid, &how)
		there[inode] = true
		_, right := held[inode][pid]
		since, waits := h.waiting[inode]
		delete(h.waiting, inode)
		switch {
		case len(held[inode])+len(aside[inode]) == 0 && how != "fd":
			h.stats["on the way"]++
			h.waiting[inode] = h.step
			if waits {
				h.waiting[inode] = since
			}
		case waits && h.step-since >= owners.OrphanSamples && how != "fd" && pid == 0 && !all:
			h.stats["arrived, and not found yet"]++
			h.waiting[inode] = since
		case how == "fd" && !right && aside[inode][pid] != nil:
			h.stats["right, by a thread"]++
		case right && how == "fd":
			h.stats["right"]++
		default:
			wrong = append(wrong, fmt.Sprintf("%s socket %d: named %d by %s, held by %v, by threads %v", proto, inode, pid, how, held[inode], aside[inode]))
		}
	})
	named := map[int64]map[int]int{}
	h.each(db, "SELECT inode, pid, fd FROM socket_owners_now WHERE inode IS NOT NULL", func(scan func(...any)) {
		var inode int64
		var pid, fd int
		scan(&inode, &pid, &fd)
		if named[inode] == nil {
			named[inode] = map[int]int{}
		}
		named[inode][pid] = fd
	})
	for inode, holders := range named {
		for pid, fd := range holders {
			_, right := held[inode][pid]
			switch threads := aside[inode][pid]; {
			case right:
			case threads == nil:
				wrong = append(wrong, fmt.Sprintf("socket %d: an owner %d, held by %v", inode, pid, held[inode]))
			case all && !slices.Contains(threads, fd):
				wrong = append(wrong, fmt.Sprintf("socket %d: with threads of %d, at %d: it has it at %v", inode, pid, fd, threads))
			default:
				delete(holders, pid) // it is right, and held says nothing of it
			}
		}
	}
	for inode, holders := range held {
		if !there[inode] { // of another network namespace, or not in the dumps
			continue
		}
		if diff := cmp.Diff(holders, named[inode]); diff != "" && all {
			wrong = append(wrong, fmt.Sprintf("all owners of %d, pid: lowest fd (-want +got):\n%s", inode, diff))
		} else if diff != "" {
			h.stats["owners incomplete"]++
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}

// each calls do for each row of the answer.
func (h *history) each(db *sql.DB, query string, do func(scan func(...any))) {
	h.t.Helper()
	rows, err := db.QueryContext(h.t.Context(), query)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		do(func(to ...any) {
			if err := rows.Scan(to...); err != nil {
				h.t.Fatal(err)
			}
		})
	}
	if err := rows.Err(); err != nil {
		h.t.Fatal(err)
	}
}

// holders is who holds which sockets, as pid and lowest descriptor, by inode. aside is who holds them with threads that do not
// show in /proc/PID/fd, with the lowest descriptor of each.
func (h *history) holders() (held map[int64]map[int]int, aside map[int64]map[int][]int) {
	h.t.Helper()
	held, aside = map[int64]map[int]int{}, map[int64]map[int][]int{}
	for _, pid := range numbersIn("/proc") {
		process := fmt.Sprintf("/proc/%d", pid)
		for inode, fd := range socketsIn(process + "/fd") {
			if held[inode] == nil {
				held[inode] = map[int]int{}
			}
			held[inode][pid] = fd
		}
		if !h.threads {
			continue
		}
		for _, tid := range numbersIn(process + "/task") {
			for inode, fd := range socketsIn(fmt.Sprintf("%s/task/%d/fd", process, tid)) {
				if aside[inode] == nil {
					aside[inode] = map[int][]int{}
				}
				aside[inode][pid] = append(aside[inode][pid], fd)
			}
		}
	}
	return held, aside
}

// numbersIn are the names in a folder that are numbers.
func numbersIn(dir string) (numbers []int) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// socketsIn is the lowest descriptor of each socket in a folder of descriptors, by inode.
func socketsIn(dir string) map[int64]int {
	lowest := map[int64]int{}
	for _, fd := range numbersIn(dir) {
		inode := int64(0)
		link, _ := os.Readlink(fmt.Sprintf("%s/%d", dir, fd))
		if _, err := fmt.Sscanf(link, "socket:[%d]", &inode); err != nil {
			continue
		}
		if before, seen := lowest[inode]; !seen || fd < before {
			lowest[inode] = fd
		}
	}
	return lowest
}

// change lets one thing happen.
func (h *history) change() {
	a := h.actors[h.rand.IntN(len(h.actors))]
	b := h.actors[h.rand.IntN(len(h.actors))]
	i, j := h.rand.IntN(1000), h.rand.IntN(1000)
	if h.threads && h.rand.IntN(2) == 0 {
		h.changeThread(a, b, i, j)
		return
	}
	switch h.rand.IntN(24) {
	case 0, 1, 2:
		h.tell(a, "open %d", i)
	case 3, 4, 5:
		h.tell(a, "close %d", i)
	case 6:
		h.tell(a, "dup %d %d", i, j%40)
	case 7:
		h.tell(a, "dup2 %d %d", i, j)
	case 8: // in the same step another socket takes the number
		h.tell(a, "close %d", i)
		h.tell(a, "open %d", j)
	case 9: // moved out of the way, and a new socket in its place
		h.tell(a, "dup %d %d", i, 40+j%200)
		h.tell(a, "close %d", i)
		h.tell(a, "open %d", j)
	case 10: // a file that is no socket, so that numbers of descriptors tell little
		h.tell(a, "file")
	case 11, 12: // passed on
		h.tell(a, "send %d %d", i, b.id)
		h.tell(b, "receive")
	case 13, 14: // passed on and closed
		h.tell(a, "send %d %d", i, b.id)
		h.tell(a, "close %d", i)
		h.tell(b, "receive")
	case 15, 16: // passed on, and a new one under the same number; the receiver closes another
		h.tell(a, "send %d %d", i, b.id)
		h.tell(a, "close %d", i)
		h.tell(a, "open %d", j)
		h.tell(b, "close %d", j)
		h.tell(b, "receive")
	case 17: // on the way
		h.tell(a, "send %d %d", i, b.id)
		h.tell(a, "close %d", i)
	case 18:
		h.tell(b, "receive")
	case 19: // a child without exec keeps what its parent closes
		if len(h.frozen) < 4 {
			h.freeze(a)
			h.tell(a, "close %d", i)
		}
	case 20:
		if len(h.actors) < 6 {
			h.addActor(a)
		}
	case 21:
		h.tell(a, "exec %d", i)
		a.threads = nil
	case 22:
		if n := len(h.frozen); n > 0 {
			f := h.frozen[i%n]
			h.frozen = slices.Delete(h.frozen, i%n, i%n+1)
			h.kill(f.pid, f.parent, nil)
			if h.reuses && j%2 == 0 {
				if err := chooseNextPID(f.pid); err != nil {
					h.t.Fatal(err)
				}
				if h.freeze(a) == f.pid {
					h.stats["numbers used again"]++
				}
			}
		}
	case 23:
		if len(h.actors) > 3 {
			h.actors = slices.DeleteFunc(h.actors, func(o *actor) bool { return o == a })
			a.dead = true
			h.kill(a.pid, a.parent, a.cmd)
			a.in.Close()
			a.out.Close()
		}
	}
}

// changeThread lets one thing happen to a thread with descriptors of its own.
func (h *history) changeThread(a, b *actor, i, j int) {
	what := h.rand.IntN(14)
	if what == 0 || len(a.threads) == 0 {
		if len(a.threads) < 3 {
			a.started++
			h.tell(a, "thread %d", a.started)
			a.threads = append(a.threads, a.started)
		}
		return
	}
	k := i % len(a.threads)
	in := func(format string, args ...any) { h.tell(a, "in %d "+format, append([]any{a.threads[k]}, args...)...) }
	switch what {
	case 1:
		h.tell(a, "end %d", a.threads[k])
		a.threads = slices.Delete(a.threads, k, k+1)
	case 2, 3:
		in("open %d", j)
	case 4, 5, 6:
		in("close %d", j)
	case 7:
		in("dup %d %d", i, j%40)
	case 8:
		in("dup2 %d %d", i, j)
	case 9:
		in("close %d", i)
		in("open %d", j)
	case 10: // passed on
		in("send %d %d", j, b.id)
		in("close %d", j)
		h.tell(b, "receive")
	case 11: // and taken by the thread
		h.tell(b, "send %d %d", i, a.id)
		h.tell(b, "close %d", i)
		in("receive")
	case 12: // what its process closes, it has still
		h.tell(a, "close %d", i)
	case 13: // it has nothing more but what it opens
		for range 40 {
			in("close 0")
		}
		in("open %d", j)
	}
}

func (h *history) note(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf(format, args...))
}

// tell has an actor do something, and returns what it says it did.
func (h *history) tell(a *actor, format string, args ...any) string {
	h.t.Helper()
	command := fmt.Sprintf(format, args...)
	fmt.Fprintln(a.in, command)
	answer := h.answer(a, command)
	h.note("%d: %s", a.pid, answer)
	return answer
}

func (h *history) answer(a *actor, to string) string {
	h.t.Helper()
	a.out.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := a.lines.ReadString('\n')
	answer, ok := strings.CutPrefix(strings.TrimSpace(line), "ok ")
	if err != nil || !ok {
		h.t.Fatalf("process %d, told %q after %s, says %q: %v", a.pid, to, strings.Join(h.did, ", "), line, err)
	}
	return answer
}

// addActor starts another process: a child of an actor, with all that the actor holds, or of the test.
func (h *history) addActor(parent *actor) {
	h.made++
	a := &actor{id: h.made, parent: parent}
	path := func(end string) string { return filepath.Join(h.dir, strconv.Itoa(a.id)+end) }
	for _, end := range []struct {
		name string
		file **os.File
	}{{".in", &a.in}, {".out", &a.out}} {
		if err := unix.Mkfifo(path(end.name), 0o600); err != nil {
			h.t.Fatal(err)
		}
		// For reading and writing, so that nobody waits for the other end; a child must not have it.
		var err error
		if *end.file, err = os.OpenFile(path(end.name), os.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			h.t.Fatal(err)
		}
	}
	a.lines = bufio.NewReader(a.out)
	env := fmt.Sprintf("NETSQL_TEST_ACTOR=%d %s", a.id, filepath.Join(h.dir, strconv.Itoa(a.id)))
	if parent == nil {
		a.cmd = exec.Command(os.Args[0], "-test.run=^TestOwnersLawActor$")
		a.cmd.Env = append(os.Environ(), env)
		if err := a.cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
		a.pid = a.cmd.Process.Pid
	} else {
		a.pid = numberIn(h.t, h.tell(parent, "spawn %s", env))
	}
	h.actors = append(h.actors, a)
	h.note("%d: %s", a.pid, h.answer(a, "begin"))
}

// freeze forks an actor; the child does nothing more.
func (h *history) freeze(a *actor) int {
	pid := numberIn(h.t, h.tell(a, "fork"))
	h.frozen = append(h.frozen, frozen{pid, a})
	return pid
}

func numberIn(t *testing.T, answer string) int {
	t.Helper()
	word := answer[strings.LastIndexByte(answer, ' ')+1:]
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// kill ends a process and has its parent, or who took its place, wait for it.
func (h *history) kill(pid int, parent *actor, cmd *exec.Cmd) {
	h.t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	h.note("%d killed", pid)
	switch {
	case cmd != nil:
		cmd.Wait()
	case parent != nil && !parent.dead:
		h.tell(parent, "reap %d", pid)
	default:
		reap(pid)
	}
}

func reap(pid int) {
	for {
		if _, err := unix.Wait4(pid, nil, 0, nil); err != unix.EINTR {
			return
		}
	}
}

func (h *history) end() {
	for _, f := range h.frozen {
		unix.Kill(f.pid, unix.SIGKILL)
	}
	for _, a := range h.actors {
		unix.Kill(a.pid, unix.SIGKILL)
		a.in.Close()
		a.out.Close()
	}
	for _, a := range h.actors {
		if a.cmd != nil {
			a.cmd.Wait()
		}
	}
	for h.alone { // the rest is ours by now
		if _, err := unix.Wait4(-1, nil, 0, nil); err == unix.ECHILD {
			break
		}
	}
}

// TestOwnersLawActor is no test, but the body of an actor.
func TestOwnersLawActor(t *testing.T) {
	text := os.Getenv("NETSQL_TEST_ACTOR")
	if text == "" {
		return
	}
	id, path, _ := strings.Cut(text, " ")
	in, err := os.OpenFile(path+".in", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.OpenFile(path+".out", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &performer{id: id, mailbox: -1}
	for word := range strings.FieldsSeq(os.Getenv("NETSQL_TEST_HELD")) {
		fd, _ := strconv.Atoi(word)
		unix.CloseOnExec(fd)
		p.fds = append(p.fds, fd)
	}
	if text := os.Getenv("NETSQL_TEST_MAILBOX"); text != "" {
		p.mailbox, _ = strconv.Atoi(text)
		unix.CloseOnExec(p.mailbox)
	} else if p.mailbox, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	} else if err := unix.Bind(p.mailbox, mailboxOf(id)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(out, "ok there")
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := p.do(strings.Fields(lines.Text()))
		if err != nil {
			fmt.Fprintln(out, lines.Text(), err)
			continue
		}
		fmt.Fprintln(out, "ok", answer)
	}
}

func mailboxOf(id string) unix.Sockaddr { return &unix.SockaddrUnix{Name: "@owners-law-" + id} }

// A performer is an actor from within.
type performer struct {
	id      string
	fds     []int // sockets, and files that are none
	mailbox int
	threads map[string]*performingThread
}

// A performingThread does things with descriptors of its own.
type performingThread struct {
	tid     int
	orders  chan []string
	answers chan func() (string, error)
}

func (p *performer) start(number string) *performingThread {
	th := &performingThread{orders: make(chan []string), answers: make(chan func() (string, error))}
	own := &performer{id: p.id, fds: slices.Clone(p.fds), mailbox: p.mailbox}
	answer := func(said string, err error) { th.answers <- func() (string, error) { return said, err } }
	onThread(false, func() {
		th.tid = unix.Gettid()
		answer(fmt.Sprintf("thread %s: %d", number, th.tid), unix.Unshare(unix.CLONE_FILES))
		for words := range th.orders {
			answer(own.do(words))
		}
	})
	if p.threads == nil {
		p.threads = map[string]*performingThread{}
	}
	p.threads[number] = th
	return th
}

var errNothing = errors.New("nothing")

// pick is one of its descriptors.
func (p *performer) pick(word string) (i, fd int, err error) {
	n, err := strconv.Atoi(word)
	if err != nil {
		return 0, 0, err
	}
	if len(p.fds) == 0 {
		return 0, 0, errNothing
	}
	i = n % len(p.fds)
	return i, p.fds[i], nil
}

func (p *performer) do(words []string) (string, error) {
	said, err := p.perform(words)
	if err == errNothing {
		return words[0] + ": nothing there", nil
	}
	return said, err
}

func (p *performer) perform(words []string) (string, error) {
	switch words[0] {
	case "open":
		return p.open(words[1])
	case "file":
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		p.fds = append(p.fds, fd)
		return fmt.Sprintf("a file at %d", fd), err
	case "close":
		i, fd, err := p.pick(words[1])
		if err != nil {
			return "", err
		}
		p.fds = slices.Delete(p.fds, i, i+1)
		return fmt.Sprintf("closed %d", fd), unix.Close(fd)
	case "dup":
		_, fd, err := p.pick(words[1])
		if err != nil {
			return "", err
		}
		from, _ := strconv.Atoi(words[2])
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from)
		p.fds = append(p.fds, dup)
		return fmt.Sprintf("%d also at %d", fd, dup), err
	case "dup2":
		_, fd, err := p.pick(words[1])
		if err != nil {
			return "", err
		}
		_, over, _ := p.pick(words[2])
		if fd == over {
			return "", errNothing
		}
		return fmt.Sprintf("%d also at %d, over what was there", fd, over), unix.Dup3(fd, over, unix.O_CLOEXEC)
	case "send":
		_, fd, err := p.pick(words[1])
		if err != nil {
			return "", err
		}
		err = unix.Sendmsg(p.mailbox, []byte("x"), unix.UnixRights(fd), mailboxOf(words[2]), unix.MSG_DONTWAIT)
		if err == unix.EAGAIN || err == unix.ECONNREFUSED { // full
			return "", errNothing
		}
		return fmt.Sprintf("sent %d to actor %s", fd, words[2]), err
	case "receive":
		rights := make([]byte, unix.CmsgSpace(4))
		_, n, _, _, err := unix.Recvmsg(p.mailbox, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err == unix.EAGAIN {
			return "", errNothing
		} else if err != nil {
			return "", err
		}
		messages, err := unix.ParseSocketControlMessage(rights[:n])
		if err != nil {
			return "", err
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		p.fds = append(p.fds, fds...)
		return fmt.Sprintf("received %d", fds), err
	case "thread":
		return (<-p.start(words[1]).answers)()
	case "in":
		th := p.threads[words[1]]
		th.orders <- words[2:]
		said, err := (<-th.answers)()
		return fmt.Sprintf("thread %s %s", words[1], said), err
	case "end":
		th := p.threads[words[1]]
		delete(p.threads, words[1])
		close(th.orders)
		for {
			if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", th.tid)); err != nil {
				return "ended thread " + words[1], nil
			}
			runtime.Gosched()
		}
	case "fork":
		pid, err := fork()
		return fmt.Sprintf("forked %d", pid), err
	case "reap":
		pid, err := strconv.Atoi(words[1])
		reap(pid)
		return "waited for " + words[1], err
	case "spawn": // the child has what this one holds, from descriptor 3 on
		files, held := []uintptr{0, 1, 2}, ""
		for _, fd := range p.fds {
			held += " " + strconv.Itoa(len(files))
			files = append(files, uintptr(fd))
		}
		env := environ(strings.Join(words[1:], " "), "NETSQL_TEST_MAILBOX=", "NETSQL_TEST_HELD="+held)
		pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: env, Files: files})
		return fmt.Sprintf("spawned %d", pid), err
	case "exec": // keeping all but one of what it holds
		held := ""
		for i, fd := range append(slices.Clone(p.fds), p.mailbox) {
			if n, _ := strconv.Atoi(words[1]); i < len(p.fds) && n%(len(p.fds)+1) == i {
				continue
			}
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, 0); err != nil {
				return "", err
			}
			if i < len(p.fds) {
				held += " " + strconv.Itoa(fd)
			}
		}
		return "", syscall.Exec("/proc/self/exe", os.Args, environ("NETSQL_TEST_HELD="+held, "NETSQL_TEST_MAILBOX="+strconv.Itoa(p.mailbox)))
	}
	return "", fmt.Errorf("what is %q?", words)
}

// environ is the environment with these set again: of two that are alike, Go takes the first.
func environ(set ...string) []string { return append(set, os.Environ()...) }

// open makes a socket of one kind or another.
func (p *performer) open(kind string) (string, error) {
	n, err := strconv.Atoi(kind)
	if err != nil {
		return "", err
	}
	lo := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	var fds [2]int
	opened := fds[:1]
	switch n % 4 {
	case 0, 1:
		if fds[0], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err = unix.Bind(fds[0], lo)
		}
	case 2:
		if fds[0], err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
			if err = unix.Bind(fds[0], lo); err == nil {
				err = unix.Listen(fds[0], 5)
			}
		}
	case 3:
		fds, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		opened = fds[:]
	}
	p.fds = append(p.fds, opened...)
	return fmt.Sprintf("opened %d", opened), err
}

// fork makes a child that holds what this process does and never runs any of Go's runtime: it waits to be killed.
//
//go:norace
func fork() (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	for pid == 0 {
		syscall.RawSyscall6(syscall.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
	}
	return int(pid), nil
}
