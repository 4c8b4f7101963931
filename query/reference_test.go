package query

import (
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

var update = flag.Bool("update", false, "rewrite what the tests compare with")

// Every view is in one chapter, but for those of the newest sample, which the reference mentions once.
func TestChaptersHoldEveryView(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, v := range store.Views() {
		if !strings.HasSuffix(v.Name, nowSuffix) {
			want = append(want, v.Name)
		}
	}
	for _, c := range chapters() {
		if len(c.views) == 0 {
			t.Errorf("chapter %q is empty", c.title)
		}
		for _, v := range c.views {
			got = append(got, v.Name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("views in the reference (-want +got):\n%s", diff)
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	for _, markdown := range []bool{false, true} {
		var b strings.Builder
		if err := Reference(&b, markdown); err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(b.String()), " ")
		holds := func(text string) {
			t.Helper()
			if markdown {
				text = markdownText(text)
			}
			if !strings.Contains(words, text) {
				t.Errorf("markdown %v: the reference does not say %q", markdown, text)
			}
		}
		for _, c := range chapters() {
			for _, v := range c.views {
				holds(v.Doc)
				for _, column := range v.Columns {
					if !strings.HasSuffix(v.Name, ratesSuffix) {
						holds(column.Doc)
					}
				}
			}
		}
		for _, f := range Functions() {
			holds(f.Doc)
		}
		if markdown {
			continue
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if textWidth(line) > referenceWidth || strings.TrimRight(line, " ") != line {
				t.Errorf("too wide, or blanks at its end: %q", line)
			}
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for _, v := range store.Views() {
		var b strings.Builder
		if err := Describe(&b, strings.ToUpper(v.Name)); err != nil {
			t.Fatal(err)
		}
		words := strings.Join(strings.Fields(b.String()), " ")
		for _, c := range v.Columns {
			if line := strings.Join(strings.Fields(c.Name+" "+c.Unit+" "+c.Doc), " "); !strings.Contains(words, line) {
				t.Errorf("%s: no line %q", v.Name, line)
			}
		}
		for line := range strings.Lines(b.String()) {
			if textWidth(strings.TrimSuffix(line, "\n")) > describeWidth {
				t.Errorf("%s: too wide: %q", v.Name, line)
			}
		}
	}
	err := Describe(io.Discard, "conections")
	if err == nil || err.Error() != `no table "conections"; did you mean "connections"?` {
		t.Errorf("error %v", err)
	}
}

// The manual's list of tables is the catalogue's.
func TestManualListsTheTables(t *testing.T) {
	t.Parallel()
	const path = "../cmd/netsql/manual/tables.md"
	const step = "run go test ./query -run TestManualListsTheTables -update"
	var want strings.Builder
	if err := ReferenceList(&want); err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: write it, with the lines %s and %s in it, then %s", err, listBegin, listEnd, step)
	}
	text := string(bytes)
	before, rest, begins := strings.Cut(text, listBegin)
	got, after, ends := strings.Cut(rest, listEnd+"\n")
	if !begins || !ends {
		t.Fatalf("%s has no list of the tables: put the lines %s and %s where it should stand, then %s", path, listBegin, listEnd, step)
	}
	diff := cmp.Diff(want.String(), listBegin+got+listEnd+"\n")
	if diff == "" {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the tables as they are: %s\n(-want +got)\n%s", path, step, diff)
	}
	if err := os.WriteFile(path, []byte(before+want.String()+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, head string
		want             string
	}{
		{"fits", "one two", "a ", "a one two\n"},
		{"breaks between words", "one two three", "a ", "a one two\n  three\n"},
		{"a long word stands alone", "one abcdefghijklm two", "a ", "a one\n  abcdefghijklm\n  two\n"},
		{"nothing", "", "a ", "a\n"},
		{"wide characters", "日本語 日本 x", "", "日本語\n日本 x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := wrapped(tt.text, tt.head, 10); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
