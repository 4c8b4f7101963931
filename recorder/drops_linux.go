package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"netsql/recorder/internal/tracepoint"
	"netsql/store"
)

// drops records why the kernel threw packets away, from the tracepoint skb:kfree_skb, which has a reason since Linux 5.17.
//
// While there are few drops, the kernel tells of each. That costs who drops a packet, and us, so in a storm it tells of them in short windows only: what is
// dropped between two windows is taken to be as what was in the second, and called estimated. The kernel has no count of all drops to hold it against.
type drops struct {
	source *store.Source
	set    *store.Set[store.PacketDropID, store.PacketDrop]

	missing error // why nothing is read: what this machine lacks

	mu     sync.Mutex
	events dropEvents
	reader dropReader
	turn   *time.Timer // the next thing to do in a storm
	closed bool
	dropPace

	batch   map[dropKey]uint64 // what the rings told last
	sums    map[dropKey]*dropSum
	lost    uint64  // drops that the kernel had no room to tell of
	losses  float64 // how many of these, and of those that they stood for, are not in the sums yet
	garbled uint64
	unseen  time.Duration // in a storm: for how long we were kept from looking
	trouble error
}

// A dropReader is a tracepoint.Reader.
type dropReader interface {
	Drain(tracepoint.Taker) (lost, garbled uint64)
	Enable() error
	Disable() error
	Close()
}

// A dropPace says when drops are told of.
type dropPace struct {
	storm  bool
	open   bool          // in a storm: a window is open
	since  time.Duration // CLOCK_MONOTONIC, which stands still while the machine is suspended: when this second began, or what the window tells of
	opened time.Duration // likewise: when the window was opened
	told   uint64        // drops in this second or window
	rate   float64       // drops a second, in a storm
	scale  float64       // so many drops each one of the last window stood for; 1: each was told of
	quiet  int           // windows in a row in which there were few
}

type dropKey struct {
	reason   uint32
	protocol uint16
}

type dropSum struct {
	looked    uint64  // drops that were told of since the last sample
	estimated float64 // and others
	subject   *store.Subject[store.PacketDropID, store.PacketDrop]
}

const (
	// dropRoom is how much the rings take together, in bytes. 64 KiB are 900 drops.
	dropRoom = 256 << 10
	// dropsMost is how many drops are told of in a second, on all CPUs together. One costs up to 2.4 µs where it is dropped, and 0.9 µs to read.
	dropsMost = 3000
	// between is how long a storm is not looked at, or longer, so that no more are told of.
	between = 100 * time.Millisecond
	// windowDrops is how many drops a window should have.
	windowDrops = dropsMost * float64(between) / float64(time.Second)
	// shortest and longest bound a window.
	shortest, longest = time.Millisecond, 20 * time.Millisecond
	// farthest is how much time before it a window may stand for.
	farthest = 5 * time.Second
	// quietWindows is after how many windows with few drops in a row a storm is over.
	quietWindows = 5
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
	d.reader, err = tracepoint.Open([]tracepoint.Event{d.event}, dropRoom)
	return err
}

// dropsMissing says why drops are not recorded.
func dropsMissing(err error) string {
	if err == nil {
		return ""
	}
	return "packet_drops is empty, because why the kernel threw packets away is not known: " + err.Error() + ": grant CAP_PERFMON and CAP_SYS_ADMIN (Linux 5.17)"
}

func lackOfDrops(err error) error {
	return &store.OffError{By: "a lack of CAP_PERFMON and CAP_SYS_ADMIN, or of Linux 5.17: " + err.Error()}
}

func newDrops(w *store.Writer) *drops {
	d := &drops{source: w.Source("drops"), sums: map[dropKey]*dropSum{}, batch: map[dropKey]uint64{}}
	d.set = store.NewSet(d.source, store.PacketDrops)
	return d
}

// record begins to record drops; where that cannot be, the recording says so in every sample.
func (d *drops) record() error {
	events, err := openDrops()
	if err != nil {
		d.missing = lackOfDrops(err)
		return nil
	}
	return d.follow(events)
}

// follow takes what the rings of these events tell, before they are full.
func (d *drops) follow(events dropEvents) error {
	d.begin(events, events.reader, monotonic())
	return events.reader.Watch(func() { d.step(false) })
}

func (d *drops) begin(events dropEvents, reader dropReader, now time.Duration) {
	d.events, d.reader, d.dropPace = events, reader, dropPace{since: now, scale: 1}
}

func (d *drops) close() {
	d.mu.Lock()
	d.closed = true
	if d.turn != nil {
		d.turn.Stop()
	}
	d.mu.Unlock()
	if d.reader != nil {
		d.reader.Close()
	}
}

// step takes what is in the rings, or takes its turn in a storm.
func (d *drops) step(turn bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	now := monotonic()
	var next time.Duration
	if turn && d.storm {
		next = d.takeTurn(now)
	} else {
		next = d.drain(now)
	}
	d.wait(next)
}

