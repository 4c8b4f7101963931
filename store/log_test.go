package store

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Rows of a log have the times at which things happened: after the sample before, in order, never twice the same;
// those of a source that failed are not there. A stretch of time is a range of the key.
func TestLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src, other := w.SourceIn(Of(5), "closes"), w.SourceIn(Of(6), "closes")
	log, failing := NewLog(src, Closes), NewLog(other, Closes)
	sample := func(wall, uptime int64, at ...time.Duration) {
		w.Begin(Clock{Wall: time.Unix(wall, 0), Uptime: time.Duration(uptime) * time.Second, Awake: time.Duration(uptime) * time.Second})
		src.Read(func() error {
			for i, d := range at {
				log.Add(time.Duration(uptime)*time.Second-d, Close{NetNS: Of(5), Proto: "tcp", Cookie: Of(i)})
			}
			src.Lost("3 were lost")
			return nil
		})
		if uptime == 111 {
			w.Retire(Of(6))
		} else {
			other.Read(func() error {
				failing.Add(time.Duration(uptime)*time.Second, Close{NetNS: Of(6), Proto: "tcp"})
				return errors.New("no more")
			})
		}
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	sample(1000, 100)
	sample(1005, 105, 2*time.Second, 3*time.Second, 2*time.Second, time.Hour) // the last one: a clock that we cannot believe
	sample(500, 110, time.Second)                                             // the wall clock was set back
	sample(501, 111)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		"SELECT group_concat(round(ts, 6) || '/' || cookie, ' ') FROM closed_sockets WHERE ts < 1005":                    "1000.0/3 1002.0/1 1003.0/0 1003.000001/2",
		"SELECT group_concat(count, ' ') FROM (SELECT count(*) AS count FROM closed_sockets WHERE ts >= 1005)":           "1",
		"SELECT count(*) FROM closed_sockets WHERE netns = 6":                                                            "0",
		"SELECT count(*) || ' ' || min(netns) || ' ' || min(detail) FROM gaps WHERE kind = 'lost' AND source = 'closes'": "4 5 3 were lost",
		"SELECT group_concat(until) FROM gaps WHERE netns = 6 AND kind = 'failed'":                                       "1005.6",
		"SELECT group_concat(netns) FROM sources_now WHERE source = 'closes'":                                            "5",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\ngives %q, %v; want %q", query, got, err, want)
		}
	}
	rows, err := db.Query("EXPLAIN QUERY PLAN SELECT * FROM closed_sockets WHERE ts BETWEEN 1 AND 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, detail)
	}
	if text := strings.Join(plan, "\n"); !strings.Contains(text, "SEARCH c USING PRIMARY KEY (ts>? AND ts<?)") {
		t.Errorf("a stretch of time is no range of the key:\n%s", text)
	}
}
