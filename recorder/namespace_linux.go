package recorder

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// A namespace is a network namespace and the way to read it.
type namespace struct {
	id   store.Int // inode number of /proc/PID/ns/net
	proc string    // folder of a process or thread in it: its net/ is the namespace's
	door *door     // nil: the one that the recorder runs in

	netlink *rtnetlink // that its sources share
}

// rtnetlink is what a source of the namespace asks.
func (ns namespace) rtnetlink() *rtnetlink {
	if ns.netlink == nil {
		return &rtnetlink{}
	}
	return ns.netlink
}

// close gives up the way into a namespace that is gone.
func (ns namespace) close() {
	ns.netlink.close()
	if ns.door != nil {
		unix.Close(ns.door.fd)
	}
}

// A door leads into another network namespace. While it is open the namespace lives, even when everything else in it
// is gone.
type door struct {
	fd     int // of /proc/PID/ns/net, or of its name under /run/netns
	thread *nsThread
}

// inside runs f in the namespace. What f opens there, netlink sockets for one, can be used anywhere afterwards; what is
// read from /proc/sys/net and /proc/thread-self/net is the namespace's only inside.
func (ns namespace) inside(f func()) error {
	if ns.door == nil {
		f()
		return nil
	}
	return ns.door.thread.run(ns.door.fd, f)
}

// An nsThread is the one thread that enters other network namespaces. It goes from one to the next, never comes back to
// the first, and belongs to one goroutine for life: when that ends, the thread does. A thread that was lent
// from Go's pool and could not be set back would take whatever runs on it later to the wrong network.
type nsThread struct {
	jobs chan nsJob
}

type nsJob struct {
	fd   int
	do   func()
	done chan error
}

func newNSThread() *nsThread {
	t := &nsThread{jobs: make(chan nsJob)}
	go t.loop()
	return t
}

func (t *nsThread) loop() {
	runtime.LockOSThread() // and never unlocked
	for job := range t.jobs {
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
	job := nsJob{fd, do, make(chan error, 1)}
	t.jobs <- job
	return <-job.done
}

// end ends the thread.
func (t *nsThread) end() { close(t.jobs) }

// ownNamespace is the network namespace that the recorder runs in.
func ownNamespace() (namespace, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return namespace{}, fmt.Errorf("find the network namespace: %w", err)
	}
	return namespace{id: store.Of(st.Ino), proc: "/proc/self", netlink: &rtnetlink{}}, nil
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
	return namespace{id: store.Of(st.Ino), proc: "/proc/thread-self", door: &door{fd, thread}, netlink: &rtnetlink{}}, nil
}
