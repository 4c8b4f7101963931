package recorder

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// routes records every route of every table, IPv4 and IPv6.
//
// Where there are many they are not read in every sample: the kernel tells of changes, and a dump of a million takes a second
// of CPU. They are after anything was told that concerns them, or was lost, and once in fullDump at least, for the kernel
// does not tell everything; in between their outcome is kept.
type routes struct {
	source  *store.Source
	ns      namespace
	netlink *rtnl.Conn
	memory  dumpMemory[store.RouteID, store.Route]
	learnt  routeExceptions
	quiet   func() bool // nothing was told since the last sample that concerns them; nil: nobody listens
	many    int
	due     time.Time // when they are to be read, whatever was told

	nextHops *nextHops // nil: what an object stands for is not known
	of       int       // the state of them that the rows are of
	known    users     // of this dump
	before   users     // of the dump before, and of what was told since

	symptoms *symptoms
}

// users are the routes that go by nexthop objects: those that go with one are told of with its own time. The next dump shows what is
// more than manyUsers.
type users struct {
	byObject map[uint32][]store.RouteID
	n        int
}

const manyUsers = 1000

func (u *users) add(id store.RouteID, object uint32) {
	if object == 0 || u.n >= manyUsers {
		return
	}
	if u.byObject == nil {
		u.byObject = map[uint32][]store.RouteID{}
	}
	id.Nth = store.Of(0)
	u.byObject[object] = append(u.byObject[object], id)
	u.n++
}

const (
	// manyRoutes are read in a hundredth of a second, as measured.
	manyRoutes = 10_000
	// fullDump is the longest that routes may be kept.
	fullDump = time.Minute
)

func newRoutes(w *store.Writer, ns namespace) source {
	s := &routes{source: w.SourceIn(ns.id, "routes"), ns: ns, netlink: ns.rtnetlink(), many: manyRoutes}
	s.memory = newDumpMemory(w, store.NewSet(s.source, store.Routes), s.netlink)
	s.learnt = newRouteExceptions(w, ns, s.source, s.netlink)
	return s
}

func (s *routes) read(ctx context.Context) {
	s.source.Read(func() error {
		now := time.Now()
		s.before = users{maps.Clone(s.known.byObject), s.known.n}
		if s.quiet != nil && s.quiet() && now.Before(s.due) && len(s.memory.subjects) >= s.many && s.memory.set.KeepAll() && s.learnt.memory.set.KeepAll() {
			return store.ErrKept
		}
		err := s.record(ctx)
		s.due = now.Add(s.lasts())
		return err
	})
}

// lasts is for how long what was read holds if nothing is told: no route expires before, and nothing that was learnt.
func (s *routes) lasts() time.Duration {
	least := fullDump
	for _, ends := range [][]deadline{s.memory.ends.kept, s.learnt.memory.ends.kept} {
		for _, d := range ends {
			if left := time.Duration((d.at - s.memory.ends.now) * float64(time.Second)); !d.over {
				least = min(least, left)
			}
		}
	}
	return least
}

// ticking are the attributes with the time that a route has left, which is noted.
func (s *routes) ticking(kind uint16, value []byte) bool {
	left, tells := rtnl.ExpiryOf(kind, value)
	if left != 0 {
		s.memory.ends.note(left)
	}
	return tells
}

// readNext has the next sample read them.
func (s *routes) readNext() { s.due = time.Time{} }

// tellGateways tells who are the gateways of a default route.
func (s *routes) tellGateways(r *rtnl.Route, dev, gateway string) {
	s.symptoms.isGateway(dev, gateway)
	if len(r.NextHops) > 1 {
		for _, hop := range r.NextHops {
			s.symptoms.isGateway(s.memory.names.Of(hop.OIF), addrText(hop.Gateway))
		}
	}
}

