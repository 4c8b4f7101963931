package store

import (
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sharedQueues are all pairs of these, as Put and as the view must show them.
func sharedQueues() (put [][2]Int, want []string) {
	text := map[Int]string{
		{}: "NULL", Of(0): "0", Of(1): "1", Of(128): "128", Of(1<<31 - 1): "2147483647", Of(1 << 31): "2147483648",
		Of(uint32(math.MaxUint32 - 1)): "4294967294", Of(uint32(math.MaxUint32)): "4294967294", Of(int64(math.MaxInt64)): "4294967294", Of(-1): "0",
	}
	for r := range text {
		for s := range text {
			put = append(put, [2]Int{r, s})
			want = append(want, fmt.Sprintf("%d %s %s", len(put), text[r], text[s]))
		}
	}
	return put, want
}

const askQueues = "SELECT local_port || ' ' || coalesce(recv_q, 'NULL') || ' ' || coalesce(send_q, 'NULL') FROM sockets WHERE ts = ? ORDER BY local_port"

// Two columns that share one say what was Put, each by itself, in spans that hold and in those that have ended; and are as
// small as one of them where the other is 0.
func TestColumnsThatShareOne(t *testing.T) {
	t.Parallel()
	put, want := sharedQueues()
	path := filepath.Join(t.TempDir(), "shared.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("tcp4")
	set := NewSet(src, Sockets)
	for m := range 3 {
		up := time.Duration(m+1) * time.Second
		w.Begin(Clock{Wall: time.Unix(100, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			for i, q := range put {
				set.Put(SocketID{LocalPort: Of(i + 1)}, Socket{State: "ESTABLISHED", RecvQ: q[0], SendQ: q[1], BytesSent: Of(m / 2)})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for ts, spans := range map[int]string{102: "socket_span", 103: "socket_open"} {
		if diff := cmp.Diff(want, texts(t, db, askQueues, ts)); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", spans, diff)
		}
		for _, q := range []string{"recv_q IS NULL AND send_q IS NULL AND queues IS NOT NULL", "recv_q = 0 AND send_q <> queues"} {
			ask := fmt.Sprintf("SELECT count(*) FROM (SELECT queues, %s AS recv_q, %s AS send_q FROM %s) WHERE %s", high.part("queues"), low.part("queues"), spans, q)
			if got := texts(t, db, ask); got[0] != "0" {
				t.Errorf("%s rows of %s where %s", got[0], spans, q)
			}
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Format 3 had two columns for them.
func TestQueuesOfFormat3(t *testing.T) {
	t.Parallel()
	put, want := sharedQueues()
	path := filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, path, 3)
	exec := func(statement string, args ...any) {
		t.Helper()
		if _, err := db.Exec(statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO boot (id, boot_id, started) VALUES (1, 'b', 1);
		INSERT INTO run (id, boot, started, pid, interval_s) VALUES (1, 1, 1, 1, 1);
		INSERT INTO sample (id, ts, run, uptime_s) VALUES (1, 101, 1, 1), (2, 102, 1, 2), (3, 103, 1, 3);
		INSERT INTO socket_tuple (id, state) VALUES (1, 'ESTABLISHED');
		CREATE VIEW sockets AS SELECT recv_q, send_q FROM socket_span`)
	number := func(i Int) any {
		if n, known := i.Get(); known {
			return n
		}
		return nil
	}
	for i, q := range put {
		exec("INSERT INTO socket (id, first_sample, local_port) VALUES (?1, 1, ?1)", i+1)
		exec("INSERT INTO socket_span (id, length, tuple, recv_q, send_q) VALUES (2 << 32 | ?, 1, 1, ?, ?)", i+1, number(q[0]), number(q[1]))
		exec("INSERT INTO socket_open (subject, from_sample, tuple, recv_q, send_q) VALUES (?, 3, 1, ?, ?)", i+1, number(q[0]), number(q[1]))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Upgrade(t.Context(), path, nil); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for ts, spans := range map[int]string{102: "socket_span", 103: "socket_open"} {
		if diff := cmp.Diff(want, texts(t, db, askQueues, ts)); diff != "" {
			t.Errorf("from %s (-want +got):\n%s", spans, diff)
		}
	}
	requireSound(t, path)
}
