package tools

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"netsql/query"
)

// An ssPrinter prints the sockets of a moment into a table.
type ssPrinter struct {
	*ssOptions
	ctx       context.Context
	m         *Moment
	t         *ssTable
	parser    *ssParser
	condition condition

	devices    map[int64]string
	owners     []ssOwner        // by their sockets, the youngest process of each first
	comms      map[int64]string // of processes, by their numbers
	ports      map[ssPort]string
	from, upTo int64 // ports that the kernel gives out, which have no names

	row    ssRow
	socket ssSocket
}

type ssPort struct {
	number int64
	proto  string
}

type ssOwner struct {
	inode   int64
	pid, fd int64
	comm    string
}

// prepare reads what the sockets are printed with.
func (s *ssPrinter) prepare() error {
	if !s.numeric {
		found, err := here[ssSetting](s.ctx, s.m, "settings", "AND name = 'net.ipv4.ip_local_port_range'")
		if err != nil {
			return err
		}
		s.from, s.upTo = 32768, 60999 // where it was not recorded, what Linux has by default
		if len(found) > 0 {
			fmt.Sscan(found[0].Value, &s.from, &s.upTo)
		}
	}
	if !s.events && (s.processes || !s.numeric && s.kinds&ssNetlink != 0) {
		return s.readOwners()
	}
	return nil
}

func (s *ssPrinter) readOwners() error {
	s.comms = map[int64]string{}
	from := fmt.Sprintf("FROM socket_owners WHERE ts = at() AND netns = %d", s.m.NetNS)
	err := s.m.recording.Each(s.ctx, []string{"inode", "pid", "fd", "comm"}, from, func(v []query.Value) error {
		o := ssOwner{inode: v[0].Int(), pid: v[1].Int(), fd: -1}
		if v[2].Known() {
			o.fd = v[2].Int()
		}
		if comm, ok := s.comms[o.pid]; !ok || comm != v[3].Text() {
			s.comms[o.pid] = v[3].Text()
		}
		o.comm = s.comms[o.pid]
		s.owners = append(s.owners, o)
		return nil
	})
	slices.SortFunc(s.owners, func(a, b ssOwner) int {
		return cmp.Or(cmp.Compare(a.inode, b.inode), cmp.Compare(b.pid, a.pid), cmp.Compare(b.fd, a.fd))
	})
	return err
}

// ownersOf are the processes that have a socket.
func (s *ssPrinter) ownersOf(inode int64) []ssOwner {
	from, ok := slices.BinarySearchFunc(s.owners, inode, func(o ssOwner, inode int64) int { return cmp.Compare(o.inode, inode) })
	if !ok {
		return nil
	}
	upTo := from + 1
	for upTo < len(s.owners) && s.owners[upTo].inode == inode {
		upTo++
	}
	return s.owners[from:upTo]
}

type ssSetting struct {
	Value string `col:"value"`
}

// sockets prints the sockets, kind by kind.
func (s *ssPrinter) sockets() error {
	type kind struct {
		proto  string
		wanted bool
	}
	inet := s.families&(ssFamily4|ssFamily6) != 0
	closed := s.states&ssClose != 0
	var protos []string
	for _, k := range []kind{
		{"netlink", s.kinds&ssNetlink != 0 && s.families&ssFamilyNetlink != 0 && closed}, {"packet", s.kinds&ssPacket != 0 && s.families&ssFamilyPacket != 0 && closed},
		{"unix", s.kinds&ssUnix != 0 && s.families&ssFamilyUnix != 0}, {"raw", s.kinds&ssRaw != 0 && inet}, {"udp", s.kinds&ssUDP != 0 && inet}, {"tcp", s.kinds&ssTCP != 0 && inet},
		{"sctp", s.kinds&ssSCTP != 0 && inet}, {"vsock", s.kinds&ssVsock != 0 && s.families&ssFamilyVsock != 0}, {"xdp", s.kinds&ssXDP != 0 && s.families&ssFamilyXDP != 0 && closed},
		{"mptcp", s.kinds&ssMPTCP != 0 && inet},
	} {
		if k.wanted {
			protos = append(protos, k.proto)
		}
	}
	if len(protos) == 0 {
		return nil
	}
	columns := s.columns(s.parser)
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = ssColumnNames[c]
	}
	var order strings.Builder
	for i, proto := range protos {
		fmt.Fprintf(&order, " WHEN '%s' THEN %d", proto, i)
	}
	states := ""
	if s.states != ssEvery {
		var of []string
		for name, state := range ssStates {
			if s.states&state.bit != 0 {
				of = append(of, "'"+name+"'")
			}
		}
		slices.Sort(of)
		states = " AND (state IN (" + strings.Join(of, ", ") + ") OR proto IN ('vsock', 'sctp'))"
	}
	from := fmt.Sprintf("FROM sockets WHERE ts = at() AND netns = %d AND proto IN ('%s')%s ORDER BY CASE proto%s END, family, state <> 'LISTEN'",
		s.m.NetNS, strings.Join(protos, "', '"), states, order.String())
	return s.m.recording.Each(s.ctx, names, from, func(values []query.Value) error {
		for i, c := range columns {
			s.row[c] = values[i]
		}
		return s.one()
	})
}