func (s *routes) record(ctx context.Context) error {
	var messages, exceptions [][]byte
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := [unix.SizeofRtMsg]byte{0: family}
		got, err := s.netlink.Dump(ctx, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header[:])
		if err != nil {
			return fmt.Errorf("dump routes of IPv%d: %w", rtnl.FamilyNumber(family), err)
		}
		// A kernel without IPv6 answers with what it has; what it has learnt, such as a path MTU, are no routes.
		got = slices.DeleteFunc(got, func(msg []byte) bool {
			ours := len(msg) >= unix.SizeofRtMsg && msg[0] == family
			if ours && isException(msg) {
				exceptions = append(exceptions, msg)
			}
			return !ours || isException(msg)
		})
		if messages == nil {
			messages = got
		} else {
			messages = append(messages, got...)
		}
	}
	if err := s.learnt.record(exceptions); err != nil {
		return err
	}
	if s.nextHops != nil && s.of != s.nextHops.changed {
		s.of, s.memory.valid = s.nextHops.changed, false
	}
	if s.memory.keep(messages, unix.SizeofRtMsg, s.ticking) {
		return nil
	}
	s.known = users{}
	s.symptoms.forgetGateways()
	// Those to one destination in one table follow each other (fib_table_dump in net/ipv4/fib_trie.c, fib6_dump_node in
	// net/ipv6/ip6_fib.c): of those that are alike, only theirs need be counted.
	nth := map[store.RouteID]int64{}
	var table uint32
	var dst netip.Prefix
	for _, msg := range messages {
		r, err := rtnl.ParseRoute(msg)
		if err != nil {
			return fmt.Errorf("read route: %w", err)
		}
		if r.Table != table || r.Dst != dst {
			clear(nth)
			table, dst = r.Table, r.Dst
		}
		for i := range siblings(&r) {
			r := sibling(&r, i)
			id, v := routeRow(&r, s.ns.id, &s.memory.names, s.nextHops.of)
			if r.Dst.Bits() == 0 {
				s.tellGateways(&r, id.Dev, v.Gateway)
			}
			n := nth[id]
			nth[id] = n + 1
			id.Nth = store.Of(n)
			if r.Expires != 0 {
				v.Expires = s.memory.ends.of(id, 0, r.Expires)
			}
			s.known.add(id, r.NextHopID)
			s.memory.put(id, v)
		}
	}
	s.memory.done()
	return nil
}

// siblings is how many routes a message tells of, and sibling is one of them. To the kernel each next hop of an IPv6 route is a
// route, which comes and goes by itself: it only tells of all of them together (rt6_fill_node in net/ipv6/route.c). So a hop that
// joins another is an added route, and nothing is removed. A nexthop object, and a multipath route of IPv4, is one route.
func siblings(r *rtnl.Route) int {
	if r.Family != unix.AF_INET6 || r.NextHopID != 0 {
		return 1
	}
	return max(1, len(r.NextHops))
}

func sibling(r *rtnl.Route, n int) rtnl.Route {
	one := *r
	if siblings(r) == 1 {
		return one
	}
	hop := &r.NextHops[n]
	one.Gateway, one.OIF, one.Encap, one.NextHops = hop.Gateway, hop.OIF, hop.Encap, nil
	one.Flags |= hop.Flags
	one.Weight = hop.Weight
	return one
}

// routeRow is the route as it is recorded, without its ordinal and the moment when it expires. find gives nexthop objects.
func routeRow(r *rtnl.Route, netns store.Int, links *rtnl.LinkNames, find func(id uint32) (store.NextHop, bool)) (store.RouteID, store.Route) {
	id := store.RouteID{
		NetNS: netns, Family: store.Of(rtnl.FamilyNumber(r.Family)), TableID: store.Of(r.Table),
		Dst: r.Dst.String(), TOS: store.Of(r.TOS), Metric: store.Of(r.Metric), Dev: links.Of(r.OIF),
	}
	if r.Src.IsValid() {
		id.SrcNet = r.Src.String()
	}
	v := store.Route{
		TableName: tableNames().of(r.Table), Gateway: addrText(r.Gateway), Src: addrText(r.Prefsrc),
		Protocol: protocolNames().of(uint32(r.Protocol)), Scope: scopeNames().of(uint32(r.Scope)),
		Type: routeTypes.of(uint32(r.Kind)), Flags: flagText(r.Flags, routeFlags),
		MTU: r.MTU, Window: r.Window, NextHopID: store.NonZero(r.NextHopID), Encap: r.Encap, Realm: r.Realms, Pref: preference(r.Pref),
		Lock: lockText(r.Lock), AdvMSS: r.AdvMSS, HopLimit: r.HopLimit, InitCwnd: r.InitCwnd, InitRwnd: r.InitRwnd, RTOMin: r.RTOMin,
		QuickAck: r.QuickAck, Congestion: r.Congestion, Metrics: r.Others,
	}
	if r.Weight > 1 {
		v.Weight = store.Of(r.Weight)
	}
	if rtt, ok := r.RTT.Get(); ok {
		v.IRTT = store.Of(rtt / 8)
	}
	if r.Expires < 0 {
		v.Flags = strings.TrimPrefix(v.Flags+",expired", ",")
	}
	switch {
	case len(r.NextHops) == 1:
		hop := &r.NextHops[0]
		id.Dev, v.Gateway, v.Encap = links.Of(hop.OIF), addrText(hop.Gateway), hop.Encap
		v.Flags = flagText(r.Flags|hop.Flags, routeFlags)
	case len(r.NextHops) > 0:
		v.NextHops = nextHopsText(r.NextHops, links)
	case r.NextHopID != 0 && r.OIF == 0 && !blackholes(r.Kind):
		// With net.ipv4.nexthop_compat_mode = 0 the kernel gives the number only.
		object, known := find(r.NextHopID)
		if known {
			var only store.NextHop
			if only, v.NextHops, known = hopsOf(object, find); known {
				id.Dev, v.Gateway = only.Dev, only.Gateway
				v.Encap = cmp.Or(v.Encap, only.Encap)
			}
		}
		if !known {
			v.NextHops = fmt.Sprintf("nhid %d", r.NextHopID)
		}
	}
	return id, v
}

