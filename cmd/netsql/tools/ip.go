package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// ipOptions are those of ip, which stand before its object.
type ipOptions struct {
	four, six, packet                     bool
	details, brief, oneline, json, pretty bool
	numeric, stamped, tshort              bool
	stats                                 int
}

// inFamily is the family that is asked for. Of several the last is meant.
func (o *ipOptions) inFamily(name string) error {
	if name != "inet" && name != "inet6" && name != "link" {
		return usagef("the families that are replayed are inet, inet6 and link")
	}
	o.four, o.six, o.packet = name == "inet", name == "inet6", name == "link"
	return nil
}

func ip() Tool {
	return Tool{
		Name: "ip", Args: "[-46sdjoN] [-br] addr|link|route|neigh|rule|nexthop|maddr|monitor …",
		Doc: "addresses, links, routes, the way of a packet and changes, as ip prints them", Like: "iproute2 6.1",
		Examples: []string{"netsql ip -br addr --at 03:14", "netsql ip route show table all", "netsql ip -t monitor all"},
		define: func(f *pflag.FlagSet) printer {
			var o ipOptions
			family := func(name string) func(string) error { return func(string) error { return o.inFamily(name) } }
			f.BoolFuncP("inet", "4", "IPv4", family("inet"))
			f.BoolFuncP("inet6", "6", "IPv6", family("inet6"))
			f.BoolFuncP("packet", "0", "links", family("link"))
			f.FuncP("family", "f", "a `FAMILY`: inet, inet6 or link", o.inFamily)
			f.CountVarP(&o.stats, "stats", "s", "counters of links; twice their errors as well")
			f.BoolVarP(&o.details, "details", "d", false, "more of what was recorded")
			f.BoolVarP(&o.json, "json", "j", false, "JSON")
			f.BoolVarP(&o.pretty, "pretty", "p", false, "with -j: a line for each value")
			f.BoolVar(&o.brief, "brief", false, "-br: a line for each, in columns")
			f.BoolVarP(&o.oneline, "oneline", "o", false, "a line for each")
			f.BoolVarP(&o.numeric, "numeric", "N", false, "numbers of protocols, scopes and tables, not names")
			f.BoolVarP(&o.stamped, "timestamp", "t", false, "with monitor, which prints what changed in the last hour or from --from to --to: a line with the time before each")
			f.BoolVar(&o.tshort, "tshort", false, "-ts: with monitor: the time at the begin of the line")
			f.BoolVar(new(bool), "color", false, "-c: which changes nothing here")
			return func(ctx context.Context, m *Moment, words []string, w io.Writer) error {
				return o.print(ctx, m, words, w)
			}
		},
		rewrite: ipRewrite,
		whole:   ipMonitors,
		instead: map[string]string{
			"-a": "--netns NAME prints another network namespace, and SELECT * FROM namespaces_now lists them", "--all": "--netns NAME prints another network namespace, and SELECT * FROM namespaces_now lists them",
			"-b": "give one line of the file at a time", "--batch": "give one line of the file at a time",
			"-M": "routes of MPLS are not recorded", "-B": "forwarding tables of bridges are not recorded", "-V": "netsql version", "--force": "a recording changes nothing", "-l": "netsql has no loops to limit",
			"--rcvbuf": "a recording is read without netlink",
		},
	}
}

// ipRewrite makes long options of those of ip, which have one dash, any length that tells them apart, and stand before the object.
func ipRewrite(words []string) []string {
	var out []string
	options := []struct{ long, as string }{ // in the order of ip.c: the first that begins so
		{"loops", "-l"}, {"family", "-f"}, {"human", ""}, {"stats", "-s"}, {"statistics", "-s"}, {"details", "-d"}, {"resolve", "--resolve"}, {"oneline", "-o"}, {"timestamp", "-t"},
		{"tshort", "--tshort"}, {"Version", "-V"}, {"force", "--force"}, {"batch", "-b"}, {"brief", "--brief"}, {"json", "-j"}, {"pretty", "-p"}, {"rcvbuf", "--rcvbuf"},
		{"color", "--color"}, {"help", "--help"}, {"netns", "--netns"}, {"Numeric", "-N"}, {"all", "-a"},
	}
	bare := !slices.ContainsFunc(words, func(w string) bool { return !strings.HasPrefix(w, "-") })
	for i := 0; i < len(words); i++ {
		word := words[i]
		name, isOption := strings.CutPrefix(word, "-")
		switch {
		case word == "--":
			return append(out, words[i:]...)
		case !isOption || name == "" || strings.HasPrefix(name, "-"):
			out = append(out, word)
			continue
		case name == "h" && bare:
			out = append(out, "--help")
			continue
		case strings.HasPrefix(name, "color="), strings.HasPrefix(name, "c="):
			continue
		}
		found := slices.IndexFunc(options, func(o struct{ long, as string }) bool { return strings.HasPrefix(o.long, name) && len(name) > 0 })
		switch {
		case len(name) == 1 && strings.Contains("460BM", name), found < 0:
			out = append(out, word)
		case options[found].as == "": // sizes in units, which nothing here has
		default:
			out = append(out, options[found].as)
		}
	}
	return out
}

