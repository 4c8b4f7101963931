package recorder

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// The columns of sockets_now that the tests look at, by cookie.
func (r *testRecording) socketsNow(where string) map[int64]map[string]any {
	r.t.Helper()
	got := map[int64]map[string]any{}
	for _, row := range r.rows("SELECT * FROM sockets_now WHERE " + where) {
		cookie, _ := row["cookie"].(int64)
		got[cookie] = row
	}
	return got
}

// field is a column of one socket.
func field(t *testing.T, rows map[int64]map[string]any, cookie int64, column string) any {
	t.Helper()
	row, ok := rows[cookie]
	if !ok {
		t.Errorf("socket %d is not recorded", cookie)
		return nil
	}
	return row[column]
}

// tcpPair connects to the listener and accepts.
func tcpPair(t *testing.T, l net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// listen makes a TCP listener. One of net.Listen would be of MPTCP, where the kernel has it.
func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	var config net.ListenConfig
	config.SetMultipathTCP(false)
	l, err := config.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Every state a test can bring about, against ss, which decodes the same messages but is
// not ours.
func TestTCPSocketsAgreeWithSS(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	// A link whose other end takes nothing: what is sent to 192.0.2.2 is dropped.
	kerneltest.Command(t, "ip", "link", "add", "drop0", "type", "veth", "peer", "name", "drop1")
	kerneltest.Command(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "drop0")
	kerneltest.Command(t, "ip", "link", "set", "drop0", "up")
	kerneltest.Command(t, "ip", "link", "set", "drop1", "up")
	kerneltest.Command(t, "ip", "neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:01", "dev", "drop0", "nud", "permanent")

	l4, l6, both := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0"), listen(t, "tcp", ":0")
	want := map[int64]string{ // state by cookie
		cookieOf(t, l4): "LISTEN", cookieOf(t, l6): "LISTEN", cookieOf(t, both): "LISTEN",
	}
	for _, l := range []net.Listener{l4, l6} {
		c, s := tcpPair(t, l)
		want[cookieOf(t, c)], want[cookieOf(t, s)] = "ESTABLISHED", "ESTABLISHED"
	}
	// By way of IPv4 to a socket of IPv6.
	_, port, _ := net.SplitHostPort(both.Addr().String())
	c4, err := net.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer c4.Close()
	s46, err := both.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s46.Close()
	want[cookieOf(t, c4)], want[cookieOf(t, s46)] = "ESTABLISHED", "ESTABLISHED"
	mapped := cookieOf(t, s46)

	unread, sender := tcpPair(t, l4)
	if _, err := sender.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	want[cookieOf(t, unread)], want[cookieOf(t, sender)] = "ESTABLISHED", "ESTABLISHED"

	half, other := tcpPair(t, l4)
	want[cookieOf(t, half)], want[cookieOf(t, other)] = "FIN_WAIT2", "CLOSE_WAIT"
	half.CloseWrite()

	syn := tcpSocket(t, unix.SOCK_NONBLOCK)
	if err := unix.Connect(syn, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}}); err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	want[cookieOf(t, syn)] = "SYN_SENT"

	gone, last := tcpPair(t, l4)
	goneCookie, goneInode := cookieOf(t, gone), inodeOf(t, gone)
	want[goneCookie] = "TIME_WAIT"
	if _, err := gone.Write(make([]byte, 700)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(last, make([]byte, 700)); err != nil {
		t.Fatal(err)
	}

	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	r.sample(s)
	if got := field(t, r.socketsNow("proto = 'tcp'"), goneCookie, "pid"); got != int64(os.Getpid()) {
		t.Errorf("owner of a connection: pid %v, want %d", got, os.Getpid())
	}
	gone.Close()
	last.Close()
	until(t, "TIME_WAIT and FIN_WAIT2", func() bool {
		lines := ss(t, "-taeio")
		return lines[goneCookie].state == "TIME_WAIT" && lines[cookieOf(t, half)].state == "FIN_WAIT2"
	})
	lines := sampleQuietly(t, r, s, "-tapeiom")

	got := r.socketsNow("proto = 'tcp'")
	if len(got) != len(lines) {
		t.Errorf("%d sockets, ss sees %d", len(got), len(lines))
	}
	for cookie, state := range want {
		if state := state; field(t, got, cookie, "state") != state {
			t.Errorf("socket %d: %v, want %s", cookie, field(t, got, cookie, "state"), state)
		}
	}
	for cookie, line := range lines {
		compareTCP(t, got[cookie], line)
	}

	for _, check := range []struct {
		name   string
		cookie int64
		column string
		want   any
	}{
		{"bytes not read", cookieOf(t, unread), "recv_q", int64(1000)},
		{"bytes sent", cookieOf(t, sender), "bytes_sent", int64(1000)},
		{"bytes received", cookieOf(t, unread), "bytes_received", int64(1000)},
		{"round-trip time of no trip", cookieOf(t, syn), "rtt_ms", nil},
		{"mss of a listener", cookieOf(t, l4), "mss", nil},
		{"IPv4 mapped", mapped, "local_addr", "127.0.0.1"},
		{"family of IPv4 mapped", mapped, "family", int64(6)},
		{"listening on all", cookieOf(t, both), "local_addr", "::"},
		{"nobody at the other end", cookieOf(t, l4), "remote_addr", "0.0.0.0"},
		{"no port at the other end", cookieOf(t, l4), "remote_port", int64(0)},
		{"inode in TIME_WAIT", goneCookie, "inode", goneInode},
		{"owner in TIME_WAIT", goneCookie, "pid", int64(os.Getpid())},
		{"bytes sent in TIME_WAIT, as last seen", goneCookie, "bytes_sent", int64(700)},
		{"uid in TIME_WAIT", goneCookie, "uid", int64(0)},
		{"user in TIME_WAIT", goneCookie, "user", "root"},
		{"timer in TIME_WAIT", goneCookie, "timer", "timewait"},
		{"user", cookieOf(t, l4), "user", "root"},
		{"type", cookieOf(t, l4), "type", "stream"},
	} {
		if got := field(t, got, check.cookie, check.column); got != check.want {
			t.Errorf("%s: %v, want %v", check.name, got, check.want)
		}
	}
}

