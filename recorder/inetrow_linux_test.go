package recorder

import (
	"encoding/binary"
	"testing"

	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// Kernels before ours send a shorter tcp_info. What is not in it is unknown, not 0.
func TestOlderTCPInfo(t *testing.T) {
	word := func(offset int) store.Int { return store.Of(offset/4 + 1) }
	long := func(offset int) store.Int {
		return store.Of(binary.NativeEndian.Uint64(kerneltest.TCPInfo(280)[offset:]))
	}
	ms := func(offset int) store.Int { return store.Of(long(offset).Or(0) / 1000) }
	for _, c := range []struct {
		name string
		size int
		want store.Socket
	}{
		{"none", 0, store.Socket{}},
		{"shorter than any kernel's", 100, store.Socket{}},
		{"Linux 2.6", 104, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100), Lost: word(32), SSThresh: word(76), RTO: store.Of(0), Tries: store.Of(0), Backoff: store.Of(2)}},
		{"Linux 4.1", 136, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100), Lost: word(32), SSThresh: word(76), RTO: store.Of(0), Tries: store.Of(0), Backoff: store.Of(2),
			BytesSent: long(120), BytesReceived: long(128)}},
		{"Linux 4.2", 144, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100), Lost: word(32), SSThresh: word(76), RTO: store.Of(0), Tries: store.Of(0), Backoff: store.Of(2),
			BytesSent: long(120), BytesReceived: long(128), SegsOut: word(136), SegsIn: word(140)}},
		{"Linux 4.9", 168, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100), Lost: word(32), SSThresh: word(76), RTO: store.Of(0), Tries: store.Of(0), Backoff: store.Of(2),
			BytesSent: long(120), BytesReceived: long(128), SegsOut: word(136), SegsIn: word(140),
			NotSent: store.Of(32), MinRTT: store.Of(32), DeliveryRate: store.Of(int64(32) << 32), AppLimited: store.Of(0)}}, // 42 << 32, of which the low bits are left out
		{"Linux 6.18", 280, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100), Lost: word(32), SSThresh: word(76), RTO: store.Of(0), Tries: store.Of(0), Backoff: store.Of(2),
			BytesSent: long(200), BytesReceived: long(128), SegsOut: word(136), SegsIn: word(140),
			Busy: ms(168), RwndLimited: ms(176), SndbufLimited: ms(184), // of microseconds
			NotSent: store.Of(32), MinRTT: store.Of(32), Reordered: store.Of(56), DeliveryRate: store.Of(int64(32) << 32), AppLimited: store.Of(0)}}, // 37, 38 and 57, of which the low bits are left out
	} {
		r, err := sockdiag.DecodeInet(kerneltest.InetMessage(sockdiag.StateEstablished, sockdiag.InetDiagInfo, kerneltest.TCPInfo(c.size)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got store.Socket
		tcpValues(&r, &got)
		if got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func FuzzInetRow(f *testing.F) {
	f.Add(kerneltest.InetMessage(1, sockdiag.InetDiagInfo, kerneltest.TCPInfo(280), sockdiag.InetDiagSKMemInfo, make([]byte, 36), sockdiag.InetDiagCong, []byte("bbr\x00")))
	f.Add(kerneltest.InetMessage(6))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := sockdiag.DecodeInet(b)
		if err != nil {
			return
		}
		s := &sockets{users: owners.NewUsers(), cgroups: &owners.Cgroups{}}
		if id := s.socketID(&protocol{proto: "tcp"}, &socket{Held: owners.Held{Rec: r}}); id.LocalAddr == "" {
			t.Errorf("%+v becomes %+v", r, id)
		}
		var v store.Socket
		tcpValues(&r, &v)
	})
}
