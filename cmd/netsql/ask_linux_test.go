package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"netsql/cmd/netsql/ask"
	"netsql/cmd/netsql/manual"
	"netsql/store"
)

// A lab is an sshd on loopback. It is as many hosts as ssh's configuration has names: the name goes along as a variable, and the command that sshd runs
// first reads what the host of that name is like.
type lab struct {
	dir    string
	config string
}

// newLab starts the sshd, which ends with the test. Hosts are the lines of sh that make each what it is.
func newLab(t *testing.T, hosts map[string]string) lab {
	t.Helper()
	sshd := "/usr/sbin/sshd"
	for _, program := range []string{sshd, "ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // sshd wants it, and a distribution makes it when it starts its own
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l := lab{dir: t.TempDir()}
	l.config = filepath.Join(l.dir, "ssh_config")
	for _, name := range []string{"host_key", "user_key", "other_key"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", filepath.Join(l.dir, name)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	listener.Close()
	hostKey, err := os.ReadFile(filepath.Join(l.dir, "host_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	userKey, err := os.ReadFile(filepath.Join(l.dir, "user_key.pub"))
	if err != nil {
		t.Fatal(err)
	}
	l.write(t, "authorized_keys", string(userKey))
	l.write(t, "known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", port, hostKey))
	l.write(t, "sshd_config", fmt.Sprintf(`
ListenAddress 127.0.0.1
Port %d
HostKey %[2]s/host_key
AuthorizedKeysFile %[2]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 100
PrintMotd no
AcceptEnv LAB_HOST
ForceCommand %[2]s/login
`, port, l.dir))
	l.write(t, "login", "#!/bin/sh\nshell=/bin/sh\n. "+l.dir+"/hosts/$LAB_HOST\nexec $shell -c \"$SSH_ORIGINAL_COMMAND\"\n")
	if err := errors.Join(os.Chmod(filepath.Join(l.dir, "login"), 0o755), os.Mkdir(filepath.Join(l.dir, "hosts"), 0o755)); err != nil {
		t.Fatal(err)
	}
	config := ""
	for name, is := range hosts {
		l.write(t, "hosts/"+name, is)
		key := "user_key"
		if name == "nokey" {
			key = "other_key"
		}
		config += fmt.Sprintf("Host %s\n  SetEnv LAB_HOST=%[1]s\n  IdentityFile %s/%s\n", name, l.dir, key)
	}
	l.write(t, "ssh_config", config+fmt.Sprintf(`
Host configured
  RemoteCommand echo this is for people
  RequestTTY force
  LocalForward 127.0.0.1:%[2]d 127.0.0.1:1
  ExitOnForwardFailure yes
Host unknown
  UserKnownHostsFile /dev/null
Host refused
  Port 1
Host *
  HostName 127.0.0.1
  Port %[2]d
  User %[3]s
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile %[1]s/known_hosts
  StrictHostKeyChecking yes
`, l.dir, port, me.Username))
	var log bytes.Buffer
	daemon := exec.Command(sshd, "-D", "-e", "-f", filepath.Join(l.dir, "sshd_config"))
	daemon.Stderr = &log
	daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	t.Cleanup(func() {
		_ = syscall.Kill(-daemon.Process.Pid, syscall.SIGTERM)
		<-ended
	})
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return l
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("sshd ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (l lab) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// labHost is one with this netsql and a recording.
func labHost(recording string) string {
	program, err := exec.LookPath("netsql")
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("export PATH=%s:/usr/bin:/bin NETSQL_CONFIG=/dev/null NETSQL_DB=%s TZ=UTC\n", filepath.Dir(program), recording)
}

// ask runs netsql ask.
func (l lab) ask(t *testing.T, env []string, args ...string) (out, complaints string, code int) {
	t.Helper()
	c := l.command(t.Context(), env, args...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	l.nothingRuns(t)
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

func (l lab) command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "netsql", append([]string{"ask", "-e", "ssh -F " + l.config}, args...)...)
	c.Env = append(append(os.Environ(), "TZ=UTC", "NETSQL_CONFIG=/dev/null"), env...)
	c.Dir = l.dir
	return c
}

// running are the ssh of this lab.
func (l lab) running(t *testing.T) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range all {
		text, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(text), "ssh\x00") && strings.Contains(string(text), "-F\x00"+l.config) {
			found = append(found, fmt.Sprintf("%s: %q", file, text))
		}
	}
	return found
}

func (l lab) nothingRuns(t *testing.T) {
	t.Helper()
	for _, process := range l.running(t) {
		t.Errorf("%s is left", process)
	}
}

// freshRecording has one sample, of now.
func freshRecording(t *testing.T, path string) {
	t.Helper()
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Hour, Version: "test", Boot: store.Boot{ID: "b", Host: "web1", Started: time.Now().Add(-time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	w.Begin(store.Clock{Wall: time.Now(), Uptime: time.Hour, Awake: time.Hour})
	if err := errors.Join(w.Commit(t.Context(), store.Cost{}), w.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// Each host answers, or fails for its own reason, and harms no other.
func TestAsk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	nightly, now := filepath.Join(dir, "night.db"), filepath.Join(dir, "now.db")
	if err := night(nightly); err != nil {
		t.Fatal(err)
	}
	freshRecording(t, now)
	program, err := exec.LookPath("netsql")
	if err != nil {
		t.Fatal(err)
	}
	// An older one knows no --no-record, and lacks columns; the oldest has no --mode quote either.
	for name, refuses := range map[string]string{"older": "--no-record", "oldest": "--no-record|quote"} {
		bin := filepath.Join(dir, name)
		text := fmt.Sprintf(`#!/bin/sh
if [ "$1" = version ]; then echo netsql 0.0.9; exit; fi
for word in "$@"; do case $word in %s) echo "netsql: no flag $word" >&2; exit 2;; esac; done
sed 's/\*/comm, state/' | %s "$@"
`, refuses, program)
		if err := errors.Join(os.Mkdir(bin, 0o755), os.WriteFile(filepath.Join(bin, "netsql"), []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	is := labHost(now)
	of := func(bin, recording string) string {
		return is + "export PATH=" + dir + "/" + bin + ":$PATH NETSQL_DB=" + recording + "\n"
	}
	hosts := map[string]string{
		"web1": is, "web2": is, "unknown": is, "configured": is, "nokey": is, "refused": is,
		"night":        labHost(nightly),
		"night2":       labHost(nightly),
		"banner":       is + "printf 'Welcome to \\033[31mweb3'; echo 'mind the step' >&2\n",
		"bash":         is + "shell=bash\n",
		"unrecorded":   is + "export NETSQL_DB=" + dir + "/none.db\n",
		"older":        of("older", now),
		"oldest":       of("oldest", nightly),
		"olderwithout": of("older", dir+"/none.db") + "export HOME=" + dir + "\n",
		"nologin":      "echo This account is currently not available.; exit 1\n",
		"garbage":      "exec head -c 300000 /dev/urandom\n",
		"endless":      "exec tr '\\0' x </dev/zero\n",
		"rude":         "printf 'go \\033]0;away\\007\\n' >&2; exit 3\n",
		"hangs":        "exec sleep 60\n",
		"big":          is,
		"breaks":       is + "shell='timeout -s KILL 1 sh'\n",
	}
	if _, err := os.Stat("/var/lib/netsql/netsql.db"); err == nil {
		delete(hosts, "olderwithout")
	}
	for _, place := range []string{"/usr/local/bin/netsql", "/usr/bin/netsql", "/bin/netsql", "/opt/netsql/bin/netsql"} {
		if _, err := os.Stat(place); err == nil {
			t.Logf("%s is there: a host without netsql is not tried", place)
			delete(hosts, "bare")
			break
		}
		hosts["bare"] = "export PATH=/usr/bin:/bin HOME=" + dir + "\n"
	}
	l := newLab(t, hosts)
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		out  string // all of it
		err  string // a pattern of all lines
	}{
		{"in the order that was given", nil, []string{"web2", "web1", "bash", "banner", "SELECT 7 AS n, 'x' AS t"}, 0,
			"host|n|t\nweb2|7|x\nweb1|7|x\nbash|7|x\nbanner|7|x\n", ``},
		{"with settings for people", nil, []string{"configured", "SELECT 1 AS n"}, 0, "host|n\nconfigured|1\n", ``},
		{"a host that is named twice is asked once", nil, []string{"web1", "web1", "-m", "csv", "SELECT count(*) AS n FROM samples"}, 0, "host,n\nweb1,1\n", ``},
		{"stale", nil, []string{"night", "-m", "csv", "SELECT 1 AS n"}, 0, "host,n\nnight,1\n",
			`note: night: the recording is stale: its newest sample is .* old, of 2026-11-23 04:00:00; netsql status there says why\n`},
		{"no recording, and none is begun", nil, []string{"web1", "unrecorded", "SELECT 1 AS n"}, 1, "host|n\nweb1|1\n", `netsql: unrecorded: .*none\.db.*\n`},
		{"older", nil, []string{"web1", "older", "SELECT * FROM (SELECT 'a' AS comm, 2 AS port, 'b' AS state)"}, 0,
			"host|comm|port|state\nweb1|a|2|b\nolder|a||b\n", `note: older: no port: NULL there \(netsql 0\.0\.9\)\n`},
		{"older without a recording", nil, []string{"olderwithout", "SELECT 1"}, 1, "", `netsql: olderwithout: nothing is recorded there: netsql service install .*\n`},
		{"oldest", nil, []string{"web1", "oldest", "--at", "2026-11-23 03:00:10", "-m", "quote", "SELECT 9223372036854775807 AS i, at() AS ts, NULL AS n, 1.5 AS r, 'ü''' AS t"}, 1,
			"'host','i','ts','n','r','t'\n'oldest',9223372036854775807,1795402810.0,NULL,1.5,'ü'''\n", `note: oldest: the netsql there is an old one: .*\nnetsql: web1: nothing is known of 2026-11-23 03:00:10.*\n`},
		{"a wrong statement", nil, []string{"web1", "older", "SELECT nosuch FROM sockets_now"}, 1, "",
			`netsql: web1: no such column: nosuch.*\nnetsql: older: no such column: nosuch.*\(netsql 0\.0\.9 there, 0\.1\.0 here\)\n`},
		{"the host's notes", nil, []string{"web1", "web2", "-H", "-m", "list", "SELECT count(*) FROM sockets_now WHERE state = 'LISTENING'"}, 0, "web1|0\nweb2|0\n",
			`note: web1, web2: no state is 'LISTENING'; did you mean 'LISTEN'\?\n`},
		{"all that fails", nil, []string{"nologin", "garbage", "endless", "rude", "refused", "unknown", "nokey", "web1", "SELECT 1 AS n"}, 1, "host|n\nweb1|1\n",
			`netsql: nologin: it runs no sh, and says "This account is currently not available\."\n` +
				`netsql: garbage: what it sends is no answer of netsql: ".*"\n` +
				`netsql: endless: what it sends is no answer of netsql: "x{60}…"\n` +
				`netsql: rude: go \\x1b\]0;away\\x07\n` +
				`netsql: refused: ssh: connect to host 127\.0\.0\.1 port 1: Connection refused\n` +
				`netsql: unknown: Host key verification failed: its key is not known here, .*\n` +
				`netsql: nokey: .*Permission denied \(publickey\): it lets nobody in without a question: .*\n`},
		{"late", nil, []string{"web1", "hangs", "--timeout", "4s", "SELECT 1 AS n"}, 1, "host|n\nweb1|1\n", `netsql: hangs: no answer within 4s \(--timeout\)\n`},
		{"a long statement", nil, []string{"web1", "--timeout", "2s", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"}, 1, "",
			`netsql: web1: no answer within 2s \(--timeout\).*\n`},
		{"too much", nil, []string{"web1", "big", "--memory", "16MiB", "-H", "--then", "SELECT host, min(x), max(x) = count(*) - 1, count(*) < 200000 FROM answers GROUP BY host",
			"WITH RECURSIVE c(x) AS (SELECT 0 UNION ALL SELECT x+1 FROM c LIMIT 5000000) SELECT x FROM c"}, 1, "big|0|1|1\nweb1|0|1|1\n",
			`(netsql: (web1|big): only the first \d+ rows came: its answer is longer than 4\.0 MiB: narrow the question, or allow more with --memory\n){2}`},
		{"broken off", nil, []string{"breaks", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c"}, 1, "", `netsql: breaks: the connection ended before the answer did.*\n`},
		{"then", nil, []string{"web2", "web1", "--then", "SELECT a.host, b.host AS other FROM answers a JOIN answers b ON a.n = b.n AND a.host < b.host", "SELECT 1 AS n"}, 0, "host|other\nweb1|web2\n", ``},
		{"a wrong then", nil, []string{"web1", "--then", "SELECT hots FROM answers", "SELECT 1 AS n"}, 1, "", `netsql: --then: no such column: hots; did you mean "host"\?\n`},
		{"then writes nothing", nil, []string{"web1", "--then", "WITH x AS (SELECT 1) INSERT INTO answers SELECT 1, 2", "SELECT 1 AS n"}, 1, "", `netsql: --then: .*\n`},
		{"the time zone goes along", []string{"TZ=Asia/Kathmandu"}, []string{"night", "-m", "table", "SELECT at('2026-11-23 09:00') AS ts, localtime(at()) AS at"}, 0,
			"+-------+---------------------+---------------------+\n| host  | ts                  | at                  |\n+-------+---------------------+---------------------+\n" +
				"| night | 2026-11-23 09:00:00 | 2026-11-23 09:45:00 |\n+-------+---------------------+---------------------+\n", `note: night: .*stale.* of 2026-11-23 09:45:00;.*\n`},
		{"times of flags", []string{"TZ=Asia/Kathmandu"}, []string{"night", "-H", "-m", "csv", "--at", "2026-11-23 09:00:00", "--since", "2026-11-23 08:50", "--until", "2026-11-23 09:20",
			`SELECT at() AS x, (SELECT since FROM "window") AS a, (SELECT until FROM "window") AS b`}, 0, "night,1795403700,1795403100,1795404900\n", `(?s).*`},
		{"parameters", nil, []string{"web1", "-p", "x=it's $HOME `id`", "-H", "SELECT :x"}, 0, "web1|it's $HOME `id`\n", ``},
		{"a recording of another name", nil, []string{"web1", "--db", nightly, "-H", "SELECT count(*) > 100 FROM samples"}, 0, "web1|1\n", `note: web1: .*stale.*\n`},
		{"no rows", nil, []string{"web1", "SELECT comm FROM leaks"}, 0, "host|comm\n", `(?s).*`},
		{"upright", nil, []string{"web1", `SELECT 1 AS n\G`}, 0, "host = web1\n   n = 1\n", ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.name == "older without a recording" && hosts["olderwithout"] == "" {
				t.Skip("there is a recording in /var/lib")
			}
			out, complaints, code := l.askQuietly(t, c.env, c.args...)
			if code != c.code || out != c.out || !regexp.MustCompile(`^`+c.err+`$`).MatchString(complaints) {
				t.Errorf("code %d, want %d\n%s\nwant\n%s\nstderr\n%s\nwant\n%s", code, c.code, out, c.out, complaints, c.err)
			}
		})
	}
	t.Run("of the manual", func(t *testing.T) {
		t.Parallel()
		topic, _ := manual.Find("hosts")
		shown := regexp.MustCompile(`(?s)netsql ask web1 db1 "(.*?)" \\\n  --then '(.*?)'\n`).FindStringSubmatch(topic.Text)
		if shown == nil {
			t.Fatal("hosts.md does not show --then")
		}
		// Each host is the other end of the other: its addresses change places.
		mirrored := regexp.MustCompile(`^SELECT \* FROM sockets_now WHERE (.*)$`).ReplaceAllString(shown[1], `SELECT comm, 7 AS send_q, 9 AS recv_q, local_addr, local_port, remote_addr, remote_port FROM sockets_now WHERE $1
			UNION ALL SELECT 'client', 0, 3, remote_addr, remote_port, local_addr, local_port FROM sockets_now WHERE $1`)
		out, complaints, code := l.askQuietly(t, nil, "night", "night2", "-m", "csv", mirrored, "--then", shown[2])
		lines := strings.Split(out, "\n")
		slices.Sort(lines)
		if want := []string{"host,comm,send_q,other,there,recv_q", "night,client,0,night2,webd,9", "night,webd,7,night2,client,3"}; code != 0 || !slices.Equal(slices.Compact(lines)[1:], want) {
			t.Errorf("%d: %.300s%s", code, out, complaints)
		}
		file := fenced.FindAllStringSubmatch(topic.Text, -1)
		hosts, err := ask.ParseHosts("hosts", file[2][2])
		if err != nil {
			t.Fatal(err)
		}
		if shop, _ := hosts.Group("shop"); !slices.Equal(shop, []string{"web1", "web2", "ann@db1"}) {
			t.Errorf("%q", shop)
		}
	})
	t.Run("bare", func(t *testing.T) {
		t.Parallel()
		if hosts["bare"] == "" {
			t.Skip("this machine has a netsql of its own")
		}
		_, complaints, code := l.askQuietly(t, nil, "bare", "SELECT 1")
		if want := "netsql: bare: no netsql there: it is not in the PATH and not in /usr/local/bin, "; code != 1 || !strings.HasPrefix(complaints, want) {
			t.Errorf("%d: %s, want %s", code, complaints, want)
		}
	})
	t.Cleanup(func() {
		l.nothingRuns(t)
		if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
			t.Error("a host that was asked began to record")
		}
	})
}

// askQuietly is ask beside others, whose ssh runs.
func (l lab) askQuietly(t *testing.T, env []string, args ...string) (out, complaints string, code int) {
	t.Helper()
	c := l.command(t.Context(), env, args...)
	var o, e bytes.Buffer
	c.Stdout, c.Stderr = &o, &e
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), c.ProcessState.ExitCode()
}

// Ten hosts are asked at the same time, and their answers are printed within a second of the last one: each waits until all are there.
func TestAskTenHosts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	recording, stamp := filepath.Join(dir, "now.db"), filepath.Join(dir, "stamp")
	freshRecording(t, recording)
	text := fmt.Sprintf("#!/bin/sh\necho >%[1]s/begin.$LAB_HOST\nuntil [ $(ls %[1]s/begin.* | wc -l) = 10 ]; do sleep 0.1; done\nsh -c \"$2\"\ndate +%%s.%%N >%[1]s/end.$LAB_HOST\n", dir)
	if err := os.WriteFile(stamp, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	hosts := map[string]string{}
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("web%d", i))
		hosts[names[i]] = labHost(recording) + "shell=" + stamp + "\n"
	}
	l := newLab(t, hosts)
	for try := 1; ; try++ {
		for _, file := range names {
			_ = errors.Join(os.Remove(dir+"/begin."+file), os.Remove(dir+"/end."+file))
		}
		begin := time.Now()
		out, complaints, code := l.ask(t, nil, append(slices.Clone(names), "--timeout", "60s", "SELECT count(*) AS n FROM samples")...)
		took := time.Since(begin)
		if code != 0 || strings.Count(out, "\n") != 1+len(names) {
			t.Fatalf("%d\n%s%s", code, out, complaints)
		}
		var slowest float64
		for _, name := range names {
			text, err := os.ReadFile(dir + "/end." + name)
			if err != nil {
				t.Fatal(err)
			}
			end, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
			if err != nil {
				t.Fatal(err)
			}
			slowest = max(slowest, end-float64(begin.UnixNano())/1e9)
		}
		t.Logf("the slowest of ten hosts took %.2f s, and all of it %.2f s", slowest, took.Seconds())
		if took.Seconds() < slowest+1 {
			break
		}
		if try == 3 {
			t.Errorf("the slowest host was ready after %.2f s, and the answer there after %.2f s", slowest, took.Seconds())
			break
		}
	}
}

// Ctrl-C prints what there is, and nothing is left.
func TestAskInterrupted(t *testing.T) {
	t.Parallel()
	recording := filepath.Join(t.TempDir(), "now.db")
	freshRecording(t, recording)
	said := filepath.Join(t.TempDir(), "said")
	if err := syscall.Mkfifo(said, 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, map[string]string{"web1": labHost(recording), "hangs": "echo there >" + said + "; exec sleep 60\n"})
	c := l.command(t.Context(), nil, "hangs", "web1", "--timeout", "0", "SELECT 1 AS n")
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(said); err != nil { // until the one that hangs is there
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(l.running(t)) > 1; time.Sleep(10 * time.Millisecond) { // until web1 has answered
		if time.Now().After(deadline) {
			t.Fatal("web1 does not answer")
		}
	}
	begin := time.Now()
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %v", took)
	}
	l.nothingRuns(t)
	if code := c.ProcessState.ExitCode(); code != exitInterrupted || out.String() != "host|n\nweb1|1\n" || complaints.String() != "netsql: hangs: no answer yet when it was interrupted\n" {
		t.Errorf("code %d\n%s%s", code, out.String(), complaints.String())
	}
}

// Values arrive as they are: what SQLite over there says of their type and bytes is what SQLite here says of them.
func TestAskIsExact(t *testing.T) {
	t.Parallel()
	recording := filepath.Join(t.TempDir(), "now.db")
	freshRecording(t, recording)
	l := newLab(t, map[string]string{"web1": labHost(recording)})
	r := rand.New(rand.NewPCG(1, 2))
	values := []string{"NULL", "9223372036854775807", "-9223372036854775807 - 1", "0", "1.0", "-0.0", "9e999", "-9e999", "1e300", "5e-324", "1.7976931348623157e308", "0.1", "''", "x''", "'NULL'", "'1'",
		"'@netsql-x'", "char(0)", "char(10)", "char(13, 10)", "char(39)", "'a' || char(10) || '@netsql'", "CAST(x'ff00fe' AS TEXT)"}
	for range 300 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			b[i] = byte(r.Uint32())
			if r.IntN(3) == 0 {
				b[i] = `'\",NXe`[r.IntN(7)]
			}
		}
		switch r.IntN(4) {
		case 0:
			values = append(values, strconv.FormatInt(int64(r.Uint64()>>r.IntN(64))-1, 10))
		case 1:
			f := math.Float64frombits(r.Uint64())
			if math.IsNaN(f) || math.IsInf(f, 0) {
				continue
			}
			text := strconv.FormatFloat(f, 'e', -1, 64)
			values = append(values, text)
		case 2:
			values = append(values, "x'"+hex.EncodeToString(b)+"'")
		case 3:
			values = append(values, "CAST(x'"+hex.EncodeToString(b)+"' AS TEXT)")
		}
	}
	// One SELECT of so many would be too deep for a UNION: they are columns of a few rows.
	question := "SELECT v, typeof(v) AS type, CASE typeof(v) WHEN 'real' THEN printf('%!.20g', v) ELSE quote(CAST(v AS BLOB)) END AS bytes FROM (WITH x(v) AS (VALUES (" +
		strings.Join(values, "), (") + ")) SELECT v FROM x)"
	out, complaints, code := l.ask(t, nil, "web1", "-H", "-m", "quote", "--then",
		"SELECT count(*), count(*) FILTER (WHERE typeof(v) IS type AND bytes IS CASE typeof(v) WHEN 'real' THEN printf('%!.20g', v) ELSE quote(CAST(v AS BLOB)) END) FROM answers", question)
	if want := fmt.Sprintf("%d,%[1]d\n", len(values)); out != want || code != 0 || complaints != "" {
		t.Errorf("%d: %q, want %q\n%s", code, out, want, complaints)
	}
	// Beside netsql here, with its own SQLite: the same rows as SQL has them.
	here := exec.CommandContext(t.Context(), "netsql", recording, "-m", "quote", "-f", "-")
	here.Stdin = strings.NewReader(question)
	want, err := here.Output()
	if err != nil {
		t.Fatal(err)
	}
	out, _, _ = l.ask(t, nil, "web1", "-m", "quote", "--then", "SELECT v, type, bytes FROM answers", question)
	if out != string(want) {
		t.Errorf("the answer is another than netsql gives here:\n%.2000q\nwant\n%.2000q", out, want)
	}
}
