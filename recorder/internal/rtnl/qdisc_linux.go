package rtnl

import (
	"encoding/binary"

	"netsql/store"
)

// SizeofTC is the size of struct tcmsg of linux/rtnetlink.h.
const SizeofTC = 20

// Attributes of a queueing discipline: TCA_* of linux/rtnetlink.h, and TCA_STATS_* of linux/gen_stats.h, which stand within TCA_STATS2.
const (
	qdiscKind   = 1
	qdiscStats  = 3
	qdiscStats2 = 7

	statsBasic     = 1
	statsQueue     = 3
	statsBasicHW   = 7
	statsPackets64 = 8
)

// Handles of linux/pkt_sched.h.
const (
	QdiscNowhere = 0          // TC_H_UNSPEC
	QdiscRoot    = 0xffffffff // TC_H_ROOT
	QdiscIngress = 0xfffffff1 // TC_H_INGRESS, and of clsact
)

// A Qdisc is an RTM_NEWQDISC message. Its slice points into it. What the kernel does not say is unknown.
type Qdisc struct {
	Index                         int32
	Handle, Parent                uint32
	Kind                          []byte
	Bytes, Packets                store.Int
	Dropped, Overlimits, Requeues store.Int
	Backlog, QLen                 store.Int
}

// ParseQdisc decodes struct tcmsg and its attributes.
func ParseQdisc(msg []byte) (Qdisc, error) {
	if len(msg) < SizeofTC {
		return Qdisc{}, ErrShort
	}
	q := Qdisc{
		Index:  int32(binary.NativeEndian.Uint32(msg[4:])),
		Handle: binary.NativeEndian.Uint32(msg[8:]), Parent: binary.NativeEndian.Uint32(msg[12:]),
	}
	var old, stats []byte
	err := Attributes(msg[SizeofTC:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case qdiscKind:
			q.Kind, err = TextOf(v)
		case qdiscStats:
			old = v
		case qdiscStats2:
			stats = v
		}
		return err
	})
	if err != nil {
		return q, err
	}
	if stats == nil { // before Linux 2.6.10
		return q, q.oldStats(old)
	}
	return q, q.stats(stats)
}

// stats decodes what stands in TCA_STATS2.
func (q *Qdisc) stats(b []byte) error {
	ofHardware := false
	return Attributes(b, func(kind uint16, v []byte) error {
		switch kind {
		case statsBasic: // struct gnet_stats_basic
			if len(v) < 12 {
				return tooShort(v)
			}
			q.Bytes, q.Packets = store.Of(binary.NativeEndian.Uint64(v)), store.Of(binary.NativeEndian.Uint32(v[8:]))
		case statsBasicHW:
			ofHardware = true // the part of basic that a network card sent by itself
		case statsPackets64: // where 32 bits are too few, after those that they are of (Linux 5.5)
			if len(v) < 8 {
				return tooShort(v)
			}
			if !ofHardware {
				q.Packets = store.Of(binary.NativeEndian.Uint64(v))
			}
		case statsQueue: // struct gnet_stats_queue
			if len(v) < 20 {
				return tooShort(v)
			}
			for i, field := range [...]*store.Int{&q.QLen, &q.Backlog, &q.Dropped, &q.Requeues, &q.Overlimits} {
				*field = store.Of(binary.NativeEndian.Uint32(v[4*i:]))
			}
		}
		return nil
	})
}

// oldStats decodes struct tc_stats, which knows no requeues.
func (q *Qdisc) oldStats(b []byte) error {
	if b == nil {
		return nil
	}
	if len(b) < 36 {
		return tooShort(b)
	}
	q.Bytes = store.Of(binary.NativeEndian.Uint64(b))
	for _, field := range [...]struct {
		at int
		of *store.Int
	}{{8, &q.Packets}, {12, &q.Dropped}, {16, &q.Overlimits}, {28, &q.QLen}, {32, &q.Backlog}} {
		*field.of = store.Of(binary.NativeEndian.Uint32(b[field.at:]))
	}
	return nil
}
