package tools

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// lsofOptions are those of lsof as they are typed. What they select is worked out when it prints.
type lsofOptions struct {
	network, states, commands, pids, users, fds      repeated
	unix, and, noHosts, noPorts, numericUsers, terse bool
	parents, offset, size, quiet, verbose            bool
	fields, info                                     string
	width                                            int
}

// lsofLongestName is how many bytes Linux has of the name of a program.
const lsofLongestName = 15

// lsofNothing is the value of an option that has none, such as -i alone.
const lsofNothing = "-"

const (
	lsofFiles = "files are not recorded, only sockets are: " +
		"ask with -i for network files, with -U for unix sockets, and with -a for those of one process (lsof -a -i -p PID)"
	lsofSockets = "lsof lists sockets here: files are not recorded"
)

func lsof() Tool {
	return Tool{
		Name: "lsof", Args: "-i [-U] [-nP] [-a] [-p PIDS] …", Doc: "who holds which socket, as lsof prints network files",
		Like:     "lsof 4.95",
		Examples: []string{"netsql lsof -nP -iTCP -sTCP:LISTEN --at 03:14", "netsql lsof -i :443", "netsql lsof -a -i -c nginx"},
		rewrite:  lsofWords,
		define: func(f *pflag.FlagSet) printer {
			var o lsofOptions
			f.VarP(&o.network, "network", "i", "network files: `WHAT` is [46][PROTOCOL][@HOST][:PORTS]; all without it")
			f.BoolVarP(&o.unix, "unix", "U", false, "unix sockets")
			f.VarP(&o.states, "state", "s", "only these states: `TCP:STATES`, parted by commas, ^ for not")
			f.BoolVarP(&o.and, "and", "a", false, "what meets all that is asked, not any of it")
			f.VarP(&o.pids, "pid", "p", "of these processes: `PIDS`, parted by commas, ^ for not")
			f.VarP(&o.commands, "command", "c", "of programs that begin so: a `NAME`, ^NAME for not, or /REGEXP/")
			f.VarP(&o.users, "user", "u", "of these users: `USERS`, names or numbers, ^ for not")
			f.VarP(&o.fds, "fd", "d", "of these file descriptors: `NUMBERS`, such as 3 or 4-9, ^ for not")
			f.BoolVarP(&o.noHosts, "no-hosts", "n", false, "no names of hosts")
			f.BoolVarP(&o.noPorts, "no-ports", "P", false, "no names of ports")
			f.BoolVarP(&o.numericUsers, "numeric-users", "l", false, "no names of users")
			f.BoolVarP(&o.terse, "terse", "t", false, "process ids and nothing else")
			f.BoolVarP(&o.parents, "parents", "R", false, "the parent of each process")
			f.StringVarP(&o.fields, "fields", "F", "", "a line for each field, for programs: the `LETTERS` of the fields; all without")
			f.StringVarP(&o.info, "info", "T", "", "of sockets: the `LETTERS` q (queues) and s (state); none without")
			f.IntVar(&o.width, "command-width", 9, "+c: print so many `BYTES` of the command; 0: all")
			f.BoolVarP(&o.offset, "offset", "o", false, "offsets, which are 0 of every socket")
			f.BoolVarP(&o.quiet, "quiet", "Q", false, "exit with 0 also where something was not found")
			f.BoolVarP(&o.verbose, "verbose", "V", false, "tell what was not found")
			f.BoolP("continuous", "r", false, "again and again: each sample from --from to --to")
			f.BoolVarP(new(bool), "ignored", "b", false, "as -w, -O and -M, which change nothing here")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				return o.print(ctx, m, words, w)
			}
		},
		instead: map[string]string{
			"-g": "process groups are not recorded; SELECT pid, ppid FROM processes WHERE ts = at() has the parents",
			"-K": "threads are not recorded; netsql lsof -i lists their processes",
			"-f": "the kernel's structures are not recorded", "-L": "counts of links are not recorded",
			"-N": "files are not recorded, only sockets are; ask with -i or -U", "-D": "there is no device cache here",
			"-E": "SELECT pid, comm, path, peer_inode FROM sockets WHERE ts = at() AND proto = 'unix' has the other ends",
			"-Z": "security contexts are not recorded", "-x": "files are not recorded, only sockets are; ask with -i or -U",
			"-v": "netsql version names this program",
		},
	}
}

