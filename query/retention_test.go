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
