package owners

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// UserHZ is the unit of times in /proc: 100 on every machine that Go runs on.
const UserHZ = 100

// cmdlineLimit is how much of a command line is read.
const cmdlineLimit = 4096

// A Process is one program run: an exec makes another subject of it.
type Process struct {
	Table           // of its first thread
	others []*Table // by rising number

	PID    int32
	born   uint32 // sample in which it was first seen
	gen    uint32 // sample in which /proc last listed it
	stat   procStat
	kernel bool // a kernel thread: it has no files

	numbers   uint32    // given to others so far
	compared  time.Time // when its threads last were
	refreshed uint32    // sample in which its state was last read
	renamed   bool      // it may run another program since it was described

	full bool // it has used up most of the descriptors that it may have

	silent      bool           // its command line could not be had in time
	frozen      *cmdlineReader // that waits for it
	frozenStack uint64         // of the program that it waits for

	ID      store.ProcessID // set when it first holds one
	val     store.Process
	subject *store.Subject[store.ProcessID, store.Process]
	Ref     store.Ref
	// reported is the sample in which it last was.
	reported uint32
}

// An fdInode is a place of a socket.
type fdInode struct {
	fd, inode uint32 // inode 0: what was there is gone
	read      uint32 // sample in which it was last read
}

// index is where the places from that descriptor on begin.
func (t *Table) index(fd uint32) int {
	i, _ := slices.BinarySearchFunc(t.sockets, fd, func(f fdInode, fd uint32) int { return cmp.Compare(f.fd, fd) })
	return i
}

// procStat is what of /proc/PID/stat is used.
type procStat struct {
	comm    string
	state   byte
	ppid    int32
	Flags   uint64
	threads int32
	Start   uint64 // in ticks since boot
	stack   uint64 // address of its stack: random, so that an exec shows; 1 where it may not be seen
}

const PFKThread = 0x00200000

var errStat = errors.New("no line of /proc/PID/stat")

// parseStat reads /proc/PID/stat. The name may hold blanks and parentheses of its own, so
// the last ) ends it.
func parseStat(b []byte) (procStat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open || end+2 > len(b) {
		return procStat{}, errStat
	}
	s := procStat{comm: kernel.Printable(b[open+1 : end])}
	rest := b[end+1:]
	for field := 3; field <= 28; field++ {
		var word []byte
		rest = bytes.TrimLeft(rest, " ")
		if i := bytes.IndexAny(rest, " \n"); i >= 0 {
			word, rest = rest[:i], rest[i:]
		} else {
			word, rest = rest, nil
		}
		if len(word) == 0 {
			return s, errStat
		}
		if field == 3 {
			s.state = word[0]
			continue
		}
		switch field {
		case 4, 9, 20, 22, 28:
		default:
			continue
		}
		n, err := strconv.ParseUint(string(word), 10, 64)
		if err != nil {
			return s, err
		}
		switch field {
		case 4:
			s.ppid = int32(n)
		case 9:
			s.Flags = n
		case 20:
			s.threads = int32(n)
		case 22:
			s.Start = n
		case 28:
			s.stack = n
		}
	}
	return s, nil
}

// ReadStat reads the state of p; gone when there is no such process any more.
func (o *Owners) ReadStat(pid int32) (s procStat, gone bool, err error) {
	b, err := o.readFile(pid, "stat")
	if err != nil {
		return s, IsGone(err), err
	}
	s, err = parseStat(b)
	return s, false, err
}

// identify names the program run for the recording. While start, comm and exe are the same it stays the same: a process that
// writes into its own command line does not become another. Only an empty one is read again, because in the middle of an exec
// the new program has its name already and its arguments not yet. It answers false for a process that the recording has, and
// that has ended meanwhile: nothing is to be read of it any more, and it would seem to be another one.
func (o *Owners) identify(p *Process) bool {
	if p.subject != nil && p.stat.state == 'Z' {
		return true // as it was: it has ended, and its parent has not heard of it yet
	}
	exe := o.readExe(p.PID)
	started := o.started(p)
	if p.ID.Comm == p.stat.comm && p.ID.Exe == exe && p.ID.Started == started && p.ID.Cmdline != "" {
		return true
	}
	cmdline := o.cmdline(p)
	cut := len(cmdline) == cmdlineLimit
	if cmdline = bytes.TrimRight(cmdline, "\x00"); !o.NoMask {
		cmdline = mask(cmdline, cut)
	}
	id := store.ProcessID{
		PID: store.Of(p.PID), Started: started, Comm: p.stat.comm, Exe: exe,
		Cmdline: kernel.Printable(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})),
	}
	if id == p.ID {
		return true
	}
	if p.subject != nil && exe == "" {
		stat, gone, err := o.ReadStat(p.PID)
		if gone || err == nil && (stat.Start != p.stat.Start || stat.state == 'Z') {
			return false
		}
	}
	p.ID, p.subject = id, nil
	return true
}