// one prints a socket, if it is among those that are asked for.
func (s *ssPrinter) one() error {
	r := &s.row
	proto, state := r.text(ssProto), ssStates[r.text(ssState)]
	if s.states&state.bit == 0 {
		return nil
	}
	switch proto {
	case "netlink":
		return s.netlink()
	case "packet":
		return s.packet()
	case "unix":
		return s.unix()
	case "vsock":
		return s.vsock()
	case "xdp":
		return s.xdp()
	}
	return s.inet(proto)
}

// state begins a line.
func (s *ssPrinter) state(netid string) {
	r, t := &s.row, s.t
	t.at(ssNetidField).text(netid)
	t.at(ssStateField).text(ssStates[r.text(ssState)].name)
	s.queue(ssRecvQField, ssRecvQ)
	s.queue(ssSendQField, ssSendQ)
	t.at(ssLocalField)
}

func (s *ssPrinter) queue(field ssField, c ssColumn) {
	t := s.t.at(field)
	if t.disabled[field] {
		return
	}
	from := len(t.b)
	if n, ok := s.row.known(c); ok {
		t.b = strconv.AppendInt(t.b, n, 10)
	} else {
		t.b = append(t.b, '-')
	}
	t.b = blanks(t.b, 6-(len(t.b)-from))
}

// end prints an address and its port, and goes on to what follows.
func (s *ssPrinter) end(addr, parts, port string) {
	s.t.text(addr)
	s.t.text(parts)
	s.t.next()
	s.t.text(port)
	s.t.next()
}

func (s *ssPrinter) device(ifindex int64) string {
	if s.devices == nil {
		s.devices = map[int64]string{}
		if found, err := here[ssDevice](s.ctx, s.m, "interfaces", ""); err == nil {
			for _, d := range found {
				s.devices[d.IfIndex] = d.Name
			}
		}
	}
	if name, ok := s.devices[ifindex]; ok {
		return name
	}
	return "if" + strconv.FormatInt(ifindex, 10)
}

func (s *ssPrinter) passes() bool { return s.condition == nil || s.condition.matches(&s.socket, false) }

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

func (s *ssPrinter) host(addr string) string {
	if !s.m.Names.resolve {
		return addr
	}
	return s.m.Names.Host(s.ctx, addr)
}

// port prints the name of a port, or the number of one that the kernel gives out.
func (s *ssPrinter) port(port int64, proto string) {
	t := s.t
	switch {
	case port == 0:
		t.b = append(t.b, '*')
	case s.numeric:
		t.b = strconv.AppendInt(t.b, port, 10)
	case proto == "raw":
		s.m.Names.read()
		number := strconv.FormatInt(port, 10)
		t.text(cmp.Or(s.m.Names.protocols[number], number))
	case port >= s.from && port <= s.upTo:
		t.b = strconv.AppendInt(t.b, port, 10)
	default:
		key := ssPort{port, proto}
		name, ok := s.ports[key]
		if !ok {
			name = s.m.Names.Port(port, proto)
			s.ports[key] = name
		}
		t.text(name)
	}
}

