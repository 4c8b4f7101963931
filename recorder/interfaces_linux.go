package recorder

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"netsql/store"
)

// interfaces records the links, their attributes apart from their counters, from one dump.
type interfaces struct {
	source     *store.Source
	ns         namespace
	netlink    *rtnetlink
	attributes *store.Set[store.InterfaceID, store.Interface]
	counters   *store.Set[store.InterfaceID, store.InterfaceCounters]
	known      map[int32]*knownLink
	seed       maphash.Seed
	readings   int
}

// A knownLink is what the last sample said of a link: its name and other words need to be
// made anew only when they changed, while its counters always move.
type knownLink struct {
	link    link // its slices point into the last dump's message
	sum     uint64
	name    string
	master  string
	subject *store.Subject[store.InterfaceID, store.Interface]
	id      store.InterfaceID // of subject
	speed   linkSpeed
	reading int
}

// Speed and duplex are asked for when the link changed, and again after so many readings: a
// bridge takes on the speed of its ports without a word.
const askSpeedAgain = 60

func newInterfaces(w *store.Writer, ns namespace) source {
	s := &interfaces{source: w.SourceIn(ns.id, "interfaces"), ns: ns, netlink: ns.rtnetlink(), known: map[int32]*knownLink{}, seed: maphash.MakeSeed()}
	s.attributes = store.NewSet(s.source, store.Interfaces)
	s.counters = store.NewSet(s.source, store.InterfaceCountersTable)
	return s
}

func (s *interfaces) read(ctx context.Context) {
	s.source.Read(func() error { return s.record(ctx) })
}

func (s *interfaces) record(ctx context.Context) error {
	var header [unix.SizeofIfInfomsg]byte
	messages, err := s.netlink.dump(ctx, unix.RTM_GETLINK, unix.RTM_NEWLINK, header[:])
	if err != nil {
		return fmt.Errorf("dump links: %w", err)
	}
	s.readings++
	links := make([]*knownLink, 0, len(messages))
	for _, msg := range messages {
		l, err := parseLink(msg)
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
func (s *interfaces) note(l link) *knownLink {
	k := s.known[l.index]
	if k == nil {
		k = &knownLink{}
		s.known[l.index] = k
	}
	sum := l.sum(s.seed)
	if k.name != string(l.name) {
		k.name = string(l.name)
	}
	if sum != k.sum {
		k.subject = nil
	}
	if k.subject == nil || (s.readings+int(l.index))%askSpeedAgain == 0 {
		if speed := s.netlink.speed(l); speed != k.speed {
			k.speed, k.subject = speed, nil
		}
	}
	k.link, k.sum, k.reading = l, sum, s.readings
	return k
}

func (s *interfaces) put(k *knownLink) {
	l, master := &k.link, ""
	if m := s.known[l.master]; m != nil && m.reading == s.readings {
		master = m.name
	}
	if k.master != master || !s.attributes.Keep(k.subject) {
		id, v := l.row(s.ns.id, master, k.speed)
		k.master, k.id, k.subject = master, id, s.attributes.Put(id, v)
	}
	if l.stats != nil {
		s.counters.Put(k.id, countersOf(l.stats))
	}
}

// A link is an RTM_NEWLINK message. Its slices point into it.
type link struct {
	index, master                   int32
	below, promiscuity              store.Int
	hardware                        uint16
	flags, carrierChanges           uint32
	name, kind, mac, alias, qdisc   []byte
	mtu, txqlen, operstate, carrier store.Int
	stats                           []byte // struct rtnl_link_stats64
}

// parseLink decodes struct ifinfomsg and its attributes.
func parseLink(msg []byte) (link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return link{}, errShort
	}
	l := link{
		hardware: binary.NativeEndian.Uint16(msg[2:]), index: int32(binary.NativeEndian.Uint32(msg[4:])),
		flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	var inner error
	err := attributes(msg[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.name = textOf(v)
		case unix.IFLA_ADDRESS:
			l.mac = v
		case unix.IFLA_IFALIAS:
			l.alias = textOf(v)
		case unix.IFLA_QDISC:
			l.qdisc = textOf(v)
		case unix.IFLA_MTU:
			l.mtu = store.Of(uint32Of(v))
		case unix.IFLA_TXQLEN:
			l.txqlen = store.Of(uint32Of(v))
		case unix.IFLA_OPERSTATE:
			l.operstate = store.Of(uint8Of(v))
		case unix.IFLA_CARRIER:
			l.carrier = store.Of(uint8Of(v))
		case unix.IFLA_CARRIER_CHANGES:
			l.carrierChanges = uint32Of(v)
		case unix.IFLA_LINK:
			l.below = store.NonZero(uint32Of(v))
		case unix.IFLA_PROMISCUITY:
			l.promiscuity = store.Of(uint32Of(v))
		case unix.IFLA_MASTER:
			l.master = int32(uint32Of(v))
		case unix.IFLA_STATS64:
			l.stats = v
		case unix.IFLA_LINKINFO:
			inner = attributes(v, func(kind uint16, v []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.kind = textOf(v)
				}
			})
		}
	})
	if err == nil {
		err = inner
	}
	if err == nil && (len(l.name) == 0 || l.index <= 0) {
		err = fmt.Errorf("link %d has the name %q", l.index, l.name)
	}
	if l.flags&unix.IFF_UP == 0 {
		// The kernel claims carrier for some links that were never up; sysfs refuses to answer.
		l.carrier = store.Int{}
	}
	return l, err
}

// sum is a digest of all that row says, and of the number of times the carrier changed:
// the speed may have become another.
func (l *link) sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, text := range [...][]byte{l.name, l.kind, l.mac, l.alias, l.qdisc} {
		h.WriteByte(byte(len(text)))
		h.Write(text)
	}
	maphash.WriteComparable(&h, struct {
		master                          int32
		hardware                        uint16
		flags, carrierChanges           uint32
		mtu, txqlen, operstate, carrier store.Int
		below, promiscuity              store.Int
	}{l.master, l.hardware, l.flags, l.carrierChanges, l.mtu, l.txqlen, l.operstate, l.carrier, l.below, l.promiscuity})
	return h.Sum64()
}

// row is the link as it is recorded.
func (l *link) row(netns store.Int, master string, speed linkSpeed) (store.InterfaceID, store.Interface) {
	v := store.Interface{
		Type: string(l.kind), MAC: hardwareAddr(l.mac), MTU: l.mtu, Carrier: l.carrier,
		Flags: flagText(l.flags, linkFlags), Speed: speed.mbps, Duplex: speed.duplex, Master: master,
		Qdisc: string(l.qdisc), TxQLen: l.txqlen, Alias: string(l.alias),
		Link: l.below, Promisc: l.promiscuity, CarrierUp: store.Of(l.carrierChanges),
	}
	if v.Type == "" {
		v.Type = (&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Type: l.hardware}}).EncapType()
	}
	if state, ok := l.operstate.Get(); ok {
		v.OperState = operStates.of(uint32(state))
	}
	return store.InterfaceID{NetNS: netns, IfIndex: store.Of(l.index), Name: string(l.name)}, v
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
