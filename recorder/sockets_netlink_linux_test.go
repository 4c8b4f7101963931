package recorder

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
)

// netlinkSocket is one of that protocol, bound to the port id, if that is not 0, with those groups.
func netlinkSocket(t *testing.T, protocol int, id uint32, groups ...int) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err == nil && id != 0 {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: id})
	}
	for _, g := range groups {
		if err == nil {
			err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// Netlink sockets have protocol, port ids, groups, drops and owner. The oracles are /proc/net/netlink, which has no diagnostics, and what the
// test has opened. Those of the kernel itself are left out.
func TestNetlinkSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	watcher := netlinkSocket(t, unix.NETLINK_ROUTE, 70_001, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, 33)
	generic := netlinkSocket(t, unix.NETLINK_GENERIC, 4_000_000_001)
	to := netlinkSocket(t, unix.NETLINK_USERSOCK, 70_002)
	if err := unix.Connect(to, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: 70_009}); err != nil {
		t.Fatal(err)
	}
	joined := netlinkSocket(t, unix.NETLINK_SOCK_DIAG, 0, 1, 4) // it has no port id, as one of the kernel
	netlinkSocket(t, unix.NETLINK_ROUTE, 0)                     // no dump and no file shows it
	unix.SetsockoptInt(watcher, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	for range 10 { // more than it has room for
		kerneltest.Command(t, "ip", "link", "set", "lo", "down")
		kerneltest.Command(t, "ip", "link", "set", "lo", "up")
	}
	oracle := func() map[int64]string { // by inode: protocol, port id, groups, queue, drops
		text, err := os.ReadFile("/proc/self/net/netlink")
		if err != nil {
			t.Fatal(err)
		}
		lines := map[int64]string{}
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
			var key string
			var protocol, id, groups, rmem, wmem, dump, locks, drops, inode int64
			if _, err := fmt.Sscanf(line, "%s %d %d %x %d %d %d %d %d %d", &key, &protocol, &id, &groups, &rmem, &wmem, &dump, &locks, &drops, &inode); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if id != 0 && !sockdiag.IsOwn(uint32(inode)) {
				lines[inode] = fmt.Sprintf("%d:%d rmem %d drops %d", protocol, id, rmem, drops)
			}
		}
		return lines
	}
	numbers := map[string]int{"route": unix.NETLINK_ROUTE, "generic": unix.NETLINK_GENERIC, "usersock": unix.NETLINK_USERSOCK, "sock_diag": unix.NETLINK_SOCK_DIAG}
	pid := int64(os.Getpid())
	check := func(r *testRecording, s *sockets, fromProc bool) {
		t.Helper()
		r.sample(s)
		got := map[int64]string{}
		want := oracle()
		for _, row := range r.rows("SELECT * FROM sockets_now WHERE proto = 'netlink'") {
			if id := row["local_port"]; id != int64(0) { // the file does not list those that have no port id
				got[row["inode"].(int64)] = fmt.Sprintf("%d:%d rmem %v drops %d", numbers[row["local_addr"].(string)], id, row["recv_q"], row["drops"])
			}
			if row["pid"] != pid || row["owner_how"] != "fd" || row["remote_addr"] != nil || row["family"] != nil || row["uid"] != nil {
				t.Errorf("%v", row)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 3 {
			t.Errorf("(-/proc/net/netlink +got):\n%s", diff)
		}
		rows := r.rows("SELECT inode, type, state, remote_port, netlink_groups, drops > 0 AS dropped, cookie IS NULL AS cookieless FROM sockets_now WHERE inode IN (?, ?, ?, ?) ORDER BY local_addr",
			inodeOf(t, watcher), inodeOf(t, generic), inodeOf(t, to), inodeOf(t, joined))
		row := func(fd int, state string, remote int, groups any, dropped int) map[string]any {
			m := map[string]any{"inode": inodeOf(t, fd), "type": "raw", "state": state, "remote_port": int64(remote), "netlink_groups": groups, "dropped": int64(dropped), "cookieless": int64(0)}
			if fromProc {
				m["type"], m["state"], m["remote_port"], m["cookieless"] = nil, "CLOSE", int64(0), int64(1)
			}
			return m
		}
		watched := "link ipv4_route brvlan"
		if fromProc { // it has 32 groups
			watched = "link ipv4_route"
		}
		expected := []map[string]any{
			row(generic, "CLOSE", 0, nil, 0), row(watcher, "CLOSE", 0, watched, 1), row(joined, "CLOSE", 0, "tcp_destroy udp6_destroy", 0), row(to, "ESTABLISHED", 70_009, nil, 0),
		}
		if fromProc {
			expected = slices.Delete(expected, 2, 3)
		}
		if diff := cmp.Diff(expected, rows); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	check(r, s, false)
	listed := kerneltest.Command(t, "ss", "-H", "-a", "-n", "-f", "netlink")
	for _, end := range []string{" 0:70001 ", fmt.Sprintf(" 16:%d ", 4_000_000_001-1<<32) /* it takes them for signed */, " 2:70002 "} {
		if !strings.Contains(listed, end) {
			t.Errorf("ss does not list%s:\n%s", end, listed)
		}
	}

	// At rest no row changes, and joining a group is a change of the same socket.
	spans := func() any {
		return r.rows("SELECT count(*) AS n FROM socket_spans WHERE proto = 'netlink'")[0]["n"]
	}
	before := spans()
	r.sample(s)
	r.sample(s)
	if after := spans(); after != before {
		t.Errorf("at rest there are %v spans instead of %v", after, before)
	}
	if err := unix.SetsockoptInt(generic, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, 5); err != nil {
		t.Fatal(err)
	}
	unix.Close(to)
	r.sample(s)
	if got := field(t, r.socketsNow("proto = 'netlink'"), cookieOf(t, generic), "netlink_groups"); got != "5" {
		t.Errorf("groups %v", got)
	}
	got := r.rows("SELECT event, what, pid FROM events WHERE object = 'socket' AND what LIKE 'netlink%'")
	if diff := cmp.Diff([]map[string]any{{"event": "closed", "what": "netlink usersock:70002 ↔ *:70009", "pid": pid}}, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := r.rows("SELECT 1 FROM connections WHERE proto = 'netlink'"); len(got) > 0 {
		t.Errorf("%d netlink sockets are connections", len(got))
	}

	to = netlinkSocket(t, unix.NETLINK_USERSOCK, 70_002)
	if err := unix.Connect(to, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: 70_009}); err != nil {
		t.Fatal(err)
	}
	unix.SetsockoptInt(generic, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, 5)
	again := newRecording(t)
	s = newSockets(again.Writer, here(t)).(*sockets)
	for _, p := range s.protocols { // what a kernel without NETLINK_DIAG gives
		p.fromProc = p.af == unix.AF_NETLINK
	}
	again.sample(s)
	check(again, s, true)
}

// A connection of MPTCP is there beside its subflow, with the same owner, and counts nowhere twice. The oracles are ss and what the test does.
func TestMPTCPSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	r.sampleNow(s)
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
	sources := func() int { return len(r.rows("SELECT 1 FROM sources_now WHERE source LIKE 'mptcp%'")) }
	if n := sources(); n != 0 {
		t.Errorf("%d sources of MPTCP before there is any", n)
	}
	r.sampleNow(s)
	if rows := r.rows("SELECT proto, ulp FROM sockets_now WHERE inode = ?", inodeOf(t, l)); len(rows) != 1 || rows[0]["proto"] != "tcp" || rows[0]["ulp"] != "mptcp" {
		t.Errorf("the listener is %v", rows)
	}
	if n := sources(); n != 0 {
		t.Errorf("%d sources of MPTCP for a listener", n)
	}
	client := mptcp(t)
	if err := unix.Connect(client, to); err != nil {
		t.Fatal(err)
	}
	server, _, err := unix.Accept(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(client, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	port := int64(to.(*unix.SockaddrInet4).Port)
	until(t, "100 bytes arrive", func() bool {
		n, _, _ := unix.Recvfrom(server, make([]byte, 200), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return n == 100
	})
	r.sampleNow(s)
	if n := sources(); n != 1 {
		t.Errorf("%d sources of MPTCP", n)
	}
	pid := int64(os.Getpid())
	var got []string
	for _, row := range r.rows("SELECT * FROM sockets_now WHERE proto = 'mptcp'") {
		if row["pid"] != pid || row["owner_how"] != "fd" || row["bytes_sent"] != nil || row["rtt_ms"] != nil || row["type"] != "stream" || row["family"] != int64(4) {
			t.Errorf("%v", row)
		}
		state := strings.TrimSuffix(row["state"].(string), "LISHED") // as ss has it
		got = append(got, fmt.Sprintf("%s %v %v %v:%v %v:%v", state, row["recv_q"], row["send_q"], row["local_addr"], row["local_port"], row["remote_addr"], row["remote_port"]))
	}
	var want []string
	for _, line := range strings.Split(strings.TrimSpace(kerneltest.Command(t, "ss", "-HManO")), "\n") {
		if ss := strings.Fields(line); ss[0] != "LISTEN" {
			want = append(want, strings.Join(ss[:5], " "))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" || len(want) != 2 {
		t.Errorf("(-ss +got):\n%s", diff)
	}
	inodes := r.rows("SELECT proto, count(*) AS n FROM sockets_now WHERE inode IN (?, ?, ?) GROUP BY 1 ORDER BY 1", inodeOf(t, l), inodeOf(t, client), inodeOf(t, server))
	if diff := cmp.Diff([]map[string]any{{"proto": "mptcp", "n": int64(2)}, {"proto": "tcp", "n": int64(3)}}, inodes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for question, n := range map[string]int{
		"SELECT DISTINCT proto FROM connections WHERE remote_port = ?":                            1, // the server's end is another, from the same port
		"SELECT proto FROM listeners WHERE local_port = ?":                                        1,
		"SELECT what FROM events WHERE what LIKE 'mptcp%' AND ? > 0":                              0,
		"SELECT 1 FROM traffic_now WHERE bytes_sent = 100 AND ? > 0":                              1,
		"SELECT 1 FROM socket_counts_now WHERE proto = 'mptcp' AND count = 2 AND 0 < ?":           1,
		"SELECT 1 FROM socket_owners_now WHERE proto = 'mptcp' AND local_port = ? AND fd NOTNULL": 1,
	} {
		if rows := r.rows(question, port); len(rows) != n {
			t.Errorf("%s: %v", question, rows)
		}
	}
	for _, fd := range []int{client, server, l} {
		unix.Close(fd)
	}
	until(t, "MPTCP is gone", func() bool { return kerneltest.Command(t, "ss", "-HMan") == "" })
	r.sampleNow(s)
	if rows := r.rows("SELECT local_port, state FROM sockets_now WHERE proto = 'mptcp'"); len(rows) > 0 {
		t.Errorf("all are closed: %v", rows)
	}
	if r := r.rows("SELECT outcome FROM sources_now WHERE source = 'mptcp4'"); len(r) != 1 || r[0]["outcome"] != "read" {
		t.Errorf("%v", r)
	}
}

// Ping sockets are read from /proc/net/icmp. The oracle is what the test has opened.
func TestPingSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	setSysctl(t, "net/ipv4/ping_group_range", "0 0")
	four, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(four)
	six, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(six)
	if err := unix.Bind(four, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 4004}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(six, &unix.SockaddrInet6{Addr: [16]byte{15: 1}, Port: 6006}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(six, &unix.SockaddrInet6{Addr: [16]byte{15: 1}}); err != nil {
		t.Fatal(err)
	}
	r := newRecording(t)
	r.sample(newSockets(r.Writer, here(t)))
	t.Log(r.rows("SELECT source, outcome, error FROM sources_now"))
	got := r.rows("SELECT family, type, state, local_addr, local_port, remote_addr, inode, uid, pid FROM sockets_now WHERE proto = 'ping' ORDER BY family")
	pid := int64(os.Getpid())
	want := []map[string]any{
		{"family": int64(4), "type": "dgram", "state": "CLOSE", "local_addr": "127.0.0.1", "local_port": int64(4004), "remote_addr": "0.0.0.0", "inode": inodeOf(t, four), "uid": int64(0), "pid": pid},
		{"family": int64(6), "type": "dgram", "state": "ESTABLISHED", "local_addr": "::1", "local_port": int64(6006), "remote_addr": "::1", "inode": inodeOf(t, six), "uid": int64(0), "pid": pid},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Kinds that this kernel has no dump of, from messages as the kernel's headers have them (linux/vm_sockets_diag.h, linux/xdp_diag.h,
// linux/inet_diag.h): no kernel has sent these.
func TestSocketsOfRecordedMessages(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	words := func(head []byte, list ...uint32) []byte {
		for _, n := range list {
			head = binary.NativeEndian.AppendUint32(head, n)
		}
		return head
	}
	inet := func(state byte, sport, dport uint16, inode uint32) []byte {
		b := make([]byte, sockdiag.InetDiagMsgSize)
		b[0], b[1] = unix.AF_INET, state
		binary.BigEndian.PutUint16(b[4:], sport)
		binary.BigEndian.PutUint16(b[6:], dport)
		copy(b[8:], []byte{10, 0, 0, 1})
		if dport != 0 {
			copy(b[24:], []byte{10, 0, 0, 2})
		}
		binary.NativeEndian.PutUint32(b[44:], inode) // for a cookie
		binary.NativeEndian.PutUint32(b[68:], inode)
		return b
	}
	const vsockAny = 1<<32 - 1
	messages := map[string][][]byte{
		"vsock": {
			words([]byte{unix.AF_VSOCK, unix.SOCK_STREAM, 10, 0}, vsockAny, 1024, vsockAny, vsockAny, 501, 1, 0),
			words([]byte{unix.AF_VSOCK, unix.SOCK_SEQPACKET, 1, 3}, 3, 4_000_000_000, 2, 5000, 502, 2, 0),
		},
		"xdp": {words([]byte{unix.AF_XDP, unix.SOCK_RAW, 0, 0}, 503, 3, 0, 1<<16|12, 7, 4)},
		// The socket, then its association, with other ends.
		"sctp4": {inet(10, 3868, 0, 504), inet(1, 3868, 40000, 505), inet(3, 3868, 40001, 505)},
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	for i := range rareKinds {
		if p := rareKinds[i].protocol(); messages[p.name] != nil {
			s.add(p, here(t), &sockdiag.Conn{Instead: func(each func([]byte) error) error {
				for _, m := range messages[p.name] {
					if err := each(m); err != nil {
						return err
					}
				}
				return nil
			}})
		}
	}
	r.sample(s)
	got := r.rows("SELECT proto, family, type, state, local_addr, local_port, remote_addr, remote_port, ifindex, inode, shutdown, recv_q, drops FROM sockets_now WHERE proto IN ('vsock', 'xdp', 'sctp') ORDER BY inode")
	row := func(proto string, family, kind any, state string, addr any, port int64, remote, remotePort, ifindex any, inode int64, shutdown, recvQ any) map[string]any {
		return map[string]any{"proto": proto, "family": family, "type": kind, "state": state, "local_addr": addr, "local_port": port, "remote_addr": remote, "remote_port": remotePort,
			"ifindex": ifindex, "inode": inode, "shutdown": shutdown, "recv_q": recvQ, "drops": nil}
	}
	want := []map[string]any{
		row("vsock", nil, "stream", "LISTEN", "*", 1024, "*", int64(0), nil, 501, nil, nil),
		row("vsock", nil, "seqpacket", "ESTABLISHED", "3", 4_000_000_000, "2", int64(5000), nil, 502, "both", nil),
		row("xdp", nil, "raw", "CLOSE", nil, 4, nil, nil, int64(7), 503, nil, nil),
		row("sctp", int64(4), nil, "LISTEN", "10.0.0.1", 3868, "0.0.0.0", int64(0), nil, 504, nil, int64(0)),
		row("sctp", int64(4), nil, "ESTABLISHED", "10.0.0.1", 3868, "10.0.0.2", int64(40000), nil, 505, nil, int64(0)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	spans := func() any {
		return r.rows("SELECT count(*) AS n FROM socket_spans WHERE proto IN ('vsock', 'xdp', 'sctp')")[0]["n"]
	}
	r.sample(s)
	if n := spans(); n != int64(5) {
		t.Errorf("at rest there are %v spans", n)
	}
	listening := r.rows("SELECT proto, local_addr, local_port FROM listeners ORDER BY proto")
	if diff := cmp.Diff([]map[string]any{{"proto": "sctp", "local_addr": "10.0.0.1", "local_port": int64(3868)}, {"proto": "vsock", "local_addr": "*", "local_port": int64(1024)}}, listening); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	messages["vsock"] = messages["vsock"][:1]
	messages["xdp"] = nil
	r.sample(s)
	var told []string
	for _, row := range r.rows("SELECT event, what FROM events WHERE object IN ('socket', 'listener') AND what NOT LIKE 'netlink%' ORDER BY what") {
		told = append(told, fmt.Sprint(row["event"], " ", row["what"]))
	}
	if diff := cmp.Diff([]string{"closed vsock 3:4000000000 ↔ 2:5000", "closed xdp queue 4"}, told); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A kind that the kernel knows, and has no dump of, has no source: nothing says that there is none. The kernel is asked once, and again after a while.
func TestKindWithoutADump(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	const vsock = 0
	if rareKinds[vsock].counted != "AF_VSOCK" {
		t.Fatal("another kind is the first")
	}
	r.sample(s)
	_, known := s.protocols[0].census.counts["AF_VSOCK"]
	has := exactlyENOENT(t)
	switch {
	case !known:
		t.Skip("this kernel has no vsock sockets")
	case !has:
		t.Skip("this kernel has a dump of vsock sockets")
	}
	sources := func() any {
		return r.rows("SELECT count(*) AS n FROM sources_now WHERE source = 'vsock'")[0]["n"]
	}
	asked := s.lacks[vsock]
	if asked.Before(time.Now().Add(lacksFor/2)) || sources() != int64(0) {
		t.Errorf("it is asked again at %v, and has %v sources", asked, sources())
	}
	conn := s.protocols[0].diag.Socket
	r.sample(s)
	if s.lacks[vsock] != asked {
		t.Error("the next sample asks again")
	}
	s.lacks[vsock] = time.Now().Add(-time.Second)
	r.sample(s)
	if !s.lacks[vsock].After(asked) || s.protocols[0].diag.Socket != conn {
		t.Errorf("after a while: asked again until %v; with the same socket: %v", s.lacks[vsock], s.protocols[0].diag.Socket == conn)
	}

	// Switched off, it has one, and is not asked for.
	off := newRecording(t)
	s = newSockets(off.Writer).(*sockets)
	s.without = without{"vsock"}
	s.enter(here(t))
	off.sample(s)
	got := off.rows("SELECT outcome, error FROM sources_now WHERE source = 'vsock'")
	if diff := cmp.Diff([]map[string]any{{"outcome": "off", "error": "--without vsock"}}, got); diff != "" || !s.lacks[vsock].IsZero() {
		t.Errorf("switched off (-want +got):\n%s", diff)
	}
}

// exactlyENOENT reports whether the kernel says that it has no dump of vsock sockets.
func exactlyENOENT(t *testing.T) bool {
	t.Helper()
	c := sockdiag.New()
	defer c.Close()
	return c.Dump(t.Context(), sockdiag.VsockRequest{}.Message(), func([]byte) error { return nil }) == unix.ENOENT
}
