package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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

// sendEndlessCall returns when a call of a function that takes hours runs: nothing else makes the program work once what stands before it is on the screen.
func (c *ptyConsole) sendEndlessCall() {
	c.t.Helper()
	c.send("SELECT 'be' || 'gun'; SELECT replace(hex(zeroblob(2000000)), '0', 'a') LIKE '%' || replace(hex(zeroblob(20000)), '0', 'a') || 'b';\r")
	c.waitFor("begun")
	begin := c.worked()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		if c.worked()-begin > 200*time.Millisecond {
			return
		}
	}
	c.t.Fatal("waited in vain for the function to run")
}

// worked is the CPU time of the program, from /proc/PID/schedstat of its threads.
func (c *ptyConsole) worked() (total time.Duration) {
	c.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", c.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		c.t.Fatal(err, files)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil { // a thread that has ended
			continue
		}
		if ns, _, ok := strings.Cut(string(text), " "); ok {
			n, _ := strconv.ParseInt(ns, 10, 64)
			total += time.Duration(n)
		}
	}
	return total
}

// An interrupt that comes when a statement has ended, or its prompt is made, is taken by what comes then and never lost to what watched before.
func TestInterruptIsNotTakenByWhatHasEnded(t *testing.T) {
	t.Parallel()
	interrupts := make(chan os.Signal, 1)
	for range 1000 {
		_, stop := interruptible(t.Context(), interrupts)
		stop()
		interrupts <- os.Interrupt
		runtime.Gosched()
		select {
		case <-interrupts:
		default:
			t.Fatal("taken")
		}
	}
	ctx, stop := interruptible(t.Context(), interrupts)
	defer stop()
	interrupts <- os.Interrupt
	<-ctx.Done()
}

// A terminal that goes away ends the shell even when a function of SQLite would run for hours.
func TestHangUpEndsAnEndlessCall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	c := startConsole(t, 100, 30, "netsql", path)
	c.waitPrompt()
	c.sendEndlessCall()
	if err := c.cmd.Process.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	_ = c.cmd.Wait()
	if code := c.cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
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
	c.sendEndlessCall()
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
