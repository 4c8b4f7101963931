package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"netsql/query"
	"netsql/recorder"
)

// shell is netsql without a subcommand: it answers the SQL of the command line or of standard input,
// or opens the interactive shell.
func shell(f *flags) runner {
	var at, since, until string
	var look lookFlags
	var scripts []script
	var bail, noBail, noRecord bool
	var timeout time.Duration
	params := map[string]string{}
	f.VarP(repeatedFlag(func(text string) error {
		scripts = append(scripts, script{words: text})
		return nil
	}), "command", "c", "run `SQL` or a dot-command; may stand several times")
	f.VarP(repeatedFlag(func(name string) error {
		scripts = append(scripts, script{words: name, isFile: true})
		return nil
	}), "file", "f", "run the statements of a `FILE`, - for standard input; may stand several times")
	paramFlag(f, params)
	look.define(f)
	f.BoolVar(&bail, "bail", false, "end at the first error, as without this flag")
	f.BoolVar(&noBail, "no-bail", false, "go on after an error; the exit code is 1 then")
	f.BoolVar(&noRecord, "no-record", false, "do not record meanwhile where there is no recording yet")
	memory := memoryFlag(f)
	f.Var(durationFlag{&timeout}, "timeout", "give up after a `DURATION` such as 5s, with exit code 4; 0 waits for ever")
	timeFlags(f, &at, &since, &until)
	f.complete("file", anyFile)
	f.completeWords(recordings, dotCommands)
	return func(ctx context.Context, words []string, std stdio) error {
		path, explicit, err := f.asked()
		if err != nil {
			return err
		}
		if len(words) > 0 && looksLikeFile(words[0]) {
			if f.db != "" {
				return usagef("two recordings, %s and %s: name one", f.db, words[0])
			}
			path, explicit, words = words[0], true, words[1:]
		}
		if len(words) > 0 {
			if err := mistakenWord(words[0]); err != nil {
				return err
			}
		}
		texts, err := readScripts(scripts, std.in)
		if err != nil {
			return err
		}
		words = append(texts, words...)
		interactive := len(words) == 0 && isTerminal(std.in)
		if timeout > 0 && !interactive {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, timeout, &timeoutError{timeout})
			defer cancel()
		}

		memory.apply()
		var past *history
		if interactive {
			past = openHistory(historyFile(), std.err)
		}
		records, end, err := recordMeanwhile(ctx, path, explicit || noRecord, std)
		if err != nil {
			return err
		}
		defer end()
		// An interactive shell answers to Ctrl-C by itself once it is open, and waits as long as its user.
		opening, opened := ctx, func() {}
		if timeout > 0 && interactive {
			opening, opened = context.WithTimeoutCause(ctx, timeout, &timeoutError{timeout})
		}
		defer opened()
		forget := func() bool { return true }
		if !records {
			forget = exitWhenStuck(opening, std)
		}
		defer func() { forget() }()
		limits := &restricted{words: "no: this process records"}
		if !records {
			limits = restrictShell(path, len(words) > 0 && !slices.ContainsFunc(words, func(text string) bool { return !query.OnlyAsks(text) }))
		}
		defer limits.Close()
		r, err := query.OpenAny(opening, path)
		if err != nil {
			return inTime(opening, err)
		}
		defer r.Close()
		sayLost(r, std)
		if err := setWindow(opening, r, since, until); err != nil {
			return inTime(opening, err)
		}
		if interactive {
			forget()
		}
		if at != "" {
			moment, err := query.ParseTime(at, time.Now())
			if err != nil {
				return usagef("--at: %v", err)
			}
			_, note, err := r.SetAt(ctx, moment)
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintf(std.err, "note: %s\n", query.Safe(note))
			}
		}
		out := newPatientWriter(std.out, 2*time.Second)
		config, err := look.config(std)
		if err != nil {
			return err
		}
		config.Out, config.User, config.GoOn, config.Params = out, userName(), noBail && !bail, params
		config.Questions, config.Manual, config.Tool = questionsFolder(), manualTopics(), toolOfShell(std)
		config.System, config.Restricted, config.Note = limits.system(), limits.words, limits.note(path)
		config.Live = limits.live(func(sentence string) { fmt.Fprintf(std.err, "note: %s\n", query.Safe(sentence)) })
		if interactive && config.Terminal {
			config.Page = func(ctx context.Context, write func(io.Writer) error) error {
				return errors.Join(out.drain(ctx), page(ctx, limits.system(), std, write))
			}
		}
		s, err := query.NewShell(r, config)
		if err != nil {
			return err
		}
		defer s.Close()
		switch {
		case interactive:
			stuck := func(shell context.Context) {
				if shell.Err() != nil { // its terminal is gone
					exit(exitInterrupted)
				}
				restart(s, limits)
			}
			if records {
				stuck = func(context.Context) {} // the recorder within must end first
			}
			past.system = limits.system()
			err = interact(ctx, s, r, out, editorConfig{history: past, suspend: limits.suspend}, bool(config.Colour), stuck, std)
		case len(words) > 0:
			err = runScripts(ctx, s, words...)
		default:
			var text []byte
			if text, err = io.ReadAll(std.in); err != nil {
				return fmt.Errorf("read statements: %w", err)
			}
			err = runScripts(ctx, s, string(text))
		}
		return errors.Join(inTime(ctx, err), out.Close())
	}
}

