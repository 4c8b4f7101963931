package recorder

import (
	"context"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
)

// Of a kind of which the kernel tells of no single socket, none is said to be gone, and the kernel is not asked: there is nothing here to ask it with.
func TestNotGoneWhereNoneIsAsked(t *testing.T) {
	t.Parallel()
	for _, af := range []uint8{unix.AF_PACKET, unix.AF_NETLINK, unix.AF_VSOCK, unix.AF_XDP} {
		e := &socket{}
		e.Rec.Cookie = 7
		s := &sockets{protocols: []*protocol{{af: af, known: map[uint64]*socket{7: e}}}}
		if s.isGone(t.Context(), &e.Held) {
			t.Errorf("a socket of family %d is gone", af)
		}
	}
}

// The kernel says of every kind of socket that a dump has shown whether it is still there, and when it is not its holder is not
// looked for everywhere.
func TestClosedSinceTheDump(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l4, l6 := listen(t, "tcp4", "127.0.0.1:0"), listen(t, "tcp6", "[::1]:0")
	c4, s4 := tcpPair(t, l4)
	c6, s6 := tcpPair(t, l6)
	both := listen(t, "tcp", ":0")
	_, port, _ := net.SplitHostPort(both.Addr().String())
	mapped, err := net.Dial("tcp4", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	mappedServer, err := both.Accept()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	connected, err := net.Dial("udp4", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	holding := os.NewFile(uintptr(pair[0]), "held")
	defer unix.Close(pair[1])

	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	r.sample(s)
	bySocket := map[int64]*socket{}
	for _, p := range s.protocols {
		for cookie, e := range p.known {
			bySocket[int64(cookie)] = e
		}
	}
	// Servers are closed first, so that clients go without TIME_WAIT, and the other way round for IPv6.
	for _, c := range []struct {
		name   string
		socket interface{ Close() error }
	}{
		{"server", s4}, {"client", c4}, {"client of IPv6", c6}, {"server of IPv6", s6},
		{"server, IPv4 mapped", mappedServer}, {"client of that", mapped},
		{"connected udp", connected}, {"udp", udp}, {"listener", l4}, {"listener of IPv6", l6}, {"listener of both", both}, {"unix", holding},
	} {
		e := bySocket[cookieOf(t, c.socket)]
		if e == nil {
			t.Errorf("%s: not in the dump", c.name)
			continue
		}
		if s.isGone(t.Context(), &e.Held) {
			t.Errorf("%s: gone, and it is open", c.name)
		}
		if err := c.socket.Close(); err != nil {
			t.Fatal(err)
		}
		if c.name == "udp" || c.name == "listener of both" || c.name == "unix" {
			until(t, "close of "+c.name, func() bool { return s.isGone(t.Context(), &e.Held) })
		} else if !s.isGone(t.Context(), &e.Held) {
			t.Errorf("%s: not gone, and it is closed", c.name)
		}
	}

	// For a socket that was closed after the dump nobody is looked at who was not anyway. Of many sockets not all are
	// verified in each sample; they are when one cannot be found.
	s.owners.Budget, s.owners.Small = 0, 0
	for range 4 {
		many, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(many[0])
		defer unix.Close(many[1])
	}
	r.sample(s)
	for _, c := range []struct {
		name string
		ask  func(context.Context, *owners.Held) bool
		all  bool
	}{{"not asked", nil, true}, {"asked", s.isGone, false}} {
		s.owners.Gone, s.owners.Round = c.ask, time.Time{}
		short := listen(t, "tcp4", "127.0.0.1:0")
		r.sample(sourceFunc(func(ctx context.Context) {
			s.gen++
			s.owners.Gen, s.owners.FirstDump = s.gen, s.dumps+1
			for _, p := range s.protocols {
				if err := s.dump(ctx, p); err != nil {
					t.Error(err)
				}
			}
			short.Close()
			s.owners.Look(ctx) // which may say that it does not see all processes of the machine
		}))
		if all := !s.owners.Round.IsZero(); all != c.all {
			t.Errorf("%s: all places verified for a closed socket: %v, want %v", c.name, all, c.all)
		}
	}
}

type sourceFunc func(context.Context)

func (f sourceFunc) read(ctx context.Context) { f(ctx) }
