package recorder

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

// owners finds out which processes hold which sockets, by reading where the descriptors of
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
type owners struct {
	log       *debuglog.Log // nil: how owners are found is not told
	source    *store.Source
	processes *store.Set[store.ProcessID, store.Process]
	users     *users
	boot      float64       // unix seconds
	recheck   time.Duration // the longest that a holder may go unnoticed

	byPID   map[int32]*process
	unknown []store.ProcessID  // processes of the recording that may be there still, and are to be found again; see recognize
	first   bool               // nothing is known yet of what the last run left
	resting int                // processes that are there and hold no socket any more, in the last sample
	living  map[store.Ref]bool // the processes of the recording that are there; see lives
	byInode map[uint32]*held   // the sockets with an inode, of all protocols
	twins   map[uint32][]*held // further sockets with the same inode: subflows of one MPTCP connection
	wanted  []*held            // those that have appeared or lost their last holder, and those still not found
	closed  []*held            // those of them that are closed since the dump: nobody holds them
	strays  map[uint32]stray   // descriptors of sockets that no dump has shown so far, by inode
	other   map[uint32]bool    // inodes of sockets of other kinds
	// doubtful are sockets that the dumps of this sample do not show as alive; a process may still hold them.
	doubtful []*held
	gen      uint32 // number of the sample
	// firstDump is the number of the first dump of this sample: what a dump from it on has
	// shown is alive.
	firstDump uint32
	sizes     bool // the kernel tells the number of descriptors, Linux 6.2
	noKcmp    bool // and cannot tell whether threads share them
	// named are processes to report even if they hold no socket, and netns tells where one is.
	named map[int32]bool
	// gone asks whether a socket is closed by now; nil: it cannot be asked.
	gone  func(context.Context, *held) bool
	netns func(pid int32, start uint64) store.Int
	// privileged: the recorder has the capabilities that should let it see everything.
	privileged bool

	looked    time.Time // when the last sample was
	known     int       // places in processes that hold sockets
	budget    int       // places up to which all are verified in a sample
	small     int64     // descriptors of a small process, at most
	nextPID   int32     // verify goes on with this process,
	nextTable uint32    // this table of it,
	nextFD    uint32    // from this descriptor on,
	overdrawn int       // and so many places less: as many more were verified in the last sample than was meant
	turnPID   int32     // readInTurn goes on with this process
	asidePID  int32     // and lookAside with this one
	complete  bool      // all places have been verified in this sample
	round     time.Time // when they last were for a new socket
	rereading int64     // descriptors of small processes that may still be read again in this sample

	cmdlines *cmdlines

	proc    int // the folder /proc, open
	pids    []int32
	found   []fdInode // by readSockets
	passed  []fdInode // those of them that were not read, because they are certain
	rings   []uint32  // by readSockets: the descriptors that are rings of io_uring
	threads []int32   // by listThreads
	sharers []int32   // used by findTables
	ringed  []byte    // used by readRing
	path    []byte
	text    [8192]byte
	dirents [32 << 10]byte
}

// A held is what of a socket the search for its owners knows.
type held struct {
	rec     sockdiag.Record // what the kernel said last
	holders []holder        // by rising pid
	dump    uint32          // in which it was last seen,
	place   uint32          // and its place in that
	lost    uint32          // sample in which its last holder went

	// What TIME_WAIT and the like do not tell any more.
	inode, uid uint32
	uidKnown   bool

	unlisted  bool // no dump shows it, though a process holds it
	onItsWay  bool // nobody has had it since lost, and it is not closed: a process is passing it to another
	abandoned bool // a subflow whose MPTCP connection is closed by its process
}

const (
	// recheckOwners is how long a small process may hold a socket besides its other holders without being noticed, with
	// samples up to ten seconds apart.
	recheckOwners = 20 * time.Second
	// verifyBudget is up to how many places all are verified in each sample; each takes 2 to 3 µs.
	verifyBudget = 512
	// verifyRound is the time in which more than that are: of 20,000, sampled every 10 s, 1,667 in each.
	verifyRound = 2 * time.Minute
	// smallProcess is how many descriptors one has at most that is read again at a mere hint, and rereadBudget how
	// many are so in a sample; each takes 4 µs.
	smallProcess = 256
	rereadBudget = 1024
	// askedAtOnce is how many sockets without a holder the kernel is asked about, at most; each takes 5 to 10 µs.
	askedAtOnce = 256
	// restingRead is how many processes that rest are looked at in a sample, whether they are still the same; each takes
	// some 10 µs. Of more than that, others in each sample.
	restingRead = 64
	// orphanSamples is for how many samples a socket without a holder has processes read in turn.
	orphanSamples = 16
)

