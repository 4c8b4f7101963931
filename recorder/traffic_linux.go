package recorder

import (
	"errors"
	"fmt"

	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// traffic sums up what the TCP connections of each process of a network namespace moved since the last sample, by the interface
// that they take: those that a sample sees by the difference to the one before, those that were closed by what the kernel told at the end. What
// connections had moved before the recorder first looked is not in it.
type traffic struct {
	ns     namespace
	source *store.Source
	set    *store.Set[store.TrafficID, store.Traffic]
	users  *owners.Users
	ways   *ways
	sums   map[sumKey]*moved
	known  bool // since this recording is written: what the last run had summed up has been looked through
}

// A sumKey is what connections have in common that are summed up.
type sumKey struct {
	process store.Ref
	uid     store.Int
	dev     string // interface; "": it is not known
}

// moved is what the connections of a sumKey moved.
type moved struct {
	sent, received      uint64
	retransmits, closed int64
	unknown             int64 // of closed, the connections whose numbers the kernel had forgotten
	there               bool  // something of it moved, or was closed
	known               bool  // what some connection of it moved is known
	rested              int   // samples in which it did not

	subject *store.Subject[store.TrafficID, store.Traffic]
}

func newTraffic(w *store.Writer, ns namespace, users *owners.Users, by *ways) *traffic {
	t := &traffic{ns: ns, source: w.SourceIn(ns.id, "traffic"), users: users, ways: by, sums: map[sumKey]*moved{}}
	t.set = store.NewSet(t.source, store.TrafficTable)
	return t
}

func (t *traffic) of(key sumKey) *moved {
	m := t.sums[key]
	if m == nil {
		m = &moved{}
		t.sums[key] = m
	}
	m.there = true
	return m
}

// A growth is what a connection moved from one dump to the next.
type growth struct {
	socket         *socket
	sent, received uint64
	retransmits    uint32
	segments       uint32 // sent
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
	if now.Has&sockdiag.HasSegs != 0 && now.SegsOut > old.SegsOut {
		g.segments = now.SegsOut - old.SegsOut
	}
	return g
}

func (g growth) isZero() bool { return g.sent == 0 && g.received == 0 && g.retransmits == 0 }

func (m *moved) add(g growth) {
	m.sent += g.sent
	m.received += g.received
	m.retransmits += int64(g.retransmits)
}

// restSamples is for how many samples a sum rests: interfaces come and go while a process lives.
const restSamples = 1000

// report puts the sums into the recording and begins again. The sum of what did not move rests, as long as the process lives.
func (t *traffic) report(protocols []*protocol, lives func(store.Ref) bool) error {
	for _, p := range protocols {
		if !p.ok {
			for _, m := range t.sums {
				*m = moved{subject: m.subject, rested: m.rested}
			}
			return errors.New(p.name + " could not be read")
		}
	}
	for key, m := range t.sums {
		if !m.there {
			if m.rested++; m.rested > restSamples || !lives(key.process) || !t.set.Rest(m.subject) {
				delete(t.sums, key)
			}
			continue
		}
		v := store.Traffic{Closed: store.Of(m.closed), ClosedUnknown: store.Of(m.unknown)}
		if m.known || m.unknown == 0 {
			v.BytesSent, v.BytesReceived, v.Retransmits = store.Of(m.sent), store.Of(m.received), store.Of(m.retransmits)
		}
		subject := t.set.Put(t.named(key), v)
		*m = moved{subject: subject}
	}
	if !t.known {
		t.known = true
		for id := range t.set.OfLastRun() { // of the last run, and nothing moved now
			if id.NetNS == t.ns.id && lives(id.Process) {
				t.sums[sumKey{id.Process, id.UID, id.Interface}] = &moved{subject: t.set.RestNamed(id)}
			}
		}
	}
	return t.missing()
}

// named is what the recording calls a sum.
func (t *traffic) named(key sumKey) store.TrafficID {
	id := store.TrafficID{NetNS: t.ns.id, Process: key.process, UID: key.uid, Interface: key.dev}
	if uid, known := key.uid.Get(); known {
		id.User = t.users.Name(uint32(uid))
	}
	return id
}

// missing says why the interfaces of some connections are not known.
func (t *traffic) missing() error {
	switch {
	case t.ways.err != nil:
		return &store.PartialError{Missing: fmt.Sprintf("the interfaces of some connections are not known: %v", t.ways.err)}
	case t.ways.unasked:
		return &store.PartialError{Missing: fmt.Sprintf("the interfaces of some connections are not known: they are with more others than "+
			"the %d that the kernel is asked about in a sample", waysBudget)}
	}
	return nil
}
