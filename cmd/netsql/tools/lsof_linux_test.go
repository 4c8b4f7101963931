package tools

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/query"
	"netsql/recorder/kerneltest"
)

// holders are processes with names of their own, each of which holds some of the sockets as well.
func (p *population) holders(names ...string) (pids []int) {
	p.t.Helper()
	sleep, err := os.ReadFile("/bin/sleep")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, name := range names {
		program := filepath.Join(p.t.TempDir(), name)
		if err := os.WriteFile(program, sleep, 0o755); err != nil {
			p.t.Fatal(err)
		}
		cmd := exec.Command(program, "1000")
		for _, fd := range p.fds {
			if p.rand.IntN(3) > 0 {
				continue
			}
			copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				p.t.Fatal(err)
			}
			file := os.NewFile(uintptr(copied), "")
			defer file.Close()
			cmd.ExtraFiles = append(cmd.ExtraFiles, file)
		}
		if err := kerneltest.Start(cmd); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// more are sockets that netstat's population does not have: of unix in each state, of netlink and packets, and one of TCP that is only
// bound. One that was never bound the kernel lists nowhere, and it is not recorded.
func (p *population) more() {
	p.t.Helper()
	for i, kind := range []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM} {
		name := fmt.Sprintf("@lsof-%d-%d", i, p.rand.IntN(1000))
		server := p.keep(unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
		if err := unix.Bind(server, &unix.SockaddrUnix{Name: name}); err != nil {
			p.t.Fatal(err)
		}
		if kind != unix.SOCK_DGRAM {
			if err := unix.Listen(server, 3); err != nil {
				p.t.Fatal(err)
			}
		}
		client := p.keep(unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
		if err := unix.Connect(client, &unix.SockaddrUnix{Name: name}); err != nil {
			p.t.Fatal(err)
		}
		if kind != unix.SOCK_DGRAM && p.rand.IntN(2) == 0 {
			fd, _, err := unix.Accept4(server, unix.SOCK_CLOEXEC)
			p.keep(fd, err)
		}
	}
	netlink := p.keep(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, []int{unix.NETLINK_ROUTE, unix.NETLINK_GENERIC, unix.NETLINK_NETFILTER, unix.NETLINK_INET_DIAG}[p.rand.IntN(4)]))
	if err := unix.Bind(netlink, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		p.t.Fatal(err)
	}
	p.keep(unix.Socket(unix.AF_PACKET, []int{unix.SOCK_RAW, unix.SOCK_DGRAM}[p.rand.IntN(2)]|unix.SOCK_CLOEXEC, []int{0x0008, 0x0300, 0x0608, 0xb588}[p.rand.IntN(4)]))
	p.bound(unix.SOCK_STREAM, "127.0.0.1", 0)
	p.connect(p.listen("127.0.0.1", 22, 5), "127.0.0.1") // which have names
	p.bound(unix.SOCK_DGRAM, "::1", 53)
	// One that waits for an answer, and both ends of one that is half closed, and of one that is over though its descriptor is held.
	p.ip("neigh add 10.1.2.77 lladdr 02:00:00:00:00:77 dev eth0")
	p.t.Cleanup(func() { exec.Command("ip", "neigh", "del", "10.1.2.77", "dev", "eth0").Run() })
	to, _ := sockaddr("10.1.2.77", 9)
	if err := unix.Connect(p.keep(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)), to); err != unix.EINPROGRESS {
		p.t.Fatal(err)
	}
	l := p.listen("::1", 0, 5)
	client, _ := p.connect(l, "::1")
	unix.Shutdown(client, unix.SHUT_WR)
	client, server := p.connect(l, "::1")
	unix.Shutdown(client, unix.SHUT_WR)
	p.shut(server)
	if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDPLITE); err == nil {
		at, _ := sockaddr("fd00::5", 0)
		unix.Bind(p.keep(fd, nil), at)
	}
	if os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0o644) == nil {
		at, _ := sockaddr("127.0.0.1", 77)
		if err := unix.Bind(p.keep(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)), at); err != nil {
			p.t.Fatal(err)
		}
	}
	p.settleBut("syn-sent")
}

