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

// readNext has the next sample read them.
func (s *routes) readNext() { s.due = time.Time{} }

func (s *routes) record(ctx context.Context) error {
	var messages [][]byte
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		header := [unix.SizeofRtMsg]byte{0: family}
		got, err := s.netlink.Dump(ctx, unix.RTM_GETROUTE, unix.RTM_NEWROUTE, header[:])
		if err != nil {
			return fmt.Errorf("dump routes of IPv%d: %w", rtnl.FamilyNumber(family), err)
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
	if s.memory.keep(messages, unix.SizeofRtMsg, rtnl.TickingInRoute) {
		return nil
	}
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
		id, v := routeRow(&r, s.ns.id, &s.memory.names)
		n := nth[id]
		nth[id] = n + 1
		id.Nth = store.Of(n)
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

// routeRow is the route as it is recorded, without its ordinal.
func routeRow(r *rtnl.Route, netns store.Int, links *rtnl.LinkNames) (store.RouteID, store.Route) {
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
		MTU: r.MTU, Window: r.Window,
	}
	if rtt, ok := r.RTT.Get(); ok {
		v.IRTT = store.Of(rtt / 8)
	}
	if len(r.NextHops) > 0 {
		v.NextHops = nexthopText(r.NextHops, links)
	} else if r.NextHopID != 0 && r.OIF == 0 {
		// With net.ipv4.nexthop_compat_mode = 0 the kernel gives the number only.
		v.NextHops = fmt.Sprintf("nhid %d", r.NextHopID)
	}
	return id, v
}

func nexthopText(hops []rtnl.NextHop, links *rtnl.LinkNames) string {
	var text strings.Builder
	for i, hop := range hops {
		if i > 0 {
			text.WriteString("; ")
		}
		if hop.Gateway.IsValid() {
			fmt.Fprintf(&text, "via %s ", hop.Gateway)
		}
		if hop.OIF != 0 {
			fmt.Fprintf(&text, "dev %s ", links.Of(hop.OIF))
		}
		fmt.Fprintf(&text, "weight %d", hop.Weight)
		if flags := flagText(hop.Flags, routeFlags); flags != "" {
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
