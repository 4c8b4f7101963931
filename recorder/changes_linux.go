package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/debuglog"
	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// changes hears of the links, addresses, neighbours, nexthop objects, routes, rules and a few sysctls of a network namespace as they change (the
// multicast groups of rtnetlink). A change brings the next sample forward; what was told of since the last
// one is put into the recording with its own time, after the dumps, which have the last word: the kernel does not tell
// everything (IPv4 routes go without a message when their link goes down), and messages are lost.
type changes struct {
	writer  *store.Writer
	source  *store.Source
	ns      namespace
	log     *debuglog.Log // nil: messages are not told of
	monitor *monitor
	trigger *trigger
	fd      int    // of the netlink socket; -1 when it is not open
	drops   uint32 // messages that the kernel has dropped so far for want of room

	links     *interfaces
	linkSet   *store.EventSet[store.InterfaceID, store.Interface]
	addresses *store.EventSet[store.AddressID, store.Address]
	neighbors *store.EventSet[store.NeighborID, store.Neighbor]
	nextHops  *store.EventSet[store.NextHopID, store.NextHop]
	ways      *routes
	routes    *store.EventSet[store.RouteID, store.Route]
	rules     *store.EventSet[store.RuleID, store.Rule]

	names        rtnl.LinkNames // as they were when the messages were sent
	received     []change       // that this sample is to put into the recording
	cuts         [changeKinds]cut
	waiting      []change          // of them, those whose source could not be read
	overflow     int               // messages that were too many
	lost         bool              // some were lost
	settings     bool              // a sysctl changed: forwarding and some others
	off          [changeKinds]bool // those whose source is switched off
	begun        bool              // a sample was written: there is something to compare with
	unsubscribed bool              // we were not subscribed for part of the time since the last sample

	mu     sync.Mutex // of what the monitor's goroutine writes
	queue  queue
	empty  time.Duration // since boot: no message waited then
	failed error         // why nothing more is heard
}

// A cut says what of taken the dump of a source shows: all before sure, and perhaps more before maybe, which came while it went
// on.
type cut struct{ sure, maybe int }

// The kinds of changes, a source for each.
const (
	changedLink = iota
	changedAddress
	changedNeighbor
	changedNextHop
	changedRoute
	changedRule
	changeKinds
)

// kindOf is the kind of a message.
func (m *change) kindOf() int {
	switch m.kind {
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return changedAddress
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		return changedNeighbor
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return changedNextHop
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return changedRoute
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		return changedRule
	}
	return changedLink
}

// A change is a message of rtnetlink, without its header.
type change struct {
	at    time.Duration // since boot; it may have been earlier,
	late  time.Duration // by so much
	kind  uint16        // RTM_NEWROUTE and so on
	flags uint16
	body  []byte
}

// changeGroups are what tells of what the sources record.
var changeGroups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
}

// newGroups are those that not every kernel has.
var newGroups = []int{unix.RTNLGRP_NEXTHOP} // Linux 5.3

// changesBuffer is how much the kernel may keep for us: ten thousand routes at once, each of which it counts as
// nearly a kilobyte. Without CAP_NET_ADMIN it is net.core.rmem_max at the most.
const changesBuffer = 16 << 20

func newChanges(w *store.Writer, ns namespace, sources []source, h *monitor, t *trigger) *changes {
	c := &changes{writer: w, source: w.SourceIn(ns.id, "changes"), ns: ns, monitor: h, trigger: t, fd: -1}
	for _, s := range sources {
		switch s := s.(type) {
		case *interfaces:
			c.links = s
			c.linkSet = store.NewEvents(c.source, store.InterfaceEvents, s.attributes, sameButDriver)
		case *addresses:
			c.addresses = store.NewEvents(c.source, store.AddressEvents, s.memory.set, sameButLifetime)
		case *neighbors:
			c.neighbors = store.NewEvents(c.source, store.NeighborEvents, s.memory.set, sameButAge)
		case *nextHops:
			c.nextHops = store.NewEvents(c.source, store.NextHopEvents, s.memory.set, nil)
		case *routes:
			c.ways, c.routes = s, store.NewEvents(c.source, store.RouteEvents, s.memory.set, sameButExpiry)
			s.quiet = c.routesQuiet
		case *settings:
			s.told = c.settingsTold
		case *rules:
			c.rules = store.NewEvents(c.source, store.RuleEvents, s.memory.set, nil)
		}
	}
	c.queue.seed = maphash.MakeSeed()
	return c
}

