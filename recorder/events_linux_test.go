package recorder

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"netsql/recorder/kerneltest"
)

// runOften records with many samples, until stop.
func runOften(t *testing.T) (r *testRecording, stop func()) {
	t.Helper()
	r = &testRecording{t: t, path: filepath.Join(t.TempDir(), "often.db")}
	ctx, cancel := context.WithCancel(t.Context())
	done, first := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		done <- Run(ctx, Config{Path: r.path, Interval: MinInterval, NetNS: NetNS{own: true}, Sampled: func() {
			select {
			case first <- struct{}{}:
			default:
			}
		}})
	}()
	select {
	case <-first:
	case err := <-done:
		t.Fatal(err)
	}
	return r, func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// stolenTime is how many seconds a host has kept the CPUs of this virtual machine from running; 0 on a machine that
// is none. It is the eighth number of a cpu line of /proc/stat, in hundredths of a second.
func stolenTime() float64 {
	data, _ := os.ReadFile("/proc/stat")
	all := 0.0
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 8 && strings.HasPrefix(words[0], "cpu") && words[0] != "cpu" {
			ticks, _ := strconv.ParseFloat(words[8], 64)
			all += ticks / 100
		}
	}
	return all
}

// The time of a route's event lies between the clock before the call that made it and the clock after, if it is exact; and
// never before the call, with samples all the time.
func TestEventsAreNotBeforeTheyHappened(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	links(t, "d0")
	ip(t, "addr add 10.1.0.1/24 dev d0")
	link, err := netlink.LinkByName("d0")
	if err != nil {
		t.Fatal(err)
	}
	r, stop := runOften(t)
	calls := map[string]while{}
	before := stolenTime()
	const n = 120
	for i := range n {
		_, dst, _ := net.ParseCIDR(fmt.Sprintf("198.51.%d.0/24", i))
		calls[dst.String()] = during(func() {
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst}); err != nil {
				t.Error(err)
			}
		})
		pause := time.Now().Add(time.Duration(i*7%61) * time.Millisecond / 2)
		for time.Now().Before(pause) { // all moments of a sample are met
			time.Sleep(time.Millisecond)
		}
	}
	eventually(t, "all are recorded", func() bool { return len(r.rows("SELECT 1 FROM route_changes WHERE dst LIKE '198.51.%'")) == n })
	stop()
	exact := 0
	var unsaid float64 // by how much events are later than they may be
	var which []string
	for _, row := range r.rows("SELECT * FROM route_changes WHERE dst LIKE '198.51.%'") {
		call, ts := calls[row["dst"].(string)], row["ts"].(float64)
		if row["learnt"] != "event" {
			continue // what a sample saw is dated by the sample
		}
		const micro = 100e-6 // the clocks are not read at the same instant
		if ts < call.from-micro {
			t.Errorf("%v: %.1f ms before the call", row, 1000*(call.from-ts))
		}
		if row["exact"] == int64(1) {
			exact++
		}
		late := 0.001
		for _, log := range r.rows("SELECT late_ms FROM route_event WHERE dst = ? AND late_ms IS NOT NULL", row["dst"]) {
			late = float64(log["late_ms"].(int64)) / 1000
		}
		if more := ts - late - micro - call.to; more > 0 {
			unsaid += more
			which = append(which, fmt.Sprintf("%v, exact %v: %.1f ms after the call, %v s are told", row["dst"], row["exact"], 1000*(ts-call.to), late))
		}
	}
	// A virtual CPU that the host does not let run wakes nobody, and tells it in hundredths of a second only. Nobody can know of
	// that.
	stolen := stolenTime() - before
	if before > 0 {
		stolen += 0.01 * float64(runtime.NumCPU()) // what is not told yet
	}
	if unsaid > stolen {
		t.Errorf("%.1f ms more than are told, of which the host may have taken %.1f:\n%s", 1000*unsaid, 1000*stolen, strings.Join(which, "\n"))
	}
	t.Logf("%d of %d are exact", exact, n)
	if got := r.rows("SELECT count(*) AS n FROM route_changes WHERE dst LIKE '198.51.%' AND learnt = 'event'")[0]["n"].(int64); got < n*9/10 {
		t.Errorf("%d of %d were learnt by event", got, n)
	}
	if exact == 0 {
		t.Error("none is exact")
	}
}

