package tools

import (
	"cmp"
	"context"
	"io"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ssOptions are what the words before the expression of ss say. As in ss, their order matters.
type ssOptions struct {
	kinds, states int
	families      ssFamily
	prefer        ssFamily // of the family that was named last
	asked         int      // states of -a, -l and the word state
	query, some   bool     // -A was given; kinds or families were named
	wrong         error    // what a kind or a family was that there is not

	numeric, timers, details, memory, info, processes, noHeader, oneline, summary, tos, cgroups, noQueues, events bool
}

func ss() Tool {
	return Tool{
		Name: "ss", Args: "[-tuwxlanpeomi] [state STATE] [EXPRESSION]", Doc: "sockets, as ss prints them", Like: "iproute2 6.1",
		Examples: []string{"netsql ss -tulpn --at 03:14", "netsql ss -tanpi state close-wait dst 10.0.0.0/8", "netsql ss -E -tn dport = :443"},
		define: func(f *pflag.FlagSet) printer {
			o := &ssOptions{}
			yes := func(do func()) func(string) error { return func(string) error { do(); return nil } }
			kind := func(kinds int) func(string) error { return yes(func() { o.addKinds(kinds, true) }) }
			family := func(family ssFamily) func(string) error { return yes(func() { o.addFamily(family) }) }
			f.BoolFuncP("tcp", "t", "sockets of TCP", kind(ssTCP))
			f.BoolFuncP("udp", "u", "sockets of UDP", kind(ssUDP))
			f.BoolFuncP("raw", "w", "raw sockets", kind(ssRaw))
			f.BoolFuncP("unix", "x", "unix sockets", family(ssFamilyUnix))
			f.BoolFuncP("packet", "0", "packet sockets", family(ssFamilyPacket))
			f.BoolFuncP("mptcp", "M", "sockets of MPTCP", kind(ssMPTCP))
			f.BoolFuncP("sctp", "S", "sockets of SCTP", kind(ssSCTP))
			f.BoolFuncP("dccp", "d", "sockets of DCCP, of which none are recorded", kind(ssDCCP))
			f.BoolFunc("vsock", "sockets of virtual machines", family(ssFamilyVsock))
			f.BoolFunc("xdp", "sockets of XDP", family(ssFamilyXDP))
			f.BoolFunc("tipc", "sockets of TIPC, of which none are recorded", family(ssFamilyTIPC))
			f.BoolFuncP("ipv4", "4", "IPv4", family(ssFamily4))
			f.BoolFuncP("ipv6", "6", "IPv6", family(ssFamily6))
			f.FuncP("family", "f", "a `FAMILY`: inet, inet6, link, unix, netlink, vsock or xdp", func(name string) error {
				family, ok := ssFamilies[name]
				if !ok {
					o.wrong = usagef("-f %s: the families are inet, inet6, link, unix, netlink, vsock, tipc and xdp", name)
					return nil
				}
				o.addFamily(family)
				return nil
			})
			f.FuncP("query", "A", "kinds, a `LIST` parted by commas: tcp, udp, raw, unix_stream, packet, netlink and so on; !tcp is without", o.addQuery)
			f.Func("socket", "the same, a `LIST`", o.addQuery)
			f.BoolFuncP("all", "a", "those that listen and those that do not", yes(func() { o.asked = ssEvery }))
			f.BoolFuncP("listening", "l", "only those that listen", yes(func() { o.asked = ssListen | ssClose }))
			f.BoolVarP(&o.numeric, "numeric", "n", false, "no names of ports")
			f.BoolVarP(&o.processes, "processes", "p", false, "the processes of each socket")
			f.BoolVarP(&o.timers, "options", "o", false, "the timer of each socket")
			f.BoolFuncP("extended", "e", "owner, inode, mark and so on", yes(func() { o.timers, o.details = true, true }))
			f.BoolVarP(&o.memory, "memory", "m", false, "memory of each socket")
			f.BoolVarP(&o.info, "info", "i", false, "what TCP knows of the path")
			f.BoolVar(&o.tos, "tos", false, "type of service")
			f.BoolVar(&o.cgroups, "cgroup", false, "control groups")
			f.BoolVarP(&o.events, "events", "E", false, "the sockets that were closed --from TIME --to TIME; in the hour to the newest sample when not given")
			f.BoolVarP(&o.summary, "summary", "s", false, "how many sockets there are")
			f.BoolVarP(&o.noHeader, "no-header", "H", false, "no headings")
			f.BoolVarP(&o.oneline, "oneline", "O", false, "a line for each socket")
			f.BoolVarP(&o.noQueues, "no-queues", "Q", false, "no columns of queues, as later versions of ss have it")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				return o.print(ctx, m, words, w)
			}
		},
		rewrite: ssRewrite,
		whole:   func(f *pflag.FlagSet) bool { events, _ := f.GetBool("events"); return events },
		instead: map[string]string{
			"-T": "which thread has a socket is not recorded; -p names the process", "--threads": "which thread has a socket is not recorded; -p names the process",
			"-b": "socket filters are not recorded", "--bpf": "socket filters are not recorded",
			"-Z": "security contexts are not recorded", "--context": "security contexts are not recorded",
			"-z": "security contexts are not recorded", "--contexts": "security contexts are not recorded",
			"-K": "a recording closes no sockets", "--kill": "a recording closes no sockets",
			"-D": "the messages of the kernel are not recorded; netsql export writes the rows", "--diag": "the messages of the kernel are not recorded; netsql export writes the rows",
			"-F": "write the expression after the options", "--filter": "write the expression after the options",
			"--inet-sockopt": "these options of sockets are not recorded", "--tipcinfo": "sockets of TIPC are not recorded",
			"-V": "netsql version", "--version": "netsql version", "-v": "netsql version",
		},
	}
}

