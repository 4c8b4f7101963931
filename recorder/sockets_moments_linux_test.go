package recorder

import (
	"fmt"
	"io"
	"math"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/recorder/kerneltest"
	"netsql/store"
)

// An interval is a moment that lies between two, in unix seconds.
type interval struct{ from, to float64 }

func (b interval) overlaps(o interval) bool { return b.from <= o.to && o.from <= b.to }

// An ssTimer is a timer as ss shows it, with the moment at which it ends.
type ssTimer struct {
	kind, tries string
	ends        interval
}

// ssWords are what ss says of a socket, and when it said it.
func ssWords(t *testing.T, c any) (line string, asked interval) {
	t.Helper()
	asked.from = wallNow()
	line = ss(t, "-tineo")[cookieOf(t, c)].more
	asked.to = wallNow()
	return line, asked
}

// timerOf takes timer:(on,1.234ms,2) apart, in which 1.234ms are 1,234 ms; ss shows no ms of ten seconds, and no seconds of ten minutes.
func timerOf(t *testing.T, line string, asked interval) ssTimer {
	t.Helper()
	timer := ssTimer{kind: ssWord(line, `timer:\((\w+),`), tries: ssWord(line, `timer:\(\w+,[^,]*,(\d+)\)`)}
	text := ssWord(line, `timer:\(\w+,([^,]*),`)
	left, shown := 0.0, 0.001
	if minutes, rest, ok := strings.Cut(text, "min"); ok {
		n, _ := strconv.Atoi(minutes)
		if left, text, shown = 60*float64(n), rest, 1; n > 9 {
			shown = 60
		}
	}
	switch {
	case strings.HasSuffix(text, "sec"):
		n, err := strconv.Atoi(strings.TrimSuffix(text, "sec"))
		if left, shown = left+float64(n), 1; err != nil {
			t.Fatal(line)
		}
	case strings.HasSuffix(text, "ms"):
		n, err := strconv.ParseFloat(strings.TrimSuffix(text, "ms"), 64)
		if !strings.Contains(text, ".") {
			n /= 1000
		}
		if left += n; err != nil {
			t.Fatal(line)
		}
	}
	timer.ends = interval{asked.from + left, asked.to + left + shown}
	return timer
}

// timerAgreesWithSS takes samples until a timer of that kind is the same before and after one of them, and compares with what ss says of it.
func (h *heldBack) timerAgreesWithSS(r *testRecording, s source, c any, kind, ssKind string) {
	h.Helper()
	var row map[string]any
	var before, after ssTimer
	var took interval
	until(h.T, "a timer "+kind+" that runs", func() bool {
		line, asked := ssWords(h.T, c)
		before = timerOf(h.T, line, asked)
		took.from = wallNow()
		r.sampleNow(s)
		took.to = wallNow()
		line, asked = ssWords(h.T, c)
		after = timerOf(h.T, line, asked)
		row = r.socketsNow("proto = 'tcp'")[cookieOf(h.T, c)]
		return before.kind == ssKind && after.kind == ssKind && before.tries == after.tries && before.ends.overlaps(after.ends) && asked.to < before.ends.from
	})
	tries, _ := strconv.ParseInt(before.tries, 10, 64)
	if row["timer"] != kind || row["tries"] != tries {
		h.Errorf("timer %v, tries %v; ss says %+v", row["timer"], row["tries"], before)
	}
	// To 0.1 s, in the kernel's ticks. The clocks are read one after the other, and the kernel writes some time after.
	slack := 0.12 + took.to - took.from
	for _, ss := range []ssTimer{before, after} {
		if ends, _ := row["timer_ends"].(float64); ends < ss.ends.from-slack || ends > ss.ends.to+slack {
			h.Errorf("timer %s ends at %v, ss says between %.3f and %.3f", kind, row["timer_ends"], ss.ends.from, ss.ends.to)
		}
	}
}

