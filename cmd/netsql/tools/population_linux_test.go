package tools

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/query"
	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// A comparison holds what a tool prints of a recording against what the real one prints of the kernel, line by line after sorting.
type comparison struct {
	tool  string
	lines []string // the options of one run each
	// forget takes out of a line what moves between two reads, or what the kernel tells only the real tool; "" takes out the line. nil: nothing.
	forget func(line string) string
	// whole is the form in which the whole text is compared, with the order of its lines. nil: they are sorted.
	whole func(t *testing.T, text string) string
}

// compare runs the real tool and ours on the same population of this namespace.
func compare(t *testing.T, c comparison) {
	t.Helper()
	for _, differs := range c.on(t, recorded(t)) {
		t.Error(differs)
	}
}

// on gives what differs on a recording. What the real tool refuses ours refuses as well.
func (c comparison) on(t *testing.T, r *query.Recording) (differs []string) {
	t.Helper()
	refused := 0
	for _, line := range c.lines {
		words := strings.Fields(line)
		text, err := ofRealTool(t, c.tool, words...)
		if err != nil {
			if refused++; refusedBy(t, r, c.tool, words) == "" {
				differs = append(differs, fmt.Sprintf("%s %s is refused by the real one (%v), and not by netsql", c.tool, line, err))
			}
			continue
		}
		ours := printed(t, r, c.tool, words...)
		a, b := c.linesOf(text), c.linesOf(ours)
		if c.whole != nil {
			a, b = strings.Split(c.whole(t, text), "\n"), strings.Split(c.whole(t, ours), "\n")
		}
		if !slices.Equal(a, b) {
			differs = append(differs, fmt.Sprintf("%s %s differs (- the real one, + netsql):\n%s", c.tool, line, differing(a, b)))
		}
	}
	if refused > len(c.lines)/2 {
		differs = append(differs, fmt.Sprintf("%d of %d lines of %s are refused by the real one", refused, len(c.lines), c.tool))
	}
	return differs
}

// ofRealTool is what the real tool prints, without what it says on standard error.
func ofRealTool(t *testing.T, tool string, words ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		kerneltest.NeedKernel(t, tool+" is not installed")
	}
	out, err := exec.Command(tool, words...).Output()
	return string(out), err
}

// options are some of those that a tool has, each once, as fingers type them: letters together or apart, and long ones. Each is a letter and its word, such
// as "t tcp"; "W" has no word and "-numeric-hosts" no letter.
func (p *population) options(most int, of ...string) string {
	var line strings.Builder
	letters := false // the last word is one of letters
	for i, n := 0, 1+p.rand.IntN(most); i < n; i++ {
		chosen := p.rand.IntN(len(of) - i)
		of[chosen], of[len(of)-1-i] = of[len(of)-1-i], of[chosen]
		letter, long, _ := strings.Cut(of[len(of)-1-i], " ")
		switch {
		case strings.HasPrefix(letter, "-"):
			line.WriteString(" -" + letter)
			letters = false
		case long != "" && p.rand.IntN(4) == 0:
			line.WriteString(" --" + long)
			letters = false
		case letters && p.rand.IntN(3) > 0:
			line.WriteString(letter)
		default:
			line.WriteString(" -" + letter)
			letters = true
		}
	}
	return line.String()
}

// lines are lines of options by chance.
func (p *population) lines(n int, line func() string) (all []string) {
	for range n {
		all = append(all, line())
	}
	return all
}

func (c comparison) linesOf(text string) []string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if c.forget != nil && line != "" {
			if line = c.forget(line); line == "" {
				continue
			}
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// differing are the lines of one that the other does not have.
func differing(a, b []string) string {
	var text strings.Builder
	left := slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(left, line); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		fmt.Fprintf(&text, "- %q\n", line)
	}
	for _, line := range left {
		fmt.Fprintf(&text, "+ %q\n", line)
	}
	return text.String()
}

// recorded is a recording of one sample of this namespace, at this moment.
func recorded(t *testing.T) *query.Recording {
	t.Helper()
	path := filepath.Join(t.TempDir(), "now.db")
	record(t, recorder.Config{Path: path})
	return opened(t, path)
}

