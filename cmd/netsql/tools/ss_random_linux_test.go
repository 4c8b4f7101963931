package tools

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// ssLetters are the options of the real one that are offered, with their long names.
var ssLetters = map[string]string{
	"t": "--tcp", "u": "--udp", "w": "--raw", "x": "--unix", "0": "--packet", "M": "--mptcp", "S": "--sctp", "d": "--dccp", "4": "--ipv4", "6": "--ipv6", "a": "--all", "l": "--listening",
	"n": "--numeric", "p": "--processes", "o": "--options", "e": "--extended", "m": "--memory", "i": "--info", "H": "--no-header", "O": "--oneline", "s": "--summary", "r": "--resolve",
}

// ssLine is a line of options and words, each of them by chance.
func (p *population) ssLine() string {
	pick := func(of ...string) string { return of[p.rand.IntN(len(of))] }
	letters := []string{"t", "u", "w", "x", "0", "4", "6", "a", "l", "n", "p", "o", "e", "m", "i", "H", "O", "t", "a", "n", "u", "x"}
	if p.rand.IntN(4) == 0 {
		letters = append(letters, "M", "S", "d", "s") // not -r: to resolve names ss has a unix socket of its own
	}
	p.rand.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	var line strings.Builder
	for _, letter := range letters[:p.rand.IntN(8)] {
		switch {
		case p.rand.IntN(4) == 0:
			line.WriteString(" " + ssLetters[letter])
		case line.Len() == 0 || p.rand.IntN(3) == 0 || strings.HasPrefix(lastWord(line.String()), "--"):
			line.WriteString(" -" + letter)
		default:
			line.WriteString(letter)
		}
	}
	if p.rand.IntN(5) == 0 {
		line.WriteString(" " + pick("-A", "--query", "--socket") + pick(" tcp", " udp,tcp", " inet", " unix,!unix_dgram", " u_str,u_dgr", " raw,packet", " p_raw", " inet,!tcp", " unix_seqpacket", " tcp,tcp"))
	}
	if p.rand.IntN(6) == 0 {
		line.WriteString(" " + pick("-f", "--family") + " " + pick("inet", "inet6", "unix", "link"))
	}
	for _, more := range []string{"--tos", "--cgroup", "--vsock", "--xdp", "--tipc"} {
		if p.rand.IntN(12) == 0 {
			line.WriteString(" " + more)
		}
	}
	for p.rand.IntN(4) == 0 {
		line.WriteString(" " + pick("state", "exclude", "excl") + " " + pick("all", "connected", "synchronized", "bucket", "big", "established", "listening", "closed", "close-wait", "fin-wait-2", "time-wait", "unconnected"))
	}
	if p.rand.IntN(2) == 0 {
		line.WriteString(" " + p.expression(2))
	}
	return strings.TrimSpace(line.String())
}

// expression is one of ss, so many levels deep.
func (p *population) expression(deep int) string {
	pick := func(of ...string) string { return of[p.rand.IntN(len(of))] }
	if deep > 0 {
		switch p.rand.IntN(6) {
		case 0:
			return p.expression(deep-1) + pick(" and ", " or ", " ", " && ", " | ") + p.expression(deep-1)
		case 1:
			return "( " + p.expression(deep-1) + " )"
		case 2:
			return pick("not ", "! ") + p.expression(deep-1)
		}
	}
	port := pick("22", "8080", "8443", "1024", "40000", "ssh")
	switch p.rand.IntN(7) {
	case 0, 1:
		return pick("sport", "dport") + pick(" ", " = ", " != ", " ge ", " le ", " gt ", " lt ", " eq ") + ":" + port
	case 2:
		return pick("src", "dst") + " " + pick("10.1.2.3", "10.0.0.0/8", "127.0.0.1:"+port, "10.1", "*:"+port, "any", "0.0.0.0/0", "192.0.2.192/26")
	case 3:
		return pick("src", "dst") + " " + pick("[::1]:"+port, "fd00::/16", "::1/128", "inet6:*", "[fd00::5]", "::/0")
	case 4:
		return "dev " + pick("= ", "", "!= ") + pick("eth0", "lo", "wlan0")
	case 5:
		return "fwmark " + pick("= ", "") + pick("0", "0x10/0x10", "17", "0/1")
	}
	return pick("src 10.1.2.3", "dst 127.0.0.0/8", "src unix:*netsql*", "src link:*", "not src unix:", "src localhost")
}

