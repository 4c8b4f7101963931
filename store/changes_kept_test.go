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

// The law of settings: a change is later than the last sample that read them, however many samples kept them since, and
// whether their source failed or the recorder was started again meanwhile.
func TestChangesOfWhatIsKept(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			keptLaw(t, rand.New(rand.NewPCG(seed, 17)))
		})
	}
}

func keptLaw(t *testing.T, random *rand.Rand) {
	path := filepath.Join(t.TempDir(), "kept.db")
	up := time.Duration(0)
	type place struct {
		source   *Source
		set      *Set[SettingID, Setting]
		subjects []*Subject[SettingID, Setting]
		truth    map[string]string
		shown    map[string]string // by the last sample that read it
		read     float64           // ts of that; 0: none did
	}
	places := []*place{{truth: map[string]string{}}, {truth: map[string]string{}}}
	var w *Writer
	begin := func() {
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "one"}}); err != nil {
			t.Fatal(err)
		}
		for i, p := range places {
			p.source = w.SourceIn(Of(i+1), "settings")
			p.set, p.subjects = NewSet(p.source, Settings), nil
			other := w.SourceIn(Of(i+1), "rules") // which is read all the time
			NewSet(other, Rules)
		}
	}
	begin()
	var want []string
	restart := false
	for sample := range 400 {
		first := restart
		restart = random.IntN(40) == 0
		if first {
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
			// For a long time, longer than a span of sources may last, nothing is read.
			long := i == 0 && sample >= 150 && sample < 150+int(Sources.K)+30
			p.source.Read(func() error {
				keep := p.subjects != nil && (long || random.IntN(3) > 0)
				for _, s := range p.subjects {
					keep = keep && p.set.Keep(s)
				}
				if keep {
					p.source.duration += time.Duration(random.IntN(2)) * time.Millisecond
					return ErrKept
				}
				p.subjects = nil
				// What was not read in the last sample of a run, or in the first of the next, is added again in the recording:
				// it is not known to be the same.
				if !long && random.IntN(8) == 0 && !first && !restart {
					return errors.New("no")
				}
				p.subjects = []*Subject[SettingID, Setting]{}
				for _, name := range slices.Sorted(maps.Keys(p.truth)) {
					p.subjects = append(p.subjects, p.set.Put(SettingID{NetNS: Of(i + 1), Name: name}, Setting{Value: p.truth[name]}))
				}
				if len(p.subjects) == 0 {
					p.subjects = nil
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
						if p.read > 0 {
							after = fmt.Sprintf("%.3f", p.read-1000)
						}
						want = append(want, fmt.Sprintf("%.3f %s %d %s %s", ts-1000, change, i+1, name, after))
					}
				}
				p.shown = maps.Clone(p.truth)
				p.read = ts
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
	got := s.ask(`SELECT printf('%.3f %s %d %s %s', ts - 1000, change, netns, name, iif(after IS NULL, 'NULL', printf('%.3f', after - 1000))) FROM setting_changes`)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if len(want) < 50 {
		t.Errorf("only %d changes", len(want))
	}
}
