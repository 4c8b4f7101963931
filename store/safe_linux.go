package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// checkSafe says whether nobody else decides what is written when this program writes to the recording at path, which need not be there yet.
//
// Of root nobody else may be able to put a file or a link in its place: the folder and those above it must belong to root, and let
// only root write, but that above the folder others may add what is theirs (/tmp). Of everybody the files must be plain files of the user's own or of
// root, which not everybody may write. Root in a user namespace is a user like others.
func checkSafe(path string) error {
	owners := map[uint32]bool{0: true, uint32(os.Geteuid()): true}
	real := resolved(path)
	for _, part := range []string{"", "-wal", "-shm", "-journal", "-recorder"} {
		info, err := os.Lstat(real + part)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		switch owner := info.Sys().(*syscall.Stat_t).Uid; {
		case info.Mode()&fs.ModeSymlink != 0:
			return fmt.Errorf("%s%s is a link: %w to write through it: remove it, or name another recording with --db", real, part, ErrPermission)
		case part == "" && info.IsDir():
			return fmt.Errorf("%s is a folder: name the recording in it: %w", real, ErrNotRecording)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s%s is not a file: %w to write there: remove it, or name another recording with --db", real, part, ErrPermission)
		case !owners[owner]:
			return fmt.Errorf("%s%s belongs to %s: %w to record into what another user has made: run netsql as that user, or name another recording with --db",
				real, part, nameOf(owner), ErrPermission)
		case info.Mode().Perm()&0o002 != 0:
			return fmt.Errorf("%s%s may be written by everybody: %w to record into it: chmod o-w, or name another recording with --db", real, part, ErrPermission)
		}
	}
	if !isRoot() {
		return nil
	}
	for _, name := range []string{path, real} {
		absolute, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		if err := checkFolders(filepath.Dir(absolute), "name a recording in a folder of root with --db, such as /var/lib/netsql/netsql.db"); err != nil {
			return err
		}
	}
	return nil
}

// CheckFolder says whether nobody else decides what root writes into an absolute folder, which need not be there yet. next is what to do.
func CheckFolder(folder, next string) error {
	if !isRoot() {
		return nil
	}
	return checkFolders(folder, next)
}

// checkFolders looks at a folder and those above it, for root.
func checkFolders(folder, next string) error {
	for dir := folder; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // root makes it
		}
		if err != nil {
			return err
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		group := info.Sys().(*syscall.Stat_t).Gid
		open := info.Mode().Perm()&0o002 != 0 || info.Mode().Perm()&0o020 != 0 && group != 0
		sticky := info.Mode()&fs.ModeSticky != 0
		switch {
		case owner != 0:
			return fmt.Errorf("%s belongs to %s, who could put a link there: %w for root to write there: %s, or run netsql as %[2]s",
				dir, nameOf(owner), ErrPermission, next)
		case open && (dir == folder || !sticky):
			return fmt.Errorf("others may write to %s, and could put a link there: %w for root to write there: %s", dir, ErrPermission, next)
		case dir == "/":
			return nil
		}
	}
}

// isRoot reports whether this process is root of the machine, not of a user namespace of its own.
func isRoot() bool {
	if os.Geteuid() != 0 {
		return false
	}
	mapped, err := os.ReadFile("/proc/self/uid_map") // user_namespaces(7)
	return err != nil || strings.Join(strings.Fields(string(mapped)), " ") == "0 0 4294967295"
}

func nameOf(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}
