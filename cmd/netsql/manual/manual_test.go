package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Every file is a topic, every topic a file, and each says in one line what it is about.
func TestTopicsAreTheFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(file, ".md"); !slices.Contains(order, name) {
			t.Errorf("%s is not in order, in manual.go", file)
		}
	}
	if all := Topics(); len(all) != len(order) {
		t.Errorf("%d topics of %d in order: a file is missing", len(all), len(order))
	}
	for _, topic := range Topics() {
		text, err := os.ReadFile(topic.Name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# "+topic.Name+": "+topic.Summary+"\n\n") || topic.Summary == "" || strings.HasSuffix(topic.Summary, ".") || len(topic.Summary) > 62 {
			t.Errorf("%s.md must begin with \"# %[1]s: SUMMARY\" of 62 letters at the most, for one line of a list, without a full stop", topic.Name)
		}
	}
}

// A link leads to a topic, and the list that help shows has all topics.
func TestReferencesLead(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\(([^)]*)\)`)
	for _, topic := range Topics() {
		for _, m := range links.FindAllStringSubmatch(outsideCode(topic.Text), -1) {
			name, isTopic := strings.CutSuffix(m[1], ".md")
			if _, ok := Find(name); !isTopic || !ok {
				t.Errorf("%s.md: the link to %s leads nowhere", topic.Name, m[1])
			}
			if name == topic.Name {
				t.Errorf("%s.md refers to itself", topic.Name)
			}
		}
	}
	var list strings.Builder
	if err := List(&list, 80); err != nil {
		t.Fatal(err)
	}
	for _, topic := range Topics() {
		if !strings.Contains(list.String(), margin+topic.Name+" ") {
			t.Errorf("List does not name %s", topic.Name)
		}
	}
}

// outsideCode is the text without its fenced blocks.
func outsideCode(text string) string {
	var b strings.Builder
	for i, part := range strings.Split("\n"+text, "\n```") {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// Prose is wrapped, and code fits a terminal of 80 columns, but for long dot-commands, which are of one line.
func TestLinesAreShort(t *testing.T) {
	t.Parallel()
	for _, topic := range Topics() {
		for line := range strings.Lines(topic.Text) {
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > 110 && !strings.HasPrefix(line, "|") {
				t.Errorf("%s.md: a line of %d: %s", topic.Name, n, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%s.md: blanks at the end of %q", topic.Name, line)
			}
		}
		for _, block := range blocks(topic.Text) {
			for _, line := range block.lines {
				if n := utf8.RuneCountInString(margin + line); block.kind == code && n > 80 && !strings.HasPrefix(line, "netsql> .") {
					t.Errorf("%s.md: code of %d columns: %s", topic.Name, n, line)
				}
			}
		}
	}
}

// On a terminal nothing of the marks is left, and lines fit, but for code.
func TestTopicsOnATerminal(t *testing.T) {
	t.Parallel()
	for _, topic := range Topics() {
		for _, width := range []int{40, 80, 200} {
			var b strings.Builder
			if err := topic.Write(&b, width); err != nil {
				t.Fatal(err)
			}
			verbatim := map[string]bool{}
			for _, block := range blocks(topic.Text) {
				for _, line := range block.lines {
					if block.kind == code {
						verbatim[strings.TrimRight(margin+line, " ")] = true
					}
				}
			}
			for line := range strings.Lines(b.String()) {
				line = strings.TrimRight(line, "\n")
				if verbatim[line] {
					continue
				}
				if strings.Contains(line, "**") || strings.Contains(line, "](") || strings.Contains(line, "```") || strings.Contains(line, "<!--") {
					t.Errorf("%s at %d columns: %q", topic.Name, width, line)
				}
				if n := utf8.RuneCountInString(line); n > min(width, widest) && strings.Contains(strings.TrimLeft(line, " -"), " ") && width >= 80 {
					t.Errorf("%s: a line of %d: %q", topic.Name, n, line)
				}
			}
		}
	}
}

func TestRendering(t *testing.T) {
	t.Parallel()
	topic := Topic{Name: "x", Summary: "an example", Text: "One `recv_q`, two\n**bold `words`**, see\n[leaks](leaks.md).\n\n- an item that\n  goes on\n- another\n\n" +
		"## Head of `a_b`\n\n```\n  SELECT `x`;\n\n```\n<!-- no -->\n| a | b |\n|---|---|\n| `n` | a long text here |\n"}
	const want = "X: an example\n\n  One `recv_q`, two\n  bold `words`, see\n  `help leaks`.\n\n  - an item that goes\n    on\n  - another\n\n" +
		"Head of `a_b`\n\n    SELECT `x`;\n\n\n  a  b\n  n  a long text here\n"
	var b strings.Builder
	if err := topic.Write(&b, 23); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// README is short, and its figures are those of the manual.
func TestReadme(t *testing.T) {
	t.Parallel()
	bytes, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(bytes)
	if n := strings.Count(readme, "\n"); n > 150 {
		t.Errorf("README.md has %d lines: 150 at the most, the rest belongs in a topic of the manual", n)
	}
	cost, _ := Find("cost")
	if got, want := figures(readme), figures(cost.Text); got != want || got == "" {
		t.Errorf("README.md has not the figures of cost.md:\n%s\nwant\n%s", got, want)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(filepath.Join("../../..", m[1])); err != nil {
			t.Errorf("README.md: %v", err)
		}
	}
}

// figures is the table of costs.
func figures(text string) string {
	_, text, _ = strings.Cut(text, "<!-- cost:begin -->\n")
	text, _, _ = strings.Cut(text, "<!-- cost:end -->")
	return text
}

func TestWriteMan(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "man")
	if err := WriteMan(dir, []Command{{"", "[RECORDING] [SQL …]", "ask"}, {"note", "[--at TIME] TEXT …", "write a_b <x> *y*"}}); err != nil {
		t.Fatal(err)
	}
	groff, _ := exec.LookPath("groff")
	pages := append([]string{"netsql.1"}, make([]string, 0, len(order))...)
	for _, name := range order {
		pages = append(pages, "netsql-"+name+".7")
	}
	for _, name := range pages {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{".TH ", ".SH NAME\n", ".SH SEE ALSO\n"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s has no %q", name, want)
			}
		}
		if strings.Contains(string(text), ".md)") || strings.Contains(string(text), "<!--") {
			t.Errorf("%s has marks left", name)
		}
		if groff == "" {
			continue
		}
		if out, err := exec.Command(groff, "-man", "-t", "-Tutf8", "-K", "utf8", "-ww", "-z", filepath.Join(dir, name)).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%.2000s", name, err, out)
		}
	}
}
