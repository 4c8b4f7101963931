package store

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A heldError says that a reader keeps the -wal file from being cut back. What is written while a statement is being read
// stands in it until the statement ends; of one that was forgotten in some shell it would fill the disk.
type heldError struct {
	path    string
	size    int64
	readers []Reader
}

func (e *heldError) Error() string {
	if len(e.readers) > 0 {
		return fmt.Sprintf("%s-wal has grown to %d MB because %s has left a statement open, which reads the recording: end it", e.path, e.size>>20, names(e.readers))
	}
	return fmt.Sprintf("%s-wal has grown to %d MB because a program that reads the recording has left a statement open: end it (fuser %s-shm lists who reads)",
		e.path, e.size>>20, e.path)
}

// A Reader is a process that reads a recording.
type Reader struct {
	PID  int
	Comm string // "": it has ended, or may not be seen
}

func (r Reader) String() string {
	if r.Comm == "" {
		return fmt.Sprintf("process %d", r.PID)
	}
	return fmt.Sprintf("process %d (%s)", r.PID, strings.Trim(strconv.Quote(r.Comm), `"`))
}

// A Recorder is a process that writes to a recording.
type Recorder struct {
	PID       int  // 0: not known
	OtherName bool // it has the file under another name, such as a hard link; what stands in the -wal file beside that name is not seen under this one
}

func (r Recorder) String() string {
	switch {
	case r.OtherName:
		return "under another name of the same file"
	case r.PID == 0:
		return "a process that is not known"
	}
	return fmt.Sprintf("process %d", r.PID)
}

// names are the readers in words.
func names(readers []Reader) string {
	var all []string
	for _, r := range readers {
		all = append(all, r.String())
	}
	return strings.Join(all, " or ")
}

// HeldBy lists the processes that read the recording while its -wal file is larger than what it is cut back to: a reader
// prevents that. They may have begun to read just now.
func HeldBy(path string, l Limits) []Reader {
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() <= min(2*l.walLimit(), l.walBound()/2) {
		return nil
	}
	return Readers(path)
}

// walRoom reports whether the -wal file may grow. If it is as large as it may be and cannot be cut back, that is an error.
func (f *openFile) walRoom(ctx context.Context) error {
	info, err := os.Stat(f.path + "-wal")
	if err != nil || info.Size() <= f.limits.walBound() {
		return nil
	}
	// Not waiting for readers: a sample is due.
	if _, err := f.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	busy, err := f.checkpoint(ctx)
	if _, perr := f.conn.ExecContext(ctx, patient); err == nil {
		err = perr
	}
	if err == nil && busy {
		err = &heldError{f.path, info.Size(), Readers(f.path)}
	}
	return err
}
