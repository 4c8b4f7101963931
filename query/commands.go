package query

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"netsql/store"
)

// command is a dot-command. The table of them feeds dispatch, help and completion.
type command struct {
	name string
	args string
	doc  string
	run  func(s *Shell, ctx context.Context, arg string) error
}

// commands lists them. It is a function because .help reads it.
func commands() []command {
	return []command{
		{".help", "[WORD]", "how to ask; .help topics for the manual; .help commands, times, functions, or any topic, command, table, column or state", (*Shell).help},
		{".tables", "[WORD]", "tables and views by what one wants to know; with a sentence each those with WORD in their name, or all", (*Shell).tables},
		{".describe", "TABLE [COLUMN]", "columns of a table: what each means, and its unit", (*Shell).describe},
		{".explain", "WORD", "what a state, flag, column, counter or reason of a drop means, what is normal, when to worry, and the figures at the moment that .at set: .explain Recv-Q", (*Shell).explain},
		{".schema", "[TABLE]", "the SQL behind a table or view", (*Shell).schema},
		{".around", "TIME [SPAN]", "what happened about a time, and which counters stood out: .around 03:14, .around 03:14 5m", (*Shell).around},
		{".diff", "TIME TIME", "what differs between two times: .diff 03:10 03:20; those with blanks in quotes", (*Shell).diff},
		{".note", "TEXT", "write a remark into the recording, of now; netsql note --at TIME, of another time", (*Shell).note},
		{".at", "[TIME]", "make at() mean the sample at that time: .at 03:14; .at +1, .at -1, .at next event step; .at now goes back to the newest", (*Shell).setAt},
		{".since", "[TIME]", "begin of the window that leaks, top_talkers, connections, listeners and events look at: .since '2h ago'", (*Shell).setSince},
		{".until", "[TIME]", "end of that window: .until 04:00; .until now goes back to the newest sample", (*Shell).setUntil},
		{".against", "[WHEN]", "what compared holds the window against: .against yesterday, .against 'last week', .against 1h; without WHEN a day before", (*Shell).setAgainst},
		{".mode", "[MODE]", "how results look: " + strings.Join(Modes(), ", "), (*Shell).setMode},
		{".run", "[NAME [PARAMETER=VALUE …]]", "ask one of the questions of the night, or one that was saved; without NAME list them", (*Shell).runQuestion},
		{".save", "NAME", "keep the last statement for .run NAME", (*Shell).save},
		{".chart", "[SELECT …]", "draw the numbers of a result over its time; without SELECT those of the last result", (*Shell).chart},
		{".pivot", "SELECT …", "the last two columns of a result, a name and its value, as columns", (*Shell).pivot},
		{".why", "SELECT … AGAINST SELECT …", "by which columns the rows of one result differ most from those of the other", (*Shell).why},
		{".profile", "SELECT …", "what the columns of a result hold: NULLs, different values, least, median, most, the most frequent", (*Shell).profile},
		{".watch", "INTERVAL SELECT …", "ask again and again until Ctrl-C, and mark what has changed: .watch 2s SELECT * FROM leaks", (*Shell).watch},
		{".last", "", "the last result whole: all rows and columns, as they are", (*Shell).showLast},
		{".human", "on|off", "show bytes, rates and spans with their units on a terminal, or as they are", (*Shell).setHuman},
		{".names", "on|off", "show the service of a port beside it on a terminal", (*Shell).setNames},
		{".bars", "on|off|COLUMN", "draw bars beside the numbers of a column, or of the last one, where a terminal has room", (*Shell).setBars},
		{".times", "[ZONE]", "show times as local, utc or unix (seconds)", (*Shell).setTimes},
		{".output", "[FILE]", "write results to FILE (.csv, .json … give its format); without FILE to the screen again", (*Shell).setOutput},
		{".once", "FILE", "write the next result to FILE", (*Shell).setOnce},
		{".timer", "on|off", "say how long each statement took", (*Shell).setTimer},
		{".read", "FILE", "run the statements in FILE", (*Shell).read},
		{".attach", "[FILE [NAME]]", "read another recording beside this one, as NAME.sockets and so on; without FILE list them", (*Shell).attach},
		{".detach", "NAME", "let it go", (*Shell).detach},
		{".scratch", "FILE", "keep tables of your own in FILE: CREATE TABLE scratch.busy AS SELECT …", (*Shell).scratch},
		{".headers", "on|off", "name the columns, in the modes that leave the choice", (*Shell).setHeaders},
		{".nullvalue", "TEXT", "what is shown for NULL", (*Shell).setNull},
		{".separator", "COLUMN [ROW]", "what stands between values, and behind rows: .separator ';'", (*Shell).setSeparator},
		{".width", "[N …]", "least widths of the columns in mode column", (*Shell).setWidths},
		{".print", "TEXT", "print TEXT", (*Shell).printText},
		{".echo", "on|off", "print each statement before it runs", (*Shell).setEcho},
		{".bail", "on|off", "end a script at the first error, or go on and say at the end how many there were", (*Shell).setBail},
		{".param", "set NAME VALUE", "what :NAME stands for in statements; .param list, .param unset NAME, .param clear", (*Shell).parameter},
		{".import", "FILE TABLE", "read a CSV file into a table of this shell", (*Shell).importFile},
		{".dump", "TABLE …", "print tables as SQL that makes them again", (*Shell).dump},
		{".backup", "FILE", "copy the recording, also one that is being written", (*Shell).backup},
		{".excel", "", "open the next result in the program for CSV files", (*Shell).excel},
		{".shell", "COMMAND", "run a command of the system", (*Shell).system},
		{".show", "", "how everything is set", (*Shell).show},
		{".upright", "", "each value on a line of its own, or not any more", (*Shell).toggleUpright},
		{".status", "", "is it recording, since when, what is kept, what it costs", (*Shell).status},
		{".quit", "", "leave; so do .exit and Ctrl-D", func(*Shell, context.Context, string) error { return ErrQuit }},
	}
}

