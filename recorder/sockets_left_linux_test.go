package recorder

import (
	"testing"

	"netsql/recorder/internal/sockdiag"
)

// The close of a socket that dumps do not show any more may come late, and then it is known whose it was: for as long as it takes, but where
// only TIME_WAIT was left, which ends without one.
func TestSocketsThatLeftAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		state uint8
		told  bool // the kernel has told of its end
		waits int  // for so many samples after the one that did not show it
	}{
		{"a connection", 1, false, 10},
		{"a connection whose close came", 1, true, -1},
		{"TIME_WAIT", sockdiag.StateTimeWait, false, leftSamples - 1},
	} {
		e := &socket{}
		e.Rec.State = c.state
		p := &protocol{known: map[uint64]*socket{7: e}, closes: &closes{}}
		s := &sockets{gen: 100}
		p.leave(7, e, s.gen)
		e.closed = c.told
		for after := range 10 {
			s.gen = 100 + uint32(after)
			s.forgetLeft(p)
			if got, want := p.socketOf(7) == e, after <= c.waits; got != want {
				t.Errorf("%s: %d samples later it is known: %v, want %v", c.name, after, got, want)
			}
		}
	}
	// Of too many those are forgotten that left first.
	p, s := &protocol{left: map[uint64]*socket{}, closes: &closes{}}, &sockets{gen: 5}
	for i := range uint64(leftLimit + 1) {
		p.left[i] = &socket{gone: 2}
	}
	p.left[1].gone, p.left[2].gone = 1, 1
	s.forgetLeft(p)
	if len(p.left) != leftLimit-1 || p.socketOf(1) != nil || p.socketOf(2) != nil || p.socketOf(3) == nil {
		t.Errorf("%d are waited for", len(p.left))
	}
}
