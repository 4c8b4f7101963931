package tools

import (
	"cmp"
	"net/netip"
	"slices"
)

// get6 answers for IPv6 (inet6_rtm_getroute of net/ipv6/route.c).
func (t *fib) get6(f flow) ([]answer, fibError, error) {
	strict := f.dst.IsMulticast() || f.dst.IsLinkLocalUnicast() || !f.input && (f.dst.IsLoopback() || f.oif != "" && !f.src.IsValid())
	if f.input && f.dst.IsLoopback() {
		strict = true
	}
	toward := f.oif
	if f.input {
		if toward, f.oif = f.iif, ""; !f.byUser {
			f.uid = -1
		}
	}
	found, failed := t.lookup(f, func(table int64, f flow) ([]fibResult, fibError) { return t.table6(f, table, toward, strict) })
	if failed != "" {
		return nil, failed, nil
	}
	from := "::"
	if f.src.IsValid() {
		from = f.src.String()
	}
	var all []answer
	hops := 0
	for _, r := range found {
		hops += len(r.hops)
	}
	for i := range found {
		for _, h := range found[i].hops {
			a := answer{entry: found[i].entry, matched: found[i].entry, gotRoute: gotRoute{dst: f.dst.String(), from: from, iif: f.iif, kind: found[i].entry.Type}}
			a.table, a.tableName = found[i].table, t.tableName(found[i].table)
			if hops > 1 {
				a.weight = h.Weight
			}
			a.src = found[i].entry.Src
			if !f.input && a.src == "" {
				dev := h.Dev
				if found[i].entry.NHID.Valid {
					dev = found[i].entry.hops[0].Dev
				}
				a.src = t.select6(dev, f.dst)
			}
			if a.kind == "local" || a.kind == "anycast" {
				h = ipHop{Dev: "lo", Flags: h.Flags}
			}
			a.hop = &h
			all = append(all, a)
		}
	}
	return all, "", nil
}

// A candidate6 is a hop of a route that scores.
type candidate6 struct {
	entry *fibEntry
	hop   ipHop
	score int
}

// table6 is fib6_table_lookup.
func (t *fib) table6(f flow, table int64, toward string, strict bool) ([]fibResult, fibError) {
	var routes []*fibEntry
	for i := range t.entries {
		e := &t.entries[i]
		if e.TableID != table || !e.dst.Contains(f.dst) || e.has("expired") || e.Expires.Valid && e.Expires.Int64 < 0 {
			continue
		}
		if e.src.IsValid() && e.src.Bits() > 0 && !(f.src.IsValid() && e.src.Contains(f.src)) {
			continue
		}
		routes = append(routes, e)
	}
	// A prefix with routes for some sources has them in a tree of its own, and without one for this source the kernel leaves the prefix.
	bySource, mine := map[netip.Prefix]bool{}, map[netip.Prefix]bool{}
	for i := range t.entries {
		if e := &t.entries[i]; e.TableID == table && e.src.IsValid() && e.src.Bits() > 0 {
			bySource[e.dst] = true
			mine[e.dst] = mine[e.dst] || f.src.IsValid() && e.src.Contains(f.src)
		}
	}
	routes = slices.DeleteFunc(routes, func(e *fibEntry) bool { return bySource[e.dst] && !mine[e.dst] })
	slices.SortStableFunc(routes, func(a, b *fibEntry) int { return cmp.Or(compareNode6(a, b), cmp.Compare(a.Metric, b.Metric)) })
	reachable := t.settings["net.ipv6.conf.all.forwarding"] == "0"
	for _, onlyReachable := range []bool{true, false} {
		if onlyReachable && !reachable {
			continue
		}
		for i := 0; i < len(routes); {
			end := i + 1
			for end < len(routes) && compareNode6(routes[i], routes[end]) == 0 {
				end++
			}
			if found := t.select6Route(routes[i:end], toward, strict, onlyReachable); found != nil {
				if failed, fails := typeErrors[found[0].entry.Type]; fails {
					return nil, failed
				}
				return found, ""
			}
			i = end
		}
	}
	return nil, errAgain
}

// compareNode6 is 0 for routes that stand together in the tree: those with one prefix of the destination and of the source.
func compareNode6(a, b *fibEntry) int {
	bits := func(p netip.Prefix) int {
		if !p.IsValid() {
			return 0
		}
		return p.Bits()
	}
	return cmp.Or(cmp.Compare(b.dst.Bits(), a.dst.Bits()), cmp.Compare(bits(b.src), bits(a.src)))
}

