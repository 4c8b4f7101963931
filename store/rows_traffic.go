package store

// TrafficID names connections that are summed up: those of a process that take one interface.
type TrafficID struct {
	NetNS   Int `col:"netns" doc:"Inode number of the network namespace, as readlink /proc/PID/ns/net shows it."`
	Process Ref `col:"process" ref:"processes:pid,started,comm,exe,cmdline" doc:"The process that holds the connections, or held them until they were closed; NULL where none is known."`

	UID       Int    `col:"uid" since:"26" doc:"User id of the creator of the sockets; of connections that no sample saw, the effective one of the process."`
	User      string `col:"user" since:"26" doc:"Name of that user."`
	Interface string `col:"interface" since:"26" doc:"Interface that the socket is bound to (SO_BINDTODEVICE), else the one that the kernel named as the route from the local address to the other end, when it was asked: at most a minute ago, and since the last change of routes, rules, links and addresses. Packets may arrive through another one. lo for what stays on the machine; NULL where it is not known."`
}

// Traffic is what its connections moved since the sample before, those that were closed meanwhile included. It is no
// counter: it may be summed up over samples and processes.
type Traffic struct {
	BytesSent     Int `col:"bytes_sent,value" unit:"bytes" doc:"Payload that its TCP connections sent since the sample before, retransmits included; of connections that no sample saw, too."`
	BytesReceived Int `col:"bytes_received,value" unit:"bytes" doc:"Payload that they received since the sample before; one byte more for the FIN of each connection that the other end closed and no sample saw in CLOSE_WAIT, LAST_ACK or CLOSING."`
	Retransmits   Int `col:"retransmits,value" unit:"segments" doc:"Segments that they sent again since the sample before."`
	Closed        Int `col:"closed,value" unit:"sockets" doc:"TCP connections of it that were closed since the sample before."`

	ClosedUnknown Int `col:"closed_unknown,value" unit:"sockets" doc:"Of closed, those of which the kernel had forgotten the numbers (SO_LINGER 0): what they moved at the end is missing in the sums."`
}