// otherNames are those that commands have in psql, mysql and sqlite3.
var otherNames = map[string]string{
	`\q`: ".quit", ".exit": ".quit", ".q": ".quit", `\?`: ".help", `\h`: ".help", `\d`: ".tables", `\d+`: ".tables", `\dt`: ".tables", `\dv`: ".tables", `\x`: ".upright",
	`\i`: ".read", `\o`: ".output", `\watch`: ".watch", `\timing`: ".timer", `\!`: ".shell", ".system": ".shell", ".header": ".headers", ".parameter": ".param",
	`\s`: ".status", ".desc": ".describe",
}

// bareWords are what people type when they know another shell.
var bareWords = map[string]string{
	"help": ".help", "?": ".help", "quit": ".quit", "exit": ".quit",
}

func bareWord(text string) (command string, ok bool) {
	command, ok = bareWords[strings.ToLower(strings.TrimRight(strings.TrimSpace(text), "; "))]
	return command, ok
}

// Finished says whether Enter at the end of the text submits it: it is Complete, or a word like quit.
func Finished(text string) bool {
	_, ok := bareWord(text)
	return ok || otherTool(text) != "" || Complete(text)
}

// command runs a dot-command.
func (s *Shell) command(ctx context.Context, text string) error {
	name, arg, _ := strings.Cut(strings.TrimSpace(text), " ")
	if other, ok := otherNames[strings.TrimSuffix(name, ";")]; ok {
		name = other
		if name == ".tables" && strings.TrimSpace(arg) != "" { // \d NAME
			name = ".describe"
		}
	}
	arg = unquoted(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(arg), ";")))
	name = strings.TrimSuffix(strings.ToLower(name), ";")
	var names []string
	for _, c := range commands() {
		if c.name == name {
			if slices.Contains(ofOneRecording, name) {
				if err := s.checkOneRecording(name); err != nil {
					return err
				}
			}
			return s.paged(ctx, c, arg)
		}
		names = append(names, c.name)
	}
	if done, err := s.tool(ctx, strings.TrimPrefix(strings.TrimSpace(text), ".")); done {
		return err
	}
	if near, ok := Suggest(name, names); ok {
		return fmt.Errorf("no command %s; did you mean %s? (.help lists them)", name, near)
	}
	return fmt.Errorf("no command %s: .help lists them", name)
}

// readThrough are the commands whose text goes to the pager where it is longer than the screen.
var readThrough = map[string]bool{".help": true, ".tables": true, ".describe": true, ".schema": true, ".status": true, ".run": true}

