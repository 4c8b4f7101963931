package main

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lockedNight is a recording that another program keeps locked, so that opening it waits.
func lockedNight(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"PRAGMA journal_mode = delete", "PRAGMA locking_mode = exclusive", "BEGIN EXCLUSIVE"} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// Ctrl-C ends a shell that is still opening its recording.
func TestCtrlCWhileOpening(t *testing.T) {
	path := lockedNight(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	c := startConsole(t, 100, 30, "netsql", path)
	waitOpened(t, c.cmd.Process.Pid, path)
	start := time.Now()
	c.send("\x03")
	c.waitExit()
	if code := c.cmd.ProcessState.ExitCode(); code != exitInterrupted || time.Since(start) > 5*time.Second {
		t.Errorf("exit code %d after %v", code, time.Since(start))
	}
}

// So does --timeout, and Ctrl-C ends a status that waits.
func TestWaitingForALockEnds(t *testing.T) {
	path := lockedNight(t)
	t.Setenv("HOME", t.TempDir())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, args := range [][]string{{"--timeout", "300ms", path, "SELECT 1"}, {"--timeout", "300ms", path, ".status"}} {
		start := time.Now()
		cmd := exec.CommandContext(ctx, "netsql", args...)
		text, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitTimeout || time.Since(start) > 5*time.Second {
			t.Errorf("%v: exit code %d after %v: %s", args, code, time.Since(start), text)
		}
	}
	c := startConsole(t, 100, 30, "netsql", "--timeout", "300ms", path)
	c.waitExit()
	if code := c.cmd.ProcessState.ExitCode(); code != exitTimeout {
		t.Errorf("a shell: exit code %d", code)
	}
	cmd := exec.CommandContext(ctx, "netsql", "status", path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitOpened(t, cmd.Process.Pid, path)
	start := time.Now()
	if err := cmd.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || time.Since(start) > 5*time.Second {
		t.Errorf("status: exit code %d after %v", code, time.Since(start))
	}
}

// waitOpened returns when a process has the file open.
func waitOpened(t *testing.T, pid int, path string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		links, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd", "*"))
		for _, link := range links {
			if to, _ := os.Readlink(link); to == path {
				return
			}
		}
	}
	t.Fatal("waited in vain for the recording to be opened")
}
