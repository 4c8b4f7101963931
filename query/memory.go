package query

import (
	"database/sql"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// memoryLimit is how many bytes SQLite may hold, and as many a result in this program; 0: as many as there are. SQLite has one heap in a process.
var memoryLimit atomic.Int64

// countsMemory makes SQLite count what it holds, without which its limit means nothing. It can be told so only before it opens a file.
var countsMemory = sync.OnceValue(func() bool {
	tls := libc.NewTLS()
	defer tls.Close()
	list := libc.Xmalloc(tls, 8)
	if list == 0 {
		return false
	}
	defer libc.Xfree(tls, list)
	return sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_MEMSTATUS, libc.VaList(list, int32(1))) == sqlite3.SQLITE_OK
})

// LimitMemory limits how many bytes questions in this process may hold, to begin with before a file is opened; 0 is no limit.
func LimitMemory(bytes int64) {
	if bytes < 0 {
		bytes = 0
	}
	if !countsMemory() && bytes == 0 {
		return
	}
	memoryLimit.Store(bytes)
	if bytes > 0 {
		debug.SetMemoryLimit(bytes + 64<<20) // collect what is not needed any more before it grows beyond that
	}
	tls := libc.NewTLS()
	defer tls.Close()
	sqlite3.Xsqlite3_hard_heap_limit64(tls, bytes)
}

// LeastMemory is the least limit with which questions have answers.
const LeastMemory = 16 << 20

// limitValues limits how long a value may be: it is held several times on its way to the screen.
func limitValues(c *sql.Conn) error {
	limit := memoryLimit.Load()
	if limit == 0 {
		return nil
	}
	_, err := sqlite.Limit(c, sqlite3.SQLITE_LIMIT_LENGTH, int(min(limit/8, 1_000_000_000)))
	return err
}

// errMemory says that a question needs more than it may have.
func errMemory() error {
	limit := memoryLimit.Load()
	if limit == 0 {
		return errors.New("it needs more memory than there is: narrow the question")
	}
	return fmt.Errorf("it needs more than %s of memory: narrow the question, or give it more, --memory %s", wholeSize(limit), moreMemory(limit))
}

// moreMemory is four times the limit, as --memory takes it.
func moreMemory(limit int64) string {
	unit := int64(1 << 30)
	if limit%1_000_000 == 0 {
		unit = 1e9
	}
	if limit*4 >= unit {
		limit = (limit*4 + unit/2) / unit * unit / 4
	}
	return strings.ReplaceAll(wholeSize(limit*4), " ", "")
}

// wholeSize is a number of bytes in the unit in which it was given.
func wholeSize(n int64) string {
	for _, u := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}} {
		if n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " B"
}

// A holding counts the bytes of rows that are held at once.
type holding int64

// add counts a row, and says when that is more than may be.
func (h *holding) add(row []any) error {
	*h += holding(sizeOfRow(row))
	return h.check()
}

func (h *holding) drop(row []any) { *h -= holding(sizeOfRow(row)) }

func (h *holding) check() error {
	if limit := memoryLimit.Load(); limit > 0 && int64(*h) > limit {
		return errMemory()
	}
	return nil
}

// holdsNumbers says when a function holds more numbers than may be, and sorts them.
func holdsNumbers(n int) error {
	h := holding(2 * 8 * n)
	return h.check()
}

func sizeOfRow(row []any) (size int) {
	const each = 24 // a value, and what it points to at the least
	for _, v := range row {
		size += each
		switch v := v.(type) {
		case string:
			size += len(v)
		case []byte:
			size += len(v)
		}
	}
	return size
}
