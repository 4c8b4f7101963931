package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// sources lists what is recorded of a network namespace besides its sockets.
func sources(w *store.Writer, ns namespace) []source {
	hops, ways := newNextHops(w, ns), newRoutes(w, ns)
	ways.(*routes).nextHops = hops.(*nextHops)
	return []source{
		newInterfaces(w, ns),
		newNICCounters(w, ns),
		newQdiscs(w, ns),
		newAddresses(w, ns),
		newMulticastGroups(w, ns),
		newNeighbors(w, ns),
		hops, // before the routes that go by them
		ways,
		newRules(w, ns),
		newProtocolCounters(w, ns),
		newConntrack(w, ns),
		newFirewall(w, ns),
		newSettings(w, ns),
	}
}

// Run records until the context ends, and then takes a last sample and closes the recording. It returns
// an error when it could not begin, store.ErrBusy among them; once it records, trouble goes to c.Notice
// and it goes on.
func Run(ctx context.Context, c Config) error {
	if c.CloseBudget == 0 {
		c.CloseBudget = DefaultCloseBudget
	}
	if err := c.check(); err != nil {
		return err
	}
	if c.Confined {
		if err := confine(); err != nil {
			return err
		}
	}
	boot, err := readBoot()
	if err != nil {
		return err
	}
	ns, err := ownNamespace()
	if err != nil {
		return err
	}
	// The recording is opened, written and closed whole, even when the context ends meanwhile.
	whole := context.WithoutCancel(ctx)
	said := newNotices(c.Notice, c.Interval)
	w, err := store.Create(whole, store.Options{
		Path: c.Path, Boot: boot, Interval: c.Interval, Version: c.Version, UID: os.Geteuid(), Limits: c.Limits,
		Capabilities: append(append(privilegeCapabilities(), probeCapabilities(whole)...), maskCapability(c.NoMask), flowsCapability(c.Conntrack), rulesCapability(c.Firewall)), Notice: said.told,
	})
	if err != nil {
		return err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(leastGarbage))
	dropProgram() // what opened the recording, before the first sample
	r, err := newRun(w, ns, c, said)
	if err != nil {
		return errors.Join(err, w.Close(whole))
	}
	defer r.close()
	if c.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.For)
		defer cancel()
	}
	err = r.loop(ctx, whole)
	if cerr := w.Close(whole); err == nil {
		err = cerr
	}
	return err
}

// CheckFolder says whether nobody else decides what root writes into an absolute folder. next is what to do where somebody does.
func CheckFolder(folder, next string) error { return store.CheckFolder(folder, next) }

// run is one run of the recorder.
type run struct {
	Config
	debug      debuglog.Logs
	writer     *store.Writer
	namespaces *namespaces
	ownNS      namespace
	thread     *nsThread
	file       procFile
	sockets    *sockets   // of all network namespaces: they are read first, because they change fastest
	networks   []*network // what else is in each
	machine    []source   // what is of the whole machine
	symptoms   *machineSymptoms
	drops      *drops   // one of them
	monitor    *monitor // of changes: closes gather in another, and come far more often
	trigger    *trigger // changes bring the next sample forward
	notices    *notices
	why        store.Why
	generation uint32 // of the recording
	memory     memory
}

func newRun(w *store.Writer, own namespace, c Config, n *notices) (*run, error) {
	debug, err := debuglog.Parse(c.Debug, c.DebugTo)
	if err != nil {
		return nil, err
	}
	s := newSockets(w).(*sockets)
	s.debug, s.owners.Log = debug, debug.Owners
	s.owners.NoMask = c.NoMask
	s.budget, s.without = c.CloseBudget, c.Without
	if s.monitor, err = newMonitor(); err != nil {
		return nil, err
	}
	if without(c.Without).has("trace") {
		s.off = append(s.off, without(c.Without).off("trace", w.Source("trace")))
	} else if t, err := openTrace(); err == nil { // else capabilities says what is missing
		s.trace = t
		if err := t.record(w); err != nil {
			s.close()
			return nil, err
		}
	}
	dropped := newDrops(w)
	if !without(c.Without).has("drops") {
		if err := dropped.record(); err != nil {
			dropped.close()
			s.close()
			return nil, err
		}
	}
	machine, signs := []source{newSoftnet(w, own), newMachineCounters(w, own), newModules(w, own), dropped}, newMachineSymptoms(w, own)
	if !without(c.Without).has("symptoms") {
		signs.watch(machine)
		machine[0].(*softnet).symptoms = signs
		s.owners.Counted = signs.lookAtDescriptors
	}
	machine = append(machine, signs) // what the others saw
	r := &run{Config: c, debug: debug, writer: w, sockets: s, ownNS: own, thread: newNSThread(), machine: without(c.Without).replace(machine), symptoms: signs, drops: dropped, trigger: newTrigger(), notices: n}
	if r.monitor, err = newMonitor(); err != nil {
		dropped.close()
		s.close()
		return nil, err
	}
	r.monitor.takeAtOnce(changesAtOnce)
	if r.namespaces, err = newNamespaces(w, s.owners, own, c.NetNS); err != nil {
		dropped.close()
		s.close()
		r.monitor.end()
		return nil, err
	}
	return r, nil
}

