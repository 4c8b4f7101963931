package tools

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// netstatOptions are those of netstat, as its manual page lists them.
type netstatOptions struct {
	route, interfaces, groups, statistic, masquerade  bool
	tcp, udp, udplite, raw, sctp                      bool
	listening, all, wide, programs, timers            bool
	numeric, numericHosts, numericPorts, numericUsers bool
	symbolic, fib, cache                              bool
	extend                                            int
	families                                          []string
	four, six, unix                                   bool // those of the families
	dev, since                                        string
}

func netstat() Tool {
	return Tool{
		Name: "netstat", Args: "[-tuwxlanpeo] [-r|-i|-g|-s]", Doc: "sockets, routes, interfaces, groups and counters, as netstat prints them", Like: "net-tools 2.10",
		Examples: []string{"netsql netstat -tulpn --at 03:14", "netsql netstat -st --since 02:00", "netsql netstat -tanp --live"},
		define: func(f *pflag.FlagSet) printer {
			var o netstatOptions
			f.BoolVarP(&o.route, "route", "r", false, "the routing table")
			f.BoolVarP(&o.interfaces, "interfaces", "i", false, "a line for each interface")
			f.StringVarP(&o.dev, "interface", "I", "", "the line of one `INTERFACE`, which net-tools 2.10 has no more")
			f.BoolVarP(&o.masquerade, "masquerade", "M", false, "connections whose source address is translated, where conntrack was recorded")
			f.BoolVarP(&o.groups, "groups", "g", false, "multicast groups")
			f.BoolVarP(&o.statistic, "statistics", "s", false, "counters of IP, ICMP, TCP and UDP")
			f.StringVar(&o.since, "since", "", "with -s: what they grew by since that `TIME`, not since boot; - where that is not known")
			f.BoolVarP(&o.tcp, "tcp", "t", false, "sockets of TCP")
			f.BoolVarP(&o.sctp, "sctp", "S", false, "sockets of SCTP")
			f.BoolVarP(&o.udp, "udp", "u", false, "sockets of UDP")
			f.BoolVarP(&o.udplite, "udplite", "U", false, "sockets of UDP-Lite")
			f.BoolVarP(&o.raw, "raw", "w", false, "raw sockets")
			f.BoolFuncP("unix", "x", "unix sockets", func(string) error { o.families = append(o.families, "unix"); return nil })
			f.BoolVarP(&o.listening, "listening", "l", false, "only those that listen")
			f.BoolVarP(&o.all, "all", "a", false, "those that listen and those that do not")
			f.BoolVarP(&o.numeric, "numeric", "n", false, "no names")
			f.BoolVar(&o.numericHosts, "numeric-hosts", false, "no names of hosts")
			f.BoolVar(&o.numericPorts, "numeric-ports", false, "no names of ports")
			f.BoolVar(&o.numericUsers, "numeric-users", false, "no names of users")
			f.BoolVarP(&o.symbolic, "symbolic", "N", false, "names of the hardware, which is nothing here; with -r as -n")
			f.BoolVarP(&o.wide, "wide", "W", false, "whole addresses")
			f.CountVarP(&o.extend, "extend", "e", "more columns; twice the most")
			f.BoolVarP(&o.programs, "programs", "p", false, "the process of each socket")
			f.BoolVarP(&o.timers, "timers", "o", false, "the timer of each socket")
			f.BoolP("continuous", "c", false, "again and again: each sample from --from to --to")
			f.BoolVarP(new(bool), "verbose", "v", false, "tell of what the kernel does not have, which changes nothing here")
			familyFlags(f, &o.families, "protocol")
			f.BoolVarP(&o.fib, "fib", "F", false, "with -r: the forwarding table; it is printed without this as well")
			f.BoolVarP(&o.cache, "cache", "C", false, "with -r: the routing cache, which Linux no longer has since 3.6")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				return o.print(ctx, m, words, w)
			}
		},
		instead: map[string]string{
			"-2": noBluetooth, "--l2cap": noBluetooth, "-f": noBluetooth, "--rfcomm": noBluetooth, "--bluetooth": noBluetooth,
			"-Z": noContexts, "--context": noContexts, "-V": "netsql version", "--version": "netsql version",
			"--ax25": otherFamily, "--ipx": otherFamily, "--netrom": otherFamily, "--ddp": otherFamily, "--appletalk": otherFamily, "--x25": otherFamily, "--rose": otherFamily,
		},
	}
}