// settleBut waits until no connection is in a state that passes, but for one that stays.
func (p *population) settleBut(state string) {
	p.t.Helper()
	var words []string
	for _, passing := range []string{"fin-wait-1", "closing", "last-ack", "syn-sent", "syn-recv"} {
		if passing != state {
			words = append(words, "state", passing)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); strings.TrimSpace(kerneltest.Command(p.t, "ss", append([]string{"-Htan"}, words...)...)) != ""; {
		if time.Now().After(deadline) {
			p.t.Fatal("connections do not settle")
		}
	}
}

// realLsof is what the real one prints and exits with, which is 1 where something was not found. What it refuses it explains with its usage.
func realLsof(t *testing.T, words []string) (text string, code int, refused bool) {
	t.Helper()
	cmd := exec.Command("lsof", words...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.Output()
	exit := new(exec.ExitError)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		kerneltest.NeedKernel(t, "lsof is not installed (Debian: lsof)")
	case errors.As(err, &exit) && strings.Contains(string(exit.Stderr), "usage:"):
		return "", 1, true
	case err != nil && (exit.ExitCode() != 1 || len(exit.Stderr) > 0):
		t.Fatalf("lsof %q: %v\n%s", words, err, exit.Stderr)
	}
	return string(out), cmd.ProcessState.ExitCode(), false
}

// refusedBy is why ours refuses a line, or "".
func refusedBy(t *testing.T, r *query.Recording, tool string, words []string) string {
	t.Helper()
	_, err := run(t, r, tool, words)
	switch {
	case err == nil, errors.Is(err, ErrNotFound):
		return ""
	case !errors.As(err, new(*UsageError)) && !errors.As(err, new(*UnknownOptionError)):
		t.Errorf("%s %q: %v, which is not said of wrong usage", tool, words, err)
	case strings.Contains(err.Error(), "\n") || len(err.Error()) > 250:
		t.Errorf("%s %q: %v, which is not one sentence", tool, words, err)
	}
	return err.Error()
}

func compareLsof(t *testing.T, c comparison) {
	t.Helper()
	r := recorded(t)
	empty := 0
	for _, line := range c.lines {
		words := strings.Fields(line)
		text, code, refused := realLsof(t, words)
		if refused {
			if refusedBy(t, r, "lsof", words) == "" {
				t.Errorf("lsof %s is refused by the real one, and not by netsql", line)
			}
			continue
		}
		ours, err := run(t, r, "lsof", words)
		if err != nil && !errors.Is(err, ErrNotFound) {
			t.Errorf("lsof %s: %v", line, err)
		}
		want, got := c.linesOf(text), c.linesOf(ours)
		if !slices.Equal(want, got) {
			t.Errorf("lsof %s differs (- the real one, + netsql):\n%s", line, differing(want, got))
		}
		if (code != 0) != (err != nil) {
			said, _ := exec.Command("lsof", append(words, "-V")...).Output()
			t.Errorf("lsof %s exits with %d, and netsql has %v; -V says\n%s", line, code, err, regexp.MustCompile("(?m)^lsof: .*\n").FindAll(said, -1))
		}
		if len(want) == 1 && want[0] == "" {
			empty++
		}
	}
	if empty > len(c.lines)/2 {
		t.Errorf("%d of %d lines find nothing", empty, len(c.lines))
	}
}

// host is a population with some processes that hold its sockets.
func host(t *testing.T, seed uint64) (p *population, pids []int) {
	p = network(t, seed)
	p.more()
	return p, p.holders("nginx", "nginx-worker", "a very long name of a program", "(ö)")
}

// anything is a line of options by chance.
func (p *population) anything(pids []int) string {
	pick := func(of ...string) string { return of[p.rand.IntN(len(of))] }
	port := func() string {
		for {
			if port := p.portOf(p.fds[p.rand.IntN(len(p.fds))]); port > 0 {
				return strconv.Itoa(port)
			}
		}
	}
	pid := func() string { return strconv.Itoa(pids[p.rand.IntN(len(pids))]) }
	at := func() string {
		return pick("127.0.0.1", "10.1.2.3", "localhost", "[::1]", "[fd00::5]", "192.0.2.200", "0.0.0.0")
	}
	line := []string{pick("-n", "-P", "-nP", "-nPl", "-l", "-nPR", "-w", "+c15 -nP", "+c 0", "-Tqs", "-Ts", "-Tq", "-T", "-o", "-nPo", "-s", "-V", "-Q", "-VnP", "+c 12", "+c1 -R")}
	for range 1 + p.rand.IntN(2) {
		switch p.rand.IntN(9) {
		case 8:
			line = append(line, "-i "+pick(":ssh", "TCP:ssh,domain", "UDP:domain", "6:domain", "@localhost:ssh", "4@localhost:20-23", "tcp@127.0.0.1:ssh", ":20-ssh", "udp:ssh", ":discard,ssh,53"))
		case 0:
			line = append(line, "-i")
		case 1:
			line = append(line, pick("-i4", "-i6", "-iTCP", "-iUDP", "-i4tcp", "-i6udp", "-i udp"))
		case 2:
			line = append(line, "-i :"+port()+","+port())
		case 3:
			line = append(line, "-iTCP:"+port()+"-65535")
		case 4:
			line = append(line, "-i @"+at())
		case 5:
			line = append(line, "-i"+pick("", "TCP", "udp")+"@"+at()+":1-"+port())
		case 6:
			line = append(line, pick("-i4:", "-i6:", "-i 6TCP:", "-i4UDP:")+port()+",1-1024,"+port()+"-"+"65535")
		default:
			line = append(line, "-i -i4", "-i TCP:"+port())
		}
	}
	if p.rand.IntN(2) == 0 {
		line = append(line, pick("-sTCP:LISTEN", "-s TCP:^LISTEN", "-sTCP:ESTABLISHED,CLOSE_WAIT", "-sTCP:listen -sTCP:Close_Wait", "-s TCP:CLOSE", "-sTCP:^ESTABLISHED,^CLOSE", "-sTCP:SYN_SENT,FIN_WAIT2"))
	}
	for range p.rand.IntN(3) {
		switch p.rand.IntN(8) {
		case 6:
			line = append(line, "-a -p "+pid()+",^"+pid(), "-c "+pick("nginx-w", "nosuch", "/no(such)/"))
		case 7:
			line = append(line, "-a -p "+pid()+",99999999", pick("-u root", "-u nobody", "-u 424243", "-c nosuch"))
		case 0:
			line = append(line, "-p "+pid()+","+pid(), "-a")
		case 1:
			line = append(line, fmt.Sprint("-p ^", os.Getpid()))
		case 2:
			line = append(line, "-a", "-c "+pick("nginx", "a", "/^(nginx|tools)/", "/NG.*x$/i", "("))
		case 3:
			line = append(line, "-c ^"+pick("nginx-", "tools"))
		case 4:
			line = append(line, "-a", pick("-d3-6", "-d 4,8-20", "-d ^3-7", "-u 0", "-u root", "-u ^1,0"))
		default:
			line = append(line, "-u ^"+pick("nobody", "7"))
		}
	}
	return strings.Join(line, " ")
}

func TestLsofIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p, pids := host(t, seed)
		lines := []string{"-i", "-nPi", "-ti", "-i -i6 -i4 -nP", "-i4 -i6 -nP", "-iTCP -sTCP:LISTEN", "-nP -iUDP", "-RPi", "-i -a -U", "-tnPa -i -c nginx", "-nPi -V -b +M -O -w", "-nP -i4 -i :1-65535", "-nP -i6 -i TCP:1-65535",
			"-V -nP -i TCP -i 4TCP", "-V -nP -i :ssh -i TCP:ssh", "-V -i :ssh -c ^nginx -c nosuch"}
		for range 12 {
			lines = append(lines, p.anything(pids))
		}
		compareLsof(t, comparison{lines: lines})
	})
}

