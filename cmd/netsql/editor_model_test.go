package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// typeInto types bytes as a terminal sends them into a fresh model.
func typeInto(t *testing.T, entries []string, in string) (*editModel, editOutcome) {
	t.Helper()
	words := []string{"local_addr", "local_port", "remote_addr", "select", "日本語", "日本人"}
	m := newEditModel(editorConfig{
		finished: func(text string) bool { return strings.HasSuffix(text, ";") },
		complete: func(text string, cursor int) (found []string, from int) {
			from = strings.LastIndexAny(text[:cursor], " \n") + 1
			for _, w := range words {
				if strings.HasPrefix(w, text[from:cursor]) {
					found = append(found, w)
				}
			}
			return found, from
		},
	}, &history{entries: entries})
	m.reset()
	for _, k := range readKeys(t, strings.NewReader(in)) {
		if outcome, _ := m.handle(k.Key, k.Text); outcome != editContinue {
			return m, outcome
		}
		m.below(80, 24)
	}
	return m, editContinue
}

func TestEditorEditing(t *testing.T) {
	const (
		up, down, right, left = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
		home, end, del        = "\x1b[H", "\x1b[F", "\x1b[3~"
		ctrlA, ctrlE, ctrlK   = "\x01", "\x05", "\x0b"
		ctrlU, ctrlW, ctrlY   = "\x15", "\x17", "\x19"
		ctrlP, ctrlN, ctrlR   = "\x10", "\x0e", "\x12"
		ctrlT, ctrlG, ctrlS   = "\x14", "\x07", "\x13"
		ctrlD, undo, bs       = "\x04", "\x1f", "\x7f"
		altB, altF, altD      = "\x1bb", "\x1bf", "\x1bd"
	)
	entries := []string{"select 1;", "select a,\n  b\nfrom t;", "Größe;"}
	// | is the cursor.
	tests := []struct{ name, in, want string }{
		{"insert in the middle", "ac" + left + "b", "ab|c"},
		{"enter in the middle", "ab" + left + "\r", "a\n|b"},
		{"home and end are of the line", "one\rtwo" + home + "x" + end + "y", "one\nxtwoy|"},
		{"ctrl-a, ctrl-e", "one\rtwo" + ctrlA + "x" + ctrlE + "y", "one\nxtwoy|"},
		{"buffer start and end", "one\rtwo\x1b<x\x1b>y", "xone\ntwoy|"},
		{"kill to the end of the line", "one two\rthree" + up + home + altF + ctrlK, "one|\nthree"},
		{"kill the newline", "one\rtwo" + up + end + ctrlK, "one|two"},
		{"kill to the start of the line", "one\rtwo" + left + ctrlU, "one\n|o"},
		{"kill back over the newline", "one\rtwo" + home + ctrlU, "one|two"},
		{"yank", "one two" + ctrlW + ctrlY + ctrlY, "one twotwo|"},
		{"kills in a row are one", "one two three" + ctrlW + ctrlW + "x" + ctrlY, "one xtwo three|"},
		{"and forward", "one two" + ctrlA + altD + altD + "x" + ctrlY, "xone two|"},
		{"ctrl-w goes by blanks, alt-backspace by words", "a.b c.d" + ctrlW + "x.y\x1b\x7f", "a.b x.|"},
		{"words", "one, two_2" + altB + "x" + altB + altB + altF + "y", "oney|, xtwo_2"},
		{"delete", "abc" + ctrlA + del + ctrlD, "|c"},
		{"backspace takes a character as seen", "xe\u0301👨‍👩‍👧" + bs + bs, "x|"},
		{"left and right too", "👨‍👩‍👧🇩🇪" + left + left + right + "x", "👨‍👩‍👧x|🇩🇪"},
		{"transpose", "abc" + ctrlT + left + left + ctrlT, "ca|b"},
		{"transpose wide", "日本" + ctrlT, "本日|"},
		{"undo typing as a whole", "one" + ctrlW + "two" + undo, "|"},
		{"undo a kill", "one two" + ctrlW + undo, "one two|"},
		{"undo everything", "one" + undo + undo, "|"},
		{"up and down keep the column", "abcdef\rab\rabcdef" + left + up + up + "x", "abcdex|f\nab\nabcdef"},
		{"by cells, not bytes", "日本語\rabcdef" + left + left + up + "x", "日本x|語\nabcdef"},
		{"alt-enter", "a;\x1b\rb", "a;\nb|"},
		{"tab in a paste", "\x1b[200~a\tb\x1b[201~", "a\tb|"},
		{"newline in a paste", "\x1b[200~a;\rb\x1b[201~", "a;\nb|"},

		{"up recalls", up, "Größe;|"},
		{"up in an entry moves", up + up, "select a,\n  b\nfrom t;|"},
		{"up from its first line recalls", up + up + up + up + up, "select 1;|"},
		{"ctrl-p recalls at once", ctrlP + ctrlP + ctrlP, "select 1;|"},
		{"no further than the first", ctrlP + ctrlP + ctrlP + ctrlP, "select 1;|"},
		{"down comes back to what was typed", "new" + ctrlP + ctrlP + ctrlN + down, "new|"},
		{"what was changed is kept while walking", ctrlP + "x" + ctrlP + ctrlN, "Größe;x|"},

		{"search", ctrlR + "select", "|select a,\n  b\nfrom t;"},
		{"search again", ctrlR + "select" + ctrlR, "|select 1;"},
		{"and back", ctrlR + "select" + ctrlR + ctrlS, "|select a,\n  b\nfrom t;"},
		{"search in a further line, any case", ctrlR + "FROM", "select a,\n  b\n|from t;"},
		{"search in vain", "new" + ctrlR + "zzz", "new|"},
		{"search folds", ctrlR + "GRÖ", "|Größe;"},
		{"search, shortened", ctrlR + "sel1" + bs, "|select a,\n  b\nfrom t;"},
		{"search cancelled", "new" + ctrlR + "sel" + ctrlG, "new|"},
		{"search and edit", ctrlR + "from" + end + "x", "select a,\n  b\nfrom t;x|"},
		{"after a search down goes on", "new" + ctrlR + "Gr" + ctrlN, "new|"},

		{"complete", "sel\t", "select |"},
		{"complete in the middle", "a sel b" + left + left + "\t", "a select| b"},
		{"complete the common part", "l\t", "local_|"},
		{"not half a character", "日\t", "日本|"},
		{"ambiguous", "local_\t\t\t", "local_|"},
		{"nothing", "zzz\t", "zzz|"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, outcome := typeInto(t, entries, test.in)
			if got := m.text[:m.cursor] + "|" + m.text[m.cursor:]; got != test.want || outcome != editContinue {
				t.Errorf("got %q (%v), want %q", got, outcome, test.want)
			}
		})
	}
}

