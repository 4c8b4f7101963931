package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// noteLimit is the longest note, in bytes: it is a remark, not a report.
const noteLimit = 10_000

// AddNote writes a person's remark about a moment into the recording, which may be being recorded meanwhile.
func AddNote(ctx context.Context, path string, at time.Time, text, user string) error {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return errors.New("a note needs words: netsql note 'deploy 1.4'")
	case len(text) > noteLimit:
		return fmt.Errorf("a note of %d bytes: %d are the most", len(text), noteLimit)
	case !utf8.ValidString(text):
		return errors.New("a note must be text in UTF-8")
	}
	if _, err := Readable(ctx, path); err != nil {
		return err
	}
	if err := checkSafe(path); err != nil {
		return err
	}
	format, err := latestVersion() // or it would not be readable
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", dsn(path, "rw", "busy_timeout=10000", "synchronous=normal", "trusted_schema=off")+"&_defensive=1")
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return Explain(path, err)
	}
	defer conn.Close()
	err = transaction(ctx, conn, func() error {
		if err := checkOurs(ctx, conn, path, format); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "INSERT INTO note (ts, text, user, written) VALUES (?,?,?,?)",
			unixSeconds(at), text, nullable(user), unixSeconds(time.Now()))
		return err
	})
	if err := Explain(path, err); errors.Is(err, ErrPermission) {
		return fmt.Errorf("%s: %w to write: run netsql note as the user who records (sudo), or let others: chgrp GROUP and chmod g+w on it, its -wal and -shm", path, ErrPermission)
	}
	return Explain(path, err)
}
