package tools

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// A routeFilter is what ip route show is asked for (ip/iproute.c). What it fixes is not printed.
type routeFilter struct {
	table                string // "": main; all
	tableID              int64
	dev, protocol, scope string
	kind, via, src, vrf  string
	root, match          netip.Prefix
	from                 netip.Prefix
	metric, tos          string
	iif                  string // of ip route get fibmatch
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
	if f.objects, err = o.nextHopObjects(); err != nil {
		return err
	}
	for _, family := range families {
		entries, err := o.fib(family, "")
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