func TestEditorOutcomes(t *testing.T) {
	tests := []struct {
		name, in string
		want     editOutcome
		text     string
	}{
		{"enter", "select 1;\r", editSubmit, "select 1;"},
		{"line feed", "select 1;\n", editSubmit, "select 1;"},
		{"enter in the middle of what is finished", "select 1;\x01\r", editSubmit, "select 1;"},
		{"enter, then enter", "select\r1;\r", editSubmit, "select\n1;"},
		{"enter accepts a search", "\x12old\r", editSubmit, "old;"},
		{"ctrl-c", "sel\x03", editInterrupt, "sel"},
		{"ctrl-c in a search", "\x12old\x03", editInterrupt, "old;"},
		{"ctrl-c while candidates show", "local_\t\t\x03", editInterrupt, "local_"},
		{"ctrl-d", "\x04", editEOF, ""},
		{"ctrl-d in text is no end", "a\x04", editContinue, "a"},
		{"delete is no end", "\x1b[3~", editContinue, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, got := typeInto(t, []string{"old;"}, test.in)
			if got != test.want || m.text != test.text {
				t.Errorf("outcome %v with %q, want %v with %q", got, m.text, test.want, test.text)
			}
		})
	}
}

func TestEditorLists(t *testing.T) {
	below := func(m *editModel) []string {
		var lines []string
		for _, r := range m.below(30, 9) {
			lines = append(lines, r.text)
		}
		return lines
	}
	tests := []struct {
		name, in string
		want     []string
	}{
		{"one tab", "\t", nil},
		{"two", "\t\t", []string{"local_addr   select", "local_port   日本語", "remote_addr  日本人"}},
		{"gone with the next key", "\t\tx", nil},
		{"after the common part was added", "l\t\t", []string{"local_addr  local_port"}},
		{"search", "\x12xyz", []string{"not found: xyz"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, _ := typeInto(t, nil, test.in)
			if diff := cmp.Diff(test.want, below(m)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	m, _ := typeInto(t, nil, "\t\t")
	m.listed = strings.Fields(strings.Repeat("candidate_with_a_name ", 7))
	seen := 0
	for m.page = 0; ; m.handle('\t', "") {
		rows := below(m)
		if len(rows) > 3 {
			t.Fatalf("%d rows in a terminal of 9", len(rows))
		}
		if seen += m.shown; seen >= 7 {
			break
		}
	}
	if seen != 7 {
		t.Errorf("paging showed %d of 7", seen)
	}
}
