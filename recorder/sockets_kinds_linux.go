package recorder

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// A decoder makes a record of a message of a dump. name is what a unix socket is called, or the groups of a netlink socket.
type decoder func(msg []byte) (r sockdiag.Record, name []byte, err error)

// nameless is a decoder of sockets that have no name.
func nameless(decode func([]byte) (sockdiag.Record, error)) decoder {
	return func(msg []byte) (sockdiag.Record, []byte, error) {
		r, err := decode(msg)
		return r, nil, err
	}
}

// A rareKind is a kind of sockets that few machines use. It is read in a network namespace from the first sample on in which the kernel
// counts a socket of it there, and then in every sample: until then it has no source, and costs nothing.
//
// A kernel may know the sockets, and have no dump of them. Then the kind has no source at all: nothing is said of it, least of
// all that there is none. The capabilities say so, and the kernel is asked again once in lacksFor, for the module of the dump may have come.
type rareKind struct {
	name      string // of its source
	counted   string // its line in /proc/net/protocols: without it the kernel has no such socket
	uncounted bool   // and the number there is always 0
	protocol  func() *protocol
}

// lacksFor is how long a kernel without a dump of a kind is not asked again. To ask makes it look for a module.
const lacksFor = time.Hour

var rareKinds = [...]rareKind{
	{name: "vsock", counted: "AF_VSOCK", uncounted: true, protocol: func() *protocol {
		return &protocol{proto: "vsock", name: "vsock", af: unix.AF_VSOCK, request: sockdiag.VsockRequest{}.Message, decode: nameless(sockdiag.DecodeVsock)}
	}},
	{name: "xdp", counted: "XDP", protocol: func() *protocol {
		return &protocol{proto: "xdp", name: "xdp", af: unix.AF_XDP, request: sockdiag.XDPRequest{}.Message, decode: nameless(sockdiag.DecodeXDP)}
	}},
	{name: "mptcp4", counted: "MPTCP", protocol: func() *protocol { return mptcpOf(4, unix.AF_INET) }},
	{name: "mptcp6", counted: "MPTCPv6", protocol: func() *protocol { return mptcpOf(6, unix.AF_INET6) }},
	{name: "sctp4", counted: "SCTP", protocol: func() *protocol { return sctpOf(4, unix.AF_INET) }},
	{name: "sctp6", counted: "SCTPv6", protocol: func() *protocol { return sctpOf(6, unix.AF_INET6) }},
	{name: "ping4", counted: "PING", protocol: func() *protocol { return pingOf(4, unix.AF_INET) }},
	{name: "ping6", counted: "PINGv6", protocol: func() *protocol { return pingOf(6, unix.AF_INET6) }},
}

func ofFamily(family int, af uint8, p *protocol) *protocol {
	p.family, p.af, p.name = store.Of(family), af, p.proto+strconv.Itoa(family)
	return p
}

// mptcpOf are the connections of MPTCP themselves. Their subflows are TCP sockets, which tell what they move: here it would be told twice. A
// listener is there as the TCP socket that it is, too: many programs listen for both, and who asks for a port would get two rows for each.
func mptcpOf(family int, af uint8) *protocol {
	request := sockdiag.OverIPRequest{Family: af, Protocol: sockdiag.ProtocolMPTCP, States: sockdiag.EveryState &^ (1 << sockdiag.StateListen)}
	return ofFamily(family, af, &protocol{proto: "mptcp", kind: "stream", request: request.Message, decode: nameless(sockdiag.DecodeMPTCP)})
}

// sctpOf are the sockets of SCTP. After each the kernel tells of its associations, with the same cookie: these have no row.
func sctpOf(family int, af uint8) *protocol {
	request := sockdiag.OverIPRequest{Family: af, Protocol: unix.IPPROTO_SCTP, States: sockdiag.EveryState}
	return ofFamily(family, af, &protocol{proto: "sctp", request: request.Message, decode: nameless(sockdiag.DecodeOverIP), once: true})
}

// pingOf are the ICMP echo sockets, of which no kernel has a dump.
func pingOf(family int, af uint8) *protocol {
	return ofFamily(family, af, &protocol{proto: "ping", kind: "dgram", inProc: true, fromProc: true, procName: "icmp"})
}