// started is when the process was, in unix seconds.
func (o *Owners) started(p *Process) float64 { return o.boot + float64(p.stat.Start)/UserHZ }

// describe reads what seldom changes about a process.
func (o *Owners) describe(p *Process) {
	p.renamed = false
	v := store.Process{FDs: p.val.FDs}
	if b, err := o.readFile(p.PID, "status"); err == nil {
		if uid, ok := statusUID(b); ok {
			v.UID, v.User = store.Of(uid), o.users.Name(uid)
		}
	}
	if b, err := o.readFile(p.PID, "cgroup"); err == nil {
		v.CGroup = parseCgroup(b)
		v.ContainerID, v.Unit = ContainerID(v.CGroup), SystemdUnit(v.CGroup)
	}
	if b, err := o.readFile(p.PID, "limits"); err == nil {
		v.FDLimit = fileLimit(b)
	}
	p.val = v
}

// A process without a socket is recorded, too, when it has so many descriptors, and they are so much of what it may have: it cannot open a socket soon.
const (
	manyFDs    = 32
	nearlyFull = 80 // percent
)

// nearlyFull reports whether p has used up most of the descriptors that it may have.
func (o *Owners) nearlyFull(p *Process) bool {
	if p.Counted < manyFDs {
		return false
	}
	b, err := o.readFile(p.PID, "limits")
	if err != nil {
		return false
	}
	limit := fileLimit(b).Or(math.MaxInt64)
	return float64(p.Counted) >= float64(limit)*nearlyFull/100
}

// report puts the process into the recording.
func (o *Owners) report(p *Process) {
	v := p.val
	v.PPID = store.Of(p.stat.ppid)
	if o.NetNS != nil {
		v.NetNS = o.NetNS(p.PID, p.stat.Start)
	}
	v.FDs = store.Int{}
	if p.Counted >= 0 {
		v.FDs = store.Of(p.Counted)
	}
	if p.subject == nil || v != p.val || !o.Processes.Keep(p.subject) {
		p.val = v
		p.subject = o.Processes.Put(p.ID, v)
	}
	p.Ref, p.reported = p.subject.Ref(), o.Gen
	if most, known := v.FDLimit.Get(); known && o.Counted != nil {
		o.Counted(p.Ref, p.Counted, most)
	}
	if o.uids != nil {
		o.uids[p.Ref] = v.UID
	}
}

// rest says that a process that the recording has is there, and holds no socket.
func (o *Owners) rest(p *Process) {
	if !o.Processes.Rest(p.subject) {
		p.subject = nil
		return
	}
	o.resting++
}

// restsAndIsDue reports whether p rests and is to be looked at in this sample: it may have ended, and its number be another's,
// or it may run another program.
func (o *Owners) restsAndIsDue(p *Process) bool {
	turns := uint32(1 + o.resting/restingRead)
	return p.subject != nil && (uint32(p.PID)+o.Gen)%turns == 0
}

// recognize finds the processes again that the last run of the recorder left, and those that were known before forgetAll. Those
// that hold a socket would be anyway.
func (o *Owners) recognize() {
	if o.first {
		o.first = false
		o.unknown = slices.AppendSeq(o.unknown, o.Processes.OfLastRun())
	}
	for _, id := range o.unknown {
		p := o.ByPID[int32(id.PID.Or(0))]
		if p == nil || p.subject != nil || o.started(p) != id.Started {
			continue
		}
		if p.ID == (store.ProcessID{}) {
			o.identify(p)
			o.describe(p)
		}
		if p.ID == id && (p.Held > 0 || o.Named[p.PID]) {
			continue // it is reported, and found by its name
		}
		if p.ID != id {
			if p.ID.Exe != "" || id.Exe == "" { // else it has just ended
				o.report(p) // it runs another program by now
			}
		} else if p.subject = o.Processes.RestNamed(id); p.subject != nil {
			p.Ref = p.subject.Ref()
		}
	}
	o.unknown = nil
}