// Which timer runs, how often it has run in vain, and when it ends is as ss -o shows it: of a connection whose other end does not read, of
// one whose packets are lost, of one at rest, and of one whose other end is gone.
func TestTimersAgreeWithSS(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	s.moments.settle.Quiet = 50 * time.Millisecond

	stuffed, _ := h.pair(1<<20, 4096)
	h.fill(stuffed)
	until(t, "the window is shut", func() bool { return tcpInfoOf(t, stuffed).Probes > 0 })
	h.timerAgreesWithSS(r, s, stuffed, "probe", "persist")

	resting, _ := h.pair(0, 0)
	gone, _ := h.pair(0, 0)
	for c, idle := range map[*net.TCPConn]int{resting: 3600, gone: 1} {
		onFD(t, c, func(fd int) {
			for option, n := range map[int]int{unix.TCP_KEEPIDLE: idle, unix.TCP_KEEPINTVL: 5, unix.TCP_KEEPCNT: 100} {
				if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, option, n); err != nil {
					t.Fatal(err)
				}
			}
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1); err != nil {
				t.Fatal(err)
			}
		})
	}
	until(t, "nothing has moved for a while", func() bool {
		i := tcpInfoOf(t, resting)
		return min(i.Last_data_sent, i.Last_data_recv) > 50
	})
	h.timerAgreesWithSS(r, s, resting, "keepalive", "keepalive")
	s.moments.settle.Quiet = time.Hour
	again := newSockets(r.Writer, here(t)).(*sockets) // it has seen nothing before
	r.sampleNow(again)
	if row := r.socketsNow("proto = 'tcp'")[cookieOf(t, resting)]; row["timer"] != "keepalive" || row["timer_ends"] != nil {
		t.Errorf("of late: timer %v ends at %v", row["timer"], row["timer_ends"])
	}

	lossy, _ := h.pair(0, 0)
	h.drop(heldServer, heldClient)
	if _, err := lossy.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is sent again twice", func() bool { return tcpInfoOf(t, lossy).Retransmits >= 2 })
	until(t, "a keepalive probe is not answered", func() bool { return tcpInfoOf(t, gone).Probes > 0 })
	h.timerAgreesWithSS(r, s, lossy, "retransmit", "on")
	h.timerAgreesWithSS(r, s, gone, "keepalive", "keepalive")
}

// When data last went out and came in is the moment at which it did, and it stands still.
func TestLastDataAgreesWithSS(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	client, server := h.pair(0, 0)
	client.SetKeepAlive(false)
	server.SetKeepAlive(false)
	r.sampleNow(s)
	if row := r.socketsNow("proto = 'tcp'")[cookieOf(t, client)]; row["last_sent"] != nil || row["last_received"] != nil {
		t.Errorf("nothing has moved yet: %v, %v", row["last_sent"], row["last_received"])
	}
	move := func(from, to *net.TCPConn) (when interval) {
		t.Helper()
		when.from = wallNow()
		if _, err := from.Write(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		when.to = wallNow()
		return when
	}
	ago := func(column string) uint32 {
		if column == "last_sent" {
			return tcpInfoOf(t, client).Last_data_sent
		}
		return tcpInfoOf(t, client).Last_data_recv
	}
	sent := move(client, server)
	until(t, "some time goes by", func() bool { return ago("last_sent") > 300 })
	received := move(server, client)
	until(t, "some time goes by", func() bool { return ago("last_received") > 300 })

	s.moments.settle.Quiet = 100 * time.Millisecond
	took := interval{from: wallNow()}
	r.sampleNow(s)
	took.to = wallNow()
	row := r.socketsNow("proto = 'tcp'")[cookieOf(t, client)]
	line, asked := ssWords(t, client)
	slack := 0.03 + took.to - took.from
	for column, by := range map[string]struct {
		moved interval
		word  string
	}{"last_sent": {sent, ` lastsnd:(\d+)`}, "last_received": {received, ` lastrcv:(\d+)`}} {
		ms, _ := ssNumber(line, by.word).(int64)
		got, _ := row[column].(float64)
		if got < by.moved.from-slack || got > by.moved.to+slack {
			t.Errorf("%s is %.3f, it was between %.3f and %.3f", column, got, by.moved.from, by.moved.to)
		}
		if from, to := asked.from-float64(ms)/1000, asked.to-float64(ms)/1000; got < from-slack || got > to+slack {
			t.Errorf("%s is %.3f, ss says between %.3f and %.3f", column, got, from, to)
		}
	}
	other := r.socketsNow("proto = 'tcp'")[cookieOf(t, server)]
	for range 5 {
		r.sampleNow(s)
	}
	for _, c := range []struct {
		conn *net.TCPConn
		row  map[string]any
	}{{client, row}, {server, other}} {
		last := r.socketsNow("proto = 'tcp'")[cookieOf(t, c.conn)]
		if last["last_sent"] != c.row["last_sent"] || last["last_received"] != c.row["last_received"] {
			t.Errorf("it moves: from %v and %v to %v and %v", c.row["last_sent"], c.row["last_received"], last["last_sent"], last["last_received"])
		}
		if spans := r.rows(fmt.Sprintf("SELECT * FROM socket_spans WHERE cookie = %d AND ts > %f", cookieOf(t, c.conn), row["ts"])); len(spans) > 0 {
			t.Errorf("a connection at rest changes: %v", spans)
		}
	}
	move(client, server)
	s.moments.settle.Quiet = time.Hour
	r.sampleNow(s)
	if row := r.socketsNow("proto = 'tcp'")[cookieOf(t, client)]; row["last_sent"] != nil || row["last_received"] != nil {
		t.Errorf("of late: %v, %v", row["last_sent"], row["last_received"])
	}
}

// slowLoopback lets only so much through the loopback interface.
func slowLoopback(t *testing.T, rate string) {
	t.Helper()
	line := "qdisc add dev lo root tbf rate " + rate + " burst 10kb limit 1mb"
	if out, err := exec.Command("tc", strings.Fields(line)...).CombinedOutput(); err != nil {
		kerneltest.NeedKernel(t, fmt.Sprintf("tc %s: %v: %s", line, err, out))
	}
}

// reads reads all that comes, until the connection is closed.
func (h *heldBack) reads(c *net.TCPConn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.Copy(io.Discard, c)
	}()
	h.Cleanup(func() { c.Close(); <-done })
}

