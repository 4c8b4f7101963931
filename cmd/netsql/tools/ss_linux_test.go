package tools

import (
	"bytes"
	"fmt"
	"math/bits"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"netsql/query"
	"netsql/recorder/kerneltest"
)

var (
	// What tcp_info has and a recording has not. Of a listener, the congestion window that its connections will begin with.
	ssUnknown    = regexp.MustCompile(` (ato|rcvmss|advmss|bytes_acked|bytes_retrans|data_segs_out|data_segs_in|lastsnd|lastrcv|lastack|delivered|delivered_ce|sacked|dsack_dups|fackets|reordering|rcv_rtt|rcv_space|rcv_ssthresh|rcv_ooopack|snd_wnd|qack):\S+| bidir| bbr:\(\S*\)| pacing_rate \S+`)
	ssListenCwnd = regexp.MustCompile(` cwnd:\d+`)
	ssUnacked    = regexp.MustCompile(`^([^L].*) unacked:\d+`)
	ssRetrans    = regexp.MustCompile(` retrans:[-\d]+/(0$|0 )?`)
	ssPercent    = regexp.MustCompile(`ms\([\d.]+%\)`)
	// How fast data last arrived is recorded only where the path limits it, and about.
	ssDelivery = regexp.MustCompile(` delivery_rate \S+`)
	// A busy time below a millisecond.
	ssShortBusy = regexp.MustCompile(` busy:0ms`)
	// When a timer ends is recorded of few, and it moves.
	ssTimerTime = regexp.MustCompile(`timer:\((\w+),[^,]*,`)
	// Numbers that a recording rounds down: to two decimal digits, or to two binary ones.
	ssRTOText     = regexp.MustCompile(` rto:([\d.]+)`)
	ssMinRTTText  = regexp.MustCompile(` minrtt:([\d.]+)`)
	ssNotSentText = regexp.MustCompile(`( notsent:|,rb|,tb)(\d+)`)
	// What takes memory at this moment, but for the queue of packet and netlink sockets.
	ssMem = regexp.MustCompile(`skmem:\(r([-\d]+),(rb[-\d]+),t[-\d]+,(tb[-\d]+),f[-\d]+,w[-\d]+,o[-\d]+,bl[-\d]+,`)
	// Of packet sockets: version, flags, rings and so on. Of unix sockets: all of -m and -e.
	ssPacketMore = regexp.MustCompile(`([\t ])ver:\d+ cpy_thresh:\S+ flags\(.*?\)`)
	ssSkmemAfter = regexp.MustCompile(` +skmem`)
	ssUnixMore   = regexp.MustCompile(`^(.*\* +\d+.*?)( skmem:.*| [<-]-[>-].*)`)
	// A connection that is not answered goes on trying.
	forgetSynSent = regexp.MustCompile(`(SYN-SENT.*?)( timer:.*| bbr .*| cubic .*|\n.*)`)
	// What all sockets of the machine and those of the tools themselves are counted in.
	forgetSummary  = regexp.MustCompile(`^(Total:|TCP: +).*\(.*$|^(Total:).*`)
	ssPacketLimits = regexp.MustCompile(`rb\d+,tb\d+,`)
	// Of an IPv6 socket the type of service of IPv4.
	ssTOSOfSix = regexp.MustCompile(` tos:\S+( tclass:)`)
	ssClassID  = regexp.MustCompile(` class_id:\S+`)
	// Of several descriptors of a process the lowest is recorded, which stands last.
	ssUsers = regexp.MustCompile(`users:\(\(.*?\)\)`)
	ssUser  = regexp.MustCompile(`(.*),fd=\d+$`)
)

func coarse(n uint64) uint64 {
	if n < 4 {
		return n
	}
	shift := bits.Len64(n) - 2
	return n >> shift << shift
}

func rounded(text string, by func(uint64) uint64) string {
	f, _ := strconv.ParseFloat(text, 64)
	return strconv.FormatUint(by(uint64(f*1000+0.5)), 10)
}

// isPacketOrNetlink tells whether a line is of such a socket. Of netlink the memory stands in the same line, after a tab.
func isPacketOrNetlink(line string) bool {
	return strings.HasPrefix(line, "p_") || strings.Contains(line, " sk=0 cb=0 ") || strings.LastIndex(line, "\t skmem:") > 0
}

