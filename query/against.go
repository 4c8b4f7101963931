package query

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// A Difference is a row of compared.
type Difference struct {
	Unusual int64   `json:"unusual"` // from 0 to 100
	Kind    string  `json:"kind"`
	What    string  `json:"what"`
	Was     any     `json:"was"`
	Now     any     `json:"now"`
	Comm    *string `json:"comm"`
}

// SetAgainst sets what compared holds the window against. Words name a day (yesterday, mon, 2026-11-20): the same time of that day; a stretch (7d, last
// week): the same time so much earlier; or a time of the clock (yesterday 14:00): as long a time from then on. "" is a day before. What is not before the
// window is refused.
func (r *Recording) SetAgainst(ctx context.Context, words string) error {
	since, until, _, err := r.Window(ctx)
	if err != nil {
		return err
	}
	begin, err := beforeWindow(words, since, until)
	if err != nil {
		return err
	}
	_, err = r.conn.ExecContext(ctx, fmt.Sprintf(`DROP VIEW IF EXISTS temp.window_before; CREATE TEMP VIEW window_before AS SELECT since - %[1]s AS since, until - %[1]s AS until FROM "window"`,
		bits(unixSeconds(since)-unixSeconds(begin))))
	return err
}

// Against is what compared holds the window against, and how many samples of it there are.
func (r *Recording) Against(ctx context.Context) (since, until time.Time, samples int, err error) {
	var a, z float64
	err = r.conn.QueryRowContext(ctx, "SELECT since, until, (SELECT count(*) FROM sample WHERE ts BETWEEN since AND until AND back IS NOT 0) FROM window_before").Scan(&a, &z, &samples)
	return unixTime(a), unixTime(z), samples, err
}

// namesClock are words with a time of day, or a moment.
var namesClock = regexp.MustCompile(`(?i)\d:\d\d|\d\s*[ap]m\b|\b(noon|midnight|now)\b|\d{9,}`)

// beforeWindow is where the time begins that words name.
func beforeWindow(words string, since, until time.Time) (time.Time, error) {
	begin := since
	switch day, err := ParseTime(words, until); {
	case strings.TrimSpace(words) == "":
		begin = since.AddDate(0, 0, -1)
	case strings.EqualFold(strings.Join(strings.Fields(words), " "), "last week"):
		begin = since.AddDate(0, 0, -7)
	case err != nil:
		return begin, err
	case namesClock.MatchString(words):
		begin = day
	case isStretch(words):
		begin = since.Add(day.Sub(until))
	default: // by the calendar: where the clocks change, a day is not 24 hours
		begin = since.AddDate(0, 0, -int(math.Round(until.Truncate(time.Second).Sub(day).Hours()-hourOf(until))/24))
	}
	if !begin.Before(since) {
		return begin, fmt.Errorf("against %s: that is not before the window, which begins %s; try yesterday, \"last week\" or 1h", quoteWords(words), localTime(since.Truncate(time.Second)))
	}
	return begin, nil
}

// hourOf is how many hours of its day are over.
func hourOf(t time.Time) float64 {
	return t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())).Hours()
}

// isStretch reports whether words are a stretch of time and not a day.
func isStretch(words string) bool {
	text := strings.ToLower(strings.TrimSpace(words))
	_, err := ParseDuration(strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(text, " ago"), "-")))
	return err == nil
}

// setAgainst is .against.
func (s *Shell) setAgainst(ctx context.Context, arg string) error {
	if err := s.recording.SetAgainst(ctx, arg); err != nil {
		return err
	}
	since, until, samples, err := s.recording.Against(ctx)
	if err != nil {
		return err
	}
	return s.say(fmt.Sprintf("compared holds the window against %s to %s, %s", localTime(since), localTime(until), plural(int64(samples), "sample")))
}

// differencesMost is how many differences doctor shows, and differencesLeast how unusual the least of them is.
const (
	differencesMost  = 15
	differencesLeast = 25
)

// Compare adds to a diagnosis in what the window differs from the time that SetAgainst says.
func (d *Diagnosis) Compare(ctx context.Context, r *Recording) error {
	since, until, samples, err := r.Against(ctx)
	if err != nil {
		return fmt.Errorf("compare: %w", r.explain(err))
	}
	d.Against = &Comparison{Since: Moment{since}, Until: Moment{until}, Samples: int64(samples), Differences: []Difference{}}
	if samples < 2 || d.Samples < 2 {
		d.NotLooked = append(d.NotLooked, fmt.Sprintf("nothing is recorded from %s to %s: there is nothing to compare with", localTime(since.Truncate(time.Second)), localTime(until.Truncate(time.Second))))
		return nil
	}
	err = r.each(ctx, fmt.Sprintf("SELECT unusual, kind, what, was, now, comm FROM compared WHERE unusual >= %d LIMIT 1000", differencesLeast), nil, func(row []any) {
		c := Difference{Kind: text(row[1]), What: text(row[2]), Was: row[3], Now: row[4]}
		c.Unusual, _ = row[0].(int64)
		if comm, is := row[5].(string); is {
			c.Comm = &comm
		}
		d.Against.Differences = append(d.Against.Differences, c)
	})
	if err != nil {
		return fmt.Errorf("compare: %w", r.explain(err))
	}
	return nil
}

// A Comparison is what a window differs by from a time before it.
type Comparison struct {
	Since       Moment       `json:"since"`
	Until       Moment       `json:"until"`
	Samples     int64        `json:"samples"`
	Differences []Difference `json:"differences"` // the most unusual first
}

// write adds the differences to what doctor prints.
func (c *Comparison) write(b *paragraphs) {
	if c.Samples < 2 {
		return
	}
	when := localTime(c.Since.Truncate(time.Second)) + " to " + c.Until.Format(time.TimeOnly)
	switch n := len(c.Differences); {
	case n == 0:
		b.WriteString(wrapped("nothing differs much from "+when, "", b.width))
	case n > differencesMost:
		b.WriteString(wrapped(fmt.Sprintf("against %s, the %d most unusual of %s:", when, differencesMost, plural(int64(n), "difference")), "", b.width))
	default:
		b.WriteString(wrapped(fmt.Sprintf("against %s, %s, the most unusual first:", when, plural(int64(n), "difference")), "", b.width))
	}
	for i, d := range c.Differences {
		if i == differencesMost {
			b.item("", "and more: SELECT * FROM compared")
			break
		}
		b.item(fmt.Sprint(d.Unusual), escapeControls(d.What))
	}
	b.WriteString("\n")
}
