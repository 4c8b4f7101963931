//go:build unix

package store

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A recorder that is killed at any moment, also while it opens the recording, leaves a sound file in which every sample that was
// committed is as the law says; at most the one under way is lost, and the pause is a gap. The recorder is a process of
// its own, which writes without a pause, and prints each sample that it begins, and that it committed and what that must show.
//
// NETSQL_KILLS is how many are killed, in all.
func TestKilledRecorder(t *testing.T) {
	if path := os.Getenv("NETSQL_TEST_KILLED"); path != "" {
		recordUntilKilled(t, path)
		return
	}
	t.Parallel()
	kills := 12
	if n := os.Getenv("NETSQL_KILLS"); n != "" {
		fmt.Sscan(n, &kills)
	}
	const each = 4 // of one recording: the next recorder takes over from the last one's remains
	for seed := range (kills + each - 1) / each {
		t.Run(fmt.Sprintf("recording %d", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, 0)
			h.killed = true
			r := rand.New(rand.NewPCG(uint64(seed), 11))
			lost := 0
			for round := range each {
				from := []string{"open", "begin", "begin", "begin"}[r.IntN(4)]
				k := killAfter(t, h.path, seed*each+round, from, time.Duration(r.Int64N(int64(250*time.Millisecond))))
				h.shots = append(h.shots, k.shots...)
				if k.begun > len(k.shots)+1 {
					t.Fatalf("%d samples were begun and %d committed", k.begun, len(k.shots))
				}
				lost += k.begun - len(k.shots)
			}
			if len(h.shots) == 0 {
				return // killed too early each time
			}
			h.check()
			checkKilled(t, h, lost)
		})
	}
}

// A killed is what a recorder has printed until it was killed.
type killed struct {
	begun int
	shots []shot
}

// printed is a sample as the child prints it.
type printed struct {
	TS   float64
	Rows map[string][]string
}

// killAfter kills a recorder after so long from when it first prints that word.
func killAfter(t *testing.T, path string, seed int, from string, delay time.Duration) (k killed) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledRecorder$")
	cmd.Env = append(os.Environ(), "NETSQL_TEST_KILLED="+path, "TMPDIR="+t.TempDir(), fmt.Sprintf("NETSQL_TEST_SEED=%d", seed))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	wasKilled := make(chan error, 1)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		word, text, _ := strings.Cut(lines.Text(), " ")
		if word == from {
			time.AfterFunc(delay, func() { wasKilled <- cmd.Process.Kill() })
			from = ""
		}
		switch word {
		case "begin":
			k.begun++
		case "sample":
			var p printed
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				t.Fatal(err)
			}
			k.shots = append(k.shots, shot{p.TS, p.Rows})
		default:
			fmt.Fprintln(&said, lines.Text())
		}
	}
	if from != "" {
		cmd.Wait()
		t.Fatalf("the recorder ended by itself, before it came to %s: %s", from, said.String())
	}
	if err := <-wasKilled; err != nil {
		t.Fatalf("the recorder ended by itself: %v: %s", err, said.String())
	}
	cmd.Wait()
	return k
}

func recordUntilKilled(t *testing.T, path string) {
	var seed uint64
	fmt.Sscan(os.Getenv("NETSQL_TEST_SEED"), &seed)
	h := newHistory(t, seed)
	h.path, h.wall = path, h.wall.Add(time.Duration(seed)*time.Hour)
	fmt.Println("open")
	h.start()
	h.begun = func() { fmt.Println("begin") }
	for {
		before := len(h.shots)
		h.step()
		if len(h.shots) == before {
			continue // canceled
		}
		s := h.shots[len(h.shots)-1]
		text, err := json.Marshal(printed{s.ts, s.rows})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("sample %s\n", text)
	}
}

// checkKilled: of the samples under way, those that are there are the ones that were not heard of, and between each recorder
// that has taken a sample and the next there is a gap, from the last sample to the first.
func checkKilled(t *testing.T, h *history, underWay int) {
	db := openForTest(t, h.path)
	defer db.Close()
	var samples, runs, gaps int
	if err := db.QueryRow(`WITH r AS (SELECT run, min(ts) AS first, max(ts) AS last FROM sample GROUP BY run),
		pauses AS (SELECT lag(last) OVER (ORDER BY run) AS since, first AS until FROM r)
		SELECT (SELECT count(*) FROM sample), (SELECT count(*) FROM r), (SELECT count(*) FROM pauses JOIN gap USING (since, until) WHERE kind = 'crashed')`).
		Scan(&samples, &runs, &gaps); err != nil {
		t.Fatal(err)
	}
	unheard := samples - len(h.shots)
	if unheard < 0 || unheard > underWay {
		t.Errorf("%d samples are there; %d were committed and %d under way", samples, len(h.shots), underWay)
	}
	if gaps != runs-1 {
		t.Errorf("%d runs took samples, and %d gaps lie between them: %q", runs, gaps, texts(t, db, "SELECT since, until, kind FROM gap WHERE source IS NULL"))
	}
	t.Logf("%d samples; of %d under way %d are there; %d gaps", samples, underWay, unheard, gaps)
}
