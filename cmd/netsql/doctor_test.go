package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/query"
	"netsql/store"
)

func found(faults ...string) *query.Diagnosis {
	d := &query.Diagnosis{Path: "night.db", Samples: 9}
	for _, f := range faults {
		d.Findings = append(d.Findings, query.Finding{Fault: f, Severity: "fault", Sure: "certain", What: "what of " + f})
	}
	d.Count()
	return d
}

// doctor --new says what the run before did not, and that what it did say goes on. What was gone for a run is new again.
func TestDoctorSaysWhatIsNew(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for i, c := range []struct {
		d       *query.Diagnosis
		faults  int
		known   int
		verdict string
	}{
		{found("a"), 1, 0, "1 fault in"},
		{found("a"), 0, 1, "nothing new since the last run, which said 1 finding, found again"},
		{found("a", "b"), 1, 1, "1 fault more than the last run said"},
		{found("b"), 0, 1, "nothing new since"},
		{found("a", "b"), 1, 1, "1 fault more"},
		{found(), 0, 0, "nothing found"},
		{found("b"), 1, 0, "1 fault in"},
	} {
		last, err := openSaid(c.d.Path)
		if err != nil {
			t.Fatal(err)
		}
		if err := leaveNew(c.d, last); err != nil {
			t.Fatal(err)
		}
		last.Close()
		if c.d.Faults != c.faults || c.d.Known != c.known || !strings.HasPrefix(c.d.Verdict(), c.verdict) {
			t.Errorf("run %d: %d faults, %d known: %s", i, c.d.Faults, c.d.Known, c.d.Verdict())
		}
	}
}

// doctor --watch prints what came since it looked last, and what is over, and nothing where all goes on.
func TestDoctorWatchTellsTurns(t *testing.T) {
	t.Parallel()
	current := func(d *query.Diagnosis) map[string]query.Finding {
		m := map[string]query.Finding{}
		for _, f := range d.Findings {
			if f.Until.IsZero() {
				m[f.Key()] = f
			}
		}
		return m
	}
	over := found("b")
	over.Findings[0].Until = query.Moment{Time: time.Unix(1_700_000_000, 0)}
	for _, c := range []struct {
		name          string
		before, after *query.Diagnosis
		want, not     string
	}{
		{"the same", found("a"), found("a"), "", "what"},
		{"one came", found("a"), found("a", "b"), "what of b", "what of a"},
		{"two are over", found("a", "b", "c"), found("b"), "over: what of a\nover: what of c\n", "what of b"},
		{"one is over, and in the window still", found("b"), over, "over: what of b\n", "FAULT"},
		{"one came and went between two looks", found(), over, "", "what"},
	} {
		path := filepath.Join(t.TempDir(), "out")
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(writeTurns(c.after, current(c.before), current(c.after), stdio{out: out}, false), out.Close()); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(text); !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) || c.want == "" && got != "" {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

// doctor --watch follows a recording that grows: nothing at first, then a fault that comes, then its end. What it prints makes the recording go on.
func TestDoctorWatchesARecordingThatGrows(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	path := filepath.Join(t.TempDir(), "grows.db")
	w, err := store.Create(ctx, store.Options{Path: path, Interval: 10 * time.Second, Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	source := w.Source("symptoms")
	signs := store.NewSet(source, store.Symptoms)
	tick := 0
	sample := func(drops int) {
		tick++
		up := time.Duration(tick) * 10 * time.Second
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		source.Read(func() error {
			if drops > 0 {
				signs.Put(store.SymptomID{NetNS: store.Of(1), Symptom: "ListenOverflows"}, store.Symptom{Amount: store.Of(drops), Total: store.Of(drops)})
				signs.Put(store.SymptomID{NetNS: store.Of(1), Symptom: "listener drops", LocalPort: store.Of(8080)}, store.Symptom{Amount: store.Of(drops), Total: store.Of(3600)})
			}
			return nil
		})
		if err := w.Commit(ctx, store.Cost{}); err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		sample(0)
	}
	r, err := query.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	ended := make(chan error, 1)
	go func() {
		defer out.Close()
		ended <- watchFindings(ctx, r, stdio{out: out}, time.Millisecond, false)
	}()
	var seen []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "nothing found"):
			seen = append(seen, "nothing")
			for range 6 {
				sample(50)
			}
		case strings.HasPrefix(line, "FAULT"), strings.HasPrefix(line, "WARNING"): // it may look when the first of them are there
			seen = append(seen, "fault")
			if !strings.Contains(line, "did not accept connections to port 8080") {
				t.Error(line)
			}
			for range 40 { // the quiet after which it is over
				sample(0)
			}
		case strings.HasPrefix(line, "over: "):
			seen = append(seen, "over")
			stop()
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := strings.Join(seen, " "); got != "nothing fault over" {
		t.Errorf("it told %q", got)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
