//go:build linux || darwin

package query

import "golang.org/x/sys/unix"

// diskFree is how many bytes of the disk on which the file lies are free for all users.
func diskFree(path string) *float64 {
	var disk unix.Statfs_t
	if err := unix.Statfs(path, &disk); err != nil || disk.Blocks == 0 {
		return nil
	}
	free := float64(disk.Bavail) * float64(disk.Bsize)
	return &free
}
