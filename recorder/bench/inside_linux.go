package bench

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/crowd"
	"netsql/store"
)

// Part is a process that Run starts: "inside" measures in a network namespace of its own, "hold PAIRS" is part of a crowd.
func Part(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "inside":
		return measureInside(ctx, in, out)
	case len(args) == 2 && args[0] == "hold":
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return crowd.Hold(n, in, out)
	}
	return fmt.Errorf("bench-part %q is for netsql bench itself", args)
}

// insideMessage is what the process in the namespace says, one after the other.
type insideMessage struct {
	Progress string `json:"progress,omitempty"`
	Load     *Load  `json:"load,omitempty"`
	LeftOut  string `json:"left_out,omitempty"`
	Refused  string `json:"refused,omitempty"` // why it has no processes of its own; nothing was measured
}

// errRefused: a process may not see only its own processes.
var errRefused = errors.New("no /proc of its own")

// insideConfig is what it is told.
type insideConfig struct {
	Config
	Folder string
	// Alone: it is in a PID namespace of its own, so that neither the recorder nor its peers look at what else runs on the
	// machine.
	Alone bool
}

// measureLoads measures in a process of its own, in fresh network and PID namespaces, or in the first alone where /proc may not
// be mounted.
func (r *Report) measureLoads(ctx context.Context, c Config, dir string) error {
	runtime.LockOSThread() // with this thread end those that it starts
	defer runtime.UnlockOSThread()
	tell := c.tell
	c.Progress = nil
	// A plain user gets one with a user namespace, whose root it is there.
	user := syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	const alone = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS
	kinds := []syscall.SysProcAttr{user}
	if os.Geteuid() == 0 {
		kinds = []syscall.SysProcAttr{{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}, user}
	}
	for i, kind := range slices.Clone(kinds) {
		kind.Cloneflags |= alone
		kinds = slices.Insert(kinds, i, kind)
	}
	var err error
	for _, kind := range kinds {
		var config []byte
		if config, err = json.Marshal(insideConfig{c, dir, kind.Cloneflags&alone != 0}); err != nil {
			return err
		}
		cmd := crowd.OwnProgram(ctx, "bench-part", "inside")
		cmd.SysProcAttr = &kind
		cmd.Stdin = bytes.NewReader(config)
		var said bytes.Buffer
		cmd.Stderr = &said
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		var out io.ReadCloser
		if out, err = cmd.StdoutPipe(); err != nil {
			return err
		}
		if err = cmd.Start(); err != nil {
			err = fmt.Errorf("make a network namespace (a plain user needs user namespaces): %w", err)
			continue
		}
		err = r.listen(json.NewDecoder(out), tell)
		werr := cmd.Wait()
		if errors.Is(err, errRefused) {
			continue
		}
		if werr != nil {
			err = fmt.Errorf("%w: %s", werr, bytes.TrimSpace(said.Bytes()))
		}
		return err
	}
	return err
}

func (r *Report) listen(d *json.Decoder, tell func(string)) error {
	for {
		var m insideMessage
		err := d.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case m.Refused != "":
			return fmt.Errorf("%w: %s", errRefused, m.Refused)
		case m.Load != nil:
			r.Loads = append(r.Loads, *m.Load)
		case m.LeftOut != "":
			r.LeftOut = append(r.LeftOut, m.LeftOut)
		default:
			tell(m.Progress)
		}
	}
}

// inside is the measurement in the namespace.
type inside struct {
	insideConfig
	out *json.Encoder
}

// ownProc mounts a /proc of the PID namespace that this process has begun, for it and those that it starts.
func ownProc() error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to itself: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		return fmt.Errorf("/proc is not of the PID namespace: this is process %q there, %v", self, err)
	}
	return nil
}

func measureInside(ctx context.Context, in io.Reader, out io.Writer) error {
	runtime.LockOSThread()
	m := &inside{out: json.NewEncoder(out)}
	if err := json.NewDecoder(in).Decode(&m.insideConfig); err != nil {
		return err
	}
	if m.Alone {
		if err := ownProc(); err != nil {
			m.out.Encode(insideMessage{Refused: err.Error()})
			return nil
		}
	} else {
		m.out.Encode(insideMessage{LeftOut: "a PID namespace: all processes of this machine are looked at, by netsql and by its peers"})
	}
	if err := crowd.LoopbackUp(); err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	for _, sockets := range m.Sockets {
		if err := m.measureCrowd(ctx, sockets); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.out.Encode(insideMessage{LeftOut: fmt.Sprintf("%s sockets: %v", thousands(sockets), err)})
		}
	}
	return nil
}

