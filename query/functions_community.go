package query

import (
	"crypto/sha1"
	"database/sql/driver"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"strings"
)

// protocolNumbers are the IP protocols that have ports, by their names in sockets.
var protocolNumbers = map[string]byte{"tcp": 6, "udp": 17, "sctp": 132}

// sqlCommunityID names a connection as other tools do: https://github.com/corelight/community-id-spec. It is a hash of both
// ends, the lower one first, so that it is the same from both. Of what has no such name it is NULL: other protocols, an end that is
// not known, ends of two families.
//
// UDP-Lite is none of those of the specification. ICMP has types in place of ports, which sockets do not show.
func sqlCommunityID(args []driver.Value) (driver.Value, error) {
	proto := protocolNumbers[strings.ToLower(plain(args[0]))]
	if proto == 0 || args[1] == nil || args[3] == nil {
		return nil, nil
	}
	var ends [2]netip.AddrPort
	for i := range ends {
		addr, err := netip.ParseAddr(plain(args[1+2*i]))
		port, ok := number(args[2+2*i])
		if err != nil || !ok || port < 0 || port > 65535 || port != float64(uint16(port)) {
			return nil, nil
		}
		ends[i] = netip.AddrPortFrom(addr.WithZone("").Unmap(), uint16(port))
	}
	if ends[0].Addr().BitLen() != ends[1].Addr().BitLen() {
		return nil, nil
	}
	if ends[1].Compare(ends[0]) < 0 {
		ends[0], ends[1] = ends[1], ends[0]
	}
	text := []byte{0, 0} // the seed
	text = append(text, ends[0].Addr().AsSlice()...)
	text = append(text, ends[1].Addr().AsSlice()...)
	text = append(text, proto, 0)
	text = binary.BigEndian.AppendUint16(text, ends[0].Port())
	text = binary.BigEndian.AppendUint16(text, ends[1].Port())
	sum := sha1.Sum(text)
	return "1:" + base64.StdEncoding.EncodeToString(sum[:]), nil
}
