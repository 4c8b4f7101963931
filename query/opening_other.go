//go:build !linux

package query

import "io/fs"

// An Opener opens and deletes files for SQLite where this process may not.
type Opener interface {
	Descriptor(name string, flags int, mode fs.FileMode) (int, error)
	Remove(name string) error
}

// KeepFromWriting does nothing here.
func KeepFromWriting(string) {}

// KeepTemporaryIn does nothing here.
func KeepTemporaryIn(string) {}

// OpenThrough does nothing here.
func OpenThrough(Opener) {}

func letWrite(string) {}

func letRead(string) {}
