package recorder

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// direntName is where the name begins in struct linux_dirent64.
const direntName = 19

// listProcesses reads which processes there are.
func (o *owners) listProcesses() error {
	if o.proc < 0 {
		fd, err := unix.Open("/proc", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /proc: %w", err)
		}
		o.proc = fd
		var self unix.Stat_t
		o.sizes = unix.Stat("/proc/self/fd", &self) == nil && self.Size > 0
	}
	if _, err := unix.Seek(o.proc, 0, unix.SEEK_SET); err != nil {
		return fmt.Errorf("list /proc: %w", err)
	}
	o.pids = o.pids[:0]
	return o.eachNumber(o.proc, func(n uint32, _ *byte) error {
		o.pids = append(o.pids, int32(n))
		return nil
	})
}

// readSockets reads the descriptors of p that are sockets into o.found and returns how many
// descriptors of any kind it has.
func (o *owners) readSockets(p *process, how effort) (int64, error) {
	o.found, o.passed = o.found[:0], o.passed[:0]
	name, err := o.fdFolder(p)
	if name == "" || err != nil {
		return 0, err
	}
	dir, err := unix.Openat(o.proc, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(dir)
	if how == probing && o.sizes && o.probe(dir, p) {
		return p.counted, nil
	}
	o.found, o.passed = o.found[:0], o.passed[:0]
	count, known := int64(0), p.sockets
	err = o.eachNumber(dir, func(fd uint32, name *byte) error {
		count++
		if known = from(known, fd); how != reading && len(known) > 0 && known[0].fd == fd && o.certain(p, known[0]) {
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

// probe finds the sockets of p without listing its descriptors, which takes a microsecond
// for each: the kernel gives out the lowest number that is free, so a new one is soon
// found among those not known for certain. The number of descriptors says when to stop.
// It reports whether that worked out.
func (o *owners) probe(dir int, p *process) bool {
	count, tries := int64(0), p.counted/4+64
	known := p.sockets
	var name [11]byte
	fd := uint32(0)
	for ; count < p.counted; fd++ {
		if known = from(known, fd); len(known) > 0 && known[0].fd == fd && o.certain(p, known[0]) {
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
		if o.certain(p, f) {
			return false
		}
	}
	return true
}

// verifyPlaces looks whether the known places of p from a descriptor on still lead to their sockets, and returns the
// first that it has not come to: the budget is spent, or p has been read again instead.
func (o *owners) verifyPlaces(p *process, from uint32, budget *int) int {
	dir, i, moved := -1, p.index(from), false
	var name [11]byte
	for ; i < len(p.sockets); i++ {
		f := p.sockets[i]
		if f.read == o.gen || o.byInode[f.inode] == nil {
			continue
		}
		if *budget <= 0 {
			break
		}
		if dir < 0 {
			var err error
			if dir, err = o.openFDs(p); err != nil {
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
		p.sockets[i].read = o.gen
		if inode != f.inode {
			moved = true
			o.free(p, i)
			o.fill(p, i, inode)
		}
	}
	if moved {
		p.changed = true
		o.reread(p)
	}
	return i
}

// readFreed reads what has taken the place of p's sockets that are gone.
func (o *owners) readFreed(p *process) {
	dir, err := o.openFDs(p)
	if err != nil {
		return
	}
	defer unix.Close(dir)
	var name [11]byte
	for i, f := range p.sockets {
		if f.inode != 0 || f.read == o.gen {
			continue
		}
		inode, err := o.inodeAt(dir, cNumber(&name, f.fd))
		if err != nil && err != unix.ENOENT {
			return
		}
		p.sockets[i].read = o.gen
		o.fill(p, i, inode)
	}
	p.sockets = slices.DeleteFunc(p.sockets, func(f fdInode) bool { return f.inode == 0 })
	p.freed = 0
	o.settle(p)
}

// fill notes that there is another socket in p's i-th place, which was freed; 0: none.
func (o *owners) fill(p *process, i int, inode uint32) {
	if inode != 0 {
		p.sockets[i].inode = inode
		p.freed--
		o.place(p, p.sockets[i])
	}
}

// pass takes a descriptor to lead where it did.
func (o *owners) pass(f fdInode) {
	o.found = append(o.found, f)
	o.passed = append(o.passed, f)
}

// from is what of the list has that number or a higher one.
func from(list []fdInode, fd uint32) []fdInode {
	for len(list) > 0 && list[0].fd < fd {
		list = list[1:]
	}
	return list
}

// readDescriptor reads where a descriptor leads, and notes it when that is a socket.
func (o *owners) readDescriptor(dir int, fd uint32, name *byte) error {
	inode, err := o.inodeAt(dir, name)
	if inode != 0 {
		o.found = append(o.found, fdInode{fd, inode, o.gen})
	}
	return err
}

// inodeAt is the inode of the socket that a descriptor leads to, 0 when it leads to something else.
func (o *owners) inodeAt(dir int, name *byte) (uint32, error) {
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

// openFDs opens the folder of p's descriptors.
func (o *owners) openFDs(p *process) (int, error) {
	name, err := o.fdFolder(p)
	if err != nil {
		return -1, err
	}
	if name == "" {
		return -1, unix.ENOENT
	}
	return unix.Openat(o.proc, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// fdFolder is the folder of p's descriptors, "" when it has none. A process whose first
// thread has ended shows them only with its other threads.
func (o *owners) fdFolder(p *process) (string, error) {
	if p.stat.state != 'Z' {
		return o.pidPath(p.pid, "fd"), nil
	}
	if p.stat.threads < 2 {
		return "", nil
	}
	dir, err := unix.Openat(o.proc, o.pidPath(p.pid, "task"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(dir)
	name := ""
	err = o.eachNumber(dir, func(tid uint32, _ *byte) error {
		if name == "" && int32(tid) != p.pid {
			name = o.pidPath(p.pid, "task/"+strconv.FormatUint(uint64(tid), 10)+"/fd")
		}
		return nil
	})
	return name, err
}

// count brings p's number of descriptors up to date.
func (o *owners) count(p *process) {
	if !o.sizes {
		return
	}
	name, err := o.fdFolder(p)
	if err != nil {
		return
	}
	var stat unix.Stat_t
	if name != "" && unix.Fstatat(o.proc, name, &stat, 0) != nil {
		return
	}
	p.changed = p.changed || stat.Size != p.counted
	p.counted, p.uid = stat.Size, stat.Uid
}

// mayReadDescriptors reports whether this process has what it takes to see the descriptors
// of others: one capability to open the folder, the other to read where they lead.
func mayReadDescriptors() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if unix.Capget(&header, &caps[0]) != nil {
		return false
	}
	const need = 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH
	return caps[0].Effective&need == need
}

// eachNumber calls do for every entry of the folder whose name is a number, in the order
// in which the kernel lists them, with the name as C has it.
func (o *owners) eachNumber(dir int, do func(n uint32, name *byte) error) error {
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
