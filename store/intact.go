package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// A brokenError says what another program has done to the content of a recording that is being written: SQLite, which has part of
// it in memory, would go on to write and mix the two.
type brokenError struct {
	path string // of the file, -wal and -shm included
	what string
	data bool // what was recorded is damaged; else only the -shm file, which is made again
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("%s was %s by another program", e.path, e.what)
}

// Sizes and places in the files of SQLite: https://www.sqlite.org/fileformat2.html#the_database_header,
// #the_write_ahead_log and https://www.sqlite.org/walformat.html#the_wal_index_file_format.
const (
	databaseMagic   = "SQLite format 3\x00"
	walHeaderSize   = 32
	frameHeaderSize = 24
	indexHeaderSize = 48
	leastIndex      = 32 << 10 // bytes of a -shm file: it grows in steps of that
)

// intact finds out whether the files hold what was last written to them: that the database and the -wal file are as long as they must be, that
// the -wal file is the one that the index in the -shm file speaks of, up to its last frame, and that the recording is still this one. It
// costs some reads of a few bytes. Of pages in between nothing is known: check reads them all.
func (f *openFile) intact(ctx context.Context) error {
	if f.open[0] == nil {
		return nil
	}
	for {
		index, is := readIndex(f.open[2])
		err := f.agrees(ctx, index, is)
		if err == nil {
			return nil
		}
		// Another program may have written to the -wal file meanwhile, as netsql note does.
		if again, _ := readIndex(f.open[2]); again == index {
			return err
		}
	}
}

// agrees reports whether the files are as that index has them, if there is one.
func (f *openFile) agrees(ctx context.Context, index walIndex, is bool) error {
	broken := func(part int, what string) error { return &brokenError{f.path + parts[part], what, part != 2} }
	var infos [len(parts)]os.FileInfo
	for i, file := range f.open {
		var err error
		if infos[i], err = file.Stat(); err != nil {
			return err
		}
	}
	switch size := infos[1].Size(); {
	case infos[2].Size() < leastIndex:
		return broken(2, "cut short")
	case is && index.frames > 0 && size == 0:
		return broken(1, "emptied")
	case is && size < index.size():
		return broken(1, "cut short")
	case is && index.frames > 0 && !index.describes(f.open[1]):
		return broken(1, "overwritten")
	}
	// A checkpoint may have made the database as short as it is by now, not shorter.
	least := f.size
	if is {
		least = min(least, int64(index.pages)*int64(index.pageSize))
	}
	head := make([]byte, 18)
	n, _ := f.open[0].ReadAt(head, 0)
	switch size := infos[0].Size(); {
	case size == 0:
		return broken(0, "emptied")
	case size < least:
		return broken(0, "cut short")
	case n < len(head) || !bytes.HasPrefix(head, []byte(databaseMagic)) || pageSizeOf(head[16:]) != f.pageSize:
		return broken(0, "overwritten")
	}
	// A program that reads may have written the -wal file back into the database. But another one may have been copied over it.
	if !infos[0].ModTime().Equal(f.modified) {
		if uuid, err := uuidOf(ctx, f.path); err == nil && uuid != f.uuid || err != nil && notThere(err) {
			return broken(0, "overwritten")
		}
		f.remember()
	}
	return nil
}

// remember takes note of the size and the time of the database, after this program has written to it.
func (f *openFile) remember() {
	if f.open[0] == nil {
		return
	}
	if info, err := f.open[0].Stat(); err == nil {
		f.size, f.modified = info.Size(), info.ModTime()
	}
}

// uuidOf reads it as another program would: not from what this one has in memory.
func uuidOf(ctx context.Context, path string) (uuid string, err error) {
	db, err := sql.Open("sqlite", readOnly(path))
	if err != nil {
		return "", err
	}
	defer db.Close()
	return uuid, db.QueryRowContext(ctx, "SELECT uuid FROM recording").Scan(&uuid)
}

// notThere reports whether the error is that of a file without a recording in it.
func notThere(err error) bool {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return errors.Is(err, sql.ErrNoRows)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR:
		return true
	}
	return false
}

// walIndex is the header of the -shm file: which frames of the -wal file are committed.
type walIndex struct {
	frames   uint32 // the last of them; 0: there are none
	pages    uint32 // of the database with all of them
	pageSize uint32
	salts    [8]byte // of the -wal file
	sum      [8]byte // of the last frame, which covers all before it
}

// readIndex reads the header, which stands there twice, as it is never written at once. is is false where the two differ or nothing is there yet.
func readIndex(file *os.File) (index walIndex, is bool) {
	var b [2 * indexHeaderSize]byte
	_, err := file.ReadAt(b[:], 0)
	native := binary.NativeEndian
	if err != nil || !bytes.Equal(b[:indexHeaderSize], b[indexHeaderSize:]) || b[12] == 0 {
		return walIndex{}, false
	}
	index = walIndex{frames: native.Uint32(b[16:]), pages: native.Uint32(b[20:]), pageSize: uint32(native.Uint16(b[14:]))}
	if index.pageSize == 1 {
		index.pageSize = 64 << 10
	}
	copy(index.sum[:], b[24:32])
	copy(index.salts[:], b[32:40])
	return index, true
}

// size is how many bytes the -wal file has at least.
func (i walIndex) size() int64 {
	if i.frames == 0 {
		return 0
	}
	return walHeaderSize + int64(i.frames)*(frameHeaderSize+int64(i.pageSize))
}

// describes reports whether the index is of that -wal file, and its last frame stands there.
func (i walIndex) describes(wal *os.File) bool {
	var head [walHeaderSize]byte
	var last [frameHeaderSize]byte
	if _, err := wal.ReadAt(head[:], 0); err != nil {
		return false
	}
	if _, err := wal.ReadAt(last[:], i.size()-frameHeaderSize-int64(i.pageSize)); err != nil {
		return false
	}
	// In memory the sum is of native words, in the file always big-endian.
	var sum [8]byte
	for at := 0; at < len(sum); at += 4 {
		binary.BigEndian.PutUint32(sum[at:], binary.NativeEndian.Uint32(i.sum[at:]))
	}
	return bytes.Equal(head[16:24], i.salts[:]) && bytes.Equal(last[8:16], i.salts[:]) && bytes.Equal(last[16:24], sum[:])
}

func pageSizeOf(b []byte) int64 {
	if size := int64(binary.BigEndian.Uint16(b)); size != 1 {
		return size
	}
	return 64 << 10
}

// leave closes broken files, without what SQLite does then: it would write the -wal file back into the database.
func (f *openFile) leave() {
	keep := f.lock.keepFromCheckpoint()
	f.disconnect()
	keep()
}

// setAside gives a broken recording that is closed another name, so that nothing is written to it any more, and returns that name. The index of its -wal file
// is of what was there before: without it SQLite looks at the -wal file itself.
func (f *openFile) setAside(now time.Time) (aside string, err error) {
	base := strings.TrimSuffix(f.path, filepath.Ext(f.path)) + now.Format("-broken-20060102-150405")
	for n := 1; ; n++ {
		aside = base + filepath.Ext(f.path)
		if n > 1 {
			aside = fmt.Sprintf("%s-%d%s", base, n, filepath.Ext(f.path))
		}
		if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	for _, part := range []string{"-wal", ""} {
		if err := os.Rename(f.path+part, aside+part); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
	}
	if err := os.Remove(f.path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return aside, nil
}
