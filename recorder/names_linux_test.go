package recorder

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseNames(t *testing.T) {
	got := numberNames{254: "main", 1: "old"}
	parseNames(strings.NewReader("# a comment\n1 one # more\n0x64\thundred\n\nx y\n7\n8 eight nine\n4294967296 big\n"), got)
	want := numberNames{254: "main", 1: "one", 100: "hundred"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.of(254) != "main" || got.of(77) != "77" {
		t.Errorf("254 is %s, 77 is %s", got.of(254), got.of(77))
	}
}

func FuzzParseNames(f *testing.F) {
	f.Add("255 local\n0x10 hex # c\n")
	f.Fuzz(func(t *testing.T, text string) {
		names := numberNames{}
		parseNames(strings.NewReader(text), names)
		for name := range maps.Values(names) {
			if name == "" || strings.ContainsAny(name, " \t\n#") {
				t.Errorf("%q", name)
			}
		}
	})
}