// Of unix sockets the address of the kernel's structure is not recorded, and of none the device number of the kernel's sockets: the column is "-",
// and those beside it are not as wide. Files that are no sockets are not recorded at all; the recorder is this process, whose netlink sockets are gone when lsof looks. A connection that was over (TIME_WAIT) before the
// recorder first looked is in no list with its inode, so that who holds it still is not recorded.
var (
	lsofBlanks = regexp.MustCompile(` +`)
	lsofDevice = regexp.MustCompile(` (unix|sock) (0x[0-9a-f]+|\d+,\d+) `)
	lsofNoFile = regexp.MustCompile(`^\S+ \d+ \S+ (cwd|rtd|txt|mem|DEL|\d+[rwu-]?) +(DIR|REG|CHR|FIFO|unknown|a_inode|lsof) `)
	lsofOwn    = regexp.MustCompile(`^tools.tes\S* \d+ \S+ \d+u netlink `)
	lsofOver   = regexp.MustCompile(` sock - 0t0 \d+ protocol: TCPv6$`)
)

func forgetLsof(line string) string {
	line = lsofDevice.ReplaceAllString(lsofBlanks.ReplaceAllString(line, " "), " $1 - ")
	if lsofNoFile.MatchString(line) || lsofOwn.MatchString(line) || lsofOver.MatchString(line) {
		return ""
	}
	return line
}

