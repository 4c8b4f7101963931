// Command netsql records what happens on a machine's network and answers questions about any
// moment of it in SQL.
//
// This package holds flags, signals, exit codes and the line editor, and no logic: recording is in
// package recorder, answering in package query, what other tools would have printed in package tools,
// what systemd has to know in package service, asking other hosts in package ask, and what a process gives up in package confine.
package main

import (
	"cmp"
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

	"github.com/spf13/pflag"

	"netsql/recorder"
)

// version of the program, as recordings and netsql version have it.
const version = "0.1.0"

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitCannotTell  = 3 // of doctor: nobody looked
	exitTimeout     = 4
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// stdio is what the program reads from and writes to.
type stdio struct {
	in       *os.File
	out, err *os.File
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks to end; a later one kills. Not one that comes at once: timeout(1) signals
	// its child and then the child's group, so that the child hears everything twice.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	ownProcess = true
	std := stdio{os.Stdin, os.Stdout, os.Stderr}
	code := exitCode(run(ctx, os.Args[1:], std), std.err)
	stop()
	exit(code)
}

// exit is the only end of the program.
func exit(code int) { os.Exit(code) }

// A usageError is a command line that makes no sense; it carries the hint that mends it.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func exitCode(err error, stderr io.Writer) int {
	var usage *usageError
	var late *timeoutError
	var found *foundError
	switch {
	case err == nil, errors.Is(err, pflag.ErrHelp):
		return exitOK
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, syscall.EPIPE): // netsql … | head
		return exitOK
	case errors.As(err, &found):
		return found.code
	}
	write(stderr, recorder.PriorityErr, err.Error())
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &late):
		return exitTimeout
	}
	return exitFailed
}

// systemRecording is where root's recorder writes.
const systemRecording = "/var/lib/netsql/netsql.db"

// defaultRecording is the recording when the command line names none; usual is the one of a file of flags.
func defaultRecording(usual string) (string, error) {
	if path := cmp.Or(os.Getenv("NETSQL_DB"), usual); path != "" {
		return path, nil
	}
	if os.Geteuid() == 0 {
		return systemRecording, nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "netsql", "netsql.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", usagef("no home folder for the recording (%v): name a file with --db", err)
	}
	return filepath.Join(home, ".local", "state", "netsql", "netsql.db"), nil
}

// looksLikeFile tells a recording's name from a statement.
func looksLikeFile(word string) bool {
	if info, err := os.Stat(word); err == nil && !info.IsDir() {
		return true
	}
	if strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "/*") {
		return true
	}
	if strings.ContainsAny(word, " \t\n;(") {
		return false
	}
	return slices.Contains(recordingExtensions, filepath.Ext(word)) || strings.ContainsRune(word, filepath.Separator)
}