// measureCrowd measures the recorder under each load, and then the other programs.
func (m *inside) measureCrowd(ctx context.Context, sockets int) error {
	m.tell(fmt.Sprintf("making %s sockets", thousands(sockets)))
	c, err := crowd.Gather(ctx, sockets)
	if err != nil {
		return err
	}
	defer c.End()
	path := filepath.Join(m.Folder, fmt.Sprintf("record-%d.db", sockets))
	s, err := m.startRecorder(ctx, path)
	if err != nil {
		return err
	}
	kinds := []string{loadIdle, loadFifth}
	if sockets == m.churned() {
		kinds = append(kinds, loadChurn)
	}
	loads := make([]Load, len(kinds))
	for i, kind := range kinds {
		if loads[i], err = m.measureLoad(ctx, s, c, kind); err != nil {
			break
		}
	}
	if serr := s.stop(); err == nil {
		err = serr
	}
	if err != nil {
		return err
	}
	for i := range loads {
		if err := s.check(ctx, &loads[i], m.Interval); err != nil {
			return err
		}
	}
	if loads[0].Counted, err = countEstablished(ctx); err != nil && !errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("count sockets with ss: %w", err)
	}
	m.tell(fmt.Sprintf("%s sockets: what others take", thousands(sockets)))
	loads[0].Peers = measurePeers(ctx, m.Folder, m.Samples)
	loads[1].Peers = slices.DeleteFunc(slices.Clone(loads[0].Peers), func(p Peer) bool { return p.Name != "ss" && p.Name != bare })
	loads[0].Replays = measureReplays(ctx, path)
	for i := range loads {
		m.out.Encode(insideMessage{Load: &loads[i]})
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(path + suffix)
	}
	return ctx.Err()
}

func (m *inside) tell(what string) { m.out.Encode(insideMessage{Progress: what}) }

// churned is the crowd beside which connections come and go: the first of a thousand sockets or more.
func (m *inside) churned() int {
	for _, n := range m.Sockets {
		if n >= 1000 {
			return n
		}
	}
	return m.Sockets[len(m.Sockets)-1]
}

// warmup is how many samples are let go by before those that are measured.
const warmup = 2

// measureLoad measures so many samples of the recorder. What it has used is read halfway between two of them.
func (m *inside) measureLoad(ctx context.Context, s *subjectRun, c *crowd.Crowd, kind string) (Load, error) {
	l := Load{Sockets: c.Sockets, Load: kind, Samples: m.Samples}
	churners := min(2, len(c.Members))
	if kind == loadChurn {
		span := time.Duration(warmup+m.Samples+1) * m.Interval
		if err := c.Begin(fmt.Sprintf("churn %d %d", m.Churn/churners, span.Milliseconds()), churners); err != nil {
			return l, err
		}
	}
	s.beat = int(time.Since(s.began)/m.Interval) + 1
	var before usage
	var kept int64
	var sizes, anonymous []float64
	for i := range warmup + m.Samples + 1 {
		m.tell(fmt.Sprintf("%s: sample %d of %d", l.words(), i+1, warmup+m.Samples+1))
		u, size, err := s.between(ctx, m.Interval)
		if err != nil {
			return l, err
		}
		switch {
		case i == warmup:
			before, kept = u, size
		case i > warmup:
			sizes, anonymous = append(sizes, float64(u.rss)), append(anonymous, float64(u.anon))
		}
		if i == warmup+m.Samples {
			n := float64(m.Samples)
			l.CPUms = (u.cpu - before.cpu).Seconds() * 1000 / n
			l.Percent = l.CPUms / targetInterval.Seconds() / 10
			l.Kept, l.Written, l.ToDisk = float64(size-kept)/n, float64(u.written-before.written)/n, float64(u.toDisk-before.toDisk)/n
			l.began, l.ended = before.at, u.at
			break
		}
		if kind == loadFifth {
			if err := c.Poke(); err != nil {
				return l, err
			}
		}
	}
	slices.Sort(sizes)
	slices.Sort(anonymous)
	l.RSS, l.Anonymous, l.Peak = sizes[len(sizes)/2], anonymous[len(anonymous)/2], float64(peakOf(s.cmd.Process.Pid))
	if kind == loadChurn {
		answers, err := c.Finish(churners)
		if err != nil {
			return l, err
		}
		for _, answer := range answers {
			var made, seconds float64
			if _, err := fmt.Sscan(answer, &made, &seconds); err == nil && seconds > 0 {
				l.Rate += made / seconds
			}
		}
	}
	return l, nil
}

