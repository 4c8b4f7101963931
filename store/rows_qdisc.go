package store

// QdiscID names a queueing discipline of an interface.
type QdiscID struct {
	NetNS   Int    `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Dev     string `col:"dev" doc:"Interface that has it."`
	IfIndex Int    `col:"ifindex" doc:"Index of that interface."`
	Handle  string `col:"handle" doc:"Its handle, such as 8001: as tc prints it; 0: of one that the kernel put there by itself."`
	Parent  string `col:"parent" doc:"Where it stands: root, ingress, or the class it is of, such as 1:2; NULL where the kernel names none."`
}

// Qdisc is what tc -s qdisc shows of it.
type Qdisc struct {
	Kind       string `col:"kind,rare" doc:"Kind of queueing discipline: fq_codel, pfifo_fast, tbf, mq, ingress and so on."`
	Bytes      Int    `col:"bytes_sent,counter" unit:"bytes" doc:"Bytes that left it; of ingress, that came in through it."`
	Packets    Int    `col:"packets_sent,counter" unit:"packets" doc:"Packets that left it; of ingress, that came in through it."`
	Dropped    Int    `col:"dropped,counter" unit:"packets" doc:"Packets it dropped, for want of room or by its rules."`
	Overlimits Int    `col:"overlimits,counter" unit:"times" doc:"Times a packet had to wait or was marked or dropped because a limit of it was reached."`
	Requeues   Int    `col:"requeues,counter" unit:"times" doc:"Times a packet was put back because the driver had no room for it."`
	Backlog    Int    `col:"backlog_bytes,value" unit:"bytes" doc:"Bytes that wait in it."`
	QLen       Int    `col:"qlen,value" unit:"packets" doc:"Packets that wait in it."`
}
