package tools

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// lookup4 is fib_lookup of include/net/ip_fib.h.
func (t *fib) lookup4(f flow) ([]fibResult, fibError) {
	if !t.plain {
		return t.lookup(f, func(table int64, f flow) ([]fibResult, fibError) { return t.table4(f, table) })
	}
	t.looked = true
	for _, tables := range [][]int64{{254, 255}, {253}} {
		found, failed := t.table4(f, tables...)
		if failed == errAgain {
			continue
		}
		for i := range found {
			found[i].table = tables[0] // what the kernel calls the two of them
		}
		return found, failed
	}
	return nil, errUnreachable
}

// table4 is fib_table_lookup of net/ipv4/fib_trie.c.
func (t *fib) table4(f flow, tables ...int64) ([]fibResult, fibError) {
	var routes []*fibEntry
	for i := range t.entries {
		if e := &t.entries[i]; slices.Contains(tables, e.TableID) && e.dst.Contains(f.dst) {
			routes = append(routes, e)
		}
	}
	slices.SortStableFunc(routes, compare4)
	missed := map[netip.Addr]bool{}
	for i, e := range routes {
		if missed[e.dst.Addr()] {
			continue
		}
		hops, failed := e.usable4(f)
		if failed != "" {
			return nil, failed
		}
		if hops == nil {
			// Where a nexthop object does not do, the kernel leaves the leaf, which has the shorter prefixes of that address as well.
			missed[e.dst.Addr()] = e.NHID.Valid && (e.TOS == 0 || e.TOS == f.tos)
			continue
		}
		found := []fibResult{{entry: e, hops: hops}}
		for _, other := range routes[i+1:] { // which of them was first is not recorded
			if compare4(e, other) != 0 {
				break
			}
			if more, failed := other.usable4(f); failed == "" && more != nil {
				found = append(found, fibResult{entry: other, hops: more})
			}
		}
		return found, ""
	}
	return nil, errAgain
}

// compare4 is the order of routes in a leaf of the tree.
func compare4(a, b *fibEntry) int {
	return cmp.Or(cmp.Compare(b.dst.Bits(), a.dst.Bits()), cmp.Compare(b.TableID, a.TableID), cmp.Compare(b.TOS, a.TOS), cmp.Compare(a.Metric, b.Metric))
}

// usable4 are the hops by which a packet may leave; nil for none.
func (e *fibEntry) usable4(f flow) ([]ipHop, fibError) {
	if e.TOS != 0 && e.TOS != f.tos {
		return nil, ""
	}
	if failed, fails := typeErrors[e.Type]; fails {
		return nil, failed
	}
	var hops []ipHop
	for _, h := range e.hops {
		if !h.has("dead") && (f.oif == "" || h.Dev == f.oif) {
			hops = append(hops, h)
		}
	}
	return hops, ""
}

