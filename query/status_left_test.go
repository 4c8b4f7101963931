package query

import (
	"bytes"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

func TestDaysLeft(t *testing.T) {
	t.Parallel()
	const never, unknown = 1e9, -1
	for _, c := range []struct {
		name                              string
		perDay, keepDays, max, used, free float64 // 0 and unknown: there is none
		limit, disk                       float64
	}{
		{"grows for ever", 10, 0, unknown, 50, 100, unknown, 10},
		{"up to the limit", 10, 0, 150, 50, 1000, 10, never},
		{"the disk is full first", 10, 0, 150, 50, 30, 10, 3},
		{"at the limit", 10, 0, 150, 150, 30, 0, never},
		{"beyond it", 10, 0, 150, 170, 30, 0, never},
		{"old samples go before", 10, 9, 150, 50, 30, never, 3},
		{"and before the disk is full", 10, 9, 150, 50, 41, never, never},
		{"the disk is full", 10, 0, unknown, 50, 0, unknown, 0},
		{"does not grow", 0, 0, 150, 50, 30, never, never},
		{"growth is not known", unknown, 0, 150, 50, 30, unknown, unknown},
		{"the disk is not known", 10, 0, 150, 50, unknown, 10, unknown},
	} {
		s := Status{Recording: true}
		if c.perDay != unknown {
			s.BytesPerDay = &c.perDay
		}
		if keep := c.keepDays * 86400; keep > 0 {
			s.KeepS = &keep
		}
		if most := int64(c.max); c.max != unknown {
			s.MaxBytes = &most
		}
		free := &c.free
		if c.free == unknown {
			free = nil
		}
		limit, disk := s.daysLeft(c.used, free)
		for _, end := range []struct {
			name string
			got  *float64
			want float64
		}{{"limit", limit, c.limit}, {"disk", disk, c.disk}} {
			got := float64(unknown)
			if end.got != nil {
				got = *end.got
			}
			if math.IsInf(got, 1) {
				got = never
			}
			if got != end.want {
				t.Errorf("%s: %g days until the %s, want %g", c.name, got, end.name, end.want)
			}
		}
		if s.Recording = false; c.perDay != unknown {
			if limit, disk := s.daysLeft(c.used, free); limit != nil || disk != nil {
				t.Errorf("%s, and nobody records: there are days left", c.name)
			}
		}
	}
}

// What a recording says of itself is in all three forms of its status.
func TestStatusHasDaysLeftAndPrivileges(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("a recorder runs on Linux only")
	}
	d := newDiary(t, time.Now().Add(-30*time.Minute))
	d.limits = store.Limits{MaxSize: 64 << 20}
	d.may = []store.Capability{{Name: "CAP_B", Detail: "an old run had none"}}
	d.start()
	d.sample(nil)
	d.stop()
	d.may = []store.Capability{{Name: "CAP_A", Available: true, Detail: "gives a"}, {Name: "CAP_B", Detail: "b is lost"}}
	d.start()
	for range 200 {
		d.sample(nil)
	}
	r := openRecording(t, d.path)
	s, text := readStatus(t, r)
	if !strings.Contains(text, "privileges 1 of 2 are missing: without CAP_B: b is lost") {
		t.Error(text)
	}
	var of struct {
		Free       *float64            `json:"disk_free_bytes"`
		PerDay     float64             `json:"bytes_per_day"`
		DaysLeft   map[string]*float64 `json:"days_left"`
		Privileges []Privilege
	}
	b, err := s.JSON()
	if err == nil {
		err = json.Unmarshal(b, &of)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The empty tables take a part of the limit, too.
	if left := of.DaysLeft["limit"]; left == nil || *left > (64<<20)/of.PerDay || *left < (50<<20)/of.PerDay {
		t.Errorf("days left: %s", b)
	}
	if disk, known := of.DaysLeft["disk"]; !known || disk != nil && *of.Free > 64<<20 || of.Free == nil || *of.Free <= 0 {
		t.Errorf("a disk that will not be full: %s", b)
	}
	if len(of.Privileges) != 2 || of.Privileges[1].Detail != "b is lost" || !of.Privileges[0].Available {
		t.Errorf("privileges: %+v", of.Privileges)
	}
	var m bytes.Buffer
	if err := s.WritePrometheus(t.Context(), r, &m); err != nil {
		t.Fatal(err)
	}
	got := parsedMetrics(t, m.String())
	if left := got["netsql_recording_days_left until=limit"]; math.Abs(left-*of.DaysLeft["limit"]) > 1e-9 {
		t.Errorf("%g days left", left)
	}
	if left := got["netsql_recording_days_left until=disk"]; !math.IsInf(left, 1) {
		t.Errorf("%g days until the disk is full", left)
	}
}
