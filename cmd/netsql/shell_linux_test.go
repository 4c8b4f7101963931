package main

import (
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitRunning returns when a statement runs: the editor has given the terminal back, so that Ctrl-C is a
// signal and not a key.
func (c *ptyConsole) waitRunning() {
	c.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if c.modes().Lflag&unix.ISIG != 0 {
			return
		}
	}
	c.t.Fatal("waited in vain for the statement to run")
}

// The real program on a real terminal: statements over several lines, completion, a query that Ctrl-C
// cancels without ending the shell, and Ctrl-D.
func TestShellOnATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("TZ", "UTC")
	c := startConsole(t, 100, 30, "netsql", path)
	c.waitFor("Recorded from 2026-11-23 03:00:00 to 2026-11-23 04:00:00.")
	c.waitPrompt()

	c.send("SELECT comm, state, last_count\r")
	c.waitFor(" ...>")
	c.send("FROM leaks;\r")
	c.waitFor("│ leakd │ CLOSE_WAIT │         60 │")
	c.waitPrompt()

	// Completion knows tables, and the columns of the table named.
	c.send("SELECT gatew\tFROM rout\x1b[D\x1b[C")
	c.waitFor("SELECT gateway")
	c.send("\x03")
	c.waitPrompt()

	// Ctrl-C ends the query and not the shell, however often.
	c.send("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n;\r")
	c.waitRunning()
	c.send("\x03")
	c.waitFor("cancelled")
	c.waitPrompt()
	c.send("\x03\x03")
	c.waitPrompt()
	c.send("SELECT 6 * 7 AS answer;\r")
	c.waitFor("│     42 │")
	c.waitPrompt()

	c.send(".at 03:14 yesteryear\r")
	c.waitFor("error: no time")
	c.waitPrompt()
	c.send(".at 2026-11-23 03:16\r")
	c.waitFor("at() is 2026-11-23 03:16:00")
	c.waitPromptOf("11-23 03:16:00, ended ")
	c.send("SELECT gateway FROM routes WHERE ts = at();\r")
	c.waitFor("│ 10.0.0.254 │")
	c.waitPrompt()
	// Nor does one call of a function that takes hours: a new shell with the same settings stands in its place.
	c.send("SELECT replace(hex(zeroblob(2000000)), '0', 'a') LIKE '%' || replace(hex(zeroblob(20000)), '0', 'a') || 'b';\r")
	c.waitRunning()
	c.send("\x03")
	c.waitFor("cancelled: the shell was restarted")
	c.waitPromptOf("at 11-23 03:16:00, ")
	c.send(".since 2026-11-23 03:00\r")
	c.waitFor("window: 2026-11-23 03:00:00 to 2026-11-23 04:00:00, 332 samples")
	c.waitPromptOf("11-23 03:16:00, since ")
	c.send("\x04")
	c.waitExit()
	if code := c.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