// sameButDriver: no message tells what the driver says of a link.
func sameButDriver(told, seen store.Interface) (store.Interface, bool) {
	takeDriver(&told, seen)
	return told, told == seen
}

// sameButAge: a neighbour that is only aging, or that is looked for in vain once more, has not changed.
func sameButAge(told, seen store.Neighbor) (store.Neighbor, bool) {
	same := told.MAC == seen.MAC && told.Flags == seen.Flags && ageless(told.State) == ageless(seen.State)
	return told, same
}

// sameButLifetime: an address whose lifetime a router or a DHCP server has put off has not changed.
func sameButLifetime(told, seen store.Address) (store.Address, bool) {
	told.ValidUntil, told.PreferredUntil = seen.ValidUntil, seen.PreferredUntil
	return told, told == seen
}

// sameButExpiry: nor has such a route.
func sameButExpiry(told, seen store.Route) (store.Route, bool) {
	told.Expires = seen.Expires
	return told, told == seen
}

// ageless are the states of a neighbour that are left when its age does not count. neighbor_changes reads it so, too.
func ageless(state string) string {
	switch state {
	case "REACHABLE", "STALE", "DELAY", "PROBE":
		return "REACHABLE"
	case "INCOMPLETE":
		return "FAILED"
	}
	return state
}

// begin takes what was told so far, before the dumps: they show what that has led to.
func (c *changes) begin() {
	if c == nil {
		return
	}
	if c.fd < 0 {
		c.unsubscribed = true
		c.subscribe()
	}
	c.names = rtnl.LinkNames{}
	for i := range c.cuts {
		c.cuts[i] = cut{math.MaxInt, math.MaxInt}
	}
	c.gather()
}

// gather takes what was told so far.
func (c *changes) gather() {
	before := c.drainNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.empty = max(c.empty, before)
	c.received = append(c.received, c.queue.messages...)
	c.overflow, c.lost = c.overflow+c.queue.overflow, c.lost || c.queue.lost
	c.settings = c.settings || c.queue.settings
	c.queue.messages, c.queue.size, c.queue.overflow, c.queue.lost, c.queue.settings = nil, 0, 0, false, false
	if over := len(c.received) - queueLength; over > 0 { // samples have failed for long
		c.received = slices.Clone(c.received[:queueLength])
		c.overflow += over
	}
	if len(c.received) > 0 && c.names.ByIndex == nil {
		c.names = rtnl.LinkNames{Conn: c.ns.rtnetlink(), ByIndex: map[int32]string{}}
		for index, l := range c.links.known {
			c.names.ByIndex[index] = l.name
		}
	}
}

// drainNow takes what waits in the socket. It returns when, since boot, nothing did; 0: it did.
func (c *changes) drainNow() (empty time.Duration) {
	ready := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
	before := kernel.SinceBoot()
	if n, _ := unix.Poll(ready, 0); c.fd >= 0 && n > 0 {
		c.drain(make([]byte, longestMessage), c.monitor.notBefore())
		return 0
	}
	return before
}

// ofWays is how many messages have come so far of what may change the way of a connection: of all but neighbours. It is not known while
// nobody listens.
func (c *changes) ofWays() (messages uint64, known bool) {
	if c == nil || c.fd < 0 {
		return 0, false
	}
	c.drainNow()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.ofWays, c.failed == nil
}

// readAll reads the sources. What is told before the dump of one, that dump shows; what is told during it, it may show.
func (c *changes) readAll(ctx context.Context, sources []source) {
	for _, s := range sources {
		kind := changeKinds
		switch s.(type) {
		case *interfaces:
			kind = changedLink
		case *addresses:
			kind = changedAddress
		case *neighbors:
			kind = changedNeighbor
		case *nextHops:
			kind = changedNextHop
		case *routes:
			kind = changedRoute
		case *rules:
			kind = changedRule
		}
		if c == nil || kind == changeKinds {
			s.read(ctx)
			continue
		}
		c.gather()
		sure := len(c.received)
		s.read(ctx)
		c.gather()
		c.cuts[kind] = cut{sure, len(c.received)}
	}
}

