package recorder

import (
	"fmt"

	"netsql/store/glossary"
)

// notSpecified is the reason of a packet that was freed by a part of the kernel that gives none. The reasons before it are of packets that were not dropped.
const notSpecified = "NOT_SPECIFIED"

// reasonOf is what the running kernel calls a reason, and that in words; "" where there are none.
func (d *dropEvents) reasonOf(reason uint32) (name, description string) {
	name, ok := d.names[reason]
	switch {
	case ok:
		return name, glossary.Drop(name)
	case reason>>16 != 0:
		return fmt.Sprintf("%#x", reason), "a reason of a part of the kernel that numbers its own, such as mac80211 or openvswitch"
	}
	return fmt.Sprintf("%#x", reason), ""
}

// etherType is a protocol by its number in Ethernet frames (linux/if_ether.h); "": the kernel did not say.
func etherType(number uint16) string {
	if name := etherTypes[number]; name != "" || number == 0 {
		return name
	}
	return fmt.Sprintf("0x%04x", number)
}

var etherTypes = map[uint16]string{
	0x0800: "IPv4", 0x0806: "ARP", 0x8035: "RARP", 0x8100: "802.1Q", 0x86dd: "IPv6", 0x8847: "MPLS", 0x8848: "MPLS", 0x8863: "PPPoE", 0x8864: "PPPoE",
	0x888e: "802.1X", 0x88a8: "802.1ad", 0x88cc: "LLDP", 0x88e5: "MACsec", 0x88f7: "PTP",
}
