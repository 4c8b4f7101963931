package tools

import (
	"cmp"
	"context"
	"fmt"
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
