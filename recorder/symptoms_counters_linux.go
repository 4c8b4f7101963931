package recorder

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"time"

	"netsql/store"
)

// acuteCounters are counters of lost packets and connections: they stand still on a healthy machine. false: others that a fault shows, which
// also grow without one.
var acuteCounters = map[string]bool{
	"TcpExt.ListenOverflows": true, "TcpExt.ListenDrops": true, "TcpExt.TCPReqQFullDoCookies": true, "TcpExt.TCPReqQFullDrop": true,
	"TcpExt.SyncookiesSent": true, "TcpExt.SyncookiesRecv": false, "TcpExt.SyncookiesFailed": false,
	"TcpExt.TCPAbortOnMemory": true, "TcpExt.TCPMemoryPressures": true, "TcpExt.RcvPruned": true, "TcpExt.TCPRcvQDrop": true, "TcpExt.TCPBacklogDrop": true,
	"TcpExt.OfoPruned": true, "TcpExt.TCPTimeWaitOverflow": true, "TcpExt.IPReversePathFilter": false, "TcpExt.PAWSEstab": false, "TcpExt.PAWSActive": false,
	"TcpExt.TCPMTUPFail": false, "TcpExt.TCPZeroWindowDrop": true, "TcpExt.TCPWqueueTooBig": true,
	"TcpExt.TCPSpuriousRTOs": false, "TcpExt.TCPDSACKRecv": false, "TcpExt.TCPLossUndo": false,
	"Udp.RcvbufErrors": true, "Udp.SndbufErrors": true, "Udp.MemErrors": true,
	"Udp6.RcvbufErrors": true, "Udp6.SndbufErrors": true, "Udp6.MemErrors": true,
	"Ip.OutNoRoutes": false, "Ip6.OutNoRoutes": false,
	"arp_cache.table_fulls": true, "ndisc_cache.table_fulls": true,
}

// manyResets is how many resets a second are told: every refused connection is one.
const manyResets = 50

// sign says what a counter or number of a file may be a symptom of.
type sign uint8

const (
	noSign sign = iota
	growsSilently
	growsAcutely
	countsResets
	countsNeighbors
)

// signOf is what a counter is watched for.
func signOf(proto, name string) sign {
	acute, watched := acuteCounters[proto+"."+name]
	switch {
	case acute:
		return growsAcutely
	case watched:
		return growsSilently
	case proto == "Tcp" && name == "OutRsts":
		return countsResets
	case name == "entries" && (proto == "arp_cache" || proto == "ndisc_cache"):
		return countsNeighbors
	}
	return noSign
}

// lookAtCounter tells of a counter that grew since the last sample.
func (s *symptoms) lookAtCounter(c *knownCounter, value store.Int) {
	if s == nil || c.sign == noSign {
		return
	}
	now, known := value.Get()
	before, was := c.value.Get()
	if !known {
		return
	}
	id := store.SymptomID{Symptom: c.id.Name}
	switch {
	case c.sign == countsNeighbors:
		s.nears(id, c.id.Proto, now)
	case !was || now <= before:
	case c.sign == countsResets:
		if elapsed := s.writer.Uptime() - s.last; s.last > 0 && float64(now-before) >= manyResets*max(elapsed.Seconds(), 1) {
			s.grew(id, uint64(now-before), 0, false)
		}
	default:
		switch c.id.Proto {
		case "Udp6", "Ip6", "Udp", "Ip", "arp_cache", "ndisc_cache":
			id.Symptom = c.id.Proto + "." + c.id.Name
		}
		s.grew(id, uint64(now-before), 0, c.sign == growsAcutely)
	}
}

// nears tells of a table of neighbours that is more than half full.
func (s *symptoms) nears(id store.SymptomID, table string, entries int64) {
	if entries < 64 {
		return // gc_thresh1 is 128, and below it nothing is collected
	}
	path := "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
	if table == "ndisc_cache" {
		path = "/proc/sys/net/ipv6/neigh/default/gc_thresh3"
	}
	most := readLimit(s.ns.procFile(), path)
	if most > 0 && entries*2 > most {
		id.Symptom = table + " entries"
		s.holds(id, entries, most)
	}
}

