package recorder

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// inetExact asks for the one socket that a dump has shown: struct inet_diag_req_v2 with its addresses and cookie. For UDP the
// kernel takes the addresses the other way round, the remote one for the source (udp_dump_one in net/ipv4/udp_diag.c).
type inetExact struct {
	protocol uint8
	rec      *record
}

func (inetExact) Len() int { return 56 }

func (r inetExact) Serialize() []byte {
	b := inetRequest{r.rec.family, r.protocol}.Serialize()
	b[2] = 0 // nothing of it but that it is there,
	if r.rec.has&hasMPTCP != 0 {
		b[2] = 1 << (inetDiagInfo - 1) // and with tcp_info the kernel tells the token
	}
	from, to := b[8:], b[10:]
	fromAddr, toAddr := b[12:28], b[28:44]
	if r.protocol == unix.IPPROTO_UDP {
		from, to, fromAddr, toAddr = to, from, toAddr, fromAddr
	}
	binary.BigEndian.PutUint16(from, r.rec.sport)
	binary.BigEndian.PutUint16(to, r.rec.dport)
	copy(fromAddr, r.rec.src[:])
	copy(toAddr, r.rec.dst[:])
	binary.NativeEndian.PutUint32(b[44:], r.rec.ifindex)
	putCookie(b[48:], r.rec.cookie)
	return b
}

// unixExact is the same for unix sockets: struct unix_diag_req with inode number and cookie.
type unixExact struct{ rec *record }

func (unixExact) Len() int { return 24 }

func (r unixExact) Serialize() []byte {
	b := unixRequest{}.Serialize()
	binary.NativeEndian.PutUint32(b[8:], r.rec.inode)
	binary.NativeEndian.PutUint32(b[12:], 0)
	putCookie(b[16:], r.rec.cookie)
	return b
}

func putCookie(b []byte, cookie uint64) {
	binary.NativeEndian.PutUint32(b, uint32(cookie))
	binary.NativeEndian.PutUint32(b[4:], uint32(cookie>>32))
}

// isGone asks the kernel whether a socket that this sample's dump has shown is closed by now: that takes microseconds,
// and to look for its holder everywhere in vain, milliseconds. When in doubt it is not.
func (s *sockets) isGone(ctx context.Context, e *socket) bool {
	for _, p := range s.protocols {
		if p.fromProc || p.known[e.rec.cookie] != e {
			continue
		}
		req := nl.NewNetlinkRequest(unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_ACK)
		if p.af == unix.AF_UNIX {
			req.AddData(unixExact{&e.rec})
		} else {
			req.AddData(inetExact{p.number, &e.rec})
		}
		held, token := false, uint32(0)
		err := p.diag.ask(ctx, req, func(msg []byte) (err error) {
			var r record
			if p.af == unix.AF_UNIX {
				r, _, err = decodeUnix(msg)
			} else {
				r, err = decodeInet(msg)
			}
			held = r.inode == e.rec.inode // TIME_WAIT keeps the cookie, and has none
			if r.has&hasMPTCP != 0 {
				token = subflowToken(msg)
			}
			return err
		})
		switch {
		case err == nil:
			return !held || token != 0 && s.isAbandoned(ctx, p, e, token)
		case errors.Is(err, unix.ESTALE): // another has its place: of a connection, a later one or its listener
			return p.proto == "tcp" && e.rec.dport != 0
		}
		return errors.Is(err, unix.ENOENT)
	}
	return false
}

// ask is dump of one thing. The kernel may answer that there is none, with an error number.
func (d *diagnostics) ask(ctx context.Context, request *nl.NetlinkRequest, each func(msg []byte) error) error {
	if d.socket == nil { // it must be opened in its namespace
		return unix.EBADF
	}
	if err := d.socket.Send(request); err != nil {
		return err
	}
	return d.receive(ctx, request.Seq, func(_ uint16, msg []byte) error { return each(msg) })
}
