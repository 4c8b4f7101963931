package store

import (
	"context"
	"fmt"
	"os"
)

// A heldError says that a reader keeps the -wal file from being cut back. What is written while a statement is being read
// stands in it until the statement ends; of one that was forgotten in some shell it would fill the disk.
type heldError struct {
	path string
	size int64
}

func (e *heldError) Error() string {
	return fmt.Sprintf("%s-wal has grown to %d MB because a program that reads the recording has left a statement open: end it (fuser %s-shm lists who reads)",
		e.path, e.size>>20, e.path)
}

// held reports that the -wal file is as large as it may be and cannot be cut back; nil: there is room.
func (w *Writer) held(ctx context.Context) error {
	info, err := os.Stat(w.options.Path + "-wal")
	if err != nil || info.Size() <= w.options.Limits.walBound() {
		return nil
	}
	// Not waiting for readers: a sample is due.
	if _, err := w.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	var busy, pages, written int64
	err = w.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &written)
	if _, perr := w.conn.ExecContext(ctx, patient); err == nil {
		err = perr
	}
	if err == nil && busy != 0 {
		err = &heldError{w.options.Path, info.Size()}
	}
	return err
}
