package recorder

import (
	"slices"

	"netsql/store"
)

// A connection of MPTCP is a socket of its own, and has one TCP socket or more under it, its subflows. The dumps show the
// subflows, all with the inode of the connection. When the process closes it, they may be there for a minute or longer,
// and since Linux 6.17 they show the inode still, though no process can have it any more. Only the
// connection itself, which the kernel finds by its token, says that it is closed.

// appearedTwice enters a further socket with the inode of e.
func (o *owners) appearedTwice(e *held) {
	if o.twins == nil {
		o.twins = map[uint32][]*held{}
	}
	o.twins[e.inode] = append(o.twins[e.inode], e)
}

// leaveTwins takes e, which vanishes, out of those with its inode. It reports whether there are others, which
// the holders still hold.
func (o *owners) leaveTwins(e *held) bool {
	inode := e.inode
	twins := o.twins[inode]
	if len(twins) == 0 {
		return false
	}
	if o.byInode[inode] == e {
		next := twins[0]
		next.holdLike(e)
		next.lost = e.lost
		if o.byInode[inode] = next; len(next.holders) == 0 {
			o.wanted = append(o.wanted, next)
		}
		twins = twins[1:]
	} else {
		i := slices.Index(twins, e)
		if i < 0 {
			return false
		}
		twins = slices.Delete(twins, i, i+1)
	}
	if o.twins[inode] = twins; len(twins) == 0 {
		delete(o.twins, inode)
	}
	e.holders = nil
	return true
}

// matchTwins has the sockets of one inode held by the same processes.
func (o *owners) matchTwins() {
	for inode, twins := range o.twins {
		first := o.byInode[inode]
		for _, e := range twins {
			e.holdLike(first)
			e.lost = first.lost
		}
	}
}

// holdLike gives e the holders of another socket. What was reported of its own stays known.
func (e *held) holdLike(other *held) {
	own := e.holders
	e.holders = slices.Clone(other.holders)
	for i := range e.holders {
		h := &e.holders[i]
		h.subject, h.id, h.shown = nil, store.SocketOwnerID{}, 0
		for _, was := range own {
			if was.process == h.process && was.table == h.table {
				h.subject, h.id, h.shown = was.subject, was.id, was.shown
			}
		}
	}
}
