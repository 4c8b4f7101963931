package owners

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A Table is where a process holds files. Most processes have one, that of their first thread, which /proc/PID/fd shows.
// Besides there are:
//
//   - that of a thread that does not share it (unshare(CLONE_FILES)), which /proc/PID/task/TID/fd shows;
//   - that of the files registered with a ring of io_uring. They need no descriptor: accept may put a connection there
//     at once. /proc/PID/fdinfo of the ring lists them.
//
// These are looked for last, when a socket is found with nobody's first thread, and remembered from then on.
type Table struct {
	process *Process
	number  uint32 // among those of the process; that of the first thread is 0
	thread  int32  // whose descriptors they are, or who has the ring; 0: the first thread that lives
	ring    bool   // they are no descriptors, but files registered with a ring,
	ringFD  uint32 // which has this descriptor
	gone    bool

	denied  bool      // it may not be read
	walked  uint32    // sample in which it was last read
	Counted int64     // descriptors, as last counted; -1 before
	changed bool      // their number has changed since they were read, or a socket is gone
	uid     uint32    // owner of their folder, as last counted: the user, or root
	Due     time.Time // when they are to be listed again; zero: when all are to be read

	// sockets are the descriptors that are sockets, of any kind, by rising fd, as last seen.
	sockets []fdInode
	freed   int      // those of them whose socket is gone
	Held    int      // sockets of the recording in it
	rings   []uint32 // the descriptors that are rings, as last seen
}

// NoFD is no descriptor: a file that is registered with a ring has none.
const NoFD = 1<<32 - 1

const (
	// asideBudget is how many threads are compared and rings read in a sample, about, to find tables that are not known yet.
	// Each takes 2 µs, a ring 10.
	asideBudget = 1024
	// ringLink is what a descriptor of io_uring leads to.
	ringLink = "anon_inode:[io_uring]"
	// ringTries is how often a ring is read that is being used at the moment: the kernel tells nothing of it then.
	ringTries = 4
)

// Tables calls yield for the tables of p, that of its first thread first.
func (p *Process) Tables(yield func(*Table) bool) {
	others := p.others
	if !yield(&p.Table) {
		return
	}
	for _, t := range others {
		if !t.gone && !yield(t) {
			return
		}
	}
}

// tableOf is the table of that number.
func (p *Process) tableOf(number uint32) *Table {
	for t := range p.Tables {
		if t.number == number {
			return t
		}
	}
	return nil
}

// holds reports whether p holds a socket of the recording.
func (p *Process) holds() bool {
	return p.Held > 0 || slices.ContainsFunc(p.others, func(t *Table) bool { return t.Held > 0 })
}

// of reports whether the hold is with that table.
func (h *Holder) of(t *Table) bool { return h.Process == t.process && h.table == t.number }

// FD is the lowest descriptor with which the process that is the i-th holder of e has it, in the first of its tables of
// descriptors; noFD when the socket is only registered with a ring.
func (e *Held) FD(i int) uint32 {
	p := e.Holders[i].Process
	for _, h := range e.Holders[i:] {
		if h.Process != p {
			break
		}
		if h.table == 0 || !p.tableOf(h.table).ring {
			return h.fd
		}
	}
	return NoFD
}

// addTable makes another table of p.
func (p *Process) addTable(t Table) *Table {
	p.numbers++
	t.process, t.number, t.Counted = p, p.numbers, -1
	p.others = append(p.others, &t)
	return &t
}

// giveUp takes a table that is gone out of memory; without its first one the process is gone.
func (o *Owners) giveUp(t *Table) {
	if t.number == 0 {
		o.forget(t.process)
		return
	}
	o.drop(t)
	t.process.others = slices.DeleteFunc(slices.Clone(t.process.others), func(u *Table) bool { return u.gone })
}

// ended gives up the table of a thread that has ended, if that is what the error says. Processes that have ended are
// those that /proc does not list.
func (o *Owners) ended(t *Table, err error) {
	if t.number != 0 && IsGone(err) {
		o.giveUp(t)
	}
}

