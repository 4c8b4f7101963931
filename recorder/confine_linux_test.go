package recorder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"netsql/recorder/kerneltest"
)

// listensElsewhere has another process listen, in a network namespace of its own, and returns its pid and the cookie of the listener.
func listensElsewhere(t *testing.T) (pid, cookie int64) {
	t.Helper()
	other := exec.Command(os.Args[0], "-test.run=^TestListenElsewhere$")
	other.Env = append(os.Environ(), "NETSQL_TEST_ELSEWHERE=1")
	other.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); other.Wait() })
	if _, err := fmt.Fscanln(out, &cookie); err != nil {
		t.Fatal(err)
	}
	return int64(other.Process.Pid), cookie
}

// once takes a sample of two network namespaces, and returns what it says of privileges and sources, and who it says has the socket.
func once(t *testing.T, pid, cookie int64, c Config) (has map[string]bool, outcomes map[string]string, owner any) {
	t.Helper()
	var err error
	if c.NetNS, err = ParseNetNS(fmt.Sprintf("self,pid:%d", pid)); err != nil {
		t.Fatal(err)
	}
	c.Interval, c.Once = MinInterval, true
	if err := Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	r := &testRecording{t: t, path: c.Path}
	has, outcomes = map[string]bool{}, map[string]string{}
	for _, row := range r.rows("SELECT name, available FROM capabilities WHERE run = (SELECT max(run) FROM runs)") {
		has[row["name"].(string)] = row["available"] == int64(1)
	}
	for _, row := range r.rows("SELECT source || ' ' || coalesce(netns, '') AS name, outcome FROM sources_now") {
		outcomes[row["name"].(string)] = row["outcome"].(string)
	}
	for _, row := range r.rows("SELECT pid FROM sockets_now WHERE cookie = ?", cookie) {
		owner = row["pid"]
	}
	return has, outcomes, owner
}

// A recorder that was started as root keeps five privileges, in all threads, and records all that it did before.
func TestConfinedRecorderRecordsAll(t *testing.T) {
	if !kerneltest.InNetNS(t) {
		return
	}
	loopback(t)
	pid, cookie := listensElsewhere(t)
	wantHas, want, owner := once(t, pid, cookie, Config{Path: filepath.Join(t.TempDir(), "free.db")})
	if owner != pid {
		t.Errorf("free: %v listens, want %d", owner, pid)
	}
	gotHas, got, owner := once(t, pid, cookie, Config{Path: filepath.Join(t.TempDir(), "confined.db"), Confined: true})
	if owner != pid {
		t.Errorf("confined: %v listens, want %d", owner, pid)
	}
	for name, has := range wantHas {
		if gotHas[name] != has && name != "confined" {
			t.Errorf("%s: %v, and %v when confined", name, has, gotHas[name])
		}
	}
	if wantHas["confined"] || !gotHas["confined"] {
		t.Errorf("said to be confined: %v, and %v when it is", wantHas["confined"], gotHas["confined"])
	}
	for name, outcome := range want {
		if got[name] != outcome {
			t.Errorf("source %s: %s, and %q when confined", name, outcome, got[name])
		}
	}
	kept := uint64(1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH | 1<<unix.CAP_SYS_ADMIN | 1<<unix.CAP_PERFMON)
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads %v: %v", threads, err)
	}
	for _, file := range threads {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		lines := strings.Split(string(status), "\n")
		for _, want := range []string{fmt.Sprintf("CapPrm:\t%016x", kept), fmt.Sprintf("CapEff:\t%016x", kept), fmt.Sprintf("CapBnd:\t%016x", kept), "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !slices.Contains(lines, want) {
				t.Errorf("%s lacks %q", file, want)
			}
		}
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable: %d, %v", dumpable, err)
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Max != 0 {
		t.Errorf("core dumps up to %d, %v", core.Max, err)
	}
}

// Of a user who has all privileges but one the recording says what is lost, and that is what is lost.
func TestRecorderWithoutOnePrivilege(t *testing.T) {
	for _, c := range []struct {
		without cap.Value
		lost    []string // of capabilities
		owner   bool     // whether it knows who listens
	}{
		{cap.NET_ADMIN, []string{"CAP_NET_ADMIN", "mark", "firewall", "large event buffer"}, true},
		{cap.SYS_PTRACE, []string{"CAP_SYS_PTRACE", "owners of all sockets"}, false},
		{cap.DAC_READ_SEARCH, []string{"CAP_DAC_READ_SEARCH", "owners of all sockets", "tracing of connections", "tracing of dropped packets"}, false},
		{cap.PERFMON, []string{"CAP_PERFMON"}, true},
		{cap.SYS_ADMIN, []string{"CAP_SYS_ADMIN", "all network namespaces"}, false},
		{cap.NET_RAW, nil, true}, // it needs no more than the five
	} {
		t.Run(c.without.String(), func(t *testing.T) {
			if !kerneltest.InNetNS(t) {
				return
			}
			loopback(t)
			pid, cookie := listensElsewhere(t)
			dir := t.TempDir()
			all, _, _ := once(t, pid, cookie, Config{Path: filepath.Join(dir, "free.db")})
			for at := dir; at != os.TempDir(); at = filepath.Dir(at) { // who is that user then can remove it
				if err := os.Chown(at, 65534, 65534); err != nil {
					t.Fatal(err)
				}
			}
			if err := cap.SetUID(65534); err != nil {
				t.Fatal(err)
			}
			set := cap.NewSet()
			for _, p := range privileges {
				if p.value == c.without {
					continue
				}
				for _, flag := range []cap.Flag{cap.Permitted, cap.Effective} {
					if err := set.SetFlag(flag, true, p.value); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := set.SetProc(); err != nil {
				t.Fatal(err)
			}
			has, _, owner := once(t, pid, cookie, Config{Path: filepath.Join(dir, "confined.db"), Confined: true})
			if _, err := os.Stat("/sys/kernel/tracing/events"); err != nil && c.without == cap.SYS_ADMIN {
				c.lost = append(c.lost, "tracing of connections", "tracing of dropped packets") // as it cannot mount tracefs
			}
			for name, had := range all {
				if lost := slices.Contains(c.lost, name); name != "confined" && had && has[name] == lost {
					t.Errorf("%s: there %v, want it lost: %v", name, has[name], lost)
				}
			}
			if knows := owner == pid; knows != c.owner {
				t.Errorf("%v listens, it is %d", owner, pid)
			}
		})
	}
}
