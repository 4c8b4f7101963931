package query

import (
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// growth says what counters stand at, by minutes since the boot; between two moments they stand still.
var growth = map[string]map[int]int{
	"eth0 rx_dropped":        {81: 4, 82: 5},                        // never before
	"eth0 tx_dropped":        {80: 9},                               // just before the window
	"eth0 rx_bytes":          {80: 30 << 20, 82: 130 << 20},         // a flood
	"eth0 rx_missed_errors":  {20: 2},                               // long before
	"eth1 rx_errors":         {0: 100, 70: 10, 82: 13},              // fell meanwhile: what was before is not known
	"eth1 tx_errors":         {0: 100, 80: 130, 81: 140, 82: 180},   // far more than before
	"Tcp RetransSegs":        {20: 0, 80: 3000, 81: 3100, 82: 3400}, // more of them, but less of a surprise
	"Tcp PassiveOpens":       {20: 0, 80: 60, 81: 61, 82: 160},      // no error, whatever the surprise
	"Tcp ActiveOpens":        {20: 0, 80: 6000, 81: 6100, 82: 6200}, // as ever
	"softnet dropped of 0":   {81: 2},                               // both CPUs are one counter
	"softnet dropped of 1":   {82: 3},                               //
	"conntrack early_drops":  {0: 7, 81: 8, 82: 12},                 //
	"qdisc dropped":          {0: 7, 82: 11},                        //
	"nic rx missed":          {0: 7, 20: 12},                        // of a card: an error
	"nic rx bytes":           {0: 7, 20: 1 << 30},                   // traffic, or a gauge
	"qdisc bytes_sent":       {0: 7, 82: 1 << 30},                   // which those of its interface say
	"udp 10.0.0.5 53":        {0: 10, 81: 12, 82: 14},               // drops of sockets
	"tcp :: 443":             {0: 0, 82: 3},                         //
	"udp 10.0.0.5 54":        {81: 2},                               // made in the window
	"Icmp InErrors and more": {0: 5, 83: 6},                         // thirteen of them
}

// stands is what a counter stands at.
func stands(name string, minute int) (n int) {
	last := -1
	for m, value := range growth[name] {
		if m <= minute && m > last {
			n, last = value, m
		}
	}
	return n
}

// outlying records what growth says, behind a sample of another boot.
func outlying(t *testing.T) (r *Recording, minute func(m float64) float64) {
	t.Helper()
	d := newDiary(t, began)
	var named store.Ref
	sample := func(m int, put func()) {
		t.Helper()
		d.wall = began.Add(time.Duration(m) * time.Minute)
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: time.Duration(100+m) * time.Minute, Awake: time.Duration(100+m) * time.Minute})
		d.owners.Read(func() error {
			named = d.processes.Put(store.ProcessID{PID: store.Of(10), Started: 1.6e9, Comm: "named"}, store.Process{}).Ref()
			return nil
		})
		d.net.Read(func() error { put(); return nil })
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.start()
	sample(-10, func() {})
	d.stop()
	d.boot = 2
	d.start()
	protocol, softnet := store.NewSet(d.net, store.ProtocolCounters), store.NewSet(d.net, store.SoftnetCounters)
	conntrack, sockets := store.NewSet(d.net, store.Conntracks), store.NewSet(d.net, store.Sockets)
	qdiscs, nics := store.NewSet(d.net, store.Qdiscs), store.NewSet(d.net, store.NICCounters)
	for _, m := range []int{0, 20, 70, 80, 81, 82, 83} {
		sample(m, func() {
			at := func(name string) store.Int { return store.Of(stands(name, m)) }
			for i, name := range []string{"eth0", "eth1"} {
				d.counters.Put(store.InterfaceID{NetNS: store.Of(1), IfIndex: store.Of(2 + i), Name: name}, store.InterfaceCounters{
					RxBytes: at(name + " rx_bytes"), RxDropped: at(name + " rx_dropped"), TxDropped: at(name + " tx_dropped"), RxErrors: at(name + " rx_errors"),
					TxErrors: at(name + " tx_errors"), RxMissedErrors: at(name + " rx_missed_errors")})
			}
			count := func(proto, name string, n store.Int) {
				protocol.Put(store.ProtocolCounterID{NetNS: store.Of(1), File: "snmp", Proto: proto, Name: name}, store.ProtocolCounter{Kind: "counter", Value: n})
			}
			for _, name := range []string{"RetransSegs", "PassiveOpens", "ActiveOpens"} {
				count("Tcp", name, at("Tcp "+name))
			}
			for i := range 13 {
				count("Icmp", fmt.Sprintf("InErrors%d", i), store.Of(stands("Icmp InErrors and more", m)+i*max(0, m-82)))
			}
			for cpu := range 2 {
				softnet.Put(store.SoftnetID{CPU: store.Of(cpu)}, store.Softnet{Dropped: at(fmt.Sprintf("softnet dropped of %d", cpu))})
			}
			for _, name := range []string{"rx missed", "rx bytes"} {
				nics.Put(store.NICCounterID{NetNS: store.Of(1), IfIndex: store.Of(2), Interface: "ferry0", Name: name}, store.NICCounter{Value: at("nic " + name)})
			}
			qdiscs.Put(store.QdiscID{NetNS: store.Of(1), Dev: "eth0", IfIndex: store.Of(2), Handle: "1:", Parent: "root"},
				store.Qdisc{Kind: "tbf", Dropped: at("qdisc dropped"), Bytes: at("qdisc bytes_sent"), Packets: at("qdisc bytes_sent")})
			conntrack.Put(store.ConntrackID{NetNS: store.Of(7)}, store.Conntrack{EarlyDrops: at("conntrack early_drops")})
			for i, name := range []string{"udp 10.0.0.5 53", "tcp :: 443", "udp 10.0.0.5 54"} {
				var id store.SocketID
				var port int
				fmt.Sscan(name, &id.Proto, &id.LocalAddr, &port)
				id.NetNS, id.LocalPort, id.RemotePort, id.Cookie = store.Of(1), store.Of(port), store.Of(0), store.Of(i)
				if port != 54 || m > 80 {
					sockets.Put(id, store.Socket{State: "CLOSE", Process: named, Drops: at(name)})
				}
			}
		})
	}
	d.stop()
	return openRecording(t, d.path), func(m float64) float64 { return unixSeconds(began) + m*60 }
}

