package recorder

import (
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
)

// The kernel counts the FIN of the other end as a byte received. It is left out in every state that shows that the FIN has come,
// and in the final numbers of a socket that a sample saw in such a state. The oracle is what the test has sent.
func TestFINIsNoByteReceived(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	const clients, servers = "127.0.1.1", "127.0.1.2"
	// What one end sends can be dropped: by rules that come before the table of local addresses.
	ip(t, "rule add pref 10 table local")
	ip(t, "rule del pref 0")
	drop := func(from, to string) (undo func()) {
		ip(t, fmt.Sprintf("rule add pref 1 from %s to %s blackhole", from, to))
		return func() { ip(t, "rule del pref 1") }
	}
	r := newRecording(t)
	s := hearing(t, r, 1000)
	l := listen(t, "tcp4", servers+":0")
	r.sampleNow(s)

	sent := map[int64]int64{}     // by cookie of who sent it
	received := map[int64]int64{} // and of who received it
	names := map[int64]string{}
	say := func(from, to *net.TCPConn, n int) {
		t.Helper()
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		sent[cookieOf(t, from)] += int64(n)
		received[cookieOf(t, to)] += int64(n)
	}
	pair := func(name string, n int) (client, server *net.TCPConn) {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(clients)}}
		c, err := d.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); a.Close() })
		client, server = c.(*net.TCPConn), a.(*net.TCPConn)
		names[cookieOf(t, client)], names[cookieOf(t, server)] = name+" client", name+" server"
		say(client, server, n)
		say(server, client, 2*n)
		return client, server
	}
	want := map[string]string{}
	states := func(c, a *net.TCPConn, client, server string) {
		t.Helper()
		for conn, state := range map[*net.TCPConn]string{c: client, a: server} {
			cookie := cookieOf(t, conn)
			want[names[cookie]] = fmt.Sprint(state, " ", sent[cookie], " ", received[cookie])
		}
	}
	seen := func() map[string]string {
		got := map[string]string{}
		for cookie, row := range r.socketsNow("proto = 'tcp' AND remote_port > 0") {
			got[names[cookie]] = fmt.Sprint(row["state"], " ", row["bytes_sent"], " ", row["bytes_received"])
		}
		return got
	}
	// settled samples until the states are there.
	settled := func(what string) {
		t.Helper()
		diff := ""
		for range 200 {
			r.sampleNow(s)
			if diff = cmp.Diff(want, seen()); diff == "" {
				return
			}
			for name, w := range want { // a wrong number does not repair itself
				if got := seen()[name]; got != w && state(got) == state(w) {
					t.Fatalf("%s: %s is %s, want %s", what, name, got, w)
				}
			}
		}
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}

	open, opened := pair("open", 50)
	states(open, opened, "ESTABLISHED", "ESTABLISHED")
	half, halved := pair("half closed", 100)
	states(half, halved, "ESTABLISHED", "ESTABLISHED")
	settled("open")
	half.CloseWrite()
	states(half, halved, "FIN_WAIT2", "CLOSE_WAIT")
	settled("half closed")
	say(halved, half, 7)
	states(half, halved, "FIN_WAIT2", "CLOSE_WAIT")
	settled("half closed, and more sent")

	// The server's FIN does not arrive, nor does it acknowledge the client's.
	last, acked := pair("last ack", 200)
	cookies := [...]int64{cookieOf(t, halved), cookieOf(t, acked), 0}
	repair := drop(servers, clients)
	states(last, acked, "FIN_WAIT1", "LAST_ACK")
	last.CloseWrite()
	io.ReadAll(acked)
	acked.Close()
	settled("LAST_ACK")
	repair()

	// The client's FIN does not arrive, and the server's does.
	both, crossed := pair("closing", 300)
	cookies[2] = cookieOf(t, both)
	repair = drop(clients, servers)
	states(both, crossed, "CLOSING", "FIN_WAIT1")
	both.CloseWrite()
	crossed.CloseWrite()
	delete(want, "last ack client") // which end as soon as they can
	delete(want, "last ack server")
	for range 200 {
		r.sampleNow(s)
		if got := seen(); got["closing client"] == want["closing client"] && got["closing server"] == want["closing server"] {
			break
		}
	}
	if diff := cmp.Diff([]string{want["closing client"], want["closing server"]}, []string{seen()["closing client"], seen()["closing server"]}); diff != "" {
		t.Fatalf("CLOSING (-want +got):\n%s", diff)
	}
	repair()

	// In TIME_WAIT stands what the last sample before it saw.
	halved.Close()
	eventually(t, "TIME_WAIT", func() bool { r.sampleNow(s); return state(seen()["half closed client"]) != "FIN_WAIT2" })
	if got, w := seen()["half closed client"], "TIME_WAIT 100 207"; got != w {
		t.Errorf("in TIME_WAIT: %s, want %s", got, w)
	}
	both.Close()
	crossed.Close()
	last.Close()
	half.Close()
	finals := map[string]string{}
	eventually(t, "the closes are heard of", func() bool {
		r.sampleNow(s)
		clear(finals)
		for _, cookie := range cookies {
			for _, row := range r.rows("SELECT bytes_sent, bytes_received FROM closed_sockets WHERE cookie = ?", cookie) {
				finals[names[cookie]] = fmt.Sprint(row["bytes_sent"], " ", row["bytes_received"])
			}
		}
		return len(finals) == len(cookies)
	})
	if diff := cmp.Diff(map[string]string{"half closed server": "207 100", "last ack server": "400 200", "closing client": "300 600"}, finals); diff != "" {
		t.Errorf("the final numbers (-want +got):\n%s", diff)
	}
	for _, row := range r.rows("SELECT cookie, ts, bytes_received, lag(bytes_received) OVER (PARTITION BY cookie ORDER BY ts) AS before FROM sockets WHERE proto = 'tcp'") {
		now, _ := row["bytes_received"].(int64)
		if before, _ := row["before"].(int64); now < before {
			t.Errorf("bytes_received of %s falls from %d to %d", names[row["cookie"].(int64)], before, now)
		}
	}
	total := int64(0)
	for _, n := range received {
		total += n
	}
	// Of the other three ends no sample knows when the FIN came.
	if got := r.rows("SELECT sum(bytes_received) AS n FROM traffic")[0]["n"].(int64); got < total || got > total+3 {
		t.Errorf("traffic says %d bytes received, want %d, and up to 3 for FINs", got, total)
	}
}

