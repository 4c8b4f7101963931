package tools

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/query"
	"netsql/recorder"
	"netsql/recorder/kerneltest"
)

// A follower is a real ss -E that runs beside the recorder.
type follower struct {
	words []string
	cmd   *exec.Cmd
	file  string
}

// follow starts it, and waits until the kernel tells it of sockets.
func follow(t *testing.T, line string) *follower {
	t.Helper()
	f := &follower{words: strings.Fields(line), file: filepath.Join(t.TempDir(), "out")}
	out, err := os.Create(f.file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f.cmd = exec.Command("stdbuf", append([]string{"-o0", "ss"}, f.words...)...)
	f.cmd.Stdout = out
	if err := f.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.cmd.Process.Kill(); f.cmd.Wait() })
	until(t, "ss "+line+" listens", func() bool { _, is := f.waiting(t); return is })
	return f
}

// waiting is the memory of the messages that wait for it.
func (f *follower) waiting(t *testing.T) (bytes string, listens bool) {
	table, err := os.ReadFile("/proc/net/netlink")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if words := strings.Fields(line); words[1] == "4" && words[2] == strconv.Itoa(f.cmd.Process.Pid) && words[3] != "00000000" {
			return words[4], true
		}
	}
	return "", false
}

// end is what it printed, once it has read all and sleeps.
func (f *follower) end(t *testing.T) string {
	t.Helper()
	until(t, "ss has read all", func() bool {
		bytes, _ := f.waiting(t)
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return bytes == "0" && strings.Contains(string(stat), ") S ")
	})
	f.cmd.Process.Kill()
	f.cmd.Wait()
	text, err := os.ReadFile(f.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	ssOwners = regexp.MustCompile(` users:\(.*\)\)`) // the kernel tells no inode, by which ss finds them
	// What closes have not: what a connection agreed on, and what it waited for.
	ssOpenOnly = regexp.MustCompile(` (ts|sack|ecn|ecnseen|fastopen|app_limited)\b| (wscale|rto|backoff|ssthresh|unacked|notsent|lost|reord_seen|busy|rwnd_limited|sndbuf_limited):\S+`)
	// Of a socket without a connection, what a connection would begin with.
	ssPathOnly = regexp.MustCompile(` (mss|pmtu|cwnd|minrtt|segs_in|segs_out):\S+`)
	ssQueues   = regexp.MustCompile(`^((?:(?:tcp|udp) )?(?:(?:UNCONN|ESTAB) )?)\S+ \S+ `) // bytes that waited
	ssReceived = regexp.MustCompile(` bytes_received:(\d+)`)
	ssLocal    = regexp.MustCompile(`^(?:\S+ )*?\S+:(\d+) \S+:\S+`)
)

// forgetClosed has the ports of sockets that were reset at this end or refused: the kernel has forgotten their addresses when it tells ss of them, and
// the recording has not. An expression judges them otherwise then.
func forgetClosed(reset map[string]bool, filtered bool) func(line string) string {
	return func(line string) string {
		line = ssOwners.ReplaceAllString(line, "")
		line = ssOpenOnly.ReplaceAllString(forgetSs(line), "")
		if !strings.Contains(line, " rtt:") {
			line = ssPathOnly.ReplaceAllString(line, "")
		}
		// The FIN of the other end is left out where a sample saw TIME_WAIT, whether the kernel had counted it or not. All else that the test sends
		// are multiples of four.
		line = ssReceived.ReplaceAllStringFunc(line, func(s string) string {
			n, _ := strconv.ParseUint(s[len(" bytes_received:"):], 10, 64)
			if n < 3 {
				return ""
			}
			return fmt.Sprintf(" bytes_received:%d", (n+1)&^3)
		})
		line = ssBlanks.ReplaceAllString(line, " ") // the order of what comes at once is chance, and with it the widths
		if strings.Contains(line, "Address:Port") {
			line = strings.ReplaceAll(line, " ", "")
		}
		line = ssQueues.ReplaceAllString(line, "$1")
		if m := ssLocal.FindStringSubmatch(line); m != nil && reset[m[1]] {
			if filtered {
				return ""
			}
			return "reset " + m[1]
		}
		return strings.Trim(line, " \t")
	}
}

// closing closes sockets of all kinds, in all ways.
func (p *population) closing(addrs4, addrs6 []string) (reset map[string]bool) {
	reset = map[string]bool{}
	pick := func(of []string) string { return of[p.rand.IntN(len(of))] }
	numbered := func(fd int) int { // the kernel gives a socket its number when it is asked for
		if _, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
			p.t.Fatal(err)
		}
		return fd
	}
	for range 6 + p.rand.IntN(10) {
		six := p.rand.IntN(2) == 0
		at, family := pick(addrs4), unix.AF_INET
		if six {
			at, family = pick(addrs6), unix.AF_INET6
		}
		switch p.rand.IntN(8) {
		case 0:
			p.shut(numbered(p.bound(unix.SOCK_DGRAM, at, 0)))
		case 1:
			to, _ := sockaddr(at, 1000+p.rand.IntN(50_000))
			fd := numbered(p.keep(unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)))
			if err := unix.Connect(fd, to); err != nil {
				p.t.Fatal(err)
			}
			p.shut(fd)
		case 2: // nothing was done with it
			p.shut(numbered(p.keep(unix.Socket(family, []int{unix.SOCK_STREAM, unix.SOCK_DGRAM}[p.rand.IntN(2)]|unix.SOCK_CLOEXEC, 0))))
		case 3: // nobody listens there
			fd := numbered(p.bound(unix.SOCK_STREAM, at, 0))
			reset[strconv.Itoa(p.portOf(fd))] = true
			to, _ := sockaddr(at, 1)
			if err := unix.Connect(fd, to); err == nil {
				p.t.Fatal("somebody listens on port 1")
			}
			p.shut(fd)
		default:
			listens := at
			if p.rand.IntN(2) == 0 {
				listens = map[bool]string{false: "0.0.0.0", true: "::"}[six]
				if six && p.rand.IntN(2) == 0 {
					at = pick(addrs4) // IPv4 to an IPv6 socket
				}
			}
			l := numbered(p.listen(listens, 0, 5))
			client, server := p.connect(l, at)
			numbered(client)
			numbered(server)
			for i := range p.rand.IntN(4) {
				from, to := client, server
				if i%2 == 1 {
					from, to = server, client
				}
				n := 4 * (1 + p.rand.IntN(250))
				unix.Write(from, make([]byte, n))
				unix.Read(to, make([]byte, n))
			}
			first, last := client, server
			if p.rand.IntN(2) == 0 {
				first, last = server, client
			}
			if p.rand.IntN(4) == 0 {
				reset[strconv.Itoa(p.portOf(first))] = true
				unix.SetsockoptLinger(first, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			}
			p.shut(first)
			// What is sent to the end that closed is not left out by chance.
			unix.Read(last, make([]byte, 1))
			p.shut(last)
			p.shut(l)
		}
	}
	return reset
}

