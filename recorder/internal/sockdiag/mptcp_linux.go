package sockdiag

import (
	"bytes"
	"encoding/binary"

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
	b := append(InetRequest{r.family, unix.IPPROTO_RAW}.Serialize(), make([]byte, 8)...)
	b[2] = 0
	PutCookie(b[48:], uint64(r.token))
	binary.NativeEndian.PutUint16(b[56:], 8)
	binary.NativeEndian.PutUint16(b[58:], inetDiagReqProtocol)
	binary.NativeEndian.PutUint32(b[60:], ProtocolMPTCP)
	return b
}
