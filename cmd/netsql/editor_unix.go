//go:build unix

package main

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/chzyer/readline"
)

// terminal switches between raw mode and the modes that it found.
type terminal struct {
	in, out *os.File
	found   *readline.State
}

func (t *terminal) raw() error {
	state, err := readline.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return err
	}
	if t.found == nil {
		t.found = state
	}
	return nil
}

func (t *terminal) restore() error {
	if t.found == nil {
		return nil
	}
	found := t.found
	t.found = nil
	return readline.Restore(int(t.in.Fd()), found)
}

func (t *terminal) size() (width, height int) {
	width, height, err := readline.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 { // a serial line knows no size
		return 80, 24
	}
	return width, height
}

const canSuspend = true

var (
	suspending atomic.Bool
	continued  = make(chan struct{}, 1)
)

// stopJob stops this job as Ctrl-Z at a terminal in its normal modes does: all
// processes of its group, so a script that runs us stops too and its parent
// does not. It returns when the job goes on.
func stopJob(suspend func() error) {
	suspending.Store(true)
	defer suspending.Store(false)
	select {
	case <-continued:
	default:
	}
	if suspend == nil || suspend() != nil {
		syscall.Kill(0, syscall.SIGTSTP)
	}
	// The signal is on its way while we run on; the wait gives it time. Where
	// nobody could continue us (no job control) the kernel does not stop us,
	// and no SIGCONT comes.
	select {
	case <-continued:
	case <-time.After(100 * time.Millisecond):
	}
}

// watchSignals calls resized and resumed until the returned stop is called.
func watchSignals(resized, resumed func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s := <-signals:
				switch {
				case s == syscall.SIGWINCH:
					resized()
				case suspending.Load():
					select {
					case continued <- struct{}{}:
					default:
					}
				default:
					resumed()
				}
			case <-quit:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(quit)
		<-done
	}
}

// lockFile waits for the only lock on f, which ends when f is closed.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			return err
		}
	}
}
