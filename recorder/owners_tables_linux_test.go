package recorder

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
)

// onThread runs do on a thread that then ends: the first of the process, or another.
func onThread(first bool, do func()) {
	tried := make(chan bool)
	release := make(chan bool)
	defer close(release)
	for right := false; !right; right = <-tried { // it is wherever the scheduler puts it; hold every other until it is right
		go func() {
			runtime.LockOSThread()
			if first != (unix.Gettid() == unix.Getpid()) {
				tried <- false
				<-release
				runtime.UnlockOSThread()
				return
			}
			tried <- true
			do()
		}()
	}
}

// ownTable starts a thread with descriptors of its own. What it is told to do is done there; end ends it.
func ownTable(t *testing.T) (do func(func()), end func()) {
	t.Helper()
	orders, done := make(chan func()), make(chan int)
	onThread(false, func() {
		if err := unix.Unshare(unix.CLONE_FILES); err != nil {
			t.Error(err)
		}
		done <- unix.Gettid()
		for order := range orders {
			order()
			done <- 0
		}
	})
	tid := <-done
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		close(orders)
		until(t, "the thread to end", func() bool {
			_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", tid))
			return err != nil
		})
	}
	t.Cleanup(end)
	return func(order func()) { orders <- order; <-done }, end
}

// A thread may have descriptors of its own, which /proc/PID/fd does not show.
func TestThreadWithItsOwnDescriptors(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	for _, noKcmp := range []bool{false, true} {
		t.Run(fmt.Sprintf("without kcmp %v", noKcmp), func(t *testing.T) {
			self := os.Getpid()
			before := udpSocket(t) // the thread has a copy
			do, end := ownTable(t)
			var fd, moved, late int
			do(func() { fd = udpSocket(t) })
			r := newRecording(t)
			s := newSockets(r.Writer, here(t)).(*sockets)
			s.owners.NoKCmp = noKcmp
			cookie := func(fd *int) (c int64) { do(func() { c = cookieOf(t, *fd) }); return c }
			own, both := cookie(&fd), cookieOf(t, before)
			r.sample(s)
			r.wantHeld("the thread's", own, at(self, fd))
			r.wantHeld("both have one", both, at(self, before))
			unix.Close(before)
			r.sample(s)
			r.wantHeld("only the thread has it still", both, at(self, before))
			everythingDue(s)
			r.sample(s)
			r.wantHeld("and after everything was read again", both, at(self, before))
			do(func() {
				moved, _ = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100)
				unix.Close(fd)
				late = udpSocket(t)
			})
			r.sample(s)
			r.wantHeld("moved", own, at(self, moved))
			r.wantHeld("a new one", cookie(&late), at(self, late))

			// On its way to nobody knows whom, a socket has no owner; neither has it when the thread has ended meanwhile.
			mailbox := fmt.Sprintf("@netsql-own-%v-%d", noKcmp, self)
			in, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(in)
			if err := unix.Bind(in, &unix.SockaddrUnix{Name: mailbox}); err != nil {
				t.Fatal(err)
			}
			do(func() {
				out, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				if err == nil {
					err = unix.Sendmsg(out, []byte("x"), unix.UnixRights(moved), &unix.SockaddrUnix{Name: mailbox}, 0)
				}
				if err != nil {
					t.Error(err)
				}
			})
			end()
			r.sample(s)
			r.wantHeld("on its way", own)
			r.wantHeld("closed with the thread", both)
			got := receiveRights(t, in)
			r.sample(s)
			r.wantHeld("arrived", own, at(self, got))
			unix.Close(got)
		})
	}
}

// receiveRights takes a descriptor from a unix socket.
func receiveRights(t *testing.T, from int) int {
	t.Helper()
	rights := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(from, make([]byte, 1), rights, unix.MSG_CMSG_CLOEXEC)
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
	return fds[0]
}

// When the first thread has ended, the others hold what they share, and each what it does not.
func TestOwnDescriptorsWithoutFirstThread(t *testing.T) {
	if os.Getenv("NETSQL_TEST_HEADLESS") != "" {
		beHeadless(t)
		return
	}
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwnDescriptorsWithoutFirstThread$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_HEADLESS=1")
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
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	var shared, own, sharedFD, ownFD int
	if _, err := fmt.Fscanln(bufio.NewReader(out), &shared, &sharedFD, &own, &ownFD); err != nil {
		t.Fatal(err)
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	want := func(what string) {
		t.Helper()
		r.sample(s)
		r.wantHeld(what+", shared", int64(shared), at(cmd.Process.Pid, sharedFD))
		r.wantHeld(what+", of one thread", int64(own), at(cmd.Process.Pid, ownFD))
	}
	want("with all threads")
	fmt.Fprintln(in)
	until(t, "the first thread to end", func() bool {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		return strings.Contains(string(stat), ") Z ")
	})
	want("without the first")
	everythingDue(s)
	want("all read again")
	r = newRecording(t)
	s = newSockets(r.Writer, here(t)).(*sockets)
	want("seen for the first time")
}

// beHeadless is the body of the process whose first thread ends.
func beHeadless(t *testing.T) {
	do, _ := ownTable(t)
	own, shared := 0, udpSocket(t)
	cookie := int64(0)
	do(func() { own = udpSocket(t); cookie = cookieOf(t, own) })
	fmt.Println(cookieOf(t, shared), shared, cookie, own)
	lines := bufio.NewReader(os.Stdin)
	lines.ReadString('\n')
	onThread(true, func() { unix.Syscall(unix.SYS_EXIT, 0, 0, 0) })
	lines.ReadString('\n') // until the end
}

// A ring is one of io_uring.
type ring int

const (
	registerFiles       = 2 // IORING_REGISTER_FILES and so on
	unregisterFiles     = 3
	registerFilesUpdate = 6
)

func newRing(t *testing.T) ring {
	t.Helper()
	var params [120]byte // struct io_uring_params
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 8, uintptr(unsafe.Pointer(&params)), 0)
	if errno != 0 {
		kerneltest.NeedKernel(t, fmt.Sprintf("no io_uring here (CONFIG_IO_URING, sysctl kernel.io_uring_disabled): %v", errno))
	}
	t.Cleanup(func() { unix.Close(int(fd)) })
	return ring(fd)
}

