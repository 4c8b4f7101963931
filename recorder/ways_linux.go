package recorder

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/recorder/internal/sockdiag"
)

const (
	// waysBudget is how many routes the kernel is asked for in a sample, of all namespaces; each takes 7 µs.
	waysBudget = 500
	// waysAge is for how long an answer counts. The kernel does not tell of everything: an IPv6 route may expire in silence.
	waysAge = time.Minute
	// waysMost is how many answers are remembered, and once more as many that are older.
	waysMost = 4096
)

// ways tells through which interface the connections of a network namespace go: the one that the socket is bound to, else that of the route
// that the kernel names for it. The kernel is asked once for what connections have in common. What it said is forgotten when routes, rules,
// addresses or interfaces change. What cannot be known is "": nothing is guessed.
type ways struct {
	ns     namespace
	lookup rtnl.Lookup
	told   func() (changes uint64, known bool) // how often the kernel told of such a change; nil: nobody listens
	budget *int                                // questions left in this sample

	looked   bool   // this sample has found out whether something changed
	err      error  // why nothing is known in this sample
	unasked  bool   // the budget was used up
	changes  uint64 // what told said when the rest was read,
	sure     bool   // if it knew
	v4, v6   asked
	found    map[rtnl.Flow]int32 // interfaces; 0: there is none
	before   map[rtnl.Flow]int32 // older answers, which count while the budget is used up
	born     time.Time           // of found
	names    map[int32]string
	last     rtnl.Flow // most connections are like the one before
	lastSeen int32
	lastIs   bool
}

// asked is what routes of a family are chosen by, beside the addresses and the type of service.
type asked struct{ mark, uid, ports, tos, others bool }

// A connection is what is known of one that its route may depend on.
type connection struct {
	family                  uint8
	src, dst                [16]byte
	sport, dport            uint16
	bound, mark, uid        uint32
	tos                     uint8
	hasMark, hasUID, hasTOS bool
	hasPorts                bool
	uncertain/* of several */ bool
}

// connectionOf is that of a record.
func connectionOf(r *sockdiag.Record) connection {
	return connection{
		family: r.Family, src: r.Src, dst: r.Dst, sport: r.SPort, dport: r.DPort, hasPorts: true, bound: r.IfIndex,
		mark: r.Mark, hasMark: r.Has&sockdiag.HasMark != 0, tos: r.TOS, hasTOS: r.Has&sockdiag.HasTOS != 0,
	}
}

func newWays(ns namespace, budget *int) *ways { return &ways{ns: ns, budget: budget} }

// begin begins a sample.
func (w *ways) begin() { w.looked, w.err, w.unasked = false, nil, false }

// close gives up the socket, which would keep the namespace alive.
func (w *ways) close() {
	w.lookup.Close()
	w.sure = false
}

// of is the name of the interface; "": it is not known.
func (w *ways) of(c *connection) string {
	if c.uncertain || !w.look() {
		return ""
	}
	if c.bound != 0 {
		return w.name(int32(c.bound))
	}
	f, ok := w.flow(c)
	if !ok {
		return ""
	}
	if !w.lastIs || f != w.last {
		index, known := w.indexOf(&f)
		if !known {
			return ""
		}
		w.last, w.lastSeen, w.lastIs = f, index, true
	}
	return w.name(w.lastSeen)
}

// flow is what is asked for; not ok where something is not known that matters.
func (w *ways) flow(c *connection) (f rtnl.Flow, ok bool) {
	f.Src, f.Dst = sockdiag.Address(c.family, &c.src).Unmap(), sockdiag.Address(c.family, &c.dst).Unmap()
	if f.Src.IsUnspecified() || f.Dst.IsUnspecified() || f.Src.Is4() != f.Dst.Is4() {
		return f, false // the kernel has forgotten them
	}
	asks := &w.v6
	if f.Dst.Is4() {
		asks = &w.v4
	}
	switch {
	case asks.others, asks.mark && !c.hasMark, asks.uid && !c.hasUID, asks.ports && !c.hasPorts, asks.tos && !c.hasTOS:
		return f, false
	}
	f.TOS = c.tos &^ 3 // without ECN
	if asks.mark {
		f.Mark = c.mark
	}
	if asks.uid {
		f.UID = c.uid
	}
	if asks.ports {
		f.SPort, f.DPort = c.sport, c.dport
	}
	return f, true
}

