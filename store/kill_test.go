//go:build unix

package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A recorder that is killed at any moment leaves a sound file in which every sample that was committed is
// as the law says; at most the one under way is lost. The recorder is a process of its own, which
// prints each sample that it committed and what it must show; it is killed after some of them.
func TestKilledRecorder(t *testing.T) {
	if path := os.Getenv("NETSQL_TEST_KILLED"); path != "" {
		recordUntilKilled(t, path)
		return
	}
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "killed.db")
			h := newHistory(t, 1000+seed)
			h.path, h.killed = path, true
			// Twice: the second recorder takes over from the first one's remains.
			for round := range 2 {
				h.shots = append(h.shots, killAfter(t, path, seed*2+uint64(round), 40+int(seed)*17)...)
				h.check()
			}
		})
	}
}

// printed is a sample as the child prints it.
type printed struct {
	TS   float64
	Rows map[string][]string
}

func killAfter(t *testing.T, path string, seed uint64, samples int) []shot {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRecorder$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_KILLED="+path, fmt.Sprintf("NETSQL_TEST_SEED=%d", seed))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var shots []shot
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "sample ")
		if !ok {
			continue
		}
		var p printed
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Fatal(err)
		}
		shots = append(shots, shot{p.TS, p.Rows})
		if len(shots) == samples {
			// It goes on to write while it is killed; what it still printed counts, too.
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	cmd.Wait()
	if len(shots) < samples {
		t.Fatalf("the recorder ended by itself after %d samples", len(shots))
	}
	return shots
}

func recordUntilKilled(t *testing.T, path string) {
	var seed uint64
	fmt.Sscan(os.Getenv("NETSQL_TEST_SEED"), &seed)
	h := newHistory(t, seed)
	h.path = path
	h.start()
	for {
		before := len(h.shots)
		h.step()
		if len(h.shots) > before {
			s := h.shots[len(h.shots)-1]
			text, err := json.Marshal(printed{s.ts, s.rows})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Printf("sample %s\n", text)
		}
	}
}