// repeated are the values of an option that is given several times.
type repeated []string

func (r *repeated) String() string     { return strings.Join(*r, " ") }
func (r *repeated) Type() string       { return "string" }
func (r *repeated) Set(s string) error { *r = append(*r, s); return nil }

// lsofWords puts the options into long flags. Some take a value that is in the same word or is the next one, unless that begins with - or +.
func lsofWords(words []string) (out []string) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		if word == "--" {
			return append(out, words[i:]...)
		}
		if len(word) < 2 || strings.HasPrefix(word, "--") || word[0] != '-' && word[0] != '+' {
			out = append(out, word)
			continue
		}
		for rest := word[1:]; rest != ""; {
			letter := rest[:1]
			rest = rest[1:]
			// value is what belongs to the option; of an optional one that what follows.
			value := func(optional bool) string {
				text := rest
				if rest = ""; text == "" && i+1 < len(words) && (!optional || !strings.HasPrefix(words[i+1], "-") && !strings.HasPrefix(words[i+1], "+")) {
					i++
					text = words[i]
				}
				return text
			}
			flag := map[string]string{"i": "network", "s": "state", "p": "pid", "c": "command", "u": "user", "d": "fd", "F": "fields", "T": "info"}[letter]
			switch {
			case word[0] == '+' && letter == "c":
				out = append(out, "--command-width="+value(false))
			case word[0] == '+' && strings.Contains("wM", letter), strings.Contains("wOMb", letter):
			case letter == "r": // with a time, which is that of the samples
				out = append(out, "--continuous")
				if rest == "" && i+1 < len(words) && strings.Trim(words[i+1][:min(1, len(words[i+1]))], "0123456789") == "" {
					i++
				}
				rest = ""
			case word[0] == '+':
				out = append(out, "-"+letter)
				rest = ""
			case flag == "fields" || flag == "info": // the letters are in the same word
				if flag == "fields" { // a -T before it is as if it were not there
					out = append(out, "--info=")
				}
				out = append(out, "--"+flag+"="+cmp.Or(rest, lsofNothing))
				rest = ""
			case flag != "":
				out = append(out, "--"+flag+"="+cmp.Or(value(letter == "i" || letter == "s"), lsofNothing))
			case letter == "S": // how long system calls may take
				value(true)
			default:
				out = append(out, "-"+letter)
				if strings.Contains("gKDfLxZE", letter) {
					rest = ""
				}
			}
		}
	}
	return out
}

// A lsofSocket is a socket that is recorded.
type lsofSocket struct {
	Proto      string `col:"proto"`
	Family     int64  `col:"coalesce(family, 0)"`
	Type       string `col:"type"`
	LocalAddr  string `col:"local_addr"`
	LocalPort  int64  `col:"coalesce(local_port, 0)"`
	RemoteAddr string `col:"remote_addr"`
	RemotePort int64  `col:"coalesce(remote_port, 0)"`
	Path       string `col:"path"`
	Inode      int64  `col:"coalesce(inode, 0)"`
	State      string `col:"state"`
	RecvQ      int64  `col:"coalesce(recv_q, 0)"`
	SendQ      int64  `col:"coalesce(send_q, 0)"`
	Ended      bool   `col:"ended IS NOT NULL"`
}

// A lsofOwner is a process that holds one. Of the descriptors that it holds it by, the lowest is recorded; who has it registered with io_uring alone
// has none.
type lsofOwner struct {
	Proto string `col:"proto"`
	Inode int64  `col:"coalesce(inode, 0)"`
	PID   int64  `col:"pid"`
	Comm  string `col:"comm"`
	FD    int64  `col:"fd"`
}

type lsofProcess struct {
	PID  int64  `col:"pid"`
	Comm string `col:"comm"`
	PPID int64  `col:"coalesce(ppid, -1)"`
	UID  int64  `col:"coalesce(uid, -1)"`
	User string `col:"user"`
}

// A lsofFile is a line: a socket of a process.
type lsofFile struct {
	lsofSocket
	lsofOwner
	process                  lsofProcess
	kind, device, node, name string
	listed                   bool   // in /proc/net/tcp and its like, which -i looks at
	state                    string // as -T s shows it
}

