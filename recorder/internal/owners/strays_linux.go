package owners

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"netsql/store"

	"golang.org/x/sys/unix"
)

// verifyDoubtful looks whether the processes that held the doubtful sockets still do. Who does not is no holder any more; nobody
// else is looked for.
func (o *Owners) verifyDoubtful() {
	for _, e := range o.Doubtful {
		for _, h := range slices.Clone(e.Holders) {
			o.verifyHolder(h.Process.tableOf(h.table), e)
		}
		if len(e.Holders) == 0 {
			o.Vanished(e)
		}
	}
}

// verifyHolder reads the places where t has the socket, unless they have been read in this sample.
func (o *Owners) verifyHolder(t *Table, e *Held) {
	if t.ring {
		budget := math.MaxInt
		o.verifyRing(t, &budget)
		return
	}
	dir := -1
	var name [11]byte
	for i := range t.sockets {
		f := t.sockets[i]
		if f.inode != e.Inode || f.read == o.Gen {
			continue
		}
		if dir < 0 {
			var err error
			if dir, err = o.openFDs(t); err != nil {
				return
			}
			defer unix.Close(dir)
		}
		inode, err := o.inodeAt(dir, cNumber(&name, f.fd))
		if err != nil && err != unix.ENOENT {
			return
		}
		t.sockets[i].read = o.Gen
		if inode != f.inode {
			t.changed = true
			o.free(t, i)
			o.fill(t, i, inode)
		}
	}
}

// A Stray is a descriptor of a socket that no dump has shown so far.
type Stray struct {
	table    *Table
	fd       uint32
	noticed  uint32 // sample in which it was read
	verified uint32 // sample in which it was read again
	proto    string // of the socket, as the kernel calls it
}

// otherLimit is how many sockets of other kinds are remembered, so that each is asked once what it is.
const otherLimit = 8192

// notice takes note of a descriptor that leads to a socket that no dump has shown. The next dump may show it: it may just have
// been made.
func (o *Owners) notice(t *Table, f fdInode) {
	if t.ring || o.other[f.inode] {
		return
	}
	if _, known := o.Strays[f.inode]; known {
		return
	}
	if o.Strays == nil {
		o.Strays = map[uint32]Stray{}
	}
	o.Strays[f.inode] = Stray{table: t, fd: f.fd, noticed: o.Gen}
}

// VerifyStrays brings up to date the strays of the samples before. A stray is forgotten when a dump has shown its socket by now,
// or when it is closed.
func (o *Owners) VerifyStrays() {
	for inode, at := range o.Strays {
		if at.noticed == o.Gen || at.verified == o.Gen {
			continue
		}
		if o.byInode[inode] != nil || at.table.gone || o.ByPID[at.table.process.PID] != at.table.process || !o.leadsTo(at, inode) {
			delete(o.Strays, inode)
			continue
		}
		at.verified = o.Gen
		if at.proto == "" {
			at.proto = o.protocolAt(at)
		}
		if _, ours := unlistedProtocols[at.proto]; !ours {
			o.SetAside(inode)
			continue
		}
		o.Strays[inode] = at
	}
}

// SetAside remembers a socket that is none of ours.
func (o *Owners) SetAside(inode uint32) {
	delete(o.Strays, inode)
	if o.other == nil || len(o.other) >= otherLimit {
		o.other = map[uint32]bool{}
	}
	o.other[inode] = true
}

// unlistedProtocols are the names in system.sockprotoname of sockets that a dump shows only once they are bound or connected.
var unlistedProtocols = map[string]struct {
	proto string
	af    uint8
}{
	"TCP": {"tcp", unix.AF_INET}, "TCPv6": {"tcp", unix.AF_INET6},
	"UDP": {"udp", unix.AF_INET}, "UDPv6": {"udp", unix.AF_INET6},
}

// HoldsUnknownTCP reports whether a process holds a TCP socket that the dumps have not shown. It may be bound only.
func (o *Owners) HoldsUnknownTCP() bool {
	o.VerifyStrays()
	for _, at := range o.Strays {
		if at.verified == o.Gen && unlistedProtocols[at.proto].proto == "tcp" {
			return true
		}
	}
	return false
}

func (o *Owners) leadsTo(at Stray, inode uint32) bool {
	dir, err := o.openFDs(at.table)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	var name [11]byte
	got, _ := o.inodeAt(dir, cNumber(&name, at.fd))
	return got == inode
}

// protocolAt is the name of the socket's protocol as the kernel has it (the attribute system.sockprotoname of sockfs, Linux
// 2.6.39).
func (o *Owners) protocolAt(at Stray) string {
	folder, err := o.fdFolder(at.table)
	if err != nil || folder == "" {
		return "?"
	}
	var name [32]byte
	n, err := unix.Getxattr("/proc/"+folder+"/"+strconv.FormatUint(uint64(at.fd), 10), "system.sockprotoname", name[:])
	if err != nil {
		return "?"
	}
	return string(bytes.TrimRight(name[:n], "\x00"))
}

// IsVerified reports whether the stray still leads to its socket in this sample.
func (o *Owners) IsVerified(at Stray) bool { return at.verified == o.Gen }

// KindOf is the network namespace of a stray's process, and the protocol and address family of its socket; not ok when it is not
// known where processes are.
func (o *Owners) KindOf(at Stray) (netns store.Int, proto string, af uint8, ok bool) {
	if o.NetNS == nil {
		return store.Int{}, "", 0, false
	}
	of := unlistedProtocols[at.proto]
	return o.NetNS(at.table.process.PID, at.table.process.stat.Start), of.proto, of.af, true
}

// Take makes e the socket that a stray leads to: its process holds it.
func (o *Owners) Take(e *Held, at Stray) {
	delete(o.Strays, e.Inode)
	o.byInode[e.Inode] = e
	for _, f := range at.table.sockets {
		if f.inode == e.Inode {
			o.addFD(at.table, f)
		}
	}
}
