package sockdiag

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kerneltest"
)

// The numbers in these tests are those of linux/inet_diag.h and linux/tcp.h, not the constants of this package.

func words(values ...uint32) (b []byte) {
	for _, v := range values {
		b = binary.NativeEndian.AppendUint32(b, v)
	}
	return b
}

func twoWords(first, second uint32) uint64 { return binary.NativeEndian.Uint64(words(first, second)) }

// counting is size bytes that count up from first.
func counting(first byte, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// everyField is an inet_diag_msg with a different value in every field, also in those that nobody reads.
func everyField(family, state uint8) []byte {
	b := []byte{family, state, 2, 77, 0x12, 0x34, 0x56, 0x78}
	b = append(b, counting(0x20, 16)...) // idiag_src
	b = append(b, counting(0x60, 16)...) // idiag_dst
	return append(b, words(0x01020304, 0x11121314, 0x21222324, 0x31323334, 0x41424344, 0x51525354, 0x61626364, 0x71727374)...)
}

func everyFieldWant(family, state uint8) Record {
	r := Record{
		Family: family, State: state, Timer: 2, SPort: 0x1234, DPort: 0x5678, IfIndex: 0x01020304, Cookie: 0x21222324_11121314,
		RecvQ: 0x41424344, SendQ: 0x51525354, UID: 0x61626364, Inode: 0x71727374, Has: HasQueues | HasUID,
	}
	size := 16
	if family == unix.AF_INET {
		size = 4
	}
	copy(r.Src[:], counting(0x20, size))
	copy(r.Dst[:], counting(0x60, size))
	return r
}

func TestInetFields(t *testing.T) {
	t.Parallel()
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		// 12 and 13 are TCP_NEW_SYN_RECV and TCP_BOUND_INACTIVE, which have no name of their own here.
		for state, want := range []uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 3, 7, 14} {
			got, err := DecodeInet(everyField(family, uint8(state)))
			if want := everyFieldWant(family, want); err != nil || got != want {
				t.Errorf("family %d, state %d:\ngot  %+v, %v\nwant %+v", family, state, got, err, want)
			}
		}
	}
	for size := range 72 {
		if got, err := DecodeInet(everyField(unix.AF_INET, 1)[:size]); err == nil || got != (Record{}) {
			t.Errorf("%d bytes of a message: %+v, %v", size, got, err)
		}
	}
}

// TestUIDOfNobody: without a struct socket the kernel says 0 for both numbers.
func TestUIDOfNobody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		uid, inode uint32
		want       Has
	}{
		{"neither", 0, 0, HasQueues},
		{"root's", 0, 1, HasQueues | HasUID},
		{"an orphan that tells its owner", 1, 0, HasQueues | HasUID},
		{"a user's", 1, 1, HasQueues | HasUID},
	} {
		b := append(everyField(unix.AF_INET, 1)[:64], words(c.uid, c.inode)...)
		if got, err := DecodeInet(b); err != nil || got.Has != c.want || got.UID != c.uid || got.Inode != c.inode {
			t.Errorf("%s: uid %d, inode %d, has %b, %v, want has %b", c.name, got.UID, got.Inode, got.Has, err, c.want)
		}
	}
}

