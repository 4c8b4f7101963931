package recorder

import (
	"path/filepath"
	"regexp"
	"slices"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// listeners are the processes that hold the sockets in LISTEN of a protocol, by where they listen. A connection that nobody was
// ever seen to hold is put down to them: so says its owner_how. With more than one of them it is not known whose it is.
type listeners map[listenKey][]candidate

type listenKey struct {
	addr [16]byte // all zeros: every address
	port uint16
}

// A candidate is a process that may have accepted a connection.
type candidate struct {
	process store.Ref
	id      store.ProcessID // empty: its process may not be seen
}

// findListeners brings the listeners up to date with what the dump showed and who holds it.
func (s *sockets) findListeners(p *protocol) {
	p.listeners, p.before = p.before, p.listeners
	clear(p.listeners)
	for _, e := range p.seen {
		if e.Rec.State != sockdiag.StateListen {
			continue
		}
		if p.listeners == nil {
			p.listeners = listeners{}
		}
		key := listenKey{e.Rec.Src, e.Rec.SPort}
		list := p.listeners[key]
		for _, h := range e.Holders {
			list = withCandidate(list, candidate{h.Process.Ref, h.Process.ID})
		}
		if len(e.Holders) == 0 {
			list = append(list, candidate{})
		}
		p.listeners[key] = list
	}
}

// withCandidate adds a process, unless it is in the list already.
func withCandidate(list []candidate, c candidate) []candidate {
	if slices.ContainsFunc(list, func(o candidate) bool { return o.process == c.process && c.process != 0 }) {
		return list
	}
	return append(list, c)
}

// at are the processes that listen there: at the very address, or else at every address.
func (l listeners) at(addr [16]byte, port uint16) []candidate {
	if list, ok := l[listenKey{addr, port}]; ok {
		return list
	}
	return l[listenKey{port: port}]
}

// listenerOf is the owner of a connection that was closed since the last sample, by its local end: of those who listened there
// then or now.
func (s *sockets) listenerOf(p *protocol, addr [16]byte, port uint16) ownership {
	list := p.listeners.at(addr, port)
	if before := p.before.at(addr, port); len(before) > 0 {
		list = slices.Clip(list)
		for _, c := range before {
			list = withCandidate(list, c)
		}
	}
	return s.ownerOf(list)
}

// ownerOf is the process that listens, if there is one. Of several that run the same program, that program is named: a process
// without a number.
func (s *sockets) ownerOf(list []candidate) ownership {
	switch {
	case len(list) == 0, len(list) == 1 && list[0].process == 0:
		return nobody
	case len(list) == 1:
		return ownership{process: list[0].process, how: byListener, listens: 1}
	}
	o := ownership{how: byListener, listens: uint16(min(len(list), 1<<16-1))}
	if program := agreed(list); program != (store.ProcessID{}) {
		o.process = s.owners.Processes.Put(program, store.Process{}).Ref()
	}
	return o
}

// agreed is what the candidates have in common: the program that all of them run. Of an interpreter that is the command line.
func agreed(list []candidate) store.ProcessID {
	first := list[0].id
	same := store.ProcessID{Comm: first.Comm, Exe: first.Exe, Cmdline: first.Cmdline}
	for _, c := range list {
		if c.process == 0 || c.id.Exe != first.Exe || first.Exe == "" {
			return store.ProcessID{}
		}
		if c.id.Comm != same.Comm {
			same.Comm = ""
		}
		if c.id.Cmdline != same.Cmdline {
			same.Cmdline = ""
		}
	}
	if same.Cmdline == "" && interpreter.MatchString(filepath.Base(first.Exe)) {
		return store.ProcessID{}
	}
	return same
}

// interpreter matches programs that run others: that two processes run one says nothing of what they are.
var interpreter = regexp.MustCompile(`^(python|pypy|perl|ruby|jruby|java|node|nodejs|deno|bun|php|lua|luajit|tclsh|wish|guile|Rscript|mono|dotnet|beam|erl|` +
	`sh|bash|dash|ash|ksh|zsh|fish|busybox|env|qemu)([-.0-9].*|\.smp)?$`)
