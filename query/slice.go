package query

import (
	"context"
	"fmt"

	"netsql/store"
)

// Slice writes the window of the recording into a recording of its own, a file that is not there yet, and says what is in it; see
// store.Slice.
func Slice(ctx context.Context, r *Recording, path string) (string, error) {
	since, until, samples, err := r.Window(ctx)
	if err != nil {
		return "", err
	}
	if samples == 0 {
		first, last, _, err := r.Extent(ctx)
		if err != nil {
			return "", err
		}
		return "", fmt.Errorf("no sample lies between %s and %s: the recording goes from %s to %s; name a window within it, with --since and --until",
			localTime(since), localTime(until), localTime(first), localTime(last))
	}
	s, err := store.Slice(ctx, r.Path, path, unixSeconds(since), unixSeconds(until))
	if err != nil {
		return "", err
	}
	return copiedText(s, path), nil
}
