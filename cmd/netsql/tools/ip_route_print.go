package tools

import (
	"cmp"
	"database/sql"
	"slices"
	"strconv"
	"strings"
)

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
	if got != nil {
		f.iif = got.iif
	}
	o.some("iif", "iif %s ", f.iif)
	if e.Family == 6 {
		o.put("pref", "pref %s", cmp.Or(e.Pref, "medium"))
	}
	if o.details && e.NHID.Valid && got == nil {
		if object, ok := f.objects[e.NHID.Int64]; ok {
			o.text("\n\tnh_info ") // with -o as well
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
