package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The as-of law holds for a slice: every moment of its time is as in the recording, also while that is being written and
// after it was thinned; so are the events and connections of its time, and nothing of another time is there.
func TestAsOfLawOfSlices(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 1200+seed)
			h.limits.MaxSize = 1 << 30
			h.start()
			for range 150 {
				h.step()
				if seed%2 == 1 {
					h.thinSome()
				}
				if h.rand.IntN(40) == 0 {
					if err := h.w.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					h.restart()
				}
			}
			shots := h.inFile()
			first := h.rand.IntN(len(shots) - 30)
			last := first + 10 + h.rand.IntN(len(shots)-first-20)
			if seed >= 6 {
				last = len(shots) - 1
			}
			path := filepath.Join(t.TempDir(), "slice.db")
			// Between samples: one before and one after it belong to the time.
			since, until := shots[first].ts+1e-4, shots[last].ts-1e-4
			result, err := Slice(t.Context(), h.path, path, since, until)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := sql.Open("sqlite", DSN(h.path))
			if err != nil {
				t.Fatal(err)
			}
			defer whole.Close()
			part, err := sql.Open("sqlite", DSN(path))
			if err != nil {
				t.Fatal(err)
			}
			defer part.Close()
			var samples int64
			for i, s := range shots {
				in := s.ts >= result.First && s.ts <= result.Last
				if i >= first+1 && i <= last-1 && !in {
					t.Fatalf("sample %d is not in the slice", i)
				}
				kept := texts(t, whole, "SELECT count(*) FROM samples WHERE ts = ?", s.ts)[0] == "1"
				if in && kept {
					samples++
				}
				for name, query := range lawQueries {
					want := slices.Clone(s.rows[name])
					if seed%2 == 1 && in { // amounts were added up
						want = texts(t, whole, query, s.ts)
					}
					if !in {
						want = nil
					}
					got := texts(t, part, query, s.ts)
					slices.Sort(want)
					slices.Sort(got)
					if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
						t.Fatalf("%s at sample %d, in the slice of %d to %d (- want, + got):\n%s", name, i, first, last, diff)
					}
				}
			}
			if samples != result.Samples || samples == 0 {
				t.Errorf("%d samples, the result says %d", samples, result.Samples)
			}
			for _, question := range []string{
				"SELECT ts, ifindex, rx_bytes FROM interface_deltas WHERE ts > ?1 AND ts < ?2 ORDER BY 1, 2",
				"SELECT ts, change, ifindex, was, now FROM interface_changes WHERE ts > ?1 AND ts < ?2 ORDER BY 1, 2, 3",
				"SELECT ts, samples, netns, comm, state, avg_count, min_count, max_count FROM socket_counts_1m WHERE ts >= ?1 AND ts + 60 <= ?2 ORDER BY 1, 2, 3, 4, 5",
				"SELECT ts, netns, comm, bytes_sent FROM traffic_rates_1m WHERE ts >= ?1 AND ts + 60 <= ?2 ORDER BY 1, 2, 3",
				"SELECT since, until, kind, source FROM gaps WHERE since > ?1 AND until < ?2 ORDER BY 1, 2, 3, 4",
			} {
				if diff := cmp.Diff(texts(t, whole, question, result.First, result.Last), texts(t, part, question, result.First, result.Last)); diff != "" {
					t.Errorf("%s\n(- recording, + slice):\n%s", question, diff)
				}
			}
			events := func(path string) []string {
				db, err := sql.Open("sqlite", DSN(path))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				db.SetMaxOpenConns(1)
				for _, v := range Views() {
					if v.Name == "window" {
						v.Body = fmt.Sprintf("SELECT %.6f AS since, %.6f AS until", since, until)
					} else if v.Name != "events" && v.Name != "connections" {
						continue
					}
					if _, err := db.Exec(`CREATE TEMP VIEW "` + v.Name + `" AS ` + v.Body); err != nil {
						t.Fatal(err)
					}
				}
				return append(texts(t, db, "SELECT * FROM temp.events WHERE object <> 'gap' ORDER BY ts, what, event"),
					texts(t, db, "SELECT opened, local_addr, local_port, state, comm, bytes_sent, cookie FROM temp.connections ORDER BY opened, local_port")...)
			}
			want, got := events(h.path), events(path)
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" || len(want) < 10 {
				t.Errorf("of %d events (- recording, + slice):\n%s", len(want), diff)
			}
			// Of another time there is nothing.
			for _, t1 := range Tables() {
				for _, question := range []string{
					"SELECT count(*) FROM " + t1.Subject + "_open",
					fmt.Sprintf("SELECT count(*) FROM %s_span WHERE id >> 32 < (SELECT min(id) FROM sample) OR id >> 32 > (SELECT max(id) FROM sample)", t1.Subject),
					fmt.Sprintf("SELECT count(*) FROM %s WHERE last_sample IS NULL OR last_sample > (SELECT max(id) FROM sample)", t1.Subject),
				} {
					if n := texts(t, part, question)[0]; n != "0" {
						t.Errorf("%s gives %s", question, n)
					}
				}
			}
			if err := h.w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			requireSound(t, path)
		})
	}
}

// What cannot be sliced is said, and nothing is left behind.
func TestSliceRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := newHistory(t, 1300)
	h.run(20)
	there := filepath.Join(dir, "there.db")
	writeFile(t, there, []byte("mine"))
	if _, err := Slice(t.Context(), h.path, there, 0, 1e10); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a file that is there: %v", err)
	}
	if _, err := Slice(t.Context(), filepath.Join(dir, "no.db"), filepath.Join(dir, "new.db"), 0, 1e10); err == nil || !strings.Contains(err.Error(), "start one with netsql record") {
		t.Errorf("no recording: %v", err)
	}
	if _, err := Slice(t.Context(), h.path, filepath.Join(dir, "no", "new.db"), 0, 1e10); err == nil {
		t.Error("a folder that is not there: no error")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Slice(canceled, h.path, filepath.Join(dir, "new.db"), 0, 1e10); err == nil {
		t.Error("canceled: no error")
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || string(readFile(t, there)) != "mine" {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