// For every connection, however it was closed, events say opened, its states, closed, in this order, each once, and nothing
// before it happened.
func TestEventsOfConnections(t *testing.T) {
	if !kerneltest.InNamespace(t) {
		return
	}
	loopback(t)
	r, stop := runOften(t)
	l := listen(t, "tcp4", "127.0.0.1:0")
	type life struct {
		how          string
		opened, over float64 // not opened before, not over before
	}
	lives := map[string]*life{} // by the local and the remote end
	var held []net.Conn
	wait := func(d time.Duration) {
		for until := time.Now().Add(d); time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
	for i := range 24 {
		across := time.Duration(i%2) * 3 * MinInterval / 2 // between samples, or across some
		from := wallNow()
		one, two := tcpPair(t, l)
		how := []string{"client first", "server first", "FIN_WAIT2", "reset"}[i/2%4]
		c, s := &life{how: how + " client", opened: from}, &life{how: how + " server", opened: from}
		lives[strings.Join([]string{one.LocalAddr().String(), one.RemoteAddr().String()}, " ↔ ")] = c
		lives[strings.Join([]string{two.LocalAddr().String(), two.RemoteAddr().String()}, " ↔ ")] = s
		wait(across)
		c.over, s.over = wallNow(), wallNow()
		switch how {
		case "client first":
			one.Close()
			io.ReadAll(two)
			wait(across)
			s.over = wallNow()
			two.Close()
		case "server first":
			two.Close()
			io.ReadAll(one)
			wait(across)
			c.over = wallNow()
			one.Close()
		case "FIN_WAIT2":
			one.Close()
			held = append(held, two)
			s.over = 0
		case "reset":
			one.SetLinger(0)
			one.Close()
			io.ReadAll(two)
			two.Close()
		}
	}
	closed := func() int64 {
		return r.rows("SELECT count(*) AS n FROM closed_sockets WHERE proto = 'tcp' AND remote_port > 0")[0]["n"].(int64)
	}
	eventually(t, "the closes are recorded", func() bool { return closed() >= 24+12 })
	wait(3 * MinInterval)
	stop()
	for ends, life := range lives {
		rows := r.rows("SELECT ts, event, was, now, exact FROM events WHERE object = 'socket' AND what = 'tcp ' || ?", ends)
		var order []string
		seen, last := map[string]bool{}, 0.0
		for _, row := range rows {
			ts, event := row["ts"].(float64), row["event"].(string)
			key := event + text(row["now"])
			if event != "state" {
				key = event
			}
			order = append(order, fmt.Sprintf("%.3f %s", ts-life.opened, key))
			if seen[key] {
				t.Errorf("%s %s: %s is told twice", life.how, ends, key)
			}
			seen[key] = true
			if ts < last {
				t.Errorf("%s %s: %s is told after what came later", life.how, ends, key)
			}
			last = ts
			// A sample's time is that of its begin, a few milliseconds before it sees a socket.
			const dump = 0.1
			if event == "opened" && ts < life.opened-dump || event == "closed" && row["exact"] == int64(1) && ts < life.over-1e-4 {
				t.Errorf("%s %s: %s %.1f ms before it happened", life.how, ends, key, 1000*(life.opened-ts))
			}
		}
		want := []string{"opened", "closed"}
		if life.over == 0 {
			want = []string{"opened"}
		}
		if life.how == "reset client" { // the kernel has forgotten its other end
			continue
		}
		for _, event := range want {
			if !seen[event] {
				t.Errorf("%s %s: not %s: %v", life.how, ends, event, order)
			}
		}
		if len(order) == 0 || !strings.HasSuffix(order[0], " opened") {
			t.Errorf("%s %s: %v", life.how, ends, order)
		}
		if n := len(order); n > 1 && strings.HasSuffix(order[n-1], " released") { // a sample saw it dead before it was closed
			order = order[:n-1]
		}
		if life.over > 0 && len(order) > 0 && !strings.HasSuffix(order[len(order)-1], " closed") {
			t.Errorf("%s %s: %v", life.how, ends, order)
		}
	}
	for _, c := range held {
		c.Close()
	}
}
