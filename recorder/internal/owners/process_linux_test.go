package owners

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

func TestParseStat(t *testing.T) {
	const tail = " S 41 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 200 18446744073709551615 1 1 140737488000000 0 0\n"
	for _, c := range []struct {
		name, text string
		want       procStat
	}{
		{"plain", "43 (nginx)" + tail, procStat{comm: "nginx"}},
		{"a name with everything in it", "43 (a) S 1 (b c)" + tail, procStat{comm: "a) S 1 (b c"}},
		{"a name that is no text", "43 (a\x01\xff)" + tail, procStat{comm: `a\x01\xff`}},
	} {
		c.want.state, c.want.ppid, c.want.Flags, c.want.threads, c.want.Start, c.want.stack = 'S', 41, 4194560, 3, 98765, 140737488000000
		got, err := parseStat([]byte(c.text))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, c.want)
		}
	}
	for _, text := range []string{"", "43", "43 (x", "43 )x(", "43 (x)", "43 (x) S 1 2"} {
		if _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	if text, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := parseStat(text); err == nil && !utf8.ValidString(s.comm) {
			t.Errorf("comm %q", s.comm)
		}
	})
}

func TestParseCgroup(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	for _, c := range []struct{ name, text, cgroup, container, unit string }{
		{"none", "", "", "", ""},
		{"root", "0::/\n", "/", "", ""},
		{"service", "0::/system.slice/ssh.service\n", "/system.slice/ssh.service", "", "ssh.service"},
		{"instance", "0::/system.slice/system-getty.slice/getty@tty1.service\n", "/system.slice/system-getty.slice/getty@tty1.service", "", "getty@tty1.service"},
		{"session", "0::/user.slice/user-1000.slice/session-3.scope\n", "/user.slice/user-1000.slice/session-3.scope", "", "session-3.scope"},
		{"user's service", "0::/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service\n", "/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "", "foo.service"},
		{"below a service", "0::/system.slice/a.service/worker\n", "/system.slice/a.service/worker", "", "a.service"},
		{"only a slice", "0::/user.slice/user-1000.slice\n", "/user.slice/user-1000.slice", "", "user-1000.slice"},
		{"docker, systemd", "0::/system.slice/docker-" + id + ".scope\n", "/system.slice/docker-" + id + ".scope", id, "docker-" + id + ".scope"},
		{"docker, cgroupfs", "0::/docker/" + id + "\n", "/docker/" + id, id, ""},
		{"podman", "0::/machine.slice/libpod-" + id + ".scope/container\n", "/machine.slice/libpod-" + id + ".scope/container", id, "libpod-" + id + ".scope"},
		{"podman's monitor", "0::/machine.slice/libpod-conmon-" + id + ".scope\n", "/machine.slice/libpod-conmon-" + id + ".scope", "", "libpod-conmon-" + id + ".scope"},
		{"podman without root", "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container\n", "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + id + ".scope/container", id, "libpod-" + id + ".scope"},
		{"kubernetes, containerd", "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_cd.slice/cri-containerd-" + id + ".scope\n", "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podab_cd.slice/cri-containerd-" + id + ".scope", id, "cri-containerd-" + id + ".scope"},
		{"kubernetes, cri-o", "0::/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope\n", "/kubepods.slice/kubepods-pod1.slice/crio-" + id + ".scope", id, "crio-" + id + ".scope"},
		{"kubernetes, cgroupfs", "0::/kubepods/burstable/podab-cd/" + id + "\n", "/kubepods/burstable/podab-cd/" + id, id, ""},
		{"containerd by colons", "0::/system.slice/kubepods-pod1.slice:cri-containerd:" + id + "\n", "/system.slice/kubepods-pod1.slice:cri-containerd:" + id, id, "system.slice"},
		{"lxc", "0::/lxc.payload.web/init.scope\n", "/lxc.payload.web/init.scope", "web", "init.scope"},
		{"lxc's monitor", "0::/lxc.monitor.web\n", "/lxc.monitor.web", "", ""},
		{"old lxc", "1:name=systemd:/lxc/web\n", "/lxc/web", "web", ""},
		{"both hierarchies", "12:pids:/x\n1:name=systemd:/system.slice/cron.service\n0::/\n", "/system.slice/cron.service", "", "cron.service"},
		{"v2 beside v1", "4:memory:/x\n0::/a\n", "/a", "", ""},
		{"deleted", "0::/system.slice/x.service (deleted)\n", "/system.slice/x.service (deleted)", "", "x.service"},
		{"not hexadecimal", "0::/docker/" + strings.Repeat("g", 64) + "\n", "/docker/" + strings.Repeat("g", 64), "", ""},
	} {
		got := parseCgroup([]byte(c.text))
		if got != c.cgroup {
			t.Errorf("%s: group %q, want %q", c.name, got, c.cgroup)
		}
		if id := ContainerID(got); id != c.container {
			t.Errorf("%s: container %q, want %q", c.name, id, c.container)
		}
		if unit := SystemdUnit(got); unit != c.unit {
			t.Errorf("%s: unit %q, want %q", c.name, unit, c.unit)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("1:name=systemd:/lxc/web\n0::/system.slice/docker-" + strings.Repeat("a", 64) + ".scope\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := parseCgroup(text)
		if !utf8.ValidString(path) || path != "" && path[0] != '/' {
			t.Errorf("%q", path)
		}
		ContainerID(path)
		SystemdUnit(path)
	})
}

// The group of a socket made in a group made for the test.
func TestSocketCgroup(t *testing.T) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	root := cgroup2Root(text)
	if root == "" {
		kerneltest.NeedKernel(t, "no cgroup2 here")
	}
	group := filepath.Join(root, "netsql test "+time.Now().Format("150405.000"))
	if err := os.Mkdir(group, 0o755); err != nil {
		kerneltest.NeedKernel(t, "no group can be made: "+err.Error())
	}
	t.Cleanup(func() {
		untilTrue(t, "the group can go", func() bool { return unix.Rmdir(group) == nil })
	})
	sh := exec.Command("sh", "-c", `echo $$ > "$0/cgroup.procs"; read x`, group)
	in, err := sh.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); sh.Wait() })
	untilTrue(t, "the shell in its group", func() bool {
		text, _ := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		return len(text) > 0
	})
	var stat unix.Stat_t
	if err := unix.Stat(group, &stat); err != nil {
		t.Fatal(err)
	}
	want := "/" + filepath.Base(group)
	c := NewCgroups()
	if got := c.Path(stat.Ino); got != want {
		t.Errorf("group of id %d: %q, want %q", stat.Ino, got, want)
	}
	if got := c.Path(1 << 60); got != "" {
		t.Errorf("group of an id nobody has: %q", got)
	}
	w, err := store.Create(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "test.db"), Interval: time.Second, Boot: store.Boot{ID: "boot"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.Background())
	o := New(w, NewUsers())
	if err := o.ListProcesses(); err != nil {
		t.Fatal(err)
	}
	p := &Process{PID: int32(sh.Process.Pid)}
	o.describe(p)
	if p.val.CGroup != want {
		t.Errorf("group of the process: %q, want %q", p.val.CGroup, want)
	}
}

