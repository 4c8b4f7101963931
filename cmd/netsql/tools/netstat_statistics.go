package tools

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"netsql/query"
)

// A statistic is the sentence that netstat -s has for a counter.
type statistic struct {
	text string // with a %s for the number, which is the same for one and for many
	kind statisticKind
}

type statisticKind int

const (
	whenCounted  statisticKind = iota // printed when it is not 0
	always                            // printed also when it is 0
	icmpReceived                      // a line of the histogram of ICMP that came in
	icmpSent                          // a line of that of ICMP that went out
	never
)

// statistics are the sentences of net-tools 2.10 (statistics.c), by the group of the counter and its name: what it prints, not what its source has, where
// some sentences are never found. What has none here is printed by its name, when it is not 0.
var statistics = map[string]map[string]statistic{
	"Ip": {
		"DefaultTTL": {"", never},
		"InReceives": {"%s total packets received", always}, "InHdrErrors": {"%s with invalid headers", whenCounted}, "InAddrErrors": {"%s with invalid addresses", whenCounted},
		"ForwDatagrams": {"%s forwarded", always}, "InUnknownProtos": {"%s with unknown protocol", whenCounted}, "InDiscards": {"%s incoming packets discarded", always},
		"InDelivers": {"%s incoming packets delivered", always}, "OutRequests": {"%s requests sent out", always}, "OutDiscards": {"%s outgoing packets dropped", whenCounted},
		"OutNoRoutes": {"%s dropped because of missing route", whenCounted}, "ReasmTimeout": {"%s fragments dropped after timeout", whenCounted},
		"ReasmReqds": {"%s reassemblies required", whenCounted}, "ReasmOKs": {"%s packets reassembled ok", whenCounted}, "ReasmFails": {"%s packet reassemblies failed", whenCounted},
		"FragOKs": {"%s outgoing packets fragmented ok", whenCounted}, "FragFails": {"%s outgoing packets failed fragmentation", whenCounted}, "FragCreates": {"%s fragments created", whenCounted},
	},
	"Ip6": {
		"InReceives": {"%s total packets received", always}, "InHdrErrors": {"%s with invalid headers", whenCounted}, "InTooBigErrors": {"%s with packets too big", whenCounted},
		"InNoRoutes": {"%s incoming packets with no route", whenCounted}, "InAddrErrors": {"%s with invalid addresses", whenCounted}, "InUnknownProtos": {"%s with unknown protocol", whenCounted},
		"InTruncatedPkts": {"%s with truncated packets", whenCounted}, "InDiscards": {"%s incoming packets discarded", always}, "InDelivers": {"%s incoming packets delivered", always},
		"OutForwDatagrams": {"%s forwarded", always}, "OutRequests": {"%s requests sent out", always}, "OutDiscards": {"%s outgoing packets dropped", whenCounted},
		"OutNoRoutes": {"%s dropped because of missing route", whenCounted}, "ReasmTimeout": {"%s fragments dropped after timeout", whenCounted},
		"ReasmReqds": {"%s reassemblies required", whenCounted}, "ReasmOKs": {"%s packets reassembled ok", whenCounted}, "ReasmFails": {"%s packet reassemblies failed", whenCounted},
		"FragOKs": {"%s outgoing packets fragmented ok", whenCounted}, "FragFails": {"%s outgoing packets failed fragmentation", whenCounted}, "FragCreates": {"%s fragments created", whenCounted},
		"InMcastPkts": {"%s incoming multicast packets", whenCounted}, "OutMcastPkts": {"%s outgoing multicast packets", whenCounted},
	},
	"Icmp": {
		"InMsgs": {"%s ICMP messages received", always}, "InErrors": {"%s input ICMP message failed", always},
		"InDestUnreachs": {"destination unreachable: %s", icmpReceived}, "InTimeExcds": {"timeout in transit: %s", icmpReceived}, "InParmProbs": {"wrong parameters: %s", icmpReceived},
		"InSrcQuenchs": {"source quenches: %s", icmpReceived}, "InRedirects": {"redirects: %s", icmpReceived}, "InEchos": {"echo requests: %s", icmpReceived},
		"InEchoReps": {"echo replies: %s", icmpReceived}, "InTimestamps": {"timestamp request: %s", icmpReceived}, "InTimestampReps": {"timestamp reply: %s", icmpReceived},
		"InAddrMasks": {"address mask request: %s", icmpReceived}, "InAddrMaskReps": {"address mask replies: %s", icmpReceived},
		"OutMsgs": {"%s ICMP messages sent", always}, "OutErrors": {"%s ICMP messages failed", always},
		"OutDestUnreachs": {"destination unreachable: %s", icmpSent}, "OutTimeExcds": {"time exceeded: %s", icmpSent}, "OutParmProbs": {"wrong parameters: %s", icmpSent},
		"OutSrcQuenchs": {"source quench: %s", icmpSent}, "OutRedirects": {"redirect: %s", icmpSent}, "OutEchos": {"echo requests: %s", icmpSent},
		"OutEchoReps": {"echo replies: %s", icmpSent}, "OutTimestamps": {"timestamp requests: %s", icmpSent}, "OutTimestampReps": {"timestamp replies: %s", icmpSent},
		"OutAddrMasks": {"address mask requests: %s", icmpSent}, "OutAddrMaskReps": {"address mask replies: %s", icmpSent},
	},
	"Icmp6": {
		"InMsgs": {"%s ICMP messages received", always}, "InErrors": {"%s input ICMP message failed", always}, "OutMsgs": {"%s ICMP messages sent", always},
		"InDestUnreachs": {"destination unreachable: %s", icmpReceived}, "InPktTooBigs": {"packets too big: %s", icmpReceived},
		"InTimeExcds": {"received ICMPv6 time exceeded: %s", icmpReceived}, "InParmProblems": {"parameter problem: %s", icmpReceived},
		"InEchos": {"echo requests: %s", icmpReceived}, "InEchoReplies": {"echo replies: %s", icmpReceived},
		"InGroupMembQueries": {"group member queries: %s", icmpReceived}, "InGroupMembResponses": {"group member responses: %s", icmpReceived},
		"InGroupMembReductions": {"group member reductions: %s", icmpReceived}, "InRouterSolicits": {"router solicits: %s", icmpReceived},
		"InRouterAdvertisements": {"router advertisement: %s", icmpReceived}, "InNeighborSolicits": {"neighbour solicits: %s", icmpReceived},
		"InNeighborAdvertisements": {"neighbour advertisement: %s", icmpReceived}, "InRedirects": {"redirects: %s", icmpReceived},
		"OutDestUnreachs": {"destination unreachable: %s", icmpSent}, "OutPktTooBigs": {"packets too big: %s", icmpSent},
		"OutTimeExcds": {"sent ICMPv6 time exceeded: %s", icmpSent}, "OutParmProblems": {"parameter problem: %s", icmpSent},
		"OutEchos": {"echo requests: %s", icmpSent}, "OutEchoReplies": {"echo replies: %s", icmpSent},
		"OutGroupMembQueries": {"group member queries: %s", icmpSent}, "OutGroupMembResponses": {"group member responses: %s", icmpSent},
		"OutGroupMembReductions": {"group member reductions: %s", icmpSent}, "OutRouterSolicits": {"router solicits: %s", icmpSent},
		"OutNeighborSolicits": {"neighbor solicits: %s", icmpSent}, "OutNeighborAdvertisements": {"neighbor advertisements: %s", icmpSent},
		"OutRedirects": {"redirects: %s", icmpSent},
	},
	"Tcp": {
		"RtoAlgorithm": {"", never}, "RtoMin": {"", never}, "RtoMax": {"", never}, "MaxConn": {"", never},
		"ActiveOpens": {"%s active connection openings", always}, "PassiveOpens": {"%s passive connection openings", always}, "AttemptFails": {"%s failed connection attempts", always},
		"EstabResets": {"%s connection resets received", always}, "CurrEstab": {"%s connections established", always}, "InSegs": {"%s segments received", always},
		"OutSegs": {"%s segments sent out", always}, "RetransSegs": {"%s segments retransmitted", always}, "InErrs": {"%s bad segments received", always}, "OutRsts": {"%s resets sent", always},
	},
	"Udp": {
		"InDatagrams": {"%s packets received", always}, "NoPorts": {"%s packets to unknown port received", always}, "InErrors": {"%s packet receive errors", always},
		"OutDatagrams": {"%s packets sent", always}, "RcvbufErrors": {"%s receive buffer errors", always}, "SndbufErrors": {"%s send buffer errors", always},
	},
	"Udp6": {
		"InDatagrams": {"%s packets received", always}, "NoPorts": {"%s packets to unknown port received", always}, "InErrors": {"%s packet receive errors", always},
		"OutDatagrams": {"%s packets sent", always},
	},
	"TcpExt": {
		"SyncookiesSent": {"%s SYN cookies sent", whenCounted}, "SyncookiesRecv": {"%s SYN cookies received", whenCounted}, "SyncookiesFailed": {"%s invalid SYN cookies received", whenCounted},
		"EmbryonicRsts": {"%s resets received for embryonic SYN_RECV sockets", whenCounted},
		"PruneCalled":   {"%s packets pruned from receive queue because of socket buffer overrun", whenCounted}, "RcvPruned": {"%s packets pruned from receive queue", whenCounted},
		"OfoPruned":        {"%s packets dropped from out-of-order queue because of socket buffer overrun", whenCounted},
		"OutOfWindowIcmps": {"%s ICMP packets dropped because they were out-of-window", whenCounted}, "LockDroppedIcmps": {"%s ICMP packets dropped because socket was locked", whenCounted},
		"TW": {"%s TCP sockets finished time wait in fast timer", whenCounted}, "TWRecycled": {"%s time wait sockets recycled by time stamp", whenCounted},
		"PAWSPassive": {"%s passive connections rejected because of time stamp", whenCounted}, "PAWSActive": {"%s active connections rejected because of time stamp", whenCounted},
		"PAWSEstab":   {"%s packets rejected in established connections because of timestamp", whenCounted},
		"DelayedACKs": {"%s delayed acks sent", whenCounted}, "DelayedACKLocked": {"%s delayed acks further delayed because of locked socket", whenCounted},
		"DelayedACKLost": {"Quick ack mode was activated %s times", whenCounted}, "ListenOverflows": {"%s times the listen queue of a socket overflowed", whenCounted},
		"ListenDrops": {"%s SYNs to LISTEN sockets dropped", whenCounted}, "SockMallocOOM": {"Ran %s times out of system memory during packet sending", whenCounted},
		"TCPPrequeued": {"%s packets directly queued to recvmsg prequeue", whenCounted}, "TCPDirectCopyFromBacklog": {"%s bytes directly in process context from backlog", whenCounted},
		"TCPHPHits": {"%s packet headers predicted", always}, "TCPHPHitsToUser": {"%s packet headers predicted and directly queued to user", whenCounted},
		"TCPPureAcks": {"%s acknowledgments not containing data payload received", whenCounted}, "TCPHPAcks": {"%s predicted acknowledgments", whenCounted},
		"TCPRenoRecovery": {"%s times recovered from packet loss due to fast retransmit", whenCounted},
		"TCPFACKReorder":  {"Detected reordering %s times using FACK", whenCounted}, "TCPSACKReorder": {"Detected reordering %s times using SACK", whenCounted},
		"TCPRenoReorder": {"Detected reordering %s times using reno fast retransmit", whenCounted}, "TCPTSReorder": {"Detected reordering %s times using time stamp", whenCounted},
		"TCPFullUndo": {"%s congestion windows fully recovered without slow start", whenCounted}, "TCPPartialUndo": {"%s congestion windows partially recovered using Hoe heuristic", whenCounted},
		"TCPLossUndo":        {"%s congestion windows recovered without slow start after partial ack", whenCounted},
		"TCPLostRetransmits": {"%s retransmits lost", whenCounted}, "TCPRenoFailures": {"%s timeouts after reno fast retransmit", whenCounted}, "TCPLossFailures": {"%s timeouts in loss state", whenCounted},
		"TCPFastRetrans": {"%s fast retransmits", whenCounted}, "TCPForwardRetrans": {"%s forward retransmits", whenCounted}, "TCPSlowStartRetrans": {"%s retransmits in slow start", whenCounted},
		"TCPSchedulerFailed": {"%s times receiver scheduled too late for direct processing", whenCounted}, "TCPRcvCollapsed": {"%s packets collapsed in receive queue due to low socket buffer", whenCounted},
		"TCPAbortOnSyn": {"%s connections reset due to unexpected SYN", whenCounted}, "TCPAbortOnData": {"%s connections reset due to unexpected data", whenCounted},
		"TCPAbortOnClose": {"%s connections reset due to early user close", whenCounted}, "TCPAbortOnMemory": {"%s connections aborted due to memory pressure", whenCounted},
		"TCPAbortOnTimeout": {"%s connections aborted due to timeout", whenCounted}, "TCPAbortOnLinger": {"%s connections aborted after user close in linger timeout", whenCounted},
		"TCPAbortFailed": {"%s times unable to send RST due to no memory", whenCounted}, "TCPMemoryPressures": {"TCP ran low on memory %s times", whenCounted},
	},
}

