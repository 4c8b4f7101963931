package recorder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/kerneltest"
)

// What a plain user sees, and which capabilities change it.
func TestOwnersWithoutPrivilege(t *testing.T) {
	if os.Getenv("NETSQL_TEST_LISTENER") != "" {
		lookUnprivileged(t)
		return
	}
	if os.Getuid() != 0 {
		kerneltest.NeedKernel(t, "only root can become another user")
	}
	t.Parallel()
	l := listen(t, "tcp4", "127.0.0.1:0")
	dir, err := os.MkdirTemp("", "netsql-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "recorder.test")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Copied by another process: had this one written it, a child that another test is forking could
	// still hold it open, and the kernel does not run a file that is open for writing (ETXTBSY).
	if out, err := exec.Command("cp", os.Args[0], binary).CombinedOutput(); err != nil {
		t.Fatalf("copy the test: %v\n%s", err, out)
	}
	if err := os.Chmod(binary, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		caps []uintptr
		want string
	}{
		{"no capability", nil, "hidden"},
		{"CAP_SYS_PTRACE alone", []uintptr{unix.CAP_SYS_PTRACE}, "hidden"},
		{"CAP_DAC_READ_SEARCH alone", []uintptr{unix.CAP_DAC_READ_SEARCH}, "hidden"},
		{"both", []uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}, "seen"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(binary, "-test.run=^TestOwnersWithoutPrivilege$", "-test.v")
			cmd.Dir = "/"
			cmd.Env = append(os.Environ(), "NETSQL_TEST_WANT="+c.want,
				fmt.Sprintf("NETSQL_TEST_LISTENER=%d:%d", cookieOf(t, l), os.Getpid()))
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
				AmbientCaps: c.caps,
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// lookUnprivileged is the body of the plain user's process.
func lookUnprivileged(t *testing.T) {
	cookie, pid := 0, 0
	fmt.Sscanf(os.Getenv("NETSQL_TEST_LISTENER"), "%d:%d", &cookie, &pid)
	own := listen(t, "tcp4", "127.0.0.1:0")
	r := newRecording(t)
	s := newSockets(r.Writer, here(t))
	r.sample(s)
	r.sample(s)
	got := r.socketsNow("proto = 'tcp'")
	if who := field(t, got, cookieOf(t, own), "pid"); who != int64(os.Getpid()) {
		t.Errorf("own listener: pid %v, want %d", who, os.Getpid())
	}
	seen := os.Getenv("NETSQL_TEST_WANT") == "seen"
	var want any
	if seen {
		want = int64(pid)
	}
	if who := field(t, got, int64(cookie), "pid"); who != want {
		t.Errorf("root's listener: pid %v, want %v", who, want)
	}
	if user := field(t, got, int64(cookie), "user"); user != "root" {
		t.Errorf("root's listener is made by %v", user)
	}
	outcome := r.rows("SELECT outcome, error FROM sources_now WHERE source = 'owners'")[0]
	if !seen && (outcome["outcome"] != "incomplete" || outcome["error"] != owners.Hidden) {
		t.Errorf("outcome %v", outcome)
	}
	if seen && outcome["error"] == owners.Hidden {
		t.Errorf("told to grant what it has")
	}
	if gaps := r.rows("SELECT detail FROM gaps WHERE source = 'owners'"); !seen && len(gaps) != 1 {
		t.Errorf("gaps: %v", gaps)
	}
}
