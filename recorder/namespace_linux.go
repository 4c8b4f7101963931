package recorder

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// A namespace is a network namespace and the way to read it.
type namespace struct {
	id     store.Int // inode number of /proc/PID/ns/net
	cookie store.Int // the kernel's number for it, never used again; unknown before Linux 5.14
	proc   string    // folder of a process or thread in it: its net/ is the namespace's
	nsFD   *nsFD     // nil: the one that the recorder runs in

	netlink *rtnl.Conn // that its sources share
	file    *procFile  // that all namespaces share: they are read one after the other
}

// procFile is what a source of the namespace reads /proc with.
func (ns namespace) procFile() *procFile {
	if ns.file == nil {
		return &procFile{}
	}
	return ns.file
}

// rtnetlink is what a source of the namespace asks.
func (ns namespace) rtnetlink() *rtnl.Conn {
	if ns.netlink == nil {
		return &rtnl.Conn{}
	}
	return ns.netlink
}

// close gives up the way into a namespace that is gone, so that it can be.
func (ns namespace) close() {
	ns.netlink.Close()
	if ns.nsFD != nil {
		ns.nsFD.close()
	}
}

// An nsFD leads into another network namespace. While it is open the namespace lives, even when everything else in it
// is gone.
type nsFD struct {
	fd     int // of /proc/PID/ns/net, or of its name under /run/netns
	thread *nsThread
}

// inside runs f in the namespace. What f opens there, netlink sockets for one, can be used anywhere afterwards; what is
// read from /proc/sys/net and /proc/thread-self/net is the namespace's only inside.
func (ns namespace) inside(f func()) error {
	if ns.nsFD == nil {
		f()
		return nil
	}
	return ns.nsFD.thread.run(ns.nsFD.fd, f)
}

// An nsThread is the one thread that enters other network namespaces. It goes from one to the next, never comes back to
// the first, and belongs to one goroutine for life: when that ends, the thread does. A thread that was lent
// from Go's pool and could not be set back would take whatever runs on it later to the wrong network.
//
// It is used by one goroutine.
type nsThread struct {
	jobs chan nsJob // nil: no thread runs
	at   int        // the descriptor of the namespace that it is in
}

type nsJob struct {
	fd   int
	do   func()
	done chan error
}

func newNSThread() *nsThread { return &nsThread{} }

func (t *nsThread) loop(jobs <-chan nsJob) {
	runtime.LockOSThread() // and never unlocked
	if unix.Gettid() != unix.Getpid() {
		serve(jobs)
		return
	}
	// The first thread of a process is what others see of it, and does not end before it: take another, which
	// any is while this one is held.
	other := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(other)
		serve(jobs)
	}()
	<-other
	runtime.UnlockOSThread()
}

func serve(jobs <-chan nsJob) {
	for job := range jobs {
		err := unix.Setns(job.fd, unix.CLONE_NEWNET)
		if err == nil {
			job.do()
		} else {
			err = fmt.Errorf("enter the network namespace: %w", err)
		}
		job.done <- err
	}
}

// run runs do in the namespace and waits for it.
func (t *nsThread) run(fd int, do func()) error {
	if t.jobs == nil {
		t.jobs = make(chan nsJob)
		go t.loop(t.jobs)
	}
	job := nsJob{fd, do, make(chan error, 1)}
	t.at = fd
	t.jobs <- job
	return <-job.done
}

// end ends the thread; the next job begins another.
func (t *nsThread) end() {
	if t.jobs != nil {
		close(t.jobs)
		t.jobs = nil
	}
}

// close closes the descriptor. The thread ends if it is in the namespace, or it would keep it alive.
func (d *nsFD) close() {
	if d.fd < 0 {
		return
	}
	if d.thread.at == d.fd {
		d.thread.end()
	}
	unix.Close(d.fd)
	d.fd = -1
}

// ownNamespace is the network namespace that the recorder runs in.
func ownNamespace() (namespace, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return namespace{}, fmt.Errorf("find the network namespace: %w", err)
	}
	return namespace{id: store.Of(st.Ino), cookie: namespaceCookie(), proc: "/proc/self", netlink: &rtnl.Conn{}}, nil
}

// openNamespace opens the one that a file such as /proc/PID/ns/net or /run/netns/NAME leads to.
func openNamespace(path string, thread *nsThread) (namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return namespace{}, fmt.Errorf("open %s: %w", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return namespace{}, fmt.Errorf("open %s: %w", path, err)
	}
	ns := namespace{id: store.Of(st.Ino), proc: "/proc/thread-self", nsFD: &nsFD{fd, thread}, netlink: &rtnl.Conn{}}
	if err := ns.inside(func() { ns.cookie = namespaceCookie() }); err != nil {
		ns.close()
		return namespace{}, err
	}
	return ns, nil
}

// namespaceCookie is the cookie of the network namespace of the thread it runs on (SO_NETNS_COOKIE, Linux 5.14).
func namespaceCookie() store.Int {
	// A datagram socket that is never bound nor connected sends nothing. Not every kernel has IPv4.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return store.Int{}
	}
	defer unix.Close(fd)
	cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return store.Int{}
	}
	return store.NonZero(cookie)
}
