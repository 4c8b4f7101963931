package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Gaps are as a model has them that knows only what happened to each sample: when it was, how its source fared, whether the machine slept before it, and
// how the run before it ended. A gap begins with the last sample in which all was well and ends with the first in which it is again; it says what was
// wrong, and another reason is another gap.
func TestGapsAreAsTheModelHasThem(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for _, seed := range seeds(8, 16) {
		gapsOfAStory(t, seed, kinds)
	}
	for _, kind := range []string{"stopped", "crashed", "reboot", "late", "suspended", "clock", "failed", "incomplete", "off", "lost"} {
		if kinds[kind] < 3 {
			t.Errorf("%d gaps of kind %s: too few to say anything", kinds[kind], kind)
		}
	}
}

// A heardOf is what the model knows of a sample.
type heardOf struct {
	ts      float64
	kind    string // of what was wrong with the source; "": nothing
	detail  string
	lost    string
	begins  string // how the run before ended, where this sample is the first of its run: stopped, crashed …
	pause   string // kind of the gap of all sources since the sample before; "": there is none
	pauseIs string // its detail
}

func gapsOfAStory(t *testing.T, seed uint64, kinds map[string]int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 23))
	path := filepath.Join(t.TempDir(), "gaps.db")
	wall, up, awake := time.Unix(1_700_000_000, 0), time.Minute, time.Minute
	boot := 0
	var w *Writer
	var source *Source
	start := func() {
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: fmt.Sprint("boot", boot)}}); err != nil {
			t.Fatal(err)
		}
		source = w.Source("routes")
	}
	start()
	var story []heardOf
	begins := ""
	for n := range 150 {
		if n > 0 && r.IntN(12) == 0 {
			begins = "stopped: the recorder was stopped"
			if r.IntN(2) == 0 {
				begins = "crashed: the recorder ended without closing the recording"
				if err := SayEnded(path, "too early"); runtime.GOOS == "linux" && !errors.Is(err, ErrBusy) {
					t.Fatalf("said of a recorder that has not ended: %v", err)
				}
				w.file.close()
				if n%2 == 0 && runtime.GOOS == "linux" {
					if err := SayEnded(path, "it was\n killed"); err != nil {
						t.Fatal(err)
					}
					begins += ": it was killed"
				}
			} else if err := w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			if r.IntN(3) == 0 {
				boot++
				up, awake = time.Minute, time.Minute
				if begins = begins + ", and the machine was rebooted"; begins[0] == 'c' {
					begins = "reboot" + begins[len("crashed"):]
				}
			}
			start()
		}
		elapsed, slept, ahead := time.Second, time.Duration(0), time.Duration(0)
		now := heardOf{begins: begins}
		switch r.IntN(8) {
		case 0:
			elapsed = 1550 * time.Millisecond // just in time
		case 1, 2:
			elapsed = 1551 * time.Millisecond
			now.pause, now.pauseIs = "late", "samples came late: the machine, or the recorder, was too busy"
		case 3:
			slept = time.Duration(2+r.IntN(9)) * time.Second
			elapsed += slept
			now.pause, now.pauseIs = "suspended", fmt.Sprintf("the machine slept for %v", slept)
		case 4:
			ahead = time.Duration(3+r.IntN(100)) * time.Second
			now.pause, now.pauseIs = "clock", fmt.Sprintf("the clock was set forward by about %v", ahead)
		}
		if begins != "" || n == 0 { // of the time before it, the end of the run before is told
			now.pause, now.pauseIs = "", ""
		}
		up, awake, wall = up+elapsed, awake+elapsed-slept, wall.Add(elapsed+ahead)
		now.ts = unixSeconds(wall)
		w.Begin(Clock{Wall: wall, Uptime: up, Awake: awake})
		if r.IntN(15) == 0 {
			now.lost = fmt.Sprint(1+r.IntN(9), " messages")
			source.Lost(now.lost)
		}
		var fate error
		switch r.IntN(6) {
		case 0:
			now.kind, now.detail = "failed", []string{"no buffer space", "no permission"}[r.IntN(2)]
			fate = errors.New(now.detail)
		case 1:
			now.kind, now.detail = "incomplete", []string{"not root", "too many"}[r.IntN(2)]
			fate = &PartialError{now.detail}
		case 2:
			now.kind, now.detail = "off", []string{"--without routes", "--without all"}[r.IntN(2)]
			fate = &OffError{now.detail}
		case 3:
			fate = ErrKept // what was read last is still all that is known
			if begins == "" && n > 0 && story[n-1].kind == "incomplete" {
				now.kind, now.detail = "incomplete", story[n-1].detail
			}
		}
		source.Read(func() error { return fate })
		if (now.kind == "failed" || now.kind == "off") && r.IntN(2) == 0 {
			source.Read(func() error { return nil }) // a later part of it succeeds: it failed, or was off, all the same
		}
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		story = append(story, now)
		begins = ""
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := texts(t, db, "SELECT printf('%.3f %s %s ', since, iif(until IS NULL, 'open', printf('%.3f', until)), coalesce(source, '-')) || kind || ': ' || coalesce(detail, '') FROM gaps")
	slices.Sort(got)
	want := gapsOf(story, kinds)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("seed %d (-model +gaps):\n%s", seed, diff)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// gapsOf is the model.
func gapsOf(story []heardOf, kinds map[string]int) []string {
	var gaps []string
	add := func(since, until float64, source, kind, detail string) {
		end := "open"
		if until != 0 {
			end = fmt.Sprintf("%.3f", until)
		}
		gaps = append(gaps, fmt.Sprintf("%.3f %s %s %s: %s", since, end, source, kind, detail))
		kinds[kind]++
	}
	firstOfRun := func(i int) bool { return i == 0 || story[i].begins != "" }
	for i, s := range story {
		before := s.ts
		if i > 0 {
			before = story[i-1].ts
		}
		switch {
		case s.begins != "":
			kind, detail, _ := strings.Cut(s.begins, ": ")
			add(before, s.ts, "-", kind, detail)
		case i > 0 && s.pause == "late":
			if story[i-1].pause == "late" {
				break // the gap goes on
			}
			end := i
			for end+1 < len(story) && story[end+1].pause == "late" {
				end++
			}
			add(before, story[end].ts, "-", s.pause, s.pauseIs)
		case i > 0 && s.pause != "":
			add(before, s.ts, "-", s.pause, s.pauseIs)
		}
		since := before // in another run nobody knows
		if firstOfRun(i) {
			since = s.ts
		}
		if s.lost != "" {
			add(since, s.ts, "routes", "lost", s.lost)
		}
		if s.kind == "" || !firstOfRun(i) && story[i-1].kind == s.kind && story[i-1].detail == s.detail {
			continue
		}
		until := 0.0
		for j := i + 1; j < len(story); j++ {
			if firstOfRun(j) { // with the last sample of its run
				until = story[j-1].ts
				break
			}
			if story[j].kind != s.kind || story[j].detail != s.detail {
				until = story[j].ts
				break
			}
		}
		add(since, until, "routes", s.kind, s.detail)
	}
	slices.Sort(gaps)
	return gaps
}