// drop releases all that a table holds.
func (o *Owners) drop(t *Table) {
	for _, f := range t.sockets {
		o.release(t, f.inode)
	}
	t.sockets, t.freed, t.gone = nil, 0, t.number != 0
}

// lookAside looks for the missing sockets in tables that are not known yet, for some samples after they appeared, with other
// processes in each sample where there are many.
func (o *Owners) lookAside(ctx context.Context) error {
	if !slices.ContainsFunc(o.unresolved, func(e *Held) bool { return e.Lost == 0 || o.Gen-e.Lost < OrphanSamples }) {
		return nil
	}
	first, _ := slices.BinarySearch(o.PIDs, o.asidePID)
	for i, budget := 0, asideBudget; i < len(o.PIDs) && budget > 0; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		pid := o.PIDs[(first+i)%len(o.PIDs)]
		o.asidePID = pid + 1
		p := o.ByPID[pid]
		if p == nil || p.kernel || p.denied {
			continue
		}
		cost := o.findTables(p) + o.findRings(p)
		if budget -= cost; cost > 0 && !o.missing() {
			return nil
		}
	}
	return nil
}

// findTables looks for threads of p that do not share the descriptors of the first, and reads theirs. It returns how many
// threads it has compared.
func (o *Owners) findTables(p *Process) int {
	var stat unix.Stat_t
	if unix.Fstatat(o.Proc, o.PIDPath(p.PID, "task"), &stat, 0) != nil {
		return 0
	}
	threads := int(stat.Nlink) - 2
	if threads < 2 || threads > asideBudget && o.Looked.Sub(p.compared) < o.recheck {
		return 0
	}
	p.compared = o.Looked
	if p.refreshed != o.Gen && o.refresh(p.PID, p) != p { // at rest for long, and by now another
		return 0
	}
	first, err := o.firstThread(p)
	if err != nil || first == 0 || o.listThreads(p) != nil {
		return 0
	}
	// sharers is one thread for each table, in an order that the kernel gives them.
	o.sharers = append(o.sharers[:0], first)
	for _, t := range p.others {
		if t.thread != 0 && !t.ring && !t.gone && !o.isAnother(p, t.thread) {
			o.giveUp(t) // it has ended, or taken to another's
		}
	}
	for _, thread := range o.threads {
		known := thread == first || thread == p.PID && p.stat.state == 'Z' || slices.Contains(o.sharers, thread)
		if !known && o.isAnother(p, thread) {
			o.walkDue(p.addTable(Table{thread: thread}), Reading, o.Looked)
		}
	}
	return len(o.threads)
}

// isAnother reports whether a thread of p has other descriptors than all of o.sharers, and makes it one of them then.
func (o *Owners) isAnother(p *Process, thread int32) bool {
	if o.NoKCmp {
		return o.differs(p, thread)
	}
	var failed error
	i, found := slices.BinarySearchFunc(o.sharers, thread, func(a, b int32) int {
		order, err := compareFiles(a, b)
		if failed == nil {
			failed = err
		}
		return order
	})
	if failed == unix.ENOSYS {
		o.NoKCmp = true
		return o.differs(p, thread)
	}
	if failed != nil || found {
		return false
	}
	o.sharers = slices.Insert(o.sharers, i, thread)
	return true
}

// differs is isAnother on a kernel without kcmp: it sees a thread with descriptors of its own only while their number is
// another than that of the first thread.
func (o *Owners) differs(p *Process, thread int32) bool {
	count := func(path string) int64 {
		var stat unix.Stat_t
		if unix.Fstatat(o.Proc, path, &stat, 0) != nil {
			return -1
		}
		return stat.Size
	}
	name, err := o.fdFolder(&p.Table)
	if err != nil || name == "" || !o.sizes {
		return false
	}
	before := count(name)
	n := count(o.PIDPath(p.PID, "task/"+strconv.Itoa(int(thread))+"/fd"))
	if n < 0 || n == before || count(name) != before { // or it is being changed just now
		return false
	}
	o.sharers = append(o.sharers, thread)
	return true
}