// paged runs a command. What a person reads through goes to the pager where it is longer than the screen.
func (s *Shell) paged(ctx context.Context, c command, arg string) error {
	out, toTerminal := s.target()
	if !readThrough[c.name] || c.name == ".run" && arg != "" || !toTerminal || s.config.Page == nil || s.config.Height == nil {
		return c.run(s, ctx, arg)
	}
	var text bytes.Buffer
	s.config.Out = &text
	err := c.run(s, ctx, arg)
	s.config.Out = out
	write := func(w io.Writer) error {
		_, err := w.Write(text.Bytes())
		return err
	}
	if bytes.Count(text.Bytes(), []byte("\n")) < s.config.Height() {
		return errors.Join(write(out), err)
	}
	return errors.Join(s.config.Page(ctx, write), err)
}

// unquoted drops the quotes that people put around an argument with blanks; two arguments keep theirs.
func unquoted(arg string) string {
	if n := len(arg); n >= 2 && (arg[0] == '\'' || arg[0] == '"') && strings.IndexByte(arg[1:], arg[0]) == n-2 {
		return arg[1 : n-1]
	}
	return arg
}

// width is what help is wrapped to.
func (s *Shell) width() int {
	if s.config.Terminal && s.config.Width != nil {
		if w := s.config.Width(); w > 0 {
			return min(w, 110)
		}
	}
	return 110
}

func (s *Shell) schema(ctx context.Context, arg string) error {
	out := s.textOut()
	found := false
	for _, v := range store.Views() {
		if arg == "" || strings.EqualFold(v.Name, arg) {
			found = true
			if _, err := fmt.Fprintf(out, "CREATE VIEW %s AS\n%s;\n", v.Name, cmp.Or(v.InFile, v.Body)); err != nil {
				return err
			}
		}
	}
	rows, err := s.recording.conn.Conn.QueryContext(ctx, "SELECT sql FROM (SELECT name, sql, type FROM main.sqlite_schema UNION ALL SELECT name, sql, type FROM temp.sqlite_schema) WHERE type = 'table' AND sql IS NOT NULL AND (? = '' OR name = ?)", arg, arg)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return err
		}
		found = true
		if _, err := fmt.Fprintf(out, "%s;\n", text); err != nil {
			return err
		}
	}
	if !found {
		if near, ok := Suggest(arg, s.recording.Names(ctx).TableNames()); ok {
			return fmt.Errorf("no table %s; did you mean %q?", arg, near)
		}
		return fmt.Errorf("no table %s: .tables lists them", arg)
	}
	return rows.Err()
}

func (s *Shell) setAt(ctx context.Context, arg string) error {
	if is, err := s.stepAt(ctx, arg); is {
		return err
	}
	if arg == "" {
		ts, _, err := s.recording.atSample(ctx)
		if err != nil {
			return err
		}
		return s.sayStanding(ctx, ts, "")
	}
	moment, err := momentArg(arg, s.recording.at)
	if err != nil {
		return err
	}
	ts, note, err := s.recording.SetAt(ctx, moment)
	if err != nil {
		return err
	}
	if note != "" {
		fmt.Fprintf(s.config.Err, "note: %s\n", note)
	}
	if moment.IsZero() {
		return s.say("at() is the newest sample")
	}
	return s.sayStanding(ctx, unixSeconds(ts), "")
}

// momentArg is the time that the argument of .at, .since or .until names: "" leaves it as it is, now is the newest
// sample, for which the zero time stands.
func momentArg(arg string, as time.Time) (time.Time, error) {
	switch strings.ToLower(arg) {
	case "":
		return as, nil
	case "now":
		return time.Time{}, nil
	}
	return ParseTime(arg, time.Now())
}

func (s *Shell) setSince(ctx context.Context, arg string) error {
	return s.setWindow(ctx, arg, s.recording.since, func(t time.Time) error { return s.recording.SetWindow(ctx, t, s.recording.until) })
}

func (s *Shell) setUntil(ctx context.Context, arg string) error {
	return s.setWindow(ctx, arg, s.recording.until, func(t time.Time) error { return s.recording.SetWindow(ctx, s.recording.since, t) })
}

func (s *Shell) setWindow(ctx context.Context, arg string, now time.Time, set func(time.Time) error) error {
	moment, err := momentArg(arg, now)
	if err != nil {
		return err
	}
	if err := set(moment); err != nil {
		return err
	}
	since, until, samples, err := s.recording.Window(ctx)
	if err != nil {
		return err
	}
	return s.say(fmt.Sprintf("window: %s to %s, %s", localTime(since), localTime(until), plural(int64(samples), "sample")))
}

