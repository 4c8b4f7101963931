package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The as-of law: for every history and every moment T, the view at T shows what was Put
// in the last sample at or before T, and nothing else.
//
// The history is random: subjects appear, change, rest, vanish and come back; sources fail and
// are kept; commits fail; the recorder is stopped, killed and started again, in the same
// boot and in another; the clock steps. The model is a list of snapshots. A subject that rests
// and comes back is the same one: it has one row for its whole life.
func TestAsOfLaw(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(6, 12) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			holds(t, seed, asOfLaw)
		})
	}
}

func asOfLaw(t testing.TB, c *choices) { historyOf(t, c, 0).run(400) }

// With limits the law holds for every moment that is kept, and of what is not kept nothing is left.
func TestAsOfLawWithLimits(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			holds(t, 500+seed, func(t testing.TB, c *choices) {
				h := historyOf(t, c, 0)
				h.limits.Keep = time.Duration(60+20*seed) * time.Second
				h.run(400)
				h.nothingLeft()
			})
		})
	}
}

// history writes a random one and remembers what it wrote.
type history struct {
	t       testing.TB
	choices *choices
	rand    *rand.Rand // draws them
	path    string

	w          *Writer
	sources    [2]*Source
	interfaces [2]*Set[InterfaceID, Interface]
	counters   [2]*Set[InterfaceID, InterfaceCounters]
	owners     *Source
	processes  *Set[ProcessID, Process]
	closes     *LogSet[Close]
	sockets    [2]*Set[SocketID, Socket]
	handles    map[SocketID]*Subject[SocketID, Socket]
	said       map[SocketID]Socket // put last
	sums       [2]*Set[TrafficID, Traffic]
	resting    map[TrafficID]*Subject[TrafficID, Traffic]

	boot    int
	uptime  time.Duration
	wall    time.Time
	links   [2]map[InterfaceID]Interface
	counts  [2]map[InterfaceID]InterfaceCounters
	socks   [2]map[SocketID]modelSocket
	moved   [2]map[TrafficID]Int // NULL: it rests
	lives   int                  // of subjects in moved, so far
	closed  int                  // sockets, so far
	lasting bool                 // none of them end

	limits Limits
	shots  []shot
	killed bool   // the last sample may not have been heard of
	begun  func() // told of each sample before its commit

	trouble *trouble // what goes wrong with the file; nil: nothing does
}

type modelSocket struct {
	Socket
	pid int64
}

// shot is what one committed sample must show, each row as text.
type shot struct {
	ts   float64
	rows map[string][]string
}

func newHistory(t testing.TB, seed uint64) *history { return historyOf(t, newChoices(seed), seed) }

// historyOf makes the history of the choices. Another one may go on in the same recording if its number is another.
func historyOf(t testing.TB, c *choices, number uint64) *history {
	h := &history{
		t: t, choices: c, rand: rand.New(c), path: filepath.Join(t.TempDir(), "law.db"),
		wall:  time.Unix(1_700_000_000, 0),
		lives: int(number) * 1e6,
	}
	h.closed = h.lives
	for i := range 2 {
		h.links[i] = map[InterfaceID]Interface{}
		h.counts[i] = map[InterfaceID]InterfaceCounters{}
		h.socks[i] = map[SocketID]modelSocket{}
		h.moved[i] = map[TrafficID]Int{}
	}
	return h
}

