package recorder

import (
	"errors"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// traffic sums up what the TCP connections of each process of a network namespace moved since the last sample: those that
// a sample sees by the difference to the one before, those that were closed by what the kernel told at the end. What
// connections had moved before the recorder first looked is not in it.
type traffic struct {
	ns     namespace
	source *store.Source
	set    *store.Set[store.TrafficID, store.Traffic]
	sums   map[store.Ref]*moved
	known  bool // since this recording is written: what the last run had summed up has been looked through
}

// moved is what the connections of a process moved.
type moved struct {
	sent, received      uint64
	retransmits, closed int64
	unknown             int64 // of closed, the connections whose numbers the kernel had forgotten
	there               bool  // it has a socket, though perhaps an idle one
	known               bool  // what some connection of it moved is known

	subject *store.Subject[store.TrafficID, store.Traffic]
}

func newTraffic(w *store.Writer, ns namespace) *traffic {
	t := &traffic{ns: ns, source: w.SourceIn(ns.id, "traffic"), sums: map[store.Ref]*moved{}}
	t.set = store.NewSet(t.source, store.TrafficTable)
	return t
}

func (t *traffic) of(process store.Ref) *moved {
	m := t.sums[process]
	if m == nil {
		m = &moved{}
		t.sums[process] = m
	}
	m.there = true
	return m
}

// A growth is what a connection moved from one dump to the next.
type growth struct {
	socket         *socket
	sent, received uint64
	retransmits    uint32
}

// growthOf is what a connection moved between two records; of a socket that was not there before, old is empty.
func growthOf(e *socket, old, now *sockdiag.Record) growth {
	g := growth{socket: e}
	if now.Has&sockdiag.HasBytesSent != 0 && now.BytesSent > old.BytesSent {
		g.sent = now.BytesSent - old.BytesSent
	}
	if now.Has&sockdiag.HasBytesRecv != 0 && now.BytesRecv > old.BytesRecv {
		g.received = now.BytesRecv - old.BytesRecv
	}
	if now.Has&sockdiag.HasInfo != 0 && now.Retransmits > old.Retransmits {
		g.retransmits = now.Retransmits - old.Retransmits
	}
	return g
}

func (g growth) isZero() bool { return g.sent == 0 && g.received == 0 && g.retransmits == 0 }

func (m *moved) add(g growth) {
	m.sent += g.sent
	m.received += g.received
	m.retransmits += int64(g.retransmits)
}

// report puts the sums into the recording and begins again. The sum of a process without a connection rests for as long as the
// process lives.
func (t *traffic) report(protocols []*protocol, lives func(store.Ref) bool) error {
	for _, p := range protocols {
		if !p.ok {
			for _, m := range t.sums {
				*m = moved{subject: m.subject}
			}
			return errors.New(p.name + " could not be read")
		}
	}
	for process, m := range t.sums {
		if !m.there {
			if !lives(process) || !t.set.Rest(m.subject) {
				delete(t.sums, process)
			}
			continue
		}
		v := store.Traffic{Closed: store.Of(m.closed), ClosedUnknown: store.Of(m.unknown)}
		if m.known || m.unknown == 0 {
			v.BytesSent, v.BytesReceived, v.Retransmits = store.Of(m.sent), store.Of(m.received), store.Of(m.retransmits)
		}
		subject := t.set.Put(store.TrafficID{NetNS: t.ns.id, Process: process}, v)
		*m = moved{subject: subject}
	}
	if t.known {
		return nil
	}
	t.known = true
	for id := range t.set.OfLastRun() { // of the last run, and without a connection now
		if id.NetNS == t.ns.id && lives(id.Process) {
			t.sums[id.Process] = &moved{subject: t.set.RestNamed(id)}
		}
	}
	return nil
}
