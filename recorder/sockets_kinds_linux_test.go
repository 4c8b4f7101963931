package recorder

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
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

// Packet and UDP-Lite sockets have their ends, interface, user and owner. The oracle is what the test has opened, and how many /proc/net lists.
func TestPacketAndUDPLiteSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	open := func(domain, kind, protocol int, bind unix.Sockaddr) int {
		t.Helper()
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			kerneltest.NeedKernel(t, fmt.Sprintf("socket %d %d %d: %v", domain, kind, protocol, err))
		}
		t.Cleanup(func() { unix.Close(fd) })
		if bind != nil {
			if err := unix.Bind(fd, bind); err != nil {
				t.Fatal(err)
			}
		}
		return fd
	}
	link, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	const every = 0x0300 // ETH_P_ALL, in network order
	sniffer := open(unix.AF_PACKET, unix.SOCK_RAW, 0, &unix.SockaddrLinklayer{Protocol: every, Ifindex: link.Index})
	idle := open(unix.AF_PACKET, unix.SOCK_DGRAM, 0, nil)
	lite4 := open(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 5004})
	lite6 := open(unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDPLITE, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 5006})
	if err := unix.Connect(lite6, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 6006}); err != nil {
		t.Fatal(err)
	}
	const datagrams, size = 5, 100
	sendUDP(t, "127.0.0.1:9", datagrams, size) // the sniffer hears them, twice each, and the answers of ICMP
	lines := 0
	for _, file := range []string{"packet", "udplite", "udplite6"} {
		b, err := os.ReadFile("/proc/self/net/" + file)
		if err != nil {
			t.Fatal(err)
		}
		lines += strings.Count(string(b), "\n") - 1
	}
	pid, index := int64(os.Getpid()), int64(link.Index)
	const columns = "SELECT proto, family, type, state, local_addr, local_port, remote_addr, remote_port, ifindex, inode, uid, pid, owner_how FROM sockets_now WHERE proto IN ('packet', 'udplite') ORDER BY proto, type, family"
	row := func(proto string, family any, kind, state string, addr any, port int, remote any, remotePort, ifindex any, fd int) map[string]any {
		return map[string]any{"proto": proto, "family": family, "type": kind, "state": state, "local_addr": addr, "local_port": int64(port), "remote_addr": remote,
			"remote_port": remotePort, "ifindex": ifindex, "inode": inodeOf(t, fd), "uid": int64(0), "pid": pid, "owner_how": "fd"}
	}
	want := []map[string]any{
		row("packet", nil, "dgram", "CLOSE", nil, 0, nil, nil, nil, idle),
		row("packet", nil, "raw", "CLOSE", nil, 3, nil, nil, index, sniffer),
		row("udplite", int64(4), "dgram", "CLOSE", "127.0.0.1", 5004, "0.0.0.0", int64(0), nil, lite4),
		row("udplite", int64(6), "dgram", "ESTABLISHED", "::1", 5006, "::1", int64(6006), nil, lite6),
	}
	if lines != len(want) {
		t.Errorf("/proc/net lists %d sockets, want %d", lines, len(want))
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	r.sample(s)
	if diff := cmp.Diff(want, r.rows(columns)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, p := range s.protocols {
		if got := r.socketsNow("proto = 'packet'"); p.proto == "packet" && !p.fromProc {
			if n := field(t, got, cookieOf(t, sniffer), "recv_q"); n.(int64) < 2*datagrams*size {
				t.Errorf("%v bytes wait in the sniffer", n)
			}
		}
	}
	if n := r.rows("SELECT sum(count) AS n FROM socket_counts_now WHERE proto IN ('packet', 'udplite') AND pid = ?", pid)[0]["n"]; n != int64(4) {
		t.Errorf("socket_counts has %v", n)
	}
	// So many that the room is used up: the rest is dropped, and counted.
	unix.SetsockoptInt(sniffer, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	sendUDP(t, "127.0.0.1:9", 50, size)
	unix.Close(idle)
	r.sample(s)
	if got := r.rows("SELECT event, what, pid FROM events WHERE what LIKE 'packet%'"); len(got) != 1 || got[0]["event"] != "closed" || got[0]["what"] != "packet dgram protocol 0x0000" || got[0]["pid"] != pid {
		t.Errorf("events %v", got)
	}
	dropped := r.rows("SELECT drops FROM sockets_now WHERE proto = 'packet'")
	if len(dropped) != 1 || dropped[0]["drops"] == int64(0) {
		t.Errorf("drops %v", dropped)
	}

	// And again with what a kernel without PACKET_DIAG gives, whatever this one has.
	again := newRecording(t)
	s = newSockets(again.Writer, here(t)).(*sockets)
	for _, p := range s.protocols {
		p.fromProc = p.inProc
	}
	again.sample(s)
	if diff := cmp.Diff(want[1:], again.rows(columns)); diff != "" {
		t.Errorf("of /proc/net (-want +got):\n%s", diff)
	}
	if got := again.rows("SELECT recv_q, send_q, drops, cookie FROM sockets_now WHERE proto = 'packet'"); len(got) != 1 || got[0]["recv_q"] != nil || got[0]["send_q"] != nil || got[0]["drops"] != nil || got[0]["cookie"] != nil {
		t.Errorf("of /proc/net: %v", got)
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
