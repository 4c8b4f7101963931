package tools

import (
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

// entry is the route alone.
func (r *ipRoute) entry() (e fibEntry, err error) {
	e = fibEntry{ipRoute: *r, hops: r.hopsOf()}
	if e.dst, err = netip.ParsePrefix(r.Dst); err != nil {
		return e, fmt.Errorf("route to %q: %w", r.Dst, err)
	}
	if r.SrcNet != "" {
		if e.src, err = netip.ParsePrefix(r.SrcNet); err != nil {
			return e, fmt.Errorf("route from %q: %w", r.SrcNet, err)
		}
	}
	return e, nil
}

// sharing tells whether the kernel shares the traffic of an IPv6 route with others of the same prefix and metric (rt6_qualify_for_ecmp).
func (r *ipRoute) sharing() bool {
	return r.Family == 6 && r.Gateway != "" && !r.NHID.Valid && r.NextHops == "" && (r.Protocol != "ra" || !r.Expires.Valid && r.Weight > 1)
}

// fib reads the routes of a family. More are conditions, which begin with AND.
func (o *ipOut) fib(family int64, more string) ([]fibEntry, error) {
	rows, err := here[ipRoute](o.ctx, o.m, "routes", fmt.Sprintf("AND family = %d %s", family, more))
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
		e, err := r.entry()
		if err != nil {
			return nil, err
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
