package rtnl

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"netsql/store"
)

// A LinkInfo is what IFLA_LINKINFO says of a link of its kind, and of a member of a bridge or a bond. Its slices point into the message.
// Only what stays the same while nobody changes it is read: a bridge port has timers, too.
type LinkInfo struct {
	Kind, data             []byte // IFLA_INFO_DATA
	MemberKind, memberData []byte
	VLAN, VRFTable         store.Int
	MemberState, MIIStatus store.Int // IFLA_BRPORT_STATE or IFLA_BOND_SLAVE_STATE; IFLA_BOND_SLAVE_MII_STATUS
	LinkFailures           store.Int
}

// bridgeKind is IFLA_INFO_SLAVE_KIND of a bridge port. A message of a bridge does not say it.
var bridgeKind = []byte("bridge")

func parseLinkInfo(b []byte) (i LinkInfo, err error) {
	err = Attributes(b, func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFLA_INFO_KIND:
			i.Kind, err = TextOf(v)
		case unix.IFLA_INFO_DATA:
			i.data = v
		case unix.IFLA_INFO_SLAVE_KIND:
			i.MemberKind, err = TextOf(v)
		case unix.IFLA_INFO_SLAVE_DATA:
			i.memberData = v
		}
		return err
	})
	if err != nil {
		return i, err
	}
	// The names of tunnels are looked up without making a string of them.
	tunnel, isTunnel := tunnelKinds[string(i.Kind)]
	switch {
	case string(i.Kind) == "vlan":
		err = i.readVLAN()
	case string(i.Kind) == "vrf":
		err = i.readVRF()
	case isTunnel:
		err = tunnel.check(i.data)
	}
	if !isTunnel {
		i.data = nil
	}
	if err == nil {
		switch string(i.MemberKind) {
		case "bridge":
			err = i.readPort()
		case "bond":
			err = i.readBondMember()
		}
	}
	i.memberData = nil
	return i, err
}

func (i *LinkInfo) readVLAN() error {
	return Attributes(i.data, func(kind uint16, v []byte) error {
		if kind != unix.IFLA_VLAN_ID {
			return nil
		}
		id, err := uint16Of(v)
		i.VLAN = store.Of(id)
		return err
	})
}

func (i *LinkInfo) readVRF() error {
	return Attributes(i.data, func(kind uint16, v []byte) (err error) {
		if kind == 1 { // IFLA_VRF_TABLE
			i.VRFTable, err = known32(v)
		}
		return err
	})
}

func (i *LinkInfo) readPort() error {
	return Attributes(i.memberData, func(kind uint16, v []byte) (err error) {
		if kind == 1 { // IFLA_BRPORT_STATE
			i.MemberState, err = known8(v)
		}
		return err
	})
}

func (i *LinkInfo) readBondMember() error {
	return Attributes(i.memberData, func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFLA_BOND_SLAVE_STATE:
			i.MemberState, err = known8(v)
		case unix.IFLA_BOND_SLAVE_MII_STATUS:
			i.MIIStatus, err = known8(v)
		case unix.IFLA_BOND_SLAVE_LINK_FAILURE_COUNT:
			i.LinkFailures, err = known32(v)
		}
		return err
	})
}

// portStates are BR_STATE_* of linux/if_bridge.h, and the others those of a bond's member, linux/if_bonding.h, in the words of ip.
var (
	portStates = []string{"disabled", "listening", "learning", "forwarding", "blocking"}
	bondStates = []string{"active", "backup"}
	miiStates  = []string{"up", "going_down", "down", "going_back"}
)

// MemberText is the state of a member of a bridge or a bond; "" for what is none. What the monitor of a bond holds of its link stands
// beside it when it is not up.
func (i *LinkInfo) MemberText() string {
	names := portStates
	if string(i.MemberKind) == "bond" {
		names = bondStates
	}
	text := stateWord(names, i.MemberState)
	if mii := stateWord(miiStates, i.MIIStatus); text != "" && mii != "" && mii != "up" {
		text += " mii " + mii
	}
	return text
}

func stateWord(names []string, state store.Int) string {
	n, known := state.Get()
	switch {
	case !known:
		return ""
	case n < int64(len(names)):
		return names[n]
	}
	return fmt.Sprint(n)
}

// A tunnelKind tells what the attributes of IFLA_INFO_DATA mean, each by its number in the kernel's headers; 0 is one that the kind has not.
type tunnelKind struct {
	family                     uint8 // of local and remote
	id, local, remote          uint16
	local6, remote6            uint16 // where those of IPv6 have numbers of their own
	iflags, oflags, ikey, okey uint16 // GRE; VTI has no flags
	port, external, xfrmID     uint16
}

