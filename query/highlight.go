package query

import "strings"

// A Highlight is a stretch of typed text and its colour: the parameters of an SGR escape sequence.
type Highlight struct {
	Start, End int
	Colour     string
}

// Highlights are the colours of what is typed: keywords bold, strings green, numbers cyan, comments dim, commands bold.
func Highlights(text string) []Highlight {
	var found []Highlight
	for _, s := range statements(text) {
		if s.dot {
			end := s.end
			if i := strings.IndexAny(text[s.start:s.end], " \t"); i >= 0 {
				end = s.start + i
			}
			found = append(found, Highlight{s.start, end, bold})
			continue
		}
		for _, t := range tokens(text[s.start:s.end]) {
			colour := ""
			switch t.kind {
			case tokenString:
				colour = green
			case tokenNumber:
				colour = cyan
			case tokenComment:
				colour = dim
			case tokenWord:
				if isKeyword(text[s.start+t.start : s.start+t.end]) {
					colour = bold
				}
			}
			if colour != "" {
				found = append(found, Highlight{s.start + t.start, s.start + t.end, colour})
			}
		}
	}
	return found
}

// allKeywords are those that are shown as such.
var allKeywords = wordSet(strings.Join(keywords, " "))

func isKeyword(word string) bool {
	upper := strings.ToUpper(word)
	return allKeywords[upper] || reserved[upper]
}
