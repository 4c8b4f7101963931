package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"netsql/store"
	"netsql/store/glossary"
)

// scene is a recording of four samples, of which each thing was counted by hand: hours 0, 2 and 3 of a boot, and hour 4, in which nobody looked at TCP.
func scene(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scene.db")
	w, err := store.Create(t.Context(), store.Options{Path: path, Interval: time.Hour, Boot: store.Boot{ID: "b"}})
	if err != nil {
		t.Fatal(err)
	}
	tcp, owners, counters, links := w.Source("tcp4"), w.Source("owners"), w.Source("protocol_counters"), w.Source("interfaces")
	sysctls, drops, routes, neighbors, conntrack := w.Source("settings"), w.Source("drops"), w.Source("routes"), w.Source("neighbors"), w.Source("conntrack")
	processes, sockets := store.NewSet(owners, store.Processes), store.NewSet(tcp, store.Sockets)
	protocol, nics, settings := store.NewSet(counters, store.ProtocolCounters), store.NewSet(links, store.InterfaceCountersTable), store.NewSet(sysctls, store.Settings)
	interfaces, hops, arp, tracked := store.NewSet(links, store.Interfaces), store.NewSet(routes, store.Routes), store.NewSet(neighbors, store.Neighbors), store.NewSet(conntrack, store.Conntracks)
	net := store.Of(1)
	for _, hour := range []int{0, 2, 3, 4} {
		up := time.Duration(hour+100) * time.Hour
		w.Begin(store.Clock{Wall: began.Add(time.Duration(hour) * time.Hour), Uptime: up, Awake: up})
		var shopd store.Ref
		owners.Read(func() error {
			shopd = processes.Put(store.ProcessID{PID: store.Of(42), Started: 1, Comm: "shopd"}, store.Process{}).Ref()
			return nil
		})
		tcp.Read(func() error {
			if hour == 4 {
				return errors.New("no buffer space")
			}
			put := func(local string, port int, remote string, to int, s store.Socket) {
				sockets.Put(store.SocketID{NetNS: net, Proto: "tcp", Family: store.Of(4), LocalAddr: local, LocalPort: store.Of(port), RemoteAddr: remote, RemotePort: store.Of(to)}, s)
			}
			for i := range 90 {
				put("10.0.0.1", 40_000+i, "10.0.0.7", 5432, store.Socket{State: "TIME_WAIT"})
			}
			put("10.0.0.1", 50_000, "10.0.0.8", 80, store.Socket{State: "TIME_WAIT"})
			for i := range 30 {
				put("10.0.0.1", 8080, "10.0.0.9", 1000+i, store.Socket{State: "CLOSE_WAIT", Process: shopd, StateSince: unixSeconds(began) + 60*float64(i)})
			}
			put("10.0.0.1", 8080, "10.0.0.9", 999, store.Socket{State: "ESTABLISHED", Process: shopd, RecvQ: store.Of(677), SendQ: store.Of(4321), Retransmits: store.Of(12), SegsOut: store.Of(3456), RTT: store.Of(20_500), MinRTT: store.Of(1024)})
			put("0.0.0.0", 8080, "0.0.0.0", 0, store.Socket{State: "LISTEN", Process: shopd, RecvQ: store.Of(3), SendQ: store.Of(128), Drops: store.Of(9)})
			put("127.0.0.1", 9090, "0.0.0.0", 0, store.Socket{State: "LISTEN", SendQ: store.Of(128)})
			return nil
		})
		counters.Read(func() error {
			put := func(group, name, kind string, value int) {
				protocol.Put(store.ProtocolCounterID{NetNS: net, File: "netstat", Proto: group, Name: name}, store.ProtocolCounter{Kind: kind, Value: store.Of(value)})
			}
			put("TcpExt", "ListenOverflows", "counter", []int{5, 5, 532, 532}[max(hour-1, 0)])
			put("TcpExt", "TCPTimeouts", "counter", 100*hour)
			put("TcpExt", "ListenDrops", "counter", 7)
			put("Tcp", "CurrEstab", "gauge", 31)
			return nil
		})
		links.Read(func() error {
			eth := store.InterfaceID{NetNS: net, IfIndex: store.Of(2), Name: "eth0"}
			interfaces.Put(eth, store.Interface{Flags: "UP,BROADCAST,LOWER_UP"})
			nics.Put(eth, store.InterfaceCounters{RxDropped: store.Of(10 * hour), RxErrors: store.Of(1), TxDropped: store.Of(2), RxPackets: store.Of(1000 * hour), TxPackets: store.Of(500 * hour)})
			return nil
		})
		sysctls.Read(func() error {
			settings.Put(store.SettingID{NetNS: net, Name: "net.ipv4.ip_local_port_range"}, store.Setting{Value: "32768 60999"})
			return nil
		})
		routes.Read(func() error {
			hops.Put(store.RouteID{NetNS: net, Family: store.Of(4), Dst: "0.0.0.0/0", Dev: "eth0"}, store.Route{Gateway: "10.0.0.254"})
			return nil
		})
		neighbors.Read(func() error {
			arp.Put(store.NeighborID{NetNS: net, Addr: "10.0.0.254", Dev: "eth0"}, store.Neighbor{State: "FAILED"})
			arp.Put(store.NeighborID{NetNS: net, Addr: "10.0.0.7", Dev: "eth0"}, store.Neighbor{State: "REACHABLE"})
			return nil
		})
		conntrack.Read(func() error {
			tracked.Put(store.ConntrackID{NetNS: net}, store.Conntrack{Entries: store.Of(25_000), MaxEntries: store.Of(250_000)})
			return nil
		})
		drops.Read(func() error { return &store.OffError{By: "--without drops"} })
		if err := w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path
}

// Each kind of word has the figures of the machine, at the moment that is asked for.
func TestHere(t *testing.T) {
	t.Parallel()
	r := openRecording(t, scene(t))
	for _, at := range []struct {
		hour  int
		words map[string]string
	}{
		{3, map[string]string{
			"TIME_WAIT":                    "91 in TIME_WAIT; most go to 10.0.0.7 port 5432 and take 90 of 28,232 local ports: 0.3 %, harmless.",
			"CLOSE_WAIT":                   "30 in CLOSE_WAIT; shopd (pid 42) has most, 30; the oldest for 3h.",
			"ESTABLISHED":                  "1 in ESTABLISHED; shopd has most, 1.",
			"SYN_SENT":                     "no TCP or UDP socket is in SYN_SENT.",
			"LISTEN":                       "2 TCP sockets listen; most wait at port 8080 of shopd, 3 of 128.",
			"Recv-Q":                       "sockets with unread bytes: 1; the fullest has 677, of shopd (pid 42) in ESTABLISHED at port 8080; most connections that wait for accept: 3 at port 8080, whose backlog is 128.",
			"Send-Q":                       "sockets with bytes on their way: 1; the fullest has 4,321, of shopd (pid 42) in ESTABLISHED to 10.0.0.9 port 999.",
			"0.0.0.0:22":                   "on every address listen shopd (port 8080).",
			"UG":                           "the default route leads to 10.0.0.254 over eth0.",
			"RX-DRP":                       "in the 1h before it grew on eth0 by 10, with 1,500 packets in all.",
			"TX-ERR":                       "how it grows is not known: no older sample has it.",
			"RX-ERR":                       "it stood still on every interface (1) in the 1h before.",
			"ListenOverflows":              "it is 532 since boot, and grew by 527 in the 1h before; it stood still in the 2h before that, too.",
			"TCPTimeouts":                  "it is 300 since boot, and grew by 100 in the 1h before; in the 2h before that by 200.",
			"ListenDrops":                  "it is 7 since boot, and stood still in the 1h before; it stood still in the 2h before that, too.",
			"CurrEstab":                    "it is 31; 1h before, it was 31.",
			"DelayedACKs":                  "this kernel has no such counter, or nobody read it.",
			"drops":                        "most, 9 since it was opened, has the socket of shopd (pid 42) at port 8080 (tcp).",
			"retransmits":                  "most, 12 of 3,456 segments, has the connection of shopd (pid 42) to 10.0.0.9 port 999.",
			"rtt":                          "longest, 20.5 ms, is that of shopd (pid 42) to 10.0.0.9 port 999; the shortest of late was 1.0 ms there.",
			"TX-OK":                        "in the 1h before it grew on eth0 by 500, with 1,500 packets in all.",
			"TX-DRP":                       "it stood still on every interface (1) in the 1h before.",
			"FAILED":                       "neighbors in FAILED: 1 of 2; 10.0.0.254 on eth0.",
			"PROBE":                        "neighbors in PROBE: 0 of 2.",
			"LOWER_UP":                     "interfaces with it: 1 of 1; eth0.",
			"PROMISC":                      "interfaces with it: 0 of 1.",
			"somaxconn":                    "this kernel has no such setting, or it is not recorded.",
			"net.ipv4.ip_local_port_range": "it is 32768 60999.",
			"conntrack":                    "25,000 of 250,000 entries are in use: 10.0 %, harmless.",
			"NO_SOCKET":                    "not known, because nobody looked (drops off: --without drops).",
		}},
		{0, map[string]string{
			"ListenOverflows": "it is 5 since boot; how it grows, one sample does not tell.",
			"RX-DRP":          "how it grows is not known: no older sample has it.",
		}},
		{2, map[string]string{ // an hour before, nobody took a sample
			"ListenOverflows": "it is 5 since boot; how it grows, one sample does not tell.",
		}},
		{4, map[string]string{
			"TIME_WAIT": "not known, because nobody looked (tcp4 failed: no buffer space).",
			"RX-DRP":    "in the 1h before it grew on eth0 by 10, with 1,500 packets in all.",
		}},
	} {
		moment := began.Add(time.Duration(at.hour) * time.Hour).Truncate(time.Second)
		if _, _, err := r.SetAt(t.Context(), moment); err != nil {
			t.Fatal(err)
		}
		for word, want := range at.words {
			entries, err := Glossary(word)
			if err != nil {
				t.Fatal(err)
			}
			got := Here(t.Context(), r, entries)[0].Here
			if want = fmt.Sprintf("At %s: %s", localTime(moment), want); got != want {
				t.Errorf("hour %d, %s:\n%s, want\n%s", at.hour, word, got, want)
			}
		}
	}
}

// A recording without a sample, or none at all, adds nothing; and each word of the glossary that measures something can be asked of any recording.
func TestHereOfEveryWord(t *testing.T) {
	t.Parallel()
	r := openRecording(t, scene(t))
	asked := 0
	for _, word := range glossary.Words() {
		entries, err := Glossary(word)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range Here(t.Context(), nil, entries) {
			if e.Here != "" {
				t.Errorf("%s without a recording: %s", word, e.Here)
			}
		}
		for i, e := range Here(t.Context(), r, entries) {
			switch sql := entries[i].HereSQL; {
			case strings.Contains(sql, "{") || strings.Contains(e.Word, "'"):
				t.Errorf("%s: %s", e.Word, sql)
			case sql != "" && e.Here == "" || strings.Contains(e.Here, "SQL"):
				t.Errorf("%s: %q", e.Word, e.Here)
			case sql != "":
				asked++
			}
		}
	}
	if asked < 300 {
		t.Errorf("%d words were asked for", asked)
	}
}

// .help and .explain of a word show its whole entry, with the figures of the recording.
func TestHelpShowsTheEntry(t *testing.T) {
	t.Parallel()
	r := openRecording(t, scene(t))
	if _, _, err := r.SetAt(t.Context(), began.Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{".help TIME_WAIT", ".explain TIME_WAIT"} {
		got, _ := screened(t, r, 10_000, 24, command)
		for _, want := range []string{"TIME_WAIT (state)  The connection is over", "  normal  Tens", "  worry   Nearly", "91 in TIME_WAIT; most go to 10.0.0.7 port 5432", "  next    SELECT "} {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", command, want, got)
			}
		}
	}
	got, _ := screened(t, r, 10_000, 24, ".help recv_q")
	if !strings.Contains(got, "the fullest has 677, of shopd") || !strings.Contains(got, "(sockets") {
		t.Errorf(".help recv_q:\n%s", got)
	}
}

// A recording of an older program shows the words of this one.
func TestGlossaryIsOfTheProgram(t *testing.T) {
	t.Parallel()
	path := scene(t)
	change(t, path, "UPDATE glossary_entry SET what = 'old'", "CREATE VIEW harmless AS SELECT 1") // a word of the glossary, and no table of ours
	r := openRecording(t, path)
	const question = "SELECT kind, what FROM glossary WHERE word = 'time-wait'"
	want := glossary.Find("TIME_WAIT")[0]
	if got := table(t, r.conn, question); len(got) != 2 || got[1][0] != "state" || got[1][1] != want.What {
		t.Errorf("%q", got)
	}
	if got := table(t, r.look, question); len(got) != 2 || got[1][1] != "old" { // or nothing was shown
		t.Errorf("in the file: %q", got)
	}
}

// However old the recording is, the figures come from short ranges of keys.
func TestHereKeepsToKeys(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for _, word := range []string{"TIME_WAIT", "CLOSE_WAIT", "ESTABLISHED", "LISTEN", "Recv-Q", "Send-Q", "0.0.0.0", "UG", "RX-DRP", "TCPTimeouts", "somaxconn", "FAILED", "UP", "conntrack", "NO_SOCKET"} {
		for _, name := range scans(t, r, glossary.Find(word)[0].HereSQL) {
			if strings.HasSuffix(name, "_span") || name == "sample" {
				t.Errorf("%s reads all of %s", word, name)
			}
		}
	}
}
