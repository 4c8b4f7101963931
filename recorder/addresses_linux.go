package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// addresses records the IP addresses of the interfaces.
type addresses struct {
	source  *store.Source
	ns      namespace
	netlink *rtnetlink
	memory  dumpMemory[store.AddressID, store.Address]
}

func newAddresses(w *store.Writer, ns namespace) source {
	s := &addresses{source: w.SourceIn(ns.id, "addresses"), ns: ns, netlink: ns.rtnetlink()}
	s.memory = newDumpMemory(store.NewSet(s.source, store.Addresses), s.netlink)
	return s
}

func (s *addresses) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *addresses) record(ctx context.Context) error {
	var header [unix.SizeofIfAddrmsg]byte
	messages, err := s.netlink.dump(ctx, unix.RTM_GETADDR, unix.RTM_NEWADDR, header[:])
	if err != nil {
		return fmt.Errorf("dump addresses: %w", err)
	}
	if s.memory.keep(messages, unix.SizeofIfAddrmsg, tickingInAddress) {
		return nil
	}
	for _, msg := range messages {
		a, err := parseAddress(msg)
		if err != nil {
			return fmt.Errorf("read address: %w", err)
		}
		if familyNumber(a.family) != 0 {
			id, v := a.row(s.ns.id, &s.memory.names)
			s.memory.put(id, v)
		}
	}
	s.memory.done()
	return nil
}

// tickingInAddress is how long the address is still valid and preferred.
func tickingInAddress(kind uint16) bool { return kind == unix.IFA_CACHEINFO }

// A linkAddress is an RTM_NEWADDR message.
type linkAddress struct {
	family, prefixLen, scope uint8
	flags                    uint32
	index                    int32
	local, remote, broadcast netip.Addr
	label                    string
}

// parseAddress decodes struct ifaddrmsg and its attributes.
func parseAddress(msg []byte) (linkAddress, error) {
	if len(msg) < unix.SizeofIfAddrmsg {
		return linkAddress{}, errShort
	}
	a := linkAddress{
		family: msg[0], prefixLen: msg[1], flags: uint32(msg[2]), scope: msg[3],
		index: int32(binary.NativeEndian.Uint32(msg[4:])),
	}
	err := attributes(msg[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFA_LOCAL:
			a.local = addrOf(a.family, v)
		case unix.IFA_ADDRESS:
			a.remote = addrOf(a.family, v)
		case unix.IFA_BROADCAST:
			a.broadcast = addrOf(a.family, v)
		case unix.IFA_LABEL:
			a.label = string(textOf(v))
		case unix.IFA_FLAGS:
			if len(v) >= 4 { // the header has room for the first eight of them
				a.flags = uint32Of(v)
			}
		}
	})
	if err != nil || familyNumber(a.family) == 0 {
		return a, err
	}
	// IFA_ADDRESS is the other end of a point-to-point link, and where there is none the
	// address itself.
	if !a.local.IsValid() {
		a.local, a.remote = a.remote, netip.Addr{}
	}
	if a.remote == a.local {
		a.remote = netip.Addr{}
	}
	if !a.local.IsValid() {
		return a, fmt.Errorf("entry of interface %d without an address of family %d", a.index, a.family)
	}
	return a, nil
}

// row is the address as it is recorded.
func (a *linkAddress) row(netns store.Int, links *linkNames) (store.AddressID, store.Address) {
	flags := flagText(a.flags, addressFlags[:])
	if a.family == unix.AF_INET6 {
		flags = flagText(a.flags, addressFlags6[:])
	}
	if a.flags&unix.IFA_F_PERMANENT == 0 {
		if flags != "" {
			flags += ","
		}
		flags += "dynamic"
	}
	return store.AddressID{
			NetNS: netns, Dev: links.of(a.index), IfIndex: store.Of(a.index), Family: store.Of(familyNumber(a.family)),
			Addr: a.local.String(), PrefixLen: store.Of(a.prefixLen), Peer: addrText(a.remote),
		}, store.Address{
			Scope: scopeNames().of(uint32(a.scope)), Flags: flags, Label: a.label,
			Broadcast: addrText(a.broadcast),
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
