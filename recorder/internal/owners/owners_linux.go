package owners

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// Owners finds out which processes hold which sockets, by reading where the descriptors of
// every process lead. That costs microseconds per descriptor and there may be tens of
// thousands, so in a sample are read:
//
//   - all descriptors of a process that is new or ran exec: it may have inherited any;
//   - those of a small process that holds sockets, when their number has changed or one of its
//     sockets is gone;
//   - known places, to see whether they still lead to their sockets: where there are no more than
//     verifyBudget, each of them, else so many in turn that all are within verifyRound. A place that leads elsewhere makes its
//     process be read again, when it is small, or at least be searched first;
//   - when the dumps show an inode that nobody is known to hold, a new one or one whose holder
//     gave it away: those descriptors that may have become it, until it is found. First the
//     places of sockets that are gone, because the kernel gives out the lowest free number; then
//     processes that hold sockets and have changed; then all others, those first that have changed
//     or run as the user that made the socket. A descriptor is passed over only when it is the one known
//     place of a socket that the dump has just shown alive. When that does not find a
//     new socket, it may stand in a place that was passed over: the rest of the places are verified, at most
//     once per recheck;
//   - while somebody's socket stays without a holder, which is on its way from one process to
//     another or the kernel's own: the processes that have changed, and for some samples others in turn;
//   - the descriptors of every small process once per recheck, and of every other once per verifyRound, or in twice that
//     while their number stays the same, save those passed over as above: it may have got a socket that others hold too;
//   - last, while a socket stays without a holder, for some samples: threads with descriptors of their own, and files registered
//     with io_uring. Those that are found are read like the others from then on; see table.
//
// So on a machine with few sockets the process named for one holds it at the time of the sample, whatever was
// passed on; on a large one a socket that was passed on may show its old owner for
// verifyRound, if the numbers of descriptors of both processes hide it. A socket that nobody is seen to hold has no
// owner: it may be on its way from one process to another, which no process shows.
type Owners struct {
	NoMask    bool          // passwords in command lines are recorded too
	Log       *debuglog.Log // nil: how owners are found is not told
	Source    *store.Source
	Processes *store.Set[store.ProcessID, store.Process]
	users     *Users
	boot      float64       // unix seconds
	recheck   time.Duration // the longest that a holder may go unnoticed

	ByPID      map[int32]*Process
	lately     map[int32]*Process      // processes of the recording that have ended since the last sample
	unknown    []store.ProcessID       // processes of the recording that may be there still, and are to be found again; see recognize
	first      bool                    // nothing is known yet of what the last run left
	resting    int                     // processes that are there and hold no socket any more, in the last sample
	living     map[store.Ref]bool      // the processes of the recording that are there; see lives
	uids       map[store.Ref]store.Int // of the processes of the recording; see usersOfAll
	byInode    map[uint32]*Held        // the sockets with an inode, of all protocols
	Twins      map[uint32][]*Held      // further sockets with the same inode: subflows of one MPTCP connection
	unresolved []*Held                 // those that have appeared or lost their last holder, and those still not found
	closed     []*Held                 // those of them that are closed since the dump: nobody holds them
	Strays     map[uint32]Stray        // descriptors of sockets that no dump has shown so far, by inode
	other      map[uint32]bool         // inodes of sockets of other kinds
	// doubtful are sockets that the dumps of this sample do not show as alive; a process may still hold them.
	Doubtful []*Held
	Gen      uint32 // number of the sample
	// firstDump is the number of the first dump of this sample: what a dump from it on has
	// shown is alive.
	FirstDump uint32
	sizes     bool // the kernel tells the number of descriptors, Linux 6.2
	NoKCmp    bool // and cannot tell whether threads share them
	// named are processes to report even if they hold no socket, and netns tells where one is.
	Named map[int32]bool
	// gone asks whether a socket is closed by now; nil: it cannot be asked.
	Gone  func(context.Context, *Held) bool
	NetNS func(pid int32, start uint64) store.Int
	// Counted is told how many descriptors a process has, of how many that it may have.
	Counted func(process store.Ref, open, most int64)
	// Opener is the process that opened a socket, which may not hold it any more; 0: that is not known.
	Opener func(*Held) int32
	// privileged: the recorder has the capabilities that should let it see everything.
	privileged bool

	Looked    time.Time // when the last sample was
	known     int       // places in processes that hold sockets
	Budget    int       // places up to which all are verified in a sample
	Small     int64     // descriptors of a small process, at most
	nextPID   int32     // verify goes on with this process,
	nextTable uint32    // this table of it,
	nextFD    uint32    // from this descriptor on,
	overdrawn int       // and so many places less: as many more were verified in the last sample than was meant
	turnPID   int32     // readInTurn goes on with this process
	asidePID  int32     // and lookAside with this one
	complete  bool      // all places have been verified in this sample
	Round     time.Time // when they last were for a new socket
	rereading int64     // descriptors of small processes that may still be read again in this sample

	Cmdlines *cmdlines

	Proc    int // the folder /proc, open
	PIDs    []int32
	found   []fdInode // by readSockets
	skipped []fdInode // those of them that were not read, because they are certain
	rings   []uint32  // by readSockets: the descriptors that are rings of io_uring
	threads []int32   // by listThreads
	sharers []int32   // used by findTables
	ringed  []byte    // used by readRing
	path    []byte
	text    [8192]byte
	dirents [32 << 10]byte
}

