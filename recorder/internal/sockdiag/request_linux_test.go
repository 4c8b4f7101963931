package sockdiag

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TestRequests: the bytes are those of struct inet_diag_req, inet_diag_req_v2 and unix_diag_req behind a struct nlmsghdr.
func TestRequests(t *testing.T) {
	t.Parallel()
	local := Record{Family: unix.AF_INET6, SPort: 0x1234, DPort: 0x5678, IfIndex: 0x01020304, Cookie: 0x21222324_11121314, Inode: 0x71727374}
	copy(local.Src[:], counting(0x20, 16))
	copy(local.Dst[:], counting(0x60, 16))
	subflow := local
	subflow.Has = HasMPTCP
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	every := words(0x3fff) // one bit for each state from 0 to TCP_BOUND_INACTIVE, which is 13
	from, to := counting(0x20, 16), counting(0x60, 16)
	tail := words(0x01020304, 0x11121314, 0x21222324)
	header := binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, 8), 3) // INET_DIAG_REQ_PROTOCOL
	const dump, one = unix.NLM_F_REQUEST | unix.NLM_F_DUMP, unix.NLM_F_REQUEST | unix.NLM_F_ACK
	// 0x7a has the bits of INET_DIAG_INFO, CONG, TOS, TCLASS and SKMEMINFO, each counted from 1.
	for _, c := range []struct {
		name        string
		request     *nl.NetlinkRequest
		kind, flags uint16
		want        []byte
	}{
		{"inet", InetRequest{unix.AF_INET6, unix.IPPROTO_UDP}.Message(), 20, dump, join([]byte{10, 17, 0x7a, 0}, every, make([]byte, 48))},
		{"tcp", TCPRequest{0xa1b2c3d4}.Message(), 18, dump, join([]byte{0, 0, 0, 0x7a}, make([]byte, 48), words(0xa1b2c3d4, 0))},
		{"unix", UnixRequest{}.Message(), 20, dump, join([]byte{1, 0, 0, 0}, words(0xffffffff, 0, 0x55, 0, 0))},
		{"one tcp socket", ExactInet(6, &local), 20, one,
			join([]byte{10, 6, 0, 0}, every, []byte{0x12, 0x34, 0x56, 0x78}, from, to, tail)},
		{"one subflow, with INET_DIAG_INFO", ExactInet(6, &subflow), 20, one,
			join([]byte{10, 6, 2, 0}, every, []byte{0x12, 0x34, 0x56, 0x78}, from, to, tail)},
		{"one udp socket, the other way round", ExactInet(17, &local), 20, one,
			join([]byte{10, 17, 0, 0}, every, []byte{0x56, 0x78, 0x12, 0x34}, to, from, tail)},
		{"one unix socket", ExactUnix(&local), 20, one, join([]byte{1, 0, 0, 0}, words(0xffffffff, 0x71727374, 0, 0x11121314, 0x21222324))},
		{"one MPTCP connection", ExactMPTCP(10, 0xcafe1234), 20, one,
			join([]byte{10, unix.IPPROTO_MTP, 0, 0}, every, make([]byte, 40), words(0xcafe1234, 0), header, words(262))},
	} {
		b := c.request.Serialize()
		native := binary.NativeEndian
		if len(b) < 16 || int(native.Uint32(b)) != len(b) || native.Uint16(b[4:]) != c.kind || native.Uint16(b[6:]) != c.flags {
			t.Errorf("%s: the header % x, want type %d, flags %#x, size %d", c.name, b[:16], c.kind, c.flags, len(b))
		}
		if !bytes.Equal(b[16:], c.want) {
			t.Errorf("%s:\ngot  % x\nwant % x", c.name, b[16:], c.want)
		}
		size := 0
		for _, data := range c.request.Data {
			size += data.Len()
		}
		if size != len(c.want) {
			t.Errorf("%s: Len says %d, want %d", c.name, size, len(c.want))
		}
	}
}
