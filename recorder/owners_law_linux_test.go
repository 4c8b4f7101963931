package recorder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The law of owners, over a random history of sockets that are opened, closed, duplicated,
// moved and inherited: a socket that is new in a sample has its true holders in that
// sample, and when everything is read again, all sockets have. The oracle reads all of
// /proc/PID/fd in the plain way.
func TestOwnersLaw(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loopback(t)
	seed := uint64(os.Getpid())
	t.Logf("seed %d", seed)
	h := &history{t: t, rand: rand.New(rand.NewPCG(seed, 0)), known: map[int64]bool{}}
	t.Cleanup(h.end)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	for step := range 150 {
		for range 1 + h.rand.IntN(4) {
			h.change()
		}
		all := step%10 == 9
		if all {
			everythingDue(s)
		}
		r.sample(s)
		got := map[int64][]string{}
		for _, row := range r.rows("SELECT inode, pid, fd FROM socket_owners_now WHERE proto = 'udp' ORDER BY inode, pid") {
			inode := row["inode"].(int64)
			got[inode] = append(got[inode], fmt.Sprintf("%v:%v", row["pid"], row["fd"]))
		}
		want := h.holders()
		for inode := range want {
			if !all && h.known[inode] { // its holders may have changed unseen
				delete(want, inode)
				delete(got, inode)
			}
			h.known[inode] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("step %d of seed %d, after %s (-want +got):\n%s", step, seed, strings.Join(h.did, ", "), diff)
		}
		h.did = nil
	}
}

type history struct {
	t        *testing.T
	rand     *rand.Rand
	fds      []int // of this process, all UDP sockets
	children []*exec.Cmd
	known    map[int64]bool // inodes of earlier samples
	did      []string
}

func (h *history) change() {
	i := -1
	if len(h.fds) > 0 {
		i = h.rand.IntN(len(h.fds))
	}
	switch op := h.rand.IntN(8); {
	case i < 0 || op < 2 && len(h.fds) < 30:
		h.fds = append(h.fds, udpSocket(h.t))
		h.note("open %d", h.fds[len(h.fds)-1])
	case op < 4:
		unix.Close(h.fds[i])
		h.note("close %d", h.fds[i])
		h.fds = slices.Delete(h.fds, i, i+1)
	case op == 4: // in the same step another socket takes the number
		unix.Close(h.fds[i])
		fd := udpSocket(h.t)
		h.note("%d replaced by %d", h.fds[i], fd)
		h.fds[i] = fd
	case op == 5: // moved out of the way, and a new socket in its place
		moved, err := unix.FcntlInt(uintptr(h.fds[i]), unix.F_DUPFD_CLOEXEC, h.rand.IntN(300))
		if err != nil {
			h.t.Fatal(err)
		}
		unix.Close(h.fds[i])
		h.note("%d moved to %d", h.fds[i], moved)
		h.fds[i] = moved
		h.fds = append(h.fds, udpSocket(h.t))
	case op == 6:
		dup, err := unix.FcntlInt(uintptr(h.fds[i]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		h.note("%d also %d", h.fds[i], dup)
		h.fds = append(h.fds, dup)
	case len(h.children) < 3:
		dup, err := unix.FcntlInt(uintptr(h.fds[i]), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		file := os.NewFile(uintptr(dup), "")
		cmd, _ := child(h.t, "read x", file)
		file.Close()
		h.note("%d inherited by %d", h.fds[i], cmd.Process.Pid)
		h.children = append(h.children, cmd)
	default:
		cmd := h.children[0]
		h.children = h.children[1:]
		cmd.Process.Kill()
		cmd.Wait()
		h.note("%d killed", cmd.Process.Pid)
	}
}

func (h *history) note(format string, args ...any) {
	h.did = append(h.did, fmt.Sprintf(format, args...))
}

// holders is who holds the UDP sockets, as pid:lowest-fd, by inode.
func (h *history) holders() map[int64][]string {
	h.t.Helper()
	udp := map[int64]bool{}
	text, err := os.ReadFile("/proc/self/net/udp")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, line := range strings.Split(string(text), "\n")[1:] {
		if f := strings.Fields(line); len(f) > 9 {
			inode, _ := strconv.ParseInt(f[9], 10, 64)
			udp[inode] = true
		}
	}
	pids := []int{os.Getpid()}
	for _, c := range h.children {
		pids = append(pids, c.Process.Pid)
	}
	slices.Sort(pids)
	held := map[int64][]string{}
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd/", pid)
		lowest := map[int64]int{}
		for fd := range 400 {
			inode := int64(0)
			link, _ := os.Readlink(dir + strconv.Itoa(fd))
			if _, err := fmt.Sscanf(link, "socket:[%d]", &inode); err == nil && udp[inode] {
				if _, ok := lowest[inode]; !ok {
					lowest[inode] = fd
				}
			}
		}
		for inode, fd := range lowest {
			held[inode] = append(held[inode], at(pid, fd))
		}
	}
	return held
}

func (h *history) end() {
	for _, fd := range h.fds {
		unix.Close(fd)
	}
}
