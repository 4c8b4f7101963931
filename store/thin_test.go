package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The as-of law holds for what is thinned: a sample that is kept shows what was Put in it, save that amounts are those of all
// samples since the one before that is kept; what is not kept shows nothing. Counters grow from one that is kept to the next.
func TestAsOfLawThinned(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(6, 12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 900+seed)
			h.limits.MaxSize = 1 << 30 // Tidy works out what it may, and forgets nothing
			h.start()
			counts := map[float64]map[string]int64{}
			for range 500 {
				before := len(h.shots)
				h.step()
				if len(h.shots) > before {
					ts := h.shots[before].ts
					counts[ts] = map[string]int64{}
					for _, row := range h.shots[before].rows["interface_counters"] {
						var index, bytes int64
						fmt.Sscan(row, &index, &bytes)
						counts[ts][fmt.Sprint(index)] = bytes
					}
				}
				h.thinSome()
				switch h.rand.IntN(60) {
				case 0:
					if err := h.w.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					h.restart()
				case 1:
					h.w.file.close()
					h.restart()
				}
			}
			if err := h.w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			h.checkThinned(counts)
			requireSound(t, h.path)
		})
	}
}

// thinSome takes a few steps of thinning, as if the file were too large.
func (h *history) thinSome() {
	k := h.w.retention
	if h.w.last.id == 0 {
		return
	}
	k.thinning.grains = []grain{{5, "minute", 0, 40}, {30, "hour", 0, 150}}
	h.w.options.Limits.MaxSize = 1
	k.thinning.most = int64(1 + h.rand.IntN(100))
	for range h.rand.IntN(4) {
		if err := h.w.retention.readOldest(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		if more, err := h.w.retention.thin(h.t.Context()); err != nil {
			h.t.Fatal(err)
		} else if !more {
			break
		}
	}
	h.w.options.Limits.MaxSize = h.limits.MaxSize
}

func (h *history) checkThinned(counts map[float64]map[string]int64) {
	h.t.Helper()
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	kept := map[float64]bool{}
	thinned := 0
	rows, err := db.Query("SELECT m.ts, m.back IS NOT 0, m.ts IN (SELECT ts FROM samples), m.run IS NOT lag(m.run) OVER (ORDER BY m.id) OR m.run IS NOT lead(m.run) OVER (ORDER BY m.id) FROM sample m ORDER BY m.id")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var ts float64
		var is, shown, edge bool
		if err := rows.Scan(&ts, &is, &shown, &edge); err != nil {
			h.t.Fatal(err)
		}
		if is != shown || edge && !is {
			h.t.Errorf("the sample of %f is kept: %t, in samples: %t, first or last of a run: %t", ts, is, shown, edge)
		}
		kept[ts] = is
		if !is {
			thinned++
		}
	}
	if thinned < 10 || len(kept) != len(h.shots) {
		h.t.Fatalf("%d samples of %d are thinned; %d were taken", thinned, len(kept), len(h.shots))
	}
	// From the model: what a sample that is kept must show.
	amounts := map[string]int64{}
	var before map[string]int64
	known, told := 0, 0 // growths that both samples tell, and those that the view does
	for _, s := range h.shots {
		for _, row := range s.rows["traffic"] {
			var netns string
			var bytes int64
			fmt.Sscan(row, &netns, &bytes)
			amounts[netns] += bytes
		}
		for name, query := range lawQueries {
			got := texts(h.t, db, query, s.ts)
			want := slices.Clone(s.rows[name])
			switch {
			case !kept[s.ts]:
				want = nil
			case name == "traffic":
				// Who was not there any more by then, or rested, is there for what had moved before.
				for _, row := range want {
					netns, _, _ := strings.Cut(row, " ")
					if _, moved := amounts[netns]; !moved {
						amounts[netns] = 0
					}
				}
				want = nil
				// One that has gone may be there with 0: it was there since, and moved nothing.
				got = slices.DeleteFunc(got, func(row string) bool {
					netns, bytes, _ := strings.Cut(row, " ")
					sum, was := amounts[netns]
					return bytes == "0" && was && sum == 0 && !slices.Contains(s.rows[name], row)
				})
				for netns, bytes := range amounts {
					if bytes != 0 || slices.ContainsFunc(s.rows[name], func(row string) bool { return strings.HasPrefix(row, netns+" ") }) {
						want = append(want, fmt.Sprint(netns, " ", bytes))
					}
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
				h.t.Fatalf("%s at %f, kept %t (- want, + got):\n%s", name, s.ts, kept[s.ts], diff)
			}
		}
		if !kept[s.ts] {
			continue
		}
		clear(amounts)
		// Deltas: what both samples have grew by the difference, unless it fell, or was away and came back meanwhile.
		for index, now := range counts[s.ts] {
			if was, there := before[index]; there && now >= was {
				known++
			}
		}
		for _, row := range texts(h.t, db, "SELECT ifindex, rx_bytes FROM interface_deltas WHERE ts = ? AND rx_bytes IS NOT NULL", s.ts) {
			var index string
			var bytes int64
			fmt.Sscan(row, &index, &bytes)
			was, there := before[index]
			told++
			if now := counts[s.ts][index]; !there || bytes != now-was {
				h.t.Fatalf("interface %s grew by %d until %f; it was %d (%t) and is %d", index, bytes, s.ts, was, there, now)
			}
		}
		before = counts[s.ts]
	}
	if 10*told < 6*known || known < 50 {
		h.t.Errorf("of %d growths from one sample that is kept to the next %d are told", known, told)
	}
	for _, v := range Views() {
		if v.Lives == "" || lawQueries[v.Name] == "" {
			continue
		}
		question := fmt.Sprintf("SELECT count(*) FROM (SELECT * FROM (%s) EXCEPT SELECT * FROM (%s))", v.Body, v.Lives)
		other := fmt.Sprintf("SELECT (SELECT count(*) FROM (%s)) - (SELECT count(*) FROM (%s))", v.Lives, v.Body)
		if a, b := texts(h.t, db, question)[0], texts(h.t, db, other)[0]; a != "0" || b != "0" {
			h.t.Errorf("%s, subject by subject: %s rows are missing, %s more", v.Name, a, b)
		}
	}
}

// An amount that is the same in many samples is not cut off where thinning ends.
func TestThinnedAmountsThatStandStill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "still.db")
	start := time.Unix(1_700_000_000, 0)
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Version: "x", Limits: Limits{MaxSize: 1 << 30}, Boot: Boot{ID: "b", Started: start}})
	if err != nil {
		t.Fatal(err)
	}
	w.retention.thinning.grains = []grain{{10, "minute", 0, 20}}
	src := w.Source("s")
	set := NewSet(src, TrafficTable)
	const samples = 300
	for i := range samples {
		up := time.Duration(i+1) * time.Second
		w.Begin(Clock{Wall: start.Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			set.Put(TrafficID{NetNS: Of(1)}, Traffic{BytesSent: Of(7)})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		tidyUp(t, w)
		w.options.Limits.MaxSize = 1
		for more := i%3 == 0; more; {
			if more, err = w.retention.thin(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		w.options.Limits.MaxSize = 1 << 30
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want := []string{fmt.Sprint(7 * samples), "70"}
	got := append(texts(t, db, "SELECT sum(bytes_sent) FROM traffic"), texts(t, db, "SELECT max(bytes_sent) FROM traffic")...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the sum, and the most of a sample (- want, + got):\n%s", diff)
	}
	requireSound(t, path)
}

// Thinning takes no event away: when sockets were opened, changed their state and were closed is told as before.
func TestEventsAreThereWhenThinned(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(2, 4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 950+seed)
			h.lasting = true // closes are thinned themselves
			h.limits.MaxSize = 1 << 30
			h.run(300)
			events := func() []string {
				db, err := sql.Open("sqlite", DSN(h.path))
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				db.SetMaxOpenConns(1)
				for _, v := range Views() {
					switch v.Name {
					case "window":
						v.Body = "SELECT min(ts) AS since, max(ts) AS until FROM main.sample"
					case "events":
					default:
						continue
					}
					if _, err := db.Exec(`CREATE TEMP VIEW "` + v.Name + `" AS ` + v.Body); err != nil {
						t.Fatal(err)
					}
				}
				return texts(t, db, "SELECT * FROM temp.events WHERE object <> 'gap' ORDER BY ts, what, event")
			}
			want := events()
			h.start()
			h.thinSome()
			for range 500 {
				h.thinSome()
			}
			if err := h.w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, events()); diff != "" || len(want) < 200 {
				t.Errorf("of %d events (- before, + after thinning):\n%s", len(want), diff)
			}
			db, err := sql.Open("sqlite", DSN(h.path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if n := texts(t, db, "SELECT count(*) > 10 FROM sample WHERE back = 0"); n[0] != "1" {
				t.Error("little was thinned")
			}
		})
	}
}