func TestLsofOfUnixSocketsAndAnyOfAllIsTheRealOne(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p, pids := host(t, seed)
		lines := []string{"-U", "-U -i", "-nPU -T", "-Ua -c nginx", "-U -Tqs", "-U -sTCP:LISTEN -i", "-nP -i -c nginx", "-U -c a", "-i :1 -c (", "-U -o", "-tU", "-c nginx", "-d 3-9 -nP", "-c /nginx/ -Q", "-V -c nosuch -u 424243",
			fmt.Sprintf("-p %d", pids[0]), fmt.Sprintf("-p %d,%d -nP", pids[1], pids[2]), fmt.Sprintf("-a -p %d -d 3-20", pids[2]),
			fmt.Sprintf("-i -p %d -nP", pids[p.rand.IntN(4)]), fmt.Sprintf("-i4 -p %d -c nginx -nPl -u ^7", pids[p.rand.IntN(4)]), fmt.Sprintf("-U -p%d,^%d -Tq", pids[0], pids[1])}
		compareLsof(t, comparison{lines: lines, forget: forgetLsof})
	})
}

// fieldsOfLsof puts each file on a line with its process, field by field. The process group, the flags of the file and the address of the structure of
// a unix socket are not recorded.
func fieldsOfLsof(text string) (lines []string) {
	var process, file []string
	add := func() {
		if len(file) > 0 {
			lines = append(lines, strings.Join(append(slices.Clone(process), file...), "|"))
		}
		file = nil
	}
	for field := range strings.SplitSeq(strings.ReplaceAll(text, "\x00", "\n"), "\n") {
		switch {
		case field == "", strings.HasPrefix(field, "g"), strings.HasPrefix(field, "G"), strings.HasPrefix(field, "d0x"):
		case strings.HasPrefix(field, "p"):
			add()
			process = []string{field}
		case len(process) > 0 && strings.ContainsAny(field[:1], "cRuL"):
			process = append(process, field)
		case strings.HasPrefix(field, "f"):
			add()
			file = []string{field}
		default:
			file = append(file, field)
		}
	}
	add()
	slices.Sort(lines)
	return lines
}