func (o lsofOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	s, err := o.selection(ctx, m.Names)
	switch {
	case err != nil:
		return err
	case len(words) > 0:
		return usagef("lsof: %s", lsofFiles)
	case o.and && s.asked == 0:
		return usagef("lsof -a: there is nothing to meet; -i, -U, -p, -u, -c and -d select")
	case o.fields != "" && o.terse:
		return usagef("lsof: -F and -t exclude each other")
	case o.width < 0 || o.width > lsofLongestName:
		return usagef("lsof +c takes a number of bytes up to %d, and not %d", lsofLongestName, o.width)
	}
	for _, letter := range strings.TrimPrefix(o.info, lsofNothing) {
		if !strings.ContainsRune("qsf", letter) {
			return usagef("lsof -T%c: the letters are q for queues and s for the state", letter)
		}
	}
	files, processes, err := lsofRows(ctx, m)
	if err != nil {
		return err
	}
	if s.asked&(lsofNetwork|lsofAddress|lsofUnix) == 0 {
		m.note(lsofSockets)
	}
	missing := s.missing(files, processes, o.and)
	if err := o.printFiles(ctx, m, s, files, w); err != nil {
		return err
	}
	if o.verbose {
		for _, sentence := range missing {
			fmt.Fprintf(w, "lsof: %s\n", sentence)
		}
	}
	if len(missing) > 0 && !o.quiet {
		return ErrNotFound
	}
	return nil
}

// printFiles prints the files that are selected.
func (o lsofOptions) printFiles(ctx context.Context, m *Moment, s *lsofSelection, files []*lsofFile, w io.Writer) error {
	files = slices.DeleteFunc(files, func(f *lsofFile) bool { return !s.selects(f, o.and) })
	for _, f := range files {
		o.describe(ctx, m, f)
	}
	switch {
	case o.terse:
		last := int64(0)
		for _, f := range files {
			if f.PID != last {
				fmt.Fprintln(w, f.PID)
			}
			last = f.PID
		}
		return nil
	case o.fields != "":
		return o.fieldLines(m, files, w)
	case len(files) > 0:
		o.table(m, files, w)
	}
	return nil
}

// lsofRows are the sockets of this namespace, a row for each process that holds one, by processes and descriptors.
func lsofRows(ctx context.Context, m *Moment) (files []*lsofFile, processes []lsofProcess, err error) {
	sockets, err := here[lsofSocket](ctx, m, "sockets", "AND inode > 0")
	if err != nil {
		return nil, nil, err
	}
	owners, err := here[lsofOwner](ctx, m, "socket_owners", "AND fd IS NOT NULL AND inode > 0 ORDER BY pid, fd")
	if err != nil {
		return nil, nil, err
	}
	processes, err = rowsOf[lsofProcess](ctx, m, "SELECT "+strings.Join(columnsOf[lsofProcess](), ", ")+" FROM processes WHERE ts = at()")
	if err != nil {
		return nil, nil, err
	}
	type key struct {
		proto string
		inode int64
	}
	held := map[key]*lsofSocket{}
	for i := range sockets {
		held[key{sockets[i].Proto, sockets[i].Inode}] = &sockets[i]
	}
	byPID := map[int64]lsofProcess{}
	for _, p := range processes {
		byPID[p.PID] = p
	}
	for _, owner := range owners {
		socket := held[key{owner.Proto, owner.Inode}]
		if socket == nil {
			continue
		}
		process, ok := byPID[owner.PID]
		if !ok {
			process = lsofProcess{PID: owner.PID, Comm: owner.Comm, PPID: -1, UID: -1}
			byPID[owner.PID] = process
			processes = append(processes, process)
		}
		f := &lsofFile{lsofSocket: *socket, lsofOwner: owner, process: process}
		switch socket.Proto {
		case "tcp":
			f.listed = !socket.Ended && socket.State != "CLOSE" && socket.State != "TIME_WAIT"
		case "udp", "udplite":
			f.listed = socket.LocalPort != 0
		}
		files = append(files, f)
	}
	return files, processes, nil
}

func unspecified(addr string) bool { return addr == "" || addr == "0.0.0.0" || addr == "::" }

