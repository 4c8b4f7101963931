package tools

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// inet prints a socket of IPv4 or IPv6.
func (s *ssPrinter) inet(proto string) error {
	r, t := &s.row, s.t
	tcp := proto == "tcp" || proto == "mptcp"
	if tcp && r.text(ssState) == "CLOSE" && !s.events {
		return nil // the kernel lists it only for programs that are younger than ss 6.1
	}
	six := r.number(ssFamilyNumber) == 6
	family := ssFamily4
	if six {
		family = ssFamily6
	}
	asked := proto != "raw" || r[ssCookie].Known() // the kernel was, by sock_diag; else it is a line of /proc/net/raw
	if s.families&family == 0 || asked && !s.events && (six && s.prefer == ssFamily4 || !six && s.prefer == ssFamily6) {
		return nil
	}
	lport, rport := r.number(ssLocalPort), r.number(ssRemotePort)
	ifindex := r.number(ssIfIndex)
	bucket := r.text(ssTimer) == "timewait" || r.text(ssState) == "TIME_WAIT" || r.text(ssState) == "SYN_RECV" // of which the kernel keeps little
	if s.condition != nil {
		s.socket = ssSocket{family: family, lport: lport, rport: rport, ifindex: ifindex, mark: r.number(ssMark), cgroup: r.text(ssCGroup)}
		s.socket.local, s.socket.remote = bytesOf(r.text(ssLocalAddr), six), bytesOf(r.text(ssRemoteAddr), six)
		if !s.passes() || asked && !s.events && !s.parser.dev && !s.condition.matches(&s.socket, true) {
			return nil
		}
	}
	netid := proto
	if proto == "raw" && asked {
		netid = rawName(lport)
	}
	s.state(netid)
	s.address(r.text(ssLocalAddr), lport, ifindex, proto, six)
	s.address(r.text(ssRemoteAddr), rport, 0, proto, six)
	s.users()
	switch {
	case !asked:
		return nil
	case s.events:
		s.closedDetails(proto)
		return nil
	}
	if s.timers {
		s.timer(proto)
	}
	if s.details {
		s.inetDetails(bucket)
	}
	if s.tos && !bucket {
		if tos, ok := r.known(ssTOS); ok {
			if six {
				t.text(" tclass:")
			} else {
				t.text(" tos:")
			}
			if tos != 0 {
				t.text("0x")
			}
			t.b = strconv.AppendInt(t.b, tos, 16)
		}
	}
	if s.cgroups && !bucket && r.text(ssCGroup) != "" {
		t.text(" cgroup:")
		t.text(r.text(ssCGroup))
	}
	if s.memory || s.info && netid != "udp" {
		if !s.oneline {
			t.text("\n\t")
		}
		if s.memory && !bucket {
			s.mem("", "")
		}
		if s.info && proto == "tcp" && !bucket {
			s.tcpInfo()
		}
	}
	return nil
}

// rawName is how ss calls a raw socket, by its protocol.
func rawName(protocol int64) string {
	switch protocol {
	case 0:
		return "raw"
	case 6:
		return "tcp"
	case 17:
		return "udp"
	case 33:
		return "dccp"
	case 58:
		return "icmp6"
	case 132:
		return "sctp"
	}
	return "???"
}

func bytesOf(addr string, six bool) (b [16]byte) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return b
	}
	if six {
		return ip.As16()
	}
	copy(b[:], ip.AsSlice())
	return b
}

func (s *ssPrinter) address(addr string, port, ifindex int64, proto string, six bool) {
	t := s.t
	switch {
	case addr == "": // of a socket that was closed, where the kernel had forgotten it
		s.end("-", ":", "-")
		return
	case !six:
		t.text(s.host(addr))
	case addr == "::" && s.row.number(ssV6Only) == 0:
		t.b = append(t.b, '*')
	default:
		name := s.host(addr)
		if name == addr && !strings.Contains(addr, ":") {
			name = "::ffff:" + addr
		}
		if strings.Contains(name, ":") {
			t.b = append(append(append(t.b, '['), name...), ']')
		} else {
			t.text(name)
		}
	}
	if ifindex != 0 {
		t.b = append(t.b, '%')
		t.text(s.device(ifindex))
	}
	t.b = append(t.b, ':')
	t.next()
	s.port(port, proto)
	t.next()
}

func (s *ssPrinter) timer(proto string) {
	r, t := &s.row, s.t
	var name string
	switch r.text(ssTimer) {
	case "retransmit":
		name = "on"
	case "probe":
		name = "persist"
	case "keepalive", "timewait":
		name = r.text(ssTimer)
	default:
		return
	}
	if proto == "sctp" {
		name = "T3_RTX"
	}
	t.text(" timer:(")
	t.text(name)
	t.b = append(t.b, ',')
	if left, ok := r.known(ssTimerLeft); ok {
		t.text(untilTimer(max(left, 0)))
	} else {
		t.b = append(t.b, '-')
	}
	t.b = append(t.b, ',')
	if tries, ok := r.known(ssTries); ok {
		t.b = strconv.AppendInt(t.b, tries, 10)
	} else if name == "timewait" {
		t.b = append(t.b, '0')
	} else {
		t.b = append(t.b, '-')
	}
	t.b = append(t.b, ')')
}

// untilTimer is a time as ss prints it: 1min59sec, 12sec, 3.400ms, 200ms.
func untilTimer(ms int64) string {
	secs := ms / 1000
	minutes := secs / 60
	secs %= 60
	ms %= 1000
	text := ""
	if minutes > 0 {
		ms = 0
		text = fmt.Sprintf("%dmin", minutes)
		if minutes > 9 {
			secs = 0
		}
	}
	if secs > 0 {
		if secs > 9 {
			ms = 0
		}
		text += strconv.FormatInt(secs, 10)
		if ms > 0 {
			text += "."
		} else {
			text += "sec"
		}
	}
	if ms > 0 {
		text += fmt.Sprintf("%03dms", ms)
	}
	return text
}

func (s *ssPrinter) inetDetails(bucket bool) {
	r, t := &s.row, s.t
	s.ownerDetails(bucket)
	if mark := r.number(ssMark); mark != 0 {
		t.text(" fwmark:0x")
		t.b = strconv.AppendUint(t.b, uint64(uint32(mark)), 16)
	}
	if bucket {
		return
	}
	if cgroup := r.text(ssCGroup); cgroup != "" {
		t.text(" cgroup:")
		t.text(cgroup)
	}
	if only, ok := r.known(ssV6Only); ok && r.number(ssFamilyNumber) == 6 {
		s.pair(" v6only:", only)
	}
	s.shutdown()
}

// shutdown prints which ways are open, where that was recorded: with the limits of the buffers.
func (s *ssPrinter) shutdown() {
	if !s.row[ssRcvBuf].Known() {
		return
	}
	switch s.row.text(ssShutdown) {
	case "recv":
		s.t.text(" -->")
	case "send":
		s.t.text(" <--")
	case "both":
		s.t.text(" ---")
	default:
		s.t.text(" <->")
	}
}
