package store

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A seenSymptom is what the recorder told of a symptom in a sample.
type seenSymptom struct {
	sample        int
	id            SymptomID
	amount, total int
	by            string // the program; "": not known
}

// by are symptoms of a program.
func by(comm string, all []seenSymptom) []seenSymptom {
	for i := range all {
		all[i].by = comm
	}
	return all
}

// seenIn is a symptom that was told in some samples, with the same amount in each.
func seenIn(id SymptomID, amount, total int, samples ...int) []seenSymptom {
	var all []seenSymptom
	for _, s := range samples {
		all = append(all, seenSymptom{sample: s, id: id, amount: amount, total: total})
	}
	return all
}

func upto(first, last int) (all []int) {
	for i := first; i <= last; i++ {
		all = append(all, i)
	}
	return all
}

// TestFindingsOfSymptoms: what cannot be planted on every machine, such as a card without buffers, from what the recorder tells of it. Its oracle is the
// rule in words beside each.
func TestFindingsOfSymptoms(t *testing.T) {
	t.Parallel()
	dev := func(name string) SymptomID { return SymptomID{NetNS: Of(1), Symptom: name, Dev: "eth0"} }
	of := func(name string) SymptomID { return SymptomID{NetNS: Of(1), Symptom: name} }
	machine := func(name string) SymptomID { return SymptomID{Symptom: name} }
	peer := func(name string) SymptomID {
		return SymptomID{NetNS: Of(1), Symptom: name, RemoteAddr: "192.0.2.7", RemotePort: Of(443)}
	}
	for _, c := range []struct {
		name     string
		symptoms [][]seenSymptom
		faulty   string // faults and severities, in order
		says     string
	}{
		{"a card loses packets in two samples: certain", [][]seenSymptom{seenIn(dev("rx_missed_errors"), 9, 1000, 10, 11)}, "card buffers/fault", "eth0 had no buffer for 18 received packets"},
		{"a program and somebody unknown lose segments to the same peer", [][]seenSymptom{by("app", seenIn(peer("retransmits"), 20, 200, upto(10, 40)...)), seenIn(peer("retransmits"), 20, 100, upto(12, 38)...)},
			"retransmits/warning", "Of what app (pid 10) sent to 192.0.2.7 port 443, 10.0 % had to be sent again: 620 of 6200"},
		{"nobody knows who loses segments", [][]seenSymptom{seenIn(peer("retransmits"), 20, 100, upto(12, 38)...)}, "retransmits/warning", "Of what a program sent to 192.0.2.7 port 443, 20.0 %"},
		{"one lost packet is none", [][]seenSymptom{seenIn(dev("rx_missed_errors"), 1, 1000, 10)}, "", ""},
		{"packets of a protocol that nobody speaks: few of many", [][]seenSymptom{seenIn(dev("rx_dropped"), 2, 500, upto(10, 60)...)}, "", ""},
		{"two in a hundred of ten thousand are dropped after they came", [][]seenSymptom{seenIn(dev("rx_dropped"), 20, 500, upto(10, 40)...)}, "receive drops/warning", "eth0 dropped 620 received packets of 15500"},
		{"less than ten thousand packets say nothing", [][]seenSymptom{seenIn(dev("rx_dropped"), 20, 500, upto(10, 20)...)}, "", ""},
		{"bad frames, one in a hundred", [][]seenSymptom{seenIn(dev("rx_errors"), 10, 500, 10, 20), seenIn(dev("rx_crc_errors"), 10, 500, 10, 20)}, "bad frames/fault", "20 bad packets"},
		{"bad frames, one in five hundred", [][]seenSymptom{seenIn(dev("rx_errors"), 10, 5000, 10, 20)}, "bad frames/warning", "20 bad packets"},
		{"a few bad frames at link-up", [][]seenSymptom{seenIn(dev("rx_errors"), 3, 500, 10)}, "", ""},
		{"what a card has no room for is no bad frame", [][]seenSymptom{seenIn(dev("rx_errors"), 10, 500, 10, 20), seenIn(dev("rx_missed_errors"), 10, 500, 10, 20)}, "card buffers/fault", ""},
		{"a CPU drops packets", [][]seenSymptom{seenIn(machine("softnet dropped"), 40, 0, upto(10, 30)...)}, "cpu backlog/fault", "840 were dropped"},
		{"time runs out and nothing is lost: normal", [][]seenSymptom{seenIn(machine("softnet time_squeeze"), 80, 0, upto(10, 60)...)}, "", ""},
		{"connection tracking drops", [][]seenSymptom{seenIn(of("conntrack drop"), 5, 0, 10, 11), seenIn(of("conntrack entries"), 1000, 1000, 9, 10, 11)}, "conntrack/fault", "1000 of 1000 connections that can be tracked were; 10 packets were dropped"},
		{"connection tracking forgets early", [][]seenSymptom{seenIn(of("conntrack early_drop"), 3, 0, 10)}, "conntrack/warning", "3 connections were forgotten early"},
		{"more than five overflows a second over a minute", [][]seenSymptom{seenIn(of("ListenOverflows"), 400, 0, 10)}, "accept queue/fault", "port (not known)"},
		{"connection tracking nears its limit", [][]seenSymptom{seenIn(of("conntrack entries"), 920, 1000, upto(9, 20)...)}, "conntrack/warning", "920 of 1000"},
		{"two packets of a flow raced", [][]seenSymptom{seenIn(of("conntrack insert_failed"), 5, 0, upto(9, 20)...)}, "", ""},
		{"the table of neighbours is full", [][]seenSymptom{seenIn(machine("arp_cache.table_fulls"), 1, 0, 10)}, "neighbor table/fault", "ARP"},
		{"it has many entries, less than nine in ten", [][]seenSymptom{seenIn(machine("arp_cache entries"), 600, 1024, upto(10, 40)...)}, "", ""},
		{"half of the orphans that there may be", [][]seenSymptom{seenIn(machine("orphans"), 600, 1000, 10, 11)}, "orphans/fault", "600 connections that no process holds any more"},
		{"orphans of a balancer that is drained: they fall", [][]seenSymptom{seenIn(machine("orphans"), 400, 1000, 10), seenIn(machine("orphans"), 300, 1000, 11), seenIn(machine("orphans"), 210, 1000, 12)}, "", ""},
		{"memory for TCP was short", [][]seenSymptom{seenIn(of("TCPRcvQDrop"), 3, 0, 10, 11), seenIn(of("RcvPruned"), 2, 0, 10, 11)}, "tcp memory/fault", "RcvPruned 4"},
		{"TIME_WAIT beyond its limit", [][]seenSymptom{seenIn(of("TCPTimeWaitOverflow"), 4, 0, 10)}, "time wait limit/warning", "it forgot 4 at once"},
		{"SYN dropped with cookies off", [][]seenSymptom{seenIn(of("TCPReqQFullDrop"), 4, 0, 10, 11), seenIn(of("ListenDrops"), 4, 0, 10, 11)}, "syn dropped/fault", "8 attempts to connect were dropped"},
		{"cookies for real clients", [][]seenSymptom{seenIn(of("TCPReqQFullDoCookies"), 20, 0, 10, 11), seenIn(of("SyncookiesRecv"), 18, 0, 10, 11)}, "syn queue/warning", "these are real clients"},
		{"cookies for a flood", [][]seenSymptom{seenIn(of("TCPReqQFullDoCookies"), 20, 0, 10, 11)}, "syn queue/warning", "as in a flood"},
		{"a listener drops for another reason", [][]seenSymptom{seenIn(of("ListenDrops"), 4, 0, 10, 11)}, "listener drops/warning", "8 connections"},
		{"overflows are not counted twice", [][]seenSymptom{seenIn(of("ListenDrops"), 4, 0, 10, 11), seenIn(of("ListenOverflows"), 4, 0, 10, 11)}, "accept queue/warning", ""},
		{"a link is full for a minute", [][]seenSymptom{seenIn(dev("link full tx"), 95, 100, upto(10, 75)...)}, "link full/warning", "eth0 was full for 65 s: 95 % of its speed, sending"},
		{"a burst of half a minute", [][]seenSymptom{seenIn(dev("link full tx"), 95, 100, upto(10, 40)...)}, "", ""},
		{"old duplicates alone, by reordering", [][]seenSymptom{seenIn(of("PAWSEstab"), 5, 0, 10, 11)}, "", ""},
		{"a program resets, and nobody else", [][]seenSymptom{seenIn(of("OutRsts"), 60, 0, upto(10, 30)...), seenIn(SymptomID{NetNS: Of(1), Symptom: "reset by us", LocalPort: Of(443)}, 60, 0, upto(10, 30)...)}, "resets/info", "reset 1260 connections in 20 s"},
		{"a health check resets now and then, beside clients that are refused in a burst", [][]seenSymptom{seenIn(of("OutRsts"), 60, 0, 40, 55), seenIn(SymptomID{NetNS: Of(1), Symptom: "reset by us", LocalPort: Of(443)}, 2, 0, upto(10, 80)...)}, "", ""},
		{"a peer whose window is closed for six seconds", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "zero window", LocalPort: Of(443), RemoteAddr: "192.0.2.1"}, 1, 6, 40, 46)}, "", ""},
		{"a stall that ends when the kernel learns the MTU of the path (the test has it learn that of 192.0.2.8, too, a minute before)", [][]seenSymptom{seenIn(peer("unacknowledged"), 1, 6, upto(60, 66)...)}, "mtu/fault", "it takes 1300 bytes, as the kernel learnt in the end"},
		{"a stall after the MTU was known already: the peer is gone", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "unacknowledged", RemoteAddr: "192.0.2.8", RemotePort: Of(443)}, 1, 6, upto(60, 66)...)}, "dead peer/fault", "192.0.2.8"},
		{"a few file descriptors are left", [][]seenSymptom{seenIn(machine("descriptors"), 970, 1000, 10, 11)}, "descriptors/warning", "970 of 1000"},
		{"a large limit that is nearly used up at once, and stays so", [][]seenSymptom{seenIn(machine("descriptors"), 3950, 4096, upto(10, 50)...)}, "", ""},
		{"a large limit that is used up more and more", [][]seenSymptom{seenIn(machine("descriptors"), 3700, 4096, 10), seenIn(machine("descriptors"), 3950, 4096, 11, 12)}, "descriptors/warning", "3950 of 4096"},
		{"a limit that is reached for a moment", [][]seenSymptom{seenIn(machine("descriptors"), 200, 200, 10)}, "", ""},
		{"two packets of a flow raced, and the kernel dropped one", [][]seenSymptom{seenIn(of("conntrack drop"), 2, 0, upto(9, 20)...), seenIn(of("conntrack insert_failed"), 2, 0, upto(9, 20)...)}, "", ""},
		{"a few drops that no race explains", [][]seenSymptom{seenIn(of("conntrack drop"), 1, 0, 9, 12, 20), seenIn(of("conntrack insert_failed"), 1, 0, 12)}, "conntrack/fault", "could not take up a connection; 3 packets were dropped"},
		{"few drops of a table that is full", [][]seenSymptom{seenIn(of("conntrack drop"), 1, 0, 9, 12), seenIn(of("conntrack entries"), 1000, 1000, 9)}, "conntrack/fault", "2 packets were dropped"},
		{"a table that was full between two samples", [][]seenSymptom{seenIn(of("conntrack drop"), 50, 0, 9)}, "conntrack/fault", "50 packets were dropped"},
		{"the table of neighbours nears its limit, and stays there", [][]seenSymptom{seenIn(machine("arp_cache entries"), 1000, 1024, upto(10, 80)...)}, "neighbor table/warning", "1000 entries of 1024"},
		{"a scan of the own network: they are forgotten soon", [][]seenSymptom{seenIn(machine("arp_cache entries"), 1000, 1024, upto(10, 50)...)}, "", ""},
		{"bursts of ten seconds, again and again", [][]seenSymptom{seenIn(dev("link full tx"), 95, 100, append(append(append(upto(5, 14), upto(25, 34)...), upto(45, 54)...), upto(70, 82)...)...)}, "", ""},
		{"a link is full for a minute, and a burst before", [][]seenSymptom{seenIn(dev("link full tx"), 95, 100, append(upto(2, 6), upto(15, 80)...)...)}, "link full/warning", "eth0 was full for 65 s"},
		{"one sample of a minute is not that full", [][]seenSymptom{seenIn(dev("link full tx"), 95, 100, append(upto(10, 40), upto(42, 75)...)...)}, "link full/warning", "eth0 was full for 65 s"},
		{"more than its speed: that is invented", [][]seenSymptom{seenIn(dev("link full tx"), 250, 100, upto(10, 80)...)}, "", ""},
		{"a CPU drops what came in by a veth: that is no fault of the veth", [][]seenSymptom{seenIn(machine("softnet dropped"), 400, 0, upto(10, 40)...), seenIn(dev("rx_dropped"), 400, 1000, upto(10, 40)...)}, "cpu backlog/fault", ""},
		{"answers that are dropped here, because they come in elsewhere", [][]seenSymptom{seenIn(of("IPReversePathFilter"), 5, 0, upto(10, 30)...), seenIn(peer("unanswered"), 2, 0, upto(10, 30)...)}, "reverse path/warning", "105 packets"},
		{"a host that does not answer, beside a few packets of a wrong way", [][]seenSymptom{seenIn(of("IPReversePathFilter"), 1, 0, 10), seenIn(peer("unanswered"), 2, 0, upto(10, 30)...)}, "unanswered/fault", ""},
		{"a gateway that is looked for at the start", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "gateway unreachable", RemoteAddr: "192.0.2.1", Dev: "eth0"}, 1, 0, 10, 11, 12)}, "", ""},
		{"a gateway that does not answer", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "gateway unreachable", RemoteAddr: "192.0.2.1", Dev: "eth0"}, 1, 0, upto(10, 15)...)}, "gateway/fault", "192.0.2.1 on eth0"},
		{"a gateway beyond a link that comes and goes", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "gateway unreachable", RemoteAddr: "192.0.2.1", Dev: "eth0"}, 1, 0, upto(10, 30)...), seenIn(dev("carrier changes"), 1, 0, 9, 12, 15, 18)}, "link flaps/fault", "eth0"},
		{"two programs, by IPv4 and by IPv6", [][]seenSymptom{seenIn(of("Udp.RcvbufErrors"), 30, 0, 10, 11, 12), seenIn(of("Udp6.RcvbufErrors"), 30, 0, 10, 11, 12), seenIn(SymptomID{NetNS: Of(1), Symptom: "udp drops", LocalPort: Of(53)}, 30, 0, 10, 11, 12),
			seenIn(SymptomID{NetNS: Of(1), Symptom: "udp drops", LocalPort: Of(54)}, 10, 0, 10, 11, 12)}, "udp receive/warning udp receive/warning", "UDP port 54 fast enough: 30 packets"},
		{"nobody knows whose socket it was", [][]seenSymptom{seenIn(of("Udp.RcvbufErrors"), 30, 0, 10, 11, 12)}, "udp receive/warning", "A program did not read its UDP port (not known) fast enough: 90 packets"},
		{"sockets of which a filter drops packets", [][]seenSymptom{seenIn(SymptomID{NetNS: Of(1), Symptom: "udp drops", LocalPort: Of(53)}, 300, 0, 10, 11, 12)}, "", ""},
		{"a large limit reached to four fifths", [][]seenSymptom{seenIn(machine("descriptors"), 850, 1000, upto(10, 50)...)}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "faults.db")
			w, err := Create(t.Context(), Options{Path: path, Interval: time.Second, Boot: Boot{ID: "b"}})
			if err != nil {
				t.Fatal(err)
			}
			procs := NewSet(w.Source("processes"), Processes)
			set, learnt := NewSet(w.Source("symptoms"), Symptoms), NewSet(w.Source("route_exceptions"), RouteExceptions)
			for i := range 90 {
				up := time.Duration(1000+i) * time.Second
				w.Begin(Clock{Wall: time.Unix(1_700_000_000+int64(i), 0), Uptime: up, Awake: up})
				programs := map[string]Ref{}
				procs.source.Read(func() error {
					for _, list := range c.symptoms {
						for _, one := range list {
							if one.by != "" {
								programs[one.by] = procs.Put(ProcessID{PID: Of(10), Started: 5, Comm: one.by}, Process{}).Ref()
							}
						}
					}
					return nil
				})
				set.source.Read(func() error {
					for _, list := range c.symptoms {
						for _, one := range list {
							if one.sample == i {
								v := Symptom{Amount: Of(one.amount)}
								if one.total > 0 {
									v.Total = Of(one.total)
								}
								one.id.Process = programs[one.by]
								set.Put(one.id, v)
							}
						}
					}
					return nil
				})
				learnt.source.Read(func() error {
					for addr, since := range map[string]int{"192.0.2.7": 70, "192.0.2.8": 5} {
						if i >= since {
							learnt.Put(RouteExceptionID{NetNS: Of(1), Family: Of(4), Dst: addr}, RouteException{MTU: Of(1300)})
						}
					}
					return nil
				})
				if err := w.Commit(t.Context(), Cost{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", DSN(path))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			rows, err := db.QueryContext(t.Context(), "SELECT fault, severity, what FROM findings")
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var got, said []string
			for rows.Next() {
				var fault, severity, what string
				if err := rows.Scan(&fault, &severity, &what); err != nil {
					t.Fatal(err)
				}
				got, said = append(got, fault+"/"+severity), append(said, what)
			}
			if text := strings.Join(got, " "); text != c.faulty || !strings.Contains(strings.Join(said, "\n"), c.says) {
				t.Errorf("found %q: %q, want %q that says %q", text, said, c.faulty, c.says)
			}
		})
	}
}

