package recorder

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// ofThisNamespace has sockets that no dump ever showed taken for those of the test's network namespace.
func ofThisNamespace(t *testing.T, s *sockets) *sockets {
	id := here(t).id
	s.owners.NetNS = func(pid int32, _ uint64) store.Int {
		if pid == int32(os.Getpid()) {
			return id
		}
		return store.Int{}
	}
	return s
}

// reset closes the connection so that the other end gets a RST at once (SO_LINGER 0).
func reset(t *testing.T, c *net.TCPConn) {
	t.Helper()
	if err := c.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// tcpState is the state of a TCP socket as the kernel has it.
func tcpState(t *testing.T, c *net.TCPConn) uint8 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	if e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return info.State
}

func isDead(t *testing.T, c *net.TCPConn) {
	t.Helper()
	eventually(t, "the RST comes", func() bool { return tcpState(t, c) == sockdiag.StateClose })
}

// A connection whose descriptor outlives it, because it was reset or shut down, is one connection, with its bytes once, however
// many samples or restarts of the recorder there are until the descriptor is closed. Until then it is a socket in CLOSE of its
// process, which ss does not show.
func TestDescriptorsOutliveConnections(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	path := t.TempDir() + "/held.db"
	open := func() (*testRecording, *sockets) {
		w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Version: "test", Boot: store.Boot{ID: "boot", Host: "host", Kernel: "6.18", Started: time.Unix(1_700_000_000, 0)}})
		if err != nil {
			t.Fatal(err)
		}
		r := &testRecording{Writer: w, t: t, path: path}
		return r, ofThisNamespace(t, hearing(t, r, 1000))
	}
	r, s := open()
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sampleNow(s)
	peer, held := tcpPair(t, l)    // the peer resets it
	first, second := tcpPair(t, l) // both ends shut it down
	brief, unseen := tcpPair(t, l) // reset before any sample
	for _, c := range []*net.TCPConn{peer, first, brief} {
		c.Write(make([]byte, 1000))
	}
	for _, c := range []*net.TCPConn{held, second, unseen} {
		io.ReadFull(c, make([]byte, 1000))
	}
	reset(t, brief)
	isDead(t, unseen)
	r.sampleNow(s)
	reset(t, peer)
	isDead(t, held)
	first.CloseWrite()
	io.ReadAll(second)
	from := wallNow()
	second.CloseWrite()
	io.ReadAll(first)
	eventually(t, "TIME_WAIT has begun", func() bool {
		return tcpState(t, first) == sockdiag.StateClose && tcpState(t, second) == sockdiag.StateClose
	})
	to := wallNow()

	port := func(c *net.TCPConn, end func(*net.TCPConn) net.Addr) int { return end(c).(*net.TCPAddr).Port }
	local, remote := (*net.TCPConn).LocalAddr, (*net.TCPConn).RemoteAddr
	connection := func(c *net.TCPConn) map[string]any {
		t.Helper()
		rows := r.rows(`SELECT * FROM connections WHERE proto = 'tcp' AND local_port = ? AND remote_port = ?`, port(c, local), port(c, remote))
		if len(rows) != 1 {
			t.Fatalf("%d connections, want 1: %v", len(rows), rows)
		}
		return rows[0]
	}
	var died, shut any
	look := func(when string) {
		t.Helper()
		row := connection(held)
		if row["released"] != nil || row["open"] != int64(0) || row["state"] != "CLOSE" || row["bytes_received"] != int64(1000) || row["pid"] != int64(os.Getpid()) || row["owner_how"] != "fd" {
			t.Errorf("%s: reset: %v", when, row)
		}
		if row["closed"] == nil || died != nil && row["closed"] != died {
			t.Errorf("%s: reset: closed %v, was %v", when, row["closed"], died)
		}
		died = row["closed"]
		row = connection(first)
		if row["released"] != nil || row["open"] != int64(0) || row["state"] != "TIME_WAIT" || row["closed"] == nil || shut != nil && row["closed"] != shut || row["pid"] != int64(os.Getpid()) {
			t.Errorf("%s: shut down: %v, closed was %v", when, row, shut)
		}
		shut = row["closed"]
		// The kernel tells by ticks how long TIME_WAIT lasts still.
		if began := shut.(float64); began < from-0.01 || began > to+0.05 {
			t.Errorf("%s: TIME_WAIT began at %f, want %f to %f", when, began, from, to)
		}
		// One was reset before any sample saw it: of it only the descriptor is known.
		rows := r.rows(`SELECT inode, local_addr, remote_port, owner_how FROM sockets_now WHERE proto = 'tcp' AND state = 'CLOSE' AND pid = ? AND cookie IS NULL`, os.Getpid())
		if want := tcpInode(t, unseen); len(rows) != 1 || rows[0]["inode"] != want || rows[0]["local_addr"] != nil || rows[0]["remote_port"] != nil {
			t.Errorf("%s: never in a dump: %v, want inode %d", when, rows, want)
		}
		if n := r.rows(`SELECT sum(count) AS n FROM socket_counts_now WHERE proto = 'tcp' AND state = 'CLOSE' AND pid = ?`, os.Getpid())[0]["n"]; n != int64(3) {
			t.Errorf("%s: %v sockets are counted in CLOSE, want 3", when, n)
		}
	}
	for i := range 3 {
		r.sampleNow(s)
		if i > 0 {
			look(fmt.Sprintf("sample %d", i))
		}
	}
	s.close()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r, s = open()
	defer r.Close(context.Background())
	for i := range 3 {
		r.sampleNow(s)
		if i > 0 {
			look(fmt.Sprintf("sample %d after a restart", i))
		}
	}
	eventually(t, "a close is told at once no more", func() bool { return wallNow() > to+0.3 })
	r.sampleNow(s) // which did not see alive the one that no dump has ever shown
	before := wallNow()
	for _, c := range []*net.TCPConn{held, first, second, unseen} {
		c.Close()
	}
	eventually(t, "the kernel tells of all", func() bool { return s.closes[0].received() >= 4 })
	r.sampleNow(s)
	for _, c := range []struct {
		end      *net.TCPConn
		closed   any
		received int64
	}{{held, died, 1000}, {first, shut, 0}, {second, nil, 1001 /* the FIN: no sample saw it in CLOSE_WAIT */}, {unseen, nil, 1000}} {
		row := connection(c.end)
		released, _ := row["released"].(float64)
		if released < before-0.05 || c.closed != nil && row["closed"] != c.closed || row["closed"].(float64) >= before || row["bytes_received"] != c.received {
			t.Errorf("released: %v, want closed %v, released after %v, %d bytes received", row, c.closed, before, c.received)
		}
		if row["opened"].(float64) > row["closed"].(float64) {
			t.Errorf("closed before it was opened: %v", row)
		}
	}
	r.sampleNow(s)
	if rows := r.rows("SELECT * FROM sockets_now WHERE proto = 'tcp' AND state IN ('CLOSE') AND pid = ?", os.Getpid()); len(rows) > 0 {
		t.Errorf("all are closed, and these are there: %v", rows)
	}
	// What the ends of one port moved in all; the recorder did not look while it was restarted, and nothing moved then.
	sums := r.rows("SELECT sum(bytes_received) AS received FROM traffic WHERE pid = ?", os.Getpid())
	if sums[0]["received"] != int64(3001) {
		t.Errorf("%v bytes were received in all, want 3001", sums[0]["received"])
	}
}