// say tells a person what a setting is now; a script does not ask.
func (s *Shell) say(text string) error {
	if !s.config.Terminal {
		return nil
	}
	_, err := fmt.Fprintln(s.config.Out, Safe(text))
	return err
}

func (s *Shell) setMode(_ context.Context, arg string) error {
	if arg == "" {
		_, err := fmt.Fprintf(s.config.Out, "mode: %s (there are %s)\n", s.mode, strings.Join(Modes(), ", "))
		return err
	}
	mode, table, _ := strings.Cut(arg, " ") // .mode insert TABLE
	if other, ok := map[string]string{"tabs": "tsv", "lines": "line", "columns": "column"}[strings.ToLower(mode)]; ok {
		mode = other
	}
	if _, err := NewResultWriter(mode, io.Discard, FormatOptions{}); err != nil {
		return err
	}
	s.mode, s.look.table = strings.ToLower(mode), strings.TrimSpace(table)
	return nil
}

func (s *Shell) setTimes(_ context.Context, arg string) error {
	switch arg {
	case "":
		_, err := fmt.Fprintf(s.config.Out, "times: %s\n", s.times)
		return err
	case "local", "utc", "unix":
		s.times = arg
		return nil
	}
	return fmt.Errorf("no times %q: .times local, .times utc or .times unix", arg)
}

func (s *Shell) setOutput(_ context.Context, arg string) error {
	if err := s.closeOutput(); err != nil {
		return err
	}
	s.suffix = ""
	if arg == "" || arg == "stdout" {
		return nil
	}
	f, err := s.open(arg)
	s.output = f
	return err
}

func (s *Shell) setOnce(_ context.Context, arg string) error {
	if arg == "" {
		return errors.New("write to which file? .once leaks.csv, say")
	}
	f, err := s.open(arg)
	if err != nil {
		return err
	}
	s.once = f
	return nil
}

func (s *Shell) setHuman(_ context.Context, arg string) error {
	on := !s.exact
	err := onOff("human", arg, &on)
	s.exact = !on
	return err
}

func (s *Shell) setNames(_ context.Context, arg string) error {
	return onOff("names", arg, &s.services)
}

func (s *Shell) setBars(_ context.Context, arg string) error {
	switch strings.ToLower(arg) {
	case "":
		return errors.New("bars of which column? .bars on, .bars off or .bars count")
	case "on":
		s.bars = "*"
	case "off":
		s.bars = ""
	default:
		s.bars = arg
	}
	return nil
}

func (s *Shell) setTimer(_ context.Context, arg string) error {
	if arg == "" { // as \timing
		s.timer = !s.timer
		return nil
	}
	return onOff("timer", arg, &s.timer)
}

func (s *Shell) read(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("read which file? .read questions.sql, say")
	}
	if s.depth > 10 {
		return fmt.Errorf("read %s: files that read each other without end", arg)
	}
	text, err := readText(arg)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	if !utf8.Valid(text) {
		return fmt.Errorf("read %s: it is no text", arg)
	}
	s.depth++
	defer func() { s.depth-- }()
	if err := s.Script(ctx, string(text)); err != nil {
		if errors.Is(err, ErrQuit) {
			return err
		}
		return fmt.Errorf("%s: %w", arg, err)
	}
	return nil
}

// mostText is how long a file of statements may be: a device such as /dev/zero has no end.
const mostText = 64 << 20

// readText is the text of a file.
func readText(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, mostText+1))
	if err == nil && len(text) > mostText {
		err = fmt.Errorf("%s is larger than %s: that are no statements", name, bytesText(mostText))
	}
	return text, err
}

func (s *Shell) status(ctx context.Context, _ string) error {
	st, err := ReadStatus(ctx, s.recording)
	if err != nil {
		return err
	}
	out := s.textOut()
	return st.Write(out)
}

func (s *Shell) note(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("what should the note say? .note deploy 1.4")
	}
	add := s.config.Note
	if add == nil {
		add = func(ctx context.Context, text string) error {
			return AddNote(ctx, s.recording.Path, time.Now(), text, s.config.User)
		}
	}
	if err := add(ctx, arg); err != nil {
		return err
	}
	return s.say("noted")
}
