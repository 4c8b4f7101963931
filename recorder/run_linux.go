package recorder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// sources lists what is recorded of a network namespace besides its sockets.
func sources(w *store.Writer, ns namespace) []source {
	return []source{
		newInterfaces(w, ns),
		newAddresses(w, ns),
		newNeighbors(w, ns),
		newRoutes(w, ns),
		newRules(w, ns),
		newProtocolCounters(w, ns),
		newConntrack(w, ns),
		newSettings(w, ns),
	}
}

// A network is a network namespace that is being recorded.
type network struct {
	ns      namespace
	sources []source
}

// Run records until the context ends, and then takes a last sample and closes the recording. It returns
// an error when it could not begin, store.ErrBusy among them; once it records, trouble goes to c.Notice
// and it goes on.
func Run(ctx context.Context, c Config) error {
	if err := c.check(); err != nil {
		return err
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
	w, err := store.Create(whole, store.Options{
		Path: c.Path, Boot: boot, Interval: c.Interval, Version: c.Version, UID: os.Geteuid(),
	})
	if err != nil {
		return err
	}
	r := &run{Config: c, writer: w, sockets: newSockets(w).(*sockets), machine: []source{newSoftnet(w, ns)}, said: map[string]bool{}}
	r.enter(ns)
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

// run is one run of the recorder.
type run struct {
	Config
	writer   *store.Writer
	sockets  *sockets   // of all network namespaces: they are read first, because they change fastest
	networks []*network // what else is in each
	machine  []source   // what is of the whole machine
	said     map[string]bool
}

// enter begins to record a network namespace.
func (r *run) enter(ns namespace) {
	r.sockets.enter(ns)
	r.networks = append(r.networks, &network{ns, sources(r.writer, ns)})
}

// leave ends the recording of a network namespace that is gone.
func (r *run) leave(n *network) {
	r.sockets.leave(n.ns)
	r.writer.Retire(n.ns.id)
	r.networks = slices.DeleteFunc(r.networks, func(o *network) bool { return o == n })
	n.ns.close()
}

func (r *run) loop(ctx, whole context.Context) error {
	err := r.sample(whole)
	if r.Once || err != nil {
		return err
	}
	next := time.Now().Add(r.Interval)
	timer := time.NewTimer(r.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.report(r.sample(whole))
			return nil
		case <-timer.C:
		}
		r.report(r.sample(whole))
		// A sample that took longer than the interval is followed by one at the next beat, not by
		// those that were missed.
		now := time.Now()
		for !next.After(now) {
			next = next.Add(r.Interval)
		}
		timer.Reset(next.Sub(now))
	}
}

// sample takes one sample of everything.
func (r *run) sample(ctx context.Context) error {
	clock, err := readClock()
	if err != nil {
		return err
	}
	r.writer.Begin(clock)
	r.sockets.read(ctx)
	for _, n := range r.networks {
		if err := n.ns.inside(func() { readAll(ctx, n.sources) }); err != nil {
			r.writer.Unreachable(n.ns.id, err)
		}
	}
	readAll(ctx, r.machine)
	if err := r.writer.Commit(ctx, ownCost()); err != nil {
		return err
	}
	for _, t := range r.writer.Troubles() {
		r.notice(t)
	}
	if r.Sampled != nil {
		r.Sampled()
	}
	return nil
}

func readAll(ctx context.Context, sources []source) {
	for _, s := range sources {
		s.read(ctx)
	}
}

func (r *run) report(err error) {
	if err != nil {
		r.notice(err.Error())
	}
}

// notice says a sentence once.
func (r *run) notice(sentence string) {
	if r.Notice != nil && !r.said[sentence] {
		r.said[sentence] = true
		r.Notice(sentence)
	}
}

func readClock() (store.Clock, error) {
	var boot, awake unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return store.Clock{}, fmt.Errorf("read the clock since boot: %w", err)
	}
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &awake); err != nil {
		return store.Clock{}, fmt.Errorf("read the monotonic clock: %w", err)
	}
	return store.Clock{Wall: time.Now(), Uptime: time.Duration(boot.Nano()), Awake: time.Duration(awake.Nano())}, nil
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

// ownCost is what the recorder itself has used so far.
func ownCost() store.Cost {
	var c store.Cost
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		c.CPU = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(statm)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64)
			c.RSS = pages * int64(os.Getpagesize())
		}
	}
	return c
}
