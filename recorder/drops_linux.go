package recorder

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/tracepoint"
	"netsql/store"
)

// drops records why the kernel threw packets away, from the tracepoint skb:kfree_skb, which has a reason since Linux 5.17.
//
// While there are few drops, the kernel tells of each. In a storm it tells of one in so many (the period), and of some it tells nothing, because the ring is
// full. But it counts all of them: the count less what was looked at is shared out among the reasons as they were in what was looked at, and called estimated.
type drops struct {
	source *store.Source
	set    *store.Set[store.PacketDropID, store.PacketDrop]

	mu      sync.Mutex
	events  dropEvents
	reader  dropReader
	monitor *monitor
	rings   []dropRing
	taking  *dropRing // whose events are being taken

	period uint64        // one of so many drops is told of
	looked time.Duration // since boot: when the rate was last worked out
	since  uint64        // drops since then
	again  *time.Timer   // looks at the rate while the period is more than 1: when a storm is over, nothing else may wake us
	closed bool

	sums     map[dropKey]*dropSum
	lost     uint64 // drops that the kernel had no room to tell of
	garbled  uint64
	unshared uint64 // drops of which nothing is known but their number
	trouble  error
}

// A dropReader is a tracepoint.Reader.
type dropReader interface {
	Rings() int
	FDs() []int
	DrainRing(i int, t tracepoint.Taker) (lost, garbled uint64, full bool)
	Count(i int) (uint64, error)
	SetPeriod(period uint64) error
	Close()
}

// A dropRing is what is known of the drops on one CPU.
type dropRing struct {
	told    uint64 // drops that stand in the sums, or did, since the beginning
	behind  uint64 // by how much the kernel's count was ahead of that when it was last read
	counted bool   // the count must be read the next time too: the last drops may have been told of only in part
	samples map[dropKey]uint64
	shares  map[dropKey]uint64 // the last samples of a time when not all drops were told of
}

type dropKey struct {
	reason   uint32
	protocol uint16
}

type dropSum struct {
	packets, estimated uint64
	subject            *store.Subject[store.PacketDropID, store.PacketDrop]
}

const (
	// dropRoom is how much the rings take together, in bytes. 64 KiB are 900 drops.
	dropRoom = 256 << 10
	// dropsMost is how many drops a second are told of, one by one, on all CPUs together. It takes 0.4 µs to read one.
	dropsMost = 8000
	// dropsSampled is how many are looked at in a storm.
	dropsSampled = 2000
	// mostPeriod bounds the period: beyond it, looking costs nothing that could be measured.
	mostPeriod = 1 << 20
	// rateOver is the shortest time over which a rate is worked out.
	rateOver = 20 * time.Millisecond
	// stormLook is how long after one look at a storm the next is.
	stormLook = time.Second
)

// dropEvents say which event is read, where its parts are, and what the reasons are called.
type dropEvents struct {
	event            tracepoint.Event
	reason, protocol int // offsets
	names            map[uint32]string
	reader           *tracepoint.Reader
}

// newDropEvents looks up what this kernel calls the event's parts. Reasons below NOT_SPECIFIED are of packets that were not dropped.
func newDropEvents(f tracepoint.Format) (d dropEvents, err error) {
	if d.reason, err = f.Offset("reason", 4); err != nil {
		return d, fmt.Errorf("tracepoint skb:kfree_skb: %w", err)
	}
	if d.protocol, err = f.Offset("protocol", 2); err != nil {
		return d, fmt.Errorf("tracepoint skb:kfree_skb: %w", err)
	}
	d.names = f.Symbols("reason")
	d.event = tracepoint.Event{ID: f.ID}
	for number, name := range d.names {
		if name == notSpecified {
			d.event.Filter = fmt.Sprintf("reason>=%d", number)
		}
	}
	return d, nil
}

// openDrops begins to have drops told of. The error says what is missing.
func openDrops() (d dropEvents, err error) {
	if d, err = lookUpDrops(); err != nil {
		return d, err
	}
	return d, d.open()
}

func lookUpDrops() (d dropEvents, err error) {
	fs, err := tracepoint.OpenFilesystem()
	if err != nil {
		return d, err
	}
	defer fs.Close()
	f, err := fs.Format("skb", "kfree_skb")
	if err != nil {
		return d, err
	}
	return newDropEvents(f)
}

