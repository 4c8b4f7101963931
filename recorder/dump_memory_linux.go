package recorder

import (
	"hash/maphash"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// A dumpMemory spares decoding: where the kernel says again what it said in the last
// sample, the subjects are kept as they are.
type dumpMemory[ID, V comparable] struct {
	set      *store.Set[ID, V]
	names    rtnl.LinkNames
	subjects []*store.Subject[ID, V]
	sum      uint64
	valid    bool // sum and subjects are of the last sample, and complete
	seed     maphash.Seed
}

func newDumpMemory[ID, V comparable](set *store.Set[ID, V], netlink *rtnl.Conn) dumpMemory[ID, V] {
	return dumpMemory[ID, V]{
		set: set, seed: maphash.MakeSeed(),
		names: rtnl.LinkNames{Conn: netlink, ByIndex: map[int32]string{}},
	}
}

// keep keeps every subject if messages say what they said last time. Attributes that
// ticking says are ages and timers do not count. When it answers false everything is
// to be put.
func (m *dumpMemory[ID, V]) keep(messages [][]byte, header int, ticking func(kind uint16) bool) bool {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, msg := range messages {
		rtnl.Digest(&h, msg, header, ticking)
	}
	sum := h.Sum64()
	m.valid = m.valid && sum == m.sum && m.names.Same()
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
func (m *dumpMemory[ID, V]) done() { m.valid = true }