// What is said when descriptors may not be read: for want of privilege, or in spite of it.
const (
	ownersHidden = "owners of other users' sockets cannot be seen: run as root, " +
		"or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH (setcap cap_sys_ptrace,cap_dac_read_search+ep netsql)"
	ownersForbidden = "owners of some sockets cannot be seen: the system hides the " +
		"descriptors of some processes even from a user with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"
)

func newOwners(w *store.Writer, users *users) *owners {
	o := &owners{
		source: w.Source("owners"), users: users, boot: w.BootTime(), recheck: recheckOwners,
		budget: verifyBudget, small: smallProcess,
		byInode: map[uint32]*held{}, proc: -1, privileged: mayReadDescriptors(), cmdlines: newCmdlines(),
	}
	o.processes = store.NewSet(o.source, store.Processes)
	o.forgetAll()
	o.first = true
	return o
}

// forgetAll begins anew, when a look failed halfway and its memory cannot be relied on.
func (o *owners) forgetAll() {
	for _, p := range o.byPID {
		if p.subject != nil {
			o.unknown = append(o.unknown, p.id)
		}
	}
	o.byPID, o.living = map[int32]*process{}, nil
	o.wanted = o.wanted[:0]
	for inode, e := range o.byInode {
		e.holders = nil
		o.wanted = append(o.wanted, e)
		for _, twin := range o.twins[inode] {
			twin.holders = nil
		}
	}
}

// startOver forgets what the recording calls processes: it is another one.
func (o *owners) startOver() {
	for _, p := range o.byPID {
		p.subject, p.ref, p.reported = nil, 0, 0
	}
	o.first, o.unknown, o.living = true, nil, nil
}

// begin begins a sample. What a dump from firstDump on has shown is alive.
func (o *owners) begin(sample, firstDump uint32) { o.gen, o.firstDump = sample, firstDump }

// look brings the holders of all sockets up to date and reports the processes.
func (o *owners) look(ctx context.Context) error {
	defer o.cmdlines.end()
	if err := o.listProcesses(); err != nil {
		return err
	}
	now := time.Now()
	if err := o.visit(ctx, now); err != nil {
		return err
	}
	due := o.known
	if o.known > o.budget {
		due = int(math.Ceil(min(now.Sub(o.looked).Seconds()/verifyRound.Seconds(), 1) * float64(o.known)))
	}
	o.looked = now
	if err := o.verify(ctx, due); err != nil {
		return err
	}
	o.verifyDoubtful()
	if err := o.search(ctx); err != nil {
		return err
	}
	o.matchTwins()
	o.recognize()
	partial, frozen := o.byPID[1] == nil, false // under hidepid not even init shows
	o.resting, o.living = 0, nil
	for _, p := range o.byPID {
		partial = partial || p.denied
		shown := p.holds() || o.named[p.pid]
		if !shown && p.subject == nil {
			continue
		}
		if p.id == (store.ProcessID{}) || p.renamed && shown {
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
		said = append(said, ownersHidden)
	}
	if frozen {
		said = append(said, cmdlinesMissing)
	}
	if said == nil {
		return nil
	}
	return &store.PartialError{Missing: strings.Join(said, "; ")}
}

// visit goes through the processes that are there now.
func (o *owners) visit(ctx context.Context, now time.Time) error {
	o.known, o.rereading = 0, rereadBudget
	for _, pid := range o.pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := o.byPID[pid]
		if p != nil && !p.holds() && now.Before(p.due) && !o.restsAndIsDue(p) {
			p.gen = o.gen
			continue
		}
		if p = o.refresh(pid, p); p == nil {
			continue
		}
		p.gen = o.gen
		if !now.Before(p.due) {
			how := listing
			if p.due.IsZero() {
				how = reading
			}
			o.walkDue(&p.table, how, now)
			if p.holds() || o.named[p.pid] {
				o.identify(p)
				o.describe(p)
			}
		}
		for t := range p.tables {
			if t.number != 0 && !now.Before(t.due) {
				o.walkDue(t, listing, now)
			}
			o.recount(t)
		}
	}
	for _, p := range o.byPID {
		if p.gen != o.gen {
			o.forget(p)
		}
	}
	return nil
}

// walkDue reads descriptors that have not been listed for long, and says when they are to be again.
func (o *owners) walkDue(t *table, how effort, now time.Time) {
	before, changed := t.counted, t.changed
	o.walk(t, how)
	again := o.recheck
	if t.counted > o.small { // listing its descriptors takes a microsecond for each
		if again = verifyRound; t.counted == before && !changed {
			again *= 2
		}
	}
	t.due = now.Add(again/2 + again/2*time.Duration(t.process.pid%16)/16)
}