func TestInetAttributes(t *testing.T) {
	t.Parallel()
	memory := words(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) // a newer kernel may add numbers after the drops
	want := everyFieldWant(unix.AF_INET6, 1)
	with := func(change func(r *Record)) Record {
		r := want
		change(&r)
		return r
	}
	drops := with(func(r *Record) { r.Drops, r.Has = 9, r.Has|HasDrops })
	mark := with(func(r *Record) { r.Mark, r.Has = 0xa1b2c3d4, r.Has|HasMark })
	cgroup := with(func(r *Record) { r.Cgroup, r.Has = twoWords(0x0a0b0c0d, 0x1a1b1c1d), r.Has|HasCgroup })
	zeros := with(func(r *Record) { r.Has |= HasDrops | HasMark | HasCgroup })
	long := with(func(r *Record) { copy(r.Congestion[:], "sixteen letters!") })
	last := with(func(r *Record) { copy(r.Congestion[:], "bbr") })
	subflow := kerneltest.Message(kerneltest.Attribute(1, []byte("mptcp\x00")...), kerneltest.Attribute(3, kerneltest.Attribute(2, 1, 2, 3, 4)...))
	for _, c := range []struct {
		name       string
		attributes []any
		want       Record
	}{
		{"none", nil, want},
		{"unknown ones", []any{0, memory, 1, memory, 3, memory, 5, memory, 6, memory, 8, memory, 14, memory, 16, memory, 20, memory, 22, memory}, want},
		{"SKMEMINFO of 9", []any{7, memory[:36]}, drops},
		{"SKMEMINFO of 10", []any{7, memory}, drops},
		{"SKMEMINFO one byte short", []any{7, memory[:35]}, want},
		{"SKMEMINFO before Linux 4.7", []any{7, memory[:32]}, want},
		{"MARK", []any{15, words(0xa1b2c3d4)}, mark},
		{"MARK and more", []any{15, words(0xa1b2c3d4, 5)}, mark},
		{"MARK one byte short", []any{15, words(0xa1b2c3d4)[:3]}, want},
		{"CGROUP_ID", []any{21, words(0x0a0b0c0d, 0x1a1b1c1d)}, cgroup},
		{"CGROUP_ID and more", []any{21, words(0x0a0b0c0d, 0x1a1b1c1d, 5)}, cgroup},
		{"CGROUP_ID one byte short", []any{21, words(0x0a0b0c0d, 0x1a1b1c1d)[:7]}, want},
		{"a 0 that was given", []any{7, make([]byte, 36), 15, make([]byte, 4), 21, make([]byte, 8)}, zeros},
		{"CONG of 16 letters", []any{4, []byte("sixteen letters!")}, long},
		{"CONG too long", []any{4, []byte("sixteen letters! and more")}, long},
		{"CONG twice", []any{4, []byte("sixteen letters!"), 4, []byte("bbr\x00")}, last},
		{"after an unknown one of 5 bytes", []any{99, memory[:5], 15, words(0xa1b2c3d4)}, mark},
		{"with the flag NLA_F_NESTED", []any{0x8000 | 15, words(0xa1b2c3d4)}, mark},
		{"with the flag NLA_F_NET_BYTEORDER", []any{0x4000 | 15, words(0xa1b2c3d4)}, mark},
		{"ULP_INFO of a subflow", []any{19, subflow}, with(func(r *Record) { r.Has |= HasMPTCP })},
		{"ULP_INFO of kTLS", []any{19, kerneltest.Attribute(1, []byte("tls\x00")...)}, want},
		{"ULP_INFO with the name elsewhere", []any{19, kerneltest.Attribute(2, []byte("mptcp\x00")...)}, want},
		{"ULP_INFO of nothing", []any{19, []byte{}}, want},
	} {
		got, err := DecodeInet(kerneltest.AppendAttributes(everyField(unix.AF_INET6, 1), c.attributes...))
		if err != nil || got != c.want {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

// TestTCPInfoOfEveryKernel: each length of tcp_info tells what ends within it. The words of kerneltest.TCPInfo count up from 1.
func TestTCPInfoOfEveryKernel(t *testing.T) {
	t.Parallel()
	for size := range 300 {
		for _, state := range []uint8{1, 10} {
			want := everyFieldWant(unix.AF_INET, state)
			if state != 10 { // a listener has a tcp_info too, but no path
				if size >= 104 { // up to tcpi_total_retrans
					want.MSS, want.PMTU, want.RTT, want.RTTVar, want.Cwnd, want.Retransmits = 5, 16, 18, 19, 21, 26
					want.Has |= HasInfo
				}
				if size >= 136 { // tcpi_bytes_acked and tcpi_bytes_received
					want.BytesSent, want.BytesRecv = twoWords(31, 32), twoWords(33, 34)
					want.Has |= HasBytesSent | HasBytesRecv
				}
				if size >= 144 { // tcpi_segs_out and tcpi_segs_in
					want.SegsOut, want.SegsIn = 35, 36
					want.Has |= HasSegs
				}
				if size >= 208 { // tcpi_bytes_sent
					want.BytesSent = twoWords(51, 52)
				}
			}
			message := kerneltest.AppendAttributes(everyField(unix.AF_INET, state), 2, kerneltest.TCPInfo(size))
			if got, err := DecodeInet(message); err != nil || got != want {
				t.Errorf("tcp_info of %d bytes, state %d:\ngot  %+v, %v\nwant %+v", size, state, got, err, want)
			}
		}
	}
}

// TestFINIsNoByte: in CLOSE_WAIT, LAST_ACK and CLOSING the kernel has counted the FIN of the other end.
func TestFINIsNoByte(t *testing.T) {
	t.Parallel()
	for state := uint8(1); state <= 11; state++ {
		for _, received := range []uint32{0, 1, 1000} {
			info := kerneltest.TCPInfo(144)
			binary.NativeEndian.PutUint64(info[128:], uint64(received))
			want := uint64(received)
			came := received > 0 && (state == 8 || state == 9 || state == 11)
			if came {
				want--
			}
			if state == 10 {
				want = 0
			}
			got, err := DecodeInet(kerneltest.InetMessage(state, 2, info))
			if err != nil || got.BytesRecv != want || (got.Has&hasFIN != 0) != came {
				t.Errorf("state %d, %d received: got %d, %v, want %d, FIN %v", state, received, got.BytesRecv, err, want, came)
			}
		}
	}
	got, err := DecodeInet(kerneltest.InetMessage(8, 2, kerneltest.TCPInfo(104)))
	if err != nil || got.BytesRecv != 0 || got.Has&(hasFIN|HasBytesRecv) != 0 {
		t.Errorf("CLOSE_WAIT of Linux 3.10: %+v, %v", got, err)
	}
}

func TestEachAttribute(t *testing.T) {
	t.Parallel()
	header := func(size, kind uint16, value ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, size)
		return append(binary.NativeEndian.AppendUint16(b, kind), value...)
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string // kind and value of each
		bad  bool
	}{
		{"nothing", nil, "", false},
		{"less than a header", header(4, 1)[:3], "", false},
		{"an empty one", header(4, 1), "\x01|", false},
		{"exactly long enough", header(7, 2, 'a', 'b', 'c'), "\x02abc|", false},
		{"one byte short", header(7, 2, 'a', 'b'), "", true},
		{"shorter than its header", header(3, 2, 'a'), "", true},
		{"of length 0", header(0, 2, 'a'), "", true},
		{"padded", append(header(5, 1, 'a', 0, 0, 0), header(8, 2, 'b', 'c', 'd', 'e')...), "\x01a|\x02bcde|", false},
		{"not padded to the end", header(5, 1, 'a', 0), "\x01a|", false},
		{"a good one, then a short one", append(header(4, 1), header(9, 2, 'a', 'b', 'c', 'd')...), "\x01|", true},
	} {
		var got []byte
		err := EachAttribute(c.b, func(kind uint16, value []byte) { got = append(append(append(got, byte(kind)), value...), '|') })
		if string(got) != c.want || (err != nil) != c.bad {
			t.Errorf("%s: got %q, %v, want %q, error %v", c.name, got, err, c.want, c.bad)
		}
	}
}

func TestSubflowToken(t *testing.T) {
	t.Parallel()
	token := words(0xcafe1234)
	nest := func(ulp, mptcp, location uint16, value []byte) []byte {
		return kerneltest.Message(
			kerneltest.InetMessage(1),
			kerneltest.Attribute(15, token...),
			kerneltest.Attribute(ulp, kerneltest.Attribute(mptcp, kerneltest.Attribute(location, value...)...)...))
	}
	whole := nest(19, 3, 2, token)
	for _, c := range []struct {
		name string
		b    []byte
		want uint32
	}{
		{"a subflow", whole, 0xcafe1234},
		{"and more", nest(19, 3, 2, words(0xcafe1234, 7)), 0xcafe1234},
		{"a token one byte short", nest(19, 3, 2, token[:3]), 0},
		{"the token of the other end", nest(19, 3, 1, token), 0},
		{"another ULP", nest(19, 2, 2, token), 0},
		{"another attribute", nest(20, 3, 2, token), 0},
		{"no attributes", kerneltest.InetMessage(1), 0},
		{"a message one byte short", kerneltest.InetMessage(1)[:71], 0},
		{"nothing", nil, 0},
	} {
		if got := SubflowToken(c.b); got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, got, c.want)
		}
	}
	if !bytes.Equal(whole, nest(19, 3, 2, token)) {
		t.Error("the message was written to")
	}
}
