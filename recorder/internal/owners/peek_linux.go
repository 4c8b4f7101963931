package owners

import (
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/store"
)

// A Peeked is what was read of a process at once, as it may have ended by the next sample. Its command line is not: to read that may take for ever.
type Peeked struct {
	PID       int32
	Start     uint64 // in ticks since boot; 0: it was gone already
	Comm, Exe string // "": not known
	UID       uint32 // the effective one
	UIDKnown  bool
}

// Peek reads what it can of a process that was there at that time since boot.
func Peek(pid int32, at time.Duration) Peeked {
	p := Peeked{PID: pid}
	folder := "/proc/" + strconv.Itoa(int(pid))
	var st unix.Stat_t
	owned := unix.Stat(folder, &st) // first: what follows tells whether it is the process that is meant
	text, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return p
	}
	stat, err := parseStat(text)
	if err != nil || time.Duration(stat.Start)*(time.Second/UserHZ) > at {
		return p // another process has the number by now
	}
	if owned == nil { // the folder belongs to the effective user, also of a process that may not be dumped
		p.UID, p.UIDKnown = st.Uid, true
	}
	exe, err := os.Readlink(folder + "/exe")
	if err == nil {
		p.Exe = kernel.Printable([]byte(exe))
	}
	p.Start, p.Comm = stat.Start, stat.comm
	return p
}

// Recorded is the recording's process that p was. It is there in this sample for the recording, even if it has ended since the last one.
func (o *Owners) Recorded(p Peeked) store.Ref {
	same := func(q *Process) bool {
		return q != nil && (p.Start == 0 || q.stat.Start == p.Start) && (p.Exe == "" || q.ID.Exe == "" || q.ID.Exe == p.Exe) &&
			(p.Comm == "" || q.ID.Comm == "" || q.ID.Comm == p.Comm)
	}
	if q := o.ByPID[p.PID]; p.Start != 0 && same(q) {
		if q.ID == (store.ProcessID{}) {
			if !o.identify(q) {
				return 0
			}
			o.describe(q)
		}
		if same(q) {
			if q.reported != o.Gen {
				o.report(q)
			}
			return q.Ref
		}
	}
	if q := o.lately[p.PID]; same(q) {
		return q.Ref
	}
	id := store.ProcessID{PID: store.Of(p.PID), Comm: p.Comm, Exe: p.Exe}
	if p.Start != 0 {
		id.Started = o.boot + float64(p.Start)/UserHZ
	}
	var v store.Process
	if p.UIDKnown {
		v.UID, v.User = store.Of(p.UID), o.users.Name(p.UID)
	}
	ref := o.Processes.Put(id, v).Ref()
	o.usersOfAll()[ref] = v.UID
	return ref
}
