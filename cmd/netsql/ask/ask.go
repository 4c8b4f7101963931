// Package ask puts one statement to the netsql of many hosts, over ssh, and unites their answers.
//
// The system's ssh makes the connection, so that its keys, agents, jumps and configuration work. On the other side it runs sh -s and nothing else:
// whatever the login shell of the user is, it sees these two words only. What sh is to do comes over standard input (script.go): it finds netsql, says
// its version, and runs the statement there with --mode quote, which keeps NULL, integers, reals, texts and blobs apart. Lines with a mark that is
// another one each time frame the answer (answer.go), so that what a login prints is not taken for it.
//
// A host is never trusted: its answer is bounded, what it says reaches the terminal through query.Safe, and one that fails harms no other.
package ask

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"netsql/query"
)

// A Config says whom to ask, and what.
type Config struct {
	Hosts     []string      // as ssh takes them; see CheckHost
	SSH       []string      // the command, with flags of the user's
	Statement string        // one, see query.Question
	Flags     []string      // of the netsql over there
	Recording string        // over there; "": that of the netsql there
	Zone      string        // the time zone that words for times in the statement mean
	Wait      time.Duration // for a host; 0: for ever
	AtOnce    int           // hosts that are asked at the same time
	Memory    int64         // that all answers may take; 0: as much as there is
	Version   string        // of this netsql
	Places    []string      // where netsql may stand besides the PATH there; nil: the usual ones

	// Waits is told each second which hosts have not answered yet; nil: nobody is.
	Waits func(hosts []string)
}

// An Answer is what came from a host. Rows that came before an error are there.
type Answer struct {
	Host    string
	Version string // of the netsql there; "": not known
	Columns []string
	Rows    [][]any
	Notes   []string
	Err     error // why there is no answer, or not the whole of it
}

// usualPlaces are where netsql may stand besides the PATH that ssh gives to a command, which is often a short one.
var usualPlaces = []string{"/usr/local/bin", "/usr/bin", "/bin", "/opt/netsql/bin", "$HOME/bin", "$HOME/.local/bin", "$HOME/go/bin"}

// All asks all hosts, and returns when each has answered or failed, in the order of the hosts. When ctx ends, so does every ssh. No process is left.
func All(ctx context.Context, c Config) ([]Answer, error) {
	if _, err := exec.LookPath(c.SSH[0]); err != nil {
		return nil, fmt.Errorf("%s cannot be run: install OpenSSH's client, or name another with --ssh: %w", c.SSH[0], errors.Unwrap(err))
	}
	answers := make([]Answer, len(c.Hosts))
	ready := make([]atomic.Bool, len(c.Hosts))
	defer c.tell(ready)()
	var all sync.WaitGroup
	free := make(chan struct{}, max(1, c.AtOnce))
	for i, host := range c.Hosts {
		all.Go(func() {
			defer ready[i].Store(true)
			answers[i].Host = host
			select {
			case free <- struct{}{}:
				answers[i] = c.one(ctx, host)
				<-free
			case <-ctx.Done():
				answers[i].Err = errInterrupted
			}
		})
	}
	all.Wait()
	return answers, nil
}

// tell calls Waits until the function that it returns is called.
func (c Config) tell(ready []atomic.Bool) (end func()) {
	if c.Waits == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			var hosts []string
			for i, host := range c.Hosts {
				if !ready[i].Load() {
					hosts = append(hosts, host)
				}
			}
			c.Waits(hosts)
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

var errInterrupted = errors.New("no answer yet when it was interrupted")

// share is how many bytes the answer of one host may take.
func (c Config) share() int64 {
	if c.Memory == 0 {
		return 0
	}
	return max(64<<10, c.Memory/2/int64(len(c.Hosts)))
}

// one asks a host.
func (c Config) one(parent context.Context, host string) Answer {
	ctx, cancel := parent, context.CancelFunc(func() {})
	if c.Wait > 0 {
		ctx, cancel = context.WithTimeout(parent, c.Wait)
	}
	defer cancel()
	mark := newMark()
	cmd := exec.Command(c.SSH[0], c.arguments(host)...)
	ownGroup(cmd)
	cmd.Stdin = strings.NewReader(c.script(mark))
	complaints := &head{most: 64 << 10}
	cmd.Stderr = complaints
	cmd.WaitDelay = 300 * time.Millisecond // a master of connections that ssh leaves behind may keep standard error
	begin := time.Now()
	out, in, err := os.Pipe()
	if err != nil {
		return Answer{Host: host, Err: err}
	}
	defer out.Close()
	cmd.Stdout = in
	if err := cmd.Start(); err != nil {
		in.Close()
		return Answer{Host: host, Err: err}
	}
	in.Close()
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // what it came to is in what was written
	}()
	type result struct {
		parsed parsed
		err    error
	}
	done := make(chan result, 1)
	go func() {
		p, err := parse(out, mark, c.share())
		done <- result{p, err}
	}()
	// late is what came when no more comes, but another process has the pipe still, such as a master of connections.
	late := func() result {
		select {
		case r := <-done:
			return r
		case <-time.After(time.Second):
			out.Close()
			return <-done
		}
	}
	var r result
	select {
	case r = <-done:
		if r.err != nil && !errors.Is(r.err, errEnds) {
			end(cmd, exited)
		}
	case <-exited:
		r = late()
	case <-ctx.Done():
		end(cmd, exited)
		if r = late(); r.err != nil {
			r.err = ctx.Err()
		}
	}
	select {
	case <-exited:
	case <-ctx.Done():
		end(cmd, exited)
	case <-time.After(time.Second): // the answer is there
		end(cmd, exited)
	}
	return c.conclude(host, r.parsed, r.err, begin, said(complaints.String(), mark), parent.Err() != nil)
}

