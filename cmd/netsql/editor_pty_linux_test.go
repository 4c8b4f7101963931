package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// These tests run the editor in a process of its own, on a terminal of its own
// (a pseudoterminal), and type into it. What it draws goes through vt.

// TestEditorProcess is that process, not a test.
func TestEditorProcess(t *testing.T) {
	if os.Getenv("NETSQL_EDITOR_PROCESS") == "" {
		t.Skip("this is the program that the terminal tests run")
	}
	defer os.Exit(0) // without the testing package's last words
	e, err := newEditor(editorConfig{
		prompt:       "netsql> ",
		continuation: "   ...> ",
		historyFile:  os.Getenv("NETSQL_EDITOR_HISTORY"),
		finished:     func(text string) bool { return strings.HasSuffix(strings.TrimSpace(text), ";") },
		complete: func(text string, cursor int) (found []string, from int) {
			from = strings.LastIndexAny(text[:cursor], " \n") + 1
			if strings.HasPrefix(text[from:], "panic") {
				panic("no completion")
			}
			for i := range 200 {
				if w := fmt.Sprintf("column_%03d", i); strings.HasPrefix(w, text[from:cursor]) {
					found = append(found, w)
				}
			}
			return found, from
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	for {
		text, err := e.read()
		switch {
		case errors.Is(err, errInterrupted):
			fmt.Println("interrupted")
		case err != nil:
			fmt.Println("error:", err)
			return
		case text == "close;": // as a signal handler would
			time.AfterFunc(time.Millisecond, func() { e.Close() })
		case len(text) > 200:
			fmt.Printf("got %d bytes\n", len(text))
		default:
			fmt.Printf("got %q\n", text)
			e.add(text)
		}
	}
}

type ptyConsole struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	found  *unix.Termios // the modes before the program began

	mu      sync.Mutex
	screen  *vt
	changed chan struct{}
}

// startConsole runs args on a new terminal; without args, the editor.
func startConsole(t *testing.T, width, height int, args ...string) *ptyConsole {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		if os.Getenv("NETSQL_REQUIRE_KERNEL") != "" {
			t.Fatal(err)
		}
		t.Skipf("no pseudoterminals here: %v", err)
	}
	var slave *os.File
	if err := controlFD(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
		if err != nil {
			return err
		}
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	c := &ptyConsole{t: t, master: master, screen: newVT(width, height), changed: make(chan struct{}, 1)}
	c.setSize(width, height)
	c.found = c.modes()

	c.cmd = exec.Command(os.Args[0], "-test.run=^TestEditorProcess$")
	if len(args) > 0 {
		c.cmd = exec.Command(args[0], args[1:]...)
	}
	c.cmd.Env = append(os.Environ(), "NETSQL_EDITOR_PROCESS=1", "TERM=xterm-256color", "PS1=$ ",
		"NETSQL_EDITOR_HISTORY="+filepath.Join(t.TempDir(), "history"))
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := master.Read(buf)
			c.mu.Lock()
			c.screen.Write(buf[:n])
			c.mu.Unlock()
			select {
			case c.changed <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		master.Close()
	})
	return c
}

func controlFD(f *os.File, do func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var doErr error
	if err := raw.Control(func(fd uintptr) { doErr = do(int(fd)) }); err != nil {
		return err
	}
	return doErr
}

func (c *ptyConsole) setSize(width, height int) {
	c.t.Helper()
	if err := controlFD(c.master, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *ptyConsole) modes() *unix.Termios {
	c.t.Helper()
	var modes *unix.Termios
	if err := controlFD(c.master, func(fd int) (err error) {
		modes, err = unix.IoctlGetTermios(fd, unix.TCGETS)
		return err
	}); err != nil {
		c.t.Fatal(err)
	}
	return modes
}

func (c *ptyConsole) send(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatal(err)
	}
}

// wait returns when the screen is as wanted.
func (c *ptyConsole) wait(what string, done func(v *vt) bool) {
	c.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		c.mu.Lock()
		ok, shows := done(c.screen), c.screen.String()
		c.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-c.changed:
		case <-deadline:
			c.t.Fatalf("waited in vain for %s; the screen shows:\n%s", what, shows)
		}
	}
}

