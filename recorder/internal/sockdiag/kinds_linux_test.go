package sockdiag

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// numbers are 32-bit numbers as the kernel writes them.
func numbers(list ...uint32) []byte {
	var b []byte
	for _, n := range list {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	return append(binary.NativeEndian.AppendUint16(b, kind), value...)
}

// netlinkMessage is an answer of netlink_diag as linux/netlink_diag.h has it.
func netlinkMessage(state byte, attributes ...[]byte) []byte {
	b := append([]byte{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_GENERIC, state}, numbers(0x81828384, 0x91929394, 7, 71, 0x11121314, 0x21222324)...)
	return append(b, slices.Concat(attributes...)...)
}

func TestNetlinkFields(t *testing.T) {
	t.Parallel()
	end := func(place, port uint32) (a [16]byte) { copy(a[:], numbers(place, port)); return a }
	want := Record{
		Family: unix.AF_NETLINK, Kind: unix.SOCK_RAW, State: StateEstablished, Src: end(unix.NETLINK_GENERIC, 0x81828384), Dst: end(0, 0x91929394),
		Inode: 71, Cookie: 0x2122232411121314, RecvQ: 61, SendQ: 63, Drops: 69, Has: HasQueues | HasDrops,
	}
	memory := []uint32{61, 62, 63, 64, 65, 66, 67, 68, 69}
	groups := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1|1<<40), 1<<3)
	got, name, err := DecodeNetlink(netlinkMessage(1, attribute(0, numbers(memory...)), attribute(1, groups)))
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	var joined []int
	EachGroup(name, func(g int) { joined = append(joined, g) })
	if !slices.Equal(joined, []int{1, 41, 68}) {
		t.Errorf("groups %v", joined)
	}
	if Place(&got.Src) != unix.NETLINK_GENERIC || Port(&got.Src) != 0x81828384 || Port(&got.Dst) != 0x91929394 {
		t.Errorf("ends %d:%#x, %#x", Place(&got.Src), Port(&got.Src), Port(&got.Dst))
	}

	// Without the number of drops, and of a kernel or a socket that tells neither memory nor groups.
	want.Drops, want.Has, want.State = 0, HasQueues, StateClose
	if got, name, err := DecodeNetlink(netlinkMessage(0, attribute(0, numbers(memory[:8]...)), attribute(1, make([]byte, 8)))); err != nil || got != want || len(name) != 0 {
		t.Errorf("got  %+v, %q, %v\nwant %+v", got, name, err, want)
	}
	want.RecvQ, want.SendQ, want.Has = 0, 0, 0
	if got, name, err := DecodeNetlink(netlinkMessage(0)); err != nil || got != want || name != nil {
		t.Errorf("got  %+v, %q, %v\nwant %+v", got, name, err, want)
	}
	if _, _, err := DecodeNetlink(netlinkMessage(0)[:27]); err == nil {
		t.Error("a short message is taken")
	}
}

func TestNetlinkOfTheKernel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		port   uint32
		groups []byte
		is     bool
	}{{0, nil, true}, {0, []byte{1}, false}, {1, nil, false}} {
		r := Record{Src: endOf(unix.NETLINK_ROUTE, c.port)}
		if got := r.IsKernels(c.groups); got != c.is {
			t.Errorf("port id %d, groups %q: %v", c.port, c.groups, got)
		}
	}
}

func TestProcNetlink(t *testing.T) {
	t.Parallel()
	const line = "00000000bae70b22 16  2176025476 80000041 61       63       0     2        69       71      "
	want := Record{
		Family: unix.AF_NETLINK, State: StateClose, Src: endOf(unix.NETLINK_GENERIC, 2176025476), Inode: 71, RecvQ: 61, SendQ: 63, Drops: 69, Has: HasQueues | HasDrops,
	}
	var got []string
	err := ParseProcNetlink([]byte("sk Eth\n"+line+"\n"+line+"\n"), func(r Record, groups []byte) {
		if r != want {
			t.Errorf("got  %+v\nwant %+v", r, want)
		}
		EachGroup(groups, func(g int) { got = append(got, fmt.Sprint(g)) })
	})
	if err != nil || strings.Join(got, " ") != "1 7 32 1 7 32" {
		t.Errorf("groups %v, %v", got, err)
	}
	for _, change := range [][2]string{{" 71 ", " "}, {" 16 ", " 256 "}, {"80000041", "8000004g"}, {" 61 ", " -1 "}, {" 69 ", " x "}, {" 71 ", " 4294967296 "}} {
		if err := ParseProcNetlink([]byte("sk\n"+strings.Replace(line, change[0], change[1], 1)), func(Record, []byte) {}); err == nil {
			t.Errorf("%q is taken for %q", change[1], change[0])
		}
	}
}

// The kernel of the test may have no vsock_diag: this is a message as linux/vm_sockets_diag.h has it, and no kernel's.
func TestVsockFields(t *testing.T) {
	t.Parallel()
	message := append([]byte{unix.AF_VSOCK, unix.SOCK_STREAM, StateEstablished, 2}, numbers(3, 0x81828384, 2, 5000, 71, 0x11121314, 0x21222324)...)
	want := Record{
		Family: unix.AF_VSOCK, Kind: unix.SOCK_STREAM, State: StateEstablished, Shutdown: 2, Src: endOf(3, 0x81828384), Dst: endOf(2, 5000),
		Inode: 71, Cookie: 0x2122232411121314, Has: HasShutdown,
	}
	if got, err := DecodeVsock(message); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := DecodeVsock(message[:31]); err == nil {
		t.Error("a short message is taken")
	}
}

