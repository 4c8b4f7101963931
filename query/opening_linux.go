package query

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// An Opener opens and deletes files for SQLite where this process may not.
type Opener interface {
	Descriptor(name string, flags int, mode fs.FileMode) (int, error)
	Remove(name string) error
}

// opening is what SQLite opens and deletes files by, once it was replaced.
var opening struct {
	sync.Mutex
	replaced bool
	opener   Opener   // nil: there is none
	named    []string // files that a dot-command has named: the opener may be asked for them
	kept     []string // files that are never opened for writing
}

// KeepFromWriting has SQLite never open a file for writing, and go on as it does where it may not.
func KeepFromWriting(path string) {
	opening.Lock()
	defer opening.Unlock()
	opening.kept = append(opening.kept, resolvedPath(path))
	replaceOpening()
}

// OpenThrough has SQLite ask the opener for files that a dot-command has named, where the system refuses them. No statement can name one.
func OpenThrough(o Opener) {
	opening.Lock()
	defer opening.Unlock()
	opening.opener = o
	replaceOpening()
}

// letWrite says that a dot-command has named a file to be written. The opener may be asked for it and for what SQLite keeps beside it.
func letWrite(path string) { letOpen(path, "", "-journal", "-wal", "-shm") }

// letRead says that a file will be read. The opener may be asked for what SQLite makes beside it then.
func letRead(path string) { letOpen(path, "-wal", "-shm") }

func letOpen(path string, parts ...string) {
	opening.Lock()
	defer opening.Unlock()
	if opening.opener == nil {
		return
	}
	path = resolvedPath(path)
	for _, part := range parts {
		if name := path + part; !slices.Contains(opening.named, name) {
			opening.named = append(opening.named, name)
		}
	}
}

// resolvedPath is the path as SQLite has it.
func resolvedPath(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if real, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(real, filepath.Base(path))
	}
	return path
}

// KeepTemporaryIn has SQLite make its temporary files in a folder. It is called once, before the first file is opened.
func KeepTemporaryIn(folder string) {
	tls := libc.NewTLS()
	defer tls.Close()
	if sqlite3.Xsqlite3_initialize(tls) != sqlite3.SQLITE_OK {
		return
	}
	text, err := libc.CString(folder)
	if err != nil {
		return
	}
	defer libc.Xfree(tls, text)
	size := len(folder) + 1
	if copied := sqlite3.Xsqlite3_malloc(tls, int32(size)); copied != 0 { // SQLite wants memory of its own
		libc.Xmemcpy(tls, copied, text, libc.Tsize_t(size))
		sqlite3.Xsqlite3_temp_directory = copied
	}
}

// replaceOpening puts our functions in the place of open(2) and unlink(2) in SQLite (sqlite3_vfs.xSetSystemCall).
func replaceOpening() {
	if opening.replaced {
		return
	}
	opening.replaced = true
	tls := libc.NewTLS()
	defer tls.Close()
	vfs := sqlite3.Xsqlite3_vfs_find(tls, 0)
	if vfs == 0 {
		return
	}
	set := (*sqlite3.Tsqlite3_vfs)(*(*unsafe.Pointer)(unsafe.Pointer(&vfs))).FxSetSystemCall
	call := *(*func(tls *libc.TLS, vfs, name, function uintptr) int32)(unsafe.Pointer(&struct{ uintptr }{set}))
	for name, function := range map[string]uintptr{"open": *(*uintptr)(unsafe.Pointer(&openForSQLite)), "unlink": *(*uintptr)(unsafe.Pointer(&unlinkForSQLite))} {
		text, err := libc.CString(name)
		if err != nil {
			return
		}
		call(tls, vfs, text, function)
		libc.Xfree(tls, text)
	}
}

// Functions of C are values of Go that live as long as the program.
var (
	openForSQLite   = openNamed
	unlinkForSQLite = unlinkNamed
)

func setErrno(tls *libc.TLS, err error) int32 {
	errno := unix.EIO
	_ = errors.As(err, &errno)
	*(*int32)(*(*unsafe.Pointer)(unsafe.Pointer(&[]uintptr{libc.X__errno_location(tls)}[0]))) = int32(errno)
	return -1
}

// mayAsk gives the opener where it may be asked for a file after that error.
func mayAsk(path string, err error) Opener {
	if !errors.Is(err, unix.EACCES) {
		return nil
	}
	opening.Lock()
	defer opening.Unlock()
	if !slices.Contains(opening.named, path) {
		return nil
	}
	return opening.opener
}

func isKept(path string) bool {
	opening.Lock()
	defer opening.Unlock()
	return slices.Contains(opening.kept, path)
}

// openNamed is open(2).
func openNamed(tls *libc.TLS, name uintptr, flags, mode int32) int32 {
	path := libc.GoString(name)
	if flags&(unix.O_RDWR|unix.O_WRONLY) != 0 && isKept(path) {
		return setErrno(tls, unix.EACCES)
	}
	var fd int
	var err error
	for {
		if fd, err = unix.Open(path, int(flags), uint32(mode)); err != unix.EINTR {
			break
		}
	}
	if o := mayAsk(path, err); o != nil {
		fd, err = o.Descriptor(path, int(flags), fs.FileMode(mode)&fs.ModePerm)
	}
	if err != nil {
		return setErrno(tls, err)
	}
	return int32(fd)
}

// unlinkNamed is unlink(2).
func unlinkNamed(tls *libc.TLS, name uintptr) int32 {
	path := libc.GoString(name)
	err := unix.Unlink(path)
	if o := mayAsk(path, err); o != nil {
		err = o.Remove(path)
	}
	if err != nil {
		return setErrno(tls, err)
	}
	return 0
}
