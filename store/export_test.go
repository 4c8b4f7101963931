package store

import (
	"fmt"
	"testing"
)

// What the tests of package store_test need of the inside. They write the workload of package bench, which imports this one.

const NewPageSize = newPageSize

var (
	OnlyLong     = onlyLong
	Texts        = texts
	RequireSound = func(t testing.TB, path string) { t.Helper(); requireSound(t, path) }
	TidyUp       = tidyUp
	SizeOnDisk   = sizeOnDisk
)

// Limit sets the limits of a recording that is being written, and LimitSize one of them.
func Limit(w *Writer, l Limits) { w.options.Limits = l }

func LimitSize(w *Writer, bytes int64) { w.options.Limits.MaxSize = bytes }

// WALBound is how far the -wal file may grow.
func WALBound(w *Writer) int64 { return w.options.Limits.walBound() }

// Notify sets who is told of troubles.
func Notify(w *Writer, notice func(string)) { w.options.Notice = func(n Notice) { notice(n.Text) } }

// Waiting is how many samples wait in memory.
func Waiting(w *Writer) int { return len(w.pending.samples) }

// Forgotten reports whether the oldest sample has been deleted.
func Forgotten(w *Writer) bool { return w.retention.oldest.id > 1 }

// ThinEarly makes thinning begin within a test.
func ThinEarly(w *Writer) {
	w.retention.thinning.grains = []grain{{60, "minute", 1.0 / 32, 600}, {3600, "hour", 1.0 / 4, 1800}}
}

// Unthinned says which grains are not reached where one sample every ten seconds was taken.
func Unthinned(w *Writer, samples int) []string {
	var said []string
	for n, g := range w.retention.thinning.grains {
		if upto, reach := w.retention.thinning.upto[n], max(float64(samples)*10*g.share, g.least); float64(int64(samples)-upto)*10 > reach+2*float64(g.seconds) {
			said = append(said, fmt.Sprintf("one in each %s is kept only up to %d of %d", g.noun, upto, samples))
		}
	}
	return said
}
