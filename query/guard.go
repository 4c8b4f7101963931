package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"modernc.org/sqlite"

	"netsql/store"
)

// A guard keeps the statements of a connection from writing or making files. That its files are opened for reading only is not enough: ATTACH and
// VACUUM INTO name others.
type guard struct {
	attaching atomic.Bool // the program itself attaches a file
	refused   atomic.Value
}

// hook installs the guard on a connection.
func (g *guard) hook(c sqlite.ExecQuerierContext, _ string) error {
	guarded, ok := c.(sqlite.AuthorizerRegisterer)
	if !ok {
		return errors.New("this SQLite asks nobody what a statement may do")
	}
	return guarded.RegisterAuthorizer(g.allows)
}

// allows says whether a statement may do something. SQLite asks while it compiles the statement.
func (g *guard) allows(action sqlite.AuthorizerActionCode, first, second, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthAttach:
		if !g.attaching.Load() {
			return g.refuse("SQL opens and makes no other file here: .backup FILE copies the recording, .scratch FILE keeps tables of your own")
		}
	case sqlite.AuthPragma:
		name := strings.ToLower(first)
		switch {
		case actingPragmas[name]:
			return g.refuse(fmt.Sprintf("PRAGMA %s would change the recording, which is only read", name))
		case second != "" && !freePragmas[name]:
			return g.refuse(fmt.Sprintf("PRAGMA %s is not set here: it would change a recording or what guards it; without a value it is shown", name))
		}
	case sqlite.AuthFunction:
		if unsafeFunctions[strings.ToLower(second)] {
			return g.refuse(fmt.Sprintf("%s() is switched off: it would run code or write a file", strings.ToLower(second)))
		}
	}
	return sqlite.AuthorizerOK
}

func (g *guard) refuse(why string) sqlite.AuthorizerReturnCode {
	g.refused.Store(why)
	return sqlite.AuthorizerDeny
}

// why is why the last statement was refused.
func (g *guard) why() string {
	text, _ := g.refused.Load().(string)
	return text
}

// actingPragmas do something also without a value.
var actingPragmas = map[string]bool{"wal_checkpoint": true, "incremental_vacuum": true, "optimize": true}

// freePragmas may have a value: they only tell something about it, or set what ends with the shell and guards nothing.
var freePragmas = map[string]bool{
	"table_info": true, "table_xinfo": true, "table_list": true, "index_info": true, "index_xinfo": true, "index_list": true,
	"foreign_key_list": true, "foreign_key_check": true, "integrity_check": true, "quick_check": true,
	"analysis_limit": true, "automatic_index": true, "busy_timeout": true, "cache_size": true, "cache_spill": true,
	"case_sensitive_like": true, "cell_size_check": true, "defer_foreign_keys": true, "foreign_keys": true,
	"full_column_names": true, "ignore_check_constraints": true, "query_only": true, "recursive_triggers": true,
	"reverse_unordered_selects": true, "short_column_names": true, "synchronous": true, "temp_store": true, "threads": true,
}

// unsafeFunctions are those of SQLite, of extensions and of its shell that load code, or read and write files.
var unsafeFunctions = map[string]bool{"load_extension": true, "fts3_tokenizer": true, "writefile": true, "readfile": true, "edit": true, "lsmode": true, "sqlite_log": true}

// guarded are the parameters of a data source name that make SQLite trust nothing that a file brings along: what its views, triggers and
// columns call, and what would damage it.
const guarded = "&_defensive=1&_pragma=trusted_schema(0)"

// attach attaches a file for reading. An empty name and :memory: are a database of its own, which ends with the shell.
func (r *Recording) attach(ctx context.Context, file, name string) error {
	dsn, err := readableAs(ctx, file)
	if err != nil {
		return err
	}
	return r.attachAs(ctx, dsn, name)
}

// attachAs attaches what a data source name of this program says.
func (r *Recording) attachAs(ctx context.Context, dsn, name string) error {
	r.guard.attaching.Store(true)
	defer r.guard.attaching.Store(false)
	_, err := r.conn.Conn.ExecContext(ctx, "ATTACH ? AS "+quotedName(name), dsn)
	return err
}