// readLimit is the last number of a file of /proc/sys; 0 where there is none.
func readLimit(file *procFile, path string) int64 {
	text, err := file.read(path)
	if err != nil {
		return 0
	}
	words := bytes.Fields(text)
	if len(words) == 0 {
		return 0
	}
	n, _ := strconv.ParseInt(string(words[len(words)-1]), 10, 64)
	return n
}

// Counters of struct rtnl_link_stats64 by their place.
const (
	statRxPackets = 0
	statTxPackets = 1
	statRxBytes   = 2
	statTxBytes   = 3
	linkStats     = 25
)

// A watchedStat is a counter of interfaces that a fault shows.
type watchedStat struct {
	at    int
	of    int // the packets that it is a part of
	name  string
	acute bool
}

var watchedStats = [...]watchedStat{
	{4, statRxPackets, "rx_errors", true}, {5, statTxPackets, "tx_errors", true}, {6, statRxPackets, "rx_dropped", false}, {7, statTxPackets, "tx_dropped", false},
	{9, statTxPackets, "collisions", false}, {10, statRxPackets, "rx_length_errors", true}, {11, statRxPackets, "rx_over_errors", true}, {12, statRxPackets, "rx_crc_errors", true},
	{13, statRxPackets, "rx_frame_errors", true}, {14, statRxPackets, "rx_fifo_errors", true}, {15, statRxPackets, "rx_missed_errors", true},
	{17, statTxPackets, "tx_carrier_errors", true}, {23, statRxPackets, "rx_nohandler", false},
}

// A linkWatch is what the last sample saw of a link.
type linkWatch struct {
	stats   [linkStats]uint64
	changes store.Int // of the carrier
	at      time.Duration
	told    [len(watchedStats)]struct {
		at      time.Duration // since boot: when it last grew
		packets uint64        // that there were by then
	}
}

const (
	// fullShare is how full a link is that is told, in hundredths of its speed.
	fullShare = 80
	// dropsFollowed is for how long after a loss packets are counted that the next one is a part of.
	dropsFollowed = 10 * time.Minute
)

// lookAtLink tells what grew at an interface since the last sample. speed is in Mbit/s.
func (s *symptoms) lookAtLink(w *linkWatch, name string, counts []byte, changes store.Int, virtual bool, speed store.Int) {
	if s == nil {
		return
	}
	var now [linkStats]uint64
	for i := range min(len(counts)/8, linkStats) {
		now[i] = binary.NativeEndian.Uint64(counts[8*i:])
	}
	was, clock := w.stats, s.writer.Uptime()
	elapsed := clock - w.at
	first := w.at == 0
	before, hadChanges := w.changes.Get()
	w.stats, w.at, w.changes = now, clock, changes
	if first {
		return
	}
	if n, known := changes.Get(); known && hadChanges && n > before && !virtual {
		s.grew(store.SymptomID{Symptom: "carrier changes", Dev: name}, uint64(n-before), 0, true)
	}
	for i := range now {
		if now[i] < was[i] {
			return // it counts from the beginning
		}
	}
	growth := func(i int) uint64 { return now[i] - was[i] }
	for i, c := range watchedStats {
		if growth(c.at) == 0 {
			continue
		}
		last := &w.told[i] // packets since the last loss, or since the last sample
		of := growth(c.of)
		if last.at > 0 && clock-last.at < dropsFollowed {
			of = now[c.of] - last.packets
		}
		last.at, last.packets = clock, now[c.of]
		s.grew(store.SymptomID{Symptom: c.name, Dev: name}, growth(c.at), of, c.acute)
	}
	if mbps, known := speed.Get(); known && mbps > 0 && !virtual && elapsed > 0 {
		most := uint64(float64(mbps) * 125000 * elapsed.Seconds())
		for _, way := range [...]struct {
			bytes int
			name  string
		}{{statRxBytes, "link full rx"}, {statTxBytes, "link full tx"}} {
			if growth(way.bytes)*100 >= most*fullShare && most > 0 {
				s.grew(store.SymptomID{Symptom: way.name, Dev: name}, growth(way.bytes), most, false)
			}
		}
	}
}

