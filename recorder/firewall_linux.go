package recorder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/kernel"
	"netsql/recorder/internal/nftables"
	"netsql/store"
)

// firewall records the tables of nf_tables, and who changes them. The kernel tells of each transaction, with the process that made it; a
// transaction brings the next sample forward. The rule set is read at first and when its generation has changed, and else kept.
//
// Of iptables-legacy only the names of the tables are read.
type firewall struct {
	writer *store.Writer
	source *store.Source
	ns     namespace
	conn   nftables.Conn
	set    *store.Set[store.FirewallID, store.Firewall]
	events *store.EventSet[store.FirewallID, store.Firewall]
	text   *rulesText // nil: what the rules say is not recorded

	monitor *monitor // nil: not subscribed to the transactions
	trigger *trigger
	fd      int // of the netlink socket that receives them; -1 when it is not open

	generation uint32 // that was last read
	seen       map[store.FirewallID]store.Firewall
	legacy     []store.FirewallID
	readings   int
	begun      bool  // a sample was written: there is something to compare with
	reread     bool  // the rule set was read in this sample
	denied     error // it may not be read

	received []transaction // that this sample is to put into the recording
	waiting  []transaction // of them, those that came after the rule set was read
	overflow int           // transactions that were too many
	lost     bool          // some were lost

	mu     sync.Mutex // of what the monitor's goroutine writes
	queue  transactions
	empty  time.Duration // since boot: no message waited then
	failed error         // why nothing more is received
}

// legacyEvery is how many samples go by until the names of legacy tables are read again: nothing tells of them.
const legacyEvery = 12

// messageWithin is how long the message about a transaction may take that the rule set shows already.
const messageWithin = 50 * time.Millisecond

func newFirewall(w *store.Writer, ns namespace) source {
	s := &firewall{writer: w, source: w.SourceIn(ns.id, "firewall"), ns: ns, fd: -1}
	s.set = store.NewSet(s.source, store.Firewalls)
	s.events = store.NewEvents(s.source, store.FirewallEvents, s.set, nil)
	return s
}

// follow has the source subscribe to transactions.
func (s *firewall) follow(m *monitor, t *trigger) { s.monitor, s.trigger = m, t }

func (s *firewall) read(ctx context.Context) {
	s.reread = false
	if s.source.Read(func() error { return s.record(ctx) }) && s.reread {
		s.source.Read(s.tell)
	}
}

func (s *firewall) record(ctx context.Context) error {
	if s.denied != nil {
		return s.denied
	}
	present := nfTablesPresent()
	if present {
		s.subscribe()
	}
	s.gather()
	news, err := s.news(ctx, present)
	if err != nil {
		return s.explain(err)
	}
	if !news {
		return store.ErrKept
	}
	var tables map[nftables.Place]*nftables.Table
	before := s.generation
	if present {
		if tables, s.generation, err = s.conn.Read(ctx); errors.Is(err, errNoNFTables) {
			tables, err = nil, nil
		}
		if err != nil {
			return s.explain(err)
		}
		s.await()
		s.gather()
	}
	s.seen = map[store.FirewallID]store.Firewall{}
	for place, t := range tables {
		s.seen[s.id(place)] = store.Firewall{
			Chains: store.Of(t.Chains), Rules: store.Of(t.Rules), Sets: store.Of(t.Sets),
			BaseChains: kernel.Printable([]byte(t.BaseChains(place.Family))), Hash: hashText(t.Hash),
		}
	}
	for _, id := range s.legacy {
		s.seen[id] = store.Firewall{}
	}
	for id, v := range s.seen {
		s.set.Put(id, v)
	}
	s.text.put(ctx, s.seen, !s.elementsOnly(before), func() bool {
		now, err := s.conn.Generation(ctx)
		return err == nil && now == s.generation
	})
	s.reread = true
	return nil
}

func hashText(hash uint64) string { return fmt.Sprintf("%016x", hash) }

// errNoNFTables is what the kernel answers that does not know nf_tables.
const errNoNFTables = unix.EINVAL

// explain says what to grant.
func (s *firewall) explain(err error) error {
	if errors.Is(err, unix.EPERM) {
		// What an earlier run saw as root has not gone.
		s.denied = &store.OffError{By: "a lack of CAP_NET_ADMIN: run as root, or grant it (setcap cap_net_admin+ep netsql)"}
		return s.denied
	}
	return err
}

