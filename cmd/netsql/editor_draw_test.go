package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/query"
)

func modelOf(text string, cursor int) *editModel {
	m := newEditModel(editorConfig{prompt: "> ", continuation: ". "}, &history{})
	m.reset()
	m.set(text, cursor)
	return m
}

// randomText is made of characters whose width no two terminals dispute.
func randomText(rng *rand.Rand, composed bool) string {
	alphabet := []string{"a", "b", " ", ",", "x", "日", "本", "é", "ü", "🙂", "\n"}
	if composed {
		alphabet = append(alphabet, "\t", "e\u0301", "👨‍👩‍👧", "\u200b", "\x01", "🇩🇪")
	}
	var out strings.Builder
	for range rng.IntN(60) {
		out.WriteString(alphabet[rng.IntN(len(alphabet))])
	}
	return out.String()
}

// randomCursor is between two characters of text.
func randomCursor(rng *rand.Rand, text string) int {
	at := 0
	for range rng.IntN(60) {
		at = nextCluster(text, at)
	}
	return at
}

// A text is drawn as the terminal itself would wrap it, and the cursor is
// where the terminal's would be after the text before it.
func TestEditorDrawsAsTheTerminalWraps(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		width := 4 + rng.IntN(30)
		text := randomText(rng, false)
		cursor := randomCursor(rng, text)

		plain := func(s string) *vt {
			v := newVT(width, 80)
			v.Write([]byte("> " + strings.ReplaceAll(s, "\n", "\r\n. ")))
			return v
		}
		before := plain(text[:cursor])
		if before.wrapNext && cursor < len(text) && text[cursor] == '\n' {
			continue // the editor adds a row for the cursor here
		}
		got := newVT(width, 80)
		s := &screen{w: got}
		s.resize(width, 80)
		s.draw(modelOf(text, cursor))

		if diff := cmp.Diff(plain(text).lines(), got.lines()); diff != "" {
			t.Fatalf("seed %d: %q at width %d (-terminal +editor):\n%s", seed, text, width, diff)
		}
		wantRow, wantCol := before.cursor()
		// A wide character that does not fit takes the cursor along.
		if rest := text[cursor:]; rest != "" && rest[0] != '\n' {
			_, w := measureCluster(rest, 0)
			if wantCol+w > width {
				wantRow, wantCol = wantRow+1, 0
			}
		}
		if row, col := got.cursor(); row != wantRow || col != wantCol {
			t.Fatalf("seed %d: %q[%d] at width %d: cursor at %d,%d, want %d,%d", seed, text, cursor, width, row, col, wantRow, wantCol)
		}
	}
}

// Drawing what changed gives the same picture as drawing everything, on any
// size of terminal, also where characters are wider than we think.
func TestEditorDrawsChangesOnly(t *testing.T) {
	for seed := range uint64(1000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		width, height := 12+rng.IntN(30), 2+rng.IntN(10)
		step := newVT(width, height)
		inSteps := &screen{w: step}
		inSteps.resize(width, height)
		text, cursor := "", 0
		for n := range 10 {
			// Change a part of the text: most rows stay.
			from, to := randomCursor(rng, text), randomCursor(rng, text)
			if from > to {
				from, to = to, from
			}
			text = text[:from] + randomText(rng, true) + text[to:]
			cursor = randomCursor(rng, text)
			m := modelOf(text, cursor)
			if rng.IntN(3) == 0 {
				m.listed = []string{"one", "two", "three", "four", "five", "six", "seven"}
			}
			inSteps.draw(m)

			fresh := newVT(width, height)
			once := &screen{w: fresh, top: inSteps.top}
			once.resize(width, height)
			once.draw(m)
			if diff := cmp.Diff(fresh.lines(), step.lines()); diff != "" {
				t.Fatalf("seed %d, step %d: %q, %d×%d (-at once +in steps):\n%s", seed, n, text, width, height, diff)
			}
			if fresh.row != step.row || fresh.col != step.col {
				t.Fatalf("seed %d, step %d: %q: cursor at %d,%d, want %d,%d", seed, n, text, step.row, step.col, fresh.row, fresh.col)
			}
		}
	}
}