// Lives reports whether the recording's process of that number is still there; so is nobody, and so may be each while the owners
// cannot be read.
func (o *Owners) Lives(ref store.Ref, owned bool) bool {
	if ref == 0 || !owned {
		return true
	}
	if o.living == nil {
		o.living = map[store.Ref]bool{}
		for _, p := range o.ByPID {
			if p.subject != nil {
				o.living[p.subject.Ref()] = true
			}
		}
	}
	return o.living[ref]
}

// UIDOf is the effective user id of the recording's process of that number; NULL where it is not known.
func (o *Owners) UIDOf(ref store.Ref) store.Int {
	if ref == 0 {
		return store.Int{}
	}
	return o.usersOfAll()[ref]
}

// usersOfAll are the effective user ids of the processes of the recording, those that have ended since the last sample included. They are put
// together when a sample first asks.
func (o *Owners) usersOfAll() map[store.Ref]store.Int {
	if o.uids == nil {
		o.uids = map[store.Ref]store.Int{}
		for _, p := range o.ByPID {
			if p.subject != nil {
				o.uids[p.subject.Ref()] = p.val.UID
			}
		}
		for _, p := range o.lately {
			o.uids[p.Ref] = p.val.UID
		}
	}
	return o.uids
}

// Reported is the process of that number and start as this sample has it; 0 when it has not.
func (o *Owners) Reported(pid int32, start uint64) store.Ref {
	if p := o.ByPID[pid]; p != nil && p.stat.Start == start && p.reported == o.Gen {
		return p.Ref
	}
	return 0
}

// Cgroup is the control group of a process, "" when it may not be seen.
func (o *Owners) Cgroup(pid int32) string {
	b, err := o.readFile(pid, "cgroup")
	if err != nil {
		return ""
	}
	return parseCgroup(b)
}

// statusUID is the effective user id in /proc/PID/status.
func statusUID(status []byte) (uint32, bool) {
	f := bytes.Fields(LineOf(status, "Uid:"))
	if len(f) < 3 {
		return 0, false
	}
	uid, err := strconv.ParseUint(string(f[2]), 10, 32)
	return uint32(uid), err == nil
}

// fileLimit is the soft limit of open files in /proc/PID/limits; NULL for unlimited.
func fileLimit(limits []byte) store.Int {
	f := bytes.Fields(LineOf(limits, "Max open files"))
	if len(f) < 5 {
		return store.Int{}
	}
	n, err := strconv.ParseInt(string(f[3]), 10, 64)
	if err != nil {
		return store.Int{}
	}
	return store.Of(n)
}

// LineOf is the line of text that begins so.
func LineOf(text []byte, start string) []byte {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte("\n"))
		if bytes.HasPrefix(line, []byte(start)) {
			return line
		}
		text = rest
	}
	return nil
}

// readFile reads a file of /proc/PID into the buffer, which the next call uses again.
func (o *Owners) readFile(pid int32, name string) ([]byte, error) {
	fd, err := unix.Openat(o.Proc, o.PIDPath(pid, name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// Files of /proc are made at the first read; all that is wanted of them fits into one,
	// save a command line, which is cut.
	for {
		n, err := unix.Read(fd, o.text[:])
		if err == unix.EINTR {
			continue
		}
		return o.text[:max(n, 0)], err
	}
}

// readExe is the path of the program, "" when it may not be seen.
func (o *Owners) readExe(pid int32) string {
	n, err := unix.Readlinkat(o.Proc, o.PIDPath(pid, "exe"), o.text[:])
	if err != nil {
		return ""
	}
	return kernel.Printable(o.text[:n])
}

func (o *Owners) PIDPath(pid int32, name string) string {
	o.path = strconv.AppendInt(o.path[:0], int64(pid), 10)
	o.path = append(append(o.path, '/'), name...)
	return string(o.path)
}

// IsGone reports whether the error means that the process has ended meanwhile.
func IsGone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH)
}
