package recorder

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"netsql/recorder/kerneltest"
)

// Samples that take longer than the interval do not pile up: each is followed by one at the next beat, and the time in which
// some were missed is a gap.
func TestLateSamples(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	const interval, slow = MinInterval, 5 * MinInterval / 2
	path := filepath.Join(t.TempDir(), "late.db")
	var taken []time.Time
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := Run(ctx, Config{Path: path, Interval: interval, NetNS: NetNS{own: true}, Sampled: func() {
		taken = append(taken, time.Now())
		switch n := len(taken); {
		case n == 20:
			stop()
		case n >= 5 && n < 12:
			<-time.After(slow) // the sample takes as long
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	// Slow samples are three beats apart at least. Had the missed ones been made up for, those after them would follow without a
	// pause.
	for i := 5; i < 12; i++ {
		if d := taken[i].Sub(taken[i-1]); d < slow {
			t.Errorf("sample %d came %v after one that took %v", i+1, d, slow)
		}
	}
	if d := taken[18].Sub(taken[12]); d < 5*interval {
		t.Errorf("six samples after the slow ones took %v: they were made up for", d)
	}
	r := &testRecording{t: t, path: path}
	got := r.rows("SELECT count(*) AS n, sum(until - since) AS s FROM gaps WHERE kind = 'late'")
	late := taken[12].Sub(taken[4]).Seconds()
	if n, s := got[0]["n"].(int64), got[0]["s"].(float64); n < 1 || s < late/2 || s > taken[19].Sub(taken[0]).Seconds() {
		t.Errorf("%d gaps of kind late, of %v s; samples were late for %v s", n, s, late)
	}
	if n := r.rows("SELECT count(*) AS n FROM samples")[0]["n"].(int64); n < 20 || n > 21 {
		t.Errorf("%d samples, want 20 and the last", n)
	}
}
