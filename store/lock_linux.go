package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A lock says who records into a file. It is an open file description lock (fcntl(2),
// Linux 3.15) on a file beside the recording, which holds the pid: the kernel lets it go
// when the recorder ends, however it ends.
type lock struct{ file *os.File }

func lockPath(path string) string { return path + "-recorder" }

func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(lockPath(path), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return nil, Explain(path, fmt.Errorf("lock the recording: %w", err))
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		f.Close()
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return nil, fmt.Errorf("lock the recording %s: %w", path, err)
		}
		pid, _ := RecorderOf(path)
		return nil, fmt.Errorf("%s: %w, process %d: stop it first, or name another file with --db", path, ErrBusy, pid)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, Explain(path, fmt.Errorf("lock the recording: %w", err))
	}
	return &lock{f}, nil
}

// valid reports whether the lock file is still the one that others look at.
func (l *lock) valid() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(l.file.Name())
	return err == nil && os.SameFile(mine, there) || err != nil && !errors.Is(err, os.ErrNotExist)
}

func (l *lock) release() {
	if l != nil {
		l.file.Truncate(0)
		// Closing lets the lock go only once no copy of the descriptor is left: a child that is
		// being forked at this moment has one.
		unix.FcntlFlock(l.file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
		l.file.Close()
	}
}

// RecorderOf returns the pid of the recorder that writes to the file, and whether there is one.
func RecorderOf(path string) (pid int, is bool) {
	f, err := os.Open(lockPath(path))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	// Only asks: a lock taken, even for a moment, would turn a recorder away that starts now.
	whole := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &whole); err != nil || whole.Type == unix.F_UNLCK {
		return 0, false
	}
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid, _ = strconv.Atoi(strings.TrimSpace(string(text[:n])))
	return pid, true
}
