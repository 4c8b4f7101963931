package store

import (
	"hash/maphash"
	"iter"
	"maps"
)

// A Subject is one thing under observation: a socket, a route. It is small, because there may be
// twenty thousand: its identity and the values of its open span are in the file, and here is only
// what tells whether they are still the same.
type Subject[ID, V comparable] struct {
	set    *Set[ID, V] // nil while the new run has not seen it, and once it is gone or was never committed
	values uint64      // hash of what the open span says
	number uint32      // its identity in the file, half of the key of a closed span
	since  uint32      // first sample it was seen in, in unix seconds
	seen   uint32      // attempt in which it was last seen

	span   spanAge // of the one that holds for it
	ending bool    // with this sample that span ends, and perhaps another begins
	stale  bool    // the last commit failed: the caller may not assume we know its value
	queued bool    // it stands in a list of those that are looked at together
}

// spanAge is how long an open span has held, as far as its end asks; see cut.
type spanAge uint8

const (
	noSpan    spanAge = iota // none holds
	youngSpan                // one that began since its subject was last looked at
	oldSpan                  // one that held already then
)

// open reports whether a span holds for the subject.
func (s *Subject[ID, V]) open() bool { return s.span != noSpan }

// Ref is how other tables point to the subject.
func (s *Subject[ID, V]) Ref() Ref { return Ref(s.number) }

// row is its identity in the file.
func (s *Subject[ID, V]) row() int64 { return int64(s.number) }

// Since is when the subject was first seen, in whole unix seconds.
func (s *Subject[ID, V]) Since() float64 { return float64(s.since) }

// A Set holds the subjects of one table that one source reports. Several sources may
// feed one table (tcp4, tcp6, unix … feed sockets): each knows only about its own.
type Set[ID, V comparable] struct {
	source *Source
	table  *spanWriter[ID, V]
	byKey  map[key]*Subject[ID, V]
	most   int // subjects that byKey has ever held
	staged []*change[ID, V]
	open   int  // subjects with an open span
	kept   int  // of those, seen in this sample
	behind bool // the last sample was not written: what it saw, the recording does not have
	read   bool // its source has been read since the run began

	resting int               // subjects that rest in this sample
	paused  []*Subject[ID, V] // of those, the ones with an open span, which ends
}

// A change is a span that begins with this sample.
type change[ID, V comparable] struct {
	subject *Subject[ID, V]
	id      *ID // of a subject that is not in the file yet
	val     V
	values  uint64 // hash of val
	tuple   int64  // the interned rare columns of val
}

// A key stands for an identity or a tuple, which would take nine times as much. It is 128 bits of hash: that
// any two of a million subjects have the same is as likely as 1 in 10^27.
type key [2]uint64

// hashes make keys of identities, and of values the 64 bits that tell whether they changed: one
// change in 10^19 would not be noticed.
type hashes[ID, V comparable] [2]maphash.Seed

func newHashes[ID, V comparable]() hashes[ID, V] {
	return hashes[ID, V]{maphash.MakeSeed(), maphash.MakeSeed()}
}

func (h *hashes[ID, V]) key(id ID) key {
	return key{maphash.Comparable(h[0], id), maphash.Comparable(h[1], id)}
}

// bytes makes a key of a tuple.
func (h *hashes[ID, V]) bytes(b []byte) key {
	return key{maphash.Bytes(h[0], b), maphash.Bytes(h[1], b)}
}

func (h *hashes[ID, V]) values(v V) uint64 { return maphash.Comparable(h[0], v) }

// NewSet makes a set of t's subjects that src fills.
func NewSet[ID, V comparable](src *Source, t Spans[ID, V]) *Set[ID, V] {
	set := &Set[ID, V]{
		source: src,
		table:  src.writer.tables[t.Table].(*spanWriter[ID, V]),
		byKey:  map[key]*Subject[ID, V]{},
	}
	set.table.sets = append(set.table.sets, set)
	src.sets = append(src.sets, set)
	return set
}

// Put says that the subject id has the values v in this sample. A second Put of the
// same id in one sample is ignored.
func (set *Set[ID, V]) Put(id ID, v V) *Subject[ID, V] {
	k := set.table.hashes.key(id)
	s := set.byKey[k]
	var name *ID
	if s == nil {
		if s = set.table.adopt(k); s == nil {
			s, name = set.table.subject(), new(id)
		}
		s.set, set.byKey[k] = set, s
	}
	set.see(s, v, name)
	return s
}

// Change says that the subject has the values v in this sample, without repeating its identity.
// It answers false when the recording does not have the subject: then Put.
func (set *Set[ID, V]) Change(s *Subject[ID, V], v V) bool {
	if s == nil || s.set != set {
		return false
	}
	set.see(s, v, nil)
	return true
}