// A sender whose buffer is too small for the path is told by sndbuf_limited_ms. The oracles are getsockopt and ss.
func TestSmallSendBufferHoldsBack(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	ip(t, "link set lo gso_max_segs 1") // else one segment of 64 KB is in the buffer, however small that is
	slowLoopback(t, "400kbit")
	small, other := h.pair(1, 1<<20)
	// Only where a segment is sent after the buffer is full does the kernel count: so let it be paced.
	onFD(t, small, func(fd int) {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 200_000); err != nil {
			t.Fatal(err)
		}
	})
	h.reads(other)
	h.fill(small)
	limited := func(of string) int64 {
		line, _ := ssWords(t, small)
		n, _ := ssNumber(line, ` `+of+`:(\d+)ms`).(int64)
		return n
	}
	until(t, "the send buffer holds it back", func() bool { return tcpInfoOf(t, small).Sndbuf_limited > 500_000 })
	from := limited("sndbuf_limited")
	row := h.look(small)
	to := limited("sndbuf_limited")
	got, _ := row["sndbuf_limited_ms"].(int64)
	if got < from || got > to {
		t.Errorf("sndbuf_limited_ms is %d, ss says %d before and %d after", got, from, to)
	}
	if busy := row["busy_ms"].(int64); got < busy/3 || row["rwnd_limited_ms"] != int64(0) {
		t.Errorf("of %d ms busy, the send buffer held it back for %d, the other end for %v", busy, got, row["rwnd_limited_ms"])
	}
}