// wait has the next turn taken after that time; 0: not yet another.
func (d *drops) wait(next time.Duration) {
	switch {
	case next == 0:
	case d.turn == nil:
		d.turn = time.AfterFunc(next, func() { d.step(true) })
	default:
		d.turn.Reset(next)
	}
}

// drain takes what is in the rings. When there are too many, a storm begins, and it returns after what time its first turn is; else 0.
func (d *drops) drain(now time.Duration) (next time.Duration) {
	if d.take(); d.storm {
		return 0 // they count with the others of their window
	}
	d.settle()
	if now-d.since > time.Second {
		d.since, d.told = now, 0
	}
	if d.told <= dropsMost {
		return 0
	}
	d.control(d.reader.Disable)
	d.take()
	d.settle()
	rate := float64(d.told) / max(now-d.since, shortest).Seconds()
	d.dropPace = dropPace{storm: true, since: now, rate: rate, scale: 1}
	return between
}

// takeTurn opens or closes a window, and returns after what time the next turn is; 0: the storm is over.
func (d *drops) takeTurn(now time.Duration) (next time.Duration) {
	if !d.open {
		d.control(d.reader.Enable)
		d.open, d.opened, d.told = true, now, 0
		return min(max(time.Duration(windowDrops/max(d.rate, 1)*float64(time.Second)), shortest), longest)
	}
	d.control(d.reader.Disable)
	d.open = false
	d.take()
	if past := now - d.since; past > farthest { // we were stopped
		d.unseen, d.since = d.unseen+past-farthest, now-farthest
	}
	width := min(max(now-d.opened, 1), farthest)
	d.scale = float64(now-d.since) / float64(width)
	d.settle()
	d.since = now
	if d.rate = float64(d.told) / width.Seconds(); d.rate > dropsMost/2 {
		d.quiet = 0
	} else if d.quiet++; d.quiet == quietWindows {
		d.control(d.reader.Enable)
		d.dropPace = dropPace{since: now, scale: d.scale}
		return 0
	}
	return max(between, time.Duration(d.told)*time.Second/dropsMost)
}

func (d *drops) control(do func() error) {
	d.trouble = do()
}

// take takes what the rings tell into the batch. What the kernel had no room to tell of was lost before that, and stood for as many as what was told then.
func (d *drops) take() {
	lost, garbled := d.reader.Drain(d)
	d.garbled += garbled
	d.lost += lost
	d.told += lost
	d.losses += float64(lost) * d.scale
}

// settle adds the batch to the sums, and begins another.
func (d *drops) settle() {
	if !d.storm {
		d.scale = 1
	}
	var all uint64
	for _, n := range d.batch {
		all += n
	}
	for key, n := range d.batch {
		s := d.sums[key]
		if s == nil {
			s = &dropSum{}
			d.sums[key] = s
		}
		s.looked += n
		s.estimated += float64(n)*(d.scale-1) + d.losses*float64(n)/float64(all)
	}
	if all == 0 { // of what was lost nothing is known
		return
	}
	d.told += all
	d.losses = 0
	clear(d.batch)
}

// read puts the sums into the recording and begins again. A kind of drops that there were none of rests.
func (d *drops) read(context.Context) {
	d.source.Read(func() error {
		if d.missing != nil {
			return d.missing
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.wait(d.drain(monotonic()))
		if d.trouble != nil {
			return d.trouble
		}
		for key, s := range d.sums {
			estimated := uint64(s.estimated)
			packets := s.looked + estimated
			if packets == 0 {
				if !d.set.Rest(s.subject) {
					delete(d.sums, key)
				}
				continue
			}
			name, description := d.events.reasonOf(key.reason)
			s.subject = d.set.Put(store.PacketDropID{Reason: name, Protocol: etherType(key.protocol)}, store.PacketDrop{
				Description: description, Packets: store.Of(int64(packets)), Estimated: store.Of(int64(estimated)),
			})
			s.looked, s.estimated = 0, s.estimated-float64(estimated)
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
	case d.garbled > 0:
		what = fmt.Sprintf("%d dropped packets are missing in packet_drops: what the kernel told of them made no sense", d.garbled)
	case d.unseen > 0:
		what = fmt.Sprintf("dropped packets were not looked at for %v: those are missing in packet_drops", d.unseen.Round(time.Millisecond))
	case d.lost > 0:
		what = fmt.Sprintf("the kernel had no room to tell of %d dropped packets: their reasons are estimated", d.lost)
	}
	d.garbled, d.unseen, d.lost = 0, 0, 0
	return what
}

// Take takes one event out of a ring.
func (d *drops) Take(s *tracepoint.Sample) {
	key, ok := d.events.decode(s)
	if !ok {
		d.garbled++
		return
	}
	d.batch[key]++
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
