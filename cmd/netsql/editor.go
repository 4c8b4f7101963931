package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/chzyer/readline"

	"netsql/query"
)

// The line editor of the shell, on top of github.com/chzyer/readline.
//
// The library reads the terminal in a loop of its own and gives each key to
// FuncFilterInputRune. That is where we take over, because what lies behind
// it knows one line of narrow characters: it draws in quadratic time, puts the
// cursor on the wrong row of a wrapped line, and kills or moves over the
// whole statement instead of a line of it. So the library's own buffer stays
// empty; it keeps the loop, raw mode, and the way Enter, Ctrl-C and Ctrl-D end
// a reading. Everything between is ours:
//
//	keyReader   bytes of the terminal → keys     editor_input.go
//	editModel   keys → text, history, completion editor_model.go, editor_buffer.go
//	screen      text → rows on the terminal      editor_layout.go, editor_draw.go
//	history     what was entered before          editor_history.go
//
// keyReader hands out one key and then waits until it has been dealt with, so
// nothing is read ahead: while a statement runs, typing stays in the kernel,
// where a pager or the next prompt finds it.

// errInterrupted is what read returns on Ctrl-C: the input is gone, the shell
// goes on with a fresh prompt.
var errInterrupted = errors.New("interrupted")

// editorConfig is the manual of the editor.
type editorConfig struct {
	// prompt stands before the first line, continuation before each further
	// one. Plain text: escape sequences are shown, not obeyed.
	prompt, continuation string

	// historyFile keeps what was entered between sessions, in mode 0600. With
	// "" the history ends with the program.
	historyFile string
	// history is what is kept in that file, if it was read already.
	history *history
	// suspend stops this job, as Ctrl-Z does. With nil, or when it fails, a signal does.
	suspend func() error

	// complete gets the whole text and the cursor in it, both in bytes, and
	// answers what could replace text[from:cursor]. With nil, Tab does nothing.
	complete func(text string, cursor int) (candidates []string, from int)

	// colours are those of the text, in order. With nil, there are none.
	colours func(text string) []query.Highlight

	// finished says whether Enter hands text over; if not, Enter begins a new
	// line. With nil, every line is finished.
	finished func(text string) bool

	// stdin and stdout are the terminal, stderr gets the rare warning about
	// the history file. The default is os.Stdin, os.Stdout, os.Stderr. If they
	// are no terminal, or TERM is dumb, lines are read without editing.
	stdin          io.ReadCloser
	stdout, stderr io.Writer
}

// editor reads statements from a terminal. Only Close may be called while
// read runs.
type editor struct {
	cfg     editorConfig
	history *history
	plain   *plainReader // instead of all that follows, on a dumb terminal

	rl    *readline.Instance
	keys  *keyReader
	tty   *terminal
	ended chan struct{} // closed when the library's loop has ended
	stop  func()        // ends the signal watcher

	mu      sync.Mutex // the loop, the signal watcher and Close meet here
	model   *editModel
	screen  *screen
	reading bool
	closed  bool
	result  string
}

func newEditor(cfg editorConfig) (*editor, error) {
	if cfg.stdin == nil {
		cfg.stdin = os.Stdin
	}
	if cfg.stdout == nil {
		cfg.stdout = os.Stdout
	}
	if cfg.stderr == nil {
		cfg.stderr = os.Stderr
	}
	if cfg.finished == nil {
		cfg.finished = func(string) bool { return true }
	}
	if cfg.history == nil {
		cfg.history = openHistory(cfg.historyFile, cfg.stderr)
	}
	e := &editor{cfg: cfg, history: cfg.history}

	in, inOK := cfg.stdin.(*os.File)
	out, outOK := cfg.stdout.(*os.File)
	if !inOK || !outOK || !isTerminal(in) || !isTerminal(out) || dumbTerminal() {
		e.plain = newPlainReader(cfg)
		return e, nil
	}

	e.tty = &terminal{in: in, out: out}
	e.model = newEditModel(cfg, e.history)
	e.screen = &screen{w: out}
	// The library's reader lets go of a blocked read on Close. What is typed
	// after that is lost with it, as at the end of any program.
	e.keys = newKeyReader(readline.NewCancelableStdin(in))
	e.ended = make(chan struct{})

	rl, err := readline.NewEx(&readline.Config{
		Stdin:                  e.keys,
		Stdout:                 io.Discard,
		Stderr:                 io.Discard,
		FuncFilterInputRune:    e.filter,
		DisableAutoSaveHistory: true,
		UniqueEditLine:         true,
		FuncIsTerminal:         func() bool { return false }, // it draws nothing
		FuncGetWidth:           func() int { return 80 },
		FuncOnWidthChanged:     func(func()) {},
		FuncMakeRaw:            func() error { return nil }, // enter and leave do it
		FuncExitRaw:            func() error { return nil },
	})
	if err != nil {
		return nil, fmt.Errorf("line editor: %w", err)
	}
	e.rl = rl
	e.stop = watchSignals(e.resized, e.resumed)
	return e, nil
}

