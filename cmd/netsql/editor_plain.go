package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
)

// plainReader reads lines where the editor cannot draw: TERM=dumb, Emacs'
// shell, a recorded session. The terminal's own line editing is all there is.
type plainReader struct {
	cfg    editorConfig
	prompt io.Writer

	asked  bool // a line is on its way
	want   chan struct{}
	lines  chan plainLine
	closed chan struct{}
	once   sync.Once
}

type plainLine struct {
	text string
	err  error
}

func newPlainReader(cfg editorConfig) *plainReader {
	p := &plainReader{
		cfg:    cfg,
		prompt: cfg.stdout,
		want:   make(chan struct{}, 1),
		lines:  make(chan plainLine, 1),
		closed: make(chan struct{}),
	}
	// A prompt has no place in a file or a pipe that gets the results.
	if out, ok := cfg.stdout.(*os.File); ok && !isTerminal(out) {
		p.prompt = cfg.stderr
	}
	go p.loop()
	return p
}

// loop reads a line when one is wanted. It is a goroutine because nothing
// interrupts a read of a terminal: on Ctrl-C it stays in it, and its line is
// the next one that is wanted.
func (p *plainReader) loop() {
	in := bufio.NewReader(p.cfg.stdin)
	for {
		select {
		case <-p.want:
		case <-p.closed:
			return
		}
		text, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && text != "" {
			err = nil
		}
		p.lines <- plainLine{strings.TrimRight(text, "\r\n"), err}
	}
}

func (p *plainReader) read() (string, error) {
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	defer signal.Stop(interrupt)

	var text string
	prompt := p.cfg.prompt
	for {
		fmt.Fprint(p.prompt, prompt)
		if !p.asked {
			p.asked = true
			p.want <- struct{}{}
		}
		var line plainLine
		select {
		case line = <-p.lines:
			p.asked = false
		case <-interrupt:
			fmt.Fprintln(p.prompt)
			return "", errInterrupted
		case <-p.closed:
			return "", io.EOF
		}
		if line.err != nil {
			fmt.Fprintln(p.prompt)
			return "", line.err
		}
		text += line.text
		if p.cfg.finished(text) {
			return text, nil
		}
		text += "\n"
		prompt = p.cfg.continuation
	}
}

func (p *plainReader) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
