package query

import (
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
)

// A System is what dot-commands reach outside of the recording: the files that the user names, and programs. A process that is restricted has one that
// goes through another process.
type System interface {
	OpenFile(name string, flags int, mode fs.FileMode) (*os.File, error)
	CreateTemp(pattern string) (*os.File, error) // in the folder for such files
	MkdirAll(name string, mode fs.FileMode) error
	Remove(name string) error
	// Run starts a program, which ends when the context does. wait waits for its end, and must be called.
	Run(ctx context.Context, p Program) (wait func() error, err error)
}

// A Program is one to be run. What is nil of it is /dev/null.
type Program struct {
	Words    []string
	In       *os.File
	Out, Err io.Writer
}

// ThisProcess is the System of a process that is not restricted.
type ThisProcess struct{}

// OpenFile is os.OpenFile.
func (ThisProcess) OpenFile(name string, flags int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flags, mode)
}

// CreateTemp is os.CreateTemp.
func (ThisProcess) CreateTemp(pattern string) (*os.File, error) { return os.CreateTemp("", pattern) }

// MkdirAll is os.MkdirAll.
func (ThisProcess) MkdirAll(name string, mode fs.FileMode) error { return os.MkdirAll(name, mode) }

// Remove is os.Remove.
func (ThisProcess) Remove(name string) error { return os.Remove(name) }

// Run is exec.Cmd.Start.
func (ThisProcess) Run(ctx context.Context, p Program) (wait func() error, err error) {
	cmd := exec.CommandContext(ctx, p.Words[0], p.Words[1:]...)
	if p.In != nil {
		cmd.Stdin = p.In
	}
	cmd.Stdout, cmd.Stderr = p.Out, p.Err
	return cmd.Wait, cmd.Start()
}