// The last column is as wide as all its texts but the last one, and which is the last is chance.
func forgetSs(line string) string {
	if strings.HasPrefix(line, "RTNETLINK answers") { // the kernel has no DCCP, SCTP or the like
		return ""
	}
	line = ssUsers.ReplaceAllStringFunc(line, func(s string) string {
		users := strings.Split(strings.TrimSuffix(strings.TrimPrefix(s, "users:(("), "))"), "),(")
		var lowest []string
		for i, u := range users {
			if i+1 == len(users) || ssUser.ReplaceAllString(u, "$1") != ssUser.ReplaceAllString(users[i+1], "$1") {
				lowest = append(lowest, u)
			}
		}
		return "users:((" + strings.Join(lowest, "),(") + "))"
	})
	line = ssUnknown.ReplaceAllString(line, "")
	if !strings.Contains(line, " rto:") && !strings.Contains(line, " rtt:") {
		line = ssListenCwnd.ReplaceAllString(line, "")
	}
	line = ssUnacked.ReplaceAllString(line, "$1")
	line = ssRetrans.ReplaceAllString(line, " retrans:-/")
	line = ssPercent.ReplaceAllString(line, "ms")
	if !strings.Contains(line, " bytes_sent:") { // whether it limits itself is recorded where something was acknowledged
		line = strings.Replace(line, " app_limited", "", 1)
	}
	line = forgetSynSent.ReplaceAllString(line, "$1")
	if begin, _, is := strings.Cut(line, " rto:"); is && strings.HasPrefix(line, "\t") && !strings.Contains(line, " rtt:") { // its second line
		line = begin
	}
	line = forgetSummary.ReplaceAllString(line, "$1")
	line = ssDelivery.ReplaceAllString(line, "")
	line = ssShortBusy.ReplaceAllString(line, "")
	line = ssTimerTime.ReplaceAllString(line, "timer:($1,-,")
	line = ssRTOText.ReplaceAllStringFunc(line, func(s string) string {
		return " rto:" + rounded(s[5:], func(us uint64) uint64 {
			ms, cut := us/1000, uint64(1)
			for ms/cut >= 100 {
				cut *= 10
			}
			return ms / cut * cut
		})
	})
	line = ssMinRTTText.ReplaceAllStringFunc(line, func(s string) string { return " minrtt:" + rounded(s[8:], coarse) })
	line = ssNotSentText.ReplaceAllStringFunc(line, func(s string) string {
		i := strings.IndexAny(s, "0123456789")
		n, _ := strconv.ParseUint(s[i:], 10, 64)
		return s[:i] + strconv.FormatUint(coarse(n), 10)
	})
	queue := ""
	if isPacketOrNetlink(line) {
		queue = "$1"
	}
	line = ssMem.ReplaceAllString(line, "skmem:(r"+queue+",$2,$3,")
	packetMore := ssPacketMore.MatchString(line)
	line = ssPacketMore.ReplaceAllString(line, "$1")
	line = ssUnixMore.ReplaceAllString(line, "$1")
	line = ssTOSOfSix.ReplaceAllString(line, "$1")
	line = ssClassID.ReplaceAllString(line, "")
	if packetMore || isPacketOrNetlink(line) { // limits of packet and netlink sockets
		line = ssPacketLimits.ReplaceAllString(line, "rb-,tb-,")
	}
	if packetMore {
		line = ssSkmemAfter.ReplaceAllString(line, " skmem")
	}
	return strings.TrimRight(line, " \t")
}

