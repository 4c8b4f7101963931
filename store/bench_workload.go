package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// A workload is the one of the design's measurements: sockets of which a fifth move bytes in
// every sample and one in two hundred is replaced in every sample. Ten of them listen.
type workload struct {
	options Options
	rand    *rand.Rand
	ids     []SocketID
	vals    []Socket
	known   []*Subject[SocketID, Socket]
	touched []bool // since the last sample
	next    int
	groups  int // of sockets that are counted, besides
	counts  []int
	samples int

	writer  *Writer
	source  *Source
	sockets *Set[SocketID, Socket]
	procs   *Set[ProcessID, Process]
	sums    *Set[SocketCountID, SocketCount]
	trends  *Set[SocketCountID, SocketTrend]
	uptime  time.Duration
}

// workloadListeners of the sockets listen, each on a port of its own from workloadPort on.
const (
	workloadListeners = 10
	workloadPort      = 5000
)

var workloadStart = time.Unix(1_700_000_000, 0)

// newWorkload begins a recording of so many sockets, and of so many groups that are counted: see group.
func newWorkload(ctx context.Context, path string, sockets, groups int, interval time.Duration) (*workload, error) {
	l := &workload{
		options: Options{Path: path, Interval: interval, Version: "bench", Boot: Boot{ID: "b", Started: time.Unix(1_600_000_000, 0)}},
		rand:    rand.New(rand.NewPCG(1, 2)),
		groups:  groups, counts: make([]int, groups),
	}
	l.ids, l.vals = make([]SocketID, sockets), make([]Socket, sockets)
	l.known, l.touched = make([]*Subject[SocketID, Socket], sockets), make([]bool, sockets)
	for i := range l.ids {
		l.replace(i)
	}
	for i := range min(workloadListeners, sockets/2) {
		id, v := &l.ids[i], &l.vals[i]
		id.LocalAddr, id.LocalPort, id.RemoteAddr, id.RemotePort = "0.0.0.0", Of(workloadPort+i), "0.0.0.0", Of(0)
		*v = Socket{State: "LISTEN", UID: v.UID, User: v.User, CGroup: v.CGroup, Timer: "off", Congestion: "cubic", RecvQ: Of(0), SendQ: Of(128), Drops: Of(0)}
	}
	return l, l.open(ctx)
}

// open begins a run of the recorder.
func (l *workload) open(ctx context.Context) error {
	w, err := Create(ctx, l.options)
	if err != nil {
		return err
	}
	l.writer, l.source = w, w.Source("tcp4")
	l.procs, l.sockets = NewSet(l.source, Processes), NewSet(l.source, Sockets)
	l.sums, l.trends = NewSet(l.source, SocketCounts), NewSet(l.source, SocketTrends)
	clear(l.known)
	return nil
}

func (l *workload) close(ctx context.Context) error { return l.writer.Close(ctx) }

func (l *workload) replace(i int) {
	l.next++
	l.known[i] = nil
	l.ids[i] = SocketID{
		NetNS: Of(4026531840), Proto: "tcp", Family: Of(4), Type: "stream", LocalAddr: "10.1.2.3", LocalPort: Of(443),
		RemoteAddr: fmt.Sprintf("192.168.%d.%d", l.rand.IntN(256), l.rand.IntN(256)), RemotePort: Of(1024 + l.rand.IntN(60000)),
		Inode: Of(100_000 + l.next), Cookie: Of(l.next),
	}
	l.vals[i] = Socket{
		State: "ESTABLISHED", UID: Of(33), User: "www-data", CGroup: "/system.slice/nginx.service", Timer: []string{"off", "keepalive"}[i%2],
		Congestion: "cubic", MSS: Of(1448), PMTU: Of(1500), RecvQ: Of(0), SendQ: Of(0),
		BytesSent: Of(l.rand.IntN(1_000_000)), BytesReceived: Of(l.rand.IntN(100_000)), SegsOut: Of(l.rand.IntN(2000)), SegsIn: Of(l.rand.IntN(2000)),
		Retransmits: Of(0), RTT: Of(200 + l.rand.IntN(30000)), RTTVar: Of(100 + l.rand.IntN(10000)), Cwnd: Of(10), Drops: Of(0),
	}
}

