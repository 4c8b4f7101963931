package sockdiag

import (
	"bytes"
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	inetDiagULPInfo = 19 // what runs on top of TCP; its parts (INET_ULP_INFO_…):
	ulpName         = 1
	ulpMPTCP        = 3 // of a subflow; its parts (MPTCP_SUBFLOW_ATTR_…):
	subflowTokenLoc = 2 // only with CAP_NET_ADMIN

	inetDiagReqProtocol = 3 // INET_DIAG_REQ_PROTOCOL, for numbers that do not fit into a byte
	ProtocolMPTCP       = 262
)

// isSubflow reports whether the value of inetDiagULPInfo is that of a subflow.
func isSubflow(info []byte) bool {
	found := false
	EachAttribute(info, func(kind uint16, v []byte) {
		found = found || kind == ulpName && string(v) == "mptcp\x00"
	})
	return found
}

// ulpOf is the name of what runs on top, if something does.
func ulpOf(info []byte) (name [8]byte) {
	EachAttribute(info, func(kind uint16, v []byte) {
		if kind == ulpName {
			copy(name[:], bytes.TrimRight(v, "\x00"))
		}
	})
	return name
}

// SubflowToken is the token of the connection that an inet_diag message of a subflow tells; 0: none.
func SubflowToken(msg []byte) (token uint32) {
	if len(msg) < InetDiagMsgSize {
		return 0
	}
	EachAttribute(msg[InetDiagMsgSize:], func(kind uint16, v []byte) {
		if kind != inetDiagULPInfo {
			return
		}
		EachAttribute(v, func(kind uint16, v []byte) {
			if kind != ulpMPTCP {
				return
			}
			EachAttribute(v, func(kind uint16, v []byte) {
				if kind == subflowTokenLoc && len(v) >= 4 {
					token = binary.NativeEndian.Uint32(v)
				}
			})
		})
	})
	return token
}

// mptcpExact asks for the connection of that token.
type mptcpExact struct {
	family uint8
	token  uint32
}

func (mptcpExact) Len() int { return 56 + 8 }

func (r mptcpExact) Serialize() []byte {
	b := OverIPRequest{r.family, ProtocolMPTCP, EveryState}.Serialize()
	b[2] = 0
	PutCookie(b[48:], uint64(r.token))
	return b
}

// OverIPRequest asks for all sockets of a family and of a protocol that has no tcp_info, such as MPTCP and SCTP: what these call
// INET_DIAG_INFO is something else. States has a bit for each to ask for.
type OverIPRequest struct {
	Family   uint8
	Protocol uint32
	States   uint32
}

func (OverIPRequest) Len() int { return 56 + 8 }

func (r OverIPRequest) Serialize() []byte {
	// A kernel before Linux 5.9 does not know the attribute: it looks for a protocol of that number, and has none.
	b := append(InetRequest{r.Family, unix.IPPROTO_MTP}.Serialize(), make([]byte, 8)...)
	if r.Protocol < 1<<8 {
		b[1] = uint8(r.Protocol)
	}
	binary.NativeEndian.PutUint32(b[4:], r.States)
	b[2] = 1<<(inetDiagTOS-1) | 1<<(inetDiagTClass-1) | 1<<(InetDiagSKMemInfo-1)
	binary.NativeEndian.PutUint16(b[56:], 8)
	binary.NativeEndian.PutUint16(b[58:], inetDiagReqProtocol)
	binary.NativeEndian.PutUint32(b[60:], r.Protocol)
	return b
}

func (r OverIPRequest) Message() *nl.NetlinkRequest { return dumpOf(r) }

// DecodeOverIP reads an answer to OverIPRequest. Its timer is not that of TCP.
func DecodeOverIP(b []byte) (Record, error) {
	r, err := DecodeInet(b)
	r.Timer, r.Has = 0, r.Has&^(HasInfo|HasLast)
	return r, err
}

// DecodeMPTCP reads one of a connection of MPTCP itself. It has the inode of its subflows.
func DecodeMPTCP(b []byte) (Record, error) {
	r, err := DecodeOverIP(b)
	r.Has |= HasMPTCP
	return r, err
}
