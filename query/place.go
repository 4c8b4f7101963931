package query

import (
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"unicode/utf8"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// A placedError is an error of a statement, and where in it: the byte that it begins with, or -1.
type placedError struct {
	text      string
	statement string
	place     int
}

func (e *placedError) Error() string { return e.text }

// position is the line and the column of the place, counted from 1.
func (e *placedError) position() (line, column int) {
	before := e.statement[:e.place]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}

// shown is the error for a person: below it stands the line of the statement, with a caret under the place.
func (e *placedError) shown(width int) string {
	if e.place < 0 {
		return e.text
	}
	start := strings.LastIndexByte(e.statement[:e.place], '\n') + 1
	line := e.statement[start:]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	const indent = "  "
	clean := func(s string) string { return escapeControls(strings.ReplaceAll(s, "\t", " ")) }
	before, after := clean(line[:e.place-start]), clean(line[e.place-start:])
	if room := max(width-len(indent)-1, 20); textWidth(before)+textWidth(after) > room { // the place is in sight
		for textWidth(before) > room/2 {
			_, size := utf8.DecodeRuneInString(before)
			before = before[size:]
		}
		after = runeWidths.Truncate(after, room-textWidth(before), "…")
	}
	return fmt.Sprintf("%s\n%s%s%s\n%s%s^", e.text, indent, before, after, indent, strings.Repeat(" ", textWidth(before)))
}

// placeOf is where in a statement an error is, as far as that is certain: SQLite tells it of syntax; a name that is not known may stand in one place.
func placeOf(statement, problem string) int {
	if place, same := syntaxPlace(statement, problem); same {
		return place
	}
	name := ""
	for _, pattern := range []*regexp.Regexp{noTable, noColumn, noFunction, ambiguous} {
		if m := pattern.FindStringSubmatch(problem); m != nil {
			name = m[len(m)-1]
		}
	}
	place := -1
	for _, t := range tokens(statement) {
		if t.kind != tokenWord && t.kind != tokenName || name == "" || !strings.EqualFold(strings.Trim(statement[t.start:t.end], "\"`[]"), name) {
			continue
		}
		if place >= 0 {
			return -1
		}
		place = t.start
	}
	return place
}

// syntaxPlace asks SQLite where the syntax of a statement is wrong. same is false where it finds another fault than the problem, or none.
func syntaxPlace(statement, problem string) (place int, same bool) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tls := libc.NewTLS()
	defer tls.Close()
	name, err := libc.CString(":memory:")
	if err != nil {
		return 0, false
	}
	defer libc.Xfree(tls, name)
	text, err := libc.CString(statement)
	if err != nil {
		return 0, false
	}
	defer libc.Xfree(tls, text)
	handles := libc.Xcalloc(tls, 2, 8)
	defer libc.Xfree(tls, handles)
	db := (*[2]uintptr)(*(*unsafe.Pointer)(unsafe.Pointer(&handles))) // memory of C
	if sqlite3.Xsqlite3_open(tls, name, handles) != sqlite3.SQLITE_OK {
		return 0, false
	}
	defer sqlite3.Xsqlite3_close_v2(tls, db[0])
	code := sqlite3.Xsqlite3_prepare_v2(tls, db[0], text, -1, handles+8, 0)
	defer sqlite3.Xsqlite3_finalize(tls, db[1])
	if code == sqlite3.SQLITE_OK || libc.GoString(sqlite3.Xsqlite3_errmsg(tls, db[0])) != problem {
		return 0, false
	}
	place = int(sqlite3.Xsqlite3_error_offset(tls, db[0]))
	return place, place >= 0 && place <= len(statement)
}
