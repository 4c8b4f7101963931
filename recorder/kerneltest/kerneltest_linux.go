package kerneltest

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// InNamespace runs the rest of the test in a fresh user, network and mount namespace, as its
// root: a plain user may do so, and nothing it builds there outlives the test. It works by
// running the test binary again for this one test; in that second process it returns true.
//
//	func TestRoutes(t *testing.T) {
//		if !inNamespace(t) {
//			return
//		}
//		ip(t, "link set lo up") …
//
// Where the system forbids namespaces the test is skipped, unless NETSQL_REQUIRE_KERNEL=1
// (as in .ci/run): then it fails.
func InNamespace(t *testing.T) bool {
	t.Helper()
	return again(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	})
}

// InNetNS is InNamespace for a test that needs the rights of the machine's root, such as to tracepoints: only the network namespace is a fresh one. Other
// users skip the test.
func InNetNS(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	return again(t, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET})
}

// again runs the test once more, in a process of its own.
func again(t *testing.T, attr *syscall.SysProcAttr) bool {
	t.Helper()
	if os.Getenv("NETSQL_TEST_NAMESPACE") == t.Name() {
		return true
	}
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run="+onlyThis(t.Name()), "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_NAMESPACE="+t.Name())
	cmd.SysProcAttr = attr
	out, err := Output(cmd)
	if cmd.Process == nil {
		NeedKernel(t, "no namespaces here: "+err.Error())
	}
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("in its namespace: %v", err)
	}
	return false
}

// starter is a thread that lives as long as the process.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for do := range work {
			do()
		}
	}()
	return work
})

// Start starts a command that the kernel kills when this process ends. It does so when the thread ends that started the command (prctl(2),
// PR_SET_PDEATHSIG), and a thread of Go ends with a goroutine that had it for itself, such as one in another namespace.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	starter() <- func() { started <- cmd.Start() }
	return <-started
}

// Output starts a command as Start does, waits for it, and gives what it wrote.
func Output(cmd *exec.Cmd) ([]byte, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := Start(cmd); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	return out.Bytes(), err
}

// onlyThis is the pattern of that test alone: each level is a pattern of its own.
func onlyThis(name string) string {
	levels := strings.Split(name, "/")
	for i, level := range levels {
		levels[i] = "^" + regexp.QuoteMeta(level) + "$"
	}
	return strings.Join(levels, "/")
}

// NeedKernel skips the test for want of something of the kernel or the system, or fails
// it where that is required.
func NeedKernel(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// Command runs an independent tool, the oracle of a test, and returns what it prints.
func Command(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		NeedKernel(t, name+" is not installed (Debian: iproute2)")
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// NeedTracing skips the test where tracepoints may not be read, for that reason: a plain user may not, nor may root of a user namespace or of many a
// container.
func NeedTracing(t *testing.T, reason error) {
	t.Helper()
	t.Skipf("tracepoints cannot be read here: %v", reason)
}