// recount sees whether the number of descriptors of a table that holds sockets has changed, and reads them again then.
func (o *owners) recount(t *table) {
	if t.held == 0 {
		return
	}
	if o.count(t); t.changed && t.walked != o.gen {
		o.reread(t)
	}
	o.known += len(t.sockets)
}

// reread reads a small table again, as far as the budget goes.
func (o *owners) reread(t *table) {
	if t.counted <= o.small && t.counted <= o.rereading {
		o.rereading -= t.counted
		o.walk(t, reading)
	}
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
		p = &process{pid: pid, born: o.gen, gen: o.gen}
		p.table = table{process: p, counted: -1}
		o.byPID[pid] = p
	} else if err == nil && (p.stat.stack != stat.stack || p.stat.comm != stat.comm || p.stat.state != stat.state && stat.state == 'Z') {
		p.due, p.renamed = time.Time{}, true
		if p.stat.stack != stat.stack && stat.state != 'Z' {
			p.id = store.ProcessID{} // it ran exec, if only of the same program with other arguments
		}
	}
	if err == nil {
		p.stat = stat
	}
	p.refreshed = o.gen
	p.kernel = p.stat.flags&pfKThread != 0
	return p
}

// verify looks at known places, at most so many, whether they still lead to their sockets. It goes on where it stopped in the
// last sample, and passes over those that have been read in this one.
func (o *owners) verify(ctx context.Context, budget int) error {
	if o.complete = len(o.pids) == 0; o.complete {
		return nil
	}
	budget -= o.overdrawn
	defer func() { o.overdrawn = max(0, -budget) }()
	first, _ := slices.BinarySearch(o.pids, o.nextPID)
	for i := range len(o.pids) + 1 { // at the end the first one once more: what came before nextFD
		if err := ctx.Err(); err != nil {
			return err
		}
		pid := o.pids[(first+i)%len(o.pids)]
		p := o.byPID[pid]
		if p == nil || !p.holds() {
			continue
		}
		table, fd := uint32(0), uint32(0)
		if i == 0 && pid == o.nextPID {
			table, fd = o.nextTable, o.nextFD
		}
		for t := range p.tables {
			if t.number < table || t.held == 0 || t.denied {
				continue
			}
			from := uint32(0)
			if t.number == table {
				from = fd
			}
			place := o.verifyPlaces(t, from, &budget)
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
func (o *owners) search(ctx context.Context) error {
	o.askParents()
	err := o.seek(ctx)
	if err == nil && o.missing() {
		err = o.lookAside(ctx)
	}
	o.tellMissing()
	o.wanted = append(o.wanted, o.closed...) // the next dump will not show them
	clear(o.closed)
	o.closed = o.closed[:0]
	for _, e := range o.wanted {
		if e.lost == 0 {
			e.lost = o.gen
		}
	}
	if cap(o.wanted) > 1024 && cap(o.wanted) > 4*len(o.wanted) {
		o.wanted = slices.Clone(o.wanted)
	}
	clear(o.wanted[len(o.wanted):cap(o.wanted)])
	return err
}

// tellMissing says to the log which sockets nobody is seen to hold, and why.
func (o *owners) tellMissing() {
	if o.log == nil {
		return
	}
	denied := 0
	for _, p := range o.byPID {
		if p.denied {
			denied++
		}
	}
	for _, e := range o.closed {
		o.log.Printf("inode %d has no owner: it was closed after the dump", e.inode)
	}
	for _, e := range o.wanted {
		why := "no process shows it"
		if e.onItsWay {
			why += ", and the kernel says that it is open: it is on its way from one process to another, or the kernel's own"
		}
		o.log.Printf("inode %d has no owner: %s; the descriptors of %d processes may not be read", e.inode, why, denied)
	}
	o.log.Printf("%d processes, %d known descriptors of sockets, all verified: %v", len(o.pids), o.known, o.complete)
}

func (o *owners) seek(ctx context.Context) error {
	if !o.missing() {
		return nil
	}
	var near, far []*table // those that hold sockets and have changed or cannot tell, and all others
	for _, pid := range o.pids {
		p := o.byPID[pid]
		if p == nil || p.kernel {
			continue
		}
		for t := range p.tables {
			switch {
			case t.denied || t.walked == o.gen:
				continue
			case t.freed > 0 && !t.ring:
				o.readFreed(t)
			}
			if t.held > 0 && t.changed || t.ring {
				near = append(near, t)
			} else {
				far = append(far, t)
			}
		}
	}
	if err := o.searchIn(ctx, near, probing); err != nil || !o.missing() {
		return err
	}
	if o.setClosedAside(ctx); !o.missing() {
		return nil
	}
	users := map[uint32]bool{} // that made the missing sockets
	fresh, young := false, false
	for _, e := range o.wanted {
		users[e.uid] = users[e.uid] || e.uidKnown
		fresh = fresh || e.lost == 0 || e.lost == o.gen
		young = young || o.gen-e.lost < orphanSamples
	}
	var ranks [4][]*table
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
	if o.complete || o.looked.Sub(o.round) < o.recheck {
		return nil
	}
	o.round = o.looked
	if err := o.verify(ctx, math.MaxInt); err != nil || !o.missing() {
		return err
	}
	near = near[:0]
	for _, p := range o.byPID {
		for t := range p.tables {
			if t.changed && t.held > 0 && !p.kernel && !t.denied {
				near = append(near, t)
			}
		}
	}
	return o.searchIn(ctx, near, listing)
}

// setClosedAside takes out of the wanted sockets those that are closed by now. Short connections are, which a busy machine has
// in every sample.
func (o *owners) setClosedAside(ctx context.Context) {
	if o.gone == nil {
		return
	}
	few := len(o.wanted) <= askedAtOnce
	o.wanted = slices.DeleteFunc(o.wanted, func(e *held) bool {
		if !few && e.rec.Has&sockdiag.HasMPTCP == 0 {
			return false
		}
		if e.onItsWay = !o.gone(ctx, e); e.onItsWay {
			return false
		}
		o.closed = append(o.closed, e)
		return true
	})
}

// readInTurn reads some processes again, others in each sample.
func (o *owners) readInTurn() {
	first, _ := slices.BinarySearch(o.pids, o.turnPID)
	for i, budget := 0, int64(rereadBudget); i < len(o.pids); i++ {
		o.turnPID = o.pids[(first+i)%len(o.pids)]
		p := o.byPID[o.turnPID]
		if p == nil || p.kernel || p.denied || p.walked == o.gen {
			continue
		}
		if budget -= max(p.counted, 1); budget < 0 && i > 0 {
			return
		}
		o.walk(&p.table, listing)
	}
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
				o.count(&p.table)
				o.walk(&p.table, probing)
			}
		}
	}
}

