package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
)

// peerRuns is how often each peer is run; the run in the middle counts. They are run in turn, so that what else the machine does
// meanwhile is the same for all.
const peerRuns = 5

// MeasureSS measures what ss takes to show the TCP sockets that are there now, and MeasureDump what asking for them alone takes.
func MeasureSS(ctx context.Context) Peer { return measureAlone(ctx, ssPeer()) }

// MeasureDump is the same of a bare dump.
func MeasureDump(ctx context.Context) Peer { return measureAlone(ctx, dumpPeer()) }

func measureAlone(ctx context.Context, p *shownPeer) Peer {
	for range peerRuns {
		p.run(ctx)
	}
	return p.result()
}

func ssPeer() *shownPeer {
	return &shownPeer{name: "ss", pkg: "iproute2", args: []string{"-tanpieom"}}
}

func dumpPeer() *shownPeer { return &shownPeer{name: bare, do: bareDump} }

// itself is this program.
const itself = "/proc/self/exe"

// replayed are the tools that netsql prints as of a moment, each with how much more CPU time it may take than the real one.
var replayed = []struct {
	shownPeer
	target float64
}{
	{shownPeer{name: "netstat", pkg: "net-tools", args: []string{"-tanp"}}, 1.5},
	{*ssPeer(), 1},
}

// measureReplays measures what netsql takes to print, of the last sample of a recording, what those tools print of the sockets that are there now, in turn.
func measureReplays(ctx context.Context, path string) (all []Replay) {
	for _, r := range replayed {
		theirs := r.shownPeer
		ours := shownPeer{name: itself, args: slices.Concat([]string{theirs.name}, theirs.args, []string{"--db", path})}
		for range peerRuns {
			ours.run(ctx)
			theirs.run(ctx)
		}
		mine, peer := ours.result(), theirs.result()
		mine.Name = theirs.name + " " + strings.Join(theirs.args, " ")
		all = append(all, Replay{Peer: mine, Real: peer, Target: r.target})
	}
	return all
}

// measurePeers measures what other programs take with the sockets that are there now.
func measurePeers(ctx context.Context, dir string, samples int) []Peer {
	shown := []*shownPeer{
		ssPeer(),
		{name: "netstat", pkg: "net-tools", args: []string{"-tanp"}},
		dumpPeer(),
	}
	for range peerRuns {
		for _, p := range shown {
			p.run(ctx)
		}
	}
	var peers []Peer
	for _, p := range shown {
		peers = append(peers, p.result())
	}
	return append(peers, recordingPeers(ctx, dir, samples)...)
}

// A shownPeer is a program that shows sockets. Its memory is not told: what the system counts as such begins with that of the
// program that starts it.
type shownPeer struct {
	name, pkg string
	args      []string
	do        func(context.Context) error // in place of a program, on the thread that calls it

	times   []float64 // CPU time of each run, in milliseconds
	missing string
}

func (p *shownPeer) run(ctx context.Context) {
	if p.missing != "" {
		return
	}
	took, err := p.once(ctx)
	if err != nil {
		p.missing = err.Error()
	}
	p.times = append(p.times, milliseconds(took))
}

func (p *shownPeer) once(ctx context.Context) (time.Duration, error) {
	if p.do != nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		before, err := threadTime()
		if err == nil {
			err = p.do(ctx)
		}
		if err != nil {
			return 0, err
		}
		after, err := threadTime()
		return after - before, err
	}
	path, err := exec.LookPath(p.name)
	if err != nil {
		return 0, fmt.Errorf("not installed (Debian: %s)", p.pkg)
	}
	cmd := peerCommand(ctx, path, p.args...)
	if p.name == itself {
		cmd.Args[0] = os.Args[0] // as it was called
	}
	if err := cmd.Run(); err != nil {
		return 0, err
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

func (p *shownPeer) result() Peer {
	r := Peer{Name: p.name, Missing: p.missing}
	if p.missing == "" {
		slices.Sort(p.times)
		r.CPUms = p.times[len(p.times)/2]
	}
	return r
}

// threadTime is the CPU time that the calling thread has used (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID): to the nanosecond,
// while getrusage(2) counts what ran since the last tick of the clock not yet.
func threadTime() (time.Duration, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano()), err
}

