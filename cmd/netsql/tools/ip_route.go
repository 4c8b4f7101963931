package tools

import (
	"cmp"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// An ipRoute is a recorded route, those of IPv6 that share the traffic together.
type ipRoute struct {
	Family    int64         `col:"family"`
	TableID   int64         `col:"table_id"`
	Dst       string        `col:"dst"`
	SrcNet    string        `col:"src_net"`
	TOS       int64         `col:"coalesce(tos, 0)"`
	Metric    int64         `col:"coalesce(metric, 0)"`
	Dev       string        `col:"dev"`
	Nth       int64         `col:"nth"`
	TableName string        `col:"table_name"`
	Gateway   string        `col:"gateway"`
	Src       string        `col:"src"`
	Protocol  string        `col:"protocol"`
	Scope     string        `col:"scope"`
	Type      string        `col:"type"`
	Flags     string        `col:"flags"`
	MTU       sql.NullInt64 `col:"mtu"`
	Window    sql.NullInt64 `col:"window"`
	RTT       sql.NullInt64 `col:"irtt_ms"`
	NextHops  string        `col:"nexthops"`
	Weight    int64         `col:"coalesce(weight, 1)"`
	NHID      sql.NullInt64 `col:"nhid"`
	Encap     string        `col:"encap"`
	Realm     string        `col:"realm"`
	Pref      string        `col:"pref"`
	Locked    string        `col:"locked"`
	AdvMSS    sql.NullInt64 `col:"advmss"`
	HopLimit  sql.NullInt64 `col:"hoplimit"`
	InitCwnd  sql.NullInt64 `col:"initcwnd"`
	InitRwnd  sql.NullInt64 `col:"initrwnd"`
	RTOMin    sql.NullInt64 `col:"rto_min_ms"`
	QuickAck  sql.NullInt64 `col:"quickack"`
	CC        string        `col:"congestion"`
	Others    string        `col:"metrics"`
	Expires   sql.NullInt64 `col:"CAST(round(expires - ts) AS INT)"`
}

// An ipHop is one of the next hops of a route.
type ipHop struct {
	Gateway, Dev, Encap string
	Weight              int64
	Flags               []string
}

func (h *ipHop) has(flag string) bool { return slices.Contains(h.Flags, flag) }

func (r *ipRoute) has(flag string) bool { return slices.Contains(strings.Split(r.Flags, ","), flag) }

// hops are the next hops of a route: the words of each are via GATEWAY dev NAME weight N FLAGS encap ….
func (r *ipRoute) hopsOf() []ipHop {
	if r.NextHops == "" {
		if r.Gateway == "" && r.Dev == "" {
			return nil
		}
		return []ipHop{{Gateway: r.Gateway, Dev: r.Dev, Encap: r.Encap, Weight: r.Weight, Flags: strings.FieldsFunc(r.Flags, func(c rune) bool { return c == ',' })}}
	}
	var hops []ipHop
	for text := range strings.SplitSeq(r.NextHops, "; ") {
		hop := ipHop{Weight: 1}
		before, encap, _ := strings.Cut(text, " encap ")
		hop.Encap = encap
		words := strings.Fields(before)
		for i := 0; i < len(words); i++ {
			switch word := words[i]; {
			case i+1 < len(words) && word == "via":
				i++
				hop.Gateway = words[i]
			case i+1 < len(words) && word == "dev":
				i++
				hop.Dev = words[i]
			case i+1 < len(words) && word == "weight":
				i++
				hop.Weight, _ = strconv.ParseInt(words[i], 10, 64)
			default:
				hop.Flags = append(hop.Flags, word)
			}
		}
		hops = append(hops, hop)
	}
	return hops
}

// A fibEntry is a route with its next hops.
type fibEntry struct {
	ipRoute
	dst, src netip.Prefix
	hops     []ipHop
}

// sharing tells whether the kernel shares the traffic of an IPv6 route with others of the same prefix and metric (rt6_qualify_for_ecmp).
func (r *ipRoute) sharing() bool {
	return r.Family == 6 && r.Gateway != "" && !r.NHID.Valid && r.NextHops == "" && (r.Protocol != "ra" || !r.Expires.Valid && r.Weight > 1)
}

// fib reads the routes of a family.
func (o *ipOut) fib(family int64) ([]fibEntry, error) {
	rows, err := here[ipRoute](o.ctx, o.m, "routes", fmt.Sprintf("AND family = %d", family))
	if err != nil {
		return nil, err
	}
	type key struct {
		table, metric int64
		dst, src      string
	}
	siblings := map[key]int{}
	var entries []fibEntry
	for _, r := range rows {
		e := fibEntry{ipRoute: r, hops: r.hopsOf()}
		if e.dst, err = netip.ParsePrefix(r.Dst); err != nil {
			return nil, fmt.Errorf("route to %q: %w", r.Dst, err)
		}
		if r.SrcNet != "" {
			if e.src, err = netip.ParsePrefix(r.SrcNet); err != nil {
				return nil, fmt.Errorf("route from %q: %w", r.SrcNet, err)
			}
		}
		if r.sharing() {
			k := key{r.TableID, r.Metric, r.Dst, r.SrcNet}
			if i, ok := siblings[k]; ok {
				entries[i].hops = append(entries[i].hops, e.hops...)
				continue
			}
			siblings[k] = len(entries)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// The numbers behind the names, for -N (linux/rtnetlink.h and the files of iproute2).
var (
	scopeNumbers    = map[string]int64{"global": 0, "nowhere": 255, "host": 254, "link": 253, "site": 200}
	protocolNumbers = map[string]int64{
		"unspec": 0, "redirect": 1, "kernel": 2, "boot": 3, "static": 4, "gated": 8, "ra": 9, "mrt": 10, "zebra": 11, "bird": 12, "dnrouted": 13, "xorp": 14, "ntk": 15, "dhcp": 16,
		"mrouted": 17, "keepalived": 18, "babel": 42, "openr": 99, "bgp": 186, "isis": 187, "ospf": 188, "rip": 189, "eigrp": 192,
	}
	typeNumbers = map[string]int64{"unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8, "throw": 9, "nat": 10}
)

func (o *ipOut) number(of map[string]int64, name string) string {
	if n, ok := of[name]; o.numeric && ok {
		return strconv.FormatInt(n, 10)
	}
	return name
}

func (o *ipOut) tableName(id int64, name string) string {
	if o.numeric || name == "" {
		return strconv.FormatInt(id, 10)
	}
	return name
}

// A routeFilter is what ip route show is asked for (ip/iproute.c). What it fixes is not printed.
type routeFilter struct {
	table                string // "": main; all
	tableID              int64
	dev, protocol, scope string
	kind, via, src, vrf  string
	root, match          netip.Prefix
	from                 netip.Prefix
	metric, tos          string
	cloned               bool
	objects              map[int64]ipNextHop // for -d
}

func (o *ipOut) routes(words []string) error {
	command, words, err := o.shown("route", "route_changes", words, "get")
	if err != nil {
		return err
	}
	if command == "get" {
		return o.routeGet(words)
	}
	var f routeFilter
	w := ipWords{"route", words}
	for {
		word, ok := w.next()
		if !ok {
			break
		}
		switch {
		case word == "table":
			f.table, err = w.after(word)
		case word == "vrf":
			f.vrf, err = w.after(word)
		case word == "cached" || word == "cloned" || word == "cache":
			f.cloned = true
		case word == "dev", word == "oif", word == "iif":
			f.dev, err = w.after(word)
		case len(word) >= 2 && strings.HasPrefix("protocol", word), word == "proto":
			f.protocol, err = w.after(word)
		case word == "scope":
			f.scope, err = w.after(word)
		case word == "type":
			f.kind, err = w.after(word)
		case word == "via":
			switch f.via, err = w.after(word); {
			case err != nil:
			case f.via == "inet" || f.via == "inet6":
				f.via, err = w.after(word)
			default:
				_, err = o.prefix(f.via)
			}
		case word == "src":
			if f.src, err = w.after(word); err == nil {
				_, err = o.prefix(f.src)
			}
		case word == "tos", word == "dsfield":
			f.tos, err = w.after(word)
		case word == "metric", word == "priority", word == "preference":
			f.metric, err = w.after(word)
		case word == "from":
			if word, err = w.after(word); err == nil {
				if word == "root" || word == "match" || word == "exact" {
					return usagef("ip route show from %s is not replayed: ask for from PREFIX, which is from root PREFIX", word)
				}
				f.from, err = o.routePrefix(word)
			}
		case word == "realms", word == "realm", word == "mark":
			return &UnknownOptionError{Tool: "ip", Option: "route show " + word, Instead: "SELECT * FROM routes_now WHERE realm = …"}
		case word == "get":
			return usagef("write netsql ip route get ADDRESS")
		default:
			how := "exact"
			if word == "to" {
				if word, err = w.after(word); err != nil {
					return err
				}
			}
			if word == "root" || word == "match" || word == "exact" {
				how = word
				if word, err = w.after(word); err != nil {
					return err
				}
			}
			var p netip.Prefix
			if p, err = o.routePrefix(word); err != nil {
				break
			}
			if how != "match" {
				f.root = p
			}
			if how != "root" {
				f.match = p
			}
		}
		if err != nil {
			return err
		}
	}
	if f.vrf != "" {
		links, _, err := o.linksOf(ipFilter{dev: f.vrf})
		if err != nil {
			return err
		}
		if len(links) == 0 || !links[0].VRFTable.Valid {
			return usagef("%s is no VRF at that moment: SELECT name, vrf_table FROM interfaces_now WHERE vrf_table IS NOT NULL lists them", f.vrf)
		}
		f.table = strconv.FormatInt(links[0].VRFTable.Int64, 10)
	}
	if f.dev != "" {
		if _, _, err := o.linksOf(ipFilter{dev: f.dev}); err != nil {
			return err
		}
	}
	families := []int64{4}
	switch {
	case o.four:
	case o.six:
		families = []int64{6}
	case f.table == "all" || f.table == "0":
		families = []int64{4, 6}
	}
	if f.cloned || f.table == "cache" {
		return nil // Linux has no cache of routes since 3.6, and what is learnt of paths is shown nowhere here
	}
	if o.details {
		objects, err := here[ipNextHop](o.ctx, o.m, "nexthops", "")
		if err != nil {
			return err
		}
		f.objects = map[int64]ipNextHop{}
		for _, n := range objects {
			f.objects[n.ID] = n
		}
	}
	for _, family := range families {
		entries, err := o.fib(family)
		if err != nil {
			return err
		}
		if f.table != "" && f.table != "all" {
			if err := f.findTable(entries); err != nil {
				return err
			}
		}
		for i := range entries {
			e := &entries[i]
			if f.takes(o, e) {
				o.open("", '{')
				o.route(e, f, nil)
				o.close('}')
			}
		}
	}
	return nil
}

func (o *ipOut) routePrefix(text string) (netip.Prefix, error) {
	if text == "default" || text == "all" || text == "any" {
		if o.six {
			return netip.MustParsePrefix("::/0"), nil
		}
		return netip.MustParsePrefix("0.0.0.0/0"), nil
	}
	return o.prefix(text)
}

// findTable reads the number of a table, or a name that a table of the recording has.
func (f *routeFilter) findTable(entries []fibEntry) error {
	n, err := strconv.ParseInt(f.table, 0, 64)
	if err == nil {
		f.tableID = n
		return nil
	}
	if n, ok := map[string]int64{"main": 254, "local": 255, "default": 253}[f.table]; ok {
		f.tableID = n
		return nil
	}
	for i := range entries {
		if entries[i].TableName == f.table {
			f.tableID = entries[i].TableID
			return nil
		}
	}
	return usagef("no table %q at that moment: SELECT DISTINCT table_id, table_name FROM routes_now lists them", f.table)
}

func (f *routeFilter) takes(o *ipOut, e *fibEntry) bool {
	if f.table == "" && e.TableID != 254 || f.table != "" && f.table != "all" && f.tableID != 0 && e.TableID != f.tableID {
		return false
	}
	if f.dev != "" && !(len(e.hops) == 1 && e.hops[0].Dev == f.dev) {
		return false
	}
	if f.protocol != "" && e.Protocol != f.protocol && f.protocol != fmt.Sprint(protocolNumbers[e.Protocol]) ||
		f.scope != "" && f.scope != "all" && e.Scope != f.scope && f.scope != fmt.Sprint(scopeNumbers[e.Scope]) ||
		f.kind != "" && e.Type != f.kind && f.kind != fmt.Sprint(typeNumbers[e.Type]) ||
		f.metric != "" && fmt.Sprint(e.Metric) != f.metric ||
		f.tos != "" && f.tos != fmt.Sprintf("0x%x", e.TOS) && f.tos != fmt.Sprintf("0x%02x", e.TOS) && f.tos != fmt.Sprint(e.TOS) ||
		f.src != "" && e.Src != f.src {
		return false
	}
	if f.via != "" && !(len(e.hops) == 1 && e.hops[0].Gateway == f.via) {
		return false
	}
	if f.root.IsValid() && !(e.dst.Addr().Is4() == f.root.Addr().Is4() && e.dst.Bits() >= f.root.Bits() && f.root.Masked().Contains(e.dst.Addr())) {
		return false
	}
	if f.match.IsValid() && !(e.dst.Addr().Is4() == f.match.Addr().Is4() && e.dst.Bits() <= f.match.Bits() && e.dst.Contains(f.match.Addr())) {
		return false
	}
	if f.from.IsValid() && e.src != f.from.Masked() {
		return false
	}
	return true
}

// A gotRoute is what is printed of a route that ip route get found.
type gotRoute struct {
	dst, from, src, iif string
	mark                uint64
	kind                string   // of the packet
	cache               []string // flags of IPv4
	hop                 *ipHop
	weight              int64 // of one of several next hops; 0: the only one
	table               int64
	tableName           string
}

// route prints a route as print_route does (ip/iproute.c). got is the way of a packet by it.
func (o *ipOut) route(e *fibEntry, f routeFilter, got *gotRoute) {
	kind := e.Type
	if got != nil {
		kind = got.kind
	}
	if kind != "unicast" || o.details {
		o.put("type", "%s ", o.number(typeNumbers, kind))
	}
	dst := e.dst.String()
	switch {
	case got != nil:
		dst = got.dst
	case e.dst.Bits() == 0:
		dst = "default"
	case e.dst.IsSingleIP():
		dst = e.dst.Addr().String()
	}
	o.put("dst", "%s ", dst)
	if got != nil {
		o.some("from", "from %s ", got.from)
	} else if e.src.IsValid() {
		src := e.src.String()
		if e.src.IsSingleIP() {
			src = e.src.Addr().String()
		}
		o.put("from", "from %s ", src)
	}
	single := len(e.hops) == 1
	var hop ipHop
	switch {
	case got != nil && got.hop != nil:
		hop, single = *got.hop, true
	case single:
		hop = e.hops[0]
	}
	if single {
		o.some("encap", " encap %s ", hop.Encap)
	}
	if e.TOS != 0 && f.tos == "" {
		o.put("tos", "tos %s ", o.tos(e.TOS))
	}
	if e.NHID.Valid && got == nil {
		o.put("nhid", "nhid %d ", e.NHID.Int64)
	}
	if single {
		if hop.Gateway != "" && hop.Gateway != f.via {
			o.via(e.Family, hop.Gateway)
		}
		if hop.Dev != "" && f.dev == "" {
			o.put("dev", "dev %s ", hop.Dev)
		}
	}
	table, name := e.TableID, e.TableName
	if got != nil {
		table, name = got.table, got.tableName
	}
	if table != 0 && (table != 254 || o.details) && (f.table == "all" || got != nil) {
		o.put("table", "table %s ", o.tableName(table, name))
	}
	cloned := got != nil && e.Family == 4
	if !cloned {
		if (e.Protocol != "boot" || o.details) && e.Protocol != "" && f.protocol == "" {
			o.put("protocol", "proto %s ", o.number(protocolNumbers, e.Protocol))
		}
		if (e.Scope != "global" || o.details) && e.Scope != "" && f.scope == "" {
			o.put("scope", "scope %s ", o.number(scopeNumbers, e.Scope))
		}
	}
	switch {
	case got != nil:
		o.some("prefsrc", "src %s ", got.src)
	case f.src == "":
		o.some("prefsrc", "src %s ", e.Src)
	}
	if (e.Metric != 0 || e.Family == 6) && !cloned && f.metric == "" {
		o.put("metric", "metric %d ", e.Metric)
	}
	var flags []string
	if single {
		flags = hop.Flags
	} else {
		flags = strings.FieldsFunc(e.Flags, func(c rune) bool { return c == ',' })
	}
	if got != nil {
		flags = nil // of a look-up they are those of the packet, of which this one has the number of the one for multicast
		if cloned && kind == "multicast" {
			flags = []string{"rt_offload_failed"}
		}
	}
	o.flags(flags)
	if got != nil && got.mark != 0 {
		format := "mark %d "
		if got.mark >= 16 {
			format = "mark 0x%x "
		}
		o.put("mark", format, got.mark)
	}
	if got != nil && got.weight > 0 {
		o.put("weight", "weight %d ", got.weight)
	}
	if e.Realm != "" && (got == nil || e.Family == 4 && got.iif == "") { // of what comes in, the way back has a part in it
		o.realm(e.Realm)
	}
	if cloned {
		o.text("%s    cache ", o.newline)
		if len(got.cache) > 0 {
			o.text("<%s> ", strings.Join(got.cache, ","))
		}
		o.value("cache", append([]string{}, got.cache...))
	}
	if e.Family == 6 && e.Expires.Valid && got == nil {
		o.put("expires", "expires %dsec ", max(0, e.Expires.Int64))
	}
	o.metrics(&e.ipRoute)
	if got != nil && got.iif != "" {
		o.put("iif", "iif %s ", got.iif)
	}
	if e.Family == 6 {
		o.put("pref", "pref %s", cmp.Or(e.Pref, "medium"))
	}
	if o.details && e.NHID.Valid && got == nil {
		if object, ok := f.objects[e.NHID.Int64]; ok {
			o.text("%s\tnh_info ", o.newline)
			o.open("nh_info", '{')
			o.nextHop(&object)
			o.close('}')
		}
	}
	if !single && len(e.hops) > 0 {
		o.open("nexthops", '[')
		for i := range e.hops {
			h := &e.hops[i]
			o.open("", '{')
			o.text("%s\tnexthop ", o.newline)
			o.some("encap", " encap %s ", h.Encap)
			if h.Gateway != "" {
				o.via(e.Family, h.Gateway)
			}
			o.some("dev", "dev %s ", h.Dev)
			o.put("weight", "weight %d ", h.Weight)
			o.flags(h.Flags)
			o.close('}')
		}
		o.close(']')
	}
	o.text("\n")
}

// via names the family of a gateway that is not that of the route.
func (o *ipOut) via(family int64, gateway string) {
	other := "inet6"
	if strings.Contains(gateway, ":") == (family == 6) {
		o.put("gateway", "via %s ", gateway)
		return
	}
	if family == 6 {
		other = "inet"
	}
	o.text("via %s %s ", other, gateway)
	o.value("via", map[string]string{"family": other, "host": gateway})
}

func (o *ipOut) flags(flags []string) {
	shown := []string{}
	for _, flag := range []string{"dead", "onlink", "pervasive", "offload", "trap", "notify", "linkdown", "unresolved", "rt_offload", "rt_trap", "rt_offload_failed"} {
		if slices.Contains(flags, flag) {
			o.text("%s ", flag)
			shown = append(shown, flag)
		}
	}
	o.value("flags", shown)
}

func (o *ipOut) realm(realm string) {
	from, to, two := strings.Cut(realm, "/")
	if !two {
		from, to = "", realm
	}
	plural := ""
	if two {
		plural = "s"
	}
	o.text("realm%s ", plural)
	o.open("flow", '{')
	if two {
		o.put("from", "%s/", from)
	}
	o.put("to", "%s ", to)
	o.close('}')
}

// metrics are in the order of the kernel's numbers.
func (o *ipOut) metrics(r *ipRoute) {
	others := map[string]int64{}
	words := strings.Fields(r.Others)
	for i := 0; i+1 < len(words); i += 2 {
		others[words[i]], _ = strconv.ParseInt(words[i+1], 10, 64)
	}
	other := func(name string) sql.NullInt64 {
		n, ok := others[name]
		return sql.NullInt64{Int64: n, Valid: ok}
	}
	opened := false
	for _, m := range []struct {
		name  string
		value sql.NullInt64
	}{
		{"mtu", r.MTU}, {"window", r.Window}, {"rtt", r.RTT}, {"rttvar", other("rttvar")}, {"ssthresh", other("ssthresh")}, {"cwnd", other("cwnd")}, {"advmss", r.AdvMSS},
		{"reordering", other("reordering")}, {"hoplimit", r.HopLimit}, {"initcwnd", r.InitCwnd}, {"features", other("features")}, {"rto_min", r.RTOMin}, {"initrwnd", r.InitRwnd},
		{"quickack", r.QuickAck}, {"congctl", sql.NullInt64{Valid: r.CC != ""}}, {"fastopen_no_cookie", other("fastopen_no_cookie")},
	} {
		if !m.value.Valid {
			continue
		}
		if !opened {
			o.open("metrics", '[')
			o.open("", '{')
			opened = true
		}
		n := m.value.Int64
		if m.name != "features" {
			o.text("%s ", m.name)
		}
		if slices.Contains(strings.Split(r.Locked, ","), m.name) {
			o.text("lock ")
		}
		switch m.name {
		case "congctl":
			o.put("congestion", "%s ", r.CC)
		case "features":
			o.text("features ")
			if n&1 != 0 {
				o.text("ecn ")
				o.value("ecn", nil)
			}
			if n&^1 != 0 {
				o.put("features", "0x%x ", n)
			}
		case "rtt", "rto_min", "rttvar":
			if m.name == "rttvar" {
				n /= 4
			}
			if n >= 1000 {
				o.text("%gs ", float64(n)/1000)
			} else {
				o.text("%dms ", n)
			}
			o.value(m.name, n)
		default:
			if m.name == "hoplimit" && (n == -1 || n == 1<<32-1) {
				n = 0
			}
			o.put(m.name, "%d ", n)
		}
	}
	if opened {
		o.close('}')
		o.close(']')
	}
}
