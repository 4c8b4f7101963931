package sockdiag

import (
	"fmt"
	"testing"
	"time"

	"netsql/recorder/kerneltest"
)

// A moving is what the kernel says of the moments of an established connection.
type moving struct {
	at                      time.Duration
	timer, tries, backoff   uint8
	expires                 uint32 // in ms
	sent, received          uint32 // ms ago
	bytesSent, bytesReceive uint32
}

func (m moving) after(t *testing.T, last *Record, s Settle) Record {
	t.Helper()
	info := kerneltest.TCPInfo(240)
	info[3], info[4], info[7] = m.tries, m.backoff, 1
	copy(info[44:], words(m.sent))
	copy(info[52:], words(m.received))
	copy(info[200:], words(m.bytesSent, 0))
	copy(info[128:], words(m.bytesReceive, 0))
	b := kerneltest.InetMessage(1, 2, info)
	b[2], b[3] = m.timer, m.tries
	copy(b[52:], words(m.expires))
	r, err := DecodeInetAt(b, m.at)
	if err != nil {
		t.Fatal(err)
	}
	r.Remember(last)
	r.Settle(last, m.at, s)
	return r
}

const (
	hour  = time.Hour
	off   = 0
	on    = timerRetransmit
	keep  = timerKeepalive
	probe = timerProbe
)

// ticks is a time since boot in hundredths of a second.
func ticks(at time.Duration) Tick { return Tick(at.Milliseconds() / 10) }

// Which timer is worth a moment, and which is not.
func TestTimerIsTold(t *testing.T) {
	t.Parallel()
	const minutes = 60_000
	at := 5 * hour
	in := func(ms int) Tick { return ticks(at) + Tick(ms/10) }
	for _, c := range []struct {
		name string
		m    moving
		want Tick
	}{
		{"none", moving{timer: off, expires: 1000, tries: 1}, 0},
		{"retransmit, the first time", moving{timer: on, expires: 1000}, 0},
		{"retransmit, for the second time", moving{timer: on, expires: 1000, tries: 1}, in(1000)},
		{"retransmit, backed off", moving{timer: on, expires: 1000, backoff: 1}, in(1000)},
		{"retransmit, overdue", moving{timer: on, expires: 0, backoff: 1}, in(0)},
		{"probe, the first", moving{timer: probe, expires: 200}, in(200)},
		{"probe, the third", moving{timer: probe, expires: 1600, tries: 2, backoff: 3}, in(1600)},
		{"keepalive, of an active connection", moving{timer: keep, expires: 90 * minutes, sent: 1000, received: 1000}, 0},
		{"keepalive, of one that only receives", moving{timer: keep, expires: 90 * minutes, sent: 10 * minutes, received: 1000}, 0},
		{"keepalive, of one that only sends", moving{timer: keep, expires: 90 * minutes, sent: 1000, received: 10 * minutes}, 0},
		{"keepalive, of a quiet one", moving{timer: keep, expires: 90 * minutes, sent: 10 * minutes, received: 10 * minutes}, in(90 * minutes)},
		{"keepalive, of a quiet one, soon", moving{timer: keep, expires: 5*minutes - 10, sent: 10 * minutes, received: 10 * minutes}, 0},
		{"keepalive, of a quiet one, just far enough", moving{timer: keep, expires: 5 * minutes, sent: 5 * minutes, received: 5 * minutes}, in(5 * minutes)},
		{"keepalive, not answered", moving{timer: keep, expires: 1000, tries: 1, sent: 1000, received: 1000}, in(1000)},
		{"timewait", moving{timer: 3, expires: 1000}, 0},
	} {
		c.m.at = at
		if got := c.m.after(t, &Record{}, Settle{Quiet: 5 * time.Minute}).TimerEnds; got != c.want {
			t.Errorf("%s: ends at %v, want %v", c.name, got, c.want)
		}
		c.m.at = 0
		if got := c.m.after(t, &Record{}, Settle{Quiet: 5 * time.Minute}).TimerEnds; got != 0 {
			t.Errorf("%s, without a clock: ends at %v", c.name, got)
		}
	}
}

