package store

// FlowID names a tracked flow.
type FlowID struct {
	NetNS        Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Proto        string `col:"proto" doc:"tcp, udp, icmp, icmpv6 and so on; the number of a protocol without a name here."`
	Family       Int    `col:"family" doc:"4: IPv4, 6: IPv6."`
	SrcAddr      string `col:"src_addr" doc:"Address of who began, as its packets come in here."`
	SrcPort      Int    `col:"src_port" doc:"Its port; NULL of what has no ports."`
	DstAddr      string `col:"dst_addr" doc:"Address that it meant."`
	DstPort      Int    `col:"dst_port" doc:"Port that it meant."`
	ReplySrcAddr string `col:"reply_src_addr" doc:"Address of who answers: another than dst_addr behind dnat."`
	ReplySrcPort Int    `col:"reply_src_port" doc:"Its port."`
	ReplyDstAddr string `col:"reply_dst_addr" doc:"Address that the answers go to: another than src_addr behind snat."`
	ReplyDstPort Int    `col:"reply_dst_port" doc:"Port that the answers go to."`
	ICMPID       Int    `col:"icmp_id" doc:"Identifier of ICMP, in place of ports."`
	Zone         Int    `col:"zone" doc:"Zone of connection tracking; NULL: 0."`
	ID           Int    `col:"ct_id" doc:"What the kernel calls it: one with the same ends later has another."`
}

// Flow is what connection tracking keeps of one.
type Flow struct {
	NAT             string `col:"nat,rare" doc:"Which addresses are translated: snat (that of who began), dnat (the one it meant), snat dnat; NULL: none."`
	State           string `col:"state,rare" doc:"State of a TCP connection as connection tracking sees it; NULL of others."`
	Replied         Int    `col:"replied,rare" doc:"1: packets have come back; 0: none, conntrack shows UNREPLIED."`
	Assured         Int    `col:"assured,rare" doc:"1: it stays when the table is full; 0: it may be thrown away for another."`
	Offloaded       Int    `col:"offloaded,rare" doc:"1: its packets go through a flowtable, past the rules; NULL: they do not."`
	Mark            Int    `col:"mark,rare" doc:"Mark that rules have set; NULL: 0."`
	BytesSent       Int    `col:"bytes_sent,counter" unit:"bytes" doc:"Bytes from who began, with their IP headers; NULL while net.netfilter.nf_conntrack_acct is 0."`
	BytesReceived   Int    `col:"bytes_received,counter" unit:"bytes" doc:"Bytes back to it."`
	PacketsSent     Int    `col:"packets_sent,counter" unit:"packets" doc:"Packets from who began."`
	PacketsReceived Int    `col:"packets_received,counter" unit:"packets" doc:"Packets back to it."`
}
