package recorder

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// neighbors records the ARP and neighbour discovery tables as ip neigh show nud all
// has them, and the addresses that the machine answers for (proxy).
type neighbors struct {
	source  *store.Source
	ns      namespace
	netlink *rtnl.Conn
	memory  dumpMemory[store.NeighborID, store.Neighbor]

	symptoms *symptoms
}

func newNeighbors(w *store.Writer, ns namespace) source {
	s := &neighbors{source: w.SourceIn(ns.id, "neighbors"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(w, store.NewSet(s.source, store.Neighbors), s.netlink)
	return s
}

func (s *neighbors) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *neighbors) record(ctx context.Context) error {
	var messages [][]byte
	for _, flags := range []uint8{0, unix.NTF_PROXY} {
		header := [unix.SizeofNdMsg]byte{10: flags}
		got, err := s.netlink.Dump(ctx, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, header[:])
		if err != nil {
			return fmt.Errorf("dump neighbors: %w", err)
		}
		messages = append(messages, got...)
	}
	if s.memory.keep(messages, unix.SizeofNdMsg, rtnl.TickingInNeighbor) {
		return nil
	}
	s.symptoms.forgetUnreachable()
	for _, msg := range messages {
		n, err := rtnl.ParseNeighbor(msg)
		if err != nil {
			return fmt.Errorf("read neighbor: %w", err)
		}
		if rtnl.FamilyNumber(n.Family) != 0 {
			id, v := neighborRow(&n, s.ns.id, &s.memory.names)
			if v.State == "FAILED" || v.State == "INCOMPLETE" {
				s.symptoms.isUnreachable(id.Dev, id.Addr)
			}
			s.memory.put(id, v)
		}
	}
	s.memory.done()
	return nil
}

// neighborRow is the neighbour as it is recorded.
func neighborRow(n *rtnl.Neighbor, netns store.Int, links *rtnl.LinkNames) (store.NeighborID, store.Neighbor) {
	id := store.NeighborID{
		NetNS: netns, Dev: links.Of(n.Index), IfIndex: store.NonZero(n.Index),
		Family: store.Of(rtnl.FamilyNumber(n.Family)), Addr: n.Addr.String(), Proxy: store.Of(0),
	}
	v := store.Neighbor{MAC: hardwareAddr(n.MAC)}
	if n.Flags&unix.NTF_PROXY != 0 {
		id.Proxy = store.Of(1)
	} else {
		v.State = neighborStates.of(uint32(n.State))
	}
	v.Flags = flagText(uint32(n.Flags)|n.ExtFlags<<8, neighborFlags)
	return id, v
}

// neighborStates are NUD_* (linux/neighbour.h).
var neighborStates = numberNames{
	unix.NUD_NONE: "NONE", unix.NUD_INCOMPLETE: "INCOMPLETE", unix.NUD_REACHABLE: "REACHABLE", unix.NUD_STALE: "STALE",
	unix.NUD_DELAY: "DELAY", unix.NUD_PROBE: "PROBE", unix.NUD_FAILED: "FAILED", unix.NUD_NOARP: "NOARP",
	unix.NUD_PERMANENT: "PERMANENT",
}

// Of linux/neighbour.h.
const (
	ntfSticky     = 1 << 6 // NTF_STICKY, Linux 4.20
	ntfExtManaged = 1 << 0 // NTF_EXT_MANAGED, Linux 5.16
	ntfExtLocked  = 1 << 1 // NTF_EXT_LOCKED, Linux 6.0
)

// neighborFlags are NTF_*, and from bit 8 on NTF_EXT_*. Proxy is a column.
var neighborFlags = []flagName{
	{unix.NTF_ROUTER, "router"}, {unix.NTF_EXT_LEARNED, "extern_learn"}, {unix.NTF_OFFLOADED, "offload"},
	{unix.NTF_USE, "use"}, {ntfSticky, "sticky"},
	{ntfExtManaged << 8, "managed"}, {ntfExtLocked << 8, "locked"},
}