func (c *ptyConsole) waitFor(text string) {
	c.t.Helper()
	c.wait(fmt.Sprintf("%q", text), func(v *vt) bool { return strings.Contains(v.String(), text) })
}

// waitPrompt returns when the last line is an empty prompt.
func (c *ptyConsole) waitPrompt() {
	c.t.Helper()
	c.waitPromptOf("")
}

// waitPromptOf waits for a prompt that says so much.
func (c *ptyConsole) waitPromptOf(said string) {
	c.t.Helper()
	c.wait("the prompt", func(v *vt) bool {
		line := v.line(v.row)
		return strings.HasPrefix(line, "netsql") && strings.HasSuffix(line, ">") && v.col == len(line)+1 && v.paste && strings.Contains(line, said)
	})
}

// shows checks the last lines on the screen, with | for the cursor.
func (c *ptyConsole) shows(want ...string) {
	c.t.Helper()
	c.wait(strings.Join(want, "\n"), func(v *vt) bool {
		lines := v.lines()
		if len(lines) < len(want) {
			return false
		}
		if row := v.row; row < len(lines) {
			before, after := v.cells[row][:v.col], v.cells[row][v.col:]
			lines[row] = strings.TrimRight(strings.Join(before, "")+"|"+strings.Join(after, ""), " ")
		}
		return cmp.Equal(lines[len(lines)-len(want):], want)
	})
}

// waitExit checks that the program ends and leaves the terminal as it was.
func (c *ptyConsole) waitExit() {
	c.t.Helper()
	c.cmd.Wait()
	if diff := cmp.Diff(c.found, c.modes()); diff != "" {
		c.t.Errorf("the terminal's modes were not restored (-found +left):\n%s", diff)
	}
	c.wait("the end of bracketed paste", func(v *vt) bool { return !v.paste })
}

func TestEditorOnATerminal(t *testing.T) {
	c := startConsole(t, 40, 12)
	c.waitPrompt()

	c.send("select '日本語 🙂', local_addr, remote_addr")
	c.shows("netsql> select '日本語 🙂', local_addr,", "remote_addr|")
	c.send("\x1b[1~\x1b[C\x1b[CX")
	c.shows("netsql> seX|lect '日本語 🙂', local_addr,", " remote_addr")
	c.send("\x7f\x1b[4~\rfrom sockets;\r")
	c.waitFor(`got "select '日本語 🙂', local_addr, rem`)
	c.waitPrompt()

	// The statement comes back as one entry.
	c.send("\x1b[A")
	c.shows("netsql> select '日本語 🙂', local_addr,", "remote_addr", "   ...> from sockets;|")
	c.send("\x1b[AX")
	c.shows("netsql> select '日本X|語 🙂', local_addr,", " remote_addr", "   ...> from sockets;")

	// Ctrl-C takes the input, not the program.
	c.send("\x03")
	c.waitFor("interrupted")
	c.waitPrompt()

	c.send("\x0c") // Ctrl-L
	c.shows("netsql> |")
	c.send("col\t\t")
	c.shows("netsql> column_|",
		"column_000  column_003  column_006",
		"column_001  column_004  column_007",
		"column_002  column_005  column_008",
		"and 191 more (Tab)")
	c.send("1\x7f")
	c.shows("netsql> column_|")
	c.send("\x15")
	c.waitPrompt()

	c.send("\x12SOCK") // Ctrl-R
	c.shows("netsql> select '日本語 🙂', local_addr,", "remote_addr", "   ...> from |sockets;", "search: SOCK")
	c.send("\r")
	c.waitFor(`got "select `) // Ctrl-L had taken the first one away
	c.waitPrompt()

	c.send("\x04")
	c.waitFor("error: EOF")
	c.waitExit()
}

