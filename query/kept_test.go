package query

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A result comes back as it was, also one that does not fit into memory.
func TestKeptRows(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 1, 40_000} {
		k := &kept{cols: make([]Column, 8)}
		row := func(i int) []any {
			if i%2 > 0 {
				return []any{nil, nil, nil, nil, nil, nil, nil, nil}
			}
			return []any{int64(i) - 5, math.MinInt64 + int64(i), float64(i) / 3, strings.Repeat("ü", i%500), []byte{0, byte(i)}, i%4 == 0, time.UnixMicro(int64(i)), ""}
		}
		for i := range rows {
			k.add(row(i))
		}
		if spilled := k.file != nil; spilled != (rows > 1000) || k.short != "" {
			t.Errorf("%d rows: in a file %v, %s", rows, spilled, k.short)
		}
		for range 2 {
			i := 0
			if err := k.each(func(values []any) error {
				if i%97 < 2 {
					if diff := cmp.Diff(row(i), values); diff != "" {
						t.Fatalf("row %d of %d (-want +got):\n%s", i, rows, diff)
					}
				}
				i++
				return nil
			}); err != nil || i != rows {
				t.Errorf("%d rows of %d, %v", i, rows, err)
			}
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A result that is too long for the disk ends where it must, and says so.
func TestKeptRowsEnd(t *testing.T) {
	t.Parallel()
	k := &kept{cols: make([]Column, 1), size: keptInFile}
	half := []any{strings.Repeat("x", keptInMemory/2)}
	for range 3 {
		k.add(half)
	}
	k.buffer.Reset() // there would be room again, but not for what was left out
	k.add([]any{int64(7)})
	if want := "only the first 2 rows are kept: no more than 1.0 GiB of a result are"; k.rows != 2 || k.short != want || k.file != nil {
		t.Errorf("%d rows: %q, want %q", k.rows, k.short, want)
	}
}