// get4 answers for IPv4.
func (t *fib) get4(f flow) ([]answer, fibError, error) {
	if f.input {
		return t.input4(f)
	}
	base := answer{gotRoute: gotRoute{dst: f.dst.String(), from: addrText(f.src), mark: uint64(f.mark), kind: "unicast"}}
	broadcast := f.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	onLink := func(dev, src string) ([]answer, fibError, error) {
		a := base
		a.hop = &ipHop{Dev: dev}
		a.src = src
		return t.sent4(f, []answer{a})
	}
	oif := f.oif
	if f.src.IsValid() {
		if f.src.IsMulticast() || f.src == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || f.src.As4()[0] == 0 {
			return nil, errInvalid, nil
		}
		own := t.ownerOf(f.src)
		if own == "" {
			return nil, errUnreachable, nil
		}
		if oif == "" && (f.dst.IsMulticast() || broadcast) {
			return onLink(own, "")
		}
	}
	if oif != "" {
		if !t.link(oif).has("UP") {
			return nil, errUnreachable, nil
		}
		if localMulticast(f.dst) || broadcast {
			return onLink(oif, t.select4(oif, netip.Addr{}, "link", f.src))
		}
	}
	if f.dst.IsUnspecified() {
		src := ""
		if !f.src.IsValid() {
			src = "127.0.0.1"
			if oif != "" {
				if chosen := t.select4(oif, netip.Addr{}, "host", f.src); chosen != "" {
					src = chosen
				}
			}
		}
		a := base
		a.kind, a.src, a.hop, a.cache = "local", src, &ipHop{Dev: "lo"}, []string{"local"}
		return []answer{a}, "", nil
	}
	found, failed := t.lookup4(f)
	if failed != "" {
		if oif == "" {
			return nil, failed, nil
		}
		return onLink(oif, t.select4(oif, netip.Addr{}, "link", f.src))
	}
	var all []answer
	for i := range found {
		e := found[i].entry
		if e.Type == "local" {
			a := base
			a.entry, a.matched, a.kind, a.hop = e, e, "local", &ipHop{Dev: "lo"}
			a.table, a.tableName = found[i].table, t.tableName(found[i].table)
			if !f.src.IsValid() {
				a.src = cmp.Or(e.Src, f.dst.String())
			}
			all = append(all, a)
			continue
		}
		for _, h := range found[i].hops {
			a := base
			a.entry, a.matched, a.hop, a.kind = e, e, &h, e.Type
			a.table, a.tableName = found[i].table, t.tableName(found[i].table)
			if len(found[i].hops) > 1 {
				a.weight = h.Weight
			}
			if !f.src.IsValid() {
				if a.src = e.Src; a.src == "" {
					gateway, _ := netip.ParseAddr(h.Gateway)
					a.src = t.select4(h.Dev, gateway, e.Scope, f.src)
				}
			}
			all = append(all, a)
		}
	}
	return t.sent4(f, all)
}

// sent4 is __mkroute_output of net/ipv4/route.c.
func (t *fib) sent4(f flow, all []answer) ([]answer, fibError, error) {
	for i := range all {
		a := &all[i]
		if a.kind == "local" {
			a.cache = []string{"local"}
			continue
		}
		src, err := netip.ParseAddr(cmp.Or(addrText(f.src), a.src))
		out := t.link(a.hop.Dev)
		if err == nil && src.IsLoopback() && out != nil && !out.has("LOOPBACK") && t.setting("route_localnet", out.Name) == 0 {
			return nil, errInvalid, nil
		}
		switch {
		case f.dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
			a.kind = "broadcast"
		case f.dst.IsMulticast():
			a.kind = "multicast"
		case f.dst.As4()[0] == 0:
			return nil, errInvalid, nil
		}
		switch a.kind {
		case "broadcast":
			a.cache = []string{"local", "brd"}
			a.hop.Gateway, a.entry = "", nil
		case "multicast":
			if a.cache = []string{"mc"}; t.groups[a.hop.Dev+" "+f.dst.String()] {
				a.cache = []string{"local", "mc"}
			}
			if a.entry != nil && a.entry.dst.Bits() < 4 {
				a.entry, a.hop = nil, &ipHop{Dev: a.hop.Dev}
			}
		}
		if out != nil && out.has("LOOPBACK") && len(a.cache) == 0 {
			a.cache = []string{"local"}
		}
	}
	return all, "", nil
}

func localMulticast(a netip.Addr) bool {
	b := a.As4()
	return b[0] == 224 && b[1] == 0 && b[2] == 0
}

func (t *fib) tableName(id int64) string {
	for _, r := range t.rules {
		if r.TableID.Valid && r.TableID.Int64 == id {
			return r.Table
		}
	}
	return map[int64]string{253: "default", 254: "main", 255: "local"}[id]
}

// ownerOf is the interface that has an address; "" for none (__ip_dev_find of net/ipv4/devinet.c, which asks the table local as well).
func (t *fib) ownerOf(addr netip.Addr) string {
	for _, a := range t.addresses {
		if a.Addr == addr.String() {
			return a.Dev
		}
	}
	found, _ := t.table4(flow{dst: addr}, 255)
	for _, r := range found {
		if r.entry.Type == "local" && len(r.hops) > 0 {
			return r.hops[0].Dev
		}
	}
	return ""
}

