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
	"sync"
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
func DSN(path string) string { return readOnly(path) + manyPages }

// manyPages is a cache of 64 MB, which makes SQLite read the schema at once.
const manyPages = "&_pragma=cache_size(-64000)"

// readOnly is DSN without what makes SQLite read the schema at once.
func readOnly(path string) string { return dsn(path, "ro", "busy_timeout=10000") }

func dsn(path, mode string, pragmas ...string) string {
	lockByDescription()
	q := url.Values{"mode": {mode}, "_pragma": pragmas}
	for i, p := range pragmas {
		name, value, _ := strings.Cut(p, "=")
		q["_pragma"][i] = name + "(" + value + ")"
	}
	return address(path) + "?" + q.Encode() // the driver takes mode= seriously only behind file:
}

// address is the path as SQLite takes it: whatever is in its name means nothing else there.
func address(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

// lockByDescription lets SQLite lock files by open file description, before it opens the first. Its other locks are of the process, and lost
// whenever that closes a descriptor of the file, as each look at the file does. Where the kernel has none of these locks it stays with the others.
var lockByDescription = sync.OnceFunc(func() { sqlite.OFDLocking(true) })

// Readable says whether the file is a recording that this program can read, and how to open it. The error, if
// any, is a sentence with the next step.
func Readable(ctx context.Context, path string) (dsn string, err error) {
	dsn, version, err := openable(ctx, path)
	if err != nil {
		return "", err
	}
	latest, err := latestVersion()
	if err != nil {
		return "", err
	}
	if version < latest {
		return "", fmt.Errorf("%s: %w (format %d, this one reads %d): bring it up to date with netsql upgrade %[1]s",
			path, ErrOlder, version, latest)
	}
	return dsn, nil
}

// openable says how to open a recording of any format that this program knows, and of which it is.
func openable(ctx context.Context, path string) (dsn string, version int, err error) {
	if err := checkReadable(path); err != nil {
		return "", 0, Explain(path, err)
	}
	dsn = readOnly(path)
	version, err = versionOf(ctx, dsn, path)
	if _, none := os.Stat(path + "-wal"); err != nil && errors.Is(none, fs.ErrNotExist) && !brokenOff(err) {
		// A copy in a folder where the user may not write: SQLite cannot make the -wal file that it
		// wants to look into. Nobody records into it, or there would be one, so it may take
		// the file for one that never changes.
		dsn += "&immutable=1"
		version, err = versionOf(ctx, dsn, path)
	}
	return dsn, version, Explain(path, err)
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
	_, err = versionOf(ctx, readOnly(path), path)
	if brokenOff(err) {
		_, err = versionOf(ctx, dsn(path, "rw", "busy_timeout=10000"), path) // a program that may write undoes it by looking
	}
	if errors.Is(err, ErrNotRecording) && isBlank(ctx, path) {
		return nil
	}
	return err
}

// brokenOff reports whether the file is as a program has left it that was killed in the middle of a transaction, and nobody has undone that yet: only
// a new recording, which is not in WAL mode yet, can be so.
func brokenOff(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && se.Code() == sqlite3.SQLITE_READONLY_ROLLBACK
}

// isBlank reports whether the file is an SQLite file that nobody has put anything into: one of ours, killed while it made
// the recording, leaves such.
func isBlank(ctx context.Context, path string) bool {
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		return false
	}
	defer db.Close()
	var id, version, tables int
	err = db.QueryRowContext(ctx, "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) FROM pragma_application_id, pragma_user_version").
		Scan(&id, &version, &tables)
	return err == nil && id == 0 && version == 0 && tables == 0
}

// versionOf opens the file without changing it. It asks for nothing that would make SQLite read the schema, which takes
// longer than all else here.
func versionOf(ctx context.Context, dsn, path string) (int, error) {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var id, version int
	if err := conn.QueryRowContext(ctx, "PRAGMA application_id").Scan(&id); err != nil {
		return 0, err
	}
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, err
	}
	latest, err := latestVersion()
	switch {
	case err != nil:
		return 0, err
	case id == MergedID:
		return 0, fmt.Errorf("%s holds %w: ask it in SQL, by netsql %[1]s, or take one out: netsql merge --only HOST -o FILE %[1]s", path, ErrMerged)
	case id != ApplicationID:
		return 0, foreign(path)
	case version > latest:
		return 0, newer(path, version, latest)
	}
	return version, nil
}

