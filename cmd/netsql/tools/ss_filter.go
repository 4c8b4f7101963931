package tools

import (
	"bufio"
	"math"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// The kinds of sockets and of addresses that ss tells apart, as bits.
const (
	ssTCP = 1 << iota
	ssMPTCP
	ssDCCP
	ssUDP
	ssRaw
	ssUnixDgram
	ssUnixStream
	ssUnixSeqpacket
	ssPacketDgram
	ssPacketRaw
	ssNetlink
	ssSCTP
	ssVsockStream
	ssVsockDgram
	ssTIPC
	ssXDP

	ssUnix   = ssUnixDgram | ssUnixStream | ssUnixSeqpacket
	ssPacket = ssPacketDgram | ssPacketRaw
	ssVsock  = ssVsockStream | ssVsockDgram
	ssInet   = ssTCP | ssMPTCP | ssDCCP | ssUDP | ssRaw | ssSCTP
	ssAll    = ssInet | ssUnix | ssPacket | ssNetlink | ssVsock | ssXDP
)

type ssFamily uint

const (
	ssFamily4 ssFamily = 1 << iota
	ssFamily6
	ssFamilyUnix
	ssFamilyPacket
	ssFamilyNetlink
	ssFamilyVsock
	ssFamilyTIPC
	ssFamilyXDP
)

// States, as bits.
const (
	ssEstablished = 1 << (iota + 1)
	ssSynSent
	ssSynRecv
	ssFinWait1
	ssFinWait2
	ssTimeWait
	ssClose
	ssCloseWait
	ssLastAck
	ssListen
	ssClosing

	ssEvery     = 1<<12 - 1
	ssConnected = ssEvery &^ (ssListen | ssClose | ssTimeWait | ssSynRecv) // without -a and -l
)

var ssQueries = map[string]int{
	"all": ssAll, "inet": ssInet, "udp": ssUDP, "dccp": ssDCCP, "tcp": ssTCP, "mptcp": ssMPTCP, "sctp": ssSCTP, "raw": ssRaw, "unix": ssUnix,
	"unix_stream": ssUnixStream, "u_str": ssUnixStream, "unix_dgram": ssUnixDgram, "u_dgr": ssUnixDgram, "unix_seqpacket": ssUnixSeqpacket, "u_seq": ssUnixSeqpacket,
	"packet": ssPacket, "packet_raw": ssPacketRaw, "p_raw": ssPacketRaw, "packet_dgram": ssPacketDgram, "p_dgr": ssPacketDgram, "netlink": ssNetlink, "tipc": ssTIPC,
	"vsock": ssVsock, "vsock_stream": ssVsockStream, "v_str": ssVsockStream, "vsock_dgram": ssVsockDgram, "v_dgr": ssVsockDgram, "xdp": ssXDP,
}

// statesOf are the states that -t, -x and so on mean without -a and -l.
func statesOf(kinds int) int {
	states := 0
	if kinds&(ssTCP|ssMPTCP|ssDCCP|ssSCTP|ssUnixStream|ssUnixSeqpacket|ssVsock) != 0 {
		states |= ssConnected
	}
	if kinds&(ssUDP|ssRaw) != 0 {
		states |= ssEstablished
	}
	if kinds&(ssUnixDgram|ssPacket|ssNetlink|ssXDP) != 0 {
		states |= ssClose
	}
	if kinds&ssTIPC != 0 {
		states |= ssEstablished | ssListen | ssClose
	}
	return states
}

var ssFamilies = map[string]ssFamily{
	"inet": ssFamily4, "inet6": ssFamily6, "link": ssFamilyPacket, "unix": ssFamilyUnix, "netlink": ssFamilyNetlink, "vsock": ssFamilyVsock, "tipc": ssFamilyTIPC, "xdp": ssFamilyXDP,
}

// kindsOf are the kinds that have addresses of a family, and the states that the family means without -a and -l.
func kindsOf(family ssFamily) (kinds, states int) {
	switch family {
	case ssFamilyUnix:
		return ssUnix, ssConnected
	case ssFamilyPacket:
		return ssPacket, ssClose
	case ssFamilyNetlink:
		return ssNetlink, ssClose
	case ssFamilyVsock:
		return ssVsock, ssConnected
	case ssFamilyTIPC:
		return ssTIPC, ssEstablished | ssListen | ssClose
	case ssFamilyXDP:
		return ssXDP, ssClose
	}
	return ssInet, ssConnected
}

// stateNamed reads what follows the word state.
func stateNamed(name string) (int, error) {
	switch strings.ToLower(name) {
	case "all":
		return ssEvery, nil
	case "connected":
		return ssEvery &^ (ssClose | ssListen), nil
	case "synchronized":
		return ssEvery &^ (ssClose | ssListen | ssSynSent), nil
	case "bucket":
		return ssSynRecv | ssTimeWait, nil
	case "big":
		return ssEvery &^ (ssSynRecv | ssTimeWait), nil
	case "established":
		return ssEstablished, nil
	case "syn-sent":
		return ssSynSent, nil
	case "syn-recv", "syn-rcv":
		return ssSynRecv, nil
	case "fin-wait-1":
		return ssFinWait1, nil
	case "fin-wait-2":
		return ssFinWait2, nil
	case "time-wait":
		return ssTimeWait, nil
	case "unconnected", "close", "closed":
		return ssClose, nil
	case "close-wait":
		return ssCloseWait, nil
	case "last-ack":
		return ssLastAck, nil
	case "listening":
		return ssListen, nil
	case "closing":
		return ssClosing, nil
	}
	return 0, usagef("no state %q: the states are all, connected, synchronized, bucket, big, established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening and closing", name)
}

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

func (c rangeCondition) matches(s *ssSocket, _ bool) bool {
	port := s.lport
	if c.remote {
		port = s.rport
	}
	if c.least {
		return port >= c.port
	}
	return port <= c.port
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

// An ssParser reads an expression. As in ss, "and" binds no stronger than "or": they are read from the left to the right.
type ssParser struct {
	tokens []string
	about  string // the word before the value: src, dport and so on
	device func(name string) (int64, bool)
	hosts  func(name string) []netip.Addr
	kinds  int
	prefer ssFamily
	only   ssFamily // the family that an address named
	marks  bool     // marks are asked for
	groups bool     // control groups are
	dev    bool     // devices are
}

// ssTokens parts the words of an expression, each of which may hold several; a backslash takes the meaning of a blank away.
func ssTokens(words []string) (tokens []string) {
	for _, word := range words {
		var token []byte
		has := false
		for i := 0; i < len(word); i++ {
			switch c := word[i]; {
			case c == ' ' || c == '\t':
				if has {
					tokens = append(tokens, string(token))
				}
				token, has = nil, false
				continue
			case c == '\\' && i+1 < len(word):
				i++
			}
			token, has = append(token, word[i]), true
		}
		if has {
			tokens = append(tokens, string(token))
		}
	}
	return tokens
}

var ssWords = map[string]string{
	"!": "!", "not": "!", "&": "&", "&&": "&", "and": "&", "|": "|", "||": "|", "or": "|", "(": "(", ")": ")",
	">=": ">=", "ge": ">=", "geq": ">=", "<=": "<=", "le": "<=", "leq": "<=", "!=": "!=", "ne": "!=", "neq": "!=", "=": "=", "==": "=", "eq": "=", ">": ">", "gt": ">", "<": "<", "lt": "<",
}

func (p *ssParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	if word, ok := ssWords[p.tokens[0]]; ok {
		return word
	}
	return p.tokens[0]
}

func (p *ssParser) parse() (condition, error) {
	c, err := p.list(0)
	if err == nil && len(p.tokens) > 0 {
		err = usagef("%q ends an expression that did not begin with (", p.tokens[0])
	}
	return c, err
}

const ssDeepest = 200

func (p *ssParser) list(depth int) (condition, error) {
	if depth > ssDeepest {
		return nil, usagef("the expression has more than %d levels of parentheses and not", ssDeepest)
	}
	left, err := p.one(depth)
	for err == nil && len(p.tokens) > 0 && p.peek() != ")" {
		join := p.peek()
		if join == "|" || join == "&" {
			p.tokens = p.tokens[1:]
		}
		var right condition
		if right, err = p.one(depth); err != nil {
			break
		}
		if join == "|" {
			left = anyCondition{left, right}
		} else {
			left = allCondition{left, right}
		}
	}
	return left, err
}

func (p *ssParser) one(depth int) (condition, error) {
	if depth > ssDeepest {
		return nil, usagef("the expression has more than %d levels of parentheses and not", ssDeepest)
	}
	if len(p.tokens) == 0 {
		return nil, usagef("the expression ends where a condition is due, such as dport = :443")
	}
	word := p.peek()
	p.tokens = p.tokens[1:]
	switch word {
	case "(":
		c, err := p.list(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.peek() != ")" {
			return nil, usagef("a ( of the expression is not closed: ) stands as a word of its own")
		}
		p.tokens = p.tokens[1:]
		return c, nil
	case "!":
		c, err := p.one(depth + 1)
		return notCondition{c}, err
	case "autobound":
		return nil, &UnknownOptionError{Tool: "ss", Option: "autobound", Instead: "whether a port was chosen by the kernel is not recorded; sport ge :32768 is near it"}
	case "state", "exclude", "excl":
		return nil, usagef("%s stands before the expression: ss -tn state established dport = :443", word)
	case "src", "dst", "sport", "dport", "dev", "fwmark", "cgroup":
	default:
		return nil, usagef("%q begins no condition: those are src, dst, sport, dport, dev, fwmark and cgroup, with blanks around = and parentheses", word)
	}
	p.about = word
	compare := "="
	switch next := p.peek(); next {
	case "=", "!=", ">", "<", ">=", "<=":
		compare, p.tokens = next, p.tokens[1:]
	}
	ports := word == "sport" || word == "dport"
	if !ports && (strings.ContainsAny(compare, "<>") || compare == "!=" && (word == "src" || word == "dst")) {
		return nil, usagef("%s is not compared by %s: not %s … is the contrary", word, compare, word)
	}
	if _, operator := ssWords[p.peek()]; operator || len(p.tokens) == 0 {
		return nil, usagef("what %s is compared with is missing", word)
	}
	value := p.tokens[0]
	p.tokens = p.tokens[1:]
	c, err := p.value(word, compare, value)
	if err != nil {
		return nil, err
	}
	if compare == "!=" || compare == ">" || compare == "<" {
		c = notCondition{c}
	}
	return c, nil
}

func (p *ssParser) value(word, compare, value string) (condition, error) {
	switch word {
	case "dev":
		p.dev = true
		ifindex, ok := p.device(value)
		if !ok {
			number, err := strconv.ParseUint(value, 0, 32)
			if err != nil {
				return nil, usagef("no interface %s at that moment: SELECT name FROM interfaces WHERE ts = at() lists them", value)
			}
			ifindex = int64(number)
		}
		return deviceCondition{ifindex}, nil
	case "fwmark":
		p.marks = true
		text, maskText, has := strings.Cut(value, "/")
		mark, err := strconv.ParseInt(text, 0, 64)
		mask := int64(math.MaxUint32)
		if err == nil && has {
			mask, err = strconv.ParseInt(maskText, 0, 64)
		}
		if err != nil {
			return nil, usagef("fwmark %s is not a number, or a number/mask", value)
		}
		return markCondition{uint32(mark), uint32(mask)}, nil
	case "cgroup":
		p.groups = true
		return cgroupCondition{cgroupPath(value)}, nil
	}
	c, err := p.host(word, value)
	if err != nil {
		return nil, err
	}
	switch compare {
	case ">=", "<":
		return rangeCondition{c.remote, true, c.port}, nil
	case "<=", ">":
		return rangeCondition{c.remote, false, c.port}, nil
	}
	return c, nil
}

// cgroupPath is a control group by its path below where control groups are mounted.
func cgroupPath(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/sys/fs/cgroup/unified"), "/sys/fs/cgroup")
	return "/" + strings.Trim(path, "/")
}

// host reads an address with a port, either of which may be missing, as ss does.
func (p *ssParser) host(word, value string) (hostCondition, error) {
	c := hostCondition{remote: word == "dst" || word == "dport", port: -1}
	isPort := word == "sport" || word == "dport"
	family := p.prefer
	for _, f := range []struct {
		prefix string
		family ssFamily
	}{{"unix:", ssFamilyUnix}, {"link:", ssFamilyPacket}, {"netlink:", ssFamilyNetlink}, {"vsock:", ssFamilyVsock}, {"inet:", ssFamily4}, {"inet6:", ssFamily6}} {
		if rest, ok := strings.CutPrefix(value, f.prefix); ok {
			value, family = rest, f.family
			break
		}
	}
	if family != 0 {
		p.only, p.prefer = family, family
	}
	wrong := func() (hostCondition, error) {
		return c, usagef("%s %s is no address or port: such are 10.0.0.0/8, 10.0.0.1:443, [fd00::1]:443, fd00::/8 and :443", word, value)
	}
	addr, port := value, ""
	switch family {
	case ssFamilyUnix:
		c.pattern = &value
		return c, nil
	case ssFamilyPacket, ssFamilyNetlink, ssFamilyVsock:
		if isPort {
			port = strings.TrimPrefix(value, ":")
			addr = ""
		} else {
			addr, port, _ = strings.Cut(value, ":")
		}
		if port != "" && port != "*" {
			number, err := strconv.ParseInt(port, 0, 32)
			switch {
			case err == nil:
			case family == ssFamilyPacket:
				var ok bool
				if number, ok = p.device(port); !ok {
					return wrong()
				}
			case family == ssFamilyNetlink && port == "kernel":
			default:
				return wrong()
			}
			c.port = number
		}
		if addr != "" && addr != "*" {
			number, err := strconv.ParseInt(addr, 0, 64)
			switch {
			case err == nil:
			case family == ssFamilyPacket:
				if number = ethernetProtocol(addr); number < 0 {
					return wrong()
				}
			case family == ssFamilyNetlink:
				if number = netlinkProtocol(addr); number < 0 {
					return wrong()
				}
			default:
				return wrong()
			}
			prefix := ssPrefix{bits: 32}
			littleEndian(&prefix.bytes, number)
			c.prefix = []ssPrefix{prefix}
		}
		return c, nil
	}
	switch {
	case isPort:
		addr, port = "", value
	case strings.HasPrefix(value, "["):
		inside, rest, ok := strings.Cut(value[1:], "]")
		if !ok {
			return wrong()
		}
		addr, port = inside, rest
	case strings.HasPrefix(value, "*"):
		addr, port = "", value[1:]
	default:
		from := max(strings.IndexByte(value, '/'), 0)
		if i := strings.LastIndexByte(value[from:], ':'); i >= 0 {
			addr, port = value[:from+i], value[from+i:]
		}
	}
	if port = strings.TrimPrefix(port, ":"); port != "" && port[0] != '*' {
		number, err := strconv.ParseInt(port, 0, 32)
		if err != nil {
			if number, err = p.service(port); err != nil {
				return c, err
			}
		}
		c.port = number
	}
	if isPort || addr == "" || addr[0] == '*' {
		return c, nil
	}
	switch addr {
	case "default", "any", "all":
		c.family = family & (ssFamily4 | ssFamily6)
		return c, nil
	}
	if family == ssFamilyTIPC || family == ssFamilyXDP { // of which ss reads addresses as it reads those of hosts
		ip, err := netip.ParseAddr(addr)
		if err != nil || !ip.Is4() {
			return wrong()
		}
		c.prefix = []ssPrefix{prefixOf(ip, ip.BitLen())}
		return c, nil
	}
	text, bits, has := strings.Cut(addr, "/")
	ip, ok := addressOf(text)
	if !ok {
		found := p.hosts(addr)
		for _, ip := range found {
			if f := familyOf(ip); family == 0 || f == family {
				c.family, c.prefix = f, append(c.prefix, prefixOf(ip, ip.BitLen()))
			}
		}
		if len(c.prefix) == 0 {
			return c, usagef("%s %s: %q is no address, and no name of one in /etc/hosts; an IPv6 address stands in brackets, [fd00::1]", word, value, addr)
		}
		return c, nil
	}
	if c.family = familyOf(ip); family != 0 && family != c.family {
		return wrong()
	}
	length := ip.BitLen()
	if has {
		if length, ok = maskBits(bits, ip.BitLen()); !ok {
			return wrong()
		}
	}
	if length > 0 {
		c.prefix = []ssPrefix{prefixOf(ip, length)}
	}
	return c, nil
}

func familyOf(ip netip.Addr) ssFamily {
	if ip.Is4() {
		return ssFamily4
	}
	return ssFamily6
}

func prefixOf(ip netip.Addr, bits int) ssPrefix {
	p := ssPrefix{bits: bits}
	copy(p.bytes[:], ip.AsSlice())
	return p
}

// addressOf reads an address; of an IPv4 one the last numbers may be missing.
func addressOf(text string) (netip.Addr, bool) {
	if strings.Contains(text, ":") {
		ip, err := netip.ParseAddr(text)
		return ip, err == nil && ip.Zone() == ""
	}
	var four [4]byte
	i := 0
	for part := range strings.SplitSeq(text, ".") {
		n, err := strconv.ParseUint(part, 0, 8)
		if err != nil || i == 4 {
			return netip.Addr{}, false
		}
		four[i] = byte(n)
		i++
	}
	return netip.AddrFrom4(four), true
}

func maskBits(text string, most int) (int, bool) {
	if n, err := strconv.ParseUint(text, 0, 8); err == nil {
		return int(n), int(n) <= most
	}
	mask, err := netip.ParseAddr(text)
	if err != nil || !mask.Is4() {
		return 0, false
	}
	bits, ended := 0, false
	for _, b := range mask.AsSlice() {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			if one && ended {
				return 0, false
			}
			ended = !one
			if one {
				bits++
			}
		}
	}
	return bits, true
}

func littleEndian(into *[16]byte, n int64) {
	for i := range 4 {
		into[i] = byte(n >> (8 * i))
	}
}

// service is the port of a name in /etc/services.
func (p *ssParser) service(name string) (int64, error) {
	ports := map[string]int64{}
	if f, err := os.Open("/etc/services"); err == nil {
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line, _, _ := strings.Cut(lines.Text(), "#")
			words := strings.Fields(line)
			for i, word := range words {
				if i == 1 || word != name {
					continue
				}
				number, proto, _ := strings.Cut(words[1], "/")
				port, err := strconv.ParseInt(number, 10, 32)
				if _, is := ports[proto]; !is && err == nil {
					ports[proto] = port
				}
			}
		}
	}
	udp, isUDP := ports["udp"]
	tcp, isTCP := ports["tcp"]
	isUDP, isTCP = isUDP && p.kinds&ssUDP != 0, isTCP && p.kinds&ssTCP != 0
	switch {
	case isUDP && isTCP && udp != tcp:
		return 0, usagef("the port %s is another of tcp than of udp: say -t or -u, or its number", name)
	case isUDP:
		return udp, nil
	case isTCP:
		return tcp, nil
	}
	return 0, usagef("%s is no port, and no name of one in /etc/services: dport = :443", name)
}

// hostsNamed are the addresses of a name in /etc/hosts.
func hostsNamed(n *Names, name string) (found []netip.Addr) {
	n.read()
	for addr, is := range n.hosts {
		if is != name {
			continue
		}
		if ip, err := netip.ParseAddr(addr); err == nil {
			found = append(found, ip)
		}
	}
	return found
}
