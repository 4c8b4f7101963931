package store

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"netsql/migrations"
)

// An openFile is the file of a recording that is ours alone to write: its lock, its one connection, and which files it
// consists of.
type openFile struct {
	named  string // by the user
	path   string // without links
	limits *Limits
	closed func() // called before the connection is closed: statements on it must be closed first

	lock     *lock
	db       *sql.DB
	conn     *sql.Conn                 // nil: there is none
	raw      driver.ConnPrepareContext // conn, for the batches, while it is lent to them
	pageSize int64                     // of the file, in bytes
	files    [len(parts)]os.FileInfo   // that are open
	open     [len(parts)]*os.File      // the same, to look into them; see intact
	size     int64                     // of the database when this program last wrote to it
	modified time.Time                 // its time then
	uuid     string                    // of the recording
	broken   bool                      // the connection must not be used any more

	synced    time.Time     // when the -wal file last was
	syncEvery time.Duration // see there
}

// parts are the files of a recording, as what follows its path.
var parts = [...]string{"", "-wal", "-shm"}

func newOpenFile(path string, limits *Limits, closed func()) *openFile {
	return &openFile{named: path, path: resolved(path), limits: limits, closed: closed, syncEvery: syncEvery, synced: time.Now()}
}

// resolved is the path without symbolic links, as SQLite takes it: its -wal and -shm files, and ours, stand beside the file itself.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// cacheSize is how much of the file the connection keeps in memory, in kilobytes. In memory it takes twice that: a page,
// with what SQLite needs to know of it, is a little more than a power of two, and is given the next. Twice as much makes a
// sample of 20,000 sockets, of which a fifth move bytes, 1 % cheaper.
var cacheSize = "cache_size=-1300"

// connect opens the file that the path names, or makes it, and brings it up to date. notice is told before that takes a while.
func (f *openFile) connect(ctx context.Context, notice func(string)) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o750); err != nil {
		return fmt.Errorf("make the folder of the recording: %w", err)
	}
	if err := checkSafe(f.named); err != nil {
		return err
	}
	if f.lock != nil && !f.lock.valid() {
		f.unlock()
	}
	if f.lock == nil {
		var err error
		if f.lock, err = acquire(f.path); err != nil {
			return err
		}
	}
	if err := touch(f.path); err != nil {
		return err
	}
	if err := f.lock.hold(f.path); err != nil {
		return err
	}
	if err := checkWritable(ctx, f.path); err != nil {
		return err
	}
	if err := blank(ctx, f.path); err != nil {
		return err
	}
	var err error
	registerNetwork()
	if f.db, err = sql.Open("sqlite", dsn(f.path, "rwc",
		"busy_timeout=10000", "journal_mode=wal", "synchronous=normal",
		fmt.Sprintf("journal_size_limit=%d", f.limits.walLimit()),
		cacheSize, "temp_store=memory", "trusted_schema=off")+"&_defensive=1"); err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	// A reader that may not write to the folder can open the file after a clean stop only
	// if the -wal file is still there.
	if err := f.conn.Raw(func(c any) error {
		_, err := c.(sqlite.FileControl).FileControlPersistWAL("main", 1)
		return err
	}); err != nil {
		return err
	}
	if err := f.conn.QueryRowContext(ctx, "PRAGMA page_size").Scan(&f.pageSize); err != nil {
		return err
	}
	if _, err := f.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", f.limits.walWaits()/f.pageSize)); err != nil {
		return err
	}
	steps, err := migrations.All()
	if err != nil {
		return err
	}
	var format int
	if err := f.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return err
	}
	if format > 0 {
		if err := checkOurs(ctx, f.conn, f.path, format); err != nil {
			return err
		}
	}
	return bringUpToDate(ctx, f.conn, steps, func(from, to int) {
		if notice != nil {
			size, _ := sizeOf(f.path)
			notice(upgrading(f.path, from, to, size))
		}
	})
}

// disconnect gives up the connection. What it has open may be a file that nobody else sees any more.
func (f *openFile) disconnect() {
	if f.conn != nil {
		f.closed()
		f.conn.Close()
	}
	if f.db != nil {
		f.db.Close()
	}
	for _, file := range f.open {
		if file != nil {
			file.Close()
		}
	}
	f.conn, f.db, f.raw = nil, nil, nil
	f.files, f.open = [len(parts)]os.FileInfo{}, [len(parts)]*os.File{}
}

func (f *openFile) unlock() {
	f.lock.release()
	f.lock = nil
}

func (f *openFile) close() {
	f.disconnect()
	f.unlock()
}

// identify takes note of which files are open, and of which recording they are.
func (f *openFile) identify(ctx context.Context) error {
	if err := f.conn.QueryRowContext(ctx, "SELECT uuid FROM recording").Scan(&f.uuid); err != nil {
		return err
	}
	for i, part := range parts {
		f.files[i], _ = os.Stat(f.path + part)
		file, err := os.OpenFile(f.path+part, os.O_RDONLY|noFollow, 0)
		if err != nil {
			return err
		}
		f.open[i] = file
	}
	f.remember()
	return nil
}

