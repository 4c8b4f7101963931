package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"netsql/recorder"
)

// start runs this command line once more in a session of its own, and waits until it has written a sample, or says why it has not.
func (b *background) start(ctx context.Context, path string, std stdio) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	answer, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answer.Close()
	child := exec.Command(self, os.Args[1:]...)
	child.Env = append(os.Environ(), readyFD+"=3", dated+"=1")
	child.ExtraFiles = []*os.File{tell}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // the recorder gets nothing that was open when this program was started (Linux 5.11)
	err = child.Start()
	tell.Close()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { child.Process.Signal(syscall.SIGTERM) })()
	text, err := io.ReadAll(answer)
	switch word := string(text); {
	case err != nil:
		return err
	case word == ready:
		fmt.Fprintf(std.err, "netsql: recording into %s in the background, process %d; kill %[2]d ends it, %s has what it says\n", path, child.Process.Pid, b.logFile)
		return nil
	case word != "":
		return errors.New(word)
	}
	if child.Wait(); ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the recorder ended before its first sample (%v): %s may say why", child.ProcessState, b.logFile)
}

// settle makes a process that was started so one of the background: it holds the pid file, belongs to the user that as names, writes to the log, and
// keeps no folder busy. end gives up the pid file.
func (b *background) settle(as string) (end func(), err error) {
	signal.Ignore(syscall.SIGHUP)
	end = func() {}
	if b.pidFile != "" {
		if end, err = holdPidFile(b.pidFile); err != nil {
			return nil, err
		}
	}
	if as != "" {
		err = recorder.Become(as)
	}
	if err == nil {
		err = b.openLog()
	}
	if err == nil {
		err = os.Chdir("/")
	}
	if err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// openLog has standard output and standard error go to the log.
func (b *background) openLog() error {
	dir := filepath.Dir(b.logFile)
	if err := recorder.CheckFolder(dir, "name a file in a folder of root with --log-file, such as /var/log/netsql.log"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	log, err := os.OpenFile(b.logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW, 0o640)
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%s is a link: name the file with --log-file", b.logFile)
	}
	if err != nil {
		return err
	}
	defer log.Close()
	return errors.Join(unix.Dup3(int(log.Fd()), 1, 0), unix.Dup3(int(log.Fd()), 2, 0))
}

// holdPidFile writes the number of this process into a file, and holds it locked. release removes it.
func holdPidFile(path string) (release func(), err error) {
	if err := recorder.CheckFolder(filepath.Dir(path), "name a file in a folder of root with --pid-file, such as /run/netsql.pid"); err != nil {
		return nil, err
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if errors.Is(err, unix.ELOOP) {
			return nil, fmt.Errorf("%s is a link: name the file with --pid-file", path)
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			defer file.Close()
			if !errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("lock %s: %w", path, err)
			}
			text, _ := io.ReadAll(io.LimitReader(file, 32))
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				return nil, fmt.Errorf("a recorder runs already, process %d: it holds %s", pid, path)
			}
			return nil, fmt.Errorf("another process holds %s", path)
		}
		if same, err := isAt(file, path); err != nil || !same { // the one before has removed it meanwhile
			file.Close()
			if err != nil {
				return nil, err
			}
			continue
		}
		if err := errors.Join(file.Truncate(0), writePid(file)); err != nil {
			file.Close()
			return nil, err
		}
		return func() {
			if err := os.Remove(path); err != nil { // who became another user may not
				file.Truncate(0)
			}
			file.Close()
		}, nil
	}
}

func writePid(file *os.File) error {
	_, err := fmt.Fprintln(file, os.Getpid())
	return err
}

// isAt reports whether the path still names the file.
func isAt(file *os.File, path string) (bool, error) {
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine, err := file.Stat()
	return err == nil && os.SameFile(there, mine), err
}
