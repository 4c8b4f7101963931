package recorder

import (
	"fmt"
	"net"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// A client's UDP socket that is not connected has a port that the kernel gave it; a server has asked for its own. What the range of the kernel was
// at that moment decides, in each network namespace.
func TestUnconnectedUDPClientsMayBeClients(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	kerneltest.Command(t, "sysctl", "-qw", "net.ipv4.ip_local_port_range=40000 40999")
	server := func(network string, port int) int64 {
		t.Helper()
		u, err := net.ListenPacket(network, fmt.Sprintf(":%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
		return cookieOf(t, u)
	}
	below, above, within := server("udp4", 5353), server("udp6", 51820), server("udp4", 40000)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte("question"), 0, &unix.SockaddrInet4{Port: 5353, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	other, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	client, tcp := cookieOf(t, fd), cookieOf(t, listen(t, "tcp4", "127.0.0.1:40001"))

	check := func(r *testRecording, want map[int64]any) {
		t.Helper()
		got := r.rows("SELECT cookie, local_port, maybe_client FROM listeners")
		if len(got) != len(want) {
			t.Errorf("%d listen, want %d", len(got), len(want))
		}
		for _, row := range got {
			if w, known := want[row["cookie"].(int64)]; !known || row["maybe_client"] != w {
				t.Errorf("at port %v maybe_client is %v, want %v", row["local_port"], row["maybe_client"], w)
			}
		}
	}
	yes, no := int64(1), int64(0)
	r := newRecording(t)
	settings, sockets := newSettings(r.Writer, here(t)).(*settings), newSockets(r.Writer, here(t))
	r.sample(settings, sockets)
	check(r, map[int64]any{below: no, above: no, within: yes, client: yes, tcp: no})

	// Another range is that of what is there now, and not of what was.
	unix.Close(fd)
	kerneltest.Command(t, "sysctl", "-qw", "net.ipv4.ip_local_port_range=50000 59999")
	settings.readNext()
	r.sample(settings, sockets)
	check(r, map[int64]any{below: no, above: yes, within: no, client: yes, tcp: no})

	// To events it is a socket, which is certain.
	if got := r.rows("SELECT object, count(*) AS n FROM events WHERE what LIKE 'udp%' AND event IN ('up', 'opened', 'closed') GROUP BY 1"); len(got) != 1 || got[0]["object"] != "socket" {
		t.Errorf("events: %v", got)
	}
	late := server("udp4", 5354)
	if err := unix.Sendto(other, []byte("question"), 0, &unix.SockaddrInet4{Port: 5353, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	r.sample(settings, sockets)
	check(r, map[int64]any{below: no, above: yes, within: no, client: yes, tcp: no, late: no, cookieOf(t, other): yes})
	if got := r.lines("SELECT object || ' ' || event AS e FROM events WHERE ts > (SELECT max(ts) FROM sample) - 0.5 AND what LIKE 'udp%' ORDER BY 1"); !slices.Equal(got, []string{"listener up", "socket opened"}) {
		t.Errorf("events: %v", got)
	}

	// Where nobody recorded it, it is not known.
	without := newRecording(t)
	without.sample(newSockets(without.Writer, here(t)))
	check(without, map[int64]any{below: nil, above: nil, within: nil, tcp: no, late: nil, cookieOf(t, other): nil})
}
