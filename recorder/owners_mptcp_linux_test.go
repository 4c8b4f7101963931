package recorder

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// mptcp opens a socket of MPTCP, or skips the test.
func mptcp(t *testing.T) int {
	t.Helper()
	os.WriteFile("/proc/sys/net/mptcp/enabled", []byte("1"), 0) // where it is missing, the next line says so
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, protocolMPTCP)
	if err != nil {
		needKernel(t, fmt.Sprintf("this kernel has no MPTCP (Linux 5.6, CONFIG_MPTCP): %v", err))
	}
	return fd
}

// A connection of MPTCP has the process that holds it, while it is open with all its subflows, and when it has been closed and the
// subflows are still there.
func TestOwnerOfMPTCP(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loopback(t)
	l := mptcp(t)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 5); err != nil {
		t.Fatal(err)
	}
	to, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	connect := func() (client, server int) {
		client = mptcp(t)
		if err := unix.Connect(client, to); err != nil {
			t.Fatal(err)
		}
		if server, _, err = unix.Accept(l); err != nil {
			t.Fatal(err)
		}
		// Only with a few bytes each way is it settled that both speak MPTCP.
		for _, way := range [][2]int{{client, server}, {server, client}} {
			b := make([]byte, 100)
			if _, err := unix.Write(way[0], b); err != nil {
				t.Fatal(err)
			}
			for n := 0; n < len(b); {
				got, err := unix.Read(way[1], b[n:])
				if err != nil || got == 0 {
					t.Fatalf("read: %d, %v", got, err)
				}
				n += got
			}
		}
		return client, server
	}
	client, server := connect()
	port := to.(*unix.SockaddrInet4).Port

	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	want := func(what, state string, how string, n int) {
		t.Helper()
		r.sample(s)
		var want []map[string]any
		for range n {
			want = append(want, map[string]any{"state": state, "pid": int64(os.Getpid()), "owner_how": how})
		}
		got := r.rows("SELECT state, pid, owner_how FROM sockets_now WHERE proto = 'tcp' AND remote_port = ?", port)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	want("open", "ESTABLISHED", "fd", 1)
	unix.Close(client)
	want("closed by the client", "ESTABLISHED", "cookie", 1)
	want("a sample later", "ESTABLISHED", "cookie", 1)
	unix.Close(server)
	until(t, "TIME_WAIT", func() bool { return strings.Contains(command(t, "ss", "-tan"), "TIME-WAIT") })
	want("closed by both", "TIME_WAIT", "cookie", 1)
}
