package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/rtnl"
	"netsql/store"
)

// interfaces records the links, their attributes apart from their counters, from one dump.
type interfaces struct {
	source     *store.Source
	ns         namespace
	netlink    *rtnl.Conn
	attributes *store.Set[store.InterfaceID, store.Interface]
	counters   *store.Set[store.InterfaceID, store.InterfaceCounters]
	known      map[int32]*knownLink
	seed       maphash.Seed
	readings   int
	release    string // of the kernel
	symptoms   *symptoms
}

// A knownLink is what the last sample said of a link: its name and other words need to be
// made again only when they changed, while its counters always move.
type knownLink struct {
	link    rtnl.Link // its slices point into the last dump's message
	sum     uint64
	name    string
	master  string
	subject *store.Subject[store.InterfaceID, store.Interface]
	id      store.InterfaceID // of subject
	driver  linkDriver
	reading int
	watch   linkWatch
}

// The driver is asked when the link changed, and again after so many readings: a bridge takes on the speed of its ports without a
// word, and rings are set without one.
const askDriverAgain = 60

func newInterfaces(w *store.Writer, ns namespace) source {
	s := &interfaces{source: w.SourceIn(ns.id, "interfaces"), ns: ns, netlink: ns.rtnetlink(), known: map[int32]*knownLink{}, seed: maphash.MakeSeed()}
	s.attributes = store.NewSet(s.source, store.Interfaces)
	s.counters = store.NewSet(s.source, store.InterfaceCountersTable)
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		s.release = unix.ByteSliceToString(uts.Release[:])
	}
	return s
}

func (s *interfaces) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *interfaces) record(ctx context.Context) error {
	var header [unix.SizeofIfInfomsg]byte
	messages, err := s.netlink.Dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, header[:])
	if err != nil {
		return fmt.Errorf("dump links: %w", err)
	}
	s.readings++
	links := make([]*knownLink, 0, len(messages))
	for _, msg := range messages {
		l, err := rtnl.ParseLink(msg)
		if err != nil {
			return fmt.Errorf("read link: %w", err)
		}
		links = append(links, s.note(l))
	}
	for _, k := range links {
		s.put(k)
	}
	for index, k := range s.known {
		if k.reading != s.readings {
			delete(s.known, index)
		}
	}
	return nil
}

// note takes what the dump says into what is known of the link.
func (s *interfaces) note(l rtnl.Link) *knownLink {
	k := s.known[l.Index]
	if k == nil {
		k = &knownLink{}
		s.known[l.Index] = k
	}
	sum := l.Sum(s.seed)
	if k.name != string(l.Name) {
		k.name = string(l.Name)
	}
	if sum != k.sum {
		k.subject = nil
	}
	if k.subject == nil || (s.readings+int(l.Index))%askDriverAgain == 0 {
		if driver := driverOf(s.netlink, l, s.release); driver != k.driver {
			k.driver, k.subject = driver, nil
		}
	}
	k.link, k.sum, k.reading = l, sum, s.readings
	return k
}

func (s *interfaces) put(k *knownLink) {
	l, master := &k.link, ""
	if m := s.known[l.Master]; m != nil && m.reading == s.readings {
		master = m.name
	}
	if k.master != master || !s.attributes.Keep(k.subject) {
		id, v := linkRow(l, s.ns.id, master, &k.driver)
		k.master, k.id, k.subject = master, id, s.attributes.Put(id, v)
	}
	if l.Stats != nil {
		s.counters.Put(k.id, countersOf(l.Stats))
		s.symptoms.lookAtLink(&k.watch, k.name, l.Stats, l.CarrierChanges, l.Flags&unix.IFF_LOOPBACK != 0 || followsOthers[string(l.Info.Kind)], k.driver.mbps)
	}
}

// followsOthers are kinds of links whose carrier and speed are those of other links, or are invented: what is wrong with one, is with those.
var followsOthers = map[string]bool{
	"veth": true, "bridge": true, "bond": true, "team": true, "vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true, "vrf": true,
}