// A Held is what of a socket the search for its owners knows.
type Held struct {
	Rec     sockdiag.Record // what the kernel said last
	Holders []Holder        // by rising pid
	Dump    uint32          // in which it was last seen,
	Place   uint32          // and its place in that
	Lost    uint32          // sample in which its last holder went

	// What TIME_WAIT and the like do not tell any more.
	Inode, UID uint32
	UIDKnown   bool

	Unlisted  bool // no dump shows it, though a process holds it
	OnItsWay  bool // nobody has had it since lost, and it is not closed: a process is passing it to another
	Abandoned bool // a subflow whose MPTCP connection is closed by its process
}

const (
	// recheckOwners is how long a small process may hold a socket besides its other holders without being noticed, with
	// samples up to ten seconds apart.
	recheckOwners = 20 * time.Second
	// VerifyBudget is up to how many places all are verified in each sample; each takes 2 to 3 µs.
	VerifyBudget = 512
	// VerifyRound is the time in which more than that are: of 20,000, sampled every 10 s, 1,667 in each.
	VerifyRound = 2 * time.Minute
	// SmallProcess is how many descriptors one has at most that is read again at a mere hint, and rereadBudget how
	// many are so in a sample; each takes 4 µs.
	SmallProcess = 256
	rereadBudget = 1024
	// askedAtOnce is how many sockets without a holder the kernel is asked about, at most; each takes 5 to 10 µs.
	askedAtOnce = 256
	// restingRead is how many processes that rest are looked at in a sample, whether they are still the same; each takes
	// some 10 µs. Of more than that, others in each sample.
	restingRead = 64
	// OrphanSamples is for how many samples a socket without a holder has processes read in turn.
	OrphanSamples = 16
)

// What is said when descriptors may not be read: for want of privilege, or in spite of it.
const (
	Hidden = "owners of other users' sockets cannot be seen: run as root, " +
		"or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (setcap cap_sys_ptrace,cap_dac_read_search+ep netsql)"
	ownersForbidden = "owners of some sockets cannot be seen: the system hides the " +
		"descriptors of some processes even from a user with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
)

func New(w *store.Writer, users *Users) *Owners {
	o := &Owners{
		Source: w.Source("owners"), users: users, boot: w.BootTime(), recheck: recheckOwners,
		Budget: VerifyBudget, Small: SmallProcess,
		byInode: map[uint32]*Held{}, Proc: -1, privileged: MayReadDescriptors(), Cmdlines: newCmdlines(),
	}
	o.Processes = store.NewSet(o.Source, store.Processes)
	o.ForgetAll()
	o.first = true
	return o
}

// ForgetAll begins again, when a look failed halfway and its memory cannot be relied on.
func (o *Owners) ForgetAll() {
	for _, p := range o.ByPID {
		if p.subject != nil {
			o.unknown = append(o.unknown, p.ID)
		}
	}
	o.ByPID, o.living = map[int32]*Process{}, nil
	o.unresolved = o.unresolved[:0]
	for inode, e := range o.byInode {
		e.Holders = nil
		o.unresolved = append(o.unresolved, e)
		for _, twin := range o.Twins[inode] {
			twin.Holders = nil
		}
	}
}

