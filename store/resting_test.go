package store

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A subject that rests for far longer than samples are kept is the same when it is seen again, knows since when it is
// there, and leaves nothing when it is gone. What a boot before left resting is not kept.
func TestRestingLongerThanIsKept(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rest.db")
	tick, boot := 0, "one"
	var w *Writer
	var source *Source
	var set *Set[ProcessID, Process]
	start := func() {
		t.Helper()
		var err error
		if w, err = Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: boot}, Limits: Limits{Keep: 10 * time.Second}}); err != nil {
			t.Fatal(err)
		}
		source = w.Source("owners")
		set = NewSet(source, Processes)
	}
	sample := func(put func()) {
		t.Helper()
		tick++
		up := time.Duration(tick) * time.Second
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		source.Read(func() error {
			put()
			set.Put(ProcessID{PID: Of(3), Comm: "always there"}, Process{})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		for {
			more, err := w.Tidy(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				return
			}
		}
	}
	stop := func() {
		t.Helper()
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		requireSound(t, path)
	}
	ask := func(query string, want ...string) {
		t.Helper()
		db, err := sql.Open("sqlite", DSN(path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if diff := cmp.Diff(want, texts(t, db, query)); diff != "" {
			t.Errorf("at %d: %s (-want +got):\n%s", tick, query, diff)
		}
	}
	one, two := ProcessID{PID: Of(1), Comm: "one"}, ProcessID{PID: Of(2), Comm: "two"}
	var first, second *Subject[ProcessID, Process]
	resting := func() {
		if !set.Rest(first) || !set.Rest(second) {
			t.Error("it may not rest")
		}
	}
	start()
	sample(func() { first, second = set.Put(one, Process{}), set.Put(two, Process{}) })
	for range 200 {
		sample(resting)
	}
	ask("SELECT min(sample) > 150 FROM samples", "1")
	ask("SELECT pid, first_sample, last_sample, gone_sample, since - 1700000000 FROM process", "1 1 1 <nil> 1", "2 1 1 <nil> 1", "3 1 <nil> <nil> 1")
	ask("SELECT count(*) FROM processes WHERE pid < 3", "0")
	sample(func() { set.Put(one, Process{}); set.Rest(second) })
	ask("SELECT pid, ts - 1700000000 FROM processes WHERE pid < 3", "1 202")
	sample(resting)
	stop()
	tick += 5
	start()
	var left []string
	for id := range set.OfLastRun() {
		left = append(left, id.Comm)
	}
	if got := strings.Join(left, " "); len(left) != 3 || !strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("the last run left %q", got)
	}
	sample(func() { first, second = set.RestNamed(one), set.RestNamed(two) })
	if first.Since() != 1_700_000_001 {
		t.Errorf("it is there since %f", first.Since())
	}
	for range 100 {
		sample(resting)
	}
	sample(func() { first, second = set.Put(one, Process{}), nil })
	for range 30 {
		sample(func() { set.Rest(first) })
	}
	ask("SELECT id, pid, gone_sample FROM process WHERE pid < 3", "1 1 <nil>") // the other one is gone, and not kept
	stop()

	boot, tick = "two", tick+5
	start()
	for id := range set.OfLastRun() {
		t.Errorf("%v is of the boot before", id)
	}
	for range 200 {
		sample(func() { set.Put(two, Process{}) })
	}
	ask("SELECT pid FROM process WHERE pid < 3", "2")
	stop()
}

// A process is seen once and gone once, however often it holds no socket; gone when it ended, also where that was while it
// held none, and not where nobody looked. Recordings made before format 6 have a row for each time that it held sockets.
func TestEventsOfProcessesThatRest(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.src = p.w.Source("owners")
	p.procs = NewSet(p.src, Processes)
	handles := map[string]*Subject[ProcessID, Process]{}
	put := func(words ...string) { // program or -program: it rests
		for _, word := range words {
			comm, rests := strings.CutPrefix(word, "-")
			if rests {
				p.procs.Rest(handles[comm])
			} else {
				handles[comm] = p.procs.Put(ProcessID{PID: Of(len(comm)), Started: 1.6e9, Comm: comm, Cmdline: comm}, Process{})
			}
		}
	}
	failed := func() {
		p.n++
		up := time.Duration(p.n) * time.Second
		p.w.Begin(Clock{Wall: playStart.Add(up), Uptime: up, Awake: up})
		p.src.Read(func() error { return sql.ErrNoRows })
		if err := p.w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	sample := func(words ...string) { p.sample(func() { put(words...) }) }
	sample()
	sample("a", "bb", "ccc", "dddd", "eeeee") // 2
	sample("-a", "-bb", "ccc", "-dddd", "eeeee")
	sample("a", "-bb", "DDDD", "eeeee")  // 4: dddd runs another program, ccc holds no socket and does not rest
	sample("-a", "-DDDD", "eeeee")       // 5: bb ended while it rested
	sample("a", "ccc", "-DDDD", "eeeee") // 6: as it was recorded before: ccc is another row
	failed()
	sample("a", "-DDDD") // 8: when ccc and eeeee ended nobody knows
	sample("a", "-DDDD") // 9
	sample("a")          // 10: gone while it rested, long after the gap
	sample()             // 11
	var got []string
	for _, e := range p.events(0) {
		if strings.Contains(e, "|process|") && !strings.HasSuffix(e, "|NULL|NULL|NULL") {
			got = append(got, strings.Join(strings.Split(e, "|")[:5], "|"))
		}
	}
	if diff := cmp.Diff([]string{
		"10|process|gone|DDDD|NULL", "11|process|gone|a|NULL", "2|process|seen|a|NULL", "2|process|seen|bb|NULL", "2|process|seen|ccc|NULL",
		"2|process|seen|dddd|NULL", "2|process|seen|eeeee|NULL", "4|process|exec|DDDD|dddd", "5|process|gone|bb|NULL",
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := p.w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	requireSound(t, p.path)
}