// ipObject is one of the things that ip knows.
type ipObject struct {
	name  string
	print func(o *ipOut, words []string) error
	// instead says what to ask where it is not replayed.
	instead string
}

// ipObjectOf is the object that a word means; nil: none.
func ipObjectOf(word string) *ipObject {
	for i := range ipObjects {
		if strings.HasPrefix(ipObjects[i].name, word) {
			return &ipObjects[i]
		}
	}
	return nil
}

// ipObjects are in the order of ip.c: of several that begin alike, the first is meant.
var ipObjects = []ipObject{
	{name: "address", print: (*ipOut).addresses}, {name: "addrlabel", instead: "labels of addresses are not recorded"},
	{name: "maddress", print: (*ipOut).groups}, {name: "route", print: (*ipOut).routes}, {name: "rule", print: (*ipOut).rules},
	{name: "neighbor", print: (*ipOut).neighbors}, {name: "neighbour", print: (*ipOut).neighbors},
	{name: "ntable", instead: "SELECT name, value FROM settings_now WHERE name LIKE '%neigh%' has the sizes of the tables of neighbours"},
	{name: "link", print: (*ipOut).links}, {name: "l2tp", instead: "sessions of L2TP are not recorded"},
	{name: "fou", instead: "ports of FOU are not recorded"}, {name: "ila", instead: "it is not recorded"}, {name: "macsec", instead: "it is not recorded"},
	{name: "tunnel", instead: "SELECT name, type, tunnel FROM interfaces_now WHERE tunnel IS NOT NULL has the tunnels"}, {name: "tuntap", instead: "netsql ip link show type tun"},
	{name: "tap", instead: "netsql ip link show type tun"}, {name: "token", instead: "tokens of IPv6 are not recorded"},
	{name: "tcpmetrics", instead: "what TCP has learnt of hosts is not recorded"}, {name: "tcp_metrics", instead: "what TCP has learnt of hosts is not recorded"},
	{name: "monitor", print: (*ipOut).monitor},
	{name: "xfrm", instead: "SELECT * FROM xfrm_states_now or xfrm_policies_now, where they are recorded: netsql tables lists them"},
	{name: "mroute", instead: "multicast routes are not recorded"}, {name: "mrule", instead: "rules of multicast are not recorded"},
	{name: "netns", print: (*ipOut).namespaces}, {name: "netconf", instead: "SELECT name, value FROM settings_now WHERE name LIKE 'net.ipv_.conf.%' has the settings"},
	{name: "vrf", instead: "SELECT name, vrf_table FROM interfaces_now WHERE vrf_table IS NOT NULL has the VRFs"}, {name: "sr", instead: "it is not recorded"},
	{name: "nexthop", print: (*ipOut).nextHops}, {name: "mptcp", instead: "end points of MPTCP are not recorded"}, {name: "ioam", instead: "it is not recorded"},
	{name: "stats", instead: "netsql ip -s link has the counters"},
}

func (o ipOptions) print(ctx context.Context, m *Moment, words []string, w io.Writer) error {
	if len(words) == 0 {
		return usagef("ip of what? One of addr, link, route, neigh, rule, nexthop, maddr, netns and monitor")
	}
	object := ipObjectOf(words[0])
	switch {
	case object == nil:
		return usagef("ip has no object %q: one of addr, link, route, neigh, rule, nexthop, maddr, netns and monitor", words[0])
	case object.print == nil:
		return &UnknownOptionError{Tool: "ip", Option: object.name, Instead: object.instead}
	case o.packet && !slices.Contains([]string{"address", "maddress", "link", "netns", "monitor"}, object.name):
		return &UnknownOptionError{Tool: "ip", Option: "-0 " + object.name, Instead: "it is the family of links; leave out -0"}
	}
	out := &ipOut{ipOptions: o, ctx: ctx, m: m, newline: "\n"}
	if o.oneline {
		out.newline = "\\"
	}
	if out.json {
		out.open("", '[')
	}
	if err := object.print(out, words[1:]); err != nil {
		return err
	}
	text := out.buf.Bytes()
	if out.json {
		out.close(']')
		text = append(out.buf.Bytes(), '\n')
		if o.pretty {
			var indented bytes.Buffer
			if err := json.Indent(&indented, text, "", "    "); err != nil {
				return err
			}
			text = indented.Bytes()
		}
	}
	_, err := w.Write(text)
	return err
}

