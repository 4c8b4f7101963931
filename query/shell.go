package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"netsql/store"
)

// A Shell runs statements and dot-commands on a recording and prints what they give. It knows
// nothing of terminals: reading lines is the caller's.
type Shell struct {
	recording *Recording
	config    ShellConfig

	mode     string
	times    string // local, utc or unix
	timer    bool
	output   io.WriteCloser // what .output opened; nil: the caller's
	once     io.WriteCloser // what .once opened, for the next statement only
	suffix   string         // mode that the name of output or once asks for
	depth    int            // of .read
	exact    bool           // .human off
	services bool           // .names on
	bars     string         // what .bars said
	echo     bool           // print statements before they run
	goOn     bool           // after an error
	look     look
	params   map[string]any // values of parameters, by their names without the mark before
	last     *kept          // the result that a terminal showed last
	live     bool           // the schema live is attached
	asked    string         // the last statement that gave no error
	changes  *changes       // while .watch shows results
	inSQLite atomic.Bool    // see InSQLite
	stderr   io.Writer      // config.Err as it is, for what this program draws and for other programs
}

// ShellConfig says where a shell prints.
type ShellConfig struct {
	Out      io.Writer
	Err      io.Writer // notes and the timer
	Terminal bool      // a person reads Out: boxes, row counts
	Mode     string    // "": box on a terminal, else list
	Width    func() int
	Height   func() int // nil: not known
	Colour   Colour
	// Live takes a sample of this moment into a recording and gives its path, and what removes it. nil: there are no live tables.
	Live func(ctx context.Context) (path string, remove func() error, err error)
	// System opens the files that dot-commands name, and runs programs. nil: this process.
	System System
	// Restricted is in words whether and how the process is restricted in what it reaches; "": not known.
	Restricted string
	// Note writes a remark into the recording. nil: AddNote.
	Note func(ctx context.Context, text string) error
	// Page shows what write writes, from its begin, until the user has seen enough. nil: it goes to Out.
	Page func(ctx context.Context, write func(io.Writer) error) error
	User string // who writes notes; "": not known

	NoHeader bool
	// SpreadsheetSafe is that of FormatOptions.
	SpreadsheetSafe bool
	Null            string            // shown for NULL; "": as the mode has it
	Separator       string            // "": as the mode has it
	GoOn            bool              // after an error, to tell of it at the end
	Params          map[string]string // values of parameters, by their names
	Questions       string            // the folder of the questions that .save keeps; "": there is none
	Manual          []Topic           // what .help TOPIC shows; nil: there is no manual
	// Tool is what prints as the command of that name does, such as netstat, at the moment that at() means; nil where there is none.
	Tool func(name string) func(ctx context.Context, r *Recording, words []string, w io.Writer) error
}

// A Topic is a page of the manual.
type Topic struct {
	Name, Summary string
	Write         func(w io.Writer, width int) error
}

// ErrQuit is returned by Run for .quit.
var ErrQuit = errors.New("quit")

// NewShell makes a shell on the recording.
func NewShell(r *Recording, c ShellConfig) (*Shell, error) {
	s := &Shell{recording: r, config: c, mode: c.Mode, times: "local", goOn: c.GoOn, params: map[string]any{}}
	s.stderr, s.config.Err = c.Err, safeWriter{c.Err}
	if c.System == nil {
		s.config.System = ThisProcess{}
	}
	s.look = look{noHeader: c.NoHeader, null: c.Null, separator: unescaped(c.Separator)}
	for name, value := range c.Params {
		s.params[parameterName(name)] = parameterValue(value)
	}
	if s.mode == "" {
		s.mode = "list"
		if c.Terminal {
			s.mode = "box"
		}
	}
	if _, err := NewResultWriter(s.mode, io.Discard, FormatOptions{}); err != nil {
		return nil, err
	}
	return s, nil
}

// namesWait is how long the names of the user's own tables may take.
const namesWait = time.Second

// Names are what completion offers.
func (s *Shell) Names(ctx context.Context) Names {
	brief, cancel := context.WithTimeout(ctx, namesWait)
	defer cancel()
	n := s.recording.Names(brief)
	for _, c := range commands() {
		n.Commands = append(n.Commands, c.name)
	}
	for _, t := range s.config.Manual {
		n.Topics = append(n.Topics, t.Name)
	}
	n.Values = func(column string) []string {
		ctx, cancel := context.WithTimeout(ctx, completionWait)
		defer cancel()
		return s.recording.valuesOf(ctx, column)
	}
	return n
}

