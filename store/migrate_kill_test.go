//go:build unix

package store

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A process that is killed in the middle of an upgrade, when much of it is on the disk already, leaves the recording as it was.
func TestKilledUpgrade(t *testing.T) {
	if path := os.Getenv("NETSQL_TEST_UPGRADE"); path != "" {
		upgradeUntilKilled(t, path)
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 1)
	questions := fillFormat(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledUpgrade$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_UPGRADE="+path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	written := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for deadline := time.Now().Add(time.Minute); written() < 10<<20; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("the upgrade has written %d bytes", written())
			break
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the upgrade ended before it was killed")
	}
	unchanged(t, path, 1, questions)
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
