package store

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// The cache grows where sample after sample writes much, and not because the first finds all new.
func TestCacheFits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		sockets int
		want    int
	}{
		{"little moves", 2000, -restCache},
		{"much moves", 8000, -busyCache},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, err := newWorkload(t.Context(), filepath.Join(t.TempDir(), "cache.db"), test.sockets, 0, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer l.close(context.Background())
			size := func() (n int) {
				if err := l.writer.conn.QueryRowContext(t.Context(), "PRAGMA cache_size").Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			for i := range 1 + busySamples {
				if _, err := l.sample(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := size(); i == 0 && got != -restCache {
					t.Errorf("cache_size is %d after the first sample, not %d", got, -restCache)
				}
			}
			if got := size(); got != test.want {
				t.Errorf("cache_size is %d, not %d", got, test.want)
			}
		})
	}
}