// users prints who has the socket, the youngest process first. Of several descriptors of a process the lowest is recorded.
func (s *ssPrinter) users() {
	if !s.processes {
		return
	}
	owners := s.owners // of a closed socket
	if !s.events {
		inode := s.row.number(ssInode)
		if inode == 0 || s.row.text(ssState) == "TIME_WAIT" {
			return
		}
		owners = s.ownersOf(inode)
	}
	if len(owners) == 0 {
		return
	}
	t := s.t
	t.text(" users:(")
	for i, o := range owners {
		if i > 0 {
			t.b = append(t.b, ',')
		}
		comm, _, _ := strings.Cut(o.comm, ")")
		t.text(`("`)
		t.text(comm)
		t.text(`",pid=`)
		t.b = strconv.AppendInt(t.b, o.pid, 10)
		t.text(",fd=")
		if o.fd < 0 {
			t.b = append(t.b, '-')
		} else {
			t.b = strconv.AppendInt(t.b, o.fd, 10)
		}
		t.b = append(t.b, ')')
	}
	t.b = append(t.b, ')')
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

// pair prints a name and a number.
func (s *ssPrinter) pair(name string, n int64) {
	s.t.b = strconv.AppendInt(append(s.t.b, name...), n, 10)
}

// ownerDetails prints whose a socket is, and by which numbers the kernel knows it.
func (s *ssPrinter) ownerDetails(bucket bool) {
	r, t := &s.row, s.t
	if uid := r.number(ssUID); uid != 0 && !bucket {
		s.pair(" uid:", uid)
	}
	inode := r.number(ssInode)
	if bucket {
		inode = 0
	}
	s.pair(" ino:", inode)
	t.text(" sk:")
	if cookie, ok := r.known(ssCookie); ok {
		t.b = strconv.AppendUint(t.b, uint64(cookie), 16)
	} else {
		t.b = append(t.b, '-')
	}
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

// mem prints the memory of a socket: its limits, what was dropped, and what waits where that is the same as a queue.
func (s *ssPrinter) mem(received, sent string) {
	t := s.t
	t.text(" skmem:(r")
	t.text(cmp.Or(received, "-"))
	s.known(",rb", ssRcvBuf)
	t.text(",t")
	t.text(cmp.Or(sent, "-"))
	s.known(",tb", ssSndBuf)
	t.text(",f-,w-,o-,bl-")
	s.known(",d", ssDrops)
	t.b = append(t.b, ')')
}

func (s *ssPrinter) known(name string, c ssColumn) {
	if n, ok := s.row.known(c); ok {
		s.pair(name, n)
		return
	}
	s.t.text(name)
	s.t.b = append(s.t.b, '-')
}

// some prints a number that is known and not 0.
func (s *ssPrinter) some(name string, c ssColumn) {
	if n := s.row.number(c); n != 0 {
		s.pair(name, n)
	}
}

// g prints a number as %g of C.
func (s *ssPrinter) g(name string, f float64) {
	s.t.b = strconv.AppendFloat(append(s.t.b, name...), f, 'g', 6, 64)
}

// rate prints bits per second.
func (s *ssPrinter) rate(name string, rate float64) {
	t := s.t
	t.text(name)
	if s.numeric {
		t.b = strconv.AppendFloat(t.b, rate, 'f', 0, 64)
	} else {
		unit := ""
		switch {
		case rate >= 1e12:
			rate, unit = rate/1e12, "T"
		case rate >= 1e9:
			rate, unit = rate/1e9, "G"
		case rate >= 1e6:
			rate, unit = rate/1e6, "M"
		case rate >= 1e3:
			rate, unit = rate/1e3, "k"
		}
		if unit == "" {
			t.b = strconv.AppendFloat(t.b, rate, 'g', 6, 64)
		} else {
			t.b = strconv.AppendFloat(t.b, rate, 'g', 3, 64)
		}
		t.text(unit)
	}
	t.text("bps")
}

// tcpInfo prints what TCP knows, in the order of ss, which leaves out what is 0.
func (s *ssPrinter) tcpInfo() {
	r, t := &s.row, s.t
	wscale := ""
	for option := range strings.SplitSeq(r.text(ssTCPOptions), " ") {
		switch {
		case option == "":
		case strings.HasPrefix(option, "wscale:"):
			wscale = option
		case s.timers:
			t.b = append(t.b, ' ')
			t.text(option)
		}
	}
	if name := r.text(ssCongestion); name != "" {
		t.b = append(t.b, ' ')
		t.text(name)
	}
	if wscale != "" {
		t.b = append(t.b, ' ')
		t.text(wscale)
	}
	if r.text(ssState) == "LISTEN" {
		s.some(" unacked:", ssRecvQ)
		s.ulp()
		return
	}
	if rto := r.real(ssRTO); rto != 0 && rto != 3000 {
		s.g(" rto:", rto)
	}
	s.some(" backoff:", ssBackoff)
	rtt := r.real(ssRTT)
	if rtt != 0 {
		s.g(" rtt:", rtt)
		s.g("/", r.real(ssRTTVar))
	}
	s.some(" mss:", ssMSS)
	s.some(" pmtu:", ssPMTU)
	s.some(" cwnd:", ssCwnd)
	if threshold := r.number(ssSSThresh); threshold < 0xffff {
		s.some(" ssthresh:", ssSSThresh)
	}
	s.some(" bytes_sent:", ssBytesSent)
	if received, ok := r.known(ssBytesReceived); ok {
		switch r.text(ssState) {
		case "CLOSE_WAIT", "LAST_ACK", "CLOSING":
			received++ // the kernel counts the FIN, the recording does not
		}
		if received != 0 {
			s.pair(" bytes_received:", received)
		}
	}
	s.some(" segs_out:", ssSegsOut)
	s.some(" segs_in:", ssSegsIn)
	if mss, cwnd := r.real(ssMSS), r.real(ssCwnd); rtt > 0 && mss != 0 && cwnd != 0 {
		s.rate(" send ", cwnd*mss*8000000/math.Round(rtt*1000))
	}
	s.some(" lastsnd:", ssLastSent)
	s.some(" lastrcv:", ssLastReceived)
	if rate := r.real(ssDeliveryRate); rate != 0 {
		s.rate(" delivery_rate ", rate*8)
	}
	if r.number(ssAppLimited) != 0 {
		t.text(" app_limited")
	}
	if busy := r.number(ssBusy); busy != 0 {
		s.pair(" busy:", busy)
		t.text("ms")
		s.limited(" rwnd_limited:", ssRwndLimited, busy)
		s.limited(" sndbuf_limited:", ssSndbufLimited, busy)
	}
	if n := r.number(ssRetransmits); n != 0 {
		s.pair(" retrans:-/", n)
	}
	s.some(" lost:", ssLost)
	s.some(" reord_seen:", ssReordered)
	s.some(" notsent:", ssNotSent)
	if least := r.real(ssMinRTT); least != 0 {
		s.g(" minrtt:", least)
	}
	s.some(" snd_wnd:", ssSndWnd)
	s.ulp()
}

func (s *ssPrinter) ulp() {
	if ulp := s.row.text(ssULP); ulp != "" {
		s.t.text(" tcp-ulp-")
		s.t.text(ulp)
	}
}

func (s *ssPrinter) limited(name string, c ssColumn, busy int64) {
	if n := s.row.number(c); n != 0 {
		s.pair(name, n)
		s.t.b = fmt.Appendf(s.t.b, "ms(%.1f%%)", 100*float64(n)/float64(busy))
	}
}

func (s *ssPrinter) unix() error {
	r := &s.row
	kind, netid := ssUnixDgram, "u_dgr"
	switch r.text(ssType) {
	case "stream":
		kind, netid = ssUnixStream, "u_str"
	case "seqpacket":
		kind, netid = ssUnixSeqpacket, "u_seq"
	}
	if s.kinds&kind == 0 {
		return nil
	}
	path, inode, peer := r.text(ssPath), r.number(ssInode), r.number(ssPeer)
	if s.condition != nil {
		if s.socket = (ssSocket{family: ssFamilyUnix, name: path, lport: inode, rport: peer}); !s.passes() {
			return nil
		}
	}
	s.state(netid)
	s.end(cmp.Or(path, "*"), " ", strconv.FormatInt(inode, 10))
	s.end("*", " ", strconv.FormatInt(peer, 10))
	s.users()
	return nil // of -m and -e nothing is recorded
}

// waiting is a queue that is the memory of what waits.
func (s *ssPrinter) waiting(c ssColumn) string {
	if n, ok := s.row.known(c); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

func (s *ssPrinter) packet() error {
	r := &s.row
	protocol, ifindex := r.number(ssLocalPort), r.number(ssIfIndex)
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyPacket, lport: ifindex, ifindex: ifindex}
		littleEndian(&s.socket.local, protocol)
		if !s.passes() {
			return nil
		}
	}
	netid := "p_dgr"
	if r.text(ssType) == "raw" {
		netid = "p_raw"
	}
	if !r[ssSendQ].Known() {
		r[ssSendQ] = query.Of(0) // which ss prints of every packet socket
	}
	s.state(netid)
	addr, port := "*", "*"
	if protocol != 3 {
		addr = ethernetName(protocol, s.numeric)
	}
	if ifindex != 0 {
		port = s.device(ifindex)
	}
	s.end(addr, ":", port)
	s.end("", "*", "")
	s.users()
	if s.details {
		s.ownerDetails(false)
	}
	if s.memory {
		s.mem(s.waiting(ssRecvQ), "")
	}
	return nil
}

func (s *ssPrinter) netlink() error {
	r, t := &s.row, s.t
	protocol := netlinkNumber(r.text(ssLocalAddr))
	port := int64(int32(r.number(ssLocalPort)))
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyNetlink, lport: port, rport: -1}
		littleEndian(&s.socket.local, protocol)
		if !s.passes() {
			return nil
		}
	}
	s.state("nl")
	addr, name := strconv.FormatInt(protocol, 10), strconv.FormatInt(port, 10)
	if protocol < 0 {
		addr = r.text(ssLocalAddr)
	}
	if !s.numeric {
		if protocol >= 0 {
			addr = cmp.Or(netlinkNames[protocol], addr)
		}
		if comm, ok := s.comms[port]; ok && port > 0 {
			name = comm + "/" + name
		} else if port == 0 {
			name = "kernel"
		}
	}
	if port == -1 {
		name = "*"
	}
	s.end(addr, ":", name)
	if r.text(ssState) == "ESTABLISHED" {
		s.end("-", ":", strconv.FormatInt(r.number(ssRemotePort), 10))
	} else {
		s.end("", "*", "")
	}
	if s.details {
		t.text(" sk=0 cb=0 groups=")
		if groups, ok := netlinkGroups(r.text(ssLocalAddr), r.text(ssGroups)); ok {
			t.b = fmt.Appendf(t.b, "0x%08x", groups)
		} else {
			t.b = append(t.b, '-')
		}
	}
	if s.memory {
		t.b = append(t.b, '\t')
		s.mem(s.waiting(ssRecvQ), s.waiting(ssSendQ))
	}
	return nil
}

