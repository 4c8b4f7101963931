package recorder

import (
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// tcpInfoOf is what getsockopt says of the socket.
func tcpInfoOf(t *testing.T, c any) (info *unix.TCPInfo) {
	t.Helper()
	onFD(t, c, func(fd int) {
		var err error
		if info, err = unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
			t.Fatal(err)
		}
	})
	return info
}

// twoBits is the largest of 1, 2, 3, 4, 6, 8, 12 … that n is not below.
func twoBits(n int64) int64 {
	best := int64(0)
	for power := int64(1); power <= n; power *= 2 {
		best = power
		if power > 1 && power+power/2 <= n {
			best = power + power/2
		}
	}
	return best
}

// heldBack is a namespace in which a client at 127.0.1.1 talks to a server at 127.0.1.2, and what one of them sends can be dropped.
type heldBack struct {
	*testing.T
	r *testRecording
	s source
}

func newHeldBack(t *testing.T) *heldBack {
	loopback(t)
	ip(t, "link set lo mtu 1500")
	ip(t, "rule add pref 10 table local")
	ip(t, "rule del pref 0")
	r := newRecording(t)
	return &heldBack{t, r, newSockets(r.Writer, here(t))}
}

const heldClient, heldServer = "127.0.1.1", "127.0.1.2"

func (h *heldBack) drop(from, to string) (undo func()) {
	ip(h.T, fmt.Sprintf("rule add pref 1 from %s to %s blackhole", from, to))
	return func() { ip(h.T, "rule del pref 1") }
}

// pair connects a client and a server whose buffers are set before that, where they are not 0.
func (h *heldBack) pair(sndbuf, rcvbuf int) (client, server *net.TCPConn) {
	h.Helper()
	set := func(option, size int) func(string, string, syscall.RawConn) error {
		return func(_, _ string, c syscall.RawConn) error {
			if size == 0 {
				return nil
			}
			return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, size) })
		}
	}
	config := net.ListenConfig{Control: set(unix.SO_RCVBUF, rcvbuf)}
	config.SetMultipathTCP(false)
	l, err := config.Listen(h.Context(), "tcp4", heldServer+":0")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { l.Close() })
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(heldClient)}, Control: set(unix.SO_SNDBUF, sndbuf)}
	c, err := d.Dial("tcp4", l.Addr().String())
	if err != nil {
		h.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

// fill writes until the socket takes no more, and goes on trying for as long as the test runs.
func (h *heldBack) fill(c *net.TCPConn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 64<<10); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}()
	h.Cleanup(func() { c.Close(); <-done })
}

// look takes a sample in which the counters of the socket are those of getsockopt, which is asked before and after, and returns its row.
func (h *heldBack) look(c any) map[string]any {
	h.Helper()
	before := tcpInfoOf(h.T, c)
	h.r.sample(h.s)
	after := tcpInfoOf(h.T, c)
	row := h.r.socketsNow("proto = 'tcp'")[cookieOf(h.T, c)]
	if row == nil {
		h.Fatal("the socket is not recorded")
	}
	for column, of := range map[string]func(i *unix.TCPInfo) uint64{
		"busy_ms":           func(i *unix.TCPInfo) uint64 { return i.Busy_time / 1000 },
		"rwnd_limited_ms":   func(i *unix.TCPInfo) uint64 { return i.Rwnd_limited / 1000 },
		"sndbuf_limited_ms": func(i *unix.TCPInfo) uint64 { return i.Sndbuf_limited / 1000 },
		"retransmits":       func(i *unix.TCPInfo) uint64 { return uint64(i.Total_retrans) },
		"reordered":         func(i *unix.TCPInfo) uint64 { return uint64(i.Reord_seen) },
	} {
		if got, ok := row[column].(int64); !ok || uint64(got) < of(before) || uint64(got) > of(after) {
			h.Errorf("%s is %v, getsockopt says %d before and %d after", column, row[column], of(before), of(after))
		}
	}
	return row
}

