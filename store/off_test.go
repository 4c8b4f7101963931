package store

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// While the owners of sockets are switched off, or fail, nobody knows when a process ends: of one that is missing after it, events do not say that it
// went in the first sample that looked again. Of one that is missing in the sample after it was seen, they do.
func TestProcessesGoneWhileOwnersAreOff(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]error{"off": &OffError{"--without owners"}, "failed": errors.New("the kernel is busy")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "off.db")
			w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			owners := w.Source("owners")
			procs := NewSet(owners, Processes)
			for i := range 8 {
				up := 10 * time.Second * time.Duration(i+1)
				w.Begin(Clock{Wall: shapedAt(i), Uptime: up, Awake: up})
				owners.Read(func() error {
					if i == 4 || i == 5 {
						return fate
					}
					for p, last := range []int{2, 3, 9} {
						if i <= last {
							procs.Put(ProcessID{PID: Of(p + 1), Started: 1.6e9, Comm: []string{"seen to go", "gone meanwhile", "stays"}[p]}, Process{})
						}
					}
					return nil
				})
				if err := w.Commit(t.Context(), Cost{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			db := openLeaks(t, path, unixSeconds(shapedAt(0)), unixSeconds(shapedAt(7)), false)
			defer db.Close()
			if diff := cmp.Diff([]string{"seen to go"}, texts(t, db, "SELECT comm FROM events WHERE object = 'process' AND event = 'gone'")); diff != "" {
				t.Errorf("gone (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{name}, texts(t, db, "SELECT kind FROM gaps")); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
}