// news reports whether there is something to read: what the recording has may not be all.
func (s *firewall) news(ctx context.Context, present bool) (bool, error) {
	news := !s.begun || s.lost || s.overflow > 0 || len(s.received) > 0 || !s.set.KeepAll() || s.text.due()
	if s.readings%legacyEvery == 0 || news {
		legacy := s.legacyTables()
		news = news || !slices.Equal(legacy, s.legacy)
		s.legacy = legacy
	}
	s.readings++
	if news || !present || s.subscribed() {
		return news, nil
	}
	generation, err := s.conn.Generation(ctx)
	if errors.Is(err, errNoNFTables) {
		return false, nil
	}
	return generation != s.generation, err
}

// subscribed reports whether the kernel would have told of a transaction.
func (s *firewall) subscribed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fd >= 0 && s.failed == nil
}

func (s *firewall) id(place nftables.Place) store.FirewallID {
	return store.FirewallID{NetNS: s.ns.id, Backend: "nf_tables", Family: nftables.FamilyName(place.Family), Table: kernel.Printable([]byte(place.Table))}
}

// legacyTables are the tables of iptables-legacy in the namespace. Each family has a file that root may read.
func (s *firewall) legacyTables() []store.FirewallID {
	var list []store.FirewallID
	for _, f := range [...]struct{ file, family string }{{"ip_tables_names", "ip"}, {"ip6_tables_names", "ip6"}, {"arp_tables_names", "arp"}} {
		text, err := s.ns.procFile().read(s.ns.proc + "/net/" + f.file)
		if err != nil {
			continue // iptables-legacy was never used since boot
		}
		for name := range strings.FieldsSeq(string(text)) {
			list = append(list, store.FirewallID{NetNS: s.ns.id, Backend: "legacy", Family: f.family, Table: kernel.Printable([]byte(name))})
		}
	}
	return list
}

// nfTablesPresent reports whether the kernel has nf_tables already. To ask one that does not would load the module.
func nfTablesPresent() bool {
	if _, err := os.Stat("/sys/module/nf_tables"); err == nil {
		return true
	}
	return nfTablesBuiltIn()
}

// nfTablesBuiltIn reports whether it is no module, as far as can be told: a kernel without modules has no /proc/modules.
var nfTablesBuiltIn = sync.OnceValue(func() bool {
	if _, err := os.Stat("/proc/modules"); errors.Is(err, fs.ErrNotExist) {
		return true
	}
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	text, err := os.ReadFile("/lib/modules/" + unix.ByteSliceToString(name.Release[:]) + "/modules.builtin")
	return err == nil && strings.Contains(string(text), "/nf_tables.ko")
})

// firewallBuffer is how much the kernel may keep for us: a transaction of ten thousand rules is some megabytes.
const firewallBuffer = 16 << 20

// subscribe opens the socket.
func (s *firewall) subscribe() {
	if s.monitor == nil || s.subscribed() {
		return
	}
	s.close()
	var fd int
	if fd, s.failed = multicast(unix.NETLINK_NETFILTER, firewallBuffer, unix.NFNLGRP_NFTABLES); s.failed != nil {
		return // the generation is asked for instead
	}
	s.fd, s.empty = fd, kernel.SinceBoot()
	s.lost = true // what was changed before
	if err := s.monitor.add(fd, s); err != nil {
		s.close()
		s.failed = err
	}
}

// close ends the subscription, and gives up the way into the namespace.
func (s *firewall) close() {
	if s == nil {
		return
	}
	s.conn.Close()
	if s.fd >= 0 {
		s.monitor.remove(s.fd)
		unix.Close(s.fd)
		s.fd = -1
	}
}

// gather takes what was told so far.
func (s *firewall) gather() {
	ready := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}
	if n, _ := unix.Poll(ready, 0); s.fd >= 0 && n > 0 {
		s.drain(make([]byte, longestMessage), s.monitor.notBefore())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received = append(s.received, s.queue.list...)
	s.overflow, s.lost = s.overflow+s.queue.overflow, s.lost || s.queue.lost
	s.queue.list, s.queue.overflow, s.queue.lost = nil, 0, false
	if over := len(s.received) - queueLength; over > 0 { // samples have failed for long
		s.received = slices.Clone(s.received[:queueLength])
		s.overflow += over
	}
}

// await waits for the message about the transaction that led to the generation that was read: the kernel shows it a little earlier.
func (s *firewall) await() {
	if s.fd < 0 {
		return
	}
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if int32(s.queue.latest-s.generation) < 0 { // it was lost, or came before we had subscribed
			s.queue.latest = s.generation
		}
	}()
	if !s.begun || s.lost {
		return
	}
	buf := make([]byte, longestMessage)
	for deadline := kernel.SinceBoot() + messageWithin; ; {
		s.drain(buf, s.monitor.notBefore())
		s.mu.Lock()
		received := s.failed != nil || s.queue.lost || int32(s.queue.latest-s.generation) >= 0
		s.mu.Unlock()
		left := deadline - kernel.SinceBoot()
		if received || left <= 0 {
			return
		}
		unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
	}
}