func untilTrue(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func TestUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	write := func(text string, mtime int64) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Unix(mtime, 0), time.Unix(mtime, 0)); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	u := NewUsers()
	u.path = path
	u.lookup = func(uid string) (*user.User, error) {
		asked++
		if uid == "70000" {
			return &user.User{Username: "ldap"}, nil
		}
		return nil, errors.New("nobody")
	}
	want := func(uid uint32, want string) {
		t.Helper()
		u.Refresh()
		if got := u.Name(uid); got != want {
			t.Errorf("user %d is %q, want %q", uid, got, want)
		}
	}
	write("# a comment\nroot:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\nbroken\nbob:x:1000:1000::/:\n", 1)
	want(0, "root")
	want(1000, "bob")
	want(1001, "")
	want(1001, "")
	want(70000, "ldap")
	want(70000, "ldap")
	if asked != 2 {
		t.Errorf("the system was asked %d times, want once for each", asked)
	}
	write("root:x:0:0::/:\neve:x:1001:1::/:\n", 2)
	want(1001, "eve")
	want(1000, "")
}

func TestFileLimit(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max open files            1024                 524288               files     \n"
	if got := fileLimit([]byte(limits)); got != store.Of(1024) {
		t.Errorf("%v", got)
	}
	if got := fileLimit([]byte(strings.Replace(limits, "1024 ", "unlimited", 1))); got != (store.Int{}) {
		t.Errorf("unlimited: %v", got)
	}
}