// record takes one sample of this namespace.
func record(t *testing.T, c recorder.Config) {
	t.Helper()
	own, err := recorder.ParseNetNS("self")
	if err != nil {
		t.Fatal(err)
	}
	c.Interval, c.Once, c.Version, c.Limits, c.NetNS = time.Second, true, "test", recorder.DefaultLimits, own
	if err := recorder.Run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func opened(t *testing.T, path string) *query.Recording {
	t.Helper()
	r, err := query.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// printed is what ours prints.
func printed(t *testing.T, r *query.Recording, tool string, words ...string) string {
	t.Helper()
	text, err := run(t, r, tool, words)
	if err != nil && !errors.Is(err, ErrNotFound) {
		t.Fatalf("%s %q: %v", tool, words, err)
	}
	return text
}

// run is what ours prints and how it ends.
func run(t *testing.T, r *query.Recording, tool string, words []string) (string, error) {
	t.Helper()
	found, ok := Named(tool)
	if !ok {
		t.Fatalf("no tool %s", tool)
	}
	c := found.Command()
	rest, err := c.Parse(words)
	if err != nil {
		return "", err
	}
	s, err := c.Stretch(time.Now())
	if err != nil {
		return "", err
	}
	var m *Moment
	if c.Whole() {
		m, err = During(t.Context(), r, c.Options, s)
	} else {
		m, err = At(t.Context(), r, c.Options)
	}
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = c.Print(t.Context(), m, rest, &out)
	return out.String(), err
}

// eachSeed is a test of many populations, each in a namespace of its own.
func eachSeed(t *testing.T, test func(t *testing.T, seed uint64)) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if kerneltest.InNamespace(t) {
				test(t, seed)
			}
		})
	}
}

// A population is what stands in a network namespace: links, routes and sockets, by a seed. It ends with the test.
type population struct {
	t    *testing.T
	rand *rand.Rand
	fds  []int

	advertised bool // a router has advertised itself
}

func populate(t *testing.T, seed uint64) *population {
	t.Helper()
	p := &population{t: t, rand: rand.New(rand.NewPCG(seed, 16))}
	p.ip("link set lo up")
	namesFromFiles(t)
	// No address is tentative for a second, in which it has no route.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.end)
	return p
}

// namesFromFiles keeps the real tools from asking name servers, which nobody answers for here.
func namesFromFiles(t *testing.T) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nsswitch.conf")
	if err := os.WriteFile(file, []byte("hosts: files\nnetworks: files\nservices: files\nprotocols: files\npasswd: files\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	kerneltest.Command(t, "mount", "--bind", file, "/etc/nsswitch.conf")
	t.Cleanup(func() { kerneltest.Command(t, "umount", "/etc/nsswitch.conf") })
}

// end closes all, so that another population may come.
func (p *population) end() {
	for _, fd := range p.fds {
		unix.Close(fd)
	}
	p.fds = nil
}

func (p *population) ip(line string) { kerneltest.Command(p.t, "ip", strings.Fields(line)...) }

// may is a change of the population that not every kernel allows.
func (p *population) may(line string) bool {
	return exec.Command("ip", strings.Fields(line)...).Run() == nil
}

// link makes an interface with addresses, at the other end of which is another in this namespace.
func (p *population) link(name string, addrs ...string) {
	p.ip(fmt.Sprintf("link add %s type veth peer name %sp", name, name))
	for _, addr := range addrs {
		nodad := ""
		if strings.Contains(addr, ":") {
			nodad = " nodad"
		}
		p.ip(fmt.Sprintf("addr add %s dev %s%s", addr, name, nodad))
	}
	p.ip("link set " + name + " up")
	p.ip("link set " + name + "p up")
	// The kernel makes the local route of an IPv6 address when it notices the carrier.
	for _, addr := range addrs {
		addr, _, _ = strings.Cut(addr, "/")
		for deadline := time.Now().Add(10 * time.Second); strings.Contains(addr, ":"); {
			if out, _ := exec.Command("ip", "route", "get", addr).Output(); strings.HasPrefix(string(out), "local ") {
				break
			}
			if time.Now().After(deadline) {
				p.t.Fatalf("%s has no local route", addr)
			}
		}
	}
	p.t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })
}

func (p *population) keep(fd int, err error) int {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	p.fds = append(p.fds, fd)
	return fd
}

func sockaddr(addr string, port int) (unix.Sockaddr, int) {
	if strings.Contains(addr, ":") {
		return &unix.SockaddrInet6{Addr: parsed(addr).As16(), Port: port}, unix.AF_INET6
	}
	return &unix.SockaddrInet4{Addr: parsed(addr).As4(), Port: port}, unix.AF_INET
}

