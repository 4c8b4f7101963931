package store

// PacketDropID names a kind of dropped packets. In which network namespace and on which interface they were dropped, the kernel does not tell.
type PacketDropID struct {
	Reason   string `col:"reason" doc:"Reason as the running kernel names it: NO_SOCKET, SOCKET_RCVBUFF, NETFILTER_DROP and so on; a number where it has no name."`
	Protocol string `col:"protocol" doc:"Protocol of the packets: IPv4, IPv6, ARP, or the number of the EtherType, such as 0x88cc; NULL where the kernel does not say."`
}

// PacketDrop is how many there were since the sample before. It is no counter: it may be summed up over samples and kinds.
type PacketDrop struct {
	Description string `col:"description,rare" doc:"The reason in words; NULL for those without a sentence of ours."`
	Packets     Int    `col:"packets,value" unit:"packets" doc:"Packets that the kernel dropped for that reason since the sample before, in all network namespaces."`
	Estimated   Int    `col:"estimated,value" unit:"packets" doc:"Of packets, those whose reason and protocol were worked out from a share of the drops, because there were too many to look at each; 0: all were looked at."`
}
