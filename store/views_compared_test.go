package store

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// anHour is what a machine does in an hour: fields are what a change alters.
type anHour struct {
	rtt      map[string]float64 // ms, by service
	connect  float64            // ms, to the database
	refused  int                // connections to the database
	lost     int                // of 1,000 segments to the API that are sent again
	services map[string]bool    // that the application connects to
	failing  int                // of the many to the API, those that are refused
	clients  int                // connections from outside
	stuck    int                // connections in CLOSE_WAIT
	sent     float64            // bytes of the backup in a sample
	overrun  int                // RcvbufErrors in a sample
	extra    string             // a program more that holds sockets
	new      string             // a service that was not asked before
	listens  map[int]string
	gateway  string
	routes   []string
	settings map[string]string
	addrs    []string
	links    map[string]Interface
	rules    int
	rulesSum string
}

func usualHour() *anHour {
	return &anHour{
		rtt: map[string]float64{"10.0.7.1": 0.9, "10.0.7.2": 4, "203.0.113.50": 22}, connect: 1.2, services: map[string]bool{"10.0.7.1": true, "10.0.7.2": true, "203.0.113.50": true},
		clients: 300, stuck: 1, sent: 2e5, listens: map[int]string{443: "nginx", 22: "sshd", 9100: "exporter"}, gateway: "10.0.0.1", routes: []string{"10.8.0.0/16", "10.9.0.0/16"},
		settings: map[string]string{"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.core.somaxconn": "4096", "net.ipv4.ip_forward": "0"}, addrs: []string{"10.0.0.5", "10.0.0.6"},
		links: map[string]Interface{"eth0": {OperState: "UP", MTU: Of(1500), Speed: Of(10000)}, "eth1": {OperState: "UP", MTU: Of(9000), Speed: Of(25000)}}, rules: 3, rulesSum: "0123456789abcdef",
	}
}

// A change of an hour against the same hour a day before stands first among what differs by chance, whichever of twenty-four it is. Without one nothing stands
// high. What chance does is as much as on a real machine: half as many bytes again, a third more connections, a fifth more time, and other clients.
func TestComparedPutsAChangeFirst(t *testing.T) {
	t.Parallel()
	changes := []struct {
		kind, what string
		make       func(h *anHour)
	}{
		{"rtt", "app to 10.0.7.2 port 6379: round-trip time", func(h *anHour) { h.rtt["10.0.7.2"] *= 3 }},
		{"rtt", "app to 203.0.113.50 port 443: round-trip time", func(h *anHour) { h.rtt["203.0.113.50"] *= 3 }},
		{"connect time", "app to 10.0.7.1 port 5432: connecting took", func(h *anHour) { h.connect *= 5 }},
		{"failed connections", "app to 10.0.7.1 port 5432: 8 of", func(h *anHour) { h.refused = 8 }},
		{"retransmits", "app to 203.0.113.50 port 443: 5", func(h *anHour) { h.lost = 50 }},
		{"listener", "listener tcp 0.0.0.0:22: gone, was sshd", func(h *anHour) { delete(h.listens, 22) }},
		{"listener", "listener tcp 0.0.0.0:4444: new, nc", func(h *anHour) { h.listens[4444] = "nc" }},
		{"listener", "listener tcp 0.0.0.0:9100: nc, was exporter", func(h *anHour) { h.listens[9100] = "nc" }},
		{"route", "route default: via 10.0.0.9 dev eth0, was via 10.0.0.1 dev eth0", func(h *anHour) { h.gateway = "10.0.0.9" }},
		{"route", "route 10.9.0.0/16: gone, was dev eth1", func(h *anHour) { h.routes = h.routes[:1] }},
		{"setting", "setting net.ipv4.ip_forward: 1, was 0", func(h *anHour) { h.settings["net.ipv4.ip_forward"] = "1" }},
		{"address", "address 10.0.0.6/24: gone, was dev eth0", func(h *anHour) { h.addrs = h.addrs[:1] }},
		{"interface", "interface eth1 state: DOWN, was UP", func(h *anHour) { h.links["eth1"] = Interface{OperState: "DOWN", MTU: Of(9000), Speed: Of(25000)} }},
		{"interface", "interface eth1 MTU: 1500, was 9000", func(h *anHour) { h.links["eth1"] = Interface{OperState: "UP", MTU: Of(1500), Speed: Of(25000)} }},
		{"interface", "interface eth0 speed: 100, was 10000", func(h *anHour) { h.links["eth0"] = Interface{OperState: "UP", MTU: Of(1500), Speed: Of(100)} }},
		{"rule", "rule 103 from 10.4.0.0/16: new, lookup table 100", func(h *anHour) { h.rules++ }},
		{"firewall", "firewall nf_tables inet filter: 12 rules, hash fedcba987654, was 12 rules, hash 0123456789ab", func(h *anHour) { h.rulesSum = "fedcba9876543210" }},
		{"service", "app to 198.51.100.7 port 4444: new", func(h *anHour) { h.new = "198.51.100.7" }},
		{"service", "app to 10.0.7.2 port 6379: none any more", func(h *anHour) { delete(h.services, "10.0.7.2") }},
		{"bytes", "backup sent", func(h *anHour) { h.sent *= 12 }},
		{"sockets", "app: 40.0 sockets in CLOSE_WAIT", func(h *anHour) { h.stuck = 40 }},
		{"counter", "Udp RcvbufErrors grew by", func(h *anHour) { h.overrun = 20 }},
		{"connections", "nginx port 443: ", func(h *anHour) { h.clients *= 8 }},
		{"program", "miner: has sockets, and had none", func(h *anHour) { h.extra = "miner" }},
	}
	for _, seed := range seeds(1, 3) {
		for i, change := range append(changes, changes[0]) {
			usual := i == len(changes)
			name := change.what
			if usual {
				name = "no change"
			}
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				t.Parallel()
				now := usualHour()
				if !usual {
					change.make(now)
				}
				db := twoHours(t, rand.New(rand.NewPCG(seed, uint64(i))), usualHour(), now)
				rows := texts(t, db, "SELECT unusual || ' ' || kind || ': ' || what FROM temp.compared")
				first := strings.Join(rows[:min(len(rows), 8)], "\n")
				switch {
				case usual && len(rows) > 0 && rows[0] >= "60":
					t.Errorf("this stands high, and nothing changed:\n%s", first)
				case !usual && (len(rows) == 0 || !strings.Contains(rows[0], " "+change.kind+": "+change.what)):
					t.Errorf("want first %s: %s\n%s", change.kind, change.what, first)
				}
			})
		}
	}
}

