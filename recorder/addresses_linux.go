package recorder

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// addresses records the IP addresses of the interfaces.
type addresses struct {
	source  *store.Source
	ns      namespace
	netlink *rtnl.Conn
	memory  dumpMemory[store.AddressID, store.Address]
}

func newAddresses(w *store.Writer, ns namespace) source {
	s := &addresses{source: w.SourceIn(ns.id, "addresses"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(w, store.NewSet(s.source, store.Addresses), s.netlink)
	return s
}

func (s *addresses) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *addresses) record(ctx context.Context) error {
	var header [unix.SizeofIfAddrmsg]byte
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETADDR, unix.RTM_NEWADDR, header[:])
	if err != nil {
		return fmt.Errorf("dump addresses: %w", err)
	}
	if s.memory.keep(messages, unix.SizeofIfAddrmsg, s.ticking) {
		return nil
	}
	for _, msg := range messages {
		a, err := rtnl.ParseAddress(msg)
		if err != nil {
			return fmt.Errorf("read address: %w", err)
		}
		if rtnl.FamilyNumber(a.Family) != 0 {
			id, v := addressRow(&a, s.ns.id, &s.memory.names)
			if a.Valid != rtnl.Forever {
				v.ValidUntil = s.memory.ends.of(id, 0, a.Valid)
			}
			if a.Preferred != rtnl.Forever {
				v.PreferredUntil = s.memory.ends.of(id, 1, a.Preferred)
			}
			s.memory.put(id, v)
		}
	}
	s.memory.done()
	return nil
}

// ticking are the attributes with the time that an address has left, which is noted.
func (s *addresses) ticking(kind uint16, value []byte) bool {
	valid, preferred, tells := rtnl.LifetimesOf(kind, value)
	if tells && valid != rtnl.Forever {
		s.memory.ends.note(valid)
	}
	if tells && preferred != rtnl.Forever {
		s.memory.ends.note(preferred)
	}
	return tells
}

// addressRow is the address as it is recorded, without the moments until which it is valid and preferred.
func addressRow(a *rtnl.Address, netns store.Int, links *rtnl.LinkNames) (store.AddressID, store.Address) {
	flags := flagText(a.Flags, addressFlags[:])
	if a.Family == unix.AF_INET6 {
		flags = flagText(a.Flags, addressFlags6[:])
	}
	if a.Flags&unix.IFA_F_PERMANENT == 0 {
		if flags != "" {
			flags += ","
		}
		flags += "dynamic"
	}
	return store.AddressID{
			NetNS: netns, Dev: links.Of(a.Index), IfIndex: store.Of(a.Index), Family: store.Of(rtnl.FamilyNumber(a.Family)),
			Addr: a.Local.String(), PrefixLen: store.Of(a.PrefixLen), Peer: addrText(a.Remote),
		}, store.Address{
			Scope: scopeNames().of(uint32(a.Scope)), Flags: flags, Label: a.Label,
			Broadcast: addrText(a.Broadcast),
		}
}

// addressFlags are IFA_F_* (linux/if_addr.h), in the words of ip. The first bit is
// secondary for IPv4 and temporary for IPv6.
var (
	addressFlags = [...]flagName{
		{unix.IFA_F_PERMANENT, "permanent"}, {unix.IFA_F_SECONDARY, "secondary"}, {unix.IFA_F_NODAD, "nodad"},
		{unix.IFA_F_OPTIMISTIC, "optimistic"}, {unix.IFA_F_DADFAILED, "dadfailed"}, {unix.IFA_F_HOMEADDRESS, "home"},
		{unix.IFA_F_DEPRECATED, "deprecated"}, {unix.IFA_F_TENTATIVE, "tentative"},
		{unix.IFA_F_MANAGETEMPADDR, "mngtmpaddr"}, {unix.IFA_F_NOPREFIXROUTE, "noprefixroute"},
		{unix.IFA_F_MCAUTOJOIN, "autojoin"}, {unix.IFA_F_STABLE_PRIVACY, "stable-privacy"},
	}
	addressFlags6 = func() [len(addressFlags)]flagName {
		flags := addressFlags
		flags[1].name = "temporary"
		return flags
	}()
)
