package tracepoint

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

const stateFormat = `name: inet_sock_set_state
ID: 2287
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:unsigned char common_flags;	offset:2;	size:1;	signed:0;

	field:const void * skaddr;	offset:8;	size:8;	signed:0;
	field:__u8 saddr_v6[16];	offset:40;	size:16;	signed:0;

print fmt: "family=%s", REC->family
`

func TestFormat(t *testing.T) {
	t.Parallel()
	f, err := parseFormat(strings.NewReader(stateFormat))
	if err != nil {
		t.Fatal(err)
	}
	if f.ID != 2287 {
		t.Errorf("number %d", f.ID)
	}
	for name, want := range map[string]field{"common_flags": {2, 1}, "skaddr": {8, 8}, "saddr_v6": {40, 16}} {
		if at, err := f.Offset(name, want.size); err != nil || at != want.offset {
			t.Errorf("%s: at %d, %v", name, at, err)
		}
		if _, err := f.Offset(name, want.size+1); err == nil {
			t.Errorf("%s of another size is found", name)
		}
	}
	if _, err := f.Offset("sport", 2); err == nil {
		t.Error("what is not there is found")
	}
	for _, bad := range []string{"", "ID: 0\n", "ID: x\n", "ID: 7\n\tfield:u8 a;\toffset:-1;\tsize:1;\n", "ID: 7\n\tfield:u8 a;\toffset:70000;\tsize:1;\n"} {
		if _, err := parseFormat(strings.NewReader(bad)); err == nil {
			t.Errorf("%q is a format", bad)
		}
	}
}

// The names of values are in the line that says how the event is printed.
func TestSymbols(t *testing.T) {
	t.Parallel()
	const more = `print fmt: "a=%s reason: %s", __print_symbolic(REC->family, { 2, "AF_INET" }, { 10, "AF_INET6" }), ` +
		`__print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 0x3, "NO_SOCKET" }, { UNRESOLVED, "X" }, { 5, "SOCKET_FILTER" })` + "\n"
	f, err := parseFormat(strings.NewReader(stateFormat + more))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint32]string{2: "NOT_SPECIFIED", 3: "NO_SOCKET", 5: "SOCKET_FILTER"}, f.Symbols("reason")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[uint32]string{2: "AF_INET", 10: "AF_INET6"}, f.Symbols("family")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f.Symbols("protocol") != nil {
		t.Error("a field has names that it has not")
	}
}

func FuzzFormat(f *testing.F) {
	f.Add(stateFormat)
	f.Add("ID: 1\nprint fmt: __print_symbolic(REC->a, { 1, \"A\" }, {")
	f.Fuzz(func(t *testing.T, text string) {
		format, err := parseFormat(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, at := range format.fields {
			if at.offset < 0 || at.size < 0 || at.offset+at.size > 2*maxRaw {
				t.Errorf("%s is at %d, %d bytes long", name, at.offset, at.size)
			}
		}
	})
}

func TestCPUs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]int{"0": {0}, "0-3,8": {0, 1, 2, 3, 8}, "": nil, "3-1": nil, "0-99999999": nil, "a-b": nil, "-1": nil} {
		got, err := parseCPUs(text)
		if !slices.Equal(got, want) || (err != nil) != (want == nil) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bytes, page, want int }{{1 << 20, 4096, 256}, {(1 << 20) - 1, 4096, 128}, {0, 4096, 16}, {1 << 20, 65536, 16}, {0, 65536, 1}, {0, 1 << 20, 1}} {
		if got := pagesOf(c.bytes, c.page); got != c.want {
			t.Errorf("%d bytes in pages of %d: %d, want %d", c.bytes, c.page, got, c.want)
		}
	}
}

// told is what was taken out of rings.
type told struct {
	samples []Sample
	ran     []string
}

func (t *told) Take(s *Sample) {
	kept := *s
	kept.Raw = slices.Clone(s.Raw)
	t.samples = append(t.samples, kept)
}

func (t *told) Ran(_ uint32, comm []byte) { t.ran = append(t.ran, string(comm)) }

// madeRing is a ring with so many bytes of data in which the kernel has written these records, from that position on.
func madeRing(size int, from uint64, records ...[]byte) *ring {
	memory := make([]byte, os.Getpagesize()+size)
	r := newRing(-1, memory)
	r.page.Data_tail, r.page.Data_head = from, from
	for _, record := range records {
		for _, b := range record {
			r.data[r.page.Data_head%uint64(size)] = b
			r.page.Data_head++
		}
	}
	return r
}

// record is one of that type, which is padded as the kernel pads it.
func record(kind uint32, body []byte) []byte {
	native := binary.NativeEndian
	length := (recordHeader + len(body) + 7) &^ 7
	b := make([]byte, length)
	native.PutUint32(b, kind)
	native.PutUint16(b[6:], uint16(length))
	copy(b[recordHeader:], body)
	return b
}

