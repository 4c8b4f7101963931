package main

import (
	"os"

	"golang.org/x/sys/windows"
)

// terminal switches the console between raw mode, with the escape sequences
// of other systems both ways, and the modes that it found.
type terminal struct {
	in, out *os.File
	entered bool
	inMode  uint32
	outMode uint32
}

func (t *terminal) raw() error {
	in, out := windows.Handle(t.in.Fd()), windows.Handle(t.out.Fd())
	if !t.entered {
		if err := windows.GetConsoleMode(in, &t.inMode); err != nil {
			return err
		}
		if err := windows.GetConsoleMode(out, &t.outMode); err != nil {
			return err
		}
		t.entered = true
	}
	mode := t.inMode&^(windows.ENABLE_ECHO_INPUT|windows.ENABLE_LINE_INPUT|windows.ENABLE_PROCESSED_INPUT) |
		windows.ENABLE_VIRTUAL_TERMINAL_INPUT
	if err := windows.SetConsoleMode(in, mode); err != nil {
		return err
	}
	return windows.SetConsoleMode(out, t.outMode|windows.ENABLE_PROCESSED_OUTPUT|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING)
}

func (t *terminal) restore() error {
	if !t.entered {
		return nil
	}
	t.entered = false
	err := windows.SetConsoleMode(windows.Handle(t.in.Fd()), t.inMode)
	if oerr := windows.SetConsoleMode(windows.Handle(t.out.Fd()), t.outMode); err == nil {
		err = oerr
	}
	return err
}

func (t *terminal) size() (width, height int) {
	var info windows.ConsoleScreenBufferInfo
	if err := windows.GetConsoleScreenBufferInfo(windows.Handle(t.out.Fd()), &info); err != nil {
		return 80, 24
	}
	return int(info.Window.Right-info.Window.Left) + 1, int(info.Window.Bottom-info.Window.Top) + 1
}

// There are no jobs to stop.
const canSuspend = false

func stopJob(func() error) {}

// watchSignals has nothing to watch: the size is read with every drawing.
func watchSignals(resized, resumed func()) (stop func()) { return func() {} }

// lockFile waits for the only lock on f, which ends when f is closed. It is on
// a byte that the file will not have: locked bytes cannot be read here.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: 0xfffffffe, OffsetHigh: 0x7fffffff}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, &at)
}
