package query

import (
	"testing"
	"time"
)

// What people say for the time to compare with, as seen from a window of an hour on a Saturday night.
func TestBeforeWindow(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	at := func(text string) time.Time {
		moment, err := time.ParseInLocation("2006-01-02 15:04", text, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	since, until := at("2026-11-28 02:30"), at("2026-11-28 03:30")
	for words, want := range map[string]string{
		"":                  "2026-11-27 02:30",
		"yesterday":         "2026-11-27 02:30",
		"last week":         "2026-11-21 02:30",
		"Last  Week":        "2026-11-21 02:30",
		"friday":            "2026-11-27 02:30",
		"last saturday":     "2026-11-21 02:30",
		"2026-11-20":        "2026-11-20 02:30",
		"Nov 20":            "2026-11-20 02:30",
		"2026-10-20":        "2026-10-20 02:30", // summer time was still on
		"7d":                "2026-11-21 02:30",
		"2 days ago":        "2026-11-26 02:30",
		"1h":                "2026-11-28 01:30",
		"90m ago":           "2026-11-28 01:00",
		"yesterday 14:05":   "2026-11-27 14:05",
		"2026-11-20 03:14":  "2026-11-20 03:14",
		"2026-11-20T03:14Z": "2026-11-20 04:14",
		"noon yesterday":    "2026-11-27 12:00",
	} {
		if got, err := beforeWindow(words, since, until); err != nil || !got.Equal(at(want)) {
			t.Errorf("%q: %v %v, want %s", words, got, err, want)
		}
	}
	for _, words := range []string{"now", "today", "02:30", "0s", "tomorrow", "the day of the flood"} {
		if got, err := beforeWindow(words, since, until); err == nil {
			t.Errorf("%q: %v, want an error", words, got)
		}
	}
	// A window over midnight: a day is that of its end.
	if got, err := beforeWindow("yesterday", at("2026-11-27 23:30"), at("2026-11-28 00:30")); err != nil || !got.Equal(at("2026-11-26 23:30")) {
		t.Error(got, err)
	}
}

// What looks at the window is told by the tables that it reads, and not by the names of its columns: peers_1d has a column of the name of a view.
func TestWindowed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"connections": true, "findings": true, "fault_mtu": true, "peers": true, "first_seen": true, "compared": true, "peers_1d": false, "peers_1h": false, "sockets": false, "samples": false, "socket_counts_1h": false, "route_changes": false} {
		if got := windowed()[name]; got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
}
