package recorder

import (
	"cmp"
	"context"
	"slices"
	"time"

	"netsql/store"
)

// symptoms gathers, during a sample, what a fault would show in one network namespace, or in the whole machine. The other sources tell it
// what they see while they read; it is the last to report. What is a fault, the views of the recording decide: here is only what they
// could not work out from a week of samples.
type symptoms struct {
	ns     namespace
	writer *store.Writer
	source *store.Source
	set    *store.Set[store.SymptomID, store.Symptom]
	found  map[store.SymptomID]*symptom
	last   time.Duration // since boot: when it last reported
	tcp    []*protocol   // whose local ports may run out
	ports  portRange
	late   time.Duration // what grew in a longer time is not told

	services map[service]*connecting
	failing  map[store.Int]time.Duration // by port: when a connection to it failed last, since boot
	resent   map[store.SymptomID]*resending
	silent   map[[16]byte]*silent

	acute bool // a counter of lost packets or connections grew in this sample

	unreachable []neighborAt // addresses on the link that do not answer
	gateways    []neighborAt // of the default routes
}

// A neighborAt is an address on an interface.
type neighborAt struct {
	dev, addr string
}

// A symptom is what was found of a kind in this sample.
type symptom struct {
	amount, total int64
	hasTotal      bool
	grows         bool // the amount is what a counter grew
	there         bool
	quiet         int // samples in which there was nothing
	subject       *store.Subject[store.SymptomID, store.Symptom]
}

const (
	// symptomRests is for how many samples a symptom that is over stays the same subject.
	symptomRests = 60
	// symptomsMost is how many symptoms of a kind a sample tells: of more, the largest. Of the others only their sum is told.
	symptomsMost = 32
	// followed is for how long after a failure the successes beside it are told.
	followed = 5 * time.Minute
)

// newSymptoms makes those of a network namespace; of the whole machine, where it has no number.
func newSymptoms(w *store.Writer, ns namespace) *symptoms {
	s := &symptoms{ns: ns, writer: w, source: w.SourceIn(ns.id, "symptoms"), found: map[store.SymptomID]*symptom{}, services: map[service]*connecting{}, failing: map[store.Int]time.Duration{}, resent: map[store.SymptomID]*resending{}, silent: map[[16]byte]*silent{},
		late: 3*w.Interval() + 10*time.Second}
	s.set = store.NewSet(s.source, store.Symptoms)
	return s
}

// watch has the other sources of the network namespace, or of the machine, tell what they see.
func (s *symptoms) watch(others []source) {
	for _, o := range others {
		switch o := o.(type) {
		case *protocolCounters:
			o.symptoms = s
		case *conntrack:
			o.symptoms = s
		case *interfaces:
			o.symptoms = s
		case *neighbors:
			o.symptoms = s
		case *routes:
			o.symptoms = s
		}
	}
}

// grew tells that a counter grew, and of how many it is a part; 0: that is not known. acute says that something was lost.
func (s *symptoms) grew(id store.SymptomID, by, of uint64, acute bool) {
	if s == nil || by == 0 {
		return
	}
	f := s.of(id)
	f.grows = true
	f.add(int64(by), int64(of))
	s.acute = s.acute || acute
}

// holds tells of a state.
func (s *symptoms) holds(id store.SymptomID, amount, total int64) {
	if s == nil || amount == 0 {
		return
	}
	s.of(id).add(amount, total)
}

// waits tells of one of the sockets that wait, and for how long.
func (s *symptoms) waits(id store.SymptomID, age time.Duration) {
	f := s.of(id)
	f.amount++
	f.total, f.hasTotal = max(f.total, int64(age/time.Second)), true
}

func (s *symptoms) of(id store.SymptomID) *symptom {
	id.NetNS = s.ns.id
	f := s.found[id]
	if f == nil {
		f = &symptom{}
		s.found[id] = f
	}
	f.there = true
	return f
}

func (f *symptom) add(amount, total int64) {
	f.amount += amount
	if total != 0 {
		f.total, f.hasTotal = f.total+total, true
	}
}

// startOver forgets what the recording calls them: it is another one.
func (s *symptoms) startOver() {
	if s != nil {
		clear(s.found)
		s.last = 0
	}
}

func (s *symptoms) recorded() *store.Source { return s.source }

func (s *symptoms) read(context.Context) {
	s.source.Read(func() error {
		s.lookAtResent()
		s.forgetAnswers()
		s.lookAtPorts()
		s.lookAtGateways()
		now := s.writer.Uptime()
		late := s.last == 0 || now-s.last > s.late
		s.last = now
		if late {
			s.acute = false
		}
		if len(s.found) == 0 {
			return nil
		}
		s.limit()
		for id, f := range s.found {
			if !f.there || late && f.grows {
				if f.quiet++; f.quiet > symptomRests || !s.set.Rest(f.subject) {
					delete(s.found, id)
					continue
				}
				*f = symptom{subject: f.subject, quiet: f.quiet}
				continue
			}
			v := store.Symptom{Amount: store.Of(f.amount)}
			if f.hasTotal {
				v.Total = store.Of(f.total)
			}
			*f = symptom{subject: s.set.Put(id, v)}
		}
		return nil
	})
}

// limit sums up the least of a kind of which there are too many.
func (s *symptoms) limit() {
	if len(s.found) <= symptomsMost {
		return
	}
	kinds := map[string][]store.SymptomID{}
	for id, f := range s.found {
		if f.there {
			kinds[id.Symptom] = append(kinds[id.Symptom], id)
		}
	}
	for kind, ids := range kinds {
		if len(ids) <= symptomsMost {
			continue
		}
		slices.SortFunc(ids, func(a, b store.SymptomID) int {
			return cmp.Or(cmp.Compare(s.found[b].amount, s.found[a].amount), cmp.Compare(a.RemoteAddr, b.RemoteAddr), cmp.Compare(a.RemotePort.Or(0), b.RemotePort.Or(0)))
		})
		rest := s.of(store.SymptomID{Symptom: kind})
		for _, id := range ids[symptomsMost:] {
			f := s.found[id]
			rest.grows = f.grows
			rest.add(f.amount, f.total)
			delete(s.found, id)
		}
	}
}

// forgetUnreachable begins to learn which neighbours do not answer.
func (s *symptoms) forgetUnreachable() {
	if s != nil {
		s.unreachable = s.unreachable[:0]
	}
}

// neighborsMost is how many neighbours that do not answer are remembered: a scan leaves thousands.
const neighborsMost = 4096

func (s *symptoms) isUnreachable(dev, addr string) {
	if s != nil && len(s.unreachable) < neighborsMost {
		s.unreachable = append(s.unreachable, neighborAt{dev, addr})
	}
}

// forgetGateways begins to learn where the default routes go.
func (s *symptoms) forgetGateways() {
	if s != nil {
		s.gateways = s.gateways[:0]
	}
}

func (s *symptoms) isGateway(dev, addr string) {
	if s != nil && addr != "" {
		s.gateways = append(s.gateways, neighborAt{dev, addr})
	}
}

// lookAtGateways tells which of the gateways of the default routes do not answer on the link.
func (s *symptoms) lookAtGateways() {
	for _, g := range s.gateways {
		if slices.Contains(s.unreachable, g) {
			s.holds(store.SymptomID{Symptom: "gateway unreachable", RemoteAddr: g.addr, Dev: g.dev}, 1, 0)
		}
	}
}

// isAcute reports whether this sample is worth a closer look, and forgets it.
func (s *symptoms) isAcute() bool {
	if s == nil || !s.acute {
		return false
	}
	s.acute = false
	return true
}