func (s *ssPrinter) vsock() error {
	r := &s.row
	kind, netid := ssVsockStream, "v_str"
	switch r.text(ssType) {
	case "dgram":
		kind, netid = ssVsockDgram, "v_dgr"
	case "seqpacket":
		netid = "???"
	}
	if s.kinds&kind == 0 {
		return nil
	}
	lport, rport := r.number(ssLocalPort), r.number(ssRemotePort)
	if s.condition != nil {
		s.socket = ssSocket{family: ssFamilyVsock, lport: lport, rport: rport}
		littleEndian(&s.socket.local, cid(r.text(ssLocalAddr)))
		littleEndian(&s.socket.remote, cid(r.text(ssRemoteAddr)))
		if !s.passes() {
			return nil
		}
	}
	s.state(netid)
	s.end(r.text(ssLocalAddr), ":", vsockPort(lport))
	s.end(r.text(ssRemoteAddr), ":", vsockPort(rport))
	s.users()
	return nil
}

func cid(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return math.MaxUint32
	}
	return n
}

func vsockPort(port int64) string {
	if uint32(port) == math.MaxUint32 {
		return "*"
	}
	return strconv.FormatInt(port, 10)
}

func (s *ssPrinter) xdp() error {
	r := &s.row
	ifindex, queue := r.number(ssIfIndex), r.number(ssLocalPort)
	if s.condition != nil {
		if s.socket = (ssSocket{family: ssFamilyXDP, lport: queue, ifindex: ifindex}); !s.passes() {
			return nil
		}
	}
	s.state("xdp")
	if ifindex != 0 {
		s.end(s.device(ifindex), ":", "q"+strconv.FormatInt(queue, 10))
	} else {
		s.end("", "*", "")
	}
	s.end("", "*", "")
	s.users()
	if s.details {
		s.ownerDetails(false)
	}
	if s.memory {
		s.mem(s.waiting(ssRecvQ), "")
	}
	return nil
}
