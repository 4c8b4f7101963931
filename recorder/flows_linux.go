package recorder

import (
	"context"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/ctnetlink"
	"netsql/store"
)

// flows records what connection tracking keeps of each flow (conntrack(8)). A router has hundreds of thousands, each of which would be a row: of those
// that are new no more are recorded in a sample than the budget.
type flows struct {
	source   *store.Source
	set      *store.Set[store.FlowID, store.Flow]
	ns       namespace
	conn     ctnetlink.Conn
	budget   int
	texts    texts
	known    map[flowKey]*knownFlow
	readings int
}

// A flowKey is what tells flows apart: the kernel's number alone is a hash.
type flowKey struct {
	id   uint32
	orig ctnetlink.Tuple
	zone uint16
}

type knownFlow struct {
	subject *store.Subject[store.FlowID, store.Flow]
	reading int
}

func newFlows(w *store.Writer, ns namespace, budget int) source {
	s := &flows{source: w.SourceIn(ns.id, "conntrack_flows"), ns: ns, budget: budget, known: map[flowKey]*knownFlow{}}
	if ns.netlink != nil {
		s.conn.Log = ns.netlink.Log
	}
	s.set = store.NewSet(s.source, store.ConntrackFlows)
	return s
}

func (s *flows) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *flows) record(ctx context.Context) error {
	s.readings++
	fresh, left := 0, 0
	err := s.conn.Dump(ctx, func(f *ctnetlink.Flow) error {
		key := flowKey{f.ID, f.Orig, f.Zone}
		k := s.known[key]
		switch {
		case k == nil && fresh >= s.budget:
			left++
			return nil
		case k == nil:
			fresh++
			k = &knownFlow{}
			s.known[key] = k
		case k.reading == s.readings:
			return nil // the table grew while it was read
		}
		k.reading = s.readings
		v := valueOf(f)
		if k.subject == nil || !s.set.Change(k.subject, v) {
			k.subject = s.set.Put(s.identify(f), v)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("dump the flows of connection tracking: %w", err)
	}
	for key, k := range s.known {
		if k.reading != s.readings {
			delete(s.known, key)
		}
	}
	if left > 0 {
		return &store.PartialError{Missing: fmt.Sprintf("%d flows of connection tracking are not recorded: more than %d new ones in a sample; --close-budget sets that", left, s.budget)}
	}
	return nil
}

func (s *flows) identify(f *ctnetlink.Flow) store.FlowID {
	address := func(a *[16]byte) string { return s.texts.address(f.Family, a) }
	id := store.FlowID{
		NetNS: s.ns.id, Proto: protocolName(f.Orig.Proto), Family: store.Of(4),
		SrcAddr: address(&f.Orig.Src), DstAddr: address(&f.Orig.Dst),
		ReplySrcAddr: address(&f.Reply.Src), ReplyDstAddr: address(&f.Reply.Dst),
		Zone: store.NonZero(f.Zone), ID: store.Of(f.ID),
	}
	if f.Family == unix.AF_INET6 {
		id.Family = store.Of(6)
	}
	if f.Orig.Ports {
		id.SrcPort, id.DstPort = store.Of(f.Orig.SrcPort), store.Of(f.Orig.DstPort)
		id.ReplySrcPort, id.ReplyDstPort = store.Of(f.Reply.SrcPort), store.Of(f.Reply.DstPort)
	}
	if f.Orig.Proto == unix.IPPROTO_ICMP || f.Orig.Proto == unix.IPPROTO_ICMPV6 {
		id.ICMPID = store.Of(f.Orig.ICMPID)
	}
	return id
}

func valueOf(f *ctnetlink.Flow) store.Flow {
	return store.Flow{
		NAT: f.NAT(), State: f.State(), Mark: store.NonZero(f.Mark),
		Replied: bit(f.Status, ctnetlink.SeenReply), Assured: bit(f.Status, ctnetlink.Assured), Offloaded: store.NonZero(f.Status & ctnetlink.Offload >> 14),
		BytesSent: f.BytesOrig, BytesReceived: f.BytesReply, PacketsSent: f.PacketsOrig, PacketsReceived: f.PacketsReply,
	}
}

func bit(status, mask uint32) store.Int { return store.Of(boolean(status&mask != 0)) }

// protocolName is the protocol of an IP packet in words.
func protocolName(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	case unix.IPPROTO_ICMP:
		return "icmp"
	case unix.IPPROTO_ICMPV6:
		return "icmpv6"
	case unix.IPPROTO_SCTP:
		return "sctp"
	case unix.IPPROTO_GRE:
		return "gre"
	case unix.IPPROTO_UDPLITE:
		return "udplite"
	}
	return strconv.Itoa(int(number))
}