// tunnelKinds: linux/if_link.h and linux/if_tunnel.h.
var tunnelKinds = map[string]tunnelKind{
	"vxlan":     {family: unix.AF_INET, id: 1, remote: 2, local: 4, port: 15, remote6: 16, local6: 17, external: 25},
	"geneve":    {family: unix.AF_INET, id: 1, remote: 2, port: 5, external: 6, remote6: 7},
	"gre":       greOf(unix.AF_INET),
	"gretap":    greOf(unix.AF_INET),
	"erspan":    greOf(unix.AF_INET),
	"ip6gre":    greOf(unix.AF_INET6),
	"ip6gretap": greOf(unix.AF_INET6),
	"ip6erspan": greOf(unix.AF_INET6),
	"ipip":      {family: unix.AF_INET, local: 2, remote: 3, external: 19},
	"sit":       {family: unix.AF_INET, local: 2, remote: 3, external: 19},
	"ip6tnl":    {family: unix.AF_INET6, local: 2, remote: 3, external: 19},
	"vti":       {family: unix.AF_INET, ikey: 2, okey: 3, local: 4, remote: 5},
	"vti6":      {family: unix.AF_INET6, ikey: 2, okey: 3, local: 4, remote: 5},
	"xfrm":      {xfrmID: 2, external: 3},
}

func greOf(family uint8) tunnelKind {
	return tunnelKind{family: family, iflags: 2, oflags: 3, ikey: 4, okey: 5, local: 6, remote: 7, external: 18}
}

// greKey is GRE_KEY of linux/if_tunnel.h: the key counts.
const greKey = 0x2000

// check finds what text would stumble over.
func (k tunnelKind) check(b []byte) error {
	return Attributes(b, func(kind uint16, v []byte) error {
		size := 0
		switch kind {
		case k.id, k.ikey, k.okey, k.xfrmID:
			size = 4
		case k.port, k.iflags, k.oflags:
			size = 2
		case k.local, k.remote:
			_, err := addrOf(k.family, v)
			return err
		case k.local6, k.remote6:
			size = 16
		}
		if kind != 0 && len(v) < size {
			return tooShort(v)
		}
		return nil
	})
}

// TunnelText is what the link wraps packets in, in the words and the order of ip -d link: id 42 remote 10.0.0.2 local 10.0.0.1 dstport
// 4789; "" for what is no tunnel. An end that is not set is left out, and so is the interface below, which is IFLA_LINK.
func (i *LinkInfo) TunnelText() string {
	k, isTunnel := tunnelKinds[string(i.Kind)]
	if !isTunnel {
		return ""
	}
	var external, id, remote, local, ikey, okey, port string
	var iflags, oflags uint16
	addr := func(family uint8, word string, v []byte) string {
		if a, _ := addrOf(family, v); a.IsValid() && !a.IsUnspecified() {
			return word + a.String()
		}
		return ""
	}
	// parseLinkInfo has checked them.
	_ = Attributes(i.data, func(kind uint16, v []byte) error {
		switch kind {
		case 0:
		case k.external:
			if len(v) == 0 || v[0] != 0 { // a flag, or a number
				external = "external"
			}
		case k.id:
			id = fmt.Sprintf("id %d", binary.NativeEndian.Uint32(v))
		case k.xfrmID:
			id = fmt.Sprintf("if_id %#x", binary.NativeEndian.Uint32(v))
		case k.remote:
			remote = addr(k.family, "remote ", v)
			if a, _ := addrOf(k.family, v); a.IsMulticast() {
				remote = addr(k.family, "group ", v)
			}
		case k.remote6:
			remote = addr(unix.AF_INET6, "remote ", v)
			if a, _ := addrOf(unix.AF_INET6, v); a.IsMulticast() {
				remote = addr(unix.AF_INET6, "group ", v)
			}
		case k.local:
			local = addr(k.family, "local ", v)
		case k.local6:
			local = addr(unix.AF_INET6, "local ", v)
		case k.iflags:
			iflags = binary.BigEndian.Uint16(v)
		case k.oflags:
			oflags = binary.BigEndian.Uint16(v)
		case k.ikey:
			ikey = fmt.Sprintf("ikey %d", binary.BigEndian.Uint32(v))
		case k.okey:
			okey = fmt.Sprintf("okey %d", binary.BigEndian.Uint32(v))
		case k.port:
			port = fmt.Sprintf("dstport %d", binary.BigEndian.Uint16(v))
		}
		return nil
	})
	if k.iflags != 0 && iflags&greKey == 0 {
		ikey = ""
	}
	if k.oflags != 0 && oflags&greKey == 0 {
		okey = ""
	}
	words := make([]string, 0, 7)
	for _, w := range []string{external, id, remote, local, ikey, okey, port} {
		if w != "" {
			words = append(words, w)
		}
	}
	return strings.Join(words, " ")
}
