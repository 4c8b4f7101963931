package tools

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Which way a packet would have gone: ip route get, answered from what was recorded.
//
// The steps are those of the kernel, in its order.
//
// IPv4 (net/ipv4/route.c: ip_route_output_key_hash_rcu, ip_route_input_slow):
//  1. Addresses that need no look-up, or that no packet may have: 0.0.0.0, 255.255.255.255 and multicast with an interface, a source that is not ours.
//  2. Rules by their priority (net/core/fib_rules.c, net/ipv4/fib_rules.c). A rule matches by iif, oif, mark, tunnel key, user, source, destination,
//     TOS, protocol and ports, and "not" turns that round. goto jumps, nop does nothing, blackhole, unreachable and prohibit end the search. With the
//     rules that the kernel begins with, the tables local and main are one tree (fib_lookup in include/net/ip_fib.h).
//  3. In a table (fib_table_lookup of net/ipv4/fib_trie.c) the longest prefix, then the highest TOS, then the lowest metric. A route is passed over
//     for another TOS, and where no hop of it is alive and leaves by oif. blackhole, unreachable and prohibit end the search with their error; throw
//     goes on with the next rule, as a table without a route does. So does a route that suppress_prefixlength passes over.
//  4. With oif and no route, the destination is taken to be on the link of oif.
//  5. Of several next hops one is chosen by a hash, which is not worked out: all are printed, each as the answer that it would have been.
//  6. A packet that came in (iif) must be forwarded or ours, and its source must pass rp_filter (fib_validate_source of net/ipv4/fib_frontend.c).
//
// IPv6 (net/ipv6/route.c: ip6_pol_route, rt6_select; net/ipv6/fib6_rules.c): the rules as above. In a table the longest prefix of the destination, then
// of the source. There the lowest metric first; a route scores by its interface and by the preference of its router, and one whose router did not answer
// is passed over at first where this machine does not forward. A prefix all of whose routes are passed over gives way to the next shorter one.
//
// The source address is that of the route, or the kernel's choice (inet_select_addr; RFC 6724 of net/ipv6/addrconf.c). Where that depends on the order in
// which addresses were set, which is not recorded, none is printed.

// A flow is the packet that is asked for.
type flow struct {
	dst, src     netip.Addr // src is the zero value where none is given
	iif, oif     string
	mark         uint32
	tos          int64
	uid          int64
	proto        int64
	sport, dport int64
	input        bool // it came in by iif
	byUser       bool // uid is given; else it is root who asks
	fibmatch     bool // the route is asked for, and not the way by it
}

// A fibError is what the kernel answers in place of a route.
type fibError string

const (
	errUnreachable fibError = "Network is unreachable"    // ENETUNREACH
	errNoRoute     fibError = "No route to host"          // EHOSTUNREACH
	errProhibited  fibError = "Permission denied"         // EACCES
	errInvalid     fibError = "Invalid argument"          // EINVAL
	errCrossDevice fibError = "Invalid cross-device link" // EXDEV: rp_filter
	errAgain       fibError = "again"                     // EAGAIN: the next rule
)

func (f *flow) family() int64 {
	if f.dst.Is6() {
		return 6
	}
	return 4
}

// typeErrors are what the types of routes and rules answer; "" is none.
var typeErrors = map[string]fibError{"blackhole": errInvalid, "unreachable": errNoRoute, "prohibit": errProhibited, "throw": errAgain}

// ruleErrors are what the actions of rules answer.
var ruleErrors = map[string]fibError{"blackhole": errInvalid, "unreachable": errUnreachable, "prohibit": errProhibited}

// A fibResult is what a look-up found: of a route those of its hops that may be taken.
type fibResult struct {
	entry *fibEntry
	hops  []ipHop
	table int64
}

// A fib is all that a look-up in a family asks.
type fib struct {
	o         *ipOut
	family    int64
	rules     []ipRule
	entries   []fibEntry
	links     []ipLink
	addresses []ipAddress
	settings  map[string]string
	neighbors []ipNeighbor
	groups    map[string]bool // interface and address
	// plain: the rules are those that the kernel begins with.
	plain bool
	tried []triedRule // by the first search that followed the rules one by one
	// looked: a route was searched for.
	looked bool
}

