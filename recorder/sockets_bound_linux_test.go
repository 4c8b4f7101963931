package recorder

import (
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
)

// A socket that is bound and does nothing is found within boundAgain, and at once where one that listened is shut down; while
// there is one, each sample sees whether it is still there.
func TestBoundSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	if at, err := showsBound(t); err != nil || !at {
		t.Skip("this kernel does not show bound sockets (Linux 6.8 does)")
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	look := s.protocols[0].bound
	bind := func(port int) int {
		t.Helper()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	states := func(what string, want ...any) {
		t.Helper()
		r.sample(s)
		var got []any
		for _, row := range r.rows("SELECT state FROM sockets_now WHERE proto = 'tcp' ORDER BY local_port") {
			got = append(got, row["state"])
		}
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
	}

	before := bind(5000)
	states("bound before the first sample", "CLOSE")
	during := bind(5001)
	states("bound while there is another", "CLOSE", "CLOSE")
	unix.Close(before)
	unix.Close(during)
	states("closed")

	late := bind(5002)
	states("bound when there was none")
	look.at = look.at.Add(-boundAgain)
	states("a minute later", "CLOSE")
	if err := unix.Listen(late, 1); err != nil {
		t.Fatal(err)
	}
	states("listens", "LISTEN")
	states("listens on", "LISTEN")
	if look.seen != 0 || look.asked {
		t.Errorf("looks for bound sockets while there is none")
	}
	if err := unix.Shutdown(late, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	states("shut down, still bound", "CLOSE")
	if rows := r.rows("SELECT 1 FROM socket"); len(rows) != 3 {
		t.Errorf("%d sockets, want 3: one that does not listen any more is the same", len(rows))
	}
	unix.Close(late)
	states("closed at last")
}

// showsBound reports whether the kernel shows a bound socket.
func showsBound(t *testing.T) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return false, err
	}
	d := sockdiag.New()
	defer d.Close()
	seen := false
	err = d.Dump(t.Context(), sockdiag.TCPRequest{States: 1 << sockdiag.StateBound}.Message(), func([]byte) error { seen = true; return nil })
	return seen, err
}
