package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wornWords are words that this program once used in a sense of its own, with the plainer one, and how often they stand in names, comments and texts.
// A number may only become smaller: who adds one is told the plainer one, and who removes one lowers the number here.
var wornWords = []struct {
	word, plainer string
	times         int
}{
	{"adrift", "lost, or another state of the writer", 0},
	{"anew", "again", 0},
	{"deaf", "not subscribed", 0},
	{"departed", "gone", 0},
	{"door", "the descriptor of a namespace", 0},
	{"dormant", "at rest", 0},
	{"drift", "the state of the writer", 0},
	{"ear", "subscriber", 0},
	{"hear", "receive, or be told by the kernel", 12},
	{"heard", "received", 64},
	{"hearer", "monitor", 0},
	{"hearing", "subscribed", 22},
	{"horizon", "the oldest sample that is kept", 0},
	{"keeper", "retention", 0},
	{"ledger", "the log of closes", 0},
	{"mend", "repair, or open again", 0},
	{"mended", "repaired", 0},
	{"retuple", "compact", 0},
	{"surplus", "sockets that are only counted", 0},
	{"sweep", "purge", 0},
	{"tape", "pending samples", 0},
	{"tenancy", "the users of a namespace", 0},
	{"tenant", "a process in a namespace", 0},
	{"wake", "trigger, or adopt", 1},
	{"wheel", "the queue of spans to cut", 0},
	{"whoever", "the program that, the user who", 0},
	{"woken", "triggered", 9},
}

// parts are the words of names and sentences: those of a name begin with a capital.
var parts = regexp.MustCompile(`[A-Z]?[a-z]+`)

func TestWornWordsBecomeFewer(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	first := map[string]string{}
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "migrations" || strings.HasPrefix(path.Base(name), ".") && name != "." {
			return skipped(d)
		}
		switch path.Ext(name) {
		case ".go", ".md", ".sql":
		default:
			return nil
		}
		if name == "cmd/netsql/words_test.go" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			return err
		}
		for _, word := range parts.FindAllString(string(text), -1) {
			word = strings.ToLower(word)
			found[word]++
			if first[word] == "" {
				first[word] = name
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found["sample"] < 1000 {
		t.Fatalf("the word sample stands %d times in the source: this test does not find it", found["sample"])
	}
	for _, w := range wornWords {
		switch n := found[w.word]; {
		case n > w.times:
			t.Errorf("%q stands %d times, and %d are allowed; the first is in %s: say %s", w.word, n, w.times, first[w.word], w.plainer)
		case n < w.times:
			t.Errorf("%q stands %d times only: lower its number in cmd/netsql/words_test.go from %d", w.word, n, w.times)
		}
	}
}

// skipped leaves out a folder with all in it, or a file.
func skipped(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}