// A triedRule is a rule with what came of it.
type triedRule struct {
	rule    *ipRule
	outcome string
}

// What comes of a rule.
const (
	forOthers  = "is for other packets"
	noRoute    = "no route to it there"
	suppressed = "a route, which the rule does not take: its prefix is too short"
	hasRoute   = "a route to it"
)

func (o *ipOut) routeGet(words []string) error {
	f, err := o.flowOf(words)
	if err != nil {
		return err
	}
	t, err := o.readFIB(f)
	if err != nil {
		return err
	}
	if err := t.knows(f); err != nil {
		return err
	}
	got, failed, err := t.get(f)
	if err != nil {
		return err
	}
	if f.fibmatch && failed == "" && got[0].matched == nil { // nothing was looked up: an address that needs no route
		failed = errNoRoute
	}
	if failed != "" {
		if o.json {
			o.open("", '{')
			o.value("dst", f.dst.String())
			o.value("error", string(failed))
			o.close('}')
		}
		o.text("RTNETLINK answers: %s\n", failed)
		return nil
	}
	filter := routeFilter{table: "all"}
	if filter.objects, err = o.nextHopObjects(); err != nil {
		return err
	}
	if t.family == 6 {
		filter.iif = f.iif
	}
	shown := map[*fibEntry]bool{}
	for i := range got {
		switch e := got[i].matched; {
		case !f.fibmatch:
			o.open("", '{')
			o.route(got[i].shown(f), routeFilter{}, &got[i].gotRoute)
			o.close('}')
		case !shown[e]:
			shown[e] = true
			o.open("", '{')
			o.route(got[i].route(), filter, nil)
			o.close('}')
		}
	}
	return nil
}

// flowOf reads the words of ip route get (iproute_get of ip/iproute.c).
func (o *ipOut) flowOf(words []string) (f flow, err error) {
	w := ipWords{"route get", words}
	number := func(word string, most int64) (n int64, err error) {
		text, err := w.after(word)
		if err != nil {
			return 0, err
		}
		if n, err = strconv.ParseInt(text, 0, 64); err != nil || n < 0 || n > most {
			return 0, usagef("ip route get: %s %q is no number from 0 to %d", word, text, most)
		}
		return n, nil
	}
	var mark int64
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch word {
		case "from":
			if word, err = w.after(word); err == nil {
				f.src, err = o.oneAddress(word)
			}
		case "iif":
			f.iif, err = w.after(word)
			f.input = true
		case "oif", "dev":
			f.oif, err = w.after(word)
		case "mark":
			mark, err = number(word, 1<<32-1)
		case "tos", "dsfield":
			f.tos, err = number(word, 255)
		case "uid":
			f.uid, err = number(word, 1<<32-2)
			f.byUser = true
		case "sport":
			f.sport, err = number(word, 65535)
		case "dport":
			f.dport, err = number(word, 65535)
		case "ipproto":
			f.proto, err = o.protocolNumber(&w)
		case "fibmatch":
			f.fibmatch = true
		case "vrf":
			return f, &UnknownOptionError{Tool: "ip", Option: "route get vrf", Instead: "netsql ip route show vrf NAME has the table of a VRF"}
		case "connected", "notify":
		default:
			if word == "to" {
				if word, err = w.after(word); err != nil {
					return f, err
				}
			}
			if f.dst.IsValid() {
				return f, usagef("ip route get: one destination, %s or %s", f.dst, word)
			}
			f.dst, err = o.oneAddress(word)
		}
		if err != nil {
			return f, err
		}
	}
	f.mark = uint32(mark)
	switch {
	case !f.dst.IsValid():
		return f, usagef("ip route get: need at least a destination address, such as netsql ip route get 10.9.0.1")
	case f.src.IsValid() && f.src.Is4() != f.dst.Is4():
		return f, usagef("ip route get: %s and %s are of two families", f.dst, f.src)
	case f.src.IsValid() && f.src.IsUnspecified():
		f.src = netip.Addr{}
	}
	if f.proto == 0 && f.dst.Is4() {
		f.proto = 17 // what the kernel makes up a packet of
	}
	f.tos &= 0xfc
	return f, nil
}