// A countedRow is a counter of IP and of what runs on it.
type countedRow struct {
	File  string          `col:"file"`
	Proto string          `col:"proto"`
	Name  string          `col:"name"`
	Gauge bool            `col:"kind = 'gauge'"`
	Now   int64           `col:"value"`
	Value sql.Null[int64] `col:"value"` // what is printed: the number, or what it grew by; not valid where that is not known
}

func (c *countedRow) text() string {
	if !c.Value.Valid {
		return "-"
	}
	return strconv.FormatInt(c.Value.V, 10)
}

// counted are the counters of the files that netstat -s and nstat read, in the order of the kernel.
func counted(ctx context.Context, m *Moment) ([]countedRow, error) {
	rows, err := here[countedRow](ctx, m, "protocol_counters", "AND file IN ('snmp', 'snmp6', 'netstat')")
	slices.SortStableFunc(rows, compareCounters)
	return rows, err
}

// groupsOfCounters are the groups in the order of the kernel. A recording has those last that it saw last.
var groupsOfCounters = []string{"Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite", "Ip6", "Icmp6", "Udp6", "UdpLite6", "TcpExt", "IpExt", "MPTcpExt"}

// compareCounters gives the order of the kernel. It lists each kind of ICMP from the first message on, by its number.
func compareCounters(a, b countedRow) int {
	rank := func(c countedRow) int {
		if i := slices.Index(groupsOfCounters, c.Proto); i >= 0 {
			return i
		}
		return len(groupsOfCounters)
	}
	kind := func(c countedRow) string {
		if stem := strings.TrimRight(c.Name, "0123456789"); stem == "InType" || stem == "OutType" {
			return stem
		}
		return ""
	}
	order := cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a.Proto, b.Proto), strings.Compare(kind(a), kind(b)))
	if order != 0 || kind(a) == "" {
		return order
	}
	return cmp.Or(cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
}