// Script runs everything in the text and stops at the first error. The last statement needs no semicolon.
func (s *Shell) Script(ctx context.Context, text string) error {
	inputs, rest := Split(text)
	if strings.TrimSpace(rest) != "" {
		line := 1 + strings.Count(text[:len(text)-len(rest)], "\n")
		inputs = append(inputs, Input{Text: rest, Line: line})
	}
	failed := 0
	for _, in := range inputs {
		if s.echo {
			fmt.Fprintln(s.textOut(), escapeControls(in.Text))
		}
		err := s.Run(ctx, in)
		if err == nil {
			continue
		}
		err = s.placed(err, in, len(inputs) > 1)
		if !s.goOn || errors.Is(err, ErrQuit) || ctx.Err() != nil || len(inputs) == 1 {
			return err
		}
		failed++
		fmt.Fprintf(s.config.Err, "error: %v\n", err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %s failed", failed, plural(int64(len(inputs)), "statement"))
	}
	return nil
}

// placed says where the error of an input is: to people under its line, to others by line and column, if there are several.
func (s *Shell) placed(err error, in Input, several bool) error {
	var at *placedError
	switch found := errors.As(err, &at); {
	case errors.Is(err, ErrQuit):
	case found && at.place >= 0 && s.config.Terminal:
		width := 0
		if s.config.Width != nil {
			width = s.config.Width()
		}
		err = errors.New(at.shown(width))
	case found && at.place >= 0 && (several || strings.Contains(in.Text, "\n")):
		line, column := at.position()
		return fmt.Errorf("line %d, column %d: %w", in.Line+line-1, column, err)
	}
	if in.Line > 1 {
		err = fmt.Errorf("line %d: %w", in.Line, err)
	}
	return err
}

// GoesOn reports whether a script goes on after an error.
func (s *Shell) GoesOn() bool { return s.goOn }

// Run runs one statement or dot-command. Its error is a sentence for the user, ErrQuit, or the context's.
func (s *Shell) Run(ctx context.Context, in Input) error {
	if in.Dot {
		return s.command(ctx, in.Text)
	}
	if command, ok := bareWord(in.Text); ok {
		return s.command(ctx, command)
	}
	if done, err := s.tool(ctx, in.Text); done {
		return err
	}
	start := time.Now()
	for _, hint := range hints(in.Text, func() []string { return s.ownTables(ctx) }) {
		fmt.Fprintf(s.config.Err, "note: %s\n", hint)
	}
	if view := windowedIn(in.Text); view != "" {
		if since, until, _, err := s.recording.Window(ctx); err == nil {
			if hint := outsideWindow(view, in.Text, since, until, time.Now()); hint != "" {
				fmt.Fprintf(s.config.Err, "note: %s\n", hint)
			}
		}
	}
	if in.Upright {
		defer func(mode string) { s.mode = mode }(s.mode)
		s.mode, in.Text = "line", strings.TrimSuffix(in.Text, `\G`)
	}
	end := func() {}
	if note, takes := s.recording.longRead(ctx, in.Text, longRows); note != "" {
		fmt.Fprintf(s.config.Err, "note: %s\n", note)
		if s.config.Terminal && takes > 0 {
			end = showProgress(s.stderr, takes)
		}
	}
	rows, err := s.statement(ctx, in.Text)
	end()
	if s.once != nil {
		err = errors.Join(err, s.once.Close())
		s.once, s.suffix = nil, ""
	}
	notes := s.recording.Notes()
	if note := s.recording.staleNote(ctx, in.Text, time.Now()); note != "" {
		notes = append(notes, note)
	}
	for _, note := range notes {
		fmt.Fprintf(s.config.Err, "note: %s\n", note)
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if instead := otherTool(in.Text); instead != "" {
			return errors.New(instead)
		}
		return &placedError{Explain(err, in.Text, s.Names(ctx)), in.Text, placeOf(in.Text, driverWrap.FindStringSubmatch(err.Error())[1])}
	}
	s.asked = in.Text
	if rows == 0 {
		if why := s.whyEmpty(ctx, in.Text); why != "" {
			fmt.Fprintf(s.config.Err, "note: %s\n", why)
		}
	}
	if s.timer {
		fmt.Fprintf(s.config.Err, "%s in %v\n", plural(int64(max(rows, 0)), "row"), time.Since(start).Round(10*time.Microsecond))
	}
	return nil
}

// tool runs a line that begins with the name of a command such as netstat. What the line does to at() holds for it alone.
func (s *Shell) tool(ctx context.Context, line string) (is bool, err error) {
	words := quotedFields(strings.TrimRight(line, "; \n"))
	if len(words) == 0 || s.config.Tool == nil {
		return false, nil
	}
	run := s.config.Tool(words[0])
	if run == nil {
		return false, nil
	}
	if err := s.checkOneRecording(words[0]); err != nil {
		return true, err
	}
	r := s.recording
	defer func(at time.Time, exactly bool) { r.at, r.exactly = at, exactly }(r.at, r.exactly)
	out, _ := s.target()
	return true, run(ctx, r, words[1:], out)
}

// ownTables are those that the user made in this shell.
func (s *Shell) ownTables(ctx context.Context) []string {
	var own []string
	for _, name := range s.recording.Names(ctx).TableNames() {
		if !slices.ContainsFunc(s.recording.views(), func(v store.View) bool { return v.Name == name }) {
			own = append(own, name)
		}
	}
	return own
}

// statement runs one statement and returns how many rows it printed, or -1 when it gives none.
func (s *Shell) statement(ctx context.Context, text string) (int, error) {
	if asksLive(text) {
		if err := s.lookLive(ctx); err != nil {
			return 0, err
		}
	}
	args, err := s.arguments(text)
	if err != nil {
		return 0, err
	}
	s.inSQLite.Store(true)
	found, err := s.recording.Query(ctx, text, args...)
	s.inSQLite.Store(false)
	if err != nil {
		return 0, err
	}
	rows := markedRows{found, &s.inSQLite}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		rows.Next() // this is what runs it
		return -1, s.recording.explain(rows.Err())
	}
	n, err := s.print(rows, names, text)
	return n, s.recording.explain(err)
}

