package sockdiag

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
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
	limits := with(func(r *Record) { r.RcvBuf, r.SndBuf, r.Has = 2, 4, r.Has|HasBuffers })
	drops := with(func(r *Record) { r.RcvBuf, r.SndBuf, r.Drops, r.Has = 2, 4, 9, r.Has|HasBuffers|HasDrops })
	mark := with(func(r *Record) { r.Mark, r.Has = 0xa1b2c3d4, r.Has|HasMark })
	cgroup := with(func(r *Record) { r.Cgroup, r.Has = twoWords(0x0a0b0c0d, 0x1a1b1c1d), r.Has|HasCgroup })
	zeros := with(func(r *Record) { r.Has |= HasBuffers | HasDrops | HasMark | HasCgroup })
	long := with(func(r *Record) { copy(r.Congestion[:], "sixteen letters!") })
	last := with(func(r *Record) { copy(r.Congestion[:], "bbr") })
	subflow := kerneltest.Message(kerneltest.Attribute(1, []byte("mptcp\x00")...), kerneltest.Attribute(3, kerneltest.Attribute(2, 1, 2, 3, 4)...))
	for _, c := range []struct {
		name       string
		attributes []any
		want       Record
	}{
		{"none", nil, want},
		{"unknown ones", []any{0, memory, 1, memory, 3, memory, 5, memory, 10, memory, 14, memory, 16, memory, 20, memory, 22, memory}, want},
		{"SKMEMINFO of 9", []any{7, memory[:36]}, drops},
		{"SKMEMINFO of 10", []any{7, memory}, drops},
		{"SKMEMINFO one byte short", []any{7, memory[:35]}, limits},
		{"SKMEMINFO before Linux 4.7", []any{7, memory[:32]}, limits},
		{"SKMEMINFO without the send buffer", []any{7, memory[:15]}, want},
		{"TCLASS", []any{5, []byte{0x10}, 6, []byte{0xb8}}, with(func(r *Record) { r.TOS, r.Has = 0xb8, r.Has|HasTOS })},
		{"TCLASS of nothing", []any{6, []byte{}}, want},
		{"SHUTDOWN", []any{8, []byte{2}}, with(func(r *Record) { r.Shutdown, r.Has = 2, r.Has|HasShutdown })},
		{"SHUTDOWN of nothing", []any{8, []byte{}}, want},
		{"SKV6ONLY", []any{11, []byte{1}}, with(func(r *Record) { r.Has |= HasV6Only | IsV6Only })},
		{"SKV6ONLY, which is not set", []any{11, []byte{0}}, with(func(r *Record) { r.Has |= HasV6Only })},
		{"SKV6ONLY of nothing", []any{11, []byte{}}, want},
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
		{"ULP_INFO of a subflow", []any{19, subflow}, with(func(r *Record) { r.ULP, r.Has = [8]byte{'m', 'p', 't', 'c', 'p'}, r.Has|HasMPTCP })},
		{"ULP_INFO of kTLS", []any{19, kerneltest.Attribute(1, []byte("tls\x00")...)}, with(func(r *Record) { r.ULP = [8]byte{'t', 'l', 's'} })},
		{"ULP_INFO of a long name", []any{19, kerneltest.Attribute(1, []byte("espintcp2\x00")...)}, with(func(r *Record) { r.ULP = [8]byte([]byte("espintcp")) })},
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
					want.Backoff, want.Lost, want.SSThresh = 2, 9, 20 // the other small ones are 0, and 3 µs are no ms
				}
				if size >= 136 { // tcpi_bytes_acked and tcpi_bytes_received
					want.BytesSent, want.BytesRecv = twoWords(31, 32), twoWords(33, 34)
					want.Has |= HasBytesSent | HasBytesRecv
				}
				if size >= 144 { // tcpi_segs_out and tcpi_segs_in
					want.SegsOut, want.SegsIn = 35, 36
					want.Has |= HasSegs
				}
				if size >= 152 { // tcpi_notsent_bytes, 37, and tcpi_min_rtt, 38
					want.NotSent, want.MinRTT = coarseOf(32), coarseOf(32)
					want.Has |= HasUnsent
				}
				if size >= 168 { // tcpi_delivery_rate, and the bit before it is 0
					want.DeliveryRate = coarseOf(twoWords(41, 42))
					want.Has |= HasRate
				}
				if size >= 192 { // tcpi_busy_time, tcpi_rwnd_limited and tcpi_sndbuf_limited
					want.Busy, want.RwndLimited, want.SndbufLimited = uint32(twoWords(43, 44)/1000), uint32(twoWords(45, 46)/1000), uint32(twoWords(47, 48)/1000)
					want.Has |= HasBusy
				}
				if size >= 208 { // tcpi_bytes_sent
					want.BytesSent = twoWords(51, 52)
				}
				if size >= 224 { // tcpi_reord_seen
					want.Reordered = 56
					want.Has |= HasReorder
				}
				if size >= 232 { // tcpi_snd_wnd: 58, and segments have 5
					want.SndWnd = Wide
					want.Has |= HasSndWnd
				}
				if size >= 236 { // tcpi_rcv_wnd
					want.RcvWnd = Wide
					want.Has |= HasRcvWnd
				}
			}
			message := kerneltest.AppendAttributes(everyField(unix.AF_INET, state), 2, kerneltest.TCPInfo(size))
			if got, err := DecodeInet(message); err != nil || got != want {
				t.Errorf("tcp_info of %d bytes, state %d:\ngot  %+v, %v\nwant %+v", size, state, got, err, want)
			}
		}
	}
}