func (d *dropEvents) open() (err error) {
	// Who has no CAP_IPC_LOCK gets kernel.perf_event_mlock_kb for each CPU.
	for room := dropRoom; ; room /= 2 {
		if d.reader, err = tracepoint.Open([]tracepoint.Event{d.event}, room); err == nil {
			return nil
		}
		if !errors.Is(err, unix.EPERM) || room < 64<<10 {
			return err
		}
	}
}

// dropsMissing says why drops are not recorded.
func dropsMissing(err error) string {
	if err == nil {
		return ""
	}
	return "packet_drops is empty, because why the kernel threw packets away is not known: " + err.Error() + ": grant CAP_PERFMON and CAP_SYS_ADMIN (Linux 5.17)"
}

func newDrops(w *store.Writer) *drops {
	d := &drops{source: w.Source("drops"), sums: map[dropKey]*dropSum{}, period: 1}
	d.set = store.NewSet(d.source, store.PacketDrops)
	return d
}

// follow has the rings emptied before they are full.
func (d *drops) follow(events dropEvents, m *monitor) error {
	d.begin(events, events.reader)
	d.monitor = m
	for _, fd := range d.reader.FDs() {
		if err := m.addFile(fd, d); err != nil {
			return err
		}
	}
	return nil
}

func (d *drops) begin(events dropEvents, reader dropReader) {
	d.events, d.reader, d.looked = events, reader, kernel.SinceBoot()
	d.rings = make([]dropRing, reader.Rings())
	for i := range d.rings {
		d.rings[i].samples = map[dropKey]uint64{}
	}
}

func (d *drops) close() {
	if d == nil {
		return
	}
	for _, fd := range d.reader.FDs() {
		d.monitor.remove(fd)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.again != nil {
		d.again.Stop()
	}
	d.reader.Close()
}

// read puts the sums into the recording and begins again. A kind of drops that there were none of rests.
func (d *drops) read(context.Context) {
	d.source.Read(func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.drainLocked(kernel.SinceBoot())
		if d.trouble != nil {
			return d.trouble
		}
		for key, s := range d.sums {
			if s.packets == 0 {
				if !d.set.Rest(s.subject) {
					delete(d.sums, key)
				}
				continue
			}
			name, description := d.events.reasonOf(key.reason)
			s.subject = d.set.Put(store.PacketDropID{Reason: name, Protocol: etherType(key.protocol)}, store.PacketDrop{
				Description: description, Packets: store.Of(int64(s.packets)), Estimated: store.Of(int64(s.estimated)),
			})
			s.packets, s.estimated = 0, 0
		}
		if what := d.missed(); what != "" {
			d.source.Lost(what)
		}
		return nil
	})
}

// missed says, in words, what was lost since it was last asked.
func (d *drops) missed() (what string) {
	switch {
	case d.unshared+d.garbled > 0:
		what = fmt.Sprintf("%d dropped packets are missing in packet_drops: why they were dropped is not known", d.unshared+d.garbled)
	case d.lost > 0:
		what = fmt.Sprintf("the kernel had no room to tell of %d dropped packets: their reasons are estimated", d.lost)
	}
	d.unshared, d.garbled, d.lost = 0, 0, 0
	return what
}

// drain takes what is in the rings.
func (d *drops) drain([]byte, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.drainLocked(kernel.SinceBoot())
	}
}

func (d *drops) drainLocked(now time.Duration) {
	for i := range d.rings {
		d.drainRing(i)
	}
	d.pace(now)
}