// lsofEthernet are lsof's names of Ethernet protocols, in seven bytes.
var lsofEthernet = map[int64]string{
	0x0003: "ALL", 0x0004: "802.2", 0x0060: "LOOP", 0x0800: "IP", 0x0806: "ARP", 0x8035: "RARP", 0x8100: "8021Q", 0x86dd: "IPV6", 0x8863: "PPP_DIS", 0x8864: "PPP_SES",
}

// describe puts into words what the columns say of a file.
func (o lsofOptions) describe(ctx context.Context, m *Moment, f *lsofFile) {
	inode := strconv.FormatInt(f.lsofSocket.Inode, 10)
	proto := f.lsofSocket.Proto
	switch {
	case f.listed:
		f.kind, f.device, f.node = fmt.Sprintf("IPv%d", f.Family), inode, strings.ToUpper(proto)
		f.name = o.end(ctx, m, proto, f.LocalAddr, f.LocalPort)
		if f.RemotePort != 0 || !unspecified(f.RemoteAddr) {
			f.name += "->" + o.end(ctx, m, proto, f.RemoteAddr, f.RemotePort)
		}
		if proto == "tcp" {
			f.state = f.State
			if f.State == "LISTEN" {
				f.SendQ = 0 // there the backlog is recorded, which /proc/net/tcp does not have
			}
		}
	case proto == "unix":
		f.kind, f.device, f.node = "unix", "-", inode
		f.name = strings.TrimPrefix(f.Path+" type="+strings.ToUpper(f.Type), " ")
		f.state = map[string]string{"ESTABLISHED": "CONNECTED", "LISTEN": "LISTEN"}[f.State]
		f.state = cmp.Or(f.state, "UNCONNECTED")
	case proto == "raw":
		f.kind, f.node = "raw", inode
		if f.Family == 6 {
			f.kind = "raw6"
		}
		f.name = fmt.Sprintf("%s:%04X->%s:0000 st=%02X",
			procAddr(f.LocalAddr, f.Family), f.LocalPort, procAddr(f.RemoteAddr, f.Family), map[bool]int{true: 1, false: 7}[f.State == "ESTABLISHED"])
	case proto == "ping" && f.Family == 4:
		f.kind, f.node = "icmp", inode
		f.name = fmt.Sprintf("%s:%04X->%s:%04X", procAddr(f.LocalAddr, 4), f.LocalPort, procAddr(f.RemoteAddr, 4), f.RemotePort)
	case proto == "netlink":
		f.kind, f.node = "netlink", inode
		name := strings.ToUpper(f.LocalAddr)
		f.name = cmp.Or(map[string]string{"SOCK_DIAG": "INET_DIAG"}[name], name)
	case proto == "packet":
		f.kind, f.device = "pack", inode
		f.name = "type=SOCK_" + strings.ToUpper(f.Type)
		f.node = cmp.Or(lsofEthernet[f.LocalPort], strconv.FormatInt(f.LocalPort, 10))
	default: // it is in no list of the kernel; the device of all sockets is not recorded
		f.kind, f.device, f.node = "sock", "-", inode
		name := cmp.Or(map[string]string{"vsock": "AF_VSOCK"}[proto], strings.ToUpper(proto))
		if f.Family == 6 {
			name += "v6"
		}
		f.name = "protocol: " + name
	}
}

// procAddr is an address as /proc/net/raw has it: words of 32 bits in the order of this machine.
func procAddr(addr string, family int64) string {
	at, err := netip.ParseAddr(addr)
	b := at.AsSlice()
	if err != nil || family == 6 && at.Is4() {
		b = make([]byte, map[bool]int{true: 16, false: 4}[family == 6])
	}
	for i := 0; i+4 <= len(b); i += 4 {
		slices.Reverse(b[i : i+4])
	}
	return strings.ToUpper(hex.EncodeToString(b))
}

// end is an address with its port.
func (o lsofOptions) end(ctx context.Context, m *Moment, proto, addr string, port int64) string {
	host := "*"
	if !unspecified(addr) {
		host = addr
		if !o.noHosts {
			host = m.Names.Host(ctx, addr)
		}
		if host == addr && strings.Contains(addr, ":") {
			host = "[" + addr + "]"
		}
	}
	switch {
	case port == 0:
		return host + ":*"
	case o.noPorts || proto == "udplite":
		return host + ":" + strconv.FormatInt(port, 10)
	}
	return host + ":" + m.Names.Port(port, proto)
}