// linkRow is the link as it is recorded.
func linkRow(l *rtnl.Link, netns store.Int, master string, driver *linkDriver) (store.InterfaceID, store.Interface) {
	v := store.Interface{
		Type: string(l.Info.Kind), MAC: hardwareAddr(l.MAC), MTU: l.MTU, Carrier: l.Carrier,
		Flags: flagText(l.Flags, linkFlags), Master: master,
		Qdisc: string(l.Qdisc), TxQLen: l.TxQLen, Alias: string(l.Alias),
		Link: l.Below, Promisc: l.Promiscuity, CarrierUp: l.CarrierChanges, AltNames: l.AltNames,
		VLAN: l.Info.VLAN, VRFTable: l.Info.VRFTable, Tunnel: l.Info.TunnelText(), MemberState: l.Info.MemberText(), LinkFailures: l.Info.LinkFailures,
	}
	driver.put(&v)
	if v.Type == "" {
		v.Type = (&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Type: l.Hardware}}).EncapType()
	}
	if state, ok := l.Operstate.Get(); ok {
		v.OperState = operStates.of(uint32(state))
	}
	return store.InterfaceID{NetNS: netns, IfIndex: store.Of(l.Index), Name: string(l.Name)}, v
}

// countersOf decodes struct rtnl_link_stats64 (linux/if_link.h). Older kernels have fewer
// fields: the rest is unknown.
func countersOf(b []byte) store.InterfaceCounters {
	var c store.InterfaceCounters
	for i, field := range [...]*store.Int{
		&c.RxPackets, &c.TxPackets, &c.RxBytes, &c.TxBytes, &c.RxErrors, &c.TxErrors, &c.RxDropped, &c.TxDropped,
		&c.Multicast, &c.Collisions,
		&c.RxLengthErrors, &c.RxOverErrors, &c.RxCRCErrors, &c.RxFrameErrors, &c.RxFIFOErrors, &c.RxMissedErrors,
		&c.TxAbortedErrors, &c.TxCarrierErrors, &c.TxFIFOErrors, &c.TxHeartbeatError, &c.TxWindowErrors,
		&c.RxCompressed, &c.TxCompressed, &c.RxNoHandler, &c.RxOtherHost,
	} {
		if at := 8 * i; len(b) >= at+8 {
			*field = store.Of(binary.NativeEndian.Uint64(b[at:]))
		}
	}
	return c
}

// operStates are IF_OPER_* (linux/if.h), in the words of ip.
var operStates = numberNames{
	0: "UNKNOWN", 1: "NOTPRESENT", 2: "DOWN", 3: "LOWERLAYERDOWN", 4: "TESTING", 5: "DORMANT", 6: "UP",
}

// linkFlags are IFF_* (linux/if.h).
var linkFlags = []flagName{
	{unix.IFF_UP, "UP"}, {unix.IFF_BROADCAST, "BROADCAST"}, {unix.IFF_DEBUG, "DEBUG"}, {unix.IFF_LOOPBACK, "LOOPBACK"},
	{unix.IFF_POINTOPOINT, "POINTOPOINT"}, {unix.IFF_NOTRAILERS, "NOTRAILERS"}, {unix.IFF_RUNNING, "RUNNING"},
	{unix.IFF_NOARP, "NOARP"}, {unix.IFF_PROMISC, "PROMISC"}, {unix.IFF_ALLMULTI, "ALLMULTI"},
	{unix.IFF_MASTER, "MASTER"}, {unix.IFF_SLAVE, "SLAVE"}, {unix.IFF_MULTICAST, "MULTICAST"},
	{unix.IFF_PORTSEL, "PORTSEL"}, {unix.IFF_AUTOMEDIA, "AUTOMEDIA"}, {unix.IFF_DYNAMIC, "DYNAMIC"},
	{unix.IFF_LOWER_UP, "LOWER_UP"}, {unix.IFF_DORMANT, "DORMANT"}, {unix.IFF_ECHO, "ECHO"},
}