func TestCoarse(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint32]uint32{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 4, 6: 6, 7: 6, 8: 8, 11: 8, 12: 12, 15: 12, 16: 16, 65535: 49152, 65536: 65536, 98303: 65536, 98304: 98304,
		1 << 31: 1 << 31, 3 << 30: 3 << 30, 1<<32 - 1: 3 << 30} {
		if got := coarseOf(uint64(n)).Number(); got != want {
			t.Errorf("%d: got %d, want %d", n, got, want)
		}
	}
	for n, want := range map[uint32]uint32{0: 0, 99: 99, 100: 100, 204: 200, 219: 210, 1999: 1900, 120000: 120000, 129999: 120000} {
		if got := twoDigits(n); got != want {
			t.Errorf("two digits of %d: got %d, want %d", n, got, want)
		}
	}
}

// TestSmallFieldsOfTCPInfo: the bytes and bits at the beginning of tcp_info, as a machine of this byte order has them.
func TestSmallFieldsOfTCPInfo(t *testing.T) {
	t.Parallel()
	decode := func(change func(info []byte)) Record {
		info := make([]byte, 240)
		change(info)
		r, err := DecodeInet(kerneltest.InetMessage(1, 2, info, 7, words(0, 131072, 0, 2626560, 0, 0, 0, 0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	word := func(info []byte, at int, n uint32) { copy(info[at:], words(n)) }
	for _, c := range []struct {
		name      string
		change    func(info []byte)
		got       func(r Record) any
		want      any
		otherwise any // of 0 everywhere
	}{
		{"tcpi_retransmits", func(b []byte) { b[2] = 3 }, func(r Record) any { return r.Tries }, uint8(3), uint8(0)},
		{"tcpi_probes", func(b []byte) { b[3] = 4 }, func(r Record) any { return r.Tries }, uint8(4), uint8(0)},
		{"tcpi_backoff", func(b []byte) { b[4] = 5 }, func(r Record) any { return r.Backoff }, uint8(5), uint8(0)},
		{"tcpi_options", func(b []byte) { b[5] = 0xff }, func(r Record) any { return r.Options }, uint8(0x3f), uint8(0)},
		{"tcpi_snd_wscale", func(b []byte) { b[6] = 7 }, func(r Record) any { return r.WScale & 15 }, uint8(7), uint8(0)},
		{"tcpi_rcv_wscale", func(b []byte) { b[6] = 9 << 4 }, func(r Record) any { return r.WScale >> 4 }, uint8(9), uint8(0)},
		{"tcpi_rto", func(b []byte) { word(b, 8, 204000) }, func(r Record) any { return r.RTO }, uint32(200), uint32(0)},
		{"tcpi_snd_ssthresh", func(b []byte) { word(b, 76, 0x7ffffffe) }, func(r Record) any { return r.SSThresh }, uint32(0x7ffffffe), uint32(0)},
		{"TCP_INFINITE_SSTHRESH", func(b []byte) { word(b, 76, 0x7fffffff) }, func(r Record) any { return r.SSThresh }, uint32(0), uint32(0)},
		{"tcpi_min_rtt", func(b []byte) { word(b, 148, 100) }, func(r Record) any { return r.MinRTT.Number() }, uint32(96), uint32(0)},
		{"tcpi_min_rtt not measured", func(b []byte) { word(b, 148, 1<<32-1) }, func(r Record) any { return r.MinRTT.Number() }, uint32(0), uint32(0)},
		{"tcpi_delivery_rate", func(b []byte) { word(b, 160, 5000) }, func(r Record) any { return [2]any{r.DeliveryRate.Long(), r.Has & (HasRate | IsAppLimited)} }, [2]any{uint64(4096), HasRate}, [2]any{uint64(0), Has(0)}},
		{"tcpi_delivery_rate of terabytes", func(b []byte) { word(b, 164, 1<<31) }, func(r Record) any { return r.DeliveryRate.Long() }, uint64(3 << 60), uint64(0)},
		{"tcpi_delivery_rate_app_limited", func(b []byte) { b[7] = 1; word(b, 160, 5000) }, func(r Record) any { return [2]any{r.DeliveryRate.Long(), r.Has & (HasRate | IsAppLimited)} },
			[2]any{uint64(0), HasRate | IsAppLimited}, [2]any{uint64(0), Has(0)}},
		{"nothing was delivered", func(b []byte) { b[7] = 1 }, func(r Record) any { return r.Has & (HasRate | IsAppLimited) }, Has(0), Has(0)},
		{"tcpi_fastopen_client_fail", func(b []byte) { b[7] = 6; word(b, 160, 1) }, func(r Record) any { return r.Has & (HasRate | IsAppLimited) }, HasRate, Has(0)},
		{"a shut window", func(b []byte) { word(b, 16, 1448); word(b, 228, 0) }, func(r Record) any { return r.SndWnd }, Coarse(0), Wide},
		{"a narrow window", func(b []byte) { word(b, 16, 1448); word(b, 228, 1447) }, func(r Record) any { return r.SndWnd.Number() }, uint32(1024), Wide.Number()},
		{"a wide window", func(b []byte) { word(b, 16, 1448); word(b, 228, 1448) }, func(r Record) any { return r.SndWnd }, Wide, Wide},
		{"a narrow window of one's own", func(b []byte) { word(b, 16, 1448); word(b, 232, 1) }, func(r Record) any { return r.RcvWnd.Number() }, uint32(1), Wide.Number()},
		{"buffers", func([]byte) {}, func(r Record) any { return [2]uint32{r.RcvBuf, r.SndBuf} }, [2]uint32{131072, 2097152}, [2]uint32{131072, 2097152}},
	} {
		if got := c.got(decode(c.change)); got != c.want && !upperFirst {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if got := c.got(decode(func([]byte) {})); got != c.otherwise {
			t.Errorf("%s: got %v, want %v of nothing", c.name, got, c.otherwise)
		}
	}
}

// TestCountersOutliveTheConnection: in TIME_WAIT the kernel tells none of them.
func TestCountersOutliveTheConnection(t *testing.T) {
	t.Parallel()
	last, err := DecodeInet(kerneltest.InetMessage(1, 2, kerneltest.TCPInfo(240)))
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeInet(kerneltest.InetMessage(6))
	if err != nil {
		t.Fatal(err)
	}
	r.Remember(&last)
	if r.Has&HasBusy == 0 || r.Has&HasReorder == 0 || r.Busy != last.Busy || r.RwndLimited != last.RwndLimited || r.SndbufLimited != last.SndbufLimited || r.Reordered != 56 {
		t.Errorf("got %+v after %+v", r, last)
	}
	if r.Has&(HasUnsent|HasSndWnd|HasRcvWnd|HasRate) != 0 || r.DeliveryRate != 0 {
		t.Errorf("what was of the moment is remembered: %+v", r)
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