func TestEditorPaste(t *testing.T) {
	c := startConsole(t, 80, 24)
	c.waitPrompt()
	c.send("\x1b[200~select\t1;\rselect 2;\r\x1b[201~")
	c.shows("netsql> select  1;", "   ...> select 2;", "   ...> |")
	c.send("\x7f\r")
	c.waitFor(`got "select\t1;\nselect 2;"`)
	c.waitPrompt()

	for _, paste := range []struct{ name, begin, end string }{
		{"bracketed", "\x1b[200~", "\x1b[201~"},
		{"not bracketed", "", ""},
	} {
		text := strings.Repeat("select 1, 22, 333, 4444 from t where x = 1 ", 50000/43)
		if paste.begin != "" {
			text = strings.Repeat("select 1, 22, 333, 4444 from t where x = 1\r", 50000/43)
		}
		start := time.Now()
		c.send("\x0c" + paste.begin + text + paste.end + ";\r")
		c.waitFor(fmt.Sprintf("got %d bytes", len(text)+1))
		took := time.Since(start)
		t.Logf("50,000 characters, %s: %v", paste.name, took)
		if took > 3*time.Second { // 0.1 s on an idle machine; 51 s with the library's drawing
			t.Errorf("50,000 characters, %s, took %v", paste.name, took)
		}
		c.waitPrompt()
	}
}

// What is typed while a statement runs belongs to the next prompt.
func TestEditorTypedAhead(t *testing.T) {
	c := startConsole(t, 80, 24)
	c.send("one;\rtwo;\rthr")
	c.waitFor(`got "one;"`)
	c.waitFor(`got "two;"`)
	c.shows("netsql> thr|")
	c.send("ee;\r\x04")
	c.waitFor(`got "three;"`)
	c.waitExit()
}

func TestEditorResize(t *testing.T) {
	c := startConsole(t, 40, 10)
	c.waitPrompt()
	c.send("select local_addr, remote_addr from sockets")
	c.shows("netsql> select local_addr, remote_addr f", "rom sockets|")
	// A terminal that does not break lines again: what we see is what is drawn
	// for the new size.
	c.mu.Lock()
	c.screen = newVT(30, 10)
	c.mu.Unlock()
	c.setSize(30, 10)
	c.shows("netsql> select local_addr, rem", "ote_addr from sockets|")
}

func TestEditorSuspend(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skipf("no shell with job control: %v", err)
	}
	c := startConsole(t, 60, 20, bash, "--norc", "--noediting", "-i")
	c.waitFor("$")
	c.send(os.Args[0] + " -test.run='^TestEditorProcess$'\n")
	c.waitPrompt()
	c.send("select 日本")
	c.shows("netsql> select 日本|")
	for range 2 {
		c.send("\x1a")
		c.waitFor("Stopped")
		c.wait("the shell's prompt", func(v *vt) bool { return v.line(v.row) == "$" && !v.paste })
		if c.modes().Lflag&unix.ECHO == 0 {
			t.Error("the shell got a terminal without echo")
		}
		c.send("clear\n")
		c.send("fg\n")
		c.shows("netsql> select 日本|")
		c.wait("raw mode", func(v *vt) bool { return v.paste && c.modes().Lflag&unix.ICANON == 0 })
	}
	c.send(";\r")
	c.waitFor(`got "select 日本;"`)
	c.waitPrompt()
	c.send("\x04")
	c.waitFor("error: EOF")
	c.wait("the shell's prompt", func(v *vt) bool { return v.line(v.row) == "$" })
}

func TestEditorRestoresTheTerminal(t *testing.T) {
	tests := []struct{ name, keys, shows string }{
		{"end", "\x04", "error: EOF"},
		{"close while reading", "close;\r", "error: EOF"},
		{"panic", "panic\t", "no completion"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := startConsole(t, 80, 24)
			c.waitPrompt()
			if c.modes().Lflag&unix.ICANON != 0 {
				t.Fatal("not in raw mode")
			}
			c.send(test.keys)
			c.wait(test.shows, func(v *vt) bool {
				return strings.Contains(strings.Join(append(v.scrolled, v.lines()...), "\n"), test.shows)
			})
			c.waitExit()
		})
	}
}

func TestEditorOnADumbTerminal(t *testing.T) {
	c := startConsole(t, 60, 20, "env", "TERM=dumb", os.Args[0], "-test.run=^TestEditorProcess$")
	prompt := func(v *vt) bool { return v.line(v.row) == "netsql>" }
	c.wait("the prompt", prompt)
	c.send("select\n1;\n")
	c.waitFor(`got "select\n1;"`)
	c.wait("the prompt", prompt)
	c.send("abc\x03")
	c.waitFor("interrupted")
	c.send("2;\n")
	c.waitFor(`got "2;"`)
	c.send("\x04")
	c.waitFor("error: EOF")
	c.waitExit()
}
