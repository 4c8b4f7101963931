package query

import "math"

// A Left says how long the recording can grow as it does. Its JSON has null for what is not known, and for what will never happen.
type Left struct {
	LimitDays *float64 `json:"limit"` // until it has the size that it may grow to: from then on not every sample stays
	DiskDays  *float64 `json:"disk"`  // until the disk is full: from then on nothing is recorded
}

// never is how many days there are left until what does not happen, in Prometheus's words.
var never = math.Inf(1)

// daysLeft works it out: used bytes are in the file of which no room is free, free ones are on its disk. What is older than keep goes, so that
// the recording stops growing by itself.
func (s *Status) daysLeft(used float64, free *float64) (limit, disk *float64) {
	if s.BytesPerDay == nil || !s.Recording {
		return nil, nil
	}
	perDay, most := *s.BytesPerDay, math.Inf(1)
	if s.KeepS != nil {
		most = perDay * *s.KeepS / 86400
	}
	until := func(more float64) *float64 {
		days := never
		switch {
		case more <= 0:
			days = 0
		case perDay > 0:
			days = more / perDay
		}
		return &days
	}
	if s.MaxBytes != nil {
		if limit = &never; most > float64(*s.MaxBytes) {
			limit = until(float64(*s.MaxBytes) - used)
			most = float64(*s.MaxBytes)
		}
	}
	if free != nil {
		if disk = &never; most-used > *free {
			disk = until(*free)
		}
	}
	return limit, disk
}

// finite is nil for what never happens.
func finite(days *float64) *float64 {
	if days == nil || math.IsInf(*days, 0) {
		return nil
	}
	return days
}