// subscribe opens the socket.
func (c *changes) subscribe() {
	var fd int
	if fd, c.failed = multicast(unix.NETLINK_ROUTE, changesBuffer, changeGroups...); c.failed != nil {
		return
	}
	for _, group := range newGroups {
		_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group)
	}
	c.drops, _ = socketDrops(fd)
	c.mu.Lock()
	c.queue.ofWays++ // what came before was not received
	c.mu.Unlock()
	c.fd, c.empty = fd, kernel.SinceBoot()
	if err := c.monitor.add(fd, c); err != nil {
		c.close()
		c.failed = err
	}
}

// close ends the hearing.
func (c *changes) close() {
	if c != nil && c.fd >= 0 {
		c.monitor.remove(c.fd)
		unix.Close(c.fd)
		c.fd = -1
	}
}

// drainLimit is how many messages are taken without a look at the clock.
const drainLimit = 32

// drain takes what is there. What was read came after since, after the queue was last empty, and before the clock is read that
// follows.
func (c *changes) drain(buf []byte, since time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	since = max(since, c.empty)
	at := kernel.SinceBoot()
	urgent := uint32(notUrgent)
	for n := 0; c.failed == nil; n++ {
		size, from, err := unix.Recvfrom(c.fd, buf, unix.MSG_TRUNC)
		switch sender, ok := from.(*unix.SockaddrNetlink); {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.empty = max(c.empty, at)
			if urgent > notUrgent {
				c.trigger.fire(urgent)
			}
			return
		case err == unix.ENOBUFS:
			c.queue.lose()
			urgent = triggers
			if c.log != nil {
				c.log.Printf("netns %d: the kernel dropped messages of changes", c.ns.inode())
			}
		case err != nil:
			c.failed = err
			c.trigger.fire(triggers)
		case size > len(buf):
			c.queue.lose()
			urgent = triggers
		case ok && sender.Pid == 0: // not from another program
			at = kernel.SinceBoot()
			logMessages(c.log, c.ns, changeNames, buf[:size])
			urgent = max(urgent, c.queue.take(buf[:size], at, at-since))
		}
		if n%drainLimit == 0 {
			c.mu.Unlock() // a sample may be waiting
			c.mu.Lock()
		}
	}
}

// read puts what was told into the recording, after the dumps.
func (c *changes) read(context.Context) {
	if c == nil {
		return
	}
	c.waiting = nil
	c.source.Read(func() error {
		c.tellLost()
		c.mu.Lock()
		failed := c.failed
		c.mu.Unlock()
		if failed != nil {
			c.close() // the next sample opens another
			return &store.PartialError{Missing: fmt.Sprintf("the kernel does not tell of changes of routes and links (%v): "+
				"what comes and goes between two samples is not seen", failed)}
		}
		if c.writer.Behind() {
			if n := len(c.received); n > 0 {
				c.source.Lost(fmt.Sprintf("%d changes of links, addresses, neighbors, routes or rules could not be followed, because the recording "+
					"could not be written: samples show what they led to", n))
			}
			c.received = nil
			return nil
		}
		waits := make([]bool, len(c.received))
		var doubtful [changeKinds][]int
		for i := range c.received {
			m := &c.received[i]
			switch kind := m.kindOf(); {
			case i < c.cuts[kind].sure:
				waits[i] = c.begun && !c.tell(m) && !c.off[kind]
			case i < c.cuts[kind].maybe && c.begun:
				doubtful[kind] = append(doubtful[kind], i)
			default:
				waits[i] = true
			}
		}
		for kind, set := range c.sets() {
			if err := c.tellDoubtful(set, doubtful[kind], waits); err != nil {
				return err
			}
		}
		for i, m := range c.received {
			if waits[i] {
				c.waiting = append(c.waiting, m)
			}
		}
		if !c.begun {
			return nil
		}
		return c.settle()
	})
}

// An eventSet is a store.EventSet of any type.
type eventSet interface {
	Looked() bool
	Try(func()) (bool, error)
	Settle() error
}

// sets are by kind.
func (c *changes) sets() [changeKinds]eventSet {
	return [...]eventSet{c.linkSet, c.addresses, c.neighbors, c.nextHops, c.routes, c.rules}
}

// tellDoubtful tells those messages that the dump shows, though they came while it went on. The others wait for the next sample.
func (c *changes) tellDoubtful(set eventSet, doubtful []int, waits []bool) error {
	for from, to := 0, 1; from < len(doubtful); to++ {
		shown := false
		if to <= len(doubtful) && to-from <= tellTogether && set.Looked() {
			var err error
			if shown, err = set.Try(func() {
				for _, i := range doubtful[from:to] {
					c.tell(&c.received[i])
				}
			}); err != nil {
				return err
			}
		} else {
			for _, i := range doubtful[from:] {
				waits[i] = true
			}
			break
		}
		if shown {
			from = to
		}
	}
	return nil
}

