package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/cmd/netsql/tools"
	"netsql/query"
)

// A person sees a stretch as fast as it was, or so many times faster; and may stop it at any time.
func TestReplayOfAStretchToAPerson(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.db")
	if err := nightUntil(path, time.Minute, func() {}); err != nil {
		t.Fatal(err)
	}
	r, err := query.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	netstat, _ := tools.Named("netstat")
	c := netstat.Command()
	stretch := &tools.Stretch{From: nightStart, To: nightStart.Add(20 * time.Second), Speed: 100}
	var out strings.Builder
	begin := time.Now()
	if err := replayStretch(t.Context(), r, c, stretch, nil, true, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond || took > 20*time.Second {
		t.Errorf("20 s, 100 times faster, took %v", took)
	}
	if n := strings.Count(out.String(), "\nActive Internet connections"); n != 3 {
		t.Errorf("%d samples of 3", n)
	}
	stretch.Speed = 1e-3
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := replayStretch(ctx, r, c, stretch, nil, true, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
