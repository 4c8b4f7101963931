package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// The peers of each hour and day are what a model says that looks at every sample and every close as it comes: also where
// the recorder is stopped or killed, where a source fails, where hours are summed up in pieces, and where a namespace is
// new.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, seed := range seeds(4, 8) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			m := &peerModel{t: t, rand: rand.New(rand.NewPCG(seed, 8)), path: filepath.Join(t.TempDir(), "peers.db"),
				wall: time.Unix(1_700_000_000, 0), namespaces: map[int]int{1: 1}, periods: map[string]map[peerKey]*peerCount{}, tidies: 1}
			if seed%2 == 1 {
				m.keep, m.tidies = 15*time.Minute, 20 // an hour is forgotten before it is over; no source fails, or what it had shown before would be, too
			}
			m.start()
			for range 500 {
				m.step()
				if m.failed {
					continue // what is there after a start is known again only where the sample before saw it
				}
				switch m.rand.IntN(60) {
				case 0:
					if err := m.w.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					m.start()
				case 1:
					m.w.file.close()
					m.start()
				case 2:
					if _, err := m.w.retention.sumUpPeers(t.Context(), true); err != nil {
						t.Fatal(err)
					}
				}
			}
			tidyUp(t, m.w)
			if err := m.w.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
			m.check()
		})
	}
}

// Where it is lost how far peers are summed up, nothing is counted twice, and what is new is summed up.
func TestPeersGoOnWithoutTheirMark(t *testing.T) {
	t.Parallel()
	for _, spoil := range []string{"DELETE FROM peer_upto", "UPDATE peer_upto SET sample = 0, day = 0", "UPDATE peer_upto SET sample = 1 << 40", "UPDATE peer_upto SET day = 1 << 40", "UPDATE peer_upto SET sample = -5"}[:little(2, 5)] {
		m := &peerModel{t: t, rand: rand.New(rand.NewPCG(3, 9)), path: filepath.Join(t.TempDir(), "peers.db"),
			wall: time.Unix(1_700_000_000, 0), namespaces: map[int]int{1: 1}, periods: map[string]map[peerKey]*peerCount{}, tidies: 1}
		m.start()
		for range 200 {
			m.step()
		}
		for m.failed {
			m.step()
		}
		tidyUp(t, m.w)
		hour := Levels()[1].of(m.w.last.ts)
		if _, err := m.w.file.conn.ExecContext(t.Context(), spoil); err != nil {
			t.Fatal(err)
		}
		m.w.file.close()
		m.start()
		for range 200 {
			m.step()
		}
		tidyUp(t, m.w)
		if err := m.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", DSN(m.path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if n := texts(t, db, fmt.Sprintf("SELECT count(*) > 10 FROM peer_1h WHERE id >> 32 < %d", hour)); n[0] != "1" {
			t.Fatal("nothing was summed up before")
		}
		m.checkFrom(db, Levels()[1], 0)
	}
}

