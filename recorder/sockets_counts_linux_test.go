package recorder

import (
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
)

// The groups of socket_counts are the sockets of the same sample, summed up: how many, what waits in their queues, and since when the oldest is seen in
// its state. SQL over the sockets themselves says so, in every sample of a time in which some come, move on and go.
func TestCountsAreSumsOfSockets(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	l := listen(t, "tcp4", "127.0.0.1:0")
	open := func() (client, server net.Conn) {
		t.Helper()
		client, err := net.Dial("tcp4", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err = l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close(); server.Close() })
		return client, server
	}
	var clients, servers []net.Conn
	for round := range 6 {
		for range 2 {
			c, v := open()
			clients, servers = append(clients, c), append(servers, v)
		}
		if _, err := clients[2*round+1].Write(make([]byte, 100+round)); err != nil { // nobody reads it
			t.Fatal(err)
		}
		switch round {
		case 2, 4:
			clients[round/2].Close() // the server's end waits in CLOSE_WAIT
		case 3:
			clients[4].Close()
			servers[4].Close()
		}
		until(t, "what was written", func() bool {
			for _, line := range ss(t, "-tane") {
				if line.sendQ > 0 && line.state == "ESTABLISHED" {
					return false
				}
			}
			return true
		})
		r.sample(s)
	}
	groups := func(query string) map[string]string {
		rows := map[string]string{}
		for _, row := range r.rows(query) {
			rows[fmt.Sprint(row["ts"], row["pid"], row["state"])] = fmt.Sprint(row["n"], row["recv_q"], row["send_q"], row["oldest"])
		}
		return rows
	}
	got := groups("SELECT ts, pid, state, count AS n, recv_q, send_q, CAST(oldest AS INTEGER) AS oldest FROM socket_counts WHERE proto = 'tcp'")
	want := groups(`SELECT a.ts, a.pid, a.state, count(*) AS n, sum(a.recv_q) AS recv_q, sum(a.send_q) AS send_q,
		min((SELECT CAST(min(b.ts) AS INTEGER) FROM sockets b WHERE b.cookie = a.cookie AND b.state = a.state)) AS oldest
		FROM sockets a WHERE a.proto = 'tcp' GROUP BY 1, 2, 3`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-sums of sockets +socket_counts):\n%s", diff)
	}
	numbers := "SELECT ts, pid, state, count AS n, NULL AS recv_q, NULL AS send_q, NULL AS oldest FROM %s WHERE proto = 'tcp'"
	if diff := cmp.Diff(groups(fmt.Sprintf(numbers, "socket_counts")), groups(fmt.Sprintf(numbers, "socket_trends"))); diff != "" {
		t.Errorf("(-socket_counts +socket_trends):\n%s", diff)
	}
	if ages := r.rows("SELECT count(DISTINCT oldest) AS n FROM socket_counts_now")[0]["n"].(int64); len(got) < 15 || ages < 2 {
		t.Errorf("%d groups, %d different ages in the last sample: too few to say anything", len(got), ages)
	}
}