func foreign(path string) error {
	return fmt.Errorf("%s is an SQLite file, but %w: name another with --db", path, ErrNotRecording)
}

func newer(path string, version, latest int) error {
	return fmt.Errorf("%s: %w (format %d, this one knows %d): use a netsql at least as new", path, ErrNewer, version, latest)
}

func latestVersion() (int, error) {
	steps, err := migrations.All()
	return len(steps), err
}

// newPageSize is how large the pages of a new recording are, in bytes. A sample touches a few rows of each of many tables,
// and every page that it touches goes into the -wal file: pages of 1 KiB take a quarter of what pages of 4 KiB do where
// little happens, and half where much does. What is kept takes 1.5 % more, and reading as long.
const newPageSize = 1024

// blank makes the file, if it is empty, a recording in which nothing has been recorded. It does so in one transaction: a reader sees nothing half made.
// What all migrations make of an empty file is at hand: to take each of them is five times the work.
func blank(ctx context.Context, path string) error {
	if size, err := sizeOf(path); err != nil || size > 0 {
		return err
	}
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	empty, err := migrations.Empty()
	if err != nil {
		return err
	}
	if err := conn.Raw(func(c any) error { return c.(interface{ Deserialize([]byte) error }).Deserialize(empty) }); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, newIdentity()+"PRAGMA writable_schema = on"); err != nil {
		return err
	}
	views := makeViews()
	if _, err := conn.ExecContext(ctx, makeWords(views)); err != nil {
		return err
	}
	for _, v := range views { // SQLite would read the text of each twice
		if _, err := conn.ExecContext(ctx, "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql) VALUES ('view', ?1, ?1, 0, ?2)", v.Name, v.create()); err != nil {
			return err
		}
	}
	if _, err := conn.ExecContext(ctx, "UPDATE recording SET views = ?", viewsSum()); err != nil {
		return err
	}
	return conn.Raw(func(c any) error {
		backup, err := c.(interface {
			NewBackup(uri string) (*sqlite.Backup, error)
		}).NewBackup(dsn(path, "rw", "busy_timeout=10000"))
		if err != nil {
			return err
		}
		_, err = backup.Step(-1)
		return errors.Join(err, backup.Finish())
	})
}

// newIdentity gives a recording its name.
func newIdentity() string {
	return fmt.Sprintf("INSERT INTO recording (id, uuid, created) VALUES (1, '%s', %f);", uuid.NewString(), unixSeconds(time.Now()))
}

// touch makes the file, so that it is ours alone to open up: command lines and addresses
// of other users are in it.
func touch(path string) error { return touchAs(path, 0o640) }

func touchAs(path string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, mode)
	if err != nil {
		return err
	}
	return f.Close()
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Upgrade makes a recording of an older format one of this program's, and gives it this program's views, without recording
// into it. It returns the format that it had, and the one that it has. notice is told before what may take a while.
func Upgrade(ctx context.Context, path string, notice func(string)) (from, to int, err error) {
	if err := checkReadable(path); err != nil {
		return 0, 0, Explain(path, err)
	}
	if from, err = versionOf(ctx, DSN(path), path); err != nil {
		return 0, 0, Explain(path, err)
	}
	if to, err = latestVersion(); err != nil {
		return 0, 0, err
	}
	f := newOpenFile(path, &Limits{}, func() {})
	defer f.close()
	if err := f.connect(ctx, notice); err != nil {
		return 0, 0, Explain(path, cause(path, err))
	}
	_, err = f.conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return from, to, Explain(path, err)
}