// tellTogether is how many messages at most are tried together.
const tellTogether = 16

func (c *changes) settle() error {
	for _, set := range c.sets() {
		if set.Looked() {
			if err := set.Settle(); err != nil {
				return err
			}
		}
	}
	return nil
}

// done says that the sample was written. Until then everything is told again.
func (c *changes) done() {
	if c == nil {
		return
	}
	c.received, c.begun = c.waiting, true
	c.overflow, c.lost, c.settings, c.unsubscribed = 0, false, false, c.fd < 0
}

// settingsTold reports whether the kernel told of a changed sysctl since the last sample, or may have.
func (c *changes) settingsTold() bool { return c.settings || c.lost }

// routesQuiet reports whether nothing has happened since the last sample that may have changed a route: links and addresses take
// routes with them, which the kernel does not tell of, and ignore_routes_with_linkdown changes their flags.
func (c *changes) routesQuiet() bool {
	c.mu.Lock()
	failed := c.failed != nil
	c.mu.Unlock()
	return !failed && !c.unsubscribed && !c.lost && !c.settings && c.overflow == 0 && !slices.ContainsFunc(c.received, func(m change) bool {
		switch m.kind {
		case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH, unix.RTM_NEWRULE, unix.RTM_DELRULE:
			return false
		}
		return true
	})
}

// startOver forgets that there was a sample: the recording is another one.
func (c *changes) startOver() {
	if c != nil {
		c.begun = false
	}
}

// tellLost says what was not heard, or was too much.
func (c *changes) tellLost() {
	switch {
	case c.lost:
		lost := "some"
		if drops, known := socketDrops(c.fd); known && drops > c.drops {
			lost = fmt.Sprint(drops - c.drops)
			c.drops = drops
		}
		c.source.Lost(lost + " changes of links, addresses, neighbors, routes or rules were not heard of: more came than net.core.rmem_max, " +
			"or the CPU, has room for; samples show what they led to")
	case c.overflow > 0:
		c.source.Lost(fmt.Sprintf("%d changes of links, addresses, neighbors, routes or rules were too many to follow one by one: "+
			"samples show what they led to", c.overflow))
	}
}

