package query

import (
	"strings"
	"testing"
	"time"

	"netsql/store"
)

// A moment that is not kept any more is answered with where the recording begins and what is left of then; status says what
// is kept.
func TestMomentsThatAreNotKept(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 23, 3, 0, 0, 0, time.Local)
	d := newDiary(t, began)
	d.limits = store.Limits{Keep: 5 * time.Minute, MaxSize: 64 << 20}
	d.start()
	for range 200 { // 16 minutes
		d.sample(nil)
		for more := true; more; {
			var err error
			if more, err = d.w.Tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.stop()
	r, err := Open(t.Context(), d.path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, _, err = r.SetAt(t.Context(), began.Add(3*time.Minute))
	if err == nil || !strings.Contains(err.Error(), "the recording begins at 2026-11-23 03:1") || !strings.Contains(err.Error(), "see socket_counts_1m") {
		t.Errorf("a moment that is not kept: %v", err)
	}
	if _, _, err = r.SetAt(t.Context(), began.Add(-3*time.Hour)); err == nil || strings.Contains(err.Error(), "socket_counts_1m") {
		t.Errorf("a moment before everything: %v", err)
	}
	if _, _, err = r.SetAt(t.Context(), began.Add(14*time.Minute)); err != nil {
		t.Errorf("a moment that is kept: %v", err)
	}
	s, err := ReadStatus(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := s.Write(&text); err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(text.String()), " ")
	if want := "samples are kept for 5m, up to 64.0 MiB; roll-ups go back to 2026-11-23 03:00:00"; !strings.Contains(words, want) {
		t.Errorf("status does not say %q:\n%s", want, text.String())
	}
}

// A moment between two samples that are kept of a thinned time is answered with the one before it, and the note says so; status tells up to
// when that is.
func TestMomentsThatAreThinned(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 23, 3, 0, 0, 0, time.Local)
	d := newDiary(t, began)
	d.start()
	for range 1000 { // 83 minutes, of which the last hour is not thinned
		d.sample(nil)
	}
	d.stop()
	d.limits = store.Limits{MaxSize: 1} // whatever the size
	d.start()
	d.sample(nil)
	r := openRecording(t, d.path)
	until := 0.0
	for steps := 0; until < unixSeconds(began.Add(20*time.Minute)); steps++ {
		if more, err := d.w.Tidy(t.Context()); err != nil || !more || steps > 10_000 {
			t.Fatalf("after %d steps: thinned until %f, %v", steps, until, err)
		}
		if err := r.ask(t.Context(), "SELECT coalesce(max(until), 0) FROM gaps WHERE kind = 'thinned'", &until); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()

	got, note, err := r.SetAt(t.Context(), began.Add(10*time.Minute+40*time.Second))
	if err != nil || got.Format("15:04:05") != "03:10:00" {
		t.Errorf("at 03:10:40: %v, %v", got, err)
	}
	if want := "of 2026-11-23 03:10:40 one sample in each minute is kept, for want of room (--max-size): this is 2026-11-23 03:10:00; the next sample is of 2026-11-23 03:11:00"; note != want {
		t.Errorf("the note is %q, want %q", note, want)
	}
	for _, at := range []time.Duration{10*time.Minute + 2*time.Second, 70*time.Minute + 40*time.Second} { // none was dropped before them
		if _, note, err := r.SetAt(t.Context(), began.Add(at)); err != nil || note != "" {
			t.Errorf("at %s: %q, %v", at, note, err)
		}
	}
	s, text := readStatus(t, r)
	if want := "; before 2026-11-23 03:2"; !strings.Contains(text, want) || len(s.Thinned) != 1 || s.Gaps != 1 || s.Samples > 900 {
		t.Errorf("status: %+v\n%s", s, text)
	}
}

// From ten minutes on status says for how long there is room at this rate.
func TestStatusSaysForHowLongThereIsRoom(t *testing.T) {
	t.Parallel()
	for keep, want := range map[time.Duration]string{
		time.Hour:             "; at this rate there is room for all of it",
		1000 * 24 * time.Hour: "; at this rate there is room for every sample of ",
		0:                     "; at this rate there is room for every sample of ",
	} {
		d := newDiary(t, time.Date(2026, 11, 23, 3, 0, 0, 0, time.Local))
		d.limits = store.Limits{Keep: keep, MaxSize: 64 << 20}
		d.start()
		r := openRecording(t, d.path)
		for i := range 200 {
			if d.sample(nil); i == 100 {
				if s, text := readStatus(t, r); s.RoomS != nil || strings.Contains(text, "at this rate") || s.Forecast() != "" {
					t.Errorf("after eight minutes: %s", text)
				}
			}
		}
		d.stop()
		s, text := readStatus(t, r)
		var pages, tables float64
		if err := r.ask(t.Context(), "SELECT page_count - freelist_count, (SELECT count(*) FROM main.sqlite_schema WHERE rootpage > 0) FROM pragma_page_count, pragma_freelist_count", &pages, &tables); err != nil {
			t.Fatal(err)
		}
		room := (64 << 20) / ((pages - tables) * 1024) * 199 * 5
		if s.RoomS == nil || *s.RoomS < 0.99*room || *s.RoomS > 1.01*room || !strings.Contains(text, want) {
			t.Errorf("keep %s: want room for %.0f s: %+v\n%s", keep, room, s.RoomS, text)
		}
		if got := s.Forecast(); !strings.Contains(got, " a day are recorded: 64.0 MiB have room for every sample of ") || strings.Contains(got, "the 1h that are kept") != (keep == time.Hour) {
			t.Errorf("the forecast is %q", got)
		}
	}
}
