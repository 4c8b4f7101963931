package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A way is what the connections to one service have for their shortest round trips, the day before and today, in µs.
type way struct {
	before, now []int
	// How they are: no sample saw them; another rtt than the shortest; the second day they sent nothing for an hour.
	short  bool
	queued int
	idle   bool
	in     bool // the other end opened them
}

// TestSlowPath: the way to a service that grew longer than it was the day before, and what must not be taken for it. The rows are made: sch_netem, which
// would make a way slow, is not in every kernel, and a day does not pass in a test. The oracle is the rule in words beside each.
func TestSlowPath(t *testing.T) {
	t.Parallel()
	const ms = 1000
	many := func(rtt, n int) (all []int) {
		for range n {
			all = append(all, rtt)
		}
		return all
	}
	for _, c := range []struct {
		name string
		way  way
		want string
	}{
		{"thirty times as long", way{before: many(1*ms, 4), now: many(30*ms, 5)}, "30.0 ms, and took 1.0 ms at the same time the day before (half of 5 connections, and of 4)"},
		{"of connections that no sample saw", way{before: many(1*ms, 4), now: many(30*ms, 5), short: true}, "30.0 ms, and took 1.0 ms at the same time the day before (half of 5 connections, and of 4)"},
		{"half of them", way{before: []int{1 * ms, 2 * ms, 3 * ms, 90 * ms}, now: []int{1 * ms, 12 * ms, 40 * ms}}, "12.0 ms, and took 2.0 ms"},
		{"half of five", way{before: []int{1 * ms, 2 * ms, 3 * ms, 80 * ms, 90 * ms}, now: []int{1 * ms, 14 * ms, 40 * ms}}, "14.0 ms, and took 3.0 ms"},
		{"three times and 10 ms, just", way{before: many(5*ms, 3), now: many(15*ms, 3)}, "15.0 ms, and took 5.0 ms"},
		{"not three times", way{before: many(20*ms, 3), now: many(59*ms, 3)}, ""},
		{"not 10 ms", way{before: many(100, 3), now: many(10*ms+99, 3)}, ""},
		{"two connections say nothing", way{before: many(1*ms, 3), now: many(30*ms, 2)}, ""},
		{"two of the day before neither", way{before: many(1*ms, 2), now: many(30*ms, 3)}, ""},
		{"less than half of them", way{before: many(1*ms, 3), now: []int{1 * ms, 1 * ms, 1 * ms, 80 * ms, 80 * ms}}, ""},
		{"nothing is recorded of the day before", way{now: many(30*ms, 9)}, ""},
		{"it was slow the day before", way{before: many(30*ms, 3), now: many(30*ms, 3)}, ""},
		{"it grew fast", way{before: many(30*ms, 3), now: many(1*ms, 3)}, ""},
		{"a bulk transfer waits in its own queue: its shortest is short", way{before: many(1*ms, 3), now: many(1*ms, 3), queued: 90 * ms}, ""},
		{"a bulk transfer alone, the queue of which never empties", way{before: many(1*ms, 3), now: many(90*ms, 1), queued: 90 * ms}, ""},
		{"idle ones, that measured another day", way{before: many(1*ms, 3), now: many(30*ms, 3), idle: true}, ""},
		{"those that the other end opened", way{before: many(1*ms, 3), now: many(30*ms, 3), in: true}, ""},
		{"their round trips are not known", way{before: many(1*ms, 3), now: many(-1, 3)}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := recordWays(t, c.way, 40)
			got := strings.Join(texts(t, db, "SELECT severity || ' ' || sure || ' ' || coalesce(who, '') || ' ' || remote_addr || ' ' || remote_port || ' ' || iif(until IS NULL, 'true', 'false') || ' ' || what FROM findings WHERE fault = 'path slow'"), "; ")
			if c.want == "" {
				if got != "" {
					t.Errorf("found %q", got)
				}
			} else if !strings.HasPrefix(got, fmt.Sprintf("warning hint app (pid 10) 10.0.7.9 80 %t ", !c.way.short)) || !strings.Contains(got, c.want) || strings.Contains(got, ";") {
				t.Errorf("found %q, want one that says %q", got, c.want)
			}
			for _, evidence := range texts(t, db, "SELECT evidence FROM fault_path_slow") {
				if rows := texts(t, db, "SELECT max(rtt_ms) FROM ("+evidence+")"); len(rows) != 1 || rows[0] == "" {
					t.Errorf("%s shows %q", evidence, rows)
				}
			}
		})
	}
}