func (o *ipOut) protocolNumber(w *ipWords) (int64, error) {
	text, err := w.after("ipproto")
	if err != nil {
		return 0, err
	}
	if n, err := strconv.ParseUint(text, 0, 8); err == nil {
		return int64(n), nil
	}
	o.m.Names.read()
	for number, name := range o.m.Names.protocols {
		if name == text {
			return strconv.ParseInt(number, 10, 64)
		}
	}
	return 0, usagef("ip route get: %q is no protocol: tcp, udp, icmp or a number", text)
}

// oneAddress reads an address; a prefix is taken for its address, as ip does.
func (o *ipOut) oneAddress(text string) (netip.Addr, error) {
	if text == "default" || text == "any" || text == "all" {
		if o.six {
			return netip.IPv6Unspecified(), nil
		}
		return netip.IPv4Unspecified(), nil
	}
	p, err := ipPrefix(text)
	if err != nil {
		return netip.Addr{}, usagef("ip route get: %q is no address: write it as 10.9.0.1 or fd00::1", text)
	}
	switch addr := p.Addr(); {
	case o.four && addr.Is6():
		return addr, usagef("an address of IPv4 is expected with -4, not %q", text)
	case o.six && addr.Is4():
		return addr, usagef("an address of IPv6 is expected with -6, not %q", text)
	default:
		return addr, nil
	}
}

// readFIB reads what a look-up of a packet asks: of routes those to its two addresses, and those of which any changes how its source is looked at.
func (o *ipOut) readFIB(f flow) (*fib, error) {
	family := f.family()
	t := &fib{o: o, family: family, groups: map[string]bool{}}
	var err error
	if t.rules, err = o.rulesOf(family); err != nil {
		return nil, err
	}
	prefixes := append(prefixesOf(f.dst), prefixesOf(f.src)...)
	if t.entries, err = o.fib(family, fmt.Sprintf("AND (dst IN ('%s') OR realm IS NOT NULL OR type = 'local' AND protocol <> 'kernel')", strings.Join(prefixes, "', '"))); err != nil {
		return nil, err
	}
	if _, t.links, err = o.linksOf(ipFilter{}); err != nil {
		return nil, err
	}
	if t.addresses, err = here[ipAddress](o.ctx, o.m, "addresses", fmt.Sprintf("AND family = %d ORDER BY ifindex", family)); err != nil {
		return nil, err
	}
	if t.settings, err = settingsOfLinks(o.ctx, o.m); err != nil {
		return nil, err
	}
	if t.neighbors, err = here[ipNeighbor](o.ctx, o.m, "neighbors", fmt.Sprintf("AND family = %d AND proxy = 0", family)); err != nil {
		return nil, err
	}
	type group struct {
		Dev  string `col:"dev"`
		Addr string `col:"addr"`
	}
	groups, err := here[group](o.ctx, o.m, "multicast_groups", fmt.Sprintf("AND family = %d", family))
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		t.groups[g.Dev+" "+g.Addr] = true
	}
	t.plain = len(t.rules) == 3
	for i, r := range t.rules {
		if family == 6 || i > 2 || r.Priority != []int64{0, 32766, 32767}[i] || r.TableID.Int64 != []int64{255, 254, 253}[i] ||
			r.Src+r.Dst+r.IIF+r.OIF+r.Mark+r.Flags+r.UIDs+r.SPort+r.DPort+r.Other != "" || r.TOS.Valid || r.Proto.Valid || r.Invert || r.TunID.Valid || r.Action != "lookup" || r.Suppress.Valid {
			t.plain = false
		}
	}
	return t, nil
}

// prefixesOf are all networks with an address in them.
func prefixesOf(a netip.Addr) (all []string) {
	for bits := range a.BitLen() + 1 {
		if p, err := a.Prefix(bits); err == nil {
			all = append(all, p.String())
		}
	}
	return all
}

