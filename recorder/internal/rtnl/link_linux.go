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
	Flags, CarrierChanges           uint32
	Name, Kind, MAC, Alias, Qdisc   []byte
	MTU, TxQLen, Operstate, Carrier store.Int
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
	var inner error
	err := Attributes(msg[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) {
		switch kind {
		case unix.IFLA_IFNAME:
			l.Name = TextOf(v)
		case unix.IFLA_ADDRESS:
			l.MAC = v
		case unix.IFLA_IFALIAS:
			l.Alias = TextOf(v)
		case unix.IFLA_QDISC:
			l.Qdisc = TextOf(v)
		case unix.IFLA_MTU:
			l.MTU = store.Of(uint32Of(v))
		case unix.IFLA_TXQLEN:
			l.TxQLen = store.Of(uint32Of(v))
		case unix.IFLA_OPERSTATE:
			l.Operstate = store.Of(uint8Of(v))
		case unix.IFLA_CARRIER:
			l.Carrier = store.Of(uint8Of(v))
		case unix.IFLA_CARRIER_CHANGES:
			l.CarrierChanges = uint32Of(v)
		case unix.IFLA_LINK:
			l.Below = store.NonZero(uint32Of(v))
		case unix.IFLA_PROMISCUITY:
			l.Promiscuity = store.Of(uint32Of(v))
		case unix.IFLA_MASTER:
			l.Master = int32(uint32Of(v))
		case unix.IFLA_STATS64:
			l.Stats = v
		case unix.IFLA_LINKINFO:
			inner = Attributes(v, func(kind uint16, v []byte) {
				if kind == unix.IFLA_INFO_KIND {
					l.Kind = TextOf(v)
				}
			})
		}
	})
	if err == nil {
		err = inner
	}
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
	for _, text := range [...][]byte{l.Name, l.Kind, l.MAC, l.Alias, l.Qdisc} {
		h.WriteByte(byte(len(text)))
		h.Write(text)
	}
	maphash.WriteComparable(&h, struct {
		master                          int32
		hardware                        uint16
		flags, carrierChanges           uint32
		mtu, txqlen, operstate, carrier store.Int
		below, promiscuity              store.Int
	}{l.Master, l.Hardware, l.Flags, l.CarrierChanges, l.MTU, l.TxQLen, l.Operstate, l.Carrier, l.Below, l.Promiscuity})
	return h.Sum64()
}