// Keep says that the subject is there with the values it last had, without giving
// them again. It answers false when the recording does not have them: then Put.
func (set *Set[ID, V]) Keep(s *Subject[ID, V]) bool {
	if s == nil || !s.open() || s.stale {
		return false
	}
	if w := set.table.writer; s.seen != w.attempt {
		s.seen = w.attempt
		set.kept++
	}
	return true
}

// Rest says that the subject is still there, but has nothing to show in this sample: a process that holds no socket. Its
// span ends, and it stays the same subject until it is Put again. It must be said in each sample: a subject of which
// nothing is said is gone. Only tables that rest have such subjects. It answers false when the recording does not have the
// subject.
func (set *Set[ID, V]) Rest(s *Subject[ID, V]) bool {
	if !set.table.table.rests {
		panic(set.table.table.Name + " does not rest")
	}
	if s == nil || s.set != set {
		return false
	}
	if s.seen == set.table.writer.attempt {
		return true
	}
	s.seen = set.table.writer.attempt
	set.resting++
	if s.open() {
		set.paused = append(set.paused, s)
	}
	return true
}

// RestNamed is Rest for the subject of that name, also for one that the last run of the recorder left. It returns the
// subject, nil when the recording does not have it.
func (set *Set[ID, V]) RestNamed(id ID) *Subject[ID, V] {
	k := set.table.hashes.key(id)
	s := set.byKey[k]
	if s == nil {
		if s = set.table.adopt(k); s == nil {
			return nil
		}
		s.set, set.byKey[k] = set, s
	}
	set.Rest(s)
	return s
}

// OfLastRun lists what the last run of the recorder left, in the same boot, in a table that rests, as far as nothing has been
// said of it yet: of all sets of the table. Use RestNamed for what is still there. The rest is gone as soon as all sources
// of the table have been read.
func (set *Set[ID, V]) OfLastRun() iter.Seq[ID] { return maps.Values(maps.Clone(set.table.names)) }

// KeepAll says that every subject is there as it was, for a reader that returns ErrKept then. It answers false when the
// recording does not have them so: after a sample that was not written, or in which the source failed. Then Put them all.
func (set *Set[ID, V]) KeepAll() bool { return !set.behind && set.open == len(set.byKey) }

// see takes note that s has the values v in this sample; id names it when it is new.
func (set *Set[ID, V]) see(s *Subject[ID, V], v V, id *ID) {
	if s.seen == set.table.writer.attempt {
		return
	}
	s.seen = set.table.writer.attempt
	values := set.table.hashes.values(v)
	if s.open() {
		set.kept++
		if s.values == values {
			s.stale = false
			return
		}
	}
	s.ending = true
	set.staged = append(set.staged, &change[ID, V]{subject: s, id: id, val: v, values: values})
}

// rows is how many subjects were seen in this sample.
func (set *Set[ID, V]) rows() int {
	n := set.kept
	for _, c := range set.staged {
		if !c.subject.open() {
			n++
		}
	}
	return n
}

// begin starts a sample with nothing seen.
func (set *Set[ID, V]) begin() { set.drop() }

// drop takes back what was Put in this sample: its source failed, or the commit did.
func (set *Set[ID, V]) drop() {
	for _, c := range set.staged {
		c.subject.ending, c.subject.stale = false, true
		if c.id != nil { // it never came into the file
			delete(set.byKey, set.table.hashes.key(*c.id))
			c.subject.set = nil
		}
	}
	clear(set.staged)
	set.staged, set.kept = set.staged[:0], 0
	clear(set.paused)
	set.paused, set.resting = set.paused[:0], 0
}

// forget is drop for all that the recording had: every subject must be Put again.
func (set *Set[ID, V]) forget() {
	set.drop()
	for _, s := range set.byKey {
		s.set, s.span, s.ending = nil, noSpan, false
	}
	set.byKey, set.open, set.most, set.read = map[key]*Subject[ID, V]{}, 0, 0, false
}

// shrink gives back what a crowd that is gone has needed: a map never does so by itself.
func (set *Set[ID, V]) shrink() {
	set.most = max(set.most, len(set.byKey))
	if set.most > small && set.most > 4*len(set.byKey) {
		set.byKey = maps.Collect(maps.All(set.byKey))
		set.most = len(set.byKey)
	}
}

// Up to so many of anything, memory is not worth giving back.
const small = 1024

// emptied is s to be filled again; or nothing, when it once held far more than it does: in the
// first sample of all, everything is new.
func emptied[T any](s []T) []T {
	if cap(s) > small && cap(s) > 4*len(s) {
		return nil
	}
	clear(s)
	return s[:0]
}

// anySet is what a source needs of its sets, whatever they hold.
type anySet interface {
	begin()
	drop()
	rows() int
	retire()
}
