package tools

import (
	"fmt"
	"strings"

	"netsql/query"
)

// What -E prints of a socket that was closed: the columns of a socket, by those of closed_sockets. The kernel tells of it when it has left its state, and
// without its inode: so ss prints UNCONN of TCP, and ino:0. What waited in its queues is not recorded.
var ssClosedColumns = []struct {
	column ssColumn
	from   string
}{
	{ssProto, "proto"}, {ssFamilyNumber, "family"}, {ssState, "iif(proto = 'udp' AND remote_port <> 0, 'ESTABLISHED', 'CLOSE')"},
	{ssLocalAddr, "local_addr"}, {ssLocalPort, "local_port"}, {ssRemoteAddr, "remote_addr"}, {ssRemotePort, "remote_port"}, {ssCookie, "cookie"},
	{ssRTT, "rtt_ms"}, {ssRTTVar, "rttvar_ms"}, {ssMinRTT, "min_rtt_ms"}, {ssCwnd, "cwnd"}, {ssMSS, "mss"}, {ssPMTU, "pmtu"},
	{ssBytesSent, "bytes_sent"}, {ssBytesReceived, "bytes_received"}, {ssSegsOut, "segs_out"}, {ssSegsIn, "segs_in"}, {ssRetransmits, "retransmits"},
}

// closed prints the sockets that were closed in the stretch of the moment, in the order of time.
func (s *ssPrinter) closed() error {
	var protos []string
	if s.kinds&ssTCP != 0 {
		protos = append(protos, "'tcp'")
	}
	if s.kinds&ssUDP != 0 {
		protos = append(protos, "'udp'")
	}
	switch p := s.parser; {
	case len(protos) == 0 || s.families&(ssFamily4|ssFamily6) == 0:
		return usagef("ss -E is told of sockets of tcp and udp alone: leave out what asks for others")
	case p.dev || p.marks || p.groups:
		return usagef("of closed sockets no device, no mark and no control group is recorded: ss -E takes src, dst, sport and dport")
	}
	names := []string{"pid", "comm", "owner_how"}
	for _, c := range ssClosedColumns {
		names = append(names, c.from)
	}
	within := fmt.Sprintf("WHERE ts BETWEEN %.6f AND %.6f AND netns = %d AND proto IN (%s)", secondsOf(s.m.From), secondsOf(s.m.To), s.m.NetNS, strings.Join(protos, ", "))
	more := len(names) - len(ssClosedColumns)
	err := s.m.recording.Each(s.ctx, names, "FROM closed_sockets "+within+" ORDER BY ts", func(values []query.Value) error {
		for i, c := range ssClosedColumns {
			s.row[c.column] = values[more+i]
		}
		s.owners = s.owners[:0]
		if how := values[2].Text(); values[0].Known() && (how == "cookie" || how == "trace") { // not who only listens on the port
			s.owners = append(s.owners, ssOwner{pid: values[0].Int(), fd: -1, comm: values[1].Text()})
		}
		if err := s.inet(s.row.text(ssProto)); err != nil {
			return err
		}
		return s.t.show() // as it comes: what is wider later does not widen it
	})
	if err != nil {
		return err
	}
	sums, err := rowsOf[int64](s.ctx, s.m, "SELECT coalesce(sum(count), 0) FROM closed_counts "+within)
	if err == nil && sums[0] > 0 {
		s.m.note(fmt.Sprintf("%d sockets more were closed, of which only sums were kept: SELECT * FROM closed_counts", sums[0]))
	}
	return err
}

// closedDetails prints what is known of a closed socket beside its ends.
func (s *ssPrinter) closedDetails(proto string) {
	if s.details {
		s.ownerDetails(true)
	}
	if !s.memory && (!s.info || proto == "udp") {
		return
	}
	if !s.oneline {
		s.t.text("\n\t")
	}
	if proto == "tcp" { // which the kernel tells with -m as well
		s.tcpInfo()
	}
}