// StartOver forgets what the recording calls processes: it is another one.
func (o *Owners) StartOver() {
	for _, p := range o.ByPID {
		p.subject, p.Ref, p.reported = nil, 0, 0
	}
	o.first, o.unknown, o.living = true, nil, nil
}

// Begin begins a sample. What a dump from firstDump on has shown is alive.
func (o *Owners) Begin(sample, firstDump uint32) {
	o.Gen, o.FirstDump = sample, firstDump
	clear(o.lately)
	o.uids = nil
}

// Look brings the holders of all sockets up to date and reports the processes.
func (o *Owners) Look(ctx context.Context) error {
	defer o.Cmdlines.end()
	if err := o.ListProcesses(); err != nil {
		return err
	}
	now := time.Now()
	if err := o.Visit(ctx, now); err != nil {
		return err
	}
	due := o.known
	if o.known > o.Budget {
		due = int(math.Ceil(min(now.Sub(o.Looked).Seconds()/VerifyRound.Seconds(), 1) * float64(o.known)))
	}
	o.Looked = now
	if err := o.verify(ctx, due); err != nil {
		return err
	}
	o.verifyDoubtful()
	if err := o.search(ctx); err != nil {
		return err
	}
	o.matchTwins()
	o.recognize()
	partial, frozen := o.ByPID[1] == nil, false // under hidepid not even init shows
	o.resting, o.living = 0, nil
	for _, p := range o.ByPID {
		partial = partial || p.denied
		shown := p.holds() || o.Named[p.PID] || p.full
		if !shown && p.subject == nil {
			continue
		}
		if p.ID == (store.ProcessID{}) || p.renamed && shown {
			before := p.subject
			if !o.identify(p) {
				o.forget(p)
				continue
			}
			o.describe(p)
			shown = shown || p.subject != before // it runs another program: that is told, even if this one holds nothing
		}
		if !shown {
			o.rest(p)
			continue
		}
		o.report(p)
		frozen = frozen || p.silent
	}
	var said []string
	switch {
	case !partial:
	case o.privileged:
		said = append(said, ownersForbidden)
	default:
		said = append(said, Hidden)
	}
	if frozen {
		said = append(said, CmdlinesMissing)
	}
	if said == nil {
		return nil
	}
	return &store.PartialError{Missing: strings.Join(said, "; ")}
}

// Visit goes through the processes that are there now.
func (o *Owners) Visit(ctx context.Context, now time.Time) error {
	o.known, o.rereading = 0, rereadBudget
	for _, pid := range o.PIDs {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := o.ByPID[pid]
		if p != nil && !p.holds() && !p.full && now.Before(p.Due) && !o.restsAndIsDue(p) {
			p.gen = o.Gen
			continue
		}
		if p = o.refresh(pid, p); p == nil {
			continue
		}
		p.gen = o.Gen
		if !now.Before(p.Due) {
			how := listing
			if p.Due.IsZero() {
				how = Reading
			}
			o.walkDue(&p.Table, how, now)
			p.full = !p.kernel && o.nearlyFull(p)
			if p.holds() || o.Named[p.PID] || p.full {
				o.identify(p)
				o.describe(p)
			}
		}
		for t := range p.Tables {
			if t.number != 0 && !now.Before(t.Due) {
				o.walkDue(t, listing, now)
			}
			o.recount(t)
		}
	}
	for _, p := range o.ByPID {
		if p.gen != o.Gen {
			o.forget(p)
		}
	}
	return nil
}

// walkDue reads descriptors that have not been listed for long, and says when they are to be again.
func (o *Owners) walkDue(t *Table, how effort, now time.Time) {
	before, changed := t.Counted, t.changed
	o.Walk(t, how)
	again := o.recheck
	if t.Counted > o.Small { // listing its descriptors takes a microsecond for each
		if again = VerifyRound; t.Counted == before && !changed {
			again *= 2
		}
	}
	t.Due = now.Add(again/2 + again/2*time.Duration(t.process.PID%16)/16)
}

// recount sees whether the number of descriptors of a table that holds sockets has changed, and reads them again then.
func (o *Owners) recount(t *Table) {
	if t.Held == 0 {
		if t.process.full {
			o.count(t)
		}
		return
	}
	if o.count(t); t.changed && t.walked != o.Gen {
		o.reread(t)
	}
	o.known += len(t.sockets)
}

