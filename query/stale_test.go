package query

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// Who asks for now while the recorder is late is told how old now is.
func TestOldNowIsSaid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "late.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	sample := func(age time.Duration) {
		w.Begin(store.Clock{Wall: time.Now().Add(-age), Uptime: time.Hour - age, Awake: time.Hour - age})
		if err := w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	r := openRecording(t, path)
	asked := func(statement string) string {
		var said bytes.Buffer
		s, err := NewShell(r, ShellConfig{Out: &bytes.Buffer{}, Err: &said})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Script(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
		return said.String()
	}
	sample(10 * time.Minute)
	for statement, want := range map[string]string{
		"SELECT count(*) FROM sockets_now":                  "note: the newest sample is 10m",
		"SELECT count(*) FROM samples":                      "",
		"SELECT count(*) FROM sockets WHERE ts = at('now')": "",
	} {
		if got := asked(statement); !strings.HasPrefix(got, want) || want == "" && strings.Contains(got, "newest sample is") {
			t.Errorf("%s: %q", statement, got)
		}
	}
	sample(time.Second)
	if got := asked("SELECT count(*) FROM sockets_now"); got != "" {
		t.Errorf("a sample of a second ago: %q", got)
	}
	ts := 0.0
	if err := r.ask(t.Context(), "SELECT max(ts) FROM samples", &ts); err != nil {
		t.Fatal(err)
	}
	note := func(statement string, age float64) string {
		return r.staleNote(t.Context(), statement, unixTime(ts).Add(time.Duration(age*float64(time.Second))))
	}
	for _, c := range []struct {
		statement string
		age       float64 // of samples that are taken every second
		stale     bool
	}{
		{"SELECT * FROM sockets_now", 4.9, false}, {"SELECT * FROM sockets_now", 5.1, true}, {"SELECT * FROM Sockets_NOW n, samples m", 60, true}, {"SELECT * FROM samples", 60, false},
	} {
		got := note(c.statement, c.age)
		if c.stale != (got != "") || c.stale && !strings.Contains(got, fmt.Sprintf("the recorder, process %d, takes one every 1s and is late", os.Getpid())) {
			t.Errorf("%s after %g s: %q", c.statement, c.age, got)
		}
	}
	sample(0)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := note("SELECT * FROM sockets_now", 60); got != "" {
		t.Errorf("nobody records: %q", got)
	}
}