// ssNetwork has what ss shows besides: packet and netlink sockets, marks, devices, limits, queues, and sockets of several processes.
func ssNetwork(t *testing.T, seed uint64) *population {
	p := network(t, seed)
	pick := func(of ...int) int { return of[p.rand.IntN(len(of))] }
	p.ip("addr add fe80::77/64 dev eth0 nodad")
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	set := func(fd, level, option, value int) {
		if err := unix.SetsockoptInt(fd, level, option, value); err != nil {
			t.Fatalf("option %d of level %d: %v", option, level, err)
		}
	}
	for i := range 1 + p.rand.IntN(3) {
		only := p.keep(unix.Socket(unix.AF_INET6, pick(unix.SOCK_STREAM, unix.SOCK_DGRAM)|unix.SOCK_CLOEXEC, 0))
		set(only, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, p.rand.IntN(2))
		set(only, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, pick(0, 8, 184))
		if err := unix.Bind(only, &unix.SockaddrInet6{}); err != nil {
			t.Fatal(err)
		}
		unix.Listen(only, 3)

		marked := p.bound(unix.SOCK_DGRAM, "10.1.2.3", 0)
		set(marked, unix.SOL_SOCKET, unix.SO_MARK, 1+p.rand.IntN(300))
		set(marked, unix.IPPROTO_IP, unix.IP_TOS, pick(0, 16, 184))
		bound := p.bound(pick(unix.SOCK_STREAM, unix.SOCK_DGRAM), "0.0.0.0", 0)
		if err := unix.BindToDevice(bound, "eth0"); err != nil {
			t.Fatal(err)
		}
		unix.Listen(bound, 2)

		full := p.bound(unix.SOCK_DGRAM, "127.0.0.1", 0)
		set(full, unix.SOL_SOCKET, unix.SO_RCVBUF, 2000+p.rand.IntN(5000))
		to, _ := sockaddr("127.0.0.1", p.portOf(full))
		for range p.rand.IntN(20) {
			unix.Sendto(marked, make([]byte, 500), 0, to)
			unix.Sendto(full, make([]byte, 500), 0, to)
		}

		packet := p.keep(unix.Socket(unix.AF_PACKET, pick(unix.SOCK_RAW, unix.SOCK_DGRAM)|unix.SOCK_CLOEXEC, 0))
		protocol := uint16(pick(unix.ETH_P_ALL, unix.ETH_P_IP, unix.ETH_P_ARP, 0x88cc, 0x8100, 0x1234))
		if err := unix.Bind(packet, &unix.SockaddrLinklayer{Protocol: protocol>>8 | protocol<<8, Ifindex: pick(0, link.Index)}); err != nil {
			t.Fatal(err)
		}
		unix.Sendto(marked, make([]byte, 500), 0, to)
		nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K} // what it has by now is all
		if err := unix.SetsockoptSockFprog(packet, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
			t.Fatal(err)
		}
		netlink := p.keep(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, pick(unix.NETLINK_ROUTE, unix.NETLINK_GENERIC, unix.NETLINK_KOBJECT_UEVENT)))
		if err := unix.Bind(netlink, &unix.SockaddrNetlink{Groups: uint32(p.rand.IntN(2)), Pid: uint32(pick(0, 70_000+i, -5-i))}); err != nil {
			t.Fatal(err)
		}

		pair, err := unix.Socketpair(unix.AF_UNIX, pick(unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_SEQPACKET)|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		p.fds = append(p.fds, pair[0], pair[1])
		if p.rand.IntN(2) == 0 {
			unix.Shutdown(pair[0], pick(unix.SHUT_RD, unix.SHUT_WR))
		}
		unix.Write(pair[0], make([]byte, 1+p.rand.IntN(2000)))

		listener := p.listen("10.1.2.3", 0, 5)
		for range p.rand.IntN(3) { // nobody accepts them
			fd := p.keep(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
			at, _ := sockaddr("10.1.2.3", p.portOf(listener))
			if err := unix.Connect(fd, at); err != nil {
				t.Fatal(err)
			}
		}
		p.connect(listener, "10.1.2.3")
	}
	local := p.keep(unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	at := &unix.SockaddrInet6{Addr: parsed("fe80::77").As16(), ZoneId: uint32(link.Index)}
	if err := unix.Bind(local, at); err != nil {
		t.Fatal(err)
	}
	unix.Listen(local, 9)
	at.Port = p.portOf(local)
	far := p.keep(unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Connect(far, at); err != nil {
		t.Fatal(err)
	}
	for range 2 { // children that have it too
		file := os.NewFile(uintptr(p.keep(unix.FcntlInt(uintptr(local), unix.F_DUPFD_CLOEXEC, 0))), "")
		child := exec.Command("sleep", "60")
		child.ExtraFiles = []*os.File{file}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		p.shutFile(file)
		t.Cleanup(func() { child.Process.Kill(); child.Wait() })
	}
	p.ip("neigh add 192.0.2.201 lladdr 02:00:00:00:00:01 dev wlan0")
	unanswered := p.keep(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0))
	to, _ := sockaddr("192.0.2.201", 81)
	unix.Connect(unanswered, to)
	return p
}

// shutFile closes a file whose descriptor is kept.
func (p *population) shutFile(file *os.File) {
	p.fds = slices.DeleteFunc(p.fds, func(fd int) bool { return uintptr(fd) == file.Fd() })
	file.Close()
}

func TestSsIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			ssNetwork(t, seed)
			compare(t, comparison{tool: "ss", forget: forgetSs, lines: []string{
				"-tan", "-tln", "-tanp", "-uan", "-wan", "-xan", "-tuwxan", "-ta", "-ua", "-wa", "", "-x", "-tn", "-un", "-4antuw", "-6antuw", "-tae", "-tano", "-tanO", "-taniO", "-tanmO", "-s",
				"-s -tan", "-H -ltn", "-tulpn", "-0a", "-0", "-tuwxanpeomiO", "-tan --tos", "-tan --cgroup", "-A tcp,udp -an", "-A inet -n", "-A u_dgr,u_str -a", "-A all,!netlink,!packet -na",
				"-f inet -ant", "-f inet6 -ant", "-f unix", "-f link -a", "-xt4an", "-4 -6 -tan", "-6 -4 -tan", "-tal", "-tla", "-u -A tcp -a", "-A tcp -ua", "-0ane", "-0anmO", "-0anpeO", "-xanpemO -A unix,tcp", "-uanpemO",
				"-tni exclude listening exclude syn-sent exclude closed", "-tneoi state established", "-tuwan -m", "-tr", "-nltr",
			}})
		})
	}
}

