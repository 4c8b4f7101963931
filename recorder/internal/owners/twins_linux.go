package owners

import (
	"slices"

	"netsql/store"
)

// A connection of MPTCP is a socket of its own, and has one TCP socket or more under it, its subflows. The dumps show the
// subflows, all with the inode of the connection. When the process closes it, they may be there for a minute or longer,
// and since Linux 6.17 they show the inode still, though no process can have it any more. Only the
// connection itself, which the kernel finds by its token, says that it is closed.

// appearedTwice enters a further socket with the inode of e.
func (o *Owners) appearedTwice(e *Held) {
	if o.Twins == nil {
		o.Twins = map[uint32][]*Held{}
	}
	o.Twins[e.Inode] = append(o.Twins[e.Inode], e)
}

// leaveTwins takes e, which vanishes, out of those with its inode. It reports whether there are others, which
// the holders still hold.
func (o *Owners) leaveTwins(e *Held) bool {
	inode := e.Inode
	twins := o.Twins[inode]
	if len(twins) == 0 {
		return false
	}
	if o.byInode[inode] == e {
		next := twins[0]
		next.holdLike(e)
		next.Lost = e.Lost
		if o.byInode[inode] = next; len(next.Holders) == 0 {
			o.unresolved = append(o.unresolved, next)
		}
		twins = twins[1:]
	} else {
		i := slices.Index(twins, e)
		if i < 0 {
			return false
		}
		twins = slices.Delete(twins, i, i+1)
	}
	if o.Twins[inode] = twins; len(twins) == 0 {
		delete(o.Twins, inode)
	}
	e.Holders = nil
	return true
}

// matchTwins has the sockets of one inode held by the same processes.
func (o *Owners) matchTwins() {
	for inode, twins := range o.Twins {
		first := o.byInode[inode]
		for _, e := range twins {
			e.holdLike(first)
			e.Lost = first.Lost
		}
	}
}

// holdLike gives e the holders of another socket. What was reported of its own stays known.
func (e *Held) holdLike(other *Held) {
	own := e.Holders
	e.Holders = slices.Clone(other.Holders)
	for i := range e.Holders {
		h := &e.Holders[i]
		h.Subject, h.ID, h.Shown = nil, store.SocketOwnerID{}, 0
		for _, was := range own {
			if was.Process == h.Process && was.table == h.table {
				h.Subject, h.ID, h.Shown = was.Subject, was.ID, was.Shown
			}
		}
	}
}