// bound is a socket at an address.
func (p *population) bound(kind int, addr string, port int) int {
	p.t.Helper()
	at, family := sockaddr(addr, port)
	fd := p.keep(unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0))
	unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, at); err != nil {
		p.t.Fatalf("bind %s port %d: %v", addr, port, err)
	}
	return fd
}

// portOf is the port of a socket.
func (p *population) portOf(fd int) int {
	at, err := unix.Getsockname(fd)
	if err != nil {
		p.t.Fatal(err)
	}
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		return at.Port
	case *unix.SockaddrInet6:
		return at.Port
	}
	return 0
}

// listen is a listener of TCP.
func (p *population) listen(addr string, port, backlog int) int {
	p.t.Helper()
	fd := p.bound(unix.SOCK_STREAM, addr, port)
	if err := unix.Listen(fd, backlog); err != nil {
		p.t.Fatal(err)
	}
	return fd
}

// connect is both ends of a connection to a listener.
func (p *population) connect(listener int, addr string) (client, server int) {
	p.t.Helper()
	to, family := sockaddr(addr, p.portOf(listener))
	client = p.keep(unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Connect(client, to); err != nil {
		p.t.Fatalf("connect to %s: %v", addr, err)
	}
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	return client, p.keep(fd, err)
}

// shut closes one of them now.
func (p *population) shut(fd int) {
	i := slices.Index(p.fds, fd)
	p.fds = slices.Delete(p.fds, i, i+1)
	unix.Close(fd)
}

// sockets are of every kind and state that stands still.
func (p *population) sockets(addrs4, addrs6 []string) {
	pick := func(of []string) string { return of[p.rand.IntN(len(of))] }
	for range 2 + p.rand.IntN(3) {
		for _, addrs := range [][]string{append([]string{"0.0.0.0"}, addrs4...), append([]string{"::"}, addrs6...)} {
			at := pick(addrs)
			l := p.listen(at, 0, 1+p.rand.IntN(200))
			to := at
			switch at {
			case "0.0.0.0":
				to = pick(addrs4)
			case "::":
				to = pick(append(slices.Clone(addrs4), addrs6...)) // IPv4 to an IPv6 socket as well
			}
			for range p.rand.IntN(4) {
				client, server := p.connect(l, to)
				switch p.rand.IntN(6) {
				case 0: // something that nobody reads
					unix.Write(client, make([]byte, 1+p.rand.IntN(5000)))
				case 1:
					p.shut(client) // FIN_WAIT2 and CLOSE_WAIT
				case 2:
					p.shut(server)
				case 3:
					unix.SetsockoptInt(client, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
				}
			}
			u := p.bound(unix.SOCK_DGRAM, pick(addrs), 0)
			if p.rand.IntN(2) == 0 {
				far := pick(addrs[1:])
				to, _ := sockaddr(far, p.portOf(u))
				_, family := sockaddr(far, 0)
				c := p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
				if err := unix.Connect(c, to); err != nil {
					p.t.Fatal(err)
				}
			}
		}
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		protocol := []int{unix.IPPROTO_ICMP, 89, 47}[p.rand.IntN(3)]
		if fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol); err == nil {
			p.keep(fd, nil)
		}
	}
	for i := range 1 + p.rand.IntN(3) {
		kind := []int{unix.SOCK_STREAM, unix.SOCK_SEQPACKET, unix.SOCK_DGRAM}[p.rand.IntN(3)]
		fd := p.keep(unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0))
		name := fmt.Sprintf("@netsql-test-%d-%d", i, p.rand.IntN(1000))
		if p.rand.IntN(2) == 0 {
			name = filepath.Join(p.t.TempDir(), "socket")
		}
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: name}); err != nil {
			p.t.Fatal(err)
		}
		if kind != unix.SOCK_DGRAM && p.rand.IntN(3) > 0 {
			if err := unix.Listen(fd, 5); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	if pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err == nil {
		p.fds = append(p.fds, pair[0], pair[1])
	}
	// What was closed has come to its state when the kernel says that nothing is on its way.
	p.settle()
}

// settle waits until no connection is in a state that passes.
func (p *population) settle() {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		out := kerneltest.Command(p.t, "ss", "-Htan", "state", "fin-wait-1", "state", "closing", "state", "last-ack", "state", "syn-sent", "state", "syn-recv")
		if strings.TrimSpace(out) == "" {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("these do not settle:\n%s", out)
		}
	}
}

// until repeats something until it is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
