package main

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// A time, a size or a number that makes no sense is refused in one sentence that names the flag, before anything is opened or written.
func TestSenselessValues(t *testing.T) {
	t.Setenv("NETSQL_DB", t.TempDir()+"/none.db")
	for _, line := range []string{
		"record --for -5s", "record --for 0", "record --for=-1d", "record --for 1e400s", "record --for 999999999d",
		"record --interval -5s", "record --interval 0", "record --interval 2h",
		"record --keep -30d", "record --keep-minutes -1m", "record --keep-hours -1h", "record --keep-days -1d", "record --keep 999999999d",
		"record --max-size -1", "record --max-size 99999999999GiB", "record --close-budget -1", "record --close-budget 99999999999999999999",
		"bench --interval -1s", "bench --samples 0", "bench --days NaN", "bench --days -1", "bench --sockets -5",
		"--timeout -5s", "--timeout 999999999d",
	} {
		t.Run(line, func(t *testing.T) {
			err := run(t.Context(), strings.Fields(line), stdio{os.Stdin, os.Stdout, os.Stderr})
			var usage *usageError
			if !errors.As(err, &usage) {
				t.Fatalf("got %v, want a usage error", err)
			}
			if name, _, _ := strings.Cut(strings.Fields(line[strings.Index(line, "--"):])[0], "="); !strings.HasPrefix(err.Error(), name) {
				t.Errorf("%q does not begin with %s", err, name)
			}
			if got := exitCode(err, io.Discard); got != exitUsage {
				t.Errorf("exit code %d, want %d", got, exitUsage)
			}
		})
	}
}
