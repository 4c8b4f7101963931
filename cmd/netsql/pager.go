package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"netsql/query"
)

// page gives what write writes to the user's pager and waits until that ends: $PAGER, else less, if there is one; else it goes to the terminal.
func page(ctx context.Context, system query.System, std stdio, write func(io.Writer) error) error {
	words := pagerWords()
	if words == nil {
		return write(std.out)
	}
	theirs, in, err := os.Pipe()
	if err != nil {
		return err
	}
	// Ctrl-C is the pager's while it runs.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	wait, err := system.Run(context.WithoutCancel(ctx), query.Program{Words: words, In: theirs, Out: std.out, Err: std.err})
	theirs.Close()
	if err != nil {
		in.Close()
		return write(std.out)
	}
	err = write(in)
	if errors.Is(err, syscall.EPIPE) { // the user has seen enough
		err = nil
	}
	err = errors.Join(err, ignoreClosed(in.Close()))
	if waited := wait(); err == nil {
		err = waited
	}
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// pagerWords are the command line of the user's pager; nil: there is none.
func pagerWords() []string {
	if pager := os.Getenv("PAGER"); pager != "" {
		return []string{"sh", "-c", pager}
	}
	less, err := exec.LookPath("less")
	if err != nil {
		return nil
	}
	return []string{less, "-RSFX"}
}