// compareFiles is 0 when two threads share their descriptors, and else says in which order the kernel has them: kcmp(2).
func compareFiles(a, b int32) (int, error) {
	const files = 2 // KCMP_FILES
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), files, 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return [...]int{0, -1, 1, 1}[order&3], nil
}

// findRings reads the rings of p of which nothing is known, and remembers those that hold a socket of the recording. It returns
// how much it has done.
func (o *Owners) findRings(p *Process) int {
	cost := 0
	for t := range p.Tables {
		for _, fd := range slices.Clone(t.rings) {
			known := func(u *Table) bool { return u.ring && u.thread == t.thread && u.ringFD == fd }
			if slices.ContainsFunc(p.others, known) {
				continue
			}
			ring := p.addTable(Table{thread: t.thread, ring: true, ringFD: fd})
			o.walkDue(ring, Reading, o.Looked)
			cost += 4 + int(max(ring.Counted, 0))/4
			if ring.Held == 0 && !ring.gone {
				o.giveUp(ring)
			}
		}
	}
	return cost
}

// readRing is readSockets of a ring.
func (o *Owners) readRing(t *Table) (int64, error) {
	fd := strconv.FormatUint(uint64(t.ringFD), 10)
	for range ringTries {
		name, err := o.folder(t, "fdinfo")
		if err != nil {
			return 0, err
		}
		if name == "" {
			return 0, unix.ENOENT
		}
		if err := o.readAll(name + "/" + fd); err != nil {
			return 0, err
		}
		o.found = o.found[:0]
		count, told := RegisteredFiles(o.ringed, func(index, inode uint32) {
			o.found = append(o.found, fdInode{index, inode, o.Gen})
		})
		if told {
			return count, nil
		}
		if name, err = o.folder(t, "fd"); err != nil {
			return 0, err
		}
		n, err := unix.Readlinkat(o.Proc, name+"/"+fd, o.text[:64])
		if err != nil {
			return 0, err
		}
		if string(o.text[:n]) != ringLink {
			return 0, unix.ENOENT
		}
	}
	return 0, unix.EBUSY
}

// readAll reads a file of /proc into o.ringed.
func (o *Owners) readAll(name string) error {
	fd, err := unix.Openat(o.Proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	o.ringed = o.ringed[:0]
	for {
		o.ringed = slices.Grow(o.ringed, 8<<10)
		n, err := unix.Read(fd, o.ringed[len(o.ringed):cap(o.ringed)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case n <= 0:
			return nil
		default:
			o.ringed = o.ringed[:len(o.ringed)+n]
		}
	}
}

// RegisteredFiles reads the files of a ring out of its fdinfo, calls do for those that are sockets, and returns for how many
// files there is room. told is false when the kernel says nothing of them: then it is no ring, or one that is being used at
// the moment. The list is
//
//	UserFiles:	64
//	    3: socket:[4711]
//	   63: /var/log/messages
//
// and older kernels tell of empty places too.
func RegisteredFiles(text []byte, do func(index, inode uint32)) (count int64, told bool) {
	const title = "UserFiles:"
	at := 0
	if !bytes.HasPrefix(text, []byte(title)) {
		at = bytes.Index(text, []byte("\n"+title)) + 1
		if at == 0 {
			return 0, false
		}
	}
	line, rest, _ := bytes.Cut(text[at:], []byte("\n"))
	room, err := strconv.ParseUint(string(bytes.TrimSpace(line[len(title):])), 10, 32)
	if err != nil {
		return 0, false
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimLeft(line, " ")
		index, ok := decimal(line, ':')
		if !ok {
			break
		}
		file := bytes.TrimLeft(line[bytes.IndexByte(line, ':')+1:], " ")
		if inode, ok := socketInode(file); ok && inode != 0 {
			do(index, inode)
		}
	}
	return int64(room), true
}

// verifyRing is verifyPlaces of a ring, whose list can only be read as a whole.
func (o *Owners) verifyRing(t *Table, budget *int) int {
	if t.walked == o.Gen {
		return len(t.sockets)
	}
	if *budget <= 0 {
		return 0
	}
	*budget -= max(len(t.sockets), 1)
	o.Walk(t, Reading)
	return len(t.sockets)
}