// Nothing is compared with a time at which nobody looked, nor what was not looked at then.
func TestComparedNeedsBothTimes(t *testing.T) {
	t.Parallel()
	db := twoHours(t, rand.New(rand.NewPCG(1, 1)), usualHour(), usualHour())
	if _, err := db.Exec(`DROP VIEW temp.window_before; CREATE TEMP VIEW window_before AS SELECT since - 7 * 86400.0 AS since, until - 7 * 86400.0 AS until FROM "window"`); err != nil {
		t.Fatal(err)
	}
	if got := texts(t, db, "SELECT what FROM temp.compared"); len(got) > 0 {
		t.Errorf("a week before nobody looked: %q", got)
	}
	changed := usualHour()
	changed.settings["net.core.somaxconn"], changed.rules = "128", -1 // the rules are not read
	changed.failing = 4                                               // of 84: less than 8 of 25, which are at 84
	db = twoHours(t, rand.New(rand.NewPCG(1, 1)), usualHour(), changed)
	if got := texts(t, db, "SELECT what || ' ' || (unusual BETWEEN 40 AND 65) FROM temp.compared WHERE kind = 'failed connections'"); len(got) != 1 || got[0] != "app to 203.0.113.50 port 443: 4 of 84 connections failed, were 0 1" {
		t.Errorf("a few of many failed: %q", got)
	}
	if got := texts(t, db, "SELECT kind FROM temp.compared WHERE kind IN ('setting', 'rule')"); len(got) != 1 || got[0] != "setting" {
		t.Errorf("a setting has changed, and the rules were not read: %q", got)
	}
}

