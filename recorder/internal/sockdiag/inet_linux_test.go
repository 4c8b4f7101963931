package sockdiag

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

func TestDecodeInet(t *testing.T) {
	memory := make([]byte, 36)
	binary.NativeEndian.PutUint32(memory[32:], 81)
	cgroup := binary.NativeEndian.AppendUint64(nil, 1<<40+7)
	got, err := DecodeInet(kerneltest.InetMessage(stateNewSynRecv,
		InetDiagSKMemInfo, memory, InetDiagCong, []byte("cubic\x00"), inetDiagCgroupID, cgroup,
		inetDiagMark, []byte{1, 0, 0, 0}, 99, []byte("from a newer kernel")))
	if err != nil {
		t.Fatal(err)
	}
	want := Record{
		Family: unix.AF_INET, State: StateSynRecv, SPort: 443, Src: [16]byte{192, 0, 2, 1}, Cookie: 1<<32 | 5, Inode: 4711,
		Drops: 81, Cgroup: 1<<40 + 7, Mark: binary.NativeEndian.Uint32([]byte{1, 0, 0, 0}),
		Has: HasQueues | HasUID | HasBuffers | HasDrops | HasCgroup | HasMark,
	}
	copy(want.Congestion[:], "cubic")
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, message := range map[string][]byte{
		"short":                  kerneltest.InetMessage(1)[:71],
		"an attribute too long":  append(kerneltest.InetMessage(1), 200, 0, 2, 0),
		"an attribute too short": append(kerneltest.InetMessage(1), 3, 0, 2, 0),
	} {
		if _, err := DecodeInet(message); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzDecodeInet(f *testing.F) {
	f.Add(kerneltest.InetMessage(1, InetDiagInfo, kerneltest.TCPInfo(280), InetDiagSKMemInfo, make([]byte, 36), InetDiagCong, []byte("bbr\x00")))
	f.Add(kerneltest.InetMessage(6))
	f.Add(kerneltest.InetMessage(1, InetDiagInfo, kerneltest.TCPInfo(191), inetDiagTOS, []byte{8}, inetDiagShutdown, []byte{3}, inetDiagULPInfo, kerneltest.Attribute(1, []byte("tls\x00")...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeInetAt(b, 5*time.Hour)
		if err != nil {
			return
		}
		if now := TickOf(5 * time.Hour); r.LastSent > now || r.LastRecv > now {
			t.Errorf("%+v was last heard of in the future", r)
		}
		told := func(last *Record) Record {
			again, _ := DecodeInetAt(b, 5*time.Hour)
			again.Remember(last)
			again.Settle(last, 5*time.Hour, Settle{Quiet: time.Minute})
			return again
		}
		r = told(&Record{})
		if again := told(&r); again != r {
			t.Errorf("%+v becomes %+v when the same is told again", r, again)
		}
		if Named(StateNames[:], r.State) == "" && int(r.State) < len(StateNames) && r.State != 0 {
			t.Errorf("%+v is in no state", r)
		}
	})
}

func FuzzDecodeUnix(f *testing.F) {
	b := make([]byte, unixDiagMsgSize)
	f.Add(kerneltest.AppendAttributes(b, unixDiagName, []byte("\x00abstract\x00\xff"), unixDiagPeer, []byte{1, 0, 0, 0},
		unixDiagRQLen, make([]byte, 8), unixDiagUID, make([]byte, 4)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, name, err := DecodeUnix(b)
		if path := UnixPath(name); err == nil && (!utf8.ValidString(path) || bytes.IndexByte([]byte(path), 0) >= 0) {
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
	var got []Record
	if err := ParseProcRaw([]byte(procRaw), unix.AF_INET, func(r Record) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	want := Record{
		Family: unix.AF_INET, Kind: unix.SOCK_RAW, State: StateClose, SPort: 1, Inode: 1913, UID: 1000,
		SendQ: 2, RecvQ: 3, Drops: 5, Has: HasUID | HasQueues | HasDrops,
	}
	// The word is in the byte order of the machine that wrote the line, a small-endian one.
	binary.NativeEndian.PutUint32(want.Src[:], 0x0100007f)
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if err := ParseProcRaw([]byte("header\nnonsense\n"), unix.AF_INET, func(Record) {}); err == nil {
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
		ParseProcRaw(text, family, func(r Record) {
			if !Address(r.Family, &r.Src).IsValid() {
				t.Errorf("%+v", r)
			}
		})
	})
}
