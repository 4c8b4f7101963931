package recorder

import (
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// What connections move is summed up exactly once: of those that live over many samples, of those that live between two, kept
// one by one or beyond the budget, and not what they had moved before anybody looked. The oracle is what the test has sent.
func TestTrafficIsSummedUpOnce(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	for seed := range uint64(3) {
		trafficOnce(t, seed, []int{1000, MinCloseBudget, 4}[seed])
	}
}

func trafficOnce(t *testing.T, seed uint64, budget int) {
	loopback(t)
	random := rand.New(rand.NewPCG(seed, 11))
	r := newRecording(t)
	s := hearing(t, r, budget)
	t.Cleanup(s.close)
	l := listen(t, "tcp4", "127.0.0.1:0")

	type pair struct{ client, server net.Conn }
	var pairs []pair
	sent, opened, closed, told := int64(0), 0, 0, 0
	say := func(from, to net.Conn) {
		n := 1 + random.IntN(30_000)
		if _, err := from.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
		sent += int64(n)
	}
	open := func() pair {
		client, server := tcpPair(t, l)
		opened++
		return pair{client, server}
	}
	shut := func(p pair) {
		p.client.Close()
		io.ReadAll(p.server)
		p.server.Close()
		closed += 2
	}
	old := open()
	say(old.client, old.server)
	r.sampleNow(s)
	sent = 0 // nobody saw that

	for range 12 {
		for range random.IntN(8) {
			switch {
			case random.IntN(3) == 0 || len(pairs) == 0:
				pairs = append(pairs, open())
			case random.IntN(3) == 0:
				i := random.IntN(len(pairs))
				shut(pairs[i])
				pairs = append(pairs[:i], pairs[i+1:]...)
			default:
				p := pairs[random.IntN(len(pairs))]
				say(p.client, p.server)
				say(p.server, p.client)
			}
		}
		for range random.IntN(5) { // short ones
			p := open()
			say(p.client, p.server)
			shut(p)
		}
		say(old.server, old.client)
		// Samples follow each other faster here than closes may be late.
		heard(t, s, closed-told)
		told = closed
		r.sampleNow(s)
	}
	got := r.rows("SELECT sum(bytes_sent) AS sent, sum(bytes_received) AS received, sum(closed) AS closed, min(bytes_sent) AS least FROM traffic")[0]
	// The kernel counts each FIN as a byte received.
	received := got["received"].(int64)
	if got["sent"] != sent || received < sent || received > sent+int64(2*opened) || got["closed"] != int64(closed) {
		t.Errorf("seed %d: %v; want %d bytes sent, as many received, and up to %d for the FINs, and %d closed", seed, got, sent, 2*opened, closed)
	}
	if top := r.rows("SELECT sum(bytes_sent) AS sent, sum(bytes_received) AS received, sum(closed) AS closed FROM top_talkers")[0]; top["sent"] != got["sent"] ||
		top["received"] != got["received"] || top["closed"] != got["closed"] {
		t.Errorf("seed %d: top_talkers says %v, traffic %v", seed, top, got)
	}
	if n := r.rows("SELECT count(*) AS n FROM top_talkers WHERE pid IS NOT NULL")[0]["n"]; n != int64(1) {
		t.Errorf("seed %d: top_talkers has %v rows of one process", seed, n)
	}
	// Of the client's ends that no sample saw nobody is known; all else is ours.
	for _, row := range r.rows("SELECT pid, comm, sum(bytes_sent) AS sent FROM traffic GROUP BY pid ORDER BY sent DESC LIMIT 1") {
		if row["pid"] != int64(os.Getpid()) {
			t.Errorf("seed %d: most was sent by %v", seed, row)
		}
	}
	if got := r.rows("SELECT count(*) AS n FROM sources WHERE source = 'traffic' AND outcome <> 'read'")[0]["n"]; got != int64(0) {
		t.Errorf("seed %d: traffic was not read %v times", seed, got)
	}
	if n := r.rows("SELECT count(*) AS n FROM traffic WHERE ts = (SELECT min(ts) FROM samples) AND bytes_sent + bytes_received > 0")[0]["n"]; n != int64(0) {
		t.Errorf("seed %d: the first sample says that something was moved: nobody looked before", seed)
	}
	r.anHourLater()
	peers := r.rows("SELECT sum(bytes_sent) AS sent, sum(bytes_received) AS received, sum(connections) AS n, sum(opened) AS opened, sum(failed) AS failed FROM peers_1h")[0]
	if peers["sent"] != got["sent"] || peers["received"] != got["received"] || seed == 0 /* others find the TIME_WAIT of the one before */ && peers["n"] != int64(2*opened) || peers["opened"] != int64(2*opened-2) || peers["failed"] != int64(0) {
		t.Errorf("seed %d: peers_1h says %v, traffic %v, and %d connections were made", seed, peers, got, opened)
	}
	ends := r.rows("SELECT DISTINCT remote_addr, port, direction FROM peers_1h ORDER BY direction")
	want := []map[string]any{
		{"remote_addr": "127.0.0.1", "port": int64(l.Addr().(*net.TCPAddr).Port), "direction": "in"},
		{"remote_addr": "127.0.0.1", "port": int64(l.Addr().(*net.TCPAddr).Port), "direction": "out"},
	}
	if diff := cmp.Diff(want, ends); diff != "" && seed == 0 {
		t.Errorf("seed %d: peers (- want, + got):\n%s", seed, diff)
	}
}

// anHourLater takes a sample without any source, and lets the recording sum up what was before it.
func (r *testRecording) anHourLater() {
	r.t.Helper()
	clock, err := readClock()
	if err != nil {
		r.t.Fatal(err)
	}
	clock.Wall, clock.Uptime, clock.Awake = clock.Wall.Add(time.Hour), clock.Uptime+time.Hour, clock.Awake+time.Hour
	r.Begin(clock)
	if err := r.Commit(r.t.Context(), store.Cost{}); err != nil {
		r.t.Fatal(err)
	}
	for more := true; more; {
		if more, err = r.Tidy(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// Connections that never came about are counted as such in peers, also where only sums of them are kept.
func TestPeersThatRefuse(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	for _, budget := range []int{1000, 1} {
		r := newRecording(t)
		s := hearing(t, r, budget)
		r.sampleNow(s)
		const n = 20
		for range n {
			if c, err := net.Dial("tcp", "127.0.0.1:1"); err == nil {
				c.Close()
				t.Fatal("port 1 accepts a connection")
			}
		}
		heard(t, s, n)
		r.sampleNow(s)
		r.anHourLater()
		got := r.rows("SELECT remote_addr, port, direction, connections, opened, failed, bytes_sent, bytes_received FROM peers_1h")
		want := []map[string]any{{"remote_addr": "127.0.0.1", "port": int64(1), "direction": "out", "connections": int64(n), "opened": int64(n), "failed": int64(n), "bytes_sent": int64(0), "bytes_received": int64(0)}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a budget of %d (- want, + got):\n%s", budget, diff)
		}
		s.close()
	}
}