// reread reads a small table again, as far as the budget goes.
func (o *Owners) reread(t *Table) {
	if t.Counted <= o.Small && t.Counted <= o.rereading {
		o.rereading -= t.Counted
		o.Walk(t, Reading)
	}
}

// refresh reads the state of a process, known or not, and says what must be read again.
func (o *Owners) refresh(pid int32, p *Process) *Process {
	stat, gone, err := o.ReadStat(pid)
	if gone || err != nil && p == nil {
		return nil
	}
	if err == nil && p != nil && p.stat.Start != stat.Start { // another process of that number
		o.forget(p)
		p = nil
	}
	if p == nil {
		p = &Process{PID: pid, born: o.Gen, gen: o.Gen}
		p.Table = Table{process: p, Counted: -1}
		o.ByPID[pid] = p
	} else if err == nil && (p.stat.stack != stat.stack || p.stat.comm != stat.comm || p.stat.state != stat.state && stat.state == 'Z') {
		p.Due, p.renamed = time.Time{}, true
		if p.stat.stack != stat.stack && stat.state != 'Z' {
			p.ID = store.ProcessID{} // it ran exec, if only of the same program with other arguments
		}
	}
	if err == nil {
		p.stat = stat
	}
	p.refreshed = o.Gen
	p.kernel = p.stat.Flags&PFKThread != 0
	return p
}

// verify looks at known places, at most so many, whether they still lead to their sockets. It goes on where it stopped in the
// last sample, and passes over those that have been read in this one.
func (o *Owners) verify(ctx context.Context, budget int) error {
	if o.complete = len(o.PIDs) == 0; o.complete {
		return nil
	}
	budget -= o.overdrawn
	defer func() { o.overdrawn = max(0, -budget) }()
	first, _ := slices.BinarySearch(o.PIDs, o.nextPID)
	for i := range len(o.PIDs) + 1 { // at the end the first one once more: what came before nextFD
		if err := ctx.Err(); err != nil {
			return err
		}
		pid := o.PIDs[(first+i)%len(o.PIDs)]
		p := o.ByPID[pid]
		if p == nil || !p.holds() {
			continue
		}
		table, fd := uint32(0), uint32(0)
		if i == 0 && pid == o.nextPID {
			table, fd = o.nextTable, o.nextFD
		}
		for t := range p.Tables {
			if t.number < table || t.Held == 0 || t.denied {
				continue
			}
			from := uint32(0)
			if t.number == table {
				from = fd
			}
			place := o.verifyFDs(t, from, &budget)
			if place < len(t.sockets) && budget <= 0 {
				o.nextPID, o.nextTable, o.nextFD = pid, t.number, t.sockets[place].fd
				return nil
			}
		}
	}
	o.complete = true
	return nil
}

// search looks for those who hold the sockets that appeared in this sample or lost their last holder, and for those
// of the samples before that nobody was seen to hold.
func (o *Owners) search(ctx context.Context) error {
	o.askParents()
	err := o.seek(ctx)
	if err == nil && o.missing() {
		err = o.lookAside(ctx)
	}
	o.tellMissing()
	o.unresolved = append(o.unresolved, o.closed...) // the next dump will not show them
	clear(o.closed)
	o.closed = o.closed[:0]
	for _, e := range o.unresolved {
		if e.Lost == 0 {
			e.Lost = o.Gen
		}
	}
	if cap(o.unresolved) > 1024 && cap(o.unresolved) > 4*len(o.unresolved) {
		o.unresolved = slices.Clone(o.unresolved)
	}
	clear(o.unresolved[len(o.unresolved):cap(o.unresolved)])
	return err
}

// tellMissing says to the log which sockets nobody is seen to hold, and why.
func (o *Owners) tellMissing() {
	if o.Log == nil {
		return
	}
	denied := 0
	for _, p := range o.ByPID {
		if p.denied {
			denied++
		}
	}
	for _, e := range o.closed {
		o.Log.Printf("inode %d has no owner: it was closed after the dump", e.Inode)
	}
	for _, e := range o.unresolved {
		why := "no process shows it"
		if e.OnItsWay {
			why += ", and the kernel says that it is open: it is on its way from one process to another, or the kernel's own"
		}
		o.Log.Printf("inode %d has no owner: %s; the descriptors of %d processes may not be read", e.Inode, why, denied)
	}
	o.Log.Printf("%d processes, %d known descriptors of sockets, all verified: %v", len(o.PIDs), o.known, o.complete)
}

