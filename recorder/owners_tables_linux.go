package recorder

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A table is where a process holds files. Most processes have one, that of their first thread, which /proc/PID/fd shows.
// Besides there are:
//
//   - that of a thread that does not share it (unshare(CLONE_FILES)), which /proc/PID/task/TID/fd shows;
//   - that of the files registered with a ring of io_uring. They need no descriptor: accept may put a connection there
//     at once. /proc/PID/fdinfo of the ring lists them.
//
// These are looked for last, when a socket is found with nobody's first thread, and remembered from then on.
type table struct {
	process *process
	number  uint32 // among those of the process; that of the first thread is 0
	thread  int32  // whose descriptors they are, or who has the ring; 0: the first thread that lives
	ring    bool   // they are no descriptors, but files registered with a ring,
	ringFD  uint32 // which has this descriptor
	gone    bool

	denied  bool      // it may not be read
	walked  uint32    // sample in which it was last read
	counted int64     // descriptors, as last counted; -1 before
	changed bool      // their number has changed since they were read, or a socket is gone
	uid     uint32    // owner of their folder, as last counted: the user, or root
	due     time.Time // when they are to be listed again; zero: when all are to be read

	// sockets are the descriptors that are sockets, of any kind, by rising fd, as last seen.
	sockets []fdInode
	freed   int      // those of them whose socket is gone
	held    int      // sockets of the recording in it
	rings   []uint32 // the descriptors that are rings, as last seen
}

// noFD is no descriptor: a file that is registered with a ring has none.
const noFD = 1<<32 - 1

const (
	// asideBudget is how many threads are compared and rings read in a sample, about, to find tables that are not known yet.
	// Each takes 2 µs, a ring 10.
	asideBudget = 1024
	// ringLink is what a descriptor of io_uring leads to.
	ringLink = "anon_inode:[io_uring]"
	// ringTries is how often a ring is read that is being used at the moment: the kernel tells nothing of it then.
	ringTries = 4
)

// tables calls yield for the tables of p, that of its first thread first.
func (p *process) tables(yield func(*table) bool) {
	others := p.others
	if !yield(&p.table) {
		return
	}
	for _, t := range others {
		if !t.gone && !yield(t) {
			return
		}
	}
}

// tableOf is the table of that number.
func (p *process) tableOf(number uint32) *table {
	for t := range p.tables {
		if t.number == number {
			return t
		}
	}
	return nil
}

// holds reports whether p holds a socket of the recording.
func (p *process) holds() bool {
	return p.held > 0 || slices.ContainsFunc(p.others, func(t *table) bool { return t.held > 0 })
}

// of reports whether the hold is with that table.
func (h *holder) of(t *table) bool { return h.process == t.process && h.table == t.number }

// fd is the lowest descriptor with which the process that is the i-th holder of e has it, in the first of its tables of
// descriptors; noFD when the socket is only registered with a ring.
func (e *held) fd(i int) uint32 {
	p := e.holders[i].process
	for _, h := range e.holders[i:] {
		if h.process != p {
			break
		}
		if h.table == 0 || !p.tableOf(h.table).ring {
			return h.fd
		}
	}
	return noFD
}

// addTable makes another table of p.
func (p *process) addTable(t table) *table {
	p.numbers++
	t.process, t.number, t.counted = p, p.numbers, -1
	p.others = append(p.others, &t)
	return &t
}

// giveUp takes a table that is gone out of memory; without its first one the process is gone.
func (o *owners) giveUp(t *table) {
	if t.number == 0 {
		o.forget(t.process)
		return
	}
	o.drop(t)
	t.process.others = slices.DeleteFunc(slices.Clone(t.process.others), func(u *table) bool { return u.gone })
}

// ended gives up the table of a thread that has ended, if that is what the error says. Processes that have ended are
// those that /proc does not list.
func (o *owners) ended(t *table, err error) {
	if t.number != 0 && isGone(err) {
		o.giveUp(t)
	}
}

// drop releases all that a table holds.
func (o *owners) drop(t *table) {
	for _, f := range t.sockets {
		o.release(t, f.inode)
	}
	t.sockets, t.freed, t.gone = nil, 0, t.number != 0
}