// close gives up every namespace.
func (r *run) close() {
	for _, n := range r.networks {
		r.shut(n)
	}
	r.drops.close()
	r.sockets.close()
	r.monitor.end()
	r.thread.end()
}

func (r *run) loop(ctx, whole context.Context) error {
	r.sockets.last, r.why = r.Once, store.WhyInterval
	err := r.sample(whole)
	if r.Once && err == nil {
		err = r.tidyOnce(whole)
	}
	if r.Once || err != nil {
		return err
	}
	r.memory.settle()
	next := time.Now().Add(r.Interval)
	timer := time.NewTimer(r.Interval)
	defer timer.Stop()
	look := time.NewTicker(lookAgain) // samples may be an hour apart
	defer look.Stop()
	var budget triggerBudget
	closer := closerLook{saved: closerFor}
	var brought store.Why
	early := time.NewTimer(time.Hour) // runs while a sample is brought forward
	early.Stop()
	defer early.Stop()
	tidy := time.NewTimer(0) // runs while there is something to be done between samples
	defer tidy.Stop()
	triggered := r.trigger.signal // nil meanwhile
	var alive <-chan time.Time
	if r.Alive != nil {
		beat := time.NewTicker(r.AliveEvery)
		defer beat.Stop()
		alive = beat.C
		r.Alive()
	}
	for {
		select {
		case <-ctx.Done():
			r.readAllNext()
			r.why = store.WhyLast
			r.report(r.sample(whole))
			return nil
		case <-look.C:
			if r.Interval > lookAgain {
				r.letGo()
			}
			continue
		case <-alive:
			r.Alive()
			continue
		case <-triggered:
			if wait, ok := budget.bring(r.trigger.take(), kernel.SinceBoot(), time.Until(next)); ok {
				early.Reset(wait)
				triggered, brought = nil, store.WhyChange
			}
			continue
		case <-tidy.C:
			if pause, more := r.tidy(whole, time.Until(next)); more {
				tidy.Reset(pause)
			}
			continue
		case <-early.C: // the beats stay where they are
			r.why = brought
		case <-timer.C:
			r.why = store.WhyInterval
		}
		budget.begin(kernel.SinceBoot())
		r.report(r.sample(whole))
		budget.end(kernel.SinceBoot())
		early.Stop()
		triggered = r.trigger.signal
		if wait, ok := closer.next(r.isAcute(), budget.began, budget.took); ok {
			early.Reset(wait)
			brought = store.WhySymptom
		}
		// A sample that took longer than the interval is followed by one at the next beat, not by
		// those that were missed.
		now := time.Now()
		for !next.After(now) {
			next = next.Add(r.Interval)
		}
		timer.Reset(next.Sub(now))
		tidy.Reset(0)
	}
}

// readAllNext has the next sample, the last of the run, read also what others may keep unread.
func (r *run) readAllNext() {
	r.sockets.last = true
	for _, n := range r.networks {
		for _, s := range n.sources {
			if s, ok := s.(interface{ readNext() }); ok {
				s.readNext()
			}
		}
	}
}

const (
	// tidyShare is what part of the time may be spent on tidying up, while there is something to be done.
	tidyShare = 4
	// tidyMargin is how long before a sample nothing more is begun.
	tidyMargin = 30 * time.Millisecond
	// tidyOnceFor is how long netsql record --once tidies up.
	tidyOnceFor = 2 * time.Second
)

// tidy does one step, unless a sample is due. It returns how long to wait with the next, if there may be one before that sample.
func (r *run) tidy(ctx context.Context, next time.Duration) (pause time.Duration, more bool) {
	if next < min(tidyMargin, r.Interval/4) {
		return 0, false
	}
	r.busy(true)
	defer r.busy(false)
	begun := time.Now()
	more, err := r.writer.Tidy(ctx)
	if l := r.debug.Store; l != nil {
		l.Printf("a step of tidying up (roll-ups, and what is beyond the limits) took %v; more to do: %v; error: %v", time.Since(begun).Round(time.Microsecond), more, err)
	}
	r.report(err)
	r.memory.tidied(more)
	return (tidyShare - 1) * time.Since(begun), more
}

func (r *run) tidyOnce(ctx context.Context) error {
	for begun := time.Now(); time.Since(begun) < tidyOnceFor; {
		if more, err := r.writer.Tidy(ctx); err != nil || !more {
			return err
		}
	}
	return nil
}