// A moment stays what it is while the kernel's ticks, and the time that it takes to write, move what is told.
func TestMomentsStandStill(t *testing.T) {
	t.Parallel()
	s := Settle{Quiet: 5 * time.Minute}
	for name, first := range map[string]moving{
		"retransmit": {timer: on, tries: 3, backoff: 3, expires: 100_000, sent: 400_000, received: 1000, bytesSent: 5, bytesReceive: 6},
		"probe":      {timer: probe, expires: 100_000, sent: 400_000, received: 400_000, bytesSent: 5, bytesReceive: 6},
		"keepalive":  {timer: keep, expires: 7_100_000, sent: 100, received: 400_000, bytesSent: 5, bytesReceive: 6},
		"unanswered": {timer: keep, tries: 2, expires: 75_000, sent: 400_000, received: 400_000, bytesSent: 5, bytesReceive: 6},
	} {
		first.at = 5 * hour
		last := first.after(t, &Record{}, s)
		changes := 0
		for i := range 200 {
			m := first
			elapsed := time.Duration(i+1) * 5 * time.Second
			// Up to one tick of 10 ms later, and read up to 80 ms too early.
			tick, early := uint32(i%2*10), time.Duration(i*37%80)*time.Millisecond
			m.at += elapsed - early
			left := int64(m.expires) - elapsed.Milliseconds() + int64(tick)
			m.expires = uint32(max(0, left))
			m.sent += uint32(elapsed.Milliseconds()) - tick
			m.received += uint32(elapsed.Milliseconds()) - tick
			r := m.after(t, &last, s)
			if r != last {
				changes++
			}
			if r.LastSent != last.LastSent || r.LastRecv != last.LastRecv || r.TimerEnds != last.TimerEnds && last.TimerEnds != 0 {
				t.Errorf("%s, after %v: sent %v, received %v, ends %v; before: %v, %v, %v", name, elapsed, r.LastSent, r.LastRecv, r.TimerEnds, last.LastSent, last.LastRecv, last.TimerEnds)
			}
			last = r
		}
		// For one of them or both, five minutes go by once; then a keepalive timer is told.
		if want := map[string]int{"retransmit": 1, "keepalive": 1}[name]; changes != want {
			t.Errorf("%s: %d changes, want %d", name, changes, want)
		}
		if last.TimerEnds == 0 || last.Has&(SentLongAgo|RecvLongAgo) != SentLongAgo|RecvLongAgo {
			t.Errorf("%s, at the end: ends %v, has %b", name, last.TimerEnds, last.Has)
		}
	}
}