// moved finds out whether the path still names the files that are open.
func (f *openFile) moved() error {
	for i, part := range parts {
		if f.files[i] == nil {
			continue
		}
		there, err := os.Stat(f.path + part)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s%s was deleted", f.path, part)
		case err != nil: // writing will tell
		case !os.SameFile(there, f.files[i]):
			return fmt.Errorf("%s%s was replaced", f.path, part)
		}
	}
	if f.lock != nil && !f.lock.valid() {
		return fmt.Errorf("the lock file of %s was deleted", f.path)
	}
	return nil
}

// abandon closes the files when the path no longer names all of them. The -wal file is first written back into the
// recording. A -wal file that stayed behind when the recording was taken away is removed: SQLite would take it for the one
// of the next file, and damage that.
func (f *openFile) abandon(ctx context.Context) {
	files := f.files
	if f.conn != nil {
		f.conn.ExecContext(ctx, impatient)
		f.checkpoint(ctx)
	}
	f.disconnect()
	same := func(i int) bool {
		there, err := os.Stat(f.path + parts[i])
		return err == nil && files[i] != nil && os.SameFile(there, files[i])
	}
	if same(0) {
		return
	}
	for i := 1; i < len(parts); i++ {
		if same(i) {
			os.Remove(f.path + parts[i])
		}
	}
}

// transaction runs do in one transaction. Nothing is written into broken files.
func (f *openFile) transaction(ctx context.Context, do func() error) error {
	if err := f.intact(ctx); err != nil {
		return err
	}
	defer f.remember()
	return transaction(ctx, f.conn, func() error {
		if err := do(); err != nil {
			return err
		}
		return f.intact(ctx)
	})
}

// checkpoint writes the -wal file back into the database, and cuts it to nothing unless somebody reads in it: then busy is true.
func (f *openFile) checkpoint(ctx context.Context) (busy bool, err error) {
	if err := f.intact(ctx); err != nil {
		return false, err
	}
	defer f.remember()
	var pages, written int64
	err = f.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &written)
	return busy, err
}

// transaction runs do in one transaction on q.
func transaction(ctx context.Context, q *sql.Conn, do func() error) error {
	if _, err := q.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := do()
	if err == nil {
		_, err = q.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// The context may be the reason; the rollback must happen all the same. SQLite has
		// rolled back by itself after some errors, so this one's result means nothing.
		q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

// lend runs do in one transaction, with the connection lent to the batches.
func (f *openFile) lend(ctx context.Context, do func() error) error {
	return f.transaction(ctx, func() error {
		return f.conn.Raw(func(c any) error {
			f.raw = c.(driver.ConnPrepareContext)
			return do()
		})
	})
}

// syncEvery is how often the -wal file is synced to the disk: a power failure costs no more than that, and the sample under
// way. SQLite itself does so only at a checkpoint, every 1,000 pages: on a quiet machine that is many minutes.
const syncEvery = 30 * time.Second

// sync runs commit, so that what it commits survives a power failure if it is time for that.
func (f *openFile) sync(ctx context.Context, commit func() error) error {
	if time.Since(f.synced) < f.syncEvery {
		return commit()
	}
	if _, err := f.conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return err
	}
	err := commit()
	if err == nil {
		f.synced = time.Now()
	}
	f.conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL") // if not, the next is synced, too
	return err
}

// trySync writes what is there already and syncs it: a disk that has failed may take what is written and lose it.
func (f *openFile) trySync(ctx context.Context) error {
	f.synced = time.Time{}
	return f.sync(ctx, func() error {
		// An UPDATE to the same value writes nothing.
		_, err := f.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", ApplicationID))
		return err
	})
}

// How long another process may keep the file locked before a commit gives up; less once it did.
const (
	patient   = "PRAGMA busy_timeout = 10000"
	impatient = "PRAGMA busy_timeout = 200"
)

// patience sets one of these, where there is a connection.
func (f *openFile) patience(pragma string) {
	if f.conn != nil {
		f.conn.ExecContext(context.Background(), pragma)
	}
}

// unwritable reports whether the error is one of the file, or of the memory that a shell beside the recorder takes, not of what was to be written.
func unwritable(err error) bool {
	var held *heldError
	var broken *brokenError
	if errors.As(err, &held) || errors.As(err, &broken) {
		return true
	}
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return false
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
		sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PROTOCOL:
		return true
	}
	return false
}

// cause is what the system has against writing, where SQLite does not tell: it calls a quota, a read-only file system and
// sometimes a full disk an I/O error.
func cause(path string, err error) error {
	var se *sqlite.Error
	if errors.As(err, &se) {
		switch se.Code() & 0xff {
		case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
			return cmp.Or(probe(path), err)
		}
	}
	return err
}

// probe tries to write a file beside the recording, as large as a new -shm file and more.
func probe(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-probe-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(make([]byte, 64<<10))
	if serr := f.Sync(); err == nil && !errors.Is(serr, syscall.EINVAL) {
		err = serr
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		at.Path = path // the other name says nothing to anybody
	}
	return err
}
