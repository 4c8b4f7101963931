package main

import (
	"context"
	"errors"
	"io"
	"os"
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

// lsof exits with 1 where something was not found, and says once that it knows no files. The night has no descriptors.
func TestReplayedLsofExitsAsTheRealOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.db")
	if err := nightUntil(path, time.Minute, func() {}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		line  string
		code  int
		notes int
		out   bool
	}{
		{"-i -nP", exitFailed, 0, false}, {"-i -nP -Q", exitOK, 0, false}, {"-i :1", exitFailed, 0, false}, {"-i :1 -Q", exitOK, 0, false}, {"-i :1 -V", exitFailed, 0, true}, {"-p 2147483647", exitFailed, 1, false},
		{"-c webd", exitOK, 1, false}, {"-c webd -r --from 2000-01-01", exitOK, 1, true}, {"-i -a -Tx", exitUsage, 0, false},
	} {
		dir := t.TempDir()
		out, errs := filepath.Join(dir, "out"), filepath.Join(dir, "err")
		std := stdio{in: os.Stdin}
		var err error
		if std.out, err = os.Create(out); err != nil {
			t.Fatal(err)
		}
		defer std.out.Close()
		if std.err, err = os.Create(errs); err != nil {
			t.Fatal(err)
		}
		defer std.err.Close()
		code := exitCode(run(t.Context(), append([]string{"lsof", "--db", path}, strings.Fields(c.line)...), std), io.Discard)
		text, _ := os.ReadFile(out)
		said, _ := os.ReadFile(errs)
		if notes := strings.Count(string(said), "note: lsof lists sockets here"); code != c.code || notes != c.notes || (len(text) > 0) != c.out {
			t.Errorf("lsof %s: exit %d, %d notes; want %d, %d\n%s%s", c.line, code, notes, c.code, c.notes, text, said)
		}
	}
}