// What moved has another moment, also where it is only a little later.
func TestMomentsMove(t *testing.T) {
	t.Parallel()
	s := Settle{Quiet: 5 * time.Minute}
	old := moving{at: 5 * hour, timer: on, tries: 3, backoff: 3, expires: 1000, sent: 400_000, received: 400_000, bytesSent: 5, bytesReceive: 6}
	last := old.after(t, &Record{}, s)
	for _, c := range []struct {
		name   string
		change func(m *moving)
		got    func(r Record) any
		want   any
	}{
		{"sent", func(m *moving) { m.bytesSent++; m.sent -= 50 }, func(r Record) any { return [2]Tick{r.LastSent, r.LastRecv} }, [2]Tick{last.LastSent + 5, last.LastRecv}},
		{"received", func(m *moving) { m.bytesReceive++; m.received -= 50 }, func(r Record) any { return [2]Tick{r.LastSent, r.LastRecv} }, [2]Tick{last.LastSent, last.LastRecv + 5}},
		{"sent just now", func(m *moving) { m.bytesSent++; m.sent = 0 }, func(r Record) any { return r.Has & (SentLongAgo | RecvLongAgo) }, RecvLongAgo},
		{"received just now", func(m *moving) { m.bytesReceive++; m.received = 0 }, func(r Record) any { return r.Has & (SentLongAgo | RecvLongAgo) }, SentLongAgo},
		{"nothing sent, ever", func(m *moving) { m.bytesSent = 0 }, func(r Record) any { return r.Has & (SentLongAgo | RecvLongAgo) }, RecvLongAgo},
		{"nothing received, ever", func(m *moving) { m.bytesReceive = 0 }, func(r Record) any { return r.Has & (SentLongAgo | RecvLongAgo) }, SentLongAgo},
		{"sent 10 ms too late", func(m *moving) { m.bytesSent++; m.sent = 300_000 - 10 }, func(r Record) any { return r.Has & SentLongAgo }, Has(0)},
		{"sent five minutes ago", func(m *moving) { m.bytesSent++; m.sent = 300_000 }, func(r Record) any { return r.Has & SentLongAgo }, SentLongAgo},
		{"an age beyond boot", func(m *moving) { m.bytesSent++; m.sent = 18_000_001 }, func(r Record) any { return [2]any{r.LastSent, r.Has & SentLongAgo} }, [2]any{Tick(0), Has(0)}},
		{"the same timer", func(m *moving) { m.expires += 100 }, func(r Record) any { return r.TimerEnds }, last.TimerEnds},
		{"the same timer, read late", func(m *moving) { m.expires -= 100 }, func(r Record) any { return r.TimerEnds }, last.TimerEnds},
		{"another timer", func(m *moving) { m.expires += 110 }, func(r Record) any { return r.TimerEnds }, last.TimerEnds + 11},
		{"an earlier one", func(m *moving) { m.expires -= 110 }, func(r Record) any { return r.TimerEnds }, last.TimerEnds - 11},
		{"another try", func(m *moving) { m.expires += 50; m.tries++ }, func(r Record) any { return r.TimerEnds }, last.TimerEnds + 5},
		{"another backoff", func(m *moving) { m.expires += 50; m.backoff++ }, func(r Record) any { return r.TimerEnds }, last.TimerEnds + 5},
		{"another kind", func(m *moving) { m.expires += 50; m.timer = probe }, func(r Record) any { return r.TimerEnds }, last.TimerEnds + 5},
		{"another try, overdue", func(m *moving) { m.expires = 0; m.tries++ }, func(r Record) any { return r.TimerEnds }, last.TimerEnds - 100},
		{"overdue", func(m *moving) { m.expires = 0; m.at += 10 * time.Second }, func(r Record) any { return r.TimerEnds }, last.TimerEnds},
	} {
		m := old
		c.change(&m)
		if got := c.got(m.after(t, &last, s)); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A keepalive timer that starts again while nothing moves is told again where that lasts, and not where it is short.
func TestKeepaliveStartsAgain(t *testing.T) {
	t.Parallel()
	s := Settle{Quiet: 5 * time.Minute}
	for _, period := range []time.Duration{15 * time.Second, 75 * time.Second, 299 * time.Second, 10 * time.Minute, 2 * hour} {
		told, missing := map[Tick]bool{}, 0
		var last Record
		const lasts = 12 * hour
		for elapsed := time.Duration(0); elapsed < lasts; elapsed += 5 * time.Second {
			m := moving{at: 5*hour + elapsed, timer: keep, expires: uint32((period - elapsed%period).Milliseconds()),
				sent: uint32(elapsed.Milliseconds()), received: uint32(elapsed.Milliseconds()), bytesSent: 1, bytesReceive: 1}
			last = m.after(t, &last, s)
			told[last.TimerEnds] = true
			if last.TimerEnds == 0 && elapsed >= s.Quiet {
				missing++
			}
		}
		delete(told, 0)
		want := int(lasts / period)
		if period < s.Quiet {
			want = 0
		}
		if len(told) != want || want > 0 && missing > 0 {
			t.Errorf("of %v: %d moments in %v, want %d; in %d samples there is none", period, len(told), lasts, want, missing)
		}
	}
}

// The kernel's ages do not count the time of a suspension: what was before it is known only where a sample had seen it.
func TestMomentsAndSuspension(t *testing.T) {
	t.Parallel()
	before := moving{at: 5 * hour, timer: off, sent: 400_000, received: 400_000, bytesSent: 5, bytesReceive: 6}
	last := before.after(t, &Record{}, Settle{Quiet: 5 * time.Minute})
	after := Settle{Quiet: 5 * time.Minute, Woke: 9 * hour}
	seen := before
	seen.at += 4*hour + time.Second
	seen.sent, seen.received = seen.sent+1000, seen.received+1000
	if got := seen.after(t, &last, after); got != last {
		t.Errorf("what was seen before:\ngot  %+v\nwant %+v", got, last)
	}
	first := seen.after(t, &Record{}, after)
	if first.LastSent != 0 || first.LastRecv != 0 || first.Has&(SentLongAgo|RecvLongAgo) != 0 {
		t.Errorf("what was not seen before: sent %v, received %v, has %b", first.LastSent, first.LastRecv, first.Has)
	}
	if again := seen.after(t, &first, after); again != first {
		t.Errorf("what was not seen before, again:\ngot  %+v\nwant %+v", again, first)
	}
	seen.bytesSent, seen.bytesReceive, seen.sent, seen.received = 7, 8, 500, 0
	if got := seen.after(t, &first, after); got.LastSent != ticks(seen.at-500*time.Millisecond) || got.LastRecv != ticks(seen.at) {
		t.Errorf("what was since: sent %v, received %v at %v", got.LastSent, got.LastRecv, ticks(seen.at))
	}
}

// Where the numbers begin again, a machine that was never suspended knows what was before.
func TestMomentsOfALongTime(t *testing.T) {
	t.Parallel()
	const around = time.Duration(1<<32) * 10 * time.Millisecond
	m := moving{at: around + hour, sent: 7_200_000, received: 3_500_000, bytesSent: 5, bytesReceive: 6}
	r := m.after(t, &Record{}, Settle{Quiet: 5 * time.Minute})
	if r.Has&(SentLongAgo|RecvLongAgo) != SentLongAgo|RecvLongAgo || r.LastSent.Past(m.at) != int64((around-hour)/(10*time.Millisecond)) {
		t.Errorf("has %b, sent at %d", r.Has, r.LastSent.Past(m.at))
	}
}

// While nothing has moved, the ages are those of the connection, which begin when it is made.
func TestMomentsOfANewConnection(t *testing.T) {
	t.Parallel()
	s := Settle{Quiet: 5 * time.Minute}
	begun := moving{at: 5 * hour, timer: on, sent: 17_700_000, received: 17_700_000} // SYN_SENT: the kernel's clock, which began five minutes before boot
	last := begun.after(t, &Record{}, s)
	made := moving{at: 5*hour + time.Second, timer: keep, expires: 7_199_000, sent: 500, received: 500}
	last = made.after(t, &last, s)
	want := ticks(made.at - 500*time.Millisecond)
	if last.LastSent != want || last.LastRecv != want || last.TimerEnds != 0 {
		t.Errorf("sent %v, received %v, ends %v, want %v, the same, none", last.LastSent, last.LastRecv, last.TimerEnds, want)
	}
	made.at, made.expires, made.sent, made.received = made.at+time.Second, made.expires-1010, made.sent+1020, made.received+1010
	if again := made.after(t, &last, s); again != last {
		t.Errorf("a second later:\ngot  %+v\nwant %+v", again, last)
	}
	unknown := last
	unknown.LastSent, unknown.LastRecv, unknown.BytesSent, unknown.BytesRecv = 0, 0, 7, 8
	made.bytesSent, made.bytesReceive = 7, 8
	if got := made.after(t, &unknown, s); got.LastSent == 0 || got.LastRecv == 0 {
		t.Errorf("what was not known before: sent %v, received %v", got.LastSent, got.LastRecv)
	}
}

// A tick says which moment it is near another one, also where the numbers begin again.
func TestTick(t *testing.T) {
	t.Parallel()
	const around = time.Duration(1<<32) * 10 * time.Millisecond
	for _, at := range []time.Duration{0, 10 * time.Millisecond, hour, 20 * 24 * hour, around - 10*time.Millisecond, around, around + 10*time.Millisecond, around + hour, 3*around + 5*hour} {
		for _, d := range []time.Duration{0, 10 * time.Millisecond, time.Second, hour, 49 * 24 * hour, 240 * 24 * hour} {
			if at-d >= 10*time.Millisecond {
				got := TickOf(at - d).Past(at)
				if want := int64((at - d) / (10 * time.Millisecond)); got != want && want%(1<<32) != 0 {
					t.Errorf("%v before %v: got %d, want %d", d, at, got, want)
				}
			}
			got := TickOf(at + d).Ahead(at)
			if want := int64((at + d) / (10 * time.Millisecond)); got != want && want%(1<<32) != 0 {
				t.Errorf("%v after %v: got %d, want %d", d, at, got, want)
			}
		}
		if TickOf(at) == 0 {
			t.Errorf("%v is no moment", at)
		}
		if at > time.Second && at%around > time.Second {
			if got := TickOf(at - time.Second).Ahead(at); got != int64((at-time.Second)/(10*time.Millisecond)) {
				t.Errorf("a timer that ran out a second before %v: %d", at, got)
			}
		}
	}
	// The kernel may have told of it after the time with which it is compared.
	if got := TickOf(hour + time.Second).Past(hour); got != 360_000 {
		t.Errorf("a second later: %d", got)
	}
}

// The speed moves where it differs by more than one step, and is not told where the application set it.
func TestDeliveryRateStandsStill(t *testing.T) {
	t.Parallel()
	told := func(last *Record, rate uint64, limited byte) Record {
		info := kerneltest.TCPInfo(240)
		info[7] = limited
		copy(info[160:], words(uint32(rate), uint32(rate>>32)))
		r, err := DecodeInet(kerneltest.InetMessage(1, 2, info))
		if err != nil {
			t.Fatal(err)
		}
		r.Remember(last)
		return r
	}
	first := told(&Record{}, 100_000, 0)
	for _, c := range []struct {
		rate    uint64
		limited byte
		want    uint64
		has     Has
	}{
		{100_000, 0, 98304, HasRate}, {70_000, 0, 98304, HasRate}, {65_536, 0, 98304, HasRate}, {65_535, 0, 49152, HasRate}, {196_607, 0, 98304, HasRate}, {196_608, 0, 196608, HasRate},
		{100_000, 1, 0, HasRate | IsAppLimited}, {0, 0, 0, 0}, {0, 1, 0, 0}, {1 << 40, 0, 1 << 40, HasRate},
	} {
		r := told(&first, c.rate, c.limited)
		if got := r.DeliveryRate.Long(); got != c.want || r.Has&(HasRate|IsAppLimited) != c.has {
			t.Errorf("%s: got %d, has %b, want %d and %b", fmt.Sprint(c.rate, " ", c.limited), got, r.Has&(HasRate|IsAppLimited), c.want, c.has)
		}
	}
	if got := told(&Record{Has: HasInfo | HasRate, DeliveryRate: 1}, 100_000, 1).DeliveryRate; got != 0 {
		t.Errorf("the application sets it, after 1 byte/s: %d", got)
	}
	limited := told(&first, 100_000, 1)
	if got := told(&limited, 70_000, 0).DeliveryRate.Long(); got != 65536 {
		t.Errorf("after the application set it: %d", got)
	}
}

// resting is the message of a connection at rest, as the kernel tells it: with a keepalive timer.
func resting() []byte {
	b := kerneltest.InetMessage(1, 2, kerneltest.TCPInfo(280), 4, []byte("cubic\x00"), 5, []byte{0}, 7, make([]byte, 36), 8, []byte{0}, 21, make([]byte, 8))
	b[2] = keep
	copy(b[52:], words(7_000_000))
	return b
}

// What stands still takes no memory.
func TestRestingSocketAllocatesNothing(t *testing.T) {
	b, at := resting(), 5*hour
	var last Record
	if n := testing.AllocsPerRun(100, func() {
		r, err := DecodeInetAt(b, at)
		if err != nil {
			t.Fatal(err)
		}
		r.Remember(&last)
		r.Settle(&last, at, Settle{Quiet: 5 * time.Minute})
		last = r
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRestingSocket is what a connection at rest costs in a sample, without the kernel.
func BenchmarkRestingSocket(b *testing.B) {
	message, at := resting(), 5*hour
	var last Record
	for b.Loop() {
		r, err := DecodeInetAt(message, at)
		if err != nil {
			b.Fatal(err)
		}
		r.Remember(&last)
		r.Settle(&last, at, Settle{Quiet: 5 * time.Minute})
		last = r
	}
}
