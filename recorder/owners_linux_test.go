package recorder

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// held is who holds a socket, as pid:fd pairs, and whom sockets names.
func (r *testRecording) held(cookie int64) (first any, all []string) {
	r.t.Helper()
	for _, row := range r.rows("SELECT pid FROM sockets_now WHERE cookie = ?", cookie) {
		first = row["pid"]
	}
	for _, row := range r.rows("SELECT pid, fd FROM socket_owners_now WHERE cookie = ? ORDER BY pid", cookie) {
		all = append(all, fmt.Sprintf("%v:%v", row["pid"], row["fd"]))
	}
	return first, all
}

func (r *testRecording) wantHeld(what string, cookie int64, want ...string) {
	r.t.Helper()
	first, all := r.held(cookie)
	pid := func(at string) int { n, _ := strconv.Atoi(at[:strings.IndexByte(at, ':')]); return n }
	slices.SortFunc(want, func(a, b string) int { return pid(a) - pid(b) })
	if diff := cmp.Diff(want, all); diff != "" {
		r.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
	var wantFirst any
	if len(want) > 0 {
		wantFirst = int64(pid(want[0]))
	}
	if first != wantFirst {
		r.t.Errorf("%s: sockets names %v, want %v", what, first, wantFirst)
	}
}

func at(pid, fd int) string { return fmt.Sprintf("%d:%d", pid, fd) }

// everythingDue makes the next sample read all descriptors, as it would after recheck.
func everythingDue(s *sockets) {
	for _, p := range s.owners.ByPID {
		for t := range p.Tables {
			t.Due = time.Time{}
		}
	}
}

// child starts a shell that holds the files from descriptor 3 on; it ends, or does what
// the script says, when its input is closed.
func child(t *testing.T, script string, files ...*os.File) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	cmd.ExtraFiles = files
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	until(t, "the shell to run", func() bool {
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid))
		self, _ := os.Readlink("/proc/self/exe")
		return exe != "" && exe != self
	})
	return cmd, in
}

func udpSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestInheritedSocketHasSeveralOwners(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0").(*net.TCPListener)
	cookie := cookieOf(t, l)
	file, err := l.File() // a second descriptor of this process
	if err != nil {
		t.Fatal(err)
	}
	lowest := int(file.Fd())
	onFD(t, l, func(fd int) { lowest = min(lowest, fd) })

	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	self := os.Getpid()
	r.sample(s)
	r.wantHeld("before the child", cookie, at(self, lowest))

	// The child is new: it is looked at at once, and so is the fact that it has ended.
	sh, in := child(t, "read x", file)
	r.sample(s)
	r.wantHeld("with the child", cookie, at(self, lowest), at(sh.Process.Pid, 3))
	in.Close()
	sh.Wait()
	r.sample(s)
	r.wantHeld("after the child", cookie, at(self, lowest))

	second, _ := child(t, "read x", file)
	r.sample(s)
	file.Close()
	l.Close()
	r.sample(s)
	r.wantHeld("closed here", cookie, at(second.Process.Pid, 3))
}

// A descriptor number is given out again at once, and the number of open descriptors stays
// the same: the new socket must show in the very sample, in whatever way the old one lives on.
func TestReusedDescriptor(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	self := os.Getpid()
	replace := func(t *testing.T, old int) (int, int64) {
		unix.Close(old)
		fd := udpSocket(t)
		if fd != old {
			if _, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, old); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
			fd = old
		}
		return fd, cookieOf(t, fd)
	}
	for _, c := range []struct {
		name string
		keep func(t *testing.T, old int) []string // keeps the old socket alive, before the first sample or after
		late bool
	}{
		{name: "the old one is closed"},
		{name: "a child has the old one", keep: func(t *testing.T, old int) []string {
			dup, _ := unix.Dup(old)
			file := os.NewFile(uintptr(dup), "")
			defer file.Close()
			sh, _ := child(t, "read x", file)
			return []string{at(sh.Process.Pid, 3)}
		}},
		{name: "it was moved to another descriptor meanwhile", late: true, keep: func(t *testing.T, old int) []string {
			dup, err := unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 100)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(dup) })
			return []string{at(self, dup)}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecording(t)
			s := newSockets(r.Writer, here(t)).(*sockets)
			old := udpSocket(t)
			oldCookie := cookieOf(t, old)
			var keepers []string
			if c.keep != nil && !c.late {
				keepers = c.keep(t, old)
			}
			r.sample(s)
			if first, _ := r.held(oldCookie); first != int64(self) {
				t.Fatalf("before: %v", first)
			}
			if c.late {
				keepers = c.keep(t, old)
			}
			fd, cookie := replace(t, old)
			defer unix.Close(fd)
			r.sample(s)
			r.wantHeld("the new one", cookie, at(self, fd))
			if keepers != nil {
				r.wantHeld("the old one", oldCookie, keepers...)
			}
		})
	}
}