// What holds a transfer back is named: the other end, whose window is shut; the path, which loses segments; or the
// application, which has nothing more to send. The oracles are getsockopt and ss.
func TestWhoHoldsAConnectionBack(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)

	chatty, other := h.pair(0, 0)
	for range 3 {
		if _, err := chatty.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all is acknowledged", func() bool { return tcpInfoOf(t, chatty).Unacked == 0 })
	row := h.look(chatty)
	if row["rwnd_limited_ms"] != int64(0) || row["sndbuf_limited_ms"] != int64(0) || row["notsent"] != int64(0) || row["direction"] != "out" {
		t.Errorf("a chat: %v", row)
	}
	if row := h.look(other); row["direction"] != "in" || row["busy_ms"] != int64(0) {
		t.Errorf("the other end of a chat: %v", row)
	}

	// The other end does not read: its window is shut, and the timer of probes runs.
	stuffed, _ := h.pair(1<<20, 4096)
	h.fill(stuffed)
	until(t, "the window is shut, and was probed", func() bool {
		i := tcpInfoOf(t, stuffed)
		return i.Notsent_bytes > 0 && i.Rwnd_limited > 0 && i.Probes > 0
	})
	row = h.look(stuffed)
	if row["timer"] != "probe" || row["snd_wnd"] != int64(0) || row["sndbuf_limited_ms"] != int64(0) || row["timer_ends"] == nil {
		t.Errorf("the other end does not read: timer %v, ends %v, snd_wnd %v, sndbuf_limited_ms %v", row["timer"], row["timer_ends"], row["snd_wnd"], row["sndbuf_limited_ms"])
	}
	if busy, limited := row["busy_ms"].(int64), row["rwnd_limited_ms"].(int64); limited < busy*9/10 {
		t.Errorf("of %d ms busy, %d were for the other end's window", busy, limited)
	}
	if got, want := row["notsent"], twoBits(int64(tcpInfoOf(t, stuffed).Notsent_bytes)); got != want {
		t.Errorf("notsent %v, getsockopt says %d", got, want)
	}

	// The path loses every acknowledgement.
	lossy, _ := h.pair(0, 0)
	undo := h.drop(heldServer, heldClient)
	if _, err := lossy.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is sent again twice", func() bool { return tcpInfoOf(t, lossy).Retransmits >= 2 })
	lines := sampleQuietly(t, h.r, h.s, "-tinmeo")
	row = h.r.socketsNow("proto = 'tcp'")[cookieOf(t, lossy)]
	line := lines[cookieOf(t, lossy)].more
	rto, _ := ssNumber(line, ` rto:(\d+)`).(int64)
	got := map[string]any{}
	for _, column := range strings.Fields("timer tries backoff lost notsent ssthresh rto_ms") {
		got[column] = row[column]
	}
	for column, want := range map[string]any{
		"timer": "retransmit", "tries": ssNumber(line, `timer:\(on,[^,]*,(\d+)\)`), "backoff": ssNumber(line, ` backoff:(\d+)`), "lost": ssNumber(line, ` lost:(\d+)`),
		"notsent": int64(0), "ssthresh": ssNumber(line, ` ssthresh:(\d+)`),
	} {
		if got[column] != want {
			t.Errorf("%s is %v, ss says %v: %s", column, got[column], want, line)
		}
	}
	if got, _ := row["rto_ms"].(int64); got > rto || got < rto*9/10 {
		t.Errorf("rto_ms is %v, ss says %d", row["rto_ms"], rto)
	}
	now := newRecording(t) // by the clock of the machine
	now.sampleNow(newSockets(now.Writer, here(t)))
	row = now.socketsNow("proto = 'tcp'")[cookieOf(t, lossy)]
	rto = int64(tcpInfoOf(t, lossy).Rto / 1000)
	if ends, _ := row["timer_ends"].(float64); ends < row["ts"].(float64)-2 || ends > row["ts"].(float64)+2+float64(rto)/1000 {
		t.Errorf("the timer ends at %v, the sample was at %v, and it runs for %d ms", row["timer_ends"], row["ts"], rto)
	}
	if deltas := h.r.rows(fmt.Sprintf("SELECT * FROM socket_deltas WHERE cookie = %d AND busy_ms > 0 AND rwnd_limited_ms BETWEEN 1 AND busy_ms AND sndbuf_limited_ms = 0", cookieOf(t, stuffed))); len(deltas) == 0 {
		t.Error("the deltas do not say that the other end's window held it back")
	}
	undo()
}