// What stood out in a window is told with what it did before, the worst first, and at the sample in which it grew most; what grew as ever is not.
func TestOutliers(t *testing.T) {
	t.Parallel()
	r, minute := outlying(t)
	windows := []struct {
		since, until float64 // in minutes, as all here
		begin, end   float64
		first        float64
		more         int
		want         []string
	}{
		{80.5, 82.5, 80, 82, 20, 0, []string{
			"0 eth1 tx_errors at 82: 30 in the 1h before, +50 in 2m",
			"0 Tcp RetransSegs at 82: 3,000 in the 1h before, +400 in 2m",
			"0 conntrack early_drops at 82: 0 in the 1h before, +5 in 2m",
			"0 eth0 rx_dropped at 81: 0 in the 1h before, +5 in 2m",
			"0 softnet dropped at 82: 0 in the 1h before, +5 in 2m",
			"0 drops of udp 10.0.0.5:53 at 81: 0 in the 1h before, +4 in 2m, by named 10",
			"0 qdisc tbf eth0 root dropped at 82: 0 in the 1h before, +4 in 2m",
			"0 drops of tcp [::]:443 at 82: 0 in the 1h before, +3 in 2m, by named 10",
			"0 eth1 rx_errors at 82: not known before, +3 in 2m",
			"0 drops of udp 10.0.0.5:54 at 81: 0 in the 1h before, +2 in 2m, by named 10",
			"1 Tcp PassiveOpens at 82: 60 in the 1h before, +100 in 2m",
			"2 eth0 rx_bytes at 82: 30.0 MiB in the 1h before, +100.0 MiB in 2m",
		}},
		// A machine that was just started has nothing before.
		{-0.5, 20.5, 0, 20, 0, 0, []string{"0 nic ferry0 rx missed at 20: not known before, +5 in 20m", "0 eth0 rx_missed_errors at 20: not known before, +2 in 20m"}},
		{82.5, 83.5, 82, 83, 70, 1, []string{
			"0 Icmp InErrors12 at 83: 0 in the 12m before, +13 in 1m", "0 Icmp InErrors11 at 83: 0 in the 12m before, +12 in 1m",
			"0 Icmp InErrors10 at 83: 0 in the 12m before, +11 in 1m", "0 Icmp InErrors9 at 83: 0 in the 12m before, +10 in 1m",
			"0 Icmp InErrors8 at 83: 0 in the 12m before, +9 in 1m", "0 Icmp InErrors7 at 83: 0 in the 12m before, +8 in 1m",
			"0 Icmp InErrors6 at 83: 0 in the 12m before, +7 in 1m", "0 Icmp InErrors5 at 83: 0 in the 12m before, +6 in 1m",
			"0 Icmp InErrors4 at 83: 0 in the 12m before, +5 in 1m", "0 Icmp InErrors3 at 83: 0 in the 12m before, +4 in 1m",
			"0 Icmp InErrors2 at 83: 0 in the 12m before, +3 in 1m", "0 Icmp InErrors1 at 83: 0 in the 12m before, +2 in 1m",
		}},
	}
	for _, w := range windows {
		c, ok, err := r.compare(t.Context(), minute(w.since), minute(w.until))
		if err != nil || !ok {
			t.Fatalf("%g to %g: %v, %v", w.since, w.until, ok, err)
		}
		span := func(from, to float64) time.Duration { return time.Duration((to - from) * float64(time.Minute)) }
		want := comparison{minute(w.begin), minute(w.end), minute(w.first), span(w.begin, w.end), span(w.first, w.begin)}
		if c != want {
			t.Errorf("%g to %g compares %+v, want %+v", w.since, w.until, c, want)
		}
		found, more, err := r.outliers(t.Context(), c)
		if err != nil || more != w.more {
			t.Errorf("%g to %g: %d more, %v, want %d", w.since, w.until, more, err, w.more)
		}
		var got []string
		for _, o := range found {
			was, now := o.texts(c.before, c.within)
			line := fmt.Sprintf("%d %s at %.0f: %s, %s", o.class, o.key.what, (o.ts-minute(0))/60, was, now)
			if o.pid != nil {
				line += fmt.Sprintf(", by %v %v", o.comm, o.pid)
			}
			got = append(got, line)
		}
		if diff := cmp.Diff(w.want, got); diff != "" {
			t.Errorf("%g to %g (-want +got):\n%s", w.since, w.until, diff)
		}
	}
	for _, none := range [][2]float64{{-20, -9}, {20.5, 69}, {84, 90}} { // one sample, or none
		if c, ok, err := r.compare(t.Context(), minute(none[0]), minute(none[1])); ok || err != nil {
			t.Errorf("%v compares %+v, %v", none, c, err)
		}
	}
	t.Run("around", func(t *testing.T) { aroundTellsOfCounters(t, r, minute) })
}