// How fast a connection delivers, and whether its application could have sent more, is as getsockopt and ss say.
func TestDeliveryRateAgreesWithSS(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	h := newHeldBack(t)
	chatty, silent := h.pair(0, 0)
	if _, err := chatty.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	until(t, "all is acknowledged", func() bool { return tcpInfoOf(t, chatty).Unacked == 0 })
	lines := sampleQuietly(t, h.r, h.s, "-tinmeo")
	rows := h.r.socketsNow("proto = 'tcp'")
	for c, limited := range map[*net.TCPConn]any{chatty: int64(1), silent: nil} {
		line, row := lines[cookieOf(t, c)].more, rows[cookieOf(t, c)]
		if strings.Contains(line, " delivery_rate ") != (limited != nil) || limited != nil && !strings.Contains(line, " app_limited") {
			t.Errorf("not as meant: %s", line)
		}
		if row["app_limited"] != limited || row["delivery_rate"] != nil {
			t.Errorf("app_limited %v, delivery_rate %v: %s", row["app_limited"], row["delivery_rate"], line)
		}
	}

	slowLoopback(t, "8mbit")
	bulk, other := h.pair(0, 0)
	h.reads(other)
	h.fill(bulk)
	until(t, "a moment in which the speed stands still", func() bool {
		line, _ := ssWords(t, bulk)
		before := tcpInfoOf(t, bulk).Delivery_rate
		h.r.sample(h.s)
		after := tcpInfoOf(t, bulk).Delivery_rate
		more, _ := ssWords(t, bulk)
		if before == 0 || max(before, after) > min(before, after)*11/10 || strings.Contains(line, " app_limited") || strings.Contains(more, " app_limited") {
			return false
		}
		row := h.r.socketsNow("proto = 'tcp'")[cookieOf(t, bulk)]
		got, _ := row["delivery_rate"].(int64)
		if row["app_limited"] != int64(0) || got < int64(min(before, after))/2*9/10 || got > int64(max(before, after))*3/2*11/10 || got != twoBits(got) {
			t.Errorf("app_limited %v, delivery_rate %v, getsockopt says %d before and %d after: %s", row["app_limited"], row["delivery_rate"], before, after, line)
		}
		return true
	})
}

// A moment is told the same way in every sample, though clocks are read with some spread; where the wall clock is set, by the new one. What was before a suspension is
// known to be so.
func TestMomentsOfARecording(t *testing.T) {
	t.Parallel()
	const boot, second = 1_700_000_000.004, time.Second
	var m moments
	for i, c := range []struct {
		now, suspended time.Duration
		boot           float64
		want           float64 // of what was a thousand seconds after boot
		woke           time.Duration
	}{
		{5000 * second, 0, boot, 1_700_001_000, 0},
		{5005 * second, 40 * time.Millisecond, boot + 0.04, 1_700_001_000, 0},
		{5010 * second, 0, boot - 0.04, 1_700_001_000, 0},
		{5015 * second, 0, boot + 0.07, 1_700_001_000.07, 0},
		{5020 * second, 0, boot - 3600, 1_699_997_400, 0},
		{9020 * second, 3000 * second, boot - 3600, 1_699_997_400, 9020 * second},
		{9025 * second, 3000 * second, boot - 3600, 1_699_997_400, 9020 * second},
		{9030 * second, 3001 * second, boot - 3600, 1_699_997_400, 9030 * second},
	} {
		m.begin(c.now, c.suspended, c.boot)
		tick := sockdiag.TickOf(1000 * second)
		if past, ahead := m.past(tick), m.ahead(tick); past != c.want || ahead != c.want || m.settle.Woke != c.woke {
			t.Errorf("%d: %f and %f, want %f; woke at %v, want %v", i, past, ahead, c.want, m.settle.Woke, c.woke)
		}
		if later := m.ahead(tick + 1_234_567); later != math.Round(100*(c.want+12345.67))/100 {
			t.Errorf("%d: a timer that is to end: %f", i, later)
		}
	}
	if past, ahead := m.past(0), m.ahead(0); past != 0 || ahead != 0 {
		t.Errorf("of no moment: %f and %f", past, ahead)
	}

	s := &sockets{moments: m}
	for has, want := range map[sockdiag.Has][2]float64{0: {}, sockdiag.SentLongAgo: {m.past(700), 0}, sockdiag.RecvLongAgo: {0, m.past(800)}} {
		var v store.Socket
		s.moreValues(&protocol{}, &sockdiag.Record{LastSent: 700, LastRecv: 800, Has: has}, &v)
		if got := [2]float64{v.LastSent, v.LastRecv}; got != want {
			t.Errorf("has %b: last moved at %v, want %v", has, got, want)
		}
	}
	for interval, want := range map[time.Duration]time.Duration{time.Second: 5 * time.Minute, 10 * second: 5 * time.Minute, time.Minute: 30 * time.Minute} {
		w, err := store.Create(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "test.db"), Interval: interval, Version: "test", Boot: store.Boot{ID: "boot"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := newSockets(w).(*sockets).moments.settle.Quiet; got != want {
			t.Errorf("with a sample every %v: %v, want %v", interval, got, want)
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
