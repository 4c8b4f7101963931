package store

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// The measures of the store, which decide how it writes and reads and must not decide what an answer is.
var (
	testK     = flag.Int64("k", 0, "let no span of any table be longer than `N` samples; 0: what the table says")
	testBatch = flag.Int("batch", 0, "write `N` rows with one statement; 0: as many as the program does")
	testCache = flag.Int("cache", 0, "keep `N` KB of the file in memory; 0: as much as the program does")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *testK > 0 {
		for _, t := range Tables() {
			t.K = *testK
		}
	}
	if *testBatch > 0 {
		rowsPerBatch = *testBatch
	}
	if *testCache > 0 {
		cacheSize = "cache_size=-" + strconv.Itoa(*testCache)
	}
	m.Run()
}

// measures are those that this process was given, as flags.
func measures() string {
	given := ""
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "k" || f.Name == "batch" || f.Name == "cache" {
			given += fmt.Sprintf(" -%s=%s", f.Name, f.Value)
		}
	})
	return given
}

// The as-of law holds whatever the length of spans, the rows of a statement and the memory for the file. They are the same for all of a process:
// each choice is a process of its own.
func TestAsOfLawUnderOtherMeasures(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(2, 16) {
		r := rand.New(rand.NewPCG(seed, 13))
		measures := []string{
			fmt.Sprintf("-k=%d", 2+r.Int64N(8)),
			fmt.Sprintf("-batch=%d", 1+r.IntN(4)),
			fmt.Sprintf("-cache=%d", 1+r.IntN(40)), // of pages of 4 KB: SQLite takes ten at least
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			law := exec.CommandContext(t.Context(), os.Args[0], append(measures,
				"-test.run=^(TestAsOfLaw|TestAsOfLawWithLimits)$/^seed_0$", "-test.count=1", "-test.v")...)
			law.Env = append(os.Environ(), "NETSQL_LONG=")
			out, err := law.CombinedOutput()
			if n := bytes.Count(out, []byte("    --- PASS")); err != nil || n != 2 {
				t.Errorf("with %q: %v, %d of 2 laws hold\n%s", measures, err, n, out)
			}
		})
	}
}
