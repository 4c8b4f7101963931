package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The roll-ups say of every minute, hour and day what a model that remembers every sample says: also where groups
// come and go, an interface is made again, the recorder pauses, is stopped or killed, or rolls up late.
func TestRollups(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(3, 6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			m := &rollupModel{t: t, rand: rand.New(rand.NewPCG(seed, 3)), path: filepath.Join(t.TempDir(), "rollup.db"),
				wall: time.Unix(1_700_000_000, 0), links: map[string]int64{}, index: map[string]int{}}
			m.start()
			for range 800 {
				m.step()
				switch m.rand.IntN(150) {
				case 0:
					if err := m.w.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					m.start()
				case 1:
					m.w.file.close()
					m.start()
				}
			}
			for more := true; more; {
				var err error
				if more, err = m.w.Tidy(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := m.w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			m.check()
		})
	}
}

// An interface that comes within a minute, or is gone for some of it, has no rate while it is not there: that is not known, and no 0. A process that is not
// there moves nothing.
func TestRollupOfWhatWasNotThere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("all")
	procs, counters, moved := NewSet(src, Processes), NewSet(src, InterfaceCountersTable), NewSet(src, TrafficTable)
	// By sample, from 10 s on: bytes of late0, which comes in the second minute, and of gap0, which is gone in the third; -1: it is not there.
	late := []int{-1, -1, -1, -1, -1, -1, -1, -1, 0, 1000, 3000, 5000, 6000, 9000, 9500, 10000, 12000, 13000}
	gone := []int{0, 100, 300, 400, 600, 700, 900, 1000, 1200, 1300, 1500, 1600, 1800, -1, -1, -1, -1, -1}
	for i := range 3600/10 + 1 {
		up := time.Duration(i+1) * 10 * time.Second
		w.Begin(Clock{Wall: time.Unix(1_699_999_200, 0).Add(up), Uptime: up, Awake: up})
		src.Read(func() error {
			if i >= len(late) {
				return nil
			}
			for name, bytes := range map[string]int{"late0": late[i], "gap0": gone[i]} {
				if bytes >= 0 {
					counters.Put(InterfaceID{NetNS: Of(1), Name: name, IfIndex: Of(len(name))}, InterfaceCounters{RxBytes: Of(bytes)})
				}
			}
			if late[i] >= 0 {
				p := procs.Put(ProcessID{PID: Of(1), Started: 5, Comm: "p"}, Process{}).Ref()
				moved.Put(TrafficID{NetNS: Of(1), Process: p}, Traffic{BytesSent: Of(1000)})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	for more := true; more; {
		if more, err = w.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	minutes := "SELECT printf('%d %s %d %s %s', (ts - 1699999200) / 60, name, rx_bytes, min_rx_bytes_per_s, max_rx_bytes_per_s) FROM interface_rates_1m ORDER BY name, ts"
	hours := strings.NewReplacer("_1m", "_1h", "/ 60", "/ 3600").Replace(minutes)
	for question, want := range map[string][]string{
		minutes: {"0 gap0 600 10.0 20.0", "1 gap0 900 10.0 20.0", "2 gap0 300 10.0 20.0", "1 late0 3000 100.0 200.0", "2 late0 9000 50.0 300.0", "3 late0 1000 100.0 100.0"},
		hours:   {"0 gap0 1800 10.0 20.0", "0 late0 13000 50.0 300.0"},
		"SELECT printf('%d %s %s', (ts - 1699999200) / 60, min_bytes_sent_per_s, max_bytes_sent_per_s) FROM traffic_rates_1m ORDER BY ts": {
			"1 0.0 100.0", "2 100.0 100.0", "3 0.0 100.0",
		},
	} {
		if diff := cmp.Diff(want, ask(t, path, question)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", question, diff)
		}
	}
}

// rollupModel writes a random history and remembers, for each sample, what its groups had.
type rollupModel struct {
	t        *testing.T
	rand     *rand.Rand
	path     string
	w        *Writer
	src      *Source
	procs    *Set[ProcessID, Process]
	trends   *Set[SocketCountID, SocketTrend]
	counters *Set[InterfaceID, InterfaceCounters]
	moved    *Set[TrafficID, Traffic]

	wall   time.Time
	uptime time.Duration
	run    int
	links  map[string]int64 // rx_bytes
	made   int              // interfaces
	index  map[string]int
	still  bool

	samples []rollupSample
}

type rollupSample struct {
	ts, uptime float64
	run        int
	counts     map[string]float64 // by program
	rx         map[string]float64 // growth of each interface; NaN: not known
	sent       map[string]float64 // by program
}

func (m *rollupModel) start() {
	m.run++
	var err error
	if m.w, err = Create(m.t.Context(), Options{Path: m.path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}}); err != nil {
		m.t.Fatal(err)
	}
	m.src = m.w.Source("all")
	m.procs, m.trends = NewSet(m.src, Processes), NewSet(m.src, SocketTrends)
	m.counters, m.moved = NewSet(m.src, InterfaceCountersTable), NewSet(m.src, TrafficTable)
}

func (m *rollupModel) step() {
	elapsed := []time.Duration{time.Second, 7 * time.Second, 10 * time.Second, 14 * time.Second, 25 * time.Second}[m.rand.IntN(5)]
	switch m.rand.IntN(60) {
	case 0:
		elapsed = time.Duration(1+m.rand.IntN(10)) * time.Hour
	case 1:
		m.still = !m.still // many minutes alike
	}
	m.uptime += elapsed
	m.wall = m.wall.Add(elapsed)
	m.w.Begin(Clock{Wall: m.wall, Uptime: m.uptime, Awake: m.uptime})
	s := rollupSample{ts: unixSeconds(m.wall), uptime: m.uptime.Seconds(), run: m.run,
		counts: map[string]float64{}, rx: map[string]float64{}, sent: map[string]float64{}}
	m.src.Read(func() error {
		for pid := range 4 {
			comm := fmt.Sprintf("p%d", pid/2) // two processes of each program
			p := m.procs.Put(ProcessID{PID: Of(pid), Started: 5, Comm: comm}, Process{}).Ref()
			if m.rand.IntN(10) == 0 && !m.still {
				continue
			}
			n, sent := m.rand.IntN(3), m.rand.IntN(1000)
			if m.still {
				n, sent = 2, 0
			}
			m.trends.Put(SocketCountID{NetNS: Of(1), Process: p, Proto: "tcp", State: "LISTEN"}, SocketTrend{Of(n)})
			m.moved.Put(TrafficID{NetNS: Of(1), Process: p}, Traffic{BytesSent: Of(sent)})
			s.counts[comm] += float64(n)
			s.sent[comm] += float64(sent)
		}
		m.putLinks(s.rx)
		return nil
	})
	if err := m.w.Commit(m.t.Context(), Cost{}); err != nil {
		m.t.Fatal(err)
	}
	m.samples = append(m.samples, s)
	for range m.rand.IntN(4) { // sometimes it is late
		if _, err := m.w.Tidy(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *rollupModel) putLinks(rx map[string]float64) {
	for _, name := range []string{"eth0", "eth1"} {
		before, known := m.links[name]
		switch {
		case m.rand.IntN(40) == 0 && known: // gone
			delete(m.links, name)
			continue
		case !known: // made again, with another index
			m.made++
			m.links[name], m.index[name] = 0, m.made
			rx[name] = math.NaN()
		default:
			grown := int64(m.rand.IntN(5000))
			if m.still {
				grown = 0
			}
			m.links[name], rx[name] = before+grown, float64(grown)
		}
		m.counters.Put(InterfaceID{NetNS: Of(1), Name: name, IfIndex: Of(m.indexOf(name))}, InterfaceCounters{RxBytes: Of(m.links[name])})
	}
}

// indexOf is a new number each time the interface is made.
func (m *rollupModel) indexOf(name string) int { return m.index[name] }

// expected works out a level from the samples of each of its periods.
func (m *rollupModel) expected(l Level) (counts, rx, sent []string) {
	periods := map[int64][]int{}
	newest := m.samples[len(m.samples)-1].ts
	for i, s := range m.samples {
		if n := l.of(s.ts); newest >= l.begin(n+1) {
			periods[n] = append(periods[n], i)
		}
	}
	groups := func(of func(rollupSample) map[string]float64, in []int) []string {
		names := map[string]bool{}
		for _, i := range in {
			for name := range of(m.samples[i]) {
				names[name] = true
			}
		}
		var list []string
		for name := range names {
			list = append(list, name)
		}
		return list
	}
	for n, in := range periods {
		watched, covered := 0.0, 0.0
		for _, i := range in {
			if i == 0 {
				continue
			}
			elapsed := m.samples[i].uptime - m.samples[i-1].uptime
			covered += elapsed
			if m.samples[i].run == m.samples[i-1].run {
				watched += min(elapsed, 15.05)
			}
		}
		head := fmt.Sprintf("%d %d %.2f", n*l.Seconds, len(in), watched)
		for _, name := range groups(func(s rollupSample) map[string]float64 { return s.counts }, in) {
			sum, least, most := 0.0, math.Inf(1), 0.0
			for _, i := range in {
				v := m.samples[i].counts[name]
				sum, least, most = sum+v, min(least, v), max(most, v)
			}
			counts = append(counts, fmt.Sprintf("%s %s %.1f %.0f %.0f", head, name, sum/float64(len(in)), least, most))
		}
		flow := func(of func(rollupSample) map[string]float64, absentIsZero bool) []string {
			var rows []string
			for _, name := range groups(of, in) {
				sum, least, most, known := 0.0, math.Inf(1), math.Inf(-1), false
				for _, i := range in {
					v, there := of(m.samples[i])[name]
					if !there && absentIsZero {
						least = min(least, 0)
					}
					if math.IsNaN(v) || !there {
						continue
					}
					sum, known = sum+v, true
					if i > 0 {
						rate := v / (m.samples[i].uptime - m.samples[i-1].uptime)
						least, most = min(least, rate), max(most, rate)
					}
				}
				if !known {
					rows = append(rows, fmt.Sprintf("%s %s unknown", head, name))
					continue
				}
				text := fmt.Sprintf("%s %s %.0f", head, name, sum)
				if covered > 0 {
					text += fmt.Sprintf(" %.1f", sum/covered)
				}
				if !math.IsInf(most, 0) {
					text += fmt.Sprintf(" %.2f %.2f", least, most)
				}
				rows = append(rows, text)
			}
			return rows
		}
		rx = append(rx, flow(func(s rollupSample) map[string]float64 { return s.rx }, false)...)
		sent = append(sent, flow(func(s rollupSample) map[string]float64 { return s.sent }, true)...)
	}
	slices.Sort(counts)
	slices.Sort(rx)
	slices.Sort(sent)
	return counts, rx, sent
}

func (m *rollupModel) check() {
	db, err := sql.Open("sqlite", DSN(m.path))
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	const head = "SELECT printf('%d %d %.2f %s', ts, samples, watched_s, "
	flow := func(name, column, table string) string {
		return head + strings.NewReplacer("NAME", name, "COLUMN", column, "TABLE", table).Replace(
			`NAME) || CASE WHEN COLUMN IS NULL THEN ' unknown' ELSE printf(' %d', COLUMN) || coalesce(printf(' %.1f', avg_COLUMN_per_s), '') ||
			iif(max_COLUMN_per_s IS NULL, '', printf(' %.2f %.2f', min_COLUMN_per_s, max_COLUMN_per_s)) END FROM TABLE`)
	}
	merged := false
	for _, l := range Levels() {
		counts, rx, sent := m.expected(l)
		for query, want := range map[string][]string{
			head + "comm) || printf(' %.1f %d %d', avg_count, min_count, max_count) FROM socket_counts_" + l.Name: counts,
			flow("name", "rx_bytes", "interface_rates_"+l.Name):                                                   rx,
			flow("comm", "bytes_sent", "traffic_rates_"+l.Name):                                                   sent,
		} {
			got := texts(m.t, db, query)
			slices.Sort(got)
			if diff := cmp.Diff(want, got, cmp.Comparer(almost)); diff != "" {
				m.t.Errorf("%s (-model +recording):\n%s", query, diff)
			}
		}
		var rows, periods int
		if err := db.QueryRow(fmt.Sprintf("SELECT count(*), sum(length) FROM socket_count_%s", l.Name)).Scan(&rows, &periods); err != nil {
			m.t.Fatal(err)
		}
		merged = merged || rows < periods
	}
	if !merged {
		m.t.Error("no minutes that are alike share a row")
	}
}

// almost is equality but for the last digit of each number: the recording rounds to thousandths on the way.
func almost(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		var p, q float64
		if x[i] == y[i] {
			continue
		}
		if _, err := fmt.Sscan(x[i], &p); err != nil {
			return false
		}
		if _, err := fmt.Sscan(y[i], &q); err != nil || math.Abs(p-q) > 0.11 {
			return false
		}
	}
	return true
}

// A roll-up that failed, so that all it had done was taken back, is done when it can be.
func TestRollupIsDoneAfterAFailure(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 77)
	h.start()
	for h.uptime < 200*time.Second {
		h.step()
	}
	ctx := t.Context()
	if _, err := h.w.file.conn.ExecContext(ctx, "CREATE TEMP TRIGGER full BEFORE INSERT ON main.period_1m BEGIN SELECT RAISE(ABORT, 'on purpose'); END"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.w.retention.rollUpDue(ctx); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Fatalf("no failure: %v", err)
	}
	if _, err := h.w.file.conn.ExecContext(ctx, "DROP TRIGGER full"); err != nil {
		t.Fatal(err)
	}
	if did, err := h.w.retention.rollUpDue(ctx); err != nil || !did {
		t.Errorf("after the failure: %t, %v", did, err)
	}
}

// A new recording has small pages; an older one keeps its own.
func TestPagesOfANewRecording(t *testing.T) {
	t.Parallel()
	fresh, old := filepath.Join(t.TempDir(), "fresh.db"), filepath.Join(t.TempDir(), "old.db")
	db := makeFormat(t, old, len(allSteps(t)))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int64{fresh: newPageSize, old: 4096} {
		w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}, Limits: Limits{MaxSize: 64 << 20}})
		if err != nil {
			t.Fatal(err)
		}
		var waits, vacuum int64
		for pragma, into := range map[string]*int64{"wal_autocheckpoint": &waits, "auto_vacuum": &vacuum} {
			if err := w.file.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(into); err != nil {
				t.Fatal(err)
			}
		}
		if w.file.pageSize != want || waits*want < 900_000 || waits*want > 1<<20 || vacuum != 2 {
			t.Errorf("%s: pages of %d bytes, %d are waited for, auto_vacuum %d", path, w.file.pageSize, waits, vacuum)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader does not keep a recording from being made.
func TestCreateWhileOthersLook(t *testing.T) {
	t.Parallel()
	for range little(3, 12) {
		path := filepath.Join(t.TempDir(), "looked-at.db")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ctx.Err() == nil {
				db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
				if err != nil {
					return
				}
				db.Exec("SELECT count(*) FROM sqlite_schema") // there may be none yet
				db.Close()
			}
		}()
		w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
		stop()
		<-done
		if err != nil {
			t.Fatal(err)
		}
		if w.file.pageSize != newPageSize {
			t.Errorf("pages of %d bytes", w.file.pageSize)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
