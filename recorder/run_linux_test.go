package recorder

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Run refuses an interval out of bounds before it touches anything.
func TestRunRefusesIntervals(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, MinInterval - 1, MaxInterval + 1} {
		path := filepath.Join(t.TempDir(), "never.db")
		if err := Run(t.Context(), Config{Path: path, Interval: d, Once: true}); err == nil {
			t.Errorf("interval %v is taken", d)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("interval %v made a file", d)
		}
	}
}
