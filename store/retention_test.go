package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sizeOnDisk is what the recording takes, with its -wal.
func sizeOnDisk(t *testing.T, path string) int64 {
	t.Helper()
	var size int64
	for _, name := range []string{path, path + "-wal"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	return size
}

func tidyUp(t *testing.T, w *Writer) (steps int) {
	t.Helper()
	for {
		more, err := w.Tidy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return steps
		}
		steps++
	}
}

// With limits a recording of many short-lived sockets and processes stands still in every table, whatever comes and goes.
func TestNothingGrowsForEver(t *testing.T) {
	onlyLong(t)
	t.Parallel()
	path := filepath.Join(t.TempDir(), "still.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"},
		Limits: Limits{Keep: time.Minute, Minutes: 2 * time.Hour, Hours: 100 * time.Hour, Days: 60 * 24 * time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	w.retention.markSamples, w.retention.markTuples, w.tupleAge = 50, 10, 20
	src := w.Source("all")
	procs, socks, log := NewSet(src, Processes), NewSet(src, Sockets), NewLog(src, Closes)
	trends, traffic := NewSet(src, SocketTrends), NewSet(src, TrafficTable)
	rows := func() map[string]int64 {
		counts := map[string]int64{}
		names, err := w.file.conn.QueryContext(t.Context(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('sqlite_sequence')")
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for names.Next() {
			var name string
			if err := names.Scan(&name); err != nil {
				t.Fatal(err)
			}
			list = append(list, name)
		}
		names.Close()
		for _, name := range list {
			var n int64
			if err := w.file.conn.QueryRowContext(t.Context(), "SELECT count(*) FROM "+name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			counts[name] = n
		}
		return counts
	}
	const samples = 1500
	var middle map[string]int64
	uptime := time.Duration(0)
	for i := range samples {
		step := time.Second
		if i%20 == 0 {
			step = 48 * time.Hour // 150 days in all
		}
		uptime += step
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(uptime), Uptime: uptime, Awake: uptime})
		src.Read(func() error {
			for j := range 4 {
				id := i/3*4 + j // each lives for three samples
				p := procs.Put(ProcessID{PID: Of(id), Started: float64(id), Comm: fmt.Sprint("job", id)}, Process{FDs: Of(i)}).Ref()
				socks.Put(SocketID{Proto: "tcp", Cookie: Of(id)}, Socket{State: "ESTABLISHED", Process: p, Retransmits: Of(id), BytesSent: Of(i)})
				trends.Put(SocketCountID{Process: p, Proto: "tcp", State: "ESTABLISHED"}, SocketTrend{Of(1)})
				traffic.Put(TrafficID{Process: p}, Traffic{BytesSent: Of(i)})
				log.Add(uptime, Close{Process: p, Cookie: Of(id)})
			}
			// One that was there before anybody looked, idle.
			socks.Put(SocketID{Proto: "tcp", Cookie: Of(1 << 40)}, Socket{State: "LISTEN", User: "root"})
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		tidyUp(t, w)
		if i == samples/2+9 { // after as many short steps as at the end
			middle = rows()
		}
	}
	for name, n := range rows() {
		if was := middle[name]; n > was+was/4+20 {
			t.Errorf("%s has %d rows, and had %d half way", name, n, was)
		}
	}
	// The idle one is known since the first sample, which is long gone.
	var since float64
	var state string
	if err := w.file.conn.QueryRowContext(t.Context(), "SELECT first_seen, user FROM listeners WHERE cookie = 1 << 40").Scan(&since, &state); err != nil || since != 1_700_000_000+48*3600 || state != "root" {
		t.Errorf("the listener is known since %v, of user %q: %v", since, state, err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	requireSound(t, path)
	// Who saves what is left of it loses nothing that it kept.
	saved := filepath.Join(t.TempDir(), "saved.db")
	if _, err := Recover(t.Context(), path, saved, RecoverOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"SELECT ts, pid, comm, cookie, state FROM sockets ORDER BY 1, 2, 4", "SELECT * FROM socket_counts_1d ORDER BY 1, 5", "SELECT * FROM traffic_rates_1m ORDER BY 1, 5",
		"SELECT first_seen, user FROM listeners",
	} {
		if diff := cmp.Diff(ask(t, path, query), ask(t, saved, query)); diff != "" {
			t.Errorf("%s (-recording +saved):\n%s", query, diff)
		}
	}
}

// A process that has ended is named as long as a sample shows a socket that it held (owner_how cookie): its own last sample is
// forgotten first.
func TestNamedAfterItsLastSample(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "named.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}, Limits: Limits{Keep: 100 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	src := w.Source("all")
	procs, socks := NewSet(src, Processes), NewSet(src, Sockets)
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const closing = 10 // samples in which a socket is there after its process: an eighth of what is kept at most
	var ended []Ref
	for i := range 300 {
		up := time.Duration(i+1) * time.Second
		w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			ended = append(ended, procs.Put(ProcessID{PID: Of(i + 1), Comm: "job"}, Process{}).Ref())
			for j := max(0, i-closing); j <= i; j++ {
				socks.Put(SocketID{Proto: "tcp", Cookie: Of(j + 1)}, Socket{State: "FIN_WAIT2", Process: ended[j], OwnerHow: "cookie"})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
		tidyUp(t, w)
		if i%25 != 24 {
			continue
		}
		var rows, wrong int
		if err := db.QueryRow("SELECT count(*), count(*) FILTER (WHERE pid IS NOT cookie) FROM sockets").Scan(&rows, &wrong); err != nil || rows == 0 || wrong > 0 {
			t.Errorf("after sample %d: of %d rows of sockets %d do not name the process, %v", i, rows, wrong, err)
		}
	}
	var samples, processes int
	if err := db.QueryRow("SELECT (SELECT count(*) FROM sample), (SELECT count(*) FROM process)").Scan(&samples, &processes); err != nil || samples > 110 || processes > 150 {
		t.Errorf("%d samples and %d processes are kept, %v", samples, processes, err)
	}
}