func TestLsofFieldsAreTheRealOnes(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		p, pids := host(t, seed)
		r := recorded(t)
		lines := []string{"-i -F", "-nP -i -F0", "-i -FpcfnT", "-U -F", "-U -i -nP -Fpcuftin", "-i -nPFfn", "-iTCP -FpcLRfnTP0 -sTCP:LISTEN", "-i -Fftdao -Ts", "-i -FfT -T",
			fmt.Sprintf("-a -i -p %d -Fpcfn", pids[0]), "-i -l -F"}
		lines = append(lines, p.lines(15, func() string {
			letters := "f" // without which the fields of one file cannot be told from those of the next
			for _, letter := range "pcuLRtadionPT0glCDGkKmMNrSsz" {
				if p.rand.IntN(2) == 0 {
					letters += string(letter)
				}
			}
			return []string{"-i", "-U", "-i -U", "-i4 -sTCP:LISTEN", "-a -i -c nginx", "-iTCP -nP", "-i -l", "-U -Tq", "-i -Tqs", "-iUDP -Ts", "-i -R"}[p.rand.IntN(11)] + " -F" + letters
		})...)
		for _, line := range lines {
			words := strings.Fields(line)
			text, _, _ := realLsof(t, words)
			got := printed(t, r, "lsof", words...)
			want := fieldsOfLsof(text)
			if got := fieldsOfLsof(got); !slices.Equal(got, want) || len(want) < 2 {
				t.Errorf("lsof %s differs (- the real one, + netsql):\n%s", line, differing(want, got))
			}
			if zero := strings.Count(got, "\x00\n"); strings.Contains(line, "0") && !strings.Contains(line, "-p") && zero != strings.Count(text, "\x00\n") {
				t.Errorf("lsof %s has %d sets, the real one %d", line, zero, strings.Count(text, "\x00\n"))
			}
		}
	})
}

// What the real one refuses is refused, and what it takes and is not recorded ends in a sentence with what to ask instead.
func TestLsofRefuses(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	populate(t, 0)
	r := recorded(t)
	for _, line := range []string{
		"-a", "-a -nP", "-i +c 16", "-i sctp", "-i :80-70", "-i :", "-i TCP:http-alt-nothing", "-i @", "-i @[fd00::5", "-i4@[::1]", "-i TCP:1-2-3", "-i @no.such.host.invalid", "-i 4@::1", "-i TCP:80x", "-i @0.0.0.0",
		"-i -sUDP:Idle", "-i -sTCP:", "-i -sTCP:FOO", "-i -p x", "-i -p 1,^1", "-i -u nosuchuser", "-i -u 0,^0", "-i -c aaaaaaaaaaaaaaaaaaaaa", "-i -c /(/", "-i -Tw", "-i -Fy", "-i -F -t", "-i -d 9-3", "-i -d 3-x",
	} {
		if _, _, refused := realLsof(t, strings.Fields(line)); !refused {
			t.Errorf("lsof %s is taken by the real one", line)
		}
		if refusedBy(t, r, "lsof", strings.Fields(line)) == "" {
			t.Errorf("lsof %s is not refused", line)
		}
	}
	for _, line := range []string{"/tmp", "-i -n /tmp"} {
		if why := refusedBy(t, r, "lsof", strings.Fields(line)); !strings.Contains(why, "files are not recorded") {
			t.Errorf("lsof %s: %q", line, why)
		}
	}
	for _, line := range []string{"-i -r", "-r 5 -i", "-r5 -i", "+r1 -i"} {
		if why := refusedBy(t, r, "lsof", strings.Fields(line)); !strings.Contains(why, "such as --from 03:10 --to 03:20") {
			t.Errorf("lsof %s: %q", line, why)
		}
	}
	for _, line := range []string{"-i -g", "-g 7 -i", "-iK", "-i -K", "+f -i", "-fg -i", "-i +L1", "-i -E", "+E -U", "-N", "-Z -i", "-x f -i", "-v"} {
		if why := refusedBy(t, r, "lsof", strings.Fields(line)); line != "-iK" && !strings.Contains(why, "is not replayed: ") || why == "" {
			t.Errorf("lsof %s: %q", line, why)
		}
	}
}

