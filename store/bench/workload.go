package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"netsql/store"
)

// A Workload is the one of the design's measurements: sockets of which a fifth move bytes in
// every sample and one in two hundred is replaced in every sample. Ten of them listen.
type Workload struct {
	options store.Options
	rand    *rand.Rand
	ids     []store.SocketID
	vals    []store.Socket
	known   []*store.Subject[store.SocketID, store.Socket]
	touched []bool          // since the last sample
	moved   []time.Duration // when that last was; see resting
	next    int
	groups  int // of sockets that are counted, besides
	counts  []int
	samples int

	Writer  *store.Writer
	source  *store.Source
	sockets *store.Set[store.SocketID, store.Socket]
	procs   *store.Set[store.ProcessID, store.Process]
	sums    *store.Set[store.SocketCountID, store.SocketCount]
	trends  *store.Set[store.SocketCountID, store.SocketTrend]
	uptime  time.Duration

	// More, if set, is called in each sample, to put the rows of other sources.
	More func()
}

// workloadListeners of the sockets listen, each on a port of its own from workloadPort on.
const (
	workloadListeners = 10
	workloadPort      = 5000
)

var workloadStart = time.Unix(1_700_000_000, 0)

// NewWorkload begins a recording of so many sockets, and of so many groups that are counted: see group.
func NewWorkload(ctx context.Context, path string, sockets, groups int, interval time.Duration) (*Workload, error) {
	l := &Workload{
		options: store.Options{Path: path, Interval: interval, Version: "bench", Boot: store.Boot{ID: "b", Started: time.Unix(1_600_000_000, 0)}},
		rand:    rand.New(rand.NewPCG(1, 2)),
		groups:  groups, counts: make([]int, groups),
	}
	l.ids, l.vals = make([]store.SocketID, sockets), make([]store.Socket, sockets)
	l.known, l.touched, l.moved = make([]*store.Subject[store.SocketID, store.Socket], sockets), make([]bool, sockets), make([]time.Duration, sockets)
	for i := range l.ids {
		l.replace(i)
	}
	for i := range min(workloadListeners, sockets/2) {
		id, v := &l.ids[i], &l.vals[i]
		id.LocalAddr, id.LocalPort, id.RemoteAddr, id.RemotePort = "0.0.0.0", store.Of(workloadPort+i), "0.0.0.0", store.Of(0)
		*v = store.Socket{State: "LISTEN", UID: v.UID, User: v.User, CGroup: v.CGroup, Timer: "off", Congestion: "cubic", RecvQ: store.Of(0), SendQ: store.Of(128), Drops: store.Of(0)}
	}
	return l, l.Open(ctx)
}

// Open begins a run of the recorder.
func (l *Workload) Open(ctx context.Context) error {
	w, err := store.Create(ctx, l.options)
	if err != nil {
		return err
	}
	l.Writer, l.source = w, w.Source("tcp4")
	l.procs, l.sockets = store.NewSet(l.source, store.Processes), store.NewSet(l.source, store.Sockets)
	l.sums, l.trends = store.NewSet(l.source, store.SocketCounts), store.NewSet(l.source, store.SocketTrends)
	clear(l.known)
	return nil
}

func (l *Workload) Close(ctx context.Context) error { return l.Writer.Close(ctx) }