// drain takes what is there.
func (s *firewall) drain(buf []byte, since time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since = max(since, s.empty)
	at := kernel.SinceBoot()
	urgent := uint32(notUrgent)
	for n := 0; s.failed == nil; n++ {
		size, from, err := unix.Recvfrom(s.fd, buf, unix.MSG_TRUNC)
		switch sender, ok := from.(*unix.SockaddrNetlink); {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			s.empty = max(s.empty, at)
			if urgent > notUrgent {
				s.trigger.fire(urgent)
			}
			return
		case err == unix.ENOBUFS, err == nil && size > len(buf):
			s.queue.lose()
			urgent = triggers
			if s.conn.Log != nil {
				s.conn.Log.Printf("netns %d: the kernel dropped messages of the firewall", s.ns.inode())
			}
		case err != nil:
			s.failed = err
			s.trigger.fire(triggers)
		case ok && sender.Pid == 0: // not from another program
			at = kernel.SinceBoot()
			urgent = max(urgent, s.queue.take(buf[:size], at, at-since))
		}
		if n%drainLimit == 0 {
			s.mu.Unlock() // a sample may be waiting
			s.mu.Lock()
		}
	}
}

// tell puts what was told into the recording, after the rule set was read.
func (s *firewall) tell() error {
	s.waiting = nil
	switch {
	case s.lost && s.begun:
		s.source.Lost("some changes of the firewall were missed, or who made them: samples show what they led to")
	case s.overflow > 0:
		s.source.Lost(fmt.Sprintf("%d transactions of the firewall were too many to follow one by one: samples show what they led to", s.overflow))
	}
	if s.writer.Behind() {
		if n := len(s.received); n > 0 {
			s.source.Lost(fmt.Sprintf("%d transactions of the firewall could not be followed, because the recording could not be written: "+
				"samples show what they led to", n))
		}
		s.received = nil
		return nil
	}
	var shown []transaction
	for _, x := range s.received {
		if int32(s.generation-x.generation) >= 0 {
			shown = append(shown, x)
		} else {
			s.waiting = append(s.waiting, x)
		}
	}
	if !s.begun {
		return nil
	}
	shown = summed(shown)
	last := map[nftables.Place]int{}
	for i, x := range shown {
		for place := range x.tables {
			last[place] = i
		}
	}
	for i, x := range shown {
		for _, place := range slices.SortedFunc(maps.Keys(x.tables), comparePlaces) {
			s.tellTable(&x, place, last[place] == i)
		}
	}
	return s.events.Settle()
}

func comparePlaces(a, b nftables.Place) int {
	if a.Family != b.Family {
		return int(a.Family) - int(b.Family)
	}
	return strings.Compare(a.Table, b.Table)
}

// tellTable tells what a transaction did to a table. What it led to is known of the last one; of others as far as the messages say it.
func (s *firewall) tellTable(x *transaction, place nftables.Place, last bool) {
	id, t := s.id(place), x.tables[place]
	by := store.Actor{PID: knownPID(x.pid), Comm: x.comm, Detail: t.text(x), Generation: store.Of(x.generation)}
	v, there := s.events.State(id)
	switch {
	case last:
		v, there = s.seen[id]
	case t.gone:
		there = false
	case !there: // an empty one was added
		v, there = t.after(store.Firewall{Chains: store.Of(0), Rules: store.Of(0), Sets: store.Of(0), Hash: hashText(0)}), true
	case t.made: // perhaps in the place of the one that was there
		v = store.Firewall{}
	default:
		v = t.after(v)
	}
	s.events.TellBy(x.at, x.late, id, v, there, by)
}

// done says that the sample was written. Until then everything is told again.
func (s *firewall) done() {
	if s != nil && s.reread && s.events.Looked() {
		s.received, s.begun = s.waiting, true
		s.overflow, s.lost = 0, false
	}
}

// startOver forgets that there was a sample: the recording is another one.
func (s *firewall) startOver() {
	if s != nil {
		s.begun = false
	}
}

// knownPID is the number of a process that the kernel named as the first PID namespace does; unknown where ours is another.
func knownPID(pid uint32) store.Int {
	if !firstPIDNamespace() {
		return store.Int{}
	}
	return store.NonZero(pid)
}

var firstPIDNamespace = sync.OnceValue(func() bool {
	const inode = "pid:[4026531836]" // PROC_PID_INIT_INO of linux/proc_ns.h
	name, err := os.Readlink("/proc/self/ns/pid")
	return err == nil && name == inode
})
