package recorder

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// inetMessage is an inet_diag_msg with the attributes given as kind, value, kind, value …
func inetMessage(state uint8, attributes ...any) []byte {
	b := make([]byte, inetDiagMsgSize)
	b[0], b[1] = unix.AF_INET, state
	binary.BigEndian.PutUint16(b[4:], 443)
	copy(b[8:], []byte{192, 0, 2, 1})
	binary.NativeEndian.PutUint32(b[44:], 5)
	binary.NativeEndian.PutUint32(b[48:], 1)
	binary.NativeEndian.PutUint32(b[68:], 4711)
	return appendAttributes(b, attributes...)
}

func appendAttributes(b []byte, attributes ...any) []byte {
	for i := 0; i < len(attributes); i += 2 {
		value := attributes[i+1].([]byte)
		b = binary.NativeEndian.AppendUint16(b, uint16(attributeHeaderLen+len(value)))
		b = binary.NativeEndian.AppendUint16(b, uint16(attributes[i].(int)))
		b = append(b, value...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// tcpInfo is a struct tcp_info of that size whose 32-bit words count up from 1.
func tcpInfo(size int) []byte {
	b := make([]byte, size)
	for i := 0; i+4 <= size; i += 4 {
		binary.NativeEndian.PutUint32(b[i:], uint32(i/4+1))
	}
	return b
}

// Kernels before ours send a shorter tcp_info. What is not in it is unknown, not 0.
func TestOlderTCPInfo(t *testing.T) {
	word := func(offset int) store.Int { return store.Of(offset/4 + 1) }
	long := func(offset int) store.Int {
		return store.Of(binary.NativeEndian.Uint64(tcpInfo(280)[offset:]))
	}
	for _, c := range []struct {
		name string
		size int
		want store.Socket
	}{
		{"none", 0, store.Socket{}},
		{"shorter than any kernel's", 100, store.Socket{}},
		{"Linux 2.6", 104, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100)}},
		{"Linux 4.1", 136, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100),
			BytesSent: long(120), BytesReceived: long(128)}},
		{"Linux 4.2", 144, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100),
			BytesSent: long(120), BytesReceived: long(128), SegsOut: word(136), SegsIn: word(140)}},
		{"Linux 6.18", 280, store.Socket{
			MSS: word(16), PMTU: word(60), RTT: word(68), RTTVar: word(72), Cwnd: word(80), Retransmits: word(100),
			BytesSent: long(200), BytesReceived: long(128), SegsOut: word(136), SegsIn: word(140)}},
	} {
		r, err := decodeInet(inetMessage(stateEstablished, inetDiagInfo, tcpInfo(c.size)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got store.Socket
		r.tcpValues(&got)
		if got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestDecodeInet(t *testing.T) {
	memory := make([]byte, 36)
	binary.NativeEndian.PutUint32(memory[32:], 81)
	cgroup := binary.NativeEndian.AppendUint64(nil, 1<<40+7)
	got, err := decodeInet(inetMessage(stateNewSynRecv,
		inetDiagSKMemInfo, memory, inetDiagCong, []byte("cubic\x00"), inetDiagCgroupID, cgroup,
		inetDiagMark, []byte{1, 0, 0, 0}, 99, []byte("from a newer kernel")))
	if err != nil {
		t.Fatal(err)
	}
	want := record{
		family: unix.AF_INET, state: stateSynRecv, sport: 443, src: [16]byte{192, 0, 2, 1}, cookie: 1<<32 | 5, inode: 4711,
		drops: 81, cgroup: 1<<40 + 7, mark: binary.NativeEndian.Uint32([]byte{1, 0, 0, 0}),
		has: hasQueues | hasUID | hasDrops | hasCgroup | hasMark,
	}
	copy(want.congestion[:], "cubic")
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, message := range map[string][]byte{
		"short":                  inetMessage(1)[:71],
		"an attribute too long":  append(inetMessage(1), 200, 0, 2, 0),
		"an attribute too short": append(inetMessage(1), 3, 0, 2, 0),
	} {
		if _, err := decodeInet(message); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecodeInet(f *testing.F) {
	f.Add(inetMessage(1, inetDiagInfo, tcpInfo(280), inetDiagSKMemInfo, make([]byte, 36), inetDiagCong, []byte("bbr\x00")))
	f.Add(inetMessage(6))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeInet(b)
		if err != nil {
			return
		}
		s := &sockets{users: newUsers(), cgroups: &cgroups{}}
		id := s.socketID(&protocol{proto: "tcp"}, &socket{rec: r})
		if id.LocalAddr == "" || named(stateNames[:], r.state) == "" && int(r.state) < len(stateNames) && r.state != 0 {
			t.Errorf("%+v becomes %+v", r, id)
		}
		var v store.Socket
		r.tcpValues(&v)
	})
}

func FuzzDecodeUnix(f *testing.F) {
	b := make([]byte, unixDiagMsgSize)
	f.Add(appendAttributes(b, unixDiagName, []byte("\x00abstract\x00\xff"), unixDiagPeer, []byte{1, 0, 0, 0},
		unixDiagRQLen, make([]byte, 8), unixDiagUID, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, name, err := decodeUnix(b)
		if path := unixPath(name); err == nil && (!utf8.ValidString(path) || bytes.IndexByte([]byte(path), 0) >= 0) {
			t.Errorf("%q becomes %q", name, path)
		}
	})
}

func FuzzNetlinkMessages(f *testing.F) {
	f.Add(append([]byte{20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0}, 0, 0, 0, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		eachMessage(b, 1, func(uint16, []byte) error { return nil })
	})
}

const procRaw = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n" +
	"    1: 0100007F:0001 00000000:0000 07 00000002:00000003 00:00000000 00000000  1000        0 1913 2 0000000000000000 5\n"

func TestParseRaw(t *testing.T) {
	var got []record
	if err := parseRaw([]byte(procRaw), unix.AF_INET, func(r record) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	want := record{
		family: unix.AF_INET, kind: unix.SOCK_RAW, state: stateClose, sport: 1, inode: 1913, uid: 1000,
		sendQ: 2, recvQ: 3, drops: 5, has: hasUID | hasQueues | hasDrops,
	}
	// The word is in the byte order of the machine that wrote the line, a small-endian one.
	binary.NativeEndian.PutUint32(want.src[:], 0x0100007f)
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if err := parseRaw([]byte("header\nnonsense\n"), unix.AF_INET, func(record) {}); err == nil {
		t.Error("nonsense is no error")
	}
}

func FuzzParseRaw(f *testing.F) {
	f.Add([]byte(procRaw), true)
	if text, err := os.ReadFile("/proc/net/raw6"); err == nil {
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text []byte, four bool) {
		family := uint8(unix.AF_INET6)
		if four {
			family = unix.AF_INET
		}
		parseRaw(text, family, func(r record) {
			if !address(r.family, &r.src).IsValid() {
				t.Errorf("%+v", r)
			}
		})
	})
}
