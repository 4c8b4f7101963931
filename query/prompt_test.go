package query

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"
	"time"

	"netsql/store"
)

// The prompt says which moment is asked for and whether the recording goes on.
func TestPrompt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "prompt.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Second, Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	r := openRecording(t, path)
	s, err := NewShell(r, ShellConfig{Out: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.Local)
	want := func(now time.Time, want string) {
		t.Helper()
		if got := s.Prompt(t.Context(), now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	want(noon, "netsql no sample yet> ")
	w.Begin(store.Clock{Wall: noon, Uptime: time.Hour, Awake: time.Hour})
	if err := w.Commit(t.Context(), store.Cost{}); err != nil {
		t.Fatal(err)
	}
	want(noon.Add(time.Second), "netsql live> ")
	want(noon.Add(70*time.Second), "netsql 1m 10s old> ")
	if _, _, err := r.SetAt(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	want(noon.Add(time.Second), "netsql at 12:00:00, live> ")
	if err := r.SetWindow(t.Context(), noon.Add(-time.Hour), noon); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.SetAt(t.Context(), time.Time{}); err != nil {
		t.Fatal(err)
	}
	want(noon.Add(24*time.Hour), "netsql 11-27 11:00:00 to 11-27 12:00:00, 1d old> ")
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := r.SetWindow(t.Context(), noon.Add(-time.Hour), time.Time{}); err != nil {
		t.Fatal(err)
	}
	want(noon.AddDate(1, 0, 0), "netsql since 2026-11-27 11:00:00, ended 2026-11-27 12:00:00> ")
}
