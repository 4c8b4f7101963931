package recorder

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"netsql/recorder/internal/sockdiag"
	"netsql/store"
)

// What nobody knows of closes that are summed up is NULL, not 0: the bytes of connections that were reset, whose numbers the kernel has forgotten. Where
// the numbers of some are known, these are the sum. Of how many they are not known is said, also to the traffic of the process.
func TestSumsOfClosesSayWhatIsUnknown(t *testing.T) {
	t.Parallel()
	r := newRecording(t)
	s := newSockets(r.Writer, here(t)).(*sockets)
	source := r.Source("closes")
	c := &closes{ns: here(t), protocols: s.protocols, sums: store.NewLog(source, store.CloseCounts)}
	tcp := c.protocol(unix.AF_INET, unix.IPPROTO_TCP)
	whole := sockdiag.Record{Has: sockdiag.HasInfo | sockdiag.HasBytesSent | sockdiag.HasSegs, RTT: 5, BytesSent: 30, BytesRecv: 7, SegsOut: 3, SegsIn: 2}
	type sums struct {
		forgotten, known int
		rec              sockdiag.Record
		row              string // count, closed_unknown, failed, bytes_sent, bytes_received, segs_out, segs_in, retransmits, rtt_ms
	}
	cases := map[uint16]sums{
		1: {forgotten: 3, row: "3 3 0 <nil> <nil> <nil> <nil> <nil> <nil>"},
		2: {forgotten: 1, known: 2, rec: whole, row: "3 1 0 60 14 6 4 0 0.005"},
		3: {known: 1, rec: whole, row: "1 0 0 30 7 3 2 0 0.005"},
		4: {known: 2, rec: sockdiag.Record{Has: sockdiag.HasInfo}, row: "2 0 2 <nil> <nil> <nil> <nil> 0 <nil>"}, // refused
	}
	log := newCloseLog(100)
	up := time.Minute
	r.Begin(store.Clock{Wall: time.Unix(1_700_000_000, 0).Add(up), Uptime: up, Awake: up})
	source.Read(func() error {
		for port, of := range cases {
			g := &closeGroup{}
			for i := range of.forgotten + of.known {
				e := closeEvent{at: up - time.Second, proto: unix.IPPROTO_TCP, forgotten: i < of.forgotten}
				if !e.forgotten {
					e.rec = of.rec
				}
				log.enter(g, &e)
			}
			before := *tcp.traffic.of(sumKey{})
			tcp.traffic.of(sumKey{}).known = false
			s.putCloseCount(c, groupKey{scope: anyListener, family: unix.AF_INET, proto: unix.IPPROTO_TCP, port: port}, g)
			after := *tcp.traffic.of(sumKey{})
			if closed, unknown := after.closed-before.closed, after.unknown-before.unknown; closed != int64(of.forgotten+of.known) || unknown != int64(of.forgotten) || after.known != (of.known > 0) {
				t.Errorf("traffic of %d forgotten and %d known: %d closed, %d unknown, known %v", of.forgotten, of.known, closed, unknown, after.known)
			}
		}
		return nil
	})
	if err := r.Commit(t.Context(), store.Cost{}); err != nil {
		t.Fatal(err)
	}
	want, got := map[string]string{}, map[string]string{}
	for port, of := range cases {
		want[fmt.Sprint(port)] = of.row
	}
	for _, row := range r.rows("SELECT * FROM closed_counts") {
		got[fmt.Sprint(row["local_port"])] = fmt.Sprint(row["count"], row["closed_unknown"], row["failed"], row["bytes_sent"], row["bytes_received"], row["segs_out"], row["segs_in"], row["retransmits"], row["rtt_ms"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Sockets in TIME_WAIT that are only counted come on top of those that are recorded; and where the kernel did not tell of queues, they are not 0.
func TestCountsOfWhatIsNotRecorded(t *testing.T) {
	t.Parallel()
	p := &protocol{proto: "tcp", counts: map[countKey]*count{}}
	for range 2 {
		e := &socket{}
		e.Rec.State = sockdiag.StateTimeWait
		p.count(e, 0)
	}
	waits := p.counts[countKey{0, "TIME_WAIT"}]
	if waits == nil || waits.n != 2 || waits.queues {
		t.Fatalf("two in TIME_WAIT of which no queue is known: %+v", waits)
	}
	p.countedRemains = 3
	p.countRemains()
	if waits.n != 5 || !waits.queues {
		t.Errorf("with three that are only counted: %+v", waits)
	}
}
