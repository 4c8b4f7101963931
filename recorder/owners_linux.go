package recorder

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// owners finds out which processes hold which sockets, by reading where the descriptors of
// every process lead. That costs microseconds per descriptor and there may be tens of
// thousands, so in a sample are read:
//
//   - all descriptors of a process that is new or ran exec: it may have inherited any;
//   - when a dump shows an inode that nobody is known to hold: those descriptors that may
//     have become it, first of the processes whose number of descriptors has changed, until
//     it is found, and of the parent when it is found with a new child. A descriptor is
//     passed over only when it is the one known place of a socket that the dump has just
//     shown alive: it cannot have become another;
//   - all descriptors of every process once per recheck, because a socket may be passed on
//     to a running process without any of the above.
//
// A socket that nobody is seen to hold has no owner.
type owners struct {
	source    *store.Source
	processes *store.Set[store.ProcessID, store.Process]
	users     *users
	boot      float64       // unix seconds
	recheck   time.Duration // the longest that a holder may go unnoticed

	byPID   map[int32]*process
	byInode map[uint32]*socket // the sockets with an inode, of all protocols
	wanted  []*socket          // those that appeared with the dumps of this sample
	gen     uint32             // number of the sample
	// firstDump is the number of the first dump of this sample: what a dump from it on has
	// shown is alive.
	firstDump uint32
	sizes     bool // the kernel tells the number of descriptors, Linux 6.2
	// privileged: the recorder has the capabilities that should let it see everything.
	privileged bool

	proc    int // the folder /proc, open
	pids    []int32
	found   []fdInode // by readSockets
	passed  []fdInode // those of them that were not read, because they are certain
	path    []byte
	text    [8192]byte
	dirents [32 << 10]byte
}

// recheckOwners keeps a socket that was passed on from showing its old owner for longer
// than half a minute, with samples up to ten seconds apart.
const recheckOwners = 20 * time.Second

// What is said when descriptors may not be read: for want of privilege, or in spite of it.
var (
	errHidden = &store.PartialError{Missing: "owners of other users' sockets cannot be seen: run as root, " +
		"or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (setcap cap_sys_ptrace,cap_dac_read_search+ep netsql)"}
	errForbidden = &store.PartialError{Missing: "owners of some sockets cannot be seen: the system hides the " +
		"descriptors of some processes even from a user with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"}
)

func newOwners(w *store.Writer, users *users) *owners {
	o := &owners{
		source: w.Source("owners"), users: users, boot: w.BootTime(), recheck: recheckOwners,
		byInode: map[uint32]*socket{}, proc: -1, privileged: mayReadDescriptors(),
	}
	o.processes = store.NewSet(o.source, store.Processes)
	o.forgetAll()
	return o
}

// forgetAll begins anew, when a look failed halfway and its memory cannot be relied on.
func (o *owners) forgetAll() {
	o.byPID = map[int32]*process{}
	for _, e := range o.byInode {
		e.holders = nil
	}
}

// look brings the holders of all sockets up to date and reports the processes.
func (o *owners) look(ctx context.Context) error {
	defer func() { o.wanted = o.wanted[:0] }()
	if err := o.listProcesses(); err != nil {
		return err
	}
	if err := o.visit(ctx); err != nil {
		return err
	}
	if err := o.search(ctx); err != nil {
		return err
	}
	partial := o.byPID[1] == nil // under hidepid not even init shows
	for _, p := range o.byPID {
		partial = partial || p.denied
		if p.held == 0 {
			continue
		}
		if p.id == (store.ProcessID{}) {
			o.identify(p)
			o.describe(p)
		}
		o.report(p)
	}
	switch {
	case !partial:
		return nil
	case o.privileged:
		return errForbidden
	default:
		return errHidden
	}
}

// visit goes through the processes that are there now.
func (o *owners) visit(ctx context.Context) error {
	now := time.Now()
	for _, pid := range o.pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := o.byPID[pid]
		if p != nil && p.held == 0 && now.Before(p.due) {
			p.gen = o.gen
			continue
		}
		if p = o.refresh(pid, p); p == nil {
			continue
		}
		p.gen = o.gen
		if !now.Before(p.due) {
			o.walk(p, reading)
			phase := o.recheck / 2 * time.Duration(pid%16) / 16
			p.due = now.Add(o.recheck/2 + phase)
			if p.held > 0 {
				o.identify(p)
				o.describe(p)
			}
		}
		if p.held > 0 {
			o.count(p)
		}
	}
	for _, p := range o.byPID {
		if p.gen != o.gen {
			o.forget(p)
		}
	}
	return nil
}

// refresh reads the state of a process, known or not, and says what must be read anew.
func (o *owners) refresh(pid int32, p *process) *process {
	stat, gone, err := o.readStat(pid)
	if gone || err != nil && p == nil {
		return nil
	}
	if err == nil && p != nil && p.stat.start != stat.start { // another process of that number
		o.forget(p)
		p = nil
	}
	if p == nil {
		p = &process{pid: pid, born: o.gen, counted: -1}
		o.byPID[pid] = p
	} else if err == nil && (p.stat.stack != stat.stack || p.stat.comm != stat.comm || p.stat.state != stat.state && stat.state == 'Z') {
		p.due = time.Time{}
	}
	if err == nil {
		p.stat = stat
	}
	p.kernel = p.stat.flags&pfKThread != 0
	return p
}

