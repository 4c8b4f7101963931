package sockdiag

import "testing"

func TestNamed(t *testing.T) {
	t.Parallel()
	for i, want := range []string{
		"", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
		"LISTEN", "CLOSING", "SYN_RECV", "CLOSE", "", "",
	} {
		if got := Named(StateNames[:], uint8(i)); got != want {
			t.Errorf("state %d: got %q, want %q", i, got, want)
		}
	}
	for i, want := range []string{"off", "retransmit", "keepalive", "timewait", "probe", ""} {
		if got := Named(TimerNames[:], uint8(i)); got != want {
			t.Errorf("timer %d: got %q, want %q", i, got, want)
		}
	}
	for i, want := range []string{"", "stream", "dgram", "raw", "", "seqpacket", ""} {
		if got := Named(KindNames[:], uint8(i)); got != want {
			t.Errorf("kind %d: got %q, want %q", i, got, want)
		}
	}
}

func TestRemember(t *testing.T) {
	t.Parallel()
	moved := Record{
		BytesSent: 1, BytesRecv: 2, SegsOut: 3, SegsIn: 4, Retransmits: 5, RTT: 6, RTTVar: 7, MSS: 8, PMTU: 9, Cwnd: 10, State: 1,
		Has: HasInfo | HasBytesSent | HasBytesRecv | HasSegs | HasDrops | HasMark,
	}
	old := moved
	old.Has = HasInfo
	kept := Record{BytesSent: 1, BytesRecv: 2, SegsOut: 3, SegsIn: 4, Retransmits: 5, RTT: 6, RTTVar: 7, State: 6}
	keptWith := func(has Has) Record { r := kept; r.Has = has; return r }
	again := kept
	again.Has = HasLast | HasBytesSent | hasFIN
	unknown := moved
	unknown.Has = HasBytesSent | HasBytesRecv
	received := func(n uint64, has Has) Record { return Record{BytesRecv: n, Has: has} }
	const told = HasInfo | HasBytesRecv
	for _, c := range []struct {
		name          string
		r, last, want Record
	}{
		{"TIME_WAIT", Record{State: 6, Has: HasQueues}, moved, keptWith(HasQueues | HasLast | HasBytesSent | HasBytesRecv | HasSegs)},
		{"TIME_WAIT of an old kernel", Record{State: 6}, old, keptWith(HasLast)},
		{"TIME_WAIT after TIME_WAIT", Record{State: 6}, again, keptWith(HasLast | HasBytesSent | hasFIN)},
		{"TIME_WAIT of which nothing is known", Record{State: 6}, unknown, Record{State: 6}},
		{"still told", moved, received(99, told), moved},
		{"the FIN came before the end", received(101, told), received(100, told|hasFIN), received(100, told|hasFIN)},
		{"the FIN came before the end, as remembered", received(101, told), received(100, HasLast|HasBytesRecv|hasFIN), received(100, told|hasFIN)},
		{"as many as before", received(100, told), received(100, told|hasFIN), received(100, told)},
		{"two more than before", received(102, told), received(100, told|hasFIN), received(102, told)},
		{"no FIN came", received(101, told), received(100, told), received(101, told)},
		{"both without it", received(101, told|hasFIN), received(100, told|hasFIN), received(101, told|hasFIN)},
		{"the last one may have counted it", received(100, told|hasFIN), received(101, told), received(101, told|hasFIN)},
		{"the last one counted more", received(100, told|hasFIN), received(102, told), received(100, told|hasFIN)},
		{"the last one was as large", received(100, told|hasFIN), received(100, told), received(100, told|hasFIN)},
		{"the last one was no tcp_info", received(100, told|hasFIN), received(101, HasLast), received(100, told|hasFIN)},
		{"neither had it, and it fell", received(100, told), received(101, told), received(100, told)},
	} {
		got := c.r
		got.Remember(&c.last)
		if got != c.want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

func TestLeaveOutLastFIN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		has     Has
		recv    uint64
		lastHas Has
		last    uint64
		want    uint64
	}{
		{"one more than the sample", HasBytesRecv, 101, HasBytesRecv, 100, 100},
		{"many more", HasBytesRecv, 201, HasBytesRecv, 100, 200},
		{"as many", HasBytesRecv, 100, HasBytesRecv, 100, 100},
		{"fewer", HasBytesRecv, 99, HasBytesRecv, 100, 99},
		{"left out already", HasBytesRecv | hasFIN, 101, HasBytesRecv, 100, 101},
		{"left out in the sample", HasBytesRecv, 101, HasBytesRecv | hasFIN, 100, 101},
		{"not known", HasInfo, 101, HasBytesRecv, 100, 101},
	} {
		got, last := Record{Has: c.has, BytesRecv: c.recv}, Record{Has: c.lastHas, BytesRecv: c.last}
		got.LeaveOutLastFIN(&last)
		want := Record{Has: c.has, BytesRecv: c.want}
		if c.want != c.recv {
			want.Has |= hasFIN
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, want)
		}
	}
}

func TestIsRemains(t *testing.T) {
	t.Parallel()
	for state := range uint8(14) {
		for _, has := range []Has{0, HasInfo, HasLast} {
			want := has != HasInfo && (state == 5 || state == 6)
			if got := (&Record{State: state, Has: has}).IsRemains(); got != want {
				t.Errorf("state %d, has %b: got %v, want %v", state, has, got, want)
			}
		}
	}
}

func TestSameName(t *testing.T) {
	t.Parallel()
	one := Record{Src: [16]byte{1}, Dst: [16]byte{2}, SPort: 3, DPort: 4, IfIndex: 5, Inode: 6, Peer: 7, Kind: 8}
	for _, c := range []struct {
		name   string
		change func(r *Record)
		want   bool
	}{
		{"the same", func(*Record) {}, true},
		{"everything else differs", func(r *Record) { r.State, r.BytesRecv, r.RTT, r.Has, r.UID = 9, 10, 11, HasInfo, 12 }, true},
		{"src", func(r *Record) { r.Src[15] = 1 }, false},
		{"dst", func(r *Record) { r.Dst[15] = 1 }, false},
		{"sport", func(r *Record) { r.SPort++ }, false},
		{"dport", func(r *Record) { r.DPort++ }, false},
		{"interface", func(r *Record) { r.IfIndex++ }, false},
		{"inode", func(r *Record) { r.Inode++ }, false},
		{"peer", func(r *Record) { r.Peer++ }, false},
		{"kind", func(r *Record) { r.Kind++ }, false},
	} {
		other := one
		c.change(&other)
		if got := one.SameName(&other); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
