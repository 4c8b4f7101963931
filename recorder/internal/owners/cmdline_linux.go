package owners

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// cmdlines reads /proc/PID/cmdline, which may take for ever: the kernel looks into the memory of the process and takes the lock
// of its map first (mmap_lock, in access_remote_vm of mm/memory.c). While a thread of the process holds that and waits, for a
// file system that does not answer, say, the reader waits as well, and nothing but the end of the recorder ends that. None of
// the other files and links of a process that are read takes it.
//
// So another goroutine reads. One that does not come back in time is left behind, and nothing more is asked about its
// process until it does.
type cmdlines struct {
	patience time.Duration // how long one may take
	most     int           // goroutines that may be left behind

	reader *cmdlineReader // nil: none runs
	timer  *time.Timer
	Behind []*cmdlineReader
}

const (
	// CmdlinePatience is far beyond what a command line takes, which is 10 µs, even on a busy machine.
	CmdlinePatience = 200 * time.Millisecond
	// mostBehind bounds the threads that are lost, and how long a sample takes in which many processes freeze at once.
	mostBehind = 8
)

func newCmdlines() *cmdlines { return &cmdlines{patience: CmdlinePatience, most: mostBehind} }

// A cmdlineReader is a goroutine that reads.
type cmdlineReader struct {
	paths chan string
	done  chan struct{}
	text  []byte
	Came  atomic.Bool // back, though too late
}

func (r *cmdlineReader) loop(proc int) {
	for path := range r.paths {
		r.read(proc, path)
		r.Came.Store(true)
		r.done <- struct{}{}
	}
}

func (r *cmdlineReader) read(proc int, path string) {
	r.text = r.text[:0]
	fd, err := unix.Openat(proc, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, r.text[:cap(r.text)])
	for err == unix.EINTR {
		n, err = unix.Read(fd, r.text[:cap(r.text)])
	}
	r.text = r.text[:max(n, 0)]
}

// read reads the file, into memory that the next call uses again. When it takes too long it returns the reader that is left
// behind with it; ok is false then, and when too many are.
func (c *cmdlines) read(proc int, path string) (text []byte, behind *cmdlineReader, ok bool) {
	if c.reader == nil {
		c.forget()
		if len(c.Behind) >= c.most {
			return nil, nil, false
		}
		c.reader = &cmdlineReader{paths: make(chan string, 1), done: make(chan struct{}, 1), text: make([]byte, 0, cmdlineLimit)}
		go c.reader.loop(proc)
	}
	r := c.reader
	r.Came.Store(false)
	if c.timer == nil {
		c.timer = time.NewTimer(c.patience)
	} else {
		c.timer.Reset(c.patience)
	}
	r.paths <- path
	select {
	case <-r.done:
		c.timer.Stop()
		return r.text, nil, true
	case <-c.timer.C:
		close(r.paths)
		c.reader, c.Behind = nil, append(c.Behind, r)
		return nil, r, false
	}
}

// forget takes out those that have come back.
func (c *cmdlines) forget() {
	kept := c.Behind[:0]
	for _, r := range c.Behind {
		if !r.Came.Load() {
			kept = append(kept, r)
		}
	}
	clear(c.Behind[len(kept):])
	c.Behind = kept
}

// end ends the goroutine; the next read begins another.
func (c *cmdlines) end() {
	if c.reader != nil {
		close(c.reader.paths)
		c.reader = nil
	}
}

// cmdline is the command line of p; empty while it cannot be had.
func (o *Owners) cmdline(p *Process) []byte {
	if r := p.frozen; r != nil {
		if !r.Came.Load() {
			return nil
		}
		p.frozen = nil
		if p.frozenStack == p.stat.stack { // it has not run another program since
			p.silent = false
			return r.text
		}
	}
	text, behind, ok := o.Cmdlines.read(o.Proc, o.PIDPath(p.PID, "cmdline"))
	p.frozen, p.frozenStack, p.silent = behind, p.stat.stack, !ok
	return text
}

const CmdlinesMissing = "command lines of some processes cannot be read: the kernel does not answer while they wait " +
	"for a disk or a file system (ps -eo pid,stat,wchan:32,comm shows D)"