// lookAtConntrack tells how full connection tracking is, and what it lost.
func (s *symptoms) lookAtConntrack(was, now store.Conntrack) {
	if s == nil {
		return
	}
	entries, most := now.Entries.Or(0), now.MaxEntries.Or(0)
	if most > 0 && entries*10 >= most*7 {
		s.holds(store.SymptomID{Symptom: "conntrack entries"}, entries, most)
	}
	for _, c := range [...]struct {
		name     string
		was, now store.Int
		acute    bool
	}{
		{"conntrack drop", was.Drops, now.Drops, true}, {"conntrack early_drop", was.EarlyDrops, now.EarlyDrops, true}, {"conntrack insert_failed", was.InsertFailed, now.InsertFailed, false},
	} {
		before, known := c.was.Get()
		if n, is := c.now.Get(); known && is && n > before {
			s.grew(store.SymptomID{Symptom: c.name}, uint64(n-before), 0, c.acute)
		}
	}
}

// machineSymptoms are those of the whole machine: beside what others tell, how near its limits are.
type machineSymptoms struct {
	*symptoms
	cpus                  map[uint32][2]uint32 // dropped and time_squeeze of each
	orphansMost, pressure int64                // tcp_max_orphans, and the middle number of tcp_mem
	memoryMost            int64                // the last number of tcp_mem
	limitsAt              time.Duration        // since boot: when they were read
}

func newMachineSymptoms(w *store.Writer, ns namespace) *machineSymptoms {
	ns.id = store.Int{}
	return &machineSymptoms{symptoms: newSymptoms(w, ns), cpus: map[uint32][2]uint32{}}
}

func (s *machineSymptoms) read(ctx context.Context) {
	s.lookAtMemory()
	s.symptoms.read(ctx)
}

// lookAtCPU tells what grew at a CPU since the last sample.
func (s *machineSymptoms) lookAtCPU(cpu, dropped, squeezed uint32) {
	if s == nil {
		return
	}
	was, known := s.cpus[cpu]
	s.cpus[cpu] = [2]uint32{dropped, squeezed}
	if !known {
		return
	}
	if dropped > was[0] {
		s.grew(store.SymptomID{Symptom: "softnet dropped"}, uint64(dropped-was[0]), 0, true)
	}
	if squeezed > was[1] {
		s.grew(store.SymptomID{Symptom: "softnet time_squeeze"}, uint64(squeezed-was[1]), 0, false)
	}
}

// lookAtDescriptors tells of a process that has used up most of its descriptors.
func (s *machineSymptoms) lookAtDescriptors(process store.Ref, open, most int64) {
	const share = 80
	if most > 0 && open*100 >= most*share {
		s.holds(store.SymptomID{Symptom: "descriptors", Process: process}, open, most)
	}
}

const (
	// limitsAgain is how often limits of the kernel are read again.
	limitsAgain = time.Minute
	// orphansShare is what part of the orphans that there may be is told.
	orphansShare = 5
)

// lookAtMemory tells how many orphans there are, and how much memory TCP uses: both are of the whole machine (net/ipv4/proc.c, sockstat_seq_show).
func (s *machineSymptoms) lookAtMemory() {
	file := s.ns.procFile()
	if now := s.writer.Uptime(); s.limitsAt == 0 || now-s.limitsAt > limitsAgain {
		s.limitsAt = now
		s.orphansMost = readLimit(file, "/proc/sys/net/ipv4/tcp_max_orphans")
		s.memoryMost = readLimit(file, "/proc/sys/net/ipv4/tcp_mem")
		if text, err := file.read("/proc/sys/net/ipv4/tcp_mem"); err == nil {
			if words := bytes.Fields(text); len(words) == 3 {
				s.pressure, _ = strconv.ParseInt(string(words[1]), 10, 64)
			}
		}
	}
	text, err := file.read(s.ns.proc + "/net/sockstat")
	if err != nil {
		return
	}
	_ = parseSockstat(text, func(group, name []byte, value store.Int) {
		if string(group) != "TCP" {
			return
		}
		switch n := value.Or(0); string(name) {
		case "orphan":
			if s.orphansMost > 0 && n*orphansShare >= s.orphansMost {
				s.holds(store.SymptomID{Symptom: "orphans"}, n, s.orphansMost)
			}
		case "mem":
			if s.pressure > 0 && n*5 >= s.pressure*4 {
				s.holds(store.SymptomID{Symptom: "tcp memory"}, n, s.memoryMost)
			}
		}
	})
}
