package recorder

import (
	"fmt"
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
)

// Two sockets of one link-local address and port are told apart by the interface, whose name and index the kernel's own tools have.
func TestLinkLocalSocketsNameTheirInterface(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	index := map[string]int64{}
	for _, dev := range []string{"left0", "right0"} {
		kerneltest.Command(t, "ip", "link", "add", dev, "type", "veth", "peer", "name", dev+"p")
		kerneltest.Command(t, "ip", "link", "set", dev+"p", "up")
		kerneltest.Command(t, "ip", "link", "set", dev, "up")
		kerneltest.Command(t, "ip", "addr", "add", "fe80::1/64", "dev", dev, "nodad")
		link, err := net.InterfaceByName(dev)
		if err != nil {
			t.Fatal(err)
		}
		index[dev] = int64(link.Index)
	}
	const address = "[fe80::1%%%s]:7000"
	type end struct {
		view, dev string
		index     any
	}
	want := map[int64]end{}
	for dev := range index {
		l := listen(t, "tcp6", fmt.Sprintf(address, dev))
		u, err := net.ListenPacket("udp6", fmt.Sprintf(address, dev))
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		c, s := tcpPair(t, l)
		for _, socket := range []any{l, u} {
			want[cookieOf(t, socket)] = end{"listeners", dev, index[dev]}
		}
		for _, socket := range []any{c, s} {
			want[cookieOf(t, socket)] = end{"connections", dev, index[dev]}
		}
	}
	everywhere := listen(t, "tcp6", "[::]:7001")
	c, s := tcpPair(t, everywhere)
	want[cookieOf(t, everywhere)] = end{view: "listeners"}
	want[cookieOf(t, c)], want[cookieOf(t, s)] = end{view: "connections"}, end{view: "connections"}

	// What ss says of those with a scope: [fe80::1]%left0:7000.
	for cookie, line := range ss(t, "-taune") {
		if got := ssWord(line.local, `%(\w+):`); got != want[cookie].dev {
			t.Errorf("ss says %q of socket %d, which is of %q", line.local, cookie, want[cookie].dev)
		}
	}
	r := newRecording(t)
	interfaces, sockets := newInterfaces(r.Writer, here(t)), newSockets(r.Writer, here(t))
	r.sample(interfaces, sockets)
	check := func(when string) {
		t.Helper()
		got := map[int64]end{}
		for _, view := range []string{"listeners", "connections"} {
			for _, row := range r.rows("SELECT cookie, coalesce(dev, '') AS dev, ifindex FROM " + view) {
				got[row["cookie"].(int64)] = end{view, row["dev"].(string), row["ifindex"]}
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(end{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("while they are there")
	// What is there still has the name that the interface has now, if it is there, and what was closed the name that it had then.
	closed := listen(t, "tcp6", fmt.Sprintf("[fe80::1%%%s]:7002", "right0"))
	want[cookieOf(t, closed)] = end{"listeners", "right0", index["right0"]}
	r.sample(interfaces, sockets)
	check("with one more")
	gone := cookieOf(t, closed)
	closed.Close()
	kerneltest.Command(t, "ip", "link", "del", "left0")
	kerneltest.Command(t, "ip", "link", "set", "right0", "down")
	kerneltest.Command(t, "ip", "link", "set", "right0", "name", "renamed0")
	for cookie, e := range want {
		if cookie != gone {
			e.dev = map[string]string{"right0": "renamed0"}[e.dev]
			want[cookie] = e
		}
	}
	r.sample(interfaces, sockets)
	check("after one interface went and the other was renamed")
}

// An IPv6 socket that speaks IPv4 has the addresses that the IPv4 socket at the other end has: both join, in every table.
func TestBothEndsOfADualStackConnectionJoin(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	both := listen(t, "tcp", ":0")
	_, port, _ := net.SplitHostPort(both.Addr().String())
	connect := func() (client, server net.Conn) {
		t.Helper()
		client, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { client.Close() })
		if server, err = both.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { server.Close() })
		return client, server
	}
	u, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()

	r := newRecording(t)
	s := hearing(t, r, 100)
	c, served := connect()
	r.sampleNow(s)
	want := []map[string]any{
		{"a": cookieOf(t, c), "b": cookieOf(t, served), "a_family": int64(4), "b_family": int64(6), "addr": "127.0.0.1"},
	}
	const join = `SELECT a.cookie AS a, b.cookie AS b, a.family AS a_family, b.family AS b_family, a.local_addr AS addr
		FROM %[1]s a JOIN %[1]s b ON b.netns = a.netns AND b.proto = a.proto AND b.local_addr = a.remote_addr AND b.local_port = a.remote_port
		 AND b.remote_addr = a.local_addr AND b.remote_port = a.local_port
		WHERE a.family = 4`
	for _, table := range []string{"sockets_now", "connections"} {
		if diff := cmp.Diff(want, r.rows(fmt.Sprintf(join, table))); diff != "" {
			t.Errorf("both ends in %s (-want +got):\n%s", table, diff)
		}
	}
	if got := r.rows("SELECT local_addr, family FROM listeners ORDER BY proto"); !cmp.Equal(got, []map[string]any{
		{"local_addr": "::", "family": int64(6)}, {"local_addr": "::", "family": int64(6)},
	}) {
		t.Errorf("what listens on every address: %v", got)
	}

	// And one that lived between two samples.
	short, accepted := connect()
	want = append(want, map[string]any{"a": cookieOf(t, short), "b": cookieOf(t, accepted), "a_family": int64(4), "b_family": int64(6), "addr": "127.0.0.1"})
	short.Close()
	accepted.Close()
	heard(t, s, 2)
	r.sampleNow(s)
	if diff := cmp.Diff(want, r.rows(fmt.Sprintf(join, "connections")+" ORDER BY a.opened")); diff != "" {
		t.Errorf("both ends in connections, with one that no sample saw (-want +got):\n%s", diff)
	}
}