// twoHours records an hour, and a day later another, and opens the recording with the second as its window.
func twoHours(t *testing.T, random *rand.Rand, was, now *anHour) *sql.DB {
	t.Helper()
	const samples, interval, day = 40, 90, 86400
	path := filepath.Join(t.TempDir(), "compared.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: interval * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]*Source{}
	for _, name := range []string{"tcp4", "settings", "routes", "addresses", "interfaces", "rules", "firewall", "protocol_counters", "traffic"} {
		sources[name] = w.Source(name)
	}
	procs, socks, trends, closes := NewSet(sources["tcp4"], Processes), NewSet(sources["tcp4"], Sockets), NewSet(sources["tcp4"], SocketTrends), NewLog(sources["tcp4"], Closes)
	traffic, counters := NewSet(sources["traffic"], TrafficTable), NewSet(sources["protocol_counters"], ProtocolCounters)
	settings, routes, addrs, links, rules, walls := NewSet(sources["settings"], Settings), NewSet(sources["routes"], Routes), NewSet(sources["addresses"], Addresses), NewSet(sources["interfaces"], Interfaces), NewSet(sources["rules"], Rules), NewSet(sources["firewall"], Firewalls)
	about := func(n, share float64) float64 { return n * (1 + share*(2*random.Float64()-1)) }
	ms := func(n float64) Int { return Of(int64(1000 * about(n, 0.2))) }
	ns, cookie, grown, errors := Of(1), 0, 0, 0
	hour := func(begin int, h *anHour, of int) {
		busy, crowd := about(1, 0.5), about(1, 0.3) // this hour is busier than another
		for i := range samples {
			at := begin + i*interval
			up := time.Duration(at) * time.Second
			w.Begin(Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
			sources["tcp4"].Read(func() error {
				program := map[string]Ref{}
				names := []string{"app", "nginx", "sshd", "exporter", "backup", "cron", "nc"}
				if h.extra != "" {
					names = append(names, h.extra)
				}
				for pid, comm := range names {
					program[comm] = procs.Put(ProcessID{PID: Of(10 + pid), Started: 5, Comm: comm}, Process{}).Ref()
				}
				socket := func(id int, comm, local string, port int, remote string, rport int, s Socket) {
					s.Process, s.OwnerHow = program[comm], "fd"
					socks.Put(SocketID{NetNS: ns, Proto: "tcp", Family: Of(4), LocalAddr: local, LocalPort: Of(port), RemoteAddr: remote, RemotePort: Of(rport), Cookie: Of(id)}, s)
				}
				for port, comm := range h.listens {
					socket(port, comm, "0.0.0.0", port, "0.0.0.0", 0, Socket{State: "LISTEN", Direction: "listen"})
				}
				short := func(comm, remote string, port int, made bool, c Close) {
					cookie++
					c.NetNS, c.Proto, c.Family, c.LocalAddr, c.RemoteAddr, c.Cookie, c.Process, c.OwnerHow = ns, "tcp", Of(4), "10.0.0.5", remote, Of(1_000_000+cookie), program[comm], "trace"
					if c.LocalPort, c.RemotePort = Of(port), Of(30000+cookie%20000); made {
						c.LocalPort, c.RemotePort, c.LivedUS = Of(30000+cookie%20000), Of(port), Of(1000)
					}
					closes.Add(up-time.Second, c)
				}
				for n, s := range []struct {
					addr string
					port int
				}{{"10.0.7.1", 5432}, {"10.0.7.2", 6379}} {
					for j := range 5 {
						if h.services[s.addr] { // connections that stay
							socket(1000*(of+1)+10*n+j, "app", "10.0.0.5", 40000+10*n+j, s.addr, s.port, Socket{State: "ESTABLISHED", Direction: "out", RTT: ms(h.rtt[s.addr]), SegsOut: Of(500 + 10*i), Retransmits: Of(0)})
						}
					}
				}
				if i%2 == 0 && h.services["10.0.7.1"] {
					c := Close{Outcome: "established", Connect: ms(h.connect), RTT: ms(h.rtt["10.0.7.1"])}
					if i/2 < h.refused {
						c = Close{Outcome: "refused", Connect: ms(h.connect)}
					}
					short("app", "10.0.7.1", 5432, true, c)
				}
				if h.new != "" && i%3 == 0 {
					short("app", h.new, 4444, true, Close{Outcome: "established", RTT: ms(30)})
				}
				if i < h.failing {
					short("app", "203.0.113.50", 443, true, Close{Outcome: "refused"})
				}
				for range 2 {
					short("app", "203.0.113.50", 443, true, Close{Outcome: "established", RTT: ms(h.rtt["203.0.113.50"]), Connect: ms(h.rtt["203.0.113.50"]), SegsOut: Of(1000), Retransmits: Of(h.lost + random.IntN(2))})
				}
				for range int(float64(h.clients) / samples * crowd * about(1, 0.5)) {
					addr := fmt.Sprintf("192.0.2.%d", random.IntN(60)) // who comes back
					if random.IntN(3) == 0 {
						addr = fmt.Sprintf("198.18.%d.%d", random.IntN(250), random.IntN(250))
					}
					short("nginx", addr, 443, false, Close{Outcome: "established", RTT: ms(5 + 60*random.Float64()), SegsOut: Of(20), Retransmits: Of(random.IntN(40) / 39)})
				}
				if random.IntN(8) == 0 {
					short("cron", fmt.Sprintf("198.51.100.%d", random.IntN(200)), 443, true, Close{Outcome: "established", RTT: ms(20)})
				}
				trend := func(comm, state string, n int) {
					trends.Put(SocketCountID{NetNS: ns, Process: program[comm], Proto: "tcp", Family: Of(4), State: state}, SocketTrend{Count: Of(n)})
				}
				trend("app", "ESTABLISHED", 10)
				trend("app", "CLOSE_WAIT", h.stuck)
				trend("nginx", "ESTABLISHED", int(about(30*crowd, 0.3)))
				trend("sshd", "LISTEN", 1)
				if i == 20 {
					trend("cron", "ESTABLISHED", 1)
				}
				if h.extra != "" {
					trend(h.extra, "ESTABLISHED", 3)
				}
				sources["traffic"].Read(func() error {
					traffic.Put(TrafficID{NetNS: ns, Process: program["backup"]}, Traffic{BytesSent: Of(int64(about(h.sent*busy, 0.5))), BytesReceived: Of(2000), Closed: Of(0), ClosedUnknown: Of(0)})
					traffic.Put(TrafficID{NetNS: ns, Process: program["nginx"]}, Traffic{BytesSent: Of(int64(about(5e6*busy, 0.5))), BytesReceived: Of(int64(about(1e5*busy, 0.5))), Closed: Of(5), ClosedUnknown: Of(0)})
					return nil
				})
				return nil
			})
			sources["protocol_counters"].Read(func() error {
				grown += int(about(1000*busy, 0.5))
				errors += h.overrun
				counters.Put(ProtocolCounterID{NetNS: ns, File: "snmp", Proto: "Udp", Name: "InDatagrams"}, ProtocolCounter{Kind: "counter", Value: Of(grown)})
				counters.Put(ProtocolCounterID{NetNS: ns, File: "snmp", Proto: "Udp", Name: "NoPorts"}, ProtocolCounter{Kind: "counter", Value: Of(grown / 500)})
				counters.Put(ProtocolCounterID{NetNS: ns, File: "snmp", Proto: "Udp", Name: "RcvbufErrors"}, ProtocolCounter{Kind: "counter", Value: Of(errors)})
				return nil
			})
			sources["settings"].Read(func() error {
				for name, value := range h.settings {
					settings.Put(SettingID{NetNS: ns, Name: name}, Setting{Value: value})
				}
				return nil
			})
			sources["routes"].Read(func() error {
				routes.Put(RouteID{NetNS: ns, Family: Of(4), TableID: Of(254), Dst: "0.0.0.0/0", Dev: "eth0", Nth: Of(0), Metric: Of(0)}, Route{Gateway: h.gateway, Type: "unicast", TableName: "main"})
				for _, dst := range h.routes {
					routes.Put(RouteID{NetNS: ns, Family: Of(4), TableID: Of(254), Dst: dst, Dev: "eth1", Nth: Of(0), Metric: Of(0)}, Route{Type: "unicast", TableName: "main"})
				}
				routes.Put(RouteID{NetNS: ns, Family: Of(4), TableID: Of(254), Dst: fmt.Sprintf("172.%d.0.0/16", 17+of), Dev: fmt.Sprintf("veth%d", of), Nth: Of(0)}, Route{Type: "unicast"}) // of a container
				return nil
			})
			sources["addresses"].Read(func() error {
				for _, a := range h.addrs {
					addrs.Put(AddressID{NetNS: ns, Dev: "eth0", IfIndex: Of(2), Family: Of(4), Addr: a, PrefixLen: Of(24)}, Address{Flags: "permanent"})
				}
				return nil
			})
			sources["interfaces"].Read(func() error {
				for name, l := range h.links {
					links.Put(InterfaceID{NetNS: ns, IfIndex: Of(len(name) + int(name[3])), Name: name}, l)
				}
				links.Put(InterfaceID{NetNS: ns, IfIndex: Of(100 + of), Name: fmt.Sprintf("veth%d", of)}, Interface{OperState: "UP", MTU: Of(1500)})
				return nil
			})
			if h.rules >= 0 {
				sources["rules"].Read(func() error {
					for n := range h.rules {
						rules.Put(RuleID{NetNS: ns, Family: Of(4), Priority: Of(100 + n), Nth: Of(0)}, Rule{Src: fmt.Sprintf("10.%d.0.0/16", n+1), Action: "lookup", TableID: Of(100)})
					}
					return nil
				})
			} else {
				sources["rules"].Read(func() error { return fmt.Errorf("not this time") })
			}
			sources["firewall"].Read(func() error {
				walls.Put(FirewallID{NetNS: ns, Backend: "nf_tables", Family: "inet", Table: "filter"}, Firewall{Rules: Of(12), Hash: h.rulesSum})
				return nil
			})
			if err := w.Commit(t.Context(), Cost{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	hour(interval, was, 0)
	hour(day+interval, now, 1)
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1)
	rewindow(t, db, "window_before compared", 1_700_000_000+day, 1_700_000_000+day+samples*interval)
	return db
}
