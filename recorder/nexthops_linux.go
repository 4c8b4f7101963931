package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// nextHops records the nexthop objects (ip-nexthop(8), Linux 5.3) that routes may go by.
type nextHops struct {
	source  *store.Source
	ns      namespace
	netlink *rtnl.Conn
	memory  dumpMemory[store.NextHopID, store.NextHop]
	known   map[uint32]store.NextHop // of the last dump
	changed int                      // how often they were not as before
}

func newNextHops(w *store.Writer, ns namespace) source {
	s := &nextHops{source: w.SourceIn(ns.id, "nexthops"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(w, store.NewSet(s.source, store.NextHops), s.netlink)
	return s
}

func (s *nextHops) read(ctx context.Context) {
	s.source.Read(func() error {
		err := s.record(ctx)
		if err != nil {
			s.known = nil
			s.changed++
		}
		return err
	})
}

func (s *nextHops) record(ctx context.Context) error {
	var header [rtnl.SizeofNextHop]byte
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETNEXTHOP, unix.RTM_NEWNEXTHOP, header[:])
	// A kernel that does not know them has none.
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("dump nexthops: %w", err)
	}
	if s.memory.keep(messages, rtnl.SizeofNextHop, rtnl.NothingTicks) {
		return nil
	}
	s.known = make(map[uint32]store.NextHop, len(messages))
	s.changed++
	for _, msg := range messages {
		h, err := rtnl.ParseNextHop(msg)
		if err != nil {
			return fmt.Errorf("read nexthop: %w", err)
		}
		id, v := nextHopRow(&h, s.ns.id, &s.memory.names)
		s.known[h.ID] = v
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

// of is the object of that number, as the last dump had it.
func (s *nextHops) of(id uint32) (store.NextHop, bool) {
	if s == nil {
		return store.NextHop{}, false
	}
	v, known := s.known[id]
	return v, known
}

// nextHopRow is the object as it is recorded.
func nextHopRow(h *rtnl.NextHopObject, netns store.Int, links *rtnl.LinkNames) (store.NextHopID, store.NextHop) {
	v := store.NextHop{
		Type: "nexthop", Family: store.NonZero(rtnl.FamilyNumber(h.Family)), Gateway: addrText(h.Gateway), Dev: links.Of(h.OIF),
		Encap: h.Encap, Protocol: protocolNames().of(uint32(h.Protocol)), Flags: flagText(h.Flags, routeFlags),
	}
	if h.Gateway.IsUnspecified() {
		v.Gateway = ""
	}
	var members []string
	for _, m := range h.Members {
		members = append(members, fmt.Sprintf("%d*%d", m.ID, m.Weight))
	}
	switch v.Members = strings.Join(members, ","); {
	case len(members) > 0 && h.FDB:
		v.Type = "fdb group"
	case len(members) > 0:
		v.Type = "group"
	case h.FDB:
		v.Type = "fdb"
	case h.Blackhole:
		v.Type = "blackhole"
	}
	if h.Resilient {
		v.Flags = strings.TrimPrefix(v.Flags+",resilient", ",")
	}
	if v.Type == "nexthop" {
		v.Scope = scopeNames().of(uint32(h.Scope))
	}
	return store.NextHopID{NetNS: netns, ID: store.Of(h.ID)}, v
}

// hopsOf are the next hops that an object stands for, as text and, where there is only one, as gateway and interface. find gives the
// members of a group. known is false where one of them is not known.
func hopsOf(v store.NextHop, find func(id uint32) (store.NextHop, bool)) (only store.NextHop, hops string, known bool) {
	if v.Members == "" {
		return v, "", true
	}
	var texts []string
	for member := range strings.SplitSeq(v.Members, ",") {
		var id uint32
		var weight int
		if _, err := fmt.Sscanf(member, "%d*%d", &id, &weight); err != nil {
			return only, "", false
		}
		m, found := find(id)
		if !found || m.Members != "" {
			return only, "", false
		}
		only = m
		texts = append(texts, hopText(m.Gateway, m.Dev, weight, m.Flags, m.Encap))
	}
	if len(texts) == 1 {
		return only, "", true
	}
	return store.NextHop{}, strings.Join(texts, hopsParted), true
}

// hopText is a next hop of a multipath route. The view route_hops takes it apart.
func hopText(gateway, dev string, weight int, flags, encap string) string {
	var text strings.Builder
	if gateway != "" {
		text.WriteString("via " + gateway + " ")
	}
	if dev != "" {
		text.WriteString("dev " + dev + " ")
	}
	fmt.Fprintf(&text, "weight %d", weight)
	if flags != "" {
		text.WriteString(" " + strings.ReplaceAll(flags, ",", " "))
	}
	if encap != "" {
		text.WriteString(" encap " + encap)
	}
	return text.String()
}

const hopsParted = "; "
