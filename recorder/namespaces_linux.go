package recorder

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/store"
)

// namespaces finds the network namespaces that are in use: those that have a process, and those that have a name. At the
// begin of a sample it lists the processes and asks where
//
//   - a new one is, and one younger than half a minute, for it is moved into its container when it runs already;
//   - any other is, once in 10 to 20 s;
//   - all are, before a namespace that is being recorded is taken to be deserted: a process that has long been
//     there may have moved into it.
//
// One that is kept alive by nothing but an open socket or descriptor is not found, so that those of the recorder do
// not count.
type namespaces struct {
	source    *store.Source
	set       *store.Set[store.NamespaceID, store.Namespace]
	owners    *owners.Owners // reads /proc, and reports the first processes
	which     NetNS
	pidStarts map[int32]uint64 // start of the processes of which
	own       uint64           // inode number of the recorder's own
	limit     int              // how many are recorded at most
	device    uint64           // of the files of all namespaces
	folders   []string
	// privileged: the recorder has the capabilities that should let it see and enter everything.
	privileged bool

	looks uint32
	procs map[int32]*procNetNS
	found map[uint64]*nsUsers // by inode number
}

// A procNetNS is what is remembered of where a process is.
type procNetNS struct {
	pid    int32
	start  uint64    // in ticks since boot
	netns  uint64    // inode number; 0 when it is not known
	kernel bool      // a kernel thread: it is where the machine began
	hidden bool      // it may not be seen
	listed uint32    // look in which /proc last had it
	asked  uint32    // look in which it was last asked
	young  time.Time // until then it is
	due    time.Time // when it is to be asked again
}

// An nsUsers is who uses a namespace.
type nsUsers struct {
	names     []string // under /run/netns
	path      string   // a file that leads into it
	first     *procNetNS
	processes int
}

const (
	// askAgain is how long a process may have moved without being noticed.
	askAgain = 20 * time.Second
	// youth is how long a process is asked in every sample.
	youth = 30 * time.Second
	// lookAgain is how long a namespace that everybody has left is kept alive by the recorder; with it live the
	// links in it, and their other ends elsewhere.
	lookAgain = 5 * time.Second
	// enterAgain is how long one that could not be entered is left alone.
	enterAgain = time.Minute
	// maxNamespaces is how many are recorded at most.
	maxNamespaces = 1024
	// filesPerNamespace is how many descriptors one takes, and some room.
	filesPerNamespace = 8
)

// What is said when not every process shows where it is: for want of privilege, or in spite of it.
const (
	namespacesHidden = "network namespaces of other users' processes cannot be seen: run as root, or grant CAP_SYS_PTRACE " +
		"and CAP_SYS_ADMIN (setcap cap_sys_ptrace,cap_dac_read_search,cap_sys_admin+ep netsql)"
	namespacesForbidden = "network namespaces of some processes cannot be seen: the system hides them even from a user with " +
		"CAP_SYS_PTRACE and CAP_SYS_ADMIN"
)

func newNamespaces(w *store.Writer, o *owners.Owners, own namespace, which NetNS) (*namespaces, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return nil, fmt.Errorf("find the network namespace: %w", err)
	}
	enter := kernel.Capable(1 << unix.CAP_SYS_ADMIN)
	if which.isZero() {
		which = NetNS{all: enter, own: true}
	}
	inode, _ := own.id.Get()
	n := &namespaces{
		source: w.Source("namespaces"), owners: o, which: which, own: uint64(inode), device: st.Dev,
		folders:    []string{"/run/netns", "/run/docker/netns"},
		privileged: enter && kernel.Capable(1<<unix.CAP_SYS_PTRACE),
		limit:      maxNamespaces, procs: map[int32]*procNetNS{}, pidStarts: map[int32]uint64{},
	}
	// Go has raised the soft limit of open files to the hard one.
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		n.limit = int(min(uint64(n.limit), max(files.Cur/filesPerNamespace, 1)))
	}
	n.set = store.NewSet(n.source, store.Namespaces)
	o.NetNS = n.of
	return n, nil
}

