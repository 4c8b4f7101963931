package owners

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
)

// direntName is where the name begins in struct linux_dirent64.
const direntName = 19

// ListProcesses reads which processes there are.
func (o *Owners) ListProcesses() error {
	if o.Proc < 0 {
		fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /proc: %w", err)
		}
		o.Proc = fd
		var self unix.Stat_t
		o.sizes = unix.Stat("/proc/self/fd", &self) == nil && self.Size > 0
	}
	if _, err := unix.Seek(o.Proc, 0, unix.SEEK_SET); err != nil {
		return fmt.Errorf("list /proc: %w", err)
	}
	o.PIDs = o.PIDs[:0]
	return o.EachNumber(o.Proc, func(n uint32, _ *byte) error {
		o.PIDs = append(o.PIDs, int32(n))
		return nil
	})
}

// readSockets reads the descriptors of t that are sockets into o.found, those that are rings into o.rings, and returns how
// many descriptors of any kind it has.
func (o *Owners) readSockets(t *Table, how effort) (int64, error) {
	o.found, o.skipped, o.rings = o.found[:0], o.skipped[:0], o.rings[:0]
	if t.ring {
		return o.readRing(t)
	}
	name, err := o.fdFolder(t)
	if name == "" || err != nil {
		return 0, err
	}
	dir, err := unix.Openat(o.Proc, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(dir)
	if how == probing && o.sizes && o.probe(dir, t) {
		return t.Counted, nil
	}
	o.found, o.skipped, o.rings = o.found[:0], o.skipped[:0], o.rings[:0]
	count, known := int64(0), t.sockets
	err = o.EachNumber(dir, func(fd uint32, name *byte) error {
		count++
		if known = from(known, fd); how != Reading && len(known) > 0 && known[0].fd == fd && o.certain(t, known[0]) {
			o.pass(known[0])
			return nil
		}
		err := o.readDescriptor(dir, fd, name)
		if err == unix.ENOENT { // closed meanwhile
			return nil
		}
		return err
	})
	return count, err
}

// probe finds the sockets of t without listing its descriptors, which takes a microsecond
// for each: the kernel gives out the lowest number that is free, so a new one is soon
// found among those not known for certain. The number of descriptors says when to stop.
// It reports whether that worked out.
func (o *Owners) probe(dir int, t *Table) bool {
	count, tries := int64(0), t.Counted/4+64
	known := t.sockets
	var name [11]byte
	fd := uint32(0)
	for ; count < t.Counted; fd++ {
		if known = from(known, fd); len(known) > 0 && known[0].fd == fd && o.certain(t, known[0]) {
			o.pass(known[0])
			count++
			continue
		}
		if tries--; tries < 0 {
			return false
		}
		switch err := o.readDescriptor(dir, fd, cNumber(&name, fd)); err {
		case nil:
			count++
		case unix.ENOENT:
		default:
			return false
		}
	}
	// One that is open for certain and was not reached: they have changed meanwhile.
	for _, f := range from(known, fd) {
		if o.certain(t, f) {
			return false
		}
	}
	return true
}

// verifyFDs looks whether the known places of t from a descriptor on still lead to their sockets, and returns the
// first that it has not come to: the budget is spent, or t has been read again instead.
func (o *Owners) verifyFDs(t *Table, from uint32, budget *int) int {
	if t.ring {
		return o.verifyRing(t, budget)
	}
	dir, i, moved := -1, t.index(from), false
	var name [11]byte
	for ; i < len(t.sockets); i++ {
		f := t.sockets[i]
		if f.read == o.Gen || o.byInode[f.inode] == nil {
			continue
		}
		if *budget <= 0 {
			break
		}
		if dir < 0 {
			var err error
			if dir, err = o.openFDs(t); err != nil {
				o.ended(t, err)
				moved = true
				break
			}
			defer unix.Close(dir)
		}
		*budget--
		inode, err := o.inodeAt(dir, cNumber(&name, f.fd))
		if err != nil && err != unix.ENOENT {
			moved = true
			break
		}
		t.sockets[i].read = o.Gen
		if inode != f.inode {
			moved = true
			o.free(t, i)
			o.fill(t, i, inode)
		}
	}
	if moved {
		t.changed = true
		o.reread(t)
	}
	return i
}

// readFreed reads what has taken the place of t's sockets that are gone.
func (o *Owners) readFreed(t *Table) {
	dir, err := o.openFDs(t)
	if err != nil {
		o.ended(t, err)
		return
	}
	defer unix.Close(dir)
	var name [11]byte
	for i, f := range t.sockets {
		if f.inode != 0 || f.read == o.Gen {
			continue
		}
		inode, err := o.inodeAt(dir, cNumber(&name, f.fd))
		if err != nil && err != unix.ENOENT {
			return
		}
		t.sockets[i].read = o.Gen
		o.fill(t, i, inode)
	}
	t.sockets = slices.DeleteFunc(t.sockets, func(f fdInode) bool { return f.inode == 0 })
	t.freed = 0
	o.settle(t)
}

// fill notes that there is another socket in t's i-th place, which was freed; 0: none.
func (o *Owners) fill(t *Table, i int, inode uint32) {
	if inode != 0 {
		t.sockets[i].inode = inode
		t.freed--
		o.addFD(t, t.sockets[i])
	}
}

// pass takes a descriptor to lead where it did.
func (o *Owners) pass(f fdInode) {
	o.found = append(o.found, f)
	o.skipped = append(o.skipped, f)
}

// from is what of the list has that number or a higher one.
func from(list []fdInode, fd uint32) []fdInode {
	for len(list) > 0 && list[0].fd < fd {
		list = list[1:]
	}
	return list
}

// readDescriptor reads where a descriptor leads, and notes it when that is a socket or a ring.
func (o *Owners) readDescriptor(dir int, fd uint32, name *byte) error {
	link, err := readlinkat(dir, name, o.text[:64])
	if err != nil {
		return err
	}
	if inode, ok := socketInode(link); ok && inode != 0 {
		o.found = append(o.found, fdInode{fd, inode, o.Gen})
	} else if string(link) == ringLink {
		o.rings = append(o.rings, fd)
	}
	return nil
}

// inodeAt is the inode of the socket that a descriptor leads to, 0 when it leads to something else.
func (o *Owners) inodeAt(dir int, name *byte) (uint32, error) {
	link, err := readlinkat(dir, name, o.text[:64])
	if err != nil {
		return 0, err
	}
	inode, _ := socketInode(link)
	return inode, nil
}

// cNumber writes a number as C has it.
func cNumber(to *[11]byte, n uint32) *byte {
	digits := strconv.AppendUint(to[:0], uint64(n), 10)
	to[len(digits)] = 0
	return &to[0]
}

// openFDs opens the folder of t's descriptors.
func (o *Owners) openFDs(t *Table) (int, error) {
	name, err := o.fdFolder(t)
	if err != nil {
		return -1, err
	}
	if name == "" {
		return -1, unix.ENOENT
	}
	return unix.Openat(o.Proc, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// fdFolder is the folder of t's descriptors, "" when it has none.
func (o *Owners) fdFolder(t *Table) (string, error) { return o.folder(t, "fd") }

// folder is a folder, fd or fdinfo, of the thread whose descriptors t has, "" when there is no such thread.
func (o *Owners) folder(t *Table, name string) (string, error) {
	p, thread := t.process, t.thread
	if thread == 0 {
		var err error
		if thread, err = o.firstThread(p); err != nil || thread == 0 {
			return "", err
		}
	}
	if thread == p.PID {
		return o.PIDPath(p.PID, name), nil
	}
	return o.PIDPath(p.PID, "task/"+strconv.Itoa(int(thread))+"/"+name), nil
}

// firstThread is the thread whose descriptors p shows, 0 when there is none. A process whose first
// thread has ended shows them only with its other threads.
func (o *Owners) firstThread(p *Process) (int32, error) {
	if p.stat.state != 'Z' {
		return p.PID, nil
	}
	if p.stat.threads < 2 {
		return 0, nil
	}
	if err := o.listThreads(p); err != nil {
		return 0, err
	}
	for _, thread := range o.threads {
		if thread != p.PID {
			return thread, nil
		}
	}
	return 0, nil
}

// listThreads reads which threads p has into o.threads.
func (o *Owners) listThreads(p *Process) error {
	o.threads = o.threads[:0]
	dir, err := unix.Openat(o.Proc, o.PIDPath(p.PID, "task"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return o.EachNumber(dir, func(thread uint32, _ *byte) error {
		o.threads = append(o.threads, int32(thread))
		return nil
	})
}

// count brings t's number of descriptors up to date.
func (o *Owners) count(t *Table) {
	if !o.sizes || t.ring {
		return
	}
	name, err := o.fdFolder(t)
	if err != nil {
		return
	}
	var stat unix.Stat_t
	if name != "" {
		if err := unix.Fstatat(o.Proc, name, &stat, 0); err != nil {
			o.ended(t, err)
			return
		}
	}
	t.changed = t.changed || stat.Size != t.Counted
	t.Counted, t.uid = stat.Size, stat.Uid
}

// MayReadDescriptors reports whether this process has what it takes to see the descriptors
// of others: one capability to open the folder, the other to read where they lead.
func MayReadDescriptors() bool {
	return kernel.Capable(1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH)
}

// EachNumber calls do for every entry of the folder whose name is a number, in the order
// in which the kernel lists them, with the name as C has it.
func (o *Owners) EachNumber(dir int, do func(n uint32, name *byte) error) error {
	for {
		n, err := unix.Getdents(dir, o.dirents[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		for b := o.dirents[:n]; len(b) > direntName; {
			size := int(binary.NativeEndian.Uint16(b[16:]))
			if size <= direntName || size > len(b) {
				return fmt.Errorf("a folder entry of %d bytes", size)
			}
			if number, ok := decimal(b[direntName:size], 0); ok {
				if err := do(number, &b[direntName]); err != nil {
					return err
				}
			}
			b = b[size:]
		}
	}
}

// socketInode reads "socket:[4711]".
func socketInode(link []byte) (uint32, bool) {
	const prefix = "socket:["
	if len(link) <= len(prefix) || string(link[:len(prefix)]) != prefix {
		return 0, false
	}
	return decimal(link[len(prefix):], ']')
}

// decimal reads the number that b begins with, up to the byte end.
func decimal(b []byte, end byte) (uint32, bool) {
	n := uint64(0)
	digits := max(bytes.IndexByte(b, end), 0)
	for _, c := range b[:digits] {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = 10*n + uint64(c-'0'); n > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(n), digits > 0
}

// readlinkat reads where a name in a folder leads. unix.Readlinkat takes a string and
// allocates a copy for each call; here the name is already as C has it.
func readlinkat(dir int, name *byte, buf []byte) ([]byte, error) {
	n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir),
		uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	if errno != 0 {
		return nil, errno
	}
	return buf[:n], nil
}