func (r ring) register(t *testing.T, what int, arg unsafe.Pointer, n int) {
	t.Helper()
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(r), uintptr(what), uintptr(arg), uintptr(n), 0, 0); errno != 0 {
		t.Fatalf("io_uring_register %d: %v", what, errno)
	}
}

// Files registered with io_uring need no descriptor.
func TestOwnerOfRegisteredFiles(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	ring := newRing(t)
	self := os.Getpid()
	registered := fmt.Sprintf("%d:<nil>", self)
	first, second, third := udpSocket(t), udpSocket(t), udpSocket(t)
	cookies := map[int]int64{first: cookieOf(t, first), second: cookieOf(t, second), third: cookieOf(t, third)}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	want := func(what string, fd int, want ...string) {
		t.Helper()
		r.wantHeld(what, cookies[fd], want...)
	}
	files := []int32{-1, int32(first), -1, int32(second)}
	ring.register(t, registerFiles, unsafe.Pointer(&files[0]), len(files))
	r.sample(s)
	want("with a descriptor too", first, at(self, first))
	unix.Close(first)
	unix.Close(second)
	r.sample(s)
	want("first", first, registered)
	want("second", second, registered)
	everythingDue(s)
	r.sample(s)
	want("when all is read again", first, registered)
	if how := r.rows("SELECT owner_how FROM sockets_now WHERE cookie = ?", cookies[first])[0]["owner_how"]; how != "fd" {
		t.Errorf("owner_how: %v", how)
	}
	update := struct {
		offset, resv uint32
		fds          uint64
	}{offset: 0, fds: uint64(uintptr(unsafe.Pointer(&files[0])))}
	files[0] = int32(third)
	ring.register(t, registerFilesUpdate, unsafe.Pointer(&update), 1)
	unix.Close(third)
	r.sample(s)
	want("put there later", third, registered)

	// Taken out, with one that is on its way to nobody knows whom.
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	fourth := udpSocket(t)
	cookies[fourth] = cookieOf(t, fourth)
	files[0] = int32(fourth)
	ring.register(t, registerFilesUpdate, unsafe.Pointer(&update), 1)
	if err := unix.Sendmsg(pair[0], []byte("x"), unix.UnixRights(fourth), nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(fourth)
	r.sample(s)
	r.wantHeld("in the place of another", cookies[fourth], registered)
	number := cookies[fourth]
	ring.register(t, unregisterFiles, nil, 0)
	there := func(cookie int64) bool { return s.socketOf(cookie) }
	until(t, "the files to be let go", func() bool { r.sample(s); return !there(cookies[first]) })
	r.sample(s)
	r.wantHeld("taken out", number)
	got := receiveRights(t, pair[1])
	r.sample(s)
	r.wantHeld("received", number, at(self, got))
	unix.Close(got)
}

// socketOf reports whether the last dump showed a UDP socket.
func (s *sockets) socketOf(cookie int64) bool {
	for _, p := range s.protocols {
		if p.proto == "udp" && p.known[uint64(cookie)] != nil {
			return true
		}
	}
	return false
}

func TestRegisteredFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		room       int64
		told       bool
		want       map[uint32]uint32
	}{
		{"of 6.18", "pos:\t0\nflags:\t02000002\nSqMask:\t0x3f\nSQEs:\t0\nUserFiles:\t64\n    0: socket:[41]\n   63: /tmp/socket:[7]\nUserBufs:\t3\n   1: 0x0/4096\n",
			64, true, map[uint32]uint32{0: 41}},
		{"with empty places", "UserFiles:\t3\n    0: <none>\n    1: socket:[12]\n    2: <none>\nUserBufs:\t0\n", 3, true, map[uint32]uint32{1: 12}},
		{"empty", "UserFiles:\t0\n", 0, true, map[uint32]uint32{}},
		{"in use", "pos:\t0\nflags:\t02000002\nino:\t2057\n", 0, false, map[uint32]uint32{}},
	} {
		got := map[uint32]uint32{}
		room, told := owners.RegisteredFiles([]byte(c.text), func(index, inode uint32) { got[index] = inode })
		if diff := cmp.Diff(c.want, got); diff != "" || room != c.room || told != c.told {
			t.Errorf("%s: %d, %v (-want +got):\n%s", c.name, room, told, diff)
		}
	}
}

func FuzzRegisteredFiles(f *testing.F) {
	f.Add([]byte("UserFiles:\t3\n    1: socket:[12]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		owners.RegisteredFiles(text, func(index, inode uint32) {
			if line := fmt.Sprintf("socket:[%d", inode); inode != 0 && !strings.Contains(strings.ReplaceAll(string(text), "[0", "["), "socket:[") {
				t.Errorf("%q is not in %q", line, text)
			}
		})
		sockdiag.SubflowToken(text)
	})
}
