package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A span that ends by itself before it is too long costs one row. What stands still costs one in K samples, and as much in one
// sample as in another.
func TestSpansAreCutOnlyWhereTheyMust(t *testing.T) {
	t.Parallel()
	const k, sockets, samples = 50, 50 * cutTogether, 300
	if Sockets.K != k {
		t.Fatalf("K of sockets is %d: write this test for that", Sockets.K)
	}
	for _, test := range []struct {
		name  string
		every int    // so many samples each socket changes; 0: never
		want  string // of the last 200 samples: spans that end in all, in one at least and in one at the most; the longest
	}{
		{"they stand still", 0, fmt.Sprintf("%d %d %[2]d %d", sockets*200/k, sockets/k, k)},
		{"they change before they must be cut", k / 2, fmt.Sprintf("%d %d %[2]d %d", sockets*200/(k/2), sockets/(k/2), k/2)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "spans.db")
			w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			src := w.Source("tcp4")
			set := NewSet(src, Sockets)
			for m := 1; m <= samples; m++ {
				up := time.Duration(m) * time.Second
				w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
				src.Read(func() error {
					for i := range sockets {
						v := Socket{State: "ESTABLISHED"}
						if test.every > 0 {
							v.BytesSent = Of((m + i) / test.every)
						}
						set.Put(SocketID{Cookie: Of(i)}, v)
					}
					return nil
				})
				if err := w.Commit(t.Context(), Cost{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", DSN(path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			got := texts(t, db, fmt.Sprintf(`SELECT sum(n), min(n), max(n), max(longest) FROM
				(SELECT count(*) AS n, max(length) + 1 AS longest FROM socket_span WHERE id >> 32 BETWEEN %d AND %d GROUP BY id >> 32)`, samples-200, samples-1))
			if diff := cmp.Diff([]string{test.want}, got); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
		})
	}
}
