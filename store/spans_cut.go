package store

// cutTogether is how many subjects, whose numbers follow each other, have their spans cut at the same sample: they share a
// page of the file. Cut one by one, each sample would write every page of the open spans again.
const cutTogether = 64

// looked are the two places of the cut queue that are looked at in sample m. Each place is looked at twice in K samples.
func (t *spanWriter[ID, V]) looked(m int64) (full, half int64) {
	return m % t.table.K, (m + t.table.K/2) % t.table.K
}

// cut ends the spans that would become longer than K. Their subjects go on with another span.
//
// The first look at a span finds it young, the second cuts it: by then it has held for more than half of K samples, at most for
// all. A span that ends by itself in between costs nothing. If every span were cut once in K samples instead, that would make a
// twelfth of all rows where sockets move every few samples.
func (t *spanWriter[ID, V]) cut(m int64) {
	full, half := t.looked(m)
	for _, place := range []int64{full, half} {
		there := t.cutQueue[place]
		live := there[:0]
		for _, s := range there {
			if !s.open() {
				s.queued = false
				continue
			}
			live = append(live, s)
			if s.span == oldSpan && !s.ending {
				t.cuts = append(t.cuts, s)
			}
		}
		clear(there[len(live):])
		t.cutQueue[place] = live
	}
}

// age takes note that spans were looked at in sample m. A span that goes on where another was cut at the half turn of the
// queue counts as old: it is cut at the full turn, and from then on once in K samples. Without that, all subjects that came
// together would always be cut in the same half.
func (t *spanWriter[ID, V]) age(m int64) {
	full, half := t.looked(m)
	for _, s := range t.cutQueue[half] {
		s.span = oldSpan
	}
	for _, s := range t.cutQueue[full] {
		if s.span == oldSpan {
			s.span = youngSpan
		} else {
			s.span = oldSpan
		}
	}
}
