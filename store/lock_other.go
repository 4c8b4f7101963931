//go:build !linux

package store

// A lock is not needed where nothing can be recorded.
type lock struct{}

func acquire(string) (*lock, error) { return nil, nil }

func (l *lock) valid() bool { return true }

func (l *lock) release() {}

// RecorderOf returns the pid of the recorder that writes to the file, and whether there is one.
func RecorderOf(string) (pid int, is bool) { return 0, false }
