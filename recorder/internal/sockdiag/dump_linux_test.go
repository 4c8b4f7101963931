package sockdiag

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
	"netsql/recorder/kerneltest"
)

// answer is a netlink message, padded as the kernel pads it.
func answer(kind, flags uint16, seq uint32, payload ...byte) []byte {
	b := words(uint32(16 + len(payload)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(append(b, words(seq, 4242)...), payload...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func TestEachMessage(t *testing.T) {
	t.Parallel()
	const multi, torn = unix.NLM_F_MULTI, unix.NLM_F_MULTI | unix.NLM_F_DUMP_INTR
	errno := func(n syscall.Errno) []byte { return words(uint32(-int32(n))) }
	length := func(n uint32, b []byte) []byte { return append(words(n), b[4:]...) }
	a, done := answer(20, multi, 7, 'a'), answer(3, multi, 7, 0, 0, 0, 0)
	stop := errors.New("stop")
	for _, c := range []struct {
		name       string
		parts      [][]byte
		want       string // kind and payload of each
		count      int
		done, torn bool
		err        error // nil: none
	}{
		{name: "nothing"},
		{name: "less than a header", parts: [][]byte{a[:15]}},
		{name: "a header alone", parts: [][]byte{answer(20, multi, 7)}, want: "20:|", count: 1},
		{name: "exactly long enough", parts: [][]byte{a[:17]}, want: "20:a|", count: 1},
		{name: "one byte short", parts: [][]byte{a[:16]}, err: errAny},
		{name: "shorter than its header", parts: [][]byte{length(15, a)}, err: errAny},
		{name: "of length 0", parts: [][]byte{length(0, a)}, err: errAny},
		{name: "a good one, then a short one", parts: [][]byte{a, length(21, a)}, want: "20:a|", count: 1, err: errAny},
		{name: "two and the end", parts: [][]byte{a, answer(18, multi, 7, 'b', 'c', 'd', 'e'), done}, want: "20:a|18:bcde|", count: 2, done: true},
		{name: "what comes after the end", parts: [][]byte{done, a}, done: true},
		{name: "an end without a number", parts: [][]byte{answer(3, multi, 7)}, done: true},
		{name: "an end with a number one byte short", parts: [][]byte{answer(3, multi, 7, 1, 1, 1)}, done: true},
		{name: "an end that failed", parts: [][]byte{a, answer(3, multi, 7, errno(unix.ENOENT)...)}, want: "20:a|", count: 1, done: true, err: unix.ENOENT},
		{name: "an acknowledgement", parts: [][]byte{answer(2, 0, 7, words(0, 1, 2)...)}, done: true},
		{name: "an error", parts: [][]byte{answer(2, 0, 7, errno(unix.EINVAL)...)}, done: true, err: unix.EINVAL},
		{name: "kinds of netlink itself", parts: [][]byte{answer(1, 0, 7), answer(4, 0, 7), answer(15, 0, 7)}},
		{name: "the first other kind", parts: [][]byte{answer(16, 0, 7)}, want: "16:|", count: 1},
		{name: "the rest of another dump", parts: [][]byte{answer(20, torn, 6, 'x'), answer(3, torn, 6, errno(unix.EPERM)...), a}, want: "20:a|", count: 1},
		{name: "torn", parts: [][]byte{a, answer(20, torn, 7, 'b'), a}, want: "20:a|20:b|20:a|", count: 3, torn: true},
		{name: "torn at the end", parts: [][]byte{answer(3, torn, 7, 0, 0, 0, 0)}, done: true, torn: true},
		{name: "a reader that stops", parts: [][]byte{answer(20, torn, 7, 'b'), answer(20, multi, 7, '!'), a}, want: "20:b|", count: 2, torn: true, err: stop},
	} {
		var got strings.Builder
		count, done, torn, err := eachMessage(bytes.Join(c.parts, nil), 7, func(kind uint16, payload []byte) error {
			if string(payload) == "!" {
				return stop
			}
			fmt.Fprintf(&got, "%d:%s|", kind, payload)
			return nil
		})
		right := errors.Is(err, c.err) || c.err == errAny && err != nil
		if got.String() != c.want || count != c.count || done != c.done || torn != c.torn || !right {
			t.Errorf("%s: got %q, %d, done %v, torn %v, %v\nwant %q, %d, done %v, torn %v, %v",
				c.name, got.String(), count, done, torn, err, c.want, c.count, c.done, c.torn, c.err)
		}
	}
}

var errAny = errors.New("any error")

// soon is a context that ends a test which would wait for ever.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// needDiag skips the test where the kernel has no sock_diag.
func needDiag(t *testing.T) *Conn {
	t.Helper()
	socket, err := nl.Subscribe(unix.NETLINK_INET_DIAG)
	if err != nil {
		kerneltest.NeedKernel(t, "no sock_diag here: "+err.Error())
	}
	socket.Close()
	d := New()
	t.Cleanup(d.Close)
	return d
}

// listener is a TCP socket of which everything is known but what the kernel makes up.
func listener(t *testing.T) (port uint16) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		kerneltest.NeedKernel(t, "no loopback here: "+err.Error())
	}
	t.Cleanup(func() { l.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

// find dumps until the kernel calls the dump consistent, and returns the listener of that port.
func find(t *testing.T, d *Conn, request func() *nl.NetlinkRequest, port uint16) (found []Record, messages, size int) {
	t.Helper()
	for try := 1; ; try++ {
		found, messages, size = nil, 0, 0
		err := d.Dump(soon(t), request(), func(msg []byte) error {
			messages, size = messages+1, size+(16+len(msg)+3)/4*4
			r, err := DecodeInet(msg)
			if r.SPort == port && r.Family == unix.AF_INET && r.State == 10 {
				found = append(found, r)
			}
			return err
		})
		if errors.Is(err, nl.ErrDumpInterrupted) && try < 10 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return found, messages, size
	}
}

func TestDumpFindsAListener(t *testing.T) {
	t.Parallel()
	d := needDiag(t)
	port := listener(t)
	var told bytes.Buffer
	logs, err := debuglog.Parse("netlink", &told)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		log     *debuglog.Log
		request func() *nl.NetlinkRequest
	}{
		{"both families", nil, TCPRequest{1 << 10}.Message},
		{"both families, told", logs.Netlink, TCPRequest{1 << 10}.Message},
		{"IPv4, told", logs.Netlink, InetRequest{unix.AF_INET, unix.IPPROTO_TCP}.Message},
	} {
		told.Reset()
		d.Log = c.log
		begun := kernel.SinceBoot()
		before := d.Socket
		found, messages, size := find(t, d, c.request, port)
		if len(found) != 1 || found[0].Src != [16]byte{127, 0, 0, 1} || found[0].Inode == 0 || found[0].Cookie == 0 {
			t.Errorf("%s: got %+v, want one listener at port %d", c.name, found, port)
		}
		if ended := kernel.SinceBoot(); d.Filled < begun || d.Filled > ended {
			t.Errorf("%s: filled at %v, which is not between %v and %v", c.name, d.Filled, begun, ended)
		}
		if d.Socket == nil || before != nil && d.Socket != before {
			t.Errorf("%s: the socket was not kept", c.name)
		}
		if c.log == nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(told.String()), "\n")
		last, asked := lines[len(lines)-1], lines[max(len(lines)-2, 0)]
		var seq, gotMessages, gotSize int
		if _, err := fmt.Sscanf(last, "netsql: netlink: answer to seq %d: %d messages in %d bytes,", &seq, &gotMessages, &gotSize); err != nil ||
			gotMessages != messages || gotSize != size+20 || !strings.HasSuffix(last, ": complete") {
			t.Errorf("%s: told %q, want %d messages in %d bytes and 20 of the end, %v", c.name, last, messages, size, err)
		}
		if !strings.Contains(asked, "request of type ") || !strings.HasSuffix(asked, fmt.Sprintf("flags 0x301, seq %d", seq)) {
			t.Errorf("%s: told %q, want the request of seq %d", c.name, asked, seq)
		}
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	d := needDiag(t)
	none := func(msg []byte) error { return fmt.Errorf("a message of %d bytes", len(msg)) }
	if err := d.Ask(soon(t), UnixRequest{}.Message(), none); err != unix.EBADF || d.Socket != nil {
		t.Errorf("before a dump: %v, want %v", err, unix.EBADF)
	}
	found, _, _ := find(t, d, TCPRequest{1 << 10}.Message, listener(t))
	if len(found) != 1 {
		t.Fatalf("found %+v", found)
	}
	var got []Record
	err := d.Ask(soon(t), ExactInet(unix.IPPROTO_TCP, &found[0]), func(msg []byte) error {
		r, err := DecodeInet(msg)
		got = append(got, r)
		return err
	})
	if err != nil || len(got) != 1 || !got[0].SameName(&found[0]) || got[0].Cookie != found[0].Cookie {
		t.Errorf("got %+v, %v\nwant %+v", got, err, found[0])
	}
	other := found[0]
	other.Cookie++
	var errno syscall.Errno
	if err := d.Ask(soon(t), ExactInet(unix.IPPROTO_TCP, &other), none); !errors.As(err, &errno) {
		t.Errorf("another cookie: %v, want an error number", err)
	}
}

func TestDumpGivesUp(t *testing.T) {
	t.Parallel()
	listener(t)
	stop := errors.New("stop")
	for _, c := range []struct {
		name   string
		change func(d *Conn) context.Context
		each   error
		want   string
	}{
		{"a reader that stops", func(*Conn) context.Context { return soon(t) }, stop, "stop"},
		{"a buffer too small", func(d *Conn) context.Context { d.Buf = make([]byte, 24); return soon(t) }, nil, "an answer longer than 24 bytes"},
		{"a context that is over", func(*Conn) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}, nil, context.Canceled.Error()},
	} {
		d := needDiag(t)
		var told bytes.Buffer
		logs, _ := debuglog.Parse("netlink", &told)
		d.Log = logs.Netlink
		err := d.Dump(c.change(d), TCPRequest{1 << 10}.Message(), func([]byte) error { return c.each })
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
		if d.Socket != nil {
			t.Errorf("%s: the socket with the rest of the dump was kept", c.name)
		}
		if !strings.HasSuffix(told.String(), ": "+c.want+"\n") {
			t.Errorf("%s: told %q", c.name, told.String())
		}
		d.Close() // a second time is no mistake
	}
}

// TestDumpInstead: a test that tells the messages itself needs no kernel.
func TestDumpInstead(t *testing.T) {
	t.Parallel()
	d := New()
	d.Instead = func(each func([]byte) error) error { return each([]byte("instead")) }
	var got string
	err := d.Dump(t.Context(), UnixRequest{}.Message(), func(msg []byte) error { got = string(msg); return errAny })
	if got != "instead" || err != errAny || d.Socket != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// lateContext is over when it is asked the second time, which is after one look for an answer.
type lateContext struct {
	context.Context
	asked atomic.Int32
}

func (c *lateContext) Err() error {
	if c.asked.Add(1) > 1 {
		return context.Canceled
	}
	return nil
}

// TestNoAnswerYet: where nothing has come, the reader waits a little and asks again whether it shall go on.
func TestNoAnswerYet(t *testing.T) {
	t.Parallel()
	d := needDiag(t)
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	ctx := &lateContext{Context: t.Context()}
	err := d.Receive(ctx, 1, func(uint16, []byte) error { return errAny })
	if err != context.Canceled || ctx.asked.Load() != 2 {
		t.Errorf("got %v after %d questions, want %v after 2", err, ctx.asked.Load(), context.Canceled)
	}
}