// indexOf is the interface of the route.
func (w *ways) indexOf(f *rtnl.Flow) (index int32, known bool) {
	if index, known = w.found[*f]; known {
		return index, true
	}
	if *w.budget <= 0 {
		if index, known = w.before[*f]; !known {
			w.unasked = true
		}
		return index, known
	}
	*w.budget--
	index, err := w.lookup.Ask(f)
	if err != nil {
		w.err = err
		return 0, false
	}
	if len(w.found) >= waysMost {
		w.renew()
	}
	w.found[*f] = index
	return index, true
}

// name is that of an interface; "" where there is none, or not any more.
func (w *ways) name(index int32) string {
	if index == 0 {
		return ""
	}
	name, known := w.names[index]
	if !known {
		name = w.lookup.NameOf(index)
		w.names[index] = name
	}
	return name
}

// look forgets what may have changed since the last sample, and reads what routes are chosen by. It reports whether the kernel can be asked.
func (w *ways) look() bool {
	if w.looked || w.err != nil {
		return w.err == nil
	}
	w.looked = true
	changes, sure := uint64(0), false
	if w.told != nil {
		changes, sure = w.told()
	}
	if sure && w.sure && changes == w.changes && w.lookup.IsOpen() {
		if time.Since(w.born) > waysAge {
			w.renew()
		}
		return true
	}
	w.changes, w.sure = changes, sure
	w.found, w.before, w.names, w.born, w.lastIs = map[rtnl.Flow]int32{}, nil, map[int32]string{}, time.Now(), false
	if err := w.ns.inside(func() { w.err = w.read() }); err != nil {
		w.err = err
	}
	if w.err != nil {
		w.sure = false
	}
	return w.err == nil
}

// renew has the kernel asked again for everything, as far as the budget goes.
func (w *ways) renew() {
	w.before, w.found, w.born, w.lastIs = w.found, map[rtnl.Flow]int32{}, time.Now(), false
}

// read reads, in the namespace, what routes are chosen by.
func (w *ways) read() error {
	if !w.lookup.IsOpen() {
		if err := w.lookup.Open(); err != nil {
			return err
		}
	}
	netlink := w.ns.rtnetlink()
	if w.ns.netlink == nil {
		defer netlink.Close()
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		asks, policy := &w.v4, "/proc/sys/net/ipv4/fib_multipath_hash_policy"
		if family == unix.AF_INET6 {
			asks, policy = &w.v6, "/proc/sys/net/ipv6/fib_multipath_hash_policy"
		}
		*asks = asked{}
		messages, err := dumpRules(context.Background(), netlink, family)
		if err != nil {
			return err
		}
		for _, msg := range messages {
			r, err := rtnl.ParseRule(msg)
			if err != nil {
				return err
			}
			asks.add(&r)
		}
		// Beyond 0 one of several next hops is chosen by the ports, too.
		text, err := os.ReadFile(policy)
		switch {
		case err == nil:
			asks.ports = asks.ports || strings.TrimSpace(string(text)) != "0"
		case !errors.Is(err, os.ErrNotExist): // Linux 4.12, IPv6 4.18
			return err
		}
	}
	return nil
}

// add notes what the rule looks at.
func (a *asked) add(r *rtnl.Rule) {
	_, protocol := r.IPProto.Get()
	a.mark = a.mark || r.FWMark != 0 || r.FWMask != 0
	a.uid = a.uid || r.UIDs != ""
	a.ports = a.ports || r.SPorts != "" || r.DPorts != "" || protocol
	a.tos = a.tos || r.TOS != 0
	for other := range strings.FieldsSeq(r.Other) {
		switch name, _, _ := strings.Cut(other, "="); name {
		case "dscp", "dscp_mask":
			a.tos = true
		case "sport_mask", "dport_mask":
			a.ports = true
		default:
			a.others = true
		}
	}
}
