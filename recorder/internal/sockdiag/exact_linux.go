package sockdiag

import (
	"context"
	"encoding/binary"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ExactInet asks for the one socket that a dump has shown.
func ExactInet(protocol uint8, r *Record) *nl.NetlinkRequest { return exact(inetExact{protocol, r}) }

// ExactUnix is the same for unix sockets.
func ExactUnix(r *Record) *nl.NetlinkRequest { return exact(unixExact{r}) }

// ExactMPTCP asks for the MPTCP connection of that token.
func ExactMPTCP(family uint8, token uint32) *nl.NetlinkRequest {
	return exact(mptcpExact{family, token})
}

func exact(data nl.NetlinkRequestData) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_ACK)
	req.AddData(data)
	return req
}

// inetExact is struct inet_diag_req_v2 with the addresses and the cookie of one socket. For UDP the
// kernel takes the addresses the other way round, the remote one for the source (udp_dump_one in net/ipv4/udp_diag.c).
type inetExact struct {
	protocol uint8
	rec      *Record
}

func (inetExact) Len() int { return 56 }

func (r inetExact) Serialize() []byte {
	b := InetRequest{r.rec.Family, r.protocol}.Serialize()
	b[2] = 0 // nothing of it but that it is there,
	if r.rec.Has&HasMPTCP != 0 {
		b[2] = 1 << (InetDiagInfo - 1) // and with tcp_info the kernel tells the token
	}
	from, to := b[8:], b[10:]
	fromAddr, toAddr := b[12:28], b[28:44]
	if r.protocol == unix.IPPROTO_UDP {
		from, to, fromAddr, toAddr = to, from, toAddr, fromAddr
	}
	binary.BigEndian.PutUint16(from, r.rec.SPort)
	binary.BigEndian.PutUint16(to, r.rec.DPort)
	copy(fromAddr, r.rec.Src[:])
	copy(toAddr, r.rec.Dst[:])
	binary.NativeEndian.PutUint32(b[44:], r.rec.IfIndex)
	PutCookie(b[48:], r.rec.Cookie)
	return b
}

// unixExact is struct unix_diag_req with inode number and cookie.
type unixExact struct{ rec *Record }

func (unixExact) Len() int { return 24 }

func (r unixExact) Serialize() []byte {
	b := UnixRequest{}.Serialize()
	binary.NativeEndian.PutUint32(b[8:], r.rec.Inode)
	binary.NativeEndian.PutUint32(b[12:], 0)
	PutCookie(b[16:], r.rec.Cookie)
	return b
}

func PutCookie(b []byte, cookie uint64) {
	binary.NativeEndian.PutUint32(b, uint32(cookie))
	binary.NativeEndian.PutUint32(b[4:], uint32(cookie>>32))
}

// Ask is dump of one thing. The kernel may answer that there is none, with an error number.
func (d *Conn) Ask(ctx context.Context, request *nl.NetlinkRequest, each func(msg []byte) error) error {
	if d.Socket == nil { // it must be opened in its namespace
		return unix.EBADF
	}
	d.Told(request)
	if err := d.Socket.Send(request); err != nil {
		return err
	}
	return d.Receive(ctx, request.Seq, func(_ uint16, msg []byte) error { return each(msg) })
}
