package recorder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// A listener keeps what notices say, and sets their clock.
type listener struct {
	*notices
	now  time.Time
	said []string
}

func newListener() *listener {
	l := &listener{now: time.Date(2026, 11, 23, 3, 0, 0, 0, time.Local)}
	l.notices = newNotices(func(n Notice) { l.said = append(l.said, fmt.Sprintf("%v: %s", n.Priority, n.Text)) }, 5*time.Second)
	return l
}

// sample is one every 5 s.
func (l *listener) sample(all ...Notice) {
	l.seen(all, l.now)
	l.look(l.now)
	l.now = l.now.Add(5 * time.Second)
}

func (l *listener) samples(n int, all ...Notice) {
	for range n {
		l.sample(all...)
	}
}

// store is what the store says between two samples.
func (l *listener) store(over bool, text string) {
	priority := PriorityErr
	if over {
		priority = PriorityNotice
	}
	l.take(Notice{Priority: priority, Text: text, About: "recording", Over: over}, l.now)
}

func (l *listener) want(t *testing.T, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, l.said); d != "" {
		t.Errorf("said (-want +got):\n%s", d)
	}
}

func TestTroubleIsToldOnce(t *testing.T) {
	t.Parallel()
	a := Notice{Priority: PriorityWarning, Text: "tcp could not be read: a", About: "tcp"}
	b := Notice{Priority: PriorityNotice, Text: "4 flows are not recorded", About: "flows"}
	t.Run("begin and end", func(t *testing.T) {
		l := newListener()
		l.samples(100, a)
		l.want(t, "warning: "+a.Text)
		l.samples(11)
		l.want(t, "warning: "+a.Text)
		l.samples(100)
		l.want(t, "warning: "+a.Text, "notice: over: "+a.Text+" (in 100 samples, the last at 03:08:15)")
	})
	t.Run("two that alternate", func(t *testing.T) {
		l := newListener()
		for range 100 {
			l.sample(a)
			l.sample(b)
		}
		l.want(t, "warning: "+a.Text, "notice: "+b.Text)
		l.samples(100)
		l.want(t, "warning: "+a.Text, "notice: "+b.Text,
			"notice: over: "+a.Text+" (in 100 samples, the last at 03:16:30)", "notice: over: "+b.Text+" (in 100 samples, the last at 03:16:35)")
	})
	t.Run("another count", func(t *testing.T) {
		l := newListener()
		for i := range 100 {
			l.sample(Notice{Priority: PriorityNotice, Text: fmt.Sprintf("%d flows are not recorded", i), About: "flows"})
		}
		l.want(t, "notice: 0 flows are not recorded")
	})
	t.Run("one that comes back", func(t *testing.T) { // once in two minutes, for a day
		l := newListener()
		for range 720 {
			l.sample(a)
			l.samples(23)
		}
		if len(l.said) > 4 {
			t.Errorf("said %d times: %q", len(l.said), l.said)
		}
	})
	t.Run("always another", func(t *testing.T) {
		l := newListener()
		for i := range 10000 {
			l.sample(Notice{Priority: PriorityWarning, Text: "the namespace of " + strings.Repeat("x", i) + " is closed", About: "namespaces"})
		}
		if len(l.said) > 30 || len(l.troubles) > maxTroubles {
			t.Errorf("said %d times, %d troubles are kept", len(l.said), len(l.troubles))
		}
	})
	t.Run("a full disk", func(t *testing.T) {
		l := newListener()
		l.store(false, "no space left")
		l.samples(1000)
		l.want(t, "error: no space left")
		l.store(true, "the 9 samples are written")
		l.samples(13)
		l.want(t, "error: no space left", "notice: the 9 samples are written")
	})
	t.Run("a disk that is full in every other sample", func(t *testing.T) {
		l := newListener()
		for i := range 100 {
			l.store(false, []string{"no space left", "locked by process 7", "locked by process 8"}[i%3])
			l.sample()
			l.store(true, "recording goes on")
			l.sample()
		}
		l.want(t, "error: no space left", "error: locked by process 7")
		l.samples(13)
		l.want(t, "error: no space left", "error: locked by process 7", "notice: recording goes on (100 times since 03:00:00)")
	})
	t.Run("a file that is deleted again and again", func(t *testing.T) {
		l := newListener()
		for range 100 {
			l.store(true, "deleted: recording goes on")
			l.sample()
		}
		l.want(t, "notice: deleted: recording goes on")
		l.samples(13)
		l.want(t, "notice: deleted: recording goes on", "notice: deleted: recording goes on (100 times since 03:00:00)")
		l.samples(10000)
		l.store(true, "deleted: recording goes on")
		if l.samples(100); len(l.said) != 3 {
			t.Errorf("said %q", l.said)
		}
	})
	t.Run("what is no trouble", func(t *testing.T) {
		l := newListener()
		for range 2 {
			l.take(Notice{Priority: PriorityInfo, Text: "brought up to date"}, l.now)
		}
		l.want(t, "info: brought up to date", "info: brought up to date")
	})
}

// failing is a source that cannot be read, for another reason in every other sample.
type failing struct {
	*store.Source
	why []error
}

func (f *failing) read(context.Context) {
	f.Read(func() error {
		if len(f.why) == 0 {
			return nil
		}
		f.why = append(f.why[1:], f.why[0])
		return f.why[0]
	})
}

// What a source cannot read in each sample, the recorder tells once, and once that it can.
func TestFailingSourceIsToldOnce(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	r := newTestRun(t, "self")
	f := &failing{r.Source("failing"), []error{errors.New("first reason"), errors.New("second reason")}}
	g := &failing{r.Source("failing alike"), []error{errors.New("first reason"), errors.New("second reason")}}
	r.machine = append(r.machine, f, g)
	said := func(words string) (n int) {
		for _, s := range r.said {
			if strings.Contains(s, words) {
				n++
			}
		}
		return n
	}
	take := func() {
		if err := r.run.sample(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		take()
	}
	for _, reason := range []string{"first", "second"} {
		if n := said("failing, failing alike could not be read: " + reason + " reason"); n != 1 {
			t.Errorf("the %s reason was said %d times: %q", reason, n, r.said)
		}
	}
	f.why, g.why = nil, nil
	for deadline := time.Now().Add(time.Minute); said("over: failing") < 2 && time.Now().Before(deadline); {
		take()
	}
	for _, reason := range []string{"first", "second"} {
		if n := said("over: failing, failing alike could not be read: " + reason + " reason (in 5 samples, the last at "); n != 1 {
			t.Errorf("the end of the %s reason was said %d times: %q", reason, n, r.said)
		}
	}
}