// ssRewrite parts -tanr into its letters, and gives -r and -N the names that all tools have for them.
func ssRewrite(words []string) (all []string) {
	for i, word := range words {
		switch {
		case word == "--":
			return append(all, words[i:]...)
		case word == "--net" || strings.HasPrefix(word, "--net="):
			all = append(all, "--netns"+word[len("--net"):])
		case len(word) < 2 || word[0] != '-' || word[1] == '-':
			all = append(all, word)
		default:
		letters:
			for j, letter := range word[1:] {
				rest := word[1+j+len(string(letter)):]
				switch letter {
				case 'r':
					all = append(all, "--resolve")
				case 'N', 'A', 'f', 'D', 'F':
					name := "-" + string(letter)
					if letter == 'N' {
						name = "--netns"
						if rest != "" {
							name += "="
						}
					}
					all = append(all, name+rest)
					break letters
				default:
					all = append(all, "-"+string(letter))
				}
			}
		}
	}
	return all
}

func (o *ssOptions) addKinds(kinds int, wanted bool) {
	o.some = true
	if !wanted {
		o.kinds &^= kinds
		return
	}
	o.states |= statesOf(kinds)
	o.kinds |= kinds
}

func (o *ssOptions) addFamily(family ssFamily) {
	_, states := kindsOf(family)
	o.states |= states
	o.families |= family
	o.prefer, o.some = family, true
}

func (o *ssOptions) addQuery(list string) error {
	if !o.query {
		o.query, o.some, o.kinds, o.asked = true, true, 0, cmp.Or(o.asked, ssConnected)
	}
	for name := range strings.SplitSeq(list, ",") {
		name, without := strings.CutPrefix(name, "!")
		kinds, ok := ssQueries[name]
		if !ok {
			o.wrong = usagef("-A %s: the kinds are all, inet, tcp, mptcp, udp, raw, unix, unix_stream, unix_dgram, unix_seqpacket, packet, netlink, sctp, vsock and xdp", name)
			return nil
		}
		o.addKinds(kinds, !without)
	}
	return nil
}

// filter reads the words: states, then an expression.
func (o *ssOptions) filter(ctx context.Context, m *Moment, words []string) (*ssParser, condition, error) {
	for saw := false; len(words) > 0 && slices.Contains([]string{"state", "exclude", "excl"}, words[0]); words = words[2:] {
		if len(words) < 2 {
			return nil, nil, usagef("%s is followed by a state, such as established", words[0])
		}
		states, err := stateNamed(words[1])
		switch {
		case err != nil:
			return nil, nil, err
		case words[0] == "state" && !saw:
			o.asked = states
		case words[0] == "state":
			o.asked |= states
		case !saw:
			o.asked = ssEvery &^ states
		default:
			o.asked &^= states
		}
		saw = true
	}
	if !o.some {
		o.asked = cmp.Or(o.asked, ssConnected)
		o.addKinds(ssAll, true)
	}
	o.states = cmp.Or(o.asked, o.states)
	named := o.families
	for family := ssFamily4; family <= ssFamilyXDP; family <<= 1 {
		if kinds, _ := kindsOf(family); kinds&o.kinds != 0 && !covers(named, kinds) {
			o.families |= family
		}
	}
	for family := ssFamily4; family <= ssFamilyXDP; family <<= 1 {
		if kinds, _ := kindsOf(family); o.families&family != 0 && kinds&o.kinds == 0 {
			o.kinds |= kinds
		}
	}
	if o.kinds == 0 || o.states == 0 {
		return nil, nil, usagef("these options leave no sockets to show")
	}
	p := &ssParser{tokens: ssTokens(words), kinds: o.kinds, prefer: o.prefer}
	p.device = func(name string) (int64, bool) {
		found, err := here[ssDevice](ctx, m, "interfaces", "AND name = ?", name)
		if err != nil || len(found) == 0 {
			return 0, false
		}
		return found[0].IfIndex, true
	}
	p.hosts = func(name string) []netip.Addr { return hostsNamed(m.Names, name) }
	if len(p.tokens) == 0 {
		return p, nil, nil
	}
	c, err := p.parse()
	if p.only != 0 {
		o.families, o.prefer = p.only, p.only
	}
	return p, c, err
}

// covers tells whether one of the families is of these kinds.
func covers(families ssFamily, kinds int) bool {
	for family := ssFamily4; family <= ssFamilyXDP; family <<= 1 {
		if of, _ := kindsOf(family); families&family != 0 && of&kinds != 0 {
			return true
		}
	}
	return false
}

type ssDevice struct {
	Name    string `col:"name"`
	IfIndex int64  `col:"ifindex"`
}

func (o *ssOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	if o.wrong != nil {
		return o.wrong
	}
	if o.summary {
		if err := printSummary(ctx, m, w); err != nil {
			return err
		}
		if !o.some && len(words) == 0 {
			return nil
		}
	}
	p, c, err := o.filter(ctx, m, words)
	if err != nil {
		return err
	}
	table := &ssTable{w: w}
	table.disabled[ssNetidField] = bits.OnesCount(uint(o.kinds)) == 1
	table.disabled[ssStateField] = bits.OnesCount(uint(o.states)) == 1
	table.disabled[ssRecvQField], table.disabled[ssSendQField] = o.noQueues, o.noQueues
	if !o.noHeader {
		for i, heading := range ssHeadings[:ssLastField] {
			table.at(ssField(i)).text(heading)
		}
		table.at(ssLastField)
	}
	s := &ssPrinter{ssOptions: o, ctx: ctx, m: m, t: table, parser: p, condition: c, ports: map[ssPort]string{}}
	print := s.sockets
	if o.events {
		print = s.closed
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := print(); err != nil {
		return err
	}
	return table.show()
}