// What was thinned before there were peers, in a recording of an earlier format, has none, and does not stand in the way of
// what was not.
func TestPeersOfThinned(t *testing.T) {
	t.Parallel()
	m := &peerModel{t: t, rand: rand.New(rand.NewPCG(1, 9)), path: filepath.Join(t.TempDir(), "peers.db"),
		wall: time.Unix(1_700_000_000, 0), namespaces: map[int]int{1: 1}, periods: map[string]map[peerKey]*peerCount{}}
	m.start()
	for range 150 {
		m.step()
	}
	k := m.w.retention
	k.thinning.grains = []grain{{600, "minute", 0, 0}}
	if err := m.w.retention.readOldest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.w.retention.readThinned(t.Context()); err != nil {
		t.Fatal(err)
	}
	thinned := Levels()[1].of(m.w.last.ts)
	for k.thinning.upto[0] < m.w.last.id {
		if err := m.w.retention.thinTo(t.Context(), 0, k.thinning.upto[0], m.w.last.id); err != nil {
			t.Fatal(err)
		}
	}
	m.tidies = 1
	for range 400 {
		m.step()
	}
	tidyUp(t, m.w)
	if err := m.w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(m.path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if n := texts(t, db, fmt.Sprintf("SELECT count(*) FROM peer_1h WHERE id >> 32 < %d", thinned)); n[0] != "0" {
		t.Errorf("there are %s peers of a time that was thinned", n[0])
	}
	m.checkFrom(db, Levels()[1], Levels()[1].begin(thinned+1))
	checkOfPeers(t, m.path)
}

// peerModel writes a random history and sums up, sample by sample, what it makes of each peer.
type peerModel struct {
	t        *testing.T
	rand     *rand.Rand
	path     string
	w        *Writer
	src      *Source
	procs    *Set[ProcessID, Process]
	socks    *Set[SocketID, Socket]
	names    *Set[NamespaceID, Namespace]
	settings *Set[SettingID, Setting]
	close    *LogSet[Close]
	count    *LogSet[CloseCount]

	wall       time.Time
	uptime     time.Duration
	first      bool // no sample was taken in this run
	keep       time.Duration
	tidies     int  // 0: it is not tidied up between samples, and no source fails
	failed     bool // the last one was not read
	cookies    int
	conns      []*modelConn
	namespaces map[int]int // and the sample that saw each first

	periods map[string]map[peerKey]*peerCount // "1h 472222"
}

type modelConn struct {
	id       SocketID
	key      peerKey
	comm     string
	how      string
	seen     bool // by some sample
	known    Peer // what it had moved when it was last looked at
	sent     int
	received int
	again    int
	waits    int // samples that it still is in TIME_WAIT
	remains  Socket
	closed   bool
	subject  *Subject[SocketID, Socket]
	number   int
	lastSeen float64
}

type peerKey struct {
	addr, direction, comm, user string
	port, netns                 int
}

type peerCount struct {
	conns                 map[int]bool // by number
	others                int          // of close_count
	opened, failed        int
	sent, received, again int
	first, last           float64
}

func (m *peerModel) start() {
	var err error
	if m.w, err = Create(m.t.Context(), Options{Path: m.path, Interval: 60 * time.Second, Boot: Boot{ID: "b"}, Limits: Limits{Keep: m.keep}}); err != nil {
		m.t.Fatal(err)
	}
	m.src = m.w.Source("all")
	m.procs, m.socks, m.names = NewSet(m.src, Processes), NewSet(m.src, Sockets), NewSet(m.src, Namespaces)
	m.settings = NewSet(m.src, Settings)
	m.close, m.count = NewLog(m.src, Closes), NewLog(m.src, CloseCounts)
	m.first = true
}

// of are the counts of a peer in the hour and the day of a time.
func (m *peerModel) of(ts float64, k peerKey) []*peerCount {
	var all []*peerCount
	for _, l := range Levels()[1:] {
		period := fmt.Sprintf("%s %d", l.Name, l.of(ts))
		if m.periods[period] == nil {
			m.periods[period] = map[peerKey]*peerCount{}
		}
		c := m.periods[period][k]
		if c == nil {
			c = &peerCount{conns: map[int]bool{}, first: 1e12}
			m.periods[period][k] = c
		}
		all = append(all, c)
	}
	return all
}

func (m *peerModel) newConn() *modelConn {
	m.cookies++
	netns := slices.Sorted(maps.Keys(m.namespaces))[m.rand.IntN(len(m.namespaces))]
	c := &modelConn{number: m.cookies, how: "cookie", comm: fmt.Sprintf("p%d", m.rand.IntN(2))}
	peer := fmt.Sprintf("203.0.113.%d", m.rand.IntN(4))
	c.id = SocketID{NetNS: Of(netns), Proto: "tcp", Family: Of(4), Type: "stream", LocalAddr: "192.0.2.1", RemoteAddr: peer, Cookie: Of(m.cookies)}
	local, remote, direction, port := 40000+m.cookies%20000, 443, "out", 443
	switch m.rand.IntN(5) {
	case 2: // who listened is known, though no sample saw that he does
		c.how, local, remote, direction, port = "listener", 9999, 40000+m.cookies%20000, "in", 9999
	case 0:
		local, remote, direction, port = 8080, 30000+m.cookies%30000, "in", 8080
	case 1:
		if local, remote, direction, port = 20000, 20001, "", 20000; netns == 3 { // where the kernel gives out such a port
			direction, port = "out", remote
		}
	}
	c.id.LocalPort, c.id.RemotePort = Of(local), Of(remote)
	c.key = peerKey{addr: peer, direction: direction, comm: c.comm, user: "u-" + c.comm, port: port, netns: netns}
	return c
}

func (m *peerModel) step() {
	m.uptime += time.Duration(20+m.rand.IntN(60)) * time.Second
	if m.rand.IntN(100) == 0 {
		m.uptime += time.Duration(m.rand.IntN(5)) * time.Hour
	}
	m.wall = time.Unix(1_700_000_000, 0).Add(m.uptime)
	m.w.Begin(Clock{Wall: m.wall, Uptime: m.uptime, Awake: m.uptime})
	ts := unixSeconds(m.wall)
	fails := m.rand.IntN(6) == 0 && !m.first && m.tidies > 0 && m.keep == 0
	m.failed = fails
	if m.rand.IntN(100) == 0 && !fails {
		m.namespaces[2+len(m.namespaces)] = int(m.w.last.id) + 1
	}
	for range m.rand.IntN(4) {
		m.conns = append(m.conns, m.newConn())
	}
	var done []*modelConn
	m.src.Read(func() error {
		if fails {
			return fmt.Errorf("not today")
		}
		process := map[string]Ref{}
		for i, comm := range []string{"p0", "p1"} {
			process[comm] = m.procs.Put(ProcessID{PID: Of(i + 1), Started: 5, Comm: comm}, Process{User: "u-" + comm}).Ref()
		}
		for netns := range m.namespaces {
			if netns == 3 {
				m.settings.Put(SettingID{NetNS: Of(netns), Name: "net.ipv4.ip_local_port_range"}, Setting{"19999 20000"})
			}
			m.names.Put(NamespaceID{NetNS: Of(netns)}, Namespace{})
			m.socks.Put(SocketID{NetNS: Of(netns), Proto: "tcp", Family: Of(4), LocalAddr: "0.0.0.0", LocalPort: Of(8080), RemoteAddr: "0.0.0.0", RemotePort: Of(0), Cookie: Of(1_000_000 + netns)},
				Socket{State: "LISTEN"})
		}
		for _, c := range m.conns {
			if m.put(c, process[c.comm], ts) {
				done = append(done, c)
			}
		}
		if m.rand.IntN(20) == 0 && !m.first {
			m.putCount(process["p0"], ts)
		}
		return nil
	})
	if err := m.w.Commit(m.t.Context(), Cost{}); err != nil {
		m.t.Fatal(err)
	}
	m.conns = slices.DeleteFunc(m.conns, func(c *modelConn) bool { return slices.Contains(done, c) })
	if !fails {
		m.first = false
	}
	for range m.rand.IntN(3) * m.tidies {
		if _, err := m.w.Tidy(m.t.Context()); err != nil {
			m.t.Fatal(err)
		}
	}
}

// put reports a connection, and what became of it since the sample before. It reports whether it is gone.
func (m *peerModel) put(c *modelConn, process Ref, ts float64) bool {
	if c.closed { // in TIME_WAIT
		if c.waits--; c.waits > 0 {
			m.socks.Put(c.id, c.remains)
		}
		return c.waits == 0
	}
	if c.seen && m.rand.IntN(40) == 0 {
		return true // nothing was heard of its end
	}
	counts, hour := m.of(ts, c.key), Levels()[1]
	c.sent, c.received, c.again = c.sent+m.rand.IntN(2)*m.rand.IntN(1000), c.received+m.rand.IntN(2)*m.rand.IntN(1000), c.again+m.rand.IntN(8)/7
	sent, received, again := int(c.known.BytesSent.Or(0)), int(c.known.BytesReceived.Or(0)), int(c.known.Retransmits.Or(0))
	looked := !m.first && m.namespaces[c.key.netns] <= int(m.w.last.id)
	closes := m.rand.IntN(10) == 0
	for _, n := range counts {
		n.conns[c.number] = true
		if !c.seen && looked {
			n.opened++
		}
		if looked {
			n.sent, n.received, n.again = n.sent+c.sent-sent, n.received+c.received-received, n.again+c.again-again
		}
		if c.seen {
			n.first = min(n.first, max(c.lastSeen, hour.begin(hour.of(ts)))) // in a day: since the begin of that hour, at the latest
		}
	}
	end := Close{Cookie: c.id.Cookie, Process: process, OwnerHow: c.how, BytesSent: Of(c.sent), BytesReceived: Of(c.received), Retransmits: Of(c.again), RTT: Of(100)}
	c.known = Peer{BytesSent: Of(c.sent), BytesReceived: Of(c.received), Retransmits: Of(c.again)}
	if closes && !c.seen && (looked || m.first && m.w.last.id > 0) { // between two samples, or before the first of a run
		end.NetNS, end.Proto, end.Family = c.id.NetNS, c.id.Proto, c.id.Family
		end.LocalAddr, end.LocalPort, end.RemoteAddr, end.RemotePort = c.id.LocalAddr, c.id.LocalPort, c.id.RemoteAddr, c.id.RemotePort
		if c.sent == 0 && c.received == 0 {
			end.RTT = Int{}
			for _, n := range counts {
				n.failed++
			}
		}
		at := max(m.close.Add(m.uptime-time.Duration(m.rand.IntN(2))*time.Second, end), hour.begin(hour.of(ts)))
		for _, n := range counts {
			n.first, n.last = min(n.first, at), max(n.last, at)
		}
		return true
	}
	if closes && c.seen {
		c.closed = true
		end.Socket = c.subject.Ref()
		at := max(m.close.Add(m.uptime-time.Duration(m.rand.IntN(2))*time.Second, end), hour.begin(hour.of(ts)))
		for _, n := range counts {
			n.last = max(n.last, at)
		}
		if m.rand.IntN(2) == 0 {
			return true
		}
		c.waits = 1 + m.rand.IntN(4)
	}
	v := Socket{State: "ESTABLISHED", Process: process, User: "other", BytesSent: Of(c.sent), BytesReceived: Of(c.received), Retransmits: Of(c.again), OwnerHow: c.how}
	if c.closed { // what a sample still shows is what it had before
		v.State, v.BytesSent, v.BytesReceived, v.Retransmits = "TIME_WAIT", Of(sent), Of(received), Of(again)
		c.remains = v
	} else {
		for _, n := range counts {
			n.first, n.last = min(n.first, ts), max(n.last, ts)
		}
	}
	c.subject = m.socks.Put(c.id, v)
	c.seen, c.lastSeen = true, ts
	return false
}

// putCount reports closes that are not kept one by one.
func (m *peerModel) putCount(process Ref, ts float64) {
	n := 1 + m.rand.IntN(5)
	hour := Levels()[1]
	at := max(hour.begin(hour.of(ts)), m.count.Add(m.uptime-time.Second, CloseCount{NetNS: Of(1), Proto: "tcp", Family: Of(4), RemoteAddr: "198.51.100.9", RemotePort: Of(53), Process: process, OwnerHow: "none",
		First: unixSeconds(m.wall) - 1, Count: Of(n), BytesSent: Of(10 * n), BytesReceived: Of(n), Retransmits: Of(0), Unknown: Of(0), Failed: Of(1)}))
	for _, c := range m.of(ts, peerKey{addr: "198.51.100.9", direction: "out", comm: "p0", user: "u-p0", port: 53, netns: 1}) {
		c.others, c.opened, c.failed = c.others+n, c.opened+n, c.failed+1
		c.sent, c.received = c.sent+10*n, c.received+n
		c.first, c.last = min(c.first, at), max(c.last, at)
	}
}

func (m *peerModel) check() {
	db, err := sql.Open("sqlite", DSN(m.path))
	if err != nil {
		m.t.Fatal(err)
	}
	defer db.Close()
	for _, l := range Levels()[1:] {
		m.checkFrom(db, l, 0)
	}
	checkOfPeers(m.t, m.path)
}

// checkOfPeers holds that who asks about one address gets all there is, in whatever time, though only some of it is read.
func checkOfPeers(t testing.TB, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	one := func(query string) string {
		t.Helper()
		got := texts(t, db, query)
		if len(got) != 1 {
			t.Fatalf("%s gives %q", query, got)
		}
		return got[0]
	}
	var first, last float64
	if err := db.QueryRow("SELECT min(ts) - 1, max(ts) + 1 FROM sample").Scan(&first, &last); err != nil {
		t.Fatal(err)
	}
	addresses := texts(t, db, "SELECT DISTINCT remote_addr FROM closed_sockets WHERE remote_addr NOT NULL ORDER BY 1")
	if len(addresses) == 0 {
		t.Error("no peers")
	}
	asked, all := 0, len(texts(t, db, "SELECT 1 FROM closed_sockets"))
	if every := len(addresses)/30 + 1; every > 1 {
		for i := range addresses {
			addresses[i/every] = addresses[i]
		}
		addresses = addresses[:len(addresses)/every]
	}
	for i, a := range append(addresses, "192.0.2.254") {
		for _, v := range Views() {
			if v.Name != "closed_sockets" && v.Name != "connections" {
				continue
			}
			since, until := first+float64(i%4)*(last-first)/5, last-float64(i%3)*(last-first)/5
			if _, err := db.Exec(fmt.Sprintf(`DROP VIEW IF EXISTS temp."window"; CREATE TEMP VIEW "window" AS SELECT %f AS since, %f AS until`, since, until)); err != nil {
				t.Fatal(err)
			}
			where := " WHERE remote_addr = " + quoted(a)
			low, high := "", ""
			if v.Name == "closed_sockets" && i%2 == 0 {
				low, high = fmt.Sprintf("%f", since), fmt.Sprintf("%f", until)
				where += " AND ts >= " + low + " AND ts < " + high
			}
			body, ok := v.OfCloses([]Wanted{{"remote_addr", []string{quoted(a)}}}, low, high)
			if !ok {
				t.Fatalf("%s: nothing is known of %s", v.Name, a)
			}
			sum := "SELECT count(*), total(bytes_sent), coalesce(group_concat(x, ' '), '') FROM (SELECT bytes_sent, coalesce(cookie, '') || coalesce(local_port, '') AS x FROM (%s)" + where + " ORDER BY x)"
			if _, err := db.Exec("DROP VIEW IF EXISTS temp.asked; CREATE TEMP VIEW asked AS " + v.Body); err != nil {
				t.Fatal(err)
			}
			if want, got := one(fmt.Sprintf(sum, "temp.asked")), one(fmt.Sprintf(sum, body)); want != got {
				t.Errorf("%s%s\nis %s\nbut %s is found", v.Name, where, want, got)
			}
			if v.Name == "closed_sockets" {
				read, err := strconv.Atoi(one("SELECT count(*) FROM (" + body + ")"))
				if err != nil {
					t.Fatal(err)
				}
				asked += all - read
			}
		}
	}
	for _, column := range []string{"local_port", "remote_port", "local_addr", "comm", "pid"} {
		for _, value := range texts(t, db, "SELECT DISTINCT "+column+" FROM closed_sockets WHERE "+column+" NOT NULL ORDER BY random() LIMIT 2") {
			if column == "local_addr" || column == "comm" {
				value = quoted(value)
			}
			for _, v := range Views() {
				if v.Name != "closed_sockets" && v.Name != "connections" {
					continue
				}
				body, ok := v.OfCloses([]Wanted{{column, []string{value}}, {"bytes_sent", []string{"5"}}}, "", "")
				sum := "SELECT count(*), total(bytes_sent) FROM (%s) WHERE " + column + " = " + value
				if want, got := one(fmt.Sprintf(sum, v.Body)), one(fmt.Sprintf(sum, body)); !ok || want != got {
					t.Errorf("%s WHERE %s = %s\nis %s\nbut %s is found", v.Name, column, value, want, got)
				}
			}
		}
	}
	t.Logf("of %d closes %d were not read, for each of %d addresses", all, asked/(len(addresses)+1), len(addresses))
	if asked == 0 && all > 100 {
		t.Error("everything was read each time")
	}
}

// checkFrom compares the periods of a level from that time on.
func (m *peerModel) checkFrom(db *sql.DB, l Level, from float64) {
	var over float64
	if err := db.QueryRowContext(m.t.Context(), fmt.Sprintf("SELECT max(ts) + %d FROM peers_%s", l.Seconds, l.Name)).Scan(&over); err != nil {
		m.t.Fatal(err)
	}
	var want []string
	for period, peers := range m.periods {
		var n int64
		if _, err := fmt.Sscanf(period, l.Name+" %d", &n); err != nil || l.begin(n) >= over || l.begin(n) < from {
			continue
		}
		for k, c := range peers {
			if len(c.conns)+c.others == 0 {
				continue
			}
			want = append(want, fmt.Sprintf("%.0f %s %d %s %s %s %d: %d connections, %d opened, %d failed, %d %d %d, %.1f %.1f", l.begin(n), k.addr, k.port, k.direction, k.comm, k.user, k.netns,
				len(c.conns)+c.others, c.opened, c.failed, c.sent, c.received, c.again, c.first-l.begin(n), c.last-l.begin(n)))
		}
	}
	got := texts(m.t, db, fmt.Sprintf(`SELECT printf('%%.0f %%s %%d %%s %%s %%s %%d: %%d connections, %%d opened, %%d failed, %%d %%d %%d, %%.1f %%.1f', ts, remote_addr, port, coalesce(direction, ''), comm, user, netns,
		connections, opened, failed, bytes_sent, bytes_received, retransmits, first - ts, last - ts) FROM peers_%s WHERE ts >= %f`, l.Name, from))
	slices.SortFunc(want, cmp.Compare[string])
	slices.SortFunc(got, cmp.Compare[string])
	if len(got) < 10 {
		m.t.Errorf("%s: only %d rows", l.Name, len(got))
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		m.t.Errorf("peers_%s (- want, + got):\n%s", l.Name, diff[:min(len(diff), 3000)])
	}
}

// Where there are too many peers, the rest are taken together by their networks, and too many networks as one; who is known
// already and who moved most stays by himself, and the sums stay what they were.
func TestTooManyPeers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Minute, Boot: Boot{ID: "b"}, Limits: Limits{MaxSize: 96 << 15}})
	if err != nil {
		t.Fatal(err)
	}
	src := w.Source("all")
	closes := NewLog(src, Closes)
	const most = 96 // what that size lets be
	sent, n, up := 0, 0, time.Duration(0)
	hour := func(peers ...string) {
		up = up.Truncate(time.Hour) + 2*time.Hour
		for _, later := range []time.Duration{0, time.Minute, time.Hour} {
			w.Begin(Clock{Wall: time.Unix(1_699_999_200, 0).Add(up + later), Uptime: up + later + time.Minute, Awake: up + later + time.Minute})
			src.Read(func() error {
				for i, peer := range peers {
					if later == time.Minute {
						family := 4 + 2*strings.Count(peer[:4], ":")
						bytes := 1 + i/len(peers)
						if peer == "192.0.2.200" {
							bytes = 5000
						}
						closes.Add(up+later+30*time.Second, Close{NetNS: Of(1), Proto: "tcp", Family: Of(min(family, 6)), LocalAddr: "::1", LocalPort: Of(50000), RemoteAddr: peer, RemotePort: Of(443),
							OwnerHow: "none", BytesSent: Of(bytes), BytesReceived: Of(0)})
						sent, n = sent+bytes, n+1
					}
				}
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
			tidyUp(t, w)
		}

	}
	hour("203.0.113.7", "2001:db8:7::7")
	var crowd []string
	for i := range 40 {
		for j := range 20 {
			crowd = append(crowd, fmt.Sprintf("10.%d.%d.%d", i%4, i, j), fmt.Sprintf("2001:db8:%x::%x", i, j))
		}
	}
	crowd = append(crowd, "203.0.113.7", "2001:db8:7::7", "192.0.2.200")
	hour(crowd...)
	var scattered []string
	for i := range 900 {
		scattered = append(scattered, fmt.Sprintf("172.%d.%d.1", 16+i/256, i%256))
	}
	hour(scattered...)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got, want := texts(t, db, "SELECT sum(bytes_sent) || ' ' || sum(connections) || ' ' || sum(opened) FROM peers_1h"), fmt.Sprintf("%d %d %d", sent, n, n); got[0] != want {
		t.Errorf("sums are %s, want %s", got[0], want)
	}
	checkOfPeers(t, path)
	for _, peer := range []string{"203.0.113.7", "2001:db8:7::7", "192.0.2.200"} {
		want := "2"
		if peer == "192.0.2.200" {
			want = "1"
		}
		if got := texts(t, db, "SELECT count(*) FROM peers_1h WHERE remote_addr = '"+peer+"'"); got[0] != want {
			t.Errorf("%s has rows in %s hours, want %s", peer, got[0], want)
		}
	}
	for _, l := range []struct {
		what, condition string
		least, most     int
	}{
		{"addresses", "remote_addr NOT LIKE '%/%'", most / 2, most},
		{"networks", "remote_addr LIKE '%/%'", most / 2, 2 * most},
		{"rows without an address", "remote_addr IS NULL", 0, 2},
	} {
		for _, got := range texts(t, db, "SELECT count(*) FROM peers_1h WHERE ts > (SELECT min(ts) FROM peers_1h) AND "+l.condition+" GROUP BY ts") {
			var n int
			fmt.Sscan(got, &n)
			if n < l.least || n > l.most {
				t.Errorf("%d %s in an hour; %d to %d are expected", n, l.what, l.least, l.most)
			}
		}
	}
	if got := texts(t, db, "SELECT count(*) > 0, sum(remote_addr NOT LIKE '2001:db8:%:/64') FROM peers_1h WHERE remote_addr LIKE '%:%/%'"); got[0] != "1|0" && got[0] != "1 0" {
		t.Errorf("networks of IPv6: %s", got)
	}
}

// A peer is found by its address without its program's other rows, and a period without other periods, in every program
// that reads the file.
func TestPeersPlans(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "peers.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: time.Minute, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ condition, first, second, third string }{
		{"remote_addr = '203.0.113.7'", "SEARCH g USING INDEX peer_group_by (remote_addr=?)", "SCAN m", "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"},
		{"remote_addr = '203.0.113.7' AND ts > 1e9", "SEARCH g USING INDEX peer_group_by (remote_addr=?)", "SEARCH m", "SEARCH p USING INTEGER PRIMARY KEY (rowid=?)"},
		{"ts = 1e9", "SEARCH m", "SEARCH p USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH g USING INTEGER PRIMARY KEY (rowid=?)"},
		{"comm = 'sshd' AND port = 22", "SCAN m", "SEARCH p USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", "SEARCH g USING INTEGER PRIMARY KEY (rowid=?)"},
	} {
		db, err := sql.Open("sqlite", DSN(path))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		plan := texts(t, db, "EXPLAIN QUERY PLAN SELECT * FROM peers_1d WHERE "+q.condition)
		for i, want := range []string{q.first, q.second, q.third} {
			if len(plan) != 3 || !strings.Contains(plan[i], want) {
				t.Errorf("%s: the plan is\n%s\nwant\n%s\n%s\n%s", q.condition, strings.Join(plan, "\n"), q.first, q.second, q.third)
				break
			}
		}
	}
}
