package query

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each fault has a healthy look-alike.
func TestStandsOut(t *testing.T) {
	t.Parallel()
	unknown := math.NaN()
	for _, test := range []struct {
		name    string
		counter string
		n       float64
		before  float64 // growth in the stretch before,
		times   float64 // so many times as long
		want    bool
	}{
		{"an error that never was", "ListenOverflows", 1, 0, 30, true},
		{"an error of which nothing is known before", "rx_dropped", 3, unknown, 0, true},
		{"no error", "ListenOverflows", 0, 0, 30, false},
		{"retransmits ten times as many", "RetransSegs", 400, 1200, 30, true},
		{"retransmits as ever", "RetransSegs", 55, 1200, 30, false},
		{"twice as many retransmits", "RetransSegs", 80, 1200, 30, false},
		{"a rare error once more", "TCPTimeouts", 3, 20, 30, false},
		{"many connections at once", "PassiveOpens", 5000, 6000, 30, true},
		{"a job of every ten minutes", "ActiveOpens", 50, 300, 30, false},
		{"the first few connections of the hour", "ActiveOpens", 12, 0, 30, false},
		{"connections of which nothing is known before", "PassiveOpens", 5000, unknown, 0, false},
		{"a flood of packets", "rx_packets", 5_000_000, 3_000_000, 30, true},
		{"somebody copies a file", "rx_bytes", 60 << 20, 200 << 20, 30, false},
		{"an idle machine is logged into", "InSegs", 400, 300, 30, false},
		{"a short look before, and chance", "TCPTimeouts", 8, 1, 0.5, false},
		{"acknowledgements are no errors", "DelayedACKs", 900, 0, 30, false},
		{"a counter that fell", "ListenDrops", -5, 10, 30, false},
		{"an error after which nobody looked before", "ListenDrops", 1, 5, 0, true},
		{"a burst that chance explains", "TCPTimeouts", 7, 30, 30, false},
		{"a burst that it does not", "TCPTimeouts", 9, 30, 30, true},
		{"a burst after a short look", "TCPTimeouts", 13, 1, 0.5, false},
		{"a few bytes where there were none", "rx_bytes", 500_000, 0, 30, false},
		{"many bytes where there were none", "rx_bytes", 2 << 20, 0, 30, true},
	} {
		if got := standsOut(classOf(test.counter), bytesCounter(test.counter), test.n, test.before, test.times); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]counterClass{
		"table_fulls": troubleCounter, "unresolved_discards": troubleCounter, "XfrmInNoStates": troubleCounter, "invalid": troubleCounter, "forced_gc_runs": eventCounter,
		"lookups": volumeCounter, "hits": volumeCounter, "found": volumeCounter, "TCPDelivered": volumeCounter,
		"ListenDrops": troubleCounter, "rx_missed_errors": troubleCounter, "RetransSegs": troubleCounter, "tx_dropped": troubleCounter,
		"OutRsts": troubleCounter, "InCsumErrors": troubleCounter, "time_squeeze": troubleCounter, "RcvbufErrors": troubleCounter, "early_drops": troubleCounter,
		"PassiveOpens": eventCounter, "TW": eventCounter,
		"InOctets": volumeCounter, "rx_bytes": volumeCounter, "OutSegs": volumeCounter, "TCPHPHits": volumeCounter, "TCPBacklogCoalesce": volumeCounter,
		"processed": volumeCounter, "multicast": volumeCounter, "InNoECTPkts": volumeCounter,
	} {
		if got := classOf(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}

func TestAroundArgs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	night := time.Date(2026, 11, 23, 3, 14, 0, 0, time.UTC)
	for _, test := range []struct {
		arg    string
		moment time.Time
		span   time.Duration
		err    bool
	}{
		{"03:14", night, time.Minute, false},
		{"03:14 60s", night, time.Minute, false},
		{"03:14 5 minutes", night, 5 * time.Minute, false},
		{"2026-11-23 03:14 2m", night, 2 * time.Minute, false},
		{"'today 03:14' 2m", night, 2 * time.Minute, false},
		{"10m ago", now.Add(-10 * time.Minute), time.Minute, false},
		{"10m ago 30s", now.Add(-10 * time.Minute), 30 * time.Second, false},
		{"now", now, time.Minute, false},
		{"1795403640 1h", night, time.Hour, false},
		{"", time.Time{}, 0, true},
		{"quarter past", time.Time{}, 0, true},
	} {
		moment, span, err := aroundArgs(test.arg, now)
		if (err != nil) != test.err || err == nil && (!moment.Equal(test.moment) || span != test.span) {
			t.Errorf("%q: %v ± %v, %v; want %v ± %v", test.arg, moment, span, err, test.moment, test.span)
		}
	}
}

func TestDiffArgs(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	clock := func(h, m int) time.Time { return time.Date(2026, 11, 23, h, m, 0, 0, time.UTC) }
	for _, test := range []struct {
		arg      string
		from, to time.Time
		err      bool
	}{
		{"03:10 03:20", clock(3, 10), clock(3, 20), false},
		{"2026-11-23 03:10 2026-11-23 03:20", clock(3, 10), clock(3, 20), false},
		{"'2026-11-23 03:10' now", clock(3, 10), now, false},
		{"10m ago now", now.Add(-10 * time.Minute), now, false},
		{"yesterday 14:00 15m ago", clock(14, 0).AddDate(0, 0, -1), now.Add(-15 * time.Minute), false},
		{"03:10", now, now, true},
		{"03:10 quarter", now, now, true},
		{"03:10 yesterday 03:20", now, now, true}, // the day of which?
		{"", now, now, true},
	} {
		from, to, err := diffArgs(test.arg, now)
		if (err != nil) != test.err || err == nil && (!from.Equal(test.from) || !to.Equal(test.to)) {
			t.Errorf("%q: %v, %v, %v; want %v, %v", test.arg, from, to, err, test.from, test.to)
		}
	}
}

func TestSumUp(t *testing.T) {
	t.Parallel()
	socket := func(ts float64, event, comm, what string) happening {
		return happening{ts: ts, object: "socket", event: event, comm: comm, pid: int64(7), what: what, now: "ESTABLISHED", count: 1}
	}
	all := []happening{
		socket(1, "opened", "webd", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51712"),
		{ts: 1.5, object: "note", event: "written", what: "deploy", count: 1},
		socket(2, "opened", "webd", "tcp [::1]:443 ↔ [::2]:51713"),
		socket(3, "opened", "webd", "tcp 10.0.0.5:40000 ↔ 10.0.7.9:5432"),
		socket(4, "opened", "webd", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51714"),
		socket(5, "opened", "webd", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51715"),
		{ts: 6, object: "socket", event: "closed", comm: "webd", pid: int64(7), what: "1,234 × tcp 10.0.0.5:443 ↔ *:*", count: 1234},
		socket(7, "state", "sh", "unix /run/x"), socket(8, "state", "sh", "unix /run/y"), socket(9, "state", "sh", "unix /run/z"), // three stand alone
	}
	for range 5 {
		all = append(all, happening{ts: 10, object: "gap", event: "began", what: "late", count: 1})
	}
	var got []string
	for _, h := range sumUp(all) {
		got = append(got, h.what)
	}
	want := []string{
		"4 × tcp to :443 (https), until " + unixTime(5).Format("15:04:05"), "deploy", "tcp 10.0.0.5:40000 ↔ 10.0.7.9:5432", "1,234 × tcp 10.0.0.5:443 ↔ *:*",
		"unix /run/x", "unix /run/y", "unix /run/z", "late", "late", "late", "late", "late",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What goes together counts all of it, and has no process where it was several.
func TestLikeness(t *testing.T) {
	t.Parallel()
	of := func(pid int64, comm, event, what string, count int64) happening {
		return happening{ts: float64(pid), object: "socket", event: event, pid: pid, comm: comm, what: what, was: "ESTABLISHED", now: "CLOSE_WAIT", count: count}
	}
	all := []happening{
		of(1, "webd", "closed", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51712", 1), of(2, "webd", "closed", "12 × tcp 10.0.0.5:443 ↔ *:*", 12),
		of(3, "curl", "closed", "tcp 10.0.0.5:40000 ↔ 10.0.7.9:80", 1), of(3, "curl", "closed", "tcp 10.0.0.5:40001 ↔ 10.0.7.9:80", 1),
		of(4, "sh", "state", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51713", 1), of(5, "nc", "state", "tcp 10.0.0.5:443 ↔ 10.0.7.9:51714", 1),
	}
	for _, test := range []struct {
		by   likeness
		want []string
	}{
		{likeness{comm: true, port: true, netns: true, alone: 1}, []string{
			"<nil> webd 13 13 × tcp to :443 (https)", "3 curl 2 2 × tcp from here to :80 (http)", "4 sh 1 tcp 10.0.0.5:443 ↔ 10.0.7.9:51713", "5 nc 1 tcp 10.0.0.5:443 ↔ 10.0.7.9:51714"}},
		{likeness{port: true, alone: 1}, []string{
			"<nil> webd 13 13 × tcp to :443 (https)", "3 curl 2 2 × tcp from here to :80 (http)", "<nil> <nil> 2 2 × ESTABLISHED → CLOSE_WAIT, tcp to :443 (https)"}},
		{likeness{alone: 1}, []string{"<nil> <nil> 15 15 × tcp sockets", "<nil> <nil> 2 2 × tcp sockets"}},
	} {
		var got []string
		for _, h := range test.by.sumUp(all) {
			what, _, _ := strings.Cut(h.what, ", until")
			got = append(got, fmt.Sprintf("%v %v %d %s", h.pid, h.comm, h.count, what))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", test.by, diff)
		}
	}
	for _, test := range []struct {
		local, remote int
		want          string
	}{{443, 51712, "to :443 (https)"}, {51712, 443, "from here to :443 (https)"}, {443, 0, "to :443 (https)"}, {0, 443, "from here to :443 (https)"}, {0, 0, "of many ports"}} {
		if got := serviceEnd("tcp", test.local, test.remote); got != test.want {
			t.Errorf("%d and %d: %s, want %s", test.local, test.remote, got, test.want)
		}
	}
	for _, test := range []struct {
		h    happening
		want string
	}{
		{happening{ts: 1, object: "counter", event: "grew", was: "1 before", now: "+5"}, "+5, 1 before"},
		{happening{ts: 1, object: "setting", event: "changed", was: "128", now: "4096"}, "128 → 4096"},
		{happening{ts: 1, object: "route", event: "added", now: "gateway=a"}, ""},
		{happening{ts: 1, object: "route", event: "removed", was: "gateway=a"}, ""},
		{happening{object: "route", event: "added", now: "gateway=a"}, "gateway=a"},
		{happening{object: "route", event: "removed", was: "gateway=a"}, "was gateway=a"},
		{happening{ts: 1, object: "socket", event: "opened", now: "ESTABLISHED"}, "ESTABLISHED"},
	} {
		if got := test.h.change(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.h, got, test.want)
		}
	}
}

func TestOutsideWindow(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 23, 4, 0, 0, 0, time.UTC)
	since, now := until.Add(-time.Hour), until.Add(5*time.Second)
	for statement, want := range map[string]bool{
		"SELECT * FROM events WHERE ts > ts('2026-11-23 02:00Z')":                     true,
		"SELECT * FROM events WHERE ts > ago('1d')":                                   true,
		"SELECT * FROM events WHERE ts > ts('2026-11-23 03:30Z')":                     false,
		"SELECT * FROM events WHERE ts > ago('10m')":                                  false,
		"SELECT * FROM sockets WHERE ts = at('2026-11-23 02:00Z')":                    false,
		"SELECT * FROM events WHERE what = ts('nonsense') AND now = upper('x') -- ts": false,
		"SELECT * FROM events":                                                        false,
		"":                                                                            false,
	} {
		got := ""
		if view := windowedIn(statement); view != "" {
			got = outsideWindow(view, statement, since, until, now)
		}
		if (got != "") != want {
			t.Errorf("%s: %q", statement, got)
		}
	}
}