// tell decodes a message, unless its source was not read. One that makes no sense changes nothing: the dump tells.
func (c *changes) tell(m *change) (looked bool) {
	looked = true
	switch m.kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		looked = c.linkSet.Looked()
		c.tellLink(m, looked)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if looked = c.addresses.Looked(); looked {
			c.tellAddress(m)
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		if looked = c.neighbors.Looked(); looked {
			c.tellNeighbor(m)
		}
	case unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		if looked = c.nextHops.Looked(); looked {
			c.tellNextHop(m)
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if looked = c.routes.Looked(); looked {
			c.tellRoute(m)
		}
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		if looked = c.rules.Looked(); looked {
			c.tellRule(m)
		}
	}
	return looked
}

func (c *changes) tellLink(m *change, looked bool) {
	l, err := rtnl.ParseLink(m.body)
	if err != nil {
		return
	}
	if ofPort(m.body, &l) {
		c.tellPort(m, &l, looked)
		return
	}
	if !wholeLink(m.body, &l) {
		return
	}
	name, known := c.names.ByIndex[l.Index]
	there := m.kind == unix.RTM_NEWLINK
	if there {
		c.names.ByIndex[l.Index] = string(l.Name)
	}
	if !looked {
		return
	}
	if known && name != string(l.Name) {
		id := store.InterfaceID{NetNS: c.ns.id, IfIndex: store.Of(l.Index), Name: name}
		c.linkSet.Tell(m.at, m.late, id, store.Interface{}, false)
	}
	master := ""
	if l.Master != 0 {
		master = c.names.Of(l.Master)
	}
	id, v := linkRow(&l, c.ns.id, master, &linkDriver{})
	if was, ok := c.linkSet.State(id); ok {
		takeDriver(&v, was)
	}
	c.linkSet.Tell(m.at, m.late, id, v, there)
}

// tellPort takes the state of a bridge port from a message of the bridge, which says nothing else of the link. No other message tells it.
func (c *changes) tellPort(m *change, l *rtnl.Link, looked bool) {
	id := store.InterfaceID{NetNS: c.ns.id, IfIndex: store.Of(l.Index), Name: string(l.Name)}
	if !looked || m.kind != unix.RTM_NEWLINK {
		return
	}
	if v, ok := c.linkSet.State(id); ok && v.Master != "" {
		v.MemberState = l.Info.MemberText()
		c.linkSet.Tell(m.at, m.late, id, v, true)
	}
}

// ofPort reports whether a bridge tells of the state of a port.
func ofPort(body []byte, l *rtnl.Link) bool {
	_, known := l.Info.MemberState.Get()
	return body[0] == unix.AF_BRIDGE && known
}

// wholeLink reports whether the message tells all of a link: those of bridge ports and of wireless events do not.
func wholeLink(body []byte, l *rtnl.Link) bool {
	_, sized := l.MTU.Get()
	return body[0] == unix.AF_UNSPEC && sized
}

func (c *changes) tellAddress(m *change) {
	a, err := rtnl.ParseAddress(m.body)
	if err == nil && rtnl.FamilyNumber(a.Family) != 0 {
		id, v := addressRow(&a, c.ns.id, &c.names)
		if a.Valid != rtnl.Forever {
			v.ValidUntil = endOf(c.writer, m.at, a.Valid)
		}
		if a.Preferred != rtnl.Forever && a.Preferred > 0 {
			v.PreferredUntil = endOf(c.writer, m.at, a.Preferred)
		}
		c.addresses.Tell(m.at, m.late, id, v, m.kind == unix.RTM_NEWADDR)
	}
}

func (c *changes) tellNeighbor(m *change) {
	n, err := rtnl.ParseNeighbor(m.body)
	if err == nil && rtnl.FamilyNumber(n.Family) != 0 {
		id, v := neighborRow(&n, c.ns.id, &c.names)
		c.neighbors.Tell(m.at, m.late, id, v, m.kind == unix.RTM_NEWNEIGH)
	}
}

func (c *changes) tellRoute(m *change) {
	r, err := rtnl.ParseRoute(m.body)
	if err != nil || rtnl.FamilyNumber(r.Family) == 0 || r.Flags&unix.RTM_F_CLONED != 0 {
		return
	}
	for i := range siblings(&r) {
		r := sibling(&r, i)
		id, v := routeRow(&r, c.ns.id, &c.names, c.objectNow)
		if r.Expires != 0 {
			v.Expires = endOf(c.writer, m.at, r.Expires)
		}
		first := r.Family == unix.AF_INET && m.flags&unix.NLM_F_APPEND == 0
		if m.kind == unix.RTM_NEWROUTE {
			c.ways.before.add(id, r.NextHopID)
			if r.Family == unix.AF_INET && m.flags&unix.NLM_F_REPLACE != 0 {
				c.tellReplaced(m, id)
			}
		}
		c.tellRouteRow(m, id, v, first)
	}
}

// tellRouteRow tells of one route.
func (c *changes) tellRouteRow(m *change, id store.RouteID, v store.Route, first bool) {
	same := func(o store.Route) bool {
		_, same := sameButExpiry(v, o)
		return same
	}
	alike := func(o store.Route) bool {
		return o.Gateway == v.Gateway && o.Type == v.Type && o.NextHops == v.NextHops
	}
	tellOneOf(c.routes, m, v, same, alike, first, func(nth int) store.RouteID {
		id.Nth = store.Of(nth)
		return id
	})
}

// tellReplaced tells that an IPv4 route took the place of one through another interface, if there is only one that it can be: the
// kernel replaces the first with the same destination, tos and metric (fib_table_insert in net/ipv4/fib_trie.c).
func (c *changes) tellReplaced(m *change, by store.RouteID) {
	by.Nth = store.Of(0)
	if _, same := c.routes.State(by); same {
		return
	}
	var was []store.RouteID
	devs := append(slices.Collect(maps.Values(c.names.ByIndex)), "") // "": of several next hops
	for _, dev := range devs[max(0, len(devs)-mostReplaced):] {
		id := by
		id.Dev = dev
		if _, there := c.routes.State(id); there {
			was = append(was, id)
		}
	}
	if len(was) == 1 {
		v, _ := c.routes.State(was[0])
		c.tellRouteRow(&change{at: m.at, late: m.late, kind: unix.RTM_DELROUTE}, was[0], v, false)
	}
}

// mostReplaced is among how many interfaces the replaced route is looked for: each costs a look-up.
const mostReplaced = 16

// objectNow is the nexthop object of that number, as the messages so far have it.
func (c *changes) objectNow(id uint32) (store.NextHop, bool) {
	if !c.nextHops.Looked() {
		return store.NextHop{}, false
	}
	return c.nextHops.State(store.NextHopID{NetNS: c.ns.id, ID: store.Of(id)})
}

func (c *changes) tellNextHop(m *change) {
	h, err := rtnl.ParseNextHop(m.body)
	if err != nil {
		return
	}
	id, v := nextHopRow(&h, c.ns.id, &c.names)
	c.nextHops.Tell(m.at, m.late, id, v, m.kind == unix.RTM_NEWNEXTHOP)
	if m.kind == unix.RTM_NEWNEXTHOP || !c.routes.Looked() {
		return
	}
	// The routes that went by it are gone as well, and of those of IPv4 the kernel does not tell (__remove_nexthop_fib in
	// net/ipv4/nexthop.c).
	for _, id := range c.ways.before.byObject[h.ID] {
		if v, there := c.routes.State(id); there && v.NextHopID == store.Of(h.ID) {
			c.tellRouteRow(&change{at: m.at, late: m.late, kind: unix.RTM_DELROUTE}, id, v, false)
		}
	}
}

func (c *changes) tellRule(m *change) {
	r, err := rtnl.ParseRule(m.body)
	if err != nil || rtnl.FamilyNumber(r.Family) == 0 {
		return
	}
	id, v := ruleRow(&r, c.ns.id)
	told := *m
	told.flags &^= unix.NLM_F_REPLACE // which means nothing for rules
	tellOneOf(c.rules, &told, v, func(o store.Rule) bool { return o == v }, func(store.Rule) bool { return false }, false, func(nth int) store.RuleID {
		id.Nth = store.Of(nth)
		return id
	})
}

// tellOneOf tells of one of several with the same key, which dumps tell apart by their order. A new one comes first or
// last; one that goes is that which has the same values as v, or is alike, or is the only one.
func tellOneOf[ID, V comparable](set *store.EventSet[ID, V], m *change, v V, same, alike func(V) bool, first bool, id func(nth int) ID) {
	var before []V
	for {
		was, there := set.State(id(len(before)))
		if !there {
			break
		}
		before = append(before, was)
	}
	after := slices.Clone(before)
	at := slices.IndexFunc(before, same)
	switch {
	case m.kind == unix.RTM_DELROUTE || m.kind == unix.RTM_DELRULE:
		if at < 0 {
			at = slices.IndexFunc(before, alike)
		}
		if at < 0 && len(before) == 1 {
			at = 0
		}
		if at >= 0 {
			after = slices.Delete(after, at, at+1)
		}
	case at >= 0: // told again
	case m.flags&unix.NLM_F_REPLACE != 0 && len(before) > 0:
		after[0] = v
	case first:
		after = slices.Insert(after, 0, v)
	default:
		after = append(after, v)
	}
	for i := range max(len(before), len(after)) {
		switch {
		case i >= len(after):
			set.Tell(m.at, m.late, id(i), v, false)
		case i >= len(before) || after[i] != before[i]:
			set.Tell(m.at, m.late, id(i), after[i], true)
		}
	}
}

// Bounds of a queue.
const (
	queueLength    = 1000
	queueSize      = 1 << 20
	queuePerMinute = 1000
	// sievePlaces is how many things a sieve remembers.
	sievePlaces = 4096
)

// A queue holds the messages since the last sample, those that change nothing sifted out. It is bounded, and so is
// what gets into it in a minute: what goes on like that for days would fill the disk.
type queue struct {
	messages []change
	size     int // bytes in them
	room     allowance
	overflow int    // messages that found no room
	lost     bool   // the kernel had none, or they made no sense
	settings bool   // a sysctl changed: they are read, so that the message itself is not kept
	ofWays   uint64 // messages of what may change the way of a connection, lost ones included

	// What was last told of links, addresses and neighbours. A router that advertises itself makes the kernel tell of its
	// addresses again and again, and neighbours age.
	links     map[int32]uint64
	addresses map[addressKey]rtnl.Address
	neighbors map[neighborKey]neighborState
	seed      maphash.Seed
}

type addressKey struct {
	index         int32
	local, remote netip.Addr
	prefixLen     uint8
}

type neighborKey struct {
	index int32
	proxy bool
	addr  netip.Addr
}

type neighborState struct {
	mac   string
	flags uint32
	state string
}

// lose says that messages were lost: what was told last need not be so any more.
func (q *queue) lose() {
	q.lost = true
	q.ofWays++
	q.links, q.addresses, q.neighbors = nil, nil, nil
}

// take enters the messages in b, and says how urgent they are.
func (q *queue) take(b []byte, at, late time.Duration) uint32 {
	urgent := uint32(notUrgent)
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			q.lose()
			return triggers
		}
		m := change{at: at, late: late, kind: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]), body: b[unix.NLMSG_HDRLEN:size]}
		if m.kind == unix.RTM_NEWNETCONF || m.kind == unix.RTM_DELNETCONF {
			q.settings, urgent = true, triggers
			q.ofWays++
		} else if u := q.sift(&m); u > notUrgent {
			urgent = max(urgent, u)
			if m.kindOf() != changedNeighbor {
				q.ofWays++
			}
			q.add(m)
		}
		b = b[min(rtnl.Align4(size), len(b)):]
	}
	return urgent
}

