package query

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// asksLive reports whether a statement names a table of the schema live, which is this moment: live.sockets.
func asksLive(statement string) bool {
	var before [2]token
	for _, t := range tokens(statement) {
		if t.blank() {
			continue
		}
		if (t.kind == tokenWord || t.kind == tokenName) && IsTable(strings.Trim(statement[t.start:t.end], "\"`[]")) && isMark(statement, before[1], ".") &&
			before[0].kind == tokenWord && strings.EqualFold(statement[before[0].start:before[0].end], liveSchema) {
			return true
		}
		before[0], before[1] = before[1], t
	}
	return false
}

const liveSchema = "live"

func isMark(statement string, t token, mark string) bool {
	return t.kind == tokenMark && statement[t.start:t.end] == mark
}

// lookLive makes the schema live show this moment: a sample that is taken now, of the same tables.
func (s *Shell) lookLive(ctx context.Context) error {
	if s.config.Live == nil {
		return errors.New("live tables cannot be had here: sockets_now is the newest sample")
	}
	path, remove, err := s.config.Live(ctx)
	if err != nil {
		return fmt.Errorf("live: %w", err)
	}
	conn := s.recording.conn.Conn
	if s.live {
		s.live = false
		if _, err := conn.ExecContext(ctx, "DETACH "+liveSchema); err != nil {
			return errors.Join(err, remove())
		}
	}
	// Nobody writes it any more, and once it is open its name is not needed.
	name := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: "immutable=1&mode=ro"}).String()
	err = s.recording.attachAs(ctx, name, liveSchema)
	if err == nil {
		s.live = true
		var n int
		err = conn.QueryRowContext(ctx, "SELECT count(*) FROM live.sample").Scan(&n)
	}
	return errors.Join(err, remove())
}