// setting is a setting of an interface or of all, whichever is more; both are sums of bits or switches.
func (t *fib) setting(name, dev string) int64 {
	all, _ := strconv.ParseInt(t.settings[fmt.Sprintf("net.ipv%d.conf.all.%s", t.family, name)], 10, 64)
	one, _ := strconv.ParseInt(t.settings[fmt.Sprintf("net.ipv%d.conf.%s.%s", t.family, dev, name)], 10, 64)
	return max(all, one)
}

// select4 is the address that a packet leaves an interface with (inet_select_addr of net/ipv4/devinet.c); "" where given tells it, or the order of addresses.
func (t *fib) select4(dev string, gateway netip.Addr, scope string, given netip.Addr) string {
	if given.IsValid() {
		return ""
	}
	most, ok := scopeNumbers[scope]
	if !ok {
		most = 0
	}
	var on, match []ipAddress
	for _, a := range t.addresses {
		if a.Dev != dev || a.has("secondary") || scopeNumbers[a.Scope] > most {
			continue
		}
		on = append(on, a)
		p, err := netip.ParseAddr(cmp.Or(a.Peer, a.Addr))
		if err == nil && gateway.IsValid() && gateway.Is4() && netip.PrefixFrom(p, int(a.Bits)).Masked().Contains(gateway) {
			match = append(match, a)
		}
	}
	if len(match) == 0 {
		match = on
	}
	if len(match) > 0 {
		return firstByScope(match)
	}
	for _, l := range t.links { // then any of this machine, of the loopback first
		var of []ipAddress
		for _, a := range t.addresses {
			if a.Dev == l.Name && !a.has("secondary") && a.Scope != "link" && scopeNumbers[a.Scope] <= most {
				of = append(of, a)
			}
		}
		if len(of) > 0 {
			return firstByScope(of)
		}
	}
	return ""
}

// firstByScope is the first of the addresses of an interface, which stand there by their scopes, and else as they were set.
func firstByScope(all []ipAddress) string {
	slices.SortStableFunc(all, func(a, b ipAddress) int { return cmp.Compare(scopeNumbers[b.Scope], scopeNumbers[a.Scope]) })
	if len(all) > 1 && all[0].Scope == all[1].Scope {
		return ""
	}
	return all[0].Addr
}