func (s *Shell) print(rows rowReader, names []string, statement string) (int, error) {
	out, toTerminal := s.target()
	options := s.options()
	if toTerminal && s.config.Width != nil {
		s.forScreen(&options)
	}
	mode := s.mode
	if s.suffix != "" {
		mode = s.suffix
	}
	w, err := NewResultWriter(mode, out, options)
	if err != nil {
		return 0, err
	}
	columns := columnsOf(names, statement, mode)
	var keep *kept
	if _, is := w.(*screenWriter); is {
		keep = &kept{cols: columns}
		if err := s.last.Close(); err != nil {
			return 0, err
		}
		s.last = keep
	}
	if err := w.Begin(columns); err != nil {
		return 0, err
	}
	n, err := eachRow(rows, len(names), func(values []any) error {
		if keep != nil {
			keep.add(values)
		}
		return w.Row(values)
	})
	// What came before an error is shown; then the error is.
	if eerr := w.End(); eerr != nil {
		return n, eerr
	}
	return n, err
}

// options say how values look.
func (s *Shell) options() FormatOptions {
	_, excel := s.once.(*openedFile)
	o := FormatOptions{Location: time.Local, SpreadsheetSafe: s.config.SpreadsheetSafe || excel, Header: !s.look.noHeader, Unix: s.times == "unix",
		Null: s.look.null, Separator: s.look.separator, RowSeparator: s.look.rowSeparator, Table: s.look.table, Widths: s.look.widths}
	if s.times == "utc" {
		o.Location = time.UTC
	}
	return o
}

// forScreen are the options for a terminal.
func (s *Shell) forScreen(o *FormatOptions) {
	o.Width, o.Colour, o.Human, o.Last = s.config.Width(), s.config.Colour, !s.exact, s.config.Page != nil
	if s.config.Height != nil {
		o.Height = s.config.Height()
	}
	o.changes, o.Services, o.Bars = s.changes, s.services, s.bars
	if s.recording == nil { // namespaces of several hosts
		return
	}
	names := map[int64]string{}
	o.Namespace = func(netns int64) string {
		name, ok := names[netns]
		if !ok {
			name = s.recording.namespaceName(netns)
			names[netns] = name
		}
		return name
	}
}

