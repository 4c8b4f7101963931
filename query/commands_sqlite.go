package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// The commands here are those that scripts and fingers know from sqlite3.

// A look is how results look besides their mode; the zero value is that of each mode.
type look struct {
	noHeader                             bool
	null, separator, rowSeparator, table string
	widths                               []int
}

// onOff sets what a command turns on or off.
func onOff(what, arg string, set *bool) error {
	switch strings.ToLower(arg) {
	case "on", "yes", "1", "true":
		*set = true
		return nil
	case "off", "no", "0", "false":
		*set = false
		return nil
	}
	return fmt.Errorf("no %s %q: .%[1]s on or .%[1]s off", what, arg)
}

func (s *Shell) setHeaders(_ context.Context, arg string) error {
	on := !s.look.noHeader
	err := onOff("headers", arg, &on)
	s.look.noHeader = !on
	return err
}

func (s *Shell) setEcho(_ context.Context, arg string) error { return onOff("echo", arg, &s.echo) }

func (s *Shell) setBail(_ context.Context, arg string) error {
	bail := !s.goOn
	err := onOff("bail", arg, &bail)
	s.goOn = !bail
	return err
}

func (s *Shell) setNull(_ context.Context, arg string) error {
	s.look.null = arg
	return nil
}

func (s *Shell) setSeparator(_ context.Context, arg string) error {
	words := quotedFields(arg)
	if len(words) == 0 || len(words) > 2 {
		return errors.New("which separator? .separator ';', say, and behind it that of rows")
	}
	s.look.separator, s.look.rowSeparator = unescaped(words[0]), ""
	if len(words) == 2 {
		s.look.rowSeparator = unescaped(words[1])
	}
	return nil
}

// unescaped reads \t, \n, \x1f and the like.
func unescaped(word string) string {
	if text, err := strconv.Unquote(`"` + strings.ReplaceAll(word, `"`, `\"`) + `"`); err == nil {
		return text
	}
	return word
}

func (s *Shell) setWidths(_ context.Context, arg string) error {
	var widths []int
	for word := range strings.FieldsSeq(arg) {
		n, err := strconv.Atoi(word)
		if err != nil || n > 1000 || n < -1000 {
			return fmt.Errorf("no width %q: .width 10 20 0, say", word)
		}
		widths = append(widths, n)
	}
	s.look.widths = widths
	return nil
}

func (s *Shell) printText(_ context.Context, arg string) error {
	out, toTerminal := s.target()
	if toTerminal {
		arg = escapeControls(arg)
	}
	_, err := fmt.Fprintln(out, arg)
	return err
}

func (s *Shell) toggleUpright(context.Context, string) error {
	switch {
	case s.mode != "line":
		s.mode = "line"
	case s.config.Terminal:
		s.mode = "box"
	default:
		s.mode = "list"
	}
	return nil
}

// show is .show: how everything is set.
func (s *Shell) show(context.Context, string) error {
	out, _ := s.target()
	word := func(on bool) string {
		if on {
			return "on"
		}
		return "off"
	}
	at := "the newest sample"
	if !s.recording.at.IsZero() {
		at = localTime(s.recording.at)
	}
	lines := [][2]string{
		{"recording", s.recording.Path}, {"mode", s.mode}, {"headers", word(!s.look.noHeader)}, {"nullvalue", strconv.Quote(s.look.null)},
		{"separator", strconv.Quote(s.look.separator)}, {"rowseparator", strconv.Quote(s.look.rowSeparator)}, {"width", strings.Trim(fmt.Sprint(s.look.widths), "[]")},
		{"times", s.times}, {"human", word(!s.exact)}, {"timer", word(s.timer)}, {"echo", word(s.echo)}, {"bail", word(!s.goOn)}, {"at", at},
	}
	if s.config.Restricted != "" {
		lines = append(lines, [2]string{"restricted", s.config.Restricted})
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(out, "%12s: %s\n", line[0], escapeControls(line[1])); err != nil {
			return err
		}
	}
	return nil
}

// system is .shell: it runs a command.
func (s *Shell) system(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("run which command? .shell date, say")
	}
	out, _ := s.target()
	wait, err := s.config.System.Run(ctx, Program{Words: []string{"sh", "-c", arg}, Out: out, Err: s.stderr})
	if err == nil {
		err = wait()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", quoteWords(arg), err)
	}
	return nil
}

// A commandPipe is a command that results go to. Closing it waits until it ends.
type commandPipe struct {
	*os.File
	command string
	wait    func() error
}

func (p *commandPipe) Close() error {
	err := p.File.Close()
	if waited := p.wait(); waited != nil {
		return fmt.Errorf("%s: %w", quoteWords(p.command), waited)
	}
	return err
}

// pipe starts a command for results.
func (s *Shell) pipe(command string) (io.WriteCloser, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	wait, err := s.config.System.Run(context.Background(), Program{Words: []string{"sh", "-c", command}, In: theirs, Out: s.config.Out, Err: s.stderr})
	err = errors.Join(err, theirs.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write results to %s: %w", quoteWords(command), err), ours.Close())
	}
	s.suffix = ""
	return &commandPipe{ours, command, wait}, nil
}

// excel is .excel: the next result goes to a CSV file, which the program for such files opens.
func (s *Shell) excel(context.Context, string) error {
	f, err := s.config.System.CreateTemp("netsql-*.csv")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	s.once, s.suffix = &openedFile{f, s.config.System, s.config.Err}, "csv"
	return nil
}

// An openedFile is opened by the program for such files once it is written.
type openedFile struct {
	*os.File
	system System
	err    io.Writer
}

func (f *openedFile) Close() error {
	if err := f.File.Close(); err != nil {
		return err
	}
	for _, name := range []string{"xdg-open", "open"} {
		opener, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if wait, err := f.system.Run(context.Background(), Program{Words: []string{opener, f.Name()}}); err == nil {
			go wait()
			return nil
		}
	}
	_, err := fmt.Fprintf(f.err, "note: no program opens CSV files here: the result is in %s\n", f.Name())
	return err
}

// backup is .backup: a copy of the recording as it is now. Nobody may read it who may not read the recording.
func (s *Shell) backup(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("copy the recording to which file? .backup copy.db, say")
	}
	f, err := create(s.config.System, arg, s.recording.mode())
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and a copy overwrites nothing: name a new file", escapeControls(arg))
	}
	if err != nil {
		return fmt.Errorf("copy the recording: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	letWrite(arg)
	if _, err := s.recording.look.ExecContext(ctx, "VACUUM INTO ?", fileAddress(arg)); err != nil {
		return errors.Join(fmt.Errorf("copy the recording: %w", s.recording.explain(err)), s.config.System.Remove(arg))
	}
	return s.say("copied to " + arg)
}
