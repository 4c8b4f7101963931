package query

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
)

// A Column heads a column of a result.
type Column struct {
	Name string
	Time bool // unix seconds, to be shown as a time
}

// FormatOptions say how a result is written. The zero value writes local times
// and no header, for a reader that is no terminal.
type FormatOptions struct {
	Location *time.Location // of the times shown; nil is time.Local
	Unix     bool           // show times as the raw number of seconds
	Width    int            // of the terminal; 0: not a terminal, nothing is ever cut
	Height   int            // of the terminal, in lines; 0: not known
	Null     string         // shown for NULL; "": NULL in box, line and markdown, nothing in list, csv and tsv. JSON has its own
	Header   bool           // name the columns, where the format leaves the choice: box, list, csv, tsv
	CRLF     bool           // end lines of csv as RFC 4180 asks
	// SpreadsheetSafe puts an apostrophe before texts of csv that a spreadsheet would run as a formula.
	SpreadsheetSafe bool

	Separator    string // between the values of list, csv, tsv and quote; "": as the format has it
	RowSeparator string // behind the rows of list and csv; "": a new line
	Table        string // that the statements of insert write to; "": "table"
	Widths       []int  // of the columns of column, at least; a negative one sets its column to the right

	// Of a box on a terminal:
	Human     bool                     // bytes, rates and spans with their units
	Colour    Colour                   // NULLs dim, and so on
	Namespace func(netns int64) string // the name of a network namespace by its inode; nil, or "": it has none
	Services  bool                     // ports have the names of their services beside them
	Bars      string                   // the column whose numbers have bars beside them; "*": the last one of numbers, "": none
	Last      bool                     // .last shows the whole result
	changes   *changes                 // what is not as it was before is marked; nil: nothing is
}

// A ResultWriter writes one result: Begin, a Row for each row, End. Values are
// those of database/sql: int64, float64, string, []byte, nil, bool and
// time.Time; a Row is done with them when it returns. Call End also after a
// query that broke off: what came is then written and, in JSON, well formed.
//
// Strings in a recording come from strangers: anyone may name a process
// "\x1b]0;…". Formats for people (box, list, line, markdown) and tsv show
// control and invisible characters as escapes. csv and json keep the exact
// text, json by escapes of its own; csv escapes like the rest on a terminal
// only, where no program reads it.
type ResultWriter interface {
	Begin(cols []Column) error
	Row(values []any) error
	End() error
}

// formats are the modes in the order in which help lists them.
var formats = []struct {
	name string
	new  func(*sink) ResultWriter
}{
	{"box", func(s *sink) ResultWriter {
		if s.o.Width > 0 {
			return &screenWriter{sink: s}
		}
		return &boxWriter{sink: s, frame: boxFrame}
	}},
	{"table", func(s *sink) ResultWriter { return &boxWriter{sink: s, frame: tableFrame} }},
	{"column", func(s *sink) ResultWriter { return &boxWriter{sink: s, frame: columnFrame} }},
	{"line", func(s *sink) ResultWriter { return &lineWriter{sink: s} }},
	{"list", func(s *sink) ResultWriter { return &listWriter{sink: s} }},
	{"csv", func(s *sink) ResultWriter { return &csvWriter{sink: s} }},
	{"tsv", func(s *sink) ResultWriter { return &tsvWriter{sink: s} }},
	{"json", func(s *sink) ResultWriter { return &jsonWriter{sink: s, array: true} }},
	{"jsonl", func(s *sink) ResultWriter { return &jsonWriter{sink: s} }},
	{"markdown", func(s *sink) ResultWriter { return &markdownWriter{sink: s} }},
	{"html", func(s *sink) ResultWriter { return &htmlWriter{sink: s} }},
	{"insert", func(s *sink) ResultWriter { return &insertWriter{sink: s} }},
	{"quote", func(s *sink) ResultWriter { return &quoteWriter{sink: s} }},
	{"ascii", func(s *sink) ResultWriter {
		s.o.Separator, s.o.RowSeparator = cmp.Or(s.o.Separator, "\x1f"), cmp.Or(s.o.RowSeparator, "\x1e")
		return &listWriter{sink: s}
	}},
}

// Modes names the result formats.
func Modes() []string {
	var names []string
	for _, f := range formats {
		names = append(names, f.name)
	}
	return names
}

// NewResultWriter gives a writer of the format that mode names.
func NewResultWriter(mode string, w io.Writer, o FormatOptions) (ResultWriter, error) {
	if o.Location == nil {
		o.Location = time.Local
	}
	for _, f := range formats {
		if strings.EqualFold(f.name, mode) {
			return f.new(&sink{out: bufio.NewWriterSize(w, 64<<10), o: o}), nil
		}
	}
	hint := ""
	if s, ok := Suggest(mode, Modes()); ok {
		hint = fmt.Sprintf("; did you mean %q?", s)
	}
	return nil, fmt.Errorf("no output mode %s%s (there are %s)", quoteWords(mode), hint, strings.Join(Modes(), ", "))
}

// A sink is what all formats share: buffered output, whose first error sticks
// and is reported by the next Row, and the columns.
type sink struct {
	out  *bufio.Writer
	o    FormatOptions
	cols []Column
}

func (s *sink) begin(cols []Column) { s.cols = append([]Column(nil), cols...) }

// check refuses a row that does not fit its header: a shifted column would
// be a lie that nobody sees.
func (s *sink) check(values []any) error {
	if len(values) != len(s.cols) {
		return fmt.Errorf("write row: %d values for %d columns", len(values), len(s.cols))
	}
	return nil
}

// put writes and gives the first error of this or any earlier write.
func (s *sink) put(parts ...string) error {
	var err error
	for _, p := range parts {
		_, err = s.out.WriteString(p)
	}
	return err
}

func (s *sink) flush() error { return s.out.Flush() }

// separator is what stands before the i-th value: s, unless the options name another.
func (s *sink) separator(i int, otherwise string) string {
	if i == 0 {
		return ""
	}
	return cmp.Or(s.o.Separator, otherwise)
}

// rowEnd is what stands behind a row.
func (s *sink) rowEnd() string { return cmp.Or(s.o.RowSeparator, "\n") }

// null is what a format shows for NULL unless the options say otherwise.
func (s *sink) null(otherwise string) string {
	if s.o.Null != "" {
		return s.o.Null
	}
	return otherwise
}
