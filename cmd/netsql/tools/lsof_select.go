package tools

import (
	"cmp"
	"context"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A lsofSelect is one of the things that files are selected by.
type lsofSelect int

const (
	lsofPID lsofSelect = 1 << iota
	lsofUser
	lsofCommand
	lsofFD
	lsofAddress // -i with a protocol, an address or ports
	lsofNetwork // -i, -i4 and -i6
	lsofUnix
	lsofExcluded
)

// lsofSelection is what the options select.
type lsofSelection struct {
	asked          lsofSelect
	families       int // of -i: 0 is both
	addresses      []lsofEnd
	pids, notPids  map[int64]bool
	uids, notUids  map[int64]bool
	names, notName []string
	userNames      map[int64]string // of those that are asked for by a name
	patterns       []lsofPattern
	fds, notFds    []lsofRange
	states         map[string]bool // true: shown, false: not
	someStates     bool
}

// A lsofPattern is a regular expression, with its text as it was typed.
type lsofPattern struct {
	*regexp.Regexp
	text string
}

type lsofRange struct{ from, to int64 }

func (r lsofRange) has(n int64) bool { return r.from <= n && n <= r.to }

// lsofEnd is an end of a connection that -i asks for.
type lsofEnd struct {
	arg    string // what -i was given
	family int    // 0: both
	proto  string
	addr   netip.Addr // invalid: any
	ports  lsofRange  // from -1: any
}

// matches tells whether an end of a socket is meant. An IPv6 socket that speaks IPv4 has ends of IPv4.
func (e lsofEnd) matches(proto, addr string, port int64) bool {
	at, _ := netip.ParseAddr(addr)
	family := 6
	if at.Is4() {
		family = 4
	}
	return (e.proto == "" || e.proto == proto) && (e.family == 0 || e.family == family) &&
		(!e.addr.IsValid() || e.addr.IsUnspecified() || e.addr == at) && (e.ports.from < 0 || e.ports.has(port))
}

var lsofStates = []string{"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE",
	"CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING"}

// selection works out what the options select.
func (o *lsofOptions) selection(ctx context.Context, names *Names) (*lsofSelection, error) {
	s := &lsofSelection{states: map[string]bool{}, pids: map[int64]bool{}, notPids: map[int64]bool{}, uids: map[int64]bool{}, notUids: map[int64]bool{}, userNames: map[int64]string{}}
	for _, text := range o.network {
		text = strings.TrimPrefix(text, lsofNothing)
		typed := text
		if s.families != 0 && text != "" && text[0] != '4' && text[0] != '6' {
			text = strconv.Itoa(s.families) + text // as after an -i4 or -i6
		}
		family, ends, err := lsofAddresses(ctx, names, text)
		switch {
		case err != nil:
			return nil, err
		case ends != nil:
			for _, end := range ends {
				end.arg = typed
				s.addresses = append(s.addresses, end)
			}
			s.asked |= lsofAddress
		case s.asked&lsofNetwork == 0 || s.families == 0 || family == 0:
			s.families = family
			s.asked |= lsofNetwork
		case s.families != family:
			s.families = 0
		}
	}
	if o.unix {
		s.asked |= lsofUnix
	}
	for _, text := range o.states {
		if text == lsofNothing {
			o.size = true
			continue
		}
		if err := s.addStates(text); err != nil {
			return nil, err
		}
	}
	return s, cmp.Or(s.addProcesses(o, names), s.addFDs(o.fds))
}

func (s *lsofSelection) addStates(text string) error {
	proto, states, _ := strings.Cut(text, ":")
	if !strings.EqualFold(proto, "tcp") || states == "" {
		return usagef("lsof -s takes TCP: and states, such as -s TCP:LISTEN,CLOSE_WAIT or -s TCP:^LISTEN, and not %q", text)
	}
	for state := range strings.SplitSeq(states, ",") {
		name, not := strings.CutPrefix(strings.ToUpper(state), "^")
		if !slices.Contains(lsofStates, name) {
			return usagef("lsof -s TCP:%s: there is no such state of TCP; they are %s", state, strings.Join(lsofStates, ", "))
		}
		s.states[name] = !not
		s.someStates = s.someStates || !not
	}
	return nil
}

func (s *lsofSelection) addProcesses(o *lsofOptions, names *Names) error {
	for _, text := range o.pids {
		for pid := range strings.SplitSeq(text, ",") {
			digits, not := strings.CutPrefix(pid, "^")
			n, err := strconv.ParseInt(digits, 10, 32)
			switch {
			case err != nil || n < 1:
				return usagef("lsof -p %s: %q is no process id", text, pid)
			case not:
				s.notPids[n] = true
			default:
				s.pids[n] = true
				s.asked |= lsofPID
			}
		}
	}
	for pid := range s.pids {
		if s.notPids[pid] {
			return usagef("lsof -p: process %d is asked for and excluded", pid)
		}
	}
	for _, text := range o.users {
		for user := range strings.SplitSeq(text, ",") {
			name, not := strings.CutPrefix(user, "^")
			uid, ok := names.UID(name)
			switch {
			case !ok:
				return usagef("lsof -u %s: no user %q in /etc/passwd of this machine; a number is taken as well", text, name)
			case not:
				s.notUids[uid] = true
			default:
				s.uids[uid] = true
				s.asked |= lsofUser
				if _, err := strconv.Atoi(name); err != nil {
					s.userNames[uid] = name
				}
			}
		}
	}
	for uid := range s.uids {
		if s.notUids[uid] {
			return usagef("lsof -u: user %d is asked for and excluded", uid)
		}
	}
	for _, text := range o.commands {
		name, not := strings.CutPrefix(text, "^")
		switch {
		case strings.HasPrefix(text, "/"):
			pattern, flags, ok := cutLast(text[1:], "/")
			if !ok || strings.Trim(flags, "bix") != "" {
				return usagef("lsof -c %s: a regular expression is /REGEXP/, and may end in i, b or x", text)
			}
			expression := pattern
			if strings.Contains(flags, "i") {
				pattern = "(?i)" + pattern
			}
			r, err := regexp.Compile(pattern)
			if err != nil {
				return usagef("lsof -c %s: %v", text, err)
			}
			s.patterns = append(s.patterns, lsofPattern{r, expression})
			s.asked |= lsofCommand
		case name == "" || name == lsofNothing || len(name) > lsofLongestName:
			return usagef("lsof -c takes the begin of a program's name, of 15 bytes at most, and not %q", text)
		case not:
			s.notName = append(s.notName, name)
		default:
			s.names = append(s.names, name)
			s.asked |= lsofCommand
		}
	}
	return nil
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}

func (s *lsofSelection) addFDs(lists []string) error {
	for _, text := range lists {
		for word := range strings.SplitSeq(text, ",") {
			numbers, not := strings.CutPrefix(word, "^")
			r, err := rangeOf(numbers)
			switch {
			case err != nil && strings.Trim(numbers, "abcdefghijklmnopqrstuvwxyz") == "" && numbers != "":
				continue // cwd, txt, mem and the like, which no socket is
			case err != nil:
				return usagef("lsof -d %s: %q is no file descriptor and no range of them, such as 3 or 4-9", text, word)
			case not:
				s.notFds = append(s.notFds, r)
			default:
				s.fds = append(s.fds, r)
			}
		}
	}
	if len(lists) > 0 && (len(s.fds) > 0 || len(s.notFds) == 0) {
		s.asked |= lsofFD
	}
	return nil
}

// rangeOf reads a number, or two of them.
func rangeOf(text string) (lsofRange, error) {
	low, high, two := strings.Cut(text, "-")
	from, err := strconv.ParseUint(low, 10, 31)
	if err != nil || !two {
		return lsofRange{int64(from), int64(from)}, err
	}
	to, err := strconv.ParseUint(high, 10, 31)
	if err == nil && to < from {
		err = strconv.ErrRange
	}
	return lsofRange{int64(from), int64(to)}, err
}

// lsofAddresses reads what -i takes: [46][PROTOCOL][@HOST][:PORTS]. Without ends it is all network files of a family, or of both (0).
func lsofAddresses(ctx context.Context, names *Names, text string) (family int, ends []lsofEnd, err error) {
	rest := text
	if rest != "" && (rest[0] == '4' || rest[0] == '6') {
		family, rest = int(rest[0]-'0'), rest[1:]
	}
	if rest == "" {
		return family, nil, nil
	}
	proto := rest
	if i := strings.IndexAny(rest, "@:"); i >= 0 {
		proto = rest[:i]
	}
	rest = rest[len(proto):]
	end := lsofEnd{family: family, proto: strings.ToUpper(proto), ports: lsofRange{-1, -1}}
	if !slices.Contains([]string{"", "TCP", "UDP", "UDPLITE"}, end.proto) {
		return 0, nil, usagef("lsof -i %s: no protocol %q; it is tcp, udp or udplite, as in -i TCP:443", text, proto)
	}
	addrs := []netip.Addr{{}}
	if host, found := strings.CutPrefix(rest, "@"); found {
		if inside, after, ok := strings.Cut(host, "]"); ok && strings.HasPrefix(host, "[") {
			host, rest = inside[1:], after
			if addr, err := netip.ParseAddr(host); err != nil || !addr.Is6() || family == 4 {
				return 0, nil, usagef("lsof -i %s: %q is no address of IPv6 that could match", text, host)
			}
		} else if i := strings.IndexByte(host, ':'); i >= 0 {
			host, rest = host[:i], host[i:]
		} else {
			rest = ""
		}
		if host == "" {
			return 0, nil, usagef("lsof -i %s: no host after the @", text)
		}
		addrs = slices.DeleteFunc(names.Addrs(ctx, host), func(a netip.Addr) bool { return family == 4 && !a.Is4() || family == 6 && a.Is4() })
		if len(addrs) == 0 {
			return 0, nil, usagef("lsof -i %s: no address of %q is known in /etc/hosts of this machine; --resolve asks name servers", text, host)
		}
	}
	ports := []lsofRange{end.ports}
	if list, found := strings.CutPrefix(rest, ":"); found {
		if ports, err = lsofPorts(names, text, list, end.proto); err != nil {
			return 0, nil, err
		}
	} else if rest != "" {
		return 0, nil, usagef("lsof -i %s: %q is no list of ports; they follow a colon, as in -i TCP:443", text, rest)
	}
	if end.proto == "" && ports[0].from < 0 && addrs[0].IsUnspecified() {
		return 0, nil, usagef("lsof -i %s: any address is no condition: ask with -i4 or -i6", text)
	}
	for _, addr := range addrs {
		for _, r := range ports {
			end.addr, end.ports = addr.Unmap(), r
			if addr.IsValid() {
				end.family = 6
				if end.addr.Is4() {
					end.family = 4
				}
			}
			ends = append(ends, end)
		}
	}
	return family, ends, nil
}

// lsofPorts reads a list of ports: numbers, names of services and ranges of them, parted by commas.
func lsofPorts(names *Names, text, list, proto string) (ports []lsofRange, err error) {
	for word := range strings.SplitSeq(strings.TrimSuffix(list, ","), ",") {
		if word == "" {
			return nil, usagef("lsof -i %s: a port is missing", text)
		}
		port, err := lsofPort(names, text, word, proto)
		r := lsofRange{port, port}
		for i := range word { // a name may have a dash in it
			if err == nil {
				break
			}
			if word[i] == '-' {
				from, errFrom := lsofPort(names, text, word[:i], proto)
				to, errTo := lsofPort(names, text, word[i+1:], proto)
				if errFrom == nil && errTo == nil && from <= to {
					r, err = lsofRange{from, to}, nil
				}
			}
		}
		if err != nil {
			return nil, err
		}
		ports = append(ports, r)
	}
	return ports, nil
}

// lsofPort reads a number or the name of a service.
func lsofPort(names *Names, text, word, proto string) (int64, error) {
	if word == "" || word[0] >= '0' && word[0] <= '9' {
		port, err := strconv.ParseUint(word, 10, 16)
		if err != nil {
			return 0, usagef("lsof -i %s: %q is no port and no range of ports, such as 443 or 1-1024", text, word)
		}
		return int64(port), nil
	}
	tcp, isTCP := names.Service(word, "tcp")
	udp, isUDP := names.Service(word, "udp")
	switch {
	case proto == "TCP" && isTCP, proto == "" && isTCP && (!isUDP || tcp == udp):
		return tcp, nil
	case proto == "UDP" && isUDP, proto == "" && isUDP && !isTCP:
		return udp, nil
	case proto == "" && isTCP:
		return 0, usagef("lsof -i %s: %s is port %d of TCP and %d of UDP: name the protocol", text, word, tcp, udp)
	}
	return 0, usagef("lsof -i %s: no service %q in /etc/services of this machine", text, word)
}

// selects applies lsof's rule: what meets any of what is asked, or with -a what meets all of it.
func (s *lsofSelection) selects(f *lsofFile, and bool) bool {
	met := s.met(f)
	if s.asked == 0 {
		return met&lsofExcluded == 0
	}
	return met&lsofExcluded == 0 && (and && met&s.asked == s.asked || !and && met&s.asked != 0)
}

func (s *lsofSelection) met(f *lsofFile) (met lsofSelect) {
	holds := func(r lsofRange) bool { return r.has(f.FD) }
	if s.notPids[f.PID] || s.notUids[f.process.UID] || s.excludes(f.process.Comm) || slices.ContainsFunc(s.notFds, holds) {
		return lsofExcluded
	}
	for _, is := range []struct {
		what lsofSelect
		so   bool
	}{
		{lsofPID, s.pids[f.PID]}, {lsofUser, s.uids[f.process.UID]},
		{lsofFD, slices.ContainsFunc(s.fds, holds)}, {lsofUnix, f.lsofSocket.Proto == "unix"},
		{lsofCommand, s.command(f.process.Comm) != ""},
	} {
		if is.so {
			met |= is.what
		}
	}
	if !f.listed {
		return met
	}
	if !s.showsState(f) {
		return lsofExcluded
	}
	if s.asked&lsofNetwork != 0 && (s.families == 0 || int64(s.families) == f.Family) {
		met |= lsofNetwork
	}
	if len(s.addressesOf(f)) > 0 {
		met |= lsofAddress
	}
	return met
}

// showsState tells whether -s leaves a file in. A state is one of TCP, and yet lsof looks at the number that UDP has for its own as well: 1 for connected,
// 7 else.
func (s *lsofSelection) showsState(f *lsofFile) bool {
	shown, named := s.states[f.State]
	return shown || !named && !s.someStates
}

// addressesOf are what -i asks for that the ends of a file meet: of each end the last that was typed.
func (s *lsofSelection) addressesOf(f *lsofFile) (met []*lsofEnd) {
	proto := strings.ToUpper(f.lsofSocket.Proto)
	end := func(addr string, port int64) {
		for i := range s.addresses {
			if e := &s.addresses[len(s.addresses)-1-i]; e.matches(proto, addr, port) {
				met = append(met, e)
				return
			}
		}
	}
	end(f.LocalAddr, f.LocalPort)
	if f.RemotePort != 0 || !unspecified(f.RemoteAddr) {
		end(f.RemoteAddr, f.RemotePort)
	}
	return met
}

// command is what -c asks for that a program meets: the last name that was typed, or the first expression; "" for none.
func (s *lsofSelection) command(comm string) string {
	for _, name := range slices.Backward(s.names) {
		if strings.HasPrefix(comm, name) {
			return name
		}
	}
	for _, pattern := range s.patterns {
		if pattern.MatchString(comm) {
			return pattern.text
		}
	}
	return ""
}

func (s *lsofSelection) excludes(comm string) bool {
	return slices.ContainsFunc(s.notName, func(name string) bool { return strings.HasPrefix(comm, name) })
}