// isAcute reports whether the last sample saw that something was lost.
func (r *run) isAcute() bool {
	acute := r.symptoms.isAcute()
	for _, n := range r.networks {
		acute = n.symptoms.isAcute() || acute
	}
	return acute
}

// busy tells the monitors whether the recorder is working.
func (r *run) busy(now bool) {
	for _, h := range [...]*monitor{r.monitor, r.sockets.monitor} {
		if now {
			h.busy.begin()
		} else {
			h.busy.end()
		}
	}
}

// sample takes one sample of everything.
func (r *run) sample(ctx context.Context) error {
	r.busy(true)
	defer r.busy(false)
	clock, err := readClock()
	if err != nil {
		return err
	}
	r.trigger.take()
	r.writer.Begin(clock)
	r.writer.Because(r.why)
	r.startOver()
	r.follow()
	r.sockets.read(ctx)
	r.reportNamespaces()
	for _, n := range r.networks {
		if err := n.ns.inside(func() {
			n.changes.begin()
			n.changes.readAll(ctx, n.sources)
			n.changes.read(ctx)
		}); err != nil {
			r.writer.Unreachable(n.ns.id, err)
		}
	}
	readAll(ctx, r.machine)
	err = r.writer.Commit(ctx, ownCost())
	r.tellCommit(clock, err)
	if err != nil {
		return err
	}
	for _, n := range r.networks {
		n.changes.done()
		n.firewall.done()
	}
	r.memory.look()
	r.notices.seen(r.writer.Troubles(), time.Now())
	r.notices.look(time.Now())
	if r.Sampled != nil && !r.writer.Behind() {
		r.Sampled()
	}
	return nil
}

// tellCommit says to the log what became of a sample.
func (r *run) tellCommit(clock store.Clock, err error) {
	l := r.debug.Store
	if l == nil {
		return
	}
	waiting := "written"
	switch {
	case err != nil:
		waiting = "lost: " + err.Error()
	case r.writer.Behind():
		waiting = "waits in memory: the recording cannot be written"
	}
	l.Printf("the sample of %v since boot, %d network namespaces, %v after its begin: %s",
		clock.Uptime.Round(time.Millisecond), len(r.networks), (kernel.SinceBoot() - clock.Uptime).Round(time.Microsecond), waiting)
	for _, t := range r.writer.Troubles() {
		l.Printf("gap: %s", t.Text)
	}
}

// startOver forgets what was known of the recording, should it be another one by now.
func (r *run) startOver() {
	if g := r.writer.Generation(); g != r.generation {
		if l := r.debug.Store; l != nil {
			l.Printf("the recording is number %d of this run", g)
		}
		r.generation = g
		r.sockets.startOver()
		for _, n := range r.networks {
			n.changes.startOver()
			n.firewall.startOver()
			n.symptoms.startOver()
		}
		r.symptoms.startOver()
	}
}

func readAll(ctx context.Context, sources []source) {
	for _, s := range sources {
		s.read(ctx)
	}
}

// report says why a sample is not taken. The Writer says itself when it is for want of the file.
func (r *run) report(err error) {
	now := time.Now()
	if err != nil && !r.writer.Behind() {
		r.notices.seen([]Notice{{Priority: store.PriorityErr, Text: err.Error(), About: "samples"}}, now)
	}
	r.notices.look(now)
}

// readClock reads the clocks close together: events are dated by the one since boot, and shown by the other.
func readClock() (store.Clock, error) {
	const close, tries = 50 * time.Microsecond, 4
	var boot, awake unix.Timespec
	for try := 1; ; try++ {
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
			return store.Clock{}, fmt.Errorf("read the clock since boot: %w", err)
		}
		wall := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake); err != nil {
			return store.Clock{}, fmt.Errorf("read the monotonic clock: %w", err)
		}
		if uptime := time.Duration(boot.Nano()); kernel.SinceBoot()-uptime < close || try == tries {
			return store.Clock{Wall: wall, Uptime: uptime, Awake: time.Duration(awake.Nano())}, nil
		}
	}
}

// readBoot describes the running system.
func readBoot() (store.Boot, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return store.Boot{}, fmt.Errorf("read the boot id: %w", err)
	}
	b := store.Boot{ID: string(bytes.TrimSpace(id))}
	b.Host, _ = os.Hostname()
	if machine, err := os.ReadFile("/etc/machine-id"); err == nil {
		b.MachineID = string(bytes.TrimSpace(machine))
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		b.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return store.Boot{}, fmt.Errorf("read the time of the boot: %w", err)
	}
	for line := range strings.Lines(string(stat)) {
		if text, ok := strings.CutPrefix(line, "btime "); ok {
			seconds, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			if err != nil {
				return store.Boot{}, fmt.Errorf("read the time of the boot: %w", err)
			}
			b.Started = time.Unix(seconds, 0)
		}
	}
	return b, nil
}