// TestEpisodes: what is less than five minutes apart is one episode, and one that was seen in the last five minutes may go on. The oracle works on the list
// of samples.
func TestEpisodes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "episodes.db")
	w, err := Create(t.Context(), Options{Path: path, Interval: 10 * time.Second, Boot: Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	set := NewSet(w.Source("symptoms"), Symptoms)
	seen := map[int]int{5: 3, 6: 3, 7: 4, 30: 1, 70: 9, 200: 2, 201: 1, 229: 6, 230: 6} // sample to amount
	for i := range 300 {
		up := time.Duration(1000+10*i) * time.Second
		w.Begin(Clock{Wall: time.Unix(1_700_000_000+10*int64(i), 0), Uptime: up, Awake: up})
		set.source.Read(func() error {
			if n, is := seen[i]; is {
				set.Put(SymptomID{NetNS: Of(1), Symptom: "x"}, Symptom{Amount: Of(n), Total: Of(10 * n)})
			}
			return nil
		})
		if err := w.Commit(t.Context(), Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []string
	begin, last := -1, -1
	var samples, amount, most, final int
	end := func() {
		if begin >= 0 {
			goes := 0
			if 10*(299-last) < 300 {
				goes = 1
			}
			want = append(want, fmt.Sprint(begin, last, goes, samples, amount, most, final, 10*amount))
		}
	}
	for i := range 300 {
		n, is := seen[i]
		if !is {
			continue
		}
		if begin < 0 || 10*(i-last) > 300 {
			end()
			begin, samples, amount, most = i, 0, 0, 0
		}
		last, samples, amount, most, final = i, samples+1, amount+n, max(most, n), n
	}
	end()
	db, err := sql.Open("sqlite", DSN(path))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT (since - 1700000000) / 10, (last - 1700000000) / 10, until IS NULL, samples, amount, most, final, total FROM symptom_episodes ORDER BY since`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var v [8]float64
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(int(v[0]), int(v[1]), int(v[2]), int(v[3]), int(v[4]), int(v[5]), int(v[6]), int(v[7])))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("episodes %q, want %q", got, want)
	}
}
