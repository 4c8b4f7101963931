package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A detached is a recorder that a test has put into the background.
type detached struct {
	t              *testing.T
	dir, db, pid   string
	said           string // by the process that did so
	process, exits int
}

// startDaemon runs record --daemon, until it has put the recorder into the background or failed.
func startDaemon(t *testing.T, dir string, words ...string) *detached {
	t.Helper()
	d := &detached{t: t, dir: dir, db: filepath.Join(dir, "d.db"), pid: filepath.Join(dir, "d.pid")}
	outer, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	netsql := exec.CommandContext(t.Context(), "netsql", append([]string{"record", "--daemon", "--pid-file", "d.pid", "--netns", "self", "--interval", "100ms"}, words...)...)
	netsql.Dir = dir
	netsql.Env = append(os.Environ(), "NETSQL_CONFIG="+os.DevNull, "NETSQL_DB=d.db")
	netsql.ExtraFiles = []*os.File{tell, tell} // that a daemon must not keep
	out, err := netsql.CombinedOutput()        // it has neither of these
	tell.Close()
	if err := outer.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(outer); err != nil {
		t.Errorf("somebody has a descriptor of who started it: %v", err)
	}
	d.said, d.exits = string(out), netsql.ProcessState.ExitCode()
	if text, err := os.ReadFile(d.pid); err == nil {
		d.process, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if err == nil && d.process > 0 {
		t.Cleanup(func() {
			if d.process > 0 {
				syscall.Kill(d.process, syscall.SIGKILL)
			}
		})
	}
	return d
}

// ask is the answer to a question about the recording.
func (d *detached) ask(question string) string {
	d.t.Helper()
	out, err := exec.CommandContext(d.t.Context(), "netsql", "-H", d.db, question).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", question, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *detached) until(what string, is func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (d *detached) stop() {
	d.t.Helper()
	if err := syscall.Kill(d.process, syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	d.until("it ends, and removes its pid file", func() bool { _, err := os.Stat(d.pid); return os.IsNotExist(err) })
	d.until("the run was stopped", func() bool { return d.ask("SELECT stopped > started FROM runs ORDER BY run DESC LIMIT 1") == "1" })
	d.process = 0
}

func TestDaemon(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, t.TempDir())
	if d.exits != exitOK || d.process == 0 || !strings.Contains(d.said, fmt.Sprintf("recording into %s in the background, process %d; kill %[2]d ends it, %s/d.log has what it says\n", d.db, d.process, d.dir)) {
		t.Fatalf("exit code %d: %s", d.exits, d.said)
	}
	if got := d.ask("SELECT count(*) > 0 FROM samples"); got != "1" {
		t.Error("it went into the background before its first sample")
	}
	of := func(name string) string { return fmt.Sprintf("/proc/%d/%s", d.process, name) }
	if in, err := os.Readlink(of("fd/0")); err != nil || in != os.DevNull {
		t.Errorf("it reads %s, %v", in, err)
	}
	if dir, err := os.Readlink(of("cwd")); err != nil || dir != "/" {
		t.Errorf("it works in %s, %v", dir, err)
	}
	if session, err := unix.Getsid(d.process); err != nil || session != d.process {
		t.Errorf("its session is %d, %v", session, err)
	}

	second := startDaemon(t, d.dir, "--db", "another.db")
	if want := fmt.Sprintf("netsql: a recorder runs already, process %d: it holds %s\n", d.process, d.pid); second.exits != exitFailed || second.said != want {
		t.Errorf("a second one ends with %d: %s", second.exits, second.said)
	}
	third := startDaemon(t, d.dir, "--pid-file", "another.pid")
	if want := fmt.Sprintf("netsql: %s: another recorder is writing to it, process %d", d.db, d.process); third.exits != exitFailed || !strings.HasPrefix(third.said, want) {
		t.Errorf("a third one ends with %d: %s", third.exits, third.said)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "another.pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file of one that failed: %v", err)
	}

	if err := syscall.Kill(d.process, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	before := d.ask("SELECT count(*) FROM samples")
	d.until("samples after SIGHUP", func() bool { return d.ask("SELECT count(*) > 1 + "+before+" FROM samples") == "1" })
	d.stop()
	text, err := os.ReadFile(filepath.Join(d.dir, "d.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if when, rest, _ := strings.Cut(line, " "); rest == "" {
			t.Errorf("the log has %q", line)
		} else if _, err := time.Parse(time.DateOnly, when); err != nil {
			t.Errorf("the log has %q", line)
		}
	}
	if !strings.Contains(string(text), " info: recording into "+d.db+" every 100ms") {
		t.Errorf("the log: %s", text)
	}
	again := startDaemon(t, d.dir)
	if again.exits != exitOK || again.process == d.process {
		t.Errorf("again: exit code %d, %s", again.exits, again.said)
	}
	again.stop()
}

// A pid file that is left of one that was killed is no hindrance.
func TestDaemonAfterAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "d.pid"), []byte("1\nand more"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, dir, "--log-file", "elsewhere")
	if text, err := os.ReadFile(d.pid); err != nil || string(text) != fmt.Sprintln(d.process) {
		t.Errorf("the pid file has %q, %v", text, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "elsewhere")); err != nil || len(text) == 0 {
		t.Errorf("the log has %q, %v", text, err)
	}
	d.stop()
}

func TestDaemonThatCannotStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		exits      int
		words      []string
		make       func(dir string) error
	}{
		{"no recording", "netsql: d.txt is not a recording", exitFailed, []string{"--db", "d.txt"}, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "d.txt"), []byte(strings.Repeat("text", 1000)), 0o600)
		}},
		{"a log that is a link", "is a link: name the file with --log-file", exitFailed, nil, func(dir string) error {
			return os.Symlink("elsewhere", filepath.Join(dir, "d.log"))
		}},
		{"a pid file that is a link", "is a link: name the file with --pid-file", exitFailed, nil, func(dir string) error {
			return os.Symlink("elsewhere", filepath.Join(dir, "d.pid"))
		}},
		{"no such user", "netsql: there is no user nobodyatall", exitFailed, []string{"--as", "nobodyatall"}, nil},
		{"once", "--daemon and --once", exitUsage, []string{"--once"}, nil},
		{"without --daemon", "--pid-file belongs to --daemon", exitUsage, []string{"--daemon=false"}, nil},
	} {
		dir := t.TempDir()
		if c.make != nil {
			if err := c.make(dir); err != nil {
				t.Fatal(err)
			}
		}
		d := startDaemon(t, dir, c.words...)
		said := strings.ReplaceAll(d.said, dir+"/", "")
		if d.exits != c.exits || !strings.Contains(said, c.want) || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: exit code %d, %s", c.name, d.exits, d.said)
		}
		if _, err := os.Stat(filepath.Join(dir, "elsewhere")); !os.IsNotExist(err) {
			t.Errorf("%s: a link was followed: %v", c.name, err)
		}
		if info, err := os.Lstat(d.pid); err == nil && info.Mode().IsRegular() {
			t.Errorf("%s: the pid file is left", c.name)
		}
	}
}

// Root's recorder becomes another user, and keeps what it needs.
func TestDaemonAsAnother(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root becomes another user")
	}
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(folder, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, dir, "--as", "nobody", "--db", "folder/d.db", "--log-file", "folder/log")
	if d.exits != exitOK {
		t.Fatal(d.said)
	}
	d.db = filepath.Join(folder, "d.db")
	for _, file := range []string{d.db, filepath.Join(folder, "log")} {
		if info, err := os.Stat(file); err != nil || info.Sys().(*syscall.Stat_t).Uid != 65534 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", d.process))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("%d threads, %v", len(tasks), err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		for _, want := range []string{"\nUid:\t65534\t65534\t65534\t65534\n", "\nGroups:\t65534 \n", "\nCapEff:\t0000004000281004\n", "\nCapBnd:\t0000004000281004\n", "\nCapInh:\t0000000000000000\n", "\nNoNewPrivs:\t1\n"} {
			if !strings.Contains(string(status), want) {
				t.Errorf("a thread has not %q:\n%s", want, status)
			}
		}
	}
	// The pid file is root's, in a folder of root: it stays, and is empty.
	if err := syscall.Kill(d.process, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.until("it ends", func() bool { text, err := os.ReadFile(d.pid); return err == nil && len(text) == 0 })
	d.process = 0
}
