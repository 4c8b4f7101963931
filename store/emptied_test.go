package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A recording that something empties under the recorder begins again, says so, and says what is missing.
func TestEmptiedRecording(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "emptied.db")
	var said []string
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}, Notice: func(n Notice) { said = append(said, n.Text) }})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("all")
	routes := NewSet(src, Routes)
	for n := range 6 {
		if n == 3 {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
		up := time.Duration(n+1) * time.Second
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			routes.Put(RouteID{NetNS: Of(1), Dst: "0.0.0.0/0"}, Route{Gateway: fmt.Sprintf("10.0.0.%d", n/2)})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatalf("sample %d: %v", n, err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(said) != 1 || !strings.Contains(said[0], path+" was emptied by another program; what is left of the recording is now ") || !strings.Contains(said[0], "recording goes on in "+path) {
		t.Errorf("said %q", said)
	}
	requireSound(t, path)
	want := []string{"4 10.0.0.1", "5 10.0.0.2", "6 10.0.0.2"}
	if diff := cmp.Diff(want, ask(t, path, "SELECT printf('%d %s', ts - 1700000000, gateway) FROM routes")); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
	got := ask(t, path, "SELECT kind || ' until ' || CAST(until - 1700000000 AS INTEGER) || ': ' || detail FROM gaps")
	if len(got) != 1 || !strings.HasPrefix(got[0], "unwritten until 4: what was recorded until then is not in this file") || !strings.Contains(got[0], "was emptied") {
		t.Errorf("gaps: %q", got)
	}
}
