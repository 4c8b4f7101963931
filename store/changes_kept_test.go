package store

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The law of changes of what is read by sources that fail and keep: a change is later than the last sample that looked, however many samples did not
// since, and whether the source failed or the recorder was started again meanwhile, or both. What was there before and is there after was not added.
func TestChangesOfWhatIsKept(t *testing.T) {
	t.Parallel()
	for _, table := range []keptTable{
		{"settings", "setting_changes", "name", false, func(netns int, src *Source) keptSet {
			return &keptSubjects[SettingID, Setting]{set: NewSet(src, Settings), row: func(name, value string) (SettingID, Setting) {
				return SettingID{NetNS: Of(netns), Name: name}, Setting{Value: value}
			}}
		}},
		{"routes", "route_changes", "dst", true, func(netns int, src *Source) keptSet {
			return &keptSubjects[RouteID, Route]{set: NewSet(src, Routes), row: func(name, value string) (RouteID, Route) {
				return RouteID{NetNS: Of(netns), Dst: name}, Route{Gateway: value}
			}}
		}},
	} {
		for _, seed := range seeds(4, 8) {
			t.Run(fmt.Sprintf("%s, seed %d", table.name, seed), func(t *testing.T) {
				t.Parallel()
				keptLaw(t, rand.New(rand.NewPCG(seed, 17)), table)
			})
		}
	}
}

// A keptTable is one that has a view of changes.
type keptTable struct {
	name, view, column string
	keptIsLook         bool // the kernel would have told of a change
	set                func(netns int, src *Source) keptSet
}

type keptSet interface {
	begin()
	put(name, value string)
	keep() bool
}

// keptSubjects are what the last reading put.
type keptSubjects[ID, V comparable] struct {
	set      *Set[ID, V]
	row      func(name, value string) (ID, V)
	subjects []*Subject[ID, V]
}

func (k *keptSubjects[ID, V]) begin() { k.subjects = nil }

func (k *keptSubjects[ID, V]) put(name, value string) {
	id, v := k.row(name, value)
	k.subjects = append(k.subjects, k.set.Put(id, v))
}

// keep reports whether all is kept; nothing is not.
func (k *keptSubjects[ID, V]) keep() bool {
	keep := len(k.subjects) > 0
	for _, s := range k.subjects {
		keep = keep && k.set.Keep(s)
	}
	return keep
}

func keptLaw(t *testing.T, random *rand.Rand, table keptTable) {
	path := filepath.Join(t.TempDir(), "kept.db")
	up := time.Duration(0)
	type place struct {
		source *Source
		set    keptSet
		truth  map[string]string
		shown  map[string]string // by the last sample that read it
		looked float64           // ts of the last sample that looked; 0: none did
	}
	places := []*place{{truth: map[string]string{}}, {truth: map[string]string{}}}
	var w *Writer
	begin := func() {
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "one"}}); err != nil {
			t.Fatal(err)
		}
		for i, p := range places {
			p.source = w.SourceIn(Of(i+1), table.name)
			p.set = table.set(i+1, p.source)
			other := w.SourceIn(Of(i+1), "rules") // which is read all the time
			NewSet(other, Rules)
		}
	}
	begin()
	var want []string
	for sample := range 400 {
		if sample > 0 && random.IntN(40) == 0 {
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			begin()
		}
		up += time.Duration(500+random.IntN(1000)) * time.Millisecond
		ts := 1000 + up.Seconds()
		w.Begin(Clock{Wall: time.Unix(1000, 0).Add(up), Uptime: up, Awake: up})
		for _, s := range w.sources {
			if s.name == "rules" {
				s.Read(func() error { return nil })
			}
		}
		for i, p := range places {
			name := fmt.Sprint("net.", random.IntN(3))
			switch random.IntN(6) {
			case 0, 1:
				p.truth[name] = fmt.Sprint(random.IntN(3))
			case 2:
				delete(p.truth, name)
			}
			// For a long time, longer than a span of sources may last, nothing is read, and later one of them fails.
			broken := i == 1 && sample >= 200 && sample < 200+int(Sources.K)+30
			long := i == 0 && sample >= 150 && sample < 150+int(Sources.K)+30
			p.source.Read(func() error {
				if (long || random.IntN(3) > 0) && !broken && p.set.keep() {
					if table.keptIsLook {
						p.looked = ts
					}
					p.source.duration += time.Duration(random.IntN(2)) * time.Millisecond
					return ErrKept
				}
				p.set.begin()
				if broken || !long && random.IntN(8) == 0 {
					return errors.New("no")
				}
				for _, name := range slices.Sorted(maps.Keys(p.truth)) {
					p.set.put(name, p.truth[name])
				}
				for n := range 3 {
					name := fmt.Sprint("net.", n)
					was, wasThere := p.shown[name]
					now, there := p.truth[name]
					change := ""
					switch {
					case wasThere && !there:
						change = "removed"
					case !wasThere && there:
						change = "added"
					case was != now:
						change = "changed"
					}
					if change != "" && sample > 0 {
						after := "NULL"
						if p.looked > 0 {
							after = fmt.Sprintf("%.3f", p.looked-1000)
						}
						want = append(want, fmt.Sprintf("%.3f %s %d %s %s", ts-1000, change, i+1, name, after))
					}
				}
				p.shown = maps.Clone(p.truth)
				p.looked = ts
				return nil
			})
		}
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, path: path}
	got := s.ask(fmt.Sprintf(`SELECT printf('%%.3f %%s %%d %%s %%s', ts - 1000, change, netns, %s, iif(after IS NULL, 'NULL', printf('%%.3f', after - 1000))) FROM %s`,
		table.column, table.view))
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if len(want) < 50 {
		t.Errorf("only %d changes", len(want))
	}
}
