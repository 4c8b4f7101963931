package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// restrictTry is the name of a program for tests: it restricts itself as netsql does, tries each of its arguments, and says what came of it.
const restrictTry = "restrict-try"

// tryRestricted is that program: restrict-try asks|shell RECORDING DO:WHAT …
func tryRestricted() {
	ownProcess = true
	how, recording := os.Args[1], os.Args[2]
	r := restrictShell(recording, how == "asks")
	tries := map[string]func(what string) error{
		"read": func(what string) error { _, err := os.ReadFile(what); return err },
		"write": func(what string) error {
			f, err := os.OpenFile(what, os.O_WRONLY|os.O_CREATE, 0o600)
			if err == nil {
				f.Close()
			}
			return err
		},
		"remove":    os.Remove,
		"temporary": func(string) error { f, err := os.CreateTemp("", ""); return errors.Join(err, f.Close()) },
		"run":       func(what string) error { return exec.Command(what).Run() },
		"connect":   func(what string) error { _, err := net.Dial("tcp4", what); return err },
		"listen": func(string) error {
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0) // package net takes MPTCP, which Landlock does not know
			if err == nil {
				err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			}
			return err
		},
		"abstract": func(what string) error { _, err := net.Dial("unix", what); return err },
		"signal": func(what string) error {
			pid, err := strconv.Atoi(what)
			if err == nil {
				err = unix.Kill(pid, 0)
			}
			return err
		},
		"sqlite": func(what string) error { // as a statement would that got past all guards
			db, err := sql.Open("sqlite", "file:"+what+"?mode=rwc")
			if err == nil {
				if _, err = db.Exec("CREATE TABLE t (a)"); err != nil && strings.Contains(err.Error(), "unable to open") {
					err = unix.EACCES
				}
				err = errors.Join(err, db.Close())
			}
			return err
		},
		"helper": func(what string) error {
			f, err := r.system().OpenFile(what, os.O_WRONLY|os.O_CREATE, 0o600)
			if err == nil {
				f.Close()
			}
			return err
		},
	}
	for _, arg := range os.Args[3:] {
		do, what, _ := strings.Cut(arg, ":")
		said := "yes"
		if err := tries[do](what); errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			said = "no"
		} else if err != nil {
			said = err.Error()
		}
		fmt.Println(do, filepath.Base(what), said)
	}
	r.Close()
	exit(0)
}

// recordingFor is a recording of the night in a folder of its own, which everybody may read.
func recordingFor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil {
			_ = os.Chmod(d, info.Mode()|0o055)
		}
	}
	path := filepath.Join(dir, "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// needLandlock skips where the kernel has none, or not all that the program uses.
func needLandlock(t *testing.T) {
	t.Helper()
	if abi, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); errno != 0 || abi < 6 {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
			t.Fatalf("this kernel has no Landlock of version 6: %d, %v", abi, errno)
		}
		t.Skipf("this kernel has no Landlock of version 6: %d, %v", abi, errno)
	}
}

// environment is that of the tests with changes; what is set to "" is not in it.
func environment(changes ...string) []string {
	env := os.Environ()
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		if value != "" {
			env = append(env, change)
		}
	}
	return env
}

