package query

import "testing"

// Whatever is typed, its colours lie in it and in order.
func FuzzHighlights(f *testing.F) {
	f.Add("SELECT 'a', 1 FROM t -- x\n;.tables y\nselect \"b\" /* z")
	f.Fuzz(func(t *testing.T, text string) {
		end := 0
		for _, h := range Highlights(text) {
			if h.Start < end || h.End <= h.Start || h.End > len(text) || h.Colour == "" {
				t.Fatalf("%+v after %d in %q", h, end, text)
			}
			end = h.End
		}
	})
}