func (t *fib) link(name string) *ipLink {
	i := slices.IndexFunc(t.links, func(l ipLink) bool { return l.Name == name })
	if i < 0 {
		return nil
	}
	return &t.links[i]
}

// knows refuses what a recording cannot answer.
func (t *fib) knows(f flow) error {
	if f.input && f.dst.IsMulticast() && (t.family == 6 || t.setting("mc_forwarding", f.iif) != 0) { // of IPv6 the kernel always asks its multicast routes
		return &UnknownOptionError{Tool: "ip", Option: "route get of a multicast group with iif", Instead: "multicast routes are not recorded; netsql ip maddr has the groups that were joined"}
	}
	for _, name := range []string{f.iif, f.oif} {
		if name == "" {
			continue
		}
		l := t.link(name)
		if l == nil {
			return usagef("no interface %q at that moment: netsql ip -br link lists those that were", name)
		}
		if m := t.link(l.Master); l.Type == "vrf" || m != nil && m.Type == "vrf" {
			return &UnknownOptionError{Tool: "ip", Option: "route get of an interface in a VRF", Instead: "netsql ip route show vrf NAME has the table of a VRF"}
		}
	}
	type source struct {
		Name    string `col:"source"`
		Outcome string `col:"outcome"`
		Error   string `col:"error"`
	}
	unread, err := here[source](t.o.ctx, t.o.m, "sources", "AND source IN ('routes', 'rules', 'nexthops') AND outcome IN ('failed', 'off', 'incomplete')")
	switch {
	case err != nil:
		return err
	case len(unread) > 0:
		return usagef("the %s are not known at that moment (%s: %s): SELECT since, until, detail FROM gaps WHERE source = '%[1]s' tells from when to when", unread[0].Name, unread[0].Outcome, unread[0].Error)
	}
	if len(t.rules) == 0 {
		return usagef("no rules of IPv%d are recorded at that moment: SELECT * FROM sources WHERE source IN ('rules', 'routes') tells why", t.family)
	}
	for _, r := range t.rules {
		if !onlyWholePorts(r.Other) {
			return usagef("the rule with priority %d has a condition that is not known here (%s): netsql ip rule and netsql ip route show table all have what was recorded", r.Priority, r.Other)
		}
		if r.IfGroup.Valid {
			return usagef("the rule with priority %d asks for groups of interfaces, which are not recorded: netsql ip route show table %d has its routes", r.Priority, r.TableID.Int64)
		}
	}
	return nil
}

// onlyWholePorts tells whether conditions without a column are masks of ports that change nothing, as newer kernels tell them of each rule with ports.
func onlyWholePorts(other string) bool {
	for _, condition := range strings.Fields(other) {
		if condition != "sport_mask=0xffff" && condition != "dport_mask=0xffff" {
			return false
		}
	}
	return true
}

// get is the answer for a packet.
func (t *fib) get(f flow) ([]answer, fibError, error) {
	t.tried, t.looked = nil, false
	if t.family == 4 {
		return t.get4(f)
	}
	return t.get6(f)
}

// neighbor is what was known of an address on an interface; nil: nothing.
func (t *fib) neighbor(dev, addr string) *ipNeighbor {
	i := slices.IndexFunc(t.neighbors, func(n ipNeighbor) bool { return n.Dev == dev && n.Addr == addr })
	if i < 0 {
		return nil
	}
	return &t.neighbors[i]
}

