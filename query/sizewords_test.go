package query

import (
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]int64{
		"0": 0, "4096": 4096, "2GiB": 2 << 30, "2 g": 2 << 30, "2G": 2 << 30, "500MB": 500_000_000, "1.5TiB": 3 << 39, " 64 MiB ": 64 << 20, "1kB": 1000, "1K": 1024,
	} {
		if got, err := ParseSize(words); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", words, got, err, want)
		}
	}
	for words, says := range map[string]string{
		"": "try 2GiB", "-1": "try 2GiB", "2 potatoes": `"potatoes" is no unit`, "1e9": "try 2GiB", "99999999TiB": "more than 8 EiB", "2GiB 3": "try 2GiB",
	} {
		if _, err := ParseSize(words); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("ParseSize(%q): %v, want an error that says %q", words, err, says)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, words := range []string{"2GiB", "500 MB", "1.5T", "", "99999999999999999999GiB", "\x00"} {
		f.Add(words)
	}
	f.Fuzz(func(t *testing.T, words string) {
		if n, err := ParseSize(words); n < 0 || err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("ParseSize(%q) = %d, %v", words, n, err)
		}
	})
}
