package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shell whose recording loses its -shm file under it says so, and does not die of it. Who asks after that gets an answer.
func TestShellWithAnEmptiedIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	c := startConsole(t, 200, 40, "netsql", path)
	c.waitFor("Recorded from")
	c.waitPrompt()
	if err := os.Truncate(path+"-shm", 0); err != nil {
		t.Fatal(err)
	}
	c.send("SELECT count(*) FROM routes;\r")
	c.waitFor("night.db-shm was cut short by another program")
	c.waitPromptOf("not readable")
	c.send("\x04")
	c.waitExit()
	if code := c.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	out, err := exec.CommandContext(t.Context(), "netsql", "-m", "list", "-H", path, "SELECT count(*) FROM routes").CombinedOutput()
	if err != nil || string(out) != "332\n" {
		t.Errorf("a new one: %s, %v", out, err)
	}
}

// Who asks a hard link to a recording learns that it is being recorded, under another name, and no pid that would be a guess.
func TestStatusOfAHardLink(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.db")
	link := filepath.Join(t.TempDir(), "link.db")
	status := func() string {
		out, err := exec.CommandContext(t.Context(), "netsql", "status", link).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "netsql: nobody records") {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Join(strings.Fields(string(out)), " ")
	}
	if err := nightUntil(path, time.Minute, func() {
		if err := os.Link(path, link); err != nil {
			t.Fatal(err)
		}
		if got := status(); !strings.Contains(got, "state recording under another name of the same file, by a process that is not known;") {
			t.Errorf("while it is recorded: %s", got)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if got := status(); !strings.Contains(got, "state not recording: the last run by netsql test was stopped at") {
		t.Errorf("afterwards: %s", got)
	}
}
