package sockdiag

import (
	"math"
	"time"
)

// A Tick is a moment, in hundredths of a second since boot; 0: none. The kernel counts in ticks as long, or shorter ones. It begins again
// after 497 days: only near another moment does it say which one it is.
type Tick uint32

const tickLength = 10 * time.Millisecond

// TickOf is the tick in which at is, since boot.
func TickOf(at time.Duration) Tick { return max(1, Tick(at/tickLength)) }

// tickAgo is the tick so many ms ago. The kernel's number begins again after 49 days.
func tickAgo(at time.Duration, ms uint32) Tick {
	ago := time.Duration(ms) * time.Millisecond
	if ago > at {
		return 0 // it is no age: of SYN_SENT, the kernel's clock itself
	}
	return TickOf(at - ago)
}

// age is how many ticks ago a tick of the past is.
func (t Tick) age(now Tick) Tick {
	const hour = Tick(time.Hour / tickLength)
	if now-t > math.MaxUint32-hour {
		return 0 // the kernel told of it after the time that is taken for now
	}
	return now - t
}

// Past is how many ticks after boot a tick of the past is, as seen at that time.
func (t Tick) Past(at time.Duration) int64 {
	return int64(at/tickLength) - int64(t.age(Tick(at/tickLength)))
}

// Ahead is the same of one that may be to come.
func (t Tick) Ahead(at time.Duration) int64 {
	return int64(at/tickLength) + int64(int32(t-Tick(at/tickLength)))
}

// isNear reports whether two moments may be the same one.
//
// What is told in whole ticks of the kernel from now, moves by one of them, at most 10 ms; that now is read before the kernel
// writes, moves it by the time that it takes to write 32 KB, or by much more where something else runs meanwhile. A timer that is set again ends at
// least a minimal RTO of 200 ms later. Were it less, the moment kept would be wrong by 0.1 s.
func (t Tick) isNear(o Tick) bool {
	const near = 10
	d := int32(t - o)
	return -near <= d && d <= near
}

// Timers as in idiag_timer.
const (
	timerRetransmit = 1
	timerKeepalive  = 2
	timerProbe      = 4
)

// tellTimer says when the timer runs out, which the kernel tells in ms from at. That of a connection on which data flows starts again
// with every acknowledgement and says nothing; one of TIME_WAIT ends a minute after it began.
func (r *Record) tellTimer(tries uint8, expires uint32, at time.Duration) {
	if at == 0 || r.Has&HasInfo == 0 {
		return
	}
	switch r.Timer {
	case timerRetransmit:
		if tries == 0 && r.Backoff == 0 {
			return
		}
	case timerKeepalive, timerProbe:
	default:
		return
	}
	if expires == 0 {
		r.Has |= hasOverdue
	}
	r.TimerEnds = TickOf(at + time.Duration(expires)*time.Millisecond)
}

// rememberTimer keeps the moment of a timer that is the same one. The kernel comes to a long timer up to an eighth of its time late,
// and tells 0 ms till then.
func (r *Record) rememberTimer(last *Record) {
	same := r.Timer == last.Timer && r.Tries == last.Tries && r.Backoff == last.Backoff && r.TimerEnds != 0 && last.TimerEnds != 0
	if same && (r.Has&hasOverdue != 0 || r.TimerEnds.isNear(last.TimerEnds)) {
		r.TimerEnds = last.TimerEnds
	}
	r.Has &^= hasOverdue
}

// rememberMoments keeps the moments of what has not moved. The kernel counts the bytes and notes the time at once. So they stay
// right also where the machine is suspended later: the kernel's ages do not count that.
func (r *Record) rememberMoments(last *Record) {
	if r.Has&last.Has&HasMoments == 0 {
		return
	}
	keep := func(t *Tick, last Tick, bytes, before uint64) {
		// Before any byte has moved, the age is that of the connection, and in SYN_SENT none at all.
		if last != 0 && bytes == before && (bytes > 0 || t.isNear(last)) {
			*t = last
		}
	}
	keep(&r.LastSent, last.LastSent, r.BytesSent, last.BytesSent)
	keep(&r.LastRecv, last.LastRecv, r.BytesRecv, last.BytesRecv)
}

// Settle says how moments are told.
type Settle struct {
	Quiet time.Duration // how long nothing must have moved, so that it is worth telling since when
	Woke  time.Duration // since boot: ages of what was before are too short, as the machine was suspended; 0: it never was
}

// Settle leaves out the moments that are not known, or would move again soon, and notes what was long ago. last is the record before, r that of
// the time at.
func (r *Record) Settle(last *Record, at time.Duration, s Settle) {
	if r.Has&HasMoments == 0 && r.Timer != timerKeepalive {
		return
	}
	now, quietFor, woke := Tick(at/tickLength), Tick(s.Quiet/tickLength), Tick(s.Woke/tickLength)
	quiet := false
	if r.Has&HasMoments != 0 {
		if woke != 0 && r.LastSent != last.LastSent && r.LastSent.age(now) > woke.age(now) {
			r.LastSent = 0
		}
		if woke != 0 && r.LastRecv != last.LastRecv && r.LastRecv.age(now) > woke.age(now) {
			r.LastRecv = 0
		}
		sent, received := r.LastSent != 0 && r.LastSent.age(now) >= quietFor, r.LastRecv != 0 && r.LastRecv.age(now) >= quietFor
		if sent && r.BytesSent > 0 {
			r.Has |= SentLongAgo
		}
		if received && r.BytesRecv > 0 {
			r.Has |= RecvLongAgo
		}
		quiet = sent && received
	}
	if r.Timer == timerKeepalive && r.Tries == 0 && r.TimerEnds != 0 {
		// Where each probe is answered, the timer starts again every time: one of 15 s would have four moments a minute.
		long := r.TimerEnds == last.TimerEnds || int32(r.TimerEnds-now) >= int32(quietFor)
		if !quiet || !long {
			r.TimerEnds = 0
		}
	}
}

// tellRate takes what tcp_info says of the speed of delivery. A speed that the application set is left out: it moves with what there is to send.
func (r *Record) tellRate(flags byte, rate uint64) {
	switch {
	case rate == 0:
		return
	case firstBit(flags):
		r.Has |= IsAppLimited
	default:
		r.DeliveryRate = coarseOf(min(rate, math.MaxInt64/2))
	}
	r.Has |= HasRate
}

// rememberRate keeps the speed for as long as it is within a step of what it was.
func (r *Record) rememberRate(last *Record) {
	if r.DeliveryRate != 0 && last.DeliveryRate != 0 && max(r.DeliveryRate, last.DeliveryRate)-min(r.DeliveryRate, last.DeliveryRate) <= 1 {
		r.DeliveryRate = last.DeliveryRate
	}
}
