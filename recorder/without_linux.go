package recorder

import (
	"context"
	"slices"

	"netsql/store"
)

// switchedOff stands for a source that Config.Without names. It is not read, and the recording says so in every sample: its
// outcome is off with the flag, and a gap lasts as long. What it would know is unknown then, and not gone.
type switchedOff struct {
	source *store.Source
	err    error
	netns  store.Int // of traffic and closes
}

func (s *switchedOff) read(context.Context) { s.source.Read(func() error { return s.err }) }

// without tells which sources are switched off, by their names.
type without []string

func (w without) has(name string) bool { return slices.Contains(w, name) }

// reason is what the recording says of a source that is switched off.
func (w without) reason(name string) error {
	return &store.OffError{By: "--without " + name}
}

// off is what stands for source s when name is switched off.
func (w without) off(name string, s *store.Source) *switchedOff {
	return &switchedOff{source: s, err: w.reason(name)}
}

// offIn is the same for a source of a network namespace that sockets keeps.
func (w without) offIn(ns namespace, name string, s *store.Source) *switchedOff {
	o := w.off(name, s)
	o.netns = ns.id
	return o
}

// first is the first of the names that is switched off; "": none is.
func (w without) first(names ...string) string {
	for _, name := range names {
		if w.has(name) {
			return name
		}
	}
	return ""
}

// replace puts what stands for them in place of the sources that are switched off. They are made all the same: only so the store
// knows whose rows are missing.
func (w without) replace(sources []source) []source {
	list := slices.Clone(sources)
	for i, s := range list {
		if r, ok := s.(interface{ recorded() *store.Source }); ok && w.has(r.recorded().Name()) {
			list[i] = w.off(r.recorded().Name(), r.recorded())
		}
	}
	return list
}

func (s *interfaces) recorded() *store.Source       { return s.source }
func (s *nicCounters) recorded() *store.Source      { return s.source }
func (s *qdiscs) recorded() *store.Source           { return s.source }
func (s *addresses) recorded() *store.Source        { return s.source }
func (s *multicastGroups) recorded() *store.Source  { return s.source }
func (s *neighbors) recorded() *store.Source        { return s.source }
func (s *nextHops) recorded() *store.Source         { return s.source }
func (s *routes) recorded() *store.Source           { return s.source }
func (s *rules) recorded() *store.Source            { return s.source }
func (s *protocolCounters) recorded() *store.Source { return s.source }
func (s *conntrack) recorded() *store.Source        { return s.source }
func (s *firewall) recorded() *store.Source         { return s.source }
func (s *settings) recorded() *store.Source         { return s.source }
func (s *softnet) recorded() *store.Source          { return s.source }
func (s *modules) recorded() *store.Source          { return s.source }
func (s *drops) recorded() *store.Source            { return s.source }

// changes are the kinds of changes whose source is switched off: nothing shows what they led to.
func (w without) changes() (off [changeKinds]bool) {
	for kind, name := range [...]string{
		changedLink: "interfaces", changedAddress: "addresses", changedNeighbor: "neighbors", changedNextHop: "nexthops",
		changedRoute: "routes", changedRule: "rules",
	} {
		off[kind] = w.has(name)
	}
	return off
}