func (o *Owners) seek(ctx context.Context) error {
	if !o.missing() {
		return nil
	}
	openers := o.openers()
	var first, near, far []*Table // of those that opened the missing sockets, those that hold sockets and have changed or cannot tell, and all others
	for _, pid := range o.PIDs {
		p := o.ByPID[pid]
		if p == nil || p.kernel {
			continue
		}
		for t := range p.Tables {
			switch {
			case t.denied || t.walked == o.Gen:
				continue
			case t.freed > 0 && !t.ring:
				o.readFreed(t)
			}
			switch {
			case openers[pid]:
				o.count(t)
				first = append(first, t)
			case t.Held > 0 && t.changed || t.ring:
				near = append(near, t)
			default:
				far = append(far, t)
			}
		}
	}
	near = append(first, near...)
	if err := o.searchIn(ctx, near, probing); err != nil || !o.missing() {
		return err
	}
	if o.setClosedAside(ctx); !o.missing() {
		return nil
	}
	users := map[uint32]bool{} // that made the missing sockets
	fresh, young := false, false
	for _, e := range o.unresolved {
		users[e.UID] = users[e.UID] || e.UIDKnown
		fresh = fresh || e.Lost == 0 || e.Lost == o.Gen
		young = young || o.Gen-e.Lost < OrphanSamples
	}
	var ranks [4][]*Table
	for _, t := range far {
		o.count(t)
		rank := 0
		if !t.changed {
			rank = 2
		}
		if !users[t.uid] {
			rank++
		}
		ranks[rank] = append(ranks[rank], t)
	}
	if err := o.searchIn(ctx, slices.Concat(ranks[0], ranks[1]), probing); err != nil || !o.missing() {
		return err
	}
	if !fresh {
		if young {
			o.readInTurn()
			o.missing()
		}
		return nil
	}
	// Then without relying on the number of descriptors, which may be the same though one was closed and
	// another opened, or have changed between counting and reading.
	if err := o.searchIn(ctx, slices.Concat(ranks[2], ranks[3]), probing); err != nil || !o.missing() {
		return err
	}
	if err := o.searchIn(ctx, slices.Concat(near, far), listing); err != nil || !o.missing() {
		return err
	}
	if o.complete || o.Looked.Sub(o.Round) < o.recheck {
		return nil
	}
	o.Round = o.Looked
	if err := o.verify(ctx, math.MaxInt); err != nil || !o.missing() {
		return err
	}
	near = near[:0]
	for _, p := range o.ByPID {
		for t := range p.Tables {
			if t.changed && t.Held > 0 && !p.kernel && !t.denied {
				near = append(near, t)
			}
		}
	}
	return o.searchIn(ctx, near, listing)
}

// setClosedAside takes out of the wanted sockets those that are closed by now. Short connections are, which a busy machine has
// in every sample.
func (o *Owners) setClosedAside(ctx context.Context) {
	if o.Gone == nil {
		return
	}
	few := len(o.unresolved) <= askedAtOnce
	o.unresolved = slices.DeleteFunc(o.unresolved, func(e *Held) bool {
		if !few && e.Rec.Has&sockdiag.HasMPTCP == 0 {
			return false
		}
		if e.OnItsWay = !o.Gone(ctx, e); e.OnItsWay {
			return false
		}
		o.closed = append(o.closed, e)
		return true
	})
}

// readInTurn reads some processes again, others in each sample.
func (o *Owners) readInTurn() {
	first, _ := slices.BinarySearch(o.PIDs, o.turnPID)
	for i, budget := 0, int64(rereadBudget); i < len(o.PIDs); i++ {
		o.turnPID = o.PIDs[(first+i)%len(o.PIDs)]
		p := o.ByPID[o.turnPID]
		if p == nil || p.kernel || p.denied || p.walked == o.Gen {
			continue
		}
		if budget -= max(p.Counted, 1); budget < 0 && i > 0 {
			return
		}
		o.Walk(&p.Table, listing)
	}
}