func (h *history) start() {
	w, err := Create(h.t.Context(), Options{
		Path: h.path, Interval: time.Second, Version: "law", Limits: h.limits,
		Boot: Boot{ID: fmt.Sprintf("boot-%d", h.boot), Host: "h", Started: time.Unix(1_600_000_000, 0)},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	w.retention.markSamples, w.retention.markTuples, w.tupleAge = 20, 10, 10
	w.logs[Closes.LogTable].(*logWriter[Close]).tuples.most = []int{40, 1000}[h.closed/1e6%2] // so that they go by number or by age
	h.w = w
	h.owners = w.Source("owners")
	h.processes = NewSet(h.owners, Processes)
	h.closes = NewLog(h.owners, Closes)
	for i := range 2 {
		h.sources[i] = w.Source(fmt.Sprintf("source%d", i))
		h.interfaces[i] = NewSet(h.sources[i], Interfaces)
		h.counters[i] = NewSet(h.sources[i], InterfaceCountersTable)
		h.sockets[i] = NewSet(h.sources[i], Sockets)
		h.sums[i] = NewSet(h.sources[i], TrafficTable)
	}
	h.resting = map[TrafficID]*Subject[TrafficID, Traffic]{}
	h.handles, h.said = map[SocketID]*Subject[SocketID, Socket]{}, map[SocketID]Socket{}
}

func (h *history) run(samples int) {
	h.start()
	for n := 0; n < samples && h.choices.step(); n++ {
		h.step()
		if h.trouble != nil {
			h.trouble.strike(h)
		}
		switch h.rand.IntN(60) {
		case 0: // stopped as it should
			if err := h.w.Close(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
			h.restart()
		case 1: // killed: nothing more is written
			h.shots = h.inFile()
			h.w.file.close()
			h.restart()
		}
	}
	h.check()
	if err := h.w.Close(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	h.check()
}

func (h *history) restart() {
	if h.rand.IntN(3) == 0 {
		h.boot++
		h.uptime = 0
		clear(h.moved[0])
		clear(h.moved[1])
	}
	h.start()
}

// change lets the world move on.
func (h *history) change(i int) {
	pick := func(n int) Int { return Of(h.rand.IntN(n)) }
	for range h.rand.IntN(4) {
		id := InterfaceID{NetNS: Of(1), IfIndex: Of(h.rand.IntN(8) + 100*i), Name: "eth"}
		if h.rand.IntN(4) == 0 {
			delete(h.links[i], id)
			delete(h.counts[i], id)
			continue
		}
		h.links[i][id] = Interface{MTU: pick(3), OperState: []string{"UP", "DOWN", ""}[h.rand.IntN(3)]}
		c := h.counts[i][id]
		c.RxBytes = Of(c.RxBytes.Or(0) + int64(h.rand.IntN(100)))
		h.counts[i][id] = c
	}
	ids := sortedIDs(h.moved[i])
	for _, id := range ids {
		switch _, shown := h.moved[i][id].Get(); {
		case h.rand.IntN(150) == 0:
			delete(h.moved[i], id)
		case shown && h.rand.IntN(4) == 0:
			h.moved[i][id] = Int{}
		case h.rand.IntN(40) == 0: // it may rest for longer than is kept
			h.moved[i][id] = pick(100)
		}
	}
	if len(ids) < 8 {
		h.lives++
		h.moved[i][TrafficID{NetNS: Of(h.lives)}] = pick(100)
	}
	for range h.rand.IntN(6) {
		id := SocketID{NetNS: Of(1), Proto: "tcp", LocalAddr: "10.0.0.1", LocalPort: Of(h.rand.IntN(40)), Cookie: Of(1000 * i)}
		if h.rand.IntN(3) == 0 {
			delete(h.socks[i], id)
			continue
		}
		h.socks[i][id] = modelSocket{
			Socket{State: []string{"LISTEN", "ESTABLISHED"}[h.rand.IntN(2)], RecvQ: pick(3), BytesSent: pick(1000), RTT: pick(2)},
			int64(h.rand.IntN(3)),
		}
	}
}

func (h *history) step() {
	elapsed := time.Duration(h.rand.IntN(2000)+1) * time.Millisecond
	h.uptime += elapsed
	h.wall = h.wall.Add(elapsed)
	if h.rand.IntN(50) == 0 && (h.trouble == nil || !h.trouble.on) { // or what is lost may be of a time that comes again
		h.wall = h.wall.Add(time.Duration(h.rand.IntN(200)-100) * time.Second)
	}
	h.w.Begin(Clock{Wall: h.wall, Uptime: h.uptime, Awake: h.uptime})
	inFile := h.inFile()
	now := shot{ts: h.w.now.ts, rows: map[string][]string{}}
	refs := map[int64]Ref{}
	h.owners.Read(func() error {
		for pid := int64(1); pid < 3; pid++ {
			refs[pid] = h.processes.Put(ProcessID{PID: Of(pid), Started: 1.5, Comm: "p"}, Process{FDs: Of(h.rand.IntN(2))}).Ref()
		}
		h.close(now, refs)
		return nil
	})
	for i, src := range h.sources {
		fate := h.rand.IntN(20)
		if fate != 1 {
			h.change(i)
		}
		switch {
		case fate == 0:
			src.Read(func() error { h.put(i, refs); panic("on purpose") })
			continue
		case fate == 1 && len(h.shots) > 0 && h.keepable(i):
			src.Read(func() error { return ErrKept })
		case fate == 2:
			src.Read(func() error { h.put(i, refs); return &PartialError{"something is missing"} })
		default:
			src.Read(func() error { h.put(i, refs); return nil })
		}
		h.expect(now, i)
	}
	ctx := h.t.Context()
	if h.rand.IntN(25) == 0 && !h.w.Behind() {
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if err := h.w.Commit(canceled, Cost{}); !errors.Is(err, context.Canceled) {
			h.t.Fatalf("commit with a canceled context: %v", err)
		}
		return
	}
	if h.begun != nil {
		h.begun()
	}
	if err := h.w.Commit(ctx, Cost{}); err != nil {
		if h.trouble == nil {
			h.t.Fatal(err)
		}
		h.trouble.lose(h, inFile, now)
		return
	}
	h.shots = append(h.shots, now)
	if h.limits != (Limits{}) {
		h.tidy(h.rand.IntN(30))
	}
}

// close lets connections end: of few clients and of many, to services here and elsewhere, and some of which little is known.
func (h *history) close(now shot, refs map[int64]Ref) {
	if h.lasting {
		return
	}
	for range h.rand.IntN(6) {
		h.closed++
		pid := int64(h.rand.IntN(3))
		c := Close{NetNS: Of(1), Proto: "tcp", Family: Of(4), LocalAddr: "10.0.0.1", LocalPort: Of([]int{80, 443}[h.rand.IntN(2)]),
			RemoteAddr: fmt.Sprintf("192.0.2.%d", h.rand.IntN(3)), RemotePort: Of(32768 + h.rand.IntN(3)), Cookie: Of(h.closed),
			Process: refs[pid], OwnerHow: "listener", Candidates: Of(h.rand.IntN(2)), MSS: Of(1448), BytesSent: Of(h.rand.IntN(1e6))}
		switch h.rand.IntN(8) {
		case 0:
			c.RemoteAddr = fmt.Sprintf("203.0.113.%d", h.rand.IntN(200))
		case 1, 2:
			c.LocalPort, c.RemotePort = c.RemotePort, c.LocalPort
		case 3:
			c.RemoteAddr, c.RemotePort, c.MSS = "", Int{}, Int{}
		case 4:
			c.Proto, c.LocalAddr, c.BytesSent = "udp", "::", Int{}
		}
		h.closes.Add(h.uptime, c)
		text := func(i Int) any {
			if n, ok := i.Get(); ok {
				return n
			}
			return nil
		}
		var remote, owner any
		if c.RemoteAddr != "" {
			remote = c.RemoteAddr
		}
		if pid > 0 {
			owner = pid
		}
		now.rows["closed_sockets"] = append(now.rows["closed_sockets"], fmt.Sprint(text(c.Cookie), text(c.NetNS), c.Proto, text(c.Family), c.LocalAddr, text(c.LocalPort), remote,
			text(c.RemotePort), owner, c.OwnerHow, text(c.Candidates), text(c.MSS), text(c.BytesSent)))
	}
}

// checkCloses holds that those of the samples since the first are there as they were. Those of the first itself may have
// gone with the sample before.
func (h *history) checkCloses(db *sql.DB, shots []shot, first float64) {
	h.t.Helper()
	var want []string
	for _, s := range shots {
		if s.ts > first {
			want = append(want, s.rows["closed_sockets"]...)
		}
	}
	if len(want) == 0 {
		return
	}
	low, _, _ := strings.Cut(want[0], " ")
	got := texts(h.t, db, `SELECT cookie, netns, proto, family, local_addr, local_port, remote_addr, remote_port, pid, owner_how, owner_candidates, mss, bytes_sent
		FROM closed_sockets WHERE cookie >= `+low+` ORDER BY cookie`)
	if h.killed { // of samples that were committed, but not heard of
		known := map[string]bool{}
		for _, row := range want {
			cookie, _, _ := strings.Cut(row, " ")
			known[cookie] = true
		}
		got = slices.DeleteFunc(got, func(row string) bool {
			cookie, _, _ := strings.Cut(row, " ")
			return !known[cookie]
		})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatalf("closed_sockets (-want +got):\n%s", diff)
	}
}

// tidy takes so many steps at the most.
func (h *history) tidy(steps int) {
	for range steps {
		more, err := h.w.Tidy(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// nothingLeft checks that nothing stands in the file that no moment shows.
func (h *history) nothingLeft() {
	h.start()
	h.step()
	h.tidy(1e6)
	if err := h.w.Close(context.Background()); err != nil {
		h.t.Fatal(err)
	}
	h.check()
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	expect := func(query, want string) {
		h.t.Helper()
		if got := texts(h.t, db, query); !slices.Equal(got, []string{want}) {
			h.t.Errorf("%s\ngives %s, want %s", query, got, want)
		}
	}
	expect("SELECT min(id) > 1 FROM sample", "1")
	for _, t := range Tables() {
		expect(fmt.Sprintf("SELECT count(*) FROM %s_span WHERE id >> 32 < (SELECT min(id) FROM sample)", t.Subject), "0")
		expect(fmt.Sprintf("SELECT count(*) FROM %[1]s_span WHERE NOT EXISTS (SELECT 1 FROM %[1]s s WHERE s.id = %[1]s_span.id & 4294967295)", t.Subject), "0")
		expect(fmt.Sprintf("SELECT count(*) FROM %s s WHERE since IS NULL AND NOT EXISTS (SELECT 1 FROM sample WHERE id = s.first_sample) AND coalesce(last_sample, 1e9) >= (SELECT min(id) FROM sample)", t.Subject), "0")
	}
	expect("SELECT count(*) FROM socket WHERE last_sample < (SELECT min(id) - (max(id) - min(id)) / 8 FROM sample) AND id < (SELECT max(id) FROM socket)", "0")
	expect("SELECT count(*) FROM interface WHERE last_sample < (SELECT min(id) FROM sample) AND id < (SELECT max(id) FROM interface)", "0")
	requireSound(h.t, h.path)
	// Tuples of the last two eighths or so may be there, and copies of those in use.
	expect("SELECT min(id) > 1 AND count(*) < max(id) FROM socket_tuple", "1")
	expect("SELECT min(sample) > (SELECT min(id) FROM sample) - 10 AND min(id) > 1 FROM close_tuple", "1")
}

// inFile are the samples that do not wait in memory.
func (h *history) inFile() []shot { return h.shots[:len(h.shots)-len(h.w.pending.samples)] }

// keepable: the last committed sample had this source's state as it is now.
func (h *history) keepable(i int) bool {
	now := shot{rows: map[string][]string{}}
	h.expect(now, i)
	last := h.shots[len(h.shots)-1]
	for table, rows := range now.rows {
		for _, row := range rows {
			if !slices.Contains(last.rows[table], row) {
				return false
			}
		}
	}
	open := 0
	for _, s := range h.sockets[i].byKey {
		if s.open() {
			open++
		}
	}
	return open == len(h.socks[i]) && h.interfaces[i].open == len(h.links[i]) && h.sums[i].open == len(now.rows["traffic"])
}

func (h *history) put(i int, refs map[int64]Ref) {
	for _, id := range sortedIDs(h.links[i]) {
		h.interfaces[i].Put(id, h.links[i][id])
		h.counters[i].Put(id, h.counts[i][id])
	}
	for _, id := range sortedIDs(h.moved[i]) {
		sent := h.moved[i][id]
		if _, shown := sent.Get(); shown {
			h.resting[id] = h.sums[i].Put(id, Traffic{BytesSent: sent})
		} else {
			h.sums[i].Rest(h.resting[id])
		}
	}
	for id := range h.sums[i].OfLastRun() {
		if _, there := h.moved[i][id]; there {
			h.resting[id] = h.sums[i].RestNamed(id)
		}
	}
	for _, id := range sortedIDs(h.socks[i]) {
		v := h.socks[i][id]
		v.Process = refs[v.pid]
		if s := h.handles[id]; s != nil && h.rand.IntN(3) > 0 {
			// As a source does: what it put last is what it remembers, whatever became of that sample.
			same := h.said[id] == v.Socket
			h.said[id] = v.Socket
			if same && h.sockets[i].Keep(s) || h.sockets[i].Change(s, v.Socket) {
				continue
			}
		}
		h.said[id] = v.Socket
		h.handles[id] = h.sockets[i].Put(id, v.Socket)
	}
}

// sortedIDs are the keys in an order that is the same each time.
func sortedIDs[ID comparable, V any](of map[ID]V) []ID {
	number := func(id any) int64 {
		switch id := id.(type) {
		case InterfaceID:
			return id.IfIndex.Or(0)
		case TrafficID:
			return id.NetNS.Or(0)
		case SocketID:
			return id.LocalPort.Or(0)
		}
		panic(fmt.Sprintf("%T has no order", id))
	}
	return slices.SortedFunc(maps.Keys(of), func(a, b ID) int { return int(number(a) - number(b)) })
}

func (h *history) expect(s shot, i int) {
	show := func(i Int) any {
		if n, ok := i.Get(); ok {
			return n
		}
		return nil
	}
	text := func(v string) any {
		if v == "" {
			return nil
		}
		return v
	}
	for id, v := range h.links[i] {
		s.rows["interfaces"] = append(s.rows["interfaces"], fmt.Sprint(show(id.IfIndex), show(v.MTU), text(v.OperState)))
		s.rows["interface_counters"] = append(s.rows["interface_counters"], fmt.Sprint(show(id.IfIndex), show(h.counts[i][id].RxBytes)))
	}
	for id, sent := range h.moved[i] {
		if n, shown := sent.Get(); shown {
			s.rows["traffic"] = append(s.rows["traffic"], fmt.Sprint(show(id.NetNS), n))
		}
	}
	for id, v := range h.socks[i] {
		var pid any
		if v.pid != 0 {
			pid = v.pid
		}
		rtt, _ := v.RTT.Get()
		s.rows["sockets"] = append(s.rows["sockets"], fmt.Sprint(show(id.LocalPort), show(id.Cookie), v.State, show(v.RecvQ), show(v.BytesSent), float64(rtt)/1000, pid))
	}
}

var lawQueries = map[string]string{
	"interfaces":         "SELECT ifindex, mtu, operstate FROM interfaces WHERE ts = ?",
	"interface_counters": "SELECT ifindex, rx_bytes FROM interface_counters WHERE ts = ?",
	"traffic":            "SELECT netns, bytes_sent FROM traffic WHERE ts = ?",
	"sockets":            "SELECT local_port, cookie, state, recv_q, bytes_sent, rtt_ms, pid FROM sockets WHERE ts = ?",
}

func (h *history) check() {
	h.t.Helper()
	db, err := sql.Open("sqlite", DSN(h.path))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	var ok string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
		h.t.Fatalf("integrity check: %s, %v", ok, err)
	}
	if twice := texts(h.t, db, "SELECT netns, count(*) FROM traffic_sum GROUP BY 1 HAVING count(*) > 1"); len(twice) > 0 {
		h.t.Fatalf("subjects that rested and came back as others, and their number: %s", twice)
	}
	shots := h.shots
	if h.w != nil {
		shots = h.inFile()
	}
	if len(shots) == 0 {
		return
	}
	var first float64
	if err := db.QueryRow("SELECT min(ts) FROM samples").Scan(&first); err != nil {
		h.t.Fatal(err)
	}
	for n, s := range shots {
		if s.ts < first { // it is not kept
			s.rows = nil
		}
		for table, query := range lawQueries {
			want := slices.Sorted(slices.Values(s.rows[table]))
			got := slices.Sorted(slices.Values(texts(h.t, db, query, s.ts)))
			if diff := cmp.Diff(want, got); diff != "" {
				h.t.Fatalf("%s at sample %d of %d (-want +got):\n%s", table, n+1, len(shots), diff)
			}
		}
	}
	h.checkCloses(db, shots, first)
	last := shots[len(shots)-1]
	var newest float64
	if err := db.QueryRow("SELECT max(ts) FROM samples").Scan(&newest); err != nil {
		h.t.Fatal(err)
	}
	if newest != last.ts {
		if !h.killed {
			h.t.Fatalf("the newest sample is of %v, want %v", newest, last.ts)
		}
		return // committed, but killed before it could say so
	}
	for _, table := range slices.Sorted(maps.Keys(lawQueries)) {
		query := lawQueries[table][:len(lawQueries[table])-len(" WHERE ts = ?")] + "_now"
		want := slices.Sorted(slices.Values(last.rows[table]))
		if diff := cmp.Diff(want, slices.Sorted(slices.Values(texts(h.t, db, query)))); diff != "" {
			h.t.Fatalf("%s_now (-want +got):\n%s", table, diff)
		}
	}
}

// texts runs the query and prints each row.
func texts(t testing.TB, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.Query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	names, _ := rows.Columns()
	var got []string
	for rows.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(values...))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return got
}