func sampleRecord(pid uint32, at uint64, raw []byte) []byte {
	native := binary.NativeEndian
	b := native.AppendUint32(nil, pid)
	b = native.AppendUint32(b, pid+1)
	b = native.AppendUint64(b, at)
	b = native.AppendUint32(b, uint32(len(raw)))
	return record(unix.PERF_RECORD_SAMPLE, append(b, raw...))
}

// What stands in a ring comes out, wherever it begins: a record may go on at the begin of the data.
func TestRing(t *testing.T) {
	t.Parallel()
	raw := []byte{7, 1, 0x10, 0, 0, 0, 0, 0, 'a', 'b', 'c', 'd'}
	comm := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 9), 9)
	thread := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 9), 10) // that names itself is no other program
	lost := binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 1), 42)
	for from := uint64(0); from < 640; from += 8 {
		r := madeRing(320, from, sampleRecord(5, 1000, raw), record(unix.PERF_RECORD_COMM, append(comm, "curl\x00\x00\x00\x00"...)), record(unix.PERF_RECORD_COMM, append(thread, "worker\x00\x00"...)), record(unix.PERF_RECORD_LOST, lost), sampleRecord(6, 2000, raw))
		var got told
		lost, garbled := r.drain(&got)
		want := told{ran: []string{"curl"}, samples: []Sample{
			{ID: 7 | 1<<8, Time: 1000, PID: 5, TID: 6, Raw: raw}, {ID: 7 | 1<<8, Time: 2000, PID: 6, TID: 7, Raw: raw},
		}}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(told{})); diff != "" || lost != 42 || garbled != 0 {
			t.Fatalf("from %d: lost %d, garbled %d (-want +got):\n%s", from, lost, garbled, diff)
		}
		if !got.samples[0].Interrupt() {
			t.Error("a soft interrupt is taken for the process")
		}
		if r.page.Data_tail != r.page.Data_head {
			t.Errorf("from %d: the kernel is not told that it was read", from)
		}
	}
}

// Whatever stands in a ring, reading it ends, and within its bounds.
func FuzzRing(f *testing.F) {
	f.Add(uint64(8), sampleRecord(1, 2, make([]byte, 32)))
	f.Add(uint64(248), append(record(unix.PERF_RECORD_LOST, nil), record(unix.PERF_RECORD_COMM, nil)...))
	f.Fuzz(func(t *testing.T, from uint64, data []byte) {
		if len(data) > 256 {
			return
		}
		r := madeRing(256, from/8*8%(1<<40), data[:len(data)/8*8])
		r.drain(&told{})
		if r.page.Data_tail != r.page.Data_head {
			t.Error("it was not read to the end")
		}
	})
}

// The kernel tells of a connection that this test makes: who connected and who closed, and which program began to run.
func TestKernelTellsOfConnections(t *testing.T) {
	t.Parallel()
	fs, err := OpenFilesystem()
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	defer fs.Close()
	format, err := fs.Format("sock", "inet_sock_set_state")
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	oldstate, err := format.Offset("oldstate", 4)
	if err != nil {
		t.Fatal(err)
	}
	newstate, err := format.Offset("newstate", 4)
	if err != nil {
		t.Fatal(err)
	}
	dport, err := format.Offset("dport", 2)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open([]Event{{ID: format.ID, Filter: "newstate==2", Ran: true}}, 1<<17)
	if err != nil {
		kerneltest.NeedTracing(t, err)
	}
	defer r.Close()
	if n := len(r.rings); n < 1 || n > runtime.NumCPU()+64 {
		t.Errorf("%d rings", n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	before := monotonic(t)
	for range 10 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if err := exec.Command("sleep", "0").Run(); err != nil {
		t.Fatal(err)
	}
	after := monotonic(t)
	var got told
	if lost, garbled := r.Drain(&got); lost+garbled != 0 {
		t.Errorf("%d lost, %d garbled", lost, garbled)
	}
	native, n := binary.NativeEndian, 0
	for _, s := range got.samples {
		if s.ID != format.ID || native.Uint32(s.Raw[newstate:]) != 2 || native.Uint32(s.Raw[oldstate:]) != 7 {
			t.Errorf("event %d: %x", s.ID, s.Raw)
		}
		if native.Uint16(s.Raw[dport:]) != port {
			continue // another program's
		}
		n++
		if s.PID != uint32(os.Getpid()) || s.Interrupt() || s.Time < before || s.Time > after {
			t.Errorf("process %d, in an interrupt %v, at %v of %v to %v", s.PID, s.Interrupt(), s.Time, before, after)
		}
	}
	if n != 10 {
		t.Errorf("%d of 10 connects are told", n)
	}
	if !slices.Contains(got.ran, "sleep") {
		t.Errorf("sleep is not among the programs that began to run: %q", got.ran)
	}
}

func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return time.Duration(now.Nano())
}