// add keeps a message if there is room. After the first for which there was none, none is kept until the next sample.
func (q *queue) add(m change) {
	if q.overflow > 0 || len(q.messages) >= queueLength || q.size+len(m.body) > queueSize || !q.room.take(m.at, queuePerMinute) {
		q.overflow++
		return
	}
	m.body = bytes.Clone(m.body)
	q.messages = append(q.messages, m)
	q.size += len(m.body)
}

// sift says how urgent a message is: not at all when it tells what was told before.
func (q *queue) sift(m *change) uint32 {
	switch m.kind {
	case unix.RTM_NEWRULE, unix.RTM_DELRULE, unix.RTM_NEWNEXTHOP, unix.RTM_DELNEXTHOP:
		return triggers
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.body) < unix.SizeofRtMsg || rtnl.FamilyNumber(m.body[0]) == 0 || binary.NativeEndian.Uint32(m.body[8:])&unix.RTM_F_CLONED != 0 {
			return notUrgent
		}
		return triggers
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		l, err := rtnl.ParseLink(m.body)
		switch {
		case err != nil:
			return notUrgent
		case ofPort(m.body, &l):
			if m.kind == unix.RTM_DELLINK {
				delete(q.links, -l.Index)
				return notUrgent // the link is told to have no master
			}
			// Beside the link itself, which has an index above 0.
			state, _ := l.Info.MemberState.Get()
			return urgencyOf(&q.links, -l.Index, uint64(state), true, triggers)
		case !wholeLink(m.body, &l):
			return notUrgent
		}
		return urgencyOf(&q.links, l.Index, l.Sum(q.seed), m.kind == unix.RTM_NEWLINK, triggers)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		a, err := rtnl.ParseAddress(m.body)
		if err != nil || rtnl.FamilyNumber(a.Family) == 0 {
			return notUrgent
		}
		a.Valid, a.Preferred = 0, 0
		return urgencyOf(&q.addresses, addressKey{a.Index, a.Local, a.Remote, a.PrefixLen}, a, m.kind == unix.RTM_NEWADDR, triggers)
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		n, err := rtnl.ParseNeighbor(m.body)
		if err != nil || rtnl.FamilyNumber(n.Family) == 0 {
			return notUrgent
		}
		state := neighborState{string(n.MAC), uint32(n.Flags) | n.ExtFlags<<8, ageless(neighborStates.of(uint32(n.State)))}
		return urgencyOf(&q.neighbors, neighborKey{n.Index, n.Flags&unix.NTF_PROXY != 0, n.Addr}, state, m.kind == unix.RTM_NEWNEIGH, triggersALittle)
	}
	return notUrgent
}

// urgencyOf remembers what was told, and returns how urgent it is: not at all when it was told last time, too.
func urgencyOf[K, V comparable](sieve *map[K]V, key K, v V, there bool, urgent uint32) uint32 {
	if !there {
		delete(*sieve, key)
		return urgent
	}
	if last, known := (*sieve)[key]; known && last == v {
		return notUrgent
	}
	if *sieve == nil || len(*sieve) >= sievePlaces {
		*sieve = map[K]V{}
	}
	(*sieve)[key] = v
	return urgent
}
