package query

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dayTime is what calendar words have said so far. Words come in any order, as
// they do in date(1), syslog, access logs and speech.
type dayTime struct {
	year, day int // 0: not said
	month     time.Month

	relative    int // days from today, where hasRelative
	hasRelative bool
	weekday     time.Weekday
	hasWeekday  bool
	last        bool // "last" stood before the weekday

	hour, minute, second int
	nano                 int64
	hasClock             bool

	zone *time.Location
}

var (
	isoT       = regexp.MustCompile(`(?i)^(\d{4}-\d{1,2}-\d{1,2})T(\d)`)
	accessLog  = regexp.MustCompile(`(?i)^\[?(\d{1,2})/([a-z]{3})/(\d{4}):(.*?)\]?$`)
	spacedPM   = regexp.MustCompile(`(?i)(\d) ([ap]m)\b`)
	gluedZone  = regexp.MustCompile(`(?i)(:\d{2}(?:[.,]\d+)?|\d[ap]m)(z|utc|[+-]\d{2}(?::?\d{2})?)$`)
	clockWord  = regexp.MustCompile(`^(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?([ap]m)?$`)
	hourWord   = regexp.MustCompile(`^(\d{1,2})([ap]m)$`)
	isoDate    = regexp.MustCompile(`^(\d{4})([-/]?)(\d{1,2})([-/]?)(\d{1,2})$`)
	dottedDate = regexp.MustCompile(`^(\d{1,2})\.(\d{1,2})\.(\d{4})$`)
	dayNumber  = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th|\.)?$`)
	yearNumber = regexp.MustCompile(`^\d{4}$`)
	offsetWord = regexp.MustCompile(`^([+-])(\d{2}):?(\d{2})?$`)
	regionWord = regexp.MustCompile(`^[A-Za-z_]+(/[A-Za-z0-9_+-]+)+$`)
)

func parseCalendar(text string, now time.Time) (time.Time, error) {
	text = isoT.ReplaceAllString(text, "$1 $2")
	text = accessLog.ReplaceAllString(text, "$1 $2 $3 $4")
	text = spacedPM.ReplaceAllString(text, "$1$2")
	words := strings.Fields(text)
	var d dayTime
	for _, raw := range words {
		raw = strings.TrimRight(raw, ",")
		parts := []string{raw}
		if m := gluedZone.FindStringSubmatchIndex(raw); m != nil {
			parts = []string{raw[:m[4]], raw[m[4]:]}
		}
		for _, part := range parts {
			if err := d.add(part, now); err != nil {
				return time.Time{}, err
			}
		}
	}
	return d.resolve(now)
}

// add takes one more word in. A thing said twice is an error: guessing which
// one was meant would show the wrong night.
func (d *dayTime) add(raw string, now time.Time) error {
	word := strings.ToLower(raw)
	switch word {
	case "", "at", "on":
		return nil
	case "today":
		return d.setRelative(0)
	case "yesterday":
		return d.setRelative(-1)
	case "last":
		d.last = true
		return nil
	case "noon":
		return d.setClock("12", "0", "", "", "")
	case "midnight":
		return d.setClock("0", "0", "", "", "")
	}
	if m := clockWord.FindStringSubmatch(word); m != nil {
		return d.setClock(m[1], m[2], m[3], m[4], m[5])
	}
	if m := hourWord.FindStringSubmatch(word); m != nil {
		return d.setClock(m[1], "0", "", "", m[2])
	}
	if m := isoDate.FindStringSubmatch(word); m != nil && m[2] == m[4] && (m[2] != "" || len(word) == 8) {
		if m[2] == "" { // 20261123: the expression above may cut it elsewhere
			m[1], m[3], m[5] = word[:4], word[4:6], word[6:]
		}
		return d.setDate(m[1], m[3], m[5])
	}
	if m := dottedDate.FindStringSubmatch(word); m != nil {
		return d.setDate(m[3], m[2], m[1])
	}
	if month, ok := monthWord(word); ok && d.month == 0 {
		d.month = month
		return nil
	}
	if day, ok := weekdayWord(word); ok && !d.hasWeekday {
		d.weekday, d.hasWeekday = day, true
		return nil
	}
	if m := dayNumber.FindStringSubmatch(word); m != nil && d.day == 0 {
		d.day, _ = strconv.Atoi(m[1])
		return nil
	}
	if yearNumber.MatchString(word) && d.year == 0 {
		d.year, _ = strconv.Atoi(word)
		return nil
	}
	if zone := zoneWord(raw, now); zone != nil && d.zone == nil {
		d.zone = zone
		return nil
	}
	return fmt.Errorf("%s does not fit; %s", quoteWords(raw), timeExamples)
}

func (d *dayTime) setRelative(days int) error {
	if d.hasRelative {
		return errors.New("it names two days; " + timeExamples)
	}
	d.relative, d.hasRelative = days, true
	return nil
}

func (d *dayTime) setDate(year, month, day string) error {
	if d.year != 0 || d.month != 0 || d.day != 0 {
		return errors.New("it names two dates; " + timeExamples)
	}
	d.year, _ = strconv.Atoi(year)
	m, _ := strconv.Atoi(month)
	d.month = time.Month(m)
	d.day, _ = strconv.Atoi(day)
	if m < 1 || m > 12 || d.day < 1 || d.day > daysIn(d.year, d.month) {
		return errors.New("the calendar has no such day; write 2026-11-23")
	}
	return nil
}

func (d *dayTime) setClock(hour, minute, second, frac, half string) error {
	if d.hasClock {
		return errors.New("it names two clock times; " + timeExamples)
	}
	d.hasClock = true
	d.hour, _ = strconv.Atoi(hour)
	d.minute, _ = strconv.Atoi(minute)
	if second != "" {
		d.second, _ = strconv.Atoi(second)
	}
	d.nano = fraction(frac)
	if half != "" {
		if d.hour < 1 || d.hour > 12 {
			return errors.New("am and pm go with 1 to 12; write 3:14pm or 15:14")
		}
		d.hour %= 12
		if half == "pm" {
			d.hour += 12
		}
	}
	if d.hour > 23 || d.minute > 59 || d.second > 59 {
		return errors.New("the clock goes from 00:00 to 23:59:59")
	}
	return nil
}

// resolve finds the moment. Words that leave the day or the year open mean the
// most recent one: a recording holds only the past.
func (d *dayTime) resolve(now time.Time) (time.Time, error) {
	zone := d.zone
	if zone == nil {
		zone = now.Location()
	}
	year, month, day := now.In(zone).Date()
	dated := d.month != 0 || d.day != 0 || d.year != 0
	switch {
	case d.last && (!d.hasWeekday || dated), d.hasRelative && (dated || d.hasWeekday),
		dated && (d.month == 0 || d.day == 0):
		return time.Time{}, errors.New(timeExamples)

	case d.year != 0:
		if d.day > daysIn(d.year, d.month) {
			return time.Time{}, errors.New("the calendar has no such day; write 2026-11-23")
		}
		if got := weekdayOf(d.year, d.month, d.day); d.hasWeekday && got != d.weekday {
			return time.Time{}, fmt.Errorf("%04d-%02d-%02d is a %s", d.year, d.month, d.day, got)
		}
		return d.on(zone, d.year, d.month, d.day)[0], nil

	case dated:
		// 40 years back meet every combination of 29 February and weekday,
		// across 2100 too.
		for y := year; y >= year-40; y-- {
			if d.day > daysIn(y, d.month) || d.hasWeekday && weekdayOf(y, d.month, d.day) != d.weekday {
				continue
			}
			if t, ok := d.recent(zone, y, d.month, d.day, now); ok {
				return t, nil
			}
		}
		return time.Time{}, errors.New("the calendar has no such day; write 2026-11-23")

	case d.hasRelative:
		return d.on(zone, year, month, day+d.relative)[0], nil
	}

	// A weekday, or a clock time alone: the first day going back that fits.
	back := 0
	if d.last {
		back = 1
	}
	if d.hasWeekday || d.hasClock {
		for ; back <= 8; back++ {
			if d.hasWeekday && weekdayOf(year, month, day-back) != d.weekday {
				continue
			}
			if t, ok := d.recent(zone, year, month, day-back, now); ok {
				return t, nil
			}
		}
	}
	return time.Time{}, errors.New(timeExamples)
}

// on gives the moments at which a clock in zone showed d's clock time on that
// day: mostly one, two where the clocks went back. It never returns none.
func (d *dayTime) on(zone *time.Location, year int, month time.Month, day int) []time.Time {
	return wallTimes(time.Date(year, month, day, d.hour, d.minute, d.second, int(d.nano), time.UTC), zone)
}

// recent is the latest moment of that day which is not after now. A day
// without a clock time means its start.
func (d *dayTime) recent(zone *time.Location, year int, month time.Month, day int, now time.Time) (time.Time, bool) {
	times := d.on(zone, year, month, day)
	if !d.hasClock {
		times = times[:1]
	}
	for _, t := range slices.Backward(times) {
		if !t.After(now) {
			return t, true
		}
	}
	return time.Time{}, false
}

// wallTimes finds the instants at which a clock in zone shows what wall shows
// in UTC. time.Date would pick one of two without saying which. 36 hours on
// each side reach over any offset and over the day that Samoa left out in 2011.
func wallTimes(wall time.Time, zone *time.Location) []time.Time {
	const reach = 36 * time.Hour
	_, before := wall.Add(-reach).In(zone).Zone()
	_, after := wall.Add(reach).In(zone).Zone()
	at := func(offset int) (time.Time, bool) {
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		_, got := t.Zone()
		return t, got == offset
	}
	first, ok := at(before)
	second, ok2 := at(after)
	switch {
	case before == after, ok && !ok2:
		return []time.Time{first}
	case ok2 && !ok:
		return []time.Time{second}
	case !ok: // the clock never showed it: read with the offset before the change
		return []time.Time{first}
	case second.Before(first):
		first, second = second, first
	}
	return []time.Time{first, second}
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func weekdayOf(year int, month time.Month, day int) time.Weekday {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday()
}

func monthWord(word string) (time.Month, bool) {
	for m := time.January; m <= time.December; m++ {
		if shortens(word, m.String()) {
			return m, true
		}
	}
	return 0, false
}

func weekdayWord(word string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if shortens(word, d.String()) {
			return d, true
		}
	}
	return 0, false
}

// shortens tells whether word is name or its first three letters or more: no
// two months and no two weekdays share three.
func shortens(word, name string) bool {
	word = strings.TrimSuffix(word, ".")
	return len(word) >= 3 && strings.HasPrefix(strings.ToLower(name), word)
}

// zoneWord reads a zone: UTC, an offset, a region, or an abbreviation that
// now's own zone uses. Other abbreviations mean different offsets in different
// countries and are refused.
func zoneWord(word string, now time.Time) *time.Location {
	switch strings.ToLower(word) {
	case "z", "utc", "gmt":
		return time.UTC
	}
	if m := offsetWord.FindStringSubmatch(word); m != nil {
		hours, _ := strconv.Atoi(m[2])
		minutes, _ := strconv.Atoi("0" + m[3])
		if hours > 23 || minutes > 59 {
			return nil
		}
		seconds := hours*3600 + minutes*60
		if m[1] == "-" {
			seconds = -seconds
		}
		return time.FixedZone("", seconds)
	}
	if regionWord.MatchString(word) {
		if zone, err := time.LoadLocation(word); err == nil {
			return zone
		}
		return nil
	}
	for _, month := range []time.Month{time.January, time.July} {
		name, offset := time.Date(now.Year(), month, 1, 12, 0, 0, 0, now.Location()).Zone()
		if name != "" && strings.EqualFold(name, word) {
			return time.FixedZone(name, offset)
		}
	}
	return nil
}