// setPrompt changes the prompt of the next read. Further lines of a statement are indented as far.
func (e *editor) setPrompt(prompt string) {
	const dots = "...> "
	continuation := strings.Repeat(" ", max(0, utf8.RuneCountInString(prompt)-len(dots))) + dots
	if e.plain != nil {
		e.plain.cfg.prompt, e.plain.cfg.continuation = prompt, continuation
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.model.cfg.prompt, e.model.cfg.continuation = prompt, continuation
}

// read returns one complete input, which may have several lines. It returns
// errInterrupted on Ctrl-C, and io.EOF on Ctrl-D in an empty input, when the
// terminal is gone and after Close.
func (e *editor) read() (string, error) {
	if e.plain != nil {
		return e.plain.read()
	}
	if err := e.begin(); err != nil {
		return "", err
	}
	defer e.end()
	e.keys.proceed()
	_, err := e.rl.Readline()
	if errors.Is(err, readline.ErrInterrupt) {
		return "", errInterrupted
	}
	if err != nil {
		return "", err
	}
	return e.result, nil
}

// add puts text into the history, a statement of several lines as one entry.
func (e *editor) add(text string) {
	e.history.add(text)
}

// Close gives the terminal back and ends a running read with io.EOF. It may be
// called from a signal handler's goroutine, and twice.
func (e *editor) Close() error {
	if e.plain != nil {
		return e.plain.Close()
	}
	e.mu.Lock()
	if e.reading {
		e.screen.finish(e.model, "")
	}
	err := e.leave()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	if again {
		return err
	}
	e.stop()
	// The library's own Close waits for a goroutine that it may not have
	// started yet. Ending its input ends both of its loops.
	e.keys.Close()
	e.rl.Terminal.KickRead()
	e.rl.Config.Stdin.Close()
	<-e.ended
	return err
}

// filter sees every key before the library does. It returns false for those
// that end here, and an Enter, Ctrl-C or Ctrl-D over the library's empty
// buffer for those that end the reading.
func (e *editor) filter(key rune) (_ rune, pass bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	handled := false
	defer func() {
		// A panic, in here or in a completion, ends the program with its own
		// stack, but not with the terminal in raw mode.
		if !handled {
			io.WriteString(e.cfg.stdout, "\r\n")
			e.leave()
		}
	}()
	key, pass = e.handle(key)
	handled = true
	return key, pass
}

func (e *editor) handle(key rune) (rune, bool) {
	if key == 0 { // the input has ended
		if e.reading {
			e.screen.finish(e.model, "")
		}
		e.closed = true
		close(e.ended)
		return 0, true
	}
	switch key {
	case readline.CharCtrlZ:
		e.suspend()
		e.keys.proceed()
		return 0, false
	case readline.CharCtrlL:
		e.screen.clear()
	}
	outcome, bell := e.model.handle(key, e.keys.text)
	if bell {
		e.screen.bell()
	}
	switch outcome {
	case editSubmit:
		e.result = e.model.text
		e.screen.finish(e.model, "")
		return readline.CharEnter, true
	case editInterrupt:
		e.screen.finish(e.model, "^C")
		return readline.CharInterrupt, true
	case editEOF:
		e.screen.finish(e.model, "")
		return readline.CharDelete, true
	}
	// What is typed or pasted faster than it can be drawn is drawn once.
	if !e.keys.more {
		e.draw()
	}
	e.keys.proceed()
	return 0, false
}

func (e *editor) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return io.EOF
	}
	if err := e.enter(); err != nil {
		return fmt.Errorf("line editor: %w", err)
	}
	e.model.reset()
	e.draw()
	return nil
}

func (e *editor) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leave()
}

// Bracketed paste: the terminal marks what is pasted, so that newlines in it
// do not submit and tabs do not complete.
const (
	pasteOn  = "\x1b[?2004h"
	pasteOff = "\x1b[?2004l"
)

func (e *editor) enter() error {
	if err := e.tty.raw(); err != nil {
		return err
	}
	e.reading = true
	io.WriteString(e.cfg.stdout, pasteOn)
	e.screen.forget()
	return nil
}

// leave is the one way back to the terminal as it was found.
func (e *editor) leave() error {
	if !e.reading {
		return nil
	}
	e.reading = false
	io.WriteString(e.cfg.stdout, pasteOff)
	if err := e.tty.restore(); err != nil {
		return fmt.Errorf("line editor: restore the terminal: %w", err)
	}
	return nil
}

func (e *editor) draw() {
	width, height := e.tty.size()
	e.screen.resize(width, height)
	e.screen.draw(e.model)
}

// suspend is Ctrl-Z: the shell that started us gets the terminal as it was.
func (e *editor) suspend() {
	if !canSuspend {
		e.screen.bell()
		return
	}
	e.screen.finish(e.model, "")
	e.leave()
	stopJob(e.cfg.suspend)
	if err := e.enter(); err == nil {
		e.draw()
	}
}

func (e *editor) resized() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reading {
		e.draw()
	}
}

// resumed comes after every stop, also after one that we did not ask for
// (kill -STOP): the shell then had the terminal and left its own modes.
func (e *editor) resumed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.reading {
		return
	}
	if err := e.enter(); err == nil {
		e.draw()
	}
}

// isTerminal says whether f can carry the editor.
func isTerminal(f *os.File) bool {
	return readline.IsTerminal(int(f.Fd()))
}

// screenSize is how many columns and lines f shows; 0 when it is no terminal.
func screenSize(f *os.File) (width, height int) {
	if !isTerminal(f) {
		return 0, 0
	}
	return (&terminal{out: f}).size()
}

// dumbTerminal says whether escape sequences would only litter the output.
// Windows consoles have no TERM and know them.
func dumbTerminal() bool {
	term := os.Getenv("TERM")
	return term == "dumb" || term == "" && runtime.GOOS != "windows"
}
