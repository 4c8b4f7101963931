package recorder

import (
	"cmp"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
)

// changeNames are the types of the messages that tell of changes.
var changeNames = map[uint16]string{
	unix.RTM_NEWLINK: "RTM_NEWLINK", unix.RTM_DELLINK: "RTM_DELLINK",
	unix.RTM_NEWADDR: "RTM_NEWADDR", unix.RTM_DELADDR: "RTM_DELADDR",
	unix.RTM_NEWNEIGH: "RTM_NEWNEIGH", unix.RTM_DELNEIGH: "RTM_DELNEIGH",
	unix.RTM_NEWROUTE: "RTM_NEWROUTE", unix.RTM_DELROUTE: "RTM_DELROUTE",
	unix.RTM_NEWRULE: "RTM_NEWRULE", unix.RTM_DELRULE: "RTM_DELRULE",
	unix.RTM_NEWNEXTHOP: "RTM_NEWNEXTHOP", unix.RTM_DELNEXTHOP: "RTM_DELNEXTHOP",
	unix.RTM_NEWNETCONF: "RTM_NEWNETCONF", unix.RTM_DELNETCONF: "RTM_DELNETCONF",
}

// logMessages tells the log of the messages in b, which came unasked.
func logMessages(log *debuglog.Log, ns namespace, names map[uint16]string, b []byte) {
	if log == nil {
		return
	}
	for native := binary.NativeEndian; len(b) >= unix.NLMSG_HDRLEN; {
		n := int(native.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			log.Printf("netns %d: a message of %d bytes where %d are left", ns.inode(), n, len(b))
			return
		}
		kind := native.Uint16(b[4:])
		log.Printf("netns %d: message of type %d (%s), %d bytes, flags %#x, seq %d", ns.inode(), kind, cmp.Or(names[kind], "a closed socket"), n, native.Uint16(b[6:]), native.Uint32(b[8:]))
		b = b[min((n+3)&^3, len(b)):]
	}
}

// inode is the number that names the namespace.
func (ns namespace) inode() int64 {
	inode, _ := ns.id.Get()
	return inode
}
