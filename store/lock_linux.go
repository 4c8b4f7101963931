package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// noFollow opens no file through a link that somebody else may have put there.
const noFollow = unix.O_NOFOLLOW

// A lock says who records into a file. It is two open file description locks (fcntl(2), Linux 3.15), which the kernel lets go when the recorder
// ends, however it ends: one on a file beside the recording, which holds the pid, and one on the recording itself, which may
// have several names.
type lock struct {
	file      *os.File
	recording *os.File
	ended     string // why the recorder before ended, where somebody has said it: see SayEnded
}

// SQLite locks bytes of the database, too: https://www.sqlite.org/src/file/src/os.h, PENDING_BYTE. Who reads has a read lock on the shared ones, and
// who closes the last connection wants a write lock on them. The recorder's lock is on a byte far behind them.
const (
	sharedFirst  = 0x40000000 + 2
	sharedSize   = 510
	recorderByte = 1 << 62
)

func lockPath(path string) string { return path + "-recorder" }

func acquire(path string) (*lock, error) {
	f, err := os.OpenFile(lockPath(path), os.O_CREATE|os.O_RDWR|noFollow, 0o640)
	if err != nil {
		return nil, Explain(path, fmt.Errorf("lock the recording: %w", err))
	}
	whole := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &whole); err != nil {
		f.Close()
		if !isLocked(err) {
			return nil, fmt.Errorf("lock the recording %s: %w", path, err)
		}
		other, _ := RecorderOf(path)
		return nil, fmt.Errorf("%s: %w, %v: stop it first, or name another file with --db", path, ErrBusy, other)
	}
	l := &lock{file: f, ended: saidEnded(f)}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil, Explain(path, fmt.Errorf("lock the recording: %w", err))
	}
	return l, nil
}

// mostSaid is how much of what was said of the end of a recorder is read.
const mostSaid = 512

// saidEnded is what stands behind the pid.
func saidEnded(f *os.File) string {
	text := make([]byte, mostSaid)
	n, _ := f.ReadAt(text, 0)
	_, said, _ := strings.Cut(string(text[:n]), "\n")
	return strings.ToValidUTF8(strings.TrimSpace(said), "\uFFFD")
}

// SayEnded says of a recorder that has ended without closing its recording why it has, for the gap that the next one writes. The service manager
// knows it, and nobody else.
func SayEnded(path, why string) error {
	f, err := os.OpenFile(lockPath(resolved(path)), os.O_RDWR|noFollow, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if isWriteLocked(f, unix.Flock_t{}) {
		return fmt.Errorf("%s: %w: it has not ended", path, ErrBusy)
	}
	text := make([]byte, 32)
	n, _ := f.ReadAt(text, 0)
	pid, _, _ := strings.Cut(string(text[:n]), "\n")
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(pid+"\n"+strings.Join(strings.Fields(why), " ")+"\n"), 0)
	return err
}

func isLocked(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) }

// hold locks the recording itself, which the path names by now.
func (l *lock) hold(path string) error {
	l.letGo()
	f, err := os.OpenFile(path, os.O_RDWR|noFollow, 0)
	if err != nil {
		return err
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: recorderByte, Len: 1}); err != nil {
		f.Close()
		if isLocked(err) {
			return fmt.Errorf("%s: %w under another name of the same file: stop it first, or name another file with --db", path, ErrBusy)
		}
		return fmt.Errorf("lock the recording %s: %w", path, err)
	}
	l.recording = f
	return nil
}

func (l *lock) letGo() {
	if l.recording != nil {
		unlock(l.recording)
		l.recording = nil
	}
}

// keepFromCheckpoint keeps SQLite from writing the -wal file into the database when the last connection is closed, until the caller calls what it returns.
func (l *lock) keepFromCheckpoint() (over func()) {
	shared := unix.Flock_t{Type: unix.F_RDLCK, Start: sharedFirst, Len: sharedSize}
	if err := unix.FcntlFlock(l.recording.Fd(), unix.F_OFD_SETLK, &shared); err != nil {
		return func() {} // another process has the write lock, and SQLite gets none either
	}
	return func() {
		shared.Type = unix.F_UNLCK
		unix.FcntlFlock(l.recording.Fd(), unix.F_OFD_SETLK, &shared)
	}
}

// valid reports whether the lock file is still the one that others look at.
func (l *lock) valid() bool {
	mine, err := l.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(l.file.Name())
	return err == nil && os.SameFile(mine, there) || err != nil && !errors.Is(err, os.ErrNotExist)
}

func (l *lock) release() {
	if l != nil {
		l.letGo()
		l.file.Truncate(0)
		unlock(l.file)
	}
}

// unlock lets the lock go and closes the file. Closing alone does so only once no copy of the descriptor is left: a child that is
// being forked at this moment has one.
func unlock(f *os.File) {
	unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
	f.Close()
}

// RecorderOf finds the recorder that writes to the file, and whether there is one. It only asks: a lock taken, even for a moment, would turn a recorder away
// that starts now.
func RecorderOf(path string) (r Recorder, is bool) {
	f, err := os.Open(lockPath(resolved(path)))
	if err == nil {
		defer f.Close()
	}
	if err == nil && isWriteLocked(f, unix.Flock_t{}) {
		text := make([]byte, 32)
		n, _ := f.ReadAt(text, 0)
		r.PID, _ = strconv.Atoi(strings.TrimSpace(string(text[:n])))
		return r, true
	}
	// The kernel does not tell whose lock that of an open file description is.
	recording, rerr := os.Open(path)
	if rerr != nil {
		return r, false
	}
	defer recording.Close()
	r.OtherName = err == nil || errors.Is(err, os.ErrNotExist)
	return r, isWriteLocked(recording, unix.Flock_t{Start: recorderByte, Len: 1})
}

// isWriteLocked reports whether another has a write lock on that part of the file.
func isWriteLocked(f *os.File, part unix.Flock_t) bool {
	part.Type = unix.F_RDLCK
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &part) == nil && part.Type != unix.F_UNLCK
}
