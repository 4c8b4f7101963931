package recorder

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestCleanMappings(t *testing.T) {
	t.Parallel()
	const smaps = `00400000-00983000 r-xp 00000000 fe:00 4711 /usr/bin/net sql
Rss:                4000 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
00983000-00e00000 r--p 00583000 fe:00 4711 /usr/bin/net sql
Anonymous:             0 kB
00e00000-00e10000 r--p 00a00000 fe:00 4711 /usr/bin/net sql
Anonymous:             8 kB
00e10000-00e20000 rw-p 00a10000 fe:00 4711 /usr/bin/net sql
Anonymous:             0 kB
00e20000-00e30000 r--p 00a10000 fe:00 4712 /usr/lib/libc.so
Anonymous:             0 kB
00e38000-00e40000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
00e30000-00e40000 r--p 00000000 00:00 0
Anonymous:             0 kB
00e40000-zz r-xp 00000000 fe:00 4711 /usr/bin/net sql
Anonymous:             0 kB
`
	want := [][2]uintptr{{0x400000, 0x983000}, {0x983000, 0xe00000}, {0xe20000, 0xe30000}}
	if diff := cmp.Diff(want, cleanMappings([]byte(smaps))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What can be read from the file again is let go, and the program goes on.
func TestDropProgram(t *testing.T) {
	before := statusKB(t, "RssFile:")
	dropProgram()
	if after := statusKB(t, "RssFile:"); before <= after {
		t.Errorf("%d kB of files were resident, and %d are", before, after)
	}
}

// That the program is mapped again as it runs is no reason to collect garbage; that much was taken is.
func TestMemoryIsGivenBack(t *testing.T) {
	var m memory
	m.settle()
	looked := func() bool {
		m.next = time.Time{}
		m.look()
		return !m.next.IsZero()
	}
	statusKB(t, "RssFile:")
	if looked() {
		t.Error("memory was given back although none was taken")
	}
	taken := make([]byte, m.settled/4)
	for i := range taken {
		taken[i] = 1
	}
	if !looked() {
		t.Errorf("%d bytes were taken, and nothing was given back", len(taken))
	}
	runtime.KeepAlive(taken)
}

// There are tens of thousands of them: one of 353 bytes would take up 384.
func TestSocketIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(socket{}); size > 352 {
		t.Errorf("what is remembered of a socket takes %d bytes", size)
	}
}

func FuzzCleanMappings(f *testing.F) {
	f.Add([]byte("00400000-00983000 r-xp 00000000 fe:00 4711 /a\nAnonymous:             0 kB\n"))
	f.Fuzz(func(t *testing.T, smaps []byte) {
		for _, m := range cleanMappings(smaps) {
			if m[0] >= m[1] {
				t.Errorf("from %x to %x", m[0], m[1])
			}
		}
	})
}
