package query

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// .at steps from sample to sample and from event to event, and says what stood there.
func TestAtSteps(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path) // a sample every 5 s; the default route goes with the tenth
	var out, said bytes.Buffer
	s, err := NewShell(r, ShellConfig{Out: &out, Err: &said, Terminal: true, Width: func() int { return 80 }})
	if err != nil {
		t.Fatal(err)
	}
	at := func(arg string, want time.Duration, words string) {
		t.Helper()
		out.Reset()
		if err := s.Script(t.Context(), ".at "+arg); err != nil {
			t.Errorf(".at %s: %v", arg, err)
			return
		}
		ts, _, err := r.atSample(t.Context())
		if err != nil || ts != unixSeconds(began.Add(want)) {
			t.Errorf(".at %s is %s, %v; want %v after the begin", arg, unixTime(ts), err, want)
		}
		if !strings.Contains(out.String(), words) {
			t.Errorf(".at %s says %q, not %q", arg, out.String(), words)
		}
	}
	at(began.Add(20*time.Second).Format(localSeconds), 20*time.Second, "; default via 10.0.0.254 dev eth0")
	at("+1", 25*time.Second, "at() is ")
	at("-2", 15*time.Second, "")
	at("+3 samples", 30*time.Second, "")
	at("next event", 50*time.Second, "route removed default via 10.0.0.254 dev eth0")
	at("", 50*time.Second, "; no default route")
	at("prev event", 45*time.Second, "route removed")
	for arg, want := range map[string]string{"+1000": "not so many samples", "-1000": "not so many samples", "+0": "by how many samples?"} {
		if err := s.Script(t.Context(), ".at "+arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf(".at %s: %v", arg, err)
		}
	}
	at("", 45*time.Second, "6 sockets: 5 tcp ESTABLISHED, 1 tcp TIME_WAIT; ") // what there is most of stands first
	at("", 45*time.Second, "at() is ")                                        // a step that fails goes nowhere
	since, until, _, err := r.Window(t.Context())
	if err != nil || until.Sub(since) != time.Hour {
		t.Errorf("the window is %s to %s, %v", since, until, err)
	}
}

// Who is no person is not told what stood there, nor is anybody told of nothing.
func TestAtSaysNothing(t *testing.T) {
	t.Parallel()
	r := twoSamples(t, func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {}, func(*store.Source, *store.Set[store.InterfaceID, store.Interface]) {})
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		s, err := NewShell(r, ShellConfig{Out: &out, Err: &out, Terminal: terminal, Width: func() int { return 80 }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), ".at "+began.Add(21*time.Second).Format(localSeconds)); err != nil {
			t.Fatal(err)
		}
		if text := out.String(); strings.Contains(text, "socket") || strings.Contains(text, "route") || (text != "") != terminal {
			t.Errorf("on a terminal %v: %q", terminal, text)
		}
	}
}