// select6Route is rt6_select: of the lowest metric the routes with the best score; where none of them scores, the best of all others.
func (t *fib) select6Route(routes []*fibEntry, toward string, strict, onlyReachable bool) []fibResult {
	lowest := routes[0].Metric
	var first, rest []candidate6
	for _, e := range routes {
		hops := e.hops
		if len(hops) == 0 {
			hops = []ipHop{{Dev: cmp.Or(e.Dev, "lo")}}
		}
		for _, h := range hops {
			score := t.score6(e, &h, toward, strict, onlyReachable)
			if score < 0 {
				continue
			}
			c := candidate6{e, h, score}
			if e.Metric == lowest {
				first = append(first, c)
			} else {
				rest = append(rest, c)
			}
		}
	}
	for _, group := range [][]candidate6{first, rest} {
		if len(group) == 0 {
			continue
		}
		best := slices.MaxFunc(group, func(a, b candidate6) int {
			return cmp.Or(cmp.Compare(a.score, b.score), cmp.Compare(b.entry.Metric, a.entry.Metric))
		})
		// Which of those that score alike is first in the tree is not recorded. Once a route is chosen, all its hops that score may be.
		var found []fibResult
		for _, c := range group {
			if c.score != best.score || c.entry.Metric != best.entry.Metric || slices.ContainsFunc(found, func(r fibResult) bool { return r.entry == c.entry }) {
				continue
			}
			r := fibResult{entry: c.entry}
			for _, other := range group {
				if other.entry == c.entry {
					r.hops = append(r.hops, other.hop)
				}
			}
			found = append(found, r)
		}
		return found
	}
	return nil
}

// score6 is find_match with rt6_score_route; less than 0 for a hop that is not taken.
func (t *fib) score6(e *fibEntry, h *ipHop, toward string, strict, onlyReachable bool) int {
	if h.has("dead") {
		return -1
	}
	score := 0
	if toward == "" || h.Dev == toward {
		score = 2
	} else if strict {
		return -1
	}
	switch e.Pref { // ICMPV6_ROUTER_PREF_HIGH is 1, MEDIUM 0, LOW 3, each as itself xor 2
	case "high":
		score |= 3 << 2
	case "low":
		score |= 1 << 2
	default:
		score |= 2 << 2
	}
	if onlyReachable && h.Gateway != "" && t.failed(h) {
		return -1
	}
	return score
}

// failed tells whether the router of a hop was asked for and did not answer.
func (t *fib) failed(h *ipHop) bool {
	n := t.neighbor(h.Dev, h.Gateway)
	return n != nil && n.State == "FAILED"
}

// select6 is the source address that the kernel chooses (RFC 6724; ipv6_dev_get_saddr of net/ipv6/addrconf.c); "" where only the order of addresses tells it.
func (t *fib) select6(dev string, dst netip.Addr) string {
	type candidate struct {
		addr  netip.Addr
		score []int
	}
	var best []candidate
	for _, a := range t.addresses {
		addr, err := netip.ParseAddr(a.Addr)
		if err != nil || a.has("tentative") && !a.has("optimistic") || (dst.IsMulticast() || scope6(dst) <= 2) && a.Dev != dev {
			continue
		}
		scope := scope6(addr)
		if scope >= scope6(dst) {
			scope = -scope
		} else {
			scope -= 128
		}
		shared := min(commonBits(addr, dst), int(a.Bits))
		c := candidate{addr, []int{
			b2i(addr == dst), scope, b2i(!a.has("deprecated") && !a.has("optimistic")), b2i(a.has("home")), b2i(a.Dev == dev),
			b2i(label6(addr) == label6(dst)), b2i(a.has("temporary") == (t.setting("use_tempaddr", a.Dev) >= 2)), b2i(orchid(addr) == orchid(dst)), shared,
		}}
		switch {
		case len(best) == 0 || slices.Compare(c.score, best[0].score) > 0:
			best = []candidate{c}
		case slices.Compare(c.score, best[0].score) == 0:
			best = append(best, c)
		}
	}
	if len(best) != 1 {
		return ""
	}
	return best[0].addr.String()
}

// scope6 is the scope of an address, as its number in RFC 4291.
func scope6(a netip.Addr) int {
	switch b := a.As16(); {
	case a.IsMulticast():
		return int(b[1] & 15)
	case a.IsLoopback(), a.IsLinkLocalUnicast():
		return 2
	case b[0] == 0xfe && b[1]&0xc0 == 0xc0:
		return 5
	}
	return 14
}

var labels6 = func() (all []struct {
	net   netip.Prefix
	label int
}) {
	for net, label := range map[string]int{"::1/128": 0, "::/0": 1, "fc00::/7": 5, "2002::/16": 2, "2001::/32": 6, "2001:10::/28": 7, "::ffff:0:0/96": 4, "::/96": 3} {
		all = append(all, struct {
			net   netip.Prefix
			label int
		}{netip.MustParsePrefix(net), label})
	}
	return all
}()

// label6 is the label of an address in the kernel's own table (net/ipv6/addrlabel.c).
func label6(a netip.Addr) int {
	bits, label := -1, 0
	for _, l := range labels6 {
		if l.net.Contains(a) && l.net.Bits() > bits {
			bits, label = l.net.Bits(), l.label
		}
	}
	return label
}

var orchids = netip.MustParsePrefix("2001:10::/28")

func orchid(a netip.Addr) bool { return orchids.Contains(a) }

func commonBits(a, b netip.Addr) int {
	x, y := a.As16(), b.As16()
	for i := range 128 {
		if (x[i/8]^y[i/8])>>(7-i%8)&1 != 0 {
			return i
		}
	}
	return 128
}