// The kernel of the test may have no xdp_diag: this is a message as linux/xdp_diag.h has it, and no kernel's.
func TestXDPFields(t *testing.T) {
	t.Parallel()
	message := append([]byte{unix.AF_XDP, unix.SOCK_RAW, 0, 0}, numbers(71, 0x11121314, 0x21222324)...)
	message = append(message, attribute(1, numbers(41, 5))...)
	message = append(message, attribute(2, numbers(51))...)
	var stats []byte
	for _, n := range []uint64{10, 11, 12, 13, 14, 15} { // dropped, invalid, full …
		stats = binary.NativeEndian.AppendUint64(stats, n)
	}
	want := Record{
		Family: unix.AF_XDP, Kind: unix.SOCK_RAW, State: StateClose, Inode: 71, Cookie: 0x2122232411121314, IfIndex: 41, SPort: 5, UID: 51, Has: HasUID,
	}
	if got, err := DecodeXDP(message); err != nil || got != want { // before Linux 5.9
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	want.Drops, want.Has = 10+12, HasUID|HasDrops
	if got, err := DecodeXDP(append(message, attribute(9, stats)...)); err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if _, err := DecodeXDP(message[:15]); err == nil {
		t.Error("a short message is taken")
	}
}

// What MPTCP and SCTP call INET_DIAG_INFO is not tcp_info, though it may be as long.
func TestOverIPHasNoTCPInfo(t *testing.T) {
	t.Parallel()
	message := make([]byte, InetDiagMsgSize)
	message[0], message[1], message[2] = unix.AF_INET, StateEstablished, timerRetransmit
	binary.NativeEndian.PutUint32(message[68:], 71)
	info := make([]byte, 240)
	for i := range info {
		info[i] = 0x11
	}
	message = append(message, attribute(InetDiagInfo, info)...)
	for kind, decode := range map[string]func([]byte) (Record, error){"sctp": DecodeOverIP, "mptcp": DecodeMPTCP} {
		r, err := decode(message)
		want := HasQueues | HasUID
		if kind == "mptcp" {
			want |= HasMPTCP
		}
		if err != nil || r.Has&(HasInfo|HasQueues|HasUID|HasMPTCP|HasLast) != want || r.Timer != 0 || r.Inode != 71 {
			t.Errorf("%s: %+v, %v", kind, r, err)
		}
	}
}

func TestRequestsOfOtherKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what      string
		got, want []byte
	}{
		{"netlink", NetlinkRequest{}.Serialize(), append([]byte{unix.AF_NETLINK, 255, 0, 0}, numbers(0, 3, 0, 0)...)},
		{"vsock", VsockRequest{}.Serialize(), append([]byte{unix.AF_VSOCK, 0, 0, 0}, numbers(EveryState, 0, 0, 0, 0)...)},
		{"xdp", XDPRequest{}.Serialize(), append([]byte{unix.AF_XDP, 0, 0, 0}, numbers(0, 1|1<<4, 0, 0)...)},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: % x, want % x", c.what, c.got, c.want)
		}
	}
	for _, protocol := range []uint32{ProtocolMPTCP, unix.IPPROTO_SCTP} {
		b := OverIPRequest{unix.AF_INET6, protocol, 1 << 4}.Serialize()
		byte1 := byte(protocol)
		if protocol == ProtocolMPTCP { // no kernel knows a protocol of that number
			byte1 = unix.IPPROTO_MTP
		}
		if b[0] != unix.AF_INET6 || b[1] != byte1 || b[2]&(1<<(InetDiagInfo-1)) != 0 || !slices.Equal(b[4:8], numbers(1<<4)) || !slices.Equal(b[56:], attribute(3, numbers(protocol))) {
			t.Errorf("%d: % x", protocol, b)
		}
	}
}

func FuzzOtherKinds(f *testing.F) {
	f.Add(netlinkMessage(1, attribute(0, numbers(1, 2, 3, 4, 5, 6, 7, 8, 9)), attribute(1, make([]byte, 12))))
	f.Add([]byte("sk\n0 16 1 1 1 1 0 2 1 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, groups, err := DecodeNetlink(b); err == nil {
			if r.State != StateClose && r.State != StateEstablished || r.Has&^(HasQueues|HasDrops) != 0 {
				t.Errorf("%+v", r)
			}
			EachGroup(groups, func(g int) {
				if g < 1 || g > 8*len(groups)+56 {
					t.Errorf("group %d of %d bytes", g, len(groups))
				}
			})
		}
		DecodeVsock(b)
		if r, err := DecodeXDP(b); err == nil && r.State != StateClose {
			t.Errorf("%+v", r)
		}
		if r, err := DecodeMPTCP(b); err == nil && r.Has&HasInfo != 0 {
			t.Errorf("%+v", r)
		}
		n := 0
		if ParseProcNetlink(b, func(Record, []byte) { n++ }); n > strings.Count(string(b), "\n") {
			t.Errorf("%d sockets in %q", n, b)
		}
	})
}
