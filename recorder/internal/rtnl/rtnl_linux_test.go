package rtnl

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"net"
	"slices"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

func TestLinkName(t *testing.T) {
	t.Parallel()
	var r Conn
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		if got := r.linkName(int32(link.Index)); got != link.Name {
			t.Errorf("link %d is %q, want %q", link.Index, got, link.Name)
		}
	}
	names := LinkNames{Conn: &r, ByIndex: map[int32]string{}}
	if got := names.Of(1 << 30); got != "if1073741824" {
		t.Errorf("a link that is not there is %q", got)
	}
	if got := names.Of(0); got != "" {
		t.Errorf("no link is %q", got)
	}
	lo := all[slices.IndexFunc(all, func(l net.Interface) bool { return l.Flags&net.FlagLoopback != 0 })]
	same := LinkNames{Conn: &r, ByIndex: map[int32]string{int32(lo.Index): lo.Name}}
	if !same.Same() {
		t.Errorf("%s has another name", lo.Name)
	}
	if same.ByIndex[int32(lo.Index)] = "other"; same.Same() {
		t.Error("another name is the same")
	}
}

// TestDumpCanceled: a recorder that is to stop does not begin a dump.
func TestDumpCanceled(t *testing.T) {
	t.Parallel()
	var r Conn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDumpAfterError: the socket is usable, or opened again, after the kernel refused.
func TestDumpAfterError(t *testing.T) {
	t.Parallel()
	var r Conn
	if _, err := r.Dump(t.Context(), 0x7fff, 0, make([]byte, 16)); err == nil {
		t.Error("the kernel took a nonsense request")
	}
	got, err := r.Dump(t.Context(), unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil || len(got) == 0 {
		t.Errorf("%d links, %v", len(got), err)
	}
}

// TestInterruptedDump: a dump that changes keep interrupting is asked for four times, and what came last is what there is.
func TestInterruptedDump(t *testing.T) {
	t.Parallel()
	other := errors.New("other")
	for _, c := range []struct {
		name    string
		answers []error
		want    error
	}{
		{"at once", []error{nil}, nil},
		{"once interrupted", []error{nl.ErrDumpInterrupted, nil}, nil},
		{"three times", []error{nl.ErrDumpInterrupted, nl.ErrDumpInterrupted, nl.ErrDumpInterrupted, nil}, nil},
		{"always", []error{nl.ErrDumpInterrupted, nl.ErrDumpInterrupted, nl.ErrDumpInterrupted, nl.ErrDumpInterrupted}, nl.ErrDumpInterrupted},
		{"another error", []error{nl.ErrDumpInterrupted, other}, other},
	} {
		asked := 0
		got, err := again(t.Context(), func() ([][]byte, error) {
			if asked++; asked > len(c.answers) {
				t.Fatalf("%s: asked %d times", c.name, asked)
			}
			return make([][]byte, asked), c.answers[asked-1]
		})
		if !errors.Is(err, c.want) || asked != len(c.answers) || len(got) != asked {
			t.Errorf("%s: %d messages of asking %d times, %v", c.name, len(got), asked, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := again(ctx, func() ([][]byte, error) { cancel(); return nil, nl.ErrDumpInterrupted })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("canceled while it is asked: %v", err)
	}
}

// TestSocketIsKept: one socket is for all dumps, until an error or the end.
func TestSocketIsKept(t *testing.T) {
	t.Parallel()
	var r Conn
	ask := func() error {
		_, err := r.Dump(t.Context(), unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	first := r.Socket
	if err := ask(); err != nil || first == nil || r.Socket != first {
		t.Fatalf("another socket: %p, %p, %v", first, r.Socket, err)
	}
	if err := r.Open(); err != nil || r.Socket != first {
		t.Errorf("opened again: %v", err)
	}
	if _, err := r.Dump(t.Context(), 0x7fff, 0, make([]byte, 16)); err == nil || r.Socket != nil {
		t.Errorf("after an error (%v) the socket is %p", err, r.Socket)
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	last := r.Socket
	r.Close()
	r.Close() // no harm
	if err := last.Send(nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)); err == nil || r.Socket != nil {
		t.Errorf("closed, the socket %p can ask", last)
	}
	// A socket that is closed behind its back cannot ask, and is opened again.
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	r.Socket.Close()
	if err := ask(); err == nil || r.Socket != nil {
		t.Errorf("a closed socket asks: %v", err)
	}
	if err := ask(); err != nil {
		t.Error(err)
	}
	r.Close()
}

// TestPacked: messages stand beside each other, in rooms that grow to a megabyte, and stay what they were.
func TestPacked(t *testing.T) {
	t.Parallel()
	var p packed
	const count, size = 60_000, 68
	rooms, room := 0, 0
	for i := range count {
		msg := bytes.Repeat([]byte{byte(i)}, size)
		before := len(p.room)
		p.add(msg)
		clear(msg) // the buffer that it came in is read into again
		if grown := len(p.room) + size; before < size {
			if rooms++; grown < room || grown > 1<<20 {
				t.Fatalf("a room of %d bytes after one of %d", grown, room)
			}
			room = grown
		} else if len(p.room) != before-size {
			t.Fatalf("message %d takes %d bytes", i, before-len(p.room))
		}
	}
	if room != 1<<20 || rooms > 20 {
		t.Errorf("%d rooms, the last of %d bytes", rooms, room)
	}
	for i, msg := range p.messages {
		if len(msg) != size || cap(msg) != size || msg[0] != byte(i) || msg[size-1] != byte(i) {
			t.Fatalf("message %d is %v of %d", i, msg, cap(msg))
		}
	}
	// A message larger than any room has one of its own.
	big := bytes.Repeat([]byte{9}, 2<<20)
	p.add(big)
	if !bytes.Equal(p.messages[count], big) || len(p.room) != 0 {
		t.Errorf("a message of %d bytes has become %d, %d are left", len(big), len(p.messages[count]), len(p.room))
	}
	// One that just fits needs no other.
	p.room = make([]byte, size)
	p.add(make([]byte, size))
	if len(p.room) != 0 {
		t.Errorf("%d bytes are left of a room that is full", len(p.room))
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	type seen struct {
		kind  uint16
		value string
	}
	list := func(b []byte) (got []seen, err error) {
		err = Attributes(b, func(kind uint16, value []byte) error {
			got = append(got, seen{kind, string(value)})
			return nil
		})
		return got, err
	}
	empty := append(u16(4), u16(7)...)
	flagged := slices.Concat(u16(5), u16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER|8), []byte{'x'})
	for _, c := range []struct {
		name string
		b    []byte
		want []seen
		good bool
	}{
		{"nothing", nil, nil, true},
		{"one without a value", empty, []seen{{7, ""}}, true},
		{"two without", slices.Concat(empty, empty), []seen{{7, ""}, {7, ""}}, true},
		{"flags, and no padding", flagged, []seen{{8, "x"}}, true},
		{"padding", slices.Concat(flagged, make([]byte, 3), empty), []seen{{8, "x"}, {7, ""}}, true},
		{"half the padding", slices.Concat(flagged, make([]byte, 2)), []seen{{8, "x"}}, true},
		{"one byte", make([]byte, 1), nil, false},
		{"three bytes", make([]byte, 3), nil, false},
		{"four zeros", make([]byte, 4), nil, false},
		{"three bytes after one", slices.Concat(empty, make([]byte, 3)), []seen{{7, ""}}, false},
		{"one byte after padding", slices.Concat(flagged, make([]byte, 4)), []seen{{8, "x"}}, false},
		{"too small a length", append(u16(3), u16(7)...), nil, false},
		{"too large a length", append(u16(5), u16(7)...), nil, false},
	} {
		got, err := list(c.b)
		if !slices.Equal(got, c.want) || (err == nil) != c.good {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	// The first error ends it.
	other, visits := errors.New("other"), 0
	err := Attributes(slices.Concat(empty, empty), func(uint16, []byte) error { visits++; return other })
	if !errors.Is(err, other) || visits != 1 {
		t.Errorf("%d visits, %v", visits, err)
	}
}

// TestDigest: what ticks does not count, wherever it stands; everything else does.
func TestDigest(t *testing.T) {
	t.Parallel()
	seed := maphash.MakeSeed()
	sum := func(b []byte, header int) uint64 {
		var h maphash.Hash
		h.SetSeed(seed)
		Digest(&h, b, header, func(kind uint16, _ []byte) bool { return kind == 9 })
		return h.Sum64()
	}
	header, other := []byte{1, 2, 3, 4}, kerneltest.Attribute(1, 1)
	without := kerneltest.Message(header, other, other)
	want := sum(without, 4)
	for name, ticking := range map[string][]byte{
		"whole": kerneltest.Attribute(9, 1, 2, 3, 4), "empty": kerneltest.Attribute(9), "padded": kerneltest.Attribute(9, 5),
		"nested": kerneltest.Attribute(9|unix.NLA_F_NESTED, 5),
	} {
		for i, msg := range [][]byte{
			kerneltest.Message(header, ticking, other, other), kerneltest.Message(header, other, ticking, other), kerneltest.Message(header, other, other, ticking),
			kerneltest.Message(header, ticking, other, ticking, ticking, other, ticking),
		} {
			if sum(msg, 4) != want {
				t.Errorf("%s, message %d: its age counts", name, i)
			}
		}
	}
	if sum(kerneltest.Message(header, other, other, kerneltest.Attribute(9, 1)[:5]), 4) != want {
		t.Error("an age without its padding counts")
	}
	all := map[uint64]string{want: "without"}
	for name, msg := range map[string][]byte{
		"another header":      kerneltest.Message([]byte{1, 2, 3, 5}, other, other),
		"a header":            header,
		"part of a header":    header[:3],
		"nothing":             nil,
		"another attribute":   kerneltest.Message(header, other, kerneltest.Attribute(1, 2)),
		"one attribute":       kerneltest.Message(header, other),
		"an age that is torn": kerneltest.Message(header, other, other, append(u16(9), u16(9)...), []byte{1, 2}),
		"a length of 3":       kerneltest.Message(header, other, other, append(u16(3), u16(9)...)),
		"a length of 5 of 4":  kerneltest.Message(header, other, other, append(u16(5), u16(9)...)),
		"two bytes more":      kerneltest.Message(header, other, other, []byte{1, 2}),
	} {
		s := sum(msg, 4)
		if same, taken := all[s]; taken {
			t.Errorf("%s has the digest of %s", name, same)
		}
		all[s] = name
	}
}

func TestFamilyNumber(t *testing.T) {
	t.Parallel()
	for family, want := range map[uint8]int{unix.AF_INET: 4, unix.AF_INET6: 6, unix.AF_UNSPEC: 0, unix.AF_BRIDGE: 0} {
		if got := FamilyNumber(family); got != want {
			t.Errorf("family %d is %d", family, got)
		}
	}
	for n, want := range []int{0, 4, 4, 4, 4, 8} {
		if got := Align4(n); got != want {
			t.Errorf("%d is aligned to %d", n, got)
		}
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add(append(kerneltest.Attribute(1, 1, 2, 3), 5, 0, 2, 0, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, attributes := 0, 0
		err := Attributes(b, func(kind uint16, value []byte) error {
			n += 4 + len(value)
			if kind > attributeMask {
				t.Errorf("kind %d", kind)
			}
			attributes++
			return nil
		})
		// What is not attributes is their padding, at most three bytes each.
		if n > len(b) || (err == nil && len(b)-n > 3*attributes) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
		// A digest without a kind is that of the message without it.
		seed := maphash.MakeSeed()
		sum := func(b []byte, ticking func(uint16, []byte) bool) uint64 {
			var h maphash.Hash
			h.SetSeed(seed)
			Digest(&h, b, 0, ticking)
			return h.Sum64()
		}
		ticks := func(kind uint16, _ []byte) bool { return kind == 9 }
		with := append(kerneltest.Attribute(9, 1, 2, 3, 4), b...)
		if sum(with, ticks) != sum(b, ticks) || (len(b) > 0 && sum(with, NothingTicks) == sum(b, NothingTicks)) {
			t.Errorf("digest of %v", b)
		}
	})
}
