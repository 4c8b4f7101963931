package store

import (
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

// sumsModel writes a random history of counts and remembers, for each sample, what there was.
type sumsModel struct {
	t      *testing.T
	rand   *rand.Rand
	path   string
	limits Limits
	w      *Writer
	procs  *Set[ProcessID, Process]
	trends *Set[SocketCountID, SocketTrend]
	owners *Source
	tcp    *Source

	wall      time.Time
	uptime    time.Duration
	boot, run int
	next      int // pid
	processes []*sumsProcess
	samples   []sumsSample // the first has number 1
}

// sumsProcess is one; the one of pid 0 stands for sockets whose owner is not known.
type sumsProcess struct {
	pid         int
	first, last int // samples
	counts      map[string]int
	habit       int
}

type sumsSample struct {
	ts     float64
	run    int
	counts map[string]int // by "pid state"
}

func newSumsModel(t *testing.T, seed uint64) *sumsModel {
	return &sumsModel{t: t, rand: rand.New(rand.NewPCG(seed, 17)), path: filepath.Join(t.TempDir(), "sums.db"), wall: time.Unix(1_700_000_000, 0),
		processes: []*sumsProcess{{first: 1, last: math.MaxInt, counts: map[string]int{}}}}
}

func (m *sumsModel) start() {
	m.run++
	if m.rand.IntN(4) == 0 { // and so was the machine
		m.boot++
		m.uptime = 0
		for _, p := range m.alive() {
			if p.pid > 0 {
				p.last = len(m.samples)
			}
		}
	}
	var err error
	if m.w, err = Create(m.t.Context(), Options{Path: m.path, Interval: 5 * time.Second, Boot: Boot{ID: fmt.Sprint("b", m.boot)}, Limits: m.limits}); err != nil {
		m.t.Fatal(err)
	}
	m.w.retention.sums.sizes = blockSizes{short: 12, shortest: 3, together: 5}
	m.owners, m.tcp = m.w.Source("owners"), m.w.Source("tcp4")
	m.procs, m.trends = NewSet(m.owners, Processes), NewSet(m.tcp, SocketTrends)
}

func (m *sumsModel) stop() {
	if err := m.w.Close(m.t.Context()); err != nil {
		m.t.Fatal(err)
	}
}

// alive are the processes that there are.
func (m *sumsModel) alive() []*sumsProcess {
	var all []*sumsProcess
	for _, p := range m.processes {
		if p.last == math.MaxInt {
			all = append(all, p)
		}
	}
	return all
}

func (m *sumsModel) step() {
	elapsed := 5*time.Second + time.Duration(m.rand.IntN(200)-100)*time.Millisecond
	m.uptime += elapsed
	m.wall = m.wall.Add(elapsed)
	n := len(m.samples) + 1
	alive := m.alive()
	if len(alive) < 3 || len(alive) < 9 && m.rand.IntN(15) == 0 {
		m.next++
		m.processes = append(m.processes, &sumsProcess{pid: m.next, first: n, last: math.MaxInt, counts: map[string]int{}, habit: m.rand.IntN(4)})
	} else if i := m.rand.IntN(len(alive)); i > 0 && m.rand.IntN(60) == 0 {
		alive[i].last = n - 1
	}
	s := sumsSample{ts: unixSeconds(m.wall), run: m.run, counts: map[string]int{}}
	m.w.Begin(Clock{Wall: m.wall, Uptime: m.uptime, Awake: m.uptime})
	refs := map[int]Ref{}
	m.owners.Read(func() error {
		for _, p := range m.alive() {
			if p.pid > 0 {
				refs[p.pid] = m.procs.Put(ProcessID{PID: Of(p.pid), Started: 1, Comm: fmt.Sprint("p", p.pid)}, Process{}).Ref()
			}
		}
		return nil
	})
	failed := n%500 < 200 && m.rand.IntN(20) == 0
	m.tcp.Read(func() error {
		if failed {
			return fmt.Errorf("no luck")
		}
		for _, p := range m.alive() {
			m.live(p)
			for state, count := range p.counts {
				if count > 0 {
					m.trends.Put(SocketCountID{Process: refs[p.pid], Proto: "tcp", Family: Of(4), State: state}, SocketTrend{Of(count)})
					s.counts[fmt.Sprint(p.pid, " ", state)] = count
				}
			}
		}
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

// live lets the sockets of a process come and go.
func (m *sumsModel) live(p *sumsProcess) {
	c := p.counts
	switch {
	case p.habit == 0: // stands still
		if c["LISTEN"] == 0 || m.rand.IntN(300) == 0 {
			c["LISTEN"] = 1 + m.rand.IntN(5)
		}
	case p.habit == 1: // leaks
		c["CLOSE_WAIT"] += m.rand.IntN(2)
	case p.habit == 2: // comes and goes
		c["ESTABLISHED"] = max(0, m.rand.IntN(10)-3)
	default: // now and then, and a great many
		if m.rand.IntN(12) == 0 {
			c["ESTABLISHED"] = m.rand.IntN(1_000_000)
		}
		if m.rand.IntN(30) == 0 {
			c["FIN_WAIT2"] = m.rand.IntN(2)
		}
	}
}

// compare asks about a random window.
func (m *sumsModel) compare() {
	m.t.Helper()
	oldest := 1
	fmt.Sscan(ask(m.t, m.path, "SELECT min(id) FROM sample")[0], &oldest)
	a := oldest + m.rand.IntN(len(m.samples)-oldest+1)
	z := a + m.rand.IntN(len(m.samples)-a+1)
	if m.rand.IntN(4) == 0 {
		a, z = oldest, len(m.samples)
	}
	since, until := m.samples[a-1].ts, m.samples[z-1].ts
	spans := m.ask(since, until, true)
	got := m.ask(since, until, false)
	if diff := cmp.Diff(spans, got, cmp.Comparer(nearly)); diff != "" {
		m.t.Fatalf("samples %d to %d (-from spans +from sums):\n%s", a, z, diff)
	}
	if diff := cmp.Diff(m.expected(a, z), got, cmp.Comparer(nearly)); diff != "" {
		m.t.Fatalf("samples %d to %d (-model +recording):\n%s", a, z, diff)
	}
}

// ask gives what growth adds up for each process and state, before it says which of them grew; without sums, if wished.
func (m *sumsModel) ask(since, until float64, fromSpans bool) []string {
	m.t.Helper()
	db := openLeaks(m.t, m.path, since, until, fromSpans)
	defer db.Close()
	var body string
	for _, v := range Views() {
		if v.Name == "growth" {
			before, rest, _ := strings.Cut(v.Body, "\n-- The floor m of each slot")
			body = strings.Replace(strings.TrimSuffix(before, ","), "   WHERE one OR many)", ")", 1) // of all groups
			if rest == "" || strings.Contains(body, "WHERE one OR many") {
				m.t.Fatal("growth is not what this test looks into")
			}
		}
	}
	got := texts(m.t, db, body+` SELECT printf('%d %s %d %d %d %d %d %d %.17g %.17g %.17g', m.pid, m.state, sum(p.n), min(p.first) >> 32, min(p.first) & 4294967295, max(p.final) >> 32,
		max(p.final) & 4294967295, max(p.hi), sum(p.sy), sum(p.sxy), sum(p.syy)) FROM part p JOIN member m ON m.id = p.g WHERE p.n > 0 GROUP BY p.g`)
	slices.Sort(got)
	return got
}

// openLeaks opens a recording for one connection whose views are of that window.
func openLeaks(t testing.TB, path string, since, until float64, fromSpans bool) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	statements := []string{fmt.Sprintf(`CREATE TEMP VIEW "window" AS SELECT %f AS since, %f AS until`, since, until)}
	for _, v := range Views() {
		if v.Name == "leaks" || v.Name == "growth" {
			statements = append(statements, "CREATE TEMP VIEW "+v.Name+" AS "+v.Body)
		}
	}
	if fromSpans { // no block stands before those of the file
		statements = append(statements, "CREATE TEMP TABLE short_block (id, samples, base)", "CREATE TEMP TABLE long_block (id, samples, base)")
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// nearly is equality but for the last digits of what is added up in another order.
func nearly(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		var p, q float64
		if x[i] == y[i] {
			continue
		}
		if i < 8 {
			return false
		}
		fmt.Sscan(x[i], &p)
		fmt.Sscan(y[i], &q)
		if math.Abs(p-q) > 1e-9*max(1, math.Abs(p)) {
			return false
		}
	}
	return true
}

// expected works it out from every sample.
func (m *sumsModel) expected(a, z int) []string {
	groups := map[string]bool{}
	for i := a; i <= z; i++ {
		for g := range m.samples[i-1].counts {
			groups[g] = true
		}
	}
	var rows []string
	for g := range groups {
		var pid int
		var state string
		fmt.Sscan(g, &pid, &state)
		var n, first, last, hi int
		var sy, sxy, syy float64
		for i := a; i <= z; i++ {
			// The samples of its run that are in the window.
			u, v := i, i
			for u > a && m.samples[u-2].run == m.samples[i-1].run {
				u--
			}
			for v < z && m.samples[v].run == m.samples[i-1].run {
				v++
			}
			step := 1.0
			if v > u {
				step = (m.samples[v-1].ts - m.samples[u-1].ts) / float64(v-u)
			}
			count, there := m.samples[i-1].counts[g]
			if !there {
				continue
			}
			x, y := m.samples[u-1].ts-m.samples[a-1].ts+float64(i-u)*step, float64(count)
			sy, sxy, syy = sy+step*y, sxy+step*x*y, syy+step*y*y
			if n == 0 {
				first = i
			}
			n, last, hi = n+1, i, max(hi, count)
		}
		rows = append(rows, fmt.Sprintf("%d %s %d %d %d %d %d %d %.17g %.17g %.17g", pid, state, n, first, m.samples[first-1].counts[g], last, m.samples[last-1].counts[g], hi, sy, sxy, syy))
	}
	slices.Sort(rows)
	return rows
}

// used holds that the history had what is to be tested.
func (m *sumsModel) used() {
	m.t.Helper()
	for question, what := range map[string]string{
		"SELECT count(*) FROM long_block WHERE base < id":                                                  "long blocks that follow each other",
		"SELECT count(*) FROM short_block WHERE samples < 12":                                              "a short block at the end of a run",
		"SELECT count(*) FROM long_block WHERE samples < 60":                                               "a long block at the end of a run",
		"SELECT count(*) FROM socket_trend_short WHERE n IS NULL AND samples > 12":                         "one that stood still in several short blocks",
		"SELECT count(*) FROM socket_trend_long WHERE n IS NULL AND samples > 60":                          "one that stood still in several long blocks",
		"SELECT count(*) FROM socket_trend_short WHERE n < samples AND first >> 32 > 0 AND last >> 32 < 0": "one that came and went within a block",
	} {
		if ask(m.t, m.path, question)[0] == "0" && m.limits.Keep == 0 {
			m.t.Errorf("the recording does not have %s", what)
		}
	}
	oldest := ask(m.t, m.path, "SELECT min(id) > 1 FROM sample")[0] == "1"
	if m.limits.Keep > 0 != oldest {
		m.t.Errorf("the oldest samples are forgotten: %v", oldest)
	}
	if got := ask(m.t, m.path, "SELECT (SELECT count(*) FROM short_block WHERE id < h) + (SELECT count(*) FROM long_block WHERE id < h) FROM (SELECT min(id) AS h FROM sample)"); got[0] != "0" {
		m.t.Errorf("%s blocks are left of samples that are forgotten", got[0])
	}
	for _, l := range []string{"short", "long"} {
		if got := ask(m.t, m.path, fmt.Sprintf("SELECT count(*) FROM socket_trend_%[1]s WHERE id >> 32 < (SELECT min(base) FROM %[1]s_block)", l)); got[0] != "0" {
			m.t.Errorf("%s rows of %s blocks are left of samples that are forgotten", got[0], l)
		}
	}
}