// The cursor's row is always in view, and the prompt row above it is never lost.
func TestEditorWindowFollowsTheCursor(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	m := modelOf(text.String(), 0)
	v := newVT(20, 8)
	s := &screen{w: v}
	s.resize(20, 8)
	for m.down() {
		s.draw(m)
		row, _, _ := strings.Cut(m.text[m.lineStart():], "\n")
		if got, want := v.line(v.row), strings.TrimRight(". "+row, " "); got != want {
			t.Fatalf("the cursor is on %q, want %q", got, want)
		}
	}
	for m.up() {
	}
	s.draw(m)
	if got := v.line(0); got != "> line 0" {
		t.Errorf("first row %q, want the prompt", got)
	}
	s.finish(m, "")
	want := strings.Split(strings.TrimSpace("> "+strings.ReplaceAll(strings.TrimSpace(text.String()), "\n", "\n. ")), "\n")
	got := append(v.scrolled, v.lines()...)
	if got := got[len(got)-101:]; !cmp.Equal(got[:100], want) {
		t.Errorf("after submitting, the whole text is not there:\n%s", cmp.Diff(want, got[:100]))
	}
}

func TestEditorDrawsAWideTextQuickly(t *testing.T) {
	text := strings.Repeat("日本語のテキスト", 50000/8)
	m := modelOf(text, len(text))
	s := &screen{w: newVT(80, 24)}
	s.resize(80, 24)
	start := time.Now()
	s.draw(m)
	if took := time.Since(start); took > time.Second {
		t.Errorf("50,000 wide characters took %v", took)
	}
}

func TestEditorShowsWhatIsInvisible(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"control", "a\x01b\x7f", "> a^Ab^?"},
		{"escape", "\x1b[31mred", "> ^[[31mred"},
		{"C1", "a\u009b31m", "> a\uFFFD31m"},
		{"zero-width space", "a\u200bb", "> a\uFFFDb"},
		{"byte order mark", "\ufeffselect", "> \uFFFDselect"},
		{"right to left override", "a\u202eb", "> a\uFFFDb"},
		{"tab", "a\tb", "> a   b"},
		{"combining mark", "e\u0301x", "> e\u0301x"},
		{"combining mark alone", "\u0301x", "> \uFFFDx"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := newVT(40, 5)
			s := &screen{w: v}
			s.resize(40, 5)
			s.draw(modelOf(test.text, len(test.text)))
			if got := v.line(0); got != test.want {
				t.Errorf("%q looks like %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestEditorColumns(t *testing.T) {
	items := strings.Fields("alpha beta gamma delta epsilon zeta eta")
	tests := []struct {
		name          string
		width, height int
		want          []string
		shown         int
	}{
		{"one row", 80, 5, []string{"alpha    beta     gamma    delta    epsilon  zeta     eta"}, 7},
		{"down, then across", 27, 5, []string{"alpha    delta    eta", "beta     epsilon", "gamma    zeta"}, 7},
		{"too many", 20, 3, []string{"alpha    gamma", "beta     delta", "and 3 more (Tab)"}, 4},
		{"hardly any room", 20, 1, []string{"and 7 more (Tab)"}, 0},
		{"no room", 20, 0, nil, 0},
		{"narrow", 6, 3, []string{"alpha", "beta", "and …"}, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			rows, shown := candidateRows(items, test.width, test.height)
			var got []string
			for _, r := range rows {
				got = append(got, r.text)
				if r.width > test.width-1 {
					t.Errorf("row %q is %d wide in %d", r.text, r.width, test.width)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" || shown != test.shown {
				t.Errorf("shown %d, want %d (-want +got):\n%s", shown, test.shown, diff)
			}
		})
	}
}

// Colours are of the text and not of its rows: each row has its own, ends without one, and is as wide as without.
func TestEditorColours(t *testing.T) {
	t.Parallel()
	text := "SELECT 'ab\ncd', 12 -- why\nFROM t;"
	plain, row, col := layout("> ", ". ", text, 3, 8, nil)
	coloured, row2, col2 := layout("> ", ". ", text, 3, 8, query.Highlights(text))
	if row != row2 || col != col2 || len(plain) != len(coloured) {
		t.Fatalf("%d rows, the cursor at %d, %d; without colours %d, %d, %d", len(coloured), row2, col2, len(plain), row, col)
	}
	escapes := regexp.MustCompile("\x1b\\[[0-9;]*m")
	all := ""
	for i, r := range coloured {
		if got := escapes.ReplaceAllString(r.text, ""); got != plain[i].text || r.width != plain[i].width || r.wraps != plain[i].wraps {
			t.Errorf("row %d is %q, without colours %q", i, r.text, plain[i].text)
		}
		if last := escapes.FindAllString(r.text, -1); len(last) > 0 && last[len(last)-1] != "\x1b[m" {
			t.Errorf("row %d ends coloured: %q", i, r.text)
		}
		all += r.text
	}
	for _, want := range []string{"\x1b[1mSELECT", "\x1b[32m'", "\x1b[32mcd'", "\x1b[36m1", "\x1b[2m-- w", "\x1b[1mFROM"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %q", want, all)
		}
	}
}