// Expressions, of ports that are there.
func TestSsFilterIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			p := ssNetwork(t, seed)
			l4, l6 := p.listen("0.0.0.0", 8080, 5), p.listen("::", 8443, 5)
			p.listen("127.0.0.1", 22, 5)
			for _, to := range []string{"10.1.2.3", "127.0.0.1", "192.0.2.200"} {
				p.connect(l4, to)
				p.connect(l6, to) // mapped
			}
			p.connect(l6, "::1")
			var lines []string
			for _, e := range []string{
				"dst 10.0.0.0/8", "src 10.1.2.3", "src 10.1.2.3:8080", "dst 127.0.0.1:8443", "src [::1]:8443", "src ::1/128", "dst fd00::/8", "src ::ffff:10.1.2.3/128", "src ::/0", "src 0.0.0.0/0", "not src 0.0.0.0/0",
				"src 0.0.0.0/1", "not src 0.0.0.0/1", "dst 10.0.0.0/255.0.0.0", "dst 10.1", "src *:8080", "src :8443", "sport = :8080", "sport 8080", "sport eq 8080", "sport = 0x1f90", "( sport = :ssh or dport = :ssh )",
				"( sport = :8080 or dport = :8080 )", "dport gt :1024", "dport >= 8443", "sport lt 8443", "sport <= :8080", "sport != :8080", "sport ne :8080 and dport neq :8443", "not dst 10.0.0.0/8", "! ( src 127.0.0.0/8 or src ::1/128 )",
				"sport = :8080 or sport = :8443 and dst 127.0.0.0/8", "src 10.0.0.0/8 sport = :8080", "dev = eth0", "dev eth0", "dev != eth0", "dev = 7", "not dev eth0 and sport = :8080", "fwmark = 1", "fwmark 0", "fwmark != 0", "fwmark = 0x10/0x10",
				"src any", "dst all:8080", "src default", "src inet:10.1.2.3", "src inet6:*", "dst inet:*:8080", "state established", "state connected", "state synchronized", "state bucket", "state big", "state all",
				"state listening", "state closed", "exclude established", "excl listening excl time-wait", "state close-wait", "state close-wait state fin-wait-2 dst 127.0.0.0/8", "state established ( dport = :8080 or sport = :8080 )",
				"src localhost", "( ( ( src 10.1.2.3 ) ) )", "! ! src 10.1.2.3", "not ! src 10.1.2.3",
			} {
				lines = append(lines, "-tuan "+e)
				if p.rand.IntN(3) == 0 {
					lines = append(lines, []string{"-ta4n ", "-6ua ", "-A inet,unix ", "-lt ", "-a -4 -6 ", "-ntr "}[p.rand.IntN(6)]+e)
				}
			}
			for _, e := range []string{"src unix:*netsql*", "src unix:@NETSQL*", "src *", "src @netsql-[a-z]*", "not src unix:", "dst *", "sport = :5"} {
				lines = append(lines, "-xa "+e)
			}
			for _, e := range []string{"src link:ip", "src link:*:eth0", "sport = link:eth0", "not src link:arp", "src *:eth0", "src 0x800"} {
				lines = append(lines, "-0a "+e)
			}
			lines = append(lines, ssNonsense...)
			p.rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
			if os.Getenv("NETSQL_SEEDS") != "" {
				lines = lines[:len(lines)/3]
			}
			compareFilters(t, comparison{tool: "ss", forget: forgetSs, lines: lines})
		})
	}
}

