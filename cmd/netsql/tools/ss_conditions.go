package tools

import (
	"net/netip"
	"strings"
)

// An ssSocket is what an expression looks at.
type ssSocket struct {
	family        ssFamily
	local, remote [16]byte // an IPv4 address stands at the begin, or is mapped into an IPv6 one
	name          string   // of a unix socket
	lport, rport  int64
	ifindex, mark int64
	cgroup        string
}

// A condition is an expression. The kernel and ss judge it each by themselves, with small differences, and a socket must please both.
type condition interface {
	matches(s *ssSocket, kernel bool) bool
}

type (
	notCondition    struct{ of condition }
	allCondition    struct{ a, b condition }
	anyCondition    struct{ a, b condition }
	deviceCondition struct{ ifindex int64 }
	markCondition   struct{ mark, mask uint32 }
	cgroupCondition struct{ path string }
	hostCondition   struct {
		remote  bool
		family  ssFamily // 0: of any
		prefix  []ssPrefix
		port    int64 // -1: any
		pattern *string
	}
	rangeCondition struct { // at least or at most
		remote, least bool
		port          int64
	}
)

type ssPrefix struct {
	bytes [16]byte
	bits  int
}

func (c notCondition) matches(s *ssSocket, kernel bool) bool { return !c.of.matches(s, kernel) }
func (c allCondition) matches(s *ssSocket, kernel bool) bool {
	return c.a.matches(s, kernel) && c.b.matches(s, kernel)
}
func (c anyCondition) matches(s *ssSocket, kernel bool) bool {
	return c.a.matches(s, kernel) || c.b.matches(s, kernel)
}
func (c deviceCondition) matches(s *ssSocket, _ bool) bool { return s.ifindex == c.ifindex }
func (c markCondition) matches(s *ssSocket, _ bool) bool {
	return uint32(s.mark)&c.mask == c.mark
}
func (c cgroupCondition) matches(s *ssSocket, _ bool) bool { return s.cgroup == c.path }

func (c rangeCondition) matches(s *ssSocket, kernel bool) bool {
	port, than := s.lport, c.port
	if c.remote {
		port = s.rport
	}
	if kernel { // which is given 16 bits of it: 65535 where there is none
		than = int64(uint16(than))
	}
	if c.least {
		return port >= than
	}
	return port <= than
}

func (c hostCondition) matches(s *ssSocket, kernel bool) bool {
	addr, port := &s.local, s.lport
	if c.remote {
		addr, port = &s.remote, s.rport
	}
	if c.pattern != nil {
		name := s.name
		if c.remote {
			name = ""
		}
		return likeFile(strings.ToLower(*c.pattern), strings.ToLower(name))
	}
	if c.port != -1 && c.port != port {
		return false
	}
	mapped := s.family == ssFamily6 && isMapped(addr)
	if kernel && c.family != 0 && c.family != s.family {
		if !mapped || c.family != ssFamily4 {
			return false
		}
		four := fourOf(addr)
		addr, mapped = &four, false
	}
	if len(c.prefix) == 0 {
		return true
	}
	for _, p := range c.prefix {
		if p.holds(addr) {
			return true
		}
		if mapped && c.family == ssFamily4 {
			if four := fourOf(addr); p.holds(&four) {
				return true
			}
		}
	}
	return false
}

// fourOf is the IPv4 address that is mapped into an IPv6 one.
func fourOf(addr *[16]byte) (four [16]byte) {
	copy(four[:], addr[12:])
	return four
}

func isMapped(addr *[16]byte) bool {
	return netip.AddrFrom16(*addr).Is4In6()
}

func (p ssPrefix) holds(addr *[16]byte) bool {
	for i := 0; i < p.bits; i += 8 {
		mask := byte(0xff)
		if p.bits-i < 8 {
			mask <<= 8 - (p.bits - i)
		}
		if (p.bytes[i/8]^addr[i/8])&mask != 0 {
			return false
		}
	}
	return true
}

// likeFile tells whether a name is one of a pattern with *, ? and [a-z], as fnmatch of the C library does.
func likeFile(pattern, name string) bool {
	var afterStar, rest string // where to go on when the last * takes one byte more
	starred := false
	for {
		if pattern != "" && pattern[0] == '*' {
			pattern = pattern[1:]
			starred, afterStar, rest = true, pattern, name
			continue
		}
		if pattern == "" && name == "" {
			return true
		}
		if n := firstOf(pattern, name); n > 0 {
			pattern, name = pattern[n:], name[1:]
			continue
		}
		if !starred || rest == "" {
			return false
		}
		rest = rest[1:]
		pattern, name = afterStar, rest
	}
}

// firstOf is how much of the pattern stands for the first byte of the name; 0: nothing does.
func firstOf(pattern, name string) int {
	if pattern == "" || name == "" {
		return 0
	}
	length := 1
	switch pattern[0] {
	case '?':
		return 1
	case '[':
		if end := strings.IndexByte(pattern[min(2, len(pattern)):], ']'); end >= 0 {
			if inSet(pattern[1:end+2], name[0]) {
				return end + 3
			}
			return 0
		}
	case '\\':
		if len(pattern) > 1 {
			length = 2
		}
	}
	if pattern[length-1] != name[0] {
		return 0
	}
	return length
}

func inSet(set string, c byte) bool {
	not := set != "" && (set[0] == '!' || set[0] == '^')
	if not {
		set = set[1:]
	}
	in := false
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			in = in || set[i] <= c && c <= set[i+2]
			i += 2
			continue
		}
		in = in || set[i] == c
	}
	return in != not
}