// look brings up to date which namespaces are in use. Those of held are certainly deserted when it does not find them.
func (n *namespaces) look(held []uint64) error {
	if err := n.search(false); err != nil {
		return err
	}
	if slices.ContainsFunc(held, func(inode uint64) bool { return n.found[inode] == nil }) {
		return n.search(true)
	}
	return nil
}

// missing says what of the namespaces that should be recorded is not seen; nil when nothing is.
func (n *namespaces) missing() error {
	var said []string
	hidden := n.procs[1] == nil // under hidepid not even init shows
	for _, p := range n.procs {
		hidden = hidden || p.hidden
	}
	switch {
	case !n.which.all: // nothing is recorded that they would lead to
	case hidden && n.privileged:
		said = append(said, namespacesForbidden)
	case hidden:
		said = append(said, namespacesHidden)
	}
	if absent := n.absent(); absent != nil && !n.which.all {
		said = append(said, "there is no network namespace "+strings.Join(absent, ", ")+": it is recorded when it comes")
	}
	if wanted := len(n.wanted()); wanted > n.limit {
		said = append(said, fmt.Sprintf("there are more than %d network namespaces: the rest is not recorded (each takes open files, ulimit -n, and memory)", n.limit))
	}
	if said == nil {
		return nil
	}
	return &store.PartialError{Missing: strings.Join(said, "; ")}
}

// search lists the processes and the names. The processes come first: who makes a namespace gives it its name before
// it ends.
func (n *namespaces) search(everyone bool) error {
	if err := n.owners.ListProcesses(); err != nil {
		return err
	}
	n.looks++
	n.found = map[uint64]*nsUsers{}
	now := time.Now()
	for _, pid := range n.owners.PIDs {
		p := n.procs[pid]
		if p == nil || everyone || now.Before(p.young) || !now.Before(p.due) {
			if p = n.ask(pid, p, now); p == nil {
				continue
			}
		}
		p.listed = n.looks
		if p.netns != 0 && !p.kernel {
			n.usersOf(p.netns).add(p)
		}
	}
	for pid, p := range n.procs {
		if p.listed != n.looks {
			delete(n.procs, pid)
		}
	}
	for _, folder := range n.folders {
		n.readNames(folder)
	}
	return nil
}

func (n *namespaces) usersOf(inode uint64) *nsUsers {
	t := n.found[inode]
	if t == nil {
		t = &nsUsers{}
		n.found[inode] = t
	}
	return t
}

func (t *nsUsers) add(p *procNetNS) {
	t.processes++
	if t.first == nil || p.start < t.first.start || p.start == t.first.start && p.pid < t.first.pid {
		t.first = p
	}
}

// ask finds out where a process is, known or not.
func (n *namespaces) ask(pid int32, p *procNetNS, now time.Time) *procNetNS {
	if p == nil || !now.Before(p.due) {
		stat, gone, err := n.owners.ReadStat(pid)
		if gone || err != nil && p == nil {
			return nil
		}
		if err == nil && (p == nil || p.start != stat.Start) { // new, or another of that number
			age := kernel.SinceBoot() - time.Duration(stat.Start)*time.Second/owners.UserHZ
			p = &procNetNS{pid: pid, start: stat.Start, kernel: stat.Flags&owners.PFKThread != 0, young: now.Add(youth - age)}
			n.procs[pid] = p
		}
		p.due = now.Add(askAgain/2 + askAgain/2*time.Duration(pid%16)/16)
	}
	if p.kernel {
		return p
	}
	p.asked = n.looks
	inode, err := n.readLink(n.owners.PIDPath(pid, "ns/net"))
	if owners.IsGone(err) {
		inode, err = n.ofThreads(pid)
	}
	p.netns, p.hidden = inode, errors.Is(err, os.ErrPermission)
	return p
}