// What asks a recording can do nothing else, and the same program can when restrictions are switched off.
func TestRestrictedProcessReachesTheRecordingOnly(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	path := recordingFor(t)
	dir := filepath.Dir(path)
	other := filepath.Join(dir, "other")
	for _, name := range []string{other, filepath.Join(dir, "gone")} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	abstract := fmt.Sprintf("@netsql-test-%d", os.Getpid())
	local, err := net.Listen("unix", abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	true_, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	tries := []string{"read:" + path, "read:/etc/passwd", "read:" + other, "write:" + path, "write:" + path + "-wal", "write:" + path + "-shm", "write:" + filepath.Join(dir, "new"),
		"sqlite:" + filepath.Join(dir, "new.db"),
		"temporary:", "run:" + true_, "connect:" + listener.Addr().String(), "listen:", "abstract:" + abstract, "signal:" + strconv.Itoa(os.Getpid()),
		"helper:" + filepath.Join(dir, "named"), "remove:" + filepath.Join(dir, "gone")}
	for _, c := range []struct {
		how, off string
		may      []string
	}{
		{"asks", "", []string{"read night.db", "read passwd", "write night.db-shm", "temporary ."}},
		{"shell", "", []string{"read night.db", "read passwd", "read other", "write night.db-shm", "temporary .", "helper named"}},
		{"shell", "off", nil},
	} {
		cmd := exec.Command(restrictTry, append([]string{c.how, path}, tries...)...)
		cmd.Env = environment("NETSQL_LANDLOCK="+c.off, "TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(lines) != len(tries) {
			t.Fatalf("%s", out)
		}
		for _, line := range lines {
			want := " no"
			if c.off != "" || slices.ContainsFunc(c.may, func(may string) bool { return strings.HasPrefix(line, may+" ") }) {
				want = " yes"
			}
			if !strings.HasSuffix(line, want) {
				t.Errorf("%s %s: %s, not%s", c.how, c.off, line, want)
			}
		}
	}
}

// writingCommands write all that dot-commands can write, and run what they can run.
const writingCommands = `.output out.csv
SELECT comm, last_count FROM leaks;
.output
.once |tr a-z A-Z > piped
SELECT comm FROM leaks;
.once /dev/stderr
SELECT 3;
.backup copy.db
.scratch mine.db
CREATE TABLE scratch.t AS SELECT 1 AS a;
INSERT INTO scratch.t VALUES (2);
SELECT sum(a) FROM scratch.t;
.attach copy.db c
SELECT count(*) FROM c.samples;
ATTACH 'copy.db' AS d;
SELECT count(*) FROM d.samples;
.note hello there
SELECT text FROM notes ORDER BY ts DESC LIMIT 1;
.shell echo run > run; echo said; exit 3
.shell cat
SELECT count(*) > 0 FROM live.sockets;
.save mine
.run mine
.excel
SELECT 4;
.read asked.sql
.once out.csv
SELECT 'again';
.import out.csv imported
SELECT * FROM imported;
.once nowhere/x
.once link
SELECT 5;
.backup copy.db
`

// With restrictions each dot-command does what it does without, for root and for others, and leaves the same files.
func TestDotCommandsWorkUnderRestrictions(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	recording := recordingFor(t)
	text, err := os.ReadFile(recording)
	if err != nil {
		t.Fatal(err)
	}
	run := func(off string, uid int) (string, []string) {
		dir, temporary := filepath.Join(filepath.Dir(recording), fmt.Sprintf("as%d%s", uid, off)), t.TempDir()
		for _, d := range []string{dir, temporary} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{"night.db": string(text), "asked.sql": "SELECT 'read';\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o640); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("target", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{dir, temporary, filepath.Join(dir, "night.db"), filepath.Join(dir, "asked.sql"), filepath.Join(dir, "link")} {
			if err := os.Lchown(name, uid, uid); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(ownCopy(t), "--no-bail", "night.db")
		cmd.Dir, cmd.Stdin = dir, strings.NewReader(writingCommands)
		cmd.Env = environment("NETSQL_LANDLOCK="+off, "TMPDIR="+temporary, "HOME="+dir, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "TZ=UTC")
		if uid != os.Geteuid() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != exitFailed { // of three commands
			t.Errorf("as %d: %v", uid, err)
		}
		said := strings.ReplaceAll(strings.ReplaceAll(string(out), dir, "HERE"), temporary, "TMP")
		said = regexp.MustCompile(`netsql-\d+\.csv`).ReplaceAllString(said, "netsql-N.csv")
		lines := strings.Split(said, "\n") // errors and results come in two streams
		slices.Sort(lines)
		return strings.Join(lines, "\n"), slices.Concat(filesIn(t, dir), filesIn(t, temporary))
	}
	uids := []int{os.Geteuid()}
	if os.Geteuid() == 0 {
		uids = append(uids, 65534)
	}
	for _, uid := range uids {
		said, files := run("", uid)
		wantSaid, wantFiles := run("off", uid)
		if !strings.Contains(wantSaid, "hello there") || !slices.ContainsFunc(wantFiles, func(f string) bool { return strings.HasPrefix(f, "piped ") }) {
			t.Fatalf("without restrictions as %d: %s\n%q", uid, wantSaid, wantFiles)
		}
		if diff := cmp.Diff(wantSaid, said); diff != "" {
			t.Errorf("as %d, what is said (-without, +with restrictions):\n%s", uid, diff)
		}
		if diff := cmp.Diff(wantFiles, files); diff != "" {
			t.Errorf("as %d, the files (-without, +with restrictions):\n%s", uid, diff)
		}
	}
}

// ownCopy is the program where every user may run it.
func ownCopy(t *testing.T) string {
	t.Helper()
	from, err := exec.LookPath("netsql")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for d := dir; d != filepath.Dir(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil {
			_ = os.Chmod(d, info.Mode()|0o055)
		}
	}
	to := filepath.Join(dir, "netsql")
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// filesIn are the files below a folder, with mode and, where it does not change from run to run, size.
func filesIn(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), "netsql-tmp-") { // it stays, and is empty
			return nil
		}
		name, _ = filepath.Rel(dir, name)
		name = regexp.MustCompile(`\d{4,}`).ReplaceAllString(name, "N")
		size := info.Size()
		if d.IsDir() || strings.Contains(name, "night.db") || strings.Contains(name, "copy.db") {
			size = 0
		}
		all = append(all, fmt.Sprintf("%s %v %d", name, info.Mode(), size))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// underFilter runs a command whose system call of that number gives an error, or ends it (seccomp(2)).
func underFilter(t *testing.T, cmd *exec.Cmd, number, action uint32) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the filter
		filter := []unix.SockFilter{
			{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0},
			{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: number},
			{Code: unix.BPF_RET | unix.BPF_K, K: action},
			{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		}
		program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			done <- err
			return
		}
		if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
			done <- err
			return
		}
		done <- cmd.Start()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// Where the kernel has no Landlock, all goes on, and .show says so.
func TestWithoutLandlockTheShellGoesOn(t *testing.T) {
	t.Parallel()
	path := recordingFor(t)
	for _, c := range []struct{ name, script, want string }{
		{"a statement", "SELECT 6 * 7", "42"},
		{"a shell", ".show", "restricted: no: this kernel has no Landlock"},
		{"a command that writes", ".once " + filepath.Join(t.TempDir(), "x") + "\nSELECT 1;\n.print done", "done"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "netsql", path, c.script)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		underFilter(t, cmd, unix.SYS_LANDLOCK_CREATE_RULESET, unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS))
		if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: %v, %s", c.name, err, out.String())
		}
	}
}