// askParents looks at those from whom a new process may have inherited a new socket: that
// the child was found with it does not mean that the parent has closed it. Only the nearest
// ancestor that is not new itself can have it, for the socket is younger than its children
// before.
func (o *Owners) askParents() {
	for _, e := range o.unresolved {
		for i := 0; i < len(e.Holders); i++ {
			p := e.Holders[i].Process
			for range len(o.PIDs) { // numbers used again while we read might form a ring
				if p == nil || p.born != o.Gen {
					break
				}
				p = o.ByPID[p.stat.ppid]
			}
			if p != nil && p.walked != o.Gen && !p.kernel && !p.denied {
				o.count(&p.Table)
				o.Walk(&p.Table, probing)
			}
		}
	}
}

// openers are the processes that opened the new sockets, where that is known.
func (o *Owners) openers() map[int32]bool {
	if o.Opener == nil {
		return nil
	}
	openers := map[int32]bool{}
	for _, e := range o.unresolved {
		if e.Lost == 0 {
			openers[o.Opener(e)] = true
		}
	}
	return openers
}

// searchIn looks for the missing sockets in these tables.
func (o *Owners) searchIn(ctx context.Context, tables []*Table, how effort) error {
	for _, t := range tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !o.missing() {
			return nil
		}
		if p := t.process; o.ByPID[p.PID] == p && !t.gone {
			o.Walk(t, how)
		}
	}
	return nil
}

// An effort is how thoroughly the descriptors of a process are read.
type effort int

const (
	Reading effort = iota // list them, and read where each leads
	listing               // list them, and read those that may lead elsewhere than they did
	probing               // try numbers until as many are found as there are, if that is soon
)

// missing reports whether a wanted socket has not been found yet.
func (o *Owners) missing() bool {
	o.unresolved = slices.DeleteFunc(o.unresolved, func(e *Held) bool { return len(e.Holders) > 0 || o.byInode[e.Inode] != e })
	return len(o.unresolved) > 0
}

// A Holder is a process that has a socket open, with one of its tables.
type Holder struct {
	Process *Process
	table   uint32 // its number
	fd      uint32 // the lowest
	Shown   uint32 // the one last reported; noFD: none
	fds     uint32 // number of descriptors
	Subject *store.Subject[store.SocketOwnerID, store.SocketOwner]
	ID      store.SocketOwnerID // of subject
}

// Walk reads the descriptors of t.
func (o *Owners) Walk(t *Table, how effort) {
	t.walked = o.Gen
	if t.process.kernel {
		return
	}
	n, err := o.readSockets(t, how)
	switch {
	case err == nil:
		t.denied, t.changed, t.Counted = false, false, n
	case err == unix.EACCES || err == unix.EPERM:
		t.denied = true
		o.found, o.skipped, o.rings = o.found[:0], o.skipped[:0], o.rings[:0]
	case IsGone(err):
		o.giveUp(t)
		return
	default:
		return // it stays as it was, and due
	}
	o.hold(t)
	// A socket that turned up in a second place leaves its first one uncertain.
	if slices.ContainsFunc(o.skipped, func(f fdInode) bool { return !o.certain(t, f) }) {
		o.Walk(t, listing)
		return
	}
	o.settle(t)
}

// settle makes sure who a process is that has been found to hold a socket. One that held nothing so far has not been
// looked at since it was last due: it may run another program by now, or be another process.
func (o *Owners) settle(t *Table) {
	p := t.process
	if t.Held == 0 || p.refreshed == o.Gen {
		return
	}
	if q := o.refresh(p.PID, p); q == nil {
		o.forget(p)
	} else if q != p {
		o.Walk(&q.Table, Reading)
	}
}

// certain reports whether descriptor f of t cannot have become another socket.
func (o *Owners) certain(t *Table, f fdInode) bool {
	e := o.byInode[f.inode]
	return e != nil && e.Dump >= o.FirstDump && len(e.Holders) == 1 && e.Holders[0].of(t) && e.Holders[0].fds == 1
}

// hold makes t a holder of the sockets found and of no others.
func (o *Owners) hold(t *Table) {
	for _, f := range t.sockets {
		if h := o.holder(t, f.inode); h != nil {
			h.fds = 0
		}
	}
	for _, f := range o.found {
		o.addFD(t, f)
	}
	for _, f := range t.sockets {
		if h := o.holder(t, f.inode); h != nil && h.fds == 0 {
			o.release(t, f.inode)
		}
	}
	t.sockets, t.freed = append(t.sockets[:0], o.found...), 0
	t.rings = append(t.rings[:0], o.rings...)
}

