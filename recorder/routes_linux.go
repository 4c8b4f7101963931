package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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
	netlink *rtnetlink
	memory  dumpMemory[store.RouteID, store.Route]
	quiet   func() bool // nothing was told since the last sample that concerns them; nil: nobody listens
	many    int
	due     time.Time // when they are to be read, whatever was told
}

const (
	// manyRoutes are read in a hundredth of a second, as measured.
	manyRoutes = 10_000
	// fullDump is the longest that routes may be kept.
	fullDump = time.Minute
)

func newRoutes(w *store.Writer, ns namespace) source {
	s := &routes{source: w.SourceIn(ns.id, "routes"), ns: ns, netlink: ns.rtnetlink(), many: manyRoutes}
	s.memory = newDumpMemory(store.NewSet(s.source, store.Routes), s.netlink)
	return s
}

func (s *routes) read(ctx context.Context) {
	s.source.Read(func() error {
		now := time.Now()
		if s.quiet != nil && s.quiet() && now.Before(s.due) && len(s.memory.subjects) >= s.many && s.memory.set.KeepAll() {
			return store.ErrKept
		}
		err := s.record(ctx)
		s.due = now.Add(fullDump)
		return err
	})
}

func (s *routes) record(ctx context.Context) error {
	var messages [][]byte
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := [unix.SizeofRtMsg]byte{0: family}
		got, err := s.netlink.dump(ctx, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header[:])
		if err != nil {
			return fmt.Errorf("dump routes of IPv%d: %w", familyNumber(family), err)
		}
		// A kernel without IPv6 answers with what it has; cached exceptions, such as a
		// learnt path MTU, are no routes.
		got = slices.DeleteFunc(got, func(msg []byte) bool {
			return len(msg) < unix.SizeofRtMsg || msg[0] != family || binary.NativeEndian.Uint32(msg[8:])&unix.RTM_F_CLONED != 0
		})
		if messages == nil {
			messages = got
		} else {
			messages = append(messages, got...)
		}
	}
	if s.memory.keep(messages, unix.SizeofRtMsg, tickingInRoute) {
		return nil
	}
	// Those to one destination in one table follow each other (fib_table_dump in net/ipv4/fib_trie.c, fib6_dump_node in
	// net/ipv6/ip6_fib.c): of those that are alike, only theirs need be counted.
	nth := map[store.RouteID]int64{}
	var table uint32
	var dst netip.Prefix
	for _, msg := range messages {
		r, err := parseRoute(msg)
		if err != nil {
			return fmt.Errorf("read route: %w", err)
		}
		if r.table != table || r.dst != dst {
			clear(nth)
			table, dst = r.table, r.dst
		}
		id, v := r.row(s.ns.id, &s.memory.names)
		n := nth[id]
		nth[id] = n + 1
		id.Nth = store.Of(n)
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

const rtaNextHopID = 30 // RTA_NH_ID of linux/rtnetlink.h, Linux 5.3

// tickingInRoute are the attributes with the time that a route has left.
func tickingInRoute(kind uint16) bool {
	return kind == unix.RTA_CACHEINFO || kind == unix.RTA_EXPIRES
}

// A route is an RTM_NEWROUTE message.
type route struct {
	family, tos, protocol, scope, kind uint8
	flags                              uint32
	table, metric                      uint32
	dst, src                           netip.Prefix
	prefsrc, gateway                   netip.Addr
	oif                                int32
	mtu, window, rtt                   store.Int // as the kernel counts: rtt in eighths of a millisecond
	nexthops                           []nexthop
	nexthopID                          uint32
}

// A nexthop is one way of a multipath route.
type nexthop struct {
	gateway netip.Addr
	oif     int32
	weight  int
	flags   uint32
}

// parseRoute decodes struct rtmsg and its attributes.
func parseRoute(msg []byte) (route, error) {
	if len(msg) < unix.SizeofRtMsg {
		return route{}, errShort
	}
	r := route{
		family: msg[0], tos: msg[3], table: uint32(msg[4]), protocol: msg[5], scope: msg[6], kind: msg[7],
		flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	var dst, src []byte
	var inner error
	err := attributes(msg[unix.SizeofRtMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.RTA_DST:
			dst = v
		case unix.RTA_SRC:
			src = v
		case unix.RTA_OIF:
			r.oif = int32(uint32Of(v))
		case unix.RTA_GATEWAY:
			r.gateway = addrOf(r.family, v)
		case unix.RTA_VIA:
			r.gateway = viaOf(v)
		case unix.RTA_PRIORITY:
			r.metric = uint32Of(v)
		case unix.RTA_PREFSRC:
			r.prefsrc = addrOf(r.family, v)
		case unix.RTA_TABLE:
			r.table = uint32Of(v)
		case rtaNextHopID:
			r.nexthopID = uint32Of(v)
		case unix.RTA_METRICS:
			inner = r.parseMetrics(v)
		case unix.RTA_MULTIPATH:
			r.nexthops, inner = parseNexthops(r.family, v)
		}
	})
	if err == nil {
		err = inner
	}
	if err == nil {
		r.dst, err = prefixOf(r.family, dst, msg[1])
	}
	if err == nil && msg[2] != 0 {
		r.src, err = prefixOf(r.family, src, msg[2])
	}
	return r, err
}

func (r *route) parseMetrics(b []byte) error {
	return attributes(b, func(kind uint16, v []byte) {
		if len(v) < 4 {
			return
		}
		switch kind {
		case unix.RTAX_MTU:
			r.mtu = store.Of(uint32Of(v))
		case unix.RTAX_WINDOW:
			r.window = store.Of(uint32Of(v))
		case unix.RTAX_RTT:
			r.rtt = store.Of(uint32Of(v))
		}
	})
}

// parseNexthops decodes the structs rtnexthop of RTA_MULTIPATH.
func parseNexthops(family uint8, b []byte) ([]nexthop, error) {
	var hops []nexthop
	for len(b) >= unix.SizeofRtNexthop {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			return nil, fmt.Errorf("next hop of %d bytes where %d are left", size, len(b))
		}
		hop := nexthop{flags: uint32(b[2]), weight: int(b[3]) + 1, oif: int32(uint32Of(b[4:]))}
		err := attributes(b[unix.SizeofRtNexthop:size], func(kind uint16, v []byte) {
			switch kind {
			case unix.RTA_GATEWAY:
				hop.gateway = addrOf(family, v)
			case unix.RTA_VIA:
				hop.gateway = viaOf(v)
			}
		})
		if err != nil {
			return nil, err
		}
		hops = append(hops, hop)
		b = b[min(align4(size), len(b)):]
	}
	return hops, nil
}