// Each command that reads a recording restricts itself before it reads it: under a filter that kills what restricts itself it never comes to find out
// that the file is none.
func TestCommandsRestrictThemselvesFirst(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "no.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no recording\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{path, "SELECT 1"}, {path, "-c", ".show"}, {path}, {"status", path}, {"doctor", path}, {"doctor", "--new", path}, {"check", path},
		{"export", "--db", path, filepath.Join(dir, "out")}, {"slice", "--db", path, "-o", filepath.Join(dir, "slice.db")},
		{"explain", "--db", path, "TIME_WAIT"}, {"ss", "--db", path}, {"netstat", "--db", path}, {"why", "--db", path, "10.0.0.1"},
	} {
		cmd := exec.Command("netsql", args...)
		cmd.Env = environment("HOME="+dir, "XDG_STATE_HOME=")
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		underFilter(t, cmd, unix.SYS_LANDLOCK_RESTRICT_SELF, unix.SECCOMP_RET_KILL_PROCESS)
		_ = cmd.Wait()
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != unix.SIGSYS {
			t.Errorf("netsql %s: %v, %s", strings.Join(args, " "), cmd.ProcessState, out.String())
		}
	}
}

// A recording that lies where nobody may write, and one that a recorder writes to, are read as without restrictions.
func TestRestrictedReadsWhatItReadBefore(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	path := recordingFor(t)
	dir := filepath.Dir(path)
	program := ownCopy(t)
	ask := func(off string, uid int) (string, []string) {
		cmd := exec.Command(program, path, "SELECT count(*), (SELECT count(*) FROM (SELECT s.comm FROM sockets s ORDER BY s.comm, s.ts)) FROM samples")
		cmd.Env = environment("NETSQL_LANDLOCK="+off, "HOME="+dir)
		if uid != os.Geteuid() {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("as %d, %q: %v", uid, off, err)
		}
		return string(out), filesIn(t, dir)
	}
	beside := func(remove bool) {
		for _, part := range []string{"-wal", "-shm"} {
			if remove {
				_ = os.Remove(path + part)
			}
			_ = os.Chmod(path+part, 0o644)
		}
	}
	uids := []int{os.Geteuid()}
	if os.Geteuid() == 0 {
		uids = append(uids, 65534)
	}
	for _, uid := range uids {
		for _, remove := range []bool{false, true} {
			beside(remove)
			want, wantFiles := ask("off", uid)
			beside(remove)
			got, files := ask("", uid)
			if want != got || want == "" {
				t.Errorf("as %d, sidecars removed %v: %q, without restrictions %q", uid, remove, got, want)
			}
			if diff := cmp.Diff(wantFiles, files); diff != "" {
				t.Errorf("as %d, sidecars removed %v (-without, +with restrictions):\n%s", uid, remove, diff)
			}
		}
	}
}

