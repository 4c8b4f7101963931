package recorder

import "netsql/store"

// listeners are the sockets in LISTEN of a protocol, by where they listen, and their processes. A connection that nobody
// was ever seen to hold is put down to the process that listens on its port: so says its owner_how.
type listeners map[listenKey]listener

type listenKey struct {
	addr [16]byte // all zeros: every address
	port uint16
}

type listener struct {
	process store.Ref
	exe     string
}

// findListeners brings the listeners up to date with what the dump showed and who holds it.
func (p *protocol) findListeners() {
	p.listeners, p.before = p.before, p.listeners
	clear(p.listeners)
	for _, e := range p.seen {
		if e.rec.state != stateListen || len(e.holders) == 0 {
			continue
		}
		if p.listeners == nil {
			p.listeners = listeners{}
		}
		key := listenKey{e.rec.src, e.rec.sport}
		first := e.holders[0].process
		l := listener{first.ref, first.id.Exe}
		// Several may listen at one place (SO_REUSEPORT). As long as they run one program any
		// of them will do; else nobody can say whose a connection is.
		if other, taken := p.listeners[key]; taken {
			if other.exe != l.exe {
				l = listener{}
			} else {
				l = other
			}
		}
		p.listeners[key] = l
	}
}

// of is the process that listens where the record's local end is.
func (l listeners) of(r *record) ownership {
	return l.at(r.src, r.sport)
}

func (l listeners) at(addr [16]byte, port uint16) ownership {
	at, ok := l[listenKey{addr, port}]
	if !ok {
		at = l[listenKey{port: port}]
	}
	if at.process == 0 {
		return nobody
	}
	return ownership{at.process, byListener}
}
