package store

// ProtocolCounterID names one number of /proc/net/snmp, snmp6, netstat, sockstat, sockstat6, protocols, xfrm_stat, stat/nf_conntrack, stat/arp_cache,
// stat/ndisc_cache or /proc/sys/fs/file-nr.
type ProtocolCounterID struct {
	NetNS Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it; NULL for what is of the whole machine: the files arp_cache, ndisc_cache and file-nr."`
	File  string `col:"file" doc:"File of /proc/net it stands in: snmp, snmp6, netstat, sockstat, sockstat6, xfrm_stat, or protocols (sockets of the kinds that the table sockets may lack); of /proc/net/stat: nf_conntrack (what the table conntrack leaves out), arp_cache, ndisc_cache; of /proc/sys/fs: file-nr."`
	Proto string `col:"proto" doc:"Group within the file: Ip, Icmp, Tcp, Udp, TcpExt, IpExt, Ip6, TCP, Xfrm, nf_conntrack, arp_cache, ndisc_cache, files and so on; in protocols the kind of socket: XDP, SCTP, SCTPv6."`
	Name  string `col:"name" doc:"Name of the counter as the kernel spells it: RetransSegs, ListenOverflows and so on."`
}

// ProtocolCounter is its value.
type ProtocolCounter struct {
	Kind        string `col:"kind,rare" doc:"counter when it only grows, gauge when it goes up and down."`
	Description string `col:"description,rare" doc:"What it counts, in words; NULL for those without a sentence of ours."`
	Value       Int    `col:"value,counter" doc:"The count since boot; of a gauge, the number now."`
}

// SoftnetID names a CPU.
type SoftnetID struct {
	CPU Int `col:"cpu" doc:"Number of the CPU."`
}

// Softnet is a line of /proc/net/softnet_stat: how a CPU copes with received packets.
type Softnet struct {
	Processed   Int `col:"processed,counter" unit:"packets" doc:"Packets processed."`
	Dropped     Int `col:"dropped,counter" unit:"packets" doc:"Packets dropped because the backlog queue was full (net.core.netdev_max_backlog)."`
	TimeSqueeze Int `col:"time_squeeze,counter" unit:"times" doc:"Times the budget or the time ran out with work left (net.core.netdev_budget)."`
	ReceivedRPS Int `col:"received_rps,counter" unit:"times" doc:"Times another CPU woke this one for received packets (RPS)."`
	FlowLimit   Int `col:"flow_limit,counter" unit:"packets" doc:"Packets dropped by the flow limit."`
	Backlog     Int `col:"backlog,value" unit:"packets" doc:"Packets in the backlog queue now (Linux 5.10)."`
}

// ConntrackID names the connection tracking table of a network namespace.
type ConntrackID struct {
	NetNS Int `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
}

// Conntrack says how full connection tracking is.
type Conntrack struct {
	Entries    Int `col:"entries,value" doc:"Connections tracked now (nf_conntrack_count)."`
	MaxEntries Int `col:"max_entries,value" doc:"Most that may be tracked (nf_conntrack_max)."`

	Drops        Int `col:"drops,counter" unit:"packets" doc:"Packets dropped because a connection could not be tracked: most often, the table was full."`
	EarlyDrops   Int `col:"early_drops,counter" unit:"connections" doc:"Connections forgotten early to make room for new ones."`
	InsertFailed Int `col:"insert_failed,counter" unit:"connections" doc:"Connections that could not be entered, as when two packets of one race."`
}

// SettingID names a sysctl.
type SettingID struct {
	NetNS Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Name  string `col:"name" doc:"Name as sysctl(8) has it: net.core.somaxconn and so on."`
}

// Setting is its value.
type Setting struct {
	Value string `col:"value,rare" doc:"Value; several numbers are parted by blanks."`
}

// SourceID names a source of the recorder.
type SourceID struct {
	Source string `col:"source" doc:"Name of the source, such as tcp4, routes or owners."`
	NetNS  Int    `col:"netns" doc:"Network namespace it is read in; NULL for what is of the whole machine."`
}

// SourceOutcome says how reading the source went.
type SourceOutcome struct {
	Outcome  string `col:"outcome,rare" doc:"read, kept (not read: the rows are those of the last reading), incomplete, failed, or off (not read, because it is switched off)."`
	Error    string `col:"error,rare" doc:"What went wrong, when something did; for off, the flag that switched it off."`
	Rows     Int    `col:"rows,value" unit:"rows" doc:"Rows it gave; NULL when it was not read."`
	Duration Int    `col:"duration_ms,value" unit:"ms" doc:"How long it took, in whole milliseconds."`
}