// readLink reads "net:[4026531840]".
func (n *namespaces) readLink(path string) (uint64, error) {
	var text [32]byte
	size, err := unix.Readlinkat(n.owners.Proc, path, text[:])
	if err != nil {
		return 0, err
	}
	number, ok := strings.CutPrefix(string(text[:size]), "net:[")
	if !ok {
		return 0, fmt.Errorf("%s leads to %q", path, text[:size])
	}
	return strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64)
}

// ofThreads is where the threads of a process are whose first has ended; 0 when all have.
func (n *namespaces) ofThreads(pid int32) (uint64, error) {
	dir, err := unix.Openat(n.owners.Proc, n.owners.PIDPath(pid, "task"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, nil
	}
	defer unix.Close(dir)
	inode := uint64(0)
	err = n.owners.EachNumber(dir, func(tid uint32, _ *byte) error {
		if inode != 0 || int32(tid) == pid {
			return nil
		}
		var err error
		if inode, err = n.readLink(n.owners.PIDPath(pid, "task/"+strconv.FormatUint(uint64(tid), 10)+"/ns/net")); owners.IsGone(err) {
			return nil
		}
		return err
	})
	return inode, err
}

// readNames finds the namespaces that have a name in the folder: files of the file system of namespaces, mounted over
// what ip netns or an engine made, or links to such files. One that may not be read has none for us.
func (n *namespaces) readNames(folder string) {
	dir, err := os.Open(folder)
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	slices.Sort(names)
	for _, name := range names {
		path := folder + "/" + name
		var st unix.Stat_t
		if unix.Stat(path, &st) != nil || st.Dev != n.device {
			continue
		}
		t := n.usersOf(st.Ino)
		t.path = path
		if folder == n.folders[0] {
			t.names = append(t.names, kernel.Printable([]byte(name)))
		}
	}
}

// entry is a file that leads into the namespace.
func (t *nsUsers) entry() string {
	if t.path == "" {
		return "/proc/" + strconv.Itoa(int(t.first.pid)) + "/ns/net"
	}
	return t.path
}

// of is the namespace of the process that was started then.
func (n *namespaces) of(pid int32, start uint64) store.Int {
	if p := n.procs[pid]; p != nil && p.start == start {
		return store.NonZero(p.netns)
	}
	return store.Int{}
}

// wanted lists those that are there and should be recorded, besides the recorder's own.
func (n *namespaces) wanted() []uint64 {
	var list []uint64
	for _, inode := range slices.Sorted(maps.Keys(n.found)) {
		if inode != n.own && n.wants(inode) {
			list = append(list, inode)
		}
	}
	return list
}

func (n *namespaces) wants(inode uint64) bool {
	t := n.found[inode]
	return n.which.all || inode == n.own && n.which.own || slices.Contains(n.which.inodes, inode) ||
		t != nil && slices.ContainsFunc(t.names, func(name string) bool { return slices.Contains(n.which.names, name) }) ||
		slices.ContainsFunc(n.which.pids, func(pid int32) bool { p := n.chosen(pid); return p != nil && p.netns == inode })
}

// chosen is the process that pid:N means: the one that first had the number.
func (n *namespaces) chosen(pid int32) *procNetNS {
	p := n.procs[pid]
	if p == nil || p.netns == 0 {
		return nil
	}
	if _, seen := n.pidStarts[pid]; !seen {
		n.pidStarts[pid] = p.start
	}
	if n.pidStarts[pid] != p.start {
		return nil
	}
	return p
}

// absent lists those that should be recorded and are not there.
func (n *namespaces) absent() []string {
	var list []string
	for _, name := range n.which.names {
		there := false
		for _, t := range n.found {
			there = there || slices.Contains(t.names, name)
		}
		if !there {
			list = append(list, name)
		}
	}
	for _, inode := range n.which.inodes {
		if n.found[inode] == nil {
			list = append(list, strconv.FormatUint(inode, 10))
		}
	}
	for _, pid := range n.which.pids {
		if _, seen := n.pidStarts[pid]; !seen && n.chosen(pid) == nil {
			list = append(list, "pid:"+strconv.Itoa(int(pid)))
		}
	}
	return list
}
