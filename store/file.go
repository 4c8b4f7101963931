package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"netsql/migrations"
)

// ApplicationID marks an SQLite file as a recording (PRAGMA application_id): "nsql".
const ApplicationID = 0x6e73716c

// What can be wrong with a file. The errors that carry them say which file and what to
// do next.
var (
	ErrNoRecording  = errors.New("no recording there")
	ErrNotRecording = errors.New("not a recording")
	ErrNewer        = errors.New("recorded by a newer netsql")
	ErrOlder        = errors.New("recorded by an older netsql")
	ErrDamaged      = errors.New("damaged")
	ErrPermission   = errors.New("permission denied")
	ErrNoSpace      = errors.New("no space left")
	ErrReadOnly     = errors.New("the file system is read-only")
	ErrDisk         = errors.New("the disk does not work")
	ErrBusy         = errors.New("another recorder is writing to it")
)

// DSN is the data source name that opens the file read-only: of a recording that is being
// written as well as of one in a folder where the user may not write.
func DSN(path string) string { return dsn(path, "ro", "busy_timeout=10000", "cache_size=-64000") }

func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	for i, p := range pragmas {
		name, value, _ := strings.Cut(p, "=")
		q["_pragma"][i] = name + "(" + value + ")"
	}
	// The driver takes mode= seriously only behind file:, and the path must not lend its
	// own ? and # to the address.
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// Readable says whether the file is a recording that this program can read, and how to open it. The error, if
// any, is a sentence with the next step.
func Readable(ctx context.Context, path string) (dsn string, err error) {
	if err := checkReadable(path); err != nil {
		return "", Explain(path, err)
	}
	dsn = DSN(path)
	version, err := versionOf(ctx, dsn, path)
	if _, none := os.Stat(path + "-wal"); err != nil && errors.Is(none, fs.ErrNotExist) {
		// A copy in a folder where the user may not write: SQLite cannot make the -wal file that it
		// wants to look into. Nobody records into it, or there would be one, so it may take
		// the file for one that never changes.
		dsn += "&immutable=1"
		version, err = versionOf(ctx, dsn, path)
	}
	if err != nil {
		return "", Explain(path, err)
	}
	latest, err := latestVersion()
	if err != nil {
		return "", err
	}
	if version < latest {
		return "", fmt.Errorf("%s: %w (format %d, this one reads %d): run netsql record --once on it to bring it up to date",
			path, ErrOlder, version, latest)
	}
	return dsn, nil
}

func checkReadable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a folder: name the recording in it: %w", path, ErrNotRecording)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkWritable is Check for a file that is about to be written, which may not be there yet.
func checkWritable(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if err := checkReadable(path); err != nil {
		return err
	}
	_, err = versionOf(ctx, DSN(path), path)
	return err
}

// versionOf opens the file without changing it.
func versionOf(ctx context.Context, dsn, path string) (int, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var id, version int
	if err := db.QueryRowContext(ctx, "SELECT application_id, user_version FROM pragma_application_id, pragma_user_version").
		Scan(&id, &version); err != nil {
		return 0, err
	}
	latest, err := latestVersion()
	switch {
	case err != nil:
		return 0, err
	case id != ApplicationID:
		return 0, fmt.Errorf("%s is an SQLite file, but %w: name another with --db", path, ErrNotRecording)
	case version > latest:
		return 0, fmt.Errorf("%s: %w (format %d, this one knows %d): use a netsql at least as new", path, ErrNewer, version, latest)
	}
	return version, nil
}

func latestVersion() (int, error) {
	steps, err := migrations.All()
	return len(steps), err
}

// touch makes the file, so that it is ours alone to open up: command lines and addresses
// of other users are in it.
func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return err
	}
	return f.Close()
}

// migrate brings the file to the newest schema, each step in a transaction of its own.
func migrate(ctx context.Context, q *sql.Conn) error {
	steps, err := migrations.All()
	if err != nil {
		return err
	}
	var version int
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	for n := version; n < len(steps); n++ {
		step := steps[n]
		if n == 0 {
			step += fmt.Sprintf("\nINSERT INTO recording (id, uuid, created) VALUES (1, '%s', %f);", uuid.NewString(), unixSeconds(time.Now()))
		}
		text := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
			step, ApplicationID, n+1)
		if _, err := q.ExecContext(ctx, text); err != nil {
			q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
			return fmt.Errorf("migrate to format %d: %w", n+1, err)
		}
	}
	if version == 0 {
		// Until now the mark of a recording stands in the -wal file only.
		if _, err := q.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			return err
		}
	}
	return nil
}

// Explain turns an error of SQLite or of the file system about the recording into one
// sentence with the next step. Other errors come back as they are.
func Explain(path string, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{ErrNotRecording, ErrNewer, ErrOlder, ErrBusy, ErrDamaged, ErrPermission, ErrNoSpace, ErrReadOnly, ErrDisk} {
		if errors.Is(err, known) {
			return err
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: start one with netsql record, or name another with --db", path, ErrNoRecording)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: run netsql as a user who may read it, or let one: chgrp GROUP and chmod g+r", path, ErrPermission)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s: %w: free some, then go on; what was recorded is kept", path, ErrNoSpace)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w in the quota: free some, or have it raised; what was recorded is kept", path, ErrNoSpace)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w: mount it for writing (mount -o remount,rw), or name another place with --db", path, ErrReadOnly)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%s: %w (%v): see dmesg", path, ErrDisk, err)
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is %w, nor any SQLite file: name another with --db", path, ErrNotRecording)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is %w (%v): copy it, and save what is readable with sqlite3 COPY .recover", path, ErrDamaged, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w: free some, then go on; what was recorded is kept", path, ErrNoSpace)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%s: another program keeps it locked (%v): end that, such as an sqlite3 with an open transaction", path, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%s: %w (%v): run netsql as a user who may read it and its -wal and -shm", path, ErrPermission, err)
	}
	return err
}