// What the real one refuses as well.
var ssNonsense = []string{
	"-tan (", "-tan )", "-tan dst", "-tan dst 10.0.0.0/33", "-tan dst 300.1.2.3", "-tan dst 10.0.0.1 or", "-tan and dst 10.0.0.1", "-tan sport = :nonsense", "-tan dport dport", "-tan state", "-tan state nonsense", "-tan nonsense",
	"-tan src > 10.0.0.1", "-tan src ::1", "-tan dev = nonsense", "-tan fwmark = x", "-tan fwmark > 3", "-tan ( src 10.0.0.1", "-tan src 10.0.0.1 )", "-tan not", "-tan sport = :1 state all", "-6 -tan src 10.0.0.1", "-A nonsense", "-f nonsense",
	"-tan src 10.0.0.0/255.0.255.0", "-tan src fd00::/129", "-tan src [fd00::1", "-tan sport = 10.0.0.1:x",
}

// compareFilters is compare for expressions that the real one may refuse: then ours must as well.
func compareFilters(t *testing.T, c comparison) {
	t.Helper()
	r := recorded(t)
	for _, line := range c.lines {
		words := strings.Fields(line)
		var complaint bytes.Buffer
		cmd := exec.Command(c.tool, words...)
		cmd.Stderr = &complaint
		want, err := cmd.Output()
		got, ours := ssPrinted(t, r, words)
		if err != nil || ours != nil {
			if (err != nil) != (ours != nil) {
				t.Errorf("%s %s: %v %s, netsql says: %v", c.tool, line, err, &complaint, ours)
			}
			continue
		}
		a, b := slices.Compact(c.linesOf(string(want))), slices.Compact(c.linesOf(got))
		if !slices.Equal(a, b) {
			t.Errorf("%s %s differs (- the real one, + netsql):\n%s", c.tool, line, differing(a, b))
		}
	}
}

// ssPrinted is what ours prints, or complains of.
func ssPrinted(t *testing.T, r *query.Recording, words []string) (string, error) {
	t.Helper()
	c := ss().Command()
	rest, err := c.Parse(words)
	if err != nil {
		return "", err
	}
	m, err := At(t.Context(), r, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = c.Print(t.Context(), m, rest, &out)
	return out.String(), err
}

var ssBlanks = regexp.MustCompile(` +`)

// The sockets of the kernel itself are not recorded, and ss and the recorder have one each: so the widths differ, too.
func forgetNetlink(line string) string {
	line = ssBlanks.ReplaceAllString(forgetSs(line), " ")
	if strings.Contains(line, ":kernel ") || strings.Contains(line, "tcpdiag:") || ssOfKernel.MatchString(line) {
		return ""
	}
	return strings.TrimRight(line, " ")
}

var ssOfKernel = regexp.MustCompile(`^(nl )?(UNCONN )?\d+ 0 (\d+:0|4:\d+) `)

func TestSsOfNetlinkIsTheRealOne(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if !kerneltest.InNamespace(t) {
				return
			}
			ssNetwork(t, seed)
			// The kernel lists a socket that joined a group twice.
			compareFilters(t, comparison{tool: "ss", forget: forgetNetlink, lines: []string{"-f netlink", "-f netlink -a", "-f netlink -an", "-f netlink -e", "-f netlink -aem", "-A netlink -a src rtnl", "-A netlink -a src netlink:genl:*", "-A netlink -an not src netlink:0"}})
		})
	}
}
