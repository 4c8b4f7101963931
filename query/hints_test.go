package query

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		statement string
		want      []string
	}{
		{"SELECT * FROM sockets WHERE ts = '14:48'", []string{"ts is a number of seconds, and '14:48' is a text, so they never meet: write ts = at('14:48')"}},
		{"SELECT count(*) FROM sockets s WHERE s.ts > '2026-11-23 14:48'", []string{"ts is a number of seconds, and '2026-11-23 14:48' is a text, so they never meet: write ts > ts('2026-11-23 14:48')"}},
		{"SELECT * FROM connections WHERE last_seen >= 'noon'", []string{"last_seen is a number of seconds, and 'noon' is a text, so they never meet: write last_seen >= ts('noon')"}},
		{"SELECT * FROM sockets WHERE ts = at('14:48') AND state = 'ESTAB'", []string{"no state is 'ESTAB'; did you mean 'ESTABLISHED'?"}},
		{"SELECT * FROM sockets_now WHERE state <> 'CLOSE-WAIT' OR state = 'listen'", []string{
			"no state is 'CLOSE-WAIT'; did you mean 'CLOSE_WAIT'?", "no state is 'listen'; did you mean 'LISTEN'?",
		}},
		{"SELECT * FROM routes_now WHERE dst = 'default'", []string{"the default route is dst = '0.0.0.0/0', and '::/0' of IPv6"}},
		{"SELECT * FROM route", []string{`route is one of the recording's own tables, from which the views are made; did you mean "routes"?`}},
		{"SELECT * FROM socket_span", []string{`socket_span is one of the recording's own tables, from which the views are made; did you mean "sockets"?`}},
		{"SELECT * FROM mine", nil},
		{"SELECT * FROM sockets WHERE ts = 1795445219.5 AND state = 'LISTEN' AND proto = 'tcp'", nil},
		{"SELECT 'ts = ''14:48''' AS state, ts FROM sockets_now -- state = 'ESTAB'", nil},
		{"SELECT * FROM protocol_counters_now WHERE proto = 'TcpExt' AND name = 'x'", nil},
		{"", nil},
		{"ts", nil},
		{"ts =", nil},
	} {
		if diff := cmp.Diff(test.want, hints(test.statement, none)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.statement, diff)
		}
	}
	if got := hints("SELECT * FROM route", func() []string { return []string{"route"} }); got != nil {
		t.Errorf("a table of the user's own: %v", got)
	}
}

func FuzzHints(f *testing.F) {
	f.Add("SELECT * FROM sockets WHERE ts = '14:48' AND state='x'")
	f.Add("state between 'a")
	f.Fuzz(func(_ *testing.T, statement string) { hints(statement, none) })
}

func TestIsTime(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"ts": true, "TS": true, "min(ts)": true, "max(last_seen)": true, "at('03:14')": true, "s.ts": true, "max(s.ts)": true, "first": true,
		"seen_at": true, "count(*)": false, "max(pid)": false, "pid": false, "localtime(ts)": false, "state": false, "": false,
	} {
		if got := isTime(name); got != want {
			t.Errorf("isTime(%q) = %v", name, got)
		}
	}
}

// none are no tables of the user's own.
func none() []string { return nil }