func (l *Workload) replace(i int) {
	l.next++
	l.known[i] = nil
	l.ids[i] = store.SocketID{
		NetNS: store.Of(4026531840), Proto: "tcp", Family: store.Of(4), Type: "stream", LocalAddr: "10.1.2.3", LocalPort: store.Of(443),
		RemoteAddr: fmt.Sprintf("192.168.%d.%d", l.rand.IntN(256), l.rand.IntN(256)), RemotePort: store.Of(1024 + l.rand.IntN(60000)),
		Inode: store.Of(100_000 + l.next), Cookie: store.Of(l.next),
	}
	l.vals[i] = store.Socket{
		State: "ESTABLISHED", UID: store.Of(33), User: "www-data", CGroup: "/system.slice/nginx.service", Timer: []string{"off", "keepalive"}[i%2],
		Congestion: "cubic", MSS: store.Of(1448), PMTU: store.Of(1500), RecvQ: store.Of(0), SendQ: store.Of(0),
		BytesSent: store.Of(l.rand.IntN(1_000_000)), BytesReceived: store.Of(l.rand.IntN(100_000)), SegsOut: store.Of(l.rand.IntN(2000)), SegsIn: store.Of(l.rand.IntN(2000)),
		Retransmits: store.Of(0), RTT: store.Of(200 + l.rand.IntN(30000)), RTTVar: store.Of(100 + l.rand.IntN(10000)), Cwnd: store.Of(10), Drops: store.Of(0),
		Busy: store.Of(l.rand.IntN(2000)), RwndLimited: store.Of(0), SndbufLimited: store.Of(0), NotSent: store.Of(0), Lost: store.Of(0), Reordered: store.Of(0),
		Tries: store.Of(0), Backoff: store.Of(0), RcvBuf: store.Of(131072), SndBuf: store.Of(65536),
		AppLimited: store.Of(1), Options: []string{"ts sack wscale:7,7", "ts sack wscale:8,7", "sack wscale:8,7"}[l.rand.IntN(3)], TOS: store.Of(0), Direction: "in",
	}
	v := &l.vals[i]
	v.MinRTT, v.RTO = rounded(v.RTT.Or(0)), store.Of((200+v.RTT.Or(0)/1000)/10*10)
	l.moved[i] = l.uptime
	if l.next%20 == 0 { // a transfer at 10 kB/s to 100 MB/s
		v.AppLimited, v.DeliveryRate = store.Of(0), rounded(int64(1e4*math.Pow(1e4, l.rand.Float64())))
	}
}

// rest has a connection on which nothing has moved for a while say since when, as the recorder does.
func (l *Workload) rest(i int) {
	const quiet = 5 * time.Minute
	v := &l.vals[i]
	if v.State == "ESTABLISHED" && v.LastSent == 0 && l.uptime-l.moved[i] >= max(quiet, 30*l.options.Interval) {
		v.LastSent = seconds(workloadStart.Add(l.moved[i]))
		v.LastRecv = v.LastSent
		if v.Timer == "keepalive" {
			v.TimerEnds = v.LastSent + 7200
		}
		l.touched[i] = true
	}
}

// rounded is n rounded down to the next power of two, or to that and a half.
func rounded(n int64) store.Int {
	step := int64(1)
	for 2*step <= n {
		step *= 2
	}
	if n >= step+step/2 {
		step += step / 2
	}
	return store.Of(step)
}

// connected is a socket that does not listen.
func (l *Workload) connected() int {
	listeners := min(workloadListeners, len(l.ids)/2)
	return listeners + l.rand.IntN(len(l.ids)-listeners)
}

// move lets an interval go by.
func (l *Workload) move() {
	n := len(l.ids)
	for range n / 200 {
		l.replace(l.connected())
	}
	for range n / 5 {
		i := l.connected()
		v := &l.vals[i]
		l.touched[i], l.moved[i] = true, l.uptime
		v.LastSent, v.LastRecv, v.TimerEnds = 0, 0, 0
		if v.DeliveryRate != (store.Int{}) && l.rand.IntN(5) == 0 {
			v.DeliveryRate = rounded(max(1000, v.DeliveryRate.Or(0)<<l.rand.IntN(3)>>1))
		}
		sent := l.rand.IntN(100_000)
		v.BytesSent = store.Of(v.BytesSent.Or(0) + int64(sent))
		v.BytesReceived = store.Of(v.BytesReceived.Or(0) + int64(l.rand.IntN(2000)))
		v.SegsOut = store.Of(v.SegsOut.Or(0) + int64(1+sent/1448))
		v.SegsIn = store.Of(v.SegsIn.Or(0) + int64(1+sent/2896))
		v.RTT = store.Of(v.RTT.Or(0) + int64(l.rand.IntN(41)) - 20)
		v.RTTVar = store.Of(100 + l.rand.IntN(10000))
		v.Busy = store.Of(v.Busy.Or(0) + int64(l.rand.IntN(200)))
		v.RTO = store.Of((200 + v.RTT.Or(0)/1000) / 10 * 10)
	}
	l.uptime += l.options.Interval
	for i := range l.ids {
		l.rest(i)
	}
}

