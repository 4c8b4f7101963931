package sockdiag

import (
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// The numbers are those of linux/unix_diag.h.
func TestUnixFields(t *testing.T) {
	t.Parallel()
	header := append([]byte{1, 5, 10, 99}, words(0x01020304, 0x11121314, 0x21222324)...)
	want := Record{Family: 1, Kind: 5, State: 10, Inode: 0x01020304, Cookie: 0x21222324_11121314}
	with := func(change func(r *Record)) Record {
		r := want
		change(&r)
		return r
	}
	peer := with(func(r *Record) { r.Peer, r.Has = 0x31323334, HasPeer })
	queues := with(func(r *Record) { r.RecvQ, r.SendQ, r.Has = 0x41424344, 0x51525354, HasQueues })
	owner := with(func(r *Record) { r.UID, r.Has = 0x61626364, HasUID })
	value := words(0x31323334, 0x41424344)
	for _, c := range []struct {
		name       string
		attributes []any
		want       Record
		path       string
	}{
		{"none", nil, want, ""},
		{"NAME", []any{0, []byte("/run/a")}, want, "/run/a"},
		{"PEER", []any{2, words(0x31323334)}, peer, ""},
		{"PEER and more", []any{2, value}, peer, ""},
		{"PEER one byte short", []any{2, value[:3]}, want, ""},
		{"RQLEN", []any{4, words(0x41424344, 0x51525354)}, queues, ""},
		{"RQLEN and more", []any{4, words(0x41424344, 0x51525354, 1)}, queues, ""},
		{"RQLEN one byte short", []any{4, value[:7]}, want, ""},
		{"UID", []any{7, words(0x61626364)}, owner, ""},
		{"UID and more", []any{7, words(0x61626364, 1)}, owner, ""},
		{"UID one byte short", []any{7, value[:3]}, want, ""},
		{"zeros that were given", []any{2, words(0), 4, words(0, 0), 7, words(0)},
			with(func(r *Record) { r.Has = HasPeer | HasQueues | HasUID }), ""},
		{"unknown ones", []any{1, value, 3, value, 5, value, 6, value, 8, value, 99, value}, want, ""},
		{"all", []any{0, []byte("\x00x"), 1, value, 2, words(1), 3, value, 4, words(2, 3), 6, []byte{3}, 7, words(4)},
			with(func(r *Record) { r.Peer, r.RecvQ, r.SendQ, r.UID, r.Has = 1, 2, 3, 4, HasPeer|HasQueues|HasUID }), "@x"},
	} {
		got, name, err := DecodeUnix(kerneltest.AppendAttributes(append([]byte(nil), header...), c.attributes...))
		if err != nil || got != c.want || UnixPath(name) != c.path {
			t.Errorf("%s:\ngot  %+v, %q, %v\nwant %+v, %q", c.name, got, name, err, c.want, c.path)
		}
	}
	for size := range 16 {
		if got, name, err := DecodeUnix(header[:size]); err == nil || got != (Record{}) || name != nil {
			t.Errorf("%d bytes of a message: %+v, %q, %v", size, got, name, err)
		}
	}
	if _, _, err := DecodeUnix(append(append([]byte(nil), header...), 3, 0, 3, 0)); err == nil {
		t.Error("an attribute of 3 bytes is no error")
	}
}

func TestUnixPath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, want string }{
		{"", ""},
		{"/run/a.sock", "/run/a.sock"},
		{"/run/a.sock\x00", "/run/a.sock"},
		{"/run/a\x00rubbish", "/run/a"},
		{"\x00", "@"},
		{"\x00abc", "@abc"},
		{"\x00a\x00b", `@a\x00b`},
		{"/\xff", `/\xff`},
	} {
		if got := UnixPath([]byte(c.name)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	a := [16]byte(counting(0x20, 16))
	for family, want := range map[uint8]string{unix.AF_INET: "32.33.34.35", unix.AF_INET6: "2021:2223:2425:2627:2829:2a2b:2c2d:2e2f"} {
		if got := Address(family, &a).String(); got != want {
			t.Errorf("family %d: got %s, want %s", family, got, want)
		}
	}
}