// ssFamilyOfNetlink is a line that may show netlink sockets, of which the kernel's own and those of the tools are not recorded.
var ssSomeKind = regexp.MustCompile(`(^| )(-[a-zA-Z0]*[tuwx046MSdAf]|--(tcp|udp|raw|unix|packet|mptcp|sctp|dccp|ipv4|ipv6|query|socket|family|vsock|xdp|tipc))`)

// longNames has sockets and owners whose names are long, or strange.
func (p *population) longNames() {
	for i, name := range []string{"@netsql " + strings.Repeat("long ", p.rand.IntN(18)), filepath.Join(p.t.TempDir(), strings.Repeat("n", p.rand.IntN(20))+"s")} {
		fd := p.keep(unix.Socket(unix.AF_UNIX, []int{unix.SOCK_STREAM, unix.SOCK_DGRAM}[i]|unix.SOCK_CLOEXEC, 0))
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
			p.t.Fatalf("bind %q: %v", name, err)
		}
		unix.Listen(fd, 4)
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		p.t.Fatal(err)
	}
	l := p.listen("10.1.2.3", 8443, 7)
	for _, name := range []string{"a-name-that-is-longer-than-the-kernel-keeps", "we (b)x y", "(", "x,\"y\"", "kworker:0"} {
		if p.rand.IntN(3) == 0 {
			continue
		}
		path := filepath.Join(p.t.TempDir(), name)
		copyOf(p.t, sleep, path)
		file := os.NewFile(uintptr(p.keep(unix.FcntlInt(uintptr(l), unix.F_DUPFD_CLOEXEC, 0))), "")
		child := exec.Command(path, "300")
		child.ExtraFiles = []*os.File{file, file}[:1+p.rand.IntN(2)]
		if err := child.Start(); err != nil {
			p.t.Fatal(err)
		}
		p.shutFile(file)
		p.t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	}
}

func copyOf(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// Options and expressions in any combination, as fingers type them.
func TestRandomSsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := ssNetwork(t, 2000+seed)
			p.longNames()
			var plain, netlink []string
			for range 20 {
				if line := p.ssLine(); ssSomeKind.MatchString(line) {
					plain = append(plain, line)
				} else {
					netlink = append(netlink, line)
				}
			}
			compareFilters(t, comparison{tool: "ss", forget: forgetSs, lines: plain})
			compareFilters(t, comparison{tool: "ss", forget: forgetNetlink, lines: netlink})
		})
	}
}

// Every option of the real one is offered, or refused with a sentence.
func TestSsOptionsAreThoseOfTheRealOne(t *testing.T) {
	help := kerneltest.Command(t, "ss", "--help")
	found := regexp.MustCompile(`(?m)^ +(?:-(\w), )?--([a-z0-9-]+)(=)?|, --([a-z]+)=`).FindAllStringSubmatch(help, -1)
	if len(found) < 40 {
		t.Fatalf("%d options in:\n%s", len(found), help)
	}
	for _, option := range found {
		short, long := option[1], option[2]+option[4]
		for _, word := range []string{"-" + short, "--" + long} {
			if word == "-" || slices.Contains([]string{"-h", "--help"}, word) {
				continue
			}
			words := []string{word}
			if option[3]+option[4] != "" || word == "-N" || word == "--net" {
				words = append(words, "inet")
			}
			_, err := ss().Command().Parse(words)
			if unknown, is := err.(*UnknownOptionError); err != nil && (!is || unknown.Instead == "") {
				t.Errorf("ss %q: %v", words, err)
			}
		}
		if offered, is := ssLetters[short]; is && offered != "--"+long {
			t.Errorf("-%s is %s, not --%s", short, offered, long)
		}
	}
}

func lastWord(text string) string { return text[strings.LastIndexByte(text, ' ')+1:] }
