package query

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Results of a recording go to files that only the readers of the recording may read: command lines and addresses of other users are in them.

// mode is who may read the recording, as the mode of a file.
func (r *Recording) mode() fs.FileMode {
	info, err := os.Stat(r.Path)
	if err != nil {
		return 0o600
	}
	return info.Mode().Perm()&0o666 | 0o600
}

// create makes a file that is not there yet, whatever the umask is. It follows no symbolic link.
func create(sys System, name string, mode fs.FileMode) (*os.File, error) {
	f, err := sys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode&0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(mode); err != nil {
		return nil, errors.Join(err, f.Close(), sys.Remove(name))
	}
	return f, nil
}

// openOrCreate opens a file that is there as flags say, and leaves its mode as it is, or makes one. It goes through no symbolic link of somebody
// else, who would choose which file is written.
func openOrCreate(sys System, name string, flags int, mode fs.FileMode) (*os.File, error) {
	f, err := create(sys, name, mode)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	link, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if link.Mode()&fs.ModeSymlink == 0 {
		return sys.OpenFile(name, flags|noFollow, 0)
	}
	if !trustedOwner(link) {
		return nil, fmt.Errorf("%s is a symbolic link of another user: name a new file", escapeControls(name))
	}
	f, err = sys.OpenFile(name, flags, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	target, err := os.Readlink(name)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%s is a symbolic link to %s, where no file is: name a new file", escapeControls(name), escapeControls(target))
}
