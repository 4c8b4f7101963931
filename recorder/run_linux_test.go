package recorder

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"netsql/store"
)

// A full disk costs the samples that cannot be written and nothing else: the recorder says so once and keeps
// running; when there is room again it goes on, and the time between is a gap.
func TestFullDisk(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		needKernel(t, "no tmpfs in a user namespace here: "+err.Error())
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	path, filler := filepath.Join(dir, "full.db"), filepath.Join(dir, "filler")

	var mu sync.Mutex
	var notices []string
	sampled := make(chan struct{}, 1000)
	full := make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Config{
			Path: path, Interval: MinInterval,
			Sampled: func() { sampled <- struct{}{} },
			Notice: func(sentence string) {
				mu.Lock()
				defer mu.Unlock()
				notices = append(notices, sentence)
				if strings.Contains(sentence, "no space") {
					full <- struct{}{}
				}
			},
		})
	}()
	wait := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case err := <-done:
			t.Fatalf("waiting for %s, the recorder ended: %v", what, err)
		case <-time.After(30 * time.Second):
			t.Fatalf("waited in vain for %s", what)
		}
	}
	wait("a sample", sampled)
	// Fill what is left, to the last byte.
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; size /= 2 {
		for {
			if n, err := f.Write(make([]byte, size)); err != nil || n < size {
				break
			}
		}
	}
	f.Close()
	wait("the notice of the full disk", full)
	for len(sampled) > 0 {
		<-sampled
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wait("a sample after there is room again", sampled)
	wait("another", sampled)
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	said := 0
	for _, n := range notices {
		if strings.Contains(n, "no space") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("the full disk was told %d times: %q", said, notices)
	}
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var check string
	var gaps int
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&check); err != nil || check != "ok" {
		t.Errorf("integrity check: %q, %v", check, err)
	}
	if err := db.QueryRow("SELECT count(*) FROM gaps WHERE kind = 'unwritten' AND until > since AND detail LIKE '%could not be written%'").Scan(&gaps); err != nil || gaps == 0 {
		t.Errorf("%d gaps tell of the full disk, %v", gaps, err)
	}
}

// Run refuses an interval out of bounds before it touches anything.
func TestRunRefusesIntervals(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, MinInterval - 1, MaxInterval + 1} {
		path := filepath.Join(t.TempDir(), "never.db")
		if err := Run(t.Context(), Config{Path: path, Interval: d, Once: true}); err == nil {
			t.Errorf("interval %v is taken", d)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("interval %v made a file", d)
		}
	}
}
