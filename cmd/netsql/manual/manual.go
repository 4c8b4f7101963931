// Package manual is the manual of netsql. Each topic is a Markdown file in this folder. Its first line is
// "# NAME: SUMMARY", and the file is named NAME.md.
//
// The program shows topics with netsql help TOPIC and, in the shell, with .help TOPIC; WriteMan makes man pages of
// them. The files keep to a small part of Markdown, so that Topic.Write can show all of it on a terminal: headings of
// two levels, paragraphs, lists with "- ", tables, fenced code, `code`, **bold**, and links to a file beside
// them, [leaks](leaks.md). The tests of this package hold the files to that, and everything they name to the program.
package manual

import (
	"embed"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

//go:embed *.md
var files embed.FS

// order is the order in which topics are listed: asking first, then what can be asked, recording, and the inside.
var order = []string{
	"asking", "examples", "time", "screen", "looking", "scripts", "hosts", "tools",
	"tables", "explain", "findings", "playbooks", "leaks", "events", "connections", "history", "owners", "routes", "namespaces", "gaps",
	"recording", "retention", "export", "repair", "permissions", "cost", "speed",
	"troubleshooting", "internals", "contributing",
}

// A Topic is one page of the manual.
type Topic struct {
	Name    string
	Summary string // one line, without a full stop
	Text    string // Markdown, without the first line
}

// Topics are all pages, in the order in which they are listed.
func Topics() []Topic {
	var all []Topic
	for _, name := range order {
		text, err := files.ReadFile(name + ".md")
		if err != nil {
			continue // a test holds order and the files together
		}
		head, body, _ := strings.Cut(string(text), "\n")
		_, summary, _ := strings.Cut(head, ": ")
		all = append(all, Topic{name, summary, strings.TrimSpace(body) + "\n"})
	}
	return all
}

// Find gives the topic of that name.
func Find(name string) (Topic, bool) {
	for _, t := range Topics() {
		if strings.EqualFold(t.Name, name) {
			return t, true
		}
	}
	return Topic{}, false
}

// Limits of the text on a terminal: longer lines are hard to read.
const widest, margin = 100, "  "

// Write writes the topic as text for a terminal of that many columns.
func (t Topic) Write(w io.Writer, width int) error {
	p := &printer{width: min(width, widest)}
	p.wrap(strings.ToUpper(t.Name)+": ", t.Summary)
	for _, b := range blocks(t.Text) {
		p.WriteByte('\n')
		p.block(b)
	}
	_, err := io.WriteString(w, p.String())
	return err
}

// A block is a heading, a paragraph, an item of a list, a table or code, with its lines.
type block struct {
	kind  blockKind
	lines []string
}

type blockKind int

const (
	paragraph blockKind = iota
	heading
	list
	table
	code
)

// blocks takes Markdown apart.
func blocks(text string) []block {
	var all []block
	open := false // the last block goes on with the next line
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		last := len(all) - 1
		fence := strings.HasPrefix(line, "```")
		switch {
		case open && all[last].kind == code:
			if fence {
				open = false
			} else {
				all[last].lines = append(all[last].lines, line)
			}
			continue
		case fence:
			all, open = append(all, block{kind: code}), true
			continue
		case line == "", strings.HasPrefix(line, "<!--"):
			open = false
			continue
		case open && all[last].kind == kindOf(line), open && all[last].kind == list && strings.HasPrefix(line, " "):
			all[last].lines = append(all[last].lines, line)
			continue
		}
		all, open = append(all, block{kindOf(line), []string{line}}), true
	}
	return all
}

func kindOf(line string) blockKind {
	switch {
	case strings.HasPrefix(line, "## "):
		return heading
	case strings.HasPrefix(line, "- "):
		return list
	case strings.HasPrefix(line, "|"):
		return table
	}
	return paragraph
}

// A printer writes blocks as text for a terminal.
type printer struct {
	strings.Builder
	width int
}

func (p *printer) block(b block) {
	switch b.kind {
	case heading:
		p.wrap("", plain(strings.TrimPrefix(b.lines[0], "## ")))
	case code:
		for _, line := range b.lines {
			p.WriteString(strings.TrimRight(margin+line, " ") + "\n")
		}
	case list:
		var item string
		for i, line := range b.lines {
			item += " " + strings.TrimPrefix(line, "- ")
			if i == len(b.lines)-1 || strings.HasPrefix(b.lines[i+1], "- ") {
				p.wrap(margin+"- ", plain(item))
				item = ""
			}
		}
	case table:
		p.table(b.lines)
	case paragraph:
		p.wrap(margin, plain(strings.Join(b.lines, " ")))
	}
}

// table writes the rows with their columns below each other; the last column is wrapped.
func (p *printer) table(lines []string) {
	var rows [][]string
	var widths []int
	last := 0 // the width of the last column
	for _, line := range lines {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		last = max(last, utf8.RuneCountInString(cells[len(cells)-1]))
	}
	most := max(26, p.width-last-4) // the width of another
	for i, line := range lines {
		if i == 1 { // |---|---|
			continue
		}
		var row []string
		for j, cell := range strings.Split(strings.Trim(line, "| "), "|") {
			cell = strings.TrimSpace(strings.NewReplacer("`", "", unbroken, " ").Replace(plain(cell)))
			row = append(row, cell)
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], min(most, utf8.RuneCountInString(cell)))
		}
		rows = append(rows, row)
	}
	for _, row := range rows {
		head := margin
		for j, cell := range row[:len(row)-1] {
			if utf8.RuneCountInString(cell) > widths[j] { // it gets lines of its own
				p.wrap(head, cell)
				head, cell = strings.Repeat(" ", utf8.RuneCountInString(head)), ""
			}
			head += cell + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+2)
		}
		p.wrap(head, row[len(row)-1])
	}
}

// wrap writes the words behind the head, further lines indented as wide as that is.
func (p *printer) wrap(head, text string) {
	indent := utf8.RuneCountInString(head)
	p.WriteString(head)
	column := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > p.width:
			p.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			p.WriteByte(' ')
			column++
		}
		p.WriteString(strings.ReplaceAll(word, unbroken, " "))
		column += n
	}
	p.WriteByte('\n')
}

// reference is a link to another topic.
var reference = regexp.MustCompile(`\[[a-z]+\]\(([a-z]+)\.md\)`)

// marks are what plain takes away: `code`, **bold**, and [topic](topic.md), which becomes help topic.
var marks = regexp.MustCompile("`([^`]*)`" + `|\*\*(.+?)\*\*|\[([^\]]*)\]\([^)]*\)`)

// plain is a text without its marks, but for those of code, which names that are words of English need.
func plain(text string) string { return marks.ReplaceAllStringFunc(text, plainMark) }

func plainMark(found string) string {
	m := marks.FindStringSubmatch(found)
	switch {
	case m[2] != "":
		return plain(m[2])
	case m[3] != "":
		return reference.ReplaceAllString(found, "`help"+unbroken+"$1`")
	case utf8.RuneCountInString(found) < 30:
		return strings.ReplaceAll(found, " ", unbroken)
	}
	return found
}

// unbroken stands for a blank at which wrap breaks no line, within short code.
const unbroken = "\x00"

// List is the topics, each with its summary, as text for a terminal of that many columns.
func List(w io.Writer, width int) error {
	p := &printer{width: min(width, widest)}
	for _, t := range Topics() {
		p.wrap(fmt.Sprintf("%s%-16s", margin, t.Name), t.Summary)
	}
	_, err := io.WriteString(w, p.String())
	return err
}