// drainRing takes what is in a ring, and shares out the drops that the kernel counted but did not tell of. While it tells of each, its count is not read:
// another CPU would have to be interrupted for that.
func (d *drops) drainRing(i int) {
	r := &d.rings[i]
	sampled := d.period > 1
	counts := sampled || r.counted
	var count uint64
	if counts { // before: what the count has, the ring has
		count = d.count(i)
	}
	d.taking = r
	lost, garbled, full := d.reader.DrainRing(i, d)
	if (lost > 0 || full) && !counts {
		counts, count = true, d.count(i)
		l, g, _ := d.reader.DrainRing(i, d) // what came before the count
		lost, garbled = lost+l, garbled+g
	}
	d.lost, d.garbled = d.lost+lost, d.garbled+garbled
	var n uint64
	for _, weight := range r.samples {
		n += weight
	}
	// The kernel tells of a loss only when there is room again. The count knows of it now.
	whole := !sampled && lost == 0 && !(full && !r.counted && count > r.told+n)
	if whole {
		for key, weight := range r.samples {
			d.add(key, weight, 0)
		}
		r.told += n
		d.since += n
	}
	if n > 0 && (!whole || full) {
		r.shares = r.swap()
	} else {
		clear(r.samples)
	}
	if !counts {
		return
	}
	var ahead uint64
	if count > r.told {
		ahead = count - r.told
	}
	owed := ahead
	if whole { // what was counted a moment ago may be told of next; what was ahead before, never will be
		owed = min(ahead, r.behind)
	}
	if owed > 0 {
		d.share(r, owed)
		r.told += owed
		d.since += owed
	}
	r.behind = ahead - owed
	// The kernel may not have told of its last losses yet, and a period that was changed is true of none of the drops in the ring.
	r.counted = !whole || full || r.behind > 0
}

// swap are the samples, and leaves room for others.
func (r *dropRing) swap() map[dropKey]uint64 {
	samples := r.samples
	if r.samples = r.shares; r.samples == nil {
		r.samples = map[dropKey]uint64{}
	}
	clear(r.samples)
	return samples
}

func (d *drops) count(i int) uint64 {
	n, err := d.reader.Count(i)
	if err != nil {
		d.trouble = err
	}
	return n
}

// share adds so many drops to the reasons as they were in the last samples of the ring.
func (d *drops) share(r *dropRing, owed uint64) {
	var all uint64
	for _, weight := range r.shares {
		all += weight
	}
	if all == 0 {
		d.unshared += owed
		return
	}
	var seen, given uint64
	for key, weight := range r.shares {
		seen += weight
		upto := uint64(float64(owed) * float64(seen) / float64(all))
		if seen == all {
			upto = owed
		}
		d.add(key, upto-given, upto-given)
		given = upto
	}
}

func (d *drops) add(key dropKey, packets, estimated uint64) {
	s := d.sums[key]
	if s == nil {
		s = &dropSum{}
		d.sums[key] = s
	}
	s.packets, s.estimated = s.packets+packets, s.estimated+estimated
}

// pace sets the period by how many drops there are in a second.
func (d *drops) pace(now time.Duration) {
	past := now - d.looked
	if past < rateOver {
		return
	}
	rate := float64(d.since) / past.Seconds()
	d.since, d.looked = 0, now
	if period := periodFor(rate, d.period); period != d.period {
		if err := d.reader.SetPeriod(period); err != nil {
			d.trouble = err
			return
		}
		for i := range d.rings {
			d.rings[i].counted = true // from here on it is not known how many of those in the ring stand for how many
		}
		d.period = period
	}
	if d.period > 1 {
		if d.again == nil {
			d.again = time.AfterFunc(stormLook, func() { d.drain(nil, 0) })
		} else {
			d.again.Reset(stormLook)
		}
	}
}

// periodFor is one of how many drops is to be told of, at that rate. It changes only when the rate has changed much.
func periodFor(rate float64, now uint64) uint64 {
	limit := float64(dropsMost)
	if now > 1 {
		limit /= 2
	}
	if rate <= limit {
		return 1
	}
	period := uint64(1)
	for period < mostPeriod && rate/float64(period) > dropsSampled {
		period *= 2
	}
	if now > 1 && (period == now/2 || period == now*2) && rate/float64(now) < dropsMost/2 {
		return now
	}
	return period
}

// Take takes one event out of a ring.
func (d *drops) Take(s *tracepoint.Sample) {
	key, ok := d.events.decode(s)
	if !ok {
		d.garbled++
		return
	}
	d.taking.samples[key]++
}

// Ran is told of processes, which do not matter here.
func (d *drops) Ran(uint32, []byte) {}

func (d *dropEvents) decode(s *tracepoint.Sample) (key dropKey, ok bool) {
	if s.ID != d.event.ID || len(s.Raw) < max(d.reason+4, d.protocol+2) {
		return key, false
	}
	native := binary.NativeEndian
	return dropKey{native.Uint32(s.Raw[d.reason:]), native.Uint16(s.Raw[d.protocol:])}, true
}
