package recorder

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/owners"
	"netsql/recorder/internal/sockdiag"
)

// isGone asks the kernel whether a socket that this sample's dump has shown is closed by now: that takes microseconds,
// and to look for its holder everywhere in vain, milliseconds. When in doubt it is not.
func (s *sockets) isGone(ctx context.Context, h *owners.Held) bool {
	for _, p := range s.protocols {
		e := p.known[h.Rec.Cookie]
		if p.fromProc || e == nil || &e.Held != h {
			continue
		}
		if p.number == 0 && p.af != unix.AF_UNIX {
			return false // the kernel tells of no single one of these
		}
		req := sockdiag.ExactInet(p.number, &e.Rec)
		if p.af == unix.AF_UNIX {
			req = sockdiag.ExactUnix(&e.Rec)
		}
		held, token := false, uint32(0)
		err := p.diag.Ask(ctx, req, func(msg []byte) (err error) {
			var r sockdiag.Record
			if p.af == unix.AF_UNIX {
				r, _, err = sockdiag.DecodeUnix(msg)
			} else {
				r, err = sockdiag.DecodeInet(msg)
			}
			held = r.Inode == e.Rec.Inode // TIME_WAIT keeps the cookie, and has none
			if r.Has&sockdiag.HasMPTCP != 0 {
				token = sockdiag.SubflowToken(msg)
			}
			return err
		})
		switch {
		case err == nil:
			return !held || token != 0 && s.isAbandoned(ctx, p, e, token)
		case errors.Is(err, unix.ESTALE): // another has its place: of a connection, a later one or its listener
			return p.proto == "tcp" && e.Rec.DPort != 0
		}
		return errors.Is(err, unix.ENOENT)
	}
	return false
}

// isAbandoned asks the kernel whether the connection that subflow e is of has been closed by its process. When in doubt it has
// not. Then all its subflows are abandoned.
func (s *sockets) isAbandoned(ctx context.Context, p *protocol, e *socket, token uint32) bool {
	closed := false
	err := p.diag.Ask(ctx, sockdiag.ExactMPTCP(e.Rec.Family, token), func(msg []byte) error {
		r, err := sockdiag.DecodeInet(msg)
		closed = r.Inode == 0
		return err
	})
	if err != nil || !closed {
		return false
	}
	e.Abandoned = true
	for _, twin := range s.owners.Twins[e.Inode] {
		twin.Abandoned = true
	}
	return true
}
