package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/query"
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
		if err := leaveNew(c.d); err != nil {
			t.Fatal(err)
		}
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
