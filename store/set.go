package store

// A Subject is one thing under observation: a socket, a route. Its number is its
// identity in the file; the span that still holds for it lives here.
type Subject[ID, V comparable] struct {
	number int64
	id     ID
	set    *Set[ID, V] // nil while dormant
	since  float64     // ts of the first sample it was seen in
	val    V           // what the open span says
	tuple  int64       // the interned rare columns of val
	from   int64       // first sample of the open span; 0 when none is open
	seen   uint64      // attempt in which it was last seen

	written bool // it has its row in the subject table
	queued  bool // it stands in a due list
	staged  bool // a change waits for the commit of this sample
	ending  bool // its span ends with this sample
	stale   bool // the last commit failed: the caller may not assume we know its value
	dead    bool // gone, or never committed
}

// Ref is how other tables point to the subject.
func (s *Subject[ID, V]) Ref() Ref { return Ref(s.number) }

// Since is the ts of the sample in which the subject was first seen, in unix seconds.
func (s *Subject[ID, V]) Since() float64 { return s.since }

// ID returns what names the subject.
func (s *Subject[ID, V]) ID() ID { return s.id }

// A Set holds the subjects of one table that one source reports. Several sources may
// feed one table (tcp4, tcp6, unix … feed sockets): each knows only about its own.
type Set[ID, V comparable] struct {
	source *Source
	table  *spanWriter[ID, V]
	byID   map[ID]*Subject[ID, V]
	staged []change[ID, V]
	open   int // subjects with an open span
	kept   int // of those, seen in this sample
}

// A change is a span that begins with this sample.
type change[ID, V comparable] struct {
	subject *Subject[ID, V]
	val     V
	tuple   int64
}

// NewSet makes a set of t's subjects that src fills.
func NewSet[ID, V comparable](src *Source, t Spans[ID, V]) *Set[ID, V] {
	set := &Set[ID, V]{
		source: src,
		table:  src.writer.tables[t.Table].(*spanWriter[ID, V]),
		byID:   map[ID]*Subject[ID, V]{},
	}
	set.table.sets = append(set.table.sets, set)
	src.sets = append(src.sets, set)
	return set
}

// Put says that the subject id has the values v in this sample. A second Put of the
// same id in one sample is ignored.
func (set *Set[ID, V]) Put(id ID, v V) *Subject[ID, V] {
	w := set.table.writer
	s := set.byID[id]
	if s == nil {
		s = set.table.subject(id)
		s.set = set
		set.byID[id] = s
	}
	if s.seen == w.attempt {
		return s
	}
	s.seen = w.attempt
	if s.from != 0 {
		set.kept++
		if s.val == v {
			s.stale = false
			return s
		}
	}
	s.staged = true
	set.staged = append(set.staged, change[ID, V]{subject: s, val: v})
	return s
}

// Keep says that the subject is there with the values it last had, without giving
// them again. It answers false when the recording does not have them: then Put.
func (set *Set[ID, V]) Keep(s *Subject[ID, V]) bool {
	if s == nil || s.dead || s.stale || s.from == 0 {
		return false
	}
	if w := set.table.writer; s.seen != w.attempt {
		s.seen = w.attempt
		set.kept++
	}
	return true
}

// rows is how many subjects were seen in this sample.
func (set *Set[ID, V]) rows() int {
	n := set.kept
	for _, c := range set.staged {
		if c.subject.from == 0 {
			n++
		}
	}
	return n
}

// begin starts a sample with nothing seen.
func (set *Set[ID, V]) begin() {
	set.staged = set.staged[:0]
	set.kept = 0
}

// drop takes back what was Put in this sample: its source failed, or the commit did.
func (set *Set[ID, V]) drop() {
	for _, c := range set.staged {
		s := c.subject
		s.staged, s.stale = false, true
		if !s.written {
			s.dead = true
			delete(set.byID, s.id)
		}
	}
	set.begin()
}

// anySet is what a source needs of its sets, whatever they hold.
type anySet interface {
	begin()
	drop()
	rows() int
	retire()
}