const (
	noBluetooth = "Bluetooth is not recorded"
	noContexts  = "security contexts are not recorded"
	otherFamily = "only the families inet, inet6 and unix are recorded"
)

func (o netstatOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	if err := needless("netstat", words); err != nil {
		return err
	}
	var err error
	if o.families, err = familiesOf(o.families, "unix"); err != nil {
		return err
	}
	o.four, o.six, o.unix = slices.Contains(o.families, "inet"), slices.Contains(o.families, "inet6"), slices.Contains(o.families, "unix")
	o.interfaces = o.interfaces || o.dev != ""
	o.numericHosts = o.numericHosts || o.numeric
	o.numericPorts = o.numericPorts || o.numeric
	o.numericUsers = o.numericUsers || o.numeric
	switch {
	case o.since != "" && !o.statistic:
		return usagef("--since goes with -s: netsql netstat -s --since 02:00 says what the counters grew by")
	case b2i(o.statistic)+b2i(o.route)+b2i(o.interfaces)+b2i(o.masquerade) > 1:
		return usagef("netstat prints one table at a time: -r, -i, -s or -M")
	case o.statistic:
		return o.statistics(ctx, m, w)
	case o.masquerade:
		return o.masqueradeTable(ctx, m, w)
	case o.route && o.unix:
		return usagef("netstat -r: unix sockets have no routes; -4 and -6 have")
	case o.route:
		table := routeTable{columns: []routeColumns{routeMetrics, routeMetric, routeAll}[min(o.extend, 2)],
			numeric: o.numericHosts, symbolic: o.symbolic, fib: o.fib, cache: o.cache}
		return table.print(ctx, m, o.families, w)
	case o.interfaces:
		return o.interfaceTable(ctx, m, w)
	}
	return o.sockets(ctx, m, w)
}

// sockets prints those of the internet, the groups and those of unix that are asked for; without any, both kinds of sockets.
func (o netstatOptions) sockets(ctx context.Context, m *Moment, w io.Writer) error {
	internet := o.four || o.six || o.tcp || o.udp || o.udplite || o.raw || o.sctp
	all := !internet && !o.unix && !o.groups
	if internet || all {
		if err := o.internet(ctx, m, w); err != nil {
			return err
		}
	}
	if o.groups {
		if err := o.groupTable(ctx, m, w); err != nil {
			return err
		}
	}
	if o.unix || all {
		return o.unixSockets(ctx, m, w)
	}
	return nil
}

// which is what the headings say of the sockets that are shown.
func (o netstatOptions) which() string {
	switch {
	case o.all:
		return "(servers and established)"
	case o.listening:
		return "(only servers)"
	}
	return "(w/o servers)"
}

type netstatRow struct {
	Proto      string `col:"proto"`
	Family     int64  `col:"family"`
	LocalAddr  string `col:"local_addr"`
	LocalPort  int64  `col:"coalesce(local_port, 0)"`
	RemoteAddr string `col:"remote_addr"`
	RemotePort int64  `col:"coalesce(remote_port, 0)"`
	State      string `col:"state"`
	RecvQ      int64  `col:"coalesce(recv_q, 0)"`
	SendQ      int64  `col:"coalesce(send_q, 0)"`
	Inode      int64  `col:"coalesce(inode, 0)"`
	UID        int64  `col:"coalesce(uid, 0)"`
	User       string `col:"user"`
	PID        int64  `col:"coalesce(pid, 0)"`
	Comm       string `col:"comm"`
	Cmdline    string `col:"cmdline"`
	OwnerHow   string `col:"owner_how"`
	Timer      string `col:"timer"`
	TimerLeft  string `col:"printf('%.2f', timer_ends - ts)"`
	Tries      int64  `col:"coalesce(tries, 0)"`
	Ended      bool   `col:"ended IS NOT NULL"`
}

