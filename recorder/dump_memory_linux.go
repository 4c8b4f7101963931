package recorder

import (
	"hash/maphash"
	"math"
	"time"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// A dumpMemory spares decoding: where the kernel says again what it said in the last
// sample, the subjects are kept as they are.
type dumpMemory[ID, V comparable] struct {
	set      *store.Set[ID, V]
	names    rtnl.LinkNames
	ends     deadlines[ID]
	subjects []*store.Subject[ID, V]
	sum      uint64
	valid    bool // sum and subjects are of the last sample, and complete
	seed     maphash.Seed
}

func newDumpMemory[ID, V comparable](w *store.Writer, set *store.Set[ID, V], netlink *rtnl.Conn) dumpMemory[ID, V] {
	return dumpMemory[ID, V]{
		set: set, seed: maphash.MakeSeed(), ends: deadlines[ID]{writer: w},
		names: rtnl.LinkNames{Conn: netlink, ByIndex: map[int32]string{}},
	}
}

// keep keeps every subject if messages say what they said last time. Attributes that
// ticking says are ages and timers do not count. When it answers false everything is
// to be put.
func (m *dumpMemory[ID, V]) keep(messages [][]byte, header int, ticking func(kind uint16, value []byte) bool) bool {
	var h maphash.Hash
	h.SetSeed(m.seed)
	m.ends.begin()
	for _, msg := range messages {
		rtnl.Digest(&h, msg, header, ticking)
	}
	sum := h.Sum64()
	m.valid = m.valid && sum == m.sum && m.ends.same() && m.names.Same()
	m.sum = sum
	for _, s := range m.subjects {
		m.valid = m.valid && m.set.Keep(s)
	}
	if !m.valid {
		m.subjects = m.subjects[:0]
		clear(m.names.ByIndex)
	}
	return m.valid
}

func (m *dumpMemory[ID, V]) put(id ID, v V) {
	m.subjects = append(m.subjects, m.set.Put(id, v))
}

// done says that everything has been put.
func (m *dumpMemory[ID, V]) done() {
	m.valid = true
	m.ends.done()
}

// The deadlines of a dump are when what it lists ends: the kernel says of each how long it still lasts, in every dump again. What
// is within slack of the moment that was known is the same moment.
type deadlines[ID comparable] struct {
	writer     *store.Writer
	now        float64    // when the dump was read, as ts
	told, kept []deadline // in the order of this dump, and of the last one whose subjects were put
	was, is    map[ID][2]float64
}

// A deadline is a moment, and whether it is over.
type deadline struct {
	at   float64
	over bool
}

// slack is how exactly a deadline is known: the kernel counts the lifetimes of addresses in whole seconds.
const slack = 2.0

func (d *deadlines[ID]) begin() {
	d.told, d.now = d.told[:0], d.writer.Moment(kernel.SinceBoot())
}

// note takes down how long something still lasts; negative: it is over since then.
func (d *deadlines[ID]) note(left time.Duration) {
	d.told = append(d.told, deadline{d.now + left.Seconds(), left <= 0})
}

// same reports whether the dump tells the deadlines that the last one told.
func (d *deadlines[ID]) same() bool {
	if len(d.told) != len(d.kept) {
		return false
	}
	for i, a := range d.told {
		b := d.kept[i]
		if a.over != b.over || math.Abs(a.at-b.at) > slack && !a.over {
			return false
		}
	}
	return true
}

// of is the moment until which the subject lasts that has so much left, the first or the second of its deadlines. What is over
// stays as it was known.
func (d *deadlines[ID]) of(id ID, which int, left time.Duration) float64 {
	at, was := math.Round(d.now+left.Seconds()), d.was[id][which]
	switch {
	case was != 0 && (math.Abs(at-was) <= slack || left <= 0 && was <= d.now):
		at = was
	case left == 0: // it is over, and nobody knows since when
		at = 0
	}
	if d.is == nil {
		d.is = map[ID][2]float64{}
	}
	both := d.is[id]
	both[which] = at
	d.is[id] = both
	return at
}

func (d *deadlines[ID]) done() {
	d.kept, d.told = d.told, d.kept
	d.was, d.is = d.is, nil
}

// endOf is when ends what was told of at that time since boot, with so much left.
func endOf(w *store.Writer, at, left time.Duration) float64 {
	return math.Round(w.Moment(at) + left.Seconds())
}
