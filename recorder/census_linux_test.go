package recorder

import (
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// Where the kernel counts no socket none is asked for, where there are only listeners only these, and whatever is made is in the
// next sample, to the last kind. The oracle is what the test makes.
func TestNothingIsDumpedWhereThereIsNothing(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	scopes := func() string {
		var all string
		for _, p := range s.protocols {
			if p.first == nil {
				all += fmt.Sprintf("%s %s, ", p.name, []string{"whole", "listeners", "none"}[s.scopeOf(p)])
			}
		}
		return all
	}
	here := "SELECT count(*) AS n FROM sockets_now WHERE "
	shows := func(what, where string, n int) {
		t.Helper()
		if got := r.rows(here + where)[0]["n"]; got != int64(n) {
			t.Errorf("%s: %v sockets where %s, want %d; asked for was %s", what, got, where, n, scopes())
		}
	}
	joined, err := multicast(unix.NETLINK_ROUTE, 1, unix.RTNLGRP_LINK) // one of the recorder, of which a dump tells twice
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(joined)
	r.sample(s) // looks for bound ones
	r.sample(s)
	const none = "tcp4 none, udp4 none, raw4 none, udplite4 none, udp6 none, raw6 none, udplite6 none, unix none, packet none, netlink none, "
	if got := scopes(); got != none {
		t.Errorf("of an empty namespace is asked: %s", got)
	}
	shows("an empty namespace", "1", 0)
	for _, row := range r.rows("SELECT source, outcome, rows FROM sources_now WHERE source IN ('tcp4', 'tcp6', 'udp4', 'udp6', 'raw4', 'raw6', 'udplite4', 'udplite6', 'packet', 'unix', 'netlink')") {
		if row["outcome"] != "read" || row["rows"] != int64(0) {
			t.Errorf("%v", row)
		}
	}

	raw := func(family, protocol int) func() {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			t.Fatal(err)
		}
		return func() { unix.Close(fd) }
	}
	packet := func(network, address string) func() {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		return func() { c.Close() }
	}
	for _, c := range []struct {
		what, where string
		make        func() func()
	}{
		{"tcp of IPv4", "proto = 'tcp' AND state = 'LISTEN' AND family = 4", func() func() { l := listen(t, "tcp4", "127.0.0.1:0"); return func() { l.Close() } }},
		{"tcp of IPv6", "proto = 'tcp' AND state = 'LISTEN' AND family = 6", func() func() { l := listen(t, "tcp6", "[::1]:0"); return func() { l.Close() } }},
		{"udp of IPv4", "proto = 'udp' AND family = 4", func() func() { return packet("udp4", "127.0.0.1:0") }},
		{"udp of IPv6", "proto = 'udp' AND family = 6", func() func() { return packet("udp6", "[::1]:0") }},
		{"raw of IPv4", "proto = 'raw' AND family = 4", func() func() { return raw(unix.AF_INET, unix.IPPROTO_ICMP) }},
		{"raw of IPv6", "proto = 'raw' AND family = 6", func() func() { return raw(unix.AF_INET6, unix.IPPROTO_ICMPV6) }},
		{"unix stream", "proto = 'unix' AND type = 'stream'", func() func() {
			l := listen(t, "unix", filepath.Join(t.TempDir(), "s"))
			return func() { l.Close() }
		}},
		{"unix datagram", "proto = 'unix' AND type = 'dgram'", func() func() { return packet("unixgram", filepath.Join(t.TempDir(), "d")) }},
	} {
		end := c.make()
		r.sample(s)
		shows(c.what, c.where, 1)
		shows(c.what, "1", 1)
		r.sample(s)
		shows(c.what+", once more", "1", 1)
		end()
		r.sample(s)
		shows(c.what+", closed", "1", 0)
		r.sample(s) // a listener that is gone is looked for among the bound ones, once
		if got := scopes(); got != none {
			t.Errorf("%s, closed: asked is %s", c.what, got)
		}
	}

	// A listener, which is all there is, then with a connection, then that in TIME_WAIT, without and with the listener, then the
	// listener's place taken.
	l := listen(t, "tcp4", "127.0.0.1:0")
	r.sample(s)
	r.sample(s)
	if got := scopes(); got[:len("tcp4 listeners")] != "tcp4 listeners" {
		t.Errorf("of a listener alone is asked: %s", got)
	}
	shows("a listener", "state = 'LISTEN'", 1)
	client, server := tcpPair(t, l)
	r.sample(s)
	shows("a connection", "state = 'ESTABLISHED'", 2)
	shows("a connection", "1", 3)
	client.Close()
	server.Close()
	r.sample(s)
	shows("a connection that ended", "state = 'TIME_WAIT'", 1)
	shows("a connection that ended", "1", 2)
	client, server = tcpPair(t, l)
	l.Close()
	r.sample(s)
	shows("a listener is closed, and its connection is there", "state = 'ESTABLISHED'", 2)
	client.Close()
	server.Close()
	r.sample(s)
	shows("only TIME_WAIT", "state = 'TIME_WAIT'", 2)
	shows("only TIME_WAIT", "1", 2)
}

// As many sockets as there were listeners, but one of them is a connection now: both are shown.
func TestAListenerGivesWayToAConnection(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	a, b, c := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0"), listen(t, "tcp4", "127.0.0.1:0")
	defer a.Close()
	r.sample(s)
	r.sample(s)
	if got := s.scopeOf(s.protocols[0]); got != listenersDump {
		t.Fatalf("three listeners: scope %d", got)
	}
	client, server := tcpPair(t, a)
	defer client.Close()
	defer server.Close()
	b.Close()
	c.Close()
	r.sample(s)
	if got := r.rows("SELECT sum(state = 'LISTEN') AS l, sum(state = 'ESTABLISHED') AS e, count(*) AS n FROM sockets_now")[0]; got["l"] != int64(1) || got["e"] != int64(2) || got["n"] != int64(3) {
		t.Errorf("a listener and a connection: %v", got)
	}
}

// A rare kind is begun by the counts of the sample under way alone: others may be of a sample in which the namespace could not be entered.
func TestRareKindsByTheCountsOfTheSample(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	p := s.protocols[0]
	s.gen = 5
	before := len(s.protocols)
	for _, c := range []struct {
		gen   uint32
		known bool
		more  int
	}{{4, true, 0}, {6, true, 0}, {5, false, 0}, {5, true, 1}} {
		p.census = &census{counts: map[string]int{"PING": 1}, known: c.known, gen: c.gen}
		s.addRare(t.Context(), p)
		if more := len(s.protocols) - before; more != c.more {
			t.Errorf("by counts of sample %d (known: %v) in sample 5 %d kinds were begun, want %d", c.gen, c.known, more, c.more)
		}
	}
	s.addRare(t.Context(), p)
	if got := s.protocols[len(s.protocols)-1].name; got != "ping4" || len(s.protocols) != before+1 {
		t.Errorf("%d kinds were begun, the last %s", len(s.protocols)-before, got)
	}
}