func (o netstatOptions) internet(ctx context.Context, m *Moment, w io.Writer) error {
	some := o.tcp || o.udp || o.udplite || o.raw || o.sctp
	var protos []string
	for _, p := range []struct {
		wanted bool
		name   string
	}{{o.tcp, "tcp"}, {o.sctp, "sctp"}, {o.udp, "udp"}, {o.udplite, "udplite"}, {o.raw, "raw"}} {
		if p.wanted || !some {
			protos = append(protos, p.name)
		}
	}
	rows, err := here[netstatRow](ctx, m, "sockets", "AND proto IN ('"+strings.Join(protos, "', '")+"')")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Active Internet connections %s\nProto Recv-Q Send-Q Local Address           Foreign Address         State      ", o.which())
	if o.extend > 0 {
		fmt.Fprint(w, " User       Inode     ")
	}
	if o.programs {
		fmt.Fprint(w, " PID/Program name    ")
	}
	if o.timers {
		fmt.Fprint(w, " Timer")
	}
	fmt.Fprintln(w)
	slices.SortStableFunc(rows, func(a, b netstatRow) int {
		return cmp.Or(cmp.Compare(slices.Index(protos, a.Proto), slices.Index(protos, b.Proto)), cmp.Compare(a.Family, b.Family), cmp.Compare(b2i(a.State != "LISTEN"), b2i(b.State != "LISTEN")))
	})
	for i := range rows {
		r := &rows[i]
		if r.Family == 6 && o.four && !o.six || r.Family == 4 && o.six && !o.four || !o.shows(r) {
			continue
		}
		o.line(ctx, m, r, w)
	}
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// shows tells whether a socket is among those that are asked for. One of TCP listens that has no port at the other end, one of the others that has
// no address there.
func (o netstatOptions) shows(r *netstatRow) bool {
	if r.Proto == "tcp" && r.State == "CLOSE" {
		return false // the kernel lists it nowhere
	}
	listens := r.RemotePort == 0
	if r.Proto != "tcp" && r.Proto != "sctp" {
		listens = r.RemoteAddr == "0.0.0.0" || r.RemoteAddr == "::" || r.RemoteAddr == ""
	}
	return o.all || listens == o.listening
}

// line prints a socket as tcp_do_one and its like of net-tools do.
func (o netstatOptions) line(ctx context.Context, m *Moment, r *netstatRow, w io.Writer) {
	proto, state := r.Proto, r.State
	if r.Family == 6 {
		proto += "6"
	}
	switch {
	case r.Proto == "tcp" && r.State == "LISTEN":
		r.SendQ = 0
	case r.State == "TIME_WAIT":
		r.Inode, r.UID, r.User, r.PID, r.RecvQ, r.SendQ = 0, 0, "root", 0, 0, 0
	case r.Proto == "raw":
		state = "7" // TCP_CLOSE, which netstat has no word for here
	case r.Proto == "udp" || r.Proto == "udplite":
		if state != "ESTABLISHED" {
			state = ""
		}
	}
	service := r.Proto
	if r.Proto == "udplite" {
		service = "udp"
	}
	local, remote := o.end(ctx, m, r.Family, r.LocalAddr, r.LocalPort, service), o.end(ctx, m, r.Family, r.RemoteAddr, r.RemotePort, service)
	fmt.Fprintf(w, "%-4s  %6d %6d %-23s %-23s %-11s", proto, r.RecvQ, r.SendQ, local, remote, state)
	if o.extend > 0 {
		user := cmp.Or(r.User, m.Names.User(r.UID))
		if o.numericUsers {
			user = strconv.FormatInt(r.UID, 10)
		}
		fmt.Fprintf(w, " %-10s %-10d", user, r.Inode)
	}
	if o.programs {
		fmt.Fprintf(w, " %-20s", r.program())
	}
	if o.timers {
		fmt.Fprintf(w, " %s", r.timer())
	}
	fmt.Fprintln(w)
}

// end is an address with its port, in at most 22 bytes where the whole is not wanted. No file names an IPv4 address of an IPv6 socket: its name
// would be looked up as ::ffff:127.0.0.1.
func (o netstatOptions) end(ctx context.Context, m *Moment, family int64, addr string, port int64, service string) string {
	if !o.numericHosts {
		switch {
		case addr == "::":
			addr = "[::]"
		case addr == "0.0.0.0", family == 6 && !strings.Contains(addr, ":"):
		default:
			addr = m.Names.Host(ctx, addr)
		}
	}
	number := o.port(m, port, service)
	const most = 22
	if !o.wide && len(addr)+len(number) > most {
		number = number[:min(len(number), most-4)]
		addr = addr[:min(len(addr), most-len(number))]
	}
	return addr + ":" + number
}

// port is a port, or the protocol of a raw socket.
func (o netstatOptions) port(m *Moment, port int64, service string) string {
	switch {
	case port == 0:
		return "*"
	case o.numericPorts:
		return strconv.FormatInt(port, 10)
	case service == "raw":
		return m.Names.Protocol(port)
	}
	return m.Names.Port(port, service)
}

// program is the process, by its number and the first word of its command line. Who closed a socket holds it no longer.
func (r *netstatRow) program() string {
	if r.PID == 0 || r.OwnerHow != "fd" {
		return "-"
	}
	return programName(r.PID, r.Cmdline, r.Comm)
}

// programName is how netstat -p names a process: 19 bytes of its number and its command, without the folder.
func programName(pid int64, cmdline, comm string) string {
	name, _, _ := strings.Cut(cmdline, " ")
	if strings.HasSuffix(name, ":") { // sshd: ann@pts/0, which is one word
		name = cmdline
	}
	if strings.HasPrefix(name, "/") {
		name = name[strings.LastIndexByte(name, '/')+1:]
	}
	text := fmt.Sprintf("%d/%s", pid, cmp.Or(name, comm))
	return text[:min(len(text), 19)]
}

// timer is what netstat -o says of it. When it ends is not recorded of every timer.
func (r *netstatRow) timer() string {
	kind, known := map[string]string{"off": "off", "retransmit": "on", "keepalive": "keepalive", "timewait": "timewait", "probe": "probe"}[r.Timer]
	switch {
	case !known && r.Proto == "tcp" && r.State != "LISTEN":
		return "-"
	case !known || kind == "off": // only connections of TCP have timers
		return "off (0.00/0/0)"
	case r.TimerLeft == "" || strings.HasPrefix(r.TimerLeft, "-"):
		r.TimerLeft = "-"
	}
	return fmt.Sprintf("%s (%s/%d/-)", kind, r.TimerLeft, r.Tries)
}

type unixRow struct {
	Type     string `col:"type"`
	State    string `col:"state"`
	Inode    int64  `col:"coalesce(inode, 0)"`
	Path     string `col:"path"`
	Peer     bool   `col:"coalesce(peer_inode, 0) > 0"`
	PID      int64  `col:"coalesce(pid, 0)"`
	Comm     string `col:"comm"`
	Cmdline  string `col:"cmdline"`
	OwnerHow string `col:"owner_how"`
}

// unixSockets prints unix sockets. How many hold one the kernel tells in /proc/net/unix only: that column is "-".
func (o netstatOptions) unixSockets(ctx context.Context, m *Moment, w io.Writer) error {
	rows, err := here[unixRow](ctx, m, "sockets", "AND proto = 'unix'")
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Active UNIX domain sockets %s\nProto RefCnt Flags       Type       State         I-Node  ", o.which())
	if o.programs {
		fmt.Fprint(w, " PID/Program name    ")
	}
	fmt.Fprintln(w, " Path")
	for _, r := range rows {
		listens := r.State == "LISTEN"
		state, flags := "", "[ ]"
		switch {
		case listens:
			state, flags = "LISTENING", "[ ACC ]"
		case r.State == "ESTABLISHED" && r.Type != "dgram" || r.Type == "dgram" && r.Peer:
			state = "CONNECTED"
		}
		if !o.all && listens != o.listening {
			continue
		}
		kind := map[string]string{"stream": "STREAM", "dgram": "DGRAM", "seqpacket": "SEQPACKET", "raw": "RAW"}[r.Type]
		fmt.Fprintf(w, "%-5s %-6s %-11s %-10s %-13s %-8d ", "unix", "-", flags, kind, state, r.Inode)
		if o.programs {
			program := "-"
			if r.PID != 0 && r.OwnerHow == "fd" {
				program = programName(r.PID, r.Cmdline, r.Comm)
			}
			fmt.Fprintf(w, "%-20s ", program)
		}
		fmt.Fprintln(w, r.Path)
	}
	return nil
}