// On a terminal the files and programs that the user names work as well, also after the shell had to take its own place, and nothing stays behind.
func TestRestrictedShellOnATerminal(t *testing.T) {
	needLandlock(t)
	path := recordingFor(t)
	dir := filepath.Dir(path)
	temporary := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("TMPDIR", temporary)
	t.Setenv("PAGER", "cat > "+filepath.Join(dir, "paged"))
	c := startConsole(t, 100, 30, "netsql", path)
	c.waitPrompt()
	for i, restarted := range []bool{false, true} {
		if restarted {
			c.sendEndlessCall()
			c.send("\x03")
			c.waitFor("cancelled: the shell was restarted")
			c.waitPrompt()
		}
		_ = os.Remove(filepath.Join(dir, "paged"))
		for _, line := range []string{fmt.Sprintf(".once %s/once%d\rSELECT 6 * 7;", dir, i), fmt.Sprintf(".backup %s/copy%d.db", dir, i), ".help commands", ".show"} {
			c.send(line + "\r")
			c.send(fmt.Sprintf("SELECT 'after' || '%d' || ' %s';\r", i, line[:4]))
			c.waitFor(fmt.Sprintf("│ after%d %s", i, line[:4]))
			c.waitPrompt()
			if line == ".show" {
				c.waitFor("restricted: by Landlock")
			}
		}
		for name, want := range map[string]string{fmt.Sprintf("once%d", i): "42", fmt.Sprintf("copy%d.db", i): "SQLite format 3", "paged": ".backup"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), want) {
				t.Errorf("restarted %v, %s: %v, %.200q", restarted, name, err, text)
			}
		}
	}
	c.send("\x04")
	c.waitExit()
	if left := filesIn(t, temporary); len(left) != 1 { // the folder itself
		t.Errorf("left behind: %q", left)
	}
	if text, err := os.ReadFile(filepath.Join(dir, ".local/state/netsql/history")); err != nil || !strings.Contains(string(text), "6 * 7") {
		t.Errorf("history: %v, %q", err, text)
	}
}

// However a program ends, one folder for temporary files stays, and nothing is in it. Somebody else's of that name is not used.
func TestOneFolderForTemporaryFiles(t *testing.T) {
	t.Parallel()
	needLandlock(t)
	path := recordingFor(t)
	temporary := t.TempDir()
	name := fmt.Sprintf("netsql-tmp-%d", os.Geteuid())
	ask := func() {
		t.Helper()
		cmd := exec.Command("sh", "-c", `for i in 1 2 3; do netsql "$1" 'SELECT * FROM sockets ORDER BY comm' | head -1 > "$2"; done; netsql "$1" 'SELECT 42'`, "sh", path, os.DevNull)
		cmd.Env = environment("TMPDIR="+temporary, "HOME="+filepath.Dir(path))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "42") {
			t.Errorf("%v: %s", err, out)
		}
	}
	ask()
	entries, err := os.ReadDir(temporary)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%v, %v", entries, err)
	}
	within, err := os.ReadDir(filepath.Join(temporary, name))
	if err != nil || len(within) != 0 {
		t.Errorf("%v, %v", within, err)
	}
	if err := os.Remove(filepath.Join(temporary, name)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Dir(path), filepath.Join(temporary, name)); err != nil {
		t.Fatal(err)
	}
	ask()
}

// A shell that records must do all that a recorder does.
func TestShellThatRecordsIsNotRestricted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command("netsql", ".show")
	cmd.Env = environment("HOME="+dir, "XDG_STATE_HOME=", "NETSQL_DB="+filepath.Join(dir, "new.db"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "restricted: no: this process records") {
		t.Errorf("%v: %s", err, out)
	}
}