// grown are the same with what they grew by since a sample; a gauge keeps its number. After another boot, or where a counter fell, that is not known.
// The kernel lists some kinds of ICMP from the first on: one that was not listed was 0.
func grown(ctx context.Context, m *Moment, since float64) ([]countedRow, error) {
	now, err := counted(ctx, m)
	if err != nil {
		return nil, err
	}
	before, err := rowsOf[countedRow](ctx, m, fmt.Sprintf("SELECT %s FROM protocol_counters WHERE ts = ?1 AND netns = %d AND file IN ('snmp', 'snmp6', 'netstat') "+
		"AND (SELECT boot FROM samples WHERE ts = ?1) = (SELECT boot FROM samples WHERE ts = at())", strings.Join(columnsOf[countedRow](), ", "), m.NetNS), since)
	if err != nil {
		return nil, err
	}
	values, groups := map[[3]string]int64{}, map[[2]string]bool{}
	for _, b := range before {
		values[[3]string{b.File, b.Proto, b.Name}] = b.Now
		groups[[2]string{b.File, b.Proto}] = true
		groups[[2]string{b.File}] = true
	}
	for i := range now {
		c := &now[i]
		old, listed := values[[3]string{c.File, c.Proto, c.Name}]
		later := groups[[2]string{c.File, c.Proto}] || c.Proto == "IcmpMsg" && groups[[2]string{c.File}]
		switch {
		case c.Gauge:
		case listed && c.Now >= old, !listed && later:
			c.Value.V = c.Now - old
		default:
			c.Value.Valid = false
		}
	}
	return now, nil
}

