package recorder

import (
	"fmt"
	"maps"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
)

// What the tests of sockets compare with: ss, /proc/self/fd and getsockopt.

// loopback brings up the namespace's lo.
func loopback(t *testing.T) {
	t.Helper()
	kerneltest.Command(t, "ip", "link", "set", "lo", "up")
}

// cookieOf is the socket's SO_COOKIE.
func cookieOf(t *testing.T, c any) int64 {
	t.Helper()
	cookie := int64(0)
	onFD(t, c, func(fd int) {
		n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
		if err != nil {
			t.Fatal(err)
		}
		cookie = int64(n)
	})
	return cookie
}

// inodeOf is what /proc/self/fd says of the socket.
func inodeOf(t *testing.T, c any) int64 {
	t.Helper()
	inode := int64(0)
	onFD(t, c, func(fd int) {
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscanf(link, "socket:[%d]", &inode); err != nil {
			t.Fatalf("%s: %v", link, err)
		}
	})
	return inode
}

func onFD(t *testing.T, c any, do func(fd int)) {
	t.Helper()
	if fd, ok := c.(int); ok {
		do(fd)
		return
	}
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { do(int(fd)) }); err != nil {
		t.Fatal(err)
	}
}

// until polls a condition, for at most ten seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// An ssLine is what ss says of a socket.
type ssLine struct {
	state        string
	recvQ, sendQ int64
	local, peer  string
	more         string
}

var ssStates = map[string]string{
	"ESTAB": "ESTABLISHED", "SYN-SENT": "SYN_SENT", "SYN-RECV": "SYN_RECV", "FIN-WAIT-1": "FIN_WAIT1",
	"FIN-WAIT-2": "FIN_WAIT2", "TIME-WAIT": "TIME_WAIT", "UNCONN": "CLOSE", "CLOSE-WAIT": "CLOSE_WAIT",
	"LAST-ACK": "LAST_ACK", "LISTEN": "LISTEN", "CLOSING": "CLOSING",
}

// ss runs ss and returns its sockets by cookie. The first words are Netid when several
// kinds are asked for, and not otherwise.
func ss(t *testing.T, flags string) map[int64]ssLine {
	t.Helper()
	got := map[int64]ssLine{}
	for _, line := range strings.Split(strings.TrimSpace(kerneltest.Command(t, "ss", "-H", "-O", "-n", flags)), "\n") {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if ssStates[f[0]] == "" {
			f = f[1:]
		}
		recvQ, _ := strconv.ParseInt(f[1], 10, 64)
		sendQ, _ := strconv.ParseInt(f[2], 10, 64)
		cookie := ssWord(line, ` sk:([0-9a-f]+)`)
		n, err := strconv.ParseInt(cookie, 16, 64)
		if err != nil {
			t.Fatalf("ss: no cookie in %q", line)
		}
		got[n] = ssLine{ssStates[f[0]], recvQ, sendQ, f[3], f[4], line}
	}
	return got
}

// restless is what of ss's words changes though nothing happens.
var restless = regexp.MustCompile(`(lastsnd|lastrcv|lastack|busy|rwnd_limited):\S+|(timer:\(\w+,)[^)]*\)`)

// sampleQuietly takes samples until one falls into a moment in which nothing happened: a
// delayed acknowledgement may come between the recorder's reading and that of ss.
func sampleQuietly(t *testing.T, r *testRecording, s source, flags string) map[int64]ssLine {
	t.Helper()
	look := func() (lines map[int64]ssLine, quiet map[int64]string) {
		lines, quiet = ss(t, flags), map[int64]string{}
		for cookie, line := range lines {
			quiet[cookie] = restless.ReplaceAllString(line.more, "$2")
		}
		return lines, quiet
	}
	var lines map[int64]ssLine
	until(t, "a quiet moment", func() bool {
		_, before := look()
		r.sample(s)
		var after map[int64]string
		lines, after = look()
		return maps.Equal(before, after)
	})
	return lines
}

// ssWord is what the pattern's group matches in the line, "" when it does not.
func ssWord(line, pattern string) string {
	m := regexp.MustCompile(pattern).FindStringSubmatch(line)
	if m == nil {
		return ""
	}
	return m[1]
}

// ssNumber is the same as the recording has numbers; nil when ss says nothing.
func ssNumber(line, pattern string) any {
	n, err := strconv.ParseInt(ssWord(line, pattern), 10, 64)
	if err != nil {
		return nil
	}
	return n
}

// ssEnd takes ADDRESS%DEVICE:PORT apart, as ss -n prints it.
func ssEnd(end string, family any) (addr string, port int64) {
	i := strings.LastIndexByte(end, ':')
	addr = strings.Trim(end[:i], "[]")
	addr, _, _ = strings.Cut(addr, "%")
	if addr == "*" {
		addr = "::"
		if family == int64(4) {
			addr = "0.0.0.0"
		}
	}
	if ip := net.ParseIP(addr); ip != nil && ip.To4() != nil {
		addr = ip.To4().String() // also of a socket of IPv6
	}
	port, _ = strconv.ParseInt(end[i+1:], 10, 64)
	return addr, port
}
