package store

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// replayFile is a file with the choices of a history: go test ./store -run TestReplay -history FILE.
var replayFile = flag.String("history", "", "replay the history of this `FILE`, which a failing law has written")

// choices are all random numbers of a history, step by step. A law that fails is run again with fewer of them, until none can be left out: each
// step can be, for the world of a history does not depend on how it came to be as it is.
type choices struct {
	steps [][]uint64
	fresh *rand.PCG // makes new ones; nil: the steps are replayed
	at    int       // step under way
	next  int       // in it
}

func newChoices(seed uint64) *choices {
	return &choices{fresh: rand.NewPCG(seed, 7), steps: make([][]uint64, 1)}
}

// Uint64 makes choices a rand.Source. A replayed step that has no choices left takes numbers that are the same each time; not 0 again and again, which
// rand draws again for ever.
func (c *choices) Uint64() uint64 {
	if c.fresh != nil {
		v := c.fresh.Uint64()
		c.steps[c.at] = append(c.steps[c.at], v)
		return v
	}
	c.next++
	if c.at >= len(c.steps) || c.next > len(c.steps[c.at]) {
		return uint64(c.next) * 0x9e3779b97f4a7c15
	}
	return c.steps[c.at][c.next-1]
}

// step begins the next one, and reports whether there is one.
func (c *choices) step() bool {
	c.at++
	c.next = 0
	if c.fresh != nil {
		c.steps = append(c.steps, nil)
		return true
	}
	return c.at < len(c.steps)
}

// replayed are the same choices from the begin.
func (c *choices) replayed() *choices { return &choices{steps: c.steps} }

// write and readChoices keep choices as text: a step on each line.
func (c *choices) write(path string) error {
	var b strings.Builder
	for _, step := range c.steps {
		for i, v := range step {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strconv.FormatUint(v, 36))
		}
		b.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

func readChoices(path string) (*choices, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := &choices{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var step []uint64
		for word := range strings.FieldsSeq(lines.Text()) {
			v, err := strconv.ParseUint(word, 36, 64)
			if err != nil {
				return nil, fmt.Errorf("%s, step %d: %w", path, len(c.steps), err)
			}
			step = append(step, v)
		}
		c.steps = append(c.steps, step)
	}
	return c, lines.Err()
}

// A trial is a test whose failure is wanted: it is said and not counted.
type trial struct {
	testing.TB
	ctx      context.Context
	dir      string
	said     []string
	cleanups []func()
}

func (t *trial) Helper()                  {}
func (t *trial) Context() context.Context { return t.ctx }
func (t *trial) TempDir() string          { return t.dir }
func (t *trial) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *trial) Log(args ...any)          {}
func (t *trial) Logf(string, ...any)      {}
func (t *trial) Failed() bool             { return len(t.said) > 0 }
func (t *trial) Error(args ...any)        { t.said = append(t.said, fmt.Sprint(args...)) }
func (t *trial) Errorf(format string, args ...any) {
	t.said = append(t.said, fmt.Sprintf(format, args...))
}
func (t *trial) FailNow()          { runtime.Goexit() }
func (t *trial) Fatal(args ...any) { t.Error(args...); t.FailNow() }
func (t *trial) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	t.FailNow()
}

// try runs a law on the choices, and returns what it has to complain of; "": nothing.
func try(t testing.TB, law func(t testing.TB, c *choices), c *choices) string {
	dir, err := os.MkdirTemp(t.TempDir(), "try")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	trial := &trial{TB: t, ctx: t.Context(), dir: dir}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				trial.said = append(trial.said, fmt.Sprintf("panic: %v", p))
			}
			for _, f := range slices.Backward(trial.cleanups) {
				f()
			}
		}()
		law(trial, c)
	}()
	<-done
	return strings.Join(trial.said, "\n")
}

// shrunk leaves out of failing choices what is not needed for the failure: first the end, then ever smaller pieces, until so much time is over.
// The first step is how the history begins, and stays. A failure of another kind than said is another one.
func shrunk(t testing.TB, law func(t testing.TB, c *choices), failing *choices, said string, most time.Duration) *choices {
	deadline := time.Now().Add(most)
	best := failing.replayed()
	for piece := len(best.steps) / 2; piece > 0; piece /= 2 {
		for again := true; again; {
			again = false
			for end := len(best.steps); end > 1; end -= piece {
				if time.Now().After(deadline) {
					return best.replayed()
				}
				begin := max(1, end-piece)
				fewer := &choices{steps: slices.Concat(best.steps[:begin], best.steps[min(end, len(best.steps)):])}
				if len(fewer.steps) < len(best.steps) && kindOf(try(t, law, fewer)) == kindOf(said) {
					best, again = fewer, piece == 1
				}
			}
		}
	}
	return best.replayed()
}

// kindOf is what a failure says before its first number.
func kindOf(said string) string {
	if end := strings.IndexAny(said, "0123456789\n"); end >= 0 {
		return said[:end]
	}
	return said
}

// holds runs a law on a history that begins with seed. If it fails, it writes a file with the smallest history that fails, too.
func holds(t *testing.T, seed uint64, law func(t testing.TB, c *choices)) {
	t.Helper()
	c := newChoices(seed)
	said := try(t, law, c)
	if said == "" {
		return
	}
	small := shrunk(t, law, c, said, 30*time.Second)
	if again := try(t, law, small.replayed()); again != "" {
		said = again // of the smallest
	}
	name := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()) + ".history"
	path := filepath.Join(os.TempDir(), name)
	if err := small.write(path); err != nil {
		t.Error(err)
	}
	t.Fatalf("%s\n%d of %d steps suffice: go test ./store -run '^TestReplay$' -history %s%s", said, len(small.steps)-1, len(c.steps)-1, path, measures())
}

// TestReplay runs the as-of law on the history of a file.
func TestReplay(t *testing.T) {
	if *replayFile == "" {
		t.Skip("-history names no file")
	}
	c, err := readChoices(*replayFile)
	if err != nil {
		t.Fatal(err)
	}
	asOfLaw(t, c)
}

// A law that breaks is shown in the fewest steps that break it, and those can be kept in a file and run again: here one that breaks at the third
// step which draws a multiple of ten.
func TestFailingHistoriesShrink(t *testing.T) {
	t.Parallel()
	law := func(t testing.TB, c *choices) {
		r := rand.New(c)
		begin := r.IntN(1000)
		broken := 0
		for n := 0; n < 200 && c.step(); n++ {
			if r.IntN(10) == 0 && r.IntN(3) < 5 {
				broken++
			}
			if broken == 3 {
				t.Fatalf("it began with %d", begin)
			}
		}
	}
	c := newChoices(5)
	said := try(t, law, c)
	if said == "" {
		t.Fatal("the law does not break")
	}
	small := shrunk(t, law, c, said, time.Minute)
	path := filepath.Join(t.TempDir(), "a.history")
	if err := small.write(path); err != nil {
		t.Fatal(err)
	}
	read, err := readChoices(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(read.steps); n != 4 {
		t.Errorf("%d steps are left, want the first and three", n)
	}
	if again := try(t, law, read); again != said {
		t.Errorf("%q broke it, and of the file %q", said, again)
	}
	if _, err := readChoices(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
