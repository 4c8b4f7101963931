package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// A network is a network namespace that is being recorded.
type network struct {
	ns       namespace
	own      bool // it is the one that the recorder runs in
	sources  []source
	changes  *changes  // nil: they are not received
	firewall *firewall // nil: it is switched off
	symptoms *symptoms // nil: it cannot be entered
	shut     bool      // closed: no process is left in it, and we hold no descriptor

	refused *refusal // it cannot be entered

	first *procNetNS // its first process
	group string     // and the control group of that
}

// enter begins to record a network namespace.
func (r *run) enter(ns namespace) {
	ns.file = &r.file
	if ns.netlink != nil {
		ns.netlink.Log = r.debug.Netlink
	}
	all, off := sources(r.writer, ns), without(r.Without)
	if r.Conntrack {
		all = append(all, newFlows(r.writer, ns, r.CloseBudget))
	}
	signs := newSymptoms(r.writer, ns)
	if !off.has("symptoms") {
		signs.watch(all)
		r.sockets.lookFor(signs)
	}
	r.sockets.enter(ns)
	net := &network{ns: ns, own: ns.id == r.ownNS.id, sources: off.replace(all)}
	if off.has("changes") {
		net.sources = append(net.sources, off.off("changes", r.writer.SourceIn(ns.id, "changes")))
	} else {
		net.changes = newChanges(r.writer, ns, all, r.monitor, r.trigger)
		net.changes.off, net.changes.log = off.changes(), r.debug.Netlink
		r.sockets.waysOf(ns).told = net.changes.ofWays
	}
	for _, s := range net.sources {
		if s, ok := s.(*firewall); ok {
			net.firewall, s.conn.Log = s, r.debug.Netlink
			if net.changes != nil {
				s.follow(r.monitor, r.trigger)
			}
			if r.Firewall {
				s.withText(net.own)
			}
		}
	}
	net.symptoms = signs
	net.sources = append(net.sources, off.replace([]source{signs})...)
	r.networks = append(r.networks, net)
}

// leave ends the recording of a network namespace that is gone. The sample under way says that what was in it is gone too.
func (r *run) leave(n *network) {
	r.sockets.leave(n.ns)
	n.changes.close()
	n.firewall.close()
	n.ns.close()
	r.writer.Retire(n.ns.id)
	if l := r.debug.Store; l != nil {
		l.Printf("network namespace %d is gone: what its sources knew ends", n.inode())
	}
	r.networks = slices.DeleteFunc(r.networks, func(o *network) bool { return o == n })
}

// follow leaves the namespaces that no process uses any more, and enters new ones. It is called at the start of a sample.
func (r *run) follow() {
	n := r.namespaces
	found := n.source.Read(func() error {
		if err := n.look(r.held()); err != nil {
			return err
		}
		return n.missing()
	})
	for _, net := range slices.Clone(r.networks) {
		if net.shut || found && !net.own && n.found[net.inode()] == nil {
			r.leave(net)
		}
	}
	if !found {
		return
	}
	if n.wants(n.own) && !slices.ContainsFunc(r.networks, func(net *network) bool { return net.own }) {
		r.enter(r.ownNS)
	}
	for _, inode := range n.wanted() {
		at := slices.IndexFunc(r.networks, func(net *network) bool { return net.inode() == inode })
		switch {
		case at >= 0 && r.networks[at].refused != nil:
			r.openAgain(r.networks[at])
		case at < 0 && len(r.networks) < n.limit:
			r.open(inode)
		}
	}
	r.sockets.owners.Named = map[int32]bool{}
	for _, net := range r.networks {
		if t := n.found[net.inode()]; t != nil && t.first != nil {
			r.sockets.owners.Named[t.first.pid] = true
		}
	}
}

