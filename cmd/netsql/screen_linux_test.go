package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"netsql/store"
)

// On a real terminal of 80 columns and 24 lines every view, whole, and every question of the night is a table, a row or a sentence that leaves the statement
// and the next prompt on the screen.
func TestAnswersFitARealTerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "night.db")
	if err := night(path); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_STATE_HOME", "")
	t.Setenv("TZ", "UTC")
	c := startConsole(t, 80, 24, "netsql", path)
	c.waitPrompt()
	lines := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		row, _ := c.screen.cursor()
		return len(c.screen.scrolled) + row
	}
	ask := func(statement string) int {
		before := lines()
		c.send(statement + "\r")
		c.wait(statement, func(v *vt) bool {
			row, _ := v.cursor()
			line := v.line(v.row)
			return len(v.scrolled)+row > before && strings.HasPrefix(line, "netsql") && strings.HasSuffix(line, ">") && v.col == len(line)+1 && v.paste
		})
		return lines() - before
	}
	views, most := 0, 0
	for _, v := range store.Views() {
		n := ask(fmt.Sprintf("SELECT * FROM %q;", v.Name))
		if views++; n > 24 {
			t.Errorf("%s: %d lines", v.Name, n)
		}
		most = max(most, n)
	}
	questions, longest := 0, 0
	for _, question := range []string{"leaking", "port 443", "peer 10.0.7.13", "talkers", "routes", "queues", "backlog", "drops", "listeners", "counters"} {
		n := ask(".run " + question)
		if questions++; n > 24 {
			t.Errorf(".run %s: %d lines", question, n)
		}
		longest = max(longest, n)
	}
	for _, text := range []string{".help", ".tables", ".at 2026-11-23 03:14", ".at +1"} {
		if n := ask(text); n > 24 {
			t.Errorf("%s: %d lines", text, n)
		}
	}
	t.Logf("%d views at 80 × 24: %d lines at most; %d questions: %d", views, most, questions, longest)
	c.send("\x04")
	c.waitExit()
}