func tcpInode(t *testing.T, c *net.TCPConn) int64 {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if e := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	return int64(stat.Ino)
}

// Connections that are closed with SO_LINGER 0 between two samples, of which the kernel has forgotten the other end and the
// numbers, are connections with NULL; sums say how many they lack, and a program of which nothing is known has NULL. A failed or
// a merely bound socket is none.
func TestForgottenNumbersAreNull(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 5)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sampleNow(s)
	r.sampleNow(s)
	const made = 3
	var ends []net.Conn
	for range made {
		client, server := tcpPair(t, l)
		server.Write(make([]byte, 5000))
		io.ReadFull(client, make([]byte, 5000))
		reset(t, server)
		ends = append(ends, client)
	}
	heard(t, s, made)
	if c, err := net.Dial("tcp4", "127.0.0.1:1"); err == nil {
		c.Close()
		t.Fatal("something listens on port 1")
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	unix.Close(fd)
	heard(t, s, made+2)
	r.sampleNow(s)
	port := l.Addr().(*net.TCPAddr).Port
	rows := r.rows("SELECT remote_addr, remote_port, bytes_sent, bytes_received, retransmits, owner_how, pid FROM connections WHERE seen_by = 'close' AND local_port = ?", port)
	if len(rows) != made {
		t.Errorf("%d connections, want %d: %v", len(rows), made, rows)
	}
	for _, row := range rows {
		for _, column := range []string{"remote_addr", "remote_port", "bytes_sent", "bytes_received", "retransmits"} {
			if row[column] != nil {
				t.Errorf("%s is %v, want NULL", column, row[column])
			}
		}
		if row["owner_how"] != "listener" || row["pid"] != int64(os.Getpid()) {
			t.Errorf("owner %v %v", row["owner_how"], row["pid"])
		}
	}
	if n := r.rows("SELECT count(*) AS n FROM connections WHERE seen_by = 'close' AND remote_port IS NOT 1")[0]["n"]; n != int64(made) {
		t.Errorf("%v connections lived between samples, want %d", n, made)
	}
	for _, table := range []string{"traffic", "top_talkers"} {
		got := r.rows("SELECT sum(closed) AS closed, sum(closed_unknown) AS unknown FROM " + table)[0]
		if got["closed"] != int64(made+1 /* refused */) || got["unknown"] != int64(made) {
			t.Errorf("%s: %v, want %d closed, %d of them unknown", table, got, made+1, made)
		}
	}
	for _, c := range ends {
		c.Close()
	}
}