// showLast shows the whole result that a terminal showed last.
func (s *Shell) showLast(ctx context.Context, arg string) error {
	if arg != "" && !strings.EqualFold(arg, "all") {
		return fmt.Errorf("no %s: .last shows the whole last result", arg)
	}
	if s.last == nil {
		return errors.New("nothing was shown yet: .last shows the whole of the last result")
	}
	show := func(out io.Writer) error {
		w, err := NewResultWriter("box", out, s.options())
		if err != nil {
			return err
		}
		if err := w.Begin(s.last.cols); err != nil {
			return err
		}
		if err := errors.Join(s.last.each(w.Row), w.End()); err != nil || s.last.short == "" {
			return err
		}
		_, err = fmt.Fprintln(out, s.last.short)
		return err
	}
	if out, toTerminal := s.target(); !toTerminal || s.config.Page == nil {
		return show(out)
	}
	return s.config.Page(ctx, show)
}

// target is where results go now, and whether a person reads it.
func (s *Shell) target() (io.Writer, bool) {
	switch {
	case s.once != nil:
		return s.once, false
	case s.output != nil:
		return s.output, false
	}
	return s.config.Out, s.config.Terminal
}

// textOut is where what is no result goes: to a person with codes for the terminal shown as they are written, to a program as it is.
func (s *Shell) textOut() io.Writer {
	out, toTerminal := s.target()
	if toTerminal {
		return safeWriter{out}
	}
	return out
}

// open opens a file for results; its name says the format, if it does.
func (s *Shell) open(name string) (io.WriteCloser, error) {
	if command, is := strings.CutPrefix(name, "|"); is {
		return s.pipe(command)
	}
	f, err := openOrCreate(s.config.System, name, os.O_RDWR|os.O_TRUNC, s.recording.mode())
	if err != nil {
		return nil, fmt.Errorf("write results to %s: %w", name, err)
	}
	s.suffix = map[string]string{".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".md": "markdown"}[strings.ToLower(filepath.Ext(name))]
	return f, nil
}

// timeColumns are the names of columns that hold moments.
var timeColumns = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			if c.Time() {
				names[c.Name] = true
			}
		}
	}
	return names
})

// isTime tells a result's column that holds moments by its name: that of such a column, also within min(), max() or
// at(), or one that people give to it. The value must look like a moment, too.
func isTime(name string) bool {
	name = strings.ToLower(strings.TrimSpace(name))
	if inner, ok := strings.CutSuffix(name, ")"); ok {
		function, argument, _ := strings.Cut(inner, "(")
		switch function {
		case "at", "ts", "ago":
			return true
		case "min", "max":
			return isTime(argument)
		}
		return false
	}
	if _, column, ok := strings.Cut(name, "."); ok {
		name = column
	}
	switch name {
	case "first", "last", "begin", "start", "end", "time", "when", "at":
		return true
	}
	return timeColumns()[name] || strings.HasSuffix(name, "_ts") || strings.HasSuffix(name, "_at") || strings.HasSuffix(name, "_seen")
}

// windowed are the views that look at the window, by themselves or by others. What counts is where tables stand: columns have names of views, too.
var windowed = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	var looks func(v store.View) bool
	looks = func(v store.View) bool {
		does, known := names[v.Name]
		if known {
			return does
		}
		names[v.Name] = false
		for _, t := range tablesIn(v.Body, 0).refs {
			of, is := viewsByName()[strings.ToLower(t.table)]
			if t.table == "window" || is && looks(of) {
				names[v.Name] = true
				break
			}
		}
		return names[v.Name]
	}
	for _, v := range store.Views() {
		looks(v)
	}
	return names
})

// windowedIn is the first such view that the statement names, or "".
func windowedIn(statement string) string {
	for _, t := range tablesIn(statement, len(statement)).refs {
		if windowed()[strings.ToLower(t.table)] {
			return t.table
		}
	}
	return ""
}

// closeOutput closes what .output opened.
func (s *Shell) closeOutput() error {
	if s.output == nil {
		return nil
	}
	err := s.output.Close()
	s.output = nil
	return err
}

// Close closes what the shell opened.
func (s *Shell) Close() error {
	err := errors.Join(s.closeOutput(), s.last.Close())
	s.last = nil
	return err
}
