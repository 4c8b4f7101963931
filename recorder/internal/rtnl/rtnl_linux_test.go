package rtnl

import (
	"context"
	"errors"
	"hash/maphash"
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
)

func TestLinkName(t *testing.T) {
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
}

// TestDumpCanceled: a recorder that is to stop does not begin a dump.
func TestDumpCanceled(t *testing.T) {
	var r Conn
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDumpAfterError: the socket is usable, or opened again, after the kernel refused.
func TestDumpAfterError(t *testing.T) {
	var r Conn
	if _, err := r.Dump(t.Context(), 0x7fff, 0, make([]byte, 16)); err == nil {
		t.Error("the kernel took a nonsense request")
	}
	got, err := r.Dump(t.Context(), unix.RTM_GETLINK, unix.RTM_NEWLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil || len(got) == 0 {
		t.Errorf("%d links, %v", len(got), err)
	}
}

func FuzzAttributes(f *testing.F) {
	f.Add(append(kerneltest.Attribute(1, 1, 2, 3), 5, 0, 2, 0, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		err := Attributes(b, func(kind uint16, value []byte) {
			n += 4 + len(value)
			if kind > attributeMask {
				t.Errorf("kind %d", kind)
			}
		})
		if n > len(b) || (err == nil && len(b)-n >= 4*(1+len(b)/4)) {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
		// A digest without a kind is that of the message without it.
		seed := maphash.MakeSeed()
		sum := func(b []byte, ticking func(uint16) bool) uint64 {
			var h maphash.Hash
			h.SetSeed(seed)
			Digest(&h, b, 0, ticking)
			return h.Sum64()
		}
		ticks := func(kind uint16) bool { return kind == 9 }
		with := append(kerneltest.Attribute(9, 1, 2, 3, 4), b...)
		if sum(with, ticks) != sum(b, ticks) || (len(b) > 0 && sum(with, NothingTicks) == sum(b, NothingTicks)) {
			t.Errorf("digest of %v", b)
		}
	})
}
