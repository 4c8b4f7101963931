package recorder

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
)

func TestUDPAndRawSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	u, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	c, err := net.Dial("udp4", u.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	six, err := net.ListenPacket("udp6", "[::]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer six.Close()
	onFD(t, u, func(fd int) { // so little room that most is dropped
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, 7)
	})
	for range 50 {
		if _, err := c.Write(make([]byte, 500)); err != nil {
			t.Fatal(err)
		}
	}
	raw4, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(raw4)
	raw6, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(raw6)
	if err := unix.Connect(raw6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		t.Fatal(err)
	}

	r := newRecording(t)
	lines := sampleQuietly(t, r, newSockets(r.Writer, here(t)), "-uaem")
	got := r.socketsNow("proto = 'udp'")
	if len(got) != 3 || len(lines) != 3 {
		t.Errorf("%d udp sockets, ss sees %d, want 3", len(got), len(lines))
	}
	for cookie, line := range lines {
		compareTCP(t, got[cookie], line)
	}
	if n := field(t, got, cookieOf(t, u), "drops"); n == int64(0) || n == nil {
		t.Errorf("drops of a socket without room: %v", n)
	}
	for column, want := range map[string]any{
		"state": "CLOSE", "remote_addr": "0.0.0.0", "remote_port": int64(0), "type": "dgram", "mark": int64(7),
		"timer": nil, "cwnd": nil, "bytes_sent": nil, "pid": int64(os.Getpid()), "inode": inodeOf(t, u),
	} {
		if got := field(t, got, cookieOf(t, u), column); got != want {
			t.Errorf("unconnected: %s = %v, want %v", column, got, want)
		}
	}
	if got := field(t, got, cookieOf(t, c), "state"); got != "ESTABLISHED" {
		t.Errorf("connected: %v", got)
	}
	checkRaw(t, r, inodeOf(t, raw4), inodeOf(t, raw6))

	// And again with what a kernel without INET_RAW_DIAG gives, whatever this one has.
	again := newRecording(t)
	s := newSockets(again.Writer, here(t)).(*sockets)
	for _, p := range s.protocols {
		p.fromProc = p.proto == "raw"
	}
	again.sample(s)
	checkRaw(t, again, inodeOf(t, raw4), inodeOf(t, raw6))
}

func checkRaw(t *testing.T, r *testRecording, four, six int64) {
	t.Helper()
	got := r.rows("SELECT family, type, state, local_addr, local_port, remote_addr, inode, uid, pid FROM sockets_now WHERE proto = 'raw' ORDER BY family")
	pid := int64(os.Getpid())
	want := []map[string]any{
		{"family": int64(4), "type": "raw", "state": "CLOSE", "local_addr": "0.0.0.0", "local_port": int64(unix.IPPROTO_ICMP), "remote_addr": "0.0.0.0", "inode": four, "uid": int64(0), "pid": pid},
		{"family": int64(6), "type": "raw", "state": "ESTABLISHED", "local_addr": "::1", "local_port": int64(unix.IPPROTO_ICMPV6), "remote_addr": "::1", "inode": six, "uid": int64(0), "pid": pid},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("raw sockets (-want +got):\n%s", diff)
	}
}

func TestUnixSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	dir := t.TempDir()
	stream, err := net.Listen("unix", dir+"/s t\x01ream")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	c, err := net.Dial("unix", dir+"/s t\x01ream")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	waiting, err := net.Dial("unix", dir+"/s t\x01ream")
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	accepted, err := stream.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if _, err := accepted.Write(make([]byte, 77)); err != nil {
		t.Fatal(err)
	}
	abstract, err := net.ListenPacket("unixgram", "@netsql-test\x00x")
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])

	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	r.sample(s)
	got := r.socketsNow("proto = 'unix'")
	if n := len(strings.Split(strings.TrimSpace(kerneltest.Command(t, "ss", "-H", "-xa")), "\n")); n != len(got) {
		t.Errorf("%d unix sockets, ss sees %d", len(got), n)
	}
	for _, check := range []struct {
		name   string
		socket any
		want   map[string]any
	}{
		{"listener", stream, map[string]any{"state": "LISTEN", "type": "stream", "path": dir + `/s t\x01ream`, "recv_q": int64(1),
			"family": nil, "local_addr": nil, "local_port": nil, "remote_addr": nil, "remote_port": nil, "peer_inode": nil, "cwnd": nil, "timer": nil}},
		{"client", c, map[string]any{"state": "ESTABLISHED", "path": nil, "recv_q": int64(77), "peer_inode": inodeOf(t, accepted)}},
		{"server", accepted, map[string]any{"state": "ESTABLISHED", "path": dir + `/s t\x01ream`, "peer_inode": inodeOf(t, c)}},
		{"not accepted yet", waiting, map[string]any{"state": "ESTABLISHED", "peer_inode": nil}},
		{"abstract", abstract, map[string]any{"state": "CLOSE", "type": "dgram", "path": `@netsql-test\x00x`}},
		{"pair", pair[0], map[string]any{"state": "ESTABLISHED", "type": "seqpacket", "path": nil, "peer_inode": inodeOf(t, pair[1])}},
	} {
		check.want["inode"], check.want["pid"], check.want["user"] = inodeOf(t, check.socket), int64(os.Getpid()), "root"
		for column, want := range check.want {
			if got := field(t, got, cookieOf(t, check.socket), column); got != want {
				t.Errorf("%s: %s = %v, want %v", check.name, column, got, want)
			}
		}
	}
	// The peer that the socket had stays its name when the other end is gone.
	had := inodeOf(t, accepted)
	accepted.Close()
	r.sample(s)
	if got := field(t, r.socketsNow("proto = 'unix'"), cookieOf(t, c), "peer_inode"); got != had {
		t.Errorf("peer that went away: %v, want %v", got, had)
	}
}