// It looks at the last hour of a longer window, and at the same hour the day before.
func TestSlowPathLooksAtAnHour(t *testing.T) {
	t.Parallel()
	db := recordWays(t, way{before: []int{1000, 1000, 1000}, now: []int{30_000, 30_000, 30_000}, short: true}, 40)
	end := 1_700_000_000 + 86400 + 1000 + 40*60
	for _, c := range []struct {
		name         string
		since, until int
		want         int
	}{
		{"all", 1_700_000_000, end, 1},
		{"an hour later", 1_700_000_000, end + 3600 + 60, 0},
		{"the day before", 1_700_000_000, end - 86400, 0},
		{"before they were", end - 100, end, 0},
	} {
		rewindow(t, db, "fault_path_slow", float64(c.since), float64(c.until))
		if got := texts(t, db, "SELECT what FROM temp.fault_path_slow"); len(got) != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
		if _, err := db.ExecContext(t.Context(), "DROP VIEW temp.fault_path_slow; DROP VIEW temp.\"window\""); err != nil {
			t.Fatal(err)
		}
	}
	plan := strings.Join(texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM fault_path_slow"), "\n")
	for _, scan := range []string{"SCAN p", "SCAN s", "SCAN c"} {
		if n := strings.Count(plan, scan+"\n"); n > map[string]int{"SCAN p": 1}[scan] { // what is open now
			t.Errorf("the plan has %d × %s:\n%s", n, scan, plan)
		}
	}
}

// recordWays records a program's connections to one service, in samples of a minute, on two days at the same time.
func recordWays(t *testing.T, y way, samples int) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ways.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Minute, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	all := w.Source("all")
	procs, socks, closes := NewSet(all, Processes), NewSet(all, Sockets), NewLog(all, Closes)
	wall := time.Unix(1_700_000_000, 0)
	for day, rtts := range [][]int{y.before, y.now} {
		if day == 0 && rtts == nil {
			continue
		}
		for i := range samples + 1 {
			up := time.Duration(day)*24*time.Hour + 1000*time.Second + time.Duration(i)*time.Minute
			w.Begin(Clock{Wall: wall.Add(up), Uptime: up, Awake: up})
			all.Read(func() error {
				app := procs.Put(ProcessID{PID: Of(10), Started: 5, Comm: "app"}, Process{}).Ref()
				for n, rtt := range rtts {
					shortest := Of(rtt)
					if rtt < 0 {
						shortest = Int{}
					}
					if y.short {
						if i == 30 {
							closes.Add(up-time.Duration(n+1)*time.Second, Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(50000 + n), RemoteAddr: "10.0.7.9", RemotePort: Of(80),
								Process: app, OwnerHow: "trace", Cookie: Of(1000*day + n), LivedUS: Of(1000), Connect: Of(500), Outcome: "closed", RTT: Of(max(rtt, y.queued)), MinRTT: shortest})
						}
						continue
					}
					s := Socket{State: "ESTABLISHED", Process: app, OwnerHow: "fd", Direction: "out", RTT: Of(max(rtt, y.queued)), MinRTT: shortest}
					if y.in {
						s.Direction = "in"
					}
					if y.idle && day == 1 {
						s.LastSent = 1_700_000_000 + 2000
					}
					socks.Put(SocketID{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.5", LocalPort: Of(40000 + n), RemoteAddr: "10.0.7.9", RemotePort: Of(80), Cookie: Of(1000*day + n + 1)}, s)
				}
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	return db
}
