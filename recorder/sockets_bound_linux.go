package recorder

import (
	"context"
	"time"

	"netsql/recorder/internal/sockdiag"
)

// boundAgain is how long after a look that found no bound socket the next one is.
const boundAgain = time.Minute

// A boundLook decides when the TCP sockets are asked for that are bound to a port and neither listen nor are connected. The
// kernel shows them since Linux 6.8, and goes through its whole table of ports for them and through the sockets of each: of
// 20,000 sockets that takes it a fifth of the dump, and nearly always there are none. So they are looked for once per
// boundAgain, and in each sample while there are any, so that none is shown when it is gone.
type boundLook struct {
	at    time.Time // of the last look
	asked bool      // the dump under way is one
	seen  int       // by the last look
}

// decide says, before a dump, whether this one also looks for bound sockets.
func (l *boundLook) decide() {
	now := time.Now()
	if l.asked = l.seen > 0 || now.Sub(l.at) >= boundAgain; l.asked {
		l.at = now
	}
}

// states are those to ask for, a bit for each.
func (l *boundLook) states() uint32 {
	if l.seen = 0; l.asked {
		return sockdiag.EveryState
	}
	return sockdiag.EveryState &^ (1 << sockdiag.StateBound)
}

// lookAtBound looks for bound sockets after all when one that listened does not any more: it may have been shut down and be
// bound still. Or a process holds one that no dump shows.
func (s *sockets) lookAtBound(ctx context.Context, p *protocol) error {
	if p.bound.asked || !p.lostListener() && !p.second.lostListener() && !s.owners.HoldsUnknownTCP() {
		return nil
	}
	p.bound.at, p.bound.asked = time.Now(), true
	return s.dumpOnce(ctx, p, sockdiag.TCPRequest{States: 1 << sockdiag.StateBound}.Message())
}

// lostListener reports whether the dump does not show a socket that listened in the one before.
func (p *protocol) lostListener() bool {
	if p == nil || len(p.seen)+len(p.unlisted) == len(p.known) {
		return false
	}
	for _, e := range p.known {
		if e.Dump != p.dump && !e.Unlisted && e.Rec.State == sockdiag.StateListen {
			return true
		}
	}
	return false
}
