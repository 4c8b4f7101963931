package recorder

import (
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/kerneltest"
	"netsql/store"
)

// TestCloserLook: a sample each second for a minute after one that saw something lost, and no more than a twentieth of the time.
func TestCloserLook(t *testing.T) {
	t.Parallel()
	c := closerLook{saved: closerFor}
	const interval, took = 5 * time.Second, 10 * time.Millisecond
	if _, ok := c.next(false, time.Second, took); ok {
		t.Error("it looks closer though nothing was lost")
	}
	var closer, whole time.Duration
	begin := time.Hour
	for now := begin; now < begin+4*time.Hour; {
		wait, ok := c.next(true, now, took) // something is lost all the time
		step := interval
		if ok {
			if step = wait + took; step != time.Second {
				t.Fatalf("the next sample is %v later, want a second", step)
			}
			closer += step
			if now == begin && c.until != begin+time.Minute {
				t.Errorf("it looks until %v after the loss, want a minute", c.until-begin)
			}
		}
		now += step
		whole += step
	}
	if share := closer.Seconds() / whole.Seconds(); share > 0.055 || share < 0.04 {
		t.Errorf("it looks closer for %.3f of the time, want a twentieth", share)
	}
	if wait, ok := (&closerLook{saved: closerFor}).next(true, time.Hour, 300*time.Millisecond); !ok || wait != 2700*time.Millisecond {
		t.Errorf("a sample of 0.3 s is followed by one after %v, want a tenth of the time at most: 2.7 s", wait)
	}
}

// TestSamplesSayWhy: samples that a symptom brought are told from those of the interval.
func TestSamplesSayWhy(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	for i, why := range []store.Why{store.WhyInterval, store.WhySymptom, store.WhyChange, store.WhyLast} {
		up := time.Duration(i+1) * time.Second
		r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
		r.Because(why)
		if err := r.Commit(t.Context(), store.Cost{}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, row := range r.rows("SELECT why FROM samples ORDER BY ts") {
		got = append(got, row["why"].(string))
	}
	if text := strings.Join(got, " "); text != "interval symptom change last" {
		t.Errorf("samples say %q", text)
	}
}

// TestAdviceExists: each setting that a finding names is one of this kernel, and each table one of the recording.
func TestAdviceExists(t *testing.T) {
	t.Parallel()
	views := map[string]bool{}
	for _, v := range store.Views() {
		views[v.Name] = true
	}
	sysctl, table := regexp.MustCompile(`\bnet\.(?:core|ipv4|ipv6|netfilter)(?:\.[a-z0-9_]+)+`), regexp.MustCompile(`SELECT \* FROM (\w+)`)
	settings := 0
	for _, v := range store.Views() {
		if !strings.HasPrefix(v.Name, "fault_") {
			continue
		}
		for _, name := range sysctl.FindAllString(v.Body, -1) {
			path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
			if _, err := os.Stat(path); err != nil && !strings.HasPrefix(name, "net.netfilter.") { // a module
				t.Errorf("%s: %s: %v", v.Name, name, err)
			}
			settings++
		}
		for _, m := range table.FindAllStringSubmatch(v.Body, -1) {
			if !views[m[1]] {
				t.Errorf("%s: there is no table %s", v.Name, m[1])
			}
		}
	}
	if settings < 15 {
		t.Errorf("only %d settings were found", settings)
	}
}

// TestWhatLimitsTheAcceptQueue: it is the backlog of listen() and net.core.somaxconn, as the advice says, and not tcp_max_syn_backlog.
func TestWhatLimitsTheAcceptQueue(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	f := newFaultRun(t, 1, false)
	for i, c := range []struct {
		somaxconn, synBacklog string
		listen                int
		want                  int64
	}{{"7", "100", 50, 7}, {"70", "3", 50, 50}, {"4096", "128", 9, 9}} {
		setSysctl(t, "net/core/somaxconn", c.somaxconn)
		setSysctl(t, "net/ipv4/tcp_max_syn_backlog", c.synBacklog)
		l := f.listen("127.0.0.1", 7100+i, c.listen)
		f.look(1)
		if got := f.rows("SELECT send_q FROM sockets_now WHERE state = 'LISTEN' AND local_port = ?", 7100+i); len(got) != 1 || got[0]["send_q"] != c.want {
			t.Errorf("with somaxconn %s, tcp_max_syn_backlog %s and listen(%d) the queue holds %v, want %d", c.somaxconn, c.synBacklog, c.listen, got, c.want)
		}
		unix.Shutdown(l, unix.SHUT_RDWR)
	}
}

// TestNothingIsToldAfterAPause: what a counter grew by while nobody looked is of no sample; what it grows by then is.
func TestNothingIsToldAfterAPause(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	f := newFaultRun(t, 1, false)
	l, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.SetReadBuffer(1)
	c, err := net.Dial("udp4", l.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	flood := func(n int) {
		for range n {
			c.Write(make([]byte, 500))
		}
	}
	flood(30) // before the first sample
	f.look(2)
	flood(40)
	f.tick += 60
	f.look(1)
	const asked = "SELECT amount FROM symptoms WHERE symptom = 'Udp.RcvbufErrors' ORDER BY ts"
	if got := f.rows(asked); len(got) > 0 {
		t.Errorf("after a first sample and a pause: %v", got)
	}
	flood(50)
	f.look(1)
	if got := f.rows(asked); len(got) != 1 || got[0]["amount"] != int64(50) {
		t.Errorf("then: %v, want 50", got)
	}
}