// Skip lets time go by without a sample.
func (l *Workload) Skip(d time.Duration) { l.uptime += d }

// Uptime is that of the newest sample.
func (l *Workload) Uptime() time.Duration { return l.uptime }

// TS is when sample i of the workload, counted from 0, is taken.
func (l *Workload) TS(i int) float64 {
	return seconds(workloadStart.Add(time.Duration(i+1) * l.options.Interval))
}

// Sample moves on by an interval and writes; it returns how long the writing took. As the recorder does, it gives only
// those sockets whose values have changed.
func (l *Workload) Sample(ctx context.Context) (time.Duration, error) {
	l.move()
	start := time.Now()
	l.Writer.Begin(store.Clock{Wall: workloadStart.Add(l.uptime), Uptime: l.uptime, Awake: l.uptime})
	l.source.Read(func() error {
		for pid := range 10 {
			l.procs.Put(store.ProcessID{PID: store.Of(100 + pid), Started: 1.6e9, Comm: "nginx", Exe: "/usr/sbin/nginx"}, store.Process{})
		}
		for i := range l.ids {
			if !l.touched[i] && l.sockets.Keep(l.known[i]) {
				continue
			}
			l.touched[i] = false
			v := l.vals[i]
			v.Process = store.Ref(1 + i%10)
			if !l.sockets.Change(l.known[i], v) {
				l.known[i] = l.sockets.Put(l.ids[i], v)
			}
		}
		l.putGroups()
		return nil
	})
	if l.More != nil {
		l.More()
	}
	if err := l.Writer.Commit(ctx, store.Cost{}); err != nil {
		return 0, err
	}
	l.samples++
	return time.Since(start), nil
}

// SumUp works out the sums that are due, as Tidy does between samples, and returns how long that took. The roll-ups it
// leaves out.
func (l *Workload) SumUp(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := l.Writer.SumUp(ctx)
	return time.Since(start), err
}

// groupsPerProcess states hold the sockets of a process that is only counted.
const groupsPerProcess = 3

// putGroups puts the sums of many processes, whose sockets are not there: the first leaks, one socket in sixty samples; the
// next ten groups change in every sample and fifty more in one of ten; all others stand still.
func (l *Workload) putGroups() {
	for g := range l.groups {
		p := l.procs.Put(store.ProcessID{PID: store.Of(1000 + g/groupsPerProcess), Started: 1.6e9, Comm: fmt.Sprintf("service%d", g/groupsPerProcess), Exe: "/usr/bin/service"}, store.Process{})
		oldest := seconds(workloadStart)
		switch {
		case l.counts[g] == 0:
			l.counts[g] = 20 + g%50
		case g == 0:
			l.counts[g] = 20 + l.samples/60
		case g <= 10, g <= 60 && l.rand.IntN(10) == 0:
			l.counts[g] = 20 + l.rand.IntN(40)
		}
		if g > 0 {
			oldest = seconds(workloadStart.Add(l.uptime).Truncate(time.Hour)) - 600
		}
		id := store.SocketCountID{NetNS: store.Of(4026531840), Process: p.Ref(), Proto: "tcp", Family: store.Of(4), State: []string{"ESTABLISHED", "CLOSE_WAIT", "LISTEN"}[g%groupsPerProcess]}
		l.sums.Put(id, store.SocketCount{Count: store.Of(l.counts[g]), RecvQ: store.Of(0), SendQ: store.Of(0), Oldest: store.Of(int64(oldest))})
		l.trends.Put(id, store.SocketTrend{Count: store.Of(l.counts[g])})
	}
}

// seconds is a moment as a recording has it: in unix seconds.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