// connected is a socket that does not listen.
func (l *workload) connected() int {
	listeners := min(workloadListeners, len(l.ids)/2)
	return listeners + l.rand.IntN(len(l.ids)-listeners)
}

// move lets an interval go by.
func (l *workload) move() {
	n := len(l.ids)
	for range n / 200 {
		l.replace(l.connected())
	}
	for range n / 5 {
		i := l.connected()
		v := &l.vals[i]
		l.touched[i] = true
		sent := l.rand.IntN(100_000)
		v.BytesSent = Of(v.BytesSent.Or(0) + int64(sent))
		v.BytesReceived = Of(v.BytesReceived.Or(0) + int64(l.rand.IntN(2000)))
		v.SegsOut = Of(v.SegsOut.Or(0) + int64(1+sent/1448))
		v.SegsIn = Of(v.SegsIn.Or(0) + int64(1+sent/2896))
		v.RTT = Of(v.RTT.Or(0) + int64(l.rand.IntN(41)) - 20)
		v.RTTVar = Of(100 + l.rand.IntN(10000))
	}
	l.uptime += l.options.Interval
}

// ts is when sample i of the workload, counted from 0, is taken.
func (l *workload) ts(i int) float64 {
	return unixSeconds(workloadStart.Add(time.Duration(i+1) * l.options.Interval))
}

// sample moves on by an interval and writes; it returns how long the writing took. As the recorder does, it gives only
// those sockets whose values have changed.
func (l *workload) sample(ctx context.Context) (time.Duration, error) {
	l.move()
	start := time.Now()
	l.writer.Begin(Clock{Wall: workloadStart.Add(l.uptime), Uptime: l.uptime, Awake: l.uptime})
	l.source.Read(func() error {
		for pid := range 10 {
			l.procs.Put(ProcessID{PID: Of(100 + pid), Started: 1.6e9, Comm: "nginx", Exe: "/usr/sbin/nginx"}, Process{})
		}
		for i := range l.ids {
			if !l.touched[i] && l.sockets.Keep(l.known[i]) {
				continue
			}
			l.touched[i] = false
			v := l.vals[i]
			v.Process = Ref(1 + i%10)
			if !l.sockets.Change(l.known[i], v) {
				l.known[i] = l.sockets.Put(l.ids[i], v)
			}
		}
		l.putGroups()
		return nil
	})
	if err := l.writer.Commit(ctx, Cost{}); err != nil {
		return 0, err
	}
	l.samples++
	return time.Since(start), nil
}

// sumUp works out the sums that are due, as Tidy does between samples, and returns how long that took. The roll-ups it leaves out.
func (l *workload) sumUp(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := l.writer.readHorizon(ctx)
	for due := err == nil; due && err == nil; {
		due, err = l.writer.sumUpDue(ctx)
	}
	return time.Since(start), err
}

// groupsPerProcess states hold the sockets of a process that is only counted.
const groupsPerProcess = 3

// putGroups puts the sums of many processes, whose sockets are not there: the first leaks, one socket in sixty samples; the
// next ten groups change in every sample and fifty more in one of ten; all others stand still.
func (l *workload) putGroups() {
	for g := range l.groups {
		p := l.procs.Put(ProcessID{PID: Of(1000 + g/groupsPerProcess), Started: 1.6e9, Comm: fmt.Sprintf("service%d", g/groupsPerProcess), Exe: "/usr/bin/service"}, Process{})
		oldest := unixSeconds(workloadStart)
		switch {
		case l.counts[g] == 0:
			l.counts[g] = 20 + g%50
		case g == 0:
			l.counts[g] = 20 + l.samples/60
		case g <= 10, g <= 60 && l.rand.IntN(10) == 0:
			l.counts[g] = 20 + l.rand.IntN(40)
		}
		if g > 0 {
			oldest = unixSeconds(workloadStart.Add(l.uptime).Truncate(time.Hour)) - 600
		}
		id := SocketCountID{NetNS: Of(4026531840), Process: p.Ref(), Proto: "tcp", Family: Of(4), State: []string{"ESTABLISHED", "CLOSE_WAIT", "LISTEN"}[g%groupsPerProcess]}
		l.sums.Put(id, SocketCount{Count: Of(l.counts[g]), RecvQ: Of(0), SendQ: Of(0), Oldest: Of(int64(oldest))})
		l.trends.Put(id, SocketTrend{Count: Of(l.counts[g])})
	}
}