// lookAside looks for the missing sockets in tables that are not known yet, for some samples after they appeared, with other
// processes in each sample where there are many.
func (o *owners) lookAside(ctx context.Context) error {
	if !slices.ContainsFunc(o.wanted, func(e *held) bool { return e.lost == 0 || o.gen-e.lost < orphanSamples }) {
		return nil
	}
	first, _ := slices.BinarySearch(o.pids, o.asidePID)
	for i, budget := 0, asideBudget; i < len(o.pids) && budget > 0; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		pid := o.pids[(first+i)%len(o.pids)]
		o.asidePID = pid + 1
		p := o.byPID[pid]
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
func (o *owners) findTables(p *process) int {
	var stat unix.Stat_t
	if unix.Fstatat(o.proc, o.pidPath(p.pid, "task"), &stat, 0) != nil {
		return 0
	}
	threads := int(stat.Nlink) - 2
	if threads < 2 || threads > asideBudget && o.looked.Sub(p.compared) < o.recheck {
		return 0
	}
	p.compared = o.looked
	if p.refreshed != o.gen && o.refresh(p.pid, p) != p { // at rest for long, and by now another
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
		known := thread == first || thread == p.pid && p.stat.state == 'Z' || slices.Contains(o.sharers, thread)
		if !known && o.isAnother(p, thread) {
			o.walkDue(p.addTable(table{thread: thread}), reading, o.looked)
		}
	}
	return len(o.threads)
}

// isAnother reports whether a thread of p has other descriptors than all of o.sharers, and makes it one of them then.
func (o *owners) isAnother(p *process, thread int32) bool {
	if o.noKcmp {
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
		o.noKcmp = true
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
func (o *owners) differs(p *process, thread int32) bool {
	count := func(path string) int64 {
		var stat unix.Stat_t
		if unix.Fstatat(o.proc, path, &stat, 0) != nil {
			return -1
		}
		return stat.Size
	}
	name, err := o.fdFolder(&p.table)
	if err != nil || name == "" || !o.sizes {
		return false
	}
	before := count(name)
	n := count(o.pidPath(p.pid, "task/"+strconv.Itoa(int(thread))+"/fd"))
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
func (o *owners) findRings(p *process) int {
	cost := 0
	for t := range p.tables {
		for _, fd := range slices.Clone(t.rings) {
			known := func(u *table) bool { return u.ring && u.thread == t.thread && u.ringFD == fd }
			if slices.ContainsFunc(p.others, known) {
				continue
			}
			ring := p.addTable(table{thread: t.thread, ring: true, ringFD: fd})
			o.walkDue(ring, reading, o.looked)
			cost += 4 + int(max(ring.counted, 0))/4
			if ring.held == 0 && !ring.gone {
				o.giveUp(ring)
			}
		}
	}
	return cost
}

// readRing is readSockets of a ring.
func (o *owners) readRing(t *table) (int64, error) {
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
		count, told := registeredFiles(o.ringed, func(index, inode uint32) {
			o.found = append(o.found, fdInode{index, inode, o.gen})
		})
		if told {
			return count, nil
		}
		if name, err = o.folder(t, "fd"); err != nil {
			return 0, err
		}
		n, err := unix.Readlinkat(o.proc, name+"/"+fd, o.text[:64])
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
func (o *owners) readAll(name string) error {
	fd, err := unix.Openat(o.proc, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
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

// registeredFiles reads the files of a ring out of its fdinfo, calls do for those that are sockets, and returns for how many
// files there is room. told is false when the kernel says nothing of them: then it is no ring, or one that is being used at
// the moment. The list is
//
//	UserFiles:	64
//	    3: socket:[4711]
//	   63: /var/log/messages
//
// and older kernels tell of empty places too.
func registeredFiles(text []byte, do func(index, inode uint32)) (count int64, told bool) {
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
func (o *owners) verifyRing(t *table, budget *int) int {
	if t.walked == o.gen {
		return len(t.sockets)
	}
	if *budget <= 0 {
		return 0
	}
	*budget -= max(len(t.sockets), 1)
	o.walk(t, reading)
	return len(t.sockets)
}