// readableAs is the data source name that opens a recording, or any other SQLite file, for reading only, by its name or its address, file:….
// Of an address only what cannot be turned into writing is heeded.
func readableAs(ctx context.Context, file string) (string, error) {
	if file == "" || file == ":memory:" {
		return file, nil
	}
	path := file
	if rest, is := strings.CutPrefix(file, "file:"); is {
		address, err := url.Parse("file:" + rest)
		if err != nil {
			return "", fmt.Errorf("%s is no address of a file: name the file as it is", quoteWords(file))
		}
		if path = cmp.Or(address.Path, address.Opaque); address.Opaque != "" {
			if path, err = url.PathUnescape(path); err != nil {
				return "", fmt.Errorf("%s is no address of a file: name the file as it is", quoteWords(file))
			}
		}
		if path == "" || path == ":memory:" || address.Query().Get("mode") == "memory" {
			return ":memory:", nil
		}
	}
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("no file %s: ATTACH only reads what is there; .scratch FILE makes one for tables of your own", quoteWords(path))
	case err != nil:
		return "", store.Explain(path, err)
	case !info.Mode().IsRegular() && !info.IsDir():
		return "", fmt.Errorf("%s is no file: name a recording", quoteWords(path))
	}
	letRead(path)
	dsn, err := store.Readable(ctx, path)
	switch {
	case err == nil:
		return dsn, nil
	case errors.Is(err, store.ErrNotRecording), errors.Is(err, store.ErrOlder), errors.Is(err, store.ErrNewer):
		// Any other SQLite file, say a scratch file, can be read as well.
		if isSQLite(path) {
			return readOnlyFile(path), nil
		}
	}
	return "", err
}

// isSQLite reports whether a file begins as those of SQLite do.
func isSQLite(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	var begin [len(magic)]byte
	n, _ := f.Read(begin[:])
	return string(begin[:n]) == magic
}

// readOnlyFile is the address of a file for reading.
func readOnlyFile(path string) string { return fileAddress(path) + "?mode=ro" }

// fileAddress is the address of a file, as SQLite reads it. Whatever is in its name means nothing else there.
func fileAddress(path string) string {
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
}

// attachAsked attaches what an ATTACH statement names. is says whether the statement is one.
func (r *Recording) attachAsked(ctx context.Context, statement string, args []any) (is bool, err error) {
	words := wordsOf(statement)
	if len(words) > 0 && words[len(words)-1].text == ";" {
		words = words[:len(words)-1]
	}
	if len(words) == 0 || words[0].text != "attach" {
		return false, nil
	}
	words = words[1:]
	if len(words) > 0 && words[0].text == "database" {
		words = words[1:]
	}
	as := -1
	for i, w := range words {
		if w.depth == 0 && w.text == "as" && w.kind == tokenWord {
			as = i
		}
	}
	if as < 1 || as+2 != len(words) {
		return true, errors.New("attach which file, and as what? ATTACH 'old.db' AS old, or .attach old.db old")
	}
	name := nameIn(statement[words[as+1].start:words[as+1].end])
	if err := checkSchemaName(name); err != nil {
		return true, err
	}
	file := nameIn(statement[words[0].start:words[0].end])
	if as > 1 || words[0].kind != tokenString && words[0].kind != tokenName && words[0].kind != tokenWord || strings.HasPrefix(file, "$") {
		var value any
		if err := r.conn.QueryRowContext(ctx, "SELECT "+statement[words[0].start:words[as-1].end], args...).Scan(&value); err != nil {
			return true, r.explain(err)
		}
		file = plain(value)
	}
	return true, r.explain(r.attach(ctx, file, name))
}

// nameIn is what stands between the quotes of a name or a string.
func nameIn(text string) string {
	if n := len(text); n >= 2 {
		switch first := text[0]; {
		case first == '[' && text[n-1] == ']':
			return text[1 : n-1]
		case (first == '\'' || first == '"' || first == '`') && text[n-1] == first:
			return strings.ReplaceAll(text[1:n-1], string(first)+string(first), string(first))
		}
	}
	return text
}

// checkRegular refuses what is no file, such as a pipe: opening it would wait for a program that writes into it.
func checkRegular(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return fmt.Errorf("%s is a device or a pipe, and %w: name another with --db", escapeControls(path), store.ErrNotRecording)
	}
	return nil
}
