package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// The recorder says once how far back the recording will reach, when that can be told.
func TestForecast(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "forecast.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: 5 * time.Second, Boot: store.Boot{ID: "b"}, Limits: store.Limits{MaxSize: 64 << 20}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	src := w.Source("all")
	counters := store.NewSet(src, store.InterfaceCountersTable)
	var said []string
	say := func(sentence string) { said = append(said, sentence) }
	early, due := forecaster(t.Context(), path, time.Hour, say), forecaster(t.Context(), path, 0, say)
	for i := range 150 {
		up := time.Duration(i) * 5 * time.Second
		w.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			counters.Put(store.InterfaceID{IfIndex: store.Of(2), Name: "eth0"}, store.InterfaceCounters{RxBytes: store.Of(1000 * i)})
			return nil
		})
		if err := w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		early()
		due()
	}
	if len(said) != 1 || !strings.Contains(said[0], "MiB a day are recorded: 64.0 MiB have room for every sample of ") {
		t.Errorf("said is %q", said)
	}
}

// --without takes names parted by commas, more than once, and says which there are.
func TestWithoutFlag(t *testing.T) {
	t.Parallel()
	var names []string
	f := withoutFlag{&names}
	for _, words := range []string{"conntrack, settings", "sockets"} {
		if err := f.Set(words); err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
	if want := []string{"conntrack", "settings", "sockets"}; !slices.Equal(names, want) {
		t.Errorf("without %q, want %q", names, want)
	}
	for _, words := range []string{"", "weather", "routes,"} {
		if err := f.Set(words); err == nil || !strings.Contains(err.Error(), "conntrack") {
			t.Errorf("%q: %v", words, err)
		}
	}
}
