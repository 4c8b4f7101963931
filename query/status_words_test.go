package query

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/store"
)

// statusText is a status as text, on one line.
func statusText(t *testing.T, s Status) string {
	t.Helper()
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// What a status knows is what its words say.
func TestStatusWords(t *testing.T) {
	t.Parallel()
	moment := func(h, m int) Moment { return Moment{time.Date(2026, 11, 23, h, m, 0, 0, time.Local)} }
	number := func(x float64) *float64 { return &x }
	most := int64(64 << 20)
	for _, test := range []struct {
		name   string
		change func(s *Status) // of one that goes well
		says   []string
		not    string
	}{
		{"well", func(*Status) {}, []string{"recording r.db u state recording by netsql 1.2.3, process 7, since 2026-11-23 03:00:00 (1h) last sample 2026-11-23 03:59:00 (1m ago); one every 5s",
			"kept 9 samples in 39m, since 2026-11-23 03:20:00 samples are kept for ever, without a limit of size size 1.0 MiB; growth is told after 10m of recording gaps none",
			"sources all 4 give everything recorder CPU time is told after two samples host db1, kernel 6.18.0"}, "roll-ups"},
		{"one sample", func(s *Status) { s.Samples = 1 }, []string{"kept 1 sample in"}, ""},
		{"no sample", func(s *Status) { s.Samples = 0 }, []string{"none yet; one every 5s"}, "kept"},
		{"nothing recorded", func(s *Status) { s.Samples, s.Recording, s.RunSince = 0, false, Moment{} }, []string{"state not recording: start with netsql record last sample none: nothing was recorded"}, "kept"},
		{"a recorder that is not known", func(s *Status) { s.PID = nil }, []string{"recording by netsql 1.2.3, by a process that is not known"}, "process 7"},
		{"another name", func(s *Status) { s.PID, s.OtherName = nil, true },
			[]string{"recording under another name of the same file, by a process that is not known; what it has not written back into the file is not seen under this name"}, "1.2.3"},
		{"unclosed", func(s *Status) { s.Recording, s.Unclosed = false, true }, []string{"not recording: the last run by netsql 1.2.3 ended without closing the recording"}, "stopped"},
		{"stopped", func(s *Status) { s.Recording, s.RunUntil = false, moment(3, 59) }, []string{"not recording: the last run by netsql 1.2.3 was stopped at 2026-11-23 03:59:00"}, ""},
		{"a sample of the future", func(s *Status) { s.LastAgeS = number(-3) }, []string{"(0s ago)"}, ""},
		{"no host", func(s *Status) { s.Host, s.Kernel = "", "" }, nil, "host"},
		{"a -wal", func(s *Status) { s.WALBytes, s.HeldBy = 2<<20, []string{"process 8 (a\x1b)", "process 9"} },
			[]string{`size 1.0 MiB and 2.0 MiB in its -wal, which is not cut back while process 8 (a\x1b) and process 9 reads; growth`}, ""},
		{"growth", func(s *Status) { s.BytesPerDay, s.RecordedS = number(24<<20), 3600 },
			[]string{"size 1.0 MiB; grows by about 24.0 MiB a day (what is kept, divided by the 1h recorded)"}, "is told after 10m"},
		{"room for some", func(s *Status) { s.KeepS, s.MaxBytes, s.RoomS = number(86400), &most, number(7200) },
			[]string{"samples are kept for 1d, up to 64.0 MiB; at this rate there is room for every sample of 2h, of what is older one in each minute stays, then one in each hour"}, "all of it"},
		{"room for just all", func(s *Status) { s.KeepS, s.MaxBytes, s.RoomS = number(7200), &most, number(7200) }, []string{"; at this rate there is room for all of it"}, "each minute"},
		{"thinned", func(s *Status) {
			s.Thinned = []Gap{{Since: moment(1, 0), Until: moment(2, 0), Detail: "one in each minute is kept"}}
		}, []string{"; before 2026-11-23 02:00:00 one in each minute is kept"}, "at this rate"},
		{"older roll-ups", func(s *Status) { s.Rollups = moment(3, 19) }, []string{"; roll-ups go back to 2026-11-23 03:19:00"}, ""},
		{"younger roll-ups", func(s *Status) { s.Rollups = moment(3, 20) }, nil, "roll-ups"},
		{"few gaps", func(s *Status) {
			s.Gaps, s.UnwatchedS, s.LatestGaps = 1, 60, []Gap{{Since: moment(3, 30), Until: moment(3, 31), Kind: "late"}}
		},
			[]string{"gaps 1; nobody looked for 1m in all 2026-11-23 03:30:00 to 03:31:00 (1m): late sources"}, "the latest"},
		{"many gaps", func(s *Status) {
			s.Gaps, s.UnwatchedS = 1234, 60
			s.LatestGaps = []Gap{{Since: moment(-20, 30), Until: moment(3, 31), Source: "routes", Kind: "failed"}, {Since: moment(3, 40), Source: "tcp4", Kind: "incomplete", Detail: "not root"}}
		}, []string{"gaps 1,234; nobody looked for 1m in all; the latest of them: 2026-11-22 04:30:00 to 2026-11-23 03:31:00 (23h 1m): routes failed",
			"since 2026-11-23 03:40:00, still so at the last sample: tcp4 incomplete: not root"}, ""},
		{"no source yet", func(s *Status) { s.Sources = 0 }, []string{"sources none was read yet"}, "give everything"},
		{"troubled", func(s *Status) { s.Troubled = []SourceStatus{{"routes", "failed", "no\x1b"}} }, []string{`sources 1 of 4 do not give everything: routes failed: no\x1b`}, "all 4"},
		{"all privileges", func(s *Status) { s.Privileges = []Privilege{{"CAP_A", true, "gives a"}, {"CAP_B", true, "gives b"}} },
			[]string{"give everything privileges all 2 that a recorder uses recorder"}, "CAP_"},
		{"a privilege is missing", func(s *Status) {
			s.Privileges = []Privilege{{"CAP_A", true, "gives a"}, {"CAP_B", false, "no b\x1b"}}
		}, []string{`privileges 1 of 2 are missing: without CAP_B: no b\x1b recorder`}, "CAP_A"},
		{"a disk that will be full", func(s *Status) {
			s.BytesPerDay, s.RecordedS, s.DiskFree, s.Left.DiskDays = number(24<<20), 3600, number(36<<20), number(1.5)
		}, []string{"the 1h recorded); the disk has 36.0 MiB free, and is full in 1d 12h gaps"}, ""},
		{"a disk that will not", func(s *Status) {
			s.BytesPerDay, s.RecordedS, s.DiskFree, s.Left.DiskDays = number(24<<20), 3600, number(36<<20), &never
		}, nil, "the disk has"},
		{"cost", func(s *Status) {
			rss := int64(24 << 20)
			s.CPUPercent, s.CPUOverS, s.RSSBytes = number(1.25), 300, &rss
		},
			[]string{"recorder 1.2 % of one core over the last 5m, 24.0 MiB of memory"}, "is told after two"},
	} {
		s := Status{Path: "r.db", UUID: "u", Host: "db1", Kernel: "6.18.0", Version: "1.2.3", Recording: true, PID: new(7), RunSince: moment(3, 0), Now: moment(4, 0), IntervalS: 5,
			Samples: 9, First: moment(3, 20), Last: moment(3, 59), LastAgeS: number(60), SizeBytes: 1 << 20, Sources: 4}
		test.change(&s)
		text := statusText(t, s)
		for _, want := range test.says {
			if !strings.Contains(text, want) {
				t.Errorf("%s: does not say %q:\n%s", test.name, want, text)
			}
		}
		if test.not != "" && strings.Contains(text, test.not) {
			t.Errorf("%s: says %q:\n%s", test.name, test.not, text)
		}
	}
}

// Of a recording with many troubles, status tells the newest, and counts only what is one.
func TestStatusOfTroubles(t *testing.T) {
	t.Parallel()
	d := newDiary(t, time.Now().Add(-2*time.Hour))
	d.start()
	kept, bad, off := d.w.Source("kept"), d.w.Source("bad"), d.w.Source("aside")
	r := openRecording(t, d.path)
	sample := func(after time.Duration, wall time.Duration, trouble error) {
		t.Helper()
		d.uptime, d.wall, d.cpu = d.uptime+after, d.wall.Add(wall), d.cpu+after/100
		d.w.Begin(store.Clock{Wall: d.wall, Uptime: d.uptime, Awake: d.uptime})
		kept.Read(func() error { return store.ErrKept })
		bad.Read(func() error { return &store.PartialError{Missing: "not root"} })
		off.Read(func() error { return trouble })
		d.owners.Read(func() error { return nil })
		d.net.Read(func() error { return nil })
		if err := d.w.Commit(t.Context(), store.Cost{CPU: d.cpu}); err != nil {
			t.Fatal(err)
		}
	}
	second := time.Second
	sample(5*second, 5*second, nil)
	for range 4 { // bad goes on since before all of these
		sample(5*second, 5*second, errors.New("read aside"))
		sample(5*second, 5*second, nil)
	}
	sample(2*time.Hour, 90*time.Minute, errors.New("read aside")) // late; the cost of the last hour begins after it
	sample(5*second, 5*second, errors.New("read aside"))
	sample(5*second, -20*second, errors.New("read aside")) // the clock is set back
	s, text := readStatus(t, r)
	var kinds []string
	for _, g := range s.LatestGaps {
		kinds = append(kinds, g.Source+" "+g.Kind)
	}
	if diff := cmp.Diff([]string{"aside failed", "bad incomplete", " clock"}, kinds); diff != "" {
		t.Errorf("the latest gaps (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]SourceStatus{{"aside", "failed", "read aside"}, {"bad", "incomplete", "not root"}}, s.Troubled); diff != "" {
		t.Errorf("troubled (-want +got):\n%s", diff)
	}
	if age := time.Since(d.wall).Seconds(); *s.LastAgeS > age || *s.LastAgeS < age-5 {
		t.Errorf("the last sample is %g s old, not %g: the clock was set back\n%s", *s.LastAgeS, age, text)
	}
	if s.CPUPercent == nil || *s.CPUPercent < 0.99 || *s.CPUPercent > 1.01 || s.CPUOverS != 10 || s.RSSBytes != nil {
		t.Errorf("cost: %+v\n%s", s, text)
	}
	if s.Unclosed || s.Sources != 5 {
		t.Errorf("%+v", s)
	}
}
