package query

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"netsql/store"
)

// A chapter of the reference is a group of views that answer the same kind of question.
type chapter struct {
	title string
	about string // what its tables have in common
	alike bool   // they say the same of different tables
	views []store.View
}

// Names of views by kind: the newest sample of a table, growth of its counters, and so on.
const (
	nowSuffix     = "_now"
	deltasSuffix  = "_deltas"
	ratesSuffix   = "_rates"
	changesSuffix = "_changes"
	spansSuffix   = "_spans"
	faultPrefix   = "fault_"
)

// ownViews are what the recorder says about itself, and of its words.
var ownViews = []string{"samples", "boots", "runs", "capabilities", "gaps", store.Sources.Name, "glossary"}

// happened are the views whose rows have times of their own.
var happened = []string{"events", "closed_sockets", "closed_counts", "notes"}

// chapters sorts the views, but for those of the newest sample, which are like their tables. Views that
// are written by hand are answers unless they are named above.
func chapters() []chapter {
	all := []chapter{
		{title: "What is wrong", about: "The faults of the window: findings has all of them, fault_… one kind each, with the same columns. symptom_episodes is what they are worked out from."},
		{title: "Answers", about: "Worked out from the recording, over the window: the last hour, or what .since and .until say."},
		{title: "What happened", about: "Every row has a time of its own, exact where the kernel told of it, and not that of a sample."},
		{title: "Recorded", about: "Every row holds at one sample, ts. The same tables with _now behind their name (sockets_now) show the newest sample only; a row of socket_spans holds at all samples from ts until until."},
		{title: "What changed", alike: true, about: "When things came, went and changed: what they were and what they are now."},
		{title: "Growth", alike: true, about: "Growth of each counter since the sample before, NULL where it cannot be known, and the same per second, as NAME_per_s."},
		{title: "Long times", alike: true, about: "Least, average and most in each minute, hour and day (midnight UTC), of sockets by program and state, of the traffic of interfaces, queueing disciplines and programs, and of dropped packets: kept long after the samples."},
		{title: "Peers", alike: true, about: "Who talked to whom: what each program had to do with each address and service, in each hour and day (midnight UTC), kept long after the samples. The period under way is not in it yet."},
		{title: "Intervals", about: "From when to when something was so, in the window, and the window itself: rows of two of them belong together where each begins before the other ends."},
		{title: "The recorder", about: "What it looked at, when nobody looked, what that cost, and what the words mean."},
	}
	for _, v := range store.Views() {
		title := "Answers"
		switch {
		case v.Name == store.Findings, v.Name == oftenRead, strings.HasPrefix(v.Name, faultPrefix):
			title = "What is wrong"
		case slices.Contains(ownViews, v.Name):
			title = "The recorder"
		case strings.HasSuffix(v.Name, spansSuffix) && v.Name != "socket_spans", strings.HasPrefix(v.Name, "default_route_"), strings.HasPrefix(v.Name, "window"):
			title = "Intervals"
		case v.Rollup != nil && strings.HasPrefix(v.Name, "peers_"):
			title = "Peers"
		case v.Rollup != nil:
			title = "Long times"
		case slices.Contains(happened, v.Name):
			title = "What happened"
		case strings.HasSuffix(v.Name, nowSuffix):
			continue
		case strings.HasSuffix(v.Name, changesSuffix):
			title = "What changed"
		case strings.HasSuffix(v.Name, deltasSuffix), strings.HasSuffix(v.Name, ratesSuffix):
			title = "Growth"
		case v.From != nil:
			title = "Recorded"
		}
		c := &all[slices.IndexFunc(all, func(c chapter) bool { return c.title == title })]
		c.views = append(c.views, v)
	}
	return all
}

