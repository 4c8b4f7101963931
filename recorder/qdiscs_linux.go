package recorder

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// qdiscs records the queueing disciplines of the interfaces (tc(8)) and their counters.
type qdiscs struct {
	source   *store.Source
	netlink  *rtnl.Conn
	set      *store.Set[store.QdiscID, store.Qdisc]
	ns       namespace
	names    rtnl.LinkNames
	known    map[qdiscPlace]*knownQdisc
	readings int
}

// qdiscPlace is where the kernel keeps a queueing discipline.
type qdiscPlace struct {
	index          int32
	handle, parent uint32
}

// A knownQdisc is what the last sample said of one: its words need to be made again only when they changed.
type knownQdisc struct {
	id      store.QdiscID
	kind    string
	subject *store.Subject[store.QdiscID, store.Qdisc]
	reading int
}

func newQdiscs(w *store.Writer, ns namespace) source {
	s := &qdiscs{source: w.SourceIn(ns.id, "qdiscs"), ns: ns, netlink: ns.rtnetlink(), known: map[qdiscPlace]*knownQdisc{}}
	s.set = store.NewSet(s.source, store.Qdiscs)
	s.names = rtnl.LinkNames{Conn: s.netlink, ByIndex: map[int32]string{}}
	return s
}

func (s *qdiscs) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *qdiscs) record(ctx context.Context) error {
	var header [rtnl.SizeofTC]byte
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETQDISC, unix.RTM_NEWQDISC, header[:])
	// A kernel that does not know them has none.
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("dump qdiscs: %w", err)
	}
	s.readings++
	clear(s.names.ByIndex)
	for _, msg := range messages {
		q, err := rtnl.ParseQdisc(msg)
		if err != nil {
			return fmt.Errorf("read qdisc: %w", err)
		}
		s.put(&q)
	}
	for place, k := range s.known {
		if k.reading != s.readings {
			delete(s.known, place)
		}
	}
	return nil
}

// put records one, but for noqueue: it counts nothing, and every veth has one.
func (s *qdiscs) put(q *rtnl.Qdisc) {
	if string(q.Kind) == "noqueue" {
		return
	}
	dev := s.names.Now(q.Index)
	if dev == "" {
		return // it went with its interface, since the dump
	}
	place := qdiscPlace{q.Index, q.Handle, q.Parent}
	k := s.known[place]
	if k == nil || k.id.Dev != dev {
		k = &knownQdisc{id: store.QdiscID{
			NetNS: s.ns.id, Dev: dev, IfIndex: store.Of(q.Index), Handle: handleText(q.Handle), Parent: parentText(q.Parent),
		}}
		s.known[place] = k
	}
	if k.kind != string(q.Kind) {
		k.kind = string(q.Kind)
	}
	k.reading = s.readings
	v := store.Qdisc{
		Kind: k.kind, Bytes: q.Bytes, Packets: q.Packets, Dropped: q.Dropped, Overlimits: q.Overlimits, Requeues: q.Requeues,
		Backlog: q.Backlog, QLen: q.QLen,
	}
	if !s.set.Change(k.subject, v) {
		k.subject = s.set.Put(k.id, v)
	}
}

// handleText is a handle as tc prints it: 1:2, and 1: and :2 where the other half is 0.
func handleText(handle uint32) string {
	major, minor := handle>>16, handle&0xffff
	switch {
	case handle == 0:
		return "0:"
	case major == 0:
		return fmt.Sprintf(":%x", minor)
	case minor == 0:
		return fmt.Sprintf("%x:", major)
	}
	return fmt.Sprintf("%x:%x", major, minor)
}

// parentText is where a queueing discipline stands; "": nowhere.
func parentText(parent uint32) string {
	switch parent {
	case rtnl.QdiscNowhere:
		return ""
	case rtnl.QdiscRoot:
		return "root"
	case rtnl.QdiscIngress:
		return "ingress"
	}
	return handleText(parent)
}
