package sockdiag

import (
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// packetMessage is an answer of packet_diag as linux/packet_diag.h has it.
func packetMessage(meminfo int) []byte {
	native := binary.NativeEndian
	b := []byte{unix.AF_PACKET, unix.SOCK_RAW, 0, 0}
	native.PutUint16(b[2:], 0x0806)
	for _, n := range []uint32{71, 0x11121314, 0x21222324} {
		b = native.AppendUint32(b, n)
	}
	attribute := func(kind uint16, numbers ...uint32) {
		b = native.AppendUint16(native.AppendUint16(b, uint16(4+4*len(numbers))), kind)
		for _, n := range numbers {
			b = native.AppendUint32(b, n)
		}
	}
	attribute(0, 41, 2, 0, 0, 0, 0)
	attribute(5, 51)
	attribute(6, []uint32{61, 62, 63, 64, 65, 66, 67, 68, 69}[:meminfo]...)
	return b
}

func TestPacketFields(t *testing.T) {
	t.Parallel()
	want := Record{
		Family: unix.AF_PACKET, Kind: unix.SOCK_RAW, State: StateClose, SPort: 0x0806, Inode: 71, Cookie: 0x2122232411121314, IfIndex: 41, UID: 51,
		RecvQ: 61, SendQ: 63, Drops: 69, Has: HasUID | HasQueues | HasDrops,
	}
	older := want
	older.Drops, older.Has = 0, HasUID|HasQueues
	for meminfo, want := range map[int]Record{9: want, 8: older} {
		if got, err := DecodePacket(packetMessage(meminfo)); err != nil || got != want {
			t.Errorf("%d numbers:\ngot  %+v, %v\nwant %+v", meminfo, got, err, want)
		}
	}
	if _, err := DecodePacket(packetMessage(9)[:15]); err == nil {
		t.Error("a short message is taken")
	}
}

func TestProcPacket(t *testing.T) {
	t.Parallel()
	const line = "0000000000000000 3      2    0806   41    1 0      51     71    "
	want := Record{Family: unix.AF_PACKET, Kind: unix.SOCK_DGRAM, State: StateClose, SPort: 0x0806, Inode: 71, IfIndex: 41, UID: 51, Has: HasUID}
	var got []Record
	err := ParseProcPacket([]byte("sk RefCnt\n"+line+"\n"+line+"\n"), func(r Record) { got = append(got, r) })
	if err != nil || len(got) != 2 || got[0] != want || got[1] != want {
		t.Errorf("got  %+v, %v\nwant %+v twice", got, err, want)
	}
	for _, change := range [][2]string{{" 71 ", ""}, {" 2 ", " 256 "}, {"0806", "10806"}, {"0806", "080g"}, {" 41 ", " -1 "}, {" 51 ", " x "}, {" 71 ", " 4294967296 "}} {
		if err := ParseProcPacket([]byte("sk\n"+strings.Replace(line, change[0], change[1], 1)), func(Record) {}); err == nil {
			t.Errorf("%q is taken for %q", change[1], change[0])
		}
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(packetMessage(9))
	f.Add([]byte("sk\n0 3 2 0806 41 1 0 51 71\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodePacket(b); err == nil && (r.State != StateClose || r.Has&^(HasUID|HasQueues|HasDrops) != 0) {
			t.Errorf("%+v", r)
		}
		n := 0
		if ParseProcPacket(b, func(Record) { n++ }); n > strings.Count(string(b), "\n") {
			t.Errorf("%d sockets in %q", n, b)
		}
	})
}