// Reference writes what every table and function is: as text of 100 columns at the most, or as Markdown.
func Reference(w io.Writer, markdown bool) error {
	var b strings.Builder
	heading := func(title, about string) {
		if markdown {
			fmt.Fprintf(&b, "## %s\n\n%s\n\n", title, markdownText(about))
			return
		}
		b.WriteString(strings.ToUpper(title) + "\n\n")
		b.WriteString(wrapped(about, "", referenceWidth) + "\n")
	}
	for _, c := range chapters() {
		heading(c.title, c.about)
		for _, v := range c.views {
			// Its columns are those of the deltas, or of findings.
			if strings.HasSuffix(v.Name, ratesSuffix) || strings.HasPrefix(v.Name, faultPrefix) {
				v.Columns = nil
			}
			if markdown {
				writeMarkdown(&b, "### "+v.Name, v)
			} else {
				writeText(&b, v, referenceWidth)
			}
			b.WriteString("\n")
		}
	}
	heading("Functions", "What the shell adds to SQLite's own; a recording opened in another program does not need them.")
	if markdown {
		b.WriteString("| function | gives |\n|---|---|\n")
	}
	for _, f := range Functions() {
		call := f.Name + "(" + f.Args + ")"
		if markdown {
			fmt.Fprintf(&b, "| `%s` | %s |\n", call, markdownText(f.Doc))
		} else {
			b.WriteString(wrapped(f.Doc, "  "+padded(call, 22)+" ", referenceWidth))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

const (
	referenceWidth = 100
	describeWidth  = 80
)

// Describe writes the columns of one table for a terminal.
func Describe(w io.Writer, name string) error {
	v, err := viewNamed(store.Views(), name)
	if err != nil {
		return err
	}
	return describe(w, v)
}

func describe(w io.Writer, v store.View) error {
	var b strings.Builder
	writeText(&b, v, describeWidth)
	_, err := io.WriteString(w, b.String())
	return err
}

// viewNamed is the one of the views with that name.
func viewNamed(views []store.View, name string) (store.View, error) {
	var names []string
	for _, v := range views {
		if strings.EqualFold(v.Name, name) {
			return v, nil
		}
		names = append(names, v.Name)
	}
	return store.View{}, fmt.Errorf("no table %s%s", quoteWords(name), meant(name, "", names))
}

// writeText writes the view's name, sentence and columns.
func writeText(b *strings.Builder, v store.View, width int) {
	b.WriteString(v.Name + "\n")
	b.WriteString(wrapped(v.Doc, "  ", width))
	names, units := 0, 0
	for _, c := range v.Columns {
		names, units = max(names, textWidth(c.Name)), max(units, textWidth(c.Unit))
	}
	if units > 0 {
		units += 2
	}
	for _, c := range v.Columns {
		b.WriteString(wrapped(c.Doc, "    "+padded(c.Name, names+2)+padded(c.Unit, units), width))
	}
}

// writeMarkdown writes the same as a heading, a sentence and a table.
func writeMarkdown(b *strings.Builder, heading string, v store.View) {
	fmt.Fprintf(b, "%s\n\n%s\n", heading, markdownText(v.Doc))
	if len(v.Columns) == 0 {
		return
	}
	b.WriteString("\n| column | unit | what it is |\n|---|---|---|\n")
	for _, c := range v.Columns {
		fmt.Fprintf(b, "| %s | %s | %s |\n", markdownText(c.Name), markdownText(c.Unit), markdownText(c.Doc))
	}
}

// The block of the README that ReferenceList writes stands between these.
const (
	listBegin = "<!-- tables:begin -->"
	listEnd   = "<!-- tables:end -->"
)

// ReferenceList writes the README's list of tables, between its markers.
func ReferenceList(w io.Writer) error {
	var b strings.Builder
	row := func(names []string, doc string) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", strings.Join(names, "`, `"), markdownText(doc))
	}
	b.WriteString(listBegin + "\n| table | what it holds |\n|---|---|\n")
	for _, c := range chapters() {
		var names []string
		for _, v := range c.views {
			if names = append(names, v.Name); !c.alike {
				row([]string{v.Name}, v.Doc)
			}
		}
		if c.alike {
			row(names, c.about)
		}
		if c.title == "Recorded" {
			row([]string{store.Sockets.Name + nowSuffix}, "The newest sample of sockets; every table above has such a view.")
		}
	}
	b.WriteString(listEnd + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// wrapped breaks text into lines of at most width columns. The first begins with head, the others
// are indented as far.
func wrapped(text, head string, width int) string {
	var b strings.Builder
	b.WriteString(head)
	start := textWidth(head)
	column := start
	for i, word := range strings.Fields(text) {
		n := textWidth(word)
		switch {
		case i == 0:
		case column+1+n > width:
			b.WriteString("\n" + strings.Repeat(" ", start))
			column = start
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

func padded(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-textWidth(text)))
}

// paragraphs are texts, each with a label before it.
type paragraphs struct {
	strings.Builder
	width, indent int
}

func (p *paragraphs) item(label, text string) {
	p.WriteString(wrapped(text, padded(label, p.indent), p.width))
}

// count is a number with its thousands apart.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// IsTable says whether a recording has a table of that name.
func IsTable(name string) bool {
	return slices.ContainsFunc(store.Views(), func(v store.View) bool { return strings.EqualFold(v.Name, name) })
}
