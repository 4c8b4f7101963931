package recorder

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
)

// freeze has reading the command line of a process take until the returned function is called: a pipe that nobody writes to
// is mounted over it, and opening it waits, as for a lock that is not given back.
func freeze(t *testing.T, pid int) (thaw func()) {
	t.Helper()
	pipe, path := filepath.Join(t.TempDir(), "pipe"), fmt.Sprintf("/proc/%d/cmdline", pid)
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(pipe, path, "", syscall.MS_BIND, ""); err != nil {
		kerneltest.NeedKernel(t, "nothing can be mounted over a file of /proc here: "+err.Error())
	}
	return func() {
		syscall.Unmount(path, syscall.MNT_DETACH)
		f, err := os.OpenFile(pipe, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			return // nobody waits
		}
		f.WriteString("thawed\x00--now\x00")
		f.Close()
	}
}

// A process whose command line the kernel does not give costs a moment and its command line, and nothing else: samples go on,
// it has its sockets, and the recording says what is missing. When the kernel gives it at last, it is there.
func TestFrozenProcess(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	ip(t, "link set lo up")
	ownRun(t)
	frozen, sound := newNSProcess(t, "/proc/self/ns/net"), newNSProcess(t, "")
	thaw := freeze(t, frozen.Process.Pid)
	defer thaw()
	frozen.tell(t, "listen")
	r := newTestRun(t, "all")
	o := r.sockets.owners
	begun := time.Now()
	r.sample()
	if took := time.Since(begun); took < owners.CmdlinePatience || took > 5*time.Second {
		t.Errorf("the first sample took %v", took)
	}
	cmdline := func(p *nsProcess) string {
		rows := r.rows("SELECT cmdline FROM processes_now WHERE pid = ?", p.Process.Pid)
		if len(rows) != 1 {
			return fmt.Sprintf("%d processes", len(rows))
		}
		return text(rows[0]["cmdline"])
	}
	expect := func(when, want string) {
		t.Helper()
		if got := cmdline(frozen); got != want {
			t.Errorf("%s: the command line is %q, want %q", when, got, want)
		}
		if got := r.rows("SELECT pid FROM sockets_now WHERE local_port = 7777 AND netns = ?", nsInode(t, "/proc/self/ns/net")); len(got) != 1 || got[0]["pid"] != int64(frozen.Process.Pid) {
			t.Errorf("%s: who listens: %v", when, got)
		}
		if said := strings.Contains(r.outcome("owners"), owners.CmdlinesMissing); said != (want == "") {
			t.Errorf("%s: outcome %q", when, r.outcome("owners"))
		}
	}
	expect("frozen", "")
	for range 5 {
		for _, p := range o.ByPID {
			p.Due = time.Time{} // as if as many rechecks had passed
		}
		r.sample()
	}
	if len(o.Cmdlines.Behind) != 1 {
		t.Errorf("%d goroutines wait for one process", len(o.Cmdlines.Behind))
	}
	expect("still frozen", "")
	// Others are seen as ever.
	sound.tell(t, "listen")
	r.sample()
	if got := cmdline(sound); !strings.HasPrefix(got, os.Args[0]) {
		t.Errorf("another process has the command line %q", got)
	}
	thaw()
	eventually(t, "the reader comes back", func() bool { return o.Cmdlines.Behind[0].Came.Load() })
	o.ByPID[int32(frozen.Process.Pid)].Due = time.Time{}
	r.sample()
	expect("thawed", "thawed --now")
}

// A password in the command line of a process is masked in the recording, unless that is switched off, and the recording says which.
func TestMaskedCommandLine(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	l := listen(t, "tcp4", "127.0.0.1:0").(*net.TCPListener)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cmd := exec.Command("sh", "-c", "echo; read x", "worker", "--password=s3cret", "--verbose",
		"http://ann:"+strings.Repeat("s3cret", 1000)+"@h/") // only its beginning is read
	cmd.ExtraFiles = []*os.File{file}
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
	t.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		noMask bool
		want   string
	}{{false, "sh -c echo; read x worker --password=*** --verbose http://ann:***"}, {true, "sh -c echo; read x worker --password=s3cret --verbose http://ann:s3crets3cret"}} {
		r := &testRecording{t: t, path: filepath.Join(t.TempDir(), "masked.db")}
		if err := Run(t.Context(), Config{Path: r.path, Interval: MinInterval, Once: true, NetNS: NetNS{own: true}, NoMask: c.noMask}); err != nil {
			t.Fatal(err)
		}
		rows := r.rows("SELECT DISTINCT cmdline FROM processes WHERE pid = ?", cmd.Process.Pid)
		if c.noMask && len(rows) == 1 {
			rows[0]["cmdline"] = text(rows[0]["cmdline"])[:len(c.want)]
		}
		if len(rows) != 1 || rows[0]["cmdline"] != c.want {
			t.Errorf("without masks %v: %v, want %q", c.noMask, rows, c.want)
		}
		said := r.rows("SELECT available FROM capabilities WHERE name = 'passwords masked'")
		if len(said) != 1 || (said[0]["available"] == int64(1)) == c.noMask {
			t.Errorf("without masks %v: capabilities say %v", c.noMask, said)
		}
		recorded, err := os.ReadFile(r.path)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(recorded, []byte("s3cret")); got != c.noMask {
			t.Errorf("without masks %v: the password stands in the file: %v", c.noMask, got)
		}
	}
}
