package main

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"netsql/store"
)

func TestMain(m *testing.M) {
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") != "netsql" && filepath.Base(os.Args[0]) != restrictTry { // the tests themselves, not the program in a transcript
		if err := os.Setenv("NETSQL_CONFIG", os.DevNull); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"netsql": main, restrictTry: tryRestricted})
}

// The transcripts in testdata/script are sessions with the real program. The recording they ask
// is made by "night FILE": an hour of a machine on which things go wrong; see night.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("NETSQL_UPDATE") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("NETSQL_CONFIG", os.DevNull)
			e.Setenv("NETSQL_DB", filepath.Join(e.WorkDir, "default.db"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"night":  func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(night(ts.MkAbs(args[0]))) },
			"damage": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(damage(ts.MkAbs(args[0]))) },
			"rootpage": func(ts *testscript.TestScript, _ bool, args []string) { // into $ROOT: where a table begins
				root, err := pageOf(ts.MkAbs(args[0]), "SELECT rootpage FROM sqlite_schema WHERE name = ?", args[1])
				ts.Check(err)
				ts.Setenv("ROOT", strconv.Itoa(root))
			},
			"leafpage": func(ts *testscript.TestScript, _ bool, args []string) { // into $LEAF: the first that has rows of a table
				leaf, err := pageOf(ts.MkAbs(args[0]), "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path LIMIT 1", args[1])
				ts.Check(err)
				ts.Setenv("LEAF", strconv.Itoa(leaf))
			},
			"zero": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(zero(ts.MkAbs(args[0]), args[1:])) },
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, strconv.ErrSyntax
		},
	})
}

// nightStart is 2026-11-23 03:00:00 UTC.
var nightStart = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)

// night writes a recording of an hour, a sample every 10 s: at 03:14 the default route moves to another
// gateway and at 03:20 back; from 03:30 eth0 drops what it receives; leakd forgets to close a connection every
// minute, while webd is busy and healthy; between 03:40 and 03:45 the recorder was stopped. About 03:14 somebody deploys: a
// note, a setting, a listener for two minutes, and connections that the listener's full queue turns away.
func night(path string) error { return nightUntil(path, time.Hour, func() {}) }

// nightUntil writes the begin of the night, until so long after 03:00. written is called after the last sample, before the recorder stops.
func nightUntil(path string, end time.Duration, written func()) error {
	ctx := context.Background()
	var w *store.Writer
	var n nightSets
	open := func() (err error) {
		w, err = store.Create(ctx, store.Options{
			Path: path, Interval: 10 * time.Second, Version: "test",
			Boot: store.Boot{ID: "6c1d", Host: "web1", MachineID: "m", Kernel: "6.1.0-28-amd64", Started: nightStart.Add(-240 * time.Hour)},
		})
		if err == nil {
			n = newNightSets(w)
		}
		return err
	}
	if err := open(); err != nil {
		return err
	}
	for i := range int(end/(10*time.Second)) + 1 {
		at := time.Duration(i) * 10 * time.Second
		if minute := at.Minutes(); minute > 40 && minute < 45 {
			continue
		}
		if at == 45*time.Minute {
			if err := w.Close(ctx); err != nil {
				return err
			}
			if err := open(); err != nil {
				return err
			}
		}
		up := 240*time.Hour + at
		w.Begin(store.Clock{Wall: nightStart.Add(at), Uptime: up, Awake: up})
		n.put(i, at)
		if err := w.Commit(ctx, store.Cost{CPU: time.Duration(i) * 5 * time.Millisecond, RSS: 24 << 20}); err != nil {
			return err
		}
	}
	written()
	if err := w.Close(ctx); err != nil {
		return err
	}
	return store.AddNote(ctx, path, nightStart.Add(13*time.Minute+45*time.Second), "deploy 1.4", "ann")
}

// nightSets are the tables that the night fills.
type nightSets struct {
	tcp, rest *store.Source
	processes *store.Set[store.ProcessID, store.Process]
	sockets   *store.Set[store.SocketID, store.Socket]
	counts    *store.Set[store.SocketCountID, store.SocketCount]
	trends    *store.Set[store.SocketCountID, store.SocketTrend]
	routes    *store.Set[store.RouteID, store.Route]
	rules     *store.Set[store.RuleID, store.Rule]
	addresses *store.Set[store.AddressID, store.Address]
	links     *store.Set[store.InterfaceID, store.Interface]
	counters  *store.Set[store.InterfaceID, store.InterfaceCounters]
	settings  *store.Set[store.SettingID, store.Setting]
	protocol  *store.Set[store.ProtocolCounterID, store.ProtocolCounter]
	closes    *store.LogSet[store.Close]
}

