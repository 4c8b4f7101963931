package query

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// readStatus also gives the status as text, on one line.
func readStatus(t *testing.T, r *Recording) (Status, string) {
	t.Helper()
	s, err := ReadStatus(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Write(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		words := strings.Fields(line)
		if n := textWidth(strings.TrimSuffix(line, "\n")); n > 80 && len(words) > 2 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	return s, strings.Join(strings.Fields(b.String()), " ")
}

// From before the first sample to after the last: what is told of a recording is so.
func TestStatus(t *testing.T) {
	t.Parallel()
	d := newDiary(t, time.Now().Add(-2*time.Hour))
	d.start()
	r := openRecording(t, d.path)
	onLinux := runtime.GOOS == "linux"
	check := func(what string, ok bool, s Status, text string) {
		t.Helper()
		if !ok {
			t.Errorf("%s is not so: %+v\n%s", what, s, text)
		}
	}

	s, text := readStatus(t, r)
	check("nothing recorded yet", s.Samples == 0 && s.First.IsZero() && s.LastAgeS == nil && s.CPUPercent == nil && s.BytesPerDay == nil, s, text)
	check("recording, by this process", s.Recording == onLinux && s.PID != nil && *s.PID == os.Getpid(), s, text)
	check("none yet, in words", !onLinux || strings.Contains(text, "none yet; one every 5s"), s, text)

	for range 200 {
		d.sample(nil)
	}
	d.stop()
	d.wall, d.uptime = d.wall.Add(10*time.Minute), d.uptime+10*time.Minute
	d.start()
	for range 60 {
		d.sample(nil)
	}
	d.sample(&store.PartialError{Missing: "not root\x1b[2J"})
	s, text = readStatus(t, r)
	check("samples", s.Samples == 261 && s.Last.Equal(d.wall.Truncate(time.Microsecond)), s, text)
	age := time.Since(d.wall).Seconds()
	check("age of the last", *s.LastAgeS > age-5 && *s.LastAgeS <= age, s, text)
	check("interval", s.IntervalS == 5, s, text)
	// The pause: ten minutes and the five seconds to the first sample after.
	check("gaps", s.Gaps == 2 && s.UnwatchedS > 604.99 && s.UnwatchedS < 605.01 && len(s.LatestGaps) == 2, s, text)
	check("recorded time", s.RecordedS > 199*5+60*5-.01 && s.RecordedS < 199*5+60*5+.01, s, text)
	check("size", s.SizeBytes+s.WALBytes > 100_000 && *s.BytesPerDay > 1e6 && *s.BytesPerDay < 1e9, s, text)
	check("sources", s.Sources == 2 && len(s.Troubled) == 1 && s.Troubled[0].Source == "routes" && s.Troubled[0].Outcome == "incomplete", s, text)
	// 50 ms every 5 s, in this run only.
	check("CPU", *s.CPUPercent > 0.999 && *s.CPUPercent < 1.001 && s.CPUOverS == 300 && *s.RSSBytes == 24<<20, s, text)
	check("who and where", s.Host == "db1" && s.Kernel == "6.18.0" && s.Version == "1.2.3" && len(s.UUID) == 36, s, text)
	for _, want := range []string{
		`routes incomplete: not root\x1b[2J`, ", still so at the last sample: routes incomplete: not root", "(10m 5s): the recorder was stopped", "261 samples in 31m 40s, since ", "ago); one every 5s",
		"2; nobody looked for 10m 5s in all", "1.0 % of one core over the last 5m, 24.0 MiB of memory", "1 of 2 do not give everything:", "a day (what is kept, divided by the", s.UUID,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the status does not say %q:\n%s", want, text)
		}
	}

	for range 20 {
		d.sample(errors.New("read routes"))
		d.sample(nil)
	}
	d.sample(&store.OffError{By: "--without routes"})
	s, text = readStatus(t, r)
	check("what is switched off is neither a gap nor a trouble", s.Gaps == 22 && len(s.Troubled) == 0 && s.Sources == 1 && slices.Equal(s.Off, []string{"routes"}), s, text)
	check("off, in words", strings.Contains(text, "all 1 give everything switched off: routes recorder"), s, text)
	d.sample(nil)
	d.stop()
	s, text = readStatus(t, r)
	check("stopped", !s.Recording && !s.Unclosed && !s.RunUntil.IsZero() && strings.Contains(text, "not recording: the last run by netsql 1.2.3 was stopped at "), s, text)
	check("sources are well again", len(s.Troubled) == 0 && strings.Contains(text, "all 2 give everything"), s, text)
	check("the latest of many gaps", s.Gaps == 22 && len(s.LatestGaps) == 3 && s.UnwatchedS < 605.01 && strings.Contains(text, "the latest of them:"), s, text)
}

// Scripts read the status as JSON: what is unknown is null, and times are RFC 3339.
func TestStatusJSON(t *testing.T) {
	t.Parallel()
	d := newDiary(t, time.Now().Add(-time.Hour))
	d.start()
	r := openRecording(t, d.path)
	decode := func() map[string]any {
		s, _ := readStatus(t, r)
		text, err := s.JSON()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]any{}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return got
	}
	got := decode()
	for _, name := range []string{"first_sample", "last_sample", "last_sample_age_s", "cpu_percent", "bytes_per_day"} {
		if v, ok := got[name]; !ok || v != nil {
			t.Errorf("before the first sample %s = %v, want null", name, v)
		}
	}
	d.sample(errors.New("read routes"))
	got = decode()
	if want := d.wall.Format(exactTime); got["last_sample"] != want {
		t.Errorf("last_sample = %v, want %s", got["last_sample"], want)
	}
	if list, ok := got["troubled_sources"].([]any); !ok || len(list) != 1 {
		t.Errorf("troubled_sources = %v", got["troubled_sources"])
	}
}