// What is typed after -i, -s, -d and -p makes no panic, and an address that is read is one that an end can have.
func FuzzLsofWords(f *testing.F) {
	for _, line := range []string{"-i TCP:443", "-i4tcp@[::1]:1-9,http", "-nPiTCP -sTCP:^LISTEN,CLOSE_WAIT", "-i@localhost:22", "-c /a(b)/i -d ^3-9,cwd", "+c0 -FpcT0 -i", "-p 1,^2 -u root -i6", "-i -- x", "-i : -T", "- + -i@"} {
		f.Add(line)
	}
	names := localNames(false)
	f.Fuzz(func(t *testing.T, line string) {
		c := lsof().Command()
		if _, err := c.Parse(strings.Fields(line)); err != nil {
			return
		}
		o := lsofOptions{}
		for _, list := range []struct {
			flag string
			into *repeated
		}{{"network", &o.network}, {"state", &o.states}, {"pid", &o.pids}, {"command", &o.commands}, {"user", &o.users}, {"fd", &o.fds}} {
			*list.into = *c.Flags.Lookup(list.flag).Value.(*repeated)
		}
		s, err := o.selection(t.Context(), names)
		if err != nil {
			if !errors.As(err, new(*UsageError)) {
				t.Errorf("%q: %v", line, err)
			}
			return
		}
		for _, e := range s.addresses {
			if e.ports.from > e.ports.to || e.ports.to > 65535 || e.addr.IsValid() && (e.addr.Is4() != (e.family == 4)) {
				t.Errorf("%q: %+v", line, e)
			}
		}
	})
}

// Who runs a process is another one than who made its socket. This needs users, so that only root can test it.
func TestLsofOfUsersIsTheRealOne(t *testing.T) {
	if !kerneltest.InNetNS(t) {
		return
	}
	p := &population{t: t, rand: rand.New(rand.NewPCG(7, 7))}
	t.Cleanup(p.end)
	p.ip("link set lo up")
	for range 4 {
		p.connect(p.listen("127.0.0.1", 0, 5), "127.0.0.1")
	}
	var pid int
	for i, uid := range []uint32{1, 65534, 424242, 0} {
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.Dir = "/"
		cmd.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		for _, fd := range p.fds[i : i+5] {
			copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			cmd.ExtraFiles = append(cmd.ExtraFiles, os.NewFile(uintptr(copied), ""))
		}
		if err := kerneltest.Start(cmd); err != nil {
			t.Fatal(err)
		}
		for _, file := range cmd.ExtraFiles {
			file.Close()
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		pid = cmd.Process.Pid
	}
	compareLsof(t, comparison{lines: []string{"-nPi", "-nPil", "-nPi -a -u nobody", "-nPi -a -u 1,424242", "-nPi -a -u ^root", "-nP -i -a -u ^nobody,0 -R", "-nPi -u ^0,^1 -l", "-tnPi -a -u nobody", "-nP -a -i -u daemon -c sleep",
		fmt.Sprintf("-nP -a -i -u root -p %d", pid), "-nP -i -a -u daemon -u 65534"}})
}

// Of the descriptors by which a process holds a socket the lowest is recorded: the real one has a line for each.
func TestLsofShowsTheLowestDescriptor(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	p := populate(t, 0)
	fd := p.listen("127.0.0.1", 0, 5)
	other := p.keep(unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 100))
	r := recorded(t)
	text, _, _ := realLsof(t, []string{"-nPi", "-Ff"})
	if want := fmt.Sprintf("p%d\nf%d\nf%d\n", os.Getpid(), fd, other); text != want {
		t.Fatalf("the real one prints %q, want %q", text, want)
	}
	if want, got := fmt.Sprintf("p%d\nf%d\n", os.Getpid(), fd), printed(t, r, "lsof", "-nPi", "-Ff"); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