// While real ones are told of sockets that are closed, the recorder is as well.
func TestSsEventsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := populate(t, seed)
			p.link("eth0", "10.1.2.3/24", "fd00::5/64")
			path := filepath.Join(t.TempDir(), "events.db")
			own, err := recorder.ParseNetNS("self")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- recorder.Run(ctx, recorder.Config{Path: path, Interval: 200 * time.Millisecond, Version: "test", Limits: recorder.DefaultLimits, NetNS: own})
			}()
			t.Cleanup(stop)
			closes := func(port int) bool {
				r, err := query.Open(t.Context(), path)
				if err != nil {
					return false
				}
				defer r.Close()
				found, err := rowsOf[int64](t.Context(), &Moment{recording: r}, fmt.Sprintf("SELECT count(*) FROM sample WHERE %d = 0 OR EXISTS (SELECT 1 FROM closed_sockets WHERE local_port = %[1]d)", port))
				return err == nil && len(found) == 1 && found[0] > 0
			}
			until(t, "the first sample", func() bool { return closes(0) })

			lines := []string{"-E -n", "-Etuna"}
			for range 6 {
				lines = append(lines, p.eventLine())
			}
			var all []*follower
			for _, line := range lines {
				all = append(all, follow(t, line))
			}
			reset := p.closing([]string{"127.0.0.1", "10.1.2.3"}, []string{"::1", "fd00::5"})
			until(t, "no connection is in a state that passes", func() bool {
				out, _ := exec.Command("ss", "-Htan", "state", "connected", "exclude", "time-wait").Output()
				return len(bytes.TrimSpace(out)) == 0
			})
			const lastPort = 9
			p.shut(p.bound(unix.SOCK_DGRAM, "127.0.0.1", lastPort))
			until(t, "the recorder is told of the last", func() bool { return closes(lastPort) })
			stop()
			if err := <-ended; err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			r, err := query.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for _, f := range all {
				c := comparison{forget: forgetClosed(reset, slices.ContainsFunc(f.words, func(w string) bool { return slices.Contains([]string{"src", "dst", "sport", "dport"}, w) }))}
				want, got := c.linesOf(f.end(t)), c.linesOf(closedPrinted(t, r, f.words))
				if !slices.Equal(want, got) {
					t.Errorf("ss %s differs (- the real one, + netsql):\n%s", strings.Join(f.words, " "), differing(want, got))
				}
				if len(want) < 2 && f == all[0] {
					t.Errorf("ss %s printed nothing", strings.Join(f.words, " "))
				}
			}
		})
	}
}

// eventLine is a line with -E.
func (p *population) eventLine() string {
	letters := []string{"t", "u", "4", "6", "n", "e", "o", "i", "m", "O", "H", "p", "a", "l"}
	p.rand.Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	line := "-E" + strings.Join(letters[:p.rand.IntN(6)], "")
	for _, more := range []string{"-f inet", "-f inet6", "-A tcp", "-A udp,tcp", "-A inet", "--tos", "--cgroup"} {
		if p.rand.IntN(12) == 0 {
			line += " " + more
		}
	}
	if p.rand.IntN(3) == 0 {
		line += " " + []string{"state listening", "state established", "exclude time-wait", "state all"}[p.rand.IntN(4)]
	}
	four, six := strings.Contains(line, "4") || strings.Contains(line, "inet"), strings.Contains(line, "6")
	if p.rand.IntN(2) == 0 && !four && !six {
		line += " " + []string{"dst 10.0.0.0/8", "src 127.0.0.1", "src ::1/128", "not dst 127.0.0.1", "sport gt :1024", "dport = :9 or sport = :9", "src 10.1.2.3 or src fd00::/16"}[p.rand.IntN(7)]
	}
	return line
}

// closedPrinted is what ours prints of all that was closed.
func closedPrinted(t *testing.T, r *query.Recording, words []string) string {
	t.Helper()
	c := ss().Command()
	rest, err := c.Parse(words)
	if err != nil {
		t.Fatalf("ss %q: %v", words, err)
	}
	stretch, err := c.Stretch(time.Now())
	if err != nil {
		t.Fatalf("ss %q: %v", words, err)
	}
	m, err := During(t.Context(), r, c.Options, stretch)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Print(t.Context(), m, rest, &out); err != nil {
		t.Fatalf("ss %q: %v", words, err)
	}
	return out.String()
}
