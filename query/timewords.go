package query

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const timeExamples = `try 03:14, "10m ago", "yesterday 14:00" or 2026-11-23T03:14:05Z`

// ParseTime reads the moment that words name, as seen from now. The zone is
// that of now unless the words carry one (Z, UTC, +01:00, Europe/Berlin, or an
// abbreviation that now's own zone uses, such as CEST).
//
//	now                                      this moment
//	10m ago, -10m, 10m, 2 days ago           that much elapsed time back; a day is 24 hours
//	03:14, 03:14:05.250, 3:14pm, noon        the most recent such moment, today's or yesterday's
//	today, yesterday, yesterday 14:00        that day; without a clock time, its start
//	mon 03:14, last monday                   the most recent one; last leaves today out
//	2026-11-23, 2026-11-23 03:14, RFC 3339   as written
//	Nov 23 03:14:05, 23 Nov 03:14            as logs have it: the most recent such date
//	1795400045.25                            unix seconds; 13, 16 and 19 digits are ms, µs and ns
//
// Where the clocks go forward, a clock time that never was is read with the
// offset before the change: 02:30 on that day in Berlin is 03:30 summer time.
// Where they go back, a clock time that was twice is the first of the two when
// the words name the day (a window that starts there misses nothing), and the
// most recent when they do not; "02:30 CET" or an offset says which.
func ParseTime(words string, now time.Time) (time.Time, error) {
	t, err := parseTime(strings.Join(strings.Fields(words), " "), now.Round(0))
	// The bounds are those of a recording (no unix time below zero) and of
	// time.Time.UnixNano.
	if err == nil && t.Unix() < 0 {
		err = errors.New("it lies before 1970")
	}
	if err == nil && t.Unix() >= math.MaxInt64/int64(time.Second) {
		err = errors.New("it lies after 2262")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("no time %s: %w", quoteWords(words), err)
	}
	return t.In(now.Location()), nil
}

func parseTime(text string, now time.Time) (time.Time, error) {
	lower := strings.ToLower(text)
	switch lower {
	case "":
		return time.Time{}, errors.New(timeExamples)
	case "now":
		return now, nil
	}
	if t, ok, err := parseUnix(lower); ok || err != nil {
		return t, err
	}
	back, said := strings.CutSuffix(lower, " ago")
	if rest, minus := strings.CutPrefix(back, "-"); minus {
		back, said = strings.TrimSpace(rest), true
	}
	d, err := ParseDuration(back)
	switch {
	case err == nil:
		return now.Add(-d), nil
	case said:
		return time.Time{}, err
	}
	return parseCalendar(text, now)
}

var unixWord = regexp.MustCompile(`^(\d+)(?:\.(\d+))?$`)

// parseUnix reads a bare number. Only lengths that leave no doubt about the
// unit are read: 9 to 11 digits of seconds are 1973 to 5138.
func parseUnix(text string) (time.Time, bool, error) {
	m := unixWord.FindStringSubmatch(text)
	if m == nil || len(m[1]) == 8 && m[2] == "" { // 20261123 is a date
		return time.Time{}, false, nil
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil {
		return time.Time{}, false, errors.New("the number is too large for a time")
	}
	switch digits := len(m[1]); {
	case n == 0, digits >= 9 && digits <= 11:
		return time.Unix(n, fraction(m[2])), true, nil
	case digits == 13 && m[2] == "":
		return time.UnixMilli(n), true, nil
	case digits == 16 && m[2] == "":
		return time.UnixMicro(n), true, nil
	case digits == 19 && m[2] == "":
		return time.Unix(0, n), true, nil
	}
	return time.Time{}, false, errors.New(`a bare number is unix seconds such as 1795400045; for a span back write "5m ago"`)
}

// fraction turns the digits after a decimal point into nanoseconds.
func fraction(digits string) int64 {
	n, _ := strconv.ParseInt((digits + "000000000")[:9], 10, 64)
	return n
}

var durationUnits = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond, "millisecond": time.Millisecond,
	"s": time.Second, "sec": time.Second, "second": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "wk": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
}

var durationPart = regexp.MustCompile(`^(?:(\d+(?:\.\d+)?|\.\d+) ?|an? )([a-zµμ]+)(?: ?(?:,|and) ?| )?`)

// ParseDuration reads a span of time: 5s, 100ms, 10m, 1h30m, 2d, 1w,
// "90 seconds", "2 hours and 5 minutes", "a day". A day is 24 hours, a week is
// seven of them; months and years have no fixed length and are refused.
func ParseDuration(words string) (time.Duration, error) {
	bad := func(why string) (time.Duration, error) {
		return 0, fmt.Errorf("no duration %s: %s", quoteWords(words), why)
	}
	rest := strings.ToLower(strings.Join(strings.Fields(words), " "))
	if rest == "0" {
		return 0, nil
	}
	if unixWord.MatchString(rest) {
		return bad("it lacks a unit; try " + rest + "s, " + rest + "m or " + rest + "h")
	}
	total := 0.0
	for first := true; first || rest != ""; first = false {
		m := durationPart.FindStringSubmatch(rest)
		if m == nil {
			return bad(`try 5s, 10m, 1h30m, 2d or "90 seconds"`)
		}
		unit, ok := durationUnits[m[2]]
		if !ok {
			unit, ok = durationUnits[strings.TrimSuffix(m[2], "s")]
		}
		if !ok {
			return bad(fmt.Sprintf("%s is no unit; try ms, s, m, h, d or w", quoteWords(m[2])))
		}
		n := 1.0
		if m[1] != "" {
			n, _ = strconv.ParseFloat(m[1], 64) // out of range gives +Inf, caught below
		}
		total += n * float64(unit)
		rest = rest[len(m[0]):]
	}
	if total >= math.MaxInt64 {
		return bad("it is longer than 292 years")
	}
	return time.Duration(math.Round(total)), nil
}

// quoteWords quotes what the user typed for an error message, safe to print
// and no longer than a line.
func quoteWords(words string) string {
	if runes := []rune(words); len(runes) > 60 {
		words = string(runes[:59]) + "…"
	}
	return strconv.Quote(words)
}