// blackholes reports whether routes of that kind go nowhere.
func blackholes(kind uint8) bool {
	return kind == unix.RTN_BLACKHOLE || kind == unix.RTN_UNREACHABLE || kind == unix.RTN_PROHIBIT
}

// preference is that of a router (RFC 4191), where it is not medium.
func preference(pref store.Int) string {
	switch n, known := pref.Get(); {
	case !known || n == 0:
		return ""
	case n == 1:
		return "high"
	case n == 3:
		return "low"
	default:
		return fmt.Sprint(n)
	}
}

// lockText names the metrics that are locked, each by its bit (linux/rtnetlink.h).
func lockText(bits uint32) string {
	return flagText(bits, metricLocks)
}

var metricLocks = []flagName{
	{1 << unix.RTAX_MTU, "mtu"}, {1 << unix.RTAX_WINDOW, "window"}, {1 << unix.RTAX_RTT, "rtt"}, {1 << unix.RTAX_RTTVAR, "rttvar"},
	{1 << unix.RTAX_SSTHRESH, "ssthresh"}, {1 << unix.RTAX_CWND, "cwnd"}, {1 << unix.RTAX_ADVMSS, "advmss"},
	{1 << unix.RTAX_REORDERING, "reordering"}, {1 << unix.RTAX_HOPLIMIT, "hoplimit"}, {1 << unix.RTAX_INITCWND, "initcwnd"},
	{1 << unix.RTAX_FEATURES, "features"}, {1 << unix.RTAX_RTO_MIN, "rto_min"}, {1 << unix.RTAX_INITRWND, "initrwnd"},
	{1 << unix.RTAX_QUICKACK, "quickack"}, {1 << unix.RTAX_CC_ALGO, "congctl"},
}

func nextHopsText(hops []rtnl.NextHop, links *rtnl.LinkNames) string {
	var texts []string
	for _, hop := range hops {
		texts = append(texts, hopText(addrText(hop.Gateway), links.Of(hop.OIF), hop.Weight, flagText(hop.Flags, routeFlags), hop.Encap))
	}
	return strings.Join(texts, hopsParted)
}

// routeFlags are RTNH_F_* and RTM_F_* (linux/rtnetlink.h), in the words of ip.
var routeFlags = []flagName{
	{unix.RTNH_F_DEAD, "dead"}, {unix.RTNH_F_ONLINK, "onlink"}, {unix.RTNH_F_PERVASIVE, "pervasive"},
	{unix.RTNH_F_OFFLOAD, "offload"}, {unix.RTNH_F_TRAP, "trap"}, {unix.RTNH_F_LINKDOWN, "linkdown"},
	{unix.RTNH_F_UNRESOLVED, "unresolved"}, {unix.RTM_F_OFFLOAD, "rt_offload"}, {unix.RTM_F_TRAP, "rt_trap"},
	{unix.RTM_F_OFFLOAD_FAILED, "rt_offload_failed"},
}
