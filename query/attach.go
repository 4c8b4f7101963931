package query

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"netsql/store"
)

// schemaName is what a recording may be attached as.
var schemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// attach is .attach FILE NAME: another recording, for reading only, whose tables are NAME.sockets and so on. Without arguments it lists them.
func (s *Shell) attach(ctx context.Context, arg string) error {
	words := quotedFields(arg)
	switch len(words) {
	case 0:
		return s.attached(ctx)
	case 1:
		words = append(words, strings.TrimSuffix(filepath.Base(words[0]), filepath.Ext(words[0])))
	}
	if len(words) > 2 {
		return errors.New("attach which recording, and as what? .attach old.db old")
	}
	file, name := words[0], words[1]
	if err := checkSchemaName(name); err != nil {
		return err
	}
	if err := checkRegular(file); err != nil {
		return err
	}
	letRead(file)
	dsn, err := store.Readable(ctx, file)
	if err != nil {
		return err
	}
	if err := s.recording.attachAs(ctx, dsn, name); err != nil {
		return fmt.Errorf("attach %s: %w", file, s.recording.explain(err))
	}
	return s.say(fmt.Sprintf("%s is %s: SELECT * FROM %s.leaks", file, name, name))
}

func checkSchemaName(name string) error {
	switch strings.ToLower(name) {
	case "main", "temp", liveSchema:
		return fmt.Errorf("%s has another meaning: attach it under another name", name)
	}
	if !schemaName.MatchString(name) || reserved[strings.ToUpper(name)] {
		return fmt.Errorf("%s is no name for a recording: letters, digits and _, such as old", quoteWords(name))
	}
	return nil
}

// attached lists what is attached.
func (s *Shell) attached(ctx context.Context) error {
	out := s.textOut()
	return s.recording.each(ctx, "SELECT name, file FROM pragma_database_list WHERE name <> 'temp'", nil, func(row []any) {
		fmt.Fprintf(out, "%-10s %s\n", text(row[0]), escapeControls(text(row[1])))
	})
}

// detach is .detach NAME.
func (s *Shell) detach(ctx context.Context, arg string) error {
	if err := checkSchemaName(arg); err != nil {
		return err
	}
	if _, err := s.recording.conn.Conn.ExecContext(ctx, "DETACH "+quotedName(arg)); err != nil {
		return fmt.Errorf("detach %s: nothing is attached so; .attach lists what is", arg)
	}
	return nil
}

// scratch is .scratch FILE: tables of one's own that outlive the shell, as scratch.NAME. The file is made if it is not there; a recording is refused.
func (s *Shell) scratch(ctx context.Context, arg string) error {
	if arg == "" {
		return errors.New("keep tables in which file? .scratch mine.db, then CREATE TABLE scratch.busy AS SELECT …")
	}
	if info, err := os.Stat(arg); err == nil && (info.Size() > 0 || !info.Mode().IsRegular()) {
		if err := checkRegular(arg); err != nil {
			return err
		}
		if _, err := store.Readable(ctx, arg); !errors.Is(err, store.ErrNotRecording) {
			return fmt.Errorf("%s is a recording, which is only read, or cannot be read: name another file", escapeControls(arg))
		}
	}
	f, err := openOrCreate(s.config.System, arg, os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keep tables: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	letWrite(arg)
	if err := s.recording.attachAs(ctx, fileAddress(arg)+"?mode=rw", "scratch"); err != nil {
		return fmt.Errorf("keep tables in %s: %w", arg, s.recording.explain(err))
	}
	return s.say("CREATE TABLE scratch.NAME AS SELECT … keeps a table in " + arg)
}
