package store

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"netsql/migrations"
)

// A recording of the first format is brought up to date by the next recorder, keeps what it says, and goes on.
func TestFirstFormatIsBroughtUpToDate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "old.db")
	steps, err := migrations.All()
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(steps[0] + fmt.Sprintf(`
		PRAGMA application_id = %d; PRAGMA user_version = 1;
		INSERT INTO recording (id, uuid, created) VALUES (1, 'u', 1);
		INSERT INTO boot (id, boot_id, started) VALUES (1, 'b', 1);
		INSERT INTO run (id, boot, started, pid, interval_s) VALUES (1, 1, 1, 1, 5);
		INSERT INTO sample (id, ts, run, uptime_s) VALUES (1, 100, 1, 99), (2, 105, 1, 104);
		INSERT INTO process (id, first_sample, pid, comm) VALUES (1, 1, 7, 'webd');
		INSERT INTO process_tuple (id, uid) VALUES (1, 33);
		INSERT INTO process_open VALUES (1, 1, 1, 9);
		INSERT INTO socket (id, first_sample, proto, local_port, remote_port, cookie) VALUES (1, 1, 'tcp', 80, 1234, 5);
		INSERT INTO socket_tuple (id, state, process) VALUES (1, 'ESTABLISHED', 1);
		INSERT INTO socket_open (subject, from_sample, tuple, bytes_sent) VALUES (1, 1, 1, 42);
		INSERT INTO source (id, first_sample, source) VALUES (1, 1, 'tcp4');
		INSERT INTO source_tuple (id, outcome) VALUES (1, 'read');
		INSERT INTO source_open VALUES (1, 1, 1, 1, 0);
		INSERT INTO gap (since, kind) VALUES (100, 'failed');`, ApplicationID)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	set := NewSet(src, Sockets)
	w.Begin(Clock{Wall: time.Unix(110, 0), Uptime: 109 * time.Second, Awake: 109 * time.Second})
	src.Read(func() error {
		set.Put(SocketID{Proto: "tcp", LocalPort: Of(81), Cookie: Of(6)}, Socket{State: "LISTEN", OwnerHow: "none"})
		return nil
	})
	if err := w.Commit(t.Context(), Cost{}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if db, err = sql.Open("sqlite", DSN(path)); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		"SELECT group_concat(ts || ' ' || comm || ' ' || state || ' ' || bytes_sent || ' ' || coalesce(owner_how, 'NULL'), ', ') FROM sockets WHERE ts < 110": "100.0 webd ESTABLISHED 42 NULL, 105.0 webd ESTABLISHED 42 NULL",
		"SELECT group_concat(ts || ' ' || local_port || ' ' || owner_how) FROM sockets WHERE ts >= 110":                                                       "110.0 81 none",
		"SELECT count(*) FROM gaps WHERE kind IN ('failed', 'crashed')":                                                                                       "2",
		"SELECT count(*) || ' ' || count(netns) FROM sources WHERE ts = 105":                                                                                  "1 0",
		"SELECT count(*) FROM connections":                                 "1",
		"SELECT group_concat(integrity_check) FROM pragma_integrity_check": "ok",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s\ngives %q, %v; want %q", query, got, err, want)
		}
	}
}