// matches is fib_rule_match of net/core/fib_rules.c, with fib4_rule_match or fib6_rule_match.
func (t *fib) matches(r *ipRule, f flow) bool {
	match := func() bool {
		iif := f.iif
		if !f.input {
			iif = "lo"
		}
		if strings.Contains(r.Flags, "detached") || r.IIF != "" && r.IIF != iif || r.OIF != "" && r.OIF != f.oif {
			return false
		}
		if r.Mark != "" {
			text, masked, has := strings.Cut(r.Mark, "/")
			mark, _ := strconv.ParseUint(text, 0, 32)
			mask := uint64(1<<32 - 1)
			if has {
				mask, _ = strconv.ParseUint(masked, 0, 32)
			}
			if (uint64(f.mark)^mark)&mask != 0 {
				return false
			}
		}
		if r.TunID.Valid && r.TunID.Int64 != 0 || r.Table == "l3mdev" && r.Action == "lookup" && !r.TableID.Valid {
			return false
		}
		if r.UIDs != "" {
			from, to, _ := strings.Cut(r.UIDs, "-")
			a, _ := strconv.ParseInt(from, 10, 64)
			b, _ := strconv.ParseInt(cmp.Or(to, from), 10, 64)
			if f.uid < a || f.uid > b {
				return false
			}
		}
		if !inNet(r.Src, f.src) || !inNet(r.Dst, f.dst) {
			return false
		}
		if r.TOS.Valid && r.TOS.Int64 != 0 && r.TOS.Int64&0xfc != f.tos {
			return false
		}
		if r.Proto.Valid && r.Proto.Int64 != f.proto {
			return false
		}
		return inPorts(r.SPort, f.sport) && inPorts(r.DPort, f.dport)
	}
	return match() != r.Invert
}

// inNet tells whether an address is in the network of a rule. No address is in all networks only.
func inNet(text string, addr netip.Addr) bool {
	if text == "" {
		return true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return false
	}
	if !addr.IsValid() { // then the kernel has 0.0.0.0
		return p.Bits() == 0 || p.Addr().Is4() && p.Contains(netip.IPv4Unspecified())
	}
	return p.Contains(addr)
}

func inPorts(text string, port int64) bool {
	if text == "" {
		return true
	}
	from, to, _ := strings.Cut(text, "-")
	a, _ := strconv.ParseInt(from, 10, 64)
	b, _ := strconv.ParseInt(cmp.Or(to, from), 10, 64)
	return port >= a && port <= b
}

// lookup follows the rules (fib_rules_lookup of net/core/fib_rules.c).
func (t *fib) lookup(f flow, in func(table int64, f flow) ([]fibResult, fibError)) ([]fibResult, fibError) {
	t.looked = true
	first := t.tried == nil // the others look for the way back
	tell := func(r *ipRule, outcome string) {
		if first {
			t.tried = append(t.tried, triedRule{r, outcome})
		}
	}
	for i := 0; i < len(t.rules); i++ {
		r := &t.rules[i]
		if !t.matches(r, f) {
			tell(r, forOthers)
			continue
		}
		switch r.Action {
		case "goto": // the rule that is jumped to is tried as any other
			tell(r, "jumps")
			to := slices.IndexFunc(t.rules, func(to ipRule) bool { return r.Goto.Valid && to.Priority == r.Goto.Int64 })
			if to > i && !r.has("unresolved") {
				i = to - 1
			}
			continue
		case "nop":
			tell(r, "does nothing")
			continue
		}
		if failed, ends := ruleErrors[r.Action]; ends {
			tell(r, "ends the search")
			return nil, failed
		}
		found, failed := in(r.TableID.Int64, f)
		if failed == errAgain {
			tell(r, noRoute)
			continue
		}
		if failed == "" && r.Suppress.Valid && int64(found[0].entry.dst.Bits()) <= r.Suppress.Int64 {
			tell(r, suppressed)
			continue
		}
		tell(r, hasRoute)
		for j := range found {
			found[j].table = r.TableID.Int64
		}
		return found, failed
	}
	return nil, errUnreachable
}

// An answer is a way that a packet may take.
type answer struct {
	entry   *fibEntry // nil: no route, but the link
	matched *fibEntry // what was found in a table; nil: no table was asked
	gotRoute
}

// route is the route that was found, in the table that the kernel names, and of the type that the packet has by it.
func (a *answer) route() *fibEntry {
	e := *a.matched
	e.TableID, e.TableName, e.Type = a.table, a.tableName, a.kind
	return &e
}

// shown is what ip prints of the route that was found.
func (a *answer) shown(f flow) *fibEntry {
	if a.entry == nil {
		family := int64(4)
		if f.dst.Is6() {
			family = 6
		}
		return &fibEntry{ipRoute: ipRoute{Family: family}}
	}
	e := *a.entry
	e.hops = nil
	return &e
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
