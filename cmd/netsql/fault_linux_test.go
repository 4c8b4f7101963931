package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A shell whose recording loses its -shm file under it says so, and does not die of it. Who asks anew gets an answer.
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