// state is the first word.
func state(row string) string {
	var word string
	fmt.Sscan(row, &word)
	return word
}

// A connection says since when it is in its state, other than ESTABLISHED and TIME_WAIT: the first sample that saw it there. One that was in it when the recorder began does not. The
// oracle is the state in each sample.
func TestSinceWhenInAState(t *testing.T) {
	if !kerneltest.InNetNS(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	pair := func() (client, server *net.TCPConn) {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		a, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close(); a.Close() })
		return c.(*net.TCPConn), a.(*net.TCPConn)
	}
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	closedBefore, _ := pair()
	closedBefore.CloseWrite()
	takes := func(n int) {
		for range n {
			r.sample(s)
		}
	}
	takes(2)
	client, server := pair()
	takes(2)
	client.CloseWrite()
	takes(3)
	server.Write(make([]byte, 1000)) // what it moves does not matter
	takes(2)
	server.Close()
	takes(3)
	_, second := pair()
	second.CloseWrite() // no sample has seen it open
	takes(2)

	type stretch struct {
		state string
		since any
	}
	first := r.rows("SELECT min(ts) AS ts FROM samples")[0]["ts"].(float64)
	now := map[any]stretch{}
	counted := map[string]int{}
	for _, row := range r.rows("SELECT ts, cookie, state, state_since FROM sockets WHERE proto = 'tcp' ORDER BY ts") {
		ts, state := row["ts"].(float64), row["state"].(string)
		was := now[row["cookie"]]
		if was.state != state {
			was = stretch{state: state, since: ts}
			if ts == first || slices.Contains([]string{"ESTABLISHED", "LISTEN", "TIME_WAIT", "CLOSE"}, state) {
				was.since = nil
			}
			now[row["cookie"]] = was
		}
		if row["state_since"] != was.since {
			t.Errorf("%+v, want %v", row, was.since)
		}
		counted[fmt.Sprint(state, " ", was.since != nil)]++
	}
	for _, want := range []string{"FIN_WAIT2 true", "CLOSE_WAIT true", "CLOSE_WAIT false", "ESTABLISHED false", "TIME_WAIT false", "LISTEN false"} {
		if counted[want] == 0 {
			t.Errorf("none is %s: %v", want, counted)
		}
	}
}
