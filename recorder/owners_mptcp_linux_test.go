package recorder

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
)

// mptcp opens a socket of MPTCP, or skips the test.
func mptcp(t *testing.T) int {
	t.Helper()
	os.WriteFile("/proc/sys/net/mptcp/enabled", []byte("1"), 0) // where it is missing, the next line says so
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, sockdiag.ProtocolMPTCP)
	if err != nil {
		kerneltest.NeedKernel(t, fmt.Sprintf("this kernel has no MPTCP (Linux 5.6, CONFIG_MPTCP): %v", err))
	}
	return fd
}

// A connection of MPTCP has the process that holds it, while it is open with all its subflows, and when it has been closed and
// the subflows are still there.
func TestOwnerOfMPTCP(t *testing.T) {
	if !kerneltest.InNamespace(t) {
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
	s := hearing(t, r, 1000)
	want := func(what, state string, how string, n int) {
		t.Helper()
		r.sampleNow(s)
		var want []map[string]any
		for range n {
			want = append(want, map[string]any{"state": state, "pid": int64(os.Getpid()), "owner_how": how})
		}
		got := r.rows("SELECT state, pid, owner_how FROM sockets_now WHERE proto = 'tcp' AND remote_port = ?", port)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	subflows := func(state string, n int) {
		t.Helper()
		until(t, fmt.Sprintf("%d subflows in %s", n, state), func() bool {
			return strings.Count(kerneltest.Command(t, "ss", "-tanHO", "state", state, "dport", fmt.Sprint(port)), "\n") == n
		})
	}
	want("open", "ESTABLISHED", "fd", 1)
	unix.Close(client)
	want("closed by the client", "ESTABLISHED", "cookie", 1)
	want("a sample later", "ESTABLISHED", "cookie", 1)
	unix.Close(server)
	subflows("time-wait", 1)
	want("closed by both", "TIME_WAIT", "cookie", 1)

	// Two subflows are two sockets of TCP with one inode.
	kerneltest.Command(t, "ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
	kerneltest.Command(t, "ip", "mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow")
	client, server = connect()
	subflows("established", 2)
	r.sampleNow(s)
	subflow := func(what, how string, held bool) {
		t.Helper()
		r.sampleNow(s)
		got := r.rows("SELECT DISTINCT s.pid, owner_how, fd, count(*) AS n FROM sockets_now s LEFT JOIN socket_owners_now USING (cookie) "+
			"WHERE s.proto = 'tcp' AND s.remote_port = ? AND s.state <> 'TIME_WAIT'", port)
		want := map[string]any{"pid": int64(os.Getpid()), "owner_how": how, "fd": nil, "n": int64(2)}
		if held {
			want["fd"] = int64(client)
		}
		if diff := cmp.Diff([]map[string]any{want}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	subflow("two subflows", "fd", true)
	subflow("and again", "fd", true)
	unix.Close(client)
	subflow("closed", "cookie", false)
	subflow("and later", "cookie", false)
	unix.Close(server)
	subflows("time-wait", 3)
	until(t, "the closes of both subflows at both ends", func() bool {
		c := s.closes[0]
		c.mu.Lock()
		defer c.mu.Unlock()
		n := 0
		for _, e := range c.events.sampled {
			if int(e.rec.SPort) == port || int(e.rec.DPort) == port {
				n++
			}
		}
		return n == 4
	})
	r.sampleNow(s)
	// The second subflow of the second connection has moved nothing. Each byte counts once, at both ends.
	for _, side := range []string{"remote_port", "local_port"} {
		got := r.rows("SELECT pid, sum(bytes_sent) AS sent, count(*) AS n FROM connections WHERE "+side+" = ? GROUP BY pid", port)
		want := []map[string]any{{"pid": int64(os.Getpid()), "sent": int64(200), "n": int64(3)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("connections by %s (-want +got):\n%s", side, diff)
		}
	}
	// The first connection had moved its bytes before the first sample. The server's kernel has tried in vain to add a
	// subflow of its own, which was nobody's.
	got := r.rows("SELECT pid, bytes_sent FROM top_talkers WHERE bytes_sent > 0")
	if diff := cmp.Diff([]map[string]any{{"pid": int64(os.Getpid()), "bytes_sent": int64(200)}}, got); diff != "" {
		t.Errorf("top_talkers (-want +got):\n%s", diff)
	}
}