// bringUpToDate makes the file hold the newest schema and the views of this program. It is one transaction: whatever ends it in
// between, a full disk or a power cut, the file is of the format that it was. progress is told before it begins, if there is
// anything to migrate.
func bringUpToDate(ctx context.Context, q *sql.Conn, steps []string, progress func(from, to int)) error {
	var version int
	if err := q.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > 0 && version < len(steps) && progress != nil {
		progress(version, len(steps))
	}
	if err := transaction(ctx, q, func() error {
		if err := migrate(ctx, q, version, steps); err != nil {
			return err
		}
		return installViews(ctx, q)
	}); err != nil {
		return err
	}
	if version > 0 {
		return nil
	}
	// Until now the mark of a recording stands in the -wal file only.
	_, err := q.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)")
	return err
}

// upgrading says what is done to a recording of so many bytes. Format 4 writes the rows of sockets again, nine tenths of a
// large one, into the -wal file first: 22 s of CPU for 560 MB, as measured.
func upgrading(path string, from, to int, size int64) string {
	said := fmt.Sprintf("bringing %s from format %d to %d", path, from, to)
	if from < 4 && size > 100<<20 {
		said += fmt.Sprintf(": that takes about a minute for each GB, and another %d MB of room until it is done", size>>20)
	}
	return said
}

// migrate takes the steps from that format to the last of them. The caller's transaction makes them one.
func migrate(ctx context.Context, q *sql.Conn, version int, steps []string) error {
	if version >= len(steps) {
		return nil
	}
	if version > 0 {
		// SQLite alters no table while a view asks for what will be gone.
		if err := dropViews(ctx, q); err != nil {
			return err
		}
	}
	for n := version; n < len(steps); n++ {
		if err := migrateStep(ctx, q, steps[n]); err != nil {
			return fmt.Errorf("migrate to format %d: %w", n+1, err)
		}
	}
	mark := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d;", ApplicationID, len(steps))
	if version == 0 {
		mark += newIdentity()
	}
	_, err := q.ExecContext(ctx, mark)
	return err
}

// migrateStep takes one step. What stands in it between the comments repeat and until is run until its last statement
// changes no row: a table of millions of rows moves into another some thousand at a time. Pages that they have left are
// used again, so that the file hardly grows; and SQLite, which keeps in memory what a statement overwrites until that is
// over, needs little.
func migrateStep(ctx context.Context, q *sql.Conn, step string) error {
	for step != "" {
		once, again, _ := strings.Cut(step, migrations.Repeat)
		again, step, _ = strings.Cut(again, migrations.Until)
		if _, err := q.ExecContext(ctx, once); err != nil {
			return err
		}
		for rows := int64(1); rows > 0 && again != ""; {
			result, err := q.ExecContext(ctx, again)
			if err == nil {
				rows, err = result.RowsAffected()
			}
			if err != nil {
				return err
			}
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
	for _, known := range []error{ErrNotRecording, ErrMerged, ErrNewer, ErrOlder, ErrBusy, ErrDamaged, ErrAltered, ErrPermission, ErrNoSpace, ErrReadOnly, ErrDisk} {
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
	if brokenOff(err) {
		return fmt.Errorf("%s: %w yet: the recorder that made it was killed meanwhile; netsql record goes on with it", path, ErrNoRecording)
	}
	if se.Code() == sqlite3.SQLITE_IOERR_IN_PAGE {
		// The file is mapped into memory. SQLite turns the kernel's SIGBUS into this error.
		return fmt.Errorf("%s-shm was cut short by another program while it was in use (%v): end what has the recording open, and ask again", path, err)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%s is %w, nor any SQLite file: name another with --db, or, if it was a recording, save what is readable: netsql recover %[1]s NEW", path, ErrNotRecording)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("%s is %w (%v): save what is readable: netsql recover %[1]s NEW", path, ErrDamaged, err)
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%s: %w: free some, then go on; what was recorded is kept", path, ErrNoSpace)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%s: another program keeps it locked (%v): end that, such as an sqlite3 with an open transaction", path, err)
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY:
		return fmt.Errorf("%s: %w (%v): run netsql as a user who may read it and its -wal and -shm", path, ErrPermission, err)
	}
	return err
}