// A process that only listens, and whose connections all are closed with SO_LINGER 0, has moved nobody knows how much.
func TestNothingKnownIsNull(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 2)
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sampleNow(s)
	r.sampleNow(s)
	const made = 9 // beyond the budget, too
	for range made {
		client, server := tcpPair(t, l)
		server.Write(make([]byte, 5000))
		io.ReadFull(client, make([]byte, 5000))
		reset(t, client)
		isDead(t, server)
		reset(t, server)
	}
	r.sampleNow(s)
	want := map[string]any{"sent": nil, "received": nil}
	for _, table := range []string{"traffic", "top_talkers"} {
		row := r.rows("SELECT sum(bytes_sent) AS sent, sum(bytes_received) AS received FROM " + table + " WHERE closed = closed_unknown AND closed > 0")[0]
		if row["sent"] != want["sent"] || row["received"] != want["received"] {
			t.Errorf("%s: %v, want NULL", table, row)
		}
	}
}

// Of a connection that was reset between two samples, and whose descriptor was closed before the second, it is not known when it
// ended: nothing says that the time of the close is that.
func TestResetBetweenSamplesIsNotExact(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := hearing(t, r, 100)
	l := listen(t, "tcp4", "127.0.0.1:0")
	peer, held := tcpPair(t, l)
	peer.Write(make([]byte, 10))
	io.ReadFull(held, make([]byte, 10))
	port := held.RemoteAddr().(*net.TCPAddr).Port
	r.sampleNow(s)
	r.sampleNow(s)
	before := wallNow()
	reset(t, peer)
	isDead(t, held)
	const rest = 100 // ms
	eventually(t, "time passes", func() bool { return wallNow() > before+rest/1000.0 })
	held.Close()
	heard(t, s, 2)
	r.sampleNow(s)
	row := r.rows("SELECT ts, late_ms, ended FROM closed_sockets WHERE remote_port = ?", port)[0]
	late, _ := row["late_ms"].(int64)
	if ts := row["ts"].(float64); row["ended"] != nil || ts-float64(late)/1000 > before+0.02 || ts < before+rest/1000.0-0.02 {
		t.Errorf("closed at %f, late by %d ms, ended %v; it ended at %f, and was closed %d ms later", ts, late, row["ended"], before, rest)
	}
	for _, e := range r.rows("SELECT exact FROM events WHERE event = 'closed' AND what LIKE '%:' || ?", port) {
		if e["exact"] != int64(0) {
			t.Error("its end is called exact")
		}
	}
}