// The namespace that is read need not be that of the recorder.
func TestAnotherNamespace(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	ours := listen(t, "tcp4", "127.0.0.1:0")
	cmd := exec.Command(os.Args[0], "-test.run=^TestListenElsewhere$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_ELSEWHERE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
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
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	var cookie int64
	if _, err := fmt.Fscanf(out, "%d\n", &cookie); err != nil {
		t.Fatal(err)
	}
	thread := newNSThread()
	t.Cleanup(thread.end)
	ns, err := openNamespace(fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid), thread)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.close)
	ns.id = store.Of(1)
	r := newRecording(t)
	s := newSockets(r.Writer, ns)
	r.sample(s)
	got := r.rows("SELECT netns, cookie, pid FROM sockets_now WHERE proto = 'tcp'")
	want := []map[string]any{{"netns": int64(1), "cookie": cookie, "pid": int64(cmd.Process.Pid)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// And this thread has stayed where it was.
	again := newRecording(t)
	again.sample(newSockets(again.Writer, here(t)))
	if got := field(t, again.socketsNow("proto = 'tcp'"), cookieOf(t, ours), "state"); got != "LISTEN" {
		t.Errorf("our own listener: %v", got)
	}
}

// TestListenElsewhere is no test, but the body of a process in another namespace.
func TestListenElsewhere(t *testing.T) {
	if os.Getenv("NETSQL_TEST_ELSEWHERE") == "" {
		return
	}
	l := listen(t, "tcp4", "0.0.0.0:0")
	fmt.Println(cookieOf(t, l))
	io.Copy(io.Discard, os.Stdin)
}

// A listener of MPTCP, as Go makes them: its TCP socket is another than the process's, but
// the kernel gives it the same inode, and so it has its owner.
func TestMultipathListener(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	var config net.ListenConfig
	config.SetMultipathTCP(true)
	l, err := config.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRecording(t)
	r.sample(newSockets(r.Writer, here(t)))
	got := r.rows("SELECT state, inode, pid FROM sockets_now WHERE proto = 'tcp'")
	want := []map[string]any{{"state": "LISTEN", "inode": inodeOf(t, l), "pid": int64(os.Getpid())}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// compareTCP holds a recorded row to a line of ss.
func compareTCP(t *testing.T, row map[string]any, line ssLine) {
	t.Helper()
	if row == nil {
		t.Errorf("not recorded: %s", line.more)
		return
	}
	localAddr, localPort := ssEnd(line.local, row["family"])
	peerAddr, peerPort := ssEnd(line.peer, row["family"])
	want := map[string]any{
		"state": line.state, "recv_q": line.recvQ, "send_q": line.sendQ,
		"local_addr": localAddr, "local_port": localPort, "remote_addr": peerAddr, "remote_port": peerPort,
	}
	optional := map[string]any{
		"inode": ssNumber(line.more, ` ino:(\d+)`), "pid": ssNumber(line.more, `pid=(\d+)`),
		"drops": ssNumber(line.more, `skmem:\([^)]*,d(\d+)\)`), "cgroup": ssWord(line.more, ` cgroup:(\S+)`),
	}
	if line.state != "LISTEN" {
		for column, pattern := range map[string]string{
			"mss": ` mss:(\d+)`, "pmtu": ` pmtu:(\d+)`, "cwnd": ` cwnd:(\d+)`, "bytes_sent": ` bytes_sent:(\d+)`,
			"bytes_received": ` bytes_received:(\d+)`, "segs_out": ` segs_out:(\d+)`, "segs_in": ` segs_in:(\d+)`,
			"retransmits": ` retrans:\d+/(\d+)`,
		} {
			optional[column] = ssNumber(line.more, pattern)
		}
		if n, _ := optional["bytes_received"].(int64); n > 0 && (line.state == "CLOSE_WAIT" || line.state == "LAST_ACK" || line.state == "CLOSING") {
			optional["bytes_received"] = n - 1 // ss counts the FIN
		}
		if rtt := ssWord(line.more, ` rtt:([0-9.]+)/`); rtt != "" {
			if got := fmt.Sprintf("%g", row["rtt_ms"]); got != rtt {
				t.Errorf("rtt_ms %s, ss says %s", got, rtt)
			}
		}
	}
	for column, value := range optional {
		if value != nil && value != "" && (column != "inode" || value != int64(0)) { // ss prints 0 where there is none
			want[column] = value
		}
	}
	got := map[string]any{}
	for column := range want {
		got[column] = row[column]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n(-ss +recorded):\n%s", line.more, diff)
	}
}

func tcpSocket(t *testing.T, flags int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// A listener nobody accepts from: its queue fills up, what waits in it has no inode yet
// and nobody but the listener's process, and the next one is left in the middle of its handshake.
func TestFullAcceptQueue(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := tcpSocket(t, 0)
	if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(l)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := unix.Connect(tcpSocket(t, unix.SOCK_NONBLOCK), name); err != unix.EINPROGRESS && err != nil {
			t.Fatal(err)
		}
	}
	listener := cookieOf(t, l)
	until(t, "a full queue", func() bool { return ss(t, "-tae")[listener].recvQ == 2 })
	r := newRecording(t)
	r.sample(newSockets(r.Writer, here(t)))
	got, lines := r.socketsNow("proto = 'tcp'"), ss(t, "-tae")
	if got, want := field(t, got, listener, "recv_q"), any(int64(2)); got != want {
		t.Errorf("connections waiting: %v, want %v", got, want)
	}
	if got, want := field(t, got, listener, "send_q"), any(int64(1)); got != want {
		t.Errorf("backlog: %v, want %v", got, want)
	}
	port := int64(name.(*unix.SockaddrInet4).Port)
	waiting := 0
	for cookie, row := range got {
		if row["state"] == "ESTABLISHED" && row["local_port"] == port {
			waiting++
			if row["inode"] != nil || row["pid"] != int64(os.Getpid()) || row["owner_how"] != "listener" {
				t.Errorf("a connection not accepted yet: inode %v, pid %v by %v; want NULL, and us by listener", row["inode"], row["pid"], row["owner_how"])
			}
		}
		if state := lines[cookie].state; row["state"] != state {
			t.Errorf("socket %d: %v, ss says %s", cookie, row["state"], state)
		}
	}
	if waiting != 2 {
		t.Errorf("%d connections wait, want 2", waiting)
	}
	counted := r.rows("SELECT count, recv_q, send_q, pid FROM socket_counts_now WHERE state = 'LISTEN'")
	want := []map[string]any{{"count": int64(1), "recv_q": int64(2), "send_q": int64(1), "pid": int64(os.Getpid())}}
	if diff := cmp.Diff(want, counted); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
}
