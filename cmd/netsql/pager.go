package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// page gives what write writes to the user's pager and waits until that ends: $PAGER, else less, if there is one; else it goes to the terminal.
func page(ctx context.Context, std stdio, write func(io.Writer) error) error {
	cmd := pagerCommand(context.WithoutCancel(ctx))
	if cmd == nil {
		return write(std.out)
	}
	cmd.Stdout, cmd.Stderr = std.out, std.err
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	// Ctrl-C is the pager's while it runs.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return write(std.out)
	}
	err = write(in)
	if errors.Is(err, syscall.EPIPE) { // the user has seen enough
		err = nil
	}
	err = errors.Join(err, ignoreClosed(in.Close()))
	if waited := cmd.Wait(); err == nil {
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

// pagerCommand is the user's pager; nil: there is none.
func pagerCommand(ctx context.Context) *exec.Cmd {
	if pager := os.Getenv("PAGER"); pager != "" {
		return exec.CommandContext(ctx, "sh", "-c", pager)
	}
	less, err := exec.LookPath("less")
	if err != nil {
		return nil
	}
	return exec.CommandContext(ctx, less, "-RSFX")
}
