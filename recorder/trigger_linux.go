package recorder

import (
	"sync/atomic"
	"time"
)

// A trigger tells the recorder that something changed, so that it takes the next sample at once.
type trigger struct {
	signal chan struct{}
	urgent atomic.Uint32 // the most urgent since the last take
}

// How urgent a change is. Neighbours come and go all the time, and must not use up what routes and links may.
const (
	notUrgent = iota
	triggersALittle
	triggers
)

func newTrigger() *trigger { return &trigger{signal: make(chan struct{}, 1)} }

func (w *trigger) fire(urgent uint32) {
	for {
		was := w.urgent.Load()
		if was >= urgent || w.urgent.CompareAndSwap(was, urgent) {
			break
		}
	}
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// take returns how urgent it is, and forgets it.
func (w *trigger) take() uint32 {
	select {
	case <-w.signal:
	default:
	}
	return w.urgent.Swap(notUrgent)
}

const (
	// settling is how long a burst of changes may take to be seen by one sample.
	settling = 10 * time.Millisecond
	// triggerPause is the shortest time from a sample to one that is brought forward.
	triggerPause = 500 * time.Millisecond
	// triggerShare is what part of the time samples may take that are brought forward: a tenth, however long one takes.
	triggerShare = 10
	// Samples that are brought forward in a minute, and of these for neighbours alone.
	triggersPerMinute       = 30
	littleTriggersPerMinute = 6
)

// A triggerBudget decides whether a change brings the next sample forward. What does not is seen by the next regular one.
type triggerBudget struct {
	all, little allowance
	began, took time.Duration // of the last sample
}

func (b *triggerBudget) begin(now time.Duration) { b.began = now }
func (b *triggerBudget) end(now time.Duration)   { b.took = now - b.began }

// bring says how long to wait with the sample. next is when one is taken anyway.
func (b *triggerBudget) bring(urgent uint32, now, next time.Duration) (time.Duration, bool) {
	wait := max(settling, b.began+max(triggerPause, triggerShare*b.took)-now)
	if urgent == notUrgent || wait >= next {
		return 0, false
	}
	if urgent == triggersALittle && !b.little.take(now, littleTriggersPerMinute) {
		return 0, false
	}
	return wait, b.all.take(now, triggersPerMinute)
}

// An allowance is so many a minute, and after a quiet minute as many at once.
type allowance struct {
	used float64 // of a minute's
	at   time.Duration
}

func (a *allowance) take(now time.Duration, perMinute int) bool {
	a.used = max(0, a.used-float64(perMinute)*(now-a.at).Minutes())
	a.at = now
	if a.used+1 > float64(perMinute) {
		return false
	}
	a.used++
	return true
}

// A closerLook decides when samples are taken each second: for a minute from the sample on that saw something lost, so that a bad minute has
// detail. It saves up for the next such minute.
type closerLook struct {
	saved time.Duration // how long it may look
	until time.Duration // since boot
	at    time.Duration // when saved was worked out
}

const (
	closerEach = time.Second
	closerFor  = time.Minute
	// closerShare is what part of the time it may look: a twentieth.
	closerShare = 20
)

// next says how long to wait with the next sample, after one that began at that time since boot, took so long, and saw something acute or not.
func (c *closerLook) next(acute bool, began, took time.Duration) (time.Duration, bool) {
	if c.at > 0 {
		c.saved = min(closerFor, c.saved+(began-c.at)/closerShare)
	}
	c.at = began
	if acute && began >= c.until && c.saved >= closerFor {
		c.until, c.saved = began+closerFor, 0
	}
	if began >= c.until {
		return 0, false
	}
	return max(closerEach, triggerShare*took) - took, true
}
