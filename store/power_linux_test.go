package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A power failure at any moment, also in the middle of a commit or a checkpoint, leaves a sound file in which the law
// holds for every sample up to some moment. That moment is at most syncEvery back: each sample whose commit was synced is there.
//
// Without that bound, at most what the last checkpoint left in the -wal file is lost: the test prints how many samples.
func TestPowerFailure(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes seconds")
	}
	rounds := uint64(1)
	if n := os.Getenv("NETSQL_POWER_FAILURES"); n != "" {
		fmt.Sscan(n, &rounds)
	}
	for _, every := range []time.Duration{0, forever} {
		t.Run(fmt.Sprintf("synced every %v", every), func(t *testing.T) {
			t.Parallel()
			disk := newTestDisk(t)
			most, cuts := 0, 0
			for seed := range rounds {
				m, n := powerFailures(t, disk, seed, every)
				most, cuts = max(most, m), cuts+n
			}
			t.Logf("%d power failures, at most %d samples lost", cuts, most)
			if every == 0 && most > 0 {
				t.Errorf("%d samples were synced and are lost", most)
			}
		})
	}
}

// powerFailures records onto the disk, cuts the power at several moments and looks at what is left.
func powerFailures(t *testing.T, disk *testDisk, seed uint64, every time.Duration) (most, cuts int) {
	h := newHistory(t, 3000+seed)
	h.path = filepath.Join(disk.folder, fmt.Sprintf("power%d.db", seed))
	h.start()
	h.w.file.syncEvery = every
	// A small -wal file is brought into the recording often.
	h.exec(fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", 10+h.rand.IntN(100)))
	type cut struct {
		folder string
		synced int // samples that had been committed before
	}
	var made []cut
	var committed atomic.Int64
	due, finished := make(chan cut), make(chan struct{})
	go func() {
		defer close(finished)
		for c := range due {
			disk.tell("cut", c.folder, []string{"nothing", "prefix", "any", "any"}[len(made)%4], seed*100+uint64(len(made)))
			made = append(made, c)
		}
	}()
	for i := range 150 {
		h.step()
		committed.Store(int64(len(h.shots)))
		if i > 5 && h.rand.IntN(12) == 0 {
			due <- cut{t.TempDir(), int(committed.Load())} // while the next samples are being written
		}
	}
	close(due)
	<-finished
	if err := h.w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, c := range made {
		left := *h
		left.path, left.trouble = filepath.Join(c.folder, filepath.Base(h.path)), nil
		left.start()
		n := int(left.w.last.id)
		if n > len(h.shots) || n == 0 {
			t.Fatalf("%s: %d samples of %d are there", c.folder, n, len(h.shots))
		}
		if err := left.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		left.w, left.shots = nil, h.shots[:n]
		left.check()
		most = max(most, c.synced-n)
	}
	return most, len(made)
}

// Whatever the disk has against being written, for a while or in the middle of a commit, nothing is lost: what could not be
// written waits in memory, and each trouble is said once when it begins and once when it is over.
func TestDiskErrors(t *testing.T) {
	t.Parallel()
	disk := newTestDisk(t)
	for i, c := range []struct {
		fail, want string
	}{
		{"EIO write fsync", "the disk does not work"},
		{"EIO write fsync read", ""},
		{"EIO fsync", "the disk does not work"},
		{"EIO read", ""},
		{"ENOSPC write", "no space left"},
		{"EDQUOT write", "no space left in the quota"},
		{"EROFS write", "the file system is read-only"},
	} {
		t.Run(c.fail, func(t *testing.T) {
			h := newHistory(t, 4000+uint64(i))
			h.path, h.trouble = filepath.Join(disk.folder, fmt.Sprintf("error%d.db", i)), &trouble{on: true}
			h.start()
			h.w.file.syncEvery = 0
			h.exec("PRAGMA wal_autocheckpoint = 20")
			var notices []string
			h.w.options.Notice = func(n Notice) { notices = append(notices, n.Text) }
			generation := h.w.generation
			for episode := range little(2, 4) {
				notices = nil
				for range 5 + h.rand.IntN(10) {
					h.step()
				}
				if episode%2 == 0 {
					disk.tell("fail", c.fail)
				} else { // in the middle of something
					failing := make(chan struct{})
					go func() { disk.tell("fail", c.fail); close(failing) }()
					for range 3 {
						h.step()
					}
					<-failing
				}
				for range 1 + h.rand.IntN(10) {
					h.step()
				}
				disk.tell("heal")
				// Each sample writes one of those that wait, or more, as long as there is time.
				for waits := 1 + len(h.w.pending.samples); waits > 0; waits-- {
					if h.step(); !h.w.Behind() {
						break
					}
				}
				if h.w.Behind() {
					t.Fatalf("still behind: %v", h.w.trouble)
				}
				if len(notices) > 2 || len(notices) == 2 && (!strings.Contains(notices[0], c.want) || !strings.Contains(notices[1], "recording goes on")) ||
					len(notices) != 2 && c.want != "" {
					t.Errorf("said %q", notices)
				}
				t.Logf("said %q", notices)
			}
			if len(h.trouble.lost) > 0 || h.w.generation != generation {
				t.Errorf("%d samples are lost", len(h.trouble.lost))
			}
			h.check()
			if err := h.w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.w = nil
			h.check()
			h.trouble.checkGaps(h)
		})
	}
}
