package query

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"netsql/store"
)

// diary writes a recording as the recorder would, with a clock that the test moves.
type diary struct {
	t      testing.TB
	path   string
	boot   int
	wall   time.Time
	uptime time.Duration
	cpu    time.Duration
	limits store.Limits
	may    []store.Capability
	n      int // samples so far

	w         *store.Writer
	owners    *store.Source
	net       *store.Source
	processes *store.Set[store.ProcessID, store.Process]
	sockets   *store.Set[store.SocketID, store.Socket]
	counters  *store.Set[store.InterfaceID, store.InterfaceCounters]
	routes    *store.Set[store.RouteID, store.Route]
	counts    *store.Set[store.SocketCountID, store.SocketCount]
}

// stranger is a name that someone gave his process to spoil the table it is printed in.
const stranger = "a,\"b\"\r\nc|*d*\x1b[31m"

func newDiary(t testing.TB, began time.Time) *diary {
	t.Helper()
	d := &diary{t: t, path: filepath.Join(t.TempDir(), "diary.db"), wall: began, boot: 1}
	t.Cleanup(func() {
		if d.w != nil {
			d.stop()
		}
	})
	return d
}

func (d *diary) start() {
	d.t.Helper()
	w, err := store.Create(d.t.Context(), store.Options{
		Path: d.path, Interval: 5 * time.Second, Version: "1.2.3", UID: 0, Limits: d.limits, Capabilities: d.may,
		Boot: store.Boot{ID: fmt.Sprintf("boot-%d", d.boot), Host: "db1", Kernel: "6.18.0", Started: d.wall.Add(-d.uptime)},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.w = w
	d.owners, d.net = w.Source("owners"), w.Source("routes")
	d.processes = store.NewSet(d.owners, store.Processes)
	d.sockets = store.NewSet(d.owners, store.Sockets)
	d.counts = store.NewSet(d.owners, store.SocketCounts)
	d.counters = store.NewSet(d.net, store.InterfaceCountersTable)
	d.routes = store.NewSet(d.net, store.Routes)
}

func (d *diary) stop() {
	if err := d.w.Close(context.Background()); err != nil {
		d.t.Error(err)
	}
	d.w = nil
}

// sample takes one, five seconds after the last, in which the source of routes and interfaces fails with
// the error, if one is given.
func (d *diary) sample(trouble error) {
	d.t.Helper()
	d.wall, d.uptime, d.cpu = d.wall.Add(5*time.Second), d.uptime+5*time.Second, d.cpu+50*time.Millisecond
	d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
	d.owners.Read(func() error {
		d.counts.Put(store.SocketCountID{Proto: "tcp", State: "ESTABLISHED"}, store.SocketCount{Count: store.Of(5), Oldest: store.Of(d.wall.Unix())})
		// One that nobody sees twice.
		d.sockets.Put(store.SocketID{Proto: "tcp", RemoteAddr: "192.0.2.2", RemotePort: store.Of(80), Cookie: store.Of(1000 + d.n)}, store.Socket{State: "TIME_WAIT"})
		for i := range 5 {
			p := d.processes.Put(store.ProcessID{PID: store.Of(i), Started: 1.6e9, Comm: stranger}, store.Process{User: "root"})
			if i == 4 && d.n%3 == 0 {
				continue // one that comes and goes
			}
			d.sockets.Put(store.SocketID{
				NetNS: store.Of(1), Proto: "tcp", Family: store.Of(4), LocalAddr: "10.0.0.1", LocalPort: store.Of(4000 + i),
				RemoteAddr: "192.0.2.1", RemotePort: store.Of(443), Cookie: store.Of(i),
			}, store.Socket{State: "ESTABLISHED", Process: p.Ref(), BytesSent: store.Of(d.n * i), RTT: store.Of(1500)})
		}
		return nil
	})
	d.net.Read(func() error {
		d.counters.Put(store.InterfaceID{NetNS: store.Of(1), IfIndex: store.Of(2), Name: "eth0"}, store.InterfaceCounters{RxBytes: store.Of(1000 * d.n)})
		if d.n%10 != 9 {
			d.routes.Put(store.RouteID{NetNS: store.Of(1), Family: store.Of(4), Dst: "0.0.0.0/0", Dev: "eth0"}, store.Route{Gateway: "10.0.0.254"})
		}
		return trouble
	})
	if err := d.w.Commit(d.t.Context(), store.Cost{CPU: d.cpu, RSS: 24 << 20}); err != nil {
		d.t.Fatal(err)
	}
	d.n++
}

// began is when eventful begins.
var began = time.Date(2026, 3, 14, 1, 0, 0, 123_456_000, time.Local)

// eventful is a recording of 100 samples in three runs and two boots. A source fails for a while, and is incomplete in the end.
func eventful(t testing.TB) *diary {
	t.Helper()
	d := newDiary(t, began)
	d.start()
	for i := range 60 {
		var trouble error
		if i >= 20 && i < 25 {
			trouble = errors.New("read routes: no <i>buffer</i> space")
		}
		d.sample(trouble)
	}
	d.stop()
	d.wall, d.uptime = d.wall.Add(90*time.Second), d.uptime+90*time.Second
	d.start()
	for range 20 {
		d.sample(nil)
	}
	d.stop()
	d.wall, d.uptime, d.cpu, d.boot = d.wall.Add(time.Hour/2), time.Minute, 0, 2
	d.start()
	for i := range 20 {
		var trouble error
		if i >= 5 {
			trouble = &store.PartialError{Missing: "not root"}
		}
		d.sample(trouble)
	}
	return d
}

func openRecording(t testing.TB, path string) *Recording {
	t.Helper()
	r, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// table asks SQLite and gives each row as the texts of a CSV file.
func table(t *testing.T, db interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, query string, args ...any) [][]string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	moments := map[string]bool{"ts": true, "last": true, "since": true, "until": true, "started": true, "stopped": true, "wall": true,
		"after": true, "first_seen": true, "last_seen": true, "oldest": true, "opened": true, "opened_after": true, "closed": true, "written": true, "first": true, "known_since": true}
	all := [][]string{names}
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		var row []string
		for i, v := range values {
			switch v := v.(type) {
			case nil:
				row = append(row, "")
			case float64:
				if moments[names[i]] {
					row = append(row, time.UnixMicro(int64(v*1e6+0.5)).Format("2006-01-02T15:04:05.999999Z07:00"))
				} else {
					row = append(row, fmt.Sprint(v))
				}
			case int64:
				if moments[names[i]] && names[i] != "opened" { // a count, too
					row = append(row, time.Unix(v, 0).Format(time.RFC3339))
				} else {
					row = append(row, fmt.Sprint(v))
				}
			default:
				row = append(row, fmt.Sprint(v))
			}
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func readCSV(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return rows
}
