package query

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"netsql/store"
)

// longRows take some seconds.
const longRows = 2_000_000

// rowsPerSecond is about what is read of a history of sockets on a machine of some years ago.
const rowsPerSecond = 700_000

// longRead says what a statement is about to read that asks one history for all of the past, if that is so many rows at least, and how it reads less; "": it is not.
func (r *Recording) longRead(ctx context.Context, statement string, least int64) (note string, takes time.Duration) {
	refs := tablesIn(statement, len(statement)).refs
	if len(refs) != 1 {
		return "", 0
	}
	v, err := viewNamed(store.Views(), refs[0].table)
	if err != nil || v.From == nil || v.Rollup != nil || strings.HasSuffix(v.Name, nowSuffix) || strings.HasSuffix(v.Name, changesSuffix) || strings.HasSuffix(v.Name, spansSuffix) ||
		explained.MatchString(statement) && strings.HasPrefix(strings.ToLower(strings.TrimSpace(statement)), "explain") {
		return "", 0
	}
	a := askedOf(statement, v)
	if a.few && !a.moments && !a.limit && !a.sums && v.Name == store.Sockets.Name {
		return "each row is a socket at one sample; connections has each connection once", 0
	}
	if a.moments || a.few || a.limit && !a.sums && !a.sorts {
		return "", 0
	}
	var samples, subjects int64
	if err := r.look.QueryRowContext(ctx, fmt.Sprintf(
		"SELECT (SELECT count(*) FROM sample), (SELECT count(*) FROM %[1]s_open) + (SELECT count(*) FROM %[1]s_span WHERE id >= (SELECT max(id) FROM sample) << 32)", v.From.Subject)).Scan(&samples, &subjects); err != nil {
		return "", 0
	}
	rows := samples * max(subjects, 1)
	if rows < least {
		return "", 0
	}
	takes = time.Duration(rows/rowsPerSecond) * time.Second
	note = fmt.Sprintf("this reads %s of all %s samples, about %s rows: some %s; a bound on ts reads less: ts > ago('1h'), ts = at('03:14')",
		v.Name, count(samples), roundCount(rows), spanText(takes.Seconds(), " "))
	if v.From.Name == "sockets" {
		note += "; connections has each connection once"
	}
	return note, takes
}

// roundCount is a large number in words.
func roundCount(n int64) string {
	if n >= 10_000_000 {
		return fmt.Sprintf("%d million", n/1_000_000)
	}
	return fmt.Sprintf("%.1f million", float64(n)/1e6)
}

// showProgress tells every second on a terminal how long a statement runs already, of how long it may take. The function it returns ends that.
func showProgress(w io.Writer, takes time.Duration) (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-done:
				fmt.Fprint(w, "\r\x1b[K")
				return
			case <-tick.C:
				fmt.Fprintf(w, "\r\x1b[K%s of about %s (Ctrl-C ends it)", spanText(time.Since(start).Seconds(), " "), spanText(takes.Seconds(), " "))
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}