// searchIn looks for the missing sockets in these tables.
func (o *owners) searchIn(ctx context.Context, tables []*table, how effort) error {
	for _, t := range tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !o.missing() {
			return nil
		}
		if p := t.process; o.byPID[p.pid] == p && !t.gone {
			o.walk(t, how)
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
	o.wanted = slices.DeleteFunc(o.wanted, func(e *held) bool { return len(e.holders) > 0 || o.byInode[e.inode] != e })
	return len(o.wanted) > 0
}

// A holder is a process that has a socket open, with one of its tables.
type holder struct {
	process *process
	table   uint32 // its number
	fd      uint32 // the lowest
	shown   uint32 // the one last reported; noFD: none
	places  uint32 // number of descriptors
	subject *store.Subject[store.SocketOwnerID, store.SocketOwner]
	id      store.SocketOwnerID // of subject
}

// walk reads the descriptors of t.
func (o *owners) walk(t *table, how effort) {
	t.walked = o.gen
	if t.process.kernel {
		return
	}
	n, err := o.readSockets(t, how)
	switch {
	case err == nil:
		t.denied, t.changed, t.counted = false, false, n
	case err == unix.EACCES || err == unix.EPERM:
		t.denied = true
		o.found, o.passed, o.rings = o.found[:0], o.passed[:0], o.rings[:0]
	case isGone(err):
		o.giveUp(t)
		return
	default:
		return // it stays as it was, and due
	}
	o.hold(t)
	// A socket that turned up in a second place leaves its first one uncertain.
	if slices.ContainsFunc(o.passed, func(f fdInode) bool { return !o.certain(t, f) }) {
		o.walk(t, listing)
		return
	}
	o.settle(t)
}

// settle makes sure who a process is that has been found to hold a socket. One that held nothing so far has not been
// looked at since it was last due: it may run another program by now, or be another process.
func (o *owners) settle(t *table) {
	p := t.process
	if t.held == 0 || p.refreshed == o.gen {
		return
	}
	if q := o.refresh(p.pid, p); q == nil {
		o.forget(p)
	} else if q != p {
		o.walk(&q.table, reading)
	}
}

// certain reports whether descriptor f of t cannot have become another socket.
func (o *owners) certain(t *table, f fdInode) bool {
	e := o.byInode[f.inode]
	return e != nil && e.dump >= o.firstDump && len(e.holders) == 1 && e.holders[0].of(t) && e.holders[0].places == 1
}

// hold makes t a holder of the sockets found and of no others.
func (o *owners) hold(t *table) {
	for _, f := range t.sockets {
		if h := o.holder(t, f.inode); h != nil {
			h.places = 0
		}
	}
	for _, f := range o.found {
		o.place(t, f)
	}
	for _, f := range t.sockets {
		if h := o.holder(t, f.inode); h != nil && h.places == 0 {
			o.release(t, f.inode)
		}
	}
	t.sockets, t.freed = append(t.sockets[:0], o.found...), 0
	t.rings = append(t.rings[:0], o.rings...)
}

// place makes t a holder of the socket at f, or counts one more place of it.
func (o *owners) place(t *table, f fdInode) {
	e := o.byInode[f.inode]
	if e == nil {
		o.notice(t, f)
		return
	}
	h := o.holder(t, f.inode)
	if h == nil {
		i, _ := slices.BinarySearchFunc(e.holders, t, func(h holder, t *table) int {
			return cmp.Or(cmp.Compare(h.process.pid, t.process.pid), cmp.Compare(h.table, t.number))
		})
		e.holders = slices.Insert(slices.Grow(e.holders, 1), i, holder{process: t.process, table: t.number})
		if o.log != nil {
			o.log.Printf("inode %d is held by process %d (%s), descriptor %d of table %d", f.inode, t.process.pid, t.process.stat.comm, f.fd, t.number)
		}
		h = &e.holders[i]
		t.held++
	}
	if h.places == 0 {
		h.fd = f.fd
	}
	h.fd = min(h.fd, f.fd)
	h.places++
}

// free notes that the socket of t's i-th place is not there any more.
func (o *owners) free(t *table, i int) {
	f := t.sockets[i]
	t.sockets[i].inode = 0
	t.freed++
	h := o.holder(t, f.inode)
	if h == nil {
		return
	}
	if h.places--; h.places == 0 {
		o.release(t, f.inode)
	} else if i := slices.IndexFunc(t.sockets, func(g fdInode) bool { return g.inode == f.inode }); i >= 0 {
		h.fd = t.sockets[i].fd
	}
}

// holder is t's hold on the socket of that inode, nil when it has none.
func (o *owners) holder(t *table, inode uint32) *holder {
	if e := o.byInode[inode]; e != nil {
		for i := range e.holders {
			if e.holders[i].of(t) {
				return &e.holders[i]
			}
		}
	}
	return nil
}

func (o *owners) release(t *table, inode uint32) {
	e := o.byInode[inode]
	if e == nil {
		return
	}
	before := len(e.holders)
	e.holders = slices.DeleteFunc(e.holders, func(h holder) bool { return h.of(t) })
	t.held -= before - len(e.holders)
	if o.log != nil {
		o.log.Printf("inode %d is not held by process %d any more; %d others hold it", inode, t.process.pid, len(e.holders))
	}
	if len(e.holders) == 0 {
		e.lost, e.onItsWay = o.gen, false
		o.wanted = append(o.wanted, e) // another may have it
	}
}

// forget takes a process that has ended out of memory.
func (o *owners) forget(p *process) {
	for t := range p.tables {
		o.drop(t)
	}
	if o.byPID[p.pid] == p {
		delete(o.byPID, p.pid)
	}
}

// appeared enters a socket that has just got its inode.
func (o *owners) appeared(e *held) {
	switch first := o.byInode[e.inode]; {
	case first == nil || first == e:
	case first.unlisted: // no dump had shown it so far
		o.vanished(first)
	default:
		o.appearedTwice(e)
		return
	}
	o.byInode[e.inode] = e
	o.wanted = append(o.wanted, e)
}

// vanished takes out a socket that has lost its inode: nobody holds it any more.
func (o *owners) vanished(e *held) {
	if o.leaveTwins(e) {
		return
	}
	for _, h := range e.holders {
		t := h.process.tableOf(h.table)
		t.held--
		// As many descriptors as before would not mean that they are the same.
		t.changed = true
		for i := t.index(h.fd); i < len(t.sockets) && h.places > 0; i++ {
			if t.sockets[i].inode == e.inode {
				t.sockets[i].inode = 0
				t.freed++
				h.places--
			}
		}
	}
	e.holders = nil
	if o.byInode[e.inode] == e {
		delete(o.byInode, e.inode)
	}
}