// In .around outliers stand among the events, by their times, and what is not shown is said.
func aroundTellsOfCounters(t *testing.T, r *Recording, minute func(m float64) float64) {
	notes := func(n int, minute float64) { // of a minute, one each millisecond
		db, err := sql.Open("sqlite", "file:"+r.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(fmt.Sprintf("WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO note (ts, text, user, written) SELECT %f + i / 1000.0, 'note ' || i, 'ann', 1 FROM n", n, minute)); err != nil {
			t.Fatal(err)
		}
	}
	notes(1, minute(81.5))
	notes(aroundRows+1, minute(60))
	notes(aroundMost+1, minute(65))
	around := func(m float64, span string) (rows [][]string, noted string) {
		out, noted := said(t, r, ".times unix", fmt.Sprintf(".around %f %s", minute(m), span))
		for _, line := range strings.Split(strings.TrimSuffix(out, "\n"), "\n")[1:] { // the first has the names of the columns
			rows = append(rows, strings.Split(line, ","))
		}
		return rows, noted
	}
	rows, noted := around(81.5, "1m")
	if want := "; the next sample is of " + localTime(began.Add(82*time.Minute)); !strings.Contains(noted, want) {
		t.Errorf("not %q: %s", want, noted)
	}
	var got []string
	for _, row := range rows {
		if row[1] == "counter" || row[1] == "note" {
			ts, err := strconv.ParseFloat(row[0], 64)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%.1f %s in %s", (ts-minute(0))/60, row[3], row[len(row)-1]))
		}
	}
	want := []string{"81.0 eth0 rx_dropped in 1", "81.0 drops of udp 10.0.0.5:53 in 1", "81.0 drops of udp 10.0.0.5:54 in 1", "81.5 note 1 in ", "82.0 eth1 tx_errors in 1",
		"82.0 Tcp RetransSegs in 1", "82.0 conntrack early_drops in 7", "82.0 softnet dropped in ", "82.0 qdisc tbf eth0 root dropped in 1", "82.0 drops of tcp [::]:443 in 1", "82.0 eth1 rx_errors in 1",
		"82.0 Tcp PassiveOpens in 1", "82.0 eth0 rx_bytes in 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		minute float64
		span   string
		lines  int // of counters and notes
		said   string
		not    string
	}{
		{75, "10s", 0, "note: nothing happened from ", "error:"},
		{82, "10s", 6, "", "nothing happened"}, // no event, but counters
		{83, "10s", 12, "note: 1 counter more stood out less: ", "nothing happened"},
		{60, "10s", aroundRows + 1, "", "summed up"}, // each has its own words
		{65, "10s", aroundMost, "note: 201 events; these are the first 200 lines: ", "summed up"},
		{10, "11m", 2, "note: no sample of the same boot lies before", "error:"},
		{-10.1, "10s", 0, "", "error:"}, // it begins within the span
	} {
		rows, noted := around(c.minute, c.span)
		n := 0
		for _, row := range rows {
			if row[1] == "counter" || row[1] == "note" {
				n++
			}
		}
		if n != c.lines || !strings.Contains(noted, c.said) || strings.Contains(noted, c.not) {
			t.Errorf("around %g: %d lines, want %d; %s", c.minute, n, c.lines, noted)
		}
	}
}

// Dropped packets stand out by their reason: one that came up for the first time, and not one that there always is, or that is no loss. Where nobody
// looked before, before is not known.
func TestOutliersOfDrops(t *testing.T) {
	t.Parallel()
	d := newDiary(t, began)
	d.start()
	drops := d.w.Source("drops")
	dropped := store.NewSet(drops, store.PacketDrops)
	for m := range 20 {
		d.wall = began.Add(time.Duration(m) * time.Minute)
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: time.Duration(100+m) * time.Minute, Awake: time.Duration(100+m) * time.Minute})
		drops.Read(func() error {
			lose := func(reason, protocol string, n int) {
				dropped.Put(store.PacketDropID{Reason: reason, Protocol: protocol}, store.PacketDrop{Packets: store.Of(n), Estimated: store.Of(0)})
			}
			lose("NO_SOCKET", "IPv4", 10+m%2)
			switch m {
			case 3:
				return errors.New("for this once")
			case 15:
				lose("NETFILTER_DROP", "IPv4", 6)
			case 16:
				lose("NETFILTER_DROP", "IPv4", 4)
				lose("SOCKET_RCVBUFF", "", 3)
				lose("NOT_SPECIFIED", "IPv4", 1000)
			}
			return nil
		})
		if err := d.w.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	r := openRecording(t, d.path)
	at := func(m float64) float64 { return unixSeconds(began) + m*60 }
	for _, w := range []struct {
		since, until float64
		want         []string
	}{
		{14.5, 16.5, []string{"NETFILTER_DROP IPv4 dropped at 15: 0 in the 14m before, +10 in 2m", "SOCKET_RCVBUFF dropped at 16: 0 in the 14m before, +3 in 2m"}},
		{16.5, 18.5, nil},
		{3.5, 4.5, []string{"NO_SOCKET IPv4 dropped at 4: not known before, +10 in 1m"}},
	} {
		c, ok, err := r.compare(t.Context(), at(w.since), at(w.until))
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		found, _, err := r.outliers(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range found {
			was, now := o.texts(c.before, c.within)
			got = append(got, fmt.Sprintf("%s at %.0f: %s, %s", o.key.what, (o.ts-at(0))/60, was, now))
		}
		if diff := cmp.Diff(w.want, got); diff != "" {
			t.Errorf("%g to %g (-want +got):\n%s", w.since, w.until, diff)
		}
	}
}