// sampleAt is the sample that counters are compared with: the last one at that time.
func sampleAt(ctx context.Context, m *Moment, words string) (float64, error) {
	t, err := query.ParseTime(words, time.Now())
	if err != nil {
		return 0, usagef("--since: %v", err)
	}
	found, err := rowsOf[float64](ctx, m, "SELECT coalesce(max(ts), -1) FROM samples WHERE ts <= ?", float64(t.UnixMicro())/1e6)
	switch {
	case err != nil:
		return 0, err
	case found[0] < 0:
		return 0, usagef("--since %s: no sample is as old as that: SELECT min(ts) FROM samples is the first", words)
	case t.After(m.Time):
		return 0, usagef("--since %s is after the moment that is printed", words)
	}
	return found[0], nil
}

// statistics prints counters as netstat -s does; since: what they grew by from there on.
func (o netstatOptions) statistics(ctx context.Context, m *Moment, w io.Writer) error {
	if o.unix || len(o.families) > 1 {
		return usagef("netstat -s has statistics of one family at a time: -4 or -6")
	}
	var rows []countedRow
	var err error
	if o.since == "" {
		rows, err = counted(ctx, m)
	} else {
		var since float64
		if since, err = sampleAt(ctx, m, o.since); err == nil {
			rows, err = grown(ctx, m, since)
		}
	}
	if err != nil {
		return err
	}
	o.printStatistics(rows, w)
	return nil
}