// A socket passed over a unix socket to a process that runs already. Nothing tells; but where it was it is
// not any more, so it is searched for.
func TestPassedSocket(t *testing.T) {
	if os.Getenv("NETSQL_TEST_RECEIVER") != "" {
		receive(t)
		return
	}
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "")
	cmd := exec.Command(os.Args[0], "-test.run=^TestPassedSocket$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_RECEIVER=1")
	cmd.ExtraFiles = []*os.File{theirs}
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "here\n" {
		t.Fatalf("the receiver says %q: %v", line, err)
	}

	fd := udpSocket(t)
	cookie := cookieOf(t, fd)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	r.sample(s)
	r.wantHeld("before", cookie, at(os.Getpid(), fd))
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
	var got int
	if _, err := fmt.Fscanf(lines, "%d\n", &got); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	r.sample(s)
	r.wantHeld("after", cookie, at(cmd.Process.Pid, got))
}

// receive is the body of the process that takes the socket.
func receive(t *testing.T) {
	fmt.Println("here")
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(3, make([]byte, 1), rights, 0)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:n])
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(fds[0])
	select {}
}

// An exec makes another program run of the same process.
func TestExecIsAnotherProcess(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0").(*net.TCPListener)
	cookie := cookieOf(t, l)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	sh, in := child(t, "read x; exec sleep 60", file)
	file.Close()
	l.Close()
	pid := sh.Process.Pid
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	processes := func() []map[string]any {
		return r.rows("SELECT started, comm, exe, cmdline, ppid, uid, user, fds, fd_limit FROM processes_now WHERE pid = ?", pid)
	}
	r.sample(s)
	r.wantHeld("the shell", cookie, at(pid, 3))
	before := processes()
	in.Close()
	until(t, "exec", func() bool {
		cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		// While its libraries are loaded it has one of them open: it must have come to sleep.
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return string(cmdline) == "sleep\x0060\x00" && bytes.Contains(stat, []byte("(sleep) S "))
	})
	r.sample(s)
	r.wantHeld("sleep", cookie, at(pid, 3))
	after := processes()
	if len(before) != 1 || len(after) != 1 {
		t.Fatalf("processes before: %v, after: %v", before, after)
	}
	exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"started": before[0]["started"], "comm": "sleep", "exe": exe, "cmdline": "sleep 60", "ppid": int64(os.Getpid()),
		"uid": int64(0), "user": "root", "fds": int64(len(fds)), "fd_limit": int64(limit.Cur),
	}
	if diff := cmp.Diff(want, after[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if before[0]["comm"] != "sh" || before[0]["cmdline"] != "sh -c read x; exec sleep 60" {
		t.Errorf("before: %v", before[0])
	}
}

// A process that holds no socket is not looked at in every sample. When it runs another program and that opens a socket,
// it is the new program that is named.
func TestFirstSocketAfterExec(t *testing.T) {
	if os.Getenv("NETSQL_TEST_OPENER") != "" {
		fmt.Println(udpSocket(t))
		select {}
	}
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	cmd := exec.Command("sh", "-c", `read x; exec "$0" -test.run='^TestFirstSocketAfterExec$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "NETSQL_TEST_OPENER=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	until(t, "the shell to run", func() bool {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		return string(comm) == "sh\n"
	})
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	r.sample(s)
	in.Close()
	var fd int
	if _, err := fmt.Fscanln(out, &fd); err != nil {
		t.Fatal(err)
	}
	r.sample(s)
	exe, _ := os.Readlink("/proc/self/exe")
	want := []map[string]any{{"fd": int64(fd), "exe": exe}}
	got := r.rows("SELECT fd, exe FROM socket_owners_now WHERE pid = ?", cmd.Process.Pid)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Owners that fail leave the sockets recorded, without an owner, and come back.
func TestOwnersFail(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	ours := []map[string]any{{"state": "LISTEN", "pid": int64(os.Getpid())}}
	nobodys := []map[string]any{{"state": "LISTEN", "pid": nil}}
	for _, step := range []struct {
		name   string
		do     func()
		want   []map[string]any
		failed bool
	}{
		{"at first", func() {}, ours, false},
		{"an error", func() { unix.Close(s.owners.Proc) }, nobodys, true},
		{"repaired", func() { s.owners.Proc = -1 }, ours, false},
		{"a panic", func() { s.owners.ByPID = nil }, nobodys, true},
		{"after the panic", func() {}, ours, false},
	} {
		step.do()
		r.sample(s)
		if diff := cmp.Diff(step.want, r.rows("SELECT state, pid FROM sockets_now WHERE cookie = ?", cookieOf(t, l))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
		outcome := r.rows("SELECT outcome FROM sources_now WHERE source = 'owners'")[0]["outcome"]
		if (outcome == "failed") != step.failed {
			t.Errorf("%s: owners %v", step.name, outcome)
		}
		if tcp := r.rows("SELECT outcome FROM sources_now WHERE source = 'tcp4'")[0]["outcome"]; tcp != "read" {
			t.Errorf("%s: tcp4 %v", step.name, tcp)
		}
	}
}

// Without a change nothing is written.
func TestUnchangedSocketsCostNothing(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	c, _ := tcpPair(t, l)
	unixSocket, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unixSocket.Close()
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	for range 4 {
		r.sample(s)
	}
	for _, table := range []string{"socket", "socket_owner", "socket_count"} {
		if n := r.rows("SELECT count(*) AS n FROM " + table + "_span")[0]["n"]; n != int64(0) {
			t.Errorf("%v spans of %s were written", n, table)
		}
		if n := r.rows("SELECT count(*) AS n FROM " + table + "_open WHERE from_sample <> 1")[0]["n"]; n != int64(0) {
			t.Errorf("%v spans of %s were begun again", n, table)
		}
	}
	// But a byte is a change, of both sockets.
	if _, err := c.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	until(t, "the acknowledgement", func() bool { return ss(t, "-taeim")[cookieOf(t, c)].sendQ == 0 })
	r.sample(s)
	if n := r.rows("SELECT count(*) AS n FROM socket_span")[0]["n"]; n != int64(2) {
		t.Errorf("%v spans after a byte, want 2", n)
	}
}

// What was there before a restart is as old after it.
func TestOldestSurvivesRestart(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	listen(t, "tcp4", "127.0.0.1:0")
	path, tick := filepath.Join(t.TempDir(), "test.db"), 0
	run := func() any {
		w, err := store.Create(t.Context(), store.Options{
			Path: path, Interval: time.Second, Version: "test", Boot: store.Boot{ID: "boot", Host: "host"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close(t.Context())
		r := &testRecording{Writer: w, t: t, path: path, tick: tick}
		s := newSockets(w, here(t))
		r.sample(s)
		r.sample(s)
		tick += 10
		return r.rows("SELECT oldest FROM socket_counts_now WHERE proto = 'tcp' AND state = 'LISTEN'")[0]["oldest"]
	}
	if first, second := run(), run(); first == nil || first != second {
		t.Errorf("oldest listener: %v, after a restart %v", first, second)
	}
}
