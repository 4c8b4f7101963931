package query

import (
	"strings"
	"testing"
	"time"
)

// Who asks a history for all of the past is told so before, and who bounds it is not bothered.
func TestLongReadsAreSaid(t *testing.T) {
	t.Parallel()
	r := openRecording(t, eventful(t).path)
	for statement, long := range map[string]bool{
		"SELECT count(*) FROM sockets":                                     true,
		"SELECT DISTINCT comm FROM sockets":                                true,
		"select state, count(*) from Sockets s group by 1 limit 5":         true,
		"SELECT * FROM sockets WHERE state = 'LISTEN' ORDER BY recv_q":     true,
		"SELECT max(rx_bytes_per_s) FROM interface_rates WHERE name = 'e'": false, // of one interface
		"SELECT max(rx_bytes_per_s) FROM interface_rates":                  true,
		"SELECT * FROM sockets LIMIT 10":                                   false,
		"SELECT * FROM sockets WHERE ts > ago('1h')":                       false,
		"SELECT * FROM sockets WHERE ts = at('03:14') AND comm = 'a'":      false,
		"SELECT count(*) FROM sockets WHERE remote_addr = '192.0.2.1'":     false,
		"SELECT * FROM sockets_now":                                        false,
		"SELECT count(*) FROM route_changes":                               false,
		"SELECT count(*) FROM connections":                                 false,
		"SELECT count(*) FROM interface_rates_1m":                          false,
		"EXPLAIN QUERY PLAN SELECT count(*) FROM sockets":                  false,
		"SELECT 1": false,
	} {
		note, takes := r.longRead(t.Context(), statement, 1)
		if (note != "") != long {
			t.Errorf("%s: %q", statement, note)
		}
		if again, _ := r.longRead(t.Context(), statement, longRows); again != "" {
			t.Errorf("%s of a small recording: %q", statement, again)
		}
		if takes > time.Minute {
			t.Errorf("%s takes %v", statement, takes)
		}
	}
	if note, takes := r.longRead(t.Context(), "SELECT * FROM sockets WHERE remote_addr = '192.0.2.1'", 1e12); !strings.Contains(note, "connections has each connection once") || takes != 0 {
		t.Errorf("%q, %v", note, takes)
	}
	note, _ := r.longRead(t.Context(), "SELECT count(*) FROM sockets", 1)
	if !strings.HasPrefix(note, "this reads sockets of all 100 samples, about ") || !strings.Contains(note, "connections has each connection once") {
		t.Errorf("%s", note)
	}
}