// printStatistics prints those of the groups that are asked for. Of IPv6 netstat reads all of snmp6, and TCP from snmp.
func (o netstatOptions) printStatistics(rows []countedRow, w io.Writer) {
	files := []string{"snmp", "netstat"}
	if o.six {
		files = []string{"snmp6", "snmp"}
	}
	some := o.tcp || o.udp || o.raw || o.udplite || o.sctp
	shown := func(file, group string) bool {
		if o.six && file == "snmp" && group != "Tcp" {
			return false
		}
		switch group {
		case "Ip", "Icmp", "Ip6", "Icmp6":
			return o.raw || !some
		case "Udp", "Udp6":
			return o.udp || !some
		case "Tcp", "TcpExt":
			return o.tcp || !some
		}
		return true
	}
	p := statisticsPrinter{w: w}
	for _, file := range files {
		p.group = ""
		for i := range rows {
			if c := &rows[i]; c.File == file {
				p.print(c, shown(file, c.Proto))
			}
		}
	}
}

// A statisticsPrinter writes counters one after another. A histogram goes on until a sentence of another kind ends it, or a group that has sentences, also
// one that is not shown: what has no sentence stands in it.
type statisticsPrinter struct {
	w         io.Writer
	group     string
	listed    int           // counters of the group
	histogram statisticKind // icmpReceived, icmpSent or none of them
}

func (p *statisticsPrinter) print(c *countedRow, shown bool) {
	const most = 16 // the kernel begins another line, with the name of the group, after as many kinds of ICMP
	if c.Proto != p.group || c.Proto == "IcmpMsg" && p.listed%most == 0 {
		if c.Proto != p.group {
			p.listed = 0
		}
		p.group = c.Proto
		if statistics[c.Proto] != nil {
			p.histogram = whenCounted
		}
		if shown {
			fmt.Fprintf(p.w, "%s:\n", c.Proto)
		}
	}
	p.listed++
	if !shown {
		return
	}
	counts := !c.Value.Valid && c.Now != 0 || c.Value.V != 0
	s, known := statistics[c.Proto][c.Name]
	switch {
	case !known:
		name := c.Name
		if c.File == "snmp6" {
			name = c.Proto + name
		}
		if counts {
			p.line(fmt.Sprintf("%s: %s", name, c.text()))
		}
	case s.kind == never:
	case s.kind == icmpReceived || s.kind == icmpSent:
		if p.histogram != s.kind {
			p.line(map[statisticKind]string{icmpReceived: "ICMP input histogram:", icmpSent: "ICMP output histogram:"}[s.kind])
			p.histogram = s.kind
		}
		if counts {
			p.line(fmt.Sprintf(s.text, c.text()))
		}
	case s.kind == always || counts:
		p.histogram = whenCounted
		p.line(fmt.Sprintf(s.text, c.text()))
	}
}

func (p *statisticsPrinter) line(text string) {
	indent := "    "
	if p.histogram != whenCounted {
		indent = "        "
	}
	fmt.Fprintf(p.w, "%s%s\n", indent, text)
}