// bareDump asks the kernel for all TCP sockets, with all that the recorder asks for, and throws the answer away: nobody can know
// of them for less.
func bareDump(ctx context.Context) error {
	d := sockdiag.New()
	defer d.Close()
	err := d.Dump(ctx, sockdiag.TCPRequest{States: sockdiag.EveryState}.Message(), func([]byte) error { return nil })
	if errors.Is(err, nl.ErrDumpInterrupted) {
		return nil
	}
	return err
}

func peerCommand(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Without it atop switches the process accounting of the whole machine on.
	cmd.Env = append(os.Environ(), "LC_ALL=C", "ATOPACCT=")
	return cmd
}

// countEstablished asks ss how many TCP connections are established.
func countEstablished(ctx context.Context) (int, error) {
	out, err := peerCommand(ctx, "ss", "-Htan", "state", "established").Output()
	return countLines(out), err
}

// countLines counts lines that are not blank.
func countLines(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if len(bytes.TrimSpace(line)) > 0 {
			n++
		}
	}
	return n
}

// A recordingPeer is a program that records: the machine and its processes, and of sockets at most how many there are.
type recordingPeer struct {
	name, pkg string
	paths     []string // where it may be
	args      []string // to record into file once a second
	file      string

	cmd    *exec.Cmd
	said   bytes.Buffer
	before usage
	size   int64 // of file then
	err    error
}

// recordingPeers measures so many samples, of all at once.
func recordingPeers(ctx context.Context, dir string, samples int) []Peer {
	atop, sadc := filepath.Join(dir, "atop.raw"), filepath.Join(dir, "sadc.raw")
	running := []*recordingPeer{
		{name: "atop", pkg: "atop", paths: []string{"atop"}, args: []string{"-w", atop, "1", "600"}, file: atop},
		{name: "sadc", pkg: "sysstat", paths: []string{"/usr/lib/sysstat/sadc", "/usr/lib64/sa/sadc", "/usr/lib/sa/sadc"},
			args: []string{"-S", "ALL", "1", "600", sadc}, file: sadc},
	}
	for _, r := range running {
		r.start(ctx)
	}
	sleep(ctx, 1500*time.Millisecond) // the first sample is of all the time since the boot
	for _, r := range running {
		r.begin()
	}
	sleep(ctx, time.Duration(samples)*time.Second)
	var peers []Peer
	for _, r := range running {
		peers = append(peers, r.end(samples))
	}
	return peers
}

func (r *recordingPeer) start(ctx context.Context) {
	r.err = fmt.Errorf("not installed (Debian: %s)", r.pkg)
	for _, path := range r.paths {
		if found, err := exec.LookPath(path); err == nil {
			r.cmd = peerCommand(ctx, found, r.args...)
			r.cmd.Stdout, r.cmd.Stderr = &r.said, &r.said
			r.err = r.cmd.Start()
			return
		}
	}
}

func (r *recordingPeer) begin() {
	if r.err == nil {
		r.before, r.size, r.err = r.measure()
	}
}

func (r *recordingPeer) measure() (usage, int64, error) {
	u, err := usageOf(r.cmd.Process.Pid)
	if err != nil {
		return u, 0, err
	}
	info, err := os.Stat(r.file)
	if err != nil {
		return u, 0, err
	}
	return u, info.Size(), nil
}

// end stops the program and says what it took.
func (r *recordingPeer) end(samples int) Peer {
	p := Peer{Name: r.name}
	if r.err == nil {
		var after usage
		var size int64
		if after, size, r.err = r.measure(); r.err == nil {
			p.CPUms = milliseconds(after.cpu-r.before.cpu) / float64(samples)
			p.RSS, p.Kept = float64(after.rss), float64(size-r.size)/float64(samples)
			p.Written = float64(after.written-r.before.written) / float64(samples)
		}
	}
	if r.cmd != nil && r.cmd.Process != nil {
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.cmd.Wait()
		os.Remove(r.file)
	}
	if r.err != nil {
		p.Missing = strings.TrimSpace(fmt.Sprintf("%v %s", r.err, bytes.TrimSpace(r.said.Bytes())))
	}
	return p
}

// sleep ends early with the context.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