// addSwitchedOff gives the kinds a source that are switched off by name: the recording says so, whether there are any or not.
func (s *sockets) addSwitchedOff(ns namespace, diag *sockdiag.Conn, c *census) {
	for i := range rareKinds {
		if p := rareKinds[i].protocol(); s.without.has(p.proto) {
			c.read |= 1 << i
			s.add(p, ns, diag)
		}
	}
}

// addRare begins to read the rare kinds of which the namespace of p has sockets now.
func (s *sockets) addRare(ctx context.Context, p *protocol) {
	c := p.census
	if !c.isOf(s.gen) {
		return
	}
	for i := range rareKinds {
		k := &rareKinds[i]
		if _, known := c.counts[k.counted]; !known || c.read&(1<<i) != 0 || !k.uncounted && c.of(k.name) == 0 {
			continue
		}
		if now := time.Now(); now.Before(s.lacks[i]) {
			continue
		} else if q := k.protocol(); !s.canDump(ctx, p, q) {
			s.lacks[i] = now.Add(lacksFor)
		} else {
			c.read |= 1 << i
			q.census = c
			s.add(q, p.ns, p.diag)
		}
	}
}

// canDump reports whether the kernel has a dump of q, in the namespace of p. An error of another kind the dump itself will tell.
func (s *sockets) canDump(ctx context.Context, p, q *protocol) bool {
	if q.fromProc {
		return true
	}
	err := error(nil)
	p.ns.inside(func() { err = p.diag.Dump(ctx, q.request(), func([]byte) error { return nil }) })
	return !errors.Is(err, unix.ENOENT)
}

// leavesOut reports whether a socket of a dump has no row: of the netlink sockets those of the kernel itself, and those of the recorder.
func (p *protocol) leavesOut(r *sockdiag.Record, name []byte) bool {
	switch {
	case p.af == unix.AF_NETLINK:
		if sockdiag.IsOwn(r.Inode) {
			if !slices.Contains(p.own, r.Inode) { // the kernel tells of one that has joined groups twice
				p.own = append(p.own, r.Inode)
			}
			return true
		}
		return r.IsKernels(name)
	case p.once:
		e := p.known[r.Cookie]
		return e != nil && e.Dump == p.dump
	}
	return false
}

// nameEnds fills in both ends of a netlink or vsock socket.
func (t *texts) nameEnds(r *sockdiag.Record, id *store.SocketID) {
	if r.Family == unix.AF_NETLINK {
		id.LocalAddr = netlinkName(sockdiag.Place(&r.Src))
		id.LocalPort, id.RemotePort = store.Of(sockdiag.Port(&r.Src)), store.Of(sockdiag.Port(&r.Dst))
		return
	}
	id.LocalAddr, id.LocalPort = vsockEnd(&r.Src)
	id.RemoteAddr, id.RemotePort = vsockEnd(&r.Dst)
}

// netlinkName is the name of a protocol of netlink, or its number.
func netlinkName(protocol uint32) string {
	if protocol < uint32(len(sockdiag.NetlinkProtocols)) && sockdiag.NetlinkProtocols[protocol] != "" {
		return sockdiag.NetlinkProtocols[protocol]
	}
	return strconv.FormatUint(uint64(protocol), 10)
}

// vsockEnd is an end as it is recorded: * and 0 stand for any.
func vsockEnd(a *[16]byte) (cid string, port store.Int) {
	cid, port = strconv.FormatUint(uint64(sockdiag.Place(a)), 10), store.Of(sockdiag.Port(a))
	if sockdiag.Place(a) == sockdiag.VsockAny {
		cid = "*"
	}
	if sockdiag.Port(a) == sockdiag.VsockAny {
		port = store.Of(0)
	}
	return cid, port
}

// groupsText names the multicast groups of a netlink socket, or gives their numbers.
func groupsText(protocol uint32, groups []byte) string {
	var texts []string
	names := sockdiag.GroupNames[protocol]
	sockdiag.EachGroup(groups, func(group int) {
		if group < len(names) && names[group] != "" {
			texts = append(texts, names[group])
		} else {
			texts = append(texts, strconv.Itoa(group))
		}
	})
	return strings.Join(texts, " ")
}