// open enters another namespace. One that may not be entered has a name and processes in the recording, and nothing
// else.
func (r *run) open(inode uint64) {
	ns, err := r.openFound(inode)
	switch {
	case errors.Is(err, errMoved):
	case err != nil:
		ns := namespace{id: store.Of(inode), netlink: &rtnl.Conn{}}
		net := &network{ns: ns, refused: &refusal{r.writer.SourceIn(ns.id, "namespace"), err, time.Now().Add(enterAgain)}}
		net.sources = []source{net.refused}
		r.networks = append(r.networks, net)
	default:
		r.enter(ns)
	}
}

// openAgain tries once more to enter a namespace that could not be.
func (r *run) openAgain(net *network) {
	if time.Now().Before(net.refused.again) {
		return
	}
	ns, err := r.openFound(net.inode())
	switch {
	case errors.Is(err, errMoved):
	case err != nil:
		net.refused.err, net.refused.again = err, time.Now().Add(enterAgain)
	default:
		r.leave(net)
		r.enter(ns)
	}
}

// errMoved says that a process that should have led into a namespace has gone elsewhere meanwhile.
var errMoved = errors.New("the process has moved")

func (r *run) openFound(inode uint64) (namespace, error) {
	ns, err := openNamespace(r.namespaces.found[inode].entry(), r.thread)
	switch {
	case owners.IsGone(err):
		return ns, errMoved
	case err != nil && !kernel.Capable(1<<unix.CAP_SYS_ADMIN):
		return ns, fmt.Errorf("%w; run as root, or grant CAP_SYS_ADMIN (setcap cap_sys_admin+ep netsql)", err)
	case err == nil && ns.id != store.Of(inode):
		ns.close()
		return ns, errMoved
	}
	return ns, err
}

// A refusal is the one source of a namespace that cannot be entered.
type refusal struct {
	source *store.Source
	err    error
	again  time.Time // when it is tried once more
}

func (s *refusal) read(context.Context) { s.source.Read(func() error { return s.err }) }

// held are the namespaces that the recorder keeps alive.
func (r *run) held() []uint64 {
	var list []uint64
	for _, net := range r.networks {
		if net.ns.nsFD != nil && !net.shut {
			list = append(list, net.inode())
		}
	}
	return list
}

// letGo closes the descriptors of namespaces without a process, between samples. The next sample says that what was in them is
// gone.
func (r *run) letGo() {
	held := r.held()
	if len(held) == 0 { // as on most machines
		return
	}
	if r.namespaces.look(held) != nil {
		return // the next sample will say so
	}
	for _, net := range r.networks {
		if net.ns.nsFD != nil && !net.shut && r.namespaces.found[net.inode()] == nil {
			r.shut(net)
		}
	}
}

// shut closes everything that keeps a namespace alive.
func (r *run) shut(net *network) {
	net.shut = true
	r.sockets.shut(net.ns)
	net.changes.close()
	net.firewall.close()
	net.ns.close()
}

// reportNamespaces puts the namespaces into the recording. The owners come before: they report the first processes.
func (r *run) reportNamespaces() {
	n := r.namespaces
	n.source.Read(func() error {
		for _, net := range r.networks {
			t := n.found[net.inode()]
			if t == nil {
				t = &nsUsers{}
			}
			v := store.Namespace{Name: strings.Join(t.names, ","), Own: store.Of(0), Processes: store.Of(t.processes)}
			if net.own {
				v.Own = store.Of(1)
			}
			if t.first != nil {
				if net.first != t.first || t.first.asked == n.looks {
					net.first, net.group = t.first, n.owners.Cgroup(t.first.pid)
				}
				v.ContainerID, v.Unit = owners.ContainerID(net.group), owners.SystemdUnit(net.group)
				v.Process = n.owners.Reported(t.first.pid, t.first.start)
			}
			n.set.Put(store.NamespaceID{NetNS: net.ns.id, Cookie: net.ns.cookie}, v)
		}
		return nil
	})
}

// inode is the number that names the namespace.
func (net *network) inode() uint64 {
	inode, _ := net.ns.id.Get()
	return uint64(inode)
}
