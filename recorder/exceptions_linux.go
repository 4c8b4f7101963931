package recorder

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// routeExceptions records what the kernel has learnt of the way to single addresses: a path MTU, another router. It tells of them in
// every dump of the routes (of IPv4 since Linux 5.3), flagged as cloned, and nobody is told when one comes or goes. So they are read with the
// routes, whose dump brings them anyway: in every sample, and once in fullDump at least where there are many routes. A dump of exceptions alone
// goes through all the routes, too: of 100,000 that took 27 ms.
type routeExceptions struct {
	ns     namespace
	memory dumpMemory[store.RouteExceptionID, store.RouteException]
}

func newRouteExceptions(w *store.Writer, ns namespace, source *store.Source, netlink *rtnl.Conn) routeExceptions {
	return routeExceptions{ns, newDumpMemory(w, store.NewSet(source, store.RouteExceptions), netlink)}
}

// isException reports whether a message of a dump of routes is about an exception.
func isException(msg []byte) bool {
	return len(msg) >= unix.SizeofRtMsg && binary.NativeEndian.Uint32(msg[8:])&unix.RTM_F_CLONED != 0
}

// record puts the exceptions of a dump into the recording.
func (s *routeExceptions) record(messages [][]byte) error {
	if s.memory.keep(messages, unix.SizeofRtMsg, s.ticking) {
		return nil
	}
	for _, msg := range messages {
		r, err := rtnl.ParseRoute(msg)
		if err != nil {
			return fmt.Errorf("read exception to a route: %w", err)
		}
		id, v := s.row(&r)
		if r.Expires != 0 {
			v.Expires = s.memory.ends.of(id, 0, r.Expires)
		}
		s.memory.put(id, v)
	}
	s.memory.done()
	return nil
}

// ticking are the attributes with the time that an exception has left, which is noted.
func (s *routeExceptions) ticking(kind uint16, value []byte) bool {
	left, tells := rtnl.ExpiryOf(kind, value)
	if left != 0 {
		s.memory.ends.note(left)
	}
	return tells
}

// row is the exception as it is recorded, without the moment when it expires.
func (s *routeExceptions) row(r *rtnl.Route) (store.RouteExceptionID, store.RouteException) {
	id := store.RouteExceptionID{
		NetNS: s.ns.id, Family: store.Of(rtnl.FamilyNumber(r.Family)), TableID: store.Of(r.Table), Dst: r.Dst.Addr().String(),
		Gateway: addrText(r.Gateway), Dev: s.memory.names.Of(r.OIF),
	}
	v := store.RouteException{MTU: r.MTU}
	if r.Lock&(1<<unix.RTAX_MTU) != 0 {
		v.Locked = store.Of(1)
	}
	return id, v
}