// inTime is an error, or that there was no answer in time where that is the reason.
func inTime(ctx context.Context, err error) error {
	var late *timeoutError
	if cause := context.Cause(ctx); errors.As(cause, &late) {
		return cause
	}
	return err
}

// A timeoutError says that there was no answer in time.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("no answer within %v (--timeout)", e.after) }

// A script is statements that a flag gives, or the name of the file that has them.
type script struct {
	words  string
	isFile bool
}

// readScripts are the texts of the scripts. They are read after all flags: who asks for help waits for nothing.
func readScripts(scripts []script, in io.Reader) ([]string, error) {
	var texts []string
	for _, s := range scripts {
		text := s.words
		if s.isFile {
			var err error
			if text, err = readScript(s.words, in); err != nil {
				return nil, usagef("--file: %v", err)
			}
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// readScript is the text of a file of statements.
func readScript(name string, in io.Reader) (string, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(in)
	} else {
		text, err = os.ReadFile(name)
	}
	if err != nil {
		return "", err
	}
	if !utf8.Valid(text) {
		return "", fmt.Errorf("%s is no text", name)
	}
	return string(text), nil
}

// mistakenWord catches a subcommand with a slip of the finger before SQLite complains of its syntax.
func mistakenWord(word string) error {
	if strings.ContainsAny(word, " \t\n;(") || strings.HasPrefix(word, ".") || strings.HasPrefix(word, `\`) {
		return nil
	}
	var names []string
	for _, c := range subcommands() {
		if c.doc != "" {
			names = append(names, c.name)
		}
	}
	if query.IsTable(word) {
		return usagef("%q is a table: netsql 'SELECT * FROM %[1]s'", word)
	}
	if near, ok := query.Suggest(word, names); ok {
		return usagef("%q is no command, no recording and no SQL; did you mean netsql %s?", word, near)
	}
	return usagef("%q is no command, no recording and no SQL: netsql help shows what there is", word)
}

func runScripts(ctx context.Context, s *query.Shell, texts ...string) error {
	var failed error
	for _, text := range texts {
		err := s.Script(ctx, text)
		switch {
		case errors.Is(err, query.ErrQuit):
			return failed
		case err != nil && (!s.GoesOn() || ctx.Err() != nil):
			return err
		case err != nil && failed != nil:
			failed = fmt.Errorf("%w\n%w", failed, err)
		case err != nil:
			failed = err
		}
	}
	return errors.Join(failed, s.Close())
}

// setWindow sets the window from the words of two flags.
func setWindow(ctx context.Context, r *query.Recording, since, until string) error {
	var from, to time.Time
	var err error
	now := time.Now()
	if since != "" {
		if from, err = query.ParseTime(since, now); err != nil {
			return usagef("--since: %v", err)
		}
	}
	if until != "" {
		if to, err = query.ParseTime(until, now); err != nil {
			return usagef("--until: %v", err)
		}
	}
	if from.IsZero() && to.IsZero() {
		return nil
	}
	return r.SetWindow(ctx, from, to)
}

// recordMeanwhile records while the shell is open, when there is nothing at the default place yet. The function it
// returns ends that.
func recordMeanwhile(ctx context.Context, path string, explicit bool, std stdio) (records bool, end func(), err error) {
	if _, err := os.Stat(path); explicit || !errors.Is(err, os.ErrNotExist) {
		return false, func() {}, nil
	}
	recording, cancel := context.WithCancel(context.WithoutCancel(ctx))
	first, done := make(chan struct{}), make(chan error, 1)
	sampled := false
	go func() {
		done <- recorder.Run(recording, recorder.Config{
			Limits: recorder.DefaultLimits,
			Path:   path, Interval: time.Second, Version: version,
			Notice: func(n recorder.Notice) { fmt.Fprintf(std.err, "netsql: %s\n", query.Safe(n.Text)) },
			Sampled: func() {
				if !sampled {
					sampled = true
					close(first)
				}
			},
		})
	}()
	end = func() {
		cancel()
		<-done
	}
	select {
	case <-first:
		fmt.Fprintf(std.err, "netsql: no recording yet: recording into %s, once a second, while this runs; netsql record & goes on without it\n", query.Safe(path))
		return true, end, nil
	case err := <-done:
		cancel()
		if err == nil {
			err = errors.New("the recorder ended before its first sample")
		}
		return false, nil, err
	case <-ctx.Done():
		end()
		return false, nil, ctx.Err()
	}
}

// interact is the interactive shell. Ctrl-C cancels a statement and never ends it; SIGTERM and a terminal that
// is gone do. stuck is called, with a context that ends with the shell, when a cancelled statement does not end.
func interact(ctx context.Context, s *query.Shell, r *query.Recording, out *patientWriter, config editorConfig, coloured bool, stuck func(context.Context), std stdio) error {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(ctx), syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)

	if coloured {
		config.colours = query.Highlights
	}
	config.complete = func(text string, cursor int) ([]string, int) {
		return query.Completions(text, cursor, s.Names(ctx))
	}
	config.finished = query.Finished
	config.stdin, config.stdout, config.stderr = std.in, std.out, std.err
	e, err := newEditor(config)
	if err != nil {
		return err
	}
	defer e.Close()
	context.AfterFunc(ctx, func() { e.Close() })
	if !sayRestarted(std) {
		hello, cancel := context.WithTimeout(ctx, promptWait)
		greet(hello, r, std)
		cancel()
	}
	for {
		select {
		case <-interrupts: // it was meant for a statement that has just ended
		default:
		}
		e.setPrompt(promptInTime(ctx, s, interrupts))
		text, err := e.read()
		switch {
		case errors.Is(err, errInterrupted):
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		e.add(text)
		if err := answer(ctx, s, text, interrupts, out, stuck, std); errors.Is(err, query.ErrQuit) {
			return nil
		}
	}
}

// interruptible is a context that an interrupt cancels. After stop nothing of it takes an interrupt any more: the next one is meant for what comes then.
func interruptible(ctx context.Context, interrupts <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel()
		<-watched
	}
}

// answer runs one input, until an interrupt cancels it. stuck is called, with the shell's context, when it was cancelled and does not end.
func answer(shell context.Context, s *query.Shell, text string, interrupts <-chan os.Signal, out *patientWriter, stuck func(context.Context), std stdio) error {
	ctx, stop := interruptible(shell, interrupts)
	defer stop()
	ended := make(chan struct{})
	watch := context.AfterFunc(ctx, func() {
		for {
			select {
			case <-time.After(stuckAfter):
				if s.InSQLite() {
					stuck(shell)
				}
			case <-ended:
				return
			}
		}
	})
	defer watch()
	defer close(ended)
	err := s.Script(ctx, text)
	if derr := out.drain(ctx); err == nil {
		err = derr
	}
	if err == nil && ctx.Err() != nil { // the rest of it was not printed
		err = ctx.Err()
	}
	switch {
	case err == nil, errors.Is(err, query.ErrQuit):
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(std.err, "cancelled")
	default:
		fmt.Fprintf(std.err, "error: %s\n", query.Safe(err.Error()))
	}
	return err
}

// promptWait is how long the prompt may take to find out how the recording fares.
const promptWait = time.Second

// promptInTime is the prompt, also where the recording cannot be read, and at once after Ctrl-C.
func promptInTime(ctx context.Context, s *query.Shell, interrupts <-chan os.Signal) string {
	ctx, cancel := context.WithTimeout(ctx, promptWait)
	defer cancel()
	ctx, stop := interruptible(ctx, interrupts)
	defer stop()
	return s.Prompt(ctx, time.Now())
}

// greet says what is open and whether it is being recorded.
func greet(ctx context.Context, r *query.Recording, std stdio) {
	first, last, err := r.Span(ctx)
	if err != nil {
		return
	}
	const day = "2006-01-02 15:04:05"
	fmt.Fprintf(std.out, "netsql %s: %s\n", version, query.Safe(r.Path))
	if !first.IsZero() {
		fmt.Fprintf(std.out, "Recorded from %s to %s.\n", first.Local().Format(day), last.Local().Format(day))
	}
	switch recorder, is := r.Recorder(); {
	case len(r.Hosts()) > 0:
		fmt.Fprintf(std.out, "It holds the recordings of %s: all tables have a column host.\n", query.Safe(strings.Join(r.Hosts(), ", ")))
	case !is:
		fmt.Fprint(std.out, "Nobody is recording now.\n")
	case recorder.PID == 0:
		fmt.Fprintf(std.out, "A recorder is recording: %v.\n", recorder)
	default:
		fmt.Fprintf(std.out, "Process %d is recording.\n", recorder.PID)
	}
	fmt.Fprintln(std.out, ".help shows how to ask, .tables what there is.")
}

// questionsFolder is where saved questions are; "" when there is no place for them.
func questionsFolder() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "netsql", "questions")
}

// stateFolder is where the program keeps what it should remember from one time to the next; "" when there is no place for it.
func stateFolder() string {
	dir := os.Getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		dir = filepath.Join(home, ".local", "state")
	}
	dir = filepath.Join(dir, "netsql")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ""
	}
	return dir
}

// historyFile is where the statements of earlier shells are; "" when there is no place for it.
func historyFile() string {
	dir := stateFolder()
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "history")
}
