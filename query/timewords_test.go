package query

import (
	"strings"
	"testing"
	"time"

	_ "time/tzdata"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	// A Monday in winter, 13:00 in Berlin.
	now := time.Date(2026, 11, 23, 13, 0, 0, 0, zone(t, "Europe/Berlin"))
	tests := []struct{ words, want string }{
		{"now", "2026-11-23T13:00:00+01:00"},
		{"10m ago", "2026-11-23T12:50:00+01:00"},
		{"1h30m ago", "2026-11-23T11:30:00+01:00"},
		{"2 days ago", "2026-11-21T13:00:00+01:00"},
		{"an hour ago", "2026-11-23T12:00:00+01:00"},
		{"-10m", "2026-11-23T12:50:00+01:00"},
		{"10m", "2026-11-23T12:50:00+01:00"},
		{" 2  Hours AGO ", "2026-11-23T11:00:00+01:00"},
		{"03:14", "2026-11-23T03:14:00+01:00"},
		{"13:00", "2026-11-23T13:00:00+01:00"},
		{"13:01", "2026-11-22T13:01:00+01:00"},
		{"03:14:05", "2026-11-23T03:14:05+01:00"},
		{"03:14:05.250", "2026-11-23T03:14:05.25+01:00"},
		{"03:14:05,25", "2026-11-23T03:14:05.25+01:00"},
		{"3:14", "2026-11-23T03:14:00+01:00"},
		{"3:14pm", "2026-11-22T15:14:00+01:00"},
		{"3:14 PM", "2026-11-22T15:14:00+01:00"},
		{"3am", "2026-11-23T03:00:00+01:00"},
		{"12am", "2026-11-23T00:00:00+01:00"},
		{"noon", "2026-11-23T12:00:00+01:00"},
		{"midnight", "2026-11-23T00:00:00+01:00"},
		{"03:14 UTC", "2026-11-23T04:14:00+01:00"},
		{"03:14Z", "2026-11-23T04:14:00+01:00"},
		{"03:14+05:30", "2026-11-22T22:44:00+01:00"},
		{"03:14 CEST", "2026-11-23T02:14:00+01:00"},
		{"23:30 America/New_York", "2026-11-23T05:30:00+01:00"},
		{"today", "2026-11-23T00:00:00+01:00"},
		{"yesterday", "2026-11-22T00:00:00+01:00"},
		{"yesterday 14:00", "2026-11-22T14:00:00+01:00"},
		{"14:00 yesterday", "2026-11-22T14:00:00+01:00"},
		{"yesterday at 3 pm", "2026-11-22T15:00:00+01:00"},
		{"yesterday noon", "2026-11-22T12:00:00+01:00"},
		{"today 02:00", "2026-11-23T02:00:00+01:00"},
		{"today 23:00", "2026-11-23T23:00:00+01:00"},
		{"mon 03:14", "2026-11-23T03:14:00+01:00"},
		{"monday 14:00", "2026-11-16T14:00:00+01:00"},
		{"monday", "2026-11-23T00:00:00+01:00"},
		{"last monday", "2026-11-16T00:00:00+01:00"},
		{"last sunday", "2026-11-22T00:00:00+01:00"},
		{"on thurs at 4pm", "2026-11-19T16:00:00+01:00"},
		{"2026-11-23", "2026-11-23T00:00:00+01:00"},
		{"20261123", "2026-11-23T00:00:00+01:00"},
		{"2026/11/23 3:14", "2026-11-23T03:14:00+01:00"},
		{"23.11.2026 03:14", "2026-11-23T03:14:00+01:00"},
		{"2026-11-23 03:14", "2026-11-23T03:14:00+01:00"},
		{"2026-11-23 03:14:05", "2026-11-23T03:14:05+01:00"},
		{"2026-11-23 03:14:05.000001", "2026-11-23T03:14:05.000001+01:00"},
		{"2026-11-23T03:14:05", "2026-11-23T03:14:05+01:00"},
		{"2026-11-23T03:14:05Z", "2026-11-23T04:14:05+01:00"},
		{"2026-11-23t03:14:05z", "2026-11-23T04:14:05+01:00"},
		{"2026-11-23T03:14:05.123456789-07:00", "2026-11-23T11:14:05.123456789+01:00"},
		{"2026-11-23 03:14:05 UTC", "2026-11-23T04:14:05+01:00"},
		{"2026-11-23 03:14:05 +0000", "2026-11-23T04:14:05+01:00"},
		{"2026-07-01 03:14", "2026-07-01T03:14:00+02:00"},
		{"Mon Nov 23 03:14:05 CET 2026", "2026-11-23T03:14:05+01:00"},
		{"Mon 2026-11-23 03:14:05 CET", "2026-11-23T03:14:05+01:00"},
		{"[23/Nov/2026:03:14:05 +0100]", "2026-11-23T03:14:05+01:00"},
		{"Mon, 23 Nov 2026 03:14:05 GMT", "2026-11-23T04:14:05+01:00"},
		{"Nov 23 03:14", "2026-11-23T03:14:00+01:00"},
		{"Nov 23 14:00", "2025-11-23T14:00:00+01:00"},
		{"23 Nov 03:14", "2026-11-23T03:14:00+01:00"},
		{"Dec  1 03:14:05", "2025-12-01T03:14:05+01:00"},
		{"29 february", "2024-02-29T00:00:00+01:00"},
		{"1795400045", "2026-11-23T03:14:05+01:00"},
		{"1795400045.25", "2026-11-23T03:14:05.25+01:00"},
		{"1795400045250", "2026-11-23T03:14:05.25+01:00"},
		{"1795400045250000", "2026-11-23T03:14:05.25+01:00"},
		{"1795400045250000001", "2026-11-23T03:14:05.250000001+01:00"},
		{"0", "1970-01-01T01:00:00+01:00"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTime(tt.words, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := got.Format(time.RFC3339Nano); got != tt.want {
				t.Errorf("ParseTime(%q) = %s, want %s", tt.words, got, tt.want)
			}
		})
	}
}

