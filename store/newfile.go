package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// newFile has write make a file that holds what recordings hold, under another name, and gives it the name only when it is whole and on the disk. No
// file may be there yet. Nobody may read it who may not read each of the recordings. Its error names the file.
func newFile(path string, recordings []string, write func(unfinished string) error) error {
	if err := checkNew(path); err != nil {
		return err
	}
	unfinished := path + "-unfinished"
	remove := func() {
		for _, suffix := range []string{"", "-journal", "-wal", "-shm"} {
			os.Remove(unfinished + suffix)
		}
	}
	remove()
	defer remove()
	mode := fs.FileMode(0o666)
	for _, r := range recordings {
		info, err := os.Stat(r)
		if err != nil {
			return Explain(r, err)
		}
		mode &= info.Mode().Perm()
	}
	if err := touchAs(unfinished, 0o600); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no folder %s: make it, or name a file in another", filepath.Dir(path))
	} else if err != nil {
		return Explain(path, err)
	}
	if err := write(unfinished); err != nil {
		return Explain(path, err)
	}
	if err := os.Chmod(unfinished, mode|0o600); err != nil {
		return Explain(path, err)
	}
	if err := syncFile(unfinished); err != nil {
		return Explain(path, err)
	}
	return Explain(path, os.Rename(unfinished, path))
}

// checkNew refuses a path where something is.
func checkNew(path string) error {
	_, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return Explain(path, err)
	}
	return fmt.Errorf("%s is there already: name a file that is not", path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// openNew opens a file that newFile makes, for writing all of it. The size of pages must be said before all else. Without a journal there is no way back,
// and none is needed: what is not finished is removed.
func openNew(ctx context.Context, path string) (*sql.DB, *sql.Conn, error) {
	db, err := sql.Open("sqlite", dsn(path, "rw", fmt.Sprintf("page_size=%d", newPageSize), "journal_mode=off", "synchronous=off", "cache_size=-32000", "temp_store=file"))
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return db, conn, nil
}

// A Copied is what stands in a copy of a recording.
type Copied struct {
	Samples     int64
	First, Last float64 // of them
	Bytes       int64
}

// Backup copies the recording as it is at this moment, into a file that is not there yet. The recording may be being written: what the recorder
// does meanwhile is not in the copy. It may be of any format that this program knows.
func Backup(ctx context.Context, recording, path string) (Copied, error) {
	from, _, err := openable(ctx, recording)
	if err != nil {
		return Copied{}, err
	}
	var c Copied
	err = newFile(path, []string{recording}, func(unfinished string) error {
		db, err := sql.Open("sqlite", from)
		if err != nil {
			return err
		}
		defer db.Close()
		if _, err := db.ExecContext(ctx, "VACUUM INTO ?", address(unfinished)); err != nil {
			return err
		}
		copied, conn, err := openNew(ctx, unfinished)
		if err != nil {
			return err
		}
		defer copied.Close()
		defer conn.Close()
		if _, err := conn.ExecContext(ctx, stopped("")); err != nil {
			return err
		}
		// It is sent about: a file in wal mode cannot be read where nothing can be written.
		if _, err := conn.ExecContext(ctx, "PRAGMA journal_mode = delete"); err != nil {
			return err
		}
		return conn.QueryRowContext(ctx, "SELECT count(*), coalesce(min(ts), 0), coalesce(max(ts), 0) FROM sample").Scan(&c.Samples, &c.First, &c.Last)
	})
	if err != nil {
		return Copied{}, err
	}
	c.Bytes, err = sizeOf(path)
	return c, err
}

// stopped is the SQL that makes a whole copy as if the recorder, if one writes to the recording, had been stopped at its last sample. The names of the
// tables begin with the prefix.
func stopped(prefix string) string {
	gap, run, sample := identifier(prefix+"gap"), identifier(prefix+"run"), identifier(prefix+"sample")
	return fmt.Sprintf(`UPDATE main.%[1]s SET until = (SELECT max(ts) FROM main.%[3]s) WHERE until IS NULL;
		UPDATE main.%[2]s SET stopped = max(started, (SELECT max(ts) FROM main.%[3]s)) WHERE stopped IS NULL AND id = (SELECT max(id) FROM main.%[2]s)`, gap, run, sample)
}

// identifier is a name as SQL has it, whatever is in it.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