// shown takes the command off the words, and refuses those that change something.
func (o *ipOut) shown(object, changes string, words []string, more ...string) (command string, rest []string, err error) {
	if len(words) == 0 {
		return "show", nil, nil
	}
	commands := append([]string{"add", "append", "change", "chg", "replace", "prepend", "test", "delete", "del", "set", "flush", "save", "restore", "showdump", "get", "show", "list", "lst", "ls", "help"}, more...)
	switch word := words[0]; {
	case object == "link" && word == "s": // which is set
		return "", nil, &UnknownOptionError{Tool: "ip", Option: "link s", Instead: "it sets something; netsql ip link sh shows what was there"}
	case slices.Contains(more, word):
		return word, words[1:], nil
	case strings.HasPrefix("show", word), strings.HasPrefix("list", word), word == "lst", word == "ls":
		return "show", words[1:], nil
	case slices.ContainsFunc(more, func(c string) bool { return strings.HasPrefix(c, word) }):
		return more[slices.IndexFunc(more, func(c string) bool { return strings.HasPrefix(c, word) })], words[1:], nil
	case slices.ContainsFunc(commands, func(c string) bool { return strings.HasPrefix(c, word) }):
		return "", nil, &UnknownOptionError{Tool: "ip", Option: object + " " + word, Instead: "netsql ip " + object + " shows what was there, and SELECT * FROM " + changes + " when it changed"}
	}
	return "", nil, usagef("ip %s has no command %q: netsql ip %[1]s show prints what was there", object, words[0])
}

// An ipOut writes text or JSON, as iproute2 does from one description (lib/json_print.c).
type ipOut struct {
	ipOptions
	ctx     context.Context
	m       *Moment
	newline string
	ofIPv6  bool // of links what IPv6 knows of them (inet6_fill_ifinfo)
	buf     bytes.Buffer
	more    []bool // in each object or list that is open: something stands before
}

// text writes what is not in JSON.
func (o *ipOut) text(format string, args ...any) {
	if !o.json {
		fmt.Fprintf(&o.buf, format, args...)
	}
}

// value writes what is in JSON only.
func (o *ipOut) value(key string, value any) {
	if !o.json {
		return
	}
	o.key(key)
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		panic(err) // the values are texts, numbers and lists of them
	}
	o.buf.Write(bytes.TrimSuffix(text.Bytes(), []byte{'\n'}))
}

// put writes a value to either.
func (o *ipOut) put(key, format string, value any) {
	o.text(format, value)
	o.value(key, value)
}

// some writes a text that may be missing.
func (o *ipOut) some(key, format, value string) {
	if value != "" {
		o.put(key, format, value)
	}
}

func (o *ipOut) key(key string) {
	if n := len(o.more); n > 0 {
		if o.more[n-1] {
			o.buf.WriteByte(',')
		}
		o.more[n-1] = true
	}
	if key != "" {
		fmt.Fprintf(&o.buf, "%q:", key)
	}
}

func (o *ipOut) open(key string, bracket byte) {
	if o.json {
		o.key(key)
		o.buf.WriteByte(bracket)
		o.more = append(o.more, false)
	}
}

func (o *ipOut) close(bracket byte) {
	if o.json {
		o.buf.WriteByte(bracket)
		o.more = o.more[:len(o.more)-1]
	}
}

// wants tells whether a family of addresses is asked for.
func (o *ipOut) wants(family int64) bool {
	return !o.four && !o.six || family == 4 && o.four || family == 6 && o.six
}

// prefix reads a prefix or an address of the family that is asked for.
func (o *ipOut) prefix(text string) (netip.Prefix, error) {
	p, err := ipPrefix(text)
	if o.packet {
		return p, usagef("%q is no address of a link: leave out -0", text)
	}
	if err == nil && (o.four && p.Addr().Is6() || o.six && p.Addr().Is4()) {
		return p, usagef("%q is of the other family: leave out %s", text, map[bool]string{true: "-4", false: "-6"}[o.four])
	}
	return p, err
}

// An ipWords are the words of a command, of which each may be followed by a value.
type ipWords struct {
	object string
	left   []string
}

func (w *ipWords) next() (word string, ok bool) {
	if len(w.left) == 0 {
		return "", false
	}
	word, w.left = w.left[0], w.left[1:]
	return word, true
}

func (w *ipWords) after(word string) (string, error) {
	value, ok := w.next()
	if !ok {
		return "", usagef("ip %s: %s is followed by what it is", w.object, word)
	}
	return value, nil
}