// The clocks go forward on 29 March 2026 at 02:00 in Berlin and back on
// 25 October 2026 at 03:00; in Havana they go back at 01:00 to midnight, in
// Beirut forward from midnight to 01:00; Samoa left out 30 December 2011.
func TestParseTimeClockChanges(t *testing.T) {
	t.Parallel()
	tests := []struct{ words, now, zone, want string }{
		{"2026-03-29 01:59", "2026-06-01T00:00:00Z", "Europe/Berlin", "2026-03-29T01:59:00+01:00"},
		{"2026-03-29 02:30", "2026-06-01T00:00:00Z", "Europe/Berlin", "2026-03-29T03:30:00+02:00"},
		{"2026-03-29 03:00", "2026-06-01T00:00:00Z", "Europe/Berlin", "2026-03-29T03:00:00+02:00"},
		{"02:30", "2026-03-29T10:00:00Z", "Europe/Berlin", "2026-03-29T03:30:00+02:00"},
		{"yesterday 12:00", "2026-03-29T10:00:00Z", "Europe/Berlin", "2026-03-28T12:00:00+01:00"},
		{"1 day ago", "2026-03-29T10:00:00Z", "Europe/Berlin", "2026-03-28T11:00:00+01:00"},

		{"2026-10-25 01:59", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T01:59:00+02:00"},
		{"2026-10-25 02:30", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+02:00"},
		{"2026-10-25 02:30 CEST", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+02:00"},
		{"2026-10-25 02:30 CET", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+01:00"},
		{"2026-10-25 02:30+01:00", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+01:00"},
		{"2026-10-25 03:00", "2026-11-01T00:00:00Z", "Europe/Berlin", "2026-10-25T03:00:00+01:00"},
		{"today 02:30", "2026-10-25T10:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+02:00"},
		{"02:30", "2026-10-25T10:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+01:00"},
		{"02:30", "2026-10-25T01:10:00Z", "Europe/Berlin", "2026-10-25T02:30:00+02:00"},
		{"02:30", "2026-10-25T00:10:00Z", "Europe/Berlin", "2026-10-24T02:30:00+02:00"},
		{"sun 02:30", "2026-10-27T00:00:00Z", "Europe/Berlin", "2026-10-25T02:30:00+01:00"},

		{"2026-11-01", "2026-12-01T00:00:00Z", "America/Havana", "2026-11-01T00:00:00-04:00"},
		{"sunday", "2026-11-01T12:00:00Z", "America/Havana", "2026-11-01T00:00:00-04:00"},
		{"2026-03-29", "2026-12-01T00:00:00Z", "Asia/Beirut", "2026-03-29T01:00:00+03:00"},
		{"2011-12-30 12:00", "2026-12-01T00:00:00Z", "Pacific/Apia", "2011-12-31T12:00:00+14:00"},
		{"2011-12-31 12:00", "2026-12-01T00:00:00Z", "Pacific/Apia", "2011-12-31T12:00:00+14:00"},
		{"2011-12-29 12:00", "2026-12-01T00:00:00Z", "Pacific/Apia", "2011-12-29T12:00:00-10:00"},
	}
	for _, tt := range tests {
		t.Run(tt.zone+" "+tt.words, func(t *testing.T) {
			t.Parallel()
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseTime(tt.words, now.In(zone(t, tt.zone)))
			if err != nil {
				t.Fatal(err)
			}
			if got := got.Format(time.RFC3339); got != tt.want {
				t.Errorf("ParseTime(%q) at %s = %s, want %s", tt.words, tt.now, got, tt.want)
			}
		})
	}
}

func TestParseTimeErrors(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)
	tests := []struct{ words, want string }{
		{"", `no time "": ` + timeExamples},
		{"3:14 pm yesturday", `no time "3:14 pm yesturday": "yesturday" does not fit; ` + timeExamples},
		{"25:00", `no time "25:00": the clock goes from 00:00 to 23:59:59`},
		{"15pm", `no time "15pm": am and pm go with 1 to 12; write 3:14pm or 15:14`},
		{"2026-02-30", `no time "2026-02-30": the calendar has no such day; write 2026-11-23`},
		{"30 feb", `no time "30 feb": the calendar has no such day; write 2026-11-23`},
		{"tue 2026-11-23", `no time "tue 2026-11-23": 2026-11-23 is a Monday`},
		{"10x ago", `no time "10x ago": no duration "10x": "x" is no unit; try ms, s, m, h, d or w`},
		{"20", `no time "20": a bare number is unix seconds such as 1795400045; for a span back write "5m ago"`},
		{"03:14 04:15", `no time "03:14 04:15": it names two clock times; ` + timeExamples},
		{"1969-12-31Z", `no time "1969-12-31Z": "1969-12-31Z" does not fit; ` + timeExamples},
		{"1969-07-20 20:17 Z", `no time "1969-07-20 20:17 Z": it lies before 1970`},
		{"3000-01-01", `no time "3000-01-01": it lies after 2262`},
		{"11/23/2026", `no time "11/23/2026": "11/23/2026" does not fit; ` + timeExamples},
		{"utc", `no time "utc": ` + timeExamples},
		{"last", `no time "last": ` + timeExamples},
		{"nov", `no time "nov": ` + timeExamples},
		{"today mon", `no time "today mon": ` + timeExamples},
		{"03:14 EST", `no time "03:14 EST": "EST" does not fit; ` + timeExamples},
		{"a\x1b[2J", `no time "a\x1b[2J": "a\x1b[2J" does not fit; ` + timeExamples},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTime(tt.words, now)
			if err == nil {
				t.Fatalf("ParseTime(%q) = %s, want an error", tt.words, got)
			}
			if err.Error() != tt.want {
				t.Errorf("error\n got %s\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words string
		want  time.Duration
		err   string // a part of it
	}{
		{"5s", 5 * time.Second, ""},
		{"100ms", 100 * time.Millisecond, ""},
		{"250µs", 250 * time.Microsecond, ""},
		{"10m", 10 * time.Minute, ""},
		{"1h30m", 90 * time.Minute, ""},
		{"1h 30m", 90 * time.Minute, ""},
		{"1.5h", 90 * time.Minute, ""},
		{".5s", 500 * time.Millisecond, ""},
		{"2d", 48 * time.Hour, ""},
		{"1w", 7 * 24 * time.Hour, ""},
		{"90 seconds", 90 * time.Second, ""},
		{"2 Hours", 2 * time.Hour, ""},
		{"2 hours, 5 minutes and 3 secs", 2*time.Hour + 5*time.Minute + 3*time.Second, ""},
		{"1 day", 24 * time.Hour, ""},
		{"a week", 7 * 24 * time.Hour, ""},
		{"0", 0, ""},
		{"0s", 0, ""},
		{"", 0, `no duration "": try 5s`},
		{"90", 0, `it lacks a unit; try 90s, 90m or 90h`},
		{"1h30", 0, `try 5s`},
		{"5 fortnights", 0, `"fortnights" is no unit`},
		{"-5m", 0, `try 5s`},
		{"1 month", 0, `"month" is no unit`},
		{"300 years", 0, `"years" is no unit`},
		{"20000 weeks", 0, `longer than 292 years`},
		{strings.Repeat("9", 400) + "s", 0, `longer than 292 years`},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			got, err := ParseDuration(tt.words)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("ParseDuration(%q) = %s, %v; want an error with %q", tt.words, got, err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("ParseDuration(%q) = %s, want %s", tt.words, got, tt.want)
			}
		})
	}
}

func FuzzParseTime(f *testing.F) {
	for _, seed := range []string{
		"now", "10m ago", "yesterday 3:14pm", "last monday", "2026-11-23T03:14:05.25+01:00", "1795400045.25", "Nov 23 03:14:05",
		"[23/Nov/2026:03:14:05 +0100]", "29 feb", "2026-10-25 02:30 CET", "0", "9223372036854775807", "mon, 2 jan 2006", "23:30 Asia/Tokyo",
	} {
		f.Add(seed, int64(1795400045250000000), uint8(0))
	}
	zones := []*time.Location{zone(f, "Europe/Berlin"), time.UTC, zone(f, "America/Havana"), zone(f, "Australia/Lord_Howe"), zone(f, "Pacific/Apia")}
	f.Fuzz(func(t *testing.T, words string, ns int64, z uint8) {
		now := time.Unix(0, ns).In(zones[int(z)%len(zones)])
		got, err := ParseTime(words, now)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("the error %q is not one safe line", err)
			}
			return
		}
		text := got.Format(time.RFC3339Nano)
		again, err := ParseTime(text, now)
		if err != nil {
			t.Fatalf("%q is %s, which does not parse: %v", words, text, err)
		}
		if !again.Equal(got) {
			t.Fatalf("%q is %s, which parses as %s", words, text, again)
		}
	})
}
