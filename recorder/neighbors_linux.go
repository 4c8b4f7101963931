package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// neighbors records the ARP and neighbour discovery tables as ip neigh show nud all
// has them, and the addresses that the machine answers for (proxy).
type neighbors struct {
	source  *store.Source
	ns      namespace
	netlink *rtnetlink
	memory  dumpMemory[store.NeighborID, store.Neighbor]
}

func newNeighbors(w *store.Writer, ns namespace) source {
	s := &neighbors{source: w.SourceIn(ns.id, "neighbors"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(store.NewSet(s.source, store.Neighbors), s.netlink)
	return s
}

func (s *neighbors) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *neighbors) record(ctx context.Context) error {
	var messages [][]byte
	for _, flags := range []uint8{0, unix.NTF_PROXY} {
		header := [unix.SizeofNdMsg]byte{10: flags}
		got, err := s.netlink.dump(ctx, unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, header[:])
		if err != nil {
			return fmt.Errorf("dump neighbors: %w", err)
		}
		messages = append(messages, got...)
	}
	if s.memory.keep(messages, unix.SizeofNdMsg, tickingInNeighbor) {
		return nil
	}
	for _, msg := range messages {
		n, err := parseNeighbor(msg)
		if err != nil {
			return fmt.Errorf("read neighbor: %w", err)
		}
		if familyNumber(n.family) != 0 {
			id, v := n.row(s.ns.id, &s.memory.names)
			s.memory.put(id, v)
		}
	}
	s.memory.done()
	return nil
}

// tickingInNeighbor are the ages of an entry and the probes sent so far.
func tickingInNeighbor(kind uint16) bool {
	return kind == unix.NDA_CACHEINFO || kind == unix.NDA_PROBES
}

// A neighbor is an RTM_NEWNEIGH message.
type neighbor struct {
	family, flags uint8
	index         int32
	state         uint16
	extFlags      uint32
	addr          netip.Addr
	mac           []byte
}

// parseNeighbor decodes struct ndmsg and its attributes.
func parseNeighbor(msg []byte) (neighbor, error) {
	if len(msg) < unix.SizeofNdMsg {
		return neighbor{}, errShort
	}
	n := neighbor{
		family: msg[0], index: int32(binary.NativeEndian.Uint32(msg[4:])),
		state: binary.NativeEndian.Uint16(msg[8:]), flags: msg[10],
	}
	err := attributes(msg[unix.SizeofNdMsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.NDA_DST:
			n.addr = addrOf(n.family, v)
		case unix.NDA_LLADDR:
			n.mac = v
		case ndaFlagsExt:
			n.extFlags = uint32Of(v)
		}
	})
	if err == nil && familyNumber(n.family) != 0 && !n.addr.IsValid() {
		err = fmt.Errorf("entry of interface %d without an address of family %d", n.index, n.family)
	}
	return n, err
}

// row is the neighbour as it is recorded.
func (n *neighbor) row(netns store.Int, links *linkNames) (store.NeighborID, store.Neighbor) {
	id := store.NeighborID{
		NetNS: netns, Dev: links.of(n.index), IfIndex: store.NonZero(n.index),
		Family: store.Of(familyNumber(n.family)), Addr: n.addr.String(), Proxy: store.Of(0),
	}
	v := store.Neighbor{MAC: hardwareAddr(n.mac)}
	if n.flags&unix.NTF_PROXY != 0 {
		id.Proxy = store.Of(1)
	} else {
		v.State = neighborStates.of(uint32(n.state))
	}
	v.Flags = flagText(uint32(n.flags)|n.extFlags<<8, neighborFlags)
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
	ndaFlagsExt   = 15     // NDA_FLAGS_EXT, Linux 5.16
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