// viaOf is a gateway of the other family: an IPv4 route through an IPv6 router.
func viaOf(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	return addrOf(uint8(uint16Of(b)), b[2:])
}

// row is the route as it is recorded, without its ordinal.
func (r *route) row(netns store.Int, links *linkNames) (store.RouteID, store.Route) {
	id := store.RouteID{
		NetNS: netns, Family: store.Of(familyNumber(r.family)), TableID: store.Of(r.table),
		Dst: r.dst.String(), TOS: store.Of(r.tos), Metric: store.Of(r.metric), Dev: links.of(r.oif),
	}
	if r.src.IsValid() {
		id.SrcNet = r.src.String()
	}
	v := store.Route{
		TableName: tableNames().of(r.table), Gateway: addrText(r.gateway), Src: addrText(r.prefsrc),
		Protocol: protocolNames().of(uint32(r.protocol)), Scope: scopeNames().of(uint32(r.scope)),
		Type: routeTypes.of(uint32(r.kind)), Flags: flagText(r.flags, routeFlags),
		MTU: r.mtu, Window: r.window,
	}
	if rtt, ok := r.rtt.Get(); ok {
		v.IRTT = store.Of(rtt / 8)
	}
	if len(r.nexthops) > 0 {
		v.NextHops = nexthopText(r.nexthops, links)
	} else if r.nexthopID != 0 && r.oif == 0 {
		// With net.ipv4.nexthop_compat_mode = 0 the kernel gives the number only.
		v.NextHops = fmt.Sprintf("nhid %d", r.nexthopID)
	}
	return id, v
}

func nexthopText(hops []nexthop, links *linkNames) string {
	var text strings.Builder
	for i, hop := range hops {
		if i > 0 {
			text.WriteString("; ")
		}
		if hop.gateway.IsValid() {
			fmt.Fprintf(&text, "via %s ", hop.gateway)
		}
		if hop.oif != 0 {
			fmt.Fprintf(&text, "dev %s ", links.of(hop.oif))
		}
		fmt.Fprintf(&text, "weight %d", hop.weight)
		if flags := flagText(hop.flags, routeFlags); flags != "" {
			text.WriteString(" " + strings.ReplaceAll(flags, ",", " "))
		}
	}
	return text.String()
}

// routeFlags are RTNH_F_* and RTM_F_* (linux/rtnetlink.h), in the words of ip.
var routeFlags = []flagName{
	{unix.RTNH_F_DEAD, "dead"}, {unix.RTNH_F_ONLINK, "onlink"}, {unix.RTNH_F_PERVASIVE, "pervasive"},
	{unix.RTNH_F_OFFLOAD, "offload"}, {unix.RTNH_F_TRAP, "trap"}, {unix.RTNH_F_LINKDOWN, "linkdown"},
	{unix.RTNH_F_UNRESOLVED, "unresolved"}, {unix.RTM_F_OFFLOAD, "rt_offload"}, {unix.RTM_F_TRAP, "rt_trap"},
	{unix.RTM_F_OFFLOAD_FAILED, "rt_offload_failed"},
}
