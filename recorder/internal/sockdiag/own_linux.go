package sockdiag

import (
	"sync"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// own are the inodes of the netlink sockets by which this process asks the kernel and hears from it. They are no news to anybody: what they
// do is to look, and in each network namespace that is recorded there are several.
var own struct {
	mu     sync.Mutex
	inodes map[uint32]bool
	last   []uint32 // the newest of them, in turn
	next   int
}

// ownLimit is how many of them are remembered: closed ones need not be.
const ownLimit = 1 << 14

// Subscribe opens a netlink socket of one's own.
func Subscribe(protocol int) (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(protocol)
	if err == nil {
		NoteOwn(s.GetFd())
	}
	return s, err
}

// NoteOwn takes note of a socket of one's own.
func NoteOwn(fd int) {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return
	}
	inode := uint32(st.Ino)
	own.mu.Lock()
	defer own.mu.Unlock()
	if own.inodes == nil {
		own.inodes = map[uint32]bool{}
	}
	if len(own.last) < ownLimit {
		own.last = append(own.last, inode)
	} else {
		delete(own.inodes, own.last[own.next])
		own.last[own.next] = inode
		own.next = (own.next + 1) % ownLimit
	}
	own.inodes[inode] = true
}

// IsOwn reports whether that inode is that of a socket of one's own.
func IsOwn(inode uint32) bool {
	own.mu.Lock()
	defer own.mu.Unlock()
	return own.inodes[inode]
}