// arguments are those of ssh: the host stands behind "--", and only sh -s is run.
func (c Config) arguments(host string) []string {
	options := []string{"-T", "-o", "BatchMode=yes", "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none"}
	if c.Wait > 0 {
		options = append(options, "-o", "ConnectTimeout="+strconv.Itoa(max(1, int(c.Wait.Seconds()))))
	}
	all := append(append([]string{}, c.SSH[1:]...), options...)
	return append(all, "--", host, "sh -s")
}

// newMark begins the lines that are ours. The host cannot have it from anywhere else.
func newMark() string { return "@netsql-" + rand.Text() }

// A head keeps the begin of what is written to it.
type head struct {
	most int
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text.Write(p[:min(len(p), h.most-h.text.Len())])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// conclude says what an answer amounts to.
func (c Config) conclude(host string, p parsed, err error, begin time.Time, s complaints, interrupted bool) Answer {
	a := Answer{Host: host, Version: c.versionThere(p), Columns: p.columns, Rows: p.rows}
	a.Err = c.failure(p, err, s, interrupted)
	if a.Err != nil && len(a.Rows) > 0 {
		a.Err = fmt.Errorf("only the first %s came: %w", counted(len(a.Rows), "row"), a.Err)
	}
	if p.older && p.zoneUnknown && c.Zone != "UTC" { // a newer one brings all zones
		a.Notes = append(a.Notes, "the time zone "+c.Zone+" is not known there: times in the statement are UTC")
	}
	if a.Err != nil && len(a.Rows) == 0 {
		return a
	}
	if p.lossy {
		a.Notes = append(a.Notes, "the netsql there is an old one: whole reals come as integers, and blobs as texts")
	}
	if a.Err == nil {
		a.Notes = append(a.Notes, s.notes...)
	}
	a.Notes = append(a.Notes, p.fresh.notes(begin)...)
	return a
}

// failure is why there is no answer; nil: it is there.
func (c Config) failure(p parsed, err error, s complaints, interrupted bool) error {
	switch {
	case err == nil && p.code == 0:
		return nil
	case interrupted && err != nil:
		return errInterrupted
	case errors.Is(err, context.DeadlineExceeded), err == nil && p.code == 4 && p.answering:
		return fmt.Errorf("no answer within %v (--timeout)%s", c.Wait, lastWords(s))
	case errors.Is(err, errEnds) && !p.began:
		return errors.New(s.ofSSH(p.noise))
	case errors.Is(err, errEnds):
		return fmt.Errorf("the connection ended before the answer did%s", lastWords(s))
	case errors.Is(err, errNoProgram):
		places := c.Places
		if places == nil {
			places = usualPlaces
		}
		return fmt.Errorf("no netsql there: it is not in the PATH and not in %s", strings.ReplaceAll(strings.Join(places, ", "), "$HOME", "~"))
	case errors.Is(err, errNoRecording):
		return errors.New("nothing is recorded there: netsql service install has it record from now on")
	case errors.Is(err, errTooMuch):
		return fmt.Errorf("its answer is longer than %s: narrow the question, or allow more with --memory", query.Size(c.share()))
	case err != nil:
		return err
	}
	text := s.last()
	if text == "" {
		text = fmt.Sprintf("netsql ended with exit code %d there", p.code)
	}
	if there := c.versionThere(p); there != "" && there != c.Version {
		text += fmt.Sprintf(" (netsql %s there, %s here)", there, c.Version)
	}
	return errors.New(text)
}

// versionThere is the version of a netsql, with what tells it from this one.
func (c Config) versionThere(p parsed) string {
	if p.older && p.version == c.Version {
		return p.version + ", an older build"
	}
	return p.version
}

func lastWords(s complaints) string {
	if text := s.last(); text != "" {
		return ": " + text
	}
	return ""
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}
