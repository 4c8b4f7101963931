package rtnl

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// A Link is an RTM_NEWLINK message. Its slices point into it.
type Link struct {
	Index, Master                   int32
	Below, Promiscuity              store.Int
	Hardware                        uint16
	Flags                           uint32
	Name, MAC, Alias, Qdisc         []byte
	Info                            LinkInfo
	AltNames                        string // parted by commas
	MTU, TxQLen, Operstate, Carrier store.Int
	CarrierChanges                  store.Int
	Stats                           []byte // struct rtnl_link_stats64
}

// ParseLink decodes struct ifinfomsg and its attributes.
func ParseLink(msg []byte) (Link, error) {
	if len(msg) < unix.SizeofIfInfomsg {
		return Link{}, ErrShort
	}
	l := Link{
		Hardware: binary.NativeEndian.Uint16(msg[2:]), Index: int32(binary.NativeEndian.Uint32(msg[4:])),
		Flags: binary.NativeEndian.Uint32(msg[8:]),
	}
	err := Attributes(msg[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name, err = TextOf(v)
		case unix.IFLA_ADDRESS:
			l.MAC = v
		case unix.IFLA_IFALIAS:
			l.Alias, err = TextOf(v)
		case unix.IFLA_QDISC:
			l.Qdisc, err = TextOf(v)
		case unix.IFLA_MTU:
			l.MTU, err = known32(v)
		case unix.IFLA_TXQLEN:
			l.TxQLen, err = known32(v)
		case unix.IFLA_OPERSTATE:
			l.Operstate, err = known8(v)
		case unix.IFLA_CARRIER:
			l.Carrier, err = known8(v)
		case unix.IFLA_CARRIER_CHANGES:
			l.CarrierChanges, err = known32(v)
		case unix.IFLA_LINK:
			var below uint32
			below, err = uint32Of(v)
			l.Below = store.NonZero(below)
		case unix.IFLA_PROMISCUITY:
			l.Promiscuity, err = known32(v)
		case unix.IFLA_MASTER:
			l.Master, err = int32Of(v)
		case unix.IFLA_STATS64:
			if l.Stats = v; len(v)%8 != 0 { // older kernels have fewer counters
				err = fmt.Errorf("%d bytes of counters", len(v))
			}
		case unix.IFLA_PROP_LIST: // Linux 5.5
			err = Attributes(v, func(kind uint16, v []byte) error {
				if kind != unix.IFLA_ALT_IFNAME {
					return nil
				}
				name, err := stringOf(v)
				if l.AltNames != "" {
					l.AltNames += ","
				}
				l.AltNames += name
				return err
			})
		case unix.IFLA_PROTINFO:
			if msg[0] == unix.AF_BRIDGE {
				l.Info.MemberKind, l.Info.memberData = bridgeKind, v
				err = l.Info.readPort()
				l.Info.memberData = nil
			}
		case unix.IFLA_LINKINFO:
			l.Info, err = parseLinkInfo(v)
		}
		return err
	})
	if err == nil && (len(l.Name) == 0 || l.Index <= 0) {
		err = fmt.Errorf("link %d has the name %q", l.Index, l.Name)
	}
	if l.Flags&unix.IFF_UP == 0 {
		// The kernel claims carrier for some links that were never up; sysfs refuses to answer.
		l.Carrier = store.Int{}
	}
	return l, err
}

// Sum is a digest of all that row says, and of the number of times the carrier changed:
// the speed may have become another.
func (l *Link) Sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, text := range [...][]byte{l.Name, l.Info.Kind, l.MAC, l.Alias, l.Qdisc, l.Info.MemberKind, l.Info.data} {
		h.WriteByte(byte(len(text)))
		h.Write(text)
	}
	maphash.WriteComparable(&h, struct {
		master                          int32
		hardware                        uint16
		flags                           uint32
		mtu, txqlen, operstate, carrier store.Int
		carrierChanges                  store.Int
		below, promiscuity              store.Int
		vlan, vrfTable                  store.Int
		memberState, miiStatus          store.Int
		linkFailures                    store.Int
		altNames                        string
	}{l.Master, l.Hardware, l.Flags, l.MTU, l.TxQLen, l.Operstate, l.Carrier, l.CarrierChanges, l.Below, l.Promiscuity,
		l.Info.VLAN, l.Info.VRFTable, l.Info.MemberState, l.Info.MIIStatus, l.Info.LinkFailures, l.AltNames})
	return h.Sum64()
}