// addFD makes t a holder of the socket at f, or counts one more place of it.
func (o *Owners) addFD(t *Table, f fdInode) {
	e := o.byInode[f.inode]
	if e == nil {
		o.notice(t, f)
		return
	}
	h := o.holder(t, f.inode)
	if h == nil {
		i, _ := slices.BinarySearchFunc(e.Holders, t, func(h Holder, t *Table) int {
			return cmp.Or(cmp.Compare(h.Process.PID, t.process.PID), cmp.Compare(h.table, t.number))
		})
		e.Holders = slices.Insert(slices.Grow(e.Holders, 1), i, Holder{Process: t.process, table: t.number})
		if o.Log != nil {
			o.Log.Printf("inode %d is held by process %d (%s), descriptor %d of table %d", f.inode, t.process.PID, t.process.stat.comm, f.fd, t.number)
		}
		h = &e.Holders[i]
		t.Held++
	}
	if h.fds == 0 {
		h.fd = f.fd
	}
	h.fd = min(h.fd, f.fd)
	h.fds++
}

// free notes that the socket of t's i-th place is not there any more.
func (o *Owners) free(t *Table, i int) {
	f := t.sockets[i]
	t.sockets[i].inode = 0
	t.freed++
	h := o.holder(t, f.inode)
	if h == nil {
		return
	}
	if h.fds--; h.fds == 0 {
		o.release(t, f.inode)
	} else if i := slices.IndexFunc(t.sockets, func(g fdInode) bool { return g.inode == f.inode }); i >= 0 {
		h.fd = t.sockets[i].fd
	}
}

// holder is t's hold on the socket of that inode, nil when it has none.
func (o *Owners) holder(t *Table, inode uint32) *Holder {
	if e := o.byInode[inode]; e != nil {
		for i := range e.Holders {
			if e.Holders[i].of(t) {
				return &e.Holders[i]
			}
		}
	}
	return nil
}

func (o *Owners) release(t *Table, inode uint32) {
	e := o.byInode[inode]
	if e == nil {
		return
	}
	before := len(e.Holders)
	e.Holders = slices.DeleteFunc(e.Holders, func(h Holder) bool { return h.of(t) })
	t.Held -= before - len(e.Holders)
	if o.Log != nil {
		o.Log.Printf("inode %d is not held by process %d any more; %d others hold it", inode, t.process.PID, len(e.Holders))
	}
	if len(e.Holders) == 0 {
		e.Lost, e.OnItsWay = o.Gen, false
		o.unresolved = append(o.unresolved, e) // another may have it
	}
}

// forget takes a process that has ended out of memory.
func (o *Owners) forget(p *Process) {
	for t := range p.Tables {
		o.drop(t)
	}
	if o.ByPID[p.PID] == p {
		delete(o.ByPID, p.PID)
	}
	if p.subject != nil {
		if o.lately == nil {
			o.lately = map[int32]*Process{}
		}
		o.lately[p.PID] = p
	}
}

// Appeared enters a socket that has just got its inode.
func (o *Owners) Appeared(e *Held) {
	switch first := o.byInode[e.Inode]; {
	case first == nil || first == e:
	case first.Unlisted: // no dump had shown it so far
		o.Vanished(first)
	default:
		o.appearedTwice(e)
		return
	}
	o.byInode[e.Inode] = e
	o.unresolved = append(o.unresolved, e)
}

// Vanished takes out a socket that has lost its inode: nobody holds it any more.
func (o *Owners) Vanished(e *Held) {
	if o.leaveTwins(e) {
		return
	}
	for _, h := range e.Holders {
		t := h.Process.tableOf(h.table)
		t.Held--
		// As many descriptors as before would not mean that they are the same.
		t.changed = true
		for i := t.index(h.fd); i < len(t.sockets) && h.fds > 0; i++ {
			if t.sockets[i].inode == e.Inode {
				t.sockets[i].inode = 0
				t.freed++
				h.fds--
			}
		}
	}
	e.Holders = nil
	if o.byInode[e.Inode] == e {
		delete(o.byInode, e.Inode)
	}
}
