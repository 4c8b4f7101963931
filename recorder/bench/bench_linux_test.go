package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseNumbers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       map[string]int64
	}{
		{"status", "Name:\tnetsql\nState:\tS (sleeping)\nPid:\t17\nVmHWM:\t   27136 kB\nVmRSS:\t   26700 kB\nCpus_allowed:\t3\n",
			map[string]int64{"Pid": 17, "VmHWM": 27136 << 10, "VmRSS": 26700 << 10, "Cpus_allowed": 3}},
		{"io", "rchar: 10\nwchar: 20\nwrite_bytes: 4096\ncancelled_write_bytes: 0\n",
			map[string]int64{"rchar": 10, "wchar": 20, "write_bytes": 4096, "cancelled_write_bytes": 0}},
		{"no numbers", "VmRSS:\nVmHWM: many kB\nNgid\n: 5 MB\nA: -1\nB: 99999999999999999999\nC: 1 2 3", map[string]int64{}},
		{"nothing", "", map[string]int64{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, parseNumbers(test.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseNumbers(f *testing.F) {
	f.Add("VmRSS:\t   26700 kB\nPid:\t17\n")
	f.Fuzz(func(t *testing.T, text string) {
		for name, n := range parseNumbers(text) {
			if n < 0 || !strings.Contains(text, name+":") {
				t.Errorf("%q is %d", name, n)
			}
		}
	})
}

func TestCountLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"": 0, "\n": 0, "a\nb\n": 2, "a\n \nb": 2} {
		if got := countLines([]byte(text)); got != want {
			t.Errorf("%q has %d lines, not %d", text, got, want)
		}
	}
}

// What a process has used is what the system says of it by other ways.
func TestUsageOf(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "written")
	cmd := exec.Command("sh", "-c", "head -c 100000 /dev/zero >"+file+"; i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo busy; read line")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	u, err := usageOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	peak := peakOf(cmd.Process.Pid)
	in.Close()
	cmd.Wait()
	// The system adds to the shell what head took, once that has ended.
	if all := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(); u.cpu < time.Millisecond || u.cpu > all+10*time.Millisecond {
		t.Errorf("%v of CPU time, when the system says %v", u.cpu, all)
	}
	if u.rss < 100<<10 || u.rss > peak || u.anon > u.rss {
		t.Errorf("%d bytes resident, %d of no file, at most %d", u.rss, u.anon, peak)
	}
	if _, err := usageOf(cmd.Process.Pid); err == nil {
		t.Error("a process that has ended has a CPU clock")
	}
	own, err := usageOf(os.Getpid())
	if err != nil || own.cpu <= 0 {
		t.Errorf("of this process: %v, %v", own, err)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 20000: "20,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}