// A subjectRun is the recorder that is measured: netsql record, a process of its own.
type subjectRun struct {
	cmd   *exec.Cmd
	path  string
	began time.Time // when it had taken its first sample: the others follow at the interval
	beat  int       // samples that should have been taken when it was last looked at
	db    *sql.DB
	said  chan string // the rest of what it says
}

func (m *inside) startRecorder(ctx context.Context, path string) (*subjectRun, error) {
	s := &subjectRun{path: path, cmd: crowd.OwnProgram(ctx, "record", "--db", path, "--interval", m.Interval.String(), "--netns", "self"), said: make(chan string, 1)}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for said := ""; ; {
		line, err := lines.ReadString('\n')
		if said += line; err != nil {
			s.cmd.Wait()
			return nil, fmt.Errorf("netsql record: %s", strings.TrimSpace(said))
		}
		if strings.Contains(line, "recording into") { // it says so once the first sample is written
			break
		}
	}
	s.began = time.Now()
	go func() {
		rest, _ := io.ReadAll(lines)
		s.said <- string(rest)
	}()
	s.db, err = sql.Open("sqlite", store.DSN(path))
	return s, err
}

// between waits until halfway to the next sample, and says what the recorder has used and how large the recording is.
func (s *subjectRun) between(ctx context.Context, interval time.Duration) (usage, int64, error) {
	sleep(ctx, time.Until(s.began.Add(time.Duration(s.beat)*interval+interval/2)))
	s.beat++
	if err := ctx.Err(); err != nil {
		return usage{}, 0, err
	}
	var size int64
	if err := s.db.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&size); err != nil {
		return usage{}, 0, fmt.Errorf("read the size of the recording: %w", err)
	}
	u, err := usageOf(s.cmd.Process.Pid)
	return u, size, err
}

// stop has it write its last sample and end.
func (s *subjectRun) stop() error {
	s.cmd.Process.Signal(syscall.SIGTERM)
	said := <-s.said
	if err := s.cmd.Wait(); err != nil && s.cmd.ProcessState.ExitCode() != 130 {
		return fmt.Errorf("netsql record: %w: %s", err, strings.TrimSpace(said))
	}
	return nil
}

// check counts in the recording the samples of a load, in place of those that should have been taken, and the sockets.
func (s *subjectRun) check(ctx context.Context, l *Load, interval time.Duration) error {
	var n int
	err := s.db.QueryRowContext(ctx, `SELECT count(*), (SELECT count(*) FROM sockets WHERE proto = 'tcp' AND state = 'ESTABLISHED' AND ts = max(m.ts))
		FROM samples m WHERE ts BETWEEN ? AND ?`, float64(l.began.UnixMicro())/1e6, float64(l.ended.UnixMicro())/1e6).Scan(&n, &l.Recorded)
	if err != nil {
		return fmt.Errorf("ask the recording: %w", err)
	}
	if n == 0 {
		return fmt.Errorf("no sample was taken in %v", l.ended.Sub(l.began).Round(time.Millisecond))
	}
	factor := float64(l.Samples) / float64(n)
	for _, figure := range []*float64{&l.CPUms, &l.Kept, &l.Written, &l.ToDisk, &l.Percent} {
		*figure *= factor
	}
	// At the interval of the targets the part of a core is what was measured, however many samples that were.
	if interval == targetInterval {
		l.Percent /= factor
	}
	l.Samples = n
	return nil
}

func kernelRelease() (string, error) {
	var uts unix.Utsname
	err := unix.Uname(&uts)
	return unix.ByteSliceToString(uts.Release[:]), err
}