// search looks for those who hold the sockets that appeared in this sample.
func (o *owners) search(ctx context.Context) error {
	o.askParents()
	if !o.missing() {
		return nil
	}
	var changed, rest []*process
	for _, p := range o.byPID {
		if p.kernel || p.denied || p.walked == o.gen {
			continue
		}
		if o.count(p); p.changed {
			changed = append(changed, p)
		} else {
			rest = append(rest, p)
		}
	}
	// A second time without relying on the number of descriptors, which may have changed
	// between counting and reading.
	for _, how := range []effort{probing, listing} {
		if err := o.searchIn(ctx, append(changed, rest...), how); err != nil {
			return err
		}
	}
	return nil
}

// askParents looks at those from whom a new process may have inherited a new socket: that
// the child was found with it does not mean that the parent has closed it. Only the nearest
// ancestor that is not new itself can have it, for the socket is younger than its children
// before.
func (o *owners) askParents() {
	for _, e := range o.wanted {
		for i := 0; i < len(e.holders); i++ {
			p := e.holders[i].process
			for range len(o.pids) { // numbers used again while we read might form a ring
				if p == nil || p.born != o.gen {
					break
				}
				p = o.byPID[p.stat.ppid]
			}
			if p != nil && p.walked != o.gen && !p.kernel && !p.denied {
				o.count(p)
				o.walk(p, probing)
			}
		}
	}
}

// searchIn looks for the missing sockets with these processes.
func (o *owners) searchIn(ctx context.Context, processes []*process, how effort) error {
	for _, p := range processes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !o.missing() {
			return nil
		}
		if o.byPID[p.pid] == p {
			o.walk(p, how)
		}
	}
	return nil
}

// An effort is how thoroughly the descriptors of a process are read.
type effort int

const (
	reading effort = iota // list them, and read where each leads
	listing               // list them, and read those that may lead elsewhere than they did
	probing               // try numbers until as many are found as there are, if that is soon
)

// missing reports whether a wanted socket has not been found yet.
func (o *owners) missing() bool {
	o.wanted = slices.DeleteFunc(o.wanted, func(e *socket) bool { return len(e.holders) > 0 })
	return len(o.wanted) > 0
}

// A holder is a process that has a socket open.
type holder struct {
	process *process
	fd      uint32 // the lowest
	shown   uint32 // the one last reported
	places  uint32 // number of descriptors
	subject *store.Subject[store.SocketOwnerID, store.SocketOwner]
}

// walk reads the descriptors of p.
func (o *owners) walk(p *process, how effort) {
	p.walked = o.gen
	if p.kernel {
		return
	}
	n, err := o.readSockets(p, how)
	switch {
	case err == nil:
		p.denied, p.changed, p.counted = false, false, n
	case err == unix.EACCES || err == unix.EPERM:
		p.denied = true
		o.found, o.passed = o.found[:0], o.passed[:0]
	case isGone(err):
		o.forget(p)
		return
	default:
		return // it stays as it was, and due
	}
	o.hold(p)
	// A socket that turned up in a second place leaves its first one uncertain.
	if slices.ContainsFunc(o.passed, func(f fdInode) bool { return !o.certain(p, f) }) {
		o.walk(p, listing)
	}
}

// certain reports whether descriptor f of p cannot have become another socket.
func (o *owners) certain(p *process, f fdInode) bool {
	e := o.byInode[f.inode]
	return e != nil && e.dump >= o.firstDump && len(e.holders) == 1 && e.holders[0].process == p && e.holders[0].places == 1
}

// hold makes p a holder of the sockets found and of no others.
func (o *owners) hold(p *process) {
	for _, f := range p.sockets {
		if h := o.holder(p, f.inode); h != nil {
			h.places = 0
		}
	}
	for _, f := range o.found {
		e := o.byInode[f.inode]
		if e == nil {
			continue
		}
		h := o.holder(p, f.inode)
		if h == nil {
			i, _ := slices.BinarySearchFunc(e.holders, p.pid, func(h holder, pid int32) int { return int(h.process.pid - pid) })
			e.holders = slices.Insert(slices.Grow(e.holders, 1), i, holder{process: p})
			h = &e.holders[i]
			p.held++
		}
		if h.places == 0 {
			h.fd = f.fd
		}
		h.fd = min(h.fd, f.fd)
		h.places++
	}
	for _, f := range p.sockets {
		if h := o.holder(p, f.inode); h != nil && h.places == 0 {
			o.release(p, f.inode)
		}
	}
	p.sockets = append(p.sockets[:0], o.found...)
}

// holder is p's hold on the socket of that inode, nil when it has none.
func (o *owners) holder(p *process, inode uint32) *holder {
	if e := o.byInode[inode]; e != nil {
		for i := range e.holders {
			if e.holders[i].process == p {
				return &e.holders[i]
			}
		}
	}
	return nil
}

func (o *owners) release(p *process, inode uint32) {
	e := o.byInode[inode]
	if e == nil {
		return
	}
	before := len(e.holders)
	e.holders = slices.DeleteFunc(e.holders, func(h holder) bool { return h.process == p })
	p.held -= before - len(e.holders)
	if len(e.holders) == 0 {
		e.lost = o.gen
	}
}

// forget takes a process that has ended out of memory.
func (o *owners) forget(p *process) {
	for _, f := range p.sockets {
		o.release(p, f.inode)
	}
	if o.byPID[p.pid] == p {
		delete(o.byPID, p.pid)
	}
}

// appeared enters a socket that has just got its inode.
func (o *owners) appeared(e *socket) {
	o.byInode[e.rec.inode] = e
	o.wanted = append(o.wanted, e)
}

// vanished takes out a socket that has lost its inode: nobody holds it any more.
func (o *owners) vanished(e *socket) {
	for _, h := range e.holders {
		h.process.held--
	}
	e.holders = nil
	if o.byInode[e.rec.inode] == e {
		delete(o.byInode, e.rec.inode)
	}
}
