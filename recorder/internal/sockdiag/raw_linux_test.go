package sockdiag

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	rawEnds4 = "1: 0100007F:1234 0200007F:5678 "
	rawEnds6 = "1: 04030201080706050C0B0A09100F0E0D:1234 14131211181716151C1B1A19201F1E1D:5678 "
	rawRest  = "0A 11121314:21222324 01:00000031 00000041 51 61 71"
)

func TestRawFields(t *testing.T) {
	t.Parallel()
	want := Record{
		Kind: 3, State: 10, SPort: 0x1234, DPort: 0x5678, SendQ: 0x11121314, RecvQ: 0x21222324, UID: 51, Inode: 71, Has: HasUID | HasQueues,
	}
	four, six := want, want
	four.Family, six.Family = unix.AF_INET, unix.AF_INET6
	copy(four.Src[:], words(0x0100007F))
	copy(four.Dst[:], words(0x0200007F))
	copy(six.Src[:], words(0x04030201, 0x08070605, 0x0C0B0A09, 0x100F0E0D))
	copy(six.Dst[:], words(0x14131211, 0x18171615, 0x1C1B1A19, 0x201F1E1D))
	drops := four
	drops.Drops, drops.Has = 101, drops.Has|HasDrops
	for _, c := range []struct {
		name, line string
		want       Record
	}{
		{"10 fields", rawEnds4 + rawRest, four},
		{"12 fields", rawEnds4 + rawRest + " 81 91", four},
		{"13 fields", rawEnds4 + rawRest + " 81 91 101", drops},
		{"14 fields", rawEnds4 + rawRest + " 81 91 101 111", drops},
		{"IPv6", rawEnds6 + rawRest, six},
	} {
		var got []Record
		err := ParseProcRaw([]byte("header\n"+c.line+"\n\n"+c.line), c.want.Family, func(r Record) { got = append(got, r) })
		if err != nil || len(got) != 2 || got[0] != c.want || got[1] != c.want {
			t.Errorf("%s:\ngot  %+v, %v\nwant %+v twice", c.name, got, err, c.want)
		}
	}
}

func TestRawMistakes(t *testing.T) {
	t.Parallel()
	good := rawEnds4 + rawRest + " 81 91 101"
	for _, c := range []struct{ name, old, new string }{
		{"9 fields", " 71 81 91 101", ""},
		{"a local address too short", "0100007F", "0100007"},
		{"a local address of IPv6", "0100007F", "0100007F0100007F0100007F0100007F"},
		{"a remote address too long", "0200007F", "0200007F0"},
		{"a local address of other letters", "0100007F", "0100007G"},
		{"a local port too great", ":1234", ":10000"},
		{"no remote port", ":5678", ""},
		{"a state too great", " 0A ", " 100 "},
		{"a queue too great", "11121314", "100000000"},
		{"one queue only", "11121314:21222324", "11121314"},
		{"a UID that is no number", " 51 ", " x "},
		{"an inode too great", " 71 ", " 4294967296 "},
		{"drops below 0", " 101", " -1"},
	} {
		count := 0
		bad := strings.Replace(good, c.old, c.new, 1)
		err := ParseProcRaw([]byte("header\n"+good+"\n"+bad+"\n"+good), unix.AF_INET, func(Record) { count++ })
		if err == nil || !strings.HasPrefix(err.Error(), "line 3: ") || count != 1 {
			t.Errorf("%s: %d lines, then %v, want 1, then an error of line 3", c.name, count, err)
		}
	}
}
