package query

import (
	"strings"
	"sync"
	"time"

	"netsql/store"
)

// A timeStyle is how the times of a column are written: whole, or without what all of them have in common. Its zero value is whole.
type timeStyle struct {
	layout string // "": whole
}

// timeStyles has one for each column.
type timeStyles []timeStyle

func (s timeStyle) text(t time.Time) string {
	if s.layout == "" {
		return localTime(t)
	}
	return t.Format(s.layout)
}

// timesOf are the shortest styles that tell the times of these rows apart: without the day, if all are of one, and without milliseconds, if no two
// times in a column differ by them alone. It is nil where there is no time.
func (w *screenWriter) timesOf(rows [][]any) timeStyles {
	styles, day := make(timeStyles, len(w.cols)), ""
	for i, c := range w.cols {
		seconds := map[int64]time.Time{}
		days, years := map[string]bool{}, map[int]bool{}
		millis := false
		for _, row := range rows {
			t, ok := w.moment(c, row[i])
			if !ok {
				continue
			}
			t = t.Truncate(time.Millisecond)
			if before, ok := seconds[t.Unix()]; ok && !before.Equal(t) {
				millis = true
			}
			seconds[t.Unix()] = t
			days[t.Format(time.DateOnly)], years[t.Year()] = true, true
		}
		if len(seconds) == 0 {
			continue
		}
		if day == "" {
			for d := range days {
				if len(days) == 1 || strings.Compare(d, day) > 0 {
					day = d
				}
			}
		}
		layout := localSeconds
		switch {
		case len(days) == 1 && days[day]:
			layout = time.TimeOnly
		case len(years) == 1 && years[yearOf(day)]:
			layout = "01-02 " + time.TimeOnly
		}
		if millis {
			layout += ".000"
		}
		styles[i] = timeStyle{layout}
	}
	if day == "" {
		return nil
	}
	return styles
}

func yearOf(day string) int {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return 0
	}
	return t.Year()
}

// dayOf is what the styles leave out of the times: the day, or the year.
func (w *screenWriter) dayOf(styles timeStyles, rows [][]any) string {
	year := ""
	for i, c := range w.cols {
		for _, row := range rows {
			t, ok := w.moment(c, row[i])
			switch {
			case !ok:
			case strings.HasPrefix(styles[i].layout, time.TimeOnly):
				return t.Format(time.DateOnly)
			case strings.HasPrefix(styles[i].layout, "01-02"):
				year = t.Format("2006")
			}
		}
	}
	return year
}

// shortenedInside are the columns of texts whose end tells as much as their begin.
var shortenedInside = map[string]bool{"exe": true, "path": true, "cgroup": true, "local_addr": true, "remote_addr": true, "addr": true, "gateway": true, "src": true,
	"dst": true, "peer": true, "unit": true, "container_id": true, "remote": true}

// shortened is the text in at most so many cells.
func shortened(col Column, text string, width int) string {
	if !shortenedInside[col.Name] || width < leastText {
		return runeWidths.Truncate(text, width, "…")
	}
	head := runeWidths.Truncate(text, (width-1)/2, "")
	tail := []rune(text)
	from, room := len(tail), width-1-textWidth(head)
	for from > 0 && textWidth(string(tail[from-1:])) <= room {
		from--
	}
	return head + "…" + string(tail[from:])
}

// unitOf is the unit of a column of that name, if it has the same in all tables.
func unitOf(name string) string { return unitsByName()[strings.ToLower(name)] }

var unitsByName = sync.OnceValue(func() map[string]string {
	units := map[string]string{}
	for _, v := range store.Views() {
		for _, c := range v.Columns {
			if unit, ok := units[c.Name]; ok && unit != c.Unit {
				units[c.Name] = ""
			} else {
				units[c.Name] = c.Unit
			}
		}
	}
	return units
})