func newNightSets(w *store.Writer) nightSets {
	n := nightSets{tcp: w.Source("tcp4"), rest: w.Source("rtnetlink")}
	n.processes, n.sockets = store.NewSet(n.tcp, store.Processes), store.NewSet(n.tcp, store.Sockets)
	n.counts, n.trends = store.NewSet(n.tcp, store.SocketCounts), store.NewSet(n.tcp, store.SocketTrends)
	n.routes, n.rules, n.addresses = store.NewSet(n.rest, store.Routes), store.NewSet(n.rest, store.Rules), store.NewSet(n.rest, store.Addresses)
	n.links, n.counters = store.NewSet(n.rest, store.Interfaces), store.NewSet(n.rest, store.InterfaceCountersTable)
	n.settings, n.protocol = store.NewSet(n.rest, store.Settings), store.NewSet(n.rest, store.ProtocolCounters)
	n.closes = store.NewLog(n.tcp, store.Closes)
	return n
}

func (n nightSets) put(i int, at time.Duration) {
	ns := store.Of(4026531840)
	n.tcp.Read(func() error {
		process := func(pid int, comm string) store.Ref {
			id := store.ProcessID{PID: store.Of(pid), Started: 1763800000, Comm: comm, Exe: "/usr/sbin/" + comm, Cmdline: comm + " --config /etc/" + comm + ".conf"}
			return n.processes.Put(id, store.Process{PPID: store.Of(1), User: comm, Unit: comm + ".service"}).Ref()
		}
		socket := func(owner store.Ref, port, remote, cookie int, state string, sent int64) {
			id := store.SocketID{
				NetNS: ns, Proto: "tcp", Family: store.Of(4), Type: "stream", LocalAddr: "10.0.0.5", LocalPort: store.Of(port),
				RemoteAddr: "10.0.7." + strconv.Itoa(1+remote%250), RemotePort: store.Of(40000 + remote), Inode: store.Of(5000 + cookie), Cookie: store.Of(cookie),
			}
			v := store.Socket{
				State: state, Process: owner, UID: store.Of(33), User: "www-data", Timer: "off", MSS: store.Of(1448),
				RecvQ: store.Of(0), SendQ: store.Of(0), BytesSent: store.Of(sent), BytesReceived: store.Of(sent / 10), Retransmits: store.Of(0), RTT: store.Of(850),
			}
			if state == "LISTEN" {
				id.RemoteAddr, id.RemotePort, id.LocalAddr = "0.0.0.0", store.Of(0), "0.0.0.0"
				v.SendQ, v.BytesSent, v.BytesReceived, v.Retransmits, v.RTT = store.Of(128), store.Int{}, store.Int{}, store.Int{}, store.Int{}
			}
			n.sockets.Put(id, v)
		}
		count := func(owner store.Ref, state string, count int, oldest time.Time) {
			id := store.SocketCountID{NetNS: ns, Process: owner, Proto: "tcp", Family: store.Of(4), State: state}
			n.counts.Put(id, store.SocketCount{Count: store.Of(count), RecvQ: store.Of(0), SendQ: store.Of(0), Oldest: store.Of(oldest.Unix())})
			n.trends.Put(id, store.SocketTrend{Count: store.Of(count)})
		}
		leakd, webd := process(812, "leakd"), process(455, "webd")
		socket(leakd, 9000, 0, 1, "LISTEN", 0)
		socket(webd, 443, 0, 2, "LISTEN", 0)
		leaked := int(at.Minutes())
		for k := range leaked {
			socket(leakd, 9000, k, 100+k, "CLOSE_WAIT", 512)
		}
		if leaked > 0 {
			count(leakd, "CLOSE_WAIT", leaked, nightStart.Add(time.Minute))
		}
		// webd's customers stay for a minute each; there are more or fewer of them, without a trend.
		busy := 20 + (i*7)%11
		for k := range busy {
			socket(webd, 443, 1000+i/6*20+k, 1000+i/6*40+k, "ESTABLISHED", int64(i%6)*1000)
		}
		// One of those of the last minute is closed as the kernel tells it, the others between two samples.
		if i%6 == 0 && i > 0 {
			n.closes.Add(240*time.Hour+at-2500*time.Millisecond, store.Close{
				NetNS: ns, Proto: "tcp", Family: store.Of(4), LocalAddr: "10.0.0.5", LocalPort: store.Of(443),
				RemoteAddr: "10.0.7." + strconv.Itoa(1+(1000+(i/6-1)*20)%250), RemotePort: store.Of(41000 + (i/6-1)*20), Cookie: store.Of(1000 + (i/6-1)*40),
				Process: webd, OwnerHow: "cookie", BytesSent: store.Of(5000), BytesReceived: store.Of(500),
			})
		}
		if m := at.Minutes(); m >= 13.5 && m < 16 {
			socket(process(9001, "deployd"), 8080, 0, 3, "LISTEN", 0)
		}
		count(webd, "ESTABLISHED", busy, nightStart.Add(at.Truncate(time.Minute)))
		count(leakd, "LISTEN", 1, nightStart)
		count(webd, "LISTEN", 1, nightStart)
		return nil
	})
	n.rest.Read(func() error {
		gateway := "10.0.0.1"
		if m := at.Minutes(); m >= 14 && m < 20 {
			gateway = "10.0.0.254"
		}
		n.routes.Put(store.RouteID{NetNS: ns, Family: store.Of(4), TableID: store.Of(254), Dst: "0.0.0.0/0", TOS: store.Of(0), Metric: store.Of(100), Dev: "eth0", Nth: store.Of(0)},
			store.Route{TableName: "main", Gateway: gateway, Protocol: "dhcp", Scope: "global", Type: "unicast"})
		for i, table := range []string{"local", "main", "default"} {
			for family := range 2 {
				n.rules.Put(store.RuleID{NetNS: ns, Family: store.Of(4 + 2*family), Priority: store.Of([]int{0, 32766, 32767}[i]), Nth: store.Of(0)},
					store.Rule{Action: "lookup", TableID: store.Of(255 - i), TableName: table, Protocol: "kernel"})
			}
		}
		n.addresses.Put(store.AddressID{NetNS: ns, Dev: "eth0", IfIndex: store.Of(2), Family: store.Of(4), Addr: "10.0.0.5", PrefixLen: store.Of(24)},
			store.Address{Scope: "global", Flags: "permanent"})
		eth0 := store.InterfaceID{NetNS: ns, IfIndex: store.Of(2), Name: "eth0"}
		n.links.Put(eth0, store.Interface{Type: "ether", MAC: "52:54:00:12:34:56", MTU: store.Of(1500), OperState: "UP", Flags: "UP,BROADCAST,RUNNING,MULTICAST"})
		c := store.InterfaceCounters{RxBytes: store.Of(1_000_000 + 50_000*i), RxPackets: store.Of(10_000 + 100*i), RxErrors: store.Of(0), RxDropped: store.Of(3)}
		if m := at.Minutes(); m >= 30 {
			c.RxDropped = store.Of(3 + 7*(i-180))
		}
		n.counters.Put(eth0, c)
		backlog, overflows := "128", 0
		if m := at.Minutes(); m >= 14 {
			backlog, overflows = "4096", min(54, 9*(i-84))
		}
		n.settings.Put(store.SettingID{NetNS: ns, Name: "net.core.somaxconn"}, store.Setting{Value: backlog})
		counter := func(file, proto, name string, value int) {
			n.protocol.Put(store.ProtocolCounterID{NetNS: ns, File: file, Proto: proto, Name: name}, store.ProtocolCounter{Kind: "counter", Value: store.Of(value)})
		}
		counter("netstat", "TcpExt", "ListenOverflows", overflows)
		counter("snmp", "Tcp", "PassiveOpens", 5*i+i%7)
		counter("snmp", "Tcp", "RetransSegs", 2*i+i%3)
		return nil
	})
}

// pageOf is the page that the question names, which is asked about a table.
func pageOf(path, question, table string) (page int, err error) {
	db, err := sql.Open("sqlite", store.DSN(path))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRow(question, table).Scan(&page)
	return page, err
}

// zero overwrites pages of a file, given by their numbers, with zeros.
func zero(path string, numbers []string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, number := range numbers {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(make([]byte, 1024), (n-1)*1024); err != nil {
			return err
		}
	}
	return nil
}

// damage overwrites the pages of a file, but for the first.
func damage(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	copy(data[1024:], strings.Repeat("\xff", len(data)-1024))
	return os.WriteFile(path, data, 0o600)
}
