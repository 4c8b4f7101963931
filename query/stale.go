package query

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"netsql/store"
)

// staleNote says that the newest sample is older than it should be, to who asks for it while a recorder runs: "now" is not now. "": it is not.
func (r *Recording) staleNote(ctx context.Context, statement string, now time.Time) string {
	asks := false
	for _, t := range tablesIn(statement, len(statement)).refs {
		asks = asks || strings.HasSuffix(strings.ToLower(t.table), nowSuffix)
	}
	if !asks {
		return ""
	}
	recorder, is := r.Recorder()
	if !is {
		return ""
	}
	var last, interval float64
	var most sql.NullInt64
	if err := r.look.QueryRowContext(ctx, "SELECT m.ts, u.interval_s, u.max_bytes FROM sample m JOIN run u ON u.id = m.run ORDER BY m.id DESC LIMIT 1").Scan(&last, &interval, &most); err != nil {
		return ""
	}
	age := unixSeconds(now) - last
	if age < 3*interval+2 {
		return ""
	}
	note := fmt.Sprintf("the newest sample is %s old, of %s", spanText(age, " "), localTime(unixTime(last)))
	if readers := store.HeldBy(r.Path, store.Limits{MaxSize: most.Int64}); len(readers) > 0 {
		var names []string
		for _, reader := range readers {
			names = append(names, escapeControls(reader.String()))
		}
		return fmt.Sprintf("%s: the recorder waits for %s, which has left a statement open", note, strings.Join(names, " or "))
	}
	if recorder.OtherName {
		return fmt.Sprintf("%s: a recorder has the file under another name, and what it has not written back into the file is not seen under this one", note)
	}
	return fmt.Sprintf("%s: the recorder, %v, takes one every %s and is late; netsql status says more", note, recorder, spanText(interval, " "))
}