// input4 is ip_route_input_slow.
func (t *fib) input4(f flow) ([]answer, fibError, error) {
	base := answer{gotRoute: gotRoute{dst: f.dst.String(), from: addrText(f.src), mark: uint64(f.mark), iif: f.iif, kind: "unicast"}}
	broadcast := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	f.oif, f.uid = "", 0
	var matched *fibEntry
	here := func(kind string, table int64, cache ...string) ([]answer, fibError, error) {
		a := base
		a.matched = matched
		a.kind, a.hop, a.cache, a.table, a.tableName = kind, &ipHop{Dev: "lo"}, cache, table, t.tableName(table)
		return []answer{a}, "", nil
	}
	switch {
	case f.dst.IsMulticast(): // ip_route_input_mc and ip_mc_validate_source
		unknown := !f.src.IsValid() || f.src.As4()[0] == 0
		switch {
		case !t.groups[f.iif+" "+f.dst.String()], unknown && !localMulticast(f.dst), f.src.IsMulticast(), f.src == broadcast, f.src.IsLoopback() && t.setting("route_localnet", f.iif) == 0:
			return nil, errInvalid, nil
		case !unknown:
			back := f
			back.dst = netip.Addr{}
			if failed := t.validSource(back, ""); failed != "" {
				return nil, failed, nil
			}
		}
		return here("multicast", 0, "local", "mc")
	case !f.src.IsValid() && f.dst.IsUnspecified(), f.dst == broadcast && f.src.IsValid() && f.src != broadcast && !f.src.IsMulticast():
		if back := f; f.src.IsValid() {
			back.dst = netip.Addr{}
			if failed := t.validSource(back, ""); failed != "" {
				return nil, errInvalid, nil
			}
		}
		return here("broadcast", 0, "local", "brd")
	case !f.src.IsValid(), f.src.IsMulticast(), f.src == broadcast, f.src.As4()[0] == 0, f.dst.As4()[0] == 0:
		return nil, errInvalid, nil
	case (f.dst.IsLoopback() || f.src.IsLoopback()) && t.setting("route_localnet", f.iif) == 0:
		return nil, errInvalid, nil
	}
	found, failed := t.lookup4(f)
	forwards := t.settings["net.ipv4.conf."+f.iif+".forwarding"]
	if forwards == "" {
		return nil, "", usagef("it is not recorded whether %s forwarded packets: SELECT * FROM sources WHERE source = 'settings' tells why", f.iif)
	}
	if failed != "" {
		if forwards == "0" {
			failed = errNoRoute
		}
		return nil, failed, nil
	}
	kind, table := found[0].entry.Type, found[0].table
	matched = found[0].entry
	switch {
	case kind == "broadcast":
		back := f
		back.dst = netip.Addr{}
		if t.validSource(back, "") != "" {
			return nil, errInvalid, nil
		}
		return here("broadcast", table, "local", "brd")
	case kind == "local":
		if t.validSource(f, "") != "" {
			return nil, errInvalid, nil
		}
		return here("local", table, "local")
	case forwards == "0":
		return nil, errNoRoute, nil
	case kind != "unicast":
		return nil, errInvalid, nil
	}
	var all []answer
	for i := range found {
		for _, h := range found[i].hops {
			if failed = t.validSource(f, h.Dev); failed != "" {
				continue
			}
			a := base
			a.entry, a.matched, a.hop, a.table, a.tableName = found[i].entry, found[i].entry, &h, table, t.tableName(table)
			if len(found[i].hops) > 1 {
				a.weight = h.Weight
			}
			all = append(all, a)
		}
	}
	if len(all) == 0 {
		return nil, failed, nil
	}
	return all, "", nil
}

// validSource is fib_validate_source of net/ipv4/fib_frontend.c, for a packet that would leave by an interface.
func (t *fib) validSource(f flow, out string) fibError {
	filter := t.setting("rp_filter", f.iif)
	acceptsOwn := t.setting("accept_local", f.iif) != 0
	realms := slices.ContainsFunc(t.entries, func(e fibEntry) bool { return e.Realm != "" }) || slices.ContainsFunc(t.rules, func(r ipRule) bool { return r.Realms != "" })
	if filter == 0 && !realms && (f.iif != out || t.setting("send_redirects", f.iif) == 0) {
		if acceptsOwn {
			return ""
		}
		localRoutes := slices.ContainsFunc(t.entries, func(e fibEntry) bool { return e.Type == "local" && e.Protocol != "kernel" })
		if t.plain && !localRoutes {
			if slices.ContainsFunc(t.addresses, func(a ipAddress) bool { return a.Addr == f.src.String() }) {
				return errInvalid
			}
			return ""
		}
	}
	back := flow{dst: f.src, src: f.dst, iif: cmp.Or(out, "lo"), input: true, tos: f.tos, proto: f.proto, sport: f.dport, dport: f.sport}
	if t.setting("src_valid_mark", f.iif) != 0 {
		back.mark = f.mark
	}
	found, failed := t.lookup4(back)
	noAddress := !slices.ContainsFunc(t.addresses, func(a ipAddress) bool { return a.Dev == f.iif })
	lastResort := func() fibError {
		if filter != 0 {
			return errCrossDevice
		}
		return ""
	}
	if failed != "" {
		return lastResort()
	}
	if e := found[0].entry; e.Type != "unicast" && (e.Type != "local" || !acceptsOwn) {
		return errInvalid
	}
	for _, h := range found[0].entry.hops {
		if h.Dev == f.iif {
			return ""
		}
	}
	if noAddress {
		return lastResort()
	}
	if filter == 1 {
		return errCrossDevice
	}
	return ""
}