// What of a socket stands still is as ss shows it, and as it was set.
func TestOptionsOfSocketsAgreeWithSS(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	client, server := h.pair(0, 0)
	onFD(t, client, func(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, 0x28) })
	if _, err := client.Write(make([]byte, 300_000)); err != nil {
		t.Fatal(err)
	}
	server.CloseWrite()
	for i, flags := range []int{0, 1} {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM, unix.IPPROTO_TCP)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, flags)
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 0xb8)
		if err := unix.Bind(fd, &unix.SockaddrInet6{Port: 9001 + i}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(fd, 1); err != nil {
			t.Fatal(err)
		}
	}
	lines := sampleQuietly(t, h.r, h.s, "-tinmeoa")
	rows := h.r.socketsNow("proto = 'tcp'")
	for cookie, line := range lines {
		row := rows[cookie]
		if row == nil {
			t.Errorf("not recorded: %s", line.more)
			continue
		}
		want := map[string]any{}
		rcvbuf, sndbuf := ssNumber(line.more, `skmem:\(r\d+,rb(\d+)`).(int64), ssNumber(line.more, `,tb(\d+)`).(int64)
		if line.state != "LISTEN" {
			rcvbuf, sndbuf = twoBits(rcvbuf), twoBits(sndbuf)
			var options []string
			for _, word := range strings.Fields(line.more) {
				if word == "ts" || word == "sack" || word == "ecn" || word == "ecnseen" || word == "fastopen" || strings.HasPrefix(word, "wscale:") {
					options = append(options, word)
				}
			}
			want["options"] = strings.Join(options, " ")
			if min := ssWord(line.more, ` minrtt:([0-9.]+)`); min != "" {
				var ms float64
				fmt.Sscan(min, &ms)
				want["min_rtt_ms"] = float64(twoBits(int64(ms*1000+0.5))) / 1000
			}
		}
		want["rcvbuf"], want["sndbuf"] = rcvbuf, sndbuf
		for column, want := range want {
			if row[column] != want {
				t.Errorf("%s is %v, want %v: %s", column, row[column], want, line.more)
			}
		}
	}
	for _, check := range []struct {
		where, column string
		want          any
	}{
		{"state = 'LISTEN' AND local_port = 9001", "v6only", int64(0)},
		{"state = 'LISTEN' AND local_port = 9002", "v6only", int64(1)},
		{"state = 'LISTEN' AND local_port = 9002", "tos", int64(0xb8)},
		{"state = 'LISTEN' AND local_port = 9002", "direction", "listen"},
		{"state = 'LISTEN' AND local_port = 9002", "busy_ms", nil},
		{fmt.Sprintf("cookie = %d", cookieOf(t, client)), "tos", int64(0x28)},
		{fmt.Sprintf("cookie = %d", cookieOf(t, client)), "v6only", nil},
		{fmt.Sprintf("cookie = %d", cookieOf(t, client)), "rcv_wnd", nil},
		{fmt.Sprintf("cookie = %d", cookieOf(t, client)), "shutdown", "recv"},
		{fmt.Sprintf("cookie = %d", cookieOf(t, server)), "shutdown", "send"},
	} {
		if got := h.r.rows("SELECT " + check.column + " FROM sockets_now WHERE proto = 'tcp' AND " + check.where); len(got) != 1 || got[0][check.column] != check.want {
			t.Errorf("%s where %s: %v, want %v", check.column, check.where, got, check.want)
		}
	}
}

// A connection from which nothing comes stands still in the recording: no span begins, though ages and timers move in every dump.
func TestRestingConnectionsStandStill(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	client, server := h.pair(0, 0)
	client.SetKeepAlive(true)
	if _, err := client.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	until(t, "all is acknowledged", func() bool { return tcpInfoOf(t, client).Unacked == 0 })
	for range 5 {
		h.r.sample(h.s)
	}
	for _, c := range []*net.TCPConn{client, server} {
		// The first may be of the moment before the last acknowledgement was sent.
		if spans := h.r.rows(fmt.Sprintf("SELECT * FROM socket_spans WHERE cookie = %d", cookieOf(t, c))); len(spans) > 2 {
			t.Errorf("%d spans of a connection at rest: %v", len(spans), spans)
		}
	}
}
